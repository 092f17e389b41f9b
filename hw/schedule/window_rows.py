"""Window rows: the entries of the runs of each window, one a cycle, then the bias."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check_stream
from opzo.hw.lib.record import record
from opzo.hw.schedule.run_reader import run_layout
from opzo.spec.limits import Limits

_KEPT = ("index", "base", "last_word", "final")
"""Fields of a run that its rows have too."""


def window_row_layout(limits: Limits) -> data.StructLayout:
    """One row of a word of a position: an entry of a list, or, after the entries, the ``bias``.

    The entry ``index`` of the list less ``base`` is the row; of the bias neither means anything. ``begins`` a run;
    ``first`` row of the word, ``last_word`` of the position, ``final`` row of the walk.
    """
    run = run_layout(limits)
    return data.StructLayout({**{name: run[name].shape for name in _KEPT}, "begins": 1, "first": 1, "bias": 1})


class WindowRows(wiring.Component):
    """Turn runs into rows: a cycle for each row, and one for each run without entries that is not the last of a window.

    Golden twin: ``opzo.sim.golden.windows.Windows``. Its readers append the bias.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    runs : In(stream of run_layout)
    rows : Out(stream of window_row_layout)
    """

    runs: stream.Interface
    rows: stream.Interface

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {"runs": In(stream.Signature(run_layout(limits))), "rows": Out(stream.Signature(window_row_layout(limits)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        runs, row = self.runs, self.rows.p
        # ``run`` begins with the next entry; only one with an entry, or before the bias, gives a row.
        run = record(runs.p.shape(), "run", reset_less=True)
        valid = Signal()
        first = Signal(init=1)
        begins = Signal(reset_less=True)
        # ``some``: the run has entries; ``single``: one. Registers, because much waits for them.
        some = Signal(reset_less=True)
        single = Signal(reset_less=True)
        taken = Signal()
        done = Signal()
        m.d.comb += [
            taken.eq(self.rows.valid & self.rows.ready),
            self.rows.valid.eq(valid & (some | run.last)),
            *(row[name].eq(run[name]) for name in _KEPT),
            row.begins.eq(begins),
            row.first.eq(first),
            row.bias.eq(~some),
            row.final.eq(run.final & ~some),
        ]
        with m.If(run.last):
            m.d.comb += done.eq(taken & row.bias)
        with m.Else():
            m.d.comb += done.eq((taken & single) | ~some)
        m.d.comb += runs.ready.eq(~valid | done)
        with m.If(taken):
            m.d.sync += [
                run.index.eq(run.index + 1),
                run.count.eq(run.count - 1),
                some.eq(~single),
                single.eq(run.count == 2),
                begins.eq(0),
                first.eq(row.bias),
            ]
        with m.If(runs.ready):
            m.d.sync += [
                valid.eq(runs.valid),
                run.eq(runs.p),
                some.eq(runs.p.count != 0),
                single.eq(runs.p.count == 1),
                begins.eq(1),
            ]
        check_stream(m, "rows", self.rows)
        return m
