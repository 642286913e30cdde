//! The other end: snapshots read by a client.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::schema::Schema;
use crate::bits::BitReader;
use crate::hasher::Hasher;

/// What a client sees behind one tick: names and fields.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct View {
    tick: u64,
    ids: Vec<u16>,
    values: Vec<u32>,
    width: usize,
    schema: Option<Arc<Schema>>,
}

impl View {
    /// The tick it stands behind.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// The names of the entities, in order.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// A field of an entity, in the order of the schema.
    pub fn field(&self, id: u16, field: usize) -> Option<i32> {
        let at = self.ids.binary_search(&id).ok()?;
        let of = self.schema.as_ref()?.fields.get(field)?;
        Some(of.value(self.values[at * self.width + field]))
    }

    /// The number that tells whether two ends have the same behind this tick: of a client that sees everything it is that
    /// of the room's own frame ([`Frame::hash`](crate::Frame::hash)), whatever the transport and the language. The tick is
    /// no part of it.
    pub fn hash(&self) -> u64 {
        let mut hasher = Hasher::new();
        let fields = self.schema.iter().flat_map(|schema| schema.fields.iter());
        for (at, &id) in self.ids.iter().enumerate() {
            hasher.add(id.into());
            for (field, &value) in fields.clone().zip(&self.values[at * self.width..]) {
                hasher.add(field.value(value).into());
            }
        }
        hasher.finish()
    }
}

/// Reads the snapshots that one seat is sent, in any order.
#[derive(Clone, Debug)]
pub struct SnapshotReader {
    schema: Arc<Schema>,
    views: VecDeque<View>,
}

/// Why a snapshot cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It ends too soon.
    Short,
    /// Its baseline is not here (any more).
    NoBaseline,
    /// Names are not in order, or there are too many.
    Names,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotError::Short => "a snapshot ends too soon",
            SnapshotError::NoBaseline => "a snapshot stands on one that is not here",
            SnapshotError::Names => "a snapshot names entities out of order, or too many",
        })
    }
}

impl std::error::Error for SnapshotError {}

/// Views that are kept, as baselines of those to come: a snapshot says in a byte how many ticks back its own is.
const KEPT_TICKS: u64 = 255;

impl SnapshotReader {
    /// For the snapshots of a room with this schema.
    pub fn new(schema: Schema) -> SnapshotReader {
        SnapshotReader { schema: Arc::new(schema), views: VecDeque::new() }
    }

    /// Reads the snapshot of a tick. The client confirms it with that tick's number.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; the reader is as before then, and the next may be read.
    pub fn read(&mut self, tick: u64, bytes: &[u8]) -> Result<&View, SnapshotError> {
        let (&offset, bytes) = bytes.split_first().ok_or(SnapshotError::Short)?;
        let width = self.schema.fields.len();
        let none = View { width, ..View::default() };
        let baseline = match offset {
            0 => &none,
            offset => {
                let wanted = tick.checked_sub(offset.into()).ok_or(SnapshotError::NoBaseline)?;
                self.views.iter().find(|view| view.tick == wanted).ok_or(SnapshotError::NoBaseline)?
            }
        };
        let schema = Some(self.schema.clone());
        let mut view = View { tick, width, schema, ..View::default() };
        let mut bits = BitReader::new(bytes);
        let mut read = || -> Option<Vec<(u16, Vec<u32>)>> {
            for (at, &id) in baseline.ids.iter().enumerate() {
                let was = &baseline.values[at * width..][..width];
                if !bits.flag()? {
                    view.ids.push(id);
                    view.values.extend_from_slice(was);
                } else if !bits.flag()? {
                    view.ids.push(id);
                    for (field, &was) in self.schema.fields.iter().zip(was) {
                        view.values.push(if !bits.flag()? {
                            was
                        } else if !bits.flag()? {
                            field.add_short(was, bits.take(field.small_bits())?)
                        } else {
                            bits.take(field.bits())?
                        });
                    }
                }
            }
            let mut new = Vec::new();
            while bits.flag()? {
                let id = bits.take(16)? as u16;
                let values =
                    self.schema.fields.iter().map(|field| bits.take(field.bits())).collect::<Option<_>>()?;
                new.push((id, values));
            }
            Some(new)
        };
        let new = read().ok_or(SnapshotError::Short)?;
        if view.ids.len() + new.len() > super::Frame::ENTITIES_MAX {
            return Err(SnapshotError::Names);
        }
        for (id, values) in new {
            let Err(at) = view.ids.binary_search(&id) else { return Err(SnapshotError::Names) };
            view.ids.insert(at, id);
            view.values.splice(at * width..at * width, values);
        }
        // One that comes again takes its own place: else repeated messages would push out what others stand on.
        if let Some(at) = self.views.iter().position(|old| old.tick == tick) {
            self.views[at] = view;
            return Ok(&self.views[at]);
        }
        let is_old = |old: &View| old.tick.saturating_add(KEPT_TICKS) < tick;
        while self.views.front().is_some_and(is_old) || self.views.len() as u64 > KEPT_TICKS {
            self.views.pop_front();
        }
        self.views.push_back(view);
        // Just pushed.
        self.views.back().ok_or(SnapshotError::Short)
    }
}
