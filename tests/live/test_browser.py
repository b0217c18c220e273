"""The page in a real Chromium, over real processes: what a viewer sees, and what hostile text cannot do."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Request, expect

from qm.manager.webprocess import WebProcess
from qm.messages import Claim, Details, Fail, NewTask, Progress, Slot, Taken, TypeOptions, WorkerInfo
from qm.payload import digest, pack, pack_failure
from qm.task import Failure
from qm.wire.address import Address
from tests.live.browser import chromium
from tests.wants import want_program
from tests.web.calling import KEY, Manager, running_manager

expect.set_options(timeout=15_000)  # a hang, and no measure

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("browser")]

HERE = Address("127.0.0.1", 0)

#: What has run in other pages. Each calls `alert`, loads from another host, or changes the page.
HOSTILE = (
    "<script>alert('ran')</script>"
    "<img src=x onerror=alert('ran')><img src=https://evil.example/x.png>"
    "<svg onload=alert('ran')><iframe src='javascript:alert(1)'></iframe>"
    "'\"><b id=injected>x</b></td></table></pre><style>*{display:none}</style>"
    "javascript:alert('ran') {{7*7}} ${7*7} \u202egnp.exe \u2028 \x1b[2J \x00"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(want_program("chromium")) as browser:
        yield browser


@pytest.fixture
def manager() -> Iterator[Manager]:
    with running_manager() as manager:
        manager.work("work", "other")
        yield manager


class Viewer:
    """A page, and all that happens in it that should not."""

    def __init__(self, page: Page, web: Address) -> None:
        self.page = page
        self.web = web
        self.dialogs: list[str] = []
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.asked: list[str] = []
        page.on("dialog", self._dismiss)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._see)

    def open(self, fragment: str = "/") -> Page:
        self.page.goto(f"http://{self.web}/#{fragment}")
        return self.page

    def fine(self) -> None:
        """Fails where a script ran, the policy was broken, or another host was asked."""
        assert (self.dialogs, self.complaints, self.strangers) == ([], [], [])

    def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _see(self, request: Request) -> None:
        self.asked.append(request.url)
        if not request.url.startswith(f"http://{self.web}/"):
            self.strangers.append(request.url)


@pytest.fixture
def web(manager: Manager) -> Iterator[WebProcess]:
    web = WebProcess(manager.address, HERE, KEY)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def viewer(browser: Browser, web: WebProcess) -> Iterator[Viewer]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(15_000)
    yield Viewer(page, web.address)
    page.close()


def card(page: Page, name: str) -> Locator:
    """The large number of a card."""
    return page.locator(f".card.{name} .figure")


def test_it_is_live_without_a_reload(manager: Manager, viewer: Viewer) -> None:
    page = viewer.open()
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator(".empty")).to_contain_text("qmclient add --type fibonacci --input 15 --wait 10")
    page.evaluate("window.marked = true")
    manager.finish("1 + 1", 2)
    manager.fail("1 / 0", Failure("ZeroDivisionError", "division by zero"))
    manager.client.add("work", "waits")
    expect(card(page, "wait")).to_have_text("1")
    expect(card(page, "done")).to_have_text("2")
    expect(card(page, "failed")).to_have_text("1")
    rows = page.locator("tbody tr", has=page.locator("td.task"))
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("ZeroDivisionError: division by zero")
    expect(rows.nth(1)).to_contain_text("1 + 1")
    expect(card(page, "rate")).not_to_have_text("–")
    assert page.evaluate("window.marked") is True, "it was not loaded again"
    viewer.fine()


def test_what_did_not_change_is_not_sent_again(manager: Manager, viewer: Viewer) -> None:
    statuses: list[int] = []
    viewer.page.on("response", lambda r: statuses.append(r.status) if "/api/overview" in r.url else None)
    page = viewer.open()
    expect(page.locator(".card.rate .detail")).to_contain_text("10 s")
    with page.expect_response(lambda r: "/api/overview" in r.url and r.status == 304):
        pass
    assert statuses[0] == 200
    viewer.fine()


def test_a_row_keeps_its_focus_while_others_come(manager: Manager, viewer: Viewer) -> None:
    first = manager.finish("first", None)
    page = viewer.open()
    link = page.locator(f"a[href='#/task/{first}']")
    link.focus()
    manager.finish("second", None)
    expect(page.locator("td.task")).to_have_count(2)
    expect(link).to_be_focused()


#: As much of it as the name of a host may be.
HOSTILE_HOST = "".join(filter(str.isprintable, HOSTILE))[:250]


class HostileWorker:
    """A worker whose name is hostile, and whose words are."""

    def __init__(self, manager: Manager) -> None:
        self._queue = manager.remote.queue()
        self._slot = Slot("hostile", 0, 1)
        self._calls = 0
        types = {"hostile": TypeOptions()}
        self._queue.attach(WorkerInfo(session="hostile", host=HOSTILE_HOST, pid=1, processes=1, types=types))

    def run(self, id: str) -> Taken:
        """A task that it runs, with a note of its own."""
        packed = pack({"key": HOSTILE, HOSTILE: [HOSTILE]})
        self._queue.add([NewTask(id=id, type="hostile", input=packed, digest=digest("hostile", packed))])
        self._calls += 1
        claim = Claim(slot=self._slot, call=self._calls, holding=[], types=["hostile"])
        (taken,) = self._queue.take(claim)
        self._queue.progress([Progress(taken.lease, 0.5, HOSTILE[:200])])
        return taken

    def fail(self, id: str) -> None:
        """A task that failed with hostile words."""
        lease = self.run(id).lease
        error = pack_failure(Failure(HOSTILE[:100], HOSTILE, HOSTILE))
        details = Details(pid=1, exitcode=-9, log=HOSTILE)
        self._queue.fail([Fail(lease, error, retryable=False, details=details)])


VIEWS = (
    ("/", "td.outcome"),
    ("/tasks", "td.outcome"),
    ("/tasks?state=failed&type=hostile", "td.outcome"),
    ("/tasks?state=running", "td.outcome"),
    ("/tasks?state=<script>alert(1)</script>&type=<img src=x onerror=alert(1)>", ".empty"),
    ("/task/hostile", ".attempts"),
    ("/task/running", ".facts"),
    ("/task/<script>alert(1)</script>", ".empty"),
    ("/task/%3Cimg%20src=x%20onerror=alert(1)%3E", ".empty"),
    ("/<script>alert(1)</script>", "td.outcome"),
)


def test_no_text_of_a_task_or_an_address_runs_or_asks_anybody(manager: Manager, viewer: Viewer) -> None:
    worker = HostileWorker(manager)
    manager.finish(HOSTILE, HOSTILE)
    manager.finish([HOSTILE], {HOSTILE: HOSTILE})
    worker.fail("hostile")
    worker.run("running")
    for fragment, there in VIEWS:
        page = viewer.open(fragment)
        page.reload()  # only what follows the # changed, and that loads nothing
        page.locator(there).first.wait_for()
        expect(page.locator("#injected, main script, main img, main iframe, main style")).to_have_count(0)
        page.wait_for_timeout(200)  # what would run does so at once
        if fragment.count("<") + fragment.count("%3C"):  # what cannot be a type or an id is refused, in words
            viewer.complaints[:] = [said for said in viewer.complaints if "status of 400" not in said]
        viewer.fine()


def test_hostile_text_is_shown_as_it_is(manager: Manager, viewer: Viewer) -> None:
    HostileWorker(manager).fail("hostile")
    page = viewer.open("/task/hostile")
    blocks = page.locator("pre")
    expect(blocks).to_have_count(3)  # input, traceback, log
    for block in blocks.all():
        expect(block).to_contain_text("</script><img src=x onerror=alert(")
        expect(block).to_contain_text("\\x1b[2J \\x00")
    expect(page.locator(".error b")).to_have_text(re.compile(re.escape("<script>alert('ran')</script>")))
    expect(page.locator(".facts")).to_contain_text("<script>")  # the worker's name
    viewer.fine()


def test_a_script_of_ours_that_wrote_html_would_fail(viewer: Viewer) -> None:
    page = viewer.open()
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>text</b>'")


def test_the_manager_may_go_and_come_back(browser: Browser) -> None:
    with running_manager() as manager:
        manager.work("work")
        manager.finish("1 + 1", 2)
        address = manager.address
        web = WebProcess(address, HERE, KEY)
        web.start()
        page = browser.new_page()
        page.set_default_timeout(20_000)
        viewer = Viewer(page, web.address)
        viewer.open()
        expect(card(page, "done")).to_have_text("1")
        page.evaluate("window.marked = true")
    try:
        expect(page.locator("#connection")).to_contain_text("Away since", timeout=20_000)
        expect(page.locator("#connection")).to_contain_text(f"cannot reach the manager at {address}")
        expect(card(page, "done")).to_have_text("1")  # the last numbers stay,
        expect(page.locator("main")).not_to_have_css("opacity", "1")  # greyed, in a moment
        with running_manager(address) as again:
            again.work("work")
            again.finish("2 + 2", 4)
            again.finish("3 + 3", 6)
            page.locator("#again").click()
            expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)
            expect(card(page, "done")).to_have_text("2")
            assert page.evaluate("window.marked") is True
    finally:
        page.close()
        web.stop()


def test_the_page_outlives_its_server(manager: Manager, web: WebProcess, viewer: Viewer) -> None:
    page = viewer.open()
    expect(page.locator("#connection")).to_have_text("Live")
    assert web._child is not None
    os.kill(web._child.pid, signal.SIGKILL)
    expect(page.locator("#connection")).to_contain_text("qmanager does not answer")
    end = time.monotonic() + 20
    web.check()
    while not web.serves:
        assert time.monotonic() < end
        time.sleep(0.05)
        web.check()
    expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)


def test_other_machines_see_counts_alone(manager: Manager, browser: Browser) -> None:
    manager.client.add("work", "secret input", id="secret-id")
    manager.client.finish(manager.take("work"), "secret output")
    web = WebProcess(manager.address, Address("0.0.0.0", 0), KEY)
    web.start()
    page = browser.new_page()
    try:
        viewer = Viewer(page, Address("127.0.0.1", web.address.port))
        viewer.open()
        expect(card(page, "done")).to_have_text("1")
        expect(page.locator(".empty")).to_contain_text("Tasks are not shown here")
        expect(page.locator("tbody th").first).to_have_text("work")
        assert "secret" not in page.content()
        viewer.fine()
        viewer.open("/task/secret-id")
        expect(page.locator(".empty")).to_contain_text("no login yet")
        assert "secret output" not in page.content()
    finally:
        page.close()
        web.stop()


def test_it_fits_a_phone_whatever_it_shows(manager: Manager, viewer: Viewer) -> None:
    HostileWorker(manager).fail("hostile")
    manager.finish("x" * 4000, ["y" * 3000])
    manager.client.add("z" * 64, None)
    viewer.page.set_viewport_size({"width": 375, "height": 812})
    for fragment, there in (("/", "td.outcome"), ("/tasks", "td.outcome"), ("/task/hostile", ".attempts")):
        page = viewer.open(fragment)
        page.locator(there).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, fragment
        wide = page.evaluate(
            "[...document.querySelectorAll('main *')].filter((node) => "
            "node.getBoundingClientRect().right > 375.5).map((node) => node.outerHTML.slice(0, 80))"
        )
        assert wide == [], fragment
    viewer.fine()


def test_the_keyboard_alone_is_enough(manager: Manager, viewer: Viewer) -> None:
    id_ = manager.finish("1 + 1", 2)
    page = viewer.open()
    page.locator("td.task").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == f"#/task/{id_}":
            break
    focused = page.locator(":focus-visible")
    expect(focused).to_have_attribute("href", f"#/task/{id_}")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".id.whole")).to_have_text(id_)
    expect(page.locator("#view")).to_be_focused()  # the next Tab is in the new view
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("← Tasks")
    page.go_back()
    expect(page.locator(".card").first).to_be_visible()


def test_a_hidden_tab_asks_nothing(viewer: Viewer) -> None:
    page = viewer.open()
    expect(page.locator("#connection")).to_have_text("Live")
    turn = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(turn, True)
    page.wait_for_timeout(300)
    before = len(viewer.asked)
    page.wait_for_timeout(2600)
    assert len(viewer.asked) == before
    with page.expect_request(lambda request: "/api/overview" in request.url):
        page.evaluate(turn, False)


def test_older_tasks_come_page_by_page(manager: Manager, viewer: Viewer) -> None:
    for number in range(60):
        manager.finish(number, None)
    page = viewer.open("/tasks")
    rows = page.locator("td.task")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(60)
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()
    manager.finish("newest", None)
    page.get_by_role("button", name="Back to the newest").click()
    expect(rows).to_have_count(50)
    expect(page.locator("td.input").first).to_have_text("newest")
    viewer.fine()


def test_a_list_can_be_filtered_and_says_when_nothing_is_left(manager: Manager, viewer: Viewer) -> None:
    manager.finish("one", None)
    manager.fail("two", Failure("Error", "wrong"), type="other")
    page = viewer.open("/tasks")
    rows = page.locator("td.task")
    expect(rows).to_have_count(2)
    page.get_by_role("link", name="Failed").click()
    expect(rows).to_have_count(1)
    page.get_by_label("Type").fill("work")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("No task is failed of the type work.")
    page.get_by_role("link", name="Clear the filters").click()
    expect(rows).to_have_count(2)
    viewer.fine()


def test_types_that_nobody_serves_are_said_with_what_to_do(manager: Manager, viewer: Viewer) -> None:
    manager.client.add("fibonacci", 15)
    page = viewer.open()
    command = f"qmworker --rpc {manager.address}"
    expect(page.locator(".notice")).to_contain_text("no connected worker serves: fibonacci")
    expect(page.locator(".notice .command")).to_have_text(command)
    manager.client.add("video.encode", 15)
    expect(page.locator(".notice .command")).to_have_text(f"qmworker --load MODULE --rpc {manager.address}")


def test_it_is_dark_where_the_system_is(viewer: Viewer) -> None:
    page = viewer.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    assert (light, page.evaluate(ground)) == ("rgb(245, 246, 248)", "rgb(15, 18, 22)")
