"""The timer that a child sets and its parent hears."""

from __future__ import annotations

import multiprocessing
import select

import pytest

from qm.worker.alarm import Alarm


def readable(alarm: Alarm, seconds: float) -> bool:
    return bool(select.select([alarm], [], [], seconds)[0])


def test_it_is_silent_until_it_is_set() -> None:
    alarm = Alarm.create(0.001)
    assert not readable(alarm, 0)
    assert not alarm.heard()
    alarm.close()


def test_it_goes_off_once_for_each_time_it_is_set() -> None:
    alarm = Alarm.create(0.001)
    alarm.set()
    assert readable(alarm, 10)
    assert alarm.heard()
    assert not alarm.heard()
    alarm.set()
    assert readable(alarm, 10)
    alarm.close()


def test_setting_it_again_starts_the_time_anew() -> None:
    alarm = Alarm.create(3600.0)
    alarm.set()
    alarm.set()
    assert not readable(alarm, 0)
    alarm.close()


def _child(alarm: Alarm) -> None:
    alarm.set()


@pytest.mark.timeout(60)
def test_a_spawned_child_sets_it_and_its_parent_hears_it() -> None:
    alarm = Alarm.create(0.001)
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(alarm,))
    child.start()
    child.join()
    assert readable(alarm, 10)
    alarm.close()
