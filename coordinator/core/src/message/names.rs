//! The names that messages carry, as types of their own.

use crate::id::text_id;

/// Longest topic, tag and group, in characters.
const MAX_NAME_CHARS: usize = 128;
/// Longest key and order key, in characters.
pub const MAX_KEY_CHARS: usize = 255;
/// Longest group, with the instance that a broadcasting group has a copy for.
const MAX_GROUP_CHARS: usize = 2 * MAX_NAME_CHARS + 1;

const NAME: &str = "A-Z, a-z, 0-9, '-', '_' and '.'";

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

text_id!(
    /// Id of a message: a `UUIDv7` text or the publisher's own id.
    MessageId, MAX_NAME_CHARS, "printable ASCII characters without blanks", |c| c.is_ascii_graphic()
);
text_id!(
    /// A topic.
    Topic, MAX_NAME_CHARS, NAME, is_name
);
text_id!(
    /// A consumer group. A broadcasting group has one of these for each
    /// instance: `group@instance`.
    GroupName, MAX_GROUP_CHARS, "A-Z, a-z, 0-9, '-', '_', '.' and '@'", |c| is_name(c) || c == '@'
);
text_id!(
    /// A key by which messages are kept in order.
    OrderKey, MAX_KEY_CHARS, "characters that are no control characters", |c| !c.is_control()
);
text_id!(
    /// What a message is about, for example an order id. May be empty.
    MessageKey, MAX_KEY_CHARS, "characters that are no control characters", |c| !c.is_control(), or empty
);
text_id!(
    /// The kind of a message within its topic. May be empty.
    Tag, MAX_NAME_CHARS, NAME, is_name, or empty
);
