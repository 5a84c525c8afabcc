-- What has taken effect: one row per (group, tag, key), written in the same
-- transaction as the effect. Removed when older than any retry can be.
create table if not exists consumer_log (
    group_name varchar(128) not null,
    msg_tag    varchar(128) not null,
    msg_key    varchar(255) not null,
    msg_id     varchar(128) not null,
    written_by varchar(16)  not null check (written_by in ('do', 'undo', 'message', 'half', 'check')),
    status     varchar(16)  not null check (status in ('running', 'started', 'succeeded', 'refused', 'void')),
    result     bytea,
    created_at timestamptz  not null default clock_timestamp(),
    updated_at timestamptz  not null default clock_timestamp(),
    primary key (group_name, msg_tag, msg_key)
);

create index if not exists consumer_log_age on consumer_log (updated_at);

-- Attempts that failed, counted outside the transaction that failed. For
-- people and for limits, never for correctness.
create table if not exists consumer_failure (
    group_name varchar(128) not null,
    msg_tag    varchar(128) not null,
    msg_key    varchar(255) not null,
    attempts   bigint       not null,
    last_error text         not null,
    updated_at timestamptz  not null default clock_timestamp(),
    primary key (group_name, msg_tag, msg_key)
);

create index if not exists consumer_failure_age on consumer_failure (updated_at);
