"""Keeping tasks: the `Store` protocol in `base`, a folder per store, and `sql` with their queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from qm.errors import BadRequest, StoreError
from qm.store.base import Store

Durability = Literal["full", "relaxed"]

_KINDS: Final = "give sqlite:PATH, postgresql://USER@HOST/DATABASE, or memory: to keep nothing"

__all__ = [
    "Durability",
    "Store",
    "file_of",
    "is_postgres",
    "open_store",
    "wanting_psycopg",
    "without_secrets",
]


def open_store(url: str, durability: Durability = "full", *, may_migrate: bool = True) -> Store:
    """The store at `url`: ``sqlite:PATH`` (or ``sqlite:///absolute/path``), ``postgresql://...`` as libpq
    reads it, or ``memory:``.

    `durability`: "full", what is acknowledged survives a power cut; "relaxed", a power cut may undo the last
    moments. `may_migrate` False: `StoreTooOld` where the schema is not up to date. Raises `BadRequest` for
    any other URL, and what the store raises when it opens.
    """
    scheme, colon, place = url.partition(":")
    if not colon:
        raise BadRequest(f"{_shown(url)} is not a store", hint=_KINDS)
    if scheme == "memory":
        if place.strip("/"):
            raise BadRequest(f"memory: takes no path, not {place!r}", hint=_KINDS)
        from qm.store.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        from qm.store.sqlite import SQLiteStore

        return SQLiteStore.open(_path(place), durability=durability, may_migrate=may_migrate)
    if is_postgres(url):
        return _postgres(url, durability, may_migrate)
    raise BadRequest(f"there is no store of the kind {_shown(scheme)}", hint=_KINDS)


def without_secrets(url: str) -> str:
    """`url` without the password in it, for logs."""
    _, at, place = url.rpartition("@")
    scheme, slashes, who = url.partition("://")
    if not at or not slashes:
        return re.sub(r"(password=)[^&]*", r"\1***", url)
    user = who.partition("@")[0].partition(":")[0]
    return re.sub(r"(password=)[^&]*", r"\1***", f"{scheme}://{user}@{place}")


def file_of(url: str) -> Path:
    """The file of the store at `url`. Raises `BadRequest` where it has none."""
    scheme, _, place = url.partition(":")
    if scheme != "sqlite":
        raise BadRequest(f"{_shown(url)} is no store in a file", hint="give sqlite:PATH")
    return Path(_path(place))


def is_postgres(url: str) -> bool:
    """Whether `url` is that of a database. Raises `BadRequest` where it looks like one and is none."""
    if url.partition(":")[0] not in ("postgres", "postgresql"):
        return False
    if "://" not in url:
        raise BadRequest(f"{_shown(url)} is not a store", hint=_KINDS)
    return True


@contextmanager
def wanting_psycopg() -> Iterator[None]:
    """For imports of what stands on psycopg. Raises `StoreError` where that is not there."""
    try:
        yield
    except ImportError as error:  # no psycopg, or one that finds no libpq
        hint = "pip install 'qmanager[postgres]'"
        raise StoreError(f"the PostgreSQL store wants psycopg: {error}", hint=hint) from error


def _postgres(url: str, durability: Durability, may_migrate: bool) -> Store:
    with wanting_psycopg():
        from qm.store.postgres import PostgresStore
    return PostgresStore.open(url, durability=durability, may_migrate=may_migrate)


def _path(place: str) -> str:
    """The file in a URL. After ``//`` comes a host's name, which a file does not have."""
    if place.startswith("//"):
        host, slash, rest = place[2:].partition("/")
        if host or not slash:
            raise BadRequest(
                f"sqlite:{place} names a host", hint="write sqlite:PATH or sqlite:///absolute/path"
            )
        place = slash + rest
    if not place.strip("/") or place.endswith("/") or "\0" in place:
        raise BadRequest(f"sqlite:{place} names no file", hint="write sqlite:PATH, as in sqlite:queue.db")
    if place.startswith(":"):
        raise BadRequest(f"sqlite:{place} is not a file", hint="for a store in memory: memory:")
    return str(Path(place).expanduser())


def _shown(url: str) -> str:
    """What is safe to repeat: a mistyped URL can carry a password."""
    return repr(re.sub(r"//[^/@]*@", "//***@", url)[:80])
