"""Test files that take half a minute or more."""

LONG = (
    "hw/top/test_core_convolutions.py",
    "hw/top/test_core.py",
    "boards/test_build.py",
    "reference/test_reference_train.py",
    "host/selftest/test_selftest_faults.py",
    "sim/rtl/test_rtl_chip.py",
    "sim/test_sequences.py",
    "host/training/test_training_run.py",
    "host/cli/test_command_line.py",
    "hw/link/test_link.py",
    "host/training/test_sweep.py",
    "system/test_child.py",
    "system/test_standard_streams.py",
    "hw/lanes/test_lanes.py",
    "hw/link/test_event_decoder.py",
    "hw/input/test_traces.py",
    "hw/top/test_registers.py",
    "hw/schedule/test_schedule.py",
    "hw/schedule/test_issue.py",
    "hw/error/test_error_unit.py",
    "sim/rtl/test_rtl_device.py",
)
"""Paths in this folder, the longest first; .ci/run begins with them."""
