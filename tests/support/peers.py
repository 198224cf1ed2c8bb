"""HTTP/2 servers on the ``h2`` library, in a thread of their own, that behave as badly as a test wants.

A test subclasses ``Peer`` and overrides what its server should do wrong.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import server_context

Fields = list[tuple[bytes, bytes]]


class Peer:
    """One connection of a ``PeerServer``: answers 200 and echoes the body."""

    settings: ClassVar[dict[int, int]] = {}

    def __init__(self, server: PeerServer, sock: Any, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.initial_settings())
        self.requests: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.queued: dict[int, bytearray] = {}
        self.ending: dict[int, Fields | None] = {}
        self.resets: dict[int, int] = {}
        self.goaways: list[int] = []
        self.open = True

    def initial_settings(self) -> dict[int, int]:
        return {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 65_535, **self.settings}

    # -- what tests override

    def opened(self) -> None:
        """The preface is exchanged."""

    def request(self, stream_id: int) -> None:
        """The header section of a request is here."""

    def data(self, stream_id: int, size: int) -> None:
        """Body octets are here; the window opens again."""
        self.h2.acknowledge_received_data(size, stream_id)

    def ended(self, stream_id: int) -> None:
        """The request is complete."""
        self.respond(stream_id, bytes(self.bodies[stream_id]))

    def was_reset(self, stream_id: int, code: int) -> None:
        """The client reset the stream."""

    # -- what they call

    def respond(
        self, stream_id: int, body: bytes = b"", status: int = 200, fields: Fields | None = None, trailers: Fields | None = None
    ) -> None:
        self.head(stream_id, status, fields)
        self.body(stream_id, body, end=True, trailers=trailers)

    def head(self, stream_id: int, status: int = 200, fields: Fields | None = None, *, end: bool = False) -> None:
        self.h2.send_headers(stream_id, [(b":status", b"%d" % status), *(fields or [])], end_stream=end)

    def body(self, stream_id: int, body: bytes, *, end: bool = False, trailers: Fields | None = None) -> None:
        """Send as the windows allow."""
        self.queued.setdefault(stream_id, bytearray()).extend(body)
        if end:
            self.ending[stream_id] = trailers
        self.pump(stream_id)

    def pump(self, stream_id: int) -> None:
        queued = self.queued.get(stream_id)
        if queued is None:
            return
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            while queued:
                n = min(len(queued), self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size)
                if n <= 0:
                    return
                self.h2.send_data(stream_id, bytes(queued[:n]))
                del queued[:n]
            if stream_id in self.ending:
                trailers = self.ending.pop(stream_id)
                del self.queued[stream_id]
                if trailers is None:
                    self.h2.end_stream(stream_id)
                else:
                    self.h2.send_headers(stream_id, trailers, end_stream=True)

    def raw(self, octets: bytes) -> None:
        """Octets that h2 would not send."""
        self.flush()
        self.sock.sendall(octets)

    def reset(self, stream_id: int, code: int) -> None:
        self.h2.reset_stream(stream_id, code)

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def hang_up(self) -> None:
        self.open = False

    # -- the connection

    def run(self) -> None:
        self.h2.initiate_connection()
        self.flush()
        self.opened()
        self.flush()
        while self.open:
            data = self.sock.recv(65_536)
            if not data:
                return
            events = self.h2.receive_data(data)
            if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                # h2 sends nothing more from here on, so there is nothing to be done for the others.
                events = [event for event in events if isinstance(event, (h2.events.ConnectionTerminated, h2.events.StreamReset))]
            for event in events:
                self.dispatch(event)
            self.flush()

    def dispatch(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            self.requests[event.stream_id] = dict(event.headers or [])
            self.bodies[event.stream_id] = bytearray()
            self.request(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            self.bodies[event.stream_id] += event.data or b""
            self.data(event.stream_id, event.flow_controlled_length or 0)
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            self.ended(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            self.resets[event.stream_id] = int(event.error_code or 0)
            self.queued.pop(event.stream_id, None)
            self.was_reset(event.stream_id, int(event.error_code or 0))
        elif isinstance(event, h2.events.WindowUpdated):
            for stream_id in [event.stream_id] if event.stream_id else list(self.queued):
                self.pump(stream_id)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            for stream_id in list(self.queued):
                self.pump(stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(int(event.error_code or 0))
            self.open = False


def path_of(peer: Peer, stream_id: int) -> bytes:
    return peer.requests[stream_id][b":path"]


class Silent(Peer):
    """Never answers /silent, and begins to answer /drip with an octet every 20 ms."""

    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id)
        if path == b"/drip":
            self.head(stream_id)
            for _ in range(1000):  # until the client hangs up
                self.h2.send_data(stream_id, b".")
                self.flush()
                time.sleep(0.02)
        elif path != b"/silent":
            super().ended(stream_id)


class PeerServer:
    """Listens on 127.0.0.1 and runs a ``Peer`` per connection.

    Attributes:
        peers: one per connection, in order.
        errors: what went wrong in their threads.
        port, url: where it listens.
    """

    def __init__(self, peer: type[Peer] = Peer, context: ssl.SSLContext | None = None, backlog: int = 128) -> None:
        self.peer = peer
        self.context = context
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://localhost:{self.port}" if context else f"http://127.0.0.1:{self.port}"
        self._sockets: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> PeerServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for sock in self._sockets:
            sock.close()

    def _start(self, run: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: Any) -> None:
        try:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            peer = self.peer(self, sock, len(self.peers) + 1)
            self.peers.append(peer)
            peer.run()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        except (OSError, h2.exceptions.StreamClosedError):
            # A client that cancels may do so between two frames of the answer.
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            sock.close()

    def wait(self, condition: Any, seconds: float = 30.0) -> None:
        """Until ``condition()`` holds; for what the server's threads see later than the client."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s; errors of the server: {self.errors}"
            time.sleep(0.005)


class Certificates:
    """An authority and a server's context for ``localhost``."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.issued = self.authority.issue("localhost", "127.0.0.1")
        self.ca = str(self.authority.certificate)

    def context(self, alpn: tuple[str, ...] = ("h2",)) -> Any:
        return server_context(self.issued.certificate, self.issued.key, alpn=alpn)


@contextlib.contextmanager
def serving(peer: type[Peer], context: Any = None) -> Iterator[PeerServer]:
    """A server of ``peer`` whose threads must not have failed in the end."""
    with PeerServer(peer, context) as server:
        yield server
    assert server.errors == []
