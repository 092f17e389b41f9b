"""Networks with convolutions, as text and as objects: what they are, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from opzo.spec.errors import NetworkError
from opzo.spec.layers import MAX_CHANNELS, MAX_SIDE, Convolution, Dense, Map, Pool
from opzo.spec.limits import LANES, Limits
from opzo.spec.network import Network
from opzo.spec.registers import network_registers, stored_bits
from opzo.spec.rules import Rule

TEXT = "2x12x8-4c3-p2-8c5-p2-16c1-6-4"
PARTS = (Map(2, 12, 8), Convolution(4, 3), Pool(), Convolution(8, 5), Pool(), Convolution(16, 1), 6, 4)


def test_text_and_objects_are_the_same_network() -> None:
    network = Network(TEXT, 5, 2, "spikes", 4)
    assert network == Network(PARTS, 5, 2, "spikes", 4) == Network([*PARTS[:-2], Dense(6), Dense(4)], 5, 2, "spikes", 4)
    assert str(network) == TEXT
    assert repr(network) == f"Network('{TEXT}', steps=5, local=2, input='spikes', block=4)"
    assert eval(repr(network)) == network
    assert eval(repr(Network(TEXT))) == Network(TEXT)
    assert Network(network.sizes, 5, 2, "spikes", 4) == network


def test_a_network_is_replaced_by_one_that_differs_in_one_thing() -> None:
    network = Network(TEXT, 5, 2, "spikes", 4)
    for name, value in (("steps", 7), ("local", 0), ("block", 8)):
        other = replace(network, **{name: value})
        assert getattr(other, name) == value
        assert replace(other, **{name: getattr(network, name)}) == network
    assert len({network, replace(network, block=8), replace(network, block=4)}) == 2


def test_shapes_of_a_network() -> None:
    network = Network(TEXT, block=4)
    assert network.neurons == (192, 4 * 96, 8 * 24, 16 * 6, 6, 4)
    assert (network.inputs, network.hidden, network.classes) == (192, (384, 192, 96, 6), 4)
    assert network.input_map == Map(2, 12, 8)
    assert network.weight_shapes == ((19, 4), (101, 8), (9, 16), (97, 6), (7, 4))
    # Blocks of 4 x 4 in maps of 12 x 8, 6 x 4 and 3 x 2.
    assert network.feedback_shapes == ((4, 6 * 4), (4, 2 * 8), (4, 16), (4, 6))
    assert [str(layer.map) for layer in network.convolutions] == ["4x12x8", "8x6x4", "16x3x2"]
    assert [layer.pool for layer in network.layers] == [False, True, True, False, False]
    assert [layer.cells for layer in network.layout(network.limits(4))] == [True, True, False, False, False]


def test_readout_behind_a_pool_sees_the_averages() -> None:
    network = Network("1x8x6-3c3-p2-10")
    assert network.weight_shapes == ((10, 3), (3 * 4 * 3 + 1, 10))
    assert network.layers[1].below == Map(3, 8, 6)
    assert network.layers[1].seen == Map(3, 4, 3)


def test_a_dense_layer_does_not_see_how_inputs_are_arranged() -> None:
    dense = Network("784-128-10")
    for other in (Network("1x28x28-128-10"), Network((Map(1, 28, 28), 128, 10)), Network("4x14x14-128-10", block=8)):
        assert other == dense
        assert str(other) == "784-128-10"
        assert repr(other) == repr(dense)
        assert hash(other) == hash(dense)
        assert other.input_map is None
    assert dense.sizes == (784, 128, 10)


def test_a_pool_may_leave_one_position() -> None:
    network = Network("2x2x2-4c3-p2-5c1-6c5-3")
    assert [layer.map.positions for layer in network.layers] == [4, 1, 1, 1]
    assert network.weight_shapes == ((19, 4), (5, 5), (126, 6), (7, 3))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("1x7x8-3c3-p2-4", "p2 needs an even height; the map 3x7x8 has 7"),
        ("1x8x7-3c3-p2-4", "p2 needs an even width; the map 3x8x7 has 7"),
        ("1x12x12-3c3-p2-3c3-p2-3c3-p2-4", "p2 needs an even height; the map 3x3x3 has 3"),
        ("1x8x8-3c7-4", "the kernel of '3c7' must be 1, 3 or 5, not 7"),
        ("1x8x8-3c0-4", "the kernel of '3c0' must be 1, 3 or 5, not 0"),
        ("1x8x8-3c2-4", "the kernel of '3c2' must be 1, 3 or 5, not 2"),
        ((Map(1, 8, 8), Convolution(3, 3), Dense(5), Pool(), 4), "'p2' must follow a convolution"),
        ("1x8x8-p2-4", "'p2' must follow a convolution"),
        ("1x8x8-20-p2-4", "'p2' must follow a convolution"),
        ("1x8x8-3c3-p2-p2-4", "'p2' must follow a convolution"),
        ("1x8x8-3c3-p3-4", "an average pool is 2 x 2, written p2, not p3"),
        ("64-3c3-4", "the convolution '3c3' needs a map below it, not 64 neurons .*written like 1x28x28"),
        ("16x1x1-8c3-4", "the convolution '8c3' needs a map below it, not 16 neurons"),
        ("1x8x8-3c3-20-5c3-4", "the convolution '5c3' needs a map below it, not 20 neurons"),
        ("1x8x8-3c3", "'1x8x8-3c3' must end with a dense layer"),
        ("1x8x8-3c3-p2", "'1x8x8-3c3-p2' must end with a dense layer"),
        ("1x8x8-4c1-4c1-4c1-4c1-4c1-4c1-3", "1 to 5 hidden layers, .* has 6"),
        (f"1x8x8-{MAX_CHANNELS + 1}c3-4", r"channels of a convolution must be in 1\.\.1024, not 1025"),
        (f"{MAX_CHANNELS + 1}x8x8-2c3-4", r"channels of a map must be in 1\.\.1024, not 1025"),
        ("1x8x8-0c3-4", r"channels of a convolution must be in 1\.\.1024, not 0"),
        ("0x8x8-2c3-4", r"channels of a map must be in 1\.\.1024, not 0"),
        (f"1x{MAX_SIDE + 1}x8-2c3-4", r"height of a map must be in 1\.\.128, not 129"),
        (f"1x8x{MAX_SIDE + 1}-2c3-4", r"width of a map must be in 1\.\.128, not 129"),
        ("1x0x8-2c3-4", r"height of a map must be in 1\.\.128, not 0"),
        ("1x8x8-3c3-1", "1x8x8-3c3-1 has 1 class; the least is 2"),
        ("1x8-3c3-4", "'1x8-3c3-4' is not a network; write it like"),
        ("1x8x8x8-3c3-4", "is not a network; write it like"),
        ("1x8x8-3C3-4", "is not a network; write it like"),
        ("1x8x8-3c-4", "is not a network; write it like"),
        ("1x8x8-3c3-p-4", "is not a network; write it like"),
        ("1x8x8-3c3-4-", "is not a network; write it like"),
        ("1x8x8-3c3-٤", "is not a network; write it like"),
        ("1x8x8-9999999999c3-4", "is not a network; write it like"),
        ("8c3-4", "is not a network; write it like"),
        ((64, Map(1, 8, 8), 4), "neurons of layer 1 must be a whole number"),
        ((Convolution(3, 3), 4), "neurons of layer 0 must be a whole number"),
        ((Pool(), 4), "neurons of layer 0 must be a whole number"),
    ],
)
def test_what_does_not_work_is_refused_with_what_is_wrong(net: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(net)


@pytest.mark.parametrize("block", [0, 3, 64, -1, 2.0, "2", True, None])
def test_blocks_are_powers_of_two(block: Any) -> None:
    with pytest.raises(NetworkError, match="block must be 1, 2, 4, 8, 16 or 32, not "):
        Network("1x8x8-3c3-4", block=block)
    assert Network("1x8x8-3c3-4", block=np.int64(32)).block == 32  # type: ignore[arg-type]


NEEDS = Network("2x8x6-5c3-p2-9c3-3").limits(4)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        # 2 words of 2 * 3 * 3 + 1 rows, and 3 words of 5 * 3 * 3 + 1.
        ("gradients", 175, "needs 176 row-words of 4 gradients; the device has 175"),
        # 12 blocks of 2 words, and 4 of 3.
        ("blocks", 35, "needs 36 words of 4 neurons of feedback blocks; the device has 35"),
        ("block", 1, "needs 2 rows and columns of positions in a feedback block; the device has 1"),
        # 48 positions of 2 words, and 12 of 3.
        ("words", 131, "needs 132 words of 4 hidden neurons; the device has 131"),
        ("first_words", 95, "needs 96 words of 4 neurons in the first layer; the device has 95"),
        # 12 cells, and 12 positions.
        ("places", 23, "needs 24 positions or cells of hidden layers; the device has 23"),
        ("inputs", 95, "needs 96 inputs; the device has 95"),
        ("layers", 1, "needs 2 hidden layers; the device has 1"),
        # Weights as above and 109; feedback of 3 classes for 12 blocks of 2 words, and 4 of 3.
        ("rows", 392, "needs 393 row-words of 4 weights; the device has 392"),
    ],
)
def test_too_small_a_device_is_refused_with_what_is_needed(limit: str, value: int, message: str) -> None:
    network = Network("2x8x6-5c3-p2-9c3-3")
    network.check(
        replace(
            NEEDS,
            gradients=176,
            words=132,
            inputs=96,
            layers=2,
            rows=393,
            blocks=36,
            block=2,
            first_words=96,
            places=24,
        )
    )
    with pytest.raises(NetworkError, match=message):
        network.check(replace(NEEDS, **{limit: value}))


def test_convolutions_need_a_device_built_for_them() -> None:
    with pytest.raises(NetworkError, match="2x8x6-5c3-p2-9c3-3 has convolutions; the device was built without"):
        Network("2x8x6-5c3-p2-9c3-3").check(replace(NEEDS, gradients=0, blocks=0, block=1))


def test_blocks_of_a_device() -> None:
    dense = Network("64-64-9-10").limits(4)
    assert (dense.blocks, dense.block, dense.block_bits) == (0, 1, dense.word_bits)
    # 16 + 3 words; a dense layer is one block of the words that it has.
    Network("64-64-9-10").check(replace(NEEDS, words=19, blocks=19, rows=6000, block=1))
    with pytest.raises(NetworkError, match="needs 19 words of 4 neurons of feedback blocks; the device has 18"):
        Network("64-64-9-10").check(replace(NEEDS, words=19, blocks=18, rows=6000))
    assert (NEEDS.blocks, NEEDS.block, NEEDS.block_bits, NEEDS.word_bits) == (64, 2, 6, 8)
    # Blocks of 4 x 4: 2 x 2 of 2 words, 1 of 3.
    wide = Network("2x8x6-5c3-p2-9c3-3", block=4).limits(4)
    assert (wide.blocks, wide.block) == (16, 4)
    assert replace(NEEDS, blocks=1).block_bits == 1


@pytest.mark.parametrize(
    ("blocks", "block", "message"),
    [
        (0, 2, r"blocks must be in 1\.\.8192, not 0"),
        (8193, 2, r"blocks must be in 1\.\.8192, not 8193"),
        (1, 3, "block must be 1, 2, 4, 8, 16 or 32, not 3"),
    ],
)
def test_blocks_that_no_device_has_are_refused(blocks: int, block: int, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        replace(NEEDS, blocks=blocks, block=block)


@pytest.mark.parametrize(("blocks", "block"), [(1, 1), (0, 2)])
def test_a_device_without_convolution_has_no_blocks_of_its_own(blocks: int, block: int) -> None:
    with pytest.raises(NetworkError, match="has blocks 0 and block 1, not"):
        replace(NEEDS, gradients=0, blocks=blocks, block=block)


@pytest.mark.parametrize(
    ("net", "lanes", "message"),
    [
        ("6x32x32-64c3-10", 16, "needs 65536 inputs of a neuron; the device has 16384"),
        ("16-20000-10", 128, "needs 20000 inputs of a neuron; the device has 16384"),
        ("784-8188-10", 4, "needs .* row-words of 4 weights; the device has 1048576"),
        ("800x4x4-4c5-10", 4, "needs 20000 inputs of a neuron; the device has 16384"),
        ("8-8192-2", 4, "needs 2048 words of 4 neurons at a position; the device has 2047"),
        ("1x128x128-1c3-10", 4, "needs 16384 words of 4 hidden neurons; the device has 8192"),
    ],
)
def test_what_no_device_holds_is_refused(net: str, lanes: int, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(net).limits(lanes)


@pytest.mark.parametrize("lanes", LANES)
def test_registers_hold_every_network_that_is_accepted(lanes: int) -> None:
    accepted = 0
    for net in (
        *("1x128x128-64c1-p2-64c1-p2-16c1-p2-10", "655x5x5-1024c5-1024c1-10", "1x64x128-4c3-16c1-3"),
        *("16x32x32-16c5-10", "16384-2047-2", "1024x4x4-1024c1-p2-64", "8-16384-2"),
    ):
        network = Network(net, local=1 if net.endswith("-10") else 0, block=32)
        try:
            limits = network.limits(lanes)
            registers = network_registers(network, limits, Rule.OPZO)
        except NetworkError:
            continue
        accepted += 1
        bits = stored_bits(limits)
        assert not {hex(address): value for address, value in registers.items() if value >> bits[address]}, net
    assert accepted


def test_maps_of_a_device_without_a_limit_of_its_own() -> None:
    assert Limits(lanes=4, rows=1, inputs=1, words=1, classes=2).gradients == 0
    with pytest.raises(NetworkError, match=r"gradients must be in 0\.\.1048576, not -1"):
        Limits(lanes=4, rows=1, inputs=1, words=1, classes=2, gradients=-1)
