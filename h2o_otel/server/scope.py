"""The scope of one ASGI request, made from its field section."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes as _unquote

from .. import counters as _counters
from ..streams.stream import Stream
from .carrier import AsgiConnection

__all__ = ["expects_continue", "make_headers", "make_scope", "was_forwarded"]

_METHODS: dict[bytes, str] = {method.encode(): method for method in _counters.HTTP_METHODS if method != "_OTHER"}
_HOST = b"host"
_COOKIE = b"cookie"
_EXPECT = b"expect"
_FORWARDED_FOR = b"x-forwarded-for"
_FORWARDED_PROTO = b"x-forwarded-proto"


def make_scope(owner: AsgiConnection, stream: Stream) -> dict[str, Any]:
    """The scope of ASGI 3 (type ``http``)."""
    service = owner.service
    scope = owner.template.copy()
    name = stream.method
    raw = stream.path
    # The engine delivers complete requests only.
    assert name is not None
    assert raw is not None
    method = _METHODS.get(name)
    scope["method"] = name.decode("ascii").upper() if method is None else method
    query = b""
    mark = raw.find(b"?")
    if mark >= 0:
        query = raw[mark + 1 :]
        raw = raw[:mark]
    if b"%" in raw:
        path = _unquote(raw).decode("utf-8", "replace")
    else:
        path = raw.decode("utf-8", "replace")
    if service.raw_root_path:
        path = service.root_path + path
        raw = service.raw_root_path + raw
    scope["path"] = path
    scope["raw_path"] = raw
    scope["query_string"] = query
    scope["headers"] = make_headers(stream)
    scope["extensions"] = owner.template["extensions"].copy()
    if service.state is not None:
        scope["state"] = service.state.copy()
    return scope


def make_headers(stream: Stream) -> list[tuple[bytes, bytes]]:
    """The fields as applications know them: ``host`` first, one ``cookie``."""
    fields: list[tuple[bytes, bytes]] = stream.headers or []
    authority = stream.authority
    cookies = 0
    hosts = 0
    for pair in fields:
        name = pair[0]
        n = len(name)
        if n == 6:
            if name == _COOKIE:
                cookies += 1
        elif n == 4 and name == _HOST:
            hosts += 1
    if authority is None:
        fields = fields.copy()
    else:
        if hosts:
            # The engine has seen that they name the same.
            fields = [pair for pair in fields if pair[0] != _HOST]
        fields = [(_HOST, authority), *fields]
    if cookies > 1:
        joined = b"; ".join([pair[1] for pair in fields if pair[0] == _COOKIE])
        place = [pair[0] for pair in fields].index(_COOKIE)
        fields = [pair for pair in fields if pair[0] != _COOKIE]
        fields.insert(place, (_COOKIE, joined))
    return fields


def was_forwarded(stream: Stream) -> bool:
    """Whether there are fields of proxies for ``forwarded.Trust`` to read."""
    fields: list[tuple[bytes, bytes]] = stream.headers or []
    for pair in fields:
        name = pair[0]
        n = len(name)
        if (n == 15 and name == _FORWARDED_FOR) or (n == 17 and name == _FORWARDED_PROTO):
            return True
    return False


def expects_continue(stream: Stream) -> bool:
    """Whether the client holds its body back until it is asked for it (RFC 9110 section 10.1.1)."""
    for name, value in stream.headers or ():
        if name == _EXPECT and value.lower() == b"100-continue":
            return True
    return False
