"""cocotb drivers for Amaranth streams, with random stalls.

In the top module of the Verilog, a stream member ``i`` has the ports ``i__payload``, ``i__valid`` and ``i__ready``;
member ``event`` of an interface ``link`` has ``link__event__payload`` and so on. A payload with a layout is one port:
pass the layout as ``shape``, and payloads are dicts (structures), lists (arrays) and ints.

The drivers act at falling edges: inputs change there, and the values for the next rising edge are read once all signals
have settled. No result depends on the order in which a simulator evaluates a rising edge. The endpoints sleep while
there is nothing to send or receive.
"""

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

import cocotb
from amaranth.hdl import Shape
from amaranth.lib import data
from cocotb.triggers import Event, FallingEdge, ReadOnly, RisingEdge, with_timeout

TIMEOUT_US = 10_000
"""Simulated time after which waiting for a stream fails: a million cycles at 10 ns."""


class StreamSource:
    """Send payloads into a stream of the design.

    Once ``valid`` is high, it and the payload are held until ``ready``; while it is low, the payload is random.

    Parameters
    ----------
    dut, clk : cocotb handles
        Design and its clock.
    prefix : str
        Name of the stream, for instance ``i`` or ``link__event``.
    rng : random.Random
        Source of the stalls.
    stall : float
        Probability of each further idle cycle before a payload, 0 to less than 1; may be changed while running.
    shape : amaranth shape or None
        Layout or shape of the payload; None for unsigned.
    """

    def __init__(self, dut: Any, clk: Any, prefix: str, rng: Random, stall: float = 0.0, *, shape: Any = None) -> None:
        self.stall = stall
        self._clk, self._rng = clk, rng
        self._payload, self._valid, self._ready = (
            getattr(dut, f"{prefix}__{n}") for n in ("payload", "valid", "ready")
        )
        self._width = len(self._payload)
        self._shape = shape
        self._queue: deque[tuple[int, Event]] = deque()
        self._wake = Event()
        self._valid.value = 0
        self._task = cocotb.start_soon(self._drive())

    def put(self, payload: Any) -> Event:
        """Queue ``payload``; the event is set once it has been taken."""
        taken = Event()
        self._queue.append((pack(self._shape, payload) & ((1 << self._width) - 1), taken))
        self._wake.set()
        return taken

    async def send(self, payload: Any) -> None:
        """Queue ``payload`` and wait until it, and all before it, have been taken."""
        await with_timeout(self.put(payload).wait(), TIMEOUT_US, "us")

    async def send_all(self, payloads: Iterable[Any]) -> None:
        """Queue ``payloads``, back to back if there are no stalls, and wait until the last has been taken."""
        events = [self.put(payload) for payload in payloads]
        if events:
            await with_timeout(events[-1].wait(), TIMEOUT_US, "us")

    def discard(self) -> None:
        """Discard what has not been taken, also a payload that is valid: during a reset."""
        self._task.cancel()
        self._queue.clear()
        self._hide()
        self._task = cocotb.start_soon(self._drive())

    async def _drive(self) -> None:
        while True:
            await FallingEdge(self._clk)
            if not self._queue:
                self._hide()
                self._wake.clear()
                await self._wake.wait()
                continue
            while self._queue:
                while self._rng.random() < self.stall:
                    self._hide()
                    await FallingEdge(self._clk)
                payload, taken = self._queue.popleft()
                self._payload.value = payload
                self._valid.value = 1
                ready = False
                while not ready:
                    await ReadOnly()
                    ready = bool(self._ready.value)
                    await FallingEdge(self._clk)
                taken.set()
            self._hide()

    def _hide(self) -> None:
        self._valid.value = 0
        self._payload.value = self._rng.getrandbits(self._width)


class StreamSink:
    """Receive payloads from a stream of the design and check that it follows the stream rules.

    Payloads are always collected, whether or not `receive` waits for them. If ``valid`` or the payload changes before
    ``ready``, AssertionError is raised in the waiting test.

    Parameters are those of `StreamSource`; ``stall`` is the probability that ``ready`` is low in a cycle. With a stall
    of 1 nothing is received.
    """

    def __init__(self, dut: Any, clk: Any, prefix: str, rng: Random, stall: float = 0.0, *, shape: Any = None) -> None:
        self.stall = stall
        self._clk, self._rng, self._prefix = clk, rng, prefix
        self._payload, self._valid, self._ready = (
            getattr(dut, f"{prefix}__{n}") for n in ("payload", "valid", "ready")
        )
        self._rst = getattr(dut, "rst", None)
        self._shape = shape
        self._queue: deque[Any] = deque()
        self._arrived = Event()
        self._ready.value = 0
        self._task = cocotb.start_soon(self._collect())

    def __len__(self) -> int:
        """Payloads received and not yet fetched."""
        return len(self._queue)

    def clear(self) -> None:
        """Discard the payloads received so far."""
        self._queue.clear()

    async def receive(self) -> Any:
        """Next payload."""
        while not self._queue:
            self._arrived.clear()
            await with_timeout(self._arrived.wait(), TIMEOUT_US, "us")
        return self._queue.popleft()

    async def receive_all(self, count: int) -> list[Any]:
        """Next ``count`` payloads."""
        return [await self.receive() for _ in range(count)]

    async def _collect(self) -> None:
        held: int | None = None
        await FallingEdge(self._clk)
        while True:
            ready = self._rng.random() >= self.stall
            self._ready.value = int(ready)
            await ReadOnly()
            valid = bool(self._valid.value)
            if self._rst is not None and self._rst.value:
                held = None
                await FallingEdge(self._clk)
                continue
            payload = int(self._payload.value) if valid else None
            if held is not None:
                assert valid, f"stream {self._prefix}: valid fell before ready"
                assert payload == held, f"stream {self._prefix}: payload changed from {held} to {payload} before ready"
            held = None if ready else payload
            if payload is None:
                await RisingEdge(self._valid)
                # A rise while the clock is low follows from an input that changed at this falling edge.
                if self._clk.value:
                    await FallingEdge(self._clk)
                continue
            await FallingEdge(self._clk)
            if ready:
                self._queue.append(unpack(self._shape, payload))
                self._arrived.set()


def pack(shape: Any, value: Any) -> int:
    """Convert a payload to bits; a negative int is not truncated to its width."""
    if not isinstance(shape, data.Layout):
        return int(value)
    bits = 0
    for key, field in shape:
        bits |= (pack(field.shape, value[key]) & ((1 << field.width) - 1)) << field.offset
    return bits


def unpack(shape: Any, bits: int) -> Any:
    """Convert bits to a payload."""
    if isinstance(shape, data.Layout):
        values = {key: unpack(f.shape, bits >> f.offset & ((1 << f.width) - 1)) for key, f in shape}
        return list(values.values()) if isinstance(shape, data.ArrayLayout) else values
    if shape is not None:
        cast = Shape.cast(shape)
        if cast.signed and bits >> (cast.width - 1) & 1:
            return bits - (1 << cast.width)
    return bits
