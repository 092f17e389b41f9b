"""Assertions in the gateware: active in every simulation, absent from synthesis."""

from amaranth import Elaboratable, Module, ResetSignal, Value
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
