"""The default store: one SQLite file, write-ahead log, every commit synced.

`store` opens it and begins transactions; `file` guards the file (lock, identity, migrations); `connection`
runs the named queries; `producing`, `working`, `settling` and `timing` are the verbs by who says them;
`reading` and `paging` answer questions; `ledger` keeps the counts.
"""

from qm.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
