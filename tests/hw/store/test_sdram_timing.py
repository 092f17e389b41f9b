"""Times of SDRAM parts in clock cycles, and the edge that takes a word."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opzo.hw.store.sdram.parts import PARTS, TANG_NANO_20K, ULX3S, slowest
from opzo.hw.store.sdram.timing import PinDelays, SdramTiming, best_phase, read_edges


@given(part=st.sampled_from(PARTS), mhz=st.floats(10, 142))
def test_cycles_last_as_long_as_the_part_needs(part, mhz):
    period = 1000 / mhz
    if period < min(part.clock.values()):
        with pytest.raises(ValueError, match="too slow for"):
            SdramTiming.of(part, mhz * 1e6)
        return
    timing = SdramTiming.of(part, mhz * 1e6)
    for cycles, least in (
        (timing.column, part.column),
        (timing.precharge, part.precharge),
        (timing.refresh, part.refresh),
        (timing.active, part.active),
        (timing.close, part.write),
    ):
        assert cycles * period >= least - 1e-6
        # Not a cycle more, where nothing else asks for it.
        assert (cycles - 1) * period < max(least, part.row, part.write_cycles * period, 2 * period)
    assert (timing.active + timing.precharge) * period >= part.row - 1e-6
    assert timing.close >= max(part.write_cycles, timing.cas_latency - 1)
    assert timing.mode >= part.mode_cycles
    assert timing.interval * period <= part.refresh_interval
    assert timing.pause * timing.period * period >= part.power_up_us * 1000 - 1e-3
    assert period >= part.clock[timing.cas_latency] - 1e-6


def test_times_of_ulx3s_at_60_mhz():
    timing = SdramTiming.of(ULX3S, 60e6)
    assert (timing.cas_latency, timing.column, timing.precharge, timing.active, timing.refresh) == (2, 2, 2, 3, 4)
    assert (timing.close, timing.turn, timing.interval, timing.delay, timing.period) == (2, 4, 468, 4, 464)


def test_a_clock_too_slow_to_refresh_is_refused():
    with pytest.raises(ValueError, match="no time is left between two refreshes"):
        SdramTiming.of(ULX3S, 0.5e6)


def test_parts_hold_as_many_words_as_their_datasheets_say():
    bits = {part.name: (1 << part.address_bits) * 16 for part in PARTS}
    assert bits == {
        "MT48LC16M16A2-75": 256 << 20,
        "AS4C32M16SB-7": 512 << 20,
        "W9825G6JH-6I": 256 << 20,
        "IS42S16160G-7": 256 << 20,
        "GW2AR-18C": 64 << 20,
        "ULX3S": 256 << 20,
    }
    assert {part.name: part.refreshes for part in PARTS if part.refreshes != 8192} == {"GW2AR-18C": 4096}


def test_the_slowest_part_suits_each():
    for part in PARTS[:4]:
        for name in ("column", "precharge", "active", "row", "refresh", "write", "other_bank", "release", "setup"):
            assert getattr(ULX3S, name) >= getattr(part, name)
        assert ULX3S.hold <= part.hold
        assert all(ULX3S.access[latency] >= time for latency, time in part.access.items())
    with pytest.raises(ValueError, match="rows and width"):
        slowest("both", ULX3S, TANG_NANO_20K)
    with pytest.raises(ValueError, match="at most 10 bits of column"):
        replace(ULX3S, column_bits=11)


def test_edge_that_takes_a_word():
    # CAS latency 2: valid from 16 + 7 + 6.5 + 2 = 31.5 ns to 32 + 6 + 2.5 + 1 = 41.5 ns.
    assert read_edges(ULX3S, 62.5e6, PinDelays(clock=(6, 7), output=(2, 4), input=(1, 2))) == 2
    # A later clock, a later edge: from 41 to 50.5 ns.
    assert read_edges(ULX3S, 62.5e6, PinDelays(clock=(15, 16), output=(2, 4), input=(1, 2))) == 3


@pytest.mark.parametrize(
    ("delays", "text"),
    [
        (PinDelays(clock=(7, 8), output=(2, 4), input=(1, 2)), "valid from 32.5 to 42.5 ns, where no edge"),
        (PinDelays(clock=(5, 6), output=(2, 4), input=(1, 2)), "1.0 ns of setup"),
        (PinDelays(clock=(16, 17.5), output=(2, 4), input=(1, 2)), "0.5 ns of hold"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(delays, text):
    with pytest.raises(ValueError, match=text):
        read_edges(ULX3S, 62.5e6, delays)


def test_best_phase():
    # Commands need a clock at 5.5 to 17.2 ns, words one at up to 7.5 or at 12.5 to 23.5 ns: the middle of 12.5 to 17.2.
    delays = PinDelays(clock=(2, 2), output=(2, 4), input=(1, 2))
    assert best_phase(ULX3S, 62.5e6, delays, 16).clock == (15, 15)
    with pytest.raises(ValueError, match="none of 2 phases"):
        best_phase(ULX3S, 62.5e6, delays, 2)


@given(clock=st.floats(20, 100), spread=st.floats(0, 1), steps=st.integers(1, 16))
def test_the_best_phase_suits_if_any_does(clock, spread, steps):
    delays = PinDelays(clock=(2, 2 + spread), output=(2, 2 + spread), input=(1, 2))
    period = 1000 / clock

    def suits(later):
        try:
            return read_edges(ULX3S, clock * 1e6, replace(delays, clock=(2 + later, 2 + spread + later)))
        except ValueError:
            return 0

    if any(suits(period * n / steps) for n in range(steps)):
        assert read_edges(ULX3S, clock * 1e6, best_phase(ULX3S, clock * 1e6, delays, steps))
    else:
        with pytest.raises(ValueError, match="suits"):
            best_phase(ULX3S, clock * 1e6, delays, steps)
