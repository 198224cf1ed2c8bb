"""A client, and servers that misbehave: on asyncio and trio, with and without TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from h2o_otel import AsyncClient
from tests.support.peers import Certificates, Peer, PeerServer


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["h2c", "tls"])
def secure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


@pytest.fixture
def serve(secure: bool, certificates: Certificates) -> Iterator[Callable[[type[Peer]], PeerServer]]:
    """``serve(Peer)`` starts a server; its threads must not have failed in the end."""
    servers: list[PeerServer] = []

    def start(peer: type[Peer]) -> PeerServer:
        server = PeerServer(peer, certificates.context() if secure else None)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__()
        assert server.errors == []


@pytest.fixture
def client(certificates: Certificates) -> Callable[..., AsyncClient]:
    return lambda **arguments: AsyncClient(verify=certificates.ca, **arguments)
