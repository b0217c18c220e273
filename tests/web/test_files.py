"""The page itself and its files: for browsers, by their names, with nothing that the policy forbids."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest

from qm.web import files
from qm.web.answers import wants_html
from tests.web.calling import Manager, call
from tests.web.test_app import away, page_of

WEB = Path(files.__file__).parent
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
NAMES = sorted(files.static_files())


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("TEXT/HTML", True),
        ("text/plain, text/html;q=0.5", True),
        ("text/html;q=0", False),
        ("text/html; q=0.0", False),
        ("*/*", False),
        ("text/*", False),
        ("text/plain", False),
        ("", False),
        ("application/json", False),
        (",;,=;q", False),
    ],
)
def test_html_is_for_those_who_ask_for_it(accept: str, html: bool) -> None:
    assert wants_html(accept) is html


def test_a_browser_gets_the_page_and_curl_the_text(manager: Manager) -> None:
    app = page_of(manager)
    page, text = call(app, HTTP_ACCEPT=BROWSER), call(app, HTTP_ACCEPT="*/*")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert page.headers["Vary"] == text.headers["Vary"] == "Accept"
    assert text.lines[1] == "Wait:      0"
    assert call(app, HTTP_ACCEPT=BROWSER, HTTP_IF_NONE_MATCH=page.headers["Etag"]).status == 304


def test_the_page_is_there_while_the_manager_is_not() -> None:
    answer = call(away(), HTTP_ACCEPT=BROWSER)
    assert (answer.status, "<title>qmanager</title>" in answer.text) == (200, True)


def test_all_that_the_page_and_its_scripts_load_is_there(manager: Manager) -> None:
    app = page_of(manager)
    view = call(app, HTTP_ACCEPT=BROWSER).text
    wanted = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', view))
    for name in NAMES:
        source = (WEB / "static" / name).read_text()
        for other in re.findall(r'from "(\.[^"]+)"', source):
            wanted.add(posixpath.normpath(posixpath.join("/static", posixpath.dirname(name), other)))
    assert len(wanted) > 8
    for path in wanted:
        assert call(app, path).status == 200, path


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_its_type_and_a_tag(manager: Manager, name: str) -> None:
    app = page_of(manager)
    answer = call(app, f"/static/{name}")
    assert answer.status == 200
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    assert answer.headers["Content-Type"] == kinds[name.rpartition(".")[2]]
    assert call(app, f"/static/{name}", HTTP_IF_NONE_MATCH=answer.headers["Etag"]).status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nope.js",
        "/static/../app.py",
        "/static/views/../main.js",
        "/static//etc/passwd",
        "/static/..%2fapp.py",
        "/static/main.js/",
        "/static/MAIN.JS",
        "/static/\x00",
        "/views/index.html",
    ],
)
def test_nothing_else_can_be_had(manager: Manager, path: str) -> None:
    answer = call(page_of(manager), path)
    assert (answer.status, answer.text) == (404, "404 Not Found\n")


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    view = (WEB / "views" / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://|//", view.replace("</", "<"))
    assert re.findall(r"<script[^>]*>", view) == ['<script type="module" src="/static/main.js">']


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_no_script_writes_html_or_asks_other_hosts(name: str) -> None:
    source = (WEB / "static" / name).read_text()
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser|srcdoc"
    assert not re.search(forbidden, source)
    assert re.findall(r"https?://[^\"'\s]+", source) in ([], ["http://www.w3.org/2000/svg"])
    assert len(source.splitlines()) < 200
