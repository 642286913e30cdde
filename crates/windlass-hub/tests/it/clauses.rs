//! Every statement of both specifications that is the hub's to keep, and the test that holds it; or why there is none.
//! `windlass-proto` has the same for what a codec can keep, and says which are the hub's.

use std::collections::BTreeSet;

const PROTO: &str = include_str!("../../../windlass-proto/src/mqtt/tests/clauses.rs");

const HELD_311: &str = "
    sessions::a_clean_session_begins_with_nothing 3.1.2-6 3.2.2-1 3.2.2-3
    sessions::a_session_that_is_kept_is_there_again 3.1.2-4 3.1.2-5 3.1.2-7 3.2.2-2 3.1.4-4
    wills::it_is_published_when_the_connection_ends_without_a_word 3.1.2-8 3.1.2-10 3.1.2-12 3.14.4-3
    wills::a_will_is_retained_if_it_says_so 3.1.2-16 3.1.2-17
    ends::who_is_silent_for_too_long_is_gone 3.1.2-24 3.12.4-1
    sessions::who_comes_later_takes_the_session_over 3.1.3-2 3.1.4-2 3.1.4-3
    sessions::identifiers_are_chosen_for_those_who_have_none 3.1.3-5 3.1.3-6
    ends::who_does_not_say_connect_is_gone 3.1.3-9 3.2.2-5 4.8.0-2
    sessions::what_came_behind_connect_is_served 3.1.4-5 3.8.4-1 3.8.4-2
    retained::the_last_message_of_a_topic_is_kept 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10 3.3.1-11 3.3.1-12
    subscriptions::overlapping_subscriptions_are_one_message_with_all_identifiers 3.3.2-3 3.3.5-1 3.8.4-6
    subscriptions::topics_of_the_hubs_own 3.3.5-2
    subscriptions::several_filters_are_answered_each_for_itself 3.8.3-2 3.8.4-4 3.8.4-5
    subscriptions::one_in_the_place_of_another 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6
    qos::what_is_in_flight_is_sent_again_in_its_order 4.1.0-1 4.1.0-2
    qos::every_qos_to_every_qos 4.5.0-1
    qos::messages_of_one_topic_come_in_order 4.6.0-5 4.6.0-6
";

const HELD_5: &str = "
    sessions::a_clean_session_begins_with_nothing 3.1.2-4 3.1.2-6 3.2.2-2
    sessions::a_session_that_is_kept_is_there_again 3.1.2-5 3.2.2-3 3.1.4-5
    wills::it_is_published_when_the_connection_ends_without_a_word 3.1.2-7 3.1.2-8 3.1.2-10 3.14.4-3
    wills::a_will_is_retained_if_it_says_so 3.1.2-14 3.1.2-15
    ends::who_is_silent_for_too_long_is_gone 3.1.2-22 3.12.4-1
    sessions::a_session_ends_when_nobody_comes_back_in_time 3.1.2-23
    version5::reasons_in_words_are_for_those_who_want_them 3.1.2-29 3.4.2-2 3.5.2-2 3.6.2-2 3.7.2-2 3.9.2-1 3.11.2-1
    wills::it_waits_as_long_as_it_says 3.1.3-9
    sessions::identifiers_are_chosen_for_those_who_have_none 3.1.3-5 3.1.3-6 3.1.3-7 3.2.2-16
    sessions::who_comes_later_takes_the_session_over 3.1.3-2 3.1.4-2 3.1.4-3 3.1.4-4
    ends::who_does_not_say_connect_is_gone 3.1.3-8 3.2.2-7
    sessions::what_came_behind_connect_is_served 3.1.4-6 3.8.4-1 3.8.4-2
    version5::only_as_much_qos_as_there_is 3.2.2-9 3.2.2-10
    wills::what_a_hub_does_not_take_is_no_will 3.2.2-12 3.2.2-13
    version5::the_keep_alive_is_the_hubs_to_say 3.2.2-22
    retained::the_last_message_of_a_topic_is_kept 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9
    retained::a_subscription_says_which_come 3.3.1-10 3.3.1-11 3.8.4-4
    retained::a_subscription_keeps_the_flag_if_it_says_so 3.3.1-12 3.3.1-13
    subscriptions::overlapping_subscriptions_are_one_message_with_all_identifiers 3.3.2-3 3.3.4-2 3.8.4-8
    version5::properties_are_passed_on_as_they_are 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-20
    version5::messages_that_wait_expire 3.3.2-5
    version5::aliases_are_used_towards_those_who_take_them 3.3.2-7
    subscriptions::own_messages_stay_away_if_they_shall 3.8.3-3
    subscriptions::several_filters_are_answered_each_for_itself 3.8.4-5 3.8.4-6 3.8.4-7
    subscriptions::one_in_the_place_of_another 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6
    sessions::disconnect_can_change_the_expiry_but_not_from_nothing 3.14.4-2
    qos::what_is_in_flight_is_sent_again_in_its_order 4.1.0-1 4.1.0-2 4.3.3-13
    qos::every_qos_to_every_qos 4.5.0-1
    qos::messages_of_one_topic_come_in_order 4.6.0-5 4.6.0-6
    qos::the_hubs_receive_maximum_holds_if_it_shall 3.3.4-10 4.13.2-1
    subscriptions::one_of_a_group_gets_each_message 4.8.2-3
    subscriptions::a_group_of_those_who_are_away_keeps_its_messages 4.8.2-4
    version5::an_authentication_goes_step_by_step 4.12.0-1 4.12.0-2 4.12.0-3 4.12.0-4 4.12.0-5 4.12.1-1 4.12.1-2
";

/// What no test here can break, and why.
const REASONS: &str = "
    we-send-no-such-thing 3.1.2-28 3.2.2-19 3.2.2-20 3.4.2-3 3.5.2-3 3.6.2-3 3.7.2-3 3.9.2-2 3.11.2-2 3.14.2-3 3.14.2-4 3.15.2-2 3.15.2-3
    the-codec-leaves-out-what-is-too-long 3.14.2-3
    a-message-that-was-sent-is-kept-until-it-is-acknowledged 4.3.3-7
    what-a-member-refuses-is-over 4.8.2-6
    transport-is-the-engines 7.0.0-1 7.0.0-2
";

fn of_the_hub(list: &str) -> BTreeSet<&str> {
    let start = PROTO.find(list).unwrap();
    let text = &PROTO[start..][..PROTO[start..].find("\";").unwrap()];
    let (_, hub) = text.split_once("\n    hub ").unwrap();
    let end = hub.find("\n    client ").unwrap();
    hub[..end].split_whitespace().collect()
}

fn is_a_test(path: &str) -> bool {
    let (file, name) = path.split_once("::").unwrap();
    let source = match file {
        "ends" => include_str!("ends.rs"),
        "qos" => include_str!("qos.rs"),
        "retained" => include_str!("retained.rs"),
        "sessions" => include_str!("sessions.rs"),
        "subscriptions" => include_str!("subscriptions.rs"),
        "version5" => include_str!("version5.rs"),
        "wills" => include_str!("wills.rs"),
        _ => return false,
    };
    source.contains(&format!("#[test]\nfn {name}() {{"))
}

fn every_statement_is_held(list: &str, held: &str) {
    let mut left = of_the_hub(list);
    for word in held.split_whitespace() {
        if word.contains("::") {
            assert!(is_a_test(word), "no test: {word}");
        } else {
            assert!(left.remove(word), "{word} stands twice, or is not the hub's");
        }
    }
    for word in REASONS.split_whitespace() {
        left.remove(word);
    }
    assert!(left.is_empty(), "nobody holds {left:?}");
}

#[test]
fn every_statement_of_version_3_is_held() {
    every_statement_is_held("HELD_311", HELD_311);
}

#[test]
fn every_statement_of_version_5_is_held() {
    every_statement_is_held("HELD_5: ", HELD_5);
}
