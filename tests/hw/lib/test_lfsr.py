from itertools import combinations

import numpy as np
import pytest

from opzo.hw.lib.lfsr import LaneLFSR
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.spec.formats import DRAW_BITS, LFSR_BITS, UPDATE_FRAC_BITS
from opzo.spec.lfsr import MAX_LANES, PERIOD, jump, lane_states, power, step

DRAWS = 1 << 17
SIGMAS = 5.5
"""Of the largest of some 100,000 standard normal numbers; a chance of 1 in 200 with independent bits."""


@pytest.fixture(scope="module")
def draws():
    """uint16 (draws, lanes)."""
    return LaneLFSRs(lane_states(1, MAX_LANES)).draw(DRAWS)


def test_lfsr_matches_golden():
    run_bench(LaneLFSR(), name="lfsr", test_module="opzo.sim.benches.lib.lfsr")


def test_golden_is_the_recurrence():
    state = 0x12345678
    lfsrs = LaneLFSRs(np.array([state]))
    for draw in lfsrs.draw(3000)[:, 0].tolist():
        for _ in range(DRAW_BITS):
            state = step(state)
        assert draw == state >> DRAW_BITS
    assert lfsrs.states.tolist() == [state]


def test_recurrence_is_primitive():
    # The order of x divides 2**32 - 1 and none of its largest divisors.
    factors = (3, 5, 17, 257, 65537)
    assert np.prod(factors, dtype=object) == PERIOD == (1 << LFSR_BITS) - 1
    assert power(PERIOD) == 1
    assert all(power(PERIOD // factor) != 1 for factor in factors)


def test_jump_is_many_steps():
    state = expected = 0xCAFEF00D
    for _ in range(1000):
        expected = step(expected)
    assert jump(state, 1000) == expected
    assert jump(state, PERIOD) == state


def test_lanes_never_start_alike():
    for seed in range(5):
        states = lane_states(seed, MAX_LANES)
        assert len(set(states.tolist())) == MAX_LANES
        assert states.all()
    assert lane_states(0, 4).tolist() == lane_states(0, MAX_LANES)[:4].tolist() != lane_states(1, 4).tolist()


@pytest.mark.parametrize("lag", [0, 1, 2, 3, 4])
def test_noise_is_uncorrelated(draws, lag):
    # Signs of all pairs of lanes, one ``lag`` draws behind the other; a draw with itself left out.
    signs = (draws >> (DRAW_BITS - 1)).astype(np.float32) * 2 - 1
    count = DRAWS - lag
    correlation = (signs[lag:].T @ signs[:count]) / count
    if lag == 0:
        np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(count)
    assert np.abs(signs.mean(axis=0)).max() < SIGMAS / np.sqrt(DRAWS)


@pytest.mark.parametrize("lag", [0, 1, 2, 3])
def test_rounding_words_are_uncorrelated(draws, lag):
    words = (draws >> (DRAW_BITS - UPDATE_FRAC_BITS)).astype(np.float64)
    words = (words - words.mean(axis=0)) / words.std(axis=0)
    count = DRAWS - lag
    correlation = (words[lag:].T @ words[:count]) / count
    if lag == 0:
        np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(count)


def test_rounding_words_are_uniform(draws):
    words = draws >> (DRAW_BITS - UPDATE_FRAC_BITS)
    values = 1 << UPDATE_FRAC_BITS
    expected = DRAWS / values
    for lane in range(MAX_LANES):
        chi_square = ((np.bincount(words[:, lane], minlength=values) - expected) ** 2 / expected).sum()
        # Mean values - 1, variance 2 (values - 1); an LFSR may also be too even.
        assert abs(chi_square - (values - 1)) < SIGMAS * np.sqrt(2 * (values - 1)), f"lane {lane}"


def test_sign_and_rounding_word_of_neighbours_are_uncorrelated(draws):
    # The sign is the top bit of the rounding word of another draw: no pair of bits of a draw goes together.
    bits = np.unpackbits(draws[:, 0].astype(">u2").view(np.uint8).reshape(-1, 2), axis=1).astype(np.float32) * 2 - 1
    for a, b in combinations(range(DRAW_BITS), 2):
        assert abs((bits[:, a] * bits[:, b]).mean()) < SIGMAS / np.sqrt(DRAWS)
