"""Random sequences on one chip: successive networks, settings and runs, and abandoned input.

State left by one network, rule, kind of input or run must not affect the next. Memories keep their contents or are
filled with noise, including lanes without a neuron, and settings take their extreme values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from opzo.sim.benches.stimuli import draw_chunk, draw_flags
from opzo.spec.commands import RunFlag
from opzo.spec.errors import NetworkError
from opzo.spec.events import Chunk, encode_frame_pairs, encode_steps
from opzo.spec.layers import BLOCKS, KERNELS, Convolution, Dense, Map, Part, Pool
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import MAX_LOCAL_CLASSES, Network
from opzo.spec.neurons import NEURON_BITS
from opzo.spec.registers import (
    CONVOLUTION_FIELDS,
    CONVOLUTION_REGISTERS,
    LAYER_FIELDS,
    READOUT_LAYER,
    STORED,
    LayerReg,
    Reg,
    layer_register,
    network_registers,
)
from opzo.spec.rules import Input, Rule

RATES = (Reg.ALPHA, Reg.RATE, Reg.ACTIVITY, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT, Reg.MSE_SHIFT, Reg.SAMPLES)
USUAL = {Reg.ALPHA: 819, Reg.RATE: 84, Reg.ACTIVITY: 21, Reg.DECAY_SHIFT: 6, Reg.LEAK_SHIFT: 4, Reg.MSE_SHIFT: 7}
KINDS = (Input.FRAME, Input.SPIKES, Input.GRADED, 3)
"""Values of register INPUT; 3 is equivalent to SPIKES."""
BATCHES = (0, 1, 1, 2, 5, 255)
SCALES = (1500, 5000, 32767)
"""Largest magnitudes of entries in the memories."""


@dataclass(frozen=True)
class Settings:
    """Registers to write, in ascending order of address."""

    values: dict[int, int]


@dataclass(frozen=True)
class Rows:
    """Rows of a memory to write."""

    space: Space
    first: int
    data: np.ndarray
    """uint16 (rows, lanes)."""


@dataclass(frozen=True)
class Run:
    """A run with input of ``kind``, the value of register INPUT."""

    kind: Input
    chunk: Chunk
    label: int
    flags: RunFlag

    @property
    def payload(self) -> bytes:
        """Input as encoded on the link."""
        return encoded(self.kind, self.chunk)


@dataclass(frozen=True)
class GivenUp:
    """Abandoned input: sent only in part, or not followed by a run."""

    payload: bytes


Step = Settings | Rows | Run | GivenUp


def encoded(kind: Input, chunk: Chunk) -> bytes:
    """Input of a run as encoded on the link."""
    if kind is Input.FRAME:
        return encode_frame_pairs(chunk.addresses, chunk.values)
    return encode_steps(chunk, graded=kind is Input.GRADED)


class Sequence:
    """Endless random steps for a chip with ``limits``.

    Attributes
    ----------
    network : Network
        Current network.
    networks : int
        Number of networks so far.
    """

    network: Network

    def __init__(self, seed: int, limits: Limits) -> None:
        self._rng, self._limits = np.random.default_rng(seed), limits
        self.networks = 0
        self._kind = 0

    def __iter__(self) -> Iterator[Step]:
        while True:
            yield from self._configure()
            for _ in range(int(self._rng.integers(1, 13))):
                yield from self._go_on()

    def _go_on(self) -> Iterator[Step]:
        """A step with the current network."""
        rng = self._rng
        what = rng.choice(("run", "settings", "ways", "memory", "give up"), p=(0.72, 0.09, 0.09, 0.04, 0.06))
        if what == "run":
            yield self.run()
        elif what == "settings":
            yield Settings(self._rates())
        elif what == "ways":
            yield self._ways()
        elif what == "memory":
            yield from self._memories()
        else:
            payload = self.run().payload
            yield GivenUp(payload[: int(rng.integers(len(payload) + 1))])

    def run(self) -> Run:
        """A run of the current network."""
        rng, limits = self._rng, self._limits
        kind = Input(self._kind) if self._kind != KINDS[-1] else Input.SPIKES
        sizes, steps = self.network.sizes, self.network.steps
        chunk = draw_chunk(rng, Network(sizes, steps, input=kind), limits.events, limits.steps)
        flags = draw_flags(rng) | (RunFlag.OUTPUTS if rng.random() < 0.5 else RunFlag(0))
        return Run(kind, chunk, int(rng.integers(self.network.classes)), flags)

    def _configure(self) -> Iterator[Step]:
        """Steps that configure another network."""
        rng, limits = self._rng, self._limits
        self.network = self._draw_network()
        self.networks += 1
        if rng.random() < 0.2:
            registers, fields = STORED, LAYER_FIELDS
            if limits.gradients:
                registers, fields = registers + CONVOLUTION_REGISTERS, fields + CONVOLUTION_FIELDS
            noise = {int(register): self._setting(register.bits) for register in registers}
            for slot in range(READOUT_LAYER + 1):
                noise |= {layer_register(slot, field): self._setting(field.bits) for field in fields}
            yield Settings(noise)
        self._kind = int(rng.choice(KINDS))
        rule = Rule(int(rng.integers(len(Rule))))
        # A rule without feedback matrices leaves those of the network unused.
        values = network_registers(self.network, limits, Rule.OPZO) | {int(Reg.RULE): int(rule)}
        yield Settings(values | {int(Reg.INPUT): self._kind} | self._rates())
        yield from self._memories()

    def _draw_network(self) -> Network:
        """A network that fits, often with a layer that exactly fills its words or has one neuron more or less."""
        rng, limits = self._rng, self._limits
        convolves = limits.gradients and rng.random() < 0.7
        while convolves:
            try:
                network = self._draw_convolutions()
                network.check(limits)
            except NetworkError:
                continue
            return network
        while True:
            hidden = [self._size(limits.lanes * limits.words) for _ in range(int(rng.integers(1, limits.layers + 1)))]
            sizes = (self._size(limits.inputs), *hidden, max(2, self._size(limits.classes)))
            local = int(rng.integers(len(hidden) + 1)) if sizes[-1] <= MAX_LOCAL_CLASSES else 0
            network = Network(sizes, int(rng.integers(1, limits.steps + 1)), local)
            try:
                network.check(limits)
            except NetworkError:
                continue
            return network

    def _draw_convolutions(self) -> Network:
        """A network with convolutions; NetworkError where their maps or the classes do not allow it."""
        rng, limits = self._rng, self._limits
        most = 2 * limits.lanes + 1
        below = Map(*(int(rng.integers(1, top)) for top in (5, 9, 9)))
        sizes: list[Map | Part] = [below]
        hidden = int(rng.integers(1, limits.layers + 1))
        convolutions = int(rng.integers(1, hidden + 1))
        for layer in range(hidden):
            if layer < convolutions:
                sizes.append(Convolution(self._size(most), int(rng.choice(KERNELS))))
                if not (below.height % 2 or below.width % 2) and rng.random() < 0.7:
                    sizes.append(Pool())
                    below = below.pooled()
            else:
                sizes.append(Dense(self._size(most)))
        sizes.append(Dense(max(2, self._size(limits.classes))))
        steps, local = int(rng.integers(1, limits.steps + 1)), int(rng.integers(hidden + 1))
        # Too many classes for it make a NetworkError.
        intermediate = int(rng.integers(2, local + 1)) if local > 1 and rng.random() < 0.5 else 0
        return Network(sizes, steps, local, block=int(rng.choice(BLOCKS)), intermediate=intermediate)

    def _size(self, most: int) -> int:
        """Number of neurons of a layer, or of inputs."""
        rng, lanes = self._rng, self._limits.lanes
        words = int(rng.integers(1, 4)) * lanes
        choices = (1, lanes - 1, words - 1, words, words + 1, int(rng.integers(1, 3 * lanes)), most)
        return min(int(rng.choice(choices)), most)

    def _setting(self, bits: int) -> int:
        top = (1 << bits) - 1
        return int(self._rng.choice((0, 1, top, int(self._rng.integers(top + 1)))))

    def _rates(self) -> dict[int, int]:
        """Rates and shifts: usual or extreme values."""
        rng = self._rng
        extreme = rng.choice((0.0, 0.3, 1.0))
        values = {int(register): self._setting(register.bits) for register in RATES if rng.random() < extreme}
        usual = {int(register): value for register, value in USUAL.items()}
        # The feedback shifts are chosen again in every 64th run with learning.
        values |= {int(Reg.SAMPLES): int(rng.choice((0, 62, 63, (1 << Reg.SAMPLES.bits) - 1)))}
        if self._limits.gradients:
            values[int(Reg.BATCH)] = int(rng.choice(BATCHES))
            for register in (Reg.PENDING, Reg.CONVOLUTION_RATE):
                values[int(register)] = self._setting(register.bits)
        for slot in range(len(self.network.convolutions)):
            values[layer_register(slot, LayerReg.MAGNITUDE)] = int(2 ** rng.uniform(0, LayerReg.MAGNITUDE.bits)) - 1
        for slot in range(len(self.network.hidden)):
            values[layer_register(slot, LayerReg.FEEDBACK_SHIFT)] = self._setting(LayerReg.FEEDBACK_SHIFT.bits)
            values[layer_register(slot, LayerReg.NEURON)] = int(rng.integers(1 << NEURON_BITS))
            if slot < self.network.local:
                values[layer_register(slot, LayerReg.LOCAL_SHIFT)] = int(
                    rng.integers(1, 1 << LayerReg.LOCAL_SHIFT.bits)
                )
        return usual | values

    def _ways(self) -> Settings:
        """Change rule, kind of input or number of steps of the current network."""
        rng, values = self._rng, {}
        if rng.random() < 0.5:
            values[int(Reg.RULE)] = int(rng.integers(len(Rule)))
        if rng.random() < 0.5:
            values[int(Reg.INPUT)] = self._kind = int(rng.choice(KINDS))
        values[int(Reg.STEPS)] = int(rng.integers(1, self._limits.steps + 1))
        if rng.random() < 0.3:
            values[int(Reg.CLEAR_COUNTERS)] = 0
        return Settings(values)

    def _memories(self) -> Iterator[Step]:
        """All rows, only those of the network's neurons, or none; LFSR states, some of them 0 or all ones."""
        rng, limits = self._rng, self._limits
        what = rng.choice(("all", "neurons", "nothing"), p=(0.3, 0.5, 0.2))
        scale = int(rng.choice(SCALES))
        if what == "all":
            yield Rows(Space.WEIGHTS, 0, self._noise(limits.rows, scale))
        elif what == "neurons":
            for layer in self.network.layout(limits):
                first = min(layer.feedback_base, layer.weight_base)
                entries = layer.weight_base - first
                rows = self._noise(entries + layer.words * layer.rows, scale)
                for word, base in enumerate(range(entries, len(rows), layer.rows)):
                    rows[base : base + layer.rows] *= word * limits.lanes + np.arange(limits.lanes) < layer.neurons
                words = layer.blocks * layer.words
                for word in range(words if entries else 0):
                    count, first_lane = entries // words, word % layer.words * limits.lanes
                    rows[word * count :][:count] *= first_lane + np.arange(limits.lanes) < layer.neurons
                yield Rows(Space.WEIGHTS, first, rows)
        if what != "nothing" and limits.gradients:
            yield Rows(Space.GRADIENTS, 0, self._noise(2 * limits.gradients, scale))
        if what != "nothing":
            states = rng.integers(0, 1 << 16, (2, limits.lanes), np.uint16)
            states[:, rng.random(limits.lanes) < 0.1] = rng.choice((0, 0xFFFF))
            yield Rows(Space.LFSR, 0, states)

    def _noise(self, rows: int, scale: int) -> np.ndarray:
        values = self._rng.integers(-scale - 1, scale + 1, (rows, self._limits.lanes))
        return values.astype(np.uint16)
