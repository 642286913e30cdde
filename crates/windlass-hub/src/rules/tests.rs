//! Tests of payloads.

use serde_json::json;

use super::*;

fn check(test: Test, payload: Value, expected: bool) {
    assert_eq!(test.passes(&payload), expected, "{test:?} of {payload}");
}

#[test]
fn a_field_is_found_and_held_against_what_is_asked() {
    let hot = Test { above: Some(30.0), ..Test::of("temp") };
    check(hot.clone(), json!({"temp": 30.5}), true);
    check(hot.clone(), json!({"temp": 31}), true);
    check(hot.clone(), json!({"temp": 30}), false);
    check(hot.clone(), json!({"temp": "31"}), false);
    check(hot.clone(), json!({"other": 31}), false);
    check(hot.clone(), json!([31]), false);
    check(hot, json!(31), false);
    let between = Test { above: Some(-1.0), below: Some(1.0), ..Test::of("a.b.1") };
    check(between.clone(), json!({"a": {"b": [5, 0]}}), true);
    check(between.clone(), json!({"a": {"b": [0, 5]}}), false);
    check(between, json!({"a": {"b": [0]}}), false);
    let on = Test { equals: Some(json!("on")), ..Test::of("state") };
    check(on.clone(), json!({"state": "on"}), true);
    check(on, json!({"state": "off"}), false);
    let one = Test { equals: Some(json!(1)), ..Test::of("/a.b/0") };
    check(one.clone(), json!({"a.b": [1.0]}), true);
    check(one, json!({"a.b": [true]}), false);
    check(Test::of("here"), json!({"here": null}), true);
    check(Test::of("here"), json!({}), false);
    check(Test { below: Some(0.0), ..Test::of("") }, json!(-3), true);
}

#[test]
fn a_filter_that_is_none_makes_no_rule() {
    #[derive(Debug)]
    struct Nobody;
    impl Sink for Nobody {
        fn offer(&self, _: &Event<'_>) {}
    }
    let rule = |filter: &str| Rule::new("r", filter, Arc::new(Nobody)).map(|rule| rule.name().to_owned());
    assert_eq!(rule("a/+/#"), Ok("r".into()));
    assert_eq!(rule("a/#/b"), Err(RuleError::Filter));
    assert_eq!(rule(""), Err(RuleError::Filter));
    assert_eq!(rule("$share/g/a"), Err(RuleError::Shared));
}
