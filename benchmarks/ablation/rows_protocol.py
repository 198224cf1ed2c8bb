"""Section 8, protocol: fairness, windows, push and recovery.

What these buy is time on a path, not CPU, so some rows have a path: octets wait ``PATH_S`` in each direction,
in real time.
"""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from typing import Any

from hpack import Encoder

from benchmarks.fields import REQUESTS, RESPONSES
from h2o_otel.counters import Counters
from h2o_otel.frames.types import CLIENT_PREFACE, Flag, FrameType
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

from .row import Row, Workload
from .workloads import pair_of

__all__ = ["ROWS"]

PROTOCOL = "protocol: 20-30 % better on real paths"
PATH_S = 0.001
_MIB = 1 << 20


class BesideAFlood(Workload):
    """Each unit is one turn of a connection that floods, then a request on the one beside it."""

    unit = "honest request"

    def __init__(self, tuning: Tuning) -> None:
        limits = replace(SERVER_LIMITS, glitches_burst=2_000_000_000)
        self.flood = self._connection(limits, tuning)
        self.honest = self._connection(limits, tuning)
        self.octets = bytearray(_frame(0xFA, payload=b"x") * 6500)
        self.position = 0
        self.encoder = Encoder()
        self.next_id = 1

    @staticmethod
    def _connection(limits: EngineLimits, tuning: Tuning) -> Connection:
        connection = Connection(server_config(limits, tuning=tuning), Handler(), Counters())
        connection.start(1.0)
        connection.receive(CLIENT_PREFACE + _frame(FrameType.SETTINGS), 1.0)
        return connection

    def run(self, n: int) -> None:
        for _ in range(n):
            self.position += self.flood.receive_into(self.octets, self.position, len(self.octets), 1.0)
            if self.position == len(self.octets):
                self.position = 0
            honest = self.honest
            block = self.encoder.encode(REQUESTS[self.next_id % len(REQUESTS)])
            honest.receive(_frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, self.next_id, block), 1.0)
            honest.send_response(honest.streams[self.next_id], 204, RESPONSES[0], True, 1.0)
            self.wire_bytes += len(honest.data_to_send())
            self.next_id += 2
        if self.flood.closed:
            raise RuntimeError(f"the flood was stopped: {self.flood.error}")


class OverAPath(Workload):
    """A client and a server whose octets take ``PATH_S`` each way."""

    def __init__(self, tuning: Tuning, client: Handler, server: Handler, limits: EngineLimits = SERVER_LIMITS) -> None:
        self.client = Connection(client_config(CLIENT_LIMITS, tuning=tuning, enable_push=True), client, Counters())
        self.server = Connection(server_config(limits, tuning=tuning), server, Counters())
        now = time.monotonic()
        self.client.start(now)
        self.server.start(now)
        while self.carry():
            pass

    def carry(self) -> bool:
        """One way each; false when nothing was under way."""
        moved = 0
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            sender.pump(time.monotonic())
            octets = b""
            while sender.out_size():
                octets += sender.data_to_send()
                sender.pump(time.monotonic())
            if octets:
                time.sleep(PATH_S)
                receiver.receive(octets, time.monotonic())
                moved += len(octets)
        self.wire_bytes += moved
        return moved > 0


class LongUpload(OverAPath):
    """Bodies of a MiB into windows that begin at 64 KiB."""

    unit = "MiB"

    def __init__(self, tuning: Tuning) -> None:
        workload = self

        class Server(Handler):
            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                workload.server.credit(stream, len(data), time.monotonic())
                if end_stream:
                    workload.server.send_response(stream, 204, RESPONSES[0], True, time.monotonic())
                    workload.done += 1

        self.done = 0
        self.body = b"u" * _MIB
        super().__init__(tuning, Handler(), Server(), replace(SERVER_LIMITS, stream_window_bytes=65_536, connection_window_bytes=65_536))

    def run(self, n: int) -> None:
        for _ in range(n):
            wanted = self.done + 1
            fields = [(name, b"POST" if name == b":method" else value) for name, value in REQUESTS[0]]
            stream = self.client.send_request(fields, False, time.monotonic())
            self.client.send_data(stream, self.body, True, time.monotonic())
            while self.done < wanted:
                if not self.carry():
                    raise RuntimeError("the upload stands still")


class Page(OverAPath):
    """A page and five things that it needs: pushed with it, or asked for once it is here."""

    unit = "page"

    def __init__(self, tuning: Tuning) -> None:
        workload = self

        class Server(Handler):
            def request_received(self, stream: Any, end_stream: bool) -> None:
                workload.serve(stream)

        class Client(Handler):
            def push_received(self, stream: Any, promised: Any) -> None:
                workload.missing.discard(promised.path)

            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                workload.client.credit(stream, len(data), time.monotonic())
                if end_stream:
                    workload.arrived += 1
                    if stream.user == "page":
                        workload.ask_for_what_is_missing()

        self.pages = self.arrived = 0
        self.missing: set[bytes] = set()
        super().__init__(tuning, Client(), Server(), replace(SERVER_LIMITS, push_promises_per_connection_max=1 << 30))

    @staticmethod
    def fields(path: bytes) -> list[tuple[bytes, bytes]]:
        return [(name, path if name == b":path" else value) for name, value in REQUESTS[0]]

    def serve(self, stream: Any) -> None:
        server, now = self.server, time.monotonic()
        promised = []
        if stream.path.endswith(b"/page") and server.can_push():
            promised = [server.send_push_promise(stream, self.fields(stream.path + b"/%d" % n), now) for n in range(5)]
        for each in (stream, *promised):
            server.send_response(each, 200, [(n, b"1000" if n == b"content-length" else v) for n, v in RESPONSES[0]], False, now)
            server.send_data(each, b"x" * 1000, True, now)

    def ask_for_what_is_missing(self) -> None:
        for path in sorted(self.missing):
            self.client.send_request(self.fields(path), True, time.monotonic())
        self.missing.clear()

    def run(self, n: int) -> None:
        for _ in range(n):
            self.pages += 1
            wanted = self.arrived + 6
            path = b"/%d/page" % self.pages
            self.missing = {path + b"/%d" % n for n in range(5)}
            self.client.send_request(self.fields(path), True, time.monotonic(), "page")
            while self.arrived < wanted:
                if not self.carry():
                    raise RuntimeError("the page is not complete")


def _frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload) << 8 | type) + struct.pack(">BI", flags, stream_id) + payload


ROWS: list[Row] = [
    Row(
        "8.2",
        "fair turns",
        "protocol_fair_scheduling",
        PROTOCOL,
        BesideAFlood,
        goal="latency",
        note="an honest request beside a connection that floods with reads of 6,500 frames; off: each read is parsed whole",
    ),
    Row(
        "8.3",
        "windows that grow",
        "protocol_window_tuning",
        PROTOCOL,
        LongUpload,
        goal="latency",
        note="1 MiB over a path of 1 ms each way into windows of 64 KiB; off: they stay",
    ),
    Row(
        "8.4",
        "push",
        "protocol_push",
        PROTOCOL,
        Page,
        goal="latency",
        note="a page and five things it needs over a path of 1 ms each way; off: the client asks for them",
    ),
    Row(
        "8.5",
        "recovery",
        "protocol_recovery",
        PROTOCOL,
        pair_of(batch=10),
        note="nothing of it runs while nothing is refused, so both sides should be even; off: requests that a server refused fail",
    ),
]
