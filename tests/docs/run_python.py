"""Run one Python block of the guide: ``run_python.py FILE``; see ``blocks.py``."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import os
import sys
from pathlib import Path
from types import CodeType
from typing import Any


def names_bound(tree: ast.AST) -> set[str]:
    """Names that the block assigns, imports or takes as parameters anywhere."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    return found | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def uses_client(tree: ast.AST) -> bool:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return "client" in used and "client" not in names_bound(tree)


async def run(code: CodeType, names: dict[str, Any], with_client: bool) -> None:
    if not with_client:
        result = eval(code, names)
        if inspect.iscoroutine(result):
            await result
        return
    import h2o_otel

    async with h2o_otel.AsyncClient(base_url=os.environ["DOCS_SERVICE"]) as client:
        await run(code, {**names, "client": client}, False)


def main() -> None:
    path = sys.argv[1]
    source = Path(path).read_text(encoding="utf-8")
    tree = ast.parse(source, path)
    # Tracebacks show the lines of the block.
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    code = compile(source, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    names: dict[str, Any] = {"__name__": "__main__", "__file__": path}
    sys.path.insert(0, str(Path(path).parent))
    if code.co_flags & inspect.CO_COROUTINE or uses_client(tree):
        asyncio.run(run(code, names, uses_client(tree)))
    else:
        exec(code, names)


if __name__ == "__main__":
    main()
