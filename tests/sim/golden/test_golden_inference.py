"""The golden model of a device that only infers: results of one that learns, and what it refuses."""

import numpy as np
import pytest
from trained_network import compare, trained

from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection
from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.link import GoldenLink
from opzo.sim.model_transport import inference
from opzo.spec.commands import REPLY, REQUESTS, Command, RunFlag, Status
from opzo.spec.fixed_network import FixedNetwork, inference_limits
from opzo.spec.frames import Frame, Unescape
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

NETWORK = Network("20-12-5", steps=4)


def fixed() -> FixedNetwork:
    limits = inference_limits(NETWORK, 4)
    return FixedNetwork(NETWORK, Rule.OPZO, limits, np.arange(limits.rows * 4, dtype=np.int16).reshape(-1, 4))


@pytest.mark.parametrize(
    ("text", "settings", "lanes", "weight_bits"),
    [
        ("20-12-8-5", {"steps": 6, "local": 1}, 8, 16),
        ("20-12-5", {"input": "spikes", "steps": 20}, 4, 12),
        ("9-6-6-3", {"input": "graded", "leak": "7/8", "reset": "zero"}, 4, 16),
        ("1x8x8-4c3-p2-6c3-10", {"steps": 4, "local": 2, "intermediate": 2}, 8, 16),
        ("2x6x6-4c3-p2-8-3", {"input": "spikes"}, 4, 16),
    ],
)
def test_results_are_those_of_the_device_that_learned(text, settings, lanes, weight_bits) -> None:
    network = trained(Network(text, **settings), lanes, weight_bits, seed=3)
    with Device("golden", Link(Connection.over(inference(network.fixed()), "golden"))) as device:
        device.configure(network.network, network.rule)
        network.state.write_weights(device)
        compare(network, device, 30, seed=4)


def test_a_core_needs_its_network() -> None:
    with pytest.raises(ValueError, match="built with a network"):
        GoldenCore(fixed().limits)
    with pytest.raises(ValueError, match="built with a network"):
        GoldenCore(NETWORK.limits(4), fixed())


class _Host:
    """Frames to a golden link, and their replies."""

    def __init__(self) -> None:
        self.core = GoldenCore(fixed().limits, fixed())
        self.link = GoldenLink(self.core)
        self.seq = 0
        self.call(Command.SYNC, REQUESTS[Command.SYNC].pack(7))

    def call(self, command: Command, data: bytes = b"") -> bytes:
        """Payload of the reply."""
        (body,) = Unescape().feed(self.link.feed(Frame(self.seq, command, data).encode()))
        reply = Frame.decode(body or b"")
        assert reply is not None
        assert (reply.seq, reply.code) == (self.seq, command | REPLY)
        self.seq += 1
        return reply.data


def test_memories_are_not_written() -> None:
    host = _Host()
    before = host.core.memory.copy()
    for space in Space:
        data = REQUESTS[Command.WRITE_MEMORY].pack(space, 0) + bytes(8)
        assert host.call(Command.WRITE_MEMORY, data) == bytes((Status.BAD_ADDRESS,))
        status = host.call(Command.READ_MEMORY, REQUESTS[Command.READ_MEMORY].pack(space, 0, 1))[0]
        assert (status == Status.OK) == (space in (Space.WEIGHTS, Space.MEMBRANE))
    assert np.array_equal(host.core.memory, before)


def test_registers_keep_their_content() -> None:
    host = _Host()
    before = dict(host.core.registers)
    host.core.begun = True
    for address in before:
        data = REQUESTS[Command.WRITE_REGISTERS].pack(address) + (1).to_bytes(4, "little")
        assert host.call(Command.WRITE_REGISTERS, data) == bytes((Status.OK,))
    assert host.core.registers == before
    assert not host.core.begun
    host.core.counters.add(3, 5)
    host.call(Command.WRITE_REGISTERS, REQUESTS[Command.WRITE_REGISTERS].pack(Reg.CLEAR_COUNTERS) + bytes(4))
    assert host.core.counters[3] == 0


def test_training_is_refused() -> None:
    host = _Host()
    run = REQUESTS[Command.RUN]
    assert host.call(Command.RUN, run.pack(RunFlag.TRAIN, 0)) == bytes((Status.NO_LEARNING,))
    # The other errors come first.
    assert host.call(Command.RUN, run.pack(RunFlag.TRAIN, 5)) == bytes((Status.BAD_LABEL,))
    assert host.call(Command.RUN, run.pack(RunFlag.FRESH, 0))[0] == Status.OK
