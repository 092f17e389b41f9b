"""Training from the sample store of a device: the same bits as with samples sent one by one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from opzo.host.data.data_sets import Frames
from opzo.host.data.events.event_samples import Events
from opzo.host.driver import sample_store
from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.link import Link
from opzo.host.driver.raw_device import RawDevice
from opzo.host.driver.sample import Sample
from opzo.host.driver.sample_store import erase, store_image, stored_sets, upload
from opzo.host.driver.state import State
from opzo.host.driver.stored_block import StoredBlock
from opzo.host.training.config import Hyperparameters
from opzo.host.training.evaluation import Samples
from opzo.host.training.reports import EpochReport, Watcher
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import LinkError
from opzo.spec.network import Network
from opzo.spec.registers import Counter, Reg

ROOM = 1 << 20


class Listener(Watcher):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.reports: list[EpochReport] = []
        self.notes: list[str] = []
        self.uploads: list[tuple[int, int]] = []

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def uploading(self, done: int, total: int) -> None:
        self.uploads.append((done, total))


def device(network: Network, kind: str = "fast", lanes: int = 4, room: int = ROOM) -> Device:
    """A simulated device with ``room`` bytes of store."""
    return Device(kind, Link(connection(kind, replace(network.limits(lanes), store=room))))


def images(count: int, seed: int, shape: tuple[int, int, int] = (1, 6, 5), classes: int = 4) -> Frames:
    rng = np.random.default_rng(seed)
    x = (rng.random((count, *shape)) < 0.4) * rng.integers(1, 256, (count, *shape))
    return Frames.of(x, np.arange(count) % classes, shape=shape)


def events(count: int, seed: int, network: Network) -> Events:
    rng = np.random.default_rng(seed)
    frames = rng.random((count, network.steps, 2, 4, 4)) < 0.3
    return Events.from_frames(frames.astype(np.uint8), np.arange(count) % 4)


def outcome(
    network: Network, hyper: Hyperparameters, data: tuple[Samples, Samples], *, store: bool, **options: Any
) -> tuple[Any, Listener]:
    """State and figures after a training."""
    one, listener = Trainer(device(network, **options), network, hyper), Listener()
    assert one.fit(*data, listener, store=store)
    state = State.read(one.device, one.rule)
    arrays = [*state.weights, *state.feedback, state.feedback_shift, state.lfsr]
    tallies = [tally for report in listener.reports for tally in (report.train, report.test)]
    figures = [(t.samples, t.correct, t.loss, t.counters.tolist()) for t in tallies]
    memories = [one.device.read_membranes(k).tolist() for k in range(len(network.hidden))]
    return ([array.tolist() for array in arrays], figures, memories, state.samples), listener


CASES = {
    "dense": (Network("30-9-7-4"), Hyperparameters(epochs=2), images(150, 0), images(40, 1)),
    "shifted": (Network("30-9-4"), Hyperparameters(epochs=2, shift=3), images(150, 0), images(40, 1)),
    "mean-squared": (
        Network("30-9-4"),
        Hyperparameters(epochs=2, shift=1, mse=3, decay=20),
        images(70, 0),
        images(9, 1),
    ),
    "convolution": (
        *(Network("2x6x4-4c3-p2-4"), Hyperparameters(epochs=2, shift=2, batch=3)),
        *(images(100, 0, (2, 6, 4)), images(20, 1, (2, 6, 4))),
    ),
    "events": (
        *(Network("32-8-4", steps=11, input="spikes"), Hyperparameters(epochs=2)),
        *(events(70, 0, Network("32-8-4", steps=11)), events(20, 1, Network("32-8-4", steps=11))),
    ),
}


@pytest.mark.parametrize(("case", "kind"), [*((case, "fast") for case in CASES), ("mean-squared", "golden")])
def test_the_store_changes_nothing(case: str, kind: str) -> None:
    network, hyper, train, test = CASES[case]
    sent, heard = outcome(network, hyper, (train, test), store=False, kind=kind)
    assert heard.notes == heard.uploads == []
    stored, heard = outcome(network, hyper, (train, test), store=True, kind=kind)
    assert stored == sent
    assert "training from the device's sample store" in heard.notes[0]
    assert heard.uploads[-1][0] == heard.uploads[-1][1] > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rotate": 5.0, "shift": 2}, "the host augments"),
        ({"flip": 1}, "the host augments"),
        ({"shift": 1.5}, "the host augments"),
        ({"shift": 4}, "the host augments"),
    ],
)
def test_what_only_the_host_can_do_is_sent_one_by_one(changes: dict[str, Any], said: str) -> None:
    hyper = replace(Hyperparameters(epochs=1), **changes)
    data = images(70, 0), images(9, 1)
    stored, heard = outcome(Network("30-9-4"), hyper, data, store=True)
    assert (len(heard.notes), heard.uploads) == (1, [])
    assert said in heard.notes[0]
    assert stored == outcome(Network("30-9-4"), hyper, data, store=False)[0]


def test_channels_of_a_dense_network_are_not_mixed_by_shifts() -> None:
    data = images(70, 0, (2, 6, 5)), images(9, 1, (2, 6, 5))
    stored, heard = outcome(Network("60-9-4"), Hyperparameters(epochs=1, shift=1), data, store=True)
    assert "the host augments" in heard.notes[0]
    assert stored == outcome(Network("60-9-4"), Hyperparameters(epochs=1, shift=1), data, store=False)[0]


def test_a_store_that_is_too_small_takes_the_training_samples_or_none() -> None:
    network, hyper, train, test = CASES["dense"]
    whole = outcome(network, hyper, (train, test), store=False)[0]
    image = store_image([("train", train.samples(), len(train))], ROOM)
    assert image is not None
    enough, heard = outcome(network, hyper, (train, test), store=True, room=len(image.data))
    assert (enough, heard.uploads[-1][1]) == (whole, len(image.data))
    less, heard = outcome(network, hyper, (train, test), store=True, room=len(image.data) - 2)
    assert (less, heard.uploads) == (whole, [])
    assert "need more than the" in heard.notes[0]


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_store, "SEGMENT", 1 << 10)


@pytest.mark.usefixtures("small_segments")
def test_an_upload_goes_on_where_it_was_interrupted() -> None:
    network, _, train, test = CASES["dense"]
    one = device(network)
    image = store_image([("train", train.samples(), len(train)), ("test", test.samples(), len(test))], ROOM)
    assert image is not None
    assert stored_sets(one) == ()

    class CutError(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done > total // 2:
            raise CutError

    with pytest.raises(CutError):
        upload(one, image, cut)
    # Half of it is there, but no header.
    assert stored_sets(one) == ()
    total, sent = len(image.data), upload(one, image)
    assert total // 2 - 2048 < sent < total // 2
    assert upload(one, image) == 0
    assert stored_sets(one) == image.sets
    assert [(each.name, each.samples) for each in image.sets] == [("train", 150), ("test", 40)]
    # A single wrong byte is found, and only its segment is sent.
    one.write_store(4000, bytes(2) if image.data[4000:4002] != bytes(2) else b"\1\1")
    assert stored_sets(one) == ()
    assert upload(one, image) == 1 << 10
    assert stored_sets(one) == image.sets
    assert one.read_store(0, total) == image.data
    erase(one)
    assert stored_sets(one) == ()


def test_a_store_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, train, _ = CASES["dense"]
    image = store_image([("train", train.samples(), len(train))], ROOM)
    assert image is not None
    monkeypatch.setattr(RawDevice, "write_store", lambda self, address, data: None)
    with pytest.raises(LinkError, match="does not keep what is written at 0x0; check the memory of the board"):
        upload(device(network), image)


def test_registers_change_at_multiples_of_64_samples_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, train, test = CASES["dense"]
    one = Trainer(device(network), network, Hyperparameters(epochs=2))
    blocks: list[tuple[int, int, dict[int, int]]] = []
    real = RawDevice.run_stored

    def record(self: RawDevice, given: Iterator[StoredBlock]) -> Iterator[Any]:
        def kept() -> Iterator[StoredBlock]:
            for block in given:
                if block.train:
                    blocks.append((block.first, block.count, block.registers))
                yield block

        return real(self, kept())

    monkeypatch.setattr(RawDevice, "run_stored", record)
    one.fit(train, test)
    assert [block[:2] for block in blocks] == [(0, 64), (64, 64), (128, 22), (0, 42), (42, 64), (106, 44)]
    assert [Reg.ALPHA in registers for _, _, registers in blocks] == [True, True, True, False, True, True]
    assert blocks[0][2][Reg.ALPHA] == 410
    assert blocks[-1][2][Reg.ALPHA] == round((0.1 - 0.05 * 256 / 300) * 4096)


def test_a_store_of_another_network_ends_the_training_with_an_error() -> None:
    network = Network("30-9-4")
    one = device(network)
    image = store_image([("bad", [Sample((b"\x40\1",), 0)], 1)], ROOM)
    assert image is not None
    upload(one, image)
    Trainer(one, network, Hyperparameters())
    (place,) = image.sets
    with pytest.raises(LinkError, match="stopped at stored sample 1 of a block of 1: BAD_EVENT; the sample store was"):
        list(one.run_stored([StoredBlock(place.table, 1, 0, 1)]))
    assert one.counters()[Counter.TEST_RUNS] == 0


def test_answers_of_single_samples() -> None:
    network, _, train, _ = CASES["dense"]
    one = device(network)
    Trainer(one, network, Hyperparameters())
    image = store_image([("train", train.samples(), len(train))], ROOM)
    assert image is not None
    upload(one, image)
    (place,) = image.sets
    blocks = [StoredBlock(place.table, 150, first, min(32, 150 - first), answers=True) for first in range(0, 150, 32)]
    answers = np.concatenate([result.answers for result in one.run_stored(blocks)])
    single = [(result.prediction, result.loss) for result in one.run(train.samples())]
    assert [tuple(answer) for answer in answers.tolist()] == single
