//! A TCC under a parent: how the two coordinate through the engine. What is
//! said when is decided by the machine; here it is carried.

use std::sync::Weak;
use std::time::Duration;

use amends_core::answer::{Answer, Failure};
use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::tcc::{self, Parent, Standing, Tell, Verdict};

use crate::clock::runtime_now;

use super::error::EngineError;
use super::handle::{Engine, Inner};
use super::live::View;
use super::transaction::Command;

/// How long a parent waits for a child to end as it was told, before it asks again.
const TELL_PATIENCE: Duration = Duration::from_secs(10);

/// Puts a decision to a child; what it answers is the answer of the branch.
pub(super) async fn tell(engine: &Weak<Inner>, parent: Parent, tell: &Tell) -> Answer {
    let Some(engine) = Engine::upgrade(engine) else {
        return Answer::Unknown(error_as_failure(&EngineError::Stopping));
    };
    match put(&engine, parent, tell).await {
        Ok(answer) => answer,
        Err(error) => Answer::Unknown(error_as_failure(&error)),
    }
}

async fn put(engine: &Engine, parent: Parent, tell: &Tell) -> Result<Answer, EngineError> {
    let Tell { child, verdict, .. } = tell;
    let known = match engine.get(child).await {
        // It must not begin later.
        Err(EngineError::NotFound(_)) if *verdict == Verdict::Cancel => {
            engine.begin_cancelled(child.clone(), parent.clone()).await
        }
        known => known,
    };
    let is_child = match &known {
        Ok(view) => view
            .transaction
            .tcc()
            .is_some_and(|tcc| tcc.parent() == Some(&parent)),
        Err(EngineError::NotFound(_)) => false,
        Err(_) => return known.map(|_| Answer::InProgress { retry_after: None }),
    };
    if !is_child {
        return Ok(match verdict {
            // The id is taken by something else, so nothing of this branch was ever held.
            Verdict::Cancel => Answer::Succeeded(Payload::null()),
            Verdict::Confirm => {
                let message = format!("there is no TCC {child} under this branch");
                Answer::Refused(Failure::new("NESTED_NOT_FOUND", message))
            }
        });
    }
    let standing = match verdict {
        Verdict::Confirm => Standing::Confirm,
        Verdict::Cancel => Standing::Cancel,
    };
    let said = Command::Tcc(tcc::Command::ParentSaid(standing));
    match engine.command(child, said).await {
        // Its answer says what became of it.
        Ok(_) | Err(EngineError::Rejected(_)) => {}
        Err(error) => return Err(error),
    }
    let answer = |view: &View| {
        let tcc = view.transaction.tcc();
        tcc.map(|tcc| tcc.answer_to_parent(*verdict, view.durable))
    };
    let until = runtime_now() + TELL_PATIENCE;
    let is_known = |view: &View| !matches!(answer(view), Some(Answer::InProgress { .. }));
    let view = engine.wait_until(child, until, is_known).await?;
    Ok(answer(&view).unwrap_or(Answer::InProgress { retry_after: None }))
}

/// Tells the parent that the child is prepared, and asks what to do.
pub(super) async fn ask(engine: &Weak<Inner>, child: &Gid, parent: &Parent) -> Standing {
    let Some(engine) = Engine::upgrade(engine) else {
        return Standing::Unreachable;
    };
    let vote = Command::Tcc(tcc::Command::Vote {
        branch: parent.branch.to_string(),
        child: child.clone(),
    });
    let parents = match engine.command(&parent.gid, vote).await {
        // Too late for a vote, not for an answer.
        Err(EngineError::Rejected(_)) => engine.get(&parent.gid).await,
        voted => voted,
    };
    match parents {
        Ok(view) => match view.transaction.tcc() {
            Some(tcc) => tcc.standing(parent.branch.as_str(), child, view.durable),
            None => Standing::Cancel,
        },
        // The branch was registered there before the child began.
        Err(EngineError::NotFound(_)) => Standing::Cancel,
        Err(error) => {
            tracing::debug!(%child, parent = %parent.gid, %error, "the parent could not be asked");
            Standing::Unreachable
        }
    }
}

fn error_as_failure(error: &EngineError) -> Failure {
    Failure::new(error.code(), error.to_string())
}
