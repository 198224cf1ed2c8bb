"""Drivers on memory transports and a virtual clock: two joined ends, or one end on a wire that keeps what is written."""

from __future__ import annotations

from typing import Any

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.io.driver import Driver
from h2o_otel.io.memory import VirtualLoop, pair
from h2o_otel.io.transport import Transport
from tests.support.ends import Server, client_driver, server_driver


class Ends:
    """A client and a server joined by memory."""

    def __init__(self, **options: Any) -> None:
        self.loop = VirtualLoop()
        self.block = Counters()
        server_options = {k: options.pop(k) for k in ("handler", "limits") if k in options}
        self.server_driver, self.server = server_driver(self.loop, block=self.block, **server_options)
        self.client_driver, self.client = client_driver(self.loop, block=self.block)
        self.client_end, self.server_end = pair(self.loop, self.client_driver, self.server_driver, **options)

    def settled(self) -> Ends:
        self.loop.run()
        return self

    def counted(self, family: str, *labels: str) -> int:
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        return snapshot.value(family, *labels)


class Wire(Transport):
    """A transport that keeps what is written and does nothing."""

    def __init__(self) -> None:
        Transport.__init__(self)
        self.written: list[bytes] = []
        self.calls: list[str] = []

    def write(self, chunks: list[bytes | memoryview]) -> int:
        self.written.append(b"".join(chunks))
        return 0

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")


def feed(driver: Driver, data: bytes) -> None:
    view = driver.get_buffer(-1)
    view[: len(data)] = data
    driver.buffer_updated(len(data))


def on_wire(loop: VirtualLoop, **options: Any) -> tuple[Driver, Server, Wire]:
    driver, handler = server_driver(loop, **options)
    wire = Wire()
    driver.attach(wire)
    return driver, handler, wire


def request(stream_id: int = 1, path: bytes = b"/5") -> bytes:
    block = b"\x82\x86\x41\x04test\x04" + bytes([len(path)]) + path
    return len(block).to_bytes(3, "big") + b"\x01\x05" + stream_id.to_bytes(4, "big") + block
