//! Dead letters: looked at, sent again, discarded.

use amends_proto::v1;

use super::{Member, handled, id, message, publish, subscription};
use crate::grpc::api::{Api, brief, json};

/// Dead letters in the group `billing`, oldest first.
async fn die(api: &Api, member: &mut Member, ids: &[&str]) -> Vec<v1::DeadLetter> {
    for id in ids {
        publish(api, vec![message(id)]).await.unwrap();
        let token = member.delivery().await.token;
        member.dead(token, "no such customer").await;
        handled(api, id, "billing", v1::DeliveryState::Dead).await;
    }
    let mut letters = list(api, v1::DeadLetterState::Open).await;
    letters.reverse();
    letters
}

async fn list(api: &Api, state: v1::DeadLetterState) -> Vec<v1::DeadLetter> {
    let mut letters = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListDeadLettersRequest {
            filter: Some(v1::DeadLetterFilter {
                group: "billing".to_owned(),
                state: state.into(),
                ..Default::default()
            }),
            page_size: 1,
            page_token,
        };
        let page = api.dead_letters().list_dead_letters(request).await.unwrap();
        let page = page.into_inner();
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return letters;
        }
    }
}

/// `id: code` of each, the code empty where it was done.
fn codes(results: &[v1::ItemResult]) -> Vec<(&str, &str)> {
    let results = results.iter();
    results
        .inspect(|result| assert_eq!(result.done, result.code.is_empty(), "{result:?}"))
        .map(|result| (result.id.as_str(), result.code.as_str()))
        .collect()
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_as_it_was() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    let letters = die(&api, &mut member, &["m-1", "m-2"]).await;
    assert_eq!(letters.len(), 2);
    let letter = &letters[0];
    assert_eq!(letter.last_error, "no such customer");
    assert!(letter.message.as_ref().unwrap().payload.is_none());
    let request = v1::GetDeadLetterRequest {
        id: letter.id.clone(),
    };
    let shown = api.dead_letters().get_dead_letter(request).await.unwrap();
    let shown = shown.into_inner().dead_letter.unwrap().message.unwrap();
    assert_eq!(
        (shown.id.as_str(), shown.payload.unwrap().data),
        ("m-1", json(r#"{"order":7}"#).unwrap().data)
    );

    let request = v1::ResendDeadLettersRequest {
        ids: vec![letter.id.clone(), "nobody".to_owned()],
        actor: "olga".to_owned(),
        reason: "customer was restored".to_owned(),
        ..Default::default()
    };
    let mut client = api.dead_letters();
    let first = client.resend_dead_letters(request.clone()).await.unwrap();
    let expected = [
        (letter.id.as_str(), ""),
        ("nobody", "DEAD_LETTER_NOT_FOUND"),
    ];
    assert_eq!(codes(&first.into_inner().results), expected);
    let again = member.delivery().await;
    assert_eq!((id(&again), again.attempt), ("m-1", 1));
    let second = client.resend_dead_letters(request).await.unwrap();
    let second = second.into_inner().results;
    assert!(!second[0].done, "taken once: {second:?}");
    let resent = list(&api, v1::DeadLetterState::Resent).await;
    assert_eq!(resent.len(), 1);
    let kept = (resent[0].actor.as_str(), resent[0].reason.as_str());
    assert_eq!(kept, ("olga", "customer was restored"));
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_edited() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    let letters = die(&api, &mut member, &["m-1"]).await;
    let request = v1::ResendDeadLettersRequest {
        ids: vec![letters[0].id.clone()],
        edited: Some(v1::Message {
            headers: [("mended".to_owned(), "yes".to_owned())].into(),
            payload: json(r#"{"order":8}"#),
            ..Default::default()
        }),
        ..Default::default()
    };
    let resent = api.dead_letters().resend_dead_letters(request).await;
    let result = resent.unwrap().into_inner().results.remove(0);
    assert!(result.done && !result.new_id.is_empty(), "{result:?}");
    let edited = member.delivery().await.message.unwrap();
    assert_eq!(
        (&edited.id, edited.topic.as_str()),
        (&result.new_id, "orders")
    );
    assert_eq!(edited.headers["mended"], "yes");
    assert_eq!(&edited.payload.unwrap().data[..], br#"{"order":8}"#);
}

#[tokio::test]
async fn many_are_ended_by_a_filter() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    let letters = die(&api, &mut member, &["m-1", "m-2", "m-3"]).await;
    let filter = Some(v1::DeadLetterFilter {
        group: "billing".to_owned(),
        ..Default::default()
    });
    let request = v1::DiscardDeadLettersRequest {
        filter: filter.clone(),
        limit: 2,
        reason: "too late to matter".to_owned(),
        ..Default::default()
    };
    let mut client = api.dead_letters();
    let two = client.discard_dead_letters(request.clone()).await.unwrap();
    assert_eq!(two.into_inner().results.len(), 2);
    let rest = client.discard_dead_letters(request).await.unwrap();
    assert_eq!(rest.into_inner().results.len(), 1);
    assert!(list(&api, v1::DeadLetterState::Open).await.is_empty());
    assert_eq!(list(&api, v1::DeadLetterState::Discarded).await.len(), 3);

    // What cannot be meant is refused.
    let ids = vec![letters[0].id.clone()];
    let both = v1::ResendDeadLettersRequest {
        ids: ids.clone(),
        filter,
        ..Default::default()
    };
    let neither = v1::ResendDeadLettersRequest::default();
    let two_edited = v1::ResendDeadLettersRequest {
        ids: vec!["a".to_owned(), "b".to_owned()],
        edited: Some(message("m-1")),
        ..Default::default()
    };
    let without_body = v1::ResendDeadLettersRequest {
        ids: ids.clone(),
        edited: Some(v1::Message::default()),
        ..Default::default()
    };
    for (request, expected) in [
        (both, "InvalidArgument AMBIGUOUS filter"),
        (neither, "InvalidArgument COUNT_INVALID ids"),
        (two_edited, "InvalidArgument COUNT_INVALID ids"),
        (without_body, "InvalidArgument MISSING edited.payload"),
    ] {
        assert_eq!(brief(client.resend_dead_letters(request).await), expected);
    }
    let request = v1::DiscardDeadLettersRequest {
        ids,
        ..Default::default()
    };
    let without_reason = client.discard_dead_letters(request).await;
    assert_eq!(
        brief(without_reason),
        "InvalidArgument REASON_MISSING reason"
    );
}
