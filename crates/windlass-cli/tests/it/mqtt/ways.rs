//! Every way to a broker: TCP, TLS, certificates on both sides, WebSocket, Unix socket.

use super::broker::{Broker, certificate};
use crate::server::run;

/// Publishes retained over one way, and reads it back over the same.
#[track_caller]
fn there_and_back(way: &[&str]) {
    for version in ["311", "5"] {
        let message = format!("over {} with {version}", way[0]);
        let publish =
            [&["pub"], way, &["-t", "way", "-m", &message, "-q", "2", "-r", "-V", version]].concat();
        let output = run(&publish);
        assert!(output.status.success(), "{way:?}: {}", String::from_utf8_lossy(&output.stderr));
        let output =
            run(&[&["sub"], way, &["-t", "way", "-C", "1", "-W", "20", "-q", "1", "-V", version]].concat());
        assert!(output.status.success(), "{way:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), message);
    }
}

#[test]
fn plain_web_and_unix() {
    let Some(broker) = Broker::start() else { return };
    there_and_back(&["-L", &format!("mqtt://127.0.0.1:{}", broker.port)]);
    there_and_back(&["-L", &format!("ws://127.0.0.1:{}", broker.web)]);
    there_and_back(&["-p", &broker.web, "--ws"]);
    there_and_back(&["--unix", &broker.socket().display().to_string()]);
    there_and_back(&["-p", &broker.port, "-A", "127.0.0.1", "-h", "localhost"]);
}

/// More than a frame or a read holds. mosquitto's WebSocket sends 4 KiB in a tenth of a second: there it is less.
#[test]
fn large_messages() {
    let Some(broker) = Broker::start() else { return };
    large(&broker, &["-h", "127.0.0.1", "-p", &broker.port], 1_500_000);
    large(&broker, &["-p", &broker.web, "--ws"], 100_000);
}

/// The other end is ours, too.
#[cfg(feature = "hub")]
#[test]
fn through_our_own_hub() {
    let Some(broker) = Broker::start() else { return };
    let hub = crate::server::Server::command(&["hub", "127.0.0.1:0", "-q"]);
    let (_, port) = hub.address.rsplit_once(':').unwrap();
    for way in [&["-h", "127.0.0.1", "-p", port][..], &["-p", port, "--ws"]] {
        there_and_back(way);
        large(&broker, way, 1_500_000);
    }
}

/// Ours at both ends, encrypted: packets by themselves and in a WebSocket, on one port, and whoever shows no certificate
/// stays out where one is asked for.
#[cfg(all(feature = "hub", feature = "tls"))]
#[test]
fn through_our_own_hub_over_tls() {
    let Some(files) = Broker::start() else { return };
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(certificate);
    let [server, its_key] = ["server.pem", "server.key"].map(certificate);
    for mutual in [false, true] {
        let clients = if mutual { format!("client_ca = \"{ca}\"\n") } else { String::new() };
        let text = format!(
            "[server]\nworkers = 1\n[[hub]]\nlisten = \"127.0.0.1:0\"\n[hub.tls]\ncert = \"{server}\"\n\
             key = \"{its_key}\"\n{clients}"
        );
        let config = files.file("hub.toml", text.as_bytes());
        let hub = crate::server::Server::command(&["run", "-c", &config, "-q"]);
        let (_, port) = hub.address.rsplit_once(':').unwrap();
        let shows = ["--cert", &cert, "--key", &key];
        let shows = if mutual { &shows[..] } else { &[] };
        for scheme in ["mqtts", "wss"] {
            let place = format!("{scheme}://localhost:{port}");
            let way = ["-L", &place, "--cafile", &ca];
            there_and_back(&[&way[..], shows].concat());
            let web = if scheme == "wss" { &["--ws"][..] } else { &[] };
            large(
                &files,
                &[&["-h", "localhost", "-p", port, "--cafile", &ca][..], web, shows].concat(),
                1_500_000,
            );
            if mutual {
                let output = run(&[&["pub"][..], &way, &["-t", "a", "-m", "x", "-q", "1"]].concat());
                assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }
}

#[track_caller]
fn large(files: &Broker, way: &[&str], size: u32) {
    let large: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let file = files.file("large", &large);
    let output = run(&[&["pub"], way, &["-t", "large", "-f", &file, "-q", "1", "-r"]].concat());
    assert!(output.status.success(), "{way:?}: {}", String::from_utf8_lossy(&output.stderr));
    let output = run(&[&["sub"], way, &["-t", "large", "-C", "1", "-N", "-q", "1"]].concat());
    assert!(output.status.success() && output.stdout == large, "{way:?}: {} bytes", output.stdout.len());
}

#[cfg(feature = "tls")]
#[test]
fn tls() {
    let Some(broker) = Broker::start() else { return };
    let ca = certificate("ca.pem");
    there_and_back(&["-h", "localhost", "-p", &broker.tls, "--cafile", &ca]);
    there_and_back(&["-L", &format!("mqtts://localhost:{}", broker.tls), "--cafile", &ca]);
    for version in ["tlsv1.2", "tlsv1.3"] {
        there_and_back(&["-h", "localhost", "-p", &broker.tls, "--cafile", &ca, "--tls-version", version]);
    }
    // By another name than it is addressed with.
    there_and_back(&["-h", "127.0.0.1", "-p", &broker.tls, "--cafile", &ca, "--tls-name", "localhost"]);
    let [cert, key] = ["client.pem", "client.key"].map(certificate);
    there_and_back(&[
        "-h",
        "localhost",
        "-p",
        &broker.mutual,
        "--cafile",
        &ca,
        "--cert",
        &cert,
        "--key",
        &key,
    ]);
}

#[cfg(feature = "tls")]
#[test]
fn nobody_else_is_trusted() {
    let Some(broker) = Broker::start() else { return };
    let ca = certificate("ca.pem");
    let system = ["-h", "localhost", "-p", &broker.tls, "--tls-use-os-certs"];
    let name = ["-h", "localhost", "-p", &broker.tls, "--cafile", &ca, "--tls-name", "example.com"];
    let nothing = ["-h", "localhost", "-p", &broker.mutual, "--cafile", &ca];
    for way in [&system[..], &name, &nothing] {
        let output = run(&[&["pub"], way, &["-t", "a", "-m", "x", "-q", "1"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{way:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}
