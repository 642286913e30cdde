//! Clients that are ready to use: good ones, who check everything they are owed, and rude ones.

mod chat;
mod datagrams;
mod echo;
mod pair;
mod rude;
mod script;

pub use chat::{ChatClient, ChatRoom};
pub use datagrams::{DatagramPeer, Responder, any_answer_peer, datagram_peer, forgiving_peer, responder};
pub use echo::{EchoClient, echo_client};
pub use pair::{ALONE, COUPLED, PairClient, pair_client, rude_pair_client};
pub use rude::{Rude, deaf, endless, never_reader, resetter, rude_client, silent, vanisher};
pub use script::Script;

use std::time::Duration;

use windlass_proto::testing::Rng;

/// A random duration up to `most`, short ones as often as long ones.
fn pause(rng: &mut Rng, most: Duration) -> Duration {
    let most = most.as_nanos() as u64;
    Duration::from_nanos(most >> rng.below(20)).min(Duration::from_nanos(rng.below(most.max(1))))
}

/// The longest silence a good client allows itself: well within the deadlines that would end it.
pub(super) fn patience(limits: &crate::Limits) -> Duration {
    // While a worker is overloaded, the first of them is shorter.
    let idle_timeout = limits.idle_timeout / limits.overload_idle_divisor;
    let shortest = [idle_timeout, limits.write_stall_timeout]
        .into_iter()
        .filter(|timeout| !timeout.is_zero())
        .min()
        .unwrap_or(Duration::from_secs(60));
    shortest * 6 / 10
}
