"""The whole chip on the rtl device, through the driver, beside the golden model."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from random import Random

import numpy as np
import pytest
from small_chip import SMALL_CHIP

from opzo.host.driver.device import Device
from opzo.host.driver.devices import connection
from opzo.host.driver.link import Link
from opzo.host.driver.pty import PtyDevice
from opzo.host.driver.sample import Sample
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection, Transport
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import schedule_registers
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.stimuli import draw_chunk, draw_flags
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.commands import Command, RunFlag
from opzo.spec.errors import LinkError
from opzo.spec.events import Chunk, encode_events, encode_frame_pairs, encode_steps
from opzo.spec.frames import END, ESC, Frame
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.protocol import CREDITS
from opzo.spec.registers import TIMING_COUNTERS, Counter, Reg
from opzo.spec.rules import Input, Rule

SEED = 5


@pytest.fixture
def chip() -> Iterator[RtlTransport]:
    transport = RtlTransport(SMALL_CHIP)
    yield transport
    transport.close()


def device_on(transport: Transport, name: str) -> Device:
    return Device(name, Link(Connection.over(transport, name, patience=60.0)))


def replies(transport: RtlTransport | ModelTransport, sent: bytes) -> bytes:
    transport.write(sent)
    received = b""
    while data := transport.read(60.0):
        received += data
    return received


def test_chip_says_what_it_was_built_for(chip: RtlTransport) -> None:
    device = device_on(chip, "rtl")
    assert device.limits == SMALL_CHIP
    golden = device_on(ModelTransport(GoldenCore(SMALL_CHIP)), "golden").identity
    # The chip counts its cycles; the golden model has none to count.
    assert device.identity == replace(golden, clock_khz=0)
    assert golden.modelled
    assert not device.identity.modelled


def test_kept_chip_starts_without_amaranth(chip: RtlTransport) -> None:
    program = (
        "import sys\nfrom opzo.sim.rtl.transport import RtlTransport\nfrom opzo.spec.limits import Limits\n"
        f"assert RtlTransport({SMALL_CHIP!r}).read(1.0) == b''\nassert 'amaranth' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_registers_keep_what_was_written(chip: RtlTransport) -> None:
    device, golden = device_on(chip, "rtl"), device_on(ModelTransport(GoldenCore(SMALL_CHIP)), "golden")
    rng = np.random.default_rng(SEED)
    values = {address: int(rng.integers(1 << 32)) for address in (*range(Reg.CLEAR_COUNTERS), *range(0x10, 0x40))}
    for each in (device, golden):
        each.write_registers(values)
    assert device.read_registers(0, 255) == golden.read_registers(0, 255)


def test_memories_read_back_what_was_written(chip: RtlTransport) -> None:
    device = device_on(chip, "rtl")
    rng = np.random.default_rng(SEED)
    weights = rng.integers(0, 1 << 16, (SMALL_CHIP.rows, SMALL_CHIP.lanes), np.uint16)
    weights[::7, 0] = END | ESC << 8
    lfsr = rng.integers(1, 1 << 16, (2, SMALL_CHIP.lanes), np.uint16)
    device.write_memory(Space.WEIGHTS, 0, weights)
    device.write_memory(Space.LFSR, 0, lfsr)
    assert_equal(device.read_memory(Space.WEIGHTS, 0, SMALL_CHIP.rows), weights, what="weights", seed=SEED)
    assert_equal(device.read_memory(Space.LFSR, 0, 2), lfsr, what="lfsr", seed=SEED)


@pytest.mark.parametrize("rule", ["opzo", "readout"])
@pytest.mark.parametrize("net", ["9-5-2", "20-13-7-3"])
def test_samples_end_in_the_golden_state(chip: RtlTransport, net: str, rule: str) -> None:
    network, hyper = Network.parse(net, steps=4, local=1), Hyperparameters(rule=rule, seed=SEED)
    rng = np.random.default_rng(SEED)
    samples = []
    for _ in range(70):
        lit = np.flatnonzero(rng.random(network.inputs) < 0.6).tolist()
        pairs = encode_events([(address, int(rng.integers(1, 256))) for address in lit])
        samples.append(Sample((pairs,), int(rng.integers(network.classes))))
    devices = [device_on(chip, "rtl"), device_on(ModelTransport(GoldenCore(SMALL_CHIP)), "golden")]
    results, states, counters = [], [], []
    for device in devices:
        device.configure(network, Rule.parse(rule))
        State.initial(network, Rule.parse(rule), SEED, SMALL_CHIP).write(device)
        device.write_registers(schedule_registers(hyper, 0, 1000))
        trained = list(device.run(samples, train=True, outputs=True))
        tested = list(device.run(samples[:5], outputs=True))
        results.append([(r.prediction, r.loss, *r.outputs.tolist()) for r in trained + tested])
        states.append(State.read(device, Rule.parse(rule)))
        counters.append({k: v for k, v in device.counters().items() if k not in TIMING_COUNTERS})
    assert_equal(results[0], results[1], what="predictions, losses, outputs", seed=SEED)
    for layer, (actual, expected) in enumerate(zip(states[0].weights, states[1].weights, strict=True)):
        assert_equal(actual, expected, what=f"weights of layer {layer}", seed=SEED)
    for layer, (actual, expected) in enumerate(zip(states[0].feedback, states[1].feedback, strict=True)):
        assert_equal(actual, expected, what=f"feedback of layer {layer}", seed=SEED)
    assert_equal(states[0].local[0], states[1].local[0], what="local read-out", seed=SEED)
    assert_equal(states[0].feedback_shift, states[1].feedback_shift, what="feedback shifts", seed=SEED)
    assert_equal(states[0].lfsr, states[1].lfsr, what="LFSR states", seed=SEED)
    assert states[0].samples == states[1].samples
    assert counters[0] == counters[1]


@pytest.mark.parametrize("kind", list(Input))
def test_convolutions_end_in_the_golden_state(kind: Input) -> None:
    network = Network("1x8x8-8c3-p2-16c3-10", steps=6, local=2, input=kind, intermediate=2)
    limits, hyper = network.limits(8), Hyperparameters(rule="opzo", seed=SEED, batch=3)
    transport = RtlTransport(limits)
    rng = np.random.default_rng(SEED)
    given = []
    for _ in range(20):
        chunk = draw_chunk(rng, network, limits.events)
        given.append((encoded(chunk, kind), int(rng.integers(network.classes)), draw_flags(rng)))
    answers, states, counters = [], [], []
    for device in (device_on(transport, "rtl"), device_on(ModelTransport(GoldenCore(limits)), "golden")):
        device.configure(network, Rule.OPZO)
        State.initial(network, Rule.OPZO, SEED, limits).write(device)
        device.write_registers(schedule_registers(hyper, 0, 1000))
        runs = [device.finish_run(device.start_run(*run), outputs=False) for run in given]
        answers.append([(run.prediction, run.loss) for run in runs])
        states.append(State.read(device, Rule.OPZO))
        counters.append({k: v for k, v in device.counters().items() if k not in TIMING_COUNTERS})
    transport.close()
    assert answers[0] == answers[1]
    assert states[1].intermediate[0].any()
    for name in (field.name for field in fields(State)):
        actual, expected = (getattr(state, name) for state in states)
        pairs = zip(actual, expected, strict=True) if isinstance(actual, tuple | list) else [(actual, expected)]
        for one, other in pairs:
            assert_equal(np.asarray(one), np.asarray(other), what=name, seed=SEED)
    assert counters[0] == counters[1]


def encoded(chunk: Chunk, kind: Input) -> bytes:
    if kind is Input.FRAME:
        return encode_frame_pairs(chunk.addresses, chunk.values)
    return encode_steps(chunk, graded=kind is Input.GRADED)


def run_both(devices: list[Device], given: list[tuple[bytes, int, RunFlag]], what: str) -> None:
    """Do runs, two of them on their way at any time; compare answers and everything that can be read."""
    answers = []
    for device in devices:
        results = []
        underway = []
        for payload, label, flags in given:
            underway.append(device.start_run(payload, label, flags | RunFlag.OUTPUTS))
            if len(underway) == CREDITS:
                results.append(device.finish_run(underway.pop(0), outputs=True))
        results += [device.finish_run(run, outputs=True) for run in underway]
        answers.append([(result.prediction, result.loss, *result.outputs.tolist()) for result in results])
    assert_equal(answers[0], answers[1], what=f"predictions, losses, outputs {what}", seed=SEED)
    rows = {
        Space.WEIGHTS: SMALL_CHIP.rows,
        Space.LFSR: 2,
        Space.MEMBRANE: 2 * SMALL_CHIP.words,
        Space.HISTORY: SMALL_CHIP.words,
        Space.INPUT_HISTORY: SMALL_CHIP.inputs // SMALL_CHIP.lanes,
    }
    for space, count in rows.items():
        actual, expected = (device.read_memory(space, 0, count) for device in devices)
        assert_equal(actual, expected, what=f"{space.name} {what}", seed=SEED)
    assert devices[0].read_registers(0, 0x30) == devices[1].read_registers(0, 0x30)
    counters = [device.counters() for device in devices]
    for counter in set(Counter) - set(TIMING_COUNTERS):
        assert counters[0][counter] == counters[1][counter], f"{counter.name} {what}"


@pytest.mark.parametrize("kind", list(Input))
@pytest.mark.parametrize(("net", "rule"), [("9-5-2", Rule.OPZO), ("130-13-7-3", Rule.OPZO), ("40-6-9-8-5", Rule.ZO)])
def test_runs_end_in_the_golden_state(chip: RtlTransport, net: str, rule: Rule, kind: Input) -> None:
    network = Network.parse(net, steps=4, local=1, input=kind)
    hyper = Hyperparameters(rule=rule.name.lower(), seed=SEED)
    rng = np.random.default_rng(SEED)
    devices = [device_on(chip, "rtl"), device_on(ModelTransport(GoldenCore(SMALL_CHIP)), "golden")]
    for device in devices:
        device.configure(network, rule)
        State.initial(network, rule, SEED, SMALL_CHIP).write(device)
        device.write_registers(schedule_registers(hyper, 0, 1000))
    for part in range(6):
        given = []
        for _ in range(20):
            chunk = draw_chunk(rng, network, SMALL_CHIP.events)
            given.append((encoded(chunk, kind), int(rng.integers(network.classes)), draw_flags(rng)))
        run_both(devices, given, f"after part {part}")
    # A new network forgets what was before, and only that.
    for device in devices:
        device.configure(network, rule)
    run_both(devices, given, "after a new network")


def test_refused_runs_change_nothing(chip: RtlTransport) -> None:
    network = Network.parse("200-5-2", input=Input.SPIKES)
    devices = [device_on(chip, "rtl"), device_on(ModelTransport(GoldenCore(SMALL_CHIP)), "golden")]
    rng = np.random.default_rng(SEED)
    every = [list(range(200))]
    for device in devices:
        device.configure(network, Rule.OPZO)
        State.initial(network, Rule.OPZO, SEED, SMALL_CHIP).write(device)
    for steps, label, status in (
        (every * 2, 0, "FULL"),
        ([[]] * 9, 0, "BAD_STEPS"),
        ([], 0, "BAD_STEPS"),
        ([[200]], 0, "BAD_EVENT"),
        (every, 2, "BAD_LABEL"),
    ):
        for device in devices:
            refused = encoded(Chunk.of_steps(steps), Input.SPIKES)
            run = device.start_run(refused, label, RunFlag.TRAIN | RunFlag.FRESH)
            with pytest.raises(LinkError, match=f"refused RUN: {status}"):
                device.finish_run(run)
        given = [
            (encoded(draw_chunk(rng, network, SMALL_CHIP.events), Input.SPIKES), int(rng.integers(2)), draw_flags(rng))
            for _ in range(3)
        ]
        run_both(devices, given, f"after {status}")
    assert devices[0].counters()[Counter.DROPPED] == 0


def test_noise_on_the_line_gets_the_golden_answers(chip: RtlTransport) -> None:
    rng = Random(SEED)
    golden = ModelTransport(GoldenCore(SMALL_CHIP), clock_khz=0)
    sync = Frame(7, Command.SYNC, b"nonc").encode()
    good = Frame(8, Command.READ_REGISTERS, bytes((0, 3))).encode()
    noise = bytes(rng.choice((END, ESC, 0x01, 0xDC, rng.randrange(256))) for _ in range(3000))
    flipped = bytearray(good)
    flipped[4] ^= 0x10
    for sent in (good, noise + bytes([END]), sync, bytes(flipped), noise + bytes([END]), good, good, sync):
        assert replies(chip, sent) == replies(golden, sent)


def test_half_a_frame_leaves_the_chip_idle(chip: RtlTransport) -> None:
    sync = Frame(7, Command.SYNC, b"nonc").encode()
    begin = time.monotonic()
    assert replies(chip, sync[:9]) == b""
    assert time.monotonic() - begin < 30
    assert not chip.busy
    # Traces are wiped after a reset.
    assert chip.cycles < 100 + SMALL_CHIP.events
    assert len(replies(chip, sync[9:])) > 9
    cycles = chip.cycles
    assert chip.read(60.0) == b""
    assert chip.cycles == cycles


def test_chip_behind_a_serial_port(chip: RtlTransport) -> None:
    with PtyDevice(chip) as port:
        device = Device("rtl", Link(connection(f"serial:{port.path}")))
        assert device.limits == SMALL_CHIP
        rows = np.arange(400, dtype=np.uint16).reshape(100, 4) * 163
        device.write_memory(Space.WEIGHTS, 0, rows)
        device.close()
        device = Device("rtl", Link(connection(f"serial:{port.path}")))
        assert_equal(device.read_memory(Space.WEIGHTS, 0, 100), rows, what="weights")
        device.close()
