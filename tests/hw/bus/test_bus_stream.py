from random import Random

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.host.data.data_sets import load_data
from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection
from opzo.host.training.config import Config
from opzo.host.training.schedule_registers import schedule_registers
from opzo.hw.bus.stream import StreamTop
from opzo.sim.benches.bench import run_bench
from opzo.sim.model_transport import golden
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

LIMITS = Limits(lanes=4, rows=1024, inputs=64, words=4, classes=10, weight_bits=12)


class Negation(wiring.Component):
    """In place of a chip: sends each byte back with all bits negated."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    busy: Out(1)

    def __init__(self, *arguments: object) -> None:
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waits = stream.Signature(8).create()
        m.d.comb += [
            self.rx.ready.eq(~waits.valid),
            self.tx.payload.eq(waits.payload),
            self.tx.valid.eq(waits.valid),
            self.busy.eq(waits.valid),
        ]
        with m.If(self.rx.valid & self.rx.ready):
            m.d.sync += [waits.payload.eq(~self.rx.payload), waits.valid.eq(1)]
        with m.Elif(self.tx.ready):
            m.d.sync += waits.valid.eq(0)
        return m


class Recorder:
    """A golden device that records what is sent and answered, as hexadecimal."""

    def __init__(self) -> None:
        self.device = golden(LIMITS, 0)
        self.busy = False
        self.exchanges: list[tuple[str, str]] = []
        self._answered = b""

    def write(self, data: bytes) -> None:
        self.device.write(data)
        answer = self.device.read(0)
        self.exchanges.append((data.hex(), answer.hex()))
        self._answered += answer

    def read(self, timeout: float) -> bytes:
        answer, self._answered = self._answered, b""
        return answer

    def close(self) -> None:
        self.device.close()


def run(top: StreamTop, name: str, exchanges: list[tuple[str, str]], stall: float) -> None:
    run_bench(
        top,
        name=name,
        test_module="opzo.sim.benches.bus.stream",
        parameters={"exchanges": exchanges, "stall": stall},
    )


def test_bytes_go_through_the_streams_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opzo.hw.bus.stream.Top", Negation)
    sent = Random(1).randbytes(300)
    run(StreamTop(LIMITS), "stream-negation", [(sent.hex(), bytes(255 - byte for byte in sent).hex())], 0.3)


@pytest.mark.slow
def test_chip_learns_200_digits_through_the_streams() -> None:
    recorder = Recorder()
    config = Config(net="64-16-10", steps=6)
    rule = Rule.parse(config.rule)
    with Device("golden", Link(Connection.over(recorder, "golden"))) as device:
        device.configure(config.network, rule)
        State.initial(config.network, rule, config.seed, LIMITS).write(device)
        device.write_registers(schedule_registers(config, 0, 1))
        answers = list(device.run(load_data("digits").train[:200].samples(), train=True))
        assert len(answers) == 200
        assert device.read_registers(Reg.SAMPLES)[0] == 200
        for space in Space:
            if space.rows(LIMITS):
                device.read_memory(space, 0, space.rows(LIMITS))
    run(StreamTop(LIMITS), "chip-stream", recorder.exchanges, 0.2)
