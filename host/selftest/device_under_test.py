"""The device under test with the seed and findings of its self-test, and the golden device it is compared with."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.selftest.lossy_transport import LossyTransport
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER
from opzo.spec.rules import Rule

RATE_SAMPLES = 1000
"""Length in samples of the training schedule whose initial step size and noise are used."""
_STREAM = 100
"""First word of the self-test's random streams; training uses smaller numbers."""


@dataclass
class DeviceUnderTest:
    """A device under test.

    Attributes
    ----------
    device : Device
    transport : LossyTransport
        Transport below the device; loses nothing while its rate is 0.
    seed : int
        Seed of all random numbers of all steps.
    details : dict
        Findings of the present step for the report, by name.
    """

    device: Device
    transport: LossyTransport
    seed: int
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """Limits of the device."""
        return self.device.limits

    def lacks(self, *what: str) -> None:
        """Add to the report what the device is too small to test."""
        if what:
            self.details["not_tested"] = [*self.details.get("not_tested", ()), *what]

    def random(self, *stream: int) -> np.random.Generator:
        """Random generator of one stream."""
        return generator(self.seed, _STREAM, *stream)


def golden_device(limits: Limits) -> Device:
    """Golden model with the same limits, behind the same driver."""
    return Device("golden", Link(connection("golden", limits)))


def prepare(device: Device, network: Network, rule: Rule, seed: int) -> None:
    """Configure a device, write the initial state of ``seed``, and set all other registers and the counters to 0."""
    device.write_registers(dict.fromkeys(range(COUNTER), 0))
    device.configure(network, rule)
    State.initial(network, rule, seed, device.limits).write(device)
    device.write_registers(schedule_registers(Hyperparameters(rule=rule.name.lower(), mse=7), 0, RATE_SAMPLES))
    device.clear_counters()
