from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opzo.boards.families.ecp5 import ECP5
from opzo.boards.families.flows import flow_of
from opzo.boards.families.vendor import Xilinx
from opzo.boards.registry import BOARDS
from opzo.spec.errors import OpzoError


@settings(max_examples=60, deadline=None)
@given(
    board=st.sampled_from(BOARDS),
    wished=st.floats(1, 600, allow_nan=False).map(lambda value: round(value, 3)),
)
def test_setting_keeps_every_limit_and_nothing_nearer_exists(board, wished):
    span, oscillator = flow_of(board).pll, board.clock_mhz
    try:
        pll = span.nearest(oscillator, wished)
    except OpzoError:
        assert wished > span.output[1] or not list(span.settings(oscillator, wished))
        return
    source = Fraction(str(oscillator))
    base = source * pll.feedback / pll.reference
    output, vco = (base, base * pll.post) if span.from_output else (base / pll.post, base)
    assert (output * 10**6, vco * 10**6) == (pll.output, pll.vco)
    assert output <= Fraction(str(wished))
    for value, (low, high) in (
        (source / pll.reference, span.comparator),
        (vco, span.vco),
        (output, span.output),
    ):
        assert low <= value <= high
    assert pll.reference in span.references
    assert pll.feedback in span.feedbacks
    assert pll.post in span.posts
    assert all(other.output <= pll.output for other in span.settings(oscillator, wished))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_default_clock_of_every_board_is_reached_exactly(board):
    assert flow_of(board).pll.nearest(board.clock_mhz, board.core_mhz).mhz == board.core_mhz


def test_known_settings():
    pll = ECP5.pll.nearest(25, 100)
    assert (pll.reference, pll.feedback, pll.post, pll.vco) == (1, 4, 6, 600_000_000)
    pll = Xilinx.pll.nearest(100, 60)
    assert (pll.reference, pll.feedback, pll.post, pll.vco) == (1, 12, 20, 1_200_000_000)


def test_errors_name_what_is_reachable():
    with pytest.raises(
        OpzoError, match=r"a clock of 500 MHz cannot be generated from the board's 25 MHz; choose 3.125 to 400 MHz"
    ):
        ECP5.pll.nearest(25, 500)
    with pytest.raises(OpzoError, match=r"choose 6.25 to 450 MHz"):
        Xilinx.pll.nearest(100, 1)
