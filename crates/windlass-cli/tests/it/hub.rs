//! `windlass hub` and `[[hub]]` over real sockets, and Mosquitto's clients where they are installed.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::served::*;
use crate::server::*;

const CONNECT: &[u8] = b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03abc";
const SUBSCRIBE: &[u8] = b"\x82\x08\0\x01\0\x03t/#\0";
const PUBLISH: &[u8] = b"\x30\x0a\0\x03t/1hello";

/// Connects, subscribes, publishes, and gets it back.
fn converse(stream: &mut (impl Read + Write)) {
    for (said, wanted) in
        [(CONNECT, &b"\x20\x02\0\0"[..]), (SUBSCRIBE, b"\x90\x03\0\x01\0"), (PUBLISH, PUBLISH)]
    {
        stream.write_all(said).unwrap();
        let mut got = vec![0; wanted.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, wanted, "{}", said.escape_ascii());
    }
}

#[test]
fn it_serves_over_tcp_and_unix_sockets() {
    let path = SocketPath::new("hub-socket");
    let unix = format!("unix:{}", path.0.display());
    let mut server = Server::command(&["hub", "127.0.0.1:0", &unix, "--log-level", "error"]);
    assert_eq!(server.line(), format!("Listening on {unix}"));
    converse(&mut server.connect());
    converse(&mut std::os::unix::net::UnixStream::connect(&path.0).unwrap());
    let (status, summary, _) = server.stop();
    assert!(status.success(), "{summary}");
}

#[test]
fn a_websocket_is_on_the_same_port() {
    let server = Server::command(&["hub", "127.0.0.1:0", "-q"]);
    let request =
        tungstenite::client::IntoClientRequest::into_client_request(format!("ws://{}/mqtt", server.address));
    let mut request = request.unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (mut socket, response) = tungstenite::client(request, server.connect()).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    let connect = b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03web";
    for (said, wanted) in [(&connect[..], &b"\x20\x02\0\0"[..]), (SUBSCRIBE, b"\x90\x03\0\x01\0")] {
        socket.send(tungstenite::Message::binary(said)).unwrap();
        assert_eq!(socket.read().unwrap().into_data(), wanted);
    }
    converse(&mut server.connect());
    assert_eq!(socket.read().unwrap().into_data(), PUBLISH, "from the other transport");
}

#[test]
fn a_reload_keeps_sessions_and_connections() {
    let (at, admin) = (free(), free());
    let text = |more: &str| {
        format!("[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 1\n[[hub]]\nlisten = \"{at}\"\n{more}")
    };
    let served = Served::start("hub", &text(""));
    let mut stream = connect(&at);
    converse(&mut stream);
    assert!(served.reload(&text("keep_alive_max = \"60s\"\nqueue_max = 5\n")), "{}", served.log());
    stream.write_all(PUBLISH).unwrap();
    let mut got = [0; PUBLISH.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, PUBLISH, "it is subscribed still");
    assert!(!served.reload(&text("receive_max = 0\n")), "and what is wrong changes nothing");
    stream.write_all(b"\xc0\0").unwrap();
    stream.read_exact(&mut got[..2]).unwrap();
    let metrics = || {
        let mut page = connect(&admin);
        write!(page, "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        page.read_to_string(&mut text).unwrap();
        text
    };
    for line in [
        "windlass_hub_clients{hub=\"hub\"} 1",
        "windlass_hub_messages_received_total{hub=\"hub\",qos=\"0\"} 2",
        "windlass_hub_connects_total{hub=\"hub\",outcome=\"served\"} 1",
    ] {
        // Workers pass their numbers on now and then.
        wait_until(|| metrics().contains(line), || format!("{line}: {}", metrics()));
    }
    served.stop();
}

/// The next packet: its first byte and its body.
fn packet(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    let (first, mut len) = (byte[0], 0);
    for shift in [0, 7, 14, 21] {
        stream.read_exact(&mut byte).unwrap();
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    (first, body)
}

/// A client of version 5 whose session stays.
fn stay(server: &Server, id: &str) -> std::net::TcpStream {
    let mut stream = server.connect();
    let mut connect = b"\x10\0\0\x04MQTT\x05\0\0\x3c\x05\x11\xff\xff\xff\xff\0".to_vec();
    connect.push(id.len() as u8);
    connect.extend(id.as_bytes());
    connect[1] = connect.len() as u8 - 2;
    stream.write_all(&connect).unwrap();
    let (first, body) = packet(&mut stream);
    assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
    stream
}

/// Sends a message of QoS 1 about `t`.
fn send(stream: &mut std::net::TcpStream, id: u16, payload: &[u8]) {
    let [high, low] = id.to_be_bytes();
    let body = [&[0, 1, b't', high, low, 0], payload].concat();
    let (low, high) = ((body.len() % 128) as u8, (body.len() / 128) as u8);
    let mut bytes = if high == 0 { vec![0x32, low] } else { vec![0x32, low | 0x80, high] };
    bytes.extend(body);
    stream.write_all(&bytes).unwrap();
}

/// The reason it is acknowledged with.
fn acknowledged(stream: &mut std::net::TcpStream, id: u16) -> u8 {
    let (first, body) = packet(stream);
    assert_eq!((first, &body[..2]), (0x40, &id.to_be_bytes()[..]));
    body.get(2).copied().unwrap_or(0)
}

fn publish(stream: &mut std::net::TcpStream, id: u16, payload: &[u8]) -> u8 {
    send(stream, id, payload);
    acknowledged(stream, id)
}

/// The messages that a session gets of those that waited for it, acknowledged in the end.
fn waited(server: &Server, id: &str, count: usize) -> Vec<Vec<u8>> {
    let mut stream = stay(server, id);
    (0..count)
        .map(|_| {
            let (first, body) = packet(&mut stream);
            assert_eq!(first & 0xf6, 0x32, "a message of QoS 1");
            stream.write_all(&[0x40, 2, body[3], body[4]]).unwrap();
            body[6..].to_vec()
        })
        .collect()
}

fn subscribe_and_leave(server: &Server, id: &str) {
    let mut away = stay(server, id);
    away.write_all(b"\x82\x07\0\x01\0\0\x01t\x01").unwrap();
    assert_eq!(packet(&mut away), (0x90, vec![0, 1, 0, 1]));
}

/// The folder is made, is the user's, and can be written to from within the sandbox: by the next process too.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_is_the_users_and_within_the_sandbox() {
    let folder = Folder::new("hub-user");
    // A parent that a user may pass, and in which nothing of its own is yet.
    let data = folder.path("below/data");
    std::fs::create_dir_all(folder.path("below")).unwrap();
    for sandbox in ["on", "strict"] {
        let mut args = vec!["hub", "127.0.0.1:0", "--data", &data, "--sandbox", sandbox, "--log", "text"];
        if is_root() {
            args.extend(["--user", "61184", "--group", "61184"]);
        } else {
            println!("SKIPPED: not root: only the sandbox is tried");
        }
        for life in 0..2 {
            let server = Server::command(&args);
            if life == 0 {
                subscribe_and_leave(&server, sandbox);
                assert_eq!(publish(&mut stay(&server, "sender"), 1, sandbox.as_bytes()), 0);
            } else {
                assert_eq!(waited(&server, sandbox, 1), [sandbox.as_bytes()]);
            }
            if is_root() {
                use std::os::unix::fs::MetadataExt;
                assert_eq!(std::fs::metadata(&data).unwrap().uid(), 61_184);
            }
            let (ended, _, stderr) = server.stop();
            assert!(ended.success(), "{stderr}");
        }
        std::fs::remove_dir_all(&data).unwrap();
    }
}

/// A real file system that is full: nothing is acknowledged that is not kept, and there is room again it is served again.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_not_lied_about() {
    if !is_root() || Command::new("nsenter").arg("-V").output().is_err() {
        println!("SKIPPED: not root, or no nsenter: no small file system can be mounted");
        return;
    }
    let folder = Folder::new("hub-full");
    let data = folder.path("disk");
    std::fs::create_dir_all(&data).unwrap();
    // It has the file system as long as it lives.
    let mount = "mount -t tmpfs -o size=512k none \"$0\" && echo mounted && read ends";
    let mut holder = Command::new("unshare")
        .args(["-m", "sh", "-c", mount, &data])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 8];
    holder.stdout.as_mut().unwrap().read_exact(&mut said).expect("it is mounted");
    let inside = |args: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &holder.id().to_string(), "-m"]).args(args);
        command
    };
    let hub = [env!("CARGO_BIN_EXE_windlass"), "hub", "127.0.0.1:0", "-q", "--data", &data];
    let server = Server::of(inside(&hub));
    subscribe_and_leave(&server, "away");
    let mut sender = stay(&server, "sender");
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let message = |n: usize| format!("{n:0>8000}").into_bytes();
    // Until one is refused, or waits for the disk.
    sender.set_read_timeout(Some(std::time::Duration::from_secs(8))).unwrap();
    let mut waits = false;
    for n in 0..200 {
        send(&mut sender, 1, &message(n));
        // It is kept as soon as there is room, and acknowledged then.
        waits = sender.peek(&mut [0]).is_err();
        if !waits {
            let reason = acknowledged(&mut sender, 1);
            if reason != 0 {
                assert_eq!(reason, 0x97);
                break;
            }
        }
        kept.push(message(n));
        if waits {
            break;
        }
    }
    assert!((10..100).contains(&kept.len()), "{} of 8,000 bytes in 512 KiB", kept.len());
    // Somebody else is told so, and what needs no disk goes on.
    let mut other = server.connect();
    other.write_all(b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02ot").unwrap();
    assert_eq!(packet(&mut other).1[1], 0);
    assert_eq!(publish(&mut other, 1, b"x"), 0x97);
    other.write_all(b"\xc0\0").unwrap();
    assert_eq!(packet(&mut other), (0xd0, vec![]));
    // Room again.
    let grown = inside(&["mount", "-o", "remount,size=64m", &data]).status().unwrap();
    assert!(grown.success());
    if waits {
        sender.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(acknowledged(&mut sender, 1), 0);
    }
    let mut id = 2;
    wait_until(
        || {
            id += 1;
            publish(&mut other, id, b"last") == 0
        },
        || "it does not serve again".into(),
    );
    kept.push(b"last".to_vec());
    // And what was acknowledged is on the disk: the process is killed.
    server.signal(rustix::process::Signal::KILL);
    drop(server);
    let server = Server::of(inside(&hub));
    assert_eq!(waited(&server, "away", kept.len()), kept);
    drop(server);
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// Runs a client of Mosquitto's; `None`, and loudly, where it is not installed.
fn mosquitto(program: &str, server: &Server, args: &[&str]) -> Option<std::process::Child> {
    let (host, port) = server.address.split_once(':').unwrap();
    let child = Command::new(program)
        .args(["-h", host, "-p", port])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {program} is not installed (Debian: mosquitto-clients)");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn said(child: std::process::Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn mosquittos_clients_are_served() {
    let server = Server::command(&["hub", "127.0.0.1:0", "-q"]);
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("{version}/{qos}");
            let publish = ["-V", version, "-t", &topic, "-q", qos, "-r", "-m", "kept"];
            let Some(child) = mosquitto("mosquitto_pub", &server, &publish) else { return };
            said(child);
            let subscribe = ["-V", version, "-t", &topic, "-q", qos, "-C", "1", "-W", "30", "-F", "%p %q %r"];
            let heard = said(mosquitto("mosquitto_sub", &server, &subscribe).unwrap());
            assert_eq!(heard, format!("kept {qos} 1\n"), "{topic}");
        }
        // Away while it comes, and there again.
        let id = format!("panel-{version}");
        let mut session = vec!["-V", version, "-i", &id, "-c", "-t", "alarm", "-q", "1"];
        if version == "mqttv5" {
            session.extend(["-x", "1000"]);
        }
        said(mosquitto("mosquitto_sub", &server, &[&session[..], &["-E"]].concat()).unwrap());
        let publish = ["-V", version, "-t", "alarm", "-q", "1", "-m", "fire"];
        said(mosquitto("mosquitto_pub", &server, &publish).unwrap());
        let heard = mosquitto("mosquitto_sub", &server, &[&session[..], &["-C", "1", "-W", "30"]].concat());
        assert_eq!(said(heard.unwrap()), "fire\n", "{version}");
    }
    let answer = ["-V", "mqttv5", "-t", "question", "-e", "answers/1", "-m", "?", "-W", "30"];
    let mut asking = mosquitto("mosquitto_rr", &server, &answer).unwrap();
    // Until it has subscribed and heard one, or has waited for too long.
    while asking.try_wait().unwrap().is_none() {
        said(mosquitto("mosquitto_pub", &server, &["-V", "mqttv5", "-t", "answers/1", "-m", "42"]).unwrap());
    }
    assert_eq!(said(asking), "42\n");
}
