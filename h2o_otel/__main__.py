"""``python -m h2o_otel`` is the command ``h2o-otel``."""

import sys

from .cli.main import main

sys.exit(main())
