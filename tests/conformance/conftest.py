"""What the parts of the suite share: certificates and event loops in threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.peers import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """The server's event loop, in a thread."""
    with start_blocking_portal("asyncio") as made:
        yield made
