"""Build a variant of the compiled modules in a folder of its own and run the engine's tests on it.

    python scripts/test_variant.py checked      an access outside its buffer aborts (H2O_OTEL_CHECKED)
    python scripts/test_variant.py sanitized    the same accesses under AddressSanitizer, too

More arguments go to pytest; ``--fuzz`` and those after it go to ``python -m fuzz`` instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Tests that feed bytes of a peer to compiled code without a network.
ENGINE_TESTS = [
    "tests/unit/test_import_order.py",
    *(f"tests/unit/{layer}" for layer in ("memory", "buffers", "hpack", "frames", "streams", "protocol")),
    "tests/rfc9113",
    "tests/rfc7541",
    "tests/property",
    "tests/simulation",
    "tests/parity",
    "tests/fuzz",
    "tests/memory_safety",
]
COPIED = ["h2o_otel", "tests", "fuzz", "docs", "scripts", "setup.py", "pyproject.toml", "README.md", "LICENSE"]


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in ("checked", "sanitized"):
        print(__doc__, file=sys.stderr)
        return 2
    variant, arguments = sys.argv[1], sys.argv[2:]
    folder = ROOT / "build" / variant
    copy(folder)
    environment = {name: value for name, value in os.environ.items() if name != "H2O_OTEL_PURE"}
    environment |= {"H2O_OTEL_REQUIRE_CYTHON": "1", "H2O_OTEL_CHECKED": "1"}
    if variant == "sanitized":
        environment["H2O_OTEL_SANITIZE"] = "1"
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(build, cwd=folder, env=environment, check=True)
    environment["H2O_OTEL_EXPECT"] = "compiled"
    if variant == "sanitized":
        environment |= sanitizer_environment()
    if arguments[:1] == ["--fuzz"]:
        command = ["fuzz", *arguments[1:]]
    else:
        command = ["pytest", *(path for path in ENGINE_TESTS if (folder / path).exists()), *arguments]
    # The folder comes first on the path, before the installed package.
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, check=False).returncode


def copy(folder: Path) -> None:
    """The sources as they are now; what was compiled from unchanged ones stays in build/cache there."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        elif source.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def sanitizer_environment() -> dict[str, str]:
    """Python itself is not sanitized: the library is loaded first, and every allocation made visible to it."""
    compiler = (os.environ.get("CC") or "cc").split()
    found = subprocess.run([*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {"LD_PRELOAD": found.stdout.strip(), "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}


if __name__ == "__main__":
    sys.exit(main())
