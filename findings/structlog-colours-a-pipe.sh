#!/usr/bin/env bash
# structlog's default configuration asks whether it writes to a terminal before it uses colours; the same
# renderer in a list of processors does not, and writes escape sequences into a pipe or a file.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install structlog==26.1.0

escapes() { # configuration
    "$python" -c "import structlog; $1; structlog.get_logger().info('hello', a=1)" | tr -dc '\033' | wc -c | tr -d ' '
}

"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep structlog
state "0 escape sequences by default" "$(escapes pass) escape sequences by default"
made=$(escapes 'structlog.configure(processors=[structlog.dev.ConsoleRenderer()])')
state "some from ConsoleRenderer()" "$( ((made > 0)) && echo some || echo none ) from ConsoleRenderer()"
state "0 from ConsoleRenderer(colors=False)" "$(escapes 'structlog.configure(processors=[structlog.dev.ConsoleRenderer(colors=False)])') from ConsoleRenderer(colors=False)"
