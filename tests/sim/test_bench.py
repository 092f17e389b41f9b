import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.self.bench import PAYLOAD
from opzo.sim.benches.streams import pack, unpack


class Stage(wiring.Component):
    """One registered stream stage; ``fault`` breaks one of the rules."""

    i: In(stream.Signature(PAYLOAD))
    o: Out(stream.Signature(PAYLOAD))

    def __init__(self, fault=None):
        self.fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        held = Signal(4)
        m.d.sync += held.eq(held + 1)
        m.d.comb += self.i.ready.eq(self.o.ready | ~self.o.valid)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.p.eq(self.i.p)]
        with m.Elif(held == 0):
            if self.fault == "drops":
                m.d.sync += self.o.valid.eq(0)
            if self.fault == "changes":
                m.d.sync += self.o.p.flag.eq(~self.o.p.flag)
        return m


class Bit(wiring.Component):
    """The smallest stream."""

    i: In(stream.Signature(1))
    o: Out(stream.Signature(1))

    def elaborate(self, platform):
        m = Module()
        unused = Signal()
        m.d.sync += unused.eq(~unused)
        m.d.comb += [self.o.valid.eq(self.i.valid), self.o.p.eq(self.i.p), self.i.ready.eq(self.o.ready)]
        return m


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0, 0), (0.4, 0), (0, 0.4), (0.5, 0.5)])
def test_stage_keeps_order(stall_in, stall_out):
    run_bench(
        Stage(),
        name="bench",
        test_module="opzo.sim.benches.self.bench",
        parameters={"stall_in": stall_in, "stall_out": stall_out},
        testcase="keeps_every_payload_in_order",
    )


def test_one_bit_wire():
    run_bench(Bit(), name="bench_bit", test_module="opzo.sim.benches.self.bench", testcase="passes_bits", seed=5)


@pytest.mark.parametrize(("fault", "message"), [("drops", "valid fell before ready"), ("changes", "payload changed")])
def test_broken_stream_rule_is_found(fault, message):
    with pytest.raises(AssertionError, match=rf"(?s)seed 7: .*OPZO_SEED=7.*{message}"):
        run_bench(
            Stage(fault),
            name="bench_fault",
            test_module="opzo.sim.benches.self.bench",
            parameters={"stall_in": 0, "stall_out": 0.8},
            testcase="keeps_every_payload_in_order",
            seed=7,
        )


def test_inner_signals_when_public():
    run_bench(
        Stage(), name="bench", test_module="opzo.sim.benches.self.bench", testcase="sees_inner_signals", public=["held"]
    )


def test_missing_test_is_an_error():
    with pytest.raises(AssertionError, match="no test ran with the name absent"):
        run_bench(Stage(), name="bench", test_module="opzo.sim.benches.self.bench", testcase="absent")


def test_compare_names_the_first_difference():
    expected = np.arange(12).reshape(3, 4)
    actual = expected.copy()
    assert_equal(actual, expected, what="weights")
    actual[1, 2] = -1
    actual[2, 0] = -1
    with pytest.raises(AssertionError) as failure:
        assert_equal(actual, expected, what="weights", seed=3, cycle=70)
    assert str(failure.value) == "weights, seed 3, cycle 70: at index (1, 2) -1, expected 6; 2 of 12 values differ"
    with pytest.raises(AssertionError, match=r"shape \(4,\), expected \(3, 4\)"):
        assert_equal(actual[0], expected, what="weights")


def test_payload_bits_follow_the_layout():
    payload = {"v": -3, "flag": 1, "lanes": [-256, 255, 0, -1]}
    bits = pack(PAYLOAD, payload)
    assert bits == 0xFFFFD | 1 << 20 | 0x100 << 21 | 0xFF << 30 | 0x1FF << 48
    assert unpack(PAYLOAD, bits) == payload
