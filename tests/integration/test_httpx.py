"""httpx and httpx2 on ``h2o_otel.httpx.AsyncTransport``, against servers over sockets."""

from __future__ import annotations

import gzip
import importlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import h2o_otel
from h2o_otel import counters, errors
from h2o_otel.httpx import AsyncTransport, NetworkStream, ResponseFacts, _translated
from h2o_otel.testing import serve as serve_app
from tests.support.peers import Certificates, Peer, Silent, path_of, serving
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def client_of(library: Any, transport: AsyncTransport | None = None, **arguments: Any) -> Any:
    return library.AsyncClient(transport=transport or AsyncTransport(), trust_env=False, **arguments)


class Echo(Peer):
    """Answers with the body of the request and its fields in ``x-seen``."""

    def ended(self, stream_id: int) -> None:
        seen = b", ".join(sorted(name for name in self.requests[stream_id] if not name.startswith(b":")))
        self.respond(stream_id, bytes(self.bodies[stream_id]), fields=[(b"x-seen", seen), (b"x-path", path_of(self, stream_id))])


async def test_get_and_post(library: Any) -> None:
    with serving(Echo) as server:
        async with client_of(library, base_url=server.url) as client:
            response = await client.get("/a%20b?c=d e#part")
            assert (response.status_code, response.content, response.http_version) == (200, b"", "HTTP/2")
            assert response.headers["x-path"] == str(response.url.raw_path, "ascii")
            assert response.headers["x-seen"] == "accept, accept-encoding, user-agent"
            response = await client.post("/", json={"a": 1})
            assert response.json() == {"a": 1}
            assert "content-length" in response.headers["x-seen"]
            assert response.extensions["stream_id"] == 3


async def test_request_is_counted(library: Any) -> None:
    before = counters.collect().value("streams", "client", "completed")
    with serving(Echo) as server:
        async with client_of(library) as client:
            await client.get(server.url)
    assert counters.collect().value("streams", "client", "completed") == before + 1


async def test_tls(library: Any, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with serving(Echo, certificates.context()) as server:
        async with client_of(library, AsyncTransport(verify=certificates.ca)) as client:
            response = await client.get(server.url)
            stream = response.extensions["network_stream"]
            assert isinstance(stream, NetworkStream)
            assert stream.get_extra_info("server_addr")[1] == server.port
            assert stream.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            assert stream.get_extra_info("unknown") is None
        async with client_of(library) as client:
            with pytest.raises(library.ConnectError) as caught:
                await client.get(server.url)
            assert isinstance(caught.value.__cause__, errors.ConnectError)


async def test_upload_in_pieces(library: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    with serving(Echo) as server:
        async with client_of(library) as client:
            response = await client.post(server.url, content=pieces())
            assert response.content == b"one two"
            assert "transfer-encoding" not in response.headers["x-seen"]
            response = await client.post(server.url, files={"file": b"octets"})
            assert b"octets" in response.content


async def test_error_of_an_upload_is_the_users_own(library: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise KeyError("mine")

    with serving(Echo) as server:
        async with client_of(library) as client:
            with pytest.raises(KeyError, match="mine"):
                await client.post(server.url, content=pieces())
            assert (await client.get(server.url)).status_code == 200


async def test_body_is_streamed_and_decoded_once(library: Any) -> None:
    class Coded(Peer):
        def ended(self, stream_id: int) -> None:
            self.respond(stream_id, gzip.compress(b"x" * 200_000), fields=[(b"content-encoding", b"gzip")])

    with serving(Coded) as server:
        async with client_of(library) as client:
            assert (await client.get(server.url)).content == b"x" * 200_000
            async with client.stream("GET", server.url) as response:
                raw = b"".join([piece async for piece in response.aiter_raw()])
            assert gzip.decompress(raw) == b"x" * 200_000


async def test_trailers_and_informational_responses(library: Any) -> None:
    class Trailing(Peer):
        def ended(self, stream_id: int) -> None:
            self.h2.send_headers(stream_id, [(b":status", b"103"), (b"link", b"</a>")])
            self.respond(stream_id, b"body", trailers=[(b"checksum", b"7")])

    with serving(Trailing) as server:
        async with client_of(library) as client:
            response = await client.get(server.url)
            facts = response.extensions["h2o_otel"]
            assert isinstance(facts, ResponseFacts)
            assert facts.trailers is not None
            assert facts.trailers["checksum"] == "7"
            assert [(each.status_code, each.headers["link"]) for each in facts.informational] == [(103, "</a>")]
            assert facts.timings.total > 0
            assert facts.retry_reasons == ()
            assert facts.connection_id > 0


# On trio httpx leaves generators of its own to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_abandoned_body_resets_its_stream_alone(library: Any) -> None:
    class Large(Peer):
        def ended(self, stream_id: int) -> None:
            self.respond(stream_id, b"x" * (8 * 2**20 if stream_id == 1 else 3))

    with serving(Large) as server:
        async with client_of(library) as client:
            async with client.stream("GET", server.url) as response:
                pieces = response.aiter_raw()
                await anext(pieces)
                await pieces.aclose()
            assert (await client.get(server.url)).content == b"xxx"
            assert len(server.peers) == 1
            await eventually(lambda: server.peers[0].resets == {1: errors.ErrorCode.CANCEL})


async def test_read_timeout(library: Any) -> None:
    with serving(Silent) as server:
        async with client_of(library) as client:
            with pytest.raises(library.ReadTimeout) as caught:
                await client.get(f"{server.url}/silent", timeout=library.Timeout(None, read=0.05))
            assert isinstance(caught.value.__cause__, errors.ReadTimeout)
            assert caught.value.__cause__.timeout_s == 0.05
            assert caught.value.request.url.path == "/silent"


async def test_connection_refused(library: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with client_of(library) as client:
            with pytest.raises(library.ConnectError):
                await client.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")


async def test_reset_while_the_body_is_read(library: Any) -> None:
    class Resetting(Peer):
        def ended(self, stream_id: int) -> None:
            self.head(stream_id)
            self.body(stream_id, b"some")
            self.reset(stream_id, errors.ErrorCode.INTERNAL_ERROR)

    with serving(Resetting) as server:
        async with client_of(library) as client:
            with pytest.raises(library.RemoteProtocolError, match="INTERNAL_ERROR") as caught:
                await client.get(server.url)
            assert isinstance(caught.value.__cause__, errors.StreamReset)


def test_every_exception_is_translated(library: Any) -> None:
    request = library.Request("GET", "http://a/")
    expected = {
        "ConnectionTerminated": "RemoteProtocolError",
        "H2OError": "TransportError",
        "HTTPError": "TransportError",
        "HTTPStatusError": "TransportError",
        "ClientClosed": "TransportError",
        "JSONDecodeError": "TransportError",
        "LimitExceeded": "TransportError",
        "StreamClosed": "TransportError",
        "StreamConsumed": "TransportError",
        "StreamReset": "RemoteProtocolError",
        "TotalTimeout": "TimeoutException",
    }
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.H2OError)]
    assert len(kinds) > 20
    for kind in kinds:
        error = kind("text", "", 0) if kind is errors.JSONDecodeError else kind("text")
        assert type(_translated(error, request, library)) is getattr(library, expected.get(kind.__name__, kind.__name__))


async def test_redirects_cookies_and_auth_are_those_of_httpx(library: Any) -> None:
    class Moving(Peer):
        def ended(self, stream_id: int) -> None:
            fields = self.requests[stream_id]
            if path_of(self, stream_id) == b"/old":
                self.respond(stream_id, status=302, fields=[(b"location", b"/new"), (b"set-cookie", b"a=b")])
            else:
                self.respond(stream_id, fields[b"cookie"] + b" " + fields[b"authorization"])

    seen: list[int] = []

    async def hook(response: Any) -> None:
        seen.append(response.status_code)

    with serving(Moving) as server:
        async with client_of(library, follow_redirects=True, auth=("me", "x"), event_hooks={"response": [hook]}) as client:
            response = await client.get(f"{server.url}/old")
            assert response.text == "a=b Basic bWU6eA=="
            assert seen == [302, 200]


async def test_mounted(library: Any) -> None:
    with serving(Echo) as server:
        async with library.AsyncClient(mounts={"http://127.0.0.1": AsyncTransport()}, trust_env=False) as client:
            assert (await client.get(server.url)).http_version == "HTTP/2"


async def test_closed_transport(library: Any) -> None:
    with serving(Echo) as server:
        transport = AsyncTransport()
        async with client_of(library, transport) as client:
            await client.get(server.url)
            assert len(transport.describe()) == 1
        with pytest.raises(h2o_otel.ClientClosed):
            await transport.handle_async_request(library.Request("GET", server.url))
        await eventually(lambda: not server.peers[0].open or server.peers[0].goaways != [])


async def test_limits_of_httpx(library: Any) -> None:
    transport = AsyncTransport(limits=library.Limits(max_connections=3))
    assert transport._client.limits.max_connections == 3
    await transport.aclose()


@pytest.mark.parametrize("arguments", [{"http1": True}, {"http2": False}, {"proxy": "http://127.0.0.1:1"}])
def test_arguments_without_meaning_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"AsyncHTTPTransport"):
        AsyncTransport(**arguments)


def test_missing_httpx_names_the_extra() -> None:
    code = "import sys; sys.modules['httpx'] = sys.modules['httpx2'] = None; import h2o_otel.httpx"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "pip install 'h2o-otel[httpx]'" in run.stderr


async def test_respx() -> None:
    """respx patches the transports that it is told of."""
    httpx = pytest.importorskip("httpx")
    respx = pytest.importorskip("respx")
    from respx.mocks import HTTPXMocker

    HTTPXMocker.add_targets("h2o_otel.httpx.AsyncTransport")
    try:
        with respx.mock(using="httpx") as router:
            router.get("http://nowhere.test/").respond(418)
            async with client_of(httpx) as client:
                assert (await client.get("http://nowhere.test/")).status_code == 418
    finally:
        HTTPXMocker.remove_targets("h2o_otel.httpx.AsyncTransport")


EVENTS = {
    "openai": [
        '{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"}}]}',
        '{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" world"}}]}',
        "[DONE]",
    ],
    "anthropic": [
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" world"}}',
        '{"type":"message_stop"}',
    ],
}


def events_app(name: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for event in EVENTS[name]:
            kind = "" if name == "openai" else f"event: {'message_stop' if 'stop' in event else 'content_block_delta'}\n"
            await send({"type": "http.response.body", "body": f"{kind}data: {event}\n\n".encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_sdk_streams(name: str) -> None:
    sdk = pytest.importorskip(name)
    library = importlib.import_module("httpx2" if "httpx2" in sys.modules else "httpx")
    with serve_app(events_app(name)) as server:
        async with client_of(library) as client:
            if name == "openai":
                api = sdk.AsyncOpenAI(api_key="x", base_url=server.url, http_client=client)
                message = {"role": "user", "content": "?"}
                chunks = await api.chat.completions.create(model="m", messages=[message], stream=True)
                words = [chunk.choices[0].delta.content async for chunk in chunks]
            else:
                api = sdk.AsyncAnthropic(api_key="x", base_url=server.url, http_client=client)
                events = await api.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}], stream=True)
                words = [event.delta.text async for event in events if event.type == "content_block_delta"]
    assert words == ["Hello", " world"]
