"""Times of an SDRAM chip in clock cycles of its controller, and the clock edge that takes a word from the pins."""

import math
from dataclasses import dataclass, replace

from opzo.hw.store.sdram.parts import SdramPart


@dataclass(frozen=True)
class SdramTiming:
    """Times in clock cycles, from one command to the first that may follow it.

    Attributes
    ----------
    cas_latency : int
        As in the mode register.
    column, precharge, refresh, mode : int
        From ACTIVE, PRECHARGE, REFRESH, LOAD MODE REGISTER to any other command.
    active : int
        From ACTIVE to PRECHARGE; long enough for tRC as well.
    close : int
        From READ or WRITE to PRECHARGE. Some datasheets let PRECHARGE end a read sooner than others do; this suits all.
    turn : int
        From READ to WRITE: a cycle in which nobody drives the data bus lies between.
    period : int
        Between two requests to refresh.
    interval : int
        Most cycles between two REFRESH commands.
    power_up : int
        From the end of the reset to the first command.
    pause : int
        Requests to refresh that pass until then.
    power_up_refreshes : int
        REFRESH commands before LOAD MODE REGISTER.
    """

    cas_latency: int
    column: int
    precharge: int
    refresh: int
    mode: int
    active: int
    close: int
    interval: int
    power_up: int
    power_up_refreshes: int

    def __post_init__(self) -> None:
        if self.period <= self.refresh + self.delay:
            raise ValueError(f"no time is left between two refreshes {self.interval} cycles apart")

    @property
    def turn(self) -> int:
        return self.cas_latency + 2

    @property
    def delay(self) -> int:
        """Most cycles from a request to refresh to REFRESH: a row that has just been opened, or written, is closed."""
        return max(self.active, self.close, 2) - 1 + self.precharge

    @property
    def period(self) -> int:
        return self.interval - self.delay

    @property
    def pause(self) -> int:
        return max(1, math.ceil(self.power_up / self.period))

    @classmethod
    def of(cls, part: SdramPart, clock: float) -> "SdramTiming":
        """Times of ``part`` at ``clock`` in Hz; ValueError if it is too fast for the part, or too slow to refresh."""
        cas_latency = _cas_latency(part, clock)
        precharge = _cycles(part.precharge, clock)
        return cls(
            cas_latency=cas_latency,
            column=_cycles(part.column, clock),
            precharge=precharge,
            refresh=_cycles(part.refresh, clock),
            mode=part.mode_cycles,
            active=max(_cycles(part.active, clock), _cycles(part.row, clock) - precharge),
            close=max(_cycles(part.write, clock), part.write_cycles, cas_latency - 1),
            interval=math.floor(part.refresh_interval * 1e-9 * clock),
            power_up=_cycles(part.power_up_us * 1000, clock),
            power_up_refreshes=part.power_up_refreshes,
        )


def _cas_latency(part: SdramPart, clock: float) -> int:
    """Least CAS latency at ``clock``."""
    for cas_latency, period in sorted(part.clock.items()):
        if period * 1e-9 * clock <= 1 + 1e-9:
            return cas_latency
    raise ValueError(f"{part.name} is too slow for {clock / 1e6:g} MHz")


def _cycles(time: float, clock: float) -> int:
    """Cycles that last ``time`` ns or more; one or more."""
    return max(1, math.ceil(time * 1e-9 * clock - 1e-9))


@dataclass(frozen=True)
class PinDelays:
    """Delays in ns from a rising edge of the controller's clock, each as the least and the most.

    The ranges are what remains of spread on one chip and board, where most delays change together.

    Attributes
    ----------
    clock : tuple of float
        To the rising edge at the SDRAM's clock pin that takes what this edge launched: phase of the clock and output.
    output : tuple of float
        To commands and data at the SDRAM's pins.
    input : tuple of float
        Not from the edge, but from the SDRAM's data pins to the register that takes the word: most with its setup time,
        least without its hold time.
    """

    clock: tuple[float, float]
    output: tuple[float, float]
    input: tuple[float, float]


def read_edges(part: SdramPart, clock: float, delays: PinDelays) -> int:
    """Edges of the controller's clock from the one that launches READ to the one that takes its word.

    ValueError if no edge lies in the window in which the word is valid, or if commands violate setup or hold time: the
    clock of the SDRAM needs another phase.
    """
    period = 1e9 / clock
    setup, hold = _command_times(clock, delays)
    if setup < part.setup or hold < part.input_hold:
        raise ValueError(
            f"{part.name}: commands have {setup:.1f} ns of setup and {hold:.1f} ns of hold time, not {part.setup} and "
            f"{part.input_hold}; change the phase of its clock"
        )
    first, last = _word_window(part, clock, delays)
    edge = math.ceil(first / period - 1e-9)
    if edge * period > last:
        raise ValueError(
            f"{part.name}: words are valid from {first:.1f} to {last:.1f} ns, where no edge of a clock of "
            f"{period:.1f} ns lies; change the phase of its clock"
        )
    return edge


def best_phase(part: SdramPart, clock: float, delays: PinDelays, steps: int) -> PinDelays:
    """``delays`` with a later clock of the SDRAM, by that of ``steps`` phases whose least margin is the largest.

    The margins are those of setup and hold time at the SDRAM, and of the edge in the window in which a word is valid.
    ValueError if no phase suits.
    """
    period = 1e9 / clock
    least, most = delays.clock
    laters = (n * period / steps for n in range(steps))
    choices = [replace(delays, clock=(least + later, most + later)) for later in laters]

    def margin(delays: PinDelays) -> float:
        setup, hold = _command_times(clock, delays)
        first, last = _word_window(part, clock, delays)
        edge = math.ceil(first / period - 1e-9) * period
        return min(setup - part.setup, hold - part.input_hold, edge - first, last - edge)

    best = max(choices, key=margin)
    if margin(best) < 0:
        raise ValueError(f"{part.name}: none of {steps} phases of its clock suits at {clock / 1e6:g} MHz")
    return best


def _command_times(clock: float, delays: PinDelays) -> tuple[float, float]:
    """Setup and hold time of commands and data at the SDRAM, in ns."""
    return delays.clock[0] - delays.output[1], 1e9 / clock + delays.output[0] - delays.clock[1]


def _word_window(part: SdramPart, clock: float, delays: PinDelays) -> tuple[float, float]:
    """First and last time, in ns from the edge that launches READ, at which an edge takes its word."""
    period, cas_latency = 1e9 / clock, _cas_latency(part, clock)
    first = delays.clock[1] + (cas_latency - 1) * period + part.access[cas_latency] + delays.input[1]
    return first, delays.clock[0] + cas_latency * period + part.hold + delays.input[0]
