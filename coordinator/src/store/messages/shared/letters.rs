//! Reading dead letters.

macro_rules! letter_methods {
    ($db:ident, $any:literal, $empty:literal) => {
        fn list_dead_letters<'a>(
            &'a self,
            filter: &'a DeadLetterFilter,
        ) -> StoreResult<'a, Vec<DeadLetter>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<$db::Db>::new(concat!(
                    "SELECT ",
                    rows::dead_letter_columns!($empty),
                    " FROM dead_letters d WHERE 1 = 1"
                ));
                if let Some(state) = filter.state {
                    // A constant; as text it lets open ones use their index.
                    statement.push(format!(" AND d.state = '{}'", state.as_str()));
                }
                if let Some(group) = &filter.group {
                    let (above, below) = rows::copies(group);
                    statement
                        .push(" AND (d.group_name = ")
                        .push_bind(group.as_str());
                    statement.push(" OR (d.group_name > ").push_bind(above);
                    statement
                        .push(" AND d.group_name < ")
                        .push_bind(below)
                        .push("))");
                }
                if let Some(topic) = &filter.topic {
                    statement.push(" AND d.topic = ").push_bind(topic.as_str());
                }
                if let Some(key) = &filter.key {
                    statement.push(" AND d.key = ").push_bind(key.as_str());
                }
                if let Some(from) = filter.created_from {
                    statement.push(" AND d.created_at >= ").push_bind(from.0);
                }
                if let Some(before) = filter.created_before {
                    statement.push(" AND d.created_at < ").push_bind(before.0);
                }
                if let Some((at, id)) = &filter.after {
                    statement
                        .push(" AND (d.created_at, d.id) < (")
                        .push_bind(at.0);
                    statement.push(", ").push_bind(without_nul(&id.0)).push(")");
                }
                let limit = i64::from(filter.limit.min(MAX_PAGE));
                statement
                    .push(" ORDER BY d.created_at DESC, d.id DESC LIMIT ")
                    .push_bind(limit);
                let found = statement
                    .build_query_as::<rows::DeadLetterRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(DeadLetter::try_from).collect()
            })
        }

        fn dead_letters<'a>(&'a self, ids: &'a [DeadLetterId]) -> StoreResult<'a, Vec<DeadLetter>> {
            const BY_ID: &str = concat!(
                "SELECT ",
                rows::dead_letter_columns!("d.payload"),
                " FROM dead_letters d WHERE d.id ",
                $any
            );
            Box::pin(async move {
                // No id has a NUL, and not every database takes one.
                let ids = ids.iter().map(|id| id.0.as_str());
                let ids = ids.filter(|id| !id.contains('\0')).collect();
                let found: Vec<rows::DeadLetterRow> = sqlx::query_as(BY_ID)
                    .bind($db::list(ids))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(DeadLetter::try_from).collect()
            })
        }
    };
}
pub(in crate::store::messages) use letter_methods;
