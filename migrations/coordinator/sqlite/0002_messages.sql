-- Messages, what became of them in each group, subscriptions and dead letters.
-- Times are milliseconds since the Unix epoch. Texts compare by their bytes.

-- One row for each message.
CREATE TABLE messages (
    id           TEXT    NOT NULL PRIMARY KEY,
    topic        TEXT    NOT NULL,
    tag          TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    order_key    TEXT,
    -- A JSON object of texts.
    headers      TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    deliver_at   INTEGER,
    created_at   INTEGER NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN
        ('PREPARED', 'COMMITTED', 'PUBLISHED', 'ROLLED_BACK', 'STUCK')),
    -- The incarnation that publishes it, or asks its producer (then that of the first
    -- message of a local transaction counts); compared by its writes.
    owner        TEXT    NOT NULL,
    generation   INTEGER NOT NULL CHECK (generation >= 1),
    -- When it is to be published.
    due_at       INTEGER,
    -- Attempts to publish it.
    try_count    INTEGER NOT NULL DEFAULT 0 CHECK (try_count >= 0),
    next_try_at  INTEGER,
    last_error   TEXT,
    published_at INTEGER,
    updated_at   INTEGER NOT NULL,
    -- Of a half message: its local transaction, its place in that, and whom to ask.
    half_id      TEXT,
    half_no      INTEGER,
    producer     TEXT,
    -- The delay that begins with the commit.
    delay        INTEGER,
    -- Of the first of a local transaction: when to ask next, how often an answer was asked
    -- for, and a JSON array of the latest checks.
    check_at     INTEGER,
    checks       INTEGER NOT NULL DEFAULT 0 CHECK (checks >= 0),
    check_log    TEXT,
    -- What was decided about the local transaction, when, by whom, and why.
    verdict      TEXT CHECK (verdict IN ('COMMIT', 'ROLLBACK')),
    decided_at   INTEGER,
    decided_by   TEXT,
    reason       TEXT,
    -- Last, because what stands behind a long one is slow to reach.
    payload      BLOB    NOT NULL,

    CONSTRAINT committed_is_due CHECK ((due_at IS NOT NULL) = (state = 'COMMITTED')),
    CONSTRAINT only_committed_is_tried_again CHECK
        (next_try_at IS NULL OR state = 'COMMITTED'),
    CONSTRAINT published_has_time CHECK
        ((published_at IS NOT NULL) = (state = 'PUBLISHED')),
    CONSTRAINT half_is_whole CHECK
        ((half_id IS NULL) = (half_no IS NULL) AND (half_id IS NULL) = (producer IS NULL)),
    CONSTRAINT only_half_is_checked CHECK
        (half_id IS NOT NULL OR (checks = 0 AND check_log IS NULL AND verdict IS NULL)),
    CONSTRAINT half_waits_for_verdict CHECK
        ((half_id IS NOT NULL AND verdict IS NULL) = (state IN ('PREPARED', 'STUCK'))),
    CONSTRAINT first_prepared_is_checked CHECK
        ((check_at IS NOT NULL) = (state = 'PREPARED' AND half_no = 0)),
    CONSTRAINT verdict_is_whole CHECK
        ((verdict IS NULL) = (decided_at IS NULL) AND (verdict IS NULL) = (decided_by IS NULL))
) STRICT;

-- Lists, newest first, and removal, oldest first; and those in a state that few are in for long.
CREATE INDEX messages_by_creation ON messages (created_at, id);
-- (Not by the state, or changes that compare it would be made by this index.)
CREATE INDEX messages_by_rare_state ON messages (state, created_at, id)
    WHERE published_at IS NULL;
CREATE INDEX messages_by_key ON messages (key, id) WHERE key <> '';
CREATE INDEX messages_due ON messages (owner, state, due_at, id) WHERE due_at IS NOT NULL;
-- Half messages: by local transaction, by the group that is to be asked, and lists.
CREATE UNIQUE INDEX messages_of_half ON messages (half_id, half_no) WHERE half_id IS NOT NULL;
CREATE INDEX messages_to_check ON messages (owner, producer, check_at, id)
    WHERE check_at IS NOT NULL;
CREATE INDEX messages_first_of_half ON messages (created_at, id) WHERE half_no = 0;

-- One row for each message in a group that it was given to.
CREATE TABLE deliveries (
    -- Grows in the order in which messages became READY; never used again.
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name  TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    order_key   TEXT,
    state       TEXT    NOT NULL CHECK (state IN ('READY', 'DONE', 'RETRYING', 'DEAD')),
    -- Attempts that have ended.
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),
    next_at     INTEGER,
    first_error TEXT,
    last_error  TEXT,
    updated_at  INTEGER NOT NULL,

    UNIQUE (message_id, group_name),
    CONSTRAINT retrying_has_time CHECK ((next_at IS NOT NULL) = (state = 'RETRYING'))
) STRICT;

CREATE INDEX deliveries_ready ON deliveries (group_name, topic, position)
    WHERE state = 'READY';
CREATE INDEX deliveries_retrying ON deliveries (group_name, topic, next_at)
    WHERE state = 'RETRYING';
CREATE INDEX deliveries_blocking ON deliveries (group_name, topic, position)
    WHERE state = 'RETRYING' AND order_key IS NOT NULL;
CREATE INDEX deliveries_of_key ON deliveries (group_name, topic, order_key, position)
    WHERE state IN ('READY', 'RETRYING') AND order_key IS NOT NULL;

-- What groups want, and who delivers it to them.
CREATE TABLE subscriptions (
    group_name  TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    -- How the text of the filter is to be read, and the text.
    filter_kind TEXT    NOT NULL,
    filter      TEXT    NOT NULL,
    mode        TEXT    NOT NULL CHECK (mode IN ('CLUSTERING', 'BROADCASTING')),
    -- The schedule, JSON.
    retry       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- How often the settings were written.
    revision    INTEGER NOT NULL CHECK (revision >= 1),
    -- The incarnation that delivers to the group.
    owner       TEXT,
    -- How often that changed.
    generation  INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    PRIMARY KEY (group_name, topic),
    CONSTRAINT owned_since CHECK (owner IS NULL OR generation >= 1)
) STRICT, WITHOUT ROWID;

-- Messages that a group could not handle, whole.
CREATE TABLE dead_letters (
    id                 TEXT    NOT NULL PRIMARY KEY,
    group_name         TEXT    NOT NULL,
    message_id         TEXT    NOT NULL,
    topic              TEXT    NOT NULL,
    tag                TEXT    NOT NULL,
    key                TEXT    NOT NULL,
    order_key          TEXT,
    headers            TEXT    NOT NULL,
    content_type       TEXT    NOT NULL,
    deliver_at         INTEGER,
    message_created_at INTEGER NOT NULL,
    attempts           INTEGER NOT NULL CHECK (attempts >= 0),
    first_error        TEXT    NOT NULL,
    last_error         TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('OPEN', 'RESENT', 'DISCARDED')),
    resolved_at        INTEGER,
    actor              TEXT,
    reason             TEXT,
    resent_as          TEXT,
    payload            BLOB    NOT NULL,

    CONSTRAINT resolved_is_whole CHECK
        ((state = 'OPEN') = (resolved_at IS NULL)
         AND (state = 'OPEN') = (actor IS NULL)
         AND (state = 'OPEN') = (reason IS NULL)),
    CONSTRAINT resent_as_something CHECK ((resent_as IS NOT NULL) = (state = 'RESENT'))
) STRICT;

CREATE INDEX dead_letters_by_creation ON dead_letters (created_at, id);
CREATE INDEX dead_letters_of_message ON dead_letters (message_id);
CREATE INDEX dead_letters_open ON dead_letters (group_name, topic, created_at, id)
    WHERE state = 'OPEN';
