"""The rate limit of log events and of other records."""

import io
import json
import logging

from h2o_otel.telemetry.log_rate import RateLimit, RateLimitFilter
from h2o_otel.telemetry.log_text import Formatter


def test_rate_limit_refills_up_to_its_burst():
    now = [0]
    limit = RateLimit(2.0, lambda: now[0])
    assert [limit.suppressed_before("a") for _ in range(4)] == [0, 0, -1, -1]
    now[0] = 500_000_000
    assert [limit.suppressed_before("a"), limit.suppressed_before("a")] == [2, -1]
    now[0] = 60_000_000_000
    assert [limit.suppressed_before("a") for _ in range(3)] == [1, 0, -1]


def test_own_errors_do_not_flood():
    time_ns = [0]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter("json"))
    handler.addFilter(RateLimitFilter(2.0, lambda: time_ns[0]))
    logger = logging.getLogger("h2o_otel.flooded")
    logger.addHandler(handler)
    for _ in range(2):
        for number in range(1000):
            logger.error("internal error on the connection with %s: it is closed", number)
        logger.error("another one")
        time_ns[0] += 1_000_000_000
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    texts = [line["event"].removeprefix("internal error on the connection with ") for line in lines]
    assert texts == ["0: it is closed", "1: it is closed", "another one"] * 2
    assert [line.get("h2o.suppressed") for line in lines] == [None, None, None, 998, None, None]
