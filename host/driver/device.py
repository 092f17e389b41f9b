"""A device: typed calls over the link, the same for boards, simulated gateware and models."""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.blocks import BlockSize
from opzo.host.driver.devices import connection, is_simulated
from opzo.host.driver.link import Link
from opzo.host.driver.request import Request
from opzo.host.driver.row_layout import pack_rows, unpack_rows
from opzo.spec.commands import ANSWERS, REQUESTS, Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.memories import ENTRY_BYTES, Space
from opzo.spec.messages import shown
from opzo.spec.network import Layer, Limits, Network
from opzo.spec.protocol import Identity
from opzo.spec.registers import (
    COUNTER,
    Counter,
    LayerReg,
    Reg,
    layer_register,
    network_registers,
)
from opzo.spec.rules import Rule

READ_BYTES = 8192
"""Bytes of a reply to READ_MEMORY on a clean line: about a tenth of a second at 1 Mbaud."""
RESULT = ANSWERS[Command.RUN]
SETTINGS = frozenset(
    {Reg.ALPHA, Reg.RATE, Reg.ACTIVITY, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT, Reg.MSE_SHIFT, Reg.CLEAR_COUNTERS}
)
"""Registers that control learning and counters; all others belong to the network that the device holds."""


@dataclass(frozen=True)
class Sample:
    """One sample as it is sent: its class and the input of each of its runs, one for a frame (``opzo.spec.events``)."""

    runs: tuple[bytes, ...]
    label: int = 0


@dataclass(frozen=True)
class Result:
    """Result of one sample.

    Attributes
    ----------
    prediction : int
    loss : int
        Sum over the time steps, in bits, 8 fraction bits.
    outputs : int32 (classes,)
        Summed readouts, 12 fraction bits; empty unless requested.
    """

    prediction: int
    loss: int
    outputs: NDArray[np.int32]


class Device:
    """An open device. Close it after use, or use it in a ``with`` statement.

    Attributes
    ----------
    name : str
        Device string that opened it.
    identity : Identity
    limits : Limits
        Sizes that the device was built for.
    network : Network or None
        Network that it is configured for.
    writes : int
        Number of writes to network or state. A device holds one model at a time: a model or stream whose count at its
        last write differs has been overwritten.
    turns : int
        Number of uninterrupted uses: series of samples, and streams since their reset. A use whose count differs has
        been interrupted.
    """

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.identity: Identity = link.identity
        self.limits: Limits = link.identity.limits
        self.network: Network | None = None
        self.writes = self.turns = 0
        self._opened: Link | None = link
        self._layers: tuple[Layer, ...] = ()
        row = ENTRY_BYTES * self.limits.lanes
        self._read_size = BlockSize(max(1, READ_BYTES // row), row)
        self._write_size = BlockSize((self.identity.max_payload - REQUESTS[Command.WRITE_MEMORY].size) // row, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else f"holds {self.network}" if self.network else "holds no network"
        return f"<Device {self.name!r}: {self.limits.lanes} lanes, {self.limits.weight_bits}-bit weights, {state}>"

    @property
    def closed(self) -> bool:
        """Whether the device was closed."""
        return self._opened is None

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise OpzoError(f"{self.name} is closed; open it again with opzo.connect")
        return self._opened

    @property
    def bytes_sent(self) -> int:
        """Bytes of the frames of all runs, without escapes and repetitions."""
        return self._link.bytes_sent

    @property
    def repeats(self) -> int:
        """Frames that were sent again, because they or their replies were lost or damaged."""
        return self._link.repeats

    def close(self) -> None:
        """Release the device; it keeps its state. A second call does nothing."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def expect_damage(self) -> None:
        """Do not warn of a noisy line from now on: bytes are damaged on purpose."""
        self._link.expect_damage()

    def renew(self) -> None:
        """Start another session, after frames that were not sent through this object."""
        self._link.renew()

    def reset(self) -> None:
        """Discard a sample that was sent in part; memories, registers and counters are kept."""
        self._link.call(Command.RESET)

    def configure(self, network: Network, rule: Rule) -> None:
        """Configure the device for ``network``; NetworkError names the limit where it is too small."""
        self._layers = network.layout(self.limits)
        self.network = network
        self.writes += 1
        self.write_registers(network_registers(network, self.limits, rule))

    def read_registers(self, address: int, count: int = 1) -> list[int]:
        """``count`` (1..255) registers from ``address`` on."""
        data = self._link.call(Command.READ_REGISTERS, REQUESTS[Command.READ_REGISTERS].pack(address, count))
        return [int(value) for value in self._array(data, "<u4", count)]

    def write_registers(self, values: dict[int, int]) -> None:
        """Write registers by address; consecutive ones share a frame."""
        self.writes += not values.keys() <= SETTINGS
        block: list[int] = []
        for address in sorted(values):
            if block and address != block[-1] + 1:
                self._write_block(block, values)
                block = []
            block.append(address)
        if block:
            self._write_block(block, values)

    def read_weights(self, layer: int) -> NDArray[np.int16]:
        """Weights of layer ``layer`` (0 = the first): (n_in + 1, n_out), last row the bias; 12 fraction bits."""
        place = self._layer(layer)
        return self._read_matrix(place.weight_base, place.rows, place)

    def write_weights(self, layer: int, weights: NDArray[np.int16]) -> None:
        """Write what ``read_weights`` reads."""
        place = self._layer(layer)
        self._write_matrix(place.weight_base, place.rows, place, weights)

    def read_feedback(self, layer: int) -> NDArray[np.int16]:
        """Feedback matrix of hidden layer ``layer``: (classes, n); 1 fraction bit."""
        place = self._layer(layer)
        return self._read_entries(place, self._classes if place.local else 0)

    def write_feedback(self, layer: int, feedback: NDArray[np.int16]) -> None:
        """Write what ``read_feedback`` reads."""
        place = self._layer(layer)
        self._write_entries(place, self._classes if place.local else 0, feedback)

    def read_local(self, layer: int) -> NDArray[np.int16]:
        """Local readout of hidden layer ``layer``, which must have one: (classes, n); 12 fraction bits."""
        return self._read_entries(self._layer(layer), 0)

    def write_local(self, layer: int, entries: NDArray[np.int16]) -> None:
        """Write what ``read_local`` reads."""
        self._write_entries(self._layer(layer), 0, entries)

    def read_feedback_shifts(self) -> NDArray[np.uint8]:
        """Feedback shift of each hidden layer."""
        hidden = range(len(self._layers) - 1)
        return np.array(
            [self.read_registers(layer_register(layer, LayerReg.FEEDBACK_SHIFT))[0] for layer in hidden], np.uint8
        )

    def write_feedback_shifts(self, shifts: NDArray[np.uint8]) -> None:
        """Write what ``read_feedback_shifts`` reads."""
        self.write_registers(
            {layer_register(layer, LayerReg.FEEDBACK_SHIFT): int(shift) for layer, shift in enumerate(shifts)}
        )

    def read_lfsr(self) -> NDArray[np.uint32]:
        """LFSR states: (lanes,)."""
        halves = self.read_memory(Space.LFSR, 0, Space.LFSR.rows(self.limits)).astype(np.uint32)
        states: NDArray[np.uint32] = halves[0] | (halves[1] << np.uint32(16))
        return states

    def write_lfsr(self, states: NDArray[np.uint32]) -> None:
        """Write LFSR states, (lanes,), none of them 0."""
        self.write_memory(Space.LFSR, 0, np.stack([states & 0xFFFF, states >> 16]).astype(np.uint16))

    def read_samples(self) -> int:
        """Training samples since the seed was set."""
        return self.read_registers(Reg.SAMPLES)[0]

    def write_samples(self, samples: int) -> None:
        """Write what ``read_samples`` reads."""
        self.write_registers({Reg.SAMPLES: samples})

    def read_membranes(self, layer: int) -> NDArray[np.int32]:
        """Membrane potentials of hidden layer ``layer`` after the last sample: (n,); 12 fraction bits."""
        place = self._layer(layer)
        rows = self.read_memory(Space.MEMBRANE, 2 * place.word_base, 2 * place.words)
        values = rows[0::2].astype(np.int32) | (rows[1::2].view(np.int16).astype(np.int32) << 16)
        return values.reshape(-1)[: place.neurons]

    def read_histories(self, layer: int) -> NDArray[np.uint8]:
        """Spike histories of hidden layer ``layer`` in the last run: (n,); bit t = spike in step t."""
        return (self._read_traces(layer) & 0xFF).astype(np.uint8)

    def read_traces(self, layer: int) -> NDArray[np.uint8]:
        """Presynaptic traces of hidden layer ``layer`` before the last run: (n,); 7 fraction bits."""
        return (self._read_traces(layer) >> 8).astype(np.uint8)

    def _read_traces(self, layer: int) -> NDArray[np.uint16]:
        place = self._layer(layer)
        return self.read_memory(Space.HISTORY, place.word_base, place.words).reshape(-1)[: place.neurons]

    def counters(self) -> dict[Counter, int]:
        """Statistics counters."""
        words = self.read_registers(COUNTER, 2 * len(Counter))
        return {counter: words[2 * counter] | words[2 * counter + 1] << 32 for counter in Counter}

    def clear_counters(self) -> None:
        """Set the statistics counters to 0."""
        self.write_registers({Reg.CLEAR_COUNTERS: 0})

    def run(self, samples: Iterable[Sample], *, train: bool = False, outputs: bool = False) -> Iterator[Result]:
        """Run samples; yields their results in order, while later samples are already being sent.

        Every sample taken from ``samples`` is run and answered, even if its result is not consumed.
        """
        self.turns += 1
        flags = (RunFlag.TRAIN if train else RunFlag(0)) | (RunFlag.OUTPUTS if outputs else RunFlag(0))
        underway: deque[tuple[Request, bool]] = deque()

        def answers(most: int) -> Iterator[Result]:
            """Results of samples, until ``most`` runs are unanswered."""
            while len(underway) > most:
                request, last = underway.popleft()
                result = self._result(request, outputs)
                # The result of a sample is in the reply to its last run.
                if last:
                    yield result

        for sample in samples:
            fresh = RunFlag.FRESH
            for number, payload in enumerate(sample.runs, 1):
                request = self._link.start_run(flags | fresh, sample.label, payload)
                underway.append((request, number == len(sample.runs)))
                fresh = RunFlag(0)
                yield from answers(self.identity.credits - 1)
        yield from answers(0)

    def start_run(self, payload: bytes, label: int, flags: RunFlag) -> Request:
        """Start one run of a stream once the device has a free buffer; `finish_run` returns its result."""
        return self._link.start_run(flags, label, payload)

    def finish_run(self, run: Request, *, outputs: bool = False) -> Result:
        """Wait for the result of a run that was started with RunFlag.OUTPUTS where ``outputs``."""
        return self._result(run, outputs)

    def read_memory(self, space: Space, address: int, rows: int) -> NDArray[np.uint16]:
        """``rows`` rows of a memory: (rows, lanes)."""
        lanes, done = self.limits.lanes, 0
        parts = []
        while done < rows:
            tries = self._read_size.tries(rows - done)
            requests = (REQUESTS[Command.READ_MEMORY].pack(space, address + done, count) for count in tries)
            reply = self._link.call(Command.READ_MEMORY, *requests)
            # The reply to a longer try may arrive after a shorter one was sent.
            count = len(reply) // (ENTRY_BYTES * lanes)
            parts.append(self._array(reply, "<u2", (count if count in tries else tries[0]) * lanes))
            self._read_size.record(count, tries[0])
            done += count
        return np.concatenate(parts).astype(np.uint16).reshape(rows, lanes)

    def write_memory(self, space: Space, address: int, rows: NDArray[np.uint16]) -> None:
        """Write rows of a memory: (rows, lanes)."""
        self.writes += 1
        done = 0
        while done < len(rows):
            tries = self._write_size.tries(len(rows) - done)
            place = REQUESTS[Command.WRITE_MEMORY].pack(space, address + done)
            blocks = [place + rows[done : done + count].astype("<u2").tobytes() for count in tries]
            request = self._link.start(Command.WRITE_MEMORY, *blocks)
            self._link.finish(request)
            # At least this many were written, whichever try was answered.
            count = tries[request.shortened]
            self._write_size.record(count, tries[0])
            done += count

    @property
    def _classes(self) -> int:
        if self.network is None:
            raise OpzoError(f"{self.name} holds no network; create an opzo.Model on it, or call configure")
        return self.network.classes

    def _layer(self, layer: int) -> Layer:
        if not 0 <= layer < len(self._layers):
            held = f"has layers 0..{len(self._layers) - 1}" if self._layers else "holds no network"
            raise OpzoError(f"there is no layer {layer}; {self.name} {held}")
        return self._layers[layer]

    def _write_block(self, addresses: list[int], values: dict[int, int]) -> None:
        words = struct.pack(f"<{len(addresses)}I", *(values[address] for address in addresses))
        self._link.call(Command.WRITE_REGISTERS, REQUESTS[Command.WRITE_REGISTERS].pack(addresses[0]) + words)

    def _read_entries(self, place: Layer, offset: int) -> NDArray[np.int16]:
        """Matrix (classes, n) of a hidden layer; ``offset`` is its first row among the entries of each word."""
        classes = self._classes
        words = [self.read_memory(Space.WEIGHTS, base + offset, classes) for base in self._entry_bases(place)]
        return unpack_rows(np.concatenate(words).view(np.int16), place.neurons)

    def _write_entries(self, place: Layer, offset: int, entries: NDArray[np.int16]) -> None:
        """Write what ``_read_entries`` reads."""
        classes = self._classes
        rows = self._pack(entries, classes, place)
        for word, base in enumerate(self._entry_bases(place)):
            self.write_memory(Space.WEIGHTS, base + offset, rows[word * classes : (word + 1) * classes])

    def _entry_bases(self, place: Layer) -> range:
        stride = self._classes * (1 + place.local)
        return range(place.feedback_base, place.feedback_base + place.words * stride, stride)

    def _read_matrix(self, base: int, rows: int, place: Layer) -> NDArray[np.int16]:
        return unpack_rows(self.read_memory(Space.WEIGHTS, base, rows * place.words).view(np.int16), place.neurons)

    def _write_matrix(self, base: int, rows: int, place: Layer, matrix: NDArray[np.int16]) -> None:
        self.write_memory(Space.WEIGHTS, base, self._pack(matrix, rows, place))

    def _pack(self, matrix: NDArray[np.int16], rows: int, place: Layer) -> NDArray[np.uint16]:
        if matrix.shape != (rows, place.neurons):
            raise OpzoError(f"the matrix has shape {matrix.shape}; this layer needs {(rows, place.neurons)}")
        return pack_rows(matrix, self.limits.lanes).view(np.uint16)

    def _result(self, request: Request, outputs: bool) -> Result:
        data = self._link.finish(request)
        if len(data) < RESULT.size:
            raise LinkError(f"{self.name} answered a sample with {len(data)} bytes; at least {RESULT.size} expected")
        prediction, loss = RESULT.unpack(data)
        sums = self._array(data[RESULT.size :], "<i4", self._classes if outputs else 0)
        return Result(prediction, loss, sums.astype(np.int32))

    def _array(self, data: bytes, kind: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(data, kind) if len(data) % np.dtype(kind).itemsize == 0 else None
        if values is None or len(values) != count:
            raise LinkError(f"{self.name} answered with {len(data)} bytes; {count * np.dtype(kind).itemsize} expected")
        return values


def open_device(name: str, network: Network | None = None, lanes: int = 16, weight_bits: int = WEIGHT.width) -> Device:
    """Open a device by its device string, such as ``fast`` or ``serial:/dev/ttyUSB0@3000000``.

    A simulated device is built for ``network``, with ``lanes`` lanes and ``weight_bits`` (16 or 12) bits per weight. A
    board keeps its own sizes.
    """
    if network is not None and not isinstance(network, Network):
        raise OpzoError(f"network must be an opzo.Network, not {shown(network)}; write opzo.Network('64-64-10')")
    limits = None
    if network is not None and is_simulated(name):
        limits = network.limits(lanes, weight_bits)
        network.check(limits)
    return Device(name, Link(connection(name, limits)))
