//! Who is connected, for `CLIENT`.

use indexmap::IndexMap;
use windlass::ConnId;

/// The connections that speak RESP, by the number that clients know them by.
#[derive(Default)]
pub(super) struct Clients {
    last: u64,
    all: IndexMap<u64, Client>,
}

/// What is known of one.
pub(super) struct Client {
    pub(super) conn: ConnId,
    /// Unix time at which it came, in milliseconds.
    pub(super) since: u64,
    pub(super) name: Option<Box<[u8]>>,
}

/// Bytes of the longest name.
pub(super) const NAME_MAX: usize = 256;

impl Clients {
    pub(super) fn add(&mut self, conn: ConnId, since: u64) -> u64 {
        self.last += 1;
        self.all.insert(self.last, Client { conn, since, name: None });
        self.last
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.all.swap_remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Client> {
        self.all.get(&id)
    }

    pub(super) fn name(&mut self, id: u64, name: Option<Box<[u8]>>) {
        if let Some(client) = self.all.get_mut(&id) {
            client.name = name;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Client)> {
        self.all.iter().map(|(id, client)| (*id, client))
    }
}
