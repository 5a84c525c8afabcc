//! Reading half messages.

macro_rules! half_methods {
    ($db:ident, $any:literal, $empty:literal) => {
        fn halves<'a>(
            &'a self,
            ids: &'a [HalfId],
            bodies: Bodies,
        ) -> StoreResult<'a, Vec<StoredMessage>> {
            const BY_HALF: &str = concat!(
                "SELECT ",
                rows::message_columns!(),
                ", ",
                rows::stored_columns!(),
                " FROM messages m WHERE m.half_id ",
                $any,
                " ORDER BY m.half_id, m.half_no"
            );
            const WITHOUT_BODIES: &str = concat!(
                "SELECT ",
                rows::message_columns!($empty),
                ", ",
                rows::stored_columns!(),
                " FROM messages m WHERE m.half_id ",
                $any,
                " ORDER BY m.half_id, m.half_no"
            );
            Box::pin(async move {
                let ids = ids.iter().map(HalfId::as_str).collect();
                let statement = match bodies {
                    Bodies::Read => BY_HALF,
                    Bodies::LeftOut => WITHOUT_BODIES,
                };
                let found: Vec<rows::StoredRow> = sqlx::query_as(statement)
                    .bind($db::list(ids))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredMessage::try_from).collect()
            })
        }

        fn list_halves<'a>(&'a self, filter: &'a HalfFilter) -> StoreResult<'a, Vec<StoredMessage>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<$db::Db>::new(concat!(
                    "SELECT ",
                    rows::message_columns!($empty),
                    ", ",
                    rows::stored_columns!(),
                    " FROM messages m WHERE m.half_no = 0"
                ));
                statement.push(half::of_states(&filter.states));
                if let Some(producer) = &filter.producer {
                    statement.push(" AND m.producer = ").push_bind(producer.as_str());
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

        fn checks_due<'a>(&'a self, which: &'a ChecksDue) -> StoreResult<'a, Vec<StoredMessage>> {
            const DUE: &str = concat!(
                "SELECT ",
                rows::message_columns!($empty),
                ", ",
                rows::stored_columns!(),
                " FROM messages m WHERE m.owner = $1 AND m.producer = $2 \
                 AND m.check_at IS NOT NULL AND m.check_at <= $3 AND (m.check_at, m.id) > ($4, $5) \
                 ORDER BY m.check_at, m.id LIMIT $6"
            );
            Box::pin(async move {
                let (at, id) = match &which.after {
                    Some((at, id)) => (at.0, id.as_str()),
                    None => (i64::MIN, ""),
                };
                let found: Vec<rows::StoredRow> = sqlx::query_as(DUE)
                    .bind(&self.incarnation.0)
                    .bind(which.producer.as_str())
                    .bind(which.until.0)
                    .bind(at)
                    .bind(id)
                    .bind(i64::from(which.limit.min(MAX_PAGE)))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredMessage::try_from).collect()
            })
        }

        fn awaited_producers(&self) -> StoreResult<'_, Vec<(GroupName, Timestamp)>> {
            // From one group to the next in the index, however many halves each has.
            const AWAITED: &str = "WITH RECURSIVE awaited (producer) AS ( \
                    SELECT min(producer) FROM messages WHERE owner = $1 AND check_at IS NOT NULL \
                    UNION ALL \
                    SELECT (SELECT min(m.producer) FROM messages m WHERE m.owner = $1 \
                            AND m.check_at IS NOT NULL AND m.producer > a.producer) \
                    FROM awaited a WHERE a.producer IS NOT NULL) \
                SELECT a.producer, (SELECT min(m.check_at) FROM messages m WHERE m.owner = $1 \
                    AND m.check_at IS NOT NULL AND m.producer = a.producer) AS at \
                FROM awaited a WHERE a.producer IS NOT NULL ORDER BY 1";
            Box::pin(async move {
                let found: Vec<(String, Option<i64>)> = sqlx::query_as(AWAITED)
                    .bind(&self.incarnation.0)
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                let read = |(producer, at): (String, Option<i64>)| {
                    let producer = rows::name("a producer group", producer)?;
                    Ok((producer, Timestamp(at.unwrap_or(0))))
                };
                found.into_iter().map(read).collect()
            })
        }

        fn producer_backlogs(&self) -> StoreResult<'_, Vec<ProducerBacklog>> {
            const COUNT: &str = "SELECT m.producer, \
                    sum(CASE WHEN m.state = 'PREPARED' THEN 1 ELSE 0 END), \
                    sum(CASE WHEN m.state = 'STUCK' THEN 1 ELSE 0 END), \
                    min(CASE WHEN m.state = 'PREPARED' THEN m.created_at END) \
                FROM messages m WHERE m.half_no = 0 AND m.published_at IS NULL \
                    AND m.state IN ('PREPARED', 'STUCK') \
                GROUP BY m.producer ORDER BY m.producer";
            Box::pin(async move {
                let found: Vec<(String, i64, i64, Option<i64>)> = sqlx::query_as(COUNT)
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                let read = |(producer, prepared, stuck, oldest): (String, i64, i64, Option<i64>)| {
                    Ok(ProducerBacklog {
                        producer: rows::name("a producer group", producer)?,
                        prepared: unsigned(prepared)?,
                        stuck: unsigned(stuck)?,
                        oldest: oldest.map(Timestamp),
                    })
                };
                found.into_iter().map(read).collect()
            })
        }
    };
}
pub(in crate::store::messages) use half_methods;
