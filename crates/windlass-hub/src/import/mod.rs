//! What Mosquitto is configured with, as a configuration of windlass.
//!
//! [`mosquitto`] reads a `mosquitto.conf` and what it includes. Read `directives` for what each line becomes,
//! `settings` for what is gathered from them, and `write` for what is made of that.

mod directives;
mod settings;
mod write;

use std::ops::Range;

use crate::identity::mistake::lines;
use settings::Settings;

/// Files that one configuration may be made of.
const FILES_MAX: usize = 256;
/// How deep they may include each other.
const DEPTH_MAX: usize = 10;

/// A file that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// What it is called in remarks.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// How a line fares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It is carried over, and means something a little different, or needs a look.
    Changed,
    /// There is nothing like it here, or no need for it.
    Dropped,
    /// It is no line of a `mosquitto.conf`, or has a value that it cannot have.
    Mistake,
}

/// A line that did not become the same thing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Remark {
    /// Which of [`Imported::sources`].
    pub source: usize,
    /// Counted from 1.
    pub line: usize,
    /// The line's bytes in the text of its source.
    pub span: Range<usize>,
    /// The word that it begins with. What stands behind it may be a secret.
    pub directive: String,
    /// How it fares.
    pub fate: Fate,
    /// Why, in a few words.
    pub why: String,
}

/// What came out.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The configuration, as TOML.
    pub toml: String,
    /// All that is not the same, in the order of the lines.
    pub remarks: Vec<Remark>,
    /// The files that were read.
    pub sources: Vec<Source>,
}

/// Where a directive stands.
#[derive(Clone, PartialEq, Eq, Debug)]
struct At {
    source: usize,
    line: usize,
    span: Range<usize>,
}

/// A value, and where it was set.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Set<T> {
    value: T,
    at: At,
    directive: &'static str,
}

/// Reads `main`, a `mosquitto.conf`. `include` gives the files of a folder that `include_dir` names: those that end in
/// `.conf`, in the order of their names; or it says why it cannot.
///
/// ```
/// use windlass_hub::import::{Source, mosquitto};
///
/// let text = "listener 1883\nallow_anonymous true\nmax_queued_messages 500\nbridge_insecure true\n".to_owned();
/// let main = Source { name: "mosquitto.conf".into(), text };
/// let imported = mosquitto(main, &mut |_| Err("there is none".into()));
/// assert!(imported.toml.contains("listen = [\":1883\"]"));
/// assert!(imported.toml.contains("queue_max = 500"));
/// assert_eq!(imported.remarks[0].line, 4);
/// ```
pub fn mosquitto(main: Source, include: &mut dyn FnMut(&str) -> Result<Vec<Source>, String>) -> Imported {
    let mut reader = Reader { sources: Vec::new(), remarks: Vec::new(), settings: Settings::default() };
    let name = main.name.clone();
    reader.file(main, include, 0);
    let toml = write::toml(&name, reader.settings, &mut reader.remarks);
    let mut remarks = reader.remarks;
    remarks.sort_by_key(|remark| (remark.source, remark.line));
    Imported { toml, remarks, sources: reader.sources }
}

struct Reader {
    sources: Vec<Source>,
    remarks: Vec<Remark>,
    settings: Settings,
}

impl Reader {
    fn file(
        &mut self,
        source: Source,
        include: &mut dyn FnMut(&str) -> Result<Vec<Source>, String>,
        depth: usize,
    ) {
        let number = self.sources.len();
        let text = source.text.clone();
        self.sources.push(source);
        for (before, line) in lines(&text).enumerate() {
            let line = line.trim();
            if line.text.is_empty() || line.text.starts_with('#') {
                continue;
            }
            let at = At { source: number, line: before + 1, span: line.span() };
            let (directive, value) = line.word();
            if directive.text != "include_dir" {
                if let Err((fate, why)) =
                    directives::read(&mut self.settings, directive.text, value.text, &at)
                {
                    self.remark(&at, directive.text, fate, why);
                }
                continue;
            }
            match include(value.text) {
                Ok(_) if depth == DEPTH_MAX => {
                    self.remark(
                        &at,
                        "include_dir",
                        Fate::Mistake,
                        "files include each other too deep".into(),
                    );
                }
                Ok(files) => {
                    for file in files {
                        if self.sources.len() == FILES_MAX {
                            let why = "more than 256 files are included".into();
                            self.remark(&at, "include_dir", Fate::Mistake, why);
                            break;
                        }
                        self.file(file, include, depth + 1);
                    }
                }
                Err(why) => self.remark(&at, "include_dir", Fate::Mistake, why),
            }
        }
    }

    fn remark(&mut self, at: &At, directive: &str, fate: Fate, why: String) {
        self.remarks.push(remark(at, directive, fate, why));
    }
}

fn remark(at: &At, directive: &str, fate: Fate, why: impl Into<String>) -> Remark {
    Remark {
        source: at.source,
        line: at.line,
        span: at.span.clone(),
        directive: directive.into(),
        fate,
        why: why.into(),
    }
}

#[cfg(test)]
mod tests;
