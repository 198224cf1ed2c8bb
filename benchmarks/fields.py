"""The messages that the benchmarks of the engine exchange; of ten request fields three are new each time."""

from __future__ import annotations

import random

Fields = list[tuple[bytes, bytes]]
BODY = b"x" * 64
DISTINCT = 500


def requests(seed: int = 1) -> list[Fields]:
    rnd = random.Random(seed)
    return [
        [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"api.example.com"),
            (b":path", b"/v1/items/%d?page=%d" % (rnd.randrange(100_000), rnd.randrange(100))),
            (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"gzip, deflate, br"),
            (b"cookie", b"session=2f1d8a63b7e94c05a8f6d3e1b29c7a40"),
            (b"traceparent", b"00-%032x-%016x-01" % (rnd.getrandbits(128), rnd.getrandbits(64))),
            (b"x-request-id", b"%032x" % rnd.getrandbits(128)),
        ]
        for _ in range(DISTINCT)
    ]


def responses(seed: int = 2) -> list[Fields]:
    rnd = random.Random(seed)
    return [
        [
            (b"content-type", b"application/json"),
            (b"content-length", b"64"),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-encoding"),
            (b"server", b"benchmark"),
            (b"date", b"Tue, 01 Jul 2025 10:00:00 GMT"),
            (b"x-request-id", b"%032x" % rnd.getrandbits(128)),
        ]
        for _ in range(DISTINCT)
    ]


REQUESTS, RESPONSES = requests(), responses()
