# redlockd. `make help` lists the targets; V=1 shows the commands.
#
# Variants have their own folder under build/: SAN=asan, SAN=ubsan, SAN=fuzz; another compiler: make CC=clang BUILD=build/clang.

ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
BUILD   ?= build$(if $(SAN),/$(SAN))
VERSION := 0.1.0

say = $(if $(V),,@printf '  %-3s %s\n' $(1) $@;)

ROOT   := $(filter 0,$(shell id -u))
SOCKET ?= $(if $(ROOT),/run/redlockd/redlockd.sock,$(abspath $(BUILD))/redlockd.sock)

CFLAGS   ?= -O2 -g
WERROR   ?= -Werror
WARNINGS := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
            -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-unused-parameter
FLAGS    := -std=gnu11 -D_GNU_SOURCE -DREDLOCKD_VERSION='"$(VERSION)"' -Iinclude -Itests $(WARNINGS) -fno-strict-aliasing \
            -fstack-protector-strong
SAN_asan  := -fsanitize=address -fno-omit-frame-pointer
# What a fuzzer needs to see, and both sanitizers: only with clang, see `fuzz`.
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
FLAGS    += $(SAN_$(SAN))

# The libraries of each layer; see tests/tidy.sh for who may include whom.
pc = $(shell pkg-config $(1) $(2) 2>/dev/null)
LIBS_daemon = $(call pc,--libs,libuv hiredis jansson)
LIBS_ctl    = $(call pc,--libs,jansson ncursesw)
FLAGS      += $(call pc,--cflags,libuv hiredis jansson)

LAYERS  := base core store wire net daemon ctl
sources = $(sort $(wildcard src/$(1)/*.c))
objects = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
archive = $(BUILD)/lib$(1).a

UNIT  := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
STORY := $(patsubst tests/sim/%.c,$(BUILD)/tests/sim/%,$(sort $(wildcard tests/sim/story_*.c)))
NET   := $(patsubst tests/net/%.c,$(BUILD)/tests/net/%,$(sort $(wildcard tests/net/test_*.c)))

all: $(BUILD)/redlockd $(BUILD)/redlockctl ## build/redlockd and build/redlockctl

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

define layer_rule
$$(call archive,$(1)): $$(call objects,$(1))
	@rm -f $$@
	$$(call say,AR) ar rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rule,$(layer))))

DAEMON_ARCHIVES = $(foreach layer,daemon net wire store core base,$(call archive,$(layer)))
CTL_ARCHIVES    = $(call archive,ctl) $(call archive,wire) $(call archive,base)

$(BUILD)/redlockd: $(DAEMON_ARCHIVES)
	$(call say,LD) $(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_daemon)

$(BUILD)/redlockctl: $(CTL_ARCHIVES)
	$(call say,LD) $(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_ctl)

# Tests. What several programs of a folder share is in its files that are neither test_* nor story_*.
CHECK_LIBS = $(call pc,--libs,check)
TEST_ARCHIVES = $(foreach layer,net wire store core base,$(call archive,$(layer)))
helpers = $(patsubst tests/%.c,$(BUILD)/tests/obj/%.o,$(filter-out $(wildcard tests/$(1)/test_*.c tests/$(1)/story_*.c tests/$(1)/swarm.c),$(wildcard tests/$(1)/*.c)))

$(BUILD)/tests/obj/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

define test_rule
$$(BUILD)/tests/$(1)/%: $$(BUILD)/tests/obj/$(1)/%.o $$(call helpers,$(1)) $$(TEST_ARCHIVES)
	@mkdir -p $$(@D)
	$$(call say,LD) $$(CC) $$(FLAGS) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_daemon) $$(CHECK_LIBS)
endef
$(foreach kind,unit sim net,$(eval $(call test_rule,$(kind))))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/obj/fuzz/fuzz_%.o $(filter-out %/story.o,$(call helpers,sim)) $(TEST_ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(FLAGS) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_daemon)
.SECONDARY:

run_tests = @set -e; for t in $(1); do $$t; done

check-unit: $(UNIT) ## rules of single modules
	$(call run_tests,$^)

check-sim: $(STORY) ## the engine in virtual time: scenes and their golden traces
	$(call run_tests,$^)

SEED ?=
RUNS ?= 1000
swarm: $(BUILD)/tests/sim/swarm ## random lives of the broker, watched: SEED=n RUNS=m (a fresh seed, 1000); VERBOSE=1 prints the trace
	@$< $(if $(SEED),-s $(SEED)) -n $(RUNS) $(if $(VERBOSE),-v)

swarm-mutants: ## plant one fault at a time into the engine, and count the lives until the swarm sees it
	@tests/sim/mutants.py $(BUILD)

model: ## the rules of safety in a model checker, each guard also taken away (5 minutes, 3.4 GB; MODEL=quick: 100 seconds)
	@tests/model/run.sh $(MODEL)


.PHONY: bench bench-check fleet
# What measures: programs of their own, each with tests/bench/bench.c.
BENCH := $(patsubst %,$(BUILD)/tests/bench/%,load limit echo table)
$(BENCH): $(BUILD)/tests/bench/%: $(BUILD)/tests/obj/bench/%.o $(BUILD)/tests/obj/bench/bench.o $(TEST_ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_daemon)

# A world of a thousand hosts: the simulator's files are part of the program, with other bounds.
$(BUILD)/tests/bench/fleet: $(BUILD)/tests/obj/bench/fleet.o $(BUILD)/tests/obj/sim/trace.o $(TEST_ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD) $(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_daemon)

fleet: $(BUILD)/tests/bench/fleet ## what hosts that want the same keys cost the nodes, in virtual time (ARGS='-h')
	@$< $(ARGS)

bench: all $(BENCH) $(BUILD)/tests/bench/fleet ## redlockd beside bare hiredis and the libraries of npm: tables and a plot (15 minutes; ARGS='-h')
	@REDLOCKD_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py $(ARGS)

bench-check: all $(BENCH) $(BUILD)/tests/bench/fleet ## the ratios that must hold on any machine (a minute)
	@REDLOCKD_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py --check

check-net: $(NET) ## the real loop against a scripted Redis
	$(call run_tests,$^)

E2E ?=
check-e2e: all ## real redis-servers, the real daemon, its clients and their deaths (E2E='-k name' picks)
	REDLOCKD_BUILD=$(abspath $(BUILD)) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/e2e $(E2E)

soak: all ## SECONDS=n (60) of sessions good and bad on nodes that are stopped and killed: memory, descriptors, latency, exclusion
	@REDLOCKD_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/soak/soak.py $(or $(SECONDS),60) $(SEED)

fuzzers: $(FUZZ)

fuzz: ## each of tests/fuzz for SECONDS=n (60) with ASan and UBSan, its committed inputs first; TARGET=name picks one
	@$(MAKE) --no-print-directory CC=clang SAN=fuzz fuzzers
	@tests/fuzz/run.sh build/fuzz $(or $(SECONDS),60) $(TARGET)

check-fuzz: ## the same for a few seconds
	@$(MAKE) --no-print-directory CC=clang SAN=fuzz fuzzers
	@tests/fuzz/run.sh build/fuzz 5 $(TARGET)

check-package: ## what install, uninstall, dist and deb make: nothing overwritten, nothing left, the same bytes each time
	@tests/deps.sh package
	@tests/systemd/package.sh $(BUILD)/package

check-systemd: ## the package under a real systemd as PID 1, in a machine that is thrown away (root; a minute)
	@tests/deps.sh package
	@$(MAKE) --no-print-directory deb
	@tests/systemd/units.sh $(BUILD)
	@tests/systemd/box.sh /usr/bin/python3 /work/tests/systemd/scenes.py \
		/work/$(BUILD)/deb/redlockd_$(VERSION)_$(shell dpkg --print-architecture).deb

ANALYZERS ?= gcc tidy cppcheck scan
analyze: all ## gcc -fanalyzer, clang-tidy, cppcheck, scan-build over src: no report may be open (ANALYZERS='gcc cppcheck' picks)
	@tests/analyze.sh $(BUILD) $(ANALYZERS)

coverage: ## lines and branches that the tests reach, by gcovr: build/coverage/index.html (MORE=1: end to end as well, 8 minutes)
	@tests/coverage.sh $(if $(MORE),more)

check-format: ## the formatting of every C file (clang-format 14, Debian 12's)
	@tests/format.sh --check

check-tidy: all ## the layers, the core's purity, and clang-tidy
	@tests/tidy.sh $(BUILD)

check: deps ## every test, the cheap ones first
	@$(MAKE) --no-print-directory check-format check-tidy check-unit check-sim swarm check-net check-e2e

run: deps ## set up what is missing, build, and start a broker of this host's processes (memory: node)
	@$(MAKE) --no-print-directory all
	@echo "redlockd listens at $(SOCKET); try, in another shell: $(BUILD)/redlockctl -s $(SOCKET) status"
	@$(BUILD)/redlockd -c conf/redlockd.json -s $(SOCKET)

demo: deps ## Redlock on three redis-servers of its own: a kill -9 of the holder, a node stopped, a node killed
	@$(MAKE) --no-print-directory all
	@REDLOCKD_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/e2e/demo.py

format: ## rewrite every C file as clang-format wants it
	@tests/format.sh

tidy: check-tidy ## the same as check-tidy

deps: ## install (apt, as root or with sudo) what is missing for build and tests
	@tests/deps.sh

clean: ## remove build/
	rm -rf build

include systemd/install.mk

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

-include $(shell find $(BUILD) -name '*.d' -path '*obj*' 2>/dev/null)
.PHONY: all soak fuzz fuzzers check-fuzz analyze coverage check check-package check-systemd check-unit check-sim check-net check-e2e check-format check-tidy run demo format tidy deps clean help swarm swarm-mutants model
