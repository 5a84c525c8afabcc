-- What has taken effect: one row per (group, tag, key), written in the same
-- transaction as the effect. Removed when older than any retry can be.
create table if not exists consumer_log (
    group_name text not null,
    msg_tag    text not null,
    msg_key    text not null,
    msg_id     text not null,
    written_by text not null check (written_by in ('do', 'undo', 'message', 'half', 'check')),
    status     text not null check (status in ('running', 'started', 'succeeded', 'refused', 'void')),
    result     blob,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (group_name, msg_tag, msg_key)
);

create index if not exists consumer_log_age on consumer_log (updated_at);

-- Attempts that failed, counted outside the transaction that failed. For
-- people and for limits, never for correctness.
create table if not exists consumer_failure (
    group_name text not null,
    msg_tag    text not null,
    msg_key    text not null,
    attempts   integer not null,
    last_error text not null,
    updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    primary key (group_name, msg_tag, msg_key)
);

create index if not exists consumer_failure_age on consumer_failure (updated_at);
