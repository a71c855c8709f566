# Installing, and what is made to be installed elsewhere: the tarball and the Debian package. Included by Makefile.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
SBINDIR    ?= $(PREFIX)/sbin
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/redlockd
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERS   ?= $(PREFIX)/lib/sysusers.d
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
DESTDIR    ?=

UNITS      := redlockd.service redlockd.socket redlockd-metrics.socket
BUILT_UNITS = $(UNITS:%=$(BUILD)/systemd/%)
MANUALS    := $(sort $(wildcard src/*/*.[1-9]))
EXAMPLES   := conf/redlockd-5-nodes.json systemd/redlockd-credentials.conf
CONFIG     := $(SYSCONFDIR)/redlockd/redlockd.json

# All that is installed but the configuration, as mode:source:target.
manual = 644:$(1):$(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
INSTALLED = 755:$(BUILD)/redlockd:$(SBINDIR)/redlockd 755:$(BUILD)/redlockctl:$(BINDIR)/redlockctl \
            644:systemd/redlockd.sysusers:$(SYSUSERS)/redlockd.conf \
            $(foreach unit,$(UNITS),644:$(BUILD)/systemd/$(unit):$(UNITDIR)/$(unit)) \
            $(foreach page,$(MANUALS),$(call manual,$(page))) \
            $(foreach file,$(EXAMPLES),644:$(file):$(DOCDIR)/examples/$(notdir $(file))) \
            644:src/ctl/completion/redlockctl.bash:$(BASHDIR)/redlockctl \
            644:src/ctl/completion/_redlockctl:$(ZSHDIR)/_redlockctl \
            644:src/ctl/completion/redlockctl.fish:$(FISHDIR)/redlockctl.fish

# Written anew each time: the paths in them are those of this call.
$(BUILT_UNITS): $(BUILD)/systemd/%: systemd/% FORCE
	@mkdir -p $(@D)
	@sed 's|@sbindir@|$(SBINDIR)|g; s|@bindir@|$(BINDIR)|g' $< > $@

units: $(BUILT_UNITS)

install: all $(BUILT_UNITS) ## into $(DESTDIR)$(PREFIX); an existing configuration is left as it is
	@set -e; for file in $(INSTALLED); do \
		rest=$${file#*:}; \
		install -D -m $${file%%:*} "$${rest%%:*}" "$(DESTDIR)$${rest#*:}"; \
		echo "  $(DESTDIR)$${rest#*:}"; \
	done
	@if test -e $(DESTDIR)$(CONFIG); then \
		echo "  $(DESTDIR)$(CONFIG): is there, left as it is"; \
	else \
		install -D -m 644 conf/redlockd.json $(DESTDIR)$(CONFIG); echo "  $(DESTDIR)$(CONFIG)"; \
	fi

uninstall: ## what install put there; the configuration is left
	@set -e; for file in $(INSTALLED); do rest=$${file#*:}; rm -f "$(DESTDIR)$${rest#*:}"; done
	@rmdir -p --ignore-fail-on-non-empty $(DESTDIR)$(DOCDIR)/examples 2>/dev/null || true
	@if test -e $(DESTDIR)$(CONFIG); then echo "  $(DESTDIR)$(CONFIG): left as it is"; fi

# The same bytes from the same commit, whenever and wherever: files in order, with the time of the commit.
SOURCE_DATE_EPOCH ?= $(shell test -e .git && git log -1 --format=%ct || stat -c %Y Makefile)
export SOURCE_DATE_EPOCH
DIST := redlockd-$(VERSION)

dist: ## the source as build/redlockd-VERSION.tar.gz
	@mkdir -p $(BUILD)
	@(test -e .git && git ls-files || find . -path ./build -prune -o -type f -printf '%P\n') | LC_ALL=C sort | \
		tar --create --files-from=- --transform='s|^|$(DIST)/|' --mtime=@$(SOURCE_DATE_EPOCH) --mode=u+rw,go=rX \
			--owner=0 --group=0 --numeric-owner --format=gnu | gzip -9n > $(BUILD)/$(DIST).tar.gz
	@echo "  $(BUILD)/$(DIST).tar.gz"

deb: dist ## the Debian package as build/deb/redlockd_VERSION_ARCH.deb
	@rm -rf $(BUILD)/deb
	@mkdir -p $(BUILD)/deb
	@tar -xzf $(BUILD)/$(DIST).tar.gz -C $(BUILD)/deb
	@cp -r $(BUILD)/deb/$(DIST)/systemd/debian $(BUILD)/deb/$(DIST)/debian
	@cd $(BUILD)/deb/$(DIST) && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage --build=binary --unsigned-changes \
		--unsigned-buildinfo > ../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
	@ls $(BUILD)/deb/*.deb | sed 's/^/  /'

FORCE:
.PHONY: install uninstall units dist deb FORCE
