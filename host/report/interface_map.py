"""What a driver in another language needs: register map and protocol as Markdown, JSON or a C header, from ``spec``."""

from collections.abc import Iterable, Iterator
from typing import Any

from opzo.host.report.map_text import header, hexadecimal, page, sections, table
from opzo.spec import commands, events, frames, memories, protocol, registers, shuffle, store
from opzo.spec.commands import (
    ANSWERS,
    NAK_PAYLOAD,
    REPLY,
    REQUESTS,
    Command,
    NakReason,
    Payload,
    RunFlag,
    Status,
    StoredFlag,
)
from opzo.spec.frames import Frame
from opzo.spec.memories import Space
from opzo.spec.protocol import IDENTITY
from opzo.spec.registers import (
    COUNTER,
    COUNTER_BITS,
    LAYER,
    LAYER_STRIDE,
    REGISTERS,
    Counter,
    LayerReg,
    Reg,
    Register,
)
from opzo.spec.rules import Input, Rule

ACCESS = {"rw": "read, write", "r": "read", "w": "write"}


def registers_page() -> str:
    """``docs/registers.md``."""
    return page(
        "# Registers",
        "This page is generated from `spec/registers.py` by `opzo registers --format md`. Change the table there, not "
        "the page. `--format json` and `--format c` give the same map to other programs.",
        "READ_REGISTERS and WRITE_REGISTERS ([protocol.md](protocol.md)) move registers of 32 bits at addresses of 8 "
        "bits. A register keeps as many low bits as the table says, and its other bits read 0. All registers are 0 "
        "after a reset. Counters are 0 after configuration of the FPGA; a reset does not clear them. The host writes "
        "registers only while the engine is idle.",
        "## Single registers",
        table(
            ("address", "name", "bits", "access", "meaning"),
            ((hexadecimal(r.address), f"`{r.name}`", r.bits, ACCESS[r.access], r.meaning) for r in _at(Reg)),
        ),
        "## Layers",
        f"Each layer of weights has {LAYER_STRIDE} registers, at 0x{LAYER:02x} + {LAYER_STRIDE} x layer + offset. "
        f"Layers 0 to {registers.READOUT_LAYER - 1} lead into the hidden layers, layer {registers.READOUT_LAYER} is "
        "always the readout. All of them can be read and written. A device has those of the readout and of as many "
        "hidden layers as it was built for (`layers` in Identity); registers and counters of other layers read 0.",
        table(
            ("offset", "name", "bits", "meaning"),
            ((field.value, f"`{field.name}`", field.bits, field.meaning) for field in LayerReg),
        ),
        "## Counters",
        f"Counter number c of {COUNTER_BITS} bits is read at 0x{COUNTER:02x} + 2 x c (low 32 bits) and "
        f"0x{COUNTER + 1:02x} + 2 x c (high {COUNTER_BITS - 32} bits). Counters wrap, and are read only. "
        f"{_names(registers.TIMING_COUNTERS)} depend on the device, all others are the same on every device.",
        table(
            ("address", "name", "meaning"),
            ((hexadecimal(COUNTER + 2 * counter), f"`{counter.name}`", counter.meaning) for counter in Counter),
        ),
        "## Values of RULE and INPUT",
        table(
            ("register", "value", "name", "meaning"),
            (
                *(("`RULE`", rule.value, f"`{rule.name}`", rule.entry.meaning) for rule in Rule),
                *(("`INPUT`", kind.value, f"`{kind.name}`", kind.entry.meaning) for kind in Input),
            ),
        ),
    )


def protocol_page() -> str:
    """``docs/protocol.md``."""
    return page(
        "# Link protocol",
        "This page is generated from `spec/frames.py`, `commands.py`, `memories.py`, `events.py`, `store.py`, "
        "`shuffle.py` and `protocol.py` by "
        "`opzo registers --part protocol --format md`. Change the tables and docstrings there, not the page. "
        "`--format c` gives the numbers as a C header.",
        f"The host sends frames with commands over a stream of bytes (on boards a UART: 8 data bits, no parity, one "
        f"stop bit), and the device answers each with a frame. This is version {protocol.VERSION}. Numbers are "
        "little-endian. `u8`, `u16` and `u32` are unsigned, `i32` is signed.",
        *sections(frames),
        table(("bytes", "name", "meaning"), ((f"{where}", f"`{name}`", text) for where, name, text in frames.LAYOUT)),
        "For example, SYNC with nonce 1 and seq 0, READ_REGISTERS of STEPS with seq 1, and its reply with content 6:",
        "```\n" + "\n".join(_examples()) + "\n```",
        *sections(protocol),
        "## Identity",
        f"The reply to SYNC has {IDENTITY.size} bytes after the status. Version is checked first: a host of another "
        "version must not go on.",
        _fields(IDENTITY),
        "## Commands",
        "A command's payload is its fields, then what the column says. The payload of a reply is a status of one byte; "
        "if that is OK, the fields of the last column follow, otherwise nothing.",
        table(
            ("code", "name", "payload", "reply", "meaning"),
            (
                (
                    hexadecimal(command),
                    f"`{command.name}`",
                    _in_words(REQUESTS[command]),
                    _in_words(ANSWERS[command]),
                    command.meaning,
                )
                for command in Command
            ),
        ),
        f"The code of a reply is the command's + 0x{REPLY:02x}. A NAK has code 0x{commands.NAK:02x} and the payload "
        f"{_in_words(NAK_PAYLOAD)}.",
        *sections(commands),
        "Status, in the order in which errors are checked:",
        _members(Status),
        "Reasons of a NAK:",
        _members(NakReason),
        "Flags of RUN; other bits are ignored:",
        _members(RunFlag),
        *sections(events),
        table(("code", "meaning"), events.CODES),
        *sections(store),
        "Header of a run in the store:",
        _fields(store.RUN_HEADER),
        "Flags of RUN_STORED; other bits are ignored:",
        _members(StoredFlag),
        *sections(shuffle),
        "## Memories",
        f"A row has one entry of {memories.ENTRY_BITS} bits for each lane, lane 0 first. The names are those of "
        "Identity.",
        table(
            ("number", "name", "rows", "access", "entries"),
            (
                (space.value, f"`{space.name}`", space.memory.size, space.memory.access, space.memory.entry)
                for space in Space
            ),
        ),
    )


def register_map() -> dict[str, Any]:
    """All registers and counters, for JSON."""
    return {"protocol": protocol.VERSION, "registers": [vars(register) for register in REGISTERS.values()]}


def protocol_map() -> dict[str, Any]:
    """Frames, commands, statuses, flags and memories, for JSON."""
    return {
        "protocol": protocol.VERSION,
        "frame": {name.lower(): value for name, value in _frame_constants()},
        "identity": _listed(IDENTITY),
        "commands": [
            {
                "name": command.name,
                "code": command.value,
                "meaning": command.meaning,
                "request": {"fields": _listed(REQUESTS[command]), "rest": REQUESTS[command].rest},
                "reply": {"fields": _listed(ANSWERS[command]), "rest": ANSWERS[command].rest},
            }
            for command in Command
        ],
        **{
            key: [{"name": item.name, "value": item.value, "meaning": item.meaning} for item in kinds]
            for key, kinds in (
                ("statuses", Status),
                ("nak_reasons", NakReason),
                ("run_flags", RunFlag),
                ("stored_flags", StoredFlag),
            )
        },
        "memories": [
            {
                "name": space.name,
                "number": space.value,
                "rows": space.memory.size,
                "writable": space.writable,
                "inference": space.memory.infers,
                "entries": space.memory.entry,
            }
            for space in Space
        ],
    }


def register_header() -> str:
    """Registers as a C header: address, bits and reset value of each."""
    return header("registers", (line for register in REGISTERS.values() for line in _defines(register)))


def protocol_header() -> str:
    """Numbers of the protocol as a C header."""
    groups = (
        ("CMD", Command),
        ("STATUS", Status),
        ("NAK", NakReason),
        ("RUN", RunFlag),
        ("STORED", StoredFlag),
        ("MEMORY", Space),
        ("RULE", Rule),
        ("INPUT", Input),
    )
    constants = [
        *_frame_constants(),
        *((f"{prefix}_{item.name}", int(item)) for prefix, group in groups for item in group),
        *((f"REQUEST_{command.name}_BYTES", REQUESTS[command].size) for command in Command),
        ("IDENTITY_BYTES", IDENTITY.size),
    ]
    return header("protocol", (f"#define OPZO_{name} 0x{value:x}u" for name, value in constants))


def _at(kinds: Iterable[Reg]) -> list[Register]:
    return [REGISTERS[register.value] for register in kinds]


def _defines(register: Register) -> Iterator[str]:
    name = f"OPZO_REG_{register.name}"
    yield f"/* {register.meaning} ({ACCESS[register.access]}) */"
    yield f"#define {name} 0x{register.address:02x}u"
    yield f"#define {name}_BITS {register.bits}"
    yield f"#define {name}_RESET 0x{register.reset:x}u"


def _frame_constants() -> list[tuple[str, int]]:
    return [
        *(("VERSION", protocol.VERSION), ("MAGIC", protocol.MAGIC), ("REPLAY", protocol.REPLAY)),
        *(("END", frames.END), ("ESC", frames.ESC), ("ESC_END", frames.ESC_END), ("ESC_ESC", frames.ESC_ESC)),
        *(("OVERHEAD", frames.OVERHEAD), ("MAX_PAYLOAD", frames.MAX_PAYLOAD)),
        *(("REPLY", REPLY), ("NAK", commands.NAK)),
    ]


def _members(kinds: Iterable[Status | NakReason | RunFlag | StoredFlag]) -> str:
    return table(("value", "name", "meaning"), ((item.value, f"`{item.name}`", item.meaning) for item in kinds))


def _fields(payload: Payload) -> str:
    rows = ((field.type, f"`{field.name}`", field.meaning) for field in payload.fields)
    return table(("type", "name", "meaning"), rows)


def _listed(payload: Payload) -> list[dict[str, str]]:
    return [vars(field) for field in payload.fields]


def _in_words(payload: Payload) -> str:
    fields = [f"{field.type} {field.name} ({field.meaning})" for field in payload.fields]
    return "; ".join([*fields, *([payload.rest] if payload.rest else [])]) or "-"


def _names(members: Iterable[Counter]) -> str:
    return " and ".join(f"`{member.name}`" for member in members)


def _examples() -> Iterator[str]:
    sync, read = Command.SYNC, Command.READ_REGISTERS
    for text, frame in (
        ("SYNC", Frame(0, sync, REQUESTS[sync].pack(1))),
        ("READ_REGISTERS", Frame(1, read, REQUESTS[read].pack(Reg.STEPS, 1))),
        ("reply", Frame(1, read | REPLY, bytes((Status.OK,)) + (6).to_bytes(4, "little"))),
    ):
        yield f"{text:<15} {frame.encode().hex(' ')}"
