"""Private names of the SDK's tracer: its sampler read as rules, its limits, and a span that is exported as it is.

The SDK has no cheap way to decide sampling and no way to hand over a finished span; see ``_sdk_check``.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

__all__ = [
    "CUSTOM",
    "LiveSpan",
    "OFF",
    "ON",
    "SamplerRules",
    "TracerAccess",
    "clip",
    "has_plain_ids",
    "id_calls",
    "span_context",
    "span_dropped",
    "starters",
    "tracer_access",
]

# Decisions that need no call of the sampler: a value >= 0 is a bound on the low 64 bits of the trace id.
OFF, ON, CUSTOM = -1, -2, -3


class SamplerRules:
    """The decision of ``sampler`` for each kind of parent, as ``ON``, ``OFF``, a bound, or ``CUSTOM``."""

    __slots__ = ("local_off", "local_on", "remote_off", "remote_on", "root")

    def __init__(self, sampler: Any) -> None:
        if isinstance(sampler, sampling.ParentBased) and type(sampler).should_sample is sampling.ParentBased.should_sample:
            self.root = _rule(sampler._root)
            self.remote_on = _rule(sampler._remote_parent_sampled)
            self.remote_off = _rule(sampler._remote_parent_not_sampled)
            self.local_on = _rule(sampler._local_parent_sampled)
            self.local_off = _rule(sampler._local_parent_not_sampled)
        else:
            self.root = self.remote_on = self.remote_off = self.local_on = self.local_off = _rule(sampler)


def _rule(sampler: Any) -> int:
    method = type(sampler).should_sample
    if method is sampling.StaticSampler.should_sample:
        if sampler._decision is sampling.Decision.DROP:
            return OFF
        return ON if sampler._decision is sampling.Decision.RECORD_AND_SAMPLE else CUSTOM
    if method is sampling.TraceIdRatioBased.should_sample:
        return int(sampler.bound)
    return CUSTOM


class TracerAccess:
    """Parts of the SDK's tracer that spans need, read once."""

    __slots__ = (
        "attribute_length_max",
        "attributes_max",
        "events_max",
        "ids",
        "links_max",
        "processor",
        "random_flag",
        "resource",
        "rules",
        "sampler",
        "scope",
        "tracer",
    )

    def __init__(self, tracer: sdk_trace.Tracer) -> None:
        limits = tracer._span_limits
        self.tracer = tracer
        self.sampler = tracer.sampler
        self.rules = SamplerRules(tracer.sampler)
        self.ids = tracer.id_generator
        # Trace Context level 2; releases of the SDK before 1.40 do not know the flag.
        is_random = getattr(tracer.id_generator, "is_trace_id_random", None)
        self.random_flag = 2 if is_random is not None and is_random() else 0
        self.scope = tracer._instrumentation_scope
        self.attributes_max: int | None = limits.max_span_attributes
        self.attribute_length_max: int | None = limits.max_span_attribute_length
        self.events_max: int | None = limits.max_events
        self.links_max: int | None = limits.max_links
        self.resource = tracer.resource
        self.processor: Any = tracer.span_processor

    @property
    def enabled(self) -> bool:
        is_enabled = getattr(self.tracer, "_is_enabled", None)
        return is_enabled is None or bool(is_enabled())

    @property
    def in_order(self) -> bool:
        """Whether ``processor`` does no more than to call those in its tuple ``_span_processors``, one after the other."""
        return type(self.processor) is sdk_trace.SynchronousMultiSpanProcessor


def starters(processors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The processors that override ``on_start``; the SDK's exporting processors do not."""
    idle = (SpanProcessor.on_start, BatchSpanProcessor.on_start, SimpleSpanProcessor.on_start)
    return tuple(p for p in processors if type(p).on_start not in idle)


def has_plain_ids(generator: Any) -> bool:
    """Whether its ids are random bits and nothing else: the SDK's own class, not one derived from it."""
    return type(generator) is RandomIdGenerator


def id_calls(generator: Any) -> tuple[Callable[[], int], Callable[[], int]]:
    """Functions that make trace ids and span ids; the SDK's own generator is replaced by direct calls of ``getrandbits``.

    The caller asks again for an id of 0, which is invalid.
    """
    if has_plain_ids(generator):
        return functools.partial(random.getrandbits, 128), functools.partial(random.getrandbits, 64)
    return generator.generate_trace_id, generator.generate_span_id


# ``SpanContext`` without the range checks of its constructor, which are Python and have no question left
# for ids that our parser or the id generator made: (trace id, span id, remote, flags, state, valid).
span_context: Callable[[tuple[Any, ...]], SpanContext] = functools.partial(tuple.__new__, SpanContext)


_UNSET = Status(StatusCode.UNSET)


class LiveSpan(trace.Span, ReadableSpan):
    """The span of a sampled request: what the application sees as current, and what is exported at its end.

    It is the exported object itself, so that nothing is built twice.  ``end()`` called by the
    application does nothing: the runtime ends its own spans, through ``close``.
    """

    _h2o_access: TracerAccess
    # Class attributes are the defaults; only spans that differ set their own.
    _h2o_dropped = 0
    _instrumentation_info = None
    _end_time: int | None = None
    _events: Sequence[Any] = ()
    _links: Sequence[Link] = ()
    _status = _UNSET

    def __init__(
        self,
        access: TracerAccess,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        start_time: int,
        attributes: dict[str, Any],
    ) -> None:
        self._h2o_access = access
        self._name = name
        self._context: SpanContext = context
        self._kind = kind
        self._instrumentation_scope = access.scope
        self._parent = parent
        self._start_time = start_time
        self._attributes: dict[str, Any] = attributes
        self._resource = access.resource

    def get_span_context(self) -> SpanContext:
        return self._context

    @property
    def dropped_attributes(self) -> int:
        return self._h2o_dropped

    def is_recording(self) -> bool:
        return self._end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        attributes = self._attributes
        limit = self._h2o_access.attributes_max
        if self._end_time is not None:
            return
        if limit is not None and len(attributes) >= limit and key not in attributes:
            self._h2o_dropped += 1
            return
        length = self._h2o_access.attribute_length_max
        attributes[key] = value[:length] if length is not None and isinstance(value, str) else value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        limit = self._h2o_access.events_max
        if self._end_time is None and (limit is None or len(self._events) < limit):
            self._events = [*self._events, sdk_trace.Event(name, attributes, time_ns() if timestamp is None else timestamp)]

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        limit = self._h2o_access.links_max
        if self._end_time is None and (limit is None or len(self._links) < limit):
            self._links = [*self._links, Link(context, attributes)]

    def update_name(self, name: str) -> None:
        if self._end_time is None:
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._end_time is not None or self._status.status_code is StatusCode.OK:
            return
        new = status if isinstance(status, Status) else Status(status, description)
        if new.status_code is not StatusCode.UNSET:
            self._status = new

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        import traceback

        fields: dict[str, Any] = {
            "exception.type": f"{type(exception).__module__}.{type(exception).__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
        }
        if type(exception).__module__ == "builtins":
            fields["exception.type"] = type(exception).__qualname__
        fields.update(attributes or {})
        self.add_event("exception", fields, timestamp)

    def end(self, end_time: int | None = None) -> None:
        return None


def clip(live: LiveSpan) -> None:
    """Hold the attributes of an ending span to the limits that the application gave its provider."""
    access = live._h2o_access
    fields = live._attributes
    if access.attributes_max is not None:
        for name in list(fields)[access.attributes_max :]:
            del fields[name]
            live._h2o_dropped += 1
    length = access.attribute_length_max
    if length is not None:
        for name, value in fields.items():
            if isinstance(value, str) and len(value) > length:
                fields[name] = value[:length]


def span_dropped(processor: Any) -> bool:
    """Whether ``processor``, a ``BatchSpanProcessor``, drops a span with the next one."""
    queue = processor._batch_processor._queue
    return queue.maxlen is not None and len(queue) >= queue.maxlen


def tracer_access(provider: Any, name: str, version: str, schema_url: str) -> TracerAccess | None:
    """Access to the SDK's tracer of ``provider``, or None where the provider is not the SDK's."""
    if not isinstance(provider, TracerProvider):
        return None
    tracer = provider.get_tracer(name, version, schema_url)
    return TracerAccess(tracer) if isinstance(tracer, sdk_trace.Tracer) else None
