//! `/.well-known/jwks.json`: the public keys that tokens are verified by, cached for an hour.

use std::{net::SocketAddr, sync::Arc};

use carnet_core::Digest;
use hyper::{Method, StatusCode, header};

use super::server::{Answer, HttpError, Request, run_server};

/// Where the keys are asked for.
const PATH: &str = "/.well-known/jwks.json";

/// Serves a key set until the process is told to stop.
///
/// - `keys`: returns its text, asked for anew each time, so that a rotation needs no restart; `None` where it cannot be had.
/// - `on_listen`: told the address once connections are taken.
///
/// # Errors
///
/// [`HttpError`].
pub fn serve_key_set(
    address: SocketAddr,
    keys: impl Fn() -> Option<String> + Send + Sync + 'static,
    on_listen: impl FnOnce(SocketAddr),
) -> Result<(), HttpError> {
    let answer = move |request: Request| answer(&request, &keys);
    run_server(address, Arc::new(answer), on_listen)
}

fn answer(request: &Request, keys: &dyn Fn() -> Option<String>) -> Answer {
    if request.path != PATH {
        return Answer::text(StatusCode::NOT_FOUND, "the keys are at /.well-known/jwks.json");
    }
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let mut answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD");
        answer.headers.push((header::ALLOW, "GET, HEAD".to_owned()));
        return answer;
    }
    let Some(text) = keys() else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Answer::text(status, "the key set in force cannot be read: carnet auth jwks");
    };
    let tag = format!("\"{}\"", Digest::of(text.as_bytes()));
    let caching =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "public, max-age=3600".to_owned())];
    let known = request.headers.get_all(header::IF_NONE_MATCH).iter();
    let is_known = known.filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|it| it == "*" || it.trim_start_matches("W/") == tag)
    });
    if is_known {
        let headers = caching.into();
        return Answer { status: StatusCode::NOT_MODIFIED, headers, body: vec![] };
    }
    let mut headers = vec![(header::CONTENT_TYPE, "application/json".to_owned())];
    headers.extend(caching);
    Answer { status: StatusCode::OK, headers, body: text.into_bytes() }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, body::Bytes};

    use super::*;

    fn ask(method: Method, path: &str, if_none_match: &str, keys: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if !if_none_match.is_empty() {
            headers.insert(header::IF_NONE_MATCH, if_none_match.parse().unwrap());
        }
        let request = Request { method, path: path.to_owned(), headers, body: Bytes::new() };
        answer(&request, &|| keys.map(str::to_owned))
    }

    #[test]
    fn keys_are_given_with_their_tag_and_not_again_to_who_has_them() {
        let first = ask(Method::GET, PATH, "", Some("{}"));
        assert_eq!((first.status, first.body.as_slice()), (StatusCode::OK, &b"{}"[..]));
        let tag = &first.headers.iter().find(|(name, _)| name == header::ETAG).unwrap().1;
        for sent in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = ask(Method::GET, PATH, &sent, Some("{}"));
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{sent}");
        }
        assert_eq!(ask(Method::GET, PATH, tag, Some("{ }")).status, StatusCode::OK);
    }

    #[test]
    fn what_is_not_asked_well_is_told() {
        assert_eq!(ask(Method::GET, "/", "", Some("{}")).status, StatusCode::NOT_FOUND);
        assert_eq!(ask(Method::POST, PATH, "", Some("{}")).status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(Method::GET, PATH, "", None).status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
