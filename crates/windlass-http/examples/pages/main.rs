//! A page, a counter in JSON and a clock that is pushed: `cargo run -p windlass-http --example pages`, then
//! open http://127.0.0.1:8080/ in a browser, or
//! `curl -d '{"by":2}' -H 'content-type: application/json' http://127.0.0.1:8080/count`.
#![allow(clippy::disallowed_methods, reason = "a program may read the clock that it lends to its service")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use windlass::{Tick, serve};
use windlass_http::{App, Event, File, Http, HttpConfig, Never, Push, Replied, Reply, Request};

#[derive(Default)]
struct Pages {
    count: u64,
    seconds: u64,
}

#[derive(Deserialize)]
struct More {
    by: u64,
}

#[derive(Serialize)]
struct Count {
    count: u64,
}

impl App for Pages {
    type Upgraded = Never;

    fn subscribe(&mut self, _: &Request<'_>) -> Vec<Event> {
        let now = |name, value: u64| Event::new(value.to_string()).name(name);
        vec![now("count", self.count), now("tick", self.seconds)]
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Pages>, tick: Tick) {
        self.seconds = tick.number;
        push.event("/clock", &Event::new(self.seconds.to_string()).name("tick"));
    }
}

fn add(pages: &mut Pages, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Replied {
    match request.json::<More>() {
        Ok(more) => {
            pages.count = pages.count.saturating_add(more.by);
            reply.push("/clock", &Event::new(pages.count.to_string()).name("count"));
            reply.json(&Count { count: pages.count })
        }
        Err(refusal) => reply.refuse(refusal),
    }
}

// Services read no clock; who runs them may lend them one, for the `date` header.
#[allow(clippy::disallowed_methods, reason = "an example runs its service")]
fn pages() -> Http<Pages> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Http::new(Pages::default())
        .config(HttpConfig { clock: Some(clock), ..HttpConfig::default() })
        .file("/", File::named("index.html", &include_bytes!("index.html")[..]))
        .file("/app.js", File::named("app.js", &include_bytes!("app.js")[..]))
        .file("/style.css", File::named("style.css", &include_bytes!("style.css")[..]))
        .get("/count", |pages, _, reply| reply.json(&Count { count: pages.count }))
        .post("/count", add)
        .body_max(1024)
        .events("/clock")
}

fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    // One worker, since the count is one: each worker has an app of its own.
    let bound = serve(pages).workers(1).tick(Duration::from_secs(1)).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
