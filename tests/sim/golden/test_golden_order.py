"""Order in which the golden core learns rows, which decides the random bits that each row draws."""

from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import pytest
from chunked import core

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.learn import learn
from opzo.sim.golden.run import Run
from opzo.sim.golden.update import update_rows
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import THRESHOLD
from opzo.spec.network import Network
from opzo.spec.registers import Counter, Reg
from opzo.spec.rules import Rule

ONE_RUN = RunFlag.FRESH | RunFlag.TRAIN


def learned_in_turn(golden: GoldenCore, run: Run, updates: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Weights of the readout, (1, rows, lanes), after updates of a row each, each with the next draw.

    Parameters
    ----------
    golden : GoldenCore
        Core after the time steps, before Learn.
    run : Run
    updates : row, update (1, lanes)
    """
    core = deepcopy(golden)
    weights = core.weights(run.readout).copy()
    for row, update in updates:
        weights[:, row], _ = update_rows(weights[:, row], update, core.lfsrs.draw(1), 6, weight_bits=16)
    return weights


def test_neurons_behind_a_pool_learn_part_by_part() -> None:
    network = Network("1x4x6-3c3-p2-4", 1, input="spikes")
    golden = core(network, Rule.DFA)
    layer = golden.layers()[0]
    golden.weights(layer)[:, -1] = THRESHOLD
    rng = np.random.default_rng(0)
    golden.write_register(Reg.BATCH, 255)
    run = Run(golden, Chunk.of_steps([np.flatnonzero(rng.random(24) < 0.3)]), 1, ONE_RUN)
    run.forward()
    credit = run.readout_credits[0]
    spikes = [(int(word), int(lane)) for word, lane in np.argwhere(run.hidden[0].spikes[0])]
    # A position is a word, four of them are a cell.
    spikes.sort(key=lambda spike: (spike[0] % 4, spike))
    updates = [(position // 4 * 3 + channel, credit + 2 >> 2) for position, channel in spikes]
    expected = learned_in_turn(golden, run, [*updates, (18, credit)])
    before = golden.weights(run.readout).copy()
    learn(run)
    np.testing.assert_array_equal(golden.weights(run.readout), expected)
    assert len({spike[0] % 4 for spike in spikes}) == 4
    assert len(spikes) - len({row for row, _ in updates}) > 5
    assert (expected != before).any()


@pytest.mark.parametrize(
    ("net", "events", "order"),
    [("2x2x2-2c1-p2-4c1-4", [[1, 3, 5, 7], [0, 2, 4, 6]], [0, 3]), ("2-2-4-4", [[1], [0]], [3, 0])],
)
def test_only_lists_of_convolutions_are_in_order_of_addresses(
    net: str, events: list[list[int]], order: list[int]
) -> None:
    """Neuron 3 of the last hidden layer becomes active before neuron 0."""
    golden = core(Network(net, 2, input="spikes"), Rule.READOUT)
    first, second, _ = (golden.weights(layer) for layer in golden.layers())
    first[...], second[...] = 0, 0
    for weights, lanes in ((first, (0, 1)), (second, (0, 3))):
        weights[0, (0, 1), lanes] = 2 * THRESHOLD
    run = Run(golden, Chunk.of_steps([np.array(step) for step in events]), 1, ONE_RUN)
    run.forward()
    assert golden.traces[1].active.tolist() == [3, 0]
    later = run.readout_credits[1]
    filtered = run.readout_credits[0] + ((later + (later < 0)) >> 1)
    of_neuron = {3: filtered, 0: later}
    expected = learned_in_turn(golden, run, [*((n, of_neuron[n]) for n in order), (4, filtered + later)])
    learn(run)
    np.testing.assert_array_equal(golden.weights(run.readout), expected)


@pytest.mark.parametrize(("net", "words"), [("1x4x6-5c3-p2-4", 6 * 2), ("1x4x6-5c3-9-4", 6 * 2 + 3), ("24-9-4", 3)])
def test_zero_order_credits_count_once_a_block(net: str, words: int) -> None:
    golden = core(Network(net, 5), Rule.ZO)
    golden.run(Chunk.frame([(3, 200)]), 0, ONE_RUN)
    assert golden.counters[Counter.FEEDBACK] == 5 * words
