//! Every query that is shipped, in the Grafana dashboard and the alert rules, against what `/metrics` of a real
//! server exports: names, labels, and the values of labels that are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use crate::server::*;

/// What is no metric and no label.
const WORDS: &[&str] = &[
    "absent",
    "and",
    "avg",
    "bool",
    "by",
    "count",
    "histogram_quantile",
    "ignoring",
    "increase",
    "label_values",
    "max",
    "min",
    "min_over_time",
    "offset",
    "on",
    "or",
    "rate",
    "resets",
    "sum",
    "topk",
    "unless",
    "without",
];
/// Labels that Prometheus gives each target.
const OF_TARGETS: &[&str] = &["job", "instance"];

/// By name of a sample: its labels and their values.
type Exported = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn exported() -> Exported {
    // Checked, so that there is a check to be told of; nobody is there, so it is answered at once.
    let text = "[admin]\nlisten = '127.0.0.1:0'\n[[echo]]\nlisten = ['127.0.0.1:0', 'udp:127.0.0.1:0']\n\
                [[proxy]]\nlisten = '127.0.0.1:0'\nto = '127.0.0.1:1'\ncheck_every = '1s'\ndiscover = 'file:/nowhere'\n";
    let data = crate::served::Folder::new("queries-hub");
    // A journal and a rule, which have metrics of their own.
    let hub = format!(
        "[[hub]]\nlisten = '127.0.0.1:0'\ndata = '{0}'\n[[hub.rule]]\nfilter = 'a'\nfile = '{0}/a'\n",
        data.path("hub")
    );
    // A game, whose rooms have metrics of their own while there are some.
    let game = "[[game]]\nlisten = '127.0.0.1:0'\nempty_timeout = '1h'\n";
    let file = ConfigFile::new("queries", &format!("{text}{hub}{game}"));
    let mut server = Server::command(&["run", "-c", file.0.to_str().unwrap()]);
    round_trip(&mut server.connect(), b"hello");
    let lines: Vec<String> = (0..4).map(|_| server.line()).collect();
    let admin = server.line().strip_prefix("Admin on ").expect("its sixth line").to_owned();
    open_room(lines[2].strip_prefix("Listening on ").expect("the game, behind the hub"));
    let deadline = std::time::Instant::now() + LONG;
    let page = loop {
        let mut stream = std::net::TcpStream::connect(&admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let awaited = [
            "windlass_proxy_backend_check_duration_seconds{",
            "windlass_proxy_source_up{",
            "windlass_game_room_overruns_total{",
        ];
        if awaited.iter().all(|sample| page.contains(sample)) {
            break page;
        }
        assert!(std::time::Instant::now() < deadline, "no check is answered: {page}");
    };
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    let mut exported = Exported::new();
    for line in body.lines().filter(|line| line.starts_with("windlass_")) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let of = exported.entry(name.to_owned()).or_default();
        for pair in labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once("=\"").unwrap();
            of.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }
    assert!(exported.len() > 50, "{page}");
    exported
}

/// Asks a game for a seat.
fn open_room(at: &str) {
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    let head = "POST /api/rooms/create HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Word(String),
    Text(String),
    Sign(String),
}

fn parts(query: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        let taken = if first == '"' {
            let end = 2 + rest[1..].find('"').expect("a text ends");
            parts.push(Part::Text(rest[1..end - 1].to_owned()));
            end
        } else if first.is_ascii_alphabetic() || first == '_' || first == '$' {
            let end = length(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
            parts.push(Part::Word(rest[..end].to_owned()));
            end
        } else if first.is_ascii_digit() {
            // A number or a time, which no rule is about.
            length(|c| c.is_ascii_alphanumeric() || c == '.')
        } else {
            let end = if rest.starts_with("=~") || rest.starts_with("!=") || rest.starts_with("!~") {
                2
            } else {
                1
            };
            parts.push(Part::Sign(rest[..end].to_owned()));
            end
        };
        rest = rest[taken..].trim_start();
    }
    parts
}

/// What is wrong with a query.
fn wrong(query: &str, exported: &Exported) -> Vec<String> {
    let parts = parts(query);
    let mut wrong = Vec::new();
    let mut metrics: Vec<&str> = Vec::new();
    for part in &parts {
        if let Part::Word(word) = part
            && word.starts_with("windlass_")
        {
            metrics.push(word);
            if !exported.contains_key(word.as_str()) {
                wrong.push(format!("{word} is not exported"));
            }
        }
    }
    if metrics.is_empty() {
        wrong.push("it asks for nothing".into());
    }
    let sign = |at: usize, wanted: &str| parts.get(at) == Some(&Part::Sign(wanted.into()));
    let has = |metrics: &[&str], label: &str| {
        OF_TARGETS.contains(&label)
            || metrics.iter().any(|name| exported.get(*name).is_some_and(|labels| labels.contains_key(label)))
    };
    let mut at = 0;
    let mut metric = "";
    while at < parts.len() {
        match &parts[at] {
            Part::Word(word) if word.starts_with("windlass_") => {
                metric = word;
                if sign(at + 1, "{") {
                    at += 2;
                    while !sign(at, "}") {
                        if let (Part::Word(label), Part::Sign(how), Part::Text(value)) =
                            (&parts[at], &parts[at + 1], &parts[at + 2])
                        {
                            if !has(&[metric], label) {
                                wrong.push(format!("{metric} has no label {label}"));
                            } else if !OF_TARGETS.contains(&label.as_str()) && !how.starts_with('!') {
                                let known = &exported[metric][label];
                                let alternatives = value.split('|').filter(|value| !known.contains(*value));
                                wrong.extend(
                                    alternatives.map(|it| format!("{metric}: {label} is never {it}")),
                                );
                            }
                            at += 3;
                        } else {
                            wrong.push(format!("not understood: {:?}", &parts[at..]));
                            return wrong;
                        }
                        at += usize::from(sign(at, ","));
                    }
                }
            }
            Part::Word(word) if ["by", "without", "on", "ignoring"].contains(&word.as_str()) => {
                at += 2;
                while !sign(at, ")") {
                    if let Part::Word(label) = &parts[at]
                        && !has(&metrics, label)
                    {
                        wrong.push(format!("nothing in it has the label {label}"));
                    }
                    at += 1;
                }
            }
            // `label_values(METRIC, LABEL)`
            Part::Word(word) if sign(at.wrapping_sub(1), ",") && sign(at + 1, ")") && !metric.is_empty() => {
                let known = has(&[metric], word);
                wrong.extend((!known).then(|| format!("{metric} has no label {word}")));
            }
            Part::Word(word) if !WORDS.contains(&word.as_str()) && !word.starts_with('$') => {
                wrong.push(format!("{word} is no function and no metric of ours"));
            }
            _ => {}
        }
        at += 1;
    }
    wrong
}

fn shipped(path: &str) -> String {
    let path = format!("{}/../../packaging/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All `expr` of a dashboard, and the queries of its variables.
fn of_dashboard(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                match value.as_str() {
                    Some(text) if key == "expr" || key == "definition" => queries.push(text.into()),
                    _ => of_dashboard(value, queries),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| of_dashboard(value, queries)),
        _ => {}
    }
}

/// All `expr:` of a file of rules, those over several lines too.
fn of_rules(text: &str) -> Vec<String> {
    let mut queries = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(query) = line.trim_start().strip_prefix("expr:") else { continue };
        if query.trim() != "|" {
            queries.push(query.trim().to_owned());
            continue;
        }
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut query = String::new();
        while lines.peek().is_some_and(|next| indent(next) > indent(line)) {
            query += lines.next().unwrap_or_default();
        }
        queries.push(query);
    }
    queries
}

#[test]
fn every_query_asks_for_what_is_exported() {
    let exported = exported();
    let mut queries = of_rules(&shipped("prometheus/windlass.rules.yml"));
    assert!(queries.len() >= 11, "{queries:?}");
    let dashboard: serde_json::Value = serde_json::from_str(&shipped("grafana/windlass.json")).unwrap();
    let before = queries.len();
    of_dashboard(&dashboard, &mut queries);
    assert!(queries.len() - before >= 25, "{queries:?}");
    let mut report = String::new();
    for query in &queries {
        for why in wrong(query, &exported) {
            report += &format!("{query}\n    {why}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn a_query_that_asks_for_something_else_is_noticed() {
    let labels = |list: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
        list.iter()
            .map(|(name, values)| (name.to_string(), values.iter().map(|v| v.to_string()).collect()))
            .collect()
    };
    let exported: Exported = [
        ("windlass_a_total".to_owned(), labels(&[("reason", &["full", "rate"])])),
        ("windlass_b".to_owned(), labels(&[])),
    ]
    .into();
    for right in [
        "windlass_b",
        "sum by (reason) (rate(windlass_a_total{reason=~\"full|rate\", job=\"x\"}[5m])) > 0.5",
        "label_values(windlass_a_total, reason)",
        "rate(windlass_a_total{reason!=\"other\"}[$__rate_interval]) and windlass_b == 0",
    ] {
        assert_eq!(wrong(right, &exported), [""; 0], "{right}");
    }
    for (query, why) in [
        ("windlass_c", "windlass_c is not exported"),
        ("windlass_a_total{why=\"full\"}", "windlass_a_total has no label why"),
        ("windlass_a_total{reason=\"resources\"}", "windlass_a_total: reason is never resources"),
        ("sum by (worker) (windlass_b)", "nothing in it has the label worker"),
        ("label_values(windlass_b, reason)", "windlass_b has no label reason"),
        ("deriv(windlass_b[5m])", "deriv is no function and no metric of ours"),
        ("1 > 0", "it asks for nothing"),
    ] {
        assert_eq!(wrong(query, &exported), [why], "{query}");
    }
}
