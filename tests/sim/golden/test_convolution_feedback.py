"""Feedback by blocks of the golden core is that of a full matrix with tied entries."""

import numpy as np
import pytest
from chunked import core
from convolved import between, draw_events, learned

from opzo.sim.golden.error import error_step
from opzo.sim.golden.feedback import credit, feedback_sum
from opzo.spec.formats import BLOCK_SUM, BLOCK_SUM_SHIFT, DIFFERENCE_SHIFT, UPDATE_FRAC_BITS
from opzo.spec.layout import Layer
from opzo.spec.network import Network
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Rule


def coordinates(layer: Layer) -> np.ndarray:
    """Row and column of each position, by its number."""
    _, height, width = layer.shape.map.shape
    found = np.zeros((layer.positions, 2), int)
    rows, columns = np.divmod(np.arange(height * width), width)
    cells = 4 * (rows // 2 * (width // 2) + columns // 2) + rows % 2 * 2 + columns % 2
    found[cells if layer.cells else rows * width + columns] = np.stack([rows, columns], axis=1)
    return found


def tied(entries: np.ndarray, layer: Layer) -> np.ndarray:
    """The full matrix of a layer, (words of all positions, classes, lanes), whose entries are those of blocks."""
    across = -(-layer.shape.map.width // layer.block)
    numbers = coordinates(layer) // layer.block @ (across, 1)
    each = entries.reshape(layer.blocks, layer.words, *entries.shape[1:])[numbers]
    return each.reshape(layer.all_words, *entries.shape[1:])


def sums_of_blocks(values: np.ndarray, layer: Layer) -> np.ndarray:
    """Sums over the positions of blocks, (blocks x words, ...), of values of all words."""
    across = -(-layer.shape.map.width // layer.block)
    sums = np.zeros((layer.blocks, layer.words, *values.shape[1:]), np.int64)
    for position, (row, column) in enumerate(coordinates(layer) // layer.block):
        sums[row * across + column] += values.reshape(layer.positions, layer.words, *values.shape[1:])[position]
    return sums.reshape(-1, *values.shape[1:])


@pytest.mark.parametrize("block", [1, 2, 4, 8])
@pytest.mark.parametrize(("local", "intermediate"), [(0, 0), (2, 0), (2, 2)])
def test_feedback_of_blocks_is_that_of_a_full_matrix_with_tied_entries(
    block: int, local: int, intermediate: int
) -> None:
    network = Network("2x10x6-5c3-p2-6c3-4", 4, local, "spikes", block, intermediate=intermediate)
    golden, rng = core(network, Rule.DFA, 8), np.random.default_rng(8)
    for layer in golden.layers()[:local]:
        golden.local(layer)[...] = rng.integers(-900, 901, golden.local(layer).shape)
    if intermediate:
        entries = golden.intermediate(golden.layers()[0])
        entries[...] = rng.integers(-9000, 9001, entries.shape)
    did = learned(golden, draw_events(rng, network, 4))
    before, classes, step = did.before, network.classes, 0
    for index, hidden in enumerate(did.run.hidden):
        layer, spikes = hidden.layer, hidden.spikes[step]
        shift = before.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)]
        total = feedback_sum(tied(before.feedback(layer), layer), shift, did.run.network.errors[step])
        if local:
            entries = tied(before.local(layer), layer)
            output = (entries * spikes[:, None]).sum(axis=(0, 2)) >> 2 * (block.bit_length() - 1)
            error, _ = error_step(output, 1, mse_shift=before[Reg.MSE_SHIFT])
            np.testing.assert_array_equal(hidden.local_errors[step], np.array(error) * before[Reg.RATE])
            local_shift = before.registers[layer_register(index, LayerReg.LOCAL_SHIFT)]
            total = total + feedback_sum(entries, local_shift, hidden.local_errors[step])
        if index + 1 < intermediate:
            entries = tied(before.intermediate(layer), layer)
            term = feedback_sum(entries, shift, did.run.hidden[intermediate - 1].local_errors[step])
            assert term.any()
            total = total + term
        stored = np.clip(total >> BLOCK_SUM_SHIFT, BLOCK_SUM.min, BLOCK_SUM.max) << BLOCK_SUM_SHIFT
        expected, _ = credit(stored, hidden.surrogate[step], spikes, before[Reg.ACTIVITY], hidden.valid)
        np.testing.assert_array_equal(hidden.credits[step], expected)
        assert np.count_nonzero(expected) > expected.size // 4
        assert len(np.unique(tied(before.feedback(layer), layer)[:, 0, 0])) <= layer.blocks * layer.words
    assert did.run.hidden[0].layer.blocks == -(-10 // block) * -(-6 // block)
    assert classes == 4


@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_entries_of_a_block_change_by_the_sum_over_its_neurons(block: int) -> None:
    network = Network("2x10x6-5c3-p2-6c3-4", 2, 2, "spikes", block, intermediate=2)
    golden = core(network, Rule.OPZO, 9)
    golden.write_register(Reg.LEAK_SHIFT, 0)
    golden.weights(golden.layers()[-1])[...] *= 9
    local = golden.local(golden.layers()[1])
    local[...] = np.random.default_rng(7).integers(-9000, 9001, local.shape)
    did = learned(golden, draw_events(np.random.default_rng(9), network, 2))
    scaled = (did.run.network.outputs[0] - did.run.network.outputs[1]) << DIFFERENCE_SHIFT
    log = block.bit_length() - 1
    # The local readout of layer 2, from its entries before they learn in step 0 (they learn after both readouts).
    last = did.run.hidden[1]
    sums = [sums_of_blocks(last.spikes[step].astype(int), last.layer)[:, None] for step in range(2)]
    before_odd = [(did.before.local(last.layer) * n).sum(axis=(0, 2)) >> 2 * log for n in sums]
    read_out = (before_odd[0] - before_odd[1]) << DIFFERENCE_SHIFT
    assert read_out.any()
    assert sum(hidden.layer.intermediate for hidden in did.run.hidden) == 1
    for hidden in did.run.hidden:
        layer = hidden.layer
        signs = sums_of_blocks(np.where(hidden.negatives[0], -1, 1) * hidden.valid, layer)
        update = -signs[:, None] * scaled[:, None] >> log
        between(did.before.feedback(layer), update, golden.feedback(layer))
        if layer.intermediate:
            between(
                did.before.intermediate(layer), -signs[:, None] * read_out[:, None] >> log, golden.intermediate(layer)
            )
        # The local readout learns in each of the two steps.
        spikes = [sums_of_blocks(hidden.spikes[step].astype(int), layer) for step in range(2)]
        total = sum(
            n[:, None] * np.array(error)[:, None] >> 2 * log
            for n, error in zip(spikes, hidden.local_errors, strict=True)
        )
        between(did.before.local(layer), total, golden.local(layer), 2)
        assert abs(update).max() > 10 << UPDATE_FRAC_BITS
