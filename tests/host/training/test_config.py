"""Settings: defaults, TOML, what is refused; schedules; initial state."""

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opzo.host.driver.initial_weights import feedback_shift, initial_feedback, initial_weights
from opzo.host.driver.state import State
from opzo.host.training.config import Config, Hyperparameters, checked, read_toml
from opzo.host.training.schedule_registers import BLOCK, decay_shift, schedule_registers, stream_registers
from opzo.sim.golden import feedback_scale
from opzo.spec.errors import NetworkError, OpzoError
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

NETWORK = Network((784, 256, 100, 10))


def test_toml_of_a_configuration_reads_back(tmp_path: Path) -> None:
    config = Config(rule="dfa", alpha=0.05, data='a "strange"\\ näme.npz', decay=0)
    path = tmp_path / "config.toml"
    path.write_text(config.toml())
    assert Config.of(read_toml(path), "there") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kapa": 8}, r"unknown key 'kapa' \(did you mean 'kappa'\?\) in here; the keys are rule, seed, epochs, rate"),
        (
            {"rate": "84"},
            r"rate in here must be a whole number in 0..255, not '84'; it is an integer step size, usually 140",
        ),
        ({"rate": 84.0}, "must be a whole number"),
        ({"rate": True}, "must be a whole number"),
        ({"net": 64}, "net in here must be a string, not 64"),
        ({"learning": {"rate": 84}}, "unknown key 'learning'"),
        ({"rate": 256}, r"rate in here must be in 0..255, not 256"),
        ({"epochs": 0}, r"epochs in here must be in 1..100000, not 0"),
        ({"alpha": 1.5}, "alpha in here must be in"),
        ({"alpha": float("nan")}, "alpha in here must be in"),
        ({"seed": -1}, "seed in here must be in"),
        ({"feedback_leak": 5}, r"feedback_leak must be 0 \(off\) or in 12..26, not 5"),
        ({"checkpoint_every": -1}, "checkpoint_every in here must be 0 or more"),
        ({"rule": "backprop"}, "no learning rule 'backprop'; choose opzo, dfa, zo, readout"),
        ({"net": "64"}, "'64' is not a network"),
        ({"net": "64-10"}, "1 to 5 hidden layers"),
        ({"net": "64-0-10"}, "neurons of a dense layer must be in 1..1048576, not 0"),
        ({"net": "64-x-10"}, "'64-x-10' is not a network"),
        ({"steps": 0}, "steps in here must be in 1..4095, not 0"),
    ],
)
def test_refuses_with_a_message_that_names_the_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        Config.of(values, "here")


def test_whole_numbers_do_for_floats() -> None:
    assert checked({"kappa": 8}, "here") == {"kappa": 8.0}


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfrate = 5\r\n", b"# Gr\xf6\xdfe\nrate = 5\n", "rate = 5 # Größe".encode()]
)
def test_reads_text_as_other_systems_write_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    assert read_toml(path) == {"rate": 5}


def test_a_path_that_is_not_text_is_taken_where_there_is_such_a_file(tmp_path: Path) -> None:
    data = os.fsencode(tmp_path) + b"/f\xfcr.npz"
    Path(os.fsdecode(data)).touch()
    path = tmp_path / "c.toml"
    path.write_bytes(b'data = "' + data + b'"\n')
    assert read_toml(path) == {"data": os.fsdecode(data)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rate =", "not a TOML file"),
        (b"\xff\xfe", "its text is UTF-16; save it as UTF-8"),
        ("rate = 5\n".encode("utf-16"), "its text is UTF-16; save it as UTF-8"),
        ("rate = 5\n".encode("utf-16-be"), "not a TOML file"),
        (b'data = "f\xfcr.npz"\n', r"'f\\udcfcr.npz', which is neither UTF-8 nor the name of a file"),
        (b"rate = " + b"9" * 5000, "not a TOML file: Exceeds the limit"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "not a TOML file: it is nested too deeply"),
        (b"a." * 3000 + b"b = 1", "nested too deeply"),
        (b"# " + b"x" * 1_000_000, "is larger than 1,000,000 bytes"),
        (b"\x1b[2J = 1", "not a TOML file"),
        (b"rate = 1\nrate = 2\n", "not a TOML file: Cannot overwrite a value"),
    ],
)
def test_refuses_what_is_no_toml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(OpzoError, match=message):
        checked(read_toml(path), "here")
    with pytest.raises(OpzoError, match="cannot read"):
        read_toml(tmp_path / "absent.toml")


def test_schedules_begin_and_end_as_in_the_prototype() -> None:
    hyper = Hyperparameters(rate=84, alpha=0.2, alpha_end=0.1, kappa=8.0, decay=23, feedback_leak=15, mse=7)
    total = 30 * 1438
    assert schedule_registers(hyper, 0, total) == {
        Reg.ALPHA: 819,
        Reg.RATE: 84,
        Reg.ACTIVITY: 21,
        Reg.DECAY_SHIFT: 6,
        Reg.LEAK_SHIFT: 4,
        Reg.MSE_SHIFT: 7,
        Reg.BATCH: 1,
        Reg.CONVOLUTION_RATE: 1500,
    }
    assert [schedule_registers(hyper, total * k // 4, total)[Reg.RATE] for k in range(5)] == [84, 72, 42, 12, 0]
    assert schedule_registers(hyper, total // 2, total)[Reg.ALPHA] == 614
    last = schedule_registers(hyper, total, total)
    assert (last[Reg.ALPHA], last[Reg.RATE], last[Reg.ACTIVITY], last[Reg.DECAY_SHIFT]) == (410, 0, 0, 0)
    assert last[Reg.CONVOLUTION_RATE] == 0


def test_a_stream_keeps_the_ratio_of_the_step_sizes() -> None:
    registers = stream_registers(Hyperparameters(rate=140, conv_rate=1400), 20)
    assert (registers[Reg.RATE], registers[Reg.CONVOLUTION_RATE]) == (20, 200)
    assert stream_registers(Hyperparameters(rate=1), 255)[Reg.CONVOLUTION_RATE] == 4095
    assert stream_registers(Hyperparameters(rate=0), 20)[Reg.CONVOLUTION_RATE] == 0


def test_registers_never_exceed_their_bits() -> None:
    extremes = Hyperparameters(rate=255, alpha=0.999, alpha_end=0.0, kappa=500.0, decay=40, feedback_leak=26, mse=15)
    for hyper in (Hyperparameters(), extremes, Hyperparameters(rate=0, decay=1, feedback_leak=0, mse=0)):
        for sample in range(0, 10_000, BLOCK):
            for register, value in schedule_registers(hyper, sample, 10_000).items():
                assert 0 <= value < 1 << Reg(register).bits


@pytest.mark.parametrize("rule", ["dfa", "readout"])
def test_rules_without_noise_have_no_amplitude(rule: str) -> None:
    assert schedule_registers(Hyperparameters(rule=rule), 0, 1000)[Reg.ALPHA] == 0


def test_decay_is_off_where_it_is_too_small_or_nothing_moves() -> None:
    assert decay_shift(0, 84) == decay_shift(23, 0) == decay_shift(30, 1) == 0
    assert decay_shift(23, 1) == 12
    assert decay_shift(1, 255) == 1


@pytest.mark.parametrize("lanes", [4, 16, 64])
def test_feedback_shift_of_a_random_matrix_is_what_the_chip_would_choose(lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    for bound in (0, 1, 63, 64, 130, 4000, 32767):
        matrix = rng.integers(-bound, bound + 1, (10, 100)).astype(np.int16)
        words = np.zeros((10, -(-100 // lanes) * lanes), np.int16)
        words[:, :100] = matrix
        lane = words.reshape(10, -1, lanes)[:, :, 0].T
        assert feedback_shift(matrix, lanes) == feedback_scale.feedback_shift(lane)
    means = (0, 63, 64, 127, 128, 32767)
    assert [feedback_shift(np.full((10, 100), mean, np.int16), lanes) for mean in means] == [0, 0, 1, 1, 2, 9]


def test_initial_weights_lie_in_their_ranges_and_biases_are_0() -> None:
    weights = initial_weights(NETWORK, seed=5)
    for matrix, scale_factor, n_in in zip(weights, (1.5, 3, 1), (784, 256, 100), strict=True):
        assert matrix.dtype == np.int16
        bound = scale_factor / np.sqrt(n_in) * 4096
        assert 0.98 * bound < np.abs(matrix).max() <= bound + 0.5
        assert abs(matrix[:-1].mean()) < 0.04 * bound
        assert not matrix[-1].any()
    again = initial_weights(NETWORK, seed=5)
    assert all((a == b).all() for a, b in zip(weights, again, strict=True))
    assert (initial_weights(NETWORK, seed=6)[0] != weights[0]).any()


def test_feedback_matrices_are_random_only_for_dfa() -> None:
    assert not any(matrix.any() for matrix in initial_feedback(NETWORK, Rule.OPZO, 0))
    assert initial_feedback(NETWORK, Rule.ZO, 0) == initial_feedback(NETWORK, Rule.READOUT, 0) == []
    matrices = initial_feedback(NETWORK, Rule.DFA, 0)
    assert [matrix.shape for matrix in matrices] == [(10, 256), (10, 100)]
    assert [feedback_shift(matrix, 16) for matrix in matrices] == [7, 7]


def test_initial_state_has_distinct_lanes_that_are_not_0() -> None:
    state = State.initial(NETWORK, Rule.DFA, seed=1, limits=NETWORK.limits(64))
    assert len(set(state.lfsr.tolist())) == 64
    assert 0 not in state.lfsr
    assert state.feedback_shift.tolist() == [7, 7]


def test_network_errors_are_opzo_errors() -> None:
    assert issubclass(NetworkError, OpzoError)


def test_neurons_are_of_all_layers_or_of_each() -> None:
    config = Config(net="9-8-7-3", leak="3/4, 1", reset="ZERO")
    assert (config.network.leak, config.network.reset) == ((Leak.THREE_QUARTERS, Leak.ONE), (Reset.ZERO,) * 2)
    assert (config.leak, config.reset) == ("3/4,1", "zero")
    assert Config(net="9-8-7-3", leak="7/8,7/8").leak == "7/8"
    assert Config(leak="1").network.leak == (Leak.ONE,) * 2
    with pytest.raises(NetworkError, match="leak is '1/2,3/4,1', of 3 hidden layers; give one for all, or one for eac"):
        Config(net="9-8-7-3", leak="1/2,3/4,1")
    with pytest.raises(OpzoError, match=r"there is no leak '2/3'.*; choose 1/2, 3/4"):
        Config(leak="2/3")


def test_local_readouts_are_counted_from_the_first_layer_or_all() -> None:
    assert [Config(net="9-8-7-3", local=local).network.local for local in (0, 1, 2, -1)] == [0, 1, 2, 2]
    with pytest.raises(NetworkError, match="local is 3 hidden layers with a local readout; 9-8-7-3 has 2"):
        Config(net="9-8-7-3", local=3)
    with pytest.raises(OpzoError, match=r"local must be in -1..5, not -2"):
        Config(net="9-8-7-3", local=-2)
    with pytest.raises(NetworkError, match="has 33 classes; local learning allows 32"):
        Config(net="9-8-33", local=1)


def test_the_intermediate_readout_is_that_of_a_layer_before_which_there_are_others() -> None:
    net = "1x4x4-3c3-3c3-3"
    assert Config(net=net, local=-1, intermediate=2).network == Network(net, local=2, intermediate=2)
    assert Config(net=net, local=-1).network.intermediate == 0
    assert Config(net=net, local=-1, intermediate=2, rule="readout").network.intermediate == 2
    with pytest.raises(NetworkError, match="intermediate is 2; rule zo has no feedback matrices"):
        Config(net=net, local=-1, intermediate=2, rule="zo")


def test_every_key_has_help() -> None:
    assert all(Config.__dataclass_fields__[key].metadata["help"] for key in asdict(Config()))


def test_documentation_has_type_range_unit_and_default_of_each_setting() -> None:
    text = " ".join((Hyperparameters.__doc__ or "").split())
    assert (
        "rate : int, 0..255 Initial step size, 0..255, in 2^-15; falls to 0 by cosine. Default: 140. conv_rate" in text
    )
    assert "alpha : float, 0..0.999 Initial noise amplitude, in thresholds. Default: 0.1. alpha_end" in text
    assert "rule : str Learning rule: opzo, dfa, zo or readout. Default: opzo. seed" in text
    for entry in fields(Hyperparameters):
        assert f" {entry.name} : " in text
