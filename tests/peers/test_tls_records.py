"""TLS records that carry nothing, against a server over TLS: the handshake is done, and no octet of HTTP/2 ever comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.tls.certificates import Authority
from tests.support import wire
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.tls import RecordWriter
from tests.support.waiting import eventually

pytestmark = asyncio_only

BEGINNING = wire.PREFACE + wire.settings() + wire.settings_ack()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Waits until its client is gone on /wait, answers 200 elsewhere."""
    while scope["path"] == "/wait" and (await receive())["type"] != "http.disconnect":
        continue
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


class Attacker:
    """A TLS 1.3 client that writes its own records."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader, self.writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.records: RecordWriter
        self.octets = b""
        self.received = 0

    async def shake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.writer.write(self._outgoing.read())
                self._incoming.write(await self._reader.read(65_536))
            else:
                break
        self.writer.write(self._outgoing.read())
        assert self._tls.cipher()[0] == "TLS_AES_256_GCM_SHA384"  # type: ignore[index]

    def take_keys(self, key_log: Path) -> None:
        lines = [line.split() for line in key_log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self.records = RecordWriter(bytes.fromhex(lines[-1][2]))

    async def rest(self) -> bytes:
        """The HTTP/2 octets that the server sends to its end."""
        while data := await self._reader.read(65_536):
            self.received += len(data)
            self._incoming.write(data)
            self._take()
        return self.octets

    def _take(self) -> None:
        try:
            while got := self._tls.read(65_536):
                self.octets += got
        except ssl.SSLWantReadError:
            return


@asynccontextmanager
async def attacking(folder: Path) -> AsyncIterator[Attacker]:
    authority = Authority(folder)
    leaf = authority.issue("localhost")
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_alpn_protocols(["h2"])
    context.keylog_filename = str(folder / "keys")
    async with serving(app, ssl_certfile=leaf.certificate, ssl_keyfile=leaf.key) as server:
        attacker = Attacker(*await asyncio.open_connection(*server.addresses[0][:2]), context)
        await attacker.shake()
        attacker.take_keys(folder / "keys")
        try:
            yield attacker
        finally:
            attacker.writer.close()


def detected() -> int:
    return counters.collect().labelled.get("abuse_detections", {}).get(("tls_record_flood", "closed"), 0)


@pytest.mark.parametrize("kind", ["empty", "key updates"])
async def test_flood_of_records(kind: str, tmp_path: Path) -> None:
    """Beside a request that is open; each key update asks for one in answer."""
    before = detected()
    async with attacking(tmp_path) as attacker:
        records = attacker.records
        request = wire.headers(1, wire.request_block(path=b"/wait"), end_stream=True)
        attacker.writer.write(records.record(BEGINNING + request))
        for _ in range(300):
            # One record that carries something in a while does not pay for the others; OpenSSL itself ends 32 empty ones in a row.
            attacker.writer.write(records.record(wire.frame(0xFA, 0, 0, b"x")))
            attacker.writer.write(b"".join(records.record(b"") if kind == "empty" else records.key_update() for _ in range(20)))
        frames = wire.frames(await attacker.rest())
    assert (frames[-1].type, frames[-1].payload[4:8]) == (wire.GOAWAY, b"\0\0\0\x0b")
    assert b"TLS records" in frames[-1].payload
    assert detected() == before + 1
    # What one read brings is answered, and no more.
    assert attacker.received < 80_000


async def test_records_that_carry_something_are_no_flood(tmp_path: Path) -> None:
    """One octet in each, at once, and a few key updates among them."""
    before = detected()
    async with attacking(tmp_path) as attacker:
        records = attacker.records
        octets = BEGINNING + b"".join(wire.headers(2 * n + 1, wire.request_block(), end_stream=True) for n in range(50)) + wire.goaway(0)
        sent = [records.record(octets[n : n + 1]) for n in range(len(octets) // 2)]
        sent += [records.key_update() for _ in range(10)]
        sent += [records.record(octets[n : n + 1]) for n in range(len(octets) // 2, len(octets))]
        attacker.writer.write(b"".join(sent))
        reading = asyncio.create_task(attacker.rest())
        await eventually(lambda: attacker.octets.count(b"ok") == 50)
        attacker.writer.write_eof()
        await reading
    assert detected() == before
