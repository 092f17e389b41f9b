"""Run reader: from the spans of windows to the entries of a step list."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.input.position_ends import RunSpanSignature, list_entries, window_list
from opzo.hw.lib.check import check_stream
from opzo.hw.lib.record import record
from opzo.hw.schedule.window_walk import span_layout
from opzo.spec.limits import Limits

_KEPT = ("base", "last", "last_word", "final")
"""Fields of a span that its run has too."""


def run_layout(limits: Limits) -> data.StructLayout:
    """Run of a span: ``count`` entries of the list, from ``index`` on; the other fields are those of the span.

    In a step list ``index`` is that of a group (`opzo.hw.input.group_lists.GroupLists`).
    """
    entries = list_entries(limits)
    span = span_layout(limits)
    return data.StructLayout({"index": entries, "count": entries, **{name: span[name].shape for name in _KEPT}})


class RunReader(wiring.Component):
    """Find the entries of each span. Latency 2 cycles, one span a cycle.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    spans : In(stream of span_layout)
    list : In(window_list)
        List of the spans; constant from the first span to the last run of a walk.
    ends : Out(RunSpanSignature)
    runs : Out(stream of run_layout)
        One for each span, also where it has no entries.
    """

    spans: stream.Interface
    list: data.View
    ends: Any
    runs: stream.Interface

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "spans": In(stream.Signature(span_layout(limits))),
                "list": In(window_list(limits)),
                "ends": Out(RunSpanSignature(limits)),
                "runs": Out(stream.Signature(run_layout(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spans, ends, runs = self.spans, self.ends, self.runs
        # Stages: the ends are being read for ``asked``, then the run is at the output.
        asked = record(spans.p.shape(), "asked", reset_less=True)
        asked_valid = Signal()
        run_free = Signal()
        m.d.comb += [
            run_free.eq(runs.ready | ~runs.valid),
            spans.ready.eq(run_free | ~asked_valid),
            ends.kind.eq(self.list.kind),
            ends.layer.eq(self.list.layer),
            ends.parity.eq(self.list.parity),
            ends.begin.eq(spans.p.begin),
            ends.end.eq(spans.p.end),
            ends.en.eq(spans.ready),
        ]
        with m.If(spans.ready):
            m.d.sync += [asked.eq(spans.p), asked_valid.eq(spans.valid)]
        with m.If(run_free):
            m.d.sync += [
                runs.valid.eq(asked_valid),
                runs.p.index.eq(ends.index),
                runs.p.count.eq(ends.after - ends.first),
                *(runs.p[name].eq(asked[name]) for name in _KEPT),
            ]
        check_stream(m, "runs", runs)
        return m
