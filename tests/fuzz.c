/*
 * fuzz: the files that memz reads, made up by libFuzzer. Each target puts its input in the place of one file of a small
 * archive, or of several, or is the command line; then memz runs on it as a whole. tests/fuzz builds and runs them.
 *
 *	TARGET [libFuzzer's options] [FILE|DIRECTORY]...	with libFuzzer: the program's name is that of the target
 *	TARGET FILE|DIRECTORY...				with -DREPLAY: runs each once
 *	memz ...						the same program is memz itself
 *
 * It knows nothing of memz but its main. Compiled as it is, it is the targets; with -DPROGRAM it goes in front of memz.c,
 * parse.c and report.c (-include). There the calls named below are not libc's: a run touches no file, thread or clock, its
 * memory is counted, and exit comes back here. Their .data and .bss are renamed memz_data and memz_bss, and put back after
 * each run.
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
void *world_reallocarray(void *at, size_t n, size_t size);
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
int world_munmap(void *at, size_t size);
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
int world_asprintf(char **text, const char *format, ...);
int world_regcomp(regex_t *regex, const char *pattern, int flags);
void world_regfree(regex_t *regex);
typedef int world_compare(const void *a, const void *b);
void *world_tsearch(const void *key, void **root, world_compare *compare);
void *world_tfind(const void *key, void *const *root, world_compare *compare);
void *world_tdelete(const void *key, void **root, world_compare *compare);
void world_tdestroy(void *root, void (*free_key)(void *key));

#ifdef PROGRAM
#define malloc(...)		world_malloc(__VA_ARGS__)
#define calloc(...)		world_calloc(__VA_ARGS__)
#define realloc(...)		world_realloc(__VA_ARGS__)
#define reallocarray(...)	world_reallocarray(__VA_ARGS__)
#define free			world_free	/* also where it is passed to tdestroy */
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
#define munmap(...)		world_munmap(__VA_ARGS__)
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
#define asprintf(...)		world_asprintf(__VA_ARGS__)
#define regcomp(...)		world_regcomp(__VA_ARGS__)
#define regfree(...)		world_regfree(__VA_ARGS__)
#define tsearch(...)		world_tsearch(__VA_ARGS__)
#define tfind(...)		world_tfind(__VA_ARGS__)
#define tdelete(...)		world_tdelete(__VA_ARGS__)
#define tdestroy(...)		world_tdestroy(__VA_ARGS__)
#undef SYS_renameat2
#define SYS_renameat2		world_renameat2()

#else
int memz_main(int argc, char **argv);
int LLVMFuzzerInitialize(int *argc, char ***argv);
__attribute__((weak)) int __llvm_profile_write_file(void);	/* of a build that counts coverage */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
#ifdef REPLAY
#define LLVMFuzzerMutate(data, size, most)	((void)(most), (size))
#else
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
#endif

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
	regex_t *regexes[64];		/* compiled in this run */
	size_t nregexes;
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

void *
world_reallocarray(void *at, size_t n, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(n, size, &bytes))
		return world_realloc(at, bytes);
	errno = ENOMEM;
	return NULL;
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

__attribute__((format(printf, 2, 3))) int
world_asprintf(char **text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(text, format, args);
	va_end(args);
	if (n >= 0 && !kept.real)
		remembered(*text, 0);
	return n;
}

/* What libc allocates for it is freed after the run. */
int
world_regcomp(regex_t *regex, const char *pattern, int flags)
{
	int result = regcomp(regex, pattern, flags);

	if (result == 0 && !kept.real && kept.nregexes < sizeof kept.regexes / sizeof *kept.regexes)
		kept.regexes[kept.nregexes++] = regex;
	return result;
}

void
world_regfree(regex_t *regex)
{
	for (size_t i = 0; i < kept.nregexes; i++)
		if (kept.regexes[i] == regex)
			kept.regexes[i] = kept.regexes[--kept.nregexes];
	regfree(regex);
}

/* The trees of search.h, as the nodes of libc's would stay after a run, and never lack memory. */

struct tree_node {
	const void *key;			/* first, as the caller reads it */
	struct tree_node *left, *right;
};

static struct tree_node **
tree_place(const void *key, struct tree_node **at, world_compare *compare)
{
	for (int order; *at && (order = compare(key, (*at)->key)) != 0; )
		at = order < 0 ? &(*at)->left : &(*at)->right;
	return at;
}

void *
world_tsearch(const void *key, void **root, world_compare *compare)
{
	struct tree_node *tree = *root, **at = tree_place(key, &tree, compare);

	if (!*at && (*at = world_calloc(1, sizeof **at)))
		(*at)->key = key;
	*root = tree;
	return *at;
}

void *
world_tfind(const void *key, void *const *root, world_compare *compare)
{
	struct tree_node *tree = *root;

	return *tree_place(key, &tree, compare);
}

void *
world_tdelete(const void *key, void **root, world_compare *compare)
{
	struct tree_node *tree = *root, **at = tree_place(key, &tree, compare), *gone = *at, **last;

	if (!gone)
		return NULL;
	for (last = &gone->left; *last; last = &(*last)->right)
		;
	*last = gone->right;
	*at = gone->left;
	world_free(gone);
	*root = tree;
	return root;				/* not NULL, as that of a root is unspecified */
}

void
world_tdestroy(void *root, void (*free_key)(void *key))
{
	struct tree_node *node = root;

	while (node) {
		struct tree_node *next, **last;

		for (last = &node->left; *last; last = &(*last)->right)
			;
		*last = node->right;
		next = node->left;
		free_key((void *)(uintptr_t)node->key);
		world_free(node);
		node = next;
	}
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

/* Memory of world_mmap is freed after the run. */
int
world_munmap(void *at, size_t size)
{
	return kept.real ? munmap(at, size) : 0;
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
	return kept.real ? SYS_renameat2 : 100000;
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
	for (; kept.nregexes > 0; kept.nregexes--)
		regfree(kept.regexes[kept.nregexes - 1]);
	for (; kept.nlive > 0; kept.nlive--)
		free(kept.live[kept.nlive - 1]);
	bytes_copy(__start_memz_data, kept.data, (size_t)(__stop_memz_data - __start_memz_data));
	bytes_copy(__start_memz_bss, kept.bss, (size_t)(__stop_memz_bss - __start_memz_bss));
	kept.fails = 0;
}

static void
snapshot(void)
{
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

/* Archives made of an input */

#define BLOCK	512

/* Adds a member of ustar; TYPE as there: 0 a file, 1 a hard link, 2 a symbolic link, 5 a directory, x a record of pax. */
static void
member_put(struct text *to, const char *name, char type, bool refused, const void *data, size_t n)
{
	static const char zeros[BLOCK];
	char header[BLOCK] = "";
	bool is_link = type == '1' || type == '2';
	unsigned sum = 0;

	snprintf(header, 100, "%s", *name ? name : "-");
	snprintf(header + 100, 8, "%07o", refused ? 0u : 0600u);
	snprintf(header + 124, 12, "%011zo", is_link || type == '5' ? 0 : n);
	snprintf(header + 136, 12, "%011o", 0u);
	memset(header + 148, ' ', 8);
	header[156] = type;
	if (is_link)
		memcpy(header + 157, data, n < 99 ? n : 99);
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 7, "%06o", sum & 0777777);
	text_add(to, header, BLOCK);
	if (is_link || type == '5')
		return;
	text_add(to, data, n);
	text_add(to, zeros, (BLOCK - n % BLOCK) % BLOCK);
}

static void
archive_end(struct text *to)
{
	static const char zeros[2 * BLOCK];

	text_add(to, zeros, sizeof zeros);
}

/* An input of "\x1eNAME\nCONTENT\x1eNAME\n...": adds a member for each. NAME with @ in front is a symbolic link, with ! one
 * that was refused, with / at the end a directory. */
static void
members_put(struct text *to, const uint8_t *data, size_t size)
{
	const uint8_t *at = size ? memchr(data, 0x1e, size) : NULL, *end = data + size;

	for (int i = 0; at && at + 1 < end && i < MEMBERS_MAX; i++) {
		const uint8_t *name = at + 1, *next = memchr(name, 0x1e, (size_t)(end - name)), *stop = next ? next : end;
		const uint8_t *line = memchr(name, '\n', (size_t)(stop - name));
		char whole[80], type = *name == '@' ? '2' : '0';
		bool refused = *name == '!';
		size_t len;

		at = next;
		if (!line)
			continue;
		name += *name == '@' || *name == '!';
		len = line > name ? (size_t)(line - name) : 0;
		snprintf(whole, sizeof whole, "%.*s", (int)(len < 79 ? len : 79), (const char *)name);
		len = strlen(whole);
		if (len > 1 && whole[len - 1] == '/') {
			type = '5';
			whole[len - 1] = '\0';
		}
		line++;
		member_put(to, whole, type, refused, line, refused ? 0 : (size_t)(stop - line));
	}
}

/* A machine of two processes; what comes after it counts instead. */
static void
machine_put(struct text *to)
{
	static const char *const files[][2] = {
		{ "proc/meminfo", "MemTotal: 2013572 kB\nMemFree: 1098060 kB\nMemAvailable: 1676560 kB\nBuffers: 40000 kB\nCached: 641200 kB\nSwapTotal: 524284 kB\n"
		  "SwapFree: 523772 kB\nAnonPages: 105896 kB\nShmem: 1200 kB\nHugePages_Total: 1\nHugepagesize: 2048 kB\n" },
		{ "proc/stat", "cpu 1 1\ncpu0 1 1\nbtime 1700000000\n" }, { "proc/uptime", "3600.25 1.00\n" }, { "etc/passwd", "root:x:0:0::/:\nalice:x:1000:1000::/:\n" },
		{ "proc/sys/kernel/osrelease", "6.18.44\n" }, { "proc/sys/kernel/hostname", "h\n" }, { "proc/vmstat", "pgfault 9\npgsteal_anon 5\n" },
		{ "proc/self/mountinfo", "31 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n32 1 0:23 / /dev/shm rw - tmpfs tmpfs rw\n33 1 0:24 / /h rw - hugetlbfs h rw\n" },
		{ "sys/fs/cgroup/a/memory.current", "4096000\n" }, { "sys/fs/cgroup/a/memory.max", "8192000\n" },
		{ "proc/5/statm", "765 426 398 5 0 123 0\n" }, { "proc/5/comm", "fifteen-letters\n" }, { "proc/5/cgroup", "0::/a/b.service\n" },
		{ "proc/5/stat", "5 (fifteen-letters) S 6 5 5 0 -1 4194304 9 0 3 0 0 0 0 0 20 0 1 0 77 3133440 426\n" },
		{ "proc/5/status", "Tgid:\t5\nUid:\t0\t1000\t0\t0\nVmPeak:\t 4000 kB\nRssAnon:\t 112 kB\nRssFile:\t 1592 kB\nRssShmem:\t 0 kB\n" },
		{ "proc/6/statm", "99 9 8 5 0 1 0\n" }, { "proc/6/comm", "six\n" }, { "proc/6/cmdline", "six" }, { "proc/6/stat", "6 (six) S 0 6 6 0 -1 0 9 0 3 0 0 0 0 0 20 0 1 0 7 9 9\n" },
		{ "proc/6/smaps_rollup", "Rss: 36 kB\nPss: 20 kB\nPrivate_Dirty: 4 kB\nPrivate_Clean: 4 kB\n" }, { "proc/6/cgroup", "0::/a\n" },
	};

	to->n = 0;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		member_put(to, files[i][0], '0', false, files[i][1], strlen(files[i][1]));
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
			for (size_t n = data[++i] % 80u; n > 0 && to->n > 0; n--) {
				char run[1024];

				memset(run, to->at[to->n - 1], sizeof run);
				text_add(to, run, sizeof run);
			}
		} else
			text_add(to, &data[i], 1);
}

/* Targets */

#define ALL "all,maps,numa,exe,ancestry,oom_score,oom_score_adj,start,time,host"

#define CG "cgroup,count,cg_usage,cg_limit,cg_pct,cg_swap,cg_anon,cg_file,cg_kernel,cg_rest,cg_oom_kills,cg_psi"

enum reports { PROCESSES, MAPPINGS, MACHINE, GROUPS, ANY };

/* Of each kind, so many reports. */
#define NREPORTS 4
static const char *const reports[][NREPORTS][6] = {
	[PROCESSES] = { { "--json", "-A", "-c", ALL }, { "--csv", "-A", "-c", ALL, "-n", "1" }, { "-A", "-t", "-c", ALL }, { "--since", "B", "--json", "-t" } },
	[MAPPINGS] = { { "-m", "--json", "-t" }, { "-m", "--csv", "-c", "all" }, { "-m", "--by", "kind" }, { "-m", "--since", "B", "--json" } },
	[MACHINE] = { { "-w", "-A", "--json" }, { "-w" }, { "-w", "--csv", "--since", "B", "-b" }, { "--json", "-A", "-c", ALL ",pss_pct,swap_pct", "-b" } },
	[GROUPS] = { { "--by", "cgroup", "--json", "-c", CG }, { "--by", "cgroup", "-A", "-b", "-c", CG }, { "--by", "unit", "--since", "B" },
		     { "-w", "-A", "--json" } },
	[ANY] = { { "--json", "-A", "-c", ALL }, { "-w", "--json" }, { "--by", "cgroup", "--csv" }, { "-m", "--json" } },
};

struct target {
	const char *name;
	void (*run)(const struct target *, const uint8_t *, size_t);
	const char *file;		/* what the input is */
	enum reports reports;
};

/* A machine has no negative figures, but for these. */
static void
signs_judge(void)
{
	static const char *const allowed[] = { "\"oom_score_adj", "\"oom_score", "\"kernel_other\",\"total", "_delta", "_rate", "\"sharing_pct", "\"cg_rest" };

	for (const char *at = kept.out.at; (at = strstr(at, "\":-")); at++) {
		bool may = at > kept.out.at && strchr("\\:", at[-1]);	/* within a text, or its start */

		for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
			size_t len = strlen(allowed[i]);

			may = may || ((size_t)(at - kept.out.at) >= len && memcmp(at - len, allowed[i], len) == 0);
		}
		for (const char *back = at; !may && back > kept.out.at && *back != '{'; back--)
			may = strncmp(back, "\"area\":\"kernel_other\"", 21) == 0;
		if (!may)
			broken("a negative figure: %.60s", at > kept.out.at + 20 ? at - 20 : at);
	}
}

/* A report of what is in A and B. */
static void
report_run(enum reports kind, size_t which)
{
	char *args[16] = { "memz", "-S", "A" };
	const char *const *report = reports[kind][which % NREPORTS];
	int n = 3;

	for (int i = 0; i < 6 && report[i]; i++)
		args[n++] = world_strdup(report[i]);
	args[n] = NULL;
	kept.fails = kept.scarce;
	program_run(args, n);
	kept.fails = 0;
	judge(args, n);
	if (kept.out.n > 0 && *kept.out.at == '{' && strncmp(report[0], "--since", 7) != 0)
		signs_judge();
}

/* B is the machine as it is, an hour before. */
static void
before_put(void)
{
	static const char said[] = "memz 1.0.0\npage_size 4096\ntime 1700000000.5\n";

	machine_put(&kept.files[1]);
	member_put(&kept.files[1], "memz", '0', false, said, sizeof said - 1);
	archive_end(&kept.files[1]);
}

/* One file of the archive, or several; as a whole, each report in its turn. */
static void
of_file(const struct target *t, const uint8_t *data, size_t size)
{
	static struct text whole;
	uint64_t sum = size;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 1099511628211u;
	machine_put(&kept.files[0]);
	if (!t->file || (size > 0 && *data == 0x1e))
		members_put(&kept.files[0], data, size);
	else {
		lengthen(&whole, data, size);
		member_put(&kept.files[0], t->file, '0', false, whole.at, whole.n);
	}
	archive_end(&kept.files[0]);
	before_put();
	report_run(t->reports, (size_t)(sum >> 40));
}

/* A name of a process and, before a line feed, an expression. */
static void
of_pattern(const struct target *t, const uint8_t *data, size_t size)
{
	const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
	char condition[300], *args[] = { "memz", "-S", "A", "-f", condition, "-c", "pid,command", NULL };
	int len = (int)(line ? line - data : (long)size);

	(void)t;
	snprintf(condition, sizeof condition, "command~%.*s", len < 250 ? len : 250, (const char *)data);
	machine_put(&kept.files[0]);
	member_put(&kept.files[0], "proc/5/cmdline", '0', false, line ? line + 1 : data, line ? size - (size_t)(line - data) - 1 : 0);
	archive_end(&kept.files[0]);
	program_run(args, 7);
	judge(args, 7);
}

/* Records of long names in front of a file. */
static void
of_pax(const struct target *t, const uint8_t *data, size_t size)
{
	machine_put(&kept.files[0]);
	member_put(&kept.files[0], "pax", 'x', false, data, size);
	member_put(&kept.files[0], "proc/5/cmdline", '0', false, "a", 1);
	archive_end(&kept.files[0]);
	before_put();
	report_run(t->reports, size);
}

/* Checksums, which chance does not find. */
static void
sums_mend(char *data, size_t size)
{
	for (size_t at = 0, n; at + BLOCK <= size && data[at]; at += BLOCK + (n + BLOCK - 1) / BLOCK * BLOCK) {
		char octal[13] = "";
		unsigned sum = 0;

		memset(data + at + 148, ' ', 8);
		for (size_t i = 0; i < BLOCK; i++)
			sum += (unsigned char)data[at + i];
		snprintf(octal, sizeof octal, "%06o", sum & 0777777);
		memcpy(data + at + 148, octal, 7);
		memcpy(octal, data + at + 124, 12);
		n = data[at + 156] == '1' || data[at + 156] == '2' || data[at + 156] == '5' ? 0 : strtoul(octal, NULL, 8);
		if (n > size - at - BLOCK)
			break;
	}
}

/* A tar archive behind one byte, which says what to report, and whether to mend the checksums. */
static void
of_archive(const struct target *t, const uint8_t *data, size_t size)
{
	if (size == 0)
		return;
	kept.files[0].n = 0;
	text_add(&kept.files[0], data + 1, size - 1);
	if (*data & 1)
		sums_mend(kept.files[0].at, size - 1);
	before_put();
	report_run(t->reports, *data >> 1);
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
	for (int i = 0; i < 2; i++) {
		const uint8_t *from = i && before ? before : machine, *to = i || !before ? end : before;

		kept.files[i].n = 0;
		members_put(&kept.files[i], from, (size_t)(to - from));
		archive_end(&kept.files[i]);
	}
	program_vary(data, machine);
}

static const struct target targets[] = {
	{ "statm",        of_file,        "proc/5/statm",         PROCESSES },
	{ "stat",         of_file,        "proc/5/stat",          PROCESSES },
	{ "status",       of_file,        "proc/5/status",        PROCESSES },
	{ "smaps_rollup", of_file,        "proc/5/smaps_rollup",  PROCESSES },
	{ "cgroup",       of_file,        "proc/5/cgroup",        GROUPS },
	{ "cmdline",      of_file,        "proc/5/cmdline",       PROCESSES },
	{ "comm",         of_file,        "proc/5/comm",          PROCESSES },
	{ "oom_score",    of_file,        "proc/5/oom_score_adj", PROCESSES },
	{ "smaps",        of_file,        "proc/5/smaps",         PROCESSES },
	{ "mappings",     of_file,        "proc/5/smaps",         MAPPINGS },
	{ "maps",         of_file,        "proc/5/maps",          PROCESSES },
	{ "numa_maps",    of_file,        "proc/5/numa_maps",     PROCESSES },
	{ "process",      of_file,        NULL,                   PROCESSES },
	{ "meminfo",      of_file,        "proc/meminfo",         MACHINE },
	{ "vmstat",       of_file,        "proc/vmstat",          MACHINE },
	{ "node",         of_file,        "sys/devices/system/node/node0/meminfo", MACHINE },
	{ "pressure",     of_file,        "proc/pressure/memory", MACHINE },
	{ "mm_stat",      of_file,        "sys/block/zram0/mm_stat", MACHINE },
	{ "machine",      of_file,        NULL,                   MACHINE },
	{ "buddyinfo",    of_file,        "proc/buddyinfo",       MACHINE },
	{ "zoneinfo",     of_file,        "proc/zoneinfo",        MACHINE },
	{ "slabinfo",     of_file,        "proc/slabinfo",        MACHINE },
	{ "vmallocinfo",  of_file,        "proc/vmallocinfo",     MACHINE },
	{ "shm",          of_file,        "proc/sysvipc/shm",     MACHINE },
	{ "sockstat",     of_file,        "proc/net/sockstat",    MACHINE },
	{ "allocinfo",    of_file,        "proc/allocinfo",       MACHINE },
	{ "mountinfo",    of_file,        "proc/self/mountinfo",  GROUPS },
	{ "memory_max",   of_file,        "sys/fs/cgroup/a/memory.max", GROUPS },
	{ "memory_stat",  of_file,        "sys/fs/cgroup/a/memory.stat", GROUPS },
	{ "passwd",       of_file,        "etc/passwd",           PROCESSES },
	{ "description",  of_file,        "memz",                 ANY },
	{ "pattern",      of_pattern,     NULL,                   ANY },
	{ "pax",          of_pax,         NULL,                   ANY },
	{ "archive",      of_archive,     NULL,                   ANY },
	{ "report",       of_report,      NULL,                   ANY },
	{ "options",      of_options,     NULL,                   ANY },
	{ NULL,           NULL,           NULL,                   ANY },
};

/* Half of the time one number becomes an extreme one: bytes that change seldom make those. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
	static const char *const extremes[] = {
		"0", "1", "4294967296", "9007199254740993", "4611686018427387904", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"99999999999999999999999999", "-1", "x", "0.5",
	};
	const char *extreme = extremes[seed / 8 % (sizeof extremes / sizeof *extremes)];
	size_t len = strlen(extreme), at, end;

	if (seed % 2 == 0 || size == 0)
		return LLVMFuzzerMutate(data, size, most);
	for (at = seed / 997 % size; at < size && !isdigit(data[at]); at++)
		;
	for (; at > 0 && at < size && isdigit(data[at - 1]); at--)
		;
	for (end = at; end < size && isdigit(data[end]); end++)
		;
	if (end == at || size - (end - at) + len > most)
		return LLVMFuzzerMutate(data, size, most);
	memmove(data + at + len, data + end, size - end);
	memcpy(data + at, extreme, len);
	return size - (end - at) + len;
}

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
	uint64_t sum = 14695981039346656037u;

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
