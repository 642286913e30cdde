//! The name of a level: most are short, and then nothing is allocated for one.

use alloc::boxed::Box;

/// Bytes of a name that need no allocation: with one for their number and one for which of the two it is, as much as
/// fits three words.
const SHORT: usize = 22;

/// A name of a level, which is UTF-8: kept as bytes, since nobody asks for more.
#[derive(Clone)]
pub(super) enum Name {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl Name {
    pub(super) fn new(name: &str) -> Name {
        let name = name.as_bytes();
        if name.len() > SHORT {
            return Name::Long(name.into());
        }
        let mut bytes = [0; SHORT];
        bytes[..name.len()].copy_from_slice(name);
        Name::Short(name.len() as u8, bytes)
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short(len, bytes) => &bytes[..usize::from(*len)],
            Name::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_names() {
        assert_eq!(size_of::<Name>(), 24);
        for name in ["", "+", "#", "temperature", "0123456789012345678901", "01234567890123456789012", "é"] {
            assert_eq!(Name::new(name).as_bytes(), name.as_bytes());
        }
        assert!(matches!(Name::new("0123456789012345678901"), Name::Short(22, _)));
        assert!(matches!(Name::new("01234567890123456789012"), Name::Long(_)));
    }
}
