"""Tasks in memory: for tests, for trying things out, and for work that may be lost with the process.

`store` is the door; `transaction` has the verbs (`reading`, `changing`, `settling`); `tables` holds the data,
its orders and the way back; `rows` are what is in them.
"""

from qm.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
