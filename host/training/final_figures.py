"""Final figures of a training run: ``figures.json``, and their summary for people."""

from typing import Any

import opzo
from opzo.host.data.data_sets import Data
from opzo.host.driver.device import Device
from opzo.host.driver.statistics import Tally, cycles_are
from opzo.host.report.energy import total
from opzo.host.training.bottleneck import bottleneck, describe_bottleneck
from opzo.host.training.checkpoint import made_by
from opzo.host.training.config import Config
from opzo.host.training.run_folder import RunFolder
from opzo.spec.neurons import in_words


def final_figures(
    config: Config, device: Device, data: Data, folder: RunFolder, test: Tally, *, clock_mhz: float, seconds: float
) -> dict[str, Any]:
    """Figures of a complete run, ready for JSON.

    Parameters
    ----------
    folder : RunFolder
        Its last row of metrics has the figures of training, those of the last epoch.
    test : Tally
        The test after the last epoch.
    clock_mhz : float
        Clock for converting cycles to time.
    seconds : float
        Time that this process has spent.
    """
    identity = device.identity
    tested = test.figures(config.network, identity)
    row = folder.rows[-1] if folder.rows else {}
    trained = row.get("train") or Tally().figures(config.network, identity)
    return {
        "version": opzo.__version__,
        "device": device.name,
        "data": config.data,
        "network": str(config.network),
        "steps": config.steps,
        "input": config.input,
        "local": config.network.local,
        "intermediate": config.network.intermediate,
        "leak": in_words(config.network.leak),
        "reset": in_words(config.network.reset),
        "lanes": identity.lanes,
        "weight_bits": identity.weight_bits,
        "rule": config.rule,
        "seed": config.seed,
        "epochs": config.epochs,
        "test_accuracy": tested["accuracy"],
        "train_accuracy": trained["accuracy"],
        "test_loss": tested["loss"],
        "train_loss": trained["loss"],
        "firing_rates": tested["firing_rates"],
        "firing_rates_train": trained["firing_rates"],
        "cycles": cycles_are(identity),
        "cycles_per_train_sample": trained["cycles_per_sample"],
        "cycles_per_test_sample": tested["cycles_per_sample"],
        "synaptic_operations_per_train_sample": trained["synaptic_operations_per_sample"],
        "synaptic_operations_per_test_sample": tested["synaptic_operations_per_sample"],
        "weight_updates_per_train_sample": trained["weight_updates_per_sample"],
        "events_per_train_sample": trained["events_per_sample"],
        "events_dropped": trained["events_dropped"],
        # Estimates; energy of an epoch is missing in the metrics of earlier releases.
        "energy_pj_per_train_sample": (row.get("energy_pj_per_sample") or {}).get("train"),
        "energy_pj_per_test_sample": total(test.energy(config.network, identity)),
        "limit": bottleneck(
            trained["link_bytes_per_sample"],
            trained["cycles_per_sample"],
            trained["events_per_sample"],
            clock_mhz,
        ),
        "link_repeats": device.repeats,
        "saturations": trained["saturations"],
        "health": row.get("health") or {},
        "data_digest": data.digests[0],
        "test_digest": data.digests[1],
        "made_by": made_by(),
        "samples_per_second": row.get("samples_per_second", 0.0),
        "seconds": seconds,
        "run_folder": str(folder.path),
    }


def summary(figures: dict[str, Any]) -> dict[str, str]:
    """The figures that the command line prints, by name; KeyError, TypeError or ValueError for damaged figures."""
    cycles = f"{figures['cycles_per_train_sample']:,.0f} {figures['cycles']}"
    facts = {
        "run folder": figures["run_folder"],
        "epochs": str(figures["epochs"]),
        "training accuracy": f"{figures['train_accuracy']:.2%}",
        "test accuracy": f"{figures['test_accuracy']:.2%}",
    }
    times = describe_bottleneck(figures["limit"], cycles)
    return facts | {f"training sample, {part}": text for part, text in times.items()}
