//! The MQTT load against a broker that does right, one that does wrong in each way, and Debian's mosquitto.

use std::process::{Command, Output};

use crate::broker::{Wrong, start};

/// Runs the load for a moment.
fn bench(target: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-bench"));
    command.args(["mqtt", target, "--json"]).args(words);
    // Unless it is said otherwise. Who is well says nothing for a while, on a machine that stands still for a moment.
    for (name, usual) in [("-t", "200ms"), ("--warmup", "20ms"), ("--stall", "60s")] {
        if !words.contains(&name) {
            command.args([name, usual]);
        }
    }
    command.output().unwrap()
}

/// All that is said by one that has seen no message in its time.
const NOTHING: &str = "error: nothing was served";

/// For how long, and how long nothing may be said: longer and longer, as the machine may have stood still meanwhile.
const TRIES: [[&str; 4]; 4] = [
    ["-t", "200ms", "--stall", "300ms"],
    ["-t", "1s", "--stall", "1s"],
    ["-t", "4s", "--stall", "4s"],
    ["-t", "15s", "--stall", "15s"],
];

fn report(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
fn clean(target: &str, words: &[&str]) -> serde_json::Value {
    // A machine may stand still for as long as it is measured.
    for longer in [&[][..], &["-t", "5s"], &["-t", "20s"]] {
        let longer = if words.contains(&"-t") { &[] } else { longer };
        let words = [words, longer].concat();
        let output = bench(target, &words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.trim() == NOTHING {
            continue;
        }
        assert!(output.status.success(), "{words:?}: {stderr}");
        let report = report(&output);
        assert_eq!((&report["verified"], &report["kind"]), (&true.into(), &"mqtt".into()));
        assert!(report["messages"].as_u64().unwrap() > 0, "{words:?}: {report}");
        return report;
    }
    panic!("{words:?}: {NOTHING}");
}

#[test]
fn every_mode_at_any_depth() {
    let target = start(Wrong::Nothing);
    for protocol in ["5", "3.1.1"] {
        for qos in ["0", "1"] {
            for (mode, publishers, subscribers) in [("pairs", 3, 3), ("fan-in", 3, 1), ("fan-out", 1, 3)] {
                for depth in ["1", "7"] {
                    let words = [
                        "--mode",
                        mode,
                        "-c",
                        "3",
                        "-q",
                        qos,
                        "-d",
                        depth,
                        "--protocol",
                        protocol,
                        "-s",
                        "100",
                    ];
                    let report = clean(&target, &words);
                    assert_eq!(report["mode"], mode);
                    assert_eq!(report["publishers"], publishers);
                    assert_eq!(report["subscribers"], subscribers);
                    assert_eq!(report["acknowledged_us"].is_null(), qos == "0");
                }
            }
        }
    }
    let report = clean(&target, &["--mode", "publish", "-c", "3", "-q", "1"]);
    assert_eq!(report["latency_us"]["count"], report["acknowledged_us"]["count"]);
    clean(&target, &["--mode", "connect", "-c", "2"]);
    let report = clean(&target, &["--mode", "idle", "-c", "20", "--pid", &std::process::id().to_string()]);
    assert_eq!(report["idle"]["connections"], 20);
    assert!(report["idle"]["bytes_open"].is_number());
}

#[test]
fn smallest_payload_and_threads_and_a_rate() {
    let target = start(Wrong::Nothing);
    clean(&target, &["-c", "3", "-s", "8"]);
    clean(&target, &["-c", "3", "--threads", "2", "-q", "1", "-d", "3"]);
    // Exactly so many are due inside the window, and each is timed, whenever it comes.
    for mode in ["pairs", "fan-in"] {
        let report = clean(&target, &["-c", "3", "--mode", mode, "--rate", "2000", "-t", "500ms"]);
        assert_eq!(report["latency_us"]["count"], 1000, "{mode}");
        assert!(report["latency_from_sending_us"].is_object());
    }
}

#[test]
fn whatever_goes_wrong_is_found() {
    for (wrong, kind, part) in [
        (Wrong::Loses(20), "missing", "did not come"),
        (Wrong::Repeats(20), "repeated", "came again"),
        (Wrong::Swaps(20), "missing", "did not come"),
        (Wrong::Changes(20), "wrong_reply", "nobody published so"),
        (Wrong::Refuses(20), "error_reply", "quota exceeded"),
        (Wrong::Closes(20), "closed", "closed"),
        (Wrong::Forgets(20), "stalled", "stalled"),
        (Wrong::Stalls(20), "stalled", "stalled"),
    ] {
        let mut all = String::new();
        let is_found = TRIES.iter().any(|times| {
            let output = bench(&start(wrong), &[&["-c", "1", "-q", "1", "-d", "4"], &times[..]].concat());
            let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
            let report = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
            let is_counted = report["errors"][kind].as_u64().is_some_and(|n| n > 0);
            all += &format!("{times:?}: {report}\n{stderr}\n");
            output.status.code() == Some(1) && is_counted && stderr.contains(part)
        });
        assert!(is_found, "{wrong:?}: {all}");
    }
}

/// A message that overtakes another is told twice: one is missing, and then it comes.
#[test]
fn what_comes_out_of_order_is_told() {
    let mut all = Vec::new();
    let is_told = TRIES.iter().any(|times| {
        let output = bench(&start(Wrong::Swaps(20)), &[&["-c", "1", "-d", "4"], &times[..]].concat());
        let report = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
        all.push((report["errors"]["missing"].as_u64(), report["errors"]["repeated"].as_u64()));
        all.last() == Some(&(Some(1), Some(1)))
    });
    assert!(is_told, "{all:?}");
}

#[test]
fn who_is_not_let_in_is_told_why() {
    for (wrong, part) in
        [(Wrong::Shuts, "did not connect: not authorized"), (Wrong::Denies, "did not subscribe")]
    {
        let output = bench(&start(wrong), &["-c", "1"]);
        let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(output.status.code() == Some(1) && stderr.contains(part), "{stderr}");
    }
    // No port that the system gives to anybody.
    let nobody = "127.0.0.1:1";
    for mode in ["pairs", "connect", "idle"] {
        let output = bench(nobody, &["--mode", mode]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("connection refused; is the server running?"), "{stderr}");
    }
    for (words, part) in [
        (&["--mode", "publish"][..], "nothing is acknowledged with QoS 0"),
        (&["-s", "7"], "8 bytes at least"),
        (&["--mode", "idle", "--rate", "5"], "--rate is for messages"),
    ] {
        let output = bench(nobody, words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains(part), "{stderr}");
    }
}

mod mosquitto {
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::clean;

    struct Broker(Child);

    impl Drop for Broker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// One that listens, and where; `None` where there is none. Others may be given a free port before it is.
    fn broker() -> Option<(Broker, [u16; 2])> {
        let config = std::env::temp_dir().join(format!("windlass-bench-{}.conf", std::process::id()));
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let [port, web] =
                [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
            let text = format!(
                "allow_anonymous true\nset_tcp_nodelay true\nlog_dest none\nlistener {port} 127.0.0.1\n\
                 listener {web} 127.0.0.1\nprotocol websockets\n"
            );
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new("mosquitto");
            command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            let Ok(child) = command.spawn() else {
                println!("SKIPPED: mosquitto is not installed");
                return None;
            };
            let mut broker = Broker(child);
            while broker.0.try_wait().unwrap().is_none() {
                if [web, port].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                    std::fs::remove_file(&config).unwrap();
                    return Some((broker, [port, web]));
                }
                assert!(Instant::now() < deadline, "mosquitto does not listen");
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(Instant::now() < deadline, "mosquitto ends");
        }
    }

    #[test]
    fn every_qos_over_tcp_and_websocket() {
        let Some((_broker, [port, web])) = broker() else { return };
        for target in [format!("mqtt://127.0.0.1:{port}"), format!("ws://127.0.0.1:{web}")] {
            for qos in ["0", "1", "2"] {
                for protocol in ["5", "3.1.1"] {
                    let words = ["-c", "3", "-q", qos, "-d", "5", "--protocol", protocol, "--stall", "60s"];
                    clean(&target, &words);
                    clean(&target, &[&words[..], &["--retain", "--durable"]].concat());
                }
            }
        }
    }
}
