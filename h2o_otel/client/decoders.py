"""Response bodies decoded: content codings inside a cap, characters, lines."""

from __future__ import annotations

import codecs
import encodings
import functools
import io
import pkgutil
import re
import zlib
from collections.abc import Callable, Iterator
from encodings.aliases import aliases

from .. import counters
from ..errors import LimitExceeded, RemoteProtocolError, TransportError
from ..limits import Limits

__all__ = ["ACCEPT_ENCODING", "ContentDecoder", "DecodedBody", "LineDecoder", "charset_of", "decoder_of", "text_decoder", "text_of"]

ACCEPT_ENCODING = b"gzip, deflate"
# Output of one step, so that a bomb is found before it is in memory.
_STEP_BYTES = 65_536
# Input of one step: zlib copies what a step leaves of it.
_INPUT_BYTES = 16_384
_COMPLETE, _INVALID, _TRUNCATED, _TOO_LARGE = range(len(counters.DECODED_RESULTS))


class ContentDecoder:
    """Undo ``content-encoding`` step by step, and stop what grows out of proportion.

    A body may always grow to ``Limits.decompress_free_bytes``; beyond it, to at most
    ``Limits.decompress_ratio_max`` times what was received.

    Raises:
        LimitExceeded: the body grows beyond that, or has too many gzip members with nothing in them.
        RemoteProtocolError: the body is not what ``content-encoding`` says.
    """

    def __init__(self, codings: list[str], limits: Limits) -> None:
        self.codings = codings
        self._steps = [_CODINGS[coding]() for coding in reversed(codings)]
        self._ratio_max = limits.decompress_ratio_max
        self._free_bytes = limits.decompress_free_bytes
        self._empty_max = limits.decompress_empty_members_max
        self._received = 0
        self._made = 0
        self._counted = False

    def decode(self, data: bytes) -> bytes:
        """What ``data`` adds to the body; may be empty."""
        return b"".join(self.pieces(data))

    def flush(self) -> bytes:
        """The rest of the body, once everything was received."""
        return b"".join(self.pieces(b"", True))

    def pieces(self, data: bytes, last: bool = False) -> Iterator[bytes]:
        """What ``data`` adds to the body, in pieces of bounded size; ``last`` when everything was received."""
        self._received += len(data)
        try:
            yield from self._decoded(0, data, last)
        except TransportError as error:
            rule = getattr(error, "rule", "")
            self.count(_TOO_LARGE if not rule else _TRUNCATED if rule == "content_coding_truncated" else _INVALID)
            raise
        if last:
            self.count(_COMPLETE)

    def count(self, result: int) -> None:
        """The body is decoded, or failed; counted once."""
        if not self._counted:
            self._counted = True
            counters.local().add("client_decoded", result, 1)

    def too_large(self) -> None:
        """The body was given up for its size."""
        self.count(_TOO_LARGE)

    def _decoded(self, index: int, data: bytes, last: bool) -> Iterator[bytes]:
        """``data`` through the step ``index`` and those after it, of which there are four at most."""
        if index == len(self._steps):
            if data:
                yield data
            return
        step = self._steps[index]
        for piece in self._run(step, data, last):
            yield from self._decoded(index + 1, piece, False)
        if last:
            if self._received and not step.complete:
                raise RemoteProtocolError(f"the {'+'.join(self.codings)} body ends in the middle", rule="content_coding_truncated")
            yield from self._decoded(index + 1, b"", True)

    def _run(self, step: _Inflate, data: bytes, last: bool) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), _INPUT_BYTES):
                rest = data[start : start + _INPUT_BYTES]
                while rest:
                    part, rest = step.step(rest)
                    if part:
                        yield self._checked(part)
                    elif step.empty > self._empty_max:
                        raise self._hollow()
            while last:
                part, _ = step.step(b"")
                if not part:
                    return
                yield self._checked(part)
        except zlib.error as error:
            # The client keeps this error, and with it the cause: without the traceback, whose frames have what was received.
            cause = error.with_traceback(None)
            raise RemoteProtocolError(f"the body is not {'+'.join(self.codings)} ({error})", rule="content_coding_invalid") from cause

    def _checked(self, part: bytes) -> bytes:
        self._made += len(part)
        if self._made > self._free_bytes and self._made > self._ratio_max * self._received:
            raise LimitExceeded(
                f"the {'+'.join(self.codings)} body grows from {self._received} to more than {self._made} octets:"
                f" Limits.decompress_ratio_max is {self._ratio_max} beyond {self._free_bytes} octets",
                limit_name="decompress_ratio_max",
                limit=self._ratio_max,
                actual=self._made / max(1, self._received),
            )
        return part

    def _hollow(self) -> LimitExceeded:
        return LimitExceeded(
            f"the {'+'.join(self.codings)} body has more than {self._empty_max} members with nothing in them:"
            f" Limits.decompress_empty_members_max is {self._empty_max}",
            limit_name="decompress_empty_members_max",
            limit=self._empty_max,
            actual=self._empty_max + 1,
        )


class DecodedBody:
    """A whole body that is decoded while it arrives, so that what arrived is not there beside it.

    Raises:
        LimitExceeded: it is larger than ``Limits.response_bytes_max``, or what ``ContentDecoder`` raises.
        RemoteProtocolError: see there.
    """

    def __init__(self, decoder: ContentDecoder, limits: Limits) -> None:
        self._decoder = decoder
        self._bytes_max = limits.response_bytes_max
        self._body = io.BytesIO()
        self._size = 0

    def add(self, data: bytes, last: bool = False) -> None:
        """``data`` is next, and there is no more where it is the ``last``."""
        for piece in self._decoder.pieces(data, last):
            self._size += len(piece)
            if self._bytes_max is not None and self._size > self._bytes_max:
                self._decoder.too_large()
                raise too_large(self._bytes_max, self._size)
            self._body.write(piece)

    def take(self) -> bytes:
        """The body, without a copy."""
        body, self._body = self._body, io.BytesIO()
        return body.getvalue()


def too_large(bytes_max: int, actual: int) -> LimitExceeded:
    """The error of a body that is wanted whole and is larger than that may be."""
    return LimitExceeded(
        f"the body of the response has more than {bytes_max} octets (Limits.response_bytes_max): read it piece by piece with"
        " AsyncClient.stream, or raise the limit",
        limit_name="response_bytes_max",
        limit=bytes_max,
        actual=actual,
    )


class _Inflate:
    """gzip (RFC 1952), possibly of several members.

    Attributes:
        empty: members that had nothing in them.
    """

    wbits = 16 + zlib.MAX_WBITS

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(self.wbits)
        self._fresh = True
        self._hollow = True
        self.empty = 0

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """At most one step of output, and what of ``data`` is left."""
        if self._inflate.eof:
            # The next member; zeros after the last one are padding that some writers leave.
            data = data.lstrip(b"\x00")
            if not data:
                return b"", b""
            self._inflate = zlib.decompressobj(self.wbits)
            self._hollow = True
        out = self._inflate.decompress(data, _STEP_BYTES)
        self._fresh = False
        if out:
            self._hollow = False
        if not self._inflate.eof:
            return out, self._inflate.unconsumed_tail
        if self._hollow:
            self._hollow = False
            self.empty += 1
        return out, self._inflate.unused_data

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
_CODINGS_MAX = 4


def decoder_of(fields: list[tuple[bytes, bytes]], limits: Limits) -> ContentDecoder | None:
    """A decoder for what ``content-encoding`` names, or None when there is nothing to undo or a coding is not known."""
    codings: list[str] = []
    for name, value in fields:
        if name == b"content-encoding":
            codings += [coding.strip().lower() for coding in value.decode("latin-1").split(",")]
    codings = [coding for coding in codings if coding and coding != "identity"]
    if not codings or len(codings) > _CODINGS_MAX or any(coding not in _CODINGS for coding in codings):
        return None
    return ContentDecoder(codings, limits)


_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:()+-]{0,63}")
# What looks like an encoding of text and is none for a body: host names, always an error, escapes of Python's sources.
_NO_CHARSETS = frozenset(("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"))
_PUNCTUATION = re.compile(r"[^a-z0-9]+")


@functools.cache
def _known_charsets() -> frozenset[str]:
    """The names of Python's encodings; others are not looked up, since Python remembers each name that it was asked for."""
    modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    return frozenset(_PUNCTUATION.sub("_", name.lower()) for name in (*modules, *aliases, *aliases.values()))


def charset_of(content_type: str | None) -> str | None:
    """The ``charset`` parameter if it names an encoding of text that Python knows, else None."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
            return charset if _is_charset(charset) else None
    return None


def _is_charset(charset: str) -> bool:
    if not _CHARSET.fullmatch(charset) or _PUNCTUATION.sub("_", charset.lower()).strip("_") not in _known_charsets():
        return False
    try:
        found = codecs.lookup(charset)
    except (LookupError, ValueError):
        return False
    # ``rot13``, ``hex``, ``zlib`` and their like turn text into text or octets into octets.
    is_text: bool = getattr(found, "_is_text_encoding", True)
    return is_text and found.name.replace("-", "_") not in _NO_CHARSETS and found.incrementaldecoder is not None


def text_of(data: bytes, charset: str) -> str:
    """``data`` as text; what is no text becomes U+FFFD, and so does what the codec does not replace by itself."""
    try:
        return data.decode(charset, "replace")
    except UnicodeError:
        return data.decode("utf-8", "replace")


def text_decoder(charset: str) -> _TextDecoder:
    """Incremental; what is no text becomes U+FFFD."""
    return _TextDecoder(charset)


class _TextDecoder:
    """The codec's own decoder, and that of UTF-8 from where it gives up: UTF-16 without a mark, a state that grows."""

    def __init__(self, charset: str) -> None:
        self._decoder = codecs.getincrementaldecoder(charset)(errors="replace")

    def decode(self, data: bytes, final: bool = False) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeError:
            held = getattr(self._decoder, "buffer", b"")
            self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            return self._decoder.decode(held + data, final)


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
