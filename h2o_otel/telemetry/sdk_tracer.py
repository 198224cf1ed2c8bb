"""The application's SDK as spans need it: its sampler read as rules, its id generator, propagator and span processors."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace as _trace_api

from . import _sdk_spans, attributes, textmap

__all__ = ["SdkTracer"]

# A sampler's rule for one kind of parent; RATIO and above is an index into SdkTracer._bounds.
OFF, ON, CUSTOM, RATIO = range(4)
_OFF, _ON, _CUSTOM, _RATIO = OFF, ON, CUSTOM, RATIO
_get_textmap = textmap.get_textmap
_NO_BOUND = 2**31 - 1
_U64_MAX = 2**64 - 1


class SdkTracer:
    """The part of ``Tracing`` that reads the application's TracerProvider; spans ask it for ids and hand themselves to its processors.

    Args:
        provider: of the application; by default the global one, looked up until it is set.
    """

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._access: Any = None
        self._sampler: Any = None
        self._trace_ids: Any = None
        self._span_ids: Any = None
        # Makes 64 random bits, half a trace id; None where the application has its own id generator.
        self._halves: Any = None
        # The provider's composite processor, and its processors when they were last read.
        self._processor: Any = None
        self._in_order = False
        self._processors: tuple[Any, ...] = ()
        self._starters: tuple[Any, ...] = ()
        self._clips = False
        self._attributes_max = 0
        self._random_flag = 0
        # The global propagator, and which fields it carries (``textmap.kind_of``).
        self._textmap: Any = None
        self._carries = textmap.TRACE | textmap.BAGGAGE
        self._bounds: list[int] = []
        self._root = _OFF
        self._remote_on = _OFF
        self._remote_off = _OFF
        self._local_on = _OFF
        self._local_off = _OFF
        self._resolve()

    def _resolve(self) -> bool:
        """Find the SDK behind the provider; False while the application has set none."""
        provider = _trace_api.get_tracer_provider() if self._provider is None else self._provider
        access = _sdk_spans.tracer_access(provider, "h2o_otel", attributes.VERSION, attributes.SCHEMA_URL)
        if access is None:
            return False
        rules = access.rules
        self._sampler = access.sampler
        self._trace_ids, self._span_ids = _sdk_spans.id_calls(access.ids)
        self._halves = self._span_ids if _sdk_spans.has_plain_ids(access.ids) else None
        self._processor = access.processor
        self._in_order = access.in_order
        self._processors = () if self._in_order else (access.processor,)
        self._starters = _sdk_spans.starters(self._processors)
        self._clips = access.attribute_length_max is not None
        self._attributes_max = _NO_BOUND if access.attributes_max is None else access.attributes_max
        self._random_flag = access.random_flag
        self._root = self._rule(rules.root)
        self._remote_on = self._rule(rules.remote_on)
        self._remote_off = self._rule(rules.remote_off)
        self._local_on = self._rule(rules.local_on)
        self._local_off = self._rule(rules.local_off)
        self._access = access
        return True

    def _propagator(self) -> int:
        """Which fields the global propagator carries, as bits of ``textmap``; an application may replace it at any time."""
        found = _get_textmap()
        if found is not self._textmap:
            self._carries = textmap.kind_of(found)
            self._textmap = found
        return self._carries

    def _rule(self, rule: int) -> int:
        if rule == _sdk_spans.OFF:
            return _OFF
        if rule == _sdk_spans.ON:
            return _ON
        if rule == _sdk_spans.CUSTOM:
            return _CUSTOM
        if rule > _U64_MAX:
            return _ON
        self._bounds.append(rule)
        return _RATIO + len(self._bounds) - 1

    def _new_trace_id(self) -> int:
        found: int = self._trace_ids() or self._trace_ids()
        return found

    def _new_span_id(self) -> int:
        found: int = self._span_ids() or self._span_ids()
        return found

    def _refresh_processors(self) -> None:
        """Read the provider's processors again: an application may add some at any time."""
        if self._in_order:
            found = self._processor._span_processors
            if found is not self._processors:
                self._processors = found
                self._starters = _sdk_spans.starters(found)

    def _begin(self, live: Any) -> None:
        """Call ``on_start`` of the processors that override it."""
        self._refresh_processors()
        for processor in self._starters:
            processor.on_start(live, parent_context=None)

    def _end(self, live: Any, end_time: int) -> None:
        """Apply the provider's limits to a span that ends and hand it to the processors."""
        if self._clips or len(live._attributes) > self._attributes_max:
            _sdk_spans.clip(live)
        live._end_time = end_time
        self._refresh_processors()
        for processor in self._processors:
            processor.on_end(live)
