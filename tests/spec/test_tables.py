"""Tables of the specification: layouts, memories, registers and rules, against values by hand."""

from dataclasses import fields, replace

import pytest

from opzo.spec.commands import ANSWERS, NAK_PAYLOAD, REQUESTS, Command, RunFlag, Status
from opzo.spec.limits import Limits
from opzo.spec.memories import Space, rows_of
from opzo.spec.protocol import IDENTITY, Identity
from opzo.spec.registers import REGISTERS, Counter, LayerReg, Reg, counters_of, stored_bits
from opzo.spec.rules import INPUT_TRAITS, RULE_TRAITS, Input, Rule, RuleEntry, Teaching, names

LIMITS = Limits(lanes=4, rows=70, inputs=301, words=5, classes=6, steps=7)


def test_layouts_of_payloads() -> None:
    formats = {command: payload.struct.format for command, payload in REQUESTS.items()}
    assert formats == {
        Command.SYNC: "<I",
        Command.READ_REGISTERS: "<BB",
        Command.WRITE_REGISTERS: "<B",
        Command.READ_MEMORY: "<BIH",
        Command.WRITE_MEMORY: "<BI",
        Command.EVENTS: "<",
        Command.RUN: "<BB",
        Command.RESET: "<",
        Command.READ_STORE: "<IH",
        Command.WRITE_STORE: "<I",
        Command.CHECK_STORE: "<II",
        Command.RUN_STORED: "<BBHHHIIIIH",
    }
    answers = {command: payload.struct.format for command, payload in ANSWERS.items() if payload.size}
    assert answers == {Command.RUN: "<BI", Command.CHECK_STORE: "<I", Command.RUN_STORED: "<BIIII"}
    assert NAK_PAYLOAD.pack(2, 9) == b"\2\x09"
    assert IDENTITY.struct.format == "<IHHHHHHIHHIHHHHIHHHI"
    assert [field.name for field in IDENTITY.fields] == [field.name for field in fields(Identity)]
    assert set(ANSWERS) == set(REQUESTS) == set(Command)


def test_values_on_the_wire() -> None:
    assert [(status.name, status.value) for status in Status] == [
        *(("OK", 0), ("BAD_COMMAND", 1), ("BAD_LENGTH", 2), ("BAD_ADDRESS", 3)),
        *(("BAD_BLOCK", 8), ("BAD_EVENT", 4), ("FULL", 7), ("BAD_STEPS", 6), ("BAD_LABEL", 5), ("NO_LEARNING", 9)),
    ]
    assert [(flag.value, flag.bit) for flag in RunFlag] == [(1, 0), (2, 1), (4, 2), (8, 3)]
    assert RunFlag(5) == RunFlag.TRAIN | RunFlag.FRESH
    assert [int(command) for command in Command] == list(range(1, 13))


def test_rows_of_memories() -> None:
    assert [space.rows(LIMITS) for space in Space] == [70, 2, 10, 5, 76, 0]
    assert Space.GRADIENTS.rows(replace(LIMITS, gradients=9, blocks=1)) == 18
    assert [space for space in Space if space.writable] == [Space.WEIGHTS, Space.LFSR, Space.GRADIENTS]
    assert [space for space in Space if space.cleared] == [Space.HISTORY, Space.INPUT_HISTORY]
    assert rows_of(1, LIMITS) == 2
    assert rows_of(5, LIMITS) == rows_of(255, LIMITS) == 0


def test_every_register_once() -> None:
    assert len(REGISTERS) == len(Reg) + 6 * len(LayerReg) + 2 * len(Counter)
    assert len({register.name for register in REGISTERS.values()}) == len(REGISTERS)
    assert REGISTERS[0x75].name == "READOUT_FEEDBACK_SHIFT"
    assert (REGISTERS[0x31].name, REGISTERS[0x31].bits) == ("LAYER_2_WORDS", 11)
    assert (REGISTERS[0x85].name, REGISTERS[0x85].bits) == ("COUNTER_TRAIN_CYCLES_HIGH", 16)
    assert Reg.CLEAR_COUNTERS not in stored_bits(LIMITS)


def test_registers_and_counters_of_a_device() -> None:
    single = 3 + 4 + 7 + 15 + 2 + 12 + 8 + 12 + 4 + 4 + 4 + 32 + 2
    for layers in (1, 3, 5):
        limits = replace(LIMITS, layers=layers)
        assert sum(stored_bits(limits).values()) == single + (layers + 1) * 99
        assert set(stored_bits(limits)) < set(REGISTERS)
        assert len(counters_of(limits)) == len(Counter) - 2 - 2 * (5 - layers)
        convolving = replace(limits, gradients=1, blocks=1)
        assert sum(stored_bits(convolving).values()) == single + 46 + (layers + 1) * (99 + 75)
        assert set(counters_of(convolving)) - set(counters_of(limits)) == {
            Counter.ACCUMULATE,
            Counter.GRADIENT_SATURATIONS,
        }
        assert (Counter.ACTIVE_5 in counters_of(limits)) == (Counter.SPIKES_5 in counters_of(limits)) == (layers == 5)


def test_rules_and_inputs() -> None:
    traits = {rule.name: "".join(str(int(getattr(rule, trait))) for trait in RULE_TRAITS) for rule in Rule}
    assert traits == {"OPZO": "11011", "DFA": "01001", "ZO": "10101", "READOUT": "00000"}
    kinds = ["".join(str(int(getattr(Input.of_register(n), trait))) for trait in INPUT_TRAITS) for n in range(4)]
    assert kinds == ["010", "100", "111", "100"]
    assert [kind.run_steps for kind in Input] == [8, 8, 1]
    assert names(Rule) == "opzo, dfa, zo or readout"


@pytest.mark.parametrize(
    "entry",
    [
        {"teaching": Teaching.LOSS},
        {"teaching": Teaching.MATRIX, "momentum": True},
        {"teaching": Teaching.NOTHING, "random_matrix": True},
        {"teaching": Teaching.LOSS, "noise": True, "momentum": True},
    ],
)
def test_rules_that_contradict_themselves(entry: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match=r"need noise|no feedback matrix"):
        RuleEntry("", **entry)  # type: ignore[arg-type]
