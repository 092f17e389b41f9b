"""The self-test finds each fault that is planted in a golden model of its own, and none in a healthy one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faulty_device import dut_of
from planted import EDITS, INTERMEDIATE_EDITS, SLOW

from opzo.host.driver import link
from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Sample
from opzo.host.driver.transport import Connection
from opzo.host.selftest import suite, wire
from opzo.host.selftest.contents import payload
from opzo.host.selftest.device_under_test import prepare
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.steps.intermediate import intermediate_step
from opzo.host.selftest.suite import STEPS, SelfTest, StepReport
from opzo.sim.benches.faulty import Edit, golden_copy
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.commands import Command
from opzo.spec.frames import HEADER
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

LIMITS = Limits(lanes=4, rows=512, inputs=64, words=8, classes=16)
NARROW = Limits(lanes=4, rows=512, inputs=64, words=8, classes=16, weight_bits=12)
TINY = Limits(lanes=4, rows=40, inputs=3, words=1, classes=2, steps=2)
SEED = 3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for lost frames than for a board: the models answer at once."""
    monkeypatch.setattr(suite, "PATIENCE", 0.05)


def reports(transport: ModelTransport) -> list[StepReport]:
    """Steps of a self-test up to the first that fails."""
    test = SelfTest(Connection("golden", lambda: transport, 1.0, reopens=False), SEED)
    done = []
    for report in test.run():
        done.append(report)
        if not report.passed:
            break
    test.close()
    return done


def transport_of(golden: SimpleNamespace, limits: Limits = LIMITS) -> ModelTransport:
    """A device of the modules of a golden model."""
    return ModelTransport(golden.core.GoldenCore(limits), link=golden.link.GoldenLink)


WRAP = """
def wrap(values, width=20):
    half = 1 << (width - 1)
    wrapped = (values + half) % (2 * half) - half
    return wrapped, wrapped != values
"""


@pytest.mark.parametrize(
    ("module", "good", "bad"),
    [pytest.param(*edit, id=what, marks=pytest.mark.slow if what in SLOW else ()) for what, *edit in EDITS],
)
def test_fault_of_a_line_is_found(module: str, good: str, bad: str) -> None:
    edits = [Edit(module, good, bad)]
    if "wrap(" in bad:
        edits.append(Edit(module, "import numpy as np\n", "import numpy as np\n" + WRAP))
    assert not reports(transport_of(golden_copy(edits)))[-1].passed


@pytest.mark.parametrize(
    ("module", "good", "bad"), [pytest.param(*edit, id=what) for what, *edit in INTERMEDIATE_EDITS]
)
def test_fault_of_intermediate_learning_is_found(module: str, good: str, bad: str) -> None:
    golden = golden_copy([Edit(module, good, bad)])
    with pytest.raises(MismatchError):
        intermediate_step(dut_of(transport_of(golden, Network("1x4x4-4c1-3").limits(4))))


class CoupledRows(GoldenCore):
    """Writing a row sets bit 3 of lane 1 in the next one."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        super().write_row(space, row, data)
        if space is Space.WEIGHTS and row + 1 < self.limits.rows:
            self.memory[row + 1, 1] ^= 8


class CoupledRowsBehind(GoldenCore):
    """Writing an odd row clears bit 9 of lane 0 in the row before, where the written one has it."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        super().write_row(space, row, data)
        if space is Space.WEIGHTS and row % 2 and data[0] & 512:
            self.memory[row - 1, 0] &= ~512


class ReadDisturbs(GoldenCore):
    """Reading a row clears bit 0 of the one before."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        if space is Space.WEIGHTS and row:
            self.memory[row - 1] &= ~1
        return super().read_row(space, row)


class StuckAddress(GoldenCore):
    """Learning writes nothing from row 384 on."""

    def run(self, *arguments: Any) -> Any:
        before = self.memory[384:].copy()
        result = super().run(*arguments)
        self.memory[384:] = before
        return result


class LastWordLost(GoldenCore):
    """The potentials of the last word are those of the word before it."""

    def run(self, *arguments: Any) -> Any:
        result = super().run(*arguments)
        self.membrane[-1] = self.membrane[-2]
        return result


class LateRegister(GoldenCore):
    """Step sizes have 7 bits inside, while the register has 8."""

    def run(self, *arguments: Any) -> Any:
        rate, self.registers[6] = self.registers[6], self.registers[6] & 0x7F
        result = super().run(*arguments)
        self.registers[6] = rate
        return result


@pytest.mark.parametrize(
    "core",
    [CoupledRows, CoupledRowsBehind, ReadDisturbs, StuckAddress, LastWordLost, LateRegister],
    ids=lambda core: str(core.__doc__),
)
def test_fault_of_a_memory_is_found(core: Callable[[Limits], GoldenCore]) -> None:
    assert not reports(ModelTransport(core(LIMITS)))[-1].passed


class DiesOfReset(ModelTransport):
    """A device that is silent after a RESET."""

    dead = False

    def write(self, data: bytes) -> None:
        self.dead |= len(data) > HEADER.size and data[HEADER.size] == Command.RESET
        if not self.dead:
            super().write(data)


def test_command_that_kills_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SILENCE", 0.1)
    monkeypatch.setattr(link, "SYNC_PATIENCE", 0.05)
    done = reports(DiesOfReset(GoldenCore(LIMITS)))
    assert done[-1].name == "commands"
    assert done[-1].text.startswith("golden has stopped answering after this: reply to RESET: expected seq ")
    assert done[-1].text.endswith("RESET, 1 bytes, from byte 0 on 00, got nothing")


@pytest.mark.parametrize(
    ("module", "good"),
    [
        ("update", "saturate(exact >> frac_bits, weight_bits)"),
        ("fire", "saturate(leaked(v, leak) + current, MEMBRANE.width)"),
    ],
    ids=["weights", "membranes"],
)
def test_narrow_device_that_wraps_is_found(module: str, good: str) -> None:
    edits = [
        Edit(module, good, good.replace("saturate(", "wrap(")),
        Edit(module, "import numpy as np\n", f"import numpy as np\n{WRAP}"),
    ]
    assert not reports(transport_of(golden_copy(edits), NARROW))[-1].passed


def test_healthy_device_passes_after_other_networks() -> None:
    transport = transport_of(golden_copy())
    device = Device("golden", Link(Connection.over(transport, "golden")))
    random = generator(SEED)
    for rule, kind, classes in (
        (Rule.OPZO, Input.FRAME, 16),
        (Rule.ZO, Input.SPIKES, 13),
        (Rule.DFA, Input.GRADED, 3),
    ):
        network = Network((30, 11, 10, classes), 8, input=kind)
        prepare(device, network, rule, SEED)
        samples = [Sample((payload(network, LIMITS, random, number),), number % classes) for number in range(5)]
        assert len(list(device.run(samples, train=True))) == 5
    done = reports(transport)
    assert [(report.name, report.passed) for report in done] == [(name, True) for name in STEPS]


def test_small_device_passes_and_says_what_was_not_tested(caplog: pytest.LogCaptureFixture) -> None:
    done = {report.name: report for report in reports(ModelTransport(GoldenCore(TINY)))}
    assert list(done) == list(STEPS)
    assert all(report.passed for report in done.values())
    assert "not tested, because the device is too small: 2 hidden layers" in done["rules"].text
    assert "opzo with spikes" in done["rules"].details["not_tested"]
    # Of few frames the share that is damaged on purpose is large.
    assert "noisy line" not in caplog.text
    assert done["long"].text == "not done: the device is too small for it"
