//! Any bytes as frames with a length field, whose knobs are the first bytes: see fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::framing::LengthField;
use windlass::proto::testing::{Frames, fuzz};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, offset, adjust, strip], bytes)) = bytes.split_first_chunk() else { return };
    let (kind, offset) = (usize::from(kind % 17), usize::from(offset % 8));
    let field = match kind {
        0..8 => LengthField::be(kind + 1),
        8..16 => LengthField::le(kind - 7),
        _ => LengthField::varint(),
    };
    let field = field.offset(offset).adjust(i64::from(adjust.cast_signed())).max(100);
    let field = if strip < 32 { field.strip(usize::from(strip)) } else { field };
    fuzz(&Frames::new(field, 99), bytes);
});
