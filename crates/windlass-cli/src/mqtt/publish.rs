//! `windlass pub`: what is published, and what became of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass::proto::mqtt::{
    Ack, InFlight, Outgoing, Packet, PacketId, PropertiesBuf, Publish, QoS, Reason, Resend, Topic,
};
use windlass::{Bytes, Close, Conn, Time};

use super::client::{End, Job, told};
use super::talk::Voice;

/// Where messages come from.
pub(super) enum Source {
    /// One, so many times.
    Same { payload: Bytes, left: u64, pause: Duration },
    /// A thread that reads lines, and whether it was told that there is room for more notes.
    Lines(Lines),
}

/// Lines that another thread reads.
pub(super) struct Lines {
    /// Locked by the one that takes them alone: the channel's end cannot be shared otherwise.
    pub(super) lines: Mutex<Receiver<Bytes>>,
    /// A note is on its way.
    pub(super) noted: Arc<AtomicBool>,
}

/// What there is to publish next.
enum Next {
    Message(Bytes),
    Later,
    Nothing,
}

impl Source {
    fn next(&mut self) -> Next {
        match self {
            Source::Same { left: 0, .. } => Next::Nothing,
            Source::Same { payload, left, .. } => {
                *left -= 1;
                Next::Message(payload.clone())
            }
            Source::Lines(Lines { lines, noted }) => {
                noted.store(false, Ordering::Release);
                let lines = lines.get_mut().unwrap_or_else(PoisonError::into_inner);
                match lines.try_recv() {
                    Ok(line) => Next::Message(line),
                    Err(TryRecvError::Empty) => Next::Later,
                    Err(TryRecvError::Disconnected) => Next::Nothing,
                }
            }
        }
    }

    fn pause(&self) -> Duration {
        match self {
            Source::Same { pause, .. } => *pause,
            Source::Lines(_) => Duration::ZERO,
        }
    }
}

/// The job.
pub(super) struct Publisher {
    pub(super) topic: String,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) properties: PropertiesBuf,
    pub(super) inflight_max: u16,
    source: Source,
    outgoing: Outgoing<Bytes>,
    /// What another connection did not bring to its end.
    again: VecDeque<Bytes>,
    /// The next message is not due before.
    not_before: Option<Time>,
    /// The source has no more.
    dry: bool,
    refused: Option<String>,
    end: Option<End>,
}

impl Publisher {
    pub(super) fn new(source: Source, topic: String, qos: QoS, retain: bool) -> Publisher {
        Publisher {
            topic,
            qos,
            retain,
            properties: PropertiesBuf::new(),
            inflight_max: 20,
            source,
            outgoing: Outgoing::new(0),
            again: VecDeque::new(),
            not_before: None,
            dry: false,
            refused: None,
            end: None,
        }
    }

    fn say(
        &self,
        (conn, voice): (&mut Conn<'_>, &mut Voice),
        (id, dup): (Option<PacketId>, bool),
        payload: &Bytes,
    ) -> Result<(), Close> {
        voice.say(
            conn,
            &Packet::Publish(Publish {
                qos: self.qos,
                dup,
                retain: self.retain,
                id,
                properties: self.properties.properties(),
                ..Publish::new(Topic::new(&self.topic)?, payload)
            }),
        )
    }

    /// Sends again what the session has under way.
    fn resend(&mut self, conn: &mut Conn<'_>, voice: &mut Voice) -> Result<(), Close> {
        loop {
            let (id, payload) = match self.outgoing.resend() {
                None => return Ok(()),
                Some(Resend::Pubrel(id)) => {
                    voice.say(conn, &Packet::Pubrel(Ack::new(id)))?;
                    continue;
                }
                Some(Resend::Publish(id, _, payload)) => (id, payload.clone()),
            };
            self.say((conn, voice), (Some(id), true), &payload)?;
        }
    }

    fn acknowledged(&mut self, ack: &Ack<'_>) {
        if ack.reason.is_error() {
            let why = told(ack.reason, ack.properties.iter());
            self.refused = Some(format!("the broker does not take a message: {why}"));
        }
    }

    /// A message that may go out now.
    fn next(&mut self, now: Time) -> Option<Bytes> {
        if self.qos != QoS::AtMostOnce && self.outgoing.quota() == 0 {
            return None;
        }
        if let Some(payload) = self.again.pop_front() {
            return Some(payload);
        }
        if self.dry || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        match self.source.next() {
            Next::Later => None,
            Next::Nothing => {
                self.dry = true;
                None
            }
            Next::Message(payload) => {
                let pause = self.source.pause();
                self.not_before = (!pause.is_zero()).then(|| now + pause);
                Some(payload)
            }
        }
    }
}

impl Job for Publisher {
    fn begin(
        &mut self,
        _: &mut Conn<'_>,
        _: &mut Voice,
        session_present: bool,
        receive_max: u16,
    ) -> Result<(), Close> {
        let receive_max = receive_max.min(self.inflight_max);
        if !session_present {
            // The broker knows nothing of them: they are new to it. What it has released it has.
            let under_way = std::mem::replace(&mut self.outgoing, Outgoing::new(receive_max));
            let under_way = under_way.in_flight().into_iter().filter_map(|(_, it)| match it {
                InFlight::Message(_, payload) => Some(payload.clone()),
                InFlight::Released => None,
            });
            for (at, payload) in under_way.enumerate() {
                self.again.insert(at, payload);
            }
        }
        self.outgoing.reconnected(receive_max);
        Ok(())
    }

    fn hear(&mut self, conn: &mut Conn<'_>, voice: &mut Voice, packet: Packet<'_>) -> Result<(), Close> {
        match packet {
            Packet::Puback(ack) => {
                self.outgoing.puback(ack.id)?;
                self.acknowledged(&ack);
            }
            Packet::Pubrec(ack) => match self.outgoing.pubrec(ack.id, ack.reason) {
                Ok(_) if ack.reason.is_error() => self.acknowledged(&ack),
                Ok(_) => voice.say(conn, &Packet::Pubrel(Ack::new(ack.id)))?,
                Err(_) => {
                    let unknown = Ack::with(ack.id, Reason::PacketIdentifierNotFound);
                    voice.say(conn, &Packet::Pubrel(unknown))?;
                }
            },
            Packet::Pubcomp(ack) => self.outgoing.pubcomp(ack.id)?,
            // A session that is kept may have subscriptions; what comes of them is not for us to take.
            _ => {}
        }
        Ok(())
    }

    fn go_on(&mut self, conn: &mut Conn<'_>, voice: &mut Voice) -> Result<(), Close> {
        self.resend(conn, voice)?;
        while !conn.is_congested() {
            let Some(payload) = self.next(conn.now()) else { break };
            let id = match self.qos {
                QoS::AtMostOnce => None,
                qos => Some(self.outgoing.send(qos, payload.clone())?),
            };
            if let Err(why) = self.say((conn, voice), (id, false), &payload) {
                // It would fail again and again.
                self.end = Some(End::failed(format!("a message of {} bytes: {why}", payload.len())));
                return Ok(());
            }
        }
        if self.dry && self.again.is_empty() && self.outgoing.is_empty() {
            self.end = Some(match self.refused.take() {
                None => End::Done,
                Some(why) => End::failed(why),
            });
        }
        Ok(())
    }

    fn wants_at(&self) -> Option<Time> {
        self.not_before.filter(|_| !self.dry)
    }

    fn stop(&mut self) {
        self.end.get_or_insert(End::failed("stopped before everything was published"));
    }

    fn end(&self) -> Option<End> {
        self.end.clone()
    }

    fn is_in_doubt(&self) -> bool {
        self.qos == QoS::AtMostOnce
    }
}
