"""A device: typed calls over the link, the same for a board, the simulated chip and the golden model."""

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
from opzo.host.driver.link import MEMORY_ADDRESS, Exchange, Link
from opzo.host.driver.row_layout import pack_rows, unpack_rows
from opzo.spec.commands import Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.memories import Space
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
"""Size of one reply to READ_MEMORY on a clean line: a tenth of a second on a fast UART."""
RESULT = struct.Struct("<BI")
SETTINGS = frozenset(
    {Reg.ALPHA, Reg.RATE, Reg.ACTIVITY, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT, Reg.MSE_SHIFT, Reg.CLEAR_COUNTERS}
)
"""Registers that say how to learn and to count; all others say what the device holds."""


@dataclass(frozen=True)
class Sample:
    """One sample as it travels: the input of its runs (``opzo.spec.events``), one for a frame, and its class."""

    runs: tuple[bytes, ...]
    label: int = 0


@dataclass(frozen=True)
class Result:
    """Answer to one sample.

    Attributes
    ----------
    prediction : int
    loss : int
        Summed over the time steps, 8 fraction bits, in bits.
    outputs : int32 (classes,)
        Summed read-outs, 12 fraction bits; empty unless asked for.
    """

    prediction: int
    loss: int
    outputs: NDArray[np.int32]


class Device:
    """A device that is ready for commands. Close it, or use it in a ``with`` statement.

    Attributes
    ----------
    name : str
        Device string it was opened by.
    identity : Identity
    limits : Limits
        What the device was built for.
    network : Network or None
        Network it is configured for.
    writes : int
        Counts what is written to it of networks and states. What learns or runs on a device belongs to the count at
        which it began: a device holds one model at a time.
    turns : int
        Counts what runs on it without being interrupted: series of samples, and streams since their reset.
    """

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.identity: Identity = link.identity
        self.limits: Limits = link.identity.limits
        self.network: Network | None = None
        self.writes = self.turns = 0
        self._opened: Link | None = link
        self._layers: tuple[Layer, ...] = ()
        row = 2 * self.limits.lanes
        self._read_size = BlockSize(max(1, READ_BYTES // row), row)
        self._write_size = BlockSize((self.identity.max_payload - MEMORY_ADDRESS.size) // row, row)

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
        """Whether it was closed."""
        return self._opened is None

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise OpzoError(f"{self.name} was closed; open it again with opzo.connect")
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
        """Begin another session, after frames that were sent past this object."""
        self._link.renew()

    def reset(self) -> None:
        """Discard a half-sent sample; memories, registers and counters stay."""
        self._link.call(Command.RESET)

    def configure(self, network: Network, rule: Rule) -> None:
        """Set the device up for ``network``; NetworkError, naming the limit, where it is too small for it."""
        self._layers = network.layout(self.limits)
        self.network = network
        self.writes += 1
        self.write_registers(network_registers(network, self.limits, rule))

    def read_registers(self, address: int, count: int = 1) -> list[int]:
        """``count`` (1..255) registers from ``address`` on."""
        data = self._link.call(Command.READ_REGISTERS, bytes((address, count)))
        return [int(value) for value in self._array(data, "<u4", count)]

    def write_registers(self, values: dict[int, int]) -> None:
        """Write registers by address; neighbours travel in one frame."""
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
        """Feedback matrix M of hidden layer ``layer``: (classes, n); 1 fraction bit."""
        place = self._layer(layer)
        return self._read_entries(place, self._classes if place.local else 0)

    def write_feedback(self, layer: int, feedback: NDArray[np.int16]) -> None:
        """Write what ``read_feedback`` reads."""
        place = self._layer(layer)
        self._write_entries(place, self._classes if place.local else 0, feedback)

    def read_local(self, layer: int) -> NDArray[np.int16]:
        """Local read-out of hidden layer ``layer``, which must have one: (classes, n); 12 fraction bits."""
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
        halves = self.read_memory(Space.LFSR, 0, 2).astype(np.uint32)
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
        """Stream samples through the device; results in order, while later samples are already on their way.

        Every sample taken from ``samples`` is run and answered, whether or not its result is asked for.
        """
        self.turns += 1
        flags = (RunFlag.TRAIN if train else RunFlag(0)) | (RunFlag.OUTPUTS if outputs else RunFlag(0))
        underway: deque[tuple[Exchange, bool]] = deque()

        def answers(most: int) -> Iterator[Result]:
            """Results of samples, until ``most`` runs are unanswered."""
            while len(underway) > most:
                exchange, last = underway.popleft()
                result = self._result(exchange, outputs)
                # What a sample came to stands in the answer to its last run.
                if last:
                    yield result

        for sample in samples:
            fresh = RunFlag.FRESH
            for number, payload in enumerate(sample.runs, 1):
                exchange = self._link.start_run(flags | fresh, sample.label, payload)
                underway.append((exchange, number == len(sample.runs)))
                fresh = RunFlag(0)
                yield from answers(self.identity.credits - 1)
        yield from answers(0)

    def start_run(self, payload: bytes, label: int, flags: RunFlag) -> Exchange:
        """Start one run of a stream as soon as the device has a buffer free; `finish_run` gives its result."""
        return self._link.start_run(flags, label, payload)

    def finish_run(self, run: Exchange, *, outputs: bool = False) -> Result:
        """Wait for the result of a run that was started with RunFlag.OUTPUTS where ``outputs``."""
        return self._result(run, outputs)

    def read_memory(self, space: Space, address: int, rows: int) -> NDArray[np.uint16]:
        """``rows`` rows of a memory: (rows, lanes)."""
        lanes, done = self.limits.lanes, 0
        parts = []
        while done < rows:
            tries = self._read_size.tries(rows - done)
            place = MEMORY_ADDRESS.pack(space, address + done)
            reply = self._link.call(Command.READ_MEMORY, *(place + struct.pack("<H", count) for count in tries))
            # The answer to a longer try may come after a shorter one was sent.
            count = len(reply) // (2 * lanes)
            parts.append(self._array(reply, "<u2", (count if count in tries else tries[0]) * lanes))
            self._read_size.took(count, tries[0])
            done += count
        return np.concatenate(parts).astype(np.uint16).reshape(rows, lanes)

    def write_memory(self, space: Space, address: int, rows: NDArray[np.uint16]) -> None:
        """Write rows of a memory: (rows, lanes)."""
        self.writes += 1
        done = 0
        while done < len(rows):
            tries = self._write_size.tries(len(rows) - done)
            place = MEMORY_ADDRESS.pack(space, address + done)
            blocks = [place + rows[done : done + count].astype("<u2").tobytes() for count in tries]
            exchange = self._link.start(Command.WRITE_MEMORY, *blocks)
            self._link.finish(exchange)
            # At least so many were written, whichever try was answered.
            count = tries[exchange.shortened]
            self._write_size.took(count, tries[0])
            done += count

    @property
    def _classes(self) -> int:
        if self.network is None:
            raise OpzoError(f"{self.name} holds no network; make an opzo.Model on it, or configure it")
        return self.network.classes

    def _layer(self, layer: int) -> Layer:
        if not 0 <= layer < len(self._layers):
            held = f"has layers 0..{len(self._layers) - 1}" if self._layers else "holds no network"
            raise OpzoError(f"there is no layer {layer}; {self.name} {held}")
        return self._layers[layer]

    def _write_block(self, addresses: list[int], values: dict[int, int]) -> None:
        words = struct.pack(f"<{len(addresses)}I", *(values[address] for address in addresses))
        self._link.call(Command.WRITE_REGISTERS, bytes((addresses[0],)) + words)

    def _read_entries(self, place: Layer, offset: int) -> NDArray[np.int16]:
        """Entries from ``offset`` on of each word of a hidden layer: (classes, n)."""
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

    def _result(self, exchange: Exchange, outputs: bool) -> Result:
        data = self._link.finish(exchange)
        if len(data) < RESULT.size:
            raise LinkError(f"{self.name} answered a sample with {len(data)} bytes; at least {RESULT.size} expected")
        prediction, loss = RESULT.unpack_from(data)
        sums = self._array(data[RESULT.size :], "<i4", self._classes if outputs else 0)
        return Result(prediction, loss, sums.astype(np.int32))

    def _array(self, data: bytes, kind: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(data, kind) if len(data) % np.dtype(kind).itemsize == 0 else None
        if values is None or len(values) != count:
            raise LinkError(f"{self.name} answered with {len(data)} bytes; {count * np.dtype(kind).itemsize} expected")
        return values


def open_device(name: str, network: Network | None = None, lanes: int = 16, weight_bits: int = WEIGHT.width) -> Device:
    """Open a device by its string: ``fast``, ``golden``, ``rtl`` or ``serial:/dev/ttyUSB0[@baud]``.

    The simulated ones are built with ``lanes`` lanes, ``weight_bits`` (16 or 12) bits a weight and large enough for
    ``network``; a board is what it is.
    """
    if network is not None and not isinstance(network, Network):
        raise OpzoError(f"network must be an opzo.Network, not {shown(network)}; write opzo.Network('64-64-10')")
    limits = None
    if network is not None and is_simulated(name):
        limits = network.limits(lanes, weight_bits)
        network.check(limits)
    return Device(name, Link(connection(name, limits)))
