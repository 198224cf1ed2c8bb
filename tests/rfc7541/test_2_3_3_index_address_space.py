"""RFC 7541 section 2.3.3: the static table, then the dynamic table from its newest entry."""

from __future__ import annotations

from tests.support.hpack import broken, decoded, plain, receiver
from tests.support.judged import requirement


def test_static_then_dynamic() -> None:
    decoder = receiver()
    decoded(plain((b"a", b"1"), (b"b", b"2"), index=True), decoder)
    assert decoded(bytes([0x80 | 62, 0x80 | 63, 0x80 | 15]), decoder) == [(b"b", b"2"), (b"a", b"1"), (b"accept-charset", b"")]


@requirement("7541-2.3.3-1")
def test_index_beyond_the_tables() -> None:
    error = broken(bytes([0x80 | 62]))
    assert (error.rule.token, error.fields["actual"], error.fields["limit"]) == ("hpack_index_unknown", 62, 61)


@requirement("7541-2.3.3-1")
def test_name_index_beyond_the_tables() -> None:
    # literal without indexing, name at 62
    assert broken("0f2f0161").rule.token == "hpack_index_unknown"
    # literal with indexing, name at 62
    assert broken("7e0161").rule.token == "hpack_index_unknown"


@requirement("7541-2.3.3-1")
def test_evicted_entry_is_unknown() -> None:
    decoder = receiver()
    decoded(plain((b"a", b"1"), index=True), decoder)
    decoded("203fe11f", decoder)
    assert broken(bytes([0x80 | 62]), decoder).rule.token == "hpack_index_unknown"
