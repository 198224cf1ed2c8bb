"""``h2o-otel get``: send a request over HTTP/2, write its response, and show what happened (docs/get.md)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from typing import Any

__all__ = ["register", "run"]


def register(subparsers: Any) -> None:
    """Add the command to ``subparsers`` of ``argparse``."""
    parser = subparsers.add_parser(
        "get",
        help="send a request and explain it, with curl's options",
        description="Requests of several URLs follow each other on one client, so that they share connections. "
        "http:// URLs use HTTP/2 by prior knowledge.",
    )
    parser.add_argument("urls", nargs="+", metavar="URL", help="absolute, http:// or https://")
    parser.add_argument("-X", "--request", dest="method", metavar="METHOD", help="instead of GET, or what a body or -I implies")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="NAME: VALUE", help="a field of the request")
    body = parser.add_mutually_exclusive_group()
    body.add_argument("-d", "--data", action="append", metavar="DATA", help="a form to POST; @FILE reads it, @- from standard input")
    body.add_argument("--json-body", metavar="JSON", help="JSON to POST; @FILE reads it, @- from standard input")
    body.add_argument("-T", "--upload-file", metavar="FILE", help="PUT this file without reading it whole; - is standard input")
    body.add_argument("-I", "--head", action="store_true", help="send HEAD and print the header section")
    parser.add_argument("-i", "--include", action="store_true", help="print the header section before the body")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the body there, with progress on a terminal")
    parser.add_argument("-f", "--fail", action="store_true", help="exit with 22 on a status of 400 or above, without the body")
    parser.add_argument("-s", "--silent", action="store_true", help="no progress and no error messages")
    parser.add_argument("-N", "--no-buffer", action="store_true", help="write each piece of the body as it arrives")
    parser.add_argument("-k", "--insecure", action="store_true", help="accept any certificate")
    parser.add_argument("--cacert", metavar="FILE", help="certificates to trust instead of the system's")
    parser.add_argument("--max-time", type=_seconds, metavar="SECONDS", help="limit of each whole request")
    parser.add_argument("--connect-timeout", type=_seconds, metavar="SECONDS", help="limit of making a connection (default: 5)")
    parser.add_argument("--http2-prior-knowledge", action="store_true", help="what http:// URLs use in any case; accepted as curl's")
    parser.add_argument("-L", "--location", action="store_true", help="refused: redirects are not followed yet")
    parser.add_argument("--trace", action="store_true", help="print where the time went, to standard error")
    parser.add_argument("--frames", action="store_true", help="print the connection's frames and both header sections, to standard error")
    parser.add_argument("--json", action="store_true", help="print one JSON object per URL instead of the body")
    parser.add_argument("--show-secrets", action="store_true", help="print credentials and cookies in --frames and --json")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """The exit status of docs/get.md; that of the first URL that failed."""
    from . import _get

    if args.location:
        print("h2o-otel get: -L: redirects are not followed yet; request the URL of the `location` field", file=sys.stderr)
        return _get.USAGE
    # The message of the command says what the events would.
    logging.getLogger((__package__ or "h2o_otel").partition(".")[0]).addHandler(logging.NullHandler())
    try:
        status = asyncio.run(_get.run(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _get.WRITE_ERROR
    return status
