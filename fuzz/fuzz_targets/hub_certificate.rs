//! Any bytes as a client's certificate: who it names has a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_hub::identity::CertificateName;

fuzz_target!(|bytes: &[u8]| {
    for name in
        [CertificateName::CommonName, CertificateName::Subject, CertificateName::Dns, CertificateName::Uri]
    {
        if let Ok(user) = name.of(bytes) {
            assert!(!user.is_empty() && !user.contains(|c: char| c.is_control()));
        }
    }
});
