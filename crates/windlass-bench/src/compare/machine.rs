//! Facts about the machine, without which figures mean nothing.

use std::fs;

/// One line for each fact, as name and value.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let uname = rustix::system::uname();
    let read = |path: &str| fs::read_to_string(path).map_or("unknown".into(), |text| plain(&text));
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    vec![
        ("kernel", format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy())),
        ("processor", processor(&cpuinfo)),
        ("default congestion control", read("/proc/sys/net/ipv4/tcp_congestion_control")),
        ("tcp_rmem", read("/proc/sys/net/ipv4/tcp_rmem")),
        ("tcp_wmem", read("/proc/sys/net/ipv4/tcp_wmem")),
    ]
}

/// One line with single spaces: some files hold tabs.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The processor's name and its cores. Counted here, because this process may be bound to one.
fn processor(cpuinfo: &str) -> String {
    let named = |name: &'static str| cpuinfo.lines().filter(move |line| line.starts_with(name));
    let model = named("model name").next().and_then(|line| line.split_once(':'));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    format!("{model}, {} cores", named("processor").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast One 3000\nprocessor\t: 1\n";
        assert_eq!(processor(cpuinfo), "Fast One 3000, 2 cores");
        assert_eq!(plain("4096\t131072\t6291456\n"), "4096 131072 6291456");
    }
}
