//! What is right by itself and does not go together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use windlass::Address;

use crate::access::Kind;
use crate::built::{self, Asked};
#[cfg(feature = "proxy")]
use crate::proxy::Files;
#[cfg(feature = "proxy")]
use windlass_proxy::ConfigError;

use super::problem::{Place, Problem};
#[cfg(feature = "proxy")]
use super::proxy::{ModeName, ProxyTable};
use super::shape::{File, LogFormat};
use super::tree::Places;
#[cfg(feature = "proxy")]
use super::value::Time;

/// Names that the server has for services of its own.
const RESERVED: [(&str, &str); 2] = [("admin", "the admin listener"), ("kv", "the store of several tables")];

/// Adds what is wrong with `file` to `problems`.
pub(crate) fn find(file: &File, places: &Places, problems: &mut Vec<Problem>) {
    let place = |path: &str| places.get(path).cloned();
    let services = super::services(file);
    if services.is_empty() && problems.is_empty() {
        problems.push(
            Problem::without_place("the configuration serves nothing")
                .help("`windlass help init` tells how to begin"),
        );
    }
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut addresses = Listens::new();
    for service in &services {
        // What is there and was refused is another problem.
        let refused = |problem: &Problem| problem.what.starts_with(&format!("`{}.listen`", service.path));
        if service.listen.is_empty()
            && place(&format!("{}.listen[0]", service.path)).is_none()
            && !problems.iter().any(refused)
        {
            push(problems, place(&service.path), format!("`{}` listens nowhere", service.path), |problem| {
                problem.help("give it an address, for example `listen = \"127.0.0.1:9000\"`")
            });
        }
        if let Some((_, what)) = RESERVED.iter().find(|(name, _)| *name == service.name) {
            let here = place(&format!("{}.name", service.path)).or_else(|| place(&service.path));
            push(problems, here, format!("`{}` is the name of {what}", service.name), |problem| {
                problem.help("give it another `name`")
            });
        }
        if let Some(first) = names.insert(service.name, service.path.clone()) {
            let here = place(&format!("{}.name", service.path)).or_else(|| place(&service.path));
            push(problems, here, format!("two services are called `{}`", service.name), |problem| {
                let problem = match place(&format!("{first}.name")).or_else(|| place(&first)) {
                    Some(first) => problem.other(first, "the first"),
                    None => problem,
                };
                problem.help("give each a `name` of its own: logs and metrics tell them apart by it")
            });
        }
        for (at, address) in service.listen.iter().enumerate() {
            listens_at(service.place_of(at), address, &mut addresses, places, problems);
        }
    }
    for (here, ports) in super::udp_ports(file) {
        match ports {
            Ok(ports) => {
                ports.iter().for_each(|port| listens_at(here.clone(), port, &mut addresses, places, problems))
            }
            Err(few) => push(problems, place(&here), few, |problem| problem),
        }
    }
    let logs = services.iter().map(|service| (service.path.as_str(), service.access_log, service.lines));
    for (path, log, kind) in logs.chain([("admin", file.admin.access_log.as_ref(), Kind::Requests)]) {
        if let Some(Err(why)) = log.and_then(|log| log.format.as_ref()).map(|format| format.0.check(kind)) {
            let path = format!("{path}.access_log.format");
            push(problems, place(&path), format!("`{path}`: {why}"), |problem| problem);
        }
    }
    for (path, place) in places {
        // Nothing listens in plain text that was meant not to.
        let key = path.rsplit('.').next().unwrap_or(path);
        if let Some(why) = built::without(Asked::Key, key) {
            problems.push(Problem::at(place.clone(), why, ""));
        }
    }
    if file.log.path.is_some() && file.log.format == LogFormat::Journald {
        push(problems, place("log.path"), "the journal is in no file of ours".into(), |problem| {
            problem.help("take out `path`, or set `format` to \"json\" or \"text\"")
        });
    }
    #[cfg(feature = "proxy")]
    let datagrams = file.proxy.iter().enumerate().filter(|(_, table)| table.mode == ModeName::Udp);
    #[cfg(feature = "proxy")]
    let datagrams: Vec<String> = datagrams.map(|(at, _)| format!("proxy[{at}]")).collect();
    #[cfg(not(feature = "proxy"))]
    let datagrams: Vec<String> = Vec::new();
    let streams = services
        .iter()
        .filter(|service| !service.path.starts_with("echo[") && !datagrams.contains(&service.path));
    let streams = streams.map(|service| (service.path.as_str(), service.listen.clone()));
    let admin_listen: Vec<&Address> = file.admin.listen.iter().map(|listen| &listen.0).collect();
    for (path, listen) in streams.chain([("admin", admin_listen)]) {
        for (at, address) in listen.iter().enumerate().filter(|(_, it)| matches!(it, Address::Udp(_))) {
            let here = place(&format!("{path}.listen[{at}]"));
            push(
                problems,
                here,
                format!("`{address}`: there are no datagrams in what `{path}` speaks"),
                |p| p,
            );
        }
    }
    let admin: Vec<&Address> = file.admin.listen.iter().map(|listen| &listen.0).collect();
    for (at, address) in admin.iter().enumerate() {
        listens_at(format!("admin.listen[{at}]"), address, &mut addresses, places, problems);
        if !is_local(address) && file.admin.token.as_ref().is_none_or(|token| token.0.is_empty()) {
            let path = format!("admin.listen[{at}]");
            push(problems, place(&path), format!("`{address}` can be reached by others"), |problem| {
                problem.help("listen on 127.0.0.1 or on unix:PATH, or set `admin.token`")
            });
        }
    }
    if file.admin.token.as_ref().is_some_and(|token| token.0.is_empty()) {
        push(problems, place("admin.token"), "`admin.token` is empty".into(), |problem| {
            problem.help("take the key out, if nobody shall need one")
        });
    }
    let is_lost = |token: &str| token.trim() != token || token.chars().any(char::is_control);
    if file.admin.token.as_ref().is_some_and(|token| !token.0.is_empty() && is_lost(&token.0)) {
        let what =
            "`admin.token` has spaces around it, or line breaks or the like in it: no request can show it";
        push(problems, place("admin.token"), what.into(), |problem| problem);
    }
    #[cfg(feature = "kv")]
    for service in services.iter().filter(|service| service.path.starts_with("memcached")) {
        if file.resp.iter().any(|resp| resp.password_file.is_some())
            && service.listen.iter().any(|address| !is_local(address))
        {
            let what = "`password_file` keeps nobody out who speaks memcached: it is the same store".into();
            push(problems, place(&service.path), what, |problem| {
                problem.help("listen on 127.0.0.1 or on unix:PATH, or serve it from a process of its own")
            });
        }
    }
    #[cfg(feature = "kv")]
    if file.server.control.is_some() && !(file.resp.is_empty() && file.memcached.is_empty()) {
        let what = "a key-value store cannot be handed over: `server.control` has no place beside it".into();
        push(problems, place("server.control"), what, |problem| {
            problem.help("serve it from a file, and so a process, of its own")
        });
    }
    #[cfg(feature = "hub")]
    if file.server.control.is_some() && file.hub.iter().any(|hub| hub.data.is_none()) {
        let what = "the sessions of a hub without `data` cannot be handed over: `server.control` has no place beside it";
        push(problems, place("server.control"), what.into(), |problem| {
            problem.help("set `data` to a folder, or serve it from a file, and so a process, of its own")
        });
    }
    #[cfg(feature = "hub")]
    for (at, table) in file.hub.iter().enumerate() {
        for (key, why) in table.problems() {
            let path = format!("hub[{at}].{key}");
            push(problems, place(&path), format!("`{path}` must be {why}"), |problem| problem);
        }
    }
    #[cfg(feature = "hub")]
    rules(file, places, problems);
    #[cfg(feature = "realtime")]
    for (at, table) in file.game.iter().enumerate() {
        for (key, why) in table.problems() {
            let path = format!("game[{at}].{key}");
            push(problems, place(&path), format!("`{path}` must be {why}"), |problem| problem);
        }
    }
    #[cfg(feature = "proxy")]
    proxies(file, places, problems);
    for (path, wrong, range) in [
        ("server.workers", file.server.workers.0 > super::WORKERS_MAX, "at most 1,024"),
        ("server.scratch", !(4 << 10..=16 << 20).contains(&file.server.scratch.0), "from 4KiB to 16MiB"),
        #[cfg(feature = "kv")]
        ("store.value_max", !(1..=512 << 20).contains(&file.store.value_max.0), "from 1 to 512MiB"),
    ] {
        if wrong {
            push(problems, place(path), format!("`{path}` must be {range}"), |problem| problem);
        }
    }
    if let Err(why) = file.limits.limits().check() {
        // It names the keys it is about.
        let key = windlass::Limits::NAMES.iter().map(|(name, _)| *name).filter(|name| why.contains(name));
        let here = key.filter_map(|name| place(&format!("limits.{name}"))).next();
        push(problems, here.or_else(|| place("limits")), why, |problem| problem);
    }
}

/// What does not go together in proxies; what else their configuration refuses stands at the table.
#[cfg(feature = "proxy")]
fn proxies(file: &File, places: &Places, problems: &mut Vec<Problem>) {
    for (at, table) in file.proxy.iter().enumerate() {
        let path = format!("proxy[{at}]");
        let place = |key: &str| places.get(&format!("{path}.{key}")).or(places.get(&path)).cloned();
        // What is there and was refused is another problem.
        let was_refused = ["to[0]", "backend[0]", "route[0]"]
            .iter()
            .any(|key| places.contains_key(&format!("{path}.{key}")));
        if !table.has_backends() && !was_refused {
            push(problems, place(""), format!("`{path}` has nowhere to pass connections on to"), |problem| {
                problem.help("give it a backend, for example `to = \"10.0.0.1:80\"`")
            });
            continue;
        }
        if table.mode != ModeName::Http && table.tls.is_some() && !table.route.is_empty() {
            let what = format!("`{path}`: TLS that ends here has no ClientHello left to route by");
            push(problems, place("route[0]"), what, |problem| {
                problem.help("take `tls` out to pass TLS through, or `route` out to end it here")
            });
        }
        match table.mode {
            ModeName::Http => of_http(table, &place, problems),
            _ => not_of_http(table, &place, problems),
        }
        match table.mode {
            ModeName::Udp => of_udp(table, &place, problems),
            _ => not_of_udp(table, &place, problems),
        }
        // Files are a matter of this machine; everything else is in this one.
        let mut plain = table.clone();
        plain.backend_tls = None;
        let routed = plain.route.iter_mut().flat_map(|route| &mut route.backend);
        plain.backend.iter_mut().chain(routed).for_each(|backend| backend.tls = None);
        if !table.has_backends() {
            continue;
        }
        let config = match crate::proxy::config(&plain, Files::Leave) {
            Ok(config) => config,
            Err(error) => {
                push(problems, place(""), format!("`{path}`: {error:#}"), |problem| problem);
                continue;
            }
        };
        // What is only for connections has been found already.
        if table.mode == ModeName::Udp
            && let Err(error @ ConfigError::Zero { .. }) = config.check_udp()
        {
            let key = match &error {
                ConfigError::Zero { setting: "udp.idle" } => "udp.idle_timeout",
                ConfigError::Zero { setting: "udp.drain_idle" } => "udp.drain_idle_timeout",
                _ => "udp.flows_max",
            };
            push(problems, place(key), format!("`{path}`: `{key}` must not be 0"), |problem| problem);
        }
        if let Err(error) = windlass_proxy::Front::new(config) {
            let key = match &error {
                ConfigError::HttpRoute { route, .. } => format!("route[{route}]"),
                ConfigError::Http { setting: "request", .. } => "http.request_headers".into(),
                ConfigError::Http { setting: "response", .. } => "http.response_headers".into(),
                ConfigError::Http { setting: "pages", .. } => "http.error_page[0]".into(),
                ConfigError::Http { setting, .. } => format!("http.{setting}"),
                ConfigError::Check { .. } if table.check_exchange.is_some() => "check_exchange".into(),
                ConfigError::Check { .. } => "check_http".into(),
                ConfigError::Range { setting, .. } => setting.replace("retry_budget.", "retry_budget_"),
                ConfigError::Zero { setting } => of_time(setting).into(),
                ConfigError::Life => "dns_ttl_max".into(),
                _ => String::new(),
            };
            let what = match &error {
                ConfigError::Zero { .. } => format!("`{path}`: `{key}` must not be 0"),
                _ => format!("`{path}`: {error}"),
            };
            push(problems, place(&key), what, |problem| problem);
        }
    }
}

/// The key of a time in the file, by what the library calls it.
#[cfg(feature = "proxy")]
fn of_time(setting: &str) -> &str {
    match setting {
        "timeouts.connect" => "connect_timeout",
        "health.check_timeout" => "check_timeout",
        "discovery.file_every" => "file_every",
        "discovery.dns_timeout" => "dns_timeout",
        "discovery.ttl_min" => "dns_ttl_min",
        same => same,
    }
}

/// What only requests have, where there are none.
#[cfg(feature = "proxy")]
fn not_of_http(table: &ProxyTable, place: &dyn Fn(&str) -> Option<Place>, problems: &mut Vec<Problem>) {
    let mut keys: Vec<(String, bool)> = vec![("http".into(), table.http.is_some())];
    for (n, route) in table.route.iter().enumerate() {
        let of_requests = [
            ("hosts", !route.hosts.is_empty()),
            ("paths", !route.paths.is_empty()),
            ("methods", !route.methods.is_empty()),
            ("redirect", route.redirect.is_some()),
            ("redirect_status", route.redirect_status.is_some()),
            ("respond", route.respond.is_some()),
            ("strip_prefix", route.strip_prefix.is_some()),
            ("add_prefix", route.add_prefix.is_some()),
            ("host_header", route.host_header.is_some()),
            ("request_headers", !route.request_headers.is_empty()),
            ("response_headers", !route.response_headers.is_empty()),
        ];
        keys.extend(of_requests.map(|(key, is_set)| (format!("route[{n}].{key}"), is_set)));
    }
    for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
        push(
            problems,
            place(&key),
            format!("`{key}` is about requests, and connections pass as they are"),
            |it| it.help("set `mode = \"http\"` to pass requests on, or take it out"),
        );
    }
}

/// What connections have, where there are none.
#[cfg(feature = "proxy")]
fn of_udp(table: &ProxyTable, place: &dyn Fn(&str) -> Option<Place>, problems: &mut Vec<Problem>) {
    use super::proxy::ProxyVersion;
    use windlass_proxy::Target;
    let is_v1 = |version: Option<ProxyVersion>| version == Some(ProxyVersion::V1);
    let mut keys = vec![
        ("tls".to_owned(), table.tls.is_some()),
        ("backend_tls".to_owned(), table.backend_tls.is_some()),
        ("accept_proxy_from".to_owned(), !table.accept_proxy_from.is_empty()),
        ("route[0]".to_owned(), !table.route.is_empty()),
    ];
    // What is printed of a configuration has each of them, as it is by default.
    let usual = ProxyTable::default();
    type Of = fn(&ProxyTable) -> Time;
    let times: [(&str, Of); 8] = [
        ("connect_timeout", |it| it.connect_timeout),
        ("greeting_timeout", |it| it.greeting_timeout),
        ("queue_timeout", |it| it.queue_timeout),
        ("client_timeout", |it| it.client_timeout),
        ("server_timeout", |it| it.server_timeout),
        ("tunnel_timeout", |it| it.tunnel_timeout),
        ("client_fin_timeout", |it| it.client_fin_timeout),
        ("server_fin_timeout", |it| it.server_fin_timeout),
    ];
    keys.extend(times.map(|(key, of)| (key.to_owned(), of(table) != of(&usual))));
    for (n, address) in table.listen.iter().enumerate() {
        keys.push((format!("listen[{n}]"), matches!(address.0, Address::Unix(_))));
    }
    for (n, backend) in table.to.iter().enumerate() {
        keys.push((format!("to[{n}]"), matches!(backend.0, Target::Unix(_))));
    }
    for (n, backend) in table.backend.iter().enumerate() {
        keys.push((format!("backend[{n}].to"), matches!(backend.to.0, Target::Unix(_))));
        keys.push((format!("backend[{n}].tls"), backend.tls.is_some()));
    }
    for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
        push(problems, place(&key), format!("`{key}` is about connections, and datagrams have none"), |it| {
            it.help("take it out, or `mode = \"udp\"`")
        });
    }
    let versions = table.backend.iter().enumerate();
    let versions = versions.map(|(n, backend)| (format!("backend[{n}].send_proxy"), backend.send_proxy));
    for (key, _) in versions.chain([("send_proxy".to_owned(), table.send_proxy)]).filter(|(_, it)| is_v1(*it))
    {
        push(problems, place(&key), format!("`{key}`: version 1 has no words for datagrams"), |it| {
            it.help("`send_proxy = \"v2\"`: in front of the first datagram of each flow")
        });
    }
}

/// What datagrams have, where there are none.
#[cfg(feature = "proxy")]
fn not_of_udp(table: &ProxyTable, place: &dyn Fn(&str) -> Option<Place>, problems: &mut Vec<Problem>) {
    if table.udp.is_some() {
        push(problems, place("udp"), "`udp` is about datagrams, and connections have none".into(), |it| {
            it.help("set `mode = \"udp\"` to pass datagrams on, or take it out")
        });
    }
}

/// What requests have nothing to do with, and what would lead nowhere.
#[cfg(feature = "proxy")]
fn of_http(table: &ProxyTable, place: &dyn Fn(&str) -> Option<Place>, problems: &mut Vec<Problem>) {
    for (n, route) in table.route.iter().enumerate() {
        let path = |key: &str| format!("route[{n}].{key}");
        for (key, is_set) in
            [("server_names", !route.server_names.is_empty()), ("alpn", !route.alpn.is_empty())]
        {
            if is_set {
                let what =
                    format!("`{}` is about TLS that is passed through, and requests are none", path(key));
                push(problems, place(&path(key)), what, |it| {
                    it.help("requests are told apart by `hosts` and `paths`")
                });
            }
        }
        let answers = route.redirect.is_some() || route.respond.is_some();
        if answers && !(route.to.is_empty() && route.backend.is_empty()) {
            let what = format!("`route[{n}]` answers itself, and its backends would get nothing");
            push(problems, place(&format!("route[{n}]")), what, |it| {
                it.help("take out its backends, or what it answers")
            });
        }
        if route.redirect_status.is_some() && route.redirect.is_none() {
            let what = format!("`{}` without `redirect`", path("redirect_status"));
            push(problems, place(&path("redirect_status")), what, |it| {
                it.help("for example `redirect = \"https://{host}{uri}\"`")
            });
        }
    }
    if let Some(http) = &table.http
        && http.https_redirect
        && table.tls.is_some()
    {
        let what = "`http.https_redirect`: every address of it speaks TLS already".into();
        push(problems, place("http.https_redirect"), what, |it| {
            it.help("redirect in a proxy of its own that listens on port 80")
        });
    }
}

/// Rules of hubs: each by itself, and that no two write to one file or have one name.
#[cfg(feature = "hub")]
fn rules(file: &File, places: &Places, problems: &mut Vec<Problem>) {
    let place = |path: &str| places.get(path).cloned();
    let mut files: BTreeMap<&std::path::Path, String> = BTreeMap::new();
    for (at, table) in file.hub.iter().enumerate() {
        let mut names: BTreeMap<&str, String> = BTreeMap::new();
        if table.rule.len() > super::rule::RULES_MAX {
            let path = format!("hub[{at}].rule[{}]", super::rule::RULES_MAX);
            push(problems, place(&path), "a hub has 64 rules at most".into(), |problem| problem);
        }
        for (n, rule) in table.rule.iter().enumerate() {
            let rule_path = format!("hub[{at}].rule[{n}]");
            for (key, why) in rule.problems() {
                let path = if key.is_empty() { rule_path.clone() } else { format!("{rule_path}.{key}") };
                let here = place(&path).or_else(|| place(&rule_path));
                push(problems, here, why, |problem| problem);
            }
            let mut twice = |first: Option<String>, key: &str, what: String| {
                let Some(first) = first else { return };
                let here = place(&format!("{rule_path}.{key}")).or_else(|| place(&rule_path));
                let before = place(&format!("{first}.{key}")).or_else(|| place(&first));
                push(problems, here, what, |problem| match before {
                    Some(first) => problem.other(first, "the first"),
                    None => problem,
                });
            };
            if !rule.called().is_empty() {
                let what = format!("two rules are called `{}`: give each a `name`", rule.called());
                twice(names.insert(rule.called(), rule_path.clone()), "name", what);
            }
            if let Some(path) = &rule.file {
                let what = format!("two rules write to {}", path.0.display());
                twice(files.insert(&path.0, rule_path.clone()), "file", what);
            }
        }
    }
}

fn push(
    problems: &mut Vec<Problem>,
    place: Option<Place>,
    what: String,
    more: impl FnOnce(Problem) -> Problem,
) {
    problems.push(more(match place {
        Some(place) => Problem::at(place, what, ""),
        None => Problem::without_place(what),
    }));
}

/// What is listened on so far, and where that stands in the file.
type Listens = Vec<(Address, String)>;

fn listens_at(
    here: String,
    address: &Address,
    addresses: &mut Listens,
    places: &Places,
    problems: &mut Vec<Problem>,
) {
    if let Some((other, first)) = addresses.iter().find(|(other, _)| other.conflicts_with(address)) {
        let what = if other == address {
            format!("`{address}` is listened on twice")
        } else {
            format!("`{address}` and `{other}` are one address to the system: only one can listen")
        };
        push(problems, places.get(&here).cloned(), what, |problem| match places.get(first) {
            Some(first) => problem.other(first.clone(), "first here"),
            None => problem,
        });
    }
    addresses.push((address.clone(), here));
}

/// Whether only this machine can reach it. A name other than `localhost` may be any machine's.
fn is_local(address: &Address) -> bool {
    match address {
        Address::Tcp(text) | Address::Udp(text) => text.parse::<SocketAddr>().map_or_else(
            |_| text.rsplit_once(':').is_some_and(|(host, _)| host == "localhost"),
            |addr| addr.ip().is_loopback(),
        ),
        _ => true,
    }
}
