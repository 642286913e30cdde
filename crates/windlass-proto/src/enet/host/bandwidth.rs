//! Bandwidth: once per second, what all peers together may be sent and may send is divided among them
//! (`enet_host_bandwidth_throttle`).
//!
//! Where no end has a limit there is nothing to divide, and nobody is looked at.

use alloc::vec::Vec;

use super::super::output::What;
use super::super::pace::SCALE;
use super::Host;

const INTERVAL: u64 = 1000;

impl Host {
    fn is_limited(&self) -> bool {
        let config = &self.config;
        config.outgoing_bandwidth != 0
            || config.incoming_bandwidth != 0
            || self.divide_bandwidth
            || self.peers_limited
    }

    /// When it is divided next; nothing if nobody is there.
    pub(super) fn bandwidth_deadline(&self) -> Option<u64> {
        (self.connected > 0 && self.is_limited()).then_some(self.bandwidth_at.saturating_add(INTERVAL))
    }

    pub(super) fn divide_bandwidth_if_due(&mut self) {
        let elapsed = self.now.saturating_sub(self.bandwidth_at);
        if elapsed < INTERVAL || self.connected == 0 {
            return;
        }
        if self.is_limited() {
            self.divide_outgoing(elapsed);
            if core::mem::take(&mut self.divide_bandwidth) {
                self.divide_incoming();
            }
        }
        self.bandwidth_at = self.now;
    }

    /// What peers are sent: one that takes less than its share of what is queued gets what it takes, and the rest is
    /// the others'.
    fn divide_outgoing(&mut self, elapsed: u64) {
        let per_elapsed = |bandwidth: u64| bandwidth.saturating_mul(elapsed) / 1000;
        let peers = self.slots.iter_mut().filter_map(|slot| slot.peer.as_deref_mut());
        let mut rest: Vec<_> = peers.filter(|peer| peer.is_connected()).collect();
        self.peers_limited = rest.iter().any(|peer| peer.incoming_bandwidth != 0);
        let mut queued: u64 = rest.iter().map(|peer| peer.outgoing_bytes).sum();
        let mut bandwidth = match self.config.outgoing_bandwidth {
            0 => u64::MAX,
            limit => per_elapsed(u64::from(limit)),
        };
        let scale = u64::from(SCALE);
        let share = loop {
            let share = if queued <= bandwidth { scale } else { bandwidth.saturating_mul(scale) / queued };
            let before = rest.len();
            rest.retain_mut(|peer| {
                let takes = per_elapsed(u64::from(peer.incoming_bandwidth));
                let bytes = peer.outgoing_bytes;
                if peer.incoming_bandwidth == 0 || share.saturating_mul(bytes) / scale <= takes {
                    return true;
                }
                peer.pace.cap((takes.saturating_mul(scale) / bytes.max(1)) as u32);
                peer.outgoing_bytes = 0;
                bandwidth = bandwidth.saturating_sub(takes);
                queued = queued.saturating_sub(bytes);
                false
            });
            if rest.len() == before {
                break share;
            }
        };
        for peer in rest {
            peer.pace.cap(share as u32);
            peer.outgoing_bytes = 0;
        }
    }

    /// What peers may send: all the same, but for those that do not send as much. Those for whom it is another than
    /// before are told.
    fn divide_incoming(&mut self) {
        let limits = (self.config.incoming_bandwidth, self.config.outgoing_bandwidth);
        let mut told = Vec::new();
        {
            let peers = self.slots.iter_mut().filter_map(|slot| slot.peer.as_deref_mut());
            let mut rest: Vec<_> = peers.filter(|peer| peer.is_connected()).collect();
            let mut bandwidth = u64::from(limits.0);
            let mut tell = |peer: &mut super::Peer, incoming: u32| {
                if peer.told_bandwidth != incoming {
                    peer.told_bandwidth = incoming;
                    peer.output.push_control(What::Bandwidth { incoming, outgoing: limits.1 });
                    told.push(peer.id.index);
                }
            };
            let share = loop {
                if bandwidth == 0 || rest.is_empty() {
                    break 0;
                }
                let share = bandwidth / rest.len() as u64;
                let before = rest.len();
                rest.retain_mut(|peer| {
                    let sends = u64::from(peer.outgoing_bandwidth);
                    if sends == 0 || sends >= share {
                        return true;
                    }
                    tell(peer, peer.outgoing_bandwidth);
                    bandwidth -= sends;
                    false
                });
                if rest.len() == before {
                    break share;
                }
            };
            for peer in rest {
                tell(peer, share as u32);
            }
        }
        for index in told {
            self.enqueue(index);
        }
    }
}
