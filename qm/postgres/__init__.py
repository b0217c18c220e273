"""Adds tasks inside your own transaction, where your data lies in the database that the managers use.

    with psycopg.connect(...) as connection:
        connection.execute("INSERT INTO orders ...")
        qm.postgres.add(connection, "mail.send", {"order": 42})
    # the block ends, the transaction is committed: now the task is there

The task exists exactly if your commit does; the managers hear of it with the commit and not before. What is
added so is what `Client.add` adds: the same ids, the same options, and said twice it is there once. It needs
no manager that runs, nor its key; a role may be given the right to this and nothing else. See
docs/postgresql.md.

`connection` is a connection or cursor of psycopg 3, a connection or session of SQLAlchemy over it, or a
cursor of Django; for the functions that end in `_async` an asynchronous connection or cursor of psycopg 3.
"""

from qm.client import new_task

try:
    from qm.postgres.adding import add, add_async, add_many, add_many_async
except ImportError as error:  # no psycopg, or one that finds no libpq
    if not (error.name or "psycopg").startswith("psycopg"):
        raise
    raise ImportError(f"qm.postgres wants psycopg: {error}; pip install 'qmanager[postgres]'") from error

__all__ = ["add", "add_async", "add_many", "add_many_async", "new_task"]
