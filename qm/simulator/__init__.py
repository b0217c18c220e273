"""Load on a real queue, and a judgement of what became of it, by somebody who only has the public client.

simulation ─ starts a pool of workers and the producers, shows how far they are, cleans up
  producer ─ a process: adds random tasks, waits for each, reads each a second time, judges it
    load     ─ the tasks, and how to tell a right output from a wrong one without the operations' code
    book     ─ what the producer has sent and not yet judged
audit      ─ pure: two readings of a task in, a record out; records in, a verdict out
report     ─ the verdict for people
"""

from qm.simulator.audit import Audit, Verdict
from qm.simulator.plan import Plan
from qm.simulator.pool import Pool
from qm.simulator.simulation import Outcome, Simulation

__all__ = ["Audit", "Outcome", "Plan", "Pool", "Simulation", "Verdict"]
