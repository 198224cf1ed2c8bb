"""Export of the application's own records to the OpenTelemetry Logs API."""

import contextlib
import io
import logging
import logging.config

import pytest

from h2o_otel.telemetry import log_export, logs
from tests.support.log_events import Kit


@pytest.fixture
def kit(fresh, caplog):
    caplog.set_level(logging.DEBUG, "h2o_otel")
    return Kit()


@contextlib.contextmanager
def bare_root():
    """A root logger as Python makes it, without what pytest has put there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    root.setLevel(logging.WARNING)
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def bodies(kit):
    return [record.body for record in kit.records]


def test_captured_records_leave_the_applications_own_set_up_alone(kit, capsys):
    stream = io.StringIO()
    with bare_root():
        undo = log_export.capture(kit.provider, logging.INFO)
        logging.getLogger("app.a").info("before %s", 1)
        logging.getLogger("app.a").warning("on standard error, as without any handler")
        # With a handler on the root logger, Python's own would do nothing.
        logging.basicConfig(stream=stream, format="%(name)s %(message)s")
        logging.getLogger("app.a").info("after")
        # Python's own would remove the handler.
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"handlers": [], "level": "ERROR"}})
        logging.getLogger("app.a").warning("below the level that the application chose")
        logging.getLogger("app.a").error("last")
        undo()
        logging.getLogger("app.a").critical("too late")
    assert bodies(kit) == ["before 1", "on standard error, as without any handler", "after", "last"]
    assert stream.getvalue() == "app.a after\n"
    assert capsys.readouterr().err.splitlines() == ["on standard error, as without any handler", "last", "too late"]
    assert not hasattr(logging.basicConfig, "__wrapped__")


def test_capturing_ends_as_it_began(kit):
    with bare_root() as root:
        undo = log_export.capture(kit.provider, logging.DEBUG)
        assert (root.level, len(root.handlers)) == (logging.DEBUG, 1)
        undo()
        assert (root.level, root.handlers) == (logging.WARNING, [])


def test_our_own_mistakes_are_captured_where_they_do_not_reach_the_root(kit):
    handler = logs.install_handler("json", "info", io.StringIO())
    undo = log_export.capture(kit.provider, logging.INFO)
    try:
        logging.getLogger("h2o_otel.io").error("internal error")
        kit.log.emit("h2o.goaway")
    finally:
        undo()
        logs.remove_handler(handler)
    assert [(record.body.split()[0], record.event_name) for record in kit.records] == [("internal", None), ("h2o.goaway", "h2o.goaway")]
