"""Testbench of the neurons' state: every memory against an array, with reads and writes in every cycle."""

from random import Random
from typing import Any

import cocotb
from amaranth.lib.wiring import Signature
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.neurons.neuron_state import REGISTERED, NeuronState
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.network import Limits

CYCLES = 5000


class MemoryModel:
    """A memory of the design as a dictionary, and the values that its read port must show.

    Parameters
    ----------
    words : int
        Words of neurons that the memory has room for.
    """

    def __init__(self, dut: Any, name: str, signature: Signature, words: int, rng: Random) -> None:
        self._dut, self._name, self._rng = dut, name, rng
        read, write = (signature.members[port].signature.members for port in ("read", "write"))
        self._address, self._value = read["address"].shape, read["data"].shape
        self._write_address = write["address"].shape
        self._places = {"lane": 0, "step": HISTORY_STEPS, "word": words}
        self._content: dict[int, Any] = {}
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
        if self._name == "code":
            return {"surrogate": rng.randint(0, SURROGATE_OFF), "spike": rng.getrandbits(1)}
        if self._name == "signs":
            return {name: rng.getrandbits(field.width) for name, field in self._value}
        if self._name == "membrane":
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
        self._expected.append(self._content.get(read))
        if enable:
            self._content[write] = value

    def check(self, cycle: int) -> None:
        """Compare the read data; a place that was not written yet has any."""
        expected = self._expected.pop(0)
        if expected is not None:
            got = unpack(self._value, int(self._port("read__data").value))
            assert got == expected, f"seed {bench.seed()}, cycle {cycle}: {self._name} {got}, not {expected}"

    def stop(self) -> None:
        """Write nothing."""
        self._port("write__en").value = 0

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"{self._name}__{name}")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_arrays(dut: Any) -> None:
    rng = Random(bench.seed())
    limits, size = Limits(**bench.parameters()["limits"]), bench.parameters()["size"]
    members = NeuronState(limits, size).signature.members
    memories = [
        MemoryModel(
            dut,
            name,
            member.signature,
            limits.readout_words if name == "readout_credit" else limits.words,
            rng,
        )
        for name, member in members.items()
    ]
    for memory in memories:
        memory.stop()
    await bench.start(dut)
    for cycle in range(CYCLES):
        for memory in memories:
            memory.drive()
        await ReadOnly()
        for memory in memories:
            memory.check(cycle)
        await FallingEdge(dut.clk)
