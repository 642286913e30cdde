//! The loads as commands, for `windlass bench` and for `windlass-bench`.

use anyhow::Result;
use clap::Subcommand;

use crate::{echo, http, kv, mqtt, udp, ws};

/// Puts load on a server and measures it.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Echo over TCP, TLS or Unix sockets: every byte is verified
    #[command(after_long_help = ECHO_EXAMPLES)]
    Echo(Box<echo::EchoArgs>),
    /// Echo of datagrams: every one is verified, and those lost are counted
    #[command(after_long_help = UDP_EXAMPLES)]
    Udp(Box<udp::UdpArgs>),
    /// Echo over WebSocket: every message is masked, and verified
    #[command(after_long_help = WS_EXAMPLES)]
    Ws(Box<ws::WsArgs>),
    /// One page over HTTP/1.1: status and body of every response are verified
    #[command(after_long_help = HTTP_EXAMPLES)]
    Http(Box<http::HttpArgs>),
    /// SET, GET and INCR to a Redis-like server: every value is verified
    #[command(after_long_help = RESP_EXAMPLES)]
    Resp(Box<kv::RespArgs>),
    /// set, get and incr to a memcached-like server, as text or binary: every value is verified
    #[command(after_long_help = MEMCACHED_EXAMPLES)]
    Memcached(Box<kv::MemcachedArgs>),
    /// Messages through an MQTT broker: every delivery is verified
    #[command(after_long_help = MQTT_EXAMPLES)]
    Mqtt(Box<mqtt::MqttArgs>),
}

impl Bench {
    /// What `bench` says of itself, in its long help.
    pub const ABOUT: &str = ABOUT;
    /// What to try first, and what the JSON holds.
    pub const EXAMPLES: &str = EXAMPLES;

    /// Runs the load and prints what it found.
    ///
    /// # Errors
    /// The server cannot be reached, a reply was wrong or did not come, or nothing was served.
    pub fn run(self) -> Result<()> {
        match self {
            Bench::Echo(args) => echo::main(*args),
            Bench::Udp(args) => udp::main(*args),
            Bench::Ws(args) => ws::main(*args),
            Bench::Http(args) => http::main(*args),
            Bench::Resp(args) => kv::resp(*args),
            Bench::Memcached(args) => kv::memcached(*args),
            Bench::Mqtt(args) => mqtt::main(*args),
        }
    }
}

/// What `bench` says of itself.
const ABOUT: &str = "\
Put load on a server and measure it

A closed loop, unless --rate says otherwise: each connection sends its next message when a reply is \
back. It tells what a server can do at most. With --rate, messages go out when they are due, whether the \
server keeps up or not, as users do; their latency counts from when they were due, and stands beside that \
from when they were sent.

Every reply is compared with what it must be. The exit code is 0 if all were right and some came, \
1 if not, and 2 if the command line is wrong. \
While it runs, a terminal on stderr shows the rate.";

/// What to try first.
const EXAMPLES: &str = "\
Every flag is an environment variable too: --duration is WINDLASS_DURATION,
the server is WINDLASS_TARGET.

Examples:
  windlass bench echo
      64 connections to 127.0.0.1:9000 for ten seconds.
  windlass bench http https://localhost:8443/ --rate 20k --plot latency.svg
      20,000 requests a second, come what may, and a picture of the latencies.
  windlass bench resp --depth 16 --json
      16 commands at a time on each connection; the report as JSON.

JSON, the same for all; names and meanings stay, more may come:
  kind, target, tls, connections, size, depth, rate, seconds
      What was run; seconds are those measured, size is of one message.
  messages, messages_per_second, bytes_per_second
      What came back while it was measured.
  latency_us, latency_from_sending_us
      count, min, p50, p90, p99, p99.9, max in microseconds. With --rate the
      first is from when a message was due; without, the second is null.
  stalled, unanswered, lost, reconnects, faults, errors, fault_texts, verified
      errors has a count for each kind: wrong_reply, error_reply, closed, reset,
      connect, tls, io, stalled. verified: the exit code is 0.
  server, generator_idle, disturbed
      CPU and memory of --pid, and whether the figures are to be trusted: a
      generator that is never idle measures itself.";

const ECHO_EXAMPLES: &str = "\
Examples:
  windlass bench echo --connections 1000 --size 16KiB --pid $(pidof windlass)
      With the server's CPU time for each message, and its memory.
  windlass bench echo localhost:9443 --tls --tls-ca ca.pem
      Over TLS, to a server whose certificate ca.pem vouches for.
  windlass bench echo --mode churn
      Connections a second: each carries one message.";

const UDP_EXAMPLES: &str = "\
Examples:
  windlass bench udp --connections 1000 --size 1200
      1,000 peers, each with an address of its own.
  windlass bench udp --rate 100k
      100,000 datagrams a second; what is lost is counted and is no error.";

const WS_EXAMPLES: &str = "\
Examples:
  windlass bench ws --size 1KiB
      To `windlass websocket`, or another server that sends every message back.
  windlass bench ws wss://localhost:9443/echo --tls-insecure --rate 10k
      Over TLS, whoever it is, at 10,000 messages a second.";

const HTTP_EXAMPLES: &str = "\
The first response is kept, and all others are compared with it.

Examples:
  windlass bench http http://127.0.0.1:8080/index.html
      64 connections that are kept.
  windlass bench http 127.0.0.1:9090/healthz --close
      A connection for each request.
  windlass bench http 127.0.0.1:8080/time --any-body -H 'Accept: text/html'
      A page that is another each time.";

const RESP_EXAMPLES: &str = "\
Each connection has keys of its own: first it stores them, which is not
measured, then it does as --mix says. A server that throws keys away when
memory is full fails.

Examples:
  windlass bench resp --depth 16 --mix get=1
      Reads alone, 16 at a time.
  windlass bench resp --keys 100k --size 1KiB --password-file secret
      100,000 keys of 1 KiB, behind a password.";

const MEMCACHED_EXAMPLES: &str = "\
Each connection has keys of its own: first it stores them, which is not
measured, then it does as --mix says. A server that throws keys away when
memory is full fails.

Examples:
  windlass bench memcached --depth 16
      16 commands at a time, as text.
  windlass bench memcached --binary --mix set=1,get=9
      In the binary protocol.";

const MQTT_EXAMPLES: &str = "\
A message is one delivery to one subscriber: published to a thousand, it counts a
thousand times. Its latency is from publishing to delivery. A publisher has as
many under way as --depth says; with QoS 1 and 2 the broker's acknowledgement is
waited for as well, and timed by itself. A message that is missing, comes again,
out of order or changed is a fault.

Examples:
  windlass bench mqtt --depth 16 --qos 1
      100 publishers, each to a subscriber of its own, 16 messages at a time.
  windlass bench mqtt mqtts://localhost --tls-ca ca.pem --mode fan-out --pid $(pidof windlass)
      One publisher to 1,000 subscribers over TLS, with the broker's CPU time for each.
  windlass bench mqtt ws://localhost:9001 --mode fan-in --rate 20k
      20,000 messages a second of 1,000 publishers to one subscriber, over WebSocket.
  windlass bench mqtt --mode publish --qos 1 --retain --depth 16
      Acknowledgements a second, of messages that the broker has to keep.
  windlass bench mqtt --mode connect -c 16
      Connect, subscribe, close: 16 at a time.

JSON beside that of all loads: mode, publishers, subscribers, qos, protocol, retain,
durable, websocket; acknowledged_us, as latency_us, or null; idle: null, or
connections, resident_kib_before_open, bytes_open, connections_per_second,
cpu_share. errors has missing and repeated, too.";
