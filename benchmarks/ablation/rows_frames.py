"""Section 5, frames, and the state table of section 4, which is the same kind of thing."""

from __future__ import annotations

import socket
import struct
from typing import Any

from hpack import Encoder

from benchmarks.fields import REQUESTS
from h2o_otel.counters import Counters
from h2o_otel.frames.types import CLIENT_PREFACE, Flag, FrameType
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

from .row import Row, Workload
from .workloads import Pair, pair_of

__all__ = ["ROWS"]

FRAMES = "frames: 15-20 % faster, 10 % less CPU"
STREAMS = "streams: 20-25 % less per stream"


class OverSockets(Pair):
    """The pair over a socket pair, one ``send`` for each piece of output: what a write costs is part of it."""

    def __init__(self, tuning: Tuning, **options: Any) -> None:
        self.sockets = socket.socketpair()
        super().__init__(tuning, **options)

    def close(self) -> None:
        for end in self.sockets:
            end.close()

    def carry(self) -> bool:
        moved = 0
        for sender, receiver, (near, far) in (
            (self.client, self.server, self.sockets),
            (self.server, self.client, self.sockets[::-1]),
        ):
            sender.pump(1.0)
            size = 0
            for chunk in sender.chunks_to_send():
                near.sendall(chunk)
                size += len(chunk)
            moved += size
            while size:
                octets = far.recv(65_536)
                size -= len(octets)
                receiver.receive(octets, 1.0)
        self.wire_bytes += moved
        return moved > 0


class SmallData(Workload):
    """A server that gets one body in frames of 512 octets, 64 in a read: reading and dispatch, and little else."""

    unit = "frame"

    def __init__(self, tuning: Tuning) -> None:
        workload = self

        class Reader(Handler):
            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                workload.connection.credit(stream, len(data), 1.0)
                workload.received += 1

        self.received = 0
        self.connection = Connection(server_config(SERVER_LIMITS, tuning=tuning), Reader(), Counters())
        self.connection.start(1.0)
        request = Encoder().encode([(name, b"POST" if name == b":method" else value) for name, value in REQUESTS[0]])
        head = frame(FrameType.SETTINGS) + frame(FrameType.HEADERS, Flag.END_HEADERS, 1, request)
        self.connection.receive(CLIENT_PREFACE + head, 1.0)
        self.read = frame(FrameType.DATA, 0, 1, b"d" * 512) * 64

    def run(self, n: int) -> None:
        wanted = self.received + n
        connection = self.connection
        for left in range(n, 0, -64):
            read = self.read if left >= 64 else self.read[: left * 521]
            connection.receive(read, 1.0)
            self.wire_bytes += len(read) + len(connection.data_to_send())
        if self.received != wanted:
            raise RuntimeError(f"the connection ended: {connection.error}")


class Unwritten(Workload):
    """Connections whose socket takes nothing for now, each with the answer to a PING waiting."""

    unit = "connection"

    def __init__(self, tuning: Tuning) -> None:
        self.config = server_config(SERVER_LIMITS, tuning=tuning)
        self.counters = Counters()
        self.waiting: list[Connection] = []

    def run(self, n: int) -> None:
        self.waiting.clear()
        for _ in range(n):
            connection = Connection(self.config, Handler(), self.counters)
            connection.start(1.0)
            connection.data_to_send()
            connection.receive(CLIENT_PREFACE + frame(FrameType.SETTINGS) + frame(FrameType.PING, payload=bytes(8)), 1.0)
            self.waiting.append(connection)
            self.wire_bytes += connection.out_size()

    def close(self) -> None:
        for connection in self.waiting:
            connection.connection_lost(None, 1.0)


def frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload) << 8 | type) + struct.pack(">BI", flags, stream_id) + payload


ROWS: list[Row] = [
    Row(
        "4.2",
        "states by table",
        "stream_state_table",
        STREAMS,
        pair_of(batch=10),
        note="off: the nested dictionary of states and inputs, looked up by enumeration members",
    ),
    Row(
        "5.1",
        "batches",
        "frame_batching",
        FRAMES,
        lambda tuning: OverSockets(tuning, batch=10),
        note="off: each frame is cut out of the read and parsed alone, and is written alone",
    ),
    Row(
        "5.2",
        "buffer sizes by frame type",
        "frame_size_classes",
        FRAMES,
        Unwritten,
        goal="memory",
        note="off: every output begins with 16 KiB",
    ),
    Row(
        "5.3",
        "dispatch by table",
        "frame_dispatch_table",
        FRAMES,
        SmallData,
        note="off: headers unpacked by struct, every check made for every frame",
    ),
    Row(
        "5.4",
        "validation cache",
        "frame_validation_cache",
        FRAMES,
        pair_of(batch=10),
        note="off: every field and every pseudo-header field is examined each time that it comes",
    ),
    Row(
        "5.5",
        "frame metrics",
        "frame_metrics",
        "metrics cost at most 8 % of the pair, all together",
        pair_of(batch=10),
        note="on is what costs here: frames by type and direction, sizes of DATA, frames in a flush",
    ),
]
