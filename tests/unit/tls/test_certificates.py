"""Certificates for the demo, by whatever tool is there."""

from __future__ import annotations

import importlib.util
import shutil
import stat
from pathlib import Path

import pytest

from h2o_otel.tls import certificates
from h2o_otel.tls.certificates import Authority, CertificateToolMissing
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support.tls import shake


@pytest.fixture(params=["cryptography", "openssl"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "openssl":
        if shutil.which("openssl") is None:
            pytest.skip("no openssl command")
        monkeypatch.setattr(certificates, "_maker", certificates._WithOpenssl)
    else:
        pytest.importorskip("cryptography")
    return str(request.param)


def handshake(authority: Authority, leaf: certificates.Certificate, name: str, **client: object) -> str:
    """Why the client refused, or "" when it did not."""
    pump = ClientTLS(context=client_context(ca=authority.certificate, **client)).pump(name)  # type: ignore[arg-type]
    error, _ = shake(pump, ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump())
    return "" if error is None else error.reason


def test_issued_is_trusted(tool: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.issue()
    for name in ("localhost", "127.0.0.1", "::1"):
        assert handshake(authority, leaf, name) == ""
    assert handshake(authority, leaf, "example.org") == "certificate_hostname_mismatch"


def test_authority_is_kept(tool: str, tmp_path: Path) -> None:
    first = Authority(tmp_path)
    leaf = first.issue("one.test")
    again = Authority(tmp_path)
    assert handshake(again, leaf, "one.test") == ""
    assert leaf.certificate.name == "one.test.pem"


def test_keys_are_private(tool: str, tmp_path: Path) -> None:
    leaf = Authority(tmp_path).issue("*.test")
    assert leaf.key.name == "_.test.key"
    for key in (leaf.key, tmp_path / "authority.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_expired(tool: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert handshake(authority, authority.issue("old.test", valid_s=-86_400.0), "old.test") == "certificate_expired"


def test_for_a_client(tool: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf, shown = authority.issue("a.test"), authority.issue("user", client=True)
    server = ServerTLS(context=server_context(leaf.certificate, leaf.key, client_ca=authority.certificate)).pump()
    context = client_context(ca=authority.certificate, certificate=shown.certificate, key=shown.key)
    assert shake(ClientTLS(context=context).pump("a.test"), server) == (None, None)


def test_neither_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CertificateToolMissing, match="install the package cryptography"):
        Authority(tmp_path)
