"""Servers that send what no server may, as raw frames, each connection in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.support import wire

Script = Callable[["Conn"], None]
STUCK_S = 30.0


class Conn:
    """One connection: what the client sent, and a way to send anything.

    Attributes:
        frames: of the client, in order.
        number: of the connection, from 1.
    """

    def __init__(self, sock: Any, number: int) -> None:
        self.sock = sock
        self.number = number
        self.frames: list[wire.Frame] = []
        self._rest = b""

    def send(self, *octets: bytes) -> None:
        self.sock.sendall(b"".join(octets))

    def flood(self, piece: bytes) -> None:
        """``piece`` until the client hangs up, which it must."""
        try:
            while True:
                self.sock.sendall(piece * 20)
        except TimeoutError:
            raise AssertionError("the client took no more and did not hang up") from None
        except OSError:
            return

    def drip(self, piece: bytes, every_s: float = 0.02) -> None:
        """``piece`` now and then, until the client hangs up."""
        pause = threading.Event()
        with contextlib.suppress(OSError):
            while True:
                self.sock.sendall(piece)
                pause.wait(every_s)

    def frame(self) -> wire.Frame:
        """The client's next frame.

        Raises:
            EOFError: it hung up.
        """
        while len(self._rest) < 9 or len(self._rest) < 9 + int.from_bytes(self._rest[:3], "big"):
            octets = self.sock.recv(65_536)
            if not octets:
                raise EOFError
            self._rest += octets
            if not self.frames and self._rest.startswith(wire.PREFACE):
                self._rest = self._rest[len(wire.PREFACE) :]
        size = 9 + int.from_bytes(self._rest[:3], "big")
        (frame,) = wire.frames(self._rest[:size])
        self._rest = self._rest[size:]
        self.frames.append(frame)
        return frame

    def request(self) -> int:
        """Wait for the next HEADERS; its stream."""
        while (frame := self.frame()).type != wire.HEADERS:
            continue
        return frame.stream_id

    def greet(self, values: dict[int, int] | None = None) -> None:
        """Our SETTINGS, and the acknowledgement of the client's."""
        self.send(wire.settings(values), wire.settings_ack())

    def ok(self, stream_id: int, body: bytes = b"ok") -> None:
        self.send(wire.headers(stream_id, wire.response_block(200)), wire.data(stream_id, body, end_stream=True))

    def serve(self) -> None:
        """Answer whatever comes, as an honest server does."""
        while True:
            self.ok(self.request())

    def until_hung_up(self) -> None:
        while True:
            self.frame()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def goaway_code(self) -> int | None:
        """What the client's GOAWAY said, None without one."""
        found = [frame for frame in self.frames if frame.type == wire.GOAWAY]
        return int.from_bytes(found[-1].payload[4:8], "big") if found else None


class HostileServer:
    """Runs ``script`` on the first connection and ``then`` on the later ones; by default those are served."""

    def __init__(self, script: Script, then: Script | None = None, context: ssl.SSLContext | None = None) -> None:
        self.connections: list[Conn] = []
        self.errors: list[BaseException] = []
        self._script = script
        self._then = then
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}/" if context else f"http://127.0.0.1:{self.port}/"
        self._threads: list[threading.Thread] = []
        self._sockets: list[Any] = []

    def start(self) -> None:
        self._thread(self._accept)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(STUCK_S)
        for sock in self._sockets:
            sock.close()

    def _thread(self, run: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(STUCK_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(sock)
            self._thread(self._run, sock)

    def _run(self, sock: Any) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            conn = Conn(sock, len(self.connections) + 1)
            self.connections.append(conn)
            script = self._script if conn.number == 1 else self._then
            if script is None:
                conn.greet()
                conn.serve()
            else:
                script(conn)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        except (OSError, EOFError):
            # The client hung up: it was meant to.
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            sock.close()


@contextlib.contextmanager
def hostile(script: Script, then: Script | None = None, context: ssl.SSLContext | None = None) -> Iterator[HostileServer]:
    """A running ``HostileServer`` whose scripts must not have failed in the end."""
    server = HostileServer(script, then, context)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert server.errors == []
