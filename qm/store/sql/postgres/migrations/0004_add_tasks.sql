-- oldest: 3
-- Adding in a transaction of somebody else: the task is there exactly if that is committed, and the managers hear
-- of it then. qm/postgres calls it, and any language can. A later migration that gives these functions other
-- parameters must drop them, and give their new versions the grants of the old ones.
SET LOCAL search_path = qmanager;

-- Gives created, duplicate or conflict for each task, as `add` of the managers.
--
-- SECURITY DEFINER: an application's own role can be given this and nothing else here. So whatever the tables do
-- not refuse by themselves is refused here; and pg_temp comes last, where nothing is found first that others made.
-- The other settings are those of the managers' connections, for the same reason: see qm/store/postgres/opening.py.
CREATE FUNCTION add_tasks(
    ids text[], types text[], inputs bytea[], digests bytea[], priorities bigint[], delays float8[],
    attempts bigint[], timeouts float8[], keeps float8[], notify boolean DEFAULT true
) RETURNS text[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = qmanager, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    moment   CONSTANT float8 := extract(epoch FROM clock_timestamp());
    near_max CONSTANT integer := 128;         -- NEAR_MAX of qm/store/sql/part.py
    wrong    text;
    statuses text[];
    hints    text[];
BEGIN
    -- The bounds are those of qm/limits.py; a sealed input (an extension of 32 bits, code 2) may be a little longer.
    SELECT problem INTO wrong FROM (SELECT place, CASE
        WHEN (id ~ '^[A-Za-z0-9._:-]{1,64}$') IS NOT TRUE
            THEN format('%L cannot be an id: 1 to 64 characters of A-Z a-z 0-9 . _ : -', left(id, 80))
        WHEN (type ~ '^[A-Za-z0-9_][A-Za-z0-9._:-]{0,63}$') IS NOT TRUE
            THEN format('%L cannot be a type: 1 to 64 characters of A-Z a-z 0-9 . _ : - and the first of them a '
                        'letter, a digit or _', left(type, 80))
        WHEN input IS NULL THEN format('task %s has no input', id)
        WHEN octet_length(input) > 1048576 + 256
            OR octet_length(input) > 1048576 AND (get_byte(input, 0), get_byte(input, 5)) <> (201, 2)
            THEN format('the input of %s has %s bytes, the limit is 1048576', id, octet_length(input))
        WHEN (octet_length(digest) = 16) IS NOT TRUE THEN format('the digest of %s must have 16 bytes', id)
        WHEN (priority BETWEEN -32768 AND 32767) IS NOT TRUE
            THEN format('priority %s is not between -32768 and 32767', priority)
        WHEN (delay BETWEEN 0 AND 316224000) IS NOT TRUE
            THEN format('a delay of %s s is not between 0 and 316224000', delay)
        WHEN attempts NOT BETWEEN 1 AND 1000
            THEN format('task %s: attempts is %s, it must be between 1 and 1000', id, attempts)
        WHEN NOT (timeout > 0 AND timeout < 'Infinity')
            THEN format('task %s: timeout is %s seconds, it must be above 0, and finite', id, timeout)
        WHEN NOT (keep >= 0 AND keep < 'Infinity')
            THEN format('task %s: keep is %s seconds, it cannot be below 0, nor without end', id, keep)
        END AS problem
    FROM unnest(ids, types, inputs, digests, priorities, delays, add_tasks.attempts, timeouts, keeps)
        WITH ORDINALITY AS g (id, type, input, digest, priority, delay, attempts, timeout, keep, place)
    ) AS looked WHERE problem IS NOT NULL ORDER BY place LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = wrong;
    END IF;

    -- Numbers in the order given, rows in the order of ids: two calls with the same ones do not block each other.
    WITH given AS MATERIALIZED (
        SELECT nextval('numbers') AS n, g.*
        FROM unnest(ids, types, inputs, digests, priorities, delays, add_tasks.attempts, timeouts, keeps)
            WITH ORDINALITY AS g (id, type, input, digest, priority, delay, attempts, timeout, keep, place)
    ),
    gone AS MATERIALIZED (SELECT tombstones.id FROM given JOIN tombstones ON tombstones.id = given.id),
    created AS (
        INSERT INTO tasks (n, id, type, state, priority, seq, digest, added, due, attempts, timeout, keep,
                           input_size, input)
        SELECT n, id, type, CASE WHEN delay > 0 THEN 'scheduled' ELSE 'waiting' END, priority, n, digest, moment,
               CASE WHEN delay > 0 THEN moment + delay END, attempts, timeout, keep,
               octet_length(input), CASE WHEN octet_length(input) <= near_max THEN input END
        FROM given WHERE id NOT IN (SELECT id FROM gone)
        ORDER BY id COLLATE "C", place
        ON CONFLICT (id) DO NOTHING
        RETURNING n, type, state, due
    ),
    add_input AS (
        INSERT INTO inputs (n, data)
        SELECT n, input FROM given
        WHERE octet_length(input) > near_max AND (n IN (SELECT n FROM created)) IS TRUE
    ),
    add_counts AS (
        INSERT INTO count_deltas (type, state, tasks)
        SELECT type, state, count(*) FROM created GROUP BY type, state
    ),
    -- Hints as managers give them to one another, at most 80 types in each: qm/store/postgres/hints.py. The number
    -- makes each another one: of equal ones in a transaction the server sends only one.
    types AS (
        SELECT type, count(*) AS tasks, min(n) AS n, (row_number() OVER (ORDER BY type) - 1) / 80 AS part
        FROM created WHERE state = 'waiting' GROUP BY type
    ),
    waiting AS (
        SELECT jsonb_build_object('waiting', jsonb_object_agg(type, tasks), 'number', min(n)) AS hint
        FROM types GROUP BY part
    ),
    due AS (SELECT jsonb_build_object('due', min(due)) AS hint FROM created HAVING min(due) IS NOT NULL)
    SELECT (SELECT array_agg(hint::text) FROM (SELECT hint FROM waiting UNION ALL SELECT hint FROM due) AS all_of),
           (SELECT array_agg(CASE WHEN (n IN (SELECT n FROM created)) IS TRUE THEN 'created' END ORDER BY place)
            FROM given)
    INTO hints, statuses;

    -- Who was here first says whether it is the same task; an id may also have come twice in this call.
    IF array_position(statuses, NULL) IS NOT NULL THEN
        SELECT array_agg(coalesce(statuses[place], CASE
            WHEN digest = coalesce(
                (SELECT digest FROM tasks WHERE tasks.id = given.id),
                (SELECT digest FROM tombstones WHERE tombstones.id = given.id))
            THEN 'duplicate' ELSE 'conflict' END) ORDER BY place)
        INTO statuses
        FROM unnest(ids, digests) WITH ORDINALITY AS given (id, digest, place);
    END IF;

    -- A task that was being forgotten left its tombstone while we waited for its row to go. Where the transaction
    -- goes on seeing what there was at its beginning, it does not see that one; but it cannot make it anew either:
    -- the server says "could not serialize access".
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        WITH given AS (SELECT id, digest FROM unnest(ids, digests, statuses) AS g (id, digest, status)
                       WHERE status = 'created')
        INSERT INTO tombstones (id, digest, until) SELECT id, digest, moment FROM given
        ON CONFLICT (id) DO NOTHING;
        DELETE FROM tombstones WHERE id IN (
            SELECT id FROM unnest(ids, statuses) AS g (id, status) WHERE status = 'created');
    END IF;
    IF EXISTS (SELECT 1 FROM unnest(ids, statuses) AS given (id, status)
               JOIN tombstones ON tombstones.id = given.id WHERE status = 'created') THEN
        RAISE serialization_failure USING MESSAGE = 'a task with this id was forgotten just now',
            HINT = 'Try the transaction again.';
    END IF;
    IF notify THEN
        PERFORM pg_notify('qmanager', hint) FROM unnest(hints) AS given (hint);
    END IF;
    RETURN coalesce(statuses, '{}');
END
$$;

-- One task, for SQL by hand and triggers: SELECT qmanager.add_task('mail', '\xa5hello'). Gives its id. The input is
-- msgpack. The digest tells a resend from another task under the same id; who makes none gets one, which is not
-- that of the clients, so add a task that may come twice always in the same way.
CREATE FUNCTION add_task(
    type text, input bytea, id text DEFAULT NULL, digest bytea DEFAULT NULL, priority bigint DEFAULT 0,
    delay float8 DEFAULT 0, attempts bigint DEFAULT NULL, timeout float8 DEFAULT NULL, keep float8 DEFAULT NULL,
    notify boolean DEFAULT true
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = qmanager, pg_temp
AS $$
DECLARE
    own_id     CONSTANT text := coalesce(id, gen_random_uuid()::text);
    own_digest CONSTANT bytea := coalesce(
        digest, substr(sha256(convert_to(type, 'UTF8') || '\x00'::bytea || input), 1, 16));
    statuses   CONSTANT text[] := add_tasks(
        ARRAY[own_id], ARRAY[type], ARRAY[input], ARRAY[own_digest], ARRAY[priority], ARRAY[delay],
        ARRAY[attempts], ARRAY[timeout], ARRAY[keep], notify);
BEGIN
    IF statuses[1] = 'conflict' THEN
        RAISE unique_violation USING
            MESSAGE = format('id %L belongs to a task with another type or input', own_id),
            HINT = 'Choose another id, or leave it out.';
    END IF;
    RETURN own_id;
END
$$;

REVOKE EXECUTE ON FUNCTION add_tasks, add_task FROM PUBLIC;
