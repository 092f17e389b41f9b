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

QUEUED_SPANS = 2
"""Spans that wait for the reader: one a cycle passes, and none waits for a ready that is known late."""
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
        connect(m, flipped(self.layer), walk.layer)
        connect(m, reader.ends, flipped(self.ends))
        connect(m, rows.rows, flipped(self.rows))
        # Together they also end the path from the ready of the rows back to the walk.
        _connect_by_queue(m, "spans", walk.span, reader.spans, QUEUED_SPANS)
        _connect_by_queue(m, "queue", reader.runs, rows.runs, QUEUED_RUNS)
        m.d.comb += reader.list.eq(self.list)
        return m


def _connect_by_queue(m: Module, name: str, source: stream.Interface, sink: stream.Interface, depth: int) -> None:
    """Connect two streams through the queue ``name``."""
    m.submodules[name] = queue = fifo.SyncFIFO(width=source.p.shape().size, depth=depth)
    m.d.comb += [
        queue.w_data.eq(source.p),
        queue.w_en.eq(source.valid),
        source.ready.eq(queue.w_rdy),
        sink.p.eq(queue.r_data),
        sink.valid.eq(queue.r_rdy),
        queue.r_en.eq(sink.ready),
    ]
