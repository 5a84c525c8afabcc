//! Messages: reading, adopting and removing them.

/// A message that has ended and that nobody waits for. `$2`: before when.
macro_rules! is_over {
    () => {
        "m.state IN ('PUBLISHED', 'ROLLED_BACK') AND m.updated_at < $2 \
         AND NOT EXISTS (SELECT 1 FROM deliveries d JOIN subscriptions s \
                ON s.group_name = d.group_name AND s.topic = d.topic \
             WHERE d.message_id = m.id AND d.state IN ('READY', 'RETRYING')) \
         AND NOT EXISTS (SELECT 1 FROM dead_letters l \
             WHERE l.message_id = m.id AND l.state = 'OPEN')"
    };
}
pub(in crate::store::messages) use is_over;

macro_rules! message_methods {
    ($db:ident, $any:literal, $empty:literal) => {
        fn messages<'a>(&'a self, ids: &'a [MessageId]) -> StoreResult<'a, Vec<StoredMessage>> {
            const BY_ID: &str = concat!(
                "SELECT ",
                rows::message_columns!(),
                ", ",
                rows::stored_columns!(),
                " FROM messages m WHERE m.id ",
                $any
            );
            Box::pin(async move {
                let ids = ids.iter().map(MessageId::as_str).collect();
                let found: Vec<rows::StoredRow> = sqlx::query_as(BY_ID)
                    .bind($db::list(ids))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredMessage::try_from).collect()
            })
        }

        fn list_messages<'a>(
            &'a self,
            filter: &'a MessageFilter,
        ) -> StoreResult<'a, Vec<StoredMessage>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<$db::Db>::new(concat!(
                    "SELECT ",
                    rows::message_columns!($empty),
                    ", ",
                    rows::stored_columns!(),
                    " FROM messages m WHERE 1 = 1"
                ));
                if !filter.states.is_empty() {
                    // State names are constants; as text they let rare states use their index.
                    let states = filter.states.iter().map(|state| state.as_str());
                    let states = states.collect::<Vec<_>>().join("', '");
                    statement.push(format!(" AND m.state IN ('{states}')"));
                    if !filter.states.contains(&MessageState::Published) {
                        statement.push(" AND m.published_at IS NULL");
                    }
                }
                if let Some(topic) = &filter.topic {
                    statement.push(" AND m.topic = ").push_bind(topic.as_str());
                }
                if let Some(tag) = &filter.tag {
                    statement.push(" AND m.tag = ").push_bind(tag.as_str());
                }
                if let Some(key) = &filter.key {
                    statement.push(" AND m.key = ").push_bind(key.as_str());
                    if !key.as_str().is_empty() {
                        statement.push(" AND m.key <> ''");
                    }
                }
                if let Some(from) = filter.created_from {
                    statement.push(" AND m.created_at >= ").push_bind(from.0);
                }
                if let Some(before) = filter.created_before {
                    statement.push(" AND m.created_at < ").push_bind(before.0);
                }
                if let Some(now) = filter.delayed_after {
                    statement.push(" AND m.state = 'COMMITTED' AND m.published_at IS NULL");
                    statement.push(" AND m.deliver_at > ").push_bind(now.0);
                }
                if let Some((at, id)) = &filter.after {
                    statement.push(" AND (m.created_at, m.id) < (").push_bind(at.0);
                    statement.push(", ").push_bind(id.as_str()).push(")");
                }
                let limit = i64::from(filter.limit.min(MAX_PAGE));
                statement.push(" ORDER BY m.created_at DESC, m.id DESC LIMIT ").push_bind(limit);
                let found = statement
                    .build_query_as::<rows::StoredRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredMessage::try_from).collect()
            })
        }

        fn outbox<'a>(
            &'a self,
            until: Timestamp,
            after: Option<&'a (Timestamp, MessageId)>,
            limit: u32,
        ) -> StoreResult<'a, Vec<StoredMessage>> {
            const DUE: &str = concat!(
                "SELECT ",
                rows::message_columns!(),
                ", ",
                rows::stored_columns!(),
                " FROM messages m WHERE m.owner = $1 AND m.state = 'COMMITTED' \
                 AND m.due_at IS NOT NULL AND m.due_at <= $2 AND (m.due_at, m.id) > ($3, $4) \
                 ORDER BY m.due_at, m.id LIMIT $5"
            );
            Box::pin(async move {
                let (at, id) = match after {
                    Some((at, id)) => (at.0, id.as_str()),
                    None => (i64::MIN, ""),
                };
                let found: Vec<rows::StoredRow> = sqlx::query_as(DUE)
                    .bind(&self.incarnation.0)
                    .bind(until.0)
                    .bind(at)
                    .bind(id)
                    .bind(i64::from(limit.min(MAX_PAGE)))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredMessage::try_from).collect()
            })
        }

        fn adopt_messages(&self, limit: u32) -> StoreResult<'_, u64> {
            Box::pin(async move {
                let mut connection = self.write().await?;
                $db::adopt(&mut connection, &self.incarnation, limit).await
            })
        }

        fn remove_messages(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
            // Whether nobody waits for it is asked of few: when it is removed.
            const CANDIDATES: &str = "SELECT id, created_at, \
                    state IN ('PUBLISHED', 'ROLLED_BACK') AND updated_at < $1 \
                FROM messages WHERE created_at < $1 AND (created_at, id) > ($2, $3) \
                ORDER BY created_at, id LIMIT $4";
            const REMOVE: &str = concat!(
                "DELETE FROM messages AS m WHERE m.id ",
                $any,
                " AND ",
                is_over!(),
                " RETURNING id"
            );
            const REMOVE_WITH_IT: [&str; 2] = [
                concat!("DELETE FROM deliveries WHERE message_id ", $any),
                concat!("DELETE FROM dead_letters WHERE message_id ", $any),
            ];
            Box::pin(async move {
                let limit = limit.clamp(1, REMOVE_CHUNK);
                let mut total = 0;
                let mut swept = self.swept.lock().await;
                loop {
                    let most = limit - total;
                    let seen: Vec<(String, i64, bool)> = sqlx::query_as(CANDIDATES)
                        .bind(before.0)
                        .bind(swept.0)
                        .bind(&swept.1)
                        .bind(i64::from(most))
                        .fetch_all(&mut *self.read().await?)
                        .await?;
                    let over = seen.iter().filter(|row| row.2);
                    let over: Vec<&str> = over.map(|row| row.0.as_str()).collect();
                    if !over.is_empty() {
                        let mut connection = self.write().await?;
                        let mut transaction = $db::begin(&mut connection).await?;
                        let removed: Vec<String> = sqlx::query_scalar(REMOVE)
                            .bind($db::list(over))
                            .bind(before.0)
                            .fetch_all(&mut *transaction)
                            .await?;
                        let ids: Vec<&str> = removed.iter().map(String::as_str).collect();
                        for statement in REMOVE_WITH_IT {
                            let done = sqlx::query(statement).bind($db::list(ids.clone()));
                            done.execute(&mut *transaction).await?;
                        }
                        transaction.commit().await?;
                        total += u32::try_from(removed.len()).unwrap_or(most).min(most);
                    }
                    let at_end = seen.len() < most as usize;
                    *swept = match seen.into_iter().last() {
                        Some((id, at, _)) if !at_end => (at, id),
                        _ => (i64::MIN, String::new()),
                    };
                    if at_end || total == limit {
                        return Ok(u64::from(total));
                    }
                }
            })
        }
    };
}
pub(in crate::store::messages) use message_methods;
