"""copy: a store moves into another one."""

from __future__ import annotations

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.meter import meter
from qm.cli.terminal import hint
from qm.clock import SystemClock


def copy(arguments: Arguments) -> int:
    """Copies SOURCE to TARGET, and prints what is there now: of each table the rows, and their checksum."""
    from qm.store.moving import Move  # the stores are not for --help

    source, target = arguments.text("SOURCE") or "", arguments.text("TARGET") or ""
    try:
        move = Move(source, target, now=SystemClock().now(), anew=arguments.has("--anew"))
        with move, meter("qmanager", move.total) as shown:
            report = move.run(shown.show)
    except KeyboardInterrupt:
        hint("say it again, and it goes on from here")
        raise
    for name, (rows, digest) in report.tables.items():
        print(f"{name:<12}{rows:>14,}  {digest[:32]}")
    print(f"{move.target.shown} has all that {move.source.shown} has")
    if report.altered:
        texts = "1 text has" if report.altered == 1 else f"{report.altered:,} texts have"
        hint(f"{texts} NUL characters, which PostgreSQL keeps none of: \u2400 stands for each")
    hint("start the manager over the copy, and never again over the source: its tasks would run twice")
    return Exit.OK
