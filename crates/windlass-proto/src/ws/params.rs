//! The lists in the headers of the opening handshake (RFC 6455 section 9.1).

use core::str;

use super::handshake::is_token;
use crate::http::Headers;

/// One extension of `Sec-WebSocket-Extensions`, with what stands behind its name.
#[derive(Clone, Copy)]
pub(super) struct Extension<'b> {
    pub(super) name: &'b str,
    params: Option<&'b str>,
}

/// All extensions of all lines, in order.
pub(super) fn extensions<'b>(headers: &Headers<'b>) -> impl Iterator<Item = Extension<'b>> + use<'b> {
    headers.list("sec-websocket-extensions").map(|element| {
        // What is not text has a name that nobody knows.
        let element = str::from_utf8(element).unwrap_or("");
        let (name, params) = match element.split_once(';') {
            Some((name, params)) => (name, Some(params)),
            None => (element, None),
        };
        Extension { name: trim(name), params }
    })
}

impl<'b> Extension<'b> {
    /// The parameters; `None` for one that is not written as it should be. A value may be quoted, and is a
    /// token all the same.
    pub(super) fn params(&self) -> impl Iterator<Item = Option<(&'b str, Option<&'b str>)>> + use<'b> {
        self.params.into_iter().flat_map(|params| params.split(';')).map(|param| {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (trim(param), None),
            };
            let value = value.map(|value| {
                value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
            });
            (is_token(name) && value.is_none_or(is_token)).then_some((name, value))
        })
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
