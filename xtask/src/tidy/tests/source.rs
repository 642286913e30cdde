//! Tests of the scanner: it sees code, and neither comments nor literals.

use super::super::source::{attribute_words, declared, paths, tokens, without_tests};

fn words(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.text).collect()
}

fn all_paths(text: &str) -> Vec<String> {
    paths(&tokens(text)).into_iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect()
}

#[test]
fn comments_and_literals_are_gone() {
    assert_eq!(words("a // unsafe\nb /* unsafe /* unsafe */ unsafe */ c"), ["a", "b", "c"]);
    assert_eq!(words(r#"a "unsafe \" unsafe" b"#), ["a", "b"]);
    assert_eq!(words("a r#\"unsafe \" unsafe\"# b br\"x\" c\"y\" b'z' c"), ["a", "b", "c"]);
    assert_eq!(words("'\"' a '\\'' b '\\u{1F600}' c 'é' d"), ["a", "b", "c", "d"]);
    assert_eq!(words("//! unsafe\n/// unsafe\nfn"), ["fn"]);
}

#[test]
fn lifetimes_are_not_literals() {
    assert_eq!(words("&'b mut x"), ["&", "b", "mut", "x"]);
    assert_eq!(words("<'a, 'b>"), ["<", "a", ",", "b", ">"]);
}

#[test]
fn lines_are_counted_through_everything() {
    let last = tokens("\"a\nb\" /* \n */ // x\n r\"\n\" here").pop().unwrap();
    assert_eq!((last.text.as_str(), last.line), ("here", 5));
}

#[test]
fn words_that_begin_like_literals_are_words() {
    assert_eq!(words("bar::r b cr_x r"), ["bar", "::", "r", "b", "cr_x", "r"]);
}

#[test]
fn unfinished_text_ends() {
    for text in ["\"", "r#\"", "/*", "'", "b'", "'\\", "#[cfg(test)]", "use a::{b", "#[cfg(all(test"] {
        let tokens = tokens(text);
        without_tests(&tokens);
        paths(&tokens);
    }
}

#[test]
fn imports_are_spelled_out() {
    assert_eq!(
        all_paths("use std::{\n thread,\n time::{Duration, Instant as I},\n};\nuse a;"),
        ["2 std::thread", "3 std::time::Duration", "3 std::time::Instant", "5 a"]
    );
    assert_eq!(all_paths("use {mio::Poll, b::*}; x"), ["1 mio::Poll", "1 b", "1 x"]);
    assert_eq!(all_paths("pub(crate) use ::mio::Poll;"), ["1 pub", "1 crate", "1 mio::Poll"]);
    assert_eq!(all_paths("impl Fn() + use<'a>"), ["1 impl", "1 Fn", "1 use", "1 a"]);
}

#[test]
fn paths_in_code_are_found() {
    assert_eq!(all_paths("Instant::now().x"), ["1 Instant::now", "1 x"]);
    assert_eq!(all_paths("::std::thread::spawn"), ["1 std::thread::spawn"]);
}

#[test]
fn test_items_are_left_out() {
    let kept = |text: &str| {
        without_tests(&tokens(text)).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kept("a #[cfg(test)] mod t { b { c } } d"), "a d");
    assert_eq!(kept("a #[cfg(test)] mod t; d"), "a d");
    assert_eq!(kept("a #[cfg(all(test, unix))] fn t() -> [u8; 1] { b } d"), "a d");
    assert_eq!(kept("a #[cfg(unix)] mod t;"), "a # [ cfg ( unix ) ] mod t ;");
    assert_eq!(kept("#[cfg(not(test))] fn a() {}"), "# [ cfg ( not ( test ) ) ] fn a ( ) { }");
}

#[test]
fn declared_names_are_found() {
    let tokens = tokens("mod a { struct B; } enum C {} type D = E;");
    let names: Vec<_> = declared(&tokens, &["mod", "struct", "type"]).iter().map(|name| &name.text).collect();
    assert_eq!(names, ["a", "B", "D"]);
}

#[test]
fn attributes_before_an_item_are_found() {
    let tokens = tokens("#[a] struct X; #[b(c)] #[d] pub enum E {}");
    let at = tokens.iter().position(|token| token.text == "pub").unwrap();
    let words = attribute_words(&tokens, at);
    assert!(words.contains(&"b") && words.contains(&"c") && words.contains(&"d") && !words.contains(&"a"));
}
