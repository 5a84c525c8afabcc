//! `DeadLetterService`: what no group could handle.

use std::collections::HashMap;

use amends_core::time::Timestamp;
use amends_proto::v1;
use amends_proto::v1::dead_letter_service_server::DeadLetterService;
use tonic::{Request, Response, Status};

use crate::grpc::page;
use crate::grpc::read::{page_size, reason};
use crate::grpc::status::invalid;
use crate::messages::{DeadSelection, MAX_ITEMS, Resend};
use crate::store::messages::DeadLetterId;

use super::show::Body;
use super::{MessageApi, read, results, show};

#[tonic::async_trait]
impl DeadLetterService for MessageApi {
    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size);
        let mut filter = read::dead_letter_filter(request.filter, limit)?;
        let after: Option<(Timestamp, String)> = page::place(&request.page_token)?;
        filter.after = after.map(|(at, id)| (at, DeadLetterId(id)));
        let found = self.messages.dead_letters(&filter).await?;
        let full = found.len() >= limit as usize;
        let next = found.last().filter(|_| full);
        let next = next.map(|last| page::token(&(last.created_at, &last.id.0)));
        let letters = found.iter();
        Ok(Response::new(v1::ListDeadLettersResponse {
            dead_letters: letters
                .map(|it| show::dead_letter(it, Body::LeftOut))
                .collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<v1::GetDeadLetterRequest>,
    ) -> Result<Response<v1::GetDeadLetterResponse>, Status> {
        let id = read::dead_letter_id(&request.into_inner().id)?;
        let letter = self.messages.dead_letter(&id).await?;
        Ok(Response::new(v1::GetDeadLetterResponse {
            dead_letter: Some(show::dead_letter(&letter, Body::Shown)),
        }))
    }

    async fn resend_dead_letters(
        &self,
        request: Request<v1::ResendDeadLettersRequest>,
    ) -> Result<Response<v1::ResendDeadLettersResponse>, Status> {
        let request = request.into_inner();
        if request.edited.is_some() && request.ids.len() != 1 {
            let rule = format!("are {}, must be one beside edited", request.ids.len());
            return Err(invalid("ids", "COUNT_INVALID", rule));
        }
        let edited = request.edited.map(|it| read::edit(it, self.max_bytes));
        let resend = Resend {
            selection: selection(&request.ids, request.filter, request.limit)?,
            edited: edited.transpose()?,
            per_second: request.per_second,
            actor: reason("actor", &request.actor)?,
            reason: reason("reason", &request.reason)?,
        };
        let done = self.messages.resend(resend).await?;
        Ok(Response::new(v1::ResendDeadLettersResponse {
            results: in_order_of(&request.ids, results(done)),
        }))
    }

    async fn discard_dead_letters(
        &self,
        request: Request<v1::DiscardDeadLettersRequest>,
    ) -> Result<Response<v1::DiscardDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let selection = selection(&request.ids, request.filter, request.limit)?;
        let actor = reason("actor", &request.actor)?;
        let reason = read::required_reason(&request.reason)?;
        let done = self.messages.discard(selection, &actor, &reason).await?;
        Ok(Response::new(v1::DiscardDeadLettersResponse {
            results: in_order_of(&request.ids, results(done)),
        }))
    }
}

/// Results as the request has its ids; those of a filter stay as they came.
fn in_order_of(ids: &[String], mut results: Vec<v1::ItemResult>) -> Vec<v1::ItemResult> {
    let places = ids.iter().zip(0_usize..);
    let places: HashMap<_, _> = places.map(|(id, place)| (id.as_str(), place)).collect();
    results.sort_by_key(|result| places.get(result.id.as_str()).copied());
    results
}

/// Ids or a filter, never neither and never both.
fn selection(
    ids: &[String],
    filter: Option<v1::DeadLetterFilter>,
    limit: u32,
) -> Result<DeadSelection, Status> {
    let Some(filter) = filter else {
        return Ok(DeadSelection::Ids(read::ids(ids, read::dead_letter_id)?));
    };
    if !ids.is_empty() {
        return Err(invalid("filter", "AMBIGUOUS", "cannot be set beside ids"));
    }
    let most = u32::try_from(MAX_ITEMS).unwrap_or(u32::MAX);
    let limit = if limit == 0 { most } else { limit.min(most) };
    let filter = read::dead_letter_filter(Some(filter), limit)?;
    Ok(DeadSelection::Filter(filter))
}
