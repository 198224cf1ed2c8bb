"""Run the failed tests of a run once more, alone: ``python scripts/test_again.py build/pytest-compiled [pytest's arguments]``.

CI runs two suites at once on a shared machine, where a test may lose a race that it wins elsewhere.
What passes the second time is listed as unstable, so that it gets fixed; what fails twice fails.
More than a few failures are no accident and are not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FAILURES_MAX = 5


def main() -> int:
    cache, arguments = Path(sys.argv[1]), sys.argv[2:]
    try:
        failed = sorted(json.loads((cache / "v/cache/lastfailed").read_text("utf-8")))
    except (OSError, ValueError):
        failed = []
    if not 0 < len(failed) <= FAILURES_MAX:
        return 1
    command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", "--last-failed", *arguments]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        print("==> UNSTABLE: failed among the others, passed alone:", *failed, sep="\n    ")
    return status


if __name__ == "__main__":
    sys.exit(main())
