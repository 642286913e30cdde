//! What a name comes to: the questions it takes, and the backends that the answers name. The last good answer to
//! each question counts for as long as there is no newer one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::client::Reply;
use super::message::{Kind, Question, Record};
use crate::discovery::list::{FOUND_MAX, Found};
use crate::discovery::source::{Family, Source};
use crate::target::Target;

/// Targets of a service that are resolved.
const TARGETS_MAX: usize = 64;

/// What is known of one name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The last good answers.
    good: HashMap<Question, Vec<Record>>,
    /// Those of the round that is under way.
    awaited: Vec<Question>,
    got: HashMap<Question, Reply>,
}

/// What a round came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    /// `None`: nobody is known.
    pub(crate) found: Option<Vec<Found>>,
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// The shortest life of what was answered; `None`: nothing was.
    pub(crate) ttl: Option<Duration>,
}

fn kinds(family: Family) -> &'static [Kind] {
    match family {
        Family::Any => &[Kind::A, Kind::Aaaa],
        Family::V4 => &[Kind::A],
        Family::V6 => &[Kind::Aaaa],
    }
}

fn ask(name: &str, kind: Kind) -> Question {
    Question { name: name.into(), kind }
}

impl Names {
    pub(crate) fn is_busy(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Begins a round: the questions to be asked.
    pub(crate) fn begin(&mut self, source: &Source) -> Vec<Question> {
        self.got.clear();
        self.awaited = match source {
            Source::Addresses { host, family, .. } => {
                kinds(*family).iter().map(|kind| ask(host, *kind)).collect()
            }
            Source::Service { name } => vec![ask(name, Kind::Srv)],
            Source::File(_) => Vec::new(),
        };
        self.awaited.clone()
    }

    /// An answer. Further questions, and, when all are answered, what they came to.
    pub(crate) fn answered(
        &mut self,
        source: &Source,
        question: &Question,
        reply: &Reply,
    ) -> (Vec<Question>, Option<Outcome>) {
        let Some(at) = self.awaited.iter().position(|awaited| awaited == question) else {
            return (Vec::new(), None);
        };
        self.awaited.swap_remove(at);
        if let Reply::Records { records, .. } = reply {
            self.good.insert(question.clone(), records.clone());
        }
        self.got.insert(question.clone(), reply.clone());
        let mut more = Vec::new();
        if question.kind == Kind::Srv {
            for (_, target, _) in self.targets(&question.name) {
                more.extend(kinds(Family::Any).iter().map(|kind| ask(&target, *kind)));
            }
            more.retain(|question| !self.awaited.contains(question));
            more.sort_by(|a, b| (&a.name, a.kind as u8).cmp(&(&b.name, b.kind as u8)));
            more.dedup();
            self.awaited.extend(more.clone());
        }
        let outcome = self.awaited.is_empty().then(|| self.outcome(source));
        (more, outcome)
    }

    /// The targets of the most preferred priority, with weight and port.
    fn targets(&self, name: &str) -> Vec<(u16, String, u16)> {
        let records = self.good.get(&ask(name, Kind::Srv)).map_or(&[][..], |records| records);
        let all: Vec<(u16, u16, u16, &String)> = records
            .iter()
            .filter_map(|record| match record {
                Record::Service { priority, weight, port, target } => {
                    Some((*priority, *weight, *port, target))
                }
                Record::Address(_) => None,
            })
            .collect();
        let Some(best) = all.iter().map(|(priority, ..)| *priority).min() else { return Vec::new() };
        let best = all.into_iter().filter(|(priority, ..)| *priority == best);
        let mut targets: Vec<_> =
            best.map(|(_, weight, port, target)| (weight, target.clone(), port)).collect();
        // Servers turn their answers: of too many the same are to be taken each time.
        targets.sort_by(|a, b| (&a.1, a.2).cmp(&(&b.1, b.2)));
        targets.truncate(TARGETS_MAX);
        targets
    }

    fn outcome(&mut self, source: &Source) -> Outcome {
        let mut errors = Vec::new();
        let found = match source {
            Source::Addresses { host, port, family } => {
                let addresses = self.addresses(host, *family, &mut errors);
                addresses
                    .into_iter()
                    .map(|ip| Found::at(Target::Address(SocketAddr::new(ip, *port))))
                    .collect()
            }
            Source::Service { name } => self.service(name, &mut errors),
            Source::File(_) => Vec::new(),
        };
        let lives = self.got.values().filter_map(|reply| match reply {
            Reply::Records { ttl, .. } => Some(*ttl),
            _ => None,
        });
        let ttl = lives.min();
        // What nobody asks for any more is forgotten.
        self.good.retain(|question, _| self.got.contains_key(question));
        let found = Some(distinct(found)).filter(|found| !found.is_empty());
        Outcome { found, error: errors.into_iter().next(), ttl }
    }

    /// The addresses of a host. A kind that it has no more is believed where another is there; if none is, it is
    /// taken for a mistake.
    fn addresses(&mut self, host: &str, family: Family, errors: &mut Vec<String>) -> Vec<IpAddr> {
        let questions: Vec<Question> = kinds(family).iter().map(|kind| ask(host, *kind)).collect();
        let is_nothing = |question: &Question| matches!(self.got.get(question), Some(Reply::Nothing));
        let others =
            questions.iter().any(|question| !is_nothing(question) && self.good.contains_key(question));
        let nothing: Vec<&Question> = questions.iter().filter(|question| is_nothing(question)).collect();
        if others {
            for question in &nothing {
                self.good.remove(*question);
            }
        } else if nothing.len() == questions.len() {
            errors.push(format!("{host} has no address"));
        }
        for question in &questions {
            if let Some(Reply::Failed(why)) = self.got.get(question) {
                errors.push(format!("{host} {}: {why}", question.kind.label()));
            }
        }
        let records = questions.iter().filter_map(|question| self.good.get(question)).flatten();
        let mut addresses: Vec<IpAddr> = records
            .filter_map(|record| match record {
                Record::Address(ip) => Some(*ip),
                Record::Service { .. } => None,
            })
            .collect();
        // Servers turn their answers, which says nothing.
        addresses.sort_unstable();
        addresses
    }

    fn service(&mut self, name: &str, errors: &mut Vec<String>) -> Vec<Found> {
        match self.got.get(&ask(name, Kind::Srv)) {
            Some(Reply::Failed(why)) => errors.push(format!("{name} SRV: {why}")),
            Some(Reply::Nothing) => errors.push(format!("{name} has no service")),
            _ => {}
        }
        let mut found = Vec::new();
        for (weight, target, port) in self.targets(name) {
            for ip in self.addresses(&target, Family::Any, errors) {
                // 0 asks for hardly anything (RFC 2782), and would be to drain here.
                let weight = Some(u32::from(weight.max(1)));
                found.push(Found { weight, ..Found::at(Target::Address(SocketAddr::new(ip, port))) });
            }
        }
        found
    }
}

fn distinct(found: Vec<Found>) -> Vec<Found> {
    let mut seen = std::collections::HashSet::new();
    found.into_iter().filter(|one| seen.insert(one.to.to_string())).take(FOUND_MAX).collect()
}

#[cfg(test)]
mod tests;
