//! What the head of a request says: where to, how, and who it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use windlass_proto::http::{Framing, RequestHead, Status};
use windlass_proto::mqtt::QoS;
use zeroize::Zeroizing;

use super::{BAD_TOPIC, Refused};

/// What is to be published, but for its payload.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) topic: Box<str>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) expiry_seconds: Option<u32>,
    pub(super) content_type: Option<Box<str>>,
    /// Bytes of the body, if that is known.
    pub(super) length: Option<u64>,
    /// A browser sends it for a page.
    pub(super) is_from_page: bool,
}

impl Wanted {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Wanted, Refused> {
        let topic = match head.path().strip_prefix("/publish") {
            Some("" | "/") => param(head, "topic").ok_or(BAD_TOPIC)?,
            // A `+` stands for itself in a path.
            Some(rest) if rest.starts_with('/') => decoded(&rest[1..], false).ok_or(BAD_TOPIC)?,
            _ => return Err((Status::NOT_FOUND, "publish at /publish/TOPIC\n")),
        };
        if !matches!(head.method, "POST" | "PUT") {
            return Err((Status::METHOD_NOT_ALLOWED, "publish with POST\n"));
        }
        let said = |name: &str, header: &str| {
            param(head, name).or_else(|| head.headers.get_str(header).map(String::from))
        };
        let qos = match said("qos", "mqtt-qos").as_deref() {
            None | Some("0") => QoS::AtMostOnce,
            Some("1") => QoS::AtLeastOnce,
            Some("2") => QoS::ExactlyOnce,
            Some(_) => return Err((Status::BAD_REQUEST, "qos is 0, 1 or 2\n")),
        };
        let retain = match said("retain", "mqtt-retain").as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1" | "") => true,
            Some(_) => return Err((Status::BAD_REQUEST, "retain is true or false\n")),
        };
        let expiry_seconds = said("expiry", "mqtt-expiry").map(|text| text.parse::<u32>()).transpose();
        let expiry_seconds =
            expiry_seconds.map_err(|_| (Status::BAD_REQUEST, "expiry is a number of seconds\n"))?;
        // What `curl -d` says of all it sends says nothing.
        let content_type = head.headers.get_str("content-type");
        let content_type = content_type.filter(|it| !it.eq_ignore_ascii_case(OF_FORMS)).map(Into::into);
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        let is_from_page = head.headers.contains("origin")
            || head.headers.get_str("sec-fetch-site").is_some_and(|site| site != "none");
        let topic = topic.into_boxed_str();
        Ok(Wanted { topic, qos, retain, expiry_seconds, content_type, length, is_from_page })
    }
}

const OF_FORMS: &str = "application/x-www-form-urlencoded";

/// Who it says it is.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) user: Option<Box<str>>,
    /// A password, or a token.
    pub(super) password: Option<Zeroizing<Vec<u8>>>,
}

impl Credentials {
    /// By `Authorization`: Basic (RFC 7617) or Bearer (RFC 6750).
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Credentials, Refused> {
        let mut lines = head.headers.all("authorization");
        let Some(line) = lines.next() else { return Ok(Credentials::default()) };
        let not_understood = (Status::UNAUTHORIZED, "`Authorization` is Basic or Bearer\n");
        let line = std::str::from_utf8(line).map_err(|_| not_understood)?;
        let (scheme, shown) = line.split_once(' ').ok_or(not_understood)?;
        let shown = shown.trim();
        if lines.next().is_some() {
            return Err((Status::BAD_REQUEST, "`Authorization` is there more than once\n"));
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            let password = Some(Zeroizing::new(shown.as_bytes().to_vec()));
            return Ok(Credentials { user: None, password });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(not_understood);
        }
        let pair = Zeroizing::new(STANDARD.decode(shown).map_err(|_| not_understood)?);
        let colon = pair.iter().position(|byte| *byte == b':').ok_or(not_understood)?;
        let user = std::str::from_utf8(&pair[..colon]).map_err(|_| not_understood)?;
        let password = Some(Zeroizing::new(pair[colon + 1..].to_vec()));
        Ok(Credentials { user: Some(user.into()), password })
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.user.is_none() && self.password.is_none()
    }
}

fn param(head: &RequestHead<'_>, name: &str) -> Option<String> {
    let pairs = head.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
    decoded(value, true)
}

/// Percent-encoded text (RFC 3986 section 2.1); in a query, `+` is a blank.
fn decoded(text: &str, in_query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if in_query => b' ',
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
