//! Paths: what two readers could read in two ways, and prefixes.

use super::super::path::{Normal, Pattern, behind, check, is_misleading};
use super::*;

fn normal(path: &str) -> String {
    String::from_utf8(Normal::new(path.as_bytes()).collect()).unwrap()
}

#[test]
fn a_path_is_compared_as_applications_understand_it() {
    for (written, meant) in [
        ("/a/b", "/a/b"),
        ("//a///b//", "/a/b/"),
        ("/%61dm%69n", "/admin"),
        ("/%7euser", "/~user"),
        ("/a;jsessionid=1/b;x", "/a/b"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%zz%", "/a%zz%"),
        ("/%2Fa", "/%2Fa"),
        ("/a/%2f/", "/a/%2F/"),
        ("/;x/a", "/a"),
        ("", ""),
    ] {
        assert_eq!(normal(written), meant, "{written}");
    }
}

#[test]
fn a_prefix_ends_at_a_slash_and_an_exact_path_at_its_end() {
    let fits = |pattern: &str, path: &str| Pattern::parse(pattern).unwrap().rank(path.as_bytes()).is_some();
    for pattern in ["/api", "/api/"] {
        assert!(
            ["/api", "/api/", "/api/x", "//api//x", "/api;v=1/x", "/%61pi"]
                .iter()
                .all(|it| fits(pattern, it))
        );
        assert!(["/", "/apis", "/ap", "/API", "/x/api", "/api%2fx"].iter().all(|it| !fits(pattern, it)));
    }
    assert!(fits("/", "/anything") && fits("/", "/"));
    assert!(fits("=/api", "/api") && fits("=/", "/"));
    assert!(!fits("=/api", "/api/") && !fits("=/", "/x"));
}

#[test]
fn the_longest_path_is_the_best_and_an_exact_one_before_all() {
    let rank = |pattern: &str| Pattern::parse(pattern).unwrap().rank(b"/a/b").unwrap();
    assert!(rank("/") < rank("/a") && rank("/a") < rank("/a/b") && rank("/a/b/") < rank("=/a/b"));
}

#[test]
fn whatever_resolves_to_another_path_is_found_out() {
    for path in [
        "/..",
        "/.",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/%2e/b",
        "/a/..;x/b",
        "/a/..;",
        "/a/..%2fb",
        "/a%2f..%2fb",
        "/a%2F%2e%2e",
        "/a\\..\\b",
        "/a%5c..%5Cb",
        "/a/..%5cb",
        "/a%00b",
        "/%00",
        "/a/..%3bx/b",
    ] {
        assert!(is_misleading(path), "{path}");
    }
    for path in [
        "/",
        "",
        "/a/.../b",
        "/.well-known/x",
        "/a.b/..c/d..",
        "/a;../b",
        "/a%2fb",
        "/a%5cb",
        "/%zz",
        "/a/%2e%2ex",
    ] {
        assert!(!is_misleading(path), "{path}");
    }
}

#[test]
fn a_route_by_path_is_not_gone_around() {
    let guarded = route("admin", HttpRoute { paths: vec!["/admin".into()], ..HttpRoute::default() });
    let policy = plan(config(HttpConfig::default()).route(guarded)).policy;
    let at = |path: &str| decided(&policy, &format!("GET {path} HTTP/1.1\nHost: a"));
    for path in [
        "/admin",
        "/admin/x",
        "//admin",
        "/%61dmin",
        "/admin;x",
        "/admin/..;/x",
        "/;/admin",
        "http://a/admin",
    ] {
        assert_ne!(at(path), Ok(0), "{path}");
    }
    assert_eq!(at("/public/../admin"), Err(400));
    assert_eq!(at("/public/%2e%2e/admin"), Err(400));
    assert_eq!(at("/administration"), Ok(0));

    let lenient = HttpConfig { refuse_dot_segments: false, ..HttpConfig::default() };
    assert_eq!(decided(&plan(config(lenient)).policy, "GET /a/../b HTTP/1.1\nHost: a"), Ok(0));
}

#[test]
fn what_is_left_of_a_path_begins_with_one_slash() {
    for (path, prefix, left) in [
        ("/api/v1", "/api", Some("/v1")),
        ("/api", "/api", Some("/")),
        ("/api/", "/api", Some("/")),
        ("/api//evil.test/", "/api", Some("/evil.test/")),
        ("/%61pi/%61", "/api", Some("/%61")),
        ("//api/x", "/api", Some("/x")),
        ("/api;v=1/x", "/api", Some("/x")),
        ("/api;v=1", "/api", Some("/")),
        ("/apis", "/api", None),
        ("/x", "/api", None),
        ("/x//y", "", Some("/x//y")),
    ] {
        assert_eq!(behind(path, prefix), left, "{path}");
    }
}

#[test]
fn a_prefix_is_taken_off_and_another_put_before_and_nothing_else_changes() {
    let http = HttpRoute {
        paths: vec!["/api".into()],
        strip_prefix: "/api/".into(),
        add_prefix: "/v2/".into(),
        ..HttpRoute::default()
    };
    let plan = plan(config(HttpConfig::default()).route(route("api", http)));
    let target = |target: &str| {
        asked(&format!("GET {target} HTTP/1.1\nHost: a"), |head| {
            let forward = forward(&plan.policy, head, &stranger());
            plan.policy.target(&forward, head, &mut String::new()).to_owned()
        })
    };
    assert_eq!(target("/api/a%2Fb//c?q=/api"), "/v2/a%2Fb//c?q=/api");
    assert_eq!(target("/api?"), "/v2/?");
    assert_eq!(target("/other/%7e//x"), "/other/%7e//x");
    assert_eq!(target("http://a/api/x"), "/v2/x");
}

#[test]
fn the_target_of_options_for_all_passes_as_it_is() {
    let plan = plan(config(HttpConfig::default()));
    asked("OPTIONS * HTTP/1.1\nHost: a", |head| {
        let forward = forward(&plan.policy, head, &stranger());
        assert_eq!(plan.policy.target(&forward, head, &mut String::new()), "*");
    });
}

#[test]
fn a_pattern_that_no_request_has_is_refused() {
    for path in ["api", "/a/../b", "/a?b", "/a#", "/ü", "/a b", "/a;b", "=", ""] {
        assert!(Pattern::parse(path).is_err(), "{path}");
    }
    assert!(check("/a%20b").is_ok());
}
