"""Assertions in the gateware: active in every simulation, absent from synthesis."""

from collections.abc import Callable
from typing import Any

from amaranth import Elaboratable, Module, ResetSignal, Signal, Value
from amaranth.hdl import Assert, ValueLike


class Synthesis:
    """Platform for gateware without assertions, where no board's platform is at hand."""


class Check(Elaboratable):
    """An assertion as a module of its own, empty for every platform but None, which stands for simulation.

    So its condition adds nothing to what a synthesis tool reads, and its place in the hierarchy is part of the message.
    """

    def __init__(self, condition: ValueLike, text: str) -> None:
        self._condition, self._text = Value.cast(condition), text

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if platform is None:
            m.d.sync += Assert(self._condition.any() | ResetSignal(allow_reset_less=True), self._text)
        return m


def check(m: Module, name: str, condition: ValueLike, text: str) -> None:
    """Assert in every cycle that is not in reset that ``condition`` is not 0.

    A simulation in which it is 0 at a clock edge fails with the path of submodule ``check_<name>`` and ``text``, which
    says what went wrong. Conditions of an enclosing ``m.If`` do not apply. ValueError for a text with ``%``, quotes or
    braces.
    """
    # The text goes through Yosys, Verilog's formats and a C string.
    if set(text) & set('%{}"\\\n'):
        raise ValueError(f"the text of a check is plain words, not {text!r}")
    m.submodules[f"check_{name}"] = Check(condition, text)


class Monitor(Elaboratable):
    """A module that ``build`` fills in simulation; empty for every platform but None."""

    def __init__(self, build: Callable[[Module], None]) -> None:
        self._build = build

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if platform is None:
            self._build(m)
        return m


def monitor(m: Module, name: str, build: Callable[[Module], None]) -> None:
    """Add what checks need besides the design, such as values of earlier cycles, as submodule ``monitor_<name>``."""
    m.submodules[f"monitor_{name}"] = Monitor(build)


def check_stream(m: Module, name: str, stream: Any) -> None:
    """Assert that a stream holds ``valid`` and its payload until ``ready``."""

    def build(m: Module) -> None:
        payload = Value.cast(stream.payload)
        waits = Signal()
        held = Signal(len(payload))
        m.d.sync += [waits.eq(stream.valid & ~stream.ready & ~ResetSignal(allow_reset_less=True)), held.eq(payload)]
        check(m, "valid", ~waits | stream.valid, f"stream {name}: valid fell before ready")
        check(m, "payload", ~waits | (held == payload), f"stream {name}: the payload changed before ready")

    monitor(m, name, build)
