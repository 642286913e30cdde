//! Which route takes a request.

use super::*;

fn hosts(names: &[&str]) -> HttpRoute {
    HttpRoute { hosts: names.iter().map(|name| (*name).into()).collect(), ..HttpRoute::default() }
}

fn paths(names: &[&str], paths: &[&str]) -> HttpRoute {
    HttpRoute { paths: paths.iter().map(|path| (*path).into()).collect(), ..hosts(names) }
}

#[test]
fn the_most_exact_host_is_first_and_then_the_longest_path() {
    let config = config(HttpConfig::default())
        .route(route("any", hosts(&["*"])))
        .route(route("below", hosts(&["*.example.com"])))
        .route(route("deeper", hosts(&["*.b.example.com"])))
        .route(route("exact", hosts(&["www.example.com"])))
        .route(route("exact-api", paths(&["www.example.com"], &["/api"])))
        .route(route("exact-health", paths(&["www.example.com"], &["=/api/health"])))
        .route(route("all-static", paths(&[], &["/static"])));
    let policy = plan(config).policy;
    let at =
        |host: &str, path: &str| decided(&policy, &format!("GET {path} HTTP/1.1\nHost: {host}")).unwrap();
    assert_eq!(at("www.example.com", "/"), 4);
    assert_eq!(at("www.example.com", "/api/x"), 5);
    assert_eq!(at("www.example.com", "/api/health"), 6);
    assert_eq!(at("www.example.com", "/api/health/x"), 5);
    assert_eq!(at("x.example.com", "/api"), 2);
    assert_eq!(at("x.y.example.com", "/"), 2);
    assert_eq!(at("a.b.example.com", "/"), 3);
    assert_eq!(at("other.test", "/static"), 1);
    // Without a name there is only what asks for none.
    assert_eq!(at("", "/static/x"), 7);
    assert_eq!(at("", "/x"), 0);
    assert_eq!(decided(&policy, "GET /static HTTP/1.0"), Ok(7));
}

#[test]
fn neither_case_nor_port_nor_the_last_dot_of_a_host_counts() {
    let policy = plan(config(HttpConfig::default()).route(route("a", hosts(&["WWW.Example.com."])))).policy;
    for host in [
        "www.example.com",
        "WWW.EXAMPLE.COM:8080",
        "www.example.com.",
        "www.example.com.:80",
        "Www.Example.Com:",
    ] {
        assert_eq!(decided(&policy, &format!("GET / HTTP/1.1\nHost: {host}")), Ok(1), "{host}");
    }
}

// Anchored at both ends: a pattern of the kind that `.` matches anything in would take these.
#[test]
fn no_host_passes_for_another() {
    let config = config(HttpConfig::default())
        .route(route("a", hosts(&["api.example.com", "*.example.org", "[::1]"])));
    let policy = plan(config).policy;
    for host in [
        "xapi.example.com",
        "api.example.com.evil.test",
        "apiXexample.com",
        "evil.test:api.example.com",
        "example.org",
        "xexample.org",
        "a.example.org.evil.test",
        ".example.com",
        "api.example.comx",
        "::1",
    ] {
        let asked = format!("GET / HTTP/1.1\nHost: {host}");
        let mut bytes = asked.replace('\n', "\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut input = Input::new(&mut bytes);
        // Some of them are no hosts at all.
        if RequestHeads::default().decode(&mut input).is_ok() {
            assert_eq!(decided(&policy, &asked), Ok(0), "{host}");
        }
    }
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: [::1]:8080"), Ok(1));
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: a.example.org"), Ok(1));
}

#[test]
fn the_first_of_equal_routes_takes_a_request() {
    let config = config(HttpConfig::default())
        .route(route("one", paths(&["a.test"], &["/x"])))
        .route(route("two", paths(&["a.test"], &["/x"])));
    assert_eq!(decided(&plan(config).policy, "GET /x HTTP/1.1\nHost: a.test"), Ok(1));
}

#[test]
fn what_nobody_takes_is_not_found() {
    let config = ProxyConfig::default().route(route("a", hosts(&["a.test"])));
    let policy = plan(config).policy;
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: b.test"), Err(404));
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: a.test"), Ok(1));
}

#[test]
fn routes_by_server_name_take_no_requests() {
    let config = config(HttpConfig::default()).route(Route::server_name("a.test").backend(backend(2)));
    assert_eq!(decided(&plan(config).policy, "GET / HTTP/1.1\nHost: a.test"), Ok(0));
}

#[test]
fn a_host_longer_than_any_name_belongs_to_nobody() {
    let policy = plan(config(HttpConfig::default()).route(route("any", hosts(&["*"])))).policy;
    let host = ["a".repeat(60).as_str(); 5].join(".");
    assert_eq!(decided(&policy, &format!("GET / HTTP/1.1\nHost: {host}")), Ok(0));
}

#[test]
fn methods_that_are_not_let_through_are_told_which_are() {
    let read_only = HttpRoute { methods: vec!["GET".into(), "HEAD".into()], ..hosts(&["r.test"]) };
    let policy = plan(config(HttpConfig::default()).route(route("r", read_only))).policy;
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: r.test"), Ok(1));
    let (status, lines, _) = answered(&policy, &stranger(), "POST / HTTP/1.1\nHost: r.test");
    assert_eq!((status, values(&lines, "allow")), (405, vec!["GET, HEAD".into()]));
    // A method is a token, and case is part of it.
    assert_eq!(decided(&policy, "get / HTTP/1.1\nHost: r.test"), Err(405));
    assert_eq!(decided(&policy, "PURGE / HTTP/1.1\nHost: x.test"), Ok(0));
    assert_eq!(decided(&policy, "TRACE / HTTP/1.1\nHost: x.test"), Err(501));
    assert_eq!(decided(&policy, "CONNECT x.test:443 HTTP/1.1\nHost: x.test:443"), Err(501));
    let tracing = HttpConfig { methods: vec!["GET".into(), "TRACE".into()], ..HttpConfig::default() };
    let policy = plan(config(tracing)).policy;
    assert_eq!(decided(&policy, "TRACE / HTTP/1.1\nHost: x.test"), Ok(0));
    assert_eq!(decided(&policy, "CONNECT x.test:443 HTTP/1.1\nHost: x.test:443"), Err(501));
    for method in ["get", "G T", "CONNECT", ""] {
        why_not(config(HttpConfig { methods: vec![method.into()], ..HttpConfig::default() }));
    }
}

#[test]
fn a_route_is_called_by_its_host_and_path() {
    let config = config(HttpConfig::default())
        .route(Route { http: paths(&["a.test"], &["/x"]), ..Route::default() }.backend(backend(2)))
        .route(Route { http: paths(&["a.test"], &["/y"]), ..Route::default() }.backend(backend(2)));
    let names: Vec<String> = plan(config).groups.into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["backends", "a.test/x", "a.test/y"]);
}

#[test]
fn hosts_that_are_none_are_refused() {
    for name in ["a.test:80", "a..test", "*", "*.*.test", "a b", "-.test.", "*a.test", "[::g]", ""] {
        let config = config(HttpConfig::default()).route(route("r", hosts(&[name])));
        // Any name at all, and names of one sign, are fine.
        if !matches!(name, "*" | "-.test.") {
            assert!(why_not(config).starts_with("route `r`: "), "{name}");
        }
    }
}
