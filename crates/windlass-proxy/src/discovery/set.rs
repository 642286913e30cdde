//! What sources have found: kept beside the configuration, and put into effect when it changes.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::Time;

use super::config::Discover;
use super::list::Found;
use super::source::Source;
use crate::config::{Backend, ProxyConfig};
use crate::front::{Front, Shared};
use crate::plan::{self, OTHERS};
use crate::stats::Changed;

/// News of a source: other backends, or something that went wrong for the first time.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Discovered {
    /// The route's name; `backends` for those that no route leads to.
    pub route: String,
    /// The source, as it is written.
    pub source: String,
    /// What is different now; `None`: nothing.
    pub changed: Option<Changed>,
    /// Why it could not be asked, or not believed. Its last good backends stay.
    pub error: Option<String>,
}

/// How a source is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SourceStats {
    /// The route's name; `backends` for those that no route leads to.
    pub group: String,
    /// The source, as it is written.
    pub source: String,
    /// Backends it names.
    pub backends: usize,
    /// How long ago it was last asked with success; `None`: it never was. A file that has not changed is not
    /// read again.
    pub updated_ago: Option<Duration>,
    /// How often it has named other backends than before.
    pub changes: u64,
    /// How often it could not be asked, or not be believed.
    pub failures: u64,
    /// What was wrong, if the last time failed.
    pub error: Option<String>,
}

/// What one source of one group has found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Set {
    group: String,
    source: Source,
    found: Vec<Found>,
    updated_at: Option<Time>,
    changes: u64,
    failures: u64,
    error: Option<String>,
}

/// What all of them have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sets(Vec<Set>);

impl Sets {
    /// The backends that were found for a group.
    pub(crate) fn backends<'a>(
        &'a self,
        group: &'a str,
        discover: &'a [Discover],
    ) -> impl Iterator<Item = Backend> {
        discover.iter().flat_map(move |one| {
            let sets = self.0.iter().filter(move |set| set.group == group && set.source == one.source);
            sets.flat_map(move |set| set.found.iter().map(move |found| one.backend(found.clone())))
        })
    }

    /// Without those of sources that are configured no more.
    pub(crate) fn fitted(mut self, config: &ProxyConfig) -> Sets {
        self.0.retain(|set| {
            config.sources().any(|(group, source)| group == set.group && *source == set.source)
        });
        self
    }

    fn of(&mut self, group: &str, source: &Source) -> &mut Set {
        let at = self.0.iter().position(|set| set.group == group && set.source == *source);
        let at = at.unwrap_or_else(|| {
            self.0.push(Set {
                group: group.into(),
                source: source.clone(),
                found: Vec::new(),
                updated_at: None,
                changes: 0,
                failures: 0,
                error: None,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    pub(crate) fn stats(&self, now: Time) -> Vec<SourceStats> {
        let one = |set: &Set| SourceStats {
            group: set.group.clone(),
            source: set.source.to_string(),
            backends: set.found.len(),
            updated_ago: set
                .updated_at
                .map(|at| Duration::from_nanos(now.as_nanos().saturating_sub(at.as_nanos()))),
            changes: set.changes,
            failures: set.failures,
            error: set.error.clone(),
        };
        self.0.iter().map(one).collect()
    }
}

impl ProxyConfig {
    /// Every source, with the name of its group.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (String, &Source)> {
        let others = self.discover.iter().map(|one| (OTHERS.to_owned(), &one.source));
        let routed = self
            .routes
            .iter()
            .flat_map(|route| route.discover.iter().map(move |one| (plan::name(route), &one.source)));
        others.chain(routed)
    }

    /// Whether backends are to be looked for.
    pub fn discovers(&self) -> bool {
        self.sources().next().is_some()
    }
}

impl Shared {
    /// A source was asked: what it has found, if it was to be believed, and what went wrong.
    pub(crate) fn discovered(
        &self,
        group: &str,
        source: &Source,
        found: Option<Vec<Found>>,
        error: Option<String>,
        now: Time,
    ) {
        self.clock.fetch_max(now.as_nanos(), Relaxed);
        let news = self.with_current(|current| {
            // It may be configured no more.
            if !current.plan.config.sources().any(|(its, known)| its == group && known == source) {
                return None;
            }
            let mut overlay = current.overlay.clone();
            let set = overlay.found.of(group, source);
            let is_news = error.is_some() && set.error != error;
            set.failures += u64::from(error.is_some());
            set.error.clone_from(&error);
            let mut changes = false;
            if let Some(found) = found {
                if error.is_none() {
                    set.updated_at = Some(now);
                }
                changes = set.found != found;
                set.changes += u64::from(changes);
                set.found = found;
            }
            let mut news = Discovered {
                route: group.into(),
                source: source.to_string(),
                changed: None,
                error: error.filter(|_| is_news),
            };
            if !changes {
                current.overlay = overlay;
                return is_news.then_some(news);
            }
            let before = current.plan.clone();
            match self.install(current, before.config.clone(), overlay) {
                Ok(()) => news.changed = Some(Changed::between(&before, &current.plan)),
                // It is as bad as a source that could not be read, and what it named before stays as well.
                Err(error) => {
                    let error = error.to_string();
                    let set = current.overlay.found.of(group, source);
                    news.error = (set.error.as_ref() != Some(&error)).then(|| error.clone());
                    set.failures += 1;
                    set.error = Some(error);
                }
            }
            (news.changed.is_some() || news.error.is_some()).then_some(news)
        });
        if let (Some(news), Some(hear)) = (news, self.hear.get()) {
            hear(&news);
        }
    }
}

impl Front {
    /// Has `hear` called with every [`Discovered`], on a worker: it must not block. Only the first that is given is
    /// called.
    pub fn on_discovery(&self, hear: impl Fn(&Discovered) + Send + Sync + 'static) {
        let _ = self.shared().hear.set(Box::new(hear));
    }
}
