"""Register test: which bits each register keeps, and that counters count and clear."""

import numpy as np

from opzo.host.selftest.check import Bench, MismatchError
from opzo.host.selftest.steps.lfsr import infer_once, prepare_smallest, train_once
from opzo.spec.registers import COUNTER, REGISTER_BITS, REGISTERS, STORED_BITS, TIMING_COUNTERS, Counter, Reg


def registers_step(bench: Bench) -> str:
    """Walk a one through all bits of all addresses below the counters; then count a run and clear."""
    for step in range(REGISTER_BITS + 1):
        # The one stands elsewhere in each register, so that neighbours that are mixed up show; at last all bits.
        bit = [(step + address) % REGISTER_BITS for address in range(COUNTER)]
        written = [1 << each if step < REGISTER_BITS else (1 << REGISTER_BITS) - 1 for each in bit]
        _write_and_compare(bench, written)
    _write_and_compare(bench, [0] * COUNTER)
    prepare_smallest(bench.device, bench.seed)
    _count_runs(bench)
    bench.device.clear_counters()
    for counter, got in bench.device.counters().items():
        _compare_counter(counter, "after a clear", 0, got)
    _count_samples(bench)
    bench.details |= {"registers": len(STORED_BITS), "bits": sum(STORED_BITS.values()), "counters": len(Counter)}
    return f"{len(STORED_BITS)} registers of {sum(STORED_BITS.values())} bits, {len(Counter)} counters"


def _write_and_compare(bench: Bench, written: list[int]) -> None:
    bench.device.write_registers(dict(enumerate(written)))
    expected = [value & (1 << STORED_BITS.get(address, 0)) - 1 for address, value in enumerate(written)]
    got = bench.device.read_registers(0, COUNTER)
    different = np.flatnonzero(np.array(expected) ^ np.array(got))
    if len(different):
        address = int(different[0])
        bits = [bit for bit in range(REGISTER_BITS) if (expected[address] ^ got[address]) >> bit & 1]
        where = f"register {register_name(address)}, bit {', '.join(map(str, bits))}, 0x{written[address]:x} written"
        raise MismatchError(where, f"0x{expected[address]:x}", f"0x{got[address]:x}")


def _count_samples(bench: Bench) -> None:
    """Count one training run up from all ones below each bit of SAMPLES, and from all ones."""
    for bit in range(REGISTER_BITS + 1):
        before = (1 << bit) - 1
        bench.device.write_samples(before)
        train_once(bench.device, label=1)
        expected, got = (before + 1) % (1 << REGISTER_BITS), bench.device.read_samples()
        if got != expected:
            raise MismatchError(f"register {register_name(Reg.SAMPLES)} after a run", f"0x{expected:x}", f"0x{got:x}")


def _count_runs(bench: Bench) -> None:
    """Run once with learning and once without: each is counted as its own kind, with its cycles."""
    train_once(bench.device, label=0)
    trained = bench.device.counters()
    infer_once(bench.device)
    both = bench.device.counters()
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
