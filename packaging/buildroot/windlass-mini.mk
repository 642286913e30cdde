################################################################################
#
# windlass-mini
#
################################################################################

# The source is `git archive --prefix=windlass-$(WINDLASS_MINI_VERSION)/ -o windlass-$(WINDLASS_MINI_VERSION).tar.gz HEAD`,
# in the folder or at the address that WINDLASS_MIRROR names: file:///srv/source, https://mirror.example/source.
WINDLASS_MINI_VERSION = 0.1.0
WINDLASS_MINI_SOURCE = windlass-$(WINDLASS_MINI_VERSION).tar.gz
WINDLASS_MINI_SITE = $(WINDLASS_MIRROR)
WINDLASS_MINI_LICENSE = MIT or Apache-2.0
WINDLASS_MINI_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
WINDLASS_MINI_SUBDIR = crates/windlass-mini

WINDLASS_MINI_FEATURES = libc \
	$(if $(BR2_PACKAGE_WINDLASS_MINI_ECHO),echo) \
	$(if $(BR2_PACKAGE_WINDLASS_MINI_RELAY),relay) \
	$(if $(BR2_PACKAGE_WINDLASS_MINI_HUB),hub) \
	$(if $(BR2_PACKAGE_WINDLASS_MINI_METRICS),metrics) \
	$(if $(BR2_PACKAGE_WINDLASS_MINI_TLS),tls)

# What the profile `mini` says: Buildroot asks for `--release`, which leaves no room for another.
WINDLASS_MINI_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_OPT_LEVEL=z \
	CARGO_PROFILE_RELEASE_LTO=fat \
	CARGO_PROFILE_RELEASE_PANIC=abort

WINDLASS_MINI_CARGO_BUILD_OPTS = \
	--no-default-features \
	--features "$(strip $(WINDLASS_MINI_FEATURES))"
WINDLASS_MINI_CARGO_INSTALL_OPTS = $(WINDLASS_MINI_CARGO_BUILD_OPTS)

define WINDLASS_MINI_INSTALL_CONFIG
	$(INSTALL) -D -m 0644 $(@D)/packaging/busybox/windlass.toml \
		$(TARGET_DIR)/etc/windlass.toml
endef
WINDLASS_MINI_POST_INSTALL_TARGET_HOOKS += WINDLASS_MINI_INSTALL_CONFIG

define WINDLASS_MINI_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/packaging/busybox/S60windlass \
		$(TARGET_DIR)/etc/init.d/S60windlass
endef

$(eval $(cargo-package))
