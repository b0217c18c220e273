"""What qmanager runs: a store, the queue over it, the server before it, and the web process beside it."""

from __future__ import annotations

import logging
import os
import resource
import sys
import threading
from contextlib import ExitStack
from multiprocessing.connection import wait
from typing import Final

from qm.cli.broken import Broken
from qm.cli.credentials import Credentials
from qm.cli.settings import Settings
from qm.cli.signals import Signals
from qm.errors import BadRequest, Internal, QueueError
from qm.logs import forget_threads
from qm.manager import QueueManager, Server
from qm.manager.admission import Admission
from qm.manager.webprocess import WebError, WebProcess
from qm.queue import Queue
from qm.store import Store, open_store, without_secrets
from qm.version import __version__
from qm.wire.address import Address

_log = logging.getLogger(__name__)


#: Seconds that one thread may keep the interpreter from the others. SQLite's driver lets go of it at every
#: statement and then waits for its return: beside one computing thread, at Python's own 5 ms, a small
#: transaction took 4.7 ms; at 0.5 ms 1.8, and below that the switching costs more than it saves.
_SWITCH_SECONDS: Final = 0.0005


def prepare_process() -> None:
    """For the whole process: files that it makes are its user's alone, and it may have as many connections as
    the machine allows."""
    os.umask(0o077)
    forget_threads()
    sys.setswitchinterval(_SWITCH_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # "unlimited" is more than some kernels let a process have
        _log.info("the limit of open files stays %d: %s", soft, error)


class Service:
    """A manager from start to stop. Belongs to the main thread: the web process ends with the thread that
    started it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings.authkey_file, settings.tls)
        self._store: Store | None = None
        self._queue: Queue | None = None
        self._server: Server | None = None
        self._serving: threading.Thread | None = None
        self._web: WebProcess | None = None
        self._broken = Broken()
        self._ready = False

    def start(self) -> None:
        """Returns when everything serves. Raises `QueueError` where something cannot be had, and then nothing
        is left running."""
        try:
            _log.info("qmanager %s starts", __version__)
            admission = self._credentials.open()
            self._open_store()
            self._serve(admission)
            self._show_page()
            self._say_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def rpc(self) -> Address:
        """Where clients and workers connect; known once started."""
        if self._server is None:
            raise RuntimeError("not started")
        return self._server.listener.address

    @property
    def http(self) -> Address | None:
        """Where the page is; None: there is none."""
        return self._web.address if self._web is not None else None

    def watch(self, signals: Signals) -> None:
        """Keeps the web process running until a signal comes; SIGHUP reads keys and certificate again. Raises
        `StoreError` where the store fails, `Internal` where the server ends by itself."""
        while signals.received is None and self._broken.why is None:
            if self._web is None:
                wait([signals.fileno(), self._broken.fileno()])
            else:
                wait([signals.fileno(), self._broken.fileno(), *self._web.fds()], self._web.timeout())
                self._web.check()
            if signals.take_hangup():
                self.read_again()
        if self._broken.why is not None:
            raise self._broken.why
        assert signals.received is not None  # the loop ended by one of the two
        _log.info("%s: answering the calls under way", signals.received.name)

    def read_again(self) -> None:
        """Takes keys and certificate as their files say now. Where these are no good, all stays as it was."""
        assert self._server is not None  # it serves
        try:
            admission = self._credentials.read()
        except BadRequest as error:
            _log.error("keys and certificate stay as they were: %s", error)
            return
        self._server.admit_by(admission)
        _log.info("read the keys again: %s", ", ".join(f"{key.name} ({key.role})" for key in admission.keys))

    def stop(self) -> None:
        """Lets the calls under way be answered, closes the store, and ends the web process last: from the
        first step on it says at /readyz that we are not ready. A step that fails keeps none of the others
        from being taken. Twice is fine."""
        with ExitStack() as steps:  # the last one entered is the first one taken
            if self._ready:
                steps.callback(_log.info, "stopped")
            if self._web is not None:
                steps.callback(self._web.stop)
            if self._store is not None:
                steps.callback(self._store.close)
            if self._server is not None and self._serving is not None:
                steps.callback(self._serving.join)
                steps.callback(self._server.stop)
            if self._queue is not None:
                steps.callback(self._queue.drain)
            if self._ready and self._settings.ready_file is not None:
                steps.callback(self._settings.ready_file.unlink, missing_ok=True)
            self._ready = False

    def _open_store(self) -> None:
        url, durability = self._settings.store, self._settings.durability
        self._store = open_store(url, durability, may_migrate=self._settings.may_migrate)
        if self._store.kind == "memory":
            _log.info("the tasks are in memory, and end with this process")
        else:
            _log.info("the tasks are in %s, durability %s", without_secrets(url), durability)
        self._listen(self._store)
        # one that a killed manager left, now that nobody else has the store
        if self._settings.ready_file is not None:
            self._settings.ready_file.unlink(missing_ok=True)
        self._queue = Queue(self._store)
        self._queue.start()

    def _listen(self, store: Store) -> None:
        """A disk that fails ends us: what it would say from then on is not to be believed. So does a database
        that a newer manager has made its own."""
        if store.kind == "sqlite":
            from qm.store.sqlite import SQLiteStore  # a manager in memory does without

            assert isinstance(store, SQLiteStore)
            store.health.listen(self._broken.tell)
        elif store.kind == "postgresql":
            from qm.store.postgres import PostgresStore

            assert isinstance(store, PostgresStore)
            store.listen(self._broken.tell)

    def _serve(self, admission: Admission) -> None:
        assert self._queue is not None
        try:
            self._server = QueueManager(
                self._settings.rpc, admission.keys, self._queue, admission.tls
            ).get_server()
        except OSError as error:
            raise cannot_listen(self._settings.rpc, error) from None
        self._serving = threading.Thread(target=self._answer, args=(self._server,), name="server")
        self._serving.start()
        _log.info("serving at %s", self.rpc)

    def _answer(self, server: Server) -> None:
        """A server that ends by itself ends us: nobody would be answered by what goes on to run."""
        try:
            server.serve_forever()
        except Exception as error:
            _log.exception("the server failed")
            self._broken.tell(Internal(f"the manager cannot answer calls any more: {error!r}"))

    def _show_page(self) -> None:
        settings = self._settings
        if settings.http is None:
            return
        web = WebProcess(
            self.rpc,
            settings.http,
            self._credentials.web_secret,
            tls=self._credentials.web_tls,
            log_level=settings.log_level,
            log_format=settings.log_format,
            hosts=settings.hosts,
            show_payloads=settings.show_payloads,
        )
        try:
            web.start()
        except WebError as error:
            raise QueueError(str(error), error.hint) from None
        self._web = web

    def _say_ready(self) -> None:
        self._ready = True
        path = self._settings.ready_file
        if path is None:
            return
        lines = [f"rpc {self.rpc}\n", *([f"http {self.http}\n"] if self.http else [])]
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            draft.write_text("".join(lines))
            draft.replace(path)
        except OSError as error:
            raise QueueError(f"cannot write the ready file {path}: {error.strerror}") from None


def cannot_listen(address: Address, error: OSError) -> QueueError:
    """The error for a port that cannot be had."""
    # Python's own text repeats the address; a name that does not resolve has another kind of code, below zero
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return QueueError(
        f"cannot listen on port {address.port} of {address.host}: {why.lower()}",
        hint="another qmanager may be running; choose another port by --rpc HOST:PORT",
    )
