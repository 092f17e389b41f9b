"""Test files that take half a minute or more."""

LONG = (
    "tests/hw/top/test_core_convolutions.py",
    "tests/hw/top/test_core.py",
    "tests/boards/test_build.py",
    "tests/reference/test_reference_train.py",
    "tests/host/selftest/test_selftest_faults.py",
    "tests/sim/rtl/test_rtl_chip.py",
    "tests/sim/test_sequences.py",
    "tests/host/training/test_training_run.py",
    "tests/host/cli/test_command_line.py",
    "tests/hw/link/test_link.py",
    "tests/host/training/test_sweep.py",
    "tests/docs/test_site.py",
    "tests/hw/export/test_testbench.py",
    "tests/host/cli/test_waveform.py",
    "tests/system/test_child.py",
    "tests/system/test_standard_streams.py",
    "tests/hw/lanes/test_lanes.py",
    "tests/hw/link/test_event_decoder.py",
    "tests/hw/input/test_traces.py",
    "tests/hw/top/test_registers.py",
    "tests/hw/schedule/test_schedule.py",
    "tests/hw/schedule/test_issue.py",
    "tests/hw/error/test_error_unit.py",
    "tests/sim/rtl/test_rtl_device.py",
)
"""Their paths, the longest first; .ci/run begins with them."""
