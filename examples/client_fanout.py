"""Many requests at once over one connection, and what each of them waited for.

    python examples/client_fanout.py http://127.0.0.1:8000/books/1 --requests 200

``http://`` is cleartext HTTP/2 by prior knowledge, ``https://`` negotiates it.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from h2o_otel import AsyncClient, H2OError, Response, Timeout


async def fetch(client: AsyncClient, url: str) -> Response | H2OError:
    """A failure is an answer too: one request's end never touches its neighbours."""
    try:
        return await client.get(url)
    except H2OError as error:
        return error


async def fan_out(url: str, requests: int, verify: bool | str) -> int:
    async with AsyncClient(verify=verify, timeout=Timeout(10.0)) as client:
        began = time.perf_counter()
        answers = await asyncio.gather(*(fetch(client, url) for _ in range(requests)))
        seconds = time.perf_counter() - began
        connections = sum(len(origin["connections"]) for origin in client.describe())

    responses = [answer for answer in answers if isinstance(answer, Response)]
    failures = [answer for answer in answers if isinstance(answer, H2OError)]
    print(f"{len(responses)} answers in {seconds:.3f} s over {connections} connection(s)")
    for status in sorted({response.status_code for response in responses}):
        print(f"  {status}: {sum(response.status_code == status for response in responses)}")
    for failure in failures[:3]:
        print(f"  {type(failure).__name__}: {failure}")
    if responses:
        slowest = max(responses, key=lambda response: response.elapsed)
        parts = ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in slowest.timings._asdict().items() if seconds)
        print(f"slowest, in ms: {parts}")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Many requests at once over one connection.")
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--ca", help="trust this authority (a PEM file)")
    arguments = parser.parse_args()
    return asyncio.run(fan_out(arguments.url, arguments.requests, arguments.ca or True))


if __name__ == "__main__":
    raise SystemExit(main())
