"""Settings, and finding the application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS, ServerLimits
from h2o_otel.server import ConfigError, Server, ServerConfig, load_app
from h2o_otel.tuning import Tuning


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application."""


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lifespan": "maybe"}, "auto, on, off"),
        ({"loop": "trio"}, "auto, asyncio, uvloop"),
        ({"port": 70_000}, "0 to 65535"),
        ({"uds": "/x", "fd": 3}, "uds and fd"),
        ({"limits": CLIENT_LIMITS}, r"a Limits; a server takes h2o_otel\.ServerLimits"),
        ({"ssl_keyfile": "key.pem"}, "without ssl_certfile"),
    ],
)
def test_wrong_setting_says_what_is_allowed(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ServerConfig(app=app, **settings)


def test_tuning_reaches_the_connections() -> None:
    tuning = Tuning(stream_priorities=False)
    assert Server(ServerConfig(app=app, tuning=tuning))._protocol_config.tuning is tuning
    assert Server(ServerConfig(app=app))._protocol_config.tuning == Tuning()


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(ServerConfig(app=app, ssl_certfile="c", ssl_keyfile_password="secret"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "found_app.py").write_text(
        "class N:\n    async def app(scope, receive, send): pass\ndef make(): return N.app\nnumber = 5\n"
    )
    (tmp_path / "broken_app.py").write_text("import a_module_that_is_not_there\n")
    yield tmp_path
    for name in ("found_app", "broken_app"):
        sys.modules.pop(name, None)


def load(name: str, folder: Path, **more: Any) -> Any:
    return load_app(ServerConfig(app=name, app_dir=str(folder), **more))


def test_application_by_name_and_by_factory(folder: Path) -> None:
    assert load("found_app:N.app", folder).__name__ == "app"
    assert load("found_app:make", folder, factory=True).__name__ == "app"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("found_app", "module:attribute"),
        (":app", "module:attribute"),
        ("lost_app:app", "no module 'lost_app' in "),
        ("found_app:lost", "has no attribute 'lost'"),
        ("found_app:number", "not callable"),
    ],
)
def test_application_that_is_not_found(folder: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load(name, folder)


def test_import_error_of_the_application_itself_passes_through(folder: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        load("broken_app:app", folder)


def test_missing_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ssl_certfile: .*gone.pem does not exist"):
        ServerConfig(app=app, ssl_certfile=tmp_path / "gone.pem").make_tls()


def test_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"x\.pem"):
        ServerConfig(app=app, ssl_certfile=tmp_path / "x.pem").make_tls()


def test_grace_comes_from_the_setting_or_the_limits() -> None:
    assert ServerConfig(app=app).grace_s == 8.0
    assert ServerConfig(app=app, timeout_graceful_shutdown=2.0).grace_s == 2.0


def test_notice_is_the_same_part_of_another_grace_time() -> None:
    assert ServerConfig(app=app).notice_s == 5.0
    assert ServerConfig(app=app, timeout_graceful_shutdown=16.0).notice_s == 10.0
    assert ServerConfig(app=app, limits=ServerLimits(shutdown_grace_s=3.0)).notice_s == 3.0
    assert ServerConfig(app=app, limits=ServerLimits(shutdown_grace_s=0.0), timeout_graceful_shutdown=2.0).notice_s == 2.0
