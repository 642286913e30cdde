//! Variables in texts.

use super::*;

fn variables(name: &str) -> Option<String> {
    [("PORT", "9000"), ("EMPTY", ""), ("A_1", "a$b")]
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.into())
}

#[test]
fn variables_defaults_and_dollars() {
    for (text, expanded) in [
        ("", ""),
        ("plain", "plain"),
        ("127.0.0.1:${PORT}", "127.0.0.1:9000"),
        ("${PORT}${PORT}", "90009000"),
        ("${A_1}", "a$b"),
        ("$$PORT $ 5", "$PORT $ 5"),
        ("$${PORT}", "${PORT}"),
        ("${NONE:-7}", "7"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("end$", "end$"),
    ] {
        assert_eq!(expand(text, &variables).as_deref(), Ok(expanded), "{text}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    assert_eq!(expand("${NONE}", &variables), Err(Wrong::Unset("NONE".into())));
    for text in ["${", "${PORT", "${}", "${:-x}", "${a b}"] {
        assert_eq!(expand(text, &variables), Err(Wrong::Unfinished), "{text}");
    }
}
