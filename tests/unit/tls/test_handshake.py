"""What a handshake must refuse, and what each refusal is called (RFC 9113 section 9.2)."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.counters import Counters
from h2o_otel.errors import ConnectError
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from h2o_otel.tls.pump import TLSHandshakeError, TLSPump
from tests.support.judged import requirement
from tests.support.tls import DAY, Issuer, carry, read_all, rsa_key, shake

NAME = "server.test"


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def ends(issuer: Issuer, leaf: Any = None, *, name: str = NAME, block: Counters | None = None, **client: Any) -> tuple[TLSPump, TLSPump]:
    """A client that trusts ``issuer`` and a server that shows ``leaf``."""
    leaf = issuer.leaf(NAME) if leaf is None else leaf
    required = client.pop("alpn_required", ())
    client.setdefault("ca", issuer.file)
    server = ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump(block=block)
    return ClientTLS(context=client_context(**client), alpn_required=required).pump(name, block=block), server


def refusal(client: TLSPump, server: TLSPump) -> TLSHandshakeError:
    """Why the client refused; the server learned of it too."""
    at_client, at_server = shake(client, server)
    assert at_client is not None
    assert isinstance(at_client, ConnectError)
    assert at_server is not None
    assert not client.complete
    return at_client


@requirement("9113-3.2-1")
def test_agreement(issuer: Issuer) -> None:
    block = Counters()
    client, server = ends(issuer, block=block)
    assert shake(client, server, 5.0) == (None, None)
    for pump in (client, server):
        assert (pump.alpn, pump.version, pump.complete, pump.session_reused) == ("h2", "1.3", True, False)
        assert pump.cipher.startswith("TLS_")
    assert client.server_hostname == NAME
    assert client.peer_certificate == ssl.PEM_cert_to_DER_cert((issuer.folder / "leaf.pem").read_text())
    counted = block.read_labelled()
    assert counted["tls_handshakes"] == {("client", "false", "1.3", ""): 1, ("server", "false", "1.3", ""): 1}
    assert counted["tls_alpn"] == {("client", "h2"): 1, ("server", "h2"): 1}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"starts": -2 * DAY, "ends": -DAY}, "certificate_expired"),
        ({"starts": DAY, "ends": 2 * DAY}, "certificate_not_yet_valid"),
        ({"client": True}, "certificate_verification_failed"),
        ({"key": rsa_key(1024)}, "certificate_verification_failed"),
    ],
    ids=["expired", "not_yet_valid", "client_key_usage", "rsa_1024"],
)
def test_bad_leaf_is_refused(issuer: Issuer, options: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "key" in options:
        # A server with our own context would not load such a key in the first place.
        leaf = issuer.leaf(NAME, **options)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(leaf.certificate, leaf.key)
        server = ServerTLS(context=context).pump()
        client = ClientTLS(context=client_context(ca=issuer.file)).pump(NAME)
    else:
        client, server = ends(issuer, issuer.leaf(NAME, **options))
    assert refusal(client, server).reason == reason


def test_weak_key_is_not_loaded(issuer: Issuer) -> None:
    leaf = issuer.leaf(NAME, key=rsa_key(1024))
    with pytest.raises(ssl.SSLError, match=str(leaf.certificate)):
        server_context(leaf.certificate, leaf.key)


@pytest.mark.parametrize("name", ["other.test", "sub.server.test", "192.0.2.1"])
def test_wrong_host_is_refused(issuer: Issuer, name: str) -> None:
    error = refusal(*ends(issuer, name=name))
    assert error.reason == "certificate_hostname_mismatch"
    assert f"TLS handshake with {name} failed" in str(error)


def test_common_name_is_no_name(issuer: Issuer) -> None:
    assert refusal(*ends(issuer, issuer.leaf(subject=NAME))).reason == "certificate_hostname_mismatch"


def test_trailing_dot_is_not_part_of_the_name(issuer: Issuer) -> None:
    assert shake(*ends(issuer, name=NAME + ".")) == (None, None)


def test_unknown_authority_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Issuer(tmp_path / "other", "other authority")
    error = refusal(*ends(issuer, ca=other.file))
    assert error.reason == "certificate_authority_invalid"


def test_self_signed_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    own = Issuer(tmp_path / "own", NAME, ca=False)
    leaf = own.leaf(NAME, key=own.key, subject=NAME)
    assert refusal(*ends(issuer, leaf)).reason == "certificate_authority_invalid"


def test_missing_intermediate_is_refused_and_present_is_taken(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "middle").mkdir()
    middle = Issuer(tmp_path / "middle", "middle", parent=issuer)
    assert refusal(*ends(issuer, middle.leaf(NAME))).reason == "certificate_authority_invalid"
    assert shake(*ends(issuer, middle.leaf(NAME, chain=True))) == (None, None)


def test_leaf_used_as_authority_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "leaf").mkdir()
    leaf = Issuer(tmp_path / "leaf", "a leaf", parent=issuer, ca=False)
    error = refusal(*ends(issuer, leaf.leaf(NAME, chain=True)))
    assert error.reason in ("certificate_authority_invalid", "certificate_verification_failed")


def test_revoked_is_refused(issuer: Issuer) -> None:
    good, bad = issuer.leaf(NAME, file="good"), issuer.leaf(NAME, file="bad")
    crl = issuer.revocations(bad)
    assert shake(*ends(issuer, good, crl=crl)) == (None, None)
    assert refusal(*ends(issuer, bad, crl=crl)).reason == "certificate_revoked"


def old_server(issuer: Issuer, *, ciphers: str = "DEFAULT:@SECLEVEL=0", highest: Any = ssl.TLSVersion.TLSv1_2, key: Any = None) -> TLSPump:
    leaf = issuer.leaf(NAME, key=key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = highest
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(leaf.certificate, leaf.key)
    return ServerTLS(context=context).pump()


@requirement("9113-9.2-1")
def test_tls_1_1_is_refused(issuer: Issuer) -> None:
    client = ClientTLS(context=client_context(ca=issuer.file)).pump(NAME)
    error = refusal(client, old_server(issuer, highest=ssl.TLSVersion.TLSv1_1))
    assert error.reason == "protocol_version_unsupported"


@requirement("9113-9.2-1")
def test_client_with_tls_1_1_is_refused(issuer: Issuer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_verify_locations(issuer.file)
    _, server = ends(issuer)
    at_client, at_server = shake(ClientTLS(context=context).pump(NAME), server)
    assert at_client is not None
    assert at_server is not None
    assert at_server.reason == "protocol_version_unsupported"


@requirement("9113-9.2.2-1")
@pytest.mark.parametrize("ciphers", ["ECDHE+AES+SHA256:@SECLEVEL=0", "AES256-GCM-SHA384:@SECLEVEL=0"], ids=["cbc", "static_rsa"])
def test_old_suites_are_refused(issuer: Issuer, ciphers: str) -> None:
    client = ClientTLS(context=client_context(ca=issuer.file)).pump(NAME)
    error = refusal(client, old_server(issuer, ciphers=ciphers, key=rsa_key(2048)))
    assert error.reason == "cipher_suite_mismatch"


def test_tls_1_2_with_a_good_suite(issuer: Issuer) -> None:
    client = ClientTLS(context=client_context(ca=issuer.file)).pump(NAME)
    assert shake(client, old_server(issuer, ciphers="ECDHE+AESGCM")) == (None, None)
    assert client.version == "1.2"
    assert "GCM" in client.cipher


@pytest.mark.parametrize("offered", [(), ("http/1.1",), ("spdy/3",)])
def test_no_agreement_on_h2_is_refused_when_required(issuer: Issuer, offered: tuple[str, ...]) -> None:
    leaf = issuer.leaf(NAME)
    server = ServerTLS(context=server_context(leaf.certificate, leaf.key, alpn=offered)).pump()
    client = ClientTLS(context=client_context(ca=issuer.file), alpn_required=("h2",)).pump(NAME)
    at_client, _ = shake(client, server)
    assert at_client is not None
    assert at_client.reason == "no_application_protocol"
    assert f"ALPN agreed on {'http/1.1' if 'http/1.1' in offered else 'nothing'}, h2 is required" in str(at_client)


def test_server_may_require_h2(issuer: Issuer) -> None:
    leaf = issuer.leaf(NAME)
    server = ServerTLS(context=server_context(leaf.certificate, leaf.key), alpn_required=("h2",)).pump()
    client = ClientTLS(context=client_context(ca=issuer.file, alpn=())).pump(NAME)
    _, at_server = shake(client, server)
    assert at_server is not None
    assert at_server.reason == "no_application_protocol"


def test_http_1_1_is_an_outcome(issuer: Issuer) -> None:
    client, server = ends(issuer, alpn=("http/1.1",))
    assert shake(client, server) == (None, None)
    assert client.alpn == server.alpn == "http/1.1"


# -- certificates of clients


def mutual(issuer: Issuer, *, required: bool = True, **client: Any) -> tuple[TLSPump, TLSPump]:
    leaf = issuer.leaf(NAME, file="server")
    context = server_context(leaf.certificate, leaf.key, client_ca=issuer.file, client_certificate_required=required)
    return ClientTLS(context=client_context(ca=issuer.file, **client)).pump(NAME), ServerTLS(context=context).pump()


def test_client_shows_its_certificate(issuer: Issuer) -> None:
    shown = issuer.leaf("user", client=True, file="client")
    client, server = mutual(issuer, certificate=shown.certificate, key=shown.key)
    assert shake(client, server) == (None, None)
    assert server.peer_certificate == ssl.PEM_cert_to_DER_cert(shown.certificate.read_text())


def test_client_without_certificate_is_refused(issuer: Issuer) -> None:
    client, server = mutual(issuer)
    _, at_server = shake(client, server)
    assert at_server is not None
    assert at_server.reason.startswith("certificate_")


def test_client_without_certificate_is_taken_when_it_is_optional(issuer: Issuer) -> None:
    client, server = mutual(issuer, required=False)
    assert shake(client, server) == (None, None)
    assert server.peer_certificate is None


def test_client_with_a_server_certificate_is_refused(issuer: Issuer) -> None:
    shown = issuer.leaf("user", file="client")
    _, at_server = shake(*mutual(issuer, certificate=shown.certificate, key=shown.key))
    assert at_server is not None
    assert at_server.reason == "certificate_verification_failed"


# -- sessions


def test_session_is_resumed(issuer: Issuer) -> None:
    leaf = issuer.leaf(NAME)
    server_tls = ServerTLS(context=server_context(leaf.certificate, leaf.key))
    client_tls = ClientTLS(context=client_context(ca=issuer.file))
    client, server = client_tls.pump(NAME), server_tls.pump()
    shake(client, server)
    carry(server, client)
    assert read_all(client) == (b"", 0)
    block = Counters()
    again, other = client_tls.pump(NAME, session=client.session, block=block), server_tls.pump()
    assert shake(again, other) == (None, None)
    assert again.session_reused
    assert other.session_reused
    assert block.read_labelled()["tls_handshakes"] == {("client", "true", "1.3", ""): 1}


# -- time and loss


def test_timeout_and_loss_are_counted_once(issuer: Issuer) -> None:
    block = Counters()
    client, _ = ends(issuer, block=block)
    client.start(1.0)
    assert not client.handshake(1.0)
    assert client.timed_out(11.0, 10.0).reason == "handshake_timeout"
    client.lost(12.0)
    assert block.read_labelled()["tls_handshakes"] == {("client", "false", "", "handshake_timeout"): 1}
    gone, _ = ends(issuer, block=block)
    gone.start(1.0)
    assert gone.peer_closed(2.0).reason == "peer_connection_closed"
    assert gone.duration_s == 1.0


def test_garbage_is_a_refusal(issuer: Issuer) -> None:
    for octets in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(100)):
        client, server = ends(issuer)
        for pump in (client, server):
            pump.start(0.0)
            pump.feed(memoryview(octets))
            pump.feed(memoryview(bytes(70_000)))
            with pytest.raises(TLSHandshakeError):
                pump.handshake(0.0)
