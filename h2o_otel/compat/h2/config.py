"""``H2Configuration``: how one connection behaves."""

from __future__ import annotations

import sys
from typing import Any, Protocol, TextIO

__all__ = ["DummyLogger", "H2Configuration", "Logger", "OutputLogger"]


class Logger(Protocol):
    """What ``H2Configuration.logger`` must have."""

    def debug(self, fmtstr: str, *args: Any) -> None: ...

    def trace(self, fmtstr: str, *args: Any) -> None: ...


class _Option:
    """An option that is True or False and nothing else."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.slot = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> bool:
        value: bool = getattr(instance, self.slot)
        return value

    def __set__(self, instance: Any, value: bool) -> None:
        if not isinstance(value, bool):
            raise ValueError(f"{self.name} must be a bool, not {value!r}")
        setattr(instance, self.slot, value)


class DummyLogger:
    """Logs nothing."""

    def __init__(self, *args: Any) -> None:
        pass

    def debug(self, fmtstr: str, *args: Any) -> None:
        """Dropped."""

    def trace(self, fmtstr: str, *args: Any) -> None:
        """Dropped."""


class OutputLogger:
    """Prints to ``file``.

    Args:
        file: stderr by default.
        trace_level: print what is logged at level trace, too.
    """

    def __init__(self, file: TextIO | None = None, trace_level: bool = False) -> None:
        self.file = file or sys.stderr
        self.trace_level = trace_level

    def debug(self, fmtstr: str, *args: Any) -> None:
        self.file.write(f"h2 (debug): {fmtstr % args}\n")

    def trace(self, fmtstr: str, *args: Any) -> None:
        if self.trace_level:
            self.file.write(f"h2 (trace): {fmtstr % args}\n")


class H2Configuration:
    """Options of one connection; all but ``client_side`` may change while it is open.

    Args:
        client_side: whether this end is the client.
        header_encoding: fields in events are decoded with it; None or False leaves them as bytes.
        validate_outbound_headers: refuse to send what RFC 9113 section 8 forbids.
        normalize_outbound_headers: lower case names, no space around values, no connection-specific
            fields, and secrets that no hop may put in a table.
        split_outbound_cookies: one field per cookie (RFC 9113 section 8.2.3); needs ``normalize_outbound_headers``.
        validate_inbound_headers: refuse what RFC 9113 section 8 forbids.
        normalize_inbound_headers: cookie fields are joined into one, the last.
        logger: hears what happens; see ``Logger``.

    Raises:
        ValueError: an option has the wrong type.
    """

    client_side = _Option()
    validate_outbound_headers = _Option()
    normalize_outbound_headers = _Option()
    split_outbound_cookies = _Option()
    validate_inbound_headers = _Option()
    normalize_inbound_headers = _Option()

    def __init__(
        self,
        client_side: bool = True,
        header_encoding: bool | str | None = None,
        validate_outbound_headers: bool = True,
        normalize_outbound_headers: bool = True,
        split_outbound_cookies: bool = False,
        validate_inbound_headers: bool = True,
        normalize_inbound_headers: bool = True,
        logger: Logger | None = None,
    ) -> None:
        self.client_side = client_side
        self.header_encoding = header_encoding
        self.validate_outbound_headers = validate_outbound_headers
        self.normalize_outbound_headers = normalize_outbound_headers
        self.split_outbound_cookies = split_outbound_cookies
        self.validate_inbound_headers = validate_inbound_headers
        self.normalize_inbound_headers = normalize_inbound_headers
        self.logger: Logger = logger or DummyLogger(__name__)

    @property
    def header_encoding(self) -> bool | str | None:
        """Fields in events are decoded with it; None or False leaves them as bytes."""
        return self._header_encoding

    @header_encoding.setter
    def header_encoding(self, value: bool | str | None) -> None:
        if value is True or not isinstance(value, (bool, str, type(None))):
            raise ValueError(f"header_encoding must be the name of an encoding, False or None, not {value!r}")
        self._header_encoding = value
