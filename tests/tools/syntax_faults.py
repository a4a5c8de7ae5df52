"""Every small fault that the syntax of a module offers: one text for another, line for line.

Left out is what changes nothing that runs (docstrings, annotations, what only type checkers read,
bodies of protocols), and what any import shows (`__all__`, members that are their own name).
"""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Self

import attrs

_OPERATORS: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
_OTHER_FUNCTIONS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Decorators and calls that only type checkers heed, and what they make has no other use.
_FOR_TYPES: Final = {
    "NewType",
    "ParamSpec",
    "TypeAliasType",
    "TypeVar",
    "abstractmethod",
    "final",
    "overload",
    "override",
    "runtime_checkable",
}


@attrs.frozen
class Fault:
    """A text of a file that is to become another.

    Attributes:
        file: The file's path from the project's root.
        start: Where the text begins, in bytes.
        before: The text as it is.
        after: The text that takes its place, of as many lines.
        line: The line where it begins.
        breaks: What it breaks, where a person knows.
    """

    file: str
    start: int
    before: str
    after: str
    line: int
    breaks: str = ""

    @classmethod
    def between(
        cls, file: str, source: bytes, start: int, end: int, *, after: str, breaks: str = ""
    ) -> Self:
        """Return the fault that puts `after` between two positions, padded to as many lines."""
        before = source[start:end].decode()
        padding = "\n" * (before.count("\n") - after.count("\n"))
        line = source.count(b"\n", 0, start) + 1
        return cls(file, start, before, after + padding, line, breaks)

    def planted(self, source: bytes) -> bytes:
        """Return the source with the fault in it."""
        end = self.start + len(self.before.encode())
        if source[self.start : end].decode() != self.before:
            raise ValueError(f"{self.file}:{self.line} is not {self.before!r}")
        return source[: self.start] + self.after.encode() + source[end:]

    def __str__(self) -> str:
        shown = self.breaks or f"{_one_line(self.before)} -> {_one_line(self.after)}"
        return f"{self.file}:{self.line}  {shown}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:40]} ... {line[-15:]}"


def faults(file: str, source: bytes) -> list[Fault]:
    """Return every fault that a module offers, in the order of its lines."""
    finder = _Finder(file, source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found), key=lambda fault: (fault.start, fault.after))


def is_another_program(fault: Fault, source: bytes) -> bool:
    """Tell whether a source is valid and says something else once the fault is in it."""
    try:
        planted = ast.parse(fault.planted(source))
    except SyntaxError:
        return False
    return ast.dump(planted) != ast.dump(ast.parse(source))


def lines_of_statement(source: bytes, line: int) -> tuple[range, bool]:
    """Return the lines of the smallest statement around a line, and whether import runs it.

    Of a statement with a block, that is its head.
    """
    best: tuple[range, bool] = range(line, line + 1), True

    def look(node: ast.AST, *, at_import: bool) -> None:
        nonlocal best
        for child in ast.iter_child_nodes(node):
            inner = at_import
            if isinstance(child, ast.stmt):
                lines = _head(child)
                if line in lines:
                    best = lines, at_import
                inner = at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            look(child, at_import=inner)

    look(ast.parse(source), at_import=True)
    return best


def _head(statement: ast.stmt) -> range:
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    for decorator in getattr(statement, "decorator_list", ()):
        first = min(first, decorator.lineno)
    body: Sequence[ast.stmt] = getattr(statement, "body", ())
    if body:
        last = max(first, body[0].lineno - 1)
    return range(first, last + 1)


class _Finder(ast.NodeVisitor):
    """Visits what of a module may run, and notes what may become what."""

    def __init__(self, file: str, source: bytes) -> None:
        self.found: list[Fault] = []
        self._file = file
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    # What is left out, in whole or in part

    def visit_Import(self, node: ast.Import) -> None:
        pass

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        pass

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring, or an ellipsis
            if isinstance(node.value, ast.Call | ast.Await):
                self._drop(node)
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _name(node) not in {"Annotated", "Literal"}:
            self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in [*node.defaults, *node.kw_defaults]:
            if default:
                self.visit(default)

    # Definitions

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if not {_name(each) for each in node.decorator_list} & {"abstractmethod", "overload"}:
            self._decorators(node.decorator_list)
            self.visit(node.args)
            self._visit_all(node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if "Protocol" not in map(_name, node.bases):
            self._decorators(node.decorator_list)
            self._visit_all(node.keywords)
            self._visit_all(node.body)

    def _decorators(self, decorators: Sequence[ast.expr]) -> None:
        for decorator in decorators:
            if _name(decorator) not in _FOR_TYPES:
                at = self._source.rindex(b"@", 0, self._start(decorator))
                self._note(at, self._end(decorator), "")
                self.visit(decorator)

    # Statements

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            self._visit_all(node.orelse)
        else:
            self._negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        if not any(item.optional_vars for item in node.items):
            self._note(self._start(node), self._end(node.items[-1].context_expr), "if True")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if isinstance(node.type, ast.Tuple) and len(node.type.elts) > 1:
            first, *others = node.type.elts
            self._note(self._start(first), self._start(others[0]), "")
            for left, right in pairwise(node.type.elts):
                self._note(self._end(left), self._end(right), "")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if (
                name == value
            ):
                return
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
                self._drop(node)
            case _:
                pass
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._drop(node)
        self._other_operator(node.op, node.target, node.value)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        if not isinstance(node.targets[0], ast.Name):
            self._drop(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value:
            self._note(self._start(node.value), self._end(node.value), "None")
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._drop(node)
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._drop(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._drop(node)

    # Expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        for operator, (left, right) in zip(
            node.ops, pairwise([node.left, *node.comparators]), strict=True
        ):
            self._other_operator(operator, left, right)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            self._other_operator(node.op, left, right)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not (_is_text(node.left) or _is_text(node.right)):
            self._other_operator(node.op, node.left, node.right)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._note(self._start(node), self._start(node.operand), "")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for value in _other_values(node.value):
            self._note(self._start(node), self._end(node), repr(value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._note(self._start(node), self._end(node), "'~'")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in _OTHER_FUNCTIONS:
            self._note(self._start(node), self._end(node), _OTHER_FUNCTIONS[node.id])

    def visit_Dict(self, node: ast.Dict) -> None:
        for value, other in pairwise([*node.values, *node.values[:1]]):
            text = self._source[self._start(other) : self._end(other)].decode()
            if "\n" not in text and not isinstance(value, ast.Constant):
                self._note(self._start(value), self._end(value), text)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _name(node) in _FOR_TYPES:
            return
        arguments: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        given = sorted(arguments, key=self._start)
        for number, argument in enumerate(given):
            if isinstance(argument, ast.keyword) and argument.arg:
                start, end = self._start(argument), self._end(argument)
                if number:
                    start = self._end(given[number - 1])
                elif comma := re.compile(rb"\s*,").match(self._source, end):
                    end = comma.end()
                self._note(start, end, "")
        if _name(node) == "cast":
            self._visit_all(node.args[1:])
        else:
            self.generic_visit(node)

    # How it is noted

    def _visit_all(self, nodes: Sequence[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _drop(self, node: ast.stmt) -> None:
        self._note(self._start(node), self._end(node), "pass")

    def _negate(self, test: ast.expr) -> None:
        if not isinstance(test, ast.UnaryOp):  # without its `not` it is negated, too
            start, end = self._start(test), self._end(test)
            self._note(start, end, f"(not ({self._source[start:end].decode()}))")

    def _other_operator(self, operator: ast.AST, left: ast.expr, right: ast.expr) -> None:
        before, after = _OPERATORS.get(type(operator), ("", ""))
        if not before:
            return
        start = self._end(left)
        # No operator is looked for in a comment.
        between = self._source[start : self._start(right)]
        between = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), between)
        found = re.search(re.escape(before).replace("\\ ", r"\s+").encode(), between)
        if found:
            self._note(start + found.start(), start + found.end(), after)

    def _note(self, start: int, end: int, after: str) -> None:
        self.found.append(Fault.between(self._file, self._source, start, end, after=after))

    def _start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset


def _other_values(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case float():
            yield value + 1
        # A text without its middle: a comparison of either end alone gets past it.
        case str():
            third = len(value) // 3
            yield value[:third] + value[len(value) - third :] or "~"
        case bytes():
            third = len(value) // 3
            yield value[:third] + value[len(value) - third :] or b"~"
        case _:
            pass


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _name(node: ast.AST) -> str:
    match node:
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _name(inner)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
