//! The hub under the harness: what clients say, and what they hear.

mod clauses;
mod cves;
mod durable;
mod ends;
mod faults;
mod identity;
mod kit;
mod limits;
mod proxied;
mod qos;
mod retained;
mod sessions;
mod storm;
mod subscriptions;
mod version5;
mod websocket;
mod wills;
mod workers;
