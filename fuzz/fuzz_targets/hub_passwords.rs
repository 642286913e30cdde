//! Any text as a password file: what is wrong with it is inside of it, and what is changed in it stays what it was
//! otherwise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_hub::identity::{Hashing, Passwords, passwords};

fuzz_target!(|text: &str| {
    match Passwords::parse(text) {
        Ok(parsed) => {
            // One round, so that a hash costs next to nothing.
            let cheap = Hashing::Pbkdf2 { rounds: 1 };
            let with = passwords::set(text, "somebody", b"secret", cheap).expect("the name fits");
            let again = Passwords::parse(&with).expect("it was whole before");
            assert_eq!(again.len(), parsed.len() + usize::from(!parsed.contains("somebody")));
            assert!(again.check("somebody", b"secret").run());
            let without = passwords::remove(&with, "somebody").expect("it is there");
            assert!(!Passwords::parse(&without).expect("it was whole before").contains("somebody"));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(text.get(mistake.span).is_some());
            }
        }
    }
});
