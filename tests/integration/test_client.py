"""What users of the client see, against a well-behaved server; on asyncio and trio, on both engines."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio

import h2o_otel
from h2o_otel import AsyncClient, Limits, Timeout
from h2o_otel.telemetry import configure
from tests.support import backends
from tests.support.counting import Since
from tests.support.judged import requirement
from tests.support.peers import Peer, PeerServer


class Site(Peer):
    def ended(self, stream_id: int) -> None:
        request, body = self.requests[stream_id], bytes(self.bodies[stream_id])
        path = request[b":path"].partition(b"?")[0].decode()
        answer = getattr(self, "get_" + path.strip("/").replace("-", "_"), None)
        if answer is None:
            self.respond(stream_id, body, 404 if path == "/missing" else 200)
        else:
            answer(stream_id, request, body)

    def get_echo(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        head = {name.decode(): value.decode() for name, value in request.items()}
        text = json.dumps({"head": head, "body": body.decode("latin-1")}).encode()
        self.respond(stream_id, b"" if request[b":method"] == b"HEAD" else text, fields=[(b"content-type", b"application/json")])

    def get_text(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, "grüße\r\nzwei\ndrei".encode("latin-1"), fields=[(b"content-type", b"text/plain; charset=iso-8859-1")])

    def get_coded(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, gzip.compress(b"plain " * 1000), fields=[(b"content-encoding", b"gzip")])

    def get_deflated(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, zlib.compress(b"plain"), fields=[(b"content-encoding", b"deflate")])

    def get_bomb(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, gzip.compress(bytes(5_000_000)), fields=[(b"content-encoding", b"gzip")])

    def get_broken(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, b"no gzip", fields=[(b"content-encoding", b"gzip")])

    def get_trailers(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, b"sum", fields=[(b"x", b"1"), (b"x", b"2")], trailers=[(b"checksum", b"7")])

    def get_hints(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.h2.send_headers(stream_id, [(b":status", b"103"), (b"link", b"</a.css>")])
        self.respond(stream_id, b"page")

    def get_large(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, bytes(range(256)) * 4000)

    def get_empty(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.head(stream_id, 204, end=True)

    def get_error(self, stream_id: int, request: dict[bytes, bytes], body: bytes) -> None:
        self.respond(stream_id, b"broken", 503)


@pytest.fixture(params=["native", "h2"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url() -> Iterator[str]:
    with PeerServer(Site) as server:
        yield server.url
    assert server.errors == []


@pytest.fixture
def client(engine: str) -> Callable[..., AsyncClient]:
    return lambda **arguments: AsyncClient(engine=engine, **arguments)


async def test_get(url: str, client: Any) -> None:
    async with client() as c:
        response = await c.get(f"{url}/text", params={"q": "ä b", "n": [1, 2]})
        assert (response.status_code, response.reason_phrase, response.http_version) == (200, "OK", "HTTP/2")
        assert response.is_success
        assert not response.is_error
        assert response.text == "grüße\r\nzwei\ndrei"
        assert response.encoding == response.charset_encoding == "iso-8859-1"
        assert response.headers["Content-Type"].startswith("text/plain")
        assert str(response.url) == f"{url}/text?q=%C3%A4+b&n=1&n=2"
        assert response.raise_for_status() is response
        connection = response.connection
        assert (response.stream_id, connection.id) == (1, response.connection_id)
        assert (connection.reused, connection.protocol, connection.tls_resumed) == (False, "HTTP/2", False)
        assert connection.tls_version == ("1.3" if url.startswith("https") else None)
        assert connection.peer == (response.url.host, response.url.port)
        assert (await c.get(f"{url}/text")).connection == connection._replace(reused=True)
        assert repr(response) == "<Response [200 OK]>"


@requirement("9113-8.3.1-3")
async def test_request_as_sent(url: str, client: Any) -> None:
    async with client(base_url=f"{url}/", headers={"X-Client": "1", "accept": "text/html"}, params={"k": "v"}) as c:
        sent = (await c.get("/echo?a=1", headers={"X-Own": "2"})).json()["head"]
        assert sent[":path"] == "/echo?a=1&k=v"
        assert sent[":method"] == "GET"
        assert sent[":authority"] == url.removeprefix("http://")
        assert (sent["x-client"], sent["x-own"], sent["accept"]) == ("1", "2", "text/html")
        assert sent["user-agent"] == f"h2o-otel/{h2o_otel.__version__}"
        assert "content-length" not in sent


async def test_bodies(url: str, client: Any) -> None:
    async def made() -> AsyncIterator[bytes]:
        yield b"asy"
        await anyio.lowlevel.checkpoint()
        yield b"nc"

    async with client() as c:

        async def post(**body: Any) -> tuple[str, str | None, str | None]:
            seen = (await c.post(f"{url}/echo", **body)).json()
            return seen["body"], seen["head"].get("content-length"), seen["head"].get("content-type")

        assert await post() == ("", "0", None)
        assert await post(content=b"octets") == ("octets", "6", None)
        assert await post(content="text") == ("text", "4", "text/plain; charset=utf-8")
        assert await post(json={"a": [1, None]}) == ('{"a":[1,null]}', "14", "application/json")
        assert await post(data={"a": "1 2", "b": ["x", "y"]}) == ("a=1+2&b=x&b=y", "13", "application/x-www-form-urlencoded")
        assert await post(content=made()) == ("async", None, None)
        assert await post(content=[b"a", b"b"]) == ("ab", None, None)
        assert await post(content=io.BytesIO(b"file")) == ("file", "4", None)
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.seek(4)
            assert await post(content=file) == ("456789", "6", None)
        with pytest.raises(h2o_otel.LocalProtocolError, match="one of content, data and json"):
            await post(content=b"", json=1)


async def test_every_method(url: str, client: Any) -> None:
    async with client() as c:
        for method in ("get", "options", "delete", "post", "put", "patch"):
            response = await getattr(c, method)(f"{url}/echo")
            assert response.json()["head"][":method"] == method.upper()
        assert (await c.head(f"{url}/echo")).content == b""
        assert (await c.request("query", f"{url}/echo", content=b"?")).json()["head"][":method"] == "QUERY"
        with pytest.raises(h2o_otel.LocalProtocolError, match="not a token"):
            await c.request("B AD", url)


async def test_large_upload(url: str, client: Any) -> None:
    async with client() as c:
        body = bytes(range(256)) * 4000
        assert (await c.post(url, content=body)).content == body
        pieces = [body[i : i + 10_000] for i in range(0, len(body), 10_000)]
        assert (await c.put(url, content=iter(pieces))).content == body


async def test_content_codings(url: str, client: Any) -> None:
    async with client() as c:
        assert (await c.get(f"{url}/coded")).content == b"plain " * 1000
        assert (await c.get(f"{url}/deflated")).text == "plain"
        with pytest.raises(h2o_otel.LimitExceeded, match="decompress_ratio_max is 100 beyond 1048576 octets") as caught:
            await c.get(f"{url}/bomb")
        assert caught.value.request.url.path == "/bomb"
        async with c.stream("GET", f"{url}/bomb") as response:
            with pytest.raises(h2o_otel.LimitExceeded):
                async for _ in response.aiter_bytes():
                    pass
        with pytest.raises(h2o_otel.RemoteProtocolError, match="the body is not gzip"):
            await c.get(f"{url}/broken")
        async with c.stream("GET", f"{url}/coded") as response:
            raw = b"".join([piece async for piece in response.aiter_raw()])
        assert gzip.decompress(raw) == b"plain " * 1000


async def test_trailers_and_informational(url: str, client: Any) -> None:
    async with client() as c:
        response = await c.get(f"{url}/trailers")
        assert response.trailers == {"checksum": "7"}
        assert response.headers["x"] == "1, 2"
        assert response.headers.get_list("x") == ["1", "2"]
        response = await c.get(f"{url}/hints")
        (hint,) = response.informational
        assert (hint.status_code, hint.headers["link"]) == (103, "</a.css>")
        assert (response.content, response.trailers) == (b"page", None)


async def test_streaming(url: str, client: Any) -> None:
    whole = bytes(range(256)) * 4000
    async with client() as c:
        async with c.stream("GET", f"{url}/large") as response:
            with pytest.raises(h2o_otel.StreamConsumed, match="aread"):
                _ = response.content
            assert b"".join([piece async for piece in response.aiter_bytes()]) == whole
            with pytest.raises(h2o_otel.StreamConsumed):
                response.aiter_bytes()
        async with c.stream("GET", f"{url}/large") as response:
            sizes = [len(piece) async for piece in response.aiter_bytes(100_000)]
            assert sizes == [100_000] * 10 + [24_000]
        async with c.stream("GET", f"{url}/large") as response:
            assert await response.aread() == whole
            assert response.content == whole
        async with c.stream("GET", f"{url}/text") as response:
            assert [line async for line in response.aiter_lines()] == ["grüße", "zwei", "drei"]
        response = await c.send(c.build_request("GET", f"{url}/large"), stream=True)
        assert not response.is_closed
        await response.aclose()
        await response.aclose()
        assert response.is_closed
        with pytest.raises(h2o_otel.StreamClosed):
            await response.aread()
        async with c.stream("GET", f"{url}/empty") as response:
            assert [piece async for piece in response.aiter_bytes()] == []


async def test_statuses(url: str, client: Any) -> None:
    async with client() as c:
        response = await c.get(f"{url}/missing")
        assert response.is_client_error
        with pytest.raises(h2o_otel.HTTPStatusError, match=r"client error 404 Not Found for GET http://.*/missing") as caught:
            response.raise_for_status()
        assert caught.value.response is response
        response = await c.get(f"{url}/error")
        assert response.is_server_error
        assert response.is_error
        response = await c.get(f"{url}/empty")
        assert (response.status_code, response.content, response.text) == (204, b"", "")


async def test_concurrent_requests_share_a_connection(url: str, client: Any) -> None:
    async with client() as c:
        seen: list[tuple[bytes, int]] = []

        async def one(i: int) -> None:
            response = await c.post(url, content=b"%d" % i)
            seen.append((response.content, response.connection_id))

        async with anyio.create_task_group() as group:
            for i in range(250):
                group.start_soon(one, i)
        assert sorted(int(body) for body, _ in seen) == list(range(250))
        assert len({connection for _, connection in seen}) == 1


async def test_timings(url: str, client: Any) -> None:
    async with client() as c:
        first = (await c.get(f"{url}/large")).timings
        assert first.queue > 0
        assert first.connect > 0
        assert first.settings > 0
        assert first.total >= first.queue + first.wait + first.body
        later = await c.get(f"{url}/large")
        assert (later.timings.connect, later.timings.queue) == (0.0, 0.0)
        assert later.elapsed.total_seconds() == pytest.approx(later.timings.total, abs=1e-6)


async def test_urls_that_are_none(client: Any) -> None:
    async with client() as c:
        for bad in ("http://", "http://[::1", "http://ho st/", "http://h:99999/"):
            with pytest.raises(h2o_otel.InvalidURL):
                await c.get(bad)
        for bad in ("ftp://host/", "/relative"):
            with pytest.raises(h2o_otel.UnsupportedProtocol):
                await c.get(bad)
        with pytest.raises(TypeError, match="timeout is 'soon'"):
            await c.get("http://a.test/", timeout="soon")
        with pytest.raises(TypeError, match="headers are of type int"):
            await c.get("http://a.test/", headers=3)


async def test_userinfo_becomes_authorization(url: str, client: Any) -> None:
    async with client() as c:
        sent = (await c.get(url.replace("://", "://me:p%40ss@") + "/echo")).json()["head"]
        assert sent["authorization"] == "Basic bWU6cEBzcw=="
        assert "@" not in sent[":authority"]


@pytest.mark.parametrize("field", [("x", "a\r\nb"), ("bad name", "1"), ("x", " ")])
async def test_invalid_fields_are_not_sent(url: str, client: Any, field: tuple[str, str]) -> None:
    async with client() as c:
        if field != ("x", " "):
            with pytest.raises(h2o_otel.LocalProtocolError) as caught:
                await c.get(f"{url}/echo", headers=[field])
            assert caught.value.request is not None
        assert (await c.get(f"{url}/echo", headers={"connection": "close"})).status_code == 200


async def test_h2c_can_be_off(url: str, client: Any) -> None:
    async with client(h2c=False) as c:
        with pytest.raises(h2o_otel.UnsupportedProtocol, match="cleartext"):
            await c.get(url)


async def test_unix_socket(tmp_path: Any, client: Any, url: str) -> None:
    import socket
    import threading

    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def relay() -> None:
        sock, _ = listener.accept()
        with sock:
            Peer(None, sock, 1).run()  # type: ignore[arg-type]

    thread = threading.Thread(target=relay)
    thread.start()
    async with client(uds=path) as c:
        assert (await c.post("http://anything/", content=b"through")).content == b"through"
    thread.join()
    listener.close()


# -- telemetry


@backends.asyncio_only
async def test_spans_and_metrics(url: str) -> None:
    telemetry = configure("test", level="traces", in_memory=True, sample_ratio=1.0, set_global=False)
    try:
        async with AsyncClient(telemetry=telemetry) as c:
            sent = (await c.get(f"{url}/echo?token=1")).json()["head"]
            await c.get(f"{url}/missing")
            async with c.stream("GET", f"{url}/large"):
                pass
            with pytest.raises(h2o_otel.ReadTimeout):
                await c.get(f"{url}/large", timeout=Timeout(read=0.0))
        spans = telemetry.spans()
        made = [span for span in spans if span.kind.name == "CLIENT"]
        assert [span.name for span in made] == ["GET"] * 4
        assert sent["traceparent"].split("-")[2] == f"{made[0].context.span_id:016x}"
        assert made[0].attributes["http.response.status_code"] == 200
        assert made[0].attributes["h2o.request.time_in_queue"] > 0
        assert made[1].attributes["error.type"] == "404"
        assert made[3].attributes["error.type"] == "ReadTimeout"
        (stream_id,) = {line.split("stream=")[1].split()[0] for line in made[3].attributes["h2o.flight"]} - {"0"}
        assert int(stream_id) == made[3].attributes["h2o.stream.id"]
        assert all("h2o.flight" not in span.attributes for span in made[:3])
        assert [span.name for span in spans if span.name == "HTTP connection_setup"] == ["HTTP connection_setup"]
        assert made[0].links[0].context.trace_id != made[0].context.trace_id
    finally:
        telemetry.shutdown()


async def in_a_thread_of_its_own(work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` on a loop of the same kind in a fresh thread: the labels of a thread are bounded, and other tests use them up."""
    backend = sniffio.current_async_library()
    await anyio.to_thread.run_sync(lambda: anyio.run(work, backend=backend))


async def test_excluded_urls_have_no_spans_and_no_metrics(url: str) -> None:
    since = Since(url.rpartition(":")[2])

    async def work() -> None:
        with configure("t", "traces", in_memory=True, set_global=False, sample_ratio=1.0, excluded_urls=["/missing$"]) as telemetry:
            async with AsyncClient(telemetry=telemetry) as c:
                await c.get(f"{url}/missing?token=1")
                await c.get(f"{url}/echo")
            made = [span.attributes["url.full"] for span in telemetry.spans() if span.kind.name == "CLIENT"]
        assert made == [f"{url}/echo"]

    await in_a_thread_of_its_own(work)
    assert list(since.recorded("http_client_request_duration").values()) == [1]
    assert since.labelled("http_client_active_requests") == {}


async def test_tuning_reaches_the_connections(url: str) -> None:
    tuning = h2o_otel.Tuning(stream_priorities=False)
    async with AsyncClient(tuning=tuning) as c:
        async with c.stream("GET", f"{url}/large") as response:
            assert response.exchange.protocol.connection.config.tuning is tuning
        assert c.tuning is tuning


@backends.asyncio_only
async def test_pool_counts(url: str, client: Any) -> None:
    port = url.rpartition(":")[2]
    since = Since(port)

    async def count() -> None:
        async with client() as c:
            for _ in range(3):
                await c.get(url)
            assert since.labelled("http_client_open_connections") == {("idle", "127.0.0.1", port, "2"): 1}
            assert since.labelled("http_client_active_requests") == {}

    await in_a_thread_of_its_own(count)
    assert since.labelled("http_client_open_connections") == {}
    assert list(since.recorded("http_client_request_duration").values()) == [3]
    assert list(since.recorded("http_client_connection_duration").values()) == [1]


async def test_limits_are_the_clients(url: str, client: Any) -> None:
    async with client(limits=Limits(stream_window_bytes=65_535, connection_window_bytes=65_535)) as c:
        assert len((await c.get(f"{url}/large")).content) == 1_024_000
