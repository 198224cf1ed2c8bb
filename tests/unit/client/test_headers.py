from __future__ import annotations

import pytest

from h2o_otel.client.headers import Headers, merged, raw_headers


def test_case_does_not_matter() -> None:
    headers = Headers({"Content-Type": "a", b"X-B": b"b"})
    assert headers["content-TYPE"] == "a"
    assert headers["x-b"] == "b"
    assert "X-b" in headers
    assert "y" not in headers
    assert 1 not in headers
    assert headers.get("y") is None
    with pytest.raises(KeyError):
        headers["y"]


def test_repeated_fields() -> None:
    headers = Headers([("set-cookie", "a=1"), ("x", "1"), ("Set-Cookie", "b=2, c")])
    assert headers["set-cookie"] == "a=1, b=2, c"
    assert headers.get_list("set-cookie") == ["a=1", "b=2, c"]
    assert headers.get_list("set-cookie", split_commas=True) == ["a=1", "b=2", "c"]
    assert headers.multi_items() == [("set-cookie", "a=1"), ("x", "1"), ("set-cookie", "b=2, c")]
    assert (len(headers), list(headers)) == (2, ["set-cookie", "x"])


def test_changes_leave_the_shared_pairs_alone() -> None:
    raw = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    headers = Headers.of_raw(raw)
    headers["A"] = "4"
    headers["c"] = "5"
    del headers["b"]
    headers.update({"c": "6"})
    assert headers.raw == [(b"a", b"4"), (b"c", b"6")]
    assert raw == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    with pytest.raises(KeyError):
        del headers["b"]


def test_values_beyond_ascii() -> None:
    assert Headers({"a": "ä"}).raw == [(b"a", "ä".encode())]
    assert Headers.of_raw([(b"a", b"\xe4"), (b"b", "ä".encode())]).multi_items() == [("a", "ä"), ("b", "ä")]
    with pytest.raises(TypeError, match="'a' is of type int"):
        Headers({"a": 1})


def test_fields_of_one_hop_are_dropped() -> None:
    assert raw_headers({"Connection": "close", "Transfer-Encoding": "chunked", "te": "trailers"}) == [(b"te", b"trailers")]


def test_merged() -> None:
    base = [(b"a", b"1"), (b"b", b"2")]
    assert merged(base, []) is base
    assert merged(base, [(b"a", b"3"), (b"a", b"4")]) == [(b"b", b"2"), (b"a", b"3"), (b"a", b"4")]


def test_secrets_are_not_shown() -> None:
    assert repr(Headers({"authorization": "Bearer x", "a": "1"})) == "Headers({'authorization': '[secure]', 'a': '1'})"
    assert Headers({"a": "1"}) == {"A": "1"}
    assert Headers({"a": "1"}) != {"A": "2"}
