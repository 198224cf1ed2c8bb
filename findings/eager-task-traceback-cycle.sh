#!/usr/bin/env bash
# A task with eager_start (Python 3.12) runs its first step inside the call that makes it.  If that step
# raises, the traceback's frame reaches the frames of the callers by f_back, as they are then: a local
# variable there that is bound to the task later closes a cycle, task, exception, traceback, frame, task.
# Nothing shows it but the garbage collector: 100 failures leave hundreds of objects to it on 3.12 and
# 3.13, where 3.14 keeps no link from the frame of a coroutine that has ended.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cat >"$folder/check.py" <<'PYTHON'
import asyncio
import gc
import sys


async def fails():
    raise ValueError


def named():
    task = asyncio.Task(fails(), loop=asyncio.get_running_loop(), eager_start=True)
    return task


def unnamed():
    return asyncio.Task(fails(), loop=asyncio.get_running_loop(), eager_start=True)


async def left_by(spawn):
    gc.collect()
    for _ in range(100):
        assert isinstance(spawn().exception(), ValueError)
    return gc.collect()


async def main():
    gc.disable()
    found = [await left_by(named), await left_by(unnamed)]
    print(f"{sys.version.split()[0]}: 100 failures leave {found[0]} objects in cycles with a local variable, {found[1]} without")
    expected = found[0] >= 300 if sys.version_info < (3, 14) else found[0] == 0
    sys.exit(not (expected and found[1] == 0))


asyncio.run(main())
PYTHON

found=$(pythons | while read -r each; do "$each" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && echo "$each"; done || true)
[[ -n "$found" ]] || skip "no CPython of 3.12 or later"
while read -r each; do
    "$each" "$folder/check.py" || { echo "CHANGED" >&2; exit 1; }
done <<<"$found"
echo "as stated: the name makes the cycle, on 3.12 and 3.13"
