"""Stream mode: a continuous run of time steps on a device, during which labels, learning and decisions change."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape, to_channel_last
from opzo.host.driver.request import Request
from opzo.host.driver.sample import Result
from opzo.spec.commands import RunFlag
from opzo.spec.errors import OpzoError
from opzo.spec.events import SPIKE, Chunk, encode_steps
from opzo.spec.formats import LOSS_FRAC_BITS, LOSS_SUM_BITS, MAX_STEPS, OUTPUT_SUM
from opzo.spec.limits import chunk_events
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.spec.values import whole_number


@dataclass(frozen=True)
class Decision:
    """Decision on the time steps since its last restart.

    Attributes
    ----------
    prediction : int
        Class with the largest readout sum.
    steps : int
        Number of time steps; 0: none yet, the other attributes are meaningless.
    outputs : float64 (classes,)
        Mean readout of a time step, in units of the threshold.
    loss : float or None
        Cross entropy in bits, mean over the steps; None without a label.
    """

    prediction: int
    steps: int
    outputs: NDArray[np.float64]
    loss: float | None

    def __repr__(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.3f} bits"
        return f"<Decision: class {self.prediction} after {self.steps:,} time steps{loss}>"


@dataclass(frozen=True)
class _RunInFlight:
    run: Request
    steps: int
    labelled: bool
    restart: bool


class Stream:
    """Sends time steps to a device with a network for events, in chunks that end at each change.

    Weight updates lag the events by at most HISTORY_STEPS steps plus the runs in flight.

    Parameters
    ----------
    device : Device
        Device that has been configured for ``network`` and has its weights.
    network : Network
    window : int
        Time steps per decision, up to MAX_STEPS; 0: a new decision starts only with a new label.

    Attributes
    ----------
    steps : int
        Time steps so far.
    events : int
        Events so far.
    lag : int
        Largest number of time steps that had no answer yet.
    """

    def __init__(self, device: Device, network: Network, *, window: int = 0) -> None:
        if not isinstance(device, Device) or not isinstance(network, Network):
            raise OpzoError(f"a stream needs an open device and its network, not {shown(device)} and {shown(network)}")
        if not network.input.events:
            raise OpzoError(f"network {network} takes frames; a stream needs one that was trained on events")
        window = whole_number("window", window, 0, MAX_STEPS)
        if device.network != network:
            raise OpzoError(
                f"{device.name} holds {device.network or 'no network'}, not {network}; load the network first"
            )
        self._writes, self._turn = device.writes, 0
        self._device, self._network, self._window = device, network, window
        self._most = network.input.run_steps
        self._room = chunk_events(network.inputs)
        self._channel_last = channel_last_shape(network)
        self._addresses: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.int64]] = []
        self._collected = 0
        self._in_flight: deque[_RunInFlight] = deque()
        self._label: int | None = None
        self._learning = False
        self._flags = RunFlag.FRESH
        self._since_restart = 0
        self._decision = Decision(0, 0, np.zeros(network.classes), None)
        self._loss_steps = self._last_loss = 0
        self._loss = 0
        self.steps = self.events = self.lag = 0

    def __repr__(self) -> str:
        label = "no label" if self._label is None else f"label {self._label}"
        return (
            f"<Stream of {self._network!r} on {self._device.name}: {self.steps:,} time steps, {self.events:,} events, "
            f"{label}, learning {'on' if self._learning else 'off'}>"
        )

    @property
    def label(self) -> int | None:
        """Class of the following time steps; None: unknown, and nothing is learned."""
        return self._label

    @label.setter
    def label(self, label: int | None) -> None:
        is_whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
        if label is not None and not (is_whole and 0 <= label < self._network.classes):
            raise OpzoError(
                f"label {label} is not a class of {self._network}; give 0..{self._network.classes - 1}, or None"
            )
        if label != self._label:
            self._send()
            self._label = None if label is None else int(label)
            self.restart_decision()

    @property
    def learning(self) -> bool:
        """Whether the chip learns from the following time steps if they have a label."""
        return self._learning

    @learning.setter
    def learning(self, learning: bool) -> None:
        if learning != self._learning:
            self._send()
            self._learning = learning

    def reset(self) -> None:
        """Reset membrane potentials, presynaptic traces and decision before the next time step."""
        self._send()
        self._flags |= RunFlag.FRESH
        self._since_restart = 0

    def restart_decision(self) -> None:
        """Start a new decision with the next time step."""
        self._send()
        self._flags |= RunFlag.DECISION
        self._since_restart = 0

    def step(self, addresses: NDArray[np.integer], values: NDArray[np.integer] | None = None) -> None:
        """Add a time step: addresses of its events, strictly ascending, and their values if they are graded.

        Addresses are those of the training data, (channel * height + row) * width + column, for every network.
        """
        events = self._whole(addresses)
        graded = np.full(len(events), SPIKE) if values is None else self._whole(values)
        self._check(events, graded, values is not None)
        if self._channel_last is not None:
            events = to_channel_last(events, self._channel_last)
            order = np.argsort(events)
            events, graded = events[order], graded[order]
        if self._collected + len(events) > self._room:
            self._send()
        self._addresses.append(events)
        self._values.append(graded)
        self._collected += len(events)
        self.steps += 1
        self.events += len(events)
        self.lag = max(self.lag, len(self._addresses) + sum(run.steps for run in self._in_flight))
        if len(self._addresses) == self._most:
            self._send()
        if self._since_restart + len(self._addresses) == (self._window or MAX_STEPS):
            self.restart_decision()

    def decision(self) -> Decision:
        """Decision on all time steps so far; waits for the device."""
        self._send()
        while self._in_flight:
            self._take()
        return self._decision

    @property
    def undecided(self) -> bool:
        """Whether there were time steps since the last restart of the decision."""
        return self._since_restart + len(self._addresses) > 0

    @property
    def latest(self) -> Decision:
        """Latest decision from the device; does not wait."""
        return self._decision

    @property
    def loss(self) -> float:
        """Cross entropy in bits, mean over all labelled time steps with an answer; 0 without any."""
        return self._loss / (max(1, self._loss_steps) << LOSS_FRAC_BITS)

    def _whole(self, values: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(values)
        if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
            raise OpzoError(
                f"time step {self.steps}: {array.dtype} of shape {array.shape}; give addresses, and values, as "
                "lists of whole numbers: those of a frame are numpy.flatnonzero(frame)"
            )
        return array.astype(np.int64)

    def _check(self, addresses: NDArray[np.int64], values: NDArray[np.int64], has_values: bool) -> None:
        if has_values is not self._network.input.graded:
            kind = self._network.input.name.lower()
            raise OpzoError(f"time step {self.steps}: the network takes {kind}; give values where they are graded only")
        if len(addresses) and not (0 <= addresses[0] and addresses[-1] < self._network.inputs):
            raise OpzoError(f"time step {self.steps}: an address is outside the {self._network.inputs} inputs")
        if (np.diff(addresses) <= 0).any():
            raise OpzoError(f"time step {self.steps}: the addresses do not ascend strictly; sort and merge them")
        if values.shape != addresses.shape or ((values < 1) | (values > 255)).any():
            raise OpzoError(f"time step {self.steps}: each event needs a value in 1..255")

    def _check_device(self) -> None:
        """Raise OpzoError if the device was changed since the last time step."""
        if self._device.writes != self._writes:
            raise OpzoError(
                f"{self._device.name} no longer holds the network of this stream: another model, or your own writes, "
                "took its place; begin a new stream"
            )
        if self._flags & RunFlag.FRESH:
            self._device.turns += 1
            self._turn = self._device.turns
        elif self._turn != self._device.turns:
            # These steps would continue from another state.
            self._addresses, self._values, self._collected = [], [], 0
            raise OpzoError(
                f"{self._device.name} ran other samples since the last time step, and membranes and traces are theirs; "
                "call reset() to begin again"
            )

    def _send(self) -> None:
        """Send the collected time steps as a run."""
        if not self._addresses:
            return
        self._check_device()
        chunk = Chunk(
            np.concatenate(self._addresses), np.concatenate(self._values), np.cumsum([len(a) for a in self._addresses])
        )
        flags = self._flags | RunFlag.OUTPUTS
        if self._learning and self._label is not None:
            flags |= RunFlag.TRAIN
        while len(self._in_flight) >= self._device.identity.credits:
            self._take()
        graded = self._network.input.graded
        run = self._device.start_run(encode_steps(chunk, graded=graded), self._label or 0, flags)
        restart = bool(self._flags & (RunFlag.FRESH | RunFlag.DECISION))
        self._in_flight.append(_RunInFlight(run, len(chunk.ends), self._label is not None, restart))
        self._since_restart += len(chunk.ends)
        self._flags = RunFlag(0)
        self._addresses, self._values, self._collected = [], [], 0

    def _take(self) -> None:
        """Wait for the oldest run's result."""
        in_flight = self._in_flight.popleft()
        result = self._device.finish_run(in_flight.run, outputs=True)
        before = 0 if in_flight.restart else self._last_loss
        self._last_loss = result.loss
        if in_flight.labelled:
            self._loss += (result.loss - before) % (1 << LOSS_SUM_BITS)
            self._loss_steps += in_flight.steps
        steps = in_flight.steps + (0 if in_flight.restart else self._decision.steps)
        self._decision = _decision(result, steps, labelled=in_flight.labelled)


def _decision(result: Result, steps: int, *, labelled: bool) -> Decision:
    return Decision(
        result.prediction,
        steps,
        result.outputs / (OUTPUT_SUM.one * steps),
        result.loss / (steps << LOSS_FRAC_BITS) if labelled else None,
    )
