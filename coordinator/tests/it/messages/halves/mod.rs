//! Half messages: checks and verdicts, with a producer that answers as the test says.

pub(super) mod checking;
pub(super) mod deciding;
mod scene;
