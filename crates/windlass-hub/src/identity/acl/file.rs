//! Mosquitto's ACL files: `user`, `topic` and `pattern` lines (mosquitto.conf(5), "acl_file").

use std::collections::HashMap;
use std::sync::Arc;

use super::Acl;
use super::tree::{Access, Tree};
use crate::identity::mistake::{Mistake, Part, lines};

/// Rules of one file. One more is a mistake in it.
const RULES_MAX: usize = 1_000_000;

pub(super) fn parse(text: &str) -> Result<Acl, Vec<Mistake>> {
    let mut reader =
        Reader { user: None, users: HashMap::new(), anonymous: Tree::new(), patterns: Tree::new() };
    let mut mistakes = Vec::new();
    let mut rules = 0;
    for line in lines(text).map(|line| line.trim()) {
        if line.text.is_empty() || line.text.starts_with('#') {
            continue;
        }
        rules += 1;
        if rules > RULES_MAX {
            mistakes.push(Mistake::new(line.span(), "there are more than a million rules", ""));
            break;
        }
        if let Err(mistake) = reader.line(line) {
            mistakes.push(mistake);
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let users = reader.users.into_iter().map(|(user, tree)| (user, Arc::new(tree))).collect();
    Ok(Acl { users, anonymous: Arc::new(reader.anonymous), patterns: reader.patterns })
}

struct Reader {
    /// Whom `topic` lines are about: before the first `user`, those without a name.
    user: Option<Arc<str>>,
    users: HashMap<Arc<str>, Tree>,
    anonymous: Tree,
    patterns: Tree,
}

impl Reader {
    fn line(&mut self, line: Part<'_>) -> Result<(), Mistake> {
        let (keyword, rest) = line.word();
        match keyword.text {
            "user" if rest.text.is_empty() => {
                Err(Mistake::new(keyword.span(), "`user` without a name", "which one?"))
            }
            "user" => {
                let user: Arc<str> = rest.text.into();
                self.users.entry(user.clone()).or_insert_with(Tree::new);
                self.user = Some(user);
                Ok(())
            }
            "topic" => {
                let (access, topic) = rule(keyword, rest)?;
                let user = self.user.as_ref().and_then(|user| self.users.get_mut(user));
                insert(user.unwrap_or(&mut self.anonymous), topic, access, false)
            }
            "pattern" => {
                let (access, topic) = rule(keyword, rest)?;
                insert(&mut self.patterns, topic, access, true)
            }
            other => {
                let what = format!("`{other}` begins no line of an ACL file");
                let mistake = Mistake::new(keyword.span(), what, "unknown");
                let meant = ["user", "topic", "pattern"].into_iter().find(|word| is_near(other, word));
                Err(mistake.help(match meant {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => "lines begin with `user`, `topic`, `pattern` or `#`".into(),
                }))
            }
        }
    }
}

/// `[read|write|readwrite|deny] TOPIC`. Without a word it is both.
fn rule<'t>(keyword: Part<'_>, rest: Part<'t>) -> Result<(Access, Part<'t>), Mistake> {
    let (word, topic) = rest.word();
    if word.text.is_empty() {
        let what = format!("`{}` without a topic", keyword.text);
        return Err(Mistake::new(keyword.span(), what, "which one?"));
    }
    let access = match word.text {
        "read" => Access::READ,
        "write" => Access::WRITE,
        "readwrite" => Access::READ_WRITE,
        "deny" => Access::DENY,
        _ if topic.text.is_empty() => return Ok((Access::READ_WRITE, word)),
        other => {
            let what = format!("`{other}` is no kind of access");
            let mistake = Mistake::new(word.span(), what, "one of read, write, readwrite, deny");
            return Err(mistake.help("a topic with spaces in it needs one of them before it"));
        }
    };
    // A topic may be called `read`.
    Ok(if topic.text.is_empty() { (Access::READ_WRITE, word) } else { (access, topic) })
}

fn insert(tree: &mut Tree, topic: Part<'_>, access: Access, is_pattern: bool) -> Result<(), Mistake> {
    tree.insert(topic.text, access, is_pattern)
        .map_err(|error| Mistake::new(topic.span(), format!("the topic {}", error.text()), "this one"))
}

/// Whether a word is another with one letter more, less, or wrong, or is written otherwise.
fn is_near(typed: &str, word: &str) -> bool {
    let typed = typed.to_ascii_lowercase();
    let (typed, word) = (typed.trim_end_matches(':').as_bytes(), word.as_bytes());
    let same = typed.iter().zip(word).take_while(|(a, b)| a == b).count();
    let ends = typed.iter().rev().zip(word.iter().rev()).take_while(|(a, b)| a == b).count();
    let longer = typed.len().max(word.len());
    typed.len().abs_diff(word.len()) <= 1 && same + ends + 1 >= longer
}
