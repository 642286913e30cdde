//! Transactions: commands carried out one after the other, with nobody else's between.

use windlass::proto::resp::{Commands, RespLimits};
use windlass::proto::{Decode, Input};

use super::super::fail::{Done, Fail};
use super::super::transaction::{Transaction, WATCHED_BYTES, WATCHED_MAX};
use super::super::{FLUSH_BYTES, Run, spill, write_fail};

pub(crate) fn multi(run: &mut Run<'_, '_, '_>) -> Done {
    let transaction = run.session.transaction.get_or_insert_with(|| Transaction::new(&run.shared.holdings));
    if transaction.begun() {
        return Err(Fail::Text("ERR MULTI calls can not be nested"));
    }
    transaction.begin();
    run.ok()
}

pub(crate) fn discard(run: &mut Run<'_, '_, '_>) -> Done {
    if !run.session.transaction.as_ref().is_some_and(|transaction| transaction.begun()) {
        return Err(Fail::Text("ERR DISCARD without MULTI"));
    }
    run.session.transaction = None;
    run.ok()
}

pub(crate) fn exec(run: &mut Run<'_, '_, '_>) -> Done {
    let Some(mut transaction) = run.session.transaction.take_if(|transaction| transaction.begun()) else {
        return Err(Fail::Text("ERR EXEC without MULTI"));
    };
    if transaction.is_spoiled() {
        return Err(Fail::Text("EXECABORT Transaction discarded because of previous errors."));
    }
    let changed = |(key, version): &(Box<[u8]>, u64)| version_of(run, key) != *version;
    if transaction.watched.iter().any(changed) {
        run.reply().null_array();
        return Ok(());
    }
    run.reply().array(transaction.count);
    // They were checked when they were queued.
    let mut decoder = Commands::new(RespLimits::default());
    let mut input = Input::new(&mut transaction.queued);
    while let Ok(Some(command)) = decoder.decode(&mut input) {
        let mut args = command.args();
        let Some(spec) = run.table.find(args.next().unwrap_or_default()) else { continue };
        if run.out.len() >= FLUSH_BYTES {
            spill(run.out, run.conn);
        }
        let at = run.out.len();
        let mut inner = Run {
            store: run.store,
            shared: run.shared,
            table: run.table,
            session: run.session,
            conn: run.conn,
            out: run.out,
            spec,
            args,
            close: false,
        };
        let done = (spec.run)(&mut inner);
        run.close |= inner.close;
        if let Err(fail) = done {
            run.out.truncate(at);
            write_fail(run.out, run.session.version, &mut run.shared.counts, fail);
        }
    }
    Ok(())
}

/// The version of what a key holds; 0 if it holds nothing.
fn version_of(run: &mut Run<'_, '_, '_>, key: &[u8]) -> u64 {
    run.store.peek(key).map_or(0, |entry| entry.version())
}

pub(crate) fn watch(run: &mut Run<'_, '_, '_>) -> Done {
    if run.session.transaction.as_ref().is_some_and(|transaction| transaction.begun()) {
        return Err(Fail::Text("ERR WATCH inside MULTI is not allowed"));
    }
    while let Some(key) = run.args.next() {
        if key.len() > run.store.config().key_max {
            return Err(Fail::Text("ERR key is longer than it may be"));
        }
        let version = version_of(run, key);
        let holdings = &run.shared.holdings;
        let transaction = run.session.transaction.get_or_insert_with(|| Transaction::new(holdings));
        let watched = &transaction.watched;
        if watched.iter().any(|(other, _)| **other == *key) {
            continue;
        }
        if watched.len() == WATCHED_MAX {
            return Err(Fail::Text("ERR more keys watched than may be"));
        }
        if !transaction.hold(key.len() + WATCHED_BYTES, run.shared.config.transactions_max) {
            return Err(Fail::Text("ERR the transactions of all clients are longer than they may be"));
        }
        transaction.watched.push((key.into(), version));
    }
    run.ok()
}

pub(crate) fn unwatch(run: &mut Run<'_, '_, '_>) -> Done {
    match &mut run.session.transaction {
        Some(transaction) if transaction.begun() => transaction.watched.clear(),
        _ => run.session.transaction = None,
    }
    run.ok()
}
