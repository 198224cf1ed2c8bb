"""Gauges that are sums over connections: nothing of a connection is left in them after its end."""

from __future__ import annotations

from itertools import product

import pytest

from h2o_otel import counters
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection

GAUGES = ("connection_active", "flow_control_window", "hpack_table_size", "hpack_table_capacity", "stream_active", "stream_limit")


def levels(block: counters.Counters) -> dict[str, list[int]]:
    found = {}
    slots = block.read_slots()
    for name in GAUGES:
        start = counters.slot(name)
        found[name] = [slots[start + i] for i in range(len(list(product(*counters.SLOTS[name]))))]
    return {name: values for name, values in found.items() if any(values)}


def made(role: int, block: counters.Counters) -> Connection:
    config = client_config(CLIENT_LIMITS) if role == counters.CLIENT else server_config(SERVER_LIMITS)
    return Connection(config, None, block)


@pytest.mark.parametrize("role", [counters.CLIENT, counters.SERVER])
def test_closed_connection_leaves_no_gauge(role: int) -> None:
    block = counters.Counters()
    connection = made(role, block)
    connection.start(1.0)
    connection.data_to_send()
    assert "flow_control_window" in levels(block)
    connection.close(0, 2.0)
    # The GOAWAY is taken after the end.
    assert connection.data_to_send()
    connection.connection_lost(None, 3.0)
    assert levels(block) == {}


@pytest.mark.parametrize("role", [counters.CLIENT, counters.SERVER])
def test_connection_that_never_started_leaves_no_gauge(role: int) -> None:
    block = counters.Counters()
    connection = made(role, block)
    connection.connection_lost(None, 1.0)
    assert levels(block) == {}
