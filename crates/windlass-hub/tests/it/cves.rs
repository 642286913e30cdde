//! Classes of mistakes that other brokers were found to have, and the tests that would find them here.

const CLASSES: &str = "
    Use after free in subscribe and takeover races: CVE-2025-59946, CVE-2026-22040
        faults::a_hundred_connections_for_one_client_id storm::whatever_clients_say_nothing_is_left_of_them
    Lengths that lie: CVE-2026-21888, over WebSocket CVE-2026-25627
        faults::what_was_reported_of_others_is_not_taken_here faults::lengths_inside_a_websocket_are_those_of_packets
    Allocation before CONNECT: CVE-2023-0809
        strangers::a_stranger_costs_no_more_than_it_has_said websocket::a_stranger_holds_no_more_than_a_connect
    Work out of proportion, by user properties: CVE-2021-41039
        limits::user_properties_and_topics_behind_aliases_have_bounds
    Nothing where something must be, and packets of the other side: CVE-2021-34432, CVE-2021-28166
        faults::what_was_reported_of_others_is_not_taken_here
    Rights that are asked on one way and not on another: CVE-2026-33217, retained and replay, queue subscriptions
        identity::what_may_not_be_read_comes_by_no_way identity::a_group_gives_to_those_who_may_read
        identity::a_will_is_a_publish identity::rules_change_for_those_who_are_here
        subscriptions::topics_of_the_hubs_own
    State without bounds: CVE-2024-48077, FlashMQ#169, NanoMQ#2266
        retained::limits_of_retained_messages_are_kept retained::who_asks_again_and_again_is_answered_once_more
        limits::a_queue_has_a_length limits::a_queue_has_a_size faults::every_limit_has_an_end_for_who_breaks_it
    Takeover by another user
        identity::a_client_id_is_its_users_alone version5::a_session_is_of_one_user
    Sessions that are not there any more: NanoMQ#2412
        sessions::a_session_that_is_kept_is_there_again qos::what_is_in_flight_is_sent_again_in_its_order
    More than one copy of a message for subscriptions that overlap: Mosquitto#3319
        subscriptions::overlapping_subscriptions_are_one_message_with_all_identifiers
    A receive maximum that is not enforced: Mosquitto#3588
        qos::the_hubs_receive_maximum_holds_if_it_shall qos::it_is_that_of_the_version_a_session_goes_on_in
";

fn source(file: &str) -> Option<&'static str> {
    Some(match file {
        "faults" => include_str!("faults.rs"),
        "identity" => include_str!("identity.rs"),
        "limits" => include_str!("limits.rs"),
        "qos" => include_str!("qos.rs"),
        "retained" => include_str!("retained.rs"),
        "sessions" => include_str!("sessions.rs"),
        "storm" => include_str!("storm.rs"),
        "strangers" => include_str!("../strangers.rs"),
        "subscriptions" => include_str!("subscriptions.rs"),
        "version5" => include_str!("version5.rs"),
        "websocket" => include_str!("websocket.rs"),
        _ => return None,
    })
}

#[test]
fn every_class_has_its_tests() {
    let mut tests = 0;
    for path in CLASSES.split_whitespace().filter(|word| word.contains("::")) {
        let (file, name) = path.split_once("::").unwrap();
        let source = source(file).unwrap_or_else(|| panic!("no file {file}"));
        assert!(source.contains(&format!("#[test]\nfn {name}() {{")), "no test: {path}");
        tests += 1;
    }
    assert!(tests > 20, "{tests}");
}
