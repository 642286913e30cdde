//! Operating a hub: what is asked at the admin address, publishing by HTTP, and rules, with the real binary.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::config::{ask, order};
use crate::served::*;
use crate::server::*;

/// CONNECT of 3.1.1 by this client, and SUBSCRIBE to `t/#`.
pub(crate) fn join(at: &str, id: &str) -> TcpStream {
    let mut stream = connect(at);
    let mut said = vec![0x10, 12 + id.len() as u8];
    // An hour of silence: a browser may take its time beside it.
    said.extend(b"\0\x04MQTT\x04\x02\x0e\x10\0");
    said.push(id.len() as u8);
    said.extend(id.as_bytes());
    stream.write_all(&said).unwrap();
    let mut got = [0; 4];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, *b"\x20\x02\0\0", "{id}");
    stream.write_all(b"\x82\x08\0\x01\0\x03t/#\0").unwrap();
    let mut got = [0; 5];
    stream.read_exact(&mut got).unwrap();
    stream
}

/// Publishes with QoS 0.
pub(crate) fn publish(stream: &mut TcpStream, topic: &str, payload: &str, retain: bool) {
    let mut said =
        vec![0x30 | u8::from(retain), (2 + topic.len() + payload.len()) as u8, 0, topic.len() as u8];
    said.extend(topic.as_bytes());
    said.extend(payload.as_bytes());
    stream.write_all(&said).unwrap();
}

fn json(admin: &str, path: &str) -> Value {
    let (status, body) = ask(admin, &format!("GET {path}"));
    assert_eq!(status, "200", "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn status(admin: &str, path: &str) -> String {
    ask(admin, &format!("GET {path}")).0
}

#[test]
fn clients_and_topics_are_told_and_a_client_is_kicked() {
    let (at, admin) = (free(), free());
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 2\n[[hub]]\nlisten = \"{at}\"\nsys_interval = 0\n"
    );
    let served = Served::start("hub-asked", &text);
    let mut one = join(&at, "one");
    let _two = join(&at, "two");
    publish(&mut one, "plant/temp", "20", true);
    let page = json(&admin, "/api/hubs/clients?sort=name&per_page=1&page=2");
    assert_eq!(
        (&page["total"], &page["page"], &page["clients"][0]["id"]),
        (&2.into(), &2.into(), &"two".into())
    );
    let page = json(&admin, "/api/hubs/clients?hub=hub&filter=one");
    assert_eq!((&page["matched"], &page["clients"][0]["subscriptions"]), (&1.into(), &1.into()));
    let detail = json(&admin, "/api/hubs/client?id=one");
    assert_eq!(
        (&detail["filters"][0]["filter"], &detail["keep_alive_seconds"]),
        (&"t/#".into(), &3600.into())
    );
    assert!(json(&admin, "/api/hubs/topics")["topics"].as_array().unwrap().is_empty());
    publish(&mut one, "plant/temp", "21", false);
    wait_until(
        || json(&admin, "/api/hubs/topics?filter=plant/%23")["topics"][0]["value"]["text"] == "21",
        || json(&admin, "/api/hubs/topics").to_string(),
    );
    let levels = json(&admin, "/api/hubs/levels?open=%5B%22plant%22%5D");
    assert_eq!(levels[0]["entries"][0]["name"], "plant", "{levels}");
    let temp = &levels[1]["entries"][0];
    assert_eq!(
        (&temp["name"], &temp["retained"], &temp["value"]["text"]),
        (&"temp".into(), &true.into(), &"21".into())
    );
    for (path, expected) in [
        ("/api/hubs/client?id=nobody", "404"),
        ("/api/hubs/client?hub=other&id=one", "404"),
        ("/api/hubs/client", "400"),
        ("/api/hubs/clients?sort=size", "400"),
        ("/api/hubs/clients?page=201&per_page=50", "400"),
        ("/api/hubs/clients?page=18446744073709551615&per_page=50", "400"),
        ("/api/hubs/levels?open=plant", "400"),
    ] {
        assert_eq!(status(&admin, path), expected, "{path}");
    }
    let kick = |json: &str| order(&admin, "/api/hubs/kick", json).0;
    assert_eq!(kick("{\"client\": \"nobody\"}"), "404");
    assert_eq!(kick("{\"client\": \"one\", \"hub\": \"other\"}"), "404");
    assert_eq!(kick("{\"client\": \"one\", \"how\": \"now\"}"), "400");
    assert_eq!(kick("{\"client\": \"one\", \"end_session\": true}"), "200");
    assert_eq!(one.read(&mut [0; 9]).unwrap(), 0, "its connection has ended");
    served.wait_for("the operator ends a client's connection", 1);
    assert_eq!(json(&admin, "/api/hubs/clients")["total"], 1);
    assert_eq!(json(&admin, "/api/hubs")[0]["name"], "hub");
    served.stop();
}

/// Events for whoever looks, each with his own levels open.
#[test]
fn values_are_told_as_they_change() {
    let (at, admin) = (free(), free());
    let text = format!(
        "[admin]\nlisten = \"{admin}\"\ntoken = \"open sesame\"\n[server]\nworkers = 1\n[[hub]]\nlisten = \"{at}\"\nsys_interval = 0\n"
    );
    let served = Served::start("hub-live", &text);
    let mut one = join(&at, "one");
    publish(&mut one, "a/b", "1", true);
    let get = |query: &str, lines: &str| {
        let mut stream = connect(&admin);
        write!(stream, "GET /api/hubs/live?{query} HTTP/1.1\r\nhost: {admin}\r\n{lines}\r\n").unwrap();
        stream
    };
    let mut head = [0; 12];
    get("", "").read_exact(&mut head).unwrap();
    assert_eq!(head, *b"HTTP/1.1 401", "values are for those who have the token");
    let mut stream = get("open=%5B%22a%22%5D", "authorization: Bearer open sesame\r\n");
    let mut heard = String::new();
    let mut hear = |what: &str| {
        let mut bytes = [0; 4096];
        while !heard.contains(what) {
            let n = stream.read(&mut bytes).unwrap();
            assert!(n > 0, "{heard}");
            heard += &String::from_utf8_lossy(&bytes[..n]);
        }
    };
    hear("event: levels");
    hear(
        "\"above\":\"a\",\"entries\":[{\"name\":\"b\",\"has_children\":false,\"retained\":true,\"value\":{\"text\":\"1\"",
    );
    publish(&mut one, "a/b", "2", false);
    hear("\"value\":{\"text\":\"2\"");
    hear("\"topics\":[{\"topic\":\"a/b\"");
    drop(stream);
    served.stop();
}

#[test]
fn devices_publish_by_curl() {
    let server = Server::command(&["hub", "127.0.0.1:0", "-q"]);
    let mut reader = join(&server.address, "reader");
    let mut stream = server.connect();
    let request = "POST /publish/t/curl?qos=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let mut got = [0; 15];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(got, *b"\x30\x0d\0\x06t/curlhello");
    let url = format!("http://{}/publish/t/curl", server.address);
    let said = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--data-binary", "21.50", &url])
        .output();
    match said {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(_) => return println!("SKIPPED: there is no curl"),
    }
    reader.read_exact(&mut got).unwrap();
    assert_eq!(got, *b"\x30\x0d\0\x06t/curl21.50");
}

#[test]
fn rules_write_and_post_and_change_while_it_serves() {
    let (at, admin) = (free(), free());
    let folder = Folder::new("hub-rules");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = listener.local_addr().unwrap();
    let text = |above: &str| {
        format!(
            "[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 1\n[[hub]]\nlisten = \"{at}\"\n\
             [[hub.rule]]\nname = \"hot\"\nfilter = \"plant/+\"\nfield = \"temp\"\nabove = {above}\n\
             file = \"{}\"\nbatch_wait = \"10ms\"\n\
             [[hub.rule]]\nfilter = \"door/#\"\nfield = \"state\"\nequals = \"open\"\nwebhook = \"http://{hook}/\"\n\
             batch_wait = \"10ms\"\n",
            folder.path("hot.jsonl")
        )
    };
    let served = Served::start("hub-rules", &text("30"));
    let mut device = join(&at, "device");
    publish(&mut device, "plant/1", "{\"temp\": 29}", false);
    publish(&mut device, "plant/1", "{\"temp\": 31.5}", false);
    publish(&mut device, "door/1", "{\"state\": \"shut\"}", false);
    publish(&mut device, "door/1", "{\"state\": \"open\"}", false);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut asked = String::new();
    while !asked.contains("]") {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "{asked}");
        asked += &String::from_utf8_lossy(&bytes[..n]);
    }
    assert!(asked.contains("\"topic\":\"door/1\"") && !asked.contains("shut"), "{asked}");
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let lines = || fs::read_to_string(&*folder.path("hot.jsonl")).unwrap_or_default();
    wait_until(|| lines().lines().count() == 1, lines);
    assert!(lines().contains("31.5"));
    let metrics = || ask(&admin, "GET /metrics").1;
    for line in [
        "windlass_hub_rule_delivered_total{hub=\"hub\",rule=\"hot\"} 1",
        "windlass_hub_rule_delivered_total{hub=\"hub\",rule=\"door/#\"} 1",
        "windlass_hub_rules_matched_total{hub=\"hub\"} 2",
    ] {
        wait_until(|| metrics().contains(line), || format!("{line}: {}", metrics()));
    }
    // Another bound, from here on; whoever is connected stays.
    assert!(served.reload(&text("20")), "{}", served.log());
    publish(&mut device, "plant/1", "{\"temp\": 25}", false);
    wait_until(|| lines().lines().count() == 2, lines);
    // What is wrong is told where it is, and changes nothing.
    assert!(!served.reload(&text("\"hot\"")));
    publish(&mut device, "plant/1", "{\"temp\": 26}", false);
    wait_until(|| lines().lines().count() == 3, lines);
    served.stop();
}

#[test]
fn a_rule_that_is_wrong_is_shown_with_its_line() {
    let check = |rule: &str| {
        let text = format!("[[hub]]\nlisten = \"127.0.0.1:0\"\n[[hub.rule]]\n{rule}\n");
        let file = ConfigFile::new("hub-rule", &text);
        let said = run(&["check", "-c", file.0.to_str().unwrap()]);
        assert!(!said.status.success(), "{rule}");
        String::from_utf8(said.stderr).unwrap()
    };
    for (rule, why, place) in [
        ("filter = \"a/#/b\"\nfile = \"x\"", "`a/#/b` has wildcards where they may not be", "4 | filter"),
        ("filter = \"$share/g/a\"\nfile = \"x\"", "shares with nobody", "4 | filter"),
        ("filter = \"a\"", "has a `file` or a `webhook`", "3 | [[hub.rule]]"),
        ("file = \"x\"", "a rule has a `filter`", "3 | [[hub.rule]]"),
        ("filter = \"a\"\nfile = \"x\"\nwebhook = \"http://h/\"", "not both", "6 | webhook"),
        ("filter = \"a\"\nfile = \"x\"\nabove = 3", "of which `field`", "6 | above"),
        ("filter = \"a\"\nfile = \"x\"\nfield = \"b\"\nabove = \"3\"", "should be a number", "7 | above"),
        ("filter = \"a\"\nfile = \"x\"\nfield = \"b\"\nequals = []", "a text, a number", "7 | equals"),
        ("filter = \"a\"\nwebhook = \"example.org\"", "neither `http://`", "5 | webhook"),
        ("filter = \"a\"\nfile = \"x\"\nbatch_max = 0", "from 1 to 10,000", "6 | batch_max"),
        (
            "filter = \"a\"\nfile = \"x\"\n[[hub.rule]]\nfilter = \"b\"\nfile = \"x\"",
            "two rules write to",
            "8 | file",
        ),
        (
            "filter = \"a\"\nfile = \"x\"\n[[hub.rule]]\nfilter = \"a\"\nfile = \"y\"",
            "two rules are called `a`",
            "6 | [[hub.rule]]",
        ),
    ] {
        let said = check(rule);
        assert!(said.contains(why) && said.contains(place) && said.contains('^'), "{rule}\n{said}");
    }
}
