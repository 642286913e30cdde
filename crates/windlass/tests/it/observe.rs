//! What observers see: counts by service and listener, connections by page, one turn, stalls, limits; and
//! that asking has bounds.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use windlass::{
    Change, CloseHow, Config, ConnId, Handle, LimitUse, LimitValue, Limits, ObserveError, Page, Query,
    Server, ServiceStats, Sort, Traffic, TurnTrace, datagrams, serve,
};

use crate::harness::*;
use crate::probe::{Event, Probe, wait, wait_closed};

/// The page that answers.
fn inspect(handle: &Handle, query: Query) -> Page {
    let (sender, page) = channel();
    handle.inspect(query, move |page| sender.send(page).unwrap()).expect("it is taken");
    page.recv_timeout(LONG).expect("an answer")
}

/// Looks until a page is as wanted.
fn inspect_until(handle: &Handle, query: &Query, wanted: impl Fn(&Page) -> bool) -> Page {
    let deadline = Instant::now() + LONG;
    loop {
        let page = inspect(handle, query.clone());
        if wanted(&page) {
            return page;
        }
        assert!(Instant::now() < deadline, "looked in vain: {page:#?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn close(handle: &Handle, id: ConnId, how: CloseHow) -> bool {
    let (sender, answer) = channel();
    handle.close_connection(id, how, move |found| sender.send(found).unwrap()).expect("it is taken");
    answer.recv_timeout(LONG).expect("an answer")
}

/// The id of the connection that comes from this stream.
fn id_of(handle: &Handle, stream: &TcpStream) -> ConnId {
    let peer = stream.local_addr().unwrap();
    let query = Query::default().filter(peer.to_string());
    inspect_until(handle, &query, |page| page.matched == 1).entries[0].id
}

/// Waits until services are as wanted.
fn services_when(handle: &Handle, wanted: impl Fn(&[ServiceStats]) -> bool) -> Vec<ServiceStats> {
    let deadline = Instant::now() + LONG;
    loop {
        let services = handle.services();
        if wanted(&services) {
            return services;
        }
        assert!(Instant::now() < deadline, "waited in vain: {services:#?}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_passes_is_counted_by_service_and_by_listener() {
    for workers in [1, 3] {
        let config = Config::default().workers(workers).limits(limits());
        let bound = Server::new(config)
            .add(serve(|| Echo).name("two").tcp("127.0.0.1:0").tcp("127.0.0.1:0"))
            .add(serve(|| Echo).name("other").tcp("127.0.0.1:0"))
            .add(datagrams(|| Echo).name("short").udp("127.0.0.1:0"))
            .bind()
            .unwrap();
        let udp = bound.addresses()[3].udp().unwrap();
        let names: Vec<_> = bound.addresses().iter().map(|address| address.to_string()).collect();
        let server = Running::run(bound);
        let mut first = connect(server.addrs[0]);
        round_trip(&mut first, b"12345");
        let mut second = connect(server.addrs[1]);
        round_trip(&mut second, b"1234567");
        let mut gone = connect(server.addrs[1]);
        round_trip(&mut gone, b"1");
        drop(gone);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.send_to(b"123", udp).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 3);

        let services = services_when(&server.handle, |services| {
            services[0].connections == 2 && services[0].bytes_out == 13 && services[2].datagrams_out == 1
        });
        let told = |n: usize| (services[n].name.as_str(), services[n].opened, services[n].bytes_in);
        assert_eq!([told(0), told(1), told(2)], [("two", 3, 13), ("other", 0, 0), ("short", 0, 3)]);
        assert_eq!((services[2].datagrams_in, services[2].bytes_out), (1, 3));
        let listeners = server.handle.listeners();
        let told: Vec<_> =
            listeners.iter().map(|l| (l.service.as_str(), l.opened, l.bytes_in, l.bytes_out)).collect();
        assert_eq!(told, [("two", 1, 5, 5), ("two", 2, 8, 8), ("other", 0, 0, 0), ("short", 0, 3, 3)]);
        assert!(listeners.iter().map(|listener| &listener.address).eq(&names));
        assert!(listeners.iter().all(|listener| !listener.tls));
        let stats = server.counters();
        assert_eq!(services.iter().map(|service| service.bytes_in).sum::<u64>(), stats.bytes_in);
        drop((first, second));
        let services = services_when(&server.handle, |services| services[0].connections == 0);
        assert_eq!(services[0].opened, 3, "what was counted stays");
        server.stop();
    }
}

#[test]
fn a_change_of_the_server_loses_no_count() {
    let config = Config::default().workers(2).limits(limits());
    let bound = Server::new(config)
        .add(serve(|| Echo).name("kept").tcp("127.0.0.1:0"))
        .add(serve(|| Echo).name("gone").tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let (mut kept, mut gone) = (connect(server.addrs[0]), connect(server.addrs[1]));
    round_trip(&mut kept, b"12345");
    round_trip(&mut gone, b"123");
    services_when(&server.handle, |services| services[0].bytes_out == 5 && services[1].bytes_out == 3);
    let address = server.addrs[0].to_string();
    // Replaced by one of its name, at the same address; the other is removed.
    let again = serve(|| Echo).name("kept").tcp(&address);
    server.handle.apply(Change::new().remove("kept").add(again).remove("gone")).unwrap();
    expect_end(&mut kept);
    expect_end(&mut gone);
    drop((kept, gone));
    let mut new = connect(server.addrs[0]);
    round_trip(&mut new, b"1");
    let services = services_when(&server.handle, |services| {
        services.len() == 1 && services[0].bytes_out == 6 && services[0].connections == 1
    });
    assert_eq!((services[0].name.as_str(), services[0].opened), ("kept", 2));
    // The other's goes when the last worker has let it go.
    server.wait_for("the other to go", |_| server.handle.listeners().len() == 1);
    let listeners = server.handle.listeners();
    let told: Vec<_> = listeners.iter().map(|l| (&*l.address, &*l.service, l.opened, l.bytes_out)).collect();
    assert_eq!(told, [(&*address, "kept", 2, 6)], "each address once");
    // A connection of the old one may have its place for a moment longer.
    let page = inspect_until(&server.handle, &Query::default().filter("kept"), |page| page.matched == 1);
    assert_eq!(page.entries[0].listener.as_deref(), Some(&*address));
    server.stop();
}

#[test]
fn connections_are_found_sorted_and_paged() {
    let config = Config::default().workers(3).limits(limits());
    let bound = Server::new(config)
        .add(serve(|| Echo).name("Loud").tcp("127.0.0.1:0"))
        .add(serve(|| Echo).name("quiet").tcp("127.0.0.1:0"))
        .bind()
        .unwrap();
    let server = Running::run(bound);
    let loud: Vec<_> = (0..5).map(|_| connect(server.addrs[0])).collect();
    let mut quiet: Vec<_> = (0..20).map(|_| connect(server.addrs[1])).collect();
    server.wait_for("all of them", |c| c.opened == 25);

    let page = inspect(&server.handle, Query::default().count(7).sort(Sort::Age));
    assert_eq!((page.total, page.matched, page.entries.len()), (25, 25, 7));
    assert!(page.entries.is_sorted_by(|a, b| a.age >= b.age), "{page:#?}");
    let mut seen = Vec::new();
    for offset in (0..28).step_by(7) {
        let page = inspect(&server.handle, Query::default().sort(Sort::Received).offset(offset).count(7));
        seen.extend(page.entries.into_iter().map(|entry| entry.id));
    }
    let in_order = seen.clone();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25, "each is on one page");
    assert_eq!(in_order, seen, "of equals the first is first");

    let named = inspect(&server.handle, Query::default().filter("lOUD"));
    assert_eq!((named.total, named.matched), (25, 5));
    for entry in &named.entries {
        assert_eq!(
            (&*entry.service, entry.listener.as_deref()),
            ("Loud", Some(&*server.addrs[0].to_string()))
        );
        assert!(loud.iter().any(|stream| Some(stream.local_addr().unwrap()) == entry.peer.addr()));
        assert_eq!(format!("{:?}", entry.state), "{}");
    }
    let by_listener = inspect(&server.handle, Query::default().filter(server.addrs[1].to_string()));
    assert_eq!(by_listener.matched, 20);
    let id = id_of(&server.handle, &quiet[3]);
    let by_id = inspect(&server.handle, Query::default().filter(id.to_string()));
    assert_eq!(by_id.entries.iter().filter(|entry| entry.id == id).count(), 1);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(inspect(&server.handle, Query::default().filter("nobody")).matched, 0);

    // Counted from the first question on, with rates between pages.
    quiet[3].write_all(&pattern(100_000)).unwrap();
    expect(&mut quiet[3], &pattern(100_000));
    let page = inspect_until(&server.handle, &Query::default().count(1), |page| {
        page.entries[0].id == id && page.entries[0].received_rate > 0.0
    });
    let talker = &page.entries[0];
    assert_eq!((talker.received, talker.sent), (100_000, 100_000));
    assert!(talker.sent_rate > 0.0);
    assert!(talker.idle < LONG && talker.age < LONG * 4);
    server.stop();
}

#[test]
fn states_and_queues_are_shown() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|conn, input| {
        match input.peek().first() {
            Some(b'p') => conn.pause(),
            Some(b'w') => conn.write(&[0; 8 << 20]),
            Some(b'h') => conn.half_close(),
            // Left untaken.
            _ => return Ok(()),
        }
        input.take_all();
        Ok(())
    });
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let send = |bytes: &[u8]| {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        wait(&events, |event| matches!(event, Event::Input(_)));
        stream
    };
    let shown = |stream: &TcpStream, wanted: &str| {
        let id = id_of(&server.handle, stream);
        let query = Query::default().sort(Sort::Queued).filter(id.to_string());
        let page = inspect_until(&server.handle, &query, |page| {
            page.entries.iter().any(|entry| entry.id == id && entry.state.is(wanted))
        });
        page.entries.into_iter().find(|entry| entry.id == id).unwrap()
    };
    let paused = send(b"p");
    shown(&paused, "paused");
    let mut half = send(b"h");
    expect_end(&mut half);
    shown(&half, "half_closed");
    let congested = send(b"w");
    let entry = shown(&congested, "congested");
    assert!(entry.output_bytes > 1 << 20, "{entry:?}");
    let untaken = send(b"xyz");
    let page = inspect(&server.handle, Query::default().sort(Sort::Queued).count(2));
    assert_eq!(page.entries[0].id, entry.id, "the longest queue is first");
    assert_eq!((page.entries[1].input_bytes, page.entries[1].output_bytes), (3, 0));
    drop((paused, half, congested, untaken));
    server.stop();
}

#[test]
fn a_walk_over_many_connections_takes_some_turns() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors).unwrap();
    // More than one turn looks at.
    const MANY: u64 = 2_500;
    let server = echo(limits());
    let mut streams: Vec<_> = (0..MANY).map(|_| server.connect()).collect();
    let before = server.wait_for("all of them", |c| c.opened == MANY);
    let page = inspect(&server.handle, Query::default().sort(Sort::Age).offset(MANY as usize - 5).count(50));
    assert_eq!((page.total, page.entries.len()), (MANY, 5));
    server.wait_for("the turns of the walk", |c| c.turns >= before.turns + 3);
    streams.iter_mut().step_by(500).for_each(|stream| round_trip(stream, b"served meanwhile"));
    assert_eq!(inspect(&server.handle, Query::default().offset(9_000).count(1_000)).entries.len(), 0);
    assert_eq!(inspect(&server.handle, Query::default().count(0)).total, MANY);
    drop(streams);
    server.stop();
}

#[test]
fn questions_have_bounds() {
    let bound = serve(|| Echo).config(one_worker(limits())).tcp("127.0.0.1:0").bind().unwrap();
    let handle = bound.handle();
    let ask = |query| handle.inspect(query, |_| {});
    assert_eq!(ask(Query::default().offset(9_990).count(11)), Err(ObserveError::TooFar));
    assert_eq!(ask(Query::default().offset(usize::MAX).count(1)), Err(ObserveError::TooFar));
    for _ in 0..4 {
        assert_eq!(ask(Query::default()), Ok(()), "nobody answers yet, and they wait");
    }
    assert_eq!(ask(Query::default()), Err(ObserveError::Busy));
    let id = "7:1.1".parse().unwrap();
    assert_eq!(handle.close_connection(id, CloseHow::Orderly, |_| {}), Err(ObserveError::Stopped));
    assert_eq!(handle.trace_turn(1, LONG, |_| {}), Err(ObserveError::Stopped));
    let here = "0:1.1".parse().unwrap();
    let mut taken = 0;
    let full = loop {
        match handle.close_connection(here, CloseHow::Orderly, |_| {}) {
            Ok(()) => taken += 1,
            Err(why) => break why,
        }
    };
    assert_eq!((full, taken), (ObserveError::Busy, 60), "as long a queue as 64, with the four before");

    let server = Running::run(bound);
    assert_eq!(inspect_until_taken(&handle).total, 0, "they were answered, and there is room again");
    let refused = |text: &str| text.parse::<ConnId>().is_err();
    assert!(
        ["", "0", "0:1", "0:1.x", ":1.1", "0:1.1.1", "+0:1.1", "99999999999:1.1"].into_iter().all(refused)
    );
    server.stop();
    assert_eq!(handle.inspect(Query::default(), |_| {}), Err(ObserveError::Stopped));
    assert_eq!(handle.trace_turn(0, LONG, |_| {}), Err(ObserveError::Stopped));
}

fn inspect_until_taken(handle: &Handle) -> Page {
    let deadline = Instant::now() + LONG;
    let (sender, page) = channel();
    loop {
        let sender = sender.clone();
        match handle.inspect(Query::default(), move |page| sender.send(page).unwrap()) {
            Ok(()) => return page.recv_timeout(LONG).expect("an answer"),
            Err(why) => assert!(Instant::now() < deadline, "{why}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_connection_is_ended_from_outside() {
    let (probe, events) = Probe::new();
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut orderly = server.connect();
    let id = id_of(&server.handle, &orderly);
    assert!(close(&server.handle, id, CloseHow::Orderly));
    expect_end(&mut orderly);
    assert_eq!(wait_closed(&events), "requested");
    assert!(!close(&server.handle, id, CloseHow::Orderly), "it is ending, or gone");
    drop(orderly);

    let mut aborted = server.connect();
    let id = id_of(&server.handle, &aborted);
    assert!(close(&server.handle, id, CloseHow::Abort));
    assert!(read_to_reset(&mut aborted).is_empty());
    assert_eq!(wait_closed(&events), "aborted");
    server.wait_for("both to be gone", |c| c.connections == 0);
    let mut other = server.connect();
    other.write_all(b"x").unwrap();
    wait(&events, |event| *event == Event::Input(1));
    assert!(!close(&server.handle, id, CloseHow::Abort), "whoever has its slot now is another");
    server.wait_for("the other to stay", |c| c.connections == 1);
    let counters = server.stop().stats.counters;
    assert_eq!((counters.closed_by("requested"), counters.closed_by("aborted")), (1, 2));
}

fn trace(handle: &Handle, act: impl FnOnce()) -> TurnTrace {
    let (sender, turn) = channel();
    handle.trace_turn(0, LONG, move |turn| sender.send(turn).unwrap()).expect("it is taken");
    // It is armed once a turn has passed that had nothing to do but to take the errand.
    let deadline = Instant::now() + Duration::from_millis(50);
    while Instant::now() < deadline {
        assert_eq!(turn.try_recv().ok(), None, "nothing has happened yet");
        thread::sleep(Duration::from_millis(5));
    }
    act();
    turn.recv_timeout(LONG).expect("an answer").expect("a turn")
}

#[test]
fn one_turn_is_written_down() {
    let server = Running::start(serve(|| Echo).name("echo").config(one_worker(limits())).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    round_trip(&mut stream, b"warm up");
    let id = id_of(&server.handle, &stream);

    let turn = trace(&server.handle, || round_trip(&mut stream, &[7; 1000]));
    let names: Vec<_> = turn.steps.iter().map(|step| step.step).collect();
    let all = ["poll", "run", "datagrams", "accept", "timers", "ticks", "mail", "connect", "end", "drain"];
    assert_eq!(names, all);
    assert!(turn.steps.is_sorted_by(|a, b| a.at + a.took <= b.at), "{turn:#?}");
    assert!(turn.steps.last().is_some_and(|last| last.at + last.took <= turn.took));
    assert!(turn.waited >= Duration::from_millis(10) && turn.waited < LONG, "{turn:#?}");
    let entries: Vec<_> =
        turn.steps.iter().flat_map(|step| step.entries.iter().map(move |e| (step, e))).collect();
    let told: Vec<_> = entries.iter().map(|(step, e)| (step.step, e.what, &*e.detail, e.bytes)).collect();
    let wanted = [
        ("poll", "readable", "", 0),
        ("run", "read", "", 1000),
        ("run", "callback", "data echo", 0),
        ("run", "flush", "", 1000),
    ];
    let readable = told[0].2;
    assert!(["", "readable and writable"].contains(&readable), "{turn:#?}");
    assert_eq!(told[1..], wanted[1..]);
    assert_eq!((told[0].0, told[0].1), ("poll", "readable"));
    for (step, entry) in &entries {
        assert_eq!(entry.conn, Some(id), "{turn:#?}");
        assert!(entry.at >= step.at && entry.at + entry.took <= step.at + step.took, "{turn:#?}");
    }

    // A newcomer, and one that leaves.
    let turn = trace(&server.handle, || drop(stream));
    let what = |turn: &TurnTrace, what| {
        let mut entries = turn.steps.iter().flat_map(|step| &step.entries);
        entries.find(|entry| entry.what == what).cloned()
    };
    let closed = what(&turn, "close").unwrap_or_else(|| panic!("{turn:#?}"));
    assert_eq!((&*closed.detail, closed.conn), ("eof", Some(id)));
    let mut stream = None;
    let turn = trace(&server.handle, || stream = Some(server.connect()));
    let accepted = what(&turn, "accept").unwrap_or_else(|| panic!("{turn:#?}"));
    assert_eq!(accepted.detail, server.addr().to_string());
    assert_eq!(what(&turn, "callback").map(|called| called.detail), Some("open echo".into()));
    server.stop();
}

#[test]
fn a_turn_in_which_nothing_happens_is_not_waited_for_for_ever() {
    let server = echo(limits());
    let (sender, turn) = channel();
    let wait = Duration::from_millis(30);
    server.handle.trace_turn(0, wait, move |turn| sender.send(turn).unwrap()).unwrap();
    assert_eq!(turn.recv_timeout(LONG), Ok(None));
    // Who stops first is told nothing.
    let (sender, turn) = channel();
    server.handle.trace_turn(0, LONG, move |turn| sender.send(turn).unwrap()).unwrap();
    server.stop();
    assert!(matches!(turn.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected) | Ok(_)));
}

#[test]
fn only_so_many_wait_for_a_turn() {
    let server = echo(limits());
    let (mut taken, deadline) = (0, Instant::now() + Duration::from_millis(500));
    while Instant::now() < deadline {
        match server.handle.trace_turn(0, LONG, |_| {}) {
            Ok(()) => taken += 1,
            Err(why) => {
                assert_eq!(why, ObserveError::Busy);
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    assert_eq!(taken, 64);
    // They are told of the next turn, and there is room again.
    let mut stream = server.connect();
    round_trip(&mut stream, b"a turn");
    trace(&server.handle, || round_trip(&mut stream, b"another"));
    server.stop();
}

#[test]
fn a_service_knows_the_traffic_of_a_connection_where_it_is_always_counted() {
    for always in [false, true] {
        let (sender, told) = channel::<(Option<Traffic>, Duration)>();
        let (probe, _events) = Probe::new();
        let probe = probe.input(move |conn, input| {
            conn.write(&[0; 10]);
            if input.take_all().contains(&b'!') {
                sender.send((conn.traffic(), conn.age())).unwrap();
            }
            Ok(())
        });
        let config = Config { traffic: always, ..one_worker(limits()) };
        let server = Running::start(serve(move || probe.clone()).config(config).tcp("127.0.0.1:0"));
        let mut stream = server.connect();
        stream.write_all(b"12345").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        // Somebody looks, which changes nothing for the service.
        inspect(&server.handle, Query::default());
        stream.write_all(b"678!").unwrap();
        let (traffic, age) = told.recv_timeout(LONG).unwrap();
        assert_eq!(traffic.map(|traffic| (traffic.received, traffic.sent)), always.then_some((9, 10)));
        assert!(age > Duration::ZERO && age < LONG);
        server.stop();
    }
}

#[test]
fn stalls_are_kept_for_whoever_looks_later() {
    let (probe, events) = Probe::new();
    let probe = probe.input(|_, input| {
        input.take_all();
        thread::sleep(Duration::from_millis(60));
        Ok(())
    });
    let limits = Limits { stall_timeout: Duration::from_millis(30), ..limits() };
    let server = Running::start(serve(move || probe.clone()).config(one_worker(limits)).tcp("127.0.0.1:0"));
    let mut stream = server.connect();
    stream.write_all(b"x").unwrap();
    wait(&events, |event| *event == Event::Input(1));
    server.wait_for("a stall", |c| c.stalls >= 1);
    let taken = server.handle.take_stalls();
    assert!(taken.iter().any(|stall| stall.callback == "data"));
    assert_eq!(server.handle.take_stalls(), []);
    let kept = server.handle.stalls();
    assert_eq!(kept, taken);
    assert!(kept[0].at <= server.handle.uptime());
    server.stop();
}

#[test]
fn limits_tell_what_is_used_of_them() {
    let limits = Limits { connections_max: 3, output_max: 1 << 20, ..limits() };
    let server = echo(limits);
    let names: Vec<_> = server.handle.limits_in_use().iter().map(|limit| limit.name).collect();
    assert!(names.iter().eq(Limits::NAMES.iter().map(|(name, _)| name)));
    let limit = |name: &str| -> LimitUse {
        server.handle.limits_in_use().into_iter().find(|limit| limit.name == name).unwrap()
    };
    assert_eq!(limit("output_max").value, LimitValue::Bytes(1 << 20));
    assert_eq!(limit("when_full").value, LimitValue::Policy("wait"));
    assert_eq!(limit("idle_timeout").value, LimitValue::Time(Duration::from_secs(300)));
    assert_eq!(limit("idle_timeout").used, None);
    assert_eq!(
        (limit("connections_max").value, limit("connections_max").reached),
        (LimitValue::Count(3), Some(0))
    );
    let mut streams: Vec<_> = (0..3).map(|_| server.connect()).collect();
    streams.iter_mut().for_each(|stream| round_trip(stream, b"x"));
    // The fourth waits.
    let fourth = server.connect();
    server.wait_for("a newcomer that waits", |c| c.accept_paused_full > 0);
    let full = limit("connections_max");
    assert_eq!(full.used, Some(3));
    assert!(full.reached > Some(0));
    drop((streams, fourth));
    server.stop();
}
