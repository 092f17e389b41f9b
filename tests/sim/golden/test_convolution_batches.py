"""Gradients of convolutions of the golden core over batches, and their steps."""

from copy import deepcopy

import numpy as np
from chunked import core
from convolved import ONE_RUN, between, draw_frame
from map_arrays import maps

from opzo.sim.golden.credit import filter_credit
from opzo.sim.golden.gradient import gradient_shift, gradient_step, magnitude_after
from opzo.sim.golden.learn import learn
from opzo.sim.golden.run import Run
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import FRAME_CREDIT
from opzo.spec.network import Network
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Rule


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
