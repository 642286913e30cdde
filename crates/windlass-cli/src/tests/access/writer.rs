//! The queue and the thread behind it, one step at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use windlass::testing::Harness;
use windlass::{Close, Conn, Input, Service, serve};

use super::*;
use crate::access::{AccessLogs, Ended, Format};

/// Gives away a record of its connection.
struct Give(Arc<OnceLock<Mutex<Vec<Record>>>>, usize);

impl Service for Give {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let record = |n| Record::ended(conn, Duration::ZERO, Ended::new(None, n as u64, &Close::Eof));
        let _ = self.0.set(Mutex::new((0..self.1).map(record).collect()));
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

/// So many records; the messages of each are its number.
fn records(n: usize) -> Vec<Record> {
    let slot = Arc::new(OnceLock::new());
    let given = slot.clone();
    let mut harness = Harness::new(serve(move || Give(given.clone(), n)));
    harness.connect();
    std::mem::take(&mut *slot.get().unwrap().lock().unwrap())
}

struct Test {
    queue: Queue,
    writer: Writer,
    log: Arc<AccessLog>,
    reopen: Arc<AtomicBool>,
}

/// The count of what was dropped is the process's, and tests run side by side.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Test {
    fn new(path: &Path) -> Test {
        let reopen: Arc<AtomicBool> = Arc::default();
        let queue = Queue::new(reopen.clone());
        let writer = queue.writer.lock().unwrap().take().unwrap();
        let number = Arc::new(Number(0));
        queue.add_file(LogFile::open(path).unwrap(), Arc::downgrade(&number));
        let format = Format::parse("{messages}").unwrap();
        let log = AccessLog { file: number, format, service: "s".into(), logs: AccessLogs::default() };
        Test { queue, writer, log: log.into(), reopen }
    }

    fn add(&self, records: impl IntoIterator<Item = Record>) {
        records.into_iter().for_each(|record| self.queue.add(self.log.clone(), record));
    }

    /// The thread has a second.
    fn second(&mut self) {
        while let Ok(Notice::Record(log, record)) = self.writer.notices.try_recv() {
            self.writer.add(&log, &record);
        }
        self.writer.look();
    }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("windlass-access-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_renamed_file_is_left_and_an_order_has_it_opened_anew() {
    let folder = folder("rename");
    let path = folder.join("a.log");
    let mut test = Test::new(&path);
    let mut records = records(4).into_iter();
    test.add(records.next());
    test.second();
    assert_eq!(fs::read_to_string(&path).unwrap(), "0\n");
    fs::rename(&path, folder.join("a.log.1")).unwrap();
    test.add(records.next());
    test.second();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    // As logrotate does: rename, then the signal. What was there before it may still go to the old file.
    fs::rename(&path, folder.join("a.log.2")).unwrap();
    test.add(records.next());
    test.reopen.store(true, Ordering::Release);
    test.second();
    test.add(records.next());
    test.second();
    assert_eq!(fs::read_to_string(folder.join("a.log.1")).unwrap(), "0\n");
    assert_eq!(fs::read_to_string(folder.join("a.log.2")).unwrap(), "1\n2\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    // Nothing to write: it is there all the same, for whoever looks.
    fs::remove_file(&path).unwrap();
    test.second();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_full_queue_drops_and_counts() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder("queue");
    let path = folder.join("a.log");
    let mut test = Test::new(&path);
    let before = crate::access::dropped();
    test.add(records(QUEUE_MAX + 5));
    assert_eq!(crate::access::dropped() - before, 5);
    test.second();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), QUEUE_MAX);
    assert_eq!(test.queue.flags.bytes.load(Ordering::Relaxed), 0);
    // Long ones take room of several.
    test.queue.flags.bytes.store(QUEUE_BYTES_MAX, Ordering::Relaxed);
    test.add(records(1));
    assert_eq!(crate::access::dropped() - before, 6);
    fs::remove_dir_all(&folder).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_lines_that_are_counted() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut test = Test::new(Path::new("/dev/full"));
    let before = crate::access::dropped();
    test.add(records(7));
    test.second();
    assert_eq!(crate::access::dropped() - before, 7);
}

#[test]
fn a_file_that_no_service_writes_to_is_closed() {
    let folder = folder("closed");
    let mut test = Test::new(&folder.join("a.log"));
    test.second();
    assert_eq!(test.writer.files.len(), 1);
    let other = Test::new(&folder.join("b.log"));
    drop(std::mem::replace(&mut test.log, other.log.clone()));
    test.second();
    assert_eq!(test.writer.files.len(), 0);
    fs::remove_dir_all(&folder).unwrap();
}
