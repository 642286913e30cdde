//! Facts about the machine, without which figures mean nothing.

use std::fs;

/// One line for each fact, as name and value.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let uname = rustix::system::uname();
    let read = |path: &str| fs::read_to_string(path).map_or("unknown".into(), |text| text.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("kernel", format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy())),
        ("processor", format!("{}, {cores} cores", processor(&read("/proc/cpuinfo")))),
        ("default congestion control", read("/proc/sys/net/ipv4/tcp_congestion_control")),
        ("tcp_rmem", read("/proc/sys/net/ipv4/tcp_rmem")),
        ("tcp_wmem", read("/proc/sys/net/ipv4/tcp_wmem")),
    ]
}

fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Fast One 3000\n"), "Fast One 3000");
        assert_eq!(processor(""), std::env::consts::ARCH);
    }
}
