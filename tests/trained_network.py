"""Networks that the golden model has trained on random samples, for tests of devices that only infer."""

from dataclasses import dataclass

import numpy as np
from golden_device import GoldenDevice

from opzo.host.driver.device import Device
from opzo.host.driver.fixed import fixed_network
from opzo.host.driver.sample import Sample
from opzo.host.driver.state import State
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.spec.events import Chunk, encode_frame_pairs, encode_steps
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import chunk_events
from opzo.spec.network import Network
from opzo.spec.registers import LEARNING_COUNTERS, TIMING_COUNTERS, Counter
from opzo.spec.rules import Rule

RUNS = 3
"""Most runs of a sample of events."""
COMPARED = tuple(counter for counter in Counter if counter not in (*TIMING_COUNTERS, *LEARNING_COUNTERS))
"""Counters that inference counts alike on all devices."""


@dataclass
class Trained:
    """A network, the golden device that learned it, and its state."""

    network: Network
    rule: Rule
    golden: GoldenDevice
    state: State

    def fixed(self, lanes_per_group: int = 2) -> FixedNetwork:
        limits = self.golden.limits
        return fixed_network(
            self.network, self.rule, self.state.weights, limits.lanes, limits.weight_bits, lanes_per_group
        )


def random_sample(network: Network, rng: np.random.Generator) -> Sample:
    """A frame, or one to RUNS chunks of events; some are empty."""
    share = rng.choice((0, 0.1, 0.4))
    if not network.input.events:
        addresses = np.flatnonzero(rng.random(network.inputs) < share)
        runs = [encode_frame_pairs(addresses, rng.integers(1, 256, len(addresses)))]
    else:
        runs = []
        for _ in range(rng.integers(1, RUNS + 1)):
            count = int(rng.integers(1, network.run_steps + 1))
            steps = [np.flatnonzero(rng.random(network.inputs) < share) for _ in range(count)]
            while sum(map(len, steps)) > chunk_events(network.inputs):
                steps.pop()
            graded = network.input.graded
            values = [rng.integers(1, 256, len(step)) for step in steps] if graded else None
            runs.append(encode_steps(Chunk.of_steps(steps, values), graded=graded))
    return Sample(tuple(runs), int(rng.integers(network.classes)))


def trained(network: Network, lanes: int, weight_bits: int, seed: int, rule: Rule = Rule.OPZO) -> Trained:
    """Network after some training samples, whose weights are no longer the initial ones."""
    rng = np.random.default_rng(seed)
    golden = GoldenDevice(network.limits(lanes, weight_bits))
    golden.configure(network, rule)
    initial = State.initial(network, rule, seed, golden.limits)
    initial.write(golden)
    hyper = Hyperparameters(rule=rule.name.lower(), rate=200, conv_rate=4000)
    golden.write_registers(schedule_registers(hyper, 0, 64))
    for _ in golden.run([random_sample(network, rng) for _ in range(30)], train=True):
        pass
    state = State.read(golden, rule)
    assert all((new != old).any() for new, old in zip(state.weights, initial.weights, strict=True))
    golden.clear_counters()
    return Trained(network, rule, golden, state)


def compare(trained: Trained, device: Device, samples: int, seed: int) -> None:
    """Assert that a device which holds the network infers as the golden one: results, membrane potentials, counters."""
    rng = np.random.default_rng(seed)
    network, golden = trained.network, trained.golden
    device.clear_counters()
    golden.clear_counters()
    spikes = 0
    for number in range(samples):
        sample = random_sample(network, rng)
        (expected,), (found,) = (list(each.run([sample], outputs=True)) for each in (golden, device))
        where = f"seed {seed}, sample {number}"
        assert (found.prediction, found.loss) == (expected.prediction, expected.loss), where
        assert found.outputs.tolist() == expected.outputs.tolist(), where
        for layer in range(len(network.hidden)):
            assert np.array_equal(device.read_membranes(layer), golden.read_membranes(layer)), where
    counts, expected_counts = device.counters(), golden.counters()
    assert {counter: counts[counter] for counter in COMPARED} == {each: expected_counts[each] for each in COMPARED}
    assert not any(counts[counter] for counter in LEARNING_COUNTERS)
    for layer in range(len(network.hidden)):
        spikes += counts[Counter(Counter.SPIKES_1 + layer)]
    assert spikes
    assert counts[Counter.TEST_RUNS] >= samples
