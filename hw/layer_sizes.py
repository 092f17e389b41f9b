"""Sizes of the layers that follow from their registers."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG, FIELDS, LAYER, fields_layout, layers_layout
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg

_PRODUCTS = ("positions", "all_words", "block_row", "block_words")
_COMPUTED = (*_PRODUCTS, "block_base", "place_base")


class LayerSizes(wiring.Component):
    """Add to the registers of each layer the sizes of LAYER.

    A device without convolutions needs no products; in others they are computed one after another, bit by bit, when a
    register was written. Golden twins: properties of ``opzo.spec.network.Layer``.

    Parameters
    ----------
    limits : Limits
    fixed : FixedNetwork or None
        Network of a device that only infers: its sizes are constants.

    Members
    -------
    config : In(CONFIG), fields : In(fields_layout)
        Registers.
    written : In(1)
        Strobe: some register was written.
    layers : Out(layers_layout)
        Sizes are right while not ``busy``.
    busy : Out(1)
        Rises with ``written``.
    """

    config: data.View
    fields: data.View
    written: Signal
    layers: data.View
    busy: Signal

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        self._limits, self._fixed = limits, fixed
        super().__init__(
            {
                "config": In(CONFIG),
                "fields": In(fields_layout(limits)),
                "written": In(1),
                "layers": Out(layers_layout(limits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layers, config = self._limits.layers, self.config
        if self._limits.gradients and self._fixed is not None:
            self._fix(m, self._fixed)
            return m
        for number, (layer, fields) in enumerate(zip(self.layers, self.fields, strict=True)):
            m.d.comb += [layer[name].eq(fields[name]) for name, _ in FIELDS]
            if not self._limits.gradients:
                m.d.comb += [
                    layer.all_words.eq(fields.words),
                    layer.block_words.eq(fields.words),
                    layer.block_base.eq(fields.word_base),
                ]
                continue
            last = number >= layers - 1
            is_readout = number == layers
            above_is_readout = (config.hidden_layers == number + 1) | last
            pool_above = (
                self.fields[layers].pool
                if last
                else Mux(above_is_readout, self.fields[layers].pool, self.fields[number + 1].pool)
            )
            # Registered: they change with a register only.
            m.d.sync += [
                layer.channels.eq(((fields.words - 1) << self._limits.lane_bits) + fields.tail),
                layer.cells.eq(0 if is_readout else pool_above),
            ]
            if number == 0:
                m.d.sync += layer.seen.eq(config.input_channels)
            elif is_readout:
                channels = Array(self.layers[n].channels for n in range(layers))
                m.d.sync += layer.seen.eq(channels[(config.hidden_layers - 1)[: max(1, (layers - 1).bit_length())]])
            else:
                m.d.sync += layer.seen.eq(self.layers[number - 1].channels)
        if self._limits.gradients:
            self._multiply(m)
        return m

    def _fix(self, m: Module, fixed: FixedNetwork) -> None:
        """Sizes of the layers of ``fixed``; the registers of layers that it lacks are 0, and so are their sizes."""
        base = place_base = 0
        for layer, fields in zip(self.layers, self.fields, strict=True):
            m.d.comb += [layer[name].eq(fields[name]) for name, _ in FIELDS]
        *hidden, readout = fixed.layers
        for number, layer in (*enumerate(hidden), (self._limits.layers, readout)):
            sizes = {
                "positions": layer.positions,
                "all_words": layer.all_words,
                "block_row": -(-layer.shape.map.width // layer.block) * layer.words,
                "block_words": layer.block_words,
                "block_base": base,
                "place_base": place_base,
                "channels": layer.neurons,
                "seen": layer.shape.seen.channels,
                "cells": layer.cells,
            }
            m.d.comb += [self.layers[number][name].eq(size) for name, size in sizes.items()]
            base += layer.block_words
            place_base += layer.places

    def _multiply(self, m: Module) -> None:
        """Four products a layer, the second and the fourth of the one before them."""
        computed = data.StructLayout({name: LAYER[name].shape for name in _COMPUTED})
        sizes = [record(computed, f"sizes_{n}") for n in range(self._limits.layers + 1)]
        for layer, size in zip(self.layers, sizes, strict=True):
            m.d.comb += [layer[name].eq(size[name]) for name in _COMPUTED]
        number = Signal(range(len(sizes)))
        step = Signal(range(len(_PRODUCTS)))
        fields = record(FIELDS, "layer")
        # Registered; so the factors are right in the second cycle of a layer.
        m.d.sync += fields.eq(Array(self.fields)[number])
        product, shifted, base, place_base = (
            Signal(LAYER["all_words"].shape, name=name, reset_less=True)
            for name in ("product", "shifted", "base", "place_base")
        )
        places = Signal.like(product)
        m.d.comb += places.eq(
            Mux(Array(self.layers[n].cells for n in range(len(sizes)))[number], product >> CELL_BITS, product)
        )
        factor = Signal(LayerReg.WORDS.bits, reset_less=True)
        is_map = fields.kernel != 0
        across, down = (((side - 1) >> fields.block_shift) + 1 for side in (fields.width, fields.height))
        # A dense layer has one position and one block.
        values = Array([Mux(is_map, fields.width, 1), product, fields.words, product])
        factors = Array([Mux(is_map, fields.height, 1), fields.words, Mux(is_map, across, 1), Mux(is_map, down, 1)])
        last_step, last_layer = step == len(_PRODUCTS) - 1, number == len(sizes) - 1
        working = Signal()
        multiplying = Signal()
        settled = Signal()
        m.d.comb += self.busy.eq(self.written | working)
        m.d.sync += settled.eq(working & ~multiplying & ~self.written)
        with m.If(working & ~multiplying & settled):
            m.d.sync += [shifted.eq(values[step]), factor.eq(factors[step]), product.eq(0), multiplying.eq(1)]
        with m.If(multiplying):
            m.d.sync += [shifted.eq(shifted << 1), factor.eq(factor >> 1)]
            with m.If(factor[0]):
                m.d.sync += product.eq(product + shifted)
        with m.If(multiplying & (factor == 0)):
            for n, size in enumerate(sizes):
                with m.If(number == n):
                    m.d.sync += size.block_base.eq(base)
                    with m.If(step == 0):
                        m.d.sync += size.place_base.eq(place_base)
                    for k, name in enumerate(_PRODUCTS):
                        with m.If(step == k):
                            m.d.sync += size[name].eq(product)
            m.d.sync += [multiplying.eq(0), step.eq(step + 1)]
            with m.If(step == 0):
                m.d.sync += place_base.eq(place_base + places)
            with m.If(last_step):
                m.d.sync += [step.eq(0), number.eq(number + 1), base.eq(base + product)]
            with m.If(last_step & last_layer):
                m.d.sync += [working.eq(0), number.eq(0), base.eq(0), place_base.eq(0)]
        # A register that is written meanwhile makes them begin again.
        with m.If(self.written):
            m.d.sync += [working.eq(1), multiplying.eq(0), number.eq(0), step.eq(0), base.eq(0), place_base.eq(0)]
