//! `cargo run -p xtask -- bare`: the codecs below Linux. The program in `bare/` has to say the same on this machine and
//! on a Cortex-M4, which qemu has; how much flash and RAM it takes is told.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::elf;

const TARGET: &str = "thumbv7em-none-eabihf";
/// Where RAM begins on the board: `bare/memory.x`.
const RAM: u64 = 0x2000_0000;
/// What the stack may take of it there.
const STACK: u64 = 4096;
/// How long the board may take; it takes less than a second.
const LONG: Duration = Duration::from_secs(60);

/// Bytes that the program takes, its stack not among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub flash: u64,
    pub ram: u64,
}

/// Tries it here and there.
pub(crate) fn run(root: &Path) -> io::Result<()> {
    let folder = root.join("bare");
    cargo(&folder, &["test", "--locked", "-q"])?;
    cargo(&folder, &["build", "--locked", "--release", "--target", TARGET])?;
    let program = folder.join("target").join(TARGET).join("release/windlass-bare");
    let taken = taken(&elf::read(&program)?);
    let said = board(&program)?;
    print!("{said}");
    if said != fs::read_to_string(folder.join("tests/said.txt"))? {
        return Err(io::Error::other("the board did not say what this machine says (bare/tests/said.txt)"));
    }
    let Taken { flash, ram } = taken;
    println!("bare: {TARGET} in qemu: word for word; flash {flash} bytes, RAM {ram} and a stack of {STACK}");
    Ok(())
}

/// Flash holds what the file has, initial values of variables too; RAM the variables.
fn taken(elf: &elf::Elf) -> Taken {
    let ram = elf.loaded.iter().filter(|piece| piece.address >= RAM).map(|piece| piece.taken).sum();
    Taken { flash: elf.loaded.iter().map(|piece| piece.stored).sum(), ram }
}

fn cargo(folder: &Path, args: &[&str]) -> io::Result<()> {
    let mut cargo = Command::new("cargo");
    // Where the program is looked for, whatever `CARGO_TARGET_DIR` says.
    cargo.current_dir(folder).args(args).arg("--target-dir").arg(folder.join("target"));
    let status = cargo.stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cargo {} failed", args[0]))) }
}

/// What it says on the board, if it ends well.
fn board(program: &Path) -> io::Result<String> {
    let mut qemu = Command::new("qemu-system-arm")
        .args(["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("qemu-system-arm: {error}")))?;
    let mut out = qemu.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        out.read_to_string(&mut said).map(|_| said)
    });
    let deadline = Instant::now() + LONG;
    let status = loop {
        if let Some(status) = qemu.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            qemu.kill()?;
            qemu.wait()?;
            return Err(io::Error::other("the board does not come to an end"));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = reader.join().map_err(|_| io::Error::other("nobody read its output"))??;
    if status.success() { Ok(said) } else { Err(io::Error::other(format!("the board: {status}\n{said}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{Elf, Kind, Loaded};

    #[test]
    fn what_is_stored_and_what_is_taken() {
        let kind = Kind { bits: 32, big_endian: false, machine: 40 };
        let piece = |address, stored, taken| Loaded { address, stored, taken };
        let loaded = vec![piece(0, 9000, 9000), piece(RAM + 4096, 100, 100), piece(RAM + 4196, 0, 5000)];
        assert_eq!(taken(&Elf { kind, interpreted: false, loaded }), Taken { flash: 9100, ram: 5100 });
    }
}
