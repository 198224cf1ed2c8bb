"""``scripts/build_site.py``: what it finds wrong, and that the navigation is complete."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT
from tests.support.alone import alone

SCRIPT = ROOT / "scripts" / "build_site.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("build_site", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site = load()


def test_navigation_has_every_page_once() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    docs = ROOT / "docs"
    assert site.check_navigation(nav, {str(path.relative_to(docs)) for path in docs.rglob("*.md")}) == []


def test_faults_of_the_navigation_are_found() -> None:
    nav = [{"One": "one.md"}, {"Part": ["two.md", {"Again": "one.md"}, "none.md"]}]
    assert site.check_navigation(nav, {"one.md", "two.md", "lost.md"}) == [
        "zensical.toml: the navigation names docs/none.md, which does not exist",
        "docs/lost.md: no entry of the navigation leads there",
        "zensical.toml: the navigation names one.md twice",
    ]


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text('<h1 id="here">x</h1><a href="../">up</a><a href="#gone">a</a><img src="no.png">')
    (tmp_path / "index.html").write_text('<a href="page/#here">ok</a><a href="page/#not">b</a><a href="https://example.org/x">out</a>')
    assert sorted(site.check_links(tmp_path)) == [
        "index.html: page/#not leads to no anchor",
        "page/index.html: #gone leads to no anchor",
        "page/index.html: no.png leads to no file",
    ]


def test_reference_that_documents_nothing_is_found(tmp_path: Path) -> None:
    docs, built = tmp_path / "docs", tmp_path / "site"
    (built / "api").mkdir(parents=True)
    docs.mkdir()
    (docs / "api.md").write_text("# API\n\n::: package.Known\n\n::: package.Unknown\n\n::: package.module\n")
    (built / "api" / "index.html").write_text('<h2 id="package.Known">x</h2><h3 id="package.module.function">y</h3>')
    assert site.check_reference(docs, built) == ["docs/api.md: nothing was documented for package.Unknown"]


def test_requirements_are_those_of_the_extra() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--requirements"], capture_output=True, text=True, check=True)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert done.stdout.split() == extras["docs"]


# Twice what a build may take, since another run may be building.
@pytest.mark.time_limit(360)
def test_site_builds_strictly() -> None:
    pytest.importorskip("zensical")
    with alone("site"):
        done = subprocess.run([sys.executable, SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are complete" in done.stdout
