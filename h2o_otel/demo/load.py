"""A steady load: scenes started at a fixed rate, and acts at their own intervals."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from ..client import AsyncClient
from ..counters import Histogram
from ..errors import StreamReset
from .acts import ACTS, Act
from .scenes import SCENES, Scene
from .stage import Stage

__all__ = ["LATENCY_S", "Load"]

# Finer than the bounds of the conventions, which begin at 5 ms: steps of a fifth, 50 us to 60 s.
LATENCY_S = tuple(5e-5 * 1.2**n for n in range(78))
# At the end, for requests under way.
LAST_S = 3.0

# Requests in flight beyond which a tick is skipped and counted, so that a slow machine is not overloaded.
UNDER_WAY_MAX = 300


class Load(Stage):
    """Starts scenes at ``rate`` a second, and acts at their times, until it is cancelled.

    Args:
        url: of the service.
        rate: scenes a second.
        make_client: a client for the service; takes other limits, and whom to trust.
        seed: of the choice of scenes.
        ca: certificate of the service's authority.
        upstream: URL of the stock service, None when it is out of reach.

    Attributes:
        started, finished: scenes and acts.
        skipped: ticks at which too many were under way.
        latency: seconds from the time at which a request was due to the end of its response.
    """

    def __init__(
        self,
        url: str,
        rate: float,
        make_client: Callable[..., AsyncClient],
        seed: int | None = None,
        *,
        ca: str | None = None,
        upstream: str | None = None,
    ) -> None:
        super().__init__(url, make_client, ca=ca, upstream=upstream)
        self.rate = rate
        self.started = 0
        self.finished = 0
        self.skipped = 0
        self.latency = Histogram(LATENCY_S)
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acting: set[str] = set()

    async def run(self) -> None:
        """The load; ends, with its requests, when it is cancelled."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        weights = [scene.weight for scene in SCENES]
        acts_due = {act: began + act.first_s for act in ACTS}
        # Each kind once at first, so that a short run covers all.
        first = list(reversed(SCENES))
        async with self.client:
            try:
                while True:
                    scene = first.pop() if first else self._random.choices(SCENES, weights)[0]
                    self._start(scene, due)
                    for act, at in acts_due.items():
                        if loop.time() >= at:
                            acts_due[act] = at + act.every_s
                            # One at a time of each: on a slow machine the next comes later.
                            if act.name not in self._acting:
                                self._start(act, at)
                    due += 1.0 / self.rate
                    await asyncio.sleep(max(0.0, due - loop.time()))
            finally:
                await self._end()

    async def run_requests(self, count: int, at_once: int) -> None:
        """``count`` scenes of the mix, ``at_once`` of them under way at any time; for tests."""
        weights = [scene.weight for scene in SCENES]
        left = iter(self._random.choices(SCENES, weights, k=count))

        async def play() -> None:
            for scene in left:
                await self._play(scene, asyncio.get_running_loop().time())

        async with self.client:
            await asyncio.gather(*(play() for _ in range(at_once)))

    def _start(self, scene: Scene | Act, due: float) -> None:
        if len(self._tasks) >= UNDER_WAY_MAX:
            self.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._play(scene, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        """Wait a limited time for requests in flight to end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_S)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _play(self, scene: Scene | Act, due: float) -> None:
        self.started += 1
        if isinstance(scene, Act):
            self._acting.add(scene.name)
        try:
            await scene.run(self)
            self.finished += 1
            if isinstance(scene, Scene) and scene.timed:
                self.latency.record(asyncio.get_running_loop().time() - due)
        except StreamReset as error:
            self.unexpected[f"{scene.name}: {error.rule}"] += 1
        except Exception as error:
            self.unexpected[f"{scene.name}: {type(error).__name__}"] += 1
        finally:
            self._acting.discard(scene.name)
