//! Whom a connection trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

use crate::config::Authorities;

/// Sets up TLS without touching the process-wide default; an account without `https` trusts nobody, one with
/// authorities of `own` trusts these beside the system's.
///
/// # Errors
///
/// A sentence that says what is missing, or wrong with the file of certificates.
pub(crate) fn tls(https: bool, own: Option<&Authorities>) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let failed = |error| format!("TLS cannot be set up: {error}; are root certificates installed?");
    let config = config.map_err(failed)?;
    if !https {
        return Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    if let Some(own) = own {
        let wrong = |error: &dyn std::fmt::Display| format!("ca_file {} cannot be used: {error}", own.file.display());
        let roots: Vec<_> =
            CertificateDer::pem_slice_iter(&own.pem).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(|error| wrong(&error))?;
        return Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth());
    }
    Ok(config.with_platform_verifier().map_err(failed)?.with_no_client_auth())
}

/// Says what helps against a certificate that is not trusted; nothing where that is not the trouble.
pub(in crate::provider) fn remedy(cause: &str) -> &'static str {
    let unknown = cause.contains("UnknownIssuer") || cause.contains("invalid peer certificate");
    if unknown { "; if its certificate comes from an authority of your own, name that in ca_file" } else { "" }
}
