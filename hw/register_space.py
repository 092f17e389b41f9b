"""Register space: settings and counters, as the host addresses them."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.counters import INCREMENTS, Counters
from opzo.hw.layer_sizes import LayerSizes
from opzo.hw.registers import CONFIG, FeedbackShiftSignature, MagnitudeSignature, RegisterFile, layers_layout
from opzo.hw.timing import REGISTER_CYCLES
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits
from opzo.spec.registers import COUNTER


class RegisterSpace(wiring.Component):
    """Register file and counters behind one address.

    Parameters
    ----------
    limits : Limits
    fixed : FixedNetwork or None
        Network of a device that only infers: its registers and the sizes of its layers are constants.

    Members
    -------
    address : In(8)
    write_data : In(32), write_en : In(1)
        The register has its new value two cycles later.
    read_data : Out(32)
        REGISTER_CYCLES after ``address``.
    writing : Out(1)
        Something was written, and is just taking effect.
    counting : Out(1)
        Counters are not exact yet.
    config : Out(CONFIG), layers : Out(layers_layout)
    clear_traces : Out(1)
        Strobe: HIDDEN_LAYERS was written.
    sample_done : In(1)
        Strobe: SAMPLES counts one up.
    feedback_shifts : In(FeedbackShiftSignature)
        New FEEDBACK_SHIFT of some layers.
    magnitude : In(MagnitudeSignature)
        New MAGNITUDE of a layer.
    increment : In(INCREMENTS)
        Increments of the counters.
    """

    address: Signal
    write_data: Signal
    write_en: Signal
    read_data: Signal
    writing: Signal
    counting: Signal
    config: data.View
    layers: data.View
    clear_traces: Signal
    sample_done: Signal
    feedback_shifts: Any
    magnitude: Any
    increment: data.View

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        self._limits, self._fixed = limits, fixed
        super().__init__(
            {
                "address": In(8),
                "write_data": In(32),
                "write_en": In(1),
                "read_data": Out(32),
                "writing": Out(1),
                "counting": Out(1),
                "config": Out(CONFIG),
                "layers": Out(layers_layout(limits)),
                "clear_traces": Out(1),
                "sample_done": In(1),
                "feedback_shifts": In(FeedbackShiftSignature(limits)),
                "magnitude": In(MagnitudeSignature(limits)),
                "increment": In(INCREMENTS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.file = file = RegisterFile(self._limits, self._fixed)
        m.submodules.sizes = sizes = LayerSizes(self._limits, self._fixed)
        m.submodules.counters = counters = Counters()
        addresses = [Signal(8, name=f"address_{n}", reset_less=True) for n in range(REGISTER_CYCLES)]
        m.d.sync += [after.eq(before) for after, before in zip(addresses, [self.address, *addresses], strict=False)]
        counter = Signal(32, reset_less=True)
        writing = Signal(2)
        m.d.sync += [
            counter.eq(counters.data),
            writing.eq(writing << 1 | self.write_en),
            file.sample_done.eq(self.sample_done),
        ]
        wiring.connect(m, wiring.flipped(self.feedback_shifts), file.feedback_shifts)
        wiring.connect(m, wiring.flipped(self.magnitude), file.magnitude)
        m.d.comb += [
            file.address.eq(self.address),
            file.write_data.eq(self.write_data),
            file.write_en.eq(self.write_en),
            counters.clear.eq(file.clear_counters),
            counters.half.eq(addresses[0][0]),
            counters.index.eq(addresses[0][1:7]),
            counters.increment.eq(self.increment),
            self.read_data.eq(Mux(addresses[-1][7:] == COUNTER >> 7, counter, file.read_data)),
            self.writing.eq(writing.any() | sizes.busy),
            self.counting.eq(counters.busy),
            self.config.eq(file.config),
            sizes.config.eq(file.config),
            sizes.fields.eq(file.layers),
            sizes.written.eq(file.written),
            self.layers.eq(sizes.layers),
            self.clear_traces.eq(file.clear_traces),
        ]
        return m
