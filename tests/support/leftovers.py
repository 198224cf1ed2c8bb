"""Objects of requests that are alive: what a request made must be gone once it is over."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from h2o_otel.client.exchange import Exchange
from h2o_otel.client.iterators import BytesIterator, LinesIterator, TextIterator
from h2o_otel.client.request import Request
from h2o_otel.client.response import Response
from h2o_otel.errors import H2OError
from h2o_otel.server.asgi import AsgiRequest
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry.span import RequestSpan

OF_REQUESTS = (
    Exchange,
    Response,
    Request,
    BytesIterator,
    TextIterator,
    LinesIterator,
    Stream,
    AsgiRequest,
    RequestSpan,
    H2OError,
    asyncio.CancelledError,
)


def alive() -> Counter[str]:
    """How many objects of each class that requests make there are."""
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, OF_REQUESTS))


@contextmanager
def collecting(on: bool) -> Iterator[None]:
    """With the garbage collector on or off."""
    gc.collect()
    if not on:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()
