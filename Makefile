# memz: needs a C compiler and libc; make check needs bats and uses what README names; make bench needs python3.
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

# The tests in two lists that tests/run runs side by side. LIVE, which a new file is one of, takes this machine over or
# measures its processes; first those that measure the whole machine. OTHER hardly looks at it; last what takes memory.
files = $(patsubst %,tests/%.bats,$(1))
OTHER = $(call files,usage golden completion conditions formats alert plan readonly input fuzz-regressions regressions since save \
	recipes threads runner untrusted random growth fleet architectures build)
TAKE = $(call files,system holders stalled)
LIVE = $(TAKE) $(filter-out $(TAKE) $(OTHER),$(sort $(wildcard tests/*.bats)))

check: memz tests/load
	@tests/run $(LIVE) -- $(OTHER)

# the same with more rounds, and what was found printed
check-long: export LONG = 1
check-long: check

# the same beside 200 processes that are hard to measure: no test may depend on them
check-foreign: memz tests/load tests/foreign tests/wedge
	tests/foreign $(MAKE) check

tests/memz-asan tests/memz-tsan: $(SRC) memz.h
	$(CC) $(STD) $(if $(filter %-asan,$@),$(ASAN),$(TSAN)) -o $@ $(SRC) -lm

# not what judges the build, the papers, terminals, numbers of the live machine, calls or instructions; save takes longest by far
UNSANE = $(call files,build runner docs recipes completion architectures terminal live system syscall-errors plan readonly races growth fleet)
SANE_LIVE = $(filter-out $(UNSANE),$(LIVE)) $(call files,save)
SANE_OTHER = $(filter-out $(UNSANE) $(SANE_LIVE),$(OTHER))
check-san: tests/memz-asan tests/memz-tsan tests/load
	@tests/run MEMZ=$(CURDIR)/tests/memz-asan $(SANE_LIVE) -- MEMZ=$(CURDIR)/tests/memz-asan $(SANE_OTHER) -- \
		MEMZ=$(CURDIR)/tests/memz-tsan tests/threads.bats

# on other kernels and architectures, under qemu: those of KERNELS, else all that tests/kernels/run lists
check-kernels: memz
	@tests/kernels/run $(KERNELS)

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

.PHONY: all check check-long check-foreign check-san check-kernels bench fuzz install uninstall clean
