"""A pool of processes that take tasks, run them and hand the results back.

    parent  Pool: starts children, watches them, reports their deaths, drains. Runs no user code, and touches
            no task but those of a dead child.
      ├─ heartbeat (thread)  attaches the session and renews it; nothing else can make the manager forget us
      ├─ courier (thread)    reports deaths until they are heard
      ├─ child  loads the operations, exchanges results for tasks over its own connection, runs user code in
      │         its main thread
      └─ child
    page    a small mapped file per child: what it holds and runs (the child writes), until when its session
            lives, whether to stop and which task must end (the parent writes). No system call on the hot
            path, and readable when the child is dead.
    output  a file in memory per child: what its tasks write, and its last words.
    watch   what the parent does about a task that is over its time or was cancelled: an exception in it, and
            after a grace the dump of its stacks and the end of its process group.

Neither `multiprocessing.Pool` (loses the task of a killed child) nor `ProcessPoolExecutor` (fails all tasks
when one child dies): each child has its own pipes and is watched by its own descriptor.
"""

from qm.worker.worker import Worker

__all__ = ["Worker"]
