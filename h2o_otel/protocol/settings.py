"""The settings of one side of a connection (RFC 9113 section 6.5)."""

from __future__ import annotations

from collections.abc import Mapping

from ..frames.types import SettingCode
from ..limits import SETTINGS_SHARED_MAX, WINDOW_BYTES_MAX
from ..rules import RULES, fail

__all__ = ["INITIAL", "Settings", "with_changes"]

_DEFAULTS = {
    SettingCode.HEADER_TABLE_SIZE: 4096,
    SettingCode.ENABLE_PUSH: 1,
    SettingCode.INITIAL_WINDOW_SIZE: 65_535,
    SettingCode.MAX_FRAME_SIZE: 16_384,
    SettingCode.ENABLE_CONNECT_PROTOCOL: 0,
    SettingCode.NO_RFC7540_PRIORITIES: 0,
}


class Settings(dict[int, int]):
    """Values in force by identifier.  Connections whose values are equal share one: ``with_changes`` makes another.

    MAX_CONCURRENT_STREAMS and MAX_HEADER_LIST_SIZE are missing while they are unlimited.
    Identifiers that are not defined are not kept (RFC 9113 section 6.5.2: ignored).
    """

    __slots__ = ()

    def __init__(self, values: Mapping[int, int] | None = None) -> None:
        super().__init__({int(code): value for code, value in _DEFAULTS.items()} if values is None else values)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{SettingCode(code).name}={value}' for code, value in self.items())})"


INITIAL = Settings()
"""What both sides have before any SETTINGS (RFC 9113 section 6.5.2)."""
# Those that were made, by their values.
_shared: dict[tuple[tuple[int, int], ...], Settings] = {}


def with_changes(settings: Settings, changes: Mapping[int, int]) -> Settings:
    """``settings`` with ``changes`` on top: the object that other connections with the same values have."""
    if all(settings.get(code) == value for code, value in changes.items()):
        return settings
    changed = Settings({**settings, **changes})
    key = tuple(changed.items())
    if len(_shared) >= SETTINGS_SHARED_MAX and key not in _shared:
        # A flood of values: connections keep what they have, and later ones share anew.
        _shared.clear()
    return _shared.setdefault(key, changed)


def check(code: int, value: int) -> bool:
    """Whether the identifier is known; raises ``Violation`` for a value that RFC 9113 section 6.5.2 forbids."""
    if code == SettingCode.ENABLE_PUSH and value > 1:
        raise fail(RULES.settings_enable_push, actual=value)
    if code == SettingCode.INITIAL_WINDOW_SIZE and value > WINDOW_BYTES_MAX:
        raise fail(RULES.settings_initial_window, actual=value, limit=WINDOW_BYTES_MAX)
    if code == SettingCode.MAX_FRAME_SIZE and not 16_384 <= value <= 16_777_215:
        raise fail(RULES.settings_max_frame_size, actual=value)
    if code == SettingCode.ENABLE_CONNECT_PROTOCOL and value > 1:
        raise fail(RULES.settings_connect_protocol, actual=value)
    if code == SettingCode.NO_RFC7540_PRIORITIES and value > 1:
        raise fail(RULES.settings_no_rfc7540_priorities, actual=value)
    return 0x1 <= code <= 0x6 or code == 0x8 or code == 0x9
