"""Places in C++ sources where a small change makes a mutant; tree-sitter parses them."""

import re
from collections.abc import Iterator

import tree_sitter
import tree_sitter_cpp

from mutation.mutant import Site

OPERATORS: dict[str, tuple[str, ...]] = {
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "/": ("*",),
    "%": ("/",),
    "&": ("|", "^"),
    "|": ("&", "^"),
    "^": ("|", "&"),
    "<<": (">>",),
    ">>": ("<<",),
    "==": ("!=",),
    "!=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "&&": ("||",),
    "||": ("&&",),
    "+=": ("-=",),
    "-=": ("+=",),
    "&=": ("|=",),
    "|=": ("&=",),
    "^=": ("|=",),
    "<<=": (">>=",),
    ">>=": ("<<=",),
    "++": ("--",),
    "--": ("++",),
}
WITH_OPERATOR = ("binary_expression", "assignment_expression", "update_expression")
CONDITIONAL = ("if_statement", "while_statement")
SKIPPED = ("comment", "static_assert_declaration", "attribute_declaration", "attribute_specifier", "preproc_include")
FUNCTIONS = {"min": "max", "max": "min"}
INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)")
_LANGUAGE = tree_sitter.Language(tree_sitter_cpp.language())


def cxx_sites(source: bytes) -> list[Site]:
    """All sites of a C++ file, in order."""
    tree = tree_sitter.Parser(_LANGUAGE).parse(source)
    return sorted(_sites(tree.root_node), key=lambda site: (site.start, site.end, site.kind))


def _sites(node: tree_sitter.Node) -> Iterator[Site]:
    if node.type in SKIPPED:
        return
    if node.type in WITH_OPERATOR:
        operator = node.child_by_field_name("operator")
        if operator is not None and (others := OPERATORS.get(_text(operator))):
            yield _site(operator, "operator", *others)
    elif node.type == "unary_expression":
        argument = node.child_by_field_name("argument")
        if argument is not None:
            yield _site(node, "operator", _text(argument))
    elif node.type == "number_literal":
        found = INTEGER.fullmatch(_text(node))
        if found is not None:
            value = int(found[1], 0)
            yield _site(node, "constant", f"{value + 1}{found[2]}", f"({value - 1}{found[2]})")
    elif node.type in ("true", "false"):
        yield _site(node, "constant", "false" if node.type == "true" else "true")
    elif node.type in CONDITIONAL:
        yield from _negated(node.child_by_field_name("condition"))
    elif node.type == "conditional_expression":
        condition, yes, no = (node.child_by_field_name(name) for name in ("condition", "consequence", "alternative"))
        if condition is not None and yes is not None and no is not None:
            yield _site(node, "arms", f"({_text(condition)} ? {_text(no)} : {_text(yes)})")
    elif node.type == "expression_statement" and _text(node) != ";":
        yield _site(node, "removed", ";")
    elif node.type == "break_statement":
        yield _site(node, "jump", "continue;")
    elif node.type == "continue_statement":
        yield _site(node, "jump", "break;")
    elif node.type == "qualified_identifier":
        name = node.child_by_field_name("name")
        if name is not None and _text(name) in FUNCTIONS:
            yield _site(name, "function", FUNCTIONS[_text(name)])
    for child in node.children:
        yield from _sites(child)


def _negated(condition: tree_sitter.Node | None) -> Iterator[Site]:
    """Negation of ``(condition)``, parentheses included; nothing where it declares a variable."""
    value = None if condition is None else condition.child_by_field_name("value")
    if condition is not None and value is not None and condition.named_child_count == 1:
        if value.type not in ("declaration", "condition_declaration"):
            yield _site(condition, "condition", f"(!({_text(value)}))")


def _site(node: tree_sitter.Node, kind: str, *replacements: str) -> Site:
    return Site(node.start_byte, node.end_byte, kind, replacements)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()
