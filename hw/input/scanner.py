"""Spike scanner: words of spike bits in, one spike a cycle out."""

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from opzo.hw.lib.record import record
from opzo.hw.registers import LAYER, hidden_layers
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

GROUP = 8
"""Lanes that are encoded at once."""
FEW_WORDS = 15
"""Words in the queue where spikes leave it as fast as words come."""


def fired_layout(limits: Limits) -> data.StructLayout:
    """Spikes of one word at one time step; ``last``: the layer's last word of this step."""
    return data.StructLayout(
        {
            "layer": hidden_layers(limits),
            "parity": 1,
            "step": range(HISTORY_STEPS),
            "word": limits.word_bits,
            "spikes": limits.lanes,
            "last": 1,
        }
    )


def queue_words(limits: Limits) -> int:
    """Words that wait in the queue of a scanner, without the one at its output.

    The lanes of a group emit a word in as many cycles as it has lanes, or more (`opzo.hw.schedule.word_gate.WordGate`).
    So the spikes of a device with one group leave the queue as fast as words come.
    """
    return limits.words if limits.groups > 1 else min(FEW_WORDS, limits.words)


def map_layout(limits: Limits) -> data.StructLayout:
    """Settings of the list of a layer: words and neurons of a position, and whether a pool follows."""
    return data.StructLayout({name: LAYER[name].shape for name in ("words", "channels", "cells")})


def entry_bits(limits: Limits) -> int:
    """Bits of an entry of a list: the row that the neuron has in the weights of a dense layer above it.

    Without convolutions that is its number. In a map it is ``position * channels + channel``, where the positions of a
    cell count as one if a pool follows; no more bits than a row has are kept.
    """
    return min(limits.row_bits, limits.neuron_bits) if limits.gradients else limits.neuron_bits


def finished_layout(limits: Limits) -> data.StructLayout:
    """Strobe: all spikes of this layer and time step have been emitted."""
    return data.StructLayout({"valid": 1, "layer": hidden_layers(limits), "step": range(HISTORY_STEPS)})


def spike_layout(limits: Limits) -> data.StructLayout:
    """One spike: neuron ``row`` of ``layer``, and its ``entry`` of the list (`entry_bits`)."""
    return data.StructLayout(
        {
            "valid": 1,
            "layer": hidden_layers(limits),
            "parity": 1,
            "step": range(HISTORY_STEPS),
            "row": limits.neuron_bits,
            "entry": entry_bits(limits),
        }
    )


def placed_layout(limits: Limits) -> data.StructLayout:
    """Strobe: the first lane of ``word`` of ``layer`` has this ``entry`` of the list."""
    return data.StructLayout(
        {"valid": 1, "layer": hidden_layers(limits), "word": limits.word_bits, "entry": entry_bits(limits)}
    )


def group_lanes(limits: Limits) -> int:
    """Lanes that are encoded at once."""
    return min(GROUP, limits.lanes)


def groups_of_word(limits: Limits) -> int:
    """Groups of lanes of a word, each encoded at once."""
    return max(1, limits.lanes // GROUP)


def group_layout(limits: Limits) -> data.StructLayout:
    """Strobe: a group of lanes with ``spikes``; ``entry`` of the list (`entry_bits`) of its first lane."""
    return data.StructLayout(
        {
            "valid": 1,
            "layer": hidden_layers(limits),
            "parity": 1,
            "entry": entry_bits(limits),
            "spikes": group_lanes(limits),
        }
    )


def lowest(bits: Value) -> Value:
    """Lowest bit that is set, alone."""
    return Cat(bit if n == 0 else bit & ~bits[:n].any() for n, bit in enumerate(bits))


def at_most_one(bits: Value) -> Value:
    """Whether fewer than two bits are set; a tree of LUT4s instead of a carry chain."""
    nodes = [(bits[n : n + 4].any(), _several(bits[n : n + 4])) for n in range(0, len(bits), 4)]
    return ~(Cat(several for _, several in nodes).any() | _several(Cat(some for some, _ in nodes)))


def _several(bits: Value) -> Value:
    """Whether two or more of up to four bits are set."""
    return Cat(bits[n] & bits[:n].any() for n in range(1, len(bits))).any()


class SpikeScanner(wiring.Component):
    """Queue words and emit their spikes in ascending order, one a cycle.

    Words without spikes take one cycle, and none where an earlier word keeps the output busy. A word is encoded in two
    stages: the lowest group of GROUP lanes with spikes moves on, then the lowest lanes of the group one by one.

    Parameters
    ----------
    limits : Limits
        The queue holds `queue_words`.

    Members
    -------
    maps : In(array of map_layout by hidden layer)
    fired : In(stream of fired_layout)
        Words; those of a layer and step in ascending order.
    spike : Out(spike_layout)
        Strobe. The first one of a word comes 6 cycles after it was taken by an empty queue.
    group : Out(group_layout)
        In a build with convolutions: each group of lanes with spikes, before its first spike.
    finished : Out(finished_layout)
        Strobe in the cycle of the last ``spike`` of a ``last`` word, or when that would have been.
    placed : Out(placed_layout)
        In a build with convolutions: each word, in the cycle after it left the queue.
    pending : Out(1)
        Something is under way; rises the cycle after a word was taken, falls with the last ``spike`` or ``finished``.
    """

    maps: data.View
    fired: stream.Interface
    spike: data.View
    group: data.View
    finished: data.View
    placed: data.View
    pending: Signal

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.groups, self.group_lanes = groups_of_word(limits), group_lanes(limits)
        super().__init__(
            {
                "maps": In(data.ArrayLayout(map_layout(limits), limits.layers)),
                "fired": In(stream.Signature(fired_layout(limits))),
                "spike": Out(spike_layout(limits)),
                "group": Out(group_layout(limits)),
                "finished": Out(finished_layout(limits)),
                "placed": Out(placed_layout(limits)),
                "pending": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fired = fired_layout(self.limits)
        lanes = data.ArrayLayout(self.group_lanes, self.groups)
        tags = data.StructLayout({"layer": hidden_layers(self.limits), "parity": 1, "step": range(HISTORY_STEPS)})
        words = self.limits.word_bits

        # Which groups have spikes is found before the queue, where there is time for it.
        queued = data.StructLayout({"word": fired, "groups": self.groups})
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=queued.size, depth=1 + queue_words(self.limits))
        # The queue's output comes straight from a block RAM: register it before anything looks at it.
        head_valid = Signal()
        head_register = record(queued, "head", reset_less=True)
        head, head_groups = head_register.word, head_register.groups

        # Stage 1: a word, its lowest group and the groups after that. What a stage waits for is kept in flip-flops of
        # its own, because it decides about all registers before.
        word_some = Signal()
        word_more = Signal()
        pick, rest = (Signal(self.groups, name=name, reset_less=True) for name in ("pick", "rest"))
        word_spikes = record(lanes, "word_spikes", reset_less=True)
        word_tags = record(tags, "word_tags", reset_less=True)
        word = Signal(words, reset_less=True)

        # Stage 2: a group, from which lanes are taken; free where at most one is left.
        bits = Signal(self.group_lanes)
        group_free = Signal(init=1)
        group_tags = record(tags, "group_tags", reset_less=True)
        group_row = Signal(words + ceil_log2(self.groups), name="row", reset_less=True)
        group_entry = Signal(entry_bits(self.limits), reset_less=True)
        lane = lowest(bits)
        picked = _select(pick, word_spikes)
        # Marks travel with the last word of a layer: with the word, then with its bits, then with the spike.
        word_mark, group_mark = (record(finished_layout(self.limits), f"{name}_mark") for name in ("word", "group"))

        word_free = Signal()
        head_free = Signal()
        word_entry = self._place_words(m, head, head_valid, word_free) if self.limits.gradients else None
        m.d.comb += [
            # Without groups the word is done with, but its mark must not overtake the one before it.
            word_free.eq(Mux(word_some, ~word_more & group_free, ~word_mark.valid | group_free)),
            head_free.eq(~head_valid | word_free),
            queue.w_data.eq(
                Cat(self.fired.p, (group.any() for group in _groups(self.fired.p.spikes, self.group_lanes)))
            ),
            queue.w_en.eq(self.fired.valid),
            self.fired.ready.eq(queue.w_rdy),
            queue.r_en.eq(head_free),
            self.pending.eq(
                (queue.r_level != 0) | head_valid | word_some | word_mark.valid | bits.any() | group_mark.valid
            ),
        ]
        with m.If(head_free):
            m.d.sync += [head_valid.eq(queue.r_rdy), head_register.eq(queue.r_data)]
        with m.If(word_free):
            m.d.sync += [
                word_some.eq(head_valid & head_groups.any()),
                word_more.eq(~at_most_one(head_groups)),
                pick.eq(lowest(head_groups)),
                rest.eq(head_groups & ~lowest(head_groups)),
                word_spikes.eq(head.spikes),
                word.eq(head.word),
                word_mark.valid.eq(head_valid & head.last),
                word_mark.layer.eq(head.layer),
                word_mark.step.eq(head.step),
            ]
            m.d.sync += [word_tags[name].eq(head[name]) for name in ("layer", "parity", "step")]
        with m.Elif(group_free):
            m.d.sync += [word_more.eq(~at_most_one(rest)), pick.eq(lowest(rest)), rest.eq(rest & ~lowest(rest))]
        with m.If(group_free):
            m.d.sync += [
                bits.eq(Mux(word_some, picked, 0)),
                group_free.eq(~word_some | at_most_one(picked)),
                group_tags.eq(word_tags),
                group_row.eq(Cat(encode(pick), word)),
            ]
            if word_entry is not None:
                first_entry = Signal.like(group_entry, name="first_entry")
                m.d.comb += first_entry.eq(word_entry + (encode(pick) << ceil_log2(self.group_lanes)))
                m.d.sync += [
                    group_entry.eq(first_entry),
                    self.group.layer.eq(word_tags.layer),
                    self.group.parity.eq(word_tags.parity),
                    self.group.entry.eq(first_entry),
                    self.group.spikes.eq(picked),
                ]
            m.d.sync += [group_mark.eq(word_mark), group_mark.valid.eq(word_mark.valid & word_free)]
        with m.Else():
            m.d.sync += [bits.eq(bits & ~lane), group_free.eq(at_most_one(bits & ~lane))]
        m.d.sync += [
            self.finished.eq(group_mark),
            self.finished.valid.eq(group_mark.valid & group_free),
            self.spike.valid.eq(bits.any()),
            self.spike.row.eq(Cat(encode(lane), group_row)),
            self.spike.entry.eq(Cat(encode(lane), group_row) if word_entry is None else group_entry + encode(lane)),
        ]
        m.d.sync += [self.spike[name].eq(group_tags[name]) for name in ("layer", "parity", "step")]
        if word_entry is not None:
            m.d.sync += self.group.valid.eq(group_free & word_some)
        return m

    def _place_words(self, m: Module, head: data.View, valid: Value, taken: Value) -> Value:
        """Entry of the first lane of the word in stage 1."""
        entry = len(self.spike.entry)
        map = record(map_layout(self.limits), "map")
        m.d.comb += map.eq(Array(self.maps)[head.layer])
        # Constant during a run.
        ends = [
            Signal.like(map.words, name=f"last_part_{layer}", reset_less=True) for layer in range(self.limits.layers)
        ]
        m.d.sync += [end.eq(self.maps[layer].words - 1) for layer, end in enumerate(ends)]
        # The place of the word after the one in stage 1: its position's entry, its own, and its number in the position.
        place = record(
            data.StructLayout({"position": entry, "word": entry, "part": map.words.shape(), "cell": CELL_BITS}), "place"
        )
        position, word, part, cell = (Signal.like(place[name], name=f"head_{name}") for name, _ in place.shape())
        here = Signal(entry, name="word_entry", reset_less=True)
        next_position = Signal(entry)
        last = part == Array(ends)[head.layer]
        m.d.sync += [
            self.placed.valid.eq(taken & valid),
            self.placed.layer.eq(head.layer),
            self.placed.word.eq(head.word),
            self.placed.entry.eq(word),
        ]
        with m.If(head.word != 0):
            m.d.comb += [position.eq(place.position), word.eq(place.word), part.eq(place.part), cell.eq(place.cell)]
        m.d.comb += next_position.eq(position + Mux(~map.cells | cell.all(), map.channels, 0))
        with m.If(taken & valid):
            m.d.sync += [
                here.eq(word),
                place.position.eq(Mux(last, next_position, position)),
                place.word.eq(Mux(last, next_position, word + self.limits.lanes)),
                place.part.eq(Mux(last, 0, part + 1)),
                place.cell.eq(cell + last),
            ]
        return here


def _groups(bits: Value, size: int) -> list[Value]:
    return [bits[n : n + size] for n in range(0, len(bits), size)]


def encode(one_hot: Value) -> Value:
    """Number of the bit that is set; 0 bits wide for a single bit."""
    width = ceil_log2(len(one_hot))
    return Cat(Cat(bit for n, bit in enumerate(one_hot) if n >> position & 1).any() for position in range(width))


def _select(one_hot: Value, choices: data.View) -> Value:
    """Element of an array whose bit is set."""
    result: Value = choices[0] & one_hot[0].replicate(len(choices[0]))
    for n in range(1, len(one_hot)):
        result |= choices[n] & one_hot[n].replicate(len(choices[n]))
    return result
