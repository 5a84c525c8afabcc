//! What groups want, what they wait for, and what became of it.

macro_rules! group_methods {
    ($db:ident) => {
        fn waiting<'a>(
            &'a self,
            group: &'a GroupName,
            topic: &'a Topic,
            filter: &'a WaitingFilter,
            limit: u32,
        ) -> StoreResult<'a, Vec<Waiting>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<$db::Db>::new(concat!(
                    "SELECT d.position, d.attempts, d.next_at, ",
                    rows::message_columns!(),
                    " FROM deliveries d JOIN messages m ON m.id = d.message_id \
                     WHERE d.group_name = "
                ));
                statement.push_bind(group.as_str());
                statement.push(" AND d.topic = ").push_bind(topic.as_str());
                // The states are texts of the statement: they choose the index.
                match filter {
                    WaitingFilter::Ready { after } => {
                        statement.push(" AND d.state = 'READY' AND d.position > ");
                        statement.push_bind(*after).push(" ORDER BY d.position");
                    }
                    WaitingFilter::Due { until } => {
                        statement.push(" AND d.state = 'RETRYING' AND d.next_at <= ");
                        statement.push_bind(until.0).push(" ORDER BY d.next_at, d.position");
                    }
                    WaitingFilter::OfKey { key, after } => {
                        statement.push(" AND d.state IN ('READY', 'RETRYING')");
                        statement.push(" AND d.order_key IS NOT NULL AND d.order_key = ");
                        statement.push_bind(key.as_str()).push(" AND d.position > ");
                        statement.push_bind(*after).push(" ORDER BY d.position");
                    }
                    WaitingFilter::Blocking { after } => {
                        statement.push(" AND d.state = 'RETRYING' AND d.order_key IS NOT NULL");
                        statement.push(" AND d.position > ").push_bind(*after);
                        statement.push(" ORDER BY d.position");
                    }
                }
                let limit = i64::from(limit.min(MAX_PAGE));
                statement.push(" LIMIT ").push_bind(limit);
                let found = statement
                    .build_query_as::<rows::WaitingRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(Waiting::try_from).collect()
            })
        }

        fn deliveries<'a>(
            &'a self,
            filter: &'a DeliveryFilter,
        ) -> StoreResult<'a, Vec<StoredDelivery>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<$db::Db>::new(
                    "SELECT group_name, position, message_id, topic, state, attempts, next_at, \
                     first_error, last_error, updated_at FROM deliveries WHERE 1 = 1",
                );
                if let Some(id) = &filter.id {
                    statement.push(" AND message_id = ").push_bind(id.as_str());
                }
                if let Some(key) = &filter.key {
                    statement.push(" AND message_id IN (SELECT id FROM messages WHERE key = ");
                    statement.push_bind(key.as_str());
                    statement.push(match key.as_str().is_empty() {
                        true => ")",
                        false => " AND key <> '')",
                    });
                }
                if let Some(group) = &filter.group {
                    let (above, below) = rows::copies(group);
                    statement.push(" AND (group_name = ").push_bind(group.as_str());
                    statement.push(" OR (group_name > ").push_bind(above);
                    statement.push(" AND group_name < ").push_bind(below).push("))");
                }
                if let Some((id, group)) = &filter.after {
                    statement.push(" AND (message_id, group_name) > (").push_bind(id.as_str());
                    statement.push(", ").push_bind(group.as_str()).push(")");
                }
                let limit = i64::from(filter.limit.min(MAX_PAGE));
                statement.push(" ORDER BY message_id, group_name LIMIT ").push_bind(limit);
                let found = statement
                    .build_query_as::<rows::DeliveryRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredDelivery::try_from).collect()
            })
        }

        fn put_subscription<'a>(
            &'a self,
            subscription: &'a StoredSubscription,
        ) -> StoreResult<'a, bool> {
            const PUT: &str = "INSERT INTO subscriptions AS s (group_name, topic, filter_kind, \
                    filter, mode, retry, created_at, revision) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, 1) \
                ON CONFLICT (group_name, topic) DO UPDATE SET \
                    filter_kind = excluded.filter_kind, filter = excluded.filter, \
                    mode = excluded.mode, retry = excluded.retry, revision = s.revision + 1 \
                RETURNING revision";
            Box::pin(async move {
                let wanted = &subscription.subscription;
                let revision: i64 = sqlx::query_scalar(PUT)
                    .bind(wanted.group.as_str())
                    .bind(wanted.topic.as_str())
                    .bind(wanted.filter.kind().as_str())
                    .bind(without_nul(&wanted.filter.to_string()))
                    .bind(rows::mode(wanted.mode))
                    .bind(rows::json(&wanted.retry)?)
                    .bind(subscription.created_at.0)
                    .fetch_one(&mut *self.write().await?)
                    .await?;
                Ok(revision == 1)
            })
        }

        fn remove_subscription<'a>(
            &'a self,
            group: &'a GroupName,
            topic: &'a Topic,
        ) -> StoreResult<'a, bool> {
            const REMOVE: &str = "DELETE FROM subscriptions WHERE group_name = $1 AND topic = $2";
            // What waits; the rest are traces, which go with their messages.
            const REMOVE_WAITING: [&str; 2] = [
                "DELETE FROM deliveries WHERE position IN (SELECT position FROM deliveries \
                 WHERE group_name = $1 AND topic = $2 AND state = 'READY' LIMIT $3)",
                "DELETE FROM deliveries WHERE position IN (SELECT position FROM deliveries \
                 WHERE group_name = $1 AND topic = $2 AND state = 'RETRYING' LIMIT $3)",
            ];
            Box::pin(async move {
                let removed = sqlx::query(REMOVE)
                    .bind(group.as_str())
                    .bind(topic.as_str())
                    .execute(&mut *self.write().await?)
                    .await?;
                // In portions, so that others can write between them.
                for statement in REMOVE_WAITING {
                    loop {
                        let done = sqlx::query(statement)
                            .bind(group.as_str())
                            .bind(topic.as_str())
                            .bind(i64::from(REMOVE_CHUNK))
                            .execute(&mut *self.write().await?)
                            .await?;
                        if done.rows_affected() < u64::from(REMOVE_CHUNK) {
                            break;
                        }
                    }
                }
                Ok(removed.rows_affected() == 1)
            })
        }

        fn subscriptions(&self) -> StoreResult<'_, Vec<StoredSubscription>> {
            const ALL: &str = "SELECT group_name, topic, filter_kind, filter, mode, retry, \
                created_at FROM subscriptions ORDER BY group_name, topic";
            Box::pin(async move {
                let all: Vec<rows::SubscriptionRow> = sqlx::query_as(ALL)
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                all.into_iter().map(StoredSubscription::try_from).collect()
            })
        }

        fn own_group<'a>(
            &'a self,
            group: &'a GroupName,
            topic: &'a Topic,
        ) -> StoreResult<'a, GroupOwnership> {
            Box::pin(async move {
                let (group, topic) = (group.as_str(), topic.as_str());
                let mut connection = self.write().await?;
                $db::own(&mut connection, &self.incarnation, group, topic).await
            })
        }

        fn backlog<'a>(
            &'a self,
            group: &'a GroupName,
            topic: &'a Topic,
        ) -> StoreResult<'a, Backlog> {
            const COUNT: &str = "SELECT (SELECT count(*) FROM (SELECT 1 FROM deliveries \
                    WHERE group_name = $1 AND topic = $2 AND state = 'READY' LIMIT $3) r), \
                (SELECT count(*) FROM (SELECT 1 FROM deliveries \
                    WHERE group_name = $1 AND topic = $2 AND state = 'RETRYING' LIMIT $3) t), \
                (SELECT count(*) FROM (SELECT 1 FROM dead_letters \
                    WHERE group_name = $1 AND topic = $2 AND state = 'OPEN' LIMIT $3) l)";
            Box::pin(async move {
                let (ready, retrying, dead): (i64, i64, i64) = sqlx::query_as(COUNT)
                    .bind(group.as_str())
                    .bind(topic.as_str())
                    .bind(i64::from(MAX_COUNTED))
                    .fetch_one(&mut *self.read().await?)
                    .await?;
                Ok(Backlog {
                    ready: rows::count(ready)?,
                    retrying: rows::count(retrying)?,
                    dead: rows::count(dead)?,
                })
            })
        }
    };
}
pub(in crate::store::messages) use group_methods;
