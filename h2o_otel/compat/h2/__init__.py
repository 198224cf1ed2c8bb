"""The interface of the ``h2`` library on this engine.

Either import it by name::

    import h2o_otel.compat.h2 as h2

or, for programs that import ``h2`` themselves, put it in the place of ``h2`` before they do::

    import h2o_otel.compat.h2

    h2o_otel.compat.h2.install()

What differs from the library is listed in ``docs/compat-h2.md``.
"""

from __future__ import annotations

import sys

from . import config, connection, errors, events, exceptions, settings, stream, utilities

__all__ = ["config", "connection", "errors", "events", "exceptions", "install", "settings", "stream", "utilities"]

# The release whose interface this is.
__version__ = "4.4.1"

_MODULES = (config, connection, errors, events, exceptions, settings, stream, utilities)


def install() -> None:
    """From here on ``import h2`` and ``import h2.connection`` mean these modules, in the whole process.

    Raises:
        RuntimeError: the library itself has been imported already, so that some module may hold parts of it.
    """
    loaded = sys.modules.get("h2")
    ours = sys.modules[__name__]
    if loaded is ours:
        return
    if loaded is not None:
        raise RuntimeError("h2 has been imported already: call h2o_otel.compat.h2.install() before whatever imports h2")
    sys.modules["h2"] = ours
    for module in _MODULES:
        sys.modules["h2." + module.__name__.rpartition(".")[2]] = module
