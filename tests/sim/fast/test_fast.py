"""The compiled model: every state equals the golden model's after any number of samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.stimuli import draw_chunk, draw_flags
from opzo.sim.fast import library
from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore
from opzo.spec.errors import OpzoError
from opzo.spec.lfsr import lane_states
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import Reg, network_registers
from opzo.spec.rules import Input, Rule

RATES = (Reg.ALPHA, Reg.RATE, Reg.ACTIVITY, Reg.DECAY_SHIFT, Reg.LEAK_SHIFT, Reg.MSE_SHIFT)


@dataclass(frozen=True)
class Case:
    network: Network
    lanes: int
    weight_bits: int
    rule: Rule
    rates: dict[Reg, int]
    samples_before: int
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    hidden = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    sizes = (draw(st.integers(1, 60)), *hidden, draw(st.integers(2, 20)))
    network = Network(sizes, draw(st.integers(1, 8)), draw(st.integers(0, len(hidden))), draw(st.sampled_from(Input)))
    rates = {register: draw(st.integers(0, (1 << register.bits) - 1)) for register in RATES}
    return Case(
        network,
        draw(st.sampled_from((4, 16))),
        draw(st.sampled_from((16, 12))),
        draw(st.sampled_from(Rule)),
        rates,
        # The feedback shifts are chosen anew in the first of 64 samples, and the count wraps.
        draw(st.sampled_from((0, 1, 62, 0xFFFFFFFE))),
        draw(st.integers(0, 1 << 30)),
    )


def twins(case: Case) -> tuple[GoldenCore, FastCore, np.random.Generator]:
    """Both models with the same network and random memories, filled through the same calls."""
    rng = np.random.default_rng(case.seed)
    limits = case.network.limits(case.lanes, case.weight_bits)
    golden, fast = GoldenCore(limits), FastCore(limits)
    scale = int(rng.choice((300, 3000, 32767)))
    layers = case.network.layout(limits)
    used = layers[-1].weight_base + layers[-1].words * layers[-1].rows
    rows = rng.integers(-scale, scale + 1, (used, case.lanes)).astype(np.uint16)
    states = lane_states(case.seed, case.lanes)
    for core in (golden, fast):
        values = network_registers(case.network, limits, case.rule) | case.rates | {Reg.SAMPLES: case.samples_before}
        for address, value in values.items():
            core.write_register(address, value)
        for row, data in enumerate(rows):
            core.write_row(Space.WEIGHTS, row, data)
        for half in range(2):
            core.write_row(Space.LFSR, half, (states >> np.uint32(16 * half)).astype(np.uint16))
    return golden, fast, rng


def assert_equal_states(golden: GoldenCore, fast: FastCore, what: str, seed: int) -> None:
    for name in (
        *("memory", "membrane", "negative", "trace", "history", "input_trace", "input_history"),
        *("last_outputs", "output_sums"),
    ):
        assert_equal(getattr(fast, name), getattr(golden, name), what=f"{name} {what}", seed=seed)
    assert_equal(fast.lfsrs.states, golden.lfsrs.states, what=f"LFSRs {what}", seed=seed)
    assert fast.registers == golden.registers, f"registers {what}, seed {seed}"
    counts = [[core.read_register(address) for address in range(0x40, 0x80)] for core in (golden, fast)]
    assert counts[0] == counts[1], f"counters {what}, seed {seed}"


def run_case(case: Case, samples: int) -> None:
    golden, fast, rng = twins(case)
    for number in range(samples):
        chunk, label = draw_chunk(rng, case.network), int(rng.integers(case.network.classes))
        flags = draw_flags(rng)
        what = f"after run {number} of {case}"
        assert fast.run(chunk, label, flags) == golden.run(chunk, label, flags), f"answer {what}"
        assert_equal_states(golden, fast, what, case.seed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_every_state_is_the_golden_models(case: Case) -> None:
    run_case(case, 4 if case.network.input is Input.FRAME else 10)


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("lanes", [4, 8, 16, 32, 64, 128])
def test_every_number_of_lanes(lanes: int, rule: Rule) -> None:
    rates = dict(zip(RATES, (819, 84, 21, 6, 4, 7), strict=True))
    for kind in Input:
        network = Network((50, 3 * lanes // 2, lanes // 2 + 1, 10), 6, 2, kind)
        run_case(Case(network, lanes, (16, 12)[rule % 2], rule, rates, 0, seed=lanes), 70 if lanes == 16 else 5)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_every_state_is_the_golden_models_for_long(case: Case) -> None:
    run_case(case, 30)


def test_kept_library_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Network((4, 4, 2)).limits(4)
    FastCore(limits)
    library.load.cache_clear()

    def compile_again(*arguments: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(library, "run_tool", compile_again)
    FastCore(limits)


def test_without_a_compiler_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    library.load.cache_clear()
    library.find_cxx.cache_clear()
    monkeypatch.setenv("CXX", "/absent/c++")
    with pytest.raises(OpzoError, match=r"'/absent/c\+\+' does not run .*--device golden works without it"):
        FastCore(Network((4, 4, 2)).limits(4))
    library.find_cxx.cache_clear()


def test_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library.load.cache_clear()
    monkeypatch.setenv("OPZO_CACHE", "/dev/null/cache")
    with pytest.raises(OpzoError, match=r"cannot keep built files in /dev/null/cache .*set OPZO_CACHE"):
        FastCore(Network((4, 4, 2)).limits(4))
