"""The self-test of the sample store finds faults of memory, order, shifts, registers and sums."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from opzo.host.driver.transport import Connection
from opzo.host.selftest import suite
from opzo.host.selftest.suite import SelfTest, StepReport
from opzo.sim.fast.core import FastCore
from opzo.sim.golden import store as golden_store
from opzo.sim.golden.link import GoldenLink
from opzo.sim.golden.store import GoldenStore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.commands import RunFlag
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg
from opzo.spec.shuffle import order, shifts

LIMITS = Limits(lanes=4, rows=1024, inputs=128, words=16, classes=10, store=1 << 16)
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "STEPS", {name: suite.STEPS[name] for name in ("identity", "store")})


class FaultyCore(FastCore):
    """Marks its device among all of this process."""


def report(limits: Limits = LIMITS, core: type[FastCore] = FaultyCore) -> StepReport:
    transport = ModelTransport(core(limits))
    test = SelfTest(Connection("fast", lambda: transport, 5.0, reopens=False), 3)
    *_, last = test.run()
    test.close()
    assert last.name == "store"
    return last


def faulty(store: GoldenStore) -> bool:
    return isinstance(store._core, FaultyCore)


def on_faulty(real: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `GoldenStore` that is ``other`` in the device under test."""
    return lambda self, *arguments: (other if faulty(self) else real)(self, *arguments)


def broken_address_line(patch: Patch) -> None:
    real = GoldenStore._part
    patch.setattr(GoldenStore, "_part", on_faulty(real, lambda self, place, count: real(self, place & ~0x400, count)))


def stuck_bit(patch: Patch) -> None:
    real = GoldenStore.read
    patch.setattr(
        GoldenStore, "read", on_faulty(real, lambda self, data: bytes(byte | 0x10 for byte in real(self, data)))
    )


def wrong_check_sum(patch: Patch) -> None:
    real = GoldenStore.check
    patch.setattr(GoldenStore, "check", on_faulty(real, lambda self, data: real(self, data)[::-1]))


def registers_late(patch: Patch) -> None:
    real = FaultyCore.write_register
    patch.setattr(
        FaultyCore,
        "write_register",
        lambda self, address, value: real(self, address, min(value, 50) if address == Reg.RATE else value),
    )


def never_fresh(patch: Patch) -> None:
    real = FaultyCore.run
    patch.setattr(FaultyCore, "run", lambda self, chunk, label, flags: real(self, chunk, label, flags & ~RunFlag.FRESH))


def in_faulty(patch: Patch, name: str, other: Callable[..., Any]) -> None:
    """Replace a function of the module for blocks that the device under test runs."""
    real, run = getattr(golden_store, name), GoldenStore.run

    def run_faulty(self: GoldenStore, data: bytes) -> bytes:
        with pytest.MonkeyPatch.context() as inner:
            if faulty(self):
                inner.setattr(golden_store, name, other)
            return run(self, data)

    assert callable(real)
    patch.setattr(GoldenStore, "run", run_faulty)


def other_order(patch: Patch) -> None:
    in_faulty(patch, "order", lambda seed, count, places: order(seed ^ 1, count, places))


def mirrored_shifts(patch: Patch) -> None:
    in_faulty(patch, "shifts", lambda seed, places, most: np.negative(shifts(seed, places, most)))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (broken_address_line, "sample store, bytes at 0x"),
        (stuck_bit, "sample store, bytes at 0x"),
        (wrong_check_sum, "check sum of 4096 bytes"),
        (registers_late, "block 2 of stored samples of frame"),
        (never_fresh, "block 1 of stored samples of spikes"),
        (other_order, "block 0 of stored samples of frame"),
        (mirrored_shifts, "block 1 of stored samples of frame"),
    ],
)
def test_faults_are_found(fault: Callable[[Patch], None], found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    result = report()
    assert not result.passed
    assert found in result.text


def test_a_good_device_passes_and_one_without_a_store_is_told() -> None:
    result = report()
    assert (result.passed, result.details["samples"]) == (True, 216)
    assert report(replace(LIMITS, store=0)).text == "not done: the device was built without a sample store"
    small = report(replace(LIMITS, store=256))
    assert small.passed
    assert small.details["not_tested"] == [
        f"samples of {kind} from the store" for kind in ("frame", "spikes", "graded")
    ]


def test_the_link_of_the_device_is_the_golden_one() -> None:
    """The faults above are planted there."""
    assert isinstance(ModelTransport(FaultyCore(LIMITS))._link, GoldenLink)
