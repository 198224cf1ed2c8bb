"""``Settings``: the values of one side, those in force and those not acknowledged yet."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping

from ...frames.types import SettingCode
from ...limits import WINDOW_BYTES_MAX
from .errors import ErrorCodes
from .exceptions import InvalidSettingsValueError

__all__ = ["ChangedSetting", "SettingCodes", "Settings", "setting_code"]

_UNLIMITED = 2**32 + 1


class SettingCodes(enum.IntEnum):
    """Identifiers of settings (RFC 9113 section 6.5.2, RFC 8441)."""

    HEADER_TABLE_SIZE = SettingCode.HEADER_TABLE_SIZE
    ENABLE_PUSH = SettingCode.ENABLE_PUSH
    MAX_CONCURRENT_STREAMS = SettingCode.MAX_CONCURRENT_STREAMS
    INITIAL_WINDOW_SIZE = SettingCode.INITIAL_WINDOW_SIZE
    MAX_FRAME_SIZE = SettingCode.MAX_FRAME_SIZE
    MAX_HEADER_LIST_SIZE = SettingCode.MAX_HEADER_LIST_SIZE
    ENABLE_CONNECT_PROTOCOL = SettingCode.ENABLE_CONNECT_PROTOCOL


def setting_code(code: int) -> SettingCodes | int:
    """``code`` as a member of ``SettingCodes``, or as it is where it is none."""
    try:
        return SettingCodes(code)
    except ValueError:
        return code


class ChangedSetting:
    """One setting that changed.

    Attributes:
        setting: a ``SettingCodes``, or a number that is none of them.
        original_value: None when it had no value.
        new_value: what it is now.
    """

    def __init__(self, setting: SettingCodes | int, original_value: int | None, new_value: int) -> None:
        self.setting = setting
        self.original_value = original_value
        self.new_value = new_value

    def __repr__(self) -> str:
        return f"ChangedSetting(setting={self.setting!s}, original_value={self.original_value}, new_value={self.new_value})"


def _wrong(code: int, value: int, client: bool | None = None) -> ErrorCodes:
    """The error of a value that RFC 9113 section 6.5.2 forbids, else NO_ERROR; ``client`` is the role of a sender."""
    if code == SettingCodes.ENABLE_PUSH:
        if value not in (0, 1) or (value and client is False):
            return ErrorCodes.PROTOCOL_ERROR
    elif code == SettingCodes.INITIAL_WINDOW_SIZE:
        if not 0 <= value <= WINDOW_BYTES_MAX:
            return ErrorCodes.FLOW_CONTROL_ERROR
    elif code == SettingCodes.MAX_FRAME_SIZE:
        if not 16_384 <= value <= 16_777_215:
            return ErrorCodes.PROTOCOL_ERROR
    elif code == SettingCodes.MAX_HEADER_LIST_SIZE:
        if value < 0:
            return ErrorCodes.PROTOCOL_ERROR
    elif code == SettingCodes.ENABLE_CONNECT_PROTOCOL and value not in (0, 1):
        return ErrorCodes.PROTOCOL_ERROR
    return ErrorCodes.NO_ERROR


def _check(code: int, value: int, client: bool | None = None) -> None:
    wrong = _wrong(code, value, client)
    if wrong:
        raise InvalidSettingsValueError(f"setting {setting_code(code)!r} cannot be {value} (RFC 9113 §6.5.2)", error_code=wrong)


def _value(code: SettingCodes) -> property:
    """A setting as an attribute."""

    def get(self: Settings) -> int:
        return self[code]

    def set(self: Settings, value: int) -> None:
        self[code] = value

    return property(get, set, doc=f"SETTINGS_{code.name}.")


class Settings(MutableMapping[int, int]):
    """A mapping of identifiers to the values in force.

    What is assigned comes into force with ``acknowledge()``, in the order of assignment.

    Args:
        client: whether the side is a client, whose default of ENABLE_PUSH is 1.
        initial_values: in force from the beginning.

    Raises:
        InvalidSettingsValueError: a value that RFC 9113 section 6.5.2 forbids.
    """

    def __init__(self, client: bool = True, initial_values: Mapping[SettingCodes, int] | None = None) -> None:
        self._client = client
        # The value in force, None for none, and behind it those that wait.
        self._values: dict[int, deque[int | None]] = {
            SettingCodes.HEADER_TABLE_SIZE: deque([4096]),
            SettingCodes.ENABLE_PUSH: deque([int(client)]),
            SettingCodes.INITIAL_WINDOW_SIZE: deque([65_535]),
            SettingCodes.MAX_FRAME_SIZE: deque([16_384]),
            SettingCodes.ENABLE_CONNECT_PROTOCOL: deque([0]),
        }
        for code, value in (initial_values or {}).items():
            _check(code, value)
            self._values[code] = deque([value])

    def acknowledge(self) -> dict[SettingCodes | int, ChangedSetting]:
        """The next value of each setting that has one comes into force; returns what changed."""
        changed: dict[SettingCodes | int, ChangedSetting] = {}
        for code, values in self._values.items():
            if len(values) > 1:
                old = values.popleft()
                new = values[0]
                assert new is not None
                changed[code] = ChangedSetting(code, old, new)
        return changed

    def validate_received_setting(self, setting: int, value: int) -> None:
        """Check what the side that these settings belong to has sent.

        Raises:
            InvalidSettingsValueError: RFC 9113 section 6.5.2 forbids it.
        """
        _check(setting, value, self._client)

    header_table_size = _value(SettingCodes.HEADER_TABLE_SIZE)
    enable_push = _value(SettingCodes.ENABLE_PUSH)
    initial_window_size = _value(SettingCodes.INITIAL_WINDOW_SIZE)
    max_frame_size = _value(SettingCodes.MAX_FRAME_SIZE)
    enable_connect_protocol = _value(SettingCodes.ENABLE_CONNECT_PROTOCOL)

    @property
    def max_concurrent_streams(self) -> int:
        """SETTINGS_MAX_CONCURRENT_STREAMS; a number that no connection reaches where it is not set."""
        return self.get(SettingCodes.MAX_CONCURRENT_STREAMS, _UNLIMITED)

    @max_concurrent_streams.setter
    def max_concurrent_streams(self, value: int) -> None:
        self[SettingCodes.MAX_CONCURRENT_STREAMS] = value

    @property
    def max_header_list_size(self) -> int | None:
        """SETTINGS_MAX_HEADER_LIST_SIZE; None where it is not set."""
        return self.get(SettingCodes.MAX_HEADER_LIST_SIZE)

    @max_header_list_size.setter
    def max_header_list_size(self, value: int) -> None:
        self[SettingCodes.MAX_HEADER_LIST_SIZE] = value

    def __getitem__(self, key: int) -> int:
        value = self._values[key][0]
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: int, value: int) -> None:
        _check(key, value)
        self._values.setdefault(key, deque([None])).append(value)

    def __delitem__(self, key: int) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Settings) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
