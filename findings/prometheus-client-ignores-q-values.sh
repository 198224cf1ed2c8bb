#!/usr/bin/env bash
# prometheus_client looks for the name of OpenMetrics in Accept and ignores weights (RFC 9110 section
# 12.4.2): who prefers the text format gets OpenMetrics, and who excludes OpenMetrics (q=0) gets it, too.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install prometheus_client==0.26.0

answered() { # accept
    "$python" -c 'import sys; from prometheus_client.exposition import choose_encoder; print(choose_encoder(sys.argv[1])[1].partition(";")[0])' "$1"
}

"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep prometheus
state "application/openmetrics-text" "$(answered 'text/plain;version=0.0.4;q=1.0,application/openmetrics-text;version=1.0.0;q=0.1')"
state "application/openmetrics-text" "$(answered 'application/openmetrics-text;version=1.0.0;q=0,text/plain')"
state "text/plain" "$(answered 'text/plain')"
