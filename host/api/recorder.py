"""Recording: samples run on a device and, from its state, on a golden model that records them.

No device shows potentials and credits of each step. The golden model starts from the state that is read from the
device, so it goes the same way; answers, counters, and what memories hold afterwards are compared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.api.recording import Recording
from opzo.host.data.class_names import Names
from opzo.host.driver.device import Device
from opzo.host.driver.devices import recording
from opzo.host.driver.link import Link
from opzo.host.driver.position_order import by_position
from opzo.host.driver.raw_device import SETTINGS
from opzo.host.driver.sample import Result, Sample
from opzo.host.driver.state import State
from opzo.host.driver.statistics import counter_array
from opzo.host.driver.transport import Connection
from opzo.spec.errors import OpzoError
from opzo.spec.formats import ERROR, LOSS_FRAC_BITS, MEMBRANE, TRACE_FRAC_BITS, UPDATE_FRAC_BITS, WEIGHT
from opzo.spec.layout import Layer
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS, Reg
from opzo.spec.rules import Rule

CREDIT_ONE = 1 << (WEIGHT.frac_bits + UPDATE_FRAC_BITS)
"""Raw value of a credit that changes a weight by 1."""


def record(
    device: Device,
    network: Network,
    rule: Rule,
    samples: Sequence[Sample],
    *,
    learn: bool,
    labels: NDArray[np.uint8] | None,
    names: Names,
) -> Recording:
    """Run samples on a device that holds the network, and record them.

    OpzoError where the device does not answer as the golden model does.
    """
    state = State.read(device, rule)
    registers = sorted(SETTINGS - {Reg.CLEAR_COUNTERS})
    settings = {int(register): device.read_registers(register)[0] for register in registers}
    transport = recording(device.limits)
    with Device("golden", Link(Connection.over(transport, "golden"))) as golden:
        golden.configure(network, rule)
        state.write(golden)
        golden.write_registers(settings)
        results, found = _run(device, network, samples, learn=learn)
        _, expected = _run(golden, network, samples, learn=learn)
    for what in expected:
        if not np.array_equal(found[what], expected[what]):
            raise OpzoError(
                f"{device.name} differs from the golden model in its {what}, so nothing can be recorded; "
                f"check it with opzo selftest --device {device.name}"
            )
    places = network.layout(device.limits)[:-1]
    runs = _by_sample(transport.core.records, samples)

    def hidden(name: str, one: int) -> tuple[NDArray[np.float32], ...]:
        layers = range(len(places))
        words = [np.stack([np.concatenate([getattr(run, name)[k] for run in some]) for some in runs]) for k in layers]
        return tuple(_arranged(values, place, one) for values, place in zip(words, places, strict=True))

    def outputs(name: str, one: int) -> NDArray[np.float32]:
        values = np.stack([np.concatenate([getattr(run, name) for run in some]) for some in runs])
        return (values / one).astype(np.float32)

    return Recording(
        network=network,
        learn=learn,
        labels=labels,
        predictions=np.array([result.prediction for result in results], np.intp),
        spikes=tuple(values.astype(bool) for values in hidden("spikes", 1)),
        potentials=hidden("potentials", MEMBRANE.one),
        traces=hidden("traces", 1 << TRACE_FRAC_BITS),
        credits=hidden("credits", CREDIT_ONE),
        readouts=outputs("readouts", MEMBRANE.one),
        losses=None if labels is None else outputs("losses", 1 << LOSS_FRAC_BITS),
        errors=None if labels is None else outputs("errors", ERROR.one),
        class_names=names,
    )


def _run(
    device: Device, network: Network, samples: Sequence[Sample], *, learn: bool
) -> tuple[list[Result], dict[str, Any]]:
    """Results of the samples, and what the device has to have in common with the golden model, by name."""
    before = counter_array(device.counters())
    results = list(device.run(samples, train=learn, outputs=True))
    counted = counter_array(device.counters()) - before
    counted[list(TIMING_COUNTERS)] = 0
    found: dict[str, Any] = {
        "predictions": [result.prediction for result in results],
        "losses": [result.loss for result in results],
        "readouts": [result.outputs for result in results],
        "counters": counted,
        "random state": device.read_lfsr(),
    }
    for layer in range(len(network.hidden)):
        found[f"membrane potentials of hidden layer {layer + 1}"] = device.read_membranes(layer)
        found[f"spikes of hidden layer {layer + 1}"] = device.read_histories(layer)
    return results, found


def _by_sample(records: Sequence[Any], samples: Sequence[Sample]) -> list[Sequence[Any]]:
    """Records of the runs of each sample."""
    ends = np.cumsum([len(sample.runs) for sample in samples]).tolist()
    return [records[end - len(sample.runs) : end] for end, sample in zip(ends, samples, strict=True)]


def _arranged(values: NDArray[np.int64], place: Layer, one: int) -> NDArray[np.float32]:
    """Values (count, steps, words, lanes) as (count, steps, n) or (count, steps, channels, height, width)."""
    rows = by_position(values, place, values.shape[-1])
    if place.convolution:
        map = place.shape.map
        rows = np.moveaxis(rows.reshape(*rows.shape[:2], map.height, map.width, map.channels), -1, 2)
    return (rows / one).astype(np.float32)
