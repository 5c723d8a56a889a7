//! Hands messages over HTTP to this app's own flow and step routes.
//!
//! A message is sent over a connection whose other end has proven to be the app ([`super::app`]). The
//! request carries a proof made with the lease token, but not the token. The handler behind the route
//! checks the proof before any code runs. The answer proves that it comes from that handler and belongs
//! to this request. An answer without this proof, even with status 200, means that nothing ran.

use std::collections::HashMap;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;

pub use super::address::AppAddress;
use super::app::{App, Connection};
use super::delivery::Handled;
use super::silence::Silence;
pub use super::tls::Trusted;
use crate::crypto::{DeliverySecret, ProvenDelivery};
use crate::domain::message::{Delivery, QueueKind};
use crate::store::Store;

/// The header with a request's proof.
const PROOF_HEADER: &str = "x-hookline-proof";
/// The header with an answer's proof.
pub(super) const HANDLED_HEADER: &str = "x-hookline-handled";
/// The prefixes of our headers.
const OWN_HEADERS: [&str; 2] = ["x-vqs-", "x-hookline-"];

/// The longest answer. A handler answers with a number or an error, so a longer answer is not ours.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The most characters of an error that are kept with the message.
const ERROR_CHARS_MAX: usize = 1000;

/// Delivers to the app, without a time limit, because a step has none.
pub struct HttpDelivery {
    app: App,
    store: Arc<dyn Store>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "timeoutSeconds")]
    timeout_seconds: Option<f64>,
}

impl HttpDelivery {
    /// Delivers the messages of this store to this app.
    pub fn new(app: AppAddress, store: Arc<dyn Store>) -> Self {
        Self { app: App::new(app, Arc::clone(&store)), store }
    }

    /// Checks that the app answers and proves to be the app. Until then, nothing is claimed. Returns its
    /// URL.
    ///
    /// # Errors
    /// The reason why it is not ready.
    pub(super) async fn is_ready(&self) -> Result<String, Silence> {
        self.app.find().await
    }

    /// Hands one message over.
    pub async fn hand_over(&self, delivery: Delivery) -> Handled {
        let route = match QueueKind::of(&delivery.queue_name) {
            Some(QueueKind::Workflow) => "flow",
            Some(QueueKind::Step) => "step",
            None => return Handled::Failed { error: "the queue name has no route".into() },
        };
        let secret = match self.store.delivery_secret() {
            Ok(secret) => secret,
            Err(error) => return Handled::NotReached { error: error.message },
        };
        let connection = match self.app.connection().await {
            Ok(connection) => connection,
            Err(silence) => return Handled::NotReached { error: silence.found },
        };
        let proof = secret.prove_request(&ProvenDelivery {
            message_id: delivery.message_id,
            queue_name: &delivery.queue_name,
            attempt: delivery.attempt,
            lease_token: &delivery.lease_token,
        });
        let request = match self.request(route, delivery, &proof) {
            Ok(request) => request,
            Err(error) => return Handled::Failed { error: error.to_string() },
        };
        match self.answer(connection, request).await {
            Ok((connection, answer)) => self.read(connection, answer, &secret, &proof).await,
            Err(handled) => handled,
        }
    }

    fn request(
        &self,
        route: &str,
        delivery: Delivery,
        proof: &str,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = self.app.request(route);
        for (name, value) in own_headers(delivery.headers.as_deref()) {
            request = request.header(name, value);
        }
        request
            .header("content-type", "application/json")
            .header("x-vqs-queue-name", delivery.queue_name)
            .header("x-vqs-message-id", delivery.message_id.to_string())
            .header("x-vqs-message-attempt", delivery.attempt)
            .header(PROOF_HEADER, proof)
            .body(Full::new(Bytes::from(delivery.body)))
    }

    /// Sends a request. If the other end had already closed the connection, sends it over another one.
    async fn answer(
        &self,
        mut connection: Connection,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Handled> {
        loop {
            let mut unsent = match connection.try_send_request(request).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(error) => error,
            };
            request = match unsent.take_message() {
                Some(request) => request,
                None => {
                    let error = format!("no answer: {}", unsent.into_error());
                    return Err(Handled::Lost { error });
                }
            };
            let fresh = self.app.fresh_connection().await;
            connection = fresh.map_err(|silence| Handled::NotReached { error: silence.found })?;
        }
    }

    async fn read(
        &self,
        connection: Connection,
        answer: Response<Incoming>,
        secret: &DeliverySecret,
        request_proof: &str,
    ) -> Handled {
        let status = answer.status();
        let proof = answer.headers().get(HANDLED_HEADER).cloned();
        let body = match Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Handled::Lost { error: format!("no whole answer: {error}") },
        };
        self.app.keep(connection);
        let Some(proof) = proof else { return read_other(status, &body) };
        let proof = proof.to_str().unwrap_or_default();
        match secret.is_answer(request_proof, status.as_u16(), &body, proof) {
            true => read_answer(status, &body),
            // A handler may have run.
            false => Handled::Lost { error: format!("{CHANGED} {}", said(status, &body)) },
        }
    }
}

const CHANGED: &str = "the answer does not prove that it comes from the app: a proxy changes its status or \
     its body, or another program answers.";

/// A message's own headers, except for names that belong to the delivery.
fn own_headers(json: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    // This package wrote them, so they can be read. A message is not worth losing for its headers.
    let headers: HashMap<String, String> =
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let parsed = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        let ours = OWN_HEADERS.iter().any(|own| name.as_str().starts_with(own))
            || ["content-type", "content-length", "host", "transfer-encoding", "connection"]
                .contains(&name.as_str());
        (!ours).then_some((name, HeaderValue::try_from(value).ok()?))
    });
    parsed.collect()
}

/// Reads the handler's own answer.
fn read_answer(status: StatusCode, body: &[u8]) -> Handled {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Handled::Unable { error: said(status, body) };
    }
    if status == StatusCode::MISDIRECTED_REQUEST {
        return Handled::CodeMismatch { error: said(status, body) };
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
        Err(_) => Handled::Failed { error: "the answer of the route is not JSON".into() },
    }
}

/// Statuses that mean that the app is not there (yet), or that something is in front of it.
const NOT_THERE: [u16; 6] = [401, 404, 405, 502, 503, 504];

/// Classifies a response that did not come from our handler: nothing ran. If it reports a fault of the
/// message or the route, the attempt counts: repeats become rarer, and the message is dead in the end.
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
    fn a_caller_cannot_forge_the_headers_of_a_delivery() {
        let given =
            r#"{"traceparent":"00-1","X-Vqs-Message-Id":"m","x-hookline-proof":"p","a b":"c"}"#;
        let names: Vec<_> = own_headers(Some(given)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [HeaderName::from_static("traceparent")]);
        assert_eq!(own_headers(None), []);
    }
}
