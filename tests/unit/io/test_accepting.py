"""Out of descriptors: accepting pauses, says so once a second, and goes on as soon as one is free."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import anyio.lowlevel
import pytest
import sniffio

from h2o_otel import counters
from h2o_otel.io import anyio as h2_anyio
from h2o_otel.io import asyncio as h2_asyncio
from h2o_otel.io.accepting import SHORTAGES, Reserve
from h2o_otel.io.anyio import AnyioLoop
from h2o_otel.io.driver import Driver
from h2o_otel.io.loop import asyncio_loop
from tests.support import backends
from tests.support.ends import server_driver
from tests.support.waiting import eventually

_before: dict[str, int] = {}


def counted(reason: str) -> int:
    return counters.collect().value("io_accept_pauses", reason)


@pytest.fixture(autouse=True)
def remembered() -> None:
    _before.update({reason: counted(reason) for reason in counters.SHORTAGES})


def pauses(reason: str = "process_descriptors") -> int:
    """Of this test."""
    return counted(reason) - _before[reason]


def take_all_but(left: int) -> list[int]:
    """Take descriptors until only so many are left below the limit."""
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(left):
        os.close(taken.pop())
    return taken


@contextlib.contextmanager
def low_limit() -> Iterator[None]:
    """A limit that this process reaches with few descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Listening:
    """A listener on the running loop, and what it reports."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int | None, int]] = []
        self.drivers: list[Any] = []
        self.listener: Any = None

    def report(self, reason: str, error: OSError, unsaid: int) -> None:
        self.reports.append((reason, error.errno, unsaid))

    def driver(self, loop: Any, kind: Any) -> Any:
        self.drivers.append(server_driver(loop, kind)[0])
        return self.drivers[-1]

    @property
    def connected(self) -> int:
        return sum(driver.transport is not None for driver in self.drivers)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.addresses[0][:2]
        return host, port


@contextlib.asynccontextmanager
async def listening() -> Any:
    made = Listening()
    if sniffio.current_async_library() == "trio":
        async with AnyioLoop() as loop:
            made.listener = await h2_anyio.serve(loop, lambda: made.driver(loop, Driver), report_pause=made.report)
            yield made
            made.listener.close()
    else:
        ours = asyncio_loop()
        made.listener = await h2_asyncio.serve(lambda: made.driver(ours, h2_asyncio.H2Protocol), report_pause=made.report)
        yield made
        made.listener.close()
        for driver in made.drivers:
            driver.abort()
        await asyncio.sleep(0)


@backends.every_loop
async def test_it_pauses_without_descriptors_and_goes_on_with_one(anyio_backend: Any) -> None:
    async with listening() as server:
        # libuv takes a descriptor for itself with the first connection of a loop.
        with socket.create_connection(server.address):
            await eventually(lambda: server.connected == 1)
        await eventually(lambda: server.connected == 0)
        with low_limit():
            clients = [socket.socket() for _ in range(4)]
            taken = take_all_but(2)
            try:
                for client in clients:
                    client.connect(server.address)
                await eventually(lambda: pauses() > 0)
                await eventually(lambda: server.connected == 2)
                # The reserve was given back: the application can open a file.
                os.close(os.open(os.devnull, os.O_RDONLY))
                assert [report[:2] for report in server.reports] == [("process_descriptors", errno.EMFILE)]
                os.close(taken.pop())
                os.close(taken.pop())
                await eventually(lambda: server.connected == 4)
            finally:
                for fd in taken:
                    os.close(fd)
                for client in clients:
                    client.close()
        with socket.create_connection(server.address):
            await eventually(lambda: any(driver.transport is not None for driver in server.drivers[5:]))


@backends.every_loop
async def test_a_connection_that_ends_makes_room_for_the_next(anyio_backend: Any) -> None:
    async with listening() as server:
        with low_limit():
            clients = [socket.socket() for _ in range(3)]
            taken = take_all_but(1)
            try:
                for client in clients:
                    client.connect(server.address)
                await eventually(lambda: pauses() > 0)
                for client in clients:
                    await eventually(lambda: server.connected >= 1)
                    client.close()
                await eventually(lambda: len(server.drivers) == 3)
            finally:
                for fd in taken:
                    os.close(fd)


@backends.asyncio_loops
async def test_closing_while_paused(anyio_backend: Any) -> None:
    async with listening() as server:
        with low_limit(), socket.socket() as client:
            taken = take_all_but(0)
            try:
                client.connect(server.address)
                await eventually(lambda: server.listener.paused)
                server.listener.close()
                server.listener.resume()
                assert server.listener.sockets[0].fileno() == -1
            finally:
                for fd in taken:
                    os.close(fd)
    await anyio.lowlevel.checkpoint()
    assert server.drivers == []


def test_one_report_a_second_says_how_many_were_not_said() -> None:
    reports: list[tuple[str, int]] = []
    reserve = Reserve(lambda reason, error, unsaid: reports.append((reason, unsaid)))
    full = OSError(errno.EMFILE, "Too many open files")
    for tenth in range(25):
        assert reserve.short(full, 100.0 + tenth / 10)
    assert reports == [("process_descriptors", 0), ("process_descriptors", 9), ("process_descriptors", 9)]
    assert pauses() == 25
    reserve.give_back()


@pytest.mark.parametrize(("code", "reason"), [*SHORTAGES.items(), (errno.EINVAL, "error")])
def test_every_shortage_has_its_reason(code: int, reason: str) -> None:
    reserve = Reserve(lambda reason, error, unsaid: None)
    assert reserve.short(OSError(code, "x"), 1.0)
    assert pauses(reason) == 1


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH])
def test_what_happened_to_one_client_pauses_nothing(code: int) -> None:
    reserve = Reserve(lambda reason, error, unsaid: pytest.fail("reported"))
    assert not reserve.short(OSError(code, "x"), 1.0)
    assert sum(pauses(reason) for reason in counters.SHORTAGES) == 0
    reserve.give_back()


def test_the_log_says_it_by_default(caplog: pytest.LogCaptureFixture) -> None:
    Reserve().short(OSError(errno.ENFILE, "File table overflow"), 1.0)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "accepting connections pauses: File table overflow (system_descriptors); 0 pauses before this one were not logged"
