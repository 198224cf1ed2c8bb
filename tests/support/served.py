"""The program ``h2o-otel serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


class Served:
    """A process of ``h2o-otel serve``.

    Args:
        folder: its current folder, where ``source`` becomes ``served.py``.
        source: the application's module.
        arguments: of the command.
        before: a command that runs it.
        environment: variables beside those of this process.

    Attributes:
        lines: what it has printed, to standard output and standard error.
    """

    def __init__(self, folder: Path, source: str, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> None:
        (folder / "served.py").write_text(source)
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        command = [*before, sys.executable, "-m", "h2o_otel", "serve", *arguments]
        self.process = subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._grown:
                self.lines.append(line.rstrip("\n"))
                self._grown.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = PATIENCE_S) -> re.Match[str]:
        with self._grown:
            assert self._grown.wait_for(lambda: re.search(pattern, self.text), seconds), f"no {pattern!r} in:\n{self.text}"
        found = re.search(pattern, self.text)
        assert found is not None
        return found

    def port(self) -> int:
        return int(self.wait_for(r"on https?://127\.0\.0\.1:(\d+)")[1])

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_S) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(seconds)
        self._thread.join(PATIENCE_S)
        return status

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
