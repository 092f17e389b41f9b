"""The thread of the device: trains, and between two samples answers the requests of the pages."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from opzo.host.data.class_names import padded
from opzo.host.data.data_set import Data
from opzo.host.data.images.frames import Frames
from opzo.host.driver.statistics import Tally, cycles_are
from opzo.host.live.answers import answer, image, spikes, work
from opzo.host.live.drawing import DrawingBoard
from opzo.host.live.hub import Hub, Page, problem
from opzo.host.live.requests import Action, Request
from opzo.host.live.weight_pictures import weight_picture
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.schedule_registers import stream_registers
from opzo.host.training.trainer import Trainer
from opzo.spec.errors import LinkError, OpzoError

TEACH_MAX = 20
"""Most times that a drawing is trained on at one request."""
TEST_SAMPLES = 500
"""Most samples of a test that a page asks for."""
WEIGHTS_SECONDS, WEIGHTS_SHARE = 1.0, 10
"""Least time between two readings of the weights: so long, and so many times as long as a reading takes."""


@dataclass(frozen=True)
class Asked:
    """A request, and the page that it comes from."""

    request: Request
    page: Page


class LiveSession(Watcher):
    """A network in training on a device, which pages watch, ask and teach. All methods but `ask` and `wake` belong to
    the thread of the device.

    Parameters
    ----------
    trainer : Trainer
        Has the device.
    data : Data
        Images that the network learns, or has learned.
    hub : Hub
        Gets the messages for the pages.
    rows : sequence of dict
        Metrics of the epochs that the network has behind it.
    train : bool
        Whether to train up to the last epoch.
    """

    def __init__(
        self, trainer: Trainer, data: Data, hub: Hub, *, rows: Sequence[dict[str, Any]] = (), train: bool
    ) -> None:
        self._trainer, self._data, self._hub = trainer, data, hub
        self._board = DrawingBoard(data.train, data.name)
        self._rows = list(rows)
        self._training, self._paused = train, False
        self._closing = False
        self._asked: SimpleQueue[Asked | None] = SimpleQueue()
        self._weights_due = 0.0

    def ask(self, request: Request, page: Page) -> None:
        """Add a request of a page; from any thread."""
        self._asked.put(Asked(request, page))

    def close(self) -> None:
        """End after the present sample; from any thread, and from a signal handler."""
        self._closing = True
        self._asked.put(None)

    def run(self) -> None:
        """Train and answer until `close`. Raises LinkError where the device is lost, which the pages are told."""
        self._greet()
        try:
            while not self._closing:
                self._show_weights()
                if self._training and not self._paused and self._asked.empty():
                    self._train()
                else:
                    self._serve()
        except OpzoError as error:
            self._hub.publish({"kind": "ended", "text": problem(error)["text"]})
            raise

    def stop(self) -> bool:
        return self._closing or not self._asked.empty()

    def progress(self, progress: EpochProgress) -> None:
        network, device = self._trainer.network, self._trainer.device
        tally = progress.tally
        self._hub.publish(
            {
                "kind": "progress",
                "epoch": progress.epoch + progress.position / progress.count,
                "samples": progress.position,
                "count": progress.count,
                "accuracy": tally.accuracy,
                "firing_rates": tally.firing_rates(network),
                "samples_per_second": progress.samples_per_second,
                "samples_done": tally.samples,
                **work(tally, device),
            }
        )
        self._show_sample(progress)
        self._show_weights()

    def epoch(self, report: EpochReport) -> None:
        self._rows.append(report.row(self._trainer.network, self._trainer.device.identity))
        self._show_curves()

    def _train(self) -> None:
        trainer = self._trainer
        if trainer.fit(self._data.train, self._data.test, self, store=False):
            self._training = False
        self._show_status()

    def _serve(self) -> None:
        """Answer the next request, for which this waits."""
        asked = self._asked.get()
        if asked is None:
            return
        try:
            message = self._reply(asked.request)
        except LinkError as error:
            self._hub.reply(asked.page, problem(error))
            raise
        except OpzoError as error:
            message = problem(error)
        self._hub.reply(asked.page, message)

    def _reply(self, request: Request) -> dict[str, Any]:
        if request.action is Action.CLASSIFY:
            return {"kind": "answer", **self._answer(self._board.frames(request.strokes))}
        if request.action is Action.TEACH:
            return self._teach(request)
        if request.action is Action.TEST:
            return self._test()
        self._paused = request.action is Action.PAUSE
        self._show_status()
        return {"kind": "done"}

    def _teach(self, request: Request) -> dict[str, Any]:
        """Train on a drawing until its class is the answer, at least once."""
        trainer = self._trainer
        frames = self._board.frames(request.strokes, request.label)
        registers = stream_registers(trainer.hyper, request.rate)
        tally = Tally()
        found: dict[str, Any] = {}
        while found.get("prediction") != request.label and tally.samples < TEACH_MAX:
            tally.add_tally(trainer.train_online(frames, registers))
            found = self._answer(frames)
        self._weights_due = 0.0
        taught = {"label": request.label, "samples": tally.samples, **work(tally, trainer.device)}
        self._hub.publish({"kind": "taught", **taught})
        return {"kind": "answer", "taught": taught, **found}

    def _test(self) -> dict[str, Any]:
        test = self._data.test
        assert isinstance(test, Frames)
        tally = self._trainer.evaluate(test[:TEST_SAMPLES], lambda: self._closing)
        return {"kind": "tested", "accuracy": tally.accuracy, "samples": tally.samples, "of": len(test)}

    def _answer(self, frames: Frames) -> dict[str, Any]:
        return answer(self._trainer.device, self._trainer.network, frames)

    def _greet(self) -> None:
        trainer = self._trainer
        network, device = trainer.network, trainer.device
        names = trainer.class_names or padded(self._data.names, network.classes)
        self._hub.publish(
            {
                "kind": "hello",
                "network": str(network),
                "hidden": network.hidden,
                "classes": list(names or map(str, range(network.classes))),
                "steps": network.steps,
                "data": self._data.name,
                "device": device.name,
                "lanes": device.limits.lanes,
                "rule": trainer.hyper.rule,
                "epochs": trainer.hyper.epochs,
                "cycles_are": cycles_are(device.identity),
                "shape": self._board.shape,
                "pen": self._board.preparation.pen,
            }
        )
        self._show_status()
        self._show_curves()

    def _show_status(self) -> None:
        state = "done" if not self._training else "paused" if self._paused else "training"
        self._hub.publish({"kind": "status", "state": state, "epoch": self._trainer.epoch})

    def _show_curves(self) -> None:
        points = [
            {
                "epoch": row["epoch"],
                "train": row["train"]["accuracy"],
                "test": row["test"]["accuracy"],
                "firing_rates": row["test"]["firing_rates"],
            }
            for row in self._rows
        ]
        self._hub.publish({"kind": "curves", "rows": points})

    def _show_sample(self, progress: EpochProgress) -> None:
        """Show the last training sample; its spikes are still in the device."""
        trainer, train = self._trainer, self._data.train
        assert isinstance(train, Frames)
        index = int(trainer.order(progress.count)[progress.position - 1])
        self._hub.publish(
            {
                "kind": "sample",
                "number": progress.position,
                "label": int(train.y[index]),
                "image": image(train, index),
                "spikes": spikes(trainer.device, trainer.network),
            }
        )

    def _show_weights(self) -> None:
        """Read the weights and show them, where a page is open and the last reading is long enough ago."""
        begin = time.monotonic()
        if begin < self._weights_due or not (self._hub.watched or self._weights_due == 0.0):
            return
        trainer = self._trainer
        for layer in range(len(trainer.network.layers)):
            weights = trainer.device.read_weights(layer)
            self._hub.publish({"kind": "weights", **weight_picture(weights, trainer.network, layer, self._board.shape)})
        taken = time.monotonic() - begin
        self._weights_due = begin + taken + max(WEIGHTS_SECONDS, WEIGHTS_SHARE * taken)
