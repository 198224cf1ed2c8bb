"""``h2`` with the faults that would end honest connections mended; ``reference.py`` is built on it."""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.stream
from h2.connection import _decode_headers
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

from ..errors import ErrorCode

__all__ = ["H2Engine"]


class H2Engine(h2.connection.H2Connection):
    """``h2`` that hands over the events of each frame at once, counts frames, and goes on after GOAWAY (RFC 9113 section 6.8)."""

    def __init__(
        self,
        config: h2.config.H2Configuration,
        frame_received: Callable[[Frame, list[h2.events.Event]], None],
        frame_sent: Callable[[Frame], None],
        resets_remembered_max: int,
        may_hold: Callable[[], bool],
    ) -> None:
        self._letting_in = False
        super().__init__(config)
        self.frame_received = frame_received
        self.frame_sent = frame_sent
        # Streams that we reset; what the peer still sends on them is decoded and dropped.
        self.reset_ids: dict[int, None] = {}
        self.resets_remembered_max = resets_remembered_max
        # Asked for every stream beyond our limit: let it in, since the peer cannot know the limit yet, or refuse it.
        self.may_hold = may_hold

    def _receive_frame(self, frame: Frame) -> list[h2.events.Event]:
        self.frame_received(frame, super()._receive_frame(frame))
        return []

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        if frame.stream_id in self.reset_ids:
            # A late 1xx response would end the connection: h2 takes only some frames on a closed stream.
            _decode_headers(self.decoder, frame.data)
            return [], []
        if frame.stream_id > self.highest_inbound_stream_id and frame.stream_id & 1 and not self.config.client_side:
            if self.open_inbound_streams >= self.local_settings.max_concurrent_streams:
                if not self.may_hold():
                    return [self.refuse(frame)], []
                self._letting_in = True
        try:
            return super()._receive_headers_frame(frame)
        finally:
            self._letting_in = False

    @property
    def open_inbound_streams(self) -> int:
        """What h2 compares with the limit."""
        return 0 if self._letting_in else super().open_inbound_streams

    def refuse(self, frame: HeadersFrame) -> Frame:
        """One stream too many: refused, as on our engine; h2 would end the connection."""
        _decode_headers(self.decoder, frame.data)
        self.highest_inbound_stream_id = frame.stream_id
        self._closed_streams[frame.stream_id] = h2.stream.StreamClosedBy.SEND_RST_STREAM
        self.remember_reset(frame.stream_id)
        refusal = RstStreamFrame(frame.stream_id)
        refusal.error_code = ErrorCode.REFUSED_STREAM
        return refusal

    def remember_reset(self, stream_id: int) -> None:
        if len(self.reset_ids) >= self.resets_remembered_max:
            del self.reset_ids[next(iter(self.reset_ids))]
        self.reset_ids[stream_id] = None

    def _acknowledge_settings(self) -> list[Frame]:
        frames = super()._acknowledge_settings()
        changes = self.encoder.table_size_changes
        if changes:
            # RFC 7541 section 4.2 has the smallest and the last size signalled.  hpack signals every one,
            # and none once a size was set twice.
            self.encoder.table_size_changes = sorted({min(changes), changes[-1]})
            self.encoder.header_table.resized = True
        return frames

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data
        return [], [event]

    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        super()._prepare_for_sending(frames)
        for frame in frames:
            self.frame_sent(frame)

    def send_frame(self, frame: Frame) -> None:
        """Send a frame past the state machine."""
        self._prepare_for_sending([frame])

    def output_size(self) -> int:
        return len(self._data_to_send)
