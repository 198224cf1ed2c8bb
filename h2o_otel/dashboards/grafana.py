"""The panel model as classic Grafana JSON, by way of grafana-foundation-sdk (the extra ``dashboards``).

Ids and grid positions are set here: the SDK's own layout leaves ids empty and overflows the 24
columns, and it hides links and annotations in a menu unless their placement is taken away.
"""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

from .expressions import Count
from .model import BAD, BLUE, COLOURS, GOOD, GREY, WARNING, Dashboard, Panel, Query
from .promql import GRAFANA, label_of, write

with warnings.catch_warnings():
    # The SDK prefers the new dashboard schema; the classic one is what every Grafana imports.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import common as common_builders
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_models
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models import heatmap as heatmap_models
    from grafana_foundation_sdk.models import prometheus as prometheus_models

__all__ = ["TAG", "render", "unit_of"]

TAG = "h2o-otel"
COLUMNS = 24
HEIGHTS = {"stat": 4, "timeseries": 8, "heatmap": 8, "table": 8}
DATASOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_LEVELS = {"good": GOOD, "warning": WARNING, "bad": BAD}
_UNITS = {"s": "s", "By": "bytes", "By/s": "binBps", "ratio": "percentunit", "{request}/s": "reqps", "{operation}/s": "ops"}


def render(dashboard: Dashboard, titles: dict[str, str]) -> str:
    """The JSON of ``dashboard``; ``titles`` has the titles of all, by uid, for links."""
    builder = (
        builders.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG])
        .editable()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-30m", "now")
        .refresh("10s")
        .timezone("browser")
    )
    built = builder.build()
    built.panels = _panels(dashboard, titles)
    built.templating = models.DashboardDashboardTemplating(list_val=_variables(dashboard))
    built.annotations = models.AnnotationContainer(list_val=[_alerts()])
    built.links = [_all_dashboards()]
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


# -- the frame around the panels


def _variables(dashboard: Dashboard) -> list[models.VariableModel]:
    datasource = builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus").build()
    found = [
        datasource,
        _label_values("job", "Job", "h2o_build_info"),
        _label_values("instance", "Instance", 'h2o_build_info{job=~"$job"}'),
    ]
    if dashboard.has_roles():
        role = builders.CustomVariable("role").label("Role").values("client,server").multi(True).include_all(True).all_value(".*")
        found.append(role.current(models.VariableOption(text="All", value="$__all")).build())
    return found


def _label_values(name: str, label: str, metric: str) -> models.VariableModel:
    query = f"label_values({metric}, {name})"
    builder = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(text="All", value="$__all"))
    )
    return builder.build()


def _alerts() -> models.AnnotationQuery:
    built = builders.AnnotationQuery().name("Alerts").datasource(DATASOURCE).enable(True).icon_color(BAD).build()
    # Without a placement it is shown above the panels.
    built.placement = None  # type: ignore[assignment]
    built.expr = 'ALERTS{alertname=~"H2O.+",alertstate="firing",job=~"$job"}'
    built.target = None
    built.title_format, built.text_format, built.step = "{{alertname}}", "{{job}}", "60s"
    return built


def _all_dashboards() -> models.DashboardLink:
    link = builders.DashboardLink("All h2o-otel dashboards").type(models.DashboardLinkType.DASHBOARDS)
    return _placed(link.tags([TAG]).as_dropdown(True).include_vars(True).keep_time(True).build())


def _placed(link: models.DashboardLink) -> models.DashboardLink:
    link.placement = None  # type: ignore[assignment]
    return link


# -- panels


def _panels(dashboard: Dashboard, titles: dict[str, str]) -> list[Any]:
    found: list[Any] = []
    y = 0
    for row in dashboard.rows:
        built = builders.Row(row.title).id(len(found) + 1).build()
        built.grid_pos = models.GridPos(h=1, w=COLUMNS, x=0, y=y)
        found.append(built)
        y += 1
        for line in row.lines:
            width = COLUMNS // len(line)
            height = max(HEIGHTS[panel.kind] for panel in line)
            for i, panel in enumerate(line):
                position = models.GridPos(h=height, w=width, x=i * width, y=y)
                found.append(_panel(panel, titles).id(len(found) + 1).grid_pos(position).build())
            y += height
    return found


def _panel(panel: Panel, titles: dict[str, str]) -> Any:
    builder = {"timeseries": _timeseries, "stat": _stat, "heatmap": _heatmap, "table": _table}[panel.kind](panel)
    builder.title(panel.title).description(panel.description).datasource(DATASOURCE)
    builder.unit(unit_of(panel.unit)).no_value(panel.empty)
    builder.targets([_target(panel, query, chr(ord("A") + i)) for i, query in enumerate(panel.queries)])
    if panel.link:
        url = f"/d/{panel.link}?${{__url_time_range}}&${{__all_variables}}"
        link = builders.DashboardLink(titles[panel.link]).type(models.DashboardLinkType.LINK).url(url)
        builder.links([_Built(_placed(link.build()))])
    return builder


class _Built:
    """A finished model where the SDK wants a builder."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def build(self) -> Any:
        return self._model


def _target(panel: Panel, query: Query, ref_id: str) -> Any:
    target = prometheus.Dataquery().expr(write(query.expression, GRAFANA)).ref_id(ref_id).datasource(DATASOURCE)
    legend = re.sub(r"\{([^}]+)\}", lambda match: f"{{{{{label_of(match[1])}}}}}", query.legend)
    if panel.kind == "heatmap":
        target.format(prometheus_models.PromQueryFormat.HEATMAP).legend_format("{{le}}")
    elif panel.kind == "table":
        return target.format(prometheus_models.PromQueryFormat.TABLE).instant()
    else:
        target.legend_format(legend)
    if query.exemplars:
        target.exemplar(True)
    return target.range()


def _timeseries(panel: Panel) -> Any:
    builder = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .calcs(["mean", "max", "lastNotNull"])
            .show_legend(True)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI).sort(common_models.SortOrder.DESCENDING))
        # One name has one colour on every panel.
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .thresholds(_thresholds(panel))
    )
    if panel.stacked:
        builder.stacking(common_builders.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if all(isinstance(query.expression, Count) for query in panel.queries):
        # How many in each interval: bars, or a single one would be an invisible point.
        builder.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(70)
    if panel.maximum is not None:
        builder.max(panel.maximum)
    if panel.thresholds:
        builder.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED))
    for name in coloured_names(panel):
        builder.override_by_name(name, [models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": COLOURS[name]})])
    return builder


def coloured_names(panel: Panel) -> list[str]:
    """Names of series of ``panel`` whose colour has a meaning: fixed legends, and values of an attribute that is the whole legend."""
    names: dict[str, None] = {}
    for query in panel.queries:
        names[query.legend] = None
        for leaf in query.expression.leaves():
            for attribute in leaf.instrument.attributes:
                if query.legend == f"{{{attribute.name}}}":
                    names.update(dict.fromkeys(attribute.values))
    return sorted(name for name in names if name in COLOURS)


def _stat(panel: Panel) -> Any:
    builder = (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(panel))
        .min(0)
    )
    if panel.maximum is not None:
        builder.max(panel.maximum)
    return builder


def _heatmap(panel: Panel) -> Any:
    colours = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64).exponent(0.5)
    builder = heatmap.Panel().calculate(False).cell_gap(1).hide_legend().exemplars_color(BLUE).color(colours)
    builder.y_axis(heatmap.YAxisConfig().unit(unit_of(panel.unit)))
    builder.tooltip(heatmap.HeatmapTooltip().mode(common_models.TooltipDisplayMode.SINGLE).y_histogram(True))
    return builder


def _table(panel: Panel) -> Any:
    attributes = dict.fromkeys(attribute for query in panel.queries for attribute in query.expression.by)
    excluded = {"Time": True}
    if panel.unit == "{info}":
        # The value is always 1; the labels are the information.
        excluded["Value"] = True
    options = {
        "excludeByName": excluded,
        "indexByName": {label_of(attribute): i for i, attribute in enumerate(attributes)},
        "renameByName": {label_of(attribute): attribute for attribute in attributes},
    }
    return (
        table.Panel()
        .filterable(True)
        .thresholds(_thresholds(panel))
        .with_transformation(models.DataTransformerConfig("organize", options=options))
    )


def _thresholds(panel: Panel) -> builders.ThresholdsConfig:
    base = GREY if not panel.thresholds else _LEVELS["bad" if panel.falling else "good"]
    if not panel.thresholds and panel.kind == "stat":
        base = BLUE
    steps = [models.Threshold(value=None, color=base)]
    steps += [models.Threshold(value=threshold.value, color=_LEVELS[threshold.level]) for threshold in panel.thresholds]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def unit_of(unit: str) -> str:
    """Grafana's name of a unit of the model."""
    if unit in _UNITS:
        return _UNITS[unit]
    return "cps" if unit.endswith("/s") else "short"
