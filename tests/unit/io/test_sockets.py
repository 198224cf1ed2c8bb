"""Sockets of every loop."""

from __future__ import annotations

import socket

from h2o_otel.io.sockets import interleave, listen, tune


def test_addresses_alternate_families() -> None:
    four, six = (socket.AF_INET, "4"), (socket.AF_INET6, "6")
    assert interleave([six, six, four, four]) == [six, four, six, four]
    assert interleave([four, four]) == [four, four]
    assert interleave([]) == []


def test_small_frames_do_not_wait() -> None:
    listener = listen()[0]
    with listener, socket.create_connection(listener.getsockname()) as sock:
        tune(sock, notsent_lowat_bytes=131_072)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 131_072


def test_every_address_of_a_host_has_one_port() -> None:
    sockets = listen("localhost")
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    for sock in sockets:
        assert not sock.getblocking()
        sock.close()
