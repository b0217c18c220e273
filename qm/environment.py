"""What the QM_* variables say, and what holds without them. A program's own flag goes before both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from qm.errors import BadRequest

#: The original's ports.
RPC_PORT: Final = 8090
HTTP_PORT: Final = 8080


def home() -> Path:
    """The folder of the key and the store: QM_HOME, else ~/.qmanager. Raises `BadRequest` where there is
    neither: a container's user may have no home."""
    if given := os.environ.get("QM_HOME"):
        return Path(given)
    try:
        return Path.home() / ".qmanager"
    except RuntimeError:
        raise BadRequest("this user has no home folder", hint="name a folder by QM_HOME") from None


def rpc() -> str:
    """Where the manager listens, or for clients and workers several of them: QM_RPC, else this machine."""
    return os.environ.get("QM_RPC") or f"127.0.0.1:{RPC_PORT}"


def http() -> str:
    """Where the page is: QM_HTTP, else this machine."""
    return os.environ.get("QM_HTTP") or f"127.0.0.1:{HTTP_PORT}"


def store() -> str:
    """Which store: QM_STORE, else an SQLite file in the home folder."""
    return os.environ.get("QM_STORE") or f"sqlite:{home() / 'queue.db'}"


def authkey_file() -> Path:
    """The key's file: QM_AUTHKEY_FILE, else in the home folder."""
    return Path(os.environ.get("QM_AUTHKEY_FILE") or home() / "authkey")


def tls_on() -> bool:
    """Whether the manager speaks TLS: QM_TLS, on or off, else off. Raises `BadRequest` for another word."""
    word = os.environ.get("QM_TLS") or "off"
    if word not in ("on", "off"):
        raise BadRequest(f"QM_TLS is on or off, not {word[:80]!r}")
    return word == "on"


def tls_certificate() -> Path:
    """The manager's certificate: in the home folder, where `qmanager tls init` writes it."""
    return home() / "tls.crt"


def tls_key() -> Path:
    """The private key of the certificate, beside it."""
    return home() / "tls.key"


def tls() -> str:
    """How a client knows the manager, as `qm.wire.trust` reads it: QM_TLS_FINGERPRINT or QM_TLS_CA; else, if
    QM_TLS is on, by the certificate in the home folder; else "", without TLS. Raises `BadRequest`."""
    fingerprint, ca = os.environ.get("QM_TLS_FINGERPRINT"), os.environ.get("QM_TLS_CA")
    if fingerprint and ca:
        raise BadRequest("QM_TLS_FINGERPRINT and QM_TLS_CA: only one of them can say how to know the manager")
    if fingerprint:
        return fingerprint
    if ca:
        return f"ca:{ca}"
    return f"pin:{tls_certificate()}" if tls_on() else ""


def durability() -> str:
    """Which durability: QM_DURABILITY, else full."""
    return os.environ.get("QM_DURABILITY") or "full"


def hosts() -> str:
    """Names in the Host header that are the page's, by commas: QM_HOSTS, else none beside its own."""
    return os.environ.get("QM_HOSTS") or ""


def show_payloads() -> str:
    """Whether the page shows tasks to other machines: QM_SHOW_PAYLOADS, else no."""
    return os.environ.get("QM_SHOW_PAYLOADS") or "no"


def log_level(default: str = "info") -> str:
    """What is logged: QM_LOG_LEVEL, else what the program logs by default."""
    return os.environ.get("QM_LOG_LEVEL") or default


def log_format() -> str:
    """How it is logged: QM_LOG_FORMAT, else text."""
    return os.environ.get("QM_LOG_FORMAT") or "text"


def payload_keys() -> str | None:
    """The keys that payloads are sealed with, newest first: QM_PAYLOAD_KEYS, else none."""
    return os.environ.get("QM_PAYLOAD_KEYS") or None


def payload_keys_file() -> Path | None:
    """A file that has them instead: QM_PAYLOAD_KEYS_FILE, else none."""
    name = os.environ.get("QM_PAYLOAD_KEYS_FILE")
    return Path(name) if name else None


def accept_plain_payloads() -> bool:
    """Whether who has keys reads also what is not sealed: QM_PAYLOAD_PLAIN, else no. Raises `BadRequest`."""
    word = os.environ.get("QM_PAYLOAD_PLAIN") or "refuse"
    if word not in ("accept", "refuse"):
        raise BadRequest(f"QM_PAYLOAD_PLAIN is accept or refuse, not {word[:80]!r}")
    return word == "accept"
