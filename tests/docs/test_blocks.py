"""Every code block of README and guide runs as a reader pastes it, and those that cannot say why."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from h2o_otel.server import ServerConfig
from h2o_otel.testing import serve
from tests.docs.blocks import PAGES, ROOT, RUN, Block, PageRun, blocks_of
from tests.docs.service import service
from tests.support.programs import require_program

# How many blocks of a page are not run.  Each says why in a comment before it; the number here may only fall.
NOT_RUN = {
    "README.md": 2,
    "docs/contributing.md": 1,
    "docs/get.md": 1,
    "docs/observe.md": 2,
    "docs/proxies.md": 2,
    "docs/quickstart.md": 3,
    "docs/server.md": 1,
    "docs/telemetry-beside.md": 1,
}
# Languages of blocks that show something; those of configuration files are run by test_proxies.py.
SHOWN = ("text", "json", "yaml", "toml", "promql")
CONFIGURATION = ("nginx", "apache", "caddyfile", "haproxy", "yaml")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def service_port() -> Iterator[int]:
    with serve(ServerConfig(app=service, lifespan="off", timeout_graceful_shutdown=1.0)) as server:
        yield server.port


@pytest.mark.time_limit(240)
@pytest.mark.parametrize("page", [page for page in PAGES if any(b.language in RUN for b in blocks_of(page))], ids=name_of)
def test_blocks_run(page: Path, service_port: int, tmp_path: Path) -> None:
    blocks = blocks_of(page)
    for module in ("fastapi", "httpx", "trustme"):
        if any(not block.reason and re.search(rf"\b(import|from|-m) {module}\b", block.text) for block in blocks):
            pytest.importorskip(module)
    if shutil.which("curl") is None and any("curl" in block.text for block in blocks if not block.reason):
        pytest.skip("the program curl is not installed")
    with PageRun(tmp_path, blocks, service_port) as run:
        assert run.run() == []


def test_blocks_that_are_not_run_are_counted() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page) if block.reason]
    assert [str(block) for block in blocks if block.language not in (*RUN, *CONFIGURATION)] == []
    assert Counter(name_of(block.page) for block in blocks) == NOT_RUN


def test_blocks_have_a_language() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert [str(block) for block in blocks if block.language not in (*RUN, *SHOWN, *CONFIGURATION)] == []


def test_files_of_the_guide_are_used() -> None:
    """A block that becomes a file is named by a later block, so it runs as well."""
    unused: list[Block] = []
    for page in PAGES:
        blocks = blocks_of(page)
        for index, block in enumerate(blocks):
            if block.title and not block.reason and block.language in RUN:
                stem = Path(block.title).stem
                later = [each for each in blocks[index + 1 :] if each.language in RUN and not each.reason]
                if not any(re.search(rf"\b{re.escape(stem)}\b", each.text) for each in later):
                    unused.append(block)
    assert [str(block) for block in unused] == []


def test_data_can_be_parsed() -> None:
    parsers = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
    for page in PAGES:
        for block in blocks_of(page):
            if block.language in parsers:
                parsers[block.language](block.text)


def test_a_block_that_fails_is_reported(service_port: int, tmp_path: Path) -> None:
    page = ROOT / "docs" / "made-up.md"
    good = Block(page, 1, "python", "", False, "", "assert (await client.get('/x')).json()['path'] == '/x'\n")
    bad = Block(page, 5, "sh", "", False, "", "echo before; false | cat; echo after\n")
    with PageRun(tmp_path, [good, bad], service_port) as run:
        (fault,) = run.run()
    assert fault.startswith("docs/made-up.md:5: status 1:\nbefore\n")
    assert "after" not in fault


@pytest.mark.parametrize("page", ["quickstart.md", "observe.md"])
def test_configuration_of_prometheus_is_valid(page: str, tmp_path: Path) -> None:
    promtool = require_program("promtool")
    (block,) = [block for block in blocks_of(ROOT / "docs" / page) if block.title == "prometheus.yml"]
    (tmp_path / "prometheus.yml").write_text(block.text, encoding="utf-8")
    done = subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
