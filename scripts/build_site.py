"""Build the documentation site and check it; what `make docs` runs.

    python scripts/build_site.py            build site/, strictly, and check it
    python scripts/build_site.py --check    check the site that is there
    python scripts/build_site.py --requirements    print what has to be installed for it (the extra "docs")

Zensical's strict mode fails for links to pages and anchors that do not exist.  This also fails for a page that
the navigation misses or names in vain, for images and other files that do not exist, for links of the built
HTML (those in raw HTML too), and for a directive of the API reference that documents nothing.
"""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS, SITE = ROOT / "docs", ROOT / "site"


class Page(html.parser.HTMLParser):
    """The identifiers and the links of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (name == "name" and tag == "a")):
                self.identifiers.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def pages_of(nav: object) -> Iterator[str]:
    """The Markdown files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for each in nav.values():
            yield from pages_of(each)
    elif isinstance(nav, list):
        for each in nav:
            yield from pages_of(each)


def check_navigation(nav: object, files: set[str]) -> list[str]:
    named = list(pages_of(nav))
    faults = [f"zensical.toml: the navigation names docs/{name}, which does not exist" for name in named if name not in files]
    faults += [f"docs/{name}: no entry of the navigation leads there" for name in sorted(files.difference(named))]
    twice = sorted({name for name in named if named.count(name) > 1})
    return faults + [f"zensical.toml: the navigation names {name} twice" for name in twice]


def check_links(site: Path) -> list[str]:
    """Links inside the site whose file or anchor does not exist."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    faults = []
    for path, page in pages.items():
        # The page for what is not found is served at any address; its links begin at the root.
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.exists():
                faults.append(f"{path.relative_to(site)}: {link} leads to no file")
            elif anchor and target in pages and not anchor.startswith("__") and anchor not in pages[target].identifiers:
                faults.append(f"{path.relative_to(site)}: {link} leads to no anchor")
    return faults


def check_reference(docs: Path, site: Path) -> list[str]:
    """Directives (``::: name``) of whose object neither heading nor members are on the built page."""
    faults = []
    for source in docs.rglob("*.md"):
        names = re.findall(r"^::: ([\w.]+)", source.read_text(encoding="utf-8"), re.MULTILINE)
        built = site / source.relative_to(docs).with_suffix("") / "index.html"
        if source.name == "index.md":
            built = site / source.relative_to(docs).with_suffix(".html")
        known = Page(built.read_text(encoding="utf-8")).identifiers if names and built.exists() else set()
        faults += [
            f"docs/{source.relative_to(docs)}: nothing was documented for {name}"
            for name in names
            if not any(f"{each}.".startswith(f"{name}.") for each in known)
        ]
    return faults


def build() -> int:
    program = Path(sys.executable).with_name("zensical")
    if not program.exists():
        print("zensical is not installed beside this Python; run: make docs", file=sys.stderr)
        return 1
    shutil.rmtree(SITE, ignore_errors=True)
    return subprocess.run([program, "build", "--clean", "--strict"], cwd=ROOT, check=False).returncode


def main() -> int:
    if "--requirements" in sys.argv:
        print(*tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["docs"])
        return 0
    if "--check" not in sys.argv and (status := build()):
        return status
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    files = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    faults = [*check_navigation(nav, files), *check_links(SITE), *check_reference(DOCS, SITE)]
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(files)} pages in {SITE.relative_to(ROOT)}/: navigation, links, anchors and the API reference are complete")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
