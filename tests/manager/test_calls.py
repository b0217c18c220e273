"""Calls: bad ones are told what is wrong and may go on, errors travel as words, nothing outgrows a frame."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qm.errors import BadRequest, Internal, NotFound, QueueError, TooLarge
from qm.limits import BATCH_BYTES, FRAME_MAX, PAYLOAD_MAX
from qm.manager import Server
from qm.messages import Claim, NewTask, Slot, TypeOptions, WorkerInfo
from qm.store.sqlite import SQLiteStore
from qm.wire.codec import encode
from qm.wire.remote import Channels, Remote
from qm.wire.verbs import OBJECTS, QUEUE, QueueVerbs
from tests.manager.serving import Managed, ask, managed
from tests.wire.peers import KEY, Peer

WORKER = WorkerInfo(session="s", host="here", pid=1, processes=1, types={"t": TypeOptions()})
VERBS = [(target, verb) for target, verbs in OBJECTS.items() for verb in verbs]


def task(id_: str, size: int = 1, type_: str = "t") -> NewTask:
    return NewTask(id=id_, type=type_, input=b"\xc4" + bytes(size - 1), digest=bytes(16))


@pytest.fixture
def remote(manager: Managed) -> Iterator[Remote]:
    remote = Remote(manager.address, KEY)
    yield remote
    remote.close()


@pytest.fixture
def queue(remote: Remote) -> QueueVerbs:
    return remote.queue()


@pytest.mark.parametrize(
    "args", [None, 5, "text", {"ids": []}, [None], [[None]], [{}], [[], "soon"], [5, 5, 5]], ids=repr
)
def test_arguments_of_a_wrong_type_are_a_bad_request_and_the_connection_stays_good(
    manager: Managed, args: Any
) -> None:
    with Peer.known(manager.address) as peer:
        for rid, (target, verb) in enumerate(VERBS):
            peer.ask(rid, target, verb, encode(args))
            answered, ok, body = msgspec.msgpack.decode(peer.read())
            assert answered == rid
            if not ok:
                code, text, _ = msgspec.msgpack.decode(body)
                assert code == "bad_request" and text.startswith(f"{verb}: "), (verb, code, text)
        peer.ask(99, "done", "count", encode([]))
        assert msgspec.msgpack.decode(peer.read()) == [99, True, encode(0)]


@pytest.mark.parametrize("args", [b"", b"\xc1", b"\xa1x", b"\x90x", b"\x91" * 100_000], ids=len)
def test_arguments_that_are_no_arguments_are_a_bad_request_too(manager: Managed, args: bytes) -> None:
    with Peer.known(manager.address) as peer:
        for rid, (target, verb) in enumerate(VERBS):
            peer.ask(rid, target, verb, args)
            _, ok, body = msgspec.msgpack.decode(peer.read())
            assert not ok, verb
            assert msgspec.msgpack.decode(body)[0] == "bad_request"


def test_text_that_is_not_utf_8_is_a_bad_request_too(manager: Managed) -> None:
    with Peer.known(manager.address) as peer:
        peer.ask(1, "queue", "get", b"\x91\x91\xa1\xff")
        _, ok, body = msgspec.msgpack.decode(peer.read())
        assert not ok and msgspec.msgpack.decode(body)[0] == "bad_request"


def test_what_is_wrong_is_said(queue: QueueVerbs) -> None:
    with pytest.raises(BadRequest, match=r"^get: Expected `str`, got `int` - at `\$\[0\]\[1\]`$"):
        queue.get(["a", 5])  # type: ignore[list-item]


def test_what_a_newer_client_adds_is_left_aside(manager: Managed) -> None:
    channels = Channels(manager.address, KEY)
    newer = {"id": "a", "type": "t", "input": b"\xc0", "digest": bytes(16), "tag": "new", "after": ["b"]}
    channels.call("queue", "add", encode([[newer], "fast", {"trace": 1}]), 5)
    got = QUEUE["get"].decode_answer(channels.call("queue", "get", encode([["a"], 0, True, None]), 5))
    assert [t.id for t in got.tasks] == ["a"]
    channels.close()


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63)])
def test_numbers_that_a_store_cannot_keep_are_a_bad_request(tmp_path: Path, number: int) -> None:
    """msgpack's go to 2**64, SQL's to 2**63."""
    lease = ["a", number, number]
    calls: dict[str, Any] = {
        "attach": [msgspec.structs.replace(WORKER, pid=abs(number))],
        "crashed": [{"slot": ["s", number, 0], "exitcode": 1, "current": lease}],
        "finish": [[["finish", lease, b"\xc0"]]],
        "fail": [[["fail", lease, b"\xc0"]]],
        "retry": [[["retry", lease]]],
        "release": [[["release", lease]]],
        "progress": [[[lease, 0.5]]],
    }
    with managed(SQLiteStore.open(tmp_path / "queue.db", durability="relaxed")) as manager:
        channels = Channels(manager.address, KEY)
        for verb, args in calls.items():
            try:
                channels.call("queue", verb, encode(args), 5)
            except BadRequest as error:
                assert str(error) == f"{verb}: a number is out of range"
            else:
                assert number < 0 or verb == "crashed"
        assert QUEUE["status"].decode_answer(channels.call("queue", "status", encode([]), 5)).wait == 0
        channels.close()


def test_a_wait_that_is_no_number_does_not_wait(queue: QueueVerbs) -> None:
    queue.add([task("a")])
    queue.attach(WORKER)
    claim = Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["none"])
    for wait in (math.nan, -math.inf, -1.0):
        assert queue.get(["a"], wait).tasks[0].id == "a"
        assert queue.take(msgspec.structs.replace(claim, call=claim.call + 1), wait) == []
        assert not queue.renew("s", wait).drain


def test_an_error_keeps_its_code_text_and_hint(server: Server) -> None:
    """Row 18."""
    with Peer.known(server.address) as peer:
        peer.ask(3, "echo", "refuse", encode(["no task here"]))
        rid, ok, body = msgspec.msgpack.decode(peer.read())
        assert (rid, ok) == (3, False)
        assert msgspec.msgpack.decode(body) == ["not_found", "no task here", "look elsewhere"]


def test_an_error_is_raised_on_the_other_side_as_what_it_was(channels: Channels) -> None:
    """Row 18."""
    with pytest.raises(NotFound) as caught:
        ask(channels, "refuse", "no task here")
    assert (str(caught.value), caught.value.hint) == ("no task here", "look elsewhere")
    assert ask(channels, "echo", "next") == "next"


def test_an_internal_error_shows_a_mark_and_the_log_has_the_rest(
    channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 18: to the caller no traceback, no path, no word of the inside; to the log all of it."""
    with pytest.raises(Internal) as caught:
        ask(channels, "blow", "the password")
    match = re.fullmatch(
        r"something went wrong in the manager; its log says more under ([0-9a-f]{8})", str(caught.value)
    )
    assert match and caught.value.hint is None
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert match[1] in record.getMessage() and "'blow' of 'echo'" in record.getMessage()
    assert record.exc_info and isinstance(record.exc_info[1], KeyError)
    assert ask(channels, "echo", "next") == "next"


def test_a_callers_words_cannot_forge_a_log_line(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Row 30."""
    caplog.set_level(logging.DEBUG)
    with Peer.known(server.address) as peer:
        peer.ask(1, "echo\nERROR fake", "blow\nERROR fake", encode(["x"]))
        peer.read()
        peer.ask(2, "echo", "blow", encode(["x"]))
        peer.read()
    assert [record for record in caplog.records if "\n" in record.getMessage()] == []


def test_an_answer_over_the_frame_limit_is_an_error_and_the_connection_stays_good(channels: Channels) -> None:
    assert len(ask(channels, "many", FRAME_MAX - 100)) == FRAME_MAX - 100
    line = channels._shared
    with pytest.raises(TooLarge, match=f"the limit is {FRAME_MAX:,}"):
        ask(channels, "many", FRAME_MAX)
    assert ask(channels, "echo", "next") == "next"
    assert channels._shared is line


def test_a_question_over_the_frame_limit_is_an_error_before_it_is_sent(channels: Channels) -> None:
    assert ask(channels, "echo", "first") == "first"
    line = channels._shared
    with pytest.raises(TooLarge, match=f"the limit is {FRAME_MAX:,}"):
        ask(channels, "echo", "x" * FRAME_MAX)
    assert ask(channels, "echo", "next") == "next"
    assert channels._shared is line


def test_an_input_has_a_bound(queue: QueueVerbs) -> None:
    queue.add([task("a", PAYLOAD_MAX)])
    with pytest.raises(TooLarge, match="input of b"):
        queue.add([task("c"), task("b", PAYLOAD_MAX + 1)])
    assert queue.get(["b", "c"]).missing == ["b", "c"], "and then nothing of the call was stored"


def test_a_take_a_get_and_a_list_are_bounded_by_bytes_as_by_counts(queue: QueueVerbs) -> None:
    size = BATCH_BYTES * 2 // 5
    ids = list("abcde")
    for id_ in ids:
        queue.add([task(id_, size)])
    got = queue.get(ids)
    assert [t.id for t in got.tasks] == ["a", "b"] and got.rest == ["c", "d", "e"]
    queue.attach(WORKER)
    claim = Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["t"], limit=5)
    assert [t.id for t in queue.take(claim)] == ["a", "b"]


def test_a_task_over_the_bound_of_a_batch_travels_alone(queue: QueueVerbs) -> None:
    queue.add([task("a", PAYLOAD_MAX)])
    queue.add([task("b", PAYLOAD_MAX)])
    assert [t.id for t in queue.get(["a", "b"]).tasks] == ["a"]
    queue.attach(WORKER)
    claim = Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["t"], limit=5)
    assert [t.id for t in queue.take(claim)] == ["a"]


def test_every_verb_refuses_too_many_at_once(queue: QueueVerbs) -> None:
    ids = [f"t{n}" for n in range(1001)]
    for verb in ("get", "cancel", "requeue", "forget"):
        with pytest.raises(TooLarge):
            getattr(queue, verb)(ids)
    with pytest.raises(TooLarge):
        queue.add([task(id_) for id_ in ids])


def test_a_view_is_a_view(remote: Remote) -> None:
    remote.queue().add([task("a"), task("b", type_="other")])
    assert (remote.wait().count(), remote.progress().count(), remote.done().count()) == (2, 0, 0)
    assert [t.id for t in remote.wait().list().tasks] == ["a", "b"]
    assert [t.id for t in remote.wait().list(type="other").tasks] == ["b"]
    assert remote.done().get(["a"]).missing == ["a"]
    with pytest.raises(AttributeError):
        remote.wait().add  # type: ignore[attr-defined]  # noqa: B018


def test_no_error_of_the_tree_ends_a_connection(server: Server, channels: Channels) -> None:
    for _ in range(20):
        with pytest.raises(QueueError):
            ask(channels, "refuse", "x")
        with pytest.raises(BadRequest, match="overflow: a number is out of range"):
            ask(channels, "overflow")
    assert len(server._proved) == 1
