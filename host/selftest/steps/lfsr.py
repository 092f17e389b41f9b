"""LFSR test: after runs that draw, all lanes' random generators stand where those of the golden model stand."""

from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.selftest.check import Bench, entry_of, golden_device, prepare, require_equal
from opzo.spec.events import encode_events
from opzo.spec.network import Network
from opzo.spec.rules import Rule

RUNS = 8
SMALLEST = (1, 1, 2)
"""Network that every device holds."""


def lfsr_step(bench: Bench) -> str:
    """Compare the states as written, and after each of some training runs."""
    devices = (bench.device, golden_device(bench.limits))
    for device in devices:
        prepare_smallest(device, bench.seed)
    for runs in range(RUNS + 1):
        when = f"after {runs} training runs" if runs else "as written"
        actual, expected = (device.read_lfsr() for device in devices)
        require_equal(actual, expected, entry_of(f"LFSR {when}", "lane"), digits=8)
        for device in devices:
            train_once(device, label=runs % SMALLEST[-1])
    bench.details |= {"runs": RUNS, "lanes": bench.limits.lanes}
    return f"{bench.limits.lanes} lanes, after each of {RUNS} training runs"


def prepare_smallest(device: Device, seed: int) -> None:
    """Set a device up for `train_once`."""
    prepare(device, Network(SMALLEST, steps=min(2, device.limits.steps)), Rule.OPZO, seed)


def train_once(device: Device, label: int) -> None:
    """Train the smallest network with one sample."""
    for _ in device.run([Sample((encode_events([(0, 255)]),), label)], train=True):
        pass


def infer_once(device: Device) -> None:
    """Run the smallest network without learning."""
    for _ in device.run([Sample((encode_events([(0, 255)]),))]):
        pass
