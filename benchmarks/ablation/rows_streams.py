"""Section 4, streams: who writes next, credit in batches, and what counting every outcome costs."""

from __future__ import annotations

import struct
from dataclasses import replace

from hpack import Encoder

from benchmarks.fields import REQUESTS, RESPONSES
from h2o_otel.counters import Counters
from h2o_otel.frames.types import CLIENT_PREFACE, Flag, FrameType
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

from .row import Row, Workload
from .workloads import pair_of

__all__ = ["ROWS"]

STREAMS = "streams: 20-25 % less per stream"

_PATIENT, _BODY, _URGENT_BODY = 20, 65_536, 16_384
# A frame at a time, so that the octets end with the urgent one.
_LIMITS = replace(SERVER_LIMITS, output_high_water_bytes=16_384)


class Urgent(Workload):
    """Twenty large responses are being written when a small urgent one comes; ``wire_bytes`` ends with its last octet."""

    unit = "urgent response"

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.body = b"b" * _BODY
        self.urgent_body = b"u" * _URGENT_BODY
        encoder = Encoder()
        plain, urgent = ([*REQUESTS[0], (b"priority", value)] for value in (b"u=5", b"u=0"))
        self.patient = b"".join(_headers(2 * n + 1, encoder.encode(plain)) for n in range(_PATIENT))
        self.urgent = _headers(2 * _PATIENT + 1, encoder.encode(urgent))

    def run(self, n: int) -> None:
        for _ in range(n):
            self._once()

    def _once(self) -> None:
        connection = Connection(server_config(_LIMITS, tuning=self.tuning), Handler(), Counters())
        connection.start(1.0)
        windows = _frame(FrameType.SETTINGS, payload=struct.pack(">HL", 4, 1 << 20))
        windows += _frame(FrameType.WINDOW_UPDATE, payload=struct.pack(">L", 1 << 24))
        connection.receive(CLIENT_PREFACE + windows + self.patient, 1.0)
        # The transport is full while the application answers: everything waits in its stream.
        connection.pause_output()
        self._answer(connection, self.body)
        connection.receive(self.urgent, 1.0)
        self._answer(connection, self.urgent_body)
        urgent = connection.streams[2 * _PATIENT + 1]
        connection.resume_output(1.0)
        while urgent.queued:
            self.wire_bytes += len(connection.data_to_send())
            connection.pump(1.0)
        self.wire_bytes += len(connection.data_to_send())
        connection.connection_lost(None, 1.0)

    def _answer(self, connection: Connection, body: bytes) -> None:
        for stream in list(connection.streams.values()):
            if not stream.headers_sent:
                connection.send_response(stream, 200, RESPONSES[0], False, 1.0)
                connection.send_data(stream, body, True, 1.0)


def _frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload) << 8 | type) + struct.pack(">BI", flags, stream_id) + payload


def _headers(stream_id: int, block: bytes) -> bytes:
    return _frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, block)


ROWS: list[Row] = [
    Row(
        "4.3",
        "priorities",
        "stream_priorities",
        STREAMS,
        Urgent,
        goal="wire",
        note="octets are those written until an urgent response is complete; off: all streams take turns",
    ),
    Row(
        "4.4",
        "credit in batches",
        "stream_window_batching",
        STREAMS,
        pair_of(batch=4, upload=100_000, body=0),
        note="uploads of 100 kB; off: two WINDOW_UPDATEs for each piece that is read",
    ),
    Row(
        "4.5",
        "lifecycle tracking",
        "stream_tracking",
        STREAMS,
        pair_of(batch=10),
        note="what it costs to count how every stream ends; off: nobody knows",
    ),
]
