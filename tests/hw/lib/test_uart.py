import pytest
from hypothesis import given
from hypothesis import strategies as st

from opzo.hw.lib.uart import LEAST_CYCLES, UART, BaudRate
from opzo.sim.benches.bench import run_bench

CLOCKS = (100e6, 90e6, 48e6, 25e6, 12e6)
BAUD = 3e6


@pytest.mark.parametrize("clock", CLOCKS)
def test_uart_on_the_wire(clock):
    run_bench(
        UART(clock, BAUD), name="uart", test_module="opzo.sim.benches.lib.uart", parameters={"cycles": clock / BAUD}
    )


@given(clock=st.floats(1e6, 500e6), baud=st.floats(1200, 12e6))
def test_rate_is_within_a_thousandth(clock, baud):
    if baud * LEAST_CYCLES > clock:
        with pytest.raises(ValueError, match=f"must last {LEAST_CYCLES} clock cycles"):
            BaudRate(clock, baud)
        return
    rate = BaudRate(clock, baud)
    assert abs(rate.increment / (1 << rate.width) * clock / baud - 1) < 0.001


@pytest.mark.parametrize("baud", [0, -1, 25e6 / 4 + 1])
def test_rejects_rates_that_cannot_be(baud):
    with pytest.raises(ValueError, match="clock cycles"):
        BaudRate(25e6, baud)
