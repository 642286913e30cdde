//! HTTP on real sockets: curl, an origin that is not ours, backends that are killed, TLS and Unix sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use windlass_proxy::{Backend, Balance, Front, ProxyConfig};

use crate::servers::*;

fn http_proxy(config: ProxyConfig, workers: usize) -> (Front, Running) {
    let front = Front::new(config).expect("a configuration that works");
    let running = Running::start(front.serve_http().workers(workers).tcp("127.0.0.1:0"));
    (front, running)
}

/// Reads up to the end of a head. `None`: the connection ended before it.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).expect("a head in ASCII"))
}

/// An origin that answers every request with its name, on connections that stay; and dies when it is told to.
struct Mortal {
    listening: Listening,
    open: Arc<Mutex<Vec<TcpStream>>>,
    served: Arc<AtomicUsize>,
}

impl Mortal {
    fn start(name: &'static str) -> Mortal {
        let (open, served) = (Arc::<Mutex<Vec<TcpStream>>>::default(), Arc::<AtomicUsize>::default());
        let (opened, counts) = (open.clone(), served.clone());
        let listening = Listening::start(move |mut stream| {
            opened.lock().unwrap().push(stream.try_clone().expect("a second handle"));
            while head(&mut stream).is_some() {
                counts.fetch_add(1, SeqCst);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Mortal { listening, open, served }
    }

    fn kill(&self) {
        self.listening.close();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One GET on a connection that stays. `Err`: what went wrong.
fn get(stream: &mut TcpStream) -> Result<String, String> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").map_err(|error| error.to_string())?;
    let head = head(stream).ok_or("the connection ended")?;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).ok_or(head.clone())?];
    stream.read_exact(&mut body).map_err(|error| error.to_string())?;
    match head.starts_with("HTTP/1.1 200 ") {
        true => Ok(String::from_utf8(body).expect("a name")),
        false => Err(head),
    }
}

#[test]
fn killing_one_of_three_under_load_fails_no_request_that_can_be_repeated() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections] {
        let origins = [Mortal::start("a"), Mortal::start("b"), Mortal::start("c")];
        let config = config(origins.iter().map(|origin| &origin.listening)).balance(balance);
        let (front, running) = http_proxy(config, 2);
        let (address, stop) = (running.addresses[0], Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (stop, asked) = (stop.clone(), asked.clone());
                thread::spawn(move || {
                    let mut stream = connect(address);
                    while !stop.load(SeqCst) {
                        let name = get(&mut stream).expect("an answer");
                        assert!(["a", "b", "c"].contains(&&*name), "{name}");
                        asked.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let some = |more: usize| {
            let before = asked.load(SeqCst);
            expect("clients are served", || {
                clients.iter().any(|client| client.is_finished()) || asked.load(SeqCst) >= before + more
            });
        };
        some(300);
        origins[0].kill();
        some(1_000);
        stop.store(true, SeqCst);
        clients.into_iter().for_each(|client| client.join().expect("no request failed"));
        let stats = front.stats();
        assert!(origins[0].served.load(SeqCst) > 0 && stats.retries > 0, "{balance:?}: {stats:?}");
        assert_eq!(stats.http.responses[4], 0, "{balance:?}: {stats:?}");
    }
}

#[test]
fn what_a_backend_has_said_before_it_dies_is_passed_on() {
    let origin = Listening::start(|mut stream| {
        if head(&mut stream).is_some() {
            // In one segment with its end, as near as can be.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
        }
    });
    let (front, running) = http_proxy(config([&origin]), 1);
    for n in 1..=50 {
        let mut client = connect(running.addresses[0]);
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).expect("an end, and no reset");
        assert_eq!(heard, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart");
        expect("it is counted", || front.stats().http.cut_short == n);
    }
}

#[test]
fn pool_is_shared_by_the_worker_on_real_sockets_too() {
    let origin = Mortal::start("a");
    let mut config = config([&origin.listening]);
    config.http.pool_timeout = std::time::Duration::from_secs(600);
    let (front, running) = http_proxy(config, 1);
    for _ in 0..200 {
        assert_eq!(get(&mut connect(running.addresses[0])).as_deref(), Ok("a"));
    }
    let (opened, now) = (front.stats().backends[0].opened, origin.listening.most.load(SeqCst));
    assert!(opened <= 4 && now <= 4, "{opened} connections for 200 clients, {now} at once");
}

/// The request and what a backend says of itself, to nobody, are there in the same turn.
#[test]
fn what_an_idle_connection_has_said_is_no_answer_to_the_next_request() {
    let origin = Mortal::start("a");
    let mut config = config([&origin.listening]);
    config.http.pool_timeout = std::time::Duration::from_secs(600);
    let front = Front::new(config).unwrap();
    let ((entered, is_entered), (go, may_go)) = (channel(), channel::<()>());
    let once = Mutex::new(Some((entered, may_go)));
    let serve = front.serve_http_with(move |proxy| {
        let mut once = once.lock().unwrap().take();
        // Holds the worker when the first request is over.
        proxy.on_exchange(move |_| {
            if let Some((entered, may_go)) = once.take() {
                entered.send(()).unwrap();
                may_go.recv().unwrap();
            }
        })
    });
    let running = Running::start(serve.workers(1).tcp("127.0.0.1:0"));
    let mut client = connect(running.addresses[0]);
    client.write_all(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    is_entered.recv_timeout(LONG).expect("it is over");
    client.write_all(b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").unwrap();
    let late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 1\r\n\r\nb";
    origin.open.lock().unwrap()[0].write_all(late).unwrap();
    go.send(()).unwrap();
    for n in 1..=2 {
        let head = head(&mut client).expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{n}: {head}");
        let mut body = [0];
        client.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"a");
    }
    // Once, and not by both.
    assert_eq!((origin.served.load(SeqCst), front.stats().http.stale), (2, 1));
}

#[test]
fn session_counters_return_to_zero_after_every_way_to_leave() {
    let origin = Mortal::start("a");
    let mut config = config([&origin.listening]);
    config.backends[0].connections_max = 4;
    config.http.pool_timeout = std::time::Duration::from_millis(50);
    let (front, running) = http_proxy(config, 2);
    for n in 0..200 {
        let mut client = connect(running.addresses[0]);
        match n % 5 {
            0 => {}
            1 => client.write_all(b"GET /").unwrap(),
            2 => client.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx").unwrap(),
            3 => {
                client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                let _ = client.peek(&mut [0; 1]);
            }
            _ => drop(get(&mut client).unwrap()),
        }
    }
    // Those who have gone at once are let in too, by either worker.
    expect("all of them have come", || front.stats().opened == 200);
    expect_nothing(&front);
    assert_eq!(front.stats().backends[0].busy, 0);
    assert_eq!(get(&mut connect(running.addresses[0])).as_deref(), Ok("a"));
}

#[test]
fn an_idle_proxy_with_clients_and_a_pool_sleeps() {
    let origin = Mortal::start("a");
    let mut config = config([&origin.listening]);
    config.http.pool_timeout = std::time::Duration::from_secs(600);
    let (_front, running) = http_proxy(config, 1);
    let mut client = connect(running.addresses[0]);
    get(&mut client).unwrap();
    // A pipelined half of a head, and a client that has ended its half, are where others spin.
    client.write_all(b"GET /").unwrap();
    let half = connect(running.addresses[0]);
    half.shutdown(Shutdown::Write).unwrap();
    let polls = || running.handle.stats().counters.polls;
    let mut before = polls();
    expect("less than forty polls in a second", || {
        thread::sleep(std::time::Duration::from_secs(1));
        let now = polls();
        // Ten ticks, and what a slow machine adds.
        now - std::mem::replace(&mut before, now) < 40
    });
}

// --- Programs that are not ours.

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let out = Command::new("curl").args(["-sS", "--max-time", "30"]).args(arguments).output().expect("curl");
    assert!(out.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn curl_before_pythons_server_gets_its_files() {
    let dir = tempdir();
    let file: Vec<u8> = (0..3_000_000).map(|n| (n % 253) as u8).collect();
    std::fs::write(dir.join("large"), &file).unwrap();
    std::fs::write(dir.join("small"), b"hello").unwrap();
    let mut server = Command::new("python3")
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
        .current_dir(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3");
    let mut says = BufReader::new(server.stdout.take().expect("its output"));
    let _server = Program(server);
    // "Serving HTTP on 127.0.0.1 port 40519 (http://...)"
    let mut line = String::new();
    says.read_line(&mut line).expect("a line");
    let port = line.split_whitespace().nth(5).expect("a port").to_owned();
    let backend = Backend::at(format!("127.0.0.1:{port}").parse().unwrap());
    let (front, running) = http_proxy(ProxyConfig::default().backend(backend), 1);
    let at = |path: &str| format!("http://{}{path}", running.addresses[0]);
    assert!(curl(&[&at("/large")]) == file, "three megabytes, whole");
    // Two on one connection, and a head alone; python's is HTTP/1.0 and closes.
    let twice = curl(&[&at("/small"), &at("/small")]);
    assert_eq!(twice, b"hellohello");
    let head = String::from_utf8(curl(&["-I", &at("/small")])).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 5"), "{head}");
    let missing = curl(&["-o", "/dev/null", "-w", "%{http_code}", &at("/nowhere")]);
    assert_eq!(missing, b"404");
    expect_nothing(&front);
    std::fs::remove_dir_all(dir).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("windlass-http-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[cfg(feature = "tls")]
#[test]
fn tls_at_either_end_and_a_unix_socket_between() {
    use windlass::{TlsClient, TlsIdentity, TlsServer};
    let cert = |name: &str| format!("{}/../windlass/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"));
    let identity = || TlsIdentity::from_files(cert("server.pem"), cert("server.key")).unwrap();
    let authorities = std::fs::read(cert("ca.pem")).unwrap();
    let origin = Mortal::start("behind three");
    // client -> TLS -> [1] -> TLS -> [2] -> Unix socket -> [3] -> origin
    let dir = std::env::temp_dir().join(format!("windlass-http-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = format!("unix:{}", dir.join("3.sock").display());
    let third = Front::new(config([&origin.listening])).unwrap();
    let _third = Running::start(third.serve_http().workers(1).unix(dir.join("3.sock")));
    let second = Front::new(ProxyConfig::default().backend(Backend::at(path.parse().unwrap()))).unwrap();
    let tls = TlsServer::new(identity()).build().unwrap();
    let ends = Running::start(second.serve_http().workers(1).tls("127.0.0.1:0", &tls));
    let target = TlsClient::new(authorities).build().unwrap().to("server.test").unwrap();
    let backend = Backend::at(ends.addresses[0].to_string().parse().unwrap()).tls(target);
    let first = Front::new(ProxyConfig::default().backend(backend)).unwrap();
    let running = Running::start(first.serve_http().workers(1).tls("127.0.0.1:0", &tls));
    let url = format!("https://server.test:{}/x", running.addresses[0].port());
    let to = format!("server.test:{}:127.0.0.1", running.addresses[0].port());
    let ca = cert("ca.pem");
    let got = curl(&["--cacert", &ca, "--resolve", &to, &url, &url]);
    assert_eq!(got, b"behind threebehind three");
    assert_eq!(first.stats().http.reused, 1);
    std::fs::remove_dir_all(dir).unwrap();
}
