"""Write the files that are generated from the sources, or check that they are current.

    python scripts/generate.py            write
    python scripts/generate.py --check    fail, naming them, when one differs from what would be written

A generator is a function without arguments that returns {path below the repository: text}.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The sources as they are, here, whatever is compiled or installed.
os.environ["H2O_OTEL_PURE"] = "1"
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

# "module:function", in the package or in scripts/
GENERATORS = ["reference:pages", "h2o_otel.telemetry.reference:pages", "h2o_otel.dashboards.build:files"]


def generated() -> dict[str, str]:
    files: dict[str, str] = {}
    for entry in GENERATORS:
        module, _, function = entry.partition(":")
        generator: Callable[[], dict[str, str]] = getattr(importlib.import_module(module), function)
        files.update(generator())
    return files


def main() -> int:
    different = [
        (ROOT / path, text)
        for path, text in generated().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
    for path, text in different:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is not current; run: make generate", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if different and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
