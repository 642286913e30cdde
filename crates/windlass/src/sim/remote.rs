//! The other side of a service's own connections: remotes that accept, late or at once, refuse, or say
//! nothing.
//!
//! The connection's ends are numbered as those of an accepted one: the odd end is the worker's. It is
//! there from the call on, `Opening`, until the answer comes.

use std::net::SocketAddr;
use std::time::Duration;

use windlass_proto::testing::Rng;

use super::client::Client;
use super::end::{EndId, State};
use super::errno::Errno;
use super::plan::{Edges, MILLI};
use super::trace::Who;
use super::world::{Happening, World};
use crate::connect::{ConnectError, Remote};
use crate::id::ConnId;
use crate::sys::{Readiness, Token};
#[cfg(feature = "tls")]
use crate::tls::peer::PeerConfig;
use crate::tls_error::TlsError;

/// A connection that is made is noticed after this long, whatever events said of it.
const NOTICED_MAX: u64 = 700 * MILLI;

/// How a simulated remote answers a call. See [`Sim::remote`](super::Sim::remote).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Accepts.
    Accept,
    /// Accepts, so much later. (On Unix sockets its queue is full, and the next call is drawn anew.)
    Late(Duration),
    /// Refuses: nobody listens.
    Refuse,
    /// Is not there: a router says so.
    Unreachable,
    /// Never answers. (On Unix sockets its queue is full.)
    Silent,
    /// Resets: instead of an answer, or right after it.
    Reset,
}

type Answers = Box<dyn FnMut(&mut Rng) -> Answer>;
type Makes = Box<dyn FnMut(&mut Rng) -> Box<dyn Client>>;

/// One place that services can connect to.
pub(crate) struct RemoteHost {
    pub(crate) remote: Remote,
    pub(crate) answers: Answers,
    /// Makes the peer of one connection.
    pub(crate) makes: Makes,
    /// Its peers speak TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<PeerConfig>,
}

/// The peer of a connection that a remote has accepted, to be given a seat.
pub(crate) struct Newcomer {
    pub(crate) peer: Box<dyn Client>,
    pub(crate) end: EndId,
    pub(crate) number: u32,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<PeerConfig>,
}

/// An attempt to connect, as oracles see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) tag: u64,
    pub(crate) deadline: u64,
    /// A TLS handshake follows, and may take so long: the least and the most.
    pub(crate) handshake: Option<(u64, u64)>,
}

impl Attempt {
    fn handshake_max(&self) -> u64 {
        self.handshake.map_or(0, |(_, most)| most)
    }
}

impl World {
    /// A worker calls a remote.
    pub(crate) fn call(&mut self, worker: usize, remote: &Remote) -> Result<(EndId, bool), Errno> {
        if let Some(errno) = self.out_of_descriptors() {
            return Err(errno);
        }
        let fails = self.plan.call_fails;
        if fails.hit(&mut self.rng) {
            self.counts.progress += 1;
            let errors = [Errno::NetworkUnreachable, Errno::AddressNotAvailable, Errno::OutOfMemory];
            return Err(errors[self.rng.below(3) as usize]);
        }
        let host = self.remotes.iter().position(|host| host.remote == *remote);
        let answer = match host {
            Some(host) => (self.remotes[host].answers)(&mut self.rng),
            None if self.by_hand => Answer::Silent,
            None => Answer::Refuse,
        };
        if self.plan.unix {
            match answer {
                Answer::Refuse => return Err(Errno::ConnectionRefused),
                Answer::Unreachable => return Err(Errno::NotFound),
                Answer::Silent | Answer::Late(_) => return Err(Errno::WouldBlock),
                Answer::Accept | Answer::Reset => {}
            }
        }
        let end = self.new_pair(u32::MAX, [State::Queued, State::Opening]).peer();
        self.end_mut(end).outbound = true;
        self.end_mut(end).active = self.turn_started;
        self.descriptors += 1;
        self.counts.progress += 1;
        self.counts.calls_out += 1;
        self.trace.note(self.now, Who::Worker(worker as u16), "call", end.conn(), answer_number(answer));
        let host = host.unwrap_or(usize::MAX);
        if self.plan.unix {
            self.reached(end, host, answer == Answer::Reset);
            self.made(end);
            return Ok((end, true));
        }
        let there = self.now + self.delay();
        let back = there + self.delay();
        let reset = answer == Answer::Reset;
        match answer {
            Answer::Accept => self.at(there, Happening::Reach { end: end.0, host, reset }),
            Answer::Late(late) => {
                let at = there + late.as_nanos() as u64;
                self.at(at, Happening::Reach { end: end.0, host, reset });
            }
            Answer::Reset => self.at(there, Happening::Reach { end: end.0, host, reset }),
            Answer::Refuse => self.at(back, Happening::Refused { end: end.0, unreachable: false }),
            Answer::Unreachable => self.at(back, Happening::Refused { end: end.0, unreachable: true }),
            Answer::Silent if self.by_hand => self.held.push((end, remote.clone())),
            Answer::Silent => {}
        }
        // A system may also find it done at once, which on loopback some do.
        if answer == Answer::Accept && self.plan.made_at_once.hit(&mut self.rng) {
            self.reached(end, host, false);
            self.made(end);
            return Ok((end, true));
        }
        Ok((end, false))
    }

    /// The call arrives at the remote, which takes it.
    pub(crate) fn reached(&mut self, end: EndId, host: usize, reset: bool) {
        let peer = end.peer();
        if self.end(end).state == State::Closed || self.end(peer).state != State::Queued {
            return;
        }
        self.end_mut(peer).state = State::Open;
        let delay = if self.plan.unix { 0 } else { self.delay() };
        let answered = self.now + delay;
        // What the peer sends comes behind its answer.
        self.end_mut(peer).wire_until = answered;
        if reset {
            self.close_end(peer, true);
            if self.rng.chance(1, 2) {
                return;
            }
        } else if let Some(host) = self.remotes.get_mut(host) {
            let made = (host.makes)(&mut self.rng);
            #[cfg(feature = "tls")]
            let tls = host.tls.clone();
            let number = self.new_number();
            self.end_mut(end).client = number;
            self.end_mut(peer).client = number;
            self.newcomers.push(Newcomer {
                peer: made,
                end: peer,
                number,
                #[cfg(feature = "tls")]
                tls,
            });
        }
        self.at(answered, Happening::Made(end.0));
    }

    /// A number and an address for one more peer.
    fn new_number(&mut self) -> u32 {
        let number = self.addresses.len() as u32;
        let addr = std::net::Ipv4Addr::new(198, 51, 100, number as u8);
        self.addresses.push(addr.into());
        number
    }

    /// The remote's answer arrives: the connection is made.
    pub(crate) fn made(&mut self, end: EndId) {
        if self.end(end).state == State::Opening && !self.end(end).reset_arrived {
            self.end_mut(end).state = State::Open;
            self.end_mut(end).active = self.now;
            // From here on, if there is one.
            self.end_mut(end).shaking_since = self.speaks_tls.then_some(self.now);
            self.trace.note(self.now, Who::World, "made", end.conn(), 0);
            self.edge(end);
        }
    }

    /// The answer is no.
    pub(crate) fn refused(&mut self, end: EndId, unreachable: bool) {
        if self.end(end).state == State::Opening {
            let errno = if unreachable { Errno::HostUnreachable } else { Errno::ConnectionRefused };
            self.end_mut(end).error = Some(errno);
            self.end_mut(end).call_failed = Some(errno);
            self.trace.note(self.now, Who::World, "refused", end.conn(), u64::from(unreachable));
            self.edge(end);
        }
    }

    /// What the socket says when it is asked whether it is connected.
    pub(crate) fn is_connected(&mut self, end: EndId) -> Result<bool, Errno> {
        let state = self.end(end).state;
        if let Some(errno) = self.end_mut(end).error.take() {
            self.counts.progress += 1;
            return Err(errno);
        }
        if state == State::Open {
            self.counts.progress += 1;
        }
        Ok(state == State::Open)
    }

    /// Events about a call that come before its end; on a system that tells things once, in place of the
    /// one that would have told it.
    pub(crate) fn early_events(&mut self, worker: usize, end: EndId, token: Token) {
        if self.end(end).state != State::Opening {
            return;
        }
        while self.plan.early_event.hit(&mut self.rng) {
            let most = 2 * self.plan.delay.end;
            let at = self.now + self.rng.below(most);
            self.wake_world_at(at);
            self.pollers[worker].lie(at, token, Readiness::WRITABLE);
        }
    }

    /// A worker has heard something about a call that was not so.
    pub(crate) fn lied(&mut self, worker: usize, token: Token, bits: u8) {
        if self.plan.edges == Edges::Stingy
            && bits & Readiness::WRITABLE != 0
            && let Some(end) = self.pollers[worker].find(token)
            && self.end(end).state == State::Opening
        {
            self.end_mut(end).armed_write = false;
        }
    }

    // --- Oracles.

    /// A connection was asked for.
    pub(crate) fn asked(&mut self, id: ConnId, attempt: Attempt) {
        self.speaks_tls |= attempt.handshake.is_some();
        self.attempts.insert(id, attempt);
    }

    /// The service is told what became of it: the first time, with its tag, and rightly so.
    pub(crate) fn answered(&mut self, id: ConnId, tag: u64, failed: Option<&ConnectError>) {
        let Some(attempt) = self.attempts.remove(&id) else {
            return self.fail(format!("{id}: told of a connection that nobody waits for"));
        };
        if attempt.tag != tag {
            self.fail(format!("{id}: asked for with tag {}, told with {tag}", attempt.tag));
        }
        let end = self.calls.get(&id).copied();
        let truth = end.and_then(|end| self.end(end).call_failed);
        let reset = end.is_some_and(|end| self.end(end).reset_arrived);
        let unreachable = matches!(truth, Some(Errno::HostUnreachable));
        let early = self.turn_started < attempt.deadline;
        let cut = end.is_some_and(|end| self.end(end).fin_arrived) || reset;
        let wrong = match failed {
            Some(ConnectError::Timeout) => early.then_some("its deadline has not passed"),
            Some(ConnectError::Shutdown) => self.shutdown_at.is_none().then_some("nobody asked for one"),
            // Without an end the call itself failed, or was never made.
            Some(ConnectError::Refused) if end.is_some() && !reset => {
                (truth != Some(Errno::ConnectionRefused)).then_some("nobody refused it")
            }
            Some(ConnectError::Unreachable) if end.is_some() && !unreachable => Some("nobody said so"),
            Some(ConnectError::Tls(_)) if attempt.handshake.is_none() => Some("it does not speak TLS"),
            Some(ConnectError::Tls(TlsError::HandshakeCut)) => (!cut).then_some("its peer did not leave"),
            Some(ConnectError::Tls(TlsError::HandshakeTimeout)) => {
                let since = end.and_then(|end| self.end(end).shaking_since).unwrap_or(self.turn_started);
                let passed = self.turn_started + self.slack()
                    >= since + attempt.handshake.map_or(0, |(least, _)| least);
                (!passed).then_some("its handshake had more time")
            }
            // Whose certificate is wrong the test knows.
            Some(ConnectError::Tls(TlsError::Certificate(_))) => None,
            Some(ConnectError::Tls(_)) => Some("its peer did nothing wrong"),
            None => match end.map(|end| self.end(end).state) {
                Some(State::Open) => None,
                _ => Some("it is not made"),
            },
            _ => None,
        };
        if let Some(wrong) = wrong {
            let told = failed.map_or("connected", ConnectError::label);
            self.fail(format!("{id}: its service was told `{told}`, but {wrong}"));
        }
    }

    /// With every worker asleep: nobody waits for an answer past the deadline, or long for one that is
    /// there.
    pub(crate) fn check_attempts(&mut self) {
        let slack = self.slack();
        let late = self.attempts.iter().find(|(_, attempt)| {
            self.now > attempt.deadline + attempt.handshake_max() + NOTICED_MAX + slack
                || attempt.handshake.is_none() && self.now > attempt.deadline + slack
        });
        if let Some((id, _)) = late {
            self.fail(format!("{id}: it is being connected past its deadline"));
        }
        let unnoticed = self.attempts.iter().find(|(id, attempt)| {
            let slack = slack + attempt.handshake_max();
            let end = self.calls.get(id).map(|&end| self.end(end));
            end.is_some_and(|end| end.state == State::Open && self.now > end.active + slack + NOTICED_MAX)
        });
        if let Some((id, _)) = unnoticed {
            self.fail(format!("{id}: it is connected, and nobody has noticed"));
        }
    }
}

fn answer_number(answer: Answer) -> u64 {
    match answer {
        Answer::Accept => 0,
        Answer::Late(_) => 1,
        Answer::Refuse => 2,
        Answer::Unreachable => 3,
        Answer::Silent => 4,
        Answer::Reset => 5,
    }
}

/// The name of the `n`th remote.
pub(crate) fn name(n: usize, unix: bool) -> Remote {
    if unix {
        return Remote::Unix(format!("/sim/remote-{n}").into());
    }
    let ip = std::net::Ipv4Addr::new(203, 0, 113, n as u8);
    Remote::Tcp(SocketAddr::new(ip.into(), 1024 + n as u16))
}
