"""The proxy configurations of docs/proxies.md, each run as written between curl and the server."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.server import ServerConfig
from h2o_otel.testing import serve
from tests.docs.blocks import ROOT, blocks_of
from tests.support.programs import require_program
from tests.support.proxies import _APACHE_MODULES, require_proxy, running

PAGE = ROOT / "docs" / "proxies.md"
# The file of each configuration, and the command that runs it.
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "Caddyfile": lambda path: [require_proxy("caddy"), "run", "--config", str(path), "--adapter", "caddyfile"],
    "envoy.yaml": lambda path: [require_proxy("envoy"), "-c", str(path), "--use-dynamic-base-id", "--log-level", "warning"],
    "haproxy.cfg": lambda path: [require_proxy("haproxy"), "-db", "-f", str(path)],
    "apache.conf": lambda path: [require_proxy("apache2"), "-D", "FOREGROUND", "-f", str(path)],
    "nginx.conf": lambda path: [require_program("nginx"), "-p", str(path.parent), "-c", str(path), "-g", NGINX],
}
NGINX = "daemon off; pid nginx.pid; error_log error.log; master_process off;"
# Configuration that Apache's packages add to the part shown in the guide.
APACHE = (
    'ServerRoot "{folder}"\nServerName 127.0.0.1\nUser daemon\nGroup daemon\nPidFile {folder}/apache.pid\nErrorLog {folder}/error.log\n'
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it knows of the client."""
    seen = {"scheme": scope["scheme"], "client": scope["client"][0], "version": scope["http_version"], "path": scope["path"]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def test_every_configuration_is_run() -> None:
    shown = [block.title for block in blocks_of(PAGE) if block.language not in ("sh", "python", "text") and not block.reason]
    assert sorted(shown) == sorted(COMMANDS)


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("name", COMMANDS)
def test_configuration_works(name: str, tmp_path: Path, free_port: Callable[[], int]) -> None:
    curl = require_program("curl")
    (text,) = [block.text for block in blocks_of(PAGE) if block.title == name]
    config, port = tmp_path / name, free_port()
    command = COMMANDS[name](config)
    with serve(ServerConfig(app=app, lifespan="off")) as server:
        text = re.sub(r"\b8080\b", str(port), re.sub(r"\b8000\b", str(server.port), text))
        if name == "apache.conf":
            modules = next((each for each in _APACHE_MODULES if Path(each).is_dir()), _APACHE_MODULES[0])
            text = APACHE.format(folder=tmp_path) + text.replace(" modules/", f" {modules}/")
        config.write_text(text, encoding="utf-8")
        home = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
        with running(command, tmp_path, port, env=home) as proxy:
            done = subprocess.run(
                [curl, "-sS", "--fail", "--max-time", "30", f"http://127.0.0.1:{port}/here"], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr + proxy.log()
    seen = json.loads(done.stdout)
    if name == "envoy.yaml":
        # For a client on loopback Envoy writes an address of the machine.
        assert ipaddress.ip_address(seen.pop("client"))
    else:
        assert seen.pop("client") == "127.0.0.1"
    assert seen == {"scheme": "http", "version": "2", "path": "/here"}
