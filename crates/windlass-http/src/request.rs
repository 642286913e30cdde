//! What a route is asked.

use serde::de::DeserializeOwned;
use windlass::{ConnId, Peer};
use windlass_proto::http::{RequestHead, Status};

/// A request, all of it: its head, and its body as far as the route's limit allows one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'r> {
    /// Method, target, headers.
    pub head: RequestHead<'r>,
    /// The body; empty if there is none.
    pub body: &'r [u8],
    /// Who asks.
    pub peer: Peer,
    /// The connection it came on: who subscribes to events is known by it ([`Push::event_to`](crate::Push::event_to)).
    pub conn: ConnId,
    pub(crate) rest: &'r str,
}

/// Why a request was not taken: the status that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal(pub Status);

impl<'r> Request<'r> {
    /// The path, percent-encoded as it came.
    pub fn path(&self) -> &'r str {
        self.head.path()
    }

    /// What follows the prefix, of a route with a prefix; empty for others. Percent-encoded as it came, and
    /// not resolved: `..` can be in it.
    pub fn rest(&self) -> &'r str {
        self.rest
    }

    /// The first parameter called `name` in the query, decoded; `None` if there is none or it is not UTF-8.
    ///
    /// The names are compared as they were sent, so those with characters to be encoded are not found.
    pub fn param(&self, name: &str) -> Option<String> {
        let pairs = self.head.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
        decode(value)
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&'r str> {
        self.head.headers.get_str(name)
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// 415 unless `content-type` is `application/json`, which also keeps forms of other sites out, since
    /// browsers ask first before they send that; 400 if it is not JSON, or not of this type. `Reply::refuse`
    /// answers it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let content_type = self.header("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal(Status::UNSUPPORTED_MEDIA_TYPE));
        }
        serde_json::from_slice(self.body).map_err(|_| Refusal(Status::BAD_REQUEST))
    }
}

/// `%41+b` is `A b`, as forms send it.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        bytes.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b => b,
        });
    }
    String::from_utf8(bytes).ok()
}
