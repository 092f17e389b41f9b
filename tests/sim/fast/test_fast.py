"""The compiled model: every state equals the golden model's after any number of samples."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_twins import RATES, Case, run_case

from opzo.sim.fast import library
from opzo.sim.fast.core import FastCore
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.registers import Reg
from opzo.spec.rules import Input, Rule


@st.composite
def cases(draw: st.DrawFn) -> Case:
    hidden = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    sizes = (draw(st.integers(1, 60)), *hidden, draw(st.integers(2, 20)))
    steps, local, kind = draw(st.integers(1, 8)), draw(st.integers(0, len(hidden))), draw(st.sampled_from(Input))
    leak, reset = ([draw(st.sampled_from(choices)) for _ in hidden] for choices in (Leak, Reset))
    network = Network(sizes, steps, local, kind, leak=leak, reset=reset)
    rates = {int(register): draw(st.integers(0, (1 << register.bits) - 1)) for register in RATES}
    # The feedback shifts are chosen anew in the first of 64 samples, and the count wraps.
    samples = draw(st.sampled_from((0, 1, 62, 0xFFFFFFFE)))
    return Case(
        network,
        draw(st.sampled_from((4, 16))),
        draw(st.sampled_from((16, 12))),
        draw(st.sampled_from(Rule)),
        rates | {int(Reg.SAMPLES): samples},
        draw(st.integers(0, 1 << 30)),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_every_state_is_the_golden_models(case: Case) -> None:
    run_case(case, 4 if case.network.input is Input.FRAME else 10)


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("lanes", [4, 8, 16, 32, 64, 128])
def test_every_number_of_lanes(lanes: int, rule: Rule) -> None:
    rates = dict(zip(map(int, RATES), (819, 84, 21, 6, 4, 7), strict=True))
    leaks, resets = (*Leak, *Leak), (*Reset, *Reset)
    for kind in Input:
        leak, reset = leaks[rule + kind % 2 : rule + kind % 2 + 2], resets[kind % 2 : kind % 2 + 2]
        network = Network((50, 3 * lanes // 2, lanes // 2 + 1, 10), 6, 2, kind, leak=leak, reset=reset)
        run_case(Case(network, lanes, (16, 12)[rule % 2], rule, rates, seed=lanes), 70 if lanes == 16 else 5)


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


def test_a_library_that_cannot_be_loaded_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library.load.cache_clear()
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "run_tool", lambda _, work: (work / library.LIBRARY).write_bytes(b"no library"))
    limits = Network((4, 4, 2)).limits(4)
    with pytest.raises(OpzoError, match=r"the library built by .* cannot be loaded"):
        FastCore(limits)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    library.load.cache_clear()


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
