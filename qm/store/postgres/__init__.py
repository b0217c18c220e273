"""The store for several hosts: a PostgreSQL database (15 or later), by psycopg 3.

`store` begins transactions and answers questions; `link` keeps the writing connection and the `lock` that
makes the database ours; `readers` are a pool for questions. `address` and `opening` lead to a connection,
`faults` says what its errors mean, `statements` and `connection` run the named queries, `schema` migrates.
`producing`, `working` and `timing` are the verbs that differ from those in `qm.store.sql`; `ledger` keeps the
counts.

One manager of a database for now. What several will need is in its shape: numbers of a sequence, counts as
differences, rows locked in order or passed over, types and sessions read where they are used. What they still
need is named by a comment that begins "Several managers:".
"""

from qm.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
