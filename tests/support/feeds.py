"""Ways to hand the same octets to a connection; whatever the way, the same must happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from h2o_otel.protocol.connection import Connection

Feed = Callable[[Connection, bytes], None]


def whole(connection: Connection, octets: bytes) -> None:
    connection.receive(octets, 1.0)


def one_by_one(connection: Connection, octets: bytes) -> None:
    for octet in octets:
        connection.receive(bytes([octet]), 1.0)


def pieces(cuts: list[int], octets: bytes) -> Iterator[bytes]:
    """Pieces of these sizes, and the rest."""
    pos = 0
    for cut in [*cuts, len(octets)]:
        yield octets[pos : pos + cut]
        pos += cut
        if pos >= len(octets):
            break


def cut_at(cuts: list[int]) -> Feed:
    def feed(connection: Connection, octets: bytes) -> None:
        for piece in pieces(cuts, octets):
            connection.receive(piece, 1.0)

    return feed


def in_place(cuts: list[int]) -> Feed:
    """As a driver does it: the unread tail in front of what comes, in a buffer that ends where the octets end."""

    def feed(connection: Connection, octets: bytes) -> None:
        tail = b""
        for piece in pieces(cuts, octets):
            buffer = bytearray(tail + piece)
            used = connection.receive_into(buffer, 0, len(buffer), 1.0)
            tail = bytes(buffer[used:])
            # Nothing of the engine may look into the buffer from here on.
            buffer[:] = b"\xee" * len(buffer)

    return feed


def in_a_larger_buffer(connection: Connection, octets: bytes) -> None:
    buffer = bytearray(b"\xee" * 7 + octets + b"\xee" * 9)
    connection.receive_into(buffer, 7, 7 + len(octets), 1.0)
