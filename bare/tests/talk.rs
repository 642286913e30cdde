//! Both conversations, word for word, and what becomes of one that is cut short.

use windlass_bare::{Failure, Memory, run};

/// What is said, with every byte of MQTT: the same on every machine.
const SAID: &str = include_str!("said.txt");

#[test]
fn what_is_said_is_what_is_written_down() {
    let mut said = String::new();
    let result = run(&mut Memory::new(), &mut said);
    assert_eq!((result, said.as_str()), (Ok(()), SAID));
}

#[test]
fn a_log_that_is_full_ends_the_conversation() {
    struct Full(usize);
    impl std::fmt::Write for Full {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(std::fmt::Error)?;
            Ok(())
        }
    }
    assert_eq!(run(&mut Memory::new(), &mut Full(200)), Err(Failure::Log));
}
