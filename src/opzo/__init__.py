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
>>> again = opzo.Model.load("digits.npz", "golden")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opzo.host.config import Hyperparameters
    from opzo.host.data import Data, Frames
    from opzo.host.device import Device
    from opzo.host.events import Events, EventSample
    from opzo.host.model import Model, connect, load_data
    from opzo.host.stream import Decision, Stream
    from opzo.host.verbosity import set_verbose
    from opzo.spec.errors import LinkError, NetworkError, OpzoError
    from opzo.spec.network import Input, Limits, Network, Rule

__version__ = "0.1.0"

_HOMES = {
    "Data": "host.data",
    "Decision": "host.stream",
    "Device": "host.device",
    "EventSample": "host.events",
    "Events": "host.events",
    "Frames": "host.data",
    "Hyperparameters": "host.config",
    "Input": "spec.network",
    "Limits": "spec.network",
    "LinkError": "spec.errors",
    "Model": "host.model",
    "Network": "spec.network",
    "NetworkError": "spec.errors",
    "OpzoError": "spec.errors",
    "Rule": "spec.network",
    "Stream": "host.stream",
    "connect": "host.model",
    "load_data": "host.model",
    "set_verbose": "host.verbosity",
}
"""Public names and the modules they come from; loaded when first used, so that ``import opzo`` is quick."""

__all__ = [
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
    "Rule",
    "Stream",
    "connect",
    "load_data",
    "set_verbose",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'opzo' has no attribute '{name}'")
    value: object = getattr(import_module(f"opzo.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
