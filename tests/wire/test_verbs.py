"""The verbs: one list that client, wire and queue share, and arguments that are what they say."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from qm.client import Client
from qm.messages import Claim, ListQuery, NewTask, Slot
from qm.queue import Queue
from qm.queue.views import View
from qm.task import State
from qm.wire.codec import encode
from qm.wire.frames import WireError
from qm.wire.verbs import OBJECTS, QUEUE, VIEW, Signature
from tests.wire.test_codec import NESTS

SIGNATURES = [*(("queue", verb) for verb in QUEUE), *(("view", verb) for verb in VIEW)]
TASK = NewTask(id="a", type="t", input=b"\xc0", digest=bytes(16))


def signature(kind: str, verb: str) -> Signature:
    return (QUEUE if kind == "queue" else VIEW)[verb]


def test_the_objects_are_the_queue_and_its_three_views() -> None:
    assert {"queue": QUEUE, "wait": VIEW, "progress": VIEW, "done": VIEW} == OBJECTS


@pytest.mark.parametrize(("kind", "verb"), SIGNATURES)
def test_the_queue_has_each_verb_with_the_same_arguments(kind: str, verb: str) -> None:
    ours = signature(kind, verb)
    method = getattr(Queue if kind == "queue" else View, verb)
    parameters = [p for p in inspect.signature(method).parameters if p not in {"self", "caller"}]
    assert len(parameters) == len(ours.names)
    assert ("caller" in inspect.signature(method).parameters) == ours.waits


@pytest.mark.parametrize("verb", QUEUE)
def test_the_client_has_a_method_for_each_verb(verb: str) -> None:
    assert callable(getattr(Client, verb))


def test_arguments_left_out_get_their_defaults() -> None:
    """So a client of an older version can call: it leaves out what it does not know."""
    assert QUEUE["get"].decode_arguments(encode([["a"]])) == [["a"], 0]
    assert QUEUE["renew"].decode_arguments(encode(["s"])) == ["s", 0, False, ()]
    assert VIEW["list"].decode_arguments(encode([])) == [50, None, None]


@pytest.mark.parametrize(("kind", "verb"), SIGNATURES)
def test_arguments_that_a_newer_client_adds_are_left_aside(kind: str, verb: str) -> None:
    ours = signature(kind, verb)
    samples: dict[str, Any] = {
        "tasks": [TASK],
        "ids": ["a"],
        "id": "a",
        "before": 3,
        "wait": 1.5,
        "query": ListQuery(states=(State.DONE,)),
        "worker": {"session": "s", "host": "h", "pid": 1, "processes": 1, "types": {}},
        "session": "s",
        "draining": True,
        "heard": [],
        "crash": {"slot": Slot("s", 0, 0), "exitcode": -11},
        "claim": Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["t"]),
        "settlements": [],
        "items": [],
        "limit": 5,
        "cursor": None,
        "type": "t",
    }
    known = [samples[name] for name in ours.names]
    assert len(ours.decode_arguments(encode([*known, "from", {"next": "year"}]))) == len(ours.names)


@pytest.mark.parametrize(("kind", "verb"), SIGNATURES)
@pytest.mark.parametrize(
    "packed",
    [
        encode(None),
        encode("text"),
        encode({}),
        encode({"ids": ["a"]}),
        encode([[[]], [[]], [[]]]),
        encode([1.5, object.__name__, {}]),
        b"",
        b"\xc1",
        b"\x91\xa1\xff",
        b"\x91\x91\xa1\xff",
    ],
)
def test_arguments_of_a_wrong_type_are_refused(kind: str, verb: str, packed: bytes) -> None:
    ours = signature(kind, verb)
    if not ours.names and packed[:1] >= b"\x90" and packed[:1] <= b"\x9f":
        assert ours.decode_arguments(packed) == []  # it takes nothing, so all that comes is too much
        return
    with pytest.raises(WireError):
        ours.decode_arguments(packed)


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize(("kind", "verb"), SIGNATURES)
def test_arguments_that_are_a_nest_are_refused(kind: str, verb: str, nest: bytes) -> None:
    with pytest.raises(WireError):
        signature(kind, verb).decode_arguments(nest)


def test_a_call_is_bound_as_a_functions_is() -> None:
    get = QUEUE["get"]
    assert get.decode_arguments(encode(get.arguments(["a"], wait=2))) == [["a"], 2]
    view = VIEW["list"]
    assert view.decode_arguments(encode(view.arguments(type="mail"))) == [50, None, "mail"]
    for wrong in ({"timeout": 5}, {}):
        with pytest.raises(TypeError):
            get.arguments(**wrong)
    with pytest.raises(TypeError):
        get.arguments(["a"], 0, "too much")
