//! Payloads as they are shown.

use super::Shown;

#[test]
fn a_payload_is_shown_as_what_it_is() {
    let text = Shown::of("21.5 °C\n".as_bytes(), 9);
    assert_eq!((text.text.as_deref(), text.hex, text.cut), (Some("21.5 °C\n"), None, false));
    let bytes = Shown::of(&[0, 0xff, 0x41], 3);
    assert_eq!((bytes.text, bytes.hex.as_deref()), (None, Some("00ff41")));
    // A character that the cut goes through is left out, and is no reason for hexadecimal digits.
    let long = "é".repeat(200);
    let cut = Shown::of(&long.as_bytes()[..255], long.len());
    assert_eq!((cut.text.map(|text| text.len()), cut.bytes, cut.cut), (Some(254), 400, true));
    // But one that is broken is.
    assert!(Shown::of(&[b'a', 0xc3], 2).hex.is_some());
    let wrong = [b"ok \x1b[2J".as_slice(), &[b'x'; 300]].concat();
    let wrong = Shown::of(&wrong, wrong.len());
    assert_eq!((wrong.text, wrong.hex.map(|hex| hex.len())), (None, Some(512)), "terminals would obey it");
}
