"""What contexts allow."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from h2o_otel.tls import context
from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support.tls import shake


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def both(authority: Authority) -> list[ssl.SSLContext]:
    leaf = authority.issue()
    return [client_context(), server_context(leaf.certificate, leaf.key)]


def test_versions_and_options(authority: Authority) -> None:
    for made in both(authority):
        assert made.minimum_version == ssl.TLSVersion.TLSv1_2
        assert made.options & ssl.OP_NO_COMPRESSION
        assert made.options & ssl.OP_NO_RENEGOTIATION
        assert made.security_level == 2


def test_suites(authority: Authority) -> None:
    """RFC 9113 appendix A prohibits all but these."""
    for made in both(authority):
        for suite in made.get_ciphers():
            assert suite["protocol"] == "TLSv1.3" or suite["kea"] == "kx-ecdhe", suite["name"]
            assert suite["aead"], suite["name"]


def test_client_verifies() -> None:
    made = client_context()
    assert made.verify_mode == ssl.CERT_REQUIRED
    assert made.check_hostname
    assert not made.hostname_checks_common_name


def test_client_that_does_not_verify(authority: Authority) -> None:
    leaf = authority.issue()
    client = ClientTLS(context=client_context(verify=False)).pump("anything.test")
    assert shake(client, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump()) == (None, None)


@pytest.mark.parametrize("form", ["pem", "der"])
def test_trust_by_octets(authority: Authority, form: str) -> None:
    pem = authority.certificate.read_text()
    ca = pem.encode() if form == "pem" else ssl.PEM_cert_to_DER_cert(pem)
    leaf = authority.issue()
    client = ClientTLS(context=client_context(ca=ca)).pump("localhost")
    assert shake(client, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump()) == (None, None)


def test_addresses_are_names(authority: Authority) -> None:
    leaf = authority.issue()
    for name in ("127.0.0.1", "[::1]", "::1"):
        client = ClientTLS(context=client_context(ca=authority.certificate)).pump(name)
        assert shake(client, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump()) == (None, None)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pem does not exist"):
        client_context(ca=tmp_path / "nothing.pem")
    with pytest.raises(FileNotFoundError) as caught:
        server_context(tmp_path / "none.pem", tmp_path / "none.key")
    assert "none.pem" in str(caught.value)


def test_key_log(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    leaf = authority.issue()
    client = ClientTLS(context=client_context(ca=authority.certificate)).pump("localhost")
    shake(client, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump())
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()


def test_protocols_offered() -> None:
    assert context.ALPN == ("h2", "http/1.1")
