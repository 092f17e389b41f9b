"""The self-test passes on every device, and names the place of every fault that a device here is given."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from faulty_device import SEED, dut_of, failure
from small_chip import NARROW_CHIP, SMALL_CHIP

from opzo.host.cli.commands import selftest as command
from opzo.host.cli.main import main
from opzo.host.driver.pty import PtyDevice
from opzo.host.driver.transport import Connection
from opzo.host.selftest import suite
from opzo.host.selftest.device_under_test import DeviceUnderTest
from opzo.host.selftest.lossy_transport import DIRECTIONS
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.steps.commands import commands_step
from opzo.host.selftest.steps.intermediate import intermediate_step
from opzo.host.selftest.steps.lfsr import lfsr_step
from opzo.host.selftest.steps.link import link_step
from opzo.host.selftest.steps.memory import memory_step
from opzo.host.selftest.steps.neurons import neurons_step
from opzo.host.selftest.steps.registers import registers_step
from opzo.host.selftest.steps.training import convolutions_step, events_step, training_step
from opzo.host.selftest.suite import STEPS, SelfTest
from opzo.hw.export.verilog import top_verilog
from opzo.sim.fast.core import FastCore
from opzo.sim.golden import learn
from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.golden.gradient import gradient_step
from opzo.sim.golden.link import GoldenLink
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.library import build_library
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.frames import Frame
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input

# The smallest usual chip, which other tests compile as well.
OPTIONS = ["--net", "64-16-16-10", "--lanes", "4", "--seed", "3"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for lost frames than for a board, or a chip that may take long: the models answer at once."""
    monkeypatch.setattr(suite, "PATIENCE", 0.05)


def test_simulated_chip_passes(capsys: pytest.CaptureFixture[str]) -> None:
    passes("rtl", capsys)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("device", ["golden", "fast"])
def test_models_pass(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    passes(device, capsys)


def passes(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--device", device, "--json", *OPTIONS]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["device"], report["seed"], report["passed"], report["not_done"]) == (device, 3, True, [])
    steps = {entry["name"]: entry for entry in report["steps"]}
    assert list(steps) == list(STEPS)
    assert all(entry["passed"] and entry["failure"] is None and entry["seed"] == 3 for entry in steps.values())
    assert steps["identity"]["details"]["lanes"] == 4
    assert (steps["training"]["details"]["trained"], steps["training"]["details"]["network"]) == (200, "256-10-10-10")
    assert steps["events"]["details"]["input"] == "spikes"
    assert steps["link"]["details"]["frames_sent_again"] > 0
    assert all(sum(steps["link"]["details"]["faults"][way].values()) > 5 for way in DIRECTIONS)


@pytest.mark.usefixtures("quick")
def test_chip_with_convolutions_and_few_block_words_passes() -> None:
    """Its gradients are unknown before the tests, and fewer words of dense layers fit than it has words of neurons."""
    core = GoldenCore(replace(SMALL_CHIP, gradients=20, blocks=1))
    core.gradients[...] = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, core.gradients.shape)
    for step in (commands_step, neurons_step, link_step):
        step(dut_of(ModelTransport(core)))


def test_convolutions_are_trained_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Network("1x8x8-8c3-p2-10", local=1).limits(4)
    assert convolutions_step(dut_of(ModelTransport(FastCore(limits)))).startswith("1x8x8-4c3-p2-10")
    # The device and the model disagree about the smallest step.
    monkeypatch.setattr(learn, "gradient_step", lambda gradients, shift: gradient_step(gradients, shift) + 1)
    with pytest.raises(MismatchError):
        convolutions_step(dut_of(ModelTransport(FastCore(limits))))


def test_intermediate_readouts_are_trained_and_compared() -> None:
    limits = Network("1x8x8-8c3-p2-16c3-10").limits(4)
    assert intermediate_step(dut_of(ModelTransport(FastCore(limits)))).startswith("4 cases of intermediate global")
    without = intermediate_step(dut_of(ModelTransport(GoldenCore(SMALL_CHIP))))
    assert without == "not done: the device was built without convolutions"


@pytest.mark.usefixtures("quick")
def test_board_behind_a_serial_port_passes(capsys: pytest.CaptureFixture[str]) -> None:
    with PtyDevice(ModelTransport(GoldenCore(NARROW_CHIP))) as port:
        assert main(["selftest", "--device", f"serial:{port.path}"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"opzo: train on it with: opzo train --device serial:{port.path} --net 64-32-10\n"
    lines = captured.out.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [[name, "passed"] for name in STEPS]
    assert "4,096 weights of 12 bits" in lines[1]
    assert lines[-1].startswith(f"all {len(STEPS)} steps passed")


def test_device_of_no_use_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--device", "serial:/dev/absent"], "no device at /dev/absent; is the board plugged in?"),
        (["--device", "abacus"], "'abacus' is not a device"),
        (["--device", "golden", "--seed", "-1"], "seed must be in 0.."),
        (["--device", "golden", "--lanes", "5"], "lanes must be a power of two"),
    ):
        assert main(["selftest", *arguments]) == 2
        assert message in capsys.readouterr().err


class LosesBit(GoldenCore):
    """Register ACTIVITY has no bit 7."""

    def write_register(self, address: int, value: int) -> None:
        super().write_register(address, value & ~(1 << 7) if address == Reg.ACTIVITY else value)


WORD_BASES = [layer_register(layer, LayerReg.WORD_BASE) for layer in (1, 2)]


class SharedRegister(GoldenCore):
    """A write to the word base of layer 2 goes to that of layer 3 as well."""

    def write_register(self, address: int, value: int) -> None:
        super().write_register(address, value)
        if address == WORD_BASES[0]:
            super().write_register(WORD_BASES[1], value)

    def read_register(self, address: int) -> int:
        return super().read_register(WORD_BASES[0] if address == WORD_BASES[1] else address)


class StickyCounter(GoldenCore):
    """The counter of steps cannot be cleared."""

    def read_register(self, address: int) -> int:
        value = super().read_register(address)
        return max(value, 2) if address == COUNTER + 2 * Counter.STEPS else value


def test_register_faults_are_found() -> None:
    assert failure(registers_step, LosesBit(SMALL_CHIP)) == (
        *("register ACTIVITY at 0x07, bit 7, 0x80 written", "0x80", "0x0"),
    )
    where, expected, got = failure(registers_step, SharedRegister(SMALL_CHIP))
    assert where.startswith(f"register LAYER_3_WORD_BASE at 0x{WORD_BASES[1]:02x}, bit ")
    assert expected != got
    assert failure(registers_step, StickyCounter(SMALL_CHIP)) == ("counter STEPS after a clear", "0", "2")


@pytest.mark.usefixtures("quick")
def test_failure_is_told_on_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rules use the register as well; here it is enough to see one step fail and the next ones go on.
    few = {name: STEPS[name] for name in ("identity", "memory", "registers", "commands", "lfsr")}
    for module in (suite, command):
        monkeypatch.setattr(module, "STEPS", few)
    with PtyDevice(ModelTransport(LosesBit(SMALL_CHIP))) as port:
        assert main(["selftest", "--device", f"serial:{port.path}", "--seed", "3"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert main(["selftest", "--device", f"serial:{port.path}", "--seed", "3", "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
    at = next(n for n, line in enumerate(lines) if line.startswith("registers"))
    assert lines[at].split()[1] == "FAILED"
    assert lines[at].endswith("register ACTIVITY at 0x07, bit 7, 0x80 written")
    assert [line.split() for line in lines[at + 1 : at + 3]] == [["expected", "0x80"], ["got", "0x0"]]
    assert lines[-1] == "failed: registers; see docs/selftest.md for what to do"
    assert (report["passed"], [entry["name"] for entry in report["steps"]]) == (False, list(few))
    failed = next(entry for entry in report["steps"] if not entry["passed"])
    where = "register ACTIVITY at 0x07, bit 7, 0x80 written"
    assert (failed["name"], failed["failure"]) == ("registers", {"where": where, "expected": "0x80", "got": "0x0"})


class RoundsWrongly(GoldenCore):
    """One weight comes out one unit too large in the 37th training run, where that is one with frames."""

    at = 37

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        result = super().run(chunk, label, flags)
        if flags & RunFlag.TRAIN and self[Reg.SAMPLES] == self.at and self[Reg.INPUT] == Input.FRAME:
            self.memory[77, 2] += 1
        return result


class LosesSpike(GoldenCore):
    """The history of neuron 4 has one spike too many or too few after the 20th chunk of events without learning."""

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        result = super().run(chunk, label, flags)
        if self[Reg.INPUT] == Input.SPIKES and self.counters[Counter.TEST_RUNS] == 20:
            self.history[1, 0] ^= 8
        return result


class WrongOnce(GoldenCore):
    """A loss is wrong once in the life of the device."""

    runs = 0

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> RunResult:
        result = super().run(chunk, label, flags)
        self.runs += 1
        return RunResult(result.prediction, result.loss + 1, result.outputs) if self.runs == 100 else result


def test_fault_in_training_is_found_at_its_first_sample() -> None:
    where, expected, got = failure(training_step, RoundsWrongly(SMALL_CHIP))
    assert where == "after training sample 37 of 220: WEIGHTS, row 77 (weights of layer 1, word 0, input 17), lane 2"
    assert int(got, 16) == int(expected, 16) + 1


def test_fault_of_one_time_is_told_as_such() -> None:
    where, expected, got = failure(training_step, WrongOnce(SMALL_CHIP))
    assert where == "after test sample 220 of 220, but not when repeated: loss of sample 100"
    assert int(got) == int(expected) + 1


def test_fault_in_events_is_found() -> None:
    where, expected, got = failure(events_step, LosesSpike(SMALL_CHIP))
    assert where.startswith("after test sample ")
    assert where.endswith(" of 50: HISTORY, row 1, lane 0")
    assert int(got, 16) ^ int(expected, 16) == 8


class RunsTwice(GoldenLink):
    """A link that executes what it has executed already."""

    def _repeat(self, frame: Frame) -> list[Frame]:
        executed = self._executed.get(frame.seq)
        return super()._repeat(frame) if executed is None else [self._execute(frame)]


@pytest.mark.usefixtures("quick")
def test_link_that_runs_samples_twice_is_found() -> None:
    transport = ModelTransport(GoldenCore(SMALL_CHIP), link=RunsTwice)
    with pytest.raises(MismatchError, match="with link faults"):
        link_step(dut_of(transport))


class DiesLater(ModelTransport):
    """A device that takes so many bytes and then is silent."""

    left = 60_000

    def write(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left > 0:
            super().write(data)


@pytest.mark.usefixtures("quick")
def test_dead_device_ends_the_test() -> None:
    test = SelfTest(Connection("golden", lambda: DiesLater(GoldenCore(SMALL_CHIP)), 1.0, reopens=False), SEED)
    started: list[str] = []
    reports = list(test.run(started.append))
    test.close()
    assert [report.name for report in reports] == started
    assert [report.passed for report in reports] == [True] * (len(reports) - 1) + [False]
    assert len(reports) < len(STEPS)
    assert reports[-1].failure is not None
    assert reports[-1].failure["got"].endswith("has stopped answering; check cable and power")


def broken_chip(module: str, good: str, bad: str) -> RtlTransport:
    """The simulated chip with one line of its Verilog changed, in the module whose path ends so."""
    verilog = top_verilog(SMALL_CHIP)
    # The Verilog writer keeps equal names apart by a suffix.
    begin = re.search(rf"^module \S*{module}(\$\d+)? ", verilog, re.MULTILINE)
    assert begin
    head, body = verilog[: begin.end()], verilog[begin.end() :]
    assert good in body[: body.index("endmodule")]
    return RtlTransport(SMALL_CHIP, library=build_library(head + body.replace(good, bad, 1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "good", "bad", "step", "place"),
    [
        (r"group_1\.lane_0\.lfsr", "state[10]", "state[11]", lfsr_step, "LFSR after 1 training runs, lane 2"),
        (
            r"group_0\.memory",
            r"<= bank_0[\$signature__addr ];",
            r"<= bank_0[\$signature__addr ] | 32'h200000;",
            memory_step,
            "row 0, lane 1",
        ),
        (
            r"group_0\.lane_1\.update",
            " (random),",
            " (random & 11'h7f0),",
            training_step,
            r"after training sample \d+ of 220: WEIGHTS, row \d+ \(.+ of layer \d, .+\), lane 1",
        ),
    ],
)
def test_faults_of_the_gateware_are_found(
    module: str, good: str, bad: str, step: Callable[[DeviceUnderTest], str], place: str
) -> None:
    with pytest.raises(MismatchError, match=place):
        step(dut_of(broken_chip(module, good, bad)))
