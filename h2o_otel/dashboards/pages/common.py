"""Expressions that more than one dashboard or rule needs."""

from __future__ import annotations

from ..expressions import Events, Level, Number, OrZero, Quantile, Rate, is_, like, present

SERVED = "http.server.request.duration"
CALLED = "http.client.request.duration"

SERVED_RATE = Events(SERVED)
SERVED_5XX = OrZero(Events(SERVED, like("http.response.status_code", "5..")), SERVED_RATE)
SERVED_FAILED = OrZero(Events(SERVED, present("error.type")), SERVED_RATE)
SERVED_ERROR_RATIO = SERVED_FAILED / SERVED_RATE
SERVED_P99 = Quantile(0.99, SERVED)
CALLED_RATE = Events(CALLED)
# A 4xx is an error of the caller that made the request, which here is the application.
CALLED_FAILED = OrZero(Events(CALLED, present("error.type")), CALLED_RATE)
CALLED_ERROR_RATIO = CALLED_FAILED / CALLED_RATE
CALLED_P99 = Quantile(0.99, CALLED)

# The streams that count against a limit are those that the client opens: the server advertises
# the limit, the client obeys the one that it received.
SERVER_STREAMS_USED = Level("h2o.stream.active", is_("h2o.role", "server")) / Level(
    "h2o.stream.limit", is_("h2o.role", "server"), is_("network.io.direction", "transmit")
)
CLIENT_STREAMS_USED = Level("h2o.stream.active", is_("h2o.role", "client")) / Level(
    "h2o.stream.limit", is_("h2o.role", "client"), is_("network.io.direction", "receive")
)
POOL_USED = Level("http.client.open_connections", by="server.address") / Level("h2o.pool.limit", by="server.address")

LOOP_BUSY = Rate("h2o.loop.busy", by="instance")
LOOP_LAG_P99 = Quantile(0.99, "h2o.loop.lag", by="instance")
CPU = Rate("process.cpu.time", by="instance")
ONE = Number(1)
