/* memz: who uses the memory. Options, the read plan, deltas, filters, totals; main is the table of contents. */
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

#define JOBS_MAX	16
#define KEYS_MAX	16	/* sort keys */
#define CAP_SYS_PTRACE	19	/* linux/capability.h, which musl's compiler does not see */
#define CAP_PERFMON	38
#define CAP_VERSION	0x20080522
#define SAVED		(OWNER | CGROUP | STAT)	/* read of all that is saved: whose name and which limits to save, and who is a zombie */

enum op { EQ, NE, LT, LE, GT, GE, MATCH, NO_MATCH };

/* COLUMN OP VALUE */
struct condition {
	struct field field;
	unsigned sources;	/* what must be read to decide it */
	enum op op;
	bool percent;		/* value is % of mem_total, or of swap_total */
	double value;		/* KiB for sizes */
	const char *text;
	struct pattern *pattern;
};

static struct {
	struct field fields[PICKS_MAX];
	size_t nfields;
	struct field keys[KEYS_MAX];
	size_t nkeys;
	bool magnitude;		/* the first key by its size, whatever its sign */
	bool reverse;
	size_t limit;		/* SIZE_MAX: none */
	int *pids;
	size_t npids;		/* 0: all */
	char *users;		/* NULL: all; uids is what it says */
	int64_t *uids;
	size_t nuids;
	struct pattern *process, *mapping;	/* NULL: all */
	bool mappings, system;
	struct condition *conditions;
	size_t nconditions;
	const struct column *by;	/* NULL: no groups */
	bool all, totals, header, verbose, quiet, list;
	bool given[128];	/* options, by their values */
	bool delta;		/* walks: --interval or --since */
	double interval;	/* between them, NAN unknown */
	double timeout;
	const char *source, *since, *save;
	const char **alerts;	/* as they were given */
	size_t nalerts;
	enum format format;
	char unit;
	unsigned jobs;
	int64_t max_rss;	/* KiB, UNKNOWN: none */
} opt;

/* What is read of whom, when: three passes at most, see plan_compute. */
struct plan {
	unsigned first, main, has_detail;
	size_t bound;		/* offset of the number by which the first pass orders the processes */
	bool top;		/* stop when the first N cannot change any more */
};

/* One walk over /proc. */
struct snapshot {
	const struct source *source;
	int64_t began_ticks;	/* since boot */
	struct machine machine;
	struct proc *procs;	/* by pid */
	size_t n;
	struct proc **rows;	/* those that are left; the selected ones first, of them the first are shown */
	size_t nrows, selected, shown;
	struct proc *gone;		/* of the second walk: who was in the first only; this and the next three own rows */
	struct group_row *gone_mappings;
	struct group_row *groups;		/* or mappings: what the rows are, if not processes */
	size_t ngroups;
	struct group_row *made;		/* groups, by --by */
	struct group_row total;		/* over the selected */
	bool again;			/* the second one */
	struct counts counts;
	double began, seconds[3];	/* CLOCK_MONOTONIC; of each pass */
};

_Static_assert(sizeof(struct proc) + sizeof(struct proc *) <= 512, "what is kept of a process, its texts aside");

static int self, self_then;	/* memz's own pid in the source, and of another in that of --since */
static int *parents;		/* of it and of its parents, their pids; ended by 0 */
static int status;		/* to exit with */
static bool fits_screen;		/* asked for nothing in particular, on a terminal: shows what fits there */

/* Messages */

static void
message(const char *format, va_list args)
{
	char line[1024];
	int n = snprintf(line, sizeof line, "memz: ");

	vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
	text_tame(line);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;			/* then there is nobody to tell */
}

__attribute__((format(printf, 1, 2))) static void
note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!opt.quiet)
		message(format, args);
	va_end(args);
}

/* What is going on, on a terminal, in a line that does not stay. */

static bool progressing;

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

/* What is said with -q, too. */
__attribute__((format(printf, 1, 2))) static void
alert_message(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
}

/* A thread that waits in the kernel for ever would hold up all that exit does beyond ending. */
__attribute__((noreturn)) static void
quit(int with)
{
	if (has_abandoned_thread()) {
		save_drop();
		_exit(with);
	}
	exit(with);
}

/* An error after which there is a report all the same. */
__attribute__((format(printf, 1, 2))) static void
error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	status = 1;
}

__attribute__((format(printf, 2, 3), noreturn)) static void
fail(int with, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message(format, args);
	va_end(args);
	quit(with);
}

static void *
xrealloc(void *at, size_t n, size_t size)
{
	void *more = n > SIZE_MAX / size ? NULL : realloc(at, n * size + 1);

	if (!more)
		fail(1, "out of memory");
	return more;
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
			fail(1, "standard output: %s", n < 0 ? strerror(errno) : "nothing was taken");
		text += n;
		len -= (size_t)n;
	}
}

/* Without a word said about what to show, a terminal gets the largest processes, as many as fit on it. */
static void
screen_fit(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 8)
		return;
	opt.limit = size.ws_row - (size.ws_col < 80 ? 7u : 5u);	/* header, notes, the prompt before and after */
	fits_screen = true;
}

/* Rights */

static bool is_privileged;		/* by file capabilities, or set-user-id, the program may more than its caller */

struct caps {
	uint32_t effective, permitted, inheritable;
};

/* Of this thread and, by inheritance, of those it makes. -1 with errno. */
static int
caps_get(struct caps data[2])
{
	struct { uint32_t version; int pid; } header = { .version = CAP_VERSION };

	return (int)syscall(SYS_capget, &header, data);
}

static int
caps_set(struct caps data[2])
{
	struct { uint32_t version; int pid; } header = { .version = CAP_VERSION };

	return (int)syscall(SYS_capset, &header, data);
}

static bool
has_cap(unsigned capability)
{
	struct caps data[2];

	return caps_get(data) == 0 && data[capability / 32].effective & 1u << capability % 32;
}

/* What such a program may more serves for a /proc, and for no file that the caller has named. */
static void
privileges_raise(bool up)
{
	struct caps data[2];

	if (!is_privileged || caps_get(data) < 0)
		return;
	for (size_t i = 0; i < 2; i++)
		data[i].effective = up ? data[i].permitted : 0;
	if (caps_set(data) < 0)
		fail(1, "cannot change rights: %s", strerror(errno));
}

/* Such a program keeps what reads the /proc of others, and of the environment what is about terminals and language. */
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
	if (setresgid(getgid(), getgid(), getgid()) < 0 || setresuid(getuid(), getuid(), getuid()) < 0 || caps_get(data) < 0)
		fail(1, "cannot give up rights: %s", strerror(errno));
	is_privileged = getuid() != 0;
	for (size_t i = 0; i < 2; i++)
		data[i] = (struct caps){ 0, data[i].permitted & caps[i], 0 };
	if (is_privileged && caps_set(data) < 0)
		fail(1, "cannot give up rights: %s", strerror(errno));
}

/* How many letters must change to make A of B. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n > 62 || strlen(a) > 62)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]), up = row[j] + 1, left = row[j - 1] + 1;

			corner = row[j];
			row[j] = change < up ? change < left ? change : left : up < left ? up : left;
		}
	}
	return row[n];
}

/* A word that is none, and the name nearest to it so far. */
struct suggestion {
	const char *word;
	char best[64];
	size_t least;
};

static void
suggestion_try(struct suggestion *g, const char *name)
{
	size_t d = distance(g->word, name);

	if (d <= strlen(g->word) / 3 + 1 && d < strlen(name) && d < g->least) {
		g->least = d;
		snprintf(g->best, sizeof g->best, "%s", name);
	}
}

/* Words of other tools. */
static const char *
alias(const char *word)
{
	static const char *const habits[][2] = {
		{ "vss", "vsz" }, { "size", "vsz" }, { "sz", "vsz" }, { "virt", "vsz" }, { "res", "rss" }, { "shr", "shared" },
		{ "args", "command" }, { "cmd", "command" }, { "comm", "name" }, { "ucmd", "name" }, { "ucomm", "name" },
		{ "euser", "user" }, { "euid", "uid" }, { "%mem", "rss_pct" }, { "pmem", "rss_pct" }, { "mem", "pss" },
		{ "nlwp", "threads" }, { "thcount", "threads" }, { "stat", "state" }, { "s", "state" }, { "lstart", "start" },
		{ "stime", "start" }, { "min_flt", "minflt" }, { "maj_flt", "majflt" }, { "swappss", "swap_pss" },
		{ "rsz", "rss" }, { "m_resident", "rss" }, { "m_size", "vsz" }, { "m_share", "shared" }, { "percent_mem", "rss_pct" },
		{ "memory", "pss" }, { "etime", "start" }, { "process", "name" }, { "service", "unit" }, { "docker", "container" },
	};

	for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
		if (strcasecmp(word, habits[i][0]) == 0)
			return habits[i][1];
	return NULL;
}

/* MORE names it could have been, each with a blank before and behind. */
__attribute__((noreturn)) static void
unknown_column(const char *name, size_t len, const char *more)
{
	static const char *const suffixes[] = { "", "_delta", "_rate" };
	char word[64], whole[64];
	struct suggestion g = { .word = word, .least = SIZE_MAX };

	snprintf(word, sizeof word, "%.*s", (int)len, name);
	for (char *c = word; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	for (const struct column *c = columns; c->name; c++)
		for (size_t i = 0; i < (is_text(c->kind) ? 1 : 3); i++) {
			snprintf(whole, sizeof whole, "%s%s", c->name, suffixes[i]);
			suggestion_try(&g, whole);
		}
	for (size_t n; *(more += strspn(more, " ")); more += n) {
		n = strcspn(more, " ");
		snprintf(whole, sizeof whole, "%.*s", (int)n, more);
		suggestion_try(&g, whole);
	}
	if (alias(word) && g.least > 0)
		snprintf(g.best, sizeof g.best, "%s", alias(word));
	if (*g.best)
		fail(2, "unknown column '%.*s': did you mean '%s'? see --list-columns", (int)len, name, g.best);
	fail(2, "unknown column '%.*s': see --list-columns", (int)len, name);
}

/* Patterns: POSIX extended regular expressions, matched by libc */

struct pattern {
	regex_t regex;
};

#define PATTERN_SIZE_MAX	4096	/* bytes */
#define PATTERN_REPEAT_MAX	1000	/* product of nested {m,n} bounds */
#define PATTERN_ATOMS_MAX	20000	/* after all {m,n} are expanded, as regcomp does */

/* What a part of a pattern grows to when regcomp expands its bounds. */
struct growth {
	size_t repeat;		/* largest product of nested bounds */
	size_t atoms;
};

/* The upper bound of the {m,n} at *AT, which is moved to its closing brace. */
static size_t
bound_parse(const char **at)
{
	size_t bound = 0;

	for (++*at; **at && **at != '}'; ++*at) {
		if (isdigit((unsigned char)**at) && bound <= PATTERN_REPEAT_MAX)
			bound = 10 * bound + (size_t)(**at - '0');
		else if (**at == ',' && isdigit((unsigned char)(*at)[1]))
			bound = 0;
	}
	return bound > 1 ? bound : 1;
}

/* Moves *AT from the [ of a bracket expression to its ], if it has one. */
static void
bracket_skip(const char **at)
{
	const char *s = *at + 1;

	s += *s == '^';
	s += *s == ']';
	while (*s && *s != ']') {
		if (*s == '[' && s[1] && strchr(".:=", s[1])) {		/* [:alpha:], [.-.], [=a=] */
			const char close[] = { s[1], ']', '\0' }, *end = strstr(s + 2, close);

			if (!end)
				return;
			s = end + 1;
		}
		s++;
	}
	if (*s)
		*at = s;
}

static bool
is_quantifier(const char *s)
{
	return *s == '*' || *s == '+' || *s == '?' || (*s == '{' && (isdigit((unsigned char)s[1]) || s[1] == ','));
}

/* Adds up in G the alternatives at *AT, up to the end or an unmatched ). Returns what regcomp must not see, or NULL. */
static const char *
growth_measure(const char **at, struct growth *g)
{
	*g = (struct growth){ 1, 0 };
	for (; **at && **at != ')'; ++*at) {
		struct growth atom = { 1, 1 };
		const char *why = NULL;

		if (is_quantifier(*at))
			return "nothing to repeat before *, +, ? or {; any text is .*";
		if (**at == '\\' && isdigit((unsigned char)(*at)[1]))
			return "a back-reference (\\ and a digit) is not supported";
		if (**at == '[') {
			bracket_skip(at);
		} else if (**at == '\\' && (*at)[1]) {
			++*at;
		} else if (**at == '(') {
			++*at;
			why = growth_measure(at, &atom);
			if (!why && !**at)
				why = "unmatched (";
		}
		if (why)
			return why;
		if (is_quantifier(*at + 1)) {
			size_t bound = 1;

			if (*++*at == '{')
				bound = bound_parse(at);
			if (**at && is_quantifier(*at + 1))
				return "one quantifier after another";
			atom.repeat *= bound;
			atom.atoms *= bound;
			if (!**at)
				return "unmatched {";
		}
		g->repeat = g->repeat > atom.repeat ? g->repeat : atom.repeat;
		g->atoms += atom.atoms;
		if (g->repeat > PATTERN_REPEAT_MAX || g->atoms > PATTERN_ATOMS_MAX)
			return "too large: nested {m,n} multiply to more than 1000";
	}
	return NULL;
}

/* What is wrong with TEXT as a pattern, before regcomp sees it; NULL: nothing. Some patterns cost regcomp gigabytes. */
static const char *
pattern_refuse(const char *text)
{
	struct growth g;
	const char *why;

	if (strlen(text) > PATTERN_SIZE_MAX)
		return "longer than 4096 bytes";
	if ((why = growth_measure(&text, &g)))
		return why;
	return *text == ')' ? "unmatched )" : NULL;
}

/*
 * The pattern is compiled as ^.*(TEXT): regexec then runs over the subject once. Unanchored it starts at each character,
 * which takes quadratic time: \w+\s\w+ over a word of 20 KB took 4 s.
 */
struct pattern *
pattern_parse(const char *text, const char **why)
{
	static char error[128];
	struct pattern *p;
	char *whole;
	int code;

	if ((*why = pattern_refuse(text)))
		return NULL;
	p = malloc(sizeof *p);
	if (!p || asprintf(&whole, "^.*(%s)", text) < 0) {
		free(p);
		*why = strerror(ENOMEM);
		return NULL;
	}
	code = regcomp(&p->regex, *text ? whole : "", REG_EXTENDED | REG_NOSUB);
	free(whole);
	if (code == 0)
		return p;
	regerror(code, NULL, error, sizeof error);
	free(p);
	*why = error;
	return NULL;
}

/* TEXT with ? for each invalid byte, which no pattern matches in a UTF-8 locale; NULL: there is none, or no memory. */
static char *
text_make_valid(const char *text)
{
	size_t i = 0, n = 0;
	uint32_t c;
	char *valid;

	for (; text[i] && (n = utf8(text + i, &c)) > 0; i += n)
		;
	valid = text[i] ? strdup(text) : NULL;
	for (; valid && valid[i]; i += n ? n : 1)
		if ((n = utf8(valid + i, &c)) == 0)
			valid[i] = '?';
	return valid;
}

bool
pattern_matches(const struct pattern *p, const char *text)
{
	char *valid = MB_CUR_MAX > 1 ? text_make_valid(text) : NULL;
	bool matches = regexec(&p->regex, valid ? valid : text, 0, NULL, 0) == 0;

	free(valid);
	return matches;
}

/* Options */

static struct field
field_parse(const char *name, size_t len)
{
	struct field field;

	if (!field_by_name(name, len, &field)) {
		if (field.how != VALUE && field_by_name(name, len - (field.how == DELTA ? 6 : 5), &field))
			fail(2, "column '%.*s': only numbers have _delta and _rate", (int)len, name);
		unknown_column(name, len, "");
	}
	return field;
}

/* The same for one that is sorted or selected by. */
static struct field
field_parse_sortable(const char *name, size_t len)
{
	struct field field = field_parse(name, len);

	if (field.column->kind == BAR)
		fail(2, "column 'bar' is drawn from the first sort key: it can be shown, no more");
	return field;
}

static bool
field_equal(const struct field *a, const struct field *b)
{
	return a->column == b->column && a->how == b->how;
}

static void
fields_remove(struct field field)
{
	size_t n = 0;

	for (size_t i = 0; i < opt.nfields; i++)
		if (!field_equal(&opt.fields[i], &field))
			opt.fields[n++] = opt.fields[i];
	opt.nfields = n;
}

static void
fields_add(struct field field)
{
	for (size_t i = 0; i < opt.nfields; i++)
		if (field_equal(&opt.fields[i], &field))
			return;
	if (opt.nfields < PICKS_MAX)
		opt.fields[opt.nfields++] = field;
}

/* Every column that needs no file beyond statm, stat, status, smaps_rollup, cmdline, cgroup (and comm). */
static void
fields_add_all(void)
{
	const unsigned more = EXE | MAPS | NUMA_MAPS | ANCESTRY | OOM_SCORE | OOM_ADJ | GROUP | MEMCG | SMAPS;
	const unsigned of_mappings = SMAPS | ROLLUP | RSS;

	for (const struct column *c = columns; c->name; c++)
		if ((opt.mappings ? c->source & of_mappings : !(c->source & more)) && (opt.delta || strcmp(c->name, "change") != 0) && c->kind != BAR)
			fields_add((struct field){ c, VALUE, false });
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

/* What a report shows that is not told what to. */
static void
default_columns(char *list, size_t size)
{
	bool delta = opt.delta;

	if (opt.mappings && !opt.by)
		snprintf(list, size, "mapping kind procs pss %s", delta ? "pss_delta rss_delta swap_delta change" : "rss swap");
	else if (opt.by)
		snprintf(list, size, "%s count pss %s%s", opt.by->name, delta ? "pss_delta rss_delta swap_pss_delta" : "uss swap_pss",
		    strcmp(opt.by->name, "cgroup") == 0 ? " cg_usage cg_limit" : "");
	else
		snprintf(list, size, "pid user %s command", delta ? "pss pss_delta rss_delta swap_delta change" : "pss uss rss swap");
}

static void
fields_parse(const char *list, bool defaults)
{
	const char *at = list, *word;
	size_t len;
	bool any = false;

	while (list_next(&at, &word, &len)) {
		char sign = *word == '+' || *word == '-' ? *word : 0;

		if (sign)
			word++, len--;
		if (!any && !sign)
			opt.nfields = 0;
		any = true;
		if (len == 3 && memcmp(word, "all", 3) == 0 && sign != '-')
			fields_add_all();
		else if (sign == '-')
			fields_remove(field_parse(word, len));
		else
			fields_add(field_parse(word, len));
	}
	if (!any || opt.nfields == 0)
		fail(2, "--columns: %s: see --list-columns", defaults ? "nothing is left of the list" : "empty list");
}

static void
keys_parse(const char *list)
{
	const char *at = list, *word;
	size_t len;

	opt.nkeys = 0;
	opt.magnitude = false;
	while (list_next(&at, &word, &len)) {
		char sign = *word == '+' || *word == '-' ? *word : 0;
		struct field field = field_parse_sortable(word + !!sign, len - !!sign);

		field.up = sign ? sign == '+' : is_text(field.column->kind) || field.column->kind == ID;
		if (opt.nkeys == KEYS_MAX)
			fail(2, "--sort: more than %d keys", KEYS_MAX);
		opt.keys[opt.nkeys++] = field;
	}
	if (opt.nkeys == 0)
		fail(2, "--sort: empty list");
}

/* Digits only, up to MOST; false otherwise. */
static bool
whole_number(const char *text, uint64_t most, uint64_t *n)
{
	*n = 0;
	if (!*text)
		return false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, (uint64_t)(*text - '0'), n) || *n > most)
			return false;
	return !*text;
}

static bool
decimal_number(const char *text, size_t len, double *x)
{
	bool minus = *text == '-', sign = minus || *text == '+';
	const char *end;

	*x = decimal_parse(text + sign, &end);
	*x = minus ? -*x : *x;
	return isfinite(*x) && end == text + len;
}

/* 100, 1.5G, 20%: KiB, or with PERCENT set a percentage. */
static bool
size_number(const char *text, double *kib, bool *percent)
{
	static const char letters[] = "BKMGT";
	static const double units[] = { 1.0 / 1024, 1, 1024, 1024.0 * 1024, 1024.0 * 1024 * 1024 };
	size_t len = strlen(text);
	char last = len > 0 ? (char)toupper((unsigned char)text[len - 1]) : '\0';
	const char *letter = last ? strchr(letters, last) : NULL;

	*percent = last == '%';
	if (!decimal_number(text, len - (letter || *percent), kib))
		return false;
	*kib *= letter ? units[letter - letters] : 1;
	return true;
}

static void
pids_parse(const char *list)
{
	const char *at = list, *word;
	size_t len, n = 0, before = opt.npids;

	while (list_next(&at, &word, &len)) {
		char text[16];
		uint64_t pid;

		snprintf(text, sizeof text, "%.*s", (int)(len < 15 ? len : 15), word);
		if (len > 9 || !whole_number(text, INT_MAX, &pid) || pid == 0)
			fail(2, "--pid: '%.*s' is not a process id; to find one by name: -P %.*s", (int)len, word, (int)len, word);
		opt.pids = xrealloc(opt.pids, opt.npids + 1, sizeof *opt.pids);
		opt.pids[opt.npids++] = (int)pid;
	}
	if (opt.npids == before)
		fail(2, "--pid: empty list");
	qsort(opt.pids, opt.npids, sizeof *opt.pids, pid_compare);
	for (size_t i = 0; i < opt.npids; i++)
		if (i == 0 || opt.pids[i] != opt.pids[i - 1])
			opt.pids[n++] = opt.pids[i];
	opt.npids = n;
}

static struct pattern *
pattern_option(const char *what, const char *text)
{
	const char *why;
	struct pattern *p = pattern_parse(text, &why);

	if (!p)
		fail(2, "%s: '%s': %s", what, text, why);
	return p;
}

/* The operator at AT, and how long it is; 0: none. */
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

static void
condition_value(struct condition *c, const char *text, const char *value)
{
	enum kind kind = c->field.column->kind;
	bool sized = is_size(kind), share = is_share(kind);

	if (c->op >= MATCH && !is_text(kind))
		fail(2, "condition '%s': ~ and !~ are for text columns", text);
	if (c->op >= MATCH)
		c->pattern = pattern_option("condition", value);
	c->text = value;
	if (is_text(kind))
		return;
	if (!size_number(value, &c->value, &c->percent) || (!sized && !share && c->percent))
		fail(2, "condition '%s': '%s' is not a %s", text, value, sized ? "size, as 100M, 1.5G or 10%" : "number");
	if (!sized && !share && !isdigit((unsigned char)value[strlen(value) - 1]) && value[strlen(value) - 1] != '.')
		fail(2, "condition '%s': %s is no size: '%s' is not a number", text, c->field.column->name, value);
	if (share && isalpha((unsigned char)value[strlen(value) - 1]))
		fail(2, "condition '%s': '%s' is not a percentage", text, value);
	c->percent = c->percent && sized;
}

/* Reads "NAME OP VALUE" into C; NAME is that of the column, or of a figure that another column stands for. */
static void
condition_parse(struct condition *c, const char *text, const struct column *stands)
{
	size_t len, lead = strspn(text, " \t"), gap, op;
	char *value;

	*c = (struct condition){ .op = EQ };
	len = strcspn(text + lead, " \t=!<>~");
	gap = strspn(text + lead + len, " \t");
	op = op_parse(text + lead + len + gap, &c->op);
	if (op == 0)
		fail(2, "condition '%s': no operator; quote it, as in -f 'pss>100M', or the shell takes > for a redirection", text);
	if (len == 0)
		fail(2, "condition '%s': no column before the operator", text);
	if (stands)
		c->field = (struct field){ stands, VALUE, false };
	else
		c->field = field_parse_sortable(text + lead, len);
	c->sources = c->field.column->source | (c->field.how == VALUE ? 0u : CHANGE);
	text += lead;
	value = strdup(text + len + gap + op + strspn(text + len + gap + op, " \t"));
	if (!value)
		fail(1, "out of memory");
	for (len = strlen(value); len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'); len--)
		value[len - 1] = '\0';
	if (!*value && !is_text(c->field.column->kind))
		fail(2, "condition '%s': no value; if it held a $, quote it with ''", text);
	condition_value(c, text, value);
}

static void
condition_add(const char *text)
{
	opt.conditions = xrealloc(opt.conditions, opt.nconditions + 1, sizeof *opt.conditions);
	condition_parse(&opt.conditions[opt.nconditions++], text, NULL);
}

static const struct option long_options[] = {
	{ "columns", required_argument, NULL, 'c' },
	{ "sort", required_argument, NULL, 's' },
	{ "reverse", no_argument, NULL, 'r' },
	{ "limit", required_argument, NULL, 'n' },
	{ "pid", required_argument, NULL, 'p' },
	{ "process", required_argument, NULL, 'P' },
	{ "user", required_argument, NULL, 'U' },
	{ "mapping", required_argument, NULL, 'M' },
	{ "filter", required_argument, NULL, 'f' },
	{ "all", no_argument, NULL, 'A' },
	{ "by", required_argument, NULL, 'g' },
	{ "mappings", no_argument, NULL, 'm' },
	{ "system", no_argument, NULL, 'w' },
	{ "totals", no_argument, NULL, 't' },
	{ "interval", required_argument, NULL, 'i' },
	{ "since", required_argument, NULL, 7 },
	{ "save", required_argument, NULL, 8 },
	{ "source", required_argument, NULL, 'S' },
	{ "alert", required_argument, NULL, 9 },
	{ "csv", no_argument, NULL, 1 },
	{ "json", no_argument, NULL, 2 },
	{ "jsonl", no_argument, NULL, 11 },
	{ "no-header", no_argument, NULL, 'H' },
	{ "unit", required_argument, NULL, 3 },
	{ "jobs", required_argument, NULL, 4 },
	{ "timeout", required_argument, NULL, 10 },
	{ "max-rss", required_argument, NULL, 5 },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "list-columns", no_argument, NULL, 6 },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"Usage: memz [options]\n"
"Who uses the memory: processes by proportional set size (PSS), largest first.\n"
"\n"
"What to show\n"
"  -c, -o, --columns LIST  these columns; +COL adds to the defaults, -COL drops\n"
"  -s, --sort KEY[,KEY]    by these, +KEY ascending, -KEY descending\n"
"  -r, --reverse           the other way round\n"
"  -n, --limit N           the first N rows\n"
"  -t, --totals            the sums over all selected rows as well\n"
"  -g, --by KEY            one row per user, name, unit, cgroup, container, ...\n"
"  -u                      --by user\n"
"  -w, --system            the whole machine: where every KiB is\n"
"  -m, --mappings          one row per mapped file or region\n"
"  -A, --all               kernel threads and zombies too\n"
"Which processes\n"
"  -p, --pid LIST          these process ids\n"
"  -P, --process REGEX     name or command line matches\n"
"  -U, --user LIST         of these users, by name or id\n"
"  -f, --filter COND       such as 'pss>100M', 'swap>0', 'name~^java'; repeatable\n"
"  -M, --mapping REGEX     with -m: mappings that match\n"
"Over time\n"
"  -i, --interval SEC      two walks SEC apart: who grew, shrank, came and went\n"
"      --save FILE         keep what was read as well, as a tar archive\n"
"      --since FILE        what changed since that was saved\n"
"      --alert COND        exit with 3 if it holds for a row, or the machine, as\n"
"                          'pss>2G', 'mem_available<10%'; repeatable\n"
"How\n"
"      --csv, --json       instead of text; --jsonl: one object per row\n"
"  -H, --no-header         no column names\n"
"      --unit auto|K|M|G|B sizes in this unit; -b is --unit B, -k is --unit K\n"
"  -S, --source PATH       read PATH/proc, or PATH: like a /proc, or an archive\n"
"      --jobs N            so many readers (default: as many as processors)\n"
"      --timeout SEC       wait so long for a stuck process (default: 5)\n"
"      --max-rss SIZE      leave the page tables of larger processes alone\n"
"  -v, --verbose           tell on stderr what was read and how long it took\n"
"  -q, --quiet             no notes on stderr\n"
"      --list-columns      every column, and whether this kernel has it\n"
"  -h, --help  -V, --version\n"
"\n"
"Examples\n"
"  memz -s pss -n 20                     the twenty largest\n"
"  memz -c +vm_hwm,threads -U postgres   more columns, one user\n"
"  memz -f 'swap>10M' -s swap -t         who is swapped out, with a sum\n"
"  memz -i 5 -f 'pss_delta>1M'           who grows\n"
"  memz --json | jq '.processes[] | select(.pss > 100000)'\n";

/* Words of other tools' options, and what does the same here. */
static const char *
option_alias(const char *word)
{
	static const char *const habits[][2] = {
		{ "format", "for JSON: --json, for CSV: --csv" }, { "forest", "parents: -c +ancestry" }, { "tree", "parents: -c +ancestry" },
		{ "usage", "see --help" }, { "bar", "bars: -c +bar" }, { "pie", "bars: -c +bar" }, { "ppid", "children: -f ppid=N" },
		{ "userfilter", "one user's: -U NAME" }, { "processfilter", "by name: -P REGEX" }, { "mapfilter", "mappings: -m -M REGEX" },
		{ "percent", "percentages: -c +pss_pct" }, { "numeric", "user ids: -c +uid" }, { "abbreviate", "sizes have units as it is" },
		{ "human", "sizes have units as it is" }, { "human-readable", "sizes have units as it is" },
		{ "bytes", "sizes in bytes: -b" }, { "kilo", "sizes in KiB: -k" }, { "kibi", "sizes in KiB: -k" }, { "mega", "--unit M" },
		{ "mebi", "--unit M" }, { "giga", "--unit G" }, { "gibi", "--unit G" }, { "cgroup", "--by cgroup" }, { "cgroups", "--by cgroup" },
		{ "container", "--by container" }, { "containers", "--by container" }, { "group", "--by KEY" }, { "group-by", "--by KEY" },
		{ "watch", "memz runs once: watch memz, or -i SEC" }, { "loop", "memz runs once: watch memz, or -i SEC" },
		{ "delay", "memz runs once: watch memz, or -i SEC" }, { "seconds", "memz runs once: watch memz, or -i SEC" },
		{ "follow", "memz runs once: watch memz, or -i SEC" }, { "top", "the first rows: -n 20" }, { "head", "the first rows: -n 20" },
		{ "lines", "the first rows: -n 20" }, { "count", "the first rows: -n 20" }, { "sort-key", "--sort KEY" },
		{ "no-color", "NO_COLOR=1 in the environment" }, { "output", "memz >FILE" }, { "fields", "-c LIST" },
		{ "noheadings", "-H" }, { "noheader", "-H" }, { "total", "-t" }, { "all-columns", "-c all" },
	};
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
		if (strlen(habits[i][0]) == len && strncmp(word, habits[i][0], len) == 0)
			return habits[i][1];
	return NULL;
}

__attribute__((noreturn)) static void
unknown_option(const char *word)
{
	struct suggestion g = { .word = word + 2, .least = SIZE_MAX };

	if (option_alias(word + 2))
		fail(2, "unknown option '%s': %s", word, option_alias(word + 2));
	for (const struct option *o = long_options; o->name; o++)
		suggestion_try(&g, o->name);
	if (*g.best)
		fail(2, "unknown option '%s': did you mean '--%s'? see --help", word, g.best);
	fail(2, "unknown option '%s': see --help", word);
}

__attribute__((noreturn)) static void
unknown_letter(int letter)
{
	static const struct { char letter; const char *word; } hints[] = {
		{ 'a', "all users' processes are shown as it is" }, { 'e', "all processes are shown as it is" },
		{ 'x', "all processes are shown as it is" }, { 'd', "for two walks SEC apart: -i SEC" },
		{ 'K', "sizes in KiB: -k" }, { 'C', "by name: -P NAME" }, { 'R', "the memory there is comes from meminfo" },
		{ 'j', "for JSON: --json" }, { 'E', "-P takes extended regular expressions" }, { 'F', "columns: -c LIST" }, { 'l', "columns: -c LIST" },
	};

	if (isdigit(letter))
		fail(2, "unknown option '-%c': for so many rows: -n NUMBER", letter);
	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
		if (hints[i].letter == letter)
			fail(2, "unknown option '-%c': %s; see --help", letter, hints[i].word);
	fail(2, "unknown option '-%c': see --help", letter);
}

static bool
is_option(int value)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == value)
			return true;
	return value == 'o' || value == 'u' || value == 'b' || value == 'k';
}

/* The option as the user may know it: -n, --limit. */
static const char *
option_name(int value)
{
	static char name[32];

	for (const struct option *o = long_options; o->name; o++)
		if (o->val == value) {
			if (isalpha(value))
				snprintf(name, sizeof name, "-%c, --%s", value, o->name);
			else
				snprintf(name, sizeof name, "--%s", o->name);
			return name;
		}
	snprintf(name, sizeof name, "-%c", value);
	return name;
}

__attribute__((noreturn)) static void
argument_missing(int value)
{
	static const struct { int value; const char *word; } wants[] = {
		{ 'n', "the number of rows, as in -n 20 (numeric ids: -c uid)" },
		{ 'p', "process ids, as in -p 812,813 (percentages: -c +pss_pct)" },
		{ 'P', "a name or expression, as in -P postgres" },
		{ 'M', "an expression, as in -M 'libc|heap'" },
		{ 'U', "user names or ids, as in -U postgres" },
		{ 'c', "column names, as in -c pid,pss,name; see --list-columns" },
		{ 'o', "column names, as in -o pid,pss,name; see --list-columns" },
		{ 's', "a column name, as in -s swap; see --list-columns" },
		{ 'f', "a condition, as in -f 'pss>100M'" },
		{ 'g', "a text column, as in --by user" },
		{ 'i', "seconds, as in -i 5" },
		{ 'S', "a directory that holds proc/, or an archive made by --save" },
		{ 7, "a state that was saved with --save, as in --since before.tar" },
		{ 8, "the name of a file to be made, as in --save now.tar" },
		{ 9, "a condition, as in --alert 'mem_available<10%'" },
		{ 10, "seconds, as in --timeout 2" },
		{ 3, "one of auto, K, M, G, B" },
		{ 4, "the number of readers, as in --jobs 2" },
		{ 5, "a size, as in --max-rss 64G" },
	};

	for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
		if (wants[i].value == value)
			fail(2, "option %s needs %s", option_name(value), wants[i].word);
	fail(2, "option %s needs an argument: see --help", option_name(value));
}

static void
unit_parse(const char *text)
{
	char unit = strcmp(text, "auto") == 0 ? 'a' : text[0] && !text[1] ? (char)toupper((unsigned char)*text) : '\0';

	if (!unit || !strchr("aKMGB", unit) || (unit == 'a' && strcmp(text, "auto") != 0))
		fail(2, "unknown unit '%s': one of auto, K, M, G, B", text);
	if (opt.unit && opt.unit != unit)
		fail(2, "two units: '%c' and '%c'; give one of --unit, -b, -k", opt.unit, unit);
	opt.unit = unit;
}

static void
format_set(enum format format)
{
	static const char *const names[] = { "", "--csv", "--json", "--jsonl" };

	if (opt.format != TEXT_FORMAT && opt.format != format)
		fail(2, "%s and %s exclude each other", names[opt.format], names[format]);
	opt.format = format;
}

static uint64_t
count_parse(const char *option, const char *text, uint64_t least, uint64_t most)
{
	uint64_t n;

	if (!whole_number(text, most, &n) || n < least)
		fail(2, "%s: '%s' is not a whole number%s", option, text, least ? " from 1 to 64" : "");
	return n;
}

static void
by_parse(const char *name)
{
	struct field field = field_parse(name, strlen(name));

	if (field.column->kind != TEXT)
		fail(2, "--by: '%s' is no text column; groups are made by user, name, unit, cgroup and the like", name);
	if (opt.by && opt.by != field.column)
		fail(2, "--by: two keys: '%s' and '%s'", opt.by->name, name);
	opt.by = field.column;
}

static double
seconds_parse(const char *option, const char *text)
{
	double seconds;

	if (!decimal_number(text, strlen(text), &seconds) || !(seconds > 0) || seconds > 1e9)
		fail(2, "%s: '%s' is not a number of seconds above 0", option, text);
	return seconds;
}

/* A state, and not how long ago. */
static void
since_parse(const char *text)
{
	size_t digits = strspn(text, "0123456789.");
	bool is_time = (digits > 0 && strlen(text + digits) <= 3) || strcmp(text, "yesterday") == 0 || strcmp(text, "boot") == 0;

	if (is_time && access(text, F_OK) < 0)
		fail(2, "--since: '%s' is a time: it takes a saved state, a file made by --save; for two walks now: -i SEC", text);
	opt.since = text;
}

static void
max_rss_parse(const char *text)
{
	double kib;
	bool percent;

	if (!size_number(text, &kib, &percent) || percent || kib < 0 || kib > 1e15)
		fail(2, "--max-rss: '%s' is not a size, as 64G", text);
	opt.max_rss = (int64_t)kib;
}

/* Names are looked up when the source is known. */
static void
users_append(const char *list)
{
	size_t len = opt.users ? strlen(opt.users) : 0;

	opt.users = xrealloc(opt.users, len + strlen(list) + 2, 1);
	sprintf(opt.users + len, "%s%s", len ? "," : "", list);
}

/* Options whose reading depends on others are kept as texts and read by options_check. */
struct texts {
	const char *columns[16], *sort;
	size_t ncolumns;
};

static void
option_apply(int option, struct texts *t)
{
	if (opt.given[option] && strchr("snSiPM\3\4\5\7\10\12", option))
		fail(2, "%s: given twice%s", option_name(option), option == 'P' || option == 'M' ? "; join them, as in 'a|b'" : "");
	if (strchr("npPUMgSi\3\4\5\7\10\11\12", option) && optarg && *optarg == '-' && (isalpha((unsigned char)optarg[1]) || optarg[1] == '-'))
		argument_missing(option);	/* the next option was taken for it */
	opt.given[option] = true;
	switch (option) {
	case 'c': case 'o':
		if (t->ncolumns == sizeof t->columns / sizeof *t->columns)
			fail(2, "--columns: given too often");
		t->columns[t->ncolumns++] = optarg;
		break;
	case 's': t->sort = optarg; break;
	case 'r': opt.reverse = true; break;
	case 'n': opt.limit = (size_t)count_parse("--limit", optarg, 0, SIZE_MAX - 1); break;
	case 'p': pids_parse(optarg); break;
	case 'P': opt.process = pattern_option("--process", optarg); break;
	case 'U': users_append(optarg); break;
	case 'f': condition_add(optarg); break;
	case 'A': opt.all = true; break;
	case 'g': by_parse(optarg); break;
	case 'u': by_parse("user"); break;
	case 'm': opt.mappings = true; break;
	case 'w': opt.system = true; break;
	case 'M': opt.mapping = pattern_option("--mapping", optarg); break;
	case 't': opt.totals = true; break;
	case 'i': opt.interval = seconds_parse("--interval", optarg); break;
	case 'S': opt.source = optarg; break;
	case 1:   format_set(CSV_FORMAT); break;
	case 2:   format_set(JSON_FORMAT); break;
	case 11:  format_set(JSONL_FORMAT); break;
	case 'H': opt.header = false; break;
	case 3:   unit_parse(optarg); break;
	case 'b': unit_parse("B"); break;
	case 'k': unit_parse("K"); break;
	case 4:   opt.jobs = (unsigned)count_parse("--jobs", optarg, 1, 64); break;
	case 5:   max_rss_parse(optarg); break;
	case 'v': opt.verbose = true; break;
	case 'q': opt.quiet = true; break;
	case 6:   opt.list = true; break;
	case 7:   since_parse(optarg); break;
	case 8:
		if (!*optarg)
			fail(2, "--save: no name");
		opt.save = optarg;
		break;
	case 9:
		opt.alerts = xrealloc(opt.alerts, opt.nalerts + 1, sizeof *opt.alerts);
		opt.alerts[opt.nalerts++] = optarg;
		break;
	case 10:  opt.timeout = seconds_parse("--timeout", optarg); break;
	}
}

static void
users_resolve(const struct source *s)
{
	const char *at = opt.users, *word;
	size_t len;

	while (at && list_next(&at, &word, &len)) {
		char *name = strndup(word, len);
		uint64_t n;
		int64_t uid = name ? user_id(s, name) : UNKNOWN;
		int error = errno;

		if (uid == UNKNOWN && name && whole_number(name, UINT32_MAX, &n))
			uid = (int64_t)n;
		free(name);
		if (uid == UNKNOWN && error == ETIMEDOUT)
			fail(1, "--user: '%.*s': the name service does not answer; give the uid", (int)len, word);
		if (uid == UNKNOWN)
			fail(1, "--user: no user is called '%.*s'", (int)len, word);
		opt.uids = xrealloc(opt.uids, opt.nuids + 1, sizeof *opt.uids);
		opt.uids[opt.nuids++] = uid;
	}
	if (opt.users && opt.nuids == 0)
		fail(2, "--user: empty list");
}

static unsigned
processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (unsigned)n;
}

static bool
is_given(const char *options)
{
	for (; *options; options++)
		if (opt.given[(unsigned char)*options])
			return true;
	return false;
}

/* Columns that only groups have, in a report without them, or asked of processes. */
static void
fields_check(const struct field *fields, size_t n, bool groups)
{
	const unsigned of_mappings = SMAPS | ROLLUP | RSS | MAPS | MACHINE | CHANGE | GROUP;

	for (size_t i = 0; i < n; i++) {
		const struct column *c = fields[i].column;

		if (c->source & SMAPS && !opt.mappings)
			fail(2, "column '%s' is of mappings: see -m", c->name);
		if (opt.mappings && (!c->source || c->source & ~of_mappings) && strcmp(c->name, "vsz") != 0)
			fail(2, "column '%s' is of processes, not of mappings", c->name);
		if (c->source & GROUP && !groups)
			fail(2, "column '%s' is of groups: see --by", c->name);
		if (c->source & MEMCG && !(groups && strcmp(opt.by->name, "cgroup") == 0))
			fail(2, "column '%s' is of control groups: see --by cgroup", c->name);
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

/* What bars are drawn of: the first sort key that is a number. NULL: none is. */
static const struct field *
bar_key(void)
{
	for (size_t i = 0; i < opt.nkeys; i++)
		if (!is_text(opt.keys[i].column->kind) && opt.keys[i].column->kind != ID)
			return &opt.keys[i];
	return NULL;
}

static void
options_check(const struct texts *t)
{
	char defaults[128];

	if (opt.mapping && !opt.mappings)
		fail(2, "--mapping selects among mappings: it goes with -m");
	if (opt.by)
		fields_check(&(struct field){ opt.by, VALUE, false }, 1, true);
	if (opt.system && is_given("cosrnpPUfAgumMt"))
		fail(2, "--system is about the whole machine: no -c -s -r -n -f -p -P -U -m -M -A -g -u -t");
	if (opt.since && opt.given['i'])
		fail(2, "--since and --interval exclude each other: both say what the first walk is");
	opt.delta = opt.since || opt.given['i'];
	if (opt.list && is_given("cosrnpPUfAgumMtwSibk\3\4\5\7\10\11\12"))
		fail(2, "--list-columns takes --csv, --json, --jsonl and -H alone");
	if (opt.totals && (opt.format == CSV_FORMAT || opt.format == JSONL_FORMAT))
		fail(2, "--totals and %s exclude each other: a total among the rows would be added up again",
		    opt.format == CSV_FORMAT ? "--csv" : "--jsonl");
	if (opt.unit == 'a' && opt.format != TEXT_FORMAT)
		fail(2, "--unit auto is for text: CSV and JSON have numbers of one unit");
	if (!opt.unit)
		opt.unit = opt.format == TEXT_FORMAT ? 'a' : 'K';
	if (!opt.jobs)
		opt.jobs = processors();
	default_columns(defaults, sizeof defaults);
	fields_parse(defaults, true);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (i > 0 && !strchr("+- ,", *t->columns[i]))
			fail(2, "--columns: two lists: a second one begins with + or -");
		else
			fields_parse(t->columns[i], strpbrk(t->columns[i], "+-"));
	keys_parse(t->sort ? t->sort : opt.delta ? "pss_delta" : "pss");
	opt.magnitude = opt.delta && !t->sort;
	if (sources_of(opt.fields, opt.nfields) & MACHINE && !bar_key())
		for (size_t i = 0; i < opt.nfields; i++)
			if (opt.fields[i].column->kind == BAR)
				fail(2, "column 'bar' needs a number to sort by, as in -s pss");
	fields_check(opt.fields, opt.nfields, opt.by);
	fields_check(opt.keys, opt.nkeys, opt.by);
	for (size_t i = 0; i < opt.nconditions; i++) {
		if (opt.by && opt.conditions[i].field.column->source & (GROUP | MEMCG))
			fail(2, "condition on '%s': conditions are about %s, not groups", opt.conditions[i].field.column->name,
			    opt.mappings ? "mappings" : "processes");
		fields_check(&opt.conditions[i].field, 1, false);
	}
}

__attribute__((noreturn)) static void
stray_operand(const char *word)
{
	if (*word && strspn(word, "0123456789,") == strlen(word))
		fail(2, "unexpected '%s': did you mean -p %s?", word, word);
	struct field field;

	for (const struct option *o = long_options; o->name; o++)
		if (strcmp(word, o->name) == 0 && strcmp(word, "all") != 0)
			fail(2, "unexpected '%s': did you mean --%s?", word, word);
	if (field_by_name(word, strlen(word), &field))
		fail(2, "unexpected '%s': to sort by it: -s %s, to show it: -c +%s", word, word, word);
	if (strpbrk(word, "<>=~"))
		fail(2, "unexpected '%s': did you mean -f '%s'?", word, word);
	if (opt.given['u'])
		fail(2, "unexpected '%s': -u makes groups by user; did you mean -U %s?", word, word);
	if ((strchr(word, 'a') && strspn(word, "auxfelw") == strlen(word)) || strcmp(word, "all") == 0)
		fail(2, "unexpected '%s': memz alone shows all processes; see --help", word);
	fail(2, "unexpected '%s': did you mean -P %s?", word, word);
}

static void
options_parse(int argc, char **argv)
{
	struct texts texts = { .ncolumns = 0 };
	int option;

	opt.limit = SIZE_MAX;
	opt.header = true;
	opt.max_rss = UNKNOWN;
	opt.timeout = 5;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:o:s:rn:p:P:U:f:Ag:umM:wti:S:HbkvqhV", long_options, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (optarg && *optarg == '=' && *word == '-' && word[1] == option)
			fail(2, "option -%c takes its value without '=': -%c %s", option, option, optarg + 1);
		if (option == ':')
			argument_missing(optopt);
		if (option == '?' && optopt == 0)
			unknown_option(word);
		if (option == '?' && is_option(optopt))
			fail(2, "option '%.*s' takes no argument", (int)strcspn(word, "="), word);
		if (option == '?')
			unknown_letter(optopt);
		if (option == 'h' || option == 'V') {
			word = option == 'h' ? help : "memz " MEMZ_VERSION "\n";
			write_all(word, strlen(word));
			exit(0);
		}
		option_apply(option, &texts);
	}
	if (optind < argc)
		stray_operand(argv[optind]);
	options_check(&texts);
}

/* Alerts */

/* What --alert asks: of the rows, by a column, or of a figure of the machine. A name that is both is two of these. */
static struct alert {
	const char *text;
	struct condition condition;
	char *counter;		/* NULL: of the rows */
	bool either;		/* there is one of the other sort beside it */
} *alerts;
static size_t nalerts;

/* What the machine's figures are called in one kernel or other: those that this one lacks are no mistake. */
static const char counter_names[] =
	" mem_total mem_free mem_available mem_used buffers cached swap_cached active inactive active_anon inactive_anon"
	" active_file inactive_file unevictable mlocked high_total high_free low_total low_free mmap_copy swap_total swap_free"
	" swap_used zswap zswapped dirty writeback anon_pages mapped shmem kreclaimable slab sreclaimable sunreclaim kernel_stack"
	" shadow_call_stack page_tables sec_page_tables nfs_unstable bounce writeback_tmp commit_limit committed_as vmalloc_total"
	" vmalloc_used vmalloc_chunk percpu early_memtest_bad hardware_corrupted anon_huge_pages shmem_huge_pages"
	" shmem_pmd_mapped file_huge_pages file_pmd_mapped cma_total cma_free unaccepted balloon gpu_active gpu_reclaim"
	" huge_pages_total huge_pages_free huge_pages_rsvd huge_pages_surp hugepagesize hugetlb direct_map4k direct_map2_m"
	" direct_map4_m direct_map1_g direct_map2m direct_map4m direct_map1g"
	" psi_some_avg10 psi_some_avg60 psi_some_avg300 psi_full_avg10 psi_full_avg60 psi_full_avg300 ";

/* The averages of pressure/memory as alerts know them; -w leaves out the first part. */
static const char *const psi_names[] = { "psi_some_avg10", "psi_some_avg60", "psi_some_avg300", "psi_full_avg10", "psi_full_avg60", "psi_full_avg300" };

static bool
is_psi(const char *name)
{
	return strncmp(name, "psi_", 4) == 0;
}

static bool
is_counter(const char *name, const struct machine *m)
{
	char word[64];

	for (size_t i = 0; i < m->memory.n; i++)
		if (strcmp(m->memory.list[i].name, name) == 0)
			return true;
	return snprintf(word, sizeof word, " %s ", name) < (int)sizeof word && strstr(counter_names, word);
}

/* How a figure is compared and shown: as a column of that kind. It stands in the place of a row's pss. */
static struct column *
counter_column(char *name, const struct machine *m)
{
	struct column *c = xrealloc(NULL, 1, sizeof *c);
	bool counts = strncmp(name, "huge_pages_", 11) == 0;

	for (size_t i = 0; i < m->memory.n; i++)
		if (strcmp(m->memory.list[i].name, name) == 0)
			counts = !m->memory.list[i].kib;
	*c = (struct column){ .name = name, .offset = offsetof(struct proc, pss) };
	c->kind = is_psi(name) ? MILLIONTHS : counts ? COUNT : strncmp(name, "swap_", 5) == 0 ? SWAP_KIB : KIB;
	return c;
}

static struct alert *
alert_add(const char *text)
{
	alerts = xrealloc(alerts, nalerts + 1, sizeof *alerts);
	alerts[nalerts] = (struct alert){ .text = text };
	return &alerts[nalerts++];
}

/* The figure's name is what stands before the operator, but for _delta and _rate. */
static void
counter_alert_parse(const char *text, char *name, const struct field *field, const struct machine *m)
{
	struct alert *a = alert_add(text);

	a->counter = name;
	condition_parse(&a->condition, text, counter_column(name, m));
	a->condition.field.how = field->how;
}

static void
alert_parse(const char *text, const struct machine *m)
{
	size_t lead = strspn(text, " \t"), len = strcspn(text + lead, " \t=!<>~");
	struct field field;
	bool column = field_by_name(text + lead, len, &field), counter;
	char *name = strndup(text + lead, len - (field.how == DELTA ? 6 : field.how == RATE ? 5 : 0));

	if (!name)
		fail(1, "out of memory");
	counter = is_counter(name, m);
	if (counter && field.how != VALUE && is_psi(name))
		fail(2, "--alert '%s': %s is an average over time already; it has no _delta and _rate", text, name);
	if (counter)
		counter_alert_parse(text, name, &field, m);
	if (counter && (!column || opt.system))
		return;
	if (!counter)
		free(name);
	if (!column && field.how == VALUE && len > 0)
		unknown_column(text + lead, len, counter_names);
	condition_parse(&alert_add(text)->condition, text, NULL);
	if (opt.system)
		fail(2, "--alert '%s': %s is of rows, and --system has none", text, alerts[nalerts - 1].condition.field.column->name);
	fields_check(&alerts[nalerts - 1].condition.field, 1, opt.by);
	if (counter)
		alerts[nalerts - 1].either = alerts[nalerts - 2].either = true;
}

static void
alerts_parse(const struct source *source)
{
	static struct machine m;

	if (opt.nalerts > 0 && machine_read(source, &m) < 0)
		fail(1, "out of memory");
	for (size_t i = 0; i < opt.nalerts; i++)
		alert_parse(opt.alerts[i], &m);
}

/* The plan */

/* What -P, -U and -p ask for: they select processes in every view. */
static unsigned
selection_sources(void)
{
	return (opt.process ? COMM | CMDLINE : 0u) | (opt.nuids ? OWNER : 0u) | (opt.npids ? STATUS : 0u);
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

	for (size_t i = 0; i < nalerts; i++)
		sources |= alerts[i].counter ? 0u : alerts[i].condition.sources;
	return sources;
}

/* rss comes from what is read anyway; the others of these need files that are read for them. */
static unsigned
rss_from(unsigned sources, unsigned all)
{
	if (sources & RSS)
		sources |= all & ROLLUP ? ROLLUP : STATM;
	return sources;
}

/* What decides which rows there are, and in what order. */
static unsigned
deciding_sources(void)
{
	return sources_of(opt.keys, opt.nkeys) | filter_sources() | alert_sources() | (opt.by ? opt.by->source : 0u);
}

/* All that the report is asked for. */
static unsigned
asked_sources(void)
{
	return sources_of(opt.fields, opt.nfields) | deciding_sources();
}

/* -w and -m read one thing of all processes; conditions of -m are about mappings, not processes. What is saved is read in
 * the first pass. */
static struct plan
plan_of_all(void)
{
	unsigned select = selection_sources() & ~(unsigned)SRC_COMPUTED;
	struct plan plan = { .main = opt.system ? ROLLUP | RSS_PARTS : SMAPS, .bound = offsetof(struct proc, rss) };

	if (opt.mappings || (opt.jobs > 1 && !opt.save))
		plan.first = STATM | select;
	if (opt.save)
		*(plan.first ? &plan.first : &plan.main) |= SAVED;
	return plan;
}

/* What decides which rows are printed is read of all processes, the rest late, of the printed ones. Where page tables
 * must be walked, a first pass over cheap files drops what they can, orders the rest, and gives the bounds. What --save
 * saves is read as a whole, and then when it is read back: the counts are the same. */
static struct plan
plan_compute(const struct source *source)
{
	struct plan plan = { 0 };
	const struct field *key = &opt.keys[0];
	bool delta = opt.delta, saved = opt.save || source->described;
	bool whole = delta || opt.totals || opt.by || nalerts || saved;	/* everything selected is read */
	unsigned shown = sources_of(opt.fields, opt.nfields), filters = filter_sources(), all, decide, cheap;

	if (opt.system || opt.mappings)
		return plan_of_all();
	decide = deciding_sources() | (delta ? STAT : 0u) | (whole ? shown : 0u);
	all = shown | decide;
	for (size_t i = 0; i < opt.nconditions; i++)
		opt.conditions[i].sources = rss_from(opt.conditions[i].sources, all);
	filters = rss_from(filters, all) & ~(unsigned)SRC_COMPUTED;
	plan.main = rss_from(decide, all) & ~(unsigned)SRC_COMPUTED;
	plan.has_detail = rss_from(shown, all) & ~(plan.main | SRC_COMPUTED);
	if (whole || (opt.limit == SIZE_MAX && !(filters & SRC_EXPENSIVE))) {	/* all that is read is shown */
		plan.main |= plan.has_detail;
		plan.has_detail = 0;
	}
	plan.top = opt.limit != SIZE_MAX && !whole && plan.main & SRC_EXPENSIVE && !(filter_sources() & (ANCESTRY | CHANGE)) &&
	    key->column->bound && key->how == VALUE && key->up == opt.reverse;
	cheap = STATM | (filters & ~(unsigned)SRC_EXPENSIVE) | (delta ? STAT : 0u);
	if (!saved && (plan.main & SRC_EXPENSIVE ? plan.top || filters || opt.jobs > 1 : filters && plan.main & ~cheap))
		plan.first = cheap;
	plan.bound = plan.top ? key->column->bound : offsetof(struct proc, rss);
	if (!(plan.main & ROLLUP))
		plan.main |= STATM;	/* one of the two tells a process from a kernel thread */
	if (opt.save)
		plan.main |= SAVED;
	return plan;
}

/* Conditions */

static double
mem_percent(const struct condition *c, const struct machine *m)
{
	int64_t whole = c->field.column->kind == SWAP_KIB ? m->swap_total : m->mem_total;

	return whole <= 0 ? NAN : c->value * (double)whole / 100;	/* unknown, or none */
}

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
	double limit = c->percent ? mem_percent(c, m) : c->value, is;
	int64_t n;

	if (is_text(c->field.column->kind)) {
		char buf[32];
		const char *text = field_text(&c->field, p, m, buf);

		return text && text_holds(c, text);
	}
	n = field_number(&c->field, p);
	is = n == UNKNOWN ? NAN : field_value(&c->field, n, m, opt.interval);
	if (isnan(is) || isnan(limit))
		return false;
	return compare((is > limit) - (is < limit), c->op);
}

static bool
among(int64_t n, const int64_t *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (list[i] == n)
			return true;
	return false;
}

static bool
is_parent(int64_t pid)
{
	for (const int *parent = parents; parent && *parent; parent++)
		if (*parent == pid)
			return true;
	return false;
}

/* By name, or by command line, but there not memz's parents, who only quote the expression. */
static bool
process_matches(const struct proc *p)
{
	if (p->pid == self || (self_then && p->pid == self_then))
		return false;
	if (p->name && pattern_matches(opt.process, p->name))
		return true;
	return p->command && !is_parent(p->pid) && pattern_matches(opt.process, p->command);
}

/* -P and -U, as far as a sub-set of the sources can say: false where P is out for certain. */
static bool
selected(const struct proc *p, unsigned sources)
{
	if (opt.nuids && sources & OWNER && !among(p->uid, opt.uids, opt.nuids))
		return false;
	return !opt.process || ~sources & (COMM | CMDLINE) || process_matches(p);
}

/* The conditions likewise; in the view of mappings they are about these. */
static bool
conditions_hold(const struct proc *p, const struct machine *m, unsigned sources)
{
	for (size_t i = 0; i < opt.nconditions; i++) {
		const struct condition *c = &opt.conditions[i];

		if (!(c->sources & ~(sources | RSS)) && !condition_holds(c, p, m))
			return false;
	}
	return true;
}

static bool
matches(const struct proc *p, const struct machine *m, unsigned sources)
{
	return selected(p, sources) && (opt.mappings || conditions_hold(p, m, sources));
}

/* The walk */

static struct snapshot *current;		/* what the passes' callbacks are about */
static struct plan plan;

/* The number of P that lies at OFFSET. */
static int64_t
number_at(const struct proc *p, size_t offset)
{
	return *(const int64_t *)(const void *)((const char *)p + offset);
}

/* The most that a number of P bounded by statm can be, by what the first pass knows of it; unknown: no limit. */
static int64_t
upper_bound(const struct proc *p, size_t offset)
{
	const struct machine *m = &current->machine;
	int64_t is = number_at(p, offset), threads = m->thread_slack ? p->threads : 0;

	if (is == UNKNOWN || m->slack == UNKNOWN || threads == UNKNOWN || threads > INT32_MAX)
		return INT64_MAX;
	return kib_add(kib_add(is, m->slack), m->thread_slack * threads);
}

/* The N largest keys so far, a heap with the least of them on top; readers share it. */
static struct {
	pthread_mutex_t lock;
	int64_t *keys;
	size_t n;
	atomic_uint least;	/* what a key must reach to matter, if that is less than 4 TiB */
} best = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
top_n_sift_down(int64_t key, size_t at)
{
	size_t child;

	for (; (child = 2 * at + 1) < best.n; at = child) {
		if (child + 1 < best.n && best.keys[child + 1] < best.keys[child])
			child++;
		if (key <= best.keys[child])
			break;
		best.keys[at] = best.keys[child];
	}
	best.keys[at] = key;
}

static void
top_n_add(int64_t key)
{
	size_t at = best.n;

	if (best.n == opt.limit) {
		if (best.n > 0 && key > best.keys[0])
			top_n_sift_down(key, 0);
	} else {
		for (best.n++; at > 0 && best.keys[(at - 1) / 2] > key; at = (at - 1) / 2)
			best.keys[at] = best.keys[(at - 1) / 2];
		best.keys[at] = key;
	}
	if (best.n == opt.limit && best.n > 0)
		best.least = best.keys[0] < UINT32_MAX ? (unsigned)best.keys[0] : UINT32_MAX;
}

static void
top_n_done(const struct proc *p)
{
	int64_t key = field_number(&opt.keys[0], p);

	if (key == UNKNOWN || key <= best.least || p->outcome == VANISHED || ((p->kthread || p->zombie) && !opt.all))
		return;
	if (!matches(p, &current->machine, plan.main))
		return;
	pthread_mutex_lock(&best.lock);
	top_n_add(key);
	pthread_mutex_unlock(&best.lock);
}

static bool
top_n_wanted(const struct proc *p)
{
	return opt.limit > 0 && (p->rss == UNKNOWN || upper_bound(p, plan.bound) >= best.least);
}

/* Can P still pass filters that ask for more of a number than statm leaves room for? Then its page tables are spared. */
static bool
may_match(const struct proc *p)
{
	for (size_t i = 0; i < opt.nconditions; i++) {
		const struct condition *c = &opt.conditions[i];
		bool is_floor = c->field.column->bound && c->field.how == VALUE && (c->op == GT || c->op == GE || c->op == EQ);
		int64_t bound = is_floor ? upper_bound(p, c->field.column->bound) : INT64_MAX;
		double limit = c->percent ? mem_percent(c, &current->machine) : c->value;

		if (bound != INT64_MAX && field_value(&c->field, bound, &current->machine, 0) < limit)
			return false;
	}
	return true;
}

/* Tells of a walk that takes long. */
static void
scan_progress(size_t done, size_t of)
{
	if (seconds_now() - current->began > 0.5)
		progress_print("%zu of %zu processes", done, of);
}

/* What the next passes save. */
static enum keep keeping;

static void
scan_procs(struct proc **procs, size_t n, unsigned want, unsigned already_read, double *seconds)
{
	struct scan pass = { .from = current->source, .procs = procs, .n = n, .want = want, .already_read = already_read, .begin = current->began_ticks,
		.most = opt.max_rss, .keep = keeping, .tell = scan_progress, .jobs = opt.jobs };

	if (plan.top && !already_read && want == plan.main) {
		pass.wanted = top_n_wanted;
		pass.seen = top_n_done;
	}
	if (scan_run(&pass) < 0)
		fail(1, "cannot read: %s", strerror(errno));
	progress_end();
	*seconds += pass.seconds;
}

static int
bound_compare(const void *a, const void *b)
{
	const struct proc *x = *(struct proc *const *)a, *y = *(struct proc *const *)b;
	int64_t i = upper_bound(x, plan.bound), j = upper_bound(y, plan.bound);

	return i != j ? (i < j) - (i > j) : (x->pid > y->pid) - (x->pid < y->pid);
}

/* After the first pass: out with those that cheap files rule out; the largest first. */
static void
prune(struct snapshot *w)
{
	size_t n = 0;
	bool delta = opt.delta;			/* then numbers are the second walk's to judge, and every number counts */
	unsigned known = plan.first & (delta ? OWNER | COMM | CMDLINE | CGROUP : ~0u);
	bool users = filter_sources() & USER;
	bool drops = !delta || w->again || opt.mappings;	/* who is looked for later may be another now; not so with mappings */

	for (size_t i = 0; i < w->nrows; i++) {
		struct proc *p = w->rows[i];
		bool other = (p->kthread || p->zombie) && !opt.all && !opt.npids;

		if (p->outcome == VANISHED || other)
			continue;
		if (users)
			p->user = user_name(w->source, p->uid);
		if (drops && (!matches(p, &w->machine, known | USER | MACHINE) || (!delta && !opt.mappings && !may_match(p)))) {
			p->outcome = SKIPPED;
			continue;
		}
		w->rows[n++] = p;
	}
	w->nrows = n;
	if (plan.main & SRC_EXPENSIVE && n > 1)
		qsort(w->rows, n, sizeof *w->rows, bound_compare);
}

static void
pids_list(struct snapshot *w)
{
	int *pids = opt.pids;

	w->n = opt.npids;
	if (!opt.npids && source_pids(w->source, &pids, &w->n) < 0)
		fail(1, "%s: %s", opt.source ? opt.source : "/proc", strerror(errno));
	w->procs = xrealloc(NULL, w->n, sizeof *w->procs);
	w->rows = xrealloc(NULL, w->n, sizeof *w->rows);
	w->nrows = w->n;
	for (size_t i = 0; i < w->n; i++) {
		w->procs[i].pid = pids[i];
		w->procs[i].over_max_rss = w->procs[i].has_detail = w->procs[i].pid_reused = false;
		w->procs[i].same_mm = 0;
		w->rows[i] = &w->procs[i];
	}
	if (pids != opt.pids)
		free(pids);
}

/* A row is what was read, or left out by --max-rss, and not a kernel thread or zombie that nobody asked for. */
static bool
is_row(const struct proc *p)
{
	if (p->outcome == VANISHED || p->outcome == SKIPPED)
		return false;
	return !(p->kthread || p->zombie) || opt.all || opt.npids;
}

/* Processes that share one address space each show all of it: of such twins all but the first are marked, to be in no
 * sum. Candidates are those with the same range of addresses, or before that is read, the same size. */
static bool shared_mm_denied, shared_mm_timeout;
static const struct source *shared_mm_source;

/* A candidate: what is compared of it, and its row. */
struct mm_candidate {
	struct proc *p;
	int64_t pid;
	uint64_t key;
	int of;			/* whose twin it is, 0: nobody's */
};

static int
candidate_compare(const void *a, const void *b)
{
	const struct mm_candidate *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->pid > y->pid) - (x->pid < y->pid);
}

static int
same_mm_compare(const void *a, const void *b)
{
	const struct mm_candidate *x = a, *y = b;
	int order = mm_compare(shared_mm_source, x->pid, y->pid, &shared_mm_denied);

	return order ? order : (x->pid > y->pid) - (x->pid < y->pid);
}

/* How many of the N candidates from LIST on have one key. */
static size_t
candidates_run(const struct mm_candidate *list, size_t n)
{
	size_t run = 1;

	while (run < n && list[run].key == list[0].key)
		run++;
	return run;
}

struct twins {
	struct mm_candidate *list;
	size_t n;
};

/* In a thread of its own, as kcmp may wait for ever: it touches nothing but T and what the kernel knows. */
static void
shared_mm_find(void *arg)
{
	struct twins *t = arg;

	for (size_t i = 0, n; i < t->n; i += n) {
		struct mm_candidate *list = t->list + i;

		n = candidates_run(list, t->n - i);
		if (n > 1)
			qsort(list, n, sizeof *list, same_mm_compare);
		for (size_t j = 1; j < n; j++)
			if (mm_compare(shared_mm_source, list[j - 1].pid, list[j].pid, &shared_mm_denied) == 0)
				list[j].of = list[j - 1].of ? list[j - 1].of : (int)list[j - 1].pid;
	}
}

/* Finds the twins among N candidates, of one key or of several; false: not within SECONDS. */
static bool
shared_mm_try(const struct mm_candidate *list, size_t n, double seconds)
{
	struct twins *t = xrealloc(NULL, 1, sizeof *t);

	*t = (struct twins){ xrealloc(NULL, n, sizeof *t->list), n };
	memcpy(t->list, list, n * sizeof *list);
	if (!shared_mm_source->here)
		shared_mm_find(t);
	else if (call_with_timeout(shared_mm_find, t, seconds) < 0)
		return false;			/* T is its thread's */
	for (size_t i = 0; i < n; i++)
		t->list[i].p->same_mm = t->list[i].of;
	free(t->list);
	free(t);
	return true;
}

static void
mark_shared_mm(const struct snapshot *w, struct proc *const *rows, size_t all)
{
	struct mm_candidate *candidates = xrealloc(NULL, all, sizeof *candidates);
	size_t n = 0;
	double until;

	shared_mm_source = w->source;
	for (size_t i = 0; i < all; i++) {
		struct proc *p = rows[i];
		bool via_thread = p->state && *p->state == 'Z';	/* the address space is another thread's */

		p->same_mm = 0;
		if (!(plan.main & ROLLUP & ~p->got) && p->outcome != STALLED && p->outcome != VANISHED && !via_thread)
			candidates[n++] = (struct mm_candidate){ p, p->pid, p->got & ROLLUP ? p->mm_range : (uint64_t)p->vsz, 0 };
	}
	if (n > 1)
		qsort(candidates, n, sizeof *candidates, candidate_compare);
	if (n > 1 && !shared_mm_timeout && !shared_mm_try(candidates, n, wait_budget_left())) {
		shared_mm_timeout = true;
		wait_budget_spend(wait_budget_left());
		until = seconds_now() + 0.5;
		for (size_t i = 0, run; i < n && seconds_now() < until; i += run)
			if ((run = candidates_run(candidates + i, n - i)) > 1)
				shared_mm_try(candidates + i, run, 0.1);
	}
	free(candidates);
}

/* Brings the first N rows that KEEP accepts to the front; returns how many. */
static size_t
rows_partition(struct snapshot *w, size_t n, bool (*keep)(const struct proc *))
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (keep(w->rows[i])) {
			struct proc *p = w->rows[i];

			w->rows[i] = w->rows[kept];
			w->rows[kept++] = p;
		}
	return kept;
}

static bool
has_own_mm(const struct proc *p)
{
	return !p->same_mm;
}

/* The rows are mappings, then. */
static void
mappings_list(struct snapshot *w)
{
	if (mappings_collect(&w->groups, &w->nrows) < 0)
		fail(1, "out of memory");
	w->ngroups = w->nrows;
	w->rows = xrealloc(w->rows, w->nrows, sizeof *w->rows);
	for (size_t i = 0; i < w->nrows; i++)
		w->rows[i] = &w->groups[i].sum;
}

/* Where others could be measured, one that has no file to be measured by was denied, or was when the tree was saved. */
static void
denied_mark(struct proc *const *rows, size_t n, unsigned sources)
{
	unsigned need = sources & (ROLLUP | SMAPS);
	bool any = false;

	for (size_t i = 0; i < n && need; i++)
		any = any || rows[i]->got & need;
	for (size_t i = 0; i < n && any; i++) {
		struct proc *p = rows[i];

		if (p->outcome == MEASURED && !(p->got & need) && !p->over_max_rss && !p->kthread && !p->zombie) {
			p->outcome = DENIED;
			p->error = ENOENT;
		}
	}
}

/* Who shares an address space belongs to what is saved. */
static void
save_shared_mm(struct snapshot *w)
{
	mark_shared_mm(w, w->rows, w->nrows);
	save_same_mm_lines(w->procs, w->n);
}

static void
snapshot_read(struct snapshot *w)
{
	current = w;
	w->began = seconds_now();
	w->began_ticks = ticks_now();
	keeping = KEEP_NOTHING;
	if (opt.save && (w->again || !opt.delta || opt.system)) {
		keeping = KEEP_ALL;
		save_keep(true);
	}
	privileges_raise(w->source->here);
	if (machine_read(w->source, &w->machine) < 0)
		fail(1, "out of memory");
	if (asked_sources() & STAT)
		w->machine.boot = machine_boot(w->source);
	pids_list(w);
	if (plan.first) {
		machine_slack(w->source, &w->machine);
		scan_procs(w->rows, w->nrows, plan.first | (w->machine.thread_slack ? STAT : 0u), 0, &w->seconds[0]);
		if (keeping)
			save_shared_mm(w);
		prune(w);
		keeping = keeping ? KEEP_MAPPINGS : KEEP_NOTHING;
	}
	if (opt.mappings) {
		mark_shared_mm(w, w->rows, w->nrows);
		shared_mm_denied = false;		/* those will be denied themselves */
		w->nrows = rows_partition(w, w->nrows, has_own_mm);
	}
	plan.top = plan.top && opt.limit < w->nrows;
	if (plan.top) {
		best.keys = xrealloc(NULL, opt.limit, sizeof *best.keys);
		best.least = 0;
	}
	scan_procs(w->rows, w->nrows, plan.main, 0, &w->seconds[1]);
	if (keeping == KEEP_ALL)
		save_shared_mm(w);
	keeping = keeping ? KEEP_ALL : KEEP_NOTHING;	/* of parents that are none of the rows */
	denied_mark(w->rows, w->nrows, plan.main);
	if (opt.mappings)
		mappings_list(w);
	w->counts.seconds = seconds_now() - w->began;
}

/* Ancestry */

static struct proc *
proc_find(struct proc *procs, size_t n, int64_t pid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (procs[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && procs[low].pid == pid ? &procs[low] : NULL;
}

/* Parents that no pass has asked for their names: read on demand, kept in a table of their own. */
static struct { struct proc **procs; size_t n; } parent_cache;

static struct proc *
parent_of(struct snapshot *w, const struct proc *p)
{
	struct proc *parent = p->ppid > 0 ? proc_find(w->procs, w->n, p->ppid) : NULL;
	double seconds = 0;

	if (p->ppid <= 0 || (parent && parent->got & STAT && parent->got & COMM))
		return parent;
	for (size_t i = 0; i < parent_cache.n; i++)
		if (parent_cache.procs[i]->pid == p->ppid)
			return parent_cache.procs[i];
	parent_cache.procs = xrealloc(parent_cache.procs, parent_cache.n + 1, sizeof *parent_cache.procs);
	parent = parent_cache.procs[parent_cache.n++] = xrealloc(NULL, 1, sizeof *parent);
	*parent = (struct proc){ .pid = p->ppid };
	scan_procs(&parent, 1, STAT | COMM, 0, &seconds);
	return parent;
}

/* systemd;sshd;bash: the folded form that flame graph tools take, so no ; and no blank inside a name. */
static void
ancestry_build(struct snapshot *w, struct proc *p)
{
	char *text = NULL;
	size_t len = 0;
	int depth = 0;

	for (struct proc *at = p; at && at->name && depth < 64; at = parent_of(w, at), depth++) {
		size_t n = strlen(at->name);
		char *more = xrealloc(NULL, n + len + 2, 1);

		memcpy(more, at->name, n);
		for (size_t i = 0; i < n; i++)
			more[i] = more[i] == ';' || isspace((unsigned char)more[i]) ? '_' : more[i];
		if (text)
			more[n++] = ';';
		memcpy(more + n, text ? text : "", len);
		len += n;
		more[len] = '\0';
		free(text);
		text = more;
	}
	p->ancestry = text;
}

/* What no pass reads, of the first N rows. */
static void
rows_fill(struct snapshot *w, size_t n, unsigned sources)
{
	for (size_t i = 0; i < n; i++) {
		struct proc *p = w->rows[i];

		if (sources & USER && !p->user)
			p->user = user_name(w->source, p->uid);
		if (sources & ANCESTRY && !p->ancestry)
			ancestry_build(w, p);
		if (sources & CHANGE && !opt.delta && !p->change)
			p->change = "same";	/* as itself, with one walk */
	}
}

/* Rows */

static int
text_compare(const char *a, const char *b)
{
	return !a || !b ? !a - !b : strcmp(a, b);
}

/* Smaller first, or largest first; unknown last in either. */
static int
number_sort(int64_t a, int64_t b, bool up)
{
	if (a == UNKNOWN || b == UNKNOWN)
		return (a == UNKNOWN) - (b == UNKNOWN);
	return up ? (a > b) - (a < b) : (a < b) - (a > b);
}

static int64_t
key_number(const struct field *key, const struct proc *p, bool magnitude)
{
	int64_t n = field_number(key, p);

	if (n == UNKNOWN || isnan(field_value(key, n, &current->machine, opt.interval)))
		return UNKNOWN;
	return magnitude && n < 0 ? -n : n;
}

static int
key_compare(const struct field *key, const struct proc *x, const struct proc *y, bool magnitude)
{
	bool up = key->up != opt.reverse;

	if (key->column->kind != TIME && is_text(key->column->kind)) {
		char buf[2][32];
		const char *a = field_text(key, x, &current->machine, buf[0]), *b = field_text(key, y, &current->machine, buf[1]);

		return !a || !b ? text_compare(a, b) : up ? text_compare(a, b) : text_compare(b, a);
	}
	if (strcmp(key->column->name, "pss") == 0 && key->how == VALUE && x->pss == UNKNOWN && y->pss == UNKNOWN)
		return number_sort(x->rss, y->rss, up);		/* the best that is known of them */
	return number_sort(key_number(key, x, magnitude), key_number(key, y, magnitude), up);
}

static bool
is_gone(const struct proc *p)
{
	return p->change && strcmp(p->change, "gone") == 0;
}

/* What a process is grouped by; of a group, the same. NULL: unknown. */
static const char *
group_key(const struct proc *p)
{
	struct field field = { opt.by, VALUE, false };

	return field_text(&field, p, &current->machine, NULL);
}

static int
row_compare(const void *a, const void *b)
{
	const struct proc *x = *(struct proc *const *)a, *y = *(struct proc *const *)b;
	const struct field *key = opt.keys;
	int order = opt.by ? (group_key(x) == NULL) - (group_key(y) == NULL) : 0;

	for (size_t i = 0; i < opt.nkeys && order == 0; i++)
		order = key_compare(&key[i], x, y, opt.magnitude && i == 0);
	if (order == 0 && opt.by)
		order = text_compare(group_key(x), group_key(y));
	else if (order == 0)
		order = opt.mappings ? mapping_compare(x, y) : number_sort(x->pid, y->pid, true);
	return order ? order : is_gone(y) - is_gone(x);
}

static bool
row_matches(const struct proc *p)
{
	if (!opt.mappings)
		return matches(p, &current->machine, ~0u);
	if (opt.mapping && !pattern_matches(opt.mapping, ((const struct group_row *)(const void *)p)->mapping))
		return false;
	return conditions_hold(p, &current->machine, ~0u);
}

/* Two walks */

static struct group_row nothing;	/* what a new process or mapping was */

static int64_t *
number_ptr(struct proc *p, const struct column *c)
{
	return (int64_t *)(void *)((char *)p + c->offset);
}

static bool
is_number(const struct column *c)
{
	return !is_text(c->kind) && !(c->source & SRC_NOT_IN_PROC);
}

/* P as it is after its end: nothing of what was known. */
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

/* What a process was before its start was known, or when it was not any more: it may have been another. */
static struct group_row unknown;

/* Rows of both walks: the second's, each with what it was, and the first's that are gone. Returns how many. */
static size_t
snapshots_match(const struct snapshot *before, const struct snapshot *after, struct proc **rows, struct proc *gone)
{
	size_t i = 0, j = 0, n = 0;

	group_row_init(&unknown);
	unknown.sum.outcome = DENIED;
	while (i < before->n || j < after->n) {
		struct proc *a = i < before->n ? &before->procs[i] : NULL, *b = j < after->n ? &after->procs[j] : NULL;
		bool paired = a && b && a->pid == b->pid, ended, doubt;

		if (a && b && a->pid != b->pid) {
			a = a->pid < b->pid ? a : NULL;
			b = a ? NULL : b;
		}
		i += a != NULL;
		j += b != NULL;
		ended = paired && b->zombie && is_row(a) && !is_row(b);
		doubt = paired && (a->start == UNKNOWN) != (b->start == UNKNOWN);
		if (paired && !ended && a->outcome != VANISHED && b->outcome != VANISHED && (doubt || a->start == b->start)) {
			b->prev = doubt ? &unknown.sum : a;
			b->change = doubt ? NULL : "same";
			rows[n++] = b;
			continue;
		}
		if (a && is_row(a)) {
			gone_init(gone, a);
			rows[n++] = gone++;
		}
		if (b && is_row(b)) {
			b->prev = &nothing.sum;
			b->change = "new";
			rows[n++] = b;
		}
	}
	return n;
}

/* The same for mappings. */
static size_t
mappings_match(const struct snapshot *before, const struct snapshot *after, struct proc **rows, struct group_row *gone)
{
	size_t i = 0, j = 0, n = 0;

	while (i < before->ngroups || j < after->ngroups) {
		struct group_row *a = i < before->ngroups ? &before->groups[i] : NULL, *b = j < after->ngroups ? &after->groups[j] : NULL;
		int order = !a ? 1 : !b ? -1 : mapping_compare(a, b);

		i += order <= 0;
		j += order >= 0;
		if (order < 0) {
			*gone = *a;
			gone->procs = 0;
			gone_init(&gone->sum, &a->sum);
			rows[n++] = &gone++->sum;
			continue;
		}
		b->sum.prev = order == 0 ? &a->sum : &nothing.sum;
		b->sum.change = order == 0 ? "same" : "new";
		rows[n++] = &b->sum;
	}
	return n;
}

static void
wait_until(double when)
{
	double left;

	while ((left = when - seconds_now()) > 0) {
		double nap = progress_wanted() && left > 1 ? 1 - (ceil(left) - left) : left;
		struct timespec t;

		progress_print("second walk in %.0f s", ceil(left));
		nap = nap > 0.001 ? nap : 0.001;
		t.tv_sec = (time_t)nap;
		t.tv_nsec = (long)((nap - (double)t.tv_sec) * 1e9);
		nanosleep(&t, NULL);
	}
	progress_end();
}

/* Are both known, and not the same? */
static bool
differ(const char *a, const char *b)
{
	return a && b && strcmp(a, b) != 0;
}

static bool start_apart;	/* starts of the first walk are counted from another boot */

/* A state of another machine, or from before it was started anew, has other processes under these pids. */
static void
since_check(const struct snapshot *before, const struct snapshot *after)
{
	const struct machine *a = &before->machine, *b = &after->machine;
	bool ids = a->boot_id && b->boot_id, host = differ(a->host, b->host), boot = differ(a->boot_id, b->boot_id);
	int64_t apart = ids ? UNKNOWN : kib_sub(machine_boot(after->source), machine_boot(before->source));

	boot = boot || (apart != UNKNOWN && (apart < -2 || apart > 2));
	if ((host || boot) && after->source->live)
		fail(1, "--since: %s is of %s%s: compare it with another saved state: -S FILE", opt.since, host ? "another host, " : "another boot of this host",
		    host ? a->host : "");
	start_apart = host || boot;
	if (host || boot)
		note("the states are of two %s: rows are matched by %s as best as can be", host ? "hosts" : "boots",
		    opt.by ? opt.by->name : opt.mappings ? "name" : "pid and start time");
	if (b->now - a->now < 0.001)
		fail(1, "--since: %s is not older than %s", opt.since, opt.source ? opt.source : "now");
}

/* The seconds between the walks, as measured. */
static void
interval_set(const struct snapshot *before, const struct snapshot *after)
{
	if (opt.since)
		since_check(before, after);
	opt.interval = opt.since ? after->machine.now - before->machine.now : after->began - before->began;
}

static const struct source *
source_get(const char *path)
{
	const char *why;
	const struct source *s = source_open(path, &why);

	if (!s)
		fail(1, "%s: %s", path ? path : "/proc", why);
	return s;
}

/* Totals */

/* Sums what adds up over all rows; with two walks only what is known in both, so that deltas are those of the totals. */
static void
sums_add(struct proc *total, struct proc *prev, struct proc *p)
{
	for (const struct column *c = columns; c->name; c++) {
		if (!is_number(c) || is_share(c->kind) || !sums(c->kind) || *number_ptr(p, c) == UNKNOWN)
			continue;
		if (p->prev && *number_ptr(p->prev, c) == UNKNOWN)
			continue;
		if (!p->same_mm)
			*number_ptr(total, c) = kib_add(*number_ptr(total, c), *number_ptr(p, c));
		if (p->prev && !p->prev->same_mm)
			*number_ptr(prev, c) = kib_add(*number_ptr(prev, c), *number_ptr(p->prev, c));
	}
}

/* An empty sum; with two walks, one of the first walk beside it. */
static void
row_start(struct group_row *row)
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
row_add(struct group_row *row, struct proc *p)
{
	sums_add(&row->sum, row->sum.prev, p);
	row->count += !is_gone(p);
	if (p->prev)
		((struct group_row *)(void *)row->sum.prev)->count += p->prev != &nothing.sum;
	if (p->pss != UNKNOWN && !p->same_mm && (!p->prev || p->prev->pss != UNKNOWN))
		row->pss_rss = kib_add(row->pss_rss, p->rss);
}

static int
group_compare(const void *a, const void *b)
{
	return text_compare(group_key(*(struct proc *const *)a), group_key(*(struct proc *const *)b));
}

/* Makes groups of the selected processes, and of these the rows. */
static void
group_rows(struct snapshot *w)
{
	const struct column *by = opt.by;
	struct group_row *groups = xrealloc(NULL, w->selected, sizeof *groups);
	size_t n = 0;

	if (w->selected > 1)
		qsort(w->rows, w->selected, sizeof *w->rows, group_compare);
	for (size_t i = 0; i < w->selected; i++) {
		if (i == 0 || group_compare(&w->rows[i - 1], &w->rows[i]) != 0) {
			row_start(&groups[n++]);
			if (!(by->source & MACHINE))
				*(const char **)(void *)((char *)&groups[n - 1] + by->offset) = group_key(w->rows[i]);
		}
		row_add(&groups[n - 1], w->rows[i]);
	}
	groups = xrealloc(groups, n, sizeof *groups);
	for (size_t i = 0; i < n; i++) {
		w->rows[i] = &groups[i].sum;
		if (asked_sources() & MEMCG && groups[i].sum.cgroup)
			cgroup_read(w->source, groups[i].sum.cgroup, &groups[i]);
	}
	w->made = groups;
	w->selected = n;
}

/* Filter, group, sort, limit. */
static void
rows_select(struct snapshot *w)
{
	size_t n = rows_partition(w, w->nrows, is_row);

	rows_fill(w, n, sources_of(opt.keys, opt.nkeys) | filter_sources() | (opt.by ? opt.by->source : 0u));
	w->selected = rows_partition(w, n, row_matches);
	if ((opt.totals || opt.by) && !opt.mappings)
		mark_shared_mm(w, w->rows, w->selected);
	if (opt.totals) {
		row_start(&w->total);
		for (size_t i = 0; i < w->selected; i++)
			row_add(&w->total, w->rows[i]);
	}
	if (opt.by)
		group_rows(w);
	if (w->selected > 1)
		qsort(w->rows, w->selected, sizeof *w->rows, row_compare);
	w->shown = w->selected < opt.limit ? w->selected : opt.limit;
}

/* Those that could not be among the first rows may be now that one of these is gone. */
static void
read_pruned(struct snapshot *w)
{
	struct proc **rest = xrealloc(NULL, w->nrows, sizeof *rest);
	size_t n = 0;

	plan.top = false;
	for (size_t i = 0; i < w->nrows; i++)
		if (w->rows[i]->outcome == SKIPPED)
			rest[n++] = w->rows[i];
	scan_procs(rest, n, plan.main, 0, &w->seconds[1]);
	free(rest);
}

/* What is only shown, for the rows that will be. True: some of them are gone or another by now. */
static bool
detail_read(struct snapshot *w)
{
	struct proc **todo;
	size_t n = 0;
	bool lost = false;

	if (!plan.has_detail)
		return false;
	todo = xrealloc(NULL, w->shown, sizeof *todo);
	for (size_t i = 0; i < w->shown; i++)
		if (!w->rows[i]->has_detail)
			todo[n++] = w->rows[i];
	if (n > 0)
		scan_procs(todo, n, plan.has_detail, plan.main, &w->seconds[2]);
	denied_mark(todo, n, plan.has_detail);
	for (size_t i = 0; i < n; i++) {
		lost = lost || todo[i]->outcome == VANISHED || todo[i]->pid_reused;
		todo[i]->pid_reused = false;
	}
	free(todo);
	if (lost && plan.top)
		read_pruned(w);
	return lost;
}

static void
self_find(struct snapshot *w)
{
	struct proc p = { .pid = source_self(w->source) }, *procs = &p;
	double seconds = 0;
	size_t n = 0;

	current = w;
	w->began = seconds_now();
	w->began_ticks = ticks_now();
	self = (int)p.pid;
	if (!self || !opt.process)
		return;
	do {
		scan_procs(&procs, 1, STAT, 0, &seconds);
		parents = xrealloc(parents, n + 2, sizeof *parents);
		parents[n++] = (int)p.pid;
		parents[n] = 0;
		p.pid = p.ppid;
	} while (p.pid > 1 && n < 64);
}

/* What is said of a run on stderr */

static void
counts_sum(struct snapshot *w)
{
	struct counts *c = &w->counts;
	bool spared;

	for (size_t i = 0; i < w->n; i++) {
		const struct proc *p = &w->procs[i];

		c->kernel_threads += p->kthread;
		c->zombies += p->zombie && !p->kthread;
		if (p->kthread || p->zombie)
			continue;
		c->processes++;
		spared = p->over_max_rss || (plan.has_detail & SRC_EXPENSIVE && !p->has_detail);
		c->outcome[p->outcome == MEASURED && spared ? SKIPPED : p->outcome]++;
	}
}

static void
pids_check(const struct snapshot *before, const struct snapshot *after)
{
	for (size_t i = 0; i < opt.npids; i++) {
		const struct proc *p = proc_find(after->procs, after->n, opt.pids[i]);

		if (p->outcome == VANISHED && p->tgid)
			error("--pid: %d is a thread of process %d", opt.pids[i], p->tgid);
		else if (p->outcome == VANISHED && (!before || proc_find(before->procs, before->n, opt.pids[i])->outcome == VANISHED))
			error("--pid: no process %d", opt.pids[i]);
	}
}

/* What this run could not do, by cause. */
struct problems {
	size_t denied, hidden, exe, failed, over_max_rss, fits_screen, measured, stalled, before;
	int error;		/* of one that failed */
	char pids[160];		/* of the stalled, as far as there is room */
};

static void
stalled_add(struct problems *l, int64_t pid)
{
	size_t len = strlen(l->pids);

	l->stalled++;
	if (len < sizeof l->pids - 26)
		snprintf(l->pids + len, sizeof l->pids - len, "%s%lld", len ? ", " : "", (long long)pid);
	else if (l->pids[len - 1] != '.')
		strcpy(l->pids + len, ", ...");
}

static void
denied_count(struct problems *l, const struct proc *p)
{
	bool refused = p->error == EACCES || p->error == EPERM || p->error == ENOENT, whole = !((plan.main | plan.has_detail) & ~p->got & (ROLLUP | SMAPS));

	if (p->error == EPERM && !(p->got & (STATM | ROLLUP)))
		l->hidden++;		/* hidepid=1 */
	else if (refused)
		(*(whole ? &l->exe : &l->denied))++;
	else {
		l->failed++;
		l->error = p->error;
	}
}

static void
problems_count(struct problems *l, const struct proc *p)
{
	if (p->kthread || p->zombie)
		return;
	if (p->outcome == STALLED)
		stalled_add(l, p->pid);
	if (p->outcome == DENIED)
		denied_count(l, p);
	l->over_max_rss += p->outcome != VANISHED && p->over_max_rss;
	l->measured += p->outcome == MEASURED && !p->over_max_rss;
	l->fits_screen += p->outcome == MEASURED && !p->over_max_rss && !(p->got & (ROLLUP | SMAPS));
	l->before += p->outcome == MEASURED && opt.delta && !opt.mappings && p->prev && (p->prev->outcome == DENIED || p->prev->outcome == STALLED);
}

static const char *
processes(size_t n)
{
	static char text[40];

	snprintf(text, sizeof text, "%zu process%s", n, n == 1 ? "" : "es");
	return text;
}

static void
damage_note(const struct source *s, const char *name)
{
	size_t unsafe, at = source_damage(s, &unsafe);

	if (at)
		note("%s: damaged at byte %zu: what follows is not read", name, at);
	if (unsafe)
		note("%s: %zu member%s with names that lead out of it: not read", name, unsafe, unsafe == 1 ? "" : "s");
}

/* True: files of the machine could not be read, and that was said. */
static bool
failures_note(void)
{
	const char *name;
	int error;
	size_t n = files_failed(&name, &error);

	if (n > 0)
		note("%s could not be read: %s%s; what it says is unknown", name, strerror(error), n > 1 ? ", nor others" : "");
	return n > 0;
}

static void
notes_print(const struct snapshot *w)
{
	bool root = geteuid() == 0 || has_cap(CAP_SYS_PTRACE);
	struct problems l = { 0 };

	for (size_t i = 0; i < w->n; i++)
		problems_count(&l, &w->procs[i]);
	if (l.denied)
		note("%s could not be measured (%s); %s", processes(l.denied), !w->source->live ? "not in what was saved" : root ? "refused even to root" :
		    release_from(w->machine.kernel, 6, 15) ? "need root or CAP_PERFMON" : "need root or CAP_SYS_PTRACE",
		    opt.mappings ? "left out" : "shown as -");
	if (l.hidden)
		note("%s could not be measured (hidepid: need root or CAP_SYS_PTRACE); shown as -", processes(l.hidden));
	if (l.exe)
		note("%s could not be read in full (%s); shown as -", processes(l.exe), root ? "refused even to root" : "need root or CAP_SYS_PTRACE");
	if (l.failed)
		note("%s could not be read: %s", processes(l.failed), strerror(l.error));
	if (l.before)
		note("%s could not be measured in the first walk; their changes are unknown", processes(l.before));
	if (!failures_note() && w->source->live && w->machine.mem_total == UNKNOWN)
		note("no meminfo in this /proc (subset=pid?): the machine's memory is unknown");
	if (l.stalled)
		note("%s stuck in the kernel, given up after %g s: pid %s; %s", processes(l.stalled), opt.timeout, l.pids,
		    opt.mappings ? "left out" : "shown with what else could be read");
	if (is_unprotected())
		note("no thread to be had: read alone, which a process stuck in the kernel would have held up for ever");
	if (l.over_max_rss)
		note("%s above --max-rss: page tables not walked, %s", processes(l.over_max_rss), opt.mappings ? "left out" : "shown with rss only");
	if (plan.main & (ROLLUP | SMAPS) && l.measured > 0 && l.fits_screen == l.measured)
		note("%s", opt.mappings ? "no smaps can be read: mappings are unknown" :
		    "this kernel has neither smaps_rollup nor smaps: pss and its kin are unknown");
	if (shared_mm_timeout)
		note("processes that share one address space may count twice in sums: the kernel does not tell in time");
	else if (shared_mm_denied)
		note("processes that share one address space count twice in sums (need root or CAP_SYS_PTRACE to tell)");
	if (opt.process && w->selected == 0)
		note("no process matches what -P asks for");
	for (size_t i = 0; i < opt.nfields + opt.nkeys && !opt.delta; i++)
		if ((i < opt.nfields ? opt.fields[i] : opt.keys[i - opt.nfields]).how != VALUE) {
			note("one walk shows no change: add -i SEC, or --since FILE");
			break;
		}
	if (source_hides(w->source, root))
		note("other users' processes are hidden (hidepid)");
}

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
verbose_print(const struct snapshot *w)
{
	const struct counts *c = &w->counts;

	plan_print("first, of all", plan.first);
	plan_print(plan.top ? "then, by falling size until the first rows are certain" : plan.first ? "then, of those left" : "of all", plan.main);
	plan_print("late, of the rows shown", plan.has_detail);
	fprintf(stderr, "memz: read by %u reader%s:", opt.jobs, opt.jobs == 1 ? "" : "s");
	for (unsigned bit = 0; bit < 32; bit++)
		if (files_opened[bit])
			fprintf(stderr, " %s %zu", source_file(1u << bit), files_opened[bit]);
	fprintf(stderr, "\nmemz: processes: %zu: measured %zu, denied %zu, vanished %zu, stalled %zu, skipped %zu; kernel threads %zu, zombies %zu\n",
	    c->processes, c->outcome[MEASURED], c->outcome[DENIED], c->outcome[VANISHED], c->outcome[STALLED], c->outcome[SKIPPED],
	    c->kernel_threads, c->zombies);
	fprintf(stderr, "memz: seconds: first %.4f, then %.4f, late %.4f, walk %.4f\n",
	    w->seconds[0], w->seconds[1], w->seconds[2], c->seconds);
}

/* Output */

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

/* The whole machine */

/* What one walk found of the machine, and what is said of it. */
struct state {
	const struct machine *machine;
	struct system system;
};

static struct {
	struct metric *list;
	size_t n, size;
	const char *section, *item;	/* of those that are added next */
} metrics;

/* One more, of the current section and item; its value is unknown until it is set. */
static struct metric *
metric_add(const char *name, enum metric_type type)
{
	struct metric *f;

	if (metrics.n == metrics.size)
		metrics.list = xrealloc(metrics.list, metrics.size = 2 * metrics.size + 256, sizeof *metrics.list);
	f = &metrics.list[metrics.n++];
	*f = (struct metric){ .section = metrics.section, .item = metrics.item, .name = name, .type = type, .n = UNKNOWN, .x = NAN };
	return f;
}

static void
metric_add_size(const char *name, int64_t kib)
{
	metric_add(name, SIZE)->n = kib;
}

static void
metric_add_number(const char *name, int64_t n)
{
	metric_add(name, NUMBER)->n = n;
}

static void
metric_add_fraction(const char *name, enum metric_type type, double x)
{
	metric_add(name, type)->x = x;
}

/* A section of N items, even of none. */
static void
list_begin(size_t n)
{
	if (n > 0)
		return;
	metrics.item = "";
	metric_add("", EMPTY);
	metrics.item = NULL;
}

static double
percent_of(int64_t part, int64_t whole)
{
	return part == UNKNOWN || whole == UNKNOWN || whole <= 0 ? NAN : 100 * (double)part / (double)whole;
}

static int64_t
memory_of(const struct state *s, const char *name)
{
	return counter_get(&s->machine->memory, name);
}

/* An area of memory, and of what it is made if processes map it. */
struct area {
	const char *name;
	int64_t total, before;		/* now, and at the first walk */
	int64_t processes, unmeasured, elsewhere;
};

static int64_t
huge_pages(const struct state *s)
{
	int64_t all = memory_of(s, "hugetlb"), n = memory_of(s, "huge_pages_total"), size = memory_of(s, "hugepagesize");

	if (all == UNKNOWN && n != UNKNOWN && size != UNKNOWN && __builtin_mul_overflow(n, size, &all))
		all = UNKNOWN;
	return all;
}

static int64_t
area_total(const struct state *s, const char *name)
{
	static const struct { const char *name, *key, *plus; } keys[] = {
		{ "anonymous", "anon_pages", NULL }, { "shmem", "shmem", NULL }, { "buffers", "buffers", NULL },
		{ "slab_reclaimable", "sreclaimable", NULL }, { "slab_unreclaimable", "sunreclaim", NULL },
		{ "kernel_stacks", "kernel_stack", NULL }, { "page_tables", "page_tables", "sec_page_tables" },
		{ "per_cpu", "percpu", NULL }, { "zswap", "zswap", NULL }, { "free", "mem_free", NULL },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return kib_add(memory_of(s, keys[i].key), keys[i].plus && memory_of(s, keys[i].key) != UNKNOWN ? memory_of(s, keys[i].plus) : UNKNOWN);
	if (strcmp(name, "file_cache") == 0)
		return kib_sub(memory_of(s, "cached"), memory_of(s, "shmem"));
	return strcmp(name, "zram") == 0 ? s->system.zram_used : huge_pages(s);
}

static const char *const area_names[] = {
	"anonymous", "shmem", "file_cache", "buffers", "slab_reclaimable", "slab_unreclaimable", "kernel_stacks", "page_tables",
	"per_cpu", "huge_pages", "zswap", "zram", "free",
};
#define NAREAS (sizeof area_names / sizeof *area_names)

/* What no area holds: negative where a container sees its own MemTotal and the host's kernel. */
static int64_t
kernel_other(const struct state *s)
{
	int64_t rest = s->machine->mem_total;

	for (size_t i = 0; i < NAREAS; i++)
		if (area_total(s, area_names[i]) != UNKNOWN)
			rest = kib_sub(rest, area_total(s, area_names[i]));
	return rest;
}

/* By how much all measured processes account for an area, and at most by how much the others. Kernels before 5.3 do not
 * divide pss, those before 4.5 do not divide rss: then it is unknown. */
static void
area_divide(struct area *a, const struct snapshot *w)
{
	static const struct { const char *name; size_t pss, rss; } parts[] = {
		{ "anonymous", offsetof(struct proc, pss_anon), offsetof(struct proc, rss_anon) },
		{ "shmem", offsetof(struct proc, pss_shmem), offsetof(struct proc, rss_shmem) },
		{ "file_cache", offsetof(struct proc, pss_file), offsetof(struct proc, rss_file) },
	};
	size_t i = 0;

	while (i < sizeof parts / sizeof *parts && strcmp(parts[i].name, a->name) != 0)
		i++;
	if (i == sizeof parts / sizeof *parts)
		return;
	a->processes = a->unmeasured = 0;
	for (size_t j = 0; j < w->n; j++) {
		const struct proc *p = &w->procs[j];
		bool measured = p->got & ROLLUP;
		int64_t part = number_at(p, measured ? parts[i].pss : parts[i].rss), *sum = measured ? &a->processes : &a->unmeasured;

		if (is_row(p) && !p->same_mm)
			*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : kib_add(*sum, part);
	}
	if (a->processes == UNKNOWN || a->unmeasured == UNKNOWN)
		a->processes = a->unmeasured = UNKNOWN;
	a->elsewhere = kib_sub(kib_sub(a->total, a->processes), a->unmeasured);
	a->elsewhere = a->elsewhere < 0 && a->elsewhere != UNKNOWN ? 0 : a->elsewhere;
}

static void
area_add(const struct area *a, const struct state *now)
{
	metrics.item = a->name;
	metric_add("area", LABEL)->text = a->name;
	metric_add_size("total", a->total);
	if (opt.delta)
		metric_add_size("delta", kib_sub(a->total, a->before));
	metric_add_size("processes", a->processes);
	metric_add_size("unmeasured", a->unmeasured);
	metric_add_size("elsewhere", a->elsewhere);
	metric_add_fraction("pct", PERCENTAGE, percent_of(a->total, now->machine->mem_total));
}

static void
areas_add(const struct snapshot *w, const struct state *before, const struct state *now)
{
	metrics.section = "areas";
	for (size_t i = 0; i <= NAREAS; i++) {
		struct area a = { .name = i < NAREAS ? area_names[i] : "kernel_other", .processes = UNKNOWN, .unmeasured = UNKNOWN, .elsewhere = UNKNOWN };

		a.total = i < NAREAS ? area_total(now, a.name) : kernel_other(now);
		a.before = i < NAREAS ? area_total(before, a.name) : kernel_other(before);
		area_divide(&a, w);
		area_add(&a, now);
	}
	metrics.item = NULL;
}

static void
sharing_add(const struct snapshot *w)
{
	struct group_row all;

	group_row_init(&all);
	for (size_t i = 0; i < w->n; i++)
		if (is_row(&w->procs[i]) && !w->procs[i].same_mm && w->procs[i].got & ROLLUP) {
			all.sum.rss = kib_add(all.sum.rss, w->procs[i].rss);
			all.sum.pss = kib_add(all.sum.pss, w->procs[i].pss);
			all.sum.shared = kib_add(all.sum.shared, w->procs[i].shared);
		}
	metrics.section = "sharing";
	metric_add_size("rss", all.sum.rss);
	metric_add_size("pss", all.sum.pss);
	metric_add_size("shared", all.sum.shared);
	metric_add_fraction("sharing_pct", PERCENTAGE, percent_of(kib_sub(all.sum.rss, all.sum.pss), all.sum.rss));
}

static void
swap_add(const struct state *s)
{
	metrics.section = "swap";
	metric_add_size("total", s->machine->swap_total);
	metric_add_size("used", s->machine->swap_used);
	metric_add_size("cached", memory_of(s, "swap_cached"));
	metric_add_size("zswap", memory_of(s, "zswap"));
	metric_add_size("zswapped", memory_of(s, "zswapped"));
	metric_add_size("zram", s->system.zram_used);
	metric_add_size("zram_data", s->system.zram_data);
}

static void
pressure_add(const struct state *s)
{
	double used = percent_of(s->machine->mem_used, s->machine->mem_total);

	metrics.section = "pressure";
	metric_add("level", WORD)->text = isnan(used) ? NULL : used < 60 ? "low" : used < 80 ? "medium" : used < 95 ? "high" : "critical";
	metric_add_fraction("used_pct", PERCENTAGE, used);
	for (int i = 0; i < 6; i++)
		metric_add_fraction(psi_names[i] + strlen("psi_"), PRESSURE, s->system.psi[i]);
}

static void
huge_pages_add(const struct state *s)
{
	metrics.section = "huge_pages";
	metric_add_size("size", memory_of(s, "hugepagesize"));
	metric_add_number("total", memory_of(s, "huge_pages_total"));
	metric_add_number("free", memory_of(s, "huge_pages_free"));
	metric_add_number("reserved", memory_of(s, "huge_pages_rsvd"));
	metric_add_number("surplus", memory_of(s, "huge_pages_surp"));
	metric_add_size("hugetlb", huge_pages(s));
	metric_add_size("thp_anon", memory_of(s, "anon_huge_pages"));
	metric_add_size("thp_shmem", memory_of(s, "shmem_huge_pages"));
	metric_add_size("thp_file", memory_of(s, "file_huge_pages"));
}

/* Kept until the program ends, as items are. */
__attribute__((format(printf, 1, 2))) static const char *
label(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		fail(1, "out of memory");
	va_end(args);
	return text;
}

static void
nodes_add(const struct state *s)
{
	metrics.section = "nodes";
	list_begin(s->system.nnodes);
	for (size_t i = 0; i < s->system.nnodes; i++) {
		const struct node *node = &s->system.nodes[i];
		int64_t total = counter_get(&node->memory, "mem_total"), free = counter_get(&node->memory, "mem_free");
		int64_t used = counter_get(&node->memory, "mem_used");

		metrics.item = label("node%d", node->id);
		metric_add("node", LABEL)->n = node->id;
		metric_add_size("total", total);
		metric_add_size("free", free);
		metric_add_size("used", used != UNKNOWN ? used : kib_sub(total, free));
		metric_add_size("file", counter_get(&node->memory, "file_pages"));
		metric_add_size("anon", counter_get(&node->memory, "anon_pages"));
		metric_add_size("slab", counter_get(&node->memory, "slab"));
	}
	metrics.item = NULL;
}

/* Free memory of each order, and how much of it lies in blocks too small for a huge page. */
static void
fragmentation_add(const struct state *s, int64_t page)
{
	static const char *const orders[ORDERS_MAX] = {
		"order0", "order1", "order2", "order3", "order4", "order5", "order6", "order7", "order8", "order9",
		"order10", "order11", "order12", "order13", "order14", "order15", "order16", "order17", "order18", "order19",
	};
	int64_t huge = memory_of(s, "hugepagesize");
	int most = 0;

	metrics.section = "fragmentation";
	list_begin(s->system.nzones);
	for (size_t i = 0; i < s->system.nzones; i++)
		most = s->system.zones[i].orders > most ? s->system.zones[i].orders : most;
	for (size_t i = 0; i < s->system.nzones; i++) {
		const struct zone *z = &s->system.zones[i];
		int64_t free = 0, fit = 0, order[ORDERS_MAX];

		for (int j = 0; j < z->orders; j++) {
			order[j] = z->blocks[j] == UNKNOWN || z->blocks[j] > INT64_MAX >> 40 ? UNKNOWN : z->blocks[j] * (page << j) / 1024;
			free = free == UNKNOWN || order[j] == UNKNOWN ? UNKNOWN : kib_add(free, order[j]);
			if (huge != UNKNOWN && (page << j) / 1024 >= huge)
				fit = kib_add(fit, order[j]);
		}
		metrics.item = label("node%d_%s", z->node, z->name);
		metric_add("node", LABEL)->n = z->node;
		metric_add("zone", LABEL)->text = z->name;
		metric_add_size("free", free);
		for (int j = 0; j < most; j++)
			metric_add_size(orders[j], j < z->orders ? order[j] : UNKNOWN);
		metric_add_fraction("unusable_pct", PERCENTAGE, huge == UNKNOWN ? NAN : percent_of(kib_sub(free, fit), free));
	}
	metrics.item = NULL;
}

/* The sum of the figures of vmstat whose names begin so: pages are stolen under a name for each zone before 4.8. */
static int64_t
vm_sum(const struct state *s, const char *start)
{
	int64_t sum = UNKNOWN;

	for (size_t i = 0; i < s->system.vm.n; i++)
		if (strncmp(s->system.vm.list[i].name, start, strlen(start)) == 0)
			sum = kib_add(sum, s->system.vm.list[i].value);
	return sum;
}

/* Per second between the walks. */
static void
rates_add(const struct state *before, const struct state *now)
{
	static const char *const reclaimers[] = { "pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged" };
	static const struct { const char *name, *key; } rates[] = {
		{ "faults", "pgfault" }, { "major_faults", "pgmajfault" }, { "swap_ins", "pswpin" }, { "swap_outs", "pswpout" },
		{ "reclaimed", NULL }, { "oom_kills", "oom_kill" },
	};

	metrics.section = "rates";
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		int64_t n = UNKNOWN;

		if (rates[i].key)
			n = kib_sub(counter_get(&now->system.vm, rates[i].key), counter_get(&before->system.vm, rates[i].key));
		for (size_t j = 0; j < 3 && !rates[i].key; j++)
			n = kib_add(n, kib_sub(vm_sum(now, reclaimers[j]), vm_sum(before, reclaimers[j])));
		metric_add_fraction(rates[i].name, PER_SECOND, n == UNKNOWN ? NAN : (double)n / opt.interval);
	}
}

static void
state_read(struct snapshot *w, struct state *state)
{
	state->machine = &w->machine;
	if (machine_read(w->source, &w->machine) < 0 || system_read(w->source, &state->system) < 0)
		fail(1, "out of memory");
}

/* With two walks only figures of the machine are read of the first. */
static void
system_report(struct snapshot *first, struct snapshot *w)
{
	static struct state before, now;

	if (opt.delta) {
		first->began = seconds_now();
		state_read(first, &before);
		if (!opt.since)
			wait_until(first->began + opt.interval);
	}
	now.machine = &w->machine;
	save_keep(opt.save);
	if (system_read(w->source, &now.system) < 0)
		fail(1, "out of memory");
	snapshot_read(w);
	if (opt.delta)
		interval_set(first, w);
	mark_shared_mm(w, w->rows, rows_partition(w, w->nrows, is_row));
	areas_add(w, opt.delta ? &before : &now, &now);
	sharing_add(w);
	swap_add(&now);
	pressure_add(&now);
	huge_pages_add(&now);
	nodes_add(&now);
	fragmentation_add(&now, w->source->page);
	if (opt.delta)
		rates_add(&before, &now);
	counts_sum(w);
	if (kernel_other(&now) != UNKNOWN && kernel_other(&now) < 0)
		note("kernel_other is negative: the kernel's counters are of more than this MemTotal (a container?)");
}

static void
report_snapshot(struct snapshot *w)
{
	int64_t most = 0;

	for (size_t i = 0; i < w->shown && bar_key(); i++) {
		int64_t n = field_number(bar_key(), w->rows[i]);

		n = n < 0 && n != UNKNOWN ? -n : n;
		most = n > most ? n : most;
	}
	report_print(&(struct report){
		.view = opt.system ? "system" : opt.by ? "groups" : opt.mappings ? "mappings" : "processes", .by = opt.by ? opt.by->name : NULL,
		.fields = opt.fields, .nfields = opt.nfields, .keys = opt.keys, .nkeys = opt.nkeys,
		.rows = (const void *const *)w->rows, .nrows = w->shown, .selected = w->selected,
		.machine = &w->machine, .counts = &w->counts,
		.totals = opt.totals ? &w->total : NULL, .metrics = metrics.list, .nmetrics = metrics.n,
		.interval = opt.interval, .unit = opt.unit, .header = opt.header, .rows_in_text = opt.limit > 0,
		.bar = bar_key(), .bar_most = most, .bold = !is_plain(), .width = terminal_width(),
	});
}

/* What alerts say */

static bool alerted;

static int64_t
counter_value(const char *name, const struct machine *m, const struct system *system)
{
	for (int i = 0; i < 6; i++)
		if (strcmp(name, psi_names[i]) == 0)
			return isnan(system->psi[i]) ? UNKNOWN : llround(1e6 * system->psi[i]);
	return strcmp(name, "mem_used") == 0 ? m->mem_used : strcmp(name, "swap_used") == 0 ? m->swap_used : counter_get(&m->memory, name);
}

/* What a row is called. */
static void
row_name(const struct proc *p, char *text, size_t size)
{
	if (opt.by)
		snprintf(text, size, "%s", group_key(p) ? group_key(p) : "-");
	else if (opt.mappings)
		snprintf(text, size, "%s", ((const struct group_row *)(const void *)p)->mapping);
	else
		snprintf(text, size, "pid %lld%s%s", (long long)p->pid, p->name || p->command ? " " : "", p->name ? p->name : p->command ? p->command : "");
}

/* On a figure of the machine: true if it holds, and was said. */
static bool
counter_alert(const struct alert *a, const struct snapshot *before, const struct snapshot *w, const struct report *r)
{
	static struct system system = { .nodes = NULL };
	static bool is_read;
	const struct field *field = &a->condition.field;
	struct group_row row, prev;
	char buf[64];
	int64_t n;

	if (!is_read && is_psi(a->counter) && system_read(w->source, &system) < 0)
		fail(1, "out of memory");
	is_read = is_read || is_psi(a->counter);
	group_row_init(&row);
	group_row_init(&prev);
	row.sum.pss = counter_value(a->counter, &w->machine, &system);
	if (before)
		prev.sum.pss = counter_value(a->counter, &before->machine, &system);
	row.sum.prev = before ? &prev.sum : NULL;
	n = field_number(field, &row);
	if (a->condition.percent && (field->column->kind == SWAP_KIB ? w->machine.swap_total : w->machine.mem_total) == UNKNOWN)
		n = UNKNOWN;		/* a share of what? */
	if (n == UNKNOWN || isnan(field_value(field, n, &w->machine, opt.interval))) {
		if (!a->either)
			error("--alert '%s': this machine does not say %s", a->text, a->counter);
		return false;
	}
	if (!condition_holds(&a->condition, &row.sum, &w->machine))
		return false;
	if (field->column->kind == MILLIONTHS)		/* the kernel says two decimals */
		alert_message("alert: %s: %.2f", a->text, (double)n / 1e6);
	else
		alert_message("alert: %s: %s", a->text, cell_text(r, field, &row, buf));
	return true;
}

static bool
rows_alert(const struct alert *a, const struct snapshot *w, const struct report *r)
{
	const struct field *field = &a->condition.field;
	const struct proc *most = NULL;
	char name[256], buf[64];
	size_t n = 0;

	for (size_t i = 0; i < w->selected; i++)
		if (condition_holds(&a->condition, w->rows[i], &w->machine)) {
			n++;
			if (!most || (!is_text(field->column->kind) && field_number(field, w->rows[i]) > field_number(field, most)))
				most = w->rows[i];
		}
	if (n == 0)
		return false;
	row_name(most, name, sizeof name);
	alert_message("alert: %s: %zu row%s, %s: %s (%s)", a->text, n, n == 1 ? "" : "s", is_text(field->column->kind) ? "the first" : "the largest",
	    cell_text(r, field, most, buf), name);
	return true;
}

static void
alerts_check(const struct snapshot *before, const struct snapshot *w)
{
	struct report r = { .machine = &w->machine, .interval = opt.interval, .unit = opt.format == TEXT_FORMAT ? opt.unit : 'a' };
	bool said = false;

	for (size_t i = 0; i < nalerts; i++) {
		const struct alert *a = &alerts[i];

		if (!said || !a->either || a->counter)
			said = a->counter ? counter_alert(a, before, w, &r) : rows_alert(a, w, &r);
		alerted = alerted || said;
	}
}

/* --list-columns: the table as a report of its own. */

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
		[TEXT] = "text", [TIME] = "time", [NODES] = "nodes", [FLAG] = "flag", [ID] = "number", [SCORE] = "number", [COUNT] = "number",
		[PEAK] = "size", [KIB] = "size", [SWAP_KIB] = "size", [PERCENT] = "percent", [SWAP_PERCENT] = "percent",
		[MILLIONTHS] = "percent", [BAR] = "percent",
	};

	return names[kind];
}

/* The files a column comes from, in TEXT of SIZE bytes. */
static void
source_names(char *text, size_t size, unsigned source)
{
	size_t n = 0;

	*text = '\0';
	for (unsigned bit = 1; bit; bit <<= 1)
		if (source & bit && source_file(bit) && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", source_file(bit));
	if (n == 0)
		snprintf(text, size, "%s", source & RSS ? "smaps_rollup or statm" : source & OWNER ? "owner of /proc/PID" :
		    source & MACHINE ? "the machine" : source & CHANGE ? "both walks" : source & GROUP ? "the group" :
		    source & MEMCG ? "memory controller" : "/proc");
}

/* Does this kernel offer it? Memz's own files, read into P, have it or not. */
static bool
is_offered(const struct source *s, const struct column *c, struct proc *p)
{
	struct group_row row = { .cg_usage = UNKNOWN };
	unsigned files = 0;

	for (unsigned bit = 1; bit; bit <<= 1)
		if (c->source & bit && (source_file(bit) || bit == OWNER))
			files |= bit;
	if (c->source & MEMCG && p->cgroup)
		cgroup_read(s, p->cgroup, &row);
	if (c->source & MEMCG)
		return row.cg_usage != UNKNOWN;
	return !(files & ~p->got) && (is_text(c->kind) || c->source & SRC_NOT_IN_PROC || *number_ptr(p, c) != UNKNOWN);
}

static int
columns_list(void)
{
	const struct source *s = source_get(NULL);
	struct proc p = { .pid = source_self(s) }, *procs = &p;
	struct field fields[NLISTING];
	const struct listing *rows[PICKS_MAX];
	static struct listing listing[PICKS_MAX];
	struct report r = { .view = "columns", .fields = fields, .nfields = NLISTING, .rows = (const void *const *)rows,
		.unit = 'K', .header = opt.header, .rows_in_text = true, .width = terminal_width() };
	struct scan pass = { .from = s, .procs = &procs, .n = 1, .want = ~0u, .most = UNKNOWN, .jobs = 1 };

	if (scan_run(&pass) < 0)
		fail(1, "cannot read: %s", strerror(errno));
	for (size_t i = 0; i < NLISTING; i++)
		fields[i] = (struct field){ &listing_columns[i], VALUE, false };
	for (const struct column *c = columns; c->name; c++) {
		struct listing *l = &listing[r.nrows];

		*l = (struct listing){ c->name, type_name(c->kind), l->files, c->help, is_offered(s, c, &p), "" };
		source_names(l->files, sizeof l->files, c->source);
		if (c->kind == BAR)
			strcpy(l->files, "the sort key");
		rows[r.nrows++] = l;
	}
	report_print(&r);
	if (p.outcome != MEASURED)
		note("memz's own files could not be read: %s; what they say counts as not offered", strerror(p.error));
	failures_note();
	return status;
}

/* Descriptors 0 to 2 are never one of /proc's files: where one is closed, it becomes one that takes nothing. */
static void
descriptors_guard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) != fd)
			_exit(1);
}

/* The second walk, --interval after the first; its rows are those of both. */
static struct snapshot *
snapshot_second(struct snapshot *before, const struct source *source)
{
	static struct snapshot after;
	struct proc **rows;

	if (opt.since && opt.mappings && before->ngroups == 0)
		fail(1, "--since: %s holds no mappings: they are saved with -m --save", opt.since);
	if ((opt.totals || opt.by) && !opt.mappings)
		mark_shared_mm(before, before->rows, before->nrows);
	rows_fill(before, before->nrows, asked_sources() & (USER | ANCESTRY));	/* those that will be gone cannot be asked */
	while (parent_cache.n > 0)
		free(parent_cache.procs[--parent_cache.n]);	/* their pids may be others' by then */
	after.source = source;
	after.again = true;
	if (!opt.since)
		wait_until(before->began + opt.interval);
	snapshot_read(&after);
	interval_set(before, &after);
	rows = xrealloc(NULL, before->n + after.n + before->ngroups + after.ngroups, sizeof *rows);
	if (opt.mappings)
		after.nrows = mappings_match(before, &after, rows, after.gone_mappings = xrealloc(NULL, before->ngroups, sizeof *after.gone_mappings));
	else
		after.nrows = snapshots_match(before, &after, rows, after.gone = xrealloc(NULL, before->n, sizeof *after.gone));
	for (size_t i = 0; i < after.nrows && start_apart; i++)
		if (is_gone(rows[i]))
			rows[i]->start = UNKNOWN;
	free(after.rows);
	after.rows = rows;
	return &after;
}

/* Which rows are shown, and what they still lack then. */
static void
rows_prepare(struct snapshot *w)
{
	do
		rows_select(w);
	while (detail_read(w));
	if (!opt.by && !opt.mappings)
		rows_fill(w, w->shown, sources_of(opt.fields, opt.nfields));
	if (!opt.by && !opt.mappings && nalerts > 0)
		rows_fill(w, w->selected, alert_sources());
	counts_sum(w);
}

static const char *
save_why(int error)
{
	return error == EEXIST ? "is there already, and is not overwritten" : strerror(error);
}

/* Ends --save, with the caller's own rights: W is what was read last. */
static void
save_finish(const struct snapshot *w)
{
	const struct source *s = w->source;

	for (size_t i = 0; i < opt.nuids; i++)
		user_name(s, opt.uids[i]);		/* saved like those who are seen: -U is understood later, too */
	privileges_raise(false);
	if (save_end(s, &w->machine, source_self(s), w->procs, w->n) < 0)
		error("--save: %s: %s", opt.save, save_why(errno));
}

int
main(int argc, char **argv)
{
	static struct snapshot first, last;
	struct snapshot *w = &first;
	const struct source *source;

	descriptors_guard();
	privileges_drop();
	setlocale(LC_CTYPE, "");
	options_parse(argc, argv);
	if (opt.list)
		return columns_list();
	if (argc == 1)
		screen_fit();
	wait_budget_set(opt.timeout);
	source = source_get(opt.source);
	privileges_raise(source->here);
	alerts_parse(source);
	users_resolve(source);
	privileges_raise(false);
	if (opt.save && save_begin(opt.save) < 0)
		fail(1, "--save: %s: %s", opt.save, save_why(errno));
	first.source = opt.since ? source_get(opt.since) : source;
	last.source = source;
	self_find(&last);
	plan = plan_compute(source);
	if (opt.system) {
		system_report(&first, &last);
		w = &last;
	} else {
		self_then = opt.since ? source_self(first.source) : 0;
		snapshot_read(w);
		if (opt.delta)
			w = snapshot_second(w, source);
	}
	if (!opt.system)
		rows_prepare(w);
	if (opt.save)
		save_finish(w);
	privileges_raise(source->here);
	report_snapshot(w);
	pids_check(w == &first ? NULL : &first, w);
	alerts_check(opt.delta ? &first : NULL, w);
	if (opt.source)
		damage_note(source, opt.source);
	if (opt.since)
		damage_note(first.source, opt.since);
	notes_print(w);
	if (fits_screen && w->counts.processes > w->shown)
		note("the largest of %zu processes; all and sums: -t, machine: -w, more: --help", w->counts.processes);
	if (opt.verbose)
		verbose_print(w);
	quit(alerted && !status ? 3 : status);
}
