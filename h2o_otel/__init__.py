"""h2o-otel: an observability-first HTTP/2 runtime."""

import os

__version__ = "0.1.0"

if os.environ.get("H2O_OTEL_PURE") == "1":
    from . import _pure

    _pure.use_sources(__path__)
