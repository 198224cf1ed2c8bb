"""The connection's state, as ``H2Connection.state_machine`` shows it, and what is forbidden in each."""

from __future__ import annotations

import enum

from .exceptions import ProtocolError

__all__ = ["ConnectionInputs", "ConnectionState", "H2ConnectionStateMachine"]


class _Single(enum.Enum):
    """Members are looked up for every frame: their own hash is a call of Python code on their name."""

    __hash__ = object.__hash__


class ConnectionState(_Single):
    IDLE = 0
    CLIENT_OPEN = 1
    SERVER_OPEN = 2
    CLOSED = 3


class ConnectionInputs(_Single):
    SEND_HEADERS = 0
    SEND_PUSH_PROMISE = 1
    SEND_DATA = 2
    SEND_GOAWAY = 3
    SEND_WINDOW_UPDATE = 4
    SEND_PING = 5
    SEND_SETTINGS = 6
    SEND_RST_STREAM = 7
    SEND_PRIORITY = 8
    RECV_HEADERS = 9
    RECV_PUSH_PROMISE = 10
    RECV_DATA = 11
    RECV_GOAWAY = 12
    RECV_WINDOW_UPDATE = 13
    RECV_PING = 14
    RECV_SETTINGS = 15
    RECV_RST_STREAM = 16
    RECV_PRIORITY = 17
    SEND_ALTERNATIVE_SERVICE = 18
    RECV_ALTERNATIVE_SERVICE = 19


_I, _S = ConnectionInputs, ConnectionState
_FORBIDDEN = {
    # Nothing concerns a stream before there is one.
    _S.IDLE: {_I.SEND_PUSH_PROMISE, _I.SEND_DATA, _I.SEND_RST_STREAM, _I.RECV_PUSH_PROMISE, _I.RECV_DATA, _I.RECV_RST_STREAM},
    _S.CLIENT_OPEN: {_I.SEND_PUSH_PROMISE, _I.SEND_ALTERNATIVE_SERVICE},
    _S.SERVER_OPEN: {_I.RECV_PUSH_PROMISE},
    _S.CLOSED: set(_I) - {_I.SEND_GOAWAY, _I.RECV_GOAWAY},
}
_MOVES = {
    (_S.IDLE, _I.SEND_HEADERS): _S.CLIENT_OPEN,
    (_S.IDLE, _I.RECV_ALTERNATIVE_SERVICE): _S.CLIENT_OPEN,
    (_S.IDLE, _I.RECV_HEADERS): _S.SERVER_OPEN,
    (_S.IDLE, _I.SEND_ALTERNATIVE_SERVICE): _S.SERVER_OPEN,
    **{(state, goaway): _S.CLOSED for state in _S for goaway in (_I.SEND_GOAWAY, _I.RECV_GOAWAY)},
}
_TABLE = {(s, i): _MOVES.get((s, i), s) for s in _S for i in _I if i not in _FORBIDDEN[s]}


class H2ConnectionStateMachine:
    """Where a connection is.

    Attributes:
        state: a ``ConnectionState``.
    """

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = ConnectionState.IDLE

    def process_input(self, input_: ConnectionInputs) -> list[object]:
        """Take ``input_``; one that is forbidden closes the connection.

        Raises:
            ProtocolError: it is forbidden in this state.
            ValueError: it is no ``ConnectionInputs``.
        """
        after = _TABLE.get((self.state, input_))
        if after is None:
            if not isinstance(input_, ConnectionInputs):
                raise ValueError(f"an input is a ConnectionInputs, not {input_!r}")
            before = self.state
            self.state = ConnectionState.CLOSED
            raise ProtocolError(f"Invalid input {input_} in state {before}")
        self.state = after
        return []
