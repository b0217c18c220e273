"""What a database's catalog says of the schema qmanager, as text.

PYTHONPATH=. python tests/store/catalog.py > tests/store/postgres_schema.txt writes what
tests/store/test_postgres_schema.py compares with. A migration changes it, and nothing else does.
"""

from __future__ import annotations

from typing import Final

import psycopg

from qm.store.postgres import PostgresStore

#: Each gives lines: tables with their storage parameters, columns, constraints, indexes, sequences, the rest.
_QUERIES: Final = (
    """SELECT format('table %s (%s)', c.relname, array_to_string(c.reloptions, ', ')) FROM pg_class AS c
    WHERE c.relnamespace = 'qmanager'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1""",
    """SELECT format('column %s.%s %s%s%s storage=%s collation=%s', c.relname, a.attname,
                  format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                  ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), a.attstorage, l.collname)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    WHERE c.relnamespace = 'qmanager'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY c.relname, a.attnum""",
    """SELECT format('constraint %s.%s %s', c.relname, o.conname, pg_get_constraintdef(o.oid))
    FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid
    WHERE o.connamespace = 'qmanager'::regnamespace AND o.contype <> 'n' ORDER BY 1""",
    """SELECT format('index %s (%s)', pg_get_indexdef(c.oid), array_to_string(c.reloptions, ', '))
    FROM pg_class AS c
    WHERE c.relnamespace = 'qmanager'::regnamespace AND c.relkind = 'i' ORDER BY 1""",
    """SELECT format('sequence %s %s start=%s increment=%s min=%s max=%s cache=%s cycle=%s', c.relname,
                  format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
                  s.seqcycle)
    FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
    WHERE c.relnamespace = 'qmanager'::regnamespace ORDER BY 1""",
    """SELECT format('%s %s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                             ELSE c.relkind::text END, c.relname)
    FROM pg_class AS c
    WHERE c.relnamespace = 'qmanager'::regnamespace AND c.relkind NOT IN ('r', 'p', 'i', 'S', 't')
    ORDER BY 1""",
    """SELECT format('function %s %s', p.proname, pg_get_functiondef(p.oid)) FROM pg_proc AS p
    WHERE p.pronamespace = 'qmanager'::regnamespace ORDER BY 1""",
    """SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'qmanager'::regnamespace AND NOT t.tgisinternal ORDER BY 1""",
    """SELECT format('migration %s %s oldest=%s', version, name, oldest) FROM qmanager.migrations
    ORDER BY version""",
)


def describe(url: str) -> str:
    """The schema of the database at `url`, a line for each part."""
    with psycopg.connect(url, autocommit=True) as db:
        return "".join(f"{line}\n" for query in _QUERIES for (line,) in db.execute(query.encode()))


if __name__ == "__main__":
    from tests.postgres import own_cluster

    cluster = own_cluster()
    with cluster.database() as url:
        PostgresStore.open(url).close()
        print(describe(url), end="")
