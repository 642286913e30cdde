//! What counts against the limits of what is retained.

use std::sync::Arc;

use windlass::{Bytes, Time};
use windlass_proto::mqtt::{Properties, QoS, Topic, TreeLimits};

use super::{Full, Kept};
use crate::session::message::Message;
use crate::totals::Totals;

fn message(topic: &str) -> Arc<Message> {
    let topic = Topic::new(topic).expect("a topic");
    Arc::new(Message::new(topic, Properties::NONE, Bytes::from_static(b"x"), QoS::AtMostOnce, Time::ZERO))
}

#[test]
fn the_hubs_own_topics_take_no_place_of_others() {
    let mut kept = Kept::new(TreeLimits::default());
    let totals = Totals::default();
    let mut insert = |topic: &str| kept.insert(message(topic), &totals, 2, 1_000);
    assert_eq!([insert("$SYS/broker/uptime"), insert("a"), insert("b")], [Ok(()); 3]);
    assert_eq!(insert("c"), Err(Full));
    assert_eq!([insert("a"), insert("$SYS/broker/uptime"), insert("$SYS/broker/version")], [Ok(()); 3]);
    let mut remove = |topic: &str| kept.remove(Topic::new(topic).expect("a topic"), 1, &totals, Time::ZERO);
    assert!(remove("$SYS/broker/uptime") && remove("b"));
    let mut insert = |topic: &str| kept.insert(message(topic), &totals, 2, 1_000);
    assert_eq!(insert("c"), Ok(()));
    assert_eq!(insert("d"), Err(Full));
}
