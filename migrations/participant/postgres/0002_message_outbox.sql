-- The tag of a message is its topic, a colon and its tag: room for them.
do $$
begin
    if exists (
        select 1 from information_schema.columns
        where table_schema = current_schema() and table_name = 'consumer_log'
          and column_name = 'msg_tag' and character_maximum_length < 257
    ) then
        alter table consumer_log alter column msg_tag type varchar(257);
        alter table consumer_failure alter column msg_tag type varchar(257);
    end if;
end
$$;

-- Messages that a local transaction wants published: written in it, published
-- once it has committed. Times are milliseconds since 1970, UTC, by this
-- database's clock.
create table if not exists message_outbox (
    seq          bigint generated always as identity primary key,
    id           varchar(128) not null unique,
    topic        varchar(128) not null,
    tag          varchar(128) not null,
    msg_key      varchar(255) not null,
    order_key    varchar(255) not null,
    headers      text         not null,
    content_type varchar(256) not null,
    body         bytea        not null,
    deliver_at   bigint,
    -- 0 sending, 1 sent, 2 failed
    status       smallint     not null default 0 check (status in (0, 1, 2)),
    try_count    bigint       not null default 0,
    first_try_at bigint,
    next_try_at  bigint       not null default 0,
    last_error   text         not null default '',
    created_at   timestamptz  not null default clock_timestamp(),
    updated_at   timestamptz  not null default clock_timestamp()
);

create index if not exists message_outbox_unsent on message_outbox (seq) where status = 0;
create index if not exists message_outbox_lane on message_outbox (topic, order_key, seq) where status = 0;
create index if not exists message_outbox_age on message_outbox (updated_at);

-- Who publishes: one at a time. A late writer finds another token.
create table if not exists message_outbox_lease (
    name       varchar(32)  not null primary key,
    token      bigint       not null,
    holder     varchar(128) not null,
    held_until bigint       not null
);

insert into message_outbox_lease (name, token, holder, held_until) values ('relay', 0, '', 0)
    on conflict (name) do nothing;
