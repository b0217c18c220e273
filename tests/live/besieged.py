"""A qmanager as a process of its own, with few descriptors or little memory, and crowds that besiege it."""

from __future__ import annotations

import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.usage import cpu_seconds
from qm.client import Client
from qm.wire.address import parse_address
from qm.wire.codec import Request, encode, envelope
from qm.wire.frames import Connection
from qm.wire.keys import read_key
from qm.wire.remote import dial
from tests.live.stage import eventually
from tests.wants import want


class Besieged:
    """The process, seen from outside."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path) -> None:
        self.process = process
        self.home = home
        self.address = parse_address(dict(_lines(home / "ready"))["rpc"], 8090)
        self.key = read_key(home / "authkey")

    def stranger(self) -> socket.socket:
        """A connection that has said nothing."""
        return socket.create_connection(self.address, timeout=10)

    def known(self) -> Connection:
        """One that has proved its key, and has been answered."""
        connection = dial(self.address, self.key)
        try:
            connection.send_frame(envelope(Request(0, "queue", "status", encode([]))), 10)
            connection.recv_frame(10)
        except BaseException:  # there was no memory for its call
            connection.close()
            raise
        return connection

    def serves(self) -> float:
        """Seconds for an honest client to come, be served and leave. It comes again where it is refused."""
        begun = time.monotonic()
        with Client(self.address, self.key, patience=30) as client:
            client.status()
        return time.monotonic() - begun

    def log(self) -> str:
        """What it has said so far."""
        return (self.home / "log").read_text()

    def cpu_share(self, seconds: float) -> float:
        """How much of a processor it uses for a while."""
        before, begun = cpu_seconds([self.process.pid]), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds([self.process.pid]) - before) / (time.monotonic() - begun)

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """How many it has."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def resident(self, name: str = "VmRSS") -> int:
        """Bytes of memory: now, or at most so far (VmHWM)."""
        return int(dict(_lines(Path(f"/proc/{self.process.pid}/status"), ":"))[name].split()[0]) * 1024


@contextmanager
def besieged(folder: Path, limit: str = "true") -> Iterator[Besieged]:
    """A manager in memory, under a `limit` in the shell's words, like `ulimit -n 64`."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "qm.cli.qmanager", "--rpc", "127.0.0.1:0", "--http", "off"]
    command += ["--store", "memory:", "--ready-file", str(home / "ready")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", f'{limit} && exec "$0" "$@"', *command],
            env=os.environ | {"QM_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: (home / "ready").exists() or process.poll() is not None)
        assert process.poll() is None, (home / "log").read_text()
        yield Besieged(process, home)
        assert process.poll() is None, (home / "log").read_text()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@contextmanager
def crowd(sockets: list[socket.socket]) -> Iterator[None]:
    """Closes them at the end."""
    with ExitStack() as stack:
        for sock in sockets:
            stack.enter_context(sock)
        yield


def strangers(manager: Besieged, count: int) -> list[socket.socket]:
    """So many of them, or as many as are not refused while they connect."""
    found = []
    for _ in range(count):
        with suppress(ConnectionError):
            found.append(manager.stranger())
    return found


def ended(sockets: list[socket.socket], seconds: float) -> int:
    """How many are closed by the other end, as soon as all are or after so many seconds."""
    poll, open_, deadline = select.poll(), {}, time.monotonic() + seconds
    for sock in sockets:
        poll.register(sock, select.POLLIN)
        open_[sock.fileno()] = sock
    while open_ and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            if _is_over(open_[fd]):
                poll.unregister(fd)
                del open_[fd]
    return len(sockets) - len(open_)


def _is_over(sock: socket.socket) -> bool:
    """Reads away what is there."""
    sock.setblocking(False)
    try:
        while sock.recv(4096):
            continue
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _lines(file: Path, between: str | None = None) -> list[tuple[str, str]]:
    found = []
    for line in file.read_text().splitlines():
        name, value = line.split(between, 1)
        found.append((name, value.strip()))
    return found


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """This process may have so many meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want(hard == resource.RLIM_INFINITY or hard >= count, f"{count} descriptors (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
