//! What becomes of requests, asked without a network.

mod answers;
mod forwarded;
mod headers;
mod paths;
mod routes;
mod sticky;

use std::net::SocketAddr;

use windlass::Peer;
use windlass_proto::http::{HeaderLines, RequestHead, RequestHeads, ResponseHeads};
use windlass_proto::{Decode, Input};

use super::{Answer, Client, Decision, Forward, Policy};
use crate::config::{Backend, ProxyConfig, Route};
use crate::http::config::{HttpConfig, HttpRoute};
use crate::plan::{ConfigError, Plan};

/// A backend of this number.
fn backend(n: u8) -> Backend {
    Backend::at(([10, 0, 0, n], 80).into_target())
}

trait IntoTarget {
    fn into_target(self) -> crate::Target;
}

impl IntoTarget for ([u8; 4], u16) {
    fn into_target(self) -> crate::Target {
        crate::Target::Address(SocketAddr::from(self))
    }
}

/// One backend for what no route takes, and these settings.
fn config(http: HttpConfig) -> ProxyConfig {
    ProxyConfig { http, ..ProxyConfig::default().backend(backend(1)) }
}

/// A route of this name, with a backend.
fn route(name: &str, http: HttpRoute) -> Route {
    Route { name: name.into(), http, ..Route::default() }.backend(backend(2))
}

fn plan(config: ProxyConfig) -> Plan {
    Plan::new(config, None, &mut 0).unwrap()
}

fn why_not(config: ProxyConfig) -> String {
    match Plan::new(config, None, &mut 0) {
        Err(error @ (ConfigError::Http { .. } | ConfigError::HttpRoute { .. })) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// A client of this address, without TLS.
fn client(address: &str) -> Client {
    Client {
        source: Peer::Tcp(address.parse().unwrap()),
        local: Some("192.0.2.1:8080".parse().unwrap()),
        tls: false,
        id: 0xabc,
    }
}

fn stranger() -> Client {
    client("203.0.113.9:4711")
}

/// Lets `look` look at a request, whose lines are given without their ends.
fn asked<T>(lines: &str, look: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let mut bytes = lines.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    let mut input = Input::new(&mut bytes);
    let head = RequestHeads::default().decode(&mut input).unwrap().unwrap();
    look(&head)
}

/// The number of the group that a request goes to, or the status of the answer.
fn decided(policy: &Policy, lines: &str) -> Result<usize, u16> {
    asked(lines, |head| match policy.decide(head, &stranger()) {
        Decision::Forward(forward) => Ok(forward.group),
        Decision::Answer(answer) => Err(answer.status.code()),
    })
}

fn forward(policy: &Policy, head: &RequestHead<'_>, client: &Client) -> Forward {
    match policy.decide(head, client) {
        Decision::Forward(forward) => forward,
        Decision::Answer(answer) => panic!("{answer:?}"),
    }
}

/// The header lines that a backend gets, as `name: value`.
fn sent(policy: &Policy, client: &Client, lines: &str) -> Vec<String> {
    asked(lines, |head| {
        let mut out = HeaderLines::new();
        policy.request_lines(&forward(policy, head, client), head, client, &mut out);
        texts(&out)
    })
}

/// The header lines that a client gets of a response, which the first backend gave.
fn returned(policy: &Policy, forward: &Forward, served: u32, lines: &str) -> Vec<String> {
    let mut bytes = lines.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    let mut input = Input::new(&mut bytes);
    let head = ResponseHeads::default().decode(&mut input).unwrap().unwrap();
    let mut out = HeaderLines::new();
    policy.response_lines(forward, served, &head, &mut out);
    texts(&out)
}

/// What we answer ourselves: the status, the header lines and the body.
fn answered(policy: &Policy, client: &Client, lines: &str) -> (u16, Vec<String>, Vec<u8>) {
    asked(lines, |head| {
        let Decision::Answer(answer) = policy.decide(head, client) else { panic!("it was forwarded") };
        let mut out = HeaderLines::new();
        policy.answer_lines(&answer, head, client, &mut out);
        let Answer { status, body, .. } = answer;
        (status.code(), texts(&out), body.to_vec())
    })
}

fn texts(lines: &HeaderLines) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    lines.headers().iter().map(|header| format!("{}: {}", header.name, text(header.value))).collect()
}

fn values(lines: &[String], name: &str) -> Vec<String> {
    let of = |line: &String| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    lines.iter().filter_map(of).filter(|(n, _)| n == name).map(|(_, value)| value).collect()
}
