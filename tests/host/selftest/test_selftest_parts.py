"""What the self-test is made of: a line that damages bytes, a network that fills a device, names of rows."""

import numpy as np
import pytest
from small_chip import SMALL_CHIP

from opzo.host.driver.initial_weights import generator
from opzo.host.selftest.difference import _row_name
from opzo.host.selftest.digits_experiment import digit_samples, largest_network
from opzo.host.selftest.lossy_transport import DIRECTIONS, KINDS, LossyTransport
from opzo.host.selftest.plans import INTERMEDIATE_PLANS, intermediate_experiment
from opzo.spec.errors import NetworkError
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.rules import Input


class Sink:
    """Transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read(self, timeout: float) -> bytes:
        return bytes(range(10))

    def close(self) -> None:
        pass


def test_line_damages_in_every_way_in_both_directions() -> None:
    sink, data = Sink(), bytes(range(10))
    line = LossyTransport(generator(1)).attach(sink)
    line.write(data)
    assert line.read(0.0) == data
    assert not line.faults
    line.rate = 1.0
    received = []
    for _ in range(1000):
        line.write(data)
        received.append(line.read(0.0))
    assert set(line.faults) == {(way, kind) for way in DIRECTIONS for kind in KINDS}
    assert sum(line.faults.values()) == 2000
    assert sink.written[0] == data
    for each in (sink.written[1:], received):
        assert data not in each
        assert {len(piece) for piece in each} == set(range(12))
        whole = np.frombuffer(b"".join(piece for piece in each if len(piece) == len(data)), np.uint8)
        # A flipped bit is one bit.
        assert np.bitwise_count(whole.reshape(-1, len(data)) ^ np.arange(10, dtype=np.uint8)).sum(axis=1).max() == 1


@pytest.mark.parametrize(
    "limits",
    [
        SMALL_CHIP,
        Limits(lanes=4, rows=40, inputs=3, words=1, classes=2, steps=2),
        Limits(lanes=4, rows=6400, inputs=64, words=48, classes=10),
        Limits(lanes=16, rows=1024, inputs=256, words=8, classes=16),
        Limits(lanes=64, rows=5120, inputs=1024, words=8, classes=16, weight_bits=12),
        Limits(lanes=128, rows=20480, inputs=4096, words=16, classes=64),
    ],
)
def test_network_fits_and_fills_the_device(limits: Limits) -> None:
    for depth, kind in ((2, Input.FRAME), (3, Input.SPIKES)):
        if kind.events and limits.steps < 8:
            continue
        network = largest_network(limits, depth, kind)
        network.check(limits)
        last = network.layout(limits)[-1]
        assert last.weight_base + last.rows * last.words > 0.4 * limits.rows or network.inputs < 64
        assert network.local == len(network.hidden) <= depth
        samples = digit_samples(network, 20, np.random.default_rng(0))
        assert len(samples) == 20
        assert len({sample.label for sample in samples}) > 1
        assert all(len(run) > 2 for sample in samples for run in sample.runs) or network.inputs < 64


def test_rows_of_blocks_are_named_as_they_lie() -> None:
    network = Network("1x4x4-5c1-3c1-2", local=2, intermediate=2)
    limits = network.limits(4)
    assert [_row_name(network, limits, row) for row in (4, 5, 6, 42, 47)] == [
        "intermediate feedback matrix of layer 1, word 0, class 0",
        "intermediate feedback matrix of layer 1, word 0, class 1",
        "local readout of layer 1, word 1, class 0",
        # Two words in each of four blocks.
        "local readout of layer 1, word 7, class 0",
        "intermediate feedback matrix of layer 1, word 7, class 1",
    ]
    assert _row_name(network, limits, 48) == "weights of layer 1, word 0, input 0"


@pytest.mark.parametrize("net", ["1x4x4-4c1-3", "1x8x8-8c3-p2-16c3-10"])
@pytest.mark.parametrize("lanes", [4, 16])
def test_intermediate_experiments_fit_and_lie_anywhere(net: str, lanes: int) -> None:
    limits = Network(net).limits(lanes)
    places = set()
    for number, plan in enumerate(INTERMEDIATE_PLANS):
        experiment = intermediate_experiment(plan, number, limits, generator(number))
        assert experiment is not None
        experiment.network.check(limits)
        assert experiment.network.intermediate == experiment.network.local == len(experiment.network.hidden) >= 2
        assert experiment.row + len(experiment.image) <= limits.rows
        places.add((experiment.row, experiment.word))
    assert len(places) == len(INTERMEDIATE_PLANS)


def test_device_that_holds_nothing_is_refused() -> None:
    with pytest.raises(NetworkError, match="too small for any test network"):
        largest_network(Limits(lanes=4, rows=5, inputs=3, words=1, classes=2), 2, Input.FRAME)


def test_rows_are_named_as_they_lie() -> None:
    network = Network((3, 5, 2), local=1)
    names = [_row_name(network, SMALL_CHIP, row) for row in range(23)]
    assert names[:5] == [
        "local readout of layer 1, word 0, class 0",
        "local readout of layer 1, word 0, class 1",
        "feedback matrix of layer 1, word 0, class 0",
        "feedback matrix of layer 1, word 0, class 1",
        "local readout of layer 1, word 1, class 0",
    ]
    assert names[8:13] == [
        *(f"weights of layer 1, word 0, {source}" for source in ("input 0", "input 1", "input 2", "bias")),
        "weights of layer 1, word 1, input 0",
    ]
    assert names[16:23] == [
        *(f"weights of layer 2, word 0, input {source}" for source in range(5)),
        "weights of layer 2, word 0, bias",
        "after the network",
    ]
