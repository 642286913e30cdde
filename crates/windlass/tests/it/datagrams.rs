//! UDP sockets: datagrams come back from where they were sent to, errors are told and survived, floods
//! stay within the limits.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use windlass::{
    Change, Close, Conn, Datagram, DatagramReceive, DatagramService, Input, Limits, Mailbox, Outgoing, Scope,
    Server, Service, Socket, Tick, datagrams, serve,
};

use crate::harness::*;

/// Sends everything back, over both.
struct Both;

impl DatagramService for Both {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
    }
}

impl Service for Both {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn udp_echo(address: &str, limits: Limits, workers: usize) -> (Running, SocketAddr) {
    let config = one_worker(limits).workers(workers);
    let bound = datagrams(|| Both).config(config).udp(address).bind().expect("binds");
    let addr = bound.addresses()[0].udp().expect("a UDP address");
    (Running::run(bound), addr)
}

fn client(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let n = socket.recv(&mut bytes).expect("an answer");
    bytes.truncate(n);
    bytes
}

fn round_trip(socket: &UdpSocket, bytes: &[u8]) {
    socket.send(bytes).unwrap();
    assert_eq!(receive(socket), bytes);
}

#[test]
fn every_size_comes_back() {
    let (server, addr) = udp_echo("127.0.0.1:0", limits(), 1);
    let socket = client(addr);
    for size in [1, 0, 64, 1200, 1472, 1473, 9_000, 65_507, 0, 3] {
        let bytes: Vec<u8> = (0..size).map(|n| (n * 7) as u8).collect();
        round_trip(&socket, &bytes);
    }
    let counters = server.stop().stats.counters;
    assert_eq!((counters.datagrams_in, counters.datagrams_out), (10, 10));
    assert_eq!((counters.datagrams_dropped, counters.datagrams_unsent, counters.sockets), (0, 0, 0));
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    // On every address; a connected client takes no answer from another than it asked.
    let (server, addr) = udp_echo(":0", limits(), 1);
    for host in ["127.0.0.1", "127.0.0.2", "127.9.9.9"] {
        let to = SocketAddr::new(host.parse().unwrap(), addr.port());
        round_trip(&client(to), b"from where I asked");
    }
    if addr.is_ipv6() {
        round_trip(&client(SocketAddr::new("::1".parse().unwrap(), addr.port())), b"six");
    }
    // IPv4 only.
    let (other, addr) = udp_echo("0.0.0.0:0", limits(), 1);
    round_trip(&client(SocketAddr::new("127.0.0.3".parse().unwrap(), addr.port())), b"four");
    server.stop();
    other.stop();
}

#[test]
fn several_workers_share_an_address() {
    let (server, addr) = udp_echo("127.0.0.1:0", limits(), 2);
    // By chance all of them on one worker once in 2^63 times.
    for n in 0..64u8 {
        round_trip(&client(addr), &[n]);
    }
    let of_worker = |n| server.handle.worker_stats(n).unwrap().counters.datagrams_in;
    server.wait_for("all", |counters| counters.datagrams_in == 64);
    assert!(of_worker(0) > 0 && of_worker(1) > 0, "{} and {}", of_worker(0), of_worker(1));
    // Nobody joins them unnoticed.
    let error = datagrams(|| Both).workers(2).udp(addr.to_string()).bind().err().expect("it is taken");
    assert!(error.to_string().contains("in use"), "{error}");
    server.stop();
}

#[test]
fn one_service_has_streams_and_datagrams() {
    let bound = Server::new(one_worker(limits()))
        .add(serve(|| Both).datagrams().listen("127.0.0.1:0").listen("udp:127.0.0.1:0"))
        .add(datagrams(|| Both).udp("127.0.0.1:0"))
        .bind()
        .unwrap();
    assert_eq!(bound.addresses()[1].to_string(), format!("udp:{}", bound.addresses()[1].udp().unwrap()));
    let udp = [1, 2].map(|n: usize| bound.addresses()[n].udp().unwrap());
    let server = Running::run(bound);
    let mut stream = server.connect();
    io::Write::write_all(&mut stream, b"stream").unwrap();
    let mut echo = [0; 6];
    io::Read::read_exact(&mut stream, &mut echo).unwrap();
    assert_eq!(&echo, b"stream");
    for addr in udp {
        round_trip(&client(addr), b"datagram");
    }
    drop(stream);
    server.stop();
}

#[test]
fn services_listen_on_what_they_serve() {
    let error = serve(|| Both).listen("udp:127.0.0.1:0").bind().err().unwrap().to_string();
    assert!(error.contains("Both serves no datagrams"), "{error}");
    let error = datagrams(|| Both).tcp("127.0.0.1:0").bind().err().unwrap().to_string();
    assert!(error.contains("Both serves datagrams only"), "{error}");
}

/// Forwards to an upstream whose address is the datagram, and tells what comes of it.
struct Forward {
    told: Sender<String>,
}

impl DatagramService for Forward {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if socket.peer().is_some() {
            assert_eq!(Some(datagram.from), socket.peer());
            self.told.send(format!("answer {}", String::from_utf8_lossy(datagram.bytes))).unwrap();
            return;
        }
        let text = std::str::from_utf8(datagram.bytes).unwrap();
        let to: SocketAddr = text.parse().unwrap();
        let mut known = None;
        socket.scope().each_socket(|other| {
            known = known.or((other.peer() == Some(to)).then(|| other.id()));
        });
        let id = match known {
            Some(id) => id,
            None => match socket.connect(to) {
                Ok(id) => id,
                Err(e) => return self.told.send(format!("no socket: {:?}", e.kind())).unwrap(),
            },
        };
        let mut flow = socket.other(id).unwrap();
        assert!(flow.send(b"ping"));
        flow.wake_at(flow.now() + Duration::from_millis(50));
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: io::Error) {
        assert!(socket.peer().is_some());
        self.told.send(format!("error {:?}", error.kind())).unwrap();
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        self.told.send("timeout".into()).unwrap();
        socket.wake_at(socket.now() + Duration::from_secs(3600));
    }
}

#[test]
fn a_connected_socket_hears_that_it_is_refused_and_goes_on() {
    let (told, heard) = channel();
    let limits = Limits { sockets_max: 2, ..limits() };
    let serve = datagrams(move || Forward { told: told.clone() }).config(one_worker(limits));
    let bound = serve.udp("127.0.0.1:0").bind().unwrap();
    let addr = bound.addresses()[0].udp().unwrap();
    let server = Running::run(bound);
    let asking = client(addr);

    // A port that is free: ours a moment ago, on an address of which nobody else takes one.
    let upstream = UdpSocket::bind("127.0.0.77:0").unwrap();
    let to = upstream.local_addr().unwrap();
    drop(upstream);
    let hear = |wanted: &str| loop {
        let text = heard.recv_timeout(LONG).unwrap_or_else(|_| panic!("{wanted} was not told"));
        if text == wanted {
            return;
        }
        assert_eq!(text, "timeout", "waiting for {wanted}");
    };
    for _ in 0..3 {
        asking.send(to.to_string().as_bytes()).unwrap();
        hear("error ConnectionRefused");
    }
    // Somebody is there now, and the same socket reaches him.
    let upstream = UdpSocket::bind(to).unwrap();
    upstream.set_read_timeout(Some(LONG)).unwrap();
    asking.send(to.to_string().as_bytes()).unwrap();
    let mut bytes = [0; 16];
    let (n, from) = upstream.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..n], b"ping");
    // From a stranger nothing is taken.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"spam", from).unwrap();
    upstream.send_to(b"pong", from).unwrap();
    hear("answer pong");
    hear("timeout");
    // The one that is bound counts too.
    asking.send(b"127.0.0.1:9").unwrap();
    hear("no socket: QuotaExceeded");
    server.wait_for("three errors and a refusal", |c| c.datagram_errors >= 3 && c.sockets_refused == 1);
    server.stop();
}

#[test]
fn a_flood_stays_within_its_bounds() {
    let limits = Limits {
        datagram_output_max: 64 * 1024,
        datagrams_per_turn_max: 64,
        datagram_receive_buffer_bytes: 1 << 20,
        ..limits()
    };
    let (server, addr) = udp_echo("127.0.0.1:0", limits, 1);
    let flood = client(addr);
    for n in 0..30_000u32 {
        // The system may be out of room for a moment.
        let _ = flood.send(&[n as u8; 400]);
    }
    // Others are served all the same, if not always at the first try: datagrams are lost in a flood.
    let socket = client(addr);
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut echo = [0; 16];
    let served = (0..100).any(|_| {
        socket.send(b"me too").unwrap();
        socket.recv(&mut echo).is_ok()
    });
    assert!(served && echo.starts_with(b"me too"));
    let counters = server.stop().stats.counters;
    assert!(counters.datagram_output_peak_bytes <= 64 * 1024, "{counters:#?}");
    let gone = counters.datagrams_out + counters.datagrams_dropped + counters.datagrams_unsent;
    assert_eq!(counters.datagrams_queued, gone);
    assert!(counters.datagrams_in > 0 && counters.receives < counters.datagrams_in, "{counters:#?}");
}

/// Sends bursts to an echo server, and counts what comes back.
struct Burst {
    to: SocketAddr,
    told: Sender<usize>,
    answers: usize,
}

const SEGMENT: usize = 1200;
const SEGMENTS: usize = 100;

impl DatagramService for Burst {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        assert_eq!((datagram.from, datagram.bytes.len()), (self.to, SEGMENT));
        assert_eq!(datagram.bytes[0], datagram.bytes[SEGMENT - 1], "of one piece");
        assert_eq!(datagram.to, Some(socket.local_addr().ip()));
        self.answers += 1;
        self.told.send(self.answers).unwrap();
    }
}

impl DatagramReceive for Burst {
    type Message = ();
    fn receive(&mut self, scope: &mut Scope<'_>, (): ()) {
        let bytes: Vec<u8> = (0..SEGMENTS).flat_map(|n| [n as u8; SEGMENT]).collect();
        let to = self.to;
        scope.each_socket(|socket| {
            assert!(socket.send_out(Outgoing::new(to, &bytes).segment_bytes(SEGMENT)));
        });
    }
}

#[test]
fn bursts_travel_in_few_calls() {
    let (server, addr) = udp_echo("127.0.0.1:0", limits(), 1);
    let (told, heard) = channel();
    let mailbox = Mailbox::new();
    let burst = datagrams(move || Burst { to: addr, told: told.clone(), answers: 0 }).mailbox(&mailbox);
    let bound = burst.config(one_worker(limits())).udp("127.0.0.1:0").bind().unwrap();
    let client = Running::run(bound);
    mailbox.send(0, ()).unwrap();
    while heard.recv_timeout(LONG).expect("all come back") < SEGMENTS {}
    let (sent, echoed) = (client.stop().stats.counters, server.stop().stats.counters);
    assert_eq!(sent.datagrams_out, SEGMENTS as u64);
    if cfg!(target_os = "linux") && sent.gso_stopped == 0 {
        assert!(sent.sends <= 4, "one call for as many as a packet holds: {}", sent.sends);
        assert!(echoed.receives <= SEGMENTS as u64, "{}", echoed.receives);
        assert!(echoed.sends < SEGMENTS as u64, "{}", echoed.sends);
    }
}

/// Ticks to whoever has written last.
struct Ticking(Option<SocketAddr>);

impl DatagramService for Ticking {
    fn datagram(&mut self, _: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.0 = Some(datagram.from);
    }
    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick) {
        let Some(to) = self.0 else { return };
        scope.each_socket(|socket| {
            socket.send_to(to, &tick.number.to_be_bytes());
        });
    }
    fn draining(&mut self, socket: &mut Socket<'_>) {
        if let Some(to) = self.0 {
            socket.send_to(to, b"bye");
        }
        socket.close();
    }
}

#[test]
fn ticks_and_the_last_words() {
    let serve = datagrams(|| Ticking(None)).tick(Duration::from_millis(5)).config(one_worker(limits()));
    let bound = serve.udp("127.0.0.1:0").bind().unwrap();
    let addr = bound.addresses()[0].udp().unwrap();
    let server = Running::run(bound);
    let socket = client(addr);
    socket.send(b"here").unwrap();
    assert_eq!(receive(&socket).len(), 8);
    // What is in the socket when the server is asked to stop is still read.
    server.handle.shutdown();
    while receive(&socket) != b"bye" {}
    server.ended_well();
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, addr.port()));
    assert!(closed.is_ok(), "the port is free again");
}

/// Answers with its worker and a name.
struct Where(&'static str);

impl DatagramService for Where {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let answer = format!("{} {}", self.0, socket.id().worker());
        socket.reply(&datagram, answer.as_bytes());
    }
}

#[test]
fn a_port_of_one_worker_is_that_workers_for_whoever_sends_to_it() {
    let config = || one_worker(limits()).workers(2);
    let serve = |name| datagrams(move || Where(name)).name(name);
    let error = serve("a").config(config()).udp_on(2, "127.0.0.1:0").bind().map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no worker 2"), "{error}");
    let any = "127.0.0.1:0";
    let bound = serve("a").config(config()).udp_on(1, any).udp_on(0, any).udp(any).bind().unwrap();
    let at: Vec<SocketAddr> = bound.addresses().iter().map(|at| at.udp().unwrap()).collect();
    let server = Running::run(bound);
    let ask = |to: SocketAddr| {
        let socket = client(to);
        socket.send(b"?").unwrap();
        String::from_utf8(receive(&socket)).unwrap()
    };
    // Thirty peers: by addresses they would be spread over both.
    let all = |to: SocketAddr, answer: &str| assert!((0..30).all(|_| ask(to) == answer), "{answer}");
    all(at[0], "a 1");
    all(at[1], "a 0");
    // Whoever comes after it, on the same workers, has the same sockets; on another it is another socket, for which the
    // address is not free.
    let next = |first, second| {
        serve("b").udp_on(first, at[0].to_string()).udp_on(second, at[1].to_string()).udp(at[2].to_string())
    };
    let error = server.handle.apply(Change::new().remove("a").add(next(0, 1))).map(drop).unwrap_err();
    assert!(error.to_string().contains("cannot listen"), "{error}");
    all(at[0], "a 1");
    server.handle.apply(Change::new().remove("a").add(next(1, 0))).unwrap();
    all(at[0], "b 1");
    all(at[1], "b 0");
    server.stop();
}
