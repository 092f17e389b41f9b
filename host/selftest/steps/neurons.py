"""Neuron test: the read-only memories of neurons and inputs after runs, compared with the golden model."""

from collections.abc import Iterable

import numpy as np

from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device, prepare
from opzo.host.selftest.mismatch import entry_of, require_equal
from opzo.spec.errors import NetworkError
from opzo.spec.events import encode_events
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

CLASSES = 2
ROUNDS = 4
"""Runs with different weights, so that each bit is both 0 and 1."""
DENSITY = 0.2
"""Fraction of inputs with a spike in a time step."""


def neurons_step(dut: DeviceUnderTest) -> str:
    """Run the widest layer that fits, then events at the most inputs that fit, with random weights and events."""
    limits = dut.limits
    devices = (dut.device, golden_device(limits))
    wide = first_that_fits(limits, _wide(limits))
    frame = Sample((encode_events([(0, 255)]),))
    for number in range(ROUNDS):
        for device in devices:
            _run(device, wide, frame, dut.seed + number)
        words = wide.layout(limits)[0].words
        _compare(devices, Space.MEMBRANE, 2 * words)
        _compare(devices, Space.HISTORY, Space.HISTORY.rows(limits))
    details = {"neurons": wide.hidden[0]}
    text = f"{wide.hidden[0]:,} neurons"
    if limits.steps >= HISTORY_STEPS:
        many = first_that_fits(limits, _many_inputs(limits))
        for number in range(ROUNDS):
            events = _events(many, dut.random(3, number))
            for device in devices:
                _run(device, many, events, dut.seed)
            _compare(devices, Space.INPUT_HISTORY, Space.INPUT_HISTORY.rows(limits))
        details["inputs"] = many.inputs
        text += f", {many.inputs:,} inputs"
    dut.details |= details
    return text


def _run(device: Device, network: Network, sample: Sample, seed: int) -> None:
    prepare(device, network, Rule.OPZO, seed)
    for _ in device.run([sample]):
        pass


def _compare(devices: tuple[Device, Device], space: Space, rows: int) -> None:
    actual, expected = (device.read_memory(space, 0, rows) for device in devices)
    require_equal(actual, expected, entry_of(f"{space.name} after a run", "row", "lane"))


def _wide(limits: Limits) -> Iterable[Network]:
    """Networks with one hidden layer, in order of decreasing words."""
    steps = min(3, limits.steps)
    return (Network((1, words * limits.lanes, CLASSES), steps) for words in range(limits.words, 0, -1))


def _many_inputs(limits: Limits) -> Iterable[Network]:
    """Networks of one neuron, in order of decreasing inputs, for two or more chunks of events."""
    return (
        Network((inputs, 1, CLASSES), 2 * HISTORY_STEPS, input=Input.SPIKES) for inputs in range(limits.inputs, 0, -1)
    )


def first_that_fits(limits: Limits, networks: Iterable[Network]) -> Network:
    """First network that fits a device; NetworkError if none does."""
    for network in networks:
        try:
            network.check(limits)
        except NetworkError:
            continue
        return network
    raise NetworkError(f"the device is too small for any test network: {limits}")


def _events(network: Network, random: np.random.Generator) -> Sample:
    """Spikes at random inputs."""
    spikes = random.random((network.steps, network.inputs)) < DENSITY
    offsets = np.concatenate([[0], np.cumsum(spikes.sum(axis=1))])
    sample = EventSample(np.nonzero(spikes)[1].astype(np.uint16), offsets)
    return next(Events.of([sample], (1, 1, network.inputs)).samples())
