"""Limits and contents of a device that only infers."""

from dataclasses import replace

import numpy as np
import pytest

from opzo.spec.errors import NetworkError
from opzo.spec.fixed_network import FixedNetwork, inference_limits
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.registers import Counter, LayerReg, Reg, counters_of, layer_register, network_registers, stored_bits
from opzo.spec.rules import Rule

DENSE = Network("20-12-8-5", steps=5, local=2)
CONVOLUTION = Network("1x8x8-4c3-p2-6c3-10", steps=4, local=2)


def rows_of(limits: Limits, value: int = 0) -> np.ndarray:
    return np.full((limits.rows, limits.lanes), value, np.int16)


def test_limits_are_those_of_the_weights() -> None:
    # Words of 4 neurons: 3, 2 and 2; their rows are 21, 13 and 9.
    limits = inference_limits(DENSE, 4)
    assert limits == Limits(4, 3 * 21 + 2 * 13 + 2 * 9, 20, 8, 5, 5, layers=2, first_words=3, learning=False)
    # A position has one word of 4 neurons or two; 64 positions, then 16, in cells of 4.
    limits = inference_limits(CONVOLUTION, 4, 12, 4)
    assert limits == Limits(
        *(4, 10 + 2 * 37 + 3 * 97, 64, 64 + 2 * 16, 10, 4, 12, 2, 4),
        **{"gradients": 1, "blocks": 1, "first_words": 64, "places": 16 + 16, "learning": False},
    )


@pytest.mark.parametrize("network", [DENSE, CONVOLUTION])
def test_layers_lie_one_after_the_other(network: Network) -> None:
    limits = inference_limits(network, 8)
    address = 0
    for layer in network.layout(limits):
        assert layer.weight_base == address
        address += layer.rows * layer.words
    assert address == limits.rows


def test_a_smaller_device_is_refused() -> None:
    limits = inference_limits(CONVOLUTION, 4)
    for name in ("rows", "words", "places"):
        with pytest.raises(NetworkError, match="needs"):
            CONVOLUTION.check(replace(limits, **{name: getattr(limits, name) - 1, "first_words": 0}))
    with pytest.raises(NetworkError, match="needs 3 hidden layers"):
        Network("1x8x8-4c3-6c3-8-10").check(limits)
    with pytest.raises(NetworkError, match="power of two"):
        inference_limits(DENSE, 5)


def test_what_such_a_device_lacks() -> None:
    limits = inference_limits(CONVOLUTION, 4)
    present = {space: space.rows(limits) for space in Space if space.rows(limits)}
    assert present == {Space.WEIGHTS: limits.rows, Space.MEMBRANE: 2 * limits.words}
    assert not any(space.writable_in(limits) for space in Space)
    assert Space.WEIGHTS.writable_in(replace(limits, learning=True))
    assert counters_of(limits) == (
        *(Counter.TEST_RUNS, Counter.TEST_CYCLES, Counter.INTEGRATE, Counter.FIRE, Counter.EVENTS),
        *(Counter.SPIKES_1, Counter.SPIKES_2, Counter.MEMBRANE_SATURATIONS, Counter.STEPS, Counter.DROPPED),
    )


def test_identity_tells_whether_it_learns() -> None:
    for limits in (inference_limits(CONVOLUTION, 4), inference_limits(DENSE, 8), DENSE.limits(4)):
        identity = Identity.unpack(Identity.of(limits).pack())
        assert identity.learning == limits.learning
        assert replace(identity.limits, lanes_per_group=limits.lanes_per_group) == limits


def test_registers_are_those_of_the_network() -> None:
    limits = inference_limits(DENSE, 4)
    fixed = FixedNetwork(DENSE, Rule.DFA, limits, rows_of(limits))
    assert fixed.registers.keys() == stored_bits(limits).keys()
    assert fixed.registers.items() >= network_registers(DENSE, limits, Rule.DFA).items()
    assert fixed.registers[Reg.RATE] == 0
    assert fixed.registers[layer_register(1, LayerReg.WEIGHT_BASE)] == 3 * 21


def test_words_of_the_row_memories() -> None:
    limits = inference_limits(DENSE, 4, 12)
    rows = rows_of(limits)
    rows[3] = [4, -4, 8188, -8192]
    fixed = FixedNetwork(DENSE, Rule.OPZO, limits, rows)
    assert fixed.row_words(0, 2)[3] == 0xFFF001
    assert fixed.row_words(1, 2)[3] == 0x8007FF
    assert fixed.row_words(0, 4)[2:4] == [0, 0x8007FFFFF001]


def test_contents_are_checked() -> None:
    limits = inference_limits(DENSE, 4)
    with pytest.raises(ValueError, match="does not learn"):
        FixedNetwork(DENSE, Rule.OPZO, DENSE.limits(4), rows_of(DENSE.limits(4)))
    with pytest.raises(ValueError, match="shape"):
        FixedNetwork(DENSE, Rule.OPZO, limits, rows_of(limits)[1:])
    narrow = replace(limits, weight_bits=12)
    for value in (1, 8192, -8196):
        with pytest.raises(ValueError, match="12 bits"):
            FixedNetwork(DENSE, Rule.OPZO, narrow, rows_of(narrow, value))
    FixedNetwork(DENSE, Rule.OPZO, narrow, rows_of(narrow, -8192))
