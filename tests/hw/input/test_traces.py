import numpy as np
import pytest
from colliding import CollidingMemory

from opzo.hw.input import traces
from opzo.hw.input.traces import Traces
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden import traces as golden


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize(
    ("bits", "rows", "runs"),
    [(6, [24, 16, 24], 300), (5, [32], 300), (6, [37], 200), (1, [2], 300), (4, [1, 9, 3], 300)],
)
def test_unit_matches_golden(bits: int, rows: list[int], runs: int, graded: bool) -> None:
    run_bench(
        Traces(bits, len(rows)),
        name=f"traces-{bits}-{len(rows)}",
        test_module="opzo.sim.benches.input.traces",
        parameters={"bits": bits, "rows": rows, "graded": graded, "runs": runs, "maps": []},
    )


def test_memories_no_deeper_than_their_rows() -> None:
    rows = [24, 13]
    run_bench(
        Traces(6, len(rows), rows=sum(rows)),
        name="traces-rows",
        test_module="opzo.sim.benches.input.traces",
        parameters={"bits": 6, "rows": rows, "graded": False, "runs": 100, "maps": [], "depth": sum(rows)},
    )


@pytest.mark.parametrize(("bits", "rows"), [(6, [24, 16, 24]), (5, [32])])
def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch, bits: int, rows: list[int]) -> None:
    # Synthesis is told so (opzo.boards.families.flow).
    monkeypatch.setattr(traces, "Memory", CollidingMemory)
    run_bench(
        Traces(bits, len(rows)),
        name=f"traces-colliding-{bits}-{len(rows)}",
        test_module="opzo.sim.benches.input.traces",
        parameters={"bits": bits, "rows": rows, "graded": False, "runs": 100, "maps": []},
    )


NO_MAP = dict.fromkeys(("is_map", "channels", "stride", "positions", "cells", "by_parts"), 0)


@pytest.mark.parametrize(
    ("bits", "rows", "maps"),
    [
        # A map, a dense layer, and a map behind which a dense layer follows a pool; inputs.
        (6, [24, 16, 24], [(3, 4, 4, 1, 0), None, (5, 5, 4, 1, 1)]),
        (5, [32], [(4, 4, 8, 0, 0)]),
        (6, [64], [(3, 4, 16, 1, 1)]),
    ],
)
def test_scans_match_golden(bits: int, rows: list[int], maps: list[tuple[int, ...] | None]) -> None:
    names = ("channels", "stride", "positions", "cells", "by_parts")
    fields = [{"is_map": 1, **dict(zip(names, map, strict=True))} if map else NO_MAP for map in maps]
    run_bench(
        Traces(bits, len(rows), scans=True),
        name=f"traces-scans-{bits}-{len(rows)}",
        test_module="opzo.sim.benches.input.traces",
        parameters={"bits": bits, "rows": rows, "graded": False, "runs": 30, "maps": fields},
    )


def made(rows: int) -> golden.Traces:
    return golden.Traces(np.zeros(rows, np.uint8), np.zeros(rows, np.uint8))


def test_golden_by_hand() -> None:
    traces = made(5)
    traces.begin(0, fresh=True)
    assert traces.mark(np.array([1, 3]), 0) == 2
    assert traces.mark(np.array([0, 3]), 2) == 1
    assert traces.active.tolist() == [1, 3, 0]
    assert traces.history.tolist() == [0b100, 0b001, 0, 0b101, 0]
    # After 3 steps: 1.0 is 128; a spike in the last step counts that, one two steps earlier a quarter.
    traces.begin(3, fresh=False)
    assert traces.trace.tolist() == [128, 32, 0, 160, 0]
    assert traces.history.tolist() == [0, 0, 0, 0, 0]
    assert traces.active.tolist() == [1, 3, 0]
    # What was there stays in its place, 4 comes behind it; a mark in this run is the first of its row.
    assert traces.mark(np.array([3, 4]), 0) == 2
    assert traces.active.tolist() == [1, 3, 0, 4]
    # Row 1 leaves: 32 >> 6.
    traces.begin(6, fresh=False)
    assert traces.trace.tolist() == [2, 0, 0, 2 + 4, 4]
    assert traces.active.tolist() == [3, 0, 4]
    traces.begin(2, fresh=True)
    assert traces.trace.tolist() == [0] * 5
    assert traces.active.tolist() == []


def test_golden_of_graded_inputs_by_hand() -> None:
    traces = made(3)
    traces.begin(0, fresh=True, graded=True)
    traces.mark_graded(np.array([0, 2]), np.array([255, 1]))
    assert traces.active.tolist() == [0, 2]
    assert traces.history.tolist() == [255, 0, 1]
    # Half of 255 and of 1, rounded up.
    traces.begin(1, fresh=False, graded=True)
    assert traces.trace.tolist() == [128, 0, 1]
    traces.mark_graded(np.array([0, 1]), np.array([255, 2]))
    assert traces.active.tolist() == [0, 2, 1]
    traces.begin(1, fresh=False, graded=True)
    assert traces.trace.tolist() == [64 + 128, 1, 0]
    assert traces.active.tolist() == [0, 1]


def test_traces_of_short_runs_are_those_of_a_long_one() -> None:
    # Floored once a run: shorter runs lose at most a unit each.
    rng = np.random.default_rng(2)
    for _ in range(200):
        spikes = rng.random(24) < 0.3
        lengths = rng.multinomial(24, np.ones(6) / 6)
        if lengths.max() > 8:
            continue
        trace, exact, begin = np.array(0), 0.0, 0
        for length in lengths.tolist():
            history = sum(1 << k for k in range(length) if spikes[begin + k])
            for k in range(length):
                exact = exact / 2 + spikes[begin + k]
            begin += length
            trace = golden.advance(trace, np.array(history), length)
            assert 0 <= exact * 128 - trace < 1.0 * len(lengths)
