//! A participant of TCCs that keeps a consumer log, in the process of the test, so
//! that it outlives every coordinator.
//!
//! What a branch does follows from the step that its target names:
//! `hold` works; `refuse` refuses its try; `lost` holds, and its try proves nothing;
//! `away` is not reached by its try; `late` answers its try once the vault is open;
//! `strict` refuses confirm and cancel, and `down` leaves them without proof, until it is open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_server::ParticipantService;
use amends_proto::v1::{ExecuteRequest, ExecuteResponse, Failure, Payload, Phase, Succeeded};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// What one branch has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Calls that came, repeats included.
    pub(crate) tries: u32,
    pub(crate) confirms: u32,
    pub(crate) cancels: u32,
    /// Effects, each made at most once.
    held: bool,
    taken: bool,
    released: bool,
    is_refused: bool,
    /// A cancel came: a try that is late is refused.
    is_cancelled: bool,
    /// What a participant that keeps a log must never be asked for.
    wrong: Vec<String>,
}

impl Held {
    /// What is left of it.
    pub(crate) fn state(&self) -> &'static str {
        match (self.held, self.taken, self.released) {
            (false, false, false) if self.is_cancelled => "fenced off",
            (false, false, false) => "nothing",
            (true, false, false) => "held",
            (true, true, false) => "taken",
            (true, false, true) => "released",
            _ => "broken",
        }
    }
}

/// All branches. A cheap handle.
#[derive(Clone)]
pub(crate) struct Vault {
    branches: Arc<Mutex<BTreeMap<(String, String), Held>>>,
    calls: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<bool>>,
    /// Of so many calls one takes effect and then proves nothing; 0: none.
    lost_stride: usize,
}

impl Vault {
    pub(crate) fn new(lost_stride: usize) -> Self {
        Self {
            branches: Arc::default(),
            calls: Arc::new(watch::Sender::new(0)),
            open: Arc::new(watch::Sender::new(false)),
            lost_stride,
        }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(crate) fn branch(&self, gid: &str, branch: &str) -> Held {
        let branches = self.branches.lock().unwrap();
        let key = (gid.to_owned(), branch.to_owned());
        branches.get(&key).cloned().unwrap_or_default()
    }

    /// What is left of each of them.
    pub(crate) fn states(&self, gid: &str, branches: &[&str]) -> Vec<&'static str> {
        let states = branches.iter();
        states.map(|it| self.branch(gid, it).state()).collect()
    }

    /// Everything that came must have been lawful.
    pub(crate) fn audit(&self) {
        for (key, held) in self.branches.lock().unwrap().iter() {
            assert!(held.wrong.is_empty(), "{key:?}: {held:?}");
            assert_ne!(held.state(), "broken", "{key:?}: {held:?}");
        }
    }

    pub(crate) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// Waits until so many calls have been made in all.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| *calls >= times).await.unwrap();
    }

    /// As by a caller that tries a branch itself.
    pub(crate) fn try_by_caller(&self, gid: &str, branch: &str) -> bool {
        let call = ExecuteRequest {
            gid: gid.to_owned(),
            branch: branch.to_owned(),
            step: "hold".to_owned(),
            phase: Phase::Try.into(),
            ..ExecuteRequest::default()
        };
        matches!(self.take(&call), Ok(Answer::Succeeded(_)))
    }

    fn take(&self, call: &ExecuteRequest) -> Result<Answer, Status> {
        let is_open = *self.open.borrow();
        let mut branches = self.branches.lock().unwrap();
        let key = (call.gid.clone(), call.branch.clone());
        let held = branches.entry(key).or_default();
        let no_proof = || Status::internal("it proves nothing");
        let step = call.step.as_str();
        match call.phase() {
            Phase::Try => {
                held.tries += 1;
                if step == "away" {
                    return Err(Status::unavailable("nobody is there"));
                }
                held.is_refused |= step == "refuse";
                if held.is_refused || held.is_cancelled {
                    return Ok(refused("NO_FUNDS", "nothing is held"));
                }
                held.held = true;
                if step == "lost" {
                    return Err(no_proof());
                }
            }
            phase @ (Phase::Confirm | Phase::Cancel) => {
                let confirms = phase == Phase::Confirm;
                *(if confirms {
                    &mut held.confirms
                } else {
                    &mut held.cancels
                }) += 1;
                match step {
                    "strict" if !is_open => return Ok(refused("NO_ACCOUNT", "closed meanwhile")),
                    "down" if !is_open => return Err(no_proof()),
                    _ => held.settle(confirms),
                }
            }
            other => held.wrong.push(format!("called for {other:?}")),
        }
        let output = Payload {
            content_type: String::new(),
            data: format!("{{\"held\":\"{}\"}}", call.branch).into(),
        };
        Ok(Answer::Succeeded(Succeeded {
            output: Some(output),
        }))
    }
}

impl Held {
    fn settle(&mut self, confirms: bool) {
        match (confirms, self.held) {
            (true, false) => self.wrong.push("confirmed without being held".to_owned()),
            (true, true) if self.is_cancelled => {
                self.wrong.push("confirmed after its cancel".to_owned());
            }
            (true, true) => self.taken = true,
            (false, _) if self.taken => self.wrong.push("cancelled after its confirm".to_owned()),
            (false, held) => {
                self.is_cancelled = true;
                self.released = held;
            }
        }
    }
}

fn refused(code: &str, message: &str) -> Answer {
    Answer::Refused(Failure {
        code: code.to_owned(),
        message: message.to_owned(),
    })
}

#[tonic::async_trait]
impl ParticipantService for Vault {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        let call = request.into_inner();
        let answer = self.take(&call);
        let mut number = 0;
        self.calls.send_modify(|calls| {
            *calls += 1;
            number = *calls;
        });
        if call.step == "late" && call.phase() == Phase::Try {
            // The sender lives as long as this service.
            let _ = self.open.subscribe().wait_for(|open| *open).await;
        }
        if self.lost_stride > 0 && number % self.lost_stride == 0 {
            return Err(Status::internal("the answer is lost"));
        }
        Ok(Response::new(ExecuteResponse {
            answer: Some(answer?),
        }))
    }
}
