"""What the Verilog testbench of the core does and expects: a training sample on the golden model, recorded."""

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.training.config import Config
from opzo.host.training.schedule_registers import schedule_registers
from opzo.hw.export.testbench import Script
from opzo.spec.events import decode_frame_pairs
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Rule

LABEL = 1
_BLANK = 0.5
"""Share of the pixels that are 0."""


class _Recorder(Device):
    """A golden model that also records what is written to it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__("golden", Link(connection("golden", limits)))
        self.script = Script()

    def write_registers(self, values: dict[int, int]) -> None:
        super().write_registers(values)
        self.script.writes.append({address: int(value) for address, value in sorted(values.items())})

    def write_memory(self, space: Space, address: int, rows: NDArray[np.uint16]) -> None:
        super().write_memory(space, address, rows)
        self.script.writes.append((space, address, rows))


def training_script(config: Config, limits: Limits) -> Script:
    """Script that trains a random image of class LABEL, drawn from the seed, on a network with initial weights."""
    network, rule = config.network, Rule.parse(config.rule)
    pixels = np.random.default_rng(config.seed).integers(0, 256, (1, network.inputs)).astype(np.uint8)
    pixels[:, : int(_BLANK * network.inputs)] = 0
    (sample,) = Frames.of(pixels, [LABEL]).samples()
    with _Recorder(limits) as device:
        script = device.script
        device.configure(network, rule)
        State.initial(network, rule, config.seed, limits).write(device)
        device.write_registers(schedule_registers(config, 0, 1))
        (result,) = device.run([sample], train=True, outputs=True)
        addresses, values, _ = decode_frame_pairs(sample.runs[0])
        script.events = [
            (address, value, 0) for address, value in zip(addresses.tolist(), values.tolist(), strict=True)
        ]
        script.run = {"train": 1, "outputs": 1, "fresh": 1, "decision": 0, "label": LABEL, "tag": 0}
        script.results = [result.prediction, result.loss, *result.outputs.tolist()]
        registers = [
            int(Reg.SAMPLES),
            *(layer_register(n, LayerReg.FEEDBACK_SHIFT) for n in range(len(network.hidden))),
        ]
        script.registers = {address: device.read_registers(address)[0] for address in registers}
        written = [(*write[:2], len(write[2])) for write in script.writes if isinstance(write, tuple)]
        results = [(space, 0, space.rows(limits)) for space in Space if not space.writable]
        script.rows = [
            (space, address, device.read_memory(space, address, count)) for space, address, count in written + results
        ]
    return script
