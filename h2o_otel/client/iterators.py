"""Async iterators over a response's body.

Objects instead of async generators: they can be dropped half-way without a finalizer that needs
the event loop, and they cost one coroutine per step.
"""

from __future__ import annotations

from typing import Any

from ..errors import H2OError
from .decoders import ContentDecoder, LineDecoder
from .exchange import Exchange

__all__ = ["BytesIterator", "LinesIterator", "TextIterator"]


class BytesIterator:
    """The body in pieces as they arrive, or of ``size`` octets, the last one shorter.

    Args:
        exchange: where pieces come from, None for nothing more than ``content``.
        decoder: of the content coding, or None.
        size: of the pieces.
        content: octets that come first.
        response: kept for as long as its body is read; one that nobody has is closed.
    """

    def __init__(
        self, exchange: Exchange | None, decoder: ContentDecoder | None, size: int | None, content: bytes = b"", response: Any = None
    ) -> None:
        if size is not None and size < 1:
            raise ValueError(f"chunk_size is {size}; it is at least 1")
        self._exchange = exchange
        self._response = response
        self._decoder = decoder
        self._size = size
        self._rest = bytearray(content)
        self._done = exchange is None
        if exchange is not None and decoder is not None:
            exchange.decoding = True

    def __aiter__(self) -> BytesIterator:
        return self

    async def __anext__(self) -> bytes:
        while True:
            size = self._size
            rest = self._rest
            if size is None:
                if rest:
                    self._rest = bytearray()
                    return bytes(rest)
            elif len(rest) >= size or (rest and self._done):
                piece = bytes(rest[:size])
                del rest[:size]
                return piece
            if self._done:
                raise StopAsyncIteration
            piece = await self._next()
            if size is None and piece:
                return piece
            rest += piece

    async def _next(self) -> bytes:
        """The next piece, decoded; may be empty."""
        exchange = self._exchange
        assert exchange is not None
        piece = exchange.take() or await exchange.read()
        if not piece:
            self._done = True
        if self._decoder is None:
            return piece
        try:
            if piece:
                return self._decoder.decode(piece)
            rest = self._decoder.flush()
            exchange.finish(None, exchange.ended_at)
            return rest
        except H2OError as error:
            exchange.give_up(error, exchange.protocol.loop.now())
            raise exchange.failure() from error.__cause__

    async def aclose(self) -> None:
        """Iterate no more."""
        self._done = True
        self._rest = bytearray()


class TextIterator:
    """The body as text; a character cut in two comes with its second half."""

    def __init__(self, pieces: BytesIterator, decoder: Any) -> None:
        self._pieces = pieces
        self._decoder = decoder
        self._done = False

    def __aiter__(self) -> TextIterator:
        return self

    async def __anext__(self) -> str:
        while not self._done:
            try:
                piece = await self._pieces.__anext__()
            except StopAsyncIteration:
                self._done = True
                piece = b""
            text: str = self._decoder.decode(piece, self._done)
            if text:
                return text
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Iterate no more."""
        self._done = True


class LinesIterator:
    """The lines of the body, without their ends."""

    def __init__(self, texts: TextIterator) -> None:
        self._texts = texts
        self._decoder = LineDecoder()
        self._lines: list[str] = []
        self._done = False

    def __aiter__(self) -> LinesIterator:
        return self

    async def __anext__(self) -> str:
        while not self._lines:
            if self._done:
                raise StopAsyncIteration
            try:
                text = await self._texts.__anext__()
            except StopAsyncIteration:
                self._done = True
                lines = self._decoder.flush()
            else:
                lines = self._decoder.decode(text)
            # Taken from the end.
            self._lines = lines[::-1]
        return self._lines.pop()

    async def aclose(self) -> None:
        """Iterate no more."""
        self._done = True
        self._lines = []
