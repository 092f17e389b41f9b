"""What a report says of a run: what its folder has, and a test of its network made for the report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.api.model import Model
from opzo.host.cli.trained_run import TrainedRun
from opzo.host.data.class_names import class_text
from opzo.host.driver.device import Device, open_device
from opzo.host.driver.statistics import Tally, cycles_are
from opzo.host.report.confusion_table import class_accuracies
from opzo.host.report.energy import energy_figures, float_energy
from opzo.host.training.bottleneck import bottleneck
from opzo.host.training.evaluation import Samples, evaluate
from opzo.host.training.run_folder import RunFolder, run_path
from opzo.spec.errors import OpzoError


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run.

    Attributes
    ----------
    folder : RunFolder
        Has the metrics of its epochs.
    model : Model
        The network, on the device of the report as long as that is open.
    samples : Frames or Events
        Test samples.
    classes : list of str
        Text of each class.
    confusion : int64 (classes, classes)
        Number of test samples by label (row) and prediction (column).
    figures : dict
        Figures for ``--json``.
    """

    folder: RunFolder
    model: Model
    samples: Samples
    classes: list[str]
    confusion: NDArray[np.int64]
    figures: dict[str, Any]


def check_runs(paths: Sequence[Path]) -> list[Path]:
    """Folders of the runs; OpzoError where one is not a run folder, or comes twice."""
    folders = [run_path(path) for path in paths]
    for place, folder in enumerate(folders):
        if folder.resolve() in (other.resolve() for other in folders[:place]):
            raise OpzoError(f"{folder} is given twice; give each run once")
    return folders


@contextmanager
def measured(path: Path, values: dict[str, Any], clock_mhz: Callable[[Device], float]) -> Iterator[RunFacts]:
    """Facts of the run in a folder, whose network is tested on a device that is open within the block.

    ``values`` are settings of the user, with the device; ``clock_mhz`` returns the clock that converts cycles to time.
    OpzoError where the run is damaged, or its data are missing.
    """
    folder, checkpoint = RunFolder.read(path)
    # A board may have other lanes than a device that is built for the run.
    built = {"lanes": checkpoint.lanes, "weight_bits": checkpoint.state.weight_bits}
    trained = TrainedRun.load(path, "test", built | values)
    config, network = trained.config, checkpoint.network
    with open_device(config.device, network, config.lanes, config.weight_bits) as device:
        folder.check_rows(Tally().figures(network, device.identity))
        yield _measured(folder, trained, Model.load(path, device), clock_mhz(device))


def _measured(folder: RunFolder, trained: TrainedRun, model: Model, clock_mhz: float) -> RunFacts:
    checkpoint, device = trained.checkpoint, model.device
    network = checkpoint.network
    confusion = np.zeros((network.classes, network.classes), np.int64)

    def answered(prediction: int, label: int) -> None:
        confusion[label, prediction] += 1

    tally = evaluate(device, network, trained.samples, answered=answered)
    tested = tally.figures(network, device.identity)
    row = folder.rows[-1] if folder.rows else {}
    energy = energy_figures(tally.energy(network, device.identity), float_energy(network))
    link = (tested["link_bytes_per_sample"], tested["cycles_per_sample"], tested["events_per_sample"])
    settings = asdict(trained.config) | {"device": checkpoint.settings["device"]}
    figures = {
        "run": str(folder.path),
        "complete": checkpoint.epoch == trained.config.epochs,
        "epochs": checkpoint.epoch,
        "training_device": settings["device"],
        "train_accuracy": row["train"]["accuracy"] if row else None,
        "train_figures": row.get("train"),
        "samples_per_second": row.get("samples_per_second"),
        "training_seconds": (folder.figures() or {}).get("seconds"),
        "made_by": checkpoint.made_by,
        "data_digest": checkpoint.data_digest,
        "test_digest": checkpoint.test_digest,
        "test_device": device.name,
        "test_cycles": cycles_are(device.identity),
        "test": tested,
        "time": bottleneck(*link, clock_mhz),
        "class_accuracy": class_accuracies(confusion),
        "confusion": confusion.tolist(),
        "energy": energy,
        "history": folder.rows,
        "settings": settings,
    }
    classes = [class_text(label, trained.names) for label in range(network.classes)]
    return RunFacts(*(folder, model, trained.samples, classes, confusion, figures))
