"""Register test: the width of each register, and counting and clearing of the counters."""

import numpy as np

from opzo.host.selftest.device_under_test import DeviceUnderTest
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.selftest.steps.lfsr import infer_once, prepare_smallest, train_once
from opzo.spec.registers import (
    COUNTER,
    REGISTER_BITS,
    REGISTERS,
    TIMING_COUNTERS,
    Counter,
    Reg,
    counters_of,
    stored_bits,
)


def registers_step(dut: DeviceUnderTest) -> str:
    """Walk a one through all bits of all registers below the counters, then count runs and clear."""
    for step in range(REGISTER_BITS + 1):
        # The bit differs between neighbouring registers, so that a mix-up shows; the last step sets all bits.
        bit = [(step + address) % REGISTER_BITS for address in range(COUNTER)]
        written = [1 << each if step < REGISTER_BITS else (1 << REGISTER_BITS) - 1 for each in bit]
        _write_and_compare(dut, written)
    _write_and_compare(dut, [0] * COUNTER)
    prepare_smallest(dut.device, dut.seed)
    _count_runs(dut)
    dut.device.clear_counters()
    for counter, got in dut.device.counters().items():
        _compare_counter(counter, "after a clear", 0, got)
    _count_samples(dut)
    stored, counters = stored_bits(dut.limits), len(counters_of(dut.limits))
    dut.details |= {"registers": len(stored), "bits": sum(stored.values()), "counters": counters}
    return f"{len(stored)} registers of {sum(stored.values())} bits, {counters} counters"


def _write_and_compare(dut: DeviceUnderTest, written: list[int]) -> None:
    dut.device.write_registers(dict(enumerate(written)))
    stored = stored_bits(dut.limits)
    expected = [value & (1 << stored.get(address, 0)) - 1 for address, value in enumerate(written)]
    got = dut.device.read_registers(0, COUNTER)
    different = np.flatnonzero(np.array(expected) ^ np.array(got))
    if len(different):
        address = int(different[0])
        bits = [bit for bit in range(REGISTER_BITS) if (expected[address] ^ got[address]) >> bit & 1]
        where = f"register {register_name(address)}, bit {', '.join(map(str, bits))}, 0x{written[address]:x} written"
        raise MismatchError(where, f"0x{expected[address]:x}", f"0x{got[address]:x}")


def _count_samples(dut: DeviceUnderTest) -> None:
    """Check that a training run carries into each bit of SAMPLES, and wraps."""
    for bit in range(REGISTER_BITS + 1):
        before = (1 << bit) - 1
        dut.device.write_samples(before)
        train_once(dut.device, label=1)
        expected, got = (before + 1) % (1 << REGISTER_BITS), dut.device.read_samples()
        if got != expected:
            raise MismatchError(f"register {register_name(Reg.SAMPLES)} after a run", f"0x{expected:x}", f"0x{got:x}")


def _count_runs(dut: DeviceUnderTest) -> None:
    """Run once with learning and once without, and check that runs and cycles are counted by kind."""
    train_once(dut.device, label=0)
    trained = dut.device.counters()
    infer_once(dut.device)
    both = dut.device.counters()
    for counters, when, tests in ((trained, "after a training run", 0), (both, "after a test run", 1)):
        _compare_counter(Counter.TRAIN_RUNS, when, 1, counters[Counter.TRAIN_RUNS])
        _compare_counter(Counter.TEST_RUNS, when, tests, counters[Counter.TEST_RUNS])
    _compare_counter(Counter.TEST_CYCLES, "after a training run", 0, trained[Counter.TEST_CYCLES])
    _compare_counter(
        Counter.TRAIN_CYCLES, "after a test run", trained[Counter.TRAIN_CYCLES], both[Counter.TRAIN_CYCLES]
    )
    for counter in TIMING_COUNTERS:
        if not both[counter]:
            raise MismatchError(f"counter {counter.name} after a run", "more than 0", "0")


def _compare_counter(counter: Counter, when: str, expected: int, got: int) -> None:
    if got != expected:
        raise MismatchError(f"counter {counter.name} {when}", str(expected), str(got))


def register_name(address: int) -> str:
    """Name of the register at an address below the counters, with the address."""
    name = REGISTERS[address].name if address in REGISTERS else "(unused)"
    return f"{name} at 0x{address:02x}"
