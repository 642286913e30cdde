//! `[[hub]]`: MQTT.

use std::time::Duration;

use windlass::{Mailbox, Serve};
use windlass_hub::identity::{Acl, Anonymous, Identity, IdentityConfig};
use windlass_hub::{Hub, HubConfig, HubWatch, QoS, WhenExceeded, WhenQueueFull};

use crate::config::{Hub as Table, Tls};
use crate::serving::listening;

/// Input that may wait above the longest packet.
const INPUT_ROOM: usize = 64 * 1024;

/// The hub of a table, and where its numbers are.
pub(crate) fn service(table: &Table) -> Result<(Serve<Hub>, HubWatch), String> {
    let config = config(table)?;
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let (its, input_max) = (watch.clone(), config.packet_max + INPUT_ROOM);
    let service = windlass::serve(move || Hub::new(config.clone(), &its))
        .name(&table.name)
        .mailbox(&mailbox)
        .tick(Hub::TICK)
        // How long a client may be silent its keep-alive says.
        .idle_timeout(Duration::ZERO)
        .input_max(input_max);
    let service = listening(service, &table.listen, &table.tls)?;
    Ok((listening(service, &table.listen_plain, &Tls::default())?, watch))
}

fn config(table: &Table) -> Result<HubConfig, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(HubConfig {
        unix_ms: now.map_or(0, |now| now.as_millis() as u64),
        when_receive_exceeded: [WhenExceeded::Disconnect, WhenExceeded::Warn][usize::from(table.exceeded)],
        when_queue_full: [WhenQueueFull::DropNewest, WhenQueueFull::DropOldest, WhenQueueFull::Disconnect]
            [usize::from(table.queue_full)],
        keep_alive_max: table.keep_alive_max.as_secs() as u16,
        session_expiry_max: match table.session_expiry_max.as_secs() {
            0 => u32::MAX,
            seconds => u32::try_from(seconds).unwrap_or(u32::MAX),
        },
        qos_max: QoS::from_bits(table.qos_max as u8).unwrap_or_default(),
        identity: identity(table)?,
        ..table.config.clone()
    })
}

/// Who clients are, and what they may do.
fn identity(table: &Table) -> Result<Identity, String> {
    let said = &table.identity;
    let acl = match &*said.acl_file {
        "" => None,
        path => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| crate::joined(&["cannot read ", path, ": ", crate::words(&error)]))?;
            let acl = Acl::parse(&text).map_err(|mistakes| {
                crate::joined(&[path, ": ", mistakes.first().map_or("", |it| &it.what)])
            })?;
            Some(std::sync::Arc::new(acl))
        }
    };
    Ok(Identity::new(IdentityConfig {
        acl,
        anonymous: [Some(Anonymous::Never), Some(Anonymous::Local), Some(Anonymous::Everybody), None]
            [usize::from(said.anonymous)],
        client_id_prefixes: said.client_id_prefixes.clone(),
        client_id_from_user: said.client_id_from_user,
        client_id_bound: said.client_id_bound,
        ..IdentityConfig::default()
    }))
}
