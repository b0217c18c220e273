-- The tables of the SQLite store, in the schema `qmanager` of a database that may have others. What differs:
-- numbers come from a sequence, whose order holds for several managers; counts are appended as differences,
-- since rows that everybody adds to would put all managers in one line.
CREATE SCHEMA qmanager;
SET LOCAL search_path = qmanager;

CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    applied TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- For n and seq: they only rise, and none is given twice.
CREATE SEQUENCE numbers AS BIGINT;

-- The hot table: small rows that the state machine rewrites. Larger payloads lie beside it, so that a take does
-- not copy a megabyte; small ones in it, or with the attempt, so that a commit has a page less to write. The
-- CHECKs repeat the rules of qm/task.py: a row edited by hand cannot lie.
CREATE TABLE tasks (
    n           BIGINT  PRIMARY KEY,          -- its number here, in order of adding
    id          TEXT    COLLATE "C" NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),
    type        TEXT    COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 64),
    state       TEXT    COLLATE "C" NOT NULL CHECK (state IN
                    ('blocked', 'scheduled', 'waiting', 'running', 'done', 'failed', 'cancelled')),
    priority    INTEGER NOT NULL CHECK (priority BETWEEN -32768 AND 32767),
    seq         BIGINT  NOT NULL,             -- place among its equals; fresh when it goes to the tail
    key         TEXT    COLLATE "C",          -- whose task it is (tenant); reserved
    digest      BYTEA   NOT NULL,             -- tells a resent add from another task
    added       FLOAT8  NOT NULL,
    due         FLOAT8,                       -- when it may run, while scheduled
    attempt     BIGINT  NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures    BIGINT  NOT NULL DEFAULT 0 CHECK (failures >= 0),
    crashes     BIGINT  NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    lost        BIGINT  NOT NULL DEFAULT 0 CHECK (lost >= 0),
    attempts    BIGINT  CHECK (attempts >= 1), -- own options; NULL: the type's, else the default
    timeout     FLOAT8  CHECK (timeout > 0),
    keep        FLOAT8  CHECK (keep >= 0),
    lease       BIGINT,                       -- of this attempt: 64 random bits; holds while running
    session     TEXT    COLLATE "C",          -- who runs it, or ran it last
    slot        BIGINT,
    incarnation BIGINT,
    worker      TEXT    COLLATE "C",          -- host:pid of the session, for people
    started     FLOAT8,                       -- when the last attempt was taken
    ended       FLOAT8,
    expires     FLOAT8,
    reason      TEXT    COLLATE "C",
    progress    FLOAT8,
    note        TEXT    COLLATE "C",
    cancelling  FLOAT8,                       -- when somebody cancelled it while it ran
    input_size  BIGINT  NOT NULL CHECK (input_size >= 0),
    output_size BIGINT  NOT NULL DEFAULT 0 CHECK (output_size >= 0),
    input       BYTEA,                        -- NULL: it lies in inputs
    CHECK (state <> 'running' OR (lease IS NOT NULL AND session IS NOT NULL AND slot IS NOT NULL)),
    CHECK (state <> 'running' OR started IS NOT NULL),
    CHECK ((state = 'scheduled') = (due IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended IS NOT NULL)),
    CHECK ((ended IS NULL) = (expires IS NULL)),
    CHECK (state <> 'running' OR attempt > 0)
) WITH (
    -- Every move changes `state`, which the indexes below speak of, so that no move can be HOT and no index
    -- entry is saved by free space. But a new row falls into the page that the old one dirties already, while
    -- there is room. Over 40,000 tasks, taken and finished, 100 / 80 / 60: 1,641 / 1,579 / 1,512 bytes of log a
    -- task, and a table of 6.8 / 8.5 / 11.3 MB while they wait; 80 was the fastest by some hundredths.
    fillfactor = 80,
    -- Dead rows are as many as moves. Vacuum by their number, not by a share of the table: with a million
    -- ended tasks kept, the usual fifth would let 200,000 dead rows (and entries of `waiting`, which a take
    -- walks over) gather. Unthrottled, since it works on the hot end that is in memory.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_analyze_threshold = 5000
);

-- A take walks this: for each type the head of its line, whatever lies behind.
CREATE INDEX waiting ON tasks (type, priority DESC, seq) WHERE state = 'waiting';
CREATE INDEX scheduled ON tasks (due, n) WHERE state = 'scheduled';
CREATE INDEX blocked ON tasks (n) WHERE state = 'blocked';
CREATE INDEX running ON tasks (session, slot) WHERE state = 'running';
CREATE INDEX ended ON tasks (type, state, ended, n) WHERE ended IS NOT NULL;
CREATE INDEX expiring ON tasks (expires, n) WHERE expires IS NOT NULL;

-- Payloads are msgpack, sealed or compressed by those who care: the database need not try again.
CREATE TABLE inputs (
    n    BIGINT PRIMARY KEY,
    data BYTEA NOT NULL
);
ALTER TABLE inputs ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE outputs (
    n    BIGINT PRIMARY KEY,
    data BYTEA NOT NULL
);
ALTER TABLE outputs ALTER COLUMN data SET STORAGE EXTERNAL;

-- One row per attempt that ended, written with the settlement. It also answers a settlement said twice.
CREATE TABLE attempts (
    n       BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    lease   BIGINT NOT NULL,
    verb    TEXT   COLLATE "C" NOT NULL CHECK (verb IN
                ('finish', 'fail', 'retry', 'release', 'recover', 'cancel')),
    outcome TEXT   COLLATE "C" NOT NULL CHECK (outcome IN
                ('ok', 'error', 'timeout', 'crashed', 'lost', 'cancelled', 'released')),
    session TEXT   COLLATE "C" NOT NULL,
    slot    BIGINT NOT NULL,
    worker  TEXT   COLLATE "C",
    started FLOAT8 NOT NULL,
    ended   FLOAT8 NOT NULL,
    cause   TEXT   COLLATE "C",
    error   BYTEA,
    output  BYTEA,                            -- of the attempt that ended well; NULL: it lies in outputs
    PRIMARY KEY (n, attempt)
);

-- What else is known of an attempt that was not quiet: it went wrong, or wrote something.
CREATE TABLE details (
    n           BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    pid         BIGINT,
    exitcode    BIGINT,
    peak_memory BIGINT,
    log         TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (n, attempt)
);

-- Ids of tasks that are gone: a late resend of an add finds them here.
CREATE TABLE tombstones (
    id     TEXT   COLLATE "C" PRIMARY KEY,
    digest BYTEA  NOT NULL,
    until  FLOAT8 NOT NULL
);
CREATE INDEX tombstones_until ON tombstones (until, id);

-- Counts are kept, not counted: every transaction appends its differences, and the one manager that tidies up
-- folds them into the sums now and then. The count of a type is its sum and all differences together.
CREATE TABLE counts (
    type  TEXT   COLLATE "C" NOT NULL,
    state TEXT   COLLATE "C" NOT NULL,
    tasks BIGINT NOT NULL CHECK (tasks >= 0),
    PRIMARY KEY (type, state)
) WITH (fillfactor = 50);                     -- the sums are rewritten in place: HOT, with room for it

CREATE TABLE count_deltas (
    type  TEXT   COLLATE "C" NOT NULL,
    state TEXT   COLLATE "C" NOT NULL,
    tasks BIGINT NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,       -- it is emptied again and again: its size says nothing
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_threshold = -1
);

-- Options of each type as the last worker that serves it said them.
CREATE TABLE types (
    type     TEXT   COLLATE "C" PRIMARY KEY,
    attempts BIGINT CHECK (attempts >= 1),
    timeout  FLOAT8 CHECK (timeout > 0),
    keep     FLOAT8 CHECK (keep >= 0)
);

-- Pools that were attached and did not say good-bye: a restarted manager gives them a term to come back.
CREATE TABLE sessions (
    session   TEXT   COLLATE "C" PRIMARY KEY,
    host      TEXT   COLLATE "C" NOT NULL,
    pid       BIGINT NOT NULL,
    processes BIGINT NOT NULL,
    types     BYTEA  NOT NULL,                -- msgpack of {type: options}
    attached  FLOAT8 NOT NULL
);
