"""What a child and its tasks write: kept in memory, so that the last words before a death can be read.

A child's standard output and error go to a file in memory that its parent has open, too. The log of the child
goes there as well as to the pool's own. Whether a task wrote anything costs no system call: behind the place
where the last one ended, the file is zeros.

The file can neither grow nor be cut. Between two tasks it is begun anew once it is longer than `_TURN`;
while a task runs, what Python writes begins it anew by itself, and the parent does it for other programs as
often as it looks. So a program that writes 64 MiB between two looks (a second) finds its standard output
full: it gets EPERM. So does one that opens it anew by its name (`> /dev/stderr` in a script), which would
cut it; `>&2` does not.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import logging
import mmap
import os
import sys
import time
from multiprocessing import reduction
from typing import Any, Final

from qm.limits import LOG_MAX

#: Bytes of address space; memory is used for what was written since the last turn.
_SIZE: Final = 64 << 20

#: Bytes after which the file is begun anew between two tasks, and while one of them runs.
_TURN: Final = 1 << 20
_TURN_WITHIN: Final = 4 << 20

_F_ADD_SEALS: Final = 1033
_F_SEAL_SHRINK: Final = 2
_F_SEAL_GROW: Final = 4
_KEEP_SIZE_AND_PUNCH_HOLE: Final = 3

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)


class Output:
    """One child's file. Made by the parent; both move its one position."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)
        self._inode = os.fstat(fd).st_ino
        #: Where the running task's output begins. The child's own.
        self.start = 0

    @classmethod
    def create(cls) -> Output:
        """An empty file."""
        fd = os.memfd_create("qmworker-output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, _SIZE)
            # who reads a mapped file that was cut short dies of SIGBUS: the child, and the pool with it
            fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_GROW | _F_SEAL_SHRINK)
            return cls(fd)
        except BaseException:  # the map takes another descriptor
            os.close(fd)
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (reduction.DupFd(self.fd),)

    def close(self) -> None:
        """Lets the file go."""
        self._map.close()
        os.close(self.fd)

    @property
    def position(self) -> int:
        """Where the next byte will go."""
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    def written(self) -> bool:
        """Whether anything was written since `mark`."""
        return self._map[self.start] != 0

    def mark(self) -> int:
        """What comes from here on is the next task's. Gives where that is."""
        self.start = self.position
        if self.start > _TURN:
            self._begin_anew(0, self.start)
            self.start = 0
        return self.start

    def tail(self, start: int, most: int = LOG_MAX, end: int | None = None) -> str:
        """The last `most` bytes of what was written from `start` on (until `end`), as text."""
        end = self.position if end is None else end
        written = self._map[max(start, end - most) : end].replace(b"\0", b"")
        return written.decode("utf-8", "replace").encode()[-most:].decode("utf-8", "ignore")

    def trim(self, start: int) -> None:
        """Keeps only the last of a long output that began at `start`."""
        end = self.position
        if end - start > _TURN_WITHIN:
            last = self._map[end - LOG_MAX : end]
            self._begin_anew(start, end)
            os.write(self.fd, last)

    def redirect(self) -> None:
        """Standard output and error, and the log, go here from now on; unbuffered: a death asks nobody."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed before we were started
                stream.flush()
        for fd in (1, 2):
            os.dup2(self.fd, fd)
        sys.stdout = _text(_Stream(self, 1))
        sys.stderr = _text(_Stream(self, 2))
        logging.getLogger().addHandler(_Lines())

    def intact(self) -> bool:
        """Whether standard output and our descriptor still are this file: a task may have closed all
        descriptors, or all but the first three, and ours may be another file's now."""
        try:
            return os.lseek(1, 0, os.SEEK_CUR) >= self.start and os.fstat(self.fd).st_ino == self._inode
        except OSError:
            return False

    def _begin_anew(self, start: int, end: int) -> None:
        os.lseek(self.fd, start, os.SEEK_SET)
        _libc.fallocate(self.fd, _KEEP_SIZE_AND_PUNCH_HOLE, start, end - start)


class _Stream(io.FileIO):
    """A descriptor that Python's own writing never fills."""

    def __init__(self, output: Output, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._output = output
        self._since = 0

    def write(self, data: Any) -> int:
        self._since += len(data)
        if self._since > _TURN_WITHIN:
            self._output.trim(self._output.start)
            self._since = len(data)
        return super().write(data)


class _Lines(logging.Handler):
    """The log as lines of standard error. They need not say whose they are."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
        formatter.converter = time.gmtime
        formatter.default_time_format, formatter.default_msec_format = "%H:%M:%S", "%s.%03dZ"
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(2, f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception:  # a closed descriptor, or a record that cannot be shown
            return


def _text(raw: io.FileIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)


def _attach(duplicate: Any) -> Output:
    return Output(duplicate.detach())
