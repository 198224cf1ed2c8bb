"""What ``H2Connection.receive_data`` returns: the events of the ``h2`` library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .settings import ChangedSetting, SettingCodes, setting_code

if TYPE_CHECKING:
    from hyperframe.frame import Frame

    from .errors import ErrorCodes

__all__ = [
    "AlternativeServiceAvailable",
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "InformationalResponseReceived",
    "PingAckReceived",
    "PingReceived",
    "PriorityUpdated",
    "PushedStreamReceived",
    "RemoteSettingsChanged",
    "RequestReceived",
    "ResponseReceived",
    "SettingsAcknowledged",
    "StreamEnded",
    "StreamReset",
    "TrailersReceived",
    "UnknownFrameReceived",
    "WindowUpdated",
]

# Pairs of name and value as ``hpack.HeaderTuple``, of bytes or of text (``H2Configuration.header_encoding``).
Headers = list[Any]
# Octets that a repr shows.
_SHOWN = 20


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data[:_SHOWN].hex()


class Event:
    """Base of all events."""


@dataclass(kw_only=True, repr=False)
class _FieldsReceived(Event):
    """A field section.

    Attributes:
        stream_id: the stream.
        headers: its fields, pseudo-header fields first.
        stream_ended: the event that follows when the message ends here, else None.
        priority_updated: the event that follows when the frame carried RFC 7540 priority, else None.
    """

    stream_id: int
    headers: Headers = None  # type: ignore[assignment]
    stream_ended: StreamEnded | None = None
    priority_updated: PriorityUpdated | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} stream_id:{self.stream_id}, headers:{self.headers}>"


class RequestReceived(_FieldsReceived):
    """The fields of a request."""


class ResponseReceived(_FieldsReceived):
    """The fields of a final response."""


class TrailersReceived(_FieldsReceived):
    """The trailer section; the stream ends with it."""


@dataclass(kw_only=True, repr=False)
class InformationalResponseReceived(Event):
    """The fields of a 1xx response."""

    stream_id: int
    headers: Headers = None  # type: ignore[assignment]
    priority_updated: PriorityUpdated | None = None

    def __repr__(self) -> str:
        return f"<InformationalResponseReceived stream_id:{self.stream_id}, headers:{self.headers}>"


@dataclass(kw_only=True, repr=False)
class DataReceived(Event):
    """Octets of a body.

    Attributes:
        flow_controlled_length: what it took from the windows, padding included: the number to give to
            ``H2Connection.acknowledge_received_data`` once it is used.
        stream_ended: the event that follows when the body ends here, else None.
    """

    stream_id: int
    data: bytes = None  # type: ignore[assignment]
    flow_controlled_length: int = None  # type: ignore[assignment]
    stream_ended: StreamEnded | None = None

    def __repr__(self) -> str:
        shown = _hex(self.data) if self.data else ""
        return f"<DataReceived stream_id:{self.stream_id}, flow_controlled_length:{self.flow_controlled_length}, data:{shown}>"


@dataclass(kw_only=True, repr=False)
class WindowUpdated(Event):
    """The peer opened a window by ``delta`` octets; ``stream_id`` 0 is the connection's."""

    stream_id: int
    delta: int = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<WindowUpdated stream_id:{self.stream_id}, delta:{self.delta}>"


class RemoteSettingsChanged(Event):
    """The peer sent SETTINGS, which have been acknowledged.

    Attributes:
        changed_settings: by identifier.
    """

    def __init__(self) -> None:
        self.changed_settings: dict[int, ChangedSetting] = {}

    @classmethod
    def from_settings(cls, old_settings: Mapping[int, int], new_settings: Mapping[int, int]) -> RemoteSettingsChanged:
        """The event for ``new_settings``, with the values that they had in ``old_settings``."""
        event = cls()
        for code, value in new_settings.items():
            setting = setting_code(code)
            event.changed_settings[setting] = ChangedSetting(setting, old_settings.get(setting), value)
        return event

    def __repr__(self) -> str:
        return f"<RemoteSettingsChanged changed_settings:{{{', '.join(map(repr, self.changed_settings.values()))}}}>"


@dataclass(kw_only=True, repr=False)
class PingReceived(Event):
    """The peer sent PING, which has been answered."""

    ping_data: bytes

    def __repr__(self) -> str:
        return f"<PingReceived ping_data:{_hex(self.ping_data)}>"


@dataclass(kw_only=True, repr=False)
class PingAckReceived(Event):
    """The peer answered a PING."""

    ping_data: bytes

    def __repr__(self) -> str:
        return f"<PingAckReceived ping_data:{_hex(self.ping_data)}>"


@dataclass(kw_only=True, repr=False)
class StreamEnded(Event):
    """The peer sends nothing more on the stream."""

    stream_id: int

    def __repr__(self) -> str:
        return f"<StreamEnded stream_id:{self.stream_id}>"


@dataclass(kw_only=True, repr=False)
class StreamReset(Event):
    """The stream ended early: the peer reset it, or this end did because of what the peer sent (``remote_reset`` false)."""

    stream_id: int
    error_code: ErrorCodes | int = None  # type: ignore[assignment]
    remote_reset: bool = True

    def __repr__(self) -> str:
        return f"<StreamReset stream_id:{self.stream_id}, error_code:{self.error_code!s}, remote_reset:{self.remote_reset}>"


class PushedStreamReceived(Event):
    """The server promised the response to a request that it tells."""

    def __init__(self) -> None:
        self.pushed_stream_id: int | None = None
        self.parent_stream_id: int | None = None
        self.headers: Headers | None = None

    def __repr__(self) -> str:
        return (
            f"<PushedStreamReceived pushed_stream_id:{self.pushed_stream_id}, parent_stream_id:{self.parent_stream_id}, "
            f"headers:{self.headers}>"
        )


class SettingsAcknowledged(Event):
    """The peer acknowledged our SETTINGS, which are in force now."""

    def __init__(self) -> None:
        self.changed_settings: dict[SettingCodes | int, ChangedSetting] = {}

    def __repr__(self) -> str:
        return f"<SettingsAcknowledged changed_settings:{{{', '.join(map(repr, self.changed_settings.values()))}}}>"


class PriorityUpdated(Event):
    """The peer sent priority as of RFC 7540; nothing needs to be done about it."""

    def __init__(self) -> None:
        self.stream_id: int | None = None
        self.weight: int | None = None
        self.depends_on: int | None = None
        self.exclusive: bool | None = None

    def __repr__(self) -> str:
        return (
            f"<PriorityUpdated stream_id:{self.stream_id}, weight:{self.weight}, depends_on:{self.depends_on}, exclusive:{self.exclusive}>"
        )


class ConnectionTerminated(Event):
    """The peer sent GOAWAY: nothing more can be sent or received."""

    def __init__(self) -> None:
        self.error_code: ErrorCodes | int | None = None
        self.last_stream_id: int | None = None
        self.additional_data: bytes | None = None

    def __repr__(self) -> str:
        return (
            f"<ConnectionTerminated error_code:{self.error_code!s}, last_stream_id:{self.last_stream_id}, "
            f"additional_data:{_hex(self.additional_data or None)}>"
        )


class AlternativeServiceAvailable(Event):
    """The server is to be found elsewhere, too (RFC 7838)."""

    def __init__(self) -> None:
        self.origin: bytes | None = None
        self.field_value: bytes | None = None

    def __repr__(self) -> str:
        origin, value = (part.decode("utf-8", "ignore") for part in (self.origin or b"", self.field_value or b""))
        return f"<AlternativeServiceAvailable origin:{origin}, field_value:{value}>"


@dataclass(kw_only=True, repr=False)
class UnknownFrameReceived(Event):
    """A frame of a type that is not defined, which has been ignored."""

    frame: Frame

    def __repr__(self) -> str:
        return "<UnknownFrameReceived>"
