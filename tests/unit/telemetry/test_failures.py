"""Faults inside telemetry: raised in this suite alone, logged once everywhere else."""

import os
import subprocess
import sys

import pytest

from h2o_otel.telemetry import failures


def fail():
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        failures.failed("a test")


def test_this_suite_raises():
    with pytest.raises(RuntimeError, match="boom"):
        fail()


def test_the_switch_says_what_was_before():
    assert failures.raise_failures(False) is True
    try:
        fail()
    finally:
        assert failures.raise_failures(True) is False


def test_the_suite_of_a_user_does_not_raise(tmp_path):
    (tmp_path / "test_users.py").write_text(
        "import logging\n"
        "from h2o_otel.telemetry import failures\n"
        "def test_request(caplog):\n"
        "    for _ in range(2):\n"
        "        try:\n"
        "            raise RuntimeError('boom')\n"
        "        except RuntimeError:\n"
        "            failures.failed('a hook')\n"
        "    lines = [record.getMessage() for record in caplog.records]\n"
        "    assert lines == ['telemetry: a hook failed; no request is affected, and this is logged once']\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
