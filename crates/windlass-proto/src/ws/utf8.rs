//! UTF-8, checked as it arrives.

use core::str;

use super::error::WsError;

/// Checks text that comes in pieces, and fails at the first byte that cannot be part of any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utf8 {
    // A character whose end has not arrived.
    open: [u8; 4],
    len: u8,
}

impl Utf8 {
    pub(super) const fn new() -> Utf8 {
        Utf8 { open: [0; 4], len: 0 }
    }

    /// Checks the next piece.
    pub(super) fn check(&mut self, piece: &[u8]) -> Result<(), WsError> {
        let mut rest = piece;
        while self.len > 0 {
            let Some((&byte, behind)) = rest.split_first() else { return Ok(()) };
            rest = behind;
            // At most three bytes are ever open, so there is room for this one.
            self.open[usize::from(self.len)] = byte;
            self.len += 1;
            match str::from_utf8(&self.open[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_none() => {}
                Err(_) => return Err(WsError::Utf8),
            }
        }
        match str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_none() => {
                let open = &rest[e.valid_up_to()..];
                self.open[..open.len()].copy_from_slice(open);
                self.len = open.len() as u8;
                Ok(())
            }
            Err(_) => Err(WsError::Utf8),
        }
    }

    /// The text is over.
    pub(super) fn end(&mut self) -> Result<(), WsError> {
        if self.len > 0 { Err(WsError::Utf8) } else { Ok(()) }
    }
}
