"""What the QM_* variables say, and what holds without them. A program's own flag goes before both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: The original's ports.
RPC_PORT: Final = 8090
HTTP_PORT: Final = 8080


def home() -> Path:
    """The folder of the key and the store: QM_HOME, else ~/.qmanager."""
    return Path(os.environ.get("QM_HOME") or Path.home() / ".qmanager")


def rpc() -> str:
    """Where the manager listens: QM_RPC, else this machine."""
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
