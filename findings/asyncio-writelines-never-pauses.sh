#!/usr/bin/env bash
# asyncio's writelines() of Python 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 does not compare its buffer with
# the high-water mark: a protocol that waits for pause_writing() buffers without bound.  write() does.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cat >"$folder/check.py" <<'PYTHON'
import asyncio
import socket
import sys

calls = []


class Protocol(asyncio.Protocol):
    def pause_writing(self):
        calls.append("pause")


async def main():
    here, there = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(Protocol, sock=here)
    transport.set_write_buffer_limits(high=65536)
    for _ in range(10):
        transport.writelines([bytes(500_000), bytes(500_000)])
    buffered = transport.get_write_buffer_size()
    assert buffered > 9_000_000, buffered
    pauses = len(calls)
    transport.write(b"x")
    print(f"{sys.version.split()[0]}: {buffered} octets buffered, pauses by writelines(): {pauses}, then by write(): {len(calls) - pauses}")
    affected = (3, 12, 0) <= sys.version_info[:3] <= (3, 12, 8) or (3, 13, 0) <= sys.version_info[:3] <= (3, 13, 1)
    sys.exit((pauses, len(calls)) != ((0, 1) if affected else (1, 1)))


asyncio.run(main())
PYTHON

found=$(pythons)
[[ -n "$found" ]] || skip "no CPython of 3.11 or later"
while read -r each; do
    "$each" "$folder/check.py" || { echo "CHANGED" >&2; exit 1; }
done <<<"$found"
echo "as stated: only 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 do not pause"
