//! What the head of a program says: for which machine it is, whether it needs a loader, and how large its parts are.

use std::fs;
use std::io;
use std::path::Path;

/// A program's head, as far as it matters here. Offsets are those of the ELF specification, version 1.2 and its
/// 64-bit supplement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// 32 or 64.
    pub bits: u8,
    pub big_endian: bool,
    /// `e_machine`: 62 is x86-64, 183 AArch64, 40 ARM, 243 RISC-V, 8 MIPS.
    pub machine: u16,
}

/// A piece that is loaded.
pub(crate) struct Loaded {
    /// Where it is while the program runs.
    pub address: u64,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes in memory.
    pub taken: u64,
}

pub(crate) struct Elf {
    pub kind: Kind,
    /// Whether it asks for a dynamic loader.
    pub interpreted: bool,
    pub loaded: Vec<Loaded>,
}

const LOAD: u64 = 1;
const INTERPRETER: u64 = 3;

/// Reads the head of the program at `path`.
pub(crate) fn read(path: &Path) -> io::Result<Elf> {
    let bytes = fs::read(path)?;
    parse(&bytes).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: is no ELF file", path.display()))
    })
}

fn parse(bytes: &[u8]) -> Option<Elf> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let wide = *bytes.get(4)? == 2;
    let big_endian = *bytes.get(5)? == 2;
    let number = |at: u64, width: usize| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = bytes.get(at..at.checked_add(width)?)?;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if big_endian { field.iter().fold(0, push) } else { field.iter().rev().fold(0, push) })
    };
    let word = if wide { 8 } else { 4 };
    let machine = number(18, 2)? as u16;
    let (offset, size_at, count_at) = if wide { (32, 54, 56) } else { (28, 42, 44) };
    let (table, size, count) = (number(offset, word)?, number(size_at, 2)?, number(count_at, 2)?);
    let (address_at, stored_at, taken_at) = if wide { (16, 32, 40) } else { (8, 16, 20) };
    let mut elf = Elf {
        kind: Kind { bits: word as u8 * 8, big_endian, machine },
        interpreted: false,
        loaded: Vec::new(),
    };
    for index in 0..count {
        let entry = table.checked_add(index * size)?;
        match number(entry, 4)? {
            LOAD => elf.loaded.push(Loaded {
                address: number(entry + address_at, word)?,
                stored: number(entry + stored_at, word)?,
                taken: number(entry + taken_at, word)?,
            }),
            INTERPRETER => elf.interpreted = true,
            _ => {}
        }
    }
    Some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_both_widths_and_orders() {
        // Big-endian, 32 bits, MIPS; one piece: 16 bytes of the file are 48 in memory.
        let mut small = vec![0; 52];
        small[..6].copy_from_slice(b"\x7fELF\x01\x02");
        small[19] = 8;
        small[31] = 52;
        small[43] = 32;
        small[45] = 1;
        small.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 48]);
        small.extend([0; 8]);
        let elf = parse(&small).unwrap();
        assert_eq!(elf.kind, Kind { bits: 32, big_endian: true, machine: 8 });
        let piece = &elf.loaded[0];
        assert_eq!((piece.address, piece.stored, piece.taken), (0x40_0000, 16, 48));
        assert!(!elf.interpreted);
        // This very program: 64 bits, and it is loaded somewhere.
        let elf = read(&std::env::current_exe().unwrap()).unwrap();
        assert!(elf.loaded.iter().map(|piece| piece.stored).sum::<u64>() > 1000);
        assert!(parse(&small[..60]).is_none() && parse(b"#!/bin/sh").is_none());
    }
}
