//! What is done when the code of a live saga does not come to its end.

use amends_proto::v1::Failure;
use tokio::runtime::Handle;

use super::api::Api;
use super::heart::Heart;

/// Turns the saga back when it is dropped before it is disarmed. Best effort: where the
/// word does not get through, the heartbeats have stopped, and the lease does it.
pub(super) struct Guard {
    api: Option<Api>,
    /// Stops beating with the guard.
    _heart: Heart,
}

impl Guard {
    pub(super) fn new(api: Api, heart: Heart) -> Self {
        Self {
            api: Some(api),
            _heart: heart,
        }
    }

    /// The saga has ended, or is being undone.
    pub(super) fn disarm(mut self) {
        self.api = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(api), Ok(runtime)) = (self.api.take(), Handle::try_current()) else {
            return;
        };
        let (code, message) = match std::thread::panicking() {
            true => ("CALLER_PANICKED", "the caller's code panicked"),
            false => ("CALLER_DROPPED", "the caller's future was dropped"),
        };
        let failure = Failure {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        runtime.spawn(async move {
            if let Err(error) = api.fail(String::new(), failure).await {
                tracing::debug!(gid = api.gid, %error, "the lease will turn this live saga back");
            }
        });
    }
}
