"""The stream life cycle of RFC 9113 section 5.1, as a table.

``TRANSITIONS`` is the source: ``{state: {input: next state}}``.  ``step()`` is its flattened form.
An input that is missing from a row is a violation by whoever caused it; which one is decided by
the caller, who knows whether it was the peer or the application.  This file does not know client
from server: roles show in which inputs occur.
"""

from __future__ import annotations

import enum

__all__ = ["TRANSITIONS", "Input", "State", "step"]


class State(enum.IntEnum):
    IDLE = 0
    RESERVED_LOCAL = 1
    RESERVED_REMOTE = 2
    OPEN = 3
    HALF_CLOSED_LOCAL = 4
    HALF_CLOSED_REMOTE = 5
    CLOSED = 6


class Input(enum.IntEnum):
    """What can happen to a stream.  ``END`` is the END_STREAM flag, counted after the frame that carries it."""

    SEND_HEADERS = 0
    RECV_HEADERS = 1
    SEND_DATA = 2
    RECV_DATA = 3
    SEND_END = 4
    RECV_END = 5
    SEND_RST = 6
    RECV_RST = 7
    SEND_PROMISE = 8
    RECV_PROMISE = 9


_I, _S = Input, State

TRANSITIONS: dict[State, dict[Input, State]] = {
    State.IDLE: {
        _I.SEND_HEADERS: _S.OPEN,
        _I.RECV_HEADERS: _S.OPEN,
        # The promised stream, not the one that carries PUSH_PROMISE.
        _I.SEND_PROMISE: _S.RESERVED_LOCAL,
        _I.RECV_PROMISE: _S.RESERVED_REMOTE,
    },
    State.RESERVED_LOCAL: {
        _I.SEND_HEADERS: _S.HALF_CLOSED_REMOTE,
        _I.SEND_RST: _S.CLOSED,
        _I.RECV_RST: _S.CLOSED,
    },
    State.RESERVED_REMOTE: {
        _I.RECV_HEADERS: _S.HALF_CLOSED_LOCAL,
        _I.SEND_RST: _S.CLOSED,
        _I.RECV_RST: _S.CLOSED,
    },
    State.OPEN: {
        _I.SEND_HEADERS: _S.OPEN,
        _I.RECV_HEADERS: _S.OPEN,
        _I.SEND_DATA: _S.OPEN,
        _I.RECV_DATA: _S.OPEN,
        _I.SEND_END: _S.HALF_CLOSED_LOCAL,
        _I.RECV_END: _S.HALF_CLOSED_REMOTE,
        _I.SEND_RST: _S.CLOSED,
        _I.RECV_RST: _S.CLOSED,
    },
    State.HALF_CLOSED_LOCAL: {
        _I.RECV_HEADERS: _S.HALF_CLOSED_LOCAL,
        _I.RECV_DATA: _S.HALF_CLOSED_LOCAL,
        _I.RECV_END: _S.CLOSED,
        _I.SEND_RST: _S.CLOSED,
        _I.RECV_RST: _S.CLOSED,
    },
    State.HALF_CLOSED_REMOTE: {
        _I.SEND_HEADERS: _S.HALF_CLOSED_REMOTE,
        _I.SEND_DATA: _S.HALF_CLOSED_REMOTE,
        _I.SEND_END: _S.CLOSED,
        _I.SEND_RST: _S.CLOSED,
        _I.RECV_RST: _S.CLOSED,
    },
    # A closed stream takes nothing; what the peer may still have in flight is sorted out by the
    # connection, which remembers who closed it and why.
    State.CLOSED: {},
}

FORBIDDEN = 255
# TABLE[state * 16 + input] is the next state; one octet each, so that it is also a C array.
TABLE = bytes(
    TRANSITIONS[State(i // 16)].get(Input(i % 16), FORBIDDEN) if i % 16 < len(Input) else FORBIDDEN for i in range(16 * len(State))
)


def plain_step(state: int, input: int) -> int:
    """``step`` by the nested table, as it is written: what ``Tuning.stream_state_table`` off uses."""
    return TRANSITIONS[State(state)].get(Input(input), FORBIDDEN)


def step(state: int, input: int) -> int:
    """The state after ``input``, or ``FORBIDDEN``."""
    return TABLE[state * 16 + input]
