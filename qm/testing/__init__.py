"""What tests of and around the queue need; for users' own tests too. Needs pytest.

`StoreContract` is the meaning of `qm.store.base.Store` as tests: subclass it, give it a `store` fixture, and
pytest judges your store. `FakeClock` is a clock that only moves when told to. `running_manager` runs a
manager in your test's own process.
"""

import pytest

# Before the import, so that a failing assert of the contract shows its values.
pytest.register_assert_rewrite("qm.testing.contract")

from qm.testing.clock import FakeClock  # noqa: E402
from qm.testing.contract import StoreContract  # noqa: E402
from qm.testing.manager import RunningManager, running_manager  # noqa: E402

__all__ = ["FakeClock", "RunningManager", "StoreContract", "running_manager"]
