//! How fast one peer is spoken to: the round trip, when a command counts as lost, and what share of the unreliable
//! messages is sent at all.
//!
//! ENet's rules (`enet_protocol_handle_acknowledge`, `enet_peer_throttle`): the mean of the round trip moves by an
//! eighth and its variance by a quarter per sample. A share of 32 out of 32 messages is sent while the round trip is
//! what it was; the share shrinks while it grows.

use super::wire::Throttle;

/// The round trip that is taken for granted until one was measured. Milliseconds.
const ROUND_TRIP_DEFAULT: u32 = 500;
/// Shorter than this no command counts as lost: the other end may answer once per tick. Milliseconds.
const TIMEOUT_MIN: u32 = 10;
/// The whole share.
pub(super) const SCALE: u32 = 32;
const COUNTER_STEP: u32 = 7;

pub(super) const THROTTLE_DEFAULT: Throttle = Throttle { interval: 5000, acceleration: 2, deceleration: 2 };

#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) rtt: u32,
    pub(super) variance: u32,
    last_rtt: u32,
    last_variance: u32,
    lowest_rtt: u32,
    highest_variance: u32,
    /// When the figures above were last renewed; none before the first sample.
    epoch: Option<u64>,
    sampled: bool,
    pub(super) throttle: Throttle,
    /// The share that is sent, in 32nds.
    pub(super) share: u32,
    /// What it may be at most, for the bandwidth's sake.
    pub(super) share_max: u32,
    counter: u32,
}

impl Pace {
    pub(super) fn new(throttle: Throttle) -> Pace {
        Pace {
            rtt: ROUND_TRIP_DEFAULT,
            variance: 0,
            last_rtt: ROUND_TRIP_DEFAULT,
            last_variance: 0,
            lowest_rtt: ROUND_TRIP_DEFAULT,
            highest_variance: 0,
            epoch: None,
            sampled: false,
            throttle,
            share: SCALE,
            share_max: SCALE,
            counter: 0,
        }
    }

    /// After so many milliseconds a command that is sent now counts as lost.
    pub(super) fn timeout(&self) -> u32 {
        self.rtt.saturating_add(self.variance.saturating_mul(4)).max(TIMEOUT_MIN)
    }

    /// A command came back after `rtt` milliseconds.
    pub(super) fn sample(&mut self, now: u64, rtt: u32) {
        let rtt = rtt.max(1);
        if self.sampled {
            self.adapt(rtt);
            self.variance -= self.variance / 4;
            let off = rtt.abs_diff(self.rtt);
            self.variance += off / 4;
            if rtt >= self.rtt {
                self.rtt += off / 8;
            } else {
                self.rtt -= off / 8;
            }
        } else {
            self.sampled = true;
            self.rtt = rtt;
            self.variance = rtt.div_ceil(2);
        }
        self.lowest_rtt = self.lowest_rtt.min(self.rtt);
        self.highest_variance = self.highest_variance.max(self.variance);
        if self.epoch.is_none_or(|epoch| now.saturating_sub(epoch) >= u64::from(self.throttle.interval)) {
            self.last_rtt = self.lowest_rtt;
            self.last_variance = self.highest_variance.max(1);
            self.lowest_rtt = self.rtt;
            self.highest_variance = self.variance;
            self.epoch = Some(now);
        }
    }

    fn adapt(&mut self, rtt: u32) {
        if self.last_rtt <= self.last_variance {
            self.share = self.share_max;
        } else if rtt <= self.last_rtt {
            self.share = self.share.saturating_add(self.throttle.acceleration).min(self.share_max);
        } else if rtt > self.last_rtt.saturating_add(self.last_variance.saturating_mul(2)) {
            self.share = self.share.saturating_sub(self.throttle.deceleration);
        }
    }

    /// What the bandwidth leaves of the share, in 32nds.
    pub(super) fn cap(&mut self, share_max: u32) {
        self.share_max = share_max.clamp(1, SCALE);
        self.share = self.share.min(self.share_max);
    }

    /// Whether the next unreliable message is one of those that are sent.
    #[inline]
    pub(super) fn admits(&mut self) -> bool {
        self.counter = (self.counter + COUNTER_STEP) % SCALE;
        self.counter <= self.share
    }
}
