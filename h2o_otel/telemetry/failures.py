"""Telemetry may fail, the request may not: what is done with an exception inside telemetry."""

from __future__ import annotations

import logging
import os

__all__ = ["failed"]

_log = logging.getLogger("h2o_otel.telemetry")
_logged: set[str] = set()


def failed(what: str) -> None:
    """Called while an exception is handled: logs it once per ``what``, with its traceback.

    Under pytest it is raised again, so that a fault of ours or of a hook does not hide in a log.
    """
    if "PYTEST_CURRENT_TEST" in os.environ:
        raise
    if what not in _logged:
        _logged.add(what)
        _log.warning("telemetry: %s failed; no request is affected, and this is logged once", what, exc_info=True)
