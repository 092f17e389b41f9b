from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from live_page import SEVEN, RecordingHub, bytes_of

from opzo.host.data.data_set import Data
from opzo.host.data.data_sets import load_data
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.state import State
from opzo.host.live.drawing import DrawingBoard
from opzo.host.live.hub import Page
from opzo.host.live.requests import Action, Request
from opzo.host.live.session import TEACH_MAX, LiveSession
from opzo.host.training import trainer as trainer_module
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import stream_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import LinkError
from opzo.spec.network import Network

NETWORK = Network("64-24-12-10")
HYPER = Hyperparameters(epochs=2, seed=3)


@pytest.fixture(scope="module")
def data() -> Data:
    digits = load_data("digits")
    assert isinstance(digits.train, Frames)
    assert isinstance(digits.test, Frames)
    return Data("digits", digits.train[:150], digits.test[:20])


@pytest.fixture
def device() -> Iterator[Device]:
    with open_device("fast", NETWORK, lanes=4) as opened:
        yield opened


def lived(device: Device, data: Data, *requests: Request, train: bool = False) -> tuple[RecordingHub, Trainer]:
    trainer = Trainer(device, NETWORK, HYPER)
    hub = RecordingHub(len(requests))
    hub.session = LiveSession(trainer, data, hub, train=train)
    for request in requests:
        hub.session.ask(request, Page())
    hub.session.run()
    return hub, trainer


def state_of(trainer: Trainer) -> list[Any]:
    state = State.read(trainer.device, trainer.rule)
    return [*state.weights, *state.feedback, state.lfsr, state.samples]


def test_answers_a_drawing_with_its_spikes(device: Device, data: Data) -> None:
    hub, trainer = lived(device, data, Request(Action.CLASSIFY, SEVEN))
    frames = DrawingBoard(data.train, "digits").frames(SEVEN)
    (answer,) = hub.replies
    assert answer["prediction"] == trainer.predict(frames)[0]
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=0.001)
    assert bytes_of(answer["image"]["data"]).tolist() == frames.x[0].tolist()
    for layer, shown in enumerate(answer["spikes"]):
        fired = (device.read_histories(layer)[:, None] >> np.arange(NETWORK.steps)) & 1
        np.testing.assert_array_equal(bytes_of(shown["data"]).reshape(-1, NETWORK.steps), 255 * fired)
        assert shown["spikes"] == fired.sum()
    assert answer["spikes"][0]["spikes"] > 0
    assert answer["cycles"] > 0
    assert answer["synaptic_operations"] > 0
    assert answer["weight_updates"] == 0


def test_teaches_until_the_answer_is_right(device: Device, data: Data) -> None:
    before, trainer = lived(device, data, Request(Action.CLASSIFY, SEVEN))
    label = (before.replies[0]["prediction"] + 1) % 10
    hub, trainer = lived(device, data, Request(Action.TEACH, SEVEN, label, 60))
    (answer,) = hub.replies
    count = answer["taught"]["samples"]
    assert answer["prediction"] == label
    assert 1 <= count < TEACH_MAX
    assert hub.of("taught")[0]["weight_updates"] > 0
    taught = state_of(trainer)
    # That is as much training on the drawing, no more.
    frames = DrawingBoard(data.train, "digits").frames(SEVEN, label)
    other = Trainer(device, NETWORK, HYPER)
    for _ in range(count):
        other.train_online(frames, stream_registers(HYPER, 60))
    for ours, theirs in zip(taught, state_of(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_answers_during_training_do_not_change_it(device: Device, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "REPORT_SECONDS", 0.0)
    plain = Trainer(device, NETWORK, HYPER)
    plain.fit(data.train, data.test)
    expected = state_of(plain)
    trainer = Trainer(device, NETWORK, HYPER)
    hub = RecordingHub(5)
    session = hub.session = LiveSession(trainer, data, hub, train=True)

    def watch(message: dict[str, Any]) -> None:
        """Draw in the middle of an epoch, pause, go on, and end with the training."""
        hub.published.append(message)
        seen = len(hub.of("progress"))
        if message["kind"] == "progress" and seen in (1, 4):
            for action in (Action.CLASSIFY, *((Action.PAUSE, Action.CONTINUE) if seen == 1 else ())):
                session.ask(Request(action, SEVEN), Page())
        if message["kind"] == "status" and message["state"] == "done":
            session.ask(Request(Action.TEST), Page())

    monkeypatch.setattr(hub, "publish", watch)
    session.run()
    assert [reply["kind"] for reply in hub.replies] == ["answer", "done", "done", "answer", "tested"]
    states = [message["state"] for message in hub.of("status")]
    assert "paused" in states
    for ours, theirs in zip(state_of(trainer), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [row["epoch"] for row in hub.of("curves")[-1]["rows"]] == [1, 2]
    assert hub.replies[-1]["samples"] == 20
    assert 0 <= hub.replies[-1]["accuracy"] <= 1


def test_shows_the_last_training_sample(device: Device, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "REPORT_SECONDS", 0.0)
    sent: list[int] = []
    run = device.run

    def counted(samples: Any, **flags: Any) -> Any:
        listed = list(samples)
        sent.extend(sample.label for sample in listed)
        return run(listed, **flags)

    monkeypatch.setattr(device, "run", counted)
    trainer, hub = Trainer(device, NETWORK, HYPER), RecordingHub(0)
    session = LiveSession(trainer, data, hub, train=True)

    def end(message: dict[str, Any]) -> None:
        hub.published.append(message)
        if message["kind"] == "sample":
            session.close()

    monkeypatch.setattr(hub, "publish", end)
    session.run()
    (sample,) = hub.of("sample")
    assert sample["number"] == len(sent) == 64
    assert sample["label"] == sent[-1]
    index = trainer.order(150)[63]
    assert bytes_of(sample["image"]["data"]).tolist() == data.train.dense(np.array([index]))[0].tolist()


def test_weights_are_shown_and_change(device: Device, data: Data) -> None:
    hub, trainer = lived(device, data, Request(Action.TEACH, SEVEN, 2, 60))
    first, *_ = hub.of("weights")
    assert [message["layer"] for message in hub.of("weights")[:3]] == [1, 2, 3]
    assert (first["what"], first["count"], first["height"], first["width"]) == ("receptive fields", 24, 8, 8)
    matrix = hub.of("weights")[2]
    assert (matrix["what"], matrix["count"], matrix["height"], matrix["width"]) == ("matrix", 1, 10, 12)
    values = bytes_of(first["data"]).astype(np.int8).reshape(24, 64)
    initial = State.initial(NETWORK, trainer.rule, HYPER.seed, device.limits).weights[0][:-1].T
    expected = np.rint(initial * (127 / np.abs(initial).max()))
    np.testing.assert_array_equal(values, expected)


def test_a_lost_device_ends_it_and_tells_the_pages(device: Device, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*arguments: Any, **flags: Any) -> Any:
        raise LinkError("fast has stopped answering; check cable and power")

    monkeypatch.setattr(device, "run", lost)
    trainer, hub = Trainer(device, NETWORK, HYPER), RecordingHub(2)
    session = LiveSession(trainer, data, hub, train=False)
    session.ask(Request(Action.CLASSIFY, SEVEN), Page())
    with pytest.raises(LinkError, match="stopped answering"):
        session.run()
    assert "stopped answering" in hub.of("ended")[0]["text"]
    assert hub.replies[0]["kind"] == "error"
