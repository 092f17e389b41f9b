"""Testbench of the filler of the credit filters."""

from itertools import product
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lanes.selector import ENTRIES
from opzo.hw.registers import CONFIG, layers_layout
from opzo.hw.schedule.filler import LOSSES
from opzo.hw.timing import NEXT_FILL, filled_cycles
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.formats import HISTORY_STEPS, SCALED_ERROR
from opzo.spec.geometry import blocks
from opzo.spec.layers import BLOCKS, POOL, Map
from opzo.spec.limits import MAX_HIDDEN, Limits
from opzo.spec.rules import Input, Rule

RULES = (Rule.OPZO, Rule.READOUT, Rule.ZO)
CASES = tuple(product(range(1, MAX_HIDDEN + 1), range(1, HISTORY_STEPS + 1), RULES))
"""Hidden layers, time steps, rule."""
SAFE_CYCLES = NEXT_FILL - 1
"""From ``loaded``, which an op strobes a cycle later: sums of credits commanded earlier would be written to tables that
are still in use. The next word of a layer begins then if all time steps are in use."""
MOST_CYCLES = 3
"""The first cycle of a word's first lane is one of so many after start, ``loaded`` or ``hidden_ready``.

One more with convolutions."""


class Sample:
    """One sample's settings, and the commands that its words take: one list a word, in order.

    ``soonest`` is the first of the cycles in which a word after the first one began.
    """

    def __init__(self, dut: Any, rng: Random, case: tuple[int, int, Rule]) -> None:
        self.dut, self.rng, self.case = dut, rng, case
        self.soonest = 100
        self.depth, steps, rule = case
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.layout = filter_command(limits)
        layout, readout = layers_layout(limits), limits.layers
        layers = unpack(layout, rng.getrandbits(layout.size))
        of_layers = [self._random_layer(layer, slot == readout) for slot, layer in enumerate(layers)]
        config = unpack(CONFIG, rng.getrandbits(CONFIG.size))
        config |= {"hidden_layers": self.depth, "steps": steps, "rule": int(rule)}
        phase = rng.getrandbits(1)
        losses = [rng.choice((SCALED_ERROR.min, 0, SCALED_ERROR.max, rng.randrange(100))) for _ in range(HISTORY_STEPS)]
        dut.config.value, dut.layers.value = pack(CONFIG, config), pack(layout, layers)
        dut.phase.value, dut.losses.value = phase, pack(LOSSES, losses)
        slots = [readout, *reversed(range(self.depth if rule.learns_hidden else 0))]
        self.words = [
            [
                {
                    "valid": 1,
                    "first": step == steps - 1,
                    "frame": slot == 0 and config["input"] == Input.FRAME,
                    "lane": lane,
                    "readout": slot == readout,
                    "step": step,
                    "odd": (step ^ phase) & 1,
                    "loss": losses[step] if rule.from_loss else 0,
                    **word,
                }
                for lane in range(limits.lanes_per_group)
                for step in reversed(range(steps))
            ]
            for slot in slots
            for word in of_layers[slot]
        ]
        for command in (command for commands in self.words for command in commands):
            for name in command.keys() - dict(self.layout).keys():
                del command[name]

    def _random_layer(self, layer: dict[str, int], readout: bool) -> list[dict[str, int]]:
        """Make random registers those of a small layer; fields of the command by word."""
        rng, limits = self.rng, self.limits
        is_map = limits.gradients > 0 and not readout and rng.random() < 0.6
        cells = is_map and rng.random() < 0.5
        sides = [POOL * rng.randint(1, 2) if cells else rng.randint(1, 4) for _ in range(2)]
        map, words = Map(1, *sides) if is_map else Map(1), rng.randint(1, 1 + 3 // sides[0])
        block = rng.choice(BLOCKS[:3]) if is_map else 1
        of_position = blocks(map, cells, block).tolist()
        block_words = (max(of_position) + 1) * words
        layer |= {"words": words, "all_words": len(of_position) * words, "block_words": block_words, "cells": cells}
        layer |= {"kernel": rng.choice((1, 3, 5)) if is_map else 0, "tail": rng.randint(1, limits.lanes)}
        layer["word_base"] = rng.randrange(limits.words - layer["all_words"])
        layer["block_base"] = rng.randrange(limits.blocks - block_words) if limits.gradients else layer["word_base"]
        if is_map:
            layer |= {"height": map.height, "width": map.width, "block_shift": block.bit_length() - 1}
            layer["block_row"] = -(-map.width // block) * words
        return [
            {
                "word": of_position[position] * words + word + (0 if readout else layer["block_base"]),
                "shared": int(is_map),
                "valid_lanes": layer["tail"] if word == words - 1 else limits.lanes,
                # Of the readout no code is read.
                **({} if readout else {"code_word": layer["word_base"] + position * words + word}),
            }
            for position in range(map.positions)
            for word in range(words)
        ]

    async def run(self, pace: float, words: int | None = None) -> None:
        """Play the sequencer: check every command, and when it comes.

        ``pace`` is the probability in each cycle that a word that is filled in is loaded; with ``words`` the sample
        is left after so many.
        """
        dut, rng = self.dut, self.rng
        # At once, while the read-out is filled in, or when the filler has long come to the hidden layers.
        ready_in = rng.choice((0, rng.randrange(HISTORY_STEPS), 200))
        dut.fill__hidden_ready.value, dut.fill__start.value = ready_in == 0, 1
        await FallingEdge(dut.clk)
        dut.fill__start.value = 0
        for number, commands in enumerate(self.words[:words]):
            where = f"seed {bench.seed()}: {self.case}, word {number}"
            cycles = waited = sent = begin = 0
            steps = self.case[1]
            while sent < len(commands):
                await ReadOnly()
                cycles += 1
                assert dut.fill__filled.value == 0, where
                command = unpack(self.layout, int(dut.command.value))
                may_come = commands[0]["readout"] or bool(dut.fill__hidden_ready.value)
                if sent:
                    lane, step = commands[sent]["lane"], commands[sent]["step"]
                    due = cycles == begin + ENTRIES * lane + steps - 1 - step
                    assert command["valid"] == due, f"{where}: lane {lane}, step {step} in another cycle"
                if command["valid"]:
                    assert command | commands[sent] == command, where
                    assert may_come, f"{where}: the credits are not there yet"
                    if number and not sent:
                        assert cycles >= SAFE_CYCLES, f"{where}: too soon after the load"
                        self.soonest = min(self.soonest, cycles)
                    begin = begin if sent else cycles
                    sent += 1
                elif not sent:
                    waited = waited + 1 if may_come else 0
                    assert waited < MOST_CYCLES + (self.limits.gradients > 0) + ENTRIES - steps, f"{where}: no command"
                await FallingEdge(dut.clk)
                ready_in = max(0, ready_in - 1)
                dut.fill__hidden_ready.value = ready_in == 0
            for _ in range(filled_cycles(self.limits) - 1):
                await ReadOnly()
                assert dut.fill__filled.value == 0, f"{where}: the last sums are not written yet"
                assert not int(dut.command.value) & 1, where
                await FallingEdge(dut.clk)
            while not dut.fill__loaded.value:
                dut.fill__loaded.value = rng.random() < pace
                await ReadOnly()
                assert dut.fill__filled.value == 1, where
                assert not int(dut.command.value) & 1, where
                await FallingEdge(dut.clk)
            dut.fill__loaded.value = 0

    async def rest(self) -> None:
        """Nothing more comes."""
        for _ in range(2 * HISTORY_STEPS):
            await ReadOnly()
            assert not int(self.dut.command.value) & 1
            assert self.dut.fill__filled.value == 0
            await FallingEdge(self.dut.clk)


async def start(dut: Any) -> None:
    for name in ("fill__start", "fill__hidden_ready", "fill__loaded", "phase", "losses"):
        getattr(dut, name).value = 0
    await bench.start(dut)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def fills_every_word_in_order(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    soonest = []
    for pace, cases in ((1, CASES), (0.2, rng.sample(CASES, len(CASES) // 4))):
        for case in cases:
            sample = Sample(dut, rng, case)
            await sample.run(pace)
            soonest.append(sample.soonest)
            if rng.random() < 0.5:
                await sample.rest()
    assert min(soonest) == SAFE_CYCLES, f"no word begins {SAFE_CYCLES} cycles after the load"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_sample(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    for _ in range(50):
        sample = Sample(dut, rng, rng.choice(CASES))
        await sample.run(0.5, rng.randrange(len(sample.words)))
        for _ in range(rng.randrange(HISTORY_STEPS + 2)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await sample.rest()
        sample = Sample(dut, rng, rng.choice(CASES))
        await sample.run(0.5)
