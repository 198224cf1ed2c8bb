"""Limits on the command line of serve, in its environment, and the list of them."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from h2o_otel.bounds import bounds_of
from h2o_otel.cli import _limits, main, serve
from h2o_otel.limits import SERVER_LIMITS, ServerLimits
from tests.support.faults import for_each


def limits(*arguments: str, **environment: str) -> ServerLimits:
    parser = argparse.ArgumentParser()
    serve.register(parser.add_subparsers())
    return _limits.limits_of(parser.parse_args(["serve", "m:a", *arguments]).limit, environment)


def test_defaults_are_those_of_a_server() -> None:
    assert limits() is SERVER_LIMITS


def test_limits_on_the_command_line() -> None:
    assert limits("--limit", "idle_timeout_s=none", "--limit", "streams_max=7") == replace(
        SERVER_LIMITS, idle_timeout_s=None, streams_max=7
    )


def test_environment_is_read_and_the_command_line_wins() -> None:
    environment = {"H2O_OTEL_LIMIT_STREAMS_MAX": "7", "H2O_OTEL_LIMIT_BODY_STALL_TIMEOUT_S": "120.5", "H2O_OTEL_LIMIT_CONCURRENCY": "3"}
    assert limits("--limit", "streams_max=8", **environment) == replace(SERVER_LIMITS, streams_max=8, body_stall_timeout_s=120.5)


@for_each("name", list(bounds_of(ServerLimits)))
def test_every_limit_can_be_set_both_ways(name: str) -> None:
    default = getattr(SERVER_LIMITS, name)
    value = 32_768 if name == "frame_bytes_max" else 8 if default is None else default * 2
    assert limits("--limit", f"{name}={value}") == replace(SERVER_LIMITS, **{name: value})
    assert limits(**{f"H2O_OTEL_LIMIT_{name.upper()}": str(value)}) == replace(SERVER_LIMITS, **{name: value})


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("stream_max=1", "argument --limit: there is no limit 'stream_max'; did you mean streams_max or "),
        ("streams_max", "argument --limit: 'streams_max' is not NAME=VALUE; --list-limits prints the names"),
        ("streams_max=x", "argument --limit: streams_max is 'x'; it takes an integer"),
    ],
)
def test_what_cannot_be(argument: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        limits("--limit", argument)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"H2O_OTEL_LIMIT_IDLE_TIMOUT_S": "1"}, "H2O_OTEL_LIMIT_IDLE_TIMOUT_S names no limit; did you mean H2O_OTEL_LIMIT_IDLE_TIMEOUT_S"),
        ({"H2O_OTEL_LIMIT_STREAMS_MAX": "x"}, "H2O_OTEL_LIMIT_STREAMS_MAX: streams_max is 'x'; it takes an integer"),
        ({"H2O_OTEL_LIMIT_STREAMS_MAX": "-1"}, "ServerLimits.streams_max is -1; a bound is at least 0"),
        ({"H2O_OTEL_LIMIT_QQQ": "1"}, "H2O_OTEL_LIMIT_QQQ names no limit; h2o-otel serve --list-limits prints them"),
    ],
)
def test_what_cannot_be_in_the_environment(environment: dict[str, str], text: str) -> None:
    with pytest.raises(_limits.LimitsError) as caught:
        limits(**environment)
    assert str(caught.value).startswith(text)


def test_wrong_limits_end_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("H2O_OTEL_LIMIT_STREAM_MAX", "1")
    assert main.main(["serve", "m:a"]) == 2
    assert capsys.readouterr().err.startswith(
        "h2o-otel serve: H2O_OTEL_LIMIT_STREAM_MAX names no limit; did you mean H2O_OTEL_LIMIT_STREAMS_MAX"
    )


def test_the_list_has_every_limit_with_meaning_default_and_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["serve", "--list-limits"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "\nidle_timeout_s = 75.0 seconds, or none (servers)\n" in text
    assert "\nconnections_per_address_max = none (servers)\n" in text
    words = " ".join(text.split())
    for row in bounds_of(ServerLimits).values():
        assert f"{row.name} = " in words
        assert f"{row.meaning} {row.reached} {row.change}" in words


def test_help_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["serve", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "--limit NAME=VALUE" in words
    assert "--list-limits print every limit" in words


def test_limits_reach_the_server_and_its_telemetry() -> None:
    args = serve_defaults()
    changed = replace(SERVER_LIMITS, log_lines_per_s=3.0, log_queue_lines_max=77, origins_labelled_max=5)
    assert serve._make_config(args, None, changed).limits is changed
    with pytest.MonkeyPatch.context() as patch:
        seen = {}
        patch.setattr("h2o_otel.telemetry.configure", lambda **named: seen.update(named))
        serve._make_telemetry(args, changed)
    assert (seen["log_lines_per_s"], seen["log_queue_lines_max"], seen["origins_max"]) == (3.0, 77, 5)


def serve_defaults() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve.register(parser.add_subparsers())
    return parser.parse_args(["serve", "m:a"])
