"""Expressions that more than one dashboard or rule needs."""

from __future__ import annotations

from ..expressions import Events, Level, Number, OrZero, Quantile, Rate, is_, like, unlike

SERVED = "http.server.request.duration"
CALLED = "http.client.request.duration"

SERVED_RATE = Events(SERVED)
# Faults of the server: a 5xx status, or an exception, whose class begins with a capital.  Faults of peers
# (a cancelled request, a violated rule) have a token in lower case.
SERVED_FAILED = OrZero(Events(SERVED, like("error.type", "5..|[A-Z].+")), SERVED_RATE)
SERVED_ERROR_RATIO = SERVED_FAILED / SERVED_RATE
SERVED_P99 = Quantile(0.99, SERVED)
CALLED_RATE = Events(CALLED)
# A 4xx status and a cancellation are outcomes that the application chose.
CALLED_FAILED = OrZero(Events(CALLED, unlike("error.type", "4..|Cancelled.*|")), CALLED_RATE)
CALLED_ERROR_RATIO = CALLED_FAILED / CALLED_RATE
CALLED_P99 = Quantile(0.99, CALLED)

# Streams that clients open: what a server receives, a client transmits.
SERVER_STREAMS_USED = Level("h2o.stream.active", is_("h2o.role", "server")) / Level(
    "h2o.stream.limit", is_("h2o.role", "server"), is_("network.io.direction", "receive")
)
CLIENT_STREAMS_USED = Level("h2o.stream.active", is_("h2o.role", "client")) / Level(
    "h2o.stream.limit", is_("h2o.role", "client"), is_("network.io.direction", "transmit")
)
CONNECTIONS_PER_POOL = Level("http.client.open_connections", by="server.address") / Level("h2o.pool.limit", by="server.address")

LOOP_BUSY = Rate("h2o.loop.busy", by="instance")
LOOP_LAG_P99 = Quantile(0.99, "h2o.loop.lag", by="instance")
CPU = Rate("process.cpu.time", by="instance")
ONE = Number(1)
