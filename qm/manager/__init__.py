"""The process that keeps the tasks: `QueueManager` serves the queue and its views on a port.

QueueManager ─ a `multiprocessing.managers.BaseManager`: which objects, under which ids
  Server     ─ a connection, a thread; calls in, answers out; a clean end
  Door       ─ takes connections in, whatever runs out
  Tally      ─ counts those who came, were let in, and were refused
  Watcher    ─ notices callers that hang up while their call waits
"""

from qm.manager.manager import QueueManager
from qm.manager.server import Server

__all__ = ["QueueManager", "Server"]
