"""Testbench of the pass runner."""

from random import Random
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.schedule.passes import Kind, op_layout, pass_layout
from opzo.hw.schedule.window_rows import window_row_layout
from opzo.hw.schedule.window_walk import walk_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, StreamSource, pack, unpack
from opzo.spec.geometry import CELL, blocks
from opzo.spec.layers import BLOCKS, MAX_CHANNELS, POOL, Map
from opzo.spec.limits import MAX_INPUTS, Limits

UNLISTED = (Kind.FIRE, Kind.FEEDBACK, Kind.LOCAL, Kind.APPLY)
"""Kinds whose last item is not the bias."""
WINDOWED = (Kind.INPUT, Kind.SPIKES, Kind.LEARN_INPUT, Kind.LEARN_SPIKES)
"""Kinds whose rows come from windows where the layer is a convolution."""
POSTS = tuple(kind.value for kind in (Kind.INPUT, Kind.FIRE, Kind.SPIKES, Kind.FEEDBACK))
LEARNS = tuple(kind.value for kind in (Kind.LEARN_SPIKES, Kind.LEARN_INPUT))
"""Kinds whose words end with sums."""
Windows = list[list[dict[str, int]]]
"""Rows from windows, by word; empty where a pass has none."""
Pass = tuple[dict[str, Any], int, Windows]
"""A pass, the items of each of its words, and its windows."""


class Driver:
    """Feed passes, permit them as a sequencer would, and gather the items cycle by cycle."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.layout, self.passes, self.rows_layout = op_layout(limits), pass_layout(limits), window_row_layout(limits)
        self.kinds = [kind for kind in Kind if limits.gradients or kind is not Kind.APPLY]
        self.source = StreamSource(dut, dut.clk, "passes", rng, shape=self.passes)
        self.windows = StreamSink(dut, dut.clk, "window", rng, shape=walk_layout())
        self.rows = StreamSource(dut, dut.clk, "rows", rng, shape=self.rows_layout)
        self.classes, self.intermediate = rng.randint(2, limits.classes), rng.randint(1, limits.layers)
        self.part_ends = [0] * (CELL - 1)
        for name in ("start__may_start", "start__ops", "words__ready", "words__chain_free", "part_ends", "quiet"):
            getattr(dut, name).value = 0
        dut.classes.value, dut.intermediate.value = self.classes, self.intermediate

    def random_pass(self, kind: Kind, items: int, words: int, *, map: bool = False) -> Pass:
        """A pass of some layer that fits the device; with ``map`` the layer is a convolution."""
        rng, limits = self.rng, self.limits
        values: dict[str, Any] = unpack(self.passes, rng.getrandbits(self.passes.size))
        # The gradients are laid out as the weights.
        rows = items if kind is Kind.APPLY else rng.randint(items, max(items, 40))
        settings = values["settings"]
        cells = map and rng.random() < 0.5
        size = Map(1, *(POOL * rng.randint(1, 2) if cells else rng.randint(1, 4) for _ in range(2))) if map else Map(1)
        block = rng.choice(BLOCKS[:3]) if map else 1
        settings |= {"rows": rows, "words": words, "tail": rng.randint(1, limits.lanes), "cells": cells}
        of_position = blocks(size, cells, block).tolist()
        settings["all_words"], settings["block_words"] = size.positions * words, (max(of_position) + 1) * words
        settings["kernel"] = rng.choice((1, 3, 5)) if map else 0
        if map:
            settings["seen"] = rng.randint(1, MAX_CHANNELS)
            settings |= {"height": size.height, "width": size.width, "block_shift": block.bit_length() - 1}
            settings["block_row"] = -(-size.width // block) * words
        settings["weight_base"] = rng.randrange(limits.rows - rows * (words - 1))
        settings["gradient_base"] = rng.randrange(max(1, limits.gradients - rows * words))
        entries = 3 * self.classes * settings["block_words"]
        entries += items if kind is Kind.FEEDBACK else 3 * self.classes * items
        settings["feedback_base"] = rng.randrange(limits.rows - entries) if kind in UNLISTED else 0
        settings["word_base"] = rng.randrange(limits.words)
        settings["block_base"] = rng.randrange(max(1, limits.blocks - settings["block_words"]))
        settings["local_shift"] = rng.choice((0, rng.randrange(1, 16)))
        values |= {"kind": kind.value, "below_base": rng.randrange(limits.words), "windows": map and kind in WINDOWED}
        windows: Windows = [[{}] * items] * settings["block_words" if kind is Kind.FEEDBACK else "all_words"]
        if values["windows"]:
            windows = [self._random_window(word == len(windows) - 1) for word in range(len(windows))]
        return values, items, windows

    def _random_window(self, final: bool) -> list[dict[str, int]]:
        """Rows of a word: some entries of the list, then the bias."""
        rng = self.rng
        rows = [unpack(self.rows_layout, rng.getrandbits(self.rows_layout.size)) for _ in range(rng.randint(1, 5))]
        for number, row in enumerate(rows):
            last = number == len(rows) - 1
            row |= {"index": rng.randrange(self.limits.words), "first": number == 0, "bias": last}
            row["final"] = last and final
        return rows

    def expected(self, values: dict[str, Any], items: int, windows: Windows) -> list[dict[str, int | None]]:
        """Items of a pass, each a row of a word; of LOCAL each a word of a class."""
        settings, kind = values["settings"], Kind(values["kind"])
        rows: list[dict[str, int | None]] = []
        outer = {
            Kind.LOCAL: self.classes,
            Kind.FEEDBACK: settings["block_words"],
            Kind.APPLY: settings["words"],
        }.get(kind, settings["all_words"])
        for word in range(outer):
            last_word = word == outer - 1
            part = word % settings["words"]
            window = windows[word] if values["windows"] else [{}] * items
            for index, row in enumerate(window):
                local = kind is Kind.FEEDBACK and settings["local_shift"] > 0 and index < self.classes
                entries = self.classes * (1 + (settings["local_shift"] > 0) + values["intermediate"])
                if kind is Kind.FEEDBACK:
                    base: int | None = settings["feedback_base"] + word * entries + index
                elif kind is Kind.LOCAL:
                    base = settings["feedback_base"] + index * entries + word
                elif kind is Kind.APPLY:
                    base = settings["weight_base"] + word * settings["rows"] + index
                else:
                    base = settings["weight_base"] + part * settings["rows"]
                # Fire of a convolution reads no row.
                base = None if kind is Kind.FIRE and settings["kernel"] else base
                wanted = self.wanted(settings, kind, word, index) | {"local": local, "base": base}
                wanted["source"] = self.source_of(values, index) if kind is Kind.FEEDBACK else None
                wanted["neuron"] = settings["neuron"]
                lanes = settings["tail"] if part == settings["words"] - 1 else self.limits.lanes
                if kind is Kind.LOCAL:
                    # The sum of a class has no lanes.
                    lanes = None
                item = {
                    "valid": 1,
                    **{name: values[name] for name in ("kind", "readout", "layer", "step", "below_base")},
                    **wanted,
                    "first": index == 0,
                    "last": index == len(window) - 1,
                    "bias": index == len(window) - 1 and kind not in UNLISTED,
                    "first_word": word == 0,
                    "last_word": last_word,
                    "bias_row": settings["rows"] - 1,
                    "valid_lanes": lanes,
                }
                if self.limits.gradients:
                    item |= self.blocks_wanted(values, kind, word, index) | {"seek": index == 0}
                if row:
                    # The row of the bias has no index.
                    item |= {"index": None if row["bias"] else row["index"], "last_word": row["final"]}
                    item["window_base"] = None if row["bias"] else row["base"]
                    item["seek"] = None if row["bias"] else row["begins"]
                rows.append(item)
        return rows

    def source_of(self, values: dict[str, Any], entry: int) -> int:
        """Readout whose errors an entry of FEEDBACK carries: the layer's own, the network's, then the intermediate."""
        own = [values["layer"]] if values["settings"]["local_shift"] else []
        sources = [*own, self.limits.layers, self.intermediate - 1]
        source: int = sources[min(entry // self.classes, len(sources) - 1)]
        return source

    def blocks_wanted(self, values: dict[str, Any], kind: Kind, outer: int, inner: int) -> dict[str, int | None]:
        """Fields of an item that convolutions need."""
        settings = values["settings"]
        fields: dict[str, int | None] = {"windows": values["windows"]}
        fields |= {"pool": settings["pool"], "shared": settings["kernel"] > 0, "block_shift": settings["block_shift"]}
        begins, word, gradient = None, None, None
        position, part = divmod(outer, settings["words"])
        if kind in (Kind.FEEDBACK, Kind.LOCAL):
            word = settings["block_base"] + (inner if kind is Kind.LOCAL else outer)
        elif kind is Kind.APPLY:
            gradient = settings["gradient_base"] + outer * settings["rows"] + inner
        else:
            size = Map(1, settings["height"], settings["width"]) if settings["kernel"] else Map(1)
            of_position = blocks(size, bool(settings["cells"]), 1 << settings["block_shift"]).tolist()
            word = settings["block_base"] + of_position[position] * settings["words"] + part
            begins = of_position.index(of_position[position]) == position
            if settings["kernel"] and kind is not Kind.FIRE:
                gradient = settings["gradient_base"] + part * settings["rows"]
        return fields | {"block_word": word, "begins_block": begins, "gradient": gradient, "window_base": None}

    def wanted(self, settings: dict[str, int], kind: Kind, outer: int, inner: int) -> dict[str, int | None]:
        """Fields of an item that depend on what its pass goes through; None for one that means nothing."""
        word, index = (inner, inner) if kind is Kind.LOCAL else (outer, inner)
        if kind is Kind.FEEDBACK:
            index %= self.classes
        # Only of FEEDBACK does the shift mean something.
        uses_local = settings["local_shift"] and inner < self.classes
        shift = settings["local_shift" if uses_local else "feedback_shift"] if kind is Kind.FEEDBACK else None
        return {"word_base": settings["word_base"], "word": word, "index": index, "feedback_shift": shift}

    async def scan(self, passes: list[Pass]) -> None:
        """Play the scan of the windows: take each layer, then give its rows."""
        for values, _, windows in passes:
            if not values["windows"]:
                continue
            settings = values["settings"]
            walk = {name: settings[name] for name in ("kernel", "height", "width", "words", "cells")}
            assert await self.windows.receive() == walk | {"channels": settings["seen"]}
            for row in (row for window in windows for row in window):
                self.rows.put(row)

    def waits_for_part(self, values: dict[str, Any], index: int | None, quiet: bool) -> bool:
        """Whether an item of a dense layer behind a pool waits until what it reads is written."""
        learns_parts = values["kind"] == Kind.LEARN_SPIKES.value and values["settings"]["pool"]
        return bool(self.limits.gradients and learns_parts and not values["windows"]) and (
            index in self.part_ends and not quiet
        )

    async def run(self, passes: list[Pass], permit: float, ready: float) -> int:
        """Run passes, each with the items of its words; check every item. Returns the cycles without one in between.

        ``permit`` is the probability in each cycle that the waiting pass may start from the next one on; ``ready`` that
        a word may begin, or that its sums may leave.
        """
        dut, rng = self.dut, self.rng
        for values, _, _ in passes:
            self.source.put(values)
        self.scanner = cocotb.start_soon(self.scan(passes))
        waiting = 0
        want = [(each[0], row) for each in passes for row in self.expected(*each)]
        done = gaps = 0
        within_word = False
        while done < len(want):
            await ReadOnly()
            word_ready, chain_free = bool(dut.words__ready.value), bool(dut.words__chain_free.value)
            rows_valid, quiet = bool(dut.rows__valid.value), bool(dut.quiet.value)
            item = unpack(self.layout, int(dut.op.value))
            values, row = want[done]
            waits_for_part = self.waits_for_part(values, row["index"], quiet)
            if item["valid"]:
                assert not waits_for_part, "rows of another part are read before they are written"
                row = {name: item[name] if value is None else value for name, value in row.items()}
                assert item == row, f"seed {bench.seed()}: item {done}"
                assert unpack(self.passes, int(dut.current.value)) == values, (
                    f"seed {bench.seed()}: pass of item {done}"
                )
                assert dut.running.value == 1
                posts, learns = values["kind"] in POSTS, values["kind"] in LEARNS
                assert dut.words__learns.value == learns
                assert word_ready or not (learns and row["first"]), "a word began that was not ready"
                assert dut.words__sums.value == posts
                assert chain_free or not (posts and row["last"]), "sums left that may not"
                within_word = not row["last"]
                done += 1
            else:
                waits_for_chain = row["last"] and values["kind"] in POSTS and not chain_free
                waits_for_row = values["windows"] and not rows_valid
                assert not within_word or waits_for_chain or waits_for_row or waits_for_part, (
                    f"seed {bench.seed()}: a gap before item {done}"
                )
                gaps += done > 0
            permitted, taken = bool(dut.start__may_start.value), bool(dut.start__taken.value)
            assert taken <= permitted, "a pass was taken that may not start"
            waits = bool(dut.passes__valid.value) and not taken
            waiting += taken
            await FallingEdge(dut.clk)
            may_start = waits and rng.random() < permit
            dut.start__may_start.value = may_start
            dut.start__ops.value = passes[waiting][1] if may_start else rng.getrandbits(len(dut.start__ops))
            dut.words__ready.value = rng.random() < ready
            dut.words__chain_free.value = rng.random() < ready
            dut.quiet.value = rng.random() < 0.3
        await ReadOnly()
        assert dut.running.value == 0
        await FallingEdge(dut.clk)
        return gaps


def random_passes(driver: Driver, count: int, fewest: int = 1, *, maps: float = 0.4) -> list[Pass]:
    """Passes of all kinds with few or many items; ``maps``: share of those of convolutions, if the device has any."""
    rng = driver.rng
    passes = []
    for _ in range(count):
        kind = rng.choice(driver.kinds)
        items = rng.choice((fewest, rng.randint(fewest, 6), rng.randint(fewest, 40)))
        if kind is Kind.FEEDBACK and rng.random() < 0.8:
            items = driver.classes * rng.choice((1, 2, 3))
        map = driver.limits.gradients > 0 and rng.random() < maps
        words = rng.randint(1, 3) if map else rng.choice((1, 2, rng.randint(1, 9)))
        passes.append(driver.random_pass(kind, items, words, map=map))
    return passes


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def gives_every_row_of_every_word(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    corners = [driver.random_pass(kind, items, words) for kind in driver.kinds for items in (1, 2) for words in (1, 2)]
    # All inputs, and the bias.
    most = MAX_INPUTS + 1
    corners += [driver.random_pass(kind, most, 1) for kind in (Kind.INPUT, Kind.LEARN_INPUT)]
    corners.append(driver.random_pass(Kind.FEEDBACK, 1, driver.limits.words))
    await driver.run(corners, 1, 1)
    for permit in (0.1, 0.5, 1):
        for ready in (0.2, 1):
            driver.source.stall, driver.rows.stall = rng.choice((0, 0.5)), rng.choice((0, 0.5))
            driver.windows.stall = rng.choice((0, 0.5))
            driver.part_ends = sorted(rng.randint(0, 6) for _ in driver.part_ends)
            dut.part_ends.value = pack(data.ArrayLayout(driver.limits.row_bits, CELL - 1), driver.part_ends)
            await driver.run(random_passes(driver, 25), permit, ready)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def passes_follow_without_a_gap(dut: Any) -> None:
    # The permission lags by a cycle, so a pass of a single item is over before the next one may start.
    driver = Driver(dut, Random(bench.seed()))
    await bench.start(dut)
    driver.part_ends = [1] * (CELL - 1)
    passes = [each for each in random_passes(driver, 100, fewest=2, maps=0) if not each[0]["settings"]["pool"]]
    assert await driver.run(passes, 1, 1) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_pass(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for _ in range(50):
        items = rng.randint(1, 9)
        running = cocotb.start_soon(driver.run([driver.random_pass(Kind.SPIKES, items, 5)], 1, 1))
        # Four cycles until the first item.
        for _ in range(rng.randint(4, 3 + 5 * items - 1)):
            await FallingEdge(dut.clk)
        running.cancel()
        driver.scanner.cancel()
        dut.start__may_start.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await ReadOnly()
        assert dut.running.value == 0
        await FallingEdge(dut.clk)
        await driver.run(random_passes(driver, 2), 0.5, 0.5)
