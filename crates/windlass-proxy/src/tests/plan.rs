//! What a configuration comes to: what is refused, what a change keeps, which route takes a client.

use std::sync::Arc;
use std::time::Duration;

use windlass_proto::{ClientHello, Input};

use super::config;
use crate::plan::Plan;
use crate::{Backend, ConfigError, ProxyConfig, Route, Target};

fn plan(config: ProxyConfig) -> Result<Plan, ConfigError> {
    Plan::new(config, None, &mut 0)
}

fn backend(address: &str) -> Backend {
    Backend::at(address.parse().unwrap())
}

#[test]
fn what_cannot_work_is_refused() {
    let twice = ConfigError::Twice { backend: "10.0.0.1:80".into() };
    assert_eq!(plan(config(&["10.0.0.1:80", "10.0.0.1:80"])).unwrap_err(), twice);
    assert!(matches!(plan(config(&[])), Err(ConfigError::NoBackends { .. })));
    let heavy = ProxyConfig::default().backend(backend("10.0.0.1:80").weight(65_536));
    assert!(matches!(plan(heavy), Err(ConfigError::Weight { .. })));
    let mut zero = config(&["10.0.0.1:80"]);
    zero.timeouts.connect = Duration::ZERO;
    assert_eq!(plan(zero).unwrap_err(), ConfigError::Zero { setting: "timeouts.connect" });
    for name in ["", "*.", "a..b", "*a.b", "a.*", "with space", "**"] {
        let route = Route::server_name(name).backend(backend("10.0.0.1:80"));
        let refused = plan(ProxyConfig::default().route(route));
        assert!(matches!(refused, Err(ConfigError::ServerName { .. })), "{name}: {refused:?}");
    }
    let same = |name: &str| Route::server_name(name).backend(backend("10.0.0.1:80"));
    let refused = plan(ProxyConfig::default().route(same("a.test")).route(same("A.test.")));
    assert_eq!(refused.unwrap_err(), ConfigError::Route { name: "a.test".into() });
}

#[test]
fn percents_that_cannot_be_meant_are_refused() {
    let refused = |set: fn(&mut ProxyConfig)| {
        let mut config = config(&["10.0.0.1:80", "10.0.0.2:80"]);
        set(&mut config);
        match plan(config) {
            Err(ConfigError::Range { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    };
    // Below its share nobody has room once each has a connection: clients would wait beside idle backends.
    assert_eq!(refused(|config| config.load_factor_percent = 1), "load_factor_percent");
    assert_eq!(refused(|config| config.load_factor_percent = 99), "load_factor_percent");
    // More than all can never be well: the checks would go on and count for nothing.
    assert_eq!(refused(|config| config.health.fail_open_percent = 101), "fail_open_percent");
    assert_eq!(refused(|config| config.health.ejected_max_percent = 101), "ejected_max_percent");
    for within in [0, 100, 125] {
        let mut config = config(&["10.0.0.1:80"]);
        config.load_factor_percent = within;
        assert!(plan(config).is_ok(), "{within}");
    }
}

/// A ClientHello as its look sees it: made of bytes, since nobody else can make one.
fn hello(name: Option<&str>, alpn: &[&str]) -> ClientHello {
    let with_len = |width: usize, body: &[u8]| {
        let len = (body.len() as u32).to_be_bytes();
        [&len[4 - width..], body].concat()
    };
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &with_len(2, body)].concat();
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let entry = [&[0][..], &with_len(2, name.as_bytes())].concat();
        extensions.extend(extension(0, &with_len(2, &entry)));
    }
    if !alpn.is_empty() {
        let list: Vec<u8> = alpn.iter().flat_map(|name| with_len(1, name.as_bytes())).collect();
        extensions.extend(extension(16, &with_len(2, &list)));
    }
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &with_len(2, &extensions)].concat();
    let message = [&[1][..], &with_len(3, &body)].concat();
    let mut record = [&[22, 3, 1][..], &with_len(2, &message)].concat();
    ClientHello::peek(&mut Input::new(&mut record), 4096).unwrap().unwrap()
}

#[test]
fn the_most_exact_route_takes_a_client() {
    let to = |route: Route| route.backend(backend("10.0.0.1:80"));
    let mut many = ProxyConfig::default()
        .route(to(Route::server_name("*.example.test")))
        .route(to(Route::server_name("www.example.test")))
        .route(to(Route { alpn: vec!["h2".into()], ..Route::server_name("*.example.test") }))
        .route(to(Route::server_name("*.a.example.test")))
        .route(to(Route::alpn("acme-tls/1")));
    many.routes[2].name = "h2".into();
    let plan = plan(many.clone()).unwrap();
    let name = |name: Option<&str>, alpn: &[&str]| {
        plan.route(&hello(name, alpn)).map(|group| plan.groups[group].name.clone()).unwrap_or_default()
    };
    assert_eq!(name(Some("WWW.example.test"), &["h2"]), "www.example.test", "the name first");
    assert_eq!(name(Some("other.example.test"), &[]), "*.example.test");
    assert_eq!(name(Some("other.example.test"), &["http/1.1", "h2"]), "h2");
    assert_eq!(name(Some("deep.a.example.test"), &["h2"]), "*.a.example.test", "the longer suffix");
    assert_eq!(name(Some("example.test"), &[]), "", "below it, not itself");
    assert_eq!(name(Some("badexample.test"), &[]), "");
    assert_eq!(name(Some("www.example.test.evil.test"), &[]), "", "an end, not a part");
    assert_eq!(name(None, &["acme-tls/1"]), "acme-tls/1");
    assert_eq!(name(Some("unknown.test"), &["acme-tls/1"]), "acme-tls/1");
    assert_eq!(name(None, &[]), "", "nobody else's");
    let with_others = Plan::new(many.backend(backend("10.0.0.9:80")), None, &mut 0).unwrap();
    assert_eq!(with_others.route(&hello(None, &[])), Some(0));
}

#[test]
fn a_change_keeps_the_counts_of_what_stays_and_of_nothing_else() {
    let mut next = 0;
    let before = Plan::new(config(&["10.0.0.1:80", "10.0.0.2:80"]), None, &mut next).unwrap();
    let mut config = config(&["10.0.0.3:80", "10.0.0.2:80"]);
    config.backends[1].weight = 7;
    let after = Plan::new(config, Some(&before), &mut next).unwrap();
    let counts = |plan: &Plan, n: usize| plan.groups[0].upstreams[n].counts.clone();
    assert!(Arc::ptr_eq(&counts(&before, 1), &counts(&after, 1)));
    assert_eq!(after.groups[0].upstreams[1].config.weight, 7);
    assert_eq!(counts(&after, 0).id, 3, "a number that nobody had");
    assert_eq!((before.version, after.version), (1, 2));
}

#[test]
fn targets_as_people_write_them() {
    let target = |text: &str| text.parse::<Target>();
    assert_eq!(target("[::1]:80"), Ok(Target::Address("[::1]:80".parse().unwrap())));
    assert_eq!(target("App.Test:80"), Ok(Target::Name { host: "app.test".into(), port: 80 }));
    assert_eq!(target("unix:/x"), Ok(Target::Unix("/x".into())));
    for bad in ["10.0.0.1", "app.test", "app.test:x", "app.test:0", ":80", "udp:10.0.0.1:80", "unix:", ""] {
        assert!(target(bad).is_err(), "{bad}");
    }
}
