//! Topic names and filters, by the examples of section 4.7.

use super::*;

fn matches(pattern: &str, name: &str) -> bool {
    filter(pattern).matches(topic(name))
}

#[test]
fn examples_of_the_specification() {
    // Section 4.7.1.2.
    for name in
        ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"]
    {
        assert!(matches("sport/tennis/player1/#", name), "{name}");
    }
    assert!(matches("sport/#", "sport"));
    assert!(matches("#", "a") && matches("#", "a/b") && matches("#", "/"));
    for bad in ["sport/tennis#", "sport/tennis/#/ranking"] {
        assert_eq!(Filter::new(bad), Err(TopicError::Wildcard));
    }
    // Section 4.7.1.3.
    assert!(matches("sport/tennis/+", "sport/tennis/player1"));
    assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert!(!matches("sport/+", "sport") && matches("sport/+", "sport/"));
    assert!(matches("+", "a") && !matches("+", "a/b"));
    assert!(matches("+/tennis/#", "sport/tennis/x") && Filter::new("sport/+/player1").is_ok());
    assert_eq!(Filter::new("sport+"), Err(TopicError::Wildcard));
    assert!(matches("+/+", "/finance") && matches("/+", "/finance") && !matches("+", "/finance"));
    // Section 4.7.2, [MQTT-4.7.2-1].
    assert!(!matches("#", "$SYS/a") && !matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/#", "$SYS/a") && matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert!(matches("a/+", "a/$x") && matches("a/#", "a/$x"), "only the first character counts");
    // Section 4.7.3, [MQTT-4.7.3-4].
    assert!(!matches("ACCOUNTS", "Accounts") && matches("Accounts payable", "Accounts payable"));
    assert!(!matches("/finance", "finance") && !matches("finance/", "finance"));
    // A character and its parts are not the same text.
    assert!(!matches("\u{e9}", "e\u{301}"));
}

/// [MQTT-4.7.3-1] to [MQTT-4.7.3-3].
#[test]
fn what_is_none() {
    assert_eq!(Topic::new(""), Err(TopicError::Empty));
    assert_eq!(Filter::new(""), Err(TopicError::Empty));
    assert_eq!(Topic::new("a\0b"), Err(TopicError::Null));
    assert_eq!(Filter::new("a\0/#"), Err(TopicError::Null));
    let long = "x".repeat(65_536);
    assert_eq!(Topic::new(&long), Err(TopicError::TooLong));
    assert_eq!(Filter::new(&long), Err(TopicError::TooLong));
    assert!(Topic::new(&long[1..]).is_ok() && Filter::new(&long[1..]).is_ok());
    // [MQTT-4.7.1-1] of 3.1.1, [MQTT-4.7.0-1] of 5.0.
    for name in ["#", "+", "a#", "a/+/b", "a+b"] {
        assert_eq!(Topic::new(name), Err(TopicError::Wildcard), "{name}");
    }
}

/// Section 4.8.2 of 5.0.
#[test]
fn shared_filters() {
    let shared = filter("$share/consumer1/sport/tennis/+");
    assert_eq!(shared.group(), Some("consumer1"));
    assert_eq!((shared.pattern(), shared.as_str()), ("sport/tennis/+", "$share/consumer1/sport/tennis/+"));
    assert_eq!(
        (filter("$share/g//finance").group(), filter("$share/g//finance").pattern()),
        (Some("g"), "/finance")
    );
    assert_eq!(filter("$share").group(), None, "no slash: a topic like any other");
    assert_eq!(filter("$shared/g/a").group(), None);
    assert!(shared.has_wildcards() && !filter("$share/g/a").has_wildcards());
    // The rule of `$` is for what the group subscribes to.
    assert!(!matches("$share/g/#", "$SYS/a") && matches("$share/g/$SYS/#", "$SYS/a"));
}
