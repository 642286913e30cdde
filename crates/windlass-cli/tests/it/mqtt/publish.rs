//! `windlass pub`: what is published comes to mosquitto_sub.

use super::broker::Broker;

#[test]
fn one_message_in_every_way() {
    let Some(broker) = Broker::start() else { return };
    let file = broker.file("payload", b"from a file");
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let mut theirs = broker.they_subscribed(&["-t", "a/b", "-q", "2", "-F", "%q %p"]);
            let to = ["-t", "a/b", "-q", qos, "-V", version];
            broker.good(&[&["pub", "-m", "-5 degrees"], &to[..]].concat());
            assert_eq!(theirs.line(), format!("{qos} -5 degrees"));
            broker.good(&[&["pub", "-f", &file], &to[..]].concat());
            assert_eq!(theirs.line(), format!("{qos} from a file"));
            let output = broker.fed(&[&["pub", "-s"], &to[..]].concat(), b"all of\nstdin");
            assert!(output.status.success());
            assert_eq!((theirs.line(), theirs.line()), (format!("{qos} all of"), "stdin".into()));
            broker.good(&[&["pub", "-n"], &to[..]].concat());
            assert_eq!(theirs.line(), qos);
            broker.good(&[&["pub", "-m", "x", "--repeat", "3", "--repeat-delay", "0.01"], &to[..]].concat());
            assert_eq!([(); 3].map(|()| theirs.line()), [(); 3].map(|()| format!("{qos} x")));
        }
    }
}

#[test]
fn a_message_for_each_line() {
    let Some(broker) = Broker::start() else { return };
    let mut theirs = broker.they_subscribed(&["-t", "lines", "-q", "2", "-F", "%p"]);
    // The last one has no end, and one is empty.
    let output = broker.fed(&["pub", "-t", "lines", "-l", "-q", "1"], b"one\n\ntwo\nthree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!([(); 4].map(|()| theirs.line()), ["one", "", "two", "three"]);
}

/// More than is read ahead, than is under way, and than fits into a socket.
#[test]
fn many_lines_come_once_and_in_order() {
    let Some(broker) = Broker::start() else { return };
    const LINES: usize = 20_000;
    let text: String = (0..LINES).map(|n| format!("{n} {}\n", "x".repeat(n % 500))).collect();
    for (qos, inflight) in [("1", "20"), ("2", "7"), ("0", "20")] {
        let ours = broker.subscribed(&["-t", "many", "-q", qos, "-C", &LINES.to_string()]);
        let output = broker.fed(&["pub", "-t", "many", "-l", "-q", qos, "-M", inflight], text.as_bytes());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (status, printed) = ours.ended();
        assert!(status.success());
        assert!(printed == text, "QoS {qos}: {} lines came", printed.lines().count());
    }
}

#[test]
fn retained_and_taken_back() {
    let Some(broker) = Broker::start() else { return };
    broker.good(&["pub", "-t", "kept", "-m", "still here", "-r", "-q", "1"]);
    assert_eq!(broker.theirs(&["mosquitto_sub", "-t", "kept", "-C", "1", "-F", "%r %p"]), "1 still here\n");
    broker.good(&["pub", "-t", "kept", "-n", "-r", "-q", "1"]);
    let none = broker.run(&["sub", "-t", "kept", "-W", "0.3"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(27), 0));
}

#[test]
fn properties_of_version_5() {
    let Some(broker) = Broker::start() else { return };
    let mut theirs = broker.they_subscribed(&["-V", "5", "-t", "a", "-F", "%C|%R|%D|%P|%F|%p"]);
    let mut ours =
        broker.ours(&["pub", "-V", "5", "-t", "a", "-m", "x", "-D", "publish", "content-type", "text/plain"]);
    ours.args([
        "-D",
        "publish",
        "response-topic",
        "b",
        "-D",
        "publish",
        "user-property",
        "name",
        "its value",
    ]);
    ours.args(["-D", "publish", "correlation-data", "123", "-D", "publish", "payload-format-indicator", "1"]);
    assert!(ours.status().unwrap().success());
    assert_eq!(theirs.line(), "text/plain|b|123|name:its value|1|x");
}

/// What was not acknowledged when the broker died is published when it is back.
#[test]
fn a_broker_that_comes_back() {
    let Some(mut broker) = Broker::start() else { return };
    let mut ours = broker.ours(&["pub", "-t", "back", "-l", "-q", "1"]);
    ours.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = ours.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut first = broker.they_subscribed(&["-t", "back"]);
    std::io::Write::write_all(&mut stdin, b"before\n").unwrap();
    assert_eq!(first.line(), "before");
    drop(first);
    broker.restart();
    let mut second = broker.they_subscribed(&["-t", "back"]);
    std::io::Write::write_all(&mut stdin, b"after\n").unwrap();
    // The broker may have died between its delivery and its acknowledgement: QoS 1 is at least once.
    let line = second.line();
    assert_eq!(if line == "before" { second.line() } else { line }, "after");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("trying again"));
}
