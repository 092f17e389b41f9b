"""Arrays of a convolutional network: in the device as they were written, and where its core has them."""

from dataclasses import replace

import numpy as np
import pytest
from golden_device import GoldenDevice
from map_arrays import kernels, maps, of_layer

from opzo.host.driver import state as driver_state
from opzo.host.driver.device import Device
from opzo.host.driver.state import State
from opzo.spec.commands import RunFlag
from opzo.spec.errors import OpzoError
from opzo.spec.events import Chunk
from opzo.spec.network import Network
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Rule

NETWORK = Network("2x6x4-5c3-p2-9c5-6-3", 4, 2, block=2, intermediate=2)


def configured(lanes: int = 4) -> GoldenDevice:
    device = GoldenDevice(NETWORK.limits(lanes))
    device.configure(NETWORK, Rule.OPZO)
    return device


def random_matrix(seed: int, shape: tuple[int, ...], bits: int = 16) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    values.flat[0], values.flat[-1] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return values.astype(np.int16 if bits == 16 else np.int32)


def written(device: Device) -> dict[str, list[np.ndarray]]:
    """Different random values in all arrays."""
    arrays = {
        "weights": [random_matrix(10 + n, shape) for n, shape in enumerate(NETWORK.weight_shapes)],
        "feedback": [random_matrix(20 + n, shape) for n, shape in enumerate(NETWORK.feedback_shapes)],
        "local": [random_matrix(30 + n, shape) for n, shape in enumerate(NETWORK.feedback_shapes[:2])],
        "intermediate": [random_matrix(50, NETWORK.feedback_shapes[0])],
        "gradients": [random_matrix(40 + n, shape, 32) for n, shape in enumerate(NETWORK.weight_shapes[:2])],
    }
    for name, matrices in arrays.items():
        for layer, matrix in enumerate(matrices):
            getattr(device, f"write_{name}")(layer, matrix)
    return arrays


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_arrays_read_back_what_was_written(lanes: int) -> None:
    device = configured(lanes)
    for name, matrices in written(device).items():
        for layer, matrix in enumerate(matrices):
            found = getattr(device, f"read_{name}")(layer)
            np.testing.assert_array_equal(found, matrix, f"{name} of layer {layer + 1}")
            assert found.dtype == matrix.dtype


def test_weights_and_gradients_are_in_order_of_rows_columns_and_channels() -> None:
    device = configured()
    arrays = written(device)
    for index, layer in enumerate(device.core.layers()[:2]):
        for name, rows in (("weights", device.core.weights(layer)), ("gradients", device.core.layer_gradients(layer))):
            given = arrays[name][index]
            weight, bias = kernels(rows, layer)
            size = layer.shape.kernel
            each = given[:-1].reshape(size, size, -1, layer.neurons)
            np.testing.assert_array_equal(weight.transpose(2, 3, 1, 0), each)
            np.testing.assert_array_equal(bias, given[-1])


def test_entries_of_feedback_are_in_order_of_blocks_and_channels() -> None:
    device = configured()
    arrays = written(device)
    core = device.core
    for index, layer in enumerate(core.layers()[:2]):
        sets = {"feedback": core.feedback(layer), "local": core.local(layer)}
        if index == 0:
            sets["intermediate"] = core.intermediate(layer)
        for name, entries in sets.items():
            held = entries.reshape(layer.blocks, layer.words, 3, 4).transpose(2, 0, 1, 3).reshape(3, layer.blocks, -1)
            given = arrays[name][index].reshape(3, layer.blocks, layer.neurons)
            np.testing.assert_array_equal(held[:, :, : layer.neurons], given)
            assert not held[:, :, layer.neurons :].any()


def test_membranes_and_histories_are_in_order_of_rows_columns_and_channels() -> None:
    device, rng = configured(), np.random.default_rng(5)
    core = device.core
    core.membrane[...] = rng.integers(-(1 << 19), 1 << 19, core.membrane.shape)
    core.history[...] = rng.integers(0, 256, core.history.shape)
    core.trace[...] = rng.integers(0, 256, core.trace.shape)
    for index, layer in enumerate(core.layers()[:3]):
        for values, array in (
            (device.read_membranes(index), core.membrane),
            (device.read_histories(index), core.history),
            (device.read_traces(index), core.trace),
        ):
            channels, height, width = layer.shape.map.shape
            expected = maps(of_layer(array, layer), layer).transpose(1, 2, 0)
            np.testing.assert_array_equal(values.reshape(height, width, channels), expected)


def test_a_configured_device_has_no_gradients() -> None:
    device = configured()
    written(device)
    device.write_registers({Reg.PENDING: 3})
    device.configure(NETWORK, Rule.OPZO)
    assert not device.core.gradients[: 2 * 19 + 3 * 126].any()
    assert device.read_registers(Reg.PENDING) == [0]
    assert device.read_magnitudes().tolist() == [(1 << 32) - 1] * 2


def test_forgotten_magnitudes_are_those_of_a_new_run() -> None:
    device = configured()
    device.write_magnitudes(np.array([5, 1 << 31], np.uint32))
    device.forget_magnitudes()
    assert device.read_magnitudes().tolist() == [(1 << 32) - 1] * 2


def test_a_state_is_the_same_on_another_device() -> None:
    first, second = configured(), configured()
    written(first)
    first.write_magnitudes(np.array([5, 1 << 31], np.uint32))
    first.write_registers({Reg.PENDING: 3, Reg.SAMPLES: 9})
    first.write_lfsr(np.arange(1, 5, dtype=np.uint32))
    State.read(first, Rule.OPZO).write(second)
    np.testing.assert_array_equal(second.core.memory, first.core.memory)
    assert second.core.intermediate(second.core.layers()[0]).any()
    np.testing.assert_array_equal(second.core.gradients, first.core.gradients)
    np.testing.assert_array_equal(second.core.lfsrs.states, first.core.lfsrs.states)
    for register in (Reg.PENDING, Reg.SAMPLES, *(layer_register(layer, LayerReg.MAGNITUDE) for layer in range(2))):
        assert second.core.registers[register] == first.core.registers[register] != 0


def test_entries_that_a_layer_has_not_are_refused() -> None:
    device = configured()
    for name, layer, what in (
        ("local", 2, "local readout"),
        ("local", 3, "local readout"),
        ("intermediate", 1, "intermediate feedback matrix"),
        ("feedback", 3, "feedback matrix"),
    ):
        message = f"layer {layer} of {NETWORK} has no {what}"
        with pytest.raises(OpzoError, match=message):
            getattr(device, f"read_{name}")(layer)
        with pytest.raises(OpzoError, match=message):
            getattr(device, f"write_{name}")(layer, np.zeros((3, 6), np.int16))
    with pytest.raises(OpzoError, match="there is no layer 4"):
        device.read_intermediate(4)
    with pytest.raises(OpzoError, match=r"shape \(3, 29\); this layer needs \(3, 30\)"):
        device.write_intermediate(0, np.zeros((3, 29), np.int16))


@pytest.mark.parametrize("rule", list(Rule))
def test_a_rule_reads_the_matrices_that_it_uses(rule: Rule) -> None:
    device = configured()
    assert len(State.read(device, rule).intermediate) == rule.feedback


def test_initial_intermediate_matrices_have_random_numbers_of_their_own() -> None:
    limits = NETWORK.limits(4)
    without = replace(NETWORK, intermediate=0)
    for rule in (Rule.DFA, Rule.OPZO):
        state, plain = State.initial(NETWORK, rule, 1, limits), State.initial(without, rule, 1, limits)
        assert plain.intermediate == []
        for name in ("weights", "feedback", "local"):
            for a, b in zip(getattr(state, name), getattr(plain, name), strict=True):
                np.testing.assert_array_equal(a, b, name)
        (matrix,) = state.intermediate
        assert matrix.shape == (3, 30)
        assert matrix.any() == state.feedback[0].any() == (rule is Rule.DFA)
        assert (matrix != state.feedback[0]).any() == (rule is Rule.DFA)
    assert State.initial(NETWORK, Rule.ZO, 1, limits).intermediate == []


def test_the_feedback_shift_is_that_of_both_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the device chooses it in the first training run."""
    monkeypatch.setattr(
        driver_state, "initial_intermediate", lambda network, *_: [np.zeros(network.intermediate_shapes[0], np.int16)]
    )
    device = configured()
    device.configure(NETWORK, Rule.DFA)
    state = State.initial(NETWORK, Rule.DFA, 1, device.limits)
    assert state.feedback_shift.tolist() == [6, 7, 7]
    state.write(device)
    device.write_feedback_shifts(np.zeros(3, np.uint8))
    device.core.run(Chunk.frame([9] * 48), 0, RunFlag.TRAIN)
    np.testing.assert_array_equal(device.read_feedback_shifts(), state.feedback_shift)


def test_gradients_of_a_dense_layer_or_of_the_wrong_shape_are_refused() -> None:
    device = configured()
    with pytest.raises(OpzoError, match="layer 2 of 2x6x4-5c3-p2-9c5-6-3 is no convolution"):
        device.read_gradients(2)
    with pytest.raises(OpzoError, match=r"gradients have shape \(18, 5\); this layer needs \(19, 5\)"):
        device.write_gradients(0, np.zeros((18, 5), np.int32))
    with pytest.raises(OpzoError, match=r"shape \(3, 29\); this layer needs \(3, 30\)"):
        device.write_feedback(0, np.zeros((3, 29), np.int16))
