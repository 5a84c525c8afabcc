-- Transactions, their logs, definitions and participants.
-- Times are milliseconds since the Unix epoch. Texts compare by their bytes.

-- One row for each transaction: its summary, and what fences its writers.
-- Rows lie in the order of their coming, here and in the log, so that a batch
-- writes few pages, whatever the ids are.
CREATE TABLE transactions (
    gid                TEXT    NOT NULL PRIMARY KEY,
    kind               TEXT    NOT NULL CHECK (kind IN ('SAGA', 'TCC', 'LIVE')),
    state              TEXT    NOT NULL CHECK (state IN
        ('PREPARED', 'RUNNING', 'CONFIRMING', 'COMPENSATING', 'SUCCEEDED', 'COMPENSATED',
         'STUCK', 'FORCED')),
    -- What it runs; a TCC has a name only.
    definition_hash    TEXT,
    definition_name    TEXT    NOT NULL,
    definition_version INTEGER NOT NULL,
    cause_step         TEXT,
    cause_code         TEXT,
    cause_message      TEXT,
    -- The incarnation that has it; every write compares owner, generation and last record.
    owner              TEXT    NOT NULL,
    generation         INTEGER NOT NULL CHECK (generation >= 1),
    last_record        INTEGER NOT NULL CHECK (last_record >= 1),
    -- Which adoption of its owner brought it; 0: born there.
    adoption           INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    finished_at        INTEGER,
    -- When it has to be loaded again, if it is not in memory.
    wake_at            INTEGER,
    -- Why its log cannot be replayed.
    parked             TEXT,

    CONSTRAINT ended_has_time CHECK
        ((finished_at IS NOT NULL) = (state IN ('SUCCEEDED', 'COMPENSATED', 'FORCED'))),
    CONSTRAINT ended_never_wakes CHECK (finished_at IS NULL OR wake_at IS NULL),
    CONSTRAINT only_sagas_run_definitions CHECK ((definition_hash IS NOT NULL) = (kind = 'SAGA')),
    CONSTRAINT parked_is_stuck CHECK (parked IS NULL OR state = 'STUCK'),
    CONSTRAINT cause_is_whole CHECK
        ((cause_code IS NULL) = (cause_message IS NULL)
         AND (cause_step IS NULL OR cause_code IS NOT NULL))
) STRICT;

-- Lists, newest first; and those in a state that few are in for long.
CREATE INDEX transactions_by_creation ON transactions (created_at, gid);
CREATE INDEX transactions_by_rare_state ON transactions (state, created_at, gid)
    WHERE state <> 'SUCCEEDED';
CREATE INDEX transactions_to_adopt ON transactions (owner, adoption) WHERE finished_at IS NULL;
CREATE INDEX transactions_to_wake ON transactions (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX transactions_to_remove ON transactions (finished_at) WHERE finished_at IS NOT NULL;

-- One row for each append: the number of its first record, and its records as JSON.
CREATE TABLE transaction_log (
    gid     TEXT    NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq >= 1),
    records TEXT    NOT NULL,
    PRIMARY KEY (gid, seq)
) STRICT;

-- Definitions by the hash of their content.
CREATE TABLE definitions (
    hash          TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 1),
    body          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    -- When a transaction last brought it along.
    kept_at       INTEGER NOT NULL,
    registered_at INTEGER
) STRICT;

CREATE UNIQUE INDEX definitions_registered ON definitions (name, version)
    WHERE registered_at IS NOT NULL;
CREATE INDEX definitions_to_remove ON definitions (kept_at) WHERE registered_at IS NULL;

-- Instances of participants that have registered.
CREATE TABLE participants (
    service       TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    offers        TEXT    NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (service, instance_id)
) STRICT, WITHOUT ROWID;
