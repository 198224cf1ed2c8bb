"""The generated page of the documentation."""

from pathlib import Path

from h2o_otel.telemetry import reference
from h2o_otel.telemetry.catalogue import EVENTS, INSTRUMENTS, SPANS

PAGE = Path(__file__).parents[3] / "docs" / "telemetry.md"


def test_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "run: python -m h2o_otel.telemetry.reference docs/telemetry.md"


def test_everything_is_on_the_page():
    text = reference.page()
    for name in (*(i.name for i in INSTRUMENTS), *(i.prometheus for i in INSTRUMENTS), *(s.name for s in SPANS), *(e.name for e in EVENTS)):
        assert f"`{name}`" in text


def test_main_writes_the_page(tmp_path, capsys):
    assert reference.main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == reference.page()
    reference.main([])
    assert capsys.readouterr().out == reference.page()
