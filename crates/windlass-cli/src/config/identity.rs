//! `[hub.identity]`: who clients are, and what they may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_hub::identity::{
    Algorithm, Anonymous, CertificateName, JwtConfig, UserLimits, UsersLimits, WhenRevoked,
};

use super::value::{Count, FilePath, Secret, Size, Time};

/// Who clients are, and what they may do. Without anything in it that tells who somebody is, clients on this machine
/// are served, and nobody else.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IdentityTable {
    /// Users and the hashes of their passwords, as `windlass hub passwd` and `mosquitto_passwd` write them. It is read
    /// anew at a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["users.passwd"]))]
    pub(crate) password_file: Option<FilePath>,
    /// What they may read and write, as in Mosquitto's `acl_file`; everything without it. Denial always wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["users.acl"]))]
    pub(crate) acl_file: Option<FilePath>,
    /// Which name of a client's certificate is its user's. It needs no password then. Clients are asked for
    /// certificates by `client_ca` of `[hub.tls]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<CertificateKind>,
    /// Who needs to say no name. Where nothing is said, `local` if nothing here could tell who somebody is, and
    /// otherwise `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) anonymous: Option<AnonymousName>,
    /// What clients' ids begin with, one of these; anything if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) client_id_prefixes: Vec<String>,
    /// Whether the user's name is the client's id, whatever that says.
    pub(crate) client_id_from_user: bool,
    /// Whether the session of a user is that user's alone. Without it whoever says a client's id gets its messages.
    pub(crate) client_id_bound: bool,
    /// What becomes of connected clients whose user, password or key is gone after a reload.
    pub(crate) when_revoked: Revoked,
    /// Users whose passwords were right are remembered, so that coming back costs no second hash; 0 is none.
    pub(crate) recent_max: Count,
    /// Tokens in the place of passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<JwtTable>,
    /// Bounds of each user.
    #[serde(skip_serializing_if = "UserLimitsTable::is_default")]
    pub(crate) limits: UserLimitsTable,
    /// Users with bounds of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) user: Vec<UserTable>,
}

/// JSON Web Tokens.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JwtTable {
    /// Keys that tokens are signed with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) key: Vec<JwtKeyTable>,
    /// More of them: a JSON Web Key Set. It is read anew at a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["keys.json"]))]
    pub(crate) key_set: Option<FilePath>,
    /// What `iss` may be; anything if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) issuers: Vec<String>,
    /// Whom `aud` has to name. If there are none, a token for a named audience is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) audiences: Vec<String>,
    /// How far the clocks of those who sign may be away.
    pub(crate) leeway: Time,
    /// Whether a token without `exp` is refused.
    pub(crate) expiry_required: bool,
    /// The claim with the user's name.
    pub(crate) user_claim: String,
    /// The claim with the client's id. A token without it is good for any.
    pub(crate) client_id_claim: String,
    /// The claim with rules: lists of topic filters under `read`, `write`, `readwrite` and `deny`.
    pub(crate) acl_claim: String,
    /// Bytes of a token.
    pub(crate) token_max: Size,
    /// Rules in one.
    pub(crate) rules_max: Count,
}

/// A key that tokens are signed with: `file` or `secret`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JwtKeyTable {
    /// What `kid` of a token calls it. Without it, it is tried for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The one algorithm it is for: `RS256` for RSA, and what its curve has, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<AlgorithmName>,
    /// A public key, as PEM; or of HS256, HS384 and HS512 the secret, without the end of its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["issuer.pem"]))]
    pub(crate) file: Option<FilePath>,
    /// The secret of HS256, HS384 and HS512 itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["${JWT_SECRET}"]))]
    pub(crate) secret: Option<Secret>,
}

macro_rules! user_limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ident,)*) => {
        /// Bounds of one user; 0 is none.
        #[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct UserLimitsTable {
            $($(#[doc = $doc])+ pub(crate) $name: $ty,)*
        }

        /// A user with bounds of its own.
        #[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct UserTable {
            /// Who.
            pub(crate) name: String,
            $($(#[doc = $doc])+ pub(crate) $name: $ty,)*
        }

        impl UserTable {
            fn limits(&self) -> UserLimits {
                UserLimitsTable { $($name: self.$name,)* }.limits()
            }
        }
    };
}

user_limits! {
    /// Connections at once.
    connections_max: Count,
    /// Connections begun in a second.
    connects_per_second_max: Count,
    /// Messages published in a second.
    messages_per_second_max: Count,
    /// Bytes published in a second.
    bytes_per_second_max: Size,
    /// Subscriptions of each client.
    subscriptions_max: Count,
}

impl UserLimitsTable {
    fn is_default(&self) -> bool {
        *self == UserLimitsTable::default()
    }

    fn limits(&self) -> UserLimits {
        let mut limits = UserLimits::default();
        let small = |count: Count| u32::try_from(count.0).unwrap_or(u32::MAX);
        limits.connections_max = self.connections_max.0;
        limits.connects_per_second_max = small(self.connects_per_second_max);
        limits.messages_per_second_max = small(self.messages_per_second_max);
        limits.bytes_per_second_max = self.bytes_per_second_max.0 as u64;
        limits.subscriptions_max = self.subscriptions_max.0;
        limits
    }
}

/// Which name of a certificate is the user's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateKind {
    /// The common name of its subject.
    CommonName,
    /// The whole subject: `CN=pump,O=Example`.
    Subject,
    /// Its only DNS name.
    Dns,
    /// Its only e-mail address.
    Email,
    /// Its only URI.
    Uri,
}

impl CertificateKind {
    pub(crate) fn of_hub(self) -> CertificateName {
        match self {
            CertificateKind::CommonName => CertificateName::CommonName,
            CertificateKind::Subject => CertificateName::Subject,
            CertificateKind::Dns => CertificateName::Dns,
            CertificateKind::Email => CertificateName::Email,
            CertificateKind::Uri => CertificateName::Uri,
        }
    }
}

/// Who needs to say no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnonymousName {
    /// Nobody.
    Never,
    /// Clients on this machine.
    Local,
    /// Everybody.
    Everybody,
}

impl AnonymousName {
    pub(crate) fn of_hub(self) -> Anonymous {
        match self {
            AnonymousName::Never => Anonymous::Never,
            AnonymousName::Local => Anonymous::Local,
            AnonymousName::Everybody => Anonymous::Everybody,
        }
    }
}

/// What becomes of clients that would not be let in any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Revoked {
    /// They are disconnected.
    #[default]
    Disconnect,
    /// They stay until they go.
    Keep,
}

impl Revoked {
    pub(crate) fn of_hub(self) -> WhenRevoked {
        match self {
            Revoked::Disconnect => WhenRevoked::Disconnect,
            Revoked::Keep => WhenRevoked::Keep,
        }
    }
}

macro_rules! algorithms {
    ($($name:ident $text:literal,)*) => {
        /// How a token is signed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
        pub(crate) enum AlgorithmName {
            $(#[serde(rename = $text)] $name,)*
        }

        impl AlgorithmName {
            pub(crate) fn of_hub(self) -> Algorithm {
                match self {
                    $(AlgorithmName::$name => Algorithm::$name,)*
                }
            }
        }
    };
}

algorithms! {
    Hs256 "HS256",
    Hs384 "HS384",
    Hs512 "HS512",
    Rs256 "RS256",
    Rs384 "RS384",
    Rs512 "RS512",
    Ps256 "PS256",
    Ps384 "PS384",
    Ps512 "PS512",
    Es256 "ES256",
    Es384 "ES384",
    EdDsa "EdDSA",
}

impl Default for IdentityTable {
    fn default() -> IdentityTable {
        IdentityTable {
            password_file: None,
            acl_file: None,
            certificate: None,
            anonymous: None,
            client_id_prefixes: Vec::new(),
            client_id_from_user: false,
            client_id_bound: true,
            when_revoked: Revoked::default(),
            recent_max: Count(10_000),
            jwt: None,
            limits: UserLimitsTable::default(),
            user: Vec::new(),
        }
    }
}

impl Default for JwtTable {
    fn default() -> JwtTable {
        let config = JwtConfig::default();
        JwtTable {
            key: Vec::new(),
            key_set: None,
            issuers: config.issuers,
            audiences: config.audiences,
            leeway: Time(std::time::Duration::from_millis(config.leeway_ms)),
            expiry_required: config.expiry_required,
            user_claim: config.user_claim,
            client_id_claim: config.client_id_claim,
            acl_claim: config.acl_claim,
            token_max: Size(config.token_max),
            rules_max: Count(config.rules_max),
        }
    }
}

impl IdentityTable {
    /// The files that it names, and the key of each.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FilePath> {
        let jwt = self.jwt.iter();
        let keys =
            jwt.flat_map(|jwt| jwt.key_set.iter().chain(jwt.key.iter().filter_map(|key| key.file.as_ref())));
        self.password_file.iter().chain(&self.acl_file).chain(keys)
    }

    /// The bounds of users.
    pub(crate) fn users(&self) -> UsersLimits {
        UsersLimits {
            everybody: self.limits.limits(),
            users: self.user.iter().map(|user| (user.name.as_str().into(), user.limits())).collect(),
        }
    }

    /// Whether nothing is said: as good as no table.
    pub(crate) fn is_default(&self) -> bool {
        *self == IdentityTable::default()
    }
}

impl JwtTable {
    /// All but the keys.
    pub(crate) fn config(&self) -> JwtConfig {
        JwtConfig {
            keys: Vec::new(),
            issuers: self.issuers.clone(),
            audiences: self.audiences.clone(),
            leeway_ms: u64::try_from(self.leeway.0.as_millis()).unwrap_or(u64::MAX),
            expiry_required: self.expiry_required,
            user_claim: self.user_claim.clone(),
            client_id_claim: self.client_id_claim.clone(),
            acl_claim: self.acl_claim.clone(),
            token_max: self.token_max.0,
            rules_max: self.rules_max.0,
        }
    }
}
