"""Memories of neurons and inputs, which can only be read: what runs leave in them, beside the golden model's."""

from collections.abc import Iterable

import numpy as np

from opzo.host.data.events.event_samples import Events, EventSample
from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.selftest.check import Bench, entry_of, golden_device, prepare, require_equal
from opzo.spec.errors import NetworkError
from opzo.spec.events import encode_events
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.memories import Space
from opzo.spec.network import Limits, Network
from opzo.spec.rules import Input, Rule

CLASSES = 2
ROUNDS = 4
"""Runs with other weights, so that each bit is 0 and 1."""
DENSITY = 0.2
"""Share of the inputs with a spike in a time step."""


def neurons_step(bench: Bench) -> str:
    """Run a layer of as many neurons as fit, then events at as many inputs as fit; weights and events are random."""
    limits = bench.limits
    devices = (bench.device, golden_device(limits))
    wide = first_that_fits(limits, _wide(limits))
    frame = Sample((encode_events([(0, 255)]),))
    for number in range(ROUNDS):
        for device in devices:
            _run(device, wide, frame, bench.seed + number)
        words = wide.layout(limits)[0].words
        _compare(devices, Space.MEMBRANE, 2 * words)
        _compare(devices, Space.HISTORY, Space.HISTORY.rows(limits))
    details = {"neurons": wide.hidden[0]}
    text = f"{wide.hidden[0]:,} neurons"
    if limits.steps >= HISTORY_STEPS:
        many = first_that_fits(limits, _many_inputs(limits))
        for number in range(ROUNDS):
            events = _events(many, bench.random(3, number))
            for device in devices:
                _run(device, many, events, bench.seed)
            _compare(devices, Space.INPUT_HISTORY, Space.INPUT_HISTORY.rows(limits))
        details["inputs"] = many.inputs
        text += f", {many.inputs:,} inputs"
    bench.details |= details
    return text


def _run(device: Device, network: Network, sample: Sample, seed: int) -> None:
    prepare(device, network, Rule.OPZO, seed)
    for _ in device.run([sample]):
        pass


def _compare(devices: tuple[Device, Device], space: Space, rows: int) -> None:
    actual, expected = (device.read_memory(space, 0, rows) for device in devices)
    require_equal(actual, expected, entry_of(f"{space.name} after a run", "row", "lane"))


def _wide(limits: Limits) -> Iterable[Network]:
    """Networks with one layer of fewer and fewer words of neurons."""
    steps = min(3, limits.steps)
    return (Network((1, words * limits.lanes, CLASSES), steps) for words in range(limits.words, 0, -1))


def _many_inputs(limits: Limits) -> Iterable[Network]:
    """Networks of one neuron with fewer and fewer inputs, for two chunks of events or more."""
    return (
        Network((inputs, 1, CLASSES), 2 * HISTORY_STEPS, input=Input.SPIKES) for inputs in range(limits.inputs, 0, -1)
    )


def first_that_fits(limits: Limits, networks: Iterable[Network]) -> Network:
    """First of some networks that a device has room for; NetworkError where there is none."""
    for network in networks:
        try:
            network.check(limits)
        except NetworkError:
            continue
        return network
    raise NetworkError(f"the device holds no network that can be tested: {limits}")


def _events(network: Network, random: np.random.Generator) -> Sample:
    """Spikes at random inputs."""
    spikes = random.random((network.steps, network.inputs)) < DENSITY
    offsets = np.concatenate([[0], np.cumsum(spikes.sum(axis=1))])
    sample = EventSample(np.nonzero(spikes)[1].astype(np.uint16), offsets)
    return next(Events.of([sample], (1, 1, network.inputs)).samples())
