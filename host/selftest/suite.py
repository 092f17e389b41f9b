"""The self-test: runs the steps in order, and reports each with its time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection
from opzo.host.selftest.device_under_test import DeviceUnderTest
from opzo.host.selftest.lossy_transport import LossyTransport
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.steps.commands import commands_step
from opzo.host.selftest.steps.intermediate import intermediate_step
from opzo.host.selftest.steps.lfsr import lfsr_step
from opzo.host.selftest.steps.link import link_step
from opzo.host.selftest.steps.long import long_step
from opzo.host.selftest.steps.memory import memory_step
from opzo.host.selftest.steps.neurons import neurons_step
from opzo.host.selftest.steps.registers import registers_step
from opzo.host.selftest.steps.rules import rules_step
from opzo.host.selftest.steps.store import store_step
from opzo.host.selftest.steps.training import convolutions_step, events_step, training_step
from opzo.spec.errors import LinkError, NetworkError, OpzoError
from opzo.spec.limits import Limits
from opzo.spec.protocol import Identity

PATIENCE = 0.25
"""Seconds without a byte before a frame is repeated; short, because bytes are lost on purpose."""
_FAULT_STREAM = 99


def identity_step(dut: DeviceUnderTest) -> str:
    """Describe the device."""
    identity = dut.device.identity
    dut.details |= asdict(identity)
    return describe(identity)


STEPS: dict[str, Callable[[DeviceUnderTest], str]] = {
    "identity": identity_step,
    "memory": memory_step,
    "registers": registers_step,
    "commands": commands_step,
    "lfsr": lfsr_step,
    "neurons": neurons_step,
    "rules": rules_step,
    "long": long_step,
    "link": link_step,
    "training": training_step,
    "events": events_step,
    "conv": convolutions_step,
    "igl": intermediate_step,
    "store": store_step,
}
"""Steps by name: each returns a line of text with its result, or raises MismatchError or LinkError."""


@dataclass(frozen=True)
class StepReport:
    """Result of a step.

    Attributes
    ----------
    name : str
    passed : bool
    seconds : float
    text : str
        What was tested, or what failed.
    details : dict
        Figures by name, ready for JSON.
    failure : dict or None
        Keys "where", "expected" and "got".
    """

    name: str
    passed: bool
    seconds: float
    text: str
    details: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, str] | None = None


class SelfTest:
    """Self-test of one device; close it at the end.

    Raises OpzoError if no opzo device of this version answers, or one that only infers.

    Parameters
    ----------
    connection : Connection
    seed : int
        Seed of all random numbers, 0 or more.
    """

    def __init__(self, connection: Connection, seed: int) -> None:
        lossy = LossyTransport(generator(seed, _FAULT_STREAM))
        patience = connection.patience if connection.slow else PATIENCE
        through = replace(connection, open=lambda: lossy.attach(connection.open()), patience=patience)
        device = Device(connection.name, Link(through))
        if not device.limits.learning:
            device.close()
            raise OpzoError(f"{connection.name} only infers; the self-test is for devices that learn")
        self._dut = DeviceUnderTest(device, lossy, seed)

    @property
    def limits(self) -> Limits:
        """Limits of the device."""
        return self._dut.device.limits

    def close(self) -> None:
        """Release the device."""
        self._dut.device.close()

    def run(self, started: Callable[[str], None] = lambda name: None) -> Iterator[StepReport]:
        """Run the steps, calling ``started`` with the name of each; stop if the device no longer answers."""
        for name, step in STEPS.items():
            started(name)
            report, alive = self._do(name, step)
            yield report
            if not alive:
                return

    def _do(self, name: str, step: Callable[[DeviceUnderTest], str]) -> tuple[StepReport, bool]:
        """Report of a step, and whether the device still answers."""
        dut, begin = self._dut, time.monotonic()
        dut.details = {}
        alive, failure = True, None
        try:
            text = step(dut)
            if missing := dut.details.get("not_tested"):
                text += f"; not tested, because the device is too small: {'; '.join(missing)}"
        except NetworkError:
            dut.lacks(name)
            text = "not done: the device is too small for it"
        except MismatchError as error:
            failure = {"where": error.where, "expected": error.expected, "got": error.got}
            text = str(error)
        except LinkError as error:
            alive, text = False, str(error)
            failure = {"where": name, "expected": "an answer", "got": text}
        return StepReport(name, failure is None, time.monotonic() - begin, text, dut.details, failure), alive


def describe(identity: Identity) -> str:
    """Text for an identity."""
    limits = identity.limits
    clock = f"{identity.clock_mhz:g} MHz" if identity.clock_mhz else "no hardware clock"
    return (
        f"protocol {identity.version}; {limits.lanes} lanes, {limits.rows:,} rows = {limits.rows * limits.lanes:,} "
        f"weights of {limits.weight_bits} bits; up to {limits.inputs:,} inputs, {limits.words * limits.lanes:,} hidden "
        f"neurons in {limits.layers} layers, {limits.classes} classes, {limits.steps} time steps a run; {clock}"
    )
