//! The system's name servers (resolv.conf(5)).

use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

/// As many as the C library asks.
const SERVERS_MAX: usize = 3;
const PATH: &str = "/etc/resolv.conf";

/// Reads who they are. Blocks.
pub(crate) fn servers() -> io::Result<Vec<SocketAddr>> {
    Ok(read(&fs::read_to_string(PATH)?))
}

fn read(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        // One with a zone is on a link, which an address alone does not name.
        address.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53))
    });
    let servers: Vec<SocketAddr> = lines.take(SERVERS_MAX).collect();
    match servers.is_empty() {
        // As in the C library.
        true => vec![SocketAddr::from(([127, 0, 0, 1], 53))],
        false => servers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_those_of_the_file() {
        let text = "# made by hand\nsearch example.com\nnameserver 192.0.2.1 # first\n nameserver fd00::53\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserverx 192.0.2.9\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
        let servers: Vec<String> = read(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fd00::53]:53", "192.0.2.3:53"]);
        assert_eq!(read("options rotate\n"), [SocketAddr::from(([127, 0, 0, 1], 53))]);
    }
}
