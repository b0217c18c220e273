"""The path of a task, a short file per step.

    add ─► wake ─► take ─► (a worker executes) ─► settle: finish, fail, retry, release ─► get
                     │                                  ▲
                  session: attach, renew, crashed       │
                  neighbours: other managers of the store
                  timer: promote what is due, end silent sessions, expire what is old

Each step is a function of the `Core` (store, clock, who waits for what) and its arguments: it asks policy,
tells the store in one commit, and then tells those who wait. `Queue` is the façade with all verbs.
"""

from qm.queue.core import Core
from qm.queue.facade import Queue
from qm.queue.views import View

__all__ = ["Core", "Queue", "View"]
