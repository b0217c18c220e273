"""Bytes that are small on the wire and deep, or large, in memory. As a program: decodes them in a thread with
a small stack, in a process of its own, since what goes wrong there ends it.

    python -m tests.wire.hostile 64     (KiB of stack)
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qm.limits import FRAME_MAX
from qm.wire.codec import Request, decode_error, decode_reply, decode_request, encode
from qm.wire.frames import WireError
from qm.wire.verbs import OBJECTS

DEPTH: Final = 200_000

#: Deeper than any stack, in each way in which msgpack nests.
DEEP: Final = {
    "arrays": b"\x91" * DEPTH,
    "maps": b"\x81\xa1a" * DEPTH,
    "keys": b"\x81" * DEPTH,
    "long arrays": b"\xdd\x00\x00\x00\x01" * DEPTH,
    "a third argument": b"\x93\x90\x00" + b"\x91" * DEPTH,
    "an unknown field": b"\x91\x81\xa1x" + b"\x91" * DEPTH,
    "a task's unknown field": b"\x91\x91\x81\xa1x" + b"\x91" * DEPTH,
}

_ROOM: Final = FRAME_MAX - 200


def _many(item: bytes) -> bytes:
    """A list of as many of these as a frame has room for, as the one argument of a call."""
    count = _ROOM // len(item)
    return b"\x91\xdd" + count.to_bytes(4) + item * count


#: A frame full of what is nothing on the wire and something in memory.
FLOODS: Final = {
    "empty maps": _many(b"\x80"),
    "empty arrays": _many(b"\x90"),
    "empty texts": _many(b"\xa0"),
    "texts": _many(b"\xa2id"),
    "leases": _many(b"\x93\xa1a\x01\x01"),
    "settlements": _many(b"\x93\xa6finish\x93\xa1a\x01\x01\xc4\x00"),
    "releases": _many(b"\x92\xa7release\x93\xa1a\x01\x01"),
    "tasks": _many(encode({"id": "a", "type": "t", "input": b"", "digest": b""})),
    "a claim that holds": encode([{"slot": ["s", 0, 0], "call": 1, "types": [], "holding": []}])[:-1]
    + _many(b"\x93\xa1a\x01\x01")[1:],
    "four billion": b"\x91\xdd\xff\xff\xff\xff",
    "a text of 4 GiB": b"\x91\x91\xdb\xff\xff\xff\xff",
    "bytes of 4 GiB": b"\x91\x91\xc6\xff\xff\xff\xff",
    "an extension of 4 GiB": b"\x91\x91\xc9\xff\xff\xff\xff\x01",
    "a map of four billion": b"\x91\xdf\xff\xff\xff\xff",
}


def decoders() -> dict[str, Callable[[Any], Any]]:
    """All that decodes what a peer sends."""
    found: dict[str, Callable[[Any], Any]] = {
        "request": decode_request,
        "reply": decode_reply,
        "error": decode_error,
    }
    for target, verbs in OBJECTS.items():
        for verb, signature in verbs.items():
            found[f"{target}.{verb}"] = signature.decode_arguments
            found[f"{target}.{verb}, the answer"] = signature.decode_answer
    return found


def growth(decode: Callable[[Any], Any], packed: bytes) -> float:
    """By how many times the size of `packed` this process grows, at most, while it is decoded."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = _status("VmHWM")
    try:
        made = decode(packed)
    except WireError:
        made = None
    grown = _status("VmHWM") - before
    del made
    return grown / max(len(packed), FRAME_MAX)


def _status(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _meet_all(refused: list[str]) -> None:
    """Notes what each decoder refuses."""
    for name, decode in decoders().items():
        for kind, packed in DEEP.items():
            for frame in (packed, encode(Request(1, "queue", "add", packed))):
                try:
                    decode(frame)
                except WireError:
                    refused.append(f"{name}: {kind}")


def main() -> None:
    """Says how much was refused; whatever else happens is seen by how it ends."""
    threading.stack_size(int(sys.argv[1]) * 1024)
    refused: list[str] = []
    thread = threading.Thread(target=_meet_all, args=(refused,))
    thread.start()
    thread.join()
    print(len(refused))


if __name__ == "__main__":
    main()
