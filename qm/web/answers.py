"""How an answer is said: as text, as JSON, as an error that helps, or as "nothing new"."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import bottle
import msgspec

from qm.errors import BadRequest, NotAllowed, NotFound, QueueError

PLAIN: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

#: Seconds after which a viewer may try again.
RETRY_AFTER: Final = "5"

#: For what has a tag: kept by nobody but the viewer, and never used unasked.
_REVALIDATE: Final = "private, no-cache"

_AWAY: Final = "the manager is away"
_AWAY_HINT: Final = "its log on its own machine says why"


def plain(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """`text` as it is."""
    return answer(text.encode("utf-8", "backslashreplace"), status, PLAIN, headers)


def answer(body: bytes, status: int, type: str, headers: dict[str, str] | None = None) -> Any:
    """Bytes of some type."""
    return bottle.HTTPResponse(body, status, {"Content-Type": type, **(headers or {})})


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """`value` as JSON."""
    return answer(msgspec.json.encode(value), status, JSON, headers)


def tagged(body: bytes, type: str, essence: bytes | None = None) -> Any:
    """`body` with a tag over its `essence` (what makes it new to a viewer; all of it if None), or 304 for a
    viewer who has that already."""
    digest = hashlib.blake2b(body if essence is None else essence, digest_size=12).hexdigest()
    headers = {"ETag": f'W/"{digest}"', "Cache-Control": _REVALIDATE}
    if _has(bottle.request.environ.get("HTTP_IF_NONE_MATCH", ""), digest):
        return bottle.HTTPResponse(b"", 304, headers)
    return answer(body, 200, type, headers)


def trouble(error: QueueError, tell: bool) -> Any:
    """`error` as JSON. Without `tell`, what is wrong with the manager is not said: that names hosts and
    ports."""
    status = _status(error)
    if status == 503 and not tell:
        return failure(error.code, _AWAY, _AWAY_HINT, status)
    return failure(error.code, str(error), error.hint, status)


def failure(code: str, message: str, hint: str | None, status: int) -> Any:
    """An error as JSON: what happened and what to do, for people, and a stable code, for programs."""
    body = {"error": {"code": code, "message": message, "hint": hint}}
    return json(body, status, {"Retry-After": RETRY_AFTER} if status == 503 else None)


def trouble_plain(error: QueueError, tell: bool) -> Any:
    """The same as text."""
    lines = [f"503 Service Unavailable: {_AWAY}"]
    if tell:
        lines += [str(error), *([f"hint: {error.hint}"] if error.hint else [])]
    else:
        lines.append(f"hint: {_AWAY_HINT}")
    return plain("\n".join(lines) + "\n", 503, {"Retry-After": RETRY_AFTER})


def wants_html(accept: str) -> bool:
    """Whether the Accept header is a browser's: it names HTML, and does not refuse it."""
    for part in accept.split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip().lower() in ("text/html", "application/xhtml+xml"):
            quality = parameters.replace(" ", "").lower().partition("q=")[2]
            return quality.strip("0.") != "" or quality == ""
    return False


def _status(error: QueueError) -> int:
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, NotAllowed):
        return 403
    return 400 if isinstance(error, BadRequest) else 503


def _has(header: str, digest: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or f'"{digest}"' in tags
