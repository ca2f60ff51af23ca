//! Queries of requests.

use actix_web::HttpRequest;
use actix_web::error::QueryPayloadError;
use actix_web::web::Query;
use serde::de::DeserializeOwned;

use crate::wire::Malformed;

/// Reads the query of a request.
///
/// # Errors
///
/// [`Malformed`], with what is wrong in words.
pub(in crate::gateway) fn read<Q: DeserializeOwned>(request: &HttpRequest) -> Result<Q, Malformed> {
    Query::from_query(request.query_string()).map(Query::into_inner).map_err(|error| {
        let problem = match error {
            QueryPayloadError::Deserialize(problem) => problem.to_string(),
            other => other.to_string(),
        };
        Malformed::new("query", format!("cannot be read: {problem}"))
    })
}
