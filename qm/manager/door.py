"""Takes connections in, each to a thread of its own, and goes on whatever runs out.

    listener ─► a descriptor? ─► a place? ─► a thread? ─► handled
                  │ no             │ no        │ no
                  └────────────────┴───────────┴──► reset and counted: its peer knows at once, and comes again

Where something is short, the oldest connection that has proved nothing has to go first.
"""

from __future__ import annotations

import _thread
import errno
import os
import resource
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from qm.limits import CONNECTIONS_MAX
from qm.manager.tally import Refusal, Tally
from qm.wire.frames import Connection
from qm.wire.listener import Listener

#: Seconds after which to try again when the machine had not what was needed: no busy loop, and soon back.
_PAUSE: Final = 0.02

#: Seconds for one that was sent away to leave its place.
_LEAVING: Final = 0.2

#: Descriptors that are for all else: the store and its readers, the log, the web process, a backup.
_DESCRIPTORS_SPARED: Final = 128

#: The stack of a connection's thread. Bytes that are nested as deep as Python lets them be take more than one
#: MiB of it on some versions, and the shell's `ulimit -s` may say less. Where the system works with huge
#: pages two of the usual 8 MiB would be real memory; a stack of two has no room for such a page.
_STACK: Final = 2 * 1024 * 1024

#: What accept and open say without a descriptor: this process has none left, or the machine.
_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)


def connections_max() -> int:
    """How many connections this process may have: all its descriptors but some, or half of a few."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(descriptors - _DESCRIPTORS_SPARED, descriptors // 2))


class Door:
    """The loop that takes connections in. It belongs to one thread."""

    def __init__(
        self,
        listener: Listener,
        handle: Callable[[Connection], None],
        crowd_out: Callable[[], bool],
        tally: Tally,
        stopped: threading.Event,
    ) -> None:
        """`handle` is a connection's whole life. `crowd_out` sends away the oldest that has proved nothing,
        and says whether there was one."""
        self._listener = listener
        self._handle = handle
        self._crowd_out = crowd_out
        self._tally = tally
        self._stopped = stopped
        self._most = connections_max()
        #: Weak, for a thread that dies before it has begun leaves nobody to take its connection out.
        self._open: set[weakref.ref[Connection]] = set()
        self._left = threading.Condition()
        #: A descriptor that is given up to accept, and refuse, a connection for which there is none.
        self._spare: int | None = None

    def run(self) -> None:
        """Takes connections in until told to stop."""
        self._spare = _descriptor()
        while not self._stopped.is_set():
            try:
                if not self._take_one():
                    self._stopped.wait(_PAUSE)
            except (MemoryError, RuntimeError, OSError) as error:
                # what was to refuse one, or say so, or wait by a lock, found something short as well
                with suppress(MemoryError, RuntimeError):
                    self._tally.refuse(Refusal.SYSTEM, "cannot take a connection in: %r", error)
                time.sleep(_PAUSE)
        self._give_up_spare()

    def _take_one(self) -> bool:
        """Whether the next may come at once."""
        try:
            connection = self._listener.accept()
        except ConnectionError:  # gone before its turn
            return True
        except OSError as error:
            if self._stopped.is_set():
                return True
            if error.errno in _NO_DESCRIPTOR:
                self._turn_away(error)
            else:
                self._tally.refuse(Refusal.SYSTEM, "cannot take a connection in: %s", error)
            return False
        return self._take_in(connection)

    def _turn_away(self, error: OSError) -> None:
        """Out of descriptors: one that waits would wait for ever, and we would be told of it for ever."""
        text = "a connection was refused: %s (ulimit -n)"
        self._tally.refuse(Refusal.DESCRIPTORS, text, error.strerror)
        self._give_up_spare()
        with suppress(OSError):  # another thread has taken the descriptor, or the peer is gone
            _refuse(self._listener.accept())
        self._crowd_out()
        self._spare = _descriptor()

    def _give_up_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _take_in(self, connection: Connection) -> bool:
        if not self._make_room(connection):
            text = "%s was refused: there are %d connections, as many as there may be"
            self._tally.refuse(Refusal.FULL, text, connection.peer, self._most)
            _refuse(connection)
            return True
        try:
            _start(self._serve, connection)
        except (RuntimeError, MemoryError) as error:
            self._tally.refuse(Refusal.THREADS, "%s was refused: %s", connection.peer, error)
            _refuse(connection)
            self._leave(connection)
            self._crowd_out()
            return False
        self._tally.accept()
        return True

    def _make_room(self, connection: Connection) -> bool:
        """Whether it has a place, perhaps that of one that has proved nothing."""
        with self._left:
            if self._is_full() and self._crowd_out():
                self._left.wait_for(lambda: not self._is_full(), _LEAVING)
            if self._is_full():
                return False
            # what takes it out is no Python code, for which there may be no memory when a thread dies of that
            self._open.add(weakref.ref(connection, self._open.discard))
            return True

    def _is_full(self) -> bool:
        return len(self._open) >= self._most

    def _serve(self, connection: Connection) -> None:
        try:
            self._handle(connection)
        finally:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        with self._left:
            self._open.discard(weakref.ref(connection))
            self._left.notify()


def _start(serve: Callable[[Connection], None], connection: Connection) -> None:
    """Raises RuntimeError or MemoryError where there is no thread.

    `threading.Thread` waits for its thread to say that it has begun, and for ever where there is no memory
    for its first step: one such thread, and nobody else is taken in. Of a thread that is merely started the
    system says so much on standard error, and its connection closes.
    """
    before = threading.stack_size(_STACK)
    try:
        _thread.start_new_thread(serve, (connection,))
    finally:
        threading.stack_size(before)


def _refuse(connection: Connection) -> None:
    """A reset, so that an honest peer does not take it for a word about its key."""
    connection.reset()
    connection.close()


def _descriptor() -> int | None:
    """One that is good for nothing, if there is one."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_DESCRIPTOR:
            raise
        return None
