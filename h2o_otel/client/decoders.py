"""Response bodies decoded: content codings inside a cap, characters, lines."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable
from typing import Any

from ..errors import LimitExceeded, RemoteProtocolError
from ..limits import Limits

__all__ = ["ACCEPT_ENCODING", "ContentDecoder", "LineDecoder", "charset_of", "decoder_of"]

ACCEPT_ENCODING = b"gzip, deflate"
# Output of one step, so that a bomb is found before it is in memory.
_STEP_BYTES = 65_536


class ContentDecoder:
    """Undo ``content-encoding`` step by step, and stop what grows out of proportion.

    A body may always grow to ``Limits.decompress_free_bytes``; beyond it, to at most
    ``Limits.decompress_ratio_max`` times what was received.

    Raises:
        LimitExceeded: the body grows beyond that.
        RemoteProtocolError: the body is not what ``content-encoding`` says.
    """

    def __init__(self, codings: list[str], limits: Limits) -> None:
        self.codings = codings
        self._steps = [_CODINGS[coding]() for coding in reversed(codings)]
        self._ratio_max = limits.decompress_ratio_max
        self._free_bytes = limits.decompress_free_bytes
        self._received = 0
        self._made = 0

    def decode(self, data: bytes) -> bytes:
        """What ``data`` adds to the body; may be empty."""
        self._received += len(data)
        for step in self._steps:
            data = self._run(step, data, False)
        return data

    def flush(self) -> bytes:
        """The rest of the body, once everything was received."""
        data = b""
        for step in self._steps:
            data = self._run(step, data, True)
            if self._received and not step.complete:
                raise RemoteProtocolError(f"the {'+'.join(self.codings)} body ends in the middle", rule="content_coding_truncated")
        return data

    def _run(self, step: _Inflate, data: bytes, last: bool) -> bytes:
        parts = []
        try:
            while data or last:
                part, data = step.step(data)
                if not part:
                    break
                self._made += len(part)
                if self._made > self._free_bytes and self._made > self._ratio_max * self._received:
                    raise self._bomb()
                parts.append(part)
        except zlib.error as error:
            raise RemoteProtocolError(f"the body is not {'+'.join(self.codings)} ({error})", rule="content_coding_invalid") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _bomb(self) -> LimitExceeded:
        return LimitExceeded(
            f"the {'+'.join(self.codings)} body grows from {self._received} to more than {self._made} octets:"
            f" Limits.decompress_ratio_max is {self._ratio_max} beyond {self._free_bytes} octets",
            limit_name="decompress_ratio_max",
            limit=self._ratio_max,
            actual=self._made / max(1, self._received),
        )


class _Inflate:
    """gzip (RFC 1952), possibly of several members."""

    wbits = 16 + zlib.MAX_WBITS

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(self.wbits)
        self._fresh = True

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """At most one step of output, and what of ``data`` is left."""
        if self._inflate.eof:
            # The next member; zeros after the last one are padding that some writers leave.
            data = data.lstrip(b"\x00")
            if not data:
                return b"", b""
            self._inflate = zlib.decompressobj(self.wbits)
        out = self._inflate.decompress(data, _STEP_BYTES)
        self._fresh = False
        rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        if not out and rest and self._inflate.eof:
            return self.step(rest)
        return out, rest

    @property
    def complete(self) -> bool:
        return self._inflate.eof


class _Deflate(_Inflate):
    """deflate: zlib's format (RFC 9110 section 8.4.1.2), or the bare stream that some servers send under that name."""

    wbits = zlib.MAX_WBITS

    def __init__(self) -> None:
        _Inflate.__init__(self)
        self._head = b""

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        if self._inflate.eof:
            return b"", b""
        if self._fresh:
            # The two octets of zlib's header tell which it is.
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return b"", b""
            if data[0] & 0x0F != zlib.DEFLATED or (data[0] << 8 | data[1]) % 31:
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return _Inflate.step(self, data)


_CODINGS: dict[str, Callable[[], _Inflate]] = {"gzip": _Inflate, "x-gzip": _Inflate, "deflate": _Deflate}


def decoder_of(content_encoding: str, limits: Limits) -> ContentDecoder | None:
    """A decoder for the codings named, or None when there is nothing to undo or one of them is not known."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding and coding != "identity"]
    if not codings or any(coding not in _CODINGS for coding in codings) or len(codings) > 4:
        return None
    return ContentDecoder(codings, limits)


def charset_of(content_type: str | None) -> str | None:
    """The ``charset`` parameter if it names an encoding that Python knows, else None."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
            try:
                codecs.lookup(charset)
            except LookupError:
                return None
            return charset
    return None


def text_decoder(charset: str) -> Any:
    """Incremental; what is no text becomes U+FFFD."""
    return codecs.getincrementaldecoder(charset)(errors="replace")


class LineDecoder:
    """Cuts text into lines as ``str.splitlines`` does, across chunks; a line that grows is kept in parts."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._after_cr = False

    def decode(self, text: str) -> list[str]:
        """The lines that ``text`` completes."""
        if self._after_cr:
            # Whether a CR at the end of the last chunk was half of a CRLF is known only now.
            self._after_cr = False
            text = "\r" + text
        if text.endswith("\r"):
            self._after_cr = True
            text = text[:-1]
        if not text:
            return []
        complete = text[-1] in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
        lines = text.splitlines()
        if len(lines) == 1 and not complete:
            self._parts.append(lines[0])
            return []
        if self._parts:
            lines[0] = "".join(self._parts) + lines[0]
            self._parts = []
        if not complete:
            self._parts.append(lines.pop())
        return lines

    def flush(self) -> list[str]:
        """The last line, if it has no end."""
        if not self._parts and not self._after_cr:
            return []
        line = "".join(self._parts)
        self._parts = []
        self._after_cr = False
        return [line]
