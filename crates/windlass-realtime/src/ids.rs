//! What a room is called.

use std::fmt;
use std::str::FromStr;

/// The name of a room: 13 letters and digits. Nobody guesses one, so who knows that of a private room was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub(crate) u64);

/// Without letters that look like digits.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LEN: usize = 13;

impl RoomId {
    /// The room of this number.
    pub fn from_number(number: u64) -> RoomId {
        RoomId(number)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: [u8; LEN] =
            std::array::from_fn(|at| DIGITS[(self.0 >> (5 * (LEN - 1 - at))) as usize & 31]);
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomId({self})")
    }
}

/// Text that is no name of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RoomIdError;

impl fmt::Display for RoomIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a room: 13 letters and digits")
    }
}

impl std::error::Error for RoomIdError {}

/// What `Display` writes, in small or capital letters.
impl FromStr for RoomId {
    type Err = RoomIdError;

    fn from_str(text: &str) -> Result<RoomId, RoomIdError> {
        if text.len() != LEN {
            return Err(RoomIdError);
        }
        let number = text.bytes().try_fold(0u64, |number, byte| {
            let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_lowercase())?;
            // The first digit has four bits.
            number.checked_mul(32).map(|number| number | digit as u64)
        });
        number.map(RoomId).ok_or(RoomIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for number in [0, 1, 31, 32, u64::MAX, 0x1234_5678_9abc_def0] {
            let text = RoomId(number).to_string();
            assert_eq!(text.parse(), Ok(RoomId(number)));
            assert_eq!(text.to_uppercase().parse(), Ok(RoomId(number)));
        }
        for wrong in ["", "000000000000", "00000000000000", "000000000000u", "zzzzzzzzzzzzz", "é00000000000"]
        {
            assert_eq!(wrong.parse::<RoomId>(), Err(RoomIdError), "{wrong}");
        }
    }
}
