"""CPU time of one request through a client's and a server's engine together: ours, beside h2, jh2, ngh2, zttp, and libnghttp2 from C.

The request has 10 fields, of which :path, traceparent and x-request-id are new each time; the response
has 8 fields (x-request-id new) and 64 octets.  Octets are handed over in memory.  ``--batch`` requests
are under way at once, as with concurrent tasks on one connection.  The subjects take turns, so that a
busy machine is busy for all of them, and the best round of each counts.

    python benchmarks/engine.py [--requests N] [--rounds N] [--batch N] [--json PATH]

``H2O_OTEL_PURE=1`` measures the sources instead of the compiled modules.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import libnghttp2
from fields import BODY, DISTINCT, REQUESTS, RESPONSES


class Subject:
    """A pair of engines; ``exchange`` takes ``n`` requests from the first octet to the last.

    ``done`` counts complete responses, so that nothing is measured that did not happen.
    """

    package = ""

    def __init__(self) -> None:
        self.done = 0

    def exchange(self, first: int, n: int) -> None:
        raise NotImplementedError(type(self).__name__)

    def version(self) -> str:
        return importlib.metadata.version(self.package)

    @classmethod
    def measure(cls, requests: int, batch: int) -> float:
        """Microseconds of CPU for one request; the connection is new, and warm before the clock starts."""
        subject = cls()
        rounds = max(1, requests // batch)
        for n in range(min(rounds, 20)):
            subject.exchange(n * batch, batch)
        subject.done = 0
        started = time.process_time_ns()
        for n in range(rounds):
            subject.exchange(n * batch, batch)
        spent = time.process_time_ns() - started
        if subject.done != rounds * batch:
            raise RuntimeError(f"{cls.__name__}: {subject.done} of {rounds * batch} responses arrived")
        return spent / 1000 / (rounds * batch)


class Ours(Subject):
    """Our engine with a handler of plain Python on either side."""

    package = "h2o-otel"

    def __init__(self, tuning: Any = None) -> None:
        super().__init__()
        from h2o_otel.protocol.config import client_config, server_config
        from h2o_otel.protocol.connection import Connection
        from h2o_otel.protocol.handler import Handler

        subject = self

        class Client(Handler):
            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                client.credit(stream, len(data), 1.0)
                if end_stream and data == BODY:
                    subject.done += 1

        class Server(Handler):
            def request_received(self, stream: Any, end_stream: bool) -> None:
                server.send_response(stream, 200, RESPONSES[stream.id % DISTINCT], False, 1.0)
                server.send_data(stream, BODY, True, 1.0)

        options = {} if tuning is None else {"tuning": tuning}
        client = self.client = Connection(client_config(**options), Client())
        server = self.server = Connection(server_config(**options), Server())
        client.start(1.0)
        server.start(1.0)
        for _ in range(2):
            server.receive(client.data_to_send(), 1.0)
            client.receive(server.data_to_send(), 1.0)

    def exchange(self, first: int, n: int) -> None:
        client, server = self.client, self.server
        for i in range(first, first + n):
            client.send_request(REQUESTS[i % DISTINCT], True, 1.0)
        server.receive(client.data_to_send(), 1.0)
        client.receive(server.data_to_send(), 1.0)

    def version(self) -> str:
        from h2o_otel import __version__, _pure

        return f"{__version__} {_pure.build()}"


class OursWithEvents(Ours):
    """Our engine with lists of event objects."""

    def __init__(self) -> None:
        from h2o_otel.protocol import events
        from h2o_otel.protocol.config import client_config, server_config
        from h2o_otel.protocol.connection import Connection

        Subject.__init__(self)
        self.request_received, self.data_received = events.RequestReceived, events.DataReceived
        self.client, self.server = Connection(client_config()), Connection(server_config())
        self.client.start(1.0)
        self.server.start(1.0)
        for _ in range(2):
            self.server.receive(self.client.data_to_send(), 1.0)
            self.client.receive(self.server.data_to_send(), 1.0)

    def exchange(self, first: int, n: int) -> None:
        client, server = self.client, self.server
        for i in range(first, first + n):
            client.send_request(REQUESTS[i % DISTINCT], True, 1.0)
        for event in server.receive(client.data_to_send(), 1.0):
            if type(event) is self.request_received:
                server.send_response(event.stream, 200, RESPONSES[event.stream.id % DISTINCT], False, 1.0)
                server.send_data(event.stream, BODY, True, 1.0)
        for event in client.receive(server.data_to_send(), 1.0):
            if type(event) is self.data_received:
                client.credit(event.stream, len(event.data), 1.0)
                if event.end_stream and event.data == BODY:
                    self.done += 1


STATUS = [(b":status", b"200")]


class H2(Subject):
    """h2, and jh2, which has its interface."""

    package = "h2"

    def __init__(self) -> None:
        super().__init__()
        name = self.package
        configuration = importlib.import_module(f"{name}.config").H2Configuration
        connection = importlib.import_module(f"{name}.connection").H2Connection
        self.events = importlib.import_module(f"{name}.events")
        self.client = connection(configuration(client_side=True, header_encoding=None))
        self.server = connection(configuration(client_side=False, header_encoding=None))
        self.client.initiate_connection()
        self.server.initiate_connection()
        for _ in range(2):
            self.server.receive_data(self.client.data_to_send())
            self.client.receive_data(self.server.data_to_send())

    def exchange(self, first: int, n: int) -> None:
        client, server, events = self.client, self.server, self.events
        for i in range(first, first + n):
            client.send_headers(client.get_next_available_stream_id(), REQUESTS[i % DISTINCT], end_stream=True)
        for event in server.receive_data(client.data_to_send()):
            if isinstance(event, events.RequestReceived):
                server.send_headers(event.stream_id, STATUS + RESPONSES[event.stream_id % DISTINCT])
                server.send_data(event.stream_id, BODY, end_stream=True)
        for event in client.receive_data(server.data_to_send()):
            if isinstance(event, events.DataReceived):
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.done += event.data == BODY


class Facade(H2):
    """Our engine behind the interface of h2."""

    package = "h2o_otel.compat.h2"

    def version(self) -> str:
        from h2o_otel import __version__, _pure

        return f"{__version__} {_pure.build()}"


class Jh2(H2):
    """jh2, whose field coding is Rust."""

    package = "jh2"


class Ngh2(Subject):
    """ngh2, a binding of libnghttp2."""

    package = "ngh2"

    def __init__(self) -> None:
        super().__init__()
        import ngh2

        self.module = ngh2
        self.client, self.server = ngh2.Connection(ngh2.Role.CLIENT), ngh2.Connection(ngh2.Role.SERVER)
        self.client.initiate_connection()
        self.server.initiate_connection()
        for _ in range(2):
            self.carry(self.client, self.server)
            self.carry(self.server, self.client)

    @staticmethod
    def carry(sender: Any, receiver: Any) -> list[Any]:
        receiver.receive_data(sender.data_to_send())
        events: list[Any] = receiver.events()
        return events

    def exchange(self, first: int, n: int) -> None:
        client, server, ngh2 = self.client, self.server, self.module
        for i in range(first, first + n):
            client.send_request(REQUESTS[i % DISTINCT], end_stream=True)
        for event in self.carry(client, server):
            if isinstance(event, ngh2.RequestReceived):
                server.send_response(event.stream_id, STATUS + RESPONSES[event.stream_id % DISTINCT])
                server.send_data(event.stream_id, BODY, end_stream=True)
        for event in self.carry(server, client):
            if isinstance(event, ngh2.DataReceived) and event.data:
                # Its windows open by themselves.
                self.done += event.data == BODY


class Zttp(Subject):
    """zttp, written in Zig."""

    package = "zttp"

    # It takes many requests that end with an empty DATA frame, as its own client sends them, for a flood.
    REQUESTS_PER_CONNECTION = 2000

    def __init__(self) -> None:
        super().__init__()
        import zttp

        self.module = zttp
        self.connect()

    def connect(self) -> None:
        zttp = self.module
        self.left = self.REQUESTS_PER_CONNECTION
        self.client = zttp.Connection(zttp.CLIENT, zttp.HTTP2)
        self.server = zttp.Connection(zttp.SERVER, zttp.HTTP2)
        self.client.initiate_connection()
        self.server.initiate_connection()
        for _ in range(2):
            self.carry(self.client, self.server)
            self.carry(self.server, self.client)

    def carry(self, sender: Any, receiver: Any) -> list[Any]:
        receiver.receive_data(sender.data_to_send())
        events, end = [], self.module.NEED_DATA
        while (event := receiver.next_event()) is not end:
            events.append(event)
        return events

    def exchange(self, first: int, n: int) -> None:
        self.left -= n
        if self.left < 0:
            self.connect()
        client, server, zttp = self.client, self.server, self.module
        for i in range(first, first + n):
            fields = REQUESTS[i % DISTINCT]
            stream = client.send_request(fields[0][1], fields[3][1], b"2", [(b"host", fields[2][1]), *fields[4:]])
            stream.end_message()
        for event in self.carry(client, server):
            if isinstance(event, zttp.Request):
                stream = server.stream(event.stream_id)
                stream.send_response(200, RESPONSES[event.stream_id % DISTINCT])
                stream.send_data(BODY)
                stream.end_message()
        for event in self.carry(server, client):
            if isinstance(event, zttp.Data):
                self.done += event.data == BODY


class LibNghttp2(Subject):
    """libnghttp2 driven from C, in a process of its own: what the same work costs without Python."""

    def __init__(self) -> None:
        super().__init__()
        self.found = self.run(1, 1)

    @staticmethod
    def run(requests: int, batch: int) -> dict[str, Any]:
        with_status = [STATUS + fields for fields in RESPONSES]
        return libnghttp2.run("engine", libnghttp2.written(REQUESTS, with_status), requests, batch)

    def exchange(self, first: int, n: int) -> None:
        self.done += self.run(n, n)["requests"]

    def version(self) -> str:
        return str(self.found["version"])

    @classmethod
    def measure(cls, requests: int, batch: int) -> float:
        return float(cls.run(requests, batch)["us_per_request"])


SUBJECTS: dict[str, type[Subject]] = {
    "ours": Ours,
    "ours (events)": OursWithEvents,
    "h2": H2,
    "ours as h2": Facade,
    "jh2": Jh2,
    "ngh2": Ngh2,
    "zttp": Zttp,
    libnghttp2.NAME: LibNghttp2,
}
SLOW = {"h2", "jh2", "ours as h2"}


def found(names: list[str]) -> tuple[dict[str, type[Subject]], dict[str, str]]:
    """The subjects that exchange a request here, and why the others do not."""
    # A file beside this one has the name of the library that h2 codes fields with.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
    usable, skipped = {}, {}
    for name in names:
        try:
            subject = SUBJECTS[name]()
            subject.exchange(0, 1)
            if subject.done != 1:
                raise RuntimeError("the response did not arrive")
            usable[name] = SUBJECTS[name]
        except Exception as error:
            skipped[name] = f"{type(error).__name__}: {error}"
    return usable, skipped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="per subject and round; a tenth of it for the slow ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 10], help="requests under way at once (default: 1 and 10)")
    parser.add_argument("--only", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    usable, skipped = found(arguments.only)
    report: dict[str, Any] = {
        "benchmark": "engine",
        "python": platform.python_version(),
        "machine": platform.platform(),
        "requests": arguments.requests,
        "rounds": arguments.rounds,
        "versions": {name: kind().version() for name, kind in usable.items()},
        "skipped": skipped,
        "us_per_request": {},
    }
    for batch in arguments.batch:
        best = dict.fromkeys(usable, float("inf"))
        for _ in range(arguments.rounds):
            for name, kind in usable.items():
                n = arguments.requests // 10 if name in SLOW else arguments.requests
                best[name] = min(best[name], kind.measure(n, batch))
        report["us_per_request"][str(batch)] = best
        print(f"\n{batch} under way at once: us of CPU per request, client and server side together")
        base = best.get("ours")
        for name, value in sorted(best.items(), key=lambda item: item[1]):
            ratio = f"{value / base:7.2f} x" if base else ""
            print(f"  {name:14} {value:8.2f} {ratio}  {report['versions'][name]}")
    for name, reason in skipped.items():
        print(f"  {name:14} skipped: {reason}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if "ours" in usable or "ours" not in arguments.only else 1


if __name__ == "__main__":
    sys.exit(main())
