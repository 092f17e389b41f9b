"""Registers RULE and INPUT as named control bits, from the tables of ``opzo.spec.rules``."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from opzo.spec.registers import Reg
from opzo.spec.rules import INPUT_TRAITS, RULE_TRAITS, Input, Rule

RULE = data.StructLayout(dict.fromkeys(RULE_TRAITS, 1))
INPUT = data.StructLayout(dict.fromkeys(INPUT_TRAITS, 1))


def decode_rule(register: Value) -> data.View:
    """One bit for each of RULE_TRAITS: whether the rule in register RULE has it."""
    return data.View(
        RULE, Cat(register.matches(*(int(rule) for rule in Rule if getattr(rule, trait))) for trait in RULE_TRAITS)
    )


def decode_input(register: Value) -> data.View:
    """One bit for each of INPUT_TRAITS: whether the kind of input in register INPUT has it."""
    contents = {content: Input.of_register(content) for content in range(1 << Reg.INPUT.bits)}
    return data.View(
        INPUT,
        Cat(
            register.matches(*(content for content, kind in contents.items() if getattr(kind, trait)))
            for trait in INPUT_TRAITS
        ),
    )
