"""A device on a golden core that tests can inspect."""

from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.limits import Limits


class GoldenDevice(Device):
    def __init__(self, limits: Limits) -> None:
        self.core = GoldenCore(limits)
        super().__init__("golden", Link(Connection.over(ModelTransport(self.core), "golden")))
