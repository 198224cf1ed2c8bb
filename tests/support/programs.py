"""Peers written by others that tests run against: found, or skipped with a reason, or required."""

from __future__ import annotations

import os
import shutil
import socket
import time

import pytest

# nginx, nghttpd and h2o are in sbin on Debian, which is not on a user's path.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find_program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def require_program(name: str) -> str:
    """The path of ``name``; skips the test without it, or fails it when H2O_OTEL_REQUIRE_PEERS=1."""
    found = find_program(name)
    if found is None:
        reason = f"the program {name} is not installed"
        if os.environ.get("H2O_OTEL_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and H2O_OTEL_REQUIRE_PEERS=1")
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float = 10.0) -> None:
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
