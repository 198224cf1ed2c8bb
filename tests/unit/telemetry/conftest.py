"""Telemetry tests start from empty counters and leave nothing global behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from h2o_otel import counters
from h2o_otel.memory import gcwatch
from h2o_otel.telemetry import runtime
from tests.support.spans import Kit


@pytest.fixture
def fresh() -> Iterator[None]:
    """No counts from before; none left for the next test."""
    counters._reset_after_fork()
    gcwatch._reset_after_fork()
    yield
    runtime.unwatch_gc()
    counters._reset_after_fork()


@pytest.fixture
def kit(fresh: None) -> Kit:
    return Kit()
