//! The notification as JSON, by POST.

use super::{Failure, Http, Sink};
use crate::alerts::Notification;

/// A webhook. `text` of the document is what chat services show.
#[derive(Debug)]
pub struct Webhook {
    /// The client.
    pub http: Http,
    /// Where to.
    pub url: String,
}

impl Sink for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn deliver(&mut self, notification: &Notification) -> Result<(), Failure> {
        let body = serde_json::to_vec(notification).map_err(|error| Failure {
            message: error.to_string(),
            may_pass: false,
        })?;
        self.http.post(&self.url, "application/json", &[], &body)?;
        Ok(())
    }
}
