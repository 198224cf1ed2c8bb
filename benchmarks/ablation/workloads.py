"""Work that rows of several layers share: two engines that exchange octets in memory, and a whole client and server.

Fields are those of ``benchmarks/fields.py``: of ten request fields three are new each time.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from benchmarks.fields import DISTINCT, REQUESTS, RESPONSES
from h2o_otel.client import AsyncClient
from h2o_otel.counters import Counters
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.protocol import make_connection
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.handler import Handler
from h2o_otel.server import Server, ServerConfig
from h2o_otel.tuning import Tuning

from .row import Workload

__all__ = ["Pair", "Stack", "pair_of"]

Fields = list[tuple[bytes, bytes]]


# What a workload sends is made once and not counted as memory of the one that happens to make it.
_made: dict[tuple[int, int], tuple[list[Fields], list[Fields]]] = {}


@functools.cache
def octets(n: int) -> bytes:
    """A body."""
    return b"x" * n


def with_length(responses: list[Fields], n: int) -> list[Fields]:
    """The responses with a content-length of ``n``."""
    key = (id(responses), n)
    if key not in _made:
        length = b"%d" % n
        _made[key] = (responses, [[(name, length if name == b"content-length" else v) for name, v in fields] for fields in responses])
    return _made[key][1]


class Pair(Workload):
    """Requests from the first octet to the last, ``batch`` of them under way at once.

    Args:
        tuning: of both ends.
        batch: requests whose octets are handed over together.
        body: octets of each response.
        upload: octets of each request's body.
        engine: "native" or "h2".
        requests, responses: fields to go through in turn; response fields without the status.
        client_limits, server_limits: every bound.
    """

    def __init__(
        self,
        tuning: Tuning,
        batch: int = 10,
        body: int = 64,
        upload: int = 0,
        engine: str = "native",
        requests: list[Fields] = REQUESTS,
        responses: list[Fields] = RESPONSES,
        client_limits: EngineLimits = CLIENT_LIMITS,
        server_limits: EngineLimits = SERVER_LIMITS,
    ) -> None:
        self.batch = batch
        self.requests = requests
        self.responses = responses
        self.upload = octets(upload)
        self.body = octets(body)
        self.done = self.started = 0
        self.wire_bytes = 0
        pair = self

        class Client(Handler):
            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                pair.client.credit(stream, len(data), 1.0)
                pair.done += end_stream

            def response_received(self, stream: Any, end_stream: bool) -> None:
                pair.done += end_stream

        class Server(Handler):
            def request_received(self, stream: Any, end_stream: bool) -> None:
                if end_stream:
                    pair.answer(stream)

            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                pair.server.credit(stream, len(data), 1.0)
                if end_stream:
                    pair.answer(stream)

        self.client = make_connection(engine, client_config(client_limits, tuning=tuning), Client(), Counters())
        self.server = make_connection(engine, server_config(server_limits, tuning=tuning), Server(), Counters())
        self.client.start(1.0)
        self.server.start(1.0)
        for _ in range(3):
            self.carry()
        self.responses = with_length(responses, body)

    def answer(self, stream: Any) -> None:
        server = self.server
        server.send_response(stream, 200, self.responses[stream.id % len(self.responses)], not self.body, 1.0)
        if self.body:
            server.send_data(stream, self.body, True, 1.0)

    def carry(self) -> bool:
        """Everything that waits, once each way; false when nothing did."""
        client, server = self.client, self.server
        client.pump(1.0)
        octets = client.data_to_send()
        if octets:
            server.receive(octets, 1.0)
        server.pump(1.0)
        back = server.data_to_send()
        if back:
            client.receive(back, 1.0)
        self.wire_bytes += len(octets) + len(back)
        return bool(octets or back)

    def run(self, n: int) -> None:
        wanted = self.done + n
        client, upload = self.client, self.upload
        left = n
        while left:
            for _ in range(min(left, self.batch)):
                stream = client.send_request(self.requests[self.started % DISTINCT % len(self.requests)], not upload, 1.0)
                if upload:
                    client.send_data(stream, upload, True, 1.0)
                self.started += 1
                left -= 1
            while self.carry():
                pass
        if self.done != wanted:
            raise RuntimeError(f"{wanted - self.done} of {n} responses did not arrive")


def pair_of(**options: Any) -> Any:
    """A ``Row.make`` of ``Pair`` with these options."""
    return lambda tuning: Pair(tuning, **options)


class Stack(Workload):
    """The whole runtime on one event loop: our client, TCP on the loopback, our server and an ASGI application.

    Args:
        tuning: of both.
        tasks: that send their requests one after the other over one connection.
        body: octets of each response.
        engine: "native" or "h2".
    """

    def __init__(self, tuning: Tuning, tasks: int = 20, body: int = 64, engine: str = "native") -> None:
        self.tasks = tasks
        self.body = octets(body)
        self.loop = asyncio.new_event_loop()
        config = ServerConfig(app=self.app, port=0, lifespan="off", handle_signals=False, tuning=tuning, engine=engine)
        self.server = Server(config)
        self.client = AsyncClient(tuning=tuning, engine=engine)
        self.loop.run_until_complete(self._start())

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": self.body})

    async def _start(self) -> None:
        self._serving = asyncio.ensure_future(self.server.serve())
        await self.server.wait_started()
        host, port = self.server.addresses[0][:2]
        self.url = f"http://{host}:{port}/"
        await self._requests(1)

    async def _requests(self, n: int) -> None:
        left = n

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                response = await self.client.get(self.url)
                if response.content != self.body:
                    raise RuntimeError(f"a body of {len(response.content)} octets")

        await asyncio.gather(*(work() for _ in range(min(n, self.tasks))))

    def run(self, n: int) -> None:
        self.loop.run_until_complete(self._requests(n))

    def close(self) -> None:
        async def end() -> None:
            await self.client.aclose()
            self.server.stop()
            await self._serving

        self.loop.run_until_complete(end())
        self.loop.close()
