//! The entities of a room behind one tick.

use std::sync::Arc;

use super::schema::Schema;
use crate::hasher::Hasher;

/// What a seat sees of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Eye {
    /// Everything.
    All,
    /// What is so near a place.
    Near {
        /// The place, in the units of [`Frame::put`].
        x: i32,
        /// The same.
        y: i32,
        /// No further from it than this.
        radius: i32,
    },
    /// Nothing: it is sent no snapshots.
    Shut,
}

/// The entities of a room as they are behind one tick: a name, a place, and the fields of its [`Schema`].
#[derive(Clone, Debug)]
pub struct Frame {
    tick: u64,
    fields: Arc<[super::Field]>,
    cell: i32,
    ids: Vec<u16>,
    /// Empty once nobody may look back so far.
    places: Vec<(i32, i32)>,
    /// The fields of each, in as many bytes as they need.
    values: Vec<u8>,
    row: usize,
    /// Where in `ids` they stand, by the cell they are in: filled when somebody asks, and of the newest alone.
    grid: Vec<(i32, i32, u32)>,
}

impl Frame {
    /// An empty frame.
    pub fn new(schema: &Schema) -> Frame {
        Frame {
            tick: 0,
            fields: schema.fields.clone(),
            cell: schema.cell,
            row: schema.row,
            ids: Vec::new(),
            places: Vec::new(),
            values: Vec::new(),
            grid: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, tick: u64) {
        self.tick = tick;
        self.ids.clear();
        self.places.clear();
        self.values.clear();
        self.grid.clear();
    }

    /// Gives away the memory of what only the newest frame has.
    pub(crate) fn take_grid(&mut self) -> Vec<(i32, i32, u32)> {
        std::mem::take(&mut self.grid)
    }

    /// Gives away the memory of what only those have that may be looked back at; nothing if it has none.
    pub(crate) fn take_places(&mut self) -> Option<Vec<(i32, i32)>> {
        (self.places.capacity() > 0).then(|| std::mem::take(&mut self.places))
    }

    /// Takes such memory of others, unless it has its own.
    pub(crate) fn take_over(&mut self, places: Option<Vec<(i32, i32)>>, grid: Vec<(i32, i32, u32)>) {
        if let Some(places) = places.filter(|_| self.places.capacity() == 0) {
            self.places = places;
        }
        if self.grid.capacity() == 0 {
            self.grid = grid;
        }
    }

    /// Entities of a frame at most; more are left out.
    pub const ENTITIES_MAX: usize = 4_096;

    /// An entity: its name, where it is, and its fields, as many as the schema has (what is missing is 0). One name for
    /// one entity; what is put again is left out.
    pub fn put(&mut self, id: u16, place: (i32, i32), values: &[i32]) {
        if self.ids.len() == Frame::ENTITIES_MAX {
            return;
        }
        // Most are put in order.
        let behind_all = self.ids.last().is_none_or(|last| *last < id);
        let at = if behind_all { Err(self.ids.len()) } else { self.ids.binary_search(&id) };
        let Err(at) = at else { return };
        let behind = self.values.len();
        let given = values.iter().copied().chain(std::iter::repeat(0));
        for (field, value) in self.fields.iter().zip(given) {
            field.keep(field.quantise(value), &mut self.values);
        }
        if at < self.ids.len() {
            let len = self.values.len() - behind;
            self.values[at * self.row..].rotate_right(len);
        }
        self.ids.insert(at, id);
        self.places.insert(at, place);
    }

    /// The tick it stands behind.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// The names of its entities, in order.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// Where an entity was, as exact as it was put.
    pub fn place(&self, id: u16) -> Option<(i32, i32)> {
        self.places.get(self.find(id)?).copied()
    }

    /// The number that tells whether two ends have the same: its entities in the order of their names, for each the name and
    /// then its fields as clients read them, each added to a [`Hasher`]. A client that sees all of it comes to the same
    /// ([`View::hash`](crate::View::hash)).
    pub fn hash(&self) -> u64 {
        let mut hasher = Hasher::new();
        for (at, &id) in self.ids.iter().enumerate() {
            hasher.add(id.into());
            let mut row = self.values_at(at);
            for field in self.fields.iter() {
                hasher.add(field.value(field.take(&mut row)).into());
            }
        }
        hasher.finish()
    }

    pub(crate) fn find(&self, id: u16) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The same for names that are asked for in order: `near` is where the last was found.
    pub(crate) fn find_from(&self, near: &mut usize, id: u16) -> Option<usize> {
        // The next one, mostly.
        let rest = self.ids.get(*near..)?;
        let found = if rest.first() == Some(&id) { 0 } else { rest.binary_search(&id).ok()? };
        *near += found + 1;
        Some(*near - 1)
    }

    /// The fields of an entity, one behind the other: each [takes](super::Field::take) its own. Equal if all of them are.
    pub(crate) fn values_at(&self, at: usize) -> &[u8] {
        &self.values[at * self.row..][..self.row]
    }

    pub(crate) fn fields(&self) -> &[super::Field] {
        &self.fields
    }

    /// A bit for each entity, where they are so few that 64 bits are enough.
    pub(crate) fn few(&self) -> Option<u64> {
        match self.ids.len() {
            0 => Some(0),
            len @ 1..=64 => Some(u64::MAX >> (64 - len)),
            _ => None,
        }
    }

    /// Those that an eye sees, as bits, if they are few: all are looked at, which is less work than to sort them.
    pub(crate) fn seen_of_few(&self, eye: Eye) -> Option<u64> {
        let few = self.few()?;
        let Eye::Near { x, y, radius } = eye else { return Some(few) };
        let mut seen = 0;
        for (at, &place) in self.places.iter().enumerate() {
            seen |= u64::from(is_near(place, (x, y), radius)) << at;
        }
        Some(seen & few)
    }

    /// The names of those with a bit, in order.
    pub(crate) fn names(&self, mut bits: u64, names: &mut Vec<u16>) {
        names.clear();
        while bits != 0 {
            names.extend(self.ids.get(bits.trailing_zeros() as usize));
            bits &= bits - 1;
        }
    }

    /// Fills the grid, for those who look near a place.
    pub(crate) fn sort(&mut self) {
        if self.grid.is_empty() {
            let cell = self.cell;
            let of =
                |(at, &(x, y)): (usize, &(i32, i32))| (x.div_euclid(cell), y.div_euclid(cell), at as u32);
            self.grid.extend(self.places.iter().enumerate().map(of));
            self.grid.sort_unstable();
        }
    }

    /// The names of those that an eye sees, in order. The frame must be sorted.
    pub(crate) fn seen(&self, eye: Eye, ids: &mut Vec<u16>) {
        ids.clear();
        let Eye::Near { x, y, radius } = eye else { return };
        let (at_place, within) = ((x, y), radius);
        let (x, y, radius) = (i64::from(x), i64::from(y), i64::from(radius.max(0)));
        let cell =
            |at: i64| at.clamp(i32::MIN.into(), i32::MAX.into()).div_euclid(i64::from(self.cell)) as i32;
        let (top, bottom) = (cell(y - radius), cell(y + radius));
        let columns = cell(x - radius)..=cell(x + radius);
        let mut at = self.grid.partition_point(|&(column, ..)| column < *columns.start());
        while let Some(&(column, row, _)) = self.grid.get(at).filter(|(column, ..)| columns.contains(column))
        {
            if row < top {
                at += self.grid[at..].partition_point(|&(c, r, _)| (c, r) < (column, top));
                continue;
            }
            if row > bottom {
                at += self.grid[at..].partition_point(|&(c, ..)| c <= column);
                continue;
            }
            let which = self.grid[at].2 as usize;
            if is_near(self.places[which], at_place, within) {
                ids.push(self.ids[which]);
            }
            at += 1;
        }
        ids.sort_unstable();
    }
}

/// Whether two places are no further apart than that.
#[inline]
fn is_near(one: (i32, i32), other: (i32, i32), radius: i32) -> bool {
    let square = |far: u32| u64::from(far) * u64::from(far);
    let (dx, dy) = (square(one.0.abs_diff(other.0)), square(one.1.abs_diff(other.1)));
    // Places are anywhere; what has no room is further than any radius.
    dx.saturating_add(dy) <= square(radius.max(0) as u32)
}
