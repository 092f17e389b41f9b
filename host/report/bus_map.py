"""Register map of the chip behind a bus as Markdown, JSON or a C header, from ``spec``."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from opzo.host.report.map_text import header, hexadecimal, page, sections, table
from opzo.spec import bus
from opzo.spec.bus import BUS_REGISTERS, CONTROL_REGISTERS, BitField, BusRegister, Owner
from opzo.spec.protocol import IDENTITY

ACCESS = {"rw": "read, write", "r": "read", "w": "write"}
PACKETS = (
    ("SAMPLE", "A word of a sample but the last", bus.EVENT_FIELDS),
    ("RUN", "The last word of a sample", bus.RUN_FIELDS),
    ("RESULT", "The head of a result", bus.RESULT_FIELDS),
)
"""Words of packets: the register that they go through without streams, what they are, and their fields."""


def bus_page() -> str:
    """``docs/bus.md``."""
    return page(
        "# Registers behind a bus",
        "This page is generated from `spec/bus.py` by `opzo registers --part bus --format md`. Change the tables and "
        "docstrings there, not the page. `--format c`, `json` and `svd` give the same map to other programs.",
        f"`opzo verilog --bus axi` and `--bus wishbone` have these registers ([the chip behind a bus]"
        f"(waveforms.md#the-chip-behind-a-bus)). This is version {bus.MAP_VERSION} of the map. Addresses are bytes; "
        "registers are 32 bits wide and little-endian. A write must write all four bytes.",
        table(
            ("addresses", "what"),
            (
                (_range(bus.CORE, bus.IDENTITY_BASE), "[registers](registers.md) of the core, register r at 4 x r"),
                (_range(bus.IDENTITY_BASE, bus.CONTROL), "identity, a register for each field"),
                (_range(bus.CONTROL, bus.ROW), "the bus's own registers"),
                (_range(bus.ROW, bus.ROW + bus.ROW_BYTES), "`ROW`, the window of a memory row"),
                (_range(bus.LINK_IN, bus.LINK_OUT), "`LINK_IN`, the ring of bytes to the link; reads 0"),
                (_range(bus.LINK_OUT, 1 << bus.ADDRESS_BITS), "`LINK_OUT`, the ring of bytes from the link"),
            ),
        ),
        *sections(bus),
        "## The bus's own registers",
        table(
            ("address", "name", "bits", "access", "meaning"),
            (
                (hexadecimal(r.address), f"`{r.name}`", r.bits, ACCESS[r.access], r.meaning)
                for r in CONTROL_REGISTERS.values()
            ),
        ),
        *(
            part
            for name in ("MAP", "STATUS", "INTERRUPT_PENDING")
            for part in (f"Bits of `{name}`{_also(name)}:", _fields(CONTROL_REGISTERS[name].fields))
        ),
        "## Words of samples and results",
        *(part for name, text, fields in PACKETS for part in (f"{text} (`{name}`):", _fields(fields))),
        "## Identity",
        "The fields are those of the [link's identity](protocol.md#identity); each has a register of its own.",
        table(
            ("address", "name", "meaning"),
            (
                (hexadecimal(bus.IDENTITY_BASE + bus.WORD_BYTES * n), f"`{field.name}`", field.meaning)
                for n, field in enumerate(IDENTITY.fields)
            ),
        ),
    )


def bus_map() -> dict[str, Any]:
    """All registers, and the words of packets, for JSON."""
    return {
        "map": bus.MAP_VERSION,
        "registers": [asdict(register) for register in BUS_REGISTERS],
        "packets": [
            {"name": name, "meaning": text, "fields": [asdict(field) for field in fields]}
            for name, text, fields in PACKETS
        ],
    }


def bus_header() -> str:
    """Registers as a C header: address of each, and its fields."""
    return header("bus", (line for register in BUS_REGISTERS for line in _defines(register)))


def _defines(register: BusRegister) -> Iterator[str]:
    name = f"OPZO_BUS_{register.name}"
    yield f"/* {register.meaning} ({ACCESS[register.access]}) */"
    yield f"#define {name} 0x{register.address:03x}u"
    if register.count > 1:
        yield f"#define {name}_WORDS {register.count}"
    for field in register.fields:
        yield f"#define {name}_{field.name}_SHIFT {field.low}"
        yield f"#define {name}_{field.name}_MASK 0x{((1 << field.bits) - 1) << field.low:x}u"
    if register.name == "OWNER":
        yield from (f"#define {name}_{owner.name} {owner.value}" for owner in Owner)


def _fields(fields: tuple[BitField, ...]) -> str:
    rows = ((_bits(field), f"`{field.name}`", field.meaning) for field in fields)
    return table(("bits", "name", "meaning"), rows)


def _bits(field: BitField) -> str:
    return str(field.low) if field.bits == 1 else f"{field.low + field.bits - 1}:{field.low}"


def _also(name: str) -> str:
    return " and `INTERRUPT_ENABLE`" if name == "INTERRUPT_PENDING" else ""


def _range(first: int, end: int) -> str:
    return f"0x{first:03x}-0x{end - 1:03x}"
