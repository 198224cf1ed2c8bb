"""The panel model: what it holds, and that it holds everything."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from h2o_otel.dashboards.expressions import (
    Buckets,
    Count,
    Events,
    Expression,
    Increase,
    Largest,
    Level,
    Mean,
    Number,
    OrZero,
    Quantile,
    Rate,
    Total,
    is_,
    present,
)
from h2o_otel.dashboards.model import COLOURS, Dashboard, Panel, Query, Row, quantiles
from h2o_otel.dashboards.pages import DASHBOARDS
from h2o_otel.dashboards.promql import RULES, write
from h2o_otel.limits import EngineLimits, Limits, ServerLimits
from h2o_otel.telemetry.catalogue import INSTRUMENTS
from tests.support.faults import for_each

ROOT = Path(__file__).resolve().parents[2]
PANELS = [pytest.param(panel, id=f"{dashboard.uid}: {panel.title}") for dashboard in DASHBOARDS for panel in dashboard.panels()]
HERE = 'job=~"$job",instance=~"$instance"'
WINDOW = "[$__rate_interval]"
ERRORS = f"h2o_hpack_errors_total{{{HERE}}}"
SOURCES = "".join(
    path.read_text(encoding="utf-8") for path in ROOT.joinpath("h2o_otel").rglob("*.py") if path.parts[-2] not in ("dashboards", "pages")
)


def test_every_instrument_is_on_a_panel() -> None:
    shown = {name for dashboard in DASHBOARDS for name in dashboard.instruments()}
    missing = {instrument.name for instrument in INSTRUMENTS} - shown
    assert not missing, "add a panel to h2o_otel/dashboards/pages/ for each"


def test_uids_and_titles_are_unique() -> None:
    assert len({dashboard.uid for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    assert len({dashboard.title for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS:
        titles = [(row.title, panel.title) for row in dashboard.rows for panel in row.panels()]
        assert len(set(titles)) == len(titles), dashboard.uid


def test_the_health_answer_is_the_top_row() -> None:
    first = DASHBOARDS[0]
    assert first.uid == "h2o-overview"
    assert all(panel.kind == "stat" for panel in first.rows[0].panels())
    assert all(panel.link for panel in first.rows[0].panels())


@for_each("panel", PANELS)
def test_panel_explains_itself(panel: Panel) -> None:
    assert panel.title
    for text in (panel.what, panel.healthy, panel.tune):
        assert text.endswith("."), text
        assert len(text) <= 400
    assert panel.description == f"{panel.what}\n\n**Healthy:** {panel.healthy}\n\n**Tune:** {panel.tune}"


@for_each("panel", PANELS)
def test_settings_that_it_names_turn_something(panel: Panel) -> None:
    kinds = {kind.__name__: {field.name for field in dataclasses.fields(kind)} for kind in (EngineLimits, ServerLimits, Limits)}
    for kind, name in re.findall(r"`(\w*Limits)\.(\w+)", panel.description):
        assert name in kinds[kind]
        assert re.search(rf"\.{name}\b", SOURCES), f"no code reads {kind}.{name}"


@for_each("panel", PANELS)
def test_links_lead_somewhere(panel: Panel) -> None:
    assert not panel.link or panel.link in {dashboard.uid for dashboard in DASHBOARDS}


@for_each("panel", PANELS)
def test_legends_name_labels_that_remain(panel: Panel) -> None:
    for query in panel.queries:
        assert set(re.findall(r"\{([^}]+)\}", query.legend)) <= set(query.expression.by), query.legend


@for_each("panel", PANELS)
def test_expressions_of_a_panel_share_its_unit(panel: Panel) -> None:
    """One axis cannot show seconds and octets; units that count things go together."""
    kinds = {query.expression.unit for query in panel.queries if " per " not in query.expression.unit}
    assert len({unit if unit in ("s", "By", "By/s", "ratio") else unit.endswith("/s") for unit in kinds}) <= 1


@for_each("panel", PANELS)
def test_thresholds_ascend(panel: Panel) -> None:
    values = [threshold.value for threshold in panel.thresholds]
    assert values == sorted(set(values))
    levels = [threshold.level for threshold in panel.thresholds]
    assert levels in ([], ["warning"], ["bad"], ["warning", "bad"], ["warning", "good"])
    assert panel.falling == (levels[-1:] == ["good"])


def test_colours_are_colours() -> None:
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in COLOURS.values())


@pytest.mark.parametrize(
    ("expression", "promql"),
    [
        (Rate("h2o.hpack.fields"), f"sum (rate(h2o_hpack_fields_total{{{HERE}}}{WINDOW}))"),
        (Rate("h2o.frames"), f'sum (rate(h2o_frames_total{{{HERE},h2o_role=~"$role"}}{WINDOW}))'),
        (
            Rate("h2o.frames", is_("h2o.role", "client"), by="h2o.frame.type"),
            f'sum by (h2o_frame_type) (rate(h2o_frames_total{{{HERE},h2o_role="client"}}{WINDOW}))',
        ),
        (Level("h2o.pool.limit", by="server.address"), f"sum by (server_address) (h2o_pool_limit{{{HERE}}})"),
        (Level("h2o.pool.limit", how="max"), f"max (h2o_pool_limit{{{HERE}}})"),
        (Largest(Level("h2o.pool.limit", by="instance")), f"max (sum by (instance) (h2o_pool_limit{{{HERE}}}))"),
        (
            Count("h2o.hpack.errors", by="error.type"),
            f"sum by (error_type) (clamp_min({ERRORS} - {ERRORS} offset $__rate_interval, 0) or {ERRORS})",
        ),
        (Increase("h2o.buffer.pool.leaked"), f"sum (increase(h2o_buffer_pool_leaked_total{{{HERE}}}[$__range]))"),
        (Buckets("h2o.loop.lag"), f"sum by (le) (rate(h2o_loop_lag_seconds_bucket{{{HERE}}}{WINDOW}))"),
        (Events("h2o.loop.lag"), f"sum (rate(h2o_loop_lag_seconds_count{{{HERE}}}{WINDOW}))"),
        (Total("h2o.loop.lag"), f"sum (rate(h2o_loop_lag_seconds_sum{{{HERE}}}{WINDOW}))"),
        (
            Quantile(0.99, "h2o.loop.lag", by="instance"),
            f"histogram_quantile(0.99, sum by (instance, le) (rate(h2o_loop_lag_seconds_bucket{{{HERE}}}{WINDOW})))",
        ),
        (
            Mean("h2o.loop.lag"),
            f"(sum (rate(h2o_loop_lag_seconds_sum{{{HERE}}}{WINDOW})) / sum (rate(h2o_loop_lag_seconds_count{{{HERE}}}{WINDOW})))",
        ),
        (Number(1) - Level("h2o.pool.limit"), f"1 - sum (h2o_pool_limit{{{HERE}}})"),
    ],
)
def test_promql(expression: Expression, promql: str) -> None:
    assert write(expression) == promql


def test_promql_of_a_ratio_matches_labels() -> None:
    split = Level("h2o.pool.pending", by="server.address")
    assert "/ on () group_left () sum" in write(split / Level("h2o.pool.limit"))
    assert ") / sum by (server_address) (" in write(split / Level("h2o.pool.limit", by="server.address"))
    assert "/ on (job) group_left () sum by (job) (" in write(split / Level("h2o.pool.limit"), RULES)


def test_promql_of_mixed_roles_leaves_the_role_out() -> None:
    assert "$role" not in write(Rate("h2o.hpack.fields") / Rate("h2o.frames"))


def test_promql_or_zero_needs_its_base() -> None:
    name = "http.server.request.duration"
    text = write(OrZero(Events(name, present("error.type")), Events(name)))
    assert text.startswith("(sum (rate(")
    assert ' or sum (rate(http_server_request_duration_seconds_count{job=~"$job",instance=~"$instance"}[$__rate_interval])) * 0)' in text
    assert "vector(" not in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rate("h2o.pool.limit"), "is a gauge; Rate is for counter"),
        (lambda: Level("h2o.frames"), "is a counter; Level is for gauge or updowncounter"),
        (lambda: Rate("h2o.frames", by="h2o.colour"), "h2o.frames has no attribute h2o.colour"),
        (lambda: Rate("h2o.frames", is_("h2o.frame.type", "DATUM")), "h2o.frame.type of h2o.frames is never 'DATUM'"),
        (lambda: Rate("h2o.frames") / Rate("h2o.frames", by="h2o.role"), "the right side is split by"),
        (lambda: Query(Rate("h2o.frames")), "needs a legend"),
        (lambda: Row("r", ((),)), "does not fill the width"),
        (lambda: Panel(title="p", queries=(Query(Rate("h2o.frames"), "x"),), healthy="", tune="", kind="pie"), "'pie' is none of"),
    ],
)
def test_mistakes_are_found_when_a_panel_is_built(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
    with pytest.raises(KeyError):
        Rate("h2o.nothing")


def test_units_follow_from_the_expression() -> None:
    assert Rate("h2o.loop.busy").unit == "ratio"
    assert Rate("h2o.frames").unit == "{frame}/s"
    assert (Rate("h2o.frames") / Rate("h2o.frames")).unit == "ratio"
    assert (Rate("h2o.io.transferred") / Rate("h2o.frames")).unit == "By/s per {frame}/s"
    assert (Number(1) - Rate("h2o.loop.busy")).unit == "ratio"
    assert Events("http.server.request.duration").unit == "{request}/s"


def test_quantiles_name_their_attributes() -> None:
    assert [query.legend for query in quantiles("h2o.ping.rtt", by="h2o.role")][1] == "p50 {h2o.role}"


def test_roles_are_a_choice_only_where_something_has_them() -> None:
    by_uid: dict[str, Dashboard] = {dashboard.uid: dashboard for dashboard in DASHBOARDS}
    assert by_uid["h2o-streams"].has_roles()
    assert not by_uid["h2o-requests"].has_roles()
