"""What happens by itself: due tasks wait, silent sessions end, old tasks go. Sleeps until the next is due."""

from __future__ import annotations

import logging
import threading
from functools import partial

from qm.errors import NotCommitted
from qm.limits import SESSION_TERM
from qm.policy.retention import KEEP_ID
from qm.queue.core import Core, Effects
from qm.queue.neighbours import LOOK
from qm.queue.session import end_silent
from qm.store.base import Transaction

_log = logging.getLogger(__name__)

#: Rows per commit: a few milliseconds, so that calls get their turn in between.
_CHUNK = 200

#: Seconds of such commits in a row: a few million old tasks are half a minute of them and more, in which
#: others become due and pools fall silent.
_TURN = 0.5

#: Longest sleep in seconds, the timer's period. Due times are wall-clock times, and wall clocks jump; a jump
#: is noticed so soon, and so is a sleep of the whole manager.
_LOOK = 5.0

#: Shortest sleep in seconds after trouble with the store.
_PAUSE = 1.0


def tick(core: Core) -> float:
    """Does what is due now. Gives the seconds until something will be."""
    neighbours = core.neighbours
    if neighbours is not None:
        neighbours.look()
    leads = neighbours is None or neighbours.lead
    end_silent(core)  # at once: only until now is it known that the manager was not asleep
    if leads:
        promote(core)
    more = leads and expire(core)
    now, monotonic = core.clock.now(), core.clock.monotonic()
    waits = [0.0 if more else _LOOK if neighbours is None else LOOK]
    for moment, base in (
        (core.store.next_due() if leads else None, now),
        (core.store.next_expiry() if leads else None, now),
        (core.sessions.next_deadline(), monotonic),
    ):
        if moment is not None:
            waits.append(moment - base)
    return max(0.0, min(waits))


def promote(core: Core) -> None:
    """Scheduled tasks that are due wait now, at the tail: as many as a turn has time for."""
    until = core.clock.monotonic() + _TURN
    while not core.draining and core.clock.monotonic() < until:
        now = core.clock.now()
        due = core.store.next_due()
        if due is None or due > now:
            return
        promoted = core.commit.run(partial(_promote, now=now), sync=False)
        effects = Effects()
        effects.waiting.update(promoted)
        core.tell(effects)


def expire(core: Core) -> bool:
    """Ended tasks past their time to live go; their ids stay known for a day, and go then. As many as a turn
    has time for: gives whether there may be more."""
    until = core.clock.monotonic() + _TURN
    while not core.draining and core.clock.monotonic() < until:
        now = core.clock.now()
        if core.commit.run(partial(_expire, now=now), sync=False) < _CHUNK:
            return False
    return True


def forgive(core: Core, late: float) -> None:
    """The timer is so many seconds late. Over two periods the whole manager was asleep (stopped, swapped
    out): renewals could not reach it, so all sessions get half a term before they are judged. (Or its store
    hung, which looks the same from here.)"""
    if late > 2 * _LOOK:
        _log.warning("the manager, or its store, was asleep for %.0f s or more", late)
        core.sessions.grant(core.clock.monotonic() + SESSION_TERM / 2)


def _promote(tx: Transaction, now: float) -> dict[str, int]:
    return tx.promote(now, _CHUNK)


def _expire(tx: Transaction, now: float) -> int:
    return tx.expire(now, now + KEEP_ID, _CHUNK)


class Timer(threading.Thread):
    """The thread that ticks. It owns nothing; `Core.nudge_timer` wakes it early."""

    def __init__(self, core: Core) -> None:
        super().__init__(name="timer", daemon=True)
        self._core = core

    def run(self) -> None:
        while not self._core.draining:
            began = self._core.clock.monotonic()  # a manager can fall asleep in the middle of its work, too
            try:
                seconds = tick(self._core)
            except NotCommitted as error:
                _log.warning("the timer could not work, trying again in %g s: %s", _PAUSE, error)
                seconds = _PAUSE
            except Exception:  # whatever it is (a full disk, mostly): without the timer nothing would move
                _log.exception("the timer could not work, trying again in %g s", _PAUSE)
                seconds = _PAUSE
            self._core.sleep_until_nudged(seconds)
            forgive(self._core, self._core.clock.monotonic() - (began + seconds))
