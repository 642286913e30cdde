//! What `/proc` knows about a process and a thread: CPU time and memory.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// CPU time of a process, all its threads together, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Time on a core. The scheduler's own count, precise to the nanosecond.
    pub total: u64,
    /// Part of it outside the kernel; counted in ticks of 10 ms.
    pub user: u64,
    /// Part of it inside the kernel; counted in ticks of 10 ms.
    pub system: u64,
    /// Time spent runnable, waiting for a core that something else used.
    pub waited: u64,
}

impl Cpu {
    /// Reads the CPU time of process `pid`.
    ///
    /// # Errors
    /// There is no such process, or `/proc` is not there.
    pub fn of(pid: u32) -> Result<Cpu> {
        let base = format!("/proc/{pid}");
        let mut cpu = Cpu::default();
        for task in fs::read_dir(format!("{base}/task")).with_context(|| format!("no process {pid}"))? {
            // A thread that ends while we look takes its time with it; servers keep theirs.
            let (on_core, waited) = schedstat(&task?.path().join("schedstat")).unwrap_or((0, 0));
            cpu.total += on_core;
            cpu.waited += waited;
        }
        let stat = fs::read_to_string(format!("{base}/stat"))?;
        (cpu.user, cpu.system) = user_and_system(&stat).context("cannot read /proc/PID/stat")?;
        if cpu.total == 0 {
            // A kernel without scheduler statistics: ticks are better than nothing.
            cpu.total = cpu.user + cpu.system;
        }
        Ok(cpu)
    }

    /// Reads the CPU time of the calling thread; zero where the kernel does not tell.
    #[must_use]
    pub fn of_this_thread() -> Cpu {
        let (total, waited) = schedstat(Path::new("/proc/thread-self/schedstat")).unwrap_or((0, 0));
        Cpu { total, waited, ..Cpu::default() }
    }

    /// What has passed since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// `schedstat` holds time on a core, time waiting for one, and the number of time slices.
fn schedstat(path: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.split_whitespace().map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

/// Fields 14 and 15 of `/proc/PID/stat`. They are counted from behind the name, which stands in
/// parentheses and may itself hold spaces and parentheses.
fn user_and_system(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Some((fields.next()?.ok()? * tick, fields.next()?.ok()? * tick))
}

/// Resident memory of process `pid`, in KiB.
///
/// # Errors
/// There is no such process, or `/proc` is not there.
pub fn resident_kib(pid: u32) -> Result<u64> {
    // `smaps_rollup` walks the page tables and is exact; the counters in `status` lag behind by
    // some dozen pages per core, which is more than some servers grow.
    let (path, key) = (format!("/proc/{pid}/smaps_rollup"), "Rss:");
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(_) => fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("no process {pid}"))?
            .replace("VmRSS:", key),
    };
    figure(&text, key).with_context(|| format!("/proc does not tell the memory of process {pid}"))
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All that is resident, be it shared or not.
    pub(crate) resident: u64,
    /// The same, with its share of each page that others have too.
    pub(crate) proportional: u64,
    /// What it has written to, and nobody else has.
    pub(crate) private_dirty: u64,
    /// Its share of what is in no file: heap and stacks. It does not change with who else has a library loaded.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// Reads that of process `pid`.
    ///
    /// # Errors
    /// There is no such process, or the kernel is older than Linux 5.4.
    pub(crate) fn of(pid: u32) -> Result<Memory> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Memory::parse(&text).with_context(|| format!("{path} has not all that is asked for"))
    }

    fn parse(rollup: &str) -> Option<Memory> {
        Some(Memory {
            resident: figure(rollup, "Rss:")?,
            proportional: figure(rollup, "Pss:")?,
            private_dirty: figure(rollup, "Private_Dirty:")?,
            anonymous: figure(rollup, "Pss_Anon:")?,
        })
    }
}

/// The number behind a key of `smaps_rollup` or `status`.
fn figure(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

/// How many threads process `pid` has.
///
/// # Errors
/// There is no such process, or `/proc` is not there.
pub(crate) fn threads(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))?.count())
}

/// Process `pid` and those that it began, and so on.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&pid) = family.get(at) {
        at += 1;
        // One that has ended meanwhile has none.
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        family.extend(
            children
                .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    family
}

/// Whether somebody listens on this TCP port, found without connecting to it: some servers take one client only.
///
/// # Errors
/// `/proc` is not there.
pub(crate) fn is_listening(port: u16) -> Result<bool> {
    let table = fs::read_to_string("/proc/net/tcp").context("cannot read /proc/net/tcp")?;
    // A machine without IPv6 has no second one. Some listen there for IPv4 too.
    Ok(listens(&table, port) || fs::read_to_string("/proc/net/tcp6").is_ok_and(|it| listens(&it, port)))
}

/// Whether a line of `/proc/net/tcp` or `tcp6` is a listener (state 0A) on a port.
fn listens(table: &str, port: u16) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        let its = local.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        state == "0A" && its == Some(port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "\
55d0c0a00000-7ffd2a3f2000 ---p 00000000 00:00 0                          [rollup]
Rss:                1876 kB
Pss:                 454 kB
Pss_Dirty:           300 kB
Pss_Anon:             96 kB
Pss_File:            358 kB
Shared_Clean:       1700 kB
Private_Clean:        56 kB
Private_Dirty:       120 kB
";

    #[test]
    fn memory_of_a_rollup() {
        let memory = Memory { resident: 1876, proportional: 454, private_dirty: 120, anonymous: 96 };
        assert_eq!(Memory::parse(ROLLUP), Some(memory));
        // An older kernel does not tell what is in no file.
        assert_eq!(Memory::parse(&ROLLUP.replace("Pss_Anon", "Other")), None);
        assert_eq!(Memory::parse(""), None);
    }

    #[test]
    fn listeners_of_a_table() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0
";
        assert!(listens(table, 8080) && !listens(table, 8081) && !listens("", 8080));
        for address in ["127.0.0.1:0", "[::]:0"] {
            // There may be no IPv6 here.
            let Ok(listener) = std::net::TcpListener::bind(address) else { continue };
            assert!(is_listening(listener.local_addr().unwrap().port()).unwrap(), "{address}");
        }
    }

    #[test]
    fn a_family_of_processes() {
        // A shell that does not become what it starts, since something is to be done after it.
        let mut shell = std::process::Command::new("sh");
        let mut child = shell.args(["-c", "sleep 20; true"]).spawn().unwrap();
        let begun = std::time::Instant::now();
        while family(child.id()).len() < 2 && begun.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let found = family(child.id());
        let ours = family(std::process::id());
        for pid in found.iter().rev() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        child.wait().unwrap();
        assert_eq!(found.len(), 2, "the shell and its sleep");
        assert!(found.iter().all(|pid| ours.contains(pid)), "{found:?} of {ours:?}");
        assert!(threads(std::process::id()).unwrap() >= 1 && threads(0).is_err());
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 1";
        assert_eq!(user_and_system(stat), Some((7_000_000_000, 300_000_000)));
        assert_eq!(user_and_system("garbage"), None);
    }

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let pid = std::process::id();
        assert!(Cpu::of(pid).unwrap().total > 0);
        assert!(resident_kib(pid).unwrap() > 100);
        assert!(Cpu::of(0).is_err());
    }
}
