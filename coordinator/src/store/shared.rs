//! What reads the same in every SQL database.
//!
//! Written as a macro, used once in each store's `impl Store`: sqlx binds values
//! for one database type, and bounds that say "any" are longer than the
//! statements. The store offers `read()` and `write()`, which hand out a
//! connection, `incarnation`, and the alias `Db` for its database.

macro_rules! shared_methods {
    () => {
        fn due(&self, until: Timestamp, limit: u32) -> StoreResult<'_, Vec<Gid>> {
            const DUE: &str = "SELECT gid FROM transactions \
                WHERE wake_at IS NOT NULL AND wake_at <= $1 AND owner = $2 \
                ORDER BY wake_at, gid LIMIT $3";
            Box::pin(async move {
                let due = sqlx::query_scalar(DUE)
                    .bind(until.0)
                    .bind(&self.incarnation.0)
                    .bind(i64::from(limit))
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                due.into_iter().map(rows::gid).collect()
            })
        }

        fn park<'a>(
            &'a self,
            gid: &'a Gid,
            generation: Generation,
            reason: &'a str,
            now: Timestamp,
        ) -> StoreResult<'a, bool> {
            const PARK: &str = "UPDATE transactions \
                SET state = 'STUCK', parked = $1, wake_at = NULL, updated_at = $2 \
                WHERE gid = $3 AND generation = $4 AND finished_at IS NULL";
            Box::pin(async move {
                let done = sqlx::query(PARK)
                    .bind(without_nul(reason))
                    .bind(now.0)
                    .bind(gid.as_str())
                    .bind(rows::signed(generation.0)?)
                    .execute(&mut *self.write().await?)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        }

        fn list<'a>(&'a self, filter: &'a ListFilter) -> StoreResult<'a, Vec<Listed>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<Db>::new(concat!(
                    "SELECT ",
                    rows::summary_columns!(),
                    " FROM transactions WHERE 1 = 1"
                ));
                if !filter.kinds.is_empty() {
                    let kinds = filter.kinds.iter().map(|kind| kind.as_str());
                    let kinds = kinds.collect::<Vec<_>>().join("', '");
                    statement.push(format!(" AND kind IN ('{kinds}')"));
                }
                if !filter.states.is_empty() {
                    // State names are constants; as text they let rare states use their index.
                    let states = filter.states.iter().map(|state| state.as_str());
                    let states = states.collect::<Vec<_>>().join("', '");
                    statement.push(format!(" AND state IN ('{states}')"));
                    if !filter.states.contains(&PublicState::Succeeded) {
                        statement.push(" AND state <> 'SUCCEEDED'");
                    }
                }
                if let Some(name) = &filter.definition_name {
                    statement.push(" AND definition_name = ").push_bind(without_nul(name));
                }
                if let Some(from) = filter.created_from {
                    statement.push(" AND created_at >= ").push_bind(from.0);
                }
                if let Some(before) = filter.created_before {
                    statement.push(" AND created_at < ").push_bind(before.0);
                }
                if let Some(prefix) = &filter.gid_prefix {
                    statement.push(" AND gid >= ").push_bind(without_nul(prefix));
                    if let Some(above) = above_prefix(&without_nul(prefix)) {
                        statement.push(" AND gid < ").push_bind(above);
                    }
                }
                if let Some((at, gid)) = &filter.after {
                    statement.push(" AND (created_at, gid) < (").push_bind(at.0);
                    statement.push(", ").push_bind(gid.as_str()).push(")");
                }
                let limit = i64::from(filter.limit.min(MAX_PAGE));
                statement.push(" ORDER BY created_at DESC, gid DESC LIMIT ").push_bind(limit);
                let found = statement
                    .build_query_as::<rows::SummaryRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(Listed::try_from).collect()
            })
        }

        fn keep_definition<'a>(&'a self, definition: &'a StoredDefinition) -> StoreResult<'a, ()> {
            const KEEP: &str = "INSERT INTO definitions \
                (hash, name, version, body, created_at, kept_at) VALUES ($1, $2, $3, $4, $5, $5) \
                ON CONFLICT (hash) DO UPDATE SET kept_at = excluded.kept_at \
                WHERE definitions.kept_at < excluded.kept_at";
            Box::pin(async move {
                sqlx::query(KEEP)
                    .bind(definition.hash.0.as_ref())
                    .bind(&definition.name)
                    .bind(i64::from(definition.version))
                    .bind(&definition.json)
                    .bind(definition.created_at.0)
                    .execute(&mut *self.write().await?)
                    .await?;
                Ok(())
            })
        }

        fn register_definition<'a>(
            &'a self,
            definition: &'a StoredDefinition,
        ) -> StoreResult<'a, Registered> {
            // The unique index on registered names decides between two who try at once;
            // no target is named, so that losing is no error.
            const INSERT: &str = concat!(
                "INSERT INTO definitions \
                 (hash, name, version, body, created_at, kept_at, registered_at) \
                 VALUES ($1, $2, $3, $4, $5, $5, $6) ON CONFLICT DO NOTHING RETURNING ",
                rows::definition_columns!()
            );
            const PROMOTE: &str = concat!(
                "UPDATE definitions SET registered_at = $2 \
                 WHERE hash = $1 AND registered_at IS NULL RETURNING ",
                rows::definition_columns!()
            );
            Box::pin(async move {
                let (name, version) = (&definition.name, definition.version);
                let at = definition.registered_at.unwrap_or(definition.created_at);
                if let Some(stored) = self.registered_definition(name, version).await? {
                    return Ok(Registered::of(stored, definition));
                }
                let mut connection = self.write().await?;
                let mut new: Option<rows::DefinitionRow> = sqlx::query_as(INSERT)
                    .bind(definition.hash.0.as_ref())
                    .bind(name)
                    .bind(i64::from(version))
                    .bind(&definition.json)
                    .bind(definition.created_at.0)
                    .bind(at.0)
                    .fetch_optional(&mut *connection)
                    .await?;
                if new.is_none() {
                    new = sqlx::query_as(PROMOTE)
                        .bind(definition.hash.0.as_ref())
                        .bind(at.0)
                        .fetch_optional(&mut *connection)
                        .await?;
                }
                drop(connection);
                if let Some(new) = new {
                    return Ok(Registered::Created(new.try_into()?));
                }
                match self.registered_definition(name, version).await? {
                    Some(stored) => Ok(Registered::of(stored, definition)),
                    None => Err(StoreError::Unavailable("lost a race, won by nobody".into())),
                }
            })
        }

        fn definition<'a>(
            &'a self,
            hash: &'a DefinitionHash,
        ) -> StoreResult<'a, Option<StoredDefinition>> {
            const BY_HASH: &str = concat!(
                "SELECT ",
                rows::definition_columns!(),
                " FROM definitions WHERE hash = $1"
            );
            Box::pin(async move {
                let found: Option<rows::DefinitionRow> = sqlx::query_as(BY_HASH)
                    .bind(hash.0.as_ref())
                    .fetch_optional(&mut *self.read().await?)
                    .await?;
                found.map(StoredDefinition::try_from).transpose()
            })
        }

        fn registered_definition<'a>(
            &'a self,
            name: &'a str,
            version: u32,
        ) -> StoreResult<'a, Option<StoredDefinition>> {
            const BY_NAME: &str = concat!(
                "SELECT ",
                rows::definition_columns!(),
                " FROM definitions WHERE registered_at IS NOT NULL AND name = $1 \
                 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1"
            );
            Box::pin(async move {
                let found: Option<rows::DefinitionRow> = sqlx::query_as(BY_NAME)
                    .bind(without_nul(name))
                    .bind(i64::from(version))
                    .fetch_optional(&mut *self.read().await?)
                    .await?;
                found.map(StoredDefinition::try_from).transpose()
            })
        }

        fn list_definitions<'a>(
            &'a self,
            prefix: &'a str,
            after: Option<(&'a str, u32)>,
            limit: u32,
        ) -> StoreResult<'a, Vec<StoredDefinition>> {
            Box::pin(async move {
                let mut statement = sqlx::QueryBuilder::<Db>::new(concat!(
                    "SELECT ",
                    rows::definition_columns!(),
                    " FROM definitions WHERE registered_at IS NOT NULL AND name >= "
                ));
                statement.push_bind(without_nul(prefix));
                if let Some(above) = above_prefix(&without_nul(prefix)) {
                    statement.push(" AND name < ").push_bind(above);
                }
                if let Some((name, version)) = after {
                    statement.push(" AND (name, version) > (").push_bind(without_nul(name));
                    statement.push(", ").push_bind(i64::from(version)).push(")");
                }
                let limit = i64::from(limit.min(MAX_PAGE));
                statement.push(" ORDER BY name, version LIMIT ").push_bind(limit);
                let found = statement
                    .build_query_as::<rows::DefinitionRow>()
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                found.into_iter().map(StoredDefinition::try_from).collect()
            })
        }

        fn remove_definitions(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
            // The outer comparison is for databases with several writers: it sees
            // a row that somebody has kept in the meantime.
            // Transactions are looked up by their age, which needs no index of its own:
            // few are as old as what is to be removed.
            const REMOVE: &str = "DELETE FROM definitions \
                WHERE registered_at IS NULL AND kept_at < $1 AND hash IN ( \
                    SELECT d.hash FROM definitions d \
                    WHERE d.registered_at IS NULL AND d.kept_at < $1 AND NOT EXISTS \
                        (SELECT 1 FROM transactions t WHERE t.definition_hash = d.hash \
                         AND t.created_at <= d.kept_at + $3) \
                    ORDER BY d.kept_at LIMIT $2)";
            Box::pin(async move {
                let done = sqlx::query(REMOVE)
                    .bind(before.0)
                    .bind(i64::from(limit))
                    .bind(rows::signed(DEFINITION_KEPT_FOR.0)?)
                    .execute(&mut *self.write().await?)
                    .await?;
                Ok(done.rows_affected())
            })
        }

        fn put_participant<'a>(
            &'a self,
            participant: &'a StoredParticipant,
        ) -> StoreResult<'a, ()> {
            const PUT: &str = "INSERT INTO participants \
                (service, instance_id, address, offers, registered_at) \
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT (service, instance_id) DO UPDATE \
                SET address = excluded.address, offers = excluded.offers, \
                    registered_at = excluded.registered_at";
            Box::pin(async move {
                sqlx::query(PUT)
                    .bind(without_nul(&participant.service))
                    .bind(without_nul(&participant.instance_id))
                    .bind(without_nul(&participant.address))
                    .bind(without_nul(&participant.offers))
                    .bind(participant.registered_at.0)
                    .execute(&mut *self.write().await?)
                    .await?;
                Ok(())
            })
        }

        fn remove_participant<'a>(
            &'a self,
            service: &'a str,
            instance_id: &'a str,
        ) -> StoreResult<'a, ()> {
            const REMOVE: &str = "DELETE FROM participants WHERE service = $1 AND instance_id = $2";
            Box::pin(async move {
                sqlx::query(REMOVE)
                    .bind(without_nul(service))
                    .bind(without_nul(instance_id))
                    .execute(&mut *self.write().await?)
                    .await?;
                Ok(())
            })
        }

        fn participants(&self) -> StoreResult<'_, Vec<StoredParticipant>> {
            const ALL: &str = "SELECT service, instance_id, address, offers, registered_at \
                FROM participants ORDER BY service, instance_id";
            Box::pin(async move {
                let all: Vec<rows::ParticipantRow> = sqlx::query_as(ALL)
                    .fetch_all(&mut *self.read().await?)
                    .await?;
                Ok(all.into_iter().map(StoredParticipant::from).collect())
            })
        }
    };
}
pub(super) use shared_methods;
