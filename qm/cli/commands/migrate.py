"""migrate: the tables of a store as this qmanager knows them."""

from __future__ import annotations

from qm import environment
from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.terminal import hint
from qm.store import is_postgres, without_secrets
from qm.store.sql import Migration


def migrate(arguments: Arguments) -> int:
    """Applies what the store misses, or only prints it."""
    from qm.store import migrating  # its stores are not for --help

    url = arguments.text("--store") or environment.store()
    shown = without_secrets(url)
    with_sql = arguments.has("--sql")
    if arguments.has("--plan") or with_sql:
        steps = migrating.plan(url)
        _print(steps, shared=is_postgres(url), with_sql=with_sql)
        print(f"{shown}: {_number(steps)} to make" if steps else f"{shown}: up to date")
        return Exit.OK
    steps = migrating.migrate(url)
    _print(steps, shared=is_postgres(url), with_sql=False)
    print(f"{shown}: {_number(steps)} made" if steps else f"{shown}: up to date")
    if steps and steps[0].version > 1 and not is_postgres(url):
        hint(f"the file as it was is beside it, with .bak-v{steps[0].version - 1} behind its name")
    return Exit.OK


def _print(steps: tuple[Migration, ...], *, shared: bool, with_sql: bool) -> None:
    """A line for each; of a store that several managers may `share` also who can go on meanwhile."""
    for step in steps:
        print(f"{step.name}: {_beside(step)}" if shared and step.version > 1 else step.name)
        if with_sql:
            print(f"\n{step.text.strip()}\n")


def _beside(step: Migration) -> str:
    if step.oldest == step.version:
        return "no older manager may run"
    return f"managers that know schema {step.oldest} or later may run meanwhile"


def _number(steps: tuple[Migration, ...]) -> str:
    return "1 migration" if len(steps) == 1 else f"{len(steps)} migrations"
