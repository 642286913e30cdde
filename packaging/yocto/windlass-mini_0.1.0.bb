SUMMARY = "MQTT hub, relay and echo server in one small program"
DESCRIPTION = "A hub of MQTT, a relay of TCP and UDP and an echo server: one thread, every limit a key of one file."
HOMEPAGE = "https://docs.rs/windlass"
SECTION = "network"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://LICENSE-MIT;md5=da86a5a23ebc509843c66387e9949ed8 \
    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
"

# The source is `git archive --prefix=windlass-PV/ -o windlass-PV.tar.gz HEAD`, in the folder files beside this
# one, or with its sha256sum where WINDLASS_MIRROR says.
WINDLASS_MIRROR ?= "file:/"
SRC_URI = "${WINDLASS_MIRROR}/windlass-${PV}.tar.gz;subdir=${BP};striplevel=1"

# What Cargo.lock asks for, with its sums: `bitbake -c update_crates windlass-mini` writes it, once this file is there.
include ${BPN}-crates.inc

inherit cargo cargo-update-recipe-crates update-rc.d

CARGO_SRC_DIR = "crates/windlass-mini"
CARGO_LOCK_SRC_DIR = "${S}"
CARGO_BUILD_FLAGS:append = " --no-default-features --features libc"
# What the profile `mini` says, for the one that is built here.
export CARGO_PROFILE_RELEASE_OPT_LEVEL = "z"
export CARGO_PROFILE_RELEASE_LTO = "fat"
export CARGO_PROFILE_RELEASE_PANIC = "abort"

PACKAGECONFIG ??= "relay hub metrics"
PACKAGECONFIG[echo] = "--features echo"
PACKAGECONFIG[relay] = "--features relay"
PACKAGECONFIG[hub] = "--features hub"
PACKAGECONFIG[metrics] = "--features metrics"
PACKAGECONFIG[tls] = "--features tls"

INITSCRIPT_NAME = "windlass"
INITSCRIPT_PARAMS = "defaults 60 40"

do_install:append() {
    install -d ${D}${sysconfdir}/init.d
    install -m 0755 ${S}/packaging/busybox/S60windlass ${D}${sysconfdir}/init.d/windlass
    install -m 0644 ${S}/packaging/busybox/windlass.toml ${D}${sysconfdir}/windlass.toml
}

CONFFILES:${PN} += "${sysconfdir}/windlass.toml"
