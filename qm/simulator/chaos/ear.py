"""Hears, on a connection that passes by, what the manager answers to settlements and which tasks it gives to
whom, and writes it down.

This is where a worker's knowledge comes from, and the better place than the worker: an answer that is lost on
the way, or that reaches a process which is killed in that moment, is known here all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from qm.clock import SystemClock
from qm.messages import Claim, Fail, Finish, Release, Retry, Settlement, Slot, Taken, Verdict
from qm.simulator.chaos.journal import Claimed, Event, Journal, Settled
from qm.wire.codec import decode_reply, decode_request
from qm.wire.verbs import QUEUE

#: Frames of the handshake: from the client, from the manager.
_GREETINGS: Final = (1, 2)

#: The verbs that carry settlements, and the place of these among the arguments.
_SETTLING: Final = {"exchange": 1, "finish": 0, "fail": 0, "retry": 0, "release": 0}

#: The verbs that carry a claim, and its place.
_CLAIMING: Final = {"exchange": 0, "take": 0}

_NAMES: Final[dict[type, str]] = {Finish: "finish", Fail: "fail", Retry: "retry", Release: "release"}


class _Asked(NamedTuple):
    """A call that is not answered yet, and when it passed."""

    verb: str
    at: float
    settlements: Sequence[Settlement]
    claim: Claim | None


class Ear:
    """Listens to one connection."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._clock = SystemClock()
        self._requests = self._replies = 0
        #: What was asked and not answered yet, by the call's number.
        self._asked: dict[int, _Asked] = {}

    @property
    def is_introduced(self) -> bool:
        """Whether the handshake is over."""
        return self._requests > _GREETINGS[0] or self._replies >= _GREETINGS[1]

    def request(self, frame: bytes) -> None:
        """A frame from the client, without its length. Raises `WireError` for what is no call."""
        self._requests += 1
        if self._requests <= _GREETINGS[0]:
            return
        request = decode_request(memoryview(frame))
        verb = request.verb
        if request.object != "queue" or verb not in {*_SETTLING, *_CLAIMING}:
            return
        arguments = QUEUE[verb].decode_arguments(request.args)
        settlements = arguments[_SETTLING[verb]] if verb in _SETTLING else ()
        claim = arguments[_CLAIMING[verb]] if verb in _CLAIMING else None
        self._asked[request.rid] = _Asked(verb, self._clock.monotonic(), settlements, claim)

    def reply(self, frame: bytes) -> None:
        """A frame from the manager, before anybody else sees it. Raises as `request`."""
        self._replies += 1
        if self._replies <= _GREETINGS[1]:
            return
        reply = decode_reply(memoryview(frame))
        asked = self._asked.pop(reply.rid, None)
        if asked is None or not reply.ok:
            return
        self._journal.write(*self._told(asked, QUEUE[asked.verb].decode_answer(reply.body)))

    def _told(self, asked: _Asked, answer: Any) -> list[Event]:
        exchanged = asked.verb == "exchange"
        found: list[Event] = []
        if asked.verb in _SETTLING:
            verdicts: Sequence[Verdict] = answer.verdicts if exchanged else answer
            found += [_settled(s, v) for s, v in zip(asked.settlements, verdicts, strict=True)]
        if asked.claim is not None:
            tasks: Sequence[Taken] = answer.tasks if exchanged else answer
            now = self._clock.monotonic()
            found += [_claimed(task, asked.claim.slot, asked.at, now) for task in tasks]
        return found


def _settled(settlement: Settlement, verdict: Verdict) -> Settled:
    lease = settlement.lease
    ends = isinstance(settlement, Finish) or (isinstance(settlement, Fail) and not settlement.retryable)
    return Settled(_NAMES[type(settlement)], lease.id, lease.attempt, lease.token, verdict, ends)  # type: ignore[arg-type]


def _claimed(task: Taken, slot: Slot, asked: float, answered: float) -> Claimed:
    worker = f"{slot.session} {slot.index} {slot.incarnation}"
    return Claimed(task.id, task.lease.attempt, task.lease.token, worker, asked, answered)
