"""Testbench of the neurons' state: every memory against an array, with reads and writes in every cycle."""

from random import Random
from typing import Any

import cocotb
from amaranth.lib.wiring import Signature
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.neurons.neuron_state import REGISTERED, NeuronState, block_words
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.limits import Limits

CYCLES = 5000


class MemoryModel:
    """A memory of the design as a dictionary, and the values that its read port must show.

    Parameters
    ----------
    words, steps : int
        Words of neurons and time steps that the memory has room for.
    """

    def __init__(self, dut: Any, name: str, signature: Signature, words: int, steps: int, rng: Random) -> None:
        self._dut, self.name, self._rng = dut, name, rng
        read, write = (signature.members[port].signature.members for port in ("read", "write"))
        self._address, self._value = read["address"].shape, read["data"].shape
        self._write_address = write["address"].shape
        self._places = {"lane": 0, "step": steps, "word": words}
        self.content: dict[int, Any] = {}
        # The read of this cycle comes first.
        self._expected: list[Any] = [None] * (1 + (name in REGISTERED))

    def random_address(self) -> int:
        """Address of a random place."""
        fields = {}
        for name, field in self._address:
            fields[name] = self._rng.randrange(self._places[name] or 1 << field.width)
        return pack(self._address, fields)

    def random_value(self) -> Any:
        """Random content of a word, often at the end of its range."""
        rng = self._rng
        if self.name == "code":
            bits = {name: rng.getrandbits(field.width) for name, field in self._value}
            return bits | {"surrogate": rng.randint(0, SURROGATE_OFF)}
        if self.name == "signs":
            return unpack(self._value, rng.getrandbits(self._value.size))
        if self.name == "membrane":
            return {"v": self._random_signed(MEMBRANE.width), "negative": rng.getrandbits(1)}
        return self._random_signed(self._value.width)

    def _random_signed(self, width: int) -> int:
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        return self._rng.choice((low, high, self._rng.randint(low, high)))

    def drive(self) -> None:
        """Set the inputs of a cycle; the value that is read is the one before the write of the same cycle."""
        read, write, value = self.random_address(), self.random_address(), self.random_value()
        write = read if self._rng.random() < 0.1 else write
        enable = self._rng.getrandbits(1)
        self._port("read__address").value = read
        self._port("write__address").value = write
        self._port("write__en").value = enable
        data = self._port("write__data")
        data.value = pack(self._value, value) & ((1 << len(data)) - 1)
        self._expected.append(self.content.get(read))
        if enable:
            self.content[write] = value

    def check(self, cycle: int) -> None:
        """Compare the read data; a place that was not written yet has any."""
        expected = self._expected.pop(0)
        if expected is not None:
            got = self.unpacked(int(self._port("read__data").value))
            assert got == expected, f"seed {bench.seed()}, cycle {cycle}: {self.name} {got}, not {expected}"

    def unpacked(self, bits: int) -> Any:
        """Content of a word."""
        return unpack(self._value, bits)

    def stop(self) -> None:
        """Write nothing."""
        self._port("write__en").value = 0

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"{self.name}__{name}")


class Copy:
    """Read port ``sums``: a copy of the memory of signs."""

    def __init__(self, dut: Any, memories: list[MemoryModel]) -> None:
        self._dut = dut
        (self._signs,) = (memory for memory in memories if memory.name == "signs")
        self._expected: Any = None
        self._drawn: Any = None

    def drive(self) -> None:
        """Read a random place, before the writes of this cycle."""
        address = self._signs.random_address()
        self._dut.sums__address.value = address
        self._drawn = self._signs.content.get(address)

    def check(self, cycle: int) -> None:
        """Compare what the cycle before read."""
        expected, self._expected = self._expected, self._drawn
        if expected is not None:
            got = self._signs.unpacked(int(self._dut.sums__data.value))
            assert got == expected, f"seed {bench.seed()}, cycle {cycle}: sums {got}, not {expected}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_arrays(dut: Any) -> None:
    rng = Random(bench.seed())
    limits, size = Limits(**bench.parameters()["limits"]), bench.parameters()["size"]
    members = NeuronState(limits, size).signature.members
    steps = limits.steps if limits.gradients else HISTORY_STEPS
    words = {"readout_credit": limits.readout_words, "signs": block_words(limits), "credit": block_words(limits)}
    words["current"] = limits.stored_currents
    memories = [
        MemoryModel(dut, name, member.signature, words.get(name, limits.words), steps, rng)
        for name, member in members.items()
        if name != "sums"
    ]
    sums = Copy(dut, memories) if limits.gradients else None
    for memory in memories:
        memory.stop()
    await bench.start(dut)
    for cycle in range(CYCLES):
        if sums is not None:
            sums.drive()
        for memory in memories:
            memory.drive()
        await ReadOnly()
        for memory in memories:
            memory.check(cycle)
        if sums is not None:
            sums.check(cycle)
        await FallingEdge(dut.clk)
