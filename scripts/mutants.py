"""Would the tests notice?  Changes one thing in a function, runs the tests that execute its line, and lists what none of them noticed.

    python scripts/mutants.py h2o_otel/protocol/guards.py --tests tests/unit/protocol tests/attacks

The tests are collected once, from the sources; each mutant is a fork of that process in which the code of one
function is another, so some hundred are judged in a minute.  A survivor is a hole in the tests, code that nothing
needs, or a change that makes no difference.  Where 0 tests were run, none executes the line, or it runs at import only.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import gc
import importlib
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

os.environ["H2O_OTEL_PURE"] = "1"
os.environ.setdefault("H2O_OTEL_SEED", "1")
os.environ.setdefault("H2O_OTEL_HYPOTHESIS", "ci")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402

# A mutant may loop or allocate for ever.
SECONDS_MIN, SECONDS_FACTOR, MEMORY_BYTES_MAX = 20.0, 6.0, 2 << 30
Change = Callable[[Any], ast.AST]
OPPOSITES: dict[type[ast.AST], type[ast.AST]] = {
    **{a: b for x, y in ((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot)) for a, b in ((x, y), (y, x))},
    **{a: b for x, y in ((ast.In, ast.NotIn), (ast.Add, ast.Sub), (ast.BitAnd, ast.BitOr)) for a, b in ((x, y), (y, x))},
    **{a: b for x, y in ((ast.Mult, ast.FloorDiv), (ast.LShift, ast.RShift), (ast.And, ast.Or)) for a, b in ((x, y), (y, x))},
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
}
SKIPPED_FIELDS = ("annotation", "returns", "decorator_list", "bases", "format_spec")
SKIPPED_NODES = (ast.arguments, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)


class Mutant(NamedTuple):
    file: str
    function: str
    path: tuple[tuple[str, int | None], ...]  # from the module's tree to the node
    kind: str
    lines: range  # of the statement, without its body


def changes(node: ast.AST, parent: ast.AST, field: str) -> Iterator[tuple[str, Change]]:
    """The mutations of a node, by kind."""
    if isinstance(node, ast.Compare):
        yield from ((f"comparison {i}", lambda n, i=i: _with_opposite(n, i)) for i in range(len(node.ops)))
    elif isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in OPPOSITES:
        yield "operator", _with_opposite
        if isinstance(node, ast.BoolOp):
            # One operand in the place of two, or of all.
            yield from ((f"operand {i} alone", lambda n, i=i: n.values[i]) for i in range(len(node.values)))
    elif isinstance(node, ast.UnaryOp):
        yield "without its sign", lambda n: n.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(parent, ast.Return):
        # "return 0" is what a compiled function returns where an exception can come out of it.
        yield "one more", lambda n: ast.Constant(not n.value if n.value is True else n.value + 1)
        if node.value is not True and node.value > 0:
            yield "one less", lambda n: ast.Constant(n.value - 1)
    elif isinstance(node, ast.Name) and node.id.isupper() and len(node.id) > 2 and not isinstance(parent, ast.Attribute):
        yield "one more", lambda n: ast.BinOp(n, ast.Add(), ast.Constant(1))
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Raise, ast.Break, ast.Continue)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await))
    ):
        yield "removed", lambda n: ast.Pass()
    elif isinstance(node, ast.Return):
        if isinstance(node.value, (ast.Compare, ast.BoolOp)):
            yield "opposite", lambda n: ast.Return(ast.UnaryOp(ast.Not(), n.value))
        elif node.value is None or isinstance(node.value, ast.Call):
            yield "removed", lambda n: ast.Pass()
    if field == "test" and isinstance(parent, (ast.If, ast.IfExp)):
        yield "always", lambda n: ast.Constant(True)
        yield "never", lambda n: ast.Constant(False)


def _with_opposite(node: Any, i: int = -1) -> Any:
    if i < 0:
        node.op = OPPOSITES[type(node.op)]()
    else:
        node.ops[i] = OPPOSITES[type(node.ops[i])]()
    return node


def mutants_of(file: str) -> list[Mutant]:
    found: list[Mutant] = []

    def walk(node: ast.AST, path: tuple[tuple[str, int | None], ...], names: tuple[str, ...], function: str, lines: range) -> None:
        for field, value in ast.iter_fields(node):
            for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if field in SKIPPED_FIELDS or not isinstance(child, ast.AST) or isinstance(child, SKIPPED_NODES):
                    continue
                here, inner, outermost, covered = (*path, (field, i)), names, function, lines
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    inner = (*names, child.name)
                    if not isinstance(child, ast.ClassDef):
                        outermost = function or ".".join(inner)
                if isinstance(child, ast.stmt):
                    body = getattr(child, "body", None)
                    covered = range(child.lineno, max(child.lineno, body[0].lineno - 1 if body else child.end_lineno or 0) + 1)
                if outermost:
                    found.extend(Mutant(file, outermost, here, kind, covered) for kind, _ in changes(child, node, field))
                walk(child, here, inner, outermost, covered)

    walk(ast.parse((ROOT / file).read_text()), (), (), "", range(0))
    return found


def mutated(mutant: Mutant) -> tuple[CodeType, str]:
    """The code of the function, and the change in words."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    node: Any = tree
    for field, i in mutant.path:
        parent, node = node, (getattr(node, field) if i is None else getattr(node, field)[i])
    change = dict(changes(node, parent, field))[mutant.kind]
    made = ast.copy_location(change(copy.deepcopy(node)), node)
    if i is None:
        setattr(parent, field, made)
    else:
        getattr(parent, field)[i] = made
    code = compile(ast.fix_missing_locations(tree), str(ROOT / mutant.file), "exec")
    for name in mutant.function.split("."):
        code = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name][-1]
    return code, f"{ast.unparse(node).splitlines()[0]}  ->  {ast.unparse(made).splitlines()[0]}"


def function_of(mutant: Mutant) -> FunctionType:
    found: Any = importlib.import_module(mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    for name in mutant.function.split("."):
        found = found.__dict__[name]
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    assert isinstance(found, FunctionType)
    return found


class Judge:
    """A plugin that runs mutants in the place of tests."""

    def __init__(self, files: list[str], sample: int) -> None:
        self.files = {str(ROOT / file): file for file in files}
        self.lines: set[tuple[str, int]] = set()
        self.seconds: dict[str, float] = {}
        self.covering: dict[tuple[str, int], list[str]] = {}
        self.mutants = [mutant for file in files for mutant in mutants_of(file)]
        random.Random(1).shuffle(self.mutants)
        del self.mutants[sample:]

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if (file := self.files.get(frame.f_code.co_filename)) is None:
            return None
        self.lines.add((file, frame.f_lineno))
        return self.trace

    def run(self, session: pytest.Session, items: list[pytest.Item]) -> Iterator[tuple[str, bool]]:
        """Run tests one by one, and tell whether each passed."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            failed = session.testsfailed
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            yield item.nodeid, session.testsfailed == failed

    def measure(self, session: pytest.Session) -> None:
        """Which lines each test executes, and how long it takes: in a child, so that no threads are left here."""
        with tempfile.TemporaryFile() as file:
            if (child := os.fork()) == 0:
                found, began = {}, time.perf_counter()
                sys.settrace(self.trace)
                for nodeid, passed in self.run(session, session.items):
                    if passed:
                        found[nodeid] = time.perf_counter() - began, self.lines
                    self.lines, began = set(), time.perf_counter()
                sys.settrace(None)
                pickle.dump(found, file)
                file.flush()
                os._exit(0)
            os.waitpid(child, 0)
            file.seek(0)
            for nodeid, (seconds, lines) in pickle.load(file).items():
                self.seconds[nodeid] = seconds
                for line in lines:
                    self.covering.setdefault(line, []).append(nodeid)

    def survives(self, session: pytest.Session, mutant: Mutant, code: CodeType, items: list[pytest.Item]) -> bool:
        if (child := os.fork()) == 0:
            with contextlib.suppress(BaseException):
                os.setpgid(0, 0)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                function_of(mutant).__code__ = code
                os._exit(0 if all(passed for _, passed in self.run(session, items)) else 1)
            os._exit(1)
        end = time.monotonic() + SECONDS_MIN + SECONDS_FACTOR * sum(self.seconds[item.nodeid] for item in items)
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status == 0
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return False
            time.sleep(0.004)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.measure(session)
        items = {item.nodeid: item for item in session.items}
        gc.freeze()
        survivors = 0
        for mutant in self.mutants:
            covering = {nodeid for line in mutant.lines for nodeid in self.covering.get((mutant.file, line), ())}
            chosen = [items[nodeid] for nodeid in sorted(covering, key=self.seconds.__getitem__)]
            code, change = mutated(mutant)
            if not chosen or self.survives(session, mutant, code, chosen):
                survivors += 1
                print(f"{mutant.file}:{mutant.lines[0]} {mutant.function}: {change}  ({len(chosen)} tests)", flush=True)
        print(f"{len(self.mutants)} mutants, {survivors} survived")
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="sources, by their paths from the root of the repository")
    parser.add_argument("--tests", nargs="+", default=["tests/unit"], help="files and folders of tests")
    parser.add_argument("--sample", type=int, default=10_000, help="judge so many, chosen by chance")
    args = parser.parse_args()
    sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", *args.tests], plugins=[Judge(args.files, args.sample)]))


if __name__ == "__main__":
    main()
