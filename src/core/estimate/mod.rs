//! Estimators: small machines that turn past observations into a number, each in a file of its own.

mod drain;
mod ewma;
mod fading;
mod follower;
mod percentile;
mod quantiles;
mod rate;
mod service;

pub use self::drain::DrainRate;
pub use self::ewma::Ewma;
pub use self::fading::FadingSum;
pub use self::follower::Follower;
pub use self::percentile::nearest_rank;
pub use self::quantiles::Quantiles;
pub use self::rate::Rate;
pub use self::service::ServicePace;

/// A forecast in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// The median: the wait is as likely to be longer as shorter.
    pub p50: f64,
    /// The ninetieth percentile: the wait is longer once in ten.
    pub p90: f64,
}
