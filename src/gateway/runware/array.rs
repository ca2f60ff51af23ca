//! Arrays of tasks, as a request or a frame holds one.

use serde_json::Value;

use crate::wire::Malformed;

/// Most tasks in one array: each takes a place in the queue.
const MOST_TASKS: usize = 64;

/// Reads an array of tasks.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Value>, Malformed> {
    let invalid = |problem: String| Malformed::new("body", problem);
    match serde_json::from_slice(body) {
        Ok(Value::Array(tasks)) if !tasks.is_empty() && tasks.len() <= MOST_TASKS => Ok(tasks),
        Ok(Value::Array(tasks)) => Err(invalid(format!("must hold 1 to {MOST_TASKS} tasks, not {}", tasks.len()))),
        Ok(_) => Err(invalid("must be an array of tasks".into())),
        Err(error) => Err(invalid(format!("must be a JSON array of tasks: {error}"))),
    }
}
