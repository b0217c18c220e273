"""What the page's scripts ask for, as JSON. See docs/page.md for the fields.

GET /api/overview      how things stand, and the newest tasks that ended
GET /api/tasks         a page of tasks: state, type, limit, cursor
GET /api/tasks/ID      one task and its attempts: before
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import bottle
import msgspec

from qm.errors import BadRequest, NotAllowed, QueueError
from qm.web import parameters
from qm.web.answers import JSON, answer, tagged, trouble
from qm.web.overview import dated, overview
from qm.web.rows import rows
from qm.web.source import Source
from qm.web.story import shown

_log = logging.getLogger(__name__)

#: Seconds: pages ask every two; one look serves all of them that ask within this time.
_MAX_AGE: Final = 0.5


class Api:
    """What the routes below /api answer."""

    def __init__(self, source: Source, show_payloads: bool, rpc: str | None = None) -> None:
        self._source = source
        self._show_payloads = show_payloads
        self._rpc = rpc

    def add_to(self, app: Any) -> None:
        """Its routes."""
        app.get("/api/overview", callback=self._said(self.overview))
        app.get("/api/tasks", callback=self._said(self.tasks))
        app.get("/api/tasks/<id>", callback=self._said(self.task))

    def overview(self) -> Any:
        """How things stand."""
        parameters.none(bottle.request.query_string)
        snapshot = self._source.read(_MAX_AGE)
        body, essence = dated(overview(snapshot, self._show_payloads, self._rpc), snapshot.status.now)
        return tagged(body, JSON, essence)

    def tasks(self) -> Any:
        """A page of tasks."""
        self._refuse_strangers()
        query = parameters.list_query(bottle.request.query_string)
        return tagged(msgspec.json.encode(rows(self._source.list(query))), JSON)

    def task(self, id: str) -> Any:
        """One task: payloads and tracebacks, which nobody keeps."""
        self._refuse_strangers()
        before = parameters.before(bottle.request.query_string)
        story = self._source.task(parameters.task_id(id), before)
        return answer(msgspec.json.encode(shown(story)), 200, JSON)

    def _refuse_strangers(self) -> None:
        """While there is no login, tasks are for this machine alone."""
        if not self._show_payloads:
            raise NotAllowed(
                "tasks are not shown here: this page has no login yet, and other machines can reach it",
                hint="on the manager's own machine: qmclient list; or start it with --show-payloads",
            )

    def _said(self, route: Callable[..., Any]) -> Callable[..., Any]:
        """`route`, its errors as JSON."""

        @wraps(route)
        def said(*args: Any, **kwargs: Any) -> Any:
            try:
                return route(*args, **kwargs)
            except QueueError as error:
                if not isinstance(error, (BadRequest, LookupError)):
                    _log.warning("%s cannot be answered: %s", route.__name__, error)
                return trouble(error, self._show_payloads)

        return said
