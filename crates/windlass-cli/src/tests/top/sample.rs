//! Rates, and states that lack what this version tells.

use serde_json::{Value, json};

use super::*;

fn state(change: impl FnOnce(&mut Value)) -> State {
    let mut value = json!({ "uptime_seconds": 10.0, "pid": 1 });
    change(&mut value);
    Sample::read(value.to_string().as_bytes()).unwrap().state
}

#[test]
fn a_state_of_the_least_is_read() {
    let text = r#"{"uptime_seconds":1.5,"workers":[{"connections":3,"lag_seconds":0.002},{"overloaded":true}],
        "services":[{"name":"echo"}],"more":[1,2],"reloads":{"failed":1,"last_error":"no such file"}}"#;
    let sample = Sample::read(text.as_bytes()).unwrap();
    assert_eq!((sample.state.workers[0].connections, sample.state.workers.len()), (3, 2));
    assert_eq!(sample.lags, [Some(0.002), None]);
    assert_eq!(sample.overloaded, [false, true]);
    assert_eq!(sample.state.services[0].name, "echo");
    let reloads = sample.reloads.unwrap();
    assert_eq!(
        (reloads.succeeded, reloads.failed, reloads.last_error.as_deref()),
        (0, 1, Some("no such file"))
    );
    for text in ["", "[]", "{}", "<html>", r#"{"uptime_seconds":"long"}"#] {
        assert!(Sample::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn rates_are_by_the_servers_clock() {
    let before = state(|value| {
        value["messages"] = 100.into();
        value["workers"] = json!([{ "received_bytes": 1000, "sent_bytes": 0, "busy_seconds": 1.0 }]);
        value["closes"] = json!({ "eof": 4 });
        value["services"] = json!([{ "name": "echo", "messages": 100, "opened": 5 }]);
    });
    let after = state(|value| {
        value["uptime_seconds"] = json!(12.0);
        value["messages"] = 300.into();
        value["workers"] = json!([{ "received_bytes": 5000, "sent_bytes": 600, "busy_seconds": 1.5 }]);
        value["closes"] = json!({ "eof": 8, "idle timeout": 2 });
        value["services"] =
            json!([{ "name": "echo", "messages": 280, "opened": 9 }, { "name": "new", "opened": 2 }]);
    });
    let rates = Rates::between(&before, &after).unwrap();
    assert_eq!((rates.messages, rates.received, rates.sent), (100.0, 2000.0, 300.0));
    assert_eq!((rates.opened, rates.closed), (3.0, 3.0));
    assert_eq!(rates.workers[0].busy, 0.25);
    assert_eq!(rates.services["echo"].messages, 90.0);
    assert_eq!(rates.services["new"].opened, 1.0);
    assert_eq!((rates.closes["eof"], rates.closes["idle timeout"]), (2.0, 1.0));
}

#[test]
fn two_processes_and_one_moment_have_no_rates() {
    let one = state(|_| {});
    let other = state(|value| {
        value["pid"] = 2.into();
        value["uptime_seconds"] = json!(20.0);
    });
    assert_eq!(Rates::between(&one, &other), None);
    assert_eq!(Rates::between(&one, &one), None);
}

#[test]
fn turns_are_those_of_the_interval() {
    let with = |uptime: f64, count: u64, buckets: Value| {
        state(|value| {
            value["uptime_seconds"] = json!(uptime);
            let turns = json!({ "count": count, "p50_seconds": 0.0, "p99_seconds": 0.0, "p999_seconds": 0.0, "max_seconds": 0.0 });
            value["workers"] = json!([{ "turns": turns, "turn_buckets": buckets }]);
        })
    };
    // A million fast ones long ago; since then 98 fast ones and two slow ones.
    let before = with(10.0, 1_000_000, json!([[1e-6, 1_000_000]]));
    let after = with(11.0, 1_000_100, json!([[1e-6, 1_000_098], [0.5, 2]]));
    let worker = Rates::between(&before, &after).unwrap().workers[0].clone();
    assert_eq!(
        (worker.turns, worker.p50, worker.p99, worker.p999),
        (100.0, Some(1e-6), Some(0.5), Some(0.5))
    );
    let idle = Rates::between(&after, &with(12.0, 1_000_100, json!([[1e-6, 1_000_098], [0.5, 2]]))).unwrap();
    assert_eq!(idle.workers[0].p99, None);
}
