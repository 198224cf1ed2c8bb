"""Attribute sets of request and connection spans, as the semantic conventions name them.

Only sampled requests come here.  What the peer sent is decoded leniently: by now the engine has
validated it, and a span must not fail on an odd octet.
"""

from __future__ import annotations

import re
from typing import Any

from .requests import method_label

__all__ = ["PHASES", "SCHEMA_URL", "VERSION", "client_request", "connection", "server_request", "split_authority", "stream_facts"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("h2o-otel")
    except PackageNotFoundError:
        return "0.0.0"


VERSION = _version()

PHASES = {"dns": "DNS lookup", "tcp": "socket connect", "tls": "TLS handshake", "settings": "h2 settings_exchange"}

# Values of these query parameters are signatures; the conventions say to redact them.
_SECRETS = re.compile(r"(?<![^&?])(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&#]*")
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.\-]*://)[^/?#@]*@", re.IGNORECASE)
_AUTHORITIES_MAX = 256
# A longer one is no name of the DNS and a port: it is not remembered.
_AUTHORITY_BYTES_MAX = 255 + 6
_PORT_DIGITS_MAX = 5
_authorities: dict[bytes, tuple[str, int]] = {}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _seconds(value: float) -> float:
    """A duration to the nanosecond; ``round`` would go through decimal digits."""
    return int(value * 1e9 + 0.5) / 1e9


def redact_query(query: str) -> str:
    return _SECRETS.sub(r"\1=REDACTED", query)


def redact_url(url: str) -> str:
    """``url`` without its user information and known signatures."""
    if "@" in url:
        url = _CREDENTIALS.sub(r"\1REDACTED:REDACTED@", url)
    return _SECRETS.sub(r"\1=REDACTED", url) if "?" in url else url


def split_authority(authority: bytes) -> tuple[str, int]:
    """Host and port, 0 when there is none; remembered, since a server sees few."""
    found = _authorities.get(authority)
    if found is None:
        host, colon, port = _text(authority).rpartition(":")
        if not colon or not port.isdecimal() or len(port) > _PORT_DIGITS_MAX:
            host, port = _text(authority), "0"
        found = (host.strip("[]"), int(port))
        if len(_authorities) < _AUTHORITIES_MAX and len(authority) <= _AUTHORITY_BYTES_MAX:
            _authorities[authority] = found
    return found


def connection(connection_id: int, peername: Any, sockname: Any, protocol_version: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"h2o.connection.id": connection_id, "network.protocol.version": protocol_version}
    if isinstance(peername, tuple) and len(peername) >= 2:
        fields["network.peer.address"] = fields["client.address"] = str(peername[0])
        fields["network.peer.port"] = int(peername[1])
    elif isinstance(sockname, str) and sockname:
        fields["network.peer.address"] = sockname
        fields["network.transport"] = "unix"
    return fields


def server_request(stream: Any, base: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes known when a request begins."""
    fields: dict[str, Any] = {} if base is None else base.copy()
    method = stream.method or b""
    label = fields["http.request.method"] = method_label(method)
    if label == "_OTHER":
        fields["http.request.method_original"] = _text(method)
    if "url.scheme" not in fields:
        fields["url.scheme"] = _text(stream.scheme or b"http")
    path, question, query = _text(stream.path or b"").partition("?")
    fields["url.path"] = path
    if question:
        fields["url.query"] = redact_query(query)
    host = stream.authority
    for name, value in stream.headers or ():
        if name == b"user-agent":
            fields["user_agent.original"] = _text(value)
        elif name == b"host" and host is None:
            host = value
    if host:
        fields["server.address"], port = split_authority(host)
        fields["server.port"] = port or (443 if fields["url.scheme"] == "https" else 80)
    fields["h2o.stream.id"] = stream.id
    return fields


def client_request(method: str, url: str, server_address: str, server_port: int, resend_count: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"http.request.method": method_label(method)}
    if fields["http.request.method"] == "_OTHER":
        fields["http.request.method_original"] = method
    fields["url.full"] = redact_url(url)
    fields["server.address"] = server_address
    fields["server.port"] = server_port
    if resend_count:
        fields["http.request.resend_count"] = resend_count
    return fields


def stream_facts(fields: dict[str, Any], stream: Any, server: bool, end_ns: int) -> None:
    """Add the attributes known at the end of the stream: sizes and times."""
    received, sent = stream.body_received, stream.body_sent
    fields["http.request.body.size"] = received if server else sent
    fields["http.response.body.size"] = sent if server else received
    if not server:
        fields["h2o.stream.id"] = stream.id
    opened, headers, closed = stream.opened_at, stream.headers_at, stream.closed_at
    if headers and not server:
        fields["h2o.request.time_to_first_byte"] = _seconds(headers - opened)
        if closed:
            fields["h2o.request.body_time"] = _seconds(closed - headers)
    if stream.stalled_s:
        fields["h2o.request.stalled"] = stream.stalled_s
    if stream.closed_by:
        fields["h2o.stream.closed_by"] = ("", "user", "local", "remote")[stream.closed_by]
        fields["h2o.error_code"] = stream.closed_code
