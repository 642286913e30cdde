//! How `memory` in `[server]` is divided: what hubs and the store keep has a part of its own, all the rest is the
//! engine's, which divides it further ([`MemoryPlan`]).
//!
//! It is divided once, before the server starts. What a reload brings has to live in what there is: see [`follow`].

use anyhow::{Result, bail};
use windlass::{Config, Limits, MemoryLine, MemoryPlan, Server};

use super::Told;
use super::plan::{limits, server};
use crate::config::File;
#[cfg(feature = "hub")]
use crate::config::value::Size;

/// A service that keeps something gets at least so much.
#[cfg(feature = "hub")]
const PART_LEAST: usize = 64 << 10;
/// A budget that would do is said in steps of so many bytes.
const STEP: usize = 64 << 10;

/// Of `server.memory`, what is for connections and their buffers: what others do not keep.
pub(super) fn of_engine(file: &File) -> usize {
    match file.server.memory.0 {
        0 => 0,
        // Too little is said by the engine, which knows how much would do.
        memory => memory.saturating_sub(kept_bytes(file)).max(1),
    }
}

fn kept_bytes(file: &File) -> usize {
    kept(file).iter().fold(0, |sum, line| sum.saturating_add(line.total()))
}

/// What services keep by themselves, each with its bound.
fn kept(file: &File) -> Vec<MemoryLine> {
    let mut lines = Vec::new();
    if file.server.memory.0 == 0 {
        return lines;
    }
    #[cfg(feature = "hub")]
    for hub in &file.hub {
        lines.push(MemoryLine::new(format!("kept by {}", hub.name), 1, hub.memory_max.0));
    }
    #[cfg(feature = "kv")]
    if has_store(file) {
        lines.push(MemoryLine::new("kept by the store", 1, file.store.memory_max.0));
    }
    lines
}

#[cfg(feature = "kv")]
fn has_store(file: &File) -> bool {
    !(file.resp.is_empty() && file.memcached.is_empty())
}

/// What each of those who keep something has of `memory` where it says nothing: half of it is theirs, in equal parts.
fn part(file: &File, memory: usize) -> usize {
    let keepers = 0_usize;
    #[cfg(feature = "hub")]
    let keepers = keepers + file.hub.len();
    #[cfg(feature = "kv")]
    let keepers = keepers + usize::from(has_store(file));
    let _ = file;
    memory / 2 / keepers.max(1)
}

/// A configuration whose services keep no more than their part of `server.memory`.
pub(crate) fn divided(mut file: File) -> Result<File> {
    let memory = file.server.memory.0;
    if memory == 0 {
        return Ok(file);
    }
    let part = part(&file, memory);
    #[cfg(feature = "hub")]
    for hub in file.hub.iter_mut().filter(|hub| hub.memory_max.0 == 0) {
        hub.memory_max.0 = part;
    }
    #[cfg(feature = "kv")]
    {
        file.store.memory_max.0 = file.store.memory_max.0.min(part);
    }
    let _ = part;
    let engine = of_engine(&file);
    lower(&mut file, engine);
    Ok(file)
}

/// Holds what services take from clients to what the engine has room for, where it has so many bytes.
fn lower(file: &mut File, engine: usize) {
    // One message has to fit where it is read.
    let config = Config {
        workers: file.server.workers.0,
        limits: limits(file),
        scratch_bytes: file.server.scratch.0,
        memory: engine,
        ..Config::default()
    };
    // Where that is too little it is said when it starts.
    let Ok(Some(plan)) = Server::new(config).memory_plan() else { return };
    lower_to(file, &plan.limits);
}

fn lower_to(file: &mut File, limits: &Limits) {
    let longest = limits.input_max;
    #[cfg(feature = "hub")]
    for hub in &mut file.hub {
        let lower = |size: &mut Size, most: usize| size.0 = size.0.min(most);
        lower(&mut hub.packet_max, longest);
        lower(&mut hub.connect_max, longest);
        lower(&mut hub.output_max, limits.output_high);
        lower(&mut hub.queue_bytes_max, hub.memory_max.0 / 4);
        lower(&mut hub.between_workers_max, hub.memory_max.0 / 4);
    }
    #[cfg(feature = "kv")]
    {
        file.store.value_max.0 = file.store.value_max.0.min(longest / 2);
    }
    let _ = (file, longest);
}

/// The engine's part of the plan with the others in front.
pub(super) fn whole(file: &File, plan: MemoryPlan) -> MemoryPlan {
    plan.with(kept(file), kept_bytes(file))
}

/// How `server.memory` will be divided, if there is a budget. Nothing is opened but certificates.
pub(crate) fn memory_plan(file: &File) -> Result<Option<MemoryPlan>> {
    if file.server.memory.0 == 0 {
        return Ok(None);
    }
    let plan = server(&closed(file), &Told::default())?.memory_plan()?;
    Ok(plan.map(|plan| whole(file, plan)))
}

/// The same file with nothing in it that would be opened to make a server of it.
fn closed(file: &File) -> File {
    let mut file = file.clone();
    #[cfg(feature = "hub")]
    for hub in &mut file.hub {
        (hub.data, hub.access_log) = (None, None);
    }
    #[cfg(feature = "kv")]
    {
        file.resp.iter_mut().for_each(|it| it.access_log = None);
        file.memcached.iter_mut().for_each(|it| it.access_log = None);
    }
    #[cfg(feature = "proxy")]
    file.proxy.iter_mut().for_each(|it| it.access_log = None);
    #[cfg(feature = "realtime")]
    file.game.iter_mut().for_each(|it| it.access_log = None);
    #[cfg(feature = "echo")]
    file.echo.iter_mut().for_each(|it| it.access_log = None);
    #[cfg(feature = "websocket")]
    file.websocket.iter_mut().for_each(|it| it.access_log = None);
    file
}

/// Says that the budget is too little, if it is, and what would do for all of it: the engine knows of its own part alone.
pub(super) fn enough_for(file: &File, server: &Server) -> Result<()> {
    let (memory, kept) = (file.server.memory.0, kept_bytes(file));
    if memory == 0 || kept == 0 || server.memory_plan().is_ok() {
        return Ok(());
    }
    let least = server.memory_least()?;
    let takes = match would_do(file, server) {
        usize::MAX => "more than there is anywhere".into(),
        bytes => format!("{} KiB", bytes / 1024),
    };
    bail!(
        "memory ({memory} bytes) is too little: services keep {kept} bytes of it, and connections need at least \
         {} KiB besides: it takes {takes}, or fewer of them",
        least / 1024
    )
}

/// The least that would do, in whole steps.
fn would_do(file: &File, server: &Server) -> usize {
    // Those who were given their part would have more of more.
    let memory = file.server.memory.0;
    let given = part(file, memory);
    let fits = |total: usize| {
        let mut file = file.clone();
        file.server.memory.0 = total;
        let more = part(&file, total);
        let of = |bytes: usize| if bytes == given { more } else { bytes };
        #[cfg(feature = "hub")]
        file.hub.iter_mut().for_each(|hub| hub.memory_max.0 = of(hub.memory_max.0));
        #[cfg(feature = "kv")]
        {
            file.store.memory_max.0 = of(file.store.memory_max.0);
        }
        server.memory_suffices(of_engine(&file))
    };
    let Some(mut most) = memory.max(STEP).checked_next_multiple_of(STEP) else { return usize::MAX };
    while !fits(most) {
        let Some(more) = most.checked_mul(2) else { return usize::MAX };
        most = more;
    }
    let mut least = most / 2;
    while most - least > STEP {
        let middle = (least + (most - least) / 2).next_multiple_of(STEP).min(most - STEP);
        if middle <= least {
            break;
        }
        match fits(middle) {
            true => most = middle,
            false => least = middle,
        }
    }
    most
}

/// Has a new configuration live in the memory that was divided at the start, of which the engine has `engine` bytes: what
/// it changes of that is for the next start, and noted in `restart`. What there is no room for is a mistake, which comes
/// back with the place of its key.
pub(super) fn follow(
    file: &mut File,
    before: &File,
    engine: usize,
    restart: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut mistakes = Vec::new();
    let memory = before.server.memory.0;
    #[cfg(feature = "hub")]
    {
        let found = |name: &str| before.hub.iter().find(|hub| hub.name == name).map(|hub| hub.memory_max);
        let mut left = memory.saturating_sub(engine);
        for hub in &mut file.hub {
            let Some(old) = found(&hub.name) else { continue };
            // Where memory is divided, one that says nothing has what it was given.
            if hub.memory_max != old && (memory == 0 || hub.memory_max.0 != 0) {
                restart.push(format!("memory_max of the hub {}", hub.name));
            }
            hub.memory_max = old;
            left = left.saturating_sub(old.0);
        }
        #[cfg(feature = "kv")]
        if has_store(before) {
            left = left.saturating_sub(before.store.memory_max.0);
        }
        if memory > 0 {
            let is_new = |name: &str| found(name).is_none();
            let ask = file.hub.iter().filter(|hub| is_new(&hub.name) && hub.memory_max.0 == 0).count();
            let said = file.hub.iter().filter(|hub| is_new(&hub.name));
            let said = said.fold(0, |sum: usize, hub| sum.saturating_add(hub.memory_max.0));
            let part = left.saturating_sub(said) / ask.max(1);
            for (at, hub) in file.hub.iter_mut().enumerate().filter(|(_, hub)| is_new(&hub.name)) {
                if hub.memory_max.0 == 0 {
                    hub.memory_max.0 = part;
                }
                if said > left || hub.memory_max.0 < PART_LEAST {
                    let what = format!(
                        "there is no memory for another hub: `server.memory` was divided when the server began, and \
                         {left} bytes of it are left; restart the server"
                    );
                    mistakes.push((format!("hub[{at}]"), what));
                }
            }
        }
    }
    #[cfg(feature = "kv")]
    if memory > 0 {
        let had = if has_store(before) { before.store.memory_max.0 } else { part(before, memory) };
        file.store.memory_max.0 = file.store.memory_max.0.min(had);
    }
    if memory > 0 {
        lower(file, engine);
    }
    let _ = (&mut *file, restart, engine);
    mistakes
}

#[cfg(all(test, feature = "hub"))]
mod tests;
