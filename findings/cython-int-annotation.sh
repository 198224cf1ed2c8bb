#!/usr/bin/env bash
# Cython since 3.2 compiles an argument that is annotated `int` so that it takes whatever int() takes:
# 1.9 becomes 1.  Cython 3.1 raised TypeError, and plain Python hands on 1.9.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for version in 3.1.8 3.2.9 3.3.1; do
    install "Cython==$version" "setuptools>=77"
    printf 'def taken(n: int):\n    return n\n' >"$folder/probe.py"
    (cd "$folder" && rm -f probe.*.so && "$folder/venv/bin/cythonize" -q -f -i -3 probe.py >/dev/null 2>&1) || skip "no C compiler, or no Python.h"
    seen=$(cd "$folder" && "$python" -c '
import probe
assert probe.__file__.endswith(".so"), probe.__file__
try:
    print(probe.taken(1.9))
except TypeError:
    print("TypeError")')
    case "$version" in
        3.1.*) state "Cython $version: TypeError" "Cython $version: $seen" ;;
        *) state "Cython $version: 1" "Cython $version: $seen" ;;
    esac
done
