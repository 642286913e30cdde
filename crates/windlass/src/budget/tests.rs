//! How budgets are divided: no more than there is, hardly less, and by what there will be.

use super::*;
use crate::{Close, Conn, Datagram, DatagramService, Input, Server, Service, Socket, serve};

struct Big;

impl Service for Big {
    type Session = [u64; 8];
    fn open(&mut self, _: &mut Conn<'_>) -> std::result::Result<[u64; 8], Close> {
        Ok([0; 8])
    }
    fn data(
        &mut self,
        _: &mut Conn<'_>,
        _: &mut [u64; 8],
        input: &mut Input<'_>,
    ) -> std::result::Result<(), Close> {
        input.take_all();
        Ok(())
    }
}

impl DatagramService for Big {
    fn datagram(&mut self, _: &mut Socket<'_>, _: Datagram<'_>) {}
}

fn plan(memory: usize, workers: usize, limits: Limits, address: &str) -> Result<MemoryPlan> {
    let config = Config::default().workers(workers).limits(limits).memory(memory);
    let server = Server::new(config).add(serve(|| Big).name("big").tcp(address));
    server.memory_plan().map(|plan| plan.expect("a budget"))
}

fn line<'a>(plan: &'a MemoryPlan, what: &str) -> &'a MemoryLine {
    plan.lines.iter().find(|line| line.what == what).unwrap_or_else(|| panic!("{what} in {plan}"))
}

#[test]
fn without_a_budget_there_is_no_plan() {
    let server = Server::new(Config::default()).add(serve(|| Big).tcp("127.0.0.1:0"));
    assert_eq!(server.memory_plan().unwrap(), None);
}

#[test]
fn a_plan_spends_what_there_is_and_no_more() {
    for memory in [320 << 10, 512 << 10, 1 << 20, 3_000_000, 8 << 20, 64 << 20, 1 << 30] {
        for workers in 1..=3 {
            let Ok(plan) = plan(memory, workers, Limits::default(), "127.0.0.1:0") else {
                assert!(memory < 1 << 20, "{memory} for {workers} workers");
                continue;
            };
            assert!(plan.total() <= memory, "{plan}");
            assert!(plan.total() > memory - workers * 16 * 1024, "hardly anything is left over:\n{plan}");
            let limits = &plan.limits;
            assert!(limits.check().is_ok());
            // No limit allows for more than there is.
            let blocks = line(&plan, "blocks of the region");
            let region = blocks.count / workers * (blocks.bytes - Region::PER_BLOCK);
            assert!(limits.output_max <= region / 4 && limits.buffered_max <= region, "{plan}");
            // An echo never has more to queue than it read, behind what made it congested.
            let read = line(&plan, "buffers read into").bytes - 4096;
            assert!(limits.output_max >= limits.output_high + read + limits.input_max, "{plan}");
            assert_eq!(limits.input_max, (read / 2).min(Limits::default().input_max));
        }
    }
}

#[test]
fn connections_follow_from_the_budget_or_the_budget_is_held_to_them() {
    let of = |memory| plan(memory, 1, Limits::default(), "127.0.0.1:0").unwrap().limits.connections_max;
    assert!(of(1 << 20) > 100 && of(8 << 20) > 1_000, "{} and {}", of(1 << 20), of(8 << 20));
    assert!(of(4 << 20) < of(8 << 20));
    let few = Limits { connections_max: 20, ..Limits::default() };
    let plan_of_few = plan(4 << 20, 1, few, "127.0.0.1:0").unwrap();
    assert_eq!(plan_of_few.limits.connections_max, 20);
    assert!(line(&plan_of_few, "blocks of the region").bytes > 4096, "each has more");
    let many = Limits { connections_max: 100_000, ..Limits::default() };
    let refused = plan(4 << 20, 1, many, "127.0.0.1:0").unwrap_err().to_string();
    assert!(refused.contains("100000 connections") && refused.contains("KiB"), "{refused}");
    // What it asks for is enough.
    let needed: usize =
        refused.split(' ').skip_while(|word| *word != "takes").nth(1).unwrap().parse().unwrap();
    let many = Limits { connections_max: 100_000, ..Limits::default() };
    assert_eq!(plan(needed << 10, 1, many, "127.0.0.1:0").unwrap().limits.connections_max, 100_000);
}

#[test]
fn tables_are_of_what_there_will_be() {
    let of = |address: &str| plan(4 << 20, 1, Limits::default(), address).unwrap();
    let (four, any, local) = (of("127.0.0.1:0"), of("[::1]:0"), of("localhost:0"));
    assert!(four.lines.iter().all(|line| line.what != "IPv6 addresses"));
    line(&any, "IPv6 addresses");
    line(&local, "IPv6 addresses");
    assert_eq!(line(&four, "sessions of big").bytes, 8 + size_of::<Option<[u64; 8]>>());
    assert_eq!(line(&four, "connections").count, four.limits.connections_max);
    let uncounted = Limits { source_connections_max: 0, ..Limits::default() };
    let uncounted = plan(4 << 20, 1, uncounted, "127.0.0.1:0").unwrap();
    assert!(uncounted.lines.iter().all(|line| line.what != "sources"));
}

#[test]
fn limits_are_lowered_and_never_raised() {
    let limits = Limits { output_max: 10_000, output_high: 4_000, output_low: 3_999, ..Limits::default() };
    let limits = plan(8 << 20, 1, limits, "127.0.0.1:0").unwrap().limits;
    assert_eq!((limits.output_max, limits.output_high, limits.output_low), (10_000, 4_000, 1_000));
    assert_eq!(limits.idle_timeout, Limits::default().idle_timeout);
    assert_eq!(limits.relay_pipes_max, 0);
}

#[test]
fn a_table_for_people() {
    let plan = plan(1 << 20, 1, Limits { connections_max: 64, ..Limits::default() }, "127.0.0.1:0").unwrap();
    let text = plan.to_string();
    assert!(text.starts_with("what "), "{text}");
    assert!(text.lines().last().unwrap().ends_with("1,048,576"), "{text}");
    assert_eq!(text.lines().count(), plan.lines.len() + 3);
    let more = plan.clone().with(vec![MemoryLine::new("retained", 10, 100)], 2_000);
    assert_eq!((more.total(), more.memory), (plan.total() + 1_000, plan.memory + 2_000));
    assert_eq!(more.lines[0].what, "retained");
}

#[test]
fn more_than_a_number_can_say_is_too_much_and_no_panic() {
    for connections in [usize::MAX, usize::MAX / 2, usize::MAX / 512, 1 << 40] {
        for workers in [1, 64] {
            let many = || Limits { connections_max: connections, ..Limits::default() };
            let refused = plan(8 << 20, workers, many(), "127.0.0.1:0").unwrap_err().to_string();
            assert!(refused.contains("too little"), "{refused}");
        }
    }
    let all = plan(usize::MAX, 1, Limits::default(), "127.0.0.1:0").unwrap();
    assert!(all.total() > 1 << 30);
    let config = Config::default().workers(1).memory(8 << 20);
    let reserved = Server::new(config).add(serve(|| Big).reserve(usize::MAX).tcp("127.0.0.1:0"));
    assert!(reserved.memory_plan().is_err());
    assert_eq!(reserved.memory_least().unwrap(), usize::MAX, "nothing is enough");
    assert!(!reserved.memory_suffices(usize::MAX));
}

#[test]
fn no_worker_reads_more_at_once_than_it_has_room_for() {
    let config = Config { scratch_bytes: 1 << 30, ..Config::default() }.workers(1).memory(4 << 30);
    let server = Server::new(config).add(serve(|| Big).name("big").tcp("127.0.0.1:0"));
    let plan = server.memory_plan().unwrap().unwrap();
    assert_eq!(line(&plan, "buffers read into").bytes, SCRATCH_MOST + 4096);
    assert!(plan.limits.input_max <= SCRATCH_MOST / 2);
}

#[test]
fn places_are_reserved_for_listeners_of_connections_alone() {
    let table = |service: crate::Serve<Big>| {
        let limits = Limits { connections_max: 100, ..Limits::default() };
        let config = Config::default().workers(1).limits(limits).memory(8 << 20);
        let server = Server::new(config).add(service.name("big").reserve(7));
        let plan = server.memory_plan().unwrap().unwrap();
        line(&plan, "connections").count
    };
    let two = table(serve(|| Big).tcp("127.0.0.1:0").tcp("127.0.0.1:0"));
    assert_eq!(two, 100 + 2 * 7);
    assert_eq!(table(serve(|| Big).tcp("127.0.0.1:0").udp("127.0.0.1:0")), 100 + 7);
}

#[test]
fn the_least_that_does_is_enough_and_little_more() {
    for connections in [0, 10, 5_000] {
        let limits = Limits { connections_max: connections, ..Limits::default() };
        let config = Config::default().workers(2).limits(limits);
        let server = Server::new(config).add(serve(|| Big).tcp("127.0.0.1:0"));
        let least = server.memory_least().unwrap();
        assert!(server.memory_suffices(least) && !server.memory_suffices(least - (128 << 10)), "{least}");
    }
}

/// One entry for each connection, and as many come and go as like to: the table is made once, and is what was counted for it.
#[test]
fn the_table_of_sources_neither_grows_nor_is_larger_than_was_counted() {
    for connections in [4, 100, 447, 449, 1_000] {
        let limits = Limits { connections_max: connections, source_connections_max: 3, ..Limits::default() };
        let config = Config::default().workers(1).limits(limits).memory(16 << 20);
        let spec = serve(|| Big).name("big").reserve(5).tcp("127.0.0.1:0").into_spec();
        let budget = Budget::new(&config, 1, &[&*spec], 100_000).unwrap().unwrap();
        let table = connections + 5;
        let counted = budget.plan.lines.iter().find(|line| line.what == "sources").unwrap().total();
        assert_eq!(counted, table * SOURCE);
        let shared = crate::shared::Shared::new(config, 1, vec![]).with_budget(Some(budget.into()));
        let places = shared.source_places();
        // What has left takes a place until the table is put in order, which takes none as long as half of it is free.
        // Of eight places a table of the standard library uses seven, and a byte tells what is in each.
        let bytes = places * 8 / 7 * (size_of::<(IpAddr, usize)>() + 1);
        assert!(bytes <= counted, "{bytes} of {counted} for {table}");
        let source = |n: usize| IpAddr::from((0x0A00_0000 + n as u32).to_be_bytes());
        for n in 0..20 * table {
            assert!(shared.enter_source(source(n)));
            assert!(shared.source_places() <= places, "it has grown with the {n}th for {table}");
            if n >= table - 1 {
                shared.leave_source(source(n + 1 - table));
            }
        }
    }
}
