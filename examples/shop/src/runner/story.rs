//! How the runner talks: short, aligned lines on standard output; colours
//! and symbols' colours only where a person is looking.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use amends::proto::{Step, StepState, Transaction};

const LABEL_WIDTH: usize = 11;
const STEP_WIDTH: usize = 16;
/// Of the summary's first column.
const TITLE_WIDTH: usize = 58;

/// Writes the story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    coloured: bool,
}

/// What colours mean here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Quiet,
    Good,
    Bad,
    Undone,
}

impl Story {
    /// In colour on a terminal, unless `NO_COLOR` is set.
    pub(super) fn new() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            coloured: std::io::stdout().is_terminal() && !no_color,
        }
    }

    /// One line as it is. A reader that went away does not stop the shop.
    pub(super) fn line(self, text: impl Display) {
        writeln!(std::io::stdout(), "{text}").ok();
    }

    /// A scenario begins.
    pub(super) fn heading(self, number: usize, title: &str) {
        self.line("");
        self.line(format!("{number}  {}", self.paint(Tone::Strong, title)));
    }

    /// A line with a label.
    pub(super) fn tell(self, label: &str, text: impl Display) {
        self.line(format!("   {}{text}", self.label(label)));
    }

    /// A line with a label and a tone.
    pub(super) fn tell_as(self, tone: Tone, label: &str, text: impl Display) {
        self.tell(label, self.paint(tone, text));
    }

    /// What each service did for a transaction.
    pub(super) fn steps(self, transaction: &Transaction) {
        for step in &transaction.steps {
            let service = step.target.split('/').next().unwrap_or_default();
            let (symbol, tone, text) = told(step);
            let name = format!("{:STEP_WIDTH$}", step.name);
            let text = format!("{symbol} {text}");
            self.tell(service, format!("{name}{}", self.paint(tone, text)));
        }
    }

    /// A row of the summary.
    pub(super) fn summary(self, number: usize, title: &str, good: bool, seconds: f64) {
        let (tone, word) = if good {
            (Tone::Good, "as it should")
        } else {
            (Tone::Bad, "FAILED")
        };
        let word = self.paint(tone, format!("{word:<12}"));
        self.line(format!(
            "{number:>2}  {title:TITLE_WIDTH$}  {word}  {seconds:>6.2} s"
        ));
    }

    /// The text in a tone, where a person is looking.
    pub(super) fn paint(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Plain => return text.to_string(),
            Tone::Strong => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Undone => "33",
        };
        if self.coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    fn label(self, label: &str) -> String {
        self.paint(Tone::Quiet, format!("{label:LABEL_WIDTH$}"))
    }
}

/// A step in a few words.
fn told(step: &Step) -> (char, Tone, String) {
    let failure = step.last_failure.as_ref();
    let failure = failure.map(|failure| format!("{}: {}", failure.code, failure.message));
    let failure = failure.unwrap_or_default();
    match step.state() {
        // The number of calls is not asked for: one that left no trace may be missing.
        StepState::Succeeded if step.attempts > 1 || !failure.is_empty() => {
            let text = "done, after a call without an answer";
            ('✓', Tone::Good, text.to_owned())
        }
        StepState::Succeeded => ('✓', Tone::Good, "done".to_owned()),
        StepState::Refused => ('✗', Tone::Bad, format!("refused  {failure}")),
        StepState::Confirmed => ('✓', Tone::Good, "confirmed".to_owned()),
        StepState::Cancelled => ('↺', Tone::Undone, "cancelled".to_owned()),
        StepState::Undone => ('↺', Tone::Undone, "undone".to_owned()),
        StepState::Pending | StepState::Skipped => ('·', Tone::Quiet, "not called".to_owned()),
        StepState::Stuck => ('!', Tone::Bad, format!("stuck  {}", step.stuck_reason)),
        other => (
            '…',
            Tone::Plain,
            other
                .as_str_name()
                .trim_start_matches("STEP_STATE_")
                .to_lowercase(),
        ),
    }
}
