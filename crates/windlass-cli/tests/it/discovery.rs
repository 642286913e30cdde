//! Backends that are found: in a file, and in DNS as dnsmasq serves it.

use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::config::Folder;
use crate::served::{free, free_port, wait_until};
use crate::server::*;

/// A proxy from a file, and where its admin listener is.
struct Finder {
    server: Server,
    admin: String,
}

impl Finder {
    fn start(folder: &Folder, more: &str) -> Finder {
        let text = format!(
            "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [[proxy]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\n{more}"
        );
        let file = folder.file("windlass.toml", &text);
        let mut server = Server::command(&["run", "-c", &file]);
        let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
        Finder { server, admin }
    }

    fn proxy(&self) -> Value {
        let output = run(&["backends", "--json", "--admin", &self.admin]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut proxies: Value = serde_json::from_slice(&output.stdout).unwrap();
        proxies[0].take()
    }

    /// Waits until its backends are these.
    fn until(&self, wanted: &[&str]) {
        self.wait(|proxy| {
            let backends = proxy["backends"].as_array().unwrap();
            let addresses: Vec<&str> = backends.iter().map(|one| one["address"].as_str().unwrap()).collect();
            addresses == wanted
        });
    }

    fn wait(&self, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + LONG;
        loop {
            let proxy = self.proxy();
            if is_so(&proxy) {
                return;
            }
            assert!(Instant::now() < deadline, "{proxy:#}");
        }
    }
}

#[test]
fn a_file_is_watched_and_connections_stay() {
    let folder = Folder::new("discovery-file");
    let echoes = [(); 2].map(|()| Server::start(&["-q"]));
    let [one, other] = echoes.each_ref().map(|echo| echo.address.clone());
    let list = folder.file("backends", &format!("{one} weight=3\n"));
    // Beside the file that names it.
    let finder = Finder::start(&folder, "discover = \"file:backends\"\nfile_every = \"100ms\"\n");
    finder.until(&[&one]);
    let mut stays = finder.server.connect();
    round_trip(&mut stays, b"before");
    let next = folder.file("next", &format!("[\"{other}\"]\n"));
    std::fs::rename(&next, &list).unwrap();
    finder.until(&[&other]);
    round_trip(&mut stays, b"and still");
    round_trip(&mut finder.server.connect(), b"the other");
    // A mistake is told with its line, and changes nothing.
    folder.file("backends", &format!("{one}\nnobody\n"));
    finder.wait(|proxy| proxy["sources"][0]["error"].as_str().is_some_and(|said| said.contains("line 2")));
    finder.until(&[&other]);
    let shown = String::from_utf8(run(&["backends", "--admin", &finder.admin]).stdout).unwrap();
    assert!(shown.contains("line 2") && shown.contains("1 backends of before stay"), "{shown}");
    round_trip(&mut finder.server.connect(), b"still the other");
    let (_, _, log) = finder.server.stop();
    assert!(log.contains("the last good ones stay") && log.contains("line 2"), "{log}");
}

#[test]
fn a_reload_brings_sources_and_takes_them_away() {
    let folder = Folder::new("discovery-reload");
    let echoes = [(); 2].map(|()| Server::start(&["-q"]));
    let [one, other] = echoes.each_ref().map(|echo| echo.address.clone());
    folder.file("backends", &other);
    let finder = Finder::start(&folder, &format!("to = \"{one}\"\n"));
    finder.until(&[&one]);
    let text = |more: &str| {
        let admin = "[server]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        folder.file(
            "windlass.toml",
            &format!("{admin}[[proxy]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\nto = \"{one}\"\n{more}"),
        );
        finder.server.signal(rustix::process::Signal::HUP);
    };
    text("discover = \"file:backends\"\n");
    finder.until(&[&one, &other]);
    text("");
    finder.until(&[&one]);
    text("discover = \"file:backends\"\nretries_max = 1\n");
    finder.until(&[&one, &other]);
}

#[test]
fn mistakes_in_sources_are_told_where_they_stand() {
    let folder = Folder::new("discovery-wrong");
    for (line, why) in [
        ("discover = \"http://x\"", "is no source of backends"),
        ("discover = \"dns:web.internal\"", "has no port"),
        ("discover = \"dns:web.internal:80\"\ndns_servers = \"localhost\"", "no address of a name server"),
        ("discover = \"dns:web.internal:80\"\ndns_ttl_min = \"10m\"", "at most less than at least"),
    ] {
        let text = format!("[[proxy]]\nlisten = \":8080\"\n{line}\n");
        let output = run(&["check", "--no-environment", "-c", &folder.file("wrong.toml", &text)]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(78) && said.contains(why), "{line}: {said}");
    }
}

/// dnsmasq on a port of its own, with names from a file that it reads again when told.
struct Dnsmasq {
    child: Child,
    port: u16,
    hosts: String,
}

impl Dnsmasq {
    fn start(folder: &Folder, hosts: &str, more: &[&str]) -> Option<Dnsmasq> {
        let hosts = folder.file("hosts", hosts);
        // A port of both kinds that nobody has.
        let port = loop {
            let port = free_port();
            if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let child = Command::new("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--local=/test/",
                "--local-ttl=1",
                "--log-facility=-",
                "--pid-file=",
            ])
            .args([format!("--port={port}"), format!("--addn-hosts={hosts}")])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            println!("SKIPPED: no dnsmasq: nobody has asked a real name server");
            return None;
        };
        let dns = Dnsmasq { child, port, hosts };
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), || "dnsmasq to listen".into());
        Some(dns)
    }

    fn tell(&self, hosts: &str) {
        std::fs::write(&self.hosts, hosts).unwrap();
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn addresses_of_a_name_are_followed_and_outlast_their_server() {
    let folder = Folder::new("discovery-dns");
    let one = Server::on(&free(), &["-q"]);
    let port = one.address.rsplit_once(':').unwrap().1.to_owned();
    let other = Server::on(&format!("127.0.0.2:{port}"), &["-q"]);
    let Some(dns) = Dnsmasq::start(&folder, "127.0.0.1 web.test\n", &[]) else { return };
    let finder = Finder::start(
        &folder,
        &format!(
            "discover = \"dns:web.test:{port}\"\ndns_servers = \"127.0.0.1:{}\"\ndns_ttl_max = \"1s\"\n",
            dns.port
        ),
    );
    finder.until(&[&one.address]);
    let mut stays = finder.server.connect();
    round_trip(&mut stays, b"before");
    dns.tell("127.0.0.1 web.test\n127.0.0.2 web.test\n");
    finder.until(&[&one.address, &other.address]);
    dns.tell("127.0.0.2 web.test\n");
    finder.until(&[&other.address]);
    round_trip(&mut stays, b"and still");
    round_trip(&mut finder.server.connect(), b"the other");
    drop(dns);
    finder.wait(|proxy| proxy["sources"][0]["failures"].as_u64() > Some(0));
    finder.until(&[&other.address]);
    round_trip(&mut finder.server.connect(), b"without a name server");
}

#[test]
fn a_service_brings_ports_and_weights_and_a_long_answer_comes_whole() {
    let folder = Folder::new("discovery-srv");
    let echo = Server::start(&["-q"]);
    let port = echo.address.rsplit_once(':').unwrap().1.to_owned();
    // Too many for a datagram of 512 bytes.
    let many: String = (1..=60).map(|n| format!("127.0.1.{n} many.test\n")).collect();
    let service = format!("--srv-host=_http._tcp.web.test,a.test,{port},5,7");
    let spare = "--srv-host=_http._tcp.web.test,spare.test,81,9,1";
    let Some(dns) = Dnsmasq::start(&folder, &format!("127.0.0.1 a.test\n{many}"), &[&service, spare]) else {
        return;
    };
    let finder = Finder::start(
        &folder,
        &format!(
            "discover = [\"srv:_http._tcp.web.test\", \"dns4:many.test:1\"]\ndns_servers = \"127.0.0.1:{}\"\n",
            dns.port
        ),
    );
    finder.wait(|proxy| proxy["backends"].as_array().unwrap().len() == 61);
    let proxy = finder.proxy();
    let first = &proxy["backends"][0];
    assert_eq!((first["address"].as_str(), first["weight"].as_u64()), (Some(&*echo.address), Some(7)));
    assert_eq!(first["origin"], "discovered");
    assert!(proxy["sources"].as_array().unwrap().iter().all(|source| source["error"].is_null()), "{proxy}");
}

#[cfg(target_os = "linux")]
#[test]
fn in_a_sandbox_it_looks_and_calls_all_the_same() {
    let folder = Folder::new("discovery-sandbox");
    let echo = Server::start(&["-q"]);
    let port = echo.address.rsplit_once(':').unwrap().1.to_owned();
    let many: String = (1..=60).map(|n| format!("127.0.1.{n} many.test\n")).collect();
    let Some(dns) = Dnsmasq::start(&folder, &many, &[]) else { return };
    folder.file("backends", &format!("127.0.0.1:{port}\n"));
    let text = format!(
        "[server]\nsandbox = \"on\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[proxy]]\nlisten = \"127.0.0.1:0\"\n\
         discover = [\"file:backends\", \"dns4:many.test:1\"]\nfailures_max = 1\n\
         dns_servers = \"127.0.0.1:{}\"\n",
        dns.port
    );
    let mut server = Server::command(&["run", "-q", "-c", &folder.file("windlass.toml", &text)]);
    let admin = server.line().strip_prefix("Admin on ").unwrap().to_owned();
    let finder = Finder { server, admin };
    finder.wait(|proxy| proxy["backends"].as_array().unwrap().len() == 61);
    let sixty = finder.proxy()["backends"].as_array().unwrap().len() - 1;
    for n in 1..=sixty {
        let out = run(&["backends", "drain", "proxy", &format!("127.0.1.{n}:1"), "--admin", &finder.admin]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    round_trip(&mut finder.server.connect(), b"through the sandbox");
}
