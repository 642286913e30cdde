//! Requests to somebody who wants to hear of messages.

use std::time::Duration;

use ureq::Agent;

use super::line;
use super::outlet::{Failure, Kept, Target};
use crate::config::rule::{Body, RuleTable};

/// Bytes of an answer that are read, so that its connection can be used again.
const ANSWER_MAX: u64 = 64 << 10;

/// Whether messages can be posted there.
pub(crate) fn check(url: &str) -> Result<(), String> {
    let uri: ureq::http::Uri = url.parse().map_err(|why| format!("`{url}` is no address: {why}"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err("this windlass was built without TLS".into()),
        _ => return Err(format!("`{url}` begins with neither `http://` nor `https://`")),
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("a password does not belong into an address: say it in `authorization`".into())
        }
        Some(authority) if !authority.host().is_empty() => Ok(()),
        _ => Err(format!("`{url}` names no host")),
    }
}

/// Where they are posted to, and how.
pub(super) struct Webhook {
    agent: Agent,
    url: String,
    authorization: Option<String>,
    body: Body,
    /// The authorities could not be read.
    wrong: Option<String>,
}

impl Webhook {
    pub(super) fn new(rule: &RuleTable) -> Webhook {
        let settings = Agent::config_builder()
            .timeout_global(Some(rule.timeout.0))
            .timeout_connect(Some(rule.timeout.0.min(Duration::from_secs(10))))
            .http_status_as_error(false)
            // Where it leads is what the file says, and nobody else.
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")));
        let (settings, wrong) = match &rule.webhook_ca {
            None => (settings, None),
            #[cfg(feature = "tls")]
            Some(path) => match authorities(&path.0) {
                Ok(tls) => (settings.tls_config(tls), None),
                Err(why) => (settings, Some(why)),
            },
            #[cfg(not(feature = "tls"))]
            Some(_) => (settings, Some("this windlass was built without TLS".to_owned())),
        };
        Webhook {
            agent: settings.build().into(),
            url: rule.webhook.clone().unwrap_or_default(),
            authorization: rule.authorization.as_ref().map(|secret| secret.0.clone()),
            body: rule.body,
            wrong,
        }
    }

    fn post(&self, body: &[u8], content_type: &str, topic: Option<&str>) -> Result<(), Failure> {
        if let Some(why) = &self.wrong {
            return Err(Failure::Refused(why.clone()));
        }
        let mut request = self.agent.post(&self.url).header("content-type", content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(topic) = topic {
            request = request.header("mqtt-topic", percent_encoded(topic));
        }
        let mut answer = request.send(body).map_err(|error| match error {
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => Failure::Refused(error.to_string()),
            error => Failure::Later(error.to_string()),
        })?;
        let status = answer.status().as_u16();
        let _ = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        match status {
            200..=299 => Ok(()),
            // It may take them later (RFC 9110, section 15).
            408 | 425 | 429 | 500..=599 => Err(Failure::Later(format!("the answer was {status}"))),
            status => Err(Failure::Refused(format!("the answer was {status}"))),
        }
    }
}

#[cfg(feature = "tls")]
fn authorities(path: &std::path::Path) -> Result<ureq::tls::TlsConfig, String> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    let fail = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| fail(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(fail("there is no certificate in it".into()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build())
}

impl Target for Webhook {
    fn deliver(&mut self, batch: &[Kept]) -> Result<(), Failure> {
        match (self.body, batch) {
            (Body::Payload, [one]) => self.post(&one.payload, "application/octet-stream", Some(&one.topic)),
            (_, batch) => {
                let mut body = vec![b'['];
                for (at, kept) in batch.iter().enumerate() {
                    if at > 0 {
                        body.push(b',');
                    }
                    line::write(&mut body, kept);
                }
                body.push(b']');
                self.post(&body, "application/json", None)
            }
        }
    }
}

/// What a header may have in it (RFC 3986 section 2.1); slashes stay.
fn percent_encoded(topic: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    topic.bytes().fold(String::new(), |text, byte| match is_plain(byte) {
        true => text + &char::from(byte).to_string(),
        false => text + &format!("%{byte:02X}"),
    })
}
