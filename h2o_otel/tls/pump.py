"""The TLS record pump: ciphertext in, plaintext out and back, over ``SSLObject`` and ``MemoryBIO``.

It owns no socket, reads no clock and never waits, so it is the same on every event loop.  It
checks after the handshake what OpenSSL leaves to its caller, and counts what it does.
"""

from __future__ import annotations

import ssl
from typing import Any

from .. import _mem, counters
from ..counters import Counters
from ..errors import ConnectError, ReadError, WriteError
from ..escape import escaped

__all__ = ["TLSHandshakeError", "TLSPump"]

_RECORDS = counters.slot("tls_records")
_PAYLOAD = counters.slot("tls_payload")
_SEND = counters.SEND
_RECV = counters.RECV
_HANDSHAKE_ACTIVE = counters.slot("tls_handshake_active")
_COPIED_TLS = counters.slot("buffer_copied") + counters.COPY_REASONS.index("tls")
# RFC 8446 section 5.1: what one record carries at most.
# A protocol of a peer, as shown.
_ALPN_SHOWN = 32
_RECORD_BYTES_MAX = 16_384
_RECORD_HEADER_BYTES = 5
# What the end of a handshake takes at most as a rule; only what comes with more counts as useless.
_HANDSHAKE_RECORDS = 8
# Much is encrypted in pieces of this size: a MemoryBIO keeps for the connection's life the largest
# block that it ever held.
_PIECE_BYTES = 4 * _RECORD_BYTES_MAX

# What OpenSSL calls a failure -> the closed list of ``error.type`` values, which are those of gRFC A118.
_REASONS = (
    ("certificate_revoked", ("certificate revoked", "certificate_revoked")),
    ("certificate_expired", ("certificate has expired", "certificate_expired", "crl has expired")),
    ("certificate_not_yet_valid", ("not yet valid",)),
    ("certificate_hostname_mismatch", ("hostname mismatch", "ip address mismatch", "doesn't match", "not valid for")),
    (
        "certificate_authority_invalid",
        ("self-signed", "self signed", "unable to get", "unknown_ca", "unknown ca", "invalid ca", "unknownissuer"),
    ),
    ("certificate_malformed", ("bad_certificate", "bad certificate", "asn1", "badencoding")),
    ("cipher_suite_mismatch", ("no_shared_cipher", "no shared cipher", "handshake_failure", "handshake failure", "no_ciphers_available")),
    (
        "protocol_version_unsupported",
        ("protocol_version", "unsupported_protocol", "wrong_version_number", "protocol version", "version_too_low"),
    ),
    ("inappropriate_fallback", ("inappropriate_fallback",)),
    ("no_application_protocol", ("no_application_protocol",)),
    ("signature_verification_failed", ("bad_signature", "signature")),
    ("decryption_failed", ("decrypt", "bad_record_mac", "bad record mac")),
    ("key_exchange_failure", ("key_share", "dh_key_too_small", "ee_key_too_small", "bad_ecpoint", "wrong_curve")),
    ("unexpected_message", ("unexpected_message", "http_request", "unexpected message", "length_mismatch", "packet_length")),
    ("peer_connection_closed", ("eof occurred", "unexpected_eof", "peer_connection_closed")),
    ("certificate_verification_failed", ("certificate_verify_failed", "certificate", "key too small", "key too weak")),
)


class TLSHandshakeError(ConnectError):
    """No TLS connection was agreed on.

    Attributes:
        reason: one of a closed list, such as ``certificate_expired``; ``error.type`` in telemetry.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def _reason_of(error: BaseException) -> str:
    text = f"{getattr(error, 'reason', '') or ''} {getattr(error, 'verify_message', '') or ''} {error}".lower()
    for reason, marks in _REASONS:
        if any(mark in text for mark in marks):
            return reason
    return "unknown_failure"


class TLSPump:
    """One TLS connection.

    Args:
        context: an ``SSLContext`` of ``ssl_module`` (see ``tls.context``).
        server_side: which end this is.
        server_hostname: a client's name of its peer, for SNI and verification.
        alpn_required: protocols of which one must have been agreed on; empty for any outcome.
        session: a session of an earlier connection to the same host with the same context.
        ssl_module: ``ssl``, or a module with the same interface.
        block: counters to add to; the calling thread's by default.

    Attributes:
        alpn: the protocol agreed on, None for none.
        version, cipher: of the connection, such as ``"1.3"`` and ``"TLS_AES_256_GCM_SHA384"``; empty before.
        session_reused: the handshake was a resumption.
        complete: the handshake is done.
        close_notify_received: the peer ended the connection in order.
        duration_s: of the handshake.
    """

    def __init__(
        self,
        context: Any,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        alpn_required: tuple[str, ...] = (),
        session: Any = None,
        ssl_module: Any = ssl,
        block: Counters | None = None,
    ) -> None:
        block = counters.local() if block is None else block
        self.counters = block
        self._slots = self.counters.slots
        self.role = counters.SERVER if server_side else counters.CLIENT
        self._alpn_required = alpn_required
        self._incoming = ssl_module.MemoryBIO()
        self._outgoing = ssl_module.MemoryBIO()
        self._want_read = ssl_module.SSLWantReadError
        self._error = ssl_module.SSLError
        arguments = {} if session is None else {"session": session}
        self.ssl_object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=None if server_side else server_hostname, **arguments
        )
        self._server_hostname = server_hostname
        # Two calls a record: not through the stdlib's wrapper, where that is what it is.
        records = self.ssl_object
        if type(records) is ssl.SSLObject:
            records = getattr(records, "_sslobj", records)
        self._read = records.read
        self._write = records.write
        self._pending = records.pending
        self._ready: list[bytes] = []
        # Records by their headers, against those that gave plaintext.
        self._head = 0
        self._head_have = 0
        self._record_left = 0
        self._fed = 0
        self._gave = 0
        self.alpn: str | None = None
        self.version = ""
        self.cipher = ""
        self.session_reused = False
        self.complete = False
        self.close_notify_received = False
        self.duration_s = 0.0
        self._started_at = -1.0
        self._counted = False
        self._closed = False

    # -- handshake

    def start(self, now: float) -> None:
        """The transport is connected: the handshake's time runs from here."""
        self._started_at = now
        self._counted = True
        self._slots[_HANDSHAKE_ACTIVE + self.role] += 1

    def handshake(self, now: float) -> bool:
        """Take the handshake as far as it goes; ``output()`` is to be sent after it, whatever the outcome.

        Returns:
            It is complete.

        Raises:
            TLSHandshakeError: it failed, or nothing of ``alpn_required`` was agreed on.
        """
        if self.complete:
            return True
        try:
            self.ssl_object.do_handshake()
            # OpenSSL takes what the peer says, also what was not offered and what is no text (a ValueError).
            self.alpn = self.ssl_object.selected_alpn_protocol()
        except self._want_read:
            return False
        except (self._error, OSError, ValueError) as error:
            raise self._failure(now, f"TLS handshake{self._with_peer()} failed: {error}", _reason_of(error)) from error
        self.version = (self.ssl_object.version() or "").removeprefix("TLSv")
        self.cipher = (self.ssl_object.cipher() or ("",))[0]
        self.session_reused = bool(getattr(self.ssl_object, "session_reused", False))
        if self._alpn_required and self.alpn not in self._alpn_required:
            wanted = " or ".join(self._alpn_required)
            text = f"TLS handshake{self._with_peer()}: ALPN agreed on {escaped(self.alpn or 'nothing')}, {wanted} is required"
            raise self._failure(now, text, "no_application_protocol")
        self.complete = True
        # Some of the records that came with the handshake's last one may be behind it.
        self._fed = max(0, self._fed - _HANDSHAKE_RECORDS)
        self._gave = 0
        self._settle(now, "")
        return True

    def timed_out(self, now: float, limit_s: float) -> TLSHandshakeError:
        """The error of a handshake that took too long, counted."""
        return self._failure(now, f"TLS handshake{self._with_peer()} not complete after {limit_s} s", "handshake_timeout")

    def peer_closed(self, now: float) -> TLSHandshakeError:
        """The error of a peer that went away during the handshake, counted."""
        return self._failure(now, f"TLS handshake{self._with_peer()}: the peer closed the connection", "peer_connection_closed")

    def lost(self, now: float) -> None:
        """The transport is gone; a handshake under way has failed."""
        self._settle(now, "peer_connection_closed")

    def _failure(self, now: float, text: str, reason: str) -> TLSHandshakeError:
        self._settle(now, reason)
        return TLSHandshakeError(text, reason)

    def _settle(self, now: float, reason: str) -> None:
        """Count the end of the handshake, once."""
        if not self._counted:
            return
        self._counted = False
        self._slots[_HANDSHAKE_ACTIVE + self.role] -= 1
        self.duration_s = now - self._started_at
        role = counters.ROLES[self.role]
        resumed = counters.BOOLEANS[self.session_reused]
        self.counters.count("tls_handshakes", (role, resumed, self.version, reason))
        if not reason:
            self.counters.labelled_histogram("tls_handshake_duration", (role, resumed, self.version)).record(self.duration_s)
            self.counters.count("tls_alpn", (role, escaped(self.alpn or "none", _ALPN_SHOWN)))

    def _with_peer(self) -> str:
        return f" with {self._server_hostname}" if self._server_hostname else ""

    # -- records

    def feed(self, data: memoryview) -> None:
        """Ciphertext from the peer."""
        self._incoming.write(data)

    def count(self, buf: bytes, end: int) -> None:
        """Count the records that are complete with the ciphertext ``buf[:end]``, which is also fed."""
        if not self.complete:
            self._fed = 0
        pos = 0
        left = self._record_left
        while True:
            if left:
                if left > end - pos:
                    self._record_left = left - (end - pos)
                    return
                pos += left
                left = 0
                self._fed += 1
            while self._head_have < _RECORD_HEADER_BYTES and pos < end:
                # Type, version and length (RFC 8446 section 5.1); the length is what is left in the end.
                self._head = (self._head << 8 | _mem.u8(buf, pos, end)) & 0xFFFF
                self._head_have += 1
                pos += 1
            if self._head_have < _RECORD_HEADER_BYTES:
                self._record_left = 0
                return
            self._head_have = 0
            left = self._head

    def barren(self) -> int:
        """Records since the last call that gave no plaintext (empty ones, key updates, tickets), once ``read_into`` has returned 0."""
        n = self._fed - self._gave
        self._fed = self._gave = 0
        return n if n > 0 else 0

    def read_into(self, view: memoryview, start: int, end: int) -> int:
        """Decrypt one record, or what of it has room, to ``view[start:end]``.

        Returns:
            Octets put there; 0 when more ciphertext is needed, -1 when the peer ended the connection in order.

        Raises:
            ReadError: the records are broken; nothing more can be read.
        """
        # Asking OpenSSL when it has nothing costs an exception, so look first.
        if not self._incoming.pending and not self._pending():
            return 0
        try:
            n = int(self._read(end - start, view[start:end]))
        except self._want_read:
            return 0
        except (self._error, OSError) as error:
            raise ReadError(f"TLS: {error}") from error
        if n == 0:
            self.close_notify_received = True
            return -1
        self._gave += 1
        self._slots[_RECORDS + _RECV] += 1
        self._slots[_PAYLOAD + _RECV] += n
        return n

    def write(self, chunks: list[bytes | memoryview]) -> None:
        """Encrypt ``chunks``, joined so that all records but the last are full.

        Raises:
            WriteError: the connection takes no more.
        """
        size = 0
        for chunk in chunks:
            size += len(chunk)
        try:
            if size > _PIECE_BYTES:
                self._write_pieces(chunks)
            else:
                self._encrypt(chunks)
        except (self._error, OSError) as error:
            raise WriteError(f"TLS: {error}") from error
        self._slots[_RECORDS + _SEND] += (size + _RECORD_BYTES_MAX - 1) // _RECORD_BYTES_MAX
        self._slots[_PAYLOAD + _SEND] += size

    def _write_pieces(self, chunks: list[bytes | memoryview]) -> None:
        """Encrypt piece by piece, wherever the borders of the chunks are."""
        piece: list[bytes | memoryview] = []
        room = _PIECE_BYTES
        for chunk in chunks:
            start = 0
            left = len(chunk)
            while left >= room:
                piece.append(memoryview(chunk)[start : start + room])
                self._encrypt(piece)
                self._ready.append(self._outgoing.read())
                start += room
                left -= room
                piece = []
                room = _PIECE_BYTES
            if left:
                piece.append(memoryview(chunk)[start:] if start else chunk)
                room -= left
        if piece:
            self._encrypt(piece)

    def _encrypt(self, chunks: list[bytes | memoryview]) -> None:
        data = chunks[0]
        if len(chunks) > 1:
            data = b"".join(chunks)
            self._slots[_COPIED_TLS] += len(data)
        size = len(data)
        sent = int(self._write(data))
        while sent < size:
            sent += int(self._write(memoryview(data)[sent:]))

    def output(self) -> list[bytes]:
        """Take the ciphertext for the peer, in order; empty when there is none."""
        ready = self._ready
        self._ready = []
        if self._outgoing.pending:
            ready.append(self._outgoing.read())
        return ready

    def close(self) -> None:
        """Say close_notify, unless the handshake never came to that or it was said."""
        if self._closed or not self.complete:
            return
        self._closed = True
        try:
            self.ssl_object.unwrap()
        except (self._error, OSError, ValueError):
            # The peer's own close_notify is not waited for: HTTP/2 says when a body is complete.
            return

    # -- what was agreed on

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER, None when it showed none."""
        found: bytes | None = self.ssl_object.getpeercert(True)
        return found

    @property
    def session(self) -> Any:
        """For a later connection to the same host with the same context; with TLS 1.3 there is one once the peer has sent a ticket."""
        return getattr(self.ssl_object, "session", None)

    @property
    def server_hostname(self) -> str | None:
        """A client's name of its peer."""
        return self._server_hostname
