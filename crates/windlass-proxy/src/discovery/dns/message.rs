//! Questions and answers on the wire (RFC 1035, section 4; SRV: RFC 2782). The codec is that of `simple-dns`;
//! what is here decides whether an answer is one to our question, and what it says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::discovery::list::FOUND_MAX;
use crate::discovery::source;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Question {
    /// In lower case, without a dot at its end.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Srv => "SRV",
        }
    }

    fn of_query(self) -> TYPE {
        match self {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
            Kind::Srv => TYPE::SRV,
        }
    }
}

/// What an answer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    Address(IpAddr),
    Service { priority: u16, weight: u16, port: u16, target: String },
}

/// What a message is, to who has asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// No answer to this question, or none at all: it may be forged, and the real one is waited for.
    NotOurs,
    /// It did not fit into a datagram.
    Truncated,
    /// There are these, for so long.
    Records { records: Vec<Record>, ttl: Duration },
    /// There are none (no such name, or none of this kind).
    Nothing,
    /// The server could not or would not answer.
    Failed(&'static str),
}

/// Aliases that are followed.
const ALIASES_MAX: usize = 8;

/// The question as a message. `None`: it is no name.
pub(crate) fn query(question: &Question, id: u16) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(&question.name).ok()?;
    let kind = QTYPE::TYPE(question.kind.of_query());
    packet.questions.push(simple_dns::Question::new(name, kind, QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Reads what came back.
pub(crate) fn read(bytes: &[u8], question: &Question, id: u16) -> Message {
    let Ok(packet) = Packet::parse(bytes) else { return unreadable(bytes, id) };
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.len() == 1
        && packet.questions.iter().all(|asked| {
            same(&asked.qname, &question.name)
                && asked.qtype == QTYPE::TYPE(question.kind.of_query())
                && asked.qclass == QCLASS::CLASS(CLASS::IN)
        });
    if !is_ours {
        return Message::NotOurs;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Message::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError => answers(&packet.answers, question),
        RCODE::NameError => Message::Nothing,
        RCODE::ServerFailure => Message::Failed("the server failed"),
        RCODE::Refused => Message::Failed("the server refuses to answer"),
        RCODE::FormatError => Message::Failed("the server did not understand the question"),
        RCODE::NotImplemented => Message::Failed("the server does not know such questions"),
        _ => Message::Failed("the server answers with an error"),
    }
}

/// A message that cannot be read as a whole: a server may cut one off where it is full, in the middle of a record.
/// The head says so (RFC 1035, section 4.1.1: QR and TC are bits of its third byte).
fn unreadable(bytes: &[u8], id: u16) -> Message {
    const ANSWER_CUT_OFF: u8 = 0x82;
    match bytes {
        [high, low, flags, ..] if u16::from_be_bytes([*high, *low]) == id => {
            if flags & ANSWER_CUT_OFF == ANSWER_CUT_OFF { Message::Truncated } else { Message::NotOurs }
        }
        _ => Message::NotOurs,
    }
}

/// The records at the end of the chain of aliases that begins at the name.
fn answers(all: &[ResourceRecord<'_>], question: &Question) -> Message {
    let of = |name: &str| {
        let name = name.to_owned();
        all.iter().filter(move |record| record.class == CLASS::IN && same(&record.name, &name))
    };
    let mut name = question.name.clone();
    let mut ttl = Duration::MAX;
    for _ in 0..=ALIASES_MAX {
        let mut records = Vec::new();
        for record in of(&name) {
            if let Some(one) = content(&record.rdata, question.kind) {
                ttl = ttl.min(life(record));
                records.push(one);
            }
        }
        if !records.is_empty() {
            records.truncate(FOUND_MAX);
            return Message::Records { records, ttl };
        }
        let alias = of(&name).find_map(|record| match &record.rdata {
            RData::CNAME(to) => Some((text(&to.0)?, life(record))),
            _ => None,
        });
        let Some((next, its)) = alias else { return Message::Nothing };
        ttl = ttl.min(its);
        name = next;
    }
    Message::Failed("too many aliases")
}

/// How long it counts: with the highest bit set, not at all (RFC 2181, section 8).
fn life(record: &ResourceRecord<'_>) -> Duration {
    let seconds = if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
    Duration::from_secs(seconds.into())
}

fn content(data: &RData<'_>, kind: Kind) -> Option<Record> {
    match (kind, data) {
        (Kind::A, RData::A(a)) => Some(Record::Address(Ipv4Addr::from(a.address).into())),
        (Kind::Aaaa, RData::AAAA(a)) => Some(Record::Address(Ipv6Addr::from(a.address).into())),
        // The root as a target: there is no such service (RFC 2782). Port 0 cannot be called.
        (Kind::Srv, RData::SRV(srv)) if srv.port > 0 => Some(Record::Service {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text(&srv.target)?,
        }),
        _ => None,
    }
}

/// Whether they are the same, in any case of letters (RFC 1035, section 2.3.3).
fn same(name: &Name<'_>, text: &str) -> bool {
    let mut labels = name.as_bytes();
    let same = text
        .split('.')
        .all(|label| labels.next().is_some_and(|bytes| bytes.eq_ignore_ascii_case(label.as_bytes())));
    same && labels.next().is_none()
}

/// A name as text, if it is one that could be asked for. `None` for the root.
fn text(name: &Name<'_>) -> Option<String> {
    let labels: Option<Vec<&str>> = name.as_bytes().map(|label| std::str::from_utf8(label).ok()).collect();
    let labels = labels?;
    // A dot inside of a label would make another name of it.
    if labels.iter().any(|label| label.contains('.')) {
        return None;
    }
    source::name(&labels.join(".")).ok()
}

#[cfg(test)]
mod tests;
