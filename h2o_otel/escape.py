"""Makes a peer's text safe to show: in logs, messages of exceptions, terminals and pages.

A leaf.  What a terminal or the reader of a log could take for more than text becomes a backslash escape:
control characters (C0, DEL, C1), line and paragraph separators, bidirectional overrides and other format
characters, characters without width, lone surrogates, private use and unassigned code points.  Letters of
any script stay as they are.
"""

from __future__ import annotations

import re

__all__ = ["SHOWN_MAX", "escaped", "escaped_lines", "is_plain"]

SHOWN_MAX = 1024
"""Characters of a peer's text that are shown, where the caller sets no other bound."""

# Printable to Python, but invisible: the Default_Ignorable_Code_Point characters of the categories Mn and Lo.
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_HIDDEN = re.compile(f"[{_INVISIBLE}]")


def is_plain(text: str) -> bool:
    """Whether every character of ``text`` can be shown as it is."""
    return text.isprintable() and (text.isascii() or _HIDDEN.search(text) is None)


def escaped(value: str | bytes, limit: int = SHOWN_MAX) -> str:
    """``value`` on one line and without any character that is more than text; octets are read as UTF-8.

    Args:
        value: of a peer, or of anybody else.
        limit: characters that are kept; how many more there were is said instead of them.
    """
    rest = len(value) - limit
    if rest > 0:
        value = value[:limit]
    text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    if not is_plain(text):
        text = "".join([character if is_plain(character) else _escape(character) for character in text])
    # Escapes make it longer, by a factor of ten at most.
    return text if rest <= 0 else f"{text}... ({rest} more)"


def escaped_lines(text: str, limit: int) -> str:
    """The last ``limit`` characters of ``text``, such as a traceback, as lines that are escaped one by one."""
    return "\n".join([escaped(line, limit) for line in text[-limit:].split("\n")])


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if short is not None:
        return short
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
