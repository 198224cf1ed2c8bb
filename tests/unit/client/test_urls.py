from __future__ import annotations

import pytest

from h2o_otel.client.building import _clean
from h2o_otel.client.urls import URL, encode_params
from h2o_otel.errors import InvalidURL, UnsupportedProtocol
from h2o_otel.pool.origin import Origin
from tests.support.judged import requirement


@requirement("9113-8.3.1-6")
@pytest.mark.parametrize(
    ("text", "target", "authority"),
    [
        ("https://example.com", b"/", "example.com"),
        ("HTTPS://Example.COM:443/a", b"/a", "example.com"),
        ("http://h:8080/a b?c=d e#frag", b"/a%20b?c=d%20e", "h:8080"),
        ("http://h/%41%zz", b"/%41%25zz", "h"),
        ("http://h/ä?ö", b"/%C3%A4?%C3%B6", "h"),
        ("https://[::1]:1/x", b"/x", "[::1]:1"),
        ("http://bücher.example/", b"/", "xn--bcher-kva.example"),
        ("http://h?q", b"/?q", "h"),
    ],
)
def test_parts(text: str, target: bytes, authority: str) -> None:
    url = URL(text)
    assert (url.target, url.netloc, url.origin().authority) == (target, authority, authority)


@pytest.mark.parametrize(
    ("host", "ascii_host"),
    [
        ("faß.de", "xn--fa-hia.de"),
        ("FAẞ.de", "xn--fa-hia.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("münchen。de", "xn--mnchen-3ya.de"),
        ("\uff25\uff38ample.com", "example.com"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("نامه‌ای.com", "xn--mgba3gch31f060k.com"),
    ],
)
def test_domain_names_are_those_of_browsers(host: str, ascii_host: str) -> None:
    """IDNA 2008 (RFC 5891) after the mapping of UTS 46, which is not transitional."""
    assert URL(f"https://{host}/").host == ascii_host
    assert URL(f"https://{host}:8443/").netloc == f"{ascii_host}:8443"


@pytest.mark.parametrize("host", ["-é.de", "é..de", "é" * 64 + ".de", "\u2603.net", "é\u200d.de", "é" * 10_000])
def test_what_is_no_domain_name(host: str) -> None:
    with pytest.raises(InvalidURL, match="invalid URL"):
        URL(f"https://{host}/")


@pytest.mark.parametrize("text", ["http://", "http://h:x/", "http://h:70000/", "http://[::1", "http://a b/", "http://a\\b/"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(InvalidURL, match="invalid URL"):
        URL(text)


def test_params() -> None:
    assert encode_params({"a": True, "b": None, "c": [1, "x y"], "d": 1.5}) == "a=true&b=&c=1&c=x+y&d=1.5"
    assert encode_params([("a", 1), ("a", 2)]) == "a=1&a=2"
    assert str(URL("http://h/?x=1").copy_merge_params({"y": 2})) == "http://h/?x=1&y=2"
    assert str(URL("http://h/", "raw=1")) == "http://h/?raw=1"


def test_join_and_compare() -> None:
    assert str(URL("http://h/a/b").join("../c?d")) == "http://h/c?d"
    assert URL("http://H:80/") == "http://h/"
    assert hash(URL("http://h/")) == hash(URL("http://h:80/"))
    assert repr(URL("http://me:secret@h/")) == "URL('http://me:[secure]@h/')"


@pytest.mark.parametrize("target", ["/", "/a-b_c~d.e/%41?x=1&y=[2];@:!$'()*+,", "/%C3%A4"])
def test_clean_targets_are_what_a_url_makes_of_them(target: str) -> None:
    assert _clean(target)
    assert URL(f"http://h{target}").target == target.encode()


@pytest.mark.parametrize(
    "target", ["", "x", "/ ", "/a#b", "/%", "/%4", "/%zz", "/\x7f", "/ä", '/"', "/<", "/\\", "/^", "/`", "/{", "/|", "/a\nb"]
)
def test_targets_that_need_work(target: str) -> None:
    assert not _clean(target)


def test_origins_that_must_not_be_shared() -> None:
    origins = {
        Origin("http", "h", 443),
        Origin("https", "h", 443, 1),
        Origin("https", "h", 443, 2),
        Origin("https", "h", 443, 1, "http://proxy"),
        Origin("https", "h", 443, 1, "", ("h2", "http/1.1")),
    }
    assert len(origins) == 5


def test_other_schemes_are_unsupported() -> None:
    with pytest.raises(UnsupportedProtocol, match="'ftp'; use 'http' or 'https'"):
        URL("ftp://h/")


@pytest.mark.parametrize("wrong", [3, None, b"http://h/", ["http://h/"]])
def test_urls_of_other_types_are_type_errors(wrong: object) -> None:
    with pytest.raises(TypeError, match="give a str or URL"):
        URL(wrong)  # type: ignore[arg-type]
