"""Typed calls against the golden model."""

from collections.abc import Iterator

import numpy as np
import pytest
from golden_device import GoldenDevice

from opzo.host.driver.device import Device, open_device
from opzo.host.driver.link import Link
from opzo.host.driver.row_layout import pack_rows, round_entries, unpack_rows
from opzo.host.driver.sample import Sample
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.commands import RunFlag
from opzo.spec.errors import LinkError, NetworkError, OpzoError
from opzo.spec.events import Chunk, encode_events
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import Counter, Reg
from opzo.spec.rules import Rule

NETWORK = Network((30, 17, 16, 33, 5))


def device_and_core(network: Network = NETWORK, lanes: int = 16) -> tuple[Device, GoldenCore]:
    device = GoldenDevice(network.limits(lanes))
    device.configure(network, Rule.OPZO)
    return device, device.core


def random_matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    matrix = rng.integers(-32768, 32768, (rows, columns)).astype(np.int16)
    matrix[0, 0], matrix[-1, -1] = -32768, 32767
    return matrix


@pytest.mark.parametrize(("rows", "neurons", "lanes"), [(3, 5, 4), (1, 4, 4), (4, 16, 8), (2, 1, 16), (7, 33, 16)])
def test_row_words_hold_neuron_j_in_lane_j_mod_p_of_word_j_div_p(rows: int, neurons: int, lanes: int) -> None:
    matrix = random_matrix(np.random.default_rng(rows), rows, neurons)
    packed = pack_rows(matrix, lanes)
    expected = np.zeros_like(packed)
    for i in range(rows):
        for j in range(neurons):
            expected[(j // lanes) * rows + i, j % lanes] = matrix[i, j]
    np.testing.assert_array_equal(packed, expected)
    np.testing.assert_array_equal(unpack_rows(packed, neurons), matrix)


def test_local_readouts_and_feedback_lie_side_by_side() -> None:
    network = Network((6, 9, 5, 3), local=1)
    device, core = device_and_core(network, lanes=4)
    rng = np.random.default_rng(2)
    feedback = [random_matrix(rng, 3, n) for n in network.hidden]
    local = random_matrix(rng, 3, 9)
    device.write_local(0, local)
    for layer, matrix in enumerate(feedback):
        device.write_feedback(layer, matrix)
    np.testing.assert_array_equal(device.read_local(0), local)
    for layer, matrix in enumerate(feedback):
        np.testing.assert_array_equal(device.read_feedback(layer), matrix)
    first = core.layers()[0]
    for j in range(9):
        np.testing.assert_array_equal(core.local(first)[j // 4, :, j % 4], local[:, j])
        np.testing.assert_array_equal(core.feedback(first)[j // 4, :, j % 4], feedback[0][:, j])
    with pytest.raises(OpzoError, match=r"shape \(3, 8\); this layer needs \(3, 9\)"):
        device.write_local(0, local[:, :8])


def test_entries_are_rounded_to_what_a_narrow_memory_holds() -> None:
    entries = np.array([-32768, -8195, -8192, -3, -2, -1, 0, 1, 2, 5, 6, 8189, 8190, 32767], np.int16)
    rounded = [-8192, -8192, -8192, -4, 0, 0, 0, 0, 4, 4, 8, 8188, 8188, 8188]
    assert round_entries(entries, 2).tolist() == rounded
    np.testing.assert_array_equal(round_entries(entries, 0), entries)
    # A 12-bit device reads back exactly that.
    network = Network((3, 4, 2))
    device = open_device("golden", network, 4, 12)
    device.configure(network, Rule.OPZO)
    matrix = round_entries(np.resize(entries, (4, 4)), device.limits.low_bits)
    device.write_weights(0, matrix)
    np.testing.assert_array_equal(device.read_weights(0), matrix)


@pytest.mark.parametrize("lanes", [4, 16, 128])
def test_memories_read_back_what_was_written(lanes: int) -> None:
    device, core = device_and_core(lanes=lanes)
    rng = np.random.default_rng(lanes)
    shapes = list(zip(NETWORK.sizes[:-1], NETWORK.sizes[1:], strict=True))
    weights = [random_matrix(rng, n_in + 1, n_out) for n_in, n_out in shapes]
    feedback = [random_matrix(rng, NETWORK.classes, n) for n in NETWORK.hidden]
    for layer, matrix in enumerate(weights):
        device.write_weights(layer, matrix)
    for layer, matrix in enumerate(feedback):
        device.write_feedback(layer, matrix)
    lfsr = rng.integers(1, 1 << 32, lanes, np.uint32)
    device.write_lfsr(lfsr)
    for layer, matrix in enumerate(weights):
        np.testing.assert_array_equal(device.read_weights(layer), matrix)
    for layer, matrix in enumerate(feedback):
        np.testing.assert_array_equal(device.read_feedback(layer), matrix)
    np.testing.assert_array_equal(device.read_lfsr(), lfsr)
    np.testing.assert_array_equal(core.lfsrs.states, lfsr)
    first = core.layers()[0]
    np.testing.assert_array_equal(core.weights(first)[0, 2, :4], weights[0][2, :4])


def test_membranes_and_histories_are_those_of_the_core() -> None:
    device, core = device_and_core()
    rng = np.random.default_rng(0)
    core.membrane[...] = rng.integers(-(1 << 19), 1 << 19, core.membrane.shape)
    core.history[...] = rng.integers(0, 256, core.history.shape)
    word = 0
    for layer, neurons in enumerate(NETWORK.hidden):
        words = -(-neurons // 16)
        np.testing.assert_array_equal(
            device.read_membranes(layer), core.membrane[word : word + words].ravel()[:neurons]
        )
        np.testing.assert_array_equal(device.read_histories(layer), core.history[word : word + words].ravel()[:neurons])
        word += words


def test_registers_in_several_blocks() -> None:
    device, core = device_and_core()
    device.write_registers({Reg.MSE_SHIFT: 7, Reg.ALPHA: 819, Reg.RATE: 84, Reg.LEAK_SHIFT: 4})
    assert [core[r] for r in (Reg.ALPHA, Reg.RATE, Reg.LEAK_SHIFT, Reg.MSE_SHIFT)] == [819, 84, 4, 7]
    assert device.read_registers(Reg.ALPHA, 2) == [819, 84]
    device.write_samples(0xFFFFFFFF)
    assert device.read_samples() == 0xFFFFFFFF
    device.write_feedback_shifts(np.array([1, 2, 15], np.uint8))
    assert device.read_feedback_shifts().tolist() == [1, 2, 15]


def test_counters_keep_48_bits_and_clear() -> None:
    device, core = device_and_core()
    core.counters.add(Counter.TRAIN_CYCLES, (1 << 48) - 3)
    assert device.counters()[Counter.TRAIN_CYCLES] == (1 << 48) - 3
    device.clear_counters()
    assert set(device.counters().values()) == {0}


def test_values_that_a_register_cannot_hold_end_in_a_link_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = device_and_core()
    monkeypatch.setattr(device, "read_registers", lambda address, count=1: [0x10000] * count)
    with pytest.raises(
        LinkError, match=r"golden answered with 0x1000000010000 for a counter, which has 48 bits; reset"
    ):
        device.counters()
    with pytest.raises(LinkError, match=r"golden answered with 0x10000 for FEEDBACK_SHIFT, which has \d+ bits; reset"):
        device.read_feedback_shifts()


@pytest.mark.parametrize("train", [False, True])
def test_run_answers_in_order_what_the_core_answers(train: bool) -> None:
    device, core = device_and_core()
    twin = GoldenCore(core.limits)
    rng = np.random.default_rng(1)
    for layer, (n_in, n_out) in enumerate(zip(NETWORK.sizes[:-1], NETWORK.sizes[1:], strict=True)):
        device.write_weights(layer, rng.integers(-3000, 3000, (n_in + 1, n_out)).astype(np.int16))
    device.write_lfsr(np.arange(1, 17, dtype=np.uint32))
    device.write_registers({Reg.RATE: 84, Reg.ALPHA: 819})
    twin.registers, twin.memory = dict(core.registers), core.memory.copy()
    twin.lfsrs = type(core.lfsrs)(core.lfsrs.states)
    given = [
        ([(address, int(rng.integers(1, 256))) for address in range(30) if rng.random() < 0.5], index % 5)
        for index in range(20)
    ]
    samples = [Sample((encode_events(events),), label) for events, label in given]
    results = list(device.run(samples, train=train, outputs=True))
    flags = RunFlag.TRAIN if train else RunFlag(0)
    expected = [twin.run(Chunk.frame(events), label, flags) for events, label in given]
    assert [(r.prediction, r.loss, tuple(r.outputs.tolist())) for r in results] == [
        (e.prediction, e.loss, e.outputs) for e in expected
    ]
    assert [len(result.outputs) for result in device.run(samples[:1])] == [0]
    np.testing.assert_array_equal(core.memory, twin.memory)


def test_a_sample_without_a_label_counts_as_class_0() -> None:
    device, _ = device_and_core()
    rng = np.random.default_rng(4)
    for layer, (n_in, n_out) in enumerate(zip(NETWORK.sizes[:-1], NETWORK.sizes[1:], strict=True)):
        device.write_weights(layer, random_matrix(rng, n_in + 1, n_out))
    runs = (encode_events([(address, 255) for address in range(30)]),)
    without, *labelled = (result.loss for result in device.run([Sample(runs), *(Sample(runs, n) for n in range(5))]))
    assert without == labelled[0]
    assert without not in labelled[1:]


def test_run_keeps_samples_on_their_way_while_results_are_awaited() -> None:
    device, _ = device_and_core()
    taken: list[int] = []

    def samples() -> Iterator[Sample]:
        for index in range(5):
            taken.append(index)
            yield Sample((b"",), 0)

    results = device.run(samples())
    next(results)
    assert len(taken) == device.identity.credits
    # A call in between loses no result.
    assert device.read_registers(Reg.STEPS) == [6]
    assert len(list(results)) == 4


@pytest.mark.parametrize(
    ("sizes", "steps", "limits", "message"),
    [
        ((300, 8, 3), 6, Limits(4, 4096, 256, 8, 16), "needs 300 inputs; the device has 256"),
        ((8, 8, 20), 6, Limits(4, 4096, 256, 8, 16), "needs 20 classes; the device has 16"),
        ((8, 8, 3), 8, Limits(4, 4096, 256, 8, 16, steps=6), "needs 8 time steps; the device has 6"),
        ((8, 64, 3), 6, Limits(4, 4096, 256, 8, 16), "needs 16 words of 4 hidden neurons; the device has 8"),
        ((64, 16, 3), 6, Limits(4, 64, 256, 8, 16), "row-words of 4 weights; the device has 64"),
    ],
)
def test_too_small_a_device_is_refused_with_the_limit(
    sizes: tuple[int, ...], steps: int, limits: Limits, message: str
) -> None:
    device = Device(
        "golden", Link(Connection("golden", lambda: ModelTransport(GoldenCore(limits)), 1.0, reopens=False))
    )
    with pytest.raises(NetworkError, match=message):
        device.configure(Network(sizes, steps), Rule.OPZO)


@pytest.mark.parametrize("name", ["golden", "serial:/dev/ttyUSB0"])
def test_only_for_a_board_a_new_chip_is_suggested(name: str) -> None:
    limits = Limits(4, 4096, 256, 8, 16)
    device = Device(name, Link(Connection(name, lambda: ModelTransport(GoldenCore(limits)), 1.0, reopens=False)))
    with pytest.raises(NetworkError, match="needs 300 inputs; the device has 256") as raised:
        device.configure(Network((300, 8, 3)), Rule.OPZO)
    suggestion = "build a chip for this one (opzo build --board BOARD --net 300-8-3)"
    assert (suggestion in str(raised.value)) == (name != "golden")


def test_network_that_no_device_holds_is_refused_before_one_is_built() -> None:
    with pytest.raises(NetworkError, match="65 classes; the device has 64"):
        open_device("rtl", Network((8, 8, 65)))
    with pytest.raises(NetworkError, match="needs 9 time steps; the device has 8"):
        open_device("rtl", Network((8, 8, 3), 9))
    with pytest.raises(NetworkError, match="lanes must be a power of two"):
        open_device("rtl", Network((8, 8, 3)), lanes=12)


def test_matrix_of_the_wrong_shape_is_refused() -> None:
    device, _ = device_and_core()
    with pytest.raises(OpzoError, match=r"shape \(30, 17\); this layer needs \(31, 17\)"):
        device.write_weights(0, np.zeros((30, 17), np.int16))


def test_closing_releases_the_transport_once() -> None:
    closed = []

    class Watched(ModelTransport):
        def close(self) -> None:
            closed.append(self)
            super().close()

    transport = Watched(GoldenCore(NETWORK.limits(16)))
    device = Device("golden", Link(Connection.over(transport, "golden")))
    assert not closed
    device.close()
    device.close()
    assert closed == [transport]


def test_a_device_without_a_network_takes_no_matrix() -> None:
    device = GoldenDevice(NETWORK.limits(16))
    with pytest.raises(OpzoError, match=r"golden holds no network; create an opzo\.Model on it, or call configure"):
        device.write_feedback(0, np.zeros((5, 17), np.int16))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (NETWORK.limits(8), "training began with 16 lanes and golden has 8; use a device with 16 lanes"),
        (NETWORK.limits(16, 12), "training began with 16 bits per weight and golden has 12; use a device with 16 bits"),
    ],
)
def test_a_state_stays_on_devices_of_its_kind(limits: Limits, message: str) -> None:
    device, _ = device_and_core()
    state = State.read(device, Rule.OPZO)
    other = GoldenDevice(limits)
    other.configure(NETWORK, Rule.OPZO)
    before = other.core.memory.copy()
    with pytest.raises(OpzoError, match=message):
        state.write(other)
    np.testing.assert_array_equal(other.core.memory, before)
