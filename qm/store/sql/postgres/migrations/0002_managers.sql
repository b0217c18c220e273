-- Several managers of one database: who they are, and which of them serves which session.
SET LOCAL search_path = qmanager;

-- A row for each manager that runs, or ran a moment ago: it says every second that it lives.
CREATE TABLE managers (
    manager  BIGINT  PRIMARY KEY,             -- drawn when it opens the store
    name     TEXT    COLLATE "C" NOT NULL,    -- host:pid, for people
    backend  BIGINT  NOT NULL,                -- the server's process behind its connection for hints
    until    FLOAT8  NOT NULL,                -- it counts as dead from then on, unless it says otherwise
    hungry   BOOLEAN NOT NULL,                -- calls for tasks are parked there
    watching BOOLEAN NOT NULL,                -- calls that wait for tasks to end are there
    ended    BIGINT  NOT NULL                 -- tasks that ended there since it opened the store
) WITH (
    fillfactor = 50,                          -- rewritten in place every second: HOT, with room for it
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500
);

-- Which manager serves a session: it alone hands tasks to it and judges whether it lives. NULL: none does.
ALTER TABLE sessions ADD COLUMN manager BIGINT;
-- Fresh whenever something about the session changes, so that managers see by a glance whether any has.
ALTER TABLE sessions ADD COLUMN version BIGINT NOT NULL DEFAULT nextval('numbers');

-- What somebody cancelled while it ran is looked for every second.
CREATE INDEX cancelling ON tasks (session) WHERE state = 'running' AND cancelling IS NOT NULL;
