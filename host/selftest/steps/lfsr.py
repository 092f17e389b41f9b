"""LFSR test: after training runs, the random generators of all lanes have the states of the golden model."""

from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device, prepare
from opzo.host.selftest.mismatch import entry_of, require_equal
from opzo.spec.events import encode_events
from opzo.spec.network import Network
from opzo.spec.rules import Rule

RUNS = 8
SMALLEST = (1, 1, 2)
"""Network that fits every device."""


def lfsr_step(dut: DeviceUnderTest) -> str:
    """Compare the states as written, and after each of RUNS training runs."""
    devices = (dut.device, golden_device(dut.limits))
    for device in devices:
        prepare_smallest(device, dut.seed)
    for runs in range(RUNS + 1):
        when = f"after {runs} training runs" if runs else "as written"
        actual, expected = (device.read_lfsr() for device in devices)
        require_equal(actual, expected, entry_of(f"LFSR {when}", "lane"), digits=8)
        for device in devices:
            train_once(device, label=runs % SMALLEST[-1])
    dut.details |= {"runs": RUNS, "lanes": dut.limits.lanes}
    return f"{dut.limits.lanes} lanes, after each of {RUNS} training runs"


def prepare_smallest(device: Device, seed: int) -> None:
    """Configure a device for `train_once`."""
    prepare(device, Network(SMALLEST, steps=min(2, device.limits.steps)), Rule.OPZO, seed)


def train_once(device: Device, label: int) -> None:
    """Train the smallest network with one sample."""
    for _ in device.run([Sample((encode_events([(0, 255)]),), label)], train=True):
        pass


def infer_once(device: Device) -> None:
    """Run the smallest network without learning."""
    for _ in device.run([Sample((encode_events([(0, 255)]),))]):
        pass
