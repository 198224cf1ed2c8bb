"""Sockets: addresses, options, listening, and racing connects; the same for every event loop."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Address", "interleave", "listen", "tune"]

# (family, sockaddr), as getaddrinfo has them.
Address = tuple[int, Any]

_BACKLOG = 2048
# How often the system chooses a port for the first address of a host, until it is free at the others, too.
_CHOICES_MAX = 10


def tune(sock: socket.socket, *, notsent_lowat_bytes: int | None = None) -> None:
    """Options of every connection: small frames must not wait for acknowledgements of earlier ones."""
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if notsent_lowat_bytes is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, notsent_lowat_bytes)


def listen(
    host: str | None = "127.0.0.1",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    path_mode: int | None = None,
    fd: int | None = None,
    backlog: int = _BACKLOG,
    reuse_port: bool = False,
) -> list[socket.socket]:
    """Listening, non-blocking sockets: of ``fd``, at the Unix socket ``path``, or on every address of ``host``.

    Raises:
        OSError: an address cannot be bound; its text says which.
    """
    if fd is not None:
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        sock.listen(backlog)
        return [sock]
    if path is not None:
        return [_listen_unix(Path(path), backlog, path_mode)]
    try:
        infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error
    addresses = list(dict.fromkeys((info[0], info[4]) for info in infos))
    for _ in range(_CHOICES_MAX - 1 if port == 0 and len(addresses) > 1 else 0):
        try:
            return _listen_all(addresses, backlog, reuse_port)
        except OSError as error:
            # What is free at the first address may be in use at another.
            if error.errno != errno.EADDRINUSE:
                raise
    return _listen_all(addresses, backlog, reuse_port)


def _listen_all(addresses: Sequence[Address], backlog: int, reuse_port: bool) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, sockaddr in addresses:
            # All addresses of one host share the port that the system chose for the first.
            chosen = sockets[0].getsockname()[1] if sockaddr[1] == 0 and sockets else sockaddr[1]
            sockets.append(_listen_tcp(family, (sockaddr[0], chosen, *sockaddr[2:]), backlog, reuse_port))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _listen_tcp(family: int, address: Any, backlog: int, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(address)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {address[0]} port {address[1]}: {error.strerror}") from error
        sock.setblocking(False)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: Path, backlog: int, mode: int | None) -> socket.socket:
    # A socket file outlives the process that bound it; any other kind of file is somebody's data.
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            if _answers(path):
                raise OSError(errno.EADDRINUSE, f"cannot listen on {path}: {os.strerror(errno.EADDRINUSE)}")
            path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(str(path))
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {path}: {error.strerror}") from error
        if mode is not None:
            # Before listen(): until then nobody can connect, whatever the umask allows.
            path.chmod(mode)
        sock.setblocking(False)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _answers(path: Path) -> bool:
    """Some process listens there; a full backlog is one, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, the resolver's first choice first (RFC 8305 section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    others = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(others))):
        mixed += first[index : index + 1] + others[index : index + 1]
    return mixed
