"""The web process as qmanager sees it: started, watched, started again.

    web = WebProcess(rpc, http, authkey)
    address = web.start()
    while not stopping:
        wait([wakeup, *web.fds()], web.timeout())
        web.check()
    web.stop()

Nothing here polls: the pipe that is the child's stdout becomes readable when it has something to say, and
when it dies.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from typing import Final, Protocol

from msgspec.structs import replace

from qm.clock import Clock, SystemClock
from qm.errors import BadRequest
from qm.manager.webchild import WebChild
from qm.policy.strikes import cause_of
from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebExit

_log = logging.getLogger(__name__)

#: Seconds until the child must serve.
READY_SECONDS: Final = 10.0

#: Seconds for the child to end by itself, then it is killed.
STOP_SECONDS: Final = 5.0

#: Seconds before it is started again: doubling from the first to the last, and the first again after it has
#: served for a while, so that one death a day costs a second each.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
STEADY_SECONDS: Final = 60.0


class Child(Protocol):
    """One run of the web process; see `qm.manager.webchild.WebChild`."""

    pid: int

    def fileno(self) -> int: ...
    def hear(self) -> Address | None: ...
    def exitcode(self) -> int | None: ...
    def end(self, seconds: float) -> int: ...


class WebError(Exception):
    """The web process did not start. `str()` is for people; `hint` is what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class WebProcess:
    """Keeps one web process running. Belongs to the main thread: the kernel ends the child with the thread
    that started it."""

    def __init__(
        self,
        rpc: Address,
        http: Address,
        authkey: bytes,
        *,
        tls: str = "",
        log_level: str = "info",
        log_format: str = "text",
        hosts: Iterable[str] = (),
        show_payloads: bool = False,
        clock: Clock | None = None,
        spawn: Callable[[WebConfig], Child] = WebChild,
    ) -> None:
        """Will serve at `http` what the manager at `rpc` knows. `tls`, `hosts` and `show_payloads`: see
        `qm.wire.handover.WebConfig`. `clock` and `spawn` are for tests."""
        self._config = WebConfig(
            rpc=rpc,
            authkey=authkey.hex(),
            tls=tls,
            http=http,
            log_level=log_level,
            log_format=log_format,
            hosts=tuple(hosts),
            show_payloads=show_payloads,
            parent=os.getpid(),
        )
        self._clock = clock or SystemClock()
        self._spawn = spawn
        self._child: Child | None = None
        self._serves = False
        self._pause = FIRST_PAUSE
        #: When the child was started, or began to serve.
        self._since = 0.0
        #: Without a child: when to start one, None for never.
        self._due: float | None = None

    @property
    def address(self) -> Address:
        """Where it serves: after `start` with the real port, which it keeps."""
        return self._config.http

    @property
    def serves(self) -> bool:
        """Whether it serves, as of the last `check`."""
        return self._serves

    def start(self) -> Address:
        """Starts it and waits until it serves. Gives its address.

        Raises `WebError`, and then nothing runs: a page that never worked is a matter for whoever starts us.
        """
        self._launch()
        try:
            while self._child is not None and not self._serves:
                wait(self.fds(), self.timeout())  # select knows no descriptor above 1023
                self._check_child(self._child, self._fail)
        except BaseException:
            self.stop()
            raise
        return self.address

    def fds(self) -> list[int]:
        """What to wait for: when one is readable, `check`."""
        return [self._child.fileno()] if self._child is not None else []

    def timeout(self) -> float | None:
        """Seconds after which to `check` even so; None: no need."""
        at = self._due
        if self._child is not None:
            at = None if self._serves else self._since + READY_SECONDS
        return None if at is None else max(0.0, at - self._clock.monotonic())

    def check(self) -> None:
        """Sees how it is, and starts it again when it died and its pause is over. Never raises for it, and
        never blocks for long."""
        if self._child is not None:
            self._check_child(self._child, self._bury)
        elif self._due is not None and self._clock.monotonic() >= self._due:
            self._due = None
            try:
                self._launch()
            except WebError as error:
                self._start_later(str(error))

    def stop(self) -> None:
        """Ends it: asks, waits for 5 s, kills. For good: `check` does not start it again."""
        self._due, self._serves = None, False
        child, self._child = self._child, None
        if child is not None:
            code = child.end(STOP_SECONDS)
            _log.info("the web process %d ended (%s)", child.pid, describe(code))

    def _launch(self) -> None:
        self._serves = False
        self._since = self._clock.monotonic()
        try:
            self._child = self._spawn(self._config)
        except OSError as error:
            raise WebError(
                f"the web process cannot be started: {error.strerror or error}",
                "look at the limits of processes and memory",
            ) from None

    def _check_child(self, child: Child, lost: Callable[[Child, str], None]) -> None:
        try:
            address = child.hear()
        except BadRequest as error:
            lost(child, str(error))
            return
        if address is not None and not self._serves:
            self._begin(child, address)
        code = child.exitcode()
        if code is not None:
            lost(child, describe(code))
        elif not self._serves and self._clock.monotonic() >= self._since + READY_SECONDS:
            lost(child, f"not ready within {READY_SECONDS:g} s")

    def _begin(self, child: Child, address: Address) -> None:
        self._serves = True
        self._since = self._clock.monotonic()
        # the same port after a restart, where we were free to choose
        self._config = replace(self._config, http=address)
        _log.info("the page is on http://%s/ (process %d)", address, child.pid)

    def _fail(self, child: Child, why: str) -> None:
        """It died before it ever served."""
        self._child = None
        code = child.end(0)
        if code == WebExit.CANNOT_LISTEN:
            where = f"port {self.address.port} of {self.address.host}"
            raise WebError(
                f"cannot serve the page on {where}: it is taken, or not to be had",
                "choose another by --http HOST:PORT, or stop what uses it",
            )
        raise WebError(f"the web process did not start: {why}", "its last words are above")

    def _bury(self, child: Child, why: str) -> None:
        self._child = None
        child.end(0)
        if self._serves and self._clock.monotonic() - self._since >= STEADY_SECONDS:
            self._pause = FIRST_PAUSE
        self._serves = False
        self._start_later(f"the web process {child.pid} is gone: {why}")

    def _start_later(self, what: str) -> None:
        _log.warning("%s; starting it again in %g s", what, self._pause)
        self._due = self._clock.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def describe(code: int) -> str:
    """An exit code in words."""
    known = {exit.value: exit.name.lower().replace("_", " ") for exit in WebExit}
    return f"{cause_of(code)}, {known[code]}" if code in known else cause_of(code)
