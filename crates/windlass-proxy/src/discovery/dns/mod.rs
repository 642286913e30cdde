//! Backends from DNS: `message.rs` is what is on the wire, `client.rs` asks servers and believes no stranger,
//! `round.rs` makes backends of what they answer, `resolv.rs` tells who they are.

mod client;
mod message;
mod resolv;
mod round;

pub(crate) use client::{Client, Reply};
pub(crate) use message::Question;
pub(crate) use resolv::servers;
pub(crate) use round::{Names, Outcome};
