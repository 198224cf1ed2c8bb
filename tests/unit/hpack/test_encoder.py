from __future__ import annotations

from collections.abc import Iterator

import pytest

from h2o_otel import counters
from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.errors import ErrorCode, LocalProtocolError
from h2o_otel.hpack.encoder import Encoder
from tests.support.counting import nonzero
from tests.support.hpack import Fields, Sender, decoded, receiver, refused

GET: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


# -- what cannot be sent


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ((b"", b"x"), "field_name_empty"),
        ((b"Accept", b"x"), "field_name_invalid"),
        ((b"a\r\nb", b"x"), "field_name_invalid"),
        ((b"a", b"x\r\ny: z"), "field_value_invalid"),
        ((b"a", b"x\x00"), "field_value_invalid"),
        ((b"a", b" x"), "field_value_invalid"),
        ((b"a", b"x\t"), "field_value_invalid"),
        ((b"cookie", b"x\n"), "field_value_invalid"),
        ((b"connection", b"close"), "field_connection_specific"),
        ((b"transfer-encoding", b""), "field_connection_specific"),
        ((b"te", b"gzip"), "field_te"),
        ((b"content-length", b"1x"), "content_length_invalid"),
        ((b"content-length", b""), "content_length_invalid"),
        ((b":version", b"2"), "pseudo_unknown"),
        ((b":path", b"/x"), "pseudo_after_field"),
    ],
)
def test_refused_field(field: tuple[bytes, bytes], token: str) -> None:
    sender = Sender()
    error = refused(sender, [*GET, (b"new", b"value"), field])
    assert (error.rule, error.scope, error.initiator, error.code) == (token, "stream", "user", ErrorCode.PROTOCOL_ERROR)
    assert decoded(sender.block(GET)) == GET


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ((b":method", b"G T"), "method_invalid"),
        ((b":scheme", b"1http"), "scheme_invalid"),
        ((b":authority", b""), "authority_invalid"),
        ((b":authority", b"user@host"), "authority_invalid"),
        ((b":path", b""), "path_invalid"),
        ((b":path", b"x"), "path_invalid"),
        ((b":path", b"/a b"), "path_invalid"),
        ((b":status", b"99"), "status_invalid"),
        ((b":status", b"600"), "status_invalid"),
    ],
)
def test_refused_pseudo_header(field: tuple[bytes, bytes], token: str) -> None:
    assert refused(Sender(), [field]).rule == token


def test_pseudo_header_twice() -> None:
    assert refused(Sender(), [*GET, (b":path", b"/b")]).rule == "pseudo_duplicate"


def test_message_of_a_refusal() -> None:
    with pytest.raises(LocalProtocolError, match=r"cannot be sent: field name b'Accept' is not a lower-case token \(RFC 9113 §8.2.1\)"):
        Sender().block([(b"Accept", b"x")])


def test_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Sender().block([(b"X" * 100_000, b"x")])
    assert len(str(caught.value)) < 200


def test_te_trailers_is_allowed() -> None:
    fields = [(b"te", b"trailers")]
    assert decoded(Sender().block(fields)) == fields


def test_trailers_without_pseudo_headers() -> None:
    sender = Sender()
    assert decoded(sender.trailers([(b"grpc-status", b"0")])) == [(b"grpc-status", b"0")]
    with pytest.raises(LocalProtocolError) as caught:
        sender.trailers([(b":status", b"200")])
    assert caught.value.rule == "pseudo_in_trailers"


def test_check_of_later_trailers() -> None:
    sender = Sender()
    sender.encoder.check([(b"grpc-status", b"0")])
    for field, token in (
        ((b":path", b"/"), "pseudo_in_trailers"),
        ((b"A", b""), "field_name_invalid"),
        ((b"a", b"\n"), "field_value_invalid"),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            sender.encoder.check([field])
        assert caught.value.rule == token
    assert sender.out.size() == 0


# -- all or nothing


def test_failed_block_takes_back_its_insertions() -> None:
    sender, decoder = Sender(), receiver()
    decoder.decode_block(sender.block([(b"a", b"1"), (b"b", b"1")]))
    refused(sender, [(b"a", b"2"), (b"c", b"1"), (b"a", b"3"), (b"BAD", b"")])
    for fields in ([(b"a", b"9")], [(b"a", b"2"), (b"b", b"1"), (b"c", b"1")]):
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()


def test_failed_block_with_evictions_begins_again() -> None:
    sender, decoder = Sender(200), receiver()
    decoder.decode_block(sender.block([(b"a", b"1" * 60), (b"b", b"2" * 60)]))
    with pytest.raises(LocalProtocolError):
        sender.block([(b"c", b"3" * 60), (b"d", b"4" * 60), (b"BAD", b"")])
    fields = [(b"a", b"1" * 60), (b"d", b"4" * 60)]
    block = sender.block(fields)
    # Size 0, then 200 again.
    assert block.startswith(bytes.fromhex("203fa901"))
    assert decoder.decode_block(block) == fields
    assert decoder.table.entries() == sender.encoder.table.entries()
    assert decoder.table.capacity == 200


def test_failed_block_keeps_the_size_update_due() -> None:
    sender, decoder = Sender(), receiver()
    decoder.decode_block(sender.block([(b"a", b"1")]))
    sender.encoder.set_table_size(50)
    decoder.set_allowed_table_size(50)
    with pytest.raises(LocalProtocolError):
        sender.block([(b"BAD", b"")])
    assert decoder.decode_block(sender.block([(b"a", b"1")])) == [(b"a", b"1")]
    assert decoder.table.capacity == sender.encoder.table.capacity == 50
    assert decoder.table.entries() == sender.encoder.table.entries()


@pytest.mark.parametrize("bad", [(b"a", "text"), ("a", b"b"), (b"a", None), (None, b"b"), (b"a",), 7])
def test_wrong_types_leave_nothing(bad: object) -> None:
    sender, decoder = Sender(), receiver()
    with pytest.raises((TypeError, ValueError, AttributeError, LocalProtocolError)):
        sender.block([(b"x", b"y"), bad])
    assert sender.out.size() == 0
    assert sender.encoder.table.entries() == []
    assert decoder.decode_block(sender.block([(b"x", b"y")])) == [(b"x", b"y")]


def test_failing_iterable_leaves_nothing() -> None:
    def fields() -> Iterator[tuple[bytes, bytes]]:
        yield (b"a", b"b")
        raise KeyError

    sender = Sender()
    with pytest.raises(KeyError):
        sender.block(fields())
    assert (sender.out.size(), sender.encoder.table.entries()) == (0, [])


def test_output_before_the_block_stays() -> None:
    sender = Sender()
    sender.out.write(b"frame header")
    with pytest.raises(LocalProtocolError):
        sender.encoder.encode(sender.out, [(b"a", b"b" * 500), (b"BAD", b"")])
    assert sender.out.take() == b"frame header"


# -- responses


def test_status_of_the_static_table_is_one_octet() -> None:
    assert Sender().response(200) == b"\x88"
    assert Sender().response(404, [(b"a", b"b")])[0] == 0x8D


def test_other_status_is_indexed() -> None:
    sender, decoder = Sender(), receiver()
    for _ in range(2):
        decoder.decode_block(sender.response(201))
        assert (decoder.status, decoder.status_code) == (b"201", 201)
    assert len(sender.response(201)) == 1


@pytest.mark.parametrize("status", [0, 99, 600, -1, 100_000])
def test_status_out_of_range(status: int) -> None:
    sender = Sender()
    with pytest.raises(LocalProtocolError) as caught:
        sender.response(status)
    assert caught.value.rule == "status_invalid"
    assert sender.out.size() == 0


@pytest.mark.parametrize("name", [b":status", b":path"])
def test_no_pseudo_header_beside_the_status(name: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Sender().response(200, [(name, b"200")])


def test_piecewise_block() -> None:
    sender = Sender()
    encoder, out = sender.encoder, sender.out
    encoder.begin(out)
    encoder.status(out, 200)
    encoder.field(out, b"a", b"b")
    encoder.end(out)
    assert out.take() == Sender().response(200, [(b"a", b"b")])


@pytest.mark.parametrize("n", [1, 125, 126, 127, 128, 500])
@pytest.mark.parametrize("octet", [b"a", b"\xff", b"Z"])
def test_either_form_of_a_string(n: int, octet: bytes) -> None:
    fields = [(b"etag", octet * n)]
    block = Sender().block(fields)
    assert decoded(block) == fields
    assert len(block) <= n + 5


# -- counters


def test_counters() -> None:
    sender = Sender()
    block = counters.Snapshot()
    size = len(sender.block([*GET, (b"a", b"b"), (b"authorization", b"x"), (b"etag", b"1")])) + len(sender.block([(b"a", b"b")]))
    block.add_block(sender.counters)
    fields = {name: block.value("hpack_fields", "transmit", name) for name in counters.REPRESENTATIONS}
    assert fields == {"indexed_static": 3, "indexed_dynamic": 1, "literal_indexed": 2, "literal_plain": 1, "literal_never": 1}
    assert block.value("hpack_size", "transmit", "encoded") == size
    assert (
        block.value("hpack_size", "transmit", "plain")
        == sum(len(n) + len(v) for n, v in [*GET, (b"a", b"bab"), (b"authorization", b"x")]) + 5
    )
    assert block.value("hpack_table_size", "client", "transmit") == sender.encoder.table.size
    assert block.value("hpack_table_capacity", "client", "transmit") == 4096


def test_evictions_and_time_are_counted() -> None:
    sender = Sender(100)
    for i in range(128):
        sender.block([(b"a", b"%d" % i), (b"a", b"%d" % (i // 2))])
    block = counters.Snapshot()
    block.add_block(sender.counters)
    assert block.value("hpack_table_evictions", "transmit") == sender.encoder.table.evictions > 0
    assert block.value("hpack_time_ns", "transmit") > 0


@pytest.mark.parametrize("role", [counters.CLIENT, counters.SERVER])
def test_counters_of_responses(role: int) -> None:
    """Fields by their representation, octets with and without coding, and the table, which leaves nothing behind."""
    block = counters.Counters()
    encoder, out = Encoder(block, role), OutputBuffer(block, 64)
    octets = 0
    for status in (200, 299):
        encoder.encode_response(out, status, [(b"x-test", b"1"), (b"etag", b"x"), (b"authorization", b"y")])
        octets += len(out.take())
    # The etag that comes again is indexed after all.
    wanted = {"indexed_static": 1, "indexed_dynamic": 1, "literal_indexed": 3, "literal_plain": 1, "literal_never": 2}
    assert nonzero(block, "hpack_fields") == {("transmit", name): n for name, n in wanted.items()}
    plain = len(b":status200x-test1etagxauthorizationy")
    assert nonzero(block, "hpack_size") == {("transmit", "encoded"): octets, ("transmit", "plain"): 2 * plain}
    key = counters.ROLES[role], "transmit"
    assert nonzero(block, "hpack_table_size") == {key: encoder.table.size}
    assert nonzero(block, "hpack_table_capacity") == {key: encoder.table.capacity}
    for _ in range(2):
        encoder.close()
        assert nonzero(block, "hpack_table_size") == nonzero(block, "hpack_table_capacity") == {}


def test_name_of_the_table_is_not_written_again() -> None:
    """The newest entry with the name stands for it, as far back as it is."""
    sender = Sender(huffman=False)
    sender.block([(b"x-test", b"1")])
    sender.block([(b"x-other", b"1")])
    assert sender.block([(b"x-test", b"2")]) == b"\x7f\x00\x012"
    assert sender.block([(b"x-test", b"3")]) == b"\x7e\x013"


@pytest.mark.parametrize("size", [126, 127, 128, 406, 408, 410, 1000])
def test_long_values_are_huffman_coded_too(size: int) -> None:
    """Five bits for each 0, whatever form the length has."""
    value = b"0" * size
    coded = (5 * size + 7) // 8
    block = Sender().block([(b"authorization", value)])
    # The name is an index of two octets; the length has one, two from 127, and three from 127 + 128.
    assert len(block) == 2 + (1 if coded < 127 else 2 if coded < 255 else 3) + coded
    assert decoded(block) == [(b"authorization", value)]


@pytest.mark.parametrize("status", [100, 103, 200, 599])
def test_statuses(status: int) -> None:
    assert decoded(Sender().response(status)) == [(b":status", b"%d" % status)]


@pytest.mark.parametrize("name_cache", [True, False])
def test_trailers_that_are_refused_leave_what_was_written_before(name_cache: bool) -> None:
    sender = Sender(name_cache=name_cache)
    sender.encoder.encode(sender.out, GET)
    sender.encoder.encode_trailers(sender.out, [(b"x-first", b"1")])
    for field in ((b":path", b"/"), (b"Upper", b"x"), (b"Upper", b"x"), (b"a", b"\n")):
        size = sender.out.size()
        with pytest.raises(LocalProtocolError):
            sender.encoder.encode_trailers(sender.out, [(b"x-second", b"1"), field])
        assert sender.out.size() == size
    assert decoded(sender.out.take())[:4] == GET


def test_request_after_trailers() -> None:
    sender = Sender()
    sender.trailers([(b"a", b"b")])
    assert decoded(sender.block(GET)) == GET
