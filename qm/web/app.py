"""The routes of the page.

GET /            the page for a browser, the original's plain text for everybody else
GET /static/...  its scripts and styles
GET /api/...     what they ask for: see `qm.web.api`
GET /healthz     whether this process serves; it says nothing of the manager
GET /readyz      whether the manager behind it serves too
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final
from wsgiref.types import WSGIApplication

import bottle

from qm import environment
from qm.errors import Draining, QueueError
from qm.web.answers import PLAIN, answer, json, plain, tagged, trouble_plain, wants_html
from qm.web.api import Api
from qm.web.files import static_files, view
from qm.web.guard import Guard, Hosts
from qm.web.source import Source
from qm.web.text import page
from qm.wire.address import Address

_log = logging.getLogger(__name__)

#: Where a manager is by default: commands need not name it.
_USUAL: Final = Address("127.0.0.1", environment.RPC_PORT)


def build(
    source: Source,
    address: Address,
    *,
    hosts: Iterable[str] = (),
    show_payloads: bool = False,
    rpc: Address | None = None,
) -> WSGIApplication:
    """The application for a server at `address`, guarded.

    While there is no login, inputs and outputs are for this machine alone, unless `show_payloads`. `hosts`
    are names in the Host header that are ours, beside those that the address itself makes ours; whoever gives
    some has others look on, through a proxy for example. `rpc` is the manager's address, for the commands
    that the page tells.
    """
    hosts = tuple(hosts)
    shows = show_payloads or (address.is_loopback and not hosts)
    pages = Pages(source, shows)
    app = bottle.Bottle()
    app.catchall = False  # the guard has one answer to all that is unexpected
    app.default_error_handler = _error_page
    app.get("/", callback=pages.index)
    app.get("/static/<name:path>", callback=pages.static)
    app.get("/healthz", callback=pages.healthz)
    app.get("/readyz", callback=pages.readyz)
    Api(source, shows, None if rpc in (None, _USUAL) else str(rpc)).add_to(app)
    return Guard(app, Hosts(address, hosts))


class Pages:
    """What the routes answer, those of the API apart."""

    def __init__(self, source: Source, show_payloads: bool) -> None:
        self._source = source
        self._show_payloads = show_payloads
        self._view = view("index.html")
        self._files = static_files()

    def index(self) -> Any:
        """A browser gets the page, which asks for the rest itself; curl how things stand, as plain text, and
        503 where the manager is away."""
        if wants_html(bottle.request.environ.get("HTTP_ACCEPT", "")):
            return _by_accept(tagged(self._view.body, self._view.type))
        try:
            return _by_accept(plain(page(self._source.read(), self._show_payloads)))
        except QueueError as error:
            _log.warning("the page cannot be shown: %s", error)
            return _by_accept(trouble_plain(error, self._show_payloads))

    def static(self, name: str) -> Any:
        """A file of the page."""
        file = self._files.get(name)
        if file is None:
            return answer(b"404 Not Found\n", 404, PLAIN)
        return tagged(file.body, file.type)

    def healthz(self) -> Any:
        """For what watches this process."""
        return json({"status": "ok"})

    def readyz(self) -> Any:
        """For what sends people here: whether they would see tasks."""
        try:
            if self._source.read().status.draining:
                raise Draining("the manager is stopping")
            return json({"status": "ready"})
        except QueueError as error:
            tell = self._show_payloads or isinstance(error, Draining)
            reason = str(error) if tell else "the manager is away"
            return json({"status": "not ready", "reason": reason}, 503, {"Retry-After": "5"})


def _by_accept(response: Any) -> Any:
    """`response`, for caches: another Accept gets another one."""
    response.set_header("Vary", "Accept")
    return response


def _error_page(error: Any) -> str:
    """What the router refuses. Bottle's own page repeats the address that was asked for, in HTML."""
    bottle.response.content_type = PLAIN
    return f"{error.status_line}\n"
