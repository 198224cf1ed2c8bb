"""Records in and out."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ReadError, WriteError
from h2o_otel.io.driver import Driver
from h2o_otel.io.memory import MemoryTransport, VirtualLoop, pair
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from h2o_otel.tls.pump import TLSHandshakeError, TLSPump
from tests.support.ends import body, client_driver, server_driver
from tests.support.tls import carry, read_all, shake


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def pumps(authority: Authority, block: Counters | None = None) -> tuple[TLSPump, TLSPump]:
    leaf = authority.issue()
    client = ClientTLS(context=client_context(ca=authority.certificate)).pump("localhost", block=block)
    return client, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump(block=block)


@pytest.fixture
def joined(authority: Authority) -> tuple[TLSPump, TLSPump]:
    client, server = pumps(authority)
    assert shake(client, server) == (None, None)
    carry(server, client)
    read_all(client)
    return client, server


def test_small_chunks_share_a_record(authority: Authority) -> None:
    block = Counters()
    client, server = pumps(authority, block)
    shake(client, server)
    client.write([b"a" * 9, body(1000), memoryview(b"z" * 10)])
    carry(client, server)
    assert read_all(server) == (b"a" * 9 + body(1000) + b"z" * 10, 0)
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("tls_records", "transmit") == snapshot.value("tls_records", "receive") == 1
    assert snapshot.value("tls_payload", "transmit") == snapshot.value("tls_payload", "receive") == 1019
    assert snapshot.value("buffer_copied", "tls") == 1019
    assert snapshot.value("tls_handshake_active") == 0


def test_large_output_is_full_records(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    client.write([body(100_000), b"x"])
    records = b"".join(client.output())
    lengths, position = [], 0
    while position < len(records):
        lengths.append(int.from_bytes(records[position + 3 : position + 5], "big"))
        position += 5 + lengths[-1]
    assert len(lengths) == 7
    assert len(set(lengths[:-1])) == 1
    server.feed(memoryview(records))
    assert read_all(server)[0] == body(100_000) + b"x"


@pytest.mark.parametrize(
    "sizes",
    [
        (65_536,),
        (65_537,),
        (200_000,),
        (9, 16_384) * 12,
        (65_535, 1, 65_536, 1),
        (1, 131_072, 65_535, 3),
    ],
)
def test_chunks_of_any_size_leave_no_record_half_full(joined: tuple[TLSPump, TLSPump], sizes: tuple[int, ...]) -> None:
    client, server = joined
    chunks = [bytes([i]) * size for i, size in enumerate(sizes)]
    client.write([memoryview(chunk) if i % 2 else chunk for i, chunk in enumerate(chunks)])
    pieces = client.output()
    assert client.output() == []
    # The BIO never held more, and what it held once it keeps.
    assert max(map(len, pieces)) < 70_000
    for piece in pieces:
        server.feed(memoryview(piece))
    view = memoryview(bytearray(20_000))
    records: list[bytes] = []
    while (n := server.read_into(view, 0, len(view))) > 0:
        records.append(bytes(view[:n]))
    assert b"".join(records) == b"".join(chunks)
    assert all(len(record) == 16_384 for record in records[:-1])


def test_records_byte_by_byte(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    client.write([b"hello"])
    found = b""
    for octet in b"".join(client.output()):
        server.feed(memoryview(bytes([octet])))
        found += read_all(server)[0]
    assert found == b"hello"


def test_record_larger_than_the_room_left(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    client.write([body(10_000)])
    carry(client, server)
    view = memoryview(bytearray(3000))
    sizes = [server.read_into(view, 0, 3000) for _ in range(5)]
    assert sizes == [3000, 3000, 3000, 1000, 0]


def test_close_notify(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    client.write([b"last"])
    client.close()
    client.close()
    carry(client, server)
    assert read_all(server) == (b"last", -1)
    assert server.close_notify_received
    assert not client.close_notify_received


def test_close_before_the_handshake_says_nothing(authority: Authority) -> None:
    client, _ = pumps(authority)
    client.close()
    assert client.output() == []


def test_changed_record_is_an_error(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    client.write([b"hello"])
    records = bytearray(b"".join(client.output()))
    records[-1] ^= 1
    server.feed(memoryview(records))
    # The second is what OpenSSL says since 3.5.
    with pytest.raises(ReadError, match=r"(?i)bad record mac|record layer failure"):
        read_all(server)


# -- with drivers


class Ends:
    def __init__(self, authority: Authority, **options: object) -> None:
        self.loop = VirtualLoop()
        client, server = pumps(authority)
        self.client_driver, self.client = client_driver(self.loop, tls=client)
        self.server_driver, self.server = server_driver(self.loop, tls=server)
        self.client_end, self.server_end = pair(self.loop, self.client_driver, self.server_driver, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 5, 100, 20_000])
def test_driver_over_any_cut(authority: Authority, size: int) -> None:
    import itertools

    ends = Ends(authority, cuts=lambda: itertools.repeat(size))
    ends.loop.run()
    exchanges = [ends.client.ask(n) for n in (0, 1, 300)]
    if size >= 100:
        exchanges.append(ends.client.ask(300_000))
    ends.loop.run()
    assert [e.data for e in exchanges] == [body(len(e.data)) for e in exchanges]
    assert all(e.waiter.done() for e in exchanges)


def test_records_are_coalesced(authority: Authority) -> None:
    ends = Ends(authority)
    ends.loop.run()
    before = ends.server_end.writes
    exchanges = [ends.client.ask() for _ in range(50)]
    ends.loop.run()
    assert all(e.data == body(64) for e in exchanges)
    assert ends.server_end.writes == before + 1


def test_handshake_in_three_flights(authority: Authority) -> None:
    """The preface goes with the last flight of the handshake, and SETTINGS with the tickets."""
    ends = Ends(authority)
    ends.loop.run()
    assert ends.client_driver.connection.remote_settings
    # ClientHello; Finished, preface and SETTINGS; the acknowledgement of SETTINGS.
    assert ends.client_end.writes == 3


def test_handshake_that_takes_too_long(authority: Authority) -> None:
    loop = VirtualLoop()
    _, server = pumps(authority)
    driver, handler = server_driver(loop, tls=server)
    other: Driver
    other, _ = client_driver(loop)
    _one, two = pair(loop, other, driver)
    _one.stall()
    driver.ready = waiter = loop.create_waiter()
    loop.advance(SERVER_LIMITS.tls_handshake_timeout_s - 0.1)
    assert not driver.closing
    loop.advance(1.2)
    assert driver.closing
    with pytest.raises(TLSHandshakeError, match=r"not complete after 10\.0 s"):
        waiter.result()
    assert isinstance(two, MemoryTransport)
    assert handler.lost == []


def test_end_without_close_notify_is_truncation(authority: Authority) -> None:
    ends = Ends(authority)
    ends.loop.run()
    ends.server.answer = lambda stream, data: None  # type: ignore[method-assign]
    exchange = ends.client.ask(10)
    ends.loop.run()
    ends.server_end.close()
    ends.loop.run()
    assert isinstance(ends.client_driver.error, ReadError)
    assert "truncated" in str(ends.client.resets[0])
    assert exchange.waiter.done()


def test_end_with_close_notify_is_none(authority: Authority) -> None:
    ends = Ends(authority)
    ends.loop.run()
    ends.server_driver.close()
    ends.loop.run()
    assert ends.client_driver.error is None
    assert ends.client_driver.closed
    assert ends.server_driver.closed


def test_changed_record_ends_the_connection(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    ends = Ends(authority)
    ends.loop.run()
    exchange = ends.client.ask(100_000)
    ends.loop.turn()
    ends.client_end._pipe[-1] ^= 1
    ends.loop.run()
    assert isinstance(ends.server_driver.error, ReadError)
    assert ends.client_driver.closed
    assert exchange.waiter.done()
    # The fault is the peer's: no traceback.
    assert not caplog.records


def test_client_that_refuses_tells_the_server(authority: Authority, tmp_path: Path) -> None:
    loop = VirtualLoop()
    _, server = pumps(authority)
    stranger = Authority(tmp_path, "another authority")
    client = ClientTLS(context=client_context(ca=stranger.certificate)).pump("localhost")
    one, _ = client_driver(loop, tls=client)
    two, _ = server_driver(loop, tls=server)
    one.ready = waiter = loop.create_waiter()
    pair(loop, one, two)
    loop.run()
    with pytest.raises(TLSHandshakeError, match="certificate verify failed"):
        waiter.result()
    assert one.closed
    assert two.closed
    assert isinstance(two.error, TLSHandshakeError)
    assert two.error.reason == "certificate_authority_invalid"


def test_roles(joined: tuple[TLSPump, TLSPump]) -> None:
    client, server = joined
    assert (client.role, server.role) == (counters.CLIENT, counters.SERVER)


class Shut:
    """The part of an ssl module that a pump needs, with connections that take nothing once shut."""

    MemoryBIO, SSLWantReadError, SSLError = ssl.MemoryBIO, ssl.SSLWantReadError, ssl.SSLError

    def __init__(self, context: Any) -> None:
        self.context = context
        self.shut = False

    def wrap_bio(self, *arguments: Any, **options: Any) -> Any:
        made = self.context.wrap_bio(*arguments, **options)
        module = self

        class Wrapped:
            def __getattr__(self, name: str) -> Any:
                return getattr(made, name)

            def write(self, data: bytes) -> int:
                if module.shut:
                    raise ssl.SSLError(1, "protocol is shutdown")
                return int(made.write(data))

        return Wrapped()


def test_write_that_tls_refuses_is_an_end_and_no_bug(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    loop = VirtualLoop()
    _, server = pumps(authority)
    module = Shut(client_context(ca=authority.certificate))
    pump = TLSPump(module, server_side=False, server_hostname="localhost", ssl_module=module)
    one, client = client_driver(loop, tls=pump)
    two, _ = server_driver(loop, tls=server)
    pair(loop, one, two)
    loop.run()
    module.shut = True
    exchange = client.ask(10)
    loop.run()
    assert isinstance(one.error, WriteError)
    assert exchange.waiter.done()
    assert one.closed
    assert two.closed
    assert not caplog.records
