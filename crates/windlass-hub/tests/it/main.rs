//! The hub under the harness: what clients say, and what they hear.

mod clauses;
mod durable;
mod ends;
mod http;
mod identity;
mod inspect;
mod kit;
mod limits;
mod proxied;
mod qos;
mod retained;
mod rules;
mod sessions;
mod storm;
mod subscriptions;
mod version5;
mod websocket;
mod wills;
