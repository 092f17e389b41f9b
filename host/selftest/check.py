"""What the steps of the self-test share: the bench that they work on, and the comparison that tells where it failed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.selftest.line import FaultyLine
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.spec.network import Limits, Network
from opzo.spec.registers import COUNTER
from opzo.spec.rules import Rule

RATE_SAMPLES = 1000
"""Samples of the imaginary training run whose first step size and noise are used."""
_STREAM = 100
"""Begins the streams of random numbers of the self-test; those below belong to training."""


class MismatchError(Exception):
    """The device did something else than it should.

    Parameters
    ----------
    where : str
        Step, memory, register, row, lane.
    expected, got : str
    """

    def __init__(self, where: str, expected: str, got: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}")
        self.where, self.expected, self.got = where, expected, got


@dataclass
class Bench:
    """A device under test.

    Attributes
    ----------
    device : Device
    line : FaultyLine
        What all its bytes pass through; damages nothing unless told to.
    seed : int
        From which all random numbers of all steps come.
    details : dict
        Findings for the report, by name; each step begins with an empty one.
    """

    device: Device
    line: FaultyLine
    seed: int
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """What the device was built for."""
        return self.device.limits

    def lacks(self, *what: str) -> None:
        """Report what was not tested because the device is too small for it."""
        if what:
            self.details["not_tested"] = [*self.details.get("not_tested", ()), *what]

    def random(self, *stream: int) -> np.random.Generator:
        """Random numbers of one purpose."""
        return generator(self.seed, _STREAM, *stream)


def golden_device(limits: Limits) -> Device:
    """The golden model behind the same driver."""
    return Device("golden", Link(connection("golden", limits)))


def prepare(device: Device, network: Network, rule: Rule, seed: int) -> None:
    """Configure and fill a device for training from what ``seed`` stands for; all other registers, and counters, 0."""
    device.write_registers(dict.fromkeys(range(COUNTER), 0))
    device.configure(network, rule)
    State.initial(network, rule, seed, device.limits).write(device)
    device.write_registers(schedule_registers(Hyperparameters(rule=rule.name.lower(), mse=7), 0, RATE_SAMPLES))
    device.clear_counters()


Place = Callable[[tuple[int, ...]], str]
"""Name of the entry of an array at an index."""


def entry_of(what: str, *axes: str) -> Place:
    """Entries of an array whose axes have these names."""

    def place(index: tuple[int, ...]) -> str:
        return ", ".join([what, *(f"{axis} {i}" for axis, i in zip(axes, index, strict=True))])

    return place


def require_equal(actual: NDArray[Any], expected: NDArray[Any], place: Place, digits: int = 4) -> None:
    """MismatchError, with ``digits`` hexadecimal digits, at the first entry where two arrays of one shape differ."""
    different = np.argwhere(actual != expected)
    if len(different) == 0:
        return
    index = tuple(int(i) for i in different[0])
    more = f" ({len(different)} of {actual.size} entries differ)" if len(different) > 1 else ""
    raise MismatchError(
        place(index), f"0x{int(expected[index]):0{digits}x}", f"0x{int(actual[index]):0{digits}x}{more}"
    )
