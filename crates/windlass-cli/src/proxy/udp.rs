//! A table that passes datagrams on.

use anyhow::{Context as _, Result};
use windlass::{Limits, Serve, serve};
use windlass_proxy::{Proxy, UdpConfig, UdpProxy};

use super::{count, front};
use crate::access::{Kind, Record};
use crate::config::File;
use crate::config::proxy::udp::UdpTable;
use crate::config::proxy::{ModeName, ProxyTable};
use crate::serving::{Ends, Tally, Told, Watched, listening, owner};

/// Sockets of a worker besides those of flows: where it listens, and of flows that end in the same turn.
const MORE_SOCKETS: usize = 1024;

/// The service of one table that passes datagrams on.
pub(crate) fn of_datagrams(table: &ProxyTable, file: &File, told: &Told) -> Result<Serve<Watched<UdpProxy>>> {
    let front = front(table, file, told)?;
    let named = || format!("proxy `{}`", table.name);
    front.udp_proxy().map(drop).with_context(named)?;
    let log = table.access_log.as_ref();
    let log = log.map(|log| told.access.open(log, &table.name, Kind::Flows)).transpose()?;
    let ends = Ends::of(None, &table.name, told)?;
    let its = told.of(&table.name, "proxy");
    let (mailbox, resolver) = (front.mailbox().clone(), front.resolver().clone());
    let make = move || {
        // It was asked for once, and is looked at with every change.
        let proxy = front.udp_proxy().expect("a configuration for datagrams");
        let proxy = match log.clone() {
            Some(log) => proxy.on_flow(move |ended| log.add(Record::flow(ended))),
            None => proxy,
        };
        Watched::new(proxy, &its, ends.clone())
    };
    let service =
        serve(make).name(&table.name).mailbox(&mailbox).resolver(&resolver).tick(Proxy::TICK).datagrams();
    listening(service, told, &owner("proxy", &table.name), (&table.listen, None, 0))
}

/// What a table comes to.
pub(super) fn config(table: &UdpTable) -> UdpConfig {
    UdpConfig {
        flows_max: table.flows_max.0,
        source_flows_max: table.source_flows_max.0,
        when_full: table.when_flows_full.of_proxy(),
        idle: table.idle_timeout.0,
        drain_idle: table.drain_idle_timeout.0,
        replies_expected: count(table.replies_expected),
        requests_max: count(table.requests_max),
        reply_factor_max: count(table.reply_factor_max),
    }
}

/// Flows that one worker may have, of all tables.
fn flows_max(file: &File) -> usize {
    let tables = file.proxy.iter().filter(|table| table.mode == ModeName::Udp);
    let flows = tables.map(|table| table.udp.clone().unwrap_or_default().flows_max.0);
    flows.fold(0, usize::saturating_add)
}

/// Flows that all workers may have, if those could leave nothing of so many descriptors for anybody else: whoever
/// sends from enough addresses, his or not, would keep all clients of other services out.
pub(crate) fn too_many_flows(file: &File, workers: usize, descriptors: u64) -> Option<usize> {
    let flows = flows_max(file).saturating_mul(workers);
    let is_known = flows > 0 && descriptors > 0;
    (is_known && flows.saturating_add(MORE_SOCKETS) as u64 > descriptors).then_some(flows)
}

/// A socket for each flow, where nothing else is set.
pub(super) fn limits(file: &File, limits: Limits) -> Limits {
    match flows_max(file) {
        0 => limits,
        flows => Limits { sockets_max: limits.sockets_max.max(flows.saturating_add(MORE_SOCKETS)), ..limits },
    }
}

impl Tally for UdpProxy {
    fn messages(&self) -> u64 {
        self.opened()
    }
}
