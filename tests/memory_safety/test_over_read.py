"""A deliberate over-read through ``_mem`` is caught: by the checked accessors, and by AddressSanitizer where a position lies.

The module that over-reads is compiled here, with the flags of ``make test-checked`` and
``make test-sanitized``, and runs in a process of its own, which dies as it should.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.test_variant import sanitizer_environment

ROOT = Path(__file__).resolve().parents[2]
COMPILER = (os.environ.get("CC") or "cc").split()[0]

pytestmark = [
    pytest.mark.time_limit(300),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer is preloaded as Linux does it"),
    pytest.mark.skipif(
        "libasan" in os.environ.get("LD_PRELOAD", ""), reason="inside a sanitized run, which compiles with a compiler of its own"
    ),
]

SOURCE = """
from h2o_otel cimport _mem

def read(bytes data, Py_ssize_t pos, Py_ssize_t end):
    cdef const unsigned char *memory = data
    return _mem.u32(memory, pos, end)

def copied(bytes data, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t end):
    cdef const unsigned char *memory = data
    return len(_mem.to_bytes(memory, start, stop, end))
"""
SETUP = """
import sys
from setuptools import Extension, setup
from Cython.Build import cythonize
flags = sys.argv.pop().split(",")
links = [flag for flag in flags if flag.startswith("-fsanitize")]
extension = Extension("over_read", ["over_read.pyx"], extra_compile_args=["-O1", *flags], extra_link_args=links)
setup(name="over_read", ext_modules=cythonize([extension], language_level=3, include_path=[sys.argv.pop()], quiet=True))
"""


def built(folder: Path, flags: str) -> Path:
    (folder / "over_read.pyx").write_text(SOURCE)
    (folder / "build_it.py").write_text(SETUP)
    command = [sys.executable, "build_it.py", "--quiet", "build_ext", "--inplace", str(ROOT), flags]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("checked"), "-DH2O_OTEL_CHECKED=1")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("sanitized"), "-fsanitize=address")


@functools.cache
def unshuffled() -> list[str]:
    """Older sanitizers die now and then of where a kernel that shuffles much has put things; not where it does not."""
    command = ["setarch", "-R"]
    possible = shutil.which("setarch") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if possible else []


def runs(folder: Path, call: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    code = f"import over_read; print(over_read.{call})"
    variables = os.environ | {"PYTHONPATH": str(folder)} | (environment or {})
    command = [*(unshuffled() if environment else []), sys.executable, "-S", "-c", code]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "call", ["read(b'abc', 0, 3)", "read(b'abcd', 1, 4)", "read(b'abcd', -1, 4)", "copied(b'abc', 0, 4, 3)", "copied(b'abc', 2, 1, 3)"]
)
def test_checked_build_aborts(checked: Path, call: str) -> None:
    done = runs(checked, call)
    assert done.returncode == -6, done
    assert "checked access outside its buffer" in done.stderr


def test_checked_build_lets_reads_inside_pass(checked: Path) -> None:
    assert runs(checked, "read(b'abcd', 0, 4), over_read.copied(b'abc', 0, 3, 3)").stdout == f"{0x61626364} 3\n"


@pytest.mark.parametrize("call", ["read(b'x' * 1000, 999, 2000)", "copied(b'x' * 1000, 0, 1010, 2000)"])
def test_sanitizer_sees_what_a_wrong_end_lets_pass(sanitized: Path, call: str) -> None:
    done = runs(sanitized, call, sanitizer_environment())
    assert done.returncode not in (0, -6), done
    # An access of several octets that begins inside has no kind of its own.
    assert re.search(r"AddressSanitizer: (heap-buffer-overflow|unknown-crash) ", done.stderr)


def test_sanitizer_lets_reads_inside_pass(sanitized: Path) -> None:
    assert runs(sanitized, "read(b'x' * 1000, 996, 1000)", sanitizer_environment()).stdout == f"{0x78787878}\n"
