"""Training test: real samples, then a comparison of all state of the device with the golden model."""

from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.digits_experiment import (
    DigitsExperiment,
    convolutional_network,
    digit_samples,
    largest_network,
)
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Network
from opzo.spec.rules import Input

TRAINED, TESTED = 200, 20
"""Number of frames."""
EVENT_TRAINED, EVENT_TESTED = 40, 10
"""Number of event samples, of two or more chunks each."""
CONVOLUTION_TRAINED = 60


def training_step(dut: DeviceUnderTest) -> str:
    """Train and test with frames, two hidden layers."""
    return _step(dut, largest_network(dut.limits, 2, Input.FRAME), TRAINED, TESTED)


def events_step(dut: DeviceUnderTest) -> str:
    """Train and test with spikes in time, in chunks, all hidden layers; skipped if chunks are too short."""
    if dut.limits.steps < HISTORY_STEPS:
        return f"not done: the device takes {dut.limits.steps} time steps a run, events need {HISTORY_STEPS}"
    return _step(dut, largest_network(dut.limits, dut.limits.layers, Input.SPIKES), EVENT_TRAINED, EVENT_TESTED)


def convolutions_step(dut: DeviceUnderTest) -> str:
    """Train and test a small network with convolutions, where the device has any."""
    if not dut.limits.gradients:
        return "not done: the device was built without convolutions"
    return _step(dut, convolutional_network(dut.limits), CONVOLUTION_TRAINED, TESTED)


def _step(dut: DeviceUnderTest, network: Network, trained: int, tested: int) -> str:
    samples = digit_samples(network, trained + tested, dut.random(1, network.input))
    experiment = DigitsExperiment(network, samples, trained, dut.seed)
    expected = compare_with_golden(dut.device, golden_device(dut.limits), experiment)
    local = f", local learning in {network.local} layers" if network.local else ""
    entries = sum(array.size for array in expected.state.values())
    dut.details |= {
        **{"network": str(network), "steps": network.steps, "input": network.input.name.lower()},
        **{"local": network.local, "trained": trained, "tested": tested, "entries_compared": entries},
    }
    kind = "of spikes" if network.input.events else "of images"
    return f"{network}{local}: {trained} samples {kind} trained, {tested} tested; {entries:,} entries equal"
