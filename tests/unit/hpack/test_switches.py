"""Every switch of the codec: off is another way to the same fields, also where it must give up."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.errors import LocalProtocolError
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.limits import CLIENT_LIMITS, EngineLimits
from h2o_otel.protocol.config import client_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.rules import Violation
from h2o_otel.tuning import Tuning
from tests.support.hpack import Fields, Sender, receiver, section

GET: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
ENCODERS: dict[str, dict[str, Any]] = {
    "default": {"table_bytes_grown_max": 16_384},
    "no static forms": {"static_forms": False},
    "no name cache": {"name_cache": False},
    "not adaptive": {"adaptive": False},
    "reference": {"reference": True},
    "all off": {"static_forms": False, "name_cache": False, "adaptive": False, "reference": True},
}
DECODERS: dict[str, dict[str, bool]] = {
    "default": {},
    "no name cache": {"name_cache": False},
    "reference": {"reference": True},
    "all off": {"name_cache": False, "reference": True},
}


def decoder_of(name: str, **limits: Any) -> Decoder:
    return Decoder(counters.Counters(), counters.SERVER, EngineLimits(**limits), **DECODERS[name])


def section_of(rng: random.Random) -> Fields:
    fields = [*GET[:3], (b":path", b"/%d" % rng.randrange(40))]
    fields += [(b"x-%d" % rng.randrange(30), rng.randbytes(rng.randrange(30)).hex().encode()) for _ in range(rng.randrange(6))]
    return [*fields, (b"cookie", b"c" * rng.choice((5, 40))), (b"authorization", b"secret")]


@pytest.mark.parametrize("decoder_name", DECODERS)
@pytest.mark.parametrize("encoder_name", ENCODERS)
def test_every_encoder_to_every_decoder(encoder_name: str, decoder_name: str, rng: random.Random) -> None:
    sender, decoder = Sender(**ENCODERS[encoder_name]), decoder_of(decoder_name)
    size = 4096
    for i in range(60):
        if i % 10 == 9:
            # What the peer may set, and our decoder's side of it.
            size = rng.choice((0, 100, 1000, 4096, 65_536))
            sender.encoder.set_table_size(size)
            decoder.set_allowed_table_size(size)
        fields = section_of(rng)
        decoder.decode_block(sender.block(fields))
        assert section(decoder) == fields
        assert decoder.violation is None
        assert decoder.list_bytes == sum(len(n) + len(v) + 32 for n, v in fields)


@pytest.mark.parametrize("name", ENCODERS)
def test_refused_block_leaves_nothing(name: str) -> None:
    sender, decoder = Sender(**ENCODERS[name]), receiver()
    for bad in ((b"Bad", b"x"), (b"a", b"x\n"), (b":path", b"/"), (b"connection", b"x"), (b"", b"")):
        for _ in range(2):
            with pytest.raises(LocalProtocolError):
                sender.block([*GET, (b"new", b"value"), bad])
            assert sender.out.size() == 0
    for fields in (GET, [*GET, (b"new", b"value")]):
        decoder.decode_block(sender.block(fields))
        assert section(decoder) == fields


@pytest.mark.parametrize("name", ENCODERS)
def test_responses(name: str) -> None:
    sender, decoder = Sender(**ENCODERS[name]), receiver()
    for status in (200, 404, 201, 599, 201):
        decoder.decode_block(sender.response(status, [(b"a", b"b")]))
        assert (decoder.status_code, decoder.headers) == (status, [(b"a", b"b")])
    decoder.decode_block(sender.trailers([(b"grpc-status", b"0")]))
    assert decoder.headers == [(b"grpc-status", b"0")]


@pytest.mark.parametrize("name", ENCODERS)
def test_secrets_are_never_indexed(name: str) -> None:
    block = Sender(**ENCODERS[name]).block([(b"authorization", b"secret")])
    assert block[0] & 0xF0 == 0x10
    assert Sender(**ENCODERS[name]).block([(b"cookie", b"short")])[0] & 0xF0 == 0x10


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(
    ("block", "token"),
    [
        ("80", "hpack_index_zero"),
        ("be", "hpack_index_unknown"),
        ("ff", "hpack_truncated"),
        ("3fffff03", "hpack_size_update_too_large"),
    ],
)
def test_broken_coding(name: str, block: str, token: str) -> None:
    with pytest.raises(Violation) as caught:
        decoder_of(name).decode_block(bytes.fromhex(block))
    assert caught.value.rule.token == token
    assert str(caught.value)


@pytest.mark.parametrize("name", DECODERS)
def test_size_update_that_does_not_come(name: str) -> None:
    decoder = decoder_of(name)
    decoder.decode_block(Sender().block([(b"a", b"b")]))
    decoder.set_allowed_table_size(10)
    with pytest.raises(Violation) as caught:
        decoder.decode_block(b"\x82")
    assert caught.value.rule.token == "hpack_size_update_missing"


@pytest.mark.parametrize("name", DECODERS)
def test_list_beyond_its_limit_is_not_kept(name: str) -> None:
    decoder = decoder_of(name, header_list_bytes_max=500)
    decoder.decode_block(Sender().block([(b"x-%d" % i, b"v" * 20) for i in range(20)]))
    assert decoder.violation is not None
    assert decoder.violation.token == "header_list_too_large"
    assert len(decoder.headers) < 10


def test_bomb_ends_the_reference() -> None:
    """It cannot go on without keeping the fields, so that it gives up where ours only counts."""
    bomb = Sender().block([(b"x", b"v" * 1000)]) + b"\xbe" * 100
    with pytest.raises(Violation) as caught:
        decoder_of("reference", header_list_bytes_max=5000).decode_block(bomb)
    assert (caught.value.rule.token, caught.value.rule.scope) == ("header_block_too_large", "connection")
    ours = decoder_of("default", header_list_bytes_max=5000)
    ours.decode_block(bomb)
    assert ours.violation is not None


def test_names_are_examined_each_time_without_the_cache() -> None:
    sender = Sender(name_cache=False)
    block = counters.Snapshot()
    for _ in range(3):
        sender.block([(b"a", b"b")])
    block.add_block(sender.counters)
    assert block.value("hpack_names", "transmit", "examined") == 3
    assert block.value("hpack_fields_repeated") == 0


def test_switches_reach_the_codecs() -> None:
    def first_request(tuning: Tuning) -> tuple[Any, bytes]:
        connection = Connection(client_config(CLIENT_LIMITS, tuning=tuning), block=counters.Counters())
        connection.start(1.0)
        connection.data_to_send()
        connection.send_request([*GET, (b"x-new", b"1"), (b"etag", b"2")], True, 1.0)
        return connection, connection.data_to_send()

    default, wire = first_request(Tuning())
    assert len(default.encoder.table.entries()) == 2
    plain, other = first_request(replace(Tuning(), hpack_ring_table=False))
    assert plain.encoder.table.entries() == []
    assert len(other) > 9
    _, eager = first_request(replace(Tuning(), protocol_adaptive_compression=False))
    assert eager != wire


def test_same_value_under_another_name_without_the_cache() -> None:
    sender, decoder = Sender(name_cache=False), receiver()
    value = b"value"
    for name in (b"a", b"b", b"a", b"b"):
        assert decoder.decode_block(sender.block([(name, value)])) == [(name, value)]


# -- the table that grows


def churn(sender: Sender, decoder: Decoder, rounds: int = 12) -> list[int]:
    """Three times what the first table holds, again and again; the sizes of the rounds."""
    sizes = []
    for _ in range(rounds):
        size = 0
        for i in range(110):
            fields = [(b"x-%d" % i, b"v" * 50), (b"y-%d" % (i // 2), b"w" * 20)]
            block = sender.block(fields)
            size += len(block)
            assert decoder.decode_block(block) == fields
            assert decoder.table.entries() == sender.encoder.table.entries()
        sizes.append(size)
    return sizes


def test_table_grows_where_entries_in_use_are_lost() -> None:
    sender, decoder = Sender(table_bytes_grown_max=16_384), receiver()
    sender.encoder.set_table_size(65_536)
    decoder.set_allowed_table_size(65_536)
    sizes = churn(sender, decoder)
    assert sender.encoder.table.capacity == 16_384
    assert sizes[-1] < sizes[0] / 4
    block = counters.Snapshot()
    block.add_block(sender.counters)
    assert block.value("hpack_table_growths") == 2
    assert block.value("hpack_table_lost") >= 32
    assert block.value("hpack_table_capacity", "client", "transmit") == 16_384


@pytest.mark.parametrize(("allowed", "adaptive", "grown_max"), [(4096, True, 16_384), (65_536, False, 16_384), (65_536, True, 0)])
def test_table_does_not_grow(allowed: int, adaptive: bool, grown_max: int) -> None:
    sender, decoder = Sender(table_bytes_grown_max=grown_max, adaptive=adaptive), receiver()
    sender.encoder.set_table_size(allowed)
    decoder.set_allowed_table_size(allowed)
    churn(sender, decoder, 10)
    assert sender.encoder.table.capacity == 4096


def test_new_values_alone_do_not_make_it_grow() -> None:
    sender, decoder = Sender(table_bytes_grown_max=16_384), receiver()
    sender.encoder.set_table_size(65_536)
    decoder.set_allowed_table_size(65_536)
    for i in range(3000):
        decoder.decode_block(sender.block([(b"x-%d" % i, b"v" * 30)]))
    assert sender.encoder.table.evictions > 1000
    assert sender.encoder.table.capacity == 4096


def test_grown_table_follows_the_peer_down() -> None:
    sender, decoder = Sender(table_bytes_grown_max=16_384), receiver()
    for allowed, expected in ((65_536, 16_384), (10_000, 10_000), (2000, 2000), (65_536, 4096)):
        sender.encoder.set_table_size(allowed)
        decoder.set_allowed_table_size(allowed)
        if allowed == 65_536 and expected == 16_384:
            churn(sender, decoder)
        decoder.decode_block(sender.block([(b"a", b"b")]))
        assert sender.encoder.table.capacity == decoder.table.capacity == expected


def test_growth_among_settings_and_refused_blocks(rng: random.Random) -> None:
    """Whatever comes between the decision to grow and the block that says so, both tables agree."""
    sender, decoder = Sender(table_bytes_grown_max=16_384), receiver()
    capacities = set()
    for i in range(1500):
        if rng.random() < 0.02:
            allowed = rng.choice((65_536, 65_536, 9000, 5000, 300))
            sender.encoder.set_table_size(allowed)
            decoder.set_allowed_table_size(allowed)
        if rng.random() < 0.05:
            with pytest.raises(LocalProtocolError):
                sender.block([(b"x-%d" % (i % 90), b"v" * 70), (b"Bad", b"")])
        fields = [(b"x-%d" % (j % 90), b"v" * 70) for j in (i, i + 1, i + 45)]
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()
        assert decoder.table.capacity == sender.encoder.table.capacity
        capacities.add(decoder.table.capacity)
    assert max(capacities) > 4096
