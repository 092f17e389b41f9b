"""The driver on a device that only infers."""

from collections.abc import Iterator

import numpy as np
import pytest
from trained_network import Trained, random_sample, trained

import opzo
from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.state import State
from opzo.host.driver.transport import Connection
from opzo.host.selftest.suite import SelfTest
from opzo.host.stream.stream import Stream
from opzo.host.training.checkpoint import Checkpoint
from opzo.sim.model_transport import inference
from opzo.spec.commands import RunFlag
from opzo.spec.errors import OpzoError
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

ONLY = "device only infers, with the network that it was built with"


@pytest.fixture(scope="module")
def network() -> Trained:
    return trained(Network("12-8-3", steps=3), 4, 16, seed=2)


@pytest.fixture
def device(network: Trained) -> Iterator[Device]:
    with Device("device", Link(Connection.over(inference(network.fixed()), "device"))) as opened:
        yield opened


def test_it_must_hold_the_network(network: Trained, device: Device) -> None:
    with pytest.raises(
        OpzoError, match="not built for 12-7-3: its register LAYER_1_TAIL holds 4, this network needs 3"
    ):
        device.configure(Network("12-7-3", steps=3), Rule.OPZO)
    with pytest.raises(OpzoError, match="STEPS holds 3, this network needs 2"):
        device.configure(Network("12-8-3", steps=2), Rule.OPZO)
    assert device.network is None
    device.configure(network.network, Rule.OPZO)
    assert device.network == network.network


def test_it_must_hold_the_weights(network: Trained, device: Device) -> None:
    device.configure(network.network, Rule.OPZO)
    network.state.write(device)
    other = [matrix.copy() for matrix in network.state.weights]
    other[1][2:4, 1] += 1
    device.write_weights(0, other[0])
    with pytest.raises(OpzoError, match="2 of its 27 weights of layer 2 are not those of this network"):
        device.write_weights(1, other[1])


def test_it_learns_nothing(network: Trained, device: Device) -> None:
    device.configure(network.network, Rule.OPZO)
    sample = random_sample(network.network, np.random.default_rng(1))
    for refused in (
        lambda: list(device.run([sample], train=True)),
        lambda: device.start_run(sample.runs[0], 0, RunFlag.TRAIN | RunFlag.FRESH),
        lambda: device.write_memory(Space.WEIGHTS, 0, np.zeros((1, 4), np.uint16)),
        lambda: device.write_registers({Reg.RATE: 3, Reg.CLEAR_COUNTERS: 0}),
        lambda: device.read_histories(0),
        lambda: State.read(device, Rule.OPZO),
    ):
        with pytest.raises(OpzoError, match=ONLY):
            refused()
    device.write_registers({Reg.HIDDEN_LAYERS: 1})
    assert device.counters()[0] == 0


def test_a_model_of_its_run_tests_and_predicts(network: Trained, device: Device) -> None:
    checkpoint = Checkpoint(network.network, Rule.OPZO, network.state)
    model, golden = (opzo.Model.from_checkpoint(checkpoint, each) for each in (device, network.golden))
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 256, (20, 12)).astype(np.uint8), rng.integers(0, 3, 20)
    found, expected = (each.evaluate(x, y) for each in (model, golden))
    assert {key: found[key] for key in ("accuracy", "loss")} == {key: expected[key] for key in ("accuracy", "loss")}
    assert np.array_equal(model.predict(x), golden.predict(x))
    assert [weights.tolist() for weights in model.weights] == [weights.tolist() for weights in golden.weights]
    with pytest.raises(OpzoError, match=ONLY):
        model.fit(x, y, epochs=1)
    with pytest.raises(OpzoError, match=ONLY):
        model.partial_fit(x, y)
    with pytest.raises(OpzoError, match="weights of layer 1 are not those"):
        opzo.Model(network.network, device, seed=8)


def test_a_stream_only_infers() -> None:
    spiking = trained(Network("12-8-3", steps=3, input="spikes"), 4, 16, seed=2)
    with Device("device", Link(Connection.over(inference(spiking.fixed()), "device"))) as device:
        device.configure(spiking.network, Rule.OPZO)
        stream = Stream(device, spiking.network)
        stream.learning, stream.label = True, 1
        # A chunk has room for 16 events, and is sent when the next ones do not fit.
        for _ in range(5):
            stream.step(np.array([1, 2, 3]))
        with pytest.raises(OpzoError, match=ONLY):
            stream.step(np.array([1, 2, 3]))


def test_the_self_test_is_for_devices_that_learn(network: Trained) -> None:
    with pytest.raises(OpzoError, match="board only infers; the self-test is for devices that learn"):
        SelfTest(Connection.over(inference(network.fixed()), "board"), 1)
