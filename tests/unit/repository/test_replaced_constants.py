"""No test and no benchmark replaces a constant of a module: a limit that they change is an argument."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.testkit.paths import ROOT

REPLACING = {"setattr", "delattr", "setitem", "delitem", "object", "patch", "dict"}
CONSTANT = re.compile(r"(?:[\w.]+\.)?_?[A-Z][A-Z0-9_]+")

ALLOWED: dict[str, str] = {}
"""The reasons for the replacements that remain, by path and name: `tests/a.py: module.NAME`."""


def replaced_constants(text: str) -> Iterator[str]:
    """Yield the constants that a file replaces, and the names of attributes that are not literals."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (ast.unparse(one) for one in targets if isinstance(one, ast.Attribute) and _is_constant(one))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in REPLACING:
            yield from _replaced(node)


def _replaced(call: ast.Call) -> Iterator[str]:
    """Yield the constant that a call of monkeypatch or mock replaces."""
    match [ast.unparse(call.func).rpartition(".")[2], *call.args]:
        case ["setattr" | "delattr" | "object", ast.expr() as target, ast.Constant(value=str(name)), *_]:
            if CONSTANT.fullmatch(name):
                yield f"{ast.unparse(target)}.{name}"
        case ["setattr" | "patch", ast.Constant(value=str(name)), *_]:
            if CONSTANT.fullmatch(name):
                yield name
        case ["setattr", ast.expr() as target, ast.expr() as name, _]:
            yield f"{ast.unparse(target)}.{{{ast.unparse(name)}}}"
        case ["setitem" | "delitem" | "dict", ast.Attribute() as target, *_]:
            if _is_constant(target):
                yield ast.unparse(target)


def _is_constant(target: ast.Attribute) -> bool:
    own = isinstance(target.value, ast.Name) and target.value.id in ("self", "cls")
    return not own and CONSTANT.fullmatch(target.attr) is not None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("monkeypatch.setattr(probes, 'MAX_LIMIT', 1)", ["probes.MAX_LIMIT"]),
        ("monkeypatch.setattr(a.probes, '_MAX_LIMIT', 1)", ["a.probes._MAX_LIMIT"]),
        ("monkeypatch.setattr('a.probes.MAX_LIMIT', 1)", ["a.probes.MAX_LIMIT"]),
        ("monkeypatch.setattr(probes, name, 1)", ["probes.{name}"]),
        ("monkeypatch.setitem(probes._OPTIONS, 'retries', 1)", ["probes._OPTIONS"]),
        ("mock.patch.object(probes, 'MAX_LIMIT', 1)", ["probes.MAX_LIMIT"]),
        ("mock.patch('probes.MAX_LIMIT', 1)", ["probes.MAX_LIMIT"]),
        ("probes.MAX_LIMIT = 1", ["probes.MAX_LIMIT"]),
        ("monkeypatch.setattr(time, 'sleep', print)", []),
        ("monkeypatch.setattr('time.monotonic', print)", []),
        ("monkeypatch.setitem(os.environ, 'HOME', '/')", []),
        ("self.MAX_LIMIT = 1", []),
    ],
)
def test_replacement_of_a_constant_is_found(text: str, found: list[str]) -> None:
    assert list(replaced_constants(text)) == found


def test_no_test_and_no_benchmark_replaces_a_constant_without_a_reason() -> None:
    files = sorted(path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py"))
    assert len(files) > 500
    found = {f"{path.relative_to(ROOT)}: {name}" for path in files for name in replaced_constants(path.read_text())}
    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set()
