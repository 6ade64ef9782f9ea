"""Which small faults a source file can be given: each replaces one piece of its text.

Left alone are sentences for people (a string with a space in it), docstrings, annotations, decorators, imports and what
stands inside an f-string, whose positions Python 3.11 does not know.
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

Function = ast.FunctionDef | ast.AsyncFunctionDef
_Where = ast.expr | ast.stmt

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd,
}
_SIMPLE: dict[type[ast.stmt], tuple[str, str]] = {
    ast.Raise: ("raise dropped", "pass"),
    ast.Delete: ("del dropped", "pass"),
    ast.Break: ("break turned", "continue"),
    ast.Continue: ("continue turned", "break"),
}
_GUARD = '__import__("contextlib").nullcontext()'


@dataclass(frozen=True)
class Mutation:
    """One fault: lines `first` to `last` of a file become `after`.

    It stands in a `function`, or a class, and unless it is `in_code` it is run when the module is imported.
    """

    path: str
    first: int
    last: int
    operator: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    function: str
    in_code: bool

    @cached_property
    def identity(self) -> str:
        """What it is, wherever its line may have moved to."""
        return "\n".join((self.path, self.function, self.operator, *self.before, "", *self.after))

    def rank(self, seed: int) -> bytes:
        """Return its place in the random order of a seed, which no change elsewhere in the tree moves."""
        return hashlib.sha256(f"{seed}\n{self.identity}".encode()).digest()

    def apply(self, text: str) -> str:
        """Return the text of the file with the fault."""
        lines = text.splitlines(keepends=True)
        lines[self.first - 1 : self.last] = [f"{line}\n" for line in self.after]
        return "".join(lines)

    def diff(self) -> str:
        """Return the changed lines, without those around them."""
        kept = range(min(len(self.before), len(self.after)))
        same = next((i for i in kept if self.before[i] != self.after[i]), len(kept))
        return "\n".join([*(f"-{line}" for line in self.before[same:]), *(f"+{line}" for line in self.after[same:])])


def mutations(path: str, text: str) -> list[Mutation]:
    """Return every fault that this file can be given, in the order of its lines."""
    lines, made = text.splitlines(), {}
    for node, operator, replacement, (function, in_code) in _found(ast.parse(text)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        before = tuple(lines[node.lineno - 1 : node.end_lineno])
        head = before[0].encode()[: node.col_offset].decode()
        tail = before[-1].encode()[node.end_col_offset :].decode()
        after = (head + replacement + tail,)
        one = Mutation(path, node.lineno, node.end_lineno, operator, before, after, function, in_code)
        made[(one.identity, node.lineno)] = one
    return sorted(made.values(), key=lambda one: (one.first, one.after))


def _found(tree: ast.AST, name: str = "", *, code: bool = False) -> Iterator[tuple[_Where, str, str, tuple[str, bool]]]:
    """Yield each node that can be changed, with the operator's name, the new text and where it stands.

    What stands outside of the `code` of any function is run when the module is imported: a statement that is dropped
    there shows at once, and says nothing about the tests.
    """
    for node in _children(tree):
        inside = node.name if isinstance(node, Function | ast.ClassDef) else ""
        around = ".".join(filter(None, (name, inside)))
        for operator, where, replacement in [*(_statement(node) if code else ()), *_part(node)]:
            yield where, operator, replacement, (around, code)
        yield from _found(node, around, code=code or isinstance(node, Function))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that may be changed."""
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_docstring(child):
                yield child


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _part(node: ast.AST) -> Iterator[tuple[str, _Where, str]]:
    """Yield the changes of a node that is not a statement: the operator's name, what is replaced, and by what."""
    yield from _condition(node)
    match node:
        case ast.With():
            yield from (("guard dropped", item.context_expr, _GUARD) for item in node.items)
        case ast.Call():
            yield from _arguments(node)
        case ast.Constant():
            yield from _constant(node)
        case _:
            yield from _operation(node)


def _statement(node: ast.AST) -> Iterator[tuple[str, _Where, str]]:
    match node:
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return None", node, "return None"
        case ast.Assign(value=ast.Constant(value=None)):
            return
        case ast.Assign(targets=[ast.Name(id=name)]):
            yield "assignment dropped", node, f"{name} = None"
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign(value=ast.expr()):
            yield "assignment dropped", node, "pass"
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield "yield dropped", node, "pass"
        case ast.Expr(value=ast.Call()):
            yield "call dropped", node, "pass"
        case ast.stmt() if type(node) in _SIMPLE:
            operator, replacement = _SIMPLE[type(node)]
            yield operator, node, replacement


def _condition(node: ast.AST) -> Iterator[tuple[str, _Where, str]]:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            conditions = [node.test]
        case ast.comprehension():
            conditions = node.ifs
        case _:
            conditions = []
    for test in conditions:
        if not isinstance(test, ast.Compare):  # that is turned by its own operator
            yield "condition turned", test, f"not ({ast.unparse(test)})"


def _operation(node: ast.AST) -> Iterator[tuple[str, _Where, str]]:
    match node:
        case ast.Compare():
            for index, op in enumerate(node.ops):
                turned = copy.deepcopy(node)
                turned.ops[index] = _COMPARISONS[type(op)]()
                yield "comparison turned", node, ast.unparse(turned)
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            turned_op = ast.BinOp(node.left, _ARITHMETIC[type(op)](), node.right)
            yield "arithmetic changed", node, f"({ast.unparse(turned_op)})"
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "and or exchanged", node, f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            yield "not dropped", node, f"({ast.unparse(node.operand)})"


def _arguments(node: ast.Call) -> Iterator[tuple[str, _Where, str]]:
    """Drop one argument that has a name, or the last of several that have none: few can do without their only one."""
    if len(node.args) > 1:
        yield "argument dropped", node, ast.unparse(ast.Call(node.func, node.args[:-1], node.keywords))
    for index in range(len(node.keywords)):
        rest = node.keywords[:index] + node.keywords[index + 1 :]
        yield "argument dropped", node, ast.unparse(ast.Call(node.func, node.args, rest))


def _constant(node: ast.Constant) -> Iterator[tuple[str, _Where, str]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant changed", node, repr(not value)
    elif isinstance(value, int | float):
        yield "constant changed", node, repr(value + 1)
    elif isinstance(value, str) and value and " " not in value:
        yield "constant changed", node, repr(f"{value}~")
