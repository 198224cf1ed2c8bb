"""Expressions written for Prometheus."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from ..telemetry.catalogue import prometheus_label
from .expressions import (
    Binary,
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
    Selected,
    Total,
)

__all__ = ["GRAFANA", "RULES", "Target", "label_of", "write"]

ROLE = "h2o.role"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a query runs.

    Attributes:
        selectors: conditions on every series.
        role: one more, for those that have a role, unless the expression chose the role itself.
        window: range of rates.
        whole: range of ``Increase``.
        by: labels that every aggregation keeps.
    """

    selectors: tuple[str, ...]
    role: str
    window: str
    whole: str
    by: tuple[str, ...] = ()


# Variables of the dashboards; each allows several values.
GRAFANA = Target(('job=~"$job"', 'instance=~"$instance"'), 'h2o_role=~"$role"', "$__rate_interval", "$__range")
# Rules see every process, and keep the job apart.
RULES = Target((), "", "5m", "1h", ("job",))


def label_of(attribute: str) -> str:
    """Name in Prometheus of an attribute or of "instance"."""
    return prometheus_label(attribute)


def write(expression: Expression, target: Target = GRAFANA) -> str:
    """The PromQL of ``expression``.

    Where one part has no role the choice of a role is left out everywhere: a ratio of one role's
    frames and both roles' fields would mislead.
    """
    if not all(_has_role(leaf) for leaf in expression.leaves()):
        target = replace(target, role="")
    return _write(expression, target)


def _has_role(selected: Selected) -> bool:
    return any(attribute.name == ROLE for attribute in selected.instrument.attributes)


def _write(expression: Expression, target: Target) -> str:
    if isinstance(expression, Number):
        return f"{expression.value:g}"
    if isinstance(expression, Selected):
        return _selected(expression, target)
    if isinstance(expression, OrZero):
        return f"({_write(expression.inner, target)} or {_write(expression.base, target)} * 0)"
    if isinstance(expression, Largest):
        kept = f" by ({', '.join(target.by)})" if target.by else ""
        return f"max{kept} ({_write(expression.inner, target)})"
    assert isinstance(expression, Binary)
    return f"{_operand(expression.left, target)} {_operator(expression, target)} {_operand(expression.right, target)}"


def _operand(expression: Expression, target: Target) -> str:
    text = _write(expression, target)
    return f"({text})" if isinstance(expression, Binary) else text


def _operator(expression: Binary, target: Target) -> str:
    left, right = set(expression.left.by), set(expression.right.by)
    if left == right or isinstance(expression.left, Number) or isinstance(expression.right, Number):
        return expression.operator
    # Many series on the left share one on the right.
    on = ", ".join([*target.by, *(label_of(attribute) for attribute in expression.right.by)])
    return f"{expression.operator} on ({on}) group_left ()"


def _selected(expression: Selected, target: Target) -> str:
    name = expression.instrument.prometheus
    if isinstance(expression, Level):
        return _aggregate(expression.how, _vector(expression, name, target), expression, target)
    if isinstance(expression, Quantile):
        buckets = f"rate({_vector(expression, name + '_bucket', target)}[{target.window}])"
        return f"histogram_quantile({expression.q:g}, {_aggregate('sum', buckets, expression, target, 'le')})"
    if isinstance(expression, Buckets):
        return _aggregate("sum", f"rate({_vector(expression, name + '_bucket', target)}[{target.window}])", expression, target, "le")
    if isinstance(expression, Mean):
        return f"({_rate(expression, name + '_sum', target)} / {_rate(expression, name + '_count', target)})"
    if isinstance(expression, Count):
        vector = _vector(expression, name if expression.instrument.kind == "counter" else name + "_count", target)
        window = target.whole if expression.whole else target.window
        return _aggregate("sum", f"clamp_min({vector} - {vector} offset {window}, 0) or {vector}", expression, target)
    if isinstance(expression, Increase):
        return _aggregate("sum", f"increase({_vector(expression, name, target)}[{target.whole}])", expression, target)
    suffix = {Rate: "", Events: "_count", Total: "_sum"}[type(expression)]
    return _rate(expression, name + suffix, target)


def _rate(expression: Selected, name: str, target: Target) -> str:
    return _aggregate("sum", f"rate({_vector(expression, name, target)}[{target.window}])", expression, target)


def _aggregate(how: str, inner: str, expression: Selected, target: Target, *labels: str) -> str:
    kept = dict.fromkeys([*target.by, *(label_of(attribute) for attribute in expression.by), *labels])
    return f"{how} by ({', '.join(kept)}) ({inner})" if kept else f"{how} ({inner})"


def _vector(expression: Selected, name: str, target: Target) -> str:
    conditions = list(target.selectors)
    chosen = {match.attribute for match in expression.where}
    if target.role and ROLE not in chosen:
        conditions.append(target.role)
    # A JSON string is a PromQL string: both escape backslashes and double quotes alike.
    conditions += [f"{label_of(m.attribute)}{m.operator}{json.dumps(m.value)}" for m in expression.where]
    return f"{name}{{{','.join(conditions)}}}" if conditions else name
