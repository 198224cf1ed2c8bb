"""Section 2, HPACK, and row 8.1, what is compressed how."""

from __future__ import annotations

import random
import zlib

from benchmarks.fields import REQUESTS, RESPONSES
from h2o_otel import counters
from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.counters import Counters
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.hpack.encoder import Encoder
from h2o_otel.hpack.parallel import decode_blocks
from h2o_otel.limits import EngineLimits
from h2o_otel.tuning import Tuning

from .row import Row, Workload

__all__ = ["ROWS"]

HPACK = "HPACK: 25-35 % faster, 20 % less memory"
PROTOCOL = "protocol: 20-25 % more efficient"

Fields = list[tuple[bytes, bytes]]


class Codec(Workload):
    """A client's encoder and a server's decoder; each block is checked to arrive."""

    unit = "block"

    def __init__(self, tuning: Tuning, sections: list[Fields], allowed: int = 4096) -> None:
        self.sections = sections
        self.at = 0
        limits = EngineLimits()
        block = Counters()
        self.out = OutputBuffer(block)
        self.encoder = Encoder(
            block,
            counters.CLIENT,
            limits.encoder_table_bytes_max,
            limits.names_cached_max,
            adaptive=tuning.protocol_adaptive_compression,
            table_bytes_grown_max=limits.encoder_table_grown_bytes_max,
            static_forms=tuning.hpack_static_forms,
            name_cache=tuning.hpack_name_cache,
            reference=not tuning.hpack_ring_table,
        )
        self.decoder = Decoder(block, counters.SERVER, limits, name_cache=tuning.hpack_name_cache, reference=not tuning.hpack_ring_table)
        self.encoder.set_table_size(allowed)
        self.decoder.set_allowed_table_size(allowed)

    def run(self, n: int) -> None:
        encoder, decoder, out, sections = self.encoder, self.decoder, self.out, self.sections
        for _ in range(n):
            fields = sections[self.at]
            self.at = (self.at + 1) % len(sections)
            encoder.encode(out, fields)
            block = out.take()
            self.wire_bytes += len(block)
            decoder.decode_block(block)
            if decoder.fields != len(fields):
                raise RuntimeError(f"{decoder.fields} of {len(fields)} fields arrived")


class Statuses(Workload):
    """Responses of few fields with the common status codes, encoded."""

    unit = "response"
    CODES = (200, 200, 200, 304, 204, 404, 200, 201)

    def __init__(self, tuning: Tuning) -> None:
        block = Counters()
        self.out = OutputBuffer(block)
        self.encoder = Encoder(block, counters.SERVER, static_forms=tuning.hpack_static_forms)

    def run(self, n: int) -> None:
        encode, out, codes = self.encoder.encode_response, self.out, self.CODES
        for i in range(n):
            encode(out, codes[i & 7], ((b"content-length", b"0"),))
            if i & 15 == 15:
                self.wire_bytes += len(out.take())
        out.clear()


class NewNames(Workload):
    """Blocks of new connections: every name is a literal, as on the first requests of each."""

    unit = "block"

    def __init__(self, tuning: Tuning) -> None:
        self.counters = Counters()
        self.tuning = tuning
        names = [b"x-%s-%d" % (word, i) for i in range(8) for word in (b"forwarded-request", b"client-version", b"internal-route")]
        self.fields = [(name, b"1") for name in names]
        out = OutputBuffer(self.counters)
        Encoder(self.counters, counters.CLIENT).encode(out, self.fields)
        self.block = out.take()

    def run(self, n: int) -> None:
        limits = EngineLimits()
        for _ in range(n):
            decoder = Decoder(self.counters, counters.SERVER, limits, name_cache=self.tuning.hpack_name_cache)
            if decoder.decode_block(self.block) != self.fields:
                raise RuntimeError("the fields are not those that were sent")


class Batches(Workload):
    """2,000 first blocks of as many connections, decoded as one batch."""

    unit = "batch"

    def __init__(self, tuning: Tuning) -> None:
        self.bytes_min = 0 if tuning.hpack_parallel else 1 << 40
        block = Counters()
        out = OutputBuffer(block)
        self.blocks = []
        for i in range(2000):
            Encoder(block, counters.CLIENT).encode(out, REQUESTS[i % len(REQUESTS)])
            self.blocks.append(out.take())
        self.decoder = Decoder(block, counters.SERVER, EngineLimits())

    def run(self, n: int) -> None:
        for _ in range(n):
            done = sum(decoder.fields for decoder in decode_blocks([(self.decoder, block) for block in self.blocks], self.bytes_min))
            if done != 10 * len(self.blocks):
                raise RuntimeError(f"{done} fields of {10 * len(self.blocks)} arrived")


def pages(seed: int = 1) -> list[Fields]:
    """What browsers ask of some sites in turn: cookies, referers and paths that come again, and more of them than 4 KiB hold."""
    rnd = random.Random(seed)
    sites = [
        (
            b"www.site-%d.example" % i,
            b"session=%032x; preferences=%048x" % (rnd.getrandbits(128), rnd.getrandbits(192)),
            [b"/assets/%016x/%s" % (rnd.getrandbits(64), kind) for kind in (b"main.css", b"app.js", b"logo.svg", b"font.woff2") * 3],
        )
        for i in range(6)
    ]
    made = []
    for _ in range(600):
        authority, cookie, paths = rnd.choice(sites)
        path = rnd.choice([*paths, b"/articles/%d" % rnd.randrange(10_000)])
        made.append(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", authority),
                (b":path", path),
                (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
                (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                (b"accept-encoding", b"gzip, deflate, br"),
                (b"referer", b"https://" + authority + rnd.choice([b"/", b"/articles"])),
                (b"cookie", cookie),
                (b"if-none-match", b'"%016x"' % zlib.crc32(path)),
            ]
        )
    return made


_TRACED: list[Fields] = [[*request, *response[:1]] for request, response in zip(REQUESTS, RESPONSES, strict=False)]

ROWS = [
    Row("2.1", "static forms at import", "hpack_static_forms", HPACK, make=Statuses, note="off: the status is formatted and looked up"),
    Row(
        "2.2",
        "ring table and compact entries (2.3)",
        "hpack_ring_table",
        HPACK,
        make=lambda tuning: Codec(tuning, _TRACED),
        note="off: the library hpack codes behind the same checks; 2.3 is the same structure and has no switch of its own",
    ),
    Row("2.4", "name cache", "hpack_name_cache", HPACK, make=NewNames, note="off: each literal name is examined"),
    Row(
        "2.5",
        "strings decoded by threads",
        "hpack_parallel",
        HPACK,
        make=Batches,
        goal="latency",
        note="off by default: blocks arrive one by one; the work is a batch of 2,000 blocks",
    ),
    Row(
        "8.1",
        "what to index, traced calls",
        "protocol_adaptive_compression",
        PROTOCOL,
        make=lambda tuning: Codec(tuning, _TRACED),
        goal="wire",
        note="off: every field but secrets is indexed",
    ),
    Row(
        "8.1",
        "table that grows, browsing",
        "protocol_adaptive_compression",
        PROTOCOL,
        make=lambda tuning: Codec(tuning, pages(), 65_536),
        goal="wire",
        note="off: every field but secrets is indexed, in 4 KiB",
    ),
]
