"""Window scan: from a convolution and a step list to the rows of all its windows."""

from typing import Any

from amaranth import Module
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.input.position_ends import RunSpanSignature, window_list
from opzo.hw.schedule.run_reader import RunReader
from opzo.hw.schedule.window_rows import WindowRows, window_row_layout
from opzo.hw.schedule.window_walk import WindowWalk, walk_layout
from opzo.spec.limits import Limits

QUEUED_RUNS = 4
"""Runs that wait for the rows of those before them; so runs without entries are mostly found in time."""


class WindowScan(wiring.Component):
    """Scan a list by the windows of a layer: position by position, word by word, the rows of a window and the bias.

    A word takes no more cycles than it has rows and spans. Golden twin: ``opzo.sim.golden.windows.Windows``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    layer : In(stream of walk_layout)
        Taken when all spans of the layer before have been.
    list : In(window_list)
        List that the layer scans; constant from ``layer`` to the last row.
    ends : Out(RunSpanSignature)
        Where the positions of the list end.
    rows : Out(stream of window_row_layout)
    """

    layer: stream.Interface
    list: data.View
    ends: Any
    rows: stream.Interface

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "layer": In(stream.Signature(walk_layout())),
                "list": In(window_list(limits)),
                "ends": Out(RunSpanSignature(limits)),
                "rows": Out(stream.Signature(window_row_layout(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = WindowWalk(self._limits)
        m.submodules.reader = reader = RunReader(self._limits)
        m.submodules.rows = rows = WindowRows(self._limits)
        # It also ends the path from the ready of the rows back to the walk.
        m.submodules.queue = queue = fifo.SyncFIFO(width=rows.runs.p.shape().size, depth=QUEUED_RUNS)
        connect(m, flipped(self.layer), walk.layer)
        connect(m, walk.span, reader.spans)
        connect(m, reader.ends, flipped(self.ends))
        connect(m, rows.rows, flipped(self.rows))
        m.d.comb += [
            reader.list.eq(self.list),
            queue.w_data.eq(reader.runs.p),
            queue.w_en.eq(reader.runs.valid),
            reader.runs.ready.eq(queue.w_rdy),
            rows.runs.p.eq(queue.r_data),
            rows.runs.valid.eq(queue.r_rdy),
            queue.r_en.eq(rows.runs.ready),
        ]
        return m
