//! What clients may read and write: access control lists in Mosquitto's format.
//!
//! Read [`Acl`], then `file` for how a text becomes one, and `tree` for how a topic is looked up.

mod file;
mod tree;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use windlass_proto::mqtt::{Filter, Topic};

use super::mistake::Mistake;
pub(super) use tree::Access;
pub(crate) use tree::RuleError;
use tree::{Names, Tree};

/// The rules of a file.
///
/// - `user NAME`: the `topic` lines behind it are about this user; those before the first are about clients
///   without a user name.
/// - `topic [read|write|readwrite|deny] FILTER`: without a word, `readwrite`.
/// - `pattern [..] FILTER`: for everybody, with `%u` for the user's name and `%c` for the client's id.
///
/// What no rule allows is refused. **Denial wins**, wherever it stands (in Mosquitto, what a user's own lines allow
/// goes before a pattern that denies). A name stands for one level: one with `/`, `+` or `#` in it fits no
/// placeholder, and whom a pattern would deny by such a name may do nothing. As everywhere, `#` and `+` at the
/// beginning match no topic that begins with `$`.
///
/// ```
/// use std::sync::Arc;
/// use windlass_hub::identity::Acl;
/// use windlass_proto::mqtt::{Filter, Topic};
///
/// let acl = Acl::parse("pattern write devices/%c/#\nuser roger\ntopic read devices/#\ntopic deny devices/secret\n")
///     .expect("it has no mistakes");
/// let rights = Arc::new(acl).for_client(Some("roger"), "pump");
/// assert!(rights.may_write(Topic::new("devices/pump/speed").unwrap()));
/// assert!(rights.may_read(Topic::new("devices/valve").unwrap()));
/// assert!(!rights.may_read(Topic::new("devices/secret").unwrap()));
/// assert!(!rights.may_subscribe(Filter::new("others/#").unwrap()));
/// ```
#[derive(Debug)]
pub struct Acl {
    users: HashMap<Arc<str>, Arc<Tree>>,
    /// For those without a name.
    anonymous: Arc<Tree>,
    patterns: Tree,
}

/// Rules that came with a client: those of its token.
#[derive(Clone)]
pub(super) struct Grants(Arc<Tree>);

impl Grants {
    #[cfg_attr(not(feature = "jwt"), allow(dead_code, reason = "tokens bring them"))]
    pub(super) fn new<'t>(rules: impl IntoIterator<Item = (Access, &'t str)>) -> Result<Grants, RuleError> {
        let mut tree = Tree::new();
        for (access, topic) in rules {
            tree.insert(topic, access, true)?;
        }
        Ok(Grants(Arc::new(tree)))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grants(..)")
    }
}

impl Acl {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Acl, Vec<Mistake>> {
        file::parse(text)
    }

    /// What one client may do. It costs one look-up and no copy of the rules.
    pub fn for_client(self: &Arc<Acl>, user: Option<&str>, client_id: &str) -> Rights {
        Rights::new(Some(self), None, user, client_id)
    }

    /// Whether there are rules about users by their names.
    pub fn names_users(&self) -> bool {
        !self.users.is_empty()
    }
}

/// What one client may do. Ask again at delivery, for retained messages, wills and queued ones too: rules change
/// while a client is connected.
#[derive(Clone)]
pub struct Rights(Option<Box<Ruled>>);

/// Rules that a client is held against.
#[derive(Clone)]
struct Ruled {
    patterns: Option<Arc<Acl>>,
    own: Option<Arc<Tree>>,
    /// Denies what it denies, but allows nothing.
    denying: Option<Arc<Tree>>,
    user: Option<Box<str>>,
    client: Option<Box<str>>,
    /// A pattern denies by a name that fits no level.
    is_denied: bool,
    /// What may be done is what a token says: the file only denies.
    by_token: bool,
}

impl Rights {
    /// All of them: there are no rules.
    pub const EVERYTHING: Rights = Rights(None);

    pub(super) fn new(
        acl: Option<&Arc<Acl>>,
        grants: Option<&Grants>,
        user: Option<&str>,
        client: &str,
    ) -> Rights {
        let of_file = acl.and_then(|acl| match user {
            Some(user) => acl.users.get(user).cloned(),
            None => Some(acl.anonymous.clone()).filter(|tree| !tree.is_empty()),
        });
        let (own, denying) = match grants {
            None if acl.is_none() => return Rights::EVERYTHING,
            None => (of_file, None),
            Some(Grants(tree)) => (Some(tree.clone()), of_file),
        };
        let fits = |name: &&str| !name.is_empty() && !name.contains(['/', '+', '#']);
        let (fit_user, fit_client) = (user.filter(fits), Some(client).filter(fits));
        let trees = acl.map(|acl| &acl.patterns).into_iter().chain(own.as_deref());
        let is_denied = trees.into_iter().any(|tree| {
            tree.denies_user && user.is_some() && fit_user.is_none()
                || tree.denies_client && fit_client.is_none()
        });
        Rights(Some(Box::new(Ruled {
            patterns: acl.filter(|acl| !acl.patterns.is_empty()).cloned(),
            own,
            denying,
            user: fit_user.map(Into::into),
            client: fit_client.map(Into::into),
            is_denied,
            by_token: grants.is_some(),
        })))
    }

    /// Whether messages of this topic may be delivered to the client, those retained, queued and of shared
    /// subscriptions included.
    pub fn may_read(&self, topic: Topic<'_>) -> bool {
        self.0.as_ref().is_none_or(|ruled| ruled.may(topic, Access::READ))
    }

    /// Whether the client may publish to this topic; its will is a publish too.
    pub fn may_write(&self, topic: Topic<'_>) -> bool {
        self.0.as_ref().is_none_or(|ruled| ruled.may(topic, Access::WRITE))
    }

    /// Whether there can be a topic that matches the filter and may be read. A filter may ask for more than that:
    /// what may not be read is not delivered. Of a shared subscription the filter behind the group counts.
    pub fn may_subscribe(&self, filter: Filter<'_>) -> bool {
        self.0.as_ref().is_none_or(|ruled| ruled.may_subscribe(filter.pattern()))
    }

    /// Whether there are no rules.
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }
}

impl Ruled {
    fn names(&self) -> Names<'_> {
        Names { user: self.user.as_deref(), client: self.client.as_deref() }
    }

    fn may(&self, topic: Topic<'_>, wanted: Access) -> bool {
        if self.is_denied {
            return false;
        }
        let names = self.names();
        let mut access = self.own.as_ref().map_or(Access::NONE, |tree| tree.access(topic, names));
        if let Some(tree) = &self.denying {
            access |= denial(tree.access(topic, names));
        }
        if let Some(acl) = &self.patterns {
            let said = acl.patterns.access(topic, names);
            access |= if self.by_token { denial(said) } else { said };
        }
        access.has(wanted) && !access.has(Access::DENY)
    }

    fn may_subscribe<'f>(&'f self, filter: &'f str) -> bool {
        if self.is_denied {
            return false;
        }
        let names = self.names();
        let trees = || {
            let patterns = self.patterns.as_ref().map(|acl| &acl.patterns);
            self.own.as_deref().into_iter().chain(self.denying.as_deref()).chain(patterns)
        };
        let mut is_left = |met: &[Cow<'f, str>]| {
            // One empty level is no topic ([MQTT-4.7.3-1]).
            let is_none = matches!(met, [level] if level.is_empty());
            !is_none && !trees().any(|tree| tree.denies(met, names))
        };
        let patterns = self.patterns.as_ref().map(|acl| &acl.patterns).filter(|_| !self.by_token);
        self.own.as_deref().into_iter().chain(patterns).any(|tree| tree.meets(filter, names, &mut is_left))
    }
}

/// Of what is said, whether it is denied.
fn denial(access: Access) -> Access {
    if access.has(Access::DENY) { Access::DENY } else { Access::NONE }
}

/// Whose they are, not what they are.
impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Rights::EVERYTHING"),
            Some(ruled) => f
                .debug_struct("Rights")
                .field("user", &ruled.user)
                .field("client", &ruled.client)
                .finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests;
