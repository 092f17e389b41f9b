"""Testbench of the neurons of a group: words, back to back or with gaps, against the golden functions."""

from collections import deque
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.lane_command import SUM, AfterWord, filter_command, word_command
from opzo.hw.neurons.credit_filter import filtered_credit
from opzo.hw.neurons.neuron_state import signs, word_step_address
from opzo.hw.neurons.neurons import SETTINGS
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.timing import NEURON_CYCLES, filter_cycles
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.sim.golden.credit import filter_credit
from opzo.sim.golden.feedback import credit
from opzo.sim.golden.fire import fire
from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import (
    ALPHA_BITS,
    BLOCK_SUM,
    BLOCK_SUM_SHIFT,
    CREDIT,
    FRAME_CREDIT,
    HISTORY_STEPS,
    MEMBRANE,
    SCALED_ERROR,
    THRESHOLD,
    ZO_FACTOR,
)
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits
from opzo.spec.neurons import NEURON_BITS, Leak, Reset

CORNERS = (MEMBRANE.min - 1, MEMBRANE.min, -1, 0, 1, THRESHOLD - 1, THRESHOLD, MEMBRANE.max, MEMBRANE.max + 1)
FAR = (-(1 << 21), (1 << 21) - 1)
"""Sums, without their low bits, that give the smallest and largest BLOCK_SUM."""
WORDS = 400


class Group:
    """Golden state of the neurons of a group, and driver of the unit."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        p = bench.parameters()
        self.limits, self.first, self.size = Limits(**p["limits"]), p["first"], p["size"]
        self.layout, self.filter = word_command(self.limits), filter_command(self.limits)
        words, shape = self.limits.words, (self.limits.words, self.size)
        self.v, self.current = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.negative = np.zeros(shape, bool)
        by_step = (words, HISTORY_STEPS, self.size)
        self.surrogate, self.spiked = np.zeros(by_step, np.int64), np.zeros(by_step, bool)
        self.negatives = np.zeros(by_step, bool)
        # Feedback sums or credits, and sums of signs and spikes; a dense device has a block word for each word.
        self.convolutions = self.limits.gradients > 0
        self.block_words = self.limits.blocks if self.convolutions else words
        by_block = (self.block_words, HISTORY_STEPS, self.size)
        self.credit, self.noise, self.spikes = np.zeros((3, *by_block), np.int64)
        self.positions = np.zeros((self.block_words, HISTORY_STEPS), np.int64)
        self.filter_cycles = filter_cycles(self.limits) - 1
        self.readout_words = self.limits.readout_words
        self.error = np.zeros((self.readout_words, HISTORY_STEPS, self.size), np.int64)
        self.alpha, self.activity = rng.choice((0, 819, (1 << ALPHA_BITS) - 1)), rng.choice((0, 21, 4095))
        for name in ("word__start", "word__load", "word__command", "sum", "error", "filter", "signs__address"):
            getattr(dut, name).value = 0
        dut.settings.value = pack(SETTINGS, {"alpha": self.alpha, "activity": self.activity})
        if self.limits.lanes > self.size:
            dut.number.value = self.first // self.size
        self.expected: list[dict[str, Any]] = []
        self.recent: deque[int] = deque(maxlen=-(-(NEURON_CYCLES + 1) // self.size))
        """Words whose results may not be there yet."""
        cocotb.start_soon(self._watch())

    async def start(self) -> None:
        await bench.start(self.dut)

    def random_word(self, use: AfterWord) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """Command of a word, its sums and the signs that are drawn."""
        rng = self.rng
        exists = rng.choice((self.limits.lanes, rng.randint(1, self.limits.lanes)))
        command = {
            "after_word": use.value,
            "word": rng.randrange(self.limits.words),
            "step": rng.randrange(HISTORY_STEPS),
        }
        command |= {name: rng.getrandbits(1) for name in ("kept", "noise", "odd")}
        command |= {"fresh": rng.random() < 0.2, "valid_lanes": exists}
        command["neuron"] = rng.getrandbits(NEURON_BITS)
        command["kept"] &= use is AfterWord.FIRE
        command["block_word"] = command["word"]
        if self.convolutions:
            block_word = rng.randrange(self.block_words)
            # No block has more positions than the device can sum over.
            positions = self.positions[block_word, command["step"]]
            begins = positions in (0, self.limits.block**2) or rng.random() < 0.1
            command |= {"block_word": block_word, "pool": rng.getrandbits(1), "begins_block": int(begins)}
        scale = 1 << rng.randrange(1, SUM["value"].width)
        # Half of the feedback sums of blocks are near the ends, where credits saturate.
        corners = (*CORNERS, *FAR * len(CORNERS)) if use is AfterWord.SHARE else CORNERS
        sums = [
            rng.choice((*corners, rng.randrange(-scale, scale), rng.randrange(-8192, 8192))) for _ in range(self.size)
        ]
        return command, np.array(sums), np.array([rng.getrandbits(1) for _ in range(self.size)], bool)

    def golden(self, command: dict[str, int], sums: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
        """Advance the golden state by a word; its expected results."""
        use, word, step = AfterWord(command["after_word"]), command["word"], command["step"]
        place, block_place = (word, step), (command["block_word"], step)
        exists = self.first + np.arange(self.size) < command["valid_lanes"]
        current, clipped = saturate(sums >> CELL_BITS * command.get("pool", 0), MEMBRANE.width)
        result = {"spikes": 0, "membrane_saturated": 0, "credit_saturated": 0}
        if use is AfterWord.STORE:
            self.current[word] = current
        elif use is AfterWord.READOUT:
            result["membrane_saturated"] = int((clipped & exists).any())
        elif use is AfterWord.FIRE:
            if command["kept"]:
                current, clipped = self.current[word], np.zeros(self.size, bool)
            if command["noise"] and not command["odd"]:
                negative = drawn
            else:
                negative = self.negative[word] & (not command["fresh"])
            sign = np.where(negative ^ bool(command["odd"]), -1, 1)
            before = np.zeros(self.size, np.int64) if command["fresh"] else self.v[word]
            noise = self.alpha * sign if command["noise"] else 0
            leak, reset = Leak.of_register(command["neuron"]), Reset.of_register(command["neuron"])
            fired = fire(before, current, noise, exists, leak, reset)
            self.v[word], self.negative[word] = fired.v, negative
            if command.get("begins_block", 1):
                self.noise[block_place] = self.spikes[block_place] = self.positions[block_place] = 0
            self.noise[block_place] += np.where(negative, -1, 1) * exists
            self.spikes[block_place] += fired.spikes
            self.positions[block_place] += 1
            self.surrogate[place], self.spiked[place], self.negatives[place] = fired.surrogate, fired.spikes, negative
            result["spikes"] = int(fired.spikes @ (1 << np.arange(self.size)))
            result["membrane_saturated"] = int((fired.saturated | (clipped & exists)).any())
        elif use is AfterWord.SHARE:
            self.credit[block_place] = saturate(sums << SUM_SHIFT >> BLOCK_SUM_SHIFT, BLOCK_SUM.width)[0]
        else:
            values, saturated = credit(
                sums << SUM_SHIFT, self.surrogate[place], self.spiked[place], self.activity, exists
            )
            self.credit[block_place] = values
            result["credit_saturated"] = int(saturated.any())
        return result

    async def word(self, use: AfterWord, gap: int = 0) -> None:
        """Send a word; its results are checked when they are ready."""
        dut = self.dut
        command, sums, drawn = self.random_word(use)
        if command["word"] in self.recent:
            for _ in range(NEURON_CYCLES + 1):
                await FallingEdge(dut.clk)
        self.recent.append(command["word"])
        dut.word__command.value, dut.word__start.value = pack(self.layout, command), 1
        await FallingEdge(dut.clk)
        dut.word__start.value = 0
        self.expected.append(self.golden(command, sums, drawn) | {"command": command})
        for n in range(self.size):
            # The next word may start with the last sum.
            dut.word__command.value = pack(self.layout, self.random_word(use)[0])
            dut.sum.value = pack(SUM, {"value": int(sums[n]), "negative": int(drawn[n])})
            if n < self.size - 1:
                await FallingEdge(dut.clk)
        for _ in range(gap):
            await FallingEdge(dut.clk)
            dut.sum.value = self.rng.getrandbits(SUM.size)

    async def settle(self) -> None:
        """Wait until no word is in the unit."""
        for _ in range(self.size + NEURON_CYCLES + 2):
            await FallingEdge(self.dut.clk)
        assert not self.expected, f"seed {bench.seed()}: no results of {self.expected[0]}"

    async def _watch(self) -> None:
        while True:
            await ReadOnly()
            dut = self.dut
            if not dut.rst.value and dut.results__done.value:
                want = self.expected.pop(0)
                for name in ("membrane_saturated", "credit_saturated", "spikes"):
                    if name != "spikes" or want["command"]["after_word"] == AfterWord.FIRE.value:
                        got = int(getattr(dut, f"results__{name}").value)
                        assert got == want[name], f"seed {bench.seed()}: {name} {got} of {want}"
            await FallingEdge(dut.clk)

    async def check_potentials(self) -> None:
        """Load and compare the potentials of each word."""
        dut = self.dut
        for word in range(self.limits.words):
            dut.word__command.value = pack(self.layout, dict.fromkeys(dict(self.layout), 0) | {"word": word})
            dut.word__load.value = 1
            await FallingEdge(dut.clk)
            dut.word__load.value = 0
            got = []
            for _ in range(self.size + 1):
                await ReadOnly()
                assert dut.results__done.value == 0
                if dut.loading.value:
                    got.append(int(dut.potential.value))
                await FallingEdge(dut.clk)
            signed = [value - (1 << MEMBRANE.width) * (value > MEMBRANE.max) for value in got]
            np.testing.assert_array_equal(signed, self.v[word], f"seed {bench.seed()}: potentials of word {word}")

    async def check_signs(self) -> None:
        """Compare signs and spikes of each word and step, with convolutions their sums."""
        dut = self.dut
        bits = 1 << np.arange(self.size)
        for word in range(self.block_words):
            for step in range(HISTORY_STEPS):
                dut.signs__address.value = pack(word_step_address(self.block_words), {"word": word, "step": step})
                await FallingEdge(dut.clk)
                got = unpack(signs(self.limits, self.size), int(dut.signs__data.value))
                want: Any
                if self.convolutions:
                    sums = zip(self.noise[word, step], self.spikes[word, step], strict=True)
                    want = [{"noise": noise, "spikes": spikes} for noise, spikes in sums]
                else:
                    want = {"negatives": self.negatives[word, step] @ bits, "spiked": self.spiked[word, step] @ bits}
                assert got == want, f"seed {bench.seed()}: signs of word {word}, step {step}"

    async def give_errors(self) -> None:
        """Send errors of all classes in all steps, also those of other groups."""
        dut, rng = self.dut, self.rng
        layout = error_command(self.limits)
        for step in range(HISTORY_STEPS):
            for number in range(self.limits.classes):
                value = rng.choice((SCALED_ERROR.min, SCALED_ERROR.max, rng.randint(CREDIT.min, CREDIT.max)))
                dut.error.value = pack(layout, {"valid": 1, "class_": number, "step": step, "value": value})
                lane = number % self.limits.lanes - self.first
                if 0 <= lane < self.size:
                    clipped = max(CREDIT.min, min(CREDIT.max, value))
                    self.error[number // self.limits.lanes, step, lane] = clipped
                await FallingEdge(dut.clk)
                dut.error.value = pack(layout, {"valid": 0, "class_": 0, "step": step, "value": value})
                if rng.random() < 0.2:
                    await FallingEdge(dut.clk)

    def shared_credits(self, steps: int, word: int, place: dict[str, int], losses: np.ndarray, odd: np.ndarray) -> Any:
        """Golden credits of a word that shares feedback sums, and where they saturated: (steps, lanes) each."""
        code = (place["code_word"], slice(steps))
        exists = self.first + np.arange(self.size) < place["valid_lanes"]
        sign = np.where(self.negatives[code] ^ odd[:, None], -1, 1)
        total = (self.credit[word, :steps] << BLOCK_SUM_SHIFT) + sign * ZO_FACTOR * losses[:, None]
        return credit(
            total, self.surrogate[code], self.spiked[code], self.activity, np.broadcast_to(exists, sign.shape)
        )

    async def check_filter(self, *, readout: int, word: int, steps: int, frame: int) -> None:
        """Read and compare the filtered credits of a word."""
        dut, rng = self.dut, self.rng
        source = (self.error if readout else self.credit)[word, :steps]
        shared = self.convolutions and not readout and (abs(source).max() > CREDIT.max or rng.random() < 0.5)
        saturated = np.zeros(source.shape, bool)
        more: list[dict[str, int]] = [{}] * steps
        if self.convolutions:
            exists = rng.choice((self.limits.lanes, rng.randint(1, self.limits.lanes)))
            place = {"code_word": rng.randrange(self.limits.words), "valid_lanes": exists, "shared": int(shared)}
            scale = rng.choice((0, 1 << rng.randrange(1, SCALED_ERROR.width)))
            losses = np.array([rng.randint(-scale, scale - 1) if scale > 1 else 0 for _ in range(steps)])
            losses[rng.randrange(steps)] = rng.choice((0, SCALED_ERROR.min, SCALED_ERROR.max))
            losses = losses.clip(SCALED_ERROR.min, SCALED_ERROR.max)
            odd = np.array([rng.getrandbits(1) for _ in range(steps)], bool)
            more = [place | {"loss": int(losses[step]), "odd": int(odd[step])} for step in range(steps)]
            if shared:
                # Sums at the ends saturate where the surrogate derivative is 1; others of the same word do not.
                code = rng.choice([place["code_word"], *np.flatnonzero((self.surrogate[:, :steps] == 0).any((1, 2)))])
                place["code_word"] = int(code)
                more = [one | place for one in more]
                source, saturated = self.shared_credits(steps, word, place, losses, odd)
        filtered = filter_credit(source[:, None, :])[:, 0, :]
        total = np.clip(filtered.sum(axis=0), FRAME_CREDIT.min, FRAME_CREDIT.max)
        commands = [(lane, step) for lane in range(self.size) for step in reversed(range(steps))]
        for cycle in range(len(commands) + self.filter_cycles):
            if cycle < len(commands):
                lane, step = commands[cycle]
                values = {"valid": 1, "first": step == steps - 1, "frame": frame, "readout": readout}
                dut.filter.value = pack(self.filter, values | {"lane": lane, "word": word, "step": step} | more[step])
            else:
                dut.filter.value = self.rng.getrandbits(len(dut.filter)) & ~1
            await ReadOnly()
            taken = cycle - self.filter_cycles
            got = unpack(filtered_credit(self.size), int(dut.filtered.value))
            if taken < 0:
                assert not got["valid"]
            else:
                lane, step = commands[taken]
                where = f"seed {bench.seed()}: word {word}, lane {lane}, step {step}"
                assert (got["valid"], got["lane"], got["step"]) == (1, lane, step), where
                assert got["credit"] == filtered[step, lane], where
                if self.convolutions:
                    last = lane == self.size - 1
                    assert dut.shared_saturated.value == (last and saturated[step].any()), where
                if step == 0:
                    assert got["factor"] == (total[lane] if frame else filtered[0, lane]), where
            await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    group = Group(dut, rng)
    await group.start()
    # Write every place before it is read.
    credits = (AfterWord.CREDIT, AfterWord.SHARE) if group.convolutions else (AfterWord.CREDIT,)
    uses = ((AfterWord.STORE, WORDS // 4), (AfterWord.FIRE, WORDS), *((use, WORDS) for use in credits))
    for use, count in uses:
        for _ in range(count):
            await group.word(use, rng.choice((0, 0, rng.randrange(20))))
    for _ in range(WORDS):
        use = rng.choice((AfterWord.STORE, AfterWord.FIRE, AfterWord.FIRE, AfterWord.READOUT, *credits))
        await group.word(use, rng.choice((0, rng.randrange(5), 20)))
    await group.settle()
    await group.check_potentials()
    await group.check_signs()
    await group.give_errors()
    await FallingEdge(dut.clk)
    for _ in range(160 if group.convolutions else 60):
        readout = rng.getrandbits(1)
        words = group.readout_words if readout else group.block_words
        await group.check_filter(
            readout=readout, word=rng.randrange(words), steps=rng.randint(1, HISTORY_STEPS), frame=rng.getrandbits(1)
        )


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_word(dut: Any) -> None:
    rng = Random(bench.seed())
    group = Group(dut, rng)
    await group.start()
    for _ in range(40):
        for _ in range(rng.randint(1, 3)):
            await group.word(rng.choice((AfterWord.STORE, AfterWord.READOUT)), rng.randrange(4))
        for _ in range(rng.randrange(group.size + NEURON_CYCLES)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        group.expected.clear()
        for _ in range(group.size + NEURON_CYCLES + 2):
            await ReadOnly()
            assert dut.results__done.value == 0
            assert dut.active.value == 0
            await FallingEdge(dut.clk)
        await group.word(AfterWord.READOUT)
        await group.settle()
