"""Opens a connection and prepares it for us, or says in words why there is none."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import psycopg

from qm.errors import StoreError
from qm.store.postgres.address import Address

#: The oldest server, as libpq counts: 15.
_OLDEST: Final = 150_000

#: What holds for every connection of ours. The plans of our few statements are known beforehand: nested loops
#: from the parameters along the indexes. So they are made once and do not follow the statistics, which of a
#: queue that was just empty or just filled say nothing good. The time limits are for what hangs, far beyond
#: what takes long; the keepalives free the lock of a host that fell silent.
_SETTINGS: Final = {
    "search_path": "qmanager",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "client_min_messages": "warning",
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


#: How long the connection waits for a lock behind which all calls of the manager stand: one that needs what a
#: user's transaction holds, that has added the same id, say, must not hold up the others for longer.
_HURRY: Final = "250ms"


class _Cause(NamedTuple):
    """What a server's refusal says, and what to do about it. libpq gives no code for a failed connect."""

    text: str
    hint: str
    #: Whether it is over by itself, in a moment.
    passes: bool = False


_CAUSES: Final = (
    _Cause("password authentication failed", "look at the user and the password in the URL, or in ~/.pgpass"),
    _Cause("no password supplied", "put the password into ~/.pgpass, PGPASSWORD or the URL"),
    _Cause("no pg_hba.conf entry", "let this host and user in, in the server's pg_hba.conf"),
    _Cause("authentication failed", "look at the user in the URL, and at the server's pg_hba.conf"),
    _Cause("too many clients", "raise the server's max_connections: a manager wants up to 6"),
    _Cause("remaining connection slots", "raise the server's max_connections: a manager wants up to 6"),
    _Cause("too many connections", "raise the limit of the user or database: a manager wants up to 6"),
    _Cause("read-only", "name the primary: this server is a standby"),
    _Cause("starting up", "try again when the server is up", passes=True),
    _Cause("in recovery mode", "try again when the server is up", passes=True),
    _Cause("shutting down", "try again when the server is up", passes=True),
    _Cause("permission denied for database", "let the user in: GRANT CONNECT ON DATABASE name TO user"),
    _Cause("role ", "make the user: CREATE ROLE name LOGIN PASSWORD '...'"),
    _Cause("database ", "make the database: CREATE DATABASE name ENCODING 'UTF8'"),
)


def connect(address: Address, *, relaxed: bool) -> psycopg.Connection[Any]:
    """A connection in autocommit, prepared by `prepare`. Raises `StoreError` with what to do."""
    try:
        db = psycopg.connect(**address.parameters, autocommit=True)
    except psycopg.Error as error:
        raise cannot_open(address, error) from error
    try:
        prepare(db, address, relaxed=relaxed)
    except BaseException:
        db.close()
        raise
    return db


def prepare(db: psycopg.Connection[Any], address: Address, *, relaxed: bool) -> None:
    """Sets what we rely on. Raises `StoreError` for a server that we cannot use."""
    if db.info.server_version < _OLDEST:
        version = db.info.server_version // 10_000
        raise StoreError(
            f"the server of {address} is PostgreSQL {version}", hint="qmanager wants PostgreSQL 15 or later"
        )
    encoding = db.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"the database {address} has the encoding {encoding}",
            hint="make it anew: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
        )
    db.prepared_max = None  # our statements are few, and each is worth keeping
    settings = {**_SETTINGS}
    if relaxed:
        settings["synchronous_commit"] = "off"
    try:
        db.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()).encode())
        if not relaxed:  # stronger ones stay: remote_write, remote_apply
            db.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE "
                       "current_setting('synchronous_commit') IN ('off', 'local')")  # fmt: skip
    except psycopg.Error as error:
        raise cannot_open(address, error) from error


def hurry(db: psycopg.Connection[Any], address: Address) -> None:
    """From now on all calls of the manager stand behind `db`. Raises `StoreError`."""
    try:
        db.execute(f"SET lock_timeout = '{_HURRY}'".encode())
    except psycopg.Error as error:
        raise cannot_open(address, error) from error


def passes(error: StoreError) -> bool:
    """Whether a server that refused us is only starting, or recovering from a crash."""
    return any(cause.passes and cause.text in str(error) for cause in _CAUSES)


def cannot_open(address: Address, error: psycopg.Error) -> StoreError:
    """The error for a database that cannot be had."""
    said = " ".join(str(error).split()) or type(error).__name__
    hint = next((cause.hint for cause in _CAUSES if cause.text in said), None)
    return StoreError(
        f"cannot open the store {address}: {said}",
        hint=hint or "is the server running, and reachable from here?",
    )
