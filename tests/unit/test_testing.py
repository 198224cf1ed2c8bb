"""``h2o_otel.testing.serve``: an application on a free port, from tests with and without a loop."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from h2o_otel import AsyncClient, ServerConfig
from h2o_otel.server.config import ConfigError
from h2o_otel.server.lifespan import LifespanError
from h2o_otel.testing import RunningServer, serve


class App:
    """Answers with the thread that it runs in, and keeps what its lifespan was told."""

    def __init__(self, fail: str = "") -> None:
        self.fail = fail
        self.told: list[str] = []
        self.loops: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                self.told.append((await receive())["type"])
                ended = "failed" if step == self.fail else "complete"
                await send({"type": f"lifespan.{step}.{ended}", **({"message": "no database"} if ended == "failed" else {})})
                if ended == "failed":
                    return
            return
        self.loops.append(threading.current_thread())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def fetch(server: RunningServer, path: str = "/here") -> bytes:
    async with AsyncClient(base_url=server.url) as client:
        return (await client.get(path)).content


def test_with_serves_in_a_thread_of_its_own() -> None:
    app = App()
    with serve(app) as server:
        assert server.port > 0
        assert server.url == f"http://{server.host}:{server.port}"
        assert asyncio.run(fetch(server)) == b"/here"
        assert app.loops[0] is not threading.current_thread()
        assert app.told == ["lifespan.startup"]
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]
    assert [each.name for each in threading.enumerate() if each.name == "h2o_otel.testing.serve"] == []


async def test_async_with_serves() -> None:
    """On asyncio on the loop of the caller, elsewhere in a thread."""
    app = App()
    async with serve(app) as server:
        assert await fetch(server) == b"/here"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            assert app.loops[0] is not threading.current_thread()
        else:
            assert app.loops[0] is threading.current_thread()
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


def test_port_is_closed_afterwards() -> None:
    with serve(App()) as server:
        pass
    with pytest.raises(OSError):
        urllib.request.urlopen(server.url, timeout=5)


def test_two_servers_have_two_ports() -> None:
    with serve(App()) as one, serve(App()) as other:
        assert one.port != other.port


@pytest.mark.parametrize("step", ["startup", "shutdown"])
def test_lifespan_that_fails_fails_the_test(step: str) -> None:
    reached = False
    with pytest.raises(LifespanError, match="no database"), serve(App(fail=step)):
        reached = True
    assert reached == (step == "shutdown")


async def test_lifespan_that_fails_fails_the_coroutine() -> None:
    with pytest.raises(LifespanError, match="no database"):
        async with serve(App(fail="startup")):
            pytest.fail("the block must not begin")
    with pytest.raises(LifespanError, match="no database"):
        async with serve(App(fail="shutdown")):
            pass


def test_failure_of_the_test_wins_over_that_of_the_end() -> None:
    with pytest.raises(KeyError), serve(App(fail="shutdown")):
        raise KeyError("the test's own")


async def test_failure_of_the_coroutine_wins_over_that_of_the_end() -> None:
    with pytest.raises(KeyError):
        async with serve(App(fail="shutdown")):
            raise KeyError("the test's own")


async def test_cancelled_block_ends_the_server() -> None:
    app = App()
    with anyio.CancelScope() as scope:
        async with serve(app):
            scope.cancel()
            await anyio.sleep(60)
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


def test_configuration_is_taken_but_for_its_port(free_port: Any) -> None:
    chosen = free_port()
    with serve(ServerConfig(app=App(), port=chosen, lifespan="off", server_header="here")) as server:
        assert server.port != chosen
        assert server.server.config.server_header == "here"
        assert not server.server.config.handle_signals
        assert asyncio.run(fetch(server)) == b"/here"


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")

    async def fetch_over_tls(url: str) -> bytes:
        async with AsyncClient(base_url=url, verify=str(tmp_path / "ca.pem")) as client:
            return (await client.get("/tls")).content

    with serve(ServerConfig(app=App(), ssl_certfile=tmp_path / "server.pem")) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert asyncio.run(fetch_over_tls(server.url)) == b"/tls"


def test_wrong_settings_raise_at_once() -> None:
    with pytest.raises(ConfigError, match="no module"), serve("there_is_no_such_module:app"):
        pytest.fail("the block must not begin")
    with pytest.raises(ValueError, match="free port"):
        serve(ServerConfig(app=App(), uds="/tmp/x.sock"))


def test_serves_once() -> None:
    serving = serve(App())
    with serving:
        pass
    with pytest.raises(RuntimeError, match="make one for each block"), serving:
        pytest.fail("the block must not begin")
