//! Which routes may take a request, by its host.

use std::collections::HashMap;

/// Routes by the names they are for.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what is behind the `*.`.
    below: HashMap<Box<str>, Vec<usize>>,
    any: Vec<usize>,
    /// Those that ask for no name.
    unnamed: Vec<usize>,
}

/// The longest name there is (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

impl Hosts {
    /// Adds a route, with its names in lower case.
    pub(super) fn add(&mut self, route: usize, names: &[String]) {
        if names.is_empty() {
            self.unnamed.push(route);
        }
        for name in names {
            let list = match (&**name, name.strip_prefix("*.")) {
                ("*", _) => &mut self.any,
                (_, Some(below)) => self.below.entry(below.into()).or_default(),
                (name, None) => self.exact.entry(name.into()).or_default(),
            };
            list.push(route);
        }
    }

    /// The routes for the host of a request, in groups: the most exact name's first. `take` says whether one of
    /// a group is it.
    pub(super) fn find<T>(&self, host: &str, mut take: impl FnMut(&[usize]) -> Option<T>) -> Option<T> {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut lower = [0; NAME_MAX];
        if let Some(lower) = lower.get_mut(..name.len()).filter(|_| !name.is_empty()) {
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            let name = std::str::from_utf8(lower).unwrap_or_default();
            let found = self.exact.get(name).and_then(|routes| take(routes));
            if found.is_some() {
                return found;
            }
            // An address is below nothing.
            let mut rest = if name.starts_with('[') || self.below.is_empty() { "" } else { name };
            while let Some((_, above)) = rest.split_once('.') {
                let found = self.below.get(above).and_then(|routes| take(routes));
                if found.is_some() {
                    return found;
                }
                rest = above;
            }
            let found = take(&self.any);
            if found.is_some() {
                return found;
            }
        }
        take(&self.unnamed)
    }
}

/// The host without its port: `[::1]:80` is `[::1]`.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// A name that a route may ask for, in lower case; `Err`: it is none.
pub(crate) fn tidied(name: &str) -> Result<String, String> {
    let tidy = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let rest = tidy.strip_prefix("*.").unwrap_or(&tidy);
    let label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(fits)
    };
    let is_address = tidy
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    if tidy == "*" || is_address || (rest.len() <= NAME_MAX && rest.split('.').all(label)) {
        return Ok(tidy);
    }
    Err(match name.contains(':') {
        true => format!("`{name}` has a port, and ports do not count: write the name alone"),
        false => format!("`{name}` is no host: write www.example.com, *.example.com or *"),
    })
}
