-- known --
WITH given (id) AS (VALUES (?) /* rows */)
SELECT tasks.id, tasks.digest FROM given JOIN tasks ON tasks.id = given.id
UNION ALL
SELECT tombstones.id, tombstones.digest FROM given JOIN tombstones ON tombstones.id = given.id

-- add --
INSERT INTO tasks (n, id, type, state, priority, seq, digest, added, due, attempts, timeout, keep, input_size,
                   input)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) /* rows */

-- add_input --
INSERT INTO inputs (n, data) VALUES (?, ?) /* rows */

-- heads --
-- The next tasks of one type: the head of its line, walked only as far as the limit reaches.
SELECT t.n, t.id, t.attempt, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)),
       t.failures, t.timeout, t.added, t.priority, t.crashes + t.lost
FROM tasks AS t
WHERE t.state = 'waiting' AND t.type = ?
ORDER BY t.priority DESC, t.seq
LIMIT ?

-- heads_of_many --
-- The same over several types. The heads are sorted before their payloads are read.
WITH heads AS MATERIALIZED (
    SELECT n FROM tasks
    WHERE state = 'waiting' AND type IN (VALUES (?) /* rows */)
    ORDER BY priority DESC, seq
    LIMIT ?
)
SELECT t.n, t.id, t.attempt, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)),
       t.failures, t.timeout, t.added, t.priority, t.crashes + t.lost
FROM heads CROSS JOIN tasks AS t ON t.n = heads.n
ORDER BY t.priority DESC, t.seq

-- take --
WITH given (n, lease) AS (VALUES (?, ?) /* rows */),
     call (session, slot, incarnation, worker, now) AS (VALUES (?, ?, ?, ?, ?))
UPDATE tasks SET
    state = 'running', attempt = attempt + 1, lease = given.lease,
    session = call.session, slot = call.slot, incarnation = call.incarnation, worker = call.worker,
    started = call.now, progress = NULL, note = NULL
FROM given, call
WHERE tasks.n = given.n AND tasks.state = 'waiting'

-- finish --
WITH given (id, attempt, lease, size) AS (VALUES (?, ?, ?, ?) /* rows */),
     call (now, keep) AS (VALUES (?, ?))
UPDATE tasks SET
    state = 'done', reason = NULL, output_size = given.size,
    ended = call.now,
    expires = call.now + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), call.keep)
FROM given, call
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING n, id, type, attempt, lease, session, slot, worker, started

-- finish_output --
INSERT INTO outputs (n, data) VALUES (?, ?) /* rows */

-- fail, retry --
-- `state` is policy's word: scheduled (due set), waiting (at the tail: seq set), failed (reason set) or
-- cancelled.
WITH given (id, attempt, lease, state, due, seq, reason) AS (VALUES (?, ?, ?, ?, ?, ?, ?) /* rows */),
     call (now, keep) AS (VALUES (?, ?))
UPDATE tasks SET
    state = given.state, failures = failures + (given.state <> 'cancelled'),
    due = given.due, seq = coalesce(given.seq, tasks.seq), reason = given.reason,
    ended = CASE WHEN given.state IN ('failed', 'cancelled') THEN call.now END,
    expires = CASE WHEN given.state IN ('failed', 'cancelled') THEN call.now + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), call.keep) END
FROM given, call
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING n, id, type, attempt, lease, session, slot, worker, started

-- release --
WITH given (id, attempt, lease) AS (VALUES (?, ?, ?) /* rows */)
UPDATE tasks SET state = 'waiting'
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING n, id, type, attempt, lease, session, slot, worker, started

-- recover --
-- `state` is policy's word: waiting (at the old place), failed (reason set) or cancelled.
WITH given (id, attempt, lease, state, reason, crashes, lost) AS (VALUES (?, ?, ?, ?, ?, ?, ?) /* rows */),
     call (now, keep) AS (VALUES (?, ?))
UPDATE tasks SET
    state = given.state, reason = given.reason,
    crashes = tasks.crashes + given.crashes, lost = tasks.lost + given.lost,
    ended = CASE WHEN given.state IN ('failed', 'cancelled') THEN call.now END,
    expires = CASE WHEN given.state IN ('failed', 'cancelled') THEN call.now + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), call.keep) END
FROM given, call
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING n, id, type, attempt, lease, session, slot, worker, started

-- record --
INSERT INTO attempts (n, attempt, lease, verb, outcome, session, slot, worker, started, ended, cause, error,
                      output)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) /* rows */

-- record_details --
INSERT INTO details (n, attempt, pid, exitcode, peak_memory, log) VALUES (?, ?, ?, ?, ?, ?) /* rows */

-- settled --
-- How the leases that no longer hold were settled.
WITH given (id, attempt, lease) AS (VALUES (?, ?, ?) /* rows */)
SELECT given.id, given.attempt, given.lease, attempts.verb
FROM given
JOIN tasks ON tasks.id = given.id
JOIN attempts ON attempts.n = tasks.n AND attempts.attempt = given.attempt AND attempts.lease = given.lease

-- progress --
WITH given (id, attempt, lease, progress, note) AS (VALUES (?, ?, ?, ?, ?) /* rows */)
UPDATE tasks SET progress = given.progress, note = given.note
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING id, attempt, lease

-- states --
WITH given (id) AS (VALUES (?) /* rows */)
SELECT tasks.id, tasks.state, tasks.type, tasks.n, tasks.digest
FROM given JOIN tasks ON tasks.id = given.id

-- cancel --
WITH given (n) AS (VALUES (?) /* rows */),
     call (now, keep) AS (VALUES (?, ?))
UPDATE tasks SET
    state = 'cancelled', due = NULL, ended = call.now,
    expires = call.now + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), call.keep)
FROM given, call
WHERE tasks.n = given.n AND tasks.state IN ('blocked', 'scheduled', 'waiting')

-- cancel_running --
WITH given (n) AS (VALUES (?) /* rows */),
     call (now) AS (VALUES (?))
UPDATE tasks SET cancelling = call.now
FROM given, call
WHERE tasks.n = given.n AND tasks.state = 'running'

-- requeue --
WITH given (n, seq) AS (VALUES (?, ?) /* rows */)
UPDATE tasks SET
    state = 'waiting', seq = given.seq, failures = 0, crashes = 0, lost = 0,
    ended = NULL, expires = NULL, reason = NULL, cancelling = NULL
FROM given
WHERE tasks.n = given.n AND tasks.state = 'failed'

-- bury_id --
INSERT INTO tombstones (id, digest, until) VALUES (?, ?, ?) /* rows */
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, until = excluded.until

-- forget_attempts --
DELETE FROM attempts WHERE n IN (VALUES (?) /* rows */)

-- forget_details --
DELETE FROM details WHERE n IN (VALUES (?) /* rows */)

-- forget_inputs --
DELETE FROM inputs WHERE n IN (VALUES (?) /* rows */)

-- forget_outputs --
DELETE FROM outputs WHERE n IN (VALUES (?) /* rows */)

-- forget --
DELETE FROM tasks WHERE n IN (VALUES (?) /* rows */)

-- due --
SELECT n, type FROM tasks WHERE state = 'scheduled' AND due <= ? ORDER BY due, n LIMIT ?

-- promote --
WITH given (n, seq) AS (VALUES (?, ?) /* rows */)
UPDATE tasks SET state = 'waiting', due = NULL, seq = given.seq
FROM given
WHERE tasks.n = given.n AND tasks.state = 'scheduled'

-- next_due --
SELECT min(due) FROM tasks WHERE state = 'scheduled'

-- expired --
SELECT id, state, type, n, digest FROM tasks WHERE expires <= ? ORDER BY expires, n LIMIT ?

-- expire_ids --
DELETE FROM tombstones WHERE id IN (SELECT id FROM tombstones WHERE until <= ? ORDER BY until, id LIMIT ?)

-- next_expiry --
SELECT min(expires) FROM tasks WHERE expires IS NOT NULL

-- attach --
INSERT INTO sessions (session, host, pid, processes, types, attached) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (session) DO UPDATE SET
    host = excluded.host, pid = excluded.pid, processes = excluded.processes, types = excluded.types

-- attach_types --
INSERT INTO types (type, attempts, timeout, keep) VALUES (?, ?, ?, ?) /* rows */
ON CONFLICT (type) DO UPDATE SET
    attempts = excluded.attempts, timeout = excluded.timeout, keep = excluded.keep

-- timeouts --
SELECT type, timeout FROM types

-- holds_any --
SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 'running' AND session = ?)

-- detach --
DELETE FROM sessions WHERE session = ?

-- sessions --
SELECT session, host, pid, processes, types FROM sessions ORDER BY session

-- held_by_session --
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM tasks AS t LEFT JOIN types ON types.type = t.type
WHERE t.state = 'running' AND t.session = ?
ORDER BY t.started, t.priority DESC, t.seq

-- held --
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM tasks AS t LEFT JOIN types ON types.type = t.type
WHERE t.state = 'running' AND t.session = ? AND t.slot = ? AND t.incarnation <= ?
ORDER BY t.started, t.priority DESC, t.seq

-- cancelling --
SELECT session, id, attempt, lease FROM tasks INDEXED BY running
WHERE state = 'running' AND cancelling IS NOT NULL

-- cancelling_of --
WITH given (id) AS (VALUES (?) /* rows */)
SELECT t.session, t.id, t.attempt, t.lease
FROM given JOIN tasks AS t ON t.id = given.id
WHERE t.state = 'running' AND t.cancelling IS NOT NULL

-- attempts --
SELECT a.attempt, a.outcome, a.started, a.ended, a.worker, a.cause, a.error,
       details.pid, details.exitcode, details.peak_memory, coalesce(details.log, '')
FROM tasks AS t
JOIN attempts AS a ON a.n = t.n
LEFT JOIN details ON details.n = a.n AND details.attempt = a.attempt
WHERE t.id = ?1 AND (?2 IS NULL OR a.attempt < ?2)
ORDER BY a.attempt DESC

-- leased --
WITH given (id, attempt, lease) AS (VALUES (?, ?, ?) /* rows */)
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM given
JOIN tasks AS t ON t.id = given.id AND t.state = 'running' AND t.attempt = given.attempt
    AND t.lease = given.lease
LEFT JOIN types ON types.type = t.type

-- get --
WITH given (id) AS (VALUES (?) /* rows */)
SELECT t.n, t.id, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)), t.state,
       iif(t.state = 'done', coalesce(attempts.output, (SELECT data FROM outputs WHERE outputs.n = t.n)), NULL),
       t.reason, t.priority, t.attempt, t.attempts,
       t.failures, t.crashes, t.lost, t.added, t.due, t.started, t.ended, t.expires, t.timeout, t.worker,
       t.progress, t.note, t.state = 'running' AND t.cancelling IS NOT NULL, t.input_size, t.output_size,
       attempts.error
FROM given
CROSS JOIN tasks AS t ON t.id = given.id
LEFT JOIN attempts ON attempts.n = t.n AND attempts.attempt = t.attempt

-- page --
-- The tasks of one page of a list, by number; payloads too large to list are left out.
SELECT t.n, t.id, t.type,
       iif(t.input_size <= ?, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)), x''), t.state,
       iif(t.state = 'done' AND t.output_size <= ?,
           coalesce(attempts.output, (SELECT data FROM outputs WHERE outputs.n = t.n)), NULL),
       t.reason, t.priority, t.attempt, t.attempts,
       t.failures, t.crashes, t.lost, t.added, t.due, t.started, t.ended, t.expires, t.timeout, t.worker,
       t.progress, t.note, t.state = 'running' AND t.cancelling IS NOT NULL, t.input_size, t.output_size,
       attempts.error
FROM tasks AS t
LEFT JOIN attempts ON attempts.n = t.n AND attempts.attempt = t.attempt
WHERE t.n = ?

-- list_waiting --
-- In the order in which they would run; a page begins behind (priority, seq): the rest of that priority, then
-- the lower ones. One condition over both would walk the line from its head to the cursor.
WITH given (type) AS (VALUES (?) /* rows */),
     place (priority, seq, most) AS (VALUES (?, ?, ?))
SELECT n, priority, seq FROM (
    SELECT * FROM (
        SELECT n, priority, seq FROM tasks
        WHERE state = 'waiting' AND type IN given
          AND priority = (SELECT priority FROM place) AND seq > (SELECT seq FROM place)
        ORDER BY seq LIMIT (SELECT most FROM place))
    UNION ALL
    SELECT * FROM (
        SELECT n, priority, seq FROM tasks
        WHERE state = 'waiting' AND type IN given AND priority < (SELECT priority FROM place)
        ORDER BY priority DESC, seq LIMIT (SELECT most FROM place)))
ORDER BY priority DESC, seq LIMIT (SELECT most FROM place)

-- list_scheduled --
SELECT n, due, n FROM tasks
WHERE state = 'scheduled' AND due >= ?1 AND NOT (due = ?1 AND n <= ?2) AND (?3 IS NULL OR type = ?3)
ORDER BY due, n LIMIT ?4

-- list_blocked --
SELECT n, n, 0 FROM tasks
WHERE state = 'blocked' AND n > ?1 AND (?2 IS NULL OR type = ?2)
ORDER BY n LIMIT ?3

-- list_running --
-- INDEXED: by itself the planner walks all tasks in order of n. What runs is little, and sorted in no time.
SELECT n, n, 0 FROM tasks INDEXED BY running
WHERE state = 'running' AND n > ?1 AND (?2 IS NULL OR type = ?2)
ORDER BY n LIMIT ?3

-- list_ended --
-- The newest of each type and state, by the index alone: a walk goes on to the next of them once it is behind
-- the last task that has found a place.
WITH given (type) AS (VALUES (?) /* rows */),
     place (ended, n) AS (VALUES (?, ?))
SELECT n, ended, n FROM tasks
WHERE type IN given AND state IN (?, ?, ?)
  AND ended <= (SELECT ended FROM place)
  AND NOT (ended = (SELECT ended FROM place) AND n >= (SELECT n FROM place))
ORDER BY ended DESC, n DESC LIMIT ?

-- counts --
SELECT type, state, tasks FROM counts

-- set_counts --
INSERT OR REPLACE INTO counts (type, state, tasks) VALUES (?, ?, ?) /* rows */

-- reserve_numbers --
UPDATE numbers SET reserved = reserved + ? RETURNING reserved
