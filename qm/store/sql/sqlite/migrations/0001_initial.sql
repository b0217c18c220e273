-- The hot table: small rows that the state machine rewrites. Larger payloads lie beside it, so that a take does
-- not copy a megabyte; small ones in it, or with the attempt, so that a commit has a page less to write. The
-- CHECKs repeat the rules of qm/task.py: a row edited by hand cannot lie.
CREATE TABLE tasks (
    n           INTEGER PRIMARY KEY,          -- its number here, in order of adding
    id          TEXT    NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),
    type        TEXT    NOT NULL CHECK (length(type) BETWEEN 1 AND 64),
    state       TEXT    NOT NULL CHECK (state IN
                    ('blocked', 'scheduled', 'waiting', 'running', 'done', 'failed', 'cancelled')),
    priority    INTEGER NOT NULL CHECK (priority BETWEEN -32768 AND 32767),
    seq         INTEGER NOT NULL,             -- place among its equals; fresh when it goes to the tail
    key         TEXT,                         -- whose task it is (tenant); reserved
    digest      BLOB    NOT NULL,             -- tells a resent add from another task
    added       REAL    NOT NULL,
    due         REAL,                         -- when it may run, while scheduled
    attempt     INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    failures    INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    crashes     INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    lost        INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0),
    attempts    INTEGER CHECK (attempts >= 1), -- own options; NULL: the type's, else the default
    timeout     REAL    CHECK (timeout > 0),
    keep        REAL    CHECK (keep >= 0),
    lease       INTEGER,                      -- of this attempt: 64 random bits; holds while running
    session     TEXT,                         -- who runs it, or ran it last
    slot        INTEGER,
    incarnation INTEGER,
    worker      TEXT,                         -- host:pid of the session, for people
    started     REAL,                         -- when the last attempt was taken
    ended       REAL,
    expires     REAL,
    reason      TEXT,
    progress    REAL,
    note        TEXT,
    cancelling  REAL,                         -- when somebody cancelled it while it ran
    input_size  INTEGER NOT NULL CHECK (input_size >= 0),
    output_size INTEGER NOT NULL DEFAULT 0 CHECK (output_size >= 0),
    input       BLOB,                         -- NULL: it lies in inputs
    CHECK (state <> 'running' OR (lease IS NOT NULL AND session IS NOT NULL AND slot IS NOT NULL)),
    CHECK (state <> 'running' OR started IS NOT NULL),
    CHECK ((state = 'scheduled') = (due IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended IS NOT NULL)),
    CHECK ((ended IS NULL) = (expires IS NULL)),
    CHECK (state <> 'running' OR attempt > 0)
) STRICT;

-- A take walks this: for each type the head of its line, whatever lies behind.
CREATE INDEX waiting ON tasks (type, priority DESC, seq) WHERE state = 'waiting';
CREATE INDEX scheduled ON tasks (due) WHERE state = 'scheduled';
CREATE INDEX blocked ON tasks (n) WHERE state = 'blocked';
CREATE INDEX running ON tasks (session, slot) WHERE state = 'running';
CREATE INDEX ended ON tasks (ended, n) WHERE ended IS NOT NULL;
CREATE INDEX expiring ON tasks (expires) WHERE expires IS NOT NULL;

CREATE TABLE inputs (
    n    INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE outputs (
    n    INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- One row per attempt that ended, written with the settlement. It also answers a settlement said twice.
CREATE TABLE attempts (
    n       INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    lease   INTEGER NOT NULL,
    verb    TEXT    NOT NULL CHECK (verb IN ('finish', 'fail', 'retry', 'release', 'recover', 'cancel')),
    outcome TEXT    NOT NULL CHECK (outcome IN
                ('ok', 'error', 'timeout', 'crashed', 'lost', 'cancelled', 'released')),
    session TEXT    NOT NULL,
    slot    INTEGER NOT NULL,
    worker  TEXT,
    started REAL    NOT NULL,
    ended   REAL    NOT NULL,
    cause   TEXT,
    error   BLOB,
    output  BLOB,                             -- of the attempt that ended well; NULL: it lies in outputs
    PRIMARY KEY (n, attempt)
) STRICT, WITHOUT ROWID;

-- What else is known of an attempt that was not quiet: it went wrong, or wrote something.
CREATE TABLE details (
    n           INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    pid         INTEGER,
    exitcode    INTEGER,
    peak_memory INTEGER,
    log         TEXT    NOT NULL,
    PRIMARY KEY (n, attempt)
) STRICT, WITHOUT ROWID;

-- Ids of tasks that are gone: a late resend of an add finds them here.
CREATE TABLE tombstones (
    id     TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    until  REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_until ON tombstones (until);

-- Counts are kept, not counted: every transaction adds its differences.
CREATE TABLE counts (
    type  TEXT    NOT NULL,
    state TEXT    NOT NULL,
    tasks INTEGER NOT NULL CHECK (tasks >= 0),
    PRIMARY KEY (type, state)
) STRICT, WITHOUT ROWID;

-- Options of each type as the last worker that serves it said them.
CREATE TABLE types (
    type     TEXT PRIMARY KEY,
    attempts INTEGER CHECK (attempts >= 1),
    timeout  REAL    CHECK (timeout > 0),
    keep     REAL    CHECK (keep >= 0)
) STRICT, WITHOUT ROWID;

-- Pools that were attached and did not say good-bye: a restarted manager gives them a term to come back.
CREATE TABLE sessions (
    session   TEXT PRIMARY KEY,
    host      TEXT    NOT NULL,
    pid       INTEGER NOT NULL,
    processes INTEGER NOT NULL,
    types     BLOB    NOT NULL,               -- msgpack of {type: options}
    attached  REAL    NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers for n and seq only rise, and are reserved in blocks: one write per block, none given twice.
CREATE TABLE numbers (
    reserved INTEGER NOT NULL
) STRICT;
INSERT INTO numbers VALUES (0);
