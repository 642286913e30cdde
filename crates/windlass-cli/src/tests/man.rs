//! That the pages are complete.

use super::*;

fn text(name: &str) -> String {
    let pages = pages().unwrap();
    let page = pages.into_iter().find(|(page, _)| page == name).unwrap_or_else(|| panic!("no page {name}"));
    String::from_utf8(page.1).unwrap()
}

#[test]
fn every_command_has_a_page_with_its_flags() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let page = text(&format!("windlass-{}.1", command.get_name())).replace("\\-", "-");
        for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long())
        {
            assert!(page.contains(&format!("--{flag}")), "{}: --{flag}", command.get_name());
        }
    }
    assert!(text("windlass.1").contains("windlass\\-run(1)"));
}

#[test]
fn the_page_of_the_file_has_every_key() {
    let page = text(FILE_PAGE).replace("\\-", "-");
    let schema = config::schema();
    let mut keys = 0;
    for table in schema["$defs"].as_object().unwrap().values().chain([&schema]) {
        for key in table["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(page.contains(key.as_str()), "{key}");
            keys += 1;
        }
    }
    assert!(keys > 20 && page.contains(".SH [server]"), "{keys}");
    assert_eq!(page.contains(".SH [[echo]]"), cfg!(feature = "echo"));
    assert!(page.contains("256KiB"), "{page}");
    assert!(page.contains("tls.cert") || cfg!(not(all(feature = "echo", feature = "tls"))), "{page}");
}

#[test]
fn every_page_is_put_where_man_looks() {
    let folder = std::env::temp_dir().join(format!("windlass-man-{}", std::process::id()));
    write(&folder, &pages().unwrap()).unwrap();
    let is_there = |path: &str| folder.join(path).is_file();
    let found = [is_there("man1/windlass-run.1"), is_there("man5/windlass.toml.5")];
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found, [true, true]);
}
