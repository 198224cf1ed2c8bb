"""Blocks of six other encoders (http2jp/hpack-test-case), where the archive lies beside the repository."""

from __future__ import annotations

import functools
import json
import tarfile
from pathlib import Path
from typing import Any

import hpack
import pytest

from tests.support.hpack import PSEUDO, Fields, Sender, receiver, section

ARCHIVE = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "vectors.tar.xz"
SETS = (
    "haskell-http2-linear-huffman",
    "nghttp2",
    "nghttp2-16384-4096",
    "nghttp2-change-table-size",
    "node-http2-hpack",
    "python-hpack",
)
STORIES_MIN = 30
DROPPED = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")


@functools.cache
def stories() -> dict[str, list[list[dict[str, Any]]]]:
    found: dict[str, list[list[dict[str, Any]]]] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            parts = member.name.split("/")
            if parts[0] == "hpack-test-case" and parts[-1].startswith("story_"):
                file = archive.extractfile(member)
                assert file is not None
                found.setdefault(parts[1], []).append(json.load(file)["cases"])
    return found


needs_vectors = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no {ARCHIVE.name} in the folder shared/vectors beside the repository")


def fields_of(case: dict[str, Any]) -> Fields:
    return [(name.encode(), value.encode("latin-1")) for pair in case["headers"] for name, value in pair.items()]


def legal(fields: Fields) -> Fields:
    """The fields that HTTP/2 allows: recorded from HTTP/1.1, most sections have other fields, and some have pseudo-header fields last."""
    pseudo: Fields = []
    regular: Fields = []
    for name, value in fields:
        if name[:1] == b":":
            if not regular:
                pseudo.append((name, value))
        elif name not in DROPPED and value == value.strip(b" \t"):
            regular.append((name, value))
    return sorted(pseudo, key=lambda field: PSEUDO.index(field[0].decode())) + regular


@needs_vectors
@pytest.mark.parametrize("name", SETS)
def test_blocks_of_other_encoders(name: str) -> None:
    assert len(stories()[name]) >= STORIES_MIN
    for cases in stories()[name]:
        decoder = receiver(header_table_bytes=16_384)
        for case in cases:
            if case.get("header_table_size") is not None:
                decoder.set_allowed_table_size(case["header_table_size"])
            fields = fields_of(case)
            decoder.decode_block(bytes.fromhex(case["wire"]))
            assert section(decoder) == legal(fields)
            assert decoder.fields == len(fields)
            assert (decoder.violation is None) == (len(legal(fields)) == len(fields))


@needs_vectors
@pytest.mark.parametrize("adaptive", [True, False])
def test_recorded_traffic_through_our_encoder(adaptive: bool) -> None:
    encoded = reference = 0
    for cases in stories()["nghttp2"]:
        sender, ours, theirs = Sender(adaptive=adaptive), receiver(), hpack.Encoder()
        for case in cases:
            fields = legal(fields_of(case))
            block = sender.block(fields)
            ours.decode_block(block)
            # Some of the recorded responses have two content-length fields.
            assert ours.violation is None or ours.violation.token == "content_length_invalid"
            assert section(ours) == fields
            encoded += len(block)
            reference += len(theirs.encode(fields))
    # The policy pays in octets, too: it keeps what is volatile from pushing out what is stable.
    assert encoded < reference * (0.99 if adaptive else 1.0001)


@needs_vectors
def test_table_that_grows_pays_on_recorded_traffic() -> None:
    encoded = {0: 0, 16_384: 0}
    for grown_max in encoded:
        for cases in stories()["nghttp2"]:
            sender = Sender(table_bytes_grown_max=grown_max)
            sender.encoder.set_table_size(65_536)
            encoded[grown_max] += sum(len(sender.block(legal(fields_of(case)))) for case in cases)
    assert encoded[16_384] < encoded[0] * 0.94
