"""The compiled modules and their sources do the same with the same octets: one digest of a long seeded run, from each."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.hpack import encoder
from h2o_otel.rules import Violation
from tests.support.hpack import Sender, receiver, section

ROOT = Path(__file__).resolve().parents[2]
NAMES = [b":path", b":method", b"a", b"cookie", b"traceparent", b"content-length", b"host", b"authorization", b"Bad", b"te", b"x-%d"]
COMPILED = not str(encoder.__file__).endswith(".py")


def digest(seed: int) -> str:
    rng = random.Random(seed)
    seen = hashlib.sha256()
    for _ in range(60):
        sender = Sender(rng.choice((0, 200, 4096)), rng.choice((0, 3, 1024)), adaptive=rng.random() < 0.7)
        decoder, hostile = receiver(), receiver(header_list_bytes_max=500)
        for _ in range(20):
            if rng.random() < 0.1:
                size = rng.choice((0, 100, 4096))
                sender.encoder.set_table_size(size)
                decoder.set_allowed_table_size(size)
            fields = [
                (rng.choice(NAMES).replace(b"%d", b"%d" % rng.randrange(99)), rng.randbytes(rng.randrange(9)))
                for _ in range(rng.randrange(6))
            ]
            try:
                block = sender.block(fields)
            except LocalProtocolError as error:
                seen.update(str(error).encode())
                continue
            decoder.decode_block(block)
            seen.update(block + repr((section(decoder), decoder.table.entries(), decoder.violation, decoder.list_bytes)).encode())
            damaged = bytearray(block + b"\x82")
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            try:
                hostile.decode_block(bytes(damaged))
                seen.update(repr((section(hostile), hostile.violation_fields)).encode())
            except Violation as error:
                seen.update(str(error).encode())
                hostile = receiver(header_list_bytes_max=500)
    return seen.hexdigest()


@pytest.mark.skipif(not COMPILED, reason="this run is pure: there is nothing to compare with")
def test_same_digest(seed: int) -> None:
    program = f"from tests.parity.test_hpack_pure_and_compiled import digest; print(digest({seed}))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "H2O_OTEL_PURE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.strip() == digest(seed)
