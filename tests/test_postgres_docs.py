"""The examples of docs/postgresql.md do what they say, and SQLAlchemy's transactions are its users' own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.asyncio.session import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

import qm.postgres
from qm.errors import BadRequest, IdConflict, NotAllowed, StoreError
from qm.payload import unpack
from tests.postgres import Cluster, want_postgres

SECTION = "## Adding in your own transaction"
HOST = "shop@db.example.org/shop"


@pytest.fixture
def cluster() -> Cluster:
    return want_postgres()


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    url = cluster.emptied()
    cluster.say("DROP TABLE IF EXISTS orders; CREATE TABLE orders (n serial, item text)", "emptied")
    yield url
    cluster.say("DROP TABLE orders", "emptied")


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(_of_sqlalchemy(url), poolclass=NullPool)
    yield engine
    engine.dispose()


def _of_sqlalchemy(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def ids(cluster: Cluster) -> list[str]:
    return [row[0] for row in cluster.say("SELECT id FROM qmanager.tasks ORDER BY n", "emptied")]


def test_the_examples_run(cluster: Cluster, url: str) -> None:
    """As written, but for where the database is."""
    text = Path(__file__).parents[1].joinpath("docs", "postgresql.md").read_text("utf-8")
    text = text[text.index(SECTION) :].replace(HOST, url.partition("//")[2])
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, names)
    names["engine"].dispose()

    async def order() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await names["order"](connection, "milk")

    asyncio.run(order())
    (sql, grants) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert cluster.say(sql, "emptied") == [("ship-7",)]
    rows = cluster.say("SELECT type, input FROM qmanager.tasks ORDER BY n", "emptied")
    assert {type_ for type_, _ in rows} == {"order.ship"}
    assert [unpack(input_) for _, input_ in rows] == [{"order": n} for n in (1, 2, 3, 7)]
    cluster.say("DROP ROLE IF EXISTS shop; CREATE ROLE shop LOGIN")
    cluster.say(grants, "emptied")
    with psycopg.connect(url.replace("postgres@", "shop@")) as db:
        qm.postgres.add(db, "order.ship", id="by-shop")
    cluster.say("DROP OWNED BY shop", "emptied")
    assert ids(cluster)[0] == "ship-1"
    assert ids(cluster)[-1] == "by-shop"


def test_a_session_commits_and_rolls_back(cluster: Cluster, engine: sqlalchemy.Engine) -> None:
    with Session(engine) as session:
        qm.postgres.add(session, "mail", id="undone")
        session.rollback()
        qm.postgres.add(session, "mail", b"x" * 1000, id="a", timeout=5)
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            qm.postgres.add(session, "mail", id="nested")
            raise ZeroDivisionError
        with pytest.raises(IdConflict):
            qm.postgres.add(session, "sms", id="a")
        assert ids(cluster) == []
        session.commit()
    assert ids(cluster) == ["a"]


def test_a_connection_on_which_nothing_else_was_said_commits(
    cluster: Cluster, engine: sqlalchemy.Engine
) -> None:
    """Its commit does nothing where it has not begun a transaction of its own."""
    with engine.connect() as connection:
        qm.postgres.add(connection, "mail", id="a")
        connection.commit()
        qm.postgres.add(connection, "mail", id="undone")
    with engine.begin() as connection:
        qm.postgres.add(connection, "mail", id="b")
    assert ids(cluster) == ["a", "b"]


def test_a_scoped_session_and_a_cursor_of_the_driver(cluster: Cluster, engine: sqlalchemy.Engine) -> None:
    scoped = scoped_session(sessionmaker(engine))
    qm.postgres.add(scoped, "mail", id="a")
    qm.postgres.add(scoped.connection().connection.cursor(), "mail", id="b")
    scoped.commit()
    scoped.remove()
    assert ids(cluster) == ["a", "b"]


def test_an_asynchronous_session(cluster: Cluster, url: str) -> None:
    async def run() -> None:
        engine = create_async_engine(_of_sqlalchemy(url), poolclass=NullPool)
        async with AsyncSession(engine) as session, session.begin():
            await session.run_sync(qm.postgres.add, "mail", b"x" * 1000, id="a")
            with pytest.raises(IdConflict):
                await session.run_sync(qm.postgres.add, "mail", 2, id="a")
            for given in (session, await session.connection()):
                with pytest.raises(BadRequest, match="is asynchronous") as raised:
                    qm.postgres.add(given, "mail")
                assert "session.run_sync(qm.postgres.add" in str(raised.value.hint)
        await engine.dispose()

    asyncio.run(run())
    assert ids(cluster) == ["a"]


def test_errors_are_ours_through_sqlalchemy_too(
    cluster: Cluster, engine: sqlalchemy.Engine, url: str
) -> None:
    cluster.say("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    for address, error in (
        (url.replace("postgres@", "guest@"), NotAllowed),
        (cluster.url("postgres"), StoreError),
    ):
        other = sqlalchemy.create_engine(_of_sqlalchemy(address), poolclass=NullPool)
        with Session(other) as session, pytest.raises(error):
            qm.postgres.add(session, "mail")


def test_sqlalchemy_over_something_else_is_said_so() -> None:
    with (
        sqlalchemy.create_engine("sqlite://").connect() as connection,
        pytest.raises(BadRequest, match="over pysqlite, not over psycopg 3"),
    ):
        qm.postgres.add(connection, "mail")
