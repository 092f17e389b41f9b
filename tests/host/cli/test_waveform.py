"""opzo simulate --trace: the waveform agrees with the golden model, and viewers find its signals."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywellen
from command_line import error_of
from golden_device import GoldenDevice

from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.driver.state import State
from opzo.host.training.config import Config
from opzo.host.training.configure import configure
from opzo.host.training.schedule_registers import schedule_registers
from opzo.sim.golden import core as golden_core
from opzo.sim.golden.learn import learn
from opzo.sim.golden.run import Run
from opzo.spec.commands import RunFlag
from opzo.spec.rules import Rule

SAMPLE, LANES = 7, 4
OPTIONS = ["--net", "9-8-3", "--lanes", str(LANES)]
VIEW = "TOP.top.view."


class Recorded:
    """Waveform of a training sample, the facts that the command printed, and the golden model's run of it."""

    def __init__(self, path: Path, facts: dict[str, Any], run: Run) -> None:
        self.path, self.facts, self.run = path, facts, run
        self.signals = {var.full_name: var for var in pywellen.Waveform(str(path)).all_vars()}

    def strobed(self, strobe: str, *names: str) -> Iterator[tuple[Any, ...]]:
        """Values of signals in each cycle in which ``strobe`` is 1, as unsigned numbers or as text."""
        last = max(time for time, _ in self._changes("cycle"))
        for time in range(0, last, 10):
            if self._at(strobe, time):
                yield tuple(self._at(name, time) for name in names)

    def _changes(self, name: str) -> Iterator[tuple[int, int]]:
        signal = self.signals[VIEW + name].signal
        return (signal[index] for index in range(len(signal)))

    def _at(self, name: str, time: int) -> Any:
        # As it is when the clock falls, in the middle of a cycle of 10 ns.
        var = self.signals[VIEW + name]
        value = var.signal.value_at(time)
        return dict(var.enum_type[1])[f"{value:0{var.bitwidth}b}"] if var.enum_type else value


def golden_run(data: str, config: Config) -> Run:
    """The golden model's run of the sample, with the state that the command begins with."""
    runs: list[Run] = []

    def record(core: Any, chunk: Any, label: int, flags: RunFlag) -> Any:
        runs.append(Run(core, chunk, label, flags))
        runs[0].forward()
        learn(runs[0])
        return runs[0].finish()

    network, rule = config.network, Rule.parse(config.rule)
    limits = network.limits(LANES)
    train = load_data(data).train
    with pytest.MonkeyPatch.context() as patch, GoldenDevice(limits) as device:
        patch.setattr(golden_core, "run_chunk", record)
        device.configure(network, rule)
        State.initial(network, rule, config.seed, limits).write(device)
        device.write_registers(schedule_registers(config, 0, config.epochs * len(train)))
        list(device.run(train.samples(np.array([SAMPLE])), train=True))
    return runs[0]


@pytest.fixture(scope="module")
def recorded(data: str, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    path = tmp_path_factory.mktemp("waveform") / "sample.fst"
    command = ["simulate", "--trace", str(path), "--data", data, "--sample", str(SAMPLE), "--train", "--json", *OPTIONS]
    with redirect_stdout(StringIO()) as printed:
        assert main(command) == 0
    facts = json.loads(printed.getvalue())
    _, config = configure({"data": data, "net": "9-8-3", "lanes": LANES})
    return Recorded(path, facts, golden_run(data, config))


def test_readouts_by_step_are_those_of_the_golden_model(recorded: Recorded) -> None:
    found = list(recorded.strobed("readout_valid", "readout_layer", "readout_step", "readout_class", "readout"))
    outputs = recorded.run.network.outputs
    expected = [
        ("READOUT", step, label, int(value) % (1 << 20))
        for step, row in enumerate(outputs)
        for label, value in enumerate(row)
    ]
    assert np.unique(outputs).size > 3
    # The local readouts of the hidden layer come between them.
    assert [readout for readout in found if readout[0] == "READOUT"] == expected


def test_spikes_and_membrane_potentials_are_those_of_the_golden_model(recorded: Recorded) -> None:
    (hidden,) = recorded.run.hidden
    fired = list(recorded.strobed("fired", "fired_layer", "fired_step", "fired_word", "spikes"))
    weights = 1 << np.arange(LANES)
    assert hidden.spikes.any()
    assert fired == [
        ("HIDDEN_1", step, word, int(spikes[word] @ weights))
        for step, spikes in enumerate(hidden.spikes)
        for word in range(hidden.layer.words)
    ]
    last = {}
    for word, lane, value in recorded.strobed("membrane_write", "membrane_word", "membrane_lane", "membrane"):
        last[word, lane] = value
    size = 1 + max(lane for _, lane in last)
    assert last == {
        (word, lane): int(hidden.v[word, lane]) % (1 << 20)
        for word in range(hidden.layer.words)
        for lane in range(size)
    }


def test_passes_have_names_and_steps(recorded: Recorded) -> None:
    passes = list(dict.fromkeys(recorded.strobed("run", "pass", "layer", "step")))
    steps = recorded.run.steps
    assert [step for kind, layer, step in passes if (kind, layer) == ("FIRE", "HIDDEN_1")] == list(range(steps))
    assert [step for kind, layer, step in passes if (kind, layer) == ("INTEGRATE_SPIKES", "READOUT")] == list(
        range(steps)
    )
    assert {kind for kind, *_ in passes} >= {"IDLE", "INTEGRATE_INPUT", "FEEDBACK", "LEARN_INPUT", "LEARN_SPIKES"}


def test_view_files_name_only_signals_of_the_waveform(recorded: Recorded) -> None:
    surfer = recorded.path.with_suffix(".sucl").read_text().splitlines()
    names = [line.removeprefix("variable_add ") for line in surfer if line.startswith("variable_add ")]
    assert len(names) > 25
    assert set(names) <= set(recorded.signals)
    gtkwave = recorded.path.with_suffix(".gtkw").read_text().splitlines()
    assert '[dumpfile] "sample.fst"' in gtkwave
    listed = [line.split("} ")[1] for line in gtkwave if line.startswith("+{")]
    bits = {name: var.bitwidth for name, var in recorded.signals.items()}
    assert listed == [f"{name}[{bits[name] - 1}:0]" if bits[name] > 1 else name for name in names]
    # Names of the chip's own signals are plain, and those of expressions are left out.
    chip = [name for name in recorded.signals if name.startswith("TOP.top.chip.")]
    assert "TOP.top.chip.core.engine.sequencer.runner.current__kind" in chip
    assert not [name for name in chip if "$" in name or "._" in name]


def test_command_prints_facts_and_runs_a_checkpoint(
    recorded: Recorded, finished: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = recorded.facts
    assert (facts["sample"], facts["train"], facts["network"], facts["lanes"]) == (SAMPLE, True, "9-8-3", LANES)
    assert facts["label"] == load_data(data).train.y[SAMPLE]
    assert [Path(file).exists() for file in facts["files"]] == [True] * 3
    path = tmp_path / "t.fst"
    assert main(["simulate", "--trace", str(path), "--checkpoint", str(finished), "--sample", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: sample 2 of {data}, ")
    assert main(["predict", str(finished), data, "--json", "--quiet"]) == 0
    predicted = json.loads(capsys.readouterr().out)["predictions"][2]
    assert lines[1] == f"class {predicted['label']}, prediction {predicted['class']}"
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trace", "a.vcd"], "--trace must name a file that ends in .fst, not a.vcd"),
        (["--trace", "a.fst", "--device", "fast"], "no device with waveforms 'fast'"),
        (["--trace", "a.fst", "--sample", "60"], "has samples 0..59; there is no 60"),
        (["--trace", "a.fst", "--sample", "-1"], "must be 0 or more, not -1"),
        (["--trace", "taken.fst"], "cannot write taken.fst: it is a folder"),
        (["--trace", "none/a.fst"], "there is no folder none"),
        (["--sample", "1"], "--sample is an option of a waveform; give --trace FILE.fst too"),
        (["--train"], "--train is an option of a waveform"),
        (["--trace", "x.fst", "--pty", "link"], "--pty and --trace exclude each other"),
        (["--json"], "--json prints the facts of a waveform"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str],
    message: str,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.fst").mkdir()
    monkeypatch.setattr("opzo.host.cli.waveform.simulated", lambda *_, **__: pytest.fail("it was built"))
    if "--trace" in arguments:
        arguments = [*arguments, "--data", data]
    assert message in error_of(["simulate", *arguments, *OPTIONS], capsys)
