"""Check that texts use plain engineering English: no line may match a phrase of ``PHRASES``.

    python scripts/check_words.py [FILE ...]      these files, or all that are tracked
    python scripts/check_words.py --commits RANGE the subjects of commits, such as origin/main..HEAD

Read are sources, tests, scripts and documentation.  When a review finds another phrase that a reader
has to guess, add it to ``PHRASES`` with its plain form.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".md", ".pxd", ".py", ".sh", ".yml"}
FOLDERS = ("h2o_otel", "docs", "tests", "scripts", "examples", "deploy")
# Folders whose texts do not pass yet; to be emptied.
EXCLUDED = (
    "h2o_otel/_mem.",
    "h2o_otel/buffers/",
    "h2o_otel/client/",
    "h2o_otel/compat/",
    "h2o_otel/frames/",
    "h2o_otel/hpack/",
    "h2o_otel/io/",
    "h2o_otel/limits.py",
    "h2o_otel/bounds.py",
    "h2o_otel/memory/",
    "h2o_otel/pool/",
    "h2o_otel/protocol/",
    "h2o_otel/server/",
    "h2o_otel/streams/",
    "h2o_otel/tls/",
    "docs/ablation.md",
    "docs/reference/",
    "scripts/check_words.py",
    "tests/attacks/",
    "tests/compat/",
    "tests/conformance/",
    "tests/integration/",
    "tests/peers/",
    "tests/rfc",
    "tests/simulation/",
    "tests/support/",
    *(f"tests/unit/{folder}/" for folder in ("buffers", "client", "compat", "hpack", "io", "memory", "pool")),
    *(f"tests/unit/{folder}/" for folder in ("benchmarks", "protocol", "server", "streams", "tls")),
)
# A pattern that no line may match, and what to write instead.
PHRASES = (
    (r'"""What ', "name the thing: 'The settings that ...', or say what a function does"),
    (r"^ *# What ", "name the thing, or say who does what"),
    (r"\bthe one (that|which|who)\b", "repeat the noun"),
    (r"\bas far as\b", "where, if"),
    (r"\bcomes? to nothing\b", "fails, has no effect"),
    (r"\bends nothing\b", "does not close the connection"),
    (r"\bha[sd] to say\b", "sends, contains"),
    (r"\bsays? nothing\b", "is ignored, sends no data"),
    (r"\bgiv(es?|ing) way\b", "releases memory, refuses streams"),
    (r"\bin crumbs\b", "in small pieces"),
    (r"\bfor fun\b", "repeatedly"),
    (r"\bturned round\b", "reversed"),
    (r"\b([Nn]obody|[Ss]omebody|[Ww]hoever)('s)?\b", "name the client, the server, the caller"),
    (r"\b[Kk]nobs?\b", "setting"),
    (r"\byardstick\b", "baseline"),
    (r"\b(bad|good|healthy) citizens?\b", "say which limit it keeps"),
    (r"\bever in doubt\b", "as a fallback"),
    (r'^ *(#|"""|\*|\|).*\bL(10|[1-9])\b', "the layer's name"),
)
SUBJECT = re.compile(r"^[a-z0-9_./, -]+: \S.*$")
SUBJECT_MAX = 72


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in listed if name.startswith(tuple(f"{folder}/" for folder in FOLDERS)) or name.endswith(".md")]


def is_checked(name: str) -> bool:
    return Path(name).suffix in SUFFIXES and not name.startswith(EXCLUDED)


def faults_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, phrase and advice of each match."""
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, advice in PHRASES:
            found = re.search(pattern, line)
            if found:
                yield number, found[0].strip(), advice


def fault_of_subject(subject: str) -> str:
    """The fault of a commit's subject, or ""."""
    if len(subject) > SUBJECT_MAX:
        return f"{len(subject)} characters, at most {SUBJECT_MAX}"
    if not SUBJECT.match(subject) and not subject.startswith("Revert "):
        return "not of the form 'area: what it does'"
    return "".join(f"{phrase!r}: {advice}" for _, phrase, advice in faults_in(subject))


def check_commits(revisions: str) -> list[str]:
    done = subprocess.run(["git", "log", "--format=%h %s", revisions], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return [f"{commit} {subject}: {fault}" for commit, _, subject in lines if (fault := fault_of_subject(subject))]


def check_files(paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if is_checked(name) and path.exists():
            text = path.read_text(encoding="utf-8")
            found += [f"{name}:{number}: {phrase!r}: {advice}" for number, phrase, advice in faults_in(text)]
    return found


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--commits"]:
        faults = check_commits(arguments[1])
    else:
        faults = check_files([Path(name).resolve() for name in arguments] or tracked())
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
