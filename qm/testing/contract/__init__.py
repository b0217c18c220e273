"""The contract of a store, as tests: what `qm.store.base` says, verb by verb.

    class TestMyStore(StoreContract):
        durable = True

        @pytest.fixture
        def store(self, tmp_path):
            with closing(MyStore(tmp_path)) as store:
                yield store

        @pytest.fixture
        def reopen(self, tmp_path):
            return lambda: MyStore(tmp_path)

Tests that take `verbs` run twice: on the store itself, where each verb is a transaction, and inside one
transaction.
"""

from qm.testing.contract.producing import Producing
from qm.testing.contract.reading import Reading
from qm.testing.contract.recording import Recording
from qm.testing.contract.settling import Settling
from qm.testing.contract.timing import Timing
from qm.testing.contract.transactions import Transactions
from qm.testing.contract.working import Working

__all__ = ["StoreContract"]


class StoreContract(Producing, Working, Settling, Recording, Timing, Reading, Transactions):
    """Subclass it as `Test...` with a `store` fixture; see this module's docstring."""
