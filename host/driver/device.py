"""A device: typed calls over the link, the same for boards, simulated gateware and models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.devices import connection, is_simulated, simulated_limits
from opzo.host.driver.link import Link
from opzo.host.driver.position_order import by_position, pad_channels, without_padding
from opzo.host.driver.raw_device import RawDevice
from opzo.host.driver.row_layout import pack_rows, unpack_rows
from opzo.spec.errors import NetworkError, OpzoError
from opzo.spec.formats import MAGNITUDE_MAX, WEIGHT
from opzo.spec.layout import EntrySet, Layer
from opzo.spec.memories import Space
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.spec.registers import REGISTERS, LayerReg, Reg, layer_register, network_registers
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
        """Configure the device for ``network``; NetworkError names the limit where it is too small.

        A device that only infers must hold this network: OpzoError where it holds another one.
        """
        try:
            self._layers = network.layout(self.limits)
        except NetworkError as error:
            if is_simulated(self.name):
                raise
            raise NetworkError(
                f"{error}; train a smaller network, or build a chip for this one (opzo build --board BOARD --net "
                f"{network}) and program the board with it"
            ) from None
        if not self.limits.learning:
            self._check_fixed(network, rule)
        self.network = network
        self.writes += 1
        if not self.limits.learning:
            return
        self.write_registers(network_registers(network, self.limits, rule))
        for layer, shape in enumerate(network.weight_shapes[: len(network.convolutions)]):
            self.write_gradients(layer, np.zeros(shape, np.int32))

    def read_weights(self, layer: int) -> NDArray[np.int16]:
        """Weights of layer ``layer`` (0 = the first): (n_in + 1, n_out), last row the bias; 12 fraction bits.

        A convolution has n_in = kernel x kernel x channels below, in this order, and n_out channels.
        """
        place = self._layer(layer)
        return self._read_matrix(place.weight_base, place.rows, place)

    def write_weights(self, layer: int, weights: NDArray[np.int16]) -> None:
        """Write what ``read_weights`` reads.

        A device that only infers must hold these weights: OpzoError where it holds others.
        """
        place = self._layer(layer)
        if not self.limits.learning:
            differ = int((self.read_weights(layer) != weights).sum())
            if differ:
                raise OpzoError(
                    f"{self.name} only infers, and {differ:,} of its {weights.size:,} weights of layer {layer + 1} are "
                    "not those of this network; build the core again from this run (opzo verilog --inference RUN)"
                )
            return
        self._write_matrix(place.weight_base, place.rows, place, weights)

    def read_feedback(self, layer: int) -> NDArray[np.int16]:
        """Feedback matrix of hidden layer ``layer``: (classes, n); 1 fraction bit.

        A convolution has n = blocks x channels; blocks are numbered row by row.
        """
        return self._read_entries(layer, EntrySet.FEEDBACK)

    def write_feedback(self, layer: int, feedback: NDArray[np.int16]) -> None:
        """Write what ``read_feedback`` reads."""
        self._write_entries(layer, EntrySet.FEEDBACK, feedback)

    def read_local(self, layer: int) -> NDArray[np.int16]:
        """Local readout of hidden layer ``layer``: (classes, n); 12 fraction bits. OpzoError for a layer without."""
        return self._read_entries(layer, EntrySet.LOCAL)

    def write_local(self, layer: int, entries: NDArray[np.int16]) -> None:
        """Write what ``read_local`` reads."""
        self._write_entries(layer, EntrySet.LOCAL, entries)

    def read_intermediate(self, layer: int) -> NDArray[np.int16]:
        """Feedback matrix of hidden layer ``layer`` for the errors of the intermediate readout: (classes, n); 1
        fraction bit. OpzoError for a layer without."""
        return self._read_entries(layer, EntrySet.INTERMEDIATE)

    def write_intermediate(self, layer: int, matrix: NDArray[np.int16]) -> None:
        """Write what ``read_intermediate`` reads."""
        self._write_entries(layer, EntrySet.INTERMEDIATE, matrix)

    def read_feedback_shifts(self) -> NDArray[np.uint8]:
        """Feedback shift of each hidden layer."""
        return np.array(self._read_fields(LayerReg.FEEDBACK_SHIFT, len(self._layers) - 1), np.uint8)

    def write_feedback_shifts(self, shifts: NDArray[np.uint8]) -> None:
        """Write what ``read_feedback_shifts`` reads."""
        self._write_fields(LayerReg.FEEDBACK_SHIFT, shifts)

    def read_gradients(self, layer: int) -> NDArray[np.int32]:
        """Gradient accumulators of layer ``layer``, a convolution: (n_in + 1, n_out), as the weights; 23 fraction
        bits, 11 more than a weight."""
        place = self._convolution(layer)
        rows = self.read_memory(Space.GRADIENTS, 2 * place.gradient_base, 2 * place.rows * place.words)
        return unpack_rows(_joined(rows), place.neurons)

    def write_gradients(self, layer: int, gradients: NDArray[np.int32]) -> None:
        """Write what ``read_gradients`` reads."""
        place = self._convolution(layer)
        if gradients.shape != (place.rows, place.neurons):
            raise OpzoError(f"gradients have shape {gradients.shape}; this layer needs {(place.rows, place.neurons)}")
        packed = pack_rows(gradients, self.limits.lanes).view(np.uint32)
        halves = np.stack([packed & 0xFFFF, packed >> 16], axis=1).astype(np.uint16)
        self.write_memory(Space.GRADIENTS, 2 * place.gradient_base, halves.reshape(-1, self.limits.lanes))

    def read_magnitudes(self) -> NDArray[np.uint32]:
        """Running sum of the gradients of each convolution, from which the device derives their shift."""
        convolutions = sum(layer.convolution for layer in self._layers)
        return np.array(self._read_fields(LayerReg.MAGNITUDE, convolutions), np.uint32)

    def write_magnitudes(self, magnitudes: NDArray[np.uint32]) -> None:
        """Write what ``read_magnitudes`` reads."""
        self._write_fields(LayerReg.MAGNITUDE, magnitudes)

    def forget_magnitudes(self) -> None:
        """Set the running sums of gradients to their largest value, as in a new run.

        The steps of convolutions are then small at first, and grow until the sums fit the gradients. Needed where the
        step size becomes larger: the sums of small gradients would make the first steps too large by as much.
        """
        convolutions = sum(layer.convolution for layer in self._layers)
        self.write_magnitudes(np.full(convolutions, MAGNITUDE_MAX, np.uint32))

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
        """Membrane potentials of hidden layer ``layer`` after the last sample: (n,); 12 fraction bits.

        Those of a convolution are in the order (height, width, channels).
        """
        place = self._layer(layer)
        rows = self.read_memory(Space.MEMBRANE, 2 * place.word_base, 2 * place.all_words)
        return by_position(_joined(rows), place, self.limits.lanes)

    def read_histories(self, layer: int) -> NDArray[np.uint8]:
        """Spike histories of hidden layer ``layer`` in the last run: (n,); bit t = spike in step t."""
        return (self._read_traces(layer) & 0xFF).astype(np.uint8)

    def read_traces(self, layer: int) -> NDArray[np.uint8]:
        """Presynaptic traces of hidden layer ``layer`` before the last run: (n,); 7 fraction bits."""
        return (self._read_traces(layer) >> 8).astype(np.uint8)

    def _read_traces(self, layer: int) -> NDArray[np.uint16]:
        self.require_learning()
        place = self._layer(layer)
        rows = self.read_memory(Space.HISTORY, place.word_base, place.all_words)
        return by_position(rows, place, self.limits.lanes)

    def _check_fixed(self, network: Network, rule: Rule) -> None:
        """Raise OpzoError where a device that only infers was not built for ``network``."""
        for address, value in network_registers(network, self.limits, rule).items():
            held = self.read_registers(address)[0]
            if held != value:
                raise OpzoError(
                    f"{self.name} only infers, and was not built for {network}: its register "
                    f"{REGISTERS[address].name} holds {held}, this network needs {value}; give the run that it was "
                    "built from"
                )

    def _read_fields(self, field: LayerReg, layers: int) -> list[int]:
        """A register of each of the first ``layers`` layers; LinkError for a value that it cannot hold."""
        values = [self.read_registers(layer_register(layer, field))[0] for layer in range(layers)]
        self._check_bits(field.name, values, field.bits)
        return values

    def _write_fields(self, field: LayerReg, values: NDArray[np.unsignedinteger]) -> None:
        """Write what ``_read_fields`` reads."""
        self.write_registers({layer_register(layer, field): value for layer, value in enumerate(values.tolist())})

    def _convolution(self, layer: int) -> Layer:
        place = self._layer(layer)
        if not place.convolution:
            raise OpzoError(f"layer {layer} of {self.network} is no convolution; it has no gradient accumulators")
        return place

    def _layer(self, layer: int) -> Layer:
        if not 0 <= layer < len(self._layers):
            held = f"has layers 0..{len(self._layers) - 1}" if self._layers else "holds no network"
            raise OpzoError(f"there is no layer {layer}; {self.name} {held}")
        return self._layers[layer]

    def _read_entries(self, layer: int, kind: EntrySet) -> NDArray[np.int16]:
        """Matrix (classes, n) of a hidden layer."""
        place, bases = self._entries(layer, kind)
        words = [self.read_memory(Space.WEIGHTS, base, self._classes) for base in bases]
        entries = np.concatenate(words).view(np.int16)
        return without_padding(unpack_rows(entries, entries.size // self._classes), place, self.limits.lanes)

    def _write_entries(self, layer: int, kind: EntrySet, entries: NDArray[np.int16]) -> None:
        """Write what ``_read_entries`` reads."""
        classes = self._classes
        place, bases = self._entries(layer, kind)
        shape = (classes, place.blocks * place.neurons)
        if entries.shape != shape:
            raise OpzoError(f"the matrix has shape {entries.shape}; this layer needs {shape}")
        rows = pack_rows(pad_channels(entries, place, self.limits.lanes), self.limits.lanes).view(np.uint16)
        for word, base in enumerate(bases):
            self.write_memory(Space.WEIGHTS, base, rows[word * classes : (word + 1) * classes])

    def _entries(self, layer: int, kind: EntrySet) -> tuple[Layer, range]:
        """A hidden layer, and the first row of one of its entry sets for each block word; OpzoError without the set."""
        place = self._layer(layer)
        sets = place.entry_sets if place is not self._layers[-1] else ()
        if kind not in sets:
            raise OpzoError(f"layer {layer} of {self.network} has no {kind.value}")
        first, stride = place.feedback_base + sets.index(kind) * self._classes, len(sets) * self._classes
        return place, range(first, first + place.block_words * stride, stride)

    def _read_matrix(self, base: int, rows: int, place: Layer) -> NDArray[np.int16]:
        return unpack_rows(self.read_memory(Space.WEIGHTS, base, rows * place.words).view(np.int16), place.neurons)

    def _write_matrix(self, base: int, rows: int, place: Layer, matrix: NDArray[np.int16]) -> None:
        if matrix.shape != (rows, place.neurons):
            raise OpzoError(f"the matrix has shape {matrix.shape}; this layer needs {(rows, place.neurons)}")
        self.write_memory(Space.WEIGHTS, base, pack_rows(matrix, self.limits.lanes).view(np.uint16))


def _joined(rows: NDArray[np.uint16]) -> NDArray[np.int32]:
    """Values of 32 bits, signed, from rows of low and of high halves by turns."""
    return rows[0::2].astype(np.int32) | (rows[1::2].view(np.int16).astype(np.int32) << 16)


def open_device(name: str, network: Network | None = None, lanes: int = 16, weight_bits: int = WEIGHT.width) -> Device:
    """Open a device by its device string, such as ``fast`` or ``serial:/dev/ttyUSB0@3000000``.

    A simulated device is built for ``network``, with ``lanes`` lanes and ``weight_bits`` (16 or 12) bits per weight. A
    board keeps its own sizes.
    """
    if network is not None and not isinstance(network, Network):
        raise OpzoError(f"network must be an opzo.Network, not {shown(network)}; write opzo.Network('64-64-10')")
    limits = None
    if network is not None and is_simulated(name):
        limits = simulated_limits(name, network, lanes, weight_bits)
    return Device(name, Link(connection(name, limits)))
