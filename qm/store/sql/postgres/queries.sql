-- The same names in the same order as the SQLite file, to be read side by side. A batch comes as arrays, one per
-- column: `given`. Every parameter is cast where it first stands: qm/store/postgres/statements.py reads its type
-- there. What other managers may do meanwhile is met by locks in the order of n, or by passing over what they
-- have locked.

-- known --
WITH given (id) AS (SELECT * FROM unnest($1::text[]))
SELECT tasks.id, tasks.digest FROM given JOIN tasks ON tasks.id = given.id
UNION ALL
SELECT tombstones.id, tombstones.digest FROM given JOIN tombstones ON tombstones.id = given.id

-- forgotten --
SELECT tombstones.id FROM unnest($1::text[]) AS given (id) JOIN tombstones ON tombstones.id = given.id

-- add --
-- Gives the ids that are new; of the others the rows stay, whoever added them meanwhile.
WITH given AS MATERIALIZED (
    SELECT nextval('numbers') AS n, g.* FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::float8[], $7::bigint[], $8::float8[],
        $9::float8[], $10::bigint[], $11::bytea[], $12::bytea[]
    ) AS g (id, type, state, priority, digest, due, attempts, timeout, keep, input_size, near, far)
),
gone AS MATERIALIZED (SELECT tombstones.id FROM given JOIN tombstones ON tombstones.id = given.id),
created AS (
    INSERT INTO tasks (n, id, type, state, priority, seq, digest, added, due, attempts, timeout, keep,
                       input_size, input)
    SELECT n, id, type, state, priority, n, digest, $13::float8, due, attempts, timeout, keep, input_size, near
    FROM given WHERE id NOT IN (SELECT id FROM gone)
    ON CONFLICT (id) DO NOTHING
    RETURNING n, id
),
add_input AS (
    INSERT INTO inputs (n, data)
    -- IS TRUE keeps the planner from making it a join, which it would do row by row
    SELECT n, far FROM given WHERE far IS NOT NULL AND (n IN (SELECT n FROM created)) IS TRUE
)
SELECT id FROM created

-- take --
-- The heads of each type's line, unlocked and walked only as far as the limit reaches; of them the first that
-- fit; of those the ones that nobody else has, locked and looked at again. A dead worker's task comes alone.
-- Only for a session that we serve, which stays ours until the commit: no row, not even an empty one, says that
-- it is not.
WITH owner AS MATERIALIZED (
    SELECT host || ':' || pid AS worker FROM sessions
    WHERE session = $5::text AND manager = $10::bigint
    FOR SHARE
),
heads AS MATERIALIZED (
    SELECT head.n, head.priority, head.seq, head.input_size, head.deaths
    FROM unnest($1::text[]) AS given (type)
    CROSS JOIN LATERAL (
        SELECT t.n, t.priority, t.seq, t.input_size, t.crashes + t.lost AS deaths FROM tasks AS t
        WHERE t.state = 'waiting' AND t.type = given.type
        ORDER BY t.priority DESC, t.seq
        LIMIT $3::bigint
    ) AS head
    ORDER BY head.priority DESC, head.seq
    LIMIT $3
),
chosen AS MATERIALIZED (
    SELECT n, place FROM (
        SELECT n, row_number() OVER line AS place, sum(input_size::int) OVER line AS size,
               max(deaths) OVER line AS deaths
        FROM heads
        WINDOW line AS (ORDER BY priority DESC, seq ROWS UNBOUNDED PRECEDING)
    ) AS measured
    WHERE place = 1 OR (deaths = 0 AND size <= $4::bigint)
),
locked AS MATERIALIZED (
    SELECT t.n, chosen.place::int FROM chosen JOIN tasks AS t ON t.n = chosen.n
    WHERE t.state = 'waiting'
    FOR UPDATE OF t SKIP LOCKED
),
taken AS (
    UPDATE tasks SET
        state = 'running', attempt = tasks.attempt + 1, lease = ($2::bigint[])[locked.place],
        session = $5, slot = $6::bigint, incarnation = $7::bigint, worker = owner.worker,
        started = $8::float8, progress = NULL, note = NULL
    FROM locked, owner
    WHERE tasks.n = locked.n
    RETURNING tasks.*
)
SELECT t.id, t.attempt, t.lease, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)),
       t.failures, coalesce(t.timeout, types.timeout, $9::float8), t.added, t.priority
FROM owner LEFT JOIN taken AS t ON true LEFT JOIN types ON types.type = t.type
ORDER BY t.priority DESC, t.seq

-- take_past --
-- As take, for one type and past what other managers have locked: where the heads are theirs, others may wait
-- behind them. Here all that may be taken is locked while it is looked at.
WITH owner AS MATERIALIZED (
    SELECT host || ':' || pid AS worker FROM sessions
    WHERE session = $5::text AND manager = $10::bigint
    FOR SHARE
),
heads AS MATERIALIZED (
    SELECT t.n, t.priority, t.seq, t.input_size, t.crashes + t.lost AS deaths FROM tasks AS t
    WHERE t.state = 'waiting' AND t.type = $1::text
    ORDER BY t.priority DESC, t.seq
    LIMIT $3::bigint
    FOR UPDATE SKIP LOCKED
),
chosen AS MATERIALIZED (
    SELECT n, place::int FROM (
        SELECT n, row_number() OVER line AS place, sum(input_size::int) OVER line AS size,
               max(deaths) OVER line AS deaths
        FROM heads
        WINDOW line AS (ORDER BY priority DESC, seq ROWS UNBOUNDED PRECEDING)
    ) AS measured
    WHERE place = 1 OR (deaths = 0 AND size <= $4::bigint)
),
taken AS (
    UPDATE tasks SET
        state = 'running', attempt = tasks.attempt + 1, lease = ($2::bigint[])[chosen.place],
        session = $5, slot = $6::bigint, incarnation = $7::bigint, worker = owner.worker,
        started = $8::float8, progress = NULL, note = NULL
    FROM chosen, owner
    WHERE tasks.n = chosen.n
    RETURNING tasks.*
)
SELECT t.id, t.attempt, t.lease, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)),
       t.failures, coalesce(t.timeout, types.timeout, $9::float8), t.added, t.priority
FROM owner LEFT JOIN taken AS t ON true LEFT JOIN types ON types.type = t.type
ORDER BY t.priority DESC, t.seq

-- finish --
WITH given (id, attempt, lease, size) AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
)
UPDATE tasks SET
    state = 'done', reason = NULL, output_size = given.size,
    ended = $5::float8,
    expires = $5 + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), $6::float8)
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING tasks.n, tasks.id, tasks.type, tasks.attempt, tasks.lease, session, slot, worker, started

-- finish_output --
INSERT INTO outputs (n, data) SELECT * FROM unnest($1::bigint[], $2::bytea[])

-- fail, retry --
-- `state` is policy's word: scheduled (due set), waiting (at the tail: seq set), failed (reason set) or
-- cancelled.
WITH given (id, attempt, lease, state, due, seq, reason) AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::float8[], $6::bigint[],
                         $7::text[])
)
UPDATE tasks SET
    state = given.state, failures = failures + (given.state <> 'cancelled')::int,
    due = given.due, seq = coalesce(given.seq, tasks.seq), reason = given.reason,
    ended = CASE WHEN given.state IN ('failed', 'cancelled') THEN $8::float8 END,
    expires = CASE WHEN given.state IN ('failed', 'cancelled') THEN $8 + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), $9::float8) END
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING tasks.n, tasks.id, tasks.type, tasks.attempt, tasks.lease, session, slot, worker, started

-- release --
WITH given (id, attempt, lease) AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]))
UPDATE tasks SET state = 'waiting'
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING tasks.n, tasks.id, tasks.type, tasks.attempt, tasks.lease, session, slot, worker, started

-- recover --
-- `state` is policy's word: waiting (at the old place), failed (reason set) or cancelled.
WITH given (id, attempt, lease, state, reason, crashes, lost) AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                         $7::bigint[])
)
UPDATE tasks SET
    state = given.state, reason = given.reason,
    crashes = tasks.crashes + given.crashes, lost = tasks.lost + given.lost,
    ended = CASE WHEN given.state IN ('failed', 'cancelled') THEN $8::float8 END,
    expires = CASE WHEN given.state IN ('failed', 'cancelled') THEN $8 + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), $9::float8) END
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING tasks.n, tasks.id, tasks.type, tasks.attempt, tasks.lease, session, slot, worker, started

-- record --
INSERT INTO attempts (n, attempt, lease, verb, outcome, session, slot, worker, started, ended, cause, error,
                      output)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                     $8::text[], $9::float8[], $10::float8[], $11::text[], $12::bytea[], $13::bytea[])

-- record_details --
INSERT INTO details (n, attempt, pid, exitcode, peak_memory, log)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])

-- settled --
-- How the leases that no longer hold were settled.
WITH given (id, attempt, lease) AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]))
SELECT given.id, given.attempt, given.lease, attempts.verb
FROM given
JOIN tasks ON tasks.id = given.id
JOIN attempts ON attempts.n = tasks.n AND attempts.attempt = given.attempt AND attempts.lease = given.lease

-- progress --
WITH given (id, attempt, lease, progress, note) AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::float8[], $5::text[])
)
UPDATE tasks SET progress = given.progress, note = given.note
FROM given
WHERE tasks.id = given.id AND tasks.state = 'running'
  AND tasks.attempt = given.attempt AND tasks.lease = given.lease
RETURNING tasks.id, tasks.attempt, tasks.lease

-- states --
-- Locked, so that they stay so until the commit.
WITH given (id) AS (SELECT * FROM unnest($1::text[]))
SELECT tasks.id, tasks.state, tasks.type, tasks.n, tasks.digest
FROM given JOIN tasks ON tasks.id = given.id
ORDER BY tasks.n
FOR UPDATE OF tasks

-- cancel --
WITH given (n) AS (SELECT * FROM unnest($1::bigint[]))
UPDATE tasks SET
    state = 'cancelled', due = NULL, ended = $2::float8,
    expires = $2 + coalesce(
        tasks.keep, (SELECT types.keep FROM types WHERE types.type = tasks.type), $3::float8)
FROM given
WHERE tasks.n = given.n AND tasks.state IN ('blocked', 'scheduled', 'waiting')

-- cancel_running --
WITH given (n) AS (SELECT * FROM unnest($1::bigint[]))
UPDATE tasks SET cancelling = $2::float8
FROM given
WHERE tasks.n = given.n AND tasks.state = 'running'

-- requeue --
WITH given (n, seq) AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]))
UPDATE tasks SET
    state = 'waiting', seq = given.seq, failures = 0, crashes = 0, lost = 0,
    ended = NULL, expires = NULL, reason = NULL, cancelling = NULL
FROM given
WHERE tasks.n = given.n AND tasks.state = 'failed'

-- bury_id --
INSERT INTO tombstones (id, digest, until) SELECT * FROM unnest($1::text[], $2::bytea[], $3::float8[])
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, until = excluded.until

-- forget_attempts --
DELETE FROM attempts WHERE n = ANY ($1::bigint[])

-- forget_details --
DELETE FROM details WHERE n = ANY ($1::bigint[])

-- forget_inputs --
DELETE FROM inputs WHERE n = ANY ($1::bigint[])

-- forget_outputs --
DELETE FROM outputs WHERE n = ANY ($1::bigint[])

-- forget --
DELETE FROM tasks WHERE n = ANY ($1::bigint[])

-- promote --
WITH due AS MATERIALIZED (
    SELECT n FROM tasks WHERE state = 'scheduled' AND due <= $1::float8
    ORDER BY due, n LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (SELECT n, nextval('numbers') AS seq FROM due)
UPDATE tasks SET state = 'waiting', due = NULL, seq = given.seq
FROM given
WHERE tasks.n = given.n AND tasks.state = 'scheduled'
RETURNING tasks.type

-- next_due --
SELECT min(due) FROM tasks WHERE state = 'scheduled'

-- expired --
SELECT id, state, type, n, digest FROM tasks WHERE expires <= $1::float8
ORDER BY expires, n LIMIT $2::bigint
FOR UPDATE SKIP LOCKED

-- expire_ids --
WITH gone AS (
    DELETE FROM tombstones WHERE id IN (
        SELECT id FROM tombstones WHERE until <= $1::float8 ORDER BY until, id LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM gone

-- next_expiry --
SELECT min(expires) FROM tasks WHERE expires IS NOT NULL

-- attach --
INSERT INTO sessions (session, host, pid, processes, types, attached, manager)
VALUES ($1::text, $2::text, $3::bigint, $4::bigint, $5::bytea, $6::float8, $7::bigint)
ON CONFLICT (session) DO UPDATE SET
    host = excluded.host, pid = excluded.pid, processes = excluded.processes, types = excluded.types,
    manager = excluded.manager, version = nextval('numbers')

-- attach_types --
INSERT INTO types (type, attempts, timeout, keep)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::float8[]) AS given (type) ORDER BY type
ON CONFLICT (type) DO UPDATE SET
    attempts = excluded.attempts, timeout = excluded.timeout, keep = excluded.keep

-- holds_any --
SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 'running' AND session = $1::text)

-- serves --
-- Locked, so that it stays so until the commit.
SELECT 1 FROM sessions WHERE session = $1::text AND manager = $2::bigint FOR UPDATE

-- claim --
UPDATE sessions SET manager = $2::bigint, version = nextval('numbers') WHERE session = $1::text
RETURNING 1

-- detach --
DELETE FROM sessions WHERE session = $1::text

-- sessions --
SELECT session, host, pid, processes, types FROM sessions ORDER BY session

-- held_by_session --
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM tasks AS t LEFT JOIN types ON types.type = t.type
WHERE t.state = 'running' AND t.session = $1::text
ORDER BY t.started, t.priority DESC, t.seq

-- held --
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM tasks AS t LEFT JOIN types ON types.type = t.type
WHERE t.state = 'running' AND t.session = $1::text AND t.slot = $2::bigint AND t.incarnation <= $3::bigint
ORDER BY t.started, t.priority DESC, t.seq

-- cancelling --
SELECT session, id, attempt, lease FROM tasks
WHERE state = 'running' AND cancelling IS NOT NULL

-- cancelling_of --
WITH given (id) AS (SELECT * FROM unnest($1::text[]))
SELECT t.session, t.id, t.attempt, t.lease
FROM given JOIN tasks AS t ON t.id = given.id
WHERE t.state = 'running' AND t.cancelling IS NOT NULL

-- cancelling_here --
SELECT t.session, t.id, t.attempt, t.lease
FROM sessions AS s JOIN tasks AS t ON t.session = s.session
WHERE s.manager = $1::bigint AND t.state = 'running' AND t.cancelling IS NOT NULL

-- attempts --
-- As many as the bytes allow, and at least one; measured before any is read.
WITH found AS MATERIALIZED (
    SELECT a.n, a.attempt,
           row_number() OVER line AS place,
           sum(coalesce(octet_length(a.error), 0) + coalesce(octet_length(details.log), 0)) OVER line AS size
    FROM tasks AS t
    JOIN attempts AS a ON a.n = t.n
    LEFT JOIN details ON details.n = a.n AND details.attempt = a.attempt
    WHERE t.id = $1::text AND ($2::bigint IS NULL OR a.attempt < $2)
    WINDOW line AS (ORDER BY a.attempt DESC ROWS UNBOUNDED PRECEDING)
    ORDER BY a.attempt DESC LIMIT $4::bigint
)
SELECT a.attempt, a.outcome, a.started, a.ended, a.worker, a.cause, a.error,
       details.pid, details.exitcode, details.peak_memory, coalesce(details.log, '')
FROM found
JOIN attempts AS a ON a.n = found.n AND a.attempt = found.attempt
LEFT JOIN details ON details.n = a.n AND details.attempt = a.attempt
WHERE found.place = 1 OR found.size <= $3::bigint
ORDER BY a.attempt DESC

-- leased --
WITH given (id, attempt, lease) AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]))
SELECT t.id, t.attempt, t.lease, t.type, t.failures, t.crashes, t.lost,
       coalesce(t.attempts, types.attempts), t.started, t.cancelling IS NOT NULL
FROM given
JOIN tasks AS t ON t.id = given.id AND t.state = 'running' AND t.attempt = given.attempt
    AND t.lease = given.lease
LEFT JOIN types ON types.type = t.type

-- get --
WITH given (id) AS (SELECT * FROM unnest($1::text[]))
SELECT t.n, t.id, t.type, coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)), t.state,
       CASE WHEN t.state = 'done' THEN
           coalesce(attempts.output, (SELECT data FROM outputs WHERE outputs.n = t.n)) END,
       t.reason, t.priority, t.attempt, t.attempts,
       t.failures, t.crashes, t.lost, t.added, t.due, t.started, t.ended, t.expires, t.timeout, t.worker,
       t.progress, t.note, t.state = 'running' AND t.cancelling IS NOT NULL, t.input_size, t.output_size,
       attempts.error
FROM given
JOIN tasks AS t ON t.id = given.id
LEFT JOIN attempts ON attempts.n = t.n AND attempts.attempt = t.attempt

-- page --
-- The tasks of a part of one page of a list, by number; payloads too large to list are left out.
SELECT t.n, t.id, t.type,
       CASE WHEN t.input_size <= $2::bigint THEN
           coalesce(t.input, (SELECT data FROM inputs WHERE inputs.n = t.n)) ELSE '' END, t.state,
       CASE WHEN t.state = 'done' AND t.output_size <= $2 THEN
           coalesce(attempts.output, (SELECT data FROM outputs WHERE outputs.n = t.n)) END,
       t.reason, t.priority, t.attempt, t.attempts,
       t.failures, t.crashes, t.lost, t.added, t.due, t.started, t.ended, t.expires, t.timeout, t.worker,
       t.progress, t.note, t.state = 'running' AND t.cancelling IS NOT NULL, t.input_size, t.output_size,
       attempts.error
FROM unnest($1::bigint[]) AS given (n)
JOIN tasks AS t ON t.n = given.n
LEFT JOIN attempts ON attempts.n = t.n AND attempts.attempt = t.attempt

-- list_waiting --
-- In the order in which they would run, type by type and then merged; a page begins behind (priority, seq): the
-- rest of that priority, then the lower ones. One condition over both would walk the line from its head.
SELECT part.n, part.priority, part.seq
FROM unnest($1::text[]) AS given (type)
CROSS JOIN LATERAL (
    (SELECT t.n, t.priority, t.seq FROM tasks AS t
     WHERE t.state = 'waiting' AND t.type = given.type AND t.priority = $2::bigint AND t.seq > $3::bigint
     ORDER BY t.priority DESC, t.seq LIMIT $4::bigint)
    UNION ALL
    (SELECT t.n, t.priority, t.seq FROM tasks AS t
     WHERE t.state = 'waiting' AND t.type = given.type AND t.priority < $2
     ORDER BY t.priority DESC, t.seq LIMIT $4)
) AS part
ORDER BY part.priority DESC, part.seq LIMIT $4

-- list_scheduled --
SELECT n, due, n FROM tasks
WHERE state = 'scheduled' AND (due, n) > ($1::float8, $2::bigint) AND ($3::text IS NULL OR type = $3)
ORDER BY due, n LIMIT $4::bigint

-- list_blocked --
SELECT n, n, 0 FROM tasks
WHERE state = 'blocked' AND n > $1::bigint AND ($2::text IS NULL OR type = $2)
ORDER BY n LIMIT $3::bigint

-- list_running --
-- MATERIALIZED: by itself the planner may walk all tasks in order of n. What runs is little, and sorted in no
-- time.
WITH busy AS MATERIALIZED (SELECT n, type FROM tasks WHERE state = 'running')
SELECT n, n, 0 FROM busy
WHERE n > $1::bigint AND ($2::text IS NULL OR type = $2)
ORDER BY n LIMIT $3::bigint

-- list_ended --
-- The newest of each type and state, by the index alone, and then merged.
SELECT part.n, part.ended, part.n
FROM unnest($1::text[]) AS given (type)
CROSS JOIN (SELECT DISTINCT state FROM (VALUES ($4::text), ($5::text), ($6::text)) AS v (state)) AS wanted
CROSS JOIN LATERAL (
    SELECT t.n, t.ended FROM tasks AS t
    WHERE t.ended IS NOT NULL AND t.type = given.type AND t.state = wanted.state
      AND (t.ended, t.n) < ($2::float8, $3::bigint)
    ORDER BY t.ended DESC, t.n DESC LIMIT $7::bigint
) AS part
ORDER BY part.ended DESC, part.n DESC LIMIT $7

-- counts --
SELECT type, state, sum(tasks)::bigint, count(*) FROM (
    SELECT type, state, tasks FROM counts UNION ALL SELECT type, state, tasks FROM count_deltas
) AS parts
GROUP BY type, state

-- add_counts --
INSERT INTO count_deltas (type, state, tasks) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])

-- fold_counts --
-- By the one manager that tidies up. What others append meanwhile is folded the next time. Two statements in one
-- and not ON CONFLICT, which would hold a difference below zero against the CHECK.
WITH gone AS (DELETE FROM count_deltas RETURNING type, state, tasks),
sums AS (SELECT type, state, sum(tasks) AS tasks FROM gone GROUP BY type, state),
known AS (
    UPDATE counts SET tasks = counts.tasks + sums.tasks FROM sums
    WHERE counts.type = sums.type AND counts.state = sums.state
)
INSERT INTO counts (type, state, tasks)
SELECT type, state, tasks FROM sums
WHERE NOT EXISTS (SELECT 1 FROM counts WHERE counts.type = sums.type AND counts.state = sums.state)

-- reserve_numbers --
SELECT nextval('numbers') FROM generate_series(1, $1::bigint)

-- ended --
-- Those of the ids whose tasks have ended, or are gone.
WITH given (id) AS (SELECT * FROM unnest($1::text[]))
SELECT given.id FROM given
WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = given.id AND tasks.ended IS NULL)

-- live --
-- A manager says that it is there, for so many seconds, and learns what time it is here.
INSERT INTO managers (manager, name, backend, until, hungry, watching, ended)
VALUES ($1::bigint, $2::text, $3::bigint, extract(epoch FROM clock_timestamp())::float8 + $4::float8,
        $5::boolean, $6::boolean, $7::bigint)
ON CONFLICT (manager) DO UPDATE SET
    backend = excluded.backend, until = excluded.until, hungry = excluded.hungry, watching = excluded.watching,
    ended = excluded.ended
RETURNING extract(epoch FROM clock_timestamp())::float8

-- leave --
DELETE FROM managers WHERE manager = $1::bigint

-- managers --
SELECT manager, name, ended, hungry, watching FROM managers
WHERE until > extract(epoch FROM clock_timestamp())
ORDER BY name

-- bury_managers --
-- Those that have said nothing for so long, and those whose connection is gone and that have missed a few of
-- their seconds: killed ones, whose connections the server ends at once.
DELETE FROM managers
WHERE until <= extract(epoch FROM clock_timestamp())
   OR (until <= extract(epoch FROM clock_timestamp()) + $1::float8
       AND NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = managers.backend))

-- adopt --
-- The sessions that no manager serves are ours.
UPDATE sessions SET manager = $1::bigint, version = nextval('numbers')
WHERE NOT EXISTS (SELECT 1 FROM managers WHERE managers.manager = sessions.manager)

-- sessions_version --
-- The sum and not the latest: versions are committed in another order than they are drawn in.
SELECT count(*), coalesce(sum(version), 0)::bigint FROM sessions

-- our_sessions --
SELECT session FROM sessions WHERE manager = $1::bigint

-- all_sessions --
SELECT session, host, pid, processes, types, attached, manager IS NOT DISTINCT FROM $1::bigint FROM sessions
ORDER BY session

-- backend --
SELECT pg_backend_pid()

-- lead --
-- A lock of the session's: gone with the connection. The key is "qmanager" in ASCII.
SELECT pg_try_advisory_lock(x'716d616e61676572'::bigint)

-- depose --
-- Ends the connection that keeps a leader which has said nothing for long, stopped or cut off, in the lead.
SELECT pg_terminate_backend(l.pid)
FROM managers AS m JOIN pg_locks AS l ON l.pid = m.backend
WHERE m.until <= extract(epoch FROM clock_timestamp())
  AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint << 32 | l.objid::bigint = x'716d616e61676572'::bigint

-- hint --
SELECT pg_notify('qmanager', given.hint) FROM unnest($1::text[]) AS given (hint)
