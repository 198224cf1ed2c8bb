"""How a client makes a connection: the socket, TLS with ``h2`` agreed on, and the protocol object on top."""

from __future__ import annotations

import os
import ssl
from typing import Any

from .. import counters
from ..errors import ConnectError
from ..io.driver import Driver
from ..io.loop import AsyncioLoop, Loop
from ..limits import Limits
from ..pool.origin import Origin
from ..protocol.config import DEFAULT_TUNING
from ..tls.context import ClientTLS, client_context
from ..tuning import Tuning
from .protocol import ClientProtocol

__all__ = ["Connector", "tls_of"]

_ALPN = ("h2",)


def tls_of(verify: Any, cert: Any) -> ClientTLS:
    """TLS as httpx's ``verify`` and ``cert`` describe it.

    Args:
        verify: True for the system's certificates, False for none, a file or folder of certificates, or
            an ``ssl.SSLContext`` that is used as it is, ALPN excepted.
        cert: a PEM file with certificate and key, or a tuple of certificate, key and password.

    Raises:
        OSError: a file is missing or unreadable.
    """
    if isinstance(verify, ClientTLS):
        return verify
    if not isinstance(verify, (bool, str, bytes, os.PathLike)):
        verify.set_alpn_protocols(list(_ALPN))
        if cert is not None:
            verify.load_cert_chain(*_certificate(cert))
        return ClientTLS(context=verify, alpn_required=_ALPN, ssl_module=ssl)
    certificate, key, password = _certificate(cert)
    ca = None if isinstance(verify, bool) else verify
    context = client_context(ca=ca, certificate=certificate, key=key, password=password, verify=verify is not False, alpn=_ALPN)
    return ClientTLS(context=context, alpn_required=_ALPN)


def _certificate(cert: Any) -> tuple[Any, Any, Any]:
    if cert is None or isinstance(cert, (str, os.PathLike)):
        return cert, None, None
    certificate, key, password = (*cert, None, None)[:3]
    return certificate, key, password


class Connector:
    """Makes the connections of one client on one loop.

    Args:
        loop: that they run on.
        engine: "native", "h2", or None for the environment's choice.
        verify, cert: see ``tls_of``; the context is made when it is first needed, since it is slow.
        telemetry: for the spans of setups and the log events.
        uds: a Unix socket that every connection goes to.
        local_address: to connect from.
        tuning: which optimisations are on.
    """

    def __init__(
        self,
        loop: Loop,
        engine: str | None,
        verify: Any,
        cert: Any,
        telemetry: Any,
        uds: Any = None,
        local_address: str | None = None,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        self.loop = loop
        self.engine = engine
        self.telemetry = telemetry
        self._verify = verify
        self._cert = cert
        self._tls: ClientTLS | None = None
        self._uds = uds
        self._local_address = local_address
        self._tuning = tuning

    async def open(self, origin: Origin, limits: Limits) -> ClientProtocol:
        """A connection to ``origin`` with these ``limits``, ready for requests.

        Raises:
            ConnectError: the host has no address, none answered, TLS failed, or the server has no HTTP/2.
        """
        started_ns = counters.clock()
        tracing = self.telemetry.tracing
        span = None if tracing is None else tracing.connection_started(origin.host, origin.port, started_ns)
        log = self.telemetry.events.bind({"h2o.role": "client", "server.address": origin.host, "server.port": origin.port})
        protocol = ClientProtocol(self.loop, origin, limits, self.engine, log, tuning=self._tuning)
        protocol.setup_span = span
        try:
            protocol.phases = await self._connect(origin, protocol)
        except BaseException as error:
            if not protocol.connection.started:
                protocol.connection.connection_lost(None, self.loop.now())
            if span is not None:
                span.finish(getattr(error, "reason", "") or type(error).__name__)
            if isinstance(error, ConnectError):
                log.emit("h2o.connection.failed", {"error.type": type(error).__name__, "exception.message": str(error)})
            raise
        if span is not None:
            at = started_ns
            for name, seconds in protocol.phases.items():
                if name != "settings":
                    span.phase(name, at, at + int(seconds * 1e9))
                    at += int(seconds * 1e9)
        if log.is_enabled_for("h2o.connection.opened"):
            tls = protocol.driver.tls if protocol.driver is not None else None
            log.emit(
                "h2o.connection.opened",
                {
                    "h2o.connection.id": protocol.id,
                    "tls.protocol.version": "" if tls is None else tls.version,
                    "tls.next_protocol": "" if tls is None else tls.alpn or "",
                },
            )
        return protocol

    async def _connect(self, origin: Origin, protocol: ClientProtocol) -> dict[str, float]:
        pump = None
        if origin.scheme == "https":
            if self._tls is None:
                self._tls = tls_of(self._verify, self._cert)
            pump = self._tls.pump(origin.host)

        def setup(driver: Driver) -> None:
            driver.bind(protocol.connection, protocol)

        if isinstance(self.loop, AsyncioLoop):
            from ..io import asyncio as on_asyncio

            driver = on_asyncio.H2Protocol(self.loop, protocol.limits, setup, role=counters.CLIENT, tls=pump, tuning=self._tuning)
            return await on_asyncio.connect(driver, origin.host, origin.port, path=self._uds, local_address=self._local_address)
        from ..io import anyio as on_anyio

        return await on_anyio.connect(
            Driver(self.loop, protocol.limits, setup, role=counters.CLIENT, tls=pump, tuning=self._tuning),
            origin.host,
            origin.port,
            path=self._uds,
        )
