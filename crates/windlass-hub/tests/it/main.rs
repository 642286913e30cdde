//! The hub under the harness: what clients say, and what they hear.

mod clauses;
mod cves;
mod durable;
mod ends;
mod faults;
mod http;
mod identity;
mod inspect;
mod kit;
mod limits;
mod memory;
mod parcels;
mod proxied;
mod qos;
#[path = "../reported/mod.rs"]
mod reported;
mod retained;
mod rules;
mod scarce;
mod sessions;
mod storm;
mod subscriptions;
mod sys_topics;
mod version5;
mod websocket;
mod wills;
mod workers;
