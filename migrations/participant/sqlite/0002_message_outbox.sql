-- Messages that a local transaction wants published: written in it, published
-- once it has committed. Times are milliseconds since 1970, UTC, by this
-- database's clock.
create table if not exists message_outbox (
    seq          integer primary key autoincrement,
    id           text    not null unique,
    topic        text    not null,
    tag          text    not null,
    msg_key      text    not null,
    order_key    text    not null,
    headers      text    not null,
    content_type text    not null,
    body         blob    not null,
    deliver_at   integer,
    -- 0 sending, 1 sent, 2 failed
    status       integer not null default 0 check (status in (0, 1, 2)),
    try_count    integer not null default 0,
    first_try_at integer,
    next_try_at  integer not null default 0,
    last_error   text    not null default '',
    created_at   text    not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at   text    not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create index if not exists message_outbox_unsent on message_outbox (seq) where status = 0;
create index if not exists message_outbox_lane on message_outbox (topic, order_key, seq) where status = 0;
create index if not exists message_outbox_age on message_outbox (updated_at);

-- Who publishes: one at a time. A late writer finds another token.
create table if not exists message_outbox_lease (
    name       text    not null primary key,
    token      integer not null,
    holder     text    not null,
    held_until integer not null
);

insert into message_outbox_lease (name, token, holder, held_until) values ('relay', 0, '', 0)
    on conflict (name) do nothing;
