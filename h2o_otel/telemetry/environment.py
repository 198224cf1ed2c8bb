"""Reads the ``OTEL_*`` variables that the SDK's own constructors do not read.

A value that is not supported is named in one warning and ignored.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Wanted", "console_signals", "exemplars_wanted", "excluded_pattern", "prometheus_address", "protocol", "wanted", "warn_once"]

SIGNALS = ("traces", "metrics", "logs")
PROTOCOLS = ("http/protobuf", "grpc")

_log = logging.getLogger("h2o_otel.telemetry")
_warned: set[str] = set()


def warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        _log.warning("telemetry: %s", text)


def _read(name: str) -> str:
    return os.environ.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The exporters of one signal."""

    otlp: bool
    console: bool
    prometheus: bool = False


def _named(signal: str) -> set[str] | None:
    """The exporters that ``OTEL_TRACES_EXPORTER`` or its sibling names; None where it is not set."""
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    text = _read(variable).lower()
    if not text:
        return None
    known = {"otlp", "console", "none"} | ({"prometheus"} if signal == "metrics" else set())
    # "logging" is the old name of the console.
    names = {"console" if name.strip() == "logging" else name.strip() for name in text.split(",") if name.strip()}
    for name in sorted(names - known):
        warn_once(f"{variable} names {name!r}, which is none of {', '.join(sorted(known))}; no {signal} are exported there")
    return names & known - {"none"}


def wanted(signal: str, otlp: str | bool | None, console: bool | None) -> Wanted:
    """The exporters of ``signal``: what the code asks for, and else the environment.

    Args:
        signal: "traces", "metrics" or "logs".
        otlp: an endpoint is used in any case, and False keeps OTLP off; True is overruled by a variable
            that names other exporters or "none", and None is on where an endpoint or the variable asks for it.
        console: None leaves it to the environment.
    """
    named = _named(signal)
    if isinstance(otlp, str):
        send = True
    elif otlp is None:
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        send = any(map(_read, endpoints)) if named is None else "otlp" in named
    else:
        send = otlp and (named is None or "otlp" in named)
    found = named or set()
    return Wanted(send, "console" in found if console is None else console, "prometheus" in found)


def console_signals(console: bool | str | Iterable[str] | None, level: str) -> dict[str, bool | None]:
    """For each signal whether it is printed; None where the environment decides.

    Raises:
        ValueError: a signal has another name.
    """
    if console is None:
        return dict.fromkeys(SIGNALS, None)
    if console is True:
        chosen = {"metrics", "logs"} if level == "metrics" else {"traces", "logs"}
    elif console is False:
        chosen = set()
    else:
        chosen = set(console.replace(",", " ").split() if isinstance(console, str) else console)
        if unknown := chosen.difference(SIGNALS):
            raise ValueError(f"console={console!r}: {sorted(unknown)[0]!r} is none of {', '.join(SIGNALS)}")
    return {signal: signal in chosen for signal in SIGNALS}


def protocol(signal: str) -> str:
    """How ``signal`` is sent by OTLP: "grpc" or "http/protobuf"."""
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        text = _read(variable).lower()
        if text in PROTOCOLS:
            return text
        if text:
            warn_once(f"{variable} is {text!r}, which is none of {', '.join(PROTOCOLS)}; http/protobuf is used")
            break
    return "http/protobuf"


def prometheus_address() -> tuple[str, int]:
    """Host and port of the endpoint that ``OTEL_METRICS_EXPORTER=prometheus`` asks for."""
    text = _read("OTEL_EXPORTER_PROMETHEUS_PORT") or "9464"
    if not text.isdecimal() or int(text) > 65_535:
        warn_once(f"OTEL_EXPORTER_PROMETHEUS_PORT is {text!r}, which is no port; 9464 is used")
        text = "9464"
    return _read("OTEL_EXPORTER_PROMETHEUS_HOST") or "127.0.0.1", int(text)


def exemplars_wanted() -> bool:
    """Whether histograms keep exemplars: those of sampled requests, which is "trace_based"."""
    text = _read("OTEL_METRICS_EXEMPLAR_FILTER").lower()
    if text == "always_off":
        return False
    if text not in ("", "trace_based"):
        warn_once(f"OTEL_METRICS_EXEMPLAR_FILTER is {text!r}; the runtime's own instruments have trace_based or always_off")
    return True


def excluded_pattern(excluded: str | Iterable[str] | None) -> re.Pattern[str] | None:
    """The pattern of URLs whose requests have no spans and metrics; None if none are excluded.

    Args:
        excluded: regular expressions, with commas if it is one text; None takes ``OTEL_PYTHON_EXCLUDED_URLS``.

    Raises:
        ValueError: one is no regular expression.
    """
    from_environment = excluded is None
    if excluded is None:
        excluded = _read("OTEL_PYTHON_EXCLUDED_URLS")
    parts = [part.strip() for part in (excluded.split(",") if isinstance(excluded, str) else excluded)]
    try:
        return re.compile("|".join(f"(?:{re.compile(part).pattern})" for part in parts if part)) if any(parts) else None
    except re.error as error:
        text = f"{error.pattern!r} is no regular expression ({error})"
        if not from_environment:
            raise ValueError(f"excluded_urls: {text}") from error
        warn_once(f"OTEL_PYTHON_EXCLUDED_URLS: {text}; nothing is excluded")
        return None
