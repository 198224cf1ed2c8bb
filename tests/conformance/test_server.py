"""The public conformance suite for servers, against a real server on a real socket, cleartext and TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from tests.conformance import cases_generic, cases_http2
from tests.support.judged import requirement
from tests.support.peers import Certificates
from tests.support.spec import Case, Conn, connected, server_of, serving

CASES = [*cases_generic.CASES, *cases_http2.CASES]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the request, then answers with a few octets."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello, h2spec"})


@pytest.fixture(scope="module", params=["h2c", "tls"])
def address(request: pytest.FixtureRequest, certificates: Certificates, portal: BlockingPortal) -> Iterator[Any]:
    """Where the server listens, and the context to connect with, or None."""
    server, context = server_of(app, request.param == "tls", certificates, timeout_graceful_shutdown=0.1)
    with serving(portal, server):
        yield server.addresses[0], context


@pytest.fixture
def conn(address: Any) -> Iterator[Conn]:
    where, context = address
    with connected(where, context) as made:
        yield made


@requirement("9113-3.2-1", "9113-3.2-2", "9113-5.4.1-1")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, conn: Conn) -> None:
    if case.handshake:
        conn.handshake()
    case.run(conn)


def test_each_case_has_its_name() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
