//! A disk in memory that does what disks do when the power goes, by a seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
#[allow(
    clippy::disallowed_types,
    reason = "a disk is one thing for all who use it, and no worker waits for it"
)]
use std::sync::Mutex;
use std::sync::{MutexGuard, PoisonError};

use windlass_proto::testing::Rng;

use super::{Disk, DiskFile, DiskLock};

/// How a simulated disk misbehaves. Plain data; the default does not.
#[derive(Clone, Debug, Default)]
pub struct SimPlan {
    /// Bytes that fit, over all files; 0: any number.
    pub capacity: usize,
    /// One sync in so many fails; 0: none.
    pub sync_fails: u64,
    /// One append in so many fails, with a part of it written; 0: none.
    pub append_fails: u64,
    /// One creation, renaming, removal or sync of names in so many fails; 0: none.
    pub names_fail: u64,
    /// The power goes after so many calls: from then on all of them fail.
    pub calls_max: Option<u64>,
}

/// A simulated disk. Clones are the same one.
///
/// What was synced stays. [`SimDisk::crash`] gives the disk as it is found after the power went: of each file, bytes
/// that were not synced are there, or lost, or there in part, or something else; of names that were not synced, any.
///
/// ```
/// use windlass_hub::journal::{Disk, SimDisk, SimPlan};
///
/// let mut disk = SimDisk::new(7, SimPlan::default());
/// let mut file = disk.create("a")?;
/// file.append(b"kept")?;
/// file.sync()?;
/// disk.sync_names()?;
/// file.append(b" or not")?;
///
/// let mut bytes = Vec::new();
/// disk.crash().read("a", 100, &mut bytes)?;
/// assert!(bytes.starts_with(b"kept"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimDisk {
    #[allow(clippy::disallowed_types, reason = "as above")]
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug)]
struct State {
    files: Vec<Contents>,
    /// What a process sees.
    names: BTreeMap<String, usize>,
    /// What is so after a loss of power, and what has been done since, which may or may not be.
    synced_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    plan: SimPlan,
    calls: u64,
    used: usize,
    locked: bool,
    rng: Rng,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// Of them: those that stay.
    synced: usize,
    /// Where bytes begin that a failed sync has let go of: they look written, and no later sync saves them.
    gone_from: Option<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Is(String, usize),
    Gone(String),
}

impl SimDisk {
    /// An empty one.
    pub fn new(seed: u64, plan: SimPlan) -> SimDisk {
        SimDisk::of(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            plan,
            calls: 0,
            used: 0,
            locked: false,
            rng: Rng::new(seed),
        })
    }

    #[allow(clippy::disallowed_types, reason = "as above")]
    fn of(state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Misbehaves otherwise from now on; calls are counted anew.
    pub fn set_plan(&self, plan: SimPlan) {
        let mut state = self.state();
        state.calls = 0;
        state.plan = plan;
    }

    /// How many calls have been made since the plan was set.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The disk of the next start after a loss of power, without faults. This one goes on as it is.
    pub fn crash(&self) -> SimDisk {
        let state = &mut *self.state();
        let mut names = state.synced_names.clone();
        for change in &state.changes {
            if state.rng.chance(1, 2) {
                continue;
            }
            match change {
                Change::Is(name, file) => {
                    names.insert(name.clone(), *file);
                }
                Change::Gone(name) => {
                    names.remove(name);
                }
            }
        }
        let mut files = state.files.clone();
        for file in &mut files {
            file.survive(&mut state.rng);
        }
        SimDisk::of(State {
            used: names.values().map(|file| files[*file].bytes.len()).sum(),
            files,
            synced_names: names.clone(),
            names,
            changes: Vec::new(),
            plan: SimPlan::default(),
            calls: 0,
            locked: false,
            rng: Rng::new(state.rng.next_u64()),
        })
    }

    /// The disk of the next start after the process was killed: the system has all that was written.
    pub fn kill(&self) -> SimDisk {
        let mut state = self.state().clone();
        state.locked = false;
        state.plan = SimPlan::default();
        SimDisk::of(state)
    }

    /// The bytes of a file as they are, to look at or to garble; `None` if there is none.
    pub fn edit<T>(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        let mut state = self.state();
        let file = *state.names.get(name)?;
        let file = &mut state.files[file];
        let result = edit(&mut file.bytes);
        file.synced = file.bytes.len();
        Some(result)
    }

    /// A file of these bytes, synced.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let number = state.files.len();
        state.used += bytes.len();
        state.files.push(Contents { synced: bytes.len(), bytes, gone_from: None });
        state.names.insert(name.into(), number);
        state.synced_names.insert(name.into(), number);
    }
}

impl Contents {
    /// What is left of it when the power goes.
    fn survive(&mut self, rng: &mut Rng) {
        let unsynced = self.bytes.len() - self.synced;
        if unsynced > 0 {
            match rng.below(4) {
                0 => {}
                1 => self.bytes.truncate(self.synced),
                2 => self.bytes.truncate(self.synced + rng.below(unsynced as u64) as usize),
                // The length was written, and only some of the blocks.
                _ => {
                    let from = self.synced + rng.below(unsynced as u64) as usize;
                    let to = from + 1 + rng.below((self.bytes.len() - from) as u64) as usize;
                    let zero = rng.chance(1, 2);
                    for byte in &mut self.bytes[from..to] {
                        *byte = if zero { 0 } else { rng.next_u64() as u8 };
                    }
                }
            }
        }
        self.gone_from = None;
        self.synced = self.bytes.len();
    }
}

impl State {
    /// Counts a call. An error from the moment the power goes, or by chance: one in `fails`.
    fn call(&mut self, fails: u64) -> io::Result<()> {
        if self.plan.calls_max.is_some_and(|max| self.calls >= max) {
            return Err(io::Error::other("the power is gone"));
        }
        self.calls += 1;
        if fails > 0 && self.rng.below(fails) == 0 {
            return Err(io::Error::other("the disk has failed"));
        }
        Ok(())
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Is(name, file) => self.names.insert(name.clone(), *file),
            Change::Gone(name) => self.names.remove(name),
        };
        self.changes.push(change);
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&mut self, name: &str, max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let state = self.state();
        let bytes = &state.files[state.file(name)?].bytes;
        into.clear();
        into.extend_from_slice(&bytes[..bytes.len().min(usize::try_from(max).unwrap_or(usize::MAX))]);
        Ok(())
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let fails = state.plan.names_fail;
        state.call(fails)?;
        let before = state.names.get(name).map_or(0, |file| state.files[*file].bytes.len());
        state.used -= before;
        let number = state.files.len();
        state.files.push(Contents::default());
        state.change(Change::Is(name.into(), number));
        Ok(Box::new(SimFile { disk: self.clone(), number }))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let number = self.state().file(name)?;
        SimFile { disk: self.clone(), number }.sync()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.plan.names_fail;
        state.call(fails)?;
        let file = state.file(from)?;
        let before = state.names.get(to).map_or(0, |file| state.files[*file].bytes.len());
        state.used -= before;
        state.change(Change::Is(to.into(), file));
        state.change(Change::Gone(from.into()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.plan.names_fail;
        state.call(fails)?;
        let file = state.file(name)?;
        state.used -= state.files[file].bytes.len();
        state.change(Change::Gone(name.into()));
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.plan.names_fail;
        state.call(fails)?;
        state.synced_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn lock(&mut self) -> io::Result<Option<DiskLock>> {
        if std::mem::replace(&mut self.state().locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Locked(self.clone()))))
    }
}

struct Locked(SimDisk);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

struct SimFile {
    disk: SimDisk,
    number: usize,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.plan.append_fails;
        let called = state.call(fails);
        let room = match state.plan.capacity {
            0 => bytes.len(),
            capacity => capacity.saturating_sub(state.used).min(bytes.len()),
        };
        let taken = match &called {
            Ok(()) => room,
            Err(_) => state.rng.below(room as u64 + 1) as usize,
        };
        state.used += taken;
        state.files[self.number].bytes.extend_from_slice(&bytes[..taken]);
        called?;
        if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.plan.sync_fails;
        let called = state.call(fails);
        let file = &mut state.files[self.number];
        if called.is_err() {
            file.gone_from.get_or_insert(file.synced);
        }
        called?;
        // As real systems have it: what a failed sync let go of is clean now, and this one says it is well.
        file.synced = file.gone_from.unwrap_or(file.bytes.len());
        Ok(())
    }
}
