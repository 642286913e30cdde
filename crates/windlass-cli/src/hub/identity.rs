//! From `[hub.identity]` and the files that it names to an [`Identity`], with all that is wrong with them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use windlass_hub::identity::{Acl, Identity, IdentityConfig, Jwt, JwtKey, KeyError, Mistake, Passwords};

use crate::config::hub::HubTable;
use crate::config::identity::{IdentityTable, JwtKeyTable, JwtTable};
use crate::config::value::FilePath;
use crate::config::{File, Place, Places, Problem, Sources};

/// Bytes of one file.
const FILE_MAX: u64 = 64 << 20;

/// What is wrong with an identity.
pub(crate) enum Wrong {
    /// A key of the table, relative to it, and why.
    Key(String, String),
    /// A file, what is in it, as it may be shown, and where it is wrong.
    File { text: String, shown: String, path: std::path::PathBuf, mistakes: Vec<Mistake> },
}

impl Wrong {
    /// In one line.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Wrong::Key(key, why) => format!("`{key}`: {why}"),
            Wrong::File { text, path, mistakes, .. } => mistakes.first().map_or(String::new(), |mistake| {
                let line = text[..mistake.span.start].matches('\n').count() + 1;
                format!("{}:{line}: {}", path.display(), mistake.what)
            }),
        }
    }
}

/// Reads what a hub's table names.
pub(crate) fn load(table: &HubTable) -> Result<Identity, Vec<Wrong>> {
    let identity = &table.identity;
    let mut reader = Reader { wrong: Vec::new(), mark: DefaultHasher::new() };
    // What is said of it is part of what it is.
    format!("{identity:?}").hash(&mut reader.mark);
    let passwords = identity
        .password_file
        .as_ref()
        .and_then(|path| reader.parsed("password_file", path, |text| (masked(text), Passwords::parse(text))));
    let acl = identity
        .acl_file
        .as_ref()
        .and_then(|path| reader.parsed("acl_file", path, |text| (text.to_owned(), Acl::parse(text))));
    let jwt = identity.jwt.as_ref().map(|jwt| reader.jwt(jwt));
    if !reader.wrong.is_empty() {
        return Err(reader.wrong);
    }
    let mut config = IdentityConfig::default();
    config.passwords = passwords.map(Arc::new);
    config.acl = acl.map(Arc::new);
    config.jwt = jwt.map(Arc::new);
    config.certificate = identity.certificate.map(|kind| kind.of_hub());
    config.anonymous = identity.anonymous.map(|name| name.of_hub());
    config.client_id_prefixes = identity.client_id_prefixes.clone();
    config.client_id_from_user = identity.client_id_from_user;
    config.client_id_bound = identity.client_id_bound;
    config.when_revoked = identity.when_revoked.of_hub();
    config.recent_max = identity.recent_max.0;
    config.limits = identity.users();
    config.mark = reader.mark.finish();
    Ok(Identity::new(config))
}

/// The problems of all hubs of a file. Files that are wrong are added to `sources`, to be shown.
pub(crate) fn problems(file: &File, sources: &mut Sources, places: &Places, problems: &mut Vec<Problem>) {
    for (at, table) in file.hub.iter().enumerate() {
        problems.extend(conflicts(&table.identity).into_iter().map(|(key, why)| {
            placed(places, &format!("hub[{at}].identity.{key}"), &format!("`{key}`: {why}"))
        }));
        for wrong in load(table).err().into_iter().flatten() {
            match wrong {
                Wrong::Key(key, why) => {
                    problems.push(placed(
                        places,
                        &format!("hub[{at}].identity.{key}"),
                        &format!("`{key}`: {why}"),
                    ));
                }
                Wrong::File { text, shown, path, mistakes } => {
                    let file = sources.add_shown(&path, text, shown);
                    problems.extend(mistakes.into_iter().map(|mistake| {
                        let place = Place { file, span: mistake.span };
                        let problem = Problem::at(place, mistake.what, mistake.label);
                        match mistake.help {
                            Some(help) => problem.help(help),
                            None => problem,
                        }
                    }));
                }
            }
        }
    }
}

/// What goes against what.
fn conflicts(table: &IdentityTable) -> Vec<(&'static str, &'static str)> {
    let mut conflicts = Vec::new();
    let proves = table.password_file.is_some() || table.jwt.is_some() || table.certificate.is_some();
    if table.client_id_from_user && !proves {
        conflicts.push(("client_id_from_user", "nothing here tells who a user is"));
    }
    conflicts
}

fn placed(places: &Places, path: &str, what: &str) -> Problem {
    // The nearest that stands there: a key that is missing has no place.
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return Problem::at(place.clone(), what, "");
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = &path[..end],
            None => return Problem::without_place(what),
        }
    }
}

struct Reader {
    wrong: Vec<Wrong>,
    /// Of all that was read.
    mark: DefaultHasher,
}

impl Reader {
    fn text(&mut self, key: &str, path: &FilePath) -> Option<String> {
        match read(&path.0) {
            Ok(text) => {
                text.hash(&mut self.mark);
                Some(text)
            }
            Err(why) => {
                self.wrong.push(Wrong::Key(key.into(), why));
                None
            }
        }
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        path: &FilePath,
        parse: impl FnOnce(&str) -> (String, Result<T, Vec<Mistake>>),
    ) -> Option<T> {
        let text = self.text(key, path)?;
        let (shown, parsed) = parse(&text);
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(mistakes) => {
                self.wrong.push(Wrong::File { text, shown, path: path.0.clone(), mistakes });
                None
            }
        }
    }

    fn jwt(&mut self, table: &JwtTable) -> Jwt {
        let mut config = table.config();
        for (at, key) in table.key.iter().enumerate() {
            match self.key(&format!("jwt.key[{at}]"), key) {
                Ok(Some(key)) => config.keys.push(key),
                Ok(None) => {}
                Err(why) => self.wrong.push(Wrong::Key(format!("jwt.key[{at}]"), why.to_string())),
            }
        }
        if let Some(path) = &table.key_set
            && let Some(text) = self.text("jwt.key_set", path)
        {
            match JwtKey::jwks(&text) {
                Ok(keys) => config.keys.extend(keys),
                Err(why) => self.wrong.push(Wrong::Key("jwt.key_set".into(), why.to_string())),
            }
        }
        if config.keys.is_empty() && self.wrong.is_empty() {
            self.wrong.push(Wrong::Key("jwt".into(), "there is no key to check tokens with".into()));
        }
        if config.keys.len() > windlass_hub::identity::KEYS_MAX {
            self.wrong.push(Wrong::Key("jwt".into(), "there are more than 64 keys".into()));
        }
        Jwt::new(config)
    }

    fn key(&mut self, path: &str, table: &JwtKeyTable) -> Result<Option<JwtKey>, KeyError> {
        let algorithm = table.algorithm.map(|name| name.of_hub());
        let symmetric = algorithm.filter(|algorithm| algorithm.is_symmetric());
        let key = match (&table.file, &table.secret, symmetric) {
            (None, Some(secret), Some(algorithm)) => JwtKey::secret(algorithm, secret.0.as_bytes())?,
            (Some(file), None, _) => {
                let Some(text) = self.text(&format!("{path}.file"), file) else { return Ok(None) };
                match symmetric {
                    Some(algorithm) => {
                        JwtKey::secret(algorithm, text.trim_end_matches(['\r', '\n']).as_bytes())?
                    }
                    None => JwtKey::pem(algorithm, &text)?,
                }
            }
            (None, Some(_), None) => {
                let why = "a secret is for HS256, HS384 or HS512: say which as `algorithm`";
                self.wrong.push(Wrong::Key(format!("{path}.secret"), why.into()));
                return Ok(None);
            }
            _ => {
                self.wrong.push(Wrong::Key(path.into(), "a key has a `file` or a `secret`".into()));
                return Ok(None);
            }
        };
        Ok(Some(match &table.id {
            Some(id) => key.with_id(id.as_str()),
            None => key,
        }))
    }
}

/// A file as text; a pipe would wait for its other end.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return Err(format!("{} is no file", path.display()));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(fail)?;
    match text.len() as u64 > FILE_MAX {
        true => Err(format!("{} is longer than 64 MiB", path.display())),
        false => Ok(text),
    }
}

/// A password file with stars for all that stands behind a user's name, place by place: and for lines without a colon,
/// which may be a password.
fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let is_comment = line.trim_start().starts_with('#');
        let open = if is_comment { line.len() } else { line.find(':').map_or(0, |at| at + 1) };
        shown.push_str(&line[..open]);
        for letter in line[open..].chars() {
            match letter {
                '\n' | '\r' => shown.push(letter),
                _ => (0..letter.len_utf8()).for_each(|_| shown.push('*')),
            }
        }
    }
    shown
}

#[cfg(test)]
#[path = "../tests/identity.rs"]
mod tests;
