"""Leak and reset: names, numbers, and one or one a layer."""

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from opzo.spec.errors import ChoiceError, NetworkError
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset, in_words, neuron_register
from opzo.spec.registers import LayerReg, layer_register, network_registers
from opzo.spec.rules import Rule


def test_leaks_and_resets() -> None:
    assert {leak.text: leak.factor for leak in Leak} == {"1/2": 0.5, "3/4": 0.75, "7/8": 0.875, "15/16": 0.9375, "1": 1}
    assert all(Leak.parse(given) is leak for leak in Leak for given in (leak, leak.text, leak.factor, f" {leak.text} "))
    assert all(Reset.parse(given) is reset for reset in Reset for given in (reset, reset.text, reset.text.upper()))
    assert [Leak.of_register(content) for content in range(16)] == 2 * [*Leak, *[Leak.ONE] * 3]
    assert [Reset.of_register(content) for content in range(16)] == 8 * [Reset.SUBTRACT] + 8 * [Reset.ZERO]
    for leak, reset in product(Leak, Reset):
        content = neuron_register(leak, reset)
        assert (Leak.of_register(content), Reset.of_register(content)) == (leak, reset)
    # A register is 0 after a reset: the usual neuron.
    assert neuron_register(Leak.HALF, Reset.SUBTRACT) == 0


@pytest.mark.parametrize("given", ["2/3", "0.9", 0.9, True, None, Reset.ZERO, "", 15])
def test_no_leak(given: Any) -> None:
    with pytest.raises(ChoiceError, match=r"there is no leak .*; choose 1/2, 3/4, 7/8, 15/16, 1"):
        Leak.parse(given)


@pytest.mark.parametrize("given", ["soft", 0, Leak.HALF])
def test_no_reset(given: Any) -> None:
    with pytest.raises(ChoiceError, match=r"there is no reset .*; choose subtract, zero"):
        Reset.parse(given)


def test_network_has_one_for_each_hidden_layer() -> None:
    network = Network("9-8-7-6-3", leak="3/4", reset=["zero", "subtract", Reset.ZERO])
    assert network.leak == (Leak.THREE_QUARTERS,) * 3
    assert network.reset == (Reset.ZERO, Reset.SUBTRACT, Reset.ZERO)
    assert Network("9-8-7-6-3", leak=("1/2", 1.0, "15/16")).leak == (Leak.HALF, Leak.ONE, Leak.FIFTEEN_SIXTEENTHS)
    assert repr(network) == "Network('9-8-7-6-3', steps=6, leak='3/4', reset='zero,subtract,zero')"
    assert eval(repr(network)) == network == replace(network, leak=["3/4"] * 3)
    assert network != replace(network, leak="1/2")
    assert hash(network) == hash(eval(repr(network)))
    assert repr(Network("9-8-3", leak="1/2", reset="subtract")) == "Network('9-8-3', steps=6)"
    assert (in_words(network.leak), in_words(network.reset)) == ("3/4", "zero,subtract,zero")
    for leak in ("1/2,3/4", ["1/2"] * 4, []):
        message = f"leak is {leak!r}, of {len(leak.split(',') if isinstance(leak, str) else leak)} hidden layers; give "
        with pytest.raises(NetworkError, match=re.escape(message) + "one for all, or one for each of 3"):
            Network("9-8-7-6-3", leak=leak)


def test_registers_of_the_layers() -> None:
    network = Network("9-8-7-3", leak="7/8,1", reset="zero,subtract")
    registers = network_registers(network, Limits(lanes=4, rows=256, inputs=16, words=8, classes=4), Rule.OPZO)
    assert [registers[layer_register(slot, LayerReg.NEURON)] for slot in (0, 1, 5)] == [2 + 8, 4, 0]
