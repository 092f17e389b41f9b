"""The self-test: its steps in order, each timed and reported as it ends."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection
from opzo.host.selftest.check import Bench, MismatchError
from opzo.host.selftest.line import FaultyLine
from opzo.host.selftest.steps.commands import commands_step
from opzo.host.selftest.steps.lfsr import lfsr_step
from opzo.host.selftest.steps.link import link_step
from opzo.host.selftest.steps.long import long_step
from opzo.host.selftest.steps.memory import memory_step
from opzo.host.selftest.steps.neurons import neurons_step
from opzo.host.selftest.steps.registers import registers_step
from opzo.host.selftest.steps.rules import rules_step
from opzo.host.selftest.steps.training import events_step, training_step
from opzo.spec.errors import LinkError, NetworkError
from opzo.spec.protocol import Identity

PATIENCE = 0.25
"""Seconds without a byte after which a frame is sent again: short, because bytes are lost on purpose."""
_LINE_STREAM = 99


def identity_step(bench: Bench) -> str:
    """Say in plain words what the device is."""
    identity = bench.device.identity
    bench.details |= asdict(identity)
    return describe(identity)


STEPS: dict[str, Callable[[Bench], str]] = {
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
}
"""Steps by name: each gives a line on what it found, or raises MismatchError or LinkError."""


@dataclass(frozen=True)
class StepReport:
    """How a step ended.

    Attributes
    ----------
    name : str
    passed : bool
    seconds : float
    text : str
        What was tested, or what went wrong.
    details : dict
        Figures by name, ready for JSON.
    failure : dict or None
        Where, what was expected and what came.
    """

    name: str
    passed: bool
    seconds: float
    text: str
    details: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, str] | None = None


class SelfTest:
    """A device and the steps to go through with it.

    Raises OpzoError where nothing answers that is an opzo device of this version. Close it at the end.

    Parameters
    ----------
    connection : Connection
    seed : int
        From which all random numbers come, 0 or more.
    """

    def __init__(self, connection: Connection, seed: int) -> None:
        line = FaultyLine(generator(seed, _LINE_STREAM))
        through = replace(connection, open=lambda: line.attach(connection.open()), patience=PATIENCE)
        self._bench = Bench(Device(connection.name, Link(through)), line, seed)

    def close(self) -> None:
        """Release the device."""
        self._bench.device.close()

    def run(self, started: Callable[[str], None] = lambda name: None) -> Iterator[StepReport]:
        """Do the steps, calling ``started`` with the name of each; none after the device has stopped answering."""
        for name, step in STEPS.items():
            started(name)
            report, alive = self._do(name, step)
            yield report
            if not alive:
                return

    def _do(self, name: str, step: Callable[[Bench], str]) -> tuple[StepReport, bool]:
        """Report of a step, and whether the device still answers."""
        bench, begin = self._bench, time.monotonic()
        bench.details = {}
        alive, failure = True, None
        try:
            text = step(bench)
            if missing := bench.details.get("not_tested"):
                text += f"; not tested, because the device is too small: {'; '.join(missing)}"
        except NetworkError:
            bench.lacks(name)
            text = "not done: the device is too small for it"
        except MismatchError as error:
            failure = {"where": error.where, "expected": error.expected, "got": error.got}
            text = str(error)
        except LinkError as error:
            alive, text = False, str(error)
            failure = {"where": name, "expected": "an answer", "got": text}
        return StepReport(name, failure is None, time.monotonic() - begin, text, bench.details, failure), alive


def describe(identity: Identity) -> str:
    """An identity in plain words."""
    limits = identity.limits
    clock = f"{identity.clock_mhz:g} MHz" if identity.clock_mhz else "no clock of its own"
    return (
        f"protocol {identity.version}; {limits.lanes} lanes, {limits.rows:,} rows = {limits.rows * limits.lanes:,} "
        f"weights of {limits.weight_bits} bits; up to {limits.inputs:,} inputs, {limits.words * limits.lanes:,} hidden "
        f"neurons, {limits.classes} classes, {limits.steps} time steps a run; {clock}"
    )
