-- oldest: 3
-- Adding in somebody else's transaction: a task is there exactly if that is committed, and the managers hear of it
-- then. Any language can call it; qm/postgres.py does.
SET LOCAL search_path = qmanager;

-- SECURITY DEFINER: an application's own role may do this and nothing else here. What the tables cannot refuse by
-- themselves is refused in here, by an error with the state QMBAD. The statements are those of the query `add` in
-- queries.sql: keep them alike.
CREATE FUNCTION add_tasks(
    ids text[], types text[], inputs bytea[], digests bytea[], priorities bigint[], delays float8[],
    own_attempts bigint[], timeouts float8[], keeps float8[]
) RETURNS text[]                              -- created, duplicate or conflict, for each
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = qmanager, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment   CONSTANT float8 := extract(epoch FROM clock_timestamp());
    near_max CONSTANT int := 128;             -- NEAR_MAX of qm/store/sql/part.py
    wrong    text;
    fresh    bigint[];
    statuses text[];
    waiting  jsonb;
    due      float8;
BEGIN
    SELECT CASE
        WHEN g.id IS NULL OR g.id !~ '^[A-Za-z0-9._:-]{1,64}$' THEN format('%L cannot be an id: 1 to 64 characters of A-Z a-z 0-9 . _ : -', left(g.id, 80))
        WHEN g.type IS NULL OR g.type !~ '^[A-Za-z0-9_][A-Za-z0-9._:-]{0,63}$' THEN format('%L cannot be a type', left(g.type, 80))
        WHEN g.input IS NULL OR octet_length(g.input) > 1500000 THEN format('the input of %s is missing or too large', g.id)
        WHEN g.digest IS NULL OR octet_length(g.digest) <> 16 THEN format('the digest of %s must have 16 bytes', g.id)
        WHEN g.priority IS NULL OR g.priority NOT BETWEEN -32768 AND 32767 THEN format('the priority of %s is not between -32768 and 32767', g.id)
        WHEN g.delay IS NULL OR NOT g.delay BETWEEN 0 AND 316224000 THEN format('the delay of %s is not between 0 and ten years', g.id)
        WHEN NOT g.attempts BETWEEN 1 AND 1000 THEN format('the attempts of %s are not between 1 and 1000', g.id)
        WHEN g.timeout <= 0 OR g.timeout IN ('Infinity', 'NaN') THEN format('the timeout of %s is no time in seconds', g.id)
        WHEN g.keep < 0 OR g.keep IN ('Infinity', 'NaN') THEN format('the keep of %s is no time in seconds', g.id)
        END
    INTO wrong
    FROM unnest(ids, types, inputs, digests, priorities, delays, own_attempts, timeouts, keeps)
        AS g (id, type, input, digest, priority, delay, attempts, timeout, keep)
    ORDER BY 1 NULLS LAST LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'QMBAD', MESSAGE = wrong;
    END IF;

    WITH given AS MATERIALIZED (
        SELECT nextval('numbers') AS n, g.*
        FROM unnest(ids, types, inputs, digests, priorities, delays, own_attempts, timeouts, keeps)
            WITH ORDINALITY AS g (id, type, input, digest, priority, delay, attempts, timeout, keep, place)
    ),
    gone AS MATERIALIZED (SELECT tombstones.id FROM given JOIN tombstones ON tombstones.id = given.id),
    created AS (
        INSERT INTO tasks (n, id, type, state, priority, seq, digest, added, due, attempts, timeout, keep,
                           input_size, input)
        SELECT n, id, type, CASE WHEN delay > 0 THEN 'scheduled' ELSE 'waiting' END, priority, n, digest,
               moment, CASE WHEN delay > 0 THEN moment + delay END, attempts, timeout, keep,
               octet_length(input), CASE WHEN octet_length(input) <= near_max THEN input END
        FROM given WHERE id NOT IN (SELECT id FROM gone)
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
    )
    SELECT (SELECT array_agg(n) FROM created),
           (SELECT jsonb_object_agg(type, tasks) FROM (
               SELECT type, count(*) AS tasks FROM created WHERE state = 'waiting' GROUP BY type LIMIT 80) AS t),
           (SELECT min(due) FROM created),
           (SELECT array_agg(CASE WHEN (n IN (SELECT n FROM created)) IS TRUE THEN 'created' END ORDER BY place)
            FROM given)
    INTO fresh, waiting, due, statuses;

    -- Who was here first says whether it is the same task: an id may have come twice in one call, too.
    IF array_position(statuses, NULL) IS NOT NULL THEN
        SELECT array_agg(CASE
            WHEN statuses[g.place] IS NOT NULL THEN statuses[g.place]
            WHEN g.digest = coalesce(
                (SELECT digest FROM tasks WHERE tasks.id = g.id),
                (SELECT digest FROM tombstones WHERE tombstones.id = g.id)) THEN 'duplicate'
            ELSE 'conflict' END ORDER BY g.place)
        INTO statuses
        FROM unnest(ids, digests) WITH ORDINALITY AS g (id, digest, place);
    END IF;

    -- A hint as managers give it to one another, see qm/store/postgres/hints.py; sent with the commit.
    IF fresh IS NOT NULL THEN
        PERFORM pg_notify('qmanager', jsonb_strip_nulls(
            jsonb_build_object('waiting', coalesce(waiting, '{}'), 'due', due))::text);
    END IF;
    RETURN coalesce(statuses, '{}');
END
$$;

REVOKE EXECUTE ON FUNCTION add_tasks FROM PUBLIC;
