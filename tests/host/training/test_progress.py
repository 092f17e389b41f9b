"""What a user sees while a network trains."""

import io

import pytest
from rich.console import Console

from opzo.host.driver.statistics import Tally
from opzo.host.report.units import compact, duration
from opzo.host.training import progress
from opzo.host.training.progress import TrainingBar, table_head, table_row
from opzo.host.training.reports import EpochProgress, EpochReport
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule


def test_bar_fits_80_columns_and_says_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    tally = Tally(samples=1000, correct=875)
    tally.counters[Counter.TRAIN_CYCLES] = 1_234_567
    for layer, spikes in enumerate((64_000, 128_000, 192_000)):
        tally.counters[Counter.SPIKES_1 + layer] = spikes
    network = Network((64, 64, 64, 64, 10), 8)
    with TrainingBar(network, 30, "counted") as bar:
        bar.show(EpochProgress(11, 1000, 1438, tally, seconds=2.0, done=1000, chance=0.1))
    last = [line for line in screen.getvalue().splitlines() if "epoch" in line][-1]
    assert "epoch 12/30 " in last
    assert last.rstrip().endswith("500/s 87.5% rates 0.12 0.25 0.38 1.23M counted cycles")


def test_bar_is_silent_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar(Network((4, 4, 2)), 3, "modelled") as bar:
        bar.show(EpochProgress(0, 1, 2, Tally(), 1.0, 1, 0.5))
    assert capsys.readouterr() == ("", "")


def test_row_of_an_epoch_stands_below_its_head() -> None:
    train, test = Tally(samples=1000, correct=987), Tally(samples=100, correct=99, loss=100 * 6 * 64)
    counts = {"TRAIN_CYCLES": 2_602_000, "LEARN": 1000, "WEIGHT_SATURATIONS": 5, "CREDIT_SATURATIONS": 600}
    for name, count in counts.items():
        train.counters[Counter[name]] = count
    test.counters[Counter.SPIKES_1], test.counters[Counter.SPIKES_2] = 2400, 1200
    network = Network((9, 64, 32, 10), 6)
    row = table_row(EpochReport(7, train, test, Rule.OPZO, 84, 5601.4, 0.1), network, lanes=64)
    assert row.split() == ["7", "98.70", "99.00", "0.250", "0.062", "0.062", "5.0", "2,602", "5,601"]
    upper, lower = table_head("modelled").splitlines()
    assert upper.split() == ["test", "modelled", "training"]
    assert "counted" in table_head("counted")
    assert len(row) == len(lower) < 80
    assert upper.index("modelled") + len("modelled") == lower.index("cycles") + len("cycles")
    # Columns are flush right with their head, but for the firing rates.
    for head, cell in (("epoch", "7"), ("train %", "98.70"), ("loss", "0.250"), ("sat. %", "5.0"), ("cycles", "2,602")):
        assert lower.index(head) + len(head) == row.index(cell) + len(cell)


def test_the_widest_row_fits_80_columns() -> None:
    tally = Tally(samples=10_000, correct=10_000, loss=10_000 * 8 * 256 * 99)
    for layer in range(3):
        tally.counters[Counter.SPIKES_1 + layer] = 10_000 * 8 * 64
    counts = {"TRAIN_CYCLES": 9_999_999 * 10_000, "LEARN": 1, "WEIGHT_SATURATIONS": 1}
    for name, count in counts.items():
        tally.counters[Counter[name]] = count
    network = Network((9, 64, 64, 64, 10), 8)
    row = table_row(EpochReport(99_999, tally, tally, Rule.OPZO, 1, 9_999_999.0, 0.1), network, lanes=64)
    assert len(row) < 80
    assert len(table_head("modelled").splitlines()[0]) < 80


def test_an_epoch_without_test_shows_no_test_figures() -> None:
    tally = Tally(samples=10, correct=5)
    row = table_row(EpochReport(1, tally, Tally(), Rule.OPZO, 1, 1.0, 0.5), Network((4, 4, 2)), lanes=4)
    assert row.split()[:5] == ["1", "50.00", "-", "-", "0.000"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (7_654_321, "7.65M"), (10**12, "1000G")],
)
def test_compact_counts(count: int, text: str) -> None:
    assert compact(count) == text


@pytest.mark.parametrize(
    ("microseconds", "text"), [(0.5, "0.5 us"), (1500, "1.5 ms"), (2e6, "2 s"), (90e6, "1.5 min"), (7.2e9, "120 min")]
)
def test_durations(microseconds: float, text: str) -> None:
    assert duration(microseconds) == text
