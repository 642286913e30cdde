//! Properties of MQTT 5 on the command line.

use super::*;

fn parse(words: &[&str]) -> Result<Given, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Given::parse(&words).map_err(|error| format!("{error:#}"))
}

#[test]
fn properties_stand_one_behind_the_other() {
    let given = parse(&[
        "publish",
        "content-type",
        "text/plain",
        "publish",
        "user-property",
        "a b",
        "c",
        "will",
        "will-delay-interval",
        "5",
    ])
    .unwrap();
    let publish = given.publish().properties();
    assert!(publish.iter().any(|it| it == Property::ContentType("text/plain")));
    assert!(publish.user().eq([("a b", "c")]));
    assert_eq!(given.will().properties().will_delay(), Some(5));
    assert!(given.connect().is_empty() && !given.is_empty());
}

#[test]
fn one_variable_holds_a_whole_property() {
    let given = parse(&["connect receive-maximum 7", "connect user-property n v"]).unwrap();
    assert_eq!(given.connect().properties().receive_maximum(), Some(7));
    assert!(given.connect().properties().user().eq([("n", "v")]));
}

#[test]
fn mistakes_are_named() {
    for (words, part) in [
        (&["publish"][..], "a name is missing"),
        (&["publish", "content-type"], "its value is missing"),
        (&["publish", "user-property", "a"], "and its value?"),
        (&["pubish", "content-type", "x"], "the commands are connect, publish"),
        (&["publish", "content-typ", "x"], "did you mean content-type?"),
        (&["publish", "topic-alias", "70000"], "no number up to 65535"),
        (&["publish", "topic-alias", "0"], "topic-alias"),
        (&["publish", "response-topic", "a/#"], "response-topic"),
    ] {
        let why = parse(words).unwrap_err();
        assert!(why.contains(part), "{words:?}: {why}");
    }
}
