"""A pool of workers to run from a program of your own, as `qmworker` does."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence

from qm import environment
from qm.client.payload_keys import find_payload_keys
from qm.errors import BadRequest
from qm.sealing import PayloadKeys
from qm.wire.address import Where, addresses_of
from qm.wire.auth import check_key
from qm.wire.keys import read_key
from qm.worker.config import NO_GUARD_EXIT, ChildConfig
from qm.worker.pool import Pool
from qm.worker.watch import GRACE_SECONDS

#: Seconds for running tasks to end after the first signal: under the 30 s that process managers usually give.
DRAIN_SECONDS = 25.0


class Worker:
    """A pool of processes that serve the operations of some modules.

    >>> if __name__ == "__main__":
    ...     qm.Worker(load=["my.module"]).run()

    The children import the modules by name; nothing else crosses to them.
    """

    def __init__(
        self,
        load: Sequence[str] = (),
        types: Sequence[str] | None = None,
        processes: int | None = None,
        address: Where | None = None,
        authkey: bytes | None = None,
        tls: str | None = None,
        delay: float = 0.0,
        drain: float = DRAIN_SECONDS,
        grace: float = GRACE_SECONDS,
        log_level: str = "info",
        log_format: str = "text",
        payload_keys: Sequence[str] | PayloadKeys | None = None,
    ) -> None:
        """`load`: names of modules that hold `Operations`; the built-in ones come with them. `types`: serve
        only these. `processes`: one per processor by default. `address`, `authkey`, `tls`, `payload_keys`: as
        for `Client`. `delay`: seconds of pause between two tasks of a child. `drain`: seconds for running
        tasks to end when told to leave. `grace`: seconds for a task to clean up that is over its time limit
        or was cancelled, before its process is killed.

        Raises `BadRequest` for values that make no sense.
        """
        count = os.cpu_count() or 1 if processes is None else processes
        if count < 1:
            raise BadRequest(f"a pool of {count} processes cannot work")
        if not (0 <= delay <= threading.TIMEOUT_MAX and drain >= 0 and grace >= 0):
            raise BadRequest("delay, drain and grace are seconds, 0 or more, and a delay ends")
        if address is None or address == "":
            address = environment.rpc()
        key = authkey or read_key(environment.authkey_file())
        check_key(key)
        config = ChildConfig(
            load=tuple(load),
            types=None if types is None else tuple(types),
            addresses=addresses_of(address, environment.RPC_PORT),
            authkey=key,
            tls=environment.tls() if tls is None else tls,
            delay=delay,
            log_level=log_level,
            log_format=log_format,
            payload_keys=find_payload_keys(payload_keys),
        )
        self._pool = Pool(config, count, drain, grace)

    def run(self) -> int:
        """Works until SIGTERM or Ctrl-C, lets running tasks end, and gives 0. A second signal kills them;
        they run again elsewhere.

        Main thread only. Raises `LoadError` and `OperationError` where the operations cannot be had,
        `Unreachable` and `AuthFailed` where there is no manager to work for.
        """
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # we are a child that imports its parent's script: the parent says what is wrong, once
            sys.exit(NO_GUARD_EXIT)
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a worker runs in the main thread: signals and child processes belong to it")
        self._pool.run()
        return 0
