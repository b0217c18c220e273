"""The findings for people: a table on the terminal, and the same figures as Markdown."""

from __future__ import annotations

import os
import platform
import time
from typing import NamedTuple

from qm.clock import SystemClock
from qm.simulator.chaos.oracle import Findings
from qm.simulator.chaos.result import Result
from qm.version import __version__


class Row(NamedTuple):
    """A figure: its word, its number, and what it means."""

    word: str
    number: int
    meaning: str


def rows(found: Findings) -> list[Row]:
    """The figures of the audit."""
    return [
        Row("attempted", found.attempted, "tasks that a producer tried to add"),
        Row("acked", found.acked, "of these, acknowledged"),
        Row("lost", found.lost, "acknowledged or accepted, and not there: must be 0"),
        Row("finished twice", found.twice, "two ends accepted, or a result that changed: must be 0"),
        Row("claims", found.claims, "leases that managers gave to workers"),
        Row("claimed twice", found.doubled, "one claim for two workers, or two at a time: must be 0"),
        *_undone(found),
        Row("unexpected", found.unexpected, "a task or a result that nobody made: must be 0"),
        Row("recovered", found.recovered, "without an answer, and there: the client may say it again"),
        Row("parked", found.parked, "failed after three recorded deaths of its worker"),
        Row("parked wrongly", found.unfounded, "failed without them: must be 0"),
        Row("given in vain", found.vain, "taken over 100 times, which no faults explain: must be 0"),
        Row("still queued", found.queued, "not ended at the end: must be 0"),
        Row("done", found.done, "ended with the result that their last attempt computed"),
        Row("failed", found.failed, "failed as their producer wanted"),
        Row("begun again", found.repeated, "begun more than once, which is allowed"),
        Row("died by itself", found.deaths.total(), "processes that ended unasked: must be 0"),
    ]


def _undone(found: Findings) -> list[Row]:
    words = "leases that a crash of the database forgot, which are void then: allowed"
    return [Row("claims undone", found.undone, words)] if found.undone else []


def text(result: Result) -> str:
    """The table, the complaints and the line of the audit."""
    found = result.findings
    lines = [f"  {row.word:<15}{row.number:>10,}  {row.meaning}" for row in rows(found)]
    lines += ["", *(f"  {what:<30}{number:>10,}" for what, number in _faults(found))]
    lines += [*_errors(found), "", *found.complaints, *([""] if found.complaints else [])]
    if result.logs is not None:
        lines.append(f"the logs are kept in {result.logs}")
    return "\n".join([*lines, f"{found}: {'passed' if result.holds else 'FAILED'}"])


def markdown(result: Result, command: str) -> str:
    """The figures as a document; `command` repeats the run."""
    found, plan = result.findings, result.plan
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    durability = f"durability {plan.durability}"
    lines = [
        "# A chaos run\n",
        "Written by the program that ran it. What each word means exactly, and how it is found out, is in",
        "`qm/simulator/chaos/oracle.py`.\n",
        f"```\n{command}\n```\n",
        f"{_today()}, qmanager {__version__}, Python {platform.python_version()}, {machine}; "
        f"{plan.store_kind}, {durability}.",
        f"{plan}. {result.elapsed:.0f} s with start, drain and audit.\n",
        f"**{'Passed' if result.holds else 'FAILED'}.**\n",
        "| | tasks | |",
        "|---|--:|---|",
        *(f"| {row.word} | {row.number:,} | {row.meaning} |" for row in rows(found)),
        "",
        "| fault | times |",
        "|---|--:|",
        *(f"| {what} | {number:,} |" for what, number in _faults(found)),
        "",
        "Of the settlements that came to the manager, {accepted:,} were accepted, {repeated:,} were repeats, "
        "and {lost:,} came when their lease was over.".format_map(found.verdicts),
    ]
    return "\n".join(lines) + "\n"


def _errors(found: Findings) -> list[str]:
    """What producers met when they added, in one line if anything."""
    said = ", ".join(f"{code} {number:,}" for code, number in sorted(found.errors.items()))
    return [f"  adds without an answer or refused: {said}"] if said else []


def _faults(found: Findings) -> list[tuple[str, int]]:
    return sorted(found.faults.items())


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(SystemClock().now()))
