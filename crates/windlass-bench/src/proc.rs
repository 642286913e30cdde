//! What `/proc` knows about a process and a thread: CPU time and resident memory.

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
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("/proc does not tell the memory of process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
