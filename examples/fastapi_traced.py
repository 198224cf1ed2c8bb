"""A FastAPI service over HTTP/2 whose requests are traced, its own spans included.

    h2o-otel serve examples.fastapi_traced:app --telemetry traces --prometheus-port 9464
    OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python examples/fastapi_traced.py

The first form leaves telemetry to the command line.  The second calls ``configure()`` and runs the
server from the program, as a service with its own start-up code would.  Needs ``pip install fastapi``.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from opentelemetry import trace

from h2o_otel import Server, ServerConfig
from h2o_otel.telemetry import configure

# Recent versions of FastAPI observe themselves; both at once would count every request twice, and its span
# would stand beside ours instead of below it.  Older versions ignore the argument.
app = FastAPI(title="Books", telemetry={"tracing": False, "metrics": False, "logs": False})
tracer = trace.get_tracer("books")

BOOKS = {1: "Structure and Interpretation of Computer Programs", 2: "The Practice of Programming"}


@app.get("/books/{number}")
async def book(number: int) -> dict[str, object]:
    """The server span is ``GET /books/{number}``; this span is its child."""
    with tracer.start_as_current_span("look up", attributes={"book.number": number}):
        await asyncio.sleep(0.002)
        title = BOOKS.get(number)
    if title is None:
        raise HTTPException(404, "there is no such book")
    return {"number": number, "title": title}


@app.post("/count")
async def count(request: Request) -> dict[str, int]:
    """Reads an upload part by part, so that memory stays flat whatever its size."""
    octets = 0
    async for part in request.stream():
        octets += len(part)
    return {"octets": octets}


@app.get("/lines")
async def lines() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(5):
            yield f"line {number}\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(parts(), media_type="text/plain")


def main() -> None:
    parser = argparse.ArgumentParser(description="A traced FastAPI service.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--console", action="store_true", help="print spans instead of sending them to a collector")
    arguments = parser.parse_args()
    # With OTEL_EXPORTER_OTLP_ENDPOINT set, metrics, spans and log events go there.
    with configure("books", level="traces", console=arguments.console, log_format="console") as telemetry:
        Server(ServerConfig(app=app, port=arguments.port, telemetry=telemetry)).run()


if __name__ == "__main__":
    main()
