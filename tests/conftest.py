"""Set-up of every test run: compiled or pure, a time limit per test, a seed, the event loops, the peers."""

from __future__ import annotations

import functools
import inspect
import os
import random
import signal
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

import h2o_otel
from h2o_otel import _pure
from h2o_otel.telemetry import failures
from tests.support import backends, programs

# Far above what any test takes: only one that hangs may end by it, however busy the machine is.
TEST_SECONDS_MAX = 60
# The alarm rings again and again, for code that swallows it.
ALARM_AGAIN_SECONDS = 2

SEED = int(os.environ.get("H2O_OTEL_SEED") or random.SystemRandom().randrange(2**32))

# A machine that is busy is no fault of a strategy.
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow], "print_blob": True}
hypothesis.settings.register_profile("dev", max_examples=50, **PATIENT)
# In CI the same examples every time: a change fails for what it changed.
hypothesis.settings.register_profile("ci", max_examples=100, derandomize=True, database=None, **PATIENT)
hypothesis.settings.register_profile("long", max_examples=5000, database=DirectoryBasedExampleDatabase(".hypothesis/examples"), **PATIENT)
hypothesis.settings.load_profile(os.environ.get("H2O_OTEL_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "dev"))


# A fault inside telemetry fails the test instead of hiding in a log.  Nothing else switches this on.
failures.raise_failures(True)


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
    if old := _pure.stale():
        raise pytest.UsageError(f"compiled before their sources were changed: {', '.join(old)}; run: make setup")


def pytest_report_header() -> list[str]:
    compiled, modules = len(_pure.compiled_modules()), len(_pure.modules())
    build = f"build: {_pure.build()} ({compiled} of {modules} modules compiled) in {Path(h2o_otel.__file__).parent}"
    old = _pure.stale()
    warning = [f"STALE: compiled before their sources were changed: {', '.join(old)}"] if old else []
    return [build, *warning, f"seed: H2O_OTEL_SEED={SEED}"]


# -- time


class TimeLimit(KeyboardInterrupt):
    """Event loops swallow every other exception that is raised inside a callback."""


def seconds_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("time_limit")
    return float(marker.args[0]) if marker else TEST_SECONDS_MAX


def alarmed(seconds: float) -> Iterator[None]:
    """Let the wrapped hook run so long: then fail it, and if that was swallowed, interrupt it."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        return (yield)
    rings = 0

    def ring(number: int, frame: object) -> None:
        nonlocal rings
        rings += 1
        raise TimeLimit if rings > 1 else pytest.fail.Exception("the alarm rang")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, ALARM_AGAIN_SECONDS)
    try:
        result = yield
    except BaseException as error:  # trio wraps it into a group
        if not rings:
            raise
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise pytest.fail.Exception(f"longer than {seconds:g} s") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if rings:
        pytest.fail(f"longer than {seconds:g} s, and the alarm was swallowed")
    return result


def cancelled_after(seconds: float, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The limit for a coroutine whose loop still turns: it ends cleanly, and the loop can serve the next test."""

    @functools.wraps(test)
    async def limited(*args: Any, **kwargs: Any) -> None:
        with anyio.move_on_after(seconds) as scope:
            await test(*args, **kwargs)
        if scope.cancelled_caught:
            pytest.fail(f"longer than {seconds:g} s")

    return limited


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from alarmed(seconds_of(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    seconds = seconds_of(item)
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = cancelled_after(seconds, item.obj)
        seconds += ALARM_AGAIN_SECONDS
    return (yield from alarmed(seconds))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    return (yield from alarmed(seconds_of(item)))


# -- what a process remembers


@pytest.fixture(autouse=True)
def own_origins() -> None:
    """Only so many origins of a process get labels of their own; every test has all of them."""
    if requests := sys.modules.get("h2o_otel.telemetry.requests"):
        requests._origins.clear()


@pytest.fixture(autouse=True)
def own_log_lines() -> None:
    """So many lines a second of a kind are logged; no test finds them used up by the one before."""
    setup = sys.modules.get("h2o_otel.telemetry.setup")
    if setup is not None and setup._default is not None:
        limit = setup._default[1].events._limit
        limit._buckets.clear()
        limit._suppressed.clear()


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
