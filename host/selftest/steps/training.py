"""Training test: real samples, then every bit of the device's state beside the golden model's."""

from opzo.host.selftest.check import Bench, golden_device
from opzo.host.selftest.difference import compare_with_golden
from opzo.host.selftest.trial import Trial, digit_samples, largest_network
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Network
from opzo.spec.rules import Input

TRAINED, TESTED = 200, 20
"""Samples of frames."""
EVENT_TRAINED, EVENT_TESTED = 40, 10
"""Samples of events, two chunks each or more."""


def training_step(bench: Bench) -> str:
    """Train and test with frames, two hidden layers."""
    return _step(bench, largest_network(bench.limits, 2, Input.FRAME), TRAINED, TESTED)


def events_step(bench: Bench) -> str:
    """Train and test with spikes in time, in chunks, three hidden layers; nothing where chunks are too short."""
    if bench.limits.steps < HISTORY_STEPS:
        return f"not done: the device takes {bench.limits.steps} time steps a run, events need {HISTORY_STEPS}"
    return _step(bench, largest_network(bench.limits, 3, Input.SPIKES), EVENT_TRAINED, EVENT_TESTED)


def _step(bench: Bench, network: Network, trained: int, tested: int) -> str:
    samples = digit_samples(network, trained + tested, bench.random(1, network.input))
    trial = Trial(network, samples, trained, bench.seed)
    expected = compare_with_golden(bench.device, golden_device(bench.limits), trial)
    local = f", local learning in {network.local} layers" if network.local else ""
    entries = sum(array.size for array in expected.state.values())
    bench.details |= {
        **{"network": str(network), "steps": network.steps, "input": network.input.name.lower()},
        **{"local": network.local, "trained": trained, "tested": tested, "entries_compared": entries},
    }
    kind = "of spikes" if network.input.events else "of images"
    return f"{network}{local}: {trained} samples {kind} trained, {tested} tested; {entries:,} entries equal"
