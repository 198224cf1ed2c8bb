"""Exit with 0 if the service answers: one request over HTTP/2, since cleartext checks and bare connects would count as faults.

healthcheck.py https://demo:8443/ /certificates/authority.pem
"""

import asyncio
import sys

from h2o_otel import AsyncClient


async def main(url: str, authority: str) -> int:
    async with AsyncClient(verify=authority, timeout=3.0) as client:
        response = await client.get(url)
    return 0 if response.status_code < 500 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2])))
