"""The stream life cycle, enumerated: every state and every input (RFC 9113 section 5.1)."""

from __future__ import annotations

import pytest

from h2o_otel.streams.states import FORBIDDEN, TRANSITIONS, Input, State, step
from h2o_otel.streams.stream import Stream
from tests.support.faults import for_each

# Written down again from the figure and text of section 5.1, one column per input; "." is forbidden.
COLUMNS = (
    Input.SEND_HEADERS,
    Input.RECV_HEADERS,
    Input.SEND_DATA,
    Input.RECV_DATA,
    Input.SEND_END,
    Input.RECV_END,
    Input.SEND_RST,
    Input.RECV_RST,
    Input.SEND_PROMISE,
    Input.RECV_PROMISE,
)
SHORT = {
    "i": State.IDLE,
    "rl": State.RESERVED_LOCAL,
    "rr": State.RESERVED_REMOTE,
    "o": State.OPEN,
    "hl": State.HALF_CLOSED_LOCAL,
    "hr": State.HALF_CLOSED_REMOTE,
    "c": State.CLOSED,
    ".": FORBIDDEN,
}
#      SEND_H RECV_H SEND_D RECV_D SEND_E RECV_E SEND_R RECV_R SEND_P RECV_P
RFC = {
    "i":  "o      o      .      .      .      .      .      .      rl     rr",
    "rl": "hr     .      .      .      .      .      c      c      .      .",
    "rr": ".      hl     .      .      .      .      c      c      .      .",
    "o":  "o      o      o      o      hl     hr     c      c      .      .",
    "hl": ".      hl     .      hl     .      c      c      c      .      .",
    "hr": "hr     .      hr     .      c      .      c      c      .      .",
    "c":  ".      .      .      .      .      .      .      .      .      .",
}  # fmt: skip
EXPECTED = [(SHORT[state], column, SHORT[after]) for state, row in RFC.items() for column, after in zip(COLUMNS, row.split(), strict=True)]


@for_each("state, input, after", EXPECTED, ids=lambda value: getattr(value, "name", "."))
def test_every_state_and_input(state: State, input: Input, after: int) -> None:
    assert step(state, input) == after
    stream = Stream(1, 0, 0, 0.0)
    stream.state = state
    assert stream.allows(input) is (after != FORBIDDEN)
    assert stream.step(input) == after
    assert stream.state == (state if after == FORBIDDEN else after)


def test_table_is_complete() -> None:
    assert len(EXPECTED) == len(State) * len(Input) == 70
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", State)
def test_unused_inputs_are_forbidden(state: State) -> None:
    assert all(step(state, input) == FORBIDDEN for input in range(len(Input), 16))


def test_closed_takes_nothing() -> None:
    assert TRANSITIONS[State.CLOSED] == {}
