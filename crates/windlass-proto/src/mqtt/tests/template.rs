//! One message to many: each packet is the one that would have been encoded for its receiver alone.

use super::*;
use crate::testing::Rng;
use crate::{Decode, Input};

#[test]
fn every_delivery_is_the_packet_it_would_be() {
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let version = if rng.chance(1, 3) { Version::V311 } else { Version::V5 };
        let name = topic(["a", "some/longer/topic", "$SYS/x"][rng.below(3) as usize]);
        let payload = [&b""[..], b"hello", &[7; 300]][rng.below(3) as usize];
        let came = properties(&[
            Property::User("a", "1"),
            Property::TopicAlias(5),
            Property::MessageExpiry(100),
            Property::ContentType("text"),
            Property::User("a", "2"),
        ]);
        let came = if rng.chance(1, 2) { came.properties() } else { Properties::NONE };
        let template = PublishTemplate::new(version, name, came, payload.len()).unwrap();

        let qos = QoS::from_bits(rng.below(3) as u8).unwrap();
        let acknowledged = qos != QoS::AtMostOnce;
        let ids = [3, 200_000];
        let form = match (version, rng.below(3)) {
            (Version::V5, 1) => TopicForm::Alias(9),
            (_, 2) => TopicForm::NameAndAlias(9),
            _ => TopicForm::Name,
        };
        let delivery = Delivery {
            qos,
            id: acknowledged.then_some(id(77)),
            dup: acknowledged && rng.chance(1, 2),
            retain: rng.chance(1, 2),
            subscription_ids: &ids[..rng.below(3) as usize],
            topic: form,
            expiry: rng.chance(1, 2).then_some(60),
        };
        let mut out = Vec::new();
        template.put(&delivery, payload, usize::MAX, &mut out).unwrap();
        assert_eq!(out.len(), template.len(&delivery));

        // The same by hand.
        let mut own = PropertiesBuf::new();
        if let TopicForm::NameAndAlias(alias) | TopicForm::Alias(alias) = form {
            own.push(Property::TopicAlias(alias)).unwrap();
        }
        if let Some(left) = delivery.expiry.filter(|_| came.message_expiry().is_some()) {
            own.push(Property::MessageExpiry(left)).unwrap();
        }
        for id in delivery.subscription_ids {
            own.push(Property::SubscriptionId(*id)).unwrap();
        }
        own.extend(came, |property| {
            !matches!(property, Property::TopicAlias(_) | Property::MessageExpiry(_))
        });
        let v5 = version == Version::V5;
        let publish = Publish {
            topic: (!matches!(form, TopicForm::Alias(_))).then_some(name),
            qos,
            dup: delivery.dup,
            retain: delivery.retain,
            id: delivery.id,
            properties: if v5 { own.properties() } else { Properties::NONE },
            payload,
        };
        assert_eq!(encoded(&mut server(version), &Packet::Publish(publish)).unwrap(), out, "seed {seed}");
        let mut copy = out.clone();
        let came_back = client(version).decode(&mut Input::new(&mut copy)).unwrap();
        assert_eq!(came_back, Some(Packet::Publish(publish)));

        // [MQTT-3.1.2-24]: one byte less, and nothing goes.
        let (len, before) = (out.len(), out.clone());
        let over = template.put(&delivery, payload, len - 1, &mut out);
        assert_eq!((over, &out), (Err(EncodeError::TooLong { max: len - 1 }), &before));
    }
}

#[test]
fn deliveries_that_cannot_be() {
    let v5 = PublishTemplate::new(Version::V5, topic("a"), Properties::NONE, 0).unwrap();
    let v311 = PublishTemplate::new(Version::V311, topic("a"), Properties::NONE, 0).unwrap();
    let fine = Delivery::default();
    let many = [1; SUBSCRIPTION_ID_MAX + 1];
    let mut out = Vec::new();
    for bad in [
        Delivery { qos: QoS::AtLeastOnce, ..fine },
        Delivery { id: Some(id(1)), ..fine },
        Delivery { dup: true, ..fine },
        Delivery { topic: TopicForm::Alias(0), ..fine },
        Delivery { subscription_ids: &[0], ..fine },
        Delivery { subscription_ids: &[1 << 28], ..fine },
        Delivery { subscription_ids: &many, ..fine },
    ] {
        assert_eq!(v5.put(&bad, b"", usize::MAX, &mut out), Err(EncodeError::Invalid), "{bad:?}");
    }
    let alias = Delivery { topic: TopicForm::Alias(1), ..fine };
    assert_eq!(v311.put(&alias, b"", usize::MAX, &mut out), Err(EncodeError::Invalid));
    assert_eq!(v5.put(&fine, b"x", usize::MAX, &mut out), Err(EncodeError::Length));
    assert!(out.is_empty());
    // All that a receiver may have, at its longest.
    let most = Delivery {
        qos: QoS::ExactlyOnce,
        id: Some(id(1)),
        subscription_ids: &[(1 << 28) - 1; SUBSCRIPTION_ID_MAX],
        topic: TopicForm::NameAndAlias(1),
        expiry: Some(1),
        ..fine
    };
    let expiring = properties(&[Property::MessageExpiry(9)]);
    let v5 = PublishTemplate::new(Version::V5, topic("a"), expiring.properties(), 0).unwrap();
    v5.put(&most, b"", usize::MAX, &mut out).unwrap();
    assert_eq!(run(&client(Version::V5), &out).messages.len(), 1);
    assert!(v5.expires() && v5.properties().is_empty());
    let wrong = properties(&[Property::ReceiveMaximum(9)]);
    let wrong = PublishTemplate::new(Version::V5, topic("a"), wrong.properties(), 0);
    assert_eq!(wrong.unwrap_err(), EncodeError::Invalid);
}
