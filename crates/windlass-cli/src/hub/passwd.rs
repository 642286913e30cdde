//! `windlass hub passwd`: the lines of a password file.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use windlass_hub::identity::{Hashing, passwords};

use super::identity;
use crate::args::{HashName, PasswdArgs};
use crate::print;

/// Bytes of a password: what a CONNECT can hold.
const PASSWORD_MAX: u64 = 65_535;

pub(super) fn run(args: &PasswdArgs) -> Result<()> {
    let path = &args.file;
    let before = match path.exists() {
        true => identity::read(path).map_err(anyhow::Error::msg)?,
        false if args.delete || args.upgrade => bail!("there is no file {}", path.display()),
        false => String::new(),
    };
    let hashing = match args.hash {
        HashName::Argon2id => Hashing::default(),
        HashName::Pbkdf2 => Hashing::MOSQUITTO,
    };
    let (after, done) = match &args.user {
        None => {
            let (after, count) = passwords::upgrade(&before, hashing)?;
            let s = if count == 1 { "" } else { "s" };
            (after, format!("{count} password{s} hashed"))
        }
        Some(user) if args.delete => {
            let after = passwords::remove(&before, user);
            let after = after.with_context(|| format!("there is no user {user} in {}", path.display()))?;
            (after, format!("{user} removed"))
        }
        Some(user) => {
            let password = ask(user)?;
            ensure!(!password.is_empty(), "a password has at least one character");
            (passwords::set(&before, user, password.as_bytes(), hashing)?, format!("password of {user} set"))
        }
    };
    write(path, &after).with_context(|| format!("cannot write {}", path.display()))?;
    print(format!("{done} in {}\n", path.display()).as_bytes());
    Ok(())
}

/// Asks twice at a terminal, and takes the first line of anything else.
fn ask(user: &str) -> Result<zeroize::Zeroizing<String>> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = zeroize::Zeroizing::new(String::new());
        stdin
            .lock()
            .take(PASSWORD_MAX + 2)
            .read_line(&mut line)
            .context("cannot read the password from stdin")?;
        let length = line.trim_end_matches(['\r', '\n']).len();
        ensure!(length as u64 <= PASSWORD_MAX, "a password has at most 65,535 bytes");
        line.truncate(length);
        return Ok(line);
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).context("cannot ask for the password");
    let first = zeroize::Zeroizing::new(ask(format!("Password of {user}: "))?);
    let second = zeroize::Zeroizing::new(ask("Again: ".into())?);
    ensure!(*first == *second, "they are not the same");
    Ok(first)
}

/// In one step, so that nobody reads half of it: for its owner alone, or for whom it was before.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    // Behind a link, the file it leads to.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        if let Ok(before) = std::fs::metadata(&path) {
            file.set_permissions(before.permissions())?;
            // Who may change it may belong to a group only; who may not leaves it to the owner.
            #[cfg(unix)]
            {
                use std::os::unix::fs::MetadataExt;
                let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
            }
        }
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
