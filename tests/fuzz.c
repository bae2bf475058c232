/*
 * fuzz: what memz reads, made up by libFuzzer. One target per parser, one for the options, one for archives, one for
 * whole reports; tests/fuzz builds and runs them.
 *
 *	TARGET [libFuzzer's options] [FILE|DIRECTORY]...	with libFuzzer: the program's name is that of the target
 *	TARGET FILE|DIRECTORY...				with -DREPLAY: runs each once
 *	memz ...						the same program is memz itself
 *
 * Compiled as it is, it is parse.c and the targets; with -DPROGRAM it goes in front of memz.c and report.c (-include).
 * There the calls named below are not libc's: a run touches no file, thread or clock, its memory is counted, and exit
 * comes back here. The objects' .data and .bss are renamed memz_data and memz_bss, and put back after each run.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <pwd.h>
#include <regex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* The world of a run */

void *world_malloc(size_t size);
void *world_calloc(size_t n, size_t size);
void *world_realloc(void *at, size_t size);
void world_free(void *at);
char *world_strdup(const char *s);
char *world_strndup(const char *s, size_t n);
int world_vasprintf(char **text, const char *format, va_list args);
__attribute__((noreturn)) void world_exit(int status);
__attribute__((noreturn)) void world_end(int status);
int world_open(const char *path, int flags);
int world_close(int fd);
int world_fstat(int fd, struct stat *st);
int world_lstat(const char *path, struct stat *st);
int world_access(const char *path, int mode);
void *world_mmap(void *at, size_t size, int prot, int flags, int fd, off_t from);
ssize_t world_write(int fd, const void *data, size_t n);
ssize_t world_pwrite(int fd, const void *data, size_t n, off_t at);
int world_mkostemp(char *name, int flags);
int world_fsync(int fd);
int world_link(const char *from, const char *to);
int world_unlink(const char *path);
long world_renameat2(void);
int world_isatty(int fd);
int world_ioctl(int fd, unsigned long request, void *arg);
char *world_getenv(const char *name);
char *world_setlocale(int category, const char *name);
int world_clock(clockid_t id, struct timespec *t);
int world_sleep(const struct timespec *t, struct timespec *rest);
time_t world_time(time_t *t);
int world_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int world_atexit(void (*call)(void));
sighandler_t world_signal(int number, sighandler_t handler);
FILE *world_fopencookie(void *cookie, const char *mode, cookie_io_functions_t functions);

#define malloc(...)		world_malloc(__VA_ARGS__)
#define calloc(...)		world_calloc(__VA_ARGS__)
#define realloc(...)		world_realloc(__VA_ARGS__)
#define free(...)		world_free(__VA_ARGS__)
#undef strdup
#define strdup(...)		world_strdup(__VA_ARGS__)
#undef strndup
#define strndup(...)		world_strndup(__VA_ARGS__)
#define vasprintf(...)		world_vasprintf(__VA_ARGS__)
#define exit(...)		world_exit(__VA_ARGS__)
#define _exit(...)		world_end(__VA_ARGS__)
#define open(...)		world_open(__VA_ARGS__)
#define close(...)		world_close(__VA_ARGS__)
#define fstat(...)		world_fstat(__VA_ARGS__)
#define lstat(...)		world_lstat(__VA_ARGS__)
#define access(...)		world_access(__VA_ARGS__)
#define mmap(...)		world_mmap(__VA_ARGS__)
#define write(...)		world_write(__VA_ARGS__)
#define pwrite(...)		world_pwrite(__VA_ARGS__)
#define mkostemp(...)		world_mkostemp(__VA_ARGS__)
#define fsync(...)		world_fsync(__VA_ARGS__)
#define link(...)		world_link(__VA_ARGS__)
#define unlink(...)		world_unlink(__VA_ARGS__)
#define isatty(...)		world_isatty(__VA_ARGS__)
#define ioctl(...)		world_ioctl(__VA_ARGS__)
#define getenv(...)		world_getenv(__VA_ARGS__)
#define setlocale(...)		world_setlocale(__VA_ARGS__)
#define clock_gettime(...)	world_clock(__VA_ARGS__)
#define nanosleep(...)		world_sleep(__VA_ARGS__)
#define time(...)		world_time(__VA_ARGS__)
#define pthread_create(...)	world_thread(__VA_ARGS__)
#define atexit(...)		world_atexit(__VA_ARGS__)
#define signal(...)		world_signal(__VA_ARGS__)
#define fopencookie(...)	world_fopencookie(__VA_ARGS__)
enum { REAL_RENAMEAT2 = SYS_renameat2 };
#undef SYS_renameat2
#define SYS_renameat2		world_renameat2()

#ifndef PROGRAM
#include "../parse.c"

#undef malloc
#undef calloc
#undef realloc
#undef free
#undef strdup
#undef strndup
#undef vasprintf
#undef exit
#undef _exit
#undef open
#undef close
#undef fstat
#undef lstat
#undef access
#undef mmap
#undef write
#undef pwrite
#undef mkostemp
#undef fsync
#undef link
#undef unlink
#undef isatty
#undef ioctl
#undef getenv
#undef setlocale
#undef clock_gettime
#undef nanosleep
#undef time
#undef pthread_create
#undef atexit
#undef signal
#undef fopencookie

int memz_main(int argc, char **argv);
int LLVMFuzzerInitialize(int *argc, char ***argv);
__attribute__((weak)) int __llvm_profile_write_file(void);	/* of a build that counts coverage */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern char __start_memz_data[], __stop_memz_data[], __start_memz_bss[], __stop_memz_bss[];

#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define UNDER_MSAN	true
#else
#define UNDER_MSAN	false
#define __msan_unpoison(at, n)	((void)(at), (void)(n))
#endif

enum {
	FAKE = 1 << 20,		/* descriptors of A, B and X */
	FILES = 3,
	ARGS_MAX = 64,
	MEMBERS_MAX = 64,
};

struct text {
	char *at;
	size_t n, size;
};

/* What outlives a run: it is in a section of its own. */
static struct {
	bool real;			/* it is memz, and this world is the real one */
	const struct target *target;
	char *data, *bss;		/* as they were before the first run */
	void **live;			/* memory of this run */
	size_t nlive, xrealloc;
	size_t fails;			/* so many more allocations until one fails; 0: none does */
	size_t scarce;			/* that number for this input, of parsers */
	cookie_write_function_t *cookie_write;
	int writing;			/* a report is, through stdio */
	int fill;			/* what new memory holds */
	jmp_buf back;
	int status;
	struct text out, err;
	struct text files[FILES];	/* A and B to be read, X to be saved */
	bool is_saved;
	double now;
	bool terminal;
	unsigned short width;
	struct text menu[2];		/* machines that the options are tried on */
} kept __attribute__((section("fuzz_kept")));

__attribute__((format(printf, 1, 2), noreturn)) static void
broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("\nfuzz: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n--- stdout\n%.*s\n--- stderr\n%.*s\n", (int)kept.out.n, kept.out.at ? kept.out.at : "", (int)kept.err.n, kept.err.at ? kept.err.at : "");
	abort();
}

static void
text_add(struct text *t, const void *data, size_t n)
{
	if (t->n + n + 1 > t->size) {
		t->size = 2 * (t->n + n) + 256;
		t->at = realloc(t->at, t->size);
		if (!t->at)
			abort();
	}
	if (n > 0)
		memcpy(t->at + t->n, data, n);
	t->n += n;
	t->at[t->n] = '\0';
}

/* Memory */

static void *
remembered(void *at, size_t size)
{
	if (!at)
		abort();
	if (!UNDER_MSAN)		/* which knows what was never written */
		memset(at, kept.fill, size);
	if (kept.nlive == kept.xrealloc) {
		kept.xrealloc = 2 * kept.xrealloc + 256;
		kept.live = realloc(kept.live, kept.xrealloc * sizeof *kept.live);
	}
	kept.live[kept.nlive++] = at;
	return at;
}

static bool
is_out(void)
{
	if (kept.fails == 0 || --kept.fails > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *
world_malloc(size_t size)
{
	return kept.real ? malloc(size) : is_out() ? NULL : remembered(malloc(size), size);
}

void *
world_calloc(size_t n, size_t size)
{
	void *at = kept.real ? calloc(n, size) : is_out() ? NULL : remembered(malloc(n * size), n * size);

	return kept.real || !at ? at : memset(at, 0, n * size);
}

static size_t
memory_find(const void *at)
{
	size_t i = kept.nlive;

	while (i > 0 && kept.live[i - 1] != at)
		i--;
	return i;
}

void
world_free(void *at)
{
	size_t i = kept.real || !at ? 0 : memory_find(at);

	if (i > 0)
		kept.live[i - 1] = kept.live[--kept.nlive];
	free(at);
}

void *
world_realloc(void *at, size_t size)
{
	size_t i;
	void *more;

	if (!at || kept.real)
		return kept.real ? realloc(at, size) : world_malloc(size);
	if (is_out())
		return NULL;
	i = memory_find(at);
	more = realloc(at, size);
	if (i == 0 || !more)
		abort();
	return kept.live[i - 1] = more;
}

char *
world_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = world_malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
world_strdup(const char *s)
{
	return world_strndup(s, strlen(s));
}

__attribute__((format(printf, 2, 0))) int
world_vasprintf(char **text, const char *format, va_list args)
{
	char line[256];
	int n = kept.real ? vasprintf(text, format, args) : vsnprintf(line, sizeof line, format, args);

	if (kept.real)
		return n;
	*text = world_strndup(line, sizeof line);
	return *text ? n : -1;
}

static ssize_t
cookie_write(void *cookie, const char *text, size_t n)
{
	ssize_t done;

	kept.writing++;
	done = kept.cookie_write(cookie, text, n);
	kept.writing--;
	return done;
}

/* The report is built through stdio, which cannot be left half way: exit would come back to it. */
FILE *
world_fopencookie(void *cookie, const char *mode, cookie_io_functions_t functions)
{
	FILE *f;

	kept.cookie_write = functions.write;
	functions.write = cookie_write;
	f = fopencookie(cookie, mode, functions);
	__msan_unpoison(f, sizeof *f);		/* libc has written it unseen, and what is in its buffer */
	return f;
}

/* Files */

static struct text *
file_of(int fd)
{
	return fd >= FAKE && fd < FAKE + FILES ? &kept.files[fd - FAKE] : NULL;
}

static int
file_named(const char *path)
{
	static const char names[] = "ABX";
	const char *at = path[0] && !path[1] ? strchr(names, *path) : NULL;

	if (at && (*at != 'X' || kept.is_saved))
		return FAKE + (int)(at - names);
	errno = ENOENT;
	return -1;
}

int
world_open(const char *path, int flags)
{
	return kept.real ? open(path, flags) : file_named(path);
}

int
world_close(int fd)
{
	return file_of(fd) ? 0 : close(fd);
}

int
world_fstat(int fd, struct stat *st)
{
	if (!file_of(fd))
		return fstat(fd, st);
	*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_size = (off_t)file_of(fd)->n };
	return 0;
}

int
world_lstat(const char *path, struct stat *st)
{
	return kept.real ? lstat(path, st) : file_named(path) < 0 ? -1 : 0;
}

int
world_access(const char *path, int mode)
{
	return kept.real ? access(path, mode) : file_named(path) < 0 ? -1 : 0;
}

/* Not a byte is mapped behind the file's end. */
void *
world_mmap(void *at, size_t size, int prot, int flags, int fd, off_t from)
{
	void *copy;

	if (!file_of(fd))
		return mmap(at, size, prot, flags, fd, from);
	if (!(copy = world_malloc(size)))
		return MAP_FAILED;
	return memcpy(copy, file_of(fd)->at, size);
}

ssize_t
world_write(int fd, const void *data, size_t n)
{
	if (kept.real)
		return write(fd, data, n);
	__msan_unpoison(data, n);
	text_add(fd == STDOUT_FILENO ? &kept.out : &kept.err, data, n);
	return (ssize_t)n;
}

ssize_t
world_pwrite(int fd, const void *data, size_t n, off_t at)
{
	struct text *to = file_of(fd);

	if (!to)
		return pwrite(fd, data, n, at);
	if ((size_t)at != to->n)
		abort();
	text_add(to, data, n);
	return (ssize_t)n;
}

int
world_mkostemp(char *name, int flags)
{
	if (kept.real)
		return mkostemp(name, flags);
	kept.files[2].n = 0;
	return FAKE + 2;
}

int
world_fsync(int fd)
{
	return file_of(fd) ? 0 : fsync(fd);
}

/* A number that is no call's. */
long
world_renameat2(void)
{
	return kept.real ? REAL_RENAMEAT2 : 100000;
}

int
world_link(const char *from, const char *to)
{
	if (kept.real)
		return link(from, to);
	kept.is_saved = strcmp(to, "X") == 0;
	return 0;
}

int
world_unlink(const char *path)
{
	return kept.real ? unlink(path) : 0;
}

/* The rest */

void
world_exit(int status)
{
	if (kept.real)
		exit(status);
	if (kept.writing)
		broken("exit from within stdio");
	kept.status = status;
	longjmp(kept.back, 1);
}

void
world_end(int status)
{
	if (kept.real && __llvm_profile_write_file)
		__llvm_profile_write_file();
	if (kept.real)
		_exit(status);
	world_exit(status);
}

int
world_atexit(void (*call)(void))
{
	return kept.real ? atexit(call) : 0;
}

sighandler_t
world_signal(int number, sighandler_t handler)
{
	return kept.real ? signal(number, handler) : SIG_DFL;
}

int
world_isatty(int fd)
{
	return kept.real ? isatty(fd) : kept.terminal && fd == STDOUT_FILENO;
}

int
world_ioctl(int fd, unsigned long request, void *arg)
{
	if (kept.real)
		return ioctl(fd, request, arg);
	*(struct winsize *)arg = (struct winsize){ .ws_col = kept.width };
	return 0;
}

char *
world_getenv(const char *name)
{
	static char term[] = "xterm", columns_wide[] = "100";

	return kept.real ? getenv(name) : strcmp(name, "TERM") == 0 ? term : strcmp(name, "COLUMNS") == 0 ? columns_wide : NULL;
}

char *
world_setlocale(int category, const char *name)
{
	return kept.real ? setlocale(category, name) : NULL;
}

int
world_clock(clockid_t id, struct timespec *t)
{
	if (kept.real)
		return clock_gettime(id, t);
	kept.now += 1e-9;
	t->tv_sec = (time_t)kept.now;
	t->tv_nsec = (long)((kept.now - floor(kept.now)) * 1e9);
	return 0;
}

int
world_sleep(const struct timespec *t, struct timespec *rest)
{
	if (kept.real)
		return nanosleep(t, rest);
	kept.now += (double)t->tv_sec + (double)t->tv_nsec / 1e9 + 1e-6;
	return 0;
}

time_t
world_time(time_t *t)
{
	return kept.real ? time(t) : 1700000000;
}

int
world_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return kept.real ? pthread_create(thread, attr, run, arg) : EAGAIN;
}

/* Runs */

/* Past the sanitizers: what is between variables is put back, too. */
__attribute__((no_sanitize("address", "undefined", "memory"))) static void
bytes_copy(char *to, const char *from, size_t n)
{
	size_t i = 0;

	for (; i + sizeof(long) <= n; i += sizeof(long))
		*(volatile long *)(void *)(to + i) = *(const volatile long *)(const void *)(from + i);
	for (; i < n; i++)
		((volatile char *)to)[i] = ((const volatile char *)from)[i];
}

/* All is as before the first run. */
static void
restore(void)
{
	for (; kept.nlive > 0; kept.nlive--)
		free(kept.live[kept.nlive - 1]);
	bytes_copy(__start_memz_data, kept.data, (size_t)(__stop_memz_data - __start_memz_data));
	bytes_copy(__start_memz_bss, kept.bss, (size_t)(__stop_memz_bss - __start_memz_bss));
	keeping = NULL;
	this_reader = NULL;
	kept.fails = 0;
}

static void
snapshot(void)
{
	unknown_proc_init();
	kept.data = malloc((size_t)(__stop_memz_data - __start_memz_data));
	kept.bss = malloc((size_t)(__stop_memz_bss - __start_memz_bss));
	if (!kept.data || !kept.bss)
		abort();
	bytes_copy(kept.data, __start_memz_data, (size_t)(__stop_memz_data - __start_memz_data));
	bytes_copy(kept.bss, __start_memz_bss, (size_t)(__stop_memz_bss - __start_memz_bss));
}

/* The program once, with these arguments, NULL at the end. */
static int
program_run(char **args, int n)
{
	kept.out.n = kept.err.n = 0;
	text_add(&kept.out, "", 0);
	text_add(&kept.err, "", 0);
	kept.now = 1e6;
	optind = 0;
	if (setjmp(kept.back) == 0)
		world_exit(memz_main(n, args));
	return kept.status;
}

/* What is due of any output */

/* The length of the character at S, 0: no UTF-8. By the table of the Unicode standard, not by memz's way. */
static size_t
utf8_length(const unsigned char *s, uint32_t *c)
{
	static const struct { unsigned char low, high, next_low, next_high; size_t n; } rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (*s < rows[i].low || *s > rows[i].high)
			continue;
		*c = rows[i].n == 1 ? *s : *s & (0x7fu >> rows[i].n);
		for (size_t j = 1; j < rows[i].n; j++) {
			if (s[j] < (j == 1 ? rows[i].next_low : 0x80) || s[j] > (j == 1 ? rows[i].next_high : 0xbf))
				return 0;
			*c = *c << 6 | (s[j] & 0x3fu);
		}
		return rows[i].n;
	}
	return 0;
}

/* What no terminal is to get: controls, bidi, zero width. */
static bool
is_odd(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void
text_judge(const struct text *t)
{
	size_t n;
	uint32_t c;

	if (strlen(t->at) != t->n)
		broken("a NUL in text");
	for (const char *s = t->at; *s; s += n) {
		n = utf8_length((const unsigned char *)s, &c);
		if (*s == '\033' && kept.terminal && (strncmp(s, "\033[1m", 4) == 0 || strncmp(s, "\033[0m", 4) == 0)) {
			n = 4;
			continue;
		}
		if (n == 0 || (c != '\n' && is_odd(c)))
			broken("byte %zu of text is %02x", (size_t)(s - t->at), (unsigned char)*s);
		if (c == '\n' && s > t->at && s[-1] == ' ')
			broken("a line ends in a blank");
	}
	if (t->n > 0 && t->at[t->n - 1] != '\n')
		broken("the last line has no end");
}

/* RFC 4180, a record a line, as many fields in each. */
static void
csv_judge(const struct text *t)
{
	size_t fields = 1, due = 0, n;
	bool quoted = false;
	uint32_t c;

	if (strlen(t->at) != t->n)
		broken("a NUL in CSV");
	for (const char *s = t->at; *s; s += n) {
		n = utf8_length((const unsigned char *)s, &c);
		if (n == 0 || (c != '\n' && (c < 0x20 || (c >= 0x7f && c < 0xa0))))
			broken("byte %zu of CSV is %02x", (size_t)(s - t->at), (unsigned char)*s);
		if (c == '"' && quoted && s[1] == '"')
			n = 2;
		else if (c == '"' && quoted) {
			if (s[1] != ',' && s[1] != '\n')
				broken("a CSV field goes on behind its quotes");
			quoted = false;
		} else if (c == '"') {
			if (s > t->at && s[-1] != ',' && s[-1] != '\n')
				broken("a quote in a CSV field that has none in front");
			quoted = true;
		} else if (c == ',' && !quoted)
			fields++;
		else if (c == '\n') {
			if (quoted)
				broken("a CSV record goes on in the next line");
			if (due && fields != due)
				broken("%zu CSV fields, not %zu", fields, due);
			due = fields;
			fields = 1;
		}
	}
}

static const char *json_value(const char *s, int depth);

static const char *
json_string(const char *s)
{
	uint32_t c;
	size_t n;

	if (*s++ != '"')
		return NULL;
	for (; *s != '"'; s += n) {
		n = utf8_length((const unsigned char *)s, &c);
		if (n == 0 || c < 0x20)
			return NULL;
		if (*s == '\\') {
			if (s[1] == 'u' && strspn(s + 2, "0123456789abcdefABCDEF") >= 4)
				n = 6;
			else if (s[1] && strchr("\"\\/bfnrt", s[1]))
				n = 2;
			else
				return NULL;
		}
	}
	return s + 1;
}

static const char *
json_number(const char *s)
{
	size_t n;

	s += *s == '-';
	n = strspn(s, "0123456789");
	if (n == 0 || (n > 1 && *s == '0'))
		return NULL;
	s += n;
	if (*s == '.') {
		n = strspn(s + 1, "0123456789");
		return n ? s + 1 + n : NULL;
	}
	return s;
}

/* No key is there twice, as far as the first hundred go. */
static const char *
json_object(const char *s, int depth)
{
	struct { const char *at; size_t n; } keys[100];
	size_t n = 0;

	if (s[1] == '}')
		return s + 2;
	do {
		const char *key = s + 1, *end = json_string(key);

		if (!end || *end != ':')
			return NULL;
		for (size_t i = 0; i < n; i++)
			if (keys[i].n == (size_t)(end - key) && memcmp(keys[i].at, key, keys[i].n) == 0)
				broken("JSON has %.*s twice", (int)keys[i].n, key);
		if (n < 100) {
			keys[n].at = key;
			keys[n++].n = (size_t)(end - key);
		}
		s = json_value(end + 1, depth);
	} while (s && *s == ',');
	return s && *s == '}' ? s + 1 : NULL;
}

static const char *
json_value(const char *s, int depth)
{
	if (depth > 8)
		return NULL;
	switch (*s) {
	case '{':
		return json_object(s, depth + 1);
	case '[':
		if (s[1] == ']')
			return s + 2;
		do
			s = json_value(s + 1, depth + 1);
		while (s && *s == ',');
		return s && *s == ']' ? s + 1 : NULL;
	case '"':
		return json_string(s);
	case 'n':
		return strncmp(s, "null", 4) == 0 ? s + 4 : NULL;
	case 't':
		return strncmp(s, "true", 4) == 0 ? s + 4 : NULL;
	case 'f':
		return strncmp(s, "false", 5) == 0 ? s + 5 : NULL;
	}
	return json_number(s);
}

static void
json_judge(const struct text *t)
{
	const char *end, *scan;
	size_t n[6];

	if (strlen(t->at) != t->n || !(end = json_value(t->at, 0)) || strcmp(end, "\n") != 0)
		broken("no valid JSON");
	scan = strstr(t->at, "\"scan\":{");
	if (scan && (sscanf(scan, "\"scan\":{\"processes\":%zu,\"measured\":%zu,\"denied\":%zu,\"vanished\":%zu,\"stalled\":%zu,\"skipped\":%zu,",
	    &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]) != 6 || n[0] != n[1] + n[2] + n[3] + n[4] + n[5]))
		broken("the counts do not add up");
}

static void
messages_judge(const struct text *t)
{
	size_t n;
	uint32_t c;

	for (const char *s = t->at; *s; s++) {
		if (strncmp(s, "memz: ", 6) != 0)
			broken("a message without memz: in front");
		for (; *s != '\n'; s += n) {
			n = utf8_length((const unsigned char *)s, &c);
			if (n == 0 || is_odd(c))
				broken("byte %zu of the messages is %02x", (size_t)(s - t->at), (unsigned char)*s);
		}
	}
}

static bool
is_csv(char **args, int n)
{
	for (int i = 1; i < n; i++)
		if (strlen(args[i]) >= 4 && strncmp("--csv", args[i], strlen(args[i])) == 0)
			return true;
	return false;
}

static void
judge(char **args, int n)
{
	if (kept.status < 0 || kept.status > 3)
		broken("status %d", kept.status);
	messages_judge(&kept.err);
	if (kept.status == 2 && (kept.out.n > 0 || kept.err.n == 0 || strchr(kept.err.at, '\n') != kept.err.at + kept.err.n - 1))
		broken("misuse is no single line on stderr");
	if (kept.status == 1 && kept.err.n == 0)
		broken("an error without a word");
	if (kept.out.n == 0)
		return;
	if (strncmp(kept.out.at, "{\"memz\":", 8) == 0)
		json_judge(&kept.out);
	else if (is_csv(args, n) && strncmp(kept.out.at, "Usage: memz", 11) != 0 && strncmp(kept.out.at, "memz ", 5) != 0)
		csv_judge(&kept.out);
	else
		text_judge(&kept.out);
}

/* Sources made of an input */

/* An input of "\x1eNAME\nCONTENT\x1eNAME\n...": the next; false at the end. NAME with @ in front is a symbolic link, with !
 * one that was refused, with / at the end a directory. */
struct chunk {
	char name[80];
	char type;
	bool refused;
	const uint8_t *data;
	size_t n;
};

static bool
chunk_next(const uint8_t **at, const uint8_t *end, struct chunk *c)
{
	const uint8_t *name, *stop;
	size_t n;

	do {
		if (!*at || *at >= end || !(name = memchr(*at, 0x1e, (size_t)(end - *at))))
			return false;
		name++;
		stop = memchr(name, 0x1e, (size_t)(end - name));
		*at = stop = stop ? stop : end;
		c->data = memchr(name, '\n', (size_t)(stop - name));
	} while (!c->data);
	c->type = *name == '@' ? '2' : '0';
	c->refused = *name == '!';
	name += *name == '@' || *name == '!';
	n = c->data > name ? (size_t)(c->data - name) : 0;
	c->data++;
	c->n = c->refused ? 0 : (size_t)(stop - c->data);
	n = n < sizeof c->name - 1 ? n : sizeof c->name - 1;
	memcpy(c->name, name, n);
	c->name[n] = '\0';
	n = strlen(c->name);
	if (n > 1 && c->name[n - 1] == '/') {
		c->type = '5';
		c->name[n - 1] = '\0';
	}
	return true;
}

/* The chunks as an archive, in TO. */
static void
archive_make(struct text *to, const uint8_t *data, size_t size)
{
	struct buf b = { NULL, 0, 0 };
	static const char zeros[2 * BLOCK];
	const uint8_t *at = data;
	struct chunk c;
	char link_text[128];
	size_t begun;

	to->n = 0;
	for (int i = 0; i < MEMBERS_MAX && chunk_next(&at, data + size, &c); i++) {
		snprintf(link_text, sizeof link_text, "%.*s", (int)(c.n < 127 ? c.n : 127), (const char *)c.data);
		begun = member_begin(&b, *c.name ? c.name : "-", c.type, c.type == '2' ? link_text : NULL, c.refused);
		if (c.type == '0')
			buf_add(&b, c.data, c.n);
		member_end(&b, begun);
	}
	block_fill(&b);
	text_add(to, b.text, b.len);
	text_add(to, zeros, sizeof zeros);
	world_free(b.text);
}

/* One file, or several, held in memory as an archive would be. */
static struct archive *
archive_of(const uint8_t *data, size_t size, const char *name)
{
	static struct archive a;
	static struct arena texts;
	const uint8_t *at = data;
	struct chunk c = { .type = '0', .data = data, .n = size };

	a = (struct archive){ .members = world_malloc(MEMBERS_MAX * sizeof *a.members) };
	snprintf(c.name, sizeof c.name, "%s", name ? name : "");
	while ((name && a.n == 0) || (!name && a.n < MEMBERS_MAX && chunk_next(&at, data + size, &c))) {
		char *copy = world_malloc(c.n + 1);
		const char *text = c.type == '2' ? text_intern(&texts, (const char *)c.data, c.n) : NULL;

		if (!is_safe(c.name) || !*c.name)
			continue;
		memcpy(copy, c.data, c.n);
		copy = world_realloc(copy, c.n ? c.n : 1);	/* so that it ends where the file does */
		a.members[a.n++] = (struct member){ text_intern(&texts, c.name, strlen(c.name)), copy, c.type == '0' ? c.n : 0, text, c.type, c.refused };
	}
	members_sort(&a);
	return &a;
}

static struct source
source_of(const struct archive *a)
{
	struct source s = { .page = 4096, .time = NAN };

	s.proc = s.root = (struct dir){ .fd = -1, .archive = a, .saved = true };
	strcpy(s.proc.path, "proc/");
	return s;
}

/* Long lines are made of short inputs: \5 and a byte are that many KiB of the byte before. */
static void
lengthen(struct text *to, const uint8_t *data, size_t size)
{
	size_t most = 4u << 16;

	to->n = 0;
	text_add(to, "", 0);
	for (size_t i = 0; i < size; i++)
		if (data[i] == 5 && i > 0 && i + 1 < size && to->n < most) {
			for (size_t n = data[++i] % 80u; n > 0; n--) {
				char run[1024];

				memset(run, to->at[to->n - 1], sizeof run);
				text_add(to, run, sizeof run);
			}
		} else
			text_add(to, &data[i], 1);
}

/* Targets */

struct target {
	const char *name;
	void (*run)(const struct target *, const uint8_t *, size_t);
	const char *file;		/* what the input is */
	unsigned source;
};

static void
sane(int64_t n, const char *what)
{
	if (n < 0 && n != UNKNOWN)
		broken("%s is %lld", what, (long long)n);
}

static void
proc_judge(struct proc *p)
{
	for (const struct column *c = columns; c->name; c++)
		if (!is_text(c->kind) && c->kind != FLAG && !(c->source & SRC_NOT_IN_PROC) && c->source != OOM_ADJ && c->source != OOM_SCORE && strcmp(c->name, "rss_anon") != 0)
			sane(*number_ptr(p, c), c->name);
	for (const struct column *c = columns; c->name; c++)
		if ((c->kind == TEXT || c->kind == NODES) && !(c->source & SRC_NOT_IN_PROC)) {
			const char *text = *(const char *const *)(const void *)((const char *)p + c->offset);

			if (text && strlen(text) > 1u << 26)
				broken("%s is longer than any file", c->name);
		}
}

/* A buffer that ends where its text does. */
static struct buf
buf_of(const uint8_t *data, size_t size)
{
	struct buf b = { world_malloc(size + 1), size, size + 1 };

	if (size > 0)
		memcpy(b.text, data, size);
	b.text[size] = '\0';
	return b;
}

static struct reader reader;

static void
pass_read(const struct archive *a, unsigned want, struct proc *p)
{
	struct source s = source_of(a);
	struct scan pass = { .from = &s, .want = want, .most = UNKNOWN };

	memset(&reader, 0, offsetof(struct reader, vma_name));
	reader.pass = &pass;
	kept.fails = kept.scarce;
	proc_read(&reader, p);
	mappings_join(&reader, p);
	kept.fails = 0;
	proc_judge(p);
	table_free(&reader.fresh);
	table_free(&reader.mappings);
}

/* One file of a process: by its parser alone, and among the others. */
static void
of_process(const struct target *t, const uint8_t *data, size_t size)
{
	static const struct source s = { .page = 4096, .time = NAN, .proc = { .fd = -1 }, .root = { .fd = -1 } };
	const struct scan pass = { .from = &s, .most = UNKNOWN };
	struct proc p = unknown_proc, whole = { .pid = 1 };
	const struct file *f = files;
	char name[32];

	while (f->source != t->source)
		f++;
	if (f->parse) {
		reader.pass = &pass;
		reader.buf = buf_of(data, size);
		if (t->source != CMDLINE)
			nuls_mark(reader.buf.text, size);
		p.pid = 1;
		f->parse(&reader, &p);
		proc_derive(&p);
		proc_judge(&p);
		world_free(reader.buf.text);
	}
	snprintf(name, sizeof name, "proc/1/%s", t->file);
	pass_read(archive_of(data, size, name), t->source | (t->source == CMDLINE ? COMM : 0u), &whole);
	if (f->parse && !kept.scarce && whole.got & t->source && (p.vsz != whole.vsz || p.pss != whole.pss || p.swap != whole.swap || p.start != whole.start || p.uid != whole.uid ||
	    p.vm_hwm != whole.vm_hwm || p.oom_score_adj != whole.oom_score_adj))
		broken("the same file says two things");
}

/* A file that is read line by line, each in memory that ends where it does, and as a whole. */
static void
of_lines(const struct target *t, const uint8_t *data, size_t size)
{
	static const struct source s = { .page = 4096, .time = NAN, .proc = { .fd = -1 }, .root = { .fd = -1 } };
	const struct scan pass = { .from = &s, .most = UNKNOWN };
	struct text *whole = &kept.files[0];
	struct proc p = unknown_proc;
	char name[32];

	reader.pass = &pass;
	reader.in_vma = false;
	group_row_init(&reader.vma);
	for (size_t at = 0, n; at < size && size < 4096; at += n + 1) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		struct buf line;

		n = end ? (size_t)(end - data) - at : size - at;
		line = buf_of(data + at, n);
		nuls_mark(line.text, n);
		if (t->source == ROLLUP)
			smaps_line(&reader, &p, line.text);
		else if (t->source == SMAPS)
			mapping_line(&reader, &p, line.text);
		else if (t->source == NUMA_MAPS)
			numa_line(&reader, &p, line.text);
		world_free(line.text);
	}
	mapping_end(&reader, &p);
	sums_finish(&p);
	if (t->source == SMAPS) {
		memory_mounts.mounts = world_malloc(2 * sizeof *memory_mounts.mounts);
		for (memory_mounts.n = 0; memory_mounts.n < 2; memory_mounts.n++) {
			memory_mounts.mounts[memory_mounts.n].dev[0] = 0;
			memory_mounts.mounts[memory_mounts.n].dev[1] = 0x17 + (unsigned)memory_mounts.n;
			memory_mounts.mounts[memory_mounts.n].huge = memory_mounts.n == 1;
		}
	}
	lengthen(whole, data, size);
	snprintf(name, sizeof name, "proc/1/%s", t->file);
	p = (struct proc){ .pid = 1 };
	pass_read(archive_of((const uint8_t *)whole->at, whole->n, name), t->source, &p);
	if (p.numa && *p.numa && (!strchr(p.numa, '=') || strstr(p.numa, "-") || strstr(p.numa, "  ")))
		broken("numa is '%s'", p.numa);
}

/* All files of process 1, and of others. */
static void
of_processes(const struct target *t, const uint8_t *data, size_t size)
{
	struct archive *a = archive_of(data, size, NULL);
	struct proc p = { .pid = 1 }, other = { .pid = 2 };
	const char *name;

	(void)t;
	pass_read(a, ~0u & ~(unsigned)(SRC_COMPUTED | RSS | SMAPS), &p);
	pass_read(a, STATM | COMM, &other);
	if (p.outcome == MEASURED && p.got & COMM && !p.name && !kept.scarce)
		broken("a comm that was read is no name");
	kept.fails = kept.scarce;
	name = user_name(&(struct source){ .root = { .archive = a, .fd = -1, .saved = true } }, p.uid);
	kept.fails = 0;
	if (p.uid != UNKNOWN && !name && !kept.scarce)
		broken("a uid without a name");
}

/* Files of the machine */

static void
figures_judge(const struct counters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		sane(f->list[i].value, f->list[i].name);
		if (strspn(f->list[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(f->list[i].name))
			broken("a figure called '%s'", f->list[i].name);
	}
}

static void
of_machine(const struct target *t, const uint8_t *data, size_t size)
{
	struct archive *a = archive_of(data, size, t->file);
	struct source s = source_of(a);
	struct machine m = { .boot = UNKNOWN };
	struct system system = { .nodes = NULL };

	kept.fails = kept.scarce;
	if ((machine_read(&s, &m) < 0 || system_read(&s, &system) < 0) && !kept.scarce)
		broken("no memory");
	kept.fails = 0;
	if (kept.scarce)
		return;
	m.boot = machine_boot(&s);
	machine_slack(&s, &m);
	figures_judge(&m.memory);
	figures_judge(&system.vm);
	for (size_t i = 0; i < system.nnodes; i++)
		figures_judge(&system.nodes[i].memory);
	sane(m.mem_total, "mem_total");
	sane(system.zram_used, "zram_used");
	sane(system.zram_data, "zram_data");
	for (size_t i = 0; i < system.nzones; i++)
		if (system.zones[i].node < 0 || system.zones[i].orders < 1 || system.zones[i].orders > ORDERS_MAX)
			broken("a zone of node %d", system.zones[i].node);
	for (int i = 0; i < 6; i++)
		if (!isnan(system.psi[i]) && (system.psi[i] < 0 || system.psi[i] > 100))
			broken("a pressure of %f", system.psi[i]);
	if (m.time && strlen(m.time) < 20)
		broken("the time is %s", m.time);
}

/* Gives each line of DATA to TAKE. */
static void
each_line(const uint8_t *data, size_t size, void (*take)(char *line, void *arg), void *arg)
{
	for (size_t at = 0, n; at < size; at += n + 1) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		struct buf line;

		n = end ? (size_t)(end - data) - at : size - at;
		line = buf_of(data + at, n);
		take(line.text, arg);
		world_free(line.text);
	}
}

static void
take_zone(char *line, void *zone)
{
	zone_parse(zone, line);
}

static void
take_mount(char *line, void *controller)
{
	controller_line(controller, line);
	if (controller_path(controller, "/a/b"))
		memcg_file_kib(controller, "/a/b", 4, "memory.max");
}

static void
of_zones(const struct target *t, const uint8_t *data, size_t size)
{
	struct zone z;

	each_line(data, size, take_zone, &z);
	of_machine(t, data, size);
}

/* Mounts: where the controller is, and what is tmpfs; and the limits of some groups. */
static void
of_mounts(const struct target *t, const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "/", "/a", "/a/b.service", "/docker/0123", "/../x", "" };
	struct archive *a = archive_of(data, size, memchr(data, 0x1e, size) ? NULL : t->file);
	struct source s = source_of(a);
	struct controller c = { .version = 0 };
	struct group_row row;

	each_line(data, size, take_mount, &c);
	kept.fails = kept.scarce;
	memory_mounts_read(&s);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		group_row_init(&row);
		cgroup_read(&s, paths[i], &row);
		sane(row.cg_usage, "cg_usage");
		sane(row.cg_limit, "cg_limit");
		sane(row.cg_swap, "cg_swap");
	}
}

static void
of_passwd(const struct target *t, const uint8_t *data, size_t size)
{
	static const int64_t uids[] = { 0, 1000, 65534, 4294967295 };
	struct archive *a = archive_of(data, size, t->file);
	struct source s = source_of(a);
	struct buf whole = buf_of(data, size);
	const char *at = whole.text, *name;
	int64_t uid;
	size_t len;

	while (passwd_next(&at, &name, &len, &uid)) {
		char *copy = world_strndup(name, len);

		sane(uid, "a uid");
		if (name < whole.text || name + len > whole.text + size || memchr(name, '\n', len))
			broken("a name lies elsewhere");
		if (!memchr(data, 0, size) && user_id(&s, copy) == UNKNOWN)
			broken("'%s' is nobody", copy);
	}
	kept.fails = kept.scarce;
	for (size_t i = 0; i < sizeof uids / sizeof *uids; i++)
		for (int twice = 0; twice < 2; twice++)
			if ((!(name = user_name(&s, uids[i])) || !*name) && !kept.scarce)
				broken("a uid without a name");
}

static bool
is_utf8(const char *text)
{
	uint32_t c;

	for (size_t n; *text; text += n)
		if ((n = utf8(text, &c)) == 0)
			return false;
	return true;
}

/* Does libc say the same? It takes long over some, errs on repeated edges and on ^ behind a line feed, and knows more letters. */
static void
pattern_judge(const struct pattern *p, const char *pattern, const char *text)
{
	bool plain = strlen(pattern) <= 24 && !strpbrk(pattern, "{\\") && !strstr(pattern, "[:") && !strchr(text, '\n') && is_utf8(pattern) && is_utf8(text);
	regex_t regex;

	for (const char *at = pattern; (at = strpbrk(at, "*+?")); at += strspn(at, "*+?"))
		plain = plain && strspn(at, "*+?") == 1;
	if (!plain || regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return;
	if ((regexec(&regex, text, 0, NULL, 0) == 0) != pattern_finds(p, text))
		broken("'%s' in '%s': libc says otherwise", pattern, text);
	regfree(&regex);
}

/* A regular expression and, after a line feed, a text. */
static void
of_pattern(const struct target *t, const uint8_t *data, size_t size)
{
	const uint8_t *line = memchr(data, '\n', size);
	struct buf pattern = buf_of(data, line ? (size_t)(line - data) : size);
	struct buf text = buf_of(line ? line + 1 : data, line ? size - (size_t)(line - data) - 1 : 0);
	const struct pattern *p;
	const char *why;

	(void)t;
	kept.fails = kept.scarce;
	p = pattern_read(pattern.text, &why);
	kept.fails = 0;
	if (!p && (!why || !*why))
		broken("'%s' is wrong, and nobody knows why", pattern.text);
	if (p && (p->n > STEPS_MAX || p->steps[p->n - 1].kind != FOUND))
		broken("'%s' has %zu steps, and no end", pattern.text, p->n);
	if (p)
		pattern_judge(p, pattern.text, text.text);
}

/* What --save says of itself. */
static void
of_description(const struct target *t, const uint8_t *data, size_t size)
{
	struct archive *a = archive_of(data, size, t->file);
	struct source s = source_of(a);
	struct machine m;
	bool denied = false;

	kept.fails = kept.scarce;
	s.described = source_describe(&s);
	kept.fails = 0;
	if (s.page < 1024)
		broken("pages of %lld bytes", (long long)s.page);
	if (mm_compare(&s, 1, 2, &denied) != -mm_compare(&s, 2, 1, &denied))
		broken("two spaces are in two orders");
	source_self(&s);
	if (machine_read(&s, &m) < 0)
		broken("no memory");
	pages(INT64_MAX / 3, &s);
}

/* Records of long names, in memory that ends where they do. */
static void
of_pax(const struct target *t, const uint8_t *data, size_t size)
{
	static struct arena texts;
	char *copy = world_malloc(size ? size : 1);
	const char *value;

	(void)t;
	memcpy(copy, data, size);
	kept.fails = kept.scarce;
	for (int i = 0; i < 2; i++)
		if ((value = pax_value(&texts, copy, size, i ? "linkpath" : "path")) && strlen(value) > size)
			broken("a name longer than its record");
	kept.fails = 0;
}

/* Whole runs */

static const char *const reports[][5] = {
	{ "--json", "-A", "-c", "all,maps,numa,exe,ancestry,oom_score,oom_score_adj,start,time,host,bar" }, { "-t" }, { "--csv", "-m" }, { "-w", "--json" },
	{ "--json", "--by", "cgroup" }, { "--json", "-m", "-t" }, { "--since", "B", "-A" }, { "-w" }, { "-A", "-c", "all,maps,numa,exe" },
	{ "--csv", "-A", "-c", "pid,name,command,exe,cgroup,unit,container,state,numa,user" }, { "-u", "-t" }, { "--csv", "-w" },
};
#define NREPORTS (sizeof reports / sizeof *reports)

/* Checksums, which chance does not find. */
static void
sums_mend(char *data, size_t size)
{
	for (size_t at = 0, n; at + BLOCK <= size && data[at]; at += BLOCK + (n + BLOCK - 1) / BLOCK * BLOCK) {
		struct header h;

		memcpy(&h, data + at, sizeof h);
		snprintf(h.sum, sizeof h.sum, "%06o", header_sum(&h));
		memcpy(data + at, &h, sizeof h);
		n = h.type == '1' || h.type == '2' || h.type == '5' ? 0 : header_number(h.size, sizeof h.size);
		if (n > size - at - BLOCK)
			break;
	}
}

static void
archive_judge(void)
{
	const char *why;
	const struct source *s = source_open("A", &why);
	const struct archive *a = s ? s->root.archive : NULL;
	size_t unsafe;

	if (!a)
		return;
	if (source_damage(s, &unsafe) > a->size)
		broken("damaged behind the end");
	for (size_t i = 0; i < a->n; i++) {
		const struct member *m = &a->members[i];

		if (!*m->name || !is_safe(m->name) || strstr(m->name, "/../") || *m->name == '/')
			broken("a member called '%s'", m->name);
		if (i > 0 && strcmp(a->members[i - 1].name, m->name) >= 0 && !a->no_proc_prefix)
			broken("members are not in order: '%s'", m->name);
		if (m->type == '0' && (m->data < a->map || m->size > a->size || m->data + m->size > a->map + a->size))
			broken("'%s' lies outside", m->name);
		if (!a->no_proc_prefix && strlen(m->name) < PATH_MAX - 2 && member_find(&s->root, m->name) != m)
			broken("'%s' is not found", m->name);
	}
}

/* A tar archive behind one byte, which says what to report, and whether to mend the checksums. */
static void
of_archive(const struct target *t, const uint8_t *data, size_t size)
{
	char *args[16] = { "memz", "-S", "A" };
	const char *const *report;
	int n = 3;

	(void)t;
	if (size == 0)
		return;
	kept.files[0].n = kept.files[1].n = 0;
	text_add(&kept.files[0], data + 1, size - 1);
	if (*data & 1)
		sums_mend(kept.files[0].at, size - 1);
	text_add(&kept.files[1], kept.menu[1].at, kept.menu[1].n);
	archive_judge();
	restore();
	report = reports[(*data >> 1) % NREPORTS];
	for (int i = 0; i < 5 && report[i]; i++)
		args[n++] = world_strdup(report[i]);
	args[n] = NULL;
	program_run(args, n);
	judge(args, n);
}

/* The first line of an input for the program: t for a terminal, 80 for its width, o7 for no memory the 7th time, d for twice
 * the same, r for reading what that saves as well, n for no -S A. */
struct manner {
	bool terminal, twice, again, no_source;
	unsigned short width;
	size_t fails;
};

static struct manner
manner_read(const uint8_t *data, size_t n)
{
	struct manner m = { .width = 80 };

	for (size_t i = 0; i < n; i++) {
		size_t number_at = 0, j = i + 1;

		while (j < n && j < i + 4 && data[j] >= '0' && data[j] <= '9')
			number_at = 10 * number_at + (data[j++] - (size_t)'0');
		switch (data[i]) {
		case 't': m.terminal = true; m.width = (unsigned short)number_at; break;
		case 'd': m.twice = true; break;
		case 'r': m.again = true; break;
		case 'n': m.no_source = true; break;
		case 'o': m.fails = number_at; break;
		}
	}
	return m;
}

/* The arguments, a line each, up to END. The texts live as long as the run. */
static int
args_read(char **args, int n, const uint8_t *data, const uint8_t *end)
{
	while (data < end && n < ARGS_MAX - 3) {
		const uint8_t *stop = memchr(data, '\n', (size_t)(end - data));
		size_t len = stop ? (size_t)(stop - data) : (size_t)(end - data);

		args[n++] = world_strndup((const char *)data, len);
		data += len + 1;
	}
	args[n] = NULL;
	return n;
}

/* One run as the input says: first a line of manner, then arguments, up to END. */
static void
program_try(const uint8_t *data, const uint8_t *end, const char *source, bool save, int fill)
{
	const uint8_t *line = memchr(data, '\n', (size_t)(end - data));
	struct manner m = manner_read(data, (size_t)((line ? line : end) - data));
	char *args[ARGS_MAX] = { "memz", "-S" }, name[2] = "A";
	int n = m.no_source ? 1 : 3;

	kept.fill = fill;
	name[0] = *source;
	args[2] = name;
	n = args_read(args, n, line ? line + 1 : end, end);
	if (save) {
		args[n++] = "--save";
		args[n++] = "X";
		args[n] = NULL;
	}
	kept.terminal = m.terminal;
	kept.width = m.width;
	kept.fails = save ? 0 : m.fails;
	program_run(args, n);
	kept.fails = 0;
	judge(args, n);
}

static void
again_judge(const struct text *first, int status)
{
	if (kept.status != status || kept.out.n != first->n || memcmp(kept.out.at, first->at, first->n) != 0)
		broken("the same again: status %d, not %d, or another report than\n%.*s", kept.status, status, (int)first->n, first->at);
}

static void
program_vary(const uint8_t *data, const uint8_t *end)
{
	static const uint8_t all[] = "\n-A\n--json";
	const uint8_t *line = memchr(data, '\n', (size_t)(end - data));
	struct manner m = manner_read(data, (size_t)((line ? line : end) - data));
	struct text first = { NULL, 0, 0 };
	int status;

	kept.is_saved = false;
	program_try(data, end, "A", false, 0xa5);
	if (m.fails || !(m.twice || m.again) || m.no_source)
		return;
	text_add(&first, kept.out.at, kept.out.n);
	status = kept.status;
	if (m.twice) {
		restore();
		kept.is_saved = false;
		program_try(data, end, "A", false, 0x5a);
		again_judge(&first, status);
	}
	if (m.again && (status == 0 || status == 3)) {
		restore();
		program_try(data, end, "A", true, 0);
		restore();
		if (kept.is_saved)
			program_try(all, all + sizeof all - 1, "X", false, 0);
		if (kept.is_saved && (kept.status != 0 || strstr(kept.err.at, "damaged")))
			broken("what was saved cannot be read: status %d", kept.status);
	}
	free(first.at);
}

/* Options, on machines that are as they should be. */
static void
of_options(const struct target *t, const uint8_t *data, size_t size)
{
	(void)t;
	for (int i = 0; i < 2; i++) {
		kept.files[i].n = 0;
		text_add(&kept.files[i], kept.menu[i].at, kept.menu[i].n);
	}
	program_vary(data, data + size);
}

/* Options, then a machine; after \x1d an earlier one. */
static void
of_report(const struct target *t, const uint8_t *data, size_t size)
{
	const uint8_t *machine = memchr(data, 0x1e, size), *end = data + size;
	const uint8_t *before = machine ? memchr(machine, 0x1d, (size_t)(end - machine)) : NULL;

	(void)t;
	if (!machine)
		return;
	archive_make(&kept.files[0], machine, (size_t)((before ? before : end) - machine));
	archive_make(&kept.files[1], before ? before : machine, (size_t)(end - (before ? before : machine)));
	restore();
	program_vary(data, machine);
}

static const struct target targets[] = {
	{ "statm",        of_process,     "statm",         STATM },
	{ "stat",         of_process,     "stat",          STAT },
	{ "status",       of_process,     "status",        STATUS },
	{ "smaps_rollup", of_process,     "smaps_rollup",  ROLLUP },
	{ "cgroup",       of_process,     "cgroup",        CGROUP },
	{ "cmdline",      of_process,     "cmdline",       CMDLINE },
	{ "comm",         of_process,     "comm",          COMM },
	{ "oom_score",    of_process,     "oom_score_adj", OOM_ADJ },
	{ "smaps",        of_lines,       "smaps",         ROLLUP },
	{ "mappings",     of_lines,       "smaps",         SMAPS },
	{ "maps",         of_lines,       "maps",          MAPS },
	{ "numa_maps",    of_lines,       "numa_maps",     NUMA_MAPS },
	{ "process",      of_processes,   NULL,            0 },
	{ "meminfo",      of_machine,     "proc/meminfo",  0 },
	{ "vmstat",       of_machine,     "proc/vmstat",   0 },
	{ "node",         of_machine,     "sys/devices/system/node/node0/meminfo", 0 },
	{ "pressure",     of_machine,     "proc/pressure/memory", 0 },
	{ "mm_stat",      of_machine,     "sys/block/zram0/mm_stat", 0 },
	{ "machine",      of_machine,     NULL,            0 },
	{ "buddyinfo",    of_zones,       "proc/buddyinfo", 0 },
	{ "mountinfo",    of_mounts,      "proc/self/mountinfo", 0 },
	{ "passwd",       of_passwd,      "etc/passwd",    0 },
	{ "pattern",      of_pattern,     NULL,            0 },
	{ "description",  of_description, "memz",          0 },
	{ "pax",          of_pax,         NULL,            0 },
	{ "archive",      of_archive,     NULL,            0 },
	{ "report",       of_report,      NULL,            0 },
	{ "options",      of_options,     NULL,            0 },
	{ NULL,           NULL,           NULL,            0 },
};

/* The file that the environment variable names. */
static void
menu_read(struct text *to, const char *variable)
{
	const char *name = getenv(variable);
	FILE *f = name ? fopen(name, "r") : NULL;
	char part[4096];
	size_t n;

	text_add(to, "", 0);
	while (f && (n = fread(part, 1, sizeof part, f)) > 0)
		text_add(to, part, n);
	if (f)
		fclose(f);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *slash = strrchr(**argv, '/'), *name = slash ? slash + 1 : **argv;

	(void)argc;
	for (kept.target = targets; kept.target->name && strcmp(kept.target->name, name) != 0; kept.target++)
		;
	if (!kept.target->name) {
		for (const struct target *t = targets; t->name; t++)
			puts(t->name);		/* called by another name, it tells those it has */
		exit(0);
	}
	setlocale(LC_CTYPE, "C.UTF-8");
	menu_read(&kept.menu[0], "FUZZ_NOW");
	menu_read(&kept.menu[1], "FUZZ_BEFORE");
	for (int i = 0; i < FILES; i++)
		text_add(&kept.files[i], "", 0);
	snapshot();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = HASH_BEGIN;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 1099511628211u;
	kept.scarce = sum >> 32 & 7 ? 0 : 1 + (sum >> 40) % 16;		/* one in eight has to do with little memory */
	kept.target->run(kept.target, data, size);
	restore();
	return 0;
}

#ifdef REPLAY
static void
replay(const char *name)
{
	struct text t = { NULL, 0, 0 };
	char part[4096];
	size_t n;
	FILE *f = fopen(name, "r");

	if (!f)
		return;
	text_add(&t, "", 0);
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		text_add(&t, part, n);
	fclose(f);
	LLVMFuzzerTestOneInput((const uint8_t *)t.at, t.n);
	free(t.at);
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(*argv, '/');

	if (strcmp(slash ? slash + 1 : *argv, "memz") == 0) {
		kept.real = true;
		return memz_main(argc, argv);
	}
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;
		char name[PATH_MAX];

		if (!dir)
			replay(argv[i]);
		while (dir && (entry = readdir(dir)))
			if (entry->d_type == DT_REG && snprintf(name, sizeof name, "%s/%s", argv[i], entry->d_name) < (int)sizeof name)
				replay(name);
		if (dir)
			closedir(dir);
	}
	return 0;
}
#endif
#endif
