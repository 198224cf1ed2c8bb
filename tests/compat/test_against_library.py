"""The façade and the h2 library do the same: random conversations, frame by frame and event by event.

Both libraries play both ends of the same conversation.  A call that one of them refuses must be
refused by the other with the same class of exception; the conversation ends there, since the
library changes its state even when it refuses (docs/compat-h2.md).
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.compat import h2 as facade
from tests.support import wire

LIBRARY = SimpleNamespace(config=h2.config, connection=h2.connection, exceptions=h2.exceptions)
SETTINGS = h2.settings.SettingCodes
REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "example.com"), (":path", "/items")]
FIELDS = [
    [],
    [("accept", "text/html"), ("user-agent", "tests")],
    [("cookie", "short"), ("cookie", "a-cookie-that-is-long-enough"), ("authorization", "basic secret")],
    [HeaderTuple("x-plain", "value"), NeverIndexedHeaderTuple("x-secret", "value")],
    [("X-Upper", " padded "), ("connection", "close")],
    [("content-length", "0")],
    [("x-large", "long value " * 400)],
    [("te", "gzip")],
]
UPDATES = [
    {SETTINGS.INITIAL_WINDOW_SIZE: 1000},
    {SETTINGS.INITIAL_WINDOW_SIZE: 100_000},
    {SETTINGS.HEADER_TABLE_SIZE: 100},
    {SETTINGS.HEADER_TABLE_SIZE: 8192, SETTINGS.MAX_FRAME_SIZE: 20_000},
    {SETTINGS.MAX_CONCURRENT_STREAMS: 2},
    {SETTINGS.ENABLE_PUSH: 0},
    {0x99: 7},
]
# What the two ends may do; the numbers choose streams, sizes and fields.
CLIENT = ["request", "request", "data", "data", "end", "reset", "trailers", "priority"]
SERVER = ["response", "response", "informational", "data", "data", "end", "reset", "trailers", "push", "alt_svc"]
BOTH = ["ping", "window", "stream_window", "settings", "give_back", "give_back", "deliver", "deliver", "deliver", "deliver", "goaway"]
SENDING = ("OPEN", "HALF_CLOSED_REMOTE")
STATES = {
    "response": (*SENDING, "RESERVED_LOCAL"),
    "informational": SENDING,
    "alt_svc": SENDING,
    "push": SENDING,
    "data": SENDING,
    "end": SENDING,
    "trailers": SENDING,
    "reset": (*SENDING, "HALF_CLOSED_LOCAL"),
    "priority": (*SENDING, "HALF_CLOSED_LOCAL"),
    "stream_window": (*SENDING, "HALF_CLOSED_LOCAL"),
}
AFTER_HEADERS = {"data", "end", "trailers", "reset", "priority", "stream_window"}
# Where the library refuses what its own other end rightly sent: an empty DATA frame into a window
# that a setting made negative; a larger frame in the same octets as the acknowledgement that allows
# it; a field block after a table size that was set twice.
SLIPS = ("Flow control window shrunk below 0", "Received overlong frame", "Error decoding header block")
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 31), st.integers(0, 2**16)), min_size=1, max_size=60)


class Ends:
    """A client and a server of one library, and the octets between them."""

    def __init__(self, library: Any, **options: Any) -> None:
        self.library = library
        configuration = library.config.H2Configuration
        self.ends = [library.connection.H2Connection(configuration(client_side=side, **options)) for side in (False, True)]
        for end in self.ends:
            end.initiate_connection()


def plain(value: Any) -> Any:
    """A value of either library in a form that compares."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, HeaderTuple):
        return (type(value).__name__, *value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {int(key): plain(item) for key, item in value.items()}
    if hasattr(value, "__dict__"):
        return (type(value).__name__, {name: plain(item) for name, item in sorted(vars(value).items())})
    return value


def outcome(ends: Ends, call: Any, slips: tuple[str, ...] = ()) -> tuple[str, Any]:
    """What a call returned, or how it was refused."""
    try:
        return "returned", plain(call(ends))
    except (ends.library.exceptions.H2Error, ValueError, KeyError) as error:
        if any(slip in str(error) for slip in slips):
            return "slipped", None
        return "refused", (type(error).__name__, int(getattr(error, "error_code", 0)))


def values(settings: Any) -> dict[int, int | None]:
    return {int(code): settings.get(code) for code in settings}


def shown(ends: Ends, streams: set[int]) -> list[Any]:
    """What a user can ask of both ends."""
    found: list[Any] = []
    for end in ends.ends:
        found += [end.state_machine.state.name, end.open_inbound_streams, end.open_outbound_streams, end.get_next_available_stream_id()]
        found += [end.max_inbound_frame_size, end.max_outbound_frame_size, end.inbound_flow_control_window]
        found += [end.outbound_flow_control_window, values(end.local_settings), values(end.remote_settings)]
        for stream_id in sorted(streams):
            asked = SimpleNamespace(ends=end, library=ends.library)
            found.append(outcome(asked, lambda it, s=stream_id: it.ends.local_flow_control_window(s)))  # type: ignore[arg-type]
            found.append(outcome(asked, lambda it, s=stream_id: it.ends.remote_flow_control_window(s)))  # type: ignore[arg-type]
    return found


def frames(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of each frame; how field blocks are coded and cut is left to each library."""
    octets = octets.removeprefix(wire.PREFACE)
    found = []
    while octets:
        length, type, flags, stream_id = int.from_bytes(octets[:3], "big"), octets[3], octets[4], int.from_bytes(octets[5:9], "big")
        payload, octets = octets[9 : 9 + length], octets[9 + length :]
        if type in (wire.HEADERS, wire.PUSH_PROMISE):
            payload, flags = payload[:4] if type == wire.PUSH_PROMISE else b"", flags & ~wire.END_HEADERS
        if type != wire.CONTINUATION:
            found.append((type, flags, stream_id, payload))
    return found


class NothingToDo(Exception):
    """No stream is where the step would make sense."""


def fields(number: int) -> list[Any]:
    """Some regular fields, now and then such as are refused."""
    return FIELDS[number // 64 % (len(FIELDS) - 1)] if number % 64 else FIELDS[-1]


class Conversation:
    """The steps, applied to the library and to the façade."""

    def __init__(self, **options: Any) -> None:
        self.both = [Ends(LIBRARY, **options), Ends(facade, **options)]
        self.streams: set[int] = {1}
        self.owed: list[tuple[bool, int, int]] = []

    def do(self, call: Any) -> bool:
        """Whether the call was taken; by both or by neither."""
        library = outcome(self.both[0], call, SLIPS)
        if library[0] == "slipped":
            return False
        assert outcome(self.both[1], call) == library
        return library[0] == "returned"

    def stream(self, number: int, client: bool, verb: str) -> int:
        """A stream that ``verb`` suits, now and then any."""
        machines = {s: stream.state_machine for s, stream in self.both[0].ends[client].streams.items()}
        suited = [s for s, m in machines.items() if m.state.name in STATES[verb] and bool(m.headers_sent) is (verb in AFTER_HEADERS)]
        found = suited if number % 64 else sorted(self.streams)
        if not found:
            raise NothingToDo
        return found[number // 64 % len(found)]

    def step(self, client: bool, choice: int, number: int) -> bool:
        """One step of one end; false when it was refused."""
        verbs = (CLIENT if client else SERVER) + BOTH
        try:
            taken = bool(getattr(self, verbs[choice % len(verbs)])(client, number))
        except NothingToDo:
            return True
        states = [shown(ends, self.streams) for ends in self.both]
        assert not taken or states[1] == states[0]
        return taken

    def deliver(self, client: bool, number: int) -> bool:
        octets = {ends: ends.ends[client].data_to_send() for ends in self.both}
        library, ours = (frames(sent) for sent in octets.values())
        assert ours == library
        heard: list[Any] = []

        def receive(ends: Ends) -> Any:
            heard.append(ends.ends[not client].receive_data(octets[ends]))
            return heard[-1]

        taken = self.do(receive)
        for event in heard[0] if heard else ():
            if isinstance(event, h2.events.DataReceived):
                self.owed.append((not client, event.stream_id, event.flow_controlled_length))
        return taken

    def request(self, client: bool, number: int) -> bool:
        stream_id = self.both[0].ends[1].get_next_available_stream_id() + 2 * (number % 7 == 0)
        self.streams.add(stream_id)
        sent = REQUEST + fields(number)
        return self.do(lambda ends: ends.ends[1].send_headers(stream_id, sent, end_stream=number % 3 == 0))

    def response(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, False, "response")
        sent = [(":status", "200"), *fields(number)]
        return self.do(lambda ends: ends.ends[0].send_headers(stream_id, sent, end_stream=number % 3 == 0))

    def informational(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, False, "informational")
        return self.do(lambda ends: ends.ends[0].send_headers(stream_id, [(":status", "103"), ("link", "</a>")]))

    def trailers(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, client, "trailers")
        return self.do(lambda ends: ends.ends[client].send_headers(stream_id, [("x-sum", "1")], end_stream=number % 64 != 0))

    def data(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, client, "data")
        body, padding = bytes(number % 3000 if number % 64 else 17_000), number % 256 if number % 4 == 0 else None
        return self.do(lambda ends: ends.ends[client].send_data(stream_id, body, number % 5 == 0, padding))

    def end(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, client, "end")
        return self.do(lambda ends: ends.ends[client].end_stream(stream_id))

    def reset(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, client, "reset")
        return self.do(lambda ends: ends.ends[client].reset_stream(stream_id, number % 16))

    def priority(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, True, "priority")
        return self.do(lambda ends: ends.ends[1].prioritize(stream_id, number % 250 + 1, number % 5, number % 2 == 0))

    def push(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, False, "push")
        promised = self.both[0].ends[0].get_next_available_stream_id()
        self.streams.add(promised)
        sent = [(":method", "GET"), *REQUEST[1:]]
        return self.do(lambda ends: ends.ends[0].push_stream(stream_id, promised, sent))

    def alt_svc(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, False, "alt_svc")
        if number % 2:
            return self.do(lambda ends: ends.ends[0].advertise_alternative_service(b"h2=':1'", origin=b"example.com"))
        return self.do(lambda ends: ends.ends[0].advertise_alternative_service(b"h2=':1'", stream_id=stream_id))

    def ping(self, client: bool, number: int) -> bool:
        return self.do(lambda ends: ends.ends[client].ping(number.to_bytes(8, "big")))

    def window(self, client: bool, number: int) -> bool:
        return self.do(lambda ends: ends.ends[client].increment_flow_control_window(number + 1))

    def stream_window(self, client: bool, number: int) -> bool:
        stream_id = self.stream(number, client, "stream_window")
        if stream_id % 2 == 0:
            # Not on a stream that is only promised (RFC 9113 section 5.1): the façade refuses to receive it.
            raise NothingToDo
        return self.do(lambda ends: ends.ends[client].increment_flow_control_window(number + 1, stream_id))

    def settings(self, client: bool, number: int) -> bool:
        update = UPDATES[number % len(UPDATES)]
        return self.do(lambda ends: ends.ends[client].update_settings(update))

    def give_back(self, client: bool, number: int) -> bool:
        if not self.owed:
            return True
        receiver, stream_id, size = self.owed.pop()
        return self.do(lambda ends: ends.ends[receiver].acknowledge_received_data(size, stream_id))

    def goaway(self, client: bool, number: int) -> bool:
        if number % 16:
            return True
        self.do(lambda ends: ends.ends[client].close_connection(number % 14, b"why"))
        return self.deliver(client, number) and False


@pytest.mark.parametrize("options", [{}, {"header_encoding": "utf-8", "normalize_inbound_headers": False, "split_outbound_cookies": True}])
@given(steps=STEPS)
def test_conversations_are_the_same(options: dict[str, Any], steps: list[tuple[bool, int, int]]) -> None:
    conversation = Conversation(**options)
    conversation.request(True, 1)
    for client, choice, number in steps:
        if not conversation.step(client, choice, number):
            break
