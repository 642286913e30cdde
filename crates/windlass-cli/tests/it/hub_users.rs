//! Who may come to a hub: files as people write them, read by the real binary; and clients that nobody here wrote.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::served::Folder;
use crate::server::*;

/// What it says to this on stdin.
fn told(args: &[&str], stdin: &str) -> Output {
    let mut child =
        windlass(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Some end without having read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has(program: &str) -> bool {
    let there =
        Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("SKIPPED: there is no {program}");
    }
    there
}

#[test]
fn passwords_come_from_stdin_and_never_show() {
    let folder = Folder::new("passwd");
    let path = &*folder.path("users");
    let said = told(&["hub", "passwd", path, "roger"], "geheim\n");
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert_eq!(text(&said.stdout), format!("password of roger set in {path}\n"));
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file.starts_with("roger:$argon2id$v=19$m=19456,t=2,p=1$") && !file.contains("geheim"), "{file}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Another, hashed as Mosquitto reads it; then the first goes.
    assert!(told(&["hub", "passwd", path, "anna", "--hash", "pbkdf2"], "a b").status.success());
    assert!(told(&["hub", "passwd", path, "roger", "--delete"], "").status.success());
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file.starts_with("anna:$7$210000$") && file.lines().count() == 1, "{file}");
    for (args, why) in [
        (&["hub", "passwd", path, "roger", "--delete"][..], "there is no user roger"),
        (&["hub", "passwd", path, "a:b"][..], "has no colon"),
        (&["hub", "passwd", "/nowhere/users", "a"][..], "cannot write /nowhere/users"),
    ] {
        let said = told(args, "x\n");
        assert!(!said.status.success() && text(&said.stderr).contains(why), "{}", text(&said.stderr));
    }
    assert!(text(&told(&["hub", "passwd", path, "b"], "\n").stderr).contains("at least one character"));
    // A file that has them as they are.
    std::fs::write(path, "old:plain text\n").unwrap();
    assert!(told(&["hub", "passwd", path, "--upgrade"], "").status.success());
    assert!(std::fs::read_to_string(path).unwrap().starts_with("old:$argon2id$"));
}

/// All that is wrong with what a configuration names, at once, with lines; and nothing that is secret.
#[test]
fn files_that_are_wrong_are_shown_with_their_lines() {
    let folder = Folder::new("wrong-users");
    folder.file("users", "roger:geheim\nanna:$6$x$y\n");
    folder.file("rules", "usr roger\ntopic reed a\n");
    folder.file(
        "windlass.toml",
        "[[hub]]\nlisten = \"127.0.0.1:0\"\n[hub.identity]\npassword_file = \"users\"\nacl_file = \"rules\"\n\
         [[hub.identity.jwt.key]]\nsecret = \"short\"\nalgorithm = \"HS256\"\n",
    );
    let path = folder.path("windlass.toml");
    for command in ["check", "run"] {
        let said = run(&[command, "-c", &path]);
        assert_eq!(said.status.code(), Some(78));
        let said = text(&said.stderr);
        for line in [
            "error: the password of `roger` is not hashed",
            "users:1:7",
            "1 | roger:******",
            "error: the password of `anna` has a hash that cannot be read",
            "error: `usr` begins no line of an ACL file",
            "did you mean `user`?",
            "error: `reed` is no kind of access",
            "windlass.toml:6",
            "it is too short",
            "5 things are wrong",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert!(!said.contains("geheim") && !said.contains("short\""), "{said}");
    }
}

const CONF: &str = "# a usual one\nuser nobody\npersistence true\npersistence_location LOCATION/\nlog_dest stdout\n\
                    listener 1883 127.0.0.1\nlistener 8883\ncafile CERTS/ca.pem\ncertfile CERTS/server.pem\n\
                    keyfile CERTS/server.key\nrequire_certificate true\nuse_identity_as_username true\n\
                    listener 9001\nprotocol websockets\nallow_anonymous false\npassword_file FOLDER/users\n\
                    acl_file FOLDER/rules\nmax_queued_messages 200\nmax_inflight_messages 5\n\
                    persistent_client_expiration 14d\nclientid_prefixes dev-\nmax_keepalive 300\n\
                    connection bridge\naddress example.org\ntopic # both\nremote_password geheim\n";

/// What is printed can be served.
#[test]
fn what_is_imported_is_accepted() {
    let folder = Folder::new("import");
    let certs = format!("{}/../windlass/tests/certs", env!("CARGO_MANIFEST_DIR"));
    let at = folder.path("");
    let at = at.trim_end_matches('/');
    let users = told(&["hub", "passwd", &format!("{at}/users"), "roger"], "geheim\n");
    assert!(users.status.success());
    folder.file("rules", "user roger\ntopic readwrite a/#\n");
    let conf = CONF.replace("LOCATION", at).replace("CERTS", &certs).replace("FOLDER", at);
    folder.file("mosquitto.conf", &format!("{conf}include_dir {at}/more\n"));
    std::fs::create_dir(folder.path("more")).unwrap();
    folder.file("more/b.conf", "retain_available false\n");
    folder.file("more/a.conf", "retain_available true\nsys_intervall 5\n");
    folder.file("more/c.txt", "nonsense\n");
    let (conf, out) = (format!("{at}/mosquitto.conf"), format!("{at}/windlass.toml"));
    let said = run(&["hub", "import", &conf, "-o", &out]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let remarks = text(&said.stderr);
    for line in [
        &format!("{conf}:5: log_dest: not carried over: "),
        &format!("{conf}:23: connection: not carried over: there are no bridges yet"),
        &format!("{at}/more/a.conf:2: sys_intervall: mistake: "),
        "mistakes: 1, to be looked at: ",
    ] {
        assert!(remarks.contains(line), "{line}: {remarks}");
    }
    assert!(!remarks.contains("geheim"));
    let toml = std::fs::read_to_string(&out).unwrap();
    assert!(
        toml.contains("retain = false") && toml.contains("listen_plain = [\"127.0.0.1:1883\", \":9001\"]"),
        "{toml}"
    );
    // Its user and its addresses are those of another machine; the files are here.
    let checked = run(&["check", "-c", &out, "--no-environment"]);
    assert!(checked.status.success(), "{toml}{}", text(&checked.stderr));
    let effective = run(&["config", "-c", &out]);
    assert!(
        text(&effective.stdout).contains("client_id_prefixes = [\"dev-\"]"),
        "{}",
        text(&effective.stderr)
    );
    // What is there is not written over; without a file it is printed.
    assert!(!run(&["hub", "import", &conf, "-o", &out]).status.success());
    assert_eq!(text(&run(&["hub", "import", &conf]).stdout), toml);
}

/// Debian's own configuration, if it is here.
#[test]
fn the_configuration_of_debian_is_accepted() {
    let Ok(conf) = std::fs::read_to_string("/etc/mosquitto/mosquitto.conf") else {
        eprintln!("SKIPPED: there is no /etc/mosquitto/mosquitto.conf");
        return;
    };
    let folder = Folder::new("debian");
    folder.file("mosquitto.conf", &conf);
    let toml = run(&["hub", "import", &folder.path("mosquitto.conf")]);
    folder.file("windlass.toml", &text(&toml.stdout));
    let checked = run(&["check", "-c", &folder.path("windlass.toml"), "--no-environment"]);
    assert!(checked.status.success(), "{}{}", text(&toml.stdout), text(&checked.stderr));
}

fn publish(server: &Server, more: &[&str]) -> Output {
    let (host, port) = server.address.rsplit_once(':').unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", host, "-p", port, "-t", "a/b", "-m", "x", "-q", "1"]).args(more);
    command.output().unwrap()
}

/// A file by `mosquitto_passwd`, rules, and `mosquitto_pub`; then a reload with another file.
#[test]
fn mosquittos_own_programs() {
    if !has("mosquitto_passwd") || !has("mosquitto_pub") {
        return;
    }
    let folder = Folder::new("own-programs");
    let passwd = |args: &[&str]| {
        let status = Command::new("mosquitto_passwd").args(args).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{args:?}");
    };
    let path = &*folder.path("users");
    passwd(&["-c", "-b", path, "roger", "new"]);
    passwd(&["-H", "sha512", "-b", path, "anna", "old"]);
    assert!(told(&["hub", "passwd", path, "mia"], "ours").status.success());
    folder.file("rules", "user roger\ntopic a/#\nuser mia\ntopic a/#\n");
    folder.file(
        "windlass.toml",
        "[server]\nworkers = 1\n[[hub]]\nlisten = \"127.0.0.1:0\"\n[hub.identity]\npassword_file = \"users\"\n\
         acl_file = \"rules\"\n",
    );
    let server = Server::command(&["run", "-c", &folder.path("windlass.toml")]);
    let as_user = |user: &str, password: &str| {
        let said = publish(&server, &["-V", "5", "-u", user, "-P", password]);
        (said.status.success(), text(&said.stderr))
    };
    assert_eq!(as_user("roger", "new"), (true, String::new()));
    assert_eq!(as_user("mia", "ours"), (true, String::new()));
    let (_, why) = as_user("anna", "old");
    assert!(why.contains("Not authorized"), "no rule allows it: {why}");
    for (user, password) in [("roger", "old"), ("nobody", "new"), ("", "")] {
        let (came, why) = as_user(user, password);
        assert!(!came && why.to_lowercase().contains("not authori"), "{user}: {why}");
    }
    assert!(!publish(&server, &[]).status.success(), "who is here needs a name where there are passwords");
    // Another file, at the next reload; who is there is not dropped by it.
    passwd(&["-D", path, "roger"]);
    passwd(&["-b", path, "mia", "changed"]);
    server.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(10);
    while as_user("mia", "ours").0 {
        assert!(Instant::now() < deadline, "it was not read again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(as_user("mia", "changed").0 && !as_user("roger", "new").0);
    assert!(server.stop().0.success());
}

/// A certificate is a name: mutual TLS with `mosquitto_pub`.
#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_a_name() {
    if !has("mosquitto_pub") {
        return;
    }
    let folder = Folder::new("mutual");
    let certs = format!("{}/../windlass/tests/certs", env!("CARGO_MANIFEST_DIR"));
    folder.file("rules", "user client\ntopic a/#\n");
    folder.file(
        "windlass.toml",
        &format!(
            "[server]\nworkers = 1\n[[hub]]\nlisten = \"127.0.0.1:0\"\n[hub.tls]\ncert = \"{certs}/server.pem\"\n\
             key = \"{certs}/server.key\"\nclient_ca = \"{certs}/ca.pem\"\n[hub.identity]\ncertificate = \"common-name\"\n\
             acl_file = \"rules\"\n"
        ),
    );
    let server = Server::command(&["run", "-c", &folder.path("windlass.toml")]);
    let authority = format!("{certs}/ca.pem");
    let (cert, key) = (format!("{certs}/client.pem"), format!("{certs}/client.key"));
    let shows = ["--cafile", &authority, "--cert", &cert, "--key", &key, "--insecure"];
    let said = publish(&server, &shows);
    assert!(said.status.success(), "{}", text(&said.stderr));
    assert!(!publish(&server, &["--cafile", &authority, "--insecure"]).status.success());
    assert!(server.stop().0.success());
}
