//! Publish and subscribe.

use windlass::proto::resp::Encoder;

use super::super::fail::{Done, Fail, unknown_subcommand};
use super::super::pubsub::Kind;
use super::super::{Run, glob, upper};

/// One confirmation: what was done to which channel, and how many subscriptions there are now.
fn confirm(run: &mut Run<'_, '_, '_>, what: &[u8], name: Option<&[u8]>) {
    let n = run.session.subscriptions.as_ref().map_or(0, |all| all.len());
    let mut reply = run.reply();
    reply.push(3);
    reply.bulk(what);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(n as i64);
}

fn add(run: &mut Run<'_, '_, '_>, kind: Kind, what: &[u8]) -> Done {
    let config = &run.shared.config;
    let too_long = run.args.clone().any(|name| name.len() > config.store.key_max);
    if too_long || run.shared.pubsub.bytes_with(run.args.clone()) > config.subscriptions_max {
        return Err(Fail::Text("ERR there are more subscriptions than there may be"));
    }
    while let Some(name) = run.args.next() {
        if run.session.subscriptions.get_or_insert_default().of(kind).insert(name.into()) {
            run.shared.pubsub.add(kind, name, run.conn.id(), run.session.version);
        }
        confirm(run, what, Some(name));
    }
    Ok(())
}

fn remove(run: &mut Run<'_, '_, '_>, kind: Kind, what: &[u8]) -> Done {
    let names: Vec<Box<[u8]>> = if run.args.len() > 0 {
        run.args.clone().map(Box::from).collect()
    } else {
        let all = run.session.subscriptions.as_deref_mut();
        all.map(|all| all.of(kind).iter().cloned().collect()).unwrap_or_default()
    };
    if names.is_empty() {
        confirm(run, what, None);
    }
    for name in names {
        let all = run.session.subscriptions.as_deref_mut();
        if all.is_some_and(|all| all.of(kind).swap_remove(&name)) {
            run.shared.pubsub.remove(kind, &name, run.conn.id());
        }
        confirm(run, what, Some(&name));
    }
    if run.session.subscriptions.as_ref().is_some_and(|all| all.len() == 0) {
        run.session.subscriptions = None;
    }
    Ok(())
}

pub(crate) fn subscribe(run: &mut Run<'_, '_, '_>) -> Done {
    add(run, Kind::Channel, b"subscribe")
}

pub(crate) fn psubscribe(run: &mut Run<'_, '_, '_>) -> Done {
    add(run, Kind::Pattern, b"psubscribe")
}

pub(crate) fn unsubscribe(run: &mut Run<'_, '_, '_>) -> Done {
    remove(run, Kind::Channel, b"unsubscribe")
}

pub(crate) fn punsubscribe(run: &mut Run<'_, '_, '_>) -> Done {
    remove(run, Kind::Pattern, b"punsubscribe")
}

pub(crate) fn publish(run: &mut Run<'_, '_, '_>) -> Done {
    let (channel, text) = (run.arg(), run.arg());
    let heard = run.shared.pubsub.publish(run.conn, run.out, channel, text);
    run.integer(heard)
}

pub(crate) fn pubsub(run: &mut Run<'_, '_, '_>) -> Done {
    let what = run.arg();
    let pubsub = &run.shared.pubsub;
    let mut reply = Encoder::new(run.out, run.session.version);
    match upper(what, &mut [0; 16]) {
        b"CHANNELS" => {
            let pattern = run.args.next().unwrap_or(b"*");
            let all: Vec<&[u8]> = pubsub.channels().filter(|name| glob::matches(pattern, name)).collect();
            reply.array(all.len());
            all.into_iter().for_each(|name| reply.bulk(name));
        }
        b"NUMSUB" => {
            reply.map(run.args.len());
            for channel in run.args.clone() {
                reply.bulk(channel);
                reply.integer(pubsub.subscribers(channel) as i64);
            }
        }
        b"NUMPAT" => reply.integer(pubsub.patterns() as i64),
        _ => return Err(unknown_subcommand("pubsub", what)),
    }
    Ok(())
}
