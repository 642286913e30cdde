//! `[admin]`.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Folder, LONG, mini, output};

fn asked(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn numbers_come_from_the_loop_that_counts() {
    let mini = mini("[admin]\nlisten = [\"127.0.0.1:0\"]\n[[echo]]\nlisten = [\"127.0.0.1:0\"]\n", 2);
    let (echo, admin) = (&mini.addresses[0], &mini.addresses[1]);
    let mut stream = TcpStream::connect(echo).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(b"12345").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let answer = asked(admin, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let value = |name: &str| {
        let line = body
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{body}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(value("windlass_connections"), 2);
    assert!(value("windlass_received_bytes_total") >= 5);
    assert_eq!(mini.threads(), 1);
    assert!(asked(admin, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nok\n"));
    assert!(asked(admin, "GET /readyz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert!(asked(admin, "GET /nothing HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(asked(admin, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(asked(admin, "GET /healthz?all HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    // One that has ended is told of by its reason.
    drop(stream);
    let ended = "\nwindlass_connections_closed_total{reason=\"eof\"} 1\n";
    let begun = std::time::Instant::now();
    while !asked(admin, "GET /metrics HTTP/1.1\r\n\r\n").contains(ended) {
        assert!(begun.elapsed() < LONG, "it has not ended");
    }
}

/// What a small machine's operator has to know of datagrams: who made way for others, and which sockets there were not.
#[cfg(feature = "relay")]
#[test]
fn flows_that_made_way_are_counted() {
    use std::net::UdpSocket;
    let back = UdpSocket::bind("127.0.0.1:0").unwrap();
    back.set_read_timeout(Some(LONG)).unwrap();
    let text = format!(
        "[limits]\nsockets_max = 3\n[admin]\nlisten = [\"127.0.0.1:0\"]\n[[proxy]]\nname = \"a\\\"b\"\nmode = \"udp\"\n\
         listen = [\"127.0.0.1:0\"]\nto = [\"{}\"]\n",
        back.local_addr().unwrap()
    );
    let mini = mini(&text, 2);
    let [relay, admin] = [0, 1].map(|at| mini.addresses[at].as_str());
    let value = |name: &str| {
        let page = asked(admin, "GET /metrics HTTP/1.1\r\n\r\n");
        let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{page}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let evicted = "windlass_proxy_udp_evicted_total{proxy=\"a\\\"b\"}";
    assert_eq!((value(evicted), value("windlass_sockets_refused_total")), (0, 0));
    // Two have a socket of their own beside the one that listens, and the third none.
    let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for client in &clients[..2] {
        client.send_to(b"here", relay).unwrap();
        assert_eq!(back.recv(&mut [0; 9]).unwrap(), 4);
    }
    clients[2].send_to(b"lost", relay).unwrap();
    let begun = std::time::Instant::now();
    while value("windlass_sockets_refused_total") == 0 {
        assert!(begun.elapsed() < LONG, "nothing is refused");
    }
    assert_eq!((value(evicted), value("windlass_sockets_refused_total")), (1, 1));
    // The first has made way, so there is room now.
    clients[2].send_to(b"again", relay).unwrap();
    assert_eq!(back.recv(&mut [0; 9]).unwrap(), 5);
    assert_eq!((value(evicted), value("windlass_sockets_refused_total")), (1, 1));
}

#[test]
fn it_listens_on_this_machine_only() {
    let folder = Folder::new();
    let path =
        folder.file("a.toml", "[admin]\nlisten = [\"0.0.0.0:0\"]\n[[echo]]\nlisten = [\"127.0.0.1:0\"]\n");
    let out = output(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(78));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("admin.listen") && said.contains("loopback"), "{said}");
}
