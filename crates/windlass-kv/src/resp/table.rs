//! The table of commands: what there is, how many words it takes, and where its keys stand.

use super::Run;
use super::commands::{
    connection, hashes, keys, lists, messages, server, sets, sorted, strings, transactions,
};
use super::fail::Done;

/// One command.
pub(super) struct Spec {
    /// In small letters.
    pub(super) name: &'static str,
    /// Words, the name included; if negative, at least so many.
    pub(super) arity: i16,
    pub(super) flags: u16,
    /// The first and last word that is a key, and the step between them; 0 for none, -1 for the last word.
    pub(super) keys: (i8, i8, i8),
    pub(super) group: &'static str,
    pub(super) since: &'static str,
    pub(super) summary: &'static str,
    pub(super) run: fn(&mut Run<'_, '_, '_>) -> Done,
}

pub(super) const WRITE: u16 = 1;
pub(super) const READ: u16 = 2;
pub(super) const DENY_OOM: u16 = 4;
pub(super) const FAST: u16 = 8;
/// May come before authentication.
pub(super) const NO_AUTH: u16 = 16;
/// May come from a subscriber in RESP2.
pub(super) const SUBSCRIBER: u16 = 32;
/// Is carried out at once in a transaction.
pub(super) const NOT_QUEUED: u16 = 64;
pub(super) const PUBSUB: u16 = 128;
pub(super) const ADMIN: u16 = 256;

/// The flags as `COMMAND` names them.
pub(super) const FLAGS: [(u16, &str); 7] = [
    (WRITE, "write"),
    (READ, "readonly"),
    (DENY_OOM, "denyoom"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (PUBSUB, "pubsub"),
    (ADMIN, "admin"),
];

impl Spec {
    /// Whether a command of so many words is one.
    #[inline]
    pub(super) fn takes(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }

    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// Finds commands by their names: a small table hashed by the name's bytes.
pub(super) struct Table {
    slots: Box<[(u128, u16); SLOTS]>,
}

const SLOTS: usize = 1024;
const NONE: u16 = u16::MAX;

impl Table {
    pub(super) fn new() -> Table {
        let mut table = Table { slots: Box::new([(0, NONE); SLOTS]) };
        for (at, spec) in COMMANDS.iter().enumerate() {
            let Some(packed) = pack(spec.name.as_bytes()) else { continue };
            let mut slot = slot(packed);
            while table.slots[slot].1 != NONE {
                slot = (slot + 1) % SLOTS;
            }
            table.slots[slot] = (packed, at as u16);
        }
        table
    }

    /// The command of this name, in large letters or small.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<&'static Spec> {
        let packed = pack(name)?;
        let mut slot = slot(packed);
        loop {
            match self.slots[slot] {
                (_, NONE) => return None,
                (found, at) if found == packed => return COMMANDS.get(usize::from(at)),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    pub(super) fn all(&self) -> &'static [Spec] {
        COMMANDS
    }
}

/// A name of up to 16 bytes in one number, in small letters. Only letters become letters by it, and names
/// have nothing else.
#[inline]
fn pack(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    Some(
        u128::from_le_bytes(bytes)
            | (0x2020_2020_2020_2020_2020_2020_2020_2020 >> (8 * (16 - name.len().max(1)))),
    )
}

#[inline]
fn slot(packed: u128) -> usize {
    let folded = (packed as u64) ^ ((packed >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

macro_rules! commands {
    ($($group:literal: { $($name:literal $arity:literal [$($flag:ident)*] ($first:literal $last:literal $step:literal) $since:literal $run:path, $summary:literal;)* })*) => {
        static COMMANDS: &[Spec] = &[$($(Spec {
            name: $name,
            arity: $arity,
            flags: 0 $(| $flag)*,
            keys: ($first, $last, $step),
            group: $group,
            since: $since,
            summary: $summary,
            run: $run,
        },)*)*];
    };
}

commands! {
    "string": {
        "get" 2 [READ FAST] (1 1 1) "1.0.0" strings::get, "Returns the string value of a key.";
        "set" -3 [WRITE DENY_OOM] (1 1 1) "1.0.0" strings::set, "Sets the string value of a key, with an expiry or a condition if asked for.";
        "setnx" 3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::setnx, "Sets a key that does not exist.";
        "setex" 4 [WRITE DENY_OOM] (1 1 1) "2.0.0" strings::setex, "Sets a key and its expiry in seconds.";
        "psetex" 4 [WRITE DENY_OOM] (1 1 1) "2.6.0" strings::setex, "Sets a key and its expiry in milliseconds.";
        "getset" 3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::getset, "Sets a key and returns what it held.";
        "getdel" 2 [WRITE FAST] (1 1 1) "6.2.0" strings::getdel, "Returns the value of a key and deletes it.";
        "getex" -2 [WRITE FAST] (1 1 1) "6.2.0" strings::getex, "Returns the value of a key and sets its expiry.";
        "mget" -2 [READ FAST] (1 -1 1) "1.0.0" strings::mget, "Returns the values of several keys.";
        "mset" -3 [WRITE DENY_OOM] (1 -1 2) "1.0.1" strings::mset, "Sets several keys.";
        "msetnx" -3 [WRITE DENY_OOM] (1 -1 2) "1.0.1" strings::msetnx, "Sets several keys if none of them exists.";
        "append" 3 [WRITE DENY_OOM FAST] (1 1 1) "2.0.0" strings::append, "Appends to the value of a key.";
        "strlen" 2 [READ FAST] (1 1 1) "2.2.0" strings::strlen, "Returns the length of a value.";
        "incr" 2 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::incr, "Adds one to an integer.";
        "decr" 2 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::decr, "Takes one from an integer.";
        "incrby" 3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::incrby, "Adds to an integer.";
        "decrby" 3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" strings::decrby, "Takes from an integer.";
        "incrbyfloat" 3 [WRITE DENY_OOM FAST] (1 1 1) "2.6.0" strings::incrbyfloat, "Adds to a number with a fraction.";
        "getrange" 4 [READ] (1 1 1) "2.4.0" strings::getrange, "Returns a part of a value.";
        "substr" 4 [READ] (1 1 1) "1.0.0" strings::getrange, "Returns a part of a value: an old name of GETRANGE.";
        "setrange" 4 [WRITE DENY_OOM] (1 1 1) "2.2.0" strings::setrange, "Overwrites a part of a value.";
    }
    "generic": {
        "del" -2 [WRITE] (1 -1 1) "1.0.0" keys::del, "Deletes keys.";
        "unlink" -2 [WRITE FAST] (1 -1 1) "4.0.0" keys::del, "Deletes keys.";
        "exists" -2 [READ FAST] (1 -1 1) "1.0.0" keys::exists, "Counts which of the keys exist.";
        "touch" -2 [READ FAST] (1 -1 1) "3.2.1" keys::touch, "Counts which of the keys exist, as a use of them.";
        "expire" -3 [WRITE FAST] (1 1 1) "1.0.0" keys::expire, "Sets the expiry of a key in seconds.";
        "pexpire" -3 [WRITE FAST] (1 1 1) "2.6.0" keys::expire, "Sets the expiry of a key in milliseconds.";
        "expireat" -3 [WRITE FAST] (1 1 1) "1.2.0" keys::expire, "Sets the expiry of a key as a Unix time.";
        "pexpireat" -3 [WRITE FAST] (1 1 1) "2.6.0" keys::expire, "Sets the expiry of a key as a Unix time in milliseconds.";
        "ttl" 2 [READ FAST] (1 1 1) "1.0.0" keys::ttl, "Returns the seconds until a key expires.";
        "pttl" 2 [READ FAST] (1 1 1) "2.6.0" keys::ttl, "Returns the milliseconds until a key expires.";
        "expiretime" 2 [READ FAST] (1 1 1) "7.0.0" keys::ttl, "Returns the expiry of a key as a Unix time.";
        "pexpiretime" 2 [READ FAST] (1 1 1) "7.0.0" keys::ttl, "Returns the expiry of a key as a Unix time in milliseconds.";
        "persist" 2 [WRITE FAST] (1 1 1) "2.2.0" keys::persist, "Takes the expiry of a key away.";
        "type" 2 [READ FAST] (1 1 1) "1.0.0" keys::kind, "Returns the type of a value.";
        "keys" 2 [READ] (0 0 0) "1.0.0" keys::keys, "Returns all keys that match a pattern.";
        "scan" -2 [READ] (0 0 0) "2.8.0" keys::scan, "Returns the keys in steps.";
        "rename" 3 [WRITE] (1 2 1) "1.0.0" keys::rename, "Renames a key.";
        "renamenx" 3 [WRITE FAST] (1 2 1) "1.0.0" keys::renamenx, "Renames a key if the new name is free.";
        "copy" -3 [WRITE DENY_OOM] (1 2 1) "6.2.0" keys::copy, "Copies the value of a key to another.";
        "randomkey" 1 [READ] (0 0 0) "1.0.0" keys::randomkey, "Returns a random key.";
        "object" -2 [READ] (2 2 1) "2.2.3" keys::object, "Tells how a value is kept.";
    }
    "list": {
        "lpush" -3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" lists::lpush, "Adds elements before the first.";
        "rpush" -3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" lists::rpush, "Adds elements behind the last.";
        "lpushx" -3 [WRITE DENY_OOM FAST] (1 1 1) "2.2.0" lists::lpushx, "Adds elements before the first of a list that exists.";
        "rpushx" -3 [WRITE DENY_OOM FAST] (1 1 1) "2.2.0" lists::rpushx, "Adds elements behind the last of a list that exists.";
        "lpop" -2 [WRITE FAST] (1 1 1) "1.0.0" lists::lpop, "Removes and returns the first elements.";
        "rpop" -2 [WRITE FAST] (1 1 1) "1.0.0" lists::rpop, "Removes and returns the last elements.";
        "llen" 2 [READ FAST] (1 1 1) "1.0.0" lists::llen, "Returns the length of a list.";
        "lrange" 4 [READ] (1 1 1) "1.0.0" lists::lrange, "Returns a range of elements.";
        "lindex" 3 [READ] (1 1 1) "1.0.0" lists::lindex, "Returns the element at a position.";
        "lset" 4 [WRITE DENY_OOM] (1 1 1) "1.0.0" lists::lset, "Sets the element at a position.";
        "linsert" 5 [WRITE DENY_OOM] (1 1 1) "2.2.0" lists::linsert, "Inserts an element before or behind another.";
        "lrem" 4 [WRITE] (1 1 1) "1.0.0" lists::lrem, "Removes equal elements.";
        "ltrim" 4 [WRITE] (1 1 1) "1.0.0" lists::ltrim, "Keeps a range of elements.";
        "lpos" -3 [READ] (1 1 1) "6.0.6" lists::lpos, "Returns where an element stands first.";
        "lmove" 5 [WRITE DENY_OOM] (1 2 1) "6.2.0" lists::lmove, "Moves an element from one list to another.";
        "rpoplpush" 3 [WRITE DENY_OOM] (1 2 1) "1.2.0" lists::lmove, "Moves the last element of a list before the first of another.";
    }
    "hash": {
        "hset" -4 [WRITE DENY_OOM FAST] (1 1 1) "2.0.0" hashes::hset, "Sets fields of a hash.";
        "hmset" -4 [WRITE DENY_OOM FAST] (1 1 1) "2.0.0" hashes::hset, "Sets fields of a hash.";
        "hsetnx" 4 [WRITE DENY_OOM FAST] (1 1 1) "2.0.0" hashes::hsetnx, "Sets a field that does not exist.";
        "hget" 3 [READ FAST] (1 1 1) "2.0.0" hashes::hget, "Returns the value of a field.";
        "hmget" -3 [READ FAST] (1 1 1) "2.0.0" hashes::hmget, "Returns the values of fields.";
        "hgetall" 2 [READ] (1 1 1) "2.0.0" hashes::hgetall, "Returns all fields and values.";
        "hkeys" 2 [READ] (1 1 1) "2.0.0" hashes::hgetall, "Returns all fields.";
        "hvals" 2 [READ] (1 1 1) "2.0.0" hashes::hgetall, "Returns all values.";
        "hdel" -3 [WRITE FAST] (1 1 1) "2.0.0" hashes::hdel, "Deletes fields.";
        "hlen" 2 [READ FAST] (1 1 1) "2.0.0" hashes::hlen, "Returns the number of fields.";
        "hexists" 3 [READ FAST] (1 1 1) "2.0.0" hashes::hexists, "Tells whether a field exists.";
        "hstrlen" 3 [READ FAST] (1 1 1) "3.2.0" hashes::hstrlen, "Returns the length of a field's value.";
        "hincrby" 4 [WRITE DENY_OOM FAST] (1 1 1) "2.0.0" hashes::hincrby, "Adds to an integer in a field.";
        "hincrbyfloat" 4 [WRITE DENY_OOM FAST] (1 1 1) "2.6.0" hashes::hincrbyfloat, "Adds to a number with a fraction in a field.";
        "hscan" -3 [READ] (1 1 1) "2.8.0" hashes::hscan, "Returns the fields and values in steps.";
    }
    "set": {
        "sadd" -3 [WRITE DENY_OOM FAST] (1 1 1) "1.0.0" sets::sadd, "Adds members.";
        "srem" -3 [WRITE FAST] (1 1 1) "1.0.0" sets::srem, "Removes members.";
        "sismember" 3 [READ FAST] (1 1 1) "1.0.0" sets::sismember, "Tells whether it is a member.";
        "smismember" -3 [READ FAST] (1 1 1) "6.2.0" sets::smismember, "Tells of each whether it is a member.";
        "smembers" 2 [READ] (1 1 1) "1.0.0" sets::smembers, "Returns all members.";
        "scard" 2 [READ FAST] (1 1 1) "1.0.0" sets::scard, "Returns the number of members.";
        "spop" -2 [WRITE FAST] (1 1 1) "1.0.0" sets::spop, "Removes and returns random members.";
        "srandmember" -2 [READ] (1 1 1) "1.0.0" sets::srandmember, "Returns random members.";
        "sinter" -2 [READ] (1 -1 1) "1.0.0" sets::sinter, "Returns what all sets have in common.";
        "sunion" -2 [READ] (1 -1 1) "1.0.0" sets::sunion, "Returns the members of all sets.";
        "sdiff" -2 [READ] (1 -1 1) "1.0.0" sets::sdiff, "Returns the members of the first set that no other has.";
        "smove" 4 [WRITE FAST] (1 2 1) "1.0.0" sets::smove, "Moves a member to another set.";
        "sscan" -3 [READ] (1 1 1) "2.8.0" sets::sscan, "Returns the members in steps.";
    }
    "sorted-set": {
        "zadd" -4 [WRITE DENY_OOM FAST] (1 1 1) "1.2.0" sorted::zadd, "Adds members with their scores.";
        "zincrby" 4 [WRITE DENY_OOM FAST] (1 1 1) "1.2.0" sorted::zincrby, "Adds to the score of a member.";
        "zrem" -3 [WRITE FAST] (1 1 1) "1.2.0" sorted::zrem, "Removes members.";
        "zscore" 3 [READ FAST] (1 1 1) "1.2.0" sorted::zscore, "Returns the score of a member.";
        "zmscore" -3 [READ FAST] (1 1 1) "6.2.0" sorted::zmscore, "Returns the scores of members.";
        "zcard" 2 [READ FAST] (1 1 1) "1.2.0" sorted::zcard, "Returns the number of members.";
        "zcount" 4 [READ FAST] (1 1 1) "2.0.0" sorted::zcount, "Counts the members with scores in a range.";
        "zrank" 3 [READ FAST] (1 1 1) "2.0.0" sorted::zrank, "Returns the position of a member.";
        "zrevrank" 3 [READ FAST] (1 1 1) "2.0.0" sorted::zrank, "Returns the position of a member from the end.";
        "zrange" -4 [READ] (1 1 1) "1.2.0" sorted::zrange, "Returns members in a range of positions or scores.";
        "zrevrange" -4 [READ] (1 1 1) "1.2.0" sorted::zrange, "Returns members in a range of positions, from the end.";
        "zrangebyscore" -4 [READ] (1 1 1) "1.0.5" sorted::zrange, "Returns members in a range of scores.";
        "zrevrangebyscore" -4 [READ] (1 1 1) "2.2.0" sorted::zrange, "Returns members in a range of scores, from the end.";
        "zpopmin" -2 [WRITE FAST] (1 1 1) "5.0.0" sorted::zpop, "Removes and returns the members of the lowest scores.";
        "zpopmax" -2 [WRITE FAST] (1 1 1) "5.0.0" sorted::zpop, "Removes and returns the members of the highest scores.";
        "zscan" -3 [READ] (1 1 1) "2.8.0" sorted::zscan, "Returns the members and scores in steps.";
    }
    "connection": {
        "ping" -1 [FAST SUBSCRIBER] (0 0 0) "1.0.0" connection::ping, "Answers.";
        "echo" 2 [FAST] (0 0 0) "1.0.0" connection::echo, "Returns what was sent.";
        "select" 2 [FAST] (0 0 0) "1.0.0" connection::select, "Chooses the keyspace: there is one, number 0.";
        "auth" -2 [FAST NO_AUTH] (0 0 0) "1.0.0" connection::auth, "Says the password.";
        "hello" -1 [FAST NO_AUTH] (0 0 0) "6.0.0" connection::hello, "Chooses the version of the protocol.";
        "client" -2 [] (0 0 0) "2.4.0" connection::client, "Tells about connections.";
        "reset" 1 [FAST NO_AUTH SUBSCRIBER NOT_QUEUED] (0 0 0) "6.2.0" connection::reset, "Makes the connection as good as new.";
        "quit" -1 [FAST NO_AUTH SUBSCRIBER NOT_QUEUED] (0 0 0) "1.0.0" connection::quit, "Ends the connection.";
    }
    "pubsub": {
        "subscribe" -2 [PUBSUB SUBSCRIBER] (0 0 0) "2.0.0" messages::subscribe, "Listens to channels.";
        "unsubscribe" -1 [PUBSUB SUBSCRIBER] (0 0 0) "2.0.0" messages::unsubscribe, "Stops listening to channels.";
        "psubscribe" -2 [PUBSUB SUBSCRIBER] (0 0 0) "2.0.0" messages::psubscribe, "Listens to channels that match patterns.";
        "punsubscribe" -1 [PUBSUB SUBSCRIBER] (0 0 0) "2.0.0" messages::punsubscribe, "Stops listening to patterns.";
        "publish" 3 [PUBSUB FAST] (0 0 0) "2.0.0" messages::publish, "Sends a message to a channel.";
        "pubsub" -2 [PUBSUB] (0 0 0) "2.8.0" messages::pubsub, "Tells about channels.";
    }
    "transactions": {
        "multi" 1 [FAST NOT_QUEUED] (0 0 0) "1.2.0" transactions::multi, "Begins a transaction.";
        "exec" 1 [NOT_QUEUED] (0 0 0) "1.2.0" transactions::exec, "Carries a transaction out.";
        "discard" 1 [FAST NOT_QUEUED] (0 0 0) "2.0.0" transactions::discard, "Gives a transaction up.";
        "watch" -2 [FAST NOT_QUEUED] (1 -1 1) "2.2.0" transactions::watch, "Watches keys: the next transaction fails if they change.";
        "unwatch" 1 [FAST] (0 0 0) "2.2.0" transactions::unwatch, "Watches no keys any more.";
    }
    "server": {
        "info" -1 [] (0 0 0) "1.0.0" server::info, "Returns figures about the server.";
        "command" -1 [] (0 0 0) "2.8.13" server::command, "Tells about commands.";
        "config" -2 [ADMIN] (0 0 0) "2.0.0" server::config, "Returns settings.";
        "dbsize" 1 [READ FAST] (0 0 0) "1.0.0" server::dbsize, "Returns the number of keys.";
        "flushall" -1 [WRITE] (0 0 0) "1.0.0" server::flush, "Deletes all keys.";
        "flushdb" -1 [WRITE] (0 0 0) "1.0.0" server::flush, "Deletes all keys.";
        "memory" -2 [READ] (2 2 1) "4.0.0" server::memory, "Tells what a key takes.";
        "time" 1 [FAST] (0 0 0) "2.6.0" server::time, "Returns the time.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_letters() {
        let table = Table::new();
        for spec in COMMANDS {
            for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
                assert_eq!(table.find(name.as_bytes()).map(|found| found.name), Some(spec.name));
            }
            assert!(spec.name.bytes().all(|byte| byte.is_ascii_lowercase()) && spec.name.len() <= 16);
            assert!(spec.arity != 0 && spec.summary.ends_with('.'), "{}", spec.name);
        }
        for none in ["", "g", "gett", "ge\u{0}", "g et", "a name longer than sixteen bytes", "\u{0}"] {
            assert!(table.find(none.as_bytes()).is_none(), "{none:?}");
        }
    }
}
