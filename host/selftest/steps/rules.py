"""Rules test: each learning rule with each input kind, with random state, settings and runs."""

from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.mismatch import entry_of, require_equal
from opzo.host.selftest.plans import PLANS, experiment_of
from opzo.spec.memories import Space


def rules_step(dut: DeviceUnderTest) -> str:
    """Run all experiments that fit the device, then compare the complete weight memory."""
    device, limits = dut.device, dut.limits
    golden = golden_device(limits)
    golden.write_memory(Space.WEIGHTS, 0, device.read_memory(Space.WEIGHTS, 0, limits.rows))
    missing: dict[str, None] = {}
    cases = runs = 0
    for number, plan in enumerate(PLANS):
        experiment, lacking = experiment_of(plan, number, limits, dut.random(4, number))
        missing |= dict.fromkeys(lacking)
        if experiment is not None:
            compare_with_golden(device, golden, experiment)
            cases, runs = cases + 1, runs + experiment.items
    # Nothing may change outside the networks.
    actual, expected = (each.read_memory(Space.WEIGHTS, 0, limits.rows) for each in (device, golden))
    require_equal(actual, expected, entry_of("WEIGHTS after all cases", "row", "lane"))
    dut.details |= {"cases": cases, "runs": runs}
    dut.lacks(*missing)
    return f"{cases} cases of rules and inputs, {runs} runs"
