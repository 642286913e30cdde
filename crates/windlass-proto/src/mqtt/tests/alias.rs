//! Topic aliases both ways.

use super::*;
use crate::testing::Rng;
use alloc::collections::BTreeMap;

#[test]
fn aliases_of_a_peer() {
    let mut aliases = AliasesIn::new(2, 10);
    assert_eq!(aliases.resolve(Some(topic("a")), None), Ok(topic("a")));
    assert_eq!(aliases.resolve(Some(topic("a")), Some(2)), Ok(topic("a")));
    assert_eq!(aliases.resolve(None, Some(2)), Ok(topic("a")));
    // Another topic takes the number over (section 3.3.2.3.4).
    assert_eq!(aliases.resolve(Some(topic("abc")), Some(2)), Ok(topic("abc")));
    assert_eq!(aliases.resolve(None, Some(2)), Ok(topic("abc")));
    // [MQTT-3.3.2-8], [MQTT-3.3.2-9].
    for (name, alias) in [(Some(topic("a")), 0), (Some(topic("a")), 3), (None, 65_535)] {
        assert_eq!(aliases.resolve(name, Some(alias)), Err(MqttError::TopicAlias));
    }
    // Nothing stands for 1 yet, which is no alias that may not be, but a message without a topic (section 3.3.4).
    assert_eq!(aliases.resolve(None, Some(1)), Err(MqttError::NoTopic));
    assert_eq!(aliases.resolve(None, None), Err(MqttError::NoTopic));
    assert_eq!(aliases.resolve(Some(topic("12345678")), Some(1)), Err(MqttError::TopicAliasBytes));
    assert_eq!(aliases.resolve(Some(topic("1234567")), Some(1)), Ok(topic("1234567")));
    assert_eq!(aliases.resolve(Some(topic("b")), Some(2)), Ok(topic("b")), "shorter is not more");
    // Every value up to the maximum, and none with a maximum of 0 ([MQTT-3.3.2-12]).
    let mut all = AliasesIn::new(65_535, 100_000);
    for alias in (1..=65_535).rev() {
        assert!(all.resolve(Some(topic("a")), Some(alias)).is_ok());
    }
    assert_eq!(AliasesIn::new(0, 10).resolve(Some(topic("a")), Some(1)), Err(MqttError::TopicAlias));
}

#[test]
fn aliases_for_a_peer() {
    let mut aliases = AliasesOut::new(2);
    assert_eq!(aliases.form(topic("long/a")), TopicForm::NameAndAlias(1));
    assert_eq!(aliases.form(topic("long/b")), TopicForm::NameAndAlias(2));
    assert_eq!(aliases.form(topic("long/a")), TopicForm::Alias(1));
    assert_eq!(aliases.form(topic("abc")), TopicForm::Name, "no longer than its number");
    // The one that came again stays.
    assert_eq!(aliases.form(topic("long/c")), TopicForm::NameAndAlias(2));
    assert_eq!(aliases.form(topic("long/a")), TopicForm::Alias(1));
    assert_eq!(aliases.form(topic("long/b")), TopicForm::NameAndAlias(2));
    // [MQTT-3.1.2-27].
    assert_eq!(AliasesOut::new(0).form(topic("long/a")), TopicForm::Name);
}

/// What one end says the other understands, whatever comes.
#[test]
fn both_ends_agree() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let max = rng.below(6) as u16;
        let (mut ours, mut theirs) = (AliasesOut::new(max), AliasesIn::new(max, 1000));
        let mut said = BTreeMap::new();
        for _ in 0..200 {
            let name = format!("topic/{}", rng.below(8));
            let name = topic(&name);
            let (sent, alias) = match ours.form(name) {
                TopicForm::Name => (Some(name), None),
                TopicForm::NameAndAlias(alias) => (Some(name), Some(alias)),
                TopicForm::Alias(alias) => (None, Some(alias)),
            };
            assert!(alias.is_none_or(|alias| alias <= max), "[MQTT-3.1.2-26], [MQTT-3.2.2-17]");
            assert_eq!(theirs.resolve(sent, alias), Ok(name), "seed {seed}");
            *said.entry(sent.is_none()).or_insert(0) += 1;
        }
        assert!(max == 0 || said.contains_key(&true), "some are said by number");
    }
}

#[test]
fn an_alias_that_stands_for_its_topic_already_needs_no_more() {
    let mut aliases = AliasesIn::new(10, 1_000);
    let [one, other] = ["a/topic", "b/topic"].map(|topic| Topic::new(topic).unwrap());
    assert!(aliases.more_for(one, 1) > 0);
    aliases.resolve(Some(one), Some(1)).unwrap();
    assert_eq!(aliases.more_for(one, 1), 0);
    assert!(aliases.more_for(other, 1) > 0 && aliases.more_for(one, 2) > 0 && aliases.more_for(one, 0) > 0);
}
