"""RFC 7541 section 5.2: string literals, plain and Huffman-coded."""

from __future__ import annotations

import pytest

from tests.support.hpack import broken, decoded
from tests.support.judged import requirement


@pytest.mark.parametrize("block", ["00", "40", "10", "0001", "000161", "0f00", "04"])
def test_block_ends_inside(block: str) -> None:
    assert broken(block).rule.token in ("hpack_truncated", "hpack_string_too_long")


@requirement("7541-7.4-1")
def test_length_beyond_the_block() -> None:
    error = broken("04056162")
    assert (error.rule.token, error.fields["actual"], error.fields["limit"]) == ("hpack_string_too_long", 5, 2)
    # A gigabyte announced costs nothing.
    assert broken("047f81ffffff03").rule.token == "hpack_string_too_long"
    assert broken("04ff81ffffff03").rule.token == "hpack_string_too_long"


def test_empty_strings() -> None:
    assert decoded("00016100") == [(b"a", b"")]
    assert decoded("00016180") == [(b"a", b"")]


@requirement("7541-5.2-3")
def test_eos_is_an_error() -> None:
    assert broken("000161" + "84ffffffff").rule.token == "hpack_huffman_eos"


@requirement("7541-5.2-1", "7541-5.2-2")
@pytest.mark.parametrize(
    "coded",
    [
        "81ff",  # 8 bits of padding and nothing else
        "821fff",  # 'a', then 11 bits of ones
        "831fffff",  # 'a', then 19 bits of ones
        "8118",  # 'a', padded with zeros
        "811c",  # 'a', padded with 100
        "83fffffe",  # the beginning of a code that does not end
    ],
)
def test_padding(coded: str) -> None:
    assert broken("000161" + coded).rule.token == "hpack_huffman_padding"


@requirement("7541-5.2-2")
@pytest.mark.parametrize(("coded", "text"), [("811f", b"a"), ("8107", b"0"), ("81f8", b"&"), ("82f8ff", None)])
def test_padding_of_ones(coded: str, text: bytes | None) -> None:
    # '&' fills its octet: a further octet of ones is no padding.
    if text is None:
        assert broken("000161" + coded).rule.token == "hpack_huffman_padding"
    else:
        assert decoded("000161" + coded) == [(b"a", text)]


def test_huffman_name() -> None:
    assert decoded("008825a849e95ba97d7f00") == [(b"custom-key", b"")]
