"""Telemetry may fail, the request may not: what happens to an exception inside telemetry."""

from __future__ import annotations

import logging

__all__ = ["failed", "raise_failures"]

_log = logging.getLogger("h2o_otel.telemetry")
_logged: set[str] = set()
_raise = False


def raise_failures(on: bool) -> bool:
    """Whether ``failed`` raises the exception again: for our own test suite, which switches it on in its conftest.

    Returns:
        What was in force before.
    """
    global _raise
    before, _raise = _raise, on
    return before


def failed(what: str) -> None:
    """Log the exception being handled, with its traceback, once per ``what``."""
    if _raise:
        raise
    if what not in _logged:
        _logged.add(what)
        _log.warning("telemetry: %s failed; no request is affected, and this is logged once", what, exc_info=True)
