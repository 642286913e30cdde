#!/usr/bin/env python3
"""What small systems are given in `packaging`, tried as far as this machine goes.

python3 .ci/small_run.py busybox|openwrt|buildroot|yocto [PROGRAM]

busybox    the init script, by busybox's own shell and tools and nothing else, starts, reloads and stops the real program
openwrt    the init script records what it would have procd do, since there is no procd here; what it asks for is then
           started, told and stopped as procd would. The Makefile, with stand-ins for OpenWrt's, installs its files
buildroot  Config.in is read by kconfiglib; the .mk, with stand-ins for Buildroot's, installs its files
yocto      the recipe is read by oelint-adv, and its sums are those of the licences. There is no bitbake here

PROGRAM is the program that is packaged: windlass, which reads its file again while it serves, or windlass-mini, which
has to be started anew for that. Status 77: something is missing.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGING = os.path.join(ROOT, "packaging")
PATIENCE = 20


def expect(what, told):
    if not what:
        raise SystemExit(f"FAILED: {told}")
    print(f"  {told}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def hub(*ports):
    listen = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f"[[hub]]\nlisten = [{listen}]\n"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


class Client:
    """One MQTT client, as far as it takes to know that it is still served."""

    known = 0

    def __init__(self, port):
        # Another one under the same name would take its place.
        Client.known += 1
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"FAILED: nobody listens at {port}")
                time.sleep(0.05)
        self.ask(b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02" + b"%02d" % Client.known, b"\x20\x02\0\0")

    def ask(self, said, answer):
        self.socket.sendall(said)
        got = b""
        while len(got) < len(answer):
            more = self.socket.recv(64)
            if not more:
                break
            got += more
        if got != answer:
            raise SystemExit(f"FAILED: {got!r} came, not {answer!r}")

    def ping(self):
        self.ask(b"\xc0\0", b"\xd0\0")


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return False
    except OSError:
        return True


def reads_well(box, script):
    """Whether busybox's shell can read it, and shellcheck finds nothing, if it is here. Its dash is the nearest."""
    subprocess.run([box, "sh", "-n", script], check=True)
    if not shutil.which("shellcheck"):
        print(f"  NOT TRIED: no shellcheck for {os.path.basename(script)}")
        return
    # Variables that rc.common reads.
    done = subprocess.run(["shellcheck", "-s", "dash", "-e", "SC2034", script], stdout=subprocess.PIPE, text=True)
    expect(done.returncode == 0, f"shellcheck finds nothing in {os.path.basename(script)} {done.stdout}")


def busybox(program):
    box = shutil.which("busybox") or missing("no busybox: its init script was not tried")
    reads_well(box, f"{PACKAGING}/busybox/S60windlass")
    with tempfile.TemporaryDirectory() as folder:
        tools = os.path.join(folder, "bin")
        os.mkdir(tools)
        subprocess.run([box, "--install", "-s", tools], check=True)
        first, second = free_port(), free_port()
        config = write(f"{folder}/windlass.toml", hub(first))
        pidfile = f"{folder}/windlass.pid"
        # Under a path of its own, as it would be installed.
        installed = f"{folder}/{os.path.basename(program)}"
        shutil.copy(program, installed)
        defaults = write(
            f"{folder}/default", f"PROG={installed}\nCONFIG={config}\nPIDFILE={pidfile}\nSTOP_TIMEOUT=15\n"
        )
        script = f"{PACKAGING}/busybox/S60windlass"

        def init(action, status=0):
            done = subprocess.run(
                [box, "sh", script, action], env={"PATH": tools, "WINDLASS_DEFAULTS": defaults},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            )
            if done.returncode != status:
                raise SystemExit(f"FAILED: {action} says {done.returncode}, not {status}:\n{done.stdout}")
            return done.stdout

        def process():
            return int(open(pidfile).read())

        try:
            expect("usage" in init("dance", 2), "another word is answered with the usage")
            expect("does not run" in init("status", 3), "status before: 3")
            expect("started" in init("start"), "started")
            client = Client(first)
            expect("runs" in init("status"), "status while it runs: 0")
            expect("already" in init("start"), "a second start starts nothing")
            expect(int(limit_of(process())) == 4096, "with the descriptors it is given")

            write(config, "[[hob]]\n")
            expect("hob" in init("reload", 6), "a wrong file is not reloaded, and is shown")
            client.ping()
            before = process()
            expect("hob" in init("restart", 6) and process() == before, "nor does a restart with one end who serves")
            client.ping()
            write(config, hub(first, second))
            before = process()
            init("reload")
            Client(second).ping()
            if reads_again(program):
                client.ping()
                expect(process() == before, "a reload opens an address, and who was there stays")
            else:
                expect(process() != before and not alive(before), "a reload is another process, at both addresses")

            os.replace(shutil.copy(program, f"{folder}/newer"), installed)
            expect("runs" in init("status"), "the program is replaced by a newer one, and the old one is still known")
            before = process()
            init("restart")
            expect(process() != before and not alive(before), "restart: another process")
            Client(first).ping()

            os.kill(process(), signal.SIGKILL)
            wait_for(lambda: "gone" in init_any(init, "status"), "killed: status says that it is gone, 1")
            expect("started" in init("start"), "and it starts again")
            last = process()
            expect("stopped" in init("stop"), "stopped")
            expect(not alive(last) and not os.path.exists(pidfile), "nothing is left")
            expect(refused(first), "nobody listens any more")
            expect("does not run" in init("stop"), "stopping twice is no mistake")

            write(pidfile, f"{os.getpid()}\n")
            init("status", 1)
            init("stop")
            expect(True, "a number that is another program's is left alone")
            write(config, "[[hob]]\n")
            init("start", 6)
            expect(not os.path.exists(pidfile), "with a wrong file nothing is started")
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", first))
                taken.listen()
                write(config, hub(first))
                if reads_again(program):
                    expect("in use" in init("start", 6), "nor with an address that is taken, and start says so")
                else:
                    expect("did not stay" in init("start", 1), "with an address that is taken start says so")
            with open(defaults, "a") as file:
                print(f"PROG={write_program(folder)}", file=file)
            expect("did not stay" in init("start", 1), "one that ends at once has not started, and start says so")
            expect(not os.path.exists(pidfile), "and leaves no number behind")
            with open(defaults, "a") as file:
                print(f"PROG={installed}", file=file)
            write(config, "[[hob]]\n")
            init("check", 6)
            write(config, hub(first))
            init("check")
            expect(True, "check says whether a file may be served")
        finally:
            if os.path.exists(pidfile):
                init_any(init, "stop")
        checked(program, f"{PACKAGING}/busybox/windlass.toml")


def write_program(folder):
    """A program that finds nothing wrong, and ends."""
    path = write(f"{folder}/ends", '#!/bin/sh\n[ "$1" = check ]\n')
    os.chmod(path, 0o755)
    return path


def init_any(init, action):
    for status in (0, 1, 3):
        try:
            return init(action, status)
        except SystemExit:
            pass
    return ""


def reads_again(program):
    return os.path.basename(program) == "windlass"


def wait_for(happens, told):
    deadline = time.monotonic() + PATIENCE
    while not happens():
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED: {told}")
        time.sleep(0.1)
    print(f"  {told}")


def alive(process):
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        return open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def limit_of(process):
    for line in open(f"/proc/{process}/limits"):
        if line.startswith("Max open files"):
            return line.split()[3]


def checked(program, config):
    how = ["--no-environment"] if reads_again(program) else []
    subprocess.run([program, "check", *how, "--config", config], check=True, stdout=subprocess.DEVNULL)
    expect(True, f"{os.path.basename(config)} may be served as it is packaged")


# As much of OpenWrt's /etc/rc.common and its functions as the script asks for; what procd would hear is written down.
RC_COMMON = r"""
record() { printf '%s' "$1" >>"$RECORD"; shift; printf '\t%s' "$@" >>"$RECORD"; echo >>"$RECORD"; }
config_load() { . "$UCI/$1"; }
config_get() { eval "$1=\${CONFIG_$2_$3:-\$4}"; }
config_get_bool() {
	local value
	config_get value "$2" "$3" "$4"
	case "$value" in 1|on|true|yes|enabled) value=1 ;; *) value=0 ;; esac
	eval "$1=$value"
}
config_foreach() {
	local each="$1" section status=0
	for section in $SECTIONS; do "$each" "$section" || status=1; done
	return "$status"
}
logger() { record logger "$(tr '\n' ' ')"; }
procd_open_instance() { record open "$@"; }
procd_close_instance() { record close; }
procd_set_param() { record "$@"; }
procd_add_reload_trigger() { record trigger "$@"; }
script=$1
action=$2
. "$script"
start() { start_service; }
reload() { reload_service; }
triggers() { service_triggers; }
"$action"
"""


def uci(path):
    """What `config_load` makes of a file: variables of the shell."""
    lines, sections, unnamed = [], [], 0
    for line in open(path):
        words = re.findall(r"'([^']*)'|(\S+)", line.split("#", 1)[0])
        words = [quoted or plain for quoted, plain in words]
        if words[:1] == ["config"]:
            unnamed += 1
            sections.append(words[2] if len(words) > 2 else f"cfg{unnamed}")
        elif words[:1] == ["option"]:
            lines.append(f"CONFIG_{sections[-1]}_{words[1]}='{words[2]}'")
    return "\n".join(lines + [f"SECTIONS='{' '.join(sections)}'"]) + "\n"


def openwrt(program):
    shell = shutil.which("busybox") or missing("no busybox: the init script of OpenWrt was not tried")
    reads_well(shell, f"{PACKAGING}/openwrt/files/windlass.init")
    with tempfile.TemporaryDirectory() as folder:
        port, other = free_port(), free_port()
        rc = write(f"{folder}/rc.common", RC_COMMON)
        record = f"{folder}/record"
        script = f"{PACKAGING}/openwrt/files/windlass.init"

        def init(action, sections, status=0):
            write(f"{folder}/windlass", sections)
            write(record, "")
            environment = {"PATH": os.environ["PATH"], "WINDLASS_PROG": program, "UCI": folder, "RECORD": record}
            done = subprocess.run(
                [shell, "sh", rc, script, action], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=60,
            )
            if done.returncode != status:
                raise SystemExit(f"FAILED: {action} says {done.returncode}, not {status}:\n{done.stdout}")
            heard = [line.split("\t") for line in open(record).read().splitlines()]
            return heard

        packaged = uci(f"{PACKAGING}/openwrt/files/windlass.config")
        config = write(f"{folder}/one.toml", hub(port))
        mine = packaged.replace("/etc/windlass.toml", config)
        heard = init("start", mine)
        asked = {words[0]: words[1:] for words in heard}
        expect(asked["open"] == ["main"], "one instance, main")
        expect(asked["command"] == [program, "run", "--config", config], "of the program, with its file")
        expect(asked["limits"] == ["nofile=4096 4096"], "with 4,096 descriptors")
        expect(asked["respawn"] == ["3600", "5", "5"], "started again, not for ever")
        told = ["SIGHUP"] if reads_again(program) else None
        expect(asked["file"] == [config] and asked.get("reload_signal") == told, "told when its file changes, or anew")
        expect(asked["stdout"] == asked["stderr"] == ["1"], "its log goes to logread")
        as_procd(asked, config, port, other)

        write(config, "[[hob]]\n")
        heard = init("start", mine, 1)
        expect([words[0] for words in heard] == ["logger"], "with a wrong file nothing is started, and the log says why")
        heard = init("reload", mine, 1)
        expect([words[0] for words in heard] == ["logger"], "and nothing is told anything")
        expect(init("start", mine.replace("_enabled='1'", "_enabled='0'")) == [], "a section that is off is not started")
        config = write(f"{folder}/two.toml", hub(other))
        two = "CONFIG_a_config='%s'\nCONFIG_b_config='%s'\nSECTIONS='a b'\n" % (config, config)
        heard = init("start", two)
        expect([words[1] for words in heard if words[0] == "open"] == ["a", "b"], "two sections are two instances")
        expect([words[0] for words in init("reload", two)] == [words[0] for words in heard], "a reload asks for the same")
        expect(init("triggers", two) == [["trigger", "windlass"]], "a changed /etc/config/windlass reloads")
        expect(init("check", two) == [], "check has nothing to say")
        openwrt_makefile(folder)


def as_procd(asked, config, port, other):
    """Starts, tells and ends an instance as procd would by what it was asked."""
    count = int(asked["limits"][0].split("=")[1].split()[0])

    def limit():
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    running = subprocess.Popen(asked["command"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=limit)
    try:
        client = Client(port)
        write(config, hub(port, other))
        if "reload_signal" in asked:
            running.send_signal(getattr(signal, asked["reload_signal"][0]))
            Client(other).ping()
            client.ping()
        client.socket.close()
        running.send_signal(signal.SIGTERM)
        status = running.wait(timeout=int(asked["term_timeout"][0]))
        expect(status == 0, "what is asked for serves, is told of its file if it can be, and ends in time")
    finally:
        if running.poll() is None:
            running.kill()


OPENWRT_RULES = r"""
BUILD_DIR = $(TOPDIR)/build
INCLUDE_DIR = $(TOPDIR)/include
INSTALL_DIR = install -d -m0755
INSTALL_BIN = install -m0755
INSTALL_CONF = install -m0600
PKG_INSTALL_DIR = $(TOPDIR)/installed
RUST_ARCH_DEPENDS = @(aarch64||arm||mipsel||x86_64)
"""
OPENWRT_RUST = r"""
Build/Compile/Cargo = cargo install --profile $(CARGO_PKG_PROFILE) --features "$(RUST_PKG_FEATURES)" --path $(MAKE_PATH) $(CARGO_PKG_ARGS)
define RustBinPackage
endef
"""
OPENWRT_PACKAGE = r"""
define BuildPackage
.PHONY: install compile tell
compile:
	$$(Build/Compile/Cargo)
install:
	$$(call Package/$(1)/install,$$(DESTDIR))
tell:
	@echo "$(PKG_NAME) $(PKG_VERSION) $(PKG_SOURCE)"
endef
"""


def openwrt_makefile(folder):
    top = f"{folder}/top"
    for path, text in (
        ("rules.mk", OPENWRT_RULES), ("include/package.mk", OPENWRT_PACKAGE),
        ("feeds/packages/lang/rust/rust-package.mk", OPENWRT_RUST), ("installed/bin/windlass-mini", "program"),
    ):
        os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
        write(f"{top}/{path}", text)
    # The source as it would be unpacked.
    build = f"{top}/build/windlass-{version()}"
    shutil.copytree(PACKAGING, f"{build}/packaging")

    def make(*arguments, chosen=()):
        features = [f"CONFIG_WINDLASS_MINI_{name}={'y' if name in chosen else ''}" for name in FEATURES]
        done = subprocess.run(
            ["make", "--warn-undefined-variables", "-s", "-C", f"{PACKAGING}/openwrt", f"TOPDIR={top}",
             "WINDLASS_MIRROR=file:///nowhere", *features, *arguments],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        expect(done.stderr == "", f"make {arguments[-1].split('=')[0]}: no warning {done.stderr}")
        return done.stdout

    expect(make("tell").split() == ["windlass-mini", version(), f"windlass-{version()}.tar.gz"], "the Makefile is read")
    built = make("-n", "compile", chosen=("HUB", "TLS"))
    expect('--features "libc hub tls"' in built and "--no-default-features" in built, "features are those that are chosen")
    make(f"DESTDIR={folder}/root", "install")
    expect(files(f"{folder}/root") == {
        "usr/bin/windlass-mini": 0o755, "etc/init.d/windlass": 0o755, "etc/config/windlass": 0o600,
        "etc/windlass.toml": 0o600,
    }, "and its files go where they belong")


FEATURES = ("ECHO", "RELAY", "HUB", "METRICS", "TLS")

BUILDROOT = r"""
INSTALL = install
PKG = WINDLASS_MINI
define cargo-package
.PHONY: install compile tell
compile:
	@echo cargo build --locked $$(WINDLASS_MINI_CARGO_BUILD_OPTS)
install:
	$$(WINDLASS_MINI_POST_INSTALL)
	$$(WINDLASS_MINI_INSTALL_INIT_SYSV)
tell:
	@echo "$$(WINDLASS_MINI_VERSION) $$(WINDLASS_MINI_SOURCE) $$(WINDLASS_MINI_SUBDIR)"
endef
WINDLASS_MINI_POST_INSTALL = $(foreach hook,$(WINDLASS_MINI_POST_INSTALL_TARGET_HOOKS),$($(hook)))
"""


def buildroot(_program):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGING, f"{folder}/source/packaging")
        # Buildroot expands `$(@D)` to the folder of the package; so does a target of that folder.
        rules = BUILDROOT.replace("install:", f"{folder}/source/install:")
        makefile = write(f"{folder}/Makefile", f"{rules}\ninclude {PACKAGING}/buildroot/windlass-mini.mk\n")

        def make(*arguments):
            return subprocess.run(
                ["make", "-s", "-f", makefile, f"TARGET_DIR={folder}/root", "WINDLASS_MIRROR=file:///nowhere", *arguments],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout

        expect(
            make("tell").split() == [version(), f"windlass-{version()}.tar.gz", "crates/windlass-mini"], "the .mk is read"
        )
        built = make("compile", "BR2_PACKAGE_WINDLASS_MINI_HUB=y", "BR2_PACKAGE_WINDLASS_MINI_RELAY=y")
        expect("--no-default-features --features libc relay hub" in built, "features are those that are chosen")
        make(f"{folder}/source/install")
        expect(
            files(f"{folder}/root") == {"etc/init.d/S60windlass": 0o755, "etc/windlass.toml": 0o644},
            "and its files go where they belong",
        )
        try:
            import kconfiglib
        except ImportError:
            missing("no kconfiglib: Config.in was not read")
        top = write(
            f"{folder}/Config.in",
            "config BR2_PACKAGE_HOST_RUSTC_TARGET_ARCH_SUPPORTS\n\tbool\n\tdefault y\n"
            "config BR2_PACKAGE_HOST_RUSTC\n\tbool\n"
            f'source "{PACKAGING}/buildroot/Config.in"\n',
        )
        config = kconfiglib.Kconfig(top, warn_to_stderr=False)
        expect(config.warnings == [], f"Config.in is read without a warning {config.warnings}")
        symbol = {name: config.syms[f"BR2_PACKAGE_WINDLASS_MINI_{name}"] for name in FEATURES}
        expect(all(it.str_value == "n" for it in symbol.values()), "nothing is built unless it is asked for")
        config.syms["BR2_PACKAGE_WINDLASS_MINI"].set_value(2)
        chosen = {name for name, it in symbol.items() if it.str_value == "y"}
        expect(chosen == {"RELAY", "HUB", "METRICS"}, "asked for, it has the relay, the hub and metrics")
        expect(config.syms["BR2_PACKAGE_HOST_RUSTC"].str_value == "y", "and a compiler is built")


# `include` on purpose, until the list has been written; and this machine may have no way to a web page.
LENIENT = ("oelint.file.includenotfound", "oelint.file.requireinclude", "oelint.vars.homepageping",
           "oelint.var.suggestedvar", "oelint.var.bbclassextend", "oelint.var.suggestedvar.BUGTRACKER",
           "oelint.var.suggestedvar.CVE_PRODUCT")


def yocto(_program):
    recipe = f"{PACKAGING}/yocto/windlass-mini_{version()}.bb"
    expect(os.path.exists(recipe), "the recipe's name has the version")
    sums = re.findall(r"file://(LICENSE-\w+);md5=([0-9a-f]{32})", open(recipe).read())
    right = [hashlib.md5(open(f"{ROOT}/{name}", "rb").read()).hexdigest() == it for name, it in sums]
    expect(right == [True, True], "the sums are those of both licences")
    for name in re.findall(r"\$\{S\}/(\S+)", open(recipe).read()):
        expect(os.path.exists(f"{ROOT}/{name}"), f"{name} is there")
    linter = os.path.join(os.path.dirname(sys.executable), "oelint-adv")
    if not os.path.exists(linter):
        missing("no oelint-adv: the recipe was not read")
    done = subprocess.run(
        [linter, "--quiet", *(f"--suppress={rule}" for rule in LENIENT), recipe],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )
    expect(done.returncode == 0 and done.stdout.strip() == "", f"oelint-adv has nothing to say {done.stdout}")


def files(folder):
    return {
        os.path.relpath(os.path.join(below, name), folder): os.stat(os.path.join(below, name)).st_mode & 0o777
        for below, _, names in os.walk(folder) for name in names
    }


def version():
    text = open(f"{ROOT}/Cargo.toml").read()
    return re.search(r'(?ms)^\[workspace.package\].*?^version = "([^"]+)"', text).group(1)


def missing(told):
    print(told)
    sys.exit(77)


if __name__ == "__main__":
    part = {"busybox": busybox, "openwrt": openwrt, "buildroot": buildroot, "yocto": yocto}[sys.argv[1]]
    part(os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else os.path.join(ROOT, "target/debug/windlass"))
