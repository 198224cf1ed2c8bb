"""The engine by hand: two connections in one process that exchange octets, without sockets or an event loop.

    python examples/sans_io.py

For those who bring their own I/O, and for tests: time is an argument, so nothing here waits.
"""

from __future__ import annotations

from h2o_otel.frames.types import SettingCode
from h2o_otel.protocol import Connection
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.events import DataReceived, Event, RequestReceived, ResponseReceived


def exchange(client: Connection, server: Connection, now: float) -> list[tuple[str, Event]]:
    """Carry octets to and fro until neither has any; what happened, and to whom."""
    happened: list[tuple[str, Event]] = []
    while True:
        to_server, to_client = client.data_to_send(), server.data_to_send()
        if not to_server and not to_client:
            return happened
        happened += [("server", event) for event in server.receive(to_server, now)]
        happened += [("client", event) for event in client.receive(to_client, now)]


def main() -> None:
    now = 0.0
    client, server = Connection(client_config()), Connection(server_config())
    client.start(now)
    server.start(now)
    exchange(client, server, now)
    print(f"the server allows {client.remote_settings[SettingCode.MAX_CONCURRENT_STREAMS]} streams at once")

    request = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/hello"), (b":authority", b"example.com")]
    client.send_request(request, True, now)
    for who, event in exchange(client, server, now):
        if who == "server" and isinstance(event, RequestReceived):
            stream = event.stream
            print(f"server: stream {stream.id}: {stream.method!r} {stream.path!r}")
            server.send_response(stream, 200, [(b"content-type", b"text/plain")], False, now)
            server.send_data(stream, b"hello from the other end\n", True, now)

    for _, event in exchange(client, server, now):
        if isinstance(event, ResponseReceived):
            print(f"client: stream {event.stream.id}: {event.stream.status}")
        elif isinstance(event, DataReceived):
            print(f"client: {event.data!r}")
            # The octets are used: the server's window opens again by as many.
            client.credit(event.stream, len(event.data), now)

    client.close(0, now)
    exchange(client, server, now)
    print(f"client closed: {client.closed}; server takes no more requests: {server.draining}")


if __name__ == "__main__":
    main()
