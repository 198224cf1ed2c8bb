"""What a server's process keeps out of the collector's sight."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from h2o_otel.memory.gcwatch import frozen, frozen_objects
from h2o_otel.server import Server, ServerConfig
from h2o_otel.telemetry.runtime import read_process
from h2o_otel.tuning import Tuning


class Cycle:
    def __init__(self) -> None:
        self.me = self


def cycles() -> int:
    return sum(isinstance(found, Cycle) for found in gc.get_objects())


def test_what_is_alive_is_frozen_and_garbage_is_not() -> None:
    alive = [Cycle()]
    Cycle()
    before = len(gc.get_objects())
    with frozen():
        # The collector sees none of those that were there.
        assert len(gc.get_objects()) < before / 2
        assert frozen_objects() == read_process()["h2o.gc.frozen"][()] > before / 2
        assert cycles() == 0
        alive.append(Cycle())
        assert cycles() == 1
    assert gc.get_freeze_count() == frozen_objects() == 0
    assert cycles() == len(alive) == 2


def test_what_the_interpreter_froze_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.12 freezes some of its objects before it runs any program."""
    counts = iter([375])
    count = gc.get_freeze_count
    monkeypatch.setattr(gc, "get_freeze_count", lambda: next(counts, None) or count())
    with frozen():
        assert frozen_objects() > 1000
    assert count() == frozen_objects() == 0


def test_an_exception_ends_it() -> None:
    with pytest.raises(KeyError), frozen():
        raise KeyError
    assert gc.get_freeze_count() == frozen_objects() == 0


def test_what_somebody_else_froze_stays() -> None:
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        with frozen():
            assert frozen_objects() == 0
        assert gc.get_freeze_count() > count / 2
    finally:
        gc.unfreeze()


class Watched(Server):
    """Ends when it listens."""

    frozen = -1

    async def _listen(self, sockets: list[Any] | None) -> None:
        self.frozen = gc.get_freeze_count()
        await super()._listen(sockets)
        self.stop()


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody asks")


def watched(freeze: bool) -> Watched:
    return Watched(
        ServerConfig(app=app, port=0, loop="asyncio", lifespan="off", handle_signals=False, tuning=Tuning(memory_gc_freeze=freeze))
    )


@pytest.mark.parametrize("freeze", [True, False])
def test_a_server_of_its_own_freezes_before_it_accepts(freeze: bool) -> None:
    server = watched(freeze)
    server.run()
    assert (server.frozen > 1000) is freeze
    assert gc.get_freeze_count() == 0


def test_an_embedded_server_leaves_the_collector_alone() -> None:
    server = watched(True)
    before = gc.get_freeze_count()  # the interpreter's own
    asyncio.run(server.serve())
    assert server.frozen == before < 1000
