//! Files as people have them, and every directive of the manual.

use super::*;

fn import(text: &str) -> Imported {
    let main = Source { name: "mosquitto.conf".into(), text: text.into() };
    mosquitto(main, &mut |_| Err("no such folder".into()))
}

/// The configuration without its first line.
fn toml(text: &str) -> String {
    import(text).toml.split_once("\n\n").unwrap().1.to_owned()
}

fn remarks(text: &str) -> Vec<String> {
    import(text)
        .remarks
        .iter()
        .map(|it| format!("{}: {}: {:?}: {}", it.line, it.directive, it.fate, it.why))
        .collect()
}

/// Those of the manual page of 2.0.11, of its program, and those that 2.1 added.
#[test]
fn every_directive_is_known() {
    let mut count = 0;
    for name in include_str!("directives").split_whitespace() {
        assert!(directives::known(name), "{name}");
        count += 1;
    }
    assert!(count >= 138, "{count}");
    assert!(!directives::known("max_queued_mesages") && !directives::known(""));
}

/// No line is forgotten: it becomes something, or it is named.
#[test]
fn every_directive_becomes_something_or_is_named() {
    let persistent = import("listener 1883\npersistence true\npersistence_location /var/lib/mosquitto/\n");
    assert!(persistent.toml.contains("data = \"/var/lib/mosquitto/windlass\"\n"), "{}", persistent.toml);
    let before = "listener 1883\ncertfile /c\ncafile /ca\nrequire_certificate true\npersistence true\n";
    let without = import(before);
    // What says what holds anyway, or is about other lines.
    let anyway = ["allow_zero_length_clientid", "per_listener_settings", "set_tcp_nodelay", "protocol"];
    for name in include_str!("directives").split_whitespace().filter(|name| !anyway.contains(name)) {
        let is_told = ["true", "false", "7", "/a", "1884 /a", "2d", "file /log"].iter().any(|value| {
            let with = import(&format!("{before}{name} {value}\n"));
            with.remarks.iter().any(|it| it.line == 6) || with.toml != without.toml
        });
        assert!(is_told, "{name}");
    }
}

#[test]
fn a_plain_file() {
    let text = "# Place your local configuration in /etc/mosquitto/conf.d/\n\
                user mosquitto\n\
                \n\
                persistence false\r\n\
                log_dest file /var/log/mosquitto/mosquitto.log\n\
                listener 1883 10.0.0.1\n\
                listener 9001\n\
                protocol websockets\n\
                allow_anonymous false\n\
                password_file /etc/mosquitto/passwd\n\
                max_queued_messages 200\n\
                max_inflight_messages 0\n\
                max_keepalive 120\n\
                persistent_client_expiration 2w\n\
                retain_available false\n\
                max_packet_size 100\n\
                sys_interval 0\n";
    assert_eq!(
        toml(text),
        "[server]\nuser = \"mosquitto\"\n\n\
         [log]\npath = \"/var/log/mosquitto/mosquitto.log\"\n\n\
         [[hub]]\nlisten = [\"10.0.0.1:1883\", \":9001\"]\n\
         queue_max = 200\nreceive_max = 65535\nin_flight_max = 65535\nkeep_alive_max = \"120s\"\n\
         session_expiry_max = \"1209600s\"\nretain = false\npacket_max = 100\nsys_interval = \"0s\"\n\n\
         [hub.identity]\nanonymous = \"never\"\npassword_file = \"/etc/mosquitto/passwd\"\n"
    );
    assert_eq!(
        remarks(text),
        [
            "8: protocol: Changed: MQTT without WebSocket is spoken on this address too",
            "14: persistent_client_expiration: Changed: it is for clients of version 5 too",
        ]
    );
}

#[test]
fn an_empty_file_serves_this_machine() {
    assert_eq!(toml(""), "[[hub]]\nlisten = [\"127.0.0.1:1883\"]\n");
    assert_eq!(
        toml("port 1884\n"),
        "[[hub]]\nlisten = [\":1884\"]\n\n[hub.identity]\nanonymous = \"never\"\n"
    );
    assert!(toml("bind_address ::1\nallow_anonymous true\n").contains("listen = [\"[::1]:1883\"]"));
    assert!(toml("listener 0 /run/mqtt.sock\n").contains("listen = [\"unix:/run/mqtt.sock\"]"));
    assert!(toml("listener 1883 host name\n").contains("listen = [\"host name:1883\"]"));
}

#[test]
fn certificates() {
    let text = "listener 1883 localhost\nlistener 8883\ncafile /ca.pem\ncertfile /cert.pem\nkeyfile /key.pem\n\
                require_certificate true\nuse_identity_as_username true\nlistener 8884\ncertfile /other.pem\n";
    assert_eq!(
        toml(text),
        "[[hub]]\nlisten = [\":8883\"]\nlisten_plain = [\"localhost:1883\"]\n\n\
         [hub.tls]\ncert = \"/cert.pem\"\nkey = \"/key.pem\"\nclient_ca = \"/ca.pem\"\n\n\
         [hub.identity]\nanonymous = \"never\"\ncertificate = \"common-name\"\n"
    );
    assert_eq!(
        remarks(text),
        [
            "8: listener: Dropped: all addresses of a hub with TLS have one certificate and one authority: this one is left out"
        ]
    );
    assert_eq!(
        remarks("listener 1\ncertfile /c\nuse_subject_as_username true\nlistener 2\ncafile /x\n"),
        [
            "3: use_subject_as_username: Dropped: clients show no certificates on this listener",
            "5: cafile: Dropped: without `certfile` the listener does not speak TLS",
        ]
    );
    assert_eq!(
        remarks("listener 1\ncertfile /c\nrequire_certificate true\n"),
        ["3: require_certificate: Dropped: `cafile` is missing: clients are not asked for certificates"]
    );
}

#[test]
fn settings_of_listeners() {
    let text = "per_listener_settings true\nlistener 1883\npassword_file /a\nlistener 1884\npassword_file /b\nlistener 1885\n";
    assert!(toml(text).ends_with("[hub.identity]\nanonymous = \"never\"\npassword_file = \"/a\"\n"));
    let why = "a hub has one identity for all its addresses: that of the first listener";
    assert_eq!(
        remarks(text),
        [format!("5: password_file: Dropped: {why}"), format!("6: listener: Changed: {why}")]
    );
    let text = "listener 1883\nmax_qos 1\nmax_connections 9\nlistener 1884\nmax_qos 2\nmax_connections -1\n";
    assert!(toml(text).contains("\nqos_max = 1\n"));
    assert_eq!(remarks(text).len(), 3, "{:?}", remarks(text));
    assert!(toml("listener 1883\nmax_connections 9\n").starts_with("[limits]\nconnections_max = 9\n"));
}

#[test]
fn proxies_say_who_their_clients_are() {
    let text = "listener 1883\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n";
    assert!(toml(text).contains("listen = [\":1883\"]\nproxy_header = true\n"), "{}", toml(text));
    assert_eq!(
        remarks(text),
        [
            "2: enable_proxy_protocol: Changed: headers of both versions are taken",
            "3: proxy_protocol_v2_require_tls: Dropped: whether its client spoke TLS is for the proxy to say and to ask for",
        ]
    );
    let remarks = remarks("listener 1883\nlistener 1884\nenable_proxy_protocol 1\n");
    assert!(remarks.iter().any(|it| it.ends_with("Changed: it is for all addresses")), "{remarks:?}");
    assert!(remarks_are_mistakes("listener 1883\nenable_proxy_protocol 3\n"));
}

fn remarks_are_mistakes(text: &str) -> bool {
    import(text).remarks.iter().all(|it| it.fate == Fate::Mistake)
}

#[test]
fn who_is_anonymous_may_be_said_of_a_listener() {
    let text = "allow_anonymous false\nlistener 1883\nlistener_allow_anonymous true\nlistener 1884\n\
                listener_allow_anonymous false\n";
    assert!(toml(text).ends_with("[hub.identity]\nanonymous = \"everybody\"\n"), "{}", toml(text));
    let why = "a hub has one identity for all its addresses: that of the first listener";
    assert_eq!(remarks(text), [format!("5: listener_allow_anonymous: Dropped: {why}")]);
}

#[test]
fn bridges_and_plugins_are_named() {
    let text = "connection up\naddress example.org\ntopic # both\nremote_password secret\n\
                listener 1883\nplugin /x.so\nplugin_opt_y z\n";
    let lines: Vec<usize> = import(text).remarks.iter().map(|it| it.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 6, 7]);
    let imported = import(text);
    let shown = format!("{} {:?}", imported.toml, imported.remarks);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn mistakes_are_told_with_their_lines() {
    let text = "listener\nlistener 99999\nlistener 0\nallow_anonymous maybe\nmax_keepalive 70000\nfoo bar\n\
                persistent_client_expiration 2x\npassword_file\ninclude_dir /nowhere\nmax_qos 3\n";
    let imported = import(text);
    assert_eq!(imported.remarks.len(), 10);
    for (number, remark) in imported.remarks.iter().enumerate() {
        assert_eq!((remark.fate, remark.line), (Fate::Mistake, number + 1), "{remark:?}");
        assert!(text[remark.span.clone()].starts_with(&remark.directive), "{remark:?}");
    }
}

#[test]
fn folders_are_read_where_they_are_named() {
    let main =
        Source { name: "main".into(), text: "listener 1\ninclude_dir /d\nmax_queued_messages 3\n".into() };
    let imported = mosquitto(main, &mut |folder| {
        assert_eq!(folder, "/d");
        let file = |name: &str, text: &str| Source { name: name.into(), text: text.into() };
        Ok(vec![file("a.conf", "max_queued_messages 1\nnonsense\n"), file("b.conf", "listener 2\n")])
    });
    assert!(imported.toml.contains("listen = [\":1\", \":2\"]\nqueue_max = 3\n"), "{}", imported.toml);
    let names: Vec<&str> = imported.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["main", "a.conf", "b.conf"]);
    assert_eq!((imported.remarks[0].source, imported.remarks[0].line), (1, 2));
}

/// A folder that includes itself ends, and so does one with many files.
#[test]
fn inclusion_is_bounded() {
    let file = |name: &str| Source { name: name.into(), text: "include_dir /d\n".into() };
    let imported = mosquitto(file("main"), &mut |_| Ok(vec![file("again")]));
    assert!(imported.sources.len() <= FILES_MAX && imported.remarks[0].fate == Fate::Mistake);
    let imported = mosquitto(file("main"), &mut |_| Ok(vec![file("again"), file("and again")]));
    assert_eq!(imported.sources.len(), FILES_MAX);
}

#[test]
fn texts_are_quoted() {
    let toml = toml("password_file /a\"b\\c\u{1}\u{7f}\nclientid_prefixes a b\n");
    assert!(toml.contains(r#"password_file = "/a\"b\\c\U00000001\U0000007F""#), "{toml}");
    assert!(toml.contains("client_id_prefixes = [\"a b\"]"));
}
