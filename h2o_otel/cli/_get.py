"""Runs ``h2o-otel get``: sends the request, writes its output and decides the exit status."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import json
import os
import re
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import IO, Any

from ..client import AsyncClient, Response, Timeout
from ..errors import (
    ConnectError,
    H2OError,
    HTTPError,
    InvalidURL,
    LocalProtocolError,
    NetworkError,
    StreamReset,
    TimeoutException,
    UnsupportedProtocol,
)
from ..escape import escaped
from ..limits import CLIENT_LIMITS

__all__ = ["USAGE", "WRITE_ERROR", "exit_status", "run"]

# curl's numbers, where curl has the case.
UNSUPPORTED, USAGE, BAD_URL, NO_HOST, NO_CONNECTION = 1, 2, 3, 6, 7
PROTOCOL_ERROR, HTTP_ERROR, WRITE_ERROR, READ_ERROR, TIMEOUT = 16, 22, 23, 26, 28
TLS_ERROR, LOST, BAD_CERTIFICATE, BAD_CA_FILE, STREAM_RESET = 35, 56, 60, 77, 92

_SECRET = frozenset(("authorization", "cookie", "proxy-authorization", "set-cookie"))
_FRAMES_MAX = 1024
_BAR_COLUMNS = 40
_PIPE_BYTES = 65_536

Pairs = Iterable[tuple[str, str]]


class _UnreadableBody(Exception):
    """The request body could not be read."""


def exit_status(error: BaseException) -> int:
    """The exit status that says what ``error`` is."""
    if isinstance(error, ConnectError):
        causes: list[BaseException] = []
        cause: BaseException | None = error
        while cause is not None and cause not in causes:
            causes.append(cause)
            cause = cause.__cause__ or cause.__context__
        for kind, status in ((socket.gaierror, NO_HOST), (ssl.SSLCertVerificationError, BAD_CERTIFICATE), (ssl.SSLError, TLS_ERROR)):
            if any(isinstance(each, kind) for each in causes):
                return status
        return NO_CONNECTION
    kinds: tuple[tuple[type[BaseException], int], ...] = (
        (_UnreadableBody, READ_ERROR),
        (TimeoutException, TIMEOUT),
        (UnsupportedProtocol, UNSUPPORTED),
        (InvalidURL, BAD_URL),
        (LocalProtocolError, USAGE),
        (StreamReset, STREAM_RESET),
        (NetworkError, LOST),
        (HTTPError, PROTOCOL_ERROR),
        (ssl.SSLError, BAD_CA_FILE),
    )
    return next((status for kind, status in kinds if isinstance(error, kind)), PROTOCOL_ERROR)


async def run(args: argparse.Namespace) -> int:
    """Request each URL; returns the exit status of the first that failed, else 0.

    Raises:
        BrokenPipeError: the reader of standard output has left.
    """
    try:
        headers = [_field(text) for text in args.header]
        if args.cacert is not None:
            ssl.create_default_context(cafile=args.cacert)
    except ValueError as error:
        _complain(args, str(error))
        return USAGE if not isinstance(error, ssl.SSLError) else BAD_CA_FILE
    except OSError as error:
        _complain(args, f"--cacert {args.cacert}: {error}")
        return BAD_CA_FILE
    connect = 5.0 if args.connect_timeout is None else args.connect_timeout
    timeout = Timeout(connect=connect, pool=max(5.0, connect), total=args.max_time)
    limits = replace(CLIENT_LIMITS, flight_recorder_frames=_FRAMES_MAX) if args.frames else CLIENT_LIMITS
    first = 0
    with ExitStack() as stack:
        try:
            output = None if args.output in (None, "-") else _opened(args.output, "wb", stack)
        except OSError as error:
            _complain(args, f"-o {args.output}: {error.strerror}")
            return WRITE_ERROR
        async with AsyncClient(timeout=timeout, limits=limits, verify=False if args.insecure else args.cacert or True) as client:
            seen: set[int] = set()
            for url in args.urls:
                first = first or await _one(args, client, url, headers, output, seen)
    return first


async def _one(args: argparse.Namespace, client: AsyncClient, url: str, headers: Any, output: IO[bytes] | None, seen: set[int]) -> int:
    """One URL; failures are said, and returned as an exit status."""
    if not url.lower().startswith(("http://", "https://")):
        _complain(args, f"{url}: the URL begins with neither http:// nor https://")
        return UNSUPPORTED if "://" in url else BAD_URL
    try:
        with ExitStack() as stack:
            method, content, described = await _body(args, stack)
            fields = [*described, *headers]
            async with client.stream(method, url, content=content, headers=fields) as response:
                status = HTTP_ERROR if args.fail and response.status_code >= 400 else 0
                sink = _Sink(args, response, output)
                if args.include or args.head:
                    sink.text(_head(response))
                if not status:
                    async for piece in response.aiter_bytes():
                        sink.write(piece)
                sink.finish()
                if status:
                    _complain(args, f"{url}: the response has status {response.status_code}")
                _explain(args, response, sink.octets, response.connection_id in seen)
                seen.add(response.connection_id)
                return status
    except BrokenPipeError:
        raise
    except (H2OError, _UnreadableBody, ssl.SSLError) as error:
        status = exit_status(error)
        flight = getattr(error, "flight", None)
        if args.json:
            _print_json({"url": url, "error": {"type": type(error).__name__, "message": str(error), "exit_status": status}})
        _complain(args, f"{url}: {error}" if isinstance(error, _UnreadableBody) else f"{url}: {type(error).__name__}: {error}")
        if args.frames and flight:
            print(flight, file=sys.stderr)
        return status
    except OSError as error:
        _complain(args, f"cannot write the body: {error.strerror or error}")
        return WRITE_ERROR


# -- the request


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"-H {text!r} is no field; write 'name: value'")
    return name.strip(), value.strip()


async def _body(args: argparse.Namespace, stack: ExitStack) -> tuple[str, Any, list[tuple[str, str]]]:
    """Method, body, and the fields that describe the body."""
    try:
        if args.data is not None:
            parts = [_read(part) for part in args.data]
            return args.method or "POST", b"&".join(parts), [("content-type", "application/x-www-form-urlencoded")]
        if args.json_body is not None:
            return args.method or "POST", _read(args.json_body), [("content-type", "application/json")]
        if args.upload_file is None:
            return args.method or ("HEAD" if args.head else "GET"), None, []
        if args.upload_file != "-":
            return args.method or "PUT", _opened(args.upload_file, "rb", stack), []
        if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
            return args.method or "PUT", sys.stdin.buffer, []
        # A pipe or terminal: reading it must not block the event loop.
        return args.method or "PUT", await _piped(), []
    except OSError as error:
        raise _UnreadableBody(f"cannot read the request body: {error.filename or 'standard input'}: {error.strerror}") from error


def _opened(path: str, mode: str, stack: ExitStack) -> Any:
    return stack.enter_context(open(path, mode))


def _read(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    if text == "@-":
        return sys.stdin.buffer.read()
    with open(text[1:], "rb") as file:
        return file.read()


async def _piped() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(_PIPE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while piece := await reader.read(_PIPE_BYTES):
                yield piece
        finally:
            transport.close()

    return pieces()


# -- the output


class _Sink:
    """Where the body goes: a file, a pipe as it is, or a terminal as text that is escaped.

    Attributes:
        octets: of the body so far.
    """

    def __init__(self, args: argparse.Namespace, response: Response, file: IO[bytes] | None) -> None:
        self.octets = 0
        self._args = args
        self._file = file
        self._discards = args.json and file is None
        self._is_terminal = file is None and sys.stdout.isatty()
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        self._progress = file is not None and not args.silent and sys.stderr.isatty()
        length = response.headers.get("content-length", "")
        self._expected = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        self._shown = -1

    def text(self, text: str) -> None:
        """Write a header section to standard output."""
        if not self._args.json:
            sys.stdout.write(text)
            sys.stdout.flush()

    def write(self, piece: bytes) -> None:
        """Write a piece of the body."""
        self.octets += len(piece)
        if self._discards:
            return
        if self._is_terminal:
            sys.stdout.write(_for_terminal(self._decode(piece)))
            sys.stdout.flush()
            return
        target = sys.stdout.buffer if self._file is None else self._file
        target.write(piece)
        if self._args.no_buffer:
            target.flush()
        if self._progress and self.octets >> 20 != self._shown:
            self._shown = self.octets >> 20
            share = f" of {self._expected / 2**20:.1f}" if self._expected else ""
            sys.stderr.write(f"\r{self.octets / 2**20:.1f}{share} MiB")
            sys.stderr.flush()

    def finish(self) -> None:
        """The body is complete."""
        if self._is_terminal and not self._discards:
            sys.stdout.write(_for_terminal(self._decode(b"", True)))
        if self._progress and self._shown >= 0:
            sys.stderr.write(f"\r{self.octets / 2**20:.1f} MiB, complete\n")
        (sys.stdout if self._file is None else self._file).flush()


def _for_terminal(text: str) -> str:
    return "".join([part if part in ("\n", "\t") else escaped(part, len(part)) for part in re.split(r"([\n\t])", text)])


def _head(response: Response) -> str:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    begin, end = ("\x1b[36m", "\x1b[0m") if colour else ("", "")
    lines = [f"HTTP/2 {response.status_code}"]
    lines += [f"{begin}{escaped(name)}{end}: {escaped(value, len(value))}" for name, value in response.headers.multi_items()]
    return "\n".join(lines) + "\n\n"


def _complain(args: argparse.Namespace, text: str) -> None:
    if not args.silent:
        print(f"h2o-otel get: {escaped(text)}", file=sys.stderr)


# -- the explanation


def _shown(args: argparse.Namespace, fields: Pairs) -> list[tuple[str, str]]:
    """Fields as they may be printed."""
    return [(name, "[redacted]" if name in _SECRET and not args.show_secrets else value) for name, value in fields]


def _explain(args: argparse.Namespace, response: Response, octets: int, reused: bool) -> None:
    recorder = getattr(response.exchange.protocol.connection, "recorder", None)
    if args.json:
        _print_json(_document(args, response, octets, reused, recorder))
    elif args.frames:
        for mark, fields in ((">", response.request.headers), ("<", response.headers)):
            for name, value in _shown(args, fields.multi_items()):
                print(f"{mark} {escaped(name)}: {escaped(value)}", file=sys.stderr)
        print("the h2 engine records no frames" if recorder is None else recorder.log(), file=sys.stderr)
    if args.trace:
        print("\n".join(_waterfall(response, reused)), file=sys.stderr)


def _document(args: argparse.Namespace, response: Response, octets: int, reused: bool, recorder: Any) -> dict[str, Any]:
    peer = response.exchange.protocol.driver.peername
    tls = response.exchange.protocol.driver.tls
    found: dict[str, Any] = {
        "url": str(response.url),
        "method": response.request.method,
        "status": response.status_code,
        "http_version": response.http_version,
        "headers": _shown(args, response.headers.multi_items()),
        "trailers": None if response.trailers is None else _shown(args, response.trailers.multi_items()),
        "informational": [[each.status_code, _shown(args, each.headers.multi_items())] for each in response.informational],
        "body_bytes": octets,
        "timings_s": response.timings._asdict(),
        "connection": {
            "id": response.connection_id,
            "reused": reused,
            "peer": list(peer[:2]) if isinstance(peer, tuple) else peer,
            "tls_version": None if tls is None else tls.version,
        },
        "stream_id": response.stream_id,
        "attempts": response.attempts,
        "retry_reasons": list(response.retry_reasons),
    }
    if args.frames and recorder is not None:
        found["flight"] = json.loads(recorder.log().to_json())
    return found


def _print_json(document: dict[str, Any]) -> None:
    # ASCII: nothing of a peer's reaches a terminal unescaped.
    print(json.dumps(document))


def _waterfall(response: Response, reused: bool) -> list[str]:
    """The phases of a request, one line each, with a bar where it was."""
    timings = response.timings
    phases = []
    at = 0.0
    for name in ("dns", "connect", "tls", "settings"):
        seconds = getattr(timings, name)
        phases.append((f"  {name}", at, seconds))
        at += seconds
    phases.insert(0, ("queue", 0.0, timings.queue))
    at = timings.queue
    for name in ("send", "wait", "body"):
        seconds = getattr(timings, name)
        phases.append((name, at, seconds))
        at += seconds
    scale = _BAR_COLUMNS / max(timings.total, 1e-9)
    lines = []
    for name, start, seconds in phases:
        before = min(_BAR_COLUMNS, round(start * scale))
        bar = "#" * min(_BAR_COLUMNS - before, round(seconds * scale))
        lines.append(f"{name:<10} {seconds * 1000:9.3f} ms  {' ' * before}{bar}".rstrip())
    lines.append(f"{'total':<10} {timings.total * 1000:9.3f} ms")
    peer = response.exchange.protocol.driver.peername
    tls = response.exchange.protocol.driver.tls
    how = "reused: it was open and had a free stream" if reused else "new: no connection with a free stream was open"
    where = f"{peer[0]} port {peer[1]}" if isinstance(peer, tuple) else str(peer)
    over = "in cleartext" if tls is None else f"with TLS {tls.version}"
    lines.append(f"connection {response.connection_id} to {where} {over}, {how}; stream {response.stream_id}")
    if response.retry_reasons:
        lines.append(f"sent {response.attempts} times, again because of: {', '.join(response.retry_reasons)}")
    return lines
