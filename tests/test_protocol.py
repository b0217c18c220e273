"""docs/protocol.md is enough to write a client and a worker: `tests/stranger.py` is one, and it works."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from qm.testing import RunningManager, running_manager
from qm.wire.tables import blocks
from tests import stranger
from tests.stranger import Connection, Fault, Refused, new_task

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "protocol.md").read_text("utf-8")
KEY = b"0123456789abcdef0123456789abcdef"
SESSION = "0197c0de-0000-7000-8000-000000000001"


@pytest.fixture
def manager() -> Iterator[RunningManager]:
    with running_manager(authkey=KEY) as manager:
        yield manager


@pytest.fixture
def client(manager: RunningManager) -> Iterator[Connection]:
    with Connection(*manager.address, KEY) as connection:
        yield connection


def worker_info(*types: str) -> dict:
    return {"session": SESSION, "host": "stranger", "pid": 1, "processes": 1, "types": {t: {} for t in types}}


def claim(call: int, *types: str, holding: tuple = (), limit: int = 1) -> dict:
    slot = [SESSION, 0, 0]
    return {"slot": slot, "call": call, "holding": list(holding), "types": list(types), "limit": limit}


def example(title: str) -> bytes:
    """The bytes of an example in the document."""
    found = re.findall(rf"^{re.escape(title)}\n((?:[0-9a-f ]+\n)+)", TEXT, re.MULTILINE)
    assert len(found) == 1, f"{len(found)} examples with the title {title!r}"
    return bytes.fromhex(found[0])


def test_the_stranger_knows_nothing_of_qm() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.partition(".")[0] in ("qm", "tests")]


def test_every_table_has_its_place_and_its_words() -> None:
    """A verb's table alone says how it is called, and not what it does."""
    words = re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", TEXT, flags=re.DOTALL)
    for name in blocks():
        assert f"<!-- {name} -->" in TEXT
        if name.startswith("queue."):
            assert f"### `{name}`" in words


def test_the_handshake_of_the_document_is_right() -> None:
    server, client = bytes(range(32)), bytes(range(32, 64))
    assert example("manager → client, 1") == stranger.frame(b"qm1" + server)
    theirs = stranger.proof(KEY, b"client", server, client)
    assert example("client → manager, 2") == stranger.frame(client + theirs)
    assert example("manager → client, 3") == stranger.frame(stranger.proof(KEY, b"server", server, client))


def test_the_calls_of_the_document_are_right() -> None:
    assert example("the call of status") == stranger.request(1, "queue", "status")
    task = new_task("order-42", "fibonacci", 15)
    assert example("the call of add") == stranger.request(2, "queue", "add", [task])
    added = msgpack.packb({"statuses": ["created"], "unserved": ["fibonacci"]})
    assert example("the answer to add") == stranger.frame(msgpack.packb([2, True, added]))


def test_the_manager_answers_the_call_of_the_document_byte_by_byte(client: Connection) -> None:
    client.sock.sendall(example("the call of add"))
    assert stranger.frame(client._frame()) == example("the answer to add")


def test_a_wrong_key_is_told_by_the_end_of_the_connection(manager: RunningManager) -> None:
    with pytest.raises(Refused, match="a wrong key"):
        Connection(*manager.address, KEY[::-1])


def test_add_take_finish_get(client: Connection) -> None:
    added = client.call("queue", "add", [new_task("order-1", "sum", [1, 2], priority=7)])
    assert added == {"statuses": ["created"], "unserved": ["sum"]}
    assert client.call("queue", "attach", worker_info("sum"))["term"] == 30
    (taken,) = client.call("queue", "take", claim(1, "sum"), 5)
    lease, type_, input_ = taken[:3]
    assert (lease[0], type_, msgpack.unpackb(input_)) == ("order-1", "sum", [1, 2])
    assert client.call("queue", "progress", [[lease, 0.5, "half"]]) == ["accepted"]
    (task,) = client.call("progress", "get", ["order-1"])["tasks"]
    assert (task["state"], task["note"], task["priority"]) == ("running", "half", 7)
    assert client.call("queue", "finish", [["finish", lease, msgpack.packb(3)]]) == ["accepted"]
    assert client.call("queue", "finish", [["finish", lease, msgpack.packb(3)]]) == ["repeated"]
    (task,) = client.call("queue", "get", ["order-1"], 5)["tasks"]
    assert (task["state"], msgpack.unpackb(task["output"])) == ("done", 3)
    (attempt,) = client.call("queue", "attempts", "order-1")
    assert (attempt["attempt"], attempt["outcome"], attempt["worker"]) == (1, "ok", "stranger:1")
    assert client.call("done", "count") == 1


def test_a_get_that_waits_is_answered_by_the_end_of_the_task(
    manager: RunningManager, client: Connection
) -> None:
    client.call("queue", "add", [new_task("slow", "sum", 1)])
    client.call("queue", "attach", worker_info("sum"))
    (taken,) = client.call("queue", "take", claim(1, "sum"))
    with Connection(*manager.address, KEY) as other:
        rid = other.send("queue", "get", ["slow"], 30)
        client.call("queue", "fail", [["fail", taken[0], msgpack.packb({"type": "E"}), False]])
        (task,) = other.answer(rid)["tasks"]
    assert (task["state"], task["reason"]) == ("failed", "not retryable")


def test_a_take_that_waits_is_answered_by_an_add(manager: RunningManager, client: Connection) -> None:
    client.call("queue", "attach", worker_info("sum"))
    with Connection(*manager.address, KEY) as worker:
        rid = worker.send("queue", "take", claim(1, "sum"), 30)
        client.call("queue", "add", [new_task("new", "sum", 1)])
        ((lease, *_),) = worker.answer(rid)
    assert lease[0] == "new"


def test_what_is_said_twice_is_done_once(client: Connection) -> None:
    task = new_task("twice", "sum", 1)
    assert client.call("queue", "add", [task])["statuses"] == ["created"]
    assert client.call("queue", "add", [task])["statuses"] == ["duplicate"]
    assert client.call("queue", "add", [new_task("twice", "sum", 2)])["statuses"] == ["conflict"]
    client.call("queue", "attach", worker_info("sum"))
    assert client.call("queue", "attach", worker_info("sum"))["term"] == 30
    client.call("queue", "take", claim(1, "sum"))  # the answer is lost
    assert client.call("queue", "take", claim(1, "sum")) == [], "an old number"
    ((lease, *_),) = client.call("queue", "take", claim(2, "sum"))
    settlement = ["finish", lease, b"\x01"]
    assert client.call("queue", "exchange", claim(3, "sum"), [settlement]) == {
        "verdicts": ["accepted"],
        "tasks": [],
    }
    assert client.call("queue", "exchange", claim(4, "sum"), [settlement])["verdicts"] == ["repeated"]
    assert client.call("queue", "exchange", claim(4, "sum"), [settlement])["verdicts"] == ["lost"]
    assert client.call("queue", "forget", ["twice"]) == ["done"]
    assert client.call("queue", "forget", ["twice"]) == [None]


def test_what_a_slot_does_not_hold_goes_back(client: Connection) -> None:
    client.call("queue", "add", [new_task(id_, "sum", 1) for id_ in ("a", "b")])
    client.call("queue", "attach", worker_info("sum"))
    (first,) = client.call("queue", "take", claim(1, "sum"))
    (second,) = client.call("queue", "take", claim(2, "sum", holding=(first[0],)))
    assert (first[0][0], second[0][0]) == ("a", "b")
    client.call("queue", "take", claim(3, "sum", holding=(second[0],), limit=0))
    assert [task["id"] for task in client.call("wait", "list")["tasks"]] == ["a"]


def test_a_cancel_reaches_the_worker_by_its_renew(manager: RunningManager, client: Connection) -> None:
    client.call("queue", "add", [new_task("stop", "sum", 1)])
    client.call("queue", "attach", worker_info("sum"))
    ((lease, *_),) = client.call("queue", "take", claim(1, "sum"))
    with Connection(*manager.address, KEY) as parent:
        rid = parent.send("queue", "renew", SESSION, 10)
        assert client.call("queue", "cancel", ["stop", "unknown"]) == ["running", None]
        assert parent.answer(rid)["cancel"] == [lease]
    error = msgpack.packb({"type": "Cancelled", "message": "", "traceback": ""})
    assert client.call("queue", "fail", [["fail", lease, error, True, "cancelled"]]) == ["accepted"]
    assert client.call("queue", "list", {"states": ["cancelled"]})["tasks"][0]["id"] == "stop"


def test_a_dead_process_and_a_leaving_pool_give_their_tasks_back(client: Connection) -> None:
    client.call("queue", "add", [new_task("a", "sum", 1)])
    client.call("queue", "attach", worker_info("sum"))
    ((lease, *_),) = client.call("queue", "take", claim(1, "sum"))
    client.call("queue", "crashed", {"slot": [SESSION, 0, 0], "exitcode": -11, "current": lease})
    with pytest.raises(Fault) as fault:
        client.call("queue", "take", claim(2, "sum"))
    assert fault.value.code == "bad_request", "a higher incarnation is needed"
    client.call("queue", "take", {**claim(1, "sum"), "slot": [SESSION, 0, 1]})
    client.call("queue", "detach", SESSION)
    (task,) = client.call("queue", "get", ["a"])["tasks"]
    assert (task.get("state", "waiting"), task["crashes"], task["attempt"]) == ("waiting", 1, 2)
    with pytest.raises(Fault) as fault:
        client.call("queue", "renew", SESSION)
    assert fault.value.code == "session_lost"


def test_calls_are_answered_in_order_without_waiting_for_each_other(client: Connection) -> None:
    rids = [client.send("done", "count") for _ in range(50)]
    assert [client.answer(rid) for rid in rids] == [0] * 50


def test_fields_of_a_later_version_are_ignored(client: Connection) -> None:
    task = {**new_task("a", "sum", 1), "colour": "blue"}
    assert client.call("queue", "add", [task], "and", ["more"])["statuses"] == ["created"]
    assert client.call("queue", "get", ["a"])["missing"] == []


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("queue", "nothing"), "not_allowed"),
        (("nothing", "add"), "not_allowed"),
        (("queue", "get"), "bad_request"),
        (("queue", "get", "not an array"), "bad_request"),
        (("queue", "get", ["a"] * 1001), "too_large"),
        (("queue", "finish", [["fail", ["a", 1, 1], b""]]), "bad_request"),
        (("queue", "take", claim(1, "sum")), "session_lost"),
    ],
)
def test_errors_have_their_codes_and_the_connection_stays(client: Connection, call: tuple, code: str) -> None:
    with pytest.raises(Fault) as fault:
        client.call(*call)
    assert fault.value.code == code
    assert f'| "{code}" |' in TEXT
    assert client.call("done", "count") == 0


def test_an_envelope_that_is_none_ends_the_connection(client: Connection) -> None:
    client.sock.sendall(stranger.frame(msgpack.packb({"rid": 1})))
    with pytest.raises(EOFError):
        client.answer(1)


def test_many_strangers_at_once(manager: RunningManager) -> None:
    """Each with a connection of its own, none with another's answer."""
    wrong: list[str] = []

    def add(number: int) -> None:
        with Connection(*manager.address, KEY) as own:
            ids = [f"{number}-{place}" for place in range(20)]
            for id_ in ids:
                own.call("queue", "add", [new_task(id_, "sum", 1)])
            found = [task["id"] for task in own.call("queue", "get", ids)["tasks"]]
            wrong.extend(set(ids) ^ set(found))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with Connection(*manager.address, KEY) as own:
        assert own.call("wait", "count") == 160
