"""A PostgreSQL of the tests' own: a throw-away cluster, made where it is first wanted and gone with the
tests."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg

from qm.store.postgres import PostgresStore
from tests.wants import want

#: Where Debian's package keeps the programs, which are not on the path.
_DEBIAN: Final = Path("/usr/lib/postgresql")

#: It keeps nothing that anybody wants back after a power cut, so that it need not wait for a disk.
_SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "lc_messages": "C",
}
#: Ends the server with the tests, also where they are killed.
_GUARD: Final = ("setpriv", "--pdeathsig", "QUIT") if shutil.which("setpriv") else ()
_numbers = count(1)


def find(name: str) -> str | None:
    """The program of PostgreSQL's server package, of the newest version there."""
    versions = sorted(_DEBIAN.glob("[1-9]*"), key=lambda folder: int(folder.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *(f"{v}/bin" for v in versions)]))


def who_serves() -> str | None:
    """Whom a server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Cluster:
    """A server that trusts everybody but the user `locked`, whom it asks for a password. `postgres` may
    all."""

    def __init__(self, folder: Path) -> None:
        """Raises `RuntimeError` where it cannot be made."""
        self.folder = folder
        self.port = _free_port()
        self._user = who_serves()
        if self._user is not None:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "--pgdata", "data", "--username", "postgres", "--auth", "trust",
                  "--encoding", "UTF8", "--locale", "C", "--no-sync")  # fmt: skip
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all locked all scram-sha-256\n{rules.read_text()}")
        self._server: subprocess.Popen[bytes] | None = None
        self._used: str | None = None
        self._tables = ""
        self.start()

    def start(self, **settings: str) -> None:
        """Starts the server and waits until it answers."""
        options = [f"-c{name}={value}" for name, value in {**_SETTINGS, **settings}.items()]
        program = find("postgres")
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_GUARD, program, "-D", "data", "-p", str(self.port), "-k", str(self.folder), *options],
                cwd=self.folder, user=self._user, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        pause = threading.Event()
        for _ in range(600):
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    break
                pause.wait(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stops it: QUIT at once, as if it had crashed; INT ends the connections in order."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(timeout=60)
            self._server = None

    def url(self, database: str, user: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def say(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs SQL as the superuser. Gives its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            found = db.execute(sql.encode())
            return found.fetchall() if found.description else []

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, gone in the end."""
        name = f"test_{next(_numbers)}"
        self.say(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.say(f"DROP DATABASE {name} WITH (FORCE)")

    def end_connections(self, database: str = "", but: int = 0) -> int:
        """Ends those of qmanager, as an administrator or a failing network does. Gives how many there
        were."""
        where = f"application_name LIKE 'qmanager%' AND pid <> {but}"
        if database:
            where += f" AND datname = '{database.rpartition('/')[2]}'"
        return len(self.say(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {where}"))

    def emptied(self) -> str:
        """The URL of a database whose tables are empty: the same one each time, since emptying is quicker."""
        if self._used is None:
            self._used = "emptied"
            self.say(f"CREATE DATABASE {self._used}")
            PostgresStore.open(self.url(self._used)).close()
            kept = "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r' "
            kept += "AND relnamespace = 'qmanager'::regnamespace AND relname <> 'migrations'"
            self._tables = self.say(kept, self._used)[0][0]
        else:
            self.say(f"TRUNCATE {self._tables}; ALTER SEQUENCE qmanager.numbers RESTART", self._used)
        return self.url(self._used)

    def _run(self, name: str, *arguments: str) -> None:
        program = find(name)
        assert program is not None
        done = subprocess.run(
            [program, *arguments], cwd=self.folder, user=self._user, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr.strip()[-500:]}")


def want_postgres() -> Cluster:
    """The cluster that all tests of a process share. As `want` where there are no programs for one."""
    want(bool(find("initdb") and find("postgres")), "PostgreSQL (apt-get install postgresql)")
    return _shared()


def own_cluster() -> Cluster:
    """A cluster for a test that stops and starts it. As `want_postgres`; the caller stops it."""
    want(bool(find("initdb") and find("postgres")), "PostgreSQL (apt-get install postgresql)")
    return _made()


@lru_cache
def _shared() -> Cluster:
    return _made()


def _made() -> Cluster:
    folder = Path(tempfile.mkdtemp(prefix="qmanager-postgres."))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not a child that the tests forked
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return cluster


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
