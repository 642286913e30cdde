//! The loop: one thread, one epoll, its share of the groups of publishers and subscribers.
//!
//! One pass waits for events, reads and verifies what arrived, has publishers send the next messages, and
//! then hands each connection all it has to say in one write.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use windlass_proto::Input;
use windlass_proto::mqtt::{Packet, Properties, Publish};

use super::flow::{Flow, Publisher, Role};
use super::options::{Mode, MqttOptions};
use super::peer::{self, Login, Peer, Wish};
use crate::clock;
use crate::latency::Latency;
use crate::load::{Cursor, Fault, Pace, Tally, Wire};
use crate::net::Dialer;
use crate::pattern::Pattern;

/// Shared by all connections of a thread.
const SCRATCH: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// Longest sleep, so that deadlines and stalls are noticed.
const NAP: u64 = 10_000_000;
/// An open loop sleeps only until this long before the next message is due, and spins from there.
const SPIN: u64 = 200_000;
/// Nothing is published on a connection while so much waits to be sent on it.
const ROOM: usize = 256 * 1024;
/// How long a broker may take until messages flow on a connection, without a sign of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection.
struct Client {
    wire: Wire,
    peer: Peer,
    role: Role,
    /// Encoded and not taken by the kernel: what stands behind `at`.
    out: Vec<u8>,
    at: usize,
    /// Received and not complete.
    left: Vec<u8>,
    /// It stands in the list of those that have something to send.
    dirty: bool,
    /// Not TCP: whether it is asked when the socket can be written.
    watching: bool,
}

impl Client {
    fn new(wire: Wire, peer: Peer, role: Role) -> Client {
        let (out, left) = (Vec::new(), Vec::new());
        Client { wire, peer, role, out, at: 0, left, dirty: false, watching: false }
    }

    /// Hands what is to be said to the kernel; true: some of it has to wait.
    fn flush(&mut self) -> Result<bool, Fault> {
        while self.at < self.out.len() {
            match self.wire.send(&self.out[self.at..])? {
                None => return Ok(true),
                Some(sent) => self.at += sent,
            }
        }
        self.out.clear();
        self.at = 0;
        self.wire.push()
    }

    /// Reads once; `take` gets the packets that are complete. `None`: nothing is there; else whether more may be.
    fn read(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(&mut Role, Packet<'_>, &mut peer::Voice, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<Option<bool>, Fault> {
        let Some(read) = self.wire.receive(scratch)? else { return Ok(None) };
        if read == 0 {
            return Err(Fault::Closed { owed: 0, unit: "messages" });
        }
        let more = read == scratch.len() || !self.wire.short_read_is_last();
        let Client { peer, role, out, left, .. } = self;
        let mut take =
            |packet: Packet<'_>, voice: &mut peer::Voice, out: &mut Vec<u8>| take(role, packet, voice, out);
        if left.is_empty() {
            let mut input = Input::new(&mut scratch[..read]);
            peer.hear(&mut input, out, &mut take)?;
            left.extend_from_slice(input.peek());
        } else {
            left.extend_from_slice(&scratch[..read]);
            let mut input = Input::new(left);
            peer.hear(&mut input, out, &mut take)?;
            let rest = input.len();
            left.drain(..left.len() - rest);
        }
        Ok(Some(more))
    }

    /// Does all that stands before the first message.
    fn open(&mut self, scratch: &mut [u8]) -> Result<(), Fault> {
        self.peer.open(&mut self.out)?;
        while !self.peer.is_open() {
            let blocked = self.flush()?;
            let heard = self.read(scratch, |_, packet, _, _| {
                Err(Fault::Wrong(format!("{} that nobody asked for", packet.kind().name())))
            })?;
            if self.peer.is_open() {
                break;
            }
            // What was opened just now has something to say.
            self.peer.open(&mut self.out)?;
            if heard.is_none() && self.out.is_empty() && !self.wire.wait(blocked, PATIENCE)? {
                return Err(Fault::Wrong(format!("no answer for {PATIENCE:?} before messages flow")));
            }
        }
        Ok(())
    }
}

/// The groups of one thread and all that drives them.
pub(super) struct MqttLoad {
    epoll: OwnedFd,
    tcp: bool,
    scratch: Vec<u8>,
    /// `None`: the connection has failed, and was counted as a fault.
    clients: Vec<Option<Box<Client>>>,
    /// Those that subscribe and never read.
    stalled: Vec<Client>,
    /// Connections that have something to send.
    dirty: Vec<u32>,
    payload: Vec<u8>,
    subscribers: u32,
    retain: bool,
    pub(super) flow: Flow,
    /// The schedule of an open loop, and this thread's place in it.
    pace: Option<Cursor>,
    issuing: bool,
}

impl MqttLoad {
    /// Connects this thread's share; nothing is published yet.
    pub(super) fn connect(
        options: &MqttOptions,
        login: &Arc<Login>,
        dialer: &Dialer,
        thread: usize,
    ) -> Result<MqttLoad> {
        let load = &options.load;
        let (publishers, subscribers) = options.group();
        let mut this = MqttLoad {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            tcp: dialer.is_tcp(),
            scratch: vec![0; SCRATCH],
            clients: Vec::new(),
            stalled: Vec::new(),
            dirty: Vec::new(),
            payload: Vec::new(),
            subscribers: subscribers as u32,
            retain: options.retain,
            flow: Flow {
                publishers: Vec::new(),
                qos: options.qos,
                size: load.size,
                pattern: Arc::new(Pattern::new()),
                ready: Vec::new(),
                counts_acks: options.mode == Mode::Publish,
                window: (0, u64::MAX),
                tally: Tally::default(),
                acknowledged: Latency::new(),
                due: None,
            },
            pace: None,
            issuing: false,
        };
        let run = &options.run;
        let qos = options.qos;
        let depth = load.rate.is_none().then_some(load.depth);
        for group in (thread..options.groups()).step_by(load.threads) {
            let topic: Arc<str> = format!("{run}/{group}").into();
            let first = this.flow.publishers.len();
            // Whoever listens is there before anybody speaks.
            for nth in 0..subscribers {
                let wish = Wish { filter: topic.clone(), qos };
                let id = format!("{run}-s{group}-{nth}");
                let peer = Peer::new(login, id, options.durable, Some(wish));
                let next = vec![0; publishers].into();
                this.add(dialer.connect()?, peer, Role::Subscriber { first, next })?;
            }
            if group == 0 {
                for nth in 0..options.stalled {
                    let wish = Wish { filter: topic.clone(), qos };
                    let peer = Peer::new(login, format!("{run}-x{nth}"), options.durable, Some(wish));
                    let mut client = Client::new(dialer.connect()?, peer, Role::Publisher(usize::MAX));
                    client.open(&mut this.scratch).map_err(|fault| anyhow!("{fault}"))?;
                    this.stalled.push(client);
                }
            }
            for nth in 0..publishers {
                let number = (group * publishers + nth) as u32;
                let topic = if subscribers == 0 { format!("{run}/{number}").into() } else { topic.clone() };
                let index = this.flow.publishers.len();
                let peer = Peer::new(login, format!("{run}-p{number}"), false, None);
                let most = this.add(dialer.connect()?, peer, Role::Publisher(index))?;
                let client = this.clients.len() - 1;
                let mut publisher = Publisher::new(number, client, topic, depth);
                publisher.receive_maximum = u32::from(most);
                this.flow.publishers.push(publisher);
            }
        }
        Ok(this)
    }

    /// Adds a connection once messages can flow on it; how many messages the broker takes at a time.
    fn add(&mut self, wire: Wire, peer: Peer, role: Role) -> Result<u16> {
        let mut client = Client::new(wire, peer, role);
        client.open(&mut self.scratch).map_err(|fault| anyhow!("{fault}"))?;
        let index = self.clients.len() as u64;
        epoll::add(&self.epoll, &client.wire, EventData::new_u64(index), interest(self.tcp))?;
        let most = client.peer.receive_maximum;
        self.clients.push(Some(Box::new(client)));
        Ok(most)
    }

    /// Starts the closed loop: every publisher sends as much as it may.
    pub(super) fn start_closed(&mut self) {
        self.issuing = true;
        self.flow.ready.extend(0..self.flow.publishers.len() as u32);
        self.publish();
    }

    /// Starts the open loop: this thread's publishers are `first`, `first + stride`, ...
    pub(super) fn start_open(&mut self, pace: Pace, first: usize, stride: usize) {
        self.issuing = true;
        let count = self.flow.publishers.len() as u64;
        self.pace = Some(Cursor::new(pace, first as u64, stride as u64, count));
        self.flow.due = Some(Box::new(move |publisher, message| pace.due(publisher, message)));
    }

    /// Publishes nothing more but what was due inside the window.
    pub(super) fn stop(&mut self) {
        if self.issuing {
            self.take_due(self.flow.window.1.saturating_sub(1));
            self.issuing = false;
        }
    }

    /// Counts the time of what is under way from `now` on: the load was at rest until then.
    pub(super) fn restart(&mut self, now: u64) {
        for publisher in &mut self.flow.publishers {
            publisher.restart(now);
        }
    }

    /// Deliveries and acknowledgements that have not come.
    pub(super) fn awaited(&self) -> u64 {
        let publishers = self.flow.publishers.iter();
        publishers.map(|publisher| publisher.awaited() + self.not_sent(publisher)).sum()
    }

    fn not_sent(&self, publisher: &Publisher) -> u64 {
        publisher.due.saturating_sub(publisher.sent) * u64::from(self.subscribers.max(1))
    }

    /// Publishers of whose messages something is awaited, and nothing was heard since `since`.
    pub(super) fn stalled(&self, since: u64) -> usize {
        let stuck = |publisher: &&Publisher| {
            publisher.progress < since && publisher.awaited() + self.not_sent(publisher) > 0
        };
        self.flow.publishers.iter().filter(stuck).count()
    }

    /// Waits for events once and serves them; returns the time.
    pub(super) fn pass(&mut self) -> u64 {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let nap = self.nap();
        let before = if nap == 0 { clock::now() } else { 0 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: nap as _ };
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => {
                for event in ready.iter() {
                    // Copied out, because the kernel's structure is packed.
                    let (data, flags) = (event.data, event.flags);
                    let index = data.u64() as usize;
                    self.settle(index, |load, client| load.serve(client, flags));
                    self.mark(index);
                }
                let idle = ready.is_empty();
                self.publish();
                self.flush();
                let now = clock::now();
                if idle && nap == 0 {
                    self.flow.tally.spun += now - before;
                }
                now
            }
            Err(error) => {
                if error != Errno::INTR {
                    self.flow.tally.fault(&Fault::Failed(error), |_| format!("epoll: {error}"));
                }
                clock::now()
            }
        }
    }

    /// Has what is due sent; returns how long to sleep.
    fn nap(&mut self) -> u64 {
        let now = clock::now();
        let Some(next) = self.take_due(now) else { return NAP };
        self.flush();
        next.saturating_sub(now).saturating_sub(SPIN).min(NAP)
    }

    /// Publishes what is due by `due` in an open loop; returns when the next message is.
    fn take_due(&mut self, due: u64) -> Option<u64> {
        let mut cursor = self.pace.filter(|_| self.issuing)?;
        while let Some(index) = cursor.take(due) {
            let publisher = &mut self.flow.publishers[index];
            if publisher.due == publisher.sent && publisher.awaited() == 0 {
                publisher.progress = due;
            }
            publisher.due += 1;
            self.flow.ready.push(index as u32);
        }
        self.pace = Some(cursor);
        self.publish();
        Some(cursor.next_due())
    }

    /// Has every publisher that may be able to send more do so.
    fn publish(&mut self) {
        let now = clock::now();
        while let Some(index) = self.flow.ready.pop() {
            let index = index as usize;
            let client = self.flow.publishers[index].client;
            self.settle(client, |load, client| load.publish_as(index, client, now));
            self.mark(client);
        }
    }

    fn publish_as(&mut self, index: usize, client: &mut Client, now: u64) -> Result<(), Fault> {
        let (qos, retain) = (self.flow.qos, self.retain);
        loop {
            let publisher = &self.flow.publishers[index];
            let wanted = match self.pace {
                // What was due before the end still goes out behind it.
                Some(_) => publisher.sent < publisher.due,
                None => self.issuing,
            };
            if !wanted || !publisher.has_room() || client.out.len() - client.at > ROOM {
                return Ok(());
            }
            let mut payload = std::mem::take(&mut self.payload);
            self.flow.write_payload(publisher.number, publisher.sent as u32, &mut payload);
            let publisher = &mut self.flow.publishers[index];
            let topic = publisher.topic.clone();
            let id = publisher.send(qos, self.subscribers, now);
            let publish = Publish {
                qos,
                id,
                retain,
                properties: Properties::NONE,
                ..Publish::new(peer::topic(&topic)?, &payload)
            };
            let said = client.peer.voice().say(&Packet::Publish(publish), &mut client.out);
            self.payload = payload;
            said?;
        }
    }

    /// Notes that a connection may have something to send.
    fn mark(&mut self, index: usize) {
        if let Some(client) = &mut self.clients[index]
            && !client.dirty
            && client.at < client.out.len()
        {
            client.dirty = true;
            self.dirty.push(index as u32);
        }
    }

    fn flush(&mut self) {
        while let Some(index) = self.dirty.pop() {
            self.settle(index as usize, |load, client| {
                client.dirty = false;
                load.send(index as usize, client)
            });
        }
    }

    fn send(&self, index: usize, client: &mut Client) -> Result<(), Fault> {
        let blocked = client.flush()?;
        if !self.tcp && blocked != client.watching {
            client.watching = blocked;
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &client.wire, data, interest(blocked)).map_err(Fault::Failed)?;
        }
        Ok(())
    }

    fn serve(&mut self, client: &mut Client, flags: EventFlags) -> Result<(), Fault> {
        let waking = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(waking) {
            let ending = flags.intersects(waking.difference(EventFlags::IN));
            loop {
                let MqttLoad { scratch, flow, .. } = self;
                let mut now = 0;
                let read = client.read(scratch, |role, packet, voice, out| {
                    if now == 0 {
                        now = clock::now();
                    }
                    flow.take(role, &packet, (voice, out), now)
                });
                // Behind the last bytes of a closing peer stands an end that no further event announces.
                if !(read?.is_some_and(|more| more || ending)) {
                    break;
                }
            }
        }
        if flags.intersects(EventFlags::OUT)
            && let Role::Publisher(index) = client.role
        {
            // There may be room again.
            self.flow.ready.push(index as u32);
        }
        Ok(())
    }

    /// Runs `step` on a connection and, if it fails, ends that.
    fn settle(&mut self, index: usize, step: impl FnOnce(&mut MqttLoad, &mut Client) -> Result<(), Fault>) {
        let Some(mut client) = self.clients[index].take() else { return };
        match step(self, &mut client) {
            Ok(()) => self.clients[index] = Some(client),
            Err(fault) => {
                let who = match client.role {
                    Role::Publisher(publisher) => {
                        format!("publisher {}", self.flow.publishers[publisher].number)
                    }
                    Role::Subscriber { .. } => format!("connection {index}, which subscribes"),
                };
                self.flow.tally.fault(&fault, |fault| format!("{who}: {fault}"));
            }
        }
    }

    /// Whether any connection lives.
    pub(super) fn lives(&self) -> bool {
        self.clients.iter().any(Option::is_some)
    }

    /// Takes back what would stay with the broker, and says good-bye. What cannot be said at once stays unsaid.
    pub(super) fn leave(&mut self) {
        for index in 0..self.clients.len() {
            self.settle(index, |load, client| {
                if let Role::Publisher(publisher) = client.role
                    && load.retain
                {
                    let topic = load.flow.publishers[publisher].topic.clone();
                    let nothing = Publish { retain: true, ..Publish::new(peer::topic(&topic)?, b"") };
                    client.peer.voice().say(&Packet::Publish(nothing), &mut client.out)?;
                }
                client.peer.leave(&mut client.out)?;
                client.flush().map(drop)
            });
        }
    }
}

fn interest(write: bool) -> EventFlags {
    let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if write { read | EventFlags::OUT } else { read }
}
