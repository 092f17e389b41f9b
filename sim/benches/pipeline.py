"""Driver for pipelined units, which accept inputs in every cycle and have ports at different stages."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import numpy as np
from amaranth.lib.wiring import Signature
from cocotb.triggers import FallingEdge, ReadOnly
from numpy.typing import ArrayLike

from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import unpack


def _shape(signature: Signature, name: str) -> Any:
    """Shape of a port; ``group__port`` is a port in a group."""
    group, _, port = name.partition("__")
    return _shape(signature.members[group].signature, port) if port else signature.members[group].shape


class PipelinedUnit:
    """Send vectors, with one value per port, through a unit and collect its outputs.

    Inputs change at falling edges. Outputs are read later in the same cycle, so a combinational unit has latency 0.
    Inputs are random in cycles without a vector.

    Parameters
    ----------
    dut : cocotb handle
        Design with the clock ``clk``.
    signature : amaranth Signature
        Signature of the unit, for the shapes of its outputs.
    inputs, outputs : dict of str to int
        Latency of each port: cycles from the start of a vector to its value at the port. Other inputs are not driven.
    rng : random.Random
        Source of gaps, and of inputs in cycles without a vector.
    """

    def __init__(
        self, dut: Any, signature: Signature, inputs: Mapping[str, int], outputs: Mapping[str, int], rng: Random
    ) -> None:
        self._dut, self._rng = dut, rng
        self._inputs = [(name, getattr(dut, name), delay) for name, delay in inputs.items()]
        self._outputs = [
            (name, getattr(dut, name), _shape(signature, name), latency) for name, latency in outputs.items()
        ]

    async def run(self, vectors: Mapping[str, ArrayLike], stall: float = 0.0) -> dict[str, np.ndarray]:
        """Send ``vectors`` (name of an input -> values) and return the values of each output.

        ``stall`` is the probability of an idle cycle before each vector, and of each further one; 0 sends the vectors
        back to back.
        """
        columns = {name: np.asarray(values).tolist() for name, values in vectors.items()}
        starts: dict[int, int] = {}
        end = 0
        for n in range(len(next(iter(columns.values())))):
            while self._rng.random() < stall:
                end += 1
            starts[end] = n
            end += 1
        inputs = [(port, len(port), delay, columns[name]) for name, port, delay in self._inputs]
        results: dict[str, list[int]] = {name: [] for name, *_ in self._outputs}
        for cycle in range(end + max(latency for *_, latency in self._outputs)):
            for port, width, delay, values in inputs:
                start = starts.get(cycle - delay)
                bits = self._rng.getrandbits(width) if start is None else int(values[start]) & ((1 << width) - 1)
                port.value = bits
            await ReadOnly()
            for name, port, shape, latency in self._outputs:
                if cycle - latency in starts:
                    results[name].append(unpack(shape, int(port.value)))
            await FallingEdge(self._dut.clk)
        return {name: np.array(values) for name, values in results.items()}

    async def check(
        self,
        vectors: Mapping[str, ArrayLike],
        expected: Mapping[str, ArrayLike],
        *,
        what: str,
        seed: int,
        stalls: Iterable[float] = (0.0, 0.5),
    ) -> None:
        """Send ``vectors`` once for each of ``stalls`` and compare; an error shows the first wrong vector."""
        for stall in stalls:
            results = await self.run(vectors, stall)
            for name, values in expected.items():
                wrong = np.flatnonzero(results[name] != np.asarray(values))
                shown = (
                    ", ".join(f"{port} {np.asarray(v)[wrong[0]]}" for port, v in vectors.items()) if len(wrong) else ""
                )
                assert_equal(results[name], values, what=f"{what}, stall {stall}: {name} of {shown}", seed=seed)
