"""RFC 9113 sections 8.3, 8.5 and 8.6: pseudo-header fields, CONNECT, and the status that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.judged import (
    STARTING,
    accepted,
    asked_server,
    client,
    message,
    requirement,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import (
    block,
    data,
    headers,
    integer,
    priority,
    request_block,
    response_block,
    rst_stream,
    settings_ack,
    window_update,
)

METHOD, SCHEME, PATH, AUTHORITY = GET
OPTIONS, CONNECT = (b":method", b"OPTIONS"), (b":method", b"CONNECT")
STATUS = (b":status", b"200")


def malformed(rule: str, *fields: tuple[bytes, bytes]) -> None:
    for end_stream in (True, False):
        stream_error(server(), rule, headers(1, block(*fields), end_stream=end_stream))


def well_formed(*fields: tuple[bytes, bytes]) -> Peer:
    peer = server()
    assert accepted(peer, headers(1, block(*fields))) == ["request 1"]
    return peer


def not_sent(*fields: tuple[bytes, bytes]) -> None:
    peer = client()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_request(list(fields), True, peer.now)
    peer.gets()


# -- 8.3


@requirement("9113-8.3-1")
@pytest.mark.parametrize("name", [b":test", b":version", b":x", b":method2", b":host"])
def test_pseudo_fields_that_are_not_defined(name: bytes) -> None:
    malformed("pseudo_unknown", *GET, (name, b"x"))
    stream_error(waiting_client(), "pseudo_unknown", headers(1, block(STATUS, (name, b"x"))))
    not_sent(*GET, (name, b"x"))
    peer = asked_server()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_response(peer.connection.streams[1], 200, [(name, b"x")], True, peer.now)
    peer.gets()


@requirement("9113-8.3-2")
def test_pseudo_fields_of_the_other_direction() -> None:
    malformed("pseudo_wrong_direction", *GET, STATUS)
    not_sent(*GET, STATUS)
    for field in (*GET, (b":protocol", b"websocket")):
        stream_error(waiting_client(), "pseudo_wrong_direction", headers(1, block(STATUS, field)))
        peer = asked_server()
        with pytest.raises(LocalProtocolError):
            peer.connection.send_response(peer.connection.streams[1], 200, [field], True, peer.now)
        peer.gets()


@requirement("9113-8.3-3")
@pytest.mark.parametrize("late", GET)
def test_pseudo_field_behind_a_regular_one(late: tuple[bytes, bytes]) -> None:
    fields = [*(field for field in GET if field != late), (b"a", b"b"), late]
    malformed("pseudo_after_field", *fields)
    not_sent(*fields)


@requirement("9113-8.3-3")
def test_status_behind_a_regular_field() -> None:
    stream_error(waiting_client(), "pseudo_after_field", headers(1, block((b"a", b"b"), STATUS)))


@requirement("9113-8.3-4")
@pytest.mark.parametrize("twice", GET)
def test_pseudo_field_twice(twice: tuple[bytes, bytes]) -> None:
    malformed("pseudo_duplicate", *GET, twice)
    malformed("pseudo_duplicate", *GET, (twice[0], twice[1] + b"x"))
    not_sent(*GET, twice)


@requirement("9113-8.3-4", "9113-8.3.2-1")
def test_status_twice() -> None:
    stream_error(waiting_client(), "pseudo_duplicate", headers(1, block(STATUS, STATUS)))


# -- 8.3.1


@requirement("9113-8.3.1-1")
@pytest.mark.parametrize("missing", [METHOD, SCHEME, PATH])
def test_pseudo_field_missing(missing: tuple[bytes, bytes]) -> None:
    fields = [field for field in GET if field != missing]
    malformed("pseudo_missing", *fields)
    not_sent(*fields)


@requirement("9113-8.3.1-1")
def test_pseudo_fields_invalid() -> None:
    for method in (b"", b"GE T", b"GET\x00", b"G(T"):
        malformed("method_invalid", (b":method", method), SCHEME, PATH, AUTHORITY)
    for scheme in (b"", b"ht tp", b"1http", b"http://"):
        malformed("scheme_invalid", METHOD, (b":scheme", scheme), PATH, AUTHORITY)
    for method in (b"GET", b"QUERY", b"M-SEARCH"):
        well_formed((b":method", method), SCHEME, PATH, AUTHORITY)


@requirement("9113-8.3.1-2", "9113-10.3-1")
@pytest.mark.parametrize("authority", [b"user@example.com", b"user:password@example.com", b"@example.com"])
def test_user_information(authority: bytes) -> None:
    malformed("authority_invalid", METHOD, SCHEME, PATH, (b":authority", authority))


@requirement("9113-8.3.1-2", "9113-10.3-1")
@pytest.mark.parametrize("authority", [b"", b"a b", b"a/b", b"a\\b", b"a?b", b"a#b", b"\x80"])
def test_authority_that_is_none(authority: bytes) -> None:
    malformed("authority_invalid", METHOD, SCHEME, PATH, (b":authority", authority))


@requirement("9113-8.3.1-4")
@pytest.mark.parametrize("host", [b"example.org", b"example.com:80", b"", b"example.com, example.org"])
def test_host_that_differs(host: bytes) -> None:
    malformed("host_mismatch", *GET, (b"host", host))


@requirement("9113-8.3.1-4")
def test_host_that_agrees_or_stands_alone() -> None:
    well_formed(*GET, (b"host", b"example.com"))
    assert well_formed(METHOD, SCHEME, PATH, (b"host", b"example.com")).connection.streams[1].authority is None
    assert well_formed(METHOD, SCHEME, PATH).connection.streams[1].headers == []
    malformed("host_mismatch", METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"b"))


@requirement("9113-8.3.1-4")
@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (b"https", b"example.com", b"Example.COM"),
        (b"https", b"example.com", b"example.com:443"),
        (b"https", b"EXAMPLE.com:443", b"example.com"),
        (b"http", b"example.com:80", b"example.com:"),
        (b"http", b"[::A]", b"[::a]:80"),
    ],
)
def test_host_that_is_the_same_in_other_words(scheme: bytes, authority: bytes, host: bytes) -> None:
    """The two are compared once normalized, as section 8.3.1 says; what the application is told is :authority."""
    well_formed(METHOD, (b":scheme", scheme), PATH, (b":authority", authority), (b"host", host))


@requirement("9113-8.3.1-4")
@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (b"http", b"example.com", b"example.com:443"),
        (b"https", b"example.com:8443", b"example.com"),
        (b"https", b"example.com:4430", b"example.com:443"),
        (b"ftp", b"example.com", b"example.com:80"),
        (b"https", b"example.com", b":443"),
    ],
)
def test_host_with_another_port(scheme: bytes, authority: bytes, host: bytes) -> None:
    malformed("host_mismatch", METHOD, (b":scheme", scheme), PATH, (b":authority", authority), (b"host", host))


@requirement("9113-8.3.1-5", "9113-10.3-1")
@pytest.mark.parametrize(
    "path", [b"", b"a", b"?a", b"*", b"http://example.com/", b"/a b", b"/a\tb", b"/a#b", b"/\x7f", b"/\xc3\xa9", b"/?\xff"]
)
def test_path_that_is_none(path: bytes) -> None:
    malformed("path_invalid", METHOD, SCHEME, (b":path", path), AUTHORITY)


@requirement("9113-8.3.1-5")
def test_path_of_options() -> None:
    well_formed(OPTIONS, SCHEME, (b":path", b"*"), AUTHORITY)
    well_formed(OPTIONS, SCHEME, (b":path", b"/*"), AUTHORITY)
    malformed("path_invalid", OPTIONS, SCHEME, (b":path", b"**"), AUTHORITY)


@requirement("9113-8.3.1-4")
def test_host_that_differs_in_connect() -> None:
    malformed("host_mismatch", CONNECT, (b":authority", b"a:1"), (b"host", b"b:1"))
    malformed("host_mismatch", CONNECT, (b":protocol", b"websocket"), SCHEME, PATH, AUTHORITY, (b"host", b"example.org"))
    well_formed(CONNECT, (b":authority", b"a:1"), (b"host", b"A:1"))
    malformed("host_mismatch", CONNECT, (b":authority", b"a:80"), (b"host", b"a"))


# -- 8.3.2


@requirement("9113-8.3.2-1")
@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"2x0", b" 200", b"+20", b"099", b"600", b"\xb2\xb0\xb0"])
def test_status_that_is_none(status: bytes) -> None:
    peer = waiting_client()
    peer.sends(headers(1, block((b":status", status)), end_stream=True))
    (error,) = peer.errors()
    assert (error.rule, error.code) in (("status_invalid", 1), ("field_value_invalid", 1))


@requirement("9113-8.3.2-1")
def test_status_missing() -> None:
    stream_error(waiting_client(), "pseudo_missing", headers(1, block((b"a", b"b"))))
    stream_error(waiting_client(), "pseudo_missing", headers(1, b"", end_stream=True))


@requirement("9113-8.3.2-1")
@pytest.mark.parametrize("status", [200, 204, 299, 404, 599])
def test_status_that_we_send(status: int) -> None:
    """Read back by another implementation of the same rules."""
    peer = asked_server()
    peer.connection.send_response(peer.connection.streams[1], status, [], True, peer.now)
    other = waiting_client()
    assert accepted(other, peer.connection.data_to_send()) == [f"response 1 {status} end", "closed 1"]


# -- 8.5


def connect(*fields: tuple[bytes, bytes]) -> bytes:
    return headers(1, block(CONNECT, (b":authority", b"example.com:443"), *fields))


def tunnel(role: Any) -> Peer:
    connection, peer = role()
    if role is serving:
        peer.sends(connect())
        connection.send_response(connection.streams[1], 200, [], False, peer.now)
    else:
        connection.send_request([CONNECT, (b":authority", b"example.com:443")], False, peer.now)
        peer.sends(headers(1, response_block(200, (b"content-length", b"7"))))
    peer.forget()
    return peer


@requirement("9113-8.5-1")
def test_connect_that_we_send() -> None:
    not_sent(CONNECT)
    not_sent(CONNECT, SCHEME, PATH, AUTHORITY)
    not_sent(CONNECT, SCHEME, AUTHORITY)
    not_sent(CONNECT, PATH, AUTHORITY)
    peer = client()
    peer.connection.send_request([CONNECT, (b":authority", b"example.com:443")], False, peer.now)
    other = server()
    assert accepted(other, peer.connection.data_to_send()) == ["request 1"]
    stream = other.connection.streams[1]
    assert (stream.method, stream.authority, stream.scheme, stream.path) == (b"CONNECT", b"example.com:443", None, None)


@requirement("9113-8.5-2")
@pytest.mark.parametrize(
    "fields",
    [[CONNECT], [CONNECT, SCHEME, AUTHORITY], [CONNECT, PATH, AUTHORITY], [CONNECT, SCHEME, PATH, AUTHORITY], [CONNECT, (b"host", b"a:1")]],
)
def test_connect_of_another_form(fields: list[tuple[bytes, bytes]]) -> None:
    malformed("connect_pseudo", *fields)


@requirement("9113-8.5-3")
@pytest.mark.parametrize("role", [serving, requesting])
@pytest.mark.parametrize("end_stream", [True, False])
def test_headers_in_a_tunnel(role: Any, end_stream: bool) -> None:
    stream_error(tunnel(role), "connect_frame", headers(1, block((b"a", b"b")), end_stream=end_stream))


@requirement("9113-8.5-3")
@pytest.mark.parametrize("role", [serving, requesting])
def test_what_a_tunnel_takes(role: Any) -> None:
    peer = tunnel(role)
    octets = (data(1, b"x" * 9), window_update(1, 1), priority(1, 3), data(1, b"y"))
    assert accepted(peer, *octets) == ["data 1 xxxxxxxxx", "data 1 y"]
    assert accepted(peer, data(1, end_stream=True)) == ["data 1  end"]
    peer = tunnel(role)
    peer.sends(rst_stream(1, 0xA))
    peer.sees("reset 1 rst_stream_received CONNECT_ERROR by remote", "closed 1")


@requirement("9113-8.5-3")
@pytest.mark.parametrize("role", [serving, requesting])
def test_no_trailers_into_a_tunnel(role: Any) -> None:
    peer = tunnel(role)
    with pytest.raises(LocalProtocolError, match="trailers of CONNECT"):
        peer.connection.send_trailers(peer.connection.streams[1], [(b"a", b"b")], peer.now)
    peer.gets()


@requirement("9113-8.5-3")
def test_refusal_of_a_tunnel_is_a_response_like_any() -> None:
    connection, peer = requesting()
    connection.send_request([CONNECT, (b":authority", b"a:1")], False, peer.now)
    peer.forget()
    octets = (headers(1, response_block(502, (b"content-length", b"2"))), data(1, b"no"), headers(1, block((b"a", b"b")), end_stream=True))
    assert accepted(peer, *octets) == ["response 1 502", "data 1 no", "trailers 1"]


@requirement("9113-10.5.2-1")
def test_tunnels_count_as_streams() -> None:
    peer = tunnel(serving)
    assert peer.connection.streams_remote == 1
    peer.connection.update_settings([(3, 1)], peer.now)
    peer.sends(settings_ack())
    peer.forget()
    stream_error(peer, "streams_exceeded", headers(3, request_block(), end_stream=True), stream_id=3)


# -- 8.6


@requirement("9113-8.6-1")
def test_101() -> None:
    stream_error(waiting_client(), "status_101", headers(1, block((b":status", b"101"))))
    peer = asked_server()
    stream = peer.connection.streams[1]
    with pytest.raises(LocalProtocolError):
        peer.connection.send_informational(stream, 101, [], peer.now)
    with pytest.raises(LocalProtocolError):
        peer.connection.send_response(stream, 101, [], True, peer.now)
    peer.gets()


@requirement("9113-10.5.1-1")
@pytest.mark.parametrize("make", STARTING)
def test_section_beyond_our_limits(make: Any) -> None:
    """The stream alone ends, and the entries that the block made are in the table."""
    large = b"\x40\x01b" + integer(4000, 7) + b"x" * 4000 + b"\xbe" * 16
    for many, rule in ((block((b"a", b"")) * 257, "header_fields_too_many"), (large, "header_list_too_large")):
        peer = make()
        stream_error(peer, rule, headers(1, message(peer) + many + b"\x40\x01a\x01b", end_stream=True))
        assert peer.connection.decoder.table.entries()[0] == (b"a", b"b")


@requirement("9113-8.5-3")
@pytest.mark.parametrize(("status", "tunnels"), [(200, True), (299, True), (300, False), (407, False)])
def test_only_a_status_of_2xx_makes_a_tunnel(status: int, tunnels: bool) -> None:
    """Any other answers CONNECT with a response like any: with a length, and with trailers."""
    connection, peer = requesting()
    connection.send_request([CONNECT, AUTHORITY], False, peer.now)
    peer.sends(headers(1, response_block(status, (b"content-length", b"3"))))
    peer.forget()
    trailers = headers(1, block((b"a", b"b")), end_stream=True)
    if tunnels:
        accepted(peer, data(1, b"more than three"))
        stream_error(peer, "connect_frame", trailers)
    else:
        assert accepted(peer, data(1, b"abc"), trailers) == ["data 1 abc", "trailers 1"]


@requirement("9113-8.1.1-3")
@pytest.mark.parametrize("status", [204, 304])
def test_content_length_of_what_has_no_content(status: int) -> None:
    connection, peer = requesting()
    for end_stream in (True, False):
        connection.send_request([METHOD, SCHEME, PATH, AUTHORITY], True, peer.now)
        peer.forget()
        stream_id = connection.next_stream_id - 2
        octets = headers(stream_id, response_block(status, (b"content-length", b"3")), end_stream=end_stream)
        if end_stream:
            accepted(peer, octets)
        else:
            stream_error(peer, "content_length_mismatch", octets, data(stream_id, b"abc"), stream_id=stream_id)
