"""Places in Python sources where a small change makes a mutant.

Left alone, because no test should depend on them: docstrings and texts, annotations (but for the ports of a component),
what ``raise`` and the log say, ``assert``, ``__repr__`` and ``__str__``, decorators.
"""

import ast
import copy

from mutation.mutant import Site

BINARY: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mult,),
    ast.Div: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitOr, ast.BitAnd),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax"}
"""Functions and methods, and those that replace them."""
WIDTHS = ("range", "signed", "unsigned", "Signal", "In", "Out")
"""Calls whose first argument is a count or a width."""
CONDITIONS = ("If", "Elif")
"""Methods of Amaranth's Module whose argument is a condition."""
QUIET = ("logger", "warnings")
"""Objects whose calls only tell."""
TEXTS = ("__repr__", "__str__")
PORTS = ("In", "Out")


def python_sites(source: bytes) -> list[Site]:
    """All sites of a Python file, in order."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return sorted(finder.sites, key=lambda site: (site.start, site.end, site.kind))


def same_python(first: bytes, second: bytes) -> bool:
    """Whether two files have the same syntax tree; SyntaxError if one has none."""
    return ast.dump(ast.parse(first)) == ast.dump(ast.parse(second))


class _Finder(ast.NodeVisitor):
    def __init__(self, source: bytes) -> None:
        self.sites: list[Site] = []
        self._starts = [0]
        for line in source.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def _add(self, node: ast.expr | ast.stmt, kind: str, *replacements: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        self.sites.append(Site(start, end, kind, replacements))

    def _changed(self, node: ast.expr, kind: str, *variants: ast.expr) -> None:
        self._add(node, kind, *(f"({ast.unparse(variant)})" for variant in variants))

    def _negated(self, test: ast.expr) -> None:
        self._changed(test, "condition", ast.UnaryOp(ast.Not(), test))

    # What is left alone.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in TEXTS:
            return
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self._body(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._body(node.body)

    def _body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.annotation, ast.Call) and _name(node.annotation.func) in PORTS:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts are no sites."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """What cannot happen is no site."""

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "removed", "pass")

    # Statements.

    def visit_If(self, node: ast.If) -> None:
        if _name(node.test) == "TYPE_CHECKING":
            return
        self._negated(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negated(node.test)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Call):
            return
        function = node.value.func
        if isinstance(function, ast.Attribute) and _name(function.value) in QUIET:
            return
        self._add(node, "removed", "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # Without a plain name every use of it is an error.
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._add(node, "removed", "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "removed", "pass")
        # "+=" of Amaranth's domains takes statements, not numbers.
        if not isinstance(node.target, ast.Attribute) or not ast.unparse(node.target).startswith("m.d."):
            for operator in BINARY.get(type(node.op), ()):
                self._add(node, "operator", ast.unparse(ast.AugAssign(node.target, operator(), node.value)))
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._add(node, "jump", "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._add(node, "jump", "break")

    # Expressions.

    def visit_BinOp(self, node: ast.BinOp) -> None:
        # Texts are joined with "+", formatted with "%".
        if not any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right)):
            others = BINARY.get(type(node.op), ())
            if others:
                variants = (ast.BinOp(node.left, operator(), node.right) for operator in others)
                self._changed(node, "operator", *variants)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            variants = []
            for other in COMPARED[type(operator)]:
                variant = copy.copy(node)
                variant.ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                variants.append(variant)
            self._changed(node, "comparison", *variants)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        fewer = (_without(node, place) for place in range(len(node.values)))
        self._changed(node, "logic", ast.BoolOp(other, node.values), *fewer)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._changed(node, "operator", node.operand)
        # A negative constant is one constant.
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, "constant", str(not node.value))
        elif isinstance(node.value, int):
            self._add(node, "constant", str(node.value + 1), f"({node.value - 1})")
        elif isinstance(node.value, float):
            self._add(node, "constant", repr(node.value * 2), repr(node.value / 2))

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._changed(node, "arms", ast.IfExp(node.test, node.orelse, node.body))
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negated(test)
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        # A statement of a list of Amaranth's statements.
        for element in node.elts:
            if isinstance(element, ast.Call) and _name(element.func) == "eq":
                self._add(element, "removed", "*()")
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None and not isinstance(bound, ast.Constant):
                self._shifted(bound, "range")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        if name in SWAPPED:
            self._swapped(node, SWAPPED[name])
        elif name == "Mux" and len(node.args) == 3:
            condition, yes, no = node.args
            self._changed(node, "arms", ast.Call(node.func, [condition, no, yes], node.keywords))
        elif name in CONDITIONS and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            # "~" of a Python number is a number other than 0; so compared.
            self._add(node.args[0], "condition", f"(({ast.unparse(node.args[0])}) == 0)")
        elif name in WIDTHS and node.args and not isinstance(node.args[0], ast.Constant):
            if not isinstance(node.args[0], ast.Call | ast.Starred | ast.Dict):
                self._shifted(node.args[0], "width")
        self.generic_visit(node)

    def _shifted(self, node: ast.expr, kind: str) -> None:
        text = ast.unparse(node)
        self._add(node, kind, f"(({text}) + 1)", f"(({text}) - 1)")

    def _swapped(self, node: ast.Call, other: str) -> None:
        function = copy.copy(node.func)
        if isinstance(function, ast.Attribute):
            function.attr = other
        elif isinstance(function, ast.Name):
            function.id = other
        self._changed(node, "function", ast.Call(function, node.args, node.keywords))


def _name(node: ast.expr) -> str:
    """Last part of a name: ``If`` of ``m.If``; empty for other expressions."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _without(node: ast.BoolOp, place: int) -> ast.expr:
    values = [*node.values[:place], *node.values[place + 1 :]]
    return values[0] if len(values) == 1 else ast.BoolOp(node.op, values)
