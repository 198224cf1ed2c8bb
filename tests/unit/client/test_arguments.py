"""The methods of a client take the same arguments."""

from __future__ import annotations

import inspect

import httpx
import pytest

import h2o_otel
from h2o_otel import AsyncClient, H2OError, Timeout
from h2o_otel.client.request import Arguments


def keywords(function: object) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]  # type: ignore[arg-type]


def test_what_is_passed_on_is_what_request_takes() -> None:
    assert keywords(AsyncClient.request) == keywords(AsyncClient.build_request) == list(Arguments.__annotations__)


@pytest.mark.parametrize("name", ["get", "head", "options", "delete"])
def test_methods_without_content_take_the_rest(name: str) -> None:
    assert keywords(getattr(AsyncClient, name)) == [n for n in Arguments.__annotations__ if n not in ("content", "data", "json")]


@pytest.mark.parametrize("name", ["post", "put", "patch"])
async def test_misspelled_arguments_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="header"):
        getattr(AsyncClient(), name)("http://a.test/", header={})


def test_timeouts_and_limits_of_httpx_are_taken() -> None:
    limits = httpx.Limits(max_connections=7, max_keepalive_connections=None, keepalive_expiry=2.0)
    client = AsyncClient(timeout=httpx.Timeout(5, read=None), limits=limits)
    assert client.timeout == Timeout(5, read=None)
    taken = {name: getattr(client.limits, name) for name in ("max_connections", "max_keepalive_connections", "keepalive_expiry")}
    assert taken == {"max_connections": 7, "max_keepalive_connections": None, "keepalive_expiry": 2.0}
    assert client.limits.stream_window_bytes == h2o_otel.CLIENT_LIMITS.stream_window_bytes


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"timeout": "soon"}, TypeError, "'soon' of type str; give seconds, a Timeout, or None"),
        ({"timeout": (5, 5)}, TypeError, "of type tuple; give seconds"),
        ({"timeout": -1}, ValueError, "at least 0"),
        ({"timeout": float("nan")}, ValueError, "is nan"),
        ({"limits": 5}, TypeError, r"of type int; give h2o_otel.Limits\(...\) or httpx.Limits"),
        ({"limits": {"max_connections": 5}}, TypeError, "of type dict"),
        ({"limits": h2o_otel.ServerLimits()}, TypeError, r"a ServerLimits; a client takes h2o_otel.Limits"),
        ({"headers": 3}, TypeError, "headers are of type int; give a mapping"),
        ({"headers": "accept: a"}, TypeError, "headers are of type str"),
        ({"base_url": b"http://a.test"}, TypeError, "of type bytes; give a str or URL"),
        ({"retry": 3}, TypeError, "retry is 3 of type int; give h2o_otel.Retry"),
        ({"tuning": "fast"}, TypeError, "tuning is 'fast' of type str; give h2o_otel.Tuning"),
        ({"verify": 3}, TypeError, "verify is 3 of type int; give True, False, a file or folder of certificates"),
        ({"verify": None}, TypeError, "verify is None of type NoneType"),
    ],
)
def test_arguments_of_wrong_types_are_refused_at_once(wrong: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        AsyncClient(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"connect": "soon"}, {"total": []}])
def test_steps_of_a_timeout_are_numbers(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="give seconds, or None for no limit"):
        Timeout(**wrong)  # type: ignore[arg-type]


async def test_a_closed_client_has_one_error() -> None:
    client = AsyncClient()
    await client.aclose()
    with pytest.raises(h2o_otel.ClientClosed, match="make another one"):
        await client.get("http://a.test/")
    assert issubclass(h2o_otel.ClientClosed, RuntimeError)


def test_errors_have_the_bases_of_httpx() -> None:
    for name in ("TransportError", "HTTPStatusError", "UnsupportedProtocol", "ConnectTimeout"):
        assert issubclass(getattr(h2o_otel, name), h2o_otel.HTTPError), name
    assert issubclass(h2o_otel.HTTPError, H2OError)
    assert issubclass(h2o_otel.InvalidURL, (H2OError, ValueError))
    assert not issubclass(h2o_otel.InvalidURL, h2o_otel.HTTPError)
