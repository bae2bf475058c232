# memz: needs a C compiler and libc; make check needs bats, make bench python3.
CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion
STD = -std=c11 -pthread -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 $(WARN)
SRC = memz.c parse.c report.c
# what the compiler has of: a guarded stack, checked string functions (they need -O), the same bytes from any directory
has = $(shell $(CC) -Werror $(1) -E -x c /dev/null >/dev/null 2>&1 && echo $(1))
HARDEN := $(call has,-fstack-protector-strong) $(call has,-ffile-prefix-map=$(CURDIR)=.) \
	$(if $(filter -O -O1 -O2 -O3 -Os -Oz,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# nothing in the binary that nobody calls
LEAN := $(call has,-fno-asynchronous-unwind-tables) $(call has,-ffunction-sections)
ASAN = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(call has,-static-libasan)
TSAN = -O1 -g -fsanitize=thread

all: memz

memz: $(SRC:.c=.o)
	$(CC) $(CFLAGS) -pthread -Wl,-z,relro,-z,now,--gc-sections $(LDFLAGS) -o $@ $(SRC:.c=.o) -lm

$(SRC:.c=.o): memz.h
.c.o:
	$(CC) $(STD) $(HARDEN) $(LEAN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# static: their pages are shared with nobody, so their PSS does not depend on who else runs
tests/load tests/bench tests/wedge tests/foreign: %: %.c
	$(CC) -std=gnu11 -pthread -static $(WARN) -O2 -o $@ $<

# The tests in two halves, side by side with -j2: those that take this machine over or compare its processes, and those that
# hardly look at it, first what does not at all. What each prints is kept together, and a half that fails stops no other.
files = $(patsubst %,tests/%.bats,$(1))
OTHER = $(call files,threads random untrusted growth architectures golden input save regressions build fuzz-regressions alert since readonly plan \
	recipes usage completion conditions formats)
TAKE = $(call files,stalled system)
LIVE = $(TAKE) $(filter-out $(TAKE) $(OTHER),$(sort $(wildcard tests/*.bats)))
MAKEFLAGS += --keep-going $(if $(filter output-sync,$(.FEATURES)),--output-sync)

check: check-live check-other
check-live: memz tests/load
	bats -T $(LIVE)
check-other: memz tests/load
	bats -T $(OTHER)

# the same with more rounds, and what was found printed
check-long: export LONG = 1
check-long: check

# the same beside 200 processes that are hard to measure: no test may depend on them
check-foreign: memz tests/load tests/foreign tests/wedge
	tests/foreign $(MAKE) check

tests/memz-asan tests/memz-tsan: $(SRC) memz.h
	$(CC) $(STD) $(if $(filter %-asan,$@),$(ASAN),$(TSAN)) -o $@ $(SRC) -lm

# not what judges the build, the papers, terminals, numbers of the live machine or calls; save takes longest by far
UNSANE = $(call files,build docs recipes completion architectures terminal live system syscall-errors plan readonly races)
SANE_LIVE = $(filter-out $(UNSANE),$(LIVE)) $(call files,save)
check-san: check-asan-live check-asan-other check-tsan
check-asan-live: tests/memz-asan tests/load
	MEMZ=$(CURDIR)/tests/memz-asan bats -T $(SANE_LIVE)
check-asan-other: tests/memz-asan tests/load
	MEMZ=$(CURDIR)/tests/memz-asan bats -T $(filter-out $(UNSANE) $(SANE_LIVE),$(OTHER))
check-tsan: tests/memz-tsan tests/load
	MEMZ=$(CURDIR)/tests/memz-tsan bats -T tests/threads.bats

bench: memz tests/bench
	tests/bench.py

# needs clang; FUZZ_SECONDS for each target, 60 if nothing else is said
fuzz:
	tests/fuzz

install: memz
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1
	install -m 755 memz $(DESTDIR)$(BINDIR)/memz
	install -m 644 man/memz.1 $(DESTDIR)$(MANDIR)/man1/memz.1

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/memz $(DESTDIR)$(MANDIR)/man1/memz.1

clean:
	rm -f memz $(SRC:.c=.o) tests/load tests/bench tests/wedge tests/foreign tests/memz-asan tests/memz-tsan

.PHONY: all check check-live check-other check-long check-foreign check-san check-asan-live check-asan-other check-tsan bench fuzz install uninstall clean
