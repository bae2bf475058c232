/*
 * parse.c: bytes to numbers. Reads /proc and /sys, live or saved. Knows no options and prints nothing.
 *
 *  1. Numbers, texts, arrays
 *  2. Columns
 *  3. Reading tar archives
 *  4. Directories and files
 *  5. The files of a process
 *  6. Mappings
 *  7. One process
 *  8. Reader threads
 *  9. The source
 * 10. The machine
 * 11. Control groups
 * 12. Holders
 * 13. Users
 * 14. --save
 */
#define _GNU_SOURCE
#include "memz.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PROC_MAGIC	0x9fa0		/* statfs of a procfs, linux/magic.h */
#define SECONDS_MAX	253402300800	/* since the epoch: the year 10000 */
#define THP_SIZE_FILE	"kernel/mm/transparent_hugepage/hpage_pmd_size"
#define PF_KTHREAD	0x00200000	/* flags in stat, linux/sched.h */
#define KCMP_VM		1		/* linux/kcmp.h, which musl-gcc does not find */
#define COMM_CUT	15		/* TASK_COMM_LEN without its NUL */

/* Bounds of what is read of one file, in bytes. */
#define FILE_SIZE_MAX		(1u << 20)	/* of a process, but for cmdline and lists of mappings */
#define CMDLINE_SIZE_MAX	(1u << 26)
#define EXE_SIZE_MAX		(1u << 14)
#define MACHINE_FILE_SIZE_MAX	(1u << 26)
#define LINE_SIZE_MAX		(1u << 22)	/* without a newline */

#define READERS_MAX	1024		/* threads at a time, with those that wait for stuck processes */
#define COUNTERS_MAX	512		/* lines of /proc/meminfo, which has 56 */
#define SHM_DEVS_MAX	16		/* the kernel has two */
#define READER_STACK	(1u << 17)
#define CALL_STACK	(1u << 20)
#define KEY_LETTERS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_()-"

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN	true
#else
#define UNDER_TSAN	false
#endif

/* Bytes that grow. */
struct buf {
	char *text;
	size_t len, size;
	bool failed;		/* there was no memory for more */
};

/* Members of an archive that --save collects, and the names of all that it has collected. */
struct save_buffer {
	struct buf tar;
	void *names;		/* of tsearch(3) */
};

/* Packed texts, of a reader or an archive. Each piece of memory begins with a pointer to the one before. */
struct arena {
	char **last;
	char *at;
	size_t left;
	bool full;		/* there was no memory for one */
};

struct node_pages {
	unsigned id;
	int64_t kib;
};

/* Mappings by name and kind: open addressing, at most half full. */
struct table {
	struct group_row **slots;
	size_t n, size;
};

/* What a reader thread does. One that waits too long in a system call is abandoned there: it touches
 * nothing any more. */
enum doing { IDLE, WORKING, WAITING, ABANDONED };

/* The fields of status that stat has, too, except the name. */
struct status_identity {
	char state;
	int64_t ppid, threads, kthread;
	bool read, has_mm;
};

struct reader {
	struct reader *next;
	struct pool *pool;		/* of the scan that runs */
	pthread_t thread;
	_Atomic int doing;
	_Atomic int tid;
	atomic_uint waits;		/* system calls that may block, begun so far */
	bool has_thread;		/* this and the next three are the main thread's */
	bool is_stuck;
	unsigned seen_waits;		/* waits, when last looked at */
	double waiting_since;
	const struct scan *scan;
	struct dir proc;		/* scan->from->proc, as this reader opens it */
	size_t item;			/* index in scan->procs */
	struct proc work;		/* the process being read; its row is written when it is complete */
	struct buf buf;
	struct save_buffer save;	/* its files, if they are to be saved */
	size_t save_complete;		/* length of whole members in save */
	struct buf unwritten;		/* those of earlier processes */
	struct arena texts;
	struct dir dir;			/* /proc/PID of the process being read, or task/TID below it */
	unsigned missing;		/* sources that said: no such file, no such process */
	unsigned enoent;		/* those of them whose error was ENOENT */
	int tgid;			/* Tgid of status, if it is not the pid; else 0 */
	bool empty;			/* statm is all zero: no memory at all */
	bool was_empty;			/* cmdline, maps or numa_maps was empty: the process may be exiting */
	bool via_thread;		/* dir is that of a thread: the thread group leader has exited */
	bool named;			/* comm is that of this process: */
	char comm[4 * COMM_CUT + 4];	/* as in stat; kernel workers have longer ones */
	struct status_identity status;
	struct node_pages *nodes;
	size_t nnodes, nodes_capacity;
	bool partial;			/* one of them is unknown */
	int64_t huge_page;		/* Hugepagesize in KiB; 0: not read yet */
	struct table mappings;		/* of all processes read */
	struct table fresh;		/* of the one being read */
	struct group_row vma;		/* the mapping being read */
	char vma_name[4 * PATH_MAX];
	dev_t vma_dev;
	char vma_kind[24];		/* the number of vma_dev: the kind depends on what else lies on it */
	bool in_vma, vma_huge;
	dev_t shm_devs[SHM_DEVS_MAX];	/* of memfds and the like in this scan */
	size_t nshm_devs;
	size_t opened[SOURCES_MAX];
};

typedef void line_parser(struct reader *, struct proc *, char *line);

static struct proc unknown_proc;	/* every number unknown; filled by unknown_proc_init */
static atomic_bool has_abandoned;	/* a thread: exit() would wait for it, so quit() must know */

/* Of section 14, --save. */
static void save_file(const struct dir *in, const char *name, const struct buf *b);
static void save_error(const struct dir *in, const char *name, int error);
static void save_link(const struct dir *in, const char *name, const char *target, size_t n);
static void save_dir(const struct dir *in, const char *name);
static size_t save_begin_file(const struct dir *in, const char *name);
static void save_bytes(const struct dir *in, size_t member, const char *bytes, size_t n);
static void save_end_file(const struct dir *in, size_t member, int error);
static void save_buffer_clear(struct save_buffer *s);
static void save_line(const char *line);
static void save_holders_done(void);
static void save_write(struct buf *b);
static void save_process(struct reader *r);
static void save_other_files(struct reader *r, const struct proc *p);
static void save_denied(struct reader *r, const struct proc *p);

/* ---- 1. Numbers, texts, arrays ---- */

int64_t
kib_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (a == UNKNOWN || b == UNKNOWN)
		return a == UNKNOWN ? b : a;
	if (!__builtin_add_overflow(a, b, &sum) && sum != UNKNOWN)
		return sum;
	return b > 0 ? INT64_MAX : -INT64_MAX;
}

int64_t
kib_sub(int64_t a, int64_t b)
{
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : kib_add(a, -b);
}

int64_t
counter_sub(int64_t a, int64_t b)
{
	return a < b ? UNKNOWN : kib_sub(a, b);
}

/* a + b; unknown if one of them is. */
static int64_t
add_known(int64_t a, int64_t b)
{
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : kib_add(a, b);
}

/* The number at S, after blanks. Unknown: there is none, more than digits are in the word, or it needs
 * over 63 bits. */
static int64_t
number(const char *s)
{
	int64_t n = 0;

	s += strspn(s, " \t");
	if (!isdigit((unsigned char)*s))
		return UNKNOWN;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return UNKNOWN;
	return strchr(" \t\n:=,", *s) ? n : UNKNOWN;	/* NUL ends a word, too */
}

static int64_t
signed_number(const char *s)
{
	s += strspn(s, " \t");
	return *s == '-' ? kib_sub(0, number(s + 1)) : number(s);
}

static int64_t
bytes_kib(int64_t bytes)
{
	return bytes == UNKNOWN ? UNKNOWN : bytes / 1024;
}

/* N pages of S in KiB. */
static int64_t
pages_kib(int64_t n, const struct source *s)
{
	int64_t bytes;

	if (n == UNKNOWN || __builtin_mul_overflow(n, s->page, &bytes))
		return UNKNOWN;
	return bytes / 1024;
}

/* The errors of a file that does not exist, and of a process that has ended. */
static bool
is_missing(int error)
{
	return error == ENOENT || error == ESRCH || error == ENOTDIR;
}

static bool
starts_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

/* Cuts SUFFIX, in any case, off the *LEN bytes at S. False: they do not end in it, or are nothing else. */
static bool
ends_with(const char *s, size_t *len, const char *suffix)
{
	size_t n = strlen(suffix);

	if (*len <= n || strncasecmp(s + *len - n, suffix, n) != 0)
		return false;
	*len -= n;
	return true;
}

/* The same for a string, which is cut. */
static bool
suffix_cut(char *s, const char *suffix)
{
	size_t len = strlen(s);
	bool has = ends_with(s, &len, suffix);

	s[len] = '\0';
	return has;
}

/* Grows the array *LIST of *CAPACITY items, of SIZE bytes each, to N items or more. -1: no memory. */
static int
array_grow(void *list, size_t *capacity, size_t n, size_t size)
{
	size_t more = n + n / 2 + 16;
	void *bigger;

	if (n <= *capacity)
		return 0;
	if (!(bigger = reallocarray(*(void **)list, more, size)))
		return -1;
	*(void **)list = bigger;
	*capacity = more;
	return 0;
}

static int
buf_grow(struct buf *b, size_t size)
{
	return array_grow(&b->text, &b->size, size, 1);
}

static void
buf_add(struct buf *b, const void *data, size_t n)
{
	if (n == 0)
		return;
	if (buf_grow(b, b->len + n) < 0) {
		b->failed = true;
		return;
	}
	memcpy(b->text + b->len, data, n);
	b->len += n;
}

static void __attribute__((format(printf, 2, 3)))
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		b->failed = true;
		return;
	}
	buf_add(b, text, (size_t)n);
	free(text);
}

/* A copy of the N bytes at TEXT, with a NUL behind them. NULL: no memory. */
static const char *
text_copy(struct arena *a, const char *text, size_t n)
{
	char *kept;

	if (n + 1 > a->left) {
		size_t size = n + 1 > 8192 ? n + 1 : 16384;
		char **piece = malloc(sizeof *piece + size);

		a->full = a->full || !piece;
		if (!piece)
			return NULL;
		*piece = (char *)a->last;
		a->last = piece;
		a->at = (char *)(piece + 1);
		a->left = size;
	}
	kept = a->at;
	memcpy(kept, text, n);
	kept[n] = '\0';
	a->at += n + 1;
	a->left -= n + 1;
	return kept;
}

/* Splits TEXT at blanks into at most MAX words. Returns their number. */
static size_t
words_split(char *text, char **words, size_t max)
{
	size_t n = 0;

	while (n < max && (words[n] = strtok_r(text, " ", &text)))
		n++;
	return n;
}

double
decimal_parse(const char *text, const char **end)
{
	size_t len = strspn(text, "0123456789.");
	char *after;
	double x = len > 0 ? strtod(text, &after) : NAN;	/* LC_NUMERIC is C */

	*end = len > 0 ? after : text;
	return isnan(x) || *end != text + len ? NAN : x;	/* no exponent */
}

/* FNV-1a, continued from H. */
#define HASH_BEGIN	14695981039346656037u

static uint64_t
hash(const char *s, uint64_t h)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

size_t
utf8(const char *s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *u = (const unsigned char *)s;
	bool begins = u[0] < 0x80 || (u[0] >= 0xc2 && u[0] < 0xf5);
	size_t n = u[0] < 0x80 ? 1 : 2u + (u[0] >= 0xe0) + (u[0] >= 0xf0);

	*c = n == 1 ? u[0] : u[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (u[i] & 0x3fu);
	}
	return begins && *c >= least[n] && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff) ? n : 0;
}

const char *
time_text(int64_t seconds, char *buf)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds < 0 || seconds >= SECONDS_MAX || !gmtime_r(&t, &tm))
		return NULL;
	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- 2. Columns ---- */

#define AT(member)	offsetof(struct proc, member)
#define OF(member)	offsetof(struct machine, member)
#define IN(member)	offsetof(struct group_row, member)

/*
 * A new column is a member of struct proc and a row here, then an item in man/memz.1 and the tests that
 * tests/README.md lists. Rows are in the order of the kernel's files, so that column_by_key finds the next
 * key at once.
 */
const struct column columns[] = {
	/* name               kernel key         source                  kind          where                 bound         help */
	{ "pid",              NULL,              0,                      ID,           AT(pid),              0,            "process id" },
	{ "ppid",             NULL,              STAT,                   ID,           AT(ppid),             0,            "process id of the parent" },
	{ "uid",              NULL,              OWNER,                  ID,           AT(uid),              0,            "effective user id" },
	{ "user",             NULL,              OWNER | USER,           TEXT,         AT(user),             0,            "name of the effective user, or the uid" },
	{ "name",             NULL,              COMM,                   TEXT,         AT(name),             0,            "name of the program; where the kernel cut it at 15 bytes, completed" },
	{ "command",          NULL,              CMDLINE,                TEXT,         AT(command),          0,            "full command line; [name] where it is empty" },
	{ "exe",              NULL,              EXE,                    TEXT,         AT(exe),              0,            "path of the program file" },
	{ "state",            NULL,              STAT,                   TEXT,         AT(state),            0,            "R running, S sleeping, D waiting, T stopped, Z zombie, I idle" },
	{ "threads",          NULL,              STAT,                   COUNT,        AT(threads),          0,            "number of threads" },
	{ "start",            NULL,              STAT,                   TIME,         AT(start),            0,            "when the process started (UTC)" },
	{ "cgroup",           NULL,              CGROUP,                 TEXT,         AT(cgroup),           0,            "path of the control group; the memory controller's if it has one" },
	{ "unit",             NULL,              CGROUP,                 TEXT,         AT(unit),             0,            "systemd service or scope" },
	{ "container",        NULL,              CGROUP,                 TEXT,         AT(container),        0,            "short id of the container, or its name" },
	{ "ancestry",         NULL,              STAT | COMM | ANCESTRY, TEXT,         AT(ancestry),         0,            "names of the parents and of the process: systemd;sshd;bash" },
	{ "oom_score",        NULL,              OOM_SCORE,              SCORE,        AT(oom_score),        0,            "how soon the OOM killer takes it, 0 to 2000" },
	{ "oom_score_adj",    NULL,              OOM_ADJ,                SCORE,        AT(oom_score_adj),    0,            "what was added to that score, -1000 to 1000" },
	{ "bar",              NULL,              MACHINE,                BAR,          0,                    0,            "share of the largest in what the report is sorted by, drawn; a percentage in CSV and JSON" },
	{ "time",             NULL,              MACHINE,                TEXT,         OF(time),             0,            "when the scan was made (UTC)" },
	{ "host",             NULL,              MACHINE,                TEXT,         OF(host),             0,            "name of the machine" },
	{ "vsz",              NULL,              STATM,                  KIB,          AT(vsz),              0,            "address space, used or not" },
	{ "rss",              "Rss",             RSS,                    KIB,          AT(rss),              AT(rss),      "resident set size: shared pages count in full" },
	{ "minflt",           NULL,              STAT,                   COUNT,        AT(minflt),           0,            "page faults served without reading from disk" },
	{ "majflt",           NULL,              STAT,                   COUNT,        AT(majflt),           0,            "page faults that read from disk or swap" },
	{ "pss",              "Pss",             ROLLUP,                 KIB,          AT(pss),              AT(rss),      "proportional set size: shared pages divided among their users" },
	{ "pss_dirty",        "Pss_Dirty",       ROLLUP,                 KIB,          AT(pss_dirty),        AT(rss),      "dirty pages in pss" },
	{ "pss_anon",         "Pss_Anon",        ROLLUP,                 KIB,          AT(pss_anon),         AT(anon_max), "anonymous pages in pss" },
	{ "pss_file",         "Pss_File",        ROLLUP,                 KIB,          AT(pss_file),         AT(rss),      "file pages in pss" },
	{ "pss_shmem",        "Pss_Shmem",       ROLLUP,                 KIB,          AT(pss_shmem),        AT(rss),      "shared memory and tmpfs pages in pss" },
	{ "shared_clean",     "Shared_Clean",    ROLLUP,                 KIB,          AT(shared_clean),     AT(rss),      "clean pages that others map too" },
	{ "shared_dirty",     "Shared_Dirty",    ROLLUP,                 KIB,          AT(shared_dirty),     AT(rss),      "dirty pages that others map too" },
	{ "private_clean",    "Private_Clean",   ROLLUP,                 KIB,          AT(private_clean),    AT(rss),      "clean pages that no other process maps" },
	{ "private_dirty",    "Private_Dirty",   ROLLUP,                 KIB,          AT(private_dirty),    AT(rss),      "dirty pages that no other process maps" },
	{ "referenced",       "Referenced",      ROLLUP,                 KIB,          AT(referenced),       AT(rss),      "pages marked as accessed" },
	{ "anonymous",        "Anonymous",       ROLLUP,                 KIB,          AT(anonymous),        AT(anon_max), "pages that belong to no file" },
	{ "ksm",              "KSM",             ROLLUP,                 KIB,          AT(ksm),              AT(anon_max), "pages merged by KSM" },
	{ "lazy_free",        "LazyFree",        ROLLUP,                 KIB,          AT(lazy_free),        AT(anon_max), "pages given back with MADV_FREE and not yet taken" },
	{ "anon_huge_pages",  "AnonHugePages",   ROLLUP,                 KIB,          AT(anon_huge_pages),  AT(anon_max), "anonymous memory in transparent huge pages" },
	{ "shmem_pmd_mapped", "ShmemPmdMapped",  ROLLUP,                 KIB,          AT(shmem_pmd_mapped), AT(rss),      "shared memory mapped by huge pages" },
	{ "file_pmd_mapped",  "FilePmdMapped",   ROLLUP,                 KIB,          AT(file_pmd_mapped),  AT(rss),      "file pages mapped by huge pages" },
	{ "shared_hugetlb",   "Shared_Hugetlb",  ROLLUP,                 KIB,          AT(shared_hugetlb),   0,            "hugetlbfs pages that others map too; not in rss" },
	{ "private_hugetlb",  "Private_Hugetlb", ROLLUP,                 KIB,          AT(private_hugetlb),  0,            "hugetlbfs pages of its own; not in rss" },
	{ "swap",             "Swap",            ROLLUP,                 SWAP_KIB,     AT(swap),             0,            "swapped out; shared swap counts in full" },
	{ "swap_pss",         "SwapPss",         ROLLUP,                 SWAP_KIB,     AT(swap_pss),         0,            "proportional share of what is swapped out" },
	{ "locked",           "Locked",          ROLLUP,                 KIB,          AT(locked),           AT(rss),      "locked in memory (proportional)" },
	{ "uss",              NULL,              ROLLUP,                 KIB,          AT(uss),              AT(rss),      "unique set size: freed if this process alone ended" },
	{ "shared",           NULL,              ROLLUP,                 KIB,          AT(shared),           AT(rss),      "pages that others map too, in full" },
	{ "thp",              NULL,              ROLLUP,                 KIB,          AT(thp),              AT(rss),      "memory in transparent huge pages of any kind" },
	{ "hugetlb",          NULL,              ROLLUP,                 KIB,          AT(hugetlb),          0,            "hugetlbfs pages; not in rss" },
	{ "pss_swap",         NULL,              ROLLUP,                 KIB,          AT(pss_swap),         0,            "pss and swap_pss together" },
	{ "pss_pct",          NULL,              ROLLUP,                 PERCENT,      AT(pss),              AT(rss),      "pss in percent of the machine's memory" },
	{ "rss_pct",          NULL,              RSS,                    PERCENT,      AT(rss),              AT(rss),      "rss in percent of the machine's memory" },
	{ "uss_pct",          NULL,              ROLLUP,                 PERCENT,      AT(uss),              AT(rss),      "uss in percent of the machine's memory" },
	{ "swap_pct",         NULL,              ROLLUP,                 SWAP_PERCENT, AT(swap),             0,            "swap in percent of the machine's swap" },
	{ "vm_peak",          "VmPeak",          STATUS,                 PEAK,         AT(vm_peak),          0,            "largest vsz so far" },
	{ "vm_hwm",           "VmHWM",           STATUS,                 PEAK,         AT(vm_hwm),           0,            "largest rss so far" },
	{ "rss_anon",         "RssAnon",         STATUS,                 KIB,          AT(rss_anon),         0,            "anonymous part of rss" },
	{ "rss_file",         "RssFile",         STATUS,                 KIB,          AT(rss_file),         0,            "file part of rss" },
	{ "rss_shmem",        "RssShmem",        STATUS,                 KIB,          AT(rss_shmem),        0,            "shared memory part of rss" },
	{ "vm_data",          "VmData",          STATUS,                 KIB,          AT(vm_data),          0,            "address space for data" },
	{ "vm_stk",           "VmStk",           STATUS,                 KIB,          AT(vm_stk),           0,            "address space for stacks" },
	{ "vm_exe",           "VmExe",           STATUS,                 KIB,          AT(vm_exe),           0,            "address space for the program's code" },
	{ "vm_lib",           "VmLib",           STATUS,                 KIB,          AT(vm_lib),           0,            "address space for libraries' code" },
	{ "vm_pte",           "VmPTE",           STATUS,                 KIB,          AT(vm_pte),           0,            "page tables, the kernel's memory" },
	{ "vm_swap",          "VmSwap",          STATUS,                 SWAP_KIB,     AT(vm_swap),          0,            "swapped out, without shared memory" },
	{ "vm_lck",           "VmLck",           STATUS,                 KIB,          AT(vm_lck),           0,            "locked in memory by mlock, whole mappings" },
	{ "vm_pin",           "VmPin",           STATUS,                 KIB,          AT(vm_pin),           0,            "pinned for devices, so that it does not move" },
	{ "maps",             NULL,              MAPS,                   COUNT,        AT(maps),             0,            "number of mappings" },
	{ "numa",             NULL,              NUMA_MAPS,              NODES,        AT(numa),             0,            "resident KiB by NUMA node" },
	{ "change",           NULL,              CHANGE,                 TEXT,         AT(change),           0,            "new, gone or same since the first scan" },
	{ "count",            NULL,              GROUP,                  COUNT,        IN(count),            0,            "processes in the group" },
	{ "cg_usage",         NULL,              CG_USAGE,               KIB,          IN(cg.usage),         0,            "what the memory controller charges to the cgroup and those below it" },
	{ "cg_peak",          NULL,              CG_PEAK,                PEAK,         IN(cg.peak),          0,            "largest cg_usage so far" },
	{ "cg_limit",         NULL,              CG_LIMIT,               PEAK,         IN(cg.limit),         0,            "the lowest limit of the cgroup and those above it" },
	{ "cg_pct",           NULL,              CG_PCT,                 MILLIONTHS,   IN(cg.pct),           0,            "the highest usage in percent of its own limit, of the cgroup and those above it" },
	{ "cg_swap",          NULL,              CG_SWAP,                SWAP_KIB,     IN(cg.swap),          0,            "swap that is charged to the cgroup" },
	{ "cg_anon",          NULL,              CG_STAT,                KIB,          IN(cg.anon),          0,            "anonymous pages in cg_usage that are mapped" },
	{ "cg_anon_unmapped", NULL,              CG_STAT,                KIB,          IN(cg.anon_unmapped), 0,            "anonymous pages that nothing maps: huge pages freed in part, swap cache" },
	{ "cg_file",          NULL,              CG_STAT,                KIB,          IN(cg.file),          0,            "page cache in cg_usage, without cg_shmem" },
	{ "cg_shmem",         NULL,              CG_STAT,                KIB,          IN(cg.shmem),         0,            "shared memory and tmpfs in cg_usage" },
	{ "cg_slab",          NULL,              CG_STAT,                KIB,          IN(cg.slab),          0,            "slab memory; in cg_kernel" },
	{ "cg_kernel",        NULL,              CG_KERNEL,              KIB,          IN(cg.kernel),        0,            "what the kernel keeps for the cgroup, with cg_slab" },
	{ "cg_sock",          NULL,              CG_SOCK,                KIB,          IN(cg.sock),          0,            "buffers of sockets" },
	{ "cg_rest",          NULL,              CG_USAGE | CG_PARTS,    KIB,          IN(cg.rest),          0,            "the rest of cg_usage: less anon, anon_unmapped, file, shmem, kernel and sock" },
	{ "cg_high",          NULL,              CG_EVENTS,              COUNT,        IN(cg.high),          0,            "how often the cgroup was slowed down above memory.high" },
	{ "cg_oom_kills",     NULL,              CG_EVENTS,              COUNT,        IN(cg.oom_kills),     0,            "processes of the cgroup that the OOM killer took" },
	{ "cg_psi",           NULL,              CG_PSI,                 MILLIONTHS,   IN(cg.psi),           0,            "part of the last 10 s in which some task waited for memory, in percent" },
	{ "mapping",          NULL,              SMAPS,                  TEXT,         IN(mapping),          0,            "path or [name] of what is mapped; [anon] without a name" },
	{ "kind",             NULL,              SMAPS,                  TEXT,         IN(kind),             0,            "heap, stack, anon, file, shm, hugetlb, vdso or other" },
	{ "procs",            NULL,              SMAPS,                  SCORE,        IN(procs),            0,            "processes that map it" },
	{ NULL, NULL, 0, TEXT, 0, 0, NULL },
};
#define NCOLUMNS (sizeof columns / sizeof *columns - 1)

const struct column *
column_by_key(const char *key, size_t len, unsigned sources, size_t *hint)
{
	for (size_t i = 0, at = *hint; i < NCOLUMNS; i++, at++) {
		const struct column *c = &columns[at = at < NCOLUMNS ? at : 0];

		if (!c->key || *c->key != *key || !(c->source & sources))
			continue;
		if (strncmp(c->key, key, len) == 0 && !c->key[len]) {
			*hint = at + 1;
			return c;
		}
	}
	return NULL;
}

bool
is_text(enum kind kind)
{
	return kind <= NODES;
}

bool
is_size(enum kind kind)
{
	return kind == PEAK || kind == KIB || kind == SWAP_KIB;
}

bool
is_share(enum kind kind)
{
	return kind >= PERCENT && kind != BAR;
}

bool
sums(enum kind kind)
{
	return kind >= COUNT && kind != PEAK && kind != MILLIONTHS && kind != BAR;
}

bool
field_by_name(const char *name, size_t len, struct field *field)
{
	*field = (struct field){ .how = VALUE };
	if (ends_with(name, &len, "_delta"))
		field->how = DELTA;
	else if (ends_with(name, &len, "_rate"))
		field->how = RATE;
	for (const struct column *c = columns; c->name; c++)
		if (strlen(c->name) == len && strncasecmp(c->name, name, len) == 0) {
			field->column = c;
			return field->how == VALUE || !(is_text(c->kind) || c->kind == BAR);
		}
	return false;
}

/* Where P has the number of a column. */
static int64_t *
number_ptr(struct proc *p, const struct column *c)
{
	return (int64_t *)(void *)((char *)p + c->offset);
}

static struct cgroup_figures unknown_figures;	/* the same of control groups */

void
group_row_init(struct group_row *row)
{
	*row = (struct group_row){
		.sum = unknown_proc, .procs = UNKNOWN, .pss_rss = UNKNOWN, .cg = unknown_figures,
	};
}

/* Fills unknown_proc and unknown_figures. */
static void
unknown_proc_init(void)
{
	int64_t *figures = (int64_t *)(void *)&unknown_figures;

	for (size_t i = 0; i < sizeof unknown_figures / sizeof *figures; i++)
		figures[i] = UNKNOWN;
	for (const struct column *c = columns; c->name; c++)
		if (!is_text(c->kind) && !(c->source & SRC_NOT_IN_PROC))
			*number_ptr(&unknown_proc, c) = UNKNOWN;
	unknown_proc.start = unknown_proc.anon_max = UNKNOWN;
}

static void
proc_deny(struct proc *p, int error)
{
	p->outcome = DENIED;
	p->error = (unsigned char)error;
}

/* Fills the columns that follow from others. */
static void
proc_derive(struct proc *p)
{
	p->uss = add_known(p->private_clean, p->private_dirty);
	p->shared = add_known(p->shared_clean, p->shared_dirty);
	p->thp = kib_add(p->anon_huge_pages, kib_add(p->shmem_pmd_mapped, p->file_pmd_mapped));
	p->hugetlb = kib_add(p->shared_hugetlb, p->private_hugetlb);
	p->pss_swap = add_known(p->pss, p->swap_pss);
}

/* ---- 3. Reading tar archives ---- */

#define BLOCK		512		/* all parts of a tar archive are multiples of it */
#define TAR_NAME_LEN	100
#define TAR_PREFIX_LEN	155

/* A member of a tar archive. */
struct member {
	const char *name;	/* from the root on: proc/812/statm */
	const char *data;
	size_t size;
	const char *link;	/* the target of a symbolic link, or NULL */
	char type;		/* as in the archive: 0 a file, 2 a symbolic link, 5 a directory */
	bool refused;		/* mode 0: the file existed and could not be read */
};

/* A tar archive, mapped, and its members by name. It is never closed. */
struct archive {
	const char *map;
	size_t size;
	struct member *members;
	size_t n, capacity;
	size_t damaged;		/* offset of the first byte that is not archive any more; 0: none */
	size_t unsafe;		/* members with names that lead out of the archive, not read */
	struct arena texts;	/* names and links */
};

/* The header of a member, as POSIX has it in ustar. */
struct header {
	char name[TAR_NAME_LEN], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type;
	char link[TAR_NAME_LEN], magic[6], version[2], user[32], group[32], major[8], minor[8],
	    prefix[TAR_PREFIX_LEN], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static unsigned
header_sum(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = sizeof h->sum * ' ';		/* these bytes count as blanks */

	for (size_t i = 0; i < sizeof *h; i++)
		sum += bytes[i];
	for (size_t i = 0; i < sizeof h->sum; i++)
		sum -= (unsigned char)h->sum[i];
	return sum;
}

/* The octal number in LEN bytes. SIZE_MAX: there is none, or a binary one, as some write what needs more
 * digits. */
static size_t
header_number(const char *text, size_t len)
{
	char digits[16], *end;
	size_t n;

	snprintf(digits, sizeof digits, "%.*s", (int)len, text);
	n = strtoul(digits, &end, 8);
	return end > digits && (!*end || *end == ' ') ? n : SIZE_MAX;
}

/* The index of the first member whose name is not below NAME. */
static size_t
member_index(const struct archive *a, const char *name)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(a->members[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The member NAME of the directory IN of an archive. NULL with errno; EISDIR: a directory of which only
 * members exist. */
static const struct member *
member_find(const struct dir *in, const char *name)
{
	const struct archive *a = in->archive;
	char whole[PATH_MAX];
	size_t at, len = (size_t)snprintf(whole, sizeof whole, "%s%s", in->path + in->skip, name);

	errno = ENOENT;
	if (len >= sizeof whole - 1)
		return NULL;
	at = member_index(a, whole);
	if (at < a->n && strcmp(a->members[at].name, whole) == 0)
		return &a->members[at];
	strcpy(whole + len, "/");
	at = member_index(a, whole);
	if (at < a->n && starts_with(a->members[at].name, whole))
		errno = EISDIR;
	return NULL;
}

/* Reads the header at *AT, and moves *AT behind the data of the member. False: the end, or damage. */
static bool
archive_next(struct archive *a, size_t *at, struct header *h, const char **data, size_t *size)
{
	static const char zeros[BLOCK];

	a->damaged = *at ? *at : 1;
	if (a->size - *at < BLOCK)
		return false;
	memcpy(h, a->map + *at, sizeof *h);
	if (memcmp(h, zeros, sizeof *h) == 0) {
		a->damaged = 0;
		return false;
	}
	*size = header_number(h->size, sizeof h->size);
	if (h->type == '1' || h->type == '2' || h->type == '5') /* links and directories have no data */
		*size = 0;
	if (header_number(h->sum, sizeof h->sum) != header_sum(h) || *size > a->size - *at - BLOCK)
		return false;
	*data = a->map + *at + BLOCK;
	*at += BLOCK + (*size + BLOCK - 1) / BLOCK * BLOCK;
	*at = *at < a->size ? *at : a->size;
	return true;
}

/* The value of KEY in the last of the records such as "24 path=proc/812/status\n", which begin with their
 * length. NULL: none. */
static const char *
pax_value(struct arena *texts, const char *data, size_t size, const char *key)
{
	const char *value = NULL;
	size_t n = strlen(key);

	for (size_t at = 0, len; at < size; at += len) {
		const char *record = data + at, *space = memchr(record, ' ', size - at);
		size_t before;

		if (!space || !isdigit((unsigned char)*record))
			break;
		len = strtoul(record, NULL, 10);	/* it stops at the space at the latest */
		before = (size_t)(space - record) + 1;
		if (len < before || len > size - at)
			break;
		if (len - before > n + 1 && memcmp(space + 1, key, n) == 0 && space[1 + n] == '=')
			value = text_copy(texts, space + n + 2, len - before - n - 2);
	}
	return value;
}

/* False: NAME is absolute, or has a .. in it. */
static bool
is_safe(const char *name)
{
	if (*name == '/')
		return false;
	for (const char *dots = name; (dots = strstr(dots, "..")); dots += 2)
		if ((dots == name || dots[-1] == '/') && (!dots[2] || dots[2] == '/'))
			return false;
	return true;
}

/* NAME without ./ in front: from the root on. */
static const char *
name_from_root(const char *name)
{
	while (starts_with(name, "./"))
		name += 2 + strspn(name + 2, "/");
	return name;
}

/* Adds a member under its name from the root on: no ./ in front, no / at the end. NAME, LINK: if not
 * NULL, these instead of those in the header. -1: no memory. */
static int
member_add(struct archive *a, struct arena *texts, const struct header *h, const char *name, const char *link,
    const char *data, size_t size)
{
	char whole[TAR_PREFIX_LEN + TAR_NAME_LEN + 2];
	int prefix = memcmp(h->magic, "ustar", 6) == 0 ? (int)strnlen(h->prefix, TAR_PREFIX_LEN) : 0;
	size_t len;

	snprintf(whole, sizeof whole, "%.*s%s%.*s", prefix, h->prefix, prefix ? "/" : "", TAR_NAME_LEN,
	    h->name);
	name = name_from_root(name ? name : whole);
	if (!link && *h->link)
		link = text_copy(texts, h->link, strnlen(h->link, sizeof h->link));
	for (len = strlen(name); len > 0 && name[len - 1] == '/'; )
		len--;
	if (len == 0 || strcmp(name, ".") == 0)
		return 0;
	if (!is_safe(name)) {
		a->unsafe++;
		return 0;
	}
	if (array_grow(&a->members, &a->capacity, a->n + 1, sizeof *a->members) < 0)
		return -1;
	if (!(name = text_copy(texts, name, len)))
		return -1;
	a->members[a->n++] = (struct member){ .name = name, .data = data, .size = size, .link = link,
		.type = h->type ? h->type : '0', .refused = header_number(h->mode, sizeof h->mode) == 0 };
	return 0;
}

static int
member_compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->data > y->data) - (x->data < y->data);
}

/* A hard link has the content of the member that it names. */
static void
hard_links_follow(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++) {
		struct member *m = &a->members[i];
		const char *name = m->name, *target = m->type == '1' && m->link ? name_from_root(m->link) : "";
		size_t at = member_index(a, target);

		if (*target && at < a->n && strcmp(a->members[at].name, target) == 0) {
			*m = a->members[at];
			m->name = name;
		}
	}
}

/* Sorts the members by name. Of several with one name the last in the archive stays. */
static void
members_sort(struct archive *a)
{
	size_t n = 0;

	if (a->n > 1)
		qsort(a->members, a->n, sizeof *a->members, member_compare);
	for (size_t i = 0; i < a->n; i++)
		if (i + 1 == a->n || strcmp(a->members[i].name, a->members[i + 1].name) != 0)
			a->members[n++] = a->members[i];
	a->n = n;
	hard_links_follow(a);
}

/* Finds the members of an archive. A member with a long name or link has another before it that holds
 * this: of type x as in POSIX, or of type L or K as GNU tar writes it. -1: no memory. */
static int
members_find(struct archive *a)
{
	struct arena *texts = &a->texts;
	const char *data, *name = NULL, *link = NULL, *value;
	struct header h;
	size_t at = 0, size;

	while (archive_next(a, &at, &h, &data, &size)) {
		if (h.type == 'x') {
			name = (value = pax_value(texts, data, size, "path")) ? value : name;
			link = (value = pax_value(texts, data, size, "linkpath")) ? value : link;
		} else if (h.type == 'L' || h.type == 'K') {
			value = text_copy(texts, data, strnlen(data, size));
			*(h.type == 'L' ? &name : &link) = value;
		} else {
			if (strchr("01257", h.type) && member_add(a, texts, &h, name, link, data, size) < 0)
				return -1;
			name = link = NULL;
		}
	}
	members_sort(a);
	return 0;
}

/* True if A holds a copy of /proc itself and no directory proc, as smemcap writes it. */
static bool
archive_is_bare_proc(const struct archive *a)
{
	size_t proc = member_index(a, "proc/"), memz = member_index(a, "memz");
	bool has_proc = proc < a->n && starts_with(a->members[proc].name, "proc/");
	bool is_ours = memz < a->n && strcmp(a->members[memz].name, "memz") == 0;	/* of no processes */

	return !has_proc && !is_ours;
}

/* SIGBUS: the mapped archive became shorter. */
static void
archive_lost(int signal_number)
{
	static const char text[] = "memz: the archive became shorter while it was read\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);

	save_abort();
	_exit(n < 0 || signal_number ? 1 : 0);
}

/* Frees an archive that is no source. */
static void
archive_free(struct archive *a)
{
	char **next;

	if (a && a->map)
		munmap((void *)(uintptr_t)a->map, a->size);
	for (char **piece = a ? a->texts.last : NULL; piece; piece = next) {
		next = (char **)(void *)*piece;
		free(piece);
	}
	if (a)
		free(a->members);
	free(a);
}

/* Maps the archive that FD is open for, and closes FD. NULL with errno; EBADMSG: it is no tar archive. */
static const struct archive *
archive_open(int fd, size_t size)
{
	struct archive *a = calloc(1, sizeof *a);
	void *map = a && size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	int error = size > 0 ? errno : EBADMSG;

	close(fd);
	if (map != MAP_FAILED) {
		signal(SIGBUS, archive_lost);
		a->map = map;
		a->size = size;
		error = members_find(a) < 0 ? ENOMEM : EBADMSG;
		if (error != ENOMEM && (a->n > 0 || a->unsafe > 0))
			return a;
	}
	archive_free(a);
	errno = error;
	return NULL;
}

/* ---- 4. Directories and files ---- */

/* linux/openat2.h, from Linux 5.6; musl-gcc does not find it. */
#ifndef SYS_openat2
#define SYS_openat2		437
#endif
#define RESOLVE_NO_MAGICLINKS	0x02
#define RESOLVE_IN_ROOT		0x10
struct open_how_v0 {
	uint64_t flags, mode, resolve;
};

/* Counts a file of the machine that exists and cannot be read, and keeps the name and error of the first. */
static void
failure_add(const struct dir *in, const char *name, int error)
{
	struct read_failures *f = in->failures;

	if (!f || is_missing(error) || error == EISDIR || error == EOPNOTSUPP)	/* PSI is switched off */
		return;
	if (starts_with(in->path, "proc/") && isdigit((unsigned char)*name))
		return;				/* a process: the scan counts it */
	if (f->n++ == 0) {
		snprintf(f->name, sizeof f->name, "%s%s%s", in->archive || in->root >= 0 ? "" : "/", in->path,
		    name);
		f->error = error;
	}
}

/* Every system call that may block for ever stands between wait_begin and wait_end. In a thread that was
 * abandoned meanwhile, wait_end does not return. */
static void
wait_begin(struct reader *r)
{
	if (!r)
		return;
	atomic_fetch_add_explicit(&r->waits, 1, memory_order_relaxed);
	atomic_store(&r->doing, WAITING);
}

static void
wait_end(struct reader *r)
{
	for (int was = WAITING; r && !atomic_compare_exchange_strong(&r->doing, &was, WORKING); was = WAITING)
		pause();
}

/* Opens PATH below ROOT component by component and follows no symbolic link. */
static int
open_without_links(int root, const char *path, int flags)
{
	char part[NAME_MAX + 1];
	int fd = root, next;

	for (;;) {
		size_t len = strcspn(path, "/");
		bool last = !path[len];
		int how = last ? flags : O_PATH | O_DIRECTORY;

		if (len > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		snprintf(part, sizeof part, "%.*s", (int)len, path);
		next = openat(fd, len ? part : ".", how | O_CLOEXEC | O_NOFOLLOW);
		if (fd != root)
			close(fd);
		if (next < 0 || last)
			return next;
		fd = next;
		path += len + 1;
	}
}

/*
 * Opens NAME in a directory of a saved tree. No symbolic link leads out of the tree: an absolute one counts
 * from its root. Where openat2 is missing (before 5.6, or forbidden), links are refused.
 */
static int
open_in_tree(const struct dir *in, const char *name, int flags)
{
	struct open_how_v0 how = {
		.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char path[PATH_MAX];
	int fd, tries = 8, len = snprintf(path, sizeof path, "%s%s", in->path + in->skip, name);

	if (len >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (len > 0 && path[len - 1] == '/')
		path[len - 1] = '\0';
	do
		fd = (int)syscall(SYS_openat2, in->root, *path ? path : ".", &how, sizeof how);
	while (fd < 0 && errno == EAGAIN && --tries > 0);	/* something was renamed meanwhile */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_without_links(in->root, path, flags);
	return fd;
}

/* Opens NAME, a regular file of a saved tree. A file of mode 0 could not be read when the tree was saved. */
static int
open_saved_file(const struct dir *in, const char *name)
{
	int fd = open_in_tree(in, name, O_PATH);
	struct stat st = { .st_mode = 0 };

	if (fd < 0)
		return -1;
	fstat(fd, &st);
	close(fd);
	errno = 0;
	if (S_ISDIR(st.st_mode))
		errno = EISDIR;
	else if (!S_ISREG(st.st_mode))
		errno = ENXIO;
	else if (!(st.st_mode & 07777))
		errno = EACCES;
	return errno ? -1 : open_in_tree(in, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

/* Opens NAME in a directory. -1 with errno; ENXIO: a file of a saved tree is no regular one. */
static int
fd_open(const struct dir *in, const char *name, int flags)
{
	int fd;

	wait_begin(in->reader);
	if (in->root < 0)
		fd = openat(in->fd, name, flags | O_CLOEXEC);
	else if (flags & O_DIRECTORY)
		fd = open_in_tree(in, name, flags);
	else
		fd = open_saved_file(in, name);
	wait_end(in->reader);
	return fd;
}

/* A file that is read: by a descriptor, or from an archive. */
struct stream {
	int fd;			/* -1: from an archive */
	struct reader *reader;
	const char *at;		/* what is left of the member */
	size_t left;
};

/* As read(2). */
static ssize_t
stream_read(struct stream *s, char *to, size_t size)
{
	ssize_t n;

	if (s->fd < 0) {
		size = size < s->left ? size : s->left;
		memcpy(to, s->at, size);
		s->at += size;
		s->left -= size;
		return (ssize_t)size;
	}
	wait_begin(s->reader);
	do
		n = read(s->fd, to, size);
	while (n < 0 && errno == EINTR);
	wait_end(s->reader);
	return n;
}

static int
stream_open(struct stream *s, const struct dir *in, const char *name)
{
	const struct member *m;

	*s = (struct stream){ .fd = -1, .reader = in->reader };
	if (!in->archive) {
		s->fd = fd_open(in, name, O_RDONLY);
		return s->fd < 0 ? -1 : 0;
	}
	if (!(m = member_find(in, name)))
		return -1;
	errno = 0;
	if (m->refused)
		errno = EACCES;
	else if (m->type == '5')
		errno = EISDIR;
	else if (m->type != '0' && m->type != '7')	/* a link */
		errno = ELOOP;
	s->at = m->data;
	s->left = m->size;
	return errno ? -1 : 0;
}

/* Keeps errno. */
static void
stream_close(struct stream *s)
{
	int error = errno;

	if (s->fd >= 0)
		close(s->fd);
	errno = error;
}

/* Opens the directory NAME of IN. It has IN's reader, save buffer and failures. -1 with errno. */
static int
dir_open(struct dir *to, const struct dir *in, const char *name)
{
	*to = *in;
	to->fd = -1;
	if (snprintf(to->path, sizeof to->path, "%s%s/", in->path, name) >= (int)sizeof to->path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (in->archive) {
		const struct member *m = member_find(in, name);

		if (m ? m->type == '5' : errno == EISDIR)
			return 0;
		errno = m ? ENOTDIR : ENOENT;
		return -1;
	}
	if ((to->fd = fd_open(in, name, O_PATH | O_DIRECTORY)) >= 0)
		return 0;
	failure_add(in, name, errno);
	return -1;
}

static void
dir_close(struct dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
}

static bool
dir_has(const struct dir *in, const char *name)
{
	struct stat st;
	bool has;

	if (in->archive)
		return member_find(in, name) || errno == EISDIR;
	wait_begin(in->reader);
	if (in->root < 0) {
		has = fstatat(in->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	} else {				/* NAME may have directories, and they may be links */
		int fd = open_in_tree(in, name, O_PATH | O_NOFOLLOW);

		has = fd >= 0;
		if (has)
			close(fd);
	}
	wait_end(in->reader);
	return has;
}

/* True if NAME was saved as a file of mode 0: the link of that name could not be read. */
static bool
link_was_denied(const struct dir *in, const char *name)
{
	struct stat st;

	return in->root >= 0 && fstatat(in->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    !(st.st_mode & 07777);
}

static ssize_t
member_link_read(const struct dir *in, const char *name, char *to, size_t size)
{
	const struct member *m = member_find(in, name);
	size_t n;

	if (!m)
		return -1;
	if (m->type != '2' || !m->link) {
		errno = m->refused ? EACCES : EINVAL;
		return -1;
	}
	n = strnlen(m->link, size);
	memcpy(to, m->link, n);
	return (ssize_t)n;
}

/* The target of the symbolic link NAME, in TO without a NUL. Returns its length, -1 with errno. */
static ssize_t
link_read(const struct dir *in, const char *name, char *to, size_t size)
{
	ssize_t n;

	if (in->archive) {
		n = member_link_read(in, name, to, size);
	} else {
		wait_begin(in->reader);
		n = readlinkat(in->fd, name, to, size);
		wait_end(in->reader);
		if (n < 0 && errno == EINVAL && link_was_denied(in, name))
			errno = EACCES;
	}
	if (n < 0)
		save_error(in, name, errno);
	else if ((size_t)n < size)
		save_link(in, name, to, (size_t)n);
	return n;
}

/* Of the kernel's files only cmdline holds NUL. In a saved file NUL must not end a number early: it
 * becomes \1. */
static void
nuls_replace(char *text, size_t n)
{
	for (char *nul = memchr(text, '\0', n); nul && nul < text + n; nul++)
		if (!*nul)
			*nul = '\1';
}

/* Cuts B at the last newline within MAX bytes, as half a line must not be parsed, or at MAX bytes if
 * there is none. */
static void
buf_cut(struct buf *b, size_t max)
{
	char *newline;

	if (b->len < max)
		return;
	b->len = max;
	if ((newline = memrchr(b->text, '\n', max)))
		b->len = (size_t)(newline - b->text) + 1;
	b->text[b->len] = '\0';
}

/* Reads S to its end, or to MAX bytes. -1 with errno. */
static int
buf_read(struct buf *b, struct stream *s, size_t max, bool is_short)
{
	ssize_t n;

	b->len = 0;
	for (;;) {
		size_t size;

		if (b->size - b->len < 2048 && buf_grow(b, b->len + 8192) < 0)
			return -1;
		size = b->size - b->len - 1;
		n = stream_read(s, b->text + b->len, size);
		if (n < 0)
			return -1;
		b->len += (size_t)n;
		b->text[b->len] = '\0';
		if (n == 0 || b->len >= max || (is_short && (size_t)n < size))
			return 0;
	}
}

/*
 * Reads the file NAME of IN into B: NUL-terminated, b->len without the NUL, cut at MAX bytes. -1 with
 * errno. IS_SHORT: a short read is the end of the file. That holds for files of /proc/PID that are made in
 * one piece, and saves a call.
 */
static int
file_read(struct buf *b, const struct dir *in, const char *name, size_t max, bool is_short)
{
	struct stream s;
	int result;

	b->len = 0;
	result = stream_open(&s, in, name);
	if (result == 0) {
		result = buf_read(b, &s, max, is_short);
		stream_close(&s);
	}
	if (result < 0) {
		failure_add(in, name, errno);
		save_error(in, name, errno);
		return -1;
	}
	if (b->len > max)
		b->text[b->len = max] = '\0';
	save_file(in, name, b);
	if (max != CMDLINE_SIZE_MAX)
		nuls_replace(b->text, b->len);
	buf_cut(b, max);
	return 0;
}

/* Reads the short file FILE of the process PID without opening its directory. */
static int
short_read(struct buf *b, const struct dir *proc, int64_t pid, const char *file)
{
	char name[48];

	snprintf(name, sizeof name, "%lld/%s", (long long)pid, file);
	return file_read(b, proc, name, FILE_SIZE_MAX, true);
}

/* A file that is parsed line by line, in bounded memory. */
struct lines {
	struct stream stream;
	char *text;
	size_t size;			/* of text, less two bytes for a newline and NUL */
	size_t used;			/* bytes of text that hold the start of a line */
	bool skip;			/* that line is longer than text, and was parsed up to its colon */
	int64_t count;
};

/* Parses the whole lines among the first LEN bytes of L->text, and moves the rest to the front. If the rest
 * fills L->text, it is parsed up to its colon, and the remainder of that line is skipped. */
static void
lines_parse(struct lines *l, size_t len, struct reader *r, struct proc *p, line_parser *parse)
{
	char *line = l->text, *end, *stop = l->text + len;

	for (; (end = memchr(line, '\n', (size_t)(stop - line))); line = end + 1) {
		*end = '\0';
		if (!l->skip && parse)
			parse(r, p, line);
		l->skip = false;
		l->count++;
	}
	l->used = (size_t)(stop - line);
	if (l->used == l->size) {		/* parse "Key:" alone: its value is unknown */
		char *colon = l->skip || !parse ? NULL : memchr(line, ':', l->size);

		if (colon) {
			colon[1] = '\0';
			parse(r, p, line);
		}
		l->skip = true;
		l->used = 0;
	}
	memmove(l->text, line, l->used);
}

/*
 * Calls PARSE for each line of the file NAME of R's directory, with NUL for the newline. PARSE gets a line
 * of over 64 KiB only up to its colon. Returns the number of lines, -1 with errno; EFBIG: a line is longer
 * than LINE_SIZE_MAX.
 */
static int64_t
file_lines(struct reader *r, const char *name, struct proc *p, line_parser *parse)
{
	struct lines l = { .size = 1u << 16 };
	size_t since_newline = 0, member;
	ssize_t n;

	if (buf_grow(&r->buf, l.size + 2) < 0)
		return -1;
	l.text = r->buf.text;
	if (stream_open(&l.stream, &r->dir, name) < 0) {
		save_error(&r->dir, name, errno);
		return -1;
	}
	member = save_begin_file(&r->dir, name);
	while ((n = stream_read(&l.stream, l.text + l.used, l.size - l.used)) > 0) {
		int64_t before = l.count;

		save_bytes(&r->dir, member, l.text + l.used, (size_t)n);
		nuls_replace(l.text + l.used, (size_t)n);
		lines_parse(&l, l.used + (size_t)n, r, p, parse);
		since_newline = l.count > before ? 0 : since_newline + (size_t)n;
		if (since_newline > LINE_SIZE_MAX) {
			errno = EFBIG;
			n = -1;
			break;
		}
	}
	if (n == 0 && l.used > 0) {			/* the last line has no newline */
		l.text[l.used] = '\n';
		lines_parse(&l, l.used + 1, r, p, parse);
	}
	save_end_file(&r->dir, member, n < 0 ? errno : 0);
	stream_close(&l.stream);
	return n < 0 ? -1 : l.count;
}

/* The line at *AT, a text, with NUL for its newline. *AT goes to the next one. NULL: the end. */
static char *
line_next(char **at)
{
	char *line = *at, *end;

	if (!*line)
		return NULL;
	end = strchrnul(line, '\n');
	*at = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

int
pid_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct ids {
	int *list;
	size_t n, capacity;
};

/* Adds the number in NAME, LEN bytes, if that is PREFIX and up to nine digits. -1: no memory. */
static int
id_add(struct ids *ids, const char *name, size_t len, const char *prefix)
{
	size_t skip = strlen(prefix);
	const char *digits = name + skip;

	if (len <= skip || len > skip + 9 || !starts_with(name, prefix))
		return 0;
	if (strspn(digits, "0123456789") < len - skip)
		return 0;
	if (array_grow(&ids->list, &ids->capacity, ids->n + 1, sizeof *ids->list) < 0)
		return -1;
	ids->list[ids->n++] = atoi(digits);
	return 0;
}

/* Adds the ids among the entries of the directory NAME in the archive of IN. -1 with errno. */
static int
member_ids(const struct dir *in, const char *name, const char *prefix, struct ids *ids)
{
	const struct archive *a = in->archive;
	char whole[PATH_MAX];
	const char *slash = *name ? "/" : "";
	size_t len = (size_t)snprintf(whole, sizeof whole, "%s%s%s", in->path + in->skip, name, slash);
	const struct member *self = member_find(in, name);

	errno = !*name || (self && self->type == '5') ? 0 : ENOENT;
	for (size_t i = member_index(a, whole); i < a->n && starts_with(a->members[i].name, whole); i++) {
		const char *part = a->members[i].name + len;

		errno = 0;
		if (id_add(ids, part, strcspn(part, "/"), prefix) < 0)
			return -1;
	}
	return errno ? -1 : 0;
}

/* The same for a directory that is in no archive. */
static int
entry_ids(const struct dir *in, const char *name, const char *prefix, struct ids *ids)
{
	int fd = fd_open(in, *name ? name : ".", O_RDONLY | O_DIRECTORY), error;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while ((errno = 0, entry = readdir(dir)))
		if (id_add(ids, entry->d_name, strlen(entry->d_name), prefix) < 0)
			break;
	error = errno;
	closedir(dir);
	errno = error;
	return error ? -1 : 0;
}

/*
 * Lists the numbers behind PREFIX in the names of the entries of the directory NAME of IN, "" for IN
 * itself: ascending, in *IDS, which is the caller's. -1 with errno.
 */
static int
numbers_list(const struct dir *in, const char *name, const char *prefix, int **ids, size_t *n)
{
	struct ids found = { 0 };
	int error = 0;

	if ((in->archive ? member_ids : entry_ids)(in, name, prefix, &found) < 0)
		error = errno;
	if (found.n > 1)
		qsort(found.list, found.n, sizeof *found.list, pid_compare);
	*ids = found.list;
	*n = 0;
	for (size_t i = 0; i < found.n; i++)
		if (i == 0 || found.list[i] != found.list[i - 1])
			found.list[(*n)++] = found.list[i];
	if (error)
		failure_add(in, name, error);
	else if (*name)
		save_dir(in, name);
	errno = error;
	return error ? -1 : 0;
}

/* The number behind KEY, with which a line of the file NAME begins. */
static int64_t
line_value(const struct dir *in, const char *name, const char *key, size_t max, struct buf *b)
{
	char *at, *line;

	if (file_read(b, in, name, max, false) == 0)
		for (at = b->text; (line = line_next(&at)); )
			if (starts_with(line, key))
				return number(line + strlen(key));
	return UNKNOWN;
}

/* ---- 5. The files of a process ---- */

#define PARTIAL	(UNKNOWN + 1)	/* a sum that has an unknown part, until sums_finish */

/* "Pss_Anon:   116 kB": the number goes into its column of P. If a key is repeated, as in smaps, which has
 * it for each mapping, SUM adds the numbers; otherwise the first counts. */
static void
size_line(struct proc *p, char *line, unsigned sources, bool sum, size_t *hint)
{
	size_t len = strcspn(line, ":");
	const struct column *c;
	int64_t n;

	if (line[len] != ':' || !(c = column_by_key(line, len, sources, hint)))
		return;
	n = number(line + len + 1);
	if (sum && (n == UNKNOWN || *number_ptr(p, c) == PARTIAL))
		*number_ptr(p, c) = PARTIAL;
	else if (sum || *number_ptr(p, c) == UNKNOWN)
		*number_ptr(p, c) = kib_add(*number_ptr(p, c), n);
}

/* Makes sums that have an unknown part unknown. */
static void
sums_finish(struct proc *p)
{
	for (const struct column *c = columns; c->name; c++)
		if (c->key && c->source & (ROLLUP | RSS) && *number_ptr(p, c) == PARTIAL)
			*number_ptr(p, c) = UNKNOWN;
}

static void
smaps_line(struct reader *r, struct proc *p, char *line)
{
	size_t hint = 0;

	(void)r;
	size_line(p, line, ROLLUP | RSS, true, &hint);
}

static void
rollup_parse(struct reader *r, struct proc *p)
{
	char *at = r->buf.text, *line;
	size_t hint = 0, range_len = strcspn(at, " :\n");

	p->rss = UNKNOWN;	/* not statm's, which may be a moment older */
	if (at[range_len] == ' ') {		/* 5631d133e000-7ffed84cb000 ---p ... [rollup] */
		at[range_len] = '\0';
		p->mm_range = (unsigned)hash(at, HASH_BEGIN);
		at[range_len] = ' ';
	}
	while ((line = line_next(&at)))
		size_line(p, line, ROLLUP | RSS, false, &hint);
}

/* 765 426 398 5 0 123 0: size, resident, file and shmem resident, in pages. */
static void
statm_parse(struct reader *r, struct proc *p)
{
	char *s = r->buf.text;
	int64_t n[3];

	for (int i = 0; i < 3; i++) {
		n[i] = number(s);
		s += strspn(s, " ");
		s += strcspn(s, " ");
	}
	r->empty = n[0] == 0;
	p->vsz = pages_kib(n[0], r->scan->from);
	p->rss = pages_kib(n[1], r->scan->from);
	p->anon_max = pages_kib(kib_sub(n[1], n[2]), r->scan->from);
}

/* stat and status write a newline in a name as \n and a backslash as \\. The file comm does not. */
static void
name_unescape(char *name)
{
	char *to = name;

	for (; *name; name++) {
		if (*name == '\\' && (name[1] == 'n' || name[1] == '\\'))
			*to++ = *++name == 'n' ? '\n' : '\\';
		else
			*to++ = *name;
	}
	*to = '\0';
}

/* 3244 (cat) R 3240 ...: the name may hold any byte, so the fields begin behind the last parenthesis. */
static void
stat_parse(struct reader *r, struct proc *p)
{
	char *from = strchr(r->buf.text, '('), *s = strrchr(r->buf.text, ')');
	int64_t flags = 0;

	if (!from || !s || s < from)
		return;
	r->named = true;
	snprintf(r->comm, sizeof r->comm, "%.*s", (int)(s - from - 1), from + 1);
	name_unescape(r->comm);
	s += 1 + (s[1] == ' ');
	p->state = *s ? text_copy(&r->texts, s, 1) : NULL;
	p->zombie = *s == 'Z' || *s == 'X';
	for (int field = 3; *s; field++, s += strcspn(s, " "), s += *s == ' ')
		switch (field) {
		case 4:  p->ppid = number(s); break;
		case 9:  flags = number(s); break;
		case 10: p->minflt = number(s); break;
		case 12: p->majflt = number(s); break;
		case 20: p->threads = number(s); break;
		case 22: p->start = number(s); break;
		case 23:
			if (r->enoent & STATM)		/* smemcap keeps no statm */
				p->vsz = bytes_kib(number(s));
		}
	p->kthread = flags != UNKNOWN && flags & PF_KTHREAD;
}

/* status repeats the name, state, parent and number of threads that stat has. They are used where stat
 * cannot be read. */
static void
status_line(struct reader *r, struct proc *p, char *line, size_t *hint)
{
	struct status_identity *id = &r->status;
	char *value = strchr(line, ':');

	if (!value)
		return;
	value += 1 + strspn(value + 1, " \t");
	if (starts_with(line, "Name:\t") && !r->named) {	/* a name may begin with blanks */
		snprintf(r->comm, sizeof r->comm, "%s", line + strlen("Name:\t"));
		name_unescape(r->comm);
		r->named = true;
	} else if (starts_with(line, "State:"))		/* S (sleeping) */
		id->state = *value;
	else if (starts_with(line, "Tgid:"))
		r->tgid = number(value) > 0 && number(value) != p->pid ? (int)number(value) : 0;
	else if (starts_with(line, "PPid:"))
		id->ppid = number(value);
	else if (starts_with(line, "Threads:"))
		id->threads = number(value);
	else if (starts_with(line, "Kthread:"))		/* since 6.8 */
		id->kthread = number(value);
	else if (starts_with(line, "VmSize:"))		/* kernel threads have no mm */
		id->has_mm = true;
	else if (starts_with(line, "Uid:"))		/* real, effective, saved, fs */
		p->uid = r->scan->from->live ? p->uid : number(value + strcspn(value, " \t"));
	else
		size_line(p, line, STATUS, false, hint);
}

static void
status_parse(struct reader *r, struct proc *p)
{
	char *at = r->buf.text, *line;
	size_t hint = 0;

	r->status = (struct status_identity){
		.read = true, .ppid = UNKNOWN, .threads = UNKNOWN, .kthread = UNKNOWN,
	};
	while ((line = line_next(&at)))
		status_line(r, p, line, &hint);
}

static void
comm_parse(struct reader *r, struct proc *p)
{
	struct buf *b = &r->buf;

	if (b->len > 0 && b->text[b->len - 1] == '\n')
		b->len--;
	p->name = text_copy(&r->texts, b->text, strnlen(b->text, b->len));
}

static void
cmdline_parse(struct reader *r, struct proc *p)
{
	struct buf *b = &r->buf;

	r->was_empty = r->was_empty || b->len == 0;
	while (b->len > 0 && b->text[b->len - 1] == '\0')
		b->len--;
	for (size_t i = 0; i < b->len; i++)
		if (b->text[i] == '\0')
			b->text[i] = ' ';
	p->command = text_copy(&r->texts, b->text, b->len);
}

/* The unit is the last part of PATH that ends in .service or .scope. systemd writes a _ before a name
 * that could be that of a file of the control group, as in _cpuset.scope. */
static void
unit_set(struct reader *r, struct proc *p, const char *path)
{
	const char *slash, *end = path + strlen(path);

	for (; (slash = memrchr(path, '/', (size_t)(end - path))); end = slash) {
		const char *name = slash + 1 + (slash[1] == '_');
		size_t len = (size_t)(end - name);

		if (!ends_with(name, &len, ".service") && !ends_with(name, &len, ".scope"))
			continue;
		p->unit_path = text_copy(&r->texts, path, (size_t)(end - path));
		p->unit = p->unit_path ? p->unit_path + (name - path) : NULL;
		return;
	}
}

#define ID_MIN	12	/* hexadecimal digits, as docker ps prints */
#define ID_LEN	64
#define HEX	"0123456789abcdef"

/* The number of bytes at the start of S that have the form of a UUID:
 * 0123abcd-0123-0123-0123-0123456789ab */
static size_t
uuid_len(const char *s)
{
	size_t n = 0;

	for (; n < 36 && s[n]; n++) {
		bool dash = n == 8 || n == 13 || n == 18 || n == 23;

		if (!strchr(dash ? "-" : HEX, s[n]))
			break;
	}
	return n;
}

static bool
is_hex_id(const char *s)
{
	size_t n = strspn(s, HEX);

	return n >= ID_MIN && !s[n];
}

/* Ids of garden may lack the last eight digits. */
static bool
is_uuid(const char *s)
{
	size_t n = uuid_len(s);

	return !s[n] && (n == 36 || n == 28);
}

/* An allocation, or one of its tasks: UUID, UUID.TASK or UUID-TASK. */
static bool
is_nomad_id(const char *s)
{
	return uuid_len(s) == 36 && strchr(".-", s[36]);
}

/* The id of a task, of 32 digits, and a number: ID-NUMBER. */
static bool
is_ecs_id(const char *s)
{
	return strspn(s, HEX) == 32 && s[32] == '-' && s[33] && !s[33 + strspn(s + 33, "0123456789")];
}

/* Container engines that put the cgroup of each container below one of their own, GROUP. */
static const struct engine {
	const char *group;
	bool (*is_container)(const char *);	/* NULL: any name is that of a container */
	bool nested;				/* the container may be further down */
} engines[] = {
	{ "docker",      is_hex_id,   false },
	{ "lxc",         NULL,        false },
	{ "lxc.payload", NULL,        false },
	{ "ecs",         is_ecs_id,   true },
	{ "nomad",       is_nomad_id, true },
	{ "nomad.slice", is_nomad_id, true },
	{ "garden",      is_uuid,     true },
	{ "mesos",       is_uuid,     true },
};

static const struct engine *
engine_find(const char *part)
{
	for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
		if (strcmp(part, engines[i].group) == 0)
			return &engines[i];
	return NULL;
}

/* docker-ID, libpod-ID, kata_ID, SLICE:cri-containerd:ID, or ID: where the id begins. NULL: PART is no
 * container, as conmon-ID, which is the monitor of one. */
static const char *
prefixed_id(const char *part)
{
	static const char *const prefixes[] = {
		"docker", "libpod", "libpod-payload", "podman", "crio", "cri-containerd", "containerd",
		"nerdctl", "balena", "kata",
	};
	size_t len = strlen(part), before = len, hex;

	while (before > 0 && strchr(HEX, part[before - 1]))
		before--;
	hex = len - before;
	if (before == 0 && hex == ID_LEN)		/* kubepods/burstable/pod12-34/ID, default/ID */
		return part;
	if (before == 0 || hex < ID_MIN || !strchr("-:_", part[before - 1]))
		return NULL;
	if (part[before - 1] == ':' && memchr(part, ':', before - 1) && hex == ID_LEN)	/* SLICE:PREFIX:ID */
		return part + before;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strlen(prefixes[i]) == before - 1 && starts_with(part, prefixes[i]))
			return part + before;
	return NULL;
}

/* Undoes systemd's escapes in the name of a unit: - is written as \x2d. */
static void
systemd_unescape(char *name)
{
	char *to = name;

	for (; *name; name++)
		if (starts_with(name, "\\x") && strspn(name + 2, HEX) >= 2) {
			const char digits[3] = { name[2], name[3], '\0' };

			*to++ = (char)strtol(digits, NULL, 16);
			name += 3;
		} else
			*to++ = *name;
	*to = '\0';
}

/* machine.slice/machine-NAME.scope, machine.slice/systemd-nspawn@NAME.service: NAME, as machinectl shows
 * it. NULL: PART is no container, as machine-qemu-..., which is a virtual machine. */
static const char *
machine_name(const char *parent, char *part)
{
	char *name = NULL;

	if (strcmp(parent, "machine.slice") != 0)
		return NULL;
	if (starts_with(part, "machine-qemu-") || starts_with(part, "machine-qemu\\x2d"))
		return NULL;
	if (starts_with(part, "machine-") && suffix_cut(part, ".scope"))
		name = part + strlen("machine-");
	else if (starts_with(part, "systemd-nspawn@") && suffix_cut(part, ".service"))
		name = part + strlen("systemd-nspawn@");
	if (!name || !*name)
		return NULL;
	systemd_unescape(name);
	return name;
}

/* The innermost container that PATH shows for certain: the first 12 digits of its id, or a name or an id
 * of another form. A part that is the name of a container is no engine, whatever it is called.
 * Overwrites PATH. */
static const char *
container_from_path(struct reader *r, char *path)
{
	const struct engine *engine = NULL;	/* its container may come next */
	const char *parent = "", *found = NULL, *machine = NULL;
	char *rest = path, *part;

	for (; (part = strtok_r(rest, "/", &rest)); parent = part) {
		const struct engine *above = engine, *named = engine_find(part);
		const char *name = machine_name(parent, part), *id;
		bool any = above && !above->is_container;

		if (!any && !starts_with(part, "lxc.payload."))
			suffix_cut(part, ".scope");
		id = prefixed_id(part);
		engine = above && above->nested ? above : NULL;
		if (any || (above && above->is_container(part)))
			found = part;
		else if (id)
			found = id;
		else if (starts_with(part, "lxc.payload.") && part[12])
			found = part + 12;
		else if (name)
			found = machine = name;
		else if (found && found == machine && found >= parent && strcmp(part, "supervisor") == 0)
			found = NULL;			/* systemd-nspawn itself */
		else if (named)
			engine = named;
	}
	if (!found)
		return NULL;
	return text_copy(&r->texts, found, found != machine && is_hex_id(found) ? ID_MIN : strlen(found));
}

/* True if WORD is one of the words between the commas of LIST. */
static bool
has_word(const char *list, const char *word)
{
	for (size_t n; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n == strlen(word) && strncmp(list, word, n) == 0)
			return true;
	}
	return false;
}

/* 4:memory:/docker/3f... on version 1, 0::/system.slice/ssh.service on version 2. A hybrid machine has
 * both, and the memory controller's path counts. The unit may stand in the line of name=systemd alone. */
static void
cgroup_parse(struct reader *r, struct proc *p)
{
	enum { MEMORY, UNIFIED, SYSTEMD, PATHS };
	char *at = r->buf.text, *line, *paths[PATHS] = { NULL, NULL, NULL };

	while ((line = line_next(&at))) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*list++ = *path++ = '\0';
		if (has_word(list, "memory"))
			paths[MEMORY] = path;
		if (has_word(list, "name=systemd"))
			paths[SYSTEMD] = path;
		if (strcmp(line, "0") == 0)
			paths[UNIFIED] = path;
	}
	for (int i = 0; i < PATHS; i++) {
		if (!paths[i])
			continue;
		if (!p->cgroup)
			p->cgroup = text_copy(&r->texts, paths[i], strlen(paths[i]));
		suffix_cut(paths[i], " (deleted)");	/* the group was removed; a zombie is left */
		if (!p->unit)
			unit_set(r, p, paths[i]);
		if (!p->container)
			p->container = container_from_path(r, paths[i]);
	}
}

/* The size of the pages that a line of numa_maps counts, in KiB. Before 4.0 only the word huge tells:
 * 2aaaaac00000 default file=/anon_hugepage\040(deleted) huge dirty=512 N0=512 */
static int64_t
numa_page_size(struct reader *r, const char *line)
{
	const char *size = strstr(line, " kernelpagesize_kB=");

	if (size)
		return number(size + strlen(" kernelpagesize_kB="));
	if (!strstr(line, " huge "))
		return r->scan->from->page / 1024;
	if (r->huge_page == 0) {
		struct buf b = { 0 };

		r->huge_page = line_value(&r->proc, "meminfo", "Hugepagesize:", MACHINE_FILE_SIZE_MAX, &b);
		free(b.text);
	}
	return r->huge_page;
}

/* Where R sums the pages of node ID; the nodes are kept in the order of their ids. NULL: no memory. */
static struct node_pages *
node_get(struct reader *r, unsigned id)
{
	size_t i = 0;

	while (i < r->nnodes && r->nodes[i].id < id)
		i++;
	if (i < r->nnodes && r->nodes[i].id == id)
		return &r->nodes[i];
	if (array_grow(&r->nodes, &r->nodes_capacity, r->nnodes + 1, sizeof *r->nodes) < 0)
		return NULL;
	memmove(r->nodes + i + 1, r->nodes + i, (r->nnodes++ - i) * sizeof *r->nodes);
	r->nodes[i] = (struct node_pages){ id, 0 };
	return &r->nodes[i];
}

/* 7f.. default file=/x mapped=3 N0=2 N1=1 kernelpagesize_kB=4: two pages on node 0, one on node 1. */
static void
numa_line(struct reader *r, struct proc *p, char *line)
{
	int64_t page_kib = numa_page_size(r, line), size;
	char *rest;

	(void)p;
	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		int64_t id = *word == 'N' ? number(word + 1) : UNKNOWN, n;
		char *equals = strchr(word, '=');
		struct node_pages *node;

		if (id < 0 || id > INT32_MAX || !equals)
			continue;
		n = number(equals + 1);
		node = node_get(r, (unsigned)id);
		if (!node || n == UNKNOWN || page_kib == UNKNOWN)
			r->partial = true;
		else
			node->kib = __builtin_mul_overflow(n, page_kib, &size) ? INT64_MAX :
			    kib_add(node->kib, size);
	}
}

static int
numa_maps_read(struct reader *r, struct proc *p, const char *name)
{
	r->nnodes = 0;
	r->partial = false;
	r->huge_page = 0;
	if (file_lines(r, name, p, numa_line) < 0)
		return -1;
	r->was_empty = r->was_empty || r->nnodes == 0;
	if (r->partial)
		return 0;
	r->buf.len = 0;
	for (size_t i = 0; i < r->nnodes; i++)
		buf_printf(&r->buf, "%s%u=%lld", i ? " " : "", r->nodes[i].id, (long long)r->nodes[i].kib);
	if (r->buf.failed) {
		r->buf.failed = false;
		errno = ENOMEM;
		return -1;
	}
	p->numa = text_copy(&r->texts, r->buf.text, r->buf.len);
	return 0;
}

static int
maps_read(struct reader *r, struct proc *p, const char *name)
{
	int64_t lines = file_lines(r, name, p, NULL);

	if (lines < 0)
		return -1;
	r->was_empty = r->was_empty || lines == 0;
	p->maps = lines;
	return 0;
}

static int
smaps_sum_read(struct reader *r, struct proc *p, const char *name)
{
	int64_t lines;

	p->rss = UNKNOWN;
	lines = file_lines(r, name, p, smaps_line);
	sums_finish(p);
	return lines < 0 ? -1 : 0;
}

static int
exe_read(struct reader *r, struct proc *p, const char *name)
{
	ssize_t n = buf_grow(&r->buf, EXE_SIZE_MAX);

	if (n == 0)
		n = link_read(&r->dir, name, r->buf.text, r->buf.size);
	if (n < 0)
		return -1;
	p->exe = text_copy(&r->texts, r->buf.text, (size_t)n);
	return 0;
}

/* ---- 6. Mappings ---- */

/* Reads mountinfo of the machine that S comes from. In the live /proc of another machine "self" is memz,
 * which has the mounts of this one, so mountinfo of process 1 is tried first. */
static int
mounts_read(const struct source *s, struct buf *b)
{
	const char *self = "self/mountinfo", *init = "1/mountinfo";
	bool other = s->live && !s->here;

	if (file_read(b, &s->proc, other ? init : self, SIZE_MAX, false) == 0)
		return 0;
	return file_read(b, &s->proc, other ? self : init, SIZE_MAX, false);
}

/* A mounted device, and the kind of what is mapped from it. */
struct mount {
	dev_t dev;
	const char *kind;	/* "shm" of tmpfs and devtmpfs, "hugetlb" of hugetlbfs, else "file" */
};

static int
mount_compare(const void *a, const void *b)
{
	const struct mount *x = a, *y = b;

	return (x->dev > y->dev) - (x->dev < y->dev);
}

/* 08:02, hexadecimal in smaps, decimal in mountinfo. */
static dev_t
device_parse(const char *s, int base)
{
	char *end;
	unsigned long major = strtoul(s, &end, base);

	return makedev((unsigned)major, (unsigned)(*end == ':' ? strtoul(end + 1, NULL, base) : 0));
}

/* 25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw */
static int
mount_parse(struct readers *rs, char *line)
{
	const char *tail = strstr(line, " - "), *kind = "file";

	if (!tail)
		return 0;
	tail += 3;
	if (starts_with(tail, "hugetlbfs "))
		kind = "hugetlb";
	else if (starts_with(tail, "tmpfs ") || starts_with(tail, "devtmpfs "))
		kind = "shm";
	for (int field = 0; field < 2; field++)
		line += strcspn(line, " "), line += strspn(line, " ");
	if (array_grow(&rs->mounts, &rs->mounts_capacity, rs->nmounts + 1, sizeof *rs->mounts) < 0)
		return -1;
	rs->mounts[rs->nmounts++] = (struct mount){ device_parse(line, 10), kind };
	return 0;
}

static void
mounts_load(struct readers *rs, const struct source *s)
{
	struct buf b = { NULL, 0, 0, false };
	char *at, *line;

	rs->nmounts = 0;
	if (mounts_read(s, &b) == 0)
		for (at = b.text; (line = line_next(&at)); )
			if (mount_parse(rs, line) < 0)
				break;
	free(b.text);
	if (rs->nmounts > 1)
		qsort(rs->mounts, rs->nmounts, sizeof *rs->mounts, mount_compare);
}

static const struct mount *
mount_find(const struct readers *rs, dev_t dev)
{
	struct mount key = { dev, NULL };

	if (rs->nmounts == 0)
		return NULL;
	return bsearch(&key, rs->mounts, rs->nmounts, sizeof *rs->mounts, mount_compare);
}

static const char *
bracket_kind(const char *name)
{
	static const struct { const char *start, *kind; } kinds[] = {
		{ "[heap]", "heap" }, { "[stack", "stack" }, { "[anon_shmem:", "shm" }, { "[anon", "anon" },
		{ "[vdso]", "vdso" }, { "[vvar", "vdso" }, { "[vsyscall]", "vdso" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (starts_with(name, kinds[i].start))
			return kinds[i].kind;
	return "other";
}

/* /SYSV0000002a (deleted) */
static bool
is_sysv(const char *name)
{
	return starts_with(name, "/SYSV") && strspn(name + 5, HEX) == 8 && (!name[13] || name[13] == ' ');
}

/* Names that the kernel gives to shared memory on mounts of its own, which are in no mountinfo. What else
 * lies on these devices, such as ashmem and buffers of graphics drivers, is shared memory too, whatever
 * its name. */
static bool
is_internal_shm(const char *name)
{
	return starts_with(name, "/memfd:") || is_sysv(name) || strcmp(name, "/dev/zero (deleted)") == 0 ||
	    strcmp(name, "/secretmem (deleted)") == 0;
}

/* Shared memory that is known by its name alone. */
static bool
is_named_shm(const char *name)
{
	return starts_with(name, "/dev/shm/") || starts_with(name, "/dev/ashmem/") ||
	    starts_with(name, "/i915 (") || starts_with(name, "/drm mm object");
}

/* The kind of a mapping whose device does not tell: it is in no mountinfo, or has device files as well. */
static const char *
name_kind(const char *name)
{
	bool special = starts_with(name, "/dev/") || starts_with(name, "/[") || starts_with(name, "/dmabuf:");

	return special ? "other" : "file";
}

static bool
is_shm_dev(const struct reader *r, dev_t dev)
{
	for (size_t i = 0; i < r->nshm_devs; i++)
		if (r->shm_devs[i] == dev)
			return true;
	return false;
}

/* The kind of R's mapping. If its device is in no mountinfo, it is not known yet: returns the number of
 * the device, which device_kind replaces. */
static const char *
kind_of(struct reader *r)
{
	const char *name = r->vma_name;
	const struct mount *mount = mount_find(r->scan->readers, r->vma_dev);
	bool in_dev = starts_with(name, "/dev/");	/* a device file on a tmpfs is no shared memory */

	if (r->vma_huge || starts_with(name, "/anon_hugepage"))
		return "hugetlb";
	if (*name == '[')
		return bracket_kind(name);
	if (strcmp(name, "/dev/zero") == 0)	/* mapped privately: a shared mapping is of a deleted file */
		return "anon";
	if (*name != '/')		/* socket:[4711], anon_inode:[perf_event] */
		return "other";
	if (major(r->vma_dev) != 0)
		return "file";
	if (mount && !(in_dev && strcmp(mount->kind, "shm") == 0))
		return mount->kind;
	if (is_internal_shm(name) && !mount && !is_shm_dev(r, r->vma_dev) && r->nshm_devs < SHM_DEVS_MAX)
		r->shm_devs[r->nshm_devs++] = r->vma_dev;
	if (is_internal_shm(name) || is_named_shm(name))
		return "shm";
	if (mount)
		return name_kind(name);
	snprintf(r->vma_kind, sizeof r->vma_kind, "%ju", (uintmax_t)r->vma_dev);
	return r->vma_kind;
}

/* The kind of a row that kind_of gave the number of a device for a kind: all mappings are known now. */
static const char *
device_kind(const struct readers *rs, const struct group_row *row)
{
	dev_t dev = strtoull(row->kind, NULL, 10);

	for (const struct reader *r = rs->list; r; r = r->next)
		if (is_shm_dev(r, dev))
			return "shm";
	return name_kind(row->mapping);
}

/* The slot of NAME and KIND in T: taken by them, or free. */
static struct group_row **
table_slot(const struct table *t, const char *name, const char *kind)
{
	size_t i = (size_t)hash(kind, hash(name, HASH_BEGIN)) & (t->size - 1);

	for (; t->slots[i]; i = (i + 1) & (t->size - 1))
		if (strcmp(t->slots[i]->mapping, name) == 0 && strcmp(t->slots[i]->kind, kind) == 0)
			break;
	return &t->slots[i];
}

static int
table_grow(struct table *t)
{
	struct table more = { .n = t->n, .size = t->size ? 2 * t->size : 256 };

	if (!(more.slots = calloc(more.size, sizeof *more.slots)))
		return -1;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i])
			*table_slot(&more, t->slots[i]->mapping, t->slots[i]->kind) = t->slots[i];
	free(t->slots);
	*t = more;
	return 0;
}

static void
row_sum(struct proc *to, struct proc *p)
{
	for (const struct column *c = columns; c->name; c++)
		if (c->key && c->source & (ROLLUP | RSS))
			*number_ptr(to, c) = kib_add(*number_ptr(to, c), *number_ptr(p, c));
	to->vsz = kib_add(to->vsz, p->vsz);
	to->maps = kib_add(to->maps, p->maps);
}

/* The row of R's process for mappings of this name and kind, a new one if need be; NULL: no memory. */
static struct group_row *
mapping_row(struct reader *r, const char *kind)
{
	struct group_row **slot, *row;

	if (2 * r->fresh.n >= r->fresh.size && table_grow(&r->fresh) < 0)
		return NULL;
	slot = table_slot(&r->fresh, r->vma_name, kind);
	if ((row = *slot))
		return row;
	if (!(row = malloc(sizeof *row)))
		return NULL;
	group_row_init(row);
	row->mapping = text_copy(&r->texts, r->vma_name, strlen(r->vma_name));
	row->kind = kind == r->vma_kind ? text_copy(&r->texts, kind, strlen(kind)) : kind;
	if (!row->mapping || !row->kind) {
		free(row);
		return NULL;
	}
	row->procs = 1;
	r->fresh.n++;
	*slot = row;
	return row;
}

/* Adds the mapping that was read to the others of its name and kind. Without memory for it the process is
 * denied. */
static void
mapping_end(struct reader *r, struct proc *p)
{
	struct group_row *row;

	if (!r->in_vma)
		return;
	r->in_vma = false;
	sums_finish(&r->vma.sum);
	row = mapping_row(r, kind_of(r));
	if (row)
		row_sum(&row->sum, &r->vma.sum);
	else
		proc_deny(p, ENOMEM);
}

/* 7f12-7f34 r--p 00000000 08:02 173521     /usr/lib/x y (deleted): the name ends the line, and has \012 for
 * a newline. */
static void
mapping_begin(struct reader *r, char *line)
{
	char *word = line, *to = r->vma_name;

	for (int field = 0; field < 5; field++) {
		if (field == 3)
			r->vma_dev = device_parse(word, 16);
		word += strcspn(word, " ");
		word += strspn(word, " ");
	}
	for (; *word && to < r->vma_name + sizeof r->vma_name - 1; word++)
		if (starts_with(word, "\\012"))
			*to++ = '\n', word += 3;
		else
			*to++ = *word;
	*to = '\0';
	if (!*r->vma_name)
		strcpy(r->vma_name, "[anon]");
	group_row_init(&r->vma);
	r->vma.sum.maps = 1;
	r->in_vma = true;
	r->vma_huge = false;
}

static void
mapping_line(struct reader *r, struct proc *p, char *line)
{
	size_t digits = strspn(line, "0123456789abcdef"), hint = 0;

	if (digits > 0 && line[digits] == '-') {
		mapping_end(r, p);
		mapping_begin(r, line);
	} else if (starts_with(line, "Size:"))
		r->vma.sum.vsz = number(line + 5);
	else if (starts_with(line, "VmFlags:"))
		r->vma_huge = strstr(line, " ht") != NULL;
	else
		size_line(&r->vma.sum, line, ROLLUP | RSS, true, &hint);
}

static int
mappings_read(struct reader *r, struct proc *p, const char *name)
{
	struct save_buffer *save = r->dir.save;
	int64_t lines;

	r->in_vma = false;
	if (r->scan->save != SAVE_NOTHING)
		r->dir.save = &r->save;
	lines = file_lines(r, name, p, mapping_line);
	r->dir.save = save;
	mapping_end(r, p);
	errno = lines == 0 ? ESRCH : errno;
	return lines > 0 ? 0 : -1;
}

static void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->size; i++)
		free(t->slots[i]);
	free(t->slots);
	*t = (struct table){ NULL, 0, 0 };
}

/* Adds the mappings of the process that R has read to those of the others. Without memory for them it is
 * denied. */
static void
mappings_join(struct reader *r, struct proc *p)
{
	struct table *t = &r->mappings;

	for (size_t i = 0; i < r->fresh.size; i++) {
		struct group_row *row = r->fresh.slots[i], **slot;

		if (!row)
			continue;
		if (2 * t->n >= t->size && table_grow(t) < 0) {
			proc_deny(p, ENOMEM);
			return;
		}
		slot = table_slot(t, row->mapping, row->kind);
		if (*slot) {
			row_sum(&(*slot)->sum, &row->sum);
			(*slot)->procs++;
		} else {
			*slot = row;
			t->n++;
			r->fresh.slots[i] = NULL;
		}
	}
}

int
mapping_compare(const void *a, const void *b)
{
	const struct group_row *x = a, *y = b;
	int order = strcmp(x->mapping, y->mapping);

	return order ? order : strcmp(x->kind, y->kind);
}

int
mappings_collect(struct readers *rs, struct group_row **rows, size_t *n)
{
	size_t all = 0, last = 0;

	for (const struct reader *r = rs->list; r; r = r->next)
		all += r->mappings.n;
	if (!(*rows = malloc((all + 1) * sizeof **rows)))
		return -1;
	*n = 0;
	for (struct reader *r = rs->list; r; r = r->next) {
		struct table *t = &r->mappings;

		for (size_t slot = 0; slot < t->size; slot++)
			if (t->slots[slot])
				(*rows)[(*n)++] = *t->slots[slot];
		table_free(t);
	}
	for (size_t i = 0; i < *n; i++)
		if (isdigit((unsigned char)*(*rows)[i].kind))
			(*rows)[i].kind = device_kind(rs, &(*rows)[i]);
	for (struct reader *r = rs->list; r; r = r->next)
		r->nshm_devs = 0;
	if (*n > 1)
		qsort(*rows, *n, sizeof **rows, mapping_compare);
	for (size_t i = 1; i < *n; i++)
		if (mapping_compare(&(*rows)[last], &(*rows)[i]) == 0) {
			row_sum(&(*rows)[last].sum, &(*rows)[i].sum);
			(*rows)[last].procs += (*rows)[i].procs;
		} else
			(*rows)[++last] = (*rows)[i];
	*n = *n ? last + 1 : 0;
	for (size_t i = 0; i < *n; i++)
		proc_derive(&(*rows)[i].sum);
	return 0;
}

/* ---- 7. One process ---- */

/* In the order of reading: first those that always answer, last those that wait for the mmap lock of the
 * process. Each is read whole and parsed, or is one number, or has a function that reads it. */
static const struct file {
	unsigned source;
	const char *name;
	void (*parse)(struct reader *, struct proc *);
	size_t number;		/* offset in struct proc */
	int (*read)(struct reader *, struct proc *, const char *name);
} files[] = {
	{ STATM,     "statm",         .parse = statm_parse },
	{ STATUS,    "status",        .parse = status_parse },
	{ COMM,      "comm",          .parse = comm_parse },
	{ CGROUP,    "cgroup",        .parse = cgroup_parse },
	{ OOM_SCORE, "oom_score",     .number = AT(oom_score) },
	{ OOM_ADJ,   "oom_score_adj", .number = AT(oom_score_adj) },
	{ EXE,       "exe",           .read = exe_read },
	{ STAT,      "stat",          .parse = stat_parse },
	{ CMDLINE,   "cmdline",       .parse = cmdline_parse },
	{ ROLLUP,    "smaps_rollup",  .parse = rollup_parse },
	{ MAPS,      "maps",          .read = maps_read },
	{ NUMA_MAPS, "numa_maps",     .read = numa_maps_read },
	{ SMAPS,     "smaps",         .read = mappings_read },
};
#define NFILES (sizeof files / sizeof *files)

static const struct file smaps = { ROLLUP, "smaps", .read = smaps_sum_read };

const char *
source_file(unsigned source)
{
	for (size_t i = 0; i < NFILES; i++)
		if (files[i].source == source)
			return files[i].name;
	return NULL;
}

/* Reads a file as a whole. -1 with errno; ESRCH: it is empty as that of a kernel thread or a zombie, or
 * of an ended process. */
static int
whole_file_read(struct reader *r, struct proc *p, const struct file *f)
{
	size_t max = f->source == CMDLINE ? CMDLINE_SIZE_MAX : FILE_SIZE_MAX;

	if (file_read(&r->buf, &r->dir, f->name, max, true) < 0)
		return -1;
	errno = ESRCH;
	if (r->buf.len == 0 && f->source & (ROLLUP | STATM | STAT))
		return -1;
	if (f->parse)
		f->parse(r, p);
	else
		*(int64_t *)(void *)((char *)p + f->number) = signed_number(r->buf.text);
	return 0;
}

/* Reads one file of a process, in a reader thread, as any may block for ever. Sets its bit in p->got or
 * in r->missing, or makes P denied. */
static void
source_read(struct reader *r, struct proc *p, const struct file *f)
{
	if (p->over_max_rss && f->source & SRC_EXPENSIVE)
		return;
	r->save_complete = r->save.tar.len;
	r->opened[__builtin_ctz(f->source)]++;
	if ((f->read ? f->read(r, p, f->name) : whole_file_read(r, p, f)) == 0)
		p->got |= f->source;
	else if (is_missing(errno)) {
		r->missing |= f->source;
		r->enoent |= errno == ENOENT ? f->source : 0u;
	} else
		proc_deny(p, errno);
}

static void
sources_read(struct reader *r, struct proc *p, unsigned want)
{
	int64_t max = r->scan->max_rss;

	for (size_t i = 0; i < NFILES; i++)
		if (want & ~p->got & ~r->missing & files[i].source) {
			bool too_large = max != UNKNOWN && p->got & STATM && p->rss > max;

			p->over_max_rss |= files[i].source & SRC_EXPENSIVE && too_large;
			source_read(r, p, &files[i]);
		}
}

/* The length of the base name of PATH, LEN bytes, if it begins with NAME, which the kernel cut at 15 bytes,
 * else 0. *BASE: where the base name begins. */
static size_t
base_begins(const char *path, size_t len, const char *name, const char **base)
{
	const char *slash = memrchr(path, '/', len);

	*base = slash ? slash + 1 : path;
	len -= (size_t)(*base - path);
	return len >= COMM_CUT && strncmp(*base, name, COMM_CUT) == 0 ? len : 0;
}

/* The same for an argument, up to a space, and without colons before it, as it may be a title:
 * "/usr/sbin/fifteen-letters: main loop". */
static size_t
argument_begins(const char *arg, const char *name, const char **base)
{
	size_t len = base_begins(arg, strlen(arg), name, base);

	if (len == 0)
		len = base_begins(arg, strcspn(arg, " "), name, base);
	if (len == 0)
		return 0;
	len = COMM_CUT + strcspn(*base + COMM_CUT, " ");
	while (len > COMM_CUT && (*base)[len - 1] == ':')
		len--;
	return len;
}

/* Completes a name that the kernel cut at 15 bytes from what begins with it: argv[0], or the script
 * behind an interpreter and its options, or exe. */
static void
name_complete(struct reader *r, struct proc *p)
{
	const char *base;
	size_t len = 0;

	if (file_read(&r->buf, &r->dir, "cmdline", CMDLINE_SIZE_MAX, true) == 0) {
		const char *arg = r->buf.text, *end = arg + r->buf.len;

		len = argument_begins(arg, p->name, &base);
		do
			arg += strlen(arg) + 1;
		while (arg < end && *arg == '-');
		if (len == 0 && arg < end)
			len = argument_begins(arg, p->name, &base);
	}
	if (len == 0 && exe_read(r, p, "exe") == 0 && p->exe) {
		len = strlen(p->exe);
		ends_with(p->exe, &len, " (deleted)");
		len = base_begins(p->exe, len, p->name, &base);
	}
	if (len > 0)
		p->name = text_copy(&r->texts, base, len);
}

/* Fills from status what stat would have said. */
static void
status_identity_apply(struct reader *r, struct proc *p)
{
	const struct status_identity *id = &r->status;

	if (!id->read)
		return;
	p->ppid = id->ppid;
	p->threads = id->threads;
	p->state = id->state ? text_copy(&r->texts, &id->state, 1) : NULL;
	p->zombie = id->state == 'Z' || id->state == 'X';
	p->kthread = id->kthread == UNKNOWN ? !id->has_mm && !p->zombie && id->state : id->kthread == 1;
}

/* Fills from status what stat would have said, if a saved tree has no stat, as those of sosreport. */
static void
stat_from_status(struct reader *r, struct proc *p)
{
	if (r->scan->from->live || p->got & STAT || !(r->missing & STAT))
		return;
	if (!r->status.read)
		p->got &= ~(unsigned)STATUS;
	sources_read(r, p, STATUS);
	status_identity_apply(r, p);
}

/* Fills the name from comm, or else from stat or status. */
static void
name_fill(struct reader *r, struct proc *p)
{
	sources_read(r, p, COMM);
	if (p->name)
		return;
	if (!r->named)
		p->got &= ~(unsigned)STAT;	/* read it again */
	sources_read(r, p, STAT);
	stat_from_status(r, p);
	if (r->named)
		p->name = text_copy(&r->texts, r->comm, strlen(r->comm));
}

/* Fills the name and, if the command line is empty, the command: [name]. */
static void
name_and_command_fill(struct reader *r, struct proc *p, unsigned want)
{
	bool empty_command = want & CMDLINE && p->command && !*p->command;

	stat_from_status(r, p);
	if (!(want & COMM || empty_command))
		return;
	name_fill(r, p);
	if (p->name && strlen(p->name) == COMM_CUT && !p->kthread && !p->zombie)
		name_complete(r, p);
	if (!empty_command)
		return;
	p->command = NULL;
	if (p->name) {
		r->buf.len = 0;
		buf_printf(&r->buf, "[%s]", p->name);
		p->command = text_copy(&r->texts, r->buf.text, r->buf.len);
	}
}

/* Reads another file where one is missing: for statm of a saved tree stat and smaps_rollup; for smaps_rollup
 * smaps, status for the parts of RSS, and statm for RSS. */
static void
sizes_fill(struct reader *r, struct proc *p, unsigned want)
{
	if (want & STATM & r->enoent && !r->scan->from->live) {
		want |= STAT | (p->rss == UNKNOWN ? ROLLUP : 0u);
		sources_read(r, p, want);
	}
	if (want & ROLLUP & r->enoent) {
		r->missing &= ~(unsigned)ROLLUP;
		source_read(r, p, &smaps);
	}
	if (want & RSS_PARTS && !(p->got & ROLLUP))
		sources_read(r, p, STATUS);
	if (want & ROLLUP && p->rss == UNKNOWN) {
		p->got &= ~(unsigned)STATM;	/* its RSS was cleared */
		sources_read(r, p, STATM);
	}
}

/* True if the saved tree holds any file of the process. */
static bool
has_files(const struct reader *r)
{
	for (size_t i = 0; i < NFILES; i++)
		if (dir_has(&r->dir, files[i].name))
			return true;
	return false;
}

/* If a file is missing or empty that other processes have: tells kernel threads, zombies and vanished
 * processes apart. */
static void
outcome_decide(struct reader *r, struct proc *p)
{
	if (!r->missing && !r->empty)
		return;
	sources_read(r, p, STAT);
	stat_from_status(r, p);
	if (p->kthread || p->zombie)
		p->outcome = MEASURED;		/* it has no memory that could be hidden */
	else if (p->outcome == DENIED)
		return;
	else if (!r->scan->from->live)
		p->outcome = p->got & ~(unsigned)OWNER || has_files(r) ? MEASURED : VANISHED;
	else if (r->empty || r->missing & STAT || !dir_has(&r->dir, "stat"))
		p->outcome = VANISHED;
}

static void
proc_reset(struct proc *p)
{
	int64_t pid = p->pid;
	bool existed = p->existed;

	*p = unknown_proc;
	p->pid = pid;
	p->existed = existed;
}

/* Reads statm alone, without opening the directory, which is faster. False: no size is found, so
 * proc_read goes on. */
static bool
statm_alone(struct reader *r, struct proc *p)
{
	r->empty = false;
	if (short_read(&r->buf, &r->proc, p->pid, "statm") < 0 || r->buf.len == 0)
		return false;
	statm_parse(r, p);
	r->opened[__builtin_ctz(STATM)] += !r->empty;
	p->got = r->empty ? 0 : STATM;
	p->existed = true;
	return !r->empty;
}

/* True if the thread group leader has exited. */
static bool
leader_has_exited(const struct proc *p)
{
	return p->zombie || (p->state && *p->state == 'Z');
}

/* Makes the columns from SOURCES unknown. */
static void
columns_clear(struct proc *p, unsigned sources)
{
	for (const struct column *c = columns; c->name; c++) {
		if (!(c->source & sources) || c->source & SRC_NOT_IN_PROC)
			continue;
		if (is_text(c->kind))
			*(const char **)(void *)((char *)p + c->offset) = NULL;
		else
			*number_ptr(p, c) = UNKNOWN;
	}
}

/* Reads the memory of P from the files of its thread TID. True: the thread lives on; r->dir is then its
 * directory. Else P stays as it is. */
static bool
thread_read(struct reader *r, struct proc *p, const struct dir *leader, int tid, unsigned want)
{
	const unsigned needs_mm = STATM | STATUS | EXE | ROLLUP | CMDLINE | MAPS | NUMA_MAPS | SMAPS;
	struct proc by_thread = *p;
	char name[24];

	snprintf(name, sizeof name, "task/%d", tid);
	if (dir_open(&r->dir, leader, name) < 0)
		return false;
	r->missing &= ~needs_mm;
	r->enoent &= ~needs_mm;
	by_thread.got &= ~needs_mm;
	columns_clear(&by_thread, needs_mm | RSS);
	sources_read(r, &by_thread, (want & needs_mm) | STATM);
	if (!(by_thread.got & STATM) || r->empty) {
		dir_close(&r->dir);
		return false;
	}
	*p = by_thread;
	p->zombie = false;
	return true;
}

/* A thread group leader that has exited shows no memory, but each thread that lives on shows all of it. */
static void
threads_read(struct reader *r, struct proc *p, unsigned want)
{
	const unsigned missing = r->missing, enoent = r->enoent;
	const bool empty = r->empty;
	struct dir leader = r->dir;
	int *tids = NULL;
	size_t n = 0;

	p->zombie = true;
	r->was_empty = false;
	numbers_list(&leader, "task", "", &tids, &n);
	for (size_t i = 0; i < n && !r->via_thread; i++)
		r->via_thread = tids[i] != p->pid && thread_read(r, p, &leader, tids[i], want);
	if (r->via_thread)
		dir_close(&leader);
	else {
		r->dir = leader;
		r->missing = missing;
		r->enoent = enoent;
		r->empty = empty;
	}
	free(tids);
}

/* By pid; of one pid, that with same_mm last. */
static int
saved_outcome_compare(const void *a, const void *b)
{
	const struct saved_outcome *x = a, *y = b;
	bool i = x->same_mm != 0, j = y->same_mm != 0;

	return x->pid != y->pid ? (x->pid > y->pid) - (x->pid < y->pid) : i - j;
}

/* What --save recorded of the process PID: if SAME_MM, with whom it shares its mm, else its outcome.
 * NULL: nothing. */
static const struct saved_outcome *
saved_outcome_find(const struct source *s, int64_t pid, bool same_mm)
{
	struct saved_outcome key = { .pid = pid, .same_mm = same_mm };	/* compared with 0 alone */

	if (s->nsaved_outcomes == 0)
		return NULL;
	return bsearch(&key, s->saved_outcomes, s->nsaved_outcomes, sizeof key, saved_outcome_compare);
}

/* The owner of /proc/PID is the effective user. */
static void
owner_read(struct reader *r, struct proc *p)
{
	struct stat st;

	if (fstat(r->dir.fd, &st) == 0) {
		p->uid = st.st_uid;
		p->got |= OWNER;
	} else
		proc_deny(p, errno);
}

/* Reads the files of a process, and fills what follows from several of them. */
static void
files_read(struct reader *r, struct proc *p, unsigned want)
{
	r->missing = r->enoent = 0;
	r->empty = r->named = r->was_empty = r->via_thread = false;
	r->tgid = 0;
	r->status.read = false;
	if (want & OWNER && r->scan->from->live)
		owner_read(r, p);
	sources_read(r, p, want);
	if (r->missing || r->empty || r->was_empty || (r->status.read && r->status.state == 'Z'))
		sources_read(r, p, STAT);
	if (leader_has_exited(p) && p->threads > 1)
		threads_read(r, p, want);
	sizes_fill(r, p, want);
	if (want & OWNER && p->uid != UNKNOWN)
		p->got |= OWNER;		/* status had the uid of a saved tree */
	name_and_command_fill(r, p, want);
	outcome_decide(r, p);
}

/* Checks that P did not end while its files were read. If it did, P is VANISHED. True: it is a zombie now,
 * and its files must be read again. If P lives, a file that failed with ESRCH is denied. The signs of an end
 * are a file that is empty or missing, or a zombie that has memory; files of mappings just end early. */
static bool
must_read_again(struct reader *r, struct proc *p)
{
	unsigned esrch = r->missing & ~r->enoent;
	struct proc again = *p;

	if (!r->scan->from->live || p->outcome == VANISHED || p->kthread)
		return false;
	if (p->zombie)
		return !r->via_thread && !r->empty && p->got & (STATM | ROLLUP);
	if (!esrch && !r->was_empty && !(p->got & (MAPS | NUMA_MAPS | SMAPS)))
		return false;
	again.got &= ~(unsigned)(STAT | STATM);
	r->missing &= ~(unsigned)(STAT | STATM);
	r->empty = false;
	sources_read(r, &again, STATM);
	if (!(r->missing & STATM) && !r->empty) {
		if (esrch & (ROLLUP | MAPS | NUMA_MAPS | SMAPS))
			proc_deny(p, ESRCH);
		return false;
	}
	sources_read(r, &again, STAT);
	p->outcome = VANISHED;
	return again.zombie && !r->via_thread;
}

/* Corrects the outcome of P: by what --save recorded, and if it is a thread. HAS_ENDED: it, or its leader,
 * has exited since its other files were saved, so that its mappings do not belong to these. */
static void
outcome_correct(struct reader *r, struct proc *p, bool has_ended)
{
	const struct saved_outcome *recorded = saved_outcome_find(r->scan->from, p->pid, false);

	if (recorded && p->outcome != VANISHED)
		p->outcome = (unsigned char)recorded->outcome;
	if (has_ended) {
		proc_reset(p);
		p->outcome = VANISHED;
	}
	if (r->tgid)				/* a thread's id */
		p->outcome = VANISHED;
	if (p->outcome == VANISHED)
		p->tgid = r->tgid;
}

/* Sets the outcome of a process whose directory cannot be opened. */
static void
proc_open_failed(struct reader *r, struct proc *p)
{
	p->outcome = is_missing(errno) ? VANISHED : DENIED;
	p->error = (unsigned char)errno;
	p->tgid = 0;
	if (r->scan->save == SAVE_ALL)
		save_denied(r, p);
}

/* Reads a process into P. All its files are opened from one directory that is held open, so what is read
 * here never mixes two processes. */
static void
proc_read(struct reader *r, struct proc *p)
{
	const struct scan *scan = r->scan;
	unsigned want = scan->want;
	bool was_saved = scan->save == SAVE_MAPPINGS && !p->zombie, by_leader = !leader_has_exited(p);
	char name[24];

	proc_reset(p);
	if (want == STATM && scan->save == SAVE_NOTHING && statm_alone(r, p))
		return;
	snprintf(name, sizeof name, "%lld", (long long)p->pid);
	if (dir_open(&r->dir, &r->proc, name) < 0) {
		proc_open_failed(r, p);
		return;
	}
	p->existed = true;
	r->dir.save = scan->save == SAVE_ALL ? &r->save : NULL;
	if (scan->max_rss != UNKNOWN && want & SRC_EXPENSIVE)
		want |= STATM;
	if (want & OWNER && (!scan->from->live || scan->save == SAVE_ALL))
		want |= STATUS;			/* a saved tree has the uid there */
	files_read(r, p, want);
	if (must_read_again(r, p)) {
		proc_reset(p);
		save_buffer_clear(&r->save);
		table_free(&r->fresh);
		files_read(r, p, want);
	}
	outcome_correct(r, p, was_saved && (p->zombie || (r->via_thread && by_leader)));
	if (scan->save == SAVE_ALL)
		save_other_files(r, p);
	if (r->texts.full && p->outcome != VANISHED)
		proc_deny(p, ENOMEM);
	r->texts.full = false;
	proc_derive(p);
	dir_close(&r->dir);
}

static long
kcmp_vm(int64_t a, int64_t b)
{
	return syscall(SYS_kcmp, (pid_t)a, (pid_t)b, KCMP_VM, 0, 0);
}

/* kcmp also says "equal" of two processes that have both exited. True if PID still has an mm. */
static bool
has_mm(const struct source *s, int64_t pid)
{
	struct buf b = { NULL, 0, 0, false };
	struct dir proc = s->proc;
	bool has;

	proc.save = NULL;			/* another thread may be saving */
	has = short_read(&b, &proc, pid, "statm") == 0 && number(b.text) > 0;

	free(b.text);
	return has;
}

int
mm_compare(const struct source *s, int64_t a, int64_t b, bool *denied)
{
	long order;

	if (!s->live) {
		const struct saved_outcome *x = saved_outcome_find(s, a, true);
		const struct saved_outcome *y = saved_outcome_find(s, b, true);

		a = x ? x->same_mm : a;
		b = y ? y->same_mm : b;
		return (a > b) - (a < b);
	}
	if (!s->own_pids) {
		*denied = true;
		return (a > b) - (a < b);
	}
	order = kcmp_vm(a, b);
	if (order == 0 && !has_mm(s, a) && !has_mm(s, b))
		order = 3;			/* different */
	if (order >= 0 && order < 3)
		return order == 1 ? -1 : order == 2;
	*denied = *denied || (order < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS));
	return (a > b) - (a < b);
}

/* ---- 8. Reader threads ---- */

#define STUCK_AFTER	0.2	/* a reader is stuck that waits so many seconds and does not run */
#define STUCK_NEXT	0.05	/* the same, after the first stuck reader of the scan */

/* The scan that runs. The main thread and the readers share it. */
struct pool {
	const struct scan *scan;
	_Atomic size_t next;		/* index in scan->procs */
	pthread_mutex_t lock;		/* of the rest */
	pthread_cond_t idle;		/* a reader has ended */
	size_t running;			/* readers that are neither idle nor abandoned */
	size_t abandoned;
	double stuck_since;		/* since when a reader is stuck; 0: none was */
};

void
wait_budget_spend(struct readers *rs, double seconds)
{
	double min = STUCK_AFTER < rs->timeout ? STUCK_AFTER : rs->timeout;

	rs->wait_budget = rs->wait_budget - seconds > min ? rs->wait_budget - seconds : min;
}

bool
has_abandoned_thread(void)
{
	return has_abandoned;
}

/* What R has read becomes the row. */
static void
reader_commit(struct reader *r, struct proc *row)
{
	const struct scan *scan = r->scan;

	if (r->work.got & SMAPS && r->work.outcome != VANISHED)
		mappings_join(r, &r->work);
	*row = r->work;
	if (scan->save != SAVE_NOTHING)
		save_process(r);
	if (scan->on_read)
		scan->on_read(row, scan->ctx);
}

/* Reads processes until none is left. */
static void
reader_loop(struct reader *r)
{
	const struct scan *scan = r->scan;

	while ((r->item = atomic_fetch_add_explicit(&r->pool->next, 1, memory_order_relaxed)) < scan->n) {
		struct proc *row = scan->procs[r->item];

		if (scan->is_wanted && !scan->is_wanted(row, scan->ctx)) {
			row->outcome = SKIPPED;
			continue;
		}
		r->work = *row;
		save_buffer_clear(&r->save);
		r->save_complete = 0;
		table_free(&r->fresh);
		proc_read(r, &r->work);
		reader_commit(r, row);
	}
}

/*
 * A thread with a descriptor table of its own, so that no reader waits for the open or close of another.
 * ThreadSanitizer does not know that two threads may have different files of one number, and would see
 * races.
 */
static void *
reader_main(void *arg)
{
	struct reader *r = arg;
	struct pool *pool = r->pool;

	if (!UNDER_TSAN)
		unshare(CLONE_FILES);
	atomic_store(&r->tid, (int)syscall(SYS_gettid));
	reader_loop(r);
	pthread_mutex_lock(&pool->lock);
	atomic_store(&r->doing, IDLE);
	pool->running--;
	pthread_cond_signal(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* A reader without a thread. NULL: no memory. */
static struct reader *
reader_get(struct pool *pool)
{
	const struct scan *scan = pool->scan;
	struct reader *r = scan->readers->list;

	while (r && r->has_thread)
		r = r->next;
	if (!r) {
		if (!(r = calloc(1, sizeof *r)))
			return NULL;
		r->next = scan->readers->list;
		scan->readers->list = r;
	}
	r->pool = pool;
	r->scan = scan;
	r->proc = scan->from->proc;
	r->proc.reader = r;
	r->proc.save = NULL;
	r->proc.failures = NULL;
	return r;
}

/* The lock is held. -1: no thread. */
static int
reader_start(struct pool *pool)
{
	bool full = pool->running + pool->scan->readers->abandoned >= READERS_MAX;
	struct reader *r = full ? NULL : reader_get(pool);
	pthread_attr_t attr;
	int error;

	if (!r)
		return -1;
	r->doing = WORKING;
	r->waiting_since = seconds_now();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, READER_STACK);
	error = pthread_create(&r->thread, &attr, reader_main, r);
	pthread_attr_destroy(&attr);
	if (error)
		return -1;
	r->has_thread = true;
	pool->running++;
	return 0;
}

/* True if the thread of R runs, or would if a processor were free. 812 (memz) R ... */
static bool
is_on_cpu(const struct reader *r)
{
	char name[64], text[256];
	const char *end;
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)r->tid);
	if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return (end = strrchr(text, ')')) && starts_with(end, ") R");
}

/* The reader of P was abandoned. Reads into P, in this thread, the files that take no lock of the process. */
static void
unlocked_read(struct pool *pool, struct proc *p, struct save_buffer *save)
{
	const unsigned unlocked = STATM | STATUS | COMM | CGROUP | OOM_SCORE | OOM_ADJ;
	const struct scan *scan = pool->scan;
	unsigned want = STATM | (scan->want & unlocked);
	struct reader *r = reader_get(pool);
	char name[24];

	snprintf(name, sizeof name, "%lld", (long long)p->pid);
	if (!r || dir_open(&r->dir, &r->proc, name) < 0)
		return;
	if (scan->want & (RSS_PARTS | STAT))
		want |= STATUS;
	if (scan->save == SAVE_ALL) {
		want |= unlocked;
		r->dir.save = save;
	}
	r->missing = r->enoent = 0;
	r->status.read = r->named = false;
	p->got &= ~(unsigned)(STATM | (p->got & STAT ? 0 : STATUS));
	sources_read(r, p, want);
	if (!(p->got & STAT))
		status_identity_apply(r, p);
	dir_close(&r->dir);
}

/* Abandons R, which has waited for too long. The row gets what R has read so far, and what can be read
 * without a lock. */
static void
reader_abandon(struct reader *r)
{
	struct pool *pool = r->pool;
	struct proc *p = pool->scan->procs[r->item];

	*p = r->work;
	for (const struct column *c = columns; c->name; c++)	/* of a file not read to its end */
		if (c->key && !(c->source & p->got))
			*number_ptr(p, c) = UNKNOWN;
	r->save.tar.len = r->save_complete;
	unlocked_read(pool, p, &r->save);
	p->outcome = STALLED;
	proc_derive(p);
	if (pool->scan->save != SAVE_NOTHING) {
		save_process(r);
		save_write(&r->unwritten);
	}
	pthread_detach(r->thread);
	pool->scan->readers->abandoned++;
	has_abandoned = true;
	pool->abandoned++;
	pool->running--;
}

/* Checks R, and abandons it when the wait budget is used up. True: it is stuck, that is, it waits in a
 * system call and has not run for a while. */
static bool
reader_check(struct reader *r, double now)
{
	double budget = r->scan->readers->wait_budget;
	double after = r->pool->stuck_since > 0 ? STUCK_NEXT : STUCK_AFTER;
	unsigned waits = atomic_load_explicit(&r->waits, memory_order_relaxed);
	int waiting = WAITING, doing = r->doing;

	if (doing != WAITING || waits != r->seen_waits) {
		r->seen_waits = waits;
		r->waiting_since = now;
		r->is_stuck = false;
	}
	if (doing != WAITING || now - r->waiting_since < (budget < after ? budget : after))
		return false;
	if (r->is_stuck && now - r->waiting_since < budget)
		return true;
	if (is_on_cpu(r)) {
		r->waiting_since = now;
		r->is_stuck = false;
		return false;
	}
	r->is_stuck = true;
	if (r->pool->stuck_since <= 0)
		r->pool->stuck_since = r->waiting_since;
	if (now - r->waiting_since >= budget &&
	    atomic_compare_exchange_strong(&r->doing, &waiting, ABANDONED))
		reader_abandon(r);
	return r->doing == WAITING;
}

/* How many processes no reader has begun to read. */
static size_t
unread_count(const struct pool *pool)
{
	size_t next = pool->next;

	return next < pool->scan->n ? pool->scan->n - next : 0;
}

/* Starts readers until WANTED of them are not stuck, or as many as are STUCK or abandoned if those are more;
 * but no more than there are unread processes. */
static void
readers_start(struct pool *pool, size_t wanted, size_t stuck)
{
	size_t unread = unread_count(pool);

	wanted = wanted > stuck + pool->abandoned ? wanted : stuck + pool->abandoned;
	wanted = wanted < unread ? wanted : unread;
	while (pool->running - stuck < wanted && reader_start(pool) == 0)
		;
}

/* SECONDS from now, by CLOCK_MONOTONIC. */
static struct timespec
time_after(double seconds)
{
	double t = seconds_now() + seconds;

	return (struct timespec){ .tv_sec = (time_t)t, .tv_nsec = (long)((t - floor(t)) * 1e9) };
}

/* Waits until all readers have ended or are abandoned. The lock is held. */
static void
readers_watch(struct pool *pool, size_t wanted)
{
	const struct scan *scan = pool->scan;

	while (pool->running > 0) {
		bool impatient = pool->stuck_since > 0 || scan->readers->wait_budget < STUCK_AFTER;
		double nap = impatient ? STUCK_NEXT / 3 : STUCK_AFTER / 2, before = seconds_now(), now;
		struct timespec until = time_after(nap);
		size_t stuck = 0;
		bool overslept;

		pthread_cond_timedwait(&pool->idle, &pool->lock, &until);
		now = seconds_now();
		if (scan->on_progress)
			scan->on_progress(scan->n - unread_count(pool), scan->n, scan->ctx);
		overslept = now - before > nap + STUCK_NEXT / 2;	/* a busy machine, or SIGSTOP */
		for (struct reader *r = scan->readers->list; r; r = r->next) {
			if (!r->has_thread || r->doing == ABANDONED)
				continue;
			if (overslept)			/* do not count that time against the readers */
				r->waiting_since += now - before;
			stuck += reader_check(r, now);
		}
		if (unread_count(pool) > 0)
			readers_start(pool, wanted, stuck);
	}
}

/* A condition that is waited for by CLOCK_MONOTONIC. */
static void
cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

/* Joins the readers' threads, writes what they have still to save, and adds up how many files of each
 * source they opened. Abandoned readers are left alone. */
static void
readers_finish(struct readers *rs)
{
	for (struct reader *r = rs->list; r; r = r->next) {
		if (r->doing == ABANDONED)
			continue;
		if (r->has_thread)
			pthread_join(r->thread, NULL);
		r->has_thread = false;
		if (r->unwritten.len > 0)
			save_write(&r->unwritten);
		free(r->unwritten.text);
		r->unwritten = (struct buf){ NULL, 0, 0, false };
		for (size_t bit = 0; bit < SOURCES_MAX; bit++) {
			rs->opened[bit] += r->opened[bit];
			r->opened[bit] = 0;
		}
	}
}

int
scan_run(struct scan *scan)
{
	struct pool pool = { .scan = scan, .lock = PTHREAD_MUTEX_INITIALIZER };
	size_t wanted = scan->n / 8 + 1 < scan->jobs ? scan->n / 8 + 1 : scan->jobs;
	double begin = seconds_now();
	struct reader *alone;

	unknown_proc_init();
	if (scan->want & SMAPS)
		mounts_load(scan->readers, scan->from);
	cond_init(&pool.idle);
	pthread_mutex_lock(&pool.lock);
	readers_start(&pool, wanted, 0);
	if (pool.running == 0 && scan->n > 0) {
		if (!(alone = reader_get(&pool)))
			return -1;
		scan->readers->unprotected = true;
		reader_loop(alone);
	}
	readers_watch(&pool, wanted);
	pthread_mutex_unlock(&pool.lock);
	for (size_t next = pool.next; next < scan->n; next++)	/* no thread was left to read it */
		scan->procs[next]->outcome = STALLED;
	readers_finish(scan->readers);
	if (pool.stuck_since > 0)
		wait_budget_spend(scan->readers, seconds_now() - pool.stuck_since);
	scan->seconds = seconds_now() - begin;
	return 0;
}

/* A call outside a scan that may block for ever. */
struct timed_call {
	void (*run)(void *);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void *
call_main(void *arg)
{
	struct timed_call *call = arg;

	call->run(call->arg);
	pthread_mutex_lock(&call->lock);
	call->is_done = true;
	pthread_cond_signal(&call->done);
	pthread_mutex_unlock(&call->lock);
	return NULL;
}

int
call_with_timeout(void (*run)(void *), void *arg, double seconds)
{
	struct timed_call *call = calloc(1, sizeof *call);
	struct timespec until;
	pthread_attr_t attr;
	pthread_t thread;
	bool timed_out;
	int error;

	if (!call)
		return -1;
	*call = (struct timed_call){ .run = run, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER };
	cond_init(&call->done);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, CALL_STACK);
	error = pthread_create(&thread, &attr, call_main, call);
	pthread_attr_destroy(&attr);
	if (error) {
		run(arg);
		free(call);
		return 0;
	}
	until = time_after(seconds);
	pthread_mutex_lock(&call->lock);
	while (!call->is_done && pthread_cond_timedwait(&call->done, &call->lock, &until) == 0)
		;
	timed_out = !call->is_done;
	pthread_mutex_unlock(&call->lock);
	if (timed_out) {
		pthread_detach(thread);
		has_abandoned = true;
		errno = ETIMEDOUT;
		return -1;
	}
	pthread_join(thread, NULL);
	free(call);
	return 0;
}

/* ---- 9. The source ---- */

int
source_pids(const struct source *s, int **pids, size_t *n)
{
	return numbers_list(&s->proc, "", "", pids, n);
}

/* True if S could be a copy of /proc: it has processes, or what smemcap keeps beside them. */
static bool
is_like_proc(const struct source *s)
{
	bool like = dir_has(&s->proc, "meminfo") || dir_has(&s->proc, "version");
	int *pids = NULL;
	size_t n = 0;

	like = like || (source_pids(s, &pids, &n) == 0 && n > 0);
	free(pids);
	return like;
}

static const int64_t page_sizes[] = { 4096, 8192, 16384, 65536 };
#define PAGE_SIZES	(sizeof page_sizes / sizeof *page_sizes)

/* statm counts in pages what smaps_rollup and status say in KiB: the page size by which both agree for
 * the first of up to 32 processes. 0: none. */
static int64_t
page_by_statm(const struct source *s, const int *pids, size_t n, struct buf *b)
{
	char name[64];

	for (size_t i = 0, asked = 0; i < n && asked < 32; i++) {
		int64_t resident = UNKNOWN, rss, kib;

		if (short_read(b, &s->proc, pids[i], "statm") == 0)
			resident = number(b->text + strcspn(b->text, " "));
		if (resident <= 0)
			continue;
		asked++;
		snprintf(name, sizeof name, "%d/smaps_rollup", pids[i]);
		rss = line_value(&s->proc, name, "Rss:", FILE_SIZE_MAX, b);
		snprintf(name, sizeof name, "%d/status", pids[i]);
		if (rss == UNKNOWN)
			rss = line_value(&s->proc, name, "VmRSS:", FILE_SIZE_MAX, b);
		for (size_t j = 0; j < PAGE_SIZES; j++)
			if (!__builtin_mul_overflow(resident, page_sizes[j] / 1024, &kib) && kib == rss)
				return page_sizes[j];
	}
	return 0;
}

/* The smallest KernelPageSize in smaps of 8 processes; those of huge pages are larger. Or 0. */
static int64_t
page_by_smaps(const struct source *s, const int *pids, size_t n, struct buf *b)
{
	int64_t smallest = INT64_MAX;
	size_t asked = 0;
	char name[64], *at, *line;

	for (size_t i = 0; i < n && asked < 8; i++) {
		snprintf(name, sizeof name, "%d/smaps", pids[i]);
		if (file_read(b, &s->proc, name, FILE_SIZE_MAX, false) < 0 || b->len == 0)
			continue;
		asked++;
		for (at = b->text; (line = line_next(&at)); ) {
			int64_t kib = starts_with(line, "KernelPageSize:") ? number(line + 15) : UNKNOWN;

			if (kib > 0 && kib < smallest)
				smallest = kib;
		}
	}
	for (size_t j = 0; j < PAGE_SIZES; j++)
		if (smallest == page_sizes[j] / 1024)
			return page_sizes[j];
	return 0;
}

/* buddyinfo counts in pages what MemFree says in KiB, but for the pages on per-CPU lists: the page size
 * by which the two differ by less than an eighth. Or 0. */
static int64_t
page_by_free_memory(const struct source *s, struct buf *b)
{
	double free_kib = (double)line_value(&s->proc, "meminfo", "MemFree:", FILE_SIZE_MAX, b), pages = 0;
	char *at, *line, *rest;

	if (free_kib <= 0 || file_read(b, &s->proc, "buddyinfo", FILE_SIZE_MAX, false) < 0)
		return 0;
	for (at = b->text; (line = line_next(&at)); ) {
		double block = 1;

		if (!(rest = strstr(line, "zone ")))		/* Node 0, zone   Normal      3      2 ... */
			continue;
		strtok_r(rest + 5, " ", &rest);
		for (char *word; (word = strtok_r(NULL, " ", &rest)); block *= 2)
			pages += number(word) > 0 ? (double)number(word) * block : 0;
	}
	for (size_t j = 0; j < PAGE_SIZES; j++)
		if (fabs(pages * (double)page_sizes[j] / 1024 - free_kib) < free_kib / 8)
			return page_sizes[j];
	return 0;
}

/* The page size of a tree that does not say it. */
static int64_t
page_guess(const struct source *s)
{
	struct buf b = { NULL, 0, 0, false };
	int64_t page;
	int *pids = NULL;
	size_t n = 0;

	source_pids(s, &pids, &n);
	page = page_by_statm(s, pids, n, &b);
	if (!page)
		page = page_by_smaps(s, pids, n, &b);
	if (!page)
		page = page_by_free_memory(s, &b);
	free(b.text);
	free(pids);
	return page ? page : page_sizes[0];
}

/* decimal_parse() for files, which have a digit before the point. */
static double
file_decimal(const char *text, const char **end)
{
	return isdigit((unsigned char)*text) ? decimal_parse(text, end) : NAN;
}

/* A power of two from 1 KiB to 16 MiB. No kernel offers pages of more than 256 KiB. */
static bool
is_page_size(int64_t bytes)
{
	return bytes >= 1024 && bytes <= 1 << 24 && (bytes & (bytes - 1)) == 0;
}

/* Adds what a line records of one process: "stalled 812", "vanished 813", or "twin 815 814": 815 shares the
 * mm of 814. */
static void
saved_outcome_parse(struct source *s, const char *line)
{
	const char *space = strchr(line, ' ');
	const char *second = space ? strchr(space + 1, ' ') : NULL;
	struct saved_outcome o = { .outcome = MEASURED };

	if (starts_with(line, "stalled "))
		o.outcome = STALLED;
	else if (starts_with(line, "vanished "))
		o.outcome = VANISHED;
	else if (!starts_with(line, "twin ") || !second)
		return;
	o.pid = number(space);
	o.same_mm = o.outcome == MEASURED ? number(second) : 0;
	if (o.pid <= 0 || o.same_mm < 0 || (o.outcome == MEASURED && o.same_mm == 0))
		return;
	if (array_grow(&s->saved_outcomes, &s->saved_outcomes_capacity, s->nsaved_outcomes + 1, sizeof o) == 0)
		s->saved_outcomes[s->nsaved_outcomes++] = o;
}

/* Reads what --save recorded beside the files of /proc. False: S was not saved by memz. */
static bool
source_describe(struct source *s)
{
	struct buf b = { NULL, 0, 0, false };
	const char *end;
	char *at, *line;
	double seconds;

	if (file_read(&b, &s->root, "memz", MACHINE_FILE_SIZE_MAX, false) < 0 ||
	    !starts_with(b.text, "memz ")) {
		free(b.text);
		return false;
	}
	for (at = b.text; (line = line_next(&at)); ) {
		if (starts_with(line, "page_size ") && is_page_size(number(line + 10)))
			s->page = number(line + 10);
		else if (starts_with(line, "time ") && (seconds = file_decimal(line + 5, &end)) < 1e11)
			s->time = seconds;
		else if (starts_with(line, "self "))
			s->self = (int)number(line + 5);
		else
			saved_outcome_parse(s, line);
	}
	if (s->nsaved_outcomes > 0)
		qsort(s->saved_outcomes, s->nsaved_outcomes, sizeof *s->saved_outcomes,
		    saved_outcome_compare);
	free(b.text);
	return true;
}

/* Opens proc in the directory FD, or FD itself as a copy of /proc. Returns why it cannot, else NULL. */
static const char *
source_open_tree(struct source *s, int fd)
{
	s->root.fd = s->root.root = s->proc.root = fd;
	s->proc.fd = fd_open(&s->root, "proc", O_RDONLY | O_DIRECTORY);
	if (s->proc.fd >= 0)
		return NULL;
	if (errno != ENOENT)
		return strerror(errno);
	s->proc.fd = fd_open(&s->root, "", O_RDONLY | O_DIRECTORY);
	s->proc.skip = strlen(s->proc.path);
	return s->proc.fd < 0 ? strerror(errno) : NULL;
}

/* FD is the file or directory that --source or --since names: opens what it holds. Returns why it cannot,
 * else NULL. */
static const char *
source_open_given(struct source *s, int fd, const struct stat *st)
{
	const struct archive *a;

	if (S_ISDIR(st->st_mode))
		return source_open_tree(s, fd);
	if (!S_ISREG(st->st_mode))
		return "neither a directory nor a tar archive";
	if (st->st_size > (off_t)(SIZE_MAX >> 1))
		return strerror(EFBIG);
	s->root.archive = s->proc.archive = a = archive_open(fd, (size_t)st->st_size);
	if (!a)
		return errno != EBADMSG ? strerror(errno) :
		    "neither a directory nor a tar archive (compressed? unpack it first)";
	s->proc.skip = archive_is_bare_proc(a) ? strlen(s->proc.path) : 0;
	return NULL;
}

/* Opens PATH. If that is NULL, opens /proc of this machine. Returns why it cannot, else NULL. */
static const char *
source_open_path(struct source *s, const char *path)
{
	int fd = open(path ? path : "/proc", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strerror(errno);
	if (path)
		return source_open_given(s, fd, &st);
	s->proc.fd = fd;
	return NULL;
}

/* Finds out what S is. Returns why it is no source, else NULL. */
static const char *
source_check(struct source *s)
{
	struct statfs fs;

	s->live = !s->proc.archive && fstatfs(s->proc.fd, &fs) == 0 && fs.f_type == PROC_MAGIC;
	if (s->live)
		s->proc.root = -1;
	if (s->here && !s->live)
		return "not a proc file system; is it mounted?";
	s->own_pids = s->live && source_self(s) == getpid();
	if (!s->live) {
		s->page = 0;
		s->described = source_describe(s);
	}
	if (s->live)
		return NULL;
	if (!s->page)
		s->page = page_guess(s);
	if (s->described)
		return NULL;
	if (!s->proc.skip || is_like_proc(s))
		return NULL;
	if (s->proc.archive)
		return "an archive, but not of a /proc";
	return "contains no proc/ and is not a copy of /proc";
}

/* Frees S, which could not be opened. */
static struct source *
source_free(struct source *s)
{
	archive_free((struct archive *)(uintptr_t)s->root.archive);
	free(s->users);
	free(s->failures);
	free(s->saved_outcomes);
	free(s);
	return NULL;
}

struct source *
source_open(const char *path, double timeout, const char **why)
{
	struct source *s = calloc(1, sizeof *s);

	*why = strerror(ENOMEM);
	if (!s)
		return NULL;
	s->users = calloc(1, sizeof *s->users);
	s->failures = calloc(1, sizeof *s->failures);
	if (!s->users || !s->failures)
		return source_free(s);
	s->root.fd = s->root.root = s->proc.fd = s->proc.root = -1;
	s->root.failures = s->proc.failures = s->failures;
	s->here = !path;
	s->page = sysconf(_SC_PAGESIZE);
	s->time = NAN;
	s->timeout = timeout;
	strcpy(s->proc.path, "proc/");
	*why = source_open_path(s, path);
	if (!*why)
		*why = source_check(s);
	return *why ? source_free(s) : s;
}

size_t
source_damage(const struct source *s, size_t *unsafe)
{
	*unsafe = s->root.archive ? s->root.archive->unsafe : 0;
	return s->root.archive ? s->root.archive->damaged : 0;
}

int64_t
ticks_now(void)
{
	struct timespec t;
	long hz = sysconf(_SC_CLK_TCK);

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * hz + t.tv_nsec / (1000000000 / hz);
}

int
source_self(const struct source *s)
{
	char pid[16];
	ssize_t n = s->live ? readlinkat(s->proc.fd, "self", pid, sizeof pid - 1) : -1;

	if (n < 0)
		return s->self;
	pid[n] = '\0';
	return (int)number(pid);
}

/* True if the mount of FD hides processes: 22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible;
 * numbers until 5.7, words since. */
static bool
mount_hides(int fd, struct buf *b)
{
	static const char *const hiding[] = {
		"hidepid=2", "hidepid=4", "hidepid=invisible", "hidepid=ptraceable",
	};
	struct dir here = { .fd = AT_FDCWD, .root = -1 };
	char name[64], *at, *line, id[24] = "";

	snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
	if (file_read(b, &here, name, FILE_SIZE_MAX, false) == 0)
		for (at = b->text; (line = line_next(&at)); )
			if (starts_with(line, "mnt_id:"))
				snprintf(id, sizeof id, "%lld ", (long long)number(line + 7));
	if (!*id || file_read(b, &here, "/proc/self/mountinfo", MACHINE_FILE_SIZE_MAX, false) < 0)
		return false;
	for (at = b->text; (line = line_next(&at)); )
		for (size_t i = 0; starts_with(line, id) && i < sizeof hiding / sizeof *hiding; i++)
			if (strstr(line, hiding[i]))
				return true;
	return false;
}

bool
source_hides(const struct source *s, bool sees_all)
{
	struct buf b = { NULL, 0, 0, false };
	struct stat st;
	bool hides;

	if (!s->live)
		return false;
	if (fstatat(s->proc.fd, "1", &st, 0) < 0)	/* process 1 always exists */
		return errno == ENOENT;
	hides = !sees_all && st.st_uid == geteuid() && mount_hides(s->proc.fd, &b);
	free(b.text);
	return hides;
}

/* ---- 10. The machine ---- */

/* KEY[I] is a capital. True if it begins a word after an abbreviation of three letters or more, as A in
 * GPUActive. SReclaimable is one word. */
static bool
begins_word(const char *key, size_t i, size_t len)
{
	return i > 2 && isupper((unsigned char)key[i - 1]) && isupper((unsigned char)key[i - 2]) &&
	    i + 1 < len && islower((unsigned char)key[i + 1]);
}

/* The kernel's key in snake case: SwapPss swap_pss, Active(anon) active_anon, VmHWM vm_hwm, GPUActive
 * gpu_active. */
static void
snake(char *to, size_t size, const char *key, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 2 < size; i++) {
		if (key[i] == ')')
			continue;
		if (i > 0 && isupper((unsigned char)key[i]) &&
		    (islower((unsigned char)key[i - 1]) || begins_word(key, i, len)))
			to[n++] = '_';
		to[n++] = key[i] == '(' || key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
	}
	to[n] = '\0';
}

/* Reads the counters in the file NAME of DIR, whose lines are like "Active(anon):  1504 kB", "Node 0 Active:
 * 12 kB" or "pgfault 123". A file that cannot be read has none. -1: no memory. */
static int
counters_read(struct counters *to, const struct dir *dir, const char *name)
{
	struct buf b = { NULL, 0, 0, false };
	size_t capacity = 0;
	int result = 0;
	char *at, *line;

	*to = (struct counters){ NULL, 0 };
	if (file_read(&b, dir, name, FILE_SIZE_MAX, false) < 0) {
		free(b.text);
		return errno == ENOMEM ? -1 : 0;
	}
	for (at = b.text; (line = line_next(&at)) && to->n < COUNTERS_MAX; ) {
		struct counter *c;
		size_t len;

		if (starts_with(line, "Node ") && isdigit((unsigned char)line[5])) {
			line += 5 + strcspn(line + 5, " ");
			line += *line == ' ';
		}
		len = strspn(line, KEY_LETTERS);
		if (len == 0 || (line[len] != ':' && line[len] != ' '))
			continue;
		if ((result = array_grow(&to->list, &capacity, to->n + 1, sizeof *to->list)) < 0)
			break;
		c = &to->list[to->n++];
		snake(c->name, sizeof c->name, line, len);
		c->value = number(line + len + 1);
		c->kib = strstr(line + len, " kB") != NULL;
	}
	free(b.text);
	return result;
}

int64_t
counter_get(const struct counters *counters, const char *name)
{
	for (size_t i = 0; i < counters->n; i++)
		if (strcmp(counters->list[i].name, name) == 0)
			return counters->list[i].value;
	return UNKNOWN;
}

/* A copy of the first line of a small file. NULL: it cannot be read, or no memory. */
static const char *
line_text(const struct source *s, const char *name, struct buf *b)
{
	if (file_read(b, &s->proc, name, FILE_SIZE_MAX, false) < 0)
		return NULL;
	b->text[strcspn(b->text, "\n")] = '\0';
	return strdup(b->text);
}

/* Linux version 5.4.0-42-generic (buildd@...): the release, where a saved tree lacks osrelease. */
static const char *
version_release(const struct source *s, struct buf *b)
{
	static const char start[] = "Linux version ";

	if (file_read(b, &s->proc, "version", FILE_SIZE_MAX, false) < 0 || !starts_with(b->text, start))
		return NULL;
	return strndup(b->text + strlen(start), strcspn(b->text + strlen(start), " \n"));
}

int64_t
machine_boot(const struct source *s)
{
	struct buf b = { NULL, 0, 0, false };
	int64_t boot = line_value(&s->proc, "stat", "btime ", SIZE_MAX, &b);

	free(b.text);
	return boot < SECONDS_MAX ? boot : UNKNOWN;
}

/* Seconds since the epoch: now, or when S was saved, else its boot time plus the first number of uptime.
 * NAN: unknown. */
static double
time_read(const struct source *s, struct buf *b)
{
	struct timespec t;
	int64_t boot;
	double up = NAN;
	const char *end;

	if (s->live) {
		clock_gettime(CLOCK_REALTIME, &t);
		return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	}
	if (!isnan(s->time))
		return s->time;
	boot = machine_boot(s);
	if (file_read(b, &s->proc, "uptime", FILE_SIZE_MAX, false) == 0)
		up = file_decimal(b->text, &end);
	return boot == UNKNOWN || !(up < 1e11) ? NAN : (double)boot + up;
}

int
machine_read(const struct source *s, struct machine *m)
{
	struct buf b = { NULL, 0, 0, false };
	int result = counters_read(&m->memory, &s->proc, "meminfo");
	struct utsname name;
	char text[32];

	m->mem_total = counter_get(&m->memory, "mem_total");
	m->mem_available = counter_get(&m->memory, "mem_available");
	m->mem_used = counter_sub(m->mem_total, m->mem_available);
	m->swap_total = counter_get(&m->memory, "swap_total");
	m->swap_used = counter_sub(m->swap_total, counter_get(&m->memory, "swap_free"));
	m->host = line_text(s, "sys/kernel/hostname", &b);
	m->kernel = line_text(s, "sys/kernel/osrelease", &b);
	if (!m->kernel)
		m->kernel = version_release(s, &b);
	if (s->here && uname(&name) == 0) {	/* a procfs with subset=pid lacks them */
		m->host = m->host ? m->host : strdup(name.nodename);
		m->kernel = m->kernel ? m->kernel : strdup(name.release);
	}
	m->boot_id = line_text(s, "sys/kernel/random/boot_id", &b);
	m->now = time_read(s, &b);
	m->time = fabs(m->now) < 1e17 && time_text((int64_t)m->now, text) ? strdup(text) : NULL;
	m->boot = m->slack = UNKNOWN;
	m->thread_slack = 0;
	free(b.text);
	return result;
}

static int64_t
cpus(const struct source *s)
{
	struct buf b = { NULL, 0, 0, false };
	int64_t n = 0;
	char *at, *line;

	if (s->here)
		return sysconf(_SC_NPROCESSORS_CONF);
	if (file_read(&b, &s->proc, "stat", MACHINE_FILE_SIZE_MAX, false) == 0)
		for (at = b.text; (line = line_next(&at)); )
			n += starts_with(line, "cpu") && isdigit((unsigned char)line[3]);
	free(b.text);
	return n > 0 ? n : UNKNOWN;
}

/* RELEASE is like 6.18.44-generic. */
bool
release_at_least(const char *release, long major, long minor)
{
	char *end;
	long release_major = release ? strtol(release, &end, 10) : 0;

	if (release_major <= 0 || *end != '.')
		return false;
	return release_major > major || (release_major == major && strtol(end + 1, NULL, 10) >= minor);
}

/* statm is exact from 6.16 on. From 6.2 each of three counters may lag by a batch per CPU; before, each
 * thread kept up to 64 faults of 16 pages to itself. Vendor kernels backport either scheme, so both
 * bounds are added. */
void
machine_slack(const struct source *s, struct machine *m)
{
	int64_t n;

	m->slack = UNKNOWN;
	m->thread_slack = 0;
	if (release_at_least(m->kernel, 6, 16))
		m->slack = 0;
	else if (release_at_least(m->kernel, 1, 0) && (n = cpus(s)) != UNKNOWN) {
		m->slack = pages_kib(3 * n * (2 * n > 32 ? 2 * n : 32), s);
		m->thread_slack = pages_kib(1040, s);
	}
}

/* Node 0, zone   Normal      3      2 ...: free blocks of 1, 2, 4, ... pages. */
static bool
zone_parse(struct zone *z, char *line)
{
	char *rest = line, *word = starts_with(line, "Node ") ? strtok_r(line + 5, " ,", &rest) : NULL;
	int64_t node = word ? number(word) : UNKNOWN;

	*z = (struct zone){ .node = (int)node };
	if (node < 0 || node > INT_MAX || !(word = strtok_r(NULL, " ,", &rest)) || strcmp(word, "zone") != 0)
		return false;
	if (!(word = strtok_r(NULL, " ", &rest)))
		return false;
	snprintf(z->name, sizeof z->name, "%s", word);
	while (z->orders < ORDERS_MAX && (word = strtok_r(NULL, " ", &rest)))
		z->blocks[z->orders++] = number(word);
	return z->orders > 0;
}

static int
zones_read(const struct source *s, struct system *system, struct buf *b)
{
	size_t capacity = 0;
	char *at, *line;

	if (file_read(b, &s->proc, "buddyinfo", FILE_SIZE_MAX, false) < 0)
		return errno == ENOMEM ? -1 : 0;
	for (at = b->text; (line = line_next(&at)); ) {
		if (array_grow(&system->zones, &capacity, system->nzones + 1, sizeof *system->zones) < 0)
			return -1;
		system->nzones += zone_parse(&system->zones[system->nzones], line);
	}
	return 0;
}

/* some avg10=0.00 avg60=0.00 avg300=0.00 total=0, and the same for full. */
static void
pressure_read(const struct source *s, struct system *system, struct buf *b)
{
	static const char *const keys[] = { " avg10=", " avg60=", " avg300=" };
	char *at, *line;

	for (int i = 0; i < 6; i++)
		system->psi[i] = NAN;
	if (file_read(b, &s->proc, "pressure/memory", FILE_SIZE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); )
		for (int i = 0; i < 3; i++) {
			const char *value = strstr(line, keys[i]), *end = NULL;
			double x = value ? file_decimal(value + strlen(keys[i]), &end) : NAN;

			if (!(x <= 100) || (*end && *end != ' '))
				continue;
			if (starts_with(line, "some "))
				system->psi[i] = x;
			else if (starts_with(line, "full "))
				system->psi[3 + i] = x;
		}
}

static int
nodes_read(const struct dir *sys, struct system *system)
{
	char name[64];
	size_t n;
	int *ids, result;

	if (numbers_list(sys, "devices/system/node", "node", &ids, &n) < 0)
		return 0;
	system->nodes = calloc(n + 1, sizeof *system->nodes);
	system->nnodes = system->nodes ? n : 0;
	result = system->nodes ? 0 : -1;
	for (size_t i = 0; i < system->nnodes; i++) {
		system->nodes[i].id = ids[i];
		snprintf(name, sizeof name, "devices/system/node/node%d/meminfo", ids[i]);
		if (counters_read(&system->nodes[i].memory, sys, name) < 0)
			result = -1;
	}
	free(ids);
	return result;
}

/* The number in the file NAME, which holds nothing else. */
static int64_t
file_number(const struct dir *in, const char *name, struct buf *b)
{
	return file_read(b, in, name, FILE_SIZE_MAX, true) < 0 ? UNKNOWN : number(b->text);
}

/* mm_stat holds 536870912 10485760 11534336 0 ...: original data, compressed, all that the device takes,
 * in bytes. Before 4.1 these are files of their own. False: the device is not set up. */
static bool
zram_device_read(const struct dir *device, int64_t *data, int64_t *used, struct buf *b)
{
	int64_t field[3] = { UNKNOWN, UNKNOWN, UNKNOWN };
	char *word[3];
	size_t n;

	if (file_read(b, device, "mm_stat", FILE_SIZE_MAX, true) == 0) {
		if (b->len == 0)
			return false;
		n = words_split(b->text, word, 3);
		for (size_t i = 0; i < n; i++)
			field[i] = number(word[i]);
	} else if (errno == ENOENT) {
		field[0] = file_number(device, "orig_data_size", b);
		field[2] = file_number(device, "mem_used_total", b);
	}
	*data = bytes_kib(field[0]);
	*used = bytes_kib(field[2]);
	return true;
}

static void
zram_read(const struct dir *sys, struct system *system, struct buf *b)
{
	size_t n, none;
	int *ids, *no_ids;

	if (numbers_list(sys, "block", "zram", &ids, &n) < 0)
		return;
	system->zram_used = system->zram_data = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t data = UNKNOWN, used = UNKNOWN;
		struct dir device;
		char name[32];

		snprintf(name, sizeof name, "block/zram%d", ids[i]);
		numbers_list(sys, name, "", &no_ids, &none);	/* so that its name is saved */
		free(no_ids);
		if (dir_open(&device, sys, name) == 0) {
			if (!zram_device_read(&device, &data, &used, b))
				data = used = 0;
			dir_close(&device);
		}
		system->zram_data = add_known(system->zram_data, data);
		system->zram_used = add_known(system->zram_used, used);
	}
	free(ids);
}

/* The root directory of the machine that S comes from. If that is this machine, the caller closes it. */
static struct dir
root_open(const struct source *s)
{
	struct dir root = s->root;

	if (s->here && (root.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		failure_add(&root, "", errno);
	return root;
}

/* "    count: 123" under pagesets of /proc/zoneinfo: pages on the per-CPU lists. They are free, but MemFree
 * leaves them out. */
static int64_t
free_pcp_read(const struct source *s, struct buf *b)
{
	int64_t n = UNKNOWN;
	char *at, *line;

	if (file_read(b, &s->proc, "zoneinfo", MACHINE_FILE_SIZE_MAX, false) < 0)
		return UNKNOWN;
	for (at = b->text; (line = line_next(&at)); ) {
		line += strspn(line, " ");
		if (starts_with(line, "count:"))
			n = n == UNKNOWN ? number(line + 6) : add_known(n, number(line + 6));
	}
	return pages_kib(n, s);
}

/* zoneinfo is read last, as the caller reads meminfo next: free pages move between the counters of both. */
int
system_read(const struct source *s, struct system *system)
{
	struct buf b = { NULL, 0, 0, false };
	struct dir root = root_open(s), sys;
	int result = counters_read(&system->vm, &s->proc, "vmstat");

	if (zones_read(s, system, &b) < 0)
		result = -1;
	pressure_read(s, system, &b);
	system->zram_used = system->zram_data = system->thp_size = UNKNOWN;
	if (dir_open(&sys, &root, "sys") == 0) {
		if (nodes_read(&sys, system) < 0)
			result = -1;
		zram_read(&sys, system, &b);
		system->thp_size = bytes_kib(file_number(&sys, THP_SIZE_FILE, &b));
		dir_close(&sys);
	}
	if (s->here)
		dir_close(&root);
	system->free_pcp = free_pcp_read(s, &b);
	free(b.text);
	return result;
}

/* ---- 11. Control groups ---- */

/* The mount of the memory controller. */
struct controller {
	struct dir root;	/* of the machine */
	char dir[PATH_MAX / 2];	/* below root */
	char hidden[PATH_MAX];	/* what paths in /proc begin with and those below the mount lack */
	int version;		/* of control groups; 0: there is no mount */
};

/* A group of the memory controller. */
struct cgroup {
	char *path;		/* below the mount; that of its root is "" */
	unsigned got;		/* sources that were read */
	int charges_children;	/* 1 or 0; -1: not read */
	struct cgroup_figures figures;	/* limit is that of this group alone, pct unknown: see limits_read */
};

struct cgroups {
	struct controller controller;
	bool is_here;		/* of this machine: controller.root is to be closed */
	struct buf buf;
	void *by_path;		/* of tsearch(3) */
	struct cgroup **list;	/* the same */
	size_t n, size;
};

/* Replaces octal escapes, as mountinfo has them: \040 is a blank. */
static void
unescape(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (*s == '\\' && strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else
			*to++ = *s;
	*to = '\0';
}

/* TEXT is the type, the source and the options of a mount. 2: control groups of version 2; 1: the memory
 * controller of version 1; 0: neither. */
static int
controller_version(const char *text)
{
	const char *options = strrchr(text, ' ');

	if (starts_with(text, "cgroup2 "))
		return 2;
	return starts_with(text, "cgroup ") && options && has_word(options + 1, "memory");
}

/*
 * Parses a line of mountinfo: 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory.
 * Field 4 is the root of the mount within the hierarchy, field 5 the mount point. Version 1 is used where
 * both versions are mounted, and a mount of the whole hierarchy rather than one of a part.
 */
static void
controller_parse(struct controller *c, char *line)
{
	char *tail = strstr(line, " - "), *word[5];
	int version = tail ? controller_version(tail + 3) : 0;

	if (!version || (c->version == 1 && version == 2))
		return;
	*tail = '\0';
	if (words_split(line, word, 5) < 5 || (c->version == version && (!*c->hidden || strcmp(word[3], "/") != 0)))
		return;
	unescape(word[3]);
	unescape(word[4]);
	if (strlen(word[3]) >= sizeof c->hidden || strlen(word[4]) >= sizeof c->dir)
		return;			/* half a path would be another one */
	c->version = version;
	snprintf(c->dir, sizeof c->dir, "%s", word[4] + (*word[4] == '/'));
	snprintf(c->hidden, sizeof c->hidden, "%s", strcmp(word[3], "/") == 0 ? "" : word[3]);
}

static void
controller_find(const struct source *s, struct controller *c)
{
	struct buf b = { NULL, 0, 0, false };
	char *at, *line;

	c->root = root_open(s);
	if (mounts_read(s, &b) == 0)
		for (at = b.text; (line = line_next(&at)); )
			controller_parse(c, line);
	free(b.text);
}

/* PART in percent of WHOLE, in millionths of a percent; saturates. */
static int64_t
percent_millionths(int64_t part, int64_t whole)
{
	double x = 1e8 * (double)part / (double)whole;

	return x < (double)INT64_MAX ? (int64_t)x : INT64_MAX;
}

/*
 * The part of PATH below the root of the mount. NULL: the group lies elsewhere, as those of other
 * containers do. In a cgroup namespace, paths and the root of the mount may both begin with /.., as in
 * /../../user.slice. A .. that remains is a group whose name is not known.
 */
static const char *
controller_path(const struct controller *c, const char *path)
{
	size_t hidden = strlen(c->hidden);

	if (strncmp(path, c->hidden, hidden) != 0 || (path[hidden] && path[hidden] != '/'))
		return NULL;
	path += hidden;
	for (const char *dots = path; (dots = strstr(dots, "/..")); dots += 3)
		if (dots[3] == '/' || dots[3] == '\0')
			return NULL;
	return path;
}

static int
cgroup_compare(const void *a, const void *b)
{
	const struct cgroup *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* The group whose path below the mount is the first LEN bytes of PATH. It is added to GROUPS if it is not
 * there yet; its directory need not exist. NULL: no memory, or the path is too long. */
static struct cgroup *
cgroup_get(struct cgroups *groups, const char *path, size_t len)
{
	char name[PATH_MAX];
	struct cgroup key = { .path = name }, *g, *const *node;

	if (len >= sizeof name)
		return NULL;
	memcpy(name, path, len);
	name[len] = '\0';
	node = tfind(&key, &groups->by_path, cgroup_compare);
	if (node)
		return *node;
	if (array_grow(&groups->list, &groups->size, groups->n + 1, sizeof *groups->list) < 0)
		return NULL;
	if (!(g = malloc(sizeof *g)))
		return NULL;
	*g = (struct cgroup){ .path = strdup(name), .charges_children = -1, .figures = unknown_figures };
	if (!g->path || !tsearch(g, &groups->by_path, cgroup_compare)) {
		free(g->path);
		free(g);
		return NULL;
	}
	return groups->list[groups->n++] = g;
}

/* The group above G, added to GROUPS if it is not there yet; or NULL. */
static struct cgroup *
parent_get(struct cgroups *groups, const struct cgroup *g)
{
	const char *slash = strrchr(g->path, '/');

	return slash ? cgroup_get(groups, g->path, (size_t)(slash - g->path)) : NULL;
}

/* The group of a path as in /proc/PID/cgroup, added to GROUPS if it is not there yet. NULL: it does not lie
 * below the mount. */
static struct cgroup *
cgroup_by_path(struct cgroups *groups, const char *path)
{
	if (!groups->controller.version || !(path = controller_path(&groups->controller, path)))
		return NULL;
	return cgroup_get(groups, path, strcmp(path, "/") == 0 ? 0 : strlen(path));
}

/* Writes the path of FILE of a group, below the root of the machine, to NAME. False: too long. */
static bool
cgroup_file_path(const struct cgroups *groups, const struct cgroup *g, const char *file, char name[PATH_MAX])
{
	return snprintf(name, PATH_MAX, "%s%s%s", groups->controller.dir, g->path, file) < PATH_MAX;
}

/* Reads a file of a group into the buffer. */
static bool
cgroup_file_read(struct cgroups *groups, const struct cgroup *g, const char *file)
{
	char name[PATH_MAX];

	return cgroup_file_path(groups, g, file, name) &&
	    file_read(&groups->buf, &groups->controller.root, name, FILE_SIZE_MAX, true) == 0;
}

/* The KiB that FILE gives in bytes. UNKNOWN: there is no limit, and FILE says `max', or 9223372036854771712
 * with version 1. */
static int64_t
cgroup_kib(struct cgroups *groups, const struct cgroup *g, const char *file)
{
	int64_t bytes = cgroup_file_read(groups, g, file) ? number(groups->buf.text) : UNKNOWN;

	return bytes == UNKNOWN || bytes > INT64_MAX / 2 ? UNKNOWN : bytes / 1024;
}

/* The number behind KEY in lines like "anon 1048576". */
static int64_t
keyed_number(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, key, len) == 0 && text[len] == ' ')
			return number(text + len + 1);
	}
	return UNKNOWN;
}

static int64_t
keyed_kib(const char *text, const char *key)
{
	int64_t bytes = keyed_number(text, key);

	return bytes == UNKNOWN ? UNKNOWN : bytes / 1024;
}

/* KEY of memory.stat, version 1, with the groups below: total_rss, or rss where there is no total_rss. */
static int64_t
total_kib(const char *text, const char *key)
{
	char total[32];
	int64_t kib;

	snprintf(total, sizeof total, "total_%s", key);
	kib = keyed_kib(text, total);
	return kib == UNKNOWN ? keyed_kib(text, key) : kib;
}

/*
 * Sets the parts that memory.stat tells. SHMEM is contained in CACHE, and in LRU, the sum of the lists of
 * anonymous memory. What else is on these lists and not mapped belongs to huge pages that were freed in part,
 * or to the swap cache.
 */
static void
parts_set(struct cgroup_figures *f, int64_t anon, int64_t cache, int64_t shmem, int64_t lru)
{
	f->anon = anon;
	f->shmem = shmem;
	f->file = kib_sub(cache, shmem);
	if (f->file < 0)		/* the two contradict each other */
		f->file = UNKNOWN;
	f->anon_unmapped = kib_sub(kib_sub(lru, anon), shmem);
	if (f->anon_unmapped != UNKNOWN && f->anon_unmapped < 0)
		f->anon_unmapped = 0;
}

/* total_rss 1081344, total_cache 380928 ...; kernel memory is in other files. */
static void
stat1_parse(const char *text, struct cgroup_figures *f)
{
	parts_set(f, total_kib(text, "rss"), total_kib(text, "cache"), total_kib(text, "shmem"),
	    add_known(total_kib(text, "active_anon"), total_kib(text, "inactive_anon")));
}

/* anon 1081344, file 380928, kernel 212992 ... */
static void
stat2_parse(const char *text, struct cgroup_figures *f)
{
	static const char *const kernel_keys[] = {
		"kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc"
	};
	int64_t kernel;

	parts_set(f, keyed_kib(text, "anon"), keyed_kib(text, "file"), keyed_kib(text, "shmem"),
	    add_known(keyed_kib(text, "active_anon"), keyed_kib(text, "inactive_anon")));
	f->sock = keyed_kib(text, "sock");
	f->slab_unreclaimable = keyed_kib(text, "slab_unreclaimable");
	f->slab = keyed_kib(text, "slab");
	if (f->slab == UNKNOWN)
		f->slab = add_known(keyed_kib(text, "slab_reclaimable"), f->slab_unreclaimable);
	kernel = f->slab;
	for (size_t i = 0; i < sizeof kernel_keys / sizeof *kernel_keys; i++)
		kernel = kib_add(kernel, keyed_kib(text, kernel_keys[i]));
	f->kernel = keyed_kib(text, "kernel");		/* since 5.18 */
	if (f->kernel == UNKNOWN)
		f->kernel = kernel;
	else if (kernel != UNKNOWN)
		f->kernel_other = f->kernel > kernel ? kib_sub(f->kernel, kernel) : 0;
}

/* some avg10=0.12 avg60=0.00 ...: avg10 in millionths of a percent. */
static int64_t
avg10_parse(const char *text)
{
	const char *end = "";
	double x = starts_with(text, "some avg10=") ? file_decimal(text + 11, &end) : NAN;

	return x <= 100 && strchr(" \n", *end) ? (int64_t)(1e6 * x + 0.5) : UNKNOWN;
}

/* Files of one number. */
static const struct {
	unsigned source;
	size_t offset;		/* in struct cgroup_figures */
	const char *name[2];	/* with version 1, with version 2 */
} number_files[] = {
	{ CG_USAGE, offsetof(struct cgroup_figures, usage), { "/memory.usage_in_bytes", "/memory.current" } },
	{ CG_PEAK, offsetof(struct cgroup_figures, peak),
	    { "/memory.max_usage_in_bytes", "/memory.peak" } }, /* since 5.19 */
	{ CG_LIMIT, offsetof(struct cgroup_figures, limit), { "/memory.limit_in_bytes", "/memory.max" } },
	{ CG_SWAP, offsetof(struct cgroup_figures, swap),	/* with version 1 usage is in it, too */
	    { "/memory.memsw.usage_in_bytes", "/memory.swap.current" } },
	{ CG_KERNEL, offsetof(struct cgroup_figures, kernel), { "/memory.kmem.usage_in_bytes", NULL } },
	{ CG_SOCK, offsetof(struct cgroup_figures, sock), { "/memory.kmem.tcp.usage_in_bytes", NULL } },
};

/* Reads the files of version 1 that hold more than a number, and corrects what number_files gave. */
static void
cgroup1_read(struct cgroups *groups, struct cgroup *g, unsigned want)
{
	struct cgroup_figures *f = &g->figures;

	if (want & CG_SWAP) {		/* below 0: usage was read a moment before */
		f->swap = kib_sub(f->swap, f->usage);
		f->swap = f->swap != UNKNOWN && f->swap < 0 ? 0 : f->swap;
	}
	if (want & CG_STAT && cgroup_file_read(groups, g, "/memory.stat"))
		stat1_parse(groups->buf.text, f);
	if (want & CG_EVENTS && cgroup_file_read(groups, g, "/memory.oom_control"))
		f->oom_kills = keyed_number(groups->buf.text, "oom_kill");	/* since 4.13 */
}

/* Reads the files of version 2 that hold more than a number. */
static void
cgroup2_read(struct cgroups *groups, struct cgroup *g, unsigned want)
{
	struct cgroup_figures *f = &g->figures;

	if (want & CG_PARTS && cgroup_file_read(groups, g, "/memory.stat"))
		stat2_parse(groups->buf.text, f);
	if (want & CG_EVENTS && cgroup_file_read(groups, g, "/memory.events")) {
		f->high = keyed_number(groups->buf.text, "high");
		f->oom_kills = keyed_number(groups->buf.text, "oom_kill");
	}
	if (want & CG_PSI && cgroup_file_read(groups, g, "/memory.pressure"))
		f->psi = avg10_parse(groups->buf.text);
}

/* Usage less the parts that are known. UNKNOWN: usage or anon is. */
static int64_t
cgroup_rest(const struct cgroup_figures *f)
{
	const int64_t parts[] = { f->anon, f->anon_unmapped, f->file, f->shmem, f->kernel, f->sock };
	int64_t rest = f->usage;

	if (f->usage == UNKNOWN || f->anon == UNKNOWN)
		return UNKNOWN;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i] != UNKNOWN)
			rest = kib_sub(rest, parts[i]);
	return rest;
}

/* Reads those files of a group that SOURCES name and that were not read yet. */
static void
cgroup_files_read(struct cgroups *groups, struct cgroup *g, unsigned sources)
{
	int version = groups->controller.version;
	unsigned want;

	if (version == 1 && sources & CG_SWAP)
		sources |= CG_USAGE;
	if (version == 2 && sources & CG_PARTS)
		sources |= CG_PARTS;		/* all are in memory.stat */
	want = sources & ~g->got;
	g->got |= sources;
	for (size_t i = 0; i < sizeof number_files / sizeof *number_files; i++) {
		int64_t *figure = (int64_t *)(void *)((char *)&g->figures + number_files[i].offset);
		const char *name = number_files[i].name[version - 1];

		if (want & number_files[i].source && name)
			*figure = cgroup_kib(groups, g, name);
	}
	if (version == 1)
		cgroup1_read(groups, g, want);
	else
		cgroup2_read(groups, g, want);
	if (!(~g->got & (CG_USAGE | CG_PARTS)))
		g->figures.rest = cgroup_rest(&g->figures);
}

/* True if what is charged to the children of G is charged to G as well. With version 1 this needs
 * use_hierarchy to be 1, as it always is since 5.11. */
static bool
charges_children(struct cgroups *groups, struct cgroup *g)
{
	if (groups->controller.version != 1)
		return true;
	if (g->charges_children < 0) {
		bool is_read = cgroup_file_read(groups, g, "/memory.use_hierarchy");

		g->charges_children = !is_read || number(groups->buf.text) != 0;
	}
	return g->charges_children;
}

/* The group above G, if the charge of G counts in it, or NULL. */
static struct cgroup *
charged_parent(struct cgroups *groups, struct cgroup *g)
{
	struct cgroup *parent = parent_get(groups, g);

	return parent && charges_children(groups, g) && charges_children(groups, parent) ? parent : NULL;
}

/* Sets limit to the lowest limit of G and the groups above it, and pct to the highest usage in percent of
 * such a limit. */
static void
limits_read(struct cgroups *groups, struct cgroup *g, unsigned sources, struct cgroup_figures *figures)
{
	for (; g; g = charged_parent(groups, g)) {
		int64_t limit, pct;

		cgroup_files_read(groups, g, CG_LIMIT);
		limit = g->figures.limit;
		if (limit == UNKNOWN)
			continue;
		if (figures->limit == UNKNOWN || limit < figures->limit)
			figures->limit = limit;
		if (!(sources & CG_PCT) || limit == 0)
			continue;
		cgroup_files_read(groups, g, CG_USAGE);
		pct = g->figures.usage == UNKNOWN ? UNKNOWN : percent_millionths(g->figures.usage, limit);
		figures->pct = pct > figures->pct ? pct : figures->pct;		/* UNKNOWN is the least */
	}
}

void
cgroup_read(struct cgroups *groups, const char *path, unsigned sources, struct cgroup_figures *figures)
{
	struct cgroup *g = cgroup_by_path(groups, path);

	*figures = unknown_figures;
	if (!g)
		return;
	cgroup_files_read(groups, g, sources & ~(unsigned)(CG_LIMIT | CG_PCT));
	*figures = g->figures;
	figures->limit = UNKNOWN;
	if (sources & (CG_LIMIT | CG_PCT))
		limits_read(groups, g, sources, figures);
}

/* True if a group has a directory. */
static bool
cgroup_exists(const struct cgroups *groups, const struct cgroup *g)
{
	char name[PATH_MAX];

	return cgroup_file_path(groups, g, "", name) && dir_has(&groups->controller.root, name);
}

bool
cgroup_is_absent(struct cgroups *groups, const char *path)
{
	struct cgroup *g = cgroup_by_path(groups, path), *top = cgroup_get(groups, "", 0);

	return g && top && cgroup_exists(groups, top) && !cgroup_exists(groups, g);
}

/* Writes the path of G, as in /proc/PID/cgroup, to PATH. False: too long. */
static bool
cgroup_path(const struct cgroups *groups, const struct cgroup *g, char *path, size_t size)
{
	int len = snprintf(path, size, "%s%s", groups->controller.hidden, g->path);

	if (len == 0)
		len = snprintf(path, size, "/");
	return (size_t)len < size;
}

bool
cgroup_parent(struct cgroups *groups, char *path, size_t size)
{
	struct cgroup *g = cgroup_by_path(groups, path);

	g = g ? charged_parent(groups, g) : NULL;
	return g && cgroup_path(groups, g, path, size);
}

bool
cgroup_at(const struct cgroups *groups, size_t i, char *path, size_t size)
{
	return i < groups->n && cgroup_path(groups, groups->list[i], path, size);
}

/* True if ENTRY of DIR is a directory, and no link to one. Some file systems leave d_type unknown. */
static bool
is_directory(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Adds the groups in the directory of G. -1: no memory. */
static int
children_add(struct cgroups *groups, const struct cgroup *g)
{
	char name[PATH_MAX], path[PATH_MAX];
	struct dirent *entry;
	int fd, result = 0;
	DIR *dir;

	if (!cgroup_file_path(groups, g, "", name))
		return 0;
	fd = fd_open(&groups->controller.root, *name ? name : ".", O_RDONLY | O_DIRECTORY);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	while (dir && result == 0 && (entry = readdir(dir))) {
		int len = snprintf(path, sizeof path, "%s/%s", g->path, entry->d_name);

		if (!is_directory(dir, entry))
			continue;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && len < PATH_MAX)
			result = cgroup_get(groups, path, (size_t)len) ? 0 : -1;
	}
	if (dir)
		closedir(dir);
	return result;
}

/* Adds the groups whose files are in the archive: sys/fs/cgroup/a.slice/memory.current. -1: no memory. */
static int
members_add(struct cgroups *groups)
{
	const struct archive *a = groups->controller.root.archive;
	char mount[PATH_MAX];
	size_t len = (size_t)snprintf(mount, sizeof mount, "%s/", groups->controller.dir);

	for (size_t i = member_index(a, mount); i < a->n && starts_with(a->members[i].name, mount); i++) {
		const char *path = a->members[i].name + len - 1, *file = strrchr(path, '/');

		if (starts_with(file, "/memory.") && !cgroup_get(groups, path, (size_t)(file - path)))
			return -1;
	}
	return 0;
}

/* Reads all files of a group and of those above it, so that they are saved. */
static void
cgroup_files_save(struct cgroups *groups, struct cgroup *g)
{
	for (; g && g->got != MEMCG; g = parent_get(groups, g)) {
		cgroup_files_read(groups, g, MEMCG);
		charges_children(groups, g);		/* reads use_hierarchy */
	}
}

int
cgroups_find_all(struct cgroups *groups)
{
	if (!groups->controller.version)
		return 0;
	if (groups->controller.root.archive)
		return members_add(groups);
	if (!cgroup_get(groups, "", 0))
		return -1;
	for (size_t i = 0; i < groups->n; i++)		/* children_add adds to it */
		if (children_add(groups, groups->list[i]) < 0)
			return -1;
	return 0;
}

bool
cgroup_counts_nest(const struct cgroups *groups)
{
	return groups->controller.version == 2;
}

struct cgroups *
cgroups_open(const struct source *s)
{
	struct cgroups *groups = calloc(1, sizeof *groups);

	if (!groups)
		return NULL;
	groups->is_here = s->here;
	controller_find(s, &groups->controller);
	return groups;
}

void
cgroups_free(struct cgroups *groups)
{
	for (size_t i = 0; i < groups->n; i++) {
		tdelete(groups->list[i], &groups->by_path, cgroup_compare);
		free(groups->list[i]->path);
		free(groups->list[i]);
	}
	if (groups->is_here)
		dir_close(&groups->controller.root);
	free(groups->list);
	free(groups->buf.text);
	free(groups);
}

/* ---- 12. Holders ---- */

#define TMPFS_MAGIC	0x01021994	/* statfs, linux/magic.h */
#define HUGETLBFS_MAGIC	0x958458f6
#define SLABS_MAX	24		/* reclaim_account is read of so many of the largest caches */

void
holder_add(struct holders *to, const char *area, const char *kind, int64_t size, int64_t pid,
    const char *name)
{
	if (size == UNKNOWN || size <= 0)
		return;
	if (array_grow(&to->list, &to->capacity, to->n + 1, sizeof *to->list) < 0)
		return;
	to->list[to->n++] = (struct holder){ area, kind, strdup(name), size, 0, pid };
}

static void
holders_free(struct holders *h)
{
	for (size_t i = 0; i < h->n; i++)
		free((void *)(uintptr_t)h->list[i].name);
	free(h->list);
}

/* No file says what mounts and descriptors hold, so --save writes the holders from index FROM on as lines of
 * its file memz. */
static void
holders_save(const struct source *s, const struct holders *h, size_t from)
{
	char line[PATH_MAX + 128];

	for (size_t i = from; i < h->n && s->proc.save; i++) {
		const struct holder *one = &h->list[i];
		int n = snprintf(line, sizeof line, "holder %s %s %lld %lld %s", one->area, one->kind,
		    (long long)one->size, (long long)(one->pid == UNKNOWN ? 0 : one->pid),
		    one->name ? one->name : "");

		if (n < 0 || n >= (int)sizeof line - 1)
			continue;
		for (char *at = line; *at; at++)
			*at = *at == '\n' ? '?' : *at;
		strcat(line, "\n");
		save_line(line);
	}
	if (s->proc.save)
		save_holders_done();
}

/* "holder shmem memfd 1024 812 memfd:name", as holders_save wrote it. */
static void
holder_parse(char *line, struct holders *to)
{
	static const char *const areas[] = { "shmem", "huge_pages" };
	static const char *const kinds[] = { "tmpfs", "memfd", "deleted" };
	char *rest, *area = strtok_r(line, " ", &rest), *kind = strtok_r(NULL, " ", &rest);
	char *size = strtok_r(NULL, " ", &rest), *pid = strtok_r(NULL, " ", &rest);

	if (!pid || !rest || !*rest)		/* musl's strtok_r leaves NULL at the end, glibc "" */
		return;
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 3; j++)
			if (strcmp(area, areas[i]) == 0 && strcmp(kind, kinds[j]) == 0)
				holder_add(to, areas[i], kinds[j], number(size),
				    number(pid) > 0 ? number(pid) : UNKNOWN, rest);
}

/* Adds the holders that an archive describes, and saves them if this run saves, too. */
static void
saved_holders_read(const struct source *s, struct holders *to)
{
	struct buf b = { NULL, 0, 0, false };
	size_t from = to->n;
	char *at, *line;

	if (s->described && file_read(&b, &s->root, "memz", MACHINE_FILE_SIZE_MAX, false) == 0)
		for (at = b.text; (line = line_next(&at)); )
			if (starts_with(line, "holder "))
				holder_parse(line + 7, to);
	free(b.text);
	holders_save(s, to, from);
}

/* A mounted tmpfs; or a memfd or deleted file, which lives as long as a descriptor of it. */
struct tmpfs_use {
	dev_t dev;
	ino_t ino;		/* 0: the mount */
	int64_t size, pid;
	const char *area, *kind;
	char *name;
};

/* A search for what tmpfs holds. It runs in a thread of its own, as a path or a link may block for ever. */
struct tmpfs_search {
	struct dir proc, root;
	char *mounts;		/* mountinfo */
	int *pids;		/* whose descriptors are searched */
	size_t npids;
	pthread_mutex_t lock;	/* of the next two lines */
	struct tmpfs_use *list;
	size_t n, capacity;
	atomic_size_t links;	/* descriptors whose links were read */
	atomic_int denied;	/* processes whose descriptors may not be read */
};

static void
tmpfs_use_add(struct tmpfs_search *t, const struct tmpfs_use *use)
{
	char *name = strdup(use->name);

	pthread_mutex_lock(&t->lock);
	if (name && array_grow(&t->list, &t->capacity, t->n + 1, sizeof *t->list) == 0) {
		t->list[t->n] = *use;
		t->list[t->n++].name = name;
	} else
		free(name);
	pthread_mutex_unlock(&t->lock);
}

/* 25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw: what the tmpfs holds, if it is seen at that path. */
static void
mount_search(struct tmpfs_search *t, char *line)
{
	char *tail = strstr(line, " - tmpfs "), *word[5];
	struct statfs fs;
	struct stat st;
	int fd;

	if (!tail)
		return;
	*tail = '\0';
	if (words_split(line, word, 5) < 5)
		return;
	unescape(word[4]);
	fd = openat(t->root.fd, word[4][1] ? word[4] + 1 : ".", O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_dev == device_parse(word[2], 10) && fstatfs(fd, &fs) == 0 &&
	    fs.f_type == TMPFS_MAGIC) {
		int64_t kib = (int64_t)(fs.f_blocks - fs.f_bfree) * ((int64_t)fs.f_bsize / 1024);

		tmpfs_use_add(t, &(struct tmpfs_use){ .dev = st.st_dev, .size = kib, .pid = UNKNOWN,
		    .area = "shmem", .kind = "tmpfs", .name = word[4] });
	}
	close(fd);
}

/* /proc/812/fd/3 -> "/memfd:name (deleted)", "/dev/shm/file (deleted)": a file of tmpfs or hugetlbfs without
 * a name. */
static void
descriptor_search(struct tmpfs_search *t, int fds, const char *link, int pid)
{
	static const char gone[] = " (deleted)";
	const size_t len = sizeof gone - 1;
	char target[PATH_MAX], *name = target;
	ssize_t n = readlinkat(fds, link, target, sizeof target - 1);
	bool memfd, huge;
	struct statfs fs;
	struct stat st;
	int fd;

	t->links++;
	if (n <= (ssize_t)len || memcmp(target + n - len, gone, len) != 0 ||
	    (fd = openat(fds, link, O_PATH | O_CLOEXEC)) < 0)
		return;
	target[(size_t)n - len] = '\0';
	memfd = starts_with(target, "/memfd:");
	name += memfd;
	if (fstat(fd, &st) == 0 && st.st_nlink == 0 && fstatfs(fd, &fs) == 0 &&
	    (fs.f_type == TMPFS_MAGIC || (uint32_t)fs.f_type == HUGETLBFS_MAGIC)) {
		huge = (uint32_t)fs.f_type == HUGETLBFS_MAGIC;	/* signed, of 32 bits on some machines */
		tmpfs_use_add(t,
		    &(struct tmpfs_use){ st.st_dev, st.st_ino, st.st_blocks / 2, pid,
			huge ? "huge_pages" : "shmem", memfd ? "memfd" : "deleted", name });
	}
	close(fd);
}

static void
descriptors_search(struct tmpfs_search *t, int pid)
{
	char name[32];
	struct dirent *entry;
	DIR *dir;
	int fd;

	snprintf(name, sizeof name, "%d/fd", pid);
	fd = openat(t->proc.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		t->denied += errno == EACCES || errno == EPERM;
		return;
	}
	if (!(dir = fdopendir(fd))) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)*entry->d_name))
			descriptor_search(t, fd, entry->d_name, pid);
	closedir(dir);
}

static void
tmpfs_search_main(void *arg)
{
	struct tmpfs_search *t = arg;
	char *line;

	for (char *at = t->mounts; at && (line = line_next(&at)); )
		mount_search(t, line);
	for (size_t i = 0; i < t->npids; i++)
		descriptors_search(t, t->pids[i]);
}

static int
tmpfs_use_compare(const void *a, const void *b)
{
	const struct tmpfs_use *x = a, *y = b;

	if (x->dev != y->dev)
		return (x->dev > y->dev) - (x->dev < y->dev);
	if (x->ino != y->ino)
		return (x->ino > y->ino) - (x->ino < y->ino);
	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Adds mounts of tmpfs, and if that is asked for, the files without a name that processes keep open. A file
 * counts once. */
static void
tmpfs_read(const struct source *s, struct holder_search *search, struct holders *to)
{
	struct tmpfs_search *t = calloc(1, sizeof *t);
	struct buf b = { NULL, 0, 0, false };
	size_t from = to->n;

	if (!t)
		return;
	mounts_read(s, &b);
	*t = (struct tmpfs_search){ .proc = s->proc, .root = root_open(s), .mounts = b.text };
	pthread_mutex_init(&t->lock, NULL);
	if (search->which & HOLDERS_DESCRIPTORS)
		t->pids = calloc(search->nprocs + 1, sizeof *t->pids);
	for (size_t i = 0; i < search->nprocs && t->pids; i++)
		if (!search->procs[i].kthread && search->procs[i].outcome != VANISHED)
			t->pids[t->npids++] = (int)search->procs[i].pid;
	search->timed_out = call_with_timeout(tmpfs_search_main, t, search->timeout) < 0;
	pthread_mutex_lock(&t->lock);
	if (t->n > 1)
		qsort(t->list, t->n, sizeof *t->list, tmpfs_use_compare);
	for (size_t i = 0; i < t->n; i++) {
		const struct tmpfs_use *use = &t->list[i];

		if (i == 0 || use->dev != use[-1].dev || use->ino != use[-1].ino)
			holder_add(to, use->area, use->kind, use->size, use->pid, use->name);
	}
	pthread_mutex_unlock(&t->lock);
	search->links = t->links;
	search->denied = t->denied;
	holders_save(s, to, from);
	if (search->timed_out)
		return;			/* the thread goes on, and owns the search */
	for (size_t i = 0; i < t->n; i++)
		free(t->list[i].name);
	if (s->here)
		dir_close(&t->root);
	free(t->list);
	free(t->pids);
	free(t->mounts);
	free(t);
}

/* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap: segments without
 * attachment. */
static void
sysv_read(const struct source *s, struct holders *to, struct buf *b)
{
	char *at, *line;

	if (file_read(b, &s->proc, "sysvipc/shm", MACHINE_FILE_SIZE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); ) {
		char *word[15], name[48];

		if (words_split(line, word, 15) < 15 || number(word[6]) != 0)
			continue;
		snprintf(name, sizeof name, "shmid %.24s", word[1]);
		holder_add(to, "shmem", "sysv", bytes_kib(number(word[14])), number(word[4]), name);
	}
}

/* Some cache, function or line of code, and what it holds. */
struct amount {
	char name[96];
	int64_t kib;
};

struct amounts {
	struct amount *list;
	size_t n, capacity;
};

static int
amount_name_compare(const void *a, const void *b)
{
	const struct amount *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Makes one amount of those that have the same name. */
static void
amounts_merge(struct amounts *amounts)
{
	struct amount *last = amounts->list, *list = amounts->list;

	if (amounts->n < 2)
		return;
	qsort(list, amounts->n, sizeof *list, amount_name_compare);
	for (size_t i = 1; i < amounts->n; i++)
		if (strcmp(last->name, list[i].name) == 0)
			last->kib = add_known(last->kib, list[i].kib);
		else
			*++last = list[i];
	amounts->n = (size_t)(last - list) + 1;
}

/* Adds an amount. Unless names are unique, those of one name are merged before the list grows. */
static void
amount_add(struct amounts *amounts, const char *name, size_t len, int64_t kib, bool unique)
{
	struct amount *to;

	if (amounts->n == amounts->capacity) {
		if (!unique)
			amounts_merge(amounts);
		if (array_grow(&amounts->list, &amounts->capacity, amounts->n + amounts->n / 2 + 1,
		    sizeof *to) < 0)
			return;
	}
	to = &amounts->list[amounts->n++];
	*to = (struct amount){ .kib = kib };
	memcpy(to->name, name, len < sizeof to->name ? len : sizeof to->name - 1);
}

static int
amount_compare(const void *a, const void *b)
{
	const struct amount *x = a, *y = b;

	return x->kib != y->kib ? (x->kib < y->kib) - (x->kib > y->kib) : strcmp(x->name, y->name);
}

static void
amounts_sort(struct amounts *amounts)
{
	if (amounts->n > 1)
		qsort(amounts->list, amounts->n, sizeof *amounts->list, amount_compare);
}

/* SLUB says in /sys whether a cache is of SReclaimable; of SLAB the names tell. */
static bool
is_reclaimable(const struct dir *sys, const char *cache, struct buf *b)
{
	char name[160];
	int64_t is;

	snprintf(name, sizeof name, "kernel/slab/%s/reclaim_account", cache);
	is = sys->archive || sys->fd >= 0 ? file_number(sys, name, b) : UNKNOWN;
	if (is != UNKNOWN)
		return is > 0;
	return strstr(cache, "inode") || strstr(cache, "dentry") || starts_with(cache, "kmalloc-rcl") ||
	    strcmp(cache, "radix_tree_node") == 0 || strcmp(cache, "buffer_head") == 0;
}

/*
 * dentry 1 21 192 21 1 : tunables 0 0 0 : slabdata 1 1 0: objects in use, objects, their bytes, objects and
 * pages per slab; behind slabdata the slabs in use, and slabs. The size of the cache, whose name LINE
 * becomes.
 */
static int64_t
slab_parse(const struct source *s, char *line)
{
	char *data = strstr(line, ": slabdata "), *word[6];
	int64_t slabs, kib;

	if (!data || *line == '#')
		return UNKNOWN;
	data += strlen(": slabdata ");
	data += strspn(data, " ");
	slabs = number(data + strcspn(data, " "));
	kib = words_split(line, word, 6) == 6 ? pages_kib(number(word[5]), s) : UNKNOWN;
	if (slabs == UNKNOWN || kib == UNKNOWN || __builtin_mul_overflow(slabs, kib, &kib))
		return UNKNOWN;
	return kib;
}

/* Slab caches. Root only. */
static void
slabs_read(const struct source *s, struct holders *to, struct buf *b)
{
	struct dir root = root_open(s), sys = { .fd = -1 };
	struct amounts caches = { NULL, 0, 0 };
	char *at, *line;

	if (file_read(b, &s->proc, "slabinfo", MACHINE_FILE_SIZE_MAX, false) == 0)
		for (at = b->text; (line = line_next(&at)); ) {
			int64_t kib = slab_parse(s, line);

			if (kib != UNKNOWN)
				amount_add(&caches, line, strlen(line), kib, true);
		}
	amounts_sort(&caches);
	if (caches.n > 0 && dir_open(&sys, &root, "sys") < 0)
		sys.fd = -1;
	for (size_t i = 0; i < caches.n && i < SLABS_MAX; i++)
		holder_add(to,
		    is_reclaimable(&sys, caches.list[i].name, b) ? "slab_reclaimable" : "slab_unreclaimable",
		    "slab", caches.list[i].kib, UNKNOWN, caches.list[i].name);
	free(caches.list);
	dir_close(&sys);
	if (s->here)
		dir_close(&root);
}

/* 0x...-0x... 20480 kernel_clone+0x94/0x3e0 pages=4 vmalloc N0=4: what the function has allocated. Stacks of
 * the kernel are an area of their own; ioremap and vmap map what is not vmalloc's. Root only. */
static void
vmalloc_read(const struct source *s, struct holders *to, struct buf *b)
{
	static const char *const stacks[] = { "kernel_clone+", "dup_task_struct+", "copy_process+",
		"alloc_thread_stack_node+" };
	struct amounts callers = { NULL, 0, 0 };
	char *at, *line;

	if (file_read(b, &s->proc, "vmallocinfo", MACHINE_FILE_SIZE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); ) {
		char *count = strstr(line, " pages="), *caller = line;
		bool stack = false;

		if (!count || !strstr(count, " vmalloc"))
			continue;
		for (int i = 0; i < 2; i++)
			caller += strcspn(caller, " "), caller += strspn(caller, " ");
		for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++)
			stack = stack || starts_with(caller, stacks[i]);
		if (!stack)
			amount_add(&callers, caller, strcspn(caller, "+ "), pages_kib(number(count + 7), s),
			    false);
	}
	amounts_merge(&callers);
	amounts_sort(&callers);
	for (size_t i = 0; i < callers.n; i++)
		holder_add(to, "vmalloc", "caller", callers.list[i].kib, UNKNOWN, callers.list[i].name);
	free(callers.list);
}

/* What is free of the pools of huge pages, of any size; where /sys does not say, of the default size. */
static void
unused_read(const struct source *s, const struct machine *m, struct holders *to, struct buf *b)
{
	struct dir root = root_open(s);
	int64_t unused = UNKNOWN, kib, n;
	char name[96];

	for (int64_t size = 64; size <= 16 << 20; size *= 2) {
		snprintf(name, sizeof name, "sys/kernel/mm/hugepages/hugepages-%lldkB/free_hugepages",
		    (long long)size);
		n = root.archive || root.fd >= 0 ? file_number(&root, name, b) : UNKNOWN;
		if (n != UNKNOWN && !__builtin_mul_overflow(n, size, &kib))
			unused = kib_add(unused, kib);
	}
	n = counter_get(&m->memory, "huge_pages_free");
	kib = counter_get(&m->memory, "hugepagesize");
	if (unused == UNKNOWN && n != UNKNOWN && kib != UNKNOWN && !__builtin_mul_overflow(n, kib, &kib))
		unused = kib;
	holder_add(to, "huge_pages", "pool", unused, UNKNOWN, "unused");
	if (s->here)
		dir_close(&root);
}

/* TCP: inuse 1 orphan 0 tw 1 alloc 1 mem 161 (pages), and FRAG: inuse 0 memory 0 (bytes). */
static void
sockets_read(const struct source *s, struct holders *to, struct buf *b)
{
	char *at, *line;

	if (file_read(b, &s->proc, "net/sockstat", MACHINE_FILE_SIZE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); ) {
		const char *mem = strstr(line, " mem "), *memory = strstr(line, " memory ");
		int64_t kib = UNKNOWN;
		char name[32];

		if (mem)
			kib = pages_kib(number(mem + strlen(" mem ")), s);
		else if (memory)
			kib = bytes_kib(number(memory + strlen(" memory ")));
		snprintf(name, sizeof name, "%.*s buffers", (int)strcspn(line, ":"), line);
		holder_add(to, "kernel_other", "sockets", kib, UNKNOWN, name);
	}
}

/* 4096 1 block/bdev.c:44 func:bdev_alloc: bytes, calls, where. Sites in mm/ allocate what other areas count.
 * From 6.10 */
static void
allocinfo_read(const struct source *s, struct holders *to, struct buf *b)
{
	struct amounts sites = { NULL, 0, 0 };
	char *at, *line;

	if (file_read(b, &s->proc, "allocinfo", MACHINE_FILE_SIZE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); ) {
		char *word[3];			/* bytes, calls, site */
		bool is_site = words_split(line, word, 3) == 3 && !starts_with(word[2], "mm/");

		if (is_site && number(word[0]) >= 1 << 20 && !starts_with(word[2], "kernel/fork.c"))
			amount_add(&sites, word[2], strlen(word[2]), number(word[0]) / 1024, false);
	}
	amounts_merge(&sites);
	amounts_sort(&sites);
	for (size_t i = 0; i < sites.n && i < 8; i++)
		holder_add(to, "kernel_other", "allocation", sites.list[i].kib, UNKNOWN, sites.list[i].name);
	free(sites.list);
}

static void
kernel_other_read(const struct source *s, const struct machine *m, const struct system *system,
    struct holders *to, struct buf *b)
{
	static const char arc[] = "spl/kstat/zfs/arcstats";
	int64_t pinned;
	char *at, *line;

	sockets_read(s, to, b);
	if (file_read(b, &s->proc, arc, FILE_SIZE_MAX, false) == 0)	/* size  4  8589934592 */
		for (at = b->text; (line = line_next(&at)); )
			if (starts_with(line, "size "))
				holder_add(to, "kernel_other", "zfs", bytes_kib(number(strrchr(line, ' '))),
				    UNKNOWN, "ZFS ARC");
	holder_add(to, "kernel_other", "balloon", counter_get(&m->memory, "balloon"), UNKNOWN,
	    "balloon of the hypervisor");
	pinned = counter_sub(counter_get(&system->vm, "nr_foll_pin_acquired"),
	    counter_get(&system->vm, "nr_foll_pin_released"));
	holder_add(to, "kernel_other", "pinned", pages_kib(pinned, s), UNKNOWN, "pinned pages");
	allocinfo_read(s, to, b);
}

void
holders_read(const struct source *s, const struct machine *m, const struct system *system,
    struct holder_search *search, struct holders *to)
{
	struct buf b = { NULL, 0, 0, false };
	unsigned which = search->which;

	if (which & (HOLDERS_MOUNTS | HOLDERS_DESCRIPTORS)) {
		if (s->live)
			tmpfs_read(s, search, to);
		else
			saved_holders_read(s, to);
		sysv_read(s, to, &b);
	}
	if (which & HOLDERS_SLAB)
		slabs_read(s, to, &b);
	if (which & HOLDERS_VMALLOC)
		vmalloc_read(s, to, &b);
	if (which & HOLDERS_HUGE_PAGES)
		unused_read(s, m, to, &b);
	if (which & HOLDERS_KERNEL_OTHER)
		kernel_other_read(s, m, system, to, &b);
	free(b.text);
}

/* ---- 13. Users ---- */

static int
user_uid_compare(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static int
user_name_compare(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* alice:x:1000:...: cuts LINE into U. False: it is no such line. */
static bool
passwd_line_parse(struct user *u, char *line)
{
	char *colon = strchr(line, ':'), *uid = colon ? strchr(colon + 1, ':') : NULL;

	if (!uid || colon == line || !strchr(uid + 1, ':') || (u->uid = number(uid + 1)) == UNKNOWN)
		return false;
	*colon = '\0';
	u->name = line;
	return true;
}

/* Reads etc/passwd of S once. It is not saved as a whole, see save_users. */
static void
passwd_read(const struct source *s)
{
	struct users *all = s->users;
	struct buf b = { NULL, 0, 0, false };
	struct dir root = s->root;
	char *at, *line;

	if (all->passwd_read)
		return;
	all->passwd_read = true;
	root.save = NULL;
	if (file_read(&b, &root, "etc/passwd", MACHINE_FILE_SIZE_MAX, false) < 0) {
		all->denied = errno != ENOENT;
		free(b.text);
		return;
	}
	all->passwd = at = b.text;
	while ((line = line_next(&at))) {
		struct user parsed = { .next = all->lines }, *u;

		if (!passwd_line_parse(&parsed, line) || !(u = malloc(sizeof *u)))
			continue;
		*u = parsed;
		all->lines = u;
		tsearch(u, &all->by_uid, user_uid_compare);	/* the first line of a uid or a name counts */
		tsearch(u, &all->by_name, user_name_compare);
	}
}

/* The user that is equal to KEY in TREE, or NULL. */
static const struct user *
user_find(void *const *tree, const struct user *key, int (*compare)(const void *, const void *))
{
	struct user *const *node = tfind(key, tree, compare);

	return node ? *node : NULL;
}

/* A question to the name service, and its answer. */
struct lookup {
	bool by_name, found;
	uid_t uid;
	char name[256];
};

static void
lookup_run(void *arg)
{
	struct lookup *l = arg;
	struct passwd *pw = l->by_name ? getpwnam(l->name) : getpwuid(l->uid);

	l->found = pw && *pw->pw_name;
	if (!l->found)
		return;
	l->uid = pw->pw_uid;
	snprintf(l->name, sizeof l->name, "%s", pw->pw_name);
}

/* Asks the name service for NAME, or if that is NULL for UID, unless it timed out before. The answer is
 * the caller's. NULL with errno: ENOENT: there is no such user; ETIMEDOUT; ENOMEM. */
static struct lookup *
user_lookup(const struct source *s, const char *name, int64_t uid)
{
	struct lookup *l = s->users->timed_out ? NULL : calloc(1, sizeof *l);

	if (!l) {
		errno = s->users->timed_out ? ETIMEDOUT : ENOMEM;
		return NULL;
	}
	l->by_name = name != NULL;
	l->uid = (uid_t)uid;
	snprintf(l->name, sizeof l->name, "%s", name ? name : "");
	if (call_with_timeout(lookup_run, l, s->timeout) < 0) {
		if (errno == ETIMEDOUT)
			s->users->timed_out = true;	/* the thread owns l */
		else
			free(l);
		return NULL;
	}
	if (l->found)
		return l;
	free(l);
	errno = ENOENT;
	return NULL;
}

/* The name of UID, or UID as text, in memory of its own. NULL: no memory. */
static const char *
uid_text(const struct source *s, int64_t uid)
{
	const struct user key = { .uid = uid }, *u;
	struct lookup *l = NULL;
	char *text;

	if (s->here && (l = user_lookup(s, NULL, uid)))
		return l->name;
	if (!s->here) {
		passwd_read(s);
		if ((u = user_find(&s->users->by_uid, &key, user_uid_compare)))
			return u->name;
	}
	return asprintf(&text, "%lld", (long long)uid) < 0 ? NULL : text;
}

const char *
user_name(const struct source *s, int64_t uid)
{
	struct users *all = s->users;
	struct user *u, **node;

	if (uid == UNKNOWN || !(u = calloc(1, sizeof *u)))
		return NULL;
	u->uid = uid;
	node = tsearch(u, &all->seen, user_uid_compare);
	if (!node || *node != u) {
		free(u);
		return node ? (*node)->name : NULL;
	}
	u->name = uid_text(s, uid);
	u->next = all->list;
	all->list = u;
	return u->name;
}

int64_t
user_id(const struct source *s, const char *name)
{
	const struct user key = { .name = name }, *u;
	struct lookup *l;
	int64_t uid;

	if (s->here) {
		l = user_lookup(s, name, 0);
		uid = l ? (int64_t)l->uid : UNKNOWN;
		free(l);
		return uid;
	}
	passwd_read(s);
	u = user_find(&s->users->by_name, &key, user_name_compare);
	errno = ENOENT;
	return u ? u->uid : UNKNOWN;
}

/* ---- 14. --save ---- */

/* Of what is read, all but these is saved; these only where the report reads them. */
#define SAVED_IF_READ	(MAPS | NUMA_MAPS | SMAPS)

#define SAVE_WRITE_SIZE	(1u << 18)	/* bytes that a reader collects before it writes */
#define NOT_SAVED	SIZE_MAX

/* The archive. Readers append whole processes, each at an offset of its own. Signal handlers and atexit
 * need it. */
static struct {
	int fd;
	const char *name;
	char *temporary;
	bool exists;			/* the temporary file */
	pthread_mutex_t lock;		/* of: */
	off_t end;
	_Atomic int error;		/* the first errno */
	struct save_buffer machine;	/* what the main thread has read */
	struct buf lines;		/* of the description */
	bool holders;			/* what is known of them is saved */
} saved = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

/* N as DIGITS octal digits. snprintf takes eleven times as long, and a saved process has ten headers. */
static void
octal_format(char *to, size_t digits, uint64_t n)
{
	for (; digits > 0; n >>= 3)
		to[--digits] = (char)('0' + (n & 7));
}

/* Ends the member whose header stands at AT: what was added since is its content. */
static void
member_end(struct buf *b, size_t at)
{
	static const char zeros[BLOCK];
	struct header h;

	if (b->failed || b->len < at + sizeof h)
		return;
	memcpy(&h, b->text + at, sizeof h);
	octal_format(h.size, sizeof h.size - 1, b->len - at - sizeof h);
	octal_format(h.sum, sizeof h.sum - 2, header_sum(&h));
	memcpy(b->text + at, &h, sizeof h);
	buf_add(b, zeros, (BLOCK - b->len % BLOCK) % BLOCK);
}

/* A name or link of over 100 bytes stands in a member of its own before, as GNU tar writes it: TYPE is L
 * or K. */
static void
long_name_add(struct buf *b, const char *name, char type)
{
	struct header h = { .name = "././@LongLink", .mode = "0000644", .uid = "0000000", .gid = "0000000",
		.mtime = "00000000000", .type = type, .magic = "ustar", .version = "00" };
	size_t at = b->len;

	buf_add(b, &h, sizeof h);
	buf_add(b, name, strlen(name) + 1);
	member_end(b, at);
}

/* Begins a member of B. Returns where, for member_end. */
static size_t
member_begin(struct buf *b, const char *name, char type, const char *link, bool denied)
{
	struct header h = { .mode = "0000600", .uid = "0000000", .gid = "0000000", .type = type,
		.magic = "ustar", .version = "00" };
	size_t at;

	if (denied)
		memcpy(h.mode, "0000000", 7);
	else if (type == '5')
		memcpy(h.mode, "0000700", 7);
	octal_format(h.mtime, sizeof h.mtime - 1, (uint64_t)time(NULL));
	if (link && strlen(link) > sizeof h.link)
		long_name_add(b, link, 'K');
	if (link)
		memcpy(h.link, link, strnlen(link, sizeof h.link));
	if (strlen(name) > sizeof h.name)
		long_name_add(b, name, 'L');
	memcpy(h.name, name, strnlen(name, sizeof h.name));
	at = b->len;
	buf_add(b, &h, sizeof h);
	return at;
}

static int
name_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Adds NAME to a set of names. False: it was there. */
static bool
names_add(void **names, const char *name)
{
	char *key = strdup(name);
	char *const *node = key ? tsearch(key, names, name_compare) : NULL;

	if (node && *node != key)
		free(key);
	return !node || *node == key;
}

/* True if what is read of NAME in IN is to be saved, and was not yet: its name in the archive is put in
 * PATH. */
static bool
save_wanted(const struct dir *in, const char *name, char path[PATH_MAX])
{
	return in->save && snprintf(path, PATH_MAX, "%s%s", in->path, name) < PATH_MAX &&
	    names_add(&in->save->names, path);
}

static void
save_file(const struct dir *in, const char *name, const struct buf *b)
{
	size_t member = save_begin_file(in, name);

	save_bytes(in, member, b->text, b->len);
	save_end_file(in, member, 0);
}

/* Saves a member without content. */
static void
save_empty(const struct dir *in, const char *name, char type, const char *link, bool denied)
{
	char path[PATH_MAX];

	if (save_wanted(in, name, path))
		member_end(&in->save->tar, member_begin(&in->save->tar, path, type, link, denied));
}

/* Saves that NAME exists and could not be read. Keeps errno. */
static void
save_error(const struct dir *in, const char *name, int error)
{
	if (!is_missing(error) && error != EISDIR)
		save_empty(in, name, '0', NULL, true);
	errno = error;
}

static void
save_link(const struct dir *in, const char *name, const char *target, size_t n)
{
	char link[PATH_MAX];

	snprintf(link, sizeof link, "%.*s", (int)n, target);
	save_empty(in, name, '2', link, false);
}

static void
save_dir(const struct dir *in, const char *name)
{
	save_empty(in, name, '5', NULL, false);
}

/* Begins to save a file that is read in pieces. Returns its place for save_bytes and save_end_file. */
static size_t
save_begin_file(const struct dir *in, const char *name)
{
	char path[PATH_MAX];

	return save_wanted(in, name, path) ? member_begin(&in->save->tar, path, '0', NULL, false) : NOT_SAVED;
}

static void
save_bytes(const struct dir *in, size_t member, const char *bytes, size_t n)
{
	if (member != NOT_SAVED)
		buf_add(&in->save->tar, bytes, n);
}

/* ERROR: the errno of the read that failed, or 0. The file is then saved as one that could not be read. */
static void
save_end_file(const struct dir *in, size_t member, int error)
{
	struct buf *b;

	if (member == NOT_SAVED)
		return;
	b = &in->save->tar;
	if (error && error != EFBIG && !b->failed) {
		memcpy(b->text + member + offsetof(struct header, mode), "0000000", 7);
		b->len = member + sizeof(struct header);
	}
	member_end(b, member);
}

/* Empties S for the next process. */
static void
save_buffer_clear(struct save_buffer *s)
{
	tdestroy(s->names, free);
	s->names = NULL;
	s->tar.len = 0;
}

/* Writes members to the archive, and empties B. The first error is kept. */
static void
save_write(struct buf *b)
{
	size_t done = 0;
	off_t at;

	if (b->failed)
		saved.error = ENOMEM;
	pthread_mutex_lock(&saved.lock);
	at = saved.end;
	saved.end += (off_t)b->len;
	pthread_mutex_unlock(&saved.lock);
	while (done < b->len && !saved.error) {
		ssize_t n = pwrite(saved.fd, b->text + done, b->len - done, at + (off_t)done);

		if (n < 0 && errno != EINTR)
			saved.error = errno;
		done += n > 0 ? (size_t)n : 0;
	}
	b->len = 0;
}

/* Adds what R has saved of its process to what is written together. */
static void
save_process(struct reader *r)
{
	buf_add(&r->unwritten, r->save.tar.text, r->save.tar.len);
	r->unwritten.failed = r->unwritten.failed || r->save.tar.failed;
	if (r->unwritten.len > SAVE_WRITE_SIZE || r->unwritten.failed)
		save_write(&r->unwritten);
}

/* True if NAME in IN is saved already. */
static bool
is_saved(const struct dir *in, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s%s", in->path, name);
	return tfind(path, &in->save->names, name_compare) != NULL;
}

/* Saves the files of the process that the report did not read. An empty directory stands for one that
 * vanished. */
static void
save_other_files(struct reader *r, const struct proc *p)
{
	char name[24];

	if (p->outcome == VANISHED) {
		struct dir proc = r->scan->from->proc;

		save_buffer_clear(&r->save);
		proc.save = &r->save;
		snprintf(name, sizeof name, "%lld", (long long)p->pid);
		save_dir(&proc, name);
		return;
	}
	for (size_t i = 0; i < NFILES; i++) {
		const struct file *f = &files[i];

		if (f->source & SAVED_IF_READ || is_saved(&r->dir, f->name))
			continue;
		if (p->over_max_rss && f->source & SRC_EXPENSIVE)
			continue;
		if (f->source == EXE) {
			if (buf_grow(&r->buf, EXE_SIZE_MAX) == 0)
				link_read(&r->dir, f->name, r->buf.text, r->buf.size);
		} else if (file_read(&r->buf, &r->dir, f->name, CMDLINE_SIZE_MAX, true) < 0) {
			if (f->source == ROLLUP && errno == ENOENT)
				file_lines(r, "smaps", NULL, NULL);
		}
	}
}

/* Saves a process whose directory could not be opened. */
static void
save_denied(struct reader *r, const struct proc *p)
{
	struct dir proc = r->scan->from->proc;
	char name[64];

	if (p->outcome == VANISHED)
		save_other_files(r, p);
	proc.save = &r->save;
	for (size_t i = 0; i < NFILES && p->outcome == DENIED; i++) {
		if (files[i].source & SAVED_IF_READ)
			continue;
		snprintf(name, sizeof name, "%lld/%s", (long long)p->pid, files[i].name);
		save_empty(&proc, name, '0', NULL, true);
	}
}

void
save_abort(void)
{
	if (saved.exists)
		unlink(saved.temporary);
}

static void
save_interrupted(int signal_number)
{
	save_abort();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int
save_start(const char *name)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	sigset_t all, before;
	struct stat st;

	saved.name = name;
	if (lstat(name, &st) == 0)
		errno = EEXIST;
	if (errno != ENOENT || asprintf(&saved.temporary, "%s.XXXXXX", name) < 0)
		return -1;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (signal(signals[i], save_interrupted) == SIG_IGN)
			signal(signals[i], SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);		/* no signal finds the file, but not its name */
	saved.fd = mkostemp(saved.temporary, O_CLOEXEC);	/* O_EXCL, mode 0600 */
	saved.exists = saved.fd >= 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (saved.fd < 0)
		return -1;
	signal(SIGXFSZ, SIG_IGN);		/* the write fails with EFBIG */
	return atexit(save_abort) ? -1 : 0;
}

void
save_source(struct source *s, bool on)
{
	s->proc.save = s->root.save = on ? &saved.machine : NULL;
}

/* Adds a line to the description. */
static void
save_line(const char *line)
{
	buf_printf(&saved.lines, "%s", line);
}

static void
save_holders_done(void)
{
	saved.holders = true;
}

void
save_same_mm(const struct proc *procs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (procs[i].same_mm)
			buf_printf(&saved.lines, "twin %lld %d\n", (long long)procs[i].pid, procs[i].same_mm);
}

/* Adds the member "memz": its version, and what no file of /proc says. */
static void
save_description(const struct source *s, const struct machine *m, const struct proc *procs, size_t n)
{
	struct buf *b = &saved.machine.tar;
	size_t at = member_begin(b, "memz", '0', NULL, false);

	buf_printf(b, "memz %s\npage_size %lld\nself %d\n", MEMZ_VERSION, (long long)s->page, source_self(s));
	if (!isnan(m->now))
		buf_printf(b, "time %.6f\n", m->now);
	buf_add(b, saved.lines.text, saved.lines.len);
	for (size_t i = 0; i < n; i++)
		if (procs[i].outcome == STALLED)
			buf_printf(b, "stalled %lld\n", (long long)procs[i].pid);
		else if (procs[i].outcome == VANISHED)
			buf_printf(b, "vanished %lld\n", (long long)procs[i].pid);
	member_end(b, at);
}

/* Adds etc/passwd with the users that were looked up. */
static void
save_users(const struct source *s, const struct proc *procs, size_t n)
{
	struct buf *b = &saved.machine.tar;
	size_t at;

	for (size_t i = 0; i < n; i++)
		if (procs[i].outcome != VANISHED)
			user_name(s, procs[i].uid);
	at = member_begin(b, "etc/passwd", '0', NULL, s->users->denied);
	for (const struct user *u = s->users->list; u && !s->users->denied; u = u->next)
		if (u->name)
			buf_printf(b, "%s:x:%lld:::/:\n", u->name, (long long)u->uid);
	member_end(b, at);
}

/* Saves the files of the machine that the report has not read. */
static void
save_machine(const struct source *s, const struct machine *m, const struct proc *procs, size_t n)
{
	static const char *const names[] = {
		"stat", "uptime", "version",
		"sys/kernel/osrelease", "sys/kernel/hostname", "sys/kernel/random/boot_id",
	};
	static struct system system;		/* freed with the program */
	struct buf b = { NULL, 0, 0, false };
	struct cgroups *groups = cgroups_open(s);
	struct holder_search search = { .which = ~0u, .procs = procs, .nprocs = n, .timeout = s->timeout };
	int64_t shmem = counter_get(&m->memory, "shmem");
	struct holders ignored = { NULL, 0, 0 };

	if (shmem < m->mem_total / 100)		/* -w looks for its holders from 1 % on */
		search.which = ~(unsigned)HOLDERS_DESCRIPTORS;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		file_read(&b, &s->proc, names[i], MACHINE_FILE_SIZE_MAX, false);
	mounts_read(s, &b);
	free(b.text);
	system_read(s, &system);
	if (!saved.holders)
		holders_read(s, m, &system, &search, &ignored);
	holders_free(&ignored);
	if (!groups)
		return;
	cgroups_find_all(groups);
	for (size_t i = 0; i < groups->n; i++)
		cgroup_files_save(groups, groups->list[i]);
	for (size_t i = 0; i < n; i++)
		if (procs[i].cgroup)
			cgroup_files_save(groups, cgroup_by_path(groups, procs[i].cgroup));
	cgroups_free(groups);
}

/* Gives the archive its name, unless a file of that name exists by now. */
static int
save_rename(void)
{
	const unsigned no_replace = 1;		/* RENAME_NOREPLACE, linux/fs.h */

	if (syscall(SYS_renameat2, AT_FDCWD, saved.temporary, AT_FDCWD, saved.name, no_replace) == 0)
		return 0;
	if ((errno != EINVAL && errno != ENOSYS) || link(saved.temporary, saved.name) < 0)
		return -1;
	unlink(saved.temporary);
	return 0;
}

int
save_finish(struct source *s, const struct machine *m, const struct proc *procs, size_t n)
{
	static const char zeros[2 * BLOCK];

	save_machine(s, m, procs, n);
	save_source(s, false);
	save_description(s, m, procs, n);
	save_users(s, procs, n);
	buf_add(&saved.machine.tar, zeros, sizeof zeros);
	save_write(&saved.machine.tar);
	if (!saved.error && (fsync(saved.fd) < 0 || close(saved.fd) < 0 || save_rename() < 0))
		saved.error = errno;
	if (saved.error)
		save_abort();
	saved.exists = false;
	errno = saved.error;
	return saved.error ? -1 : 0;
}
