"""``H2Connection``: the interface of the ``h2`` library's connection on this engine."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...frames.types import FrameType
from ...streams.states import Input, State
from .base import ConnectionBase
from .errors import ErrorCodes
from .exceptions import (
    FlowControlError,
    FrameTooLargeError,
    ProtocolError,
    RFC1122Error,
    StreamClosedError,
    StreamIDTooLowError,
    TooManyStreamsError,
)
from .settings import SettingCodes
from .states import ConnectionInputs, ConnectionState, H2ConnectionStateMachine
from .stream import H2Stream
from .utilities import (
    HeaderValidationFlags,
    authority_from_headers,
    extract_method_header,
    is_informational_response,
    normalize_outbound_headers,
    utf8_encode_headers,
    validate_outbound_headers,
)

__all__ = ["ConnectionInputs", "ConnectionState", "H2Connection", "H2ConnectionStateMachine"]

_ALTSVC = 0x0A
_WEIGHT_DEFAULT = 16
_SEND_HEADERS = int(Input.SEND_HEADERS)
_SENDING = (State.OPEN, State.HALF_CLOSED_REMOTE)


class H2Connection(ConnectionBase):
    """One HTTP/2 connection without any I/O.

    Args:
        config: role and options; a client's by default.

    Attributes:
        config: the same.
        state_machine: the connection's state (``ConnectionState``).
        local_settings, remote_settings: ``Settings`` of the two sides; ``local_settings`` may be
            replaced before ``initiate_connection``.
    """

    def _sending(self, stream_id: int) -> H2Stream:
        """The stream, on which a body can be sent."""
        view = self._get_stream_by_id(stream_id)
        if view.stream is None:
            raise StreamClosedError(stream_id)
        if view.stream.state not in _SENDING:
            raise ProtocolError(f"DATA cannot be sent on stream {stream_id} ({view.state.name}, RFC 9113 §5.1)")
        return view

    # -- beginning

    def initiate_connection(self) -> None:
        """Send the preface; for both roles, before anything else."""
        self.state_machine.process_input(ConnectionInputs.SEND_SETTINGS)
        self.config.logger.debug("Send settings: %s", self.local_settings)
        self._engine.begin(time.monotonic())

    def initiate_upgrade_connection(self, settings_header: bytes | None = None) -> bytes | None:
        """Begin on a connection that was HTTP/1.1 (RFC 7540 section 3.2): its request is stream 1, complete.

        Args:
            settings_header: on a server, the value of the request's ``HTTP2-Settings`` field.

        Returns:
            On a client, the value for that field; on a server None.
        """
        self.initiate_connection()
        encoded = None
        if self.config.client_side:
            payload = b"".join(code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in self.local_settings.items())
            encoded = base64.urlsafe_b64encode(payload)
        elif settings_header:
            self._engine.take_remote_settings(base64.urlsafe_b64decode(settings_header))
            self._engine.collector.take()
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS if self.config.client_side else ConnectionInputs.RECV_HEADERS)
        self._engine.open_upgraded()
        return encoded

    # -- messages

    def send_headers(
        self,
        stream_id: int,
        headers: Iterable[Any],
        end_stream: bool = False,
        priority_weight: int | None = None,
        priority_depends_on: int | None = None,
        priority_exclusive: bool | None = None,
    ) -> None:
        """Send a request, a response, a 1xx response or trailers, whichever is next on the stream.

        Args:
            stream_id: a client opens it with its request.
            headers: fields in order; ``hpack.NeverIndexedHeaderTuple`` for one that no hop may index.
            end_stream: no body follows.
            priority_weight, priority_depends_on, priority_exclusive: priority as of RFC 7540, on a client.

        Raises:
            ProtocolError: it is not the time for it, or a field is malformed; nothing was sent.
        """
        self.config.logger.debug("Send headers on stream ID %d", stream_id)
        view = self._engine.views.get(stream_id)
        if view is None and self.open_outbound_streams >= self.remote_settings.max_concurrent_streams:
            limit = self.remote_settings.max_concurrent_streams
            raise TooManyStreamsError(f"Max outbound streams is {limit}, {self.open_outbound_streams} open")
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        if view is None:
            self._check_new(stream_id, self.config.client_side)
        fields = utf8_encode_headers(headers)
        informational = not self.config.client_side and is_informational_response(fields)
        trailers = self._check_turn(stream_id, view, informational, end_stream)
        request = view is None
        fields = self._checked(fields, HeaderValidationFlags(self.config.client_side, trailers, not request and not trailers, False))
        priority = b""
        if not priority_weight is priority_depends_on is priority_exclusive is None:
            priority = self._priority(stream_id, priority_weight, priority_depends_on, priority_exclusive)
        if view is None:
            view = self._engine.open_stream(stream_id)
            view.authority = authority_from_headers(fields)
            assert view.stream is not None
            view.stream.head_request = extract_method_header(fields) == b"HEAD"
        view.trailers_sent = trailers
        self._engine.write_headers(view, fields, end_stream, not informational, priority)

    def _check_new(self, stream_id: int, odd: bool) -> None:
        newest = self.highest_outbound_stream_id if self._outbound(stream_id) else self.highest_inbound_stream_id
        if stream_id <= newest:
            raise StreamIDTooLowError(stream_id, newest)
        if stream_id & 1 != odd:
            raise ProtocolError(f"stream {stream_id} is not this side's to open (RFC 9113 §5.1.1)")

    def _check_turn(self, stream_id: int, view: H2Stream | None, informational: bool, end_stream: bool) -> bool:
        """Whether the fields are trailers; raises when no fields can be sent now."""
        if informational and end_stream:
            raise ProtocolError("Cannot set END_STREAM on informational responses.")
        if view is None:
            if not self.config.client_side:
                raise ProtocolError(f"a server does not open stream {stream_id} with HEADERS (RFC 9113 §8.1)")
            return False
        stream = view.stream
        if stream is None:
            raise StreamClosedError(stream_id)
        if not stream.allows(_SEND_HEADERS) or (informational and stream.state == State.RESERVED_LOCAL):
            raise ProtocolError(f"HEADERS cannot be sent on stream {stream_id} ({view.state.name}, RFC 9113 §5.1)")
        if not stream.headers_sent:
            return False
        if informational:
            raise ProtocolError("Information response after final response")
        if view.trailers_sent:
            raise ProtocolError(f"trailers were sent on stream {stream_id} already (RFC 9113 §8.1)")
        if not end_stream:
            raise ProtocolError("Trailers must have END_STREAM set.")
        return True

    def _checked(self, fields: list[tuple[bytes, bytes]], flags: HeaderValidationFlags) -> list[tuple[bytes, bytes]]:
        if self.config.normalize_outbound_headers:
            fields = normalize_outbound_headers(fields, flags, self.config.split_outbound_cookies)
        if self.config.validate_outbound_headers:
            validate_outbound_headers(fields, flags)
        return fields

    def send_data(self, stream_id: int, data: bytes | memoryview, end_stream: bool = False, pad_length: Any = None) -> None:
        """Send one DATA frame.

        Args:
            data: at most ``local_flow_control_window(stream_id)`` and ``max_outbound_frame_size`` octets.
            end_stream: the body is complete.
            pad_length: octets of padding, 0 to 255; None for none and no length octet.

        Raises:
            FlowControlError: a window is smaller.
            FrameTooLargeError: the frame would be.
            ProtocolError: there is no body to send on the stream.
            TypeError, ValueError: ``pad_length``.
        """
        self.config.logger.debug("Send data on stream ID %d with len %d", stream_id, len(data))
        size = len(data)
        if pad_length is not None:
            if not isinstance(pad_length, int):
                raise TypeError(f"pad_length must be an int, not {pad_length!r}")
            if not 0 <= pad_length <= 255:
                raise ValueError(f"pad_length must be from 0 to 255, not {pad_length}")
            size += pad_length + 1
        window = self.local_flow_control_window(stream_id)
        if size > window and size:
            raise FlowControlError(f"Cannot send {size} bytes, flow control window is {window}")
        if size > self.max_outbound_frame_size:
            raise FrameTooLargeError(f"Cannot send frame size {size}, max frame size is {self.max_outbound_frame_size}")
        self.state_machine.process_input(ConnectionInputs.SEND_DATA)
        view = self._sending(stream_id)
        self._engine.write_body(view, bytes(data), end_stream, -1 if pad_length is None else pad_length)

    def end_stream(self, stream_id: int) -> None:
        """End the body with an empty DATA frame.

        Raises:
            NoSuchStreamError: the stream is not open.
            ProtocolError: it has been ended already.
        """
        self.config.logger.debug("End stream ID %d", stream_id)
        self.state_machine.process_input(ConnectionInputs.SEND_DATA)
        self._engine.write_body(self._sending(stream_id), b"", True, -1)

    def reset_stream(self, stream_id: int, error_code: ErrorCodes | int = 0) -> None:
        """End the stream at once with RST_STREAM.

        Raises:
            NoSuchStreamError: the stream is not open.
        """
        self.config.logger.debug("Reset stream ID %d", stream_id)
        self.state_machine.process_input(ConnectionInputs.SEND_RST_STREAM)
        view = self._get_stream_by_id(stream_id)
        if view.stream is None:
            raise StreamClosedError(stream_id)
        self._engine.reset_stream(view.stream, error_code, self._engine.now)

    def push_stream(self, stream_id: int, promised_stream_id: int, request_headers: Iterable[Any]) -> None:
        """Promise a response to ``request_headers`` on ``promised_stream_id``; it is sent with ``send_headers``.

        Raises:
            ProtocolError: the client takes no promises, or not on this stream, or a field is malformed; nothing was sent.
        """
        self.config.logger.debug("Send Push Promise frame on stream ID %d", stream_id)
        if not self.remote_settings.enable_push:
            raise ProtocolError("Remote peer has disabled stream push")
        self.state_machine.process_input(ConnectionInputs.SEND_PUSH_PROMISE)
        parent = self._get_stream_by_id(stream_id)
        if stream_id & 1 == 0:
            raise ProtocolError("Cannot recursively push streams.")
        if parent.stream is None or parent.stream.state not in _SENDING:
            raise ProtocolError("Attempted to push on closed stream.")
        self._check_new(promised_stream_id, False)
        fields = self._checked(utf8_encode_headers(request_headers), HeaderValidationFlags(False, False, False, True))
        self._engine.write_promise(parent, promised_stream_id, fields)

    # -- control

    def ping(self, opaque_data: bytes) -> None:
        """Send PING.

        Raises:
            ValueError: ``opaque_data`` is not 8 octets.
        """
        if not isinstance(opaque_data, bytes) or len(opaque_data) != 8:
            raise ValueError(f"Invalid value for ping data: {opaque_data!r}")
        self.state_machine.process_input(ConnectionInputs.SEND_PING)
        self._engine.send_ping(opaque_data, self._engine.now)

    def update_settings(self, new_settings: Mapping[SettingCodes | int, int]) -> None:
        """Send SETTINGS; they come into force when the peer acknowledges them.

        Raises:
            InvalidSettingsValueError: a value that RFC 9113 section 6.5.2 forbids.
        """
        self.config.logger.debug("Update connection settings to %s", new_settings)
        self.state_machine.process_input(ConnectionInputs.SEND_SETTINGS)
        self.local_settings.update(new_settings)
        self._engine.write_settings([(int(code), value) for code, value in new_settings.items()])

    def _priority(self, stream_id: int, weight: int | None, depends_on: int | None, exclusive: bool | None) -> bytes:
        """The 5 octets of RFC 7540 section 6.3."""
        if not self.config.client_side:
            raise RFC1122Error("Servers SHOULD NOT prioritize streams.")
        if depends_on == stream_id:
            raise ProtocolError(f"Stream {stream_id} may not depend on itself")
        weight = _WEIGHT_DEFAULT if weight is None else weight
        if not 1 <= weight <= 256:
            raise ProtocolError(f"Weight must be between 1 and 256, not {weight}")
        return ((depends_on or 0) | (0x80000000 if exclusive else 0)).to_bytes(4, "big") + bytes([weight - 1])

    def prioritize(self, stream_id: int, weight: int | None = None, depends_on: int | None = None, exclusive: bool | None = None) -> None:
        """Send PRIORITY as of RFC 7540, on a client.

        Raises:
            RFC1122Error: on a server.
            ProtocolError: the stream depends on itself, or ``weight`` is not from 1 to 256.
        """
        if not self.config.client_side:
            raise RFC1122Error("Servers SHOULD NOT prioritize streams.")
        self.state_machine.process_input(ConnectionInputs.SEND_PRIORITY)
        self._engine.write_frame(int(FrameType.PRIORITY), stream_id, self._priority(stream_id, weight, depends_on, exclusive))

    def advertise_alternative_service(self, field_value: bytes, origin: bytes | None = None, stream_id: int | None = None) -> None:
        """Send ALTSVC (RFC 7838), for an ``origin`` or for that of the request on a stream.

        Raises:
            ValueError: both ``origin`` and ``stream_id``, or ``field_value`` is not bytes.
            ProtocolError: a client, or the response has begun.
        """
        if not isinstance(field_value, bytes):
            raise ValueError("Field must be bytestring.")
        if origin is not None and stream_id is not None:
            raise ValueError("Must not provide both origin and stream_id")
        self.state_machine.process_input(ConnectionInputs.SEND_ALTERNATIVE_SERVICE)
        if origin is None:
            view = self._get_stream_by_id(stream_id or 0)
            if view.stream is None:
                raise ProtocolError(f"ALTSVC cannot be sent on stream {stream_id}, which is closed")
            if view.stream.headers_sent:
                raise ProtocolError("Cannot send ALTSVC after sending response headers.")
        name = origin or b""
        self._engine.write_frame(_ALTSVC, stream_id or 0, len(name).to_bytes(2, "big") + name + field_value)

    def close_connection(
        self, error_code: ErrorCodes | int = 0, additional_data: bytes | None = None, last_stream_id: int | None = None
    ) -> None:
        """Send GOAWAY; nothing else can be sent or received from here on.

        Args:
            additional_data: for whoever debugs the peer.
            last_stream_id: the newest stream that was dealt with; by default the newest of all.
        """
        self.config.logger.debug("Close connection")
        self.state_machine.process_input(ConnectionInputs.SEND_GOAWAY)
        if last_stream_id is None:
            last_stream_id = self.highest_inbound_stream_id
        self._engine.end(error_code, additional_data or b"", last_stream_id)
