//! Runs the commands of every page, as they stand there, and compares what they print.
//!
//! A block of `console` is a terminal: a line that opens with `$ ` is a command, and goes on in the next where it
//! ends with a backslash; the lines behind it are what it prints. A comment above the block says more, `<!-- terminal: WORDS -->`:
//!
//! - `server`: the one command runs on, while the blocks behind it are worked off; it stops at the next
//!   server and at the end of the page. The page waits until it has printed what the block shows.
//! - `server says`: no command, but what the server prints next, sooner or later; `server ends`: and then it
//!   fails. A first line of `...` stands for whatever comes before the second.
//! - `figures`: numbers stand for any numbers: those of another machine, or another run.
//! - `not run: WHY`.
//!
//! `<!-- needs: PROGRAMS -->` names what a page wants beyond `nc`; without it the page is skipped, loudly.
//! Among them may be other programs of the workspace: set `WINDLASS_BOOK_ALL=1` once they are built.
//!
//! Port 7000 is whatever port the server was given, and `pidof` finds the server that was started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::program::{Program, folder};

struct Block {
    line: usize,
    words: String,
    text: Vec<String>,
}

#[test]
fn every_command_prints_what_the_page_says() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut pages = Vec::new();
    collect(&book, &mut pages);
    pages.sort();
    // Most of a page's time is waiting, so a few are worked off side by side.
    let next = AtomicUsize::new(0);
    let commands = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(page) = pages.get(next.fetch_add(1, Relaxed)) {
                    let name = page.strip_prefix(&book).unwrap().display().to_string();
                    let text = std::fs::read_to_string(page).unwrap();
                    if let Some(tool) = needs(&text).find(|tool| !is_there(tool)) {
                        println!("SKIPPED: {tool} is not there; the commands of {name} were not run");
                        continue;
                    }
                    commands.fetch_add(run(&name, &blocks(&name, &text)), Relaxed);
                }
            });
        }
    });
    println!("{} commands were run", commands.into_inner());
}

// The programs that a page wants: those nearly every page uses, and what it says itself.
fn needs(text: &str) -> impl Iterator<Item = &str> {
    let said = text.lines().find_map(|line| line.strip_prefix("<!-- needs: ")?.strip_suffix(" -->"));
    ["bash", "timeout", "nc"].into_iter().chain(said.unwrap_or_default().split_whitespace())
}

// What other crates of the workspace build beside the book's programs may be old, or not there: it counts
// only for who says that it was just built.
fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let built = std::env::var_os("WINDLASS_BOOK_ALL").map(|_| folder());
    std::env::split_paths(&path).chain(built).any(|folder| folder.join(tool).is_file())
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
}

// The terminals of a page. Code in blocks of Rust and TOML is only ever included from a listing.
fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut words = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(said) = line.strip_prefix("<!-- terminal: ").and_then(|said| said.strip_suffix(" -->")) {
            words = said.to_owned();
        } else if let Some(language) = line.strip_prefix("```") {
            let text: Vec<String> =
                lines.by_ref().map(|(_, line)| line.to_owned()).take_while(|line| line != "```").collect();
            match language {
                "console" => found.push(Block { line: number + 1, words: std::mem::take(&mut words), text }),
                "rust,ignore" | "toml" => {
                    let included = text.iter().all(|line| line.is_empty() || line.starts_with("{{#include "));
                    assert!(included, "{page}:{}: code that no listing holds", number + 1);
                }
                "text" => {}
                other => panic!("{page}:{}: a block of `{other}`: nobody would check it", number + 1),
            }
        }
    }
    found
}

// Works the blocks off, and counts the commands.
fn run(page: &str, blocks: &[Block]) -> usize {
    let mut server: Option<(Program, usize)> = None;
    let mut commands = 0;
    for block in blocks {
        let at = format!("{page}:{}", block.line);
        let figures = block.words.contains("figures");
        if block.words.starts_with("not run: ") {
            continue;
        } else if block.words.starts_with("server says") || block.words.starts_with("server ends") {
            let (program, heard) = server.as_mut().unwrap_or_else(|| panic!("{at}: no server runs"));
            let port = program.address().port();
            *heard += hear(&at, program, *heard, &block.text, figures, port);
            if block.words.starts_with("server ends") {
                assert!(!program.ended().success(), "{at}: it ended well");
            }
        } else if block.words.starts_with("server") {
            let command = block.text[0].strip_prefix("$ ").unwrap_or_else(|| panic!("{at}: no command"));
            drop(server.take());
            println!("{at}: {command}");
            let program = Program::start(&mut bash(&format!("exec {}", on_any_port(command))));
            let port = program.address().port();
            let heard = hear(&at, &program, 0, &block.text[1..], figures, port);
            server = Some((program, heard));
            commands += 1;
        } else {
            for part in commands_of(&block.text) {
                let typed = 1 + part.iter().take_while(|line| line.ends_with('\\')).count();
                let (command, shown) = (part[..typed].join("\n"), &part[typed..]);
                let command = command.strip_prefix("$ ").unwrap_or_else(|| panic!("{at}: no command"));
                println!("{at}: {command}");
                let (port, pid) = match &server {
                    Some((program, _)) => {
                        program.settled();
                        (program.address().port(), program.pid())
                    }
                    None => (7000, 0),
                };
                let actual = with_pid(&command.replace("7000", &port.to_string()), pid);
                // One that gives up after a time finds a busy machine slow, and numbers are told at the end of a turn: it may
                // try again.
                let mut tries =
                    if command.contains("timeout ") || command.contains("/metrics") { 5 } else { 1 };
                let (said, same) = loop {
                    let said = run_command(&actual, port);
                    let same = said.len() == shown.len()
                        && said.iter().zip(shown).all(|(said, shown)| same(said, shown, figures));
                    tries -= 1;
                    if same || tries == 0 {
                        break (said, same);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(200));
                };
                assert!(
                    same,
                    "{at}: `{command}` printed\n{}\nthe page shows\n{}",
                    said.join("\n"),
                    shown.join("\n")
                );
                commands += 1;
            }
        }
    }
    commands
}

// What it prints, with the server's port as the page writes it.
fn run_command(command: &str, port: u16) -> Vec<String> {
    let mut patient = Command::new("timeout");
    patient.args(["-k", "1", "120", "bash", "-c", command]).current_dir(folder());
    let output = patient.stdin(Stdio::null()).output().expect("bash runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    said.lines().map(|line| line.replace(&format!(":{port}"), ":7000")).collect()
}

// Each command with what it prints.
fn commands_of(text: &[String]) -> Vec<&[String]> {
    let starts: Vec<usize> = (0..text.len()).filter(|&at| text[at].starts_with("$ ")).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &text[start..end]).collect()
}

// Waits until the server has printed these lines, behind the first `from`, and counts them.
fn hear(at: &str, server: &Program, from: usize, shown: &[String], figures: bool, port: u16) -> usize {
    if let [dots, shown] = shown
        && dots == "..."
    {
        return server.hear(&format!("{at}: {shown}"), |lines| {
            let at = lines.iter().skip(from).position(|said| same(said, shown, figures))?;
            Some(at + 1)
        });
    }
    // The log has an output of its own, and which of the two is heard first is chance.
    let is_log = |line: &str| line.starts_with("{\"timestamp\":");
    let shows_log = shown.iter().any(|line| is_log(line));
    server.hear(&format!("{at}: {shown:#?}"), |lines| {
        let said = lines.iter().enumerate().skip(from).filter(|(_, line)| shows_log || !is_log(line));
        let said: Vec<_> = said.take(shown.len()).collect();
        if said.len() < shown.len() {
            return None;
        }
        for ((_, said), shown) in said.iter().zip(shown) {
            let said = said.replace(&format!(":{port}"), ":7000");
            assert!(same(&said, shown, figures), "{at}: the server said {said:?}, the page shows {shown:?}");
        }
        Some(said.last().map_or(0, |(n, _)| n + 1 - from))
    })
}

fn same(said: &str, shown: &str, figures: bool) -> bool {
    if figures { without_figures(said) == without_figures(shown) } else { said == shown }
}

// Every number as `#`, and the white space that lines it up as one blank.
fn without_figures(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() {
            '#'
        } else if c.is_whitespace() {
            ' '
        } else {
            c
        };
        if !(matches!(c, '#' | ' ') && text.ends_with(c)) {
            text.push(c);
        }
    }
    text.trim().to_owned()
}

fn bash(command: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(command).current_dir(folder());
    bash
}

// `./echo` becomes `./echo 127.0.0.1:0`.
fn on_any_port(command: &str) -> String {
    if command.contains("127.0.0.1:7000") {
        return command.replace("127.0.0.1:7000", "127.0.0.1:0");
    }
    // A file says it.
    if command.contains(".toml") {
        return command.to_owned();
    }
    let start = command.find("./").unwrap_or_else(|| panic!("no program in `{command}`"));
    let end = command[start..].find(' ').map_or(command.len(), |at| start + at);
    format!("{} 127.0.0.1:0{}", &command[..end], &command[end..])
}

// `$(pidof echo)` becomes the number of the server's process.
fn with_pid(command: &str, pid: u32) -> String {
    let mut text = command.to_owned();
    while let Some(start) = text.find("$(pidof ") {
        let end = start + text[start..].find(')').expect("a closing bracket") + 1;
        text.replace_range(start..end, &pid.to_string());
    }
    text
}
