//! Whole proxies of datagrams, on a network without faults, with a clock that stands still.

use std::net::SocketAddr;
use std::time::Duration;

use windlass::testing::{Harness, TestSocket};

use crate::tests::config;
use crate::{Backend, BackendState, Balance, ConfigError, Front, ProxyConfig, Route, UdpConfig, UdpStats};
use crate::{CheckKind, ExchangeCheck, Health};
use crate::{FlowEnded, FlowEnding, UdpProxy};
use crate::{GuardConfig, Order, Sources, Version, WhenFlowsFull};

const SECOND: Duration = Duration::from_secs(1);

struct Case {
    front: Front,
    harness: Harness,
    backends: Vec<TestSocket>,
}

/// Backends of a test are here.
fn address(n: usize) -> String {
    format!("192.0.2.{}:53", n + 1)
}

fn backends(n: usize) -> ProxyConfig {
    let addresses: Vec<String> = (0..n).map(address).collect();
    config(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Case {
    fn new(config: ProxyConfig) -> Case {
        Case::with(config, |proxy| proxy)
    }

    fn with(config: ProxyConfig, make: impl Fn(UdpProxy) -> UdpProxy + Send + Sync + 'static) -> Case {
        let front = Front::new(config).expect("a configuration");
        let service = front.serve_udp_with(make).expect("one for datagrams");
        let mut harness = Harness::new(service);
        let at = |n: usize| address(n).parse().expect("an address");
        let backends = (0..front.config().backends.len()).map(|n| harness.bind_udp_at(at(n))).collect();
        Case { front, harness, backends }
    }

    /// Has a client ask, and tells what which backend heard from where.
    fn ask(&mut self, client: TestSocket, what: &[u8]) -> (usize, SocketAddr, Vec<u8>) {
        self.harness.send_datagram(client, what);
        for n in 0..self.backends.len() {
            if let Some((from, bytes)) = self.harness.receive_datagram(self.backends[n]) {
                return (n, from, bytes);
            }
        }
        panic!("nobody heard {}", what.escape_ascii());
    }

    /// Nobody hears a client's datagram.
    fn ask_nobody(&mut self, client: TestSocket) {
        self.harness.send_datagram(client, b"anybody?");
        for backend in self.backends.clone() {
            assert_eq!(self.harness.receive_datagram(backend), None);
        }
    }

    /// The same, and that its answer comes back to the client, and nobody else.
    fn served(&mut self, client: TestSocket, what: &[u8]) -> (usize, SocketAddr) {
        let (n, flow, heard) = self.ask(client, what);
        assert_eq!(heard, what);
        self.harness.send_datagram_to(self.backends[n], flow, [b"re: ", what].concat());
        let (from, answer) = self.harness.receive_datagram(client).expect("an answer");
        assert_eq!((from, answer), (self.harness.udp_server(), [b"re: ", what].concat()));
        (n, flow)
    }

    fn stats(&mut self) -> UdpStats {
        self.harness.advance(Duration::from_millis(100));
        self.front.stats().udp.expect("it serves datagrams")
    }

    fn flows(&self) -> usize {
        self.front.stats().clients
    }

    fn sockets(&self) -> usize {
        self.harness.handle().stats().counters.sockets as usize
    }
}

#[test]
fn a_flow_keeps_its_backend_and_its_socket_and_clients_are_told_apart() {
    let mut case = Case::new(backends(2));
    let (one, two) = (case.harness.bind_udp(), case.harness.bind_udp());
    let (first, flow) = case.served(one, b"hello");
    let (second, other) = case.served(two, b"hello");
    assert_ne!(first, second, "one after the other");
    assert_ne!(flow, other);
    for what in [&b"again"[..], b"", &[7; 1400]] {
        assert_eq!(case.served(one, what), (first, flow));
        assert_eq!(case.served(two, what), (second, other));
    }
    let stats = case.stats();
    assert_eq!((stats.requests, stats.replies), (8, 8));
    assert_eq!((stats.request_bytes, stats.reply_bytes), (2 * 1410, 2 * (1410 + 16)));
    assert_eq!((case.flows(), case.sockets(), case.front.stats().opened), (2, 3, 2));
    case.harness.advance(61 * SECOND);
    assert_eq!((case.flows(), case.sockets()), (0, 1));
    assert_eq!(case.stats().expired, 2);
    let stats = case.front.stats();
    assert!(stats.backends.iter().all(|backend| backend.connections == 0 && backend.opened == 1));
    let bytes = stats.backends.iter().map(|backend| (backend.sent_bytes, backend.received_bytes));
    assert_eq!(bytes.collect::<Vec<_>>(), [(1410, 1426), (1410, 1426)]);
}

/// What was told of a flow that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    client: SocketAddr,
    to: Option<SocketAddr>,
    backend: String,
    requests: (u64, u64),
    replies: (u64, u64),
    lasted: Duration,
    ending: FlowEnding,
}

#[test]
fn each_flow_is_told_once_when_it_is_over() {
    let (sender, told) = std::sync::mpsc::channel();
    let hear = move |ended: &FlowEnded<'_>| {
        let told = Told {
            client: ended.client,
            to: ended.to,
            backend: ended.backend.into(),
            requests: (ended.requests, ended.request_bytes),
            replies: (ended.replies, ended.reply_bytes),
            lasted: ended.lasted,
            ending: ended.ending,
        };
        sender.send(told).unwrap();
    };
    let careful = UdpConfig { flows_max: 2, reply_factor_max: 3, ..UdpConfig::default() };
    let mut case = Case::with(backends(2).udp(careful), move |proxy| proxy.on_flow(hear.clone()));
    let (one, two, three) = (case.harness.bind_udp(), case.harness.bind_udp(), case.harness.bind_udp());
    let us = case.harness.udp_server();
    let (n, flow) = case.served(one, b"hello");
    case.harness.advance(2 * SECOND);
    case.served(one, b"again");
    // Withheld: counted, and none of its bytes.
    case.ask(two, b"a");
    assert!(told.try_recv().is_err(), "both go on");
    case.ask(three, b"b");
    let evicted = told.try_recv().unwrap();
    assert_eq!((evicted.client, evicted.ending), (case.harness.udp_addr(two), FlowEnding::Evicted));
    assert_eq!((evicted.requests, evicted.replies, evicted.lasted), ((1, 1), (0, 0), Duration::ZERO));
    // Nobody listens at its backend any more: it is over there, and goes on at the other.
    case.harness.close_udp(case.backends[n]);
    case.harness.send_datagram(one, b"gone?");
    let moved = told.try_recv().unwrap();
    let wanted = Told {
        client: case.harness.udp_addr(one),
        to: Some(us),
        backend: address(n),
        requests: (3, 15),
        replies: (2, 18),
        lasted: 2 * SECOND,
        ending: FlowEnding::Moved,
    };
    assert_eq!(moved, wanted);
    let (other, another) = case.served(one, b"there?");
    assert!(other != n && another != flow);
    case.harness.advance(61 * SECOND);
    let mut expired: Vec<Told> = told.try_iter().collect();
    expired.sort_by_key(|told| told.requests.1);
    let of = |told: &Told| (told.client, told.requests, told.replies, told.ending);
    let (one, three) = (case.harness.udp_addr(one), case.harness.udp_addr(three));
    assert_eq!(
        expired.iter().map(of).collect::<Vec<_>>(),
        [(three, (1, 1), (0, 0), FlowEnding::Expired), (one, (1, 6), (1, 10), FlowEnding::Expired),]
    );
    assert_eq!(expired[1].lasted, Duration::ZERO, "without the silence that ended it");
    // The server ends before the flow.
    let last = case.harness.bind_udp();
    case.served(last, b"hello");
    let last = case.harness.udp_addr(last);
    drop(case);
    let closed: Vec<Told> = told.try_iter().collect();
    assert_eq!(closed.iter().map(of).collect::<Vec<_>>(), [(last, (1, 5), (1, 9), FlowEnding::Closed)]);
}

#[test]
fn silence_in_both_directions_ends_a_flow_and_datagrams_in_either_keep_it() {
    let mut case = Case::new(backends(1));
    let client = case.harness.bind_udp();
    let (n, flow) = case.served(client, b"hello");
    for _ in 0..5 {
        case.harness.advance(50 * SECOND);
        case.harness.send_datagram_to(case.backends[n], flow, b"news");
        assert!(case.harness.receive_datagram(client).is_some());
    }
    case.harness.advance(50 * SECOND);
    assert_eq!(case.served(client, b"still there?"), (n, flow));
    case.harness.advance(59 * SECOND);
    assert_eq!(case.flows(), 1);
    case.harness.advance(2 * SECOND);
    assert_eq!(case.flows(), 0);
    // Too late: nobody's any more.
    case.harness.send_datagram_to(case.backends[n], flow, b"late");
    assert_eq!(case.harness.receive_datagram(client), None);
}

#[test]
fn proxy_header_on_every_datagram() {
    // The fault of another proxy: it stands in front of the first of a flow, and of no other.
    let mut config = backends(1);
    config.backends[0].send_proxy = Some(Version::V2);
    let mut case = Case::new(config);
    let client = case.harness.bind_udp();
    let (n, flow, told) = case.ask(client, b"hello");
    let us = case.harness.udp_server();
    let SocketAddr::V4(from) = case.harness.udp_addr(client) else { panic!("an IPv4 address") };
    // Version 2, PROXY, UDP over IPv4, and 12 bytes of addresses.
    assert_eq!(&told[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c");
    assert_eq!((&told[16..20], &told[24..26]), (&from.ip().octets()[..], &from.port().to_be_bytes()[..]));
    assert_eq!(&told[26..28], us.port().to_be_bytes());
    assert_eq!(&told[28..], b"hello");
    assert_eq!(case.served(client, b"more"), (n, flow));
    assert_eq!(case.served(client, b"and more"), (n, flow));
    assert_eq!(case.stats().request_bytes, 17, "without the header");
    case.harness.advance(61 * SECOND);
    assert_eq!(case.ask(client, b"anew").2[..12], told[..12], "a new flow says it again");
}

#[test]
fn a_header_that_could_not_go_with_the_first_datagram_goes_with_the_next() {
    let mut config = backends(1);
    config.backends[0].send_proxy = Some(Version::V2);
    let mut case = Case::new(config);
    let client = case.harness.bind_udp();
    // As long as a datagram can be: with a header in front it is too long.
    case.harness.send_datagram(client, [7; 65_507]);
    assert_eq!(case.harness.receive_datagram(case.backends[0]), None);
    let (_, _, told) = case.ask(client, b"hello");
    assert!(told.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "{}", told.escape_ascii());
    assert!(told.ends_with(b"hello"));
    case.served(client, b"more");
}

#[test]
fn only_the_backend_answers() {
    let mut case = Case::new(backends(2));
    let client = case.harness.bind_udp();
    let (n, flow, _) = case.ask(client, b"hello");
    let stranger = case.harness.bind_udp();
    case.harness.send_datagram_to(stranger, flow, b"forged");
    case.harness.send_datagram_to(case.backends[1 - n], flow, b"not yours");
    assert_eq!(case.harness.receive_datagram(client), None);
    case.harness.send_datagram_to(case.backends[n], flow, b"true");
    assert_eq!(case.harness.receive_datagram(client).expect("an answer").1, b"true");
}

#[test]
fn a_full_table_evicts_who_was_silent_for_longest_and_not_who_has_talked() {
    let mut case = Case::new(backends(1).udp(UdpConfig { flows_max: 3, ..UdpConfig::default() }));
    let clients = [(); 5].map(|()| case.harness.bind_udp());
    case.served(clients[0], b"hello");
    let (_, talker) = case.served(clients[0], b"hello again");
    let (_, second, _) = case.ask(clients[1], b"hello");
    case.served(clients[2], b"hello");
    // Answered it was, but it has not said anything since: the older of the two goes.
    case.ask(clients[3], b"hello");
    assert_eq!((case.flows(), case.sockets()), (3, 4));
    assert_ne!(case.ask(clients[1], b"hello").1, second, "it begins anew, in the place of another");
    for client in &clients[2..] {
        case.ask(*client, b"flood");
    }
    assert_eq!(case.served(clients[0], b"still the same").1, talker);
    assert_eq!((case.flows(), case.sockets()), (3, 4));
    assert_eq!(case.stats().evicted, 5);
    let connections = case.front.stats().backends[0].connections;
    assert_eq!(connections, 3);
}

#[test]
fn a_full_table_may_refuse_instead() {
    let full = UdpConfig { flows_max: 2, when_full: WhenFlowsFull::Refuse, ..UdpConfig::default() };
    let mut case = Case::new(backends(1).udp(full));
    let clients = [(); 3].map(|()| case.harness.bind_udp());
    case.served(clients[0], b"one");
    case.served(clients[1], b"two");
    case.ask_nobody(clients[2]);
    case.served(clients[0], b"one");
    assert_eq!((case.stats().refused_full, case.stats().refused(), case.flows()), (1, 1, 2));
    case.harness.advance(61 * SECOND);
    case.served(clients[2], b"three");
}

#[test]
fn one_source_has_so_many_and_its_own_make_way() {
    // A peer of the harness has one port; each of its datagrams begins a flow here.
    let one = UdpConfig { source_flows_max: 1, requests_max: 1, ..UdpConfig::default() };
    let mut case = Case::new(backends(1).udp(one.clone()));
    let (client, other) = (case.harness.bind_udp(), case.harness.bind_udp());
    let (n, first, _) = case.ask(client, b"one");
    case.ask(other, b"somebody else");
    let (_, second, _) = case.ask(client, b"two");
    assert_ne!(first, second);
    case.harness.send_datagram_to(case.backends[n], first, b"too late");
    assert_eq!(case.harness.receive_datagram(client), None);
    assert_eq!((case.flows(), case.stats().source_evicted, case.stats().evicted), (2, 1, 0));
    case.front.change(backends(1).udp(UdpConfig { when_full: WhenFlowsFull::Refuse, ..one })).unwrap();
    case.harness.settle();
    case.ask_nobody(client);
    assert_eq!(case.stats().refused_source, 1);
}

#[test]
fn expected_answers_end_a_flow_and_each_question_may_go_elsewhere() {
    let names = UdpConfig { requests_max: 1, replies_expected: 1, ..UdpConfig::default() };
    let mut case = Case::new(backends(3).udp(names));
    let client = case.harness.bind_udp();
    let asked: Vec<usize> = (0..6).map(|_| case.served(client, b"who?").0).collect();
    let mut sorted = asked.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 0, 1, 1, 2, 2], "spread by question: {asked:?}");
    assert_eq!((case.flows(), case.sockets(), case.stats().answered), (0, 1, 6));
    // Several at once, answered in another order.
    let questions = [case.ask(client, b"a"), case.ask(client, b"b"), case.ask(client, b"c")];
    assert_eq!(case.flows(), 3);
    for (n, flow, what) in questions.iter().rev() {
        case.harness.send_datagram_to(case.backends[*n], *flow, what);
        assert_eq!(case.harness.receive_datagram(client).expect("an answer").1, *what);
    }
    assert_eq!(case.flows(), 0);
}

#[test]
fn nothing_is_amplified_for_a_client_that_may_not_be_there() {
    let careful = UdpConfig { reply_factor_max: 3, ..UdpConfig::default() };
    let mut case = Case::new(backends(1).udp(careful));
    let client = case.harness.bind_udp();
    let (n, flow, _) = case.ask(client, &[1; 100]);
    for _ in 0..5 {
        case.harness.send_datagram_to(case.backends[n], flow, [2; 100]);
    }
    let came = std::iter::from_fn(|| case.harness.receive_datagram(client)).count();
    assert_eq!((came, case.stats().replies_withheld), (3, 2));
    // It answers: it is there.
    case.ask(client, &[1; 1]);
    for _ in 0..5 {
        case.harness.send_datagram_to(case.backends[n], flow, [2; 100]);
    }
    let came = std::iter::from_fn(|| case.harness.receive_datagram(client)).count();
    assert_eq!((came, case.stats().replies_withheld), (5, 2));
}

#[test]
fn a_backend_where_nobody_listens_is_passed_over_and_then_ejected() {
    let mut case = Case::new(backends(3));
    case.harness.close_udp(case.backends[0]);
    let listening = case.backends.split_off(1);
    let mut lost = 0;
    for _ in 0..9 {
        let client = case.harness.bind_udp();
        // The first datagram may be lost; what comes after it is not.
        case.harness.send_datagram(client, b"hello");
        if listening.iter().all(|backend| case.harness.receive_datagram(*backend).is_none()) {
            lost += 1;
            case.harness.send_datagram(client, b"hello");
            let heard = |case: &mut Case, n: usize| case.harness.receive_datagram(listening[n]).is_some();
            assert!(heard(&mut case, 0) || heard(&mut case, 1));
        }
    }
    let stats = case.front.stats();
    assert_eq!((lost, stats.backends[0].failed, stats.backends[0].ejections), (3, 3, 1));
    assert_eq!(stats.backends[0].state, BackendState::Ejected);
    let counted = case.stats();
    assert_eq!((counted.moved, counted.backend_errors), (3, 3));
    assert_eq!((case.flows(), case.sockets()), (9, 10));
    let connections = case.front.stats().backends.iter().map(|one| one.connections).collect::<Vec<_>>();
    assert_eq!(connections.iter().sum::<usize>(), 9);
    assert_eq!(connections[0], 0);
}

#[test]
fn a_flow_that_all_backends_have_failed_begins_with_the_first_again() {
    let mut case = Case::new(backends(2));
    let client = case.harness.bind_udp();
    let (n, _) = case.served(client, b"hello");
    // Both go away, one after the other, and the client never stops asking.
    case.harness.close_udp(case.backends[n]);
    case.ask_nobody(client);
    assert_eq!(case.served(client, b"the other one").0, 1 - n);
    case.harness.close_udp(case.backends[1 - n]);
    for _ in 0..4 {
        case.ask_nobody(client);
    }
    // One of them is back, whichever the flow was with last: a datagram may be lost until it is found.
    case.harness.send_datagram_to(case.backends[1 - n], "192.0.2.99:9".parse().unwrap(), b"");
    case.harness.send_datagram(client, b"anybody?");
    case.harness.receive_datagram(case.backends[1 - n]);
    assert_eq!(case.served(client, b"back again").0, 1 - n);
    assert_eq!((case.flows(), case.sockets()), (1, 2));
}

#[test]
fn session_socket_deaf_after_one_receive_error() {
    // Known of another proxy (its issue 1445): an error on a flow's socket was the end of receiving from it.
    let mut case = Case::new(backends(1));
    let client = case.harness.bind_udp();
    let (n, flow) = case.served(client, b"hello");
    for round in 0..20 {
        case.harness.close_udp(case.backends[n]);
        for _ in 0..3 {
            case.harness.send_datagram(client, b"anybody?");
        }
        assert_eq!(case.harness.receive_datagram(client), None);
        // It is back, on the same port: whoever sends something, to nobody here, listens.
        case.harness.send_datagram_to(case.backends[n], "192.0.2.99:9".parse().unwrap(), b"");
        assert_eq!(case.served(client, b"back again"), (n, flow), "round {round}");
    }
    assert!(case.stats().backend_errors >= 20);
    assert_eq!((case.flows(), case.sockets()), (1, 2));
}

#[test]
fn caps_of_backends_hold_and_nobody_waits() {
    let mut config = backends(2);
    config.backends[0].connections_max = 1;
    config.backends[1].connections_max = 1;
    let mut case = Case::new(config);
    let clients = [(); 3].map(|()| case.harness.bind_udp());
    case.served(clients[0], b"one");
    case.served(clients[1], b"two");
    case.ask_nobody(clients[2]);
    assert_eq!((case.stats().refused_backends_full, case.front.stats().waiting), (1, 0));
}

#[test]
fn sockets_that_are_used_up_are_a_full_table_too() {
    let front = Front::new(backends(1)).unwrap();
    let limits = windlass::Limits { sockets_max: 3, ..windlass::Limits::default() };
    let mut harness = Harness::new(front.serve_udp().unwrap().limits(limits));
    let backend = harness.bind_udp_at(address(0).parse().unwrap());
    let mut case = Case { front, harness, backends: vec![backend] };
    let clients = [(); 3].map(|()| case.harness.bind_udp());
    case.served(clients[0], b"one");
    case.served(clients[1], b"two");
    case.ask_nobody(clients[2]);
    case.served(clients[2], b"one made way");
    let stats = case.stats();
    assert_eq!((stats.refused_resources, stats.evicted, case.flows(), case.sockets()), (1, 1, 2, 3));
}

#[test]
fn sources_are_denied_and_limited_as_those_of_connections_are() {
    let limited = |guard: GuardConfig| ProxyConfig { guard, ..backends(1) };
    let mut case = Case::new(limited(GuardConfig { connections_max: 1, ..GuardConfig::default() }));
    let (client, other) = (case.harness.bind_udp(), case.harness.bind_udp());
    case.served(client, b"hello");
    case.served(client, b"the same flow");
    case.served(other, b"another source");
    // The same client at another address of ours would be another flow; there is one here, so by the question.
    let mut config = case.front.config();
    config.udp.requests_max = 1;
    case.front.change(config).unwrap();
    case.harness.settle();
    case.served(client, b"the last one of its flow");
    case.ask_nobody(client);
    assert_eq!((case.stats().refused_guard, case.front.stats().refused("source_full")), (1, 1));
    case.harness.advance(61 * SECOND);
    case.served(client, b"its flow has ended, and what was held with it");

    let denied = Sources::parse(["0.0.0.0/0"]).unwrap();
    let mut case = Case::new(limited(GuardConfig { deny: denied, ..GuardConfig::default() }));
    let client = case.harness.bind_udp();
    case.ask_nobody(client);
    assert_eq!((case.front.stats().refused("denied"), case.flows()), (1, 0));

    let slow = GuardConfig { request_rate: 1, request_burst: 2, ..GuardConfig::default() };
    let mut case = Case::new(limited(slow));
    let client = case.harness.bind_udp();
    case.served(client, b"one");
    case.served(client, b"two");
    case.ask_nobody(client);
    case.harness.advance(2 * SECOND);
    case.served(client, b"three");
    assert_eq!(case.stats().requests_refused, 1);
}

#[test]
fn a_change_leaves_flows_where_they_are() {
    let mut case = Case::new(backends(2));
    let (one, two) = (case.harness.bind_udp(), case.harness.bind_udp());
    let (first, flow) = case.served(one, b"hello");
    let mut config = backends(2);
    config.backends.remove(first);
    case.front.change(config.balance(Balance::Maglev)).unwrap();
    case.harness.settle();
    assert_eq!(case.served(one, b"still"), (first, flow));
    assert_eq!(case.served(two, b"new").0, 1 - first);
    case.harness.advance(61 * SECOND);
    assert_eq!(case.served(one, b"new").0, 1 - first);
}

#[test]
fn an_operator_takes_a_backend_out_and_ends_its_flows() {
    let mut case = Case::new(backends(2));
    let client = case.harness.bind_udp();
    let (first, _) = case.served(client, b"hello");
    case.front.order(None, &address(first), &Order::Remove { force: true }).unwrap();
    case.harness.settle();
    assert_eq!(case.flows(), 0);
    assert_eq!(case.served(client, b"hello").0, 1 - first);
    assert_eq!(case.stats().severed, 1);
    assert_eq!(case.front.stats().backends.len(), 1);
    let unix = Backend::at("unix:/run/app.sock".parse().unwrap());
    assert!(case.front.add(None, unix).is_err(), "it takes no datagrams");
}

#[test]
fn bytes_of_a_flow_that_lasts_are_counted_while_it_does() {
    let mut case = Case::new(backends(1));
    let client = case.harness.bind_udp();
    case.served(client, b"hello");
    case.harness.advance(Duration::from_millis(200));
    let stats = case.front.stats();
    assert_eq!((stats.sent_bytes, stats.received_bytes, stats.clients), (5, 9, 1));
    assert_eq!((stats.backends[0].sent_bytes, stats.backends[0].received_bytes), (5, 9));
}

#[test]
fn a_drain_lets_flows_finish_and_takes_no_new_ones() {
    let mut case = Case::new(backends(1));
    let (client, late) = (case.harness.bind_udp(), case.harness.bind_udp());
    let (n, flow, _) = case.ask(client, b"slow question");
    case.harness.shutdown();
    assert!(!case.harness.is_stopped());
    case.ask_nobody(late);
    case.harness.send_datagram_to(case.backends[n], flow, b"slow answer");
    assert_eq!(case.harness.receive_datagram(client).expect("an answer").1, b"slow answer");
    assert_eq!(case.served(client, b"more"), (n, flow));
    assert_eq!(case.stats().refused_draining, 1);
    case.harness.advance(6 * SECOND);
    assert!(case.harness.is_stopped(), "what is over is not waited for");
    assert_eq!(case.flows(), 0);
}

#[test]
fn a_drain_without_flows_is_over_at_once() {
    let mut case = Case::new(backends(1));
    case.harness.shutdown();
    assert!(case.harness.is_stopped());
}

#[test]
fn the_end_of_a_drain_counts_out_who_is_left() {
    let long = UdpConfig { drain_idle: 3_600 * SECOND, idle: 3_600 * SECOND, ..UdpConfig::default() };
    let mut case = Case::new(backends(1).udp(long));
    let client = case.harness.bind_udp();
    case.served(client, b"hello");
    case.harness.shutdown();
    case.harness.advance(3_000 * SECOND);
    assert!(case.harness.is_stopped());
    let front = case.front.clone();
    drop(case);
    let stats = front.stats();
    assert_eq!((stats.clients, stats.backends[0].connections, stats.backends[0].sent_bytes), (0, 0, 5));
}

#[test]
fn what_only_connections_have_is_a_mistake() {
    let stream = |config: ProxyConfig| {
        let front = Front::new(config).expect("it works for connections");
        matches!(front.serve_udp().err(), Some(ConfigError::NotForDatagrams { .. }))
    };
    let mut v1 = backends(1);
    v1.backends[0].send_proxy = Some(Version::V1);
    assert!(stream(v1));
    assert!(stream(config(&["unix:/run/app.sock"])));
    assert!(stream(
        backends(1).route(Route::server_name("a.test").backend(Backend::at("10.0.0.1:1".parse().unwrap())))
    ));
    let zero = UdpConfig { flows_max: 0, ..UdpConfig::default() };
    let front = Front::new(backends(1).udp(zero)).unwrap();
    assert_eq!(front.serve_udp().err(), Some(ConfigError::Zero { setting: "udp.flows_max" }));
    // Once it serves them it is looked at with every change.
    let front = Front::new(backends(1)).unwrap();
    assert_eq!(front.stats().udp, None);
    assert!(front.serve_udp().is_ok());
    assert!(front.change(config(&["unix:/run/app.sock"])).is_err());
    assert_eq!(front.config(), backends(1));
}

fn checked(n: usize) -> ProxyConfig {
    let exchange = ExchangeCheck { send: b"ping".to_vec(), expect: b"pong".to_vec() };
    let health = Health {
        check_every: SECOND,
        jitter_percent: 0,
        check_timeout: Duration::from_millis(500),
        rise: 1,
        fall: 1,
        ..Health::default()
    };
    backends(n).health(health).check(CheckKind::Exchange(exchange))
}

fn checks(case: &Case) -> (BackendState, u64, u64) {
    let one = &case.front.stats().backends[0];
    (one.state, one.checks_passed, one.checks_failed)
}

#[test]
fn a_check_by_bytes_is_a_datagram_and_so_is_its_answer() {
    let mut case = Case::new(checked(1));
    // The checks of the first moment found nobody there yet.
    assert_eq!(checks(&case), (BackendState::Down, 0, 1), "nobody listens");
    let backend = case.backends[0];
    let asked = |case: &mut Case| {
        case.harness.advance(SECOND);
        let (from, bytes) = case.harness.receive_datagram(backend).expect("a check");
        assert_eq!(bytes, b"ping");
        assert!(case.harness.calls().is_empty(), "and no connection");
        from
    };
    let from = asked(&mut case);
    for answer in [&b"pong, and more"[..], b"pong", b"late"] {
        case.harness.send_datagram_to(backend, from, answer);
    }
    assert_eq!(checks(&case), (BackendState::Up, 1, 1), "one answer is enough, and all that counts");
    let from = asked(&mut case);
    case.harness.send_datagram_to(backend, from, b"po");
    assert_eq!(checks(&case), (BackendState::Down, 1, 2), "no answer is whole with the next datagram");
    let from = asked(&mut case);
    case.harness.send_datagram_to(backend, from, b"pong");
    asked(&mut case);
    case.harness.advance(Duration::from_millis(400));
    assert_eq!(checks(&case), (BackendState::Up, 2, 2));
    case.harness.advance(Duration::from_millis(200));
    assert_eq!(checks(&case), (BackendState::Down, 2, 3), "silence");
    assert_eq!((case.flows(), case.sockets()), (0, 1), "none of them is left behind");
    let stats = case.stats();
    assert_eq!((stats.replies, stats.backend_errors, stats.expired), (0, 0, 0), "checks are no flows");
}

#[test]
fn a_check_under_way_does_not_keep_a_server_that_shuts_down() {
    let mut case = Case::new(checked(1));
    case.harness.advance(SECOND);
    assert!(case.harness.receive_datagram(case.backends[0]).is_some());
    case.harness.shutdown();
    assert!(case.harness.is_stopped());
    assert_eq!(checks(&case).2, 1, "and is nobody's fault");
}

#[test]
fn flows_leave_a_backend_that_checks_find_down_if_there_is_another() {
    let mut config = checked(2);
    config.health.check_every = 10 * SECOND;
    let mut case = Case::new(config);
    let answer = |case: &mut Case, well: &[usize]| {
        case.harness.advance(Duration::from_millis(9_100));
        for n in 0..2 {
            let (from, _) = case.harness.receive_datagram(case.backends[n]).expect("a check");
            if well.contains(&n) {
                case.harness.send_datagram_to(case.backends[n], from, b"pong");
            }
        }
        case.harness.advance(Duration::from_millis(900));
    };
    case.harness.advance(SECOND);
    answer(&mut case, &[0, 1]);
    let client = case.harness.bind_udp();
    let (n, _) = case.served(client, b"hello");
    // The machine is gone without a word: nobody says that nobody listens.
    answer(&mut case, &[1 - n]);
    assert_eq!(case.served(client, b"anybody?").0, 1 - n);
    assert_eq!((case.stats().moved, case.flows()), (1, 1));
    // Now nobody is well, which is no reason to go anywhere.
    let flow = case.served(client, b"anybody?");
    answer(&mut case, &[]);
    assert_eq!(case.served(client, b"anybody?"), flow);
}
