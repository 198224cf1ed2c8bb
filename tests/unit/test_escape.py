"""Escaping of a peer's text over all of Unicode: no control, format or line-breaking character remains."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.escape import SHOWN_MAX, escaped, escaped_lines, is_plain

# Not from the module: what Unicode says of each character, and the invisible ones that have an innocent category.
DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
RANGES = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
INVISIBLE = {code for first, last in RANGES for code in range(first, last + 1)}


def test_every_code_point_is_shown_or_escaped() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        shown = escaped(f"a{character}b")
        if unicodedata.category(character) in DANGEROUS or code in INVISIBLE:
            assert shown.isascii(), hex(code)
            assert shown.isprintable(), hex(code)
            assert f"{code:x}" in shown or character in "\n\r\t", hex(code)
        elif unicodedata.category(character) != "Zs":
            assert shown == f"a{character}b", hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/plain?x=1", "/plain?x=1"),
        ("Füße 漢字 🙂", "Füße 漢字 🙂"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b2J", "\\x9b2J"),
        ("\x1bP$q\x1b\\", "\\x1bP$q\\x1b\\"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("a\r\nb\tc\x00\x7f", "a\\r\\nb\\tc\\x00\\x7f"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041\U0001bca0", "\\U000e0041\\U0001bca0"),
        ("\u00a0\u3000", "\\xa0\\u3000"),
        (b"/\xff\xc3\xa4\x1b", "/\\xffä\\x1b"),
        ("", ""),
    ],
)
def test_shown(text: str | bytes, shown: str) -> None:
    assert escaped(text) == shown


def test_length_is_bounded() -> None:
    assert escaped("x" * SHOWN_MAX) == "x" * SHOWN_MAX
    assert escaped("x" * (SHOWN_MAX + 5)) == "x" * SHOWN_MAX + "... (5 more)"
    assert escaped(b"\xc3\xa4" * 4, 5) == "ää\\xc3... (3 more)"
    assert len(escaped("\U000e0041" * 1_000_000, 100)) < 1100


@given(st.text(alphabet=st.characters(categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Lu", "Mn", "Zs"))), st.integers(0, 40))
def test_any_text_becomes_plain(text: str, limit: int) -> None:
    assert is_plain(escaped(text, limit))
    assert escaped(escaped(text)) == escaped(text) or len(text) * 10 > SHOWN_MAX


@given(st.binary(), st.integers(0, 40))
def test_any_octets_become_plain(octets: bytes, limit: int) -> None:
    assert is_plain(escaped(octets, limit))


def test_lines_stay_lines_and_the_last_ones_are_kept() -> None:
    assert escaped_lines("first\nsecond\x1b\r\n\u2028third\n", 100) == "first\nsecond\\x1b\\r\n\\u2028third\n"
    assert escaped_lines("a" * 50 + "\nend", 6) == "aa\nend"
