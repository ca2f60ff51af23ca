//! How one request is scheduled: the same for typed tasks, calls, messages and middleware.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::quote::Quote;
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::engine::view::story::Witness;
use crate::task::Task;

/// A plan for one request: its model, who pays, how urgent it is, and how long it may take.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fairflow::{Class, Config, Fairflow, Plan};
///
/// let fairflow = Fairflow::builder(Config::demo()).start().await?;
/// let nightly = Plan::new("sim-text").tenant("acme").class(Class::Batch).max_attempts(2);
/// let reply = fairflow.call(nightly.clone(), |_| async { Ok::<_, std::io::Error>("done") }).await?;
/// assert_eq!(reply, "done");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a plan does nothing by itself"]
pub struct Plan {
    pub(crate) model: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) class: Option<Class>,
    pub(crate) quote: Quote,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    /// Attempts in all; the model allows no more than its own number.
    pub(crate) max_attempts: u32,
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

/// The setters of a [`Plan`], for the plan itself and for whatever holds one in the field `$plan`.
macro_rules! setters {
    ($($plan:ident)?) => {
        /// Names the tenant that pays; default `default`.
        pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
            self.$($plan.)?tenant = Some(tenant.into());
            self
        }

        /// Sets how urgent the request is; never more than the tenant's tier allows.
        pub fn class(mut self, class: Class) -> Self {
            self.$($plan.)?class = Some(class);
            self
        }

        /// Sets the predicted cost, in units that mean the same for all requests of the model; default what the task
        /// says, or 1.
        pub fn cost(mut self, units: u64) -> Self {
            self.$($plan.)?quote.units = Cost::new(units);
            self
        }

        /// Limits the wait for a slot, over all attempts; never longer than the model's `max_wait`, its default.
        pub fn max_wait(mut self, wait: Duration) -> Self {
            self.$($plan.)?max_wait = Some(wait);
            self
        }

        /// Limits the attempts, the first included, to fewer than the model allows: 1 where the work must not be done
        /// twice.
        pub fn max_attempts(mut self, attempts: u32) -> Self {
            self.$($plan.)?max_attempts = attempts.max(1);
            self
        }

        /// Sets the moment by which the answer must be there, waiting and attempts together; default no such moment.
        ///
        /// A request that cannot make it is refused at once; one that does not make it ends with
        /// [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded), its attempt abandoned. The provider is not blamed.
        pub fn deadline(mut self, deadline: Instant) -> Self {
            self.$($plan.)?deadline = Some(deadline);
            self
        }

        /// Names a witness, which is told how the request went once it has ended in whatever way.
        pub fn witness(mut self, witness: Arc<dyn crate::witness::Witness>) -> Self {
            self.$($plan.)?witness = Some(witness);
            self
        }
    };
}
pub(crate) use setters;

impl Plan {
    /// Plans a request for `model`, of cost 1, for the tenant `default`.
    pub fn new(model: impl Into<Arc<str>>) -> Self {
        Self {
            model: model.into(),
            tenant: None,
            class: None,
            quote: Quote::default(),
            max_wait: None,
            deadline: None,
            max_attempts: u32::MAX,
            witness: None,
        }
    }

    /// Plans a task for its own model, at its own cost.
    pub(crate) fn of<T: Task>(task: &T) -> Self {
        let quote = Quote { units: task.cost(), tokens: task.tokens(), streams: false };
        Self { quote, ..Self::new(task.model()) }
    }

    setters!();
}

impl From<&str> for Plan {
    fn from(model: &str) -> Self {
        Self::new(model)
    }
}

impl From<String> for Plan {
    fn from(model: String) -> Self {
        Self::new(model)
    }
}

impl From<Arc<str>> for Plan {
    fn from(model: Arc<str>) -> Self {
        Self::new(model)
    }
}
