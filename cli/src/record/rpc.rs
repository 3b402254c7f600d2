//! JSON-RPC over HTTP, one blocking call at a time.
//!
//! Place in the flow: below everything in `record`.
//! Invariant: an answer is bounded in size and time; a failed call says which method failed and whether the node lacks it.
//! TLS is deliberately not built in: nodes that answer debug methods stand on the same machine or behind a tunnel.

use anyhow::ensure;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use std::time::Duration;
use ureq::Agent;

/// Longest answer; the witness of a large block has some ten megabytes, twice that in hexadecimal.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Nodes may need a while for a witness.
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// JSON-RPC 2.0: the method does not exist.
const METHOD_NOT_FOUND: i64 = -32601;

/// A call that gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RpcError {
    /// The node cannot be reached or does not speak HTTP.
    #[error("{url}: no answer to {method}")]
    Transport {
        url: String,
        method: &'static str,
        #[source]
        source: Box<ureq::Error>,
    },
    /// An HTTP error.
    #[error("{url}: {method}: expected http status 200, found {status}")]
    Status { url: String, method: &'static str, status: u16 },
    /// The node refuses.
    #[error("{url}: {method}: error {code}: {message}")]
    Refused { url: String, method: &'static str, code: i64, message: String },
    /// The answer is not what the method gives.
    #[error("{url}: {method}: not the expected answer")]
    Answer {
        url: String,
        method: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl RpcError {
    /// Whether the node does not offer the method, so that another way may be tried.
    pub(super) fn is_unsupported(&self) -> bool {
        let Self::Refused { code, message, .. } = self else { return false };
        let message = message.to_ascii_lowercase();
        *code == METHOD_NOT_FOUND
            || ["not found", "not supported", "unsupported", "not available", "not implemented", "not whitelisted"]
                .iter()
                .any(|words| message.contains(words) && message.contains("method"))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

/// A node.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    /// A client for an endpoint; nothing is sent yet.
    ///
    /// # Errors
    /// The URL is not one of plain HTTP.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        ensure!(url.starts_with("http://"), "--rpc {url}: expected a url that starts with http://");
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Self { agent: config.into(), url: url.to_owned() })
    }

    /// Calls a method. An answer of `null` is an error unless `T` is an option.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub(super) fn call<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let transport = |source| RpcError::Transport { url: self.url.clone(), method, source: Box::new(source) };
        let sent = self.agent.post(&self.url).header("content-type", "application/json").send(request);
        let mut response = sent.map_err(transport)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(transport)?;
        match (self.read(method, &body), status) {
            // Some nodes send the refusal of a method with an HTTP error.
            (Err(RpcError::Answer { .. }), status) if status != 200 => {
                Err(RpcError::Status { url: self.url.clone(), method, status })
            }
            (read, _) => read,
        }
    }

    fn read<T: DeserializeOwned>(&self, method: &'static str, body: &[u8]) -> Result<T, RpcError> {
        let wrong = |source| RpcError::Answer { url: self.url.clone(), method, source };
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(wrong)?;
        if let Some(Refusal { code, message }) = answer.error {
            return Err(RpcError::Refused { url: self.url.clone(), method, code, message });
        }
        serde_json::from_str(answer.result.map_or("null", RawValue::get)).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(body: &str) -> Result<T, RpcError> {
        Client::new("http://x").unwrap().read("eth_test", body.as_bytes())
    }

    #[test]
    fn answers_refusals_and_nonsense_are_told_apart() {
        assert_eq!(read::<u64>(r#"{"jsonrpc":"2.0","id":1,"result":7}"#).unwrap(), 7);
        assert_eq!(read::<Option<u64>>(r#"{"result":null}"#).unwrap(), None);
        assert!(matches!(read::<u64>("<html>"), Err(RpcError::Answer { .. })));
        let refusal = |code: i64, message: &str| {
            read::<u64>(&json!({ "error": { "code": code, "message": message } }).to_string()).unwrap_err()
        };
        assert!(refusal(-32601, "x").is_unsupported());
        assert!(refusal(-32000, "the method debug_x does not exist/is not available").is_unsupported());
        assert!(!refusal(-32000, "missing trie node").is_unsupported());
    }

    #[test]
    fn only_plain_http_is_spoken() {
        let error = Client::new("https://x").unwrap_err();
        assert_eq!(error.to_string(), "--rpc https://x: expected a url that starts with http://");
    }
}
