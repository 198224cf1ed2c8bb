"""libnghttp2 driven from C: builds the program in ``c/`` and runs it on the same fields as the other subjects.

The program measures its own CPU time, so that starting it costs the figures nothing.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Fields = Sequence[tuple[bytes, bytes]]
SOURCE = Path(__file__).resolve().parent / "c" / "libnghttp2.c"
NAME = "libnghttp2 (C)"


@functools.cache
def folder() -> Path:
    made = tempfile.mkdtemp(prefix="h2o-otel-bench-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@functools.cache
def program() -> Path:
    """The compiled program, built once a run.

    Raises:
        RuntimeError: no C compiler, or no header of the library; the text says which.
    """
    compiler = shutil.which(os.environ.get("CC", "cc").split()[-1])
    if compiler is None:
        raise RuntimeError("no C compiler is installed")
    target = folder() / "libnghttp2"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Wno-deprecated-declarations", "-o", str(target), str(SOURCE), "-lnghttp2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing = "nghttp2/nghttp2.h" in done.stderr or "-lnghttp2" in done.stderr
        raise RuntimeError("libnghttp2-dev is not installed" if missing else f"it does not compile: {done.stderr[-500:]}")
    return target


def written(requests: Sequence[Fields], responses: Sequence[Fields] = ()) -> Path:
    """The file of fields that the program reads."""
    path = folder() / f"fields-{len(requests)}-{len(requests[0])}-{len(responses)}"
    if not path.exists():
        sections = [b"".join(b"%b\t%b\n" % field for field in fields) + b"\n" for fields in requests]
        sections.append(b"--\n")
        sections += [b"".join(b"%b\t%b\n" % field for field in fields) + b"\n" for fields in responses]
        path.write_bytes(b"".join(sections))
    return path


def run(*arguments: object) -> dict[str, Any]:
    """One run of the program, and what it printed.

    Raises:
        RuntimeError: it failed; the text is what it says.
    """
    done = subprocess.run([str(program()), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
