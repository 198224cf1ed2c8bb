"""What every test run has: how the package runs, a time limit per test, a seed, the event loops, the peers."""

from __future__ import annotations

import os
import random
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

import h2o_otel
from h2o_otel import _pure
from tests.support import backends, programs

TEST_SECONDS_MAX = 20
# The alarm rings again and again: an event loop swallows what is raised inside its callbacks.
ALARM_AGAIN_SECONDS = 2

SEED = int(os.environ.get("H2O_OTEL_SEED") or random.SystemRandom().randrange(2**32))

hypothesis.settings.register_profile("dev", deadline=None, max_examples=50)
# In CI the same examples every time: a change fails for what it changed.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile(
    "long", deadline=None, max_examples=5000, database=DirectoryBasedExampleDatabase(".hypothesis/examples"), print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("H2O_OTEL_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "dev"))


# -- compiled or pure


def pytest_configure(config: pytest.Config) -> None:
    """The suite never runs the other way unseen: H2O_OTEL_EXPECT=compiled|pure says which way is meant."""
    expected = os.environ.get("H2O_OTEL_EXPECT")
    if not expected:
        return
    if expected not in ("compiled", "pure"):
        raise pytest.UsageError(f"H2O_OTEL_EXPECT={expected}: neither compiled nor pure")
    build = _pure.build()
    if build != expected:
        sources = sorted(set(_pure.modules()) - set(_pure.compiled_modules()))
        raise pytest.UsageError(f"H2O_OTEL_EXPECT={expected}, but the run is {build}; from source: {', '.join(sources) or 'nothing'}")
    if old := stale():
        raise pytest.UsageError(f"compiled before their sources were changed: {', '.join(old)}; run: make setup")


def pytest_report_header() -> list[str]:
    compiled, modules = len(_pure.compiled_modules()), len(_pure.modules())
    build = f"build: {_pure.build()} ({compiled} of {modules} modules compiled) in {Path(h2o_otel.__file__).parent}"
    old = stale()
    warning = [f"STALE: compiled before their sources were changed: {', '.join(old)}"] if old else []
    return [build, *warning, f"seed: H2O_OTEL_SEED={SEED}"]


def stale() -> list[str]:
    """Compiled modules in use that are older than their source or than any .pxd."""
    root = _pure.ROOT.parent
    newest_pxd = max((p.stat().st_mtime for p in _pure.ROOT.rglob("*.pxd")), default=0.0)
    found = []
    for name in _pure.compiled_modules():
        source = root.joinpath(*name.split(".")).with_suffix(".py")
        built = next(source.parent.glob(f"{source.stem}.*.so"), None)
        if built and built.stat().st_mtime < max(newest_pxd, source.stat().st_mtime):
            found.append(name)
    return found


# -- time


def time_limited(item: pytest.Item) -> Iterator[None]:
    marker = item.get_closest_marker("time_limit")
    seconds = float(marker.args[0]) if marker else TEST_SECONDS_MAX
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        return (yield)

    def expired(number: int, frame: object) -> None:
        pytest.fail(f"{item.nodeid} took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds, ALARM_AGAIN_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from time_limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from time_limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    return (yield from time_limited(item))


# -- chance


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number of this test and this run; H2O_OTEL_SEED repeats the run."""
    return SEED ^ zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("seed", f"repeat with: H2O_OTEL_SEED={SEED} pytest '{item.nodeid}'"))
    return report


# -- event loops, ports, programs


@pytest.fixture(params=backends.ASYNCIO_AND_TRIO, ids=backends.name_of)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Every ``async def test_`` runs on asyncio and on trio; narrow or widen it with the marks of ``support.backends``."""
    return request.param


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    return programs.free_port


@pytest.fixture
def require_program() -> Callable[[str], str]:
    """``require_program("nghttp")``: its path; skips without it, fails if H2O_OTEL_REQUIRE_PEERS=1."""
    return programs.require_program
