//! Every numbered statement of both specifications: the test here that holds it, or who else has to.
//!
//! What is listed under `hub`, `client` and `transport` is about what a server or a client does with packets, or how
//! they travel; nothing here can hold or break it.

use alloc::collections::BTreeSet;

use super::*;

/// Sections of 3.1.1 and how many statements each has.
const SECTIONS_311: &str = "1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 \
    3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 \
    4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 \
    7.1.2:1";

/// The same of 5.0.
const SECTIONS_5: &str = "1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 \
    3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 \
    3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 \
    4.2:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 \
    4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4";

/// Numbers that 5.0 passes over.
const UNUSED_5: [&str; 4] = ["2.2.1-1", "3.1.3-10", "3.3.4-5", "4.8.2-5"];

const HELD_311: &str = "
    refused::strings 1.5.3-1 1.5.3-2
    vectors::connect_with_little 1.5.3-3 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21
    refused::first_bytes 2.2.2-1 2.2.2-2 3.3.1-2 3.3.1-4 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1
    refused::bad_messages 2.3.1-1 3.3.2-1 3.3.2-2
    qos::identifiers_are_unused_ones 2.3.1-2 4.3.2-1
    qos::what_is_sent_again 2.3.1-3 2.3.1-4 3.3.1-1 4.3.3-1 4.4.0-1 4.6.0-1
    moments::what_has_no_encoding_puts_nothing 2.3.1-5 3.2.2-6 4.3.1-1
    qos::answers_to_nothing 2.3.1-6 2.3.1-7
    refused::before_connect 3.1.0-1
    moments::a_server_takes_one_connect_first 3.1.0-2
    refused::bad_connects 3.1.2-1 3.1.2-3 3.1.2-9 3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-22 3.1.3-3 3.1.3-4 3.1.3-7
        3.1.3-10 3.1.3-11
    moments::mistakes_are_answered_as_their_version_has_it 3.1.2-2 3.1.3-8 3.1.4-1 4.8.0-1
    vectors::connect_with_everything 3.1.3-1
    moments::a_server_sends_one_connack_first 3.2.0-1 3.14.4-2
    refused::bad_answers_of_servers 3.2.2-4 3.9.3-2
    template::every_delivery_is_the_packet_it_would_be 3.3.1-3
    qos::nothing_is_lost_or_doubled 3.3.4-1
    refused::bad_subscriptions 3.8.3-1 3.8.3-3 3.8.3-4 3.10.3-1 3.10.3-2
    tree::subscriptions_are_those_a_list_has 3.8.4-3 3.10.4-1
    vectors::packets_of_version_3 3.9.3-1
    qos::identifiers_become_free 4.3.2-2 4.3.3-2
    qos::answers_go_in_order_and_to_what_they_are_for 4.6.0-2 4.6.0-3
    topics::what_is_none 4.7.1-1 4.7.3-1 4.7.3-2 4.7.3-3
    topics::examples_of_the_specification 4.7.1-2 4.7.1-3 4.7.2-1 4.7.3-4
    hub 3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-7 3.1.2-8 3.1.2-10 3.1.2-12 3.1.2-16 3.1.2-17 3.1.2-24 3.1.3-2 3.1.3-5 3.1.3-6
        3.1.3-9 3.1.4-2 3.1.4-3 3.1.4-4 3.1.4-5 3.2.2-1 3.2.2-2 3.2.2-3 3.2.2-5 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9
        3.3.1-10 3.3.1-11 3.3.1-12 3.3.2-3 3.3.5-1 3.3.5-2 3.8.3-2 3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.8.4-6 3.10.4-2
        3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6 3.12.4-1 3.14.4-3 4.1.0-1 4.1.0-2 4.5.0-1 4.6.0-5 4.6.0-6 4.8.0-2 7.0.0-1
        7.0.0-2
    client 3.1.2-23 3.14.4-1 4.5.0-2 4.6.0-4
    transport 6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4 7.1.1-1 7.1.2-1
";

const HELD_5: &str = "
    refused::strings 1.5.4-1 1.5.4-2 1.5.7-1 3.3.2-13 3.3.2-19
    vectors::connect_with_little 1.5.4-3 3.1.2-16 3.1.2-17 3.1.2-18 3.1.2-19
    vectors::remaining_lengths 1.5.5-1
    refused::first_bytes 2.1.3-1 3.3.1-2 3.3.1-4 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1 3.15.1-1
    moments::what_has_no_encoding_puts_nothing 2.2.1-2 4.3.1-1
    qos::identifiers_are_unused_ones 2.2.1-3 2.2.1-4 4.3.2-1 4.3.3-1
    qos::answers_to_nothing 2.2.1-5 2.2.1-6
    kit::there_is_one_form 2.2.2-1
    refused::before_connect 3.1.0-1
    moments::a_server_takes_one_connect_first 3.1.0-2
    refused::bad_connects 3.1.2-1 3.1.2-3 3.1.2-9 3.1.2-11 3.1.2-12 3.1.2-13 3.1.3-3 3.1.3-4 3.1.3-11 3.1.3-12 3.1.4-1
    moments::mistakes_are_answered_as_their_version_has_it 3.1.2-2 4.13.1-1
    moments::the_peers_maximum_packet_size_holds 3.1.2-24 3.2.2-15
    qos::the_peers_receive_maximum_holds 3.1.2-25 3.3.4-7 3.3.4-8 3.3.4-9 4.4.0-2 4.9.0-1 4.9.0-2 4.9.0-3
    alias::both_ends_agree 3.1.2-26 3.2.2-17 3.3.2-9 3.3.2-11
    alias::aliases_for_a_peer 3.1.2-27 3.2.2-18
    alias::aliases_of_a_peer 3.3.2-8 3.3.2-10 3.3.2-12
    moments::authentication_is_asked_for_first 3.1.2-30 4.12.0-6 4.12.0-7
    vectors::connect_with_everything 3.1.3-1
    moments::a_server_sends_one_connack_first 3.2.0-1 3.2.0-2 3.14.0-1 3.14.4-1
    refused::bad_answers_of_servers 3.2.2-1 3.2.2-6 3.14.2-2
    properties::every_reason_code 3.2.2-8 3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1 3.9.3-2 3.11.3-2 3.14.2-1 3.15.2-1
    qos::what_is_sent_again 3.3.1-1 4.3.3-5 4.3.3-6 4.4.0-1 4.6.0-1
    template::every_delivery_is_the_packet_it_would_be 3.3.1-3 3.3.2-6 3.3.2-17 3.3.2-18 3.3.4-3 3.3.4-4
    refused::bad_messages 3.3.2-1 3.3.2-2 3.3.2-14 3.3.4-6
    qos::nothing_is_lost_or_doubled 3.3.4-1 4.3.2-2 4.3.2-3 4.3.2-4 4.3.3-2 4.3.3-3 4.3.3-4 4.3.3-8 4.3.3-10 4.3.3-11
    qos::identifiers_become_free 4.3.2-5 4.3.3-9 4.3.3-12
    refused::bad_subscriptions 3.8.3-1 3.8.3-2 3.8.3-4 3.8.3-5 3.10.3-1 3.10.3-2 4.8.2-1 4.8.2-2
    tree::subscriptions_are_those_a_list_has 3.8.4-3 3.10.4-1
    vectors::packets_of_version_5 3.9.3-1 3.11.3-1
    qos::answers_go_in_order_and_to_what_they_are_for 4.6.0-2 4.6.0-3
    topics::what_is_none 4.7.0-1 4.7.3-1 4.7.3-2 4.7.3-3
    topics::examples_of_the_specification 4.7.1-1 4.7.1-2 4.7.2-1 4.7.3-4
    hub 3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-7 3.1.2-8 3.1.2-10 3.1.2-14 3.1.2-15 3.1.2-22 3.1.2-23 3.1.2-28 3.1.2-29 3.1.3-2
        3.1.3-5 3.1.3-6 3.1.3-7 3.1.3-8 3.1.3-9 3.1.4-2 3.1.4-3 3.1.4-4 3.1.4-5 3.1.4-6 3.2.2-2 3.2.2-3 3.2.2-7 3.2.2-9
        3.2.2-10 3.2.2-12 3.2.2-13 3.2.2-16 3.2.2-19 3.2.2-20 3.2.2-22 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10
        3.3.1-11 3.3.1-12 3.3.1-13 3.3.2-3 3.3.2-4 3.3.2-5 3.3.2-7 3.3.2-15 3.3.2-16 3.3.2-20 3.3.4-2 3.3.4-10 3.4.2-2
        3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.8.3-3 3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.8.4-6 3.8.4-7
        3.8.4-8 3.9.2-1 3.9.2-2 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6 3.11.2-1 3.11.2-2 3.12.4-1 3.14.2-3 3.14.2-4
        3.14.4-2 3.14.4-3 3.15.2-2 3.15.2-3 4.1.0-1 4.1.0-2 4.3.3-7 4.3.3-13 4.5.0-1 4.6.0-5 4.6.0-6 4.8.2-3
        4.8.2-4 4.8.2-6 4.12.0-1 4.12.0-2 4.12.0-3 4.12.0-4 4.12.0-5 4.12.1-1 4.12.1-2 4.13.2-1
    client 3.1.2-20 3.1.2-21 3.2.2-4 3.2.2-5 3.2.2-11 3.2.2-14 3.2.2-21 4.5.0-2 4.6.0-4
    transport 4.2-1 6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4
";

const SOURCES: [(&str, &str); 9] = [
    ("alias", include_str!("alias.rs")),
    ("kit", include_str!("kit.rs")),
    ("moments", include_str!("moments.rs")),
    ("properties", include_str!("properties.rs")),
    ("qos", include_str!("qos.rs")),
    ("refused", include_str!("refused.rs")),
    ("template", include_str!("template.rs")),
    ("topics", include_str!("topics.rs")),
    ("tree", include_str!("tree.rs")),
];

const VECTORS: &str = include_str!("vectors.rs");

fn all(sections: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for section in sections.split_whitespace() {
        let (section, count) = section.split_once(':').unwrap();
        for number in 1..=count.parse::<u32>().unwrap() {
            all.insert(format!("{section}-{number}"));
        }
    }
    all
}

fn is_a_test(path: &str) -> bool {
    let Some((file, name)) = path.split_once("::") else { return false };
    let source = SOURCES.iter().find(|source| source.0 == file).map(|source| source.1);
    let source = if file == "vectors" { VECTORS } else { source.unwrap_or_default() };
    let before = format!("fn {name}() {{");
    source.find(&before).is_some_and(|at| source[..at].trim_end().ends_with("#[test]"))
}

#[track_caller]
fn every_statement_has_a_home(sections: &str, held: &str, unused: &[&str]) {
    let mut left = all(sections);
    for number in unused {
        assert!(left.remove(*number), "{number}");
    }
    let mut home = "";
    for word in held.split_whitespace() {
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            assert!(matches!(word, "hub" | "client" | "transport") || is_a_test(word), "no test: {word}");
            home = word;
        } else {
            assert!(left.remove(word), "{word} of {home} stands twice, or is none");
        }
    }
    assert_eq!(left, BTreeSet::new(), "without a home");
}

#[test]
fn every_statement_of_version_3_has_a_home() {
    every_statement_has_a_home(SECTIONS_311, HELD_311, &[]);
}

#[test]
fn every_statement_of_version_5_has_a_home() {
    every_statement_has_a_home(SECTIONS_5, HELD_5, &UNUSED_5);
}
