"""``inspect.signature`` for compiled classes: C classes carry no signature, their sources beside them do."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from pathlib import Path
from types import FunctionType

__all__ = ["SourceSignature"]

_KINDS = inspect.Parameter


class SourceSignature:
    """The value of ``__signature__`` in a class that is compiled: the parameters of ``__init__`` as its source has them.

    Annotations are strings, as everywhere in modules with postponed annotations.
    """

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        """
        Raises:
            AttributeError: the class runs from its source (``inspect`` then looks at ``__init__`` itself),
                inherits the attribute only, or its source is not there.
        """
        if "__signature__" in vars(owner) and not isinstance(vars(owner).get("__init__"), FunctionType):
            signature = _read(owner)
            if signature is not None:
                return signature
        raise AttributeError("__signature__")


@functools.cache
def _read(owner: type) -> inspect.Signature | None:
    module = sys.modules[owner.__module__]
    path = Path(__file__).parent.joinpath(*owner.__module__.split(".")[1:]).with_suffix(".py")
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except OSError:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            for function in node.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    return _signature(function, vars(module))
    return None


def _signature(function: ast.FunctionDef, names: dict[str, object]) -> inspect.Signature:
    """The signature that ``inspect`` makes of the same function when it is not compiled, without ``self``."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults += arguments.defaults
    found = [
        _parameter(argument, default, _KINDS.POSITIONAL_OR_KEYWORD, names)
        for argument, default in list(zip(positional, defaults, strict=True))[1:]
    ]
    if arguments.vararg is not None:
        found.append(_parameter(arguments.vararg, None, _KINDS.VAR_POSITIONAL, names))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(_parameter(argument, default, _KINDS.KEYWORD_ONLY, names))
    if arguments.kwarg is not None:
        found.append(_parameter(arguments.kwarg, None, _KINDS.VAR_KEYWORD, names))
    return inspect.Signature(found, return_annotation="None")


def _parameter(argument: ast.arg, default: ast.expr | None, kind: inspect._ParameterKind, names: dict[str, object]) -> inspect.Parameter:
    annotation = _KINDS.empty if argument.annotation is None else ast.unparse(argument.annotation)
    value: object = _KINDS.empty if default is None else _value(default, names)
    return inspect.Parameter(argument.arg, kind, default=value, annotation=annotation)


def _value(default: ast.expr, names: dict[str, object]) -> object:
    """A default is a literal or a constant of its module."""
    if isinstance(default, ast.Name) and default.id in names:
        return names[default.id]
    return ast.literal_eval(default)
