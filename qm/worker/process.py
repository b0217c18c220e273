"""The process of a child: what is set up before its loop, and how it ends."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
from setproctitle import setproctitle

from qm import logs
from qm.client import Client
from qm.errors import OperationError
from qm.messages import Slot
from qm.worker.alarm import Alarm
from qm.worker.child import Child
from qm.worker.config import Broken, ChildConfig, Ready
from qm.worker.interrupt import DUMP
from qm.worker.lifeline import Lifeline
from qm.worker.loading import load_operations
from qm.worker.output import Output
from qm.worker.page import Page

_log = logging.getLogger(__name__)

#: Seconds for one call's tries before the child looks at its page again.
_PATIENCE: Final = 1.0


def main(
    config: ChildConfig, pipe: Connection, lifeline: Connection, page: Page, alarm: Alarm, output: Output
) -> None:
    """The child's whole life. Ends by returning (drained), or with its parent."""
    os.setpgid(0, 0)  # a task's own subprocesses are killed with us
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_it_to_the_parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # our parent held it until now
    parent = Lifeline(lifeline)
    setproctitle("qmworker: child")
    logs.configure(config.log_level, config.log_format, "qmworker")
    try:
        operations = load_operations(config.load, config.types)
    except OperationError as error:
        pipe.send_bytes(msgspec.msgpack.encode(Broken(str(error))))
        return
    pipe.send_bytes(msgspec.msgpack.encode(Ready(operations.options())))
    slot = msgspec.msgpack.decode(pipe.recv_bytes(), type=Slot)
    _redirect(config, output)
    logs.bind(worker=f"{socket.gethostname()}:{os.getppid()}/{slot.index}")
    with Client(
        config.addresses,
        config.authkey,
        tls=config.tls,
        patience=_PATIENCE,
        payload_keys=config.payload_keys,
        follow=lambda: page.manager,
    ) as client:
        child = Child(client, operations, slot, page, alarm, output, config.delay)
        parent.on_call(child.settle_early)
        child.work()
    _leave_threads_behind()


def _redirect(config: ChildConfig, output: Output) -> None:
    """What tasks write goes to their slot's file, our log to the pool's as well. What the interpreter says
    when it dies, or is asked by a signal, goes to the file too: in C, whatever holds the interpreter's
    lock."""
    logs.configure(config.log_level, config.log_format, "qmworker", os.dup(2))
    output.redirect()
    faulthandler.enable(output.fd)
    faulthandler.register(DUMP, output.fd, all_threads=True, chain=False)


def _leave_threads_behind() -> None:
    """Ends the process at once where a task has left threads that the interpreter would wait for."""
    left = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    if left:
        _log.warning("leaving without %d threads that tasks have left behind: %s", len(left), left[0].name)
        os._exit(0)


def _leave_it_to_the_parent(number: int, frame: Any) -> None:
    """Only the parent drains. A handler that does nothing; SIG_IGN a task's programs would inherit."""
