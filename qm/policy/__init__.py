"""Pure decisions: given what is known about a task, what happens next? No I/O, no clock, no store.

`retry` decides after a failure, `strikes` after a worker's death, `retention` how long an ended task is kept.
Somebody else acts on the answers: the store, atomically.
"""
