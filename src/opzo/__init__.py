"""opzo: an FPGA accelerator that trains spiking neural networks on the chip, and its host driver.

>>> import opzo
>>> data = opzo.load_data("digits")
>>> network = data.network()
>>> network
Network('64-64-64-10', steps=6)
>>> device = opzo.connect("golden", network)
>>> model = opzo.Model(network, device, rule="opzo", seed=0)
>>> history = model.fit(data, epochs=1)
>>> model.evaluate(data)["accuracy"] > 0.5
True
>>> model.predict(data.test.x[:3]).shape
(3,)
>>> model.save("digits.npz")
>>> restored = opzo.Model.load("digits.npz", "golden")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opzo import plot as plot
    from opzo.host.api.classifier import Classifier
    from opzo.host.api.model import Model
    from opzo.host.api.opening import connect, load_data
    from opzo.host.api.recording import Recording
    from opzo.host.data.data_set import Data
    from opzo.host.data.events.event_sample import EventSample
    from opzo.host.data.events.event_samples import Events
    from opzo.host.data.images.frames import Frames
    from opzo.host.driver.device import Device
    from opzo.host.report.verbosity import set_verbose
    from opzo.host.stream.stream import Decision, Stream
    from opzo.host.training.config import Hyperparameters
    from opzo.spec.errors import LinkError, NetworkError, OpzoError
    from opzo.spec.limits import Limits
    from opzo.spec.network import Network
    from opzo.spec.rules import Input, Rule

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "host.api.classifier",
    "Data": "host.data.data_set",
    "Decision": "host.stream.stream",
    "Device": "host.driver.device",
    "EventSample": "host.data.events.event_sample",
    "Events": "host.data.events.event_samples",
    "Frames": "host.data.images.frames",
    "Hyperparameters": "host.training.config",
    "Input": "spec.rules",
    "Limits": "spec.limits",
    "LinkError": "spec.errors",
    "Model": "host.api.model",
    "Network": "spec.network",
    "NetworkError": "spec.errors",
    "OpzoError": "spec.errors",
    "Recording": "host.api.recording",
    "Rule": "spec.rules",
    "Stream": "host.stream.stream",
    "connect": "host.api.opening",
    "load_data": "host.api.opening",
    "set_verbose": "host.report.verbosity",
}
"""Public names and their modules, which are imported on first use so that ``import opzo`` is fast."""

__all__ = [
    "Classifier",
    "Data",
    "Decision",
    "Device",
    "EventSample",
    "Events",
    "Frames",
    "Hyperparameters",
    "Input",
    "Limits",
    "LinkError",
    "Model",
    "Network",
    "NetworkError",
    "OpzoError",
    "Recording",
    "Rule",
    "Stream",
    "connect",
    "load_data",
    "set_verbose",
]


def __getattr__(name: str) -> object:
    if name == "plot":
        # A module, so not among the names above.
        return import_module("opzo.plot")
    if name not in _HOMES:
        raise AttributeError(f"module 'opzo' has no attribute '{name}'")
    value: object = getattr(import_module(f"opzo.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "plot"})
