"""The dispatcher, and the options of serve."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel.cli import main, serve
from h2o_otel.tuning import Tuning


def parse(*arguments: str, **environment: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        serve.register(parser.add_subparsers())
        return parser.parse_args(["serve", *arguments])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"h2o-otel {h2o_otel.__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--help"])
    text = capsys.readouterr().out
    assert "serve" in text
    assert all(name in text for name in main.commands())


def test_no_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_defaults() -> None:
    args = parse("m:a")
    assert (args.app, args.host, args.port, args.loop, args.access_log, args.lifespan) == ("m:a", "127.0.0.1", 8000, "auto", False, "auto")


def test_environment_is_read_and_the_command_line_wins() -> None:
    environment = {"H2O_OTEL_PORT": "9000", "H2O_OTEL_HOST": "::1", "H2O_OTEL_ACCESS_LOG": "true", "H2O_OTEL_LIFESPAN": "off"}
    args = parse("m:a", "--host", "0.0.0.0", "--no-access-log", **environment)
    assert (args.port, args.host, args.access_log, args.lifespan) == (9000, "0.0.0.0", False, "off")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("H2O_OTEL_LIFESPAN", "maybe", "one of auto, on, off"),
        ("H2O_OTEL_ACCESS_LOG", "maybe", "one of 1, true, yes, on or 0, false, no, off"),
        ("H2O_OTEL_PORT", "x", "invalid port_number value: 'x'"),
    ],
)
def test_wrong_environment_is_named(name: str, value: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("m:a", **{name: value})
    assert text in capsys.readouterr().err


def test_tuning(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("m:a").tuning is None
    assert parse("m:a", "--tuning=-stream_priorities").tuning == Tuning(stream_priorities=False)
    assert parse("m:a", H2O_OTEL_TUNING="baseline").tuning == Tuning.baseline()
    assert serve._make_config(parse("m:a", "--tuning", "baseline"), None).tuning == Tuning.baseline()
    assert serve._make_config(parse("m:a"), None).tuning == Tuning()
    with pytest.raises(SystemExit):
        parse("m:a", "--tuning=-magic")
    assert "there is no switch 'magic'" in capsys.readouterr().err


def test_url_of_each_kind_of_address() -> None:
    assert serve._url("http", ("127.0.0.1", 80)) == "http://127.0.0.1:80"
    assert serve._url("https", ("::1", 443, 0, 0)) == "https://[::1]:443"
    assert serve._url("http", "/run/s") == "unix:/run/s"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("open('/no/such/file')", "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'"),
        ("import uvloop_but_not_quite", "ModuleNotFoundError: No module named 'uvloop_but_not_quite'"),
    ],
)
def test_application_that_cannot_be_loaded_is_named(source: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "faulty_app.py").write_text(source + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        patch.delitem(sys.modules, "faulty_app", raising=False)
        assert main.main(["serve", "faulty_app:app", "--app-dir", str(tmp_path), "--telemetry", "off"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].startswith(f"h2o-otel serve: faulty_app:app cannot be loaded: {text}")
    # The fault, and none of the way to it.
    assert "faulty_app.py" in shown
    assert "serve.py" not in shown
    assert "importlib" not in shown


def test_host_that_does_not_resolve_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain_app.py").write_text("async def app(scope, receive, send): ...\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        arguments = ["plain_app:app", "--app-dir", str(tmp_path), "--telemetry", "off", "--lifespan", "off"]
        assert main.main(["serve", *arguments, "--host", "host.invalid"]) == 1
        assert capsys.readouterr().err.startswith("h2o-otel serve: cannot listen on host.invalid port 8000: ")
