//! A page with a counter. Whoever has it open sees every count at once.

use windlass::serve;
use windlass_http::{App, Event, File, Http, Never, Replied, Reply, Request};

// ANCHOR: app
const PAGE: &str = r#"<!doctype html><title>tally</title>
<button onclick="fetch('/count', { method: 'POST' })">+</button> <b id="count">0</b>
<script>
new EventSource("/events").onmessage = (event) => (count.textContent = event.data);
</script>"#;

#[derive(Default)]
struct Counter(u64);

impl App for Counter {
    type Upgraded = Never;
}

fn show(counter: &mut Counter, _: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
    reply.json(&counter.0)
}

fn count(counter: &mut Counter, _: &Request<'_>, mut reply: Reply<'_, '_>) -> Replied {
    counter.0 += 1;
    reply.push("/events", &Event::new(counter.0.to_string()));
    reply.json(&counter.0)
}
// ANCHOR_END: app

// ANCHOR: main
fn main() -> windlass::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let make = || {
        Http::new(Counter::default())
            .file("/", File::new("text/html; charset=utf-8", PAGE))
            .get("/count", show)
            .post("/count", count)
            .events("/events")
    };
    let bound = serve(make).workers(1).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    bound.run().map(drop)
}
// ANCHOR_END: main
