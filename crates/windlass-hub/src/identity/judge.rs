//! Who a client is: the one value that all of it is made from, and that a reload replaces.
//!
//! Read [`Identity::judge`] first. What it cannot say at once, since a hash or a signature takes its time, is a
//! [`Check`] for a thread that may wait.

use std::fmt;
use std::sync::Arc;

use windlass_proto::mqtt::Reason;
use zeroize::Zeroizing;

use super::acl::{Acl, Grants, Rights};
use super::certificate::{CertificateError, CertificateName};
use super::jwt::{Jwt, JwtError};
use super::limits::{UserLimits, UsersLimits};
use super::passwords::{Entry, PasswordCheck, Passwords};
use super::recent::{Keeper, Recent, Remember};

/// Who needs to say no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Anonymous {
    /// Nobody.
    Never,
    /// Clients on this machine.
    Local,
    /// Everybody.
    Everybody,
}

/// What becomes of connected clients that would not be let in any more, once that has changed: the user was taken out
/// or has another password, the key of their token is gone, nobody is anonymous now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum WhenRevoked {
    /// They are disconnected, with 0x87 in version 5.
    #[default]
    Disconnect,
    /// They stay until they go by themselves. What they may do changes at once all the same.
    Keep,
}

/// What an [`Identity`] is made from. Plain data with `Default`: without anything that could tell who somebody is,
/// clients on this machine are served, and nobody else.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    /// Users and their passwords.
    pub passwords: Option<Arc<Passwords>>,
    /// What they may do; without it, everything.
    pub acl: Option<Arc<Acl>>,
    /// Tokens in the place of passwords.
    pub jwt: Option<Arc<Jwt>>,
    /// Which name of a client's certificate is its user's. Clients that show one need no password; those that show
    /// none are asked for what else there is.
    pub certificate: Option<CertificateName>,
    /// Who needs to say no name. `None`, the default, is [`Anonymous::Local`] if nothing above tells who somebody is,
    /// and otherwise [`Anonymous::Never`].
    pub anonymous: Option<Anonymous>,
    /// What the id of a client begins with, one of these; empty, the default: anything. Ids that the hub assigns are
    /// not asked.
    pub client_id_prefixes: Vec<String>,
    /// Whether the user's name is the client's id, whatever it says. Default false.
    pub client_id_from_user: bool,
    /// Whether the session of a user is that user's alone. Default true. Without it whoever says a client's id gets
    /// its messages.
    pub client_id_bound: bool,
    /// What becomes of clients that would not be let in any more.
    pub when_revoked: WhenRevoked,
    /// Users whose passwords were right are remembered on each worker ([`Recent`]). Default 10,000; 0: none.
    pub recent_max: usize,
    /// Bounds of each user.
    pub limits: UsersLimits,
    /// A number that is made of all that this is made from, files included: two identities with the same one are the
    /// same. 0, the default: each is for itself.
    pub mark: u64,
}

impl Default for IdentityConfig {
    fn default() -> IdentityConfig {
        IdentityConfig {
            passwords: None,
            acl: None,
            jwt: None,
            certificate: None,
            anonymous: None,
            client_id_prefixes: Vec::new(),
            client_id_from_user: false,
            client_id_bound: true,
            when_revoked: WhenRevoked::default(),
            recent_max: 10_000,
            limits: UsersLimits::default(),
            mark: 0,
        }
    }
}

impl IdentityConfig {
    /// Whether there is anything by which a client could prove its name.
    fn proves(&self) -> bool {
        self.passwords.is_some() || self.jwt.is_some() || self.certificate.is_some()
    }
}

/// Why a client is refused. It is told less: not whether the user is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// It says no name, and has to.
    Anonymous,
    /// No such user, or not with this password.
    Password,
    /// Its token does not hold.
    Token(JwtError),
    /// Its certificate names nobody.
    Certificate(CertificateError),
    /// The client's id is not for this user.
    ClientId,
}

impl Refusal {
    /// What CONNACK says in version 5; 3.1.1 has `0x05` for the first and `0x02` for the second. A wrong password is
    /// "not authorized" too, as Mosquitto has it.
    pub const fn reason(self) -> Reason {
        match self {
            Refusal::ClientId => Reason::ClientIdentifierNotValid,
            _ => Reason::NotAuthorized,
        }
    }

    /// A name that stays: the label of a metric.
    pub const fn label(self) -> &'static str {
        match self {
            Refusal::Anonymous => "anonymous",
            Refusal::Password => "password",
            Refusal::Token(_) => "token",
            Refusal::Certificate(_) => "certificate",
            Refusal::ClientId => "client_id",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Anonymous => f.write_str("it says no name"),
            Refusal::Password => f.write_str("the user or the password is wrong"),
            Refusal::Token(why) => write!(f, "its token is refused: {why}"),
            Refusal::Certificate(why) => why.fmt(f),
            Refusal::ClientId => f.write_str("its client id is not for this user"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a client says of itself.
#[derive(Clone, Copy, Default)]
pub struct Presented<'c> {
    /// The user name of its CONNECT.
    pub user: Option<&'c str>,
    /// The password of its CONNECT.
    pub password: Option<&'c [u8]>,
    /// The client id of its CONNECT; nothing if the hub assigns one.
    pub client_id: Option<&'c str>,
    /// Its own certificate (DER), if it showed one and that was verified.
    pub certificate: Option<&'c [u8]>,
    /// Whether it is on this machine: at a loopback address, or at a Unix socket. Of a connection that came through a
    /// proxy, where the client is counts, and not the proxy.
    pub is_local: bool,
}

/// Without the password.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("user", &self.user)
            .field("client_id", &self.client_id)
            .field("is_local", &self.is_local)
            .finish_non_exhaustive()
    }
}

/// Who a client is, once that is settled.
#[derive(Clone, Debug)]
pub struct Who {
    /// The user; nobody, if it is anonymous.
    pub user: Option<Arc<str>>,
    /// The id that it has in the place of the one it said.
    pub client_id: Option<Arc<str>>,
    /// When it has to be disconnected (0xA0, or 0x87), in milliseconds since 1970.
    pub expires_at_unix_ms: Option<u64>,
    means: Means,
}

/// By what it was recognized.
#[derive(Clone)]
enum Means {
    /// It said no name.
    Anonymous,
    /// It said a name, and nothing here could tell whether that is true.
    Said,
    Password(Arc<Entry>),
    Token(Box<Borne>),
    Certificate,
    /// An enhanced authentication has told.
    Vouched,
}

/// What a token has shown.
#[derive(Clone)]
struct Borne {
    key: [u8; 32],
    grants: Option<Grants>,
}

/// Without hashes and keys.
impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Anonymous => "Anonymous",
            Means::Said => "Said",
            Means::Password(_) => "Password",
            Means::Token(_) => "Token",
            Means::Certificate => "Certificate",
            Means::Vouched => "Vouched",
        })
    }
}

impl Who {
    /// Whether nothing is known of it that is not known of all who say no name: they are all the same one.
    pub(crate) fn is_nobody(&self) -> bool {
        let Who { user, client_id, expires_at_unix_ms, means } = self;
        matches!(means, Means::Anonymous)
            && user.is_none()
            && client_id.is_none()
            && expires_at_unix_ms.is_none()
    }

    /// Whether a session that belongs to `owner` (nobody, if it is anonymous) may be taken over. What is nobody's is
    /// everybody's.
    fn owns(&self, owner: Option<&str>) -> bool {
        owner.is_none() || owner == self.user.as_deref()
    }
}

/// What is known of a client after its CONNECT.
#[derive(Debug)]
pub enum Judged {
    /// It is this one.
    Accepted(Who),
    /// It is refused.
    Refused(Refusal),
    /// It takes longer: [`Check::run`] it where it holds nobody up.
    Check(Check),
}

/// A hash to compute, or a signature to check.
pub struct Check {
    identity: Identity,
    client_id: Option<Box<str>>,
    now_unix_ms: u64,
    keeper: Keeper,
    what: Slow,
}

enum Slow {
    Password(PasswordCheck),
    Token(Zeroizing<Box<[u8]>>),
}

/// Without what is checked.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(..)")
    }
}

/// What came out of a [`Check`].
#[derive(Debug)]
pub struct Checked {
    /// Who it is, or why it is refused.
    pub verdict: Result<Who, Refusal>,
    #[cfg_attr(not(feature = "passwords"), allow(dead_code, reason = "there is nothing to remember"))]
    pub(super) remember: Option<Remember>,
}

impl Check {
    /// Does the work: some 30 ms for a password with the usual costs, a fraction of one for a token.
    pub fn run(self) -> Checked {
        let id = self.client_id.as_deref();
        match self.what {
            Slow::Token(token) => {
                let verdict = self.identity.by_token(&token, id, self.now_unix_ms);
                Checked { verdict, remember: None }
            }
            Slow::Password(check) => {
                if !check.run() {
                    return Checked { verdict: Err(Refusal::Password), remember: None };
                }
                let Some(entry) = check.entry() else {
                    return Checked { verdict: Err(Refusal::Password), remember: None };
                };
                let remember = self.keeper.remember(entry, check.password());
                Checked { verdict: self.identity.by_password(entry, id), remember }
            }
        }
    }
}

/// How somebody stands who was let in before the identity changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Standing {
    /// As before. What it may do has to be asked anew ([`Identity::rights`]).
    Stays,
    /// It would not be let in any more, and is to be disconnected.
    Revoked,
}

/// Who clients are and what they may do: one value made from a configuration. Clones are the same.
///
/// Give the next one to each worker when the configuration or one of its files changes; nobody is dropped by that.
/// [`is`](Identity::is) tells whether a client was judged by an earlier one: then ask for its
/// [`standing`](Identity::standing) and [`rights`](Identity::rights) when it publishes or is delivered to next.
///
/// ```
/// use std::sync::Arc;
/// use windlass_hub::identity::{Identity, IdentityConfig, Judged, Passwords, Presented, Recent, passwords};
///
/// let file = passwords::set("", "roger", b"secret", Default::default())?;
/// let passwords = Some(Arc::new(Passwords::parse(&file).unwrap()));
/// let identity = Identity::new(IdentityConfig { passwords, ..IdentityConfig::default() });
///
/// let recent = Recent::new(1_000);
/// let roger = Presented { user: Some("roger"), password: Some(b"secret"), ..Presented::default() };
/// let Judged::Check(check) = identity.judge(&roger, &recent, 0) else { panic!("a hash takes its time") };
/// let who = check.run().verdict.unwrap();
/// assert_eq!(who.user.as_deref(), Some("roger"));
///
/// let nobody = Presented { is_local: true, ..Presented::default() };
/// assert!(matches!(identity.judge(&nobody, &recent, 0), Judged::Refused(_)));
/// # Ok::<(), windlass_hub::identity::HashingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Identity(Arc<IdentityConfig>);

impl Default for Identity {
    fn default() -> Identity {
        Identity::new(IdentityConfig::default())
    }
}

/// Whether both are one value, or are made from the same.
impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.is(other) || (self.0.mark != 0 && self.0.mark == other.0.mark)
    }
}

impl Identity {
    /// Makes one.
    pub fn new(config: IdentityConfig) -> Identity {
        Identity(Arc::new(config))
    }

    /// Whether both are one value, and not just alike.
    pub fn is(&self, other: &Identity) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What it was made from.
    pub fn config(&self) -> &IdentityConfig {
        &self.0
    }

    /// Who a client is, at `now_unix_ms`, milliseconds since 1970.
    ///
    /// A certificate goes before a token, and that before a password. What is meant as one of them is tried as that
    /// alone. Where there is nothing that could tell who somebody is, and anonymous clients are let in, a name is
    /// believed as it is said.
    pub fn judge(&self, client: &Presented<'_>, recent: &Recent, now_unix_ms: u64) -> Judged {
        if let (Some(name), Some(certificate)) = (self.0.certificate, client.certificate) {
            let verdict = name
                .of(certificate)
                .map_err(Refusal::Certificate)
                .and_then(|user| self.admit(Some(user.into()), client.client_id, None, Means::Certificate));
            return judged(verdict);
        }
        if let (Some(jwt), Some(token)) = (&self.0.jwt, client.password)
            && jwt.is_token(token)
        {
            if jwt.is_slow() {
                let token = Zeroizing::new(token.into());
                return self.check(client, recent, now_unix_ms, Slow::Token(token));
            }
            return judged(self.by_token(token, client.client_id, now_unix_ms));
        }
        let (Some(user), Some(passwords)) = (client.user, &self.0.passwords) else {
            return judged(self.unproven(client));
        };
        let password = client.password.unwrap_or_default();
        if let Some(entry) = passwords.entry(user)
            && recent.knows(entry, password)
        {
            return judged(self.by_password(entry, client.client_id));
        }
        self.check(client, recent, now_unix_ms, Slow::Password(passwords.check(user, password)))
    }

    fn check(&self, client: &Presented<'_>, recent: &Recent, now_unix_ms: u64, what: Slow) -> Judged {
        let client_id = client.client_id.map(Into::into);
        Judged::Check(Check { identity: self.clone(), client_id, now_unix_ms, keeper: recent.keeper(), what })
    }

    /// Nothing that was said proves who it is.
    fn unproven(&self, client: &Presented<'_>) -> Result<Who, Refusal> {
        match client.user {
            // A name that could have been proven, and was not.
            Some(_) if self.0.proves() => Err(Refusal::Password),
            _ if !self.is_anonymous_let_in(client.is_local) => Err(Refusal::Anonymous),
            Some(user) => self.admit(Some(user.into()), client.client_id, None, Means::Said),
            None => self.admit(None, client.client_id, None, Means::Anonymous),
        }
    }

    fn by_password(&self, entry: &Arc<Entry>, client_id: Option<&str>) -> Result<Who, Refusal> {
        self.admit(Some(entry.user.clone()), client_id, None, Means::Password(entry.clone()))
    }

    fn by_token(&self, token: &[u8], client_id: Option<&str>, now_unix_ms: u64) -> Result<Who, Refusal> {
        let jwt = self.0.jwt.as_ref().ok_or(Refusal::Token(JwtError::Key))?;
        let token = jwt.check(token, now_unix_ms).map_err(Refusal::Token)?;
        if token.client_id.is_some() && token.client_id.as_deref() != client_id {
            return Err(Refusal::ClientId);
        }
        let means = Means::Token(Box::new(Borne { key: token.key, grants: token.grants }));
        self.admit(Some(token.user), client_id, token.expires_at_unix_ms, means)
    }

    fn admit(
        &self,
        user: Option<Arc<str>>,
        client_id: Option<&str>,
        expires_at_unix_ms: Option<u64>,
        means: Means,
    ) -> Result<Who, Refusal> {
        let from_user = user.clone().filter(|_| self.0.client_id_from_user);
        if self.0.client_id_from_user && from_user.is_none() {
            return Err(Refusal::ClientId);
        }
        let prefixes = &self.0.client_id_prefixes;
        let id = from_user.as_deref().or(client_id);
        let is_refused = |id: &str| !prefixes.iter().any(|prefix| id.starts_with(&**prefix));
        if !prefixes.is_empty() && id.is_some_and(is_refused) {
            return Err(Refusal::ClientId);
        }
        Ok(Who { user, client_id: from_user, expires_at_unix_ms, means })
    }

    /// Whether clients that say no name are served.
    pub fn is_anonymous_let_in(&self, is_local: bool) -> bool {
        match self.0.anonymous {
            Some(Anonymous::Everybody) => true,
            Some(Anonymous::Local) => is_local,
            Some(Anonymous::Never) => false,
            None => is_local && !self.0.proves(),
        }
    }

    /// Somebody whose name was found out otherwise, as by an enhanced authentication.
    ///
    /// # Errors
    ///
    /// If its client's id is not for it.
    pub fn vouched(&self, user: Option<&str>, client_id: Option<&str>) -> Result<Who, Refusal> {
        self.admit(user.map(Into::into), client_id, None, Means::Vouched)
    }

    /// What a user may do as this client, where no more is known of it.
    pub fn rights_of_user(&self, user: Option<&str>, client_id: &str) -> Rights {
        Rights::new(self.0.acl.as_ref(), None, user, client_id)
    }

    /// What somebody may do as this client.
    pub fn rights(&self, who: &Who, client_id: &str) -> Rights {
        let grants = match &who.means {
            Means::Token(token) => token.grants.as_ref(),
            _ => None,
        };
        Rights::new(self.0.acl.as_ref(), grants, who.user.as_deref(), client_id)
    }

    /// Whether a session that belongs to `owner` may be taken over, or gone on with.
    pub fn may_take_over(&self, who: &Who, owner: Option<&str>) -> bool {
        !self.0.client_id_bound || who.owns(owner)
    }

    /// How somebody stands who was let in by an identity before this one.
    pub fn standing(&self, who: &Who, client_id: &str, is_local: bool) -> Standing {
        if self.0.when_revoked == WhenRevoked::Keep {
            return Standing::Stays;
        }
        let config = &self.0;
        let is_known = match &who.means {
            Means::Anonymous => self.is_anonymous_let_in(is_local),
            Means::Said => !config.proves() && self.is_anonymous_let_in(is_local),
            Means::Password(entry) => {
                let now = config.passwords.as_ref().and_then(|passwords| passwords.entry(&entry.user));
                now.is_some_and(|now| now.is(entry))
            }
            Means::Token(token) => config.jwt.as_ref().is_some_and(|jwt| jwt.has_key(&token.key)),
            Means::Certificate => config.certificate.is_some(),
            Means::Vouched => true,
        };
        // Prefixes are for who comes: the ids of those that are here were good, or assigned.
        let id_fits = !config.client_id_from_user || who.user.as_deref() == Some(client_id);
        if is_known && id_fits { Standing::Stays } else { Standing::Revoked }
    }

    /// The bounds of a user; those of nobody are for all anonymous clients together.
    pub fn limits(&self, user: Option<&str>) -> &UserLimits {
        self.0.limits.of(user)
    }
}

fn judged(verdict: Result<Who, Refusal>) -> Judged {
    match verdict {
        Ok(who) => Judged::Accepted(who),
        Err(why) => Judged::Refused(why),
    }
}

#[cfg(test)]
mod tests;
