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
