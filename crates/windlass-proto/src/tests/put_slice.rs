//! Output in memory of a fixed size.

use core::fmt::Write;

use crate::mqtt::{Properties, PropertiesBuf, Property};
use crate::proxy_protocol::{Addresses, Header, ProxyProtocol, Version};
use crate::{Encode, EncodeError, Put, PutSlice};

#[test]
fn what_does_not_fit_is_not_taken_nor_what_follows() {
    let mut memory = [0; 4];
    let mut out = PutSlice::new(&mut memory);
    assert_eq!((out.whole(), out.wanted()), (Some(&b""[..]), 0));
    out.put(b"abc");
    assert_eq!(out.whole(), Some(&b"abc"[..]));
    out.put(b"de");
    out.put(b"f");
    assert_eq!((out.whole(), out.wanted()), (None, 6));
    out.clear();
    out.put(b"wxyz");
    assert_eq!((out.whole(), out.wanted()), (Some(&b"wxyz"[..]), 4));
    assert_eq!(memory, *b"wxyz");
}

#[test]
fn text_that_does_not_fit_is_an_error() {
    let mut memory = [0; 8];
    let mut out = PutSlice::new(&mut memory);
    assert!(write!(out, "{} of {}", 1, 20).is_ok());
    assert_eq!(out.whole(), Some(&b"1 of 20"[..]));
    assert!(write!(out, "{}", 300).is_err());
}

#[test]
fn properties_without_a_heap_are_those_with_one() {
    let all = [
        Property::SessionExpiry(7),
        Property::ReceiveMaximum(9),
        Property::User("a", "1"),
        Property::AuthenticationMethod("none"),
    ];
    let mut memory = [0; 64];
    let mut out = PutSlice::new(&mut memory);
    let mut buf = PropertiesBuf::new();
    for property in all {
        property.encode(&mut out).unwrap();
        buf.push(property).unwrap();
    }
    let bytes = out.whole().unwrap();
    let properties = Properties::encoded(bytes).unwrap();
    assert_eq!(properties, buf.properties());
    assert!(properties.iter().eq(all));
    // Cut anywhere but between two of them it is nothing.
    let ends: alloc::vec::Vec<usize> = (0..all.len())
        .scan(0, |end, at| {
            let mut one = PropertiesBuf::new();
            *end += one.push(all[at]).unwrap().properties().as_bytes().len();
            Some(*end)
        })
        .collect();
    for len in 1..bytes.len() {
        let refused = Properties::encoded(&bytes[..len]).err();
        let expected = (!ends.contains(&len)).then_some(EncodeError::Invalid);
        assert_eq!(refused, expected, "{len} bytes");
    }
    assert_eq!(Properties::encoded(&[0x7f]), Err(EncodeError::Invalid), "there is no such property");
    assert_eq!(Property::User("a", "\0").encode(&mut out), Err(EncodeError::Invalid));
    assert_eq!(Property::ReceiveMaximum(0).encode(&mut out), Err(EncodeError::Invalid));
}

#[test]
fn the_longest_headers_of_the_proxy_protocol_fit() {
    let from = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1]:65535".parse().unwrap();
    let to = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2]:65534".parse().unwrap();
    let mut memory = [0; 300];
    let mut out = PutSlice::new(&mut memory);
    let header = Header::new(Version::V1, Addresses::tcp(from, to));
    ProxyProtocol::writes(Version::V1).encode(&header, &mut out).unwrap();
    let line = core::str::from_utf8(out.whole().unwrap()).unwrap();
    assert_eq!((line.len(), &line[..15]), (104, "PROXY TCP6 ffff"));
    out.clear();
    let paths = Addresses::Unix { source: &[b'a'; 108], destination: &[b'b'; 108], datagram: false };
    let header = Header::new(Version::V2, paths);
    ProxyProtocol::writes(Version::V2).checksum(true).encode(&header, &mut out).unwrap();
    assert_eq!(out.whole().map(<[u8]>::len), Some(16 + 216 + 7));
}
