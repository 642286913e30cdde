//! Header rules as people write them.

use std::fmt;
use std::str::FromStr;

use super::config::HeaderRule;
use super::policy::check_rule;

/// Why a text is no header rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError(String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

/// `set NAME: VALUE`, `add NAME: VALUE`, `remove NAME` and `replace NAME: TEXT -> TEXT`.
///
/// ```
/// use windlass_proxy::HeaderRule;
///
/// let rule: HeaderRule = "set X-Real-IP: {client_ip}".parse()?;
/// assert_eq!(rule, HeaderRule::Set { name: "X-Real-IP".into(), value: "{client_ip}".into() });
/// assert_eq!(rule.to_string(), "set X-Real-IP: {client_ip}");
/// assert!("set Content-Length: 5".parse::<HeaderRule>().is_err());
/// # Ok::<(), windlass_proxy::RuleError>(())
/// ```
impl FromStr for HeaderRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<HeaderRule, RuleError> {
        const FORMS: &str =
            "write `set NAME: VALUE`, `add NAME: VALUE`, `remove NAME` or `replace NAME: TEXT -> TEXT`";
        let wrong = || RuleError(format!("`{text}` is no header rule: {FORMS}"));
        let (verb, rest) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let rest = rest.trim();
        let pair = || {
            let (name, value) = rest.split_once(':').ok_or_else(wrong)?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        let rule = match verb {
            "set" => pair().map(|(name, value)| HeaderRule::Set { name, value })?,
            "add" => pair().map(|(name, value)| HeaderRule::Add { name, value })?,
            "remove" => HeaderRule::Remove { name: rest.into() },
            "replace" => {
                let (name, texts) = pair()?;
                // Of nothing, too: `TEXT ->` takes it out.
                let (find, with) = texts.split_once("->").ok_or_else(wrong)?;
                HeaderRule::Replace { name, find: find.trim().into(), with: with.trim().into() }
            }
            _ => return Err(wrong()),
        };
        check_rule(&rule).map_err(RuleError)?;
        Ok(rule)
    }
}

impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderRule::Add { name, value } => write!(f, "add {name}: {value}"),
            HeaderRule::Set { name, value } => write!(f, "set {name}: {value}"),
            HeaderRule::Remove { name } => write!(f, "remove {name}"),
            HeaderRule::Replace { name, find, with } => write!(f, "replace {name}: {find} -> {with}"),
        }
    }
}
