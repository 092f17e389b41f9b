from amaranth import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.convert import convert
from opzo.sim.bench import run_bench


class Constants(wiring.Component):
    """Parts of signals, and of signals inside a submodule, that are constant."""

    i: In(4)
    o: Out(12)

    def __init__(self, inner=True):
        self.inner = inner
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        unused = Signal()
        m.d.sync += unused.eq(~unused)
        m.d.comb += [self.o[4:8].eq(5), self.o[8:].eq(Cat(Const(1, 2), Const(2, 2)))]
        with m.If(self.i != 3):
            m.d.comb += self.o[:4].eq(self.i)
        if self.inner:
            m.submodules.inner = inner = Constants(inner=False)
            m.d.comb += inner.i.eq(~self.i)
        return m


def test_constant_parts_have_their_value():
    run_bench(Constants(), name="convert", test_module="opzo.sim.tb_convert")


def test_text_does_not_depend_on_when_or_where():
    text = convert(Constants(), "constants")
    assert text == convert(Constants(), "constants")
    assert __file__ not in text
    assert "\nmodule constants(" in text
