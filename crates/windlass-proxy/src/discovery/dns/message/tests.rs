//! Messages: those of a well-meaning server, and all others.

use simple_dns::rdata::{A, CNAME, SRV};
use windlass_proto::testing::Rng;

use super::*;

fn question(name: &str, kind: Kind) -> Question {
    Question { name: name.into(), kind }
}

/// An answer to `question`, as a server would make it.
fn reply(question: &Question, id: u16, records: Vec<ResourceRecord<'static>>) -> Packet<'static> {
    let bytes = query(question, id).unwrap();
    let asked = Packet::parse(&bytes).unwrap();
    let mut packet = Packet::new_reply(id);
    packet.questions = asked.questions.into_iter().map(simple_dns::Question::into_owned).collect();
    packet.answers = records;
    packet
}

fn record(name: &str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new(name).unwrap().into_owned(), CLASS::IN, ttl, data)
}

fn a(name: &str, ttl: u32, last: u8) -> ResourceRecord<'static> {
    record(name, ttl, RData::A(A { address: u32::from(Ipv4Addr::new(10, 0, 0, last)) }))
}

fn address(last: u8) -> Record {
    Record::Address(Ipv4Addr::new(10, 0, 0, last).into())
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().unwrap()
}

#[test]
fn addresses_and_services_are_read() {
    let web = question("web.test", Kind::A);
    let said = reply(&web, 7, vec![a("WEB.test", 300, 1), a("web.test", 60, 2), a("other.test", 5, 9)]);
    let wanted = Message::Records { records: vec![address(1), address(2)], ttl: Duration::from_secs(60) };
    assert_eq!(read(&bytes(&said), &web, 7), wanted, "in any case of letters, and of this name alone");
    let srv = question("_http._tcp.test", Kind::Srv);
    let service = |port: u16, target: &'static str| {
        let target = Name::new(target).unwrap();
        record("_http._tcp.test", 30, RData::SRV(SRV { priority: 1, weight: 5, port, target }))
    };
    let said = reply(&srv, 7, vec![service(80, "a.test"), service(0, "b.test"), service(81, "A2.Test")]);
    let one = |port, target: &str| Record::Service { priority: 1, weight: 5, port, target: target.into() };
    let wanted = Message::Records {
        records: vec![one(80, "a.test"), one(81, "a2.test")],
        ttl: Duration::from_secs(30),
    };
    assert_eq!(read(&bytes(&said), &srv, 7), wanted);
}

#[test]
fn aliases_are_followed_but_not_for_ever() {
    let web = question("web.test", Kind::A);
    let alias = |from: &'static str, to: &'static str, ttl| {
        record(from, ttl, RData::CNAME(CNAME(Name::new(to).unwrap())))
    };
    let chain = vec![a("c.test", 300, 1), alias("b.test", "c.test", 20), alias("web.test", "b.test", 90)];
    let wanted = Message::Records { records: vec![address(1)], ttl: Duration::from_secs(20) };
    assert_eq!(read(&bytes(&reply(&web, 7, chain)), &web, 7), wanted, "the shortest life of the chain");
    let circle = vec![alias("web.test", "b.test", 9), alias("b.test", "web.test", 9)];
    assert_eq!(read(&bytes(&reply(&web, 7, circle)), &web, 7), Message::Failed("too many aliases"));
    let nowhere = vec![alias("web.test", "b.test", 9)];
    assert_eq!(read(&bytes(&reply(&web, 7, nowhere)), &web, 7), Message::Nothing);
}

#[test]
fn only_an_answer_to_the_question_is_one() {
    let web = question("web.test", Kind::A);
    let good = reply(&web, 7, vec![a("web.test", 300, 1)]);
    assert_eq!(read(&bytes(&good), &web, 8), Message::NotOurs, "another number");
    assert_eq!(read(&bytes(&good), &question("web.tes", Kind::A), 7), Message::NotOurs);
    assert_eq!(read(&bytes(&good), &question("web.test", Kind::Aaaa), 7), Message::NotOurs);
    assert_eq!(read(&query(&web, 7).unwrap(), &web, 7), Message::NotOurs, "our own question");
    let mut none = good.clone();
    none.questions.clear();
    assert_eq!(read(&bytes(&none), &web, 7), Message::NotOurs);
    // One label with a dot inside is another name than two.
    let mut raw = bytes(&good);
    let at = raw.windows(10).position(|window| window == b"\x03web\x04test\0").unwrap();
    raw[at] = 8;
    raw[at + 4] = b'.';
    assert_eq!(read(&raw, &web, 7), Message::NotOurs);
}

#[test]
fn errors_are_told_apart() {
    let web = question("web.test", Kind::A);
    let with = |code: RCODE| {
        let mut packet = reply(&web, 7, Vec::new());
        *packet.rcode_mut() = code;
        read(&bytes(&packet), &web, 7)
    };
    assert_eq!(with(RCODE::NoError), Message::Nothing);
    assert_eq!(with(RCODE::NameError), Message::Nothing);
    assert_eq!(with(RCODE::ServerFailure), Message::Failed("the server failed"));
    assert_eq!(with(RCODE::Refused), Message::Failed("the server refuses to answer"));
    let mut cut = reply(&web, 7, vec![a("web.test", 300, 1)]);
    cut.set_flags(PacketFlag::TRUNCATION);
    assert_eq!(read(&bytes(&cut), &web, 7), Message::Truncated);
    let raw = bytes(&cut);
    assert_eq!(read(&raw[..raw.len() - 3], &web, 7), Message::Truncated, "in the middle of a record");
}

#[test]
fn a_life_too_long_to_be_true_is_none() {
    let web = question("web.test", Kind::A);
    let said = reply(&web, 7, vec![a("web.test", u32::MAX, 1)]);
    let wanted = Message::Records { records: vec![address(1)], ttl: Duration::ZERO };
    assert_eq!(read(&bytes(&said), &web, 7), wanted);
}

/// What strangers send: cut off anywhere, changed anywhere, or made of nothing at all. Nothing panics, and
/// nothing takes long or grows: a message is read once, and names in it point backwards only.
#[test]
fn no_message_does_harm() {
    let web = question("web.test", Kind::A);
    let mut rng = Rng::new(11);
    let records: Vec<_> = (0..20).map(|n| a("web.test", 300, n)).collect();
    let good = bytes(&reply(&web, 7, records));
    for end in 0..good.len() {
        assert!(!matches!(read(&good[..end], &web, 7), Message::Records { .. }), "cut off at {end}");
    }
    for _ in 0..50_000 {
        let mut raw = good.clone();
        for _ in 0..=rng.below(6) {
            let at = rng.below(raw.len() as u64) as usize;
            raw[at] = rng.next_u64() as u8;
        }
        raw.truncate(rng.below(raw.len() as u64 + 1) as usize);
        read(&raw, &web, 7);
    }
    for _ in 0..50_000 {
        let mut raw: Vec<u8> = (0..rng.below(80)).map(|_| rng.next_u64() as u8).collect();
        if raw.len() > 12 {
            // Of ours, as far as its head goes; with pointers where labels could be.
            raw[..6].copy_from_slice(&[0, 7, 0x81, 0x80, 0, 1]);
            let at = 12 + rng.below(raw.len() as u64 - 12) as usize;
            raw[at] = 0xc0;
        }
        read(&raw, &web, 7);
    }
    // As long as a message can be, of pointers to pointers.
    let mut raw = vec![0, 7, 0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    while raw.len() < 65_000 {
        let to = (raw.len() - 2).max(12) as u16 | 0xc000;
        raw.extend_from_slice(&to.to_be_bytes());
    }
    read(&raw, &web, 7);
}
