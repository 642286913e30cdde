//! Request smuggling: whatever is sent, no byte of it is taken for a request that an honest reading does not
//! have. The payloads are the shapes that have worked against one server or another.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::body::collect;
use crate::http::{HttpError, ServerConn};
use crate::testing;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Refused at the head: nothing behind it is looked at.
#[test]
fn two_readings_are_none() {
    let mut refused = 0;
    let lengths = [
        "Content-Length: 0",
        "Content-Length: 6",
        "Content-Length:6",
        "content-length: 6",
        "Content-Length: 06",
        "Content-Length: +6",
        "Content-Length: -6",
        "Content-Length: 0x6",
        "Content-Length: 6,6",
        "Content-Length: 6, 0",
        "Content-Length: 6;",
        "Content-Length: 6 6",
        "Content-Length: ",
        "Content-Length:",
        "Content-Length: 6\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 0",
        "Content-Length: \x0b6",
        "Content-Length : 6",
        " Content-Length: 6",
        "Content\tLength: 6",
        "Content-Length\0: 6",
        "Content-Length: 6\0",
        "Content-Length: 6e0",
        "Content-Length: six",
    ];
    let codings = [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding:chunked",
        "transfer-encoding: CHUNKED",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding:\x0cchunked",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\r\n: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked;",
        "Transfer-Encoding: chunked; q=0",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunk\u{2064}ed",
        "Transfer-Encoding: \u{ff43}hunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: cow",
        "Transfer_Encoding\u{00ad}: chunked",
        "\0Transfer-Encoding: chunked",
        "Transfer-Encoding\x7f: chunked",
        "Transfer\u{212a}Encoding: chunked",
    ];
    let mut check = |lines: &str| {
        let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\nX{SMUGGLED}").into_bytes();
        let run = testing::feed(ServerConn::default(), bytes.chunks(7), collect);
        if run.error.is_none() || !run.messages.is_empty() {
            return Err(run.messages.join("|"));
        }
        refused += 1;
        Ok(())
    };
    for length in lengths {
        for coding in codings {
            for lines in [format!("{length}\r\n{coding}"), format!("{coding}\r\n{length}")] {
                assert_eq!(check(&lines), Ok(()), "{lines:?}");
            }
        }
    }
    for lines in lengths.into_iter().skip(5).chain(codings.into_iter().skip(3)) {
        assert_eq!(check(lines), Ok(()), "{lines:?}");
    }
    assert_eq!(refused, 2 * lengths.len() * codings.len() + lengths.len() - 5 + codings.len() - 3);
}

/// Understood, in the one way there is: then the body is a body.
#[test]
fn what_is_understood_ends_where_it_says() {
    let parts = |request: &str| {
        let run = testing::any_split_with(ServerConn::default, request.as_bytes(), collect);
        (run.messages.join("|"), run.error)
    };
    // A second request in a body stays there.
    let inside =
        format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len());
    assert_eq!(parts(&inside), (format!("POST /a|body {SMUGGLED}|end"), None));
    // `Connection` cannot take the framing away.
    let named = "POST /a HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(parts(named), ("POST /a|body abc|end".into(), None));
    let named = "POST /a HTTP/1.1\r\nHost: h\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(parts(named), ("POST /a|body abc|end".into(), None));
    // Names that only look like it are other names.
    for name in ["Content_Length", "Transfer_Encoding", "X-Transfer-Encoding", "Content-Length-X"] {
        let other = format!("GET /a HTTP/1.1\r\nHost: h\r\n{name}: chunked\r\n\r\n");
        assert_eq!(parts(&other), ("GET /a|end".into(), None), "{name}");
    }
    // GET with a body has one.
    let get = "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nGET";
    assert_eq!(parts(get), ("GET /a|body GET|end".into(), None));
}

/// The ends of chunks, where parsers that disagree have been split.
#[test]
fn chunks_end_where_they_say() {
    for body in [
        "0\r\nX: y\nGET /smuggled HTTP/1.1\r\n\r\n",
        "0\n\nGET /smuggled HTTP/1.1\r\n\r\n",
        "0\r\n\nGET /smuggled HTTP/1.1\r\n\r\n",
        "2\r\nabX\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2;\nxx\r\n0\r\n\r\n",
        "2;a=\"\n\"\r\nab\r\n0\r\n\r\n",
        "2;a\rb\r\nab\r\n0\r\n\r\n",
        "\r\n2\r\nab\r\n0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "2\r\n\r\nab\r\n0\r\n\r\n",
        "0002 \r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "-0\r\n\r\n",
        "100000000000000002\r\nab\r\n0\r\n\r\n",
        "0 X\r\n\r\n",
    ] {
        let head = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = format!("{head}{body}{SMUGGLED}");
        let run = testing::any_split_with(ServerConn::default, bytes.as_bytes(), collect);
        assert!(run.error.is_some(), "{body:?}: {:?}", run.messages);
        assert!(run.messages.iter().all(|part| !part.contains("smuggled")), "{body:?}: {:?}", run.messages);
    }
}

#[test]
fn labels_are_names_and_statuses_those_of_refusals() {
    let all = [
        HttpError::StartLine,
        HttpError::StartLineTooLong,
        HttpError::Version,
        HttpError::Target,
        HttpError::LineTooLong,
        HttpError::HeadTooLong,
        HttpError::TooManyHeaders,
        HttpError::BareLf,
        HttpError::Fold,
        HttpError::HeaderName,
        HttpError::HeaderValue,
        HttpError::ContentLength,
        HttpError::LengthAndChunked,
        HttpError::TransferEncoding,
        HttpError::TransferEncodingUnknown,
        HttpError::Host,
        HttpError::Expect,
        HttpError::Chunk,
        HttpError::ChunkLineTooLong,
        HttpError::TrailersTooLong,
        HttpError::Trailer,
        HttpError::BodyTooLong,
        HttpError::Truncated,
        HttpError::Timeout,
        HttpError::Unexpected,
    ];
    let mut labels: Vec<String> = all.iter().map(|error| error.label().into()).collect();
    assert!(labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), all.len());
    let codes = [400, 408, 413, 414, 417, 431, 501, 505];
    assert!(all.iter().all(|error| codes.contains(&error.status().code()) && !format!("{error}").is_empty()));
    assert!(codes.iter().all(|code| all.iter().any(|error| error.status().code() == *code)));
}
