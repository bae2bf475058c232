# memz: needs a C compiler and libc; make check needs bats, make bench python3.
CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
DESTDIR ?=
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion
STD = -std=c11 -pthread -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 $(WARN)
SRC = memz.c parse.c report.c
ASAN = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN = -O1 -g -fsanitize=thread

all: memz

memz: $(SRC:.c=.o)
	$(CC) $(CFLAGS) -pthread $(LDFLAGS) -o $@ $(SRC:.c=.o) -lm

$(SRC:.c=.o): memz.h
.c.o:
	$(CC) $(STD) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# static: their pages are shared with nobody, so their PSS does not depend on who else runs
tests/load tests/bench: %: %.c
	$(CC) -std=gnu11 -pthread -static $(WARN) -O2 -o $@ $<

check: memz tests/load
	bats tests

# the same with more rounds, and what was found printed
check-long: memz tests/load
	LONG=1 bats tests

check-san: $(SRC) memz.h tests/load
	$(CC) $(STD) $(ASAN) -o tests/memz-asan $(SRC) -lm
	$(CC) $(STD) $(TSAN) -o tests/memz-tsan $(SRC) -lm
	MEMZ=$(CURDIR)/tests/memz-asan bats tests
	MEMZ=$(CURDIR)/tests/memz-tsan bats tests/threads.bats

bench: memz tests/bench
	tests/bench.py

install: memz
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 memz $(DESTDIR)$(PREFIX)/bin/memz
	install -m 644 man/memz.1 $(DESTDIR)$(PREFIX)/share/man/man1/memz.1

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/memz $(DESTDIR)$(PREFIX)/share/man/man1/memz.1

clean:
	rm -f memz $(SRC:.c=.o) tests/load tests/bench tests/memz-asan tests/memz-tsan

.PHONY: all check check-long check-san bench install uninstall clean
