//! Changes to the text of a password file. What is not meant stays as it is, comments included.

use super::{Hashing, HashingError, check_user};
use crate::identity::mistake::{Part, lines};

/// `text` with a password of `user`: in the place of the one before, or at the end.
///
/// # Errors
///
/// If the name cannot stand in a file, or the password cannot be hashed.
///
/// ```
/// use windlass_hub::identity::{Hashing, Passwords, passwords};
///
/// let text = passwords::set("# sensors\n", "roger", b"secret", Hashing::default())?;
/// assert!(text.starts_with("# sensors\nroger:$argon2id$"));
/// assert!(Passwords::parse(&text).unwrap().check("roger", b"secret").run());
/// assert_eq!(passwords::remove(&text, "roger").as_deref(), Some("# sensors\n"));
/// # Ok::<(), windlass_hub::identity::HashingError>(())
/// ```
pub fn set(text: &str, user: &str, password: &[u8], hashing: Hashing) -> Result<String, HashingError> {
    let fits =
        check_user(user).is_ok() && !user.contains(':') && !user.starts_with('#') && user.trim() == user;
    if !fits {
        return Err(HashingError::User);
    }
    let line = format!("{user}:{}\n", hashing.hash(password)?);
    let mut out = String::with_capacity(text.len() + line.len());
    let mut is_there = false;
    for (whole, part) in whole_lines(text) {
        if user_of(part) != Some(user) {
            out += whole;
        } else if !is_there {
            is_there = true;
            out += &line;
        }
    }
    if !is_there {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out += &line;
    }
    Ok(out)
}

/// `text` without `user`; nothing if there is none.
pub fn remove(text: &str, user: &str) -> Option<String> {
    let kept: String =
        whole_lines(text).filter(|(_, part)| user_of(*part) != Some(user)).map(|(whole, _)| whole).collect();
    (kept.len() < text.len()).then_some(kept)
}

/// `text` with the passwords hashed that are not, and how many these were.
///
/// # Errors
///
/// If one cannot be hashed.
pub fn upgrade(text: &str, hashing: Hashing) -> Result<(String, usize), HashingError> {
    let mut out = String::with_capacity(text.len());
    let mut count = 0;
    for (whole, part) in whole_lines(text) {
        let plain = user_of(part).and_then(|user| {
            let (_, password) = part.split_once(':')?;
            let password = password.trim().text;
            (!password.is_empty() && !password.starts_with('$')).then_some((user, password))
        });
        match plain {
            None => out += whole,
            Some((user, password)) => {
                count += 1;
                out += &format!("{user}:{}\n", hashing.hash(password.as_bytes())?);
            }
        }
    }
    Ok((out, count))
}

/// Lines with their ends, and without.
fn whole_lines(text: &str) -> impl Iterator<Item = (&str, Part<'_>)> {
    text.split_inclusive('\n').zip(lines(text))
}

fn user_of(line: Part<'_>) -> Option<&str> {
    let line = line.trim();
    let (user, _) = line.split_once(':')?;
    (!line.text.starts_with('#')).then_some(user.trim().text)
}
