"""Register file: the settings that the host writes."""

from typing import Any

from amaranth import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import MAX_INPUTS, MAX_WORDS, Limits
from opzo.spec.registers import LayerReg, Reg, layer_register, layer_slots, stored_bits

CONFIG = data.StructLayout({register.name.lower(): register.bits for register in Reg if register.bits})
"""One field for each register; those that a device lacks are 0."""
FIELDS = data.StructLayout({field.name.lower(): field.bits for field in LayerReg})
"""One field for each register of a layer; those that a device lacks are 0."""
_WORDS = range(MAX_WORDS + 1)
LAYER = data.StructLayout(
    {
        **{name: field.shape for name, field in FIELDS},
        "positions": _WORDS,
        "all_words": _WORDS,
        "block_row": _WORDS,
        "block_words": _WORDS,
        "block_base": range(MAX_WORDS),
        "place_base": range(MAX_WORDS),
        "channels": range(MAX_INPUTS + 1),
        "seen": range(MAX_INPUTS + 1),
        "cells": 1,
    }
)
"""Registers of a layer, and what follows from them (`opzo.hw.layer_sizes.LayerSizes`): positions of its map; words of
all positions; words of a row of blocks, of all blocks, and of the blocks of the layers below; positions of the layers
below, or cells where a pool follows; neurons of a position of the map, and of the map below; whether an average pool
follows."""
GROUP_BITS = 3
"""Low bits of an address: which register of a group."""


def hidden_layers(limits: Limits) -> range:
    """Shape of the number of a hidden layer, at least one bit."""
    return range(max(limits.layers, 2))


def layers_layout(limits: Limits) -> data.ArrayLayout:
    """The layers into hidden layers, then the readout, which is layer ``limits.layers`` inside the chip."""
    return data.ArrayLayout(LAYER, limits.layers + 1)


def fields_layout(limits: Limits) -> data.ArrayLayout:
    """Registers of these layers."""
    return data.ArrayLayout(FIELDS, limits.layers + 1)


class MagnitudeSignature(Signature):
    """New MAGNITUDE of hidden layer ``layer``: strobe ``valid``, and its ``value``."""

    def __init__(self, limits: Limits) -> None:
        super().__init__({"valid": Out(1), "layer": Out(hidden_layers(limits)), "value": Out(LayerReg.MAGNITUDE.bits)})


def shifts_layout(limits: Limits) -> data.ArrayLayout:
    """Feedback shifts of the hidden layers."""
    return data.ArrayLayout(LayerReg.FEEDBACK_SHIFT.bits, limits.layers)


class FeedbackShiftSignature(Signature):
    """New feedback shifts: strobe ``valid``, ``values`` by layer, and the layers that exist in ``mask``."""

    def __init__(self, limits: Limits) -> None:
        super().__init__({"valid": Out(1), "values": Out(shifts_layout(limits)), "mask": Out(limits.layers)})


def batch_full(config: data.View) -> Value:
    """Whether the gradients of this run with learning complete a batch."""
    result: Value = config.pending + 1 >= config.batch
    return result


class RegisterFile(wiring.Component):
    """Registers of ``opzo.spec.registers``, without the counters.

    Parameters
    ----------
    limits : Limits
    fixed : FixedNetwork or None
        Network of a device that only infers: its registers are constants, and writing only strobes.

    Members
    -------
    address : In(8)
    write_data : In(32), write_en : In(1)
        The register has its new value two cycles later.
    read_data : Out(32)
        REGISTER_CYCLES after ``address``; 0 at an address without a register.
    clear_counters, clear_traces : Out(1)
        Strobe, two cycles after ``write_en``: CLEAR_COUNTERS was written; HIDDEN_LAYERS was.
    written : Out(1)
        Strobe, two cycles after ``write_en``: some register has a new value from the host.
    config : Out(CONFIG), layers : Out(fields_layout)
    sample_done : In(1)
        Strobe: SAMPLES counts one up, and PENDING where the network has convolutions.
    feedback_shifts : In(FeedbackShiftSignature)
        Strobe: FEEDBACK_SHIFT of the layers in the mask takes a new value.
    magnitude : In(MagnitudeSignature)
        Strobe: MAGNITUDE of a layer takes a new value.
    """

    address: Signal
    write_data: Signal
    write_en: Signal
    read_data: Signal
    clear_counters: Signal
    clear_traces: Signal
    written: Signal
    config: data.View
    layers: data.View
    sample_done: Signal
    feedback_shifts: Any
    magnitude: Any

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        self._limits, self._fixed = limits, fixed
        super().__init__(
            {
                "address": In(8),
                "write_data": In(32),
                "write_en": In(1),
                "read_data": Out(32),
                "clear_counters": Out(1),
                "clear_traces": Out(1),
                "written": Out(1),
                "config": Out(CONFIG),
                "layers": Out(fields_layout(limits)),
                "sample_done": In(1),
                "feedback_shifts": In(FeedbackShiftSignature(limits)),
                "magnitude": In(MagnitudeSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = record(CONFIG, "config")
        layers = record(fields_layout(self._limits), "layers")
        m.d.comb += [self.config.eq(config), self.layers.eq(layers)]
        if self._fixed is None:
            self._follow_learning(m, config, layers)

        stored = stored_bits(self._limits)
        values = {
            **{int(register): config[register.name.lower()] for register in Reg if register in stored},
            **{
                layer_register(slot, field): layers[number][field.name.lower()]
                for number, slot in enumerate(layer_slots(self._limits))
                for field in LayerReg
                if layer_register(slot, field) in stored
            },
        }
        top = 1 + max(values)
        # Latency does not matter here: address and data are registered, then one register of each group is selected,
        # then one of these.
        requested = Signal.like(self.address)
        chosen = Signal(8 - GROUP_BITS, reset_less=True)
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
            if self._fixed is None:
                with m.If(is_written[address]):
                    m.d.sync += value.eq(write_data)
            else:
                m.d.comb += value.eq(self._fixed.registers[address])
        check(m, "samples", ~(self.sample_done & is_written[Reg.SAMPLES]), "the host writes SAMPLES as a run ends")
        m.d.sync += [
            self.written.eq(writes.any()),
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

    def _follow_learning(self, m: Module, config: data.View, layers: data.View) -> None:
        """Registers that runs with learning change.

        The host writes only while no run is in progress, so the two sources of a register never meet.
        """
        with m.If(self.sample_done):
            m.d.sync += config.samples.eq(config.samples + 1)
        new = self.feedback_shifts
        for slot in range(self._limits.layers):
            with m.If(new.valid & new.mask[slot]):
                m.d.sync += layers[slot].feedback_shift.eq(new.values[slot])
        if self._limits.gradients:
            # A network with convolutions begins with one.
            with m.If(self.sample_done & (layers[0].kernel != 0)):
                m.d.sync += config.pending.eq(Mux(batch_full(config), 0, config.pending + 1))
            for slot in range(self._limits.layers):
                with m.If(self.magnitude.valid & (self.magnitude.layer == slot)):
                    m.d.sync += layers[slot].magnitude.eq(self.magnitude.value)
