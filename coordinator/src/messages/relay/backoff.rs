//! How long to wait before a message is published again.

use amends_core::time::Millis;

use crate::messages::options::MessageOptions;

/// Doubles with each failed try up to the longest wait; between half and all of that, by chance,
/// so that many do not come back at the same moment.
pub(super) fn wait_after(tries: u32, options: &MessageOptions) -> Millis {
    let doublings = tries.saturating_sub(1).min(32);
    let full = options
        .publish_backoff
        .0
        .saturating_mul(1 << doublings)
        .min(options.max_publish_backoff.0)
        .max(1);
    Millis(rand::random_range(full.div_ceil(2)..=full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_vary() {
        let options = MessageOptions {
            publish_backoff: Millis(100),
            max_publish_backoff: Millis(1_000),
            ..MessageOptions::default()
        };
        for (tries, range) in [
            (0, 50..=100),
            (1, 50..=100),
            (2, 100..=200),
            (4, 400..=800),
            (5, 500..=1_000),
            (u32::MAX, 500..=1_000),
        ] {
            let wait = wait_after(tries, &options).0;
            assert!(range.contains(&wait), "{tries}: {wait}");
        }
    }
}
