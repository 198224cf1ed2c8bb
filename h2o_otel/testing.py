"""Serve an ASGI application on a free port while a test runs.

    from h2o_otel.testing import serve

    def test_hello():
        with serve(app) as server:
            response = httpx.get(...)            # any HTTP/2 client; server.url is http://127.0.0.1:PORT

``async with serve(app)`` does the same inside a coroutine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from types import TracebackType

from .server import Server, ServerConfig
from .server.config import Application

__all__ = ["RunningServer", "serve"]


class RunningServer:
    """A server that accepts connections.

    Attributes:
        host: the address that it listens on.
        port: the port that the system chose.
        url: scheme, host and port, such as ``http://127.0.0.1:40123``; for ``base_url`` of a client.
        server: the ``Server``, for tests that need more of it.
    """

    __slots__ = ("host", "port", "server", "url")

    def __init__(self, server: Server) -> None:
        host, port = server.addresses[0][:2]
        scheme = "http" if server.config.ssl_certfile is None else "https"
        self.host: str = host
        self.port: int = port
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        self.server = server


class serve:
    """Serve an application on a free port until the block ends: ``with serve(app) as server``, or ``async with``.

    ``with`` runs the server on an event loop of its own in another thread, so the block may use any client.
    ``async with`` on asyncio runs it on the loop of the caller, so the application may share objects with the test;
    on trio it runs in a thread as well.  When the block ends, requests that are still open get as long as
    ``timeout_graceful_shutdown`` says, 1 second unless a configuration says otherwise.

    Args:
        app: an ASGI application, "module:attribute", or a ``ServerConfig`` with more settings.  The port of the
            configuration is ignored, and so are signals: they are the test runner's.

    Raises:
        ConfigError: a setting is wrong.
        LifespanError: the application failed to start, when the block begins, or to shut down, when it ends.
        ValueError: the configuration names a Unix socket or a file descriptor, which have no port.
    """

    def __init__(self, app: Application | str | ServerConfig) -> None:
        config = app if isinstance(app, ServerConfig) else ServerConfig(app=app, timeout_graceful_shutdown=1.0)
        if config.uds is not None or config.fd is not None:
            raise ValueError("the configuration has uds or fd; serve() listens on a free port")
        self._config = dataclasses.replace(config, port=0, handle_signals=False)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    # -- in a thread

    def __enter__(self) -> RunningServer:
        self._refuse_second_use()
        self._thread = threading.Thread(target=self._run, name="h2o_otel.testing.serve", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._join()
        assert self._server is not None
        return RunningServer(self._server)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.stop()
        try:
            self._join()
        except Exception:
            # The test's own failure says more than that of the server's end.
            if error is None:
                raise

    def _run(self) -> None:
        """Serve in this thread until ``stop()``."""
        from .server.server import loop_factory

        try:
            with asyncio.Runner(loop_factory=loop_factory(self._config.loop)) as runner:
                runner.run(self._serve_and_tell())
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve_and_tell(self) -> None:
        self._task = await self._start()
        self._ready.set()
        await self._task

    def _join(self) -> None:
        """Wait for the thread, and raise what ended it."""
        assert self._thread is not None
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    # -- on the caller's loop

    async def __aenter__(self) -> RunningServer:
        self._refuse_second_use()
        if _on_asyncio():
            self._task = await self._start()
            assert self._server is not None
            return RunningServer(self._server)
        import anyio

        return await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is not None:
            import anyio

            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.__exit__, kind, error, trace)
            return
        assert self._server is not None
        assert self._task is not None
        self._server.stop()
        try:
            await self._task
        except Exception:
            if error is None:
                raise

    async def _start(self) -> asyncio.Task[None]:
        """A task that serves, once it accepts connections; raises what kept it from starting."""
        self._server = Server(self._config)
        serving = asyncio.ensure_future(self._server.serve())
        started = asyncio.ensure_future(self._server.wait_started())
        try:
            await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            serving.cancel()
            await asyncio.wait((serving,))
            raise
        finally:
            started.cancel()
        if serving.done():
            serving.result()
        return serving

    def _refuse_second_use(self) -> None:
        if self._server is not None or self._thread is not None:
            raise RuntimeError("this serve() has run: make one for each block")


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
