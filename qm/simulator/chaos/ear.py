"""Hears, on a connection that passes by, what the manager answers to settlements, and writes it down.

This is where a worker's knowledge comes from, and the better place than the worker: an answer that is lost on
the way, or that reaches a process which is killed in that moment, is known here all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qm.messages import Fail, Finish, Release, Retry, Settlement, Verdict
from qm.simulator.chaos.journal import Journal, Settled
from qm.wire.codec import decode_reply, decode_request
from qm.wire.verbs import QUEUE

#: Frames of the handshake: from the client, from the manager.
_GREETINGS: Final = (1, 2)

#: The verbs that carry settlements, and the place of these among the arguments.
_PLACES: Final = {"exchange": 1, "finish": 0, "fail": 0, "retry": 0, "release": 0}

_NAMES: Final[dict[type, str]] = {Finish: "finish", Fail: "fail", Retry: "retry", Release: "release"}


class Ear:
    """Listens to one connection."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._requests = self._replies = 0
        #: What was asked and not answered yet, by the call's number.
        self._asked: dict[int, tuple[str, Sequence[Settlement]]] = {}

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
        if request.object != "queue" or request.verb not in _PLACES:
            return
        settlements = QUEUE[request.verb].decode_arguments(request.args)[_PLACES[request.verb]]
        if settlements:
            self._asked[request.rid] = (request.verb, settlements)

    def reply(self, frame: bytes) -> None:
        """A frame from the manager, before anybody else sees it. Raises as `request`."""
        self._replies += 1
        if self._replies <= _GREETINGS[1]:
            return
        reply = decode_reply(memoryview(frame))
        verb, settlements = self._asked.pop(reply.rid, ("", ()))
        if not (verb and reply.ok):
            return
        answer = QUEUE[verb].decode_answer(reply.body)
        verdicts: Sequence[Verdict] = answer.verdicts if verb == "exchange" else answer
        self._journal.write(*(_settled(s, v) for s, v in zip(settlements, verdicts, strict=True)))


def _settled(settlement: Settlement, verdict: Verdict) -> Settled:
    lease = settlement.lease
    ends = isinstance(settlement, Finish) or (isinstance(settlement, Fail) and not settlement.retryable)
    return Settled(_NAMES[type(settlement)], lease.id, lease.attempt, lease.token, verdict, ends)  # type: ignore[arg-type]
