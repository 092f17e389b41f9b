"""Block walk: which block word each word of a map belongs to."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.record import record
from opzo.hw.registers import LAYER
from opzo.hw.schedule.position_walk import position_moves


class BlockWalk(wiring.Component):
    """Follow the words of a layer, position by position, through the blocks that share feedback entries.

    Golden twin: ``opzo.spec.geometry.blocks``. A dense layer is one block of one position.

    Members
    -------
    start : In(1), next : In(1)
        Strobes: go to the first word of a layer; go to the next word.
    layer : In(LAYER)
        Constant from the cycle after ``start`` on.
    word : Out
        Block word of the word, counted from the first one of the layer.
    begins : Out(1)
        The position is the first one of its block.
    ends_position : Out(1)
        The word is the last one of its position.
    """

    start: In(1)
    next: In(1)
    layer: In(LAYER)
    word: Out(LAYER["block_words"].shape)
    begins: Out(1)
    ends_position: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        # ``row`` and ``column`` add up to the first word of the block.
        place = record(
            data.StructLayout(
                {
                    "x": layer.width.shape(),
                    "y": layer.height.shape(),
                    "part": layer.words.shape(),
                    **dict.fromkeys(("row", "column"), self.word.shape()),
                }
            ),
            "place",
        )
        moves = position_moves(m, place.x, place.y, layer.width, layer.cells)
        mask = Signal(len(place.x))
        at_begin, at_end = ({name: Signal(name=f"{name}_{edge}") for name in ("x", "y")} for edge in ("begins", "ends"))
        m.d.comb += [
            mask.eq((1 << layer.block_shift) - 1),
            *(at_begin[name].eq((place[name] & mask) == 0) for name in at_begin),
            *(at_end[name].eq((place[name] & mask) == mask) for name in at_end),
            self.ends_position.eq(place.part == layer.words - 1),
            self.begins.eq(at_begin["x"] & at_begin["y"]),
            self.word.eq(place.row + place.column + place.part),
        ]
        with m.If(self.next):
            m.d.sync += place.part.eq(Mux(self.ends_position, 0, place.part + 1))
        with m.If(self.next & self.ends_position):
            with m.If(moves.left):
                m.d.sync += [
                    place.x.eq(place.x - 1),
                    place.column.eq(place.column - Mux(at_begin["x"], layer.words, 0)),
                ]
            with m.If(moves.right):
                m.d.sync += [
                    place.x.eq(place.x + 1),
                    place.column.eq(place.column + Mux(at_end["x"], layer.words, 0)),
                ]
            with m.If(moves.restart):
                m.d.sync += [place.x.eq(0), place.column.eq(0)]
            with m.If(moves.up):
                m.d.sync += [
                    place.y.eq(place.y - 1),
                    place.row.eq(place.row - Mux(at_begin["y"], layer.block_row, 0)),
                ]
            with m.If(moves.down):
                m.d.sync += [
                    place.y.eq(place.y + 1),
                    place.row.eq(place.row + Mux(at_end["y"], layer.block_row, 0)),
                ]
        with m.If(self.start):
            m.d.sync += place.eq(0)
        return m
