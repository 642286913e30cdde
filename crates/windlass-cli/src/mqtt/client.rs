//! A client of a broker as a service of the engine: it connects, again too, keeps the connection alive, and
//! leaves what is done with it to a [`Job`].

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use windlass::proto::mqtt::{Connack, Disconnect, Packet, Reason, Version};
use windlass::{
    Close, Conn, ConnId, ConnectError, Handle, Input, Receive, Reconnect, Scope, Service, Sessions, Time,
};

use super::login::Login;
use super::place::Place;
use super::talk::{Talk, Voice};

/// How long the broker may take to answer CONNECT.
const CONNACK: Duration = Duration::from_secs(15);

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// As it was told to.
    Done,
    /// With this exit code, for a reason to tell or none.
    Code(u8, Option<String>),
}

impl End {
    pub(super) fn failed(why: impl Into<String>) -> End {
        End::Code(1, Some(why.into()))
    }
}

/// What a client is for.
pub(super) trait Job: Send + 'static {
    /// Messages flow. The broker takes up to `receive_max` at once, and has a session of ours or not.
    fn begin(
        &mut self,
        conn: &mut Conn<'_>,
        voice: &mut Voice,
        session_present: bool,
        receive_max: u16,
    ) -> Result<(), Close>;

    /// A packet came that is of messages.
    fn hear(&mut self, conn: &mut Conn<'_>, voice: &mut Voice, packet: Packet<'_>) -> Result<(), Close>;

    /// Says what can be said now.
    fn go_on(&mut self, conn: &mut Conn<'_>, voice: &mut Voice) -> Result<(), Close>;

    /// When it wants to go on, if nothing comes.
    fn wants_at(&self) -> Option<Time> {
        None
    }

    /// Somebody wants it to end.
    fn stop(&mut self);

    /// How it has ended, if it has.
    fn end(&self) -> Option<End>;

    /// Whether a connection that broke while it was closed leaves a doubt whether all has come.
    fn is_in_doubt(&self) -> bool {
        false
    }
}

/// What comes from other threads.
pub(super) enum Note {
    /// There is more to say.
    More,
    /// The time is up that was given.
    TimeIsUp,
}

/// What the client shares with who waits for it.
#[derive(Clone, Default)]
pub(super) struct Shared {
    pub(super) handle: Arc<OnceLock<Handle>>,
    end: Arc<Mutex<Option<End>>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<End>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended; `None` if it was stopped before it came to anything.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().take()
    }

    fn finish(&self, end: End) {
        self.lock().get_or_insert(end);
        if let Some(handle) = self.handle.get() {
            handle.shutdown();
        }
    }
}

/// The client.
pub(super) struct Client<J> {
    pub(super) job: J,
    pub(super) login: Login,
    pub(super) place: Place,
    pub(super) shared: Shared,
    pub(super) reconnect: Reconnect,
    /// Connections tried, and whether messages ever flowed.
    tried: usize,
    served: bool,
    keep_alive: Duration,
}

impl<J: Job> Client<J> {
    pub(super) fn new(job: J, login: Login, place: Place, shared: Shared) -> Client<J> {
        // As mosquitto's clients: a second, then more, and half a minute at the most.
        let reconnect =
            Reconnect::default().pauses(Duration::from_secs(1), Duration::from_secs(30)).jitter_percent(50);
        let keep_alive = Duration::from_secs(login.keep_alive.into());
        Client { job, login, place, shared, reconnect, tried: 0, served: false, keep_alive }
    }

    /// The next address, at once or after a pause.
    fn next(&mut self, pause: Option<(Time, u64)>) -> windlass::Connect {
        let connect = self.place.connect(self.tried);
        self.tried += 1;
        match pause {
            None => connect,
            Some((now, random)) => connect.after(self.reconnect.failed(now, random)),
        }
    }

    /// CONNECT, once packets can be said.
    fn connect(&mut self, conn: &mut Conn<'_>, talk: &mut Talk) -> Result<(), Close> {
        let login = &self.login;
        login.debug("sending", "CONNECT");
        login.connect(|packet| talk.voice.say(conn, packet))
    }

    fn packet(&mut self, conn: &mut Conn<'_>, voice: &mut Voice, packet: Packet<'_>) -> Result<(), Close> {
        self.login.debug("received", packet.kind().name());
        match packet {
            Packet::Connack(connack) => self.connack(conn, voice, &connack),
            Packet::Pingresp => {
                voice.asked = false;
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                let why = disconnect.reason;
                let text =
                    format!("the broker ended the connection: {}", told(why, disconnect.properties.iter()));
                if why == Reason::SessionTakenOver {
                    // Whoever has taken it would lose it again.
                    self.shared.finish(End::failed(&*text));
                }
                Err(Close::Protocol(text.into()))
            }
            packet => self.job.hear(conn, voice, packet),
        }
    }

    fn connack(
        &mut self,
        conn: &mut Conn<'_>,
        voice: &mut Voice,
        connack: &Connack<'_>,
    ) -> Result<(), Close> {
        let properties = connack.properties;
        if connack.reason != Reason::Success {
            let code = connack.reason.connack_code(self.login.version).unwrap_or(1);
            let why = format!(
                "{}: connection refused: {}",
                self.place.name,
                told(connack.reason, properties.iter())
            );
            self.shared.finish(End::Code(code, Some(why)));
            return Err(Close::Done);
        }
        if let Some(seconds) = properties.server_keep_alive() {
            self.keep_alive = Duration::from_secs(seconds.into());
        }
        if let Some(max) = properties.maximum_packet_size() {
            voice.set_send_max(max as usize);
        }
        voice.open = true;
        self.served = true;
        self.reconnect.connected(conn.now());
        let receive_max = properties.receive_maximum().unwrap_or(u16::MAX);
        self.job.begin(conn, voice, connack.session_present, receive_max)
    }

    /// What is to be done behind everything else: more is said, or good-bye, and the time is set.
    fn settle(&mut self, conn: &mut Conn<'_>, voice: &mut Voice) -> Result<(), Close> {
        if voice.open && self.job.end().is_none() {
            self.job.go_on(conn, voice)?;
        }
        if let Some(end) = self.job.end() {
            if !voice.open {
                self.shared.finish(end);
                return Err(Close::Done);
            }
            if !voice.over {
                self.login.debug("sending", "DISCONNECT");
                let properties = self.login.given.disconnect().properties();
                let reason = Reason::Success;
                voice.say(conn, &Packet::Disconnect(Disconnect { properties, ..Disconnect::new(reason) }))?;
                // The broker ends its side when it has read all of ours: then nothing was lost on the way.
                conn.half_close();
                conn.wake_at(conn.now() + super::LEAVING);
            }
            return Ok(());
        }
        let mut at = match voice.open {
            false => Some(voice.said + CONNACK),
            true if self.keep_alive.is_zero() => None,
            true => Some(voice.said + self.keep_alive),
        };
        if let Some(wanted) = self.job.wants_at().filter(|_| voice.open) {
            at = Some(at.map_or(wanted, |at| at.min(wanted)));
        }
        match at {
            Some(at) => conn.wake_at(at),
            None => conn.cancel_wake(),
        }
        Ok(())
    }
}

/// A reason, and what the broker says of it.
pub(super) fn told<'p>(
    reason: Reason,
    mut properties: impl Iterator<Item = windlass::proto::mqtt::Property<'p>>,
) -> String {
    let said = properties.find_map(|property| match property {
        windlass::proto::mqtt::Property::ReasonString(text) => Some(text),
        _ => None,
    });
    match said {
        None => reason.name().to_lowercase(),
        Some(said) => format!("{} ({said})", reason.name().to_lowercase()),
    }
}

impl<J: Job> Service for Client<J> {
    type Session = Talk;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Talk>) {
        if let Err(why) = scope.connect(self.next(None)) {
            self.shared.finish(End::failed(format!("cannot connect to {}: {why}", self.place.name)));
        }
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Talk, Close> {
        // Nothing is listened on.
        Err(Close::Done)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, _: u64) -> Result<Talk, Close> {
        let mut talk = Talk::new(conn, self.login.version, self.place.web.as_ref())?;
        if talk.is_ready() {
            self.connect(conn, &mut talk)?;
        }
        conn.wake_at(conn.now() + CONNACK);
        Ok(talk)
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Talk>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        let text = format!("cannot connect to {}: {why}", self.place.name);
        let more = self.tried < self.place.addresses();
        if !self.served && !more {
            return self.shared.finish(End::failed(text));
        }
        let pause = self.served.then(|| (scope.now(), scope.random()));
        if pause.is_some() {
            self.login.tell(&text);
        }
        let connect = self.next(pause);
        // Refused only once it ends.
        let _ = scope.connect(connect);
    }

    fn data(&mut self, conn: &mut Conn<'_>, talk: &mut Talk, input: &mut Input<'_>) -> Result<(), Close> {
        let was_ready = talk.is_ready();
        talk.hear(conn, input, &mut |conn, voice, packet| self.packet(conn, voice, packet))?;
        if !was_ready && talk.is_ready() {
            self.connect(conn, talk)?;
        }
        self.settle(conn, &mut talk.voice)
    }

    fn drained(&mut self, conn: &mut Conn<'_>, talk: &mut Talk) -> Result<(), Close> {
        self.settle(conn, &mut talk.voice)
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, talk: &mut Talk) -> Result<(), Close> {
        let voice = &mut talk.voice;
        if voice.over && conn.output_len() > 0 {
            // Of a broker that takes nothing at all the engine has had enough by itself.
            conn.wake_at(conn.now() + super::LEAVING);
            return Ok(());
        }
        if !voice.open || voice.over {
            return Err(Close::Timeout);
        }
        if !self.keep_alive.is_zero() && conn.now() >= voice.said + self.keep_alive {
            if voice.asked {
                return Err(Close::Timeout);
            }
            self.login.debug("sending", "PINGREQ");
            voice.say(conn, &Packet::Pingreq)?;
            voice.asked = true;
        }
        self.settle(conn, voice)
    }

    fn draining(&mut self, conn: &mut Conn<'_>, talk: &mut Talk) -> Result<(), Close> {
        self.job.stop();
        self.settle(conn, &mut talk.voice)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, talk: Talk, why: Close) {
        let text = match &why {
            Close::Protocol(why) => format!("{}: {why}", self.place.name),
            Close::Eof => format!("{} closed the connection", self.place.name),
            Close::Timeout => format!("{} does not answer", self.place.name),
            why => format!("lost the connection to {}: {why}", self.place.name),
        };
        if let Some(end) = self.job.end() {
            let broken = matches!(why, Close::Reset | Close::Io(_) | Close::Overflow | Close::Timeout);
            let doubt = broken && self.job.is_in_doubt();
            return self.shared.finish(if doubt { End::failed(text) } else { end });
        }
        if !talk.voice.open && !self.served {
            return self.shared.finish(End::failed(text));
        }
        if conn.is_draining() || self.shared.lock().is_some() {
            return;
        }
        self.login.tell(&format!("{text}; trying again"));
        let connect = self.next(Some((conn.now(), conn.random())));
        // Refused only once it ends.
        let _ = conn.connect(connect);
    }
}

impl<J: Job> Receive for Client<J> {
    type Message = Note;

    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Talk>, note: Note) {
        if let Note::TimeIsUp = note
            && self.job.end().is_none()
        {
            self.job.stop();
            self.shared.lock().get_or_insert(End::Code(super::TIMED_OUT, None));
        }
        let mut any = false;
        sessions.each(scope, |conn, talk| {
            any = true;
            if let Err(why) = self.settle(conn, &mut talk.voice) {
                match why {
                    Close::Done => conn.close(),
                    why => {
                        self.shared.finish(End::failed(why.to_string()));
                        conn.abort();
                    }
                }
            }
        });
        if !any && self.job.end().is_some() {
            self.shared.finish(End::Done);
        }
    }
}

/// What the versions are called.
pub(super) fn version(spoken: crate::args::Spoken) -> Version {
    match spoken {
        crate::args::Spoken::V311 => Version::V311,
        crate::args::Spoken::V5 => Version::V5,
    }
}
