"""Each limit describes itself, and is found and read by its name."""

from __future__ import annotations

import dataclasses
import re

import pytest

from h2o_otel import bounds
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, Limits, ServerLimits
from h2o_otel.rules import all_rules
from tests.support.faults import for_each

ALL = bounds.bounds_of(Limits) | bounds.bounds_of(ServerLimits)


@for_each("name", list(ALL))
def test_every_limit_says_what_it_bounds_what_happens_and_when_to_change_it(name: str) -> None:
    row = ALL[name]
    for sentence in (row.meaning, row.reached, row.change):
        assert re.fullmatch(r"[A-Z0-9][^|]{14,}\.", sentence), f"{name}: describe it with h2o_otel.bounds.bound(); found {sentence!r}"
    assert row.default == getattr(SERVER_LIMITS if hasattr(SERVER_LIMITS, name) else CLIENT_LIMITS, name)
    assert row.side in ("both", "server", "client")


@for_each("name", list(ALL))
def test_rules_and_limits_that_a_description_names_exist(name: str) -> None:
    row = ALL[name]
    tokens = {rule.token for rule in all_rules()}
    text = f"{row.meaning} {row.reached} {row.change}"
    assert {token for token in re.findall(r"rule (\w+)", text) if token not in tokens} == set()
    # Whatever is spelled like a limit is one.
    spelled = {word for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", text) if re.search(r"_(bytes|s|max|percent)$", word)}
    assert spelled - set(ALL) == set()


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("idle_timeout_s", "seconds"),
        ("stream_window_bytes", "octets"),
        ("body_rate_min_bytes_per_s", "octets a second"),
        ("pings_refill_per_s", "a second"),
        ("turn_s_max", "seconds"),
        ("memory_shrink_percent", "percent"),
        ("keepalive_expiry", "seconds"),
        ("streams_max", ""),
    ],
)
def test_units(name: str, unit: str) -> None:
    assert ALL[name].unit == unit


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("streams_max", "7", 7),
        ("streams_max", "1_000", 1000),
        ("idle_timeout_s", "12.5", 12.5),
        ("idle_timeout_s", "None", None),
        ("memory_process_bytes_max", "none", None),
    ],
)
def test_values_as_text(name: str, text: str, value: float | None) -> None:
    assert bounds.parse(ALL, name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("streams_max", "many", "streams_max is 'many'; it takes an integer"),
        ("streams_max", "1.5", "streams_max is '1.5'; it takes an integer"),
        ("streams_max", "none", "streams_max is 'none'; it takes an integer"),
        ("idle_timeout_s", "inf", "idle_timeout_s is 'inf'; it takes a number of seconds, or none for no bound"),
        ("stream_window_bytes", "", "stream_window_bytes is ''; it takes an integer of octets"),
    ],
)
def test_values_that_are_none(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        bounds.parse(ALL, name, text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("idle_timout_s", "idle_timeout_s"),
        ("stream_max", "streams_max"),
        ("idle-timeout-s", "idle_timeout_s"),
        ("IDLE_TIMEOUT_S", "idle_timeout_s"),
        ("timeout_idle", "idle_timeout_s"),
    ],
)
def test_unknown_names_say_which_one_is_like_it(name: str, nearest: str) -> None:
    with pytest.raises(bounds.UnknownLimit) as caught:
        bounds.parse(ALL, name, "1")
    assert caught.value.nearest[0] == nearest
    assert f"there is no limit {name!r}; did you mean {nearest}" in str(caught.value)


def test_unknown_names_like_none() -> None:
    with pytest.raises(bounds.UnknownLimit) as caught:
        bounds.parse(ALL, "zzz" * 1000, "1")
    assert str(caught.value) == f"there is no limit {('zzz' * 1000)[:80]!r}; see --list-limits"


def test_changed_values() -> None:
    assert bounds.replaced(SERVER_LIMITS, {}) is SERVER_LIMITS
    assert bounds.replaced(SERVER_LIMITS, {"streams_max": 7}) == ServerLimits(streams_max=7)


def test_a_field_without_a_description_has_empty_sentences() -> None:
    made = dataclasses.make_dataclass("Made", [("idle_s", "float", 1.0)])
    assert bounds.bounds_of(made)["idle_s"] == bounds.Bound("idle_s", "float", 1.0, "", "", "", "both")
