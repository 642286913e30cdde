//! `windlass pub` and `windlass sub` with Debian's mosquitto between them and its own clients.

mod broker;
mod publish;
mod subscribe;
mod ways;

use crate::server::*;
use broker::Broker;

#[test]
fn mistakes_on_the_command_line() {
    for (args, part) in [
        (&["pub", "-t", "a"][..], "--message"),
        (&["pub", "-t", "a", "-m", "x", "-n"], "cannot be used with"),
        (&["pub", "-t", "a", "-m", "x", "-q", "3"], "0..=2"),
        (&["sub", "-t", "a", "-F", "%y"], "the fields are"),
        (&["sub", "-L", "http://x", "-t", "a"], "mqtt, mqtts, ws or wss"),
        (&["sub", "-t", "a", "-R", "--retained-only"], "cannot be used with"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn mistakes_that_only_mqtt_knows() {
    for (args, part) in [
        (&["pub", "-m", "x"][..], "Give a topic with -t"),
        (&["pub", "-t", "a/#", "-m", "x"], "topic `a/#`"),
        (&["sub", "-t", "a/#/b"], "filter `a/#/b`"),
        (&["sub"], "Give a filter with -t"),
        (&["sub", "-t", "a", "-c"], "give -i"),
        (&["sub", "-t", "a", "-x", "5"], "give -V 5"),
        (&["pub", "-t", "a", "-m", "x", "-P", "secret"], "needs a user"),
        (&["pub", "-t", "a", "-m", "x", "-D", "publish", "content-type", "b"], "give -V 5"),
        (&["pub", "-t", "a", "-m", "x", "-V", "5", "-D", "connect", "topic-alias", "1"], "such a CONNECT"),
        (&["pub", "-t", "a", "-f", "/no/such/file"], "/no/such/file"),
        (&["pub", "-t", "a", "-m", "x", "-p", "1"], "cannot connect to localhost:1: connection refused"),
        (
            &["pub", "-t", "a", "-m", "x", "--unix", "/no/such/socket"],
            "cannot connect to unix:/no/such/socket",
        ),
        (&["sub", "-t", "a", "-h", "no.such.name.invalid"], "cannot find no.such.name.invalid"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{args:?}: {stderr}");
    }
    let quiet = run(&["pub", "-t", "a", "-m", "x", "-p", "1", "--quiet"]);
    assert_eq!((quiet.status.code(), quiet.stderr.len()), (Some(1), 0));
}

#[test]
fn who_is_refused_gets_the_reason_as_exit_code() {
    let folder = Broker::place("passwords");
    let passwords = folder.join("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["me", "secret"])
        .status();
    if !made.is_ok_and(|made| made.success()) {
        return println!("SKIPPED: mosquitto_passwd is not installed (Debian: mosquitto)");
    }
    let lines = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let Some(broker) = Broker::with(&lines) else { return };
    for (args, code) in [
        (&["pub", "-t", "a", "-m", "x"][..], 5),
        (&["pub", "-t", "a", "-m", "x", "-u", "me", "-P", "wrong", "-V", "5"], 135),
        (&["sub", "-t", "a", "-u", "me", "-P", "wrong"], 5),
    ] {
        let output = broker.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains("connection refused: not authorized"), "{stderr}");
        assert!(!stderr.contains("wrong"), "no secret in a message: {stderr}");
    }
    let file = broker.file("password", b"secret\n");
    broker.good(&["pub", "-t", "a", "-m", "x", "-q", "1", "-u", "me", "--password-file", &file]);
    let mut hidden = broker.ours(&["pub", "-t", "a", "-m", "x", "-q", "1", "-u", "me"]);
    let output = hidden.env("WINDLASS_PASSWORD", "secret").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let url = format!("mqtt://me:secret@127.0.0.1:{}/a", broker.port);
    assert!(run(&["pub", "-L", &url, "-m", "x", "-q", "1"]).status.success());
    std::fs::remove_dir_all(folder).unwrap();
}
