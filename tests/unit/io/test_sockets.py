"""Sockets of every loop."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from h2o_otel.io import sockets as io_sockets
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


def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_port_that_is_in_use_at_a_later_address_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    two_addresses(monkeypatch)
    bind, refusals = io_sockets._listen_tcp, 3

    def in_use(family: int, address: Any, *more: Any) -> socket.socket:
        nonlocal refusals
        if address[0] == "127.0.0.2" and refusals:
            refusals -= 1
            raise OSError(errno.EADDRINUSE, "in use")
        return bind(family, address, *more)

    monkeypatch.setattr(io_sockets, "_listen_tcp", in_use)
    sockets = listen("host.test")
    assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1", "127.0.0.2"]
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    for sock in sockets:
        sock.close()


def test_no_port_that_is_free_everywhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    two_addresses(monkeypatch)
    bind, tried = io_sockets._listen_tcp, []

    def in_use(family: int, address: Any, *more: Any) -> socket.socket:
        tried.append(address[0])
        if address[0] == "127.0.0.2":
            raise OSError(errno.EADDRINUSE, "in use")
        return bind(family, address, *more)

    monkeypatch.setattr(io_sockets, "_listen_tcp", in_use)
    with pytest.raises(OSError, match="in use"):
        listen("host.test")
    assert tried == ["127.0.0.1", "127.0.0.2"] * 10
