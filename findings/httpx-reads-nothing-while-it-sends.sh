#!/usr/bin/env bash
# httpx over HTTP/2 reads nothing from the connection while it sends a body: SETTINGS are not acknowledged
# and PINGs not answered before the last octet is out, however long its generator pauses in between.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install 'httpx[http2]==0.28.1' h2==4.3.0

cat >"$folder/check.py" <<'PYTHON'
import socket
import threading
import time

import h2.config
import h2.connection
import h2.events
import httpx

PAUSE_S = 2.0
seen = []


def serve(listener):
    sock, _ = listener.accept()
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    conn.ping(b"answer?!")
    sock.sendall(conn.data_to_send())
    while octets := sock.recv(65536):
        for event in conn.receive_data(octets):
            if isinstance(event, h2.events.SettingsAcknowledged):
                seen.append("SETTINGS acknowledged")
            elif isinstance(event, h2.events.PingAckReceived):
                seen.append("PING answered")
            elif isinstance(event, h2.events.DataReceived) and event.data:
                seen.append("body")
            elif isinstance(event, h2.events.StreamEnded):
                seen.append("end of body")
                conn.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
        sock.sendall(conn.data_to_send())


def body():
    yield b"x" * 100
    time.sleep(PAUSE_S)
    yield b"y" * 100


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
with httpx.Client(http1=False, http2=True) as client:
    assert client.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", content=body()).status_code == 204
    time.sleep(0.5)
print(", ".join(dict.fromkeys(seen)))
PYTHON

state "body, end of body, SETTINGS acknowledged, PING answered" "$("$python" "$folder/check.py")"
