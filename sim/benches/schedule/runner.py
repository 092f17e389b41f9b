"""Testbench of the pass runner."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.schedule.passes import Kind, op_layout, pass_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSource, unpack
from opzo.spec.network import MAX_INPUTS, Limits

UNLISTED = (Kind.FIRE, Kind.FEEDBACK, Kind.LOCAL)
"""Kinds whose last item is not the bias."""
POSTS = tuple(kind.value for kind in (Kind.INPUT, Kind.FIRE, Kind.SPIKES, Kind.FEEDBACK))
LEARNS = tuple(kind.value for kind in (Kind.LEARN_SPIKES, Kind.LEARN_INPUT))
"""Kinds whose words end with sums."""


class Driver:
    """Feed passes, permit them as a sequencer would, and gather the items cycle by cycle."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = Limits(**bench.parameters()["limits"])
        self.layout, self.passes = op_layout(self.limits), pass_layout(self.limits)
        self.source = StreamSource(dut, dut.clk, "passes", rng, shape=self.passes)
        self.classes = rng.randint(2, self.limits.classes)
        for name in ("start__may_start", "start__ops", "words__ready", "words__chain_free"):
            getattr(dut, name).value = 0
        dut.classes.value = self.classes

    def random_pass(self, kind: Kind, items: int, words: int) -> dict[str, Any]:
        """A pass of some layer that fits the device."""
        rng, limits = self.rng, self.limits
        values: dict[str, Any] = unpack(self.passes, rng.getrandbits(self.passes.size))
        rows = rng.randint(items, max(items, 40))
        settings = values["settings"]
        settings |= {"rows": rows, "words": words, "tail": rng.randint(1, limits.lanes)}
        settings["weight_base"] = rng.randrange(limits.rows - rows * (words - 1))
        block = 2 * self.classes * words + (items if kind is Kind.FEEDBACK else 2 * self.classes * items)
        settings["feedback_base"] = rng.randrange(limits.rows - block) if kind in UNLISTED else 0
        settings["word_base"] = rng.randrange(limits.words)
        settings["local_shift"] = rng.choice((0, rng.randrange(1, 16)))
        return values | {"kind": kind.value, "below_base": rng.randrange(limits.words)}

    def expected(self, values: dict[str, Any], items: int) -> list[dict[str, int | None]]:
        """Items of a pass, each a row of a word; of LOCAL each a word of a class."""
        settings, kind = values["settings"], Kind(values["kind"])
        rows: list[dict[str, int | None]] = []
        outer = self.classes if kind is Kind.LOCAL else settings["words"]
        for word in range(outer):
            last_word = word == outer - 1
            for index in range(items):
                local = kind is Kind.FEEDBACK and settings["local_shift"] > 0 and index < self.classes
                entries = self.classes * (2 if settings["local_shift"] else 1)
                if kind is Kind.FEEDBACK:
                    base = settings["feedback_base"] + word * entries + index
                elif kind is Kind.LOCAL:
                    base = settings["feedback_base"] + index * entries + word
                else:
                    base = settings["weight_base"] + word * settings["rows"]
                wanted = self.wanted(settings, kind, word, index) | {"local": local, "base": base}
                wanted["neuron"] = settings["neuron"]
                rows.append(
                    {
                        "valid": 1,
                        **{name: values[name] for name in ("kind", "readout", "layer", "step", "below_base")},
                        **wanted,
                        "first": index == 0,
                        "last": index == items - 1,
                        "bias": index == items - 1 and kind not in UNLISTED,
                        "first_word": word == 0,
                        "last_word": last_word,
                        "bias_row": settings["rows"] - 1,
                        "valid_lanes": settings["tail"] if last_word else self.limits.lanes,
                    }
                )
        return rows

    def wanted(self, settings: dict[str, int], kind: Kind, outer: int, inner: int) -> dict[str, int | None]:
        """Fields of an item that depend on what its pass goes through; None for one that means nothing."""
        word, index = (inner, inner) if kind is Kind.LOCAL else (outer, inner)
        if kind is Kind.FEEDBACK:
            index %= self.classes
        # Only of FEEDBACK does the shift mean something.
        uses_local = settings["local_shift"] and inner < self.classes
        shift = settings["local_shift" if uses_local else "feedback_shift"] if kind is Kind.FEEDBACK else None
        return {"word_base": settings["word_base"], "word": word, "index": index, "feedback_shift": shift}

    async def run(self, passes: list[tuple[dict[str, Any], int]], permit: float, ready: float) -> int:
        """Run passes, each with the items of its words; check every item. Returns the cycles without one in between.

        ``permit`` is the probability in each cycle that the waiting pass may start from the next one on; ``ready`` that
        a word may begin, or that its sums may leave.
        """
        dut, rng = self.dut, self.rng
        for values, _ in passes:
            self.source.put(values)
        waiting = 0
        want = [(values, row) for values, items in passes for row in self.expected(values, items)]
        done = gaps = 0
        within_word = False
        while done < len(want):
            await ReadOnly()
            word_ready, chain_free = bool(dut.words__ready.value), bool(dut.words__chain_free.value)
            item = unpack(self.layout, int(dut.op.value))
            if item["valid"]:
                values, row = want[done]
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
                ends = want[done][1]["last"] and want[done][0]["kind"] in POSTS
                waits_for_chain = ends and not chain_free
                assert not within_word or waits_for_chain, f"seed {bench.seed()}: a gap before item {done}"
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
        await ReadOnly()
        assert dut.running.value == 0
        await FallingEdge(dut.clk)
        return gaps


def random_passes(driver: Driver, count: int, fewest: int = 1) -> list[tuple[dict[str, Any], int]]:
    """Passes of all kinds with few or many items."""
    rng = driver.rng
    passes = []
    for _ in range(count):
        kind = rng.choice(list(Kind))
        items = rng.choice((fewest, rng.randint(fewest, 6), rng.randint(fewest, 40)))
        if kind is Kind.FEEDBACK and rng.random() < 0.8:
            items = driver.classes * rng.choice((1, 2))
        words = rng.choice((1, 2, rng.randint(1, 9)))
        passes.append((driver.random_pass(kind, items, words), items))
    return passes


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def gives_every_row_of_every_word(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    corners = [(driver.random_pass(kind, items, words), items) for kind in Kind for items in (1, 2) for words in (1, 2)]
    # All inputs, and the bias.
    most = MAX_INPUTS + 1
    corners += [(driver.random_pass(kind, most, 1), most) for kind in (Kind.INPUT, Kind.LEARN_INPUT)]
    corners.append((driver.random_pass(Kind.FEEDBACK, 1, driver.limits.words), 1))
    await driver.run(corners, 1, 1)
    for permit in (0.1, 0.5, 1):
        for ready in (0.2, 1):
            driver.source.stall = rng.choice((0, 0.5))
            await driver.run(random_passes(driver, 25), permit, ready)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def passes_follow_without_a_gap(dut: Any) -> None:
    # The permission lags by a cycle, so a pass of a single item is over before the next one may start.
    driver = Driver(dut, Random(bench.seed()))
    await bench.start(dut)
    assert await driver.run(random_passes(driver, 100, fewest=2), 1, 1) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_pass(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for _ in range(50):
        items = rng.randint(1, 9)
        running = cocotb.start_soon(driver.run([(driver.random_pass(Kind.SPIKES, items, 5), items)], 1, 1))
        # Four cycles until the first item.
        for _ in range(rng.randint(4, 3 + 5 * items - 1)):
            await FallingEdge(dut.clk)
        running.cancel()
        dut.start__may_start.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await ReadOnly()
        assert dut.running.value == 0
        await FallingEdge(dut.clk)
        await driver.run(random_passes(driver, 2), 0.5, 0.5)
