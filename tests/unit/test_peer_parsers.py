"""Parsers of what peers choose take work in proportion to it: twice the input, at most twice the work.

The work is counted, not timed: opcodes of what is written in Python, characters that regular expressions look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from h2o_otel._pure import build
from h2o_otel.client import building, decoders, urls
from h2o_otel.client.headers import Headers
from h2o_otel.escape import escaped, escaped_lines
from h2o_otel.frames import validation
from h2o_otel.hpack import names
from h2o_otel.limits import CLIENT_LIMITS
from h2o_otel.server import scope
from h2o_otel.streams import priority
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry import attributes, propagation
from tests.support.hpack import plain, receiver
from tests.support.steps import Steps, opcodes

if build() != "pure":
    pytest.skip("the work is counted in the sources: compiled modules have no opcodes, and hide some patterns", allow_module_level=True)

# Of the doubled input: a constant part makes it less, and a step of a size class a little more.
TWICE = 2.1
SIZE = 400


def stream_with(*fields: tuple[bytes, bytes]) -> Stream:
    stream = Stream(1, 65_535, 65_535, 0.0)
    stream.method, stream.scheme, stream.path, stream.authority = b"GET", b"https", b"/", b"a"
    stream.headers = list(fields)
    return stream


def crumbs(n: int, name: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, b"k=v")] * n


PARSERS: dict[str, Callable[[int], object]] = {
    "priority members": lambda n: priority.parse_priority(b"a, " * n, 1_000_000),
    "priority inner list": lambda n: priority.parse_priority(b"a=(" + b"1 " * n, 1_000_000),
    "priority fields": lambda n: receiver(header_fields_max=10_000, header_list_bytes_max=10_000_000).decode_block(
        plain(*crumbs(n, b"priority"))
    ),
    "cookies": lambda n: scope.make_headers(stream_with(*crumbs(n, b"cookie"))),
    "cookies between others": lambda n: scope.make_headers(stream_with(*[(b"cookie", b"a=b"), (b"x", b"y")] * n)),
    "hosts": lambda n: scope.make_headers(stream_with(*crumbs(n, b"x-a"), (b"host", b"a"))),
    "expect": lambda n: scope.expects_continue(stream_with(*crumbs(n, b"expect"))),
    "names": lambda n: names.flaw_of_name(b"x" * n),
    "nameless fields": lambda n: receiver(header_fields_max=10_000).decode_block(plain(*[(b"", b"")] * n)),
    "traceparent": lambda n: propagation.parse_traceparent(b"00-" + b"a" * n),
    "traceparent spaces": lambda n: propagation.parse_traceparent(b" " * n),
    "tracestate lines": lambda n: propagation.read_headers(crumbs(n, b"tracestate")),
    "baggage lines": lambda n: propagation.read_headers(crumbs(n, b"baggage")),
    "tracestate": lambda n: propagation.parse_tracestate(b",".join(b"k%d=v" % i for i in range(n))),
    "baggage": lambda n: propagation.parse_baggage(b"k=%41," * n),
    "authority": lambda n: attributes.split_authority(b"a" * n + b":1"),
    "authority port": lambda n: attributes.split_authority(b"a:" + b"9" * n),
    "authority colons": lambda n: attributes.split_authority(b":" * n),
    "host and authority": lambda n: validation.same_authority(b"A" * n, b"a" * n, b"https"),
    "query": lambda n: attributes.redact_query("sig=x&" * n),
    "url": lambda n: attributes.redact_url("http://" + "a@" * n),
    "response list": lambda n: Headers.of_raw(crumbs(n, b"link")).get_list("link", split_commas=True),
    "response fields": lambda n: Headers.of_raw(crumbs(n, b"x")).multi_items(),
    "content-encoding": lambda n: decoders.decoder_of([(b"content-encoding", b"gzip, " * n)], CLIENT_LIMITS),
    "content-type": lambda n: decoders.charset_of("text/html;" + "charset=utf-8;" * n),
    "content-type charset": lambda n: decoders.charset_of("text/html;charset=" + "x" * n),
    "location path": lambda n: urls.URL("http://a/").join("../" * n + "x"),
    "location escapes": lambda n: urls.URL("http://a/").join("/" + "%" * n),
    "shown": lambda n: escaped("\x1b" * n, n),
    "shown lines": lambda n: escaped_lines("\x1b\n" * n, 3 * n),
}


@pytest.mark.parametrize("name", PARSERS)
def test_twice_the_input_is_at_most_twice_the_opcodes(name: str) -> None:
    parse = PARSERS[name]

    def work(n: int) -> int:
        def attempt() -> None:
            try:
                parse(n)
            except ValueError:
                pass  # what it says of the input is for other tests

        attempt()  # caches
        return opcodes(attempt)

    assert work(2 * SIZE) <= TWICE * work(SIZE)


EXPRESSIONS: dict[str, tuple[re.Pattern[str] | re.Pattern[bytes], tuple[Callable[[int], str], ...]]] = {
    "priority": (
        priority._MEMBER,
        (
            lambda n: "a" * n,
            lambda n: "a=" + "a" * n + "!",
            lambda n: "a" + ";a" * n + "!",
            lambda n: "a" + ";a=1" * n + "!",
            lambda n: "a" + "; " * n,
            lambda n: "a=(" + "1 " * n,
            lambda n: "a=(" + "a;b=c " * n,
            lambda n: "a=(" + '"x" ' * n,
            lambda n: "a=(" + " " * n,
            lambda n: "a=(a" + ";a" * n,
            lambda n: 'a="' + "x" * n,
            lambda n: 'a="' + '\\"' * n,
            lambda n: 'a=%"' + "%aa" * n,
            lambda n: "a=:" + "a" * n,
            lambda n: "a=1" + "1" * n,
        ),
    ),
    "priority separator": (priority._BETWEEN, (lambda n: " " * n, lambda n: "\t" * n + ",")),
    "tracestate": (
        propagation._MEMBER,
        (lambda n: "a" * n, lambda n: "a=" + "b" * n, lambda n: "a=" + " " * n, lambda n: "a@" + "b" * n, lambda n: "a" * n + "@b=c"),
    ),
    "baggage name": (propagation._TOKEN, (lambda n: "a" * n + " ",)),
    "baggage value": (propagation._BAGGAGE_VALUE, (lambda n: "a" * n + " ",)),
    "credentials": (attributes._CREDENTIALS, (lambda n: "a" * n, lambda n: "a://" + "b" * n, lambda n: "a" * n + ":")),
    "escapes": (urls._BAD_ESCAPE, (lambda n: "%" * n, lambda n: "%a" * n)),
    "host": (urls._HOST, (lambda n: "a" * n + " ", lambda n: "1" * n + "%" * n + " ", lambda n: ":" * n + "%" + "a" * n + " ")),
    "path": (building._CLEAN.__self__, (lambda n: "/" + "a" * n + " ", lambda n: "/" + "%aa" * n + "%", lambda n: "/" + "a%aa" * n + " ")),
    "method": (building._METHOD.__self__, (lambda n: "a" * n + " ",)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_twice_the_input_is_at_most_twice_the_steps_of_an_expression(name: str) -> None:
    pattern, makers = EXPRESSIONS[name]

    def work(text: str) -> int:
        steps = Steps(pattern)
        for whole in (False, True):
            ours = text.encode() if isinstance(pattern.pattern, bytes) else text
            end = steps.match(ours, 0, whole)
            found = pattern.fullmatch(ours) if whole else pattern.match(ours)  # type: ignore[arg-type]
            # It is the same expression.
            assert end == (-1 if found is None else found.end())
        return steps.count

    for make in makers:
        assert work(make(2 * SIZE)) <= TWICE * work(make(SIZE)) + 8, make(3)


def test_the_count_of_steps_sees_backtracking() -> None:
    def work(pattern: str, text: str) -> int:
        steps = Steps(re.compile(pattern))
        assert steps.match(text, 0, True) == -1
        return steps.count

    assert work("(?:a+)+b", "a" * 14) > 100 * work("(?:a++)++b", "a" * 14)
    assert work("a*a*b", "a" * 100) > 30 * work("a*b", "a" * 100)
