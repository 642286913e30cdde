//! What answers come to, in any order, with some of them missing.

use super::*;

fn addresses(text: &str) -> Source {
    text.parse().unwrap()
}

fn v4(last: &[u8]) -> Reply {
    let records = last.iter().map(|last| Record::Address(IpAddr::from([10, 0, 0, *last]))).collect();
    Reply::Records { records, ttl: Duration::from_secs(60) }
}

fn v6(last: u16) -> Reply {
    let records = vec![Record::Address(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]))];
    Reply::Records { records, ttl: Duration::from_secs(20) }
}

fn failed() -> Reply {
    Reply::Failed("no answer".into())
}

/// Makes a round: what comes of it, with each question answered by `answer`.
fn round(names: &mut Names, source: &Source, answer: impl Fn(&Question) -> Reply) -> Outcome {
    let mut asked = names.begin(source);
    loop {
        let question = asked.pop().expect("it ends with an outcome");
        let (more, outcome) = names.answered(source, &question, &answer(&question));
        asked.extend(more);
        if let Some(outcome) = outcome {
            assert!(asked.is_empty() && !names.is_busy());
            return outcome;
        }
    }
}

fn by_kind(a: Reply, aaaa: Reply) -> impl Fn(&Question) -> Reply {
    move |question| if question.kind == Kind::A { a.clone() } else { aaaa.clone() }
}

fn found(outcome: &Outcome) -> Vec<String> {
    outcome.found.iter().flatten().map(|one| one.to.to_string()).collect()
}

#[test]
fn every_address_is_a_backend() {
    let (mut names, source) = (Names::default(), addresses("dns:web.test:80"));
    let outcome = round(&mut names, &source, by_kind(v4(&[2, 1, 2]), v6(1)));
    assert_eq!(found(&outcome), ["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"]);
    assert_eq!((outcome.error, outcome.ttl), (None, Some(Duration::from_secs(20))));
    let only = addresses("dns4:web.test:80");
    assert_eq!(Names::default().begin(&only).len(), 1);
}

#[test]
fn what_fails_is_as_it_was() {
    let (mut names, source) = (Names::default(), addresses("dns:web.test:80"));
    assert_eq!(round(&mut names, &source, |_| failed()).found, None, "nothing was known before");
    round(&mut names, &source, by_kind(v4(&[1]), v6(1)));
    let outcome = round(&mut names, &source, by_kind(v4(&[3]), failed()));
    assert_eq!(found(&outcome), ["10.0.0.3:80", "[fd00::1]:80"]);
    assert_eq!(outcome.error.unwrap(), "web.test AAAA: no answer");
    let outcome = round(&mut names, &source, |_| failed());
    assert_eq!(found(&outcome), ["10.0.0.3:80", "[fd00::1]:80"]);
    assert_eq!(outcome.ttl, None);
    // One kind has gone, and the other is there.
    let outcome = round(&mut names, &source, by_kind(Reply::Nothing, v6(1)));
    assert_eq!((found(&outcome), outcome.error), (vec!["[fd00::1]:80".into()], None));
    // All have: that is taken for a mistake.
    let outcome = round(&mut names, &source, |_| Reply::Nothing);
    assert_eq!(found(&outcome), ["[fd00::1]:80"]);
    assert_eq!(outcome.error.unwrap(), "web.test has no address");
}

#[test]
fn a_service_is_its_targets_of_the_best_priority() {
    let (mut names, source) = (Names::default(), addresses("srv:_http._tcp.test"));
    let service = |priority, weight, port, target: &str| Record::Service {
        priority,
        weight,
        port,
        target: target.into(),
    };
    let ttl = Duration::from_secs(9);
    let records = vec![
        service(10, 3, 8080, "b.test"),
        service(10, 0, 8081, "a.test"),
        service(20, 1, 80, "spare.test"),
        service(10, 3, 9090, "b.test"),
    ];
    let answer = move |question: &Question| match (question.kind, &*question.name) {
        (Kind::Srv, _) => Reply::Records { records: records.clone(), ttl },
        (Kind::A, "a.test") => v4(&[1]),
        (Kind::A, "b.test") => v4(&[2, 3]),
        (Kind::Aaaa, "a.test" | "b.test") => Reply::Nothing,
        (_, other) => panic!("{other} is not to be asked for"),
    };
    let outcome = round(&mut names, &source, &answer);
    assert_eq!((outcome.error.clone(), outcome.ttl), (None, Some(ttl)));
    let wanted = ["10.0.0.1:8081", "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.2:9090", "10.0.0.3:9090"];
    assert_eq!(found(&outcome), wanted);
    let weights: Vec<u32> = outcome.found.iter().flatten().filter_map(|one| one.weight).collect();
    assert_eq!(weights, [1, 3, 3, 3, 3], "none is made to drain");
    // One target fails, then the service itself: it is as it was.
    for broken in ["b.test", "_http._tcp.test"] {
        let outcome =
            round(
                &mut names,
                &source,
                |question| {
                    if question.name == broken { failed() } else { answer(question) }
                },
            );
        assert_eq!(found(&outcome), wanted, "{broken}");
        assert!(outcome.error.unwrap().starts_with(broken));
    }
}

#[test]
fn of_too_many_targets_the_same_are_taken_however_a_server_turns_them() {
    let (mut names, source) = (Names::default(), addresses("srv:_http._tcp.test"));
    let targets = 0..TARGETS_MAX as u8 + 20;
    let record = |n| Record::Service { priority: 1, weight: 1, port: 80, target: format!("host{n}.test") };
    let mut records: Vec<Record> = targets.map(record).collect();
    let mut ask = |records: &[Record]| {
        let outcome = round(&mut names, &source, |question| match question.kind {
            Kind::Srv => Reply::Records { records: records.to_vec(), ttl: Duration::from_secs(1) },
            Kind::A => v4(&[question.name["host".len()..].split('.').next().unwrap().parse().unwrap()]),
            Kind::Aaaa => Reply::Nothing,
        });
        found(&outcome)
    };
    let first = ask(&records);
    assert_eq!(first.len(), TARGETS_MAX);
    records.rotate_left(30);
    assert_eq!(ask(&records), first);
}

#[test]
fn what_is_known_stays_as_large_as_its_answers() {
    let (mut names, source) = (Names::default(), addresses("srv:_http._tcp.test"));
    for n in 0..50 {
        round(&mut names, &source, |question| match question.kind {
            Kind::Srv => {
                let target = format!("host{n}.test");
                let record = Record::Service { priority: 1, weight: 1, port: 80, target };
                Reply::Records { records: vec![record], ttl: Duration::from_secs(1) }
            }
            Kind::A => v4(&[1]),
            Kind::Aaaa => Reply::Nothing,
        });
    }
    assert!(names.good.len() <= 3, "{}", names.good.len());
}
