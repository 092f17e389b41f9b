"""Register file: the settings that the host writes."""

from typing import Any

from amaranth import Array, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.spec.network import Limits
from opzo.spec.registers import LAYER_FIELDS, STORED, LayerReg, Reg, layer_register, layer_slots

CONFIG = data.StructLayout({register.name.lower(): register.bits for register in STORED})
"""One field for each of STORED."""
LAYER = data.StructLayout({field.name.lower(): field.bits for field in LAYER_FIELDS})
"""One field for each of LAYER_FIELDS."""
GROUP_BITS = 3
"""Low bits of an address: which register of a group."""


def hidden_layers(limits: Limits) -> range:
    """Shape of the number of a hidden layer, at least one bit."""
    return range(max(limits.layers, 2))


def layers_layout(limits: Limits) -> data.ArrayLayout:
    """The layers into hidden layers, then the readout, which is layer ``limits.layers`` inside the chip."""
    return data.ArrayLayout(LAYER, limits.layers + 1)


def shifts_layout(limits: Limits) -> data.ArrayLayout:
    """Feedback shifts of the hidden layers."""
    return data.ArrayLayout(LayerReg.FEEDBACK_SHIFT.bits, limits.layers)


class FeedbackShiftSignature(Signature):
    """New feedback shifts: strobe ``valid``, ``values`` by layer, and the layers that exist in ``mask``."""

    def __init__(self, limits: Limits) -> None:
        super().__init__({"valid": Out(1), "values": Out(shifts_layout(limits)), "mask": Out(limits.layers)})


class RegisterFile(wiring.Component):
    """Registers of ``opzo.spec.registers``, without the counters.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    address : In(8)
    write_data : In(32), write_en : In(1)
        The register has its new value two cycles later.
    read_data : Out(32)
        REGISTER_CYCLES after ``address``; 0 at an address without a register.
    clear_counters, clear_traces : Out(1)
        Strobe, two cycles after ``write_en``: CLEAR_COUNTERS was written; HIDDEN_LAYERS was.
    config : Out(CONFIG), layers : Out(layers_layout)
    sample_done : In(1)
        Strobe: SAMPLES counts one up.
    feedback_shifts : In(FeedbackShiftSignature)
        Strobe: FEEDBACK_SHIFT of the layers in the mask takes a new value.
    """

    address: Signal
    write_data: Signal
    write_en: Signal
    read_data: Signal
    clear_counters: Signal
    clear_traces: Signal
    config: data.View
    layers: data.View
    sample_done: Signal
    feedback_shifts: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "address": In(8),
                "write_data": In(32),
                "write_en": In(1),
                "read_data": Out(32),
                "clear_counters": Out(1),
                "clear_traces": Out(1),
                "config": Out(CONFIG),
                "layers": Out(layers_layout(limits)),
                "sample_done": In(1),
                "feedback_shifts": In(FeedbackShiftSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = record(CONFIG, "config")
        layers = record(layers_layout(self._limits), "layers")
        m.d.comb += [self.config.eq(config), self.layers.eq(layers)]

        # The host writes only while no run is in progress, so the two sources of a register never meet.
        with m.If(self.sample_done):
            m.d.sync += config.samples.eq(config.samples + 1)
        new = self.feedback_shifts
        for slot in range(self._limits.layers):
            with m.If(new.valid & new.mask[slot]):
                m.d.sync += layers[slot].feedback_shift.eq(new.values[slot])

        single = {int(register): config[register.name.lower()] for register in STORED}
        by_layer = {
            layer_register(slot, field): layers[number][field.name.lower()]
            for number, slot in enumerate(layer_slots(self._limits))
            for field in LAYER_FIELDS
        }
        top = 1 + max(*single, *by_layer)
        values = single | by_layer
        # Latency does not matter here: address and data are registered, then one register of each group is selected,
        # then one of these.
        requested, chosen = Signal.like(self.address), Signal(8 - GROUP_BITS, reset_less=True)
        write_data = Signal.like(self.write_data, reset_less=True)
        groups = 1 + (top - 1 >> GROUP_BITS)
        writes = Signal(groups)
        m.d.sync += [
            requested.eq(self.address),
            write_data.eq(self.write_data),
            *(writes[group].eq(self.write_en & (self.address[GROUP_BITS:] == group)) for group in range(groups)),
        ]
        is_written = {
            address: writes[address >> GROUP_BITS] & (requested[:GROUP_BITS] == address % (1 << GROUP_BITS))
            for address in (*values, Reg.CLEAR_COUNTERS)
        }
        for address, value in values.items():
            with m.If(is_written[address]):
                m.d.sync += value.eq(write_data)
        check(m, "samples", ~(self.sample_done & is_written[Reg.SAMPLES]), "the host writes SAMPLES as a run ends")
        m.d.sync += [
            self.clear_counters.eq(is_written[Reg.CLEAR_COUNTERS]),
            self.clear_traces.eq(is_written[Reg.HIDDEN_LAYERS]),
            chosen.eq(requested[GROUP_BITS:]),
            self.read_data.eq(0),
        ]
        for group in range(groups):
            members = [values.get(group << GROUP_BITS | n, Const(0)) for n in range(1 << GROUP_BITS)]
            value = Signal(max(len(member) for member in members), name=f"group_{group}", reset_less=True)
            m.d.sync += value.eq(Array(members)[requested[:GROUP_BITS]])
            with m.If(chosen == group):
                m.d.sync += self.read_data.eq(value)
        return m
