//! What a configuration may say, what is wrong with one, and what is said of that.

use super::*;

fn wrong(text: &str) -> Problem {
    parse(text).expect_err(text)
}

#[test]
fn an_unknown_key_has_its_line_and_what_was_meant() {
    let problem = wrong("[server]\nworkers = 1\nscrach = \"64KiB\"\n");
    assert_eq!(
        (problem.line, &*problem.what),
        (3, "this program has no key `server.scrach`: did you mean `server.scratch`?")
    );
    let problem = wrong("[limits]\n# one\ninput_mx = 1\n");
    assert_eq!(
        (problem.line, &*problem.what),
        (3, "this program has no key `limits.input_mx`: did you mean `limits.input_max`?")
    );
    let problem = wrong("[limit]\n");
    assert_eq!(
        (problem.line, &*problem.what),
        (1, "this program has no table `limit`: did you mean `limits`?")
    );
    assert!(wrong("colour = 1\n").what.contains("no table `colour`"));
}

#[cfg(feature = "echo")]
#[test]
fn a_whole_configuration() {
    let text = "[server]\nworkers = 1\nscratch = \"8KiB\"\n[limits]\nidle_timeout = \"5s\"\nconnections_max = 1_000\n\
                input_max = \"64KiB\"\nwhen_full = \"shed\"\n[[echo]]\nlisten = [\":7\"]\n[[echo]]\nname = \"two\"\n\
                listen = \"udp::8\"\n";
    let config = parse(text).unwrap();
    assert_eq!((config.scratch, config.echo.len(), &*config.echo[1].name), (8192, 2, "two"));
    assert_eq!((config.limits.connections_max, config.limits.input_max), (1_000, 65_536));
    assert_eq!(config.limits.idle_timeout, std::time::Duration::from_secs(5));
    assert_eq!(config.limits.when_full, windlass::WhenFull::Shed);
}

#[cfg(feature = "echo")]
#[test]
fn what_does_not_go_together() {
    for (text, line, what) in [
        ("", 0, "nothing is served"),
        ("[[echo]]\n", 1, "needs an address in `listen`"),
        ("[server]\nworkers = 4\n[[echo]]\nlisten = [\":7\"]\n", 0, "one thread"),
        ("[[echo]]\nlisten = 7\n", 2, "`echo.listen` should be a list"),
        ("[echo]\n", 1, "write it as [[echo]]"),
        ("[[server]]\n", 1, "no list of tables `server`"),
        ("[limits]\nidle_timeout = 10\n", 2, "`limits.idle_timeout` should be a time"),
        ("[limits]\nwhen_full = \"go\"\n", 2, "should be `wait` or `shed`"),
        ("[limits]\noutput_low = 10\noutput_high = 5\n[[echo]]\nlisten = [\":7\"]\n", 0, "output_low (10)"),
        ("[server]\nworkers = 1\n\nworkers = 1\n", 4, "said twice"),
    ] {
        let problem = wrong(text);
        assert!(problem.line == line && problem.what.contains(what), "{text}: {problem:?}");
    }
}

#[cfg(feature = "hub")]
#[test]
fn a_hub_has_the_keys_of_a_hub() {
    let text = "[[hub]]\nlisten = [\":1883\"]\nqueue_max = 10\nwhen_queue_full = \"drop-oldest\"\nretain = false\n\
                packet_max = \"64KiB\"\n[hub.identity]\nanonymous = \"everybody\"\n";
    let config = parse(text).unwrap();
    let hub = &config.hub[0];
    assert_eq!((hub.config.queue_max, hub.queue_full, hub.config.retain), (10, 1, false));
    assert_eq!((hub.config.packet_max, hub.identity.anonymous), (65_536, 2));
    let problem = wrong("[[hub]]\nlisten = [\":1883\"]\nqueue_mx = 1\n");
    assert_eq!(
        (problem.line, &*problem.what),
        (3, "this program has no key `hub.queue_mx`: did you mean `hub.queue_max`?")
    );
    assert!(wrong("[[hub]]\nlisten = [\":1883\"]\nqos_max = 3\n").what.contains("qos_max is 0, 1 or 2"));
}

#[cfg(all(feature = "echo", feature = "tls"))]
#[test]
fn tls_that_is_said_is_never_left_out() {
    let files = "cert = \"c\"\nkey = \"k\"\n";
    for (tls, what) in [
        ("[echo.tls]\n", "needs `cert` and `key`"),
        ("tls = {}\n", "needs `cert` and `key`"),
        ("tls.client_ca = \"ca.pem\"\n", "needs `cert` and `key`"),
        ("[echo.tls]\ncert = \"c\"\n", "needs `cert` and `key`"),
        ("[echo.tls]\ncert = \"\"\nkey = \"\"\n", "needs `cert` and `key`"),
        (
            &crate::joined(&["[echo.tls]\nclient_certificate = \"optional\"\n", files]),
            "`client_certificate` in `tls` of the table that begins here needs `client_ca`",
        ),
    ] {
        let problem = wrong(&crate::joined(&["[[echo]]\nlisten = [\":7\"]\n", tls]));
        assert!(problem.line == 1 && problem.what.contains(what), "{tls}: {problem:?}");
    }
    assert!(parse(&crate::joined(&["[[echo]]\nlisten = [\":7\"]\n[echo.tls]\n", files])).is_ok());
    let problem = wrong(&crate::joined(&["[[echo]]\nlisten = [\":7\", \"udp::7\"]\n[echo.tls]\n", files]));
    assert!(problem.line == 1 && problem.what.contains("`tls` is about connections"), "{problem:?}");
    #[cfg(feature = "relay")]
    {
        let text = "[[proxy]]\nmode = \"udp\"\nlisten = [\":7\"]\nto = [\"127.0.0.1:8\"]\n[proxy.tls]\n";
        let problem = wrong(&crate::joined(&[text, files]));
        assert!(problem.line == 1 && problem.what.contains("`tls` is about connections"), "{problem:?}");
    }
}

#[cfg(feature = "hub")]
#[test]
fn memory_is_divided_among_hubs_and_the_engine() {
    let hubs =
        "[[hub]]\nlisten = [\":1\"]\n[[hub]]\nname = \"two\"\nlisten = [\":2\"]\nmemory_max = \"1MiB\"\n";
    let config = parse(&crate::joined(&["[server]\nmemory = \"16MiB\"\n", hubs])).unwrap();
    let of: Vec<usize> = config.hub.iter().map(|hub| hub.config.memory_max).collect();
    // Half of it in equal parts, but for who says otherwise.
    assert_eq!(of, [4 << 20, 1 << 20]);
    let engine = config.engine();
    assert_eq!(engine.memory, 11 << 20);
    // Nothing is longer than what there is room for.
    let limits = windlass::Server::new(engine.clone()).memory_plan().unwrap().unwrap().limits;
    assert!(limits.input_max < 2_000_000, "{}", limits.input_max);
    assert_eq!(config.hub[0].config.packet_max, limits.input_max);
    assert_eq!(config.hub[0].config.queue_bytes_max, 1 << 20);
    let plan = config.plan(&windlass::Server::new(engine)).unwrap().unwrap();
    assert_eq!(
        (plan.memory, plan.lines[0].total(), &*plan.lines[1].what),
        (16 << 20, 4 << 20, "kept by two")
    );
    assert!(plan.total() <= plan.memory);
    // Without a budget there is a hub's own bound, and nothing is lowered.
    let config = parse(hubs).unwrap();
    let of: Vec<usize> = config.hub.iter().map(|hub| hub.config.memory_max).collect();
    assert_eq!(
        (of, config.engine().memory, config.hub[0].config.packet_max),
        (vec![0, 1 << 20], 0, 2_000_000)
    );
}

#[cfg(feature = "hub")]
#[test]
fn what_would_do_nothing_is_no_key_of_a_hub() {
    for (key, what) in [
        ("websocket = true", "no key `hub.websocket`"),
        ("http_publish = true", "no key `hub.http_publish`"),
        ("keep_alive_max = \"500ms\"", "keep_alive_max is 0, for any, or at least 1s"),
        ("session_expiry_max = \"999ms\"", "session_expiry_max is 0, for ever, or at least 1s"),
    ] {
        let problem = wrong(&crate::joined(&["[[hub]]\nlisten = [\":1883\"]\n", key, "\n"]));
        assert!(problem.what.contains(what), "{key}: {problem:?}");
    }
    let text = "[[hub]]\nlisten = [\":1883\"]\nkeep_alive_max = \"1s\"\nsession_expiry_max = 0\n";
    let config = parse(text).unwrap();
    assert!(!config.hub[0].config.websocket && !config.hub[0].config.http_publish);
}

#[cfg(feature = "relay")]
#[test]
fn what_would_do_nothing_is_no_key_of_a_proxy() {
    for (keys, what) in [
        ("to = [\"127.0.0.1:8\"]\nbaud = 9600\n", "has a `baud`, which is for `pipe:` in `to`"),
        ("to = [\"127.0.0.1:8\"]\n[proxy.udp]\n", "needs `mode = \"udp\"` for its `[proxy.udp]`"),
        ("to = [\"127.0.0.1:8\"]\nmode = \"udp\"\nudp.flows_max = 0\n", "more than 0 for flows_max"),
    ] {
        let problem = wrong(&crate::joined(&["[[proxy]]\nlisten = [\":7\"]\n", keys]));
        assert!(problem.line == 1 && problem.what.contains(what), "{keys}: {problem:?}");
    }
    for keys in
        ["to = [\"pipe:/dev/ttyS0\"]\nbaud = 9600\n", "to = [\"[::1]:8\"]\nmode = \"udp\"\n[proxy.udp]\n"]
    {
        assert!(parse(&crate::joined(&["[[proxy]]\nlisten = [\":7\"]\n", keys])).is_ok(), "{keys}");
    }
}

#[cfg(feature = "echo")]
#[test]
fn services_have_names_of_their_own() {
    let problem = wrong("[[echo]]\nlisten = [\":7\"]\n\n[[echo]]\nlisten = [\":8\"]\n");
    assert_eq!(
        (problem.line, &*problem.what),
        (4, "two services are called `echo`: give each a `name` of its own")
    );
    assert!(wrong("[[echo]]\nname = \"admin\"\nlisten = [\":7\"]\n").what.contains("admin listener"));
}

#[cfg(feature = "hub")]
#[test]
fn a_table_stands_there_once() {
    let hub = "[[hub]]\nlisten = [\":1\"]\n";
    for (text, line) in [
        ("[server]\nworkers = 1\n[limits]\n[server]\nscratch = 8192\n".to_owned(), 4),
        ("server = { workers = 1 }\n[server]\n".to_owned(), 2),
        ("server.workers = 1\n[server]\n".to_owned(), 2),
        ("server = { workers = 1 }\nserver.scratch = 8192\n".to_owned(), 2),
        ("server.workers = 1\nserver = { scratch = 8192 }\n".to_owned(), 2),
        (crate::joined(&[hub, "identity = { anonymous = \"local\" }\n[hub.identity]\n"]), 4),
        (crate::joined(&[hub, "[hub.identity]\n[hub.identity]\n"]), 4),
    ] {
        let problem = wrong(&text);
        assert!(problem.line == line && problem.what.contains("is said twice"), "{text}: {problem:?}");
    }
    let problem = wrong(&crate::joined(&[hub, "[hub]\nname = \"a\"\n"]));
    assert!(problem.line == 3 && problem.what.contains("write it as [[hub]]"), "{problem:?}");
    // In front of its keys, and in each entry, it may.
    let text = "server.workers = 1\nserver.scratch = 8192\n[[hub]]\nname = \"a\"\nlisten = \":1\"\n[hub.identity]\n\
                [[hub]]\nname = \"b\"\nlisten = \":2\"\n[hub.identity]\nanonymous = \"local\"\n";
    let config = parse(text).unwrap();
    assert_eq!(
        (config.scratch, config.hub[0].identity.anonymous, config.hub[1].identity.anonymous),
        (8192, 3, 1)
    );
}

/// What TOML refuses `windlass` refuses, and so a file goes from one to the other.
#[test]
fn units_stand_in_quotes() {
    let problem = wrong("[server]\nscratch = 64KiB\n");
    assert_eq!((problem.line, &*problem.what), (2, "this is no value: text stands between `\"`"));
    let problem = wrong("\"server.scratch\" = 8192\n");
    assert_eq!((problem.line, &*problem.what), (1, "nothing has the name \"server.scratch\""));
}

/// What bind would refuse, `check` does: the later of the two is named.
#[cfg(feature = "echo")]
#[test]
fn an_address_is_listened_on_once() {
    let tables = |first: &str, second: &str| {
        let one = ["[[echo]]\nname = \"a\"\nlisten = [\"", first, "\"]\n"].concat();
        [&one, "[[echo]]\nname = \"b\"\nlisten = [\"127.0.0.1:1\", \"", second, "\"]\n"].concat()
    };
    for (first, second, what) in [
        ("127.0.0.1:7", "127.0.0.1:7", "`127.0.0.1:7` is listened on twice: in line 1 too"),
        ("unix:/run/a", "unix:/run/a", "`unix:/run/a` is listened on twice: in line 1 too"),
        #[cfg(target_os = "linux")]
        ("0.0.0.0:7", "127.0.0.1:7", "`127.0.0.1:7` is `0.0.0.0:7` of line 1 too: only one can listen"),
        #[cfg(target_os = "linux")]
        (":7", "[::1]:7", "`[::1]:7` is `:7` of line 1 too"),
    ] {
        let problem = wrong(&tables(first, second));
        assert!(problem.line == 4 && problem.what.contains(what), "{first} {second}: {problem:?}");
    }
    for (first, second) in [
        ("127.0.0.1:7", "127.0.0.2:7"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:7", "unix:/run/a"),
        ("[::]:7", "0.0.0.0:7"),
    ] {
        assert!(parse(&tables(first, second)).is_ok(), "{first} {second}");
    }
    let twice = wrong("[[echo]]\nlisten = [\":7\", \":8\", \":7\"]\n");
    assert!(twice.line == 1 && twice.what.contains("`:7` is listened on twice"), "{twice:?}");
}

#[cfg(all(feature = "echo", feature = "metrics"))]
#[test]
fn the_admin_listener_has_an_address_of_its_own() {
    let problem = wrong("[admin]\nlisten = [\"127.0.0.1:7\"]\n[[echo]]\nlisten = [\"127.0.0.1:7\"]\n");
    assert!(
        problem.line == 3 && problem.what.contains("`127.0.0.1:7` is listened on twice: in `[admin]` too"),
        "{problem:?}"
    );
}

#[cfg(all(feature = "echo", feature = "udp"))]
#[test]
fn datagrams_and_connections_share_a_port() {
    assert!(parse("[[echo]]\nlisten = [\"127.0.0.1:7\", \"udp:127.0.0.1:7\"]\n").is_ok());
    let problem = wrong("[[echo]]\nlisten = [\"udp:127.0.0.1:7\", \"udp:127.0.0.1:7\"]\n");
    assert!(problem.what.contains("`udp:127.0.0.1:7` is listened on twice"), "{problem:?}");
}

/// Who passes on datagrams may leave out what says so.
#[cfg(feature = "relay")]
#[test]
fn an_address_for_datagrams_is_one_with_and_without_its_word() {
    let text = "[[proxy]]\nmode = \"udp\"\nlisten = [\"127.0.0.1:7\", \"udp:127.0.0.1:7\"]\nto = [\"127.0.0.1:8\"]\n";
    assert!(wrong(text).what.contains("127.0.0.1:7` is listened on twice"), "{:?}", wrong(text));
}

#[cfg(feature = "relay")]
#[test]
fn nothing_is_connected_where_datagrams_pass() {
    let text =
        "[[proxy]]\nmode = \"udp\"\nlisten = [\":7\"]\nto = [\"127.0.0.1:8\"]\nconnect_timeout = \"1s\"\n";
    let problem = wrong(text);
    assert_eq!(
        (problem.line, &*problem.what),
        (5, "`proxy.connect_timeout` is about connections, and with `mode = \"udp\"` there are none")
    );
    // Wherever it stands, and of the entry that it stands in.
    let first = "[[proxy]]\nconnect_timeout = \"1s\"\nlisten = [\":6\"]\nto = [\"127.0.0.1:8\"]\n";
    let second = "[[proxy]]\nname = \"b\"\nconnect_timeout = \"1s\"\nmode = \"udp\"\nlisten = [\":7\"]\nto = [\"127.0.0.1:8\"]\n";
    assert_eq!(wrong(&crate::joined(&[first, second])).line, 7);
    assert!(parse(first).is_ok());
}

/// Each bound is at the last that is taken, and not one before it; all that is not so is told at once.
#[cfg(feature = "hub")]
#[test]
fn what_a_hub_takes_ends_where_it_is_said_to() {
    let mut wrong: Vec<String> = Vec::new();
    for (key, taken, refused) in [
        ("receive_max", &["1", "65535"][..], &["0", "65536"][..]),
        ("in_flight_max", &["1", "65535"], &["0", "65536"]),
        ("topic_alias_max", &["0", "65535"], &["65536"]),
        ("keep_alive_max", &["0", "\"1s\"", "\"65535s\"", "\"65535.9s\""], &["\"65536s\"", "\"0.9s\""]),
        ("session_expiry_max", &["0", "\"1s\"", "\"400d\""], &["\"0.9s\""]),
        ("packet_max", &["20", "268435460"], &["19", "268435461"]),
        ("connect_max", &["128", "\"1MiB\""], &["127", "1048577"]),
        ("topic_levels_max", &["1", "1024"], &["0", "1025"]),
        ("qos_max", &["0", "2"], &["3"]),
        ("connect_timeout", &["\"1ns\""], &["0"]),
    ] {
        let text = |value: &str| ["[[hub]]\nlisten = [\":1883\"]\n", key, " = ", value, "\n"].concat();
        let taken = taken.iter().filter(|value| parse(&text(value)).is_err());
        wrong.extend(taken.map(|value| [key, " = ", value, " is refused"].concat()));
        let refused =
            refused.iter().filter(|value| !parse(&text(value)).is_err_and(|it| it.what.contains(key)));
        wrong.extend(refused.map(|value| [key, " = ", value, " is taken"].concat()));
    }
    assert_eq!(wrong, [""; 0]);
}

#[cfg(all(feature = "echo", feature = "metrics"))]
#[test]
fn the_admin_listener_is_for_this_machine() {
    let takes = |listen: &&str| {
        parse(&["[admin]\nlisten = [\"", listen, "\"]\n[[echo]]\nlisten = [\":7\"]\n"].concat()).is_ok()
    };
    let here = ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/run/a"];
    let others =
        ["0.0.0.0:1", ":1", "[::]:1", "192.0.2.1:1", "localhost.example:1", "unix.example:1", "unixy"];
    let refused: Vec<&str> = here.into_iter().filter(|it| !takes(it)).collect();
    let taken: Vec<&str> = others.into_iter().filter(takes).collect();
    assert_eq!((refused, taken), (vec![], vec![]));
}

#[cfg(feature = "echo")]
#[test]
fn levels_up_to_warn_are_quiet() {
    let config = |level| parse(&["[log]\nlevel = \"", level, "\"\n[[echo]]\nlisten = [\":7\"]\n"].concat());
    let quiet = ["off", "error", "warn", "info"].map(|level| config(level).unwrap().is_quiet());
    assert_eq!(quiet, [true, true, true, false]);
    let levels = ["off", "info"].map(|level| {
        let mut config = config(level).unwrap();
        config.quiet();
        config.level
    });
    assert_eq!(levels, [0, 1], "what is less stays less");
    assert!(!parse("[[echo]]\nlisten = [\":7\"]\n").unwrap().is_quiet());
}

#[cfg(feature = "echo")]
#[test]
fn a_file_is_as_long_as_a_file_may_be() {
    let path =
        std::env::temp_dir().join(["windlass-mini-", &std::process::id().to_string(), ".toml"].concat());
    let mut text = String::from("[[echo]]\nlisten = [\":7\"]\n#");
    text.extend(std::iter::repeat_n(' ', FILE_MAX as usize - text.len()));
    std::fs::write(&path, &text).unwrap();
    let longest = load(&path).map(|config| config.echo.len());
    std::fs::write(&path, text + " ").unwrap();
    let longer = load(&path).map(|config| config.echo.len());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(longest, Ok(1));
    assert_eq!(longer.unwrap_err().what, "cannot read it: it is longer than 1 MiB");
}
