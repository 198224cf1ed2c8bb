"""What ``H2Connection`` is built on: its state, its windows, and the octets in and out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from ...frames.types import FrameType
from ...limits import STREAM_ID_MAX, WINDOW_BYTES_MAX
from .config import H2Configuration
from .engine import FacadeEngine, goaway_event
from .events import Event
from .exceptions import FlowControlError, NoAvailableStreamIDError, NoSuchStreamError, ProtocolError, StreamClosedError
from .settings import SettingCodes, Settings
from .states import ConnectionInputs, H2ConnectionStateMachine
from .stream import H2Stream

__all__ = ["ConnectionBase"]

_GOAWAY = int(FrameType.GOAWAY)
_HEADER_LIST_BYTES = 65_536


class _Table(NamedTuple):
    """``H2Connection.encoder`` and ``decoder``: the size that programs look at."""

    header_table_size: int


class ConnectionBase:
    """State and octets; the verbs are in ``H2Connection``."""

    DEFAULT_MAX_OUTBOUND_FRAME_SIZE = 65_535
    DEFAULT_MAX_INBOUND_FRAME_SIZE = 2**24
    HIGHEST_ALLOWED_STREAM_ID = STREAM_ID_MAX
    MAX_WINDOW_INCREMENT = WINDOW_BYTES_MAX
    DEFAULT_MAX_HEADER_LIST_SIZE = _HEADER_LIST_BYTES
    MAX_CLOSED_STREAMS = 4096

    def __init__(self, config: H2Configuration | None = None) -> None:
        self.config = config or H2Configuration(client_side=True)
        client = self.config.client_side
        self.state_machine = H2ConnectionStateMachine()
        local = Settings(
            client=client,
            initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 100, SettingCodes.MAX_HEADER_LIST_SIZE: self.DEFAULT_MAX_HEADER_LIST_SIZE},
        )
        self._engine = FacadeEngine(self.config, local, Settings(client=not client), self.state_machine)
        self._engine.take_local_settings()
        self._unsent = b""

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # Nobody says that a connection is over: its gauges go with it.  The function is an argument since the
        # interpreter takes the module's names away before the last connections.
        engine = getattr(self, "_engine", None)
        if engine is not None and not is_finalizing():
            engine.collector.muted = True
            engine.connection_lost(None, engine.now)

    # -- what it is

    @property
    def local_settings(self) -> Settings:
        """Our settings."""
        return self._engine.local

    @local_settings.setter
    def local_settings(self, value: Settings) -> None:
        self._engine.local = value
        self._engine.take_local_settings()

    @property
    def remote_settings(self) -> Settings:
        """The peer's settings."""
        return self._engine.remote

    @property
    def streams(self) -> dict[int, H2Stream]:
        """Streams by identifier; those that are over stay until the open ones are counted."""
        return self._engine.views

    @property
    def encoder(self) -> _Table:
        return _Table(self._engine.table_size(False))

    @property
    def decoder(self) -> _Table:
        return _Table(self._engine.table_size(True))

    @property
    def highest_inbound_stream_id(self) -> int:
        """The newest stream of the peer, 0 for none."""
        return self._engine.last_remote_stream_id

    @property
    def highest_outbound_stream_id(self) -> int:
        """The newest stream of this side, 0 for none."""
        return max(0, self._engine.next_stream_id - 2)

    @property
    def open_outbound_streams(self) -> int:
        """How many of our streams are open."""
        return self._engine.count_open(True)

    @property
    def open_inbound_streams(self) -> int:
        """How many of the peer's streams are open."""
        return self._engine.count_open(False)

    @property
    def max_outbound_frame_size(self) -> int:
        """The largest payload that may be sent."""
        return self._engine.frame_max(False)

    @max_outbound_frame_size.setter
    def max_outbound_frame_size(self, value: int) -> None:
        self._engine.set_frame_max(value, False)

    @property
    def max_inbound_frame_size(self) -> int:
        """The largest payload that may be received."""
        return self._engine.frame_max(True)

    @max_inbound_frame_size.setter
    def max_inbound_frame_size(self, value: int) -> None:
        self._engine.set_frame_max(value, True)

    @property
    def inbound_flow_control_window(self) -> int:
        """Octets that the peer may send on the connection."""
        return self._engine.recv_window

    @property
    def outbound_flow_control_window(self) -> int:
        """Octets that may be sent on the connection."""
        return self._engine.send_window

    @outbound_flow_control_window.setter
    def outbound_flow_control_window(self, value: int) -> None:
        self._engine.set_send_window(value)

    def _outbound(self, stream_id: int) -> bool:
        return stream_id & 1 == self.config.client_side

    def _get_stream_by_id(self, stream_id: int) -> H2Stream:
        """The stream, even one that is over while it has not been forgotten.

        Raises:
            NoSuchStreamError: it has not been opened.
            StreamClosedError: it is over and forgotten.
        """
        found = self._engine.views.get(stream_id)
        if found is not None:
            return found
        newest = self.highest_outbound_stream_id if self._outbound(stream_id) else self.highest_inbound_stream_id
        if stream_id > newest:
            raise NoSuchStreamError(stream_id)
        raise StreamClosedError(stream_id)

    def get_next_available_stream_id(self) -> int:
        """The identifier for the next stream of this side; the same until one is opened.

        Raises:
            NoAvailableStreamIDError: all have been used.
        """
        stream_id = self._engine.next_stream_id
        if stream_id > self.HIGHEST_ALLOWED_STREAM_ID:
            raise NoAvailableStreamIDError(f"stream identifiers are used up at {STREAM_ID_MAX} (RFC 9113 §5.1.1)")
        return stream_id

    # -- flow control

    def local_flow_control_window(self, stream_id: int) -> int:
        """Octets that may be sent on the stream now, by its own window and the connection's."""
        view = self._get_stream_by_id(stream_id)
        return min(self._engine.send_window, view.outbound_flow_control_window)

    def remote_flow_control_window(self, stream_id: int) -> int:
        """Octets that the peer may send on the stream now, by its own window and the connection's."""
        view = self._get_stream_by_id(stream_id)
        return min(self._engine.recv_window, view.inbound_flow_control_window)

    def increment_flow_control_window(self, increment: int, stream_id: int | None = None) -> None:
        """Open a stream's window, or without ``stream_id`` the connection's, by ``increment`` octets.

        Raises:
            ValueError: not from 1 to 2^31 - 1.
            FlowControlError: the window would be larger than that.
        """
        if not 1 <= increment <= self.MAX_WINDOW_INCREMENT:
            raise ValueError(f"Flow control increment must be between 1 and {self.MAX_WINDOW_INCREMENT}")
        self.state_machine.process_input(ConnectionInputs.SEND_WINDOW_UPDATE)
        if stream_id is None:
            if self._engine.recv_window + increment > WINDOW_BYTES_MAX:
                raise FlowControlError(f"Flow control window mustn't exceed {WINDOW_BYTES_MAX}")
            self._engine.open_window(None, increment)
            return
        view = self._engine.views[stream_id]
        if view.stream is None:
            raise StreamClosedError(stream_id)
        view.check_increment(increment)
        self._engine.open_window(view, increment)

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Octets were used (``DataReceived.flow_controlled_length``): windows open again when it is time.

        Raises:
            ValueError: ``stream_id`` is not positive, or ``acknowledged_size`` is negative.
            NoSuchStreamError: the stream has not been opened.
        """
        if stream_id <= 0:
            raise ValueError(f"Stream ID {stream_id} is not valid for acknowledge_received_data")
        if acknowledged_size < 0:
            raise ValueError("Cannot acknowledge negative data")
        self._engine.give_back(acknowledged_size)
        try:
            view = self._get_stream_by_id(stream_id)
        except StreamClosedError:
            return
        self._engine.give_back_on(view, acknowledged_size)

    # -- octets

    def data_to_send(self, amount: int | None = None) -> bytes:
        """Take what is to be written to the transport, at most ``amount`` octets of it."""
        data = self._unsent + self._engine.data_to_send() if self._unsent else self._engine.data_to_send()
        if amount is None:
            self._unsent = b""
            return data
        self._unsent = data[amount:]
        return data[:amount]

    def clear_outbound_data_buffer(self) -> None:
        """Drop what is to be written."""
        self._unsent = b""
        self._engine.out.clear()

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take octets from the peer, cut anywhere.

        Returns:
            What happened.

        Raises:
            ProtocolError: the peer broke the protocol; a GOAWAY is to be sent, and the connection is over.
        """
        self.config.logger.trace("Process received data on connection. Received data: %r", data)
        engine = self._engine
        octets = data if type(data) is bytes else bytes(data)
        if engine.closed:
            return self._receive_late(octets)
        try:
            engine.receive(octets, time.monotonic())
        except ProtocolError as error:
            engine.collector.take()
            engine.fail(error)
            raise
        if engine.goaway_received:
            self._unsent = b""
        return engine.collector.take()

    def _receive_late(self, data: bytes) -> list[Event]:
        """After the end only GOAWAY is taken."""
        found: list[Event] = []
        while len(data) >= 9:
            length = int.from_bytes(data[:3], "big")
            if data[3] != _GOAWAY or length < 8:
                error = ProtocolError("a frame on a connection that is closed")
                self._engine.fail(error)
                raise error
            found.append(goaway_event(data[9 : 9 + length]))
            data = data[9 + length :]
        return found
