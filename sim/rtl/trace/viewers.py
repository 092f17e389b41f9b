"""Files that open a waveform with the signals of the view, in groups: for GTKWave and for Surfer."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from opzo.sim.rtl.trace.view import SCOPE, Format, Shown, shown
from opzo.spec.limits import Limits

_GTKWAVE = {
    Format.BIT: 0x28,
    Format.TEXT: 0x1_0000_0028,
    Format.UNSIGNED: 0x24,
    Format.SIGNED: 0x420,
    Format.BINARY: 0x28,
    Format.HEX: 0x22,
}
"""Flags of a signal in a save file: 0x20 right-justified, then hexadecimal, decimal, binary, signed, text."""
_GROUP_BEGIN, _GROUP_END = 0x80_0200, 0x100_0200
_ZOOM = -11.5
"""Zoom of GTKWave at which 1,000 cycles of 10 ns fill the window."""
_SURFER = {Format.UNSIGNED: "Unsigned", Format.SIGNED: "Signed"}
"""Formats other than the viewer's default, which for text is text."""


def write_views(waveform: Path, limits: Limits) -> list[Path]:
    """Write the files next to ``waveform``, and named like it; returns their paths. Raises OSError."""
    groups = [(name, list(signals)) for name, signals in groupby(shown(limits), lambda signal: signal.group)]
    files = {".gtkw": _gtkwave(waveform.name, groups), ".sucl": _surfer(groups)}
    paths = []
    for suffix, lines in files.items():
        paths.append(waveform.with_suffix(suffix))
        paths[-1].write_text("".join(f"{line}\n" for line in lines))
    return paths


def _gtkwave(waveform: str, groups: list[tuple[str, list[Shown]]]) -> Iterator[str]:
    """Lines of a save file of GTKWave. The library pyvcd, which also writes these, knows no text."""
    yield f'[dumpfile] "{waveform}"'
    yield "[size] 1400 900"
    yield "[signals_width] 220"
    yield f"*{_ZOOM}"
    for name, signals in groups:
        yield f"@{_GROUP_BEGIN:x}"
        yield f"-{name}"
        for signal in signals:
            bits = "" if signal.width == 1 else f"[{signal.width - 1}:0]"
            yield f"@{_GTKWAVE[signal.format]:x}"
            yield f"+{{{signal.name}}} {SCOPE}.{signal.name}{bits}"
        yield f"@{_GROUP_END:x}"
        yield f"-{name}"


def _surfer(groups: list[tuple[str, list[Shown]]]) -> Iterator[str]:
    """Commands of Surfer. The name of a divider must be one word."""
    for name, signals in groups:
        yield f"divider_add {name.replace(',', '').replace(' ', '_')}"
        for signal in signals:
            yield f"variable_add {SCOPE}.{signal.name}"
            if signal.format in _SURFER:
                yield f"item_set_format {_SURFER[signal.format]}"
    yield "zoom_fit"
