"""What proxies say of the client counts where they are trusted, and nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.server import ConfigError, ServerConfig
from h2o_otel.server.forwarded import Trust
from tests.support import backends
from tests.support.peer import Peer, connected, serving
from tests.support.waiting import eventually

PEER = ("127.0.0.1", 50_000)


def client(allowed: str, *chains: bytes, hops_max: int = 32) -> Any:
    return Trust(allowed, hops_max).read([(b"x-forwarded-for", chain) for chain in chains]).client


def scheme(allowed: str, chain: bytes, *schemes: bytes) -> Any:
    return Trust(allowed).read([(b"x-forwarded-for", chain), *((b"x-forwarded-proto", each) for each in schemes)]).scheme


@pytest.mark.parametrize(
    ("allowed", "peername", "sockname", "trusted"),
    [
        ("127.0.0.1,::1", ("127.0.0.1", 5), ("127.0.0.1", 80), True),
        ("127.0.0.1,::1", ("::1", 5, 0, 0), ("::1", 80, 0, 0), True),
        ("127.0.0.1", ("::ffff:127.0.0.1", 5, 0, 0), None, True),
        ("127.0.0.1", ("127.0.0.2", 5), None, False),
        (" 10.0.0.0/8 , fd00::/8 ", ("10.9.8.7", 5), None, True),
        ("10.0.0.1/8", ("10.9.8.7", 5), None, True),
        ("10.0.0.0/8,fd00::/8", ("fd00::1", 5, 0, 0), None, True),
        ("10.0.0.0/8", ("11.0.0.1", 5), None, False),
        ("*", ("192.0.2.1", 5), None, True),
        ("", ("127.0.0.1", 5), None, False),
        # A Unix socket only when named.
        ("127.0.0.1,::1", "", "/run/app.sock", False),
        ("unix", "", "/run/app.sock", True),
        ("unix:", None, "/run/app.sock", True),
        ("/run/app.sock", "", "/run/app.sock", True),
        ("unix:/run/app.sock", "", b"/run/app.sock", True),
        ("/run/other.sock", "", "/run/app.sock", False),
        ("@name", "", "\0name", True),
        ("*", "", "/run/app.sock", True),
        ("unix", ("127.0.0.1", 5), ("127.0.0.1", 80), False),
    ],
)
def test_connections_that_are_trusted(allowed: str, peername: Any, sockname: Any, trusted: bool) -> None:
    assert Trust(allowed).connection(peername, sockname) is trusted


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ([b"192.0.2.1"], ("192.0.2.1", 0)),
        ([b"192.0.2.1:1234"], ("192.0.2.1", 1234)),
        ([b"[2001:db8::1]:1234"], ("2001:db8::1", 1234)),
        ([b"[2001:db8::1]"], ("2001:db8::1", 0)),
        ([b"2001:DB8::1"], ("2001:db8::1", 0)),
        ([b'"192.0.2.1"'], ("192.0.2.1", 0)),
        ([b"::ffff:192.0.2.1"], ("192.0.2.1", 0)),
        # The right-most that is not trusted; what is left of it anybody may have written.
        ([b"203.0.113.9, 192.0.2.1"], ("192.0.2.1", 0)),
        ([b"203.0.113.9,192.0.2.1,10.0.0.1 , 127.0.0.1"], ("192.0.2.1", 0)),
        ([b"203.0.113.9, 192.0.2.1", b"10.0.0.1"], ("192.0.2.1", 0)),
        # All are trusted: the first.
        ([b"10.0.0.3, 10.0.0.2, 127.0.0.1"], ("10.0.0.3", 0)),
        # No address: the last one that somebody trusted has seen, or none.
        ([b"unknown, 10.0.0.1"], ("10.0.0.1", 0)),
        ([b"192.0.2.1, unknown"], None),
        ([b"192.0.2.1, "], None),
        ([b""], None),
        ([b"192.0.2.1:99999999"], ("192.0.2.1", 0)),
        ([b"\xff\xfe"], None),
        ([b"1" * 60_000], None),
        ([], None),
    ],
)
def test_client_is_the_right_most_address_that_is_not_trusted(chains: list[bytes], expected: Any) -> None:
    assert client("127.0.0.1,10.0.0.0/8", *chains) == expected


def test_everybody_is_trusted() -> None:
    assert client("*", b"192.0.2.1:8, 192.0.2.2", b"192.0.2.3") == ("192.0.2.1", 8)
    assert client("*", b"unknown, 192.0.2.2") is None


def test_hops_are_bounded() -> None:
    assert client("127.0.0.1", b"192.0.2.1, 127.0.0.1, 127.0.0.1", hops_max=2) == ("127.0.0.1", 0)
    assert client("127.0.0.1", b"192.0.2.1, 127.0.0.1, 127.0.0.1", hops_max=3) == ("192.0.2.1", 0)


def test_work_grows_with_the_hops_and_not_with_the_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    import h2o_otel.server.forwarded as module

    parsed = []

    def counted(text: bytes) -> Any:
        parsed.append(len(text))
        return parse(text)

    parse = module._parse
    monkeypatch.setattr(module, "_parse", counted)
    for entries in (1000, 2000, 4000):
        parsed.clear()
        client("127.0.0.1", b"127.0.0.1," * entries + b"127.0.0.1")
        assert len(parsed) == 32


@pytest.mark.parametrize(
    ("chain", "schemes", "expected"),
    [
        (b"192.0.2.1", [b"https"], "https"),
        (b"192.0.2.1", [b" HTTPS "], "https"),
        (b"192.0.2.1", [b"wss"], "https"),
        (b"192.0.2.1", [b"ws"], "http"),
        (b"192.0.2.1", [b"gopher"], None),
        (b"192.0.2.1", [], None),
        # Of a list the one of the proxy that named the client.
        (b"192.0.2.1", [b"https, http"], "http"),
        (b"192.0.2.1, 10.0.0.1", [b"https, http"], "https"),
        (b"192.0.2.1, 10.0.0.1", [b"https", b"http"], "https"),
        (b"192.0.2.1, 10.0.0.1", [b"https"], "https"),
        (b"192.0.2.1", [b"x" * 60_000 + b", https"], "https"),
    ],
)
def test_scheme(chain: bytes, schemes: list[bytes], expected: str | None) -> None:
    assert scheme("127.0.0.1,10.0.0.0/8", chain, *schemes) == expected


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "localhost", "1.2.3", "127.0.0.1 ::1"])
def test_entry_that_is_no_address(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is no address, network"):
        ServerConfig(app=recorder([]), forwarded_allow_ips=wrong)


def test_environment_as_uvicorn_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.0/24")
    trust = ServerConfig(app=recorder([])).make_trust()
    assert trust is not None
    assert trust.connection(("192.0.2.7", 1), None)
    assert not trust.connection(PEER, None)
    trust = ServerConfig(app=recorder([]), forwarded_allow_ips="127.0.0.1").make_trust()
    assert trust is not None
    assert trust.connection(PEER, None)
    assert ServerConfig(app=recorder([]), proxy_headers=False).make_trust() is None


# -- what applications, spans and logs see


def recorder(scopes: list[Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


FIELDS = [("x-forwarded-for", "203.0.113.9, 192.0.2.1"), ("x-forwarded-proto", "https")]


@backends.asyncio_loops
@pytest.mark.parametrize("engine", ["native", "h2"])
@pytest.mark.parametrize("allowed", ["127.0.0.1", "192.0.2.0/24", None])
async def test_scope_metrics_and_access_log(engine: str, allowed: str | None, caplog: pytest.LogCaptureFixture) -> None:
    scopes: list[Any] = []
    believed = allowed == "127.0.0.1"
    settings = {"proxy_headers": False} if allowed is None else {"forwarded_allow_ips": allowed}
    async with connected(recorder(scopes), engine=engine, access_log=True, **settings) as peer:
        with caplog.at_level("INFO"):
            await peer.get(headers=FIELDS)
            # The scheme is the connection's: some proxies write https into :scheme for cleartext.
            await peer.open([(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")], end=True).done()
            await eventually(lambda: caplog.text.count("client.address") == 2)
            counters_seen = counters.collect().value("http_server_active_requests", "GET", "https")
    first, second = scopes
    assert (first["scheme"], second["scheme"]) == ("https" if believed else "http", "http")
    assert first["client"] == (("192.0.2.1", 0) if believed else second["client"])
    assert second["client"][0] == "127.0.0.1"
    assert second["client"][1] > 0
    assert counters_seen == 0
    assert ("client.address=192.0.2.1" in caplog.text) == believed
    assert "client.address=127.0.0.1" in caplog.text
    assert ("url.scheme=https" in caplog.text) == believed


@backends.asyncio_loops
async def test_unix_socket_has_its_mode_and_counts_when_named(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    scopes: list[Any] = []
    for allowed in ("127.0.0.1", "unix", str(path)):
        async with serving(recorder(scopes), uds=str(path), uds_mode=0o660, forwarded_allow_ips=allowed):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            peer = await Peer().connect_unix(str(path))
            await peer.get(headers=FIELDS)
            await peer.close()
    assert [scope["client"] for scope in scopes] == [None, ("192.0.2.1", 0), ("192.0.2.1", 0)]
    assert [scope["scheme"] for scope in scopes] == ["http", "https", "https"]


@pytest.mark.parametrize("settings", [{"uds_mode": 0o660}, {"uds": "x", "uds_mode": 0o1777}])
def test_mode_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="uds_mode"):
        ServerConfig(app=recorder([]), **settings)
