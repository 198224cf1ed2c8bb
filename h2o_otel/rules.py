"""One row per violation: its token, scope, error code, section and message.

A leaf.  The row feeds the RST_STREAM or GOAWAY, the exception, the ``error.type`` attribute, the
table in the docs and the test that every row can be provoked.  A call site says
``raise fail(RULES.data_on_stream_zero, length=5)``; what is caught is a ``Violation``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .errors import ErrorCode

__all__ = ["CONNECTION", "RULES", "STREAM", "Fault", "Rule", "Violation", "all_rules", "bound_of", "fail"]

STREAM = "stream"
CONNECTION = "connection"


class Rule(NamedTuple):
    """A violation that a peer can commit, and the reaction to it.

    Attributes:
        token: stable name; ``error.type`` in telemetry.
        scope: "stream" (RST_STREAM, the connection lives) or "connection" (GOAWAY).
        code: the error code of RFC 9113 section 7.
        section: where it is written, such as "RFC 9113 §6.1".
        message: format string over the fields given to ``fail``.
    """

    token: str
    scope: str
    code: ErrorCode
    section: str
    message: str

    @property
    def is_abuse(self) -> bool:
        """Whether the rule guards against denial of service: RFC 9113 section 10.5, and peers that hold a connection without using it."""
        return "§10.5" in self.section or self.token in ("preface_timeout", "settings_timeout")

    @property
    def bound(self) -> str:
        """The field of ``ServerLimits`` or ``Limits`` that a user sets to allow more; "" where the rule is the protocol's."""
        return _BOUNDS.get(self.token, "")


# Rules that enforce a bound, with the field of ``ServerLimits`` or ``Limits`` that sets it.
_BOUNDS = {
    "body_stalled": "body_stall_timeout_s",
    "body_too_slow": "body_rate_min_bytes_per_s",
    "continuation_empty": "continuation_empty_max",
    "continuation_flood": "continuation_frames_max",
    "control_queue_flood": "control_queue_frames_max",
    "empty_data_flood": "empty_data_max",
    "frame_timeout": "frame_timeout_s",
    "frame_too_large": "frame_bytes_max",
    "glitch_flood": "glitches_burst",
    "goaway_flood": "goaways_burst",
    "header_block_timeout": "header_block_timeout_s",
    "header_block_too_large": "header_list_bytes_max",
    "header_fields_too_many": "header_fields_max",
    "header_list_too_large": "header_list_bytes_max",
    "hpack_size_updates": "hpack_size_updates_max",
    "informational_too_large": "header_list_bytes_max",
    "informational_too_many": "informational_responses_max",
    "made_you_reset": "resets_sent_burst",
    "ping_flood": "pings_burst",
    "ping_timeout": "ping_timeout_s",
    "preface_timeout": "preface_timeout_s",
    "priority_flood": "priority_frames_per_stream_max",
    "rapid_reset": "resets_received_burst",
    "send_stalled": "send_stall_timeout_s",
    "send_too_slow": "send_rate_min_bytes_per_s",
    "settings_entries": "settings_entries_max",
    "settings_flood": "settings_burst",
    "settings_timeout": "settings_ack_timeout_s",
    "small_data_flood": "small_data_bytes_min",
    "streams_exceeded": "streams_max",
    "tls_record_flood": "tls_records_empty_burst",
    "window_update_flood": "window_updates_per_data",
}


def bound_of(token: str) -> str:
    """``Rule.bound`` of the rule with this token; "" for other tokens."""
    return _BOUNDS.get(token, "")


class Fault:
    """The message of an error, formatted only when it is read, so that violations cost no formatting.

    Args:
        rule: the row.
        stream_id: the stream concerned, 0 for none.
        fields: the values in the message.
    """

    __slots__ = ("_fields", "_rule", "_stream_id")

    def __init__(self, rule: Rule, stream_id: int, fields: dict[str, Any]) -> None:
        self._rule = rule
        self._stream_id = stream_id
        self._fields = fields

    def __str__(self) -> str:
        text = self._rule.message.format(stream_id=self._stream_id, **self._fields)
        return f"{text} ({self._rule.code.name}, {self._rule.section})"

    def __repr__(self) -> str:
        return repr(str(self))


class Violation(Exception):
    """A broken rule on its way to ``Connection.receive``, which turns it into an event; never leaves the engine.

    Attributes:
        rule: the row.
        stream_id: the stream concerned, 0 for none.
        fields: the values in the message; ``limit`` and ``actual`` where there is a bound.
    """

    def __init__(self, rule: Rule, stream_id: int, fields: dict[str, Any]) -> None:
        super().__init__(rule.token)
        self.rule = rule
        self.stream_id = stream_id
        self.fields = fields

    def __str__(self) -> str:
        return str(self.fault())

    def fault(self) -> Fault:
        """The message, without the traceback that the exception keeps."""
        return Fault(self.rule, self.stream_id, self.fields)


def fail(rule: Rule, stream_id: int = 0, **fields: Any) -> Violation:
    """The exception to raise for ``rule``; ``fields`` are those its message names."""
    return Violation(rule, stream_id, fields)


def _rule(scope: str, code: ErrorCode, section: str, message: str) -> Any:
    return (scope, code, section, message)


_P, _F, _Z = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.FRAME_SIZE_ERROR
_C, _S, _E = ErrorCode.COMPRESSION_ERROR, ErrorCode.STREAM_CLOSED, ErrorCode.ENHANCE_YOUR_CALM
_R = ErrorCode.REFUSED_STREAM


class RULES:
    """The table; each attribute is a ``Rule`` whose token is the attribute's name."""

    # -- connection preface (RFC 9113 section 3.4)
    preface_invalid: Rule = _rule(CONNECTION, _P, "RFC 9113 §3.4", "the connection began with {got!r}, not with the client preface")
    preface_http1: Rule = _rule(
        CONNECTION,
        _P,
        "RFC 9113 §3.4",
        "the server answered in HTTP/1: it does not speak HTTP/2 on this port, or needs TLS with ALPN for it",
    )
    preface_no_settings: Rule = _rule(CONNECTION, _P, "RFC 9113 §3.4", "the first frame was {frame}, not SETTINGS")

    # -- frames (sections 4 and 6)
    frame_too_large: Rule = _rule(
        CONNECTION, _Z, "RFC 9113 §4.2", "{frame} on stream {stream_id}: {actual} octets exceed SETTINGS_MAX_FRAME_SIZE {limit}"
    )
    frame_size_wrong: Rule = _rule(
        CONNECTION, _Z, "RFC 9113 §6", "{frame} on stream {stream_id}: a payload of {actual} octets, {limit} expected"
    )
    frame_on_stream_zero: Rule = _rule(CONNECTION, _P, "RFC 9113 §6", "{frame} on stream 0")
    frame_not_on_stream_zero: Rule = _rule(CONNECTION, _P, "RFC 9113 §6", "{frame} on stream {stream_id}, which belongs on stream 0")
    padding_too_long: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §6.1", "{frame} on stream {stream_id}: {actual} octets of padding in a payload of {limit}"
    )
    settings_ack_payload: Rule = _rule(CONNECTION, _Z, "RFC 9113 §6.5", "SETTINGS acknowledgement with {actual} octets")
    settings_length: Rule = _rule(CONNECTION, _Z, "RFC 9113 §6.5", "SETTINGS of {actual} octets, not a multiple of 6")
    settings_enable_push: Rule = _rule(CONNECTION, _P, "RFC 9113 §6.5.2", "SETTINGS_ENABLE_PUSH is {actual}")
    settings_initial_window: Rule = _rule(CONNECTION, _F, "RFC 9113 §6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE is {actual}, at most {limit}")
    settings_max_frame_size: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §6.5.2", "SETTINGS_MAX_FRAME_SIZE is {actual}, outside 16384 to 16777215"
    )
    settings_connect_protocol: Rule = _rule(CONNECTION, _P, "RFC 8441 §3", "SETTINGS_ENABLE_CONNECT_PROTOCOL is {actual}")
    settings_no_rfc7540_priorities: Rule = _rule(CONNECTION, _P, "RFC 9218 §2.1", "SETTINGS_NO_RFC7540_PRIORITIES is {actual}")
    settings_ack_unexpected: Rule = _rule(CONNECTION, _P, "RFC 9113 §6.5", "SETTINGS acknowledgement for settings that were not sent")
    settings_timeout: Rule = _rule(
        CONNECTION, ErrorCode.SETTINGS_TIMEOUT, "RFC 9113 §6.5.3", "no acknowledgement of SETTINGS after {actual:.1f} s, limit {limit} s"
    )
    settings_entries: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "SETTINGS with {actual} entries, at most {limit}")
    continuation_expected: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §6.10", "{frame} on stream {stream_id} inside the field block of stream {expected}"
    )
    continuation_unexpected: Rule = _rule(CONNECTION, _P, "RFC 9113 §6.10", "CONTINUATION on stream {stream_id} with no field block open")
    push_promise_unexpected: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §8.4", "PUSH_PROMISE on stream {stream_id}, which this endpoint does not accept"
    )
    push_promise_bad_stream: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §6.6", "PUSH_PROMISE on stream {stream_id} promises stream {promised}, which cannot be"
    )
    push_promise_method: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.4", "the promised request on stream {stream_id} has method {got!r}, not GET or HEAD"
    )
    priority_length: Rule = _rule(STREAM, _Z, "RFC 9113 §6.3", "PRIORITY on stream {stream_id} with {actual} octets, 5 expected")
    priority_self_dependency: Rule = _rule(STREAM, _P, "RFC 7540 §5.3.1", "stream {stream_id} depends on itself")
    priority_update_unexpected: Rule = _rule(CONNECTION, _P, "RFC 9218 §7.1", "PRIORITY_UPDATE from a server")
    priority_update_stream: Rule = _rule(
        CONNECTION, _P, "RFC 9218 §7.1", "PRIORITY_UPDATE for stream {stream_id}, which the client cannot open"
    )

    # -- streams (section 5)
    stream_id_even: Rule = _rule(CONNECTION, _P, "RFC 9113 §5.1.1", "{frame} opens stream {stream_id}, which the peer may not open")
    stream_id_reused: Rule = _rule(
        CONNECTION, _P, "RFC 9113 §5.1.1", "{frame} on stream {stream_id}, not above {limit}, the highest that the peer has opened"
    )
    stream_idle: Rule = _rule(CONNECTION, _P, "RFC 9113 §5.1", "{frame} on idle stream {stream_id}")
    stream_reserved: Rule = _rule(CONNECTION, _P, "RFC 9113 §5.1", "{frame} on stream {stream_id}, which is reserved")
    stream_half_closed: Rule = _rule(STREAM, _S, "RFC 9113 §5.1", "{frame} on stream {stream_id} after the peer ended it")
    stream_closed: Rule = _rule(CONNECTION, _S, "RFC 9113 §5.1", "{frame} on stream {stream_id}, which is closed")
    streams_exceeded: Rule = _rule(
        STREAM, _R, "RFC 9113 §5.1.2", "stream {stream_id} would be the {actual}th, SETTINGS_MAX_CONCURRENT_STREAMS is {limit}"
    )
    data_before_headers: Rule = _rule(STREAM, _P, "RFC 9113 §8.1", "DATA on stream {stream_id} before the final response")
    window_update_zero: Rule = _rule(STREAM, _P, "RFC 9113 §6.9", "WINDOW_UPDATE on stream {stream_id} with an increment of 0")
    window_update_zero_connection: Rule = _rule(CONNECTION, _P, "RFC 9113 §6.9", "WINDOW_UPDATE on stream 0 with an increment of 0")
    window_overflow: Rule = _rule(
        STREAM, _F, "RFC 9113 §6.9.1", "WINDOW_UPDATE on stream {stream_id}: window {window} + {increment} exceeds {limit}"
    )
    window_overflow_connection: Rule = _rule(
        CONNECTION, _F, "RFC 9113 §6.9.1", "WINDOW_UPDATE on stream 0: window {window} + {increment} exceeds {limit}"
    )
    window_overflow_settings: Rule = _rule(
        CONNECTION, _F, "RFC 9113 §6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE moves the window of stream {stream_id} to {actual}, above {limit}"
    )
    flow_control_stream: Rule = _rule(STREAM, _F, "RFC 9113 §6.9", "DATA on stream {stream_id}: {actual} octets into a window of {limit}")
    flow_control_connection: Rule = _rule(
        CONNECTION, _F, "RFC 9113 §6.9", "DATA on stream {stream_id}: {actual} octets into a connection window of {limit}"
    )
    goaway_last_stream_grew: Rule = _rule(CONNECTION, _P, "RFC 9113 §6.8", "GOAWAY raises the last stream id from {limit} to {actual}")

    # -- HPACK (RFC 7541)
    hpack_index_zero: Rule = _rule(CONNECTION, _C, "RFC 7541 §6.1", "field block of stream {stream_id}: index 0")
    hpack_index_unknown: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §2.3.3", "field block of stream {stream_id}: index {actual}, the tables end at {limit}"
    )
    hpack_integer_too_large: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §5.1", "field block of stream {stream_id}: an integer of more than {limit} octets or 2^32"
    )
    hpack_truncated: Rule = _rule(CONNECTION, _C, "RFC 7541 §5.2", "field block of stream {stream_id} ends inside a field")
    hpack_string_too_long: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §5.2", "field block of stream {stream_id}: a string of {actual} octets, {limit} left"
    )
    hpack_huffman_eos: Rule = _rule(CONNECTION, _C, "RFC 7541 §5.2", "field block of stream {stream_id}: EOS inside a Huffman string")
    hpack_huffman_padding: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §5.2", "field block of stream {stream_id}: wrong padding of a Huffman string"
    )
    hpack_size_update_too_large: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §6.3", "field block of stream {stream_id}: table size {actual}, allowed {limit}"
    )
    hpack_size_update_late: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §4.2", "field block of stream {stream_id}: table size update after a field"
    )
    hpack_size_update_missing: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §4.2", "field block of stream {stream_id}: no table size update after the table shrank to {limit}"
    )
    hpack_size_updates: Rule = _rule(
        CONNECTION, _C, "RFC 7541 §4.2", "field block of stream {stream_id}: {actual} table size updates, at most {limit}"
    )

    # -- fields and messages (RFC 9113 section 8)
    field_name_empty: Rule = _rule(STREAM, _P, "RFC 9113 §8.2.1", "stream {stream_id}: a field with an empty name")
    field_name_invalid: Rule = _rule(STREAM, _P, "RFC 9113 §8.2.1", "stream {stream_id}: field name {got!r} is not a lower-case token")
    field_value_invalid: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.2.1", "stream {stream_id}: the value of field {name!r} has CR, LF, NUL or white space at its edge"
    )
    field_connection_specific: Rule = _rule(STREAM, _P, "RFC 9113 §8.2.2", "stream {stream_id}: connection-specific field {got!r}")
    field_te: Rule = _rule(STREAM, _P, "RFC 9113 §8.2.2", "stream {stream_id}: te is {got!r}, only 'trailers' is allowed")
    pseudo_unknown: Rule = _rule(STREAM, _P, "RFC 9113 §8.3", "stream {stream_id}: pseudo-header field {got!r} is not defined")
    pseudo_duplicate: Rule = _rule(STREAM, _P, "RFC 9113 §8.3", "stream {stream_id}: pseudo-header field {got!r} twice")
    pseudo_after_field: Rule = _rule(STREAM, _P, "RFC 9113 §8.3", "stream {stream_id}: pseudo-header field {got!r} after a regular field")
    pseudo_in_trailers: Rule = _rule(STREAM, _P, "RFC 9113 §8.1", "stream {stream_id}: pseudo-header field {got!r} in trailers")
    pseudo_wrong_direction: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.3", "stream {stream_id}: pseudo-header field {got!r} does not belong in this message"
    )
    pseudo_missing: Rule = _rule(STREAM, _P, "RFC 9113 §8.3.1", "stream {stream_id}: pseudo-header field {got!r} is missing")
    method_invalid: Rule = _rule(STREAM, _P, "RFC 9113 §8.3.1", "stream {stream_id}: :method {got!r} is not a token")
    scheme_invalid: Rule = _rule(STREAM, _P, "RFC 9113 §8.3.1", "stream {stream_id}: :scheme {got!r} is not a scheme")
    path_invalid: Rule = _rule(
        STREAM,
        _P,
        "RFC 9113 §8.3.1",
        "stream {stream_id}: :path {got!r} does not begin with '/', or has characters that a path cannot have",
    )
    authority_invalid: Rule = _rule(STREAM, _P, "RFC 9113 §8.3.1", "stream {stream_id}: :authority {got!r} is not a host and port")
    host_mismatch: Rule = _rule(STREAM, _P, "RFC 9113 §8.3.1", "stream {stream_id}: host {got!r} differs from :authority or stands twice")
    connect_pseudo: Rule = _rule(STREAM, _P, "RFC 9113 §8.5", "stream {stream_id}: CONNECT needs :authority and neither :scheme nor :path")
    connect_frame: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.5", "HEADERS on stream {stream_id}, which CONNECT made a tunnel: only DATA goes through"
    )
    protocol_unexpected: Rule = _rule(
        STREAM, _P, "RFC 8441 §4", "stream {stream_id}: :protocol without CONNECT, or without SETTINGS_ENABLE_CONNECT_PROTOCOL"
    )
    status_invalid: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.3.2", "stream {stream_id}: :status {got!r} is not a three-digit code from 100 to 599"
    )
    status_101: Rule = _rule(STREAM, _P, "RFC 9113 §8.6", "stream {stream_id}: 101 does not exist in HTTP/2")
    informational_end: Rule = _rule(STREAM, _P, "RFC 9113 §8.1", "stream {stream_id}: a 1xx response ends the stream")
    trailers_no_end: Rule = _rule(STREAM, _P, "RFC 9113 §8.1", "stream {stream_id}: trailers that do not end the stream")
    trailers_field: Rule = _rule(STREAM, _P, "RFC 9110 §6.5.1", "stream {stream_id}: field {got!r} in trailers")
    content_length_invalid: Rule = _rule(STREAM, _P, "RFC 9113 §8.1.1", "stream {stream_id}: content-length {got!r} is not one number")
    content_length_mismatch: Rule = _rule(
        STREAM, _P, "RFC 9113 §8.1.1", "stream {stream_id}: {actual} octets of DATA, content-length is {limit}"
    )
    header_list_too_large: Rule = _rule(
        STREAM, _E, "RFC 9113 §10.5.1", "stream {stream_id}: a field section of {actual} octets, at most {limit}"
    )
    header_fields_too_many: Rule = _rule(STREAM, _E, "RFC 9113 §10.5.1", "stream {stream_id}: {actual} fields, at most {limit}")
    header_block_too_large: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5.1", "stream {stream_id}: a compressed field block of {actual} octets, at most {limit}"
    )
    informational_too_many: Rule = _rule(
        STREAM, _E, "RFC 9113 §10.5", "stream {stream_id}: {actual} informational responses, at most {limit}"
    )
    informational_too_large: Rule = _rule(
        STREAM, _E, "RFC 9113 §10.5", "stream {stream_id}: informational responses of {actual} octets in all, at most {limit}"
    )

    # -- floods and slowness (RFC 9113 section 10.5)
    preface_timeout: Rule = _rule(CONNECTION, _P, "RFC 9113 §3.4", "no SETTINGS {actual:.1f} s after the connection began, limit {limit} s")
    header_block_timeout: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "the field block of stream {stream_id} is open for {actual:.1f} s, limit {limit} s"
    )
    frame_timeout: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "{frame} on stream {stream_id} is incomplete for {actual:.1f} s, limit {limit} s"
    )
    ping_timeout: Rule = _rule(CONNECTION, ErrorCode.NO_ERROR, "RFC 9113 §6.7", "no answer to PING after {actual:.1f} s, limit {limit} s")
    rapid_reset: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "RST_STREAM on stream {stream_id}: more than {limit} cancelled requests at once"
    )
    made_you_reset: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "stream {stream_id}: more than {limit} streams had to be reset for faults of the peer"
    )
    ping_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "too_many_pings: more than {limit} PINGs at once")
    settings_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "more than {limit} SETTINGS frames at once")
    goaway_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "more than {limit} GOAWAY frames at once")
    tls_record_flood: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "more than {limit} TLS records without octets of the connection at once"
    )
    empty_data_flood: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "stream {stream_id}: {actual} DATA frames without data, at most {limit}"
    )
    small_data_flood: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "stream {stream_id}: unread small DATA frames cost {actual} octets, at most {limit}"
    )
    window_update_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "{actual} WINDOW_UPDATE frames, at most {limit} for what was sent")
    priority_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "{actual} priority frames, at most {limit} for the streams opened")
    glitch_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "more than {limit} useless frames at once, the last one {kind}")
    control_queue_flood: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "{actual} answers wait for a peer that does not read, at most {limit}"
    )
    body_stalled: Rule = _rule(
        STREAM,
        ErrorCode.CANCEL,
        "RFC 9113 §10.5",
        "stream {stream_id}: nothing of the body has arrived for {actual:.1f} s, limit {limit} s",
    )
    body_too_slow: Rule = _rule(
        STREAM,
        ErrorCode.CANCEL,
        "RFC 9113 §10.5",
        "stream {stream_id}: the body arrives at {actual:.0f} octets/s, at least {limit} are asked for",
    )
    send_stalled: Rule = _rule(
        STREAM,
        ErrorCode.CANCEL,
        "RFC 9113 §10.5",
        "stream {stream_id}: the peer has not let any body through for {actual:.1f} s, limit {limit} s",
    )
    send_too_slow: Rule = _rule(
        STREAM,
        ErrorCode.CANCEL,
        "RFC 9113 §10.5",
        "stream {stream_id}: the peer takes the body at {actual:.0f} octets/s, at least {limit} are asked for",
    )
    continuation_flood: Rule = _rule(CONNECTION, _E, "RFC 9113 §10.5", "{actual} CONTINUATION frames in one field block, at most {limit}")
    continuation_empty: Rule = _rule(
        CONNECTION, _E, "RFC 9113 §10.5", "{actual} empty CONTINUATION frames in one field block, at most {limit}"
    )


def _name_rows(table: type) -> list[Rule]:
    """Turn each row of the class into a ``Rule`` named after its attribute, and return all of them.

    The interpreter adds attributes of its own to every class, and some are tuples, as
    ``__static_attributes__`` of Python 3.13: only names that this file has written count.
    """
    rows = []
    for name, row in list(vars(table).items()):
        if isinstance(row, tuple) and not name.startswith("__"):
            rule = Rule(name, *row)
            setattr(table, name, rule)
            rows.append(rule)
    return rows


_ROWS = _name_rows(RULES)


def all_rules() -> list[Rule]:
    """Every row, in the order of the table."""
    return list(_ROWS)
