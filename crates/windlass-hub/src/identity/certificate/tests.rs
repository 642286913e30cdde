//! Certificates that OpenSSL made.

use super::*;

const PLAIN: &[u8] = include_bytes!("plain.der");
const SEVERAL: &[u8] = include_bytes!("several.der");
const NAMELESS: &[u8] = include_bytes!("nameless.der");

#[test]
fn names_are_read() {
    use CertificateName::*;
    assert_eq!(CommonName.of(PLAIN).as_deref(), Ok("pump 7"));
    // RFC 4514 has the last first.
    assert_eq!(Subject.of(PLAIN).as_deref(), Ok("CN=pump 7,O=Example"));
    assert_eq!(Dns.of(NAMELESS).as_deref(), Ok("pump.example"));
    assert_eq!(Email.of(SEVERAL).as_deref(), Ok("roger@example.org"));
    assert_eq!(Uri.of(SEVERAL).as_deref(), Ok("urn:dev:7"));
    assert_eq!(CommonName.of(include_bytes!("utf8.der")).as_deref(), Ok("größe"));
}

/// Who could be two is nobody.
#[test]
fn nobody_is_guessed() {
    use CertificateName::*;
    assert_eq!(CommonName.of(SEVERAL), Err(CertificateError::Several));
    assert_eq!(Dns.of(SEVERAL), Err(CertificateError::Several));
    assert_eq!(CommonName.of(NAMELESS), Err(CertificateError::Absent));
    assert_eq!(Uri.of(NAMELESS), Err(CertificateError::Absent));
    assert_eq!(Dns.of(PLAIN), Err(CertificateError::Absent));
    // `root` in C, and something else elsewhere.
    assert_eq!(CommonName.of(include_bytes!("null.der")), Err(CertificateError::Name));
}

#[test]
fn every_cut_and_every_flip_is_survived() {
    let all = [CertificateName::CommonName, CertificateName::Subject, CertificateName::Dns];
    for name in all {
        for end in 0..SEVERAL.len() {
            assert_eq!(name.of(&SEVERAL[..end]), Err(CertificateError::Malformed));
        }
        for at in 0..SEVERAL.len() {
            let mut bytes = SEVERAL.to_vec();
            bytes[at] ^= 0xff;
            let _ = name.of(&bytes);
        }
    }
}
