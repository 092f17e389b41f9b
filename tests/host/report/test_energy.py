"""Estimate of the energy of a sample: hand-computed counts, and counts of a device."""

import json
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.report.energy import chip_energy, energy_figures, energy_table, energy_text, float_energy, total
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input


def counted(**counts: int) -> list[int]:
    return [counts.get(counter.name, 0) for counter in Counter]


def energies(network: Network, samples: int = 2, **counts: int) -> dict[str, tuple[float, float]]:
    """Count and picojoules of each line, with 4 lanes and weights of 16 bits: 64 bits in a row-word."""
    lines = chip_energy(network, counted(**counts), samples, lanes=4, weight_bits=16)
    return {line.what: (line.count, pytest.approx(line.picojoules)) for line in lines}


def test_inference_on_frames_by_hand() -> None:
    # Two samples: 20 row-words of weights, 6 words of stored currents, 10 pixels, 3 steps of 2 words of neurons.
    found = energies(Network("9-8-3", steps=3), INTEGRATE=40, FIRE=12, EVENTS=20, STEPS=6)
    assert found == {
        "weights: memory": (20, 200),
        "weights: additions": (80, 8),
        # 4 potentials of 20 bits in a word.
        "stored currents: memory": (6 * 4 * 20 / 64, 75),
        # A pixel meets the 8 neurons of the first layer.
        "input values: multiplications": (80, 248),
        "potentials: memory": (3 * 8 * 2 * 20 / 64, 150),
        "potentials: additions": (3 * 8 * 3, 7.2),
    }


def test_training_by_hand() -> None:
    found = energies(Network("9-8-3", input=Input.SPIKES), FEEDBACK=8, LEARN=10, EVENTS=20)
    assert found == {
        "feedback entries: memory": (8, 80),
        "feedback entries: multiplications": (16, 49.6),
        "feedback entries: additions": (16, 1.6),
        "updated weights: memory": (10, 100),
        "updated weights: multiplications": (20, 62),
        "updated weights: additions": (40, 4),
    }


def test_convolutions_by_hand() -> None:
    # An event lies in at most 9 windows, each of 2 words of channels; gradients have 32 bits.
    found = energies(Network("1x4x4-8c3-3"), EVENTS=20, ACCUMULATE=4)
    assert found["input values: multiplications"] == (10 * 9 * 2 * 4, 2232)
    assert found["gradients: memory"] == (2 * 2 * 4 * 32 / 64, 80)


def test_float_network_by_hand() -> None:
    memory, multiply, add = float_energy(Network("9-8-3", steps=3))
    assert (memory.count, multiply.count, add.count) == (3 * 96 / 2, 3 * 96, 3 * (96 + 11))
    assert total([memory, multiply, add]) == pytest.approx(144 * 10 + 288 * 3.7 + 321 * 0.9)
    # 16 positions of 8 channels with 9 weights, then 128 x 3.
    assert float_energy(Network("1x4x4-8c3-3", steps=2))[1].count == 2 * (16 * 8 * 9 + 128 * 3)


def test_table_fits_80_columns_and_says_that_it_is_an_estimate() -> None:
    network = Network("1x28x28-8c3-p2-16c3-p2-10")
    lines = list(energy_table(chip_energy(network, [10**7] * 27, 3, lanes=4, weight_bits=12), float_energy(network)))
    assert "ESTIMATE" in lines[0]
    assert max(map(len, lines[:-2])) <= 80
    assert [energy_text(value) for value in (0.5, 1500, 2.5e6)] == ["0.5 pJ", "1.5 nJ", "2.5 uJ"]


def test_eval_has_the_estimate_from_the_counters(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    energy = figures["energy"]
    assert energy["estimate"] is True
    assert "Horowitz" in energy["source"]
    parts = {part["what"]: part for part in energy["chip"]["parts"]}
    assert parts["weights: additions"]["count"] == figures["synaptic_operations_per_sample"]
    assert parts["weights: additions"]["from"] == "INTEGRATE"
    # Two words of 4 lanes, 6 steps.
    assert parts["potentials: additions"]["count"] == 6 * 8 * 3
    assert energy["chip"]["total"] == pytest.approx(sum(part["energy"] for part in parts.values()))
    stored = json.loads((run / "figures.json").read_text())
    assert stored["energy_pj_per_test_sample"] == pytest.approx(energy["chip"]["total"])
    assert stored["energy_pj_per_train_sample"] > stored["energy_pj_per_test_sample"]
    assert main(["eval", str(run)]) == 0
    assert "ESTIMATE" not in capsys.readouterr().out
    assert main(["eval", str(run), "--energy"]) == 0
    shown = capsys.readouterr().out
    assert energy_text(energy["chip"]["total"]) in shown
    assert max(map(len, shown.splitlines()[1:])) <= 80


def test_figures_name_what_each_part_comes_from() -> None:
    network = Network("9-8-3")
    found = energy_figures(chip_energy(network, counted(STEPS=6), 1, lanes=4, weight_bits=16), float_energy(network))
    assert {part["from"] for part in found["chip"]["parts"]} == {"STEPS"}
    assert {part["from"] for part in found["float_cpu"]["parts"]} == {"layers x steps"}
    assert np.isfinite(found["float_cpu"]["total"])
