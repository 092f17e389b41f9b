import pytest
from amaranth import Module
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.export.convert import convert, convert_readable
from opzo.hw.lib.check import check
from opzo.sim.benches.bench import run_bench


class Counter(wiring.Component):
    """A counter that must not be enabled at 3."""

    en: In(1)
    count: Out(2)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.en):
            m.d.sync += self.count.eq(self.count + 1)
        check(m, "range", ~self.en | (self.count != 3), "the counter wraps")
        return m


class Around(wiring.Component):
    """The counter as a unit in another one."""

    en: In(1)
    count: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.counter = counter = Counter()
        m.d.comb += [counter.en.eq(self.en), self.count.eq(counter.count)]
        return m


def run(testcase: str) -> None:
    run_bench(Around(), name="check", test_module="opzo.sim.benches.lib.check", testcase=testcase)


def test_check_that_is_met_or_in_reset_does_nothing() -> None:
    run("counts_to_three_and_ignores_reset")


def test_failed_check_fails_the_bench_with_unit_and_cause() -> None:
    with pytest.raises(
        AssertionError, match=r"(?s)the simulation failed.*top\.counter\.check_range: the counter wraps"
    ):
        run("counts_too_far")


def test_checks_are_in_simulations_only() -> None:
    assert "$fatal" in convert(Around(), "around")
    assert "check_range" not in convert_readable(Around(), "around", checks=False)


@pytest.mark.parametrize("text", ["100%", "{x}", 'the "counter"', "a\nb"])
def test_text_that_a_format_would_change_is_refused(text: str) -> None:
    m = Module()
    with pytest.raises(ValueError, match="plain words"):
        check(m, "text", 1, text)
    assert not Fragment.get(m, None).subfragments
