"""The store for several hosts: a PostgreSQL database (15 or later), by psycopg 3.

`store` begins transactions and answers questions; `link` keeps the writing connection, `readers` are a pool
for questions. `address` and `opening` lead to a connection, `faults` says what its errors mean, `statements`
and `connection` run the named queries, `schema` migrates. `producing`, `working` and `timing` are the verbs
that differ from those in `qm.store.sql`; `ledger` keeps the counts.

Several managers may have the database at once: `presence` says who they are, `line` carries `hints` between
them and decides who leads. Numbers come from a sequence, counts are appended as differences, rows are locked
in order or passed over, and each session is served by one manager at a time, which its row names.
"""

from qm.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
