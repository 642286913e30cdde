//! Any text as rules, held against a list that is gone through one by one; what may be subscribed to is at least what
//! can be read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use windlass::proto::mqtt::{Filter, Topic};
use windlass_hub::identity::Acl;

fuzz_target!(|text: &str| {
    let acl = match Acl::parse(text) {
        Ok(acl) => Arc::new(acl),
        Err(mistakes) => return mistakes.into_iter().for_each(|it| assert!(text.get(it.span).is_some())),
    };
    let (user, client) = ("user", "client");
    let rights = acl.for_client(Some(user), client);
    // Words of the rules are what topics are made of.
    let words: Vec<&str> = text.split_whitespace().take(64).collect();
    let rules: Vec<(&str, String)> = rules(text, user, client);
    for word in &words {
        let name = word.replace("%u", user).replace("%c", client).replace(['+', '#'], "x");
        let Ok(topic) = Topic::new(&name) else { continue };
        let said = |access: &[&str]| {
            rules.iter().any(|(said, filter)| {
                access.contains(said) && Filter::new(filter).is_ok_and(|filter| filter.matches(topic))
            })
        };
        let denied = said(&["deny"]);
        assert_eq!(rights.may_read(topic), said(&["read", "readwrite"]) && !denied, "{name}");
        assert_eq!(rights.may_write(topic), said(&["write", "readwrite"]) && !denied, "{name}");
        for word in &words {
            let Ok(filter) = Filter::new(word) else { continue };
            if filter.matches(topic) && rights.may_read(topic) {
                assert!(rights.may_subscribe(filter), "{word} {name}");
            }
        }
    }
});

/// Those that are about this client, placeholders filled in.
fn rules<'t>(text: &'t str, user: &str, client: &str) -> Vec<(&'t str, String)> {
    let (mut rules, mut about) = (Vec::new(), None);
    for line in text.split('\n').map(str::trim).filter(|line| !line.starts_with('#')) {
        let (keyword, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim();
        let (word, behind) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let (access, topic) =
            if behind.trim().is_empty() { ("readwrite", word) } else { (word, behind.trim()) };
        match keyword {
            "user" => about = Some(rest),
            "topic" if about == Some(user) => rules.push((access, topic.into())),
            // What begins with a placeholder is for no topic of the server's own.
            "pattern" => rules.push((access, topic.replace("%u", user).replace("%c", client))),
            _ => {}
        }
    }
    rules
}
