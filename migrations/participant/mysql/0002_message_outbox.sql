-- The tag of a message is its topic, a colon and its tag: room for them.
set @amends_widen = if(
    (select character_maximum_length from information_schema.columns
     where table_schema = database() and table_name = 'consumer_log' and column_name = 'msg_tag') < 257,
    'alter table consumer_log modify msg_tag varchar(257) not null', 'do 0');
prepare amends_widen from @amends_widen;
execute amends_widen;
deallocate prepare amends_widen;
set @amends_widen = if(
    (select character_maximum_length from information_schema.columns
     where table_schema = database() and table_name = 'consumer_failure' and column_name = 'msg_tag') < 257,
    'alter table consumer_failure modify msg_tag varchar(257) not null', 'do 0');
prepare amends_widen from @amends_widen;
execute amends_widen;
deallocate prepare amends_widen;

-- Messages that a local transaction wants published: written in it, published
-- once it has committed. Times are milliseconds since 1970, UTC, by this
-- database's clock.
create table if not exists message_outbox (
    seq          bigint       not null auto_increment primary key,
    id           varchar(128) not null,
    topic        varchar(128) not null,
    tag          varchar(128) not null,
    msg_key      varchar(255) not null,
    order_key    varchar(255) not null,
    headers      mediumtext   not null,
    content_type varchar(256) not null,
    body         longblob     not null,
    deliver_at   bigint,
    -- 0 sending, 1 sent, 2 failed
    status       smallint     not null default 0 check (status in (0, 1, 2)),
    try_count    bigint       not null default 0,
    first_try_at bigint,
    next_try_at  bigint       not null default 0,
    last_error   text         not null,
    created_at   timestamp(3) not null default current_timestamp(3),
    updated_at   timestamp(3) not null default current_timestamp(3),
    unique index message_outbox_id (id),
    index message_outbox_unsent (status, seq),
    index message_outbox_lane (status, topic, order_key, seq),
    index message_outbox_age (updated_at)
) engine = innodb character set utf8mb4 collate utf8mb4_bin;

-- Who publishes: one at a time. A late writer finds another token.
create table if not exists message_outbox_lease (
    name       varchar(32)  not null primary key,
    token      bigint       not null,
    holder     varchar(128) not null,
    held_until bigint       not null
) engine = innodb character set utf8mb4 collate utf8mb4_bin;

insert ignore into message_outbox_lease (name, token, holder, held_until) values ('relay', 0, '', 0);
