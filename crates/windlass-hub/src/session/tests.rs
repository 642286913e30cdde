//! What a session takes while nothing happens, and what is there once for all.

use std::sync::Arc;

use windlass::Time;
use windlass_proto::mqtt::{Delivery, Properties, QoS, Topic, TopicForm, Version};

use super::message::{Publication, Spares, Templates};
use super::{Link, Session, Subscription};
use crate::client::Client;
use crate::memory::Memory;

/// With the engine's share, the tree's and the allocator's, an idle connection with one subscription has 1 KiB.
#[test]
fn a_session_that_is_idle_is_small() {
    let sizes = [size_of::<Client>(), size_of::<Session>(), size_of::<Link>(), size_of::<Subscription>()];
    assert!(sizes.iter().sum::<usize>() <= 384, "{sizes:?}");
    // Of an allocator that needs 4 bytes itself, the place for 44: of a small program, which nobody asks about clients.
    assert!(size_of::<Link>() <= if cfg!(feature = "inspect") { 48 } else { 40 }, "{sizes:?}");
}

/// Head of a message about `topic` for a receiver of `version`, if it were asked for now.
fn head(templates: &mut Templates, version: Version, topic: &str) -> Vec<u8> {
    let template = templates.get(version, Topic::new(topic).unwrap(), Properties::NONE, 0).unwrap();
    let (qos, topic) = (QoS::AtMostOnce, TopicForm::Name);
    let delivery =
        Delivery { qos, id: None, dup: false, retain: false, subscription_ids: &[], topic, expiry: None };
    let mut out = Vec::new();
    template.put_head(&delivery, usize::MAX, &mut out).unwrap();
    out
}

/// However many receivers a message has: whoever comes behind the first of a version gets what was laid out for that one.
#[test]
fn a_head_is_laid_out_once_for_each_version() {
    let mut templates = Templates::default();
    for topic in ["first", "second"] {
        templates.clear();
        let (old, new) =
            (head(&mut templates, Version::V311, topic), head(&mut templates, Version::V5, topic));
        assert_eq!((&old[4..], &new[4..new.len() - 1]), (topic.as_bytes(), topic.as_bytes()));
        for (version, laid_out) in [(Version::V311, &old), (Version::V5, &new)] {
            // Nothing is looked at any more: not even that this is another topic.
            assert_eq!(&head(&mut templates, version, "other"), laid_out);
        }
    }
}

/// The place of a message that was sent is the next one's, with nothing of the first in it; not while others have it.
#[test]
fn places_of_messages_are_used_again() {
    let mut spares = Spares::default();
    let made = |topic, payload: &[u8], spares: &mut Spares| {
        let topic = Topic::new(topic).unwrap();
        Publication::new(topic, Properties::NONE, payload, QoS::AtLeastOnce, false, Time::ZERO)
            .message(&Memory::default(), spares)
    };
    let first = made("first", b"one", &mut spares);
    let (place, other) = (Arc::as_ptr(&first), first.clone());
    spares.keep(first);
    let second = made("second", b"two", &mut spares);
    assert_ne!(Arc::as_ptr(&second), place, "somebody has it");
    assert_eq!((other.topic_str(), &other.payload[..]), ("first", &b"one"[..]));
    spares.keep(other);
    let third = made("third", b"three", &mut spares);
    assert_eq!(Arc::as_ptr(&third), place);
    assert_eq!((third.topic_str(), &third.payload[..]), ("third", &b"three"[..]));
}
