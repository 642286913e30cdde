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
    assert!(status.success() && summary.contains("messages"), "{summary}");
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
            let subscribe = ["-V", version, "-t", &topic, "-q", qos, "-C", "1", "-W", "10", "-F", "%p %q %r"];
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
        let heard = mosquitto("mosquitto_sub", &server, &[&session[..], &["-C", "1", "-W", "10"]].concat());
        assert_eq!(said(heard.unwrap()), "fire\n", "{version}");
    }
    let answer = ["-V", "mqttv5", "-t", "question", "-e", "answers/1", "-m", "?", "-W", "10"];
    let mut asking = mosquitto("mosquitto_rr", &server, &answer).unwrap();
    let mut tries = 0;
    while asking.try_wait().unwrap().is_none() && tries < 100 {
        said(mosquitto("mosquitto_pub", &server, &["-V", "mqttv5", "-t", "answers/1", "-m", "42"]).unwrap());
        tries += 1;
    }
    assert_eq!(said(asking), "42\n");
}
