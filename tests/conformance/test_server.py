"""The public conformance suite for servers, against a real server on a real socket, cleartext and TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from h2o_otel.server import Config, Server
from tests.conformance import cases_generic, cases_http2
from tests.support.judged import requirement
from tests.support.peers import Certificates
from tests.support.spec import Case, Conn, serving

CASES = [*cases_generic.CASES, *cases_http2.CASES]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the request, then answers with a few octets."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello, h2spec"})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """The server's event loop, in a thread."""
    with start_blocking_portal("asyncio") as made:
        yield made


@pytest.fixture(scope="module", params=["h2c", "tls"])
def address(request: pytest.FixtureRequest, certificates: Certificates, portal: BlockingPortal) -> Iterator[Any]:
    """Where the server listens, and the context to connect with, or None."""
    settings: dict[str, Any] = {"port": 0, "lifespan": "off", "handle_signals": False, "timeout_graceful_shutdown": 0.1}
    context = None
    if request.param == "tls":
        settings |= {"ssl_certfile": certificates.issued.certificate, "ssl_keyfile": certificates.issued.key}
        context = ssl.create_default_context(cafile=certificates.ca)
        context.set_alpn_protocols(["h2"])
    server = Server(Config(app=app, **settings))

    with serving(portal, server):
        yield server.addresses[0], context


@pytest.fixture
def conn(address: Any) -> Iterator[Conn]:
    where, context = address
    with socket.create_connection(where) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            yield Conn(sock, client=True)
            return
        with context.wrap_socket(sock, server_hostname="localhost") as wrapped:
            assert wrapped.selected_alpn_protocol() == "h2"
            yield Conn(wrapped, client=True, scheme=b"https")


@requirement("9113-3.2-1", "9113-3.2-2", "9113-5.4.1-1")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, conn: Conn) -> None:
    if case.handshake:
        conn.handshake()
    case.run(conn)


def test_each_case_has_its_name() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
