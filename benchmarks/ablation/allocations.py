"""How often CPython's allocators are asked, and for how much: exact, however busy the machine is.

``tracemalloc`` knows what is alive, not what was asked for, so ``allocations.c`` counts.  It is
compiled on first use; without a C compiler and Python's headers there is no figure.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["AllocationCounter"]

SOURCE = Path(__file__).resolve().parents[1] / "c" / "allocations.c"


class AllocationCounter:
    """``missing`` says why there is none, "" when there is."""

    def __init__(self) -> None:
        self.missing = ""
        self._library: Any = None
        try:
            self._library = self._compile()
        except (OSError, subprocess.CalledProcessError) as error:
            text = getattr(error, "stderr", "") or str(error)
            self.missing = f"allocations are not counted: {text.strip().splitlines()[-1] if text.strip() else error!r}"

    @staticmethod
    def _compile() -> Any:
        compiler = shlex.split(os.environ.get("CC") or "cc")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "allocations.so")
            include = sysconfig.get_path("include")
            command = [*compiler, "-O2", "-shared", "-fPIC", f"-I{include}", str(SOURCE), "-o", str(library)]
            subprocess.run(command, check=True, capture_output=True, text=True)
            # PyDLL keeps the GIL, which the counter relies on.
            loaded = ctypes.PyDLL(str(library))
        for name in ("h2o_calls", "h2o_octets"):
            getattr(loaded, name).restype = ctypes.c_ulonglong
        return loaded

    def count(self, call: Callable[[], Any]) -> tuple[int, int]:
        """Allocations and octets that ``call`` asked for."""
        self._library.h2o_start()
        try:
            call()
        finally:
            self._library.h2o_stop()
        return self._library.h2o_calls(), self._library.h2o_octets()
