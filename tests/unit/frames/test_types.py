"""The tables that the header of a frame is judged by, against RFC 9113 section 6 and RFC 9218 section 7.1."""

from __future__ import annotations

from h2o_otel import counters
from h2o_otel.frames import types
from h2o_otel.frames.types import FrameType, SettingCode, frame_name
from tests.support.faults import for_each

DEFINED = {t.value for t in FrameType}


@for_each("type", FrameType)
def test_slot_has_its_name(type: FrameType) -> None:
    assert counters.FRAME_TYPES[types.SLOT_OF_TYPE[type]] == type.name == frame_name(type)


@for_each("type", sorted(set(range(256)) - DEFINED))
def test_undefined_types(type: int) -> None:
    assert counters.FRAME_TYPES[types.SLOT_OF_TYPE[type]] == "UNKNOWN"
    assert types.SCOPE_OF_TYPE[type] == types.ANY_STREAM
    assert types.LENGTH_OF_TYPE[type] == types.ANY_LENGTH
    assert frame_name(type) == f"frame type 0x{type:x}"


@for_each("table", [types.SLOT_OF_TYPE, types.SCOPE_OF_TYPE, types.LENGTH_OF_TYPE])
def test_tables_cover_every_octet(table: bytes) -> None:
    assert len(table) == 256


def test_scopes() -> None:
    by_scope = {scope: {t.name for t in FrameType if types.SCOPE_OF_TYPE[t] == scope} for scope in range(3)}
    assert by_scope[types.CONNECTION_ONLY] == {"SETTINGS", "PING", "GOAWAY", "PRIORITY_UPDATE"}
    assert by_scope[types.ANY_STREAM] == {"WINDOW_UPDATE"}


def test_fixed_lengths() -> None:
    fixed = {t.name: types.LENGTH_OF_TYPE[t] for t in FrameType if types.LENGTH_OF_TYPE[t] != types.ANY_LENGTH}
    assert fixed == {"RST_STREAM": 4, "PING": 8, "WINDOW_UPDATE": 4}


def test_settings_have_names_in_counters() -> None:
    assert {code.name for code in SettingCode} == set(counters.SETTING_NAMES)
