"""Results of runs of the reference: accuracies compared with the paper, firing rates, synaptic operations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from opzo.reference.methods.connections import Wiring, wiring
from opzo.reference.methods.paper import ACCURACIES
from opzo.reference.methods.presets import NETWORKS
from opzo.reference.runs.run import ReferenceRun
from opzo.reference.runs.training import CHECKPOINT, load_checkpoint, rows_of, run_of
from opzo.spec.errors import OpzoError
from opzo.spec.messages import reason
from opzo.spec.values import whole_number

SIZE_MAX = 4096
"""Maximum size of each axis of the inputs, and of classes and steps."""
Rows = list[dict[str, float]]


@dataclass(frozen=True)
class ReferenceResult:
    """Result of one run; OpzoError if its folder is not a run, or has no completed epoch.

    Attributes
    ----------
    rows : list of dict
        Metrics by epoch.
    steps : int
    wiring : Wiring
    """

    run: ReferenceRun
    rows: Rows
    steps: int
    wiring: Wiring

    @classmethod
    def read(cls, folder: Path) -> "ReferenceResult":
        """Read the results of a run from its folder."""
        state = load_checkpoint(folder)
        run = run_of(state, folder)
        try:
            rows, shape = rows_of(state), tuple(state["shape"])
            steps, classes = state["steps"], state["classes"]
            if len(shape) != 3:
                raise ValueError(f"its inputs have shape {shape}")
            for what, value in (*(("shape", size) for size in shape), ("steps", steps), ("classes", classes)):
                whole_number(what, value, 1, SIZE_MAX)
            network = NETWORKS[run.recipe.network](shape, classes, 0.0)
        except (KeyError, TypeError, ValueError, OpzoError) as error:
            raise OpzoError(
                f"{folder / CHECKPOINT} is not a run of this version ({reason(error)}); start a new one"
            ) from None
        if not rows:
            raise OpzoError(f"the run in {folder} has no completed epoch; resume it first")
        counted = wiring(network, shape)
        if not all(f"firing_rate_{layer}" in rows[-1] for layer in range(1, len(counted.neurons) + 1)):
            raise OpzoError(f"{folder / CHECKPOINT} lacks the firing rates of its layers; start a new run")
        return cls(run, rows, steps, counted)

    @property
    def group(self) -> tuple[str, str, str]:
        """Data set, network and method, by which runs with different seeds are grouped."""
        return self.run.data, self.run.recipe.network, self.run.recipe.method.label

    @property
    def firing_rates(self) -> list[float]:
        """Firing rates in the test of the last epoch, by hidden layer."""
        return [self.rows[-1][f"firing_rate_{layer}"] for layer in range(1, len(self.wiring.neurons) + 1)]

    @property
    def spikes(self) -> list[float]:
        """Spikes of a test sample, by hidden layer."""
        pairs = zip(self.firing_rates, self.wiring.neurons, strict=True)
        return [rate * neurons * self.steps for rate, neurons in pairs]


@dataclass(frozen=True)
class Summary:
    """Runs of one method on one data set and network with several seeds."""

    data: str
    network: str
    method: str
    results: tuple[ReferenceResult, ...]

    @property
    def finished(self) -> bool:
        """Whether all runs have completed all epochs."""
        return all(result.rows[-1]["epoch"] >= result.run.recipe.epochs for result in self.results)

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies of the last epochs, in %."""
        return [100 * result.rows[-1]["test_accuracy"] for result in self.results]

    @property
    def paper(self) -> tuple[float, float | None] | None:
        """Mean and standard deviation in the paper; None if it has no figure."""
        return ACCURACIES.get((self.data, self.network), {}).get(self.method)

    def figures(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        found, paper = self.accuracies, self.paper
        rates = [mean(layer) for layer in zip(*(result.firing_rates for result in self.results), strict=True)]
        spikes = [sum(result.spikes) for result in self.results]
        neurons = sum(self.results[0].wiring.neurons)
        return {
            "data": self.data,
            "network": self.network,
            "method": self.method,
            "seeds": [result.run.recipe.seed for result in self.results],
            "epochs": [int(result.rows[-1]["epoch"]) for result in self.results],
            "epochs_planned": self.results[0].run.recipe.epochs,
            "train_samples": self.results[0].run.train_samples,
            "finished": self.finished,
            "test_accuracy": mean(found),
            "test_accuracy_std": stdev(found) if len(found) > 1 else None,
            "paper": paper[0] if paper else None,
            "difference": mean(found) - paper[0] if paper else None,
            "train_accuracy": mean(100 * result.rows[-1]["train_accuracy"] for result in self.results),
            "seconds_per_epoch": mean(row["seconds"] for result in self.results for row in result.rows),
            "firing_rates": rates,
            "firing_rate_total": mean(spikes) / (neurons * self.results[0].steps),
            "synaptic_operations_per_sample": mean(result.wiring.operations(result.spikes) for result in self.results),
        }


def summarise(results: Iterable[ReferenceResult]) -> list[Summary]:
    """Group results by data set, network and method, in order of appearance."""
    groups: dict[tuple[str, str, str], list[ReferenceResult]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return [Summary(*group, tuple(found)) for group, found in groups.items()]


def markdown(summaries: Sequence[Summary]) -> str:
    """Tables 1 and 7 of the paper for these runs, in Markdown."""
    lines = [
        "| data, network | method | test accuracy (%) | paper | difference | seeds | epochs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rates = [
        "| data, network | method | firing rates by layer | in all | synaptic operations per sample |",
        "| --- | --- | --- | --- | --- |",
    ]
    for summary in summaries:
        f = summary.figures()
        what = f"{f['data']}, {f['network']}"
        if f["train_samples"]:
            what += f" ({f['train_samples']:,} samples)"
        accuracy = f"{f['test_accuracy']:.2f}"
        if f["test_accuracy_std"] is not None:
            accuracy += f" ± {f['test_accuracy_std']:.2f}"
        paper = "" if f["paper"] is None else f"{f['paper']:.2f}"
        difference = "" if f["difference"] is None else f"{f['difference']:+.2f}"
        epochs = str(f["epochs_planned"])
        if not f["finished"]:
            epochs = f"{min(f['epochs'])} of {epochs}, not finished"
        seeds = ", ".join(map(str, f["seeds"]))
        lines.append(f"| {what} | {f['method']} | {accuracy} | {paper} | {difference} | {seeds} | {epochs} |")
        layers = " / ".join(f"{rate:.4f}" for rate in f["firing_rates"])
        operations = f"{f['synaptic_operations_per_sample']:,.0f}"
        rates.append(f"| {what} | {f['method']} | {layers} | {f['firing_rate_total']:.4f} | {operations} |")
    return "\n".join([*lines, "", *rates]) + "\n"
