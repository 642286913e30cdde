//! Rules: which messages go to which sink.
#![allow(clippy::disallowed_types, reason = "a sink is shared, and remembers what it was offered")]

use std::sync::{Arc, Mutex};

use windlass_hub::rules::{Event, Rule, Rules, Sink, Test};
use windlass_hub::{HubConfig, Mail};

use crate::kit::{Desk, V3, V5};

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Sink for Heard {
    fn offer(&self, event: &Event<'_>) {
        let Event { topic, payload, qos, retain, unix_ms } = *event;
        let payload = String::from_utf8_lossy(payload);
        let text =
            format!("{topic} {payload} q{}{} {unix_ms}", qos as u8, if retain { " retain" } else { "" });
        self.0.lock().unwrap().push(text);
    }
}

impl Heard {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn rules(sink: &Arc<Heard>, filter: &str, test: Option<Test>) -> Rules {
    let rule = Rule::new("one", filter, sink.clone()).unwrap();
    let hot = Test { above: Some(30.0), ..Test::of("temp") };
    let other = Rule::new("hot", "plant/#", sink.clone()).unwrap().test(hot);
    Rules::new(vec![test.map_or(rule.clone(), |test| rule.test(test)), other])
}

#[test]
fn a_message_goes_to_the_sinks_of_its_rules() {
    let sink = Arc::new(Heard::default());
    let config = HubConfig::default().unix_ms(1_700_000_000_000).rules(rules(&sink, "log/+", None));
    let mut desk = Desk::new(config.clone());
    let mut device = desk.join(V5, "device");
    desk.publish(&mut device, "log/a", "x");
    desk.publish(&mut device, "log/a/b", "x");
    desk.publish(&mut device, "plant/1", "{\"temp\": 31}");
    desk.publish(&mut device, "plant/1", "{\"temp\": 29}");
    desk.publish(&mut device, "plant/1", "no JSON");
    desk.publish(&mut device, "plant/1", &format!("{{\"temp\": 31, \"x\": \"{}\"}}", "x".repeat(70_000)));
    desk.retain(&mut device, "log/kept", "y");
    let heard = sink.take();
    let now = " 1700000000000";
    assert_eq!(
        heard,
        [
            format!("log/a x q0{now}"),
            format!("plant/1 {{\"temp\": 31}} q0{now}"),
            format!("log/kept y q0 retain{now}")
        ]
    );
    let stats = desk.stats();
    assert_eq!((stats.rules_matched, stats.rules_unread), (3, 2));

    // Others from here on; those who are connected stay.
    let next = Arc::new(Heard::default());
    let config = config.sys_interval(std::time::Duration::ZERO).rules(rules(&next, "#", None));
    desk.tell(|| Mail::Set(Box::new(config.clone())));
    desk.harness.settle();
    desk.publish(&mut device, "else", "z");
    assert!(sink.take().is_empty());
    assert_eq!(next.take().len(), 1);
    // What the hub says itself no wildcard at the beginning is for.
    let mut last = desk.join(V3, "last");
    desk.publish(&mut last, "$own", "z");
    assert!(next.take().is_empty());
}
