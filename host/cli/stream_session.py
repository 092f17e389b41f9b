"""One stream as the user sees it: what was played, what was decided of each recording, and how often that was right."""

import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from opzo.host.cli.output import log
from opzo.host.data.class_names import Names, class_text, other_names, padded
from opzo.host.driver.device import Device
from opzo.host.driver.statistics import cycles_are
from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_source import NO_LABEL, Change, RecordKind, TimeStep
from opzo.host.stream.sources import Begin, Items, Sources
from opzo.host.stream.stream import Stream
from opzo.host.training.bottleneck import bottleneck, describe_bottleneck
from opzo.spec.messages import printable
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input
from opzo.system.interrupt import Interrupt

REPORT_SECONDS = 0.2


class Session:
    """Plays sources through a stream and collects the decisions.

    Parameters
    ----------
    stream : Stream
    network : Network
    names : tuple of str
        Class names, if known.
    interrupt : Interrupt
        Ends the session between two time steps.
    shows : bool
        Whether to show progress on a terminal.

    Attributes
    ----------
    counts : LiveCounts
        Problems of the sources.
    recordings : list of dict
        Decision on each recording, in order, ready for JSON.
    decided, correct : int
        Decisions with a known class, and the number of correct ones.
    """

    def __init__(
        self, stream: Stream, network: Network, names: Names, counts: LiveCounts, interrupt: Interrupt, *, shows: bool
    ) -> None:
        self.stream, self.network, self.names, self.counts = stream, network, names, counts
        self.recordings: list[dict[str, Any]] = []
        self.decided = self.correct = 0
        self._interrupt = interrupt
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._shows = shows and self._console.is_terminal
        self._shown = self._begun = time.monotonic()
        self._source = ""
        self._sample: int | None = None
        # First time step of the present recording, and of the next decision.
        self._first = self._undecided = 0
        self._warned = False

    def __enter__(self) -> "Session":
        if self._shows:
            self._live.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._shows:
            self._live.stop()

    def play(self, source: str, sources: Sources) -> None:
        """Run a source on the chip until it ends or the user stops it."""
        self._source, self._first = source, self.stream.steps
        try:
            items = sources.items(source)
        except KeyboardInterrupt:
            return
        self._play(items)
        self.close()

    def _play(self, items: Items) -> None:
        for item in items:
            if self._interrupt.requested:
                return
            if isinstance(item, TimeStep):
                graded = self.network.input is Input.GRADED
                self.stream.step(item.addresses, item.values if graded else None)
                self._show()
            elif isinstance(item, Begin):
                self._begin(item)
            else:
                self._change(item)

    def _begin(self, item: Begin) -> None:
        self.close()
        self._sample = item.sample
        if item.label is not None:
            self.stream.label = item.label
        if item.names:
            self._name(item.names)
        self.stream.restart_decision()

    def _name(self, names: Names) -> None:
        """Use the class names of the data if the network has none; otherwise warn if they differ."""
        difference = other_names(self.names, names)
        if difference and not self._warned:
            self._warned = True
            log(f"opzo: warning: {difference}")
        self.names = self.names or padded(names, self.network.classes)

    def _change(self, item: Change) -> None:
        if item.kind is RecordKind.LABEL:
            self._judge()
            self.stream.label = None if item.value == NO_LABEL else item.value
            self.stream.restart_decision()
        elif item.kind is RecordKind.LEARN:
            self.stream.learning = bool(item.value)
        elif item.kind is RecordKind.RESET:
            self.stream.reset()

    def _judge(self) -> None:
        """Compare the decision with the label that applied to its steps."""
        if self.stream.label is not None and self.stream.steps > self._undecided:
            self.decided += 1
            self.correct += self.stream.decision().prediction == self.stream.label
        self._undecided = self.stream.steps

    def close(self) -> None:
        """Store the decision on the present recording, if there is one."""
        steps = self.stream.steps - self._first
        if steps:
            self._judge()
            decision, label = self.stream.decision(), self.stream.label
            facts: dict[str, Any] = {"source": self._source}
            if self._sample is not None:
                facts["sample"] = self._sample
            self.recordings.append(
                facts
                | {
                    "steps": steps,
                    "label": label,
                    "decision": decision.prediction,
                    "decision_name": self.name_of(decision.prediction),
                }
            )
        self._first = self.stream.steps

    def end(self) -> None:
        """Wait for the last decision."""
        self.close()
        self.stream.decision()

    def name_of(self, label: int) -> str | None:
        """Name of a class; None if it has none."""
        return self.names[label] if label < len(self.names) else None

    def _show(self) -> None:
        now = time.monotonic()
        if self._shows and now - self._shown > REPORT_SECONDS:
            self._shown = now
            stream, latest = self.stream, self.stream.latest
            label = "-" if stream.label is None else class_text(stream.label, self.names)
            # Text without markup, because names may contain brackets.
            text = Text(
                f"step {stream.steps:,}  {stream.steps / (now - self._begun):,.0f} steps/s  "
                f"{stream.events / max(1, stream.steps):.1f} events/step  "
                f"decision {class_text(latest.prediction, self.names)} ({latest.steps} steps)  "
                f"label {label}  loss {stream.loss:.3f} bits  "
                f"learning {'on' if stream.learning else 'off'}  right {self.correct}/{self.decided}"
            )
            self._live.update(text, refresh=True)


def figures(session: Session, counted: dict[Counter, int], device: Device, sent: int, clock: float) -> dict[str, Any]:
    """All figures of a session by name, ready for JSON; ``counted`` by the device, ``sent`` bytes of runs."""
    stream, counts, steps = session.stream, session.counts, max(1, session.stream.steps)
    cycles = counted[Counter.TRAIN_CYCLES] + counted[Counter.TEST_CYCLES]
    runs = counted[Counter.TRAIN_RUNS] + counted[Counter.TEST_RUNS]
    decision = stream.latest.prediction if stream.latest.steps else None
    return {
        "device": device.name,
        "network": str(session.network),
        "class_names": list(session.names),
        "steps": stream.steps,
        "events": stream.events,
        "events_per_step": stream.events / steps,
        "dropped": counted[Counter.DROPPED],
        "late": counts.late,
        "malformed": counts.malformed,
        "clock_jumps_back": counts.jumps_back,
        "gaps": counts.gaps,
        "steps_left_out": counts.steps_left_out,
        "after_end": counts.after_end,
        "datagrams_lost": counts.datagrams_lost,
        "link_repeats": device.repeats,
        "runs": runs,
        "steps_learned": counted[Counter.TRAIN_RUNS] * steps / max(1, runs),
        "update_lag_steps": counted[Counter.STEPS] / max(1, runs),
        "answer_lag_steps": stream.lag,
        "synaptic_operations_per_step": counted[Counter.INTEGRATE] * device.limits.lanes / steps,
        "cycles_per_step": cycles / steps,
        "cycles": cycles_are(device.identity),
        "loss": stream.loss if session.decided else None,
        "decisions": session.decided,
        "accuracy": session.correct / session.decided if session.decided else None,
        "decision": decision,
        "decision_name": None if decision is None else session.name_of(decision),
        "recordings": session.recordings,
    } | bottleneck(sent, cycles, stream.events, clock)


def show_figures(figures: dict[str, Any]) -> None:
    """Print the figures, one fact a line."""
    names = figures["class_names"]
    print(
        f"{figures['steps']:,} time steps, {figures['events']:,} events ({figures['events_per_step']:.1f} a step), "
        f"{figures['dropped']} dropped, {figures['late']} late"
    )
    if wrong := _wrong(figures):
        print(wrong)
    if figures["accuracy"] is not None:
        print(f"{figures['accuracy']:.2%} of {figures['decisions']} decisions right, loss {figures['loss']:.3f} bits")
    unlabelled = [recording for recording in figures["recordings"] if recording["label"] is None]
    if len(figures["recordings"]) > 1:
        for recording in unlabelled:
            sample = f", sample {recording['sample']}" if "sample" in recording else ""
            text = f"decision {class_text(recording['decision'], names)} ({recording['steps']:,} steps)"
            print(f"{printable(recording['source'])}{sample}: {text}")
    elif figures["decision"] is None:
        print("no decision: there were no time steps")
    elif figures["accuracy"] is None:
        print(f"decision {class_text(figures['decision'], names)}")
    print(
        f"updates follow after {figures['update_lag_steps']:.1f} steps, answers after at most "
        f"{figures['answer_lag_steps']}"
    )
    cycles = figures["cycles"]
    operations = f"{figures['synaptic_operations_per_step']:,.0f} synaptic operations"
    print(f"{operations} and {figures['cycles_per_step']:,.0f} {cycles} cycles per step")
    total = figures["cycles_per_step"] * figures["steps"]
    for name, text in describe_bottleneck(figures, f"{total:,.0f} {cycles}").items():
        print(f"whole stream, {name}: {text}")


def _wrong(figures: dict[str, Any]) -> str:
    """What went wrong on the way, '' where nothing did."""
    texts = {
        "malformed": "malformed records skipped",
        "clock_jumps_back": "jumps back of the clock",
        "gaps": "gaps left out",
        "steps_left_out": "time steps left out with them",
        "after_end": "records behind the end",
        "datagrams_lost": "datagrams lost",
        "link_repeats": "frames of the link repeated",
    }
    return ", ".join(f"{text}: {figures[key]:,}" for key, text in texts.items() if figures[key])
