"""RFC 7541 section 7.1.3: secrets are never indexed, here or by any hop."""

from __future__ import annotations

import pytest

from tests.support.hpack import Sender
from tests.support.judged import requirement


@requirement("7541-7.1.3-1")
@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization"])
def test_credentials(name: bytes, adaptive: bool) -> None:
    sender = Sender(adaptive=adaptive)
    for _ in range(3):
        block = sender.block([(name, b"Bearer " + b"x" * 40)])
        assert block[0] & 0xF0 == 0x10
    assert sender.encoder.table.entries() == []


@requirement("7541-7.1.3-1")
def test_short_cookies() -> None:
    sender = Sender()
    assert sender.block([(b"cookie", b"a" * 19)])[0] & 0xF0 == 0x10
    assert sender.encoder.table.entries() == []
    assert sender.block([(b"cookie", b"a" * 20)])[0] & 0xC0 == 0x40
    assert sender.encoder.table.entries() == [(b"cookie", b"a" * 20)]


@requirement("7541-7.1.3-1")
def test_set_cookie() -> None:
    sender = Sender()
    assert sender.block([(b"set-cookie", b"a" * 40)])[0] & 0xF0 == 0x10
    assert sender.encoder.table.entries() == []
