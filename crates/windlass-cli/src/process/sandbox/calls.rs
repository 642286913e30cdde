//! System calls, by seccomp: refused, not punished, so that a library which tries one finds its other way.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::Enforced;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// What no server needs: other programs, other processes' memory, the machine's settings, and doors into the
/// kernel through which others got in before.
const REFUSED: &[i64] = calls![
    SYS_execve SYS_execveat
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp SYS_pidfd_getfd
    SYS_pidfd_open SYS_pidfd_send_signal
    SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid SYS_setfsgid
    SYS_setgroups SYS_capset SYS_setns SYS_unshare SYS_personality
    SYS_chroot SYS_pivot_root SYS_mount SYS_umount2 SYS_move_mount SYS_open_tree SYS_fsopen SYS_fsconfig
    SYS_fsmount SYS_fspick SYS_mount_setattr SYS_name_to_handle_at SYS_open_by_handle_at SYS_mknodat
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_reboot
    SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_syslog SYS_sethostname SYS_setdomainname
    SYS_clock_settime SYS_settimeofday SYS_adjtimex SYS_clock_adjtime
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_fanotify_init SYS_lookup_dcookie
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_add_key SYS_request_key SYS_keyctl
    SYS_mbind SYS_migrate_pages SYS_move_pages SYS_vhangup SYS_nfsservctl
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = calls![
    SYS_fork SYS_vfork SYS_mknod SYS_iopl SYS_ioperm SYS_modify_ldt SYS_kexec_file_load SYS__sysctl SYS_ustat
    SYS_uselib SYS_sysfs
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// All that a strict sandbox leaves: what the engine, the standard library and either C library do.
const ALLOWED: &[i64] = calls![
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_close SYS_dup
    SYS_dup3 SYS_fcntl SYS_ioctl SYS_pipe2 SYS_splice SYS_sendfile SYS_close_range
    SYS_openat SYS_openat2 SYS_newfstatat SYS_fstat SYS_statx SYS_statfs SYS_fstatfs SYS_faccessat
    SYS_faccessat2 SYS_readlinkat SYS_getdents64 SYS_getcwd SYS_lseek SYS_unlinkat SYS_renameat SYS_renameat2
    SYS_linkat SYS_mkdirat SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_ftruncate SYS_fallocate
    SYS_fsync SYS_fdatasync SYS_sync_file_range SYS_flock SYS_umask SYS_utimensat SYS_fadvise64
    SYS_copy_file_range
    SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect SYS_shutdown
    SYS_getsockname SYS_getpeername SYS_setsockopt SYS_getsockopt SYS_sendto SYS_recvfrom SYS_sendmsg
    SYS_recvmsg SYS_sendmmsg SYS_recvmmsg
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_ppoll SYS_pselect6 SYS_eventfd2
    SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime SYS_inotify_init1 SYS_inotify_add_watch
    SYS_inotify_rm_watch SYS_signalfd4 SYS_memfd_create
    SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_brk SYS_mlock SYS_munlock SYS_membarrier
    SYS_futex SYS_futex_waitv SYS_set_robust_list SYS_get_robust_list SYS_rseq SYS_set_tid_address
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigtimedwait
    SYS_rt_sigsuspend SYS_sigaltstack SYS_kill SYS_tgkill SYS_tkill SYS_restart_syscall
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_times
    SYS_getpid SYS_getppid SYS_gettid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid
    SYS_getresgid SYS_getgroups SYS_getpgid SYS_getsid SYS_capget SYS_getrandom SYS_uname SYS_sysinfo
    SYS_getrusage SYS_prlimit64 SYS_getrlimit SYS_setrlimit SYS_getcpu SYS_sched_yield SYS_sched_getaffinity
    SYS_sched_setaffinity SYS_sched_getparam SYS_sched_getscheduler SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_prctl SYS_wait4 SYS_waitid SYS_exit SYS_exit_group
];

/// Older forms of them, which newer processors never had.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = calls![
    SYS_open SYS_stat SYS_lstat SYS_access SYS_readlink SYS_unlink SYS_rename SYS_link SYS_mkdir SYS_chmod
    SYS_chown SYS_lchown SYS_dup2 SYS_pipe SYS_poll SYS_select SYS_epoll_create SYS_epoll_wait SYS_eventfd
    SYS_getdents SYS_arch_prctl SYS_time SYS_getpgrp SYS_utime SYS_utimes
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

/// Whether the calls of this processor are listed.
pub(super) fn is_known() -> bool {
    TargetArch::try_from(std::env::consts::ARCH).is_ok()
}

/// Refuses this process, as it is now, system calls.
pub(super) fn enforce(strict: bool, enforced: &mut Enforced) -> Result<()> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        ensure!(!strict, "`server.sandbox` is strict, and nobody has listed this processor's system calls");
        enforced.lacking.push("no list of this processor's system calls: any may be made".into());
        return Ok(());
    };
    let programs = if strict { allowing(arch) } else { refusing(arch) };
    for program in programs.context("cannot write the filter of system calls")? {
        match seccompiler::apply_filter_all_threads(&program) {
            Ok(()) => {}
            Err(error) if !strict => {
                enforced.lacking.push(format!("system calls are not filtered: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error).context("cannot filter system calls"),
        }
    }
    enforced.what.push(match strict {
        true => format!("all but {} system calls", ALLOWED.len() + ALLOWED_HERE.len() + 1),
        false => format!("{} system calls", REFUSED.len() + REFUSED_HERE.len()),
    });
    Ok(())
}

/// Everything but what is refused.
fn refusing(arch: TargetArch) -> Result<Vec<BpfProgram>> {
    let errno = |number: i32| SeccompAction::Errno(number as u32);
    let mut rules: Rules = both(REFUSED, REFUSED_HERE);
    rules.insert(libc::SYS_clone, vec![process_not_thread()?]);
    // Another ABI of the same processor has numbers of its own for the same calls.
    for (call, rule) in rules.clone() {
        rules.extend(other_abi(call).into_iter().map(|call| (call, rule.clone())));
    }
    let refused = SeccompFilter::new(rules, SeccompAction::Allow, errno(libc::EPERM), arch)?;
    // Its flags are behind a pointer, where no filter sees them. C libraries then use the older one.
    let clone3 = [libc::SYS_clone3].into_iter().chain(other_abi(libc::SYS_clone3));
    let clone3 = clone3.map(|call| (call, Vec::new())).collect();
    let not_there = SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    Ok(vec![refused.try_into()?, not_there.try_into()?])
}

/// Nothing but what is allowed. The rest is not there, as on a kernel that is older.
fn allowing(arch: TargetArch) -> Result<Vec<BpfProgram>> {
    let mut rules: Rules = both(ALLOWED, ALLOWED_HERE);
    rules.insert(libc::SYS_clone, vec![thread()?]);
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok(vec![SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()?])
}

fn both(everywhere: &[i64], here: &[i64]) -> Rules {
    everywhere.iter().chain(here).map(|call| (*call, Vec::new())).collect()
}

fn thread() -> Result<SeccompRule> {
    clone_thread(libc::CLONE_THREAD as u64)
}

fn process_not_thread() -> Result<SeccompRule> {
    clone_thread(0)
}

fn clone_thread(flag: u64) -> Result<SeccompRule> {
    let mask = SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64);
    Ok(SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, mask, flag)?])?)
}

/// The numbers of a call in x32, which 64-bit kernels may offer: those of x86-64 with a bit set, but for some.
#[cfg(target_arch = "x86_64")]
fn other_abi(call: i64) -> Vec<i64> {
    const X32: i64 = 0x4000_0000;
    let own = match call {
        libc::SYS_execve => Some(520),
        libc::SYS_ptrace => Some(521),
        libc::SYS_kexec_load => Some(528),
        libc::SYS_process_vm_readv => Some(539),
        libc::SYS_process_vm_writev => Some(540),
        libc::SYS_execveat => Some(545),
        _ => None,
    };
    [Some(call), own].into_iter().flatten().map(|call| call | X32).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn other_abi(_: i64) -> Vec<i64> {
    Vec::new()
}

#[cfg(test)]
#[path = "../../tests/process/calls.rs"]
mod tests;
