"""A pytest plugin for the h2 library's own suite: ``h2`` is the façade, and the outcome of each test is written down.

Loaded with ``-p`` in a process of its own (``run_h2_suite``), before anything imports ``h2``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import hypothesis
import pytest

import h2o_otel.compat.h2
from h2o_otel import _pure

SOURCE = Path(os.environ["H2_SUITE_SOURCE"])
RESULTS = Path(os.environ["H2_SUITE_RESULTS"])

# Few examples, the same each time: what is random in the suite is not what it is run for.
hypothesis.settings.register_profile("compat", max_examples=10, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("compat")

h2o_otel.compat.h2.install()


def take_frame_parser() -> None:
    """``h2.frame_buffer``, with which the suite takes apart what was sent, is no part of the interface: the suite keeps its own."""
    spec = importlib.util.spec_from_file_location("h2.frame_buffer", SOURCE / "src" / "h2" / "frame_buffer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["h2.frame_buffer"] = module
    spec.loader.exec_module(module)
    h2o_otel.compat.h2.frame_buffer = module  # type: ignore[attr-defined]


take_frame_parser()
outcomes: dict[str, str] = {}


def function_of(nodeid: str) -> str:
    """``test_x.py::TestY::test_z``, without parameters."""
    return nodeid.removeprefix("tests/").partition("[")[0]


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = function_of(report.nodeid)
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        outcomes[name] = getattr(crash, "message", "failed").partition("\n")[0][:200] or "failed"
    elif report.when == "call" and report.passed:
        outcomes.setdefault(name, "")


@pytest.hookimpl
def pytest_sessionfinish() -> None:
    RESULTS.write_text(json.dumps({"build": _pure.build(), "outcomes": outcomes}), encoding="utf-8")
