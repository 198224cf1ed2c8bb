"""The table of rules: every row is broken by a test of its family, in the folder of the layer that raises it."""

from __future__ import annotations

from h2o_otel.bounds import bounds_of
from h2o_otel.errors import ErrorCode
from h2o_otel.limits import ServerLimits
from h2o_otel.rules import RULES, STREAM, Rule, _name_rows, all_rules, bound_of
from tests.support.breaking import server
from tests.support.wire import GOAWAY, data, headers, ping, request_block
from tests.unit.frames import test_frame_rules, test_message_rules
from tests.unit.hpack import test_block_rules
from tests.unit.protocol import test_guard_rules, test_preface_rules
from tests.unit.streams import test_stream_rules

FAMILIES = [test_preface_rules, test_frame_rules, test_stream_rules, test_block_rules, test_message_rules, test_guard_rules]


def test_every_row_is_broken() -> None:
    assert {case.rule for family in FAMILIES for case in family.CASES} == {rule.token for rule in all_rules()}


def test_every_guard_names_the_limit_that_a_user_can_set() -> None:
    guards = [rule for rule in all_rules() if rule.is_abuse]
    assert [rule.token for rule in guards if rule.bound not in bounds_of(ServerLimits)] == []
    assert {rule.bound for rule in all_rules() if rule.bound} <= set(bounds_of(ServerLimits))
    assert (bound_of("send_stalled"), bound_of("data_on_stream_zero"), bound_of("nothing")) == ("send_stall_timeout_s", "", "")


def test_nothing_is_parsed_after_a_connection_error() -> None:
    peer = server()
    peer.sends(data(0), ping(), headers(1, request_block()))
    peer.sends(ping())
    peer.sees("terminated frame_on_stream_zero PROTOCOL_ERROR by local")
    assert [f.type for f in peer.gets_frames()] == [GOAWAY]


def test_tokens_are_the_names_of_the_rows() -> None:
    assert all(getattr(RULES, rule.token) is rule for rule in all_rules())


def test_attributes_of_the_interpreter_are_no_rows() -> None:
    """Python 3.13 gives every class a tuple ``__static_attributes__``, and more may come."""

    class Table:
        __static_attributes__ = ("token", "scope")
        __firstlineno__ = 1
        broken: Rule = (STREAM, ErrorCode.PROTOCOL_ERROR, "RFC 9113 §5.1", "broken")  # type: ignore[assignment]

    assert _name_rows(Table) == [Rule("broken", STREAM, ErrorCode.PROTOCOL_ERROR, "RFC 9113 §5.1", "broken")]
