//! `windlass sub`: what mosquitto_pub publishes is printed.

use rustix::process::{Pid, Signal, kill_process};

use super::broker::Broker;

#[test]
fn what_comes_is_printed() {
    let Some(broker) = Broker::start() else { return };
    for version in ["311", "5"] {
        let mut plain = broker.subscribed(&["-t", "a/#", "-V", version, "-q", "2"]);
        let mut verbose = broker.subscribed(&["-t", "a/+", "-V", version, "-v"]);
        for qos in ["0", "1", "2"] {
            broker.theirs(&["mosquitto_pub", "-t", "a/b", "-m", "hello", "-q", qos]);
            assert_eq!((plain.line(), verbose.line()), ("hello".into(), "a/b hello".into()));
        }
    }
    // Of nothing there is no line, but with a topic.
    let mut nothing = broker.subscribed(&["-t", "n", "-C", "2"]);
    let mut empty = broker.subscribed(&["-t", "n", "-v"]);
    broker.theirs(&["mosquitto_pub", "-t", "n", "-n"]);
    broker.theirs(&["mosquitto_pub", "-t", "n", "-m", "end"]);
    assert_eq!((empty.line(), nothing.line()), ("n (null)".into(), "end".into()));
    let counted = broker.subscribed(&["-t", "c", "-C", "2", "-N"]);
    for message in ["1", "2"] {
        broker.theirs(&["mosquitto_pub", "-t", "c", "-m", message]);
    }
    let (status, printed) = counted.ended();
    assert_eq!((status.code(), printed.as_str()), (Some(0), "12"));
}

/// Field by field as mosquitto_sub prints them.
#[test]
fn formats_are_those_of_mosquitto_sub() {
    let Some(broker) = Broker::start() else { return };
    let format = r"%t|%10t|%-10t|%2.2t|%l|%05l|%q|%r|%m|%x|%X|%p|%%|\t|@@|%C|%R|%D|%E|%F|%P";
    let args = ["-V", "5", "-t", "fields", "-q", "1", "-F", format];
    let json = ["-V", "5", "-t", "fields", "-q", "1", "-F", "%j"];
    let mut ours = [broker.subscribed(&args), broker.subscribed(&json)];
    let mut theirs = [broker.they_subscribed(&args), broker.they_subscribed(&json)];
    let mut publish = vec!["mosquitto_pub", "-V", "5", "-t", "fields", "-q", "1", "-m", "{\"say\": \"hi\"}"];
    for property in [
        &["content-type", "application/json"][..],
        &["response-topic", "answers/1"],
        &["correlation-data", "17"],
        &["payload-format-indicator", "1"],
        &["user-property", "one", "1"],
    ] {
        publish.extend(["-D", "publish"]);
        publish.extend(property);
    }
    broker.theirs(&publish);
    assert_eq!(ours[0].line(), theirs[0].line());
    let without_time = |line: String| {
        let mut value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let time = value.as_object_mut().unwrap().remove("tst").unwrap();
        // Of the same form, at about the same time.
        // mosquitto_sub 2.0.11 puts a Z in front of the offset, which its manual has not.
        (value, time.as_str().unwrap().replace('Z', "").len())
    };
    let (mine, it) = (without_time(ours[1].line()), without_time(theirs[1].line()));
    assert_eq!(mine, it);
}

#[test]
fn ends_as_it_is_told_to() {
    let Some(broker) = Broker::start() else { return };
    assert_eq!(broker.run(&["sub", "-t", "silence", "-W", "200ms"]).status.code(), Some(27));
    broker.good(&["sub", "-t", "a", "-E"]);
    // By Ctrl-C, in good order: there is no will then.
    let mut wills = broker.they_subscribed(&["-t", "wills"]);
    let will = ["--will-topic", "wills", "--will-payload", "gone", "--will-qos", "1"];
    let ours = broker.subscribed(&[&["-t", "a"], &will[..]].concat());
    let pid = |child: &std::process::Child| Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid(&ours.child), Signal::INT).unwrap();
    assert_eq!(ours.ended().0.code(), Some(0));
    // And without a word.
    let ours = broker.subscribed(&[&["-t", "a"], &will[..]].concat());
    broker.theirs(&["mosquitto_pub", "-t", "wills", "-m", "first"]);
    kill_process(pid(&ours.child), Signal::KILL).unwrap();
    assert_eq!((wills.line(), wills.line()), ("first".into(), "gone".into()));
}

#[test]
fn a_session_waits() {
    let Some(broker) = Broker::start() else { return };
    for (version, more) in [("311", &[][..]), ("5", &["-x", "3600"])] {
        let me = [&["-c", "-i", "waiter", "-t", "wait", "-q", "1", "-V", version], more].concat();
        broker.good(&[&["sub", "-E"], &me[..]].concat());
        for n in ["1", "2", "3"] {
            broker.theirs(&["mosquitto_pub", "-t", "wait", "-m", n, "-q", "1"]);
        }
        assert_eq!(broker.good(&[&["sub", "-C", "3"], &me[..]].concat()), "1\n2\n3\n");
        // Taken back, and nothing waits any more.
        broker.good(&["sub", "-c", "-i", "waiter", "-U", "wait", "-E", "-V", version]);
        broker.theirs(&["mosquitto_pub", "-t", "wait", "-m", "lost", "-q", "1"]);
        let nothing = ["sub", "-c", "-i", "waiter", "-t", "other", "-W", "0.3", "-V", version];
        let output = broker.run(&nothing);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(27), 0));
    }
}

#[test]
fn retained_or_not() {
    let Some(broker) = Broker::start() else { return };
    for (topic, payload) in [("r/1", "one"), ("r/2", "two"), ("r/other", "three")] {
        broker.theirs(&["mosquitto_pub", "-t", topic, "-m", payload, "-r"]);
    }
    let filtered = broker.good(&["sub", "-t", "r/#", "-T", "r/other", "-C", "2", "-v"]);
    assert_eq!(filtered, "r/1 one\nr/2 two\n");
    let mut fresh = broker.subscribed(&["-t", "r/#", "-R"]);
    broker.theirs(&["mosquitto_pub", "-t", "r/1", "-m", "fresh"]);
    assert_eq!(fresh.line(), "fresh");
    let stale = broker.subscribed(&["-t", "r/#", "--retained-only"]);
    broker.theirs(&["mosquitto_pub", "-t", "r/1", "-m", "fresh again"]);
    let (status, printed) = stale.ended();
    assert_eq!((status.code(), printed.as_str()), (Some(0), "one\ntwo\nthree\n"));
    let removed = broker.good(&["sub", "-t", "r/#", "-T", "r/other", "--remove-retained", "-C", "2"]);
    assert_eq!(removed, "one\ntwo\n");
    assert_eq!(broker.good(&["sub", "-t", "r/#", "-C", "1"]), "three\n");
}

#[test]
fn a_broker_that_comes_back() {
    let Some(mut broker) = Broker::start() else { return };
    let mut ours = broker.subscribed(&["-t", "back"]);
    broker.restart();
    ours.says("trying again");
    ours.says("SUBACK");
    broker.theirs(&["mosquitto_pub", "-t", "back", "-m", "hello again"]);
    assert_eq!(ours.line(), "hello again");
}

/// Who is asked for a keep alive of some seconds is heard from.
#[test]
fn silence_is_no_end() {
    let Some(broker) = Broker::start() else { return };
    let mut ours = broker.subscribed(&["-t", "a", "-k", "3"]);
    ours.says("PINGREQ");
    ours.says("PINGRESP");
    broker.theirs(&["mosquitto_pub", "-t", "a", "-m", "still"]);
    assert_eq!(ours.line(), "still");
}

/// A reader that has had enough is no failure.
#[test]
fn who_reads_no_further() {
    let Some(broker) = Broker::start() else { return };
    let mut ours = broker.subscribed(&["-t", "a"]);
    broker.theirs(&["mosquitto_pub", "-t", "a", "-m", "one"]);
    assert_eq!(ours.line(), "one");
    ours.close_stdout();
    for _ in 0..2 {
        broker.theirs(&["mosquitto_pub", "-t", "a", "-m", "two"]);
    }
    assert_eq!(ours.child.wait().unwrap().code(), Some(0));
}
