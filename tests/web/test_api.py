"""What the page's scripts are told, over a real manager; and the bounds of what they may ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qm.errors import AuthFailed, QueueError, TimedOut
from qm.limits import LOG_MAX
from qm.messages import SEALED_NOTE_MAX, Details, Finish
from qm.payload import pack
from qm.sealing import Keyring, PayloadKeys, Place, Purpose, new_key
from qm.task import Failure
from qm.web.app import build
from qm.web.guard import HEADERS
from qm.web.parameters import LIMIT_MAX
from qm.web.reader import Reader
from qm.wire.address import Address
from tests.web.calling import Answer, Manager, Raising, call
from tests.web.test_app import ANYWHERE, HOSTILE, away, page_of

PATHS = ("/api/overview", "/api/tasks", "/api/tasks/x", "/readyz")


def ask(manager: Manager, path: str, query: str = "", **environ: Any) -> Answer:
    return call(page_of(manager), path, QUERY_STRING=query, **environ)


def told(answer: Answer) -> Any:
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body)


def error_of(answer: Answer) -> dict[str, str]:
    error = told(answer)["error"]
    assert set(error) == {"code", "message", "hint"}
    return error


def test_the_overview_says_how_things_stand(manager: Manager) -> None:
    done = manager.finish("1 + 1", 2)
    failed = manager.fail("1 / 0", Failure("ZeroDivisionError", "division by zero", "Traceback ..."))
    manager.client.add("work", "runs")
    manager.take("work")
    manager.client.add("lonely", "waits")
    answer = ask(manager, "/api/overview")
    assert answer.status == 200
    found = told(answer)
    assert (found["wait"], found["progress"], found["done"]) == (1, 1, 2)
    assert (found["states"]["failed"], found["states"]["done"]) == (1, 1)
    assert found["types"] == [
        {"type": "work", "wait": 0, "progress": 1, "done": 2, "failed": 1},
        {"type": "lonely", "wait": 1, "progress": 0, "done": 0, "failed": 0},
    ]
    assert (found["type_count"], found["pool_count"], found["processes"]) == (2, 1, 1)
    assert found["pools"][0]["name"] == "h:1" and found["pools"][0]["types"] == ["other", "work"]
    assert found["unserved"] == ["lonely"]
    assert found["now"] >= found["started"] > 0
    assert [task["id"] for task in found["tasks"]] == [failed, done]
    first, second = found["tasks"]
    assert first["outcome"] == "failed: ZeroDivisionError: division by zero (not retryable)"
    assert (second["input"], second["outcome"], second["worker"]) == ("1 + 1", "2", "h:1")
    assert second["added"] <= second["started"] <= second["ended"]
    assert "Traceback" not in answer.text


def test_the_rate_is_known_from_the_second_look_on(manager: Manager) -> None:
    assert told(ask(manager, "/api/overview"))["rate"] is None


def test_what_is_known_is_not_sent_again(manager: Manager) -> None:
    manager.finish("1 + 1", 2)
    app = page_of(manager)
    first = call(app, "/api/overview")
    tag = first.headers["Etag"]
    assert tag.startswith('W/"') and first.headers["Cache-Control"] == "private, no-cache"
    for header in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = call(app, "/api/overview", HTTP_IF_NONE_MATCH=header)
        assert (again.status, again.body, again.headers["Etag"]) == (304, b"", tag)
        assert again.headers["Cache-Control"] == "private, no-cache"
        assert {name for name, _ in HEADERS} <= set(again.headers)
    assert call(app, "/api/overview", HTTP_IF_NONE_MATCH='W/"other"').status == 200


def test_the_time_alone_is_no_news_and_a_task_is(manager: Manager) -> None:
    one, two = ask(manager, "/api/overview"), ask(manager, "/api/overview")
    assert told(one)["now"] != told(two)["now"]
    assert one.headers["Etag"] == two.headers["Etag"]
    manager.client.add("work", None)
    assert ask(manager, "/api/overview").headers["Etag"] != two.headers["Etag"]


def test_lists_are_filtered_and_go_on_by_their_cursor(manager: Manager) -> None:
    ids = [manager.finish(number, None) for number in range(5)]
    failed = manager.fail("wrong", Failure("Error", "wrong"), type="other")
    page = told(ask(manager, "/api/tasks", "limit=4"))
    assert [task["id"] for task in page["tasks"]] == [failed, *reversed(ids[2:])]
    rest = told(ask(manager, "/api/tasks", f"limit=4&cursor={page['next']}"))
    assert ([task["id"] for task in rest["tasks"]], rest["next"]) == ([ids[1], ids[0]], None)
    for query, wanted in (
        ("state=failed", [failed]),
        ("state=done&type=other", []),
        ("type=other", [failed]),
        ("state=cancelled", []),
        ("state=running", []),
    ):
        assert [task["id"] for task in told(ask(manager, "/api/tasks", query))["tasks"]] == wanted, query


def test_a_running_task_says_how_far_it_is(manager: Manager) -> None:
    id_ = manager.client.add("work", "long")
    lease = manager.take("work")
    manager.client.progress(lease, 0.25, "a quarter")
    (task,) = told(ask(manager, "/api/tasks", "state=running"))["tasks"]
    assert (task["id"], task["progress"], task["note"]) == (id_, 0.25, "a quarter")
    assert "ended" not in task and "outcome" not in task


@pytest.mark.parametrize(
    "query",
    [
        "state=DONE",
        "state=",
        "state=waiting",
        "type=",
        "type=a/b",
        "type=" + "x" * 65,
        "limit=0",
        "limit=-1",
        f"limit={LIMIT_MAX + 1}",
        "limit=1e3",
        "limit=99999999999999999999",
        "limit=٣",
        "limit=%31%20",
        "cursor=",
        "cursor=x",
        "cursor=ended_nan_1",
        "cursor=" + "9" * 201,
        "cursor=<script>",
        "days=9999999",
        "State=done",
        "state=done&state=failed",
        "state=done&callback=alert",
        "a=1&" * 40,
        "%ff=1",
        "x",
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(manager: Manager, query: str) -> None:
    answer = ask(manager, "/api/tasks", query)
    error = error_of(answer)
    assert (answer.status, error["code"]) == (400, "bad_request")
    assert "<" not in answer.text and len(answer.body) < 400


@pytest.mark.parametrize("path", ["/api/overview", "/api/tasks/some-id"])
def test_parameters_that_a_route_does_not_know_are_refused(manager: Manager, path: str) -> None:
    answer = ask(manager, path, "limit=5")
    assert answer.status == 400
    assert "there is no parameter 'limit'" in error_of(answer)["message"]


def test_sealed_notes_and_logs_are_shown_by_their_size(manager: Manager) -> None:
    """As payloads are: nobody reads Base64."""
    keyring = Keyring(PayloadKeys((new_key(),)))
    id_ = manager.client.add("work", "long")
    lease = manager.take("work")
    note = keyring.seal_text(Place(Purpose.NOTE, id_, 1), "a quarter", SEALED_NOTE_MAX)
    manager.client.progress(lease, 0.25, note)
    shown = f"sealed ({len(note)} bytes)"
    (row,) = told(ask(manager, "/api/tasks", "state=running"))["tasks"]
    task = told(ask(manager, f"/api/tasks/{id_}"))["task"]
    assert (row["note"], task["note"]) == (shown, shown)
    log = keyring.seal_text(Place(Purpose.LOG, id_, 1), "line\n" * 10_000, LOG_MAX)
    manager.remote.queue().finish([Finish(lease, pack(1), Details(log=log))])
    (attempt,) = told(ask(manager, f"/api/tasks/{id_}"))["attempts"]
    assert attempt["log"] == f"sealed ({len(log):,} bytes)"


def test_one_task_is_told_with_its_attempts(manager: Manager) -> None:
    id_ = manager.fail("1 / 0", Failure("ZeroDivisionError", "division by zero", "Traceback\n  line 1"))
    answer = ask(manager, f"/api/tasks/{id_}")
    found = told(answer)
    assert (answer.headers["Cache-Control"], "Etag" in answer.headers) == ("no-store", False)
    assert (found["task"]["id"], found["task"]["state"], found["task"]["reason"]) == (
        id_,
        "failed",
        "not retryable",
    )
    assert (found["task"]["input"], found["task"]["output"]) == ("1 / 0", None)
    (attempt,) = found["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["worker"]) == (1, "error", "h:1")
    assert attempt["error"] == {
        "type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback": "Traceback\n  line 1",
    }
    assert found["more"] is False


def test_older_attempts_are_asked_for_by_number(manager: Manager) -> None:
    id_ = manager.client.add("work", None, attempts=30)
    for _ in range(25):
        manager.client.retry(manager.take("work"))
    first = told(ask(manager, f"/api/tasks/{id_}"))
    assert ([a["attempt"] for a in first["attempts"]], first["more"]) == (list(range(25, 5, -1)), True)
    second = told(ask(manager, f"/api/tasks/{id_}", "before=6"))
    assert ([a["attempt"] for a in second["attempts"]], second["more"]) == ([5, 4, 3, 2, 1], False)
    for before in ("0", "-1", "x", str(2**31 + 1)):
        assert ask(manager, f"/api/tasks/{id_}", f"before={before}").status == 400


def test_a_payload_has_more_room_on_its_own_page(manager: Manager) -> None:
    id_ = manager.finish(list(range(50)), "x" * 5000)
    task = told(ask(manager, f"/api/tasks/{id_}"))["task"]
    assert task["input"] == str(list(range(50)))
    assert task["output"] == "x" * 4096 + "…"
    huge = manager.finish(None, "x" * 100_000)
    assert told(ask(manager, f"/api/tasks/{huge}"))["task"]["output"] == "(100,005 bytes)"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(manager: Manager, text: str) -> None:
    id_ = manager.fail({text: [text]}, Failure(text, text, text))
    for answer in (
        ask(manager, "/api/overview"),
        ask(manager, "/api/tasks"),
        ask(manager, f"/api/tasks/{id_}"),
    ):
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for character in "\x1b\x00\x07\r\u202e\u2028\u2029\x85":
            assert character not in answer.text and f'\\u{ord(character):04x}"' not in answer.text
        told(answer)


@pytest.mark.parametrize("packed", [b"\xc1", b"\x91" * 4000, b"\xdf\xff\xff\xff\xff", b"\xa2\xff\xfe"])
def test_payloads_that_cannot_be_read_do_not_hide_the_rest(manager: Manager, packed: bytes) -> None:
    manager.fail_packed(packed)
    manager.finish_packed(packed, packed)
    (done, failed) = told(ask(manager, "/api/tasks"))["tasks"]
    assert done["input"].startswith("0x") and done["outcome"].startswith("0x")
    for task in (done, failed):
        assert ask(manager, f"/api/tasks/{task['id']}").status == 200


def test_an_unknown_task_is_not_found(manager: Manager) -> None:
    answer = ask(manager, "/api/tasks/no-such-task")
    assert (answer.status, error_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("id_", ["a b", "a<b", "x" * 65, "%", "ü"])
def test_what_cannot_be_an_id_is_refused(manager: Manager, id_: str) -> None:
    path = f"/api/tasks/{id_}".encode().decode("latin-1")
    answer = ask(manager, path)
    assert (answer.status, error_of(answer)["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/tasks/", "/api/tasks/a/b", "/api/nope"])
def test_other_addresses_are_not_there(manager: Manager, path: str) -> None:
    assert ask(manager, path).status == 404


@pytest.mark.parametrize(
    "path", ["/api/overview", "/api/tasks", "/api/tasks/x", "/readyz", "/static/main.js"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(manager: Manager, path: str, method: str) -> None:
    said: list[str] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "localhost"}
    page_of(manager)(environ, lambda status, headers, exc=None: said.append(status))  # type: ignore[arg-type]
    assert said == ["405 Method Not Allowed"]


@pytest.mark.parametrize("path", PATHS)
def test_a_manager_that_is_away_is_said_in_words(path: str) -> None:
    answer = call(away(), path)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot reach the manager" in answer.text


@pytest.mark.parametrize(
    "path", ["/api/overview", "/api/tasks", "/api/tasks/x", "/static/main.js", "/readyz"]
)
def test_a_site_that_points_its_name_here_reads_nothing(manager: Manager, path: str) -> None:
    assert call(page_of(manager), path, host="evil.example").status == 421


def test_other_machines_see_counts_and_types_only(manager: Manager) -> None:
    own = manager.client.add("work", "secret input", id="secret-id")
    manager.client.finish(manager.take("work"), "secret output")
    manager.fail("secret input", Failure("SecretError", "secret message", ""), type="other")
    app = page_of(manager, ANYWHERE)
    answer = call(app, "/api/overview", host="192.168.1.5:8080")
    found = told(answer)
    assert "secret" not in answer.text.lower() and "h:1" not in answer.text
    assert (found["tasks"], found["pools"], found["rpc"], found["pool_count"]) == (None, None, None, 1)
    assert {one["type"]: one["done"] for one in found["types"]} == {"work": 1, "other": 1}
    for path, query in (("/api/tasks", ""), (f"/api/tasks/{own}", ""), ("/api/tasks/x", "before=1")):
        refused = call(app, path, host="192.168.1.5:8080", QUERY_STRING=query)
        assert (refused.status, error_of(refused)["code"]) == (403, "not_allowed")
        assert "secret" not in refused.text


def test_other_machines_see_tasks_where_somebody_allowed_it(manager: Manager) -> None:
    manager.finish("the input", "the output")
    app = page_of(manager, ANYWHERE, show_payloads=True)
    assert "the output" in call(app, "/api/tasks", host="10.1.2.3").text


@pytest.mark.parametrize("path", ["/api/overview", "/readyz"])
@pytest.mark.parametrize("error", [AuthFailed("the manager at 10.0.0.7:8090 refused"), TimedOut("10.0.0.7")])
def test_other_machines_do_not_learn_where_the_manager_is(path: str, error: QueueError) -> None:
    answer = call(build(Raising(error), ANYWHERE), path, host="10.1.2.3")
    assert answer.status == 503
    assert "10.0.0.7" not in answer.text and "the manager is away" in answer.text


def test_the_address_of_the_manager_is_told_where_it_is_not_the_usual_one(manager: Manager) -> None:
    for rpc, said in ((Address("127.0.0.1", 8090), None), (Address("127.0.0.1", 9000), "127.0.0.1:9000")):
        app = build(Reader(manager.remote), Address("127.0.0.1", 8080), rpc=rpc)
        assert told(call(app, "/api/overview"))["rpc"] == said


def test_it_is_ready_while_the_manager_answers_and_does_not_drain(manager: Manager) -> None:
    app = page_of(manager)
    ready = call(app, "/readyz")
    assert (ready.status, told(ready)) == (200, {"status": "ready"})
    manager.queue.drain()
    draining = call(app, "/readyz")
    assert (draining.status, told(draining)["reason"]) == (503, "the manager is stopping")
    assert call(app, "/healthz").status == 200
    assert told(call(app, "/api/overview"))["draining"] is True
