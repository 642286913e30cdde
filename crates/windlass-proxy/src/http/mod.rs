//! HTTP/1.1: what is decided about a request is in `policy/`, and changes nothing but header lines.

mod config;
#[allow(dead_code, reason = "the service that asks it is still to come")]
pub(crate) mod policy;

pub use config::{
    Action, ErrorPage, Forwarded, ForwardedHeaders, HeaderRule, HostHeader, HttpConfig, HttpRoute, Sticky,
    Underscores,
};
