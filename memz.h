/*
 * memz.h: what memz.c, parse.c and report.c share. Sizes are KiB unless a name says otherwise. A tour, from a
 * file of /proc to a printed cell, is at the end.
 */
#ifndef MEMZ_H
#define MEMZ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MEMZ_VERSION "1.0.0"

/* A value that was not given. It is INT64_MIN, as deltas and oom_score_adj may be negative. */
#define UNKNOWN INT64_MIN

/* Sources, a bit each: a column names those that it comes from, the plan those that are read. */
enum {
	OWNER     = 1 << 0,	/* the owner of /proc/PID; in a saved tree, the Uid line of status */
	STATM     = 1 << 1,
	STATUS    = 1 << 2,
	COMM      = 1 << 3,
	CGROUP    = 1 << 4,
	OOM_SCORE = 1 << 5,
	OOM_ADJ   = 1 << 6,
	STAT      = 1 << 7,
	EXE       = 1 << 8,
	ROLLUP    = 1 << 9,	/* smaps_rollup; of a process without it, the sums of smaps */
	CMDLINE   = 1 << 10,
	MAPS      = 1 << 11,
	NUMA_MAPS = 1 << 12,
	RSS       = 1 << 13,	/* no file: ROLLUP if the report reads it, else STATM */
	USER      = 1 << 14,	/* no file of the process: the name service, asked once per uid */
	ANCESTRY  = 1 << 15,	/* no file: stat and comm of the ancestors */
	MACHINE   = 1 << 16,	/* no file of the process: the column lies in struct machine */
	CHANGE    = 1 << 17,	/* no file: known after the second scan */
	GROUP     = 1 << 18,	/* no file: counted when groups are made */
	CG_USAGE  = 1 << 19,	/* files of the memory controller: memory.current */
	SMAPS     = 1 << 20,	/* smaps, mapping by mapping */
	RSS_PARTS = 1 << 21,	/* status of the processes whose ROLLUP cannot be read */
	CG_PEAK   = 1 << 22,	/* memory.peak */
	CG_LIMIT  = 1 << 23,	/* memory.max of the group and its ancestors */
	CG_PCT    = 1 << 24,	/* the same, and memory.current of the groups that have a limit */
	CG_SWAP   = 1 << 25,	/* memory.swap.current */
	CG_STAT   = 1 << 26,	/* memory.stat */
	CG_KERNEL = 1 << 27,	/* memory.stat; files of their own with version 1 */
	CG_SOCK   = 1 << 28,
	CG_EVENTS = 1 << 29,	/* memory.events; memory.oom_control */
	CG_PSI    = 1 << 30,	/* memory.pressure */
};
#define CG_PARTS	(CG_STAT | CG_KERNEL | CG_SOCK)
#define MEMCG		((unsigned)(CG_USAGE | CG_PEAK | CG_LIMIT | CG_PCT | CG_SWAP | CG_PARTS | \
			CG_EVENTS | CG_PSI))
/* Reading these walks the page tables or the mappings of the process, with its mmap lock held. */
#define SRC_EXPENSIVE	(ROLLUP | MAPS | NUMA_MAPS | SMAPS)
/* These are no files of a process; they are filled in outside the scan. */
#define SRC_COMPUTED	(USER | ANCESTRY | MACHINE | CHANGE | GROUP | MEMCG)
/* Columns of these lie in struct machine or struct group_row. */
#define SRC_NOT_IN_PROC	(MACHINE | GROUP | MEMCG | SMAPS)

/* A kind decides alignment, JSON type, units, comparison and the direction of a sort. */
enum kind {
	TEXT,		/* const char *, NULL unknown */
	TIME,		/* clock ticks since boot, shown as ISO 8601 */
	NODES,		/* text "0=12 1=34", a JSON object */
	FLAG,		/* yes or no */
	ID,		/* a number that names something: ascends, has no sum */
	SCORE,		/* a number that has no sum */
	COUNT,
	PEAK,		/* KiB without a sum */
	KIB,
	SWAP_KIB,	/* KiB whose % is of SwapTotal */
	PERCENT,	/* stored as the KiB whose share of MemTotal it is */
	SWAP_PERCENT,
	MILLIONTHS,	/* a percentage stored as it is, in millionths of a percent */
	BAR,		/* stored nowhere: drawn */
};

struct column {
	const char *name;
	const char *key;	/* the kernel's word for it in the file it comes from, or NULL */
	unsigned source;
	enum kind kind;
	unsigned short offset;	/* in struct proc; of SRC_NOT_IN_PROC in struct machine or group_row */
	unsigned short bound;	/* offset of a number of statm that it never exceeds, so that -n and -f may skip
				 * its file; 0: none, which is always right */
	const char *help;
};

/* A column in use: its value, its change since the first scan, or that change per second. */
struct field {
	const struct column *column;
	enum { VALUE, DELTA, RATE } how;
	bool up;		/* as a sort key: smallest first */
};

enum outcome { MEASURED, DENIED, VANISHED, STALLED, SKIPPED, OUTCOMES };

/* One process in one snapshot. Texts live as long as the program; NULL is unknown. */
struct proc {
	int64_t pid, ppid, uid, threads, start, oom_score, oom_score_adj;
	int64_t vsz, rss, minflt, majflt;
	int64_t pss, pss_dirty, pss_anon, pss_file, pss_shmem;
	int64_t shared_clean, shared_dirty, private_clean, private_dirty;
	int64_t referenced, anonymous, ksm, lazy_free;
	int64_t anon_huge_pages, shmem_pmd_mapped, file_pmd_mapped;
	int64_t shared_hugetlb, private_hugetlb, swap, swap_pss, locked;
	int64_t uss, shared, thp, hugetlb, pss_swap;
	int64_t vm_peak, vm_hwm, rss_anon, rss_file, rss_shmem;
	int64_t vm_data, vm_stk, vm_exe, vm_lib, vm_pte, vm_swap, vm_lck, vm_pin;
	int64_t maps;
	int64_t anon_max;	/* upper bound of rss_anon: resident less shared of statm; no column */
	const char *user, *name, *command, *exe, *state;
	const char *cgroup, *unit, *container, *ancestry, *numa, *change;
	const char *unit_path;	/* the cgroup path as far as unit, which is its end */

	const struct proc *prev;	/* in the first snapshot; of a group, the member sum of that group */
	unsigned got;		/* sources that were read */
	union {
		int tgid;		/* VANISHED: the pid is that of a thread of this process; else 0 */
		unsigned mm_range;	/* MEASURED: hash of the address range, equal if the mm is */
	};
	unsigned char outcome;	/* enum outcome */
	unsigned char error;	/* errno of a file that could not be read */
	bool kthread : 1, zombie : 1;
	bool over_max_rss : 1;	/* above --max-rss: no SRC_EXPENSIVE source is read */
	bool has_detail : 1;	/* what is only shown was read */
	bool is_printed : 1;
	bool existed : 1;	/* its directory was there when it was read */
	int same_mm;		/* pid of the process that it shares its mm with; not summed again. 0: none */
};

/* What the memory controller says of a control group, in KiB; pct and psi in millionths of a percent. */
struct cgroup_figures {
	/* What is charged to a group is charged to those above it as well, see charges_divide: */
	int64_t usage, swap;
	int64_t anon, anon_unmapped, file, shmem, kernel, sock, rest;	/* they add up to usage */
	int64_t slab, slab_unreclaimable, kernel_other;			/* parts of kernel */
	int64_t high, oom_kills;	/* these with version 2 only */

	int64_t peak, limit, pct, psi;	/* of the group alone */
};

/* A row of a group of processes or of a mapping: sums, and columns that only such rows have. */
struct group_row {
	struct proc sum;	/* first, so that the columns of processes are at their offsets */
	int64_t count;
	int64_t pss_rss;	/* rss of the processes whose pss is known */
	struct cgroup_figures cg;
	const char *mapping, *kind;
	int64_t procs;
};

/* A line of /proc/meminfo, vmstat or the like. Its name is in snake case, as the names of columns are. */
struct counter {
	char name[40];
	int64_t value;
	bool kib;
};

struct counters {
	struct counter *list;
	size_t n;
};

#define FIELDS_MAX 360		/* every column, its delta and its rate */

/* What -w needs of the machine beyond struct machine. */
#define ORDERS_MAX 20
struct zone {
	int node;
	char name[16];
	int64_t blocks[ORDERS_MAX];	/* free blocks of 2^order pages */
	int orders;
};

struct node {
	int id;
	struct counters memory;
};

struct system {
	struct counters vm;		/* vmstat */
	struct node *nodes;
	size_t nnodes;
	struct zone *zones;
	size_t nzones;
	int64_t zram_used, zram_data;	/* memory that all zram devices take; data that they hold */
	int64_t thp_size;		/* of a transparent huge page */
	int64_t free_pcp;		/* pages on per-CPU lists */
	double psi[6];			/* some avg10 avg60 avg300, full the same; NAN unknown */
};

/* Who or what holds memory of an area. */
struct holder {
	const char *area, *kind;	/* string constants */
	const char *name;
	int64_t size;
	int64_t before;			/* in the first snapshot */
	int64_t pid;			/* UNKNOWN: of no process */
};

struct holders {
	struct holder *list;
	size_t n, capacity;
};

/* A search for holders: its input, then its result. */
struct holder_search {
	unsigned which;			/* HOLDERS_ bits */
	const struct proc *procs;	/* whose descriptors may be read */
	size_t nprocs;
	double timeout;			/* of the search for files of tmpfs, in seconds */

	size_t links;			/* descriptors whose links were read */
	int denied;			/* processes whose descriptors may not be read */
	bool timed_out;			/* not all were read */
	double seconds;			/* that it took */
};

/* The files that tell who holds an area. */
enum {
	HOLDERS_MOUNTS       = 1 << 0,	/* statfs of tmpfs mounts, sysvipc/shm */
	HOLDERS_DESCRIPTORS  = 1 << 1,	/* the same, and PID/fd */
	HOLDERS_SLAB         = 1 << 2,	/* slabinfo */
	HOLDERS_VMALLOC      = 1 << 3,	/* vmallocinfo */
	HOLDERS_HUGE_PAGES   = 1 << 4,	/* free_hugepages */
	HOLDERS_KERNEL_OTHER = 1 << 5,	/* net/sockstat, arcstats, allocinfo */
};

/* The machine at the time of one snapshot. */
struct machine {
	const struct machine *prev;	/* that of the first snapshot, or NULL */
	const char *host, *kernel, *time, *boot_id;	/* NULL unknown */
	double now;		/* seconds since the epoch; NAN: unknown */
	struct counters memory;		/* meminfo */
	int64_t mem_total, mem_available, mem_used, swap_total, swap_used;
	int64_t boot;		/* seconds since the epoch, UNKNOWN until asked for */
	int64_t slack;		/* statm's RSS is at most so much too low; UNKNOWN: do not prune */
	int64_t thread_slack;	/* to be added for each thread of the process */
};

/* Files of the machine that exist and could not be read; what they would say is unknown. */
struct read_failures {
	char name[80];		/* of the first */
	int error;
	size_t n;
};

/* A directory of /proc or /sys, live or saved, and what happens to what is read in it. */
struct dir {
	int fd;			/* -1: not open, or in an archive */
	int root;		/* root of a saved tree, which no link leads out of; -1: the kernel's files */
	const struct archive *archive;	/* of parse.c; NULL: fd or root */
	char path[56];		/* from the root of the machine: "", "sys/", "proc/812/task/813/" */
	size_t skip;		/* bytes of path that the tree lacks: 5 in a copy of /proc */
	struct reader *reader;	/* the reader thread that may block here, or NULL */
	struct save_buffer *save;	/* --save: what is read is added to it; NULL: it is not saved */
	struct read_failures *failures;	/* NULL: not counted */
};

/* A line of etc/passwd, or a user whose name was asked for. */
struct user {
	int64_t uid;
	const char *name;
	struct user *next;
};

/* The users of a source. Its trees are those of tsearch(3). */
struct users {
	bool passwd_read;		/* etc/passwd */
	bool denied;			/* it exists and cannot be read */
	char *passwd;			/* its text, which holds the names */
	struct user *lines;
	void *by_uid, *by_name;		/* the same */
	void *seen;			/* users whose names were asked for */
	struct user *list;		/* the same */
	bool timed_out;			/* the name service did not answer */
};

/* Where /proc comes from: this machine, a mount of another one, a saved tree or an archive. */
struct source {
	struct dir proc;	/* its /proc */
	struct dir root;	/* the directory of etc, proc and sys; not open for this machine */
	bool live;		/* a real procfs */
	bool here;		/* this machine's own, so that its name service is right */
	bool own_pids;		/* its pids are those of getpid and kcmp */
	bool described;		/* by --save: */
	int64_t page;		/* bytes */
	double time;		/* seconds since the epoch; NAN: not said */
	int self;		/* pid of the memz that saved it, or 0 */
	struct saved_outcome {	/* by pid; those with same_mm last */
		int64_t pid;
		enum outcome outcome;
		int64_t same_mm;	/* pid of a process with the same mm; 0: OUTCOME holds */
	} *saved_outcomes;
	size_t nsaved_outcomes, saved_outcomes_capacity;
	struct users *users;
	struct read_failures *failures;
	double timeout;		/* seconds that the name service may take */
};

#define SOURCES_MAX	32	/* bits of the sources */

/* The reader threads of a run. */
struct readers {
	struct reader *list;	/* of parse.c; never freed, as they hold texts of rows */
	double timeout;		/* --timeout, in seconds */
	double wait_budget;	/* seconds that may still be spent on stuck processes */
	size_t abandoned;	/* threads */
	bool unprotected;	/* no thread could be created: a stuck process would have blocked memz */
	size_t opened[SOURCES_MAX];	/* files opened, by source */
	struct mount *mounts;	/* of parse.c; by device, for the kinds of mappings */
	size_t nmounts, mounts_capacity;
};

/* Processes to read, by several threads, and whom to tell. */
struct scan {
	struct readers *readers;
	const struct source *from;
	struct proc **procs;	/* in this order */
	size_t n;
	unsigned want;		/* sources to read */
	int64_t max_rss;	/* --max-rss: above it, no expensive source is read; UNKNOWN: no limit */
	enum save_what { SAVE_NOTHING, SAVE_MAPPINGS, SAVE_ALL } save;
	/* Each of these may be NULL. Readers call the first two before and after a process is read; what is
	 * not wanted is SKIPPED. The main thread calls the third now and then. */
	bool (*is_wanted)(const struct proc *, void *ctx);
	void (*on_read)(const struct proc *, void *ctx);
	void (*on_progress)(size_t done, size_t of, void *ctx);
	void *ctx;
	unsigned jobs;
	double seconds;		/* set to the time it took */
};

struct counts {
	size_t processes, outcome[OUTCOMES], kernel_threads, zombies;
	double seconds;
};

/* One figure of -w. Those of a list belong to an item each. */
struct metric {
	const char *section;
	const char *item;		/* an area, node0, node0_normal: one pointer each; NULL: no list */
	const char *name;
	enum metric_type {
		SIZE, NUMBER, PERCENTAGE, PRESSURE, PER_SECOND, WORD,
		LINE,			/* a line of its own; text only */
		LABEL,			/* tells the item; not in CSV */
		EMPTY,			/* a list of nothing; JSON only */
	} type;
	int64_t n;			/* SIZE, NUMBER; a LABEL without text */
	double x;			/* the others; NAN unknown */
	const char *text;		/* WORD, LABEL; NULL unknown, or none */
};

enum format { TEXT_FORMAT, CSV_FORMAT, JSON_FORMAT, JSONL_FORMAT };

/* What report_write prints. */
struct report {
	const char *view;		/* names the rows: processes, groups, mappings, system, columns */
	const char *by;			/* the column by which groups were made, or NULL */
	const struct field *fields;
	size_t nfields;
	const struct field *keys;	/* by which the rows are sorted */
	size_t nkeys;
	const void *const *rows;	/* struct proc, group_row, or what the columns' offsets fit */
	size_t nrows;
	const struct machine *machine;	/* NULL: no machine in JSON */
	const struct counts *counts;	/* NULL: no scan in JSON */
	const struct metric *metrics;	/* of -w, in place of rows */
	size_t nmetrics;
	const struct group_row *totals;	/* NULL: not asked for */
	size_t selected;		/* rows before the limit */
	double interval;		/* seconds; 0: one scan; NAN: unknown */
	char unit;			/* 'a' auto, 'K', 'M', 'G', 'B' */
	bool header;
	bool rows_in_text;		/* false: -n 0 */
	const struct field *bar;	/* what bars show, or NULL */
	int64_t bar_most;		/* the largest of these numbers, whatever its sign */
	bool bold;			/* large deltas are bold */
	size_t width;			/* cells of a line of text; SIZE_MAX: no limit */
};

/* parse.c */

/* Every column there is, ended by a row without a name. */
extern const struct column columns[];

/*
 * The column whose kernel key is the LEN bytes at KEY and which comes from one of SOURCES, or NULL. The
 * search begins at *HINT, which is set to the place after the hit: files are in the order of the table, or
 * nearly.
 */
const struct column *column_by_key(const char *key, size_t len, unsigned sources, size_t *hint);

bool is_text(enum kind kind);		/* compares as text */
bool is_size(enum kind kind);		/* KiB: takes units */
bool is_share(enum kind kind);		/* a percentage */
bool sums(enum kind kind);		/* adds up in totals */

/* The column of that name, in any case; _delta and _rate are understood. False: there is none, or it has no
 * change; field->how is set even then. */
bool field_by_name(const char *name, size_t len, struct field *field);

/* a + b, a - b in KiB, saturating. A sum ignores an unknown part; a difference with one is unknown. */
int64_t kib_add(int64_t a, int64_t b);
int64_t kib_sub(int64_t a, int64_t b);

/* a - b of two counters of the kernel. If b is the larger one, they contradict each other: unknown. */
int64_t counter_sub(int64_t a, int64_t b);

/* The decimal number at TEXT: digits, with a point or without, no sign, no exponent. NAN: none. *END is
 * behind it. */
double decimal_parse(const char *text, const char **end);

/* The character at S, a NUL-terminated text, in *C. Returns its length in bytes; 0: invalid UTF-8. */
size_t utf8(const char *s, uint32_t *c);

/* Seconds since the epoch in ISO 8601, in BUF of 32 bytes. NULL: before the epoch, or after the year 9999. */
const char *time_text(int64_t seconds, char *buf);

/* CLOCK_MONOTONIC in seconds. */
double seconds_now(void);

/* Clock ticks since boot, as in field 22 of /proc/PID/stat. */
int64_t ticks_now(void);

/* Makes all numbers of ROW unknown, but its count 0. */
void group_row_init(struct group_row *row);

/* Compares ints, ascending, for qsort(3). */
int pid_compare(const void *a, const void *b);

/* The name of a source's file, or NULL for a source that is no file. */
const char *source_file(unsigned source);

/*
 * Opens PATH/proc, or PATH itself if it is a copy of /proc, or a tar archive of either; NULL: this machine's
 * /proc. The name service may take TIMEOUT seconds. Never closed. NULL: *WHY says why not.
 */
struct source *source_open(const char *path, double timeout, const char **why);

/* The offset at which the archive S is damaged, 0: nowhere. *UNSAFE: the number of its members that were not
 * read. */
size_t source_damage(const struct source *s, size_t *unsafe);

/* The pids under S, ascending, in *PIDS, which is the caller's. -1 with errno. */
int source_pids(const struct source *s, int **pids, size_t *n);

/* The pid of memz itself in S, or of the memz that saved it. 0: S does not show it. */
int source_self(const struct source *s);

/* True if S hides other users' processes (hidepid=2 and 4). SEES_ALL: the caller may ptrace all of them. */
bool source_hides(const struct source *s, bool sees_all);

/* Fills M from /proc/meminfo, /proc/sys/kernel and the clock; what is missing is unknown. -1 with errno: no
 * memory. */
int machine_read(const struct source *s, struct machine *m);

/* The counter of that name, or UNKNOWN. */
int64_t counter_get(const struct counters *counters, const char *name);

/* Fills SYSTEM from vmstat, buddyinfo, pressure/memory, the nodes and zram; what is missing is unknown or
 * empty. -1: no memory. */
int system_read(const struct source *s, struct system *system);

/* Adds a holder, unless its size is unknown or 0. NAME is copied. */
void holder_add(
    struct holders *to, const char *area, const char *kind, int64_t size, int64_t pid, const char *name);

/* Adds the holders that the files of search->which name. Files that cannot be read are left out. */
void holders_read(const struct source *s, const struct machine *m, const struct system *system,
    struct holder_search *search, struct holders *to);

/* btime of /proc/stat: when S booted, in seconds since the epoch; UNKNOWN. */
int64_t machine_boot(const struct source *s);

/* True if RELEASE is that of a kernel of at least this version. False if it cannot be parsed. */
bool release_at_least(const char *release, long major, long minor);

/* Sets m->slack and m->thread_slack: how far the RSS of statm may lie below the truth, in KiB. */
void machine_slack(const struct source *s, struct machine *m);

/* The control groups of S as the memory controller shows them; each file is read once. NULL: no memory. */
struct cgroups *cgroups_open(const struct source *s);
void cgroups_free(struct cgroups *groups);

/* Fills the figures that come from SOURCES for the group PATH, as in /proc/PID/cgroup; the others are
 * unknown. */
void cgroup_read(struct cgroups *groups, const char *path, unsigned sources, struct cgroup_figures *figures);

/* True if GROUPS has a directory for the memory controller, and none for this group. */
bool cgroup_is_absent(struct cgroups *groups, const char *path);

/* Makes PATH, in a buffer of SIZE bytes, that of the group above, if that is charged for this one too; else
 * false. */
bool cgroup_parent(struct cgroups *groups, char *path, size_t size);

/* True if cg_high and cg_oom_kills of a group count those of the groups below it, as with version 2. */
bool cgroup_counts_nest(const struct cgroups *groups);

/* Finds all groups, with processes or without. -1: no memory. */
int cgroups_find_all(struct cgroups *groups);

/* The path of the group number I of those that were found or read, in PATH of SIZE bytes. False: there are no
 * more. */
bool cgroup_at(const struct cgroups *groups, size_t i, char *path, size_t size);

/*
 * Reads the processes of a scan. A process that vanished, is denied or stalled is no error: its outcome says
 * so. -1 with errno: nothing can be read.
 */
int scan_run(struct scan *scan);

/* Runs RUN(ARG) in a thread for at most SECONDS. -1 with errno: ETIMEDOUT: the thread goes on and owns ARG;
 * ENOMEM. */
int call_with_timeout(void (*run)(void *), void *arg, double seconds);

/* Takes SECONDS off what may still be spent on stuck processes. */
void wait_budget_spend(struct readers *rs, double seconds);

/* True if a thread was abandoned in a system call: exit(3) would wait for it, _exit(2) does not. */
bool has_abandoned_thread(void);

/* The mappings that scans of SMAPS have found since the last call, by name and kind, in *ROWS, which is the
 * caller's. -1 with errno. */
int mappings_collect(struct readers *rs, struct group_row **rows, size_t *n);

/* Compares two rows of mappings by name, then kind, for qsort(3). */
int mapping_compare(const void *a, const void *b);

/*
 * Compares the mm of the processes A and B by kcmp(2), which needs CAP_SYS_PTRACE; of a saved source by what
 * was saved: 0 if they share it. Sets *DENIED, and compares the pids, where the kernel does not tell. May
 * block for ever.
 */
int mm_compare(const struct source *s, int64_t a, int64_t b, bool *denied);

/* The name of UID in S, or UID as text; it lives as long as the program. NULL: UNKNOWN, or no memory. */
const char *user_name(const struct source *s, int64_t uid);

/* The uid of NAME in S. UNKNOWN with errno: ENOENT: there is no such user; ETIMEDOUT: the name service does
 * not answer. */
int64_t user_id(const struct source *s, const char *name);

/* Begins an archive in a temporary file beside NAME, which must not exist (EEXIST). NAME must stay valid. -1
 * with errno. */
int save_start(const char *name);

/* Turns the saving of what is read of S outside scans on or off. */
void save_source(struct source *s, bool on);

/* Saves which processes share an mm. */
void save_same_mm(const struct proc *procs, size_t n);

/* Saves the files of S that the report did not read, and gives the archive its name. -1 with errno: there is
 * no archive. */
int save_finish(struct source *s, const struct machine *m, const struct proc *procs, size_t n);

/* Removes the temporary file of an archive that is not finished. */
void save_abort(void);

/* report.c */

/* The number that a column has in a row. */
int64_t row_number(const struct column *c, const void *row);

/* The number of a field in ROW as it is stored: KiB for a size or a percentage, the change for a rate, ticks
 * since boot for a time; UNKNOWN. Not for other texts. */
int64_t field_number(const struct field *field, const void *row);

/* NUMBER as a value of that column: a percentage of M's total, a time in seconds since the epoch. NAN:
 * unknown. */
double field_scale(const struct field *field, int64_t number, const struct machine *m);

/* The number of a field in ROW as it is compared and shown: the percentage, the change, the change per
 * second. NAN: unknown. */
double field_value(const struct field *field, const void *row, const struct machine *m, double interval);

/* The text of a field in ROW; NULL: unknown. A time is written to BUF, of 32 bytes. */
const char *field_text(const struct field *field, const void *row, const struct machine *m, char *buf);

/* The cell of ROW as a text report shows it, "-" if unknown: BUF, of 64 bytes, or a text of ROW. */
const char *cell_text(const struct report *r, const struct field *field, const void *row, char *buf);

/* A size in UNIT as text has it, in BUF of 40 bytes; PLUS: with its sign. */
void kib_text(char *buf, int64_t kib, char unit, bool plus);

/* Puts ? in TEXT for each character that a terminal must not get. */
void text_tame(char *text);

/* Writes the report to F. The caller checks F for errors. */
void report_write(FILE *f, const struct report *r, enum format format);

/*
 * A tour: how `pss' gets from /proc/PID/smaps_rollup to a printed cell.
 *
 * memz.c	main
 *		options_parse		the columns become fields, by the table `columns' of parse.c
 *		plan_compute		a shown pss needs the source ROLLUP
 *		snapshot_read		lists the pids, and runs at most three scans:
 *		main_scan
 *		scan_procs		hands processes and sources to parse.c
 * parse.c	scan_run		starts the reader threads, and abandons those that are stuck
 *		reader_loop		takes one process after another
 *		proc_read		opens /proc/PID
 *		files_read
 *		source_read		finds the file and its parser in the table `files'
 *		file_read		bytes to memory
 *		rollup_parse		line by line
 *		size_line		"Pss:   1234 kB" to the number that column_by_key finds in struct proc
 *		proc_derive		uss and other sums
 *		reader_commit		copies the process to its row
 * memz.c	rows_select		filter, group, total, sort, limit
 *		report_snapshot
 *		report_print		opens the memory that the report is written to
 * report.c	report_write
 *		text_write		measures the columns, fits them to the terminal
 *		text_row
 *		cell_text
 *		number_text
 *		size_text		KiB to "1.2M"
 * memz.c	write_all		to standard output
 */

#endif
