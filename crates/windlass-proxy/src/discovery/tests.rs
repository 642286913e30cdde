//! The service that looks, on a network without faults: name servers that are played by hand, files that are real.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use windlass::testing::{Harness, TestPeer, TestSocket};

use super::*;
use crate::{Backend, Front, Order, Origin, ProxyConfig, Route};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53);
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 54)), 53);

struct Case {
    front: Front,
    harness: Harness,
    news: mpsc::Receiver<Discovered>,
}

impl Case {
    fn new(config: ProxyConfig) -> Case {
        let front = Front::new(config).unwrap();
        let (tell, news) = mpsc::channel();
        front.on_discovery(move |discovered| drop(tell.send(discovered.clone())));
        let harness = Harness::new(front.discover());
        Case { front, harness, news }
    }

    fn backends(&self) -> Vec<String> {
        self.front.stats().backends.into_iter().map(|backend| backend.address).collect()
    }

    fn failures(&self) -> u64 {
        self.front.stats().sources.iter().map(|source| source.failures).sum()
    }

    /// Time passes, in steps in which jobs are done.
    fn wait(&mut self, time: Duration) {
        for _ in 0..time.as_millis().div_ceil(250) {
            self.harness.advance(Duration::from_millis(250));
        }
    }
}

/// A folder of its own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("windlass-discovery-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Puts a file into its place in one step, as it should be.
    fn replace(&self, text: &str) {
        fs::write(self.0.join("next"), text).unwrap();
        fs::rename(self.0.join("next"), self.path()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.join("backends")
    }

    fn source(&self) -> Discover {
        Discover::from(Source::File(self.path()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_followed_and_its_mistakes_change_nothing() {
    let folder = Folder::new("file");
    let config = ProxyConfig::default().discover(folder.source().connections_max(7));
    let mut case = Case::new(config);
    case.wait(Duration::from_secs(1));
    assert_eq!(case.backends(), [""; 0]);
    let missing = case.news.try_recv().unwrap();
    assert!(missing.error.unwrap().contains("cannot read") && missing.changed.is_none());
    case.wait(Duration::from_secs(3));
    assert!(case.failures() >= 3 && case.news.try_recv().is_err(), "counted each time, told once");

    folder.replace("10.0.0.1:80\n10.0.0.2:80 weight=5 name=two max=3\n");
    case.wait(Duration::from_secs(2));
    let changed = case.news.try_recv().unwrap().changed.unwrap();
    assert_eq!(changed.added, ["backends/10.0.0.1:80", "backends/10.0.0.2:80"]);
    let stats = case.front.stats();
    let two = &stats.backends[1];
    assert_eq!((two.weight, &*two.name, two.connections_max, two.origin), (5, "two", 3, Origin::Discovered));
    assert_eq!(stats.backends[0].connections_max, 7);
    assert_eq!((stats.sources[0].backends, stats.sources[0].error.clone()), (2, None));

    folder.replace("10.0.0.1:80\n10.0.0.x:80 weight\n");
    case.wait(Duration::from_secs(2));
    let wrong = case.news.try_recv().unwrap().error.unwrap();
    assert!(wrong.contains("backends: line 2: "), "{wrong}");
    assert_eq!(case.backends().len(), 2, "the last good ones stay");
    fs::remove_file(folder.path()).unwrap();
    case.wait(Duration::from_secs(2));
    assert_eq!(case.backends().len(), 2);
    folder.replace("[\"10.0.0.3:80\"]");
    case.wait(Duration::from_secs(2));
    assert_eq!(case.backends(), ["10.0.0.3:80"]);
    assert_eq!(case.front.stats().sources[0].error, None);
}

#[test]
fn what_a_proxy_cannot_use_is_told_counted_and_shown() {
    let folder = Folder::new("unusable");
    folder.replace("10.0.0.1:53\n");
    let mut case = Case::new(ProxyConfig::default().discover(folder.source()));
    drop(case.front.serve_udp().unwrap());
    case.wait(Duration::from_secs(1));
    assert!(case.news.try_recv().unwrap().changed.is_some());
    folder.replace("10.0.0.2:53\nunix:/run/x.sock\n");
    case.wait(Duration::from_secs(2));
    let told = case.news.try_recv().unwrap();
    assert!(told.error.unwrap().contains("cannot be used with datagrams") && told.changed.is_none());
    assert_eq!(case.backends(), ["10.0.0.1:53"], "the last good ones stay");
    let source = &case.front.stats().sources[0];
    assert_eq!((source.failures, source.backends), (1, 1));
    assert!(source.error.as_ref().is_some_and(|error| error.contains("datagrams")), "{source:?}");
    folder.replace("10.0.0.3:53\n");
    case.wait(Duration::from_secs(2));
    assert_eq!(case.backends(), ["10.0.0.3:53"]);
    assert_eq!(case.front.stats().sources[0].error, None);
}

#[test]
fn what_is_found_stands_beside_what_is_configured_and_ordered() {
    let folder = Folder::new("beside");
    folder.replace("10.0.0.1:80\n10.0.0.2:80\n");
    let fixed = Backend::at("10.0.0.1:80".parse().unwrap()).weight(9);
    let mut config = ProxyConfig::default().backend(fixed).discover(folder.source());
    config.routes.push(Route { discover: vec![folder.source()], ..Route::server_name("a.test") });
    let mut case = Case::new(config.clone());
    case.wait(Duration::from_secs(1));
    assert_eq!(case.backends(), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(case.front.stats().backends[0].weight, 9, "what is configured counts");
    // An operator's order stays, though the file and the configuration change, and though it goes and comes back.
    case.front.order(Some("a.test"), "10.0.0.2:80", &Order::Drain).unwrap();
    case.front.change(config.retries_max(1)).unwrap();
    let state = |case: &Case| case.front.stats().backends.last().unwrap().state;
    assert_eq!(state(&case), crate::BackendState::Draining);
    folder.replace("10.0.0.1:80\n");
    case.wait(Duration::from_secs(2));
    assert_eq!(case.backends().len(), 2);
    folder.replace("10.0.0.2:80\n");
    case.wait(Duration::from_secs(2));
    assert_eq!(state(&case), crate::BackendState::Draining);
    // Removed by an operator, it stays away for as long as it is not asked back.
    case.front.order(Some("a.test"), "10.0.0.2:80", &Order::Remove { force: false }).unwrap();
    folder.replace("10.0.0.2:80\n10.0.0.4:80\n");
    case.wait(Duration::from_secs(2));
    assert_eq!(case.backends(), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80", "10.0.0.4:80"]);
}

#[test]
fn sources_come_and_go_with_the_configuration() {
    let (one, other) = (Folder::new("one"), Folder::new("other"));
    one.replace("10.0.0.1:80\n");
    other.replace("10.0.0.2:80\n");
    let mut case = Case::new(ProxyConfig::default().discover(one.source()));
    case.wait(Duration::from_secs(1));
    case.front.change(ProxyConfig::default().discover(one.source()).discover(other.source())).unwrap();
    assert_eq!(case.backends(), ["10.0.0.1:80"], "what was found before is there at once");
    case.wait(Duration::from_secs(1));
    assert_eq!(case.backends(), ["10.0.0.1:80", "10.0.0.2:80"]);
    case.front.change(ProxyConfig::default().discover(other.source())).unwrap();
    assert_eq!(case.backends(), ["10.0.0.2:80"]);
}

// --- Name servers.

fn dns(source: &str) -> ProxyConfig {
    let discovery = DiscoveryConfig { dns_servers: vec![SERVER], ..DiscoveryConfig::default() };
    ProxyConfig { discovery, ..ProxyConfig::default() }.discover(Discover::from(source.parse().unwrap()))
}

/// A question as it came to a server.
struct Asked {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Asked {
    fn kind(&self) -> QTYPE {
        Packet::parse(&self.bytes).unwrap().questions[0].qtype
    }

    /// An answer with these addresses.
    fn answer(&self, ttl: u32, last: &[u8], edit: impl Fn(&mut Packet<'_>)) -> Vec<u8> {
        answer(&self.bytes, ttl, last, edit)
    }
}

fn answer(question: &[u8], ttl: u32, last: &[u8], edit: impl Fn(&mut Packet<'_>)) -> Vec<u8> {
    let asked = Packet::parse(question).unwrap();
    let mut packet = Packet::new_reply(asked.id());
    let name = asked.questions[0].qname.clone();
    packet.questions = asked.questions;
    packet.answers = last
        .iter()
        .map(|last| {
            let address = u32::from(Ipv4Addr::new(10, 0, 0, *last));
            ResourceRecord::new(name.clone(), CLASS::IN, ttl, RData::A(A { address }))
        })
        .collect();
    edit(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

impl Case {
    fn asked(&mut self, server: TestSocket) -> Option<Asked> {
        let (from, bytes) = self.harness.receive_datagram(server)?;
        Some(Asked { from, bytes })
    }

    /// Answers the next question.
    fn reply(&mut self, server: TestSocket, ttl: u32, last: &[u8]) -> Asked {
        let asked = self.asked(server).expect("a question");
        let bytes = asked.answer(ttl, last, |_| {});
        self.harness.send_datagram_to(server, asked.from, bytes);
        asked
    }
}

#[test]
fn a_name_is_asked_for_when_its_time_is_over() {
    let mut case = Case::new(dns("dns4:web.test:80"));
    let server = case.harness.bind_udp_at(SERVER);
    case.wait(Duration::from_millis(2_250));
    let first = case.reply(server, 10, &[2, 1]);
    assert_eq!(first.kind(), QTYPE::TYPE(TYPE::A));
    assert_eq!(case.backends(), ["10.0.0.1:80", "10.0.0.2:80"]);
    case.wait(Duration::from_millis(9_500));
    assert!(case.asked(server).is_none(), "its time is not over");
    case.wait(Duration::from_secs(2));
    let second = case.reply(server, 10, &[3]);
    assert_ne!(first.from, second.from, "each from a socket of its own");
    assert_ne!(first.bytes[..2], second.bytes[..2]);
    assert_eq!(case.backends(), ["10.0.0.3:80"]);
    // A time of nothing is at least a second, and a very long one five minutes.
    case.wait(Duration::from_secs(12));
    case.reply(server, 0, &[3]);
    assert!(case.asked(server).is_none());
    case.wait(Duration::from_millis(1_500));
    case.reply(server, 1_000_000, &[3]);
    case.wait(Duration::from_secs(298));
    assert!(case.asked(server).is_none());
    case.wait(Duration::from_secs(40));
    assert!(case.asked(server).is_some());
    let changes = case.front.stats().sources[0].changes;
    assert_eq!(changes, 2, "the same answer is no change");
}

#[test]
fn strangers_are_not_believed() {
    let mut case = Case::new(dns("dns4:web.test:80"));
    let server = case.harness.bind_udp_at(SERVER);
    let stranger = case.harness.bind_udp();
    case.wait(Duration::from_millis(2_250));
    let asked = case.asked(server).unwrap();
    // Somebody who knows all but who the server is; and the server's own address with another number, question or sense.
    case.harness.send_datagram_to(stranger, asked.from, asked.answer(60, &[66], |_| {}));
    for forged in [
        asked.answer(60, &[66], |packet| packet.set_id(packet.id() ^ 1)),
        asked.answer(60, &[66], |packet| packet.questions.clear()),
        asked.answer(60, &[66], |packet| packet.remove_flags(PacketFlag::RESPONSE)),
        b"garbage".to_vec(),
        Vec::new(),
    ] {
        case.harness.send_datagram_to(server, asked.from, forged);
    }
    assert_eq!(case.backends(), [""; 0]);
    case.harness.send_datagram_to(server, asked.from, asked.answer(60, &[1], |_| {}));
    assert_eq!(case.backends(), ["10.0.0.1:80"]);
    case.harness.send_datagram_to(server, asked.from, asked.answer(60, &[66], |_| {}));
    assert_eq!(case.backends(), ["10.0.0.1:80"], "a second answer finds nobody");
}

#[test]
fn a_server_that_fails_or_is_silent_makes_way_for_the_next() {
    let mut config = dns("dns4:web.test:80");
    config.discovery.dns_servers = vec![SERVER, OTHER];
    config.discovery.dns_tries = 4;
    let mut case = Case::new(config);
    let (one, other) = (case.harness.bind_udp_at(SERVER), case.harness.bind_udp_at(OTHER));
    // Nobody was there when it was asked for the first time.
    let before = case.failures();
    // Whoever is asked first fails, the next says nothing, the first refuses, and the next answers.
    let mut answered = 0;
    for step in 0..40 {
        case.harness.advance(Duration::from_millis(250));
        for (at, server) in [(0, one), (1, other)] {
            while let Some(asked) = case.asked(server) {
                let code = match answered {
                    0 => RCODE::ServerFailure,
                    1 => {
                        answered += 1;
                        continue;
                    }
                    2 => RCODE::Refused,
                    _ => RCODE::NoError,
                };
                let last: &[u8] = if code == RCODE::NoError { &[1] } else { &[] };
                let bytes = asked.answer(60, last, |packet| *packet.rcode_mut() = code);
                case.harness.send_datagram_to(server, asked.from, bytes);
                answered += 1;
                assert!(step < 39, "server {at}");
            }
        }
        if answered == 4 {
            break;
        }
    }
    assert_eq!((answered, case.backends()), (4, vec!["10.0.0.1:80".into()]));
    assert_eq!(case.failures(), before, "the question was answered");
}

#[test]
fn the_last_good_answer_outlasts_its_server() {
    let mut case = Case::new(dns("dns4:web.test:80"));
    let server = case.harness.bind_udp_at(SERVER);
    case.wait(Duration::from_millis(2_250));
    case.reply(server, 5, &[1]);
    case.harness.close_udp(server);
    case.wait(Duration::from_secs(60));
    assert_eq!(case.backends(), ["10.0.0.1:80"]);
    let failures = case.failures();
    assert!((2..15).contains(&failures), "it is asked more and more rarely: {failures}");
    let told: Vec<Discovered> = case.news.try_iter().filter(|news| news.error.is_some()).collect();
    assert!(told.len() <= 2, "{told:?}");
    // To send something opens it again.
    case.harness.send_datagram_to(server, OTHER, b"");
    let mut asked = None;
    for _ in 0..160 {
        case.harness.advance(Duration::from_millis(250));
        asked = asked.or_else(|| case.asked(server));
        if let Some(asked) = &asked {
            // No such name: it may be a mistake, and changes nothing either.
            let bytes = asked.answer(5, &[], |packet| *packet.rcode_mut() = RCODE::NameError);
            case.harness.send_datagram_to(server, asked.from, bytes);
            break;
        }
    }
    assert!(asked.is_some(), "it is asked again");
    assert_eq!(case.backends(), ["10.0.0.1:80"]);
    let error = case.front.stats().sources[0].error.clone();
    assert_eq!(error.as_deref(), Some("web.test has no address"));
}

/// The server's end of a connection that was made after an answer was cut off.
fn cut_off(case: &mut Case, server: TestSocket) -> TestPeer {
    case.wait(Duration::from_millis(2_250));
    let asked = case.asked(server).unwrap();
    let cut = asked.answer(60, &[1], |packet| packet.set_flags(PacketFlag::TRUNCATION));
    case.harness.send_datagram_to(server, asked.from, cut);
    assert_eq!(case.backends(), [""; 0], "a part of the answer is none");
    case.wait(Duration::from_millis(250));
    let calls = case.harness.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].remote.to_string(), SERVER.to_string());
    case.harness.accept(&calls[0])
}

#[test]
fn an_answer_that_was_cut_off_comes_by_a_connection() {
    let mut case = Case::new(dns("dns4:web.test:80"));
    let server = case.harness.bind_udp_at(SERVER);
    let peer = cut_off(&mut case, server);
    let framed = case.harness.receive(peer);
    let (length, question) = framed.split_at(2);
    assert_eq!(usize::from(u16::from_be_bytes([length[0], length[1]])), question.len());
    let last: Vec<u8> = (1..=200).collect();
    let bytes = answer(question, 60, &last, |_| {});
    let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&bytes);
    case.harness.send_split(peer, framed, 1);
    case.wait(Duration::from_millis(500));
    assert_eq!(case.backends().len(), 200);
    assert!(case.harness.is_ended(peer), "the connection is given up");
}

#[test]
fn a_connection_that_brings_nothing_is_a_try_that_failed() {
    for end in ["reset", "finish", "garbage", "silence"] {
        let mut case = Case::new(dns("dns4:web.test:80"));
        let server = case.harness.bind_udp_at(SERVER);
        let peer = cut_off(&mut case, server);
        match end {
            "reset" => case.harness.reset(peer),
            "finish" => case.harness.finish(peer),
            "garbage" => case.harness.send(peer, b"\0\x05hello"),
            _ => {}
        }
        // The question is asked once more.
        let again = (0..12).find_map(|_| {
            case.harness.advance(Duration::from_millis(250));
            case.asked(server)
        });
        let again = again.unwrap_or_else(|| panic!("{end}: it is not asked again"));
        case.harness.send_datagram_to(server, again.from, again.answer(60, &[1], |_| {}));
        assert_eq!(case.backends(), ["10.0.0.1:80"], "{end}");
    }
}

#[test]
fn two_routes_that_look_for_one_name_ask_once() {
    let mut config = dns("dns4:web.test:80");
    let discover = vec![Discover::from("dns4:web.test:81".parse().unwrap())];
    config.routes.push(Route { discover, ..Route::server_name("a.test") });
    let mut case = Case::new(config);
    let server = case.harness.bind_udp_at(SERVER);
    case.wait(Duration::from_millis(2_250));
    case.reply(server, 60, &[1]);
    assert!(case.asked(server).is_none());
    assert_eq!(case.backends(), ["10.0.0.1:80", "10.0.0.1:81"]);
}

#[test]
fn what_hears_is_told_on_no_lock() {
    let folder = Folder::new("lock");
    folder.replace("10.0.0.1:80\n");
    let front = Front::new(ProxyConfig::default().discover(folder.source())).unwrap();
    let (again, seen) = (front.clone(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let count = seen.clone();
    front.on_discovery(move |_| count.store(again.stats().backends.len(), Relaxed));
    let mut harness = Harness::new(front.discover());
    for _ in 0..8 {
        harness.advance(Duration::from_millis(250));
    }
    assert_eq!(seen.load(Relaxed), 1);
}
