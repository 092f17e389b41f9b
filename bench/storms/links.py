"""Link storms: damage of each kind at each rate, and lines that die; the work must end in the undisturbed state."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opzo.spec.errors import LinkError
from opzo.spec.network import Network
from opzo.spec.protocol import CREDITS
from opzo.spec.registers import Reg
from opzo.spec.rules import Input
from storms.line import KINDS, Clock, virtual_time
from storms.resets import run_resets
from storms.twins import Twins

NETWORKS = (Network("12-8-4", local=1), Network("12-8-6-4", input=Input.SPIKES), Network("1x4x4-3c3-p2-4"))
WIDE = Network("560-8-4")
"""Its frames with all pixels lit have more pairs than a payload has room for, so EVENTS come before RUN."""
WIDE_RATE = 1e-3
"""Largest share of bytes at which such long frames get through."""
SESSIONS = 10
"""Sessions of a storm that no driver can bear."""
BEYOND_SAMPLES = 300
"""Training samples of such a session."""


@dataclass(frozen=True)
class Storm:
    """One kind of damage at one rate.

    Attributes
    ----------
    kinds : tuple of str
        Of KINDS; empty for a line that dies.
    rate : float
    unit : str
        What the rate is a share of (`storms.line.UNITS`).
    fate : str
        ``through``: the work gets through. ``beyond``: the line is so bad that the driver may give up. ``resets``: the
        device loses its state when the line dies, and training resumes from a checkpoint.
    """

    kinds: tuple[str, ...]
    rate: float
    unit: str
    fate: str = "through"

    @property
    def name(self) -> str:
        """What happens."""
        if not self.kinds:
            return "device resets" if self.fate == "resets" else "line dies"
        return self.kinds[0] if len(self.kinds) == 1 else "all kinds"


def all_storms() -> Iterator[Storm]:
    """All kinds at all rates."""
    for kinds in (*((kind,) for kind in KINDS), KINDS):
        for rate in (1e-4, 1e-3, 1e-2):
            yield Storm(kinds, rate, "bytes")
        yield Storm(kinds, 1e-1, "bytes", "beyond")
        yield Storm(kinds, 1e-1, "frames")
    for rate in (1e-4, 1e-3, 1e-2, 1e-1):
        yield Storm((), rate, "operations")
    for rate in (1e-4, 1e-3, 1e-2):
        yield Storm((), rate, "operations", "resets")


class Figures:
    """Sums over the sessions of a storm.

    Attributes
    ----------
    differences : list of str
        What was wrong; empty if nothing was.
    """

    def __init__(self) -> None:
        self.differences: list[str] = []
        self._sums = dict.fromkeys(("frames", "faults", "damaged", "resent", "deaths", "samples"), 0)

    def add(self, twins: Twins, different: str) -> None:
        """Count a session, and what differed at its end."""
        line, quality = twins.line, twins.quality
        counts = quality.frames, line.faults, quality.damaged, twins.bad.repeats, line.deaths, twins.samples
        for name, count in zip(self._sums, counts, strict=True):
            self._sums[name] += count
        self.differences += [different] if different else []

    def row(self, outcome: str) -> dict[str, Any]:
        """All figures; ``outcome`` is what is said where nothing differed."""
        return self._sums | {"outcome": "; ".join(self.differences) or outcome, "ok": not self.differences}


def run(count: int, seed: int) -> tuple[list[dict[str, Any]], bool]:
    """Run all storms until ``count`` frames have been sent and received; a row for each, and whether all is well."""
    storms = list(all_storms())
    rows: list[dict[str, Any]] = []
    # Those that the driver may give up come first, because the number of their frames is not known.
    storms.sort(key=lambda storm: storm.fate != "beyond")
    begin = time.monotonic()
    for number, storm in enumerate(storms):
        done = sum(row["frames"] for row in rows)
        quota = -(-max(0, count - done) // (len(storms) - number))
        row = run_storm(storm, quota, seed + 1000 * number)
        rows.append(row)
        print(
            f"{number + 1}/{len(storms)} {storm.name} {storm.rate:g} of {storm.unit}: {done + row['frames']:,} frames, "
            f"{row['outcome']}, {time.monotonic() - begin:.0f} s",
            file=sys.stderr,
        )
    return rows, all(row["ok"] for row in rows)


def run_storm(storm: Storm, frames: int, seed: int) -> dict[str, Any]:
    """Run one storm for about ``frames`` frames; its row."""
    with virtual_time(seed) as clock:
        if storm.fate == "resets":
            figures = run_resets(clock, storm.rate, frames, seed)
        elif storm.fate == "beyond":
            figures = _run_beyond(storm, seed, clock)
        else:
            figures = _run_through(storm, frames, seed, clock)
    return {"kind": storm.name, "rate": storm.rate, "of": storm.unit, **figures}


def _run_through(storm: Storm, frames: int, seed: int, clock: Clock) -> dict[str, Any]:
    """Work on each network over the bad line and the good one; figures."""
    networks = [*NETWORKS]
    if storm.unit == "bytes" and storm.rate <= WIDE_RATE:
        networks.append(WIDE)
    total = Figures()
    for number, network in enumerate(networks):
        twins = Twins(network, clock, seed + 10 * number, storm.kinds, storm.rate, storm.unit)
        different = ""
        share = frames / len(networks)
        while not different and twins.quality.frames < share:
            try:
                different = twins.work() or twins.different()
            except LinkError as error:
                different = f"gave up: {error}"
        total.add(twins, different and f"{network}: {different}")
    return total.row("equal")


def _run_beyond(storm: Storm, seed: int, clock: Clock) -> dict[str, Any]:
    """Train in sessions until the driver gives up; the device must then be where some of the samples sent lead."""
    total = Figures()
    given_up = 0
    for session in range(SESSIONS):
        twins = Twins(NETWORKS[0], clock, seed + 10 * session, storm.kinds, storm.rate, storm.unit)
        samples = [twins.sample() for _ in range(BEYOND_SAMPLES)]
        try:
            for sample in samples:
                twins.samples += len(list(twins.bad.run([sample], train=True)))
        except LinkError:
            given_up += 1
        trained = twins.line.model.core.registers[Reg.SAMPLES]
        list(twins.good.run(samples[:trained], train=True))
        exact = twins.samples <= trained <= twins.samples + CREDITS
        total.add(twins, twins.different() if exact else f"{trained} samples trained, {twins.samples} answered")
    return total.row(f"equal up to where the driver gave up ({given_up} of {SESSIONS} sessions)")
