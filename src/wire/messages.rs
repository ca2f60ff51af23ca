//! The messages of a conversation, as both dialects write them.

use serde_json::Value;

use super::malformed::Malformed;
use crate::task::Message;

/// Reads the messages of a conversation.
pub(super) fn parse_messages(messages: Option<&Value>) -> Result<Vec<Message>, Malformed> {
    let items = messages.and_then(Value::as_array).filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| Malformed::new("messages", "must be a non-empty array of messages"))?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let role = item.get("role").and_then(Value::as_str);
            let role = role.ok_or_else(|| Malformed::new(format!("messages[{index}].role"), "must be a string"))?;
            Ok(Message { role: role.to_owned(), content: item.get("content").cloned().unwrap_or(Value::Null) })
        })
        .collect()
}
