"""Run the self-test on a device with a planted fault."""

from collections.abc import Callable

import pytest

from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import generator
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection, Transport
from opzo.host.selftest import suite
from opzo.host.selftest.device_under_test import DeviceUnderTest
from opzo.host.selftest.lossy_transport import LossyTransport
from opzo.host.selftest.mismatch import MismatchError
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport

SEED = 3


def dut_of(transport: Transport) -> DeviceUnderTest:
    line = LossyTransport(generator(SEED)).attach(transport)
    return DeviceUnderTest(Device("golden", Link(Connection.over(line, "golden", suite.PATIENCE))), line, SEED)


def failure(step: Callable[[DeviceUnderTest], str], core: GoldenCore) -> tuple[str, str, str]:
    """Failure of a self-test step on a core: place, expected and actual value."""
    with pytest.raises(MismatchError) as caught:
        step(dut_of(ModelTransport(core)))
    return caught.value.where, caught.value.expected, caught.value.got
