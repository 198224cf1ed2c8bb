"""``http.route``: the template of the route that handled a request, read from what frameworks put into the scope.

Never the path: values of the path would make a series of each request.  What frameworks offer:

- Starlette: ``route``, and for mounts ``root_path``, which holds the values of a mount's parameters
  (``/users/42``); their template is found in the routes of the application.
- FastAPI: the same, but ``route.path`` lacks the prefix of ``include_router``, which
  ``scope["fastapi"]["effective_route_context"]`` has.
- Litestar: ``path_template``.
- Others: an application or its middleware may set ``scope["route"]`` to a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["route_of"]

# Joined templates that are kept, so that requests of one route share one object.
_TEMPLATES_MAX = 2048
# Mounts inside mounts, and routers inside routers, that are followed.
_DEPTH_MAX = 16

_templates: dict[tuple[str, str], str] = {}
# Prefixes that are templates themselves, since no mount on the way has parameters.
_literals: dict[str, str] = {}


def route_of(scope: dict[str, Any] | None) -> str | None:
    """The full template of the route, with the prefixes of routers and mounts; None where none is known."""
    if scope is None:
        return None
    route = scope.get("route")
    if route is None and "endpoint" not in scope and "path_template" not in scope:
        return None
    path: str | None
    if "app_root_path" in scope or "fastapi" in scope or "path_template" in scope or route is None:
        path = _own_path(scope, route)
    elif type(route) is str:
        path = route if route.startswith("/") else "/" + route
    else:
        path = _path_of(route)
    if path is None:
        return None
    prefix = _prefix(scope)
    if prefix:
        return _join(prefix, path)
    return path or None


def _join(prefix: str, path: str) -> str:
    key = (prefix, path)
    joined = _templates.get(key)
    if joined is None:
        joined = prefix.rstrip("/") + path or "/"
        if len(_templates) < _TEMPLATES_MAX:
            _templates[key] = joined
    return joined


def _path_of(route: Any) -> str | None:
    """The template of one route, without parameter types."""
    path = getattr(route, "path_format", None)
    if not isinstance(path, str):
        path = getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _own_path(scope: dict[str, Any], route: Any) -> str | None:
    """The template below the mounts; empty where a mounted application has no routes, such as static files."""
    outer = scope.get("path_template")
    outer = outer if isinstance(outer, str) else ""
    if isinstance(route, str):
        return outer + (route if route.startswith("/") else "/" + route)
    found = scope.get("fastapi")
    context = found.get("effective_route_context") if isinstance(found, dict) else None
    if context is not None and getattr(context, "original_route", None) is route:
        # Of an included router; a later route in a mounted application leaves the context of the former behind.
        included = _path_of(context)
        if included:
            return included
    if route is not None and not _is_mount(route):
        path = _path_of(route)
        return path if path is None else outer + path
    if outer:
        return outer
    path = _path_of(_route_with(scope.get("app"), scope.get("endpoint")))
    if path is None and scope.get("app_root_path", scope.get("root_path")) != scope.get("root_path"):
        return ""
    return path


def _is_mount(route: Any) -> bool:
    return hasattr(route, "path_regex") and hasattr(route, "routes")


def _routes(owner: Any) -> Iterator[Any]:
    """The routes of an application, router or mount; of FastAPI's included routers, their mounts with the full path."""
    routes = getattr(owner, "routes", ())
    for route in routes if isinstance(routes, Iterable) else ():
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (context.starlette_route for context in contexts() if getattr(context, "starlette_route", None) is not None)


def _route_with(app: Any, endpoint: Any) -> Any:
    """The plain route of ``app`` that leads to ``endpoint``: FastAPI puts only its own into the scope."""
    if endpoint is not None:
        for route in _routes(app):
            if getattr(route, "endpoint", None) is endpoint and not _is_mount(route):
                return route
    return None


def _prefix(scope: dict[str, Any]) -> str:
    """Where the application is, and the template of the mounts that led to the route."""
    root: str = scope.get("root_path", "")
    base = scope.get("app_root_path", root)
    if base == root:
        return root
    mounted = root[len(base) :]
    template = _literals.get(mounted)
    if template is None:
        template = _template_of(scope.get("router"), mounted, 0)
        if template is None:
            # Set by something that we do not know; a path could be in it.
            return str(base)
        if template == mounted and len(_literals) < _TEMPLATES_MAX:
            _literals[mounted] = template
    return str(base) + template


def _template_of(owner: Any, mounted: str, depth: int) -> str | None:
    """The templates of the mounts below ``owner`` that match ``mounted`` whole, joined; None where none do."""
    if not mounted:
        return ""
    if depth >= _DEPTH_MAX:
        return None
    for route in _routes(owner):
        if not _is_mount(route):
            continue
        match = route.path_regex.match(mounted + "/")
        if match is None:
            continue
        rest = "/" + match.groupdict().get("path", "").rstrip("/")
        rest = "" if rest == "/" else rest
        below = _template_of(route, rest, depth + 1) if len(rest) < len(mounted) or not route.path else None
        if below is not None:
            return _mount_path(route) + below
    return None


def _mount_path(route: Any) -> str:
    """The template of a mount, without its parameter for what is below it."""
    path = _path_of(route) or ""
    return path.removesuffix("/{path}")
