"""The catalogue against the counters, and against itself."""

import re

import pytest

from h2o_otel import counters
from h2o_otel.telemetry.catalogue import EVENTS, INSTRUMENTS, SPANS, by_family, prometheus_label, prometheus_name
from tests.support.faults import for_each

FAMILIES = {**counters.SLOTS, **counters.HISTOGRAMS, **counters.LABELLED}
UNITS = {"s", "By", "By/s"}


def ids(instrument):
    return instrument.name


def test_counters_and_catalogue_hold_the_same_families():
    assert {i.family for i in INSTRUMENTS if i.family} == set(FAMILIES)


def test_families_feed_one_instrument_each():
    fed = [i.family for i in INSTRUMENTS if i.family]
    assert len(fed) == len(set(fed)) == len(by_family)


def test_names_are_unique_in_both_worlds():
    assert len({i.name for i in INSTRUMENTS}) == len(INSTRUMENTS)
    assert len({i.prometheus for i in INSTRUMENTS}) == len(INSTRUMENTS)


@for_each("instrument", INSTRUMENTS, ids=ids)
def test_instrument_is_sane(instrument):
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", instrument.name)
    assert instrument.kind in ("counter", "updowncounter", "gauge", "histogram")
    assert instrument.unit in UNITS or re.fullmatch(r"\{[a-z_]+\}", instrument.unit), instrument.unit
    assert instrument.why.endswith(".")
    assert not re.search(r"(seconds|bytes|total|ratio|milliseconds)$", instrument.name)
    assert (instrument.kind == "histogram") == bool(instrument.bounds)
    assert list(instrument.bounds) == sorted(set(instrument.bounds))


@for_each("instrument", INSTRUMENTS, ids=ids)
def test_attributes_are_bounded(instrument):
    names = [a.name for a in instrument.attributes]
    assert len(names) == len(set(names))
    assert len({prometheus_label(n) for n in names}) == len(names)
    for attribute in instrument.attributes:
        assert attribute.values or attribute.bound, f"{attribute.name} may have any value"
        assert attribute.type in ("string", "int", "boolean")


@for_each("instrument", [i for i in INSTRUMENTS if i.source in ("slots", "histograms")], ids=ids)
def test_dimensions_are_the_attributes_in_order(instrument):
    dimensions = counters.SLOTS[instrument.family] if instrument.source == "slots" else counters.HISTOGRAMS[instrument.family][1]
    assert [a.values for a in instrument.attributes] == list(dimensions)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("h2o.io.transferred", "By", "counter", "h2o_io_transferred_bytes_total"),
        ("h2o.frames", "{frame}", "counter", "h2o_frames_total"),
        ("h2o.tcp.delivery_rate", "By/s", "histogram", "h2o_tcp_delivery_rate_bytes_per_second"),
        ("h2o.build.info", "{info}", "gauge", "h2o_build_info"),
    ],
)
def test_prometheus_names(name, unit, kind, expected):
    assert prometheus_name(name, unit, kind) == expected


def test_spans_cover_the_layers():
    names = [s.name for s in SPANS]
    assert len(names) == len(set(names))
    assert set(counters.LAYERS) <= set(names)


def test_events_are_sane():
    names = [e.name for e in EVENTS]
    assert len(names) == len(set(names))
    for event in EVENTS:
        assert event.level in ("debug", "info", "warning", "error")
        assert event.why.endswith(".")
        assert len(event.attributes) == len(set(event.attributes))
