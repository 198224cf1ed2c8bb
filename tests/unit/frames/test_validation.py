"""Which field sections are a message, in both roles (RFC 9113 section 8.3)."""

from __future__ import annotations

import hpack
import pytest

from h2o_otel import counters
from h2o_otel.protocol.config import ConnectionConfig
from h2o_otel.tuning import Tuning
from tests.support.engine import GET, requesting, serving
from tests.support.wire import block, headers

METHOD, SCHEME, PATH, AUTHORITY = GET
STATUS = (b":status", b"200")
TUNING = Tuning()


@pytest.fixture(params=[True, False], ids=["cached", "each time"], autouse=True)
def tuning(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tuning:
    """Every test of this file passes with and without the cache."""
    made = Tuning(frame_validation_cache=request.param)
    monkeypatch.setattr(f"{__name__}.TUNING", made)
    return made


def request(*fields: tuple[bytes, bytes], connect: bool = True, require_authority: bool = False) -> str:
    """The rule that the request breaks, or ""."""
    _, peer = serving(connect=connect, tuning=TUNING, require_authority=require_authority)
    peer.sends(headers(1, block(*fields), end_stream=True))
    return broken(peer.counted("frame_errors"), accepted=peer.happened() == ["request 1 end"])


def response(*fields: tuple[bytes, bytes]) -> str:
    client, peer = requesting(tuning=TUNING)
    client.send_request(GET, True, peer.now)
    peer.sends(headers(1, block(*fields), end_stream=True))
    return broken(peer.counted("frame_errors"), accepted=peer.happened()[-1:] == ["closed 1"] and 1 not in client.reset_streams)


def broken(found: dict[tuple[str, ...], int], accepted: bool) -> str:
    assert accepted is not bool(found)
    return next(iter(found))[1] if found else ""


@pytest.mark.parametrize("method", [b"GET", b"PATCH", b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~09"])
def test_methods(method: bytes) -> None:
    assert request((b":method", method), SCHEME, PATH, AUTHORITY) == ""


@pytest.mark.parametrize("method", [b"", b"GE T", b"GET\x80", b"G@T", b"GET/"])
def test_bad_methods(method: bytes) -> None:
    assert request((b":method", method), SCHEME, PATH, AUTHORITY) == "method_invalid"


@pytest.mark.parametrize("path", [b"/", b"/a?b=c", b"/%20", b"//", b"/%C3%A9", b"/a;b,c:d@e"])
def test_paths(path: bytes) -> None:
    assert request(METHOD, SCHEME, (b":path", path), AUTHORITY) == ""


@pytest.mark.parametrize("path", [b"", b"a", b"*", b"/a b", b"/a#b", b"/\x7f", b"/\t", b"?a", b"http://a/", b"/\xc3\xa9", b"/a?\x80"])
def test_bad_paths(path: bytes) -> None:
    assert request(METHOD, SCHEME, (b":path", path), AUTHORITY) == "path_invalid"


def test_asterisk_is_for_options() -> None:
    assert request((b":method", b"OPTIONS"), SCHEME, (b":path", b"*"), AUTHORITY) == ""


@pytest.mark.parametrize("authority", [b"a", b"a:80", b"[::1]:443", b"xn--a.example", b"a_b", b"1.2.3.4"])
def test_authorities(authority: bytes) -> None:
    assert request(METHOD, SCHEME, PATH, (b":authority", authority)) == ""
    assert request(METHOD, SCHEME, PATH, (b"host", authority)) == ""
    assert request(METHOD, SCHEME, PATH, (b":authority", authority), (b"host", authority)) == ""


@pytest.mark.parametrize(
    "authority", [b"", b"u@a", b"a b", b"a/", b"a\x80", b"a,b\\", b"<a>", b"a?b", b"a#b", b"a^b", b"a`b", b"a|b", b"a{b}", b'"a"']
)
def test_bad_authorities(authority: bytes) -> None:
    assert request(METHOD, SCHEME, PATH, (b":authority", authority)) == "authority_invalid"
    assert request(METHOD, SCHEME, PATH, (b"host", authority)) == "authority_invalid"


@pytest.mark.parametrize("scheme", [b"http", b"https", b"coap+tcp", b"a.b-c"])
def test_schemes(scheme: bytes) -> None:
    assert request(METHOD, (b":scheme", scheme), PATH, AUTHORITY) == ""


@pytest.mark.parametrize("scheme", [b"", b"1", b"ht tp", b"http:", b"h\xc3"])
def test_bad_schemes(scheme: bytes) -> None:
    assert request(METHOD, (b":scheme", scheme), PATH, AUTHORITY) == "scheme_invalid"


def test_other_schemes_need_no_authority() -> None:
    assert request(METHOD, (b":scheme", b"coap"), PATH) == ""


@pytest.mark.parametrize("missing", [METHOD, SCHEME, PATH])
def test_missing(missing: tuple[bytes, bytes]) -> None:
    assert request(*(field for field in GET if field != missing)) == "pseudo_missing"


def test_authority_may_be_missing_unless_it_is_required() -> None:
    """Health checks of proxies have none; one that is empty, twice or contradicted names no site either, and is malformed."""
    fields = (METHOD, SCHEME, PATH)
    assert request(*fields) == ""
    assert request(*fields, require_authority=True) == "pseudo_missing"
    assert request(*fields, (b"host", b"a"), require_authority=True) == ""
    assert request(*fields, (b":authority", b"")) == "authority_invalid"
    assert request(*fields, (b"host", b"")) == "authority_invalid"
    assert request(*fields, (b"host", b"a"), (b"host", b"a")) == "host_mismatch"
    assert request(METHOD, SCHEME, PATH, (b":authority", b"a"), (b"host", b"b")) == "host_mismatch"
    assert request(METHOD, SCHEME, PATH, (b":authority", b"a"), (b"host", b"")) == "host_mismatch"


@pytest.mark.parametrize("twice", GET)
def test_twice(twice: tuple[bytes, bytes]) -> None:
    assert request(*GET, twice) == "pseudo_duplicate"


@pytest.mark.parametrize("late", GET)
def test_after_a_field(late: tuple[bytes, bytes]) -> None:
    assert request(*(field for field in GET if field != late), (b"a", b"b"), late) == "pseudo_after_field"


def test_order_of_pseudo_fields_is_free() -> None:
    assert request(*reversed(GET)) == ""


def test_status_in_a_request() -> None:
    assert request(*GET, STATUS) == "pseudo_wrong_direction"


CONNECT = (b":method", b"CONNECT")
WEBSOCKET = (b":protocol", b"websocket")


def test_connect() -> None:
    assert request(CONNECT, AUTHORITY) == ""
    assert request(CONNECT) == "connect_pseudo"
    assert request(CONNECT, AUTHORITY, SCHEME) == "connect_pseudo"
    assert request(CONNECT, AUTHORITY, PATH) == "connect_pseudo"


def test_extended_connect() -> None:
    assert request(CONNECT, SCHEME, PATH, AUTHORITY, WEBSOCKET) == ""
    assert request(CONNECT, SCHEME, PATH, AUTHORITY, WEBSOCKET, connect=False) == "protocol_unexpected"
    assert request(METHOD, SCHEME, PATH, AUTHORITY, WEBSOCKET) == "protocol_unexpected"
    for missing in (SCHEME, PATH, AUTHORITY):
        assert request(*(f for f in (CONNECT, SCHEME, PATH, AUTHORITY, WEBSOCKET) if f != missing)) == "pseudo_missing"


@pytest.mark.parametrize("status", [200, 204, 404, 599])
def test_statuses(status: int) -> None:
    assert response((b":status", b"%d" % status)) == ""


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"099", b"600", b"+20", b"2 0", b"\xb2\xb0\xb0"])
def test_bad_statuses(status: bytes) -> None:
    assert response((b":status", status)) == "status_invalid"


def test_status_alone_and_once() -> None:
    assert response((b"a", b"b")) == "pseudo_missing"
    assert response(STATUS, STATUS) == "pseudo_duplicate"
    assert response((b"a", b"b"), STATUS) == "pseudo_after_field"


@pytest.mark.parametrize("field", [*GET, WEBSOCKET])
def test_request_fields_in_a_response(field: tuple[bytes, bytes]) -> None:
    assert response(STATUS, field) == "pseudo_wrong_direction"


@pytest.mark.parametrize("name", [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"])
def test_connection_specific_fields(name: bytes) -> None:
    assert request(*GET, (name, b"x")) == "field_connection_specific"
    assert response(STATUS, (name, b"x")) == "field_connection_specific"


def test_te() -> None:
    assert request(*GET, (b"te", b"trailers")) == ""
    assert request(*GET, (b"te", b"gzip")) == "field_te"


@pytest.mark.parametrize("name", [b"Upper", b"a b", b"a:", b"\x80", b"a\x00", b"a/b"])
def test_names(name: bytes) -> None:
    assert request(*GET, (name, b"x")) == "field_name_invalid"


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\x00b", b" a", b"a ", b"\ta"])
def test_values(value: bytes) -> None:
    assert request(*GET, (b"a", value)) == "field_value_invalid"


@pytest.mark.parametrize("value", [b"", b"a b", b"\x80\xff", b"a\tb"])
def test_good_values(value: bytes) -> None:
    assert request(*GET, (b"a", value)) == ""


def test_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        ConnectionConfig(role=counters.CLIENT).role = counters.SERVER  # type: ignore[misc]


def test_table_keeps_what_is_wrong_with_a_field(tuning: Tuning) -> None:
    _, peer = serving(tuning=tuning)
    theirs = hpack.Encoder()
    for stream_id, rule in [(1, "field_value_invalid"), (3, "field_value_invalid")]:
        encoded = theirs.encode([*GET, (b"x-bad", b"a\nb")])
        peer.sends(headers(stream_id, encoded, end_stream=True))
        assert rule in str(peer.counted("frame_errors"))
    assert len(encoded) < 10
    assert len(peer.gets_frames()) == 2


def test_fields_from_the_table_make_a_message(tuning: Tuning) -> None:
    server, peer = serving(tuning=tuning)
    theirs = hpack.Encoder()
    fields = [*GET, (b"content-length", b"0"), (b"cookie", b"a=b"), (b"x-name", b"value")]
    for stream_id in (1, 3):
        peer.sends(headers(stream_id, theirs.encode(fields), end_stream=True))
        stream = server.streams[stream_id]
        assert (stream.method, stream.path, stream.content_length) == (b"GET", b"/", 0)
        assert stream.headers == fields[4:]
