"""The environment that scenes and acts share: the service, a client for it, and a count of outcomes."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable

from ..client import AsyncClient
from ..tls.context import client_context
from .peers import FrameClient

__all__ = ["Stage"]


class Stage:
    """One service and its clients.

    Args:
        url: of the service.
        make_client: a client for it; takes other limits, and whom to trust.
        ca: certificate of the service's authority.
        upstream: URL of the stock service, None when it is out of reach.

    Attributes:
        client: shared by the scenes.
        wanted: ends that a scene provokes (timeouts, cancellations), by kind.
        unexpected: everything else that went wrong, by kind.
    """

    def __init__(self, url: str, make_client: Callable[..., AsyncClient], *, ca: str | None = None, upstream: str | None = None) -> None:
        self.url = url
        self.scheme = url.partition(":")[0]
        self.make_client = make_client
        self.ca = ca
        self.upstream = upstream
        self.client = make_client()
        self.wanted: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()

    def expect(self, ok: bool, name: str) -> None:
        """Count a response that its scene did not expect."""
        if not ok:
            self.unexpected[f"{name}: wrong answer"] += 1

    def frame_client(self) -> FrameClient:
        """A connection to the service with hand-written frames."""
        return FrameClient(self.url, self.context("h2"))

    def context(self, *alpn: str) -> ssl.SSLContext | None:
        """The TLS context for hand-written frames; None for a service in cleartext."""
        return client_context(ca=self.ca, alpn=alpn) if self.scheme == "https" else None
