"""A fork comes before or after the calls of OpenSSL, never in between."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest

from qm.wire import forks

#: Seconds that nothing here takes unless it hangs.
PATIENCE = 10.0


def fork() -> int:
    """Forks; the child ends at once, after one call. Gives its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and forks: that is what it is about
        pid = os.fork()
    if pid == 0:
        with forks.openssl:
            os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_waits_for_those_inside() -> None:
    inside, leave, left = threading.Event(), threading.Event(), threading.Event()
    order: list[str] = []

    def call() -> None:
        with forks.openssl:
            inside.set()
            leave.wait(PATIENCE)
            order.append("left")
        left.set()

    def release() -> None:
        _until_closed()  # it is let go while the fork waits, and not before
        leave.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(PATIENCE)
    releaser = threading.Thread(target=release)
    releaser.start()
    assert fork() == 7
    order.append("forked")
    assert left.wait(PATIENCE)
    assert order == ["left", "forked"]
    thread.join()
    releaser.join()


def _until_closed() -> None:
    """Until somebody waits at the gate to fork."""
    deadline = time.monotonic() + PATIENCE
    while not forks.openssl._idle._waiters and time.monotonic() < deadline:  # type: ignore[attr-defined]
        os.sched_yield()


def test_a_fork_from_inside_is_late_and_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a signal's handler that interrupted a call."""
    monkeypatch.setattr(forks, "_PATIENCE", 0.01)
    with forks.openssl:
        assert fork() == 7
    assert fork() == 7
