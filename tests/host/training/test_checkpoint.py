"""Checkpoints: whole, checked, without pickled objects; run folders."""

import errno
import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opzo.host.driver.state import State
from opzo.host.driver.statistics import Tally
from opzo.host.training.checkpoint import FORMAT_VERSION, LATER_COUNTERS, Checkpoint
from opzo.host.training.config import Config
from opzo.host.training.run_folder import RunFolder, checkpoint_path
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule
from opzo.system import atomic

NETWORK = Network((20, 13, 7, 3), 5, local=1)


def checkpoint(rule: Rule = Rule.DFA, **changes: Any) -> Checkpoint:
    tally = Tally(7, 3, 1 << 40, 99, np.arange(len(Counter)))
    state = State.initial(NETWORK, rule, seed=1, limits=NETWORK.limits(8, 12))
    return replace(Checkpoint(NETWORK, rule, state, 2, 7, tally, {"seed": 1, "kappa": 8.0}, 123456789), **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.npz"


@pytest.mark.parametrize("rule", list(Rule))
def test_everything_reads_back(path: Path, rule: Rule) -> None:
    saved = checkpoint(rule)
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert (loaded.network, loaded.rule, loaded.lanes) == (NETWORK, rule, 8)
    assert (loaded.epoch, loaded.position, loaded.settings, loaded.data_digest) == (2, 7, saved.settings, 123456789)
    assert vars(loaded.tally) | {"counters": None} == vars(Tally(7, 3, 1 << 40, 99)) | {"counters": None}
    np.testing.assert_array_equal(loaded.tally.counters, np.arange(len(Counter)))
    assert loaded.state.samples == saved.state.samples
    assert loaded.state.weight_bits == 12
    for name in ("weights", "feedback", "local"):
        pairs = zip(getattr(loaded.state, name), getattr(saved.state, name), strict=True)
        assert all((a == b).all() for a, b in pairs)
    np.testing.assert_array_equal(loaded.state.lfsr, saved.state.lfsr)
    np.testing.assert_array_equal(loaded.state.feedback_shift, saved.state.feedback_shift)


def test_counters_of_three_hidden_layers_keep_their_names(path: Path) -> None:
    saved = checkpoint()
    later = list(LATER_COUNTERS)
    arrays = saved._arrays()
    counters = np.delete(np.arange(len(Counter)), later)
    np.savez(path, **arrays | {"counters": counters, "format_version": np.array(3)})
    assert len(Counter) - len(later) == 21
    expected = np.arange(len(Counter))
    expected[later] = 0
    np.testing.assert_array_equal(Checkpoint.load(path).tally.counters, expected)


def test_neurons_read_back_and_are_usual_in_format_3(path: Path) -> None:
    network = Network((20, 13, 7, 3), 5, leak=("15/16", "1"), reset=("subtract", "zero"))
    state = State.initial(network, Rule.DFA, seed=1, limits=network.limits(8, 12))
    saved = Checkpoint(network, Rule.DFA, state)
    saved.save(path)
    assert Checkpoint.load(path).network == network
    with pytest.raises(OpzoError, match=r"leak 15/16,1, reset subtract,zero and rule dfa, not .* input and rule dfa"):
        saved.check(replace(network, leak="1/2", reset="subtract"), Rule.DFA)
    arrays = saved._arrays() | {"format_version": np.array(3), "counters": np.zeros(21, np.int64)}
    np.savez(path, **{name: array for name, array in arrays.items() if name not in ("leak", "reset")})
    assert Checkpoint.load(path).network == replace(network, leak="1/2", reset="subtract")


IGL = Network("1x4x4-5c3-6c3-3", 5, 2, intermediate=2)


def intermediate(rule: Rule = Rule.DFA) -> Checkpoint:
    return Checkpoint(IGL, rule, State.initial(IGL, rule, seed=1, limits=IGL.limits(8, 12)))


@pytest.mark.parametrize("rule", [Rule.DFA, Rule.READOUT])
def test_intermediate_matrices_read_back(path: Path, rule: Rule) -> None:
    saved = intermediate(rule)
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert loaded.network == IGL
    assert len(loaded.state.intermediate) == len(saved.state.intermediate) == rule.feedback
    for a, b in zip(loaded.state.intermediate, saved.state.intermediate, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.any()
    message = r"2 local readouts, intermediate readout of layer 2, .*leave --net, .* --intermediate, .* out, or start"
    with pytest.raises(OpzoError, match=message):
        saved.check(replace(IGL, intermediate=0), rule)


def test_only_networks_with_an_intermediate_readout_have_its_arrays() -> None:
    assert {"intermediate", "intermediate_1"} <= set(intermediate()._arrays())
    for network in (NETWORK, replace(IGL, intermediate=0)):
        state = State.initial(network, Rule.DFA, seed=1, limits=network.limits(8, 12))
        assert not any("intermediate" in name for name in Checkpoint(network, Rule.DFA, state)._arrays())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_1": None}, "intermediate_1 is missing"),
        ({"intermediate_1": np.zeros((3, 5), np.int16)}, r"intermediate_1 is int16 \(3, 5\); expected int16 \(3, 20\)"),
        ({"intermediate_1": np.full((3, 20), 3, np.int16)}, "intermediate_1 holds 3, which is not a value of 12 bits"),
        ({"intermediate": np.array(6)}, "intermediate is 6; expected a whole number in 0..5"),
        ({"intermediate": np.array(1)}, "intermediate is 1; it must be a hidden layer with a local readout"),
        ({"local": np.array(1)}, "intermediate is 2; it must be a hidden layer with a local readout"),
        ({"rule": "zo"}, "intermediate is 2; rule zo has no feedback matrices"),
        ({"settings": '{"net": "1x4x4-5c3-6c3-3", "steps": 5, "local": 2}'}, "settings describe 1x4x4-5c3-6c3-3, the"),
    ],
)
def test_damaged_intermediate_readouts_are_named(path: Path, changes: dict[str, Any], message: str) -> None:
    intermediate().save(path)
    change(path, **changes)
    with pytest.raises(OpzoError, match=message):
        Checkpoint.load(path)


def test_arrays_have_names_that_say_what_they_are(path: Path) -> None:
    checkpoint().save(path)
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
        assert file["weights_1"].shape == (21, 13)
        assert file["feedback_2"].shape == (3, 7)
    assert {"weights_3", "feedback_1", "feedback_shift", "lfsr", "samples", "format_version", "rule"} <= names
    assert "feedback_3" not in names


def change(path: Path, **changes: Any) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "has checkpoint format 5, this opzo reads 3 and 4"),
        ({"format_version": None}, "is not a checkpoint of opzo"),
        ({"weights_2": None}, r"damaged \(weights_2 is missing\); use an earlier checkpoint"),
        ({"weights_2": np.zeros((13, 7), np.int16)}, r"weights_2 is int16 \(13, 7\); expected int16 \(14, 7\)"),
        ({"weights_2": np.zeros((14, 7))}, "weights_2 is float64"),
        ({"lfsr": np.ones(4, np.uint32)}, r"lfsr is uint32 \(4,\)"),
        ({"tally": np.zeros(2, np.int64)}, "damaged"),
        ({"settings": "{"}, "damaged"),
        ({"sizes": np.array([20, 0, 3])}, "neurons of layer 1 must be in 1..1048576, not 0"),
        ({"sizes": np.array(3)}, "damaged"),
        ({"rule": "backprop"}, "no learning rule 'backprop'"),
        ({"epoch": np.zeros(3)}, r"damaged \(epoch is float64 \(3,\); expected a whole number in 0..100000"),
        ({"format_version": "3\x1b[2J"}, r"format_version is 3\\x1b\[2J; expected a whole number"),
        ({"format_version": np.nan}, "format_version is nan"),
        ({"sizes": np.array([20.0, 13, 7, 3])}, "sizes is float64"),
        ({"sizes": np.array([20, 13, 7, 2**40])}, "sizes contains 1099511627776"),
        ({"sizes": np.array([20, 13, 7, 100]), "local": 0}, "needs 100 classes; the device has 64"),
        ({"sizes": np.array([20])}, "must end with a dense layer"),
        ({"sizes": np.array([20, 3])}, "1 to 5 hidden layers"),
        ({"steps": np.array(-5)}, "steps is -5; expected a whole number in 1..4095"),
        ({"local": np.array(3)}, "local"),
        ({"input": np.array(["frame"])}, "input is <U5"),
        ({"input": "light"}, "no input 'light'"),
        ({"rule": np.array(2)}, "rule is int64"),
        ({"lanes": np.array(7)}, "lanes must be a power of two"),
        ({"lanes": np.array(2**62)}, "lanes is 4611686018427387904"),
        ({"weight_bits": np.array(13)}, "weight_bits must be 16 or 12"),
        ({"weight_bits": np.array(True)}, "weight_bits is True"),
        ({"weights_1": np.full((21, 13), 8192, np.int16)}, "weights_1 holds 8192, which is not a value of 12 bits"),
        ({"feedback_1": np.full((3, 13), 3, np.int16)}, "feedback_1 holds 3, which is not a value of 12 bits"),
        ({"local_1": None}, "local_1 is missing"),
        ({"feedback_shift": np.array([0, 16], np.uint8)}, "feedback_shift contains 16; expected 0..15"),
        ({"feedback_shift": np.array([0, 1])}, "feedback_shift is int64"),
        ({"lfsr": np.array([*range(8)], np.uint32)}, "lfsr contains 0; expected 1 or more"),
        ({"samples": np.array(-1)}, "samples is -1"),
        ({"samples": np.array(2**32)}, "samples is 4294967296"),
        ({"epoch": np.array(-1)}, "epoch is -1"),
        ({"epoch": np.array(10**9)}, "epoch is 1000000000"),
        ({"position": np.array(-7)}, "position is -7"),
        ({"position": np.array(8)}, "tally counts 7 samples, position is 8"),
        ({"tally": np.array([7, 8, 0, 0])}, "tally counts 8 correct samples out of 7"),
        ({"tally": np.array([7, 3, -1, 0])}, "tally contains -1"),
        ({"tally": np.array([7, 3, np.inf, 0])}, "tally is float64"),
        ({"counters": np.full(len(Counter), -1)}, "counters contains -1; expected 0 or more"),
        ({"counters": np.zeros(2, np.int64)}, "counters is int64"),
        ({"data_digest": np.array(-1)}, "data_digest is -1"),
        ({"test_digest": np.array("x")}, "test_digest is x"),
        ({"made_by": np.array(1)}, "made_by is int64"),
        ({"class_names": np.array(["a"])}, "class_names"),
        ({"settings": "[1]"}, "settings is .1.; expected a JSON object"),
        ({"settings": "[" * 100_000}, "settings is nested too deeply"),
        ({"settings": '{"kappa": NaN}'}, "settings is not JSON: NaN is not a finite number"),
        ({"settings": '{"kappa": 1e999}'}, "kappa"),
        ({"settings": '{"kappa": {"a": 1}}'}, "settings: kappa"),
        ({"settings": '{"kappa": true}'}, "settings: kappa"),
        ({"settings": '{"epochs": -1}'}, "settings: epochs"),
        ({"settings": '{"epochs": ' + "9" * 5000 + "}"}, "damaged"),
        ({"settings": '{"seed": 1.5}'}, "settings: seed"),
        ({"settings": '{"mode\\u001b[2J": 1}'}, r"settings: unknown key"),
        ({"settings": '{"net": "20-13-3"}'}, "settings describe 20-13-3, the weights are of 20-13-7-3"),
        ({"settings": '{"rule": "opzo"}'}, "settings name the rule opzo, the rule is dfa"),
        ({"settings": '{"net": "x"}'}, "'x' is not a network"),
    ],
)
def test_refuses_what_does_not_fit(path: Path, changes: dict[str, Any], message: str) -> None:
    checkpoint().save(path)
    change(path, **changes)
    with pytest.raises(OpzoError, match=message) as raised:
        Checkpoint.load(path)
    assert str(path) in str(raised.value)
    assert str(raised.value).isprintable()


def test_every_array_that_is_changed_is_refused_or_read_in_one_way(path: Path) -> None:
    checkpoint().save(path)
    with np.load(path) as file:
        names = file.files
    wrong: tuple[Any, ...] = (None, np.array(-1), np.array(np.nan), np.array("\x1b]0;x\x07"), np.zeros((0, 3)))
    for name in names:
        for value in wrong:
            checkpoint().save(path)
            change(path, **{name: value})
            said = refusal(path)
            if said is None:
                # Arrays that older files lack, and a text that may be any.
                assert name == "made_by" or (name == "test_digest" and value is None)
            else:
                assert name in said or value is None
                assert said.isprintable()


def refusal(path: Path) -> str | None:
    try:
        Checkpoint.load(path)
    except OpzoError as error:
        return str(error)
    return None


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_refuses_a_file_cut_short(path: Path, size: int) -> None:
    checkpoint().save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(OpzoError, match="cannot read"):
        Checkpoint.load(path)


def test_refuses_a_changed_byte_and_an_absent_file(path: Path) -> None:
    with pytest.raises(OpzoError, match="there is no file"):
        Checkpoint.load(path)
    checkpoint().save(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"weights_1.npy") + 200] ^= 1
    path.write_bytes(data)
    with pytest.raises(OpzoError, match="cannot read"):
        Checkpoint.load(path)


def test_other_network_or_rule_is_named() -> None:
    checkpoint().check(NETWORK, Rule.DFA)
    message = (
        "20-13-7-3 with 5 steps, frame input, 1 local readouts and rule dfa, not 20-13-7-3 with 5 steps, frame input"
    )
    with pytest.raises(OpzoError, match=message):
        checkpoint().check(NETWORK, Rule.OPZO)
    with pytest.raises(OpzoError, match="not 20-13-3 with 6 steps"):
        checkpoint().check(Network((20, 13, 3)), Rule.DFA)


class FullDisk:
    """Lets a file grow to ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def fsync(self, descriptor: int) -> None:
        if os.fstat(descriptor).st_size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_leaves_the_earlier_checkpoint_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(atomic.os, "fsync", FullDisk(1000).fsync)
    with pytest.raises(
        OpzoError, match=r"cannot write .*checkpoint.npz: No space left on device; what was saved before"
    ):
        checkpoint(epoch=3).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["checkpoint.npz"]


def test_write_that_the_operating_system_cuts_short(path: Path) -> None:
    checkpoint().save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OpzoError, match=r"cannot write .*: File too large"):
            checkpoint(epoch=3).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["checkpoint.npz"]


def test_new_file_is_synced_before_it_replaces_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda fd: (calls.append("fsync"), real_fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (calls.append("replace"), real_replace(a, b)))
    checkpoint().save(path)
    assert calls == ["fsync", "replace", "fsync"]


def test_run_folder_keeps_rows_only_up_to_its_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", Config())
    folder.save(checkpoint(epoch=2))
    for epoch in (1, 2, 3):
        folder.add_row({"epoch": epoch})
    again, loaded = RunFolder.reopen(tmp_path / "run")
    assert loaded.epoch == 2
    assert again.rows == [{"epoch": 1}, {"epoch": 2}]
    assert checkpoint_path(tmp_path / "run") == tmp_path / "run" / "checkpoint.npz"


def test_run_folder_refuses_to_overwrite_a_run(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, Config()).save(checkpoint())
    with pytest.raises(OpzoError, match="already holds a run; resume it with --resume"):
        RunFolder.create(tmp_path, Config())


def test_run_folder_where_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpzoError, match="cannot make the folder"):
        RunFolder.create(tmp_path / "file" / "run", Config())
    with pytest.raises(OpzoError, match="there is no file"):
        RunFolder.reopen(tmp_path)


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, Config()).save(checkpoint())
    (tmp_path / "metrics.jsonl").write_text("{")
    with pytest.raises(OpzoError, match=r"cannot read .*metrics.jsonl"):
        RunFolder.reopen(tmp_path)
