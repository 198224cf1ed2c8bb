#!/usr/bin/env bash
# Python 3.12.1 has objects in the collector's permanent generation before a program runs, so a program
# that asks gc.get_freeze_count() whether somebody froze objects is told yes.  3.11.7 and 3.13.0 have
# none; of other releases nothing is stated, but their count is shown.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

found=$(pythons)
[[ -n "$found" ]] || skip "no CPython of 3.11 or later"
while read -r each; do
    "$each" - <<'PYTHON' || { echo "CHANGED" >&2; exit 1; }
import gc
import sys

count = gc.get_freeze_count()
print(f"{sys.version.split()[0]}: {count} objects are frozen at the start")
sys.exit({(3, 11, 7): count != 0, (3, 12, 1): not 0 < count < 1000, (3, 13, 0): count != 0}.get(sys.version_info[:3], False))
PYTHON
done <<<"$found"
echo "as stated: of 3.11.7, 3.12.1 and 3.13.0, 3.12.1 alone has some"
