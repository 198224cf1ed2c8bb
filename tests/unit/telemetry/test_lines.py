"""The queue of log lines: never in the loop's way, bounded, written at the end, whole after a fork."""

import fcntl
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from h2o_otel import counters
from h2o_otel.telemetry import lines
from h2o_otel.telemetry.lines import LineHandler, LineQueue
from h2o_otel.telemetry.log_text import Formatter
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("fresh")


def lost(reason):
    return counters.collect().value("log_dropped", reason)


def record(text):
    return logging.LogRecord("h2o_otel", logging.INFO, __file__, 1, text, (), None)


class Held:
    """A queue whose thread is stopped inside a piece of work until ``release`` is called."""

    def __init__(self, lines_max=10_000):
        self.queue = LineQueue(lines_max)
        self.inside = threading.Event()
        self._go = threading.Event()
        self.queue.put(self._hold)
        assert self.inside.wait(PATIENCE_S)

    def _hold(self):
        self.inside.set()
        self._go.wait(PATIENCE_S)

    def release(self):
        self._go.set()
        assert self.queue.flush(PATIENCE_S)


def test_work_is_done_in_order_on_a_thread_of_its_own():
    done = []
    queue = LineQueue()
    for number in range(1000):
        assert queue.put(lambda number=number: done.append((number, threading.current_thread().name)))
    assert queue.flush(PATIENCE_S)
    assert done == [(number, "h2o-otel-log") for number in range(1000)]
    queue.close()


def test_what_finds_the_queue_full_is_dropped_and_counted():
    held = Held(lines_max=3)
    done = []
    assert [held.queue.put(lambda: done.append(1)) for _ in range(5)] == [True, True, True, False, False]
    held.release()
    assert len(done) == 3
    assert lost("queue_full") == 2
    held.queue.close()


def test_work_that_fails_stops_nothing():
    queue, done = LineQueue(), []
    queue.put(lambda: 1 / 0)
    queue.put(lambda: done.append(1))
    assert queue.flush(PATIENCE_S)
    assert done == [1]
    assert lost("write_failed") == 1
    queue.close()


def test_lines_are_whole_and_in_order():
    with tempfile.TemporaryFile("w+") as file:
        queue = LineQueue()
        handler = LineHandler(file, queue)
        for number in range(5000):
            handler.handle(record(f"{number} {'x' * (number % 100)}"))
        assert queue.flush(PATIENCE_S)
        file.seek(0)
        assert file.read().splitlines() == [f"{number} {'x' * (number % 100)}" for number in range(5000)]
        queue.close()


def test_memory_is_written_at_once():
    stream = io.StringIO()
    LineHandler(stream, LineQueue()).handle(record("now"))
    assert stream.getvalue() == "now\n"


def test_a_full_disk_loses_lines_and_nothing_else():
    with open("/dev/full", "w") as full:
        queue = LineQueue()
        handler = LineHandler(full, queue)
        for _ in range(7):
            handler.handle(record("x" * 3000))
        assert queue.flush(PATIENCE_S)
        assert lost("write_failed") == 7
        queue.close()


def test_a_reader_that_left_loses_lines_and_nothing_else():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        queue = LineQueue()
        LineHandler(stream, queue).handle(record("x"))
        assert queue.flush(PATIENCE_S)
        assert lost("write_failed") == 1
        queue.close()


def test_a_closed_stream_gets_nothing_though_its_number_is_in_use_again():
    file = tempfile.TemporaryFile("w")
    number = file.fileno()
    queue = LineQueue()
    handler = LineHandler(file, queue)
    file.close()
    with tempfile.TemporaryFile("w+") as other:
        if other.fileno() != number:
            os.dup2(other.fileno(), number)
        handler.handle(record("for a file that is gone"))
        assert queue.flush(PATIENCE_S)
        assert os.fstat(other.fileno()).st_size == 0
        assert lost("write_failed") == 1
        if other.fileno() != number:
            os.close(number)
    queue.close()


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="pipes of a chosen size are Linux's")
def test_a_pipe_that_nobody_reads_holds_up_nobody(monkeypatch):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with open(writing, "w") as stream, open(reading, "rb"):
        queue = LineQueue(lines_max=100)
        handler = LineHandler(stream, queue)
        # Each of these calls would block for ever if it wrote.
        for _ in range(1000):
            handler.handle(record("x" * 1000))
        assert lost("queue_full") > 0
        assert not queue.flush(0.01)
        # Who does not read was waited for once.
        waited = []
        monkeypatch.setattr(lines._Mark, "wait", lambda mark, timeout_s: waited.append(timeout_s))
        assert not queue.flush(PATIENCE_S)
        assert waited == [lines._STUCK_S]
        monkeypatch.undo()
        queue.close(0.01)
        assert queue._thread is not None
        queue._thread.join(PATIENCE_S)
        assert not queue._thread.is_alive()
        # Every line was written, or is counted as lost.
        written = os.read(reading, 65_536).count(b"\n")
        assert written + lost("queue_full") + lost("write_failed") + lost("shutdown") == 1000


def test_after_the_end_lines_are_written_by_who_has_them():
    with tempfile.TemporaryFile("w+") as file:
        queue = LineQueue()
        handler = LineHandler(file, queue)
        handler.handle(record("before"))
        queue.close()
        handler.handle(record("after"))
        file.seek(0)
        assert file.read() == "before\nafter\n"


FORKS = """
import os, sys
from h2o_otel.telemetry import configure

telemetry = configure(log_format="json", access_log=True)
for number in range(300):
    telemetry.events.access(None, b"GET", b"/parent/%d" % number, 200, 0.001)
child = os.fork()
if child == 0:
    for number in range(300):
        telemetry.events.access(None, b"GET", b"/child/%d" % number, 200, 0.001)
    sys.exit(0)
os.waitpid(child, 0)
"""


def test_nothing_is_lost_or_doubled_by_a_fork_or_at_exit():
    # Python 3.12 and later warn of a fork in a process with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    paths = [json.loads(line)["url.path"] for line in ran.stderr.splitlines()]
    assert sorted(paths) == sorted([f"/{who}/{number}" for who in ("parent", "child") for number in range(300)])


BLOCKED = """
import os, sys
from h2o_otel.telemetry import configure

telemetry = configure(log_format="json", access_log=True)
for number in range(30_000):
    telemetry.events.access(None, b"GET", b"/%d" % number, 200, 0.001)
telemetry.events.emit("h2o.server.stopped", {})
print("asked", flush=True)
"""


def test_a_process_whose_standard_error_blocks_still_ends():
    reading, writing = os.pipe()
    try:
        # No process reads standard error: it is full after 64 kB.
        ran = subprocess.run([sys.executable, "-c", BLOCKED], stdout=subprocess.PIPE, stderr=writing, timeout=PATIENCE_S, check=True)
        assert ran.stdout == b"asked\n"
    finally:
        os.close(reading)
        os.close(writing)


def test_an_access_line_costs_its_caller_a_few_calls(fresh):
    """The loop's share: counted in calls, against those that writing the line takes."""
    from h2o_otel.telemetry import configure

    def calls(work):
        found = 0

        def profile(frame, event, argument):
            nonlocal found
            found += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            work()
        finally:
            sys.setprofile(None)
        return found

    with (
        tempfile.TemporaryFile("w") as file,
        configure(log_format="console", access_log=True, log_stream=file, set_global=False) as telemetry,
    ):
        log = telemetry.events

        def line():
            log.access(None, b"GET", b"/items/7", 200, 0.002)

        written = []
        queued, lines.queue.put = lines.queue.put, lambda work: written.append(work) or True
        try:
            line()
            caller = calls(line)
            writer = calls(written[-1])
        finally:
            lines.queue.put = queued
        assert caller <= 40
        assert writer > 2 * caller


def test_hostile_paths_reach_no_log(tmp_path: Path):
    from h2o_otel.telemetry import configure

    hostile = "/\x1b[31m\x9b\x7f\u202e\u2028\u200b".encode() + b"\xff\x85\r\nforged"
    for style in ("json", "console"):
        target = tmp_path / style
        with open(target, "w") as file, configure(log_format=style, access_log=True, log_stream=file, set_global=False) as telemetry:
            telemetry.events.access(None, b"GET", hostile, 200, 0.002)
            telemetry.events.access(None, b"GET", b"/" + b"x" * 1_000_000, 200, 0.002)
            telemetry.events.emit("h2o.goaway", {"h2o.goaway.debug": hostile.decode("utf-8", "replace")})
            try:
                raise ValueError(hostile.decode("latin-1"))
            except ValueError as error:
                telemetry.events.emit("http.server.request.exception", {"url.path": "/"}, exception=error)
            logging.getLogger("h2o_otel.other").warning(
                "it said %s", hostile.decode("latin-1"), exc_info=ValueError(hostile.decode("latin-1"))
            )
        text = target.read_text()
        assert all(character.isprintable() or character == "\n" for character in text)
        assert len(text) < 20_000
        # Text after a line break of the peer does not start a line.
        assert not any(line.startswith("forged") for line in text.split("\n"))


def test_values_of_json_are_safe_once_they_are_read(fresh):
    shown = Formatter("json").format(record("\x1b[2J\u202e"))
    assert json.loads(shown)["event"] == "\\x1b[2J\\u202e"
