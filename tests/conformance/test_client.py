"""The public conformance suite for clients: a scripted server on a real socket, against our client's first request."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import Future

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from h2o_otel import AsyncClient
from h2o_otel.errors import H2OError
from tests.conformance.cases_client import CASES
from tests.support import wire
from tests.support.judged import requirement
from tests.support.peers import Certificates
from tests.support.spec import TIMEOUT_S, Case, Conn


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def portal(request: pytest.FixtureRequest) -> Iterator[BlockingPortal]:
    """The client's event loop, in a thread."""
    with start_blocking_portal(request.param) as made:
        yield made


def accepted(listener: socket.socket, asking: Future[None]) -> socket.socket:
    """The client's connection; a client that failed before it made one says why at once."""
    for _ in range(round(TIMEOUT_S / 0.1)):
        try:
            return listener.accept()[0]
        except TimeoutError:
            if asking.done():
                asking.result()
    raise AssertionError(f"the client did not connect within {TIMEOUT_S} s")


@pytest.fixture(params=["h2c", "tls"])
def conn(request: pytest.FixtureRequest, certificates: Certificates, portal: BlockingPortal) -> Iterator[Conn]:
    """The server's end of the connection of a client that asks for the root."""
    secure = request.param == "tls"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        url = f"{'https' if secure else 'http'}://127.0.0.1:{listener.getsockname()[1]}/"
        judged = anyio.Event()

        async def ask() -> None:
            async with AsyncClient(verify=certificates.ca) as client:
                with contextlib.suppress(H2OError):
                    await client.get(url)
                # The connection is the suite's until it has judged.
                await judged.wait()

        asking = portal.start_task_soon(ask)
        try:
            with accepted(listener, asking) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if secure:
                    with certificates.context().wrap_socket(sock, server_side=True) as wrapped:
                        yield Conn(wrapped, client=False, scheme=b"https")
                else:
                    yield Conn(sock, client=False)
        finally:
            # What the client tries again finds nobody.
            listener.close()
            portal.call(judged.set)
            asking.result(TIMEOUT_S)


@requirement("9113-3.2-1", "9113-3.2-2", "9113-5.4.1-1")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, conn: Conn) -> None:
    conn.handshake()
    request = next((f for f in conn.seen if f.type == wire.HEADERS), None) or conn.until(lambda f: f.type == wire.HEADERS)
    assert request.stream_id == conn.stream_id
    case.run(conn)


def test_each_case_has_its_name() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
