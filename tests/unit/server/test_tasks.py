"""Applications run in real tasks, started at once where that is safe."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from typing import Any

import anyio
import pytest

from h2o_otel.io.loop import asyncio_loop
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.server.service import CREATE_TASK, EAGER, Service
from h2o_otel.telemetry import configure
from tests.support import backends
from tests.support.peer import connected

pytestmark = backends.asyncio_loops

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
END: dict[str, Any] = {"type": "http.response.body", "body": b"ok"}

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def make_service(start: int = EAGER) -> Service:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Never called."""

    return Service(app, asyncio_loop(), SERVER_LIMITS, configure(level="off", otlp=False, set_global=False), start=start)


def outside_of_tasks(call: Any) -> asyncio.Future[Any]:
    """Call as the loop's transports do: with no task current."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    loop.call_soon(run)
    return future


async def test_first_step_runs_at_once() -> None:
    steps: list[Any] = []
    service = make_service()

    async def work() -> str:
        steps.append(asyncio.current_task())
        return "done"

    def call() -> Any:
        service.begin_batch()
        task = service.spawn(work(), None)
        return task, task.done()

    task, done = await outside_of_tasks(call)
    assert done
    assert task.result() == "done"
    assert isinstance(task, asyncio.Task)
    assert steps == [task]


async def test_suspended_work_goes_on_in_the_same_task() -> None:
    seen: list[Any] = []
    service = make_service()

    async def work() -> int:
        seen.append(asyncio.current_task())
        asyncio.get_running_loop().call_soon(seen.append, "call_soon works")
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        return 7

    def call() -> Any:
        service.begin_batch()
        tasks = [service.spawn(work(), None) for _ in range(3)]
        assert asyncio.current_task() is None
        return tasks

    tasks = await outside_of_tasks(call)
    assert await asyncio.gather(*tasks) == [7, 7, 7]
    assert seen.count("call_soon works") == 3
    assert [seen.count(task) for task in tasks] == [2, 2, 2]
    assert "call_soon" not in vars(asyncio.get_running_loop())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later versions start tasks eagerly inside others, too")
async def test_inside_another_task_the_fallback_is_used() -> None:
    service = make_service()

    async def work() -> int:
        return 7

    service.begin_batch()
    task = service.spawn(work(), None)
    assert not task.done()
    assert await task == 7


async def test_task_factory_of_the_application_is_respected() -> None:
    service = make_service()
    made = []
    loop = asyncio.get_running_loop()

    def factory(loop: Any, work: Any, **more: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **more)

    async def work() -> int:
        return 7

    def call() -> Any:
        service.begin_batch()
        return service.spawn(work(), None)

    loop.set_task_factory(factory)
    try:
        task = await outside_of_tasks(call)
    finally:
        loop.set_task_factory(None)
    assert await task == 7
    assert len(made) == 1


@pytest.mark.parametrize("factory", [False, True], ids=["ours", "a factory of the application's"])
async def test_a_failure_in_the_first_step_leaves_no_cycle(factory: bool, request: pytest.FixtureRequest, caplog: Any) -> None:
    """The traceback reaches the frames that started the task: one of them that holds it would be a reference cycle."""
    if factory and (sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2) or "uvloop" in request.node.name):
        pytest.skip("no eager_task_factory, or create_task() of asyncio itself makes the cycle (until 3.12.8 and 3.13.1)")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    loop = asyncio.get_running_loop()
    caplog.set_level("CRITICAL")
    if factory:
        loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))
    found = []
    try:
        async with connected(app) as peer:
            gc.disable()
            # What earlier tests have left becomes garbage once; a cycle of each request does so in each round.
            for _ in range(3):
                for _ in range(50):
                    assert (await peer.get("/")).status == 500
                caplog.clear()
                found.append(gc.collect())
    finally:
        gc.enable()
        loop.set_task_factory(None)
    assert min(found) < 50


async def test_context_is_a_copy_or_the_one_given() -> None:
    service = make_service()
    given = contextvars.copy_context()
    given.run(variable.set, "given")

    async def work() -> str:
        value = variable.get()
        variable.set("changed")
        return value

    def call() -> Any:
        service.begin_batch()
        variable.set("caller's")
        tasks = service.spawn(work(), None), service.spawn(work(), None), service.spawn(work(), given)
        return tasks, variable.get()

    tasks, after = await outside_of_tasks(call)
    assert [task.result() for task in tasks] == ["caller's", "caller's", "given"]
    assert after == "caller's"
    assert given[variable] == "changed"


async def test_exceptions_and_awaitables() -> None:
    service = make_service()

    async def fail() -> None:
        raise KeyError("x")

    def call() -> Any:
        service.begin_batch()
        future = asyncio.get_running_loop().create_future()
        future.set_result(5)
        return service.spawn(fail(), None), service.spawn(future, None)

    failed, awaited = await outside_of_tasks(call)
    assert isinstance(failed.exception(), KeyError)
    assert await awaited == 5


async def test_create_task_mode_starts_in_the_next_turn() -> None:
    service = make_service(CREATE_TASK)

    async def work() -> int:
        return 7

    def call() -> Any:
        service.begin_batch()
        task = service.spawn(work(), None)
        return task, task.done()

    task, done = await outside_of_tasks(call)
    assert not done
    assert await task == 7


# -- what applications do with their tasks


async def timeouts(send: Any) -> None:
    async with asyncio.timeout(5):
        await asyncio.sleep(0.001)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(5)
    await send(START)
    await send(END)


async def task_group(send: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0.001))
        group.create_task(send(START))
    await asyncio.create_task(send(END))


async def anyio_groups(send: Any) -> None:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep(5)
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(send, START)
    async with anyio.create_task_group() as group:
        group.start_soon(send, END)


async def threads(send: Any) -> None:
    assert await anyio.to_thread.run_sync(lambda: 7) == 7
    assert await asyncio.to_thread(lambda: 7) == 7
    await send(START)
    await send(END)


async def gathered(send: Any) -> None:
    await asyncio.gather(send(START))
    await asyncio.wait_for(send(END), 5)


@pytest.mark.parametrize("work", [timeouts, task_group, anyio_groups, threads, gathered])
@pytest.mark.parametrize("eager", [True, False])
async def test_tools_of_asyncio_and_anyio_work(work: Any, eager: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert asyncio.current_task() is not None
        await work(send)

    async with connected(app, eager_tasks=eager) as peer:
        answers = [peer.request() for _ in range(10)]
        for answer in answers:
            assert (await answer.done()).body == b"ok"


async def test_contexts_of_requests_are_apart() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert variable.get() == ""
        variable.set(scope["path"])
        await send(START)
        await asyncio.sleep(0)
        assert variable.get() == scope["path"]
        await send(END)

    async with connected(app) as peer:
        answers = [peer.request(path=f"/{i}") for i in range(10)]
        for answer in answers:
            assert (await answer.done()).status == 200
