//! Rules as a tree of levels: what a check costs depends on the depth of the topic, not on how many rules there are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{BitOr, BitOrAssign};
use std::str::Split;

use windlass_proto::mqtt::{Filter, Topic, TopicError};

/// Levels of one rule: the walk over a tree is as deep.
const LEVELS_MAX: usize = 128;

/// What a rule says about the topics that match it: any of three bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Access(u8);

impl Access {
    pub(crate) const NONE: Access = Access(0);
    pub(crate) const READ: Access = Access(1);
    pub(crate) const WRITE: Access = Access(2);
    pub(crate) const READ_WRITE: Access = Access(3);
    pub(crate) const DENY: Access = Access(4);

    pub(crate) fn has(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Access {
    type Output = Access;

    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

impl BitOrAssign for Access {
    fn bitor_assign(&mut self, other: Access) {
        self.0 |= other.0;
    }
}

/// What `%u` and `%c` stand for. A name that cannot be one level of a topic is none.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    pub(super) user: Option<&'n str>,
    pub(super) client: Option<&'n str>,
}

/// Rules, by the levels of their topics.
#[derive(Debug)]
pub(super) struct Tree {
    /// The first is the root; none has more than one parent.
    nodes: Vec<Node>,
    /// Whether a rule that denies has `%u` in it, or `%c`.
    pub(super) denies_user: bool,
    pub(super) denies_client: bool,
}

#[derive(Debug, Default)]
struct Node {
    named: HashMap<Box<str>, usize>,
    plus: Option<usize>,
    templates: Vec<(Template, usize)>,
    /// What is said about topics that end here.
    here: Access,
    /// What is said with `#`: about those that end here, and all below.
    below: Access,
}

/// A level with `%u` or `%c` in it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Box<str>),
    User,
    Client,
}

impl Template {
    /// Nothing if there are no placeholders in it.
    fn new(level: &str) -> Option<Template> {
        let (mut pieces, mut rest) = (Vec::new(), level);
        while let Some(at) = rest.find("%u").into_iter().chain(rest.find("%c")).min() {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].into()));
            }
            pieces.push(if rest[at..].starts_with("%u") { Piece::User } else { Piece::Client });
            rest = &rest[at + 2..];
        }
        if pieces.is_empty() {
            return None;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Some(Template(pieces))
    }

    fn is(&self, level: &str, names: Names<'_>) -> bool {
        let mut rest = level;
        for piece in &self.0 {
            let Some(behind) = piece.text(names).and_then(|text| rest.strip_prefix(text)) else {
                return false;
            };
            rest = behind;
        }
        rest.is_empty()
    }

    /// The level it stands for; nothing for a client without such a name.
    fn level(&self, names: Names<'_>) -> Option<String> {
        self.0.iter().map(|piece| piece.text(names)).collect()
    }

    /// What begins with a placeholder is no topic of the server's own, whatever a client calls itself.
    fn is_dollar(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with('$'))
    }
}

impl Piece {
    fn text<'n>(&'n self, names: Names<'n>) -> Option<&'n str> {
        match self {
            Piece::Text(text) => Some(text),
            Piece::User => names.user,
            Piece::Client => names.client,
        }
    }
}

/// Why a text cannot be the topic of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RuleError {
    Topic(TopicError),
    Shared,
    TooDeep,
}

impl RuleError {
    pub(crate) fn text(self) -> &'static str {
        match self {
            RuleError::Topic(TopicError::Empty) => "is empty",
            RuleError::Topic(TopicError::Wildcard) => "has wildcards where they may not be",
            RuleError::Topic(_) => "is no topic filter",
            RuleError::Shared => "is a shared subscription: what counts is the filter behind its group",
            RuleError::TooDeep => "has more than 128 levels",
        }
    }
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree { nodes: vec![Node::default()], denies_user: false, denies_client: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].below == Access::NONE
    }

    /// Adds a rule. Only in a `pattern` are `%u` and `%c` placeholders.
    pub(super) fn insert(&mut self, topic: &str, access: Access, is_pattern: bool) -> Result<(), RuleError> {
        let filter = Filter::new(topic).map_err(RuleError::Topic)?;
        if filter.group().is_some() {
            return Err(RuleError::Shared);
        }
        if filter.levels().count() > LEVELS_MAX {
            return Err(RuleError::TooDeep);
        }
        let mut at = 0;
        for level in filter.levels() {
            if level == "#" {
                self.nodes[at].below |= access;
                return Ok(());
            }
            let template = Template::new(level).filter(|_| is_pattern);
            if let Some(template) = template.as_ref().filter(|_| access.has(Access::DENY)) {
                self.denies_user |= template.0.contains(&Piece::User);
                self.denies_client |= template.0.contains(&Piece::Client);
            }
            at = self.child(at, level, template);
        }
        self.nodes[at].here |= access;
        Ok(())
    }

    fn child(&mut self, at: usize, level: &str, template: Option<Template>) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match template {
            _ if level == "+" => *node.plus.get_or_insert(new),
            Some(template) => match node.templates.iter().find(|(known, _)| *known == template) {
                Some(&(_, child)) => child,
                None => {
                    node.templates.push((template, new));
                    new
                }
            },
            None => match node.named.get(level) {
                Some(&child) => child,
                None => {
                    node.named.insert(level.into(), new);
                    new
                }
            },
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// All that the rules say about a topic.
    pub(super) fn access(&self, topic: Topic<'_>, names: Names<'_>) -> Access {
        self.on(0, topic.as_str().split('/'), topic.is_dollar(), names)
    }

    /// `is_dollar`: the next level is the first, and begins with `$`, so that no wildcard matches it
    /// ([MQTT-4.7.2-1]).
    fn on(&self, at: usize, mut rest: Split<'_, char>, is_dollar: bool, names: Names<'_>) -> Access {
        let node = &self.nodes[at];
        let mut access = if is_dollar { Access::NONE } else { node.below };
        let Some(level) = rest.next() else { return access | node.here };
        if let Some(&child) = node.named.get(level) {
            access |= self.on(child, rest.clone(), false, names);
        }
        if let Some(child) = node.plus.filter(|_| !is_dollar) {
            access |= self.on(child, rest.clone(), false, names);
        }
        for (template, child) in &node.templates {
            if (!is_dollar || template.is_dollar()) && template.is(level, names) {
                access |= self.on(*child, rest.clone(), false, names);
            }
        }
        access
    }

    /// Whether a rule that lets read has topics in common with `filter`, for which `is_left` says that they are
    /// not denied. What two filters have in common is a filter.
    pub(super) fn meets<'f>(
        &'f self,
        filter: &'f str,
        names: Names<'_>,
        is_left: &mut dyn FnMut(&[Cow<'f, str>]) -> bool,
    ) -> bool {
        let rest = filter.split('/');
        self.meets_below(0, rest, &mut Vec::new(), names, is_left)
    }

    fn meets_below<'f>(
        &'f self,
        at: usize,
        rest: Split<'f, char>,
        met: &mut Vec<Cow<'f, str>>,
        names: Names<'_>,
        is_left: &mut dyn FnMut(&[Cow<'f, str>]) -> bool,
    ) -> bool {
        let node = &self.nodes[at];
        let mut behind = rest.clone();
        let next = behind.next();
        let is_first = met.is_empty();
        // A wildcard, of the rule or of the filter, is for no topic of the server's own.
        let wild = |other: &str| !(is_first && other.starts_with('$'));
        if node.below.has(Access::READ) && next.is_none_or(wild) {
            let before = met.len();
            met.extend(rest.map(Cow::Borrowed));
            let found = is_left(met);
            met.truncate(before);
            if found {
                return true;
            }
        }
        let Some(level) = next else { return node.here.has(Access::READ) && is_left(met) };
        if level == "#" && node.here.has(Access::READ) && is_left(met) {
            return true;
        }
        // `#` stays in front of every level below.
        let on = if level == "#" { rest_of("#") } else { behind };
        let any = matches!(level, "#" | "+");
        let mut go = |child: usize, level: Cow<'f, str>| {
            met.push(level);
            let found = self.meets_below(child, on.clone(), met, names, is_left);
            met.pop();
            found
        };
        if any {
            node.named.iter().any(|(name, &child)| wild(name) && go(child, Cow::Borrowed(name)))
                || node.plus.is_some_and(|child| go(child, Cow::Borrowed("+")))
                || node.templates.iter().any(|(template, child)| {
                    let is_for = !is_first || !template.is_dollar();
                    is_for && template.level(names).is_some_and(|level| go(*child, Cow::Owned(level)))
                })
        } else {
            node.named.get(level).is_some_and(|&child| go(child, Cow::Borrowed(level)))
                || node.plus.is_some_and(|child| wild(level) && go(child, Cow::Borrowed(level)))
                || node.templates.iter().any(|(template, child)| {
                    let is_for = wild(level) || template.is_dollar();
                    is_for && template.is(level, names) && go(*child, Cow::Borrowed(level))
                })
        }
    }

    /// Whether one rule denies all topics of a filter, given by its levels.
    pub(super) fn denies(&self, filter: &[Cow<'_, str>], names: Names<'_>) -> bool {
        self.denies_below(0, filter, true, names)
    }

    fn denies_below(&self, at: usize, filter: &[Cow<'_, str>], is_first: bool, names: Names<'_>) -> bool {
        let node = &self.nodes[at];
        let level = filter.first().map(|level| &**level);
        let is_dollar = is_first && level.is_some_and(|level| level.starts_with('$'));
        if node.below.has(Access::DENY) && !is_dollar {
            return true;
        }
        let Some(level) = level else { return node.here.has(Access::DENY) };
        let on = |child: usize| self.denies_below(child, &filter[1..], false, names);
        match level {
            "#" => false,
            "+" => node.plus.is_some_and(on),
            _ => {
                node.named.get(level).is_some_and(|&child| on(child))
                    || node.plus.is_some_and(|child| !is_dollar && on(child))
                    || node.templates.iter().any(|(template, child)| {
                        (!is_dollar || template.is_dollar()) && template.is(level, names) && on(*child)
                    })
            }
        }
    }
}

fn rest_of(text: &str) -> Split<'_, char> {
    text.split('/')
}
