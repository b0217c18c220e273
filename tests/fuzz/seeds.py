"""What fuzzing begins with: good messages of every kind, and what has hurt others; as the targets take it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qm.payload import pack, pack_failure
from qm.task import Failure, State
from tests.fuzz.targets import TOKEN, VERBS
from tests.stranger import new_task, request

#: The lease of the running task, as `verbs` understands it.
_LEASE: Final = ["r", 1, TOKEN]

_SLOT: Final = ["s", 0, 0]

_CLAIM: Final = {"slot": _SLOT, "call": 2, "holding": [_LEASE], "types": ["t"], "limit": 256, "share": True}

#: Arguments by verb; those that are not here take none, or ids.
_ARGUMENTS: Final[dict[tuple[str, str], list[Any]]] = {
    ("queue", "add"): [
        [new_task("a", "t", [1, {"b": None}], priority=-1, delay=1.5, attempts=3, timeout=1, keep=0)]
    ],
    ("queue", "list"): [{"states": list(State), "type": "t", "limit": 2, "cursor": "x"}],
    ("queue", "attempts"): ["r", 3],
    ("queue", "status"): [],
    **{(view, "list"): [2, None, "t"] for view in ("wait", "progress", "done")},
    ("queue", "attach"): [
        {
            "session": "s",
            "host": "h",
            "pid": 1,
            "processes": 2,
            "types": {"t": {"timeout": 1.0, "prefetch": 1}},
        }
    ],
    ("queue", "renew"): ["s", 10.0, False, [_LEASE]],
    ("queue", "detach"): ["s"],
    ("queue", "crashed"): [
        {"slot": _SLOT, "exitcode": -9, "current": _LEASE, "outcome": "timeout", "error": b"\x80"}
    ],
    ("queue", "take"): [_CLAIM, 0],
    ("queue", "exchange"): [_CLAIM, [["finish", _LEASE, b"\x01", [1, 0, 9, "log"]], ["release", _LEASE]], 0],
    ("queue", "finish"): [[["finish", _LEASE, b"\x01"]]],
    ("queue", "fail"): [[["fail", _LEASE, b"\x80", False, "cancelled"]]],
    ("queue", "retry"): [[["retry", _LEASE, None]]],
    ("queue", "release"): [[["release", _LEASE]]],
    ("queue", "progress"): [[[_LEASE, 0.5, "note"]]],
}

#: Answers by verb; the others are lists of states or verdicts.
_ANSWERS: Final[dict[str, Any]] = {
    "add": {"statuses": ["created"], "unserved": ["t"]},
    "get": {
        "tasks": [{"id": "a", "type": "t", "input": b"\x01", "state": "done"}],
        "missing": ["b"],
        "rest": [],
    },
    "list": {"tasks": [], "next": "cursor"},
    "attempts": [{"attempt": 1, "outcome": "ok", "started": 1.0, "ended": 2.0}],
    "attach": {"term": 30.0},
    "renew": {"drain": False, "cancel": [_LEASE]},
    "take": [[_LEASE, "t", b"\x01", 0, 1.0]],
    "exchange": {"verdicts": ["accepted"], "tasks": []},
    "count": 3,
}

_VALUES: Final = (None, True, -1, 2**64, 1.5, "čšž", b"\0", [1, [2, []]], {"a": {"b": None}}, "x" * 300)

_PATHS: Final = (
    b"",
    b"\n\n127.0.0.1\ntext/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    b"healthz\n\nlocalhost:8080",
    b"readyz",
    b'api/overview\nstate=failed&type=t\n\napplication/json\nW/"abc"',
    b"api/tasks\nstate=done&type=t&limit=500&cursor=x",
    b"api/tasks/order-42\nbefore=3",
    b"static/page.js",
    b"static/../../etc/passwd\n%00",
    b"\xff\xfe\na=%ff&a[]=1&limit=-1&limit=99999999999999999999\n[::1]:8080",
    b"\n\nevil.example",
)


def seeds(name: str) -> list[bytes]:
    """The seeds of the target with this name."""
    encode = msgspec.msgpack.encode
    payloads = [
        *map(pack, _VALUES),
        pack_failure(Failure("E", "message", "trace")),
        b"\x91" * 100,
        b"\x81\xa1a" * 100,
    ]
    arguments = [
        bytes([place]) + encode(_ARGUMENTS.get(pair, [["r"]] if pair[1] != "count" else []))
        for place, pair in enumerate(VERBS)
    ]
    answers = [
        bytes([place]) + encode(_ANSWERS.get(verb, ["done", "accepted"]))
        for place, (_, verb) in enumerate(VERBS)
    ]
    frame = request(1, "queue", "get", ["r"])
    envelopes = [frame[4:], encode([1, True, b"\x90"]), encode(["not_found", "text", "hint"])]
    return {
        "frames": [frame, frame * 3, frame[:-1], b"\0\0\0\0", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"],
        "envelopes": [*envelopes, *payloads],
        "verbs": arguments,
        "sqlite": arguments,
        "answers": answers,
        "payloads": payloads,
        "preview": payloads,
        "page": list(_PATHS),
    }[name]
