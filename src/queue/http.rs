//! Handing a message over HTTP, to this app's own flow and step routes.
//!
//! The request proves itself by the lease token, which only the holder of the live lease knows; the
//! handler behind the route checks it before any code runs. The answer names the message, which says
//! that it is that handler's: whatever else answers at this address, be it with 200, has run nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use super::delivery::Handled;
use super::listening;
use crate::domain::message::{Delivery, QueueKind};

/// The header that carries the lease token.
pub const LEASE_HEADER: &str = "x-hookline-lease";
/// The header by which the handler's answer names the message.
const HANDLED_HEADER: &str = "x-hookline-handled";

/// A handler answers with a number or an error; anything longer is not ours.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// An app that takes longer to say that it is there is asked again.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// How much of an error is kept with the message.
const ERROR_CHARS_MAX: usize = 1000;

/// Where the app answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppAddress {
    /// Here.
    At(String),
    /// Nobody has said it: wherever this process listens and the SDK's flow route answers.
    OfThisProcess,
}

/// Connections are kept alive; a delivery has no time limit, because a step has none.
pub struct HttpDelivery {
    client: Client<HttpConnector, Full<Bytes>>,
    app: AppAddress,
    /// Where the app answered last.
    found: RefCell<String>,
}

/// How long a connection is kept for the next delivery: less than the five seconds after which
/// Node.js closes it, which a request in that moment would take for a failed handler.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// After how long without a byte the other end is asked whether it is there, and how often again.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_RETRIES: u32 = 4;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "timeoutSeconds")]
    timeout_seconds: Option<f64>,
}

impl HttpDelivery {
    /// Delivers to this app.
    pub fn new(app: AppAddress) -> Self {
        let mut connector = HttpConnector::new();
        // A step may take days without a byte. A peer that has vanished is noticed, and what lies
        // between keeps the connection open.
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .build(connector);
        Self { client, app, found: RefCell::default() }
    }

    /// Whether the app answers yet; until it does, nothing is claimed.
    pub async fn is_ready(&self) -> bool {
        // What a server answers to a `HEAD` is enough where somebody says that it is the app. Other
        // servers of the process may answer everything, and would take messages for their own.
        let (candidates, method) = match &self.app {
            AppAddress::At(base_url) => (vec![base_url.clone()], Method::HEAD),
            AppAddress::OfThisProcess => (listening::urls(), Method::GET),
        };
        for base_url in candidates {
            let answers = self.answers(&base_url, &method);
            // Whatever else this comes to, the app is asked again; that it stays silent is told then.
            if timeout(READY_WITHIN, answers).await.unwrap_or(false) {
                *self.found.borrow_mut() = base_url;
                return true;
            }
        }
        false
    }

    async fn answers(&self, base_url: &str, method: &Method) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}?__health", url(base_url, "flow")))
            .body(Full::default());
        let Ok(request) = request else { return false };
        let Ok(response) = self.client.request(request).await else { return false };
        if !response.status().is_success() || method == Method::HEAD {
            return response.status().is_success();
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.is_ok_and(|body| is_health_of_flow(&body.to_bytes()))
    }

    /// Hands one message over.
    pub async fn hand_over(&self, delivery: Delivery) -> Handled {
        let route = match QueueKind::of(&delivery.queue_name) {
            Some(QueueKind::Workflow) => "flow",
            Some(QueueKind::Step) => "step",
            None => return Handled::Failed { error: "the queue name has no route".into() },
        };
        let message_id = delivery.message_id.to_string();
        let mut request =
            Request::builder().method(Method::POST).uri(url(&self.found.borrow(), route));
        for (name, value) in own_headers(delivery.headers.as_deref()) {
            request = request.header(name, value);
        }
        let request = request
            .header("content-type", "application/json")
            .header("x-vqs-queue-name", delivery.queue_name)
            .header("x-vqs-message-id", &message_id)
            .header("x-vqs-message-attempt", delivery.attempt)
            .header(LEASE_HEADER, delivery.lease_token.expose())
            .body(Full::new(Bytes::from(delivery.body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Handled::Failed { error: error.to_string() },
        };
        match self.client.request(request).await {
            Ok(response) => {
                let status = response.status();
                let named = response.headers().get(HANDLED_HEADER);
                let is_handlers =
                    named.is_some_and(|named| named.as_bytes() == message_id.as_bytes());
                match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
                    Ok(body) if is_handlers => read_answer(status, &body.to_bytes()),
                    Ok(body) => read_other(status, &body.to_bytes()),
                    Err(error) => Handled::Lost { error: format!("no whole answer: {error}") },
                }
            }
            Err(error) if error.is_connect() => {
                Handled::NotReached { error: format!("the app is not reached: {error}") }
            }
            Err(error) => Handled::Lost { error: format!("no answer: {error}") },
        }
    }
}

/// Where the routes lie that the SDK generates.
const ROUTES: &str = "/.well-known/workflow/v1/";

fn url(base_url: &str, route: &str) -> String {
    format!("{base_url}{ROUTES}{route}")
}

/// What the SDK answers of its flow route when it is asked for its health; it says more than this.
#[derive(Deserialize)]
struct Health {
    healthy: bool,
    endpoint: String,
}

fn is_health_of_flow(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Health { healthy, endpoint }| {
        // An app may put its base path before it.
        healthy && endpoint.contains(ROUTES)
    })
}

/// The headers that a caller gave to its message, but for those that belong to the delivery.
fn own_headers(json: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    // This package wrote them, so all can be read; a message is not worth losing for its headers.
    let headers: HashMap<String, String> =
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let parsed = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        let ours = name.as_str().starts_with("x-vqs-")
            || ["x-hookline-lease", "content-type", "content-length", "host", "transfer-encoding"]
                .contains(&name.as_str());
        (!ours).then_some((name, HeaderValue::try_from(value).ok()?))
    });
    parsed.collect()
}

/// What the handler's own answer means.
fn read_answer(status: StatusCode, body: &[u8]) -> Handled {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Handled::Unable { error: said(status, body) };
    }
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        return Handled::Refused { error: said(status, body) };
    }
    if !status.is_success() {
        return Handled::Failed { error: said(status, body) };
    }
    match serde_json::from_slice::<Answer>(body) {
        Ok(Answer { timeout_seconds: Some(seconds) }) if seconds >= 0.0 => {
            Handled::Again { seconds }
        }
        Ok(_) => Handled::Done,
        Err(_) => Handled::Failed { error: "the route answered something else than JSON".into() },
    }
}

/// Statuses of an app that is not there (yet), or of something before it.
const NOT_THERE: [u16; 6] = [401, 404, 405, 502, 503, 504];

/// What an answer means that is not the handler's: nothing ran. One that says that something is wrong
/// with the message or the route counts all the same, so that it is repeated ever more rarely, and is
/// seen in the end.
fn read_other(status: StatusCode, body: &[u8]) -> Handled {
    let error = said(status, body);
    match status.is_success() || NOT_THERE.contains(&status.as_u16()) {
        true => Handled::NotReached { error },
        false => Handled::Lost { error },
    }
}

fn said(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(ERROR_CHARS_MAX).collect();
    format!("HTTP {}: {text}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_the_contract_says() {
        let ok = |body: &str| read_answer(StatusCode::OK, body.as_bytes());
        assert_eq!(ok(r#"{"ok":true}"#), Handled::Done);
        assert_eq!(ok(r#"{"timeoutSeconds":0}"#), Handled::Again { seconds: 0.0 });
        assert_eq!(ok(r#"{"timeoutSeconds":null}"#), Handled::Done);
        assert!(matches!(ok("<html>"), Handled::Failed { .. }));
        let error = read_answer(StatusCode::INTERNAL_SERVER_ERROR, b"\"boom\"");
        assert_eq!(error, Handled::Failed { error: "HTTP 500: \"boom\"".into() });
        let unable = read_answer(StatusCode::SERVICE_UNAVAILABLE, b"\"no key\"");
        assert_eq!(unable, Handled::Unable { error: "HTTP 503: \"no key\"".into() });
        let refused = read_answer(StatusCode::UNPROCESSABLE_ENTITY, b"\"never\"");
        assert_eq!(refused, Handled::Refused { error: "HTTP 422: \"never\"".into() });
        let other = |status| read_other(status, b"");
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY] {
            assert!(matches!(other(status), Handled::NotReached { .. }), "{status}");
        }
        assert!(matches!(other(StatusCode::PAYLOAD_TOO_LARGE), Handled::Lost { .. }));
    }

    #[test]
    fn only_the_sdk_s_own_answer_is_the_health_of_its_route() {
        let of = |body: &str| is_health_of_flow(body.as_bytes());
        assert!(of(
            r#"{"healthy":true,"endpoint":"/desk/.well-known/workflow/v1/flow","specVersion":3}"#
        ));
        for other in [
            "",
            "ok",
            "<html></html>",
            "{}",
            r#"{"healthy":true}"#,
            r#"{"healthy":true,"endpoint":"/health"}"#,
            r#"{"healthy":false,"endpoint":"/.well-known/workflow/v1/flow"}"#,
        ] {
            assert!(!of(other), "{other}");
        }
    }

    #[test]
    fn a_caller_cannot_forge_the_headers_of_a_delivery() {
        let given =
            r#"{"traceparent":"00-1","X-Vqs-Message-Id":"m","x-hookline-lease":"l","a b":"c"}"#;
        let names: Vec<_> = own_headers(Some(given)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [HeaderName::from_static("traceparent")]);
        assert_eq!(own_headers(None), []);
    }
}
