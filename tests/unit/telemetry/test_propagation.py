"""W3C Trace Context and Baggage: what is taken and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.telemetry.propagation import (
    format_baggage,
    format_traceparent,
    parse_baggage,
    parse_traceparent,
    parse_tracestate,
    read_headers,
)

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
SPAN = 0xB7AD6B7169203331
GOOD = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_traceparent_is_read():
    assert parse_traceparent(GOOD) == (TRACE, SPAN, 1)


@pytest.mark.parametrize("value", [b" " + GOOD, GOOD + b"\t", b"\t " + GOOD + b" "])
def test_blank_around_is_ignored(value):
    assert parse_traceparent(value) == (TRACE, SPAN, 1)


@pytest.mark.parametrize(
    ("flags", "kept"), [(b"00", 0), (b"01", 1), (b"02", 2), (b"03", 3), (b"ff", 3), (b"0a", 2), (b"09", 1), (b"f0", 0)]
)
def test_unknown_flags_are_dropped(flags, kept):
    assert parse_traceparent(GOOD[:53] + flags) == (TRACE, SPAN, kept)


def test_later_version_may_carry_more():
    assert parse_traceparent(b"cc" + GOOD[2:] + b"-what-the-future-will-be") == (TRACE, SPAN, 1)
    assert parse_traceparent(b"cc" + GOOD[2:]) == (TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-",
        GOOD + b"-more",
        b"cc" + GOOD[2:] + b".more",
        b"ff" + GOOD[2:],
        b"0g" + GOOD[2:],
        GOOD.upper(),
        GOOD.replace(b"-", b"_"),
        b"00-" + b"0" * 32 + GOOD[35:],
        GOOD[:36] + b"0" * 16 + GOOD[52:],
        GOOD[:3] + b"+" + GOOD[4:],
        GOOD[:10] + b"_" + GOOD[11:],
        GOOD[:10] + b"-" + GOOD[11:],
        GOOD[:53] + b"0x",
        b" " * 55,
        b"\xff" * 55,
    ],
)
def test_malformed_traceparent_is_none(value):
    assert parse_traceparent(value) is None


@given(st.binary(max_size=80))
def test_traceparent_never_raises(value):
    parse_traceparent(value)
    parse_tracestate(value)
    parse_baggage(value)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_traceparent_round_trip(trace, span, flags):
    assert parse_traceparent(format_traceparent(trace, span, flags)) == (trace, span, flags)


def test_traceparent_is_written_with_leading_zeros():
    assert format_traceparent(1, 2, 0) == b"00-00000000000000000000000000000001-0000000000000002-00"


def test_headers_are_found_and_joined():
    headers = [
        (b"accept", b"*/*"),
        (b"tracestate", b"a=1"),
        (b"traceparent", GOOD),
        (b"baggage", b"x=1"),
        (b"tracestate", b"b=2"),
        (b"baggage", b"y=2"),
    ]
    assert read_headers(headers) == (GOOD, b"a=1,b=2", b"x=1,y=2")
    assert read_headers([(b"host", b"a"), (b"content-len", b"1"), (b"user-agent", b"x"), (b"cookies", b"")]) == (None, None, None)


def test_two_traceparents_are_none():
    parent, _, _ = read_headers([(b"traceparent", GOOD), (b"traceparent", GOOD)])
    assert parent is not None
    assert parse_traceparent(parent) is None


def test_tracestate_members_keep_their_order():
    assert parse_tracestate(b"rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE,,") == [("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")]
    assert parse_tracestate(b"fw529a3039@dt=FfAAAADxAAB") == [("fw529a3039@dt", "FfAAAADxAAB")]


@pytest.mark.parametrize(
    "value",
    [
        b"a=1,a=2",
        b"A=1",
        b"a",
        b"a=1,b",
        b"a=\xff",
        b"=1",
        b"a=",
        b"a =1",
        b",".join(b"k%d=1" % i for i in range(33)),
        b"a=" + b"x" * 600,
    ],
)
def test_malformed_tracestate_is_dropped_whole(value):
    assert parse_tracestate(value) == []


def test_baggage_is_decoded():
    value = b"userId=am%C3%A9lie,serverNode=DF%2028 , isProduction = false;ttl=3, a+b=c+d"
    assert parse_baggage(value) == {"userId": "amélie", "serverNode": "DF 28", "isProduction": "false", "a+b": "c+d"}


def test_malformed_baggage_members_are_left_out():
    assert parse_baggage(b'good=1,bad name=2,novalue,quote="x",x=\xff,=3') == {"good": "1"}
    assert parse_baggage(b"a=" + b"b" * 9000) == {}


@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_.-]{0,10}\Z"), st.text(max_size=20), max_size=8))
def test_baggage_round_trip(entries):
    assert parse_baggage(format_baggage(entries)) == entries


def test_baggage_written_is_bounded():
    value = format_baggage({f"k{i}": "v" * 500 for i in range(100)})
    assert len(value) <= 8192
    assert len(format_baggage({f"k{i}": "v" for i in range(100)}).split(b",")) == 64
    assert format_baggage({"bad name": 1}) == b""
