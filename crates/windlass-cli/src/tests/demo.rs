//! What the demonstration serves, and what it says of it.

use super::*;
use crate::config;

#[test]
fn nothing_can_be_reached_from_elsewhere() {
    let file = file(|port| port);
    let services = config::services(&file);
    let listen: Vec<&Address> = services.iter().flat_map(|service| service.listen.iter().copied()).collect();
    assert!(listen.len() >= 3);
    for address in listen.into_iter().chain(file.admin.listen.iter().map(|listen| &listen.0)) {
        let (Address::Tcp(text) | Address::Udp(text)) = address else { continue };
        assert!(text.parse::<SocketAddr>().unwrap().ip().is_loopback(), "{text}");
    }
}

#[test]
fn its_file_is_a_configuration() {
    let text = config::print::demo(&file(|port| port)).unwrap();
    let path = std::env::temp_dir().join(format!("windlass-demo-{}.toml", std::process::id()));
    std::fs::write(&path, &text).unwrap();
    let loaded = config::load(&path, &|_| None);
    let _ = std::fs::remove_file(&path);
    let Ok(loaded) = loaded else { panic!("{text}") };
    assert_eq!(loaded.file, file(|port| port));
}

#[test]
fn a_port_that_is_taken_is_left_alone() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap().port();
    assert_ne!(free(taken), taken);
}

#[test]
fn the_greeting_names_every_service() {
    let text = greeting(&file(|port| port), 3);
    for what in ["http://127.0.0.1:9900\n", "nc 127.0.0.1 9000\n", "http://127.0.0.1:9001\n", "3 clients"] {
        assert!(text.contains(what), "{text}");
    }
    assert_eq!(text.contains("arena       http://127.0.0.1:7777\n"), cfg!(feature = "realtime"));
    assert_eq!(text.contains("redis-cli -p 6379"), cfg!(feature = "kv"));
    assert!(!greeting(&file(|port| port), 0).contains("clients"));
}
