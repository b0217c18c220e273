"""A client and worker that know docs/protocol.md alone: a socket, an HMAC, msgpack, and nothing of qm."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import socket
import ssl
import struct
from typing import Any

import msgpack


class Refused(Exception):
    """The manager does not know the key, or does not prove that it does."""


class Fault(Exception):
    """The answer was an error."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def frame(body: bytes) -> bytes:
    """Frames."""
    return struct.pack("!I", len(body)) + body


def proof(key: bytes, side: bytes, server: bytes, client: bytes, certificate: bytes = b"") -> bytes:
    """Handshake; `certificate` is T."""
    return hmac.new(key, b"qm1 " + side + b"\0" + server + client + certificate, hashlib.sha256).digest()


def request(rid: int, target: str, verb: str, *arguments: Any) -> bytes:
    """Calls."""
    return frame(msgpack.packb([rid, target, verb, msgpack.packb(list(arguments))]))


def digest(type_: str, packed: bytes) -> bytes:
    """Payloads."""
    return hashlib.blake2b(packed, digest_size=16, key=type_.encode()[:64]).digest()


def new_task(id_: str, type_: str, value: Any, **more: Any) -> dict[str, Any]:
    """A NewTask."""
    packed = msgpack.packb(value)
    return {"id": id_, "type": type_, "input": packed, "digest": digest(type_, packed), **more}


def secure(sock: socket.socket, fingerprint: str) -> tuple[socket.socket, bytes]:
    """TLS: the socket within, and T."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint says more
    inner = context.wrap_socket(sock)
    certificate = hashlib.sha256(inner.getpeercert(binary_form=True) or b"").digest()
    if f"sha256:{certificate.hex()}" != fingerprint:
        inner.close()
        raise Refused("another certificate")
    return inner, certificate


class Connection:
    """One connection, from the handshake on; over TLS where a fingerprint is given."""

    def __init__(self, host: str, port: int, key: bytes, fingerprint: str | None = None) -> None:
        self.sock = socket.create_connection((host, port), timeout=40)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._numbers = itertools.count(1)
        certificate = b""
        if fingerprint is not None:
            self.sock, certificate = secure(self.sock, fingerprint)
        try:
            self._introduce(key, certificate)
        except BaseException:
            self.sock.close()
            raise

    def call(self, target: str, verb: str, *arguments: Any) -> Any:
        """Sends one call and gives its answer. Raises `Fault`."""
        return self.answer(self.send(target, verb, *arguments))

    def send(self, target: str, verb: str, *arguments: Any) -> int:
        """Sends one call and gives its number."""
        rid = next(self._numbers)
        self.sock.sendall(request(rid, target, verb, *arguments))
        return rid

    def answer(self, rid: int) -> Any:
        """The next answer, which has to be that of the call `rid`. Raises `Fault`."""
        number, ok, body = msgpack.unpackb(self._frame())[:3]
        assert number == rid, "answers come in order"
        said = msgpack.unpackb(body)
        if not ok:
            raise Fault(*said[:3])
        return said

    def close(self) -> None:
        """Hangs up."""
        self.sock.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _introduce(self, key: bytes, certificate: bytes) -> None:
        hello = self._frame()
        if len(hello) != 35 or not hello.startswith(b"qm1"):
            raise Refused("another protocol")
        server, client = hello[3:], os.urandom(32)
        self.sock.sendall(frame(client + proof(key, b"client", server, client, certificate)))
        try:
            theirs = self._frame()
        except EOFError:
            raise Refused("a wrong key") from None
        if not hmac.compare_digest(theirs, proof(key, b"server", server, client, certificate)):
            raise Refused("not our manager")

    def _frame(self) -> bytes:
        (size,) = struct.unpack("!I", self._exactly(4))
        assert size <= 4_194_304
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            some = self.sock.recv(size - len(found))
            if not some:
                raise EOFError
            found += some
        return found
