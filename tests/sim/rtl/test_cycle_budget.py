"""Clock cycles of the chip against a lower bound that is counted from the spikes alone.

The bound is the number of row-words that must move, at one a cycle: a row-word of weights for each neuron that spiked
in the window of a position, one for its bias, one for each entry of a matrix that carries errors. It uses neither
counters nor geometry of opzo, so that a slower sequencer and a wrong count in the model are both found.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from small_chip import SMALL_CHIP

from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection, Transport
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.sim.golden.recorder import RecordingCore, RunRecord
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk, encode_frame_pairs, encode_steps
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input, Rule

SEED = 3
SAMPLES = 8
BLOCK = 2
"""Side of a block of positions that share their feedback; `Network`'s default."""
SLOWER = 1.15
"""Cycles of a run over its bound, where the bound is large."""
STEP_CYCLES = {False: 32, True: 60}
"""Cycles of a time step that the bound does not count, without and with learning: from the last row of a layer to the
neurons that the next layer waits for, and from the readout to the errors."""
WORD_CYCLES = 2
"""The same of a word of a position of a convolution in Integrate."""
LEARN_WORD_CYCLES = 26
"""The same in Learn: the time from its credits to its first row."""


@dataclass(frozen=True)
class Below:
    """The neurons below a weight layer: height, width and channels of their map, and pool and kernel of the layer.

    A dense layer has ``kernel`` 0 and sees all of them in one position. ``above`` is the number of its own neurons, or
    channels.
    """

    height: int
    width: int
    channels: int
    pool: int
    kernel: int
    above: int

    def words(self, lanes: int) -> int:
        return -(-self.above // lanes)

    @property
    def windows(self) -> list[tuple[slice, slice]]:
        """Rows and columns of the map that each position sees."""
        if not self.kernel:
            return [(slice(None), slice(None))]
        sides = []
        for size in (self.height, self.width):
            reach, cells = self.kernel // 2, size // self.pool
            ends = [(max(cell - reach, 0), min(cell + reach + 1, cells)) for cell in range(cells)]
            sides.append([slice(begin * self.pool, end * self.pool) for begin, end in ends])
        return [(rows, columns) for rows in sides[0] for columns in sides[1]]

    def moved(self, active: np.ndarray, lanes: int) -> int:
        """Row-words of active neurons and biases; bool (height, width, channels).

        The list of active neurons is entered at each row of a window, which takes a cycle, too.
        """
        total = 0
        for rows, columns in self.windows:
            entered = rows.stop - rows.start if self.kernel else 0
            total += self.words(lanes) * max(int(active[rows, columns].sum()) + 1, entered)
        return total


def bound(layers: list[Below], inputs: np.ndarray, run: RunRecord, classes: int, lanes: int, *, train: bool) -> int:
    """Row-words that a run from reset moves. ``inputs``: bool (steps, height, width, channels); one step: a frame."""
    steps = len(run.readouts)
    maps = [inputs]
    for layer, above in pairwise(layers):
        # Words of a position lie behind one another.
        spikes = run.spikes[len(maps) - 1].reshape(steps, len(layer.windows), -1)[:, :, : layer.above]
        maps.append(spikes.reshape(steps, above.height, above.width, above.channels) != 0)
    total = sum(layer.moved(active, lanes) for layer, map in zip(layers, maps, strict=True) for active in map)
    if not train:
        return total
    for layer, map in zip(layers, maps, strict=True):
        total += layer.moved(map.any(axis=0), lanes)
    for layer in layers[:-1]:
        # The positions of a block share their feedback; a convolution's gradients are applied at the end.
        blocks = len(layer.windows) // BLOCK**2 if layer.kernel else 1
        # Feedback matrix; the local readout forward, and its transpose back.
        total += 3 * steps * blocks * layer.words(lanes) * classes
        if layer.kernel:
            total += layer.words(lanes) * (layer.kernel**2 * layer.channels + 1)
    return total


NETWORKS = {
    "9-5-2": [Below(1, 1, 9, 1, 0, 5), Below(1, 1, 5, 1, 0, 2)],
    "180-16-16-10": [Below(1, 1, 180, 1, 0, 16), Below(1, 1, 16, 1, 0, 16), Below(1, 1, 16, 1, 0, 10)],
    "1x8x8-8c3-p2-16c3-10": [Below(8, 8, 1, 1, 3, 8), Below(8, 8, 8, 2, 3, 16), Below(4, 4, 16, 1, 0, 10)],
}
"""Networks of the chips that other tests compile, and what lies below their weight layers, written by hand."""
CONVOLUTIONS = "1x8x8-8c3-p2-16c3-10"


def limits_of(net: str) -> Limits:
    return Network(net, steps=6, local=2, intermediate=2).limits(8) if net == CONVOLUTIONS else SMALL_CHIP


def devices_on(*transports: Transport) -> list[Device]:
    return [Device("test", Link(Connection.over(transport, "test", patience=60.0))) for transport in transports]


@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("kind", [Input.FRAME, Input.SPIKES])
@pytest.mark.parametrize("net", NETWORKS)
def test_chip_uses_few_cycles_more_than_the_row_words_need(net: str, kind: Input, density: float) -> None:
    steps, limits = 6, limits_of(net)
    network = Network(net, steps=steps, local=net.count("-") - 1 - net.count("p2"), input=kind)
    layers, rng = NETWORKS[net], np.random.default_rng(SEED)
    core = RecordingCore(limits)
    transport = RtlTransport(limits)
    devices = devices_on(transport, ModelTransport(core))
    for device in devices:
        device.configure(network, Rule.OPZO)
        State.initial(network, Rule.OPZO, SEED, limits).write(device)
        device.write_registers(schedule_registers(Hyperparameters(rule="opzo", seed=SEED, batch=1), 0, 1000))
    chip = devices[0]
    first = layers[0]
    shape = (first.height, first.width, first.channels)
    for number in range(SAMPLES):
        train = number % 4 != 3
        if kind is Input.FRAME:
            active = rng.random((1, *shape)) < density
            addresses = np.flatnonzero(active)
            payload = encode_frame_pairs(addresses, rng.integers(1, 256, len(addresses)))
        else:
            active = rng.random((steps, *shape)) < density * rng.random((steps, 1, 1, 1))
            active &= np.cumsum(active).reshape(active.shape) <= limits.events
            payload = encode_steps(Chunk.of_steps([np.flatnonzero(step) for step in active]), graded=False)
        chip.clear_counters()
        flags = RunFlag.FRESH | (RunFlag.TRAIN if train else RunFlag(0))
        label = int(rng.integers(network.classes))
        answers = [device.finish_run(device.start_run(payload, label, flags)) for device in devices]
        assert answers[0].loss == answers[1].loss
        least = bound(layers, active, core.records[-1], network.classes, limits.lanes, train=train)
        cycles = chip.counters()[Counter.TRAIN_CYCLES if train else Counter.TEST_CYCLES]
        most = SLOWER * least + STEP_CYCLES[train] * (steps + len(layers))
        for index, layer in enumerate(layers):
            if layer.kernel:
                words = layer.words(limits.lanes) * len(layer.windows)
                most += WORD_CYCLES * words * (steps if index else len(active)) + LEARN_WORD_CYCLES * words * train
        assert least <= cycles <= most, f"sample {number}, seed {SEED}: {cycles} cycles, bound {least}"
    transport.close()
