//! Sinks of rules: lines in files, requests to somebody who answers this and that.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use windlass_hub::QoS;
use windlass_hub::rules::{Event, Sink};

use super::outlet::{Counts, Outlet};
use super::*;
use crate::config::rule::{Body, RuleTable};
use crate::config::value::{Count, FilePath, Secret, Size, Time};

const LONG: Duration = Duration::from_secs(30);

fn offer(outlet: &Outlet, topic: &str, payload: &[u8]) {
    outlet.offer(&Event { topic, payload, qos: QoS::AtLeastOnce, retain: false, unix_ms: 1_700_000_000_123 });
}

/// Waits until its counts are so.
fn until(outlet: &Outlet, is: impl Fn(&Counts) -> bool) -> Counts {
    let deadline = Instant::now() + LONG;
    loop {
        let counts = outlet.counts();
        if is(&counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("windlass-rules-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Somebody who answers each request with the next of these, and tells what was asked; with "cut" it only hangs up.
fn hook(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut answers = answers.iter();
        'connections: for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            while let Some(request) = request(&mut stream) {
                let Some(answer) = answers.next() else { return };
                if tell.send(request).is_err() {
                    return;
                }
                if *answer == "cut" {
                    continue 'connections;
                }
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\nok");
                if stream.write_all(answer.as_bytes()).is_err() {
                    continue 'connections;
                }
            }
        }
    });
    (url, told)
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn webhook(url: String) -> RuleTable {
    RuleTable {
        filter: "#".into(),
        webhook: Some(url),
        batch_wait: Time(Duration::ZERO),
        ..RuleTable::default()
    }
}

#[test]
fn lines_say_what_was_published() {
    let folder = folder("lines");
    let path = folder.join("all.jsonl");
    let rule = RuleTable { filter: "#".into(), file: Some(FilePath(path.clone())), ..RuleTable::default() };
    let outlet = Outlet::new("hub", &rule);
    assert!(!path.exists(), "nothing has come yet");
    offer(&outlet, "a \"b\"", "21.5 °C".as_bytes());
    offer(&outlet, "c", &[0xff, 0]);
    until(&outlet, |it| it.delivered == 2);
    let lines = fs::read_to_string(&path).unwrap();
    let expected = "{\"time\":\"2023-11-14T22:13:20.123Z\",\"topic\":\"a \\\"b\\\"\",\"qos\":1,\"retain\":false,\
                    \"payload\":\"21.5 °C\"}\n\
                    {\"time\":\"2023-11-14T22:13:20.123Z\",\"topic\":\"c\",\"qos\":1,\"retain\":false,\
                    \"payload_base64\":\"/wA=\"}\n";
    assert_eq!(lines, expected);
    // Somebody moves it away: the next lines are in a new one.
    fs::rename(&path, folder.join("away")).unwrap();
    offer(&outlet, "d", b"x");
    until(&outlet, |it| it.delivered == 3);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_is_begun_anew_when_it_is_long_enough() {
    let folder = folder("rotates");
    let path = folder.join("all.jsonl");
    let rule = RuleTable {
        filter: "#".into(),
        file: Some(FilePath(path.clone())),
        rotate_bytes: Size(4_096),
        rotate_keep: Count(2),
        batch_wait: Time(Duration::ZERO),
        batch_max: Count(1),
        ..RuleTable::default()
    };
    let outlet = Outlet::new("hub", &rule);
    for n in 0..100 {
        offer(&outlet, &format!("t/{n}"), &[b'x'; 100]);
    }
    until(&outlet, |it| it.delivered == 100);
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["all.jsonl", "all.jsonl.1", "all.jsonl.2"]);
    let mut last = 100;
    for name in names {
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        assert!(text.len() <= 4_096 && text.ends_with('\n'), "{name}");
        // The newest are in the first, and none is missing between two.
        let first = text.lines().next().unwrap();
        let n: usize = first.split("\"t/").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert_eq!(n + text.lines().count(), last, "{name}");
        last = n;
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_written_is_dropped_and_counted() {
    let folder = folder("nowhere");
    let rule = RuleTable {
        filter: "#".into(),
        file: Some(FilePath(folder.join("not/there"))),
        batch_wait: Time(Duration::ZERO),
        retries_max: Count(1),
        ..RuleTable::default()
    };
    let outlet = Outlet::new("hub", &rule);
    offer(&outlet, "t", b"x");
    let counts = until(&outlet, |it| it.failed == 1);
    assert_eq!((counts.delivered, counts.retries, counts.waiting), (0, 1, 0));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn messages_are_posted_many_at_once() {
    let (url, told) = hook(&["204 No Content", "200 OK"]);
    let rule = RuleTable {
        authorization: Some(Secret("Bearer abc".into())),
        batch_wait: Time(Duration::from_secs(60)),
        batch_max: Count(3),
        ..webhook(url)
    };
    let outlet = Outlet::new("hub", &rule);
    for n in 0..3 {
        offer(&outlet, "t", n.to_string().as_bytes());
    }
    let asked = told.recv_timeout(LONG).unwrap();
    assert!(asked.starts_with("post /hook http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nauthorization: bearer abc\r\n"), "{asked}");
    assert!(asked.contains("\r\ncontent-type: application/json\r\n"), "{asked}");
    let body: serde_json::Value = serde_json::from_str(asked.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let payloads: Vec<_> = body.as_array().unwrap().iter().map(|it| it["payload"].clone()).collect();
    assert_eq!(payloads, ["0", "1", "2"]);
    until(&outlet, |it| it.delivered == 3);
}

#[test]
fn a_payload_goes_as_it_is_if_that_is_wanted() {
    let (url, told) = hook(&["200 OK", "200 OK"]);
    let outlet = Outlet::new("hub", &RuleTable { body: Body::Payload, ..webhook(url) });
    offer(&outlet, "a b/é", b"one");
    offer(&outlet, "c", b"two");
    let (one, two) = (told.recv_timeout(LONG).unwrap(), told.recv_timeout(LONG).unwrap());
    assert!(one.contains("\r\nmqtt-topic: a%20b/%c3%a9\r\n") && one.ends_with("\r\n\r\none"), "{one}");
    assert!(two.ends_with("\r\n\r\ntwo"), "{two}");
    until(&outlet, |it| it.delivered == 2);
}

#[test]
fn what_may_go_another_time_is_tried_again_and_what_is_refused_is_not() {
    let (url, told) = hook(&["503 Service Unavailable", "cut", "200 OK", "404 Not Found", "302 Found"]);
    let outlet = Outlet::new("hub", &webhook(url));
    offer(&outlet, "t", b"first");
    let counts = until(&outlet, |it| it.delivered == 1);
    assert_eq!((counts.retries, counts.failed), (2, 0));
    offer(&outlet, "t", b"second");
    until(&outlet, |it| it.refused == 1);
    offer(&outlet, "t", b"third");
    let counts = until(&outlet, |it| it.refused == 2);
    assert_eq!((counts.retries, counts.delivered), (2, 1), "it leads nowhere else");
    assert_eq!(told.iter().take(5).count(), 5);
}

#[test]
fn the_oldest_make_way_while_nobody_takes_them() {
    // Nobody listens at port 1, so the first batch is tried again and again.
    let rule = RuleTable {
        queue_max: Count(3),
        queue_bytes_max: Size(10_000),
        retries_max: Count(1_000),
        ..webhook("http://127.0.0.1:1/".into())
    };
    let outlet = Outlet::new("hub", &rule);
    offer(&outlet, "t", b"under way");
    until(&outlet, |it| it.retries > 0);
    for n in 0..5 {
        offer(&outlet, "t", n.to_string().as_bytes());
    }
    let counts = outlet.counts();
    assert_eq!((counts.queue_full, counts.waiting, counts.too_long), (2, 4, 0));
    offer(&outlet, "t", &[b'x'; 10_000]);
    assert_eq!(outlet.counts().too_long, 1);
    // The end does not wait for what cannot be done, and nothing is counted twice.
    let began = Instant::now();
    outlet.close();
    outlet.wait(began + LONG);
    assert!(began.elapsed() < LONG / 2);
    let counts = outlet.counts();
    assert_eq!((counts.failed, counts.waiting, counts.delivered), (4, 0, 0));
}

#[test]
fn what_did_not_change_goes_on() {
    let rule = |name: &str| RuleTable { name: name.into(), ..webhook("http://127.0.0.1:1/".into()) };
    let table = |rules: &[&str]| HubTable {
        rule: rules.iter().map(|name| rule(name)).collect(),
        ..HubTable::default()
    };
    let before = Made::of(&table(&["a", "b"]), &Made::default());
    let same = Made::of(&table(&["a", "b"]), &before);
    assert!(same.rules == before.rules, "it is the same value");
    let after = Made::of(&table(&["c", "b"]), &before);
    assert!(after.rules != before.rules);
    assert!(Arc::ptr_eq(&after.outlets[1], &before.outlets[1]));
    assert!(!Arc::ptr_eq(&after.outlets[0], &before.outlets[0]));
    assert!(Made::of(&table(&[]), &after).rules.is_empty());
}

#[test]
fn an_address_is_checked_before_anybody_is_asked() {
    for (url, why) in [
        ("http://h:80/x?y=1", ""),
        ("https://example.org", ""),
        ("ftp://example.org", "neither"),
        ("example.org", "neither"),
        ("http://user:pass@example.org/", "authorization"),
        ("http://", "no address"),
        ("http://a b/", "no address"),
    ] {
        let outcome = webhook::check(url);
        if cfg!(not(feature = "tls")) && url.starts_with("https") {
            continue;
        }
        match why {
            "" => assert_eq!(outcome, Ok(()), "{url}"),
            why => assert!(outcome.clone().unwrap_err().contains(why), "{url}: {outcome:?}"),
        }
    }
}
