"""Convolution and average pooling of the golden core are PyTorch's, on integers."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from chunked import core, still
from map_arrays import input_maps, kernels, maps, of_layer
from torch.nn import functional

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.credit import filter_credit
from opzo.sim.golden.error import error_step
from opzo.sim.golden.feedback import credit, feedback_sum
from opzo.sim.golden.gradient import gradient_shift, gradient_step, magnitude_after
from opzo.sim.golden.learn import learn
from opzo.sim.golden.run import Run
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import (
    BIAS_INPUT,
    BLOCK_SUM,
    BLOCK_SUM_SHIFT,
    DIFFERENCE_SHIFT,
    FRAME_CREDIT,
    INPUT_BITS,
    THRESHOLD,
    UPDATE_FRAC_BITS,
)
from opzo.spec.layout import Layer
from opzo.spec.network import Network
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input, Rule

ONE_RUN = RunFlag.FRESH | RunFlag.TRAIN
DEEP = "2x12x8-5c3-p2-6c5-3c1-p2-7-4"
SHALLOW = ("2x5x7-5c3-4", "3x4x6-5c5-4", "2x3x3-6c1-4", "1x1x5-3c3-4")


def double(values: np.ndarray) -> torch.Tensor:
    """Exact for all integers here."""
    return torch.from_numpy(np.asarray(values, np.float64))


def linear(core: GoldenCore, layer: Layer, below: torch.Tensor) -> torch.Tensor:
    """What PyTorch makes of maps below, (n, channels, height, width): in units of weights, without the bias."""
    weight = double(kernels(core.weights(layer), layer)[0])
    seen = functional.avg_pool2d(below, 2) if layer.shape.pool else below
    return functional.conv2d(seen, weight, padding=layer.shape.kernel // 2)


def bias(core: GoldenCore, layer: Layer) -> torch.Tensor:
    """Biases, to be added to maps."""
    return double(kernels(core.weights(layer), layer)[1])[:, None, None]


def fired(core: GoldenCore, layer: Layer) -> np.ndarray:
    """Spikes in the only step of the last run, (channels, height, width)."""
    return maps(of_layer(core.history, layer), layer).astype(int) & 1


def potential(core: GoldenCore, layer: Layer) -> np.ndarray:
    """Potential before the reset in the only step of the last run, (channels, height, width)."""
    return maps(of_layer(core.membrane, layer), layer) + THRESHOLD * fired(core, layer)


def draw_events(rng: np.random.Generator, network: Network, steps: int) -> Chunk:
    lists = [np.flatnonzero(rng.random(network.inputs) < 0.3) for _ in range(steps)]
    if network.input is Input.SPIKES:
        return Chunk.of_steps(lists)
    return Chunk.of_steps(lists, [rng.integers(1, 256, len(lit)) for lit in lists])


def draw_frame(rng: np.random.Generator, network: Network) -> tuple[Chunk, np.ndarray]:
    """A frame and its values, (inputs,)."""
    values = rng.integers(0, 256, network.inputs) * (rng.random(network.inputs) < 0.6)
    return Chunk.frame([(i, int(value)) for i, value in enumerate(values) if value]), values


def test_spikes_are_convolved_and_pooled() -> None:
    network = Network(DEEP, 1, input="spikes")
    golden, rng = core(network, Rule.OPZO), np.random.default_rng(0)
    *hidden, readout = golden.layers()
    spikes = np.zeros(len(hidden), int)
    for number in range(6):
        chunk = draw_events(rng, network, 1)
        before = golden.membrane.copy()
        answer = golden.run(chunk, 0, RunFlag.DECISION)
        below = np.zeros(network.inputs)
        below[chunk.addresses] = 1
        below = input_maps(golden, below)
        for index, layer in enumerate(hidden):
            exact = linear(golden, layer, double(below)[None])[0] + bias(golden, layer)
            current = potential(golden, layer) - (maps(of_layer(before, layer), layer) >> 1)
            np.testing.assert_array_equal(current, torch.floor(exact).numpy(), f"layer {index + 1}, run {number}")
            below = fired(golden, layer)
            spikes[index] += below.sum()
        exact = linear(golden, readout, double(below)[None])[0] + bias(golden, readout)
        np.testing.assert_array_equal(answer.outputs, torch.floor(exact).numpy().reshape(-1))
    assert (spikes > 5).all()
    assert golden.counters[Counter.MEMBRANE_SATURATIONS] == 0


def test_readout_behind_a_pool_takes_averages() -> None:
    network = Network("1x6x8-3c3-p2-4", 1, input="spikes")
    golden, rng = core(network, Rule.OPZO, 1), np.random.default_rng(1)
    hidden, readout = golden.layers()
    remainders = set()
    for _ in range(5):
        answer = golden.run(draw_events(rng, network, 1), 0, RunFlag.DECISION)
        exact = linear(golden, readout, double(fired(golden, hidden))[None])[0] + bias(golden, readout)
        np.testing.assert_array_equal(answer.outputs, torch.floor(exact).numpy().reshape(-1))
        remainders |= set((exact - exact.floor()).unique().tolist())
    assert remainders == {0, 0.25, 0.5, 0.75}


@pytest.mark.parametrize("net", SHALLOW)
def test_frames_and_graded_events_are_convolved(net: str) -> None:
    for kind, bias_input in ((Input.FRAME, BIAS_INPUT), (Input.GRADED, 256)):
        network = Network(net, 1, input=kind)
        golden, rng = core(network, Rule.OPZO, 2), np.random.default_rng(2)
        layer = golden.layers()[0]
        # Products of multiples of 16 are exact.
        golden.weights(layer)[...] &= ~15
        chunk, values = draw_frame(rng, network)
        if kind is Input.GRADED:
            chunk = Chunk.of_steps([chunk.addresses], [chunk.values])
        golden.run(chunk, 0, RunFlag.FRESH)
        exact = linear(golden, layer, double(input_maps(golden, values))[None])[0] + bias_input * bias(golden, layer)
        np.testing.assert_array_equal(potential(golden, layer), torch.floor(exact / 256).numpy())


@pytest.mark.parametrize("net", SHALLOW)
def test_each_product_of_a_frame_floors(net: str) -> None:
    network = Network(net, 1)
    golden, rng = core(network, Rule.OPZO, 3), np.random.default_rng(3)
    layer = golden.layers()[0]
    chunk, values = draw_frame(rng, network)
    golden.run(chunk, 0, RunFlag.FRESH)
    weight, offset = kernels(golden.weights(layer), layer)
    seen = patches(input_maps(golden, values), layer).astype(np.int64)
    products = weight.reshape(layer.neurons, -1, 1) * seen >> 4
    exact = products.sum(axis=1) + (offset[:, None] * BIAS_INPUT >> 4) >> 4
    np.testing.assert_array_equal(potential(golden, layer).reshape(layer.neurons, -1), exact)


def patches(below: np.ndarray, layer: Layer) -> np.ndarray:
    """Windows of maps (channels, height, width): (weights of a neuron, positions)."""
    kernel = layer.shape.kernel
    return functional.unfold(double(below)[None], kernel, padding=kernel // 2)[0].numpy()


@dataclass(frozen=True)
class Learned:
    """A run with learning whose gradients have not changed the weights yet."""

    golden: GoldenCore
    run: Run
    before: GoldenCore

    def filtered(self, index: int) -> np.ndarray:
        """E of a layer, (steps, channels, height, width)."""
        layer = self.run.hidden[index].layer
        return maps(filter_credit(self.run.hidden[index].credits), layer)

    def gradients(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """G of a layer, as kernels and biases."""
        layer = self.run.hidden[index].layer
        return kernels(self.golden.layer_gradients(layer), layer)


def learned(golden: GoldenCore, chunk: Chunk, flags: RunFlag = ONE_RUN) -> Learned:
    """Learn from a chunk in a batch that is not full."""
    golden.write_register(Reg.BATCH, 255)
    golden.gradients[...] = 0
    before = deepcopy(golden)
    run = Run(golden, chunk, 1, flags)
    run.forward()
    learn(run)
    run.finish()
    return Learned(golden, run, before)


def autograd(layer: Layer, below: torch.Tensor, credits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the weights and biases of PyTorch's layer over maps (steps, channels, height, width)."""
    weight = torch.zeros(layer.neurons, layer.shape.seen.channels, *layer.shape.window, dtype=torch.float64)
    offset = torch.zeros(layer.neurons, dtype=torch.float64)
    weight.requires_grad_(), offset.requires_grad_()
    seen = functional.avg_pool2d(below, 2) if layer.shape.pool else below
    out = functional.conv2d(seen, weight, offset, padding=layer.shape.kernel // 2)
    (out * double(credits)).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert offset.grad is not None
    return weight.grad.numpy(), offset.grad.numpy()


def step_maps(histories: np.ndarray, steps: int) -> np.ndarray:
    """Spikes by step, (steps, ...)."""
    return np.stack([histories >> step & 1 for step in range(steps)])


@pytest.mark.parametrize("local", [0, 3])
def test_gradients_of_spikes_are_autograds(local: int) -> None:
    network = Network(DEEP, 6, local, "spikes")
    rng = np.random.default_rng(4)
    did = learned(core(network, Rule.OPZO, 4), draw_events(rng, network, 6))
    below = step_maps(input_maps(did.golden, did.golden.input_history.reshape(-1)[: network.inputs]), 6)
    for index in range(3):
        layer = did.run.hidden[index].layer
        weight, offset = autograd(layer, double(below), did.filtered(index))
        # Behind a pool gradients count quarters.
        unit = 4 if layer.shape.pool else 1
        found = did.gradients(index)
        np.testing.assert_array_equal(found[0], unit * weight, f"layer {index + 1}")
        np.testing.assert_array_equal(found[1], unit * offset, f"layer {index + 1}")
        assert np.count_nonzero(weight) > weight.size // 4
        below = step_maps(maps(of_layer(did.golden.history, layer), layer), 6)


def test_gradients_with_traces_are_autograds_up_to_rounding() -> None:
    network = Network(DEEP, 3, input="spikes")
    golden, rng = core(network, Rule.DFA, 5), np.random.default_rng(5)
    golden.run(draw_events(rng, network, 5), 0, RunFlag.FRESH)
    did = learned(golden, draw_events(rng, network, 3), RunFlag.TRAIN)
    inputs = did.golden.input_history, did.golden.input_trace
    history, trace = (input_maps(did.golden, values.reshape(-1)[: network.inputs]) for values in inputs)
    for index in range(3):
        layer = did.run.hidden[index].layer
        credits = did.filtered(index)
        below = step_maps(history, 3) + np.stack([trace, 0 * trace, 0 * trace]) / (1 << INPUT_BITS)
        weight, offset = autograd(layer, double(below), credits)
        offset += credits[0].sum(axis=(1, 2)) * did.golden.bias_trace / (1 << INPUT_BITS)
        unit = 4 if layer.shape.pool else 1
        # Half a unit a neuron that adds to the sum; a bias is rounded before it is multiplied by 4.
        most = 0.5 * unit * layer.positions
        assert abs(did.gradients(index)[0] - unit * weight).max() <= most
        assert abs(did.gradients(index)[1] - unit * offset).max() <= most
        assert abs(weight).max() > 20 * most
        assert trace.any()
        history, trace = (maps(of_layer(array, layer), layer) for array in (did.golden.history, did.golden.trace))


@pytest.mark.parametrize("net", SHALLOW)
def test_gradients_of_frames_are_autograds_up_to_rounding(net: str) -> None:
    network = Network(net, 4)
    rng = np.random.default_rng(6)
    chunk, values = draw_frame(rng, network)
    golden = core(network, Rule.DFA, 6)
    golden.write_register(Reg.RATE, 20)
    did = learned(golden, chunk)
    layer = did.run.hidden[0].layer
    sums = did.filtered(0).sum(axis=0)
    assert abs(sums).max() < FRAME_CREDIT.max
    image = input_maps(did.golden, values)
    found, offset = did.gradients(0)
    weight, total = autograd(layer, double(image)[None], sums[None])
    assert abs(found - weight / 256).max() <= 0.5 * layer.positions
    assert abs(offset - total * BIAS_INPUT / 256).max() <= 0.5 * layer.positions
    # Each position rounds half up.
    each = sums.reshape(layer.neurons, 1, -1).astype(np.int64) * patches(image, layer).astype(np.int64) + 128 >> 8
    np.testing.assert_array_equal(found.reshape(layer.neurons, -1), each.sum(axis=2))
    np.testing.assert_array_equal(offset, (sums * BIAS_INPUT + 128 >> 8).sum(axis=(1, 2)))
    assert found.any()


def test_dense_weights_behind_a_pool_change_by_quarters() -> None:
    network = Network("1x6x4-3c3-p2-4", 1, input="spikes")
    golden, rng = core(network, Rule.DFA, 7), np.random.default_rng(7)
    still(golden)
    golden.weights(golden.layers()[0])[:, -1] = THRESHOLD
    did = learned(golden, draw_events(rng, network, 1))
    hidden, readout = golden.layers()
    spikes = fired(golden, hidden)
    cells = spikes.reshape(3, 3, 2, 2, 2).transpose(1, 3, 0, 2, 4).reshape(-1, 4)
    credits = did.run.readout_credits[0].reshape(-1)[:4]
    before, after = (np.moveaxis(one.weights(readout), 0, 1).reshape(19, -1) for one in (did.before, golden))
    expected = before.astype(np.int64)
    for part in range(4):
        # The neurons of a cell change the weight one after the other; each floors.
        update = credits + 2 >> 2
        expected[:-1] = np.where(cells[:, [part]], (expected[:-1] << UPDATE_FRAC_BITS) - update >> 11, expected[:-1])
    expected[-1] = (expected[-1] << UPDATE_FRAC_BITS) - credits >> 11
    np.testing.assert_array_equal(after, expected)
    assert set(cells.sum(axis=1)) >= {1, 2, 3}
    assert abs(after - before).max() > 2


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


def between(before: np.ndarray, update: np.ndarray, after: np.ndarray, draws: int = 1) -> None:
    """Check that entries changed by ``update``, rounded at random in each of some draws, and saturated."""
    exact = (before.astype(np.int64) << UPDATE_FRAC_BITS) - update
    low = exact >> UPDATE_FRAC_BITS
    high = exact + draws * ((1 << UPDATE_FRAC_BITS) - 1) >> UPDATE_FRAC_BITS
    assert ((np.clip(low - (draws - 1), -32768, 32767) <= after) & (after <= np.clip(high, -32768, 32767))).all()


def frames(network: Network, count: int) -> list[Chunk]:
    rng = np.random.default_rng(10)
    return [draw_frame(rng, network)[0] for _ in range(count)]


def test_gradients_of_a_batch_are_the_sum_of_those_of_its_runs() -> None:
    network = Network("2x6x8-5c3-p2-6c3-4", 4, 1)
    golden = core(network, Rule.OPZO, 11)
    golden.write_register(Reg.BATCH, 5)
    golden.write_register(Reg.CONVOLUTION_RATE, 200)
    golden.write_register(Reg.DECAY_SHIFT, 0)
    convolutions = golden.layers()[:-1]
    for index in range(2):
        golden.write_register(layer_register(index, LayerReg.MAGNITUDE), 40_000)
    begin, single = deepcopy(golden), np.zeros(golden.gradients.shape, np.int64)
    for number, chunk in enumerate(frames(network, 5)):
        alone = deepcopy(golden)
        alone.gradients[...] = 0
        alone.write_register(Reg.BATCH, 255)
        alone.run(chunk, number % 4, RunFlag.TRAIN)
        single += alone.gradients
        assert alone.gradients.any()
        golden.run(chunk, number % 4, RunFlag.TRAIN)
        assert golden[Reg.PENDING] == (number + 1) % 5
        if number < 4:
            np.testing.assert_array_equal(golden.gradients, single)
            for layer in convolutions:
                np.testing.assert_array_equal(golden.weights(layer), begin.weights(layer))
    assert not golden.gradients.any()
    for index, layer in enumerate(convolutions):
        sums = single[layer.gradient_base :][: layer.words * layer.rows].reshape(layer.words, layer.rows, -1)
        shift = gradient_shift(40_000, layer.words * layer.rows, begin[Reg.CONVOLUTION_RATE])
        between(begin.weights(layer), gradient_step(sums, shift), golden.weights(layer))
        after = golden.registers[layer_register(index, LayerReg.MAGNITUDE)]
        assert after == magnitude_after(40_000, sums[:, :, 0]) != 40_000
        assert abs(golden.weights(layer) - begin.weights(layer)).max() > 2


def test_a_batch_of_one_or_of_none_changes_weights_in_each_run() -> None:
    network = Network("2x6x8-5c3-4", 4)
    cores = [core(network, Rule.DFA, 12) for _ in range(2)]
    for golden, batch in zip(cores, (0, 1), strict=True):
        golden.write_register(Reg.BATCH, batch)
        golden.write_register(Reg.CONVOLUTION_RATE, 200)
        for chunk in frames(network, 2):
            before = golden.weights(golden.layers()[0]).copy()
            golden.run(chunk, 0, RunFlag.TRAIN)
            assert golden[Reg.PENDING] == 0
            assert (golden.weights(golden.layers()[0]) != before).any()
            assert not golden.gradients.any()
    np.testing.assert_array_equal(cores[0].memory, cores[1].memory)


def test_each_addition_to_a_gradient_saturates() -> None:
    network = Network("1x4x4-3c1-4", 2)
    golden = core(network, Rule.DFA, 13)
    golden.write_register(Reg.BATCH, 255)
    chunk = Chunk.frame([(i, 255) for i in range(16)])
    top = (1 << 31) - 1
    for start in (top, -top - 1):
        golden.gradients[...] = start
        golden.counters.clear()
        run = Run(golden, chunk, 1, ONE_RUN)
        run.forward()
        learn(run)
        layer = run.hidden[0].layer
        sums = np.clip(
            maps(filter_credit(run.hidden[0].credits), layer).sum(axis=0), FRAME_CREDIT.min, FRAME_CREDIT.max
        )
        expected, saturated = np.full(3, start, np.int64), 0
        for update in (sums.reshape(3, -1) * 255 + 128 >> 8).T:
            exact = expected + update
            expected = np.clip(exact, -top - 1, top)
            # The row of the only weight and that of the bias, whose input is as large.
            saturated += 2 * bool((exact != expected).any())
        np.testing.assert_array_equal(golden.layer_gradients(layer)[0, :, :3], [expected, expected])
        assert (expected != start).any()
        assert golden.counters[Counter.GRADIENT_SATURATIONS] == saturated > 2
