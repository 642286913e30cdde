//! `windlass sub`: what is subscribed to, and what is printed.

use std::io::Write as _;

use jiff::Zoned;
use windlass::proto::mqtt::{
    Ack, AliasesIn, Arrival, Filter, Filters, Incoming, Names, Packet, PacketId, Publish, QoS, Reason,
    Subscribe, SubscribeOptions, Subscription, Topic, Unsubscribe,
};
use windlass::{Close, Conn};

use super::client::{End, Job};
use super::format::{Format, Printed};
use super::property::Given;
use super::talk::Voice;
use crate::args::SubArgs;

/// What SUBSCRIBE and UNSUBSCRIBE are answered by. Nothing else of ours has an identifier.
const SUBSCRIBE: PacketId = PacketId::MIN;
const UNSUBSCRIBE: PacketId = match PacketId::new(2) {
    Some(id) => id,
    None => PacketId::MIN,
};

/// Bytes of topics that aliases may stand for.
const ALIASES_BYTES_MAX: usize = 16 << 20;

/// The job.
pub(super) struct Subscriber {
    filters: Vec<String>,
    unsubscribe: Vec<String>,
    filter_out: Vec<String>,
    qos: QoS,
    /// `None`: the payload, or topic and payload.
    format: Option<Format>,
    verbose: bool,
    pretty: bool,
    newline: bool,
    /// Messages that are still to come.
    left: Option<u64>,
    until_subscribed: bool,
    no_retained: bool,
    retained_only: bool,
    remove_retained: bool,
    quiet: bool,
    given: Given,
    incoming: Incoming,
    aliases: AliasesIn,
    /// Answers that are still to come.
    answers: u32,
    out: Vec<u8>,
    end: Option<End>,
}

impl Subscriber {
    pub(super) fn new(args: &SubArgs, filters: Vec<String>, given: Given) -> Subscriber {
        let aliases = given.connect().properties().topic_alias_maximum().unwrap_or(0);
        Subscriber {
            filters,
            unsubscribe: args.unsubscribe.clone(),
            filter_out: args.filter_out.clone(),
            qos: QoS::from_bits(args.qos).unwrap_or_default(),
            format: args.format.clone(),
            verbose: args.verbose,
            pretty: args.pretty,
            newline: !args.no_newline,
            left: args.count,
            until_subscribed: args.exit_after_subscribe,
            no_retained: args.no_retained,
            retained_only: args.retained_only,
            remove_retained: args.remove_retained,
            quiet: args.broker.quiet,
            given,
            incoming: Incoming::new(u16::MAX, false),
            aliases: AliasesIn::new(aliases, ALIASES_BYTES_MAX),
            answers: 0,
            out: Vec::new(),
            end: None,
        }
    }

    fn complain(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "error: {text}");
        }
    }

    fn message(
        &mut self,
        conn: &mut Conn<'_>,
        voice: &mut Voice,
        publish: &Publish<'_>,
    ) -> Result<(), Close> {
        let topic =
            self.aliases.resolve(publish.topic, publish.properties.topic_alias())?.as_str().to_owned();
        let arrival = match publish.id {
            None => Arrival::AtMostOnce,
            Some(id) => self.incoming.publish(publish.qos, id, publish.dup)?,
        };
        if arrival != Arrival::Duplicate && self.end.is_none() {
            self.take(conn, voice, &topic, publish)?;
        }
        if let Arrival::New(ticket) = arrival {
            self.incoming.ready(ticket, Reason::Success);
        }
        while let Some((kind, id, reason)) = self.incoming.next_ack() {
            let ack = Ack::with(id, reason);
            let packet = match kind {
                windlass::proto::mqtt::Kind::Puback => Packet::Puback(ack),
                _ => Packet::Pubrec(ack),
            };
            voice.say(conn, &packet)?;
        }
        Ok(())
    }

    /// Prints a message, if it is wanted.
    fn take(
        &mut self,
        conn: &mut Conn<'_>,
        voice: &mut Voice,
        topic: &str,
        publish: &Publish<'_>,
    ) -> Result<(), Close> {
        let named = Topic::new(topic)?;
        let matches = |filter: &String| Filter::new(filter).is_ok_and(|filter| filter.matches(named));
        if self.retained_only && !publish.retain {
            self.end = Some(End::Done);
            return Ok(());
        }
        if self.no_retained && publish.retain || self.filter_out.iter().any(matches) {
            return Ok(());
        }
        if self.remove_retained && publish.retain {
            voice.say(conn, &Packet::Publish(Publish { retain: true, ..Publish::new(named, b"") }))?;
        }
        let printed = Printed {
            topic,
            payload: publish.payload,
            qos: publish.qos as u8,
            retain: publish.retain,
            id: publish.id.map_or(0, PacketId::get),
            properties: publish.properties,
            at: &Zoned::now(),
        };
        self.print_one(&printed);
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.end = Some(End::Done);
            }
        }
        Ok(())
    }

    fn print_one(&mut self, message: &Printed<'_>) {
        let Some(format) = &self.format else {
            // As mosquitto_sub does: of nothing there is no line, but with a topic.
            match (self.verbose, message.payload) {
                (false, b"") => return,
                (true, b"") => self.out.extend([message.topic.as_bytes(), b" (null)"].concat()),
                (false, payload) => self.out.extend_from_slice(payload),
                (true, payload) => self.out.extend([message.topic.as_bytes(), b" ", payload].concat()),
            }
            self.out.extend(self.newline.then_some(b'\n'));
            return;
        };
        let start = self.out.len();
        match format.print(message, self.pretty, &mut self.out) {
            Ok(()) => self.out.extend(self.newline.then_some(b'\n')),
            Err(why) => {
                self.out.truncate(start);
                self.complain(&why);
            }
        }
    }

    /// An answer to what was asked for.
    fn answered(&mut self) {
        self.answers = self.answers.saturating_sub(1);
        if self.answers == 0 && self.until_subscribed {
            self.end.get_or_insert(End::Done);
        }
    }

    fn print(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        if let Err(error) = stdout.write_all(&self.out).and_then(|()| stdout.flush()) {
            // Who reads no further has had enough.
            let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
            self.end = Some(if gone { End::Done } else { End::failed(format!("cannot print: {error}")) });
        }
        self.out.clear();
    }
}

impl Job for Subscriber {
    fn begin(
        &mut self,
        conn: &mut Conn<'_>,
        voice: &mut Voice,
        session_present: bool,
        _: u16,
    ) -> Result<(), Close> {
        match session_present {
            true => self.incoming.reconnected(u16::MAX, false),
            false => self.incoming = Incoming::new(u16::MAX, false),
        }
        let aliases = self.given.connect().properties().topic_alias_maximum().unwrap_or(0);
        self.aliases = AliasesIn::new(aliases, ALIASES_BYTES_MAX);
        self.answers = 0;
        let mut filters = Vec::new();
        for filter in &self.filters {
            filters.push(Subscription {
                filter: Filter::new(filter)?,
                options: SubscribeOptions::new(self.qos),
            });
        }
        if !filters.is_empty() {
            let properties = self.given.subscribe().properties();
            let filters = Filters::new(&filters);
            voice.say(conn, &Packet::Subscribe(Subscribe { id: SUBSCRIBE, properties, filters }))?;
            self.answers += 1;
        }
        let mut names = Vec::new();
        for filter in &self.unsubscribe {
            names.push(Filter::new(filter)?);
        }
        if !names.is_empty() {
            let properties = self.given.unsubscribe().properties();
            let filters = Names::new(&names);
            voice.say(conn, &Packet::Unsubscribe(Unsubscribe { id: UNSUBSCRIBE, properties, filters }))?;
            self.answers += 1;
        }
        Ok(())
    }

    fn hear(&mut self, conn: &mut Conn<'_>, voice: &mut Voice, packet: Packet<'_>) -> Result<(), Close> {
        match packet {
            Packet::Publish(publish) => self.message(conn, voice, &publish),
            Packet::Pubrel(ack) => {
                let reason = self.incoming.pubrel(ack.id);
                voice.say(conn, &Packet::Pubcomp(Ack::with(ack.id, reason)))
            }
            Packet::Suback(suback) => {
                let mut granted = false;
                for (filter, reason) in self.filters.iter().zip(suback.reasons.iter()) {
                    granted |= !reason.is_error();
                    if reason.is_error() {
                        self.complain(&format!("{filter}: not subscribed: {}", reason.name().to_lowercase()));
                    }
                }
                if !granted {
                    self.end = Some(End::failed("the broker granted no subscription"));
                }
                self.answered();
                Ok(())
            }
            Packet::Unsuback(_) => {
                self.answered();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn go_on(&mut self, _: &mut Conn<'_>, _: &mut Voice) -> Result<(), Close> {
        self.print();
        Ok(())
    }

    fn stop(&mut self) {
        self.end.get_or_insert(End::Done);
    }

    fn end(&self) -> Option<End> {
        self.end.clone()
    }
}

impl Drop for Subscriber {
    /// What came last is printed, however it ends.
    fn drop(&mut self) {
        self.print();
    }
}
