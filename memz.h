/* memz.h: the words that memz.c, parse.c and report.c share. Sizes are KiB unless a name says otherwise. */
#ifndef MEMZ_H
#define MEMZ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MEMZ_VERSION "1.0.0"

/* A value we were not given. Numbers are signed because deltas and oom_score_adj are: -1 is a value, this is none. */
#define UNKNOWN INT64_MIN

/* The files of a process, a bit each: a column names those it comes from, the plan is made of them. */
enum {
	OWNER     = 1 << 0,	/* uid: who owns /proc/PID; in a saved tree, the Uid line of status */
	STATM     = 1 << 1,
	STATUS    = 1 << 2,
	COMM      = 1 << 3,
	CGROUP    = 1 << 4,
	OOM_SCORE = 1 << 5,
	OOM_ADJ   = 1 << 6,
	STAT      = 1 << 7,
	EXE       = 1 << 8,
	ROLLUP    = 1 << 9,	/* smaps_rollup, or smaps summed where a process has no rollup */
	CMDLINE   = 1 << 10,
	MAPS      = 1 << 11,
	NUMA_MAPS = 1 << 12,
	RSS       = 1 << 13,	/* no file: what the report reads anyway, ROLLUP or else STATM */
	USER      = 1 << 14,	/* no file of the process: the name service, asked once per uid */
	ANCESTRY = 1 << 15,	/* no file: stat and comm of the parents */
	MACHINE   = 1 << 16,	/* no file of the process: the column lies in struct machine */
	CHANGE    = 1 << 17,	/* no file: known when both walks are done */
	GROUP     = 1 << 18,	/* no file: counted when groups are made */
	MEMCG    = 1 << 19,	/* the memory controller's files of a cgroup */
	SMAPS   = 1 << 20,	/* smaps, mapping by mapping */
	RSS_PARTS = 1 << 21,	/* status of those whose ROLLUP cannot be read */
};
#define SRC_EXPENSIVE	(ROLLUP | MAPS | NUMA_MAPS | SMAPS)	/* those that cost more than the process table itself */
#define SRC_COMPUTED	(USER | ANCESTRY | MACHINE | CHANGE | GROUP | MEMCG)	/* what no pass reads: filled in later */
#define SRC_NOT_IN_PROC	(MACHINE | GROUP | MEMCG | SMAPS)	/* columns that do not lie in struct proc */

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
	unsigned short offset;	/* in the row; with MACHINE in struct machine */
	unsigned short bound;	/* offset of the number that statm gives and this one cannot exceed, or 0 */
	const char *help;
};

/* A column as the user asked for it: plain, or its change since the first walk, or that per second. */
struct field {
	const struct column *column;
	enum { VALUE, DELTA, RATE } how;
	bool up;		/* as a sort key: smallest first */
};

enum outcome { MEASURED, DENIED, VANISHED, STALLED, SKIPPED, OUTCOMES };

/* One process of one walk. Texts live as long as the program; NULL is unknown. */
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
	int64_t vm_data, vm_stk, vm_exe, vm_lib, vm_pte, vm_swap;
	int64_t maps;
	const char *user, *name, *command, *exe, *state;
	const char *cgroup, *unit, *container, *ancestry, *numa, *change;

	struct proc *prev;	/* the same in the first walk; of a struct row, the first member of one */
	unsigned got;		/* sources that were read */
	union {
		int tgid;		/* VANISHED: pid is a thread's, of this process; else 0 */
		unsigned mm_range;		/* MEASURED: hash of the address range, the same where the space is */
	};
	unsigned char outcome;	/* enum outcome */
	unsigned char error;	/* errno of a file that could not be read */
	bool kthread : 1, zombie : 1;
	bool over_max_rss : 1;	/* too large: nothing SRC_EXPENSIVE is to be read */
	bool has_detail : 1;		/* the late pass has been there */
	bool pid_reused : 1;		/* and found another process of that pid: the row is about that one */
	int same_mm;		/* pid of another whose address space it shares, and is in no sum therefore; 0: none */
};

/* A row that stands for several processes, as a group or a mapping does: sums, and what only such a row has. */
struct group_row {
	struct proc sum;	/* first, so that the columns of processes are at their offsets */
	int64_t count;
	int64_t pss_rss;	/* rss of those whose pss is known */
	int64_t cg_usage, cg_limit, cg_swap, cg_pct;
	const char *mapping, *kind;
	int64_t procs;
};

/* A line of /proc/meminfo, vmstat and the like under its column-like name. */
struct counter {
	char name[40];
	int64_t value;
	bool kib;
};

struct counters {
	struct counter *list;
	size_t n;
};

#define PICKS_MAX 360		/* every column, its delta and its rate */

/* What -w needs of the machine beyond struct machine. */
#define ORDERS_MAX 20
struct zone {
	int node;
	char name[16];
	int64_t blocks[ORDERS_MAX];	/* free ones of 2^order pages */
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
	int64_t zram_used, zram_data;	/* all zram devices: what they take, what they hold */
	double psi[6];			/* some avg10 avg60 avg300, full the same; NAN unknown */
};

/* The machine at the time of one walk. */
struct machine {
	const char *host, *kernel, *time, *boot_id;	/* NULL unknown */
	double now;		/* seconds since the epoch, NAN unknown */
	struct counters memory;		/* meminfo */
	int64_t mem_total, mem_available, mem_used, swap_total, swap_used;
	int64_t boot;		/* seconds since the epoch, UNKNOWN until asked for */
	int64_t slack;		/* by how much statm's RSS may fall short of the truth; UNKNOWN: no saying */
	int64_t thread_slack;	/* and for each thread of the process */
};

/* A directory: held open, or a part of an archive. */
struct dir {
	int fd;
	const struct archive *archive;	/* of parse.c; NULL: fd is it */
	bool saved;		/* not the kernel's: may be anything */
	char path[56];		/* from the root of the machine on: "", "sys/", "proc/812/task/813/" */
};

/* Where /proc comes from: this machine, a mount of another one, a saved tree or archive. */
struct source {
	struct dir proc;	/* its /proc */
	struct dir root;	/* what holds etc, proc and sys; of this machine not open */
	bool live;		/* a real procfs */
	bool here;		/* and this machine's own: its name service is right */
	bool own_pids;		/* its pids are those that memz itself is known by, and kcmp takes */
	bool described;		/* by --save: */
	int64_t page;		/* bytes */
	double time;		/* seconds since the epoch, NAN not said */
	int self;		/* pid of the memz that saved it, or 0 */
	struct saved_outcome {		/* of those that were stalled, or vanished, then; */
		int64_t pid;
		enum outcome outcome;
		int64_t same_mm;	/* or shared the address space of this one */
	} *saved_outcomes;
	size_t nsaved_outcomes;
};

/* Processes to be read, by several threads, and what to do around each. */
struct scan {
	const struct source *from;
	struct proc **procs;	/* in this order */
	size_t n;
	unsigned want;		/* sources to read */
	unsigned already_read;		/* sources that stand in the row already; 0: the row is read anew */
	int64_t begin;		/* clock ticks since boot when the walk began: who started before is still itself */
	int64_t most;		/* processes of more rss are not to be walked; UNKNOWN: all are */
	enum keep { KEEP_NOTHING, KEEP_MAPPINGS, KEEP_ALL } keep;	/* what is saved */
	bool (*wanted)(const struct proc *);	/* asked before p is read, may be NULL; false leaves it SKIPPED */
	void (*seen)(const struct proc *);	/* told after p was read, in the reader's thread, may be NULL */
	void (*tell)(size_t done, size_t of);	/* told now and then by the main thread, may be NULL */
	unsigned jobs;
	double seconds;		/* it took so long */
};

struct counts {
	size_t processes, outcome[OUTCOMES], kernel_threads, zombies;
	double seconds;
};

/* One figure of -w. Those of a list belong to an item each. */
struct metric {
	const char *section;
	const char *item;		/* an area, node0, node0_normal, a pointer for each; NULL: the section is no list */
	const char *name;
	enum metric_type {
		SIZE, NUMBER, PERCENTAGE, PRESSURE, PER_SECOND, WORD,
		LABEL,			/* tells the item; JSON only */
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
	const void *const *rows;	/* struct proc, struct group_row, or what the columns' offsets point into */
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

/* The column whose kernel key is the LEN bytes at KEY and which comes from one of SOURCES, or NULL. HINT, where the
 * search begins, is set to the place after the hit: files are in the order of the table, or nearly. */
const struct column *column_by_key(const char *key, size_t len, unsigned sources, size_t *hint);

/* The column of that name, _delta and _rate understood: false if there is none. */
bool field_by_name(const char *name, size_t len, struct field *field);

/* Seconds since the epoch in ISO 8601, in BUF of 32 bytes; NULL: before the epoch, or after the year 9999. */
const char *time_text(int64_t seconds, char *buf);

bool is_text(enum kind kind);		/* compares as text */
bool is_size(enum kind kind);		/* KiB: takes units */
bool is_share(enum kind kind);		/* a percentage */
bool sums(enum kind kind);		/* adds up in totals */

/* The character at S, a NUL-terminated text, and its length in bytes; 0: not UTF-8. */
size_t utf8(const char *s, uint32_t *c);

/* a + b where an unknown does not count; both unknown is unknown. Saturates. */
int64_t kib_add(int64_t a, int64_t b);

/* The decimal number at TEXT: digits, a point among them or not, no sign, no exponent; NAN: none. END is behind it. */
double decimal_parse(const char *text, const char **end);

/* A POSIX extended regular expression, see regcomp(3). It is never freed. NULL: *WHY says what is wrong with it. */
struct pattern *pattern_parse(const char *text, const char **why);

/* True if some part of TEXT matches. TEXT need not be valid UTF-8. Takes time in proportion to TEXT. Any thread. */
bool pattern_matches(const struct pattern *p, const char *text);

/* CLOCK_MONOTONIC. */
double seconds_now(void);

/* a - b, unknown if either is. */
int64_t kib_sub(int64_t a, int64_t b);

/* Opens PATH/proc, or PATH itself where that is like a /proc, or the archive PATH of either, or with NULL this machine's.
 * NULL: *WHY says why not. Never closed. */
struct source *source_open(const char *path, const char **why);

/* At which byte the archive S ends before its end, 0: nowhere; *UNSAFE: how many members were passed over. */
size_t source_damage(const struct source *s, size_t *unsafe);

/* Clock ticks since boot, as a process's start has them. */
int64_t ticks_now(void);

/* Ascending ints, for qsort. */
int pid_compare(const void *a, const void *b);

/* The pids under S, ascending; memory is the caller's. -1 with errno. */
int source_pids(const struct source *s, int **pids, size_t *n);

/* memz's own pid as S has it, or that of the memz that saved it, 0 if S does not show it. */
int source_self(const struct source *s);

/* True if S hides other users' processes from us: hidepid=2 and 4, as process 1 tells, or where that is ours, the mount's
 * options, unless SEES_ALL says that they do not matter. */
bool source_hides(const struct source *s, bool sees_all);

/* Fills M from meminfo and sys/kernel; what is not there is unknown. -1 with errno: no memory for it. */
int machine_read(const struct source *s, struct machine *m);

/* The figure of that name, or unknown. */
int64_t counter_get(const struct counters *counters, const char *name);

/* Fills SYSTEM from vmstat, buddyinfo, pressure/memory, the nodes and zram; what is not there is unknown or empty.
 * -1 with errno: no memory for it. */
int system_read(const struct source *s, struct system *system);

/* Seconds since the epoch at which S booted (btime of /proc/stat); UNKNOWN. */
int64_t machine_boot(const struct source *s);

/* Is this the release of a kernel of at least that version? False if it cannot be read. */
bool release_from(const char *release, unsigned major, unsigned minor);

/* By how much statm may fall short there, into m->slack and m->thread_slack: before 6.16 its counters are approximate. */
void machine_slack(const struct source *s, struct machine *m);

/* What the memory controller says of the cgroup at PATH, as in /proc/PID/cgroup: usage, the lowest limit of it and of
 * its ancestors, and swap. What it does not say is unknown; so is a limit that is none. */
void cgroup_read(const struct source *s, const char *path, struct group_row *row);

/* The mappings that passes over SMAPS have found since the last call, ordered by name and kind; the array is the
 * caller's, the texts are kept. -1 with errno. */
int mappings_collect(struct group_row **rows, size_t *n);

/* Which of two mappings comes first, by name, then kind. */
int mapping_compare(const void *a, const void *b);

/* All numbers unknown. */
void group_row_init(struct group_row *row);

/* Orders two processes, by their pids, by address space: 0 where they share one (kcmp, needs the right to ptrace both; in what was saved,
 * by what it says); sets *DENIED and orders by pid where the kernel does not say. May wait for ever. */
int mm_compare(const struct source *s, int64_t a, int64_t b, bool *denied);

/* How many seconds readers may wait for stuck processes, all in all, and for the name service. */
void wait_budget_set(double seconds);

/* How many are left for stuck processes, and that some are not any more. */
double wait_budget_left(void);
void wait_budget_spend(double seconds);

/* Reads the processes of a pass. -1 with errno if that was not possible at all. */
int scan_run(struct scan *pass);

/* Runs RUN(ARG) in a thread. -1: it took longer than SECONDS, or there is no memory; it may still be running then, for
 * ever, and ARG is its own. */
int call_with_timeout(void (*run)(void *), void *arg, double seconds);

/* Has a thread been left behind, waiting? Then only _exit ends the program. */
bool has_abandoned_thread(void);

/* Was there no thread to be had, so that one stuck process would have been the end? */
bool is_unprotected(void);

/* How many files of the machine are there and could not be read, the first of them and why not. */
size_t files_failed(const char **name, int *error);

/* Begins to save in a file beside NAME, which must not be there: EEXIST. NAME is kept. -1 with errno. */
int save_begin(const char *name);

/* From now on what the main thread reads is saved; a pass says for itself. */
void save_keep(bool on);

/* Leaves nothing of it behind, if it has not ended. */
void save_drop(void);

/* Who shares an address space, now that it is known. */
void save_same_mm_lines(const struct proc *procs, size_t n);

/* Ends it: what was read of S becomes the file NAME. SELF is memz's pid in it, PROCS are N processes with their uids.
 * -1 with errno: there is no such file then. */
int save_end(const struct source *s, const struct machine *m, int self, const struct proc *procs, size_t n);

/* How many files of each source all passes have opened; indexes are bit numbers. */
extern size_t files_opened[32];

/* The name of a source's file, or NULL for those without one. */
const char *source_file(unsigned source);

/* The name of a uid in S (once per uid, then remembered), or the number as text; UNKNOWN: NULL. */
const char *user_name(const struct source *s, int64_t uid);

/* The uid of a name in S; UNKNOWN: nobody is called so, or with errno ETIMEDOUT the name service does not answer. */
int64_t user_id(const struct source *s, const char *name);

/* report.c */

/* The number of a field in ROW as it is stored: KiB for a size or a percentage, the change for a rate, ticks since
 * boot for a time; UNKNOWN. Not for other texts. */
int64_t field_number(const struct field *field, const void *row);

/* What is compared and shown for NUMBER, which field_number returned: a percentage, a rate per second, a time
 * in seconds since the epoch; NAN: unknown. NUMBER must not be UNKNOWN. */
double field_value(const struct field *field, int64_t number, const struct machine *m, double interval);

/* The text of a field in ROW; NULL: unknown. A time is written to BUF, of 32 bytes. */
const char *field_text(const struct field *field, const void *row, const struct machine *m, char *buf);

/* The cell of ROW as a text report shows it, "-" if unknown: BUF, of 64 bytes, or a text of ROW. */
const char *cell_text(const struct report *r, const struct field *field, const void *row, char *buf);

/* Puts ? in TEXT for each character that a terminal must not get. */
void text_tame(char *text);

/* Writes the report to F. The caller checks F for errors. */
void report_write(FILE *f, const struct report *r, enum format format);

#endif
