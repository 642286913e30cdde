//! Whose process it is: from root to a user who may do little, once the ports below 1024 are open.
//!
//! The way back is tried, and a process that finds it does not go on.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgroups, setgroups};
use windlass::Address;

use crate::config::File;
use crate::config::shape::ServerTable;
use crate::config::value::FilePath;

/// A user, a group, and the groups beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// The key that is wrong, and why.
type Wrong = (&'static str, String);

impl Identity {
    /// Whom `server` asks for, if anybody. Users and groups are names, or numbers.
    pub(crate) fn of(server: &ServerTable) -> Result<Option<Identity>, Wrong> {
        let Some(name) = &server.user else {
            return match server.group {
                Some(_) => Err(("server.group", "`server.group` needs a `server.user`".into())),
                None => Ok(None),
            };
        };
        let user = user(name).map_err(|why| ("server.user", why))?;
        let known = user.as_ref().map(|user| user.gid);
        let uid = user.as_ref().map_or_else(|| Uid::from_raw(name.parse().unwrap_or(0)), |user| user.uid);
        if uid.is_root() {
            return Err(("server.user", "`server.user` must be another than root".into()));
        }
        let (gid, groups) = match (&server.group, &user) {
            (Some(group), _) => (gid(group).map_err(|why| ("server.group", why))?, Vec::new()),
            (None, Some(user)) => (user.gid, memberships(user)),
            (None, None) => {
                return Err(("server.user", format!("nobody here is user {name}: set `server.group` too")));
            }
        };
        if gid.as_raw() == 0 && known != Some(gid) {
            return Err(("server.group", "`server.group` must be another than root's".into()));
        }
        Ok(Some(Identity { name: name.clone(), uid, gid, groups }))
    }

    /// Why this process cannot be theirs, if it cannot.
    pub(crate) fn refused(&self) -> Option<String> {
        let same = geteuid() == self.uid && getegid() == self.gid;
        (!geteuid().is_root() && !same).then(|| format!("only root can become `{}`", self.name))
    }

    /// Has the process be theirs, and makes sure that it stays so.
    pub(crate) fn assume(&self) -> Result<()> {
        if let Some(why) = self.refused() {
            anyhow::bail!(why);
        }
        if !geteuid().is_root() {
            return Ok(());
        }
        let failed = || format!("cannot become `{}`", self.name);
        setgroups(&self.groups).with_context(failed)?;
        set_gid(self.gid).with_context(failed)?;
        set_uid(self.uid).with_context(failed)?;
        self.verify()
    }

    fn verify(&self) -> Result<()> {
        let mut groups = getgroups().context("cannot ask for the groups")?;
        groups.sort_by_key(|gid| gid.as_raw());
        let mut wanted = self.groups.clone();
        wanted.sort_by_key(|gid| gid.as_raw());
        ensure!(groups == wanted, "this process is still in groups it should have left");
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        {
            let (uids, gids) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
            let all = [uids.real, uids.effective, uids.saved].iter().all(|uid| *uid == self.uid)
                && [gids.real, gids.effective, gids.saved].iter().all(|gid| *gid == self.gid);
            ensure!(all, "this process is still somebody else's as well");
        }
        ensure!(geteuid() == self.uid && getegid() == self.gid, "this process is still somebody else's");
        ensure!(set_uid(Uid::from_raw(0)).is_err(), "this process could become root's again");
        #[cfg(target_os = "linux")]
        {
            let left = rustix::thread::capabilities(None).context("cannot ask for the capabilities")?;
            ensure!(left.effective.is_empty() && left.permitted.is_empty(), "capabilities are left over");
            // What a program's file would give whoever starts it.
            rustix::thread::set_no_new_privs(true).context("cannot refuse new privileges")?;
        }
        Ok(())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.uid, self.gid)
    }
}

/// Files of logs were made by root. Now they are theirs who will have to open them anew.
pub(crate) fn own_logs(file: &File, identity: &Identity) {
    for path in crate::config::written(file) {
        if std::fs::symlink_metadata(path).is_ok_and(|it| it.is_file()) {
            // One that stays root's goes on as it is, for it is open.
            let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
            let _ = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
        }
    }
    #[cfg(feature = "realtime")]
    for FilePath(folder) in file.game.iter().filter_map(|game| game.record.as_ref()) {
        let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
        let _ = std::os::unix::fs::lchown(folder, Some(uid), Some(gid));
    }
    #[cfg(feature = "hub")]
    for FilePath(folder) in file.hub.iter().filter_map(|hub| hub.data.as_ref()) {
        let files =
            std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        for path in files.chain([folder.clone()]) {
            let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
            let _ = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
        }
    }
}

/// Sockets on paths were made by root. Now they are theirs who will have to remove them.
pub(crate) fn own_sockets(file: &File, identity: &Identity) {
    use std::os::unix::fs::FileTypeExt;
    let services = crate::config::services(file);
    let addresses = services.iter().flat_map(|service| service.listen.iter().copied());
    let addresses = addresses.chain(file.admin.listen.iter().map(|listen| &listen.0));
    let paths = addresses.filter_map(|address| match address {
        Address::Unix(path) => Some(path),
        _ => None,
    });
    for path in paths.chain(file.server.control.as_ref().map(|FilePath(path)| path)) {
        if std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
            // One that stays root's is left behind at the end, and replaced at the next start.
            let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
            let _ = std::os::unix::fs::lchown(path, Some(uid), Some(gid));
        }
    }
}

/// `None`: a number that nobody has.
fn user(name: &str) -> Result<Option<User>, String> {
    let found = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    let found = found.map_err(|error| format!("cannot look up user `{name}`: {}", error.desc()))?;
    if found.is_none() && name.parse::<u32>().is_err() {
        return Err(format!("there is no user `{name}`"));
    }
    Ok(found)
}

fn gid(name: &str) -> Result<Gid, String> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(Gid::from_raw(gid));
    }
    let found = Group::from_name(name);
    let found = found.map_err(|error| format!("cannot look up group `{name}`: {}", error.desc()))?;
    found.map(|group| group.gid).ok_or_else(|| format!("there is no group `{name}`"))
}

fn memberships(user: &User) -> Vec<Gid> {
    let name = std::ffi::CString::new(user.name.as_str()).unwrap_or_default();
    nix::unistd::getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid])
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn set_uid(uid: Uid) -> nix::Result<()> {
    nix::unistd::setresuid(uid, uid, uid)
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn set_gid(gid: Gid) -> nix::Result<()> {
    nix::unistd::setresgid(gid, gid, gid)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn set_uid(uid: Uid) -> nix::Result<()> {
    nix::unistd::setuid(uid)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn set_gid(gid: Gid) -> nix::Result<()> {
    nix::unistd::setgid(gid)
}

#[cfg(test)]
#[path = "../tests/process/identity.rs"]
mod tests;
