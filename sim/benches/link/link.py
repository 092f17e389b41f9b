"""Testbench of the link: its replies and its commands to the core, against the golden link."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from opzo.sim.benches.bench import parameters, seed, start
from opzo.sim.benches.core_port import CorePort
from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.sim.benches.traffic import TEST_LIMITS, Exchange, Traffic, chunk_cases, frames, is_run_reply
from opzo.spec.commands import NAK, REPLY, Command, RunFlag, Status
from opzo.spec.events import encode_events
from opzo.spec.frames import Frame
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

SETTLE_CYCLES = 3000
"""Cycles without a reply and with an idle core after which no reply can follow: the longest frame with stalls."""

BUSY_CYCLES = 100_000
"""Maximum cycles for a frame: the longest reply, or a wait for two runs, with stalls."""


class Host:
    """The link with a host and a core, and traffic with the replies of the golden link."""

    def __init__(
        self,
        dut: Any,
        stall: float = 0.0,
        sample_cycles: int = 0,
        make: Callable[[Random], Traffic] = Traffic,
    ) -> None:
        self.dut = dut
        rng = Random(seed())
        self.rng = rng
        self.traffic = make(rng)
        self.rx = StreamSource(dut, dut.clk, "rx", Random(rng.random()), stall)
        self.tx = StreamSink(dut, dut.clk, "tx", Random(rng.random()), stall)
        self.core = FakeCore(self.traffic.core.limits)
        self.port = CorePort(dut, self.core, Random(rng.random()), stall, sample_cycles)

    async def in_step(self, exchange: Exchange) -> None:
        """Send, and wait for exactly the golden bytes; all must have arrived once the link is no longer busy."""
        # The first byte may complete a frame without END; its run must finish before the frame is repeated.
        for part in (exchange.sent[:1], exchange.sent[1:]):
            await self.rx.send_all(part)
            for _ in range(BUSY_CYCLES):
                await FallingEdge(self.dut.clk)
                await ReadOnly()
                if not self.dut.busy.value:
                    break
        answered = bytes(await self.tx.receive_all(len(self.tx)))
        assert answered == exchange.answered, (
            f"to {exchange.sent.hex(' ')} the link answered {answered.hex(' ')}, golden {exchange.answered.hex(' ')}"
        )

    async def settle(self) -> bytes:
        """Wait until no more replies follow, and return the bytes received."""
        answered = b""
        while True:
            await ClockCycles(self.dut.clk, SETTLE_CYCLES)
            if not len(self.tx) and self.port.idle and not self.dut.busy.value:
                return answered
            answered += bytes(await self.tx.receive_all(len(self.tx)))

    async def finish(self) -> None:
        """Check that no more replies follow, and that the core received the same commands as the golden one."""
        assert await self.settle() == b""
        assert not self.dut.busy.value
        self.check_core()

    def check_core(self) -> None:
        assert self.core.runs == self.traffic.core.runs
        assert self.core.writes == self.traffic.core.writes

    async def recover(self) -> None:
        """Check that a session can be started and works, independent of earlier traffic."""
        for exchange in self.traffic.begin():
            await self.in_step(exchange)
        runs = len(self.core.runs)
        run = Frame(self.traffic.link.expected, Command.RUN, bytes((RunFlag.TRAIN, 0)) + encode_events([(1, 2)]))
        await self.in_step(self.traffic.exchange(run.encode()))
        assert len(self.core.runs) == runs + 1
        for _ in range(10):
            await self.in_step(self.traffic.ordinary())
        await self.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def equals_golden_in_step(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    for _ in range(300):
        await host.in_step(host.traffic.hostile())
    await host.finish()
    await host.recover()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def loses_and_repeats_nothing_when_flooded(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    exchanges = host.traffic.begin() + [host.traffic.hostile() for _ in range(300)]
    await host.rx.send_all(b"".join(exchange.sent for exchange in exchanges))
    answered = await host.settle()
    compare_late(frames(answered), frames(b"".join(exchange.answered for exchange in exchanges)))
    host.check_core()
    await host.recover()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def nothing_before_a_session_and_noise_is_survived(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for code in (*Command, 0, 0x7F):
        if code != Command.SYNC:
            await host.in_step(host.traffic.exchange(Frame(0, code).encode()))
    await host.in_step(host.traffic.exchange(host.rng.randbytes(4000)))
    await host.recover()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def strobes_tell_frames_refusals_and_training(dut: Any) -> None:
    host = Host(dut, **parameters())
    counts: Counter[str] = Counter()

    async def count() -> None:
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            counts.update(name for name in ("received", "refused", "training") if getattr(dut, name).value)

    await start(dut)
    cocotb.start_soon(count())

    async def strobes(sent: bytes) -> tuple[int, int, int]:
        """Number of strobes (received, refused, training) until all frames are answered."""
        counts.clear()
        await host.in_step(host.traffic.exchange(sent))
        await host.settle()
        return counts["received"], counts["refused"], counts["training"]

    link, events = host.traffic.link, encode_events([(1, 2)])
    assert await strobes(Frame(3, Command.RUN, bytes((RunFlag.TRAIN, 0)) + events).encode()) == (1, 1, 0)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    for flags, training in ((RunFlag.TRAIN, 1), (RunFlag(0), 0)):
        for _ in range(2):
            run = Frame(link.expected, Command.RUN, bytes((flags, 0)) + events).encode()
            assert await strobes(run) == (1, 0, training)
            # A repeated frame is answered from the reply store, without training.
            assert await strobes(run) == (1, 0, 0)
    damaged = bytearray(Frame(link.expected, Command.RUN, bytes((RunFlag.TRAIN, 0)) + events).encode())
    damaged[3] ^= 1
    assert await strobes(bytes(damaged)) == (0, 1, 0)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def bounds_are_those_of_the_device_too(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    limits, link = TEST_LIMITS, host.traffic.link

    async def status(code: Command, data: bytes) -> Status:
        exchange = host.traffic.exchange(Frame(link.expected, code, data).encode())
        await host.in_step(exchange)
        return Status(frames(exchange.answered)[0].data[0])

    for inputs, classes in ((4095, 127), (limits.inputs, limits.classes), (limits.inputs - 1, limits.classes - 1)):
        values = classes.to_bytes(4, "little") + inputs.to_bytes(4, "little")
        assert await status(Command.WRITE_REGISTERS, b"\x02" + values) == Status.OK
        inputs, classes = min(inputs, limits.inputs), min(classes, limits.classes)
        for top, label, expected in (
            (inputs - 1, classes - 1, Status.OK),
            (inputs, classes - 1, Status.BAD_EVENT),
            (4095, 0, Status.BAD_EVENT),
            (4096, 0, Status.BAD_EVENT),
            (8191, 0, Status.BAD_EVENT),
            (8192, 0, Status.BAD_EVENT),
            (16384 + 5, 0, Status.BAD_EVENT),
            (inputs - 1, classes, Status.BAD_LABEL),
            (inputs - 1, 255, Status.BAD_LABEL),
            (inputs, 255, Status.BAD_EVENT),
        ):
            # A bad event is followed by another one, which must not be accepted as a good one.
            pairs = encode_events([(0, 7), (top, 9)]) + bytes((0, 3)) * (expected == Status.BAD_EVENT)
            assert await status(Command.EVENTS, pairs[:64]) == Status.OK
            assert await status(Command.RUN, bytes((RunFlag.TRAIN, label)) + pairs[64:]) == expected
    # Skipping any distance beyond the last address is not an event.
    skips = bytes((255, 0)) * 40
    assert await status(Command.RUN, b"\x00\x00" + bytes((3, 1)) + skips) == Status.OK
    await host.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def chunks_at_their_bounds(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)

    async def status(code: Command, data: bytes) -> Status:
        exchange = host.traffic.exchange(Frame(host.traffic.link.expected, code, data).encode())
        await host.in_step(exchange)
        return Status(frames(exchange.answered)[0].data[0])

    for case in chunk_cases(TEST_LIMITS):
        kind = bytes((Reg.INPUT,)) + case.kind.to_bytes(4, "little")
        assert await status(Command.WRITE_REGISTERS, kind) == Status.OK
        for code, data in case.commands():
            expected = case.status if code == Command.RUN else Status.OK
            assert await status(code, data) == expected, f"{case}"
        # After each of these the next input starts without leftovers; for some of them there is nothing to discard.
        end = b"\xf0\0" if case.kind == Input.GRADED else b"\xf0"
        assert await status(Command.RUN, bytes((RunFlag.FRESH, 1)) + end) == Status.OK
        await host.in_step(host.traffic.exchange(Frame(0, Command.SYNC, b"").encode()))
        run = host.core.runs[-1]
        assert (run.events, run.ends, run.flags) == ((), (0,), RunFlag.FRESH), f"{case}"
    await host.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def only_spikes_may_have_an_odd_size(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    for kind in range(4):
        register = bytes((Reg.INPUT,)) + kind.to_bytes(4, "little")
        await host.in_step(
            host.traffic.exchange(Frame(host.traffic.link.expected, Command.WRITE_REGISTERS, register).encode())
        )
        expected = Status.BAD_LENGTH if kind in (Input.FRAME, Input.GRADED) else Status.OK
        end = b"\xf0\1" if kind == Input.GRADED else b"\xf0"
        for code, data in (
            (Command.EVENTS, b"\3\2\1"),
            (Command.RUN, b"\0\0\3\2" + end[-1:]),
            (Command.EVENTS, b"\5\4\3"),
            (Command.RUN, b"\0\0" + (end if kind else b"")),
        ):
            exchange = host.traffic.exchange(Frame(host.traffic.link.expected, code, data).encode())
            await host.in_step(exchange)
            status = Status(frames(exchange.answered)[0].data[0])
            assert status == (expected if len(data) % 2 else Status.OK), (
                f"kind {kind}, {code.name} of {len(data)} bytes"
            )
    await host.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def inputs_of_two_kinds(dut: Any) -> None:
    """INPUT is written between EVENTS and RUN: received events stay, and the rules of the last kind apply."""
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    inputs = {
        Input.FRAME: bytes((3, 7, 0, 8)),
        Input.SPIKES: bytes((5, 0xF0, 6, 0xF1)),
        Input.GRADED: bytes((5, 1, 0xF0, 0)),
    }
    for first in Input:
        for second in Input:
            for code, kind in ((Command.EVENTS, first), (Command.RUN, second)):
                register = bytes((Reg.INPUT,)) + kind.to_bytes(4, "little")
                for command, data in (
                    (Command.WRITE_REGISTERS, register),
                    (code, (b"\1\1" if code == Command.RUN else b"") + inputs[kind]),
                ):
                    wire = Frame(host.traffic.link.expected, command, data).encode()
                    await host.in_step(host.traffic.exchange(wire))
    await host.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_discarded_input_leaves_nothing(dut: Any) -> None:
    host = Host(dut, **parameters())
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)

    async def send(code: Command, data: bytes = b"") -> None:
        await host.in_step(host.traffic.exchange(Frame(host.traffic.link.expected, code, data).encode()))

    beyond = encode_events([(TEST_LIMITS.inputs, 1)])
    for end, data in (
        (Command.RESET, b""),
        (Command.SYNC, host.rng.randbytes(4)),
        (Command.RUN, b"\0"),
        (Command.RUN, b"\0\0" + beyond),
        (Command.RUN, b"\0\xff"),
    ):
        for pairs in (encode_events([(200, 1)]), b"", beyond):
            await send(Command.EVENTS, pairs)
            await send(end, data)
            await send(Command.RUN, b"\0\0" + encode_events([(1, 2)]))
            await host.in_step(host.traffic.exchange(Frame(0, Command.SYNC, b"").encode()))
            assert host.core.runs[-1].events == ((1, 2),)
    await host.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def runs_overlap(dut: Any) -> None:
    """The input of the next run is received during a run; a frame received twice during it is answered once."""
    host = Host(dut, sample_cycles=0)
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    host.port.held = True
    run = [Frame((host.traffic.link.expected + k) % 256, Command.RUN, bytes((1, k, 2, 5))).encode() for k in range(3)]
    exchanges = [host.traffic.exchange(wire) for wire in run]
    await host.rx.send_all(run[0] + run[1] + run[0] + run[1] + run[1])
    await ClockCycles(dut.clk, 1000)
    assert len(host.tx) == 0
    host.port.held = False
    await host.rx.send_all(run[2])
    answered = b"".join(exchange.answered for exchange in exchanges)
    assert bytes(await host.tx.receive_all(len(answered))) == answered
    await host.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_result_and_a_repeat_may_meet_in_any_cycle(dut: Any) -> None:
    host = Host(dut)
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    for delay in range(40):
        first, second = (Frame((host.traffic.link.expected + k) % 256, Command.RUN, bytes((0, k))) for k in range(2))
        answered = host.traffic.exchange(first.encode())
        await host.in_step(answered)
        late = host.traffic.exchange(second.encode())
        host.port.held = True
        await host.rx.send_all(second.encode())
        await ClockCycles(dut.clk, 50)
        task = cocotb.start_soon(host.rx.send_all(first.encode()))
        await ClockCycles(dut.clk, delay + 1)
        host.port.held = False
        await task
        replies = await host.tx.receive_all(len(answered.answered + late.answered))
        assert set(frames(bytes(replies))) == set(frames(answered.answered + late.answered)), f"delay {delay}"
    await host.finish()


def compare_late(answered: list[Frame], golden: list[Frame]) -> None:
    """Compare the replies to a flood of frames with the golden ones.

    Timing decides whether the reply to a repeated RUN is ready, and after which replies the reply to a RUN follows.
    Therefore all replies except the results of runs must be equal and in the same order. The results must be in the
    golden order, each at least once and at most as often as in the golden replies. Before a reply that requires an idle
    engine, exactly the results that precede it in the golden replies must have been received.
    """
    assert [f for f in answered if not is_run_reply(f)] == [f for f in golden if not is_run_reply(f)]
    assert list(dict.fromkeys(results(answered))) == list(dict.fromkeys(results(golden)))
    often, most = Counter(results(answered)), Counter(results(golden))
    assert all(often[result] <= most[result] for result in often)
    assert results_before_barriers(answered) == results_before_barriers(golden)


def results(replies: list[Frame]) -> list[Frame]:
    return [frame for frame in replies if is_run_reply(frame)]


def results_before_barriers(replies: list[Frame]) -> list[tuple[Frame, int]]:
    counts = []
    seen: set[Frame] = set()
    for frame in replies:
        if is_run_reply(frame):
            seen.add(frame)
        elif frame.code not in (NAK, Command.EVENTS | REPLY) and frame.data[0] == Status.OK:
            counts.append((frame, len(seen)))
    return counts
