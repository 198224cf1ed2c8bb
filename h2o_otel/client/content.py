"""Request bodies: what users give, as bytes at once or as chunks, and whether it can be sent twice."""

from __future__ import annotations

import json as _json
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from ..errors import LocalProtocolError, StreamConsumed
from .headers import Pairs
from .urls import encode_params

__all__ = ["NO_BODY", "Body", "encode_body"]

_CHUNK_BYTES = 65_536


class Body:
    """A request body.

    Attributes:
        data: all of it, or None when it comes in chunks.
        length: octets, or -1 when that is not known.
        source: where chunks come from.
    """

    __slots__ = ("_position", "_started", "data", "length", "source")

    def __init__(self, data: bytes | None, source: Any = None, length: int = -1) -> None:
        self.data = data
        self.source = source
        self.length = len(data) if data is not None else length
        self._started = False
        self._position = source.tell() if data is None and _is_file(source) and _seekable(source) else -1

    @property
    def is_async(self) -> bool:
        return hasattr(self.source, "__aiter__")

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent again: bytes, a file that seeks, or an iterable that begins anew each time."""
        if self.data is not None or not self._started or self._position >= 0:
            return True
        return not hasattr(self.source, "__next__") and not hasattr(self.source, "__anext__") and not _is_file(self.source)

    def chunks(self) -> Iterator[bytes]:
        """Begin the body, again if need be."""
        self._begin()
        if _is_file(self.source):
            return _file_chunks(self.source)
        return (_checked(chunk) for chunk in self.source)

    def async_chunks(self) -> AsyncIterator[bytes]:
        """The same for a body that is made asynchronously."""
        self._begin()
        return self.source.__aiter__()  # type: ignore[no-any-return]

    def _begin(self) -> None:
        if not self.replayable:
            raise StreamConsumed("the request body is an iterator that was already read, so it cannot be sent again")
        if self._started and self._position >= 0:
            self.source.seek(self._position)
        self._started = True


NO_BODY = Body(b"")


def encode_body(content: Any, data: Any, json: Any) -> tuple[Body, Pairs]:
    """The body of a request and the header fields that describe it.

    Raises:
        LocalProtocolError: more than one of the three is given, or something that is no body.
    """
    if (content is not None) + (data is not None) + (json is not None) > 1:
        raise LocalProtocolError("a request has one body: give one of content, data and json", initiator="user")
    if json is not None:
        text = _json.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return _described(Body(text.encode("utf-8")), b"application/json")
    if data is not None and (isinstance(data, Mapping) or (isinstance(data, (list, tuple)) and data and isinstance(data[0], tuple))):
        return _described(Body(encode_params(data).encode("ascii")), b"application/x-www-form-urlencoded")
    if content is None:
        content = data
    if content is None:
        return NO_BODY, []
    return _described(_body_of(content), b"text/plain; charset=utf-8" if isinstance(content, str) else b"")


def _described(body: Body, content_type: bytes) -> tuple[Body, Pairs]:
    fields: Pairs = []
    if body.length >= 0:
        fields.append((b"content-length", b"%d" % body.length))
    if content_type:
        fields.append((b"content-type", content_type))
    return body, fields


def _body_of(content: Any) -> Body:
    if isinstance(content, str):
        return Body(content.encode("utf-8"))
    if isinstance(content, (bytes, bytearray, memoryview)):
        # Copied unless immutable: the engine keeps what it is given by reference.
        return Body(bytes(content))
    if _is_file(content):
        return Body(None, content, _length_of(content))
    if isinstance(content, (AsyncIterable, Iterable)) and not isinstance(content, Mapping):
        return Body(None, content)
    raise LocalProtocolError(
        f"content is of type {type(content).__name__}; a body is bytes, str, a file opened for bytes, or an iterable of bytes",
        initiator="user",
    )


def _is_file(source: Any) -> bool:
    return hasattr(source, "read") and not hasattr(source, "__aiter__")


def _seekable(source: Any) -> bool:
    try:
        return bool(source.seekable())
    except (AttributeError, ValueError):
        return False


def _length_of(source: Any) -> int:
    """What is left to read of a file, -1 when that cannot be known."""
    if not _seekable(source):
        return -1
    try:
        position = source.tell()
        try:
            end = os.fstat(source.fileno()).st_size
        except (AttributeError, OSError):
            end = source.seek(0, os.SEEK_END)
            source.seek(position)
    except OSError:
        return -1
    return max(0, int(end) - int(position))


def _file_chunks(source: Any) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK_BYTES):
        yield _checked(chunk)


def _checked(chunk: Any) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(chunk)
    raise LocalProtocolError(f"the request body yielded {type(chunk).__name__}; its chunks are bytes", initiator="user")


checked_chunk = _checked
