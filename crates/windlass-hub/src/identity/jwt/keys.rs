//! Keys that tokens are signed with, each for one algorithm (RFC 7518, section 3.1; RFC 8037).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{digest, hmac};
use serde::Deserialize;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, DecodePem, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 12] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// As `alg` has it: `HS256`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether who can check a signature can make one.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
    }

    const fn is_rsa(self) -> bool {
        self.rsa().is_some()
    }

    const fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    const fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    /// With how many bytes of key: a point as `04 x y`, or an Ed25519 key.
    fn curve(self) -> Option<(&'static dyn VerificationAlgorithm, usize)> {
        match self {
            Algorithm::Es256 => Some((&signature::ECDSA_P256_SHA256_FIXED, 65)),
            Algorithm::Es384 => Some((&signature::ECDSA_P384_SHA384_FIXED, 97)),
            Algorithm::EdDsa => Some((&signature::ED25519, 32)),
            _ => None,
        }
    }
}

/// Why something is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no PEM of a public key (`BEGIN PUBLIC KEY`).
    Pem,
    /// It is a private key: those who check need the public one only.
    Private,
    /// It is no JSON Web Key, or no set of them (RFC 7517).
    Json,
    /// It is of a kind that is not known here.
    Kind,
    /// It does not fit the algorithm.
    Algorithm,
    /// A secret shorter than the hash (RFC 7518, section 3.2), or RSA with fewer than 2,048 bits or more than 8,192.
    Length,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Pem => "it is no public key in PEM (`BEGIN PUBLIC KEY`)",
            KeyError::Private => "it is a private key; only the public one belongs here",
            KeyError::Json => "it is no JSON Web Key, and no set of them",
            KeyError::Kind => "keys are RSA, P-256, P-384 or Ed25519",
            KeyError::Algorithm => "the key does not fit the algorithm",
            KeyError::Length => {
                "it is too short: a secret has 32, 48 or 64 bytes for HS256, HS384 or HS512, RSA 2,048 to 8,192 bits"
            }
        })
    }
}

impl std::error::Error for KeyError {}

/// A key, and the one algorithm it is for. `Debug` shows no secret.
#[derive(Clone)]
pub struct JwtKey {
    id: Option<String>,
    algorithm: Algorithm,
    material: Material,
    fingerprint: [u8; 32],
}

#[derive(Clone)]
enum Material {
    Hmac(hmac::Key),
    /// Without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Curve(Vec<u8>),
}

impl JwtKey {
    /// A secret that is shared with who signs.
    ///
    /// # Errors
    ///
    /// If the algorithm is none with a secret, and if it is shorter than its hash.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<JwtKey, KeyError> {
        let hmac = algorithm.hmac().ok_or(KeyError::Algorithm)?;
        if secret.len() < hmac.digest_algorithm().output_len() {
            return Err(KeyError::Length);
        }
        Ok(JwtKey::new(algorithm, Material::Hmac(hmac::Key::new(hmac, secret)), secret))
    }

    /// A public key in PEM: RSA, P-256, P-384 or Ed25519. Without an algorithm it is RS256 for RSA, and otherwise the
    /// one that the curve has.
    ///
    /// # Errors
    ///
    /// If it is none, or does not fit.
    pub fn pem(algorithm: Option<Algorithm>, pem: &str) -> Result<JwtKey, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let key = SubjectPublicKeyInfoOwned::from_pem(pem.trim().as_bytes()).map_err(|_| KeyError::Pem)?;
        let bytes = key.subject_public_key.as_bytes().ok_or(KeyError::Pem)?;
        let curve = || key.algorithm.parameters.as_ref()?.decode_as::<Oid>().ok();
        let usual = match key.algorithm.oid {
            RSA => {
                let (modulus, exponent) = rsa_parts(bytes).ok_or(KeyError::Pem)?;
                return JwtKey::rsa(algorithm.unwrap_or(Algorithm::Rs256), modulus, exponent);
            }
            ED25519 => Algorithm::EdDsa,
            EC => match curve() {
                Some(P256) => Algorithm::Es256,
                Some(P384) => Algorithm::Es384,
                _ => return Err(KeyError::Kind),
            },
            _ => return Err(KeyError::Kind),
        };
        if algorithm.is_some_and(|algorithm| algorithm != usual) {
            return Err(KeyError::Algorithm);
        }
        JwtKey::on_curve(usual, bytes.to_vec())
    }

    /// The keys of a set (RFC 7517): a JSON object with `keys`, or one key. Those that are for encryption are left
    /// out. A key without `alg` is for RS256 if it is RSA's, HS256 if it is a secret, and for what its curve has.
    ///
    /// # Errors
    ///
    /// If it is none, and if one of its keys cannot be used.
    pub fn jwks(json: &str) -> Result<Vec<JwtKey>, KeyError> {
        let set: JwkSet = match serde_json::from_str(json) {
            Ok(set) => set,
            Err(_) => JwkSet { keys: vec![serde_json::from_str(json).map_err(|_| KeyError::Json)?] },
        };
        set.keys.iter().filter(|key| key.usage.as_deref() != Some("enc")).map(Jwk::key).collect()
    }

    /// The same with an id: it is tried for tokens whose `kid` is this, and for those without one.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> JwtKey {
        self.id = Some(id.into());
        self
    }

    /// The id, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(super) fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, signed, signature).is_ok(),
            Material::Rsa { modulus, exponent } => self.algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(parameters, signed, signature)
                    .is_ok()
            }),
            Material::Curve(key) => self.algorithm.curve().is_some_and(|(algorithm, _)| {
                UnparsedPublicKey::new(algorithm, key).verify(signed, signature).is_ok()
            }),
        }
    }

    fn rsa(algorithm: Algorithm, modulus: Vec<u8>, exponent: Vec<u8>) -> Result<JwtKey, KeyError> {
        if !algorithm.is_rsa() {
            return Err(KeyError::Algorithm);
        }
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) || exponent.is_empty() {
            return Err(KeyError::Length);
        }
        let shown = [&*modulus, &*exponent].concat();
        Ok(JwtKey::new(algorithm, Material::Rsa { modulus, exponent }, &shown))
    }

    fn on_curve(algorithm: Algorithm, key: Vec<u8>) -> Result<JwtKey, KeyError> {
        let (_, length) = algorithm.curve().ok_or(KeyError::Algorithm)?;
        if key.len() != length {
            return Err(KeyError::Kind);
        }
        let shown = key.clone();
        Ok(JwtKey::new(algorithm, Material::Curve(key), &shown))
    }

    fn new(algorithm: Algorithm, material: Material, bytes: &[u8]) -> JwtKey {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(algorithm.name().as_bytes());
        context.update(&[0]);
        context.update(bytes);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        JwtKey { id: None, algorithm, material, fingerprint }
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

type Oid = x509_cert::spki::ObjectIdentifier;

// RFC 8017, RFC 5480, RFC 8410.
const RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.1");
const EC: Oid = Oid::new_unwrap("1.2.840.10045.2.1");
const P256: Oid = Oid::new_unwrap("1.2.840.10045.3.1.7");
const P384: Oid = Oid::new_unwrap("1.3.132.0.34");
const ED25519: Oid = Oid::new_unwrap("1.3.101.112");

/// An `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn rsa_parts(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    let parts = reader.sequence(|inner| {
        let (modulus, exponent) = (UintRef::decode(inner)?, UintRef::decode(inner)?);
        Ok::<_, x509_cert::der::Error>((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
    });
    let parts = parts.ok()?;
    reader.is_finished().then_some(parts)
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// A key of RFC 7517; its numbers are in Base64.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    fn key(&self) -> Result<JwtKey, KeyError> {
        if self.d.is_some() {
            return Err(KeyError::Private);
        }
        let algorithm = match &self.alg {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyError::Kind)?),
            None => None,
        };
        let expected = |usual: Algorithm| match algorithm {
            Some(algorithm) if algorithm != usual => Err(KeyError::Algorithm),
            _ => Ok(usual),
        };
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (number(&self.n)?, number(&self.e)?);
                JwtKey::rsa(algorithm.unwrap_or(Algorithm::Rs256), trimmed(modulus), trimmed(exponent))
            }
            ("EC", Some("P-256")) => JwtKey::on_curve(expected(Algorithm::Es256)?, self.point(32)?),
            ("EC", Some("P-384")) => JwtKey::on_curve(expected(Algorithm::Es384)?, self.point(48)?),
            ("OKP", Some("Ed25519")) => JwtKey::on_curve(expected(Algorithm::EdDsa)?, number(&self.x)?),
            ("oct", _) => JwtKey::secret(algorithm.unwrap_or(Algorithm::Hs256), &number(&self.k)?),
            _ => Err(KeyError::Kind),
        }?;
        Ok(JwtKey { id: self.kid.clone(), ..key })
    }

    /// Both are of full length (RFC 7518, section 6.2.1.2).
    fn point(&self, length: usize) -> Result<Vec<u8>, KeyError> {
        let (x, y) = (number(&self.x)?, number(&self.y)?);
        if x.len() != length || y.len() != length {
            return Err(KeyError::Json);
        }
        Ok([&[4], &*x, &*y].concat())
    }
}

fn number(text: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let text = text.as_ref().ok_or(KeyError::Json)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Json)
}

fn trimmed(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
