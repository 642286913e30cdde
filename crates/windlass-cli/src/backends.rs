//! `windlass backends`: the backends of a running proxy, asked for and changed at its admin listener.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::admin::shape::{Backend, BackendOrder, BackendOrdered, Proxy};
use crate::args::{BackendsArgs, BackendsCommand, OfBackend};
use crate::client::{self, Client};
use crate::print;
use crate::quantity::{rough_bytes, rough_time, thousands};

/// How often it is asked whether a backend is without connections.
const PERIOD: Duration = Duration::from_millis(250);

/// Looks, or changes something.
pub(crate) fn run(args: &BackendsArgs) -> Result<()> {
    let mut client = client::of(args.admin.as_ref(), &args.access)?;
    let Some(command) = &args.command else { return list(&mut client, args.json) };
    let (path, order, waits) = match command {
        BackendsCommand::List => return list(&mut client, args.json),
        BackendsCommand::Add(add) => {
            let order = BackendOrder {
                proxy: add.proxy.clone(),
                backend: Some(add.backend.to_string()),
                route: add.route.clone(),
                weight: Some(add.weight),
                connections_max: add.connections_max.map(|max| max as u64),
                name: add.name.clone(),
                force: false,
            };
            ("add", order, false)
        }
        BackendsCommand::Enable(of) => ("enable", of.order(), false),
        BackendsCommand::Drain { of, wait } => ("drain", of.order(), *wait),
        BackendsCommand::Disable(of) => ("disable", of.order(), false),
        BackendsCommand::Weight { of, weight } => {
            ("weight", BackendOrder { weight: Some(*weight), ..of.order() }, false)
        }
        BackendsCommand::Remove { of, force, wait } => {
            ("remove", BackendOrder { force: *force, ..of.order() }, *wait)
        }
        BackendsCommand::Reset { proxy, backend, route } => {
            let order = BackendOrder {
                proxy: proxy.clone(),
                backend: backend.clone(),
                route: route.clone(),
                ..BackendOrder::default()
            };
            ("reset", order, false)
        }
    };
    let ordered = give(&mut client, path, &order)?;
    if waits
        && !ordered.gone
        && let Some(backend) = &ordered.backend
    {
        wait(&mut client, &order.proxy, backend)?;
    }
    if args.json {
        print(format!("{}\n", serde_json::to_string(&ordered)?).as_bytes());
    } else {
        print(format!("{}\n", in_words(&order, &ordered, waits)).as_bytes());
    }
    Ok(())
}

impl OfBackend {
    fn order(&self) -> BackendOrder {
        BackendOrder {
            proxy: self.proxy.clone(),
            backend: Some(self.backend.clone()),
            route: self.route.clone(),
            ..BackendOrder::default()
        }
    }
}

fn give(client: &mut Client, path: &str, order: &BackendOrder) -> Result<BackendOrdered> {
    let body = serde_json::to_vec(order)?;
    let place = client.place.to_string();
    let asked = client.post(&format!("/api/proxies/{path}"), &body);
    let (status, body) =
        asked.map_err(|trouble| anyhow!("cannot ask the admin listener at {place}: {trouble}"))?;
    match status {
        200 => serde_json::from_slice(&body).context("its answer cannot be read"),
        401 => bail!("{}", client::Trouble::Token),
        _ => bail!("{}", String::from_utf8_lossy(&body).trim()),
    }
}

fn proxies(client: &mut Client) -> Result<Vec<Proxy>> {
    let body = client.get("/api/proxies");
    let body =
        body.map_err(|trouble| anyhow!("cannot ask the admin listener at {}: {trouble}", client.place))?;
    serde_json::from_slice(&body).context("its answer cannot be read")
}

/// Until a backend has no connection, or is gone, or somebody else wants it otherwise.
fn wait(client: &mut Client, proxy: &str, backend: &Backend) -> Result<()> {
    loop {
        let proxies = proxies(client)?;
        let backends = proxies.iter().filter(|one| one.name == proxy).flat_map(|one| &one.backends);
        let mut its = backends.filter(|one| one.route == backend.route && one.address == backend.address);
        match its.next() {
            None => return Ok(()),
            Some(now) if now.state != backend.state => {
                bail!("{} is {} now: somebody else has changed it", now.address, now.state)
            }
            // One that leaves is gone a moment after its last connection.
            Some(now) if now.connections == 0 && now.state != "leaving" => return Ok(()),
            Some(_) => std::thread::sleep(PERIOD),
        }
    }
}

fn in_words(order: &BackendOrder, ordered: &BackendOrdered, waited: bool) -> String {
    let Some(backend) = &ordered.backend else {
        let proxy = &order.proxy;
        return match (ordered.reset, &order.backend) {
            (_, Some(backend)) => format!("{proxy}: {backend} is gone"),
            (0, None) => format!("{proxy}: nothing differed from its configuration"),
            (1, None) => format!("{proxy}: one backend is as configured again"),
            (n, None) => format!("{proxy}: {n} backends are as configured again"),
        };
    };
    let of = format!("{}: {}", order.proxy, backend.name);
    if ordered.gone || (waited && backend.state == "leaving") {
        return format!("{of} is gone");
    }
    let left = match if waited { 0 } else { backend.connections } {
        0 => "no connection".into(),
        1 => "one connection".into(),
        n => format!("{} connections", thousands(n)),
    };
    let lasts = if backend.changed { format!("; {}", ordered.lasts) } else { String::new() };
    format!("{of} is {}, weight {}, {left}{lasts}", backend.state, backend.weight)
}

fn list(client: &mut Client, json: bool) -> Result<()> {
    let proxies = proxies(client)?;
    if json {
        print(format!("{}\n", serde_json::to_string(&proxies)?).as_bytes());
        return Ok(());
    }
    print(table(&proxies).as_bytes());
    Ok(())
}

/// As a table, a line for each backend.
fn table(proxies: &[Proxy]) -> String {
    if proxies.is_empty() {
        return "there is no proxy\n".into();
    }
    let mut rows = vec![
        [
            "PROXY", "ROUTE", "BACKEND", "STATE", "WEIGHT", "NOW", "MOST", "OPENED", "FAILED", "FROM", "TO",
            "CHECK",
        ]
        .map(String::from),
    ];
    for proxy in proxies {
        rows.extend(proxy.backends.iter().map(|backend| row(&proxy.name, backend)));
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|n| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(n, (cell, width))| match n {
                4..=10 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    for source in proxies.iter().flat_map(|proxy| &proxy.sources) {
        text += &match &source.error {
            Some(error) => {
                format!("{}: {error}; {} backends of before stay\n", source.source, source.backends)
            }
            None => format!("{}: {} backends\n", source.source, source.backends),
        };
    }
    text
}

fn row(proxy: &str, backend: &Backend) -> [String; 12] {
    let named = match backend.name == backend.address {
        true => backend.address.clone(),
        false => format!("{} ({})", backend.name, backend.address),
    };
    let state = match backend.changed {
        // It is not as the file says.
        true => format!("{}*", backend.state),
        false => backend.state.clone(),
    };
    let seconds = |value: f64| rough_time(Duration::try_from_secs_f64(value).unwrap_or_default());
    let check = backend.last_check.map_or_else(String::new, |check| {
        let how = if check.passed { "passed" } else { "failed" };
        format!("{how} in {}, {} ago", seconds(check.took_seconds), seconds(check.ago_seconds))
    });
    [
        proxy.into(),
        backend.route.clone(),
        named,
        state,
        backend.weight.to_string(),
        thousands(backend.connections),
        thousands(backend.connections_peak),
        thousands(backend.opened),
        thousands(backend.failed),
        rough_bytes(backend.received_bytes as f64),
        rough_bytes(backend.sent_bytes as f64),
        check,
    ]
}
