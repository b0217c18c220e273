"""The peers that can be measured: what to install, what they keep through what, how their workers start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from benchmarks.report import Level

_MEMORY: Final = "Redis in memory, nothing outlives it"
_SYNCED: Final = "Redis appendonly with appendfsync always, synced"


_ONE_BY_ONE: Final = ("add", "drain", "sustained", "latency", "bcrypt")
_WITH_BULK: Final = ("add", "bulk", "drain", "sustained", "sustained_bulk", "latency", "bcrypt")


@dataclass(frozen=True)
class Peer:
    """One configuration of one system.

    `packages` are what pip installs, `server` what `benchmarks.peers.servers` starts, `variables` what the
    application reads. `workers` are the commands of the workers: two, or one that starts two; `prepare` goes
    before them, once. `bulk`: it has a call that adds many tasks. A command's first word is a program of the
    peer's environment, and "{server}" means host:port.
    """

    name: str
    family: str
    packages: tuple[str, ...]
    server: str
    level: Level
    durability: str
    configuration: str
    workers: tuple[tuple[str, ...], ...]
    prepare: tuple[str, ...] = ()
    bulk: bool = False
    backlog: int = 10_000
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """Where its application is."""
        return f"benchmarks.peers.{self.family}"

    @property
    def measures(self) -> tuple[str, ...]:
        """The probes that it can stand."""
        return _WITH_BULK if self.bulk else _ONE_BY_ONE


_PLAIN: Final = ("python", "-m", "benchmarks.peers.work")
_HUEY: Final = ("huey_consumer", "benchmarks.peers.huey.app", "-k", "process", "-w", "2", "-q", "-n")
_QUIET: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_PROCRASTINATE: Final = ("procrastinate", "--app", "benchmarks.peers.procrastinate.app")


def _redis(name: str, server: str) -> Peer:
    return Peer(
        name=name,
        family="redis",
        packages=("redis[hiredis]",),
        server=server,
        level=Level.MEMORY if server == "redis" else Level.SYNCED,
        durability=_MEMORY if server == "redis" else _SYNCED,
        configuration="redis-py and hiredis, LPUSH and BRPOP of JSON, no acknowledgement, 2 processes",
        workers=((*_PLAIN, "redis"),) * 2,
        bulk=True,
        backlog=20_000,
    )


def _huey(name: str, server: str) -> Peer:
    return Peer(
        name=name,
        family="huey",
        packages=("huey", "redis[hiredis]"),
        server=server,
        level=Level.MEMORY if server == "redis" else Level.SYNCED,
        durability=_MEMORY if server == "redis" else _SYNCED,
        configuration="RedisHuey, notify_result=True, huey_consumer -k process -w 2 -q -n",
        workers=(_HUEY,),
        variables={"QM_BENCH_HUEY": "redis"},
    )


PEERS: Final = (
    _redis("redis", "redis"),
    _redis("redis synced", "redis-synced"),
    Peer(
        name="beanstalkd",
        family="beanstalkd",
        packages=("greenstalk",),
        server="beanstalkd",
        level=Level.MEMORY,
        durability="in memory, no binlog",
        configuration="greenstalk, put/reserve/delete of JSON, result put to a reply tube, 2 processes",
        workers=((*_PLAIN, "beanstalkd"),) * 2,
        backlog=20_000,
    ),
    _huey("huey redis", "redis"),
    _huey("huey redis synced", "redis-synced"),
    Peer(
        name="huey sqlite",
        family="huey",
        packages=("huey", "redis[hiredis]"),
        server="folder",
        level=Level.SYNCED,
        durability="SQLite in WAL mode, synchronous=FULL, synced",
        configuration="SqliteHuey, huey_consumer -k process -w 2 -q -n -d 0.01 -m 0.05",
        workers=((*_HUEY, "-d", "0.01", "-m", "0.05"),),
        variables={"QM_BENCH_HUEY": "sqlite"},
    ),
    Peer(
        name="dramatiq",
        family="dramatiq",
        packages=("dramatiq[redis]", "hiredis"),
        server="redis",
        level=Level.MEMORY,
        durability=_MEMORY,
        configuration="RedisBroker, Results with RedisBackend, dramatiq -p 2 -t 8 (default threads)",
        workers=(("dramatiq", "benchmarks.peers.dramatiq", "-p", "2", "-t", "8"),),
    ),
    Peer(
        name="saq",
        family="saq",
        packages=("saq[redis,hiredis]", "typing_extensions"),
        server="redis",
        level=Level.MEMORY,
        durability=_MEMORY,
        configuration="RedisQueue, concurrency 10 (default), saq --workers 2 --quiet; waits by pub/sub",
        workers=(("saq", "benchmarks.peers.saq.settings", "--workers", "2", "--quiet"),),
    ),
    Peer(
        name="flexiq",
        family="flexiq",
        packages=("flexiq",),
        server="folder",
        level=Level.RELAXED,
        durability="SQLite in WAL mode, not synced per commit",
        configuration="2 workers, prefork, batches of 100; polls every 10 ms, its wait every 5",
        workers=(("flexiq", "worker", "--app", "benchmarks.peers.flexiq:queue", "--pool", "prefork"),),
        bulk=True,
        backlog=5_000,
    ),
    Peer(
        name="rq",
        family="rq",
        packages=("rq", "hiredis"),
        server="redis",
        level=Level.MEMORY,
        durability=_MEMORY,
        configuration="rq worker-pool -n 2 -w rq.SimpleWorker: no fork per task, its fastest worker",
        workers=(
            (
                "rq",
                "worker-pool",
                "--url",
                "redis://{server}/0",
                "-n",
                "2",
                "-w",
                "rq.SimpleWorker",
                "--quiet",
            ),
        ),
        bulk=True,
        backlog=4_000,
    ),
    Peer(
        name="celery",
        family="celery",
        packages=("celery[redis]", "hiredis"),
        server="redis",
        level=Level.MEMORY,
        durability=_MEMORY,
        configuration="prefork -c 2, worker_prefetch_multiplier=64, without gossip, mingle and heartbeat",
        workers=(
            ("celery", "-A", "benchmarks.peers.celery:app", "worker", "-c", "2", "-l", "ERROR", *_QUIET),
        ),
        backlog=5_000,
    ),
    Peer(
        name="taskiq",
        family="taskiq",
        packages=("taskiq", "taskiq-redis", "uvloop", "hiredis"),
        server="redis",
        level=Level.MEMORY,
        durability=_MEMORY,
        configuration="RedisStreamBroker (acknowledges), -w 2 --max-prefetch 100; wait polls every 5 ms",
        workers=(("taskiq", "worker", "benchmarks.peers.taskiq:broker", "-w", "2", "--max-prefetch", "100"),),
    ),
    Peer(
        name="procrastinate",
        family="procrastinate",
        packages=("procrastinate", "psycopg[binary,pool]"),
        server="postgres",
        level=Level.SYNCED,
        durability="PostgreSQL, synchronous_commit on, synced",
        configuration="2 × procrastinate worker -c 10, LISTEN/NOTIFY; keeps jobs, no results; status polled",
        prepare=(*_PROCRASTINATE, "schema", "--apply"),
        workers=((*_PROCRASTINATE, "worker", "-c", "10"),) * 2,
        bulk=True,
        backlog=3_000,
    ),
)


def chosen(names: list[str]) -> list[Peer]:
    """The configurations of the named systems: a family (huey) or one (huey-sqlite). Raises `ValueError`."""
    found: list[Peer] = []
    for name in names:
        some = [p for p in PEERS if name in (p.family, p.name.replace(" ", "-"))]
        if not some:
            known = ", ".join(dict.fromkeys(p.family for p in PEERS))
            raise ValueError(f"no peer is called {name!r}; there are {known}")
        found += [p for p in some if p not in found]
    return found
