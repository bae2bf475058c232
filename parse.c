/* parse.c: bytes to numbers. Reads /proc, live or saved; knows no options and prints nothing. */
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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PROC_MAGIC	0x9fa0		/* statfs of a procfs, linux/magic.h */
#define PF_KTHREAD	0x00200000	/* flags in stat, linux/sched.h */
#define KCMP_VM		1		/* linux/kcmp.h, which musl's wrapper does not see */
#define COMM_CUT	15		/* TASK_COMM_LEN without its NUL */
#define FILE_MAX	(1u << 20)	/* no file of a process is as long, */
#define CMDLINE_MAX	(1u << 26)	/* but for its command line */
#define READERS_MAX	1024		/* threads at a time, those included that wait for stuck processes */
#define FIGURES_MAX	512		/* of /proc/meminfo, which has 56 */
#define BLOCKS_MAX	(1u << 18)	/* written at once */
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

struct buf {
	char *text;
	size_t len, size;
};

/* A member of a tar archive. */
struct member {
	const char *name;	/* from the root on: proc/812/statm */
	const char *data;
	size_t size;
	const char *link;	/* of a symbolic or hard link, or NULL */
	char type;		/* as in the archive: 0 a file, 1 hard link, 2 symbolic link, 5 directory */
	bool refused;		/* mode 0: the file was there, and could not be read */
};

/* A tar archive, mapped: its members by name. */
struct archive {
	const char *map;
	size_t size;
	struct member *members;
	size_t n, xrealloc;
	size_t damaged;		/* the first byte that is no archive any more, 0: none */
	size_t unsafe;		/* members passed over, for names that lead out of the archive */
	bool no_proc_prefix;		/* what is called proc/ here was the root there */
};

/* A file being read. */
struct stream {
	int fd;			/* -1: */
	const char *at;		/* from memory, */
	size_t left;		/* so many bytes */
};

/* Texts of one reader, packed; they live as long as the program. Each piece begins with the place of the one before, so
 * that none is lost to a leak checker when its texts are no longer wanted. */
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

/* What a reader does. One that waits too long in a call of the kernel is left there, and touches nothing any more. */
enum doing { IDLE, WORKING, WAITING, ABANDONED };

struct reader {
	struct reader *next;
	pthread_t thread;
	clockid_t clock;		/* its CPU time */
	_Atomic int doing;
	atomic_uint turns;		/* processes it has begun */
	_Atomic int tid;
	bool busy;			/* has a thread; this and the next three are the main thread's */
	unsigned turn;			/* when last looked at: turns, */
	struct timespec cpu;		/* CPU time, */
	double since;			/* and since when both are as they are */
	const struct scan *scan;
	size_t item;			/* of the pass */
	struct proc work;		/* the process being read: nobody else's until it is done */
	struct buf buf;
	struct buf block;		/* its files as members of an archive, if it is to be saved */
	size_t complete;			/* so much of it is whole members */
	struct buf blocks;		/* of those before it, which are still to be written */
	struct arena texts;
	struct dir dir;		/* /proc/PID of the process being read, or below it task/TID */
	unsigned missing;			/* sources that said: no such file, no such process */
	unsigned enoent;		/* of these: no such file */
	int tgid;			/* Tgid of status, if it is not the pid */
	bool empty;			/* statm is all zero: no memory at all */
	bool was_empty;			/* a file that most have something in had nothing in it */
	bool via_thread;			/* dir is a thread's: the process itself has ended but for its threads */
	bool named;			/* comm is of this process: */
	char comm[4 * COMM_CUT + 4];	/* as stat has it; kernel workers have longer ones */
	struct node_pages *nodes;
	size_t nnodes, nodes_size;
	bool partial;			/* one of them is unknown */
	struct table mappings;		/* of the processes read */
	struct table fresh;		/* of the one being read */
	struct group_row vma;			/* the mapping being read */
	char vma_name[4 * PATH_MAX];
	unsigned vma_dev[2];
	bool in_vma, vma_huge;
	size_t opened[32];
};

size_t files_opened[32];

static struct reader *readers;		/* all there ever were */
static _Thread_local struct reader *this_reader;	/* whose thread this is; NULL: the main one */
static struct proc unknown_proc;		/* every number unknown */

/* What is being saved. Readers append whole processes, each at a place of its own. */
static struct {
	int fd;
	const char *name;
	char *temporary;
	bool is_there;			/* temporary is */
	pthread_mutex_t lock;		/* for the next: */
	off_t end;
	_Atomic int error;		/* the first errno */
	struct buf block;		/* what the main thread has read */
	struct buf twins;		/* lines of the description */
} saved = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

/* Where what this thread reads is kept as well, NULL: nowhere. */
static _Thread_local struct buf *keeping;

/* Of --save, below. */
static bool to_keep(const struct dir *in, const char *name, char to[PATH_MAX]);
static size_t member_begin(struct buf *b, const char *name, char type, const char *link, bool refused);
static void member_end(struct buf *b, size_t at);
static void save_file(const struct dir *in, const char *name, const struct buf *b, int error);
static void save_rest(struct reader *r, const struct proc *p);
static void save_denied(struct reader *r, const struct proc *p);
static void saved_append(struct buf *b);

/* ---- 1. Numbers, texts, arrays ---- */

int64_t
kib_add(int64_t a, int64_t b)
{
	if (a == UNKNOWN || b == UNKNOWN)
		return a == UNKNOWN ? b : a;
	if (b > 0 ? a > INT64_MAX - b : a < -INT64_MAX - b)
		return b > 0 ? INT64_MAX : -INT64_MAX;
	return a + b;
}

int64_t
kib_sub(int64_t a, int64_t b)
{
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : kib_add(a, -b);
}

static int64_t
both(int64_t a, int64_t b)
{
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : kib_add(a, b);
}

/* The digits at *AT, of base 10 or 16, as a number, or the greatest there is if it is greater; *AT is then behind them. */
static unsigned
digits_parse(const char **at, unsigned base)
{
	unsigned n = 0;

	for (; base == 16 ? isxdigit((unsigned char)**at) : isdigit((unsigned char)**at); ++*at) {
		unsigned digit = (unsigned)(isdigit((unsigned char)**at) ? **at - '0' : tolower((unsigned char)**at) - 'a' + 10);

		n = n > (UINT_MAX - digit) / base ? UINT_MAX : base * n + digit;
	}
	return n;
}

/* The word of digits at S, after blanks; no digits, others among them, or more than 63 bits: unknown. */
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
	return !*s || strchr(" \t\n:=,", *s) ? n : UNKNOWN;
}

static int64_t
signed_number(const char *s)
{
	s += strspn(s, " \t");
	return *s == '-' ? kib_sub(0, number(s + 1)) : number(s);
}

static int64_t
pages(int64_t n, const struct source *s)
{
	int64_t bytes;

	if (n == UNKNOWN || __builtin_mul_overflow(n, s->page, &bytes))
		return UNKNOWN;
	return bytes / 1024;
}

/* The errors of files that are not there, any more or at all. */
static bool
is_missing(int error)
{
	return error == ENOENT || error == ESRCH || error == ENOTDIR;
}

static bool
starts(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

static int
buf_grow(struct buf *b, size_t size)
{
	char *text;

	if (size <= b->size)
		return 0;
	text = realloc(b->text, size);
	if (!text)
		return -1;
	b->text = text;
	b->size = size;
	return 0;
}

static bool
buf_add(struct buf *b, const void *data, size_t n)
{
	if (n == 0)
		return true;
	if (b->size - b->len < n && buf_grow(b, 2 * b->size + n) < 0) {
		saved.error = ENOMEM;
		return false;
	}
	memcpy(b->text + b->len, data, n);
	b->len += n;
	return true;
}

/* N bytes of TEXT, kept; NULL: no memory. */
static const char *
text_intern(struct arena *a, const char *text, size_t n)
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
	size_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;

	*c = n < 2 ? u[0] : u[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (u[i] & 0x3fu);
	}
	return n > 0 && *c >= least[n] && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff) ? n : 0;
}

#define YEAR_10000	253402300800	/* seconds since the epoch */

const char *
time_text(int64_t seconds, char *buf)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds < 0 || seconds >= YEAR_10000 || !gmtime_r(&t, &tm))
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

/* A new column is a member of struct proc and a row here. In the order of the kernel's files. */
const struct column columns[] = {
	/* name               key                 source            kind          where                 at most       help */
	{ "pid",              NULL,               0,                ID,           AT(pid),              0,            "process id" },
	{ "ppid",             NULL,               STAT,             ID,           AT(ppid),             0,            "process id of the parent" },
	{ "uid",              NULL,               OWNER,            ID,           AT(uid),              0,            "effective user id" },
	{ "user",             NULL,               OWNER | USER,     TEXT,         AT(user),             0,            "name of the effective user, or the uid" },
	{ "name",             NULL,               COMM,             TEXT,         AT(name),             0,            "name of the program; where the kernel cut it at 15 bytes, completed" },
	{ "command",          NULL,               CMDLINE,          TEXT,         AT(command),          0,            "full command line; [name] where it is empty" },
	{ "exe",              NULL,               EXE,              TEXT,         AT(exe),              0,            "path of the program file" },
	{ "state",            NULL,               STAT,             TEXT,         AT(state),            0,            "R running, S sleeping, D waiting, T stopped, Z zombie, I idle" },
	{ "threads",          NULL,               STAT,             COUNT,        AT(threads),          0,            "number of threads" },
	{ "start",            NULL,               STAT,             TIME,         AT(start),            0,            "when the process started (UTC)" },
	{ "cgroup",           NULL,               CGROUP,           TEXT,         AT(cgroup),           0,            "path of the control group; the memory controller's if it has one" },
	{ "unit",             NULL,               CGROUP,           TEXT,         AT(unit),             0,            "systemd service or scope" },
	{ "container",        NULL,               CGROUP,           TEXT,         AT(container),        0,            "short id of the container, or its name" },
	{ "ancestry",         NULL,               STAT | COMM | ANCESTRY, TEXT,  AT(ancestry),         0,            "names of the parents and of the process: systemd;sshd;bash" },
	{ "oom_score",        NULL,               OOM_SCORE,        SCORE,        AT(oom_score),        0,            "how soon the OOM killer takes it, 0 to 2000" },
	{ "oom_score_adj",    NULL,               OOM_ADJ,          SCORE,        AT(oom_score_adj),    0,            "what was added to that score, -1000 to 1000" },
	{ "bar",              NULL,               MACHINE,          BAR,          0,                    0,            "share of the largest in what the report is sorted by, drawn; a percentage in CSV and JSON" },
	{ "time",             NULL,               MACHINE,          TEXT,         OF(time),             0,            "when the walk was made (UTC)" },
	{ "host",             NULL,               MACHINE,          TEXT,         OF(host),             0,            "name of the machine" },
	{ "vsz",              NULL,               STATM,            KIB,          AT(vsz),              0,            "address space, used or not" },
	{ "rss",              "Rss",              RSS,              KIB,          AT(rss),              AT(rss),      "resident set size: shared pages count in full" },
	{ "minflt",           NULL,               STAT,             COUNT,        AT(minflt),           0,            "page faults served without reading from disk" },
	{ "majflt",           NULL,               STAT,             COUNT,        AT(majflt),           0,            "page faults that read from disk or swap" },
	{ "pss",              "Pss",              ROLLUP,           KIB,          AT(pss),              AT(rss),      "proportional set size: shared pages divided among their users" },
	{ "pss_dirty",        "Pss_Dirty",        ROLLUP,           KIB,          AT(pss_dirty),        AT(rss),      "dirty pages in pss" },
	{ "pss_anon",         "Pss_Anon",         ROLLUP,           KIB,          AT(pss_anon),         AT(rss_anon), "anonymous pages in pss" },
	{ "pss_file",         "Pss_File",         ROLLUP,           KIB,          AT(pss_file),         AT(rss),      "file pages in pss" },
	{ "pss_shmem",        "Pss_Shmem",        ROLLUP,           KIB,          AT(pss_shmem),        AT(rss),      "shared memory and tmpfs pages in pss" },
	{ "shared_clean",     "Shared_Clean",     ROLLUP,           KIB,          AT(shared_clean),     AT(rss),      "clean pages that others map too" },
	{ "shared_dirty",     "Shared_Dirty",     ROLLUP,           KIB,          AT(shared_dirty),     AT(rss),      "dirty pages that others map too" },
	{ "private_clean",    "Private_Clean",    ROLLUP,           KIB,          AT(private_clean),    AT(rss),      "clean pages that no other process maps" },
	{ "private_dirty",    "Private_Dirty",    ROLLUP,           KIB,          AT(private_dirty),    AT(rss),      "dirty pages that no other process maps" },
	{ "referenced",       "Referenced",       ROLLUP,           KIB,          AT(referenced),       AT(rss),      "pages marked as accessed" },
	{ "anonymous",        "Anonymous",        ROLLUP,           KIB,          AT(anonymous),        AT(rss_anon), "pages that belong to no file" },
	{ "ksm",              "KSM",              ROLLUP,           KIB,          AT(ksm),              AT(rss_anon), "pages merged by KSM" },
	{ "lazy_free",        "LazyFree",         ROLLUP,           KIB,          AT(lazy_free),        AT(rss_anon), "pages given back with MADV_FREE and not yet taken" },
	{ "anon_huge_pages",  "AnonHugePages",    ROLLUP,           KIB,          AT(anon_huge_pages),  AT(rss_anon), "anonymous memory in transparent huge pages" },
	{ "shmem_pmd_mapped", "ShmemPmdMapped",   ROLLUP,           KIB,          AT(shmem_pmd_mapped), AT(rss),      "shared memory mapped by huge pages" },
	{ "file_pmd_mapped",  "FilePmdMapped",    ROLLUP,           KIB,          AT(file_pmd_mapped),  AT(rss),      "file pages mapped by huge pages" },
	{ "shared_hugetlb",   "Shared_Hugetlb",   ROLLUP,           KIB,          AT(shared_hugetlb),   0,            "hugetlbfs pages that others map too; not in rss" },
	{ "private_hugetlb",  "Private_Hugetlb",  ROLLUP,           KIB,          AT(private_hugetlb),  0,            "hugetlbfs pages of its own; not in rss" },
	{ "swap",             "Swap",             ROLLUP,           SWAP_KIB,     AT(swap),             0,            "swapped out; shared swap counts in full" },
	{ "swap_pss",         "SwapPss",          ROLLUP,           SWAP_KIB,     AT(swap_pss),         0,            "proportional share of what is swapped out" },
	{ "locked",           "Locked",           ROLLUP,           KIB,          AT(locked),           AT(rss),      "locked in memory (proportional)" },
	{ "uss",              NULL,               ROLLUP,           KIB,          AT(uss),              AT(rss),      "unique set size: freed if this process alone ended" },
	{ "shared",           NULL,               ROLLUP,           KIB,          AT(shared),           AT(rss),      "pages that others map too, in full" },
	{ "thp",              NULL,               ROLLUP,           KIB,          AT(thp),              AT(rss),      "memory in transparent huge pages of any kind" },
	{ "hugetlb",          NULL,               ROLLUP,           KIB,          AT(hugetlb),          0,            "hugetlbfs pages; not in rss" },
	{ "pss_swap",         NULL,               ROLLUP,           KIB,          AT(pss_swap),         0,            "pss and swap_pss together" },
	{ "pss_pct",          NULL,               ROLLUP,           PERCENT,      AT(pss),              AT(rss),      "pss in percent of the machine's memory" },
	{ "rss_pct",          NULL,               RSS,              PERCENT,      AT(rss),              AT(rss),      "rss in percent of the machine's memory" },
	{ "uss_pct",          NULL,               ROLLUP,           PERCENT,      AT(uss),              AT(rss),      "uss in percent of the machine's memory" },
	{ "swap_pct",         NULL,               ROLLUP,           SWAP_PERCENT, AT(swap),             0,            "swap in percent of the machine's swap" },
	{ "vm_peak",          "VmPeak",           STATUS,           PEAK,         AT(vm_peak),          0,            "largest vsz so far" },
	{ "vm_hwm",           "VmHWM",            STATUS,           PEAK,         AT(vm_hwm),           0,            "largest rss so far" },
	{ "rss_anon",         "RssAnon",          STATUS,           KIB,          AT(rss_anon),         0,            "anonymous part of rss" },
	{ "rss_file",         "RssFile",          STATUS,           KIB,          AT(rss_file),         0,            "file part of rss" },
	{ "rss_shmem",        "RssShmem",         STATUS,           KIB,          AT(rss_shmem),        0,            "shared memory part of rss" },
	{ "vm_data",          "VmData",           STATUS,           KIB,          AT(vm_data),          0,            "address space for data" },
	{ "vm_stk",           "VmStk",            STATUS,           KIB,          AT(vm_stk),           0,            "address space for stacks" },
	{ "vm_exe",           "VmExe",            STATUS,           KIB,          AT(vm_exe),           0,            "address space for the program's code" },
	{ "vm_lib",           "VmLib",            STATUS,           KIB,          AT(vm_lib),           0,            "address space for libraries' code" },
	{ "vm_pte",           "VmPTE",            STATUS,           KIB,          AT(vm_pte),           0,            "page tables, the kernel's memory" },
	{ "vm_swap",          "VmSwap",           STATUS,           SWAP_KIB,     AT(vm_swap),          0,            "swapped out, without shared memory" },
	{ "maps",             NULL,               MAPS,             COUNT,        AT(maps),             0,            "number of mappings" },
	{ "numa",             NULL,               NUMA_MAPS,        NODES,        AT(numa),             0,            "resident KiB by NUMA node" },
	{ "change",           NULL,               CHANGE,            TEXT,         AT(change),           0,            "new, gone or same since the first walk" },
	{ "count",            NULL,               GROUP,            COUNT,        IN(count),            0,            "processes in the group" },
	{ "cg_usage",         NULL,               MEMCG,           KIB,          IN(cg_usage),         0,            "what the memory controller charges to the cgroup" },
	{ "cg_limit",         NULL,               MEMCG,           KIB,          IN(cg_limit),         0,            "the lowest limit of the cgroup and those above it" },
	{ "cg_pct",           NULL,               MEMCG,           MILLIONTHS,   IN(cg_pct),           0,            "cg_usage in percent of cg_limit" },
	{ "cg_swap",          NULL,               MEMCG,           SWAP_KIB,     IN(cg_swap),          0,            "swap that is charged to the cgroup" },
	{ "mapping",          NULL,               SMAPS,          TEXT,         IN(mapping),          0,            "path or [name] of what is mapped; [anon] without a name" },
	{ "kind",             NULL,               SMAPS,          TEXT,         IN(kind),             0,            "heap, stack, anon, file, shm, hugetlb, vdso or other" },
	{ "procs",            NULL,               SMAPS,          SCORE,        IN(procs),            0,            "processes that map it" },
	{ NULL, NULL, 0, TEXT, 0, 0, NULL },
};
#define NCOLUMNS (sizeof columns / sizeof *columns - 1)

const struct column *
column_by_key(const char *key, size_t len, unsigned sources, size_t *hint)
{
	for (size_t i = 0; i < NCOLUMNS; i++) {
		size_t at = (*hint + i) % NCOLUMNS;
		const struct column *c = &columns[at];

		if (c->source & sources && c->key && strncmp(c->key, key, len) == 0 && !c->key[len]) {
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

static bool
ends(const char *name, size_t *len, const char *suffix)
{
	size_t n = strlen(suffix);

	if (*len <= n || strncasecmp(name + *len - n, suffix, n) != 0)
		return false;
	*len -= n;
	return true;
}

bool
field_by_name(const char *name, size_t len, struct field *field)
{
	field->how = ends(name, &len, "_delta") ? DELTA : ends(name, &len, "_rate") ? RATE : VALUE;
	field->up = false;
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

void
group_row_init(struct group_row *row)
{
	*row = (struct group_row){ .sum = unknown_proc, .procs = UNKNOWN, .pss_rss = UNKNOWN, .cg_usage = UNKNOWN, .cg_limit = UNKNOWN, .cg_swap = UNKNOWN, .cg_pct = UNKNOWN };
}

/* Makes `blank' what it is. */
static void
unknown_proc_init(void)
{
	for (const struct column *c = columns; c->name; c++)
		if (!is_text(c->kind) && !(c->source & SRC_NOT_IN_PROC))
			*number_ptr(&unknown_proc, c) = UNKNOWN;
	unknown_proc.start = UNKNOWN;
}

static void
proc_derive(struct proc *p)
{
	p->uss = both(p->private_clean, p->private_dirty);
	p->shared = both(p->shared_clean, p->shared_dirty);
	p->thp = kib_add(p->anon_huge_pages, kib_add(p->shmem_pmd_mapped, p->file_pmd_mapped));
	p->hugetlb = kib_add(p->shared_hugetlb, p->private_hugetlb);
	p->pss_swap = both(p->pss, p->swap_pss);
}

/* ---- 3. Reading tar archives ---- */

#define BLOCK		512		/* all parts of a tar archive are multiples of it */
#define TAR_NAME_LEN	100
#define TAR_PREFIX_LEN	155

/* The header of a member, as POSIX has it in ustar. */
struct header {
	char name[TAR_NAME_LEN], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[TAR_NAME_LEN];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[TAR_PREFIX_LEN], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static unsigned
header_sum(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sums[4] = { 8 * ' ', 0, 0, 0 };

	for (size_t i = 0; i < sizeof *h; i += 4)
		for (size_t j = 0; j < 4; j++)
			sums[j] += bytes[i + j];
	for (size_t i = 0; i < sizeof h->sum; i++)
		sums[0] -= (unsigned char)h->sum[i];
	return sums[0] + sums[1] + sums[2] + sums[3];
}

/* An octal number; SIZE_MAX: none, or the binary one that some write for what is too large for that. */
static size_t
header_number(const char *text, size_t len)
{
	size_t n = 0;
	bool any = false;

	for (; len > 0 && *text == ' '; text++, len--)
		;
	for (; len > 0 && *text >= '0' && *text <= '7'; text++, len--, any = true)
		n = n > SIZE_MAX >> 4 ? SIZE_MAX >> 4 : n << 3 | (size_t)(*text - '0');
	return any && (len == 0 || *text == ' ' || *text == '\0') ? n : SIZE_MAX;
}

/* Where in the archive's members NAME is, or would be. */
static size_t
member_place(const struct archive *a, const char *name)
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

/* The member NAME of a place in an archive; NULL with errno. A directory need not be one: others lie in it. */
static const struct member *
member_find(const struct dir *in, const char *name)
{
	const struct archive *a = in->archive;
	char whole[PATH_MAX];
	size_t at, len = (size_t)snprintf(whole, sizeof whole, "%s%s", in->path, name);

	errno = ENOENT;
	if (len >= sizeof whole - 1)
		return NULL;
	at = member_place(a, whole);
	if (at < a->n && strcmp(a->members[at].name, whole) == 0)
		return &a->members[at];
	strcpy(whole + len, "/");
	at = member_place(a, whole);
	errno = at < a->n && starts(a->members[at].name, whole) ? EISDIR : ENOENT;
	return NULL;
}

/* The next header from *AT on that is one of a file; *AT goes behind its data. False: the end, or damage. */
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
	*size = h->type == '1' || h->type == '2' || h->type == '5' ? 0 : header_number(h->size, sizeof h->size);
	if (header_number(h->sum, sizeof h->sum) != header_sum(h) || *size > a->size - *at - BLOCK)
		return false;
	*data = a->map + *at + BLOCK;
	*at += BLOCK + (*size + BLOCK - 1) / BLOCK * BLOCK;
	*at = *at < a->size ? *at : a->size;
	return true;
}

/* The length in front of such a record, of at most N bytes; 0: none. */
static size_t
pax_length(const char *text, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(len, 10, &len) || __builtin_add_overflow(len, (size_t)(text[i] - '0'), &len))
			return 0;
	return len;
}

/* The value of KEY in records of the form that pax_add writes, kept; NULL: not there. */
static const char *
pax_value(struct arena *texts, const char *data, size_t size, const char *key)
{
	for (size_t at = 0, len; at < size; at += len) {
		const char *space = memchr(data + at, ' ', size - at);
		size_t n = strlen(key);

		len = space ? pax_length(data + at, (size_t)(space - data) - at) : 0;
		if (len == 0 || len > size - at || (size_t)(space - data) - at + 1 > len)
			return NULL;
		space++;
		if ((size_t)(data + at + len - space) > n + 1 && memcmp(space, key, n) == 0 && space[n] == '=')
			return text_intern(texts, space + n + 1, (size_t)(data + at + len - space) - n - 2);
	}
	return NULL;
}

/* No absolute name, no way up. */
static bool
is_safe(const char *name)
{
	for (const char *part = name; *name != '/'; part = strchr(part, '/') + 1) {
		if (strncmp(part, "..", 2) == 0 && (!part[2] || part[2] == '/'))
			return false;
		if (!strchr(part, '/'))
			return true;
	}
	return false;
}

/* Adds a member under its name from the root on: no ./ in front, no / at the end. */
static int
member_index(struct archive *a, struct arena *texts, const struct header *h, const char *name, const char *link, const char *data, size_t size)
{
	char whole[TAR_PREFIX_LEN + TAR_NAME_LEN + 2];
	bool has_prefix = memcmp(h->magic, "ustar", 6) == 0 && *h->prefix;
	size_t len;

	if (!name) {
		snprintf(whole, sizeof whole, "%.*s%s%.*s", has_prefix ? TAR_PREFIX_LEN : 0, h->prefix, has_prefix ? "/" : "", TAR_NAME_LEN, h->name);
		name = whole;
	}
	while (starts(name, "./"))
		name += 2 + strspn(name + 2, "/");
	for (len = strlen(name); len > 0 && name[len - 1] == '/'; )
		len--;
	if (len == 0 || strcmp(name, ".") == 0)
		return 0;
	if (!is_safe(name)) {
		a->unsafe++;
		return 0;
	}
	if (a->n == a->xrealloc) {
		struct member *more = realloc(a->members, (2 * a->xrealloc + 1024) * sizeof *more);

		if (!more)
			return -1;
		a->members = more;
		a->xrealloc = 2 * a->xrealloc + 1024;
	}
	name = text_intern(texts, name, len);
	a->members[a->n++] = (struct member){ name, data, size, link, h->type ? h->type : '0', header_number(h->mode, sizeof h->mode) == 0 };
	return name ? 0 : -1;
}

static int
member_compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->data > y->data) - (x->data < y->data);
}

/* By name; of several of one name the last counts; hard links are what they link to. */
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
	for (size_t i = 0; i < n; i++) {
		struct member *m = &a->members[i];
		size_t at = m->type == '1' && m->link ? member_place(a, m->link + 2 * starts(m->link, "./")) : n;

		if (at < n && strcmp(a->members[at].name, m->link + 2 * starts(m->link, "./")) == 0 && a->members[at].type == '0') {
			m->data = a->members[at].data;
			m->size = a->members[at].size;
			m->refused = a->members[at].refused;
			m->type = '0';
		}
	}
}

/* The members of an archive, by name. Long names stand in members of their own before: x is POSIX's, L and K are GNU's.
 * -1: no memory. */
static int
archive_index(struct archive *a)
{
	static struct arena texts;
	const char *data, *name = NULL, *link = NULL, *is;
	struct header h;
	size_t at = 0, size;

	while (archive_next(a, &at, &h, &data, &size)) {
		if (h.type == 'x') {
			name = (is = pax_value(&texts, data, size, "path")) ? is : name;
			link = (is = pax_value(&texts, data, size, "linkpath")) ? is : link;
		} else if (h.type == 'L' || h.type == 'K') {
			is = text_intern(&texts, data, strnlen(data, size));
			name = h.type == 'L' ? is : name;
			link = h.type == 'K' ? is : link;
		} else {
			if (!link && *h.link)
				link = text_intern(&texts, h.link, strnlen(h.link, sizeof h.link));
			if (strchr("01257", h.type) && member_index(a, &texts, &h, name, link, data, size) < 0)
				return -1;
			name = link = NULL;
		}
	}
	members_sort(a);
	return 0;
}

/* A tree that is like /proc itself is put where /proc would be. -1: no memory. */
static int
archive_lift(struct archive *a)
{
	size_t at = member_place(a, "proc/");
	static struct arena texts;

	a->no_proc_prefix = at == a->n || !starts(a->members[at].name, "proc/");
	at = member_place(a, "memz");
	a->no_proc_prefix = a->no_proc_prefix && (at == a->n || strcmp(a->members[at].name, "memz") != 0);	/* --save, of no processes */
	if (!a->no_proc_prefix)
		return 0;
	for (size_t i = 0; i < a->n; i++) {
		char whole[PATH_MAX];

		snprintf(whole, sizeof whole, "proc/%s", a->members[i].name);
		if (!(a->members[i].name = text_intern(&texts, whole, strlen(whole))))
			return -1;
	}
	return 0;
}

/* A file that shrinks while it is mapped. */
static void
archive_lost(int signal_number)
{
	static const char text[] = "memz: the archive became shorter while it was read\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);

	save_drop();
	_exit(n < 0 || signal_number ? 1 : 0);
}

/* Is it what gzip, bzip2, xz or zstd make? */
static bool
is_packed(const struct archive *a)
{
	static const char *const starts_with[] = { "\x1f\x8b", "BZh", "\xfd\x37zXZ", "\x28\xb5\x2f\xfd" };

	for (size_t i = 0; i < sizeof starts_with / sizeof *starts_with; i++)
		if (a->size > 8 && memcmp(a->map, starts_with[i], strlen(starts_with[i])) == 0)
			return true;
	return false;
}

/* Maps the archive FD, which is closed; for as long as the program lives. NULL with errno; EBADMSG: it is none; EPROTO: it
 * is compressed. */
static const struct archive *
archive_open(int fd, size_t size)
{
	static struct archive archives[2];	/* -S and --since */
	struct archive *a = &archives[archives[0].map != NULL];
	void *map = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	int error = size > 0 ? errno : EBADMSG;

	close(fd);
	errno = error;
	if (map == MAP_FAILED)
		return NULL;
	signal(SIGBUS, archive_lost);
	a->map = map;
	a->size = size;
	errno = EPROTO;
	if (is_packed(a))
		return NULL;
	errno = ENOMEM;
	if (archive_index(a) < 0 || archive_lift(a) < 0)
		return NULL;
	errno = EBADMSG;
	return a->n > 0 || a->unsafe > 0 ? a : NULL;
}

/* ---- 4. Directories and files ---- */

/* Files of the machine that are there and could not be read; what they would say is unknown. */
static struct {
	char name[80];		/* the first */
	int error;
	size_t n;
} failed;

size_t
files_failed(const char **name, int *error)
{
	*name = failed.name;
	*error = failed.error;
	return failed.n;
}

/* NAME in a place is not to be had; is it there? Those of processes are counted otherwise. PSI may be off. Leaves errno. */
static void
open_fail(const struct dir *in, const char *name, int error)
{
	if (this_reader || is_missing(error) || error == EISDIR || error == EOPNOTSUPP || (starts(in->path, "proc/") && (isdigit((unsigned char)in->path[5]) || isdigit((unsigned char)*name))))
		return;
	if (failed.n++ == 0) {
		snprintf(failed.name, sizeof failed.name, "%s%s%s", in->archive || in->saved ? "" : "/", in->path, name);
		failed.error = error;
	}
	errno = error;
}

/* A call that may wait for ever stands between these two. A reader that was left behind in it goes no further. */
static void
wait_begin(void)
{
	if (this_reader)
		atomic_store(&this_reader->doing, WAITING);
}

static void
wait_end(void)
{
	int was = WAITING;

	while (this_reader && !atomic_compare_exchange_strong(&this_reader->doing, &was, WORKING))
		pause();
}

static int
fd_open(int dir, const char *name, int flags)
{
	int fd;

	wait_begin();
	fd = openat(dir, name, flags | O_CLOEXEC);
	wait_end();
	return fd;
}

/* The program's only read(): -1 with errno, 0 at the end. */
static ssize_t
fd_read(int fd, char *to, size_t size)
{
	ssize_t n;

	wait_begin();
	do
		n = read(fd, to, size);
	while (n < 0 && errno == EINTR);
	wait_end();
	return n;
}

/* An empty file of mode 0 stands for one that could not be read when it was saved; root could open it. */
static bool
is_refused(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 07777);
}

/* Opens NAME in a place. -1 with errno. Of what is saved, the main thread waits for no FIFO. */
static int
stream_open(struct stream *s, const struct dir *in, const char *name)
{
	const struct member *m;

	*s = (struct stream){ .fd = -1 };
	if (in->archive) {
		if (!(m = member_find(in, name)))
			return -1;
		errno = m->refused ? EACCES : m->type == '5' ? EISDIR : m->type == '2' ? ELOOP : 0;
		s->at = m->data;
		s->left = m->size;
		return errno ? -1 : 0;
	}
	s->fd = fd_open(in->fd, name, O_RDONLY | (in->saved && !this_reader ? O_NONBLOCK : 0));
	if (s->fd >= 0 && in->saved && is_refused(s->fd, "")) {
		close(s->fd);
		errno = EACCES;
		return -1;
	}
	return s->fd < 0 ? -1 : 0;
}

static ssize_t
stream_read(struct stream *s, char *to, size_t size)
{
	if (s->fd >= 0)
		return fd_read(s->fd, to, size);
	size = size < s->left ? size : s->left;
	memcpy(to, s->at, size);
	s->at += size;
	s->left -= size;
	return (ssize_t)size;
}

/* Leaves errno alone. */
static void
stream_close(struct stream *s)
{
	int error = errno;

	if (s->fd >= 0)
		close(s->fd);
	errno = error;
}

/* The directory NAME of a place. -1 with errno. */
static int
dir_open(struct dir *to, const struct dir *in, const char *name)
{
	*to = (struct dir){ .fd = -1, .archive = in->archive, .saved = in->saved };
	if (snprintf(to->path, sizeof to->path, "%s%s/", in->path, name) >= (int)sizeof to->path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (in->archive) {
		const struct member *m = member_find(in, name);
		bool is_there = m ? m->type == '5' : errno == EISDIR;

		errno = m ? ENOTDIR : ENOENT;
		return is_there ? 0 : -1;
	}
	to->fd = fd_open(in->fd, name, O_PATH | O_DIRECTORY);
	if (to->fd < 0)
		open_fail(in, name, errno);
	return to->fd < 0 ? -1 : 0;
}

static void
dir_close(struct dir *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static bool
dir_has(const struct dir *in, const char *name)
{
	struct stat st;
	bool has;

	if (in->archive)
		return member_find(in, name) || errno == EISDIR;
	wait_begin();
	has = fstatat(in->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	wait_end();
	return has;
}

/* What the symbolic link NAME says, in TO without a NUL: its length, -1 with errno. */
static ssize_t
link_read(const struct dir *in, const char *name, char *to, size_t size)
{
	char whole[PATH_MAX];
	ssize_t n = -1;

	if (in->archive) {
		const struct member *m = member_find(in, name);

		if (m && m->type == '2' && m->link) {
			n = (ssize_t)strnlen(m->link, size);
			memcpy(to, m->link, (size_t)n);
		} else
			errno = m && m->refused ? EACCES : m ? EINVAL : errno;
	} else {
		wait_begin();
		n = readlinkat(in->fd, name, to, size);
		wait_end();
		if (n < 0 && errno == EINVAL && in->saved && is_refused(in->fd, name))
			errno = EACCES;
	}
	if (n >= 0 && (size_t)n < size && to_keep(in, name, whole)) {
		to[n] = '\0';
		member_end(keeping, member_begin(keeping, whole, '2', to, false));
	} else if (n < 0)
		save_file(in, name, NULL, errno);
	return n;
}

/* The kernel's files but cmdline hold no NUL; where one does all the same, it is no end, and makes no number shorter. */
static void
nuls_mark(char *text, size_t n)
{
	char *nul = memchr(text, '\0', n);

	for (; nul && nul < text + n; nul++)		/* there may be nothing else */
		if (!*nul)
			*nul = '\1';
}

/* Reads NAME in a place into B: NUL-terminated, LEN without the NUL, cut at MOST bytes; -1 with errno. A short read
 * is taken for the end where SHORT says so: true of /proc/PID's files that are made in one piece, and saves a call. */
static int
file_read(struct buf *b, const struct dir *in, const char *name, size_t most, bool is_short)
{
	struct stream s;
	ssize_t n = -1;
	size_t xrealloc;

	b->len = 0;
	if (stream_open(&s, in, name) < 0) {
		save_file(in, name, b, errno);
		return -1;
	}
	for (;;) {
		if (b->size - b->len < 2048 && buf_grow(b, b->size ? 2 * b->size : 8192) < 0)
			break;
		xrealloc = b->size - b->len - 1;
		n = stream_read(&s, b->text + b->len, xrealloc);
		if (n > 0)
			b->len += (size_t)n;
		if (n <= 0 || b->len >= most || (is_short && (size_t)n < xrealloc))
			break;
	}
	stream_close(&s);
	if (n < 0) {
		save_file(in, name, b, errno);
		return -1;
	}
	b->len = b->len < most ? b->len : most;
	b->text[b->len] = '\0';
	save_file(in, name, b, 0);
	if (most != CMDLINE_MAX)
		nuls_mark(b->text, b->len);
	if (b->len == most && memrchr(b->text, '\n', b->len))		/* half a line is none */
		b->text[b->len = (size_t)((char *)memrchr(b->text, '\n', b->len) - b->text) + 1] = '\0';
	return 0;
}

/* Gives each line of NAME in R's process to TAKE, NUL for newline, in bounded memory; a line of over 64 KiB ends at its colon.
 * Returns how many lines there were, -1 with errno. */
static int64_t
file_lines(struct reader *r, const char *name, struct proc *p, void (*take)(struct reader *, struct proc *, char *))
{
	size_t used = 0, size = 1u << 16, begun = 0;
	bool cut = false, keeps;
	char whole[PATH_MAX];
	int64_t lines = 0;
	struct stream s;
	ssize_t n = -1;

	if (stream_open(&s, &r->dir, name) < 0) {
		save_file(&r->dir, name, NULL, errno);
		return -1;
	}
	keeps = to_keep(&r->dir, name, whole);
	if (keeps)
		begun = member_begin(keeping, whole, '0', NULL, false);
	while (buf_grow(&r->buf, size + 2) == 0 && (n = stream_read(&s, r->buf.text + used, size - used)) >= 0) {
		char *line = r->buf.text, *end, *stop = line + used + n;

		if (keeps)
			buf_add(keeping, r->buf.text + used, (size_t)n);
		nuls_mark(r->buf.text + used, (size_t)n);
		if (n == 0 && used > 0)
			*stop++ = '\n';
		for (; (end = memchr(line, '\n', (size_t)(stop - line))); line = end + 1, cut = false) {
			*end = '\0';
			if (!cut && take)
				take(r, p, line);
			lines++;
		}
		used = (size_t)(stop - line);
		if (n == 0)
			break;
		if (used == size) {		/* too long for a number: of that key there is one that is unknown */
			char *colon = cut || !take ? NULL : memchr(line, ':', size);

			if (colon) {
				colon[1] = '\0';
				take(r, p, line);
			}
			cut = true;
			used = 0;
		}
		memmove(r->buf.text, line, used);
	}
	stream_close(&s);
	if (keeps)
		member_end(keeping, begun);
	return n < 0 ? -1 : lines;
}

int
pid_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Adds the number that NAME is after PREFIX. -1: no memory. */
static int
id_append(const char *name, size_t len, const char *prefix, int **ids, size_t *n)
{
	size_t skip = strlen(prefix);
	const char *digits = name + skip;

	if (len <= skip || len > skip + 9 || strncmp(name, prefix, skip) != 0 || strspn(digits, "0123456789") < len - skip)
		return 0;
	if (*n % 512 == 0) {
		int *more = realloc(*ids, (*n + 512) * sizeof *more);

		if (!more)
			return -1;
		*ids = more;
	}
	(*ids)[(*n)++] = (int)digits_parse(&digits, 10);
	return 0;
}

/* The same for all that lies in a directory of an archive. */
static int
members_list(const struct dir *in, const char *name, const char *prefix, int **ids, size_t *n)
{
	const struct archive *a = in->archive;
	char whole[PATH_MAX];
	size_t len = (size_t)snprintf(whole, sizeof whole, "%s%s%s", in->path, name, *name ? "/" : "");
	const struct member *self = member_find(in, name);

	errno = !*name || (self && self->type == '5') ? 0 : ENOENT;
	for (size_t i = member_place(a, whole); i < a->n && strncmp(a->members[i].name, whole, len) == 0; i++) {
		const char *part = a->members[i].name + len;

		errno = 0;
		if (id_append(part, strcspn(part, "/"), prefix, ids, n) < 0)
			return -1;
	}
	return errno ? -1 : 0;
}

/* What lies in the directory NAME of a place, "" that itself, and is called PREFIX and digits: the numbers, ascending. */
static int
numbers_list(const struct dir *in, const char *name, const char *prefix, int **ids, size_t *n)
{
	int fd = in->archive ? -1 : fd_open(in->fd, *name ? name : ".", O_RDONLY | O_DIRECTORY), error = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char whole[PATH_MAX];
	size_t kept = 0;

	*ids = NULL;
	*n = 0;
	if (in->archive)
		error = members_list(in, name, prefix, ids, n) < 0 ? errno : 0;
	else if (!dir)
		error = errno;
	while (dir && !error && (errno = 0, entry = readdir(dir)))
		if (id_append(entry->d_name, strlen(entry->d_name), prefix, ids, n) < 0)
			break;
	error = error ? error : errno;
	if (dir)
		closedir(dir);
	if (*n > 1)
		qsort(*ids, *n, sizeof **ids, pid_compare);
	for (size_t i = 0; i < *n; i++)
		if (i == 0 || (*ids)[i] != (*ids)[i - 1])
			(*ids)[kept++] = (*ids)[i];
	*n = kept;
	if (error)
		open_fail(in, name, error);
	if (!error && *name && to_keep(in, name, whole))
		member_end(keeping, member_begin(keeping, whole, '5', NULL, false));
	errno = error;
	return error ? -1 : 0;
}

/* A short file of a process whose directory is not held. */
static int
short_read(struct buf *b, const struct source *s, int64_t pid, const char *file)
{
	char name[32];

	snprintf(name, sizeof name, "%lld/%s", (long long)pid, file);
	return file_read(b, &s->proc, name, FILE_MAX, true);
}

#define PARTIAL	(UNKNOWN + 1)	/* a sum of which a part is unknown, until all parts are there */

/* Every line of a file that is in R's buffer as a whole. */
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

/* ---- 5. The files of a process ---- */

/* "Pss_Anon:            116 kB", in any order; a key that is there again is summed in smaps, else passed over. */
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

/* A sum with an unknown part is unknown. */
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
	size_t hint = 0, mm_range = strcspn(at, " :\n");

	p->rss = UNKNOWN;	/* not statm's, which may be a moment older */
	if (at[mm_range] == ' ') {		/* 5631d133e000-7ffed84cb000 ---p ... [rollup]: all mappings lie therein */
		at[mm_range] = '\0';
		p->mm_range = (unsigned)hash(at, HASH_BEGIN);
		at[mm_range] = ' ';
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
	p->vsz = pages(n[0], r->scan->from);
	p->rss = pages(n[1], r->scan->from);
	if (!(p->got & STATUS))		/* whose word is as good, and is the one asked for */
		p->rss_anon = pages(kib_sub(n[1], n[2]), r->scan->from);
}

/* 3244 (cat) R 3240 ...: the name may hold anything, so what follows is counted from the last parenthesis. */
static void
stat_parse(struct reader *r, struct proc *p)
{
	char *from = strchr(r->buf.text, '('), *s = strrchr(r->buf.text, ')');
	int64_t flags = 0;

	if (!from || !s || s < from)
		return;
	r->named = true;
	snprintf(r->comm, sizeof r->comm, "%.*s", (int)(s - from - 1), from + 1);
	s += 1 + (s[1] == ' ');
	p->state = *s ? text_intern(&r->texts, s, 1) : NULL;
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
			if (p->vsz == UNKNOWN)
				p->vsz = number(s) == UNKNOWN ? UNKNOWN : number(s) / 1024;
		}
	p->kthread = flags != UNKNOWN && flags & PF_KTHREAD;
}

static void
status_parse(struct reader *r, struct proc *p)
{
	char *at = r->buf.text, *line;
	size_t hint = 0;

	p->rss_anon = UNKNOWN;
	while ((line = line_next(&at)))
		if (strncmp(line, "Tgid:", 5) == 0)
			r->tgid = number(line + 5) != p->pid && number(line + 5) > 0 ? (int)number(line + 5) : 0;
		else if (strncmp(line, "Uid:", 4) != 0)
			size_line(p, line, STATUS, false, &hint);
		else if (!r->scan->from->live) {	/* Uid: real effective saved fs */
			line += 4 + strspn(line + 4, " \t");
			p->uid = number(line + strcspn(line, " \t"));
		}
}

static void
comm_parse(struct reader *r, struct proc *p)
{
	struct buf *b = &r->buf;

	if (b->len > 0 && b->text[b->len - 1] == '\n')
		b->len--;
	p->name = text_intern(&r->texts, b->text, strnlen(b->text, b->len));
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
	p->command = text_intern(&r->texts, b->text, b->len);
}

static void
oom_score_parse(struct reader *r, struct proc *p)
{
	p->oom_score = signed_number(r->buf.text);
}

static void
oom_adj_parse(struct reader *r, struct proc *p)
{
	p->oom_score_adj = signed_number(r->buf.text);
}

/* The last part of PATH that ends in .service or .scope. */
static const char *
unit_of(struct reader *r, const char *path)
{
	const char *unit = NULL;
	size_t len = 0;

	while (*path) {
		size_t n = strcspn(path, "/");

		if ((n > 8 && strncmp(path + n - 8, ".service", 8) == 0) || (n > 6 && strncmp(path + n - 6, ".scope", 6) == 0))
			unit = path, len = n;
		path += n + (path[n] == '/');
	}
	return unit ? text_intern(&r->texts, unit, len) : NULL;
}

/* A name of N bytes ends in how many digits of an id, and is nothing else but what container engines put before it? */
static size_t
id_digits(const char *name, size_t n)
{
	static const char *const engines[] = { "docker", "libpod", "crio", "cri-containerd", "containerd", "podman" };
	size_t hex = 0, before;

	while (hex < n && isxdigit((unsigned char)name[n - hex - 1]))
		hex++;
	before = n - hex;
	if (hex < 12 || before == 0 || (name[before - 1] != '-' && name[before - 1] != ':'))
		return hex == 64 && before == 0 ? hex : 0;
	for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
		if (before == strlen(engines[i]) + 1 && strncmp(name, engines[i], before - 1) == 0)
			return hex;
	if (before >= 7 && starts(name + before - 7, "conmon-"))	/* a container's monitor, beside it */
		return 0;
	return hex == 64 ? hex : 0;		/* kubepods-pod1-ID */
}

/* docker/ID, docker-ID.scope, cri-containerd-ID.scope, crio-ID, libpod-ID, kubepods/.../ID: the first 12 digits;
 * lxc/NAME, lxc.payload/NAME, lxc.payload.NAME. */
static const char *
container_of(struct reader *r, const char *path)
{
	const char *found = NULL, *parent = "";
	size_t len = 0, parent_len = 0;

	while (*path) {
		size_t n = strcspn(path, "/"), m = n > 6 && strncmp(path + n - 6, ".scope", 6) == 0 ? n - 6 : n, hex = id_digits(path, m);
		bool docker = parent_len == 6 && starts(parent, "docker"), lxc = (parent_len == 3 && starts(parent, "lxc")) ||
		    (parent_len == 11 && starts(parent, "lxc.payload"));

		if (hex)
			found = path + m - hex, len = 12;
		else if ((docker && n >= 12) || (lxc && n > 0))
			found = path, len = docker ? 12 : n;
		else if (n > 12 && starts(path, "lxc.payload."))
			found = path + 12, len = n - 12;
		parent = path;
		parent_len = n;
		path += n + (path[n] == '/');
	}
	return found ? text_intern(&r->texts, found, len) : NULL;
}

/* 4:memory:/docker/3f... on version 1, 0::/system.slice/ssh.service on version 2; hybrid machines have both, and
 * there the memory controller's line counts. The unit may stand in systemd's own line alone. */
static void
cgroup_parse(struct reader *r, struct proc *p)
{
	char *at = r->buf.text, *line, *paths[3] = { NULL, NULL, NULL };	/* memory, version 2, systemd's */

	while ((line = line_next(&at))) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		for (char *name = strtok_r(list + 1, ",", &list); name; name = strtok_r(NULL, ",", &list))
			if (strcmp(name, "memory") == 0)
				paths[0] = path;
			else if (strcmp(name, "name=systemd") == 0)
				paths[2] = path;
		if (strncmp(line, "0:", 2) == 0)
			paths[1] = path;
	}
	for (int i = 0; i < 3; i++) {
		if (!paths[i])
			continue;
		if (!p->cgroup)
			p->cgroup = text_intern(&r->texts, paths[i], strlen(paths[i]));
		if (!p->unit)
			p->unit = unit_of(r, paths[i]);
		if (!p->container)
			p->container = container_of(r, paths[i]);
	}
}

/* 7f.. default file=/x mapped=3 N0=2 N1=1 kernelpagesize_kB=4: pages by node, and their size. */
static void
numa_line(struct reader *r, struct proc *p, char *line)
{
	char *size = strstr(line, " kernelpagesize_kB="), *rest;
	int64_t kib = size ? number(size + 19) : r->scan->from->page / 1024;

	(void)p;
	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		int64_t id = *word == 'N' ? number(word + 1) : UNKNOWN, n;
		char *equals = strchr(word, '=');
		size_t i = 0;

		if (id < 0 || id > INT32_MAX || !equals)
			continue;
		n = number(equals + 1);
		r->partial = r->partial || n == UNKNOWN || kib == UNKNOWN;
		while (i < r->nnodes && r->nodes[i].id < (unsigned)id)
			i++;
		if (i == r->nnodes || r->nodes[i].id != (unsigned)id) {
			if (r->nnodes == r->nodes_size) {
				struct node_pages *more = realloc(r->nodes, (2 * r->nodes_size + 8) * sizeof *more);

				if (!more)
					return;
				r->nodes = more;
				r->nodes_size = 2 * r->nodes_size + 8;
			}
			memmove(r->nodes + i + 1, r->nodes + i, (r->nnodes++ - i) * sizeof *r->nodes);
			r->nodes[i] = (struct node_pages){ (unsigned)id, 0 };
		}
		r->nodes[i].kib = __builtin_mul_overflow(n, kib, &n) ? INT64_MAX : kib_add(r->nodes[i].kib, n);
	}
}

static int
numa_maps_read(struct reader *r, struct proc *p, const char *name)
{
	size_t used = 0;

	r->nnodes = 0;
	r->partial = false;
	if (file_lines(r, name, p, numa_line) < 0)
		return -1;
	r->was_empty = r->was_empty || r->nnodes == 0;
	if (r->partial)
		return 0;
	if (buf_grow(&r->buf, 40 * r->nnodes + 1) < 0)
		return -1;
	for (size_t i = 0; i < r->nnodes; i++)
		used += (size_t)sprintf(r->buf.text + used, "%s%u=%lld", i ? " " : "", r->nodes[i].id, (long long)r->nodes[i].kib);
	p->numa = text_intern(&r->texts, r->buf.text, used);
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

/* ---- 6. Mappings ---- */

/* The mounts of the machine that S is; of another one's live /proc, those of its first process, for self is here. */
static int
mounts_read(const struct source *s, struct buf *b)
{
	static const char *const names[] = { "self/mountinfo", "1/mountinfo" };
	bool other = s->live && !s->here;

	if (file_read(b, &s->proc, names[other], SIZE_MAX, false) == 0)
		return 0;
	return file_read(b, &s->proc, names[!other], SIZE_MAX, false);
}

/* What is mounted where tells tmpfs and hugetlbfs files from others: by device, as smaps has it. */
static struct {
	struct { unsigned dev[2]; bool huge; } *mounts;
	size_t n;
} memory_mounts;

/* 08:02, hexadecimal in smaps, decimal in mountinfo. */
static void
device_parse(const char *s, unsigned base, unsigned dev[2])
{
	dev[0] = digits_parse(&s, base);
	dev[1] = *s++ == ':' ? digits_parse(&s, base) : 0;
}

/* 25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw */
static void
memory_mounts_read(const struct source *s)
{
	struct buf b = { NULL, 0, 0 };
	char *at, *line;

	memory_mounts.n = 0;
	if (mounts_read(s, &b) < 0)
		return;
	for (at = b.text; (line = line_next(&at)); ) {
		bool huge = strstr(line, " - hugetlbfs "), shm = strstr(line, " - tmpfs ") || strstr(line, " - devtmpfs ");
		unsigned dev[2];
		void *more;

		if (!(huge || shm))
			continue;
		for (int field = 0; field < 2; field++)
			line += strcspn(line, " "), line += strspn(line, " ");
		device_parse(line, 10, dev);
		more = realloc(memory_mounts.mounts, (memory_mounts.n + 1) * sizeof *memory_mounts.mounts);
		if (!more)
			break;
		memory_mounts.mounts = more;
		memcpy(memory_mounts.mounts[memory_mounts.n].dev, dev, sizeof dev);
		memory_mounts.mounts[memory_mounts.n++].huge = huge;
	}
	free(b.text);
}

static const char *
bracket_kind(const char *name)
{
	return starts(name, "[heap]") ? "heap" : starts(name, "[stack") ? "stack" : starts(name, "[anon_shmem:") ? "shm" :
	    starts(name, "[anon") ? "anon" : starts(name, "[vdso]") || starts(name, "[vvar") || starts(name, "[vsyscall]") ? "vdso" : "other";
}

/* /SYSV0000002a (deleted) */
static bool
is_sysv(const char *name)
{
	return starts(name, "/SYSV") && strspn(name + 5, "0123456789abcdef") == 8 && (!name[13] || name[13] == ' ');
}

/* Shared anonymous memory, memfd and SysV segments look like deleted files of a tmpfs that is mounted nowhere. */
static const char *
kind_of(const struct reader *r)
{
	const char *name = r->vma_name;

	if (r->vma_huge || starts(name, "/anon_hugepage"))
		return "hugetlb";
	if (*name == '[')
		return bracket_kind(name);
	if (starts(name, "/memfd:") || is_sysv(name) || strcmp(name, "/dev/zero (deleted)") == 0 || strcmp(name, "/dev/zero") == 0 || starts(name, "/dev/shm/") ||
	    starts(name, "/i915 (") || starts(name, "/drm mm object"))
		return "shm";
	for (size_t i = 0; i < memory_mounts.n; i++)
		if (memcmp(memory_mounts.mounts[i].dev, r->vma_dev, sizeof r->vma_dev) == 0 && (memory_mounts.mounts[i].huge || !starts(name, "/dev/")))
			return memory_mounts.mounts[i].huge ? "hugetlb" : "shm";
	if (starts(name, "/dev/") && r->vma_dev[0] == 0)	/* a device: on no disk, as devtmpfs is */
		return "other";
	return *name == '/' && !starts(name, "/[") && !starts(name, "/dmabuf:") ? "file" : "other";
}

/* The slot of NAME and KIND in T: taken by them, or free. */
static struct group_row **
table_slot(const struct table *t, const char *name, const char *kind)
{
	size_t i = (size_t)hash(kind, hash(name, HASH_BEGIN)) & (t->size - 1);

	while (t->slots[i] && (strcmp(t->slots[i]->mapping, name) != 0 || strcmp(t->slots[i]->kind, kind) != 0))
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static int
table_grow(struct table *t)
{
	struct table more = { calloc(t->size ? 2 * t->size : 256, sizeof *more.slots), t->n, t->size ? 2 * t->size : 256 };

	if (!more.slots)
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

/* The mapping that was read is whole: adds it to the others of its name and kind. No memory: it is denied. */
static void
mapping_end(struct reader *r, struct proc *p)
{
	const char *kind;
	struct group_row **slot;

	if (!r->in_vma)
		return;
	r->in_vma = false;
	sums_finish(&r->vma.sum);
	kind = kind_of(r);
	if (2 * r->fresh.n >= r->fresh.size && table_grow(&r->fresh) < 0)
		goto lost;
	slot = table_slot(&r->fresh, r->vma_name, kind);
	if (!*slot) {
		if (!(*slot = malloc(sizeof **slot)))
			goto lost;
		group_row_init(*slot);
		(*slot)->mapping = text_intern(&r->texts, r->vma_name, strlen(r->vma_name));
		(*slot)->kind = kind;
		if (!(*slot)->mapping) {
			free(*slot);
			*slot = NULL;
			goto lost;
		}
		(*slot)->procs = 1;
		r->fresh.n++;
	}
	row_sum(&(*slot)->sum, &r->vma.sum);
	return;
lost:
	p->outcome = DENIED;
	p->error = ENOMEM;
}

/* 7f12-7f34 r--p 00000000 08:02 173521     /usr/lib/x y (deleted): the rest of the line, \012 for newline. */
static void
mapping_begin(struct reader *r, char *line)
{
	char *word = line, *to = r->vma_name;

	for (int field = 0; field < 5; field++) {
		if (field == 3)
			device_parse(word, 16, r->vma_dev);
		word += strcspn(word, " ");
		word += strspn(word, " ");
	}
	for (; *word && to < r->vma_name + sizeof r->vma_name - 1; word++)
		if (starts(word, "\\012"))
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
	} else if (starts(line, "Size:"))
		r->vma.sum.vsz = number(line + 5);
	else if (starts(line, "VmFlags:"))
		r->vma_huge = strstr(line, " ht") != NULL;
	else
		size_line(&r->vma.sum, line, ROLLUP | RSS, true, &hint);
}

static int
mappings_read(struct reader *r, struct proc *p, const char *name)
{
	struct buf *kept = keeping;
	int64_t lines;

	r->in_vma = false;
	if (r->scan->keep)
		keeping = &r->block;
	lines = file_lines(r, name, p, mapping_line);
	keeping = kept;
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

/* The mappings of the process that R has read join those of the others. No memory: it is denied. */
static void
mappings_join(struct reader *r, struct proc *p)
{
	struct table *t = &r->mappings;

	for (size_t i = 0; i < r->fresh.size; i++) {
		struct group_row *row = r->fresh.slots[i], **slot;

		if (!row)
			continue;
		if (2 * t->n >= t->size && table_grow(t) < 0) {
			p->outcome = DENIED;
			p->error = ENOMEM;
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
mappings_collect(struct group_row **rows, size_t *n)
{
	size_t all = 0, last = 0;

	for (const struct reader *r = readers; r; r = r->next)
		all += r->mappings.n;
	if (!(*rows = malloc((all + 1) * sizeof **rows)))
		return -1;
	*n = 0;
	for (struct reader *r = readers; r; r = r->next) {
		struct table *t = &r->mappings;

		for (size_t slot = 0; slot < t->size; slot++)
			if (t->slots[slot])
				(*rows)[(*n)++] = *t->slots[slot];
		table_free(t);
	}
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

static int
exe_read(struct reader *r, struct proc *p, const char *name)
{
	ssize_t n;

	if (buf_grow(&r->buf, FILE_MAX / 64) < 0)
		return -1;
	n = link_read(&r->dir, name, r->buf.text, r->buf.size);
	if (n < 0)
		return -1;
	p->exe = text_intern(&r->texts, r->buf.text, (size_t)n);
	return 0;
}

/* ---- 7. One process ---- */

/* In the order of reading: first those that always answer, last those that wait for the target's mmap lock. */
static const struct file {
	unsigned source;
	const char *name;
	void (*parse)(struct reader *, struct proc *);				/* of the whole file, or */
	int (*take)(struct reader *, struct proc *, const char *name);		/* reads for itself */
} files[] = {
	{ STATM,     "statm",         statm_parse,     NULL },
	{ STATUS,    "status",        status_parse,    NULL },
	{ COMM,      "comm",          comm_parse,      NULL },
	{ CGROUP,    "cgroup",        cgroup_parse,    NULL },
	{ OOM_SCORE, "oom_score",     oom_score_parse, NULL },
	{ OOM_ADJ,   "oom_score_adj", oom_adj_parse,   NULL },
	{ EXE,       "exe",           NULL,            exe_read },
	{ STAT,      "stat",          stat_parse,      NULL },
	{ CMDLINE,   "cmdline",       cmdline_parse,   NULL },
	{ ROLLUP,    "smaps_rollup",  rollup_parse,    NULL },
	{ MAPS,      "maps",          NULL,            maps_read },
	{ NUMA_MAPS, "numa_maps",     NULL,            numa_maps_read },
	{ SMAPS,   "smaps",         NULL,            mappings_read },
};
#define NFILES (sizeof files / sizeof *files)

static const struct file smaps = { ROLLUP, "smaps", NULL, smaps_sum_read };

const char *
source_file(unsigned source)
{
	for (size_t i = 0; i < NFILES; i++)
		if (files[i].source == source)
			return files[i].name;
	return NULL;
}

/* Every file of a process is read here, in a reader's thread, since any may block for ever.
 * Sets the bit in p->got, or in r->none, or makes p denied. */
static void
source_read(struct reader *r, struct proc *p, const struct file *f)
{
	int result;

	if (p->over_max_rss && f->source & SRC_EXPENSIVE)
		return;
	r->complete = r->block.len;
	r->opened[__builtin_ctz(f->source)]++;
	if (f->take)
		result = f->take(r, p, f->name);
	else {
		result = file_read(&r->buf, &r->dir, f->name, f->source == CMDLINE ? CMDLINE_MAX : FILE_MAX, true);
		if (result == 0 && r->buf.len == 0 && f->source & (ROLLUP | STATM | STAT)) {
			errno = ESRCH;		/* a kernel thread, a zombie, or just gone */
			result = -1;
		} else if (result == 0)
			f->parse(r, p);
	}
	if (result == 0)
		p->got |= f->source;
	else if (is_missing(errno)) {
		r->missing |= f->source;
		r->enoent |= errno == ENOENT ? f->source : 0u;
	} else {
		p->outcome = DENIED;
		p->error = (unsigned char)errno;
	}
}

static void
sources_read(struct reader *r, struct proc *p, unsigned want)
{
	for (size_t i = 0; i < NFILES; i++)
		if (want & ~p->got & ~r->missing & files[i].source) {
			if (files[i].source & SRC_EXPENSIVE && r->scan->most != UNKNOWN && p->got & STATM && p->rss > r->scan->most)
				p->over_max_rss = true;
			source_read(r, p, &files[i]);
		}
}

/* The name the kernel cut at 15 bytes, from the file name of argv[0] or of exe, if that begins with it. */
static void
name_complete(struct reader *r, struct proc *p)
{
	for (int i = 0; i < 2; i++) {
		const char *path = NULL, *name;

		if (i == 0 && file_read(&r->buf, &r->dir, "cmdline", CMDLINE_MAX, true) == 0)
			path = r->buf.text;
		else if (i == 1 && exe_read(r, p, "exe") == 0)
			path = p->exe;
		if (!path)
			continue;
		name = strrchr(path, '/');
		name = name ? name + 1 : path;
		if (strncmp(name, p->name, COMM_CUT) == 0) {
			size_t len = strlen(name), gone = strlen(" (deleted)");

			if (i == 1 && len > gone && strcmp(name + len - gone, " (deleted)") == 0)
				len -= gone;
			if (i == 0)			/* the rest may be a title */
				len = COMM_CUT + strcspn(name + COMM_CUT, " ");
			p->name = text_intern(&r->texts, name, len);
			return;
		}
	}
}

/* Names: comm or, where only stat is kept, the name in it; for a command line that is empty, [name]. */
static void
names_fill(struct reader *r, struct proc *p, unsigned want)
{
	bool fits_screen = want & CMDLINE && p->command && !*p->command;

	if (fits_screen)
		sources_read(r, p, COMM);
	if ((want & COMM || fits_screen) && !p->name) {
		if (!r->named)
			p->got &= ~(unsigned)STAT;
		sources_read(r, p, STAT);
		if (r->named)
			p->name = text_intern(&r->texts, r->comm, strlen(r->comm));
	}
	if (want & COMM && p->name && strlen(p->name) == COMM_CUT && !p->kthread && !p->zombie)
		name_complete(r, p);
	if (fits_screen && p->name) {
		size_t len = strlen(p->name);

		if (buf_grow(&r->buf, len + 3) < 0)
			return;
		sprintf(r->buf.text, "[%s]", p->name);
		p->command = text_intern(&r->texts, r->buf.text, len + 2);
	}
}

/* smaps where there is no rollup; statm where neither can be read, for RSS; the reverse where statm is not kept. */
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
		p->got &= ~(unsigned)STATM;
		sources_read(r, p, STATM);
	}
}

/* Does the saved tree hold anything of the process? */
static bool
is_kept(const struct reader *r)
{
	for (size_t i = 0; i < NFILES; i++)
		if (dir_has(&r->dir, files[i].name))
			return true;
	return false;
}

/* Kernel thread, zombie, exiting, gone: told apart where a file that all others have is not there or empty. */
static void
outcome_decide(struct reader *r, struct proc *p)
{
	if (!r->missing && !r->empty)
		return;
	sources_read(r, p, STAT);
	if (p->kthread || p->zombie)
		p->outcome = MEASURED;		/* there was nothing to refuse */
	else if (p->outcome == DENIED)
		return;
	else if (!r->scan->from->live)
		p->outcome = p->got & ~(unsigned)OWNER || is_kept(r) ? MEASURED : VANISHED;
	else if (r->empty || r->missing & STAT || !dir_has(&r->dir, "stat"))
		p->outcome = VANISHED;
}

/* Is what was read before, of the process then called p->pid, about the one in R's directory now? Known start times
 * tell; else a process older than the walk has had its pid all along (start is field 22 of stat, in ticks). */
static bool
still_itself(struct reader *r, struct proc *p)
{
	int64_t start = p->got & STAT ? p->start : UNKNOWN;
	struct proc again = *p, *now = p->got & STAT ? &again : p;	/* what decided the row's place stays as it was */
	bool zombie = p->zombie;

	if (!r->scan->from->live)
		return true;
	now->got &= ~(unsigned)STAT;
	sources_read(r, now, STAT);
	if (now->zombie && !zombie && now->threads < 2)
		return false;			/* nothing of what it was goes with what is left of it */
	return r->missing & STAT || (start != UNKNOWN ? now->start == start : now->start < r->scan->begin);
}

static void
proc_reset(struct proc *p)
{
	int64_t pid = p->pid;
	bool has_detail = p->has_detail;

	*p = unknown_proc;
	p->pid = pid;
	p->has_detail = has_detail;
}

/* For the one file that is read of all: no directory to open and close. False: look closer. */
static bool
statm_alone(struct reader *r, struct proc *p)
{
	r->empty = false;
	if (short_read(&r->buf, r->scan->from, p->pid, "statm") < 0 || r->buf.len == 0)
		return false;
	statm_parse(r, p);
	r->opened[__builtin_ctz(STATM)] += !r->empty;
	p->got = r->empty ? 0 : STATM;
	return !r->empty;
}

/* A zombie may have threads that live on: its own files are empty then, but each of theirs shows the whole process. */
static void
thread_read(struct reader *r, struct proc *p, unsigned want)
{
	const unsigned memory = STATM | STATUS | EXE | ROLLUP | CMDLINE | MAPS | NUMA_MAPS | SMAPS;
	struct dir tgid = r->dir;
	int *tids = NULL;
	size_t n = 0;

	p->zombie = true;
	r->was_empty = false;
	numbers_list(&tgid, "task", "", &tids, &n);
	for (size_t i = 0; i < n && p->zombie; i++) {
		char name[24];

		snprintf(name, sizeof name, "task/%d", tids[i]);
		if (tids[i] == p->pid || dir_open(&r->dir, &tgid, name) < 0)
			continue;
		r->missing &= ~memory;
		r->enoent &= ~memory;
		p->got &= ~memory;
		sources_read(r, p, (want & memory) | STATM);
		p->zombie = !(p->got & STATM) || r->empty;
		if (p->zombie)
			dir_close(&r->dir);
	}
	r->via_thread = !p->zombie;
	if (p->zombie)
		r->dir = tgid;
	else
		dir_close(&tgid);
	free(tids);
}

/* What was saved of a process beside its files: whose twin it was, or else what became of it; NULL: nothing. */
static const struct saved_outcome *
saved_outcome_find(const struct source *s, int64_t pid, bool same_mm)
{
	for (size_t i = 0; i < s->nsaved_outcomes; i++)
		if (s->saved_outcomes[i].pid == pid && (s->saved_outcomes[i].same_mm != 0) == same_mm)
			return &s->saved_outcomes[i];
	return NULL;
}

/* The files of a process, and what they say of each other. */
static void
files_read(struct reader *r, struct proc *p, unsigned want)
{
	r->missing = r->enoent = 0;
	r->empty = r->named = r->was_empty = r->via_thread = false;
	r->tgid = 0;
	sources_read(r, p, want);
	if (r->missing || r->empty || r->was_empty)
		sources_read(r, p, STAT);
	if ((p->zombie || (p->state && *p->state == 'Z')) && p->threads > 1)
		thread_read(r, p, want);
	sizes_fill(r, p, want);
	names_fill(r, p, want);
	outcome_decide(r, p);
}

/* Nothing is where something should be, or something where a zombie has nothing: has the process ended since the first of
 * its files was read? Then it is to be read anew, for what is left of it, unless that is nothing. A file that a living one
 * lacks is denied. */
static bool
has_ended(struct reader *r, struct proc *p)
{
	unsigned missing = r->missing & ~r->enoent;
	struct proc again = *p;

	if (!r->scan->from->live || p->outcome == VANISHED || p->kthread)
		return false;
	if (p->zombie)
		return !r->via_thread && !r->scan->already_read && !r->empty && p->got & (STATM | ROLLUP);
	if (!missing && !r->was_empty)
		return false;
	again.got &= ~(unsigned)(STAT | STATM);
	r->missing &= ~(unsigned)(STAT | STATM);
	r->empty = false;
	sources_read(r, &again, STAT | STATM);
	if (r->missing & STAT || again.zombie || r->empty) {
		p->outcome = VANISHED;
		return again.zombie && !r->via_thread && !r->scan->already_read;
	}
	if (missing & (ROLLUP | MAPS | NUMA_MAPS | SMAPS)) {
		p->outcome = DENIED;
		p->error = ESRCH;
	}
	return false;
}

/* Who owns /proc/PID: the effective user. */
static void
owner_read(struct reader *r, struct proc *p)
{
	struct stat st;

	if (fstat(r->dir.fd, &st) == 0) {
		p->uid = st.st_uid;
		p->got |= OWNER;
	} else {
		p->outcome = DENIED;
		p->error = (unsigned char)errno;
	}
}

/* What its files do not say of its end. LIVED: it was no zombie when they were saved. */
static void
saved_outcome_apply(struct reader *r, struct proc *p, bool lived)
{
	const struct saved_outcome *fate;

	if (p->outcome != VANISHED && (fate = saved_outcome_find(r->scan->from, p->pid, false)))
		p->outcome = (unsigned char)fate->outcome;
	if (lived && p->zombie) {		/* which is not what was saved of it */
		proc_reset(p);
		p->outcome = VANISHED;
	}
	if (r->tgid)				/* not one of the processes */
		p->outcome = VANISHED;
	if (p->outcome == VANISHED)
		p->tgid = r->tgid;
}

/* Reads one process, all its files below one held directory, so that no row mixes two. */
static void
proc_read(struct reader *r, struct proc *p)
{
	const struct source *from = r->scan->from;
	unsigned want = r->scan->want;
	bool lived = r->scan->keep == KEEP_MAPPINGS && !p->zombie;
	char name[24];

	if (!r->scan->already_read)
		proc_reset(p);
	p->has_detail = r->scan->already_read;
	if (want == STATM && !r->scan->keep && statm_alone(r, p))
		return;
	if (r->scan->most != UNKNOWN && want & SRC_EXPENSIVE)
		want |= STATM;
	snprintf(name, sizeof name, "%lld", (long long)p->pid);
	if (dir_open(&r->dir, &from->proc, name) < 0) {
		p->outcome = is_missing(errno) ? VANISHED : DENIED;
		p->error = (unsigned char)errno;
		p->tgid = 0;
		if (r->scan->keep == KEEP_ALL)
			save_denied(r, p);
		return;
	}
	r->missing = r->enoent = 0;
	if (r->scan->already_read && !still_itself(r, p)) {
		proc_reset(p);
		p->pid_reused = true;
		want |= r->scan->already_read;
	}
	if (want & OWNER && (!from->live || r->scan->keep == KEEP_ALL))
		want |= STATUS;			/* what was saved has its uid from there */
	files_read(r, p, want);
	if (has_ended(r, p)) {
		proc_reset(p);
		r->block.len = 0;
		files_read(r, p, want);
	}
	if (want & OWNER && from->live)
		owner_read(r, p);
	saved_outcome_apply(r, p, lived);
	if (r->scan->keep == KEEP_ALL)
		save_rest(r, p);
	if (r->texts.full && p->outcome != VANISHED)
		p->outcome = DENIED, p->error = ENOMEM;
	r->texts.full = false;
	proc_derive(p);
	dir_close(&r->dir);
}

static long
kcmp_vm(int64_t a, int64_t b)
{
	return syscall(SYS_kcmp, (pid_t)a, (pid_t)b, KCMP_VM, 0, 0);
}

/* Has it one at all? kcmp finds the missing ones of two that have ended the same. */
static bool
has_mm(const struct source *s, int64_t pid)
{
	struct buf b = { NULL, 0, 0 };
	bool has = short_read(&b, s, pid, "statm") == 0 && number(b.text) > 0;

	free(b.text);
	return has;
}

int
mm_compare(const struct source *s, int64_t a, int64_t b, bool *denied)
{
	long order;

	if (!s->live) {
		const struct saved_outcome *x = saved_outcome_find(s, a, true), *y = saved_outcome_find(s, b, true);

		a = x ? x->same_mm : a;
		b = y ? y->same_mm : b;
		return (a > b) - (a < b);
	}
	if (!s->own_pids) {
		*denied = true;
		return (a > b) - (a < b);
	}
	order = kcmp_vm(a, b);
	if (order == 0)				/* who has one may be another by now, of the pid of one that has ended */
		order = has_mm(s, a) || has_mm(s, b) ? kcmp_vm(a, b) : 3;	/* as kcmp says "different" */
	if (order >= 0 && order < 3)
		return order == 1 ? -1 : order == 2;
	*denied = *denied || (order < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS));
	return (a > b) - (a < b);
}

/* ---- 8. Reader threads ---- */

#define STUCK_AFTER	0.2		/* seconds without progress until another reader takes the place of one, */
#define STUCK_NEXT	0.05		/* and when that has happened */

/* The pass that runs, there is one at a time, and what the main thread and the readers share of it. */
static struct {
	const struct scan *scan;
	_Atomic size_t next;		/* of its processes */
	pthread_mutex_t lock;		/* for the rest */
	pthread_cond_t idle;
	size_t running;			/* readers at work */
	size_t left;			/* behind */
	double stuck;			/* since when one waited too long, 0: none did */
} work = { .lock = PTHREAD_MUTEX_INITIALIZER };

static double wait_budget = 5, wait_budget_total = 5;		/* seconds that are left to wait for stuck processes; at first */
static size_t abandoned;				/* threads */
static bool unprotected;

void
wait_budget_set(double seconds)
{
	wait_budget = wait_budget_total = seconds;
}

double
wait_budget_left(void)
{
	return wait_budget;
}

void
wait_budget_spend(double seconds)
{
	double least = STUCK_AFTER < wait_budget_total ? STUCK_AFTER : wait_budget_total;

	wait_budget = wait_budget - seconds > least ? wait_budget - seconds : least;
}

bool
has_abandoned_thread(void)
{
	return abandoned > 0;
}

bool
is_unprotected(void)
{
	return unprotected;
}

/* What R has read becomes the row. */
static void
reader_commit(struct reader *r, struct proc *p)
{
	if (r->fresh.n > 0)
		mappings_join(r, &r->work);
	*p = r->work;
	if (r->scan->keep && buf_add(&r->blocks, r->block.text, r->block.len) && r->blocks.len > BLOCKS_MAX)
		saved_append(&r->blocks);
	if (r->scan->seen)
		r->scan->seen(p);
}

/* Reads what there is left to read. */
static void
reader_run(struct reader *r)
{
	while ((r->item = atomic_fetch_add_explicit(&work.next, 1, memory_order_relaxed)) < r->scan->n) {
		struct proc *p = r->scan->procs[r->item];

		if (r->scan->already_read && p->outcome == STALLED)
			continue;		/* it would be again */
		if (r->scan->wanted && !r->scan->wanted(p)) {
			p->outcome = SKIPPED;
			continue;
		}
		r->work = *p;
		atomic_fetch_add_explicit(&r->turns, 1, memory_order_relaxed);
		r->block.len = r->complete = 0;
		keeping = r->scan->keep == KEEP_ALL ? &r->block : NULL;
		table_free(&r->fresh);
		proc_read(r, &r->work);
		reader_commit(r, p);
	}
	atomic_store(&work.next, r->scan->n);
	keeping = NULL;
}

/* A thread of its own has descriptors of its own: no reader waits for another's open or close. ThreadSanitizer does not
 * know that two threads may then have different files of one number, and sees races. */
static void *
reader_thread(void *arg)
{
	this_reader = arg;
	if (!UNDER_TSAN)
		unshare(CLONE_FILES);
	atomic_store(&this_reader->tid, (int)syscall(SYS_gettid));
	reader_run(this_reader);
	pthread_mutex_lock(&work.lock);
	atomic_store(&this_reader->doing, IDLE);
	work.running--;
	pthread_cond_signal(&work.idle);
	pthread_mutex_unlock(&work.lock);
	return NULL;
}

/* A reader without a thread; NULL: no memory. */
static struct reader *
reader_get(const struct scan *scan)
{
	struct reader *r = readers;

	while (r && r->busy)
		r = r->next;
	if (!r && (r = calloc(1, sizeof *r))) {
		r->next = readers;
		readers = r;
	}
	if (r)
		r->scan = scan;
	return r;
}

/* The lock is held. -1: no thread. */
static int
reader_start(const struct scan *scan)
{
	struct reader *r = work.running + abandoned < READERS_MAX ? reader_get(scan) : NULL;
	pthread_attr_t attr;
	int error;

	if (!r)
		return -1;
	r->doing = WORKING;
	r->since = seconds_now();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, READER_STACK);
	error = pthread_create(&r->thread, &attr, reader_thread, r);
	pthread_attr_destroy(&attr);
	if (error)
		return -1;
	if (pthread_getcpuclockid(r->thread, &r->clock) != 0)
		r->clock = CLOCK_MONOTONIC;	/* which never stands still: it is waited for */
	r->busy = true;
	work.running++;
	return 0;
}

/* Does the thread run, or would it if there were a processor? 812 (memz) R ... */
static bool
reader_runs(struct reader *r)
{
	char name[64], text[256];
	const char *end;
	int fd;
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)r->tid);
	if ((fd = fd_open(AT_FDCWD, name, O_RDONLY)) < 0)
		return false;
	n = fd_read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return (end = strrchr(text, ')')) && starts(end, ") R");
}

/* Reads what takes no lock of P, whose reader was left behind. */
static void
unlocked_read(const struct scan *scan, struct proc *p, struct buf *block)
{
	const unsigned unlocked = STATM | STATUS | COMM | CGROUP | OOM_SCORE | OOM_ADJ;
	struct reader *r = reader_get(scan);
	char name[24];

	snprintf(name, sizeof name, "%lld", (long long)p->pid);
	if (!r || dir_open(&r->dir, &scan->from->proc, name) < 0)
		return;
	r->missing = r->enoent = 0;
	keeping = scan->keep == KEEP_ALL ? block : NULL;
	p->got &= ~(unsigned)STATM;
	sources_read(r, p, STATM | (keeping ? unlocked : (scan->want & unlocked) | (scan->want & RSS_PARTS ? STATUS : 0u)));
	keeping = NULL;
	dir_close(&r->dir);
}

/* R has waited for too long: it is left behind, and what it has read so far is the row. */
static void
reader_abandon(struct reader *r)
{
	struct proc *p = r->scan->procs[r->item];

	*p = r->work;
	for (const struct column *c = columns; c->name; c++)	/* half a file is none */
		if (c->key && !(c->source & p->got))
			*number_ptr(p, c) = UNKNOWN;
	r->block.len = r->complete;
	unlocked_read(r->scan, p, &r->block);
	p->outcome = STALLED;
	proc_derive(p);
	if (r->scan->keep)
		saved_append(&r->block);
	pthread_detach(r->thread);
	abandoned++;
	work.left++;
	work.running--;
}

/* True: R waits, and has for a while. It does while its CPU clock stands still: in a walk of page tables that moves. */
static bool
reader_look(struct reader *r, double now)
{
	unsigned turn = atomic_load_explicit(&r->turns, memory_order_relaxed);
	int doing = r->doing, waiting = WAITING;
	double most = work.stuck ? STUCK_NEXT : STUCK_AFTER;
	struct timespec cpu = { 0, 0 };

	if (doing == IDLE) {
		pthread_join(r->thread, NULL);
		r->busy = false;
	}
	if (doing != WAITING)
		return false;
	clock_gettime(r->clock, &cpu);
	if (turn != r->turn || cpu.tv_sec != r->cpu.tv_sec || cpu.tv_nsec != r->cpu.tv_nsec) {
		r->turn = turn;
		r->cpu = cpu;
		r->since = now;
	}
	if (now - r->since < (wait_budget < most ? wait_budget : most) || reader_runs(r))
		return false;
	if (!work.stuck)
		work.stuck = r->since;
	if (now - r->since >= wait_budget && atomic_compare_exchange_strong(&r->doing, &waiting, ABANDONED))
		reader_abandon(r);
	return r->doing == WAITING;
}

/* What no reader has begun to read yet. */
static size_t
work_left(void)
{
	size_t next = work.next;

	return next < work.scan->n ? work.scan->n - next : 0;
}

/* As many readers as are wanted, and as many again as are stuck, so that all that will be stuck soon is. */
static void
readers_start(size_t wanted, size_t stuck)
{
	wanted = wanted > stuck + work.left ? wanted : stuck + work.left;
	wanted = wanted < work_left() ? wanted : work_left();
	while (work.running - stuck < wanted && reader_start(work.scan) == 0)
		;
}

/* So many seconds from now, by CLOCK_MONOTONIC. */
static struct timespec
time_after(double seconds)
{
	double prev = seconds_now() + seconds;

	return (struct timespec){ .tv_sec = (time_t)prev, .tv_nsec = (long)((prev - floor(prev)) * 1e9) };
}

/* Waits for the readers, and sees to those that are stuck. The lock is held. */
static void
readers_watch(size_t wanted)
{
	while (work.running > 0) {
		double nap = work.stuck || wait_budget < STUCK_AFTER ? STUCK_AFTER / 12 : STUCK_AFTER / 2, before = seconds_now(), now;
		struct timespec until = time_after(nap);
		size_t stuck = 0;
		bool has_detail;

		pthread_cond_timedwait(&work.idle, &work.lock, &until);
		now = seconds_now();
		if (work.scan->tell)
			work.scan->tell(work.scan->n - work_left(), work.scan->n);
		has_detail = now - before > nap + STUCK_AFTER / 8;	/* who was kept waiting himself judges nobody */
		for (struct reader *r = readers; r; r = r->next) {
			if (r->busy && has_detail && r->doing != ABANDONED)
				r->since = r->since + (now - before);
			if (r->busy)
				stuck += reader_look(r, now);
		}
		if (work_left() > 0)
			readers_start(wanted, stuck);
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

int
scan_run(struct scan *scan)
{
	size_t wanted = scan->jobs < scan->n / 8 + 1 ? scan->jobs : scan->n / 8 + 1;
	double begin = seconds_now();
	struct buf *kept = keeping;
	struct reader *alone;

	unknown_proc_init();
	if (scan->want & SMAPS)
		memory_mounts_read(scan->from);
	if (!work.scan)
		cond_init(&work.idle);
	work.scan = scan;
	work.next = work.left = 0;
	work.stuck = 0;
	pthread_mutex_lock(&work.lock);
	keeping = NULL;
	readers_start(wanted, 0);
	if (work.running == 0 && scan->n > 0) {
		if (!(alone = reader_get(scan)))
			return -1;
		unprotected = true;
		reader_run(alone);
	}
	readers_watch(wanted);
	pthread_mutex_unlock(&work.lock);
	for (size_t next = work.next; next < scan->n; next++)	/* no thread was left for it */
		scan->procs[next]->outcome = STALLED;
	keeping = kept;
	for (struct reader *r = readers; r; r = r->next) {
		if (r->blocks.len > 0)		/* also of one that was left behind: it waits, or never comes so far */
			saved_append(&r->blocks);
		for (size_t bit = 0; bit < 32 && r->doing != ABANDONED; bit++) {
			files_opened[bit] += r->opened[bit];
			r->opened[bit] = 0;
		}
	}
	if (work.stuck)
		wait_budget_spend(seconds_now() - work.stuck);
	scan->seconds = seconds_now() - begin;
	return 0;
}

/* Something that may wait for ever, and is no file of a process. */
struct timed_call {
	void (*run)(void *);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void *
call_thread(void *arg)
{
	struct timed_call *e = arg;

	e->run(e->arg);
	pthread_mutex_lock(&e->lock);
	e->is_done = true;
	pthread_cond_signal(&e->done);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

int
call_with_timeout(void (*run)(void *), void *arg, double seconds)
{
	struct timed_call *e = calloc(1, sizeof *e);
	struct timespec until;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	if (!e)
		return -1;
	*e = (struct timed_call){ .run = run, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER };
	cond_init(&e->done);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, CALL_STACK);
	error = pthread_create(&thread, &attr, call_thread, e);
	pthread_attr_destroy(&attr);
	if (error) {
		run(arg);
		free(e);
		return 0;
	}
	until = time_after(seconds);
	pthread_mutex_lock(&e->lock);
	while (!e->is_done && pthread_cond_timedwait(&e->done, &e->lock, &until) == 0)
		;
	error = !e->is_done;
	pthread_mutex_unlock(&e->lock);
	if (error) {
		pthread_detach(thread);
		abandoned++;
		return -1;
	}
	pthread_join(thread, NULL);
	free(e);
	return 0;
}

/* ---- 9. The source ---- */

int
source_pids(const struct source *s, int **pids, size_t *n)
{
	return numbers_list(&s->proc, "", "", pids, n);
}

/* A tree without the level proc/: it has processes, or what smemcap keeps beside them. */
static bool
like_proc(const struct source *s)
{
	bool like = dir_has(&s->proc, "meminfo") || dir_has(&s->proc, "version");
	int *pids = NULL;
	size_t n = 0;

	like = like || (source_pids(s, &pids, &n) == 0 && n > 0);
	free(pids);
	return like;
}

/* What the file NAME says in the line that begins with KEY; unknown if there is none. */
static int64_t
line_value(const struct source *s, const char *name, const char *key, size_t most, struct buf *b)
{
	char *at, *line;

	if (file_read(b, &s->proc, name, most, false) == 0)
		for (at = b->text; (line = line_next(&at)); )
			if (starts(line, key))
				return number(line + strlen(key));
	return UNKNOWN;
}

/* A saved tree may not say its page size, but statm counts in pages what smaps_rollup and status say in KiB: of 4, 16 and
 * 64 KiB, the one that makes most of the first processes agree. */
static int64_t
page_guess(const struct source *s)
{
	static const int64_t pages_of[] = { 4096, 16384, 65536 };
	size_t votes[3] = { 0, 0, 0 }, n = 0, best = 0;
	struct buf b = { NULL, 0, 0 };
	int *pids = NULL;
	char name[64];

	source_pids(s, &pids, &n);
	for (size_t i = 0; i < n && i < 32; i++) {
		int64_t resident, rss;

		snprintf(name, sizeof name, "%d/statm", pids[i]);
		if (file_read(&b, &s->proc, name, FILE_MAX, true) < 0 || (resident = number(b.text + strcspn(b.text, " "))) <= 0)
			continue;
		snprintf(name, sizeof name, "%d/smaps_rollup", pids[i]);
		rss = line_value(s, name, "Rss:", FILE_MAX, &b);
		snprintf(name, sizeof name, "%d/status", pids[i]);
		if (rss == UNKNOWN)
			rss = line_value(s, name, "VmRSS:", FILE_MAX, &b);
		for (size_t j = 0; j < 3 && rss != UNKNOWN; j++)
			votes[j] += rss % (pages_of[j] / 1024) == 0 && rss / (pages_of[j] / 1024) == resident;
	}
	free(b.text);
	free(pids);
	for (size_t j = 1; j < 3; j++)
		best = votes[j] > votes[best] ? j : best;
	return pages_of[best];
}

/* decimal_parse() for files: those who write them put a digit first. */
static double
file_decimal(const char *text, const char **end)
{
	return isdigit((unsigned char)*text) ? decimal_parse(text, end) : NAN;
}

/* What --save says of the machine that no file of /proc does. */
static bool
source_describe(struct source *s)
{
	struct buf b = { NULL, 0, 0 };
	const char *end;
	char *at, *line;
	double seconds;

	if (file_read(&b, &s->root, "memz", SIZE_MAX, false) < 0 || !starts(b.text, "memz ")) {
		free(b.text);
		return false;
	}
	s->saved_outcomes = calloc(b.len + 1, sizeof *s->saved_outcomes);		/* more than there are such lines */
	for (at = b.text; s->saved_outcomes && (line = line_next(&at)); ) {
		if (starts(line, "page_size ") && number(line + 10) >= 1024)
			s->page = number(line + 10);
		else if (starts(line, "time ") && (seconds = file_decimal(line + 5, &end)) < 1e11)
			s->time = seconds;
		else if (starts(line, "self "))
			s->self = (int)number(line + 5);
		else if (starts(line, "stalled "))
			s->saved_outcomes[s->nsaved_outcomes++] = (struct saved_outcome){ number(line + 8), STALLED, 0 };
		else if (starts(line, "vanished "))
			s->saved_outcomes[s->nsaved_outcomes++] = (struct saved_outcome){ number(line + 9), VANISHED, 0 };
		else if (starts(line, "twin ") && strchr(line + 5, ' '))
			s->saved_outcomes[s->nsaved_outcomes++] = (struct saved_outcome){ number(line + 5), MEASURED, number(strchr(line + 5, ' ')) };
	}
	free(b.text);
	return true;
}

static struct source *
source_fail(struct source *s, const char **why, const char *what)
{
	*why = what ? what : strerror(errno);
	free(s);
	return NULL;
}

/* Of this machine, of a directory, or of an archive: where /proc is and where its root; is that a guess? NULL or why not. */
static const char *
source_find(struct source *s, const char *path, bool *suggestion)
{
	int fd = open(path ? path : "/proc", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strerror(errno);
	if (!path)
		s->proc.fd = fd;
	else if (S_ISREG(st.st_mode) && st.st_size > (off_t)(SIZE_MAX >> 1))
		return strerror(EFBIG);
	else if (S_ISREG(st.st_mode)) {
		s->root.archive = s->proc.archive = archive_open(fd, (size_t)st.st_size);
		*suggestion = s->root.archive && s->root.archive->no_proc_prefix;
		if (!s->root.archive)
			return errno == EBADMSG ? "neither a directory nor a tar archive" : errno == EPROTO ? "is compressed: unpack it first, as with gunzip or zstd -d" : strerror(errno);
	} else if (!S_ISDIR(st.st_mode))
		return "neither a directory nor a tar archive";
	else {
		s->root.fd = fd;
		s->proc.fd = openat(fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*suggestion = s->proc.fd < 0;
		if (s->proc.fd < 0 && errno == ENOENT)
			s->proc.fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->proc.fd < 0)
			return strerror(errno);
	}
	return NULL;
}

struct source *
source_open(const char *path, const char **why)
{
	struct source *s = calloc(1, sizeof *s);
	bool suggestion = false;
	struct statfs fs;

	if (!s)
		return source_fail(s, why, NULL);
	s->root.fd = s->proc.fd = -1;
	s->here = !path;
	s->page = sysconf(_SC_PAGESIZE);
	s->time = NAN;
	strcpy(s->proc.path, "proc/");
	if ((*why = source_find(s, path, &suggestion)))
		return source_fail(s, why, *why);
	s->live = !s->proc.archive && fstatfs(s->proc.fd, &fs) == 0 && fs.f_type == PROC_MAGIC;
	s->root.saved = s->proc.saved = !s->live;
	s->own_pids = s->live && source_self(s) == getpid();
	if (s->here && !s->live)
		return source_fail(s, why, "not a proc file system; is it mounted?");
	s->described = !s->live && source_describe(s);
	if (suggestion && !s->described && !like_proc(s))
		return source_fail(s, why, s->proc.archive ? "an archive, but not of a /proc" : "neither is proc/ in it nor is it like a /proc itself");
	if (!s->live && !s->described)
		s->page = page_guess(s);
	return s;
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

/* The mount that FD lies on has one of these options: 22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible;
 * numbers until 5.7, words since. */
static bool
mount_hides(int fd, struct buf *b)
{
	static const char *const hiding[] = { "hidepid=2", "hidepid=4", "hidepid=invisible", "hidepid=ptraceable" };
	struct dir here = { .fd = AT_FDCWD };
	char name[64], *at, *line, id[24] = "";

	snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
	if (file_read(b, &here, name, FILE_MAX, false) == 0)
		for (at = b->text; (line = line_next(&at)); )
			if (starts(line, "mnt_id:"))
				snprintf(id, sizeof id, "%lld ", (long long)number(line + 7));
	if (!*id || file_read(b, &here, "/proc/self/mountinfo", SIZE_MAX, false) < 0)
		return false;
	for (at = b->text; (line = line_next(&at)); )
		for (size_t i = 0; starts(line, id) && i < sizeof hiding / sizeof *hiding; i++)
			if (strstr(line, hiding[i]))
				return true;
	return false;
}

bool
source_hides(const struct source *s, bool sees_all)
{
	struct buf b = { NULL, 0, 0 };
	struct stat st;
	bool hides;

	if (!s->live)
		return false;
	if (fstatat(s->proc.fd, "1", &st, 0) < 0)	/* it is always there */
		return errno == ENOENT;
	hides = !sees_all && st.st_uid == geteuid() && mount_hides(s->proc.fd, &b);
	free(b.text);
	return hides;
}

/* ---- 10. The machine ---- */

/* The kernel's key in snake case: SwapPss swap_pss, Active(anon) active_anon, VmHWM vm_hwm. */
static void
snake(char *to, size_t size, const char *key, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 2 < size; i++) {
		if (key[i] == ')')
			continue;
		if (i > 0 && islower((unsigned char)key[i - 1]) && isupper((unsigned char)key[i]))
			to[n++] = '_';
		to[n++] = key[i] == '(' || key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
	}
	to[n] = '\0';
}

/* "Active(anon):  1504 kB", "Node 0 Active: 12 kB" or "pgfault 123": NAME below DIR. -1: no memory. */
static int
counters_read(struct counters *to, const struct dir *dir, const char *name)
{
	struct buf b = { NULL, 0, 0 };
	size_t lines = 1;
	char *at, *line;

	*to = (struct counters){ NULL, 0 };
	if (file_read(&b, dir, name, FILE_MAX, false) < 0) {
		free(b.text);
		return errno == ENOMEM ? -1 : 0;
	}
	for (at = b.text; *at; at++)
		lines += *at == '\n';
	to->list = calloc(lines < FIGURES_MAX ? lines : FIGURES_MAX, sizeof *to->list);
	if (!to->list)
		return -1;
	for (at = b.text; (line = line_next(&at)) && to->n < FIGURES_MAX; ) {
		struct counter *f = &to->list[to->n];
		size_t len;

		if (starts(line, "Node ") && isdigit((unsigned char)line[5])) {
			line += 5 + strcspn(line + 5, " ");
			line += *line == ' ';
		}
		len = strspn(line, KEY_LETTERS);
		if (len == 0 || (line[len] != ':' && line[len] != ' '))
			continue;
		snake(f->name, sizeof f->name, line, len);
		f->value = number(line + len + 1);
		f->kib = strstr(line + len, " kB") != NULL;
		to->n++;
	}
	free(b.text);
	return 0;
}

int64_t
counter_get(const struct counters *counters, const char *name)
{
	for (size_t i = 0; i < counters->n; i++)
		if (strcmp(counters->list[i].name, name) == 0)
			return counters->list[i].value;
	return UNKNOWN;
}

/* The first line of a small file, kept; NULL if it cannot be read. */
static const char *
line_text(const struct source *s, const char *name, struct buf *b)
{
	if (file_read(b, &s->proc, name, FILE_MAX, false) < 0)
		return NULL;
	b->text[strcspn(b->text, "\n")] = '\0';
	return strdup(b->text);
}

/* Linux version 5.4.0-42-generic (buildd@...): where osrelease was not kept. */
static const char *
version_release(const struct source *s, struct buf *b)
{
	static const char start[] = "Linux version ";
	char *at;

	if (file_read(b, &s->proc, "version", FILE_MAX, false) < 0 || strncmp(b->text, start, sizeof start - 1) != 0)
		return NULL;
	at = b->text + sizeof start - 1;
	at[strcspn(at, " \n")] = '\0';
	return strdup(at);
}

int64_t
machine_boot(const struct source *s)
{
	struct buf b = { NULL, 0, 0 };
	int64_t boot = line_value(s, "stat", "btime ", SIZE_MAX, &b);

	free(b.text);
	return boot;
}

/* Seconds since the epoch: now, or when it was saved, else the boot time plus uptime; NAN unknown. */
static double
time_read(const struct source *s, struct buf *b)
{
	struct timespec t;
	int64_t boot, up = UNKNOWN;

	if (s->live) {
		clock_gettime(CLOCK_REALTIME, &t);
		return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	}
	if (!isnan(s->time))
		return s->time;
	boot = machine_boot(s);
	if (file_read(b, &s->proc, "uptime", FILE_MAX, false) == 0) {
		b->text[strcspn(b->text, ".")] = '\0';
		up = number(b->text);
	}
	return both(boot, up) == UNKNOWN ? NAN : (double)both(boot, up);
}

int
machine_read(const struct source *s, struct machine *m)
{
	struct buf b = { NULL, 0, 0 };
	int result = counters_read(&m->memory, &s->proc, "meminfo");
	struct utsname name;
	char text[32];

	m->mem_total = counter_get(&m->memory, "mem_total");
	m->mem_available = counter_get(&m->memory, "mem_available");
	m->mem_used = kib_sub(m->mem_total, m->mem_available);
	m->swap_total = counter_get(&m->memory, "swap_total");
	m->swap_used = kib_sub(m->swap_total, counter_get(&m->memory, "swap_free"));
	m->host = line_text(s, "sys/kernel/hostname", &b);
	m->kernel = line_text(s, "sys/kernel/osrelease", &b);
	if (!m->kernel)
		m->kernel = version_release(s, &b);
	if (s->here && uname(&name) == 0) {		/* a procfs may be mounted without them (subset=pid) */
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
	struct buf b = { NULL, 0, 0 };
	int64_t n = 0;
	char *at, *line;

	if (s->here)
		return sysconf(_SC_NPROCESSORS_CONF);
	if (file_read(&b, &s->proc, "stat", SIZE_MAX, false) == 0)
		for (at = b.text; (line = line_next(&at)); )
			n += strncmp(line, "cpu", 3) == 0 && isdigit((unsigned char)line[3]);
	free(b.text);
	return n > 0 ? n : UNKNOWN;
}

/* 6.18.44-generic. */
bool
release_from(const char *release, unsigned major, unsigned minor)
{
	unsigned is_major = release ? digits_parse(&release, 10) : 0;

	if (is_major == 0 || *release++ != '.')
		return false;
	return is_major > major || (is_major == major && digits_parse(&release, 10) >= minor);
}

/* statm is exact from 6.16 on; from 6.2 each of three counters may lag by a batch a CPU; before, each thread kept up
 * to 64 faults to itself, of 16 pages each. */
void
machine_slack(const struct source *s, struct machine *m)
{
	int64_t n;

	m->slack = UNKNOWN;
	m->thread_slack = 0;
	if (!release_from(m->kernel, 1, 0))
		return;
	if (release_from(m->kernel, 6, 16))
		m->slack = 0;
	else if (release_from(m->kernel, 6, 2))
		m->slack = (n = cpus(s)) == UNKNOWN ? UNKNOWN : pages(3 * n * (2 * n > 32 ? 2 * n : 32), s);
	else {
		m->slack = 0;
		m->thread_slack = pages(1040, s);
	}
}

/* Node 0, zone   Normal      3      2 ...: free blocks of 1, 2, 4, ... pages. */
static bool
zone_parse(struct zone *z, char *line)
{
	char *rest = line, *word = starts(line, "Node ") ? strtok_r(line + 5, " ,", &rest) : NULL;
	int64_t node = word ? number(word) : UNKNOWN;

	*z = (struct zone){ .node = (int)node };
	if (node < 0 || node > INT_MAX || !(word = strtok_r(NULL, " ,", &rest)) || strcmp(word, "zone") != 0 || !(word = strtok_r(NULL, " ", &rest)))
		return false;
	snprintf(z->name, sizeof z->name, "%s", word);
	while (z->orders < ORDERS_MAX && (word = strtok_r(NULL, " ", &rest)))
		z->blocks[z->orders++] = number(word);
	return z->orders > 0;
}

static int
zones_read(const struct source *s, struct system *system, struct buf *b)
{
	char *at, *line;

	if (file_read(b, &s->proc, "buddyinfo", FILE_MAX, false) < 0)
		return errno == ENOMEM ? -1 : 0;
	for (at = b->text; (line = line_next(&at)); ) {
		struct zone *more = realloc(system->zones, (system->nzones + 1) * sizeof *more);

		if (!more)
			return -1;
		system->zones = more;
		system->nzones += zone_parse(&more[system->nzones], line);
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
	if (file_read(b, &s->proc, "pressure/memory", FILE_MAX, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); )
		for (int i = 0; i < 3; i++) {
			const char *value = strstr(line, keys[i]), *end = NULL;
			double x = value ? file_decimal(value + strlen(keys[i]), &end) : NAN;

			if (x <= 100 && (!*end || *end == ' ') && (starts(line, "some ") || starts(line, "full ")))
				system->psi[i + (*line == 'f' ? 3 : 0)] = x;
		}
}

static int
nodes_read(const struct dir *sys, struct system *system)
{
	char name[64];
	size_t n;
	int *ids;

	if (numbers_list(sys, "devices/system/node", "node", &ids, &n) < 0)
		return 0;
	system->nodes = calloc(n + 1, sizeof *system->nodes);
	for (size_t i = 0; i < n && system->nodes; i++) {
		system->nodes[i].id = ids[i];
		snprintf(name, sizeof name, "devices/system/node/node%d/meminfo", ids[i]);
		if (counters_read(&system->nodes[i].memory, sys, name) < 0)
			return -1;
	}
	system->nnodes = n;
	free(ids);
	return system->nodes ? 0 : -1;
}

/* 536870912 10485760 11534336 0 ...: original data, compressed, all that the device takes, in bytes. */
static void
zram_read(const struct dir *sys, struct system *system, struct buf *b)
{
	char name[64], *word, *rest;
	size_t n;
	int *ids;

	if (numbers_list(sys, "block", "zram", &ids, &n) < 0)
		return;
	system->zram_used = system->zram_data = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t field[3] = { UNKNOWN, UNKNOWN, UNKNOWN };

		snprintf(name, sizeof name, "block/zram%d/mm_stat", ids[i]);
		if (file_read(b, sys, name, FILE_MAX, true) < 0)
			b->len = 0;
		else if (b->len == 0)
			continue;		/* not set up */
		word = b->len > 0 ? strtok_r(b->text, " \n", &rest) : NULL;
		for (int j = 0; j < 3 && word; j++, word = strtok_r(NULL, " \n", &rest))
			field[j] = number(word);
		system->zram_data = both(system->zram_data, field[0] == UNKNOWN ? UNKNOWN : field[0] / 1024);
		system->zram_used = both(system->zram_used, field[2] == UNKNOWN ? UNKNOWN : field[2] / 1024);
	}
	free(ids);
}

/* The root of the machine; of this one it is opened where it is needed. */
static struct dir
root_open(const struct source *s)
{
	struct dir root = s->root;

	if (s->here && (root.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		open_fail(&root, "", errno);
	return root;
}

int
system_read(const struct source *s, struct system *system)
{
	struct buf b = { NULL, 0, 0 };
	struct dir root = root_open(s), sys;
	int result = counters_read(&system->vm, &s->proc, "vmstat");

	if (zones_read(s, system, &b) < 0)
		result = -1;
	pressure_read(s, system, &b);
	system->zram_used = system->zram_data = UNKNOWN;
	if (dir_open(&sys, &root, "sys") == 0) {
		if (nodes_read(&sys, system) < 0)
			result = -1;
		zram_read(&sys, system, &b);
		dir_close(&sys);
	}
	free(b.text);
	if (s->here)
		dir_close(&root);
	return result;
}

/* ---- 11. Control groups ---- */

/* The memory controller's mount: its directory below the source's root, the part of paths that it hides, its version. */
struct controller {
	struct dir root;
	char dir[256], hidden[256];
	int version;		/* 0: there is none */
};

/* Is WORD one of those between the commas of LIST? */
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

/* \040 is a blank in mountinfo, and so on. */
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

/* 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory: root within the hierarchy, mount point,
 * type, and as version 1 the controllers among the options. Version 1 counts where both are mounted. */
static void
controller_line(struct controller *c, char *line)
{
	char *tail = strstr(line, " - "), *word[5], *rest = line, *options;
	int version, n = 0;

	if (!tail)
		return;
	*tail = '\0';
	tail += 3;
	while (n < 5 && (word[n] = strtok_r(rest, " ", &rest)))
		n++;
	options = strrchr(tail, ' ');
	version = strncmp(tail, "cgroup2 ", 8) == 0 ? 2 : strncmp(tail, "cgroup ", 7) == 0 && options && has_word(options + 1, "memory") ? 1 : 0;
	if (n < 5 || !version || (c->version == version && (!*c->hidden || strcmp(word[3], "/") != 0)) || (c->version == 1 && version == 2))
		return;		/* the whole hierarchy is better than a part of it */
	c->version = version;
	unescape(word[3]);
	unescape(word[4]);
	snprintf(c->dir, sizeof c->dir, "%s", word[4] + (*word[4] == '/'));
	snprintf(c->hidden, sizeof c->hidden, "%s", strcmp(word[3], "/") == 0 ? "" : word[3]);
}

static void
controller_find(const struct source *s, struct controller *c)
{
	struct buf b = { NULL, 0, 0 };
	char *at, *line;

	c->version = 0;
	c->hidden[0] = '\0';
	c->root = root_open(s);
	if (mounts_read(s, &b) == 0)
		for (at = b.text; (line = line_next(&at)); )
			controller_line(c, line);
	free(b.text);
}

/* A figure of the cgroup whose path below the mount is the first LEN bytes of PATH, in KiB; `max' and version 1's huge
 * limit: unknown. */
static int64_t
memcg_file_kib(const struct controller *c, const char *path, size_t len, const char *file)
{
	char name[PATH_MAX];
	struct buf b = { NULL, 0, 0 };
	int64_t bytes = UNKNOWN;

	if (snprintf(name, sizeof name, "%s%.*s/%s", c->dir, (int)len, path, file) < (int)sizeof name &&
	    file_read(&b, &c->root, name, FILE_MAX, true) == 0)
		bytes = number(b.text);
	free(b.text);
	return bytes == UNKNOWN || bytes > INT64_MAX / 2 ? UNKNOWN : bytes / 1024;
}

/* The part of PATH below the root of the mount; NULL: it lies elsewhere, as other containers' do. */
static const char *
controller_path(const struct controller *c, const char *path)
{
	size_t hidden = strlen(c->hidden);

	if (strncmp(path, c->hidden, hidden) != 0 || (path[hidden] && path[hidden] != '/') || strstr(path, "/../") || strcmp(path, "/..") == 0)
		return NULL;
	return path + hidden;
}

void
cgroup_read(const struct source *s, const char *path, struct group_row *row)
{
	static struct controller c;
	static const struct source *of;
	bool one;
	size_t len;

	if (of != s)
		controller_find(of = s, &c);
	one = c.version == 1;
	row->cg_usage = row->cg_limit = row->cg_swap = row->cg_pct = UNKNOWN;
	if (!c.version || !(path = controller_path(&c, path)))
		return;
	len = strlen(path);
	len -= len == 1;	/* the root is "/", others have no slash at the end */
	row->cg_usage = memcg_file_kib(&c, path, len, one ? "memory.usage_in_bytes" : "memory.current");
	row->cg_swap = memcg_file_kib(&c, path, len, one ? "memory.memsw.usage_in_bytes" : "memory.swap.current");
	if (one && row->cg_swap != UNKNOWN)	/* which is memory and swap, read a moment later */
		row->cg_swap = row->cg_swap > row->cg_usage ? kib_sub(row->cg_swap, row->cg_usage) : 0;
	for (;; len--) {
		int64_t limit = memcg_file_kib(&c, path, len, one ? "memory.limit_in_bytes" : "memory.max");

		if (limit != UNKNOWN && (row->cg_limit == UNKNOWN || limit < row->cg_limit))
			row->cg_limit = limit;
		while (len > 0 && path[len - 1] != '/')
			len--;
		if (len == 0)
			break;
	}
	if (row->cg_limit > 0 && row->cg_usage != UNKNOWN)
		row->cg_pct = (int64_t)(1e8 * (double)row->cg_usage / (double)row->cg_limit);
}

/* ---- 12. Users ---- */

static bool passwd_lost;	/* it is there and could not be read */

static const char *
passwd_text(const struct source *s)
{
	static struct buf b;
	static const struct source *of;
	struct buf *kept = keeping;

	if (of != s) {
		of = s;
		keeping = NULL;		/* only those who are seen are saved */
		passwd_lost = file_read(&b, &s->root, "etc/passwd", SIZE_MAX, false) < 0 && errno != ENOENT;
		if ((b.len == 0 || passwd_lost) && buf_grow(&b, 1) == 0)
			b.text[0] = '\0';
		keeping = kept;
	}
	return b.text ? b.text : "";
}

/* alice:x:1000:...: the next name and uid from *AT on; false at the end. */
static bool
passwd_next(const char **at, const char **name, size_t *len, int64_t *uid)
{
	while (**at) {
		const char *line = *at, *colon;
		size_t n = strcspn(line, "\n");

		*at = line + n + (line[n] == '\n');
		*name = line;
		*len = strcspn(line, ":\n");
		colon = line[*len] == ':' ? line + *len + 1 : NULL;
		colon = colon ? colon + strcspn(colon, ":\n") : NULL;
		if (colon && *colon == ':' && (*uid = number(colon + 1)) != UNKNOWN)
			return true;
	}
	return false;
}

/* What the name service is asked for. */
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

/* Asks it, unless it has kept us waiting once. NULL with errno: ETIMEDOUT, or ENOENT; the answer is the caller's. */
static struct lookup *
user_lookup(const char *name, int64_t uid)
{
	static bool is_dead;
	struct lookup *l = is_dead ? NULL : calloc(1, sizeof *l);

	errno = ETIMEDOUT;
	if (!l)
		return NULL;
	l->by_name = name;
	l->uid = (uid_t)uid;
	snprintf(l->name, sizeof l->name, "%s", name ? name : "");
	if (call_with_timeout(lookup_run, l, wait_budget_total) < 0) {
		is_dead = true;		/* l is its thread's */
		errno = ETIMEDOUT;
		return NULL;
	}
	if (l->found)
		return l;
	free(l);
	errno = ENOENT;
	return NULL;
}

static const char *
name_of(const struct source *s, int64_t uid)
{
	const char *at, *name;
	struct lookup *l = s->here ? user_lookup(NULL, uid) : NULL;
	char number_text[24];
	int64_t found;
	size_t len;

	if (l)
		return l->name;
	snprintf(number_text, sizeof number_text, "%lld", (long long)uid);
	for (at = s->here ? "" : passwd_text(s); passwd_next(&at, &name, &len, &found); )
		if (found == uid && len > 0)
			return strndup(name, len);
	return strdup(number_text);
}

/* The names of uids, remembered by uid and source. */
struct user {
	int64_t uid;
	const struct source *of;
	const char *name;
};

static struct {
	struct user *list;	/* ordered */
	size_t n, size;
} known;

static int
known_compare(const struct user *a, int64_t uid, const struct source *of)
{
	return a->uid != uid ? (a->uid > uid) - (a->uid < uid) : ((uintptr_t)a->of > (uintptr_t)of) - ((uintptr_t)a->of < (uintptr_t)of);
}

const char *
user_name(const struct source *s, int64_t uid)
{
	size_t low = 0, high = known.n;

	if (uid == UNKNOWN)
		return NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (known_compare(&known.list[middle], uid, s) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < known.n && known_compare(&known.list[low], uid, s) == 0)
		return known.list[low].name;
	if (known.n == known.size) {
		struct user *more = realloc(known.list, (2 * known.size + 16) * sizeof *more);

		if (!more)
			return NULL;
		known.list = more;
		known.size = 2 * known.size + 16;
	}
	memmove(known.list + low + 1, known.list + low, (known.n++ - low) * sizeof *known.list);
	known.list[low] = (struct user){ uid, s, name_of(s, uid) };
	return known.list[low].name;
}

int64_t
user_id(const struct source *s, const char *name)
{
	const char *at, *found;
	int64_t uid;
	size_t len;

	if (s->here) {
		struct lookup *l = user_lookup(name, 0);

		uid = l ? (int64_t)l->uid : UNKNOWN;
		free(l);
		return uid;
	}
	errno = ENOENT;
	for (at = passwd_text(s); passwd_next(&at, &found, &len, &uid); )
		if (strlen(name) == len && memcmp(found, name, len) == 0)
			return uid;
	return UNKNOWN;
}

/* ---- 13. --save ---- */

/* N as DIGITS octal ones. By hand, since a process has ten headers. */
static void
octal(char *to, size_t digits, uint64_t n)
{
	for (; digits > 0; n >>= 3)
		to[--digits] = (char)('0' + (n & 7));
}

static void
header_finish(struct header *h, size_t size)
{
	octal(h->size, sizeof h->size - 1, size);
	octal(h->sum, sizeof h->sum - 2, header_sum(h));
}

static void
block_fill(struct buf *b)
{
	static const char zeros[BLOCK];

	buf_add(b, zeros, (BLOCK - b->len % BLOCK) % BLOCK);
}

/* "27 path=proc/1/...\n": what a header is too short for stands in one before it, with its own length in front. */
static void
pax_add(struct buf *b, const char *key, const char *value)
{
	size_t len = strlen(key) + strlen(value) + 3, digits = 1;
	struct header h = { .name = "pax", .mode = "0000600", .uid = "0000000", .gid = "0000000", .mtime = "00000000000", .type = 'x', .magic = "ustar", .version = "00" };
	char start[64];

	while ((size_t)snprintf(start, sizeof start, "%zu", len + digits) > digits)
		digits++;
	snprintf(start, sizeof start, "%zu %s=", len + digits, key);
	header_finish(&h, len + digits);
	buf_add(b, &h, sizeof h);
	buf_add(b, start, strlen(start));
	buf_add(b, value, strlen(value));
	buf_add(b, "\n", 1);
	block_fill(b);
}

/* NAME in a header, divided at a slash if need be. False: it does not fit. */
static bool
header_name(struct header *h, const char *name)
{
	size_t len = strlen(name);
	const char *slash = len > TAR_NAME_LEN ? strchr(name + len - TAR_NAME_LEN - 1, '/') : NULL;

	if (len <= TAR_NAME_LEN) {
		memcpy(h->name, name, len);
		return true;
	}
	if (!slash || slash == name || !slash[1] || slash - name > TAR_PREFIX_LEN)
		return false;
	memcpy(h->prefix, name, (size_t)(slash - name));
	memcpy(h->name, slash + 1, strlen(slash + 1));
	return true;
}

/* Begins a member of B; returns where, for member_end. */
static size_t
member_begin(struct buf *b, const char *name, char type, const char *link, bool refused)
{
	struct header h = { .mode = "0000600", .uid = "0000000", .gid = "0000000", .type = type, .magic = "ustar", .version = "00" };
	size_t at;

	if (type == '5')
		memcpy(h.mode, "0000700", 7);
	if (refused)
		memcpy(h.mode, "0000000", 7);
	octal(h.mtime, sizeof h.mtime - 1, (uint64_t)time(NULL));
	if (!header_name(&h, name))
		pax_add(b, "path", name);
	if (link && strlen(link) <= TAR_NAME_LEN)
		memcpy(h.link, link, strlen(link));
	else if (link)
		pax_add(b, "linkpath", link);
	at = b->len;
	buf_add(b, &h, sizeof h);
	return at;
}

/* Ends the member that was begun at AT: what was added since is its content. */
static void
member_end(struct buf *b, size_t at)
{
	struct header h;

	if (b->len < at + sizeof h)
		return;			/* no memory */
	memcpy(&h, b->text + at, sizeof h);
	header_finish(&h, b->len - at - sizeof h);
	memcpy(b->text + at, &h, sizeof h);
	block_fill(b);
}

static void
member_add(struct buf *b, const char *name, const void *data, size_t n)
{
	size_t at = member_begin(b, name, '0', NULL, false);

	buf_add(b, data, n);
	member_end(b, at);
}

/* Names of members that the main thread has saved: open addressing, at most half full. */
static struct {
	char **slots;
	size_t n, size;
} kept_names;

static char **
names_slot(char **slots, size_t size, const char *name)
{
	size_t i = (size_t)hash(name, HASH_BEGIN) & (size - 1);

	while (slots[i] && strcmp(slots[i], name) != 0)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

/* Adds NAME; false: it was there. */
static bool
names_add(const char *name)
{
	char **slot;

	if (2 * kept_names.n >= kept_names.size) {
		size_t size = kept_names.size ? 2 * kept_names.size : 1024;
		char **slots = calloc(size, sizeof *slots);

		if (!slots)
			return false;
		for (size_t i = 0; i < kept_names.size; i++)
			if (kept_names.slots[i])
				*names_slot(slots, size, kept_names.slots[i]) = kept_names.slots[i];
		free(kept_names.slots);
		kept_names.slots = slots;
		kept_names.size = size;
	}
	slot = names_slot(kept_names.slots, kept_names.size, name);
	if (*slot)
		return false;
	*slot = strdup(name);
	kept_names.n += *slot != NULL;
	return true;
}

/* Is there a member of that name in B? Names that do not fit a header count as new. */
static bool
block_has(const struct buf *b, const char *name)
{
	struct header h, wanted = { .type = 0 };

	if (!header_name(&wanted, name))
		return false;
	for (size_t at = 0; at + sizeof h <= b->len; ) {
		memcpy(&h, b->text + at, sizeof h);
		if (memcmp(h.name, wanted.name, sizeof h.name) == 0 && memcmp(h.prefix, wanted.prefix, sizeof h.prefix) == 0 && h.type != 'x')
			return true;
		at += sizeof h + (header_number(h.size, sizeof h.size) + BLOCK - 1) / BLOCK * BLOCK;
	}
	return false;
}

/* What this thread has read of NAME in IN is to be kept: the whole name, in TO; false: it is not, or it is already. */
static bool
to_keep(const struct dir *in, const char *name, char to[PATH_MAX])
{
	size_t len = strlen(in->path);

	if (!keeping || len + strlen(name) >= PATH_MAX)
		return false;
	memcpy(to, in->path, len);
	strcpy(to + len, name);
	return keeping == &saved.block ? names_add(to) : !block_has(keeping, to);
}

static void
save_file(const struct dir *in, const char *name, const struct buf *b, int error)
{
	char whole[PATH_MAX];

	if (error)
		open_fail(in, name, error);

	errno = error;
	if (is_missing(error) || error == EISDIR || !to_keep(in, name, whole))
		return;
	if (error)
		member_end(keeping, member_begin(keeping, whole, '0', NULL, true));
	else
		member_add(keeping, whole, b->text, b->len);
	errno = error;
}

#define UNKEPT	(MAPS | NUMA_MAPS | SMAPS)	/* saved only where the report reads them */

/* What is to be saved of the process beside what was read. */
static void
save_rest(struct reader *r, const struct proc *p)
{
	char name[32], whole[PATH_MAX];

	if (p->outcome == VANISHED) {		/* an empty directory tells */
		r->block.len = 0;
		snprintf(name, sizeof name, "proc/%lld", (long long)p->pid);
		member_end(&r->block, member_begin(&r->block, name, '5', NULL, false));
	}
	for (size_t i = 0; i < NFILES && p->outcome != VANISHED; i++) {
		const struct file *f = &files[i];

		if (f->source & UNKEPT || (p->over_max_rss && f->source & SRC_EXPENSIVE))
			continue;
		if (!to_keep(&r->dir, f->name, whole))	/* it is there */
			continue;
		r->complete = r->block.len;
		if (f->source == EXE && buf_grow(&r->buf, FILE_MAX / 64) == 0)
			link_read(&r->dir, f->name, r->buf.text, r->buf.size);
		else if (f->source != EXE && file_read(&r->buf, &r->dir, f->name, CMDLINE_MAX, true) < 0 && f->source == ROLLUP && errno == ENOENT)
			file_lines(r, smaps.name, NULL, NULL);
	}
}

/* What could not even be opened was refused, in the archive too. */
static void
save_denied(struct reader *r, const struct proc *p)
{
	char name[64];

	if (p->outcome == VANISHED)
		save_rest(r, p);
	for (size_t i = 0; i < NFILES && p->outcome == DENIED; i++)
		if (!(files[i].source & UNKEPT)) {
			snprintf(name, sizeof name, "proc/%lld/%s", (long long)p->pid, files[i].name);
			member_end(&r->block, member_begin(&r->block, name, '0', NULL, true));
		}
}

/* Appends members to the archive. Errors are kept. */
static void
saved_append(struct buf *b)
{
	size_t done = 0;
	off_t at;

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

void
save_drop(void)
{
	if (saved.is_there)
		unlink(saved.temporary);
}

static void
save_interrupted(int signal_number)
{
	save_drop();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int
save_begin(const char *name)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	struct stat st;
	size_t size = strlen(name) + 8;

	saved.name = name;
	saved.temporary = malloc(size);
	errno = EEXIST;
	if (!saved.temporary || lstat(name, &st) == 0 || errno != ENOENT)
		return -1;
	snprintf(saved.temporary, size, "%s.XXXXXX", name);
	saved.fd = mkostemp(saved.temporary, O_CLOEXEC);	/* O_EXCL, mode 0600 */
	if (saved.fd < 0)
		return -1;
	saved.is_there = true;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (signal(signals[i], save_interrupted) == SIG_IGN)
			signal(signals[i], SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);		/* EFBIG tells as much */
	return atexit(save_drop) ? -1 : 0;
}

void
save_keep(bool on)
{
	keeping = on ? &saved.block : NULL;
}

void
save_same_mm_lines(const struct proc *procs, size_t n)
{
	char line[64];

	for (size_t i = 0; i < n; i++)
		if (procs[i].same_mm) {
			snprintf(line, sizeof line, "twin %lld %d\n", (long long)procs[i].pid, procs[i].same_mm);
			buf_add(&saved.twins, line, strlen(line));
		}
}

/* "memz 1.0.0" and what no file of /proc says. */
static void
description_add(const struct source *s, const struct machine *m, int self, const struct proc *procs, size_t n)
{
	struct buf *b = &saved.block;
	size_t at = member_begin(b, "memz", '0', NULL, false);
	char line[128];

	snprintf(line, sizeof line, "memz %s\npage_size %lld\nself %d\n", MEMZ_VERSION, (long long)s->page, self);
	buf_add(b, line, strlen(line));
	if (!isnan(m->now)) {
		snprintf(line, sizeof line, "time %.6f\n", m->now);
		buf_add(b, line, strlen(line));
	}
	buf_add(b, saved.twins.text, saved.twins.len);
	for (size_t i = 0; i < n; i++)
		if (procs[i].outcome == STALLED || procs[i].outcome == VANISHED) {
			snprintf(line, sizeof line, "%s %lld\n", procs[i].outcome == STALLED ? "stalled" : "vanished", (long long)procs[i].pid);
			buf_add(b, line, strlen(line));
		}
	member_end(b, at);
}

static void
users_add(const struct source *s, const struct proc *procs, size_t n)
{
	struct buf *b = &saved.block;
	char line[512];
	size_t at;

	if (!s->here)
		passwd_text(s);
	at = member_begin(b, "etc/passwd", '0', NULL, passwd_lost);
	for (size_t i = 0; i < n; i++)
		if (procs[i].outcome != VANISHED)
			user_name(s, procs[i].uid);
	for (size_t i = 0; i < known.n && !passwd_lost; i++) {
		const struct user *u = &known.list[i];
		int len = snprintf(line, sizeof line, "%s:x:%lld:::/:\n", u->name ? u->name : "", (long long)u->uid);

		if (u->name && u->of == s && len < (int)sizeof line)
			buf_add(b, line, (size_t)len);
	}
	member_end(b, at);
}

/* What of the machine the report has not read. */
static void
save_machine(const struct source *s, const struct proc *procs, size_t n)
{
	static const char *const names[] = { "stat", "uptime", "version", "sys/kernel/osrelease", "sys/kernel/hostname", "sys/kernel/random/boot_id" };
	static struct system system;
	struct buf b = { NULL, 0, 0 };
	char group[PATH_MAX];
	struct group_row row;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		file_read(&b, &s->proc, names[i], SIZE_MAX, false);
	mounts_read(s, &b);
	free(b.text);
	system_read(s, &system);
	for (size_t i = 0; i < n; i++) {
		snprintf(group, sizeof group, "cgroup:%s", procs[i].cgroup ? procs[i].cgroup : "");
		if (procs[i].cgroup && names_add(group))
			cgroup_read(s, procs[i].cgroup, &row);
	}
}

/* Into its place, unless there is something by now. */
static int
saved_rename(void)
{
	if (syscall(SYS_renameat2, AT_FDCWD, saved.temporary, AT_FDCWD, saved.name, 1u /* RENAME_NOREPLACE, linux/fs.h */) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (link(saved.temporary, saved.name) < 0)
		return -1;
	unlink(saved.temporary);
	return 0;
}

int
save_end(const struct source *s, const struct machine *m, int self, const struct proc *procs, size_t n)
{
	static const char zeros[2 * BLOCK];

	save_machine(s, procs, n);
	keeping = NULL;
	description_add(s, m, self, procs, n);
	users_add(s, procs, n);
	buf_add(&saved.block, zeros, sizeof zeros);
	saved_append(&saved.block);
	if (!saved.error && (fsync(saved.fd) < 0 || close(saved.fd) < 0 || saved_rename() < 0))
		saved.error = errno;
	if (saved.error) {
		save_drop();
		errno = saved.error;
	}
	saved.is_there = false;
	return saved.error ? -1 : 0;
}
