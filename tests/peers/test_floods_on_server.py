"""Floods of frames on the running server: each ends with a GOAWAY that arrives, one line of the log, and no harm to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest

from h2o_otel.limits import EngineLimits, ServerLimits
from tests.support import backends, wire
from tests.support.siege import post, request, siege
from tests.support.wire import continuation, data, frame, headers, ping, priority, priority_update, rst_stream, settings, window_update

pytestmark = backends.asyncio_only

ENDLESS = 20_000
# Applications that hold on after their client is gone are cancelled soon, so that tests end soon.
LIMITS = ServerLimits(disconnect_grace_s=0.1)
FEW_RESETS = replace(LIMITS, resets_sent_burst=20)
FEW_HANDLERS = replace(LIMITS, running_handlers_max=10)
GET = wire.block((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"test.example"))


class Flood(NamedTuple):
    """An attack by volume.

    Attributes:
        pieces: what the attacker writes, one write each, as long as he is let.
        rule: the row of the rules table that ends it, and its GOAWAY's code.
        says: part of the reason in the GOAWAY.
    """

    pieces: Iterator[bytes]
    rule: str
    code: str
    says: str
    limits: EngineLimits = LIMITS


def streams() -> Iterator[int]:
    return iter(range(1, 2 * ENDLESS, 2))


def rapid_reset() -> Flood:
    """CVE-2023-44487, each cancel in a read of its own, so that the application has begun."""
    pieces = (piece for n in streams() for piece in (request(n, b"/wait"), rst_stream(n, 8)))
    return Flood(pieces, "rapid_reset", "ENHANCE_YOUR_CALM", "cancelled requests")


def reset_while_handlers_run() -> Flood:
    """The same against an application that does not listen: ten handlers without a stream, and all others wait."""
    pieces = (piece for n in streams() for piece in (request(n, b"/hold"), rst_stream(n, 8)))
    return Flood(pieces, "rapid_reset", "ENHANCE_YOUR_CALM", "cancelled requests", FEW_HANDLERS)


def resets_in_one_read() -> Flood:
    pieces = (b"".join(request(n + 2 * i) + rst_stream(n + 2 * i, 8) for i in range(50)) for n in range(1, ENDLESS, 100))
    return Flood(pieces, "rapid_reset", "ENHANCE_YOUR_CALM", "cancelled requests")


def made_you_reset(fault: str) -> Flood:
    """CVE-2025-8671: the server is made to reset."""
    faults = {
        "window of 0": lambda n: request(n, b"/wait") + window_update(n, 0),
        "window overflow": lambda n: request(n, b"/wait") + window_update(n, 2**31 - 1),
        "data after the end": lambda n: request(n, b"/wait") + data(n, b"x"),
        "headers after the end": lambda n: request(n, b"/wait") + headers(n, GET),
        "priority of a wrong length": lambda n: request(n, b"/wait") + frame(wire.PRIORITY, 0, n, bytes(4)),
        "self-dependency": lambda n: request(n, b"/wait") + priority(n, n),
        "more than content-length": lambda n: post(n, b"/hold", (b"content-length", b"1")) + data(n, b"xx"),
        "less than content-length": lambda n: post(n, b"/hold", (b"content-length", b"9")) + data(n, b"x", end_stream=True),
        "malformed": lambda n: request(n, b"no-slash"),
        "empty field name": lambda n: request(n, b"/", (b"", b"x")),
        "trailers without end": lambda n: post(n, b"/hold") + headers(n, wire.block((b"a", b"b"))),
    }
    return Flood(map(faults[fault], streams()), "made_you_reset", "ENHANCE_YOUR_CALM", "had to be reset")


FAULTS = [
    "window of 0",
    "window overflow",
    "data after the end",
    "headers after the end",
    "priority of a wrong length",
    "self-dependency",
    "more than content-length",
    "less than content-length",
    "malformed",
    "empty field name",
    "trailers without end",
]


def continuations(fragment: bytes, rule: str, says: str) -> Flood:
    """CVE-2024-27316 and its kin."""

    def pieces() -> Iterator[bytes]:
        yield headers(1, GET, end_headers=False)
        while True:
            yield continuation(1, fragment, end_headers=False)

    return Flood(pieces(), rule, "ENHANCE_YOUR_CALM", says)


def bombs(block: bytes, first: bytes = b"") -> Flood:
    """Blocks that are much larger when they are decoded: each costs its stream, and many cost the connection."""

    def pieces() -> Iterator[bytes]:
        for n in streams():
            yield headers(n, GET + first + block if n == 1 else GET + block, end_stream=True)

    return Flood(pieces(), "made_you_reset", "ENHANCE_YOUR_CALM", "had to be reset", FEW_RESETS)


def indexed_bomb() -> Flood:
    """CVE-2016-6581: one large field in the table, named 3,000 times in one frame."""
    return bombs(b"\xbe" * 3000, b"\x40" + wire.integer(1, 7) + b"x" + wire.integer(3900, 7) + bytes([65]) * 3900)


def cookie_bomb() -> Flood:
    """CVE-2026-49975: the same with crumbs of a cookie."""
    return bombs(b"\xbe" * 3000, b"\x60" + wire.integer(3900, 7) + bytes([65]) * 3900)


def tiny_fields() -> Flood:
    return bombs(wire.block(*((b"a", b"") for _ in range(300))))


def pings() -> Flood:
    return Flood((ping() * 10 for _ in streams()), "ping_flood", "ENHANCE_YOUR_CALM", "too_many_pings")


def many_settings() -> Flood:
    return Flood((settings({4: n}) for n in streams()), "settings_flood", "ENHANCE_YOUR_CALM", "SETTINGS")


def large_settings() -> Flood:
    """CVE-2020-11080."""
    return Flood(iter([settings({0xF000 + n: 1 for n in range(33)})]), "settings_entries", "ENHANCE_YOUR_CALM", "33 entries")


def on_a_body(piece: bytes, rule: str, says: str, path: bytes = b"/hold") -> Flood:
    def pieces() -> Iterator[bytes]:
        yield post(1, path)
        while True:
            yield piece

    return Flood(pieces(), rule, "ENHANCE_YOUR_CALM", says)


def endless(piece: bytes, rule: str, says: str) -> Flood:
    return Flood((piece for _ in streams()), rule, "ENHANCE_YOUR_CALM", says)


def priority_updates() -> Flood:
    """For streams that were never opened."""
    return Flood((priority_update(n, b"u=1") for n in streams()), "priority_flood", "ENHANCE_YOUR_CALM", "priority frames")


FLOODS: dict[str, Callable[[], Flood]] = {
    "rapid reset": rapid_reset,
    "rapid reset while handlers run": reset_while_handlers_run,
    "resets in one read": resets_in_one_read,
    **{f"made you reset: {fault}": partial(made_you_reset, fault) for fault in FAULTS},
    "continuations": partial(continuations, b"\x82", "continuation_flood", "CONTINUATION"),
    "empty continuations": partial(continuations, b"", "continuation_empty", "empty CONTINUATION"),
    "large continuations": partial(continuations, bytes(16_384), "header_block_too_large", "compressed field block"),
    "bomb of indexed fields": indexed_bomb,
    "bomb of cookie crumbs": cookie_bomb,
    "bomb of tiny fields": tiny_fields,
    "pings": pings,
    "settings": many_settings,
    "settings with 33 entries": large_settings,
    "empty data": partial(on_a_body, data(1), "empty_data_flood", "without data"),
    "empty data to a reader": partial(on_a_body, data(1), "empty_data_flood", "without data", b"/read"),
    "padding only": partial(on_a_body, data(1, padding=255), "empty_data_flood", "without data"),
    "empty data between full": partial(on_a_body, data(1) + data(1, bytes(300)), "empty_data_flood", "without data", b"/read"),
    "tiny data unread": partial(on_a_body, data(1, b"x") * 100, "small_data_flood", "small DATA"),
    "window updates": partial(on_a_body, window_update(1, 1) * 5, "window_update_flood", "WINDOW_UPDATE"),
    "priority": partial(endless, priority(3, 5), "priority_flood", "priority frames"),
    "priority updates": priority_updates,
    "unknown frames": partial(endless, frame(0xFA, 0xFF, 1, b"x") * 100, "glitch_flood", "useless frames"),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_flood_ends_calmly(name: str, caplog: pytest.LogCaptureFixture) -> None:
    # One line for the end, and one a second for each connection whose streams are reset.
    flood = FLOODS[name]()
    async with siege(caplog, limits=flood.limits, lines=40) as under:
        await under.attacker.greet()
        await under.attacker.send_all(flood.pieces)
        await under.attacker.closed()
        code, reason = under.attacker.goaway()
        assert code == flood.code
        assert flood.says in reason
        assert under.detected()[flood.rule, "closed"] == 1
