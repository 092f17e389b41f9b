"""SDR SDRAM chips: organisation and times from their datasheets."""

from dataclasses import dataclass, fields, replace
from typing import Any

RETENTION_MS = 64
"""Time in which each row must be refreshed, the same for all parts."""
BANK_BITS = 2
"""All parts have four banks."""


@dataclass(frozen=True)
class SdramPart:
    """A chip: organisation, and its times in ns unless the name says cycles or us; least values, or as stated."""

    name: str
    source: str
    """Datasheet, with revision and table where known."""
    row_bits: int
    column_bits: int
    data_bits: int
    """Width of the data bus: 16 or 32."""
    clock: dict[int, float]
    """Least clock period for each CAS latency."""
    access: dict[int, float]
    """tAC: latest valid data after the clock edge, for each CAS latency."""
    hold: float
    """tOH: data stays valid so long after the next clock edge."""
    release: float
    """tHZ: latest time at which the bus is released."""
    setup: float
    """tIS of all inputs."""
    input_hold: float
    """tIH of all inputs."""
    column: float
    """tRCD: ACTIVE to READ or WRITE."""
    precharge: float
    """tRP: PRECHARGE to ACTIVE or REFRESH."""
    active: float
    """tRAS: ACTIVE to PRECHARGE."""
    most_active: float
    """Longest time for which a row may be open."""
    row: float
    """tRC: ACTIVE to ACTIVE or REFRESH, same bank."""
    other_bank: float
    """tRRD: ACTIVE to ACTIVE of another bank."""
    refresh: float
    """tRFC: REFRESH to any command."""
    write: float
    """tWR: last word written to PRECHARGE; also `write_cycles`."""
    refreshes: int = 8192
    """REFRESH commands needed in RETENTION_MS."""
    write_cycles: int = 2
    mode_cycles: int = 2
    """tMRD: LOAD MODE REGISTER to any command."""
    power_up_us: float = 200
    """Pause between stable power and clock, and the first command."""
    power_up_refreshes: int = 8
    """REFRESH commands before the first ACTIVE."""

    def __post_init__(self) -> None:
        # The next address pin tells PRECHARGE which banks to close.
        if self.column_bits > 10:
            raise ValueError(f"{self.name}: at most 10 bits of column are supported, not {self.column_bits}")

    @property
    def address_bits(self) -> int:
        """Of a 16-bit word."""
        return self.row_bits + BANK_BITS + self.column_bits + (self.data_bits // 16 - 1)

    @property
    def refresh_interval(self) -> float:
        """Mean time between two REFRESH commands in ns."""
        return RETENTION_MS * 1e6 / self.refreshes


_MICRON = SdramPart(
    name="MT48LC16M16A2-75",
    source="Micron 256Mb x16 SDRAM, AC characteristics of -75; CAS latency 3 also for -6A",
    row_bits=13,
    column_bits=9,
    data_bits=16,
    clock={2: 10, 3: 7.5},
    access={2: 6, 3: 5.4},
    hold=2.7,
    release=6,
    setup=1.5,
    input_hold=0.8,
    column=20,
    precharge=20,
    active=44,
    most_active=120_000,
    row=66,
    other_bank=15,
    refresh=66,
    write=15,
)
_ALLIANCE = replace(
    _MICRON,
    name="AS4C32M16SB-7",
    source="Alliance Memory AS4C32M16SB, table 16 (equal to AS4C16M16SA, revision 3.0)",
    column_bits=10,
    clock={2: 10, 3: 7},
    access={2: 6, 3: 5.4},
    hold=2.5,
    release=5.4,
    column=21,
    precharge=21,
    active=42,
    row=63,
    other_bank=14,
    refresh=63,
    write=14,
)
_WINBOND = replace(
    _MICRON,
    name="W9825G6JH-6I",
    source="Winbond W9825G6JH, revision A04, section 9.5; REFRESH as tRC",
    clock={2: 10, 3: 6},
    access={2: 6, 3: 5.4},
    hold=3,
    release=6,
    input_hold=1,
    column=18,
    precharge=18,
    active=42,
    most_active=100_000,
    row=60,
    other_bank=15,
    refresh=60,
    write=0,
)
_ISSI = replace(
    _MICRON,
    name="IS42S16160G-7",
    source="ISSI IS42S16160D, revision E, key timing parameters; others: IS42S16800A-7, revision 00A",
    clock={2: 10, 3: 7},
    access={2: 6.5, 3: 5.4},
    hold=2.5,
    column=15,
    precharge=15,
    active=37,
    row=63,
    other_bank=14,
    refresh=63,
    write=0,
)
TANG_NANO_20K = replace(
    _ALLIANCE,
    name="GW2AR-18C",
    source="refreshes: Etron EM638325, features; times assumed: Alliance Memory AS4C4M32SA-7, table 10",
    row_bits=11,
    column_bits=8,
    data_bits=32,
    access={2: 6.5, 3: 5.4},
    most_active=100_000,
    refreshes=4096,
    write=0,
)
"""64 Mbit in the package of Tang Nano 20K's FPGA."""


def slowest(name: str, *parts: SdramPart) -> SdramPart:
    """A part of that name whose times suit each of ``parts``, with the columns that all of them have.

    ValueError if their rows or widths differ.
    """
    if len({(part.row_bits, part.data_bits) for part in parts}) != 1:
        raise ValueError(f"{name}: rows and width of the parts must be the same")
    least = ("row_bits", "column_bits", "data_bits", "hold", "most_active")

    def worst(key: str) -> Any:
        values = [getattr(part, key) for part in parts]
        if key in ("clock", "access"):
            return {latency: max(value[latency] for value in values) for latency in values[0]}
        return min(values) if key in least else max(values)

    keys = [field.name for field in fields(SdramPart) if field.name not in ("name", "source")]
    return SdramPart(name, "slowest of " + ", ".join(part.name for part in parts), **{key: worst(key) for key in keys})


ULX3S = slowest("ULX3S", _MICRON, _ALLIANCE, _WINBOND, _ISSI)
"""Slowest of these chips, some of which are on each ULX3S, so that a bitstream runs on all; 32 MB of each are used."""

PARTS = (_MICRON, _ALLIANCE, _WINBOND, _ISSI, TANG_NANO_20K, ULX3S)
"""All parts."""
