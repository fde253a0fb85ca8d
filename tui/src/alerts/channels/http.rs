//! POST with a time limit, and which answers are worth another try.

use std::time::Duration;

use thiserror::Error;
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use super::Failure;

/// Bytes of an answer that are read for an error message.
const ANSWER_MAX: u64 = 512;

/// A client for small requests. Certificates are checked against the system's store.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
}

/// Why a request failed. No address is in it: addresses of webhooks are secrets.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Not reached, not answered in time, or not understood.
    #[error("{0}")]
    Transport(#[source] Box<ureq::Error>),
    /// Answered with another status than 2xx.
    #[error("the answer is {status}: {body}")]
    Status {
        /// Status code.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

impl HttpError {
    /// Whether another try may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Transport(error) => !matches!(
                **error,
                ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl
            ),
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self {
            may_pass: error.may_pass(),
            message: error.to_string(),
        }
    }
}

impl Http {
    /// A client whose requests take no longer than `timeout` altogether.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .user_agent(concat!("riptide/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self {
            agent: config.new_agent(),
        }
    }

    /// One POST; returns the beginning of the answer.
    ///
    /// # Errors
    /// There was no answer, or one that is not 2xx.
    pub fn post(
        &self,
        url: &str,
        media_type: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Vec<u8>, HttpError> {
        let mut request = self.agent.post(url).header("content-type", media_type);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let transport = |error| HttpError::Transport(Box::new(error));
        let mut answer = request.send(body).map_err(transport)?;
        let status = answer.status();
        let read = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_vec();
        // Too long an answer is no failure of the request.
        let body = read.unwrap_or_default();
        if status.is_success() {
            Ok(body)
        } else {
            Err(HttpError::Status {
                status: status.as_u16(),
                body: String::from_utf8_lossy(&body).trim().to_owned(),
            })
        }
    }
}
