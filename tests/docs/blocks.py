"""The fenced code blocks of README and guide, and how they are run.

A block is written as a reader pastes it.  What its language and the comment before it say decides what the tests do:

- ``python``: run in a process of its own; ``await`` may stand outside functions, and ``client`` is an open client of
  the service of ``service.py`` unless the block makes one.
- ``sh``: run by bash in the folder of the page.
- ``title="name"``: written to that file in the folder of the page, for a later block to use.
- ``<!-- background -->`` before a ``sh`` block: runs until the page ends; the next block waits for its ports.
- ``<!-- not run: reason -->``: not run; test_blocks.py counts these.

Ports of the guide are replaced by free ones; without a background block, 8000 is that of the service.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import free_port, wait_for_port

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("run_python.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = ("python", "sh")
PORTS = ("8000", "8443", "8080", "9464", "4318")
SECONDS_MAX = 60

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*)(?P<rest>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks) *$", re.M | re.S
)
_COMMENT = re.compile(r"<!-- (background|not run: (?:(?!-->).)+?) -->\s*\Z", re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page, line: where its fence is.
        language: the word behind the fence.
        title: the file that it becomes, or "".
        background: it runs until the page ends.
        reason: why it is not run, or "".
        text: without the indentation of its fence.
    """

    page: Path
    line: int
    language: str
    title: str
    background: bool
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        title = re.search(r'title="([^"]+)"', match["rest"])
        comment = _COMMENT.search(source[: match.start()])
        said = comment[1] if comment else ""
        found.append(
            Block(
                page=page,
                line=source.count("\n", 0, match.start()) + 1,
                language=match["language"],
                title=title[1] if title else "",
                background=said == "background",
                reason=" ".join(said.removeprefix("not run: ").split()) if said.startswith("not run") else "",
                text=re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M),
            )
        )
    return found


class PageRun:
    """Runs the blocks of one page in order, in a folder of its own.

    Args:
        folder: an empty one.
        service_port: of the service that clients of the page talk to.
    """

    def __init__(self, folder: Path, blocks: list[Block], service_port: int) -> None:
        self.folder = folder
        self.blocks = blocks
        self.ports = {port: free_port() for port in PORTS}
        if not any(block.background for block in blocks):
            self.ports["8000"] = service_port
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pythons = 0

    def __enter__(self) -> PageRun:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self) -> list[str]:
        """Run every block; what failed, with where it stands and what it printed."""
        for block in self.blocks:
            if block.reason:
                continue
            if block.title:
                (self.folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / block.title).write_text(self._filled(block.text), encoding="utf-8")
            elif block.language == "sh" and block.background:
                self._start(block)
            elif block.language in RUN:
                command = ["bash", "-euo", "pipefail", "-c", self._filled(block.text)] if block.language == "sh" else self._python(block)
                if fault := self._finish(block, command):
                    # Later blocks depend on it.
                    return [fault]
        return []

    def _filled(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: str(self.ports[match[1]]), text)

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DOCS_SERVICE": f"http://127.0.0.1:{self.ports['8000']}"}

    def _python(self, block: Block) -> list[str]:
        self._pythons += 1
        path = self.folder / f"block{self._pythons}.py"
        path.write_text(self._filled(block.text), encoding="utf-8")
        return [sys.executable, str(RUNNER), str(path)]

    def _finish(self, block: Block, command: list[str]) -> str:
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as expired:
            return f"{block}: longer than {SECONDS_MAX} s:\n{expired.stdout}\n{self._logs()}"
        return f"{block}: status {done.returncode}:\n{done.stdout}\n{self._logs()}" if done.returncode else ""

    def _start(self, block: Block) -> None:
        with (self.folder / f"background{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", self._filled(block.text)], cwd=self.folder, env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        for port in sorted({match for match in re.findall(r"\b\d{4}\b", block.text) if match in PORTS}):
            try:
                wait_for_port(self.ports[port])
            except TimeoutError as error:
                raise AssertionError(f"{block}: nothing listens on port {port}:\n{self._logs()}") from error

    def _logs(self) -> str:
        return "\n".join(f"-- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.folder.glob("*.log")))
