//! Rules, one by one, and held against a list that is searched from top to bottom.

use super::*;

fn acl(text: &str) -> Arc<Acl> {
    Arc::new(Acl::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")))
}

fn topic(text: &str) -> Topic<'_> {
    Topic::new(text).unwrap()
}

/// Which of `topics` may be read, and which be written.
fn may<'t>(rights: &Rights, topics: &[&'t str]) -> (Vec<&'t str>, Vec<&'t str>) {
    let read = topics.iter().copied().filter(|text| rights.may_read(topic(text))).collect();
    let written = topics.iter().copied().filter(|text| rights.may_write(topic(text))).collect();
    (read, written)
}

fn subscribes(rights: &Rights, filter: &str) -> bool {
    rights.may_subscribe(Filter::new(filter).unwrap())
}

#[test]
fn lines_mean_what_they_mean_in_mosquitto() {
    let acl = acl("# comment\n\
         topic read open/#\n\
         \n\
         user roger\n\
         topic all/rogers\r\n\
         topic read in/+\n\
         topic\twrite\t out/a b\n\
         topic readwrite read\n\
         pattern readwrite own/%u/#\n\
         topic deny in/secret\n\
         user anna maria\n\
         topic read in/#\n");
    let topics = [
        "open/x",
        "all/rogers",
        "in/x",
        "in/secret",
        "in/x/y",
        "out/a b",
        "read",
        "own/roger",
        "own/anna maria/x",
    ];
    let (read, written) = may(&acl.for_client(Some("roger"), "c"), &topics);
    assert_eq!(read, ["all/rogers", "in/x", "read", "own/roger"]);
    assert_eq!(written, ["all/rogers", "out/a b", "read", "own/roger"]);
    let (read, written) = may(&acl.for_client(Some("anna maria"), "c"), &topics);
    assert_eq!(
        (read, written),
        (vec!["in/x", "in/secret", "in/x/y", "own/anna maria/x"], vec!["own/anna maria/x"])
    );
    // The lines before the first user are about those without a name, and only about them.
    let (read, written) = may(&acl.for_client(None, "c"), &topics);
    assert_eq!((read, written), (vec!["open/x"], vec![]));
    assert_eq!(may(&acl.for_client(Some("nobody"), "c"), &topics), (vec![], vec![]));
}

#[test]
fn denial_wins_wherever_it_stands() {
    for text in [
        "user a\ntopic x/#\ntopic deny x/1",
        "user a\ntopic deny x/1\ntopic x/1\ntopic x/#",
        "pattern deny x/1\nuser a\ntopic x/#",
        "user a\ntopic x/#\npattern deny +/1",
        "pattern x/#\nuser a\ntopic deny x/1",
        "pattern x/#\npattern deny x/%c",
    ] {
        let rights = acl(text).for_client(Some("a"), "1");
        assert_eq!(may(&rights, &["x/1", "x/2"]), (vec!["x/2"], vec!["x/2"]), "{text}");
    }
}

#[test]
fn placeholders_are_for_one_level() {
    let acl = acl("pattern a/%u/b-%c-c/#\npattern read both/%u%c\npattern write literal");
    let rights = acl.for_client(Some("roger"), "pump");
    let topics = [
        "a/roger/b-pump-c",
        "a/roger/b-pump-c/x/y",
        "a/roger/b--c",
        "a/anna/b-pump-c",
        "both/rogerpump",
        "literal",
    ];
    let (read, written) = may(&rights, &topics);
    assert_eq!(read, ["a/roger/b-pump-c", "a/roger/b-pump-c/x/y", "both/rogerpump"]);
    assert_eq!(written, ["a/roger/b-pump-c", "a/roger/b-pump-c/x/y", "literal"]);
    // In a `topic` line they are letters.
    let rights = super::tests::acl("user roger\ntopic x/%u").for_client(Some("roger"), "pump");
    assert!(rights.may_read(topic("x/%u")) && !rights.may_read(topic("x/roger")));
}

/// Names that would be more than their own level (CVE-2017-7650 of Mosquitto: `#` as a user name read everything).
#[test]
fn a_name_cannot_be_a_wildcard_or_a_path() {
    let acl = acl("pattern data/%c/#\npattern who/%u/#\npattern free");
    for name in ["+", "#", "a/b", "+/x", "", "victim/sub"] {
        let rights = acl.for_client(Some(name), name);
        let topics =
            ["data/victim/sub/x", "data/victim", "who/victim/sub", "data//x", "who//x", "data/a/b", "free"];
        assert_eq!(may(&rights, &topics).0, ["free"], "{name}");
        for filter in ["data/#", "data/+/x", "who/#", "data/victim/sub/#"] {
            assert!(!subscribes(&rights, filter), "{name}: {filter}");
        }
    }
    // Without a name at all, the patterns about names are not for them.
    assert_eq!(may(&acl.for_client(None, "c"), &["who//x", "who/None/x", "free"]).0, ["free"]);
}

/// Who slips out of a level slips out of what is denied by it: then nothing is allowed.
#[test]
fn a_name_that_fits_no_denial_may_do_nothing() {
    let acl = acl("pattern #\npattern deny secret/%c/#");
    assert!(acl.for_client(None, "a").may_read(topic("x")));
    assert!(!acl.for_client(None, "a").may_read(topic("secret/a/b")));
    for id in ["a/b", "+", "#"] {
        let rights = acl.for_client(None, id);
        assert!(
            !rights.may_read(topic("x")) && !rights.may_write(topic("x")) && !subscribes(&rights, "x"),
            "{id}"
        );
    }
}

/// [MQTT-4.7.2-1], for rules as for subscriptions. A user called `$SYS` is none of the server's.
#[test]
fn wildcards_are_for_no_topic_of_the_server() {
    let rights = acl("pattern #\npattern +/x\npattern %u/x").for_client(Some("$SYS"), "c");
    assert!(rights.may_read(topic("a/x")));
    assert!(!rights.may_read(topic("$SYS/x")) && !rights.may_write(topic("$SYS/x")));
    assert!(!subscribes(&rights, "$SYS/#") && !subscribes(&rights, "$SYS/x"));
    let rights = acl("pattern read $SYS/#\npattern deny #").for_client(None, "c");
    assert!(rights.may_read(topic("$SYS/x")) && !rights.may_read(topic("a")));
    assert!(subscribes(&rights, "$SYS/+") && !subscribes(&rights, "#") && !subscribes(&rights, "+/x"));
}

#[test]
fn subscriptions_are_refused_where_nothing_could_be_read() {
    let acl = acl(
        "user u\ntopic read a/b\ntopic read c/#\ntopic write w/#\ntopic read d/+/e\ntopic deny c/secret/#\n\
         topic deny d/x/e\npattern read own/%c",
    );
    let rights = acl.for_client(Some("u"), "me");
    for filter in [
        "#",
        "+/b",
        "a/#",
        "a/b",
        "c",
        "c/x",
        "c/#",
        "c/+",
        "d/+/e",
        "d/y/e",
        "d/#",
        "own/me",
        "own/+",
        "+/+",
        "$share/g/c/#",
    ] {
        assert!(subscribes(&rights, filter), "{filter}");
    }
    for filter in [
        "a",
        "a/c",
        "w/#",
        "w",
        "c/secret",
        "c/secret/x",
        "c/secret/#",
        "d/x/e",
        "d/+/f",
        "own/you",
        "a/b/c",
        "$share/g/c/secret/#",
        "$SYS/#",
    ] {
        assert!(!subscribes(&rights, filter), "{filter}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "usr roger\nuser\ntopic\ntopic reed a\ntopic read a/#/b\npattern\ntopic a b\nTopic read x\npattern read $share/g/x\nx y\ntopic read\n";
    let mistakes = Acl::parse(text).unwrap_err();
    let shown: Vec<String> = mistakes
        .iter()
        .map(|it| format!("{}: {} ({})", &text[it.span.clone()], it.what, it.help.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        shown,
        [
            "usr: `usr` begins no line of an ACL file (did you mean `user`?)",
            "user: `user` without a name (-)",
            "topic: `topic` without a topic (-)",
            "reed: `reed` is no kind of access (a topic with spaces in it needs one of them before it)",
            "a/#/b: the topic has wildcards where they may not be (-)",
            "pattern: `pattern` without a topic (-)",
            "a: `a` is no kind of access (a topic with spaces in it needs one of them before it)",
            "Topic: `Topic` begins no line of an ACL file (did you mean `topic`?)",
            "$share/g/x: the topic is a shared subscription: what counts is the filter behind its group (-)",
            "x: `x` begins no line of an ACL file (lines begin with `user`, `topic`, `pattern` or `#`)",
        ]
    );
}

#[test]
fn depth_is_bounded() {
    let deep = format!("topic {}", "a/".repeat(200));
    assert!(Acl::parse(&deep).is_err());
    let deep = format!("topic {}#", "+/".repeat(100));
    assert!(acl(&deep).for_client(None, "c").may_read(topic(&"a/".repeat(10_000))));
    assert!(!subscribes(&acl(&deep).for_client(None, "c"), "x/y"));
}

#[test]
fn what_a_token_grants_is_all_there_is_and_the_file_denies_still() {
    let acl = acl(
        "pattern read everybody\npattern deny tokens/never\nuser roger\ntopic read rogers\ntopic deny tokens/%c\n",
    );
    let grants =
        Grants::new([(Access::READ, "tokens/#"), (Access::WRITE, "out/%u/%c"), (Access::DENY, "tokens/2")])
            .unwrap();
    let rights = Rights::new(Some(&acl), Some(&grants), Some("roger"), "c");
    let topics = ["everybody", "rogers", "tokens/1", "tokens/2", "tokens/never", "out/roger/c", "tokens/%c"];
    assert_eq!(may(&rights, &topics), (vec!["tokens/1"], vec!["out/roger/c"]));
    assert!(
        subscribes(&rights, "#") && !subscribes(&rights, "everybody") && !subscribes(&rights, "tokens/never")
    );
    // For a user that the file does not know, it is the same.
    let rights = Rights::new(Some(&acl), Some(&grants), Some("anna"), "c");
    assert_eq!(may(&rights, &topics).0, ["tokens/1", "tokens/%c"]);
    assert!(!subscribes(&rights, "everybody"));
    // And without a file.
    let rights = Rights::new(None, Some(&grants), Some("anna"), "c");
    assert_eq!(may(&rights, &topics).0, ["tokens/1", "tokens/never", "tokens/%c"]);
    assert!(!rights.is_everything() && Rights::new(None, None, None, "").is_everything());
}

/// What is connected has little memory for it: one pointer.
#[test]
fn rights_are_small() {
    assert_eq!(size_of::<Rights>(), size_of::<usize>());
    assert!(size_of::<Ruled>() <= 64, "{}", size_of::<Ruled>());
}

/// Every filter and topic of a small alphabet, against a list of rules that is gone through one by one.
#[test]
fn a_tree_says_what_a_list_says() {
    let levels = ["a", "b", "", "$s"];
    let wild = ["a", "b", "", "$s", "+", "#"];
    let texts = |levels: &[&str]| {
        let mut all: Vec<String> = levels.iter().map(|it| (*it).to_owned()).collect();
        let mut last = all.clone();
        for _ in 0..2 {
            last = last
                .iter()
                .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    };
    let topics: Vec<String> = texts(&levels).into_iter().filter(|text| Topic::new(text).is_ok()).collect();
    let filters: Vec<String> = texts(&wild).into_iter().filter(|text| Filter::new(text).is_ok()).collect();
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..300 {
        let rules: Vec<(&str, &str)> = (0..1 + random(6))
            .map(|_| (["read", "write", "readwrite", "deny"][random(4)], &*filters[random(filters.len())]))
            .collect();
        let text: String =
            rules.iter().map(|(access, filter)| format!("pattern {access} {filter}\n")).collect();
        if rules.iter().any(|(_, filter)| filter.is_empty()) {
            continue;
        }
        let rights = acl(&text).for_client(None, "c");
        let said = |name: &str, topic: Topic<'_>| {
            rules
                .iter()
                .any(|(access, filter)| *access == name && Filter::new(filter).unwrap().matches(topic))
        };
        let may_read = |it: Topic<'_>| (said("read", it) || said("readwrite", it)) && !said("deny", it);
        for text in &topics {
            let topic = topic(text);
            assert_eq!(rights.may_read(topic), may_read(topic), "{rules:?} {text}");
            let expected = (said("write", topic) || said("readwrite", topic)) && !said("deny", topic);
            assert_eq!(rights.may_write(topic), expected, "{rules:?} {text}");
        }
        for text in &filters {
            let filter = Filter::new(text).unwrap();
            let readable = topics.iter().any(|it| filter.matches(topic(it)) && may_read(topic(it)));
            // Where something can be read, it may be subscribed to. The reverse holds too, but for what several
            // denials leave nothing of.
            let single = rules.iter().filter(|(access, _)| *access == "deny").count() < 2;
            let may = subscribes(&rights, text);
            // Topics here have three levels; those below are not tried.
            let deeper = rules.iter().any(|(_, rule)| rule.ends_with('#')) && text.ends_with('#');
            assert!(may || !readable, "{rules:?} {text}");
            assert!(!may || readable || !single || deeper, "{rules:?} {text}");
        }
    }
}
