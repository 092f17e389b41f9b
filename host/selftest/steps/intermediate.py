"""Intermediate readout test: networks with convolutions and random contents, compared with the golden model."""

from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.plans import INTERMEDIATE_PLANS, intermediate_experiment


def intermediate_step(dut: DeviceUnderTest) -> str:
    """Run the experiments with an intermediate readout, where the device has convolutions."""
    if not dut.limits.gradients:
        return "not done: the device was built without convolutions"
    golden = golden_device(dut.limits)
    cases = runs = 0
    for number, plan in enumerate(INTERMEDIATE_PLANS):
        experiment = intermediate_experiment(plan, number, dut.limits, dut.random(5, number))
        if experiment is None:
            dut.lacks(plan.title)
            continue
        compare_with_golden(dut.device, golden, experiment)
        cases, runs = cases + 1, runs + experiment.items
    dut.details |= {"cases": cases, "runs": runs}
    return f"{cases} cases of intermediate global learning, {runs} runs"
