/*
 * memz.c: decides what is read and what is printed. main, at the end, says in which order.
 *
 *  1. Messages
 *  2. Privileges
 *  3. Suggestions for wrong words
 *  4. Patterns: POSIX extended regular expressions
 *  5. Options: lists of columns
 *  6. Options: numbers, sizes and times
 *  7. Options: conditions
 *  8. Options: the table
 *  9. Options: --help
 * 10. Options: wrong usage
 * 11. Options: defaults and contradictions
 * 12. Options: the command line
 * 13. Options: -U
 * 14. The plan
 * 15. Conditions
 * 16. Scanning and pruning
 * 17. Shared address spaces
 * 18. Reading a snapshot
 * 19. Ancestry
 * 20. Sums
 * 21. Control groups
 * 22. Two snapshots
 * 23. Order
 * 24. Units of one name
 * 25. Filter, group, total, limit
 * 26. What is only shown
 * 27. Notes
 * 28. --verbose
 * 29. Output
 * 30. The whole machine
 * 31. Alerts
 * 32. --list-columns
 * 33. main
 */
#define _GNU_SOURCE
#include "memz.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define JOBS_DEFAULT_MAX	16	/* without --jobs */
#define KEYS_MAX	16	/* sort keys */
#define OPTIONS_MAX	64
#define CAP_SYS_PTRACE	19	/* linux/capability.h, which musl's compiler does not see */
#define CAP_PERFMON	38
#define CAP_VERSION	0x20080522
#define SRC_SAVED	(OWNER | CGROUP | STAT)	/* of all processes, for --save */

enum op { EQ, NE, LT, LE, GT, GE, MATCH, NO_MATCH };

/* COLUMN OP VALUE */
struct condition {
	struct field field;
	unsigned sources;	/* must be read to decide it */
	enum op op;
	bool percent;		/* value is % of mem_total, or of swap_total */
	bool bare;		/* value is a size without a unit */
	bool is_age;		/* value is seconds before the scan */
	double value;		/* KiB for sizes, seconds since the epoch for times */
	const char *text;	/* value of a text column */
	struct pattern *pattern;	/* the same, with ~ and !~ */
	const char *given;	/* the whole condition, without blanks around it */
};

/* An alert on the rows, or on a figure of the machine. */
struct alert {
	const char *text;
	struct condition condition;
	const char *figure;	/* its name; NULL: on the rows */
	bool is_both;		/* the name is also that of a column: one of the two alerts that the option became */
};

struct texts {
	const char **list;
	size_t n;
};

/* What the command line asks for. */
struct options {
	struct field fields[FIELDS_MAX];
	size_t nfields;
	struct field keys[KEYS_MAX];
	size_t nkeys;
	bool magnitude;		/* the sign of the first key does not count */
	bool reverse;
	size_t limit;		/* SIZE_MAX: none */
	int *pids;
	size_t npids;		/* 0: all */
	char *users;		/* of -U; NULL: all */
	int64_t *uids;		/* of these users, ascending */
	size_t nuids;
	struct pattern *process, *mapping;	/* of -P and -M; NULL: all */
	bool mappings, system;
	struct condition *conditions;
	size_t nconditions;
	const struct column *by;	/* NULL: no groups */
	bool all, totals, no_header, verbose, quiet, list;
	bool all_areas;		/* --all with --system: areas and sections that are left out otherwise */
	bool delta;		/* two snapshots: --interval or --since */
	double interval;	/* seconds between them, 0: one scan; NAN: unknown */
	double timeout;
	const char *source, *since, *save;
	struct alert *alerts;
	size_t nalerts;
	bool alerts_need_system;	/* one is on a figure of struct system */
	bool fits_screen;	/* no option was given, and the limit is what the terminal has room for */
	enum format format;
	char unit;
	size_t jobs;
	int64_t max_rss;	/* KiB, UNKNOWN: none */

	/* As given, until all options are known. */
	struct texts columns, alert_texts;
	const char *sort;
	bool given[OPTIONS_MAX];	/* by row of option_rows */
};

static struct options opt;

/* The sources that at most three scans read; see plan_compute. */
struct plan {
	unsigned first;		/* of all processes: cheap files, so that the next scan reads fewer */
	unsigned main;		/* of those that are left: what decides which rows there are */
	unsigned detail;	/* of the printed rows: what is only shown */
	unsigned rss;		/* the source that RSS stands for: ROLLUP or STATM */
	size_t bound;		/* offset of the number by which the first scan sorts the processes */
	bool top;		/* stop when the first N rows cannot change any more */
};

/* An area of memory, in KiB. The last three say who holds it, if it is of a kind that processes map. */
struct area {
	const char *name;
	int64_t total;
	int64_t reclaimable;	/* the kernel can take it back without swapping */
	int64_t processes;	/* by PSS */
	int64_t unmeasured;	/* by RSS, of processes whose PSS is unknown */
	int64_t elsewhere;	/* the rest */
};
#define NAREAS		19	/* rows of area_sources */

/* One reading of /proc, and the rows made of it. */
struct snapshot {
	struct run *run;
	struct source *source;
	int64_t began_ticks;		/* since boot */
	struct machine machine;
	struct system system;		/* for -w, and alerts on what it says */
	struct area areas[NAREAS];	/* for -w, as are holders */
	struct holders holders;
	struct holder_search search;
	struct proc *procs;		/* by pid */
	size_t n;
	struct proc **rows;
	size_t nrows;			/* processes that were read; */
	size_t selected;		/* the first of them, which match the filters; */
	size_t shown;			/* and the first of those, which are printed */
	struct proc *gone;		/* in the second snapshot: processes that only the first has */
	struct group_row *gone_mappings;	/* the same for mappings */
	struct group_row *mappings;
	size_t nmappings;
	struct group_row *groups;	/* by --by; for -w, the control groups */
	size_t ncgroups;		/* of them, for -w */
	struct cgroups *cgroup_files;	/* of the memory controller, or NULL */
	struct group_row total;		/* over the selected */
	bool is_second;
	struct counts counts;
	double began, seconds[3];	/* CLOCK_MONOTONIC; of each scan */
};

/* The N largest keys so far, the largest first. Readers share it. */
struct top_n {
	pthread_mutex_t lock;
	int64_t *keys;
	size_t n;
	atomic_uint min;	/* the smallest key, at most UINT32_MAX: a smaller one is not among the N */
};

/* What -w reports, figure by figure. */
struct metrics {
	struct metric *list;
	size_t n, capacity;
	const char *section, *item;	/* of the figures that are added next */
};

/* One run of memz: main makes it and hands it down. */
struct run {
	struct plan plan;
	struct readers readers;
	struct snapshot first, last;
	struct snapshot *current;	/* the one that is being read */
	struct metrics metrics;
	struct top_n *top_n;		/* NULL: the scan reads all processes */
	enum save_what save;		/* what the next scan saves */
	int self, self_before;		/* pid of memz, and of the memz that saved --since; 0: none */
	int *parents;			/* pids of memz and its ancestors, ended by 0 */
	void *parent_cache;		/* of tsearch(3): ancestors whose names no scan has read */
	atomic_bool shared_mm_denied;	/* kcmp(2) was denied */
	bool shared_mm_timeout;		/* kcmp(2) did not answer in time */
	bool alerted;			/* an --alert is true */
	bool boots_differ;		/* the two snapshots are of two boots or hosts */
};

static int status;		/* to exit with */

/* ---- 1. Messages ---- */

#define MESSAGE_MAX	1000	/* bytes */
#define MESSAGE_TAIL	300	/* of them for the end, which says why */

/* Writes one line to standard error. The middle of a message that is too long is left out. */
__attribute__((format(printf, 1, 2))) static void
message(const char *format, ...)
{
	char line[MESSAGE_MAX + 16], *text = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len > MESSAGE_MAX)
		snprintf(line, sizeof line, "memz: %.*s...%s", MESSAGE_MAX - MESSAGE_TAIL, text,
		    text + len - MESSAGE_TAIL);
	else
		snprintf(line, sizeof line, "memz: %s", len < 0 ? format : text);
	free(len < 0 ? NULL : text);
	text_tame(line);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;			/* there is nowhere else to report it */
}

/* exit() would wait for a thread that is stuck in the kernel; _exit() does not. */
__attribute__((noreturn)) static void
quit(int with)
{
	if (has_abandoned_thread()) {
		save_abort();
		_exit(with);
	}
	exit(with);
}

/* -q leaves notes out. An error does not prevent the report. A failure ends memz with the status WITH. */
#define note(...)		(opt.quiet ? (void)0 : message(__VA_ARGS__))
#define error(...)		(message(__VA_ARGS__), (void)(status = 1))
#define fail(with, ...)		(message(__VA_ARGS__), quit(with))

static bool progressing;		/* a line about progress stands on the terminal, to be overwritten */

static bool
progress_wanted(void)
{
	const char *term = getenv("TERM");

	return !opt.quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

__attribute__((format(printf, 1, 2))) static void
progress_print(const char *format, ...)
{
	va_list args;

	if (!progress_wanted())
		return;
	va_start(args, format);
	fputs("\rmemz: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\033[K", stderr);
	va_end(args);
	progressing = true;
}

static void
progress_end(void)
{
	if (progressing)
		fputs("\r\033[K", stderr);
	progressing = false;
}

static void *
xrealloc(void *at, size_t n, size_t size)
{
	void *more = n > SIZE_MAX / size ? NULL : realloc(at, n * size + 1);

	if (!more)
		fail(1, "out of memory");
	return more;
}

static char *
xstrndup(const char *text, size_t len)
{
	char *copy = strndup(text, len);

	if (!copy)
		fail(1, "out of memory");
	return copy;
}

/* A text that lives as long as the program. All are in a list, so that no leak checker reports them. */
__attribute__((format(printf, 1, 2))) static const char *
kept_text(const char *format, ...)
{
	static struct kept {
		struct kept *next;
		char text[];
	} *kept;
	struct kept *one;
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		fail(1, "out of memory");
	va_end(args);
	one = xrealloc(NULL, sizeof *one + strlen(text) + 1, 1);
	one->next = kept;
	kept = one;
	strcpy(one->text, text);
	free(text);
	return one->text;
}

static void
write_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE)
			quit(1);
		if (n <= 0)
			fail(1, "standard output: %s", n < 0 ? strerror(errno) : "nothing was written");
		text += n;
		len -= (size_t)n;
	}
}

/* Without any option, a report on a terminal shows as many of the largest processes as fit on it. */
static void
screen_fit(void)
{
	struct winsize size;
	unsigned others;		/* lines of the header, the notes and two prompts */

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	others = size.ws_col < 80 ? 15 : 9;	/* where the terminal is narrow, a note takes two or three */
	if (size.ws_row <= others)
		return;
	opt.limit = size.ws_row - others;
	opt.fits_screen = true;
}

/* ---- 2. Privileges ---- */

static bool is_privileged;	/* memz may do more than its caller, by set-user-id or file capabilities */

struct caps {
	uint32_t effective, permitted, inheritable;
};

/* SYS_capget or SYS_capset, for this thread and those that it creates from now on. -1 with errno. */
static int
caps_call(long call, struct caps data[2])
{
	struct { uint32_t version; int pid; } header = { .version = CAP_VERSION };

	return (int)syscall(call, &header, data);
}

static bool
has_cap(unsigned capability)
{
	struct caps data[2];

	return caps_call(SYS_capget, data) == 0 && data[capability / 32].effective & 1u << capability % 32;
}

/* Raises the capabilities to read this machine's /proc, or lowers them. They must be low while a path is
 * opened that the caller named. */
static void
privileges_set(bool raised)
{
	struct caps data[2];

	if (!is_privileged || caps_call(SYS_capget, data) < 0)
		return;
	for (size_t i = 0; i < 2; i++)
		data[i].effective = raised ? data[i].permitted : 0;
	if (caps_call(SYS_capset, data) < 0)
		fail(1, "cannot change capabilities: %s", strerror(errno));
}

/* Keeps only the rights to read /proc of other users, and of the environment only terminal and language. */
static void
privileges_drop(void)
{
	static const char *const kept[] = { "TERM", "COLUMNS", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE" };
	const uint32_t caps[2] = { 1u << CAP_SYS_PTRACE, 1u << (CAP_PERFMON - 32) };
	char *values[sizeof kept / sizeof *kept];
	struct caps data[2];

	if (!getauxval(AT_SECURE))
		return;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		values[i] = getenv(kept[i]);
	clearenv();
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (values[i])
			setenv(kept[i], values[i], 1);
	prctl(PR_SET_KEEPCAPS, 1);
	if (setresgid(getgid(), getgid(), getgid()) < 0 || setresuid(getuid(), getuid(), getuid()) < 0 ||
	    caps_call(SYS_capget, data) < 0)
		fail(1, "cannot drop privileges: %s", strerror(errno));
	is_privileged = getuid() != 0;
	for (size_t i = 0; i < 2; i++)
		data[i] = (struct caps){ 0, data[i].permitted & caps[i], 0 };
	if (is_privileged && caps_call(SYS_capset, data) < 0)
		fail(1, "cannot drop privileges: %s", strerror(errno));
}

/* ---- 3. Suggestions for wrong words ---- */

/* The edit distance: how many bytes to insert, delete or replace to make B of A. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n > 62 || strlen(a) > 62)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

/* A search for the known name that is nearest to WORD. */
struct suggestion {
	const char *word;
	char best[64];		/* "": none is near */
	size_t least;		/* its distance */
};

static void
suggestion_try(struct suggestion *s, const char *name)
{
	size_t d = distance(s->word, name);

	if (d <= strlen(s->word) / 3 + 1 && d < strlen(name) && (!*s->best || d < s->least)) {
		s->least = d;
		snprintf(s->best, sizeof s->best, "%s", name);
	}
}

/* The next word of a list of words between commas or blanks, or false. */
static bool
list_next(const char **at, const char **word, size_t *len)
{
	*at += strspn(*at, ", \t\n");
	*word = *at;
	*len = strcspn(*at, ", \t\n");
	*at += *len;
	return *len > 0;
}

/* True if the LEN bytes at WORD are a word of LIST. The case counts for options only. */
static bool
list_has(const char *list, const char *word, size_t len)
{
	const char *at = list, *known;
	size_t n;

	while (list_next(&at, &known, &n))
		if (n == len && (*word == '-' ? strncmp : strncasecmp)(known, word, len) == 0)
			return true;
	return false;
}

/* Options and columns of other tools. The hint is the name of a column of memz, without a blank, or else a
 * text. */
static const struct { const char *words, *hint; } foreign_words[] = {
	{ "--format", "for JSON: --json, for CSV: --csv" },
	{ "--output", "for JSON: --json, for CSV: --csv, to a file: memz >FILE" },
	{ "--forest --tree", "parents: -c +ancestry" },
	{ "--ppid", "children: -f ppid=N" },
	{ "--usage", "see --help" },
	{ "--bar --pie", "bars: -c +bar" },
	{ "--userfilter", "one user's: -U NAME" },
	{ "--processfilter --name", "by name: -P REGEX" },
	{ "--mapfilter", "mappings: -m -M REGEX" },
	{ "--percent", "percentages: -c +pss_pct" },
	{ "--numeric", "user ids: -c +uid" },
	{ "--abbreviate --human --human-readable", "sizes have units already" },
	{ "--bytes", "sizes in bytes: -b" }, { "--kilo --kibi", "sizes in KiB: -k" },
	{ "--mega --mebi", "--unit M" }, { "--giga --gibi", "--unit G" },
	{ "--cgroup --cgroups", "--by cgroup" }, { "--container --containers", "--by container" },
	{ "--group --group-by", "--by KEY" },
	{ "--watch --loop --delay --follow --seconds", "memz runs once: watch memz, or -i SEC" },
	{ "--top --head --lines --count", "the first rows: -n 20" },
	{ "--sort-key", "--sort KEY" },
	{ "--fields", "-c LIST" }, { "--all-columns", "-c all" },
	{ "--no-color", "NO_COLOR=1 in the environment" }, { "--noheadings", "-H" },

	{ "-a", "all users' processes are shown already" },
	{ "-e -x", "all processes are shown already" },
	{ "-d", "two scans SEC apart: -i SEC" }, { "-K", "sizes in KiB: -k" }, { "-C", "by name: -P NAME" },
	{ "-R", "the size of memory comes from meminfo" },
	{ "-j", "for JSON: --json" },
	{ "-E", "-P takes extended regular expressions" }, { "-F -l", "columns: -c LIST" },

	{ "vss size sz virt m_size", "vsz" }, { "res rsz m_resident", "rss" }, { "shr m_share", "shared" },
	{ "%mem pmem percent_mem", "rss_pct" }, { "mem memory", "pss" }, { "args cmd cmdline", "command" },
	{ "comm ucmd ucomm process", "name" }, { "nlwp thcount", "threads" }, { "stat s", "state" },
	{ "lstart stime etime", "start" }, { "service", "unit" }, { "docker", "container" },
	{ "list help ?", "all columns: --list-columns" },
	{ "json", "for JSON: --json" }, { "csv", "for CSV: --csv" },
	{ "%cpu pcpu cpu", "memz reports memory; for CPU time: top" },
	{ "mem_available mem_used mem_free swap_used", "a figure of the machine: -w, or --alert" },
};

/* What memz has instead of WORD, which may end in =VALUE; NULL: unknown. */
static const char *
foreign_hint(const char *word)
{
	for (size_t i = 0; i < sizeof foreign_words / sizeof *foreign_words; i++)
		if (list_has(foreign_words[i].words, word, strcspn(word, "=")))
			return foreign_words[i].hint;
	return NULL;
}

/* Finds the column, or the word of the list MORE, that is nearest to S->word. */
static void
column_suggest(struct suggestion *s, const char *more)
{
	static const char *const suffixes[] = { "", "_delta", "_rate" };
	const char *word;
	char name[64];
	size_t len;

	for (const struct column *c = columns; c->name; c++)
		for (size_t i = 0; i < (is_text(c->kind) ? 1 : 3); i++) {
			snprintf(name, sizeof name, "%s%s", c->name, suffixes[i]);
			suggestion_try(s, name);
		}
	while (list_next(&more, &word, &len)) {
		snprintf(name, sizeof name, "%.*s", (int)len, word);
		suggestion_try(s, name);
	}
}

/* The LEN bytes at TEXT in lower case, in BUF; cut to fit. */
static char *
lower_case(char buf[64], const char *text, size_t len)
{
	snprintf(buf, 64, "%.*s", (int)len, text);
	for (char *c = buf; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return buf;
}

/* MORE: a list of further names that would be right. */
__attribute__((noreturn)) static void
unknown_column(const char *name, size_t len, const char *more)
{
	char word[64];
	const char *hint;
	struct suggestion s = { .word = lower_case(word, name, len) };

	column_suggest(&s, more);
	hint = *s.best && s.least == 0 ? s.best : foreign_hint(word);
	if (hint && strchr(hint, ' '))
		fail(2, "unknown column '%.*s': %s", (int)len, name, hint);
	if (hint || *s.best)
		fail(2, "unknown column '%.*s': did you mean '%s'? see --list-columns", (int)len, name,
		    hint ? hint : s.best);
	fail(2, "unknown column '%.*s': see --list-columns", (int)len, name);
}

/* ---- 4. Patterns: POSIX extended regular expressions ---- */

struct pattern {
	regex_t regex;
	const char *text;
};

#define PATTERN_SIZE_MAX	4096	/* bytes */
#define PATTERN_REPEAT_MAX	1000	/* product of nested {m,n} bounds */
#define PATTERN_ATOMS_MAX	4096	/* with + and {m,n} written out; glibc takes 16 bytes per pair */

static const char nothing_to_repeat[] = "nothing to repeat before *, +, ? or {; any text is .*";

/* The size of a part of a pattern when regcomp has written out its repetitions. */
struct growth {
	size_t repeat;		/* largest product of nested bounds */
	size_t atoms;
};

static const char *alternatives_measure(const char **at, struct growth *g);

/* The ] of the bracket expression whose [ is at S, or NULL. */
static const char *
bracket_end(const char *s)
{
	s += s[1] == '^';
	s += s[1] == ']';
	for (s++; *s && *s != ']'; s++)
		if (*s == '[' && s[1] && strchr(".:=", s[1])) {		/* [:alpha:], [.-.], [=a=] */
			const char close[] = { s[1], ']', '\0' };

			s = strstr(s + 2, close);
			if (!s)
				return NULL;
			s++;
		}
	return *s ? s : NULL;
}

static bool
is_quantifier(char c)
{
	return c && strchr("*+?{", c);
}

/* Moves *AT to the last byte of the atom that begins there. Returns what is wrong with it, or NULL. */
static const char *
atom_measure(const char **at, struct growth *atom)
{
	const char *why, *end;

	*atom = (struct growth){ 1, 1 };
	switch (**at) {
	case '*': case '+': case '?': case '{':
		return nothing_to_repeat;
	case '^': case '$': case '|':
		return is_quantifier((*at)[1]) ? nothing_to_repeat : NULL;
	case '[':
		end = bracket_end(*at);
		*at = end ? end : *at;
		return end ? NULL : "unmatched [";
	case '(':
		++*at;
		why = alternatives_measure(at, atom);
		return why || **at ? why : "unmatched (";
	case '\\':
		++*at;
		if (!**at)
			return "nothing after the last \\";
		if (isdigit((unsigned char)**at))
			return "a back-reference (\\ and a digit) is not supported";
	}
	return NULL;
}

/* Reads the {m}, {m,} or {m,n} at *AT and moves *AT to its }. regcomp writes the atom so many times. */
static const char *
bound_measure(const char **at, struct growth *atom)
{
	const char *first = *at + 1;
	bool is_closed = first[strspn(first, "0123456789,")] == '}', open = false;
	char *end;
	size_t least = strtoul(first, &end, 10), most = least;

	if (*end == ',') {
		open = end[1] == '}';
		most = strtoul(end + 1, &end, 10);
		most = open ? least : most;
	}
	if (!is_closed || *end != '}' || end == first || most < least)
		return "{} must be {m}, {m,} or {m,n}";
	if (most > PATTERN_REPEAT_MAX)
		most = PATTERN_REPEAT_MAX + 1;
	most += most == 0;
	atom->repeat *= most;
	atom->atoms *= most + open;
	*at = end;
	return NULL;
}

/* Moves *AT from the last byte of an atom to that of its quantifier, if it has one. */
static const char *
quantifier_measure(const char **at, struct growth *atom)
{
	const char *why = NULL;

	if (!is_quantifier((*at)[1]))
		return NULL;
	++*at;
	if (**at == '+')
		atom->atoms *= 2;		/* a+ is compiled as aa* */
	if (**at == '{')
		why = bound_measure(at, atom);
	if (!why && is_quantifier((*at)[1]))
		why = "one quantifier after another";
	return why;
}

/* Measures the alternatives at *AT, up to the end or to an unmatched ). Returns what is wrong, or NULL. */
static const char *
alternatives_measure(const char **at, struct growth *g)
{
	*g = (struct growth){ 1, 0 };
	for (; **at && **at != ')'; ++*at) {
		struct growth atom;
		const char *why = atom_measure(at, &atom);

		if (!why)
			why = quantifier_measure(at, &atom);
		if (why)
			return why;
		g->repeat = g->repeat > atom.repeat ? g->repeat : atom.repeat;
		g->atoms += atom.atoms;
		if (g->repeat > PATTERN_REPEAT_MAX)
			return "too large: nested {m,n} multiply to more than 1000";
		if (g->atoms > PATTERN_ATOMS_MAX)
			return "too large: more than 4096 parts when its + and {m,n} are written out";
	}
	return NULL;
}

/* Returns what is wrong with a pattern, or NULL. regcomp would take gigabytes for some patterns. */
static const char *
pattern_refuse(const char *text)
{
	struct growth g;
	const char *why;

	if (strlen(text) > PATTERN_SIZE_MAX)
		return "longer than 4096 bytes";
	why = alternatives_measure(&text, &g);
	if (why)
		return why;
	return *text == ')' ? "unmatched )" : NULL;
}

/* Writes a carriage return for each newline: behind one, regexec of glibc takes ^ for the begin. */
static void
newlines_replace(char *text)
{
	while ((text = strchr(text, '\n')))
		*text = '\r';
}

/*
 * Compiles TEXT as ^.*(TEXT), so that regexec goes over the subject once. Without ^ it starts again at each
 * character, which takes quadratic time: \w+\s\w+ over a word of 20 KB took 4 s. OPTION is for messages.
 */
static struct pattern *
pattern_parse(const char *option, const char *text)
{
	struct pattern *p = xrealloc(NULL, 1, sizeof *p);
	const char *why = pattern_refuse(text);
	char *whole, error[128];
	int code;

	if (why)
		fail(2, "%s: '%s': %s", option, text, why);
	if (asprintf(&whole, "^.*(%s)", text) < 0)
		fail(1, "out of memory");
	newlines_replace(whole);
	p->text = text;
	code = regcomp(&p->regex, *text ? whole : "", REG_EXTENDED | REG_NOSUB);
	free(whole);
	if (code != 0) {
		regerror(code, NULL, error, sizeof error);
		fail(2, "%s: '%s': %s", option, text, error);
	}
	return p;
}

/* A copy of TEXT as regexec can match it: with ? for invalid UTF-8, no newlines. NULL: TEXT is one. */
static char *
subject_copy(const char *text)
{
	size_t i = 0, n = 0;
	uint32_t c;
	char *copy;

	for (; text[i] && text[i] != '\n' && (n = utf8(text + i, &c)) > 0; i += n)
		;
	if (!text[i] || !(copy = strdup(text)))
		return NULL;
	newlines_replace(copy);
	for (; copy[i]; i += n ? n : 1)
		if ((n = utf8(copy + i, &c)) == 0 && MB_CUR_MAX > 1)
			copy[i] = '?';
	return copy;
}

static bool
pattern_matches(const struct pattern *p, const char *text)
{
	char *copy = subject_copy(text);
	bool matches = regexec(&p->regex, copy ? copy : text, 0, NULL, 0) == 0;

	free(copy);
	return matches;
}

/* ---- 5. Options: lists of columns ---- */

static struct field
field_parse(const char *name, size_t len)
{
	struct field field;

	if (!field_by_name(name, len, &field)) {
		size_t suffix = field.how == DELTA ? strlen("_delta") : strlen("_rate");

		if (field.how != VALUE && field_by_name(name, len - suffix, &field) && field.how == VALUE)
			fail(2, "column '%.*s': only numbers have _delta and _rate", (int)len, name);
		unknown_column(name, len, "");
	}
	return field;
}

/* A column to sort by or to select by. */
static struct field
field_parse_sortable(const char *name, size_t len)
{
	struct field field = field_parse(name, len);

	if (field.column->kind == BAR)
		fail(2, "column 'bar' shows the first sort key; it cannot be a sort key or be in a condition");
	return field;
}

static bool
field_equal(const struct field *a, const struct field *b)
{
	return a->column == b->column && a->how == b->how;
}

static void
fields_remove(struct options *o, struct field field)
{
	size_t n = 0;

	for (size_t i = 0; i < o->nfields; i++)
		if (!field_equal(&o->fields[i], &field))
			o->fields[n++] = o->fields[i];
	o->nfields = n;
}

static void
fields_add(struct options *o, struct field field)
{
	for (size_t i = 0; i < o->nfields; i++)
		if (field_equal(&o->fields[i], &field))
			return;
	if (o->nfields < FIELDS_MAX)
		o->fields[o->nfields++] = field;
}

/* True if groups have C: sums, shares of sums, and what the group or the machine has. */
static bool
groups_have(const struct column *c)
{
	return c->source & (GROUP | MACHINE) || sums(c->kind);
}

/* True if C is part of "all": what needs no file but statm, stat, status, smaps_rollup, cmdline, cgroup
 * and comm; of mappings, what smaps has. */
static bool
is_in_all(const struct options *o, const struct column *c)
{
	const unsigned more = EXE | MAPS | NUMA_MAPS | ANCESTRY | OOM_SCORE | OOM_ADJ | MEMCG | SMAPS;
	const unsigned of_mappings = SMAPS | ROLLUP | RSS;

	if (c->kind == BAR || (!o->delta && strcmp(c->name, "change") == 0))
		return false;
	if (o->by ? !groups_have(c) : c->source & GROUP)
		return false;
	return o->mappings ? c->source & (of_mappings | GROUP) : !(c->source & more);
}

static void
fields_add_all(struct options *o)
{
	if (o->by)
		fields_add(o, (struct field){ o->by, VALUE, false });
	for (const struct column *c = columns; c->name; c++)
		if (is_in_all(o, c))
			fields_add(o, (struct field){ c, VALUE, false });
}

static bool
by_cgroup(const struct options *o)
{
	return o->by && strcmp(o->by->name, "cgroup") == 0;
}

/* The columns of a report without -c. In groups they follow the key of --by. */
static const char *
default_columns(const struct options *o)
{
	static const char *const lists[][2] = {		/* with one scan, with two */
		{ "pid user pss uss rss swap command",
		  "pid user pss pss_delta rss_delta swap_delta change command" },
		{ "mapping kind procs pss rss swap",
		  "mapping kind procs pss pss_delta rss_delta swap_delta change" },
		{ "+count +pss +uss +swap_pss",
		  "+count +pss +pss_delta +rss_delta +swap_pss_delta" },
		{ "+count +pss +cg_usage +cg_limit +cg_pct",
		  "+count +pss +pss_delta +cg_usage +cg_usage_delta +cg_limit +cg_pct" },
	};

	if (by_cgroup(o))
		return lists[3][o->delta];
	return lists[o->by ? 2 : o->mappings][o->delta];
}

/* Returns the + or - with which *WORD of *LEN bytes begins, and moves *WORD behind it. 0: there is none. */
static char
sign_parse(const char **word, size_t *len)
{
	char sign = **word;

	if (sign != '+' && sign != '-')
		return 0;
	++*word;
	--*len;
	return sign;
}

static void
fields_parse(struct options *o, const char *list)
{
	const char *at = list, *word;
	size_t len;
	bool any = false;

	while (list_next(&at, &word, &len)) {
		char sign = sign_parse(&word, &len);

		if (!any && !sign)
			o->nfields = 0;
		any = true;
		if (len == 3 && strncasecmp(word, "all", 3) == 0 && sign != '-')
			fields_add_all(o);
		else if (sign == '-')
			fields_remove(o, field_parse(word, len));
		else
			fields_add(o, field_parse(word, len));
	}
	if (!any || o->nfields == 0)
		fail(2, "--columns: %s: see --list-columns",
		    strpbrk(list, "+-") ? "nothing is left of the list" : "empty list");
}

static void
keys_parse(struct options *o, const char *list)
{
	const char *at = list, *word;
	size_t len;

	o->nkeys = 0;
	while (list_next(&at, &word, &len)) {
		char sign = sign_parse(&word, &len);
		struct field field = field_parse_sortable(word, len);

		field.up = sign ? sign == '+' : is_text(field.column->kind) || field.column->kind == ID;
		if (o->nkeys == KEYS_MAX)
			fail(2, "--sort: more than %d keys", KEYS_MAX);
		o->keys[o->nkeys++] = field;
	}
	if (o->nkeys == 0)
		fail(2, "--sort: empty list");
}

/* ---- 6. Options: numbers, sizes and times ---- */

/* Reads digits, and nothing else, as a number up to MOST. */
static bool
whole_number(const char *text, uint64_t most, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && errno == 0 && *n <= most;
}

/* Reads the LEN bytes at TEXT, which may have a sign. */
static bool
decimal_number(const char *text, size_t len, double *x)
{
	bool minus = *text == '-', sign = minus || *text == '+';
	const char *end;

	*x = decimal_parse(text + sign, &end);
	*x = minus ? -*x : *x;
	return isfinite(*x) && end == text + len;
}

/* Reads 100 or 1.5G as KiB, and 20% as a percentage. */
static bool
size_number(const char *text, double *kib, bool *percent)
{
	static const char letters[] = "BKMGT";
	static const double units[] = { 1.0 / 1024, 1, 1024, 1024.0 * 1024, 1024.0 * 1024 * 1024 };
	size_t len = strlen(text);
	int last = len > 0 ? toupper((unsigned char)text[len - 1]) : '0';
	const char *letter = strchr(letters, last);

	*percent = last == '%';
	if (!decimal_number(text, len - (letter || *percent), kib))
		return false;
	*kib *= letter ? units[letter - letters] : 1;
	return true;
}

/* Reads an age as 90s, 5m, 1h, 2d or 1w. */
static bool
age_parse(const char *text, double *seconds)
{
	static const char letters[] = "smhdw";
	static const double units[] = { 1, 60, 3600, 86400, 604800 };
	size_t len = strlen(text);
	const char *letter = len > 0 ? strchr(letters, text[len - 1]) : NULL;

	if (!letter || !isdigit((unsigned char)*text) || !decimal_number(text, len - 1, seconds))
		return false;
	*seconds *= units[letter - letters];
	return true;
}

/* Reads 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:30 as UTC. T may be a blank, and Z may follow. */
static bool
time_parse(const char *text, double *seconds)
{
	static const struct { size_t len; const char *form; } forms[] = {
		{ 10, "%Y-%m-%d" }, { 16, "%Y-%m-%dT%H:%M" }, { 19, "%Y-%m-%dT%H:%M:%S" },
	};
	char given[32];
	size_t len = (size_t)snprintf(given, sizeof given, "%s", text);

	if (len < 10 || len >= sizeof given)
		return false;
	if (given[len - 1] == 'Z')
		given[--len] = '\0';
	if (given[10] == ' ')
		given[10] = 'T';
	if (strspn(given, "0123456789-:T") != len)	/* strptime would take blanks and signs */
		return false;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = { .tm_year = 0 }, valid;
		const char *end = strptime(given, forms[i].form, &tm);

		valid = tm;
		*seconds = (double)timegm(&valid);	/* turns the 31st of April into the 1st of May */
		if (end && !*end && len == forms[i].len)
			return valid.tm_mday == tm.tm_mday && valid.tm_min == tm.tm_min;
	}
	return false;
}

/* ---- 7. Options: conditions ---- */

/* A column whose values are printed in ISO 8601. */
static bool
is_time(const struct column *c)
{
	return c->kind == TIME || (c->source & MACHINE && strcmp(c->name, "time") == 0);
}

/* The length of the operator at AT; 0: none. */
static size_t
op_parse(const char *at, enum op *op)
{
	static const struct { const char *text; enum op op; } ops[] = {	/* longer ones first */
		{ "==", EQ }, { "!=", NE }, { "<=", LE }, { ">=", GE }, { "!~", NO_MATCH }, { "=~", MATCH },
		{ "=", EQ }, { "<", LT }, { ">", GT }, { "~", MATCH },
	};

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (strncmp(at, ops[i].text, strlen(ops[i].text)) == 0) {
			*op = ops[i].op;
			return strlen(ops[i].text);
		}
	return 0;
}

/* Refuses operators of other languages, as <> and =>. AT is the operator that was read, of LEN bytes. */
static void
op_check(const char *text, const char *at, size_t len, enum op op)
{
	static const char *const wrong[][2] = { { "<>", "!=" }, { "=>", ">=" }, { "=<", "<=" } };
	const char *more = op >= MATCH ? "=~" : "=!<>~";
	size_t n = len + strspn(at + len, "=!<>~");

	if (n == len || !strchr(more, at[len]))
		return;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (strncmp(at, wrong[i][0], 2) == 0)
			fail(2, "condition '%s': '%.*s' is not an operator; did you mean %s?",
			    text, (int)n, at, wrong[i][1]);
	fail(2, "condition '%s': '%.*s' is not an operator: = != < <= > >= ~ !~; "
	    "if the value begins with one of these characters, put a blank before it",
	    text, (int)n, at);
}

/* The "and", "or", && or || in VALUE that another condition follows, or NULL. */
static const char *
conjunction_find(const char *value)
{
	static const char *const words[] = { " and ", " or ", "&&", "||" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (const char *at = strstr(value, words[i]); at; at = strstr(at + 1, words[i])) {
			const char *behind = at + strlen(words[i]);
			const char *name = behind + strspn(behind, " ");
			size_t len = strcspn(name, " =!<>~");
			struct field field;
			enum op op;

			behind = name + len + strspn(name + len, " ");
			if (field_by_name(name, len, &field) && op_parse(behind, &op))
				return words[i];
		}
	return NULL;
}

static void
conjunctions_check(const char *text, const char *value, enum kind kind)
{
	const char *conjunction = conjunction_find(value);

	if (conjunction && strpbrk(conjunction, "o|"))
		fail(2, "condition '%s': there is no '%.2s'; for text, use ~, as in 'name~^(bash|zsh)$'",
		    text, conjunction + strspn(conjunction, " "));
	if (conjunction || (!is_text(kind) && strpbrk(value, "<>=~")))
		fail(2, "condition '%s': only one condition per -f; for 'and', repeat -f", text);
}

static void
time_value_parse(struct condition *c, const char *value)
{
	c->is_age = age_parse(value, &c->value);
	if (!c->is_age && !time_parse(value, &c->value))
		fail(2, "condition '%s': '%s' is not a time, as 2026-01-31 or 2026-01-31T12:00, "
		    "nor an age in s, m, h, d or w, as 1h",
		    c->given, value);
}

static void
number_value_parse(struct condition *c, const char *value)
{
	enum kind kind = c->field.column->kind;
	bool sized = is_size(kind), share = is_share(kind);
	unsigned char last = (unsigned char)value[strlen(value) - 1];

	if (!size_number(value, &c->value, &c->percent) || (!sized && !share && c->percent))
		fail(2, "condition '%s': '%s' is not a %s",
		    c->given, value, sized ? "size, as 100M, 1.5G or 10%" : "number");
	if (!sized && !share && isalpha(last))
		fail(2, "condition '%s': %s is not a size, and '%s' is not a number",
		    c->given, c->field.column->name, value);
	if (share && isalpha(last))
		fail(2, "condition '%s': '%s' is not a percentage", c->given, value);
	c->percent = c->percent && sized;
	c->bare = sized && !c->percent && !isalpha(last);
}

static void
value_parse(struct condition *c, const char *value)
{
	bool is_string = is_text(c->field.column->kind) && !is_time(c->field.column);

	c->text = value;
	if (is_string && c->op >= MATCH)
		c->pattern = pattern_parse("condition", value);
	else if (c->op >= MATCH)
		fail(2, "condition '%s': ~ and !~ are for text columns", c->given);
	else if (is_time(c->field.column))
		time_value_parse(c, value);
	else if (!is_string)
		number_value_parse(c, value);
}

/* mem_available<10 means 10 KiB; the user probably meant 10 % or 10 MiB. */
static void
bare_size_note(const struct condition *c)
{
	if (c->bare && c->field.how == VALUE && c->value > 0 && c->value < 1024)
		note("--alert '%s': %g is %g KiB; for another unit add %%, M or G",
		    c->given, c->value, c->value);
}

/* Refuses a condition without an operator. LEN bytes of TEXT are the name. */
__attribute__((noreturn)) static void
op_missing(const char *text, size_t len)
{
	struct field field;

	if (*text && !text[len] && !field_by_name(text, len, &field))
		fail(2, "condition '%s': no operator; to select by name, use -P %s", text, text);
	fail(2, "condition '%s': no operator; quote it, as in -f 'pss>100M': the shell takes > for a "
	    "redirection", text);
}

/* A copy of TEXT without blanks at either end. */
static char *
trimmed(const char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(" \t", text[len - 1]))
		len--;
	return xstrndup(text, len);
}

/* Reads "COLUMN OP VALUE" into C. FIGURE, if it is not NULL, stands for COLUMN. */
static void
condition_parse(struct condition *c, const char *text, const struct column *figure)
{
	size_t len, op;
	const char *at, *value;

	*c = (struct condition){ .op = EQ, .given = trimmed(text) };
	text = c->given;
	len = strcspn(text, " \t=!<>~");
	at = text + len + strspn(text + len, " \t");
	op = op_parse(at, &c->op);
	if (op == 0)
		op_missing(text, len);
	if (len == 0)
		fail(2, "condition '%s': no column before the operator", text);
	op_check(text, at, op, c->op);
	c->field = figure ? (struct field){ figure, VALUE, false } : field_parse_sortable(text, len);
	c->sources = c->field.column->source | (c->field.how == VALUE ? 0u : CHANGE);
	value = at + op + strspn(at + op, " \t");
	conjunctions_check(text, value, c->field.column->kind);
	if (!*value && !is_text(c->field.column->kind))
		fail(2, "condition '%s': no value; if it contains a $, put it in single quotes", text);
	value_parse(c, value);
}

/* ---- 8. Options: the table ---- */

static uint64_t
count_parse(const char *option, const char *text, uint64_t least, uint64_t most)
{
	uint64_t n;
	bool is_number = whole_number(text, most, &n) && n >= least;

	if (!is_number && least == 0)
		fail(2, "%s: '%s' is not a whole number", option, text);
	if (!is_number)
		fail(2, "%s: '%s' is not a whole number from %llu to %llu", option, text,
		    (unsigned long long)least, (unsigned long long)most);
	return n;
}

static double
seconds_parse(const char *option, const char *text)
{
	double seconds;

	if (!decimal_number(text, strlen(text), &seconds) || !(seconds > 0) || seconds > 1e9)
		fail(2, "%s: '%s' is not a number of seconds above 0", option, text);
	return seconds;
}

static void
max_rss_parse(struct options *o, const char *text)
{
	double kib;
	bool percent;

	if (!size_number(text, &kib, &percent) || percent || kib < 0 || kib > 1e15)
		fail(2, "--max-rss: '%s' is not a size, as 64G", text);
	o->max_rss = (int64_t)kib;
}

static void
pids_parse(struct options *o, const char *list)
{
	const char *word;
	size_t len, before = o->npids;

	while (list_next(&list, &word, &len)) {
		long pid = strtol(word, NULL, 10);

		if (strspn(word, "0123456789") != len || len > 9 || pid == 0)
			fail(2, "--pid: '%.*s' is not a process id; to select by name, use -P %.*s",
			    (int)len, word, (int)len, word);
		o->pids = xrealloc(o->pids, o->npids + 1, sizeof *o->pids);
		o->pids[o->npids++] = (int)pid;
	}
	if (o->npids == before)
		fail(2, "--pid: empty list");
}

/* Joins the lists. Names are looked up later, when the source is known. */
static void
users_add(struct options *o, const char *list)
{
	size_t len = o->users ? strlen(o->users) : 0;

	o->users = xrealloc(o->users, len + strlen(list) + 2, 1);
	sprintf(o->users + len, "%s%s", len ? "," : "", list);
}

static void
filter_parse(struct options *o, const char *text)
{
	o->conditions = xrealloc(o->conditions, o->nconditions + 1, sizeof *o->conditions);
	condition_parse(&o->conditions[o->nconditions++], text, NULL);
}

static void
by_parse(struct options *o, const char *name)
{
	struct field field;

	if (strpbrk(name, ", "))
		fail(2, "--by: '%s': only one column is allowed", name);
	field = field_parse(name, strlen(name));
	if (field.column->kind != TEXT)
		fail(2, "--by: '%s' is not a text column; use user, name, unit, cgroup or "
		    "another text column", name);
	if (o->by && o->by != field.column)
		fail(2, "--by: two keys: '%s' and '%s'", o->by->name, name);
	o->by = field.column;
}

static void
format_parse(struct options *o, const char *name)
{
	static const char *const names[] = {
		[CSV_FORMAT] = "csv", [JSON_FORMAT] = "json", [JSONL_FORMAT] = "jsonl",
	};

	for (size_t i = CSV_FORMAT; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			o->format = (enum format)i;
}

static void
unit_parse(struct options *o, const char *text)
{
	bool is_auto = strcmp(text, "auto") == 0;
	char unit = is_auto ? 'a' : (char)toupper((unsigned char)*text);

	if (!is_auto && (!unit || text[1] || !strchr("KMGB", unit)))
		fail(2, "unknown unit '%s': one of auto, K, M, G, B", text);
	if (o->unit && o->unit != unit)
		fail(2, "two units: '%s' and '%s'; give one of --unit, -b, -k",
		    o->unit == 'a' ? "auto" : (const char[]){ o->unit, '\0' },
		    is_auto ? "auto" : (const char[]){ unit, '\0' });
	o->unit = unit;
}

__attribute__((noreturn)) static void
version_print(struct options *o, const char *none)
{
	static const char version[] = "memz " MEMZ_VERSION "\n";

	(void)o, (void)none;
	write_all(version, sizeof version - 1);
	exit(0);
}

__attribute__((noreturn)) static void help_print(struct options *o, const char *none);

/* All that there is to know about an option. */
struct option_row {
	const char *letters;		/* the first is its name, "": it has only a long name */
	const char *name;		/* the long name, NULL: none */
	const char *argument;		/* its name in --help, NULL: takes none */
	const char *help;		/* NULL: not listed */
	const char *heading;		/* --help prints it above the row; NULL: none */
	enum { BY_FUNCTION, FLAG_ON, TEXT_ARG, TEXTS_ARG, COUNT_ARG, SECONDS_ARG, PATTERN_ARG } store;
	size_t member;			/* offset in struct options */
	uint64_t least, most;		/* of COUNT_ARG */
	void (*parse)(struct options *, const char *);	/* BY_FUNCTION */
	const char *value;		/* for PARSE, of an option without argument */
	const char *missing;		/* the end of "needs ..." if the argument is missing */
	const char *twice;		/* the end of "given twice"; NULL: may be repeated */
	const char *excludes;		/* options that contradict it; "!-H -q": all but -H and -q */
	const char *because;		/* the reason; NULL: the message says that they have no effect */
};

#define STORE(how, name)	.store = how, .member = offsetof(struct options, name)

static const struct option_row option_rows[] = {
	{ "co", "columns", "LIST", "show these columns; +COL adds COL, -COL removes it",
	  .heading = "What to show",
	  STORE(TEXTS_ARG, columns), .missing = "column names, as in -c pid,pss,name; see --list-columns" },
	{ "s", "sort", "KEY[,KEY]", "sort by these columns; +KEY ascending, -KEY descending",
	  STORE(TEXT_ARG, sort), .missing = "a column name, as in -s swap; see --list-columns", .twice = "" },
	{ "r", "reverse", NULL, "reverse the order", STORE(FLAG_ON, reverse) },
	{ "n", "limit", "N", "show only the first N rows", STORE(COUNT_ARG, limit), .most = SIZE_MAX - 1,
	  .missing = "the number of rows, as in -n 20 (numeric ids: -c uid)", .twice = "" },
	{ "t", "totals", NULL, "also show the totals of all selected rows", STORE(FLAG_ON, totals),
	  .excludes = "--csv --jsonl",
	  .because = "a program that adds up the rows would count the total too" },
	{ "g", "by", "KEY", "group by user, name, unit, cgroup, container, ...", .parse = by_parse,
	  .missing = "a text column, as in --by user" },
	{ "u", NULL, NULL, "the same as --by user", .parse = by_parse, .value = "user" },
	{ "m", "mappings", NULL, "show one row per mapped file or region", STORE(FLAG_ON, mappings) },
	{ "w", "system", NULL, "show where the memory of the whole machine went", STORE(FLAG_ON, system),
	  .excludes = "-s -r -n -t -g -u -m -p -P -U -f -M" },
	{ "A", "all", NULL, "also show kernel threads and zombies", STORE(FLAG_ON, all) },

	{ "p", "pid", "LIST", "select these process ids", .heading = "Which processes", .parse = pids_parse,
	  .missing = "process ids, as in -p 812,813 (percentages: -c +pss_pct)" },
	{ "P", "process", "REGEX", "select processes whose name or command line matches",
	  STORE(PATTERN_ARG, process), .missing = "a name or expression, as in -P postgres",
	  .twice = "; join them, as in 'a|b'" },
	{ "U", "user", "LIST", "select processes of these users (names or uids)", .parse = users_add,
	  .missing = "user names or ids, as in -U postgres" },
	{ "f", "filter", "COND", "select rows for which COND is true;\n"
	  "if repeated, all conditions must be true",
	  .parse = filter_parse, .missing = "a condition, as in -f 'pss>100M'" },
	{ "M", "mapping", "REGEX", "with -m: select mappings whose name matches", STORE(PATTERN_ARG, mapping),
	  .missing = "an expression, as in -M 'libc|heap'", .twice = "; join them, as in 'a|b'" },

	{ "i", "interval", "SEC", "read twice, SEC apart, and show what changed",
	  .heading = "Over time", STORE(SECONDS_ARG, interval), .missing = "seconds, as in -i 5",
	  .twice = "" },
	{ "", "save", "FILE", "also save the raw data to FILE, a tar archive", STORE(TEXT_ARG, save),
	  .missing = "the name of a new file, as in --save now.tar", .twice = "" },
	{ "", "since", "FILE", "show what changed since FILE was saved", STORE(TEXT_ARG, since),
	  .missing = "a file made by --save, as in --since before.tar", .twice = "",
	  .excludes = "-i", .because = "both say what the first scan is" },
	{ "", "alert", "COND", "exit with 3 if COND is true for a row or for the\n"
	  "machine, as in 'mem_available<10%'; may be repeated", STORE(TEXTS_ARG, alert_texts),
	  .missing = "a condition, as in --alert 'mem_available<10%'" },

	{ "", "csv", NULL, "print CSV instead of text", .heading = "Output", .parse = format_parse, .value = "csv",
	  .excludes = "--json --jsonl", .because = "a report has one format" },
	{ "", "json", NULL, "print one JSON object instead of text", .parse = format_parse, .value = "json",
	  .excludes = "--jsonl", .because = "a report has one format" },
	{ "", "jsonl", NULL, "print one JSON object per row, each on one line",
	  .parse = format_parse, .value = "jsonl" },
	{ "H", "no-header", NULL, "do not print the line of column names", STORE(FLAG_ON, no_header) },
	{ "", "unit", "UNIT", "unit of sizes: auto, K, M, G or B; -k is K, -b is B",
	  .parse = unit_parse, .missing = "one of auto, K, M, G, B", .twice = "" },
	{ "b", NULL, NULL, NULL, .parse = unit_parse, .value = "B" },
	{ "k", NULL, NULL, NULL, .parse = unit_parse, .value = "K" },

	{ "S", "source", "PATH", "read PATH/proc and PATH/sys, or a saved archive",
	  .heading = "Reading and other options",
	  STORE(TEXT_ARG, source), .missing = "a directory with proc/ in it, or a file made by --save",
	  .twice = "" },
	{ "", "jobs", "N", "number of reader threads (default: processors)",
	  STORE(COUNT_ARG, jobs), .least = 1, .most = 64,
	  .missing = "the number of reader threads, as in --jobs 2", .twice = "" },
	{ "", "timeout", "SEC", "seconds to wait for a stuck process (default: 5)",
	  STORE(SECONDS_ARG, timeout), .missing = "seconds, as in --timeout 2", .twice = "" },
	{ "", "max-rss", "SIZE", "do not measure PSS of processes with a larger RSS",
	  .parse = max_rss_parse, .missing = "a size, as in --max-rss 64G", .twice = "" },
	{ "v", "verbose", NULL, "print on stderr what was read and how long it took",
	  STORE(FLAG_ON, verbose) },
	{ "q", "quiet", NULL, "print no notes on stderr, only errors and alerts", STORE(FLAG_ON, quiet) },
	{ "", "list-columns", NULL, "list all columns, and whether this kernel has them",
	  STORE(FLAG_ON, list), .excludes = "!--csv --json --jsonl -H -q" },
	{ "h", "help", NULL, "print this help", .parse = help_print },
	{ "V", "version", NULL, "print the version", .parse = version_print },
};
#define NOPTIONS (sizeof option_rows / sizeof *option_rows)

_Static_assert(NOPTIONS <= OPTIONS_MAX, "given[] has an element for each option");

enum { LONG_NAME = CHAR_MAX + 1 };	/* getopt_long returns this plus the row for a long name */

/* The row of a letter, or of another value that getopt_long returned; NULL: there is none. */
static const struct option_row *
option_by_value(int value)
{
	if (value >= LONG_NAME)
		return &option_rows[value - LONG_NAME];
	for (size_t i = 0; i < NOPTIONS; i++)
		if (strchr(option_rows[i].letters, value))
			return &option_rows[i];
	return NULL;
}

/* The row of the long NAME, which ends at a = or at its end, or NULL. */
static const struct option_row *
option_by_name(const char *name)
{
	size_t len = strcspn(name, "=");

	for (size_t i = 0; i < NOPTIONS; i++) {
		const char *known = option_rows[i].name;

		if (known && strlen(known) == len && memcmp(known, name, len) == 0)
			return &option_rows[i];
	}
	return NULL;
}

/* "-n" or "--csv"; BOTH: "-n, --limit". In BUF of 48 bytes. */
static const char *
option_name(const struct option_row *row, bool both, char *buf)
{
	if (!*row->letters)
		snprintf(buf, 48, "--%s", row->name);
	else if (both && row->name)
		snprintf(buf, 48, "-%c, --%s", *row->letters, row->name);
	else
		snprintf(buf, 48, "-%c", *row->letters);
	return buf;
}

static bool
is_given(const struct options *o, char letter)
{
	return o->given[option_by_value(letter) - option_rows];
}

/* ---- 9. Options: --help ---- */

#define HELP_INDENT	26

/* Prints "  -c, -o, --columns LIST  these columns", or "      --save FILE  ...". */
static void
help_print_row(FILE *f, const struct option_row *row)
{
	int n = fprintf(f, "  ");

	for (const char *letter = row->letters; *letter; letter++)
		n += fprintf(f, "%s-%c", letter > row->letters ? ", " : "", *letter);
	if (row->name)
		n += fprintf(f, "%s--%s", *row->letters ? ", " : "    ", row->name);
	if (row->argument)
		n += fprintf(f, " %s", row->argument);
	fprintf(f, "%*s", n < HELP_INDENT ? HELP_INDENT - n : 2, "");
	for (const char *at = row->help; *at; at++) {
		putc(*at, f);
		if (*at == '\n')
			fprintf(f, "%*s", HELP_INDENT, "");
	}
	putc('\n', f);
}

static const char help_begin[] =
"Usage: memz [options]\n"
"Show what uses the memory. By default, list the processes by proportional set\n"
"size (PSS), largest first.\n"
"\n";

static const char help_end[] =
"\n"
"COND is COLUMN OPERATOR VALUE. The operators are = != < <= > >=, and for text\n"
"~ (matches a regular expression) and !~ (does not match). A size is in KiB, or\n"
"ends in B, K, M, G, T or %. A time is a date and time in UTC, 2026-01-31T12:00,\n"
"or an age: 'start>1h' selects processes that started less than an hour ago.\n"
"\n"
"Examples\n"
"  memz -s pss -n 20                     the twenty largest processes\n"
"  memz -c +vm_hwm,threads -U postgres   two more columns, for one user\n"
"  memz -f 'swap>10M' -s swap -t         processes in swap, with totals\n"
"  memz -i 5 -f 'pss_delta>1M'           processes that grow\n"
"  memz --json | jq '.processes[] | select(.pss > 100000)'\n";

static void
help_print(struct options *o, const char *none)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool failed;

	(void)o, (void)none;
	if (!f)
		fail(1, "out of memory");
	fputs(help_begin, f);
	for (size_t i = 0; i < NOPTIONS; i++) {
		if (option_rows[i].heading)
			fprintf(f, "%s\n", option_rows[i].heading);
		if (option_rows[i].help)
			help_print_row(f, &option_rows[i]);
	}
	fputs(help_end, f);
	failed = ferror(f);
	if (fclose(f) != 0 || failed)
		fail(1, "out of memory");
	write_all(text, len);
	exit(0);
}

/* ---- 10. Options: wrong usage ---- */

/* WORD is "--name", or the "-x" of a letter. */
__attribute__((noreturn)) static void
unknown_option(const char *word)
{
	bool is_long = word[1] == '-';
	struct suggestion s = { .word = word + 2 };
	const char *hint = foreign_hint(word);

	if (isdigit((unsigned char)word[1]))
		fail(2, "unknown option '%s': for the number of rows, use -n NUMBER", word);
	if (hint)
		fail(2, "unknown option '%s': %s%s", word, hint, is_long ? "" : "; see --help");
	for (size_t i = 0; i < NOPTIONS && is_long; i++)
		if (option_rows[i].name)
			suggestion_try(&s, option_rows[i].name);
	if (*s.best)
		fail(2, "unknown option '%s': did you mean '--%s'? see --help", word, s.best);
	fail(2, "unknown option '%s': see --help", word);
}

__attribute__((noreturn)) static void
argument_missing(const struct option_row *row)
{
	char name[48];

	fail(2, "option %s needs %s", option_name(row, true, name), row->missing);
}

/* True if TEXT is an option, so that it is not the argument of the option before it. */
static bool
is_option(const char *text)
{
	if (text[0] != '-' || !text[1])
		return false;
	if (text[1] == '-')
		return option_by_name(text + 2) != NULL;
	return !text[2] && option_by_value(text[1]) != NULL;
}

__attribute__((noreturn)) static void
stray_number(const struct options *o, const char *word)
{
	if (is_given(o, 'p'))
		fail(2, "unexpected '%s': separate process ids by commas, as in -p 812,813", word);
	if (is_given(o, 'i') || is_given(o, 't'))
		fail(2, "unexpected '%s': memz runs once; to repeat it, use watch memz", word);
	fail(2, "unexpected '%s': did you mean -p %s?", word, word);
}

__attribute__((noreturn)) static void
stray_operand(const struct options *o, const char *word)
{
	struct field field;
	size_t name_len = strcspn(word, " =!<>~");
	bool is_all = strcmp(word, "all") == 0;

	if (!*word)
		fail(2, "unexpected empty argument");
	if (strspn(word, "0123456789,") == strlen(word))
		stray_number(o, word);
	if (field_by_name(word, strlen(word), &field) && is_given(o, 'c'))
		fail(2, "unexpected '%s': separate columns by commas, as in -c pid,%s", word, word);
	if (word[name_len] && field_by_name(word, name_len, &field))
		fail(2, "unexpected '%s': did you mean -f '%s'?", word, word);
	if (option_by_name(word) && !is_all)
		fail(2, "unexpected '%s': did you mean --%s?", word, word);
	if (field_by_name(word, strlen(word), &field))
		fail(2, "unexpected '%s': to sort by it, use -s %s; to show it, use -c +%s", word, word, word);
	if (is_given(o, 'U'))
		fail(2, "unexpected '%s': separate users by commas, as in -U root,%s", word, word);
	if (is_given(o, 'u'))
		fail(2, "unexpected '%s': -u makes groups by user; did you mean -U %s?", word, word);
	if ((strchr(word, 'a') && strspn(word, "auxfelw") == strlen(word)) || is_all)
		fail(2, "unexpected '%s': without options, memz shows all processes; see --help", word);
	fail(2, "unexpected '%s': did you mean -P %s?", word, word);
}

/* True if ROW excludes OTHER. */
static bool
excludes(const struct option_row *row, const struct option_row *other)
{
	const char *list = row->excludes ? row->excludes : "";
	bool all_but = *list == '!';
	char name[48];

	option_name(other, false, name);
	return row != other && list_has(list + all_but, name, strlen(name)) != all_but;
}

__attribute__((noreturn)) static void
options_exclusive(const struct option_row *row, const struct option_row *other)
{
	char a[48], b[48];

	if (row->because)
		fail(2, "--%s and --%s exclude each other: %s", row->name, other->name, row->because);
	fail(2, "%s has no effect with %s", option_name(other, false, b), option_name(row, false, a));
}

static void
exclusions_check(const struct options *o)
{
	for (size_t i = 0; i < NOPTIONS; i++)
		for (size_t j = 0; j < NOPTIONS; j++)
			if (o->given[i] && o->given[j] && excludes(&option_rows[i], &option_rows[j]))
				options_exclusive(&option_rows[i], &option_rows[j]);
}

/* ---- 11. Options: defaults and contradictions ---- */

/* Refuses columns that this kind of report cannot have. */
static void
fields_check(const struct options *o, const struct field *fields, size_t n, bool groups)
{
	const unsigned of_mappings = SMAPS | ROLLUP | RSS | MAPS | MACHINE | CHANGE | GROUP;

	for (size_t i = 0; i < n; i++) {
		const struct column *c = fields[i].column;

		if (c->source & SMAPS && !o->mappings)
			fail(2, "column '%s' is only for mappings: see -m", c->name);
		if (o->mappings && (!c->source || c->source & ~of_mappings) && strcmp(c->name, "vsz") != 0)
			fail(2, "column '%s' is for processes, not for mappings", c->name);
		if (c->source & GROUP && !groups)
			fail(2, "column '%s' is only for groups: see --by", c->name);
		if (c->source & MEMCG && !(groups && by_cgroup(o)))
			fail(2, "column '%s' is only for control groups: see --by cgroup", c->name);
	}
}

static unsigned
sources_of(const struct field *fields, size_t n)
{
	unsigned sources = 0;

	for (size_t i = 0; i < n; i++)
		sources |= fields[i].column->source;
	return sources;
}

/* The first sort key that is a number: bars show it. NULL: none is. */
static const struct field *
bar_key(const struct options *o)
{
	for (size_t i = 0; i < o->nkeys; i++)
		if (!is_text(o->keys[i].column->kind) && o->keys[i].column->kind != ID)
			return &o->keys[i];
	return NULL;
}

static void
by_check(const struct options *o)
{
	if (o->by && o->mappings && !(o->by->source & SMAPS))
		fail(2, "column '%s' is for processes, not for mappings; for the mappings of one user, "
		    "use -m -U NAME, of one program, -m -P NAME", o->by->name);
	if (o->by)
		fields_check(o, &(struct field){ o->by, VALUE, false }, 1, true);
}

/* -w prints figures, not rows. Time and host may precede each figure in CSV. */
static void
system_columns_check(const struct options *o)
{
	for (size_t i = 0; i < o->nfields; i++) {
		const struct column *c = o->fields[i].column;
		bool is_fixed = o->fields[i].how == VALUE && c->source == MACHINE && c->kind == TEXT;

		if (o->format != CSV_FORMAT || !is_fixed)
			fail(2, "-w takes only -c time,host, and only with --csv");
	}
}

static void
columns_choose(struct options *o)
{
	if (o->by)
		fields_add(o, (struct field){ o->by, VALUE, false });
	fields_parse(o, default_columns(o));
	for (size_t i = 0; i < o->columns.n; i++) {
		if (i > 0 && !strchr("+- ,", *o->columns.list[i]))
			fail(2, "--columns: two lists: begin the second one with + or -");
		fields_parse(o, o->columns.list[i]);
	}
	fields_check(o, o->fields, o->nfields, o->by);
	if (o->system && o->columns.n == 0)
		o->nfields = 0;
	if (o->system)
		system_columns_check(o);
}

static void
keys_choose(struct options *o)
{
	const char *list = o->delta ? "pss_delta" : "pss";

	keys_parse(o, o->sort ? o->sort : list);
	o->magnitude = o->delta && !o->sort;
	fields_check(o, o->keys, o->nkeys, o->by);
	for (size_t i = 0; i < o->nfields && !bar_key(o); i++)
		if (o->fields[i].column->kind == BAR)
			fail(2, "column 'bar' needs a number to sort by, as in -s pss");
}

static void
conditions_check(const struct options *o)
{
	for (size_t i = 0; i < o->nconditions; i++) {
		const struct field *field = &o->conditions[i].field;

		if (o->by && field->column->source & (GROUP | MEMCG))
			fail(2, "condition on '%s': -f selects %s, not groups; for the largest groups: "
			    "-s %s -n 10, for a check: --alert", field->column->name,
			    o->mappings ? "mappings" : "processes", field->column->name);
		fields_check(o, field, 1, false);
	}
}

/* The processors that memz may use, at most JOBS_DEFAULT_MAX. */
static unsigned
processors(void)
{
	cpu_set_t sets[64];		/* the kernel refuses a set that is smaller than its own */
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof sets, sets) == 0)
		n = CPU_COUNT_S(sizeof sets, sets);
	if (n > JOBS_DEFAULT_MAX)
		n = JOBS_DEFAULT_MAX;
	return n < 1 ? 1 : (unsigned)n;
}

static void
pids_sort(struct options *o)
{
	size_t n = 0;

	if (o->npids > 0)
		qsort(o->pids, o->npids, sizeof *o->pids, pid_compare);
	for (size_t i = 0; i < o->npids; i++)
		if (i == 0 || o->pids[i] != o->pids[i - 1])
			o->pids[n++] = o->pids[i];
	o->npids = n;
}

/* Refuses --since 1h: what looks like a time and is not the name of a file. */
static void
since_path_check(const char *path)
{
	double seconds;
	bool is_time = age_parse(path, &seconds) || time_parse(path, &seconds);

	is_time = is_time || (*path && path[strspn(path, "0123456789.")] == '\0');
	is_time = is_time || strcmp(path, "yesterday") == 0 || strcmp(path, "boot") == 0;
	if (is_time && access(path, F_OK) < 0)
		fail(2, "--since: '%s' is a time; --since takes a saved state, a file made by --save; for "
		    "two scans now: -i SEC", path);
}

static void
options_complete(struct options *o)
{
	exclusions_check(o);
	if (o->save && !*o->save)
		fail(2, "--save: no name");
	if (o->source && !*o->source)
		fail(2, "--source: no name");
	if (o->since && !*o->since)
		fail(2, "--since: no name");
	if (o->since)
		since_path_check(o->since);
	if (o->mapping && !o->mappings)
		fail(2, "--mapping selects among mappings: add -m");
	by_check(o);
	o->delta = o->since || o->interval > 0;
	o->all_areas = o->system && o->all;
	o->all = o->all && !o->system;
	if (o->unit == 'a' && o->format != TEXT_FORMAT)
		fail(2, "--unit auto is for text: CSV and JSON have numbers of one unit");
	if (!o->unit)
		o->unit = o->format == TEXT_FORMAT ? 'a' : 'K';
	if (!o->jobs)
		o->jobs = processors();
	pids_sort(o);
	columns_choose(o);
	keys_choose(o);
	conditions_check(o);
}

/* ---- 12. Options: the command line ---- */

/* Fills getopt_long's two tables from the rows. */
static void
getopt_tables(char *letters, struct option *names)
{
	*letters++ = ':';		/* tells a missing argument from an unknown option */
	for (size_t i = 0; i < NOPTIONS; i++) {
		const struct option_row *row = &option_rows[i];
		int argument = row->argument ? required_argument : no_argument;

		for (const char *letter = row->letters; *letter; letter++) {
			*letters++ = *letter;
			if (row->argument)
				*letters++ = ':';
		}
		if (row->name)
			*names++ = (struct option){ row->name, argument, NULL, LONG_NAME + (int)i };
	}
	*letters = '\0';
	*names = (struct option){ NULL, 0, NULL, 0 };
}

static void
texts_add(struct texts *texts, const char *text)
{
	texts->list = xrealloc(texts->list, texts->n + 1, sizeof *texts->list);
	texts->list[texts->n++] = text;
}

/* Stores TEXT, the argument of ROW, as ROW says. */
static void
option_store(struct options *o, const struct option_row *row, const char *text)
{
	void *at = (char *)o + row->member;
	char name[32];

	snprintf(name, sizeof name, "--%s", row->name ? row->name : "");
	switch (row->store) {
	case FLAG_ON:
		*(bool *)at = true;
		break;
	case TEXT_ARG:
		*(const char **)at = text;
		break;
	case TEXTS_ARG:
		texts_add(at, text);
		break;
	case COUNT_ARG:
		*(size_t *)at = (size_t)count_parse(name, text, row->least, row->most);
		break;
	case SECONDS_ARG:
		*(double *)at = seconds_parse(name, text);
		break;
	case PATTERN_ARG:
		*(struct pattern **)at = pattern_parse(name, text);
		break;
	case BY_FUNCTION:
		row->parse(o, row->argument ? text : row->value);
	}
}

/* TEXT is the argument of ROW, if that has one. IS_WORD: it is a word of its own. */
static void
option_parse(struct options *o, const struct option_row *row, const char *text, bool is_word)
{
	char name[48];

	if (o->given[row - option_rows] && row->twice)
		fail(2, "%s: given twice%s", option_name(row, true, name), row->twice);
	if (is_word && is_option(text))
		argument_missing(row);
	o->given[row - option_rows] = true;
	option_store(o, row, text);
}

/* getopt_long has returned ? for WORD. */
__attribute__((noreturn)) static void
option_refuse(const char *word)
{
	if (optopt == 0)
		unknown_option(word);
	if (option_by_value(optopt))
		fail(2, "option '%.*s' takes no argument", (int)strcspn(word, "="), word);
	unknown_option((const char[]){ '-', (char)optopt, '\0' });
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	struct option names[NOPTIONS + 1];
	char letters[4 * NOPTIONS + 2];
	int value;

	o->limit = SIZE_MAX;
	o->max_rss = UNKNOWN;
	o->timeout = 5;
	opterr = 0;
	getopt_tables(letters, names);
	while ((value = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (value == ':')
			argument_missing(option_by_value(optopt));
		if (value == '?')
			option_refuse(word);
		if (optarg && *optarg == '=' && *word == '-' && word[1] == value)
			fail(2, "option -%c takes its value without '=': -%c %s", value, value, optarg + 1);
		option_parse(o, option_by_value(value), optarg, optarg && optarg == word);
	}
	if (optind < argc)
		stray_operand(o, argv[optind]);
	options_complete(o);
}

/* ---- 13. Options: -U ---- */

static int
int64_compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The uid of the user whose name or number is the LEN bytes at WORD. */
static int64_t
user_parse(const struct source *s, const char *word, size_t len)
{
	char *name = xstrndup(word, len);
	int64_t uid = user_id(s, name);
	int error = errno;
	uint64_t n;

	if (uid == UNKNOWN && whole_number(name, UINT32_MAX, &n))
		uid = (int64_t)n;
	free(name);
	if (uid == UNKNOWN && error == ETIMEDOUT)
		fail(1, "--user: '%.*s': the name service does not answer; give the uid", (int)len, word);
	if (uid == UNKNOWN)
		fail(1, "--user: no user '%.*s'", (int)len, word);
	return uid;
}

/* Looks up the users that -U names. */
static void
users_resolve(struct options *o, const struct source *s)
{
	const char *at = o->users, *word;
	size_t len;

	while (at && list_next(&at, &word, &len)) {
		o->uids = xrealloc(o->uids, o->nuids + 1, sizeof *o->uids);
		o->uids[o->nuids++] = user_parse(s, word, len);
	}
	if (o->users && o->nuids == 0)
		fail(2, "--user: empty list");
	if (o->nuids > 0)
		qsort(o->uids, o->nuids, sizeof *o->uids, int64_compare);
}

/* ---- 14. The plan ---- */

/* The sources of -P, -U and -p. They always select processes; with -m, the options -f and -M select
 * mappings. */
static unsigned
selection_sources(void)
{
	unsigned sources = 0;

	if (opt.process)
		sources |= COMM | CMDLINE;
	if (opt.nuids)
		sources |= OWNER;
	if (opt.npids)
		sources |= STATUS;
	return sources;
}

static unsigned
filter_sources(void)
{
	unsigned sources = selection_sources();

	for (size_t i = 0; i < opt.nconditions; i++)
		sources |= opt.conditions[i].sources;
	return sources;
}

static unsigned
alert_sources(void)
{
	unsigned sources = 0;

	for (size_t i = 0; i < opt.nalerts; i++)
		if (!opt.alerts[i].figure)
			sources |= opt.alerts[i].condition.sources;
	return sources;
}

/* The sources that decide which rows there are, their order, and which alerts are true. */
static unsigned
deciding_sources(void)
{
	unsigned by = opt.by ? opt.by->source : 0u;

	return sources_of(opt.keys, opt.nkeys) | filter_sources() | alert_sources() | by;
}

/* The sources of all that the command line names. */
static unsigned
asked_sources(void)
{
	return sources_of(opt.fields, opt.nfields) | deciding_sources();
}

/* The files behind SOURCES. RSS comes from smaps_rollup if the report reads it, else from statm. */
static unsigned
files_of(const struct plan *plan, unsigned sources)
{
	if (sources & RSS)
		sources |= plan->rss;
	return sources & ~(unsigned)(RSS | SRC_COMPUTED);
}

/* -m reads smaps of the selected processes. Its conditions are about mappings, so they drop no process. */
static struct plan
plan_mappings(void)
{
	unsigned saved = opt.save ? SRC_SAVED : 0u;

	return (struct plan){ .first = STATM | selection_sources() | saved, .main = SMAPS, .rss = ROLLUP,
		.bound = offsetof(struct proc, rss) };
}

/* -w reads smaps_rollup of all processes. */
static struct plan
plan_system(void)
{
	struct plan plan = { .main = ROLLUP | RSS_PARTS, .rss = ROLLUP,
		.bound = offsetof(struct proc, rss) };

	if (opt.save)
		plan.main |= SRC_SAVED;
	else if (opt.jobs > 1)
		plan.first = STATM;			/* gives the order in which several threads read */
	if (opt.delta || opt.save)
		plan.main |= STAT | COMM | STATUS;	/* to name holders, and to tell them from reused pids */
	if (opt.all_areas)
		plan.main |= STATUS;
	return plan;
}

/* True if reading can stop when the first N rows are certain: statm bounds the first sort key. */
static bool
plan_can_stop(const struct plan *plan)
{
	const struct field *key = &opt.keys[0];

	if (opt.limit == SIZE_MAX || !(plan->main & SRC_EXPENSIVE) || filter_sources() & (ANCESTRY | CHANGE))
		return false;
	return key->column->bound && key->how == VALUE && key->up == opt.reverse;
}

/*
 * What decides which rows are printed is read of all processes, the rest of the printed rows only. Before
 * page tables are walked, a first scan of cheap files drops the processes that they rule out, and sorts the
 * others by upper bound. With totals, groups, deltas, alerts or --save, every source is read of every
 * selected process. The report of an archive reads all as well: then its counts are those of the report
 * that saved it.
 */
static struct plan
plan_compute(const struct source *source)
{
	struct plan plan = { .rss = STATM, .bound = offsetof(struct proc, rss) };
	bool saved = opt.save || source->described;
	bool read_all = opt.delta || opt.totals || opt.by || opt.nalerts || saved;
	unsigned shown = sources_of(opt.fields, opt.nfields), decide, filters, cheap;
	bool needs_first;

	if (opt.system)
		return plan_system();
	if (opt.mappings)
		return plan_mappings();
	decide = deciding_sources() | (opt.delta ? STAT : 0u);
	if ((shown | decide) & ROLLUP)
		plan.rss = ROLLUP;
	filters = files_of(&plan, filter_sources());
	plan.main = files_of(&plan, decide);
	plan.detail = files_of(&plan, shown) & ~plan.main;
	if (read_all || (opt.limit == SIZE_MAX && !(filters & SRC_EXPENSIVE))) {	/* or all are shown */
		plan.main |= plan.detail;
		plan.detail = 0;
	}
	plan.top = !read_all && plan_can_stop(&plan);
	if (plan.top)
		plan.bound = opt.keys[0].column->bound;
	cheap = STATM | (filters & ~(unsigned)SRC_EXPENSIVE) | (opt.delta ? STAT : 0u);
	if (plan.main & SRC_EXPENSIVE)
		needs_first = plan.top || filters || opt.jobs > 1;
	else
		needs_first = filters && plan.main & ~cheap;
	if (needs_first && !saved)
		plan.first = cheap | (opt.by ? opt.by->source & CGROUP : 0u);	/* for units of one name */
	if (!(plan.main & ROLLUP))
		plan.main |= STATM;	/* smaps_rollup or statm tells a process from a kernel thread */
	if (opt.save)
		plan.main |= SRC_SAVED;
	return plan;
}

/* ---- 15. Conditions ---- */

/* The value that C compares with, in the unit of field_value. NAN: unknown. */
static double
condition_limit(const struct condition *c, const struct machine *m)
{
	int64_t total = c->field.column->kind == SWAP_KIB ? m->swap_total : m->mem_total;

	if (c->is_age)
		return m->now - c->value;
	if (!c->percent)
		return c->value;
	return total <= 0 ? NAN : c->value * (double)total / 100;
}

/* True if OP holds for two values. ORDER is that of the first to the second, as strcmp returns it. */
static bool
compare(int order, enum op op)
{
	switch (op) {
	case EQ: return order == 0;
	case NE: return order != 0;
	case LT: return order < 0;
	case LE: return order <= 0;
	case GT: return order > 0;
	default: return order >= 0;
	}
}

static bool
text_holds(const struct condition *c, const char *text)
{
	if (c->op >= MATCH)
		return pattern_matches(c->pattern, text) == (c->op == MATCH);
	return compare(strcmp(text, c->text), c->op);
}

static bool
condition_holds(const struct condition *c, const struct proc *p, const struct machine *m)
{
	double limit = condition_limit(c, m), is = NAN;
	const char *text;
	char buf[32];

	if (!is_text(c->field.column->kind)) {
		is = field_value(&c->field, p, m, opt.interval);
	} else {
		text = field_text(&c->field, p, m, buf);
		if (!is_time(c->field.column))
			return text && text_holds(c, text);
		if (!text || !time_parse(text, &is))
			return false;
	}
	if (isnan(is) || isnan(limit))
		return false;
	return compare((is > limit) - (is < limit), c->op);
}

static bool
is_user_wanted(int64_t uid)
{
	return bsearch(&uid, opt.uids, opt.nuids, sizeof uid, int64_compare) != NULL;
}

/* True if -P matches the name or the command line. memz itself never matches, and its ancestors only by name:
 * their command lines hold the pattern. */
static bool
process_matches(const struct run *run, const struct proc *p)
{
	if (p->pid == run->self || p->pid == run->self_before)
		return false;
	if (p->name && pattern_matches(opt.process, p->name))
		return true;
	for (const int *parent = run->parents; parent && *parent; parent++)
		if (*parent == p->pid)
			return false;		/* `sudo memz -P java' holds the pattern */
	return p->command && pattern_matches(opt.process, p->command);
}

/* False if -P or -U rules P out. What SOURCES, the files read so far, cannot decide counts as true. */
static bool
is_selected(const struct run *run, const struct proc *p, unsigned sources)
{
	if (opt.nuids && sources & OWNER && !is_user_wanted(p->uid))
		return false;
	return !opt.process || ~sources & (COMM | CMDLINE) || process_matches(run, p);
}

/* False if a condition of -f rules P out. What SOURCES cannot decide counts as true. */
static bool
conditions_hold(const struct run *run, const struct proc *p, unsigned sources)
{
	if (sources & run->plan.rss)
		sources |= RSS;
	for (size_t i = 0; i < opt.nconditions; i++) {
		const struct condition *c = &opt.conditions[i];

		if (!(c->sources & ~sources) && !condition_holds(c, p, &run->current->machine))
			return false;
	}
	return true;
}

/* Applies all filters as far as SOURCES decide them. With -m, -f is about mappings. */
static bool
matches(const struct run *run, const struct proc *p, unsigned sources)
{
	return is_selected(run, p, sources) && (opt.mappings || conditions_hold(run, p, sources));
}

static bool
is_gone(const struct proc *p)
{
	return p->change && strcmp(p->change, "gone") == 0;
}

/* ---- 16. Scanning and pruning ---- */

/* True if P is a kernel thread or a zombie, which only -A and -p show. */
static bool
is_hidden(const struct proc *p)
{
	return (p->kthread || p->zombie) && !opt.all && !opt.npids;
}

/* False if what was read of P so far rules out that it has a row. */
static bool
is_row(const struct proc *p)
{
	return p->outcome != VANISHED && p->outcome != SKIPPED && !is_hidden(p);
}

/* -1, 0 or 1. */
static int
number_compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* NULL is last. */
static int
text_compare(const char *a, const char *b)
{
	return !a || !b ? !a - !b : strcmp(a, b);
}

/* The number of P at OFFSET. */
static int64_t
number_at(const struct proc *p, size_t offset)
{
	return *(const int64_t *)(const void *)((const char *)p + offset);
}

/* The upper bound that the number of statm at OFFSET gives for other columns. INT64_MAX: there is none. */
static int64_t
upper_bound(const struct machine *m, const struct proc *p, size_t offset)
{
	int64_t is = number_at(p, offset), threads = m->thread_slack ? p->threads : 0;

	if (is == UNKNOWN || m->slack == UNKNOWN || threads == UNKNOWN || threads > INT32_MAX)
		return INT64_MAX;
	return kib_add(kib_add(is, m->slack), m->thread_slack * threads);
}

/* Adds KEY if it is among the N largest. Keys arrive nearly in falling order, so that few of them move. */
static void
top_n_add(struct top_n *t, int64_t key)
{
	size_t at = t->n;

	for (; at > 0 && t->keys[at - 1] < key; at--)
		t->keys[at] = t->keys[at - 1];
	t->keys[at] = key;
	if (t->n < opt.limit)
		t->n++;
	if (t->n == opt.limit)
		t->min = t->keys[t->n - 1] < UINT32_MAX ? (unsigned)t->keys[t->n - 1] : UINT32_MAX;
}

/* After P was read: adds its key, if its row may be printed. */
static void
top_n_on_read(const struct proc *p, void *ctx)
{
	struct run *run = ctx;
	int64_t key = field_number(&opt.keys[0], p);

	if (key == UNKNOWN || key <= run->top_n->min || !is_row(p) || !matches(run, p, run->plan.main))
		return;
	pthread_mutex_lock(&run->top_n->lock);
	top_n_add(run->top_n, key);
	pthread_mutex_unlock(&run->top_n->lock);
}

/* False if P cannot be among the N largest any more, so that it is not read. */
static bool
top_n_is_wanted(const struct proc *p, void *ctx)
{
	const struct run *run = ctx;

	if (opt.limit == 0)
		return false;
	if (p->rss == UNKNOWN)
		return true;
	return upper_bound(&run->current->machine, p, run->plan.bound) >= run->top_n->min;
}

/* False if C fails even for the upper bound, so that smaps_rollup need not be read. */
static bool
condition_may_hold(const struct run *run, const struct condition *c, const struct proc *p)
{
	const struct machine *m = &run->current->machine;
	int64_t bound;

	if (!c->field.column->bound || c->field.how != VALUE || (c->op != GT && c->op != GE && c->op != EQ))
		return true;
	bound = upper_bound(m, p, c->field.column->bound);
	return bound == INT64_MAX || !(field_scale(&c->field, bound, m) < condition_limit(c, m));
}

/* Shows how far a scan is, once the snapshot has taken half a second. */
static void
scan_progress(size_t done, size_t of, void *ctx)
{
	const struct run *run = ctx;

	if (seconds_now() - run->current->began > 0.5)
		progress_print("%zu of %zu processes", done, of);
}

/* Reads the sources WANT of N processes. Adds the seconds that it took to *SECONDS. */
static void
scan_procs(struct snapshot *s, struct proc **procs, size_t n, unsigned want, double *seconds)
{
	struct run *run = s->run;
	struct scan scan = { .readers = &run->readers, .from = s->source, .procs = procs, .n = n,
		.want = want, .max_rss = opt.max_rss, .save = run->save, .on_progress = scan_progress,
		.ctx = run, .jobs = (unsigned)opt.jobs };

	run->current = s;
	if (run->top_n) {
		scan.is_wanted = top_n_is_wanted;
		scan.on_read = top_n_on_read;
	}
	if (scan_run(&scan) < 0)
		fail(1, "cannot read: %s", strerror(errno));
	progress_end();
	*seconds += scan.seconds;
}

/* Compares rows by their upper bound, largest first, then by pid. */
static int
bound_compare(const void *a, const void *b, void *ctx)
{
	const struct proc *x = *(struct proc *const *)a, *y = *(struct proc *const *)b;
	const struct snapshot *s = ctx;
	int64_t i = upper_bound(&s->machine, x, s->run->plan.bound);
	int64_t j = upper_bound(&s->machine, y, s->run->plan.bound);

	return i != j ? number_compare(j, i) : number_compare(x->pid, y->pid);
}

/* True if P cannot match the filters, by what the first scan has read of it. */
static bool
is_pruned(struct snapshot *s, struct proc *p)
{
	const struct run *run = s->run;
	unsigned known = run->plan.first;

	if (opt.delta && !s->is_second && !opt.mappings)
		return false;			/* it may match in the second snapshot */
	if (opt.delta)
		known &= OWNER | COMM | CMDLINE | CGROUP;	/* numbers are those of the second */
	if (filter_sources() & USER)
		p->user = user_name(s->source, p->uid);
	if (!matches(run, p, known | USER | MACHINE))
		return true;
	if (opt.delta || opt.mappings)
		return false;
	for (size_t i = 0; i < opt.nconditions; i++)
		if (!condition_may_hold(run, &opt.conditions[i], p))
			return true;
	return false;
}

/* After the first scan: drops the rows that cannot match, and sorts the others by upper bound. */
static void
prune(struct snapshot *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->nrows; i++) {
		struct proc *p = s->rows[i];

		if (!is_row(p))
			continue;
		if (is_pruned(s, p))
			p->outcome = SKIPPED;
		else
			s->rows[n++] = p;
	}
	s->nrows = n;
	if (s->run->plan.main & SRC_EXPENSIVE)
		qsort_r(s->rows, n, sizeof *s->rows, bound_compare, s);
}

/* Makes a row for each process of S, or for each of -p. */
static void
pids_list(struct snapshot *s)
{
	int *pids = opt.pids;

	s->n = opt.npids;
	if (!opt.npids && source_pids(s->source, &pids, &s->n) < 0)
		fail(1, "%s: %s", opt.source ? opt.source : "/proc", strerror(errno));
	s->procs = xrealloc(NULL, s->n, sizeof *s->procs);
	s->rows = xrealloc(NULL, s->n, sizeof *s->rows);
	s->nrows = s->n;
	for (size_t i = 0; i < s->n; i++) {
		s->procs[i] = (struct proc){ .pid = pids[i] };
		s->rows[i] = &s->procs[i];
	}
	if (pids != opt.pids)
		free(pids);
}

/* Brings the rows among the first N for which IS_KEPT holds to the front. Returns their number. */
static size_t
rows_partition(struct snapshot *s, size_t n, bool (*is_kept)(const struct proc *))
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (is_kept(s->rows[i])) {
			struct proc *p = s->rows[i];

			s->rows[i] = s->rows[kept];
			s->rows[kept++] = p;
		}
	return kept;
}

/* ---- 17. Shared address spaces ---- */

/*
 * Processes that share one mm (CLONE_VM, vfork) each show all of it. All but that of the lowest pid are
 * marked, and count in no sum.
 */
struct mm_candidate {
	struct proc *p;
	int64_t pid;
	uint64_t key;		/* see mm_key */
	int same_mm;		/* lowest pid of those with the same mm; 0: its own is the lowest */
};

/* A search for processes with the same mm. It belongs to the thread that runs it, which may be abandoned. */
struct mm_search {
	const struct source *source;
	struct mm_candidate *list;
	size_t n;
	bool denied;
	bool found;		/* two of the same mm were compared */
};

static int
candidate_compare(const void *a, const void *b)
{
	const struct mm_candidate *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : number_compare(x->pid, y->pid);
}

static int
same_mm_compare(const void *a, const void *b, void *ctx)
{
	const struct mm_candidate *x = a, *y = b;
	struct mm_search *search = ctx;
	int order = mm_compare(search->source, x->pid, y->pid, &search->denied);

	search->found = search->found || order == 0;
	return order ? order : number_compare(x->pid, y->pid);
}

/* Marks the candidates that share an mm with one of a lower pid. kcmp may block for ever. */
static void
mm_search_run(void *arg)
{
	struct mm_search *search = arg;

	for (size_t i = 0, n; i < search->n; i += n) {
		struct mm_candidate *list = search->list + i;

		for (n = 1; i + n < search->n && list[n].key == list[0].key; n++)
			;
		search->found = false;
		qsort_r(list, n, sizeof *list, same_mm_compare, search);
		/* The sort has compared all neighbours. Equal ones are compared again: a pid may have been reused. */
		for (size_t j = 1; j < n && search->found; j++) {
			const struct mm_candidate *prev = &list[j - 1];

			if (mm_compare(search->source, prev->pid, list[j].pid, &search->denied) == 0)
				list[j].same_mm = prev->same_mm ? prev->same_mm : (int)prev->pid;
		}
	}
}

/* True if it can be told what P shares its mm with. The row of a zombie shows the mm of one of its
 * threads. */
static bool
is_mm_candidate(const struct snapshot *s, const struct proc *p)
{
	if (p->outcome == STALLED || p->outcome == VANISHED || (p->state && *p->state == 'Z'))
		return false;
	return !s->source->live || !(s->run->plan.main & ROLLUP & ~p->got);	/* kcmp is denied as well */
}

/* Only processes of one key can share an mm: a hash of the address range, or vsz where that was not read. */
static uint64_t
mm_key(const struct snapshot *s, const struct proc *p)
{
	if (!s->source->live)
		return 0;			/* what was saved tells of all */
	return p->got & ROLLUP ? p->mm_range : (uint64_t)p->vsz;
}

/* Marks which of N rows share an mm with one of a lower pid. */
static void
mark_shared_mm(struct snapshot *s, struct proc *const *rows, size_t n)
{
	struct mm_search *search = xrealloc(NULL, 1, sizeof *search);
	struct run *run = s->run;

	*search = (struct mm_search){ .source = s->source, .list = xrealloc(NULL, n, sizeof *search->list) };
	for (size_t i = 0; i < n; i++) {
		struct proc *p = rows[i];

		if (is_gone(p))			/* marked in the first snapshot */
			continue;
		p->same_mm = 0;
		if (is_mm_candidate(s, p))
			search->list[search->n++] = (struct mm_candidate){ p, p->pid, mm_key(s, p), 0 };
	}
	qsort(search->list, search->n, sizeof *search->list, candidate_compare);
	if (!s->source->live) {
		mm_search_run(search);
	} else if (search->n > 1 && !run->shared_mm_timeout) {
		double seconds = run->readers.wait_budget;

		if (call_with_timeout(mm_search_run, search, seconds) < 0) {
			if (errno != ETIMEDOUT)
				fail(1, "out of memory");
			run->shared_mm_timeout = true;
			wait_budget_spend(&run->readers, seconds);
			return;			/* the thread owns SEARCH */
		}
	}
	for (size_t i = 0; i < search->n; i++)
		search->list[i].p->same_mm = search->list[i].same_mm;
	run->shared_mm_denied = run->shared_mm_denied || search->denied;
	free(search->list);
	free(search);
}

/*
 * Marks the predecessors of the selected rows again: all processes of the first snapshot were compared,
 * before it was known which are selected. Of the selected ones that share an mm, that of the lowest pid
 * counts.
 */
static void
mark_prev_mm(struct snapshot *s)
{
	struct mm_candidate *list = xrealloc(NULL, s->selected, sizeof *list);
	size_t n = 0, first = 0;

	for (size_t i = 0; i < s->selected; i++) {
		struct proc *prev = (struct proc *)(uintptr_t)s->rows[i]->prev;

		if (prev && prev->pid > 0)		/* no stand-in for an unknown or new process */
			list[n++] = (struct mm_candidate){ .p = prev, .pid = prev->pid,
				.key = (uint64_t)(prev->same_mm ? prev->same_mm : prev->pid) };
	}
	qsort(list, n, sizeof *list, candidate_compare);
	for (size_t i = 0; i < n; i++) {
		if (list[i].key != list[first].key)
			first = i;
		list[i].p->same_mm = i == first ? 0 : (int)list[first].pid;
	}
	free(list);
}

/* True unless a process with a lower pid stands for the mm of P. */
static bool
counts_in_sums(const struct proc *p)
{
	return !p->same_mm;
}

/* ---- 18. Reading a snapshot ---- */

/* Makes rows of the mappings that the scan of S has found, in place of the processes. */
static void
rows_from_mappings(struct snapshot *s)
{
	if (mappings_collect(&s->run->readers, &s->mappings, &s->nmappings) < 0)
		fail(1, "out of memory");
	s->nrows = s->nmappings;
	s->rows = xrealloc(s->rows, s->nrows, sizeof *s->rows);
	for (size_t i = 0; i < s->nrows; i++)
		s->rows[i] = &s->mappings[i].sum;
}

/* Marks the rows without smaps_rollup (or smaps) as denied, if others of the N have it. */
static void
mark_denied(struct proc *const *rows, size_t n, unsigned sources)
{
	unsigned need = sources & (ROLLUP | SMAPS);
	bool any = false;

	for (size_t i = 0; i < n && need; i++)
		any = any || rows[i]->got & need;
	for (size_t i = 0; i < n && any; i++) {
		struct proc *p = rows[i];

		if (p->kthread || p->zombie || p->over_max_rss)
			continue;
		if (p->outcome == MEASURED && !(p->got & need)) {
			p->outcome = DENIED;
			p->error = ENOENT;
		}
	}
}

static void
mark_and_save_shared_mm(struct snapshot *s)
{
	mark_shared_mm(s, s->rows, s->nrows);
	save_same_mm(s->procs, s->n);
}

/* Reads cheap files of all processes, and drops the processes that these rule out. */
static void
first_scan(struct snapshot *s)
{
	struct run *run = s->run;
	unsigned want = run->plan.first;

	machine_slack(s->source, &s->machine);
	if (s->machine.thread_slack)
		want |= STAT;			/* the number of threads */
	scan_procs(s, s->rows, s->nrows, want, &s->seconds[0]);
	if (run->save != SAVE_NOTHING) {
		mark_and_save_shared_mm(s);
		run->save = SAVE_MAPPINGS;
	}
	prune(s);
}

/* Reads what decides which rows there are. With plan.top it stops early, unless the key is a percentage of an
 * unknown total. */
static void
main_scan(struct snapshot *s)
{
	struct top_n top_n = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct run *run = s->run;

	if (run->plan.top && opt.limit < s->nrows && !isnan(field_scale(&opt.keys[0], 1, &s->machine))) {
		top_n.keys = xrealloc(NULL, opt.limit + 1, sizeof *top_n.keys);	/* the last one falls out */
		run->top_n = &top_n;
	}
	if (opt.nconditions && s->machine.slack == UNKNOWN)
		machine_slack(s->source, &s->machine);		/* notes tell what a condition rules out */
	scan_procs(s, s->rows, s->nrows, run->plan.main, &s->seconds[1]);
	run->top_n = NULL;
	free(top_n.keys);
	if (run->save == SAVE_ALL)
		mark_and_save_shared_mm(s);
	mark_denied(s->rows, s->nrows, run->plan.main);
}

static struct source *
source_get(const char *path)
{
	const char *why;
	struct source *s = source_open(path, opt.timeout, &why);

	if (!s)
		fail(1, "%s: %s", path ? path : "/proc", why);
	return s;
}

static void
snapshot_read(struct snapshot *s)
{
	bool is_saved = opt.save && (s->is_second || !opt.delta);
	struct run *run = s->run;

	run->current = s;
	s->began = seconds_now();
	s->began_ticks = ticks_now();
	run->save = is_saved ? SAVE_ALL : SAVE_NOTHING;
	if (is_saved)
		save_source(s->source, true);
	privileges_set(s->source->here);
	if (((opt.system || opt.alerts_need_system) && system_read(s->source, &s->system) < 0) ||
	    machine_read(s->source, &s->machine) < 0)
		fail(1, "out of memory");
	if (asked_sources() & STAT)
		s->machine.boot = machine_boot(s->source);
	pids_list(s);
	if (run->plan.first)
		first_scan(s);
	if (opt.mappings) {
		mark_shared_mm(s, s->rows, s->nrows);
		run->shared_mm_denied = false;		/* their smaps are denied as well; one note is enough */
		s->nrows = rows_partition(s, s->nrows, counts_in_sums);
	}
	main_scan(s);
	if (is_saved)
		run->save = SAVE_ALL;			/* for ancestors that parent_find reads */
	if (opt.mappings)
		rows_from_mappings(s);
	s->counts.seconds = seconds_now() - s->began;
}

/* Finds memz itself in the source, and its ancestors. */
static void
self_find(struct snapshot *s)
{
	struct run *run = s->run;
	struct proc p = { .pid = source_self(s->source) }, *procs = &p;
	double seconds = 0;
	size_t n = 0;

	s->began = seconds_now();
	run->self = (int)p.pid;
	if (!run->self || !opt.process)
		return;
	do {
		scan_procs(s, &procs, 1, STAT, &seconds);
		run->parents = xrealloc(run->parents, n + 2, sizeof *run->parents);
		run->parents[n++] = (int)p.pid;
		run->parents[n] = 0;
		p.pid = p.ppid;
	} while (p.pid > 0 && n < 64);
}

/* ---- 19. Ancestry ---- */

#define ANCESTRY_MAX	256		/* names; more are shown as ... */

static int
proc_compare(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;

	return number_compare(x->pid, y->pid);
}

/* The process PID among N that are sorted by pid, or NULL. */
static struct proc *
proc_find(struct proc *procs, size_t n, int64_t pid)
{
	const struct proc key = { .pid = pid };

	return bsearch(&key, procs, n, sizeof key, proc_compare);
}

/* The parent of P, or NULL. Unless a scan has read its name, it is read now and kept in parent_cache. */
static struct proc *
parent_find(struct snapshot *s, const struct proc *p)
{
	struct proc *parent, **node;
	double seconds = 0;

	if (p->ppid <= 0)
		return NULL;
	parent = proc_find(s->procs, s->n, p->ppid);
	if (parent && parent->got & STAT && parent->got & COMM)
		return parent;
	parent = xrealloc(NULL, 1, sizeof *parent);
	*parent = (struct proc){ .pid = p->ppid };
	if (!(node = tsearch(parent, &s->run->parent_cache, proc_compare)))
		fail(1, "out of memory");
	if (*node == parent) {
		scan_procs(s, &parent, 1, STAT | COMM, &seconds);
		return parent;
	}
	free(parent);
	return *node;
}

/* Writes NAME with _ for what separates names in the folded form of flame graph tools. */
static void
ancestry_write(FILE *f, const char *name)
{
	for (; *name; name++)
		putc(*name == ';' || isspace((unsigned char)*name) ? '_' : *name, f);
}

/* The length of the CHAIN of N before the first process that is in it twice. Parents of a saved tree may be a
 * circle. */
static size_t
circle_end(struct proc *const *chain, size_t n)
{
	size_t last = n - 1, length = 1, i = 0;

	while (length <= last && chain[last - length]->pid != chain[last]->pid)
		length++;
	if (length > last)
		return n;
	while (chain[i]->pid != chain[i + length]->pid)
		i++;
	return i + length;
}

/* The names of the ancestors of P and of P, as systemd;sshd;bash. NULL: that of P is unknown. */
static const char *
ancestry_build(struct snapshot *s, struct proc *p)
{
	struct proc *chain[ANCESTRY_MAX], *at = p;
	size_t n = 0, len;
	char *text;
	FILE *f;

	for (; at && at->name && n < ANCESTRY_MAX; at = parent_find(s, at))
		chain[n++] = at;
	if (n == 0)
		return NULL;
	if (!(f = open_memstream(&text, &len)))
		fail(1, "out of memory");
	if (n == ANCESTRY_MAX && at)
		n = circle_end(chain, n);
	if (n == ANCESTRY_MAX && at)
		fputs("...;", f);
	for (size_t i = n; i-- > 0; ) {
		ancestry_write(f, chain[i]->name);
		if (i > 0)
			putc(';', f);
	}
	if (fclose(f) != 0)
		fail(1, "out of memory");
	return text;
}

/* Sets the columns from SOURCES that no scan reads, in the first N rows. */
static void
rows_fill(struct snapshot *s, size_t n, unsigned sources)
{
	for (size_t i = 0; i < n; i++) {
		struct proc *p = s->rows[i];

		if (sources & USER && !p->user)
			p->user = user_name(s->source, p->uid);
		if (sources & ANCESTRY && !p->ancestry)
			p->ancestry = ancestry_build(s, p);
		if (sources & CHANGE && !opt.delta && !p->change)
			p->change = "same";	/* there is one snapshot */
	}
}

/* ---- 20. Sums ---- */

static const struct group_row zero_row;	/* the predecessor of a new process or mapping */

/* The number of column C in ROW, a process or a group, to be set. */
static int64_t *
number_ptr(const void *row, const struct column *c)
{
	return (int64_t *)(uintptr_t)((const char *)row + c->offset);
}

static bool
is_number(const struct column *c)
{
	return !is_text(c->kind) && !(c->source & SRC_NOT_IN_PROC);
}

/* A column of processes that has a sum. */
static bool
is_proc_sum(const struct column *c)
{
	return is_number(c) && !is_share(c->kind) && sums(c->kind);
}

/* The row of a group in the first snapshot, or NULL. */
static struct group_row *
prev_row(const struct group_row *row)
{
	return (struct group_row *)(uintptr_t)row->sum.prev;
}

/* Makes an empty sum; with two snapshots, one of the first beside it. */
static void
sum_init(struct group_row *row)
{
	struct group_row *prev;

	group_row_init(row);
	if (!opt.delta)
		return;
	prev = xrealloc(NULL, 1, sizeof *prev);
	group_row_init(prev);
	row->sum.prev = &prev->sum;
}

static void
number_add(struct group_row *row, const struct column *c, int64_t number)
{
	*number_ptr(row, c) = kib_add(row_number(c, row), number);
}

/*
 * Adds P to ROW, and the predecessor of P to that of ROW. With two snapshots a number counts only if it is
 * known in both: then the delta of a sum is the sum of the deltas. A process whose mm counts elsewhere adds
 * no memory.
 */
static void
sum_add(struct group_row *row, const struct proc *p)
{
	struct group_row *prev = prev_row(row);

	for (const struct column *c = columns; c->name; c++) {
		int64_t is, was;

		if (!is_proc_sum(c))
			continue;
		is = row_number(c, p);
		was = p->prev ? row_number(c, p->prev) : 0;
		if (is == UNKNOWN || was == UNKNOWN)
			continue;
		number_add(row, c, p->same_mm ? 0 : is);
		if (p->prev)
			number_add(prev, c, p->prev->same_mm ? 0 : was);
	}
	row->count += !is_gone(p);
	if (p->prev)
		prev->count += p->prev != &zero_row.sum;
	if (p->pss != UNKNOWN && !p->same_mm && (!p->prev || p->prev->pss != UNKNOWN))
		row->pss_rss = kib_add(row->pss_rss, p->rss);
}

/* Sets the columns of ROW for which IS_SUM holds to 0. */
static void
sums_zero(struct group_row *row, bool (*is_sum)(const struct column *))
{
	for (const struct column *c = columns; c->name; c++)
		if (is_sum(c))
			*number_ptr(row, c) = 0;
}

/* ---- 21. Control groups ---- */

/* True if groups without a process are rows, too: with -A, if nothing selects processes. */
static bool
lists_empty_cgroups(void)
{
	return by_cgroup(&opt) && opt.all && !opt.process && !opt.nuids && !opt.npids && opt.nconditions == 0;
}

/* What is read of control groups. */
static unsigned
cgroup_sources(void)
{
	return (asked_sources() & MEMCG) | (lists_empty_cgroups() ? (unsigned)CG_USAGE : 0u);
}

static void
cgroups_start(struct snapshot *s, bool all)
{
	s->cgroup_files = cgroups_open(s->source);
	if (!s->cgroup_files || (all && cgroups_find_all(s->cgroup_files) < 0))
		fail(1, "out of memory");
}

/* Reads all groups now, so that their figures are those of this snapshot. Which of them will be rows is
 * not known before the second one. */
static void
cgroups_read(struct snapshot *s)
{
	unsigned sources = cgroup_sources();
	struct cgroup_figures figures;
	char path[PATH_MAX];

	if (!sources)
		return;
	cgroups_start(s, true);
	for (size_t i = 0; cgroup_at(s->cgroup_files, i, path, sizeof path); i++)
		cgroup_read(s->cgroup_files, path, sources, &figures);
}

/* A column of control groups that is read, and has a sum. */
static bool
is_cgroup_sum(const struct column *c)
{
	return c->source & MEMCG && sums(c->kind) && !(c->source & ~cgroup_sources());
}

/* Fills the cg_ columns of a row. They are 0 in the snapshot in which the group does not exist. */
static void
cgroup_fill(const struct snapshot *s, struct group_row *row)
{
	const struct snapshot *before = &s->run->first;
	const char *path = row->sum.cgroup;

	if (!path)
		return;
	cgroup_read(s->cgroup_files, path, cgroup_sources(), &row->cg);
	if (!prev_row(row))
		return;
	cgroup_read(before->cgroup_files, path, cgroup_sources(), &prev_row(row)->cg);
	if (cgroup_is_absent(before->cgroup_files, path))
		sums_zero(prev_row(row), is_cgroup_sum);
	else if (cgroup_is_absent(s->cgroup_files, path))
		sums_zero(row, is_cgroup_sum);
}

static int
cgroup_row_compare(const void *a, const void *b)
{
	const struct group_row *x = a, *y = b;

	return text_compare(x->sum.cgroup, y->sum.cgroup);
}

/* The row of the group PATH among the first N; NULL: there is none. */
static struct group_row *
cgroup_row_find(const struct snapshot *s, size_t n, const char *path)
{
	struct group_row key = { .sum = { .cgroup = path } };

	return bsearch(&key, s->groups, n, sizeof key, cgroup_row_compare);
}

/* Makes the row number N, of a group without processes. PATH is copied. */
static void
empty_row_add(struct snapshot *s, size_t n, const char *path)
{
	struct group_row *row;

	s->groups = xrealloc(s->groups, n + 1, sizeof *s->groups);
	row = &s->groups[n];
	sum_init(row);
	row->sum.cgroup = xstrndup(path, strlen(path));
	for (; row; row = prev_row(row)) {
		row->count = 0;
		sums_zero(row, is_proc_sum);
	}
}

/* Adds a row for each group of LIST that has no row yet and holds memory. Returns the number of all rows. */
static size_t
empty_rows_add(struct snapshot *s, struct cgroups *list, size_t n)
{
	struct cgroup_figures figures;
	char path[PATH_MAX];
	size_t all = n;

	for (size_t i = 0; cgroup_at(list, i, path, sizeof path); i++) {
		cgroup_read(list, path, CG_USAGE, &figures);
		if (figures.usage > 0 && !cgroup_row_find(s, n, path))
			empty_row_add(s, all++, path);
	}
	qsort(s->groups, all, sizeof *s->groups, cgroup_row_compare);
	return all;
}

/* The figure at OFFSET of ROW; PREV: of its row in the first snapshot. */
static int64_t *
figure_ptr(struct group_row *row, size_t offset, bool prev)
{
	return (int64_t *)(void *)((char *)(prev ? prev_row(row) : row) + offset);
}

/* Subtracts the figure at OFFSET of the row number I from the next row ABOVE it that knows this figure. */
static void
charge_subtract(struct group_row *groups, size_t i, struct group_row *const *above, size_t offset, bool prev)
{
	struct group_row *row = &groups[i];
	int64_t charge = *figure_ptr(row, offset, prev);

	while (charge != UNKNOWN && (row = above[row - groups])) {
		int64_t *number = figure_ptr(row, offset, prev);

		if (*number != UNKNOWN) {
			*number = kib_sub(*number, charge);
			return;
		}
	}
}

/*
 * Makes each of N rows show only what is charged to no row below it: then the rows add up to the charge of
 * the root. Rows are in the order of their paths, so that a group comes before the groups below it.
 */
static void
charges_divide(struct snapshot *s, size_t n)
{
	struct group_row **above = xrealloc(NULL, n, sizeof *above);
	bool all = cgroup_counts_nest(s->cgroup_files);
	size_t end = all ? offsetof(struct group_row, cg.peak) : offsetof(struct group_row, cg.high);
	char path[PATH_MAX];

	for (size_t i = 0; i < n; i++) {
		const char *cgroup = s->groups[i].sum.cgroup;

		above[i] = NULL;
		if (!cgroup || snprintf(path, sizeof path, "%s", cgroup) >= (int)sizeof path)
			continue;
		while (!above[i] && cgroup_parent(s->cgroup_files, path, sizeof path))
			above[i] = cgroup_row_find(s, n, path);
	}
	for (size_t offset = offsetof(struct group_row, cg); offset < end; offset += sizeof(int64_t))
		for (size_t i = 0; i < n; i++) {
			charge_subtract(s->groups, i, above, offset, false);
			if (prev_row(&s->groups[i]))
				charge_subtract(s->groups, i, above, offset, true);
		}
	free(above);
}

/* Adds the cg_ columns of the rows to the totals: with -A nothing is charged twice. */
static void
cgroups_total(struct snapshot *s, size_t n)
{
	for (const struct column *c = columns; c->name; c++)
		for (size_t i = 0; i < n && is_cgroup_sum(c); i++) {
			number_add(&s->total, c, row_number(c, &s->groups[i]));
			if (opt.delta)
				number_add(prev_row(&s->total), c, row_number(c, prev_row(&s->groups[i])));
		}
}

/* Completes the N groups of --by cgroup, which are in the order of their paths. Returns their new number. */
static size_t
cgroup_rows(struct snapshot *s, size_t n)
{
	bool with_empty = lists_empty_cgroups();

	if (!cgroup_sources())
		return n;
	cgroups_start(s, with_empty);
	if (with_empty)
		n = empty_rows_add(s, s->cgroup_files, n);
	if (with_empty && opt.delta)
		n = empty_rows_add(s, s->run->first.cgroup_files, n);
	for (size_t i = 0; i < n; i++)
		cgroup_fill(s, &s->groups[i]);
	if (opt.all)
		charges_divide(s, n);
	if (opt.all && opt.totals)
		cgroups_total(s, n);
	return n;
}

/* ---- 22. Two snapshots ---- */

/* Makes GONE the row of P, a process that has ended: with its texts, and 0 for each number that was known. */
static void
gone_init(struct proc *gone, struct proc *p)
{
	*gone = *p;
	gone->prev = p;
	gone->change = "gone";
	for (const struct column *c = columns; c->name; c++)
		if (is_number(c) && c->kind != ID && *number_ptr(gone, c) != UNKNOWN)
			*number_ptr(gone, c) = 0;
}

/* True if only one start is known, so that the pid of A and B may have been reused. */
static bool
is_in_doubt(const struct proc *a, const struct proc *b)
{
	return (a->start == UNKNOWN) != (b->start == UNKNOWN);
}

/* True if A of the first snapshot and B of the second are one process, as their starts tell. */
static bool
is_same_proc(const struct proc *a, const struct proc *b)
{
	bool has_ended = b->zombie && is_row(a) && !is_row(b);

	if (has_ended || a->outcome == VANISHED || b->outcome == VANISHED)
		return false;
	return a->start == b->start || is_in_doubt(a, b);
}

/*
 * Fills ROWS with the processes of the second snapshot, each with its predecessor in the first, and with
 * those of the first that have ended, which are made in GONE. UNKNOWN_ROW is the predecessor of a process
 * in doubt. Returns the number of rows.
 */
static size_t
procs_match(const struct snapshot *before, const struct snapshot *after, struct proc **rows,
    struct proc *gone, struct proc *unknown_row)
{
	size_t i = 0, j = 0, n = 0;

	while (i < before->n || j < after->n) {
		struct proc *a = i < before->n ? &before->procs[i] : NULL;
		struct proc *b = j < after->n ? &after->procs[j] : NULL;

		if (a && b && a->pid != b->pid) {
			a = a->pid < b->pid ? a : NULL;
			b = a ? NULL : b;
		}
		i += a != NULL;
		j += b != NULL;
		if (a && b && is_same_proc(a, b)) {
			b->prev = is_in_doubt(a, b) ? unknown_row : a;
			b->change = is_in_doubt(a, b) ? NULL : "same";
			rows[n++] = b;
			continue;
		}
		if (a && is_row(a)) {
			gone_init(gone, a);
			rows[n++] = gone++;
		}
		if (b && is_row(b)) {
			b->prev = &zero_row.sum;
			b->change = "new";
			rows[n++] = b;
		}
	}
	return n;
}

/* The same for mappings. */
static size_t
mappings_match(const struct snapshot *before, const struct snapshot *after, struct proc **rows,
    struct group_row *gone)
{
	size_t i = 0, j = 0, n = 0;

	while (i < before->nmappings || j < after->nmappings) {
		struct group_row *a = i < before->nmappings ? &before->mappings[i] : NULL;
		struct group_row *b = j < after->nmappings ? &after->mappings[j] : NULL;
		int order = a && b ? mapping_compare(a, b) : !a - !b;

		i += order <= 0;
		j += order >= 0;
		if (order < 0) {
			*gone = *a;
			gone->procs = 0;
			gone_init(&gone->sum, &a->sum);
			rows[n++] = &gone++->sum;
			continue;
		}
		b->sum.prev = order == 0 ? &a->sum : &zero_row.sum;
		b->sum.change = order == 0 ? "same" : "new";
		rows[n++] = &b->sum;
	}
	return n;
}

/* Sleeps until WHEN, by CLOCK_MONOTONIC, and counts down on a terminal. */
static void
wait_until(double when)
{
	double left;

	while ((left = when - seconds_now()) > 0) {
		double nap = left;
		struct timespec t;

		if (progress_wanted() && left > 1)
			nap -= ceil(left) - 1;		/* until the next full second */
		progress_print("second scan in %.0f s", ceil(left));
		t.tv_sec = (time_t)nap;
		t.tv_nsec = (long)((nap - (double)t.tv_sec) * 1e9);
		nanosleep(&t, NULL);
	}
	progress_end();
}

/* True if both are known and differ. */
static bool
differ(const char *a, const char *b)
{
	return a && b && strcmp(a, b) != 0;
}

/* Refuses a state of --since that is not older, and for a live report one of another host or boot; between
 * saved states it notes that. There a pid may be that of another process. */
static void
since_check(const struct snapshot *before, const struct snapshot *after)
{
	const struct machine *a = &before->machine, *b = &after->machine;
	bool host = differ(a->host, b->host), boot = differ(a->boot_id, b->boot_id);
	const char *matched_by = opt.mappings ? "name" : "pid and start time";

	if (!a->boot_id || !b->boot_id) {
		int64_t seconds = kib_sub(machine_boot(after->source), machine_boot(before->source));

		boot = seconds != UNKNOWN && (seconds < -2 || seconds > 2);
	}
	if ((host || boot) && after->source->live)
		fail(1, "--since: %s is of %s%s; to compare two saved states, add -S FILE", opt.since,
		    host ? "another host, " : "another boot of this host", host ? a->host : "");
	after->run->boots_differ = host || boot;
	if (opt.by)
		matched_by = opt.by->name;
	if ((host || boot) && opt.system)
		note("the two states are from two %s: rates are unknown", host ? "hosts" : "boots");
	else if (host || boot)
		note("the two states are from two %s: rows are matched by %s, which may be wrong",
		    host ? "hosts" : "boots", matched_by);
	if (b->now - a->now < 0.001)
		fail(1, "--since: %s is not older than %s", opt.since, opt.source ? opt.source : "now");
}

/* Links the snapshots, checks --since, and sets the interval as it was measured. */
static void
interval_set(const struct snapshot *before, struct snapshot *after)
{
	after->machine.prev = &before->machine;
	if (opt.since)
		since_check(before, after);
	opt.interval = opt.since ? after->machine.now - before->machine.now : after->began - before->began;
}

/* True if the saved state has processes and no mapping, as one that was saved without -m. */
static bool
lacks_mappings(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n && s->nmappings == 0; i++) {
		const struct proc *p = &s->procs[i];

		if (p->outcome != VANISHED && p->outcome != SKIPPED && !p->kthread && !p->zombie)
			return true;
	}
	return false;
}

/* Makes the rows of AFTER, which are those of both snapshots. */
static void
snapshots_match(const struct snapshot *before, struct snapshot *after)
{
	static struct group_row unknown_row;	/* lives as long as the rows */
	struct proc **rows;

	group_row_init(&unknown_row);
	unknown_row.sum.outcome = DENIED;
	rows = xrealloc(NULL, before->n + after->n + before->nmappings + after->nmappings, sizeof *rows);
	if (opt.mappings) {
		after->gone_mappings = xrealloc(NULL, before->nmappings, sizeof *after->gone_mappings);
		after->nrows = mappings_match(before, after, rows, after->gone_mappings);
	} else {
		after->gone = xrealloc(NULL, before->n, sizeof *after->gone);
		after->nrows = procs_match(before, after, rows, after->gone, &unknown_row.sum);
	}
	free(after->rows);
	after->rows = rows;
}

/* Reads the second snapshot, --interval after the first, and makes the rows of both. */
static void
snapshot_second(struct snapshot *before, struct snapshot *after)
{
	if (opt.since && opt.mappings && lacks_mappings(before))
		fail(1, "--since: %s holds no mappings: they are saved with -m --save", opt.since);
	if ((opt.totals || opt.by) && !opt.mappings)
		mark_shared_mm(before, before->rows, before->nrows);
	rows_fill(before, before->nrows, asked_sources() & (USER | ANCESTRY));	/* some will be gone */
	tdestroy(before->run->parent_cache, free);
	before->run->parent_cache = NULL;
	cgroups_read(before);
	after->is_second = true;
	if (!opt.since)
		wait_until(before->began + opt.interval);
	snapshot_read(after);
	interval_set(before, after);
	snapshots_match(before, after);
}

/* ---- 23. Order ---- */

/* Smallest first if UP, else largest first. UNKNOWN and NAN are always last. */
static int
number_order(int64_t a, int64_t b, bool up)
{
	if (a == UNKNOWN || b == UNKNOWN)
		return (a == UNKNOWN) - (b == UNKNOWN);
	return up ? number_compare(a, b) : number_compare(b, a);
}

static int
double_order(double a, double b, bool up)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return up ? (a > b) - (a < b) : (a < b) - (a > b);
}

/* Without its sign; UNKNOWN stays. */
static int64_t
absolute(int64_t n)
{
	return n < 0 && n != UNKNOWN ? -n : n;
}

static int
number_key_compare(const struct snapshot *s, const struct field *key, const struct proc *x,
    const struct proc *y)
{
	bool up = key->up != opt.reverse, is_pss = key->column->offset == offsetof(struct proc, pss);
	bool by_size = opt.magnitude && key == opt.keys;
	double a, b;

	if (key->how != RATE && !is_share(key->column->kind)) {		/* no double: it is not exact */
		int64_t i = field_number(key, x), j = field_number(key, y);

		if (key->how == VALUE && is_pss && i == UNKNOWN && j == UNKNOWN)
			return number_order(x->rss, y->rss, up);
		return by_size ? number_order(absolute(i), absolute(j), up) : number_order(i, j, up);
	}
	a = field_value(key, x, &s->machine, opt.interval);
	b = field_value(key, y, &s->machine, opt.interval);
	return by_size ? double_order(fabs(a), fabs(b), up) : double_order(a, b, up);
}

/* By the seconds that are shown, then by ticks, which are finer. */
static int
start_compare(const struct snapshot *s, const struct field *key, const struct proc *x, const struct proc *y,
    bool up)
{
	double a = field_value(key, x, &s->machine, opt.interval);
	int order = double_order(a, field_value(key, y, &s->machine, opt.interval), up);

	return order || isnan(a) ? order : number_order(x->start, y->start, up);
}

static int
key_compare(const struct snapshot *s, const struct field *key, const struct proc *x, const struct proc *y)
{
	bool up = key->up != opt.reverse;
	char buf[2][32];
	const char *a, *b;

	if (key->column->kind == TIME)
		return start_compare(s, key, x, y, up);
	if (!is_text(key->column->kind))
		return number_key_compare(s, key, x, y);
	a = field_text(key, x, &s->machine, buf[0]);
	b = field_text(key, y, &s->machine, buf[1]);
	return !a || !b || up ? text_compare(a, b) : text_compare(b, a);
}

/* The value of the --by column in a process or a group. NULL: unknown. */
static const char *
group_key(const struct snapshot *s, const struct proc *p)
{
	struct field field = { opt.by, VALUE, false };

	return field_text(&field, p, &s->machine, NULL);
}

/* Rows without a --by value are last. Rows of equal keys are in the order of pid, of group or of mapping. */
static int
row_compare(const void *a, const void *b, void *ctx)
{
	const struct proc *x = *(struct proc *const *)a, *y = *(struct proc *const *)b;
	const struct snapshot *s = ctx;
	int order = opt.by ? (group_key(s, x) == NULL) - (group_key(s, y) == NULL) : 0;

	for (size_t i = 0; i < opt.nkeys && order == 0; i++)
		order = key_compare(s, &opt.keys[i], x, y);
	if (order == 0 && opt.by)
		order = text_compare(group_key(s, x), group_key(s, y));
	else if (order == 0)
		order = opt.mappings ? mapping_compare(x, y) : number_compare(x->pid, y->pid);
	return order ? order : is_gone(y) - is_gone(x);
}

/* ---- 24. Units of one name ---- */

struct unit {
	const char *path;
	size_t common;		/* last parts that another unit's path has, too */
};

/* Compares paths from their ends: those with the same last parts are next to each other. */
static int
unit_compare(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;
	size_t i = strlen(x->path), j = strlen(y->path);

	for (; i > 0 && j > 0; i--, j--)
		if (x->path[i - 1] != y->path[j - 1])
			return x->path[i - 1] < y->path[j - 1] ? -1 : 1;
	return (i > 0) - (j > 0);
}

/* The number of last parts that two paths have in common. */
static size_t
common_parts(const char *a, const char *b)
{
	size_t i = strlen(a), j = strlen(b), n = 0;

	for (; i > 0 && j > 0 && a[i - 1] == b[j - 1]; i--, j--)
		n += a[i - 1] == '/';
	return n;
}

/* The last N parts of PATH, or all. */
static const char *
last_parts(const char *path, size_t n)
{
	size_t i = strlen(path);

	while (i > 0 && n > 0)
		n -= path[--i] == '/';
	return path + i + (path[i] == '/');
}

/* Sorts N units, keeps each path once, and sets what they have in common. Returns the number that is left. */
static size_t
units_sort(struct unit *units, size_t n)
{
	size_t last = 0;

	qsort(units, n, sizeof *units, unit_compare);
	for (size_t i = 1; i < n; i++) {
		size_t common = common_parts(units[last].path, units[i].path);

		if (unit_compare(&units[last], &units[i]) == 0)
			continue;
		if (common > units[last].common)
			units[last].common = common;
		units[++last] = (struct unit){ units[i].path, common };
	}
	return n ? last + 1 : 0;
}

/*
 * Where processes, selected or not, have several units of one name, lengthens the name in the selected rows
 * by as much of the path as tells them apart: init.scope, user@1000.service/init.scope.
 */
static void
units_tell_apart(struct snapshot *s, size_t n)
{
	struct unit *units = xrealloc(NULL, s->n + n, sizeof *units);
	size_t nunits = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->procs[i].unit && s->procs[i].outcome != VANISHED && !is_hidden(&s->procs[i]))
			units[nunits++] = (struct unit){ s->procs[i].unit_path, 0 };
	for (size_t i = 0; i < n; i++)
		if (s->rows[i]->unit && is_gone(s->rows[i]))
			units[nunits++] = (struct unit){ s->rows[i]->unit_path, 0 };
	nunits = units_sort(units, nunits);
	for (size_t i = 0; i < s->selected; i++) {
		struct unit key = { s->rows[i]->unit_path, 0 }, *unit;

		unit = s->rows[i]->unit ? bsearch(&key, units, nunits, sizeof key, unit_compare) : NULL;
		if (unit && unit->common > 0)
			s->rows[i]->unit = last_parts(unit->path, unit->common + 1);
	}
	free(units);
}

/* ---- 25. Filter, group, total, limit ---- */

static int
group_compare(const void *a, const void *b, void *ctx)
{
	const struct proc *x = *(struct proc *const *)a, *y = *(struct proc *const *)b;

	return text_compare(group_key(ctx, x), group_key(ctx, y));
}

static void
group_key_set(struct group_row *group, const char *key)
{
	if (!(opt.by->source & MACHINE))
		*(const char **)(void *)((char *)group + opt.by->offset) = key;
}

/* Makes groups of the selected processes. The groups become the rows. */
static void
rows_group(struct snapshot *s)
{
	struct group_row *groups = xrealloc(NULL, s->selected, sizeof *groups);
	size_t n = 0;

	qsort_r(s->rows, s->selected, sizeof *s->rows, group_compare, s);
	for (size_t i = 0; i < s->selected; i++) {
		if (i == 0 || group_compare(&s->rows[i - 1], &s->rows[i], s) != 0) {
			sum_init(&groups[n++]);
			group_key_set(&groups[n - 1], group_key(s, s->rows[i]));
		}
		sum_add(&groups[n - 1], s->rows[i]);
	}
	s->groups = xrealloc(groups, n, sizeof *groups);
	if (by_cgroup(&opt))
		n = cgroup_rows(s, n);
	if (n > s->nrows)
		s->rows = xrealloc(s->rows, n, sizeof *s->rows);
	for (size_t i = 0; i < n; i++)
		s->rows[i] = &s->groups[i].sum;
	s->selected = n;
}

static const char *
mapping_name(const struct proc *p)
{
	return ((const struct group_row *)(const void *)p)->mapping;
}

/* True if P, a process or a mapping of which all is known, matches the filters. */
static bool
row_matches(const struct run *run, const struct proc *p)
{
	if (!opt.mappings)
		return matches(run, p, ~0u);
	if (opt.mapping && !pattern_matches(opt.mapping, mapping_name(p)))
		return false;
	return conditions_hold(run, p, ~0u);
}

/* Brings the rows among the first N that match to the front. Returns their number. */
static size_t
rows_filter(struct snapshot *s, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct proc *p = s->rows[i];

		if (row_matches(s->run, p)) {
			s->rows[i] = s->rows[kept];
			s->rows[kept++] = p;
		}
	}
	return kept;
}

/* Makes the totals of smaps_rollup unknown where it was read only in place of a statm that was not saved. */
static void
total_drop_unread(struct snapshot *s)
{
	if (s->run->plan.main & (ROLLUP | SMAPS))
		return;
	for (const struct column *c = columns; c->name; c++)
		if (c->source & ROLLUP)
			*number_ptr(&s->total.sum, c) = UNKNOWN;
}

/* Filters, groups, sorts and limits the rows. */
static void
rows_select(struct snapshot *s)
{
	size_t n = rows_partition(s, s->nrows, is_row);

	s->run->current = s;
	rows_fill(s, n, deciding_sources());
	s->selected = rows_filter(s, n);
	if (opt.by && strcmp(opt.by->name, "unit") == 0)
		units_tell_apart(s, n);
	if ((opt.totals || opt.by) && !opt.mappings) {
		mark_shared_mm(s, s->rows, s->selected);
		if (opt.delta)
			mark_prev_mm(s);
	}
	if (opt.totals) {
		sum_init(&s->total);
		for (size_t i = 0; i < s->selected; i++)
			sum_add(&s->total, s->rows[i]);
		total_drop_unread(s);
	}
	if (opt.by)
		rows_group(s);
	qsort_r(s->rows, s->selected, sizeof *s->rows, row_compare, s);
	s->shown = s->selected < opt.limit ? s->selected : opt.limit;
}

/* ---- 26. What is only shown ---- */

/* Reads the rows that the scan skipped. A process of a printed row has ended, so that another row moves
 * up. */
static void
read_skipped(struct snapshot *s)
{
	struct proc **skipped = xrealloc(NULL, s->nrows, sizeof *skipped);
	size_t n = 0;

	for (size_t i = 0; i < s->nrows; i++)
		if (s->rows[i]->outcome == SKIPPED)
			skipped[n++] = s->rows[i];
	scan_procs(s, skipped, n, s->run->plan.main, &s->seconds[1]);
	mark_denied(skipped, n, s->run->plan.main);
	free(skipped);
}

/* Copies the columns from SOURCES. */
static void
columns_copy(struct proc *to, const struct proc *from, unsigned sources)
{
	for (const struct column *c = columns; c->name; c++) {
		size_t size = is_text(c->kind) && c->kind != TIME ? sizeof(char *) : sizeof(int64_t);

		if (c->source & sources && !(c->source & SRC_NOT_IN_PROC))
			memcpy((char *)to + c->offset, (const char *)from + c->offset, size);
	}
}

/*
 * True if NOW, read after ROW, is the same process: their starts are equal. Where that of ROW is not known,
 * NOW must have started before the snapshot.
 */
static bool
is_still_row(const struct snapshot *s, const struct proc *row, const struct proc *now)
{
	if (!s->source->live)
		return true;
	if (now->outcome == VANISHED || (now->zombie && !row->zombie))
		return false;
	if (!(now->got & STAT))
		return now->outcome == STALLED;
	if (row->got & STAT && row->start != UNKNOWN)
		return row->start == now->start;
	/* memz often starts in the same tick as its snapshot begins, and is the process of that pid */
	return now->start < s->began_ticks || row->pid == s->run->self;
}

/* Adds to ROW what was read of it after its scan: the sources of plan.detail. */
static void
detail_add(const struct plan *plan, struct proc *row, const struct proc *now)
{
	columns_copy(row, now, plan->detail | (plan->detail & plan->rss ? RSS : 0u));
	row->got |= now->got;
	if (now->outcome != MEASURED) {
		row->outcome = now->outcome;
		row->error = now->error;
	}
}

/* Reads whole rows again, whose processes have ended since the scan. */
static void
rows_read_again(struct snapshot *s, struct proc **rows, size_t n)
{
	const struct plan *plan = &s->run->plan;

	scan_procs(s, rows, n, plan->main | plan->detail, &s->seconds[2]);
	for (size_t i = 0; i < n; i++)
		rows[i]->has_detail = true;
	if (plan->top)
		read_skipped(s);
}

/*
 * Reads what is only shown, for the printed rows. Page tables are not walked again: where the pid still
 * belongs to the same process, the new columns are added to the row. Else the whole row is read again, and
 * the rows must be selected again: returns true.
 */
static bool
detail_read(struct snapshot *s)
{
	unsigned want = s->run->plan.detail;
	struct proc **rows, **scanned, **again, *details;
	size_t n = 0, nagain = 0;

	if (!want)
		return false;
	rows = xrealloc(NULL, s->shown, sizeof *rows);
	scanned = xrealloc(NULL, s->shown, sizeof *scanned);
	again = xrealloc(NULL, s->shown, sizeof *again);
	details = xrealloc(NULL, s->shown, sizeof *details);
	for (size_t i = 0; i < s->shown; i++) {
		if (s->rows[i]->has_detail)
			continue;
		details[n] = (struct proc){ .pid = s->rows[i]->pid };
		scanned[n] = &details[n];
		rows[n++] = s->rows[i];
	}
	scan_procs(s, scanned, n, want | (s->source->live ? STAT : 0u), &s->seconds[2]);
	for (size_t i = 0; i < n; i++) {
		rows[i]->has_detail = true;
		if (is_still_row(s, rows[i], &details[i]))
			detail_add(&s->run->plan, rows[i], &details[i]);
		else
			again[nagain++] = rows[i];
	}
	mark_denied(rows, n, want);
	if (nagain > 0)
		rows_read_again(s, again, nagain);
	free(details);
	free(again);
	free(scanned);
	free(rows);
	return nagain > 0;
}

/* Counts the processes of S by outcome, for notes and JSON. A number of -p that is no process is not
 * counted. */
static void
counts_sum(struct snapshot *s)
{
	struct counts *c = &s->counts;
	bool is_partial = s->run->plan.detail & SRC_EXPENSIVE;

	for (size_t i = 0; i < s->n; i++) {
		const struct proc *p = &s->procs[i];
		bool is_skipped = p->over_max_rss || (is_partial && !p->has_detail);
		bool is_none = opt.npids && p->outcome == VANISHED && (!p->existed || p->tgid);

		c->kernel_threads += p->kthread;
		c->zombies += p->zombie && !p->kthread;
		if (p->kthread || p->zombie || is_none)
			continue;
		c->processes++;
		c->outcome[p->outcome == MEASURED && is_skipped ? SKIPPED : p->outcome]++;
	}
}

/* Makes the rows that are printed, and reads what is missing in them. */
static void
rows_prepare(struct snapshot *s)
{
	do
		rows_select(s);
	while (detail_read(s));
	if (!opt.by && !opt.mappings)
		rows_fill(s, s->shown, sources_of(opt.fields, opt.nfields));
	counts_sum(s);
}

/* ---- 27. Notes ---- */

/* Reports the pids of -p that no snapshot has. BEFORE: the first snapshot, or NULL. */
static void
pids_check(const struct snapshot *before, const struct snapshot *after)
{
	for (size_t i = 0; i < opt.npids; i++) {
		int pid = opt.pids[i];
		const struct proc *p = proc_find(after->procs, after->n, pid);

		if (p->outcome != VANISHED)
			continue;
		if (p->tgid)
			error("--pid: %d is a thread of process %d", pid, p->tgid);
		else if (!before || proc_find(before->procs, before->n, pid)->outcome == VANISHED)
			error("--pid: no process %d", pid);
	}
}

/* How many processes could not be read, by cause. */
struct problems {
	size_t denied;		/* no PSS */
	size_t incomplete;	/* PSS, but not all other files */
	size_t unreadable;	/* with hidepid=1 */
	size_t failed;		/* for another error */
	size_t over_max_rss, stalled;
	size_t before;		/* not measured in the first snapshot */
	size_t measured, without_pss;
	int error;		/* of one that failed */
	char pids[160];		/* of the stalled, as many as fit */
};

static void
stalled_add(struct problems *problems, int64_t pid)
{
	size_t len = strlen(problems->pids), size = sizeof problems->pids;

	problems->stalled++;
	if (len < size - 26)
		snprintf(problems->pids + len, size - len, "%s%lld", len ? ", " : "", (long long)pid);
	else if (problems->pids[len - 1] != '.')
		strcpy(problems->pids + len, ", ...");
}

static void
denied_add(const struct plan *plan, struct problems *problems, const struct proc *p)
{
	bool is_access = p->error == EACCES || p->error == EPERM || p->error == ENOENT;
	bool has_pss = !((plan->main | plan->detail) & ~p->got & (ROLLUP | SMAPS));

	if (p->error == EPERM && !(p->got & (STATM | ROLLUP)))		/* hidepid=1 */
		problems->unreadable++;
	else if (is_access && has_pss)
		problems->incomplete++;
	else if (is_access)
		problems->denied++;
	else {
		problems->failed++;
		problems->error = p->error;
	}
}

static bool
was_unmeasured(const struct proc *p)
{
	return p->prev && (p->prev->outcome == DENIED || p->prev->outcome == STALLED);
}

static void
problems_add(const struct plan *plan, struct problems *problems, const struct proc *p)
{
	bool is_measured = p->outcome == MEASURED && !p->over_max_rss;

	if (p->kthread || p->zombie)
		return;
	if (p->outcome == STALLED)
		stalled_add(problems, p->pid);
	if (p->outcome == DENIED)
		denied_add(plan, problems, p);
	problems->over_max_rss += p->outcome != VANISHED && p->over_max_rss;
	problems->measured += is_measured;
	problems->without_pss += is_measured && !(p->got & (ROLLUP | SMAPS));
	problems->before += p->outcome == MEASURED && opt.delta && !opt.mappings && was_unmeasured(p);
}

/*
 * True if it can matter for what was printed that P was not read: its row is printed, a sum lacks it, or
 * its rss reaches the key of the last row.
 */
static bool
problem_matters(const struct snapshot *s, const struct proc *p)
{
	const struct field *key = &opt.keys[0];
	int64_t last;

	if (opt.system || opt.mappings || opt.by || opt.totals || opt.nalerts)
		return true;
	if (p->is_printed || s->shown == 0)
		return true;
	if (s->shown < opt.limit || key->how != VALUE || !key->column->bound || key->up != opt.reverse)
		return true;			/* a row that was left out could have had any place */
	last = field_number(key, s->rows[s->shown - 1]);
	return last == UNKNOWN || p->rss == UNKNOWN || p->rss >= last;
}

static bool may_be_selected(const struct snapshot *s, const struct proc *p);

static struct problems
problems_find(struct snapshot *s)
{
	struct problems problems = { 0 };

	for (size_t i = 0; i < s->shown && !opt.by && !opt.mappings && !opt.system; i++)
		s->rows[i]->is_printed = true;
	for (size_t i = 0; i < s->n; i++)
		if (may_be_selected(s, &s->procs[i]) && problem_matters(s, &s->procs[i]))
			problems_add(&s->run->plan, &problems, &s->procs[i]);
	return problems;
}

/* The end of "process". */
static const char *
plural(size_t n)
{
	return n == 1 ? "" : "es";
}

/* Notes what was not read of the archive NAME. */
static void
damage_note(const struct source *s, const char *name)
{
	size_t unsafe, at = source_damage(s, &unsafe);

	if (at)
		note("%s: damaged at byte %zu: the rest is not read", name, at);
	if (unsafe)
		note("%s: %zu member%s with an absolute name or '..' in its name: ignored", name, unsafe,
		    unsafe == 1 ? "" : "s");
}

/* A FIFO, a socket or a device in a saved tree is refused with ENXIO. */
static const char *
error_text(int error)
{
	return error == ENXIO ? "not a regular file" : strerror(error);
}

/* Notes that files of the machine could not be read. False: all could. */
static bool
failures_note(const struct source *s)
{
	const struct read_failures *f = s->failures;

	if (f->n > 1)
		note("%s and %zu other%s could not be read: %s; their values are unknown", f->name,
		    f->n - 1, f->n == 2 ? "" : "s", error_text(f->error));
	else if (f->n > 0)
		note("%s could not be read: %s; its values are unknown", f->name, error_text(f->error));
	return f->n > 0;
}

/* Why smaps_rollup is denied, or what it needs: CAP_PERFMON is enough from 6.15. */
static const char *
access_hint(const struct snapshot *s, bool is_root)
{
	if (!s->source->live)
		return "not in what was saved";
	if (is_root)
		return "access denied, even as root";
	if (release_at_least(s->machine.kernel, 6, 15))
		return "needs root or CAP_PERFMON";
	return "needs root or CAP_SYS_PTRACE";
}

/* A note about N processes, if there are any. */
#define note_processes(n, format, ...) \
	((n) > 0 ? note("%zu process%s: " format, n, plural(n), __VA_ARGS__) : (void)0)

static void
problems_note(const struct snapshot *s, const struct problems *p, bool is_root)
{
	const char *shown = opt.mappings ? "left out" : "shown as -";

	note_processes(p->denied, "PSS not readable (%s); %s", access_hint(s, is_root), shown);
	note_processes(p->unreadable, "not readable (hidepid: needs root or CAP_SYS_PTRACE); %s", shown);
	note_processes(p->incomplete, "not all files readable (%s); %s",
	    is_root ? "access denied, even as root" : "needs root or CAP_SYS_PTRACE", shown);
	note_processes(p->failed, "not readable: %s; %s", error_text(p->error), shown);
	note_processes(p->before, "not readable in the first scan; the change is %s", "unknown");
	note_processes(p->stalled, "stuck in the kernel, given up after %g s: pid %s; %s", opt.timeout,
	    p->pids, opt.mappings ? "left out" : "shown with what could be read");
	note_processes(p->over_max_rss, "RSS above --max-rss, PSS not read; %s",
	    opt.mappings ? "left out" : "shown with rss only");
	if (s->run->plan.main & (ROLLUP | SMAPS) && p->measured > 0 && p->without_pss == p->measured)
		note("%s", opt.mappings ? "no process has smaps: mappings are unknown" :
		    "no process has smaps_rollup or smaps: pss and related columns are unknown");
}

/* True if one of N fields is a _delta or _rate. */
static bool
has_change(const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fields[i].how != VALUE)
			return true;
	return false;
}

/* True if a column, sort key, condition or alert is a _delta or _rate. */
static bool
asks_for_change(void)
{
	bool asks = has_change(opt.fields, opt.nfields) || has_change(opt.keys, opt.nkeys);

	for (size_t i = 0; i < opt.nconditions; i++)
		asks = asks || has_change(&opt.conditions[i].field, 1);
	for (size_t i = 0; i < opt.nalerts; i++)
		asks = asks || has_change(&opt.alerts[i].condition.field, 1);
	return asks;
}

/* What selects rows: -U, -P, -M or a condition of -f. */
struct criterion {
	char option;
	const char *text;
	const struct condition *condition;	/* of -f */
};

#define CRITERIA_MAX	(3 + opt.nconditions)

/* Fills LIST with the criteria, in the order in which notes name them. Returns their number. */
static size_t
criteria_list(struct criterion *list)
{
	size_t n = 0;

	if (opt.users)
		list[n++] = (struct criterion){ 'U', opt.users, NULL };
	if (opt.process)
		list[n++] = (struct criterion){ 'P', opt.process->text, NULL };
	if (opt.mapping)
		list[n++] = (struct criterion){ 'M', opt.mapping->text, NULL };
	for (size_t i = 0; i < opt.nconditions; i++)
		list[n++] = (struct criterion){ 'f', opt.conditions[i].given, &opt.conditions[i] };
	return n;
}

/* True if P, a process or a mapping, meets C. MAYBE: what is unknown counts as met; for -f only. */
static bool
criterion_holds(const struct run *run, const struct criterion *c, const struct proc *p, bool maybe)
{
	const struct condition *condition = c->condition;

	if (c->option == 'U')
		return is_user_wanted(p->uid);
	if (c->option == 'P')
		return process_matches(run, p);
	if (c->option == 'M')
		return pattern_matches(opt.mapping, mapping_name(p));
	if (opt.mappings || !(files_of(&run->plan, condition->sources) & ~p->got))
		return condition_holds(condition, p, &run->current->machine);
	return maybe && condition_may_hold(run, condition, p);
}

/* False if what was read of P rules out that it meets all criteria. With -m the first scan has already marked
 * the others as SKIPPED. */
static bool
may_be_selected(const struct snapshot *s, const struct proc *p)
{
	struct criterion *list = xrealloc(NULL, CRITERIA_MAX, sizeof *list);
	size_t n = opt.mappings ? 0 : criteria_list(list), i = 0;
	unsigned unread = selection_sources() & (OWNER | COMM | CMDLINE) & ~p->got;

	while (i < n && ((list[i].option != 'f' && unread) || criterion_holds(s->run, &list[i], p, true)))
		i++;
	free(list);
	return i == n;
}

/* True if a process or mapping may meet C. HIDDEN: looks only at those that only -A shows. */
static bool
criterion_is_met(const struct snapshot *s, const struct criterion *c, bool hidden)
{
	bool of_mappings = opt.mappings && (c->option == 'M' || c->option == 'f');

	for (size_t i = 0; i < s->n && !of_mappings; i++) {
		const struct proc *p = &s->procs[i];

		if (p->outcome == VANISHED || is_hidden(p) != hidden)
			continue;
		if (opt.mappings && !hidden && p->outcome != SKIPPED)
			return true;		/* it was selected; its name is not known any more */
		if (criterion_holds(s->run, c, p, !hidden))
			return true;
	}
	for (size_t i = 0; i < s->nrows && !hidden; i++)
		if ((of_mappings || is_gone(s->rows[i])) && criterion_holds(s->run, c, s->rows[i], true))
			return true;
	return false;
}

/* Notes that nothing meets C. */
static void
criterion_note(const struct snapshot *s, const struct criterion *c)
{
	bool is_of_mapping = opt.mappings && (c->option == 'M' || c->option == 'f');
	bool only_hidden = !is_of_mapping && criterion_is_met(s, c, true);

	note("no %s matches -%c '%s'%s", is_of_mapping ? "mapping" : "process", c->option, c->text,
	    only_hidden ? "; a kernel thread or zombie does: -A" : "");
}

/* Notes that nothing meets all N criteria, though each of them is met. */
static void
criteria_note(const struct criterion *list, size_t n)
{
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		all = kept_text("%s%s-%c '%s'", all, i ? " and " : "", list[i].option, list[i].text);
	note("no %s matches %s together", opt.mappings ? "mapping" : "process", all);
}

/* Notes why there are no rows. */
static void
empty_note(const struct snapshot *s)
{
	struct criterion *list = xrealloc(NULL, CRITERIA_MAX, sizeof *list);
	size_t n = criteria_list(list), i = 0;

	while (i < n && n > 1 && criterion_is_met(s, &list[i], false))	/* a single one is the cause */
		i++;
	if (i < n)
		criterion_note(s, &list[i]);
	else if (n > 0)
		criteria_note(list, n);
	free(list);
}

static void contradictions_note(const struct snapshot *s);

/* Notes what was partial in this run, one line for each cause. */
static void
notes_print(struct snapshot *s)
{
	bool is_root = geteuid() == 0 || has_cap(CAP_SYS_PTRACE);
	struct problems problems = problems_find(s);
	const struct run *run = s->run;

	problems_note(s, &problems, is_root);
	if (!failures_note(s->source) && s->source->live && s->machine.mem_total == UNKNOWN)
		note("/proc has no meminfo (mounted with subset=pid?): the machine's memory is unknown");
	if (run->readers.unprotected)
		note("no thread could be created, so a stuck process would not have been given up");
	if (run->shared_mm_timeout)
		note("sums may count the memory of processes that share one address space more than once:"
		    " the comparison took too long");
	else if (run->shared_mm_denied)
		note("sums count the memory of processes that share one address space once for each of them"
		    " (finding them needs root or CAP_SYS_PTRACE)");
	if (s->selected == 0 && !opt.system && !(opt.limit == 0 && run->plan.top))	/* -n 0 reads none */
		empty_note(s);
	if (!opt.delta && asks_for_change())
		note("one scan shows no change: add -i SEC, or --since FILE");
	contradictions_note(s);
	if (source_hides(s->source, is_root))
		note("other users' processes are hidden (hidepid)");
}

/* ---- 28. --verbose ---- */

static void
plan_print(const char *what, unsigned sources)
{
	char line[256] = "";

	for (unsigned bit = 1; bit; bit <<= 1)
		if (sources & bit && source_file(bit))
			snprintf(line + strlen(line), sizeof line - strlen(line), " %s", source_file(bit));
	if (*line)
		fprintf(stderr, "memz: plan: %s:%s\n", what, line);
}

static void
verbose_print(const struct snapshot *s)
{
	const struct counts *c = &s->counts;
	const struct plan *plan = &s->run->plan;
	const char *scope = plan->first ? "then, of those left" : "of all";

	if (plan->top)
		scope = "then, by falling size until the first rows are certain";
	plan_print("first, of all", plan->first);
	plan_print(scope, plan->main);
	plan_print("last, of the rows shown", plan->detail);
	fprintf(stderr, "memz: read by %zu reader%s:", opt.jobs, opt.jobs == 1 ? "" : "s");
	for (unsigned bit = 0; bit < SOURCES_MAX; bit++)
		if (s->run->readers.opened[bit])
			fprintf(stderr, " %s %zu", source_file(1u << bit), s->run->readers.opened[bit]);
	fprintf(stderr,
	    "\nmemz: processes: %zu: measured %zu, denied %zu, vanished %zu, stalled %zu,"
	    " skipped %zu; kernel threads %zu, zombies %zu\n",
	    c->processes, c->outcome[MEASURED], c->outcome[DENIED], c->outcome[VANISHED], c->outcome[STALLED],
	    c->outcome[SKIPPED], c->kernel_threads, c->zombies);
	fprintf(stderr, "memz: seconds: first %.4f, then %.4f, last %.4f, scan %.4f\n",
	    s->seconds[0], s->seconds[1], s->seconds[2], c->seconds);
}

/* ---- 29. Output ---- */

/* The width of the terminal; else what COLUMNS says, which watch(1) sets; else SIZE_MAX: no limit. */
static size_t
terminal_width(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return text && whole_number(text, 10000, &n) && n > 0 ? (size_t)n : SIZE_MAX;
}

static bool
is_plain(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return (no && *no) || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0;
}

/* The report is built in memory and written at once, so that an interrupted run leaves nothing half done. */
static void
report_print(const struct report *r)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool lost;

	if (!f)
		fail(1, "out of memory");
	report_write(f, r, opt.format);
	lost = ferror(f) != 0;
	if (fclose(f) != 0 || lost)
		fail(1, "out of memory");
	write_all(text, len);
	free(text);
}

/* The averages of pressure/memory, as --alert names them. -w leaves out psi_. */
static const char *const psi_names[] = {
	"psi_some_avg10", "psi_some_avg60", "psi_some_avg300",
	"psi_full_avg10", "psi_full_avg60", "psi_full_avg300",
};

/* ---- 30. The whole machine ---- */

/* Adds a metric to the current section and item; its value is unknown until it is set. */
static struct metric *
metric_add(struct metrics *m, const char *name, enum metric_type type)
{
	struct metric *metric;

	if (m->n == m->capacity)
		m->list = xrealloc(m->list, m->capacity = 2 * m->capacity + 256, sizeof *m->list);
	metric = &m->list[m->n++];
	*metric = (struct metric){
		.section = m->section, .item = m->item, .name = name, .type = type, .n = UNKNOWN, .x = NAN
	};
	return metric;
}

static void
metric_add_size(struct metrics *m, const char *name, int64_t kib)
{
	metric_add(m, name, SIZE)->n = kib;
}

static void
metric_add_number(struct metrics *m, const char *name, int64_t n)
{
	metric_add(m, name, NUMBER)->n = n;
}

static void
metric_add_fraction(struct metrics *m, const char *name, enum metric_type type, double x)
{
	metric_add(m, name, type)->x = x;
}

static void
metric_add_text(struct metrics *m, const char *name, enum metric_type type, const char *text)
{
	metric_add(m, name, type)->text = text;
}

/* Begins a section that is a list of N items. */
static void
list_begin(struct metrics *m, const char *section, size_t n)
{
	m->section = section;
	if (n > 0)
		return;
	m->item = "";
	metric_add(m, "", EMPTY);
	m->item = NULL;
}

/* KIB as the text report shows it. */
static const char *
kib_label(int64_t kib, bool plus)
{
	char buf[40];

	kib_text(buf, kib, opt.format == TEXT_FORMAT ? opt.unit : 'a', plus);
	return kept_text("%s", buf);
}

static double
percent_of(int64_t part, int64_t whole)
{
	return part == UNKNOWN || whole == UNKNOWN || whole <= 0 ? NAN : 100 * (double)part / (double)whole;
}

static int64_t
memory_of(const struct snapshot *s, const char *name)
{
	return counter_get(&s->machine.memory, name);
}

/* Areas. They add up to MemTotal. */

/* How much of an area the kernel can take back without swapping. */
enum reclaim { NOT_SAID, NOTHING, EVERYTHING, FILE_LRU };

/*
 * A new area is a row here, before kernel_other, which is the last, and one more in NAREAS; its counter in
 * figure_names; then an item in man/memz.1 and the tests that tests/README.md lists. Holders are optional,
 * see holder_files. SUM is of counters of meminfo: without one of them the area is unknown, unless that has
 * a ? in front. NULL: area_total knows it.
 */
static const struct area_source {
	const char *name, *sum;
	bool is_bound; /* a negative difference counts as 0; else it is unknown */
	enum reclaim reclaim;
} area_sources[] = {
	{ "anonymous",          "anon_pages",                                         false, NOTHING },
	{ "anon_unmapped",      "active_anon + inactive_anon - anon_pages - shmem",   true,  NOT_SAID },
	{ "shmem",              "shmem",                                              false, NOTHING },
	{ "file_cache",         "cached - shmem",                                     false, FILE_LRU },
	{ "buffers",            "buffers",                                            false, FILE_LRU },
	{ "slab_reclaimable",   "sreclaimable",                                       false, EVERYTHING },
	{ "slab_unreclaimable", "sunreclaim",                                         false, NOTHING },
	{ "kernel_stacks",      "kernel_stack",                                       false, NOTHING },
	{ "page_tables",        "page_tables + ?sec_page_tables",                     false, NOTHING },
	{ "per_cpu",            "percpu",                                             false, NOTHING },
	{ "vmalloc",            "vmalloc_used - kernel_stack",                        true,  NOTHING },
	{ "huge_pages",         NULL,                                                 false, NOTHING },
	{ "gpu",                "gpu_active",                                         false, NOT_SAID },
	{ "gpu_reclaim",        "gpu_reclaim",                                        false, EVERYTHING },
	{ "zswap",              "zswap",                                              false, NOT_SAID },
	{ "zram",               NULL,                                                 false, NOT_SAID },
	{ "free",               "mem_free",                                           false, EVERYTHING },
	{ "free_pcp",           NULL,                                                 false, EVERYTHING },
	{ "kernel_other",       NULL,                                                 false, NOT_SAID },
};
_Static_assert(sizeof area_sources / sizeof *area_sources == NAREAS, "NAREAS is the number of areas");

/* The number of an area; NAREAS: there is none of that name. */
static size_t
area_index(const char *name)
{
	size_t i = 0;

	while (i < NAREAS && strcmp(area_sources[i].name, name) != 0)
		i++;
	return i;
}

static bool
is_area(const char *name)
{
	return area_index(name) < NAREAS;
}

static struct area *
area_find(struct snapshot *s, const char *name)
{
	return &s->areas[area_index(name)];
}

/* What SUM says, as in "cached - shmem". */
static int64_t
counters_sum(const struct snapshot *s, const char *sum, bool is_bound)
{
	int64_t plus = 0, minus = 0;
	bool subtract = false;

	for (size_t len; *sum; sum += len, sum += strspn(sum, " ")) {
		char name[40];
		bool optional = *sum == '?';
		int64_t n;

		len = strcspn(sum, " ");
		snprintf(name, sizeof name, "%.*s", (int)len - optional, sum + optional);
		if (*name == '+' || *name == '-') {
			subtract = *name == '-';
			continue;
		}
		n = memory_of(s, name);
		if (n == UNKNOWN && !optional)
			return UNKNOWN;
		if (subtract)
			minus = kib_add(minus, n);
		else
			plus = kib_add(plus, n);
	}
	return is_bound && minus > plus ? 0 : counter_sub(plus, minus);
}

static int64_t
huge_pages(const struct snapshot *s)
{
	int64_t all = memory_of(s, "hugetlb"), n = memory_of(s, "huge_pages_total");
	int64_t size = memory_of(s, "hugepagesize");

	if (all == UNKNOWN && n != UNKNOWN && size != UNKNOWN && __builtin_mul_overflow(n, size, &all))
		all = UNKNOWN;
	return all;
}

static int64_t area_total(const struct snapshot *s, const char *name);

/* What no area holds: negative where a container sees its own MemTotal and the host's kernel. */
static int64_t
kernel_other(const struct snapshot *s)
{
	int64_t rest = s->machine.mem_total;

	for (size_t i = 0; i + 1 < NAREAS; i++) {
		int64_t part = area_total(s, area_sources[i].name);

		if (part != UNKNOWN)
			rest = kib_sub(rest, part);	/* one by one: a sum that saturates would leave 0 */
	}
	return rest;
}

static int64_t
area_total(const struct snapshot *s, const char *name)
{
	const struct area_source *a = &area_sources[area_index(name)];

	if (strcmp(name, "vmalloc") == 0 && memory_of(s, "vmalloc_used") == 0)
		return UNKNOWN;			/* 4.4 to 5.2 print 0 */
	if (a->sum)
		return counters_sum(s, a->sum, a->is_bound);
	if (strcmp(name, "zram") == 0)
		return s->system.zram_used;
	if (strcmp(name, "free_pcp") == 0)
		return s->system.free_pcp;
	return strcmp(name, "huge_pages") == 0 ? huge_pages(s) : kernel_other(s);
}

/* Which parts of a process's PSS, or of its RSS where PSS is not readable, an area is made of. */
static const struct area_parts {
	const char *area;
	size_t pss, rss;
} area_parts[] = {
	{ "anonymous", offsetof(struct proc, pss_anon), offsetof(struct proc, rss_anon) },
	{ "shmem", offsetof(struct proc, pss_shmem), offsetof(struct proc, rss_shmem) },
	{ "file_cache", offsetof(struct proc, pss_file), offsetof(struct proc, rss_file) },
};
#define NPARTS (sizeof area_parts / sizeof *area_parts)

/* Sets how much of an area the measured processes hold, and an upper bound of what the others hold. It is
 * unknown where the kernel has no parts of PSS (before 5.3) or of RSS (before 4.5). */
static void
area_divide(struct area *a, const struct area_parts *parts, const struct snapshot *s)
{
	int64_t left;

	a->processes = a->unmeasured = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct proc *p = &s->procs[i];
		bool measured = p->got & ROLLUP;
		int64_t part = number_at(p, measured ? parts->pss : parts->rss);
		int64_t *sum = measured ? &a->processes : &a->unmeasured;

		if (part == UNKNOWN && p->outcome == STALLED)
			part = p->rss; /* of status nothing was read; an upper bound all the same */
		if (is_row(p) && !p->same_mm)
			*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : kib_add(*sum, part);
	}
	if (a->processes == UNKNOWN || a->unmeasured == UNKNOWN)
		a->processes = a->unmeasured = UNKNOWN;
	left = kib_sub(a->total, a->processes);
	left = left < 0 && left != UNKNOWN ? 0 : left;		/* the total was read earlier */
	if (left != UNKNOWN && a->unmeasured > left)
		a->unmeasured = left;
	a->elsewhere = kib_sub(left, a->unmeasured);
}

static int64_t
smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
areas_measure(struct snapshot *s)
{
	int64_t lru = counters_sum(s, "active_file + inactive_file", false), blocks;

	for (size_t i = 0; i < NAREAS; i++) {
		const struct area_source *from = &area_sources[i];
		struct area *a = &s->areas[i];

		*a = (struct area){ from->name, area_total(s, from->name), UNKNOWN, UNKNOWN, UNKNOWN,
			UNKNOWN };
		if (from->reclaim != NOT_SAID && from->reclaim != FILE_LRU && a->total != UNKNOWN)
			a->reclaimable = from->reclaim == EVERYTHING ? a->total : 0;
		for (size_t j = 0; j < NPARTS; j++)
			if (strcmp(from->name, area_parts[j].area) == 0)
				area_divide(a, &area_parts[j], s);
	}
	/* Buffers and file cache are on the file LRU, but not ramfs, secretmem and locked files. */
	blocks = area_find(s, "buffers")->total;
	if (lru == UNKNOWN || blocks == UNKNOWN || area_find(s, "file_cache")->total == UNKNOWN)
		return;
	area_find(s, "buffers")->reclaimable = smaller(blocks, lru);
	area_find(s, "file_cache")->reclaimable =
	    smaller(area_find(s, "file_cache")->total, lru - smaller(blocks, lru));
}

/* Page cache that is on no LRU of files, so that the kernel cannot take it back. */
static int64_t
pinned_cache(struct snapshot *s)
{
	const struct area *file = area_find(s, "file_cache"), *buffers = area_find(s, "buffers");

	return kib_add(kib_sub(file->total, file->reclaimable), kib_sub(buffers->total, buffers->reclaimable));
}

/* Holders */

#define HOLDERS_SHOWN	3		/* of each area */
#define HOLDERS_PCT	1		/* of MemTotal: holders of smaller areas are not searched */

/* True if it is worth while to search for what holds so much. A change is looked for in areas of any size. */
static bool
is_searched(const struct snapshot *s, int64_t size)
{
	return opt.all_areas || opt.delta || percent_of(size, s->machine.mem_total) >= HOLDERS_PCT;
}

static unsigned
holder_files(struct snapshot *s)
{
	static const struct { const char *area; unsigned file; } files[] = {
		{ "slab_reclaimable", HOLDERS_SLAB }, { "slab_unreclaimable", HOLDERS_SLAB }, { "vmalloc", HOLDERS_VMALLOC },
		{ "huge_pages", HOLDERS_HUGE_PAGES }, { "kernel_other", HOLDERS_KERNEL_OTHER }, { "shmem", HOLDERS_MOUNTS },
	};
	unsigned which = 0;

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		which |= is_searched(s, area_find(s, files[i].area)->total) ? files[i].file : 0;
	if (is_searched(s, area_find(s, "shmem")->elsewhere))
		which |= HOLDERS_DESCRIPTORS;
	return which;
}

/* The areas that processes hold, and by which number. */
static const struct { const char *area; size_t offset; } process_parts[] = {
	{ "anonymous", offsetof(struct proc, pss_anon) }, { "shmem", offsetof(struct proc, pss_shmem) },
	{ "file_cache", offsetof(struct proc, pss_file) }, { "page_tables", offsetof(struct proc, vm_pte) },
	{ "huge_pages", offsetof(struct proc, hugetlb) },
};
#define NPROCESS_PARTS (sizeof process_parts / sizeof *process_parts)

/* Unknown counts as no change. */
static int64_t
magnitude(int64_t change)
{
	return change == UNKNOWN ? 0 : absolute(change);
}

/* The number by which a process may be a holder: its size, or if there are two snapshots its change. */
static int64_t
part_weight(const struct proc *p, size_t offset)
{
	int64_t now = number_at(p, offset), before;

	if (!opt.delta || now == UNKNOWN)
		return now;
	before = p->prev ? number_at(p->prev, offset) : 0;
	return magnitude(kib_sub(now, before));
}

/* The processes with the largest such numbers, at most HOLDERS_SHOWN, in TOP; returns how many. */
static size_t
top_processes(const struct snapshot *s, size_t offset, struct proc **top)
{
	size_t n = 0, at;

	for (size_t i = 0; i < s->n; i++) {
		struct proc *p = &s->procs[i];
		int64_t weight = part_weight(p, offset);

		if (!is_row(p) || p->same_mm || weight == UNKNOWN || weight <= 0)
			continue;
		for (at = n; at > 0 && part_weight(top[at - 1], offset) < weight; at--)
			if (at < HOLDERS_SHOWN)
				top[at] = top[at - 1];
		if (at < HOLDERS_SHOWN)
			top[at] = p;
		n += n < HOLDERS_SHOWN;
	}
	return n;
}

/* Reads WANT of the N processes, and takes it over where the pid is still that of the same process. */
static void
late_read(struct snapshot *s, struct proc *const *procs, size_t n, unsigned want)
{
	struct proc *details = xrealloc(NULL, n, sizeof *details), **list = xrealloc(NULL, n, sizeof *list);
	enum save_what save = s->run->save;

	s->run->save = SAVE_NOTHING;		/* the processes were saved as they were read first */
	for (size_t i = 0; i < n; i++) {
		details[i] = (struct proc){ .pid = procs[i]->pid };
		list[i] = &details[i];
	}
	scan_procs(s, list, n, s->source->live ? want | STAT : want, &s->seconds[2]);
	for (size_t i = 0; i < n; i++)
		if (is_still_row(s, procs[i], &details[i])) {
			columns_copy(procs[i], &details[i], want);
			procs[i]->got |= details[i].got & want;
		}
	s->run->save = save;
	free(list);
	free(details);
}

static void
process_holders_find(struct snapshot *s)
{
	struct proc *top[NPROCESS_PARTS][HOLDERS_SHOWN], *unnamed[NPROCESS_PARTS * HOLDERS_SHOWN];
	size_t n[NPROCESS_PARTS] = { 0 }, nunnamed = 0;

	if (is_searched(s, area_find(s, "page_tables")->total) && !(s->run->plan.main & STATUS))
		late_read(s, s->rows, s->nrows, STATUS);
	for (size_t i = 0; i < NPROCESS_PARTS; i++) {
		if (is_searched(s, area_find(s, process_parts[i].area)->total))
			n[i] = top_processes(s, process_parts[i].offset, top[i]);
		for (size_t j = 0; j < n[i]; j++)
			if (!(top[i][j]->got & COMM))
				unnamed[nunnamed++] = top[i][j];
	}
	if (nunnamed > 0)
		late_read(s, unnamed, nunnamed, COMM);
	for (size_t i = 0; i < NPROCESS_PARTS; i++)
		for (size_t j = 0; j < n[i]; j++)
			holder_add(&s->holders, process_parts[i].area, "process",
			    number_at(top[i][j], process_parts[i].offset), top[i][j]->pid,
			    top[i][j]->name ? top[i][j]->name : "?");
}

/* Unknown if the first snapshot does not say what the holder had. */
static int64_t
holder_change(const struct holder *h)
{
	return kib_sub(h->size, h->before);
}

/* By area, in the order of area_sources, then the largest first, or what has changed most. */
static int
holder_compare(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	int64_t m = x->size, n = y->size;

	if (strcmp(x->area, y->area) != 0)
		return area_index(x->area) < area_index(y->area) ? -1 : 1;
	if (opt.delta) {
		m = magnitude(holder_change(x));
		n = magnitude(holder_change(y));
	}
	if (m != n)
		return m < n ? 1 : -1;
	return (x->size < y->size) - (x->size > y->size);
}

/* By area, kind, pid and name, which together say what a holder is. */
static int
holder_match_compare(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;
	int order = strcmp(x->area, y->area);

	if (order == 0)
		order = strcmp(x->kind, y->kind);
	if (order == 0)
		order = number_compare(x->pid, y->pid);
	return order ? order : text_compare(x->name, y->name);
}

/* The same, then the largest first: memfds of one process may have one name. */
static int
holder_match_size_compare(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;
	int order = holder_match_compare(a, b);

	return order ? order : number_compare(y->size, x->size);
}

static int
holder_kind_compare(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;
	int order = strcmp(x->area, y->area);

	return order ? order : strcmp(x->kind, y->kind);
}

static struct holder **
holders_sorted(const struct holders *h)
{
	struct holder **sorted = xrealloc(NULL, h->n, sizeof *sorted);

	for (size_t i = 0; i < h->n; i++)
		sorted[i] = &h->list[i];
	qsort(sorted, h->n, sizeof *sorted, holder_match_size_compare);
	return sorted;
}

static bool
is_process(const struct holder *h)
{
	return strcmp(h->kind, "process") == 0;
}

/* What H, a process, had in the first snapshot. */
static int64_t
process_before(const struct snapshot *now, const struct holder *h)
{
	const struct proc *p = proc_find(now->procs, now->n, h->pid);
	size_t part = 0;

	while (part + 1 < NPROCESS_PARTS && strcmp(process_parts[part].area, h->area) != 0)
		part++;
	return p && p->prev ? number_at(p->prev, process_parts[part].offset) : 0;
}

/* Adds PREV, a holder of the first snapshot that has nothing any more, with size 0. */
static void
holder_gone_add(struct holders *h, const struct holder *prev)
{
	size_t n = h->n;

	holder_add(h, prev->area, prev->kind, 1, prev->pid, prev->name ? prev->name : "?");
	if (h->n > n) {
		h->list[n].size = 0;
		h->list[n].before = prev->size;
	}
}

/*
 * Sets what each holder had in the first snapshot, and adds those that are gone. One that the first snapshot
 * lacks had nothing there if others of its kind are in it.
 */
static void
holders_match(const struct snapshot *before, struct snapshot *now)
{
	struct holder **prevs = holders_sorted(&before->holders), **list = holders_sorted(&now->holders);
	bool *matched = xrealloc(NULL, before->holders.n, sizeof *matched);
	size_t nprevs = before->holders.n, n = now->holders.n;

	memset(matched, 0, nprevs * sizeof *matched);
	for (size_t i = 0, j = 0; j < n; j++) {
		while (i < nprevs && holder_match_compare(&prevs[i], &list[j]) < 0)
			i++;
		if (i < nprevs && holder_match_compare(&prevs[i], &list[j]) == 0) {
			list[j]->before = prevs[i]->size;
			matched[i++] = true;
		} else if (!bsearch(&list[j], prevs, nprevs, sizeof *prevs, holder_kind_compare))
			list[j]->before = UNKNOWN;
		if (is_process(list[j]))
			list[j]->before = process_before(now, list[j]);
	}
	for (size_t i = 0; i < nprevs; i++) {
		const struct proc *p = is_process(prevs[i]) ? proc_find(now->procs, now->n, prevs[i]->pid) : NULL;

		if (p ? !p->prev : !matched[i])
			holder_gone_add(&now->holders, prevs[i]);
	}
	free(matched);
	free(list);
	free(prevs);
}

/* Holders that are dropped go behind the others: findings may name them. */
static void
holder_swap(struct holder *a, struct holder *b)
{
	struct holder c = *a;

	*a = *b;
	*b = c;
}

/* Keeps the first HOLDERS_SHOWN of each area, and as many control groups, which divide the same memory in
 * another way. */
static void
holders_limit(struct holders *h)
{
	size_t n = 0, of_area[2] = { 0, 0 };

	if (h->n > 1)
		qsort(h->list, h->n, sizeof *h->list, holder_compare);
	for (size_t i = 0; i < h->n; i++) {
		bool is_cgroup = strcmp(h->list[i].kind, "cgroup") == 0;

		if (n > 0 && strcmp(h->list[n - 1].area, h->list[i].area) != 0)
			of_area[0] = of_area[1] = 0;
		if (of_area[is_cgroup]++ < HOLDERS_SHOWN)
			holder_swap(&h->list[n++], &h->list[i]);
	}
	h->n = n;
}

/* The largest holder of AREA whose kind is not NOT_KIND, or NULL. */
static const struct holder *
holder_first(const struct snapshot *s, const char *area, const char *not_kind)
{
	const struct holder *first = NULL;

	for (size_t i = 0; i < s->holders.n; i++) {
		const struct holder *h = &s->holders.list[i];

		if (strcmp(h->area, area) == 0 && strcmp(h->kind, not_kind) != 0 &&
		    (!first || h->size > first->size))
			first = h;
	}
	return first;
}

static const char *
holder_name(const struct holder *h)
{
	return h->pid == UNKNOWN ? h->name : kept_text("%s (%lld)", h->name, (long long)h->pid);
}

/* Frees what was read to be saved only: a report is the same with --save and without. */
static void
holders_filter(struct holders *h, unsigned which)
{
	static const struct { const char *kind; unsigned files; } kinds[] = {
		{ "tmpfs", HOLDERS_MOUNTS | HOLDERS_DESCRIPTORS }, { "sysv", HOLDERS_MOUNTS | HOLDERS_DESCRIPTORS },
		{ "memfd", HOLDERS_DESCRIPTORS }, { "deleted", HOLDERS_DESCRIPTORS }, { "slab", HOLDERS_SLAB },
		{ "caller", HOLDERS_VMALLOC }, { "pool", HOLDERS_HUGE_PAGES },
	};
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		unsigned files = HOLDERS_KERNEL_OTHER;

		for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++)
			if (strcmp(h->list[i].kind, kinds[j].kind) == 0)
				files = kinds[j].files;
		if (files & which)
			h->list[n++] = h->list[i];
		else
			free((void *)(uintptr_t)h->list[i].name);
	}
	h->n = n;
}

/* True if an area that memory.stat explains is large. */
static bool
is_searched_by_cgroup(struct snapshot *s)
{
	return is_searched(s, pinned_cache(s)) || is_searched(s, area_find(s, "anon_unmapped")->total) ||
	    is_searched(s, area_find(s, "slab_unreclaimable")->total) ||
	    is_searched(s, area_find(s, "kernel_other")->total);
}

/* Reads all control groups, and divides among them what is charged to several. */
static void
cgroups_find(struct snapshot *s)
{
	unsigned sources = CG_USAGE | CG_LIMIT | CG_PCT;
	struct cgroup_figures figures;
	char path[PATH_MAX];

	if (is_searched_by_cgroup(s))
		sources |= CG_STAT;
	if (counter_get(&s->system.vm, "oom_kill") > 0)
		sources |= CG_EVENTS;
	cgroups_start(s, true);
	for (size_t i = 0; cgroup_at(s->cgroup_files, i, path, sizeof path); i++) {
		cgroup_read(s->cgroup_files, path, CG_USAGE, &figures);
		if (figures.usage == 0 || (figures.usage == UNKNOWN && strcmp(path, "/") == 0))
			continue;		/* the root of version 2: its memory.stat is that of the machine */
		empty_row_add(s, s->ncgroups, path);
		cgroup_read(s->cgroup_files, path, sources, &s->groups[s->ncgroups++].cg);
	}
	if (s->ncgroups > 1)
		qsort(s->groups, s->ncgroups, sizeof *s->groups, cgroup_row_compare);
	charges_divide(s, s->ncgroups);
}

/* Adds the control groups as holders of the areas that memory.stat is about. */
static void
cgroup_holders_add(struct snapshot *s)
{
	for (size_t i = 0; i < s->ncgroups; i++) {
		const struct cgroup_figures *cg = &s->groups[i].cg;
		const char *path = s->groups[i].sum.cgroup;

		holder_add(&s->holders, "anon_unmapped", "cgroup", cg->anon_unmapped, UNKNOWN, path);
		holder_add(&s->holders, "file_cache", "cgroup", cg->file, UNKNOWN, path);
		holder_add(&s->holders, "slab_unreclaimable", "cgroup", cg->slab_unreclaimable, UNKNOWN, path);
		holder_add(&s->holders, "kernel_other", "cgroup", cg->kernel_other, UNKNOWN, path);
	}
}

static void
holders_find(struct snapshot *s)
{
	double begin = seconds_now();
	unsigned which = holder_files(s);
	unsigned saved = s->run->save == SAVE_NOTHING ? 0u : ~(unsigned)HOLDERS_DESCRIPTORS;

	s->search = (struct holder_search){ .which = which | saved, .procs = s->procs, .nprocs = s->n,
		.timeout = s->run->readers.wait_budget };
	holders_read(s->source, &s->machine, &s->system, &s->search, &s->holders);
	if (s->search.timed_out)
		wait_budget_spend(&s->run->readers, seconds_now() - begin);
	holders_filter(&s->holders, which);
	s->search.which = which;
	process_holders_find(s);
	cgroups_find(s);
	cgroup_holders_add(s);
	s->search.seconds = seconds_now() - begin;
}

/* Findings: is memory short, and why. */

struct finding {
	const char *name, *text, *holder, *next;
	int64_t size, pid;
	double pct;
	int rank;			/* lowest first, and of one rank the largest */
};

struct findings {
	struct finding list[32];
	size_t n;
};

/* Adds a finding of that size, or of none. */
static struct finding *
finding_add(struct findings *f, const struct snapshot *s, const char *name, int64_t size, const char *text,
    const char *next)
{
	struct finding *one = &f->list[f->n];

	f->n += f->n + 1 < sizeof f->list / sizeof *f->list;
	*one = (struct finding){ .name = name, .text = text, .next = next, .size = size, .pid = UNKNOWN };
	one->pct = percent_of(size, s->machine.mem_total);
	one->rank = size == UNKNOWN ? 3 : 2;
	return one;
}

static void
finding_set_holder(struct finding *f, const struct holder *h)
{
	if (!h)
		return;
	f->holder = h->name;
	f->pid = h->pid;
}

/* The process that has most of a number, or NULL. */
static struct proc *
top_process(const struct snapshot *s, size_t offset)
{
	struct proc *top = NULL;

	for (size_t i = 0; i < s->n; i++) {
		struct proc *p = &s->procs[i];
		int64_t n = number_at(p, offset);

		if (is_row(p) && n > 0 && (!top || n > number_at(top, offset)))
			top = p;
	}
	return top;
}

static void
finding_set_process(struct finding *f, struct snapshot *s, struct proc *p)
{
	if (!p)
		return;
	if (!(p->got & COMM))
		late_read(s, &p, 1, COMM);
	f->holder = p->name;
	f->pid = p->pid;
}

/* The group nearest to its limit, and while memory is short, the largest one. */
static void
findings_add_cgroups(struct findings *f, const struct snapshot *s, bool is_short)
{
	const struct group_row *full = NULL, *large = NULL;
	struct cgroup_figures figures;
	struct finding *one;

	for (size_t i = 0; i < s->ncgroups; i++) {
		const struct group_row *g = &s->groups[i];
		bool is_root = strcmp(g->sum.cgroup, "/") == 0;

		if (g->cg.pct > 90 * 1000000 && (!full || g->cg.pct > full->cg.pct))
			full = g;
		if (!is_root && g->cg.usage > 0 && (!large || g->cg.usage > large->cg.usage))
			large = g;
	}
	if (full) {
		cgroup_read(s->cgroup_files, full->sum.cgroup, CG_USAGE, &figures);	/* undivided */
		one = finding_add(f, s, "cgroup_limit", figures.usage, "a control group is near its limit",
		    "memz --by cgroup -c cgroup,cg_usage,cg_limit,cg_pct");
		one->pct = (double)full->cg.pct / 1e6;
		one->holder = full->sum.cgroup;
	}
	if (is_short && large && percent_of(large->cg.usage, s->machine.mem_total) > 25) {
		one = finding_add(f, s, "cgroup", large->cg.usage, "one control group uses much of the memory",
		    "memz --by cgroup");
		one->holder = large->sum.cgroup;
	}
}

/* Memory is short, or soon will be. */
static void
findings_add_short(struct findings *f, struct snapshot *s)
{
	const struct machine *m = &s->machine;
	double available = percent_of(m->mem_available, m->mem_total), full = s->system.psi[4];
	double swap = percent_of(m->swap_used, m->swap_total);
	struct proc *p = top_process(s, offsetof(struct proc, pss));
	bool is_short = available < 10 || full > 5;
	struct finding *one;

	if (available < 10) {
		one = finding_add(f, s, "short", m->mem_available, "memory is short, available", "memz -n 10");
		one->rank = 0;
		finding_set_process(one, s, p);
	}
	if (full > 5) {
		one = finding_add(f, s, "pressure", UNKNOWN, "processes wait for memory (PSI full avg60)",
		    "memz -n 10 -s majflt_rate -i 5");
		one->pct = full;
		one->rank = 1;
	}
	if (swap > 80) {
		one = finding_add(f, s, "swap", m->swap_used, "swap is nearly full, used",
		    "memz -s swap -n 10");
		one->pct = swap;
		finding_set_process(one, s, top_process(s, offsetof(struct proc, swap)));
	}
	if (is_short && p && percent_of(p->pss, m->mem_total) > 25) {
		one = finding_add(f, s, "process", p->pss, "one process uses much of the memory",
		    kept_text("memz -m -p %lld", (long long)p->pid));
		finding_set_process(one, s, p);
	}
	findings_add_cgroups(f, s, is_short);
}

/* The size of what is free of the pools of huge pages. */
static int64_t
unused_huge_pages(const struct snapshot *s)
{
	for (size_t i = 0; i < s->holders.n; i++)
		if (strcmp(s->holders.list[i].kind, "pool") == 0)
			return s->holders.list[i].size;
	return UNKNOWN;
}

/* Areas, or parts of them, that are larger than they should be. */
static void
findings_add_areas(struct findings *f, struct snapshot *s)
{
	/* Where kernel_other is negative, a container sees the counters of its host's kernel. */
	bool is_host = area_find(s, "kernel_other")->total >= 0;
	const struct {
		const char *name, *area, *not_kind; /* its holder is one of the area, but none of that kind */
		int64_t size;
		double pct;
		const char *text, *next;
	} large[] = {
		{ "shmem", "shmem", "process",
		    s->counts.outcome[MEASURED] ? area_find(s, "shmem")->elsewhere : UNKNOWN, 5,
		    "shared memory in no process", "df -t tmpfs; ipcs -m" },
		{ "huge_pages_unused", "", "", unused_huge_pages(s), 5, "huge pages that nobody uses",
		    "sysctl vm.nr_hugepages" },
		{ "pinned_cache", "", "", pinned_cache(s), 5, "page cache that cannot be reclaimed",
		    "grep -E 'Unevictable|Mlocked' /proc/meminfo; findmnt -t ramfs" },
		{ "anon_unmapped", "anon_unmapped", "", area_find(s, "anon_unmapped")->total, 5,
		    "anonymous memory that no process maps (half-freed huge pages)",
		    "grep thp_ /proc/vmstat" },
		{ "slab_unreclaimable", "slab_unreclaimable", "", area_find(s, "slab_unreclaimable")->total,
		    10, "slab that cannot be reclaimed", "slabtop -o -s c" },
		{ "page_tables", "page_tables", "", area_find(s, "page_tables")->total, 2,
		    "page tables are large", "memz -s vm_pte -c +vm_pte" },
		{ "vmalloc", "vmalloc", "", area_find(s, "vmalloc")->total, 5, "vmalloc is large",
		    "sort -nk2 /proc/vmallocinfo" },
		{ "kernel_other", "kernel_other", "", area_find(s, "kernel_other")->total, 5,
		    "kernel memory that no counter explains", "memz -w -A" },
	};
	const size_t of_kernel = 4;		/* from this row on */

	for (size_t i = 0; i < sizeof large / sizeof *large && (is_host || i < of_kernel); i++) {
		struct finding *one;

		if (!(percent_of(large[i].size, s->machine.mem_total) > large[i].pct))
			continue;
		one = finding_add(f, s, large[i].name, large[i].size, large[i].text, large[i].next);
		finding_set_holder(one, holder_first(s, large[i].area, large[i].not_kind));
	}
}

/* Counters of which the first cannot exceed the second, and what is unknown where it does, as under lxcfs and
 * WSL. */
static const struct contradiction {
	const char *part, *whole, *unknown;
	bool system;			/* only the report of the whole machine has it */
} contradictions[] = {
	{ "mem_available", "mem_total", "mem_used", false },
	{ "swap_free", "swap_total", "swap_used", false },
	{ "shmem", "cached", "file_cache", true },
};
#define NCONTRADICTIONS (sizeof contradictions / sizeof *contradictions)

static bool
contradicts(const struct counters *c, const char *part, const char *whole)
{
	int64_t a = counter_get(c, part), b = counter_get(c, whole);

	return b != UNKNOWN && a > b;
}

static int
finding_compare(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->rank != y->rank)
		return (x->rank > y->rank) - (x->rank < y->rank);
	if (x->size != y->size)
		return (x->size < y->size) - (x->size > y->size);
	return strcmp(x->name, y->name);
}

/* Processes were killed for want of memory; the holder is the group that lost the most of them. */
static void
findings_add_kills(struct findings *f, const struct snapshot *s, int64_t kills)
{
	const char *text = kept_text("%lld process%s killed for want of memory since boot", (long long)kills,
	    plural((size_t)kills));
	struct finding *kill = finding_add(f, s, "oom_kills", UNKNOWN, text, "dmesg -T | grep -i oom");
	int64_t most = 0;

	for (size_t i = 0; i < s->ncgroups; i++) {
		if (s->groups[i].cg.oom_kills <= most)
			continue;
		most = s->groups[i].cg.oom_kills;
		kill->holder = s->groups[i].sum.cgroup;
		kill->next = "memz --by cgroup -A -c cgroup,cg_limit,cg_oom_kills -s cg_oom_kills";
	}
}

static void
findings_find(struct findings *f, struct snapshot *s)
{
	int64_t kills = counter_get(&s->system.vm, "oom_kill");

	f->n = 0;
	findings_add_short(f, s);
	findings_add_areas(f, s);
	if (kills > 0)
		findings_add_kills(f, s, kills);
	for (size_t i = 0; i < NCONTRADICTIONS; i++) {
		const struct contradiction *c = &contradictions[i];

		if (contradicts(&s->machine.memory, c->part, c->whole))
			finding_add(f, s, "contradiction", UNKNOWN,
			    kept_text("%s is above %s", c->part, c->whole),
			    "grep -E 'Mem|Swap|Cached|Shmem' /proc/meminfo");
	}
	qsort(f->list, f->n, sizeof *f->list, finding_compare);
}

/* Says which of the figures that were printed are unknown because others contradict each other. */
static void
contradictions_note(const struct snapshot *s)
{
	for (size_t i = 0; i < NCONTRADICTIONS; i++) {
		const struct contradiction *c = &contradictions[i];

		if ((opt.system || (opt.format == JSON_FORMAT && !c->system)) &&
		    contradicts(&s->machine.memory, c->part, c->whole))
			note("%s is above %s, so they contradict each other: %s is unknown", c->part,
			    c->whole, c->unknown);
	}
	for (size_t i = 0; i < s->system.nnodes && opt.system; i++) {
		const struct node *node = &s->system.nodes[i];

		if (counter_get(&node->memory, "mem_used") == UNKNOWN &&
		    contradicts(&node->memory, "mem_free", "mem_total"))
			note("node %d: mem_free is above mem_total, so they contradict each other: "
			    "used is unknown", node->id);
	}
	if (opt.system && kernel_other(s) != UNKNOWN && kernel_other(s) < 0)
		note("kernel_other is negative: the counters cover more memory than MemTotal "
		    "(in a container?)");
	if (s->search.denied && s->search.which & HOLDERS_DESCRIPTORS)
		note("%d process%s: open files not readable (needs root or CAP_SYS_PTRACE); "
		    "files without a name may be missing", s->search.denied, plural((size_t)s->search.denied));
	if (s->search.timed_out)
		note("a file system did not answer: some mounts and open files that hold shmem may be missing");
}

/* Sections */

static void
areas_add(struct metrics *m, const struct snapshot *before, const struct snapshot *s)
{
	m->section = "areas";
	for (size_t i = 0; i < NAREAS; i++) {
		const struct area *a = &s->areas[i];

		m->item = a->name;
		metric_add_text(m, "area", LABEL, a->name);
		metric_add_size(m, "total", a->total);
		if (opt.delta)
			metric_add_size(m, "delta", kib_sub(a->total, before->areas[i].total));
		metric_add_size(m, "reclaimable", a->reclaimable);
		metric_add_size(m, "processes", a->processes);
		metric_add_size(m, "unmeasured", a->unmeasured);
		metric_add_size(m, "elsewhere", a->elsewhere);
		metric_add_fraction(m, "pct", PERCENTAGE, percent_of(a->total, s->machine.mem_total));
	}
	m->item = NULL;
}

static void
holders_add(struct metrics *m, const struct snapshot *s)
{
	list_begin(m, "holders", s->holders.n);
	for (size_t i = 0; i < s->holders.n; i++) {
		const struct holder *h = &s->holders.list[i];

		m->item = kept_text("%s:%s", h->area, holder_name(h));
		metric_add_text(m, "area", LABEL, h->area);
		metric_add_text(m, "holder", LABEL, h->name);
		metric_add_text(m, "kind", LABEL, h->kind);
		metric_add_size(m, "size", h->size);
		if (opt.delta)
			metric_add_size(m, "delta", holder_change(h));
		metric_add(m, "pid", LABEL)->n = h->pid;
	}
	m->item = NULL;
}

static void
findings_add(struct metrics *m, const struct findings *f)
{
	list_begin(m, "findings", f->n);
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->list[i];

		m->item = one->name;
		if (strcmp(one->name, "contradiction") == 0)		/* there may be several */
			m->item = kept_text("%s:%s", one->name, one->text);
		metric_add_text(m, "finding", LABEL, one->name);
		metric_add_size(m, "size", one->size);
		metric_add_fraction(m, "pct", PERCENTAGE, one->pct);
		metric_add_text(m, "holder", WORD, one->holder);
		metric_add(m, "pid", LABEL)->n = one->pid;
		metric_add_text(m, "next", WORD, one->next);
	}
	m->item = NULL;
}

static void
sharing_add(struct metrics *m, const struct snapshot *s)
{
	struct group_row all;

	group_row_init(&all);
	for (size_t i = 0; i < s->n; i++)
		if (is_row(&s->procs[i]) && !s->procs[i].same_mm && s->procs[i].got & ROLLUP) {
			all.sum.rss = kib_add(all.sum.rss, s->procs[i].rss);
			all.sum.pss = kib_add(all.sum.pss, s->procs[i].pss);
			all.sum.shared = kib_add(all.sum.shared, s->procs[i].shared);
		}
	m->section = "sharing";
	metric_add_size(m, "rss", all.sum.rss);
	metric_add_size(m, "pss", all.sum.pss);
	metric_add_size(m, "shared", all.sum.shared);
	metric_add_fraction(m, "sharing_pct", PERCENTAGE,
	    percent_of(counter_sub(all.sum.rss, all.sum.pss), all.sum.rss));
}

static void
swap_add(struct metrics *m, const struct snapshot *s)
{
	m->section = "swap";
	metric_add_size(m, "total", s->machine.swap_total);
	metric_add_size(m, "used", s->machine.swap_used);
	metric_add_size(m, "cached", memory_of(s, "swap_cached"));
	metric_add_size(m, "zswap", memory_of(s, "zswap"));
	metric_add_size(m, "zswapped", memory_of(s, "zswapped"));
	metric_add_size(m, "zram", s->system.zram_used);
	metric_add_size(m, "zram_data", s->system.zram_data);
}

/* The level of memory pressure, by the share of the memory that is used; NULL: unknown. */
static const char *
level(double used_pct)
{
	if (isnan(used_pct))
		return NULL;
	if (used_pct < 60)
		return "low";
	if (used_pct < 80)
		return "medium";
	return used_pct < 95 ? "high" : "critical";
}

static void
pressure_add(struct metrics *m, const struct snapshot *s)
{
	double used = percent_of(s->machine.mem_used, s->machine.mem_total);

	m->section = "pressure";
	metric_add_text(m, "level", WORD, level(used));
	metric_add_fraction(m, "used_pct", PERCENTAGE, used);
	for (int i = 0; i < 6; i++)
		metric_add_fraction(m, psi_names[i] + strlen("psi_"), PRESSURE, s->system.psi[i]);
	metric_add_number(m, "oom_kills", counter_get(&s->system.vm, "oom_kill"));
}

static void
huge_pages_add(struct metrics *m, const struct snapshot *s)
{
	m->section = "huge_pages";
	metric_add_size(m, "size", memory_of(s, "hugepagesize"));
	metric_add_number(m, "total", memory_of(s, "huge_pages_total"));
	metric_add_number(m, "free", memory_of(s, "huge_pages_free"));
	metric_add_number(m, "reserved", memory_of(s, "huge_pages_rsvd"));
	metric_add_number(m, "surplus", memory_of(s, "huge_pages_surp"));
	metric_add_size(m, "hugetlb", huge_pages(s));
	metric_add_size(m, "thp_anon", memory_of(s, "anon_huge_pages"));
	metric_add_size(m, "thp_shmem", memory_of(s, "shmem_huge_pages"));
	metric_add_size(m, "thp_file", memory_of(s, "file_huge_pages"));
}

static void
nodes_add(struct metrics *m, const struct snapshot *s)
{
	list_begin(m, "nodes", s->system.nnodes);
	for (size_t i = 0; i < s->system.nnodes; i++) {
		const struct node *node = &s->system.nodes[i];
		int64_t total = counter_get(&node->memory, "mem_total");
		int64_t free = counter_get(&node->memory, "mem_free");
		int64_t used = counter_get(&node->memory, "mem_used");

		m->item = kept_text("node%d", node->id);
		metric_add(m, "node", LABEL)->n = node->id;
		metric_add_size(m, "total", total);
		metric_add_size(m, "free", free);
		metric_add_size(m, "used", used != UNKNOWN ? used : counter_sub(total, free));
		metric_add_size(m, "file", counter_get(&node->memory, "file_pages"));
		metric_add_size(m, "anon", counter_get(&node->memory, "anon_pages"));
		metric_add_size(m, "slab", counter_get(&node->memory, "slab"));
	}
	m->item = NULL;
}

/* The size of a transparent huge page. Hugepagesize is the default of hugetlb, which may be larger. */
static int64_t
thp_size(const struct snapshot *s)
{
	int64_t size = memory_of(s, "hugepagesize");

	if (s->system.thp_size != UNKNOWN)
		return s->system.thp_size;
	return s->source->page == 4096 && size > 2048 ? 2048 : size;
}

/* The size of a free block of 2^ORDER pages of so many bytes, times N. */
static int64_t
blocks_kib(int64_t n, int64_t page, int order)
{
	int64_t kib;

	if (n == UNKNOWN || __builtin_mul_overflow(page / 1024, (int64_t)1 << order, &kib) ||
	    __builtin_mul_overflow(n, kib, &kib))
		return UNKNOWN;
	return kib;
}

/* Free memory of each order, and how much of it lies in blocks too small for a transparent huge page. */
static void
fragmentation_add(struct metrics *m, const struct snapshot *s)
{
	int64_t huge = thp_size(s), page = s->source->page;
	const char *names[ORDERS_MAX];
	int most = 0;

	list_begin(m, "fragmentation", s->system.nzones);
	for (size_t i = 0; i < s->system.nzones; i++)
		most = s->system.zones[i].orders > most ? s->system.zones[i].orders : most;
	for (int j = 0; j < most; j++)
		names[j] = kept_text("order%d", j);
	for (size_t i = 0; i < s->system.nzones; i++) {
		const struct zone *z = &s->system.zones[i];
		int64_t free = 0, fit = 0, order[ORDERS_MAX];

		for (int j = 0; j < z->orders; j++) {
			order[j] = blocks_kib(z->blocks[j], page, j);
			free = free == UNKNOWN || order[j] == UNKNOWN ? UNKNOWN : kib_add(free, order[j]);
			if (huge != UNKNOWN && blocks_kib(1, page, j) >= huge)
				fit = kib_add(fit, order[j]);
		}
		m->item = kept_text("node%d_%s", z->node, z->name);
		metric_add(m, "node", LABEL)->n = z->node;
		metric_add_text(m, "zone", LABEL, z->name);
		metric_add_size(m, "free", free);
		for (int j = 0; j < most; j++)
			metric_add_size(m, names[j], j < z->orders ? order[j] : UNKNOWN);
		metric_add_fraction(m, "unusable_pct", PERCENTAGE,
		    huge == UNKNOWN ? NAN : percent_of(counter_sub(free, fit), free));
	}
	m->item = NULL;
}

/* Adds the counters of vmstat whose names begin with START: 3.4 to 4.7 have one for each zone, such as
 * pgsteal_kswapd_normal. False: one of them is unknown. */
static bool
vm_add(const struct snapshot *s, const char *start, int64_t *sum)
{
	for (size_t i = 0; i < s->system.vm.n; i++) {
		const struct counter *c = &s->system.vm.list[i];

		if (strncmp(c->name, start, strlen(start)) != 0)
			continue;
		if (c->value == UNKNOWN)
			return false;
		*sum = kib_add(*sum, c->value);
	}
	return true;
}

/* Pages reclaimed since boot. pgsteal_anon and pgsteal_file (5.8) have reclaim at limits of control groups,
 * too; the counters by reclaimer leave it out. Before 3.4 there is a counter for each zone only. */
static int64_t
reclaimed(const struct snapshot *s)
{
	static const char *const names[][5] = {
		{ "pgsteal_anon", "pgsteal_file" },
		{ "pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgsteal_proactive" },
		{ "pgsteal_dma", "pgsteal_normal", "pgsteal_high", "pgsteal_movable" },		/* dma32 begins like dma */
	};
	int64_t sum = UNKNOWN;

	for (size_t i = 0; i < sizeof names / sizeof *names && sum == UNKNOWN; i++)
		for (size_t j = 0; names[i][j]; j++)
			if (!vm_add(s, names[i][j], &sum))
				return UNKNOWN;
	return sum;
}

/* Per second between the snapshots. A counter since boot that has fallen is of another boot: unknown. */
static void
rates_add(struct metrics *m, const struct snapshot *before, const struct snapshot *now)
{
	static const struct { const char *name, *key; } rates[] = {
		{ "faults", "pgfault" }, { "major_faults", "pgmajfault" }, { "swap_ins", "pswpin" }, { "swap_outs", "pswpout" },
		{ "reclaimed", NULL }, { "oom_kills", "oom_kill" },
	};

	m->section = "rates";
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		int64_t n;

		if (rates[i].key)
			n = counter_sub(counter_get(&now->system.vm, rates[i].key),
			    counter_get(&before->system.vm, rates[i].key));
		else
			n = counter_sub(reclaimed(now), reclaimed(before));
		if (now->run->boots_differ)
			n = UNKNOWN;
		metric_add_fraction(m, rates[i].name, PER_SECOND,
		    n == UNKNOWN ? NAN : (double)n / opt.interval);
	}
}

/* The text of -w: what matters, on one screen. */

#define FINDINGS_SHOWN	3
#define CHANGES_SHOWN	3
#define CHANGE_MIN	1024		/* KiB */

static void
line_add(struct metrics *m, const char *text)
{
	m->section = "";
	metric_add_text(m, "", LINE, text);
}

/* 23.5G total, 21.4G available (91 %), 2.1G used; swap 116.0M of 128.0M used */
static const char *
sum_label(const struct snapshot *s)
{
	const struct machine *m = &s->machine;
	double pct = percent_of(m->mem_available, m->mem_total);
	const char *text = "memory unknown";

	if (m->mem_total != UNKNOWN)
		text = kept_text("%s total", kib_label(m->mem_total, false));
	if (m->mem_available != UNKNOWN && m->mem_used == UNKNOWN)	/* they contradict each other */
		text = kept_text("%s, %s available", text, kib_label(m->mem_available, false));
	else if (m->mem_available != UNKNOWN)
		text = kept_text("%s, %s available (%.0f %%)", text, kib_label(m->mem_available, false), pct);
	else if (memory_of(s, "mem_free") != UNKNOWN)
		text = kept_text("%s, %s free", text, kib_label(memory_of(s, "mem_free"), false));
	if (m->mem_used != UNKNOWN)
		text = kept_text("%s, %s used", text, kib_label(m->mem_used, false));
	if (m->swap_total == 0 && m->swap_used == 0)
		text = kept_text("%s; no swap", text);
	else if (m->swap_used != UNKNOWN)
		text = kept_text("%s; swap %s of %s used", text, kib_label(m->swap_used, false),
		    kib_label(m->swap_total, false));
	return text;
}

static const char *
finding_label(const struct finding *f)
{
	const char *text = f->text;

	if (f->size != UNKNOWN)
		text = kept_text("%s: %s (%.1f %%)", text, kib_label(f->size, false), f->pct);
	else if (!isnan(f->pct))
		text = kept_text("%s: %.1f %%", text, f->pct);
	if (f->holder)
		text = kept_text("%s; %s", text, f->holder);
	if (f->holder && f->pid != UNKNOWN)
		text = kept_text("%s (%lld)", text, (long long)f->pid);
	return kept_text("! %s; see: %s", text, f->next);
}

static int64_t
area_change(const struct snapshot *before, const struct snapshot *s, size_t i)
{
	return kib_sub(s->areas[i].total, before->areas[i].total);
}

/* slab_unreclaimable +9.1G: kmalloc-64 +8.9G */
static const char *
change_label(const struct snapshot *before, const struct snapshot *s, size_t i)
{
	const struct holder *most = NULL;
	int64_t change = area_change(before, s, i);
	const char *text = kept_text("%s %s", s->areas[i].name, kib_label(change, true));

	for (size_t j = 0; j < s->holders.n; j++) {
		const struct holder *h = &s->holders.list[j];
		int64_t by = holder_change(h);
		bool same_way = by != UNKNOWN && (by > 0) == (change > 0);

		if (same_way && strcmp(h->area, s->areas[i].name) == 0 &&
		    magnitude(by) > magnitude(change) / 10 &&
		    (!most || magnitude(by) > magnitude(holder_change(most))))
			most = h;
	}
	return !most ? text : kept_text("%s: %s %s", text, holder_name(most), kib_label(holder_change(most), true));
}

/* The areas that have changed most. Free memory is left out: it changes because the others do. */
static void
changes_add(struct metrics *m, const struct snapshot *before, const struct snapshot *s)
{
	bool done[NAREAS] = { false };

	for (int lines = 0; lines < CHANGES_SHOWN; lines++) {
		int64_t most = CHANGE_MIN - 1;
		size_t which = NAREAS;

		for (size_t i = 0; i < NAREAS; i++) {
			int64_t by = area_change(before, s, i);

			if (!done[i] && magnitude(by) > most && strncmp(s->areas[i].name, "free", 4) != 0) {
				most = magnitude(by);
				which = i;
			}
		}
		if (which == NAREAS)
			return;
		done[which] = true;
		line_add(m, change_label(before, s, which));
	}
}

static int
area_compare(const void *a, const void *b)
{
	const struct area *x = *(const struct area *const *)a, *y = *(const struct area *const *)b;

	return x->total != y->total ? number_compare(y->total, x->total) : strcmp(x->name, y->name);
}

static void
area_row_add(struct metrics *m, const struct snapshot *s, const char *name, int64_t total, int64_t change,
    int64_t processes, const char *holder)
{
	m->item = name;
	metric_add_text(m, "area", LABEL, name);
	metric_add_size(m, "total", total);
	if (opt.delta)
		metric_add_size(m, "delta", change);
	metric_add_size(m, "processes", processes);
	metric_add_fraction(m, "pct", PERCENTAGE, percent_of(total, s->machine.mem_total));
	metric_add_text(m, "holder", WORD, holder ? holder : "");
	m->item = NULL;
}

/* The first holder of an area: the largest, or with two snapshots the one that has changed most. */
static const struct holder *
holder_shown(const struct snapshot *s, const char *area)
{
	for (size_t i = 0; i < s->holders.n; i++)
		if (strcmp(s->holders.list[i].area, area) == 0)
			return &s->holders.list[i];
	return NULL;
}

/* java (1433) 2.0G; of what another area contains, too: TCP buffers 1.0G (overlaps slab) */
static const char *
holder_label(const struct holder *h)
{
	bool is_change = opt.delta && holder_change(h) != UNKNOWN;
	const char *text = kept_text("%s %s", holder_name(h),
	    is_change ? kib_label(holder_change(h), true) : kib_label(h->size, false));

	if (strcmp(h->kind, "sockets") == 0 || strcmp(h->kind, "zfs") == 0 ||
	    strcmp(h->kind, "allocation") == 0)
		return kept_text("%s (overlaps slab)", text);
	return strcmp(h->kind, "pinned") == 0 ? kept_text("%s (overlaps anonymous)", text) : text;
}

/* The areas by size; those below 0.1 % are one row. */
static void
area_rows_add(struct metrics *m, const struct snapshot *before, const struct snapshot *s)
{
	const struct area *sorted[NAREAS];
	const char *names = NULL;
	int64_t rest = UNKNOWN, rest_change = UNKNOWN;

	for (size_t i = 0; i < NAREAS; i++)
		sorted[i] = &s->areas[i];
	qsort(sorted, NAREAS, sizeof *sorted, area_compare);
	m->section = "areas";
	for (size_t i = 0; i < NAREAS; i++) {
		const struct area *a = sorted[i];
		int64_t change = area_change(before, s, (size_t)(a - s->areas));
		const struct holder *h = holder_shown(s, a->name);
		double pct = fabs(percent_of(a->total, s->machine.mem_total));

		if (a->total == UNKNOWN || (a->total == 0 && (change == 0 || change == UNKNOWN)))
			continue;
		if (pct < 0.1 && !(change >= CHANGE_MIN || (change <= -CHANGE_MIN && change != UNKNOWN))) {
			rest = kib_add(rest, a->total);
			rest_change = kib_add(rest_change, change);
			names = names ? kept_text("%s, %s", names, a->name) : a->name;
			continue;
		}
		area_row_add(m, s, a->name, a->total, change, a->processes, h ? holder_label(h) : NULL);
	}
	if (names)
		area_row_add(m, s, "others", rest, rest_change, UNKNOWN, names);
}

static void
summary_add(struct metrics *m, const struct snapshot *before, struct snapshot *s, const struct findings *f)
{
	const char *sum = sum_label(s);

	line_add(m, isnan(s->system.psi[0]) ? sum : kept_text("%s; pressure %.1f %%", sum, s->system.psi[0]));
	for (size_t i = 0; i < f->n && i < FINDINGS_SHOWN; i++)
		line_add(m, finding_label(&f->list[i]));
	if (f->n == 0 && s->machine.mem_available == UNKNOWN)
		line_add(m, "It is not known whether memory is short.");
	else if (f->n == 0)
		line_add(m, "Memory is not short.");
	else if (f->n > FINDINGS_SHOWN)
		line_add(m, kept_text("and %zu more: memz -w --json", f->n - FINDINGS_SHOWN));
	if (opt.delta) {
		changes_add(m, before, s);
		rates_add(m, before, s);
	}
}

/* All that --all shows, and all that CSV and JSON have. */
static void
sections_add(struct metrics *m, const struct snapshot *before, const struct snapshot *s,
    const struct findings *f)
{
	areas_add(m, before, s);
	holders_add(m, s);
	if (opt.format != TEXT_FORMAT)
		findings_add(m, f);
	sharing_add(m, s);
	swap_add(m, s);
	pressure_add(m, s);
	huge_pages_add(m, s);
	nodes_add(m, s);
	fragmentation_add(m, s);
	if (opt.delta && opt.format != TEXT_FORMAT)
		rates_add(m, before, s);
}

static void
text_add(struct metrics *m, const struct snapshot *before, const struct snapshot *s)
{
	area_rows_add(m, before, s);
	if (s->machine.swap_total > 0 || s->system.zram_used > 0 || memory_of(s, "zswap") > 0)
		swap_add(m, s);
	if (huge_pages(s) > 0 || memory_of(s, "anon_huge_pages") > 0 || memory_of(s, "shmem_huge_pages") > 0)
		huge_pages_add(m, s);
	if (s->system.nnodes > 1)
		nodes_add(m, s);
}

/* Reads the machine and its processes. */
static void
state_read(struct snapshot *s)
{
	snapshot_read(s);
	mark_shared_mm(s, s->rows, rows_partition(s, s->nrows, is_row));
	areas_measure(s);
}

/* Gives each process its state in the first snapshot. */
static void
processes_match(const struct snapshot *before, struct snapshot *now)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct proc *prev = proc_find(before->procs, before->n, now->procs[i].pid);

		if (prev && prev->start == now->procs[i].start)
			now->procs[i].prev = prev;
	}
}

static void
holders_verbose(const struct snapshot *s)
{
	static const char *const names[] = { "tmpfs mounts, sysvipc/shm", "descriptors", "slabinfo",
		"vmallocinfo", "free_hugepages", "net/sockstat, arcstats, allocinfo" };
	const struct holder_search *search = &s->search;
	const char *text = NULL;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (search->which & 1u << i)
			text = text ? kept_text("%s, %s", text, names[i]) : names[i];
	fprintf(stderr, "memz: holders: %s; %zu descriptors, %zu control groups; seconds %.4f\n",
	    text ? text : "nothing read, as no area of theirs is large", search->links, s->ncgroups,
	    search->seconds);
}

/* Notes how much of the used memory lies outside processes, if that is most of it. Processes whose PSS was
 * not read count with their RSS, which is larger. */
static void
outside_note(struct snapshot *s)
{
	int64_t used = s->machine.mem_used, outside = used;

	for (size_t i = 0; i < s->n && outside != UNKNOWN; i++) {
		const struct proc *p = &s->procs[i];
		int64_t part = p->pss != UNKNOWN ? p->pss : p->rss;

		if (p->outcome != VANISHED && !p->same_mm && part != UNKNOWN)
			outside = kib_sub(outside, part);
	}
	if (outside != UNKNOWN && outside > used / 2 && percent_of(outside, s->machine.mem_total) > 5)
		note("%s of the %s of used memory is in no process: see memz -w", kib_label(outside, false),
		    kib_label(used, false));
}

static void
system_report(struct snapshot *first, struct snapshot *s, struct metrics *m)
{
	const struct snapshot *before = opt.delta ? first : s;
	struct findings findings;

	if (opt.delta) {
		state_read(first);
		holders_find(first);
		s->is_second = true;
		if (!opt.since)
			wait_until(first->began + opt.interval);
	}
	state_read(s);
	if (opt.delta) {
		interval_set(first, s);
		processes_match(first, s);
	}
	holders_find(s);
	counts_sum(s);
	findings_find(&findings, s);
	if (opt.delta)
		holders_match(first, s);
	holders_limit(&s->holders);
	if (opt.format == TEXT_FORMAT)
		summary_add(m, before, s, &findings);
	if (opt.format == TEXT_FORMAT && !opt.all_areas)
		text_add(m, before, s);
	else
		sections_add(m, before, s, &findings);
}

/* What the rows of the report are. */
static const char *
view_name(void)
{
	if (opt.system)
		return "system";
	if (opt.by)
		return "groups";
	return opt.mappings ? "mappings" : "processes";
}

static void
report_snapshot(struct snapshot *w, const struct metrics *metrics)
{
	int64_t most = 0;

	for (size_t i = 0; i < w->shown && bar_key(&opt); i++) {
		int64_t n = field_number(bar_key(&opt), w->rows[i]);

		most = absolute(n) > most ? absolute(n) : most;
	}
	report_print(&(struct report){
	    .view = view_name(),
	    .by = opt.by ? opt.by->name : NULL,
	    .fields = opt.fields,
	    .nfields = opt.nfields,
	    .keys = opt.keys,
	    .nkeys = opt.nkeys,
	    .rows = (const void *const *)w->rows,
	    .nrows = w->shown,
	    .selected = w->selected,
	    .machine = &w->machine,
	    .counts = &w->counts,
	    .totals = opt.totals ? &w->total : NULL,
	    .metrics = metrics->list,
	    .nmetrics = metrics->n,
	    .interval = opt.interval,
	    .unit = opt.unit,
	    .header = !opt.no_header,
	    .rows_in_text = opt.limit > 0,
	    .bar = bar_key(&opt),
	    .bar_most = most,
	    .bold = !is_plain(),
	    .width = terminal_width(),
	});
}

/* ---- 31. Alerts ---- */

/* The figures of the machine in any kernel: an alert on one that this kernel lacks is no wrong usage. */
static const char figure_names[] =
	"mem_total mem_free mem_available mem_used buffers cached swap_cached active inactive "
	"active_anon inactive_anon active_file inactive_file unevictable mlocked high_total high_free "
	"low_total low_free mmap_copy swap_total swap_free swap_used zswap zswapped dirty writeback "
	"anon_pages mapped shmem kreclaimable slab sreclaimable sunreclaim kernel_stack "
	"shadow_call_stack page_tables sec_page_tables nfs_unstable bounce writeback_tmp commit_limit "
	"committed_as vmalloc_total vmalloc_used vmalloc_chunk percpu early_memtest_bad "
	"hardware_corrupted anon_huge_pages shmem_huge_pages shmem_pmd_mapped file_huge_pages "
	"file_pmd_mapped cma_total cma_free unaccepted balloon gpu_active gpu_reclaim "
	"huge_pages_total huge_pages_free huge_pages_rsvd huge_pages_surp hugepagesize hugetlb "
	"direct_map4k direct_map2m direct_map4m direct_map1g oom_kill anon_unmapped file_cache "
	"slab_reclaimable slab_unreclaimable kernel_stacks per_cpu vmalloc huge_pages gpu zram free "
	"free_pcp kernel_other psi_some_avg10 psi_some_avg60 psi_some_avg300 psi_full_avg10 "
	"psi_full_avg60 psi_full_avg300";

static bool
is_psi(const char *name)
{
	return strncmp(name, "psi_", 4) == 0;
}

/* The counter of /proc/meminfo of that name, or NULL. */
static const struct counter *
memory_counter(const struct machine *m, const char *name)
{
	for (size_t i = 0; i < m->memory.n; i++)
		if (strcmp(m->memory.list[i].name, name) == 0)
			return &m->memory.list[i];
	return NULL;
}

static bool
is_figure(const char *name, const struct machine *m)
{
	return memory_counter(m, name) || is_area(name) || list_has(figure_names, name, strlen(name));
}

static enum kind
figure_kind(const char *name, const struct machine *m)
{
	const struct counter *c = memory_counter(m, name);

	if (is_psi(name))
		return MILLIONTHS;
	if (c && !c->kib)
		return COUNT;
	if (!c && (strncmp(name, "huge_pages_", 11) == 0 || strcmp(name, "oom_kill") == 0))
		return COUNT;
	return strncmp(name, "swap_", 5) == 0 ? SWAP_KIB : KIB;
}

static struct alert *
alert_add(const char *text)
{
	opt.alerts = xrealloc(opt.alerts, opt.nalerts + 1, sizeof *opt.alerts);
	opt.alerts[opt.nalerts] = (struct alert){ .text = text };
	return &opt.alerts[opt.nalerts++];
}

/* Adds an alert on a figure. A row with the figure as its pss will be compared and printed like any other. */
static void
figure_alert_add(const char *text, const char *name, const struct field *field, const struct machine *m)
{
	struct alert *a = alert_add(text);
	struct column *c = xrealloc(NULL, 1, sizeof *c);

	if (field->how != VALUE && is_psi(name))
		fail(2, "--alert '%s': %s is an average over time already; it has no _delta and _rate",
		    text, name);
	*c = (struct column){ .name = name, .offset = offsetof(struct proc, pss) };
	c->kind = figure_kind(name, m);
	a->figure = name;
	condition_parse(&a->condition, text, c);
	a->condition.field.how = field->how;
	opt.alerts_need_system |= is_psi(name) || is_area(name) || strcmp(name, "oom_kill") == 0;
}

static void
row_alert_add(const char *text)
{
	struct alert *a = alert_add(text);

	condition_parse(&a->condition, text, NULL);
	if (opt.system)
		fail(2, "--alert '%s': %s is a column of rows, and --system has no rows",
		    text, a->condition.field.column->name);
	fields_check(&opt, &a->condition.field, 1, opt.by);
}

/* Adds an alert on rows or on a figure of the machine; both if a column and a figure have that name. */
static void
alert_parse(const char *text, const struct machine *m)
{
	static const size_t suffix_len[] = { [VALUE] = 0, [DELTA] = 6, [RATE] = 5 };
	const char *word = text + strspn(text, " \t");
	size_t len = strcspn(word, " \t=!<>~");
	struct field field;
	bool is_column = field_by_name(word, len, &field), has_figure;
	char buf[64];
	const char *name = kept_text("%s", lower_case(buf, word, len - suffix_len[field.how]));

	has_figure = is_figure(name, m);
	if (is_column && !opt.system)
		has_figure = has_figure && !is_area(name);	/* -m has a column called anonymous */
	if (!is_column && !has_figure && field.how == VALUE && len > 0)
		unknown_column(word, len, figure_names);
	if (has_figure)
		figure_alert_add(text, name, &field, m);
	if (!has_figure || (is_column && !opt.system))
		row_alert_add(text);
	if (has_figure && is_column && !opt.system)
		opt.alerts[opt.nalerts - 1].is_both = opt.alerts[opt.nalerts - 2].is_both = true;
}

static void
alerts_parse(const struct source *source)
{
	static struct machine m;		/* its counters are not freed */

	if (opt.alert_texts.n > 0 && machine_read(source, &m) < 0)
		fail(1, "out of memory");
	for (size_t i = 0; i < opt.alert_texts.n; i++)
		alert_parse(opt.alert_texts.list[i], &m);
	for (size_t i = 0; i < opt.nalerts; i++)
		bare_size_note(&opt.alerts[i].condition);
}

static int64_t
figure_value(const char *name, const struct snapshot *s)
{
	for (int i = 0; i < 6; i++)
		if (strcmp(name, psi_names[i]) == 0)
			return isnan(s->system.psi[i]) ? UNKNOWN : llround(1e6 * s->system.psi[i]);
	if (strcmp(name, "mem_used") == 0)
		return s->machine.mem_used;
	if (strcmp(name, "swap_used") == 0)
		return s->machine.swap_used;
	if (strcmp(name, "oom_kill") == 0)
		return counter_get(&s->system.vm, name);
	return is_area(name) ? area_total(s, name) : memory_of(s, name);
}

/* Prints an alert on a figure, whose value is the pss of ROW. WHOLE: what percentages are of. */
static void
figure_alert_print(const struct alert *a, const struct group_row *row, int64_t whole, const struct report *r)
{
	const struct field *field = &a->condition.field;
	double n = (double)field_number(field, row);
	char buf[64];

	if (field->column->kind == MILLIONTHS)		/* the kernel prints two decimals */
		message("alert: %s: %.2f", a->text, n / 1e6);
	else if (is_size(field->column->kind) && field->how == VALUE && whole > 0)
		message("alert: %s: %s (%.1f %%)", a->text, cell_text(r, field, row, buf),
		    100 * n / (double)whole);
	else
		message("alert: %s: %s", a->text, cell_text(r, field, row, buf));
}

/* True if the alert on a figure is true, which is printed. BEFORE: the first snapshot, or NULL. */
static bool
figure_alert_check(const struct alert *a, const struct snapshot *before, const struct snapshot *s,
    const struct report *r)
{
	const struct field *field = &a->condition.field;
	const struct machine *m = &s->machine;
	bool is_swap = field->column->kind == SWAP_KIB;
	int64_t whole = is_swap ? m->swap_total : m->mem_total;
	const char *total = is_swap ? "swap_total" : "mem_total";
	struct group_row row, prev;

	group_row_init(&row);
	group_row_init(&prev);
	row.sum.pss = figure_value(a->figure, s);
	if (before) {
		prev.sum.pss = figure_value(a->figure, before);
		row.sum.prev = &prev.sum;
	}
	if (isnan(field_value(field, &row, m, opt.interval)) || (a->condition.percent && whole == UNKNOWN)) {
		if (!a->is_both && row.sum.pss != UNKNOWN && field->how == RATE && !before)
			error("--alert '%s': one scan shows no rate: add -i SEC, or --since FILE", a->text);
		else if (!a->is_both)
			error("--alert '%s': this machine has no %s", a->text,
			    row.sum.pss == UNKNOWN || whole != UNKNOWN ? a->figure : total);
		return false;
	}
	if (!condition_holds(&a->condition, &row.sum, m))
		return false;
	figure_alert_print(a, &row, whole, r);
	return true;
}

/* What a row is called in an alert, in TEXT of SIZE bytes. */
static void
row_name(const struct snapshot *s, const struct proc *p, char *text, size_t size)
{
	const char *name = p->name ? p->name : p->command;

	if (opt.by)
		name = group_key(s, p);
	else if (opt.mappings)
		name = ((const struct group_row *)(const void *)p)->mapping;
	if (opt.by || opt.mappings)
		snprintf(text, size, "%s", name ? name : "-");
	else
		snprintf(text, size, "pid %lld%s%s", (long long)p->pid, name ? " " : "", name ? name : "");
}

static bool
rows_alert_check(const struct alert *a, const struct snapshot *s, const struct report *r)
{
	const struct field *field = &a->condition.field;
	bool is_words = is_text(field->column->kind);
	const struct proc *most = NULL;
	char name[256], buf[64];
	size_t n = 0;

	for (size_t i = 0; i < s->selected; i++) {
		const struct proc *p = s->rows[i];

		if (!condition_holds(&a->condition, p, &s->machine))
			continue;
		n++;
		if (!most || (!is_words && field_number(field, p) > field_number(field, most)))
			most = p;
	}
	if (n == 0)
		return false;
	row_name(s, most, name, sizeof name);
	message("alert: %s: %zu %s, the %s: %s (%s)", a->text, n, n == 1 ? "row" : "rows",
	    is_words ? "first" : "largest", cell_text(r, field, most, buf), name);
	return true;
}

/* Prints the alerts that are true. Returns whether one is. */
static bool
alerts_check(const struct snapshot *before, const struct snapshot *s)
{
	struct report r = { .machine = &s->machine, .interval = opt.interval, .unit = 'a' };
	bool was_true = false, any = false;

	if (opt.format == TEXT_FORMAT)
		r.unit = opt.unit;
	for (size_t i = 0; i < opt.nalerts; i++) {
		const struct alert *a = &opt.alerts[i];

		if (a->figure)
			was_true = figure_alert_check(a, before, s, &r);
		else if (!a->is_both || !was_true)	/* else a line was printed for that name */
			was_true = rows_alert_check(a, s, &r);
		any = any || was_true;
	}
	return any;
}

/* ---- 32. --list-columns ---- */

struct listing {
	const char *name, *type, *source, *help;
	int64_t offered;
	char files[40];		/* what source points to */
};

static const struct column listing_columns[] = {
	{ "name",    NULL, 0, TEXT, offsetof(struct listing, name),    0, NULL },
	{ "type",    NULL, 0, TEXT, offsetof(struct listing, type),    0, NULL },
	{ "source",  NULL, 0, TEXT, offsetof(struct listing, source),  0, NULL },
	{ "offered", NULL, 0, FLAG, offsetof(struct listing, offered), 0, NULL },
	{ "meaning", NULL, 0, TEXT, offsetof(struct listing, help),    0, NULL },
};
#define NLISTING (sizeof listing_columns / sizeof *listing_columns)

static const char *
type_name(enum kind kind)
{
	static const char *const names[] = {
		[TEXT] = "text", [TIME] = "time", [NODES] = "nodes", [FLAG] = "flag",
		[ID] = "number", [SCORE] = "number", [COUNT] = "number",
		[PEAK] = "size", [KIB] = "size", [SWAP_KIB] = "size",
		[PERCENT] = "percent", [SWAP_PERCENT] = "percent", [MILLIONTHS] = "percent",
		[BAR] = "percent",
	};

	return names[kind];
}

/* The files that column C comes from, or else what it is made of, in TEXT of SIZE bytes. */
static void
source_names(char *text, size_t size, const struct column *c)
{
	static const struct { unsigned source; const char *name; } no_files[] = {
		{ RSS, "smaps_rollup or statm" }, { OWNER, "owner of /proc/PID" }, { MACHINE, "the machine" },
		{ CHANGE, "both scans" }, { GROUP, "the group" }, { MEMCG, "memory controller" },
	};
	size_t n = 0;

	*text = '\0';
	if (c->kind == BAR)
		snprintf(text, size, "the sort key");
	for (size_t i = 0; i < sizeof no_files / sizeof *no_files && !*text; i++)
		if (c->source & no_files[i].source)
			snprintf(text, size, "%s", no_files[i].name);
	if (!*text)
		snprintf(text, size, "/proc");
	for (unsigned bit = 1; bit; bit <<= 1)
		if (c->source & bit && source_file(bit) && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", source_file(bit));
}

/* True if the memory controller has C for the control group of P. */
static bool
is_offered_by_cgroup(const struct source *s, const struct column *c, const struct proc *p)
{
	struct cgroups *groups = p->cgroup ? cgroups_open(s) : NULL;
	struct group_row row;

	if (!groups)
		return false;
	group_row_init(&row);
	cgroup_read(groups, p->cgroup, c->source | CG_USAGE, &row.cg);
	cgroups_free(groups);
	if (c->source & (CG_LIMIT | CG_PCT))	/* there need not be a limit */
		return row.cg.usage != UNKNOWN;
	return row_number(c, &row) != UNKNOWN;
}

/* True if this kernel has what C needs. P is memz itself, with all its files read. */
static bool
is_offered(const struct source *s, const struct column *c, const struct proc *p)
{
	if (c->source & MEMCG)
		return is_offered_by_cgroup(s, c, p);
	for (unsigned bit = 1; bit; bit <<= 1)
		if (c->source & bit & ~p->got && (source_file(bit) || bit == OWNER))
			return false;
	return is_text(c->kind) || c->source & SRC_NOT_IN_PROC || row_number(c, p) != UNKNOWN;
}

__attribute__((noreturn)) static void
columns_list(void)
{
	static struct readers readers;
	static struct listing listing[FIELDS_MAX];
	const struct listing *rows[FIELDS_MAX];
	struct source *s = source_get(NULL);
	struct proc p = { .pid = source_self(s) }, *procs = &p;
	struct field fields[NLISTING];
	struct scan scan = {
		.readers = &readers,
		.from = s,
		.procs = &procs,
		.n = 1,
		.want = ~0u,
		.max_rss = UNKNOWN,
		.jobs = 1,
	};
	struct report r = {
		.view = "columns", .fields = fields, .nfields = NLISTING, .rows = (const void *const *)rows,
		.unit = 'K', .header = !opt.no_header, .rows_in_text = true, .width = terminal_width(),
	};

	if (scan_run(&scan) < 0)
		fail(1, "cannot read: %s", strerror(errno));
	for (size_t i = 0; i < NLISTING; i++)
		fields[i] = (struct field){ &listing_columns[i], VALUE, false };
	for (const struct column *c = columns; c->name; c++) {
		struct listing *l = &listing[r.nrows];

		*l = (struct listing){ c->name, type_name(c->kind), l->files, c->help, 0, "" };
		l->offered = is_offered(s, c, &p);
		source_names(l->files, sizeof l->files, c);
		rows[r.nrows++] = l;
	}
	report_print(&r);
	if (p.outcome != MEASURED)
		note("memz's own files could not be read: %s; the columns from them count as not offered",
		    p.error ? strerror(p.error) : "no answer");
	failures_note(s);
	quit(status);
}

/* ---- 33. main ---- */

/* Opens /dev/null for a standard descriptor that is closed, so that no file of /proc becomes one. */
static void
descriptors_guard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) != fd)
			_exit(1);
}

static const char *
save_why(int error)
{
	return error == EEXIST ? "already exists; not overwritten" : strerror(error);
}

/* Ends --save, with the caller's own privileges: S is the snapshot that was saved. */
static void
archive_finish(const struct snapshot *s)
{
	for (size_t i = 0; i < opt.nuids; i++)
		user_name(s->source, opt.uids[i]);	/* saved as well, so that -U is understood later */
	privileges_set(false);
	if (save_finish(s->source, &s->machine, s->procs, s->n) < 0)
		error("--save: %s: %s", opt.save, save_why(errno));
}

/* Opens what is read, and looks up what the options name in it. */
static void
run_start(struct run *run)
{
	struct source *source = source_get(opt.source);

	run->readers.timeout = run->readers.wait_budget = opt.timeout;
	run->first.run = run->last.run = run;
	privileges_set(source->here);
	alerts_parse(source);
	users_resolve(&opt, source);
	privileges_set(false);
	if (opt.save && save_start(opt.save) < 0)
		fail(1, "--save: %s: %s", opt.save, save_why(errno));
	run->first.source = opt.since ? source_get(opt.since) : source;
	run->last.source = source;
	run->self_before = opt.since ? source_self(run->first.source) : 0;
	self_find(&run->last);
	run->plan = plan_compute(source);
}

/* Reads /proc, once or twice. Returns the snapshot whose rows are printed. */
static struct snapshot *
run_scans(struct run *run)
{
	if (opt.system) {
		system_report(&run->first, &run->last, &run->metrics);
		return &run->last;
	}
	snapshot_read(&run->first);
	if (opt.delta)
		snapshot_second(&run->first, &run->last);
	rows_prepare(opt.delta ? &run->last : &run->first);
	return opt.delta ? &run->last : &run->first;
}

/* Prints the report, then alerts and notes. */
static void
run_print(struct run *run, struct snapshot *s)
{
	const struct snapshot *before = s == &run->first ? NULL : &run->first;

	privileges_set(s->source->here);
	report_snapshot(s, &run->metrics);
	pids_check(before, s);
	run->alerted = alerts_check(opt.delta ? &run->first : NULL, s);
	if (opt.source)
		damage_note(s->source, opt.source);
	if (opt.since)
		damage_note(run->first.source, opt.since);
	if (opt.fits_screen)
		note("%s", sum_label(s));
	notes_print(s);
	if (opt.fits_screen && s->counts.processes > s->shown)
		note("showing %zu of %zu processes; for all, use -t; for the whole machine, -w; "
		    "by service, --by unit", s->shown, s->counts.processes);
	if (opt.fits_screen)
		outside_note(s);
	if (opt.verbose)
		verbose_print(s);
	if (opt.verbose && opt.system)
		holders_verbose(s);
}

int
main(int argc, char **argv)
{
	static struct run run;		/* abandoned threads may outlive main */
	struct snapshot *s;

	descriptors_guard();
	privileges_drop();
	setlocale(LC_CTYPE, "");
	options_parse(&opt, argc, argv);
	if (opt.list)
		columns_list();
	if (argc == 1)
		screen_fit();
	run_start(&run);
	s = run_scans(&run);
	if (opt.save)
		archive_finish(s);
	run_print(&run, s);
	quit(run.alerted && !status ? 3 : status);
}
