"""Run the h2 library's own tests on ``h2o_otel.compat.h2``, and compare with what is known to differ.

    python tests/compat/run_h2_suite.py            # the figures, and every difference with its reason

The tests come with the source distribution of the library (MIT licence), which is downloaded once
into build/compat and not kept in this repository.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / "build" / "compat"
# The release whose interface the façade has, and whose tests are meant.
VERSION = "4.4.1"
SHA256 = "4e866ffb1a869ae14dd9b5e6beb5c24a13da0495ad72b65925ded182521c1516"
DOWNLOAD_SECONDS_MAX = 60
RUN_SECONDS_MAX = 300


class Unavailable(Exception):
    """The source distribution cannot be had here."""


class Outcome(NamedTuple):
    """What a run found, by test function.

    Attributes:
        build: "compiled" or "pure".
        passed: functions of which every case passed.
        failed: the others, with the first line of what went wrong.
    """

    build: str
    passed: set[str]
    failed: dict[str, str]


def archive() -> Path:
    """The source distribution, downloaded when it is not here yet.

    Raises:
        Unavailable: with the reason.
    """
    path = CACHE / f"h2-{VERSION}.tar.gz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-binary", ":all:", "--no-deps", "--no-build-isolation", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", str(CACHE), f"h2=={VERSION}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the source distribution of h2 {VERSION} did not arrive within {DOWNLOAD_SECONDS_MAX} s") from None
        if done.returncode or not path.exists():
            last = (done.stderr.strip().splitlines() or ["nothing was downloaded"])[-1]
            raise Unavailable(f"the source distribution of h2 {VERSION} cannot be downloaded: {last}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        path.unlink()
        raise Unavailable(f"h2-{VERSION}.tar.gz has SHA-256 {digest}, {SHA256} was expected; it has been removed")
    return path


def source() -> Path:
    """The unpacked source distribution."""
    path = CACHE / f"h2-{VERSION}"
    packed = archive()
    if not (path / "tests").is_dir():
        with tarfile.open(packed) as tar:
            # Python 3.11.4 and later know filters; what is unpacked has the checksum that was expected.
            tar.extractall(CACHE, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return path


def functions(folder: Path) -> set[str]:
    """Every test function of the suite, read from its sources: one that is not even collected must be missed."""
    found = set()
    for path in sorted((folder / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            name = f"{path.name}::{node.name}" if isinstance(node, ast.ClassDef) else path.name
            found |= {f"{name}::{test.name}" for test in inside if isinstance(test, ast.FunctionDef) and test.name.startswith("test")}
    return found


def run(folder: Path) -> Outcome:
    """The suite on the façade, in a process of its own."""
    results = CACHE / f"outcomes-{os.getpid()}.json"
    paths = [str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "H2_SUITE_SOURCE": str(folder),
        "H2_SUITE_RESULTS": str(results),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "h2_plugin",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir=.",
        "-q",
        "--tb=line",
    ]
    try:
        done = subprocess.run(
            [*command, "--continue-on-collection-errors", "tests"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        if not results.exists():
            raise RuntimeError(f"the suite did not run:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        found = json.loads(results.read_text(encoding="utf-8"))
    finally:
        results.unlink(missing_ok=True)
    outcomes: dict[str, str] = dict.fromkeys(functions(folder), "did not run") | found["outcomes"]
    failed = {name: message for name, message in outcomes.items() if message}
    return Outcome(found["build"], set(outcomes) - set(failed), failed)


def expected() -> dict[str, str]:
    """The functions that are known not to pass, with the reason of their group."""
    groups = tomllib.loads((HERE / "expected_failures.toml").read_text(encoding="utf-8"))["group"]
    listed = [(test, group["reason"]) for group in groups for test in group["tests"]]
    assert len({test for test, _ in listed}) == len(listed), "a test is listed twice"
    return dict(listed)


def differences(outcome: Outcome, listed: dict[str, str]) -> list[str]:
    """Where the outcome and the list disagree: empty when the list is exact."""
    wrong = [f"fails and is not listed: {name}: {message}" for name, message in sorted(outcome.failed.items()) if name not in listed]
    wrong += [f"is listed and passes: {name}" for name in sorted(listed.keys() & outcome.passed)]
    wrong += [f"is listed and does not exist: {name}" for name in sorted(listed.keys() - outcome.passed - outcome.failed.keys())]
    return wrong


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> int:
    try:
        outcome = run(source())
    except Unavailable as reason:
        say(reason)
        return 1
    listed = expected()
    say(f"h2 {VERSION}'s test functions on h2o_otel.compat.h2 ({outcome.build}): {len(outcome.passed)} pass, {len(outcome.failed)} do not")
    for reason in dict.fromkeys(listed.values()):
        say(f"\n{reason}")
        say("\n".join(f"  {name}" for name, why in listed.items() if why == reason))
    wrong = differences(outcome, listed)
    if wrong:
        say("\n" + "\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
