"""The methods of a client take the same arguments."""

from __future__ import annotations

import inspect

import pytest

from h2o_otel import AsyncClient
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
