//! Records of a replay: every request, and the scheduler while it ran.

use serde::Serialize;

use super::super::format::finite;

/// A request of a replay, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Tenant that asked.
    pub tenant: String,
    /// When it was sent, in seconds since the replay began.
    pub arrived: f64,
    /// How long it queued, in milliseconds; 0 when it was refused at once.
    pub queue_ms: f64,
    /// How long the provider took, in milliseconds; 0 when it was never dispatched.
    pub upstream_ms: f64,
    /// From sending to the end of the answer, in milliseconds.
    pub total_ms: f64,
    /// How often it was dispatched; 0 when never.
    pub attempts: u32,
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Why it failed: `x-fairflow-reason`, or the kind of error when there was no answer.
    pub reason: Option<String>,
    /// Predicted work, in the units of its task type, whether it was served or not.
    pub cost: f64,
}

impl Record {
    /// Whether it got what it asked for (status 2xx).
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it was turned away with an honest refusal (429, 503 or 504), to come back later.
    pub fn refused(&self) -> bool {
        matches!(self.status, 429 | 503 | 504)
    }

    /// When it left the queue, in seconds since the replay began.
    pub fn left_queue(&self) -> f64 {
        finite(self.arrived) + finite(self.queue_ms) / 1000.0
    }

    /// When its answer ended, in seconds since the replay began.
    pub fn ended(&self) -> f64 {
        finite(self.arrived) + finite(self.total_ms) / 1000.0
    }
}

/// The scheduler's state of one model at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the replay began.
    pub t: f64,
    /// The model.
    pub model: String,
    /// How many requests the controller allows in flight.
    pub window: f64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests in the queue.
    pub queued: u32,
}

/// A replay that has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Title of the report.
    pub title: String,
    /// The command line that made it.
    pub command: String,
    /// The rules that made arrivals of the trace, as sentences.
    pub note: String,
    /// How many seconds of the trace passed in one second of the replay.
    pub speed: f64,
    /// Records, one for each request, in any order.
    pub records: Vec<Record>,
    /// In order of time for each model.
    pub samples: Vec<Sample>,
}

impl Replay {
    /// From the beginning to the end of the last answer, in seconds; 0 without records.
    pub fn span(&self) -> f64 {
        self.records.iter().map(Record::ended).fold(0.0, f64::max)
    }
}
