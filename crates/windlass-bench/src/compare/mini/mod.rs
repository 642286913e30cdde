//! Small servers side by side, idle: `windlass-mini` and `windlass` beside busybox, mosquitto, lighttpd and dropbear,
//! which come from the system's packages. What is measured is how large each is: on disk, in memory, and by connection.
//!
//! Each is started afresh every round. Nobody connects until it has been looked at; then idle clients come, where it takes
//! many, and what its memory grows by is what they cost. Whatever is not there is left out, loudly. Read `programs` for how
//! each is started, `editions` for how `windlass-mini` is built.

mod editions;
mod idle;
mod libraries;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use self::editions::Edition;
use self::idle::Held;
use self::programs::{Place, Program};
use super::figures::median;
use super::foreign::Files;
use super::peers::Layout;
use super::{kept, machine};
use crate::proc::{Cpu, Memory, threads};
use crate::{args, net, text};

/// Time for a program to do what it does after it listens.
const SETTLE: Duration = Duration::from_millis(300);

/// Options of `compare mini`.
#[derive(Debug, Clone, clap::Args)]
pub struct MiniArgs {
    /// Starts of each program; medians are taken over them
    #[arg(long, value_parser = args::count, default_value = "5")]
    rounds: u64,
    /// Idle connections of those that take so many
    #[arg(long, value_parser = args::count, default_value = "1000")]
    connections: u64,
    /// Only these programs, as in mini-echo,busybox-nc
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Do not build anything first: what an earlier run has built is measured
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/MINI.md")]
    output: PathBuf,
    /// Where to write them too, between marks, if all was measured; `-` for nowhere
    #[arg(long, default_value = "benches/RESULTS.md")]
    results: PathBuf,
}

/// What one start of a program showed.
struct Look {
    memory: Memory,
    threads: usize,
    cpu: u64,
    held: Option<Held>,
}

/// A program with its sizes and all its starts.
struct Measured {
    program: Program,
    file: u64,
    with_libraries: u64,
    looks: Vec<Look>,
}

const COMMAND: &str = "cargo run -p windlass-bench --release -- compare mini";

/// Builds ours, measures all of them, prints the tables and writes them to a file.
///
/// # Errors
/// The full program does not build, or not even one `windlass-mini` runs.
pub fn main(args: MiniArgs) -> Result<()> {
    let layout = Layout::find()?;
    let wants = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    if !args.no_build {
        layout.build_windlass()?;
        // std has to be built too, and for TLS there has to be a C compiler: that is no reason not to measure the others.
        for edition in editions::ALL.iter().filter(|edition| wants(edition.name)) {
            if let Err(error) = edition.build(&layout) {
                eprintln!("NOT BUILT: {}: {error:#}", edition.name);
            }
        }
    }
    let n = args.connections as usize;
    // Children have the limit of this process, and a relay two ends of each.
    net::allow_descriptors(2 * n + 64)?;
    let files = Files::new()?;
    let mut programs = Place { layout: &layout, files: &files, n }.programs()?;
    let names: Vec<&str> = programs.iter().map(|it| it.name).collect();
    let unknown = args.only.iter().find(|name| !names.contains(&name.as_str()));
    ensure!(unknown.is_none(), "there is no {unknown:?} here: there are {}", names.join(", "));
    programs.retain(|program| wants(program.name));
    let mut all = Vec::new();
    for program in programs {
        match begun(program) {
            Ok(measured) => all.push(measured),
            Err(error) => eprintln!("LEFT OUT: {error:#}"),
        }
    }
    for round in 0..args.rounds {
        for measured in &mut all {
            let name = measured.program.name;
            let look = look(&measured.program).with_context(|| name.to_owned())?;
            eprintln!("round {} {name:<16} {} KiB", round + 1, text::thousands(look.memory.resident as i64));
            measured.looks.push(look);
        }
    }
    ensure!(!all.is_empty(), "nothing runs");
    let table = format!("{}\n{}", sizes(&all), bars(&all));
    let markdown = head(&args, &all) + &table;
    println!("{markdown}");
    let is_whole = args.only.is_empty() && editions::ALL.iter().all(|it| all.iter().any(|of| is(of, it)));
    if is_whole && ![&args.results, &args.output].iter().any(|path| path.as_os_str() == "-") {
        let how = format!(
            "`{COMMAND}`, {} starts of each, {} idle connections where it takes so many",
            args.rounds,
            text::thousands(n as i64)
        );
        let paths = [args.results.as_path(), args.output.as_path()];
        kept::record_as(("mini", "Small servers, idle"), &layout, paths, &how, &table)?;
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

fn is(measured: &Measured, edition: &Edition) -> bool {
    measured.program.name == edition.name
}

/// Looks at a program's file, and tries whether it starts at all.
fn begun(program: Program) -> Result<Measured> {
    let (file, with_libraries) = libraries::sizes(&program.file)?;
    program.start().with_context(|| program.name.to_owned())?;
    Ok(Measured { program, file, with_libraries, looks: Vec::new() })
}

/// Starts it once, and looks at it before and after its clients came.
fn look(program: &Program) -> Result<Look> {
    let running = program.start()?;
    std::thread::sleep(SETTLE);
    let pid = running.pid();
    let (memory, threads, cpu) = (Memory::of(pid)?, threads(pid)?, Cpu::of(pid)?.total);
    let held = program.holds.map(|(hello, n)| idle::hold(pid, program.port, hello, n)).transpose()?;
    Ok(Look { memory, threads, cpu, held })
}

impl Measured {
    /// The median of a figure of its starts.
    fn middle(&self, figure: impl Fn(&Look) -> Option<f64>) -> Option<f64> {
        median(&self.looks.iter().filter_map(figure).collect::<Vec<_>>())
    }

    fn row(&self) -> Vec<String> {
        let whole = |value: Option<f64>| value.map_or("-".into(), |it| text::thousands(it.round() as i64));
        let memory =
            |figure: fn(&Memory) -> u64| whole(self.middle(|look| Some(figure(&look.memory) as f64)));
        let held = |figure: fn(&Held) -> f64| self.middle(|look| look.held.as_ref().map(figure));
        let forks = self.looks.iter().any(|look| look.held.is_some_and(|held| held.forks));
        let clients = whole(held(|it| it.connections as f64));
        vec![
            self.program.name.into(),
            text::thousands(self.file as i64),
            text::thousands(self.with_libraries as i64),
            memory(|it| it.resident),
            memory(|it| it.proportional),
            memory(|it| it.private_dirty),
            whole(self.middle(|look| Some(look.threads as f64))),
            self.middle(|look| Some(look.cpu as f64 / 1e6)).map_or("-".into(), text::number),
            whole(held(|it| it.bytes_each)),
            if forks { format!("{clients}, a process each") } else { clients },
        ]
    }
}

fn sizes(all: &[Measured]) -> String {
    let head = [
        "program",
        "bytes of its file",
        "with shared libraries",
        "KiB resident",
        "proportional",
        "private dirty",
        "threads",
        "CPU ms to start",
        "bytes of an idle connection",
        "of so many",
    ];
    text::table(&head, &all.iter().map(Measured::row).collect::<Vec<_>>())
}

/// What a bar is of, which program's, and the most it may be.
type Bar = (&'static str, Edition, fn(&Measured) -> Option<f64>, f64);

fn resident(of: &Measured) -> Option<f64> {
    of.middle(|look| Some(look.memory.resident as f64))
}

fn each(of: &Measured) -> Option<f64> {
    of.middle(|look| look.held.map(|held| held.bytes_each))
}

fn file(of: &Measured) -> Option<f64> {
    Some(of.file as f64)
}

const BARS: [Bar; 13] = [
    ("bytes of its file", editions::ECHO, file, 350_000.0),
    ("bytes of its file", editions::ECHO_ABORTS, file, 40_000.0),
    ("bytes of its file", editions::HUB, file, 600_000.0),
    ("bytes of its file", editions::HUB_ABORTS, file, 250_000.0),
    ("bytes of its file", editions::HUB_TLS, file, 1_400_000.0),
    ("bytes of its file", editions::HUB_TLS_ABORTS, file, 1_000_000.0),
    ("KiB resident", editions::ECHO, resident, 500.0),
    ("KiB resident", editions::ECHO_ABORTS, resident, 120.0),
    ("KiB resident", editions::HUB, resident, 1_000.0),
    ("KiB resident", editions::HUB_TLS, resident, 1_000.0),
    ("bytes of an idle connection", editions::ECHO, each, 512.0),
    ("bytes of an idle connection", editions::HUB, each, 512.0),
    ("threads", editions::HUB_TLS, |of| of.middle(|look| Some(look.threads as f64)), 1.0),
];

fn bars(all: &[Measured]) -> String {
    let rows = BARS.iter().filter_map(|(what, edition, figure, most)| {
        let has = figure(all.iter().find(|of| is(of, edition))?)?;
        let reached = if has <= *most { "yes" } else { "NO" };
        let [has, most] = [has, *most].map(|it| text::thousands(it.round() as i64));
        Some(vec![(*what).into(), edition.name.into(), has, most, reached.into()])
    });
    text::table(&["figure", "program", "it has", "at most", "reached"], &rows.collect::<Vec<_>>())
}

fn head(args: &MiniArgs, all: &[Measured]) -> String {
    let mut out = String::from("# Small servers, idle\n\n");
    out += &format!("Reproduce with `{COMMAND}`; what is not ours is Debian's packages.\n\n");
    for (name, value) in machine::facts().into_iter().take(2) {
        out += &format!("- {name}: {value}\n");
    }
    out += &format!(
        "\nEach program is started {} times, on loopback, with nobody connected; figures are medians. Memory is what \
         `/proc/PID/smaps_rollup` tells: all that is resident, the same with its share of pages that others have too, and \
         what it alone has written to. CPU is what it took until it had listened for {SETTLE:?}. Then idle clients come, of a \
         broker with a session each, and a connection's bytes are what the memory that is in no file grows by, of all \
         processes of the program together; the kernel's part of a connection is not in it. Shared libraries are those that \
         `ldd` names.\n\n",
        args.rounds
    );
    for Measured { program, .. } in all {
        out += &format!("- `{}`: {}\n", program.name, program.about);
    }
    out += "\nHow each `windlass-mini` is built:\n\n```text\n";
    for edition in editions::ALL.iter().filter(|edition| all.iter().any(|of| is(of, edition))) {
        out += &format!("# {}\n{}\n", edition.name, edition.command());
    }
    out += "```\n\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_a_table_is_a_dash() {
        let program = Program::stand_in("busybox-nc");
        let look = |resident, cpu| Look {
            memory: Memory { resident, ..Memory::default() },
            threads: 1,
            cpu,
            held: None,
        };
        let looks = vec![look(100, 2_000_000), look(300, 1_000_000), look(2_000, 9_000_000)];
        let measured = Measured { program, file: 1_234_567, with_libraries: 2_000_000, looks };
        let row = measured.row();
        assert_eq!(row[1..5], ["1,234,567", "2,000,000", "300", "0"]);
        assert_eq!(row[6..], ["1", "2.00", "-", "-"]);
        // No bar is of it.
        assert_eq!(bars(&[measured]).lines().count(), 2);
    }

    #[test]
    fn bars_are_told_from_what_misses_them() {
        let measured = |edition: Edition, resident| Measured {
            program: Program::stand_in(edition.name),
            file: 400_000,
            with_libraries: 400_000,
            looks: vec![Look {
                memory: Memory { resident, ..Memory::default() },
                threads: 1,
                cpu: 0,
                held: Some(Held { connections: 9, bytes_each: 90.0, forks: false }),
            }],
        };
        let table = bars(&[measured(editions::ECHO, 501), measured(editions::HUB, 1_000)]);
        let line = |what: &str, name: &str| {
            let found = table.lines().find(|line| line.contains(what) && line.contains(name));
            found.unwrap_or_else(|| panic!("{table}")).to_owned()
        };
        assert!(line("resident", "mini-echo").ends_with("|      NO |"), "{table}");
        assert!(line("resident", "mini-hub").ends_with("|     yes |"), "{table}");
        assert!(line("idle connection", "mini-echo").contains(" 90 "), "{table}");
        assert!(line("its file", "mini-echo").contains("NO"), "{table}");
    }
}
