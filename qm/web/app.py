"""The routes of the page.

GET /          the original's page
GET /healthz   whether this process serves; it says nothing of the manager
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol
from wsgiref.types import WSGIApplication

import bottle
import msgspec

from qm.errors import QueueError
from qm.web.guard import Guard, Hosts
from qm.web.reader import Snapshot
from qm.web.text import page
from qm.wire.address import Address

_log = logging.getLogger(__name__)

_PLAIN: Final = "text/plain; charset=utf-8"

#: Seconds after which a viewer may try again.
_RETRY_AFTER: Final = "5"


class Source(Protocol):
    """Where the page gets the queue from; see `qm.web.reader.Reader`."""

    def read(self) -> Snapshot:
        """Raises `QueueError` where the manager is away, within seconds."""


def build(
    source: Source, address: Address, *, hosts: Iterable[str] = (), show_payloads: bool = False
) -> WSGIApplication:
    """The application for a server at `address`, guarded.

    While there is no login, inputs and outputs are for this machine alone, unless `show_payloads`. `hosts`
    are names in the Host header that are ours, beside those that the address itself makes ours.
    """
    pages = Pages(source, show_payloads or address.is_loopback)
    app = bottle.Bottle()
    app.catchall = False  # the guard has one answer to all that is unexpected
    app.default_error_handler = _error_page
    app.get("/", callback=pages.index)
    app.get("/healthz", callback=pages.healthz)
    return Guard(app, Hosts(address, hosts))


class Pages:
    """What the routes answer."""

    def __init__(self, source: Source, show_payloads: bool) -> None:
        self._source = source
        self._show_payloads = show_payloads

    def index(self) -> Any:
        """How things stand, as plain text; 503 where the manager is away."""
        try:
            snapshot = self._source.read()
        except QueueError as error:
            _log.warning("the page cannot be shown: %s", error)
            return self._away(error)
        return _plain(page(snapshot, self._show_payloads))

    def healthz(self) -> Any:
        """For what watches this process."""
        return _answer(msgspec.json.encode({"status": "ok"}), 200, "application/json")

    def _away(self, error: QueueError) -> Any:
        """The details name hosts and ports; they are for those who see the tasks too."""
        lines = ["503 Service Unavailable: the manager is away"]
        if self._show_payloads:
            lines += [str(error), *([f"hint: {error.hint}"] if error.hint else [])]
        else:
            lines.append("hint: its log on its own machine says why")
        return _plain("\n".join(lines) + "\n", 503, {"Retry-After": _RETRY_AFTER})


def _plain(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return _answer(text.encode("utf-8", "backslashreplace"), status, _PLAIN, headers)


def _answer(body: bytes, status: int, type: str, headers: dict[str, str] | None = None) -> Any:
    return bottle.HTTPResponse(body, status, {"Content-Type": type, **(headers or {})})


def _error_page(error: Any) -> str:
    """What the router refuses. Bottle's own page repeats the address that was asked for, in HTML."""
    bottle.response.content_type = _PLAIN
    return f"{error.status_line}\n"
