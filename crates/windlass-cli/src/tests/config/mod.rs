//! Files, right and wrong.

use std::fs;

use super::*;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("windlass-config-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What is said about a file with this text, at `wrong.toml`.
fn said(name: &str, text: &str) -> String {
    let folder = folder(name);
    let path = folder.join("wrong.toml");
    fs::write(&path, text).unwrap();
    let wrong = load(&path, &|_| None).err().expect("it is wrong");
    let said = wrong.sources.render(&wrong.problems, false);
    fs::remove_dir_all(&folder).unwrap();
    said.replace(&format!("{}/", folder.display()), "")
}

fn loaded(name: &str, text: &str) -> File {
    let folder = folder(name);
    let path = folder.join("right.toml");
    fs::write(&path, text).unwrap();
    let loaded = load(&path, &|name| match name {
        "PORT" => Some("9100".into()),
        "JWT_SECRET" => Some("a secret".into()),
        _ => None,
    });
    let file = loaded.map_err(|wrong| wrong.sources.render(&wrong.problems, false)).map(|loaded| loaded.file);
    fs::remove_dir_all(&folder).unwrap();
    file.unwrap_or_else(|text| panic!("{text}"))
}

#[test]
fn a_file_is_what_it_says() {
    let file = loaded(
        "says",
        r#"
        [server]
        workers = 2
        scratch = "64KiB"
        [limits]
        idle_timeout = "30s"
        connections_max = 10_000
        when_full = "shed"
        [log]
        level = "debug"
        [[echo]]
        listen = ["127.0.0.1:${PORT}", "unix:/tmp/echo.sock"]
        [[echo]]
        name = "second"
        listen = ":0"
        "#,
    );
    assert_eq!((file.server.workers.0, file.server.scratch.0), (2, 64 << 10));
    let limits = file.limits.limits();
    assert_eq!((limits.connections_max, limits.idle_timeout.as_secs()), (10_000, 30));
    assert_eq!(limits.when_full, windlass::WhenFull::Shed);
    assert_eq!(file.log.level, shape::LogLevel::Debug);
    let listens: Vec<String> = file.echo.iter().flat_map(|e| &e.listen).map(|l| l.0.to_string()).collect();
    assert_eq!(listens, ["127.0.0.1:9100", "unix:/tmp/echo.sock", ":0"]);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = said(
        "all",
        r#"[server]
wrokers = 2
scratch = "64KB2"

[limits]
idle_timout = "30s"
input_max = true

[log]
level = "loud"

[[echo]]
listen = ["127.0.0.1", "127.0.0.1:${NOWHERE}"]

[[ecko]]
"#,
    );
    for line in [
        "there is no key `wrokers` in `server`",
        "wrong.toml:2:1",
        "did you mean `workers`?",
        "`server.scratch`: `64KB2` is no size",
        "there is no key `idle_timout` in `limits`",
        "did you mean `idle_timeout`?",
        "`limits.input_max` is true or false, and should be a limit as `input_max` is written",
        "`loud` is no value of `log.level`",
        "`127.0.0.1` has no port",
        "the environment has no variable `NOWHERE`",
        "there is no key `ecko` at the top",
        "did you mean `echo`?",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    assert!(said.ends_with("8 things are wrong with the configuration\n"), "{said}");
}

#[test]
fn it_is_shown_where_it_stands() {
    assert_eq!(
        said("shown", "[[echo]]\nlisten = \":9000\"\n[limits]\noutput_low = \"1MiB\"\n"),
        "\
error: output_low (1048576) must be below output_high (65536)
 --> wrong.toml:4:1
  |
4 | output_low = \"1MiB\"
  | ^^^^^^^^^^

one thing is wrong with the configuration
"
    );
}

#[test]
fn what_does_not_go_together_is_shown_with_both_places() {
    let said = said(
        "together",
        r#"
[admin]
listen = ["0.0.0.0:9900", "localhost:9902", "unix:/tmp/admin", "[::1]:9903"]
[[echo]]
listen = ["127.0.0.1:9000", "127.0.0.1:0", "127.0.0.1:0"]
[[echo]]
listen = "127.0.0.1:9000"
"#,
    );
    for line in [
        "two services are called `echo`",
        "`127.0.0.1:9000` is listened on twice",
        "---------------- first here",
        "`0.0.0.0:9900` can be reached by others",
        "or set `admin.token`",
        "3 things are wrong",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
}

/// What the system would refuse, though it is written in two ways.
#[test]
fn an_address_that_another_has_in_it_is_listened_on_twice() {
    let text = |first: &str, second: &str| {
        format!("[[echo]]\nlisten = \"{first}\"\n[[websocket]]\nlisten = \"{second}\"\n")
    };
    for (first, second) in [
        ("[::1]:9000", "[0::1]:9000"),
        #[cfg(target_os = "linux")]
        ("0.0.0.0:9000", "127.0.0.1:9000"),
        #[cfg(target_os = "linux")]
        ("127.0.0.1:9000", ":9000"),
    ] {
        let said = said("within", &text(first, second));
        let what = format!("`{second}` and `{first}` are one address to the system");
        for line in [&*what, "wrong.toml:4:10", "first here", "one thing is wrong"] {
            assert!(said.contains(line), "{line} is missing in\n{said}");
        }
    }
    for (first, second) in [("0.0.0.0:9000", "[::]:9000"), ("127.0.0.1:9000", "127.0.0.2:9000")] {
        assert_eq!(loaded("beside", &text(first, second)).echo.len(), 1, "{first} {second}");
    }
}

/// An address without TLS is one of those that it listens on.
#[cfg(feature = "hub")]
#[test]
fn an_address_for_plain_text_stands_where_it_stands() {
    let said = said(
        "plain",
        "[[echo]]\nlisten = \":1883\"\n[[hub]]\nlisten = \":8883\"\nlisten_plain = \":1883\"\n",
    );
    for line in ["`:1883` is listened on twice", "wrong.toml:5:16", "first here"] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
}

#[test]
fn an_address_of_the_wrong_type_is_one_mistake() {
    let said = said("type", "[[echo]]\nlisten = 9000\n");
    assert!(
        said.contains("for example `listen = [\"127.0.0.1:9000\"]`") && said.contains("one thing is"),
        "{said}"
    );
}

#[test]
fn a_secret_is_not_shown_with_the_mistake_beside_it() {
    let said = said(
        "beside",
        "admin = { lisen = \"unix:/a\", token = \"s3cret\" }\n[[echo]]\nlisten = \"unix:/b\"\n",
    );
    assert!(said.contains("`lisen`") && said.contains("token = ********"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

/// As `$(cat file)` leaves none and other ways do: with a line break at its end, it would let nobody in.
#[test]
fn a_token_is_one_that_a_request_can_show() {
    for token in ["s3cret\\n", " ", " s3cret", "s3c\\u0000ret"] {
        let text = format!("[admin]\ntoken = \"{token}\"\n[[echo]]\nlisten = \"unix:/a\"\n");
        let said = said("token-shown", &text);
        assert!(said.contains("no request can show it") && !said.contains("s3c"), "{token}: {said}");
    }
    loaded("token-fine", "[admin]\ntoken = \"s3 cret\"\n[[echo]]\nlisten = \"unix:/a\"\n");
}

#[test]
fn syntax_is_said_with_the_rest() {
    let said = said("syntax", "[server\nworkers = 1\n[[echo]]\nlisten = [\"127.0.0.1:1\"\nname = 'x\n");
    assert!(said.contains("wrong.toml:1:"), "{said}");
    assert!(said.matches("error: ").count() >= 2, "{said}");
}

#[test]
fn an_empty_file_serves_nothing() {
    assert!(said("empty", "# nothing\n").contains("the configuration serves nothing"));
}

#[test]
fn files_include_others() {
    let folder = folder("include");
    fs::create_dir_all(folder.join("conf.d")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("main.toml", "include = [\"conf.d/*.toml\", \"limits.toml\"]\n[[echo]]\nlisten = \":1\"\n");
    write("limits.toml", "include = \"main.toml\"\n[limits]\nidle_timeout = \"7s\"\n");
    write(
        "conf.d/b.toml",
        "[[echo]]\nname = \"b\"\nlisten = \":3\"\ntls = { cert = \"c.pem\", key = \"/k.pem\" }\n",
    );
    write("conf.d/a.toml", "[[echo]]\nname = \"a\"\nlisten = \":2\"\n");
    write("conf.d/a.toml~", "[[echo]]\nname = \"no\"\n");
    let Ok(loaded) = load(&folder.join("main.toml"), &|_| None) else { panic!("it is right") };
    let names: Vec<&str> = loaded.file.echo.iter().map(|echo| &*echo.name).collect();
    assert_eq!(names, ["echo", "a", "b"], "in the order of their names, behind what includes them");
    assert_eq!(loaded.file.limits.limits().idle_timeout.as_secs(), 7);
    let tls = loaded.file.echo[2].tls.as_ref().unwrap();
    assert_eq!(tls.cert.0, folder.join("conf.d/c.pem"), "relative to the file that names it");
    assert_eq!(tls.key.0, Path::new("/k.pem"));

    // The same key in two files, a file that is not there, and an entry of the second file.
    write("limits.toml", "[limits]\nidle_timeout = \"7s\"\n[[echo]]\nname = \"c\"\nlisten = 5\n");
    write("conf.d/c.toml", "include = \"gone.toml\"\n[limits]\nidle_timeout = \"8s\"\n");
    let Err(wrong) = load(&folder.join("main.toml"), &|_| None) else { panic!("it is wrong") };
    let said = wrong.sources.render(&wrong.problems, false);
    for line in [
        "`limits.idle_timeout` is set twice",
        "again here",
        "first here",
        "gone.toml: No such file",
        "`echo[3].listen`",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    let json: Value = serde_json::from_str(&wrong.sources.json(&wrong.problems)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), wrong.problems.len());
    let fifth = json.as_array().unwrap().iter().find(|one| one["line"] == 5).unwrap();
    assert_eq!(
        (&fifth["column"], &fifth["width"], &fifth["source"]),
        (&10.into(), &1.into(), &"listen = 5".into())
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn patterns() {
    for (pattern, name, matches) in [
        ("*.toml", "a.toml", true),
        ("*.toml", ".toml", false),
        ("*.toml", "a.toml~", false),
        ("a*b*c", "abc", true),
        ("a*b*c", "axbyc", true),
        ("a*b*c", "ab", false),
        ("a*a", "a", false),
        ("*", "x", true),
    ] {
        assert_eq!(include::matches(pattern, name), matches, "{pattern} {name}");
    }
}

#[test]
fn every_key_is_documented_and_every_default_can_be_read() {
    let schema = schema();
    let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for table in tables.filter(|table| table["properties"].is_object()) {
        for (key, property) in table["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{key} has no description in {}", table["title"]);
        }
    }
    let limits = schema["$defs"]["LimitsTable"]["properties"].as_object().unwrap();
    assert_eq!(limits.len(), windlass::Limits::NAMES.len());
    for (name, limit) in limits {
        let default = limit["default"].as_str().unwrap();
        assert_eq!(value::check(limit["format"].as_str().unwrap(), default), Ok(()), "{name}");
    }
}

#[test]
fn a_starting_file_serves_as_it_stands_and_so_does_one_with_all_its_comments_taken() {
    let schema = schema();
    for (kind, _) in print::kinds(&schema) {
        let text = print::starting(&schema, &kind, "127.0.0.1:0", &mut Vec::new()).unwrap();
        println!("{text}");
        let file = loaded("starting", &text);
        assert_eq!(file.limits.limits(), windlass::Limits::default());
        // Each `# key = value` is what it says: the default. Entries of lists are examples.
        let is_key = |line: &&str| {
            let key = line.split_once(" = ").map_or("", |(key, _)| key);
            let is_table = line.starts_with('[') && line.ends_with(']');
            is_table || (!key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        };
        // Datagrams are for another mode than the one that is tried.
        let others = ["\n# [[", "\n# [proxy.udp]"];
        let without_entries = text.split("\n\n").filter(|block| !others.iter().any(|it| block.contains(it)));
        let taken: String = without_entries
            .flat_map(|block| block.lines().chain([""]))
            .map(|line| format!("{}\n", line.strip_prefix("# ").filter(is_key).unwrap_or(line)))
            .filter(|line| {
                let examples = ["control", "congestion", "token", "user", "group", "access_log", "path"];
                let of_proxies = ["sticky", "error_page", "check_exchange"];
                !examples.iter().chain(&of_proxies).any(|key| line.starts_with(key))
            })
            .collect();
        // Its largest table is for requests.
        let all = loaded("starting-all", &taken.replace("mode = \"tcp\"", "mode = \"http\""));
        assert_eq!((&all.server, &all.log, &all.admin), (&file.server, &file.log, &file.admin));
        assert_eq!(crate::serving::limits(&all), crate::serving::limits(&file));
    }
    assert_eq!(print::starting(&schema, "ecko", ":0", &mut Vec::new()), None);
    // The bounds that a kind has of its own are those it says.
    let of = |kind| print::starting(&schema, kind, "127.0.0.1:0", &mut Vec::new()).unwrap();
    assert!(of("echo").contains("\n# idle_timeout = \"5m\"\n"));
    #[cfg(feature = "kv")]
    assert!(of("resp").contains("\n# idle_timeout = 0\n"));
}

#[test]
fn a_starting_file_has_the_keys_that_are_set() {
    let schema = schema();
    let mut set: Vec<(String, String)> = [
        ("server.workers", "2"),
        ("server.sandbox", "on"),
        ("admin.listen", "127.0.0.1:9900"),
        ("no.such", "x"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let text = print::starting(&schema, "echo", "127.0.0.1:9000", &mut set).unwrap();
    assert_eq!(set, [("no.such".to_owned(), "x".to_owned())], "what is left is no key");
    let file = loaded("set", &text);
    assert_eq!((file.server.workers.0, file.server.sandbox), (2, shape::Sandbox::On));
    assert_eq!(file.admin.listen.len(), 1, "{text}");
}

#[test]
fn an_access_log_has_a_format_that_its_lines_can_have() {
    let file = loaded(
        "access",
        "[[echo]]\nlisten = \":9000\"\naccess_log = { path = \"-\" }\n\
         [[echo]]\nname = \"b\"\nlisten = \":9001\"\n[echo.access_log]\npath = \"logs/b.log\"\nformat = \"json\"\n",
    );
    let path = |at: usize| file.echo[at].access_log.as_ref().unwrap().path.0.clone();
    assert_eq!(path(0), Path::new("-"), "stdout is in no folder");
    assert!(path(1).is_absolute() && path(1).ends_with("logs/b.log"), "{:?}", path(1));
    let said = said(
        "access-wrong",
        "[admin]\nlisten = \"127.0.0.1:0\"\naccess_log = { path = \"a\", format = \"{reason}\" }\n\
         [[echo]]\nlisten = \":9000\"\naccess_log = { path = \"b\", format = \"{pier}\" }\n\
         [[echo]]\nname = \"b\"\nlisten = \":9001\"\naccess_log = { path = \"c\", format = \"combined\" }\n",
    );
    for wrong in [
        "`admin.access_log.format`: {reason} is nothing that requests have",
        "`echo[0].access_log.format`: there is no field {pier}; did you mean {peer}?",
        "`echo[1].access_log.format`: `combined` is for requests, and there are only connections here",
    ] {
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    assert!(said.contains("format = \"{pier}\""), "where it stands: {said}");
}

#[test]
fn the_effective_file_is_the_same_configuration() {
    let file = loaded(
        "effective",
        "[limits]\nidle_timeout = \"7s\"\n[admin]\ntoken = \"s3cret\"\n[[echo]]\nlisten = \"127.0.0.1:9000\"\n",
    );
    let text = print::effective(&file).unwrap();
    println!("{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("workers = 0\n"), "a count is a number: {text}");
    let again = loaded("effective-again", &text.replace("(hidden)", "s3cret"));
    assert_eq!((&again.server, &again.echo), (&file.server, &file.echo));
    assert_eq!(again.limits.limits(), file.limits.limits());
}

#[test]
#[cfg(feature = "kv")]
fn a_store_is_not_handed_over() {
    let said = said("store", "[server]\ncontrol = \"/tmp/control\"\n[[resp]]\nlisten = \":6379\"\n");
    assert!(
        said.contains("a key-value store cannot be handed over") && said.contains("wrong.toml:2:1"),
        "{said}"
    );
}

#[test]
#[cfg(feature = "kv")]
fn streams_are_not_served_on_datagrams() {
    let said =
        said("udp", "[admin]\nlisten = \"udp:127.0.0.1:1\"\n[[resp]]\nlisten = \"udp:127.0.0.1:6379\"\n");
    assert!(said.contains("there are no datagrams in what `admin` speaks"), "{said}");
    assert!(said.contains("there are no datagrams in what `resp[0]` speaks"), "{said}");
}
