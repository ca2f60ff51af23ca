//! Framing of answers of unknown length for callers that know no chunks.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version};
use actix_web::middleware::Next;

/// Ends a streamed answer to an HTTP/1.0 request with its connection: chunks came with HTTP/1.1, and their sizes would be
/// read as a part of the answer.
pub(in crate::gateway) async fn plain(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let is_old = request.version() < Version::HTTP_11;
    let mut answer = next.call(request).await?;
    if is_old && answer.response().body().size() == BodySize::Stream {
        let head = answer.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}
