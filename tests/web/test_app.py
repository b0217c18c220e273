"""The routes, called as a server would, over a real manager and real tasks."""

from __future__ import annotations

import logging
import re
from wsgiref.types import WSGIApplication

import pytest

from qm.errors import AuthFailed
from qm.task import Failure
from qm.web.app import build
from qm.web.guard import HEADERS
from qm.web.reader import DONE_SHOWN, Reader
from qm.wire.address import Address
from qm.wire.remote import Remote
from tests.web.calling import KEY, Manager, Raising, call, running_manager

LOOPBACK = Address("127.0.0.1", 8080)
ANYWHERE = Address("0.0.0.0", 8080)

#: What has hurt other pages and terminals.
HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;title\x07",
    "a\nDone:      999\n",
    "\r\nSet-Cookie: a=b",
    "\u202egnp.exe",
    "\u2028\u2029\x85\x00",
    "${7*7}{{7*7}}%s%n",
    "e" + "\u0301" * 500,
    "x" * 4000,
)


#: A source with a bug, and one with the wrong key.
BROKEN = Raising(ZeroDivisionError("a secret in a message"))
REFUSED = Raising(
    AuthFailed("the manager at 10.0.0.7:8090 refused the authkey", hint="use that manager's key")
)


def page_of(manager: Manager, address: Address = LOOPBACK, show_payloads: bool = False) -> WSGIApplication:
    return build(Reader(manager.remote, patience=0.0), address, show_payloads=show_payloads)


def away() -> WSGIApplication:
    """The page of a manager that is not there."""
    with running_manager() as manager:
        address = manager.address
    return build(Reader(Remote(address, KEY), patience=0.0), LOOPBACK)


def test_the_page_says_what_the_original_said(manager: Manager) -> None:
    done = manager.finish("1 + 1", 2)
    failed = manager.fail("1 / 0", Failure("ZeroDivisionError", "division by zero", "Traceback ..."))
    manager.client.add("work", "runs")
    manager.take("work")
    for number in range(3):
        manager.client.add("other", number)
    manager.client.cancel(manager.client.add("other", "away"))

    answer = call(page_of(manager))

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert re.fullmatch(r"Current time is: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", answer.lines[0])
    assert answer.lines[1:6] == ["Wait:      3", "Progress:  1", "Done:      3", "", "Done list:"]
    rows = [re.split(r" {2,}", line) for line in answer.lines[6:]]
    assert rows[0] == ["ID", "TYPE", "INPUT", "OUTPUT", "ENDED (UTC)"]
    assert [row[1:4] for row in rows[1:]] == [
        ["other", "away", "cancelled"],
        ["work", "1 / 0", "failed: ZeroDivisionError: division by zero (not retryable)"],
        ["work", "1 + 1", "2"],
    ]
    assert [row[0] for row in rows[2:]] == [failed, done]
    assert "Traceback" not in answer.text


def test_the_done_list_has_the_newest_tasks_and_ends(manager: Manager) -> None:
    for number in range(DONE_SHOWN + 5):
        manager.finish(f"number {number}", None)
    lines = call(page_of(manager)).lines
    assert f"Done list (the newest {DONE_SHOWN}):" in lines
    shown = [int(line.split("number ")[1].split()[0]) for line in lines if "number " in line]
    assert shown == list(range(DONE_SHOWN + 4, 4, -1))


def test_an_empty_queue_has_a_page(manager: Manager) -> None:
    lines = call(page_of(manager)).lines
    assert lines[1:4] == ["Wait:      0", "Progress:  0", "Done:      0"]
    assert lines[-1] == "(no task has ended yet)"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_task_can_leave_its_cell(manager: Manager, text: str) -> None:
    manager.finish(text, text)
    manager.finish({text: [text]}, (text, text))
    manager.fail(text, Failure(text, text, text))
    answer = call(page_of(manager))
    assert len(answer.lines) == len(answer.text.split("\n")) - 1 == 6 + 1 + 3
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", answer.text)
    assert max(map(len, answer.lines)) < 200
    assert set(answer.headers) == {name for name, _ in HEADERS} | {"Content-Type", "Content-Length", "Vary"}
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "packed",
    [
        b"\xc1",
        b"\x91" * 4000,
        b"\x81\xa1a" * 1300 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xd4\x05",
        b"\xa2\xff\xfe",
        b"\xd9",
        b"\x81\x80\x90",
        b"\xc8\x0f\xf0\x01" + b"\x7f" * 4080,
    ],
)
def test_payloads_that_cannot_be_read_are_shown_as_digits(manager: Manager, packed: bytes) -> None:
    manager.finish("before", "fine")
    manager.finish_packed(packed, packed)
    manager.fail_packed(packed)
    answer = call(page_of(manager))
    assert answer.status == 200
    assert "fine" in answer.lines[-1], "one bad payload must not take the others along"
    assert answer.lines[-2].count("0x" + packed[:16].hex()) == 2


def test_large_payloads_are_told_by_their_size(manager: Manager) -> None:
    manager.finish("x" * 5000, b"y" * 100_000)
    assert re.search(r"\(5,003 bytes\) +\(100,005 bytes\)", call(page_of(manager)).text)


def test_healthz_speaks_of_this_process_alone() -> None:
    answer = call(away(), "/healthz")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert answer.headers["Content-Type"] == "application/json"


def test_without_a_manager_the_page_says_so_and_what_to_do() -> None:
    answer = call(away())
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.lines[0] == "503 Service Unavailable: the manager is away"
    assert answer.lines[1].startswith("cannot reach the manager at 127.0.0.1:")
    assert answer.lines[2].startswith('hint: start one with "qmanager"')


def test_the_page_comes_back_with_the_manager() -> None:
    with running_manager() as first:
        remote = Remote(first.address, KEY)
        app = build(Reader(remote), LOOPBACK)
        assert call(app).status == 200
    assert call(app).status == 503
    with running_manager(first.address):
        assert call(app).status == 200
        remote.close()


@pytest.mark.parametrize("path", ["/nope", "/healthz/", "/..", "/<script>", "/a\r\nb", "/\x1b[2J", "/%2e"])
def test_unknown_paths_are_answered_without_repeating_them(path: str) -> None:
    answer = call(away(), path)
    assert (answer.status, answer.text) == (404, "404 Not Found\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/healthz", "/nope"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_nothing_but_reading_is_answered(path: str, method: str) -> None:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "localhost"}
    said: list[tuple[str, dict[str, str]]] = []
    body = away()(environ, lambda status, headers, exc=None: said.append((status, dict(headers))))  # type: ignore[arg-type]
    assert said[0][0] == "405 Method Not Allowed"
    assert said[0][1]["Allow"] == "GET, HEAD"
    assert list(body) == [b"405 Method Not Allowed: only GET, HEAD\n"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/nope"])
def test_head_answers_as_get_without_the_body(manager: Manager, path: str) -> None:
    app = page_of(manager)
    get, head = call(app, path), call(app, path, "HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert int(head.headers["Content-Length"]) == len(get.body) > 0


@pytest.mark.parametrize(
    ("status", "app", "path", "method", "host"),
    [
        (200, away, "/healthz", "GET", "localhost"),
        (404, away, "/nope", "GET", "localhost"),
        (405, away, "/", "POST", "localhost"),
        (421, away, "/", "GET", "evil.example"),
        (500, lambda: build(BROKEN, LOOPBACK), "/", "GET", "localhost"),
        (503, away, "/", "GET", "localhost"),
    ],
)
def test_every_answer_has_the_headers(status, app, path, method, host) -> None:
    answer = call(app(), path, method, host)
    assert answer.status == status
    assert {name: answer.headers[name] for name, _ in HEADERS} == dict(HEADERS)
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    for name in ("Set-Cookie", "Access-Control-Allow-Origin", "Location", "Server"):
        assert name not in answer.headers


def test_the_page_itself_has_the_headers(manager: Manager) -> None:
    assert {name: call(page_of(manager)).headers[name] for name, _ in HEADERS} == dict(HEADERS)


def test_other_machines_see_counts_and_types_only(manager: Manager) -> None:
    own = manager.client.add("work", "secret input", id="secret-id")
    manager.client.finish(manager.take("work"), "secret output")
    manager.fail("secret input", Failure("SecretError", "secret message", ""), type="other")
    manager.client.add("other", "secret input")

    answer = call(page_of(manager, ANYWHERE), host="192.168.1.5:8080")

    assert answer.status == 200
    assert own not in answer.text
    assert "secret" not in answer.text.lower()
    assert answer.lines[1:4] == ["Wait:      1", "Progress:  0", "Done:      2"]
    assert [line.split() for line in answer.lines if line[:4] in ("TYPE", "work", "othe")] == [
        ["TYPE", "WAIT", "PROGRESS", "DONE"],
        ["other", "1", "0", "1"],
        ["work", "0", "0", "1"],
    ]
    assert "no login yet" in answer.text


def test_other_machines_see_tasks_where_somebody_allowed_it(manager: Manager) -> None:
    manager.finish("the input", "the output")
    assert "the output" in call(page_of(manager, ANYWHERE, show_payloads=True), host="10.1.2.3").text


def test_a_page_with_a_name_for_others_hides_tasks_even_on_loopback(manager: Manager) -> None:
    """A proxy on this machine asks from loopback, for anybody."""
    manager.finish("the input", "the output")
    reader = Reader(manager.remote)
    for show, seen in ((False, False), (True, True)):
        app = build(reader, LOOPBACK, hosts=["tasks.example.org"], show_payloads=show)
        for host in ("tasks.example.org", "localhost"):
            assert ("the output" in call(app, host=host).text) is seen


def test_other_machines_do_not_learn_where_the_manager_is() -> None:
    answer = call(build(REFUSED, ANYWHERE), host="10.1.2.3")
    assert answer.status == 503
    assert "10.0.0.7" not in answer.text
    assert answer.lines[0] == "503 Service Unavailable: the manager is away"


def test_a_bug_is_logged_under_a_mark_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = call(build(BROKEN, LOOPBACK))
    assert answer.status == 500
    mark = re.search(r"under ([0-9a-f]{8})$", answer.text.strip())
    assert mark and mark[1] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in answer.text and "Traceback" not in answer.text
