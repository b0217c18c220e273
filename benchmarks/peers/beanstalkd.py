"""beanstalkd by greenstalk: a queue in C, with leases; results go to a tube of replies."""

from __future__ import annotations

import json
import time
import uuid

import greenstalk  # type: ignore[import-not-found]

from benchmarks.peers.place import address
from benchmarks.peers.tasks import hashed, noop

_LEASE = 60
_BODIES = {"noop": noop, "bcrypt": hashed}


class Producer:
    """put of JSON."""

    def __init__(self) -> None:
        self._reply = f"reply-{uuid.uuid4().hex}"
        self._client = greenstalk.Client(address(), use="tasks", watch=self._reply)

    def add(self, count: int, task: str) -> None:
        """One put per task; it knows no other way. The results pile up in the reply tube."""
        for number in range(count):
            self._client.put(self._message(number, task), ttr=_LEASE)

    def round_trips(self, count: int) -> list[float]:
        """reserve and delete of the reply."""
        times = []
        for number in range(count):
            start = time.perf_counter()
            self._client.put(self._message(number, "noop"), ttr=_LEASE)
            self._client.delete(self._client.reserve())
            times.append(time.perf_counter() - start)
        return times

    def _message(self, number: int, task: str) -> str:
        words = {"id": uuid.uuid4().hex, "task": task, "input": number, "reply": self._reply}
        return json.dumps(words)


def work() -> None:
    """Takes, runs and answers until it is killed."""
    client = greenstalk.Client(address(), watch="tasks")
    while True:
        job = client.reserve()
        task = json.loads(job.body)
        output = _BODIES[task["task"]](task["input"])
        client.use(task["reply"])
        client.put(json.dumps({"id": task["id"], "output": output}))
        client.delete(job)
