"""Numbers that a user gave, and networks as a user writes them."""

from typing import Any

import numpy as np
import pytest

import opzo
from opzo.host.training.config import Config, Hyperparameters, meant
from opzo.spec.messages import shown
from opzo.spec.values import is_finite, real_number, whole_number

HUGE = 10**400


@pytest.mark.parametrize("value", [True, np.bool_(True), 1.0, np.float64(1), "1", None, float("nan"), np.array(1), 1j])
def test_only_whole_numbers_are_whole_numbers(value: Any) -> None:
    with pytest.raises(opzo.OpzoError, match=r"x must be a whole number in 0\.\.7, not .*; like this$"):
        whole_number("x", value, 0, 7, hint="; like this")


@pytest.mark.parametrize("value", [-1, 8, HUGE, -HUGE, np.int64(8)])
def test_whole_numbers_lie_in_their_range(value: Any) -> None:
    with pytest.raises(opzo.OpzoError, match=r"x must be in 0\.\.7, not"):
        whole_number("x", value, 0, 7)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -0.1, 1.5, HUGE, np.float32("nan")])
def test_numbers_are_finite_and_lie_in_their_range(value: Any) -> None:
    with pytest.raises(opzo.OpzoError, match=r"x must be in 0\.\.1, not"):
        real_number("x", value, 0, 1)
    with pytest.raises(opzo.OpzoError, match="x must be a number of 0 or more, not"):
        real_number("x", "0.1", 0)


def test_numbers_of_numpy_become_those_of_python() -> None:
    values = [whole_number("x", np.uint8(7), 0, 7), real_number("x", np.float32(0.5), 0), real_number("x", 2, 0)]
    assert [(type(value), value) for value in values] == [(int, 7), (float, 0.5), (float, 2.0)]
    hyper = Hyperparameters(rate=np.int16(20), kappa=np.float32(0.5), rule=opzo.Rule.DFA)  # type: ignore[arg-type]
    assert (type(hyper.rate), type(hyper.kappa), hyper.rule) == (int, float, "dfa")


@pytest.mark.parametrize(
    "key", ["seed", "epochs", "rate", "alpha", "kappa", "decay", "feedback_leak", "mse", "rotate", "zoom"]
)
@pytest.mark.parametrize("value", ["0.1", True, None, float("nan"), HUGE, -1, [1]])
def test_every_hyper_parameter_is_checked(key: str, value: Any) -> None:
    with pytest.raises(opzo.OpzoError, match=f"{key} must be "):
        Hyperparameters(**{key: value})
    with pytest.raises(opzo.OpzoError, match=f"{key} in here must be "):
        Config.of({key: value}, "here")


def test_a_fraction_as_step_size_is_explained() -> None:
    with pytest.raises(opzo.OpzoError, match=r"0\.\.255, not 0.1; it is an integer step size, usually 140"):
        Hyperparameters(rate=0.1)  # type: ignore[arg-type]


def test_names_of_other_programs_are_known() -> None:
    keys = list(Config.__dataclass_fields__)
    assert meant("lr", keys) == meant("Learning-Rate", keys) == " (did you mean 'rate'?)"
    assert meant("batch_size", keys) == " (did you mean 'batch'?)"
    assert meant("momentum", keys) == ""


@pytest.mark.parametrize("sizes", [(64, 32, 10), [64, 32, 10], np.array([64, 32, 10]), "64-32-10", " 64-32-10\n"])
def test_networks_as_users_write_them(sizes: Any) -> None:
    network = opzo.Network(sizes, input="spikes", local=np.int8(1))  # type: ignore[arg-type]
    assert network == opzo.Network((64, 32, 10), 6, 1, opzo.Input.SPIKES)
    assert repr(network) == "Network('64-32-10', steps=6, local=1, input='spikes')"
    assert all(type(size) is int for size in network.sizes)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("64,32,10", r"is not a network \(did you mean '64-32-10'\?\)"),
        ("64x32x10", r"did you mean '64-32-10'\?"),
        ("64-x-10", "is not a network; write it like"),
        ("9" * 5000 + "-3-3", "is not a network"),
        (64, "give its layers, like"),
        (None, "give its layers, like"),
        (b"3-3-3", "give its layers, like"),
        ({3, 4, 5}, "give its layers, like"),
        ((64, 0.5, 10), "neurons of layer 1 must be a whole number"),
        ((64, True, 10), "neurons of layer 1 must be a whole number"),
        ((64, [3], 10), "neurons of layer 1 must be a whole number"),
        (np.ones((3, 3), int), "neurons of layer 0 must be a whole number"),
        ((64, 0, 10), r"neurons of layer 1 must be in 1\.\.1048576, not 0"),
        ((HUGE, 3, 10), "neurons of layer 0 must be in"),
    ],
)
def test_what_is_no_network_is_refused(sizes: Any, message: str) -> None:
    with pytest.raises(opzo.NetworkError, match=message):
        opzo.Network(sizes)


@pytest.mark.parametrize("value", [2.0, "2", True, None, -1, HUGE])
def test_steps_and_local_readouts_are_whole_numbers(value: Any) -> None:
    for key in ("steps", "local"):
        with pytest.raises(opzo.NetworkError, match=f"{key} must be "):
            opzo.Network((4, 4, 4), **{key: value})


@pytest.mark.parametrize("value", [16.0, "16", True, None, 5, HUGE])
def test_devices_have_lanes_and_weights_of_some_sizes(value: Any) -> None:
    network = opzo.Network((4, 4, 4))
    for key in ("lanes", "weight_bits"):
        with pytest.raises(opzo.NetworkError, match=f"{key} must be "):
            opzo.connect("golden", network, **{key: value})


def test_unknown_inputs_and_rules_name_the_nearest() -> None:
    with pytest.raises(opzo.OpzoError, match=r"no input 'spike' \(did you mean 'spikes'\?\); choose frame"):
        opzo.Network((4, 4, 4), input="spike")
    with pytest.raises(opzo.OpzoError, match=r"no learning rule 'opz' \(did you mean 'opzo'\?\)"):
        Hyperparameters(rule="opz")
    with pytest.raises(opzo.OpzoError, match="no input 1; choose"):
        opzo.Network((4, 4, 4), input=1)  # type: ignore[arg-type]


def test_values_are_shown_short_and_on_one_line() -> None:
    assert shown(np.float64(0.1)) == "0.1"
    assert shown(10**5000) == "a number of 16,610 bits"
    assert "\n" not in shown(np.zeros((9, 9)))
    assert len(shown("x" * 1000)) == 60


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan")])
def test_what_is_no_finite_float_is_refused(value: Any) -> None:
    assert not is_finite(value)
    with pytest.raises(opzo.OpzoError, match="x must be "):
        real_number("x", value, float("-inf"))
