import re

from amaranth import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.export.convert import convert
from opzo.sim.benches.bench import run_bench


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


class Register(wiring.Component):
    """A register with an enable, a reset and a part that is set alone; its sign is extended."""

    en: In(1)
    i: In(signed(4))
    part: In(1)
    o: Out(signed(12))

    def elaborate(self, platform):
        m = Module()
        value = Signal(signed(4), init=-3)
        with m.If(self.en):
            m.d.sync += value.eq(self.i)
        with m.If(self.part):
            m.d.sync += value[1].eq(1)
        m.d.comb += self.o.eq(Cat(value[1:], Cat(value[3] for _ in range(9))))
        return m


def test_registers_keep_their_value_and_change_in_part():
    run_bench(
        Register(),
        name="convert_register",
        test_module="opzo.sim.benches.export.convert",
        testcase="register_keeps_its_value_and_changes_in_part",
    )


def test_registers_are_written_where_they_are_clocked():
    text = convert(Register(), "register")
    assert "always @*" not in text
    assert re.search(
        r"always @\(posedge clk\) begin\n    if \(en\) begin\n      value <= i;\n    end\n"
        r"    if \(part\) begin\n      value\[1\] <= 1'h1;\n    end\n"
        r"    if \(rst\) begin\n      value <= 4'hd;\n    end\n  end",
        text,
    )
    assert re.search(r"\{\d+\{value\[3\]\}\}", text)


def test_next_value_that_others_read_stays():
    class Seen(wiring.Component):
        en: In(1)
        o: Out(4)

        def elaborate(self, platform):
            m = Module()
            count, following = Signal(4), Signal(4)
            m.d.comb += following.eq(count)
            with m.If(self.en):
                m.d.comb += following.eq(count + 1)
            m.d.comb += self.o.eq(following)
            m.d.sync += count.eq(following)
            return m

    assert "always @*" in convert(Seen(), "seen")


def test_constant_parts_have_their_value():
    run_bench(
        Constants(),
        name="convert",
        test_module="opzo.sim.benches.export.convert",
        testcase="constant_parts_have_their_value",
    )


def test_text_does_not_depend_on_when_or_where():
    text = convert(Constants(), "constants")
    assert text == convert(Constants(), "constants")
    assert __file__ not in text
    assert "\nmodule constants(" in text
