#!/usr/bin/env bash
# The default write limits of asyncio are (16384, 65536) octets, of uvloop (16, 65536): what asyncio
# resumes at 16 KiB left, uvloop resumes when nearly all has gone.  Limits that are set are the same.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install uvloop==0.23.0

cat >"$folder/check.py" <<'PYTHON'
import asyncio
import importlib.metadata
import socket

import uvloop


async def limits():
    here, there = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=here)
    default = transport.get_write_buffer_limits()
    transport.set_write_buffer_limits(high=4096)
    return default, transport.get_write_buffer_limits()


print(f"asyncio {asyncio.run(limits())}, uvloop {importlib.metadata.version('uvloop')} {uvloop.run(limits())}")
PYTHON

state "asyncio ((16384, 65536), (1024, 4096)), uvloop 0.23.0 ((16, 65536), (1024, 4096))" "$("$python" "$folder/check.py")"
