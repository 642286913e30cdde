//! Any bytes as the answer to a few requests: `cargo +nightly fuzz run http_client`. However they are cut, the
//! same responses come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::http::{ClientConn, Limits, ResponsePart};
use windlass::proto::{Decode, Input};

fn run(bytes: &[u8], piece: usize) -> (Vec<String>, Vec<u8>, Option<&'static str>, bool) {
    let mut conn = ClientConn::new(Limits::default()).pipeline_max(4);
    for method in ["GET", "HEAD", "POST"] {
        conn.request(&mut Vec::new(), method, "/", "h").empty().unwrap();
    }
    conn.request(&mut Vec::new(), "GET", "/", "h").upgrade("x").unwrap();
    let (mut seen, mut body, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        left.extend_from_slice(piece);
        let mut input = Input::new(&mut left);
        loop {
            match conn.decode(&mut input) {
                Ok(None) => break,
                Err(error) => return (seen, body, Some(error.label()), false),
                Ok(Some(ResponsePart::Body(bytes))) => body.extend_from_slice(bytes),
                Ok(Some(ResponsePart::Head(head) | ResponsePart::Interim(head))) => {
                    let lines: Vec<_> =
                        head.headers.iter().map(|h| (h.name.to_owned(), h.value.to_owned())).collect();
                    seen.push(format!("{:?} {lines:?}", head.status));
                }
                Ok(Some(_)) => seen.push("end".into()),
            }
        }
        let len = input.len();
        left.drain(..left.len() - len);
    }
    (seen, body, None, conn.is_reusable())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    assert_eq!(run(bytes, usize::MAX), run(bytes, usize::from(size) + 1));
});
