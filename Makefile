# SPDX-License-Identifier: Apache-2.0
#
#   make            build the program
#   make demo       install what is needed, build, make a small herd with an
#                   intrusion, mount it and show what deviates
#   make demo-aws   the same with EBS snapshots, against a local AWS
#   make check      install what is needed and run the tests
#   make lab        build the lab of real guests (root; some 20 minutes)
#   make check-lab  compare what is said of it with its answer key, and write
#                   the tables of docs/QUALITY.md
#   make lab-memory, make check-lab-memory
#                   the same of guests whose memory is taken while they run
#   make bench      measure
#   make install    [DESTDIR=…] [prefix=/usr/local] [mounthelperdir=/usr/sbin]
#   make uninstall  the same, the other way
#   make lint       layers and names, cppcheck, clang-tidy
#   make format     rewrite the sources with clang-format
#   make fuzz       [FUZZ_SECONDS=30] each fuzz target that long (clang)
#
# VARIANT=plain|asan|tsan|fuzz chooses how things are built; each has its own
# folder below build/.

VARIANT ?= plain
CC ?= cc
prefix ?= /usr/local
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/herdfs
datadir ?= $(prefix)/share/herdfs
completionsdir ?= $(prefix)/share/bash-completion/completions
# Where mount(8) looks for mount.herdfs (it knows /sbin alone; on Debian that
# is /usr/sbin). Empty: no link there.
mounthelperdir ?= /usr/sbin
VERSION := 0.1.0

B := build/$(VARIANT)

# ---- what is built -------------------------------------------------------

ACQUIRE := $(sort $(wildcard acquire/base/*.c acquire/aws/*.c acquire/memory/*.c acquire/*.c))
INDEX := $(sort $(wildcard index/memory/*.c index/*.c))
FS := $(sort $(wildcard fs/*.c))
TOOLS := $(sort $(wildcard tools/*.c))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
FUZZ := $(sort $(wildcard tests/fuzz/fuzz_*.c))

LIB_OBJ := $(patsubst %.c,$(B)/%.o,$(ACQUIRE) $(INDEX) $(FS))
TOOL_OBJ := $(patsubst %.c,$(B)/%.o,$(TOOLS))
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT))
FUZZ_BIN := $(patsubst %.c,$(B)/%,$(FUZZ))

# ---- how -------------------------------------------------------------------

PKGS := fuse3 libcrypto zlib jansson lmdb ext2fs com_err libnbd libseccomp \
	libcurl expat libzstd liblzma snappy lzo2
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS = $(shell pkg-config --libs $(PKGS)) -ltsk -pthread

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
	-Wformat=2
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now
ifeq ($(VARIANT),plain)
VARIANT_CFLAGS := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),asan)
VARIANT_CFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
else ifeq ($(VARIANT),tsan)
VARIANT_CFLAGS := -fsanitize=thread -O1
else ifeq ($(VARIANT),fuzz)
CC := clang
VARIANT_CFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -DHERD_LIBFUZZER
FUZZ_LD := -fsanitize=fuzzer
else
$(error VARIANT is one of plain, asan, tsan, fuzz)
endif

ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -DHERD_VERSION='"$(VERSION)"' \
	$(WARN) $(WERROR) $(HARDEN) $(PKG_CFLAGS) $(CFLAGS) $(VARIANT_CFLAGS)
ALL_LDFLAGS = $(HARDEN_LD) $(VARIANT_CFLAGS) $(LDFLAGS)

.PHONY: all
all: $(B)/herdfs

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# What is built in, and no compiler sees that it is read.
$(B)/index/rules_builtin.o: index/rules.conf
$(B)/acquire/capture_memory_command.o: acquire/capture_memory.sh
$(B)/index/report_html_assets.o: index/report.css index/report.js

$(B)/libherd.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(B)/herdfs: $(TOOL_OBJ) $(B)/libherd.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libherd.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(PKG_LIBS)

# With VARIANT=fuzz a libFuzzer program; otherwise one that replays the files
# and folders it is given.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(if $(FUZZ_LD),,$(B)/tests/fuzz/replay.o) $(B)/libherd.a
	$(CC) $(ALL_LDFLAGS) $(FUZZ_LD) -o $@ $^ $(PKG_LIBS)

.PHONY: unit fuzzers
unit: $(UNIT_BIN)
fuzzers: $(FUZZ_BIN)

# Helpers of tests and benchmarks: one program a file.
$(B)/tests/%: $(B)/tests/%.o $(B)/libherd.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

.SECONDARY:

# ---- demo --------------------------------------------------------------------

.PHONY: demo demo-aws
demo-aws:
	tests/deps.sh demo
	$(MAKE) -j$(JOBS) VARIANT=plain all >/dev/null
	tools/demo_aws.sh

demo:
	tests/deps.sh demo
	$(MAKE) -j$(JOBS) VARIANT=plain all >/dev/null
	tools/demo.sh

# ---- check -------------------------------------------------------------------

# CHECK=unit, fuzz or mount for a part. tests/run.sh has the other knobs.
.PHONY: deps check
deps:
	tests/deps.sh build

check:
	tests/deps.sh check
	$(MAKE) -j$(JOBS) VARIANT=$(VARIANT) all unit fuzzers $(B)/tests/lab/storedump \
		$(B)/tests/lab/machine_dump
	VARIANT=$(VARIANT) tests/run.sh $(CHECK)

# ---- lab -----------------------------------------------------------------------

.PHONY: lab check-lab lab-memory check-lab-memory
lab:
	tests/deps.sh lab
	tests/lab/guests.sh all

check-lab: lab
	$(MAKE) -j$(JOBS) VARIANT=plain all
	tests/lab/check.sh

lab-memory:
	tests/deps.sh lab
	tests/lab/guests.sh memory memory-backports

check-lab-memory: lab-memory
	$(MAKE) -j$(JOBS) VARIANT=plain all build/plain/tests/lab/machine_dump
	tests/lab/memory_check.sh lab
	tests/lab/memory_judge.sh

# ---- bench -------------------------------------------------------------------

.PHONY: bench
bench: all $(addprefix $(B)/tests/,bench/bigstore bench/rejudge bench/blockserver bench/httpblocks bench/memorycat \
		lab/machine_dump lab/storedump)
	tests/bench/run.sh

# ---- install -----------------------------------------------------------------

MAN1 := $(sort $(wildcard docs/man/*.1))
MAN7 := $(sort $(wildcard docs/man/*.7))
MAN8 := $(sort $(wildcard docs/man/*.8))
DOCS := $(wildcard README.md LICENSE docs/*.md docs/iam-*.json)
INSTALL ?= install

.PHONY: install uninstall
install: $(B)/herdfs
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) \
		$(mandir)/man1 $(mandir)/man7 $(mandir)/man8 $(docdir) $(datadir) \
		$(completionsdir))
	$(INSTALL) -m 755 $(B)/herdfs $(DESTDIR)$(bindir)/herdfs
	ln -sfr $(DESTDIR)$(bindir)/herdfs $(DESTDIR)$(sbindir)/mount.herdfs
	$(INSTALL) -m 644 $(MAN1) $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 644 $(MAN7) $(DESTDIR)$(mandir)/man7
	$(INSTALL) -m 644 $(MAN8) $(DESTDIR)$(mandir)/man8
	$(INSTALL) -m 644 $(DOCS) $(DESTDIR)$(docdir)
	$(INSTALL) -m 644 index/rules.conf $(DESTDIR)$(datadir)/rules.conf
	$(INSTALL) -m 644 tools/completion/herdfs $(DESTDIR)$(completionsdir)/herdfs
ifneq ($(mounthelperdir),)
ifneq ($(mounthelperdir),$(sbindir))
	@if $(INSTALL) -d $(DESTDIR)$(mounthelperdir) 2>/dev/null && \
	    test -w $(DESTDIR)$(mounthelperdir); then \
		ln -sfr $(DESTDIR)$(bindir)/herdfs \
			$(DESTDIR)$(mounthelperdir)/mount.herdfs; \
	else \
		echo "$(mounthelperdir) is not writable: mount -t herdfs and" \
			"fstab will not find mount.herdfs; herdfs mount works."; \
	fi
endif
endif

# What is taken away is what was put there: a mount.herdfs elsewhere, or one
# that leads to another program, stays.
uninstall:
	rm -f $(DESTDIR)$(bindir)/herdfs $(DESTDIR)$(sbindir)/mount.herdfs
	rm -f $(addprefix $(DESTDIR)$(mandir)/man1/,$(notdir $(MAN1)))
	rm -f $(addprefix $(DESTDIR)$(mandir)/man7/,$(notdir $(MAN7)))
	rm -f $(addprefix $(DESTDIR)$(mandir)/man8/,$(notdir $(MAN8)))
	rm -f $(DESTDIR)$(completionsdir)/herdfs $(DESTDIR)$(datadir)/rules.conf
	rm -f $(addprefix $(DESTDIR)$(docdir)/,$(notdir $(DOCS)))
	-rmdir $(DESTDIR)$(docdir) $(DESTDIR)$(datadir) 2>/dev/null
	@if test -n "$(mounthelperdir)" && \
	    test "$$(realpath -m "$(DESTDIR)$(mounthelperdir)/mount.herdfs")" = \
		 "$$(realpath -m "$(DESTDIR)$(bindir)/herdfs")"; then \
		rm -f $(DESTDIR)$(mounthelperdir)/mount.herdfs; \
	fi

# ---- lint, format, fuzz --------------------------------------------------------

# tests/lint.h cannot stand before the function that it stands for.
LINTED = $(filter-out acquire/base/diag.c,$(SOURCES))
SOURCES = $(ACQUIRE) $(INDEX) $(FS) $(TOOLS)
C_FILES = $(SOURCES) $(UNIT) $(wildcard tests/fuzz/*.c tests/*/*.c)
H_FILES = $(wildcard acquire/base/*.h acquire/aws/*.h acquire/memory/*.h acquire/*.h index/memory/*.h index/*.h fs/*.h tools/*.h tests/*/*.h)
CPPCHECK ?= cppcheck
CLANG_TIDY ?= clang-tidy
CLANG_FORMAT ?= clang-format
JOBS ?= $(shell nproc)

.PHONY: lint lint-rules lint-cppcheck lint-tidy lint-shell
lint: lint-rules lint-shell lint-cppcheck lint-tidy

SHELL_FILES = $(wildcard tests/*.sh tests/*/*.sh tools/*.sh tools/completion/* .ci/run)
lint-shell:
	shellcheck --severity=warning --exclude=SC2046,SC2048,SC2154 $(SHELL_FILES)

lint-rules: $(B)/libherd.a
	CC="$(CC)" PKG_CFLAGS="$(PKG_CFLAGS)" tests/lint.sh $(B)/libherd.a

lint-cppcheck:
	$(CPPCHECK) --quiet -j$(JOBS) --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability -D__CPPCHECK__ -D_GNU_SOURCE -I. \
		-DHERD_VERSION='"$(VERSION)"' --suppressions-list=tests/cppcheck.txt \
		--include=tests/lint.h $(LINTED)

lint-tidy:
	printf '%s\0' $(LINTED) | \
		xargs -0 -n4 -P$(JOBS) sh -c '$(CLANG_TIDY) --quiet "$$@" -- \
		-include tests/lint.h \
		-std=gnu17 -D_GNU_SOURCE -I. "-DHERD_VERSION=\"$(VERSION)\"" \
		$(PKG_CFLAGS) 2>&1 | grep -E "(error|warning):"; \
		test $$? -ne 0' tidy

.PHONY: format
format:
	$(CLANG_FORMAT) -i $(sort $(C_FILES) $(H_FILES))

# Finds are kept in build/fuzz; what is worth keeping goes to tests/fuzz/corpus,
# where `make check` replays it.
FUZZ_SECONDS ?= 30
.PHONY: fuzz
fuzz:
	$(MAKE) VARIANT=fuzz fuzzers
	@for f in $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ)); do \
		mkdir -p build/fuzz/corpus/$$f tests/fuzz/corpus/$$f; \
		echo "== fuzz_$$f, $(FUZZ_SECONDS) s"; \
		build/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/found-$$f- \
			build/fuzz/corpus/$$f tests/fuzz/corpus/$$f || exit 1; \
	done

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
