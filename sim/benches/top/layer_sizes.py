"""Testbench of the sizes of the layers, of a device with convolutions; in others they are wires."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.registers import CONFIG, fields_layout, layers_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.layers import BLOCKS
from opzo.spec.layout import Layer
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import LayerReg

PRODUCT_CYCLES = LayerReg.WORDS.bits + 2
PRODUCTS = 4
"""Of each layer."""


def random_network(rng: Random, hidden: int) -> str:
    """A network of at most ``hidden`` hidden layers, most of them convolutions."""
    sides = [rng.choice((rng.randint(2, 20), 2 * rng.randint(1, 10))) for _ in range(2)]
    parts = [f"{rng.randint(1, 5)}x{sides[0]}x{sides[1]}"]
    is_map = True
    for _ in range(rng.randint(1, hidden)):
        is_map = is_map and sides != [1, 1] and rng.random() < 0.8
        channels = rng.randint(1, rng.choice((4, 20)))
        if not is_map:
            parts.append(f"{rng.randint(1, 40)}")
            continue
        parts.append(f"{channels}c{rng.choice((1, 3, 5))}")
        if rng.random() < 0.5 and not any(side % 2 for side in sides):
            sides = [side // 2 for side in sides]
            parts.append("p2")
    return "-".join((*parts, f"{rng.randint(2, 20)}"))


class Driver:
    """The unit."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = Limits(**bench.parameters()["limits"])
        self.fields, self.layout = fields_layout(self.limits), layers_layout(self.limits)
        dut.config.value = dut.fields.value = dut.written.value = 0

    async def write(self, network: Network) -> None:
        """Set the registers of a network at once; those of layers that it lacks are random."""
        dut, rng = self.dut, self.rng
        config = unpack(CONFIG, rng.getrandbits(CONFIG.size))
        config |= {"hidden_layers": len(network.hidden), "input_channels": network.layers[0].below.channels}
        slots = unpack(self.fields, rng.getrandbits(self.fields.size))
        self.layers: dict[int, Layer] = {}
        layers = network.layout(network.limits(self.limits.lanes))
        for number, layer in enumerate(layers):
            slot = self.limits.layers if number == len(layers) - 1 else number
            self.layers[slot] = layer
            slots[slot] |= {
                "words": layer.words,
                "tail": layer.tail,
                "word_base": layer.word_base,
                "kernel": layer.shape.kernel,
                "pool": layer.shape.pool,
            }
            # A dense layer has no height, width and blocks, whatever its registers say.
            if layer.convolution:
                slots[slot] |= {
                    "height": layer.shape.map.height,
                    "width": layer.shape.map.width,
                    "block_shift": layer.block.bit_length() - 1,
                }
        self.slots = slots
        dut.config.value, dut.fields.value, dut.written.value = pack(CONFIG, config), pack(self.fields, slots), 1
        await ReadOnly()
        assert dut.busy.value == 1
        await FallingEdge(dut.clk)
        dut.written.value = 0

    async def done(self) -> None:
        """Wait until the sizes are right."""
        for _ in range(PRODUCTS * PRODUCT_CYCLES * len(self.slots) + 1):
            await ReadOnly()
            if not self.dut.busy.value:
                break
            await FallingEdge(self.dut.clk)
        assert self.dut.busy.value == 0
        await FallingEdge(self.dut.clk)

    def check(self, network: Network) -> None:
        """Compare the sizes with those of the specification."""
        layers = unpack(self.layout, int(self.dut.layers.value))
        base = place_base = 0
        for slot, (layer, fields) in enumerate(zip(layers, self.slots, strict=True)):
            where = f"seed {bench.seed()}: {network}, blocks of {network.block}, layer {slot}"
            assert {name: layer[name] for name in fields} == fields, where
            if slot not in self.layers:
                continue
            golden = self.layers[slot]
            expected = {
                "positions": golden.positions,
                "all_words": golden.all_words,
                "block_row": -(-golden.shape.map.width // golden.block) * golden.words,
                "block_words": golden.block_words,
                "channels": golden.neurons,
                "seen": golden.shape.seen.channels,
                "cells": int(golden.cells),
            }
            # The readout has neither feedback nor lists.
            expected |= {"block_base": base, "place_base": place_base} if slot < self.limits.layers else {}
            assert {name: layer[name] for name in expected} == expected, where
            base += golden.block_words
            place_base += golden.places


async def begin(dut: Any) -> tuple[Driver, list[Network]]:
    """Driver after reset, and networks that it can be given."""
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    texts = [*bench.parameters()["networks"], *(random_network(rng, driver.limits.layers) for _ in range(40))]
    await bench.start(dut)
    return driver, [Network(text, block=rng.choice(BLOCKS)) for text in texts]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_the_specification(dut: Any) -> None:
    driver, networks = await begin(dut)
    for network in networks:
        await driver.write(network)
        await driver.done()
        driver.check(network)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def begins_again_when_written_or_reset(dut: Any) -> None:
    driver, networks = await begin(dut)
    rng = driver.rng
    for number, network in enumerate(networks):
        await driver.write(rng.choice(networks))
        for _ in range(rng.choice((0, 1, rng.randrange(100)))):
            await FallingEdge(dut.clk)
        if number % 3 == 0:
            dut.rst.value = 1
            await FallingEdge(dut.clk)
            dut.rst.value = 0
            await ReadOnly()
            assert dut.busy.value == 0
            await FallingEdge(dut.clk)
        await driver.write(network)
        await driver.done()
        driver.check(network)
