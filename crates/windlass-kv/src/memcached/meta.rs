//! Answers meta commands.

use windlass::Conn;
use windlass::proto::memcached::{Meta, MetaVerb, Refusal};

use super::Memcached;
use crate::store::Store;

impl Memcached {
    pub(super) fn meta(&mut self, _: &mut Store, conn: &mut Conn<'_>, meta: Meta<'_>) {
        match meta.verb {
            MetaVerb::Noop => self.write(conn, b"MN\r\n"),
            _ => self.write(conn, Refusal::Unknown.reply()),
        }
    }
}
