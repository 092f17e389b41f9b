"""A device: typed calls over the link, the same for boards, simulated gateware and models."""

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.devices import connection, is_simulated
from opzo.host.driver.link import Link
from opzo.host.driver.raw_device import RawDevice
from opzo.host.driver.row_layout import pack_rows, unpack_rows
from opzo.spec.errors import OpzoError
from opzo.spec.formats import WEIGHT
from opzo.spec.memories import Space
from opzo.spec.messages import shown
from opzo.spec.network import Layer, Network
from opzo.spec.registers import LayerReg, Reg, layer_register, network_registers
from opzo.spec.rules import Rule


class Device(RawDevice):
    """An open device, with the arrays of the network in its memories.

    Close it after use, or use it in a ``with`` statement.

    Attributes are those of `RawDevice`.
    """

    def __init__(self, name: str, link: Link) -> None:
        super().__init__(name, link)
        self._layers: tuple[Layer, ...] = ()

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else f"holds {self.network}" if self.network else "holds no network"
        return f"<Device {self.name!r}: {self.limits.lanes} lanes, {self.limits.weight_bits}-bit weights, {state}>"

    def configure(self, network: Network, rule: Rule) -> None:
        """Configure the device for ``network``; NetworkError names the limit where it is too small."""
        self._layers = network.layout(self.limits)
        self.network = network
        self.writes += 1
        self.write_registers(network_registers(network, self.limits, rule))

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

    def _layer(self, layer: int) -> Layer:
        if not 0 <= layer < len(self._layers):
            held = f"has layers 0..{len(self._layers) - 1}" if self._layers else "holds no network"
            raise OpzoError(f"there is no layer {layer}; {self.name} {held}")
        return self._layers[layer]

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
