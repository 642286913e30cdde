//! The side that gives: a Unix socket on which a successor asks for the sockets of this server.
//!
//! Worker 0 serves it between its other work: nothing here blocks, and everything is bounded. The
//! server goes on as if nothing had happened until a successor says that it stands ready.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use socket2::{SockRef, Type};
use windlass_proto::Time;

use super::super::listen::{self, TcpOptions};
use super::super::{ControlTurn, MioListener, MioUdp, Token};
use super::Passed;
use super::protocol::{Answer, Ask, DESCRIPTORS_MAX, Incoming, Item, VERSION};
use crate::server::Bequest;

/// Those who may ask at the same time; one of them is served.
const PEERS_MAX: usize = 4;
/// Reads from one of them in one turn: more than any line takes.
const READS_MAX: usize = 64;
/// Newcomers taken in one turn.
const ACCEPTS_MAX: usize = 8;
/// How long nobody is tried to be taken after that failed.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);
/// How long the first line may take, and the last answer.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Descriptors in one message, of the 253 that a system takes.
const MESSAGE_DESCRIPTORS: usize = 64;
/// Connections that wait for worker 0 to look.
const BACKLOG: i32 = 16;

/// A second descriptor of a socket, kept for a successor. The worker that has the first holds it, and
/// lets go of both together: a queue with no one to accept from it must not stay open.
pub(crate) type Twin = Arc<OwnedFd>;

/// Makes the twin of a listener.
pub(crate) fn twin(listener: &MioListener) -> io::Result<Twin> {
    let fd: OwnedFd = match listener {
        MioListener::Tcp(l) => SockRef::from(l).try_clone()?.into(),
        MioListener::Unix(l) => SockRef::from(l).try_clone()?.into(),
    };
    Ok(Arc::new(fd))
}

/// Makes the twin of a bound UDP socket, which holds it.
pub(crate) fn udp_twin(socket: &mut MioUdp) -> io::Result<Twin> {
    let twin: Twin = Arc::new(OwnedFd::from(SockRef::from(&socket.socket).try_clone()?));
    socket.twin = Some(twin.clone());
    Ok(twin)
}

/// Opens the control socket at `path`, or goes on with the one that a predecessor had there.
pub(crate) fn open_control(path: &Path, passed: Option<Passed>) -> io::Result<MioListener> {
    match passed {
        Some(passed) => passed.listener(&TcpOptions { backlog: BACKLOG, ..TcpOptions::default() }),
        None => listen::unix(path, BACKLOG, true),
    }
}

/// Whether the process at the other end belongs to our user, or to root.
pub(super) fn may_speak(socket: &impl AsFd) -> io::Result<bool> {
    let uid = rustix::net::sockopt::socket_peercred(socket)?.uid;
    Ok(uid == rustix::process::geteuid() || uid.is_root())
}

/// The control socket of a running server.
pub(crate) struct Control {
    listener: UnixListener,
    estate: Vec<Kept>,
    /// The listener's own.
    twin: Twin,
    peers: Vec<Peer>,
    ready_timeout: Duration,
}

/// Workers that share a queue have a descriptor each; one of them is enough.
fn keep_once(estate: &[(Item, Twin)]) -> io::Result<Vec<Kept>> {
    let mut seen = std::collections::HashSet::new();
    let mut once = Vec::new();
    for (item, twin) in estate {
        if seen.insert(rustix::net::sockopt::socket_cookie(twin)?) {
            let may_be_gone = SockRef::from(twin).r#type()? == Type::DGRAM;
            once.push(Kept { item: *item, renamed: None, twin: Arc::downgrade(twin), may_be_gone });
        }
    }
    Ok(once)
}

/// What a successor gets, as long as it is open.
struct Kept {
    item: Item,
    /// What it is called once a change is through: numbers may be swapped in one.
    renamed: Option<Item>,
    twin: Weak<OwnedFd>,
    /// A UDP socket: its service may close it while the server goes on.
    may_be_gone: bool,
}

/// Somebody who asks.
struct Peer {
    stream: UnixStream,
    stage: Stage,
    incoming: Incoming,
    /// It has sent something.
    has_spoken: bool,
    outgoing: VecDeque<Piece>,
    deadline: Time,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its first line is awaited.
    Greeting,
    /// It has everything, and makes itself ready.
    Offered,
    /// What it has is not what there is any more.
    Outdated,
    /// It stands ready, and is the successor.
    Succeeds,
    /// Its last answer is on its way.
    Leaving,
}

/// Bytes to be sent, with the descriptors that go with the first of them.
struct Piece {
    bytes: Vec<u8>,
    sent: usize,
    twins: Vec<Twin>,
}

impl Control {
    /// Serves `listener`; `estate` is what a successor gets.
    pub(crate) fn new(
        listener: MioListener,
        estate: &[(Item, Twin)],
        ready_timeout: Duration,
    ) -> io::Result<Control> {
        let twin = twin(&listener)?;
        let MioListener::Unix(listener) = listener else { return Err(io::ErrorKind::InvalidInput.into()) };
        let once = keep_once(estate)?;
        if once.len() >= DESCRIPTORS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more sockets than can be handed over"));
        }
        Ok(Control { listener, estate: once, twin, peers: Vec::new(), ready_timeout })
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut self.listener, mio::Token(Token::CONTROL.0), Interest::READABLE)
    }

    /// The server listens elsewhere from now on. A successor that has been offered what was before would
    /// take what closes, and not know of what is new.
    pub(crate) fn change(&mut self, bequest: &Bequest) {
        self.estate.retain(|kept| !bequest.gone.iter().any(|id| kept.item == Item::Listener(*id)));
        for (old, new) in &bequest.passed {
            for kept in self.estate.iter_mut().filter(|kept| kept.item == Item::Listener(*old)) {
                kept.renamed = Some(Item::Listener(*new));
            }
        }
        for kept in &mut self.estate {
            kept.item = kept.renamed.take().unwrap_or(kept.item);
        }
        // What is kept is asked for its cookie only, which it has as long as it is open.
        self.estate.extend(keep_once(&bequest.items).unwrap_or_default());
        self.ready_timeout = bequest.ready_timeout.unwrap_or(self.ready_timeout);
        for peer in self.peers.iter_mut().filter(|peer| peer.stage == Stage::Offered) {
            peer.stage = Stage::Outdated;
        }
    }

    /// The end of it: the server listens no more, and a successor hears its goodbye. The descriptor
    /// lives on in the successor, so what was registered must be taken back.
    pub(crate) fn close(mut self, registry: &Registry) -> Option<Successor> {
        let _ = registry.deregister(&mut self.listener);
        for peer in &mut self.peers {
            // Whoever does not take it finds the end of the stream.
            let _ = peer.flush();
        }
        let successor = self.peers.into_iter().find(|peer| peer.stage == Stage::Succeeds);
        successor.map(|peer| Successor(peer.stream))
    }

    /// Does what there is to do, and says when to come again if nothing happens.
    pub(crate) fn turn(&mut self, now: Time, registry: &Registry) -> ControlTurn {
        let mut turn = ControlTurn::default();
        self.accept(now, registry, &mut turn);
        let mut n = 0;
        while n < self.peers.len() {
            if self.serve(n, now, &mut turn) {
                n += 1;
            } else {
                self.peers.swap_remove(n);
            }
        }
        let deadline = self.peers.iter().map(|peer| peer.deadline).min();
        turn.next = [turn.next, deadline].into_iter().flatten().min();
        turn
    }

    fn accept(&mut self, now: Time, registry: &Registry, turn: &mut ControlTurn) {
        for _ in 0..ACCEPTS_MAX {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) =>
                {
                    continue;
                }
                // No descriptor for it, most likely: it waits.
                Err(_) => {
                    turn.next = Some(now + ACCEPT_RETRY);
                    return;
                }
            };
            let why = match may_speak(&stream) {
                Ok(true) if self.peers.len() < PEERS_MAX => None,
                Ok(true) => Some("too many others ask"),
                _ => Some("another user's process"),
            };
            let token = mio::Token(Token::CONTROL.0);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let mut peer = Peer {
                stage: Stage::Greeting,
                incoming: Incoming::default(),
                has_spoken: false,
                outgoing: VecDeque::new(),
                deadline: now + GREETING_TIMEOUT,
                stream: match registry.register(&mut stream, token, interest) {
                    Ok(()) => stream,
                    Err(_) => continue,
                },
            };
            match why {
                None => self.peers.push(peer),
                Some(why) => {
                    turn.refused += 1;
                    // One line fits into what has just been opened.
                    peer.say(Answer::Refused(why.into()), Vec::new());
                    let _ = peer.flush();
                }
            }
        }
        turn.next = Some(now);
    }

    /// Reads, answers, flushes; false when that one is to go.
    fn serve(&mut self, n: usize, now: Time, turn: &mut ControlTurn) -> bool {
        let ended = self.peers[n].read();
        loop {
            let peer = &mut self.peers[n];
            // Of one who has ended no word counts: whatever it took has gone with it.
            if ended || matches!(peer.stage, Stage::Leaving | Stage::Succeeds) {
                break;
            }
            match peer.incoming.line().map(|line| line.as_deref().map(Ask::parse)) {
                Ok(None) => break,
                Ok(Some(Some(ask))) => self.answer(n, ask, now, turn),
                _ => self.refuse(n, "that is no hand-over", now, turn),
            }
        }
        if turn.taken.is_some() {
            // Its goodbye is sent when we have stopped listening.
            return true;
        }
        let peer = &mut self.peers[n];
        let (stage, broken) = (peer.stage, peer.flush().is_err());
        if ended || broken || (stage == Stage::Leaving && peer.outgoing.is_empty()) {
            match stage {
                // Whoever leaves without a word wanted to know whether somebody is here.
                Stage::Greeting => turn.refused += u64::from(self.peers[n].has_spoken),
                Stage::Offered | Stage::Outdated => turn.lost += 1,
                Stage::Succeeds | Stage::Leaving => {}
            }
            return false;
        }
        if now >= peer.deadline {
            self.refuse(n, "that took too long", now, turn);
            let _ = self.peers[n].flush();
            return false;
        }
        true
    }

    fn answer(&mut self, n: usize, ask: Ask, now: Time, turn: &mut ControlTurn) {
        let busy = self.peers.iter().any(|peer| peer.stage == Stage::Offered);
        match (self.peers[n].stage, ask) {
            (Stage::Greeting, Ask::Hello(VERSION)) if busy => {
                self.refuse(n, "another successor is being served", now, turn);
            }
            (Stage::Greeting, Ask::Hello(VERSION)) => self.offer(n, now, turn),
            (Stage::Greeting, Ask::Hello(version)) => {
                let why = format!("it speaks version {VERSION} of the hand-over, not {version}");
                self.refuse(n, &why, now, turn);
            }
            (Stage::Offered, Ask::Ready(taken)) if taken.iter().all(|item| self.has(*item)) => {
                turn.taken = Some(taken);
                let peer = &mut self.peers[n];
                peer.stage = Stage::Succeeds;
                peer.say(Answer::Goodbye, Vec::new());
            }
            (Stage::Outdated, _) => self.refuse(n, "it has changed meanwhile: try again", now, turn),
            _ => self.refuse(n, "that is out of turn", now, turn),
        }
    }

    fn has(&self, item: Item) -> bool {
        item == Item::Control || self.estate.iter().any(|kept| kept.item == item)
    }

    fn offer(&mut self, n: usize, now: Time, turn: &mut ControlTurn) {
        let twins = self.estate.iter().filter_map(|kept| match kept.twin.upgrade() {
            None if kept.may_be_gone => None,
            twin => Some(twin.map(|twin| (kept.item, twin))),
        });
        let twins: Option<Vec<_>> = twins.collect();
        let Some(mut twins) = twins else {
            // A worker has closed its listeners, and the others are about to.
            return self.refuse(n, "it is changing, or shutting down", now, turn);
        };
        twins.push((Item::Control, self.twin.clone()));
        let peer = &mut self.peers[n];
        (peer.stage, peer.deadline) = (Stage::Offered, now + self.ready_timeout);
        peer.say(Answer::Offer(twins.len()), Vec::new());
        for part in twins.chunks(MESSAGE_DESCRIPTORS) {
            let lines: String = part.iter().map(|(item, _)| Answer::Given(*item).to_string()).collect();
            let twins = part.iter().map(|(_, twin)| twin.clone()).collect();
            peer.outgoing.push_back(Piece { bytes: lines.into(), sent: 0, twins });
        }
        turn.offered += 1;
    }

    fn refuse(&mut self, n: usize, why: &str, now: Time, turn: &mut ControlTurn) {
        let peer = &mut self.peers[n];
        match peer.stage {
            Stage::Greeting => turn.refused += 1,
            Stage::Offered | Stage::Outdated => turn.lost += 1,
            Stage::Succeeds | Stage::Leaving => {}
        }
        peer.stage = Stage::Leaving;
        peer.deadline = now + GREETING_TIMEOUT;
        peer.say(Answer::Refused(why.into()), Vec::new());
    }
}

/// The server that has taken over, as long as it is there: it says nothing more.
pub(crate) struct Successor(UnixStream);

impl Successor {
    /// To be asked after each event.
    pub(crate) fn is_gone(&mut self, registry: &Registry) -> bool {
        loop {
            match self.0.read(&mut [0; 64]) {
                Ok(1..) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => {
                    let _ = registry.deregister(&mut self.0);
                    return true;
                }
            }
        }
    }
}

impl Peer {
    fn say(&mut self, answer: Answer, twins: Vec<Twin>) {
        self.outgoing.push_back(Piece { bytes: answer.to_string().into(), sent: 0, twins });
    }

    /// Reads what is there, up to the longest line and a little more; true at the end of the stream.
    /// Descriptors that come along are closed by the system, since nobody asks for them.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        for _ in 0..READS_MAX {
            match self.stream.read(&mut bytes) {
                Ok(0) => return true,
                // Whoever leaves is not listened to any more.
                Ok(_) if matches!(self.stage, Stage::Leaving | Stage::Succeeds) => {}
                Ok(n) => {
                    self.has_spoken = true;
                    self.incoming.push(&bytes[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return e.kind() != io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    /// Sends what the stream takes.
    fn flush(&mut self) -> io::Result<()> {
        while let Some(piece) = self.outgoing.front_mut() {
            let fds: Vec<_> = piece.twins.iter().map(|twin| twin.as_fd()).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&fds));
            }
            let bytes = IoSlice::new(&piece.bytes[piece.sent..]);
            match rustix::net::sendmsg(&self.stream, &[bytes], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(n) => piece.sent += n,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
            drop(fds);
            piece.twins.clear();
            if piece.sent == piece.bytes.len() {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }
}
