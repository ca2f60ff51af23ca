//! The page's files, from within the binary.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::gateway::http::refusal::Refusal;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Everything from this port, nothing inline, nothing framed; styles that scripts set one by one are no exception to it.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// A file with its tag, which changes when it does.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    tag: String,
}

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(Asset::new($name, $kind, include_str!(concat!("assets/", $name)))),*]
    };
}

static ASSETS: LazyLock<[Asset; 19]> = LazyLock::new(|| {
    assets![
        "index.html": HTML,
        "style.css": CSS,
        "vendor/uPlot.min.css": CSS,
        "icon.svg": SVG,
        "theme.js": SCRIPT,
        "main.js": SCRIPT,
        "api.js": SCRIPT,
        "dom.js": SCRIPT,
        "format.js": SCRIPT,
        "status.js": SCRIPT,
        "overview.js": SCRIPT,
        "model.js": SCRIPT,
        "routes.js": SCRIPT,
        "tenants.js": SCRIPT,
        "decisions.js": SCRIPT,
        "operate.js": SCRIPT,
        "charts.js": SCRIPT,
        "vendor/uPlot.iife.min.js": SCRIPT,
        "vendor/uPlot.LICENSE": TEXT,
    ]
});

impl Asset {
    fn new(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        let tag = format!("\"{}\"", &URL_SAFE_NO_PAD.encode(Sha256::digest(content))[..16]);
        Self { name, kind, content, tag }
    }

    fn serve(&self, request: &HttpRequest) -> HttpResponse {
        let tags = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let known = tags.is_some_and(|tags| tags.contains(&self.tag));
        let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((ETAG, self.tag.as_str()))
            // Kept, and asked for again each time: a new version is seen at once.
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header(("content-security-policy", POLICY))
            .insert_header(("x-content-type-options", "nosniff"))
            .insert_header(("referrer-policy", "no-referrer"));
        if known {
            return response.finish();
        }
        response.content_type(self.kind).body(self.content)
    }
}

pub(in crate::gateway) async fn page(request: HttpRequest) -> HttpResponse {
    ASSETS[0].serve(&request)
}

pub(in crate::gateway) async fn asset(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Refusal> {
    let asset = ASSETS.iter().find(|asset| asset.name == *name);
    let asset = asset.ok_or_else(|| Refusal::unknown_path(&request, "GET / is the dashboard"))?;
    Ok(asset.serve(&request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        assert_eq!(ASSETS[0].name, "index.html");
        for asset in ASSETS.iter().filter(|asset| !asset.name.starts_with("vendor/")) {
            let content = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!content.contains("://"), "{} names another place", asset.name);
            assert!(!content.contains("innerHTML"), "{}: text is set as text", asset.name);
            let quoted = content.split('"').chain(content.split('\''));
            for name in quoted.filter_map(|text| text.strip_prefix("./").or_else(|| text.strip_prefix("/assets/"))) {
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{} asks for {name}", asset.name);
            }
        }
        assert!(!ASSETS[0].content.contains("<script>") && !ASSETS[0].content.contains("style="), "nothing inline");
    }
}
