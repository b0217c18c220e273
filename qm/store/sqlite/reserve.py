"""Space set aside beside the store's file, so that results can still be written when the disk is full."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Final

from qm.errors import DiskFull

_log = logging.getLogger(__name__)

#: Bytes set aside: as much as the write-ahead log grows to before it begins anew (4,000 pages of 4 KiB), so
#: that all of it can be moved into the file; from then on results need no new space but their own.
SIZE: Final = 16 << 20

#: What the system says where there is no space: on the disk, or for this user.
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """The file `<store>.reserve`. While it is spent, the disk is full: tasks are refused, results are not."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".reserve")
        #: Whether the disk is full.
        self.spent = False

    def make(self) -> None:
        """Sets the space aside, as far as there is any."""
        if self.spent:
            return
        try:
            self._allocate()
        except OSError as error:
            if error.errno in NO_SPACE:
                self.spend()
            else:  # without a reserve the store works as well, until its disk is full
                _log.warning("no space can be set aside in %s: %s", self.path, error.strerror)

    def spend(self) -> bool:
        """The disk is full: gives the space to those who write results. Gives whether there was any."""
        given = self.remove()  # first, as it takes some milliseconds: who hears of it finds the space
        if not self.spent:
            self.spent = True
            _log.error("the disk of %s is full: tasks are refused, results are still taken", self.path.parent)
        return given

    def remove(self) -> bool:
        """Gives the space back to the disk. Gives whether there was any."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            _log.warning("the reserve %s cannot be removed: %s", self.path, error.strerror)
            return False
        return True

    def check(self) -> None:
        """Raises `DiskFull` for a task that comes while the disk is full; looks whether it still is."""
        if self.spent and not self._is_space_again():
            raise DiskFull(
                f"the disk of the store is full; a task is taken when {2 * SIZE >> 20} MiB are free",
                hint="make space on the manager's disk, or delete ended tasks by qmclient forget",
            )

    def _is_space_again(self) -> bool:
        """Twice the reserve must be free: what is set aside must not be all that results could have had."""
        try:
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * SIZE:
                return False
            self._allocate()
        except OSError as error:
            _log.debug("no space yet: %s", error)
            return False
        self.spent = False
        _log.warning("there is space again in %s: tasks are taken", self.path.parent)
        return True

    def _allocate(self) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)
        except OSError:
            self.remove()
            raise
        finally:
            os.close(fd)
