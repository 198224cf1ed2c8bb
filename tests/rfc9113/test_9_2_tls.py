"""RFC 9113 section 9.2: how TLS is used."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support.judged import requirement
from tests.support.tls import shake


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def contexts(authority: Authority) -> list[Any]:
    leaf = authority.issue()
    return [client_context(ca=authority.certificate), server_context(leaf.certificate, leaf.key)]


@requirement("9113-9.2-1", "9113-9.2.1-1")
def test_versions_and_options(authority: Authority) -> None:
    for made in contexts(authority):
        assert made.minimum_version == ssl.TLSVersion.TLSv1_2
        assert made.options & ssl.OP_NO_COMPRESSION
        assert made.options & ssl.OP_NO_RENEGOTIATION


@requirement("9113-9.2-2")
@pytest.mark.parametrize(("name", "told"), [("localhost", "localhost"), ("localhost.", "localhost"), ("127.0.0.1", None)])
def test_name_of_the_server_is_sent(authority: Authority, name: str, told: str | None) -> None:
    """Addresses are no names (RFC 6066 section 3)."""
    client, server = contexts(authority)
    names: list[str | None] = []
    server.sni_callback = lambda sock, name, context: names.append(name)
    assert shake(ClientTLS(context=client).pump(name), ServerTLS(context=server).pump()) == (None, None)
    assert names == [told]


@requirement("9113-9.2.2-1")
def test_suites(authority: Authority) -> None:
    """Ephemeral keys and AEAD, which leaves none of those of appendix A."""
    for made in contexts(authority):
        suites = [suite for suite in made.get_ciphers() if suite["protocol"] != "TLSv1.3"]
        assert suites
        assert all(suite["aead"] and suite["kea"] == "kx-ecdhe" for suite in suites)


@requirement("9113-9.2.2-2")
def test_the_suite_that_everybody_has(authority: Authority) -> None:
    for made in contexts(authority):
        assert "ECDHE-RSA-AES128-GCM-SHA256" in {suite["name"] for suite in made.get_ciphers()}


@requirement("9113-9.2.1-2")
def test_strength_of_ephemeral_keys(authority: Authority) -> None:
    """Security level 2 of OpenSSL: 112 bits, which is 224 on curves and 2048 without."""
    for made in contexts(authority):
        assert made.security_level >= 2


@requirement("9113-9.2.3-1")
def test_no_authentication_after_the_handshake(authority: Authority) -> None:
    assert [made.post_handshake_auth for made in contexts(authority)] == [False, False]
