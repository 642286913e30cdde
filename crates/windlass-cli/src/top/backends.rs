//! The view of proxies: their clients and their backends.

use ratatui::text::Line;

use super::ink::Ink;
use super::sample::Sample;
use super::table::{Cell, figure, inked, plain, text};
use super::views::{Page, seconds};
use crate::admin::shape::{Backend, Proxy, State};
use crate::quantity::{rough_bytes, thousands};

/// Backends that get no clients, though nobody has wished that.
pub(super) fn unwell(state: &State) -> usize {
    let backends = state.proxies.iter().flat_map(|proxy| &proxy.backends);
    backends.filter(|backend| matches!(&*backend.state, "down" | "ejected" | "circuit_open")).count()
}

impl Page<'_> {
    /// Of each proxy a line about its clients, and its backends.
    pub(crate) fn backends(&self, sample: &Sample) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for proxy in &sample.state.proxies {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(self.line(clients(proxy)));
            let columns = [
                text("backend", 0),
                text("state", 0),
                figure("weight", 3),
                figure("now", 0),
                figure("most", 7),
                figure("limit", 6),
                figure("opened", 1),
                figure("failed", 2),
                figure("to", 4),
                figure("from", 4),
                text("last check", 5),
                figure("down", 8),
            ];
            let mut all: Vec<&Backend> = proxy.backends.iter().collect();
            match self.app.sort() {
                "state" => all.sort_by_key(|one| (one.state == "up", one.state.clone())),
                "connections" => all.sort_by_key(|one| std::cmp::Reverse(one.connections)),
                "failed" => all.sort_by_key(|one| std::cmp::Reverse(one.failed)),
                _ => {}
            }
            let rows: Vec<Vec<Cell>> = all.into_iter().map(row).collect();
            lines.extend(self.table(&columns, &rows));
        }
        lines
    }
}

fn clients(proxy: &Proxy) -> Cell {
    let refused: u64 = proxy.refused.values().sum();
    let mut cell = vec![
        (proxy.name.clone(), Ink::Strong),
        (format!("  {} clients, {} waiting", thousands(proxy.clients), thousands(proxy.waiting)), Ink::Plain),
    ];
    if refused > 0 {
        cell.push((format!("  {} refused", thousands(refused)), Ink::Warn));
    }
    if proxy.retries > 0 {
        cell.push((format!("  {} retries", thousands(proxy.retries)), Ink::Plain));
    }
    cell
}

fn row(backend: &Backend) -> Vec<Cell> {
    let named = match &*backend.route {
        "backends" => backend.name.clone(),
        route => format!("{route}/{}", backend.name),
    };
    // What is not as the file says has a star, as in `windlass backends`.
    let star = if backend.changed { "*" } else { "" };
    let ink = match &*backend.state {
        "up" => Ink::Plain,
        "down" | "ejected" | "circuit_open" => Ink::Warn,
        _ => Ink::Dim,
    };
    let check = backend.last_check.map_or_else(String::new, |check| {
        format!("{} {}", if check.passed { "passed" } else { "failed" }, seconds(check.took_seconds))
    });
    let limit = match backend.connections_max {
        0 => "none".into(),
        max => thousands(max),
    };
    let down = match backend.downs {
        0 => "never".into(),
        n => format!("{} x {}", thousands(n), seconds(backend.downtime_seconds)),
    };
    vec![
        plain(named),
        inked(format!("{}{star}", backend.state), ink),
        plain(backend.weight.to_string()),
        plain(thousands(backend.connections)),
        plain(thousands(backend.connections_peak)),
        plain(limit),
        plain(thousands(backend.opened)),
        inked(thousands(backend.failed), if backend.failed > 0 { Ink::Warn } else { Ink::Plain }),
        plain(rough_bytes(backend.sent_bytes as f64)),
        plain(rough_bytes(backend.received_bytes as f64)),
        plain(check),
        plain(down),
    ]
}
