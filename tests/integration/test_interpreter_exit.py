"""What is alive when the interpreter ends dies in silence, though the names of its module are gone by then.

Objects are kept in a module that was imported before the package, and in a reference cycle, as those of an
application are that has a client in its state: they die after the modules they come from.  Cython reports an
error there as ``Error in sys.excepthook``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import h2o_otel

# What makes one of each class with a ``__del__`` that has something to do.
MAKERS = {
    "h2o_otel.io.loop.LentBuffer": "from h2o_otel.io.loop import LentBuffer; kept = LentBuffer(1024)",
    "h2o_otel.buffers.pool.Buffer": (
        "from h2o_otel import counters; from h2o_otel.buffers.pool import OUTPUT, local_pool\n"
        "kept = local_pool(counters.local()).acquire(1024, OUTPUT)"
    ),
    "h2o_otel.compat.h2.base.ConnectionBase": (
        "from h2o_otel.compat.h2.connection import H2Connection; kept = H2Connection(); kept.initiate_connection()"
    ),
    "h2o_otel.client.client._DropWatch": (
        "from h2o_otel.client.client import _DropWatch; from h2o_otel.client.exchange import Exchange\n"
        "from h2o_otel import Request, Timeout; exchange = Exchange(); exchange.begin(Request('GET', 'http://a/'), Timeout(), True, 0.0)\n"
        "kept = _DropWatch(exchange)"
    ),
}
KEPT = """
import sys, types
holder = types.SimpleNamespace(kept=kept)
holder.holder = holder
types.holder = holder
"""
SERVICE = """
import asyncio, sys, types
import h2o_otel
from h2o_otel.server.config import ServerConfig
from h2o_otel.server.server import Server

state = types.state = types.SimpleNamespace()
state.state = state

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        state.client = h2o_otel.AsyncClient()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ZeroDivisionError

async def main():
    server = state.server = Server(ServerConfig(app=app, port=0, handle_signals=False))
    task = asyncio.ensure_future(server.serve())
    await server.wait_started()
    host, port = server.addresses[0][:2]
    for _ in range(3):
        try:
            async with state.client.stream("GET", f"http://{host}:{port}/") as response:
                state.response = response
                await response.aread()
        except h2o_otel.H2OError as error:
            state.error = error
    state.loop = asyncio.get_running_loop()
    server.stop()
    await task

import logging
logging.disable()
asyncio.run(main())
print(type(state.error).__name__)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)


def classes_with_finalizers() -> set[str]:
    root = Path(h2o_otel.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(isinstance(part, ast.FunctionDef) and part.name == "__del__" for part in node.body):
                found.add(f"{module}.{node.name}")
    return found


def test_every_class_with_a_finalizer_is_tried() -> None:
    assert classes_with_finalizers() == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_finalizer_at_the_end(name: str) -> None:
    done = run(MAKERS[name] + KEPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_service_with_a_client_in_its_state_ends_in_silence() -> None:
    done = run(SERVICE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "StreamReset\n", "")
