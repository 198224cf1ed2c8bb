"""Peers written by others that tests run against: found, or skipped with a reason, or required."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import time
from collections.abc import Iterator

import pytest

# nginx, nghttpd and h2o are in sbin on Debian, which is not on a user's path.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find_program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def require_program(name: str) -> str:
    """The path of ``name``; skips the test without it, or fails it when H2O_OTEL_REQUIRE_PEERS=1.

    H2O_OTEL_ABSENT_PEERS names programs that this system does not package: tests with them are skipped all the same.
    """
    found = find_program(name)
    if found is None:
        if name in os.environ.get("H2O_OTEL_ABSENT_PEERS", "").split():
            pytest.skip(f"the packages of this system have no {name}")
        reason = f"the program {name} is not installed"
        if os.environ.get("H2O_OTEL_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and H2O_OTEL_REQUIRE_PEERS=1")
        pytest.skip(reason)
    return found


# Below what systems give to connections that do not say which port they want (32768 on Linux, 49152 elsewhere):
# nobody is given such a port by chance before the program that it is meant for listens on it.
# Runs from the sources take the odd ones: `make test` has one run of each kind at the same time.
_PORTS = range(12_000 + (os.environ.get("H2O_OTEL_PURE") == "1"), 32_000, 2)
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on and that no other test was given."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections: it is taken, and nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def wait_for_port(port: int, seconds: float = 30.0) -> None:
    """Return when something listens; TimeoutError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on port {port} after {seconds:g} s") from error
            time.sleep(0.02)
        else:
            return


def wait_until_refused(port: int, seconds: float = 30.0) -> None:
    """Return when nothing listens any more; TimeoutError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"something still listens on port {port} after {seconds:g} s")
