"""TLS 1.3 over a socket, with the socket's own methods, for one thread that reads and one that writes.

OpenSSL's objects must not be used by two threads at once, and Python's SSLSocket uses them while it waits.
Here OpenSSL works on memory alone, under a lock that nobody holds while the network is waited for:

    recv      network ─► bytes ─► (lock: decrypt) ─► data
    sendall   data ─► (lock: encrypt) ─► bytes ─► network, one frame after the other

What OpenSSL has to answer to the peer's own TLS messages after the handshake goes out with the next frame, as
the standard allows. An end without a farewell is an end: frames say themselves whether they are whole.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from typing import Final, overload

from qm.wire.forks import openssl
from qm.wire.frames import Stream, WireError

#: A record and its frame: more is not decrypted in one step, and less memory stays with an idle connection.
_RECORD: Final = 16384
_CHUNK: Final = _RECORD + 512

#: How the first record that a peer sends can begin: with an alert, or a handshake.
_RECORD_TYPES: Final = (0x15, 0x16)


class TLSError(WireError):
    """TLS did not come about, or broke. `cause` is OpenSSL's own error, where there is one."""

    def __init__(self, text: str, cause: ssl.SSLError | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class NotTLS(TLSError):
    """The peer speaks something else. OpenSSL's own words for this change from version to version."""


class _Session:
    """OpenSSL's state of one connection."""

    __slots__ = ("_incoming", "_lock", "_outgoing", "_tls", "writing")

    def __init__(self, context: ssl.SSLContext, host: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.protocol == ssl.PROTOCOL_TLS_SERVER
        with openssl:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server, host)
        #: Guards all of OpenSSL's objects; held while it computes.
        self._lock = threading.Lock()
        #: Held while a frame is encrypted and goes out, so that records arrive in their order.
        self.writing = threading.Lock()

    def shake(self, received: bytes) -> tuple[bool, bytes, ssl.SSLError | None]:
        """Goes on with the handshake: whether it is done, what to send, and why it failed."""
        with self._lock, openssl:
            self._incoming.write(received)
            done, failure = False, None
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                failure = error
            return done, self._outgoing.read(), failure

    def open(self, received: bytes, size: int) -> bytes | None:
        """Decrypts; b"" where the peer said farewell, None where more must be received first."""
        with self._lock, openssl:
            if received:
                self._incoming.write(received)
            elif not (self._tls.pending() or self._incoming.pending):
                return None  # cheaper than to let OpenSSL find out
            try:
                return self._tls.read(min(size, _RECORD))
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise TLSError(f"TLS: {reason(error)}", error) from None

    def seal(self, data: bytes) -> bytes:
        """Encrypts."""
        with self._lock, openssl:
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[self._tls.write(rest) :]
            except ssl.SSLError as error:
                raise TLSError(f"TLS: {reason(error)}", error) from None
            return self._outgoing.read()

    def certificate(self) -> bytes:
        """The peer's certificate (DER)."""
        with self._lock, openssl:
            return self._tls.getpeercert(binary_form=True) or b""


class TLSSocket:
    """A `qm.wire.frames.Stream`: one end of a TLS connection."""

    __slots__ = ("_session", "_sock")

    def __init__(self, sock: Stream, context: ssl.SSLContext, host: str | None = None) -> None:
        """Over `sock`, a connected one, which belongs to it from now on. `host`: whom a client wants."""
        self._sock = sock
        self._session = _Session(context, host)

    def shake(self, deadline: float, received: bytes = b"") -> None:
        """The handshake, both sides. `received`: what has come of it already.

        Raises `TLSError`, TimeoutError at the deadline, EOFError where the peer hangs up, OSError.
        """
        begun = False
        while True:
            if received and not begun:
                begun = True
                if received[0] not in _RECORD_TYPES:
                    raise NotTLS("it speaks no TLS")
            done, out, failure = self._session.shake(received)
            if failure is not None:
                with contextlib.suppress(OSError):  # the alert that tells the peer why
                    self._sock.sendall(out)
                raise TLSError(reason(failure), failure) from None
            self._set_deadline(deadline)
            if out:
                self._sock.sendall(out)
            if done:
                return
            received = self._sock.recv(_CHUNK)
            if not received:
                raise EOFError("closed in the middle of the TLS handshake")

    def certificate(self) -> bytes:
        """The peer's certificate (DER), after the handshake."""
        return self._session.certificate()

    def recv(self, size: int, /) -> bytes:
        """As a socket's, also in that the timeout is for the whole of it."""
        data = self._session.open(b"", size)  # of what came with the last one
        if data is not None:
            return data
        timeout = self._sock.gettimeout()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while data is None:
                chunk = self._sock.recv(_CHUNK)
                if not chunk:
                    return b""
                data = self._session.open(chunk, size)
                if data is None and deadline is not None:  # half a record, or one without data
                    self._set_deadline(deadline)
        finally:
            if timeout is not None and self._sock.gettimeout() != timeout:
                self._sock.settimeout(timeout)
        return data

    def sendall(self, data: bytes, /) -> None:
        """As a socket's."""
        with self._session.writing:
            self._sock.sendall(self._session.seal(data))

    def gettimeout(self) -> float | None:
        """As a socket's."""
        return self._sock.gettimeout()

    def settimeout(self, seconds: float | None, /) -> None:
        """As a socket's."""
        self._sock.settimeout(seconds)

    @overload
    def getsockopt(self, level: int, name: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...
    def getsockopt(self, level: int, name: int, size: int = 0, /) -> int | bytes:
        """As a socket's."""
        return self._sock.getsockopt(level, name, size)

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None:
        """As a socket's."""
        self._sock.setsockopt(level, name, value)

    def fileno(self) -> int:
        """The socket's. It tells that the peer is gone, not that there is data: some may be here already."""
        return self._sock.fileno()

    def dup(self) -> TLSSocket:
        """The same connection with a timeout of its own: one reads, the other writes."""
        other = TLSSocket.__new__(TLSSocket)
        other._sock, other._session = self._sock.dup(), self._session
        return other

    def shutdown(self, how: int, /) -> None:
        """As a socket's."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """As a socket's."""
        self._sock.close()

    def _set_deadline(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)


def first_bytes(sock: Stream, seconds: float) -> bytes:
    """What the peer says first; b"" where it says nothing for so long. Raises EOFError, OSError."""
    sock.settimeout(seconds)
    try:
        received = sock.recv(_CHUNK)
    except TimeoutError as error:
        if error.errno is not None:  # the kernel gave the peer up
            raise
        return b""
    if not received:
        raise EOFError("closed by the peer")
    return received


def reason(error: ssl.SSLError) -> str:
    """OpenSSL's error in words, without its file names."""
    return (error.reason or str(error)).replace("_", " ").lower()
