# Sourced by each finding: a temporary folder that goes with the script, pinned packages in it, and statements that fail.
set -euo pipefail

folder=$(mktemp -d)
programs=()
cleanup() {
    for program in "${programs[@]}"; do kill "$program" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT

install() { # requirement...: exactly these, in an environment of the script's own
    "${PYTHON:-python3}" -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    python="$folder/venv/bin/python"
}

state() { # what is expected, what was seen
    if [[ "$1" == "$2" ]]; then
        echo "as stated: $2"
    else
        printf 'CHANGED\n  stated: %s\n  seen:   %s\n' "$1" "$2" >&2
        exit 1
    fi
}

pythons() { # every CPython 3.11 or later that is here, one path a line, each release once
    local candidate
    for candidate in $(compgen -c python3. | grep -E '^python3\.1[1-9]$' | sort -u) "$HOME"/.pyenv/versions/3.1[1-9].*/bin/python; do
        "$candidate" -I -c 'import platform, sys; print(platform.python_version(), sys.executable)' 2>/dev/null || true
    done | sort -u -k 1,1 | cut -d ' ' -f 2-
}

skip() { # reason
    echo "skipped: $1"
    exit 77
}
