"""CPU time of one HPACK block: ours, beside ``hpack``, jh2 (Rust) and libnghttp2 from C where they are installed.

The block is a request of 11 fields; eight repeat, while :path, traceparent and x-request-id are new
each time.  Every decoder gets the octets of its own library's encoder.  The subjects take turns, so
that a busy machine is busy for all of them, and the best round of each counts.

    python benchmarks/hpack.py [--blocks N] [--rounds N] [--json PATH]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import libnghttp2

from h2o_otel import counters
from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.hpack import encoder as encoder_module
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.hpack.encoder import Encoder
from h2o_otel.limits import EngineLimits

Fields = list[tuple[bytes, bytes]]
DISTINCT = 500


def blocks(seed: int = 1) -> list[Fields]:
    rnd = random.Random(seed)
    made = []
    for _ in range(DISTINCT):
        trace, span = rnd.getrandbits(128), rnd.getrandbits(64)
        made.append(
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"api.example.com"),
                (b":path", b"/v1/items/%d?page=%d" % (rnd.randrange(100_000), rnd.randrange(100))),
                (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
                (b"accept", b"application/json"),
                (b"accept-encoding", b"gzip, deflate, br"),
                (b"accept-language", b"en-GB,en;q=0.9,de;q=0.7"),
                (b"cookie", b"session=2f1d8a63b7e94c05a8f6d3e1b29c7a40"),
                (b"traceparent", b"00-%032x-%016x-01" % (trace, span)),
                (b"x-request-id", b"%08x-%04x-%04x-%04x-%012x" % tuple(rnd.getrandbits(b) for b in (32, 16, 16, 16, 48))),
            ]
        )
    return made


class Subject:
    """A library: what encodes the next block, and what decodes the next one."""

    octets: float

    def __init__(self, name: str, encode: Callable[[Fields], bytes], decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self.encode = encode
        self.decode = decode
        sections = blocks()
        # Two turns through the blocks fill the tables: from there on no block changes them.
        for section in sections:
            decode(encode(section))
        self.encoded = [encode(section) for section in sections]
        for data in self.encoded:
            decode(data)
        self.octets = sum(map(len, self.encoded)) / len(self.encoded)
        self.sections: Iterator[Fields] = cycle(sections)
        self.blocks: Iterator[bytes] = cycle(self.encoded)
        self.best: dict[str, float] = {}

    def measure(self, what: str, n: int) -> None:
        call: Callable[[Any], Any] = self.encode if what == "encode" else self.decode
        inputs = [next(self.sections if what == "encode" else self.blocks) for _ in range(n)]
        started = time.process_time_ns()
        for item in inputs:
            call(item)
        us = (time.process_time_ns() - started) / n / 1000
        self.best[what] = min(us, self.best.get(what, us))


class LibNghttp2(Subject):
    """libnghttp2 driven from C, in a process of its own, which measures both in one run."""

    def __init__(self) -> None:
        self.name = libnghttp2.NAME
        self.best = {}
        self.found = self.run(1)
        self.octets = self.found["octets"]

    @staticmethod
    def run(n: int) -> dict[str, Any]:
        return libnghttp2.run("hpack", libnghttp2.written(blocks()), n)

    def measure(self, what: str, n: int) -> None:
        us = self.run(n)[f"{what}_us"]
        self.best[what] = min(us, self.best.get(what, us))


def ours() -> Subject:
    block = counters.local()
    encoder, decoder, out = Encoder(block, counters.CLIENT), Decoder(block, counters.SERVER, EngineLimits()), OutputBuffer(block)

    def encode(fields: Fields) -> bytes:
        encoder.encode(out, fields)
        return out.take()

    return Subject("h2o-otel", encode, decoder.decode_block)


def reference() -> Subject:
    # This file has the reference's name: its folder must not be searched.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
    import hpack

    encoder, decoder = hpack.Encoder(), hpack.Decoder()
    return Subject("hpack", encoder.encode, lambda data: decoder.decode(data, raw=True))


def rust() -> Subject:
    from jh2._hazmat import Decoder as RustDecoder
    from jh2._hazmat import Encoder as RustEncoder

    encoder, decoder = RustEncoder(), RustDecoder()
    return Subject("jh2", lambda fields: encoder.encode([(n, v, False) for n, v in fields]), lambda data: decoder.decode(data, True))


def subjects() -> list[Subject]:
    made = [ours()]
    for make in (reference, rust, LibNghttp2):
        try:
            made.append(make())
        except (ImportError, RuntimeError) as error:
            print(f"left out: {error}")
    return made


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "source"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=5000, help="blocks in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="save the result here")
    options = parser.parse_args()
    found = subjects()
    for _ in range(options.rounds):
        for what in ("encode", "decode"):
            for subject in found:
                # The reference takes long enough for a tenth of the blocks to tell.
                subject.measure(what, options.blocks if subject.name != "hpack" else max(options.blocks // 10, 1))
    compiled = not str(encoder_module.__file__).endswith(".py")
    print(f"{'':14} {'encode':>9} {'decode':>9}  us CPU a block ({'compiled' if compiled else 'pure Python'}); octets a block")
    rows = []
    for subject in found:
        ratio = {what: us / found[0].best[what] for what, us in subject.best.items()}
        rows.append(
            {
                "name": subject.name,
                "version": subject.found["version"] if isinstance(subject, LibNghttp2) else version(subject.name),
                "us": subject.best,
                "times_ours": ratio,
                "octets": subject.octets,
            }
        )
        times = f"  ({ratio['encode']:.1f}x and {ratio['decode']:.1f}x ours)" if subject is not found[0] else ""
        print(f"{subject.name:14} {subject.best['encode']:9.2f} {subject.best['decode']:9.2f}  {subject.octets:.0f}{times}")
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "compiled": compiled}
        options.json.write_text(json.dumps({"benchmark": "hpack", **machine, "fields": 11, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
