//! The connection itself: who it is and what it speaks.

use std::fmt::Write as _;

use windlass::proto::resp::{Version, parse_decimal};

use super::super::clients::{Client, NAME_MAX};
use super::super::fail::{self, Done, Fail, SYNTAX, unknown_subcommand};
use super::super::{Run, upper};

/// The version of Redis whose commands and errors these are.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

const WRONG_PASSWORD: Fail = Fail::Text("WRONGPASS invalid username-password pair or user is disabled.");

pub(crate) fn ping(run: &mut Run<'_, '_, '_>) -> Done {
    let text = run.args.next();
    if run.args.len() > 0 {
        return Err(fail::arity("ping"));
    }
    if run.session.is_subscriber() {
        let mut reply = run.reply();
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(text.unwrap_or_default());
        return Ok(());
    }
    match text {
        Some(text) => run.reply().bulk(text),
        None => run.reply().simple("PONG"),
    }
    Ok(())
}

pub(crate) fn echo(run: &mut Run<'_, '_, '_>) -> Done {
    let text = run.arg();
    run.reply().bulk(text);
    Ok(())
}

pub(crate) fn select(run: &mut Run<'_, '_, '_>) -> Done {
    match parse_decimal(run.arg()) {
        Some(0) => run.ok(),
        Some(_) => Err(Fail::Text("ERR DB index is out of range")),
        None => Err(fail::NOT_INTEGER),
    }
}

/// Lets the connection in, if user and password are right.
fn enter(run: &mut Run<'_, '_, '_>, user: &[u8], password: &[u8]) -> Done {
    let right = match &run.shared.config.password {
        Some(secret) => secret.is(password),
        // Nobody is asked: `default` may say whatever it likes, as in Redis.
        None => true,
    };
    if !right || user != b"default" {
        return Err(WRONG_PASSWORD);
    }
    if !run.session.authenticated {
        run.session.authenticated = true;
        run.session.decoder.set_unauthenticated(false);
        run.conn.cancel_wake();
    }
    Ok(())
}

pub(crate) fn auth(run: &mut Run<'_, '_, '_>) -> Done {
    let (first, second) = (run.arg(), run.args.next());
    if run.args.len() > 0 {
        return Err(SYNTAX);
    }
    if second.is_none() && run.shared.config.password.is_none() {
        return Err(Fail::Text(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ));
    }
    match second {
        Some(password) => enter(run, first, password)?,
        None => enter(run, b"default", first)?,
    }
    run.ok()
}

pub(crate) fn hello(run: &mut Run<'_, '_, '_>) -> Done {
    let mut version = run.session.version;
    if let Some(text) = run.args.next() {
        version = match parse_decimal(text) {
            Some(2) => Version::Resp2,
            Some(3) => Version::Resp3,
            Some(_) => return Err(Fail::Text("NOPROTO unsupported protocol version")),
            None => return Err(Fail::Text("ERR Protocol version is not an integer or out of range")),
        };
    }
    let mut name = None;
    while let Some(option) = run.args.next() {
        match upper(option, &mut [0; 16]) {
            b"AUTH" if run.args.len() >= 2 => {
                let (user, password) = (run.arg(), run.arg());
                enter(run, user, password)?;
            }
            b"SETNAME" if run.args.len() >= 1 => name = Some(check_name(run.arg())?),
            _ => {
                let option = String::from_utf8_lossy(option).replace(char::is_control, " ");
                return Err(Fail::Said(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
    }
    if !run.session.authenticated {
        return Err(Fail::Text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        run.shared.clients.name(run.session.id, name);
    }
    set_version(run, version);
    let id = run.session.id;
    let mut reply = run.reply();
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if version == Version::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id as i64);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn set_version(run: &mut Run<'_, '_, '_>, version: Version) {
    run.session.version = version;
    if let Some(subscriptions) = &run.session.subscriptions {
        run.shared.pubsub.set_version(run.conn.id(), subscriptions, version);
    }
}

pub(crate) fn reset(run: &mut Run<'_, '_, '_>) -> Done {
    run.session.transaction = None;
    run.shared.pubsub.leave(run.conn.id(), run.session.subscriptions.take());
    run.shared.clients.name(run.session.id, None);
    run.session.version = Version::Resp2;
    if run.shared.config.password.is_some() && run.session.authenticated {
        run.session.authenticated = false;
        run.session.decoder.set_unauthenticated(true);
        run.conn.wake_at(run.conn.now() + run.shared.config.auth_timeout);
    }
    run.reply().simple("RESET");
    Ok(())
}

pub(crate) fn quit(run: &mut Run<'_, '_, '_>) -> Done {
    run.close = true;
    run.ok()
}

/// A name that can stand in a line of `CLIENT LIST`; none if it is empty.
fn check_name(name: &[u8]) -> Result<Option<Box<[u8]>>, Fail> {
    if name.len() > NAME_MAX || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Fail::Text("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    Ok((!name.is_empty()).then(|| name.into()))
}

/// The line of one client.
fn line(run: &mut Run<'_, '_, '_>, id: u64) -> String {
    let now = run.store.now();
    let Some(Client { conn, since, name }) = run.shared.clients.get(id) else { return String::new() };
    let address = if *conn == run.conn.id() {
        run.conn.peer().to_string()
    } else {
        run.conn.other(*conn).map(|other| other.peer().to_string()).unwrap_or_default()
    };
    let name = String::from_utf8_lossy(name.as_deref().unwrap_or_default());
    let mut line =
        format!("id={id} addr={address} name={name} age={} db=0", now.saturating_sub(*since) / 1000);
    if *conn == run.conn.id() {
        let session = &run.session;
        let (channels, patterns) =
            session.subscriptions.as_ref().map_or((0, 0), |all| (all.channels.len(), all.patterns.len()));
        let multi = session.transaction.as_ref().filter(|it| it.begun()).map_or(-1, |it| it.count as i64);
        let version = if session.version == Version::Resp3 { 3 } else { 2 };
        let _ = write!(line, " sub={channels} psub={patterns} multi={multi} cmd=client resp={version}");
    }
    line
}

pub(crate) fn client(run: &mut Run<'_, '_, '_>) -> Done {
    let (what, given) = (run.arg(), run.args.len());
    let id = run.session.id;
    let unknown = || unknown_subcommand("client", what);
    match (upper(what, &mut [0; 16]), given) {
        (b"ID", 0) => run.integer(id as usize),
        (b"GETNAME", 0) => {
            let name = run.shared.clients.get(id).and_then(|client| client.name.clone());
            match name {
                Some(name) => run.reply().bulk(&name),
                None => run.reply().null(),
            }
            Ok(())
        }
        (b"SETNAME", 1) => {
            let name = check_name(run.arg())?;
            run.shared.clients.name(id, name);
            run.ok()
        }
        (b"SETINFO", 2) => match upper(run.arg(), &mut [0; 16]) {
            b"LIB-NAME" | b"LIB-VER" => run.ok(),
            _ => Err(Fail::Text("ERR Unrecognized option")),
        },
        (b"INFO", 0) => {
            let line = line(run, id);
            run.reply().verbatim(format!("{line}\n").as_bytes());
            Ok(())
        }
        (b"LIST", _) => {
            let ids: Vec<u64> = run.shared.clients.iter().map(|(id, _)| id).collect();
            let lines: Vec<String> = ids.into_iter().map(|id| line(run, id) + "\n").collect();
            run.reply().verbatim(lines.concat().as_bytes());
            Ok(())
        }
        (b"KILL", 2) if run.arg().eq_ignore_ascii_case(b"ID") => {
            let id = parse_decimal(run.arg()).ok_or(Fail::Text("ERR client-id should be greater than 0"))?;
            let conn = run.shared.clients.get(id as u64).map(|client| client.conn);
            let found = conn.is_some();
            match conn {
                Some(conn) if conn == run.conn.id() => run.close = true,
                Some(conn) => {
                    if let Some(mut other) = run.conn.other(conn) {
                        other.close();
                    }
                }
                None => {}
            }
            run.integer(usize::from(found))
        }
        (b"NO-EVICT" | b"NO-TOUCH", 1) => run.ok(),
        (b"ID" | b"GETNAME" | b"SETNAME" | b"SETINFO" | b"INFO", _) => {
            let what = String::from_utf8_lossy(what).to_lowercase();
            Err(fail::arity(&format!("client|{what}")))
        }
        _ => Err(unknown()),
    }
}
