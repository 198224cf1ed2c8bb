from __future__ import annotations

import pytest

from h2o_otel.hpack import kinds, names


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        (b"", kinds.NAME_EMPTY),
        (b"Accept", kinds.NAME_INVALID),
        (b"a b", kinds.NAME_INVALID),
        (b"a:", kinds.NAME_INVALID),
        (b"a\x00", kinds.NAME_INVALID),
        (b"\xe4", kinds.NAME_INVALID),
        (b"connection", kinds.CONNECTION_SPECIFIC),
        (b"keep-alive", kinds.CONNECTION_SPECIFIC),
        (b"proxy-connection", kinds.CONNECTION_SPECIFIC),
        (b"transfer-encoding", kinds.CONNECTION_SPECIFIC),
        (b"upgrade", kinds.CONNECTION_SPECIFIC),
        (b":", kinds.PSEUDO_UNKNOWN),
        (b":version", kinds.PSEUDO_UNKNOWN),
        (b":Path", kinds.PSEUDO_UNKNOWN),
        (b":path", kinds.FLAWLESS),
        (b"!#$%&'*+-.^_`|~09az", kinds.FLAWLESS),
    ],
)
def test_flaw_of_name(name: bytes, flaw: int) -> None:
    assert names.name_of(name, 1024).flaw == flaw


def test_found_again_is_the_same_object() -> None:
    first = names.name_of(b"x-seen-" + b"twice", 1024)
    assert names.name_of(b"x-seen-twice", 1024) is first
    assert names.name_of(b"x-seen-" + b"twice", 1024).text is first.text


def test_cache_is_bounded_and_keeps_known_names() -> None:
    path = names.name_of(b":path", 8)
    for i in range(100):
        names.name_of(b"x-made-up-%d" % i, 8)
    assert sum(names.name_of_known(b"x-made-up-%d" % i) is not None for i in range(100)) <= 8
    assert names.name_of(b":path", 8) is path


def test_long_names_are_not_kept() -> None:
    long = b"x" * 65
    assert names.name_of(long, 1024).text == long
    assert names.name_of_known(long) is None


def test_malformed_names_are_kept_like_others_and_bounded_with_them() -> None:
    for name in (b"UPPER", b"sp ace", b""):
        assert names.name_of(name, 1024) is names.name_of(name, 1024)
    for i in range(100):
        names.name_of(b"Made-Up-%d" % i, 8)
    assert sum(names.name_of_known(b"Made-Up-%d" % i) is not None for i in range(100)) <= 8


def test_no_cache() -> None:
    assert names.name_of(b"x-uncached", 0).flaw == 0
    assert names.name_of_known(b"x-uncached") is None


def test_every_flaw_has_its_rule() -> None:
    flaws = {n: v for n, v in vars(kinds).items() if isinstance(v, int) and n.endswith(("_INVALID", "_EMPTY", "_SPECIFIC", "_UNKNOWN"))}
    for flaw in [*flaws.values(), kinds.PSEUDO_AFTER, kinds.PSEUDO_TWICE, kinds.PSEUDO_TRAILERS]:
        rule = names.FLAWS[flaw]
        assert rule is not None
        assert rule.scope == "stream"
