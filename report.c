/*
 * report.c: writes what memz.c has selected, as text, CSV or JSON. It reads no file and decides nothing.
 *
 *  1. Fields
 *  2. Numbers and units
 *  3. Characters
 *  4. Text
 *  5. CSV
 *  6. JSON
 *  7. The whole machine
 *  8. The report
 */
#define _GNU_SOURCE
#include "memz.h"

#include <langinfo.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define HEADING_SIZE	64	/* bytes for the longest column name and its suffix */
#define SCAN_SECONDS	10	/* a process may start this long after the time of the scan, while it runs */
#define BOLD_KIB	(10 * 1024)	/* a larger change is bold on a terminal */
#define TEXT_LEAST	8	/* a text is not clipped to fewer cells */
#define BAR_CELLS	10
#define BAR_MAX		60

/* ---- 1. Fields ---- */

int64_t
row_number(const struct column *c, const void *row)
{
	return *(const int64_t *)(const void *)((const char *)row + c->offset);
}

int64_t
field_number(const struct field *field, const void *row)
{
	int64_t number = row_number(field->column, row);
	const struct proc *prev;

	if (field->how == VALUE || number == UNKNOWN)
		return number;
	prev = ((const struct proc *)row)->prev;
	return prev ? kib_sub(number, row_number(field->column, prev)) : 0;
}

/*
 * When a process started, in seconds since the epoch; TICKS count from boot. A start after the scan is
 * unknown: lxcfs shows the boot time of the container, but ticks count from the boot of the host.
 */
static int64_t
start_seconds(int64_t ticks, const struct machine *m)
{
	int64_t start;

	if (ticks == UNKNOWN || m->boot == UNKNOWN)
		return UNKNOWN;
	if (__builtin_add_overflow(m->boot, ticks / sysconf(_SC_CLK_TCK), &start) || start < 0)
		return UNKNOWN;
	return (double)start > m->now + SCAN_SECONDS ? UNKNOWN : start;
}

/* True if ROW, a process, has that change: new, gone. */
static bool
change_is(const void *row, const char *change)
{
	const struct proc *p = row;

	return p->change && strcmp(p->change, change) == 0;
}

/* The machine as it was when ROW, a process, was read: one that is gone counts from the boot of the first
 * snapshot. */
static const struct machine *
machine_of(const void *row, const struct machine *m)
{
	return change_is(row, "gone") && m->prev ? m->prev : m;
}

double
field_scale(const struct field *field, int64_t number, const struct machine *m)
{
	enum kind kind = field->column->kind;
	int64_t total = kind == PERCENT ? m->mem_total : m->swap_total;

	if (kind == TIME)
		number = start_seconds(number, m);
	if (number == UNKNOWN)
		return NAN;
	if (kind == MILLIONTHS)
		return (double)number / 1e6;
	if (!is_share(kind))
		return (double)number;
	return total > 0 ? 100 * (double)number / (double)total : NAN;
}

double
field_value(const struct field *field, const void *row, const struct machine *m, double interval)
{
	const struct proc *prev = field->how == VALUE ? NULL : ((const struct proc *)row)->prev;
	double x;

	if (field->column->kind == TIME)
		return field_scale(field, field_number(field, row), machine_of(row, m));
	if (is_share(field->column->kind) && prev && m->prev) {	/* a percentage changes with its total, too */
		x = field_scale(field, row_number(field->column, row), m);
		if (!change_is(row, "new"))
			x -= field_scale(field, row_number(field->column, prev), m->prev);
	} else
		x = field_scale(field, field_number(field, row), m);
	if (field->how != RATE)
		return x;
	return interval > 0 ? x / interval : NAN;
}

const char *
field_text(const struct field *field, const void *row, const struct machine *m, char *buf)
{
	const struct column *c = field->column;
	const void *base = row;

	if (c->kind == TIME)
		return time_text(start_seconds(row_number(c, row), machine_of(row, m)), buf);
	if (c->source & MACHINE)
		base = m;
	return *(const char *const *)(const void *)((const char *)base + c->offset);
}

static bool
same_field(const struct field *a, const struct field *b)
{
	return a->column == b->column && a->how == b->how;
}

/* The name of a field in CSV and JSON, in NAME. */
static void
field_name(char name[HEADING_SIZE], const struct field *field)
{
	static const char *const suffixes[] = { [VALUE] = "", [DELTA] = "_delta", [RATE] = "_rate" };

	snprintf(name, HEADING_SIZE, "%s%s", field->column->name, suffixes[field->how]);
}

/* ---- 2. Numbers and units ---- */

static const char *
plus_sign(double x, bool plus)
{
	return plus && x > 0 ? "+" : "";
}

/* These functions write to OUT, of 40 bytes, and return the length. PLUS: a number above 0 gets a +. */

static size_t
int_format(char *out, int64_t n, bool plus)
{
	return (size_t)sprintf(out, "%s%lld", plus_sign((double)n, plus), (long long)n);
}

/* X with one decimal, rounded as printf rounds; no "-0.0". */
static size_t
fraction_format(char *out, double x, bool plus)
{
	int n;

	if (x > -0.05 && x < 0.05)
		x = 0;
	n = snprintf(out, 32, "%s%.1f", plus_sign(x, plus), x);
	return n > 0 && n < 32 ? (size_t)n : 0;
}

/* KiB in the largest unit of which there is at least one: 0, 812K, 12.3M, 1.0G. */
static size_t
human_format(char *out, int64_t kib, bool plus)
{
	uint64_t n = kib < 0 ? -(uint64_t)kib : (uint64_t)kib, tenths;
	const char *sign = kib < 0 ? "-" : plus_sign((double)kib, plus), *unit = "KMGTPE";

	if (n < 1024)
		return (size_t)sprintf(out, "%s%llu%s", sign, (unsigned long long)n, n > 0 ? "K" : "");
	for (; n >> 40; n >>= 10)	/* 10 n must not overflow */
		unit++;
	for (unit++; (tenths = (n * 10 + 512) / 1024) >= 10240 && unit[1]; unit++)
		n = n / 1024 + (n % 1024 > 512);
	return (size_t)sprintf(out, "%s%llu.%llu%c", sign, (unsigned long long)tenths / 10,
	    (unsigned long long)tenths % 10, *unit);
}

/* How many KiB are one of UNIT. */
static double
unit_kib(char unit)
{
	switch (unit) {
	case 'B': return 1.0 / 1024;
	case 'M': return 1024;
	case 'G': return 1024 * 1024;
	}
	return 1;
}

/* N / UNIT, rounded to the nearest, halves away from zero. */
static int64_t
divide_nearest(int64_t n, int64_t unit)
{
	int64_t rest = n % unit, half = unit / 2;

	return n / unit + (rest >= half) - (rest <= -half);
}

/* A size. M and G have a decimal in text, and are whole numbers elsewhere. */
static size_t
size_text(char *out, int64_t kib, char unit, bool text, bool plus)
{
	int64_t bytes;

	switch (unit) {
	case 'a':
		return human_format(out, kib, plus);
	case 'K':
		return int_format(out, kib, plus);
	case 'B':
		if (__builtin_mul_overflow(kib, 1024, &bytes))
			bytes = kib < 0 ? -INT64_MAX : INT64_MAX;
		return int_format(out, bytes, plus);
	}
	if (text)
		return fraction_format(out, (double)kib / unit_kib(unit), plus);
	return int_format(out, divide_nearest(kib, (int64_t)unit_kib(unit)), plus);
}

/* A size per second, with a decimal in every unit. */
static size_t
rate_text(char *out, double kib, char unit, bool plus)
{
	const double most = 0x1.fffffffffffffp62;	/* the largest double that an int64_t can hold */
	size_t n;

	if (unit != 'a')
		return fraction_format(out, kib / unit_kib(unit), plus);
	if (fabs(kib) >= 1023.95)
		return human_format(out, (int64_t)fmax(-most, fmin(kib, most)), plus);
	n = fraction_format(out, kib, plus);
	strcpy(out + n, "K");
	return n + 1;
}

/* The length of a bar: the row's share of the largest number in R, in percent; NAN: unknown. */
static double
bar_share(const struct report *r, const void *row)
{
	int64_t n = r->bar ? field_number(r->bar, row) : UNKNOWN;

	if (n == UNKNOWN || r->bar_most <= 0)
		return NAN;
	return 100 * fabs((double)n) / (double)r->bar_most;
}

/* Writes the number of a cell to OUT. Returns the length; 0: unknown. TEXT: as text shows it, else as CSV and
 * JSON do. */
static size_t
number_text(char *out, const struct report *r, const struct field *field, const void *row, bool text)
{
	enum kind kind = field->column->kind;
	bool plus = text && field->how != VALUE;
	double x;
	int64_t n;

	if (kind == BAR) {
		x = bar_share(r, row);
		return isnan(x) ? 0 : fraction_format(out, x, false);
	}
	n = field_number(field, row);
	if (n == UNKNOWN)
		return 0;
	if (!is_share(kind) && field->how != RATE)
		return is_size(kind) ? size_text(out, n, r->unit, text, plus) : int_format(out, n, plus);
	x = field_value(field, row, r->machine, r->interval);
	if (isnan(x))
		return 0;
	return is_size(kind) ? rate_text(out, x, r->unit, plus) : fraction_format(out, x, plus);
}

static const char *
unit_name(char unit)
{
	switch (unit) {
	case 'K': return "KiB";
	case 'M': return "MiB";
	case 'G': return "GiB";
	}
	return "B";
}

/* ---- 3. Characters ---- */

static bool
is_unicode(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* C0, DEL and C1. */
static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Some readers take U+2028 and U+2029 for line ends. */
static bool
is_line_end(uint32_t c)
{
	return c == 0x2028 || c == 0x2029;
}

/* Soft hyphen, zero-width characters, line ends, what changes the direction of text, byte order mark. */
static bool
is_invisible(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{ 0xad, 0xad }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* The cells of a terminal that C takes; 0: a terminal must not get it. */
static size_t
char_width(uint32_t c)
{
	int width;

	if (is_control(c) || is_invisible(c))
		return 0;
	if (c < 0x300)
		return 1;
	width = wcwidth((wchar_t)c);
	return width > 0 ? (size_t)width : 0;
}

/* The bytes of the first character of S, its cells, and whether it is shown; if not, ? takes its place. */
static size_t
text_step(const char *s, bool unicode, size_t *width, bool *shown)
{
	uint32_t c;
	size_t n;

	*width = 1;
	*shown = *s >= ' ' && *s <= '~';	/* ASCII, as most characters are: nothing more to find out */
	if (*shown)
		return 1;
	n = utf8(s, &c);
	*width = n > 1 && unicode ? char_width(c) : 0;
	*shown = *width > 0;
	if (!*shown)
		*width = 1;
	return n == 0 || !unicode ? 1 : n;
}

void
text_tame(char *text)
{
	char *to = text;
	size_t width;
	bool shown;

	for (size_t n; *text; text += n) {
		n = text_step(text, is_unicode(), &width, &shown);
		if (shown)
			memmove(to, text, n);
		else
			*to = '?';
		to += shown ? n : 1;
	}
	*to = '\0';
}

static size_t
text_width(const char *s, bool unicode)
{
	size_t width = 0, w;
	bool shown;

	for (; *s; width += w)
		s += text_step(s, unicode, &w, &shown);
	return width;
}

/* FROM in upper case in TO, which may be FROM. */
static char *
upper(char *to, const char *from)
{
	size_t i = 0;

	for (; from[i]; i++)
		to[i] = (char)(from[i] >= 'a' && from[i] <= 'z' ? from[i] - 'a' + 'A' : from[i]);
	to[i] = '\0';
	return to;
}

#define BAR_AREA	20	/* cells of the bars of -w, at most */

/* A bar of SHARE percent of WIDTH cells in OUT, of 3 * WIDTH + 1 bytes; # where there is no UTF-8. */
static void
bar_draw(char *out, double share, size_t width, bool unicode)
{
	static const char *const eighths[] = {
		"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589",
	};
	size_t n = share > 0 ? (size_t)(fmin(share, 100) * (double)width * 8 / 100 + 0.5) : 0;
	size_t full;

	if (share > 0 && n == 0)
		n = 1;
	full = unicode ? n / 8 : (n + 7) / 8;
	*out = '\0';
	for (size_t i = 0; i < full; i++)
		strcat(out, unicode ? "\u2588" : "#");
	if (unicode)
		strcat(out, eighths[n % 8]);
}

/* ---- 4. Text ---- */

struct text_table {
	FILE *f;
	const struct report *r;
	bool unicode;
	bool base_names;		/* commands without the directory of the program */
	size_t widths[FIELDS_MAX];	/* of the columns; 0: dropped */
	size_t bar;			/* cells for the bars of -w */
	size_t blanks;			/* written before the next character, so that no line ends in one */
};

/* Texts and bars are left-aligned. */
static bool
is_left(enum kind kind)
{
	return is_text(kind) || kind == BAR;
}

static void
char_put(struct text_table *t, char c)
{
	if (c == ' ') {
		t->blanks++;
		return;
	}
	for (; t->blanks > 0 && c != '\n'; t->blanks--)
		putc_unlocked(' ', t->f);
	t->blanks = 0;
	putc_unlocked(c, t->f);
}

/* S as it is. */
static void
text_raw(struct text_table *t, const char *s)
{
	while (*s)
		char_put(t, *s++);
}

/* S in at most MOST cells, with ? for what a terminal must not get; returns how many cells it took. */
static size_t
text_print(struct text_table *t, const char *s, size_t most)
{
	size_t width = 0, w;
	bool shown;

	for (size_t n; *s; s += n, width += w) {
		n = text_step(s, t->unicode, &w, &shown);
		if (width + w > most)
			break;
		for (size_t i = 0; i < (shown ? n : 1); i++)
			char_put(t, shown ? s[i] : '?');
	}
	return width;
}

const char *
cell_text(const struct report *r, const struct field *field, const void *row, char *buf)
{
	enum kind kind = field->column->kind;
	const char *text;

	if (is_text(kind)) {
		text = field_text(field, row, r->machine, buf);
		return text ? text : "-";
	}
	if (kind == FLAG)
		return row_number(field->column, row) ? "yes" : "no";
	if (kind == BAR && !isnan(bar_share(r, row))) {
		bar_draw(buf, bar_share(r, row), BAR_CELLS, is_unicode());
		return buf;
	}
	return number_text(buf, r, field, row, true) > 0 ? buf : "-";
}

/* "/usr/sbin/sshd -D" without the directory: "sshd -D". "[kworker/0:1]" is a name and has none. */
static const char *
base_name(const char *command)
{
	size_t len = strcspn(command, " ");
	const char *slash = memrchr(command, '/', len);

	if (*command == '[' || !slash || slash + 1 == command + len)
		return command;
	return slash + 1;
}

static bool
is_command(const struct field *field)
{
	return strcmp(field->column->name, "command") == 0;
}

static bool
shows_command(const struct report *r)
{
	for (size_t i = 0; i < r->nfields; i++)
		if (is_command(&r->fields[i]))
			return true;
	return false;
}

/* As cell_text, in the form that fits the terminal. */
static const char *
table_text(const struct text_table *t, const struct field *field, const void *row, char *buf)
{
	const char *text = cell_text(t->r, field, row, buf);

	return t->base_names && is_command(field) ? base_name(text) : text;
}

static void
row_measure(struct text_table *t, const void *row)
{
	char buf[64];

	for (size_t i = 0; i < t->r->nfields; i++) {
		const struct field *field = &t->r->fields[i];
		const char *text = table_text(t, field, row, buf);
		size_t width = is_left(field->column->kind) ? text_width(text, t->unicode) : strlen(text);

		if (width > t->widths[i])
			t->widths[i] = width;
	}
}

static void
table_measure(struct text_table *t)
{
	const struct report *r = t->r;
	char name[HEADING_SIZE];

	for (size_t i = 0; i < r->nfields; i++) {
		field_name(name, &r->fields[i]);
		t->widths[i] = r->header ? strlen(name) : 1;
	}
	for (size_t i = 0; i < r->nrows; i++)
		row_measure(t, r->rows[i]);
	if (r->totals)
		row_measure(t, r->totals);
}

/* The width of a line: columns of WIDTHS, a blank between them. */
static size_t
line_width(const size_t *widths, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		used += widths[i] > 0 ? widths[i] + 1 : 0;
	return used > 0 ? used - 1 : 0;
}

static bool
fits(const struct text_table *t)
{
	return line_width(t->widths, t->r->nfields) <= t->r->width;
}

/* True if column I may be clipped. A part of a number or of a time would be another one. */
static bool
may_clip(const struct text_table *t, size_t i)
{
	return t->r->fields[i].column->kind == TEXT;
}

/* The width to which column I may be clipped: 8 cells, or its heading. */
static size_t
least_width(const struct text_table *t, size_t i)
{
	size_t least = strlen(t->r->fields[i].column->name);

	if (least < TEXT_LEAST)
		least = TEXT_LEAST;
	return may_clip(t, i) && t->widths[i] > least ? least : t->widths[i];
}

/* The first column, the group key and the sort keys are never dropped. */
static bool
is_key(const struct report *r, size_t i)
{
	const struct field *field = &r->fields[i];

	if (i == 0 || (r->by && strcmp(field->column->name, r->by) == 0))
		return true;
	for (size_t j = 0; j < r->nkeys; j++)
		if (same_field(&r->keys[j], field))
			return true;
	return false;
}

/* The width of a line in which all texts are clipped. TEXTS: of its texts alone. */
static size_t
least_line(const struct text_table *t, bool texts)
{
	size_t widths[FIELDS_MAX];

	for (size_t i = 0; i < t->r->nfields; i++)
		widths[i] = texts && !is_text(t->r->fields[i].column->kind) ? 0 : least_width(t, i);
	return line_width(widths, t->r->nfields);
}

/* Drops the rightmost column, or the rightmost text, but not a text that ends the line. False: none left. */
static bool
column_drop(struct text_table *t, bool text)
{
	for (size_t i = t->r->nfields; i-- > 0; ) {
		bool at_end = i + 1 == t->r->nfields && may_clip(t, i);
		bool other = text && !is_text(t->r->fields[i].column->kind);

		if (t->widths[i] == 0 || is_key(t->r, i) || at_end || other)
			continue;
		t->widths[i] = 0;
		return true;
	}
	return false;
}

/* Drops columns until the clipped line fits. Where texts take more than half of it, a text goes first. */
static void
columns_drop(struct text_table *t)
{
	size_t last = t->r->nfields - 1;

	while (least_line(t, false) > t->r->width) {
		if (least_line(t, true) > t->r->width / 2 && column_drop(t, true))
			continue;
		if (column_drop(t, false))
			continue;
		if (!is_key(t->r, last))
			t->widths[last] = 0;
		return;
	}
}

/* Clips the last column, if it is a text; false: that is not enough. */
static bool
last_clip(struct text_table *t)
{
	size_t last = t->r->nfields - 1, others = line_width(t->widths, last + 1) - t->widths[last];

	if (!may_clip(t, last) || others + least_width(t, last) > t->r->width)
		return false;
	t->widths[last] = t->r->width - others;
	return true;
}

/* Clips the widest texts until the line fits. */
static void
texts_clip(struct text_table *t)
{
	size_t n = t->r->nfields;

	while (!fits(t)) {
		size_t widest = 0;

		for (size_t i = 1; i < n; i++)
			if (may_clip(t, i) && (!may_clip(t, widest) || t->widths[i] > t->widths[widest]))
				widest = i;
		if (!may_clip(t, widest) || t->widths[widest] <= 1)
			return;
		if (t->widths[widest] > t->r->width)
			t->widths[widest] = t->r->width + 1;
		t->widths[widest]--;
	}
}

static void
text_fit(struct text_table *t)
{
	if (!fits(t) && shows_command(t->r)) {
		t->base_names = true;
		table_measure(t);
	}
	if (fits(t) || last_clip(t))
		return;
	columns_drop(t);
	texts_clip(t);
}

static void
text_cell(struct text_table *t, size_t i, const char *text, bool bold)
{
	bool left = is_left(t->r->fields[i].column->kind);
	size_t most = left ? t->widths[i] : SIZE_MAX;
	size_t width = left ? 0 : text_width(text, t->unicode);

	if (t->widths[i] == 0)
		return;
	if (!left && width < t->widths[i])
		t->blanks += t->widths[i] - width;
	if (bold)
		text_raw(t, "\033[1m");
	width = text_print(t, text, most);
	if (bold)
		text_raw(t, "\033[0m");
	if (left && width < t->widths[i])
		t->blanks += t->widths[i] - width;
	char_put(t, ' ');
}

static bool
is_bold(const struct report *r, const struct field *field, const void *row)
{
	int64_t n;

	if (!r->bold || field->how != DELTA || !is_size(field->column->kind))
		return false;
	n = field_number(field, row);
	return n != UNKNOWN && (n > BOLD_KIB || n < -BOLD_KIB);
}

static void
text_row(struct text_table *t, const void *row)
{
	const struct report *r = t->r;
	char buf[64];

	for (size_t i = 0; i < r->nfields; i++)
		text_cell(t, i, table_text(t, &r->fields[i], row, buf), is_bold(r, &r->fields[i], row));
	char_put(t, '\n');
}

static void
text_header(struct text_table *t)
{
	char name[HEADING_SIZE];

	for (size_t i = 0; i < t->r->nfields; i++) {
		field_name(name, &t->r->fields[i]);
		text_cell(t, i, upper(name, name), false);
	}
	char_put(t, '\n');
}

/* How much of PLURAL names N things: "process" of "processes" for 1. */
static int
noun_length(const char *plural, size_t n)
{
	size_t len = strlen(plural);

	if (n == 1)
		len -= strcmp(plural, "processes") == 0 ? 2 : 1;
	return (int)len;
}

/* The sums under their columns. The number of rows is in the last column if that is text, else after it. */
static void
text_totals(struct text_table *t)
{
	const struct report *r = t->r;
	size_t n = r->nfields, used = 0;
	char buf[64], label[96];

	if (is_left(r->fields[n - 1].column->kind))
		n--;
	for (size_t i = 0; i < n; i++) {
		enum kind kind = r->fields[i].column->kind;
		const char *text = "";

		if (t->widths[i] == 0)
			continue;
		if (!is_left(kind) && kind != ID)
			text = cell_text(r, &r->fields[i], r->totals, buf);
		t->blanks += t->widths[i] - strlen(text);
		text_raw(t, text);
		char_put(t, ' ');
		used += t->widths[i] + 1;
	}
	snprintf(label, sizeof label, "total: %zu %.*s, %zu shown", r->selected,
	    noun_length(r->view, r->selected), r->view, r->nrows);
	text_print(t, label, r->width > used ? r->width - used : 0);
	char_put(t, '\n');
}

static void
text_write(FILE *f, const struct report *r)
{
	struct text_table t = { .f = f, .r = r, .unicode = is_unicode() };

	if (!r->rows_in_text)
		return;
	table_measure(&t);
	text_fit(&t);
	if (r->header)
		text_header(&t);
	for (size_t i = 0; i < r->nrows; i++)
		text_row(&t, r->rows[i]);
	if (r->totals)
		text_totals(&t);
}

/* ---- 5. CSV ---- */

/* A character of N bytes (0: not UTF-8) that some CSV reader would take for a line end or refuse. */
static bool
csv_is_unsafe(size_t n, uint32_t c)
{
	return n == 0 || is_control(c) || is_line_end(c);
}

static bool
csv_has_unsafe(const char *s)
{
	uint32_t c;

	for (size_t n; *s; s += n) {
		n = utf8(s, &c);
		if (csv_is_unsafe(n, c))
			return true;
	}
	return false;
}

static bool
csv_needs_quotes(const char *text)
{
	size_t len = strlen(text);

	return strpbrk(text, ",\"") || *text == ' ' || (len > 0 && text[len - 1] == ' ');
}

static void
bytes_put(FILE *f, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putc_unlocked(s[i], f);
}

/* A character of N bytes. DOUBLE_BACKSLASH: the field has escapes. */
static void
csv_char(FILE *f, const char *s, size_t n, bool double_backslash)
{
	if (*s == '"' || (*s == '\\' && double_backslash))
		putc_unlocked(*s, f);
	bytes_put(f, s, n);
}

/* A field. Unsafe characters are written as \xHH, and the backslashes of such a field are doubled. */
static void
csv_text(FILE *f, const char *text)
{
	bool quotes = csv_needs_quotes(text), escapes = csv_has_unsafe(text), unsafe;
	uint32_t c;

	if (quotes)
		putc_unlocked('"', f);
	for (size_t n; *text; text += n) {
		n = utf8(text, &c);
		unsafe = csv_is_unsafe(n, c);
		n = n ? n : 1;
		for (size_t i = 0; i < n && unsafe; i++)
			fprintf(f, "\\x%02X", (unsigned char)text[i]);
		if (!unsafe)
			csv_char(f, text, n, escapes);
	}
	if (quotes)
		putc_unlocked('"', f);
}

/* The value of a cell, in BUF of 40 bytes or elsewhere; NULL: unknown. */
static const char *
csv_value(const struct report *r, const struct field *field, const void *row, char *buf)
{
	if (is_text(field->column->kind))
		return field_text(field, row, r->machine, buf);
	if (field->column->kind == FLAG)
		return row_number(field->column, row) ? "yes" : "no";
	return number_text(buf, r, field, row, false) > 0 ? buf : NULL;
}

static void
csv_row(FILE *f, const struct report *r, const void *row)
{
	char buf[40];

	for (size_t i = 0; i < r->nfields; i++) {
		const char *value = csv_value(r, &r->fields[i], row, buf);

		if (i > 0)
			putc_unlocked(',', f);
		if (value && *value)
			csv_text(f, value);
		else if (r->nfields == 1)	/* an empty line would be no record */
			fputs("\"\"", f);
	}
	putc_unlocked('\n', f);
}

static void
csv_write(FILE *f, const struct report *r)
{
	char name[HEADING_SIZE];

	for (size_t i = 0; i < r->nfields && r->header; i++) {
		field_name(name, &r->fields[i]);
		fprintf(f, "%s%c", name, i + 1 < r->nfields ? ',' : '\n');
	}
	for (size_t i = 0; i < r->nrows; i++)
		csv_row(f, r, r->rows[i]);
}

/* ---- 6. JSON ---- */

/* The first character of S; returns its bytes. One that is not UTF-8 becomes U+FFFD. */
static size_t
json_char(FILE *f, const char *s)
{
	uint32_t c;
	size_t n = utf8(s, &c);

	if (n == 0)
		fputs("\xef\xbf\xbd", f);
	else if (c == '"' || c == '\\')
		fprintf(f, "\\%c", (char)c);
	else if (is_control(c) || is_line_end(c))
		fprintf(f, "\\u%04x", c);
	else
		bytes_put(f, s, n);
	return n > 0 ? n : 1;
}

/* S as a string; NULL as null. */
static void
json_text(FILE *f, const char *s)
{
	if (!s) {
		fputs("null", f);
		return;
	}
	putc_unlocked('"', f);
	while (*s)
		s += json_char(f, s);
	putc_unlocked('"', f);
}

/* "0=12 1=34" as {"0":12,"1":34}. */
static void
json_nodes(FILE *f, const char *s)
{
	const char *start = s;

	if (!s) {
		fputs("null", f);
		return;
	}
	putc_unlocked('{', f);
	for (; *s; s += *s == ' ') {
		size_t id = strcspn(s, "="), n = strcspn(s + id, " ");

		fprintf(f, "%s\"%.*s\":%.*s", s == start ? "" : ",", (int)id, s, (int)n - 1, s + id + 1);
		s += id + n;
	}
	putc_unlocked('}', f);
}

static void
json_cell(FILE *f, const struct report *r, const struct field *field, const void *row)
{
	enum kind kind = field->column->kind;
	char buf[40];

	if (kind == NODES)
		json_nodes(f, field_text(field, row, r->machine, buf));
	else if (is_text(kind))
		json_text(f, field_text(field, row, r->machine, buf));
	else if (kind == FLAG)
		fputs(row_number(field->column, row) ? "true" : "false", f);
	else
		fputs(number_text(buf, r, field, row, false) > 0 ? buf : "null", f);
}

/* "name":value */
static void
json_member(FILE *f, const struct report *r, const struct field *field, const void *row)
{
	char name[HEADING_SIZE];

	field_name(name, field);
	fprintf(f, "\"%s\":", name);
	json_cell(f, r, field, row);
}

/* "time":...,"host":... */
static void
json_time(FILE *f, const struct machine *m)
{
	fputs("\"time\":", f);
	json_text(f, m->time);
	fputs(",\"host\":", f);
	json_text(f, m->host);
}

static void
json_row(FILE *f, const struct report *r, const void *row)
{
	for (size_t i = 0; i < r->nfields; i++) {
		putc_unlocked(i ? ',' : '{', f);
		json_member(f, r, &r->fields[i], row);
	}
	putc_unlocked('}', f);
}

static void
json_counter(FILE *f, const struct report *r, const struct counter *c)
{
	char buf[40];

	if (c->value == UNKNOWN)
		strcpy(buf, "null");
	else if (c->kib)
		size_text(buf, c->value, r->unit, false, false);
	else
		int_format(buf, c->value, false);
	fprintf(f, "\"%s\":%s", c->name, buf);
}

static bool
has_counter(const struct counter *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

/* The keys that every machine has come first. A key that stands twice in a saved meminfo is written once. */
static void
json_memory(FILE *f, const struct report *r)
{
	const struct machine *m = r->machine;
	const struct counter first[] = {
		{ "mem_total", m->mem_total, true }, { "mem_available", m->mem_available, true },
		{ "mem_used", m->mem_used, true }, { "swap_total", m->swap_total, true },
		{ "swap_used", m->swap_used, true },
	};
	const size_t nfirst = sizeof first / sizeof *first;
	const struct counter *list = m->memory.list;

	fputs(",\"memory\":{", f);
	for (size_t i = 0; i < nfirst; i++) {
		if (i > 0)
			putc_unlocked(',', f);
		json_counter(f, r, &first[i]);
	}
	for (size_t i = 0; i < m->memory.n; i++)
		if (!has_counter(first, nfirst, list[i].name) && !has_counter(list, i, list[i].name)) {
			putc_unlocked(',', f);
			json_counter(f, r, &list[i]);
		}
	putc_unlocked('}', f);
}

static void
json_scan(FILE *f, const struct counts *c)
{
	static const char *const names[OUTCOMES] = {
		[MEASURED] = "measured", [DENIED] = "denied", [VANISHED] = "vanished", [STALLED] = "stalled",
		[SKIPPED] = "skipped",
	};

	fprintf(f, ",\"scan\":{\"processes\":%zu", c->processes);
	for (size_t i = 0; i < OUTCOMES; i++)
		fprintf(f, ",\"%s\":%zu", names[i], c->outcome[i]);
	fprintf(f, ",\"kernel_threads\":%zu,\"zombies\":%zu,\"seconds\":%.3f}", c->kernel_threads, c->zombies,
	    c->seconds);
}

static bool
is_shown(const struct report *r, const struct field *field)
{
	for (size_t i = 0; i < r->nfields; i++)
		if (same_field(&r->fields[i], field))
			return true;
	return false;
}

/* The sums of the columns shown; and of pss, rss and shared, where the report read them. */
static void
json_totals(FILE *f, const struct report *r)
{
	static const char *const always[] = { "pss", "rss", "shared" };
	const struct group_row *t = r->totals;
	double rss = (double)t->pss_rss;
	struct field field;

	fprintf(f, ",\"totals\":{\"selected\":%zu,\"shown\":%zu", r->selected, r->nrows);
	for (size_t i = 0; i < r->nfields; i++)
		if (sums(r->fields[i].column->kind)) {
			putc_unlocked(',', f);
			json_member(f, r, &r->fields[i], t);
		}
	for (size_t i = 0; i < 3; i++)
		if (field_by_name(always[i], strlen(always[i]), &field) && !is_shown(r, &field)) {
			putc_unlocked(',', f);
			json_member(f, r, &field, t);
		}
	if (rss > 0 && t->sum.pss != UNKNOWN)
		fprintf(f, ",\"sharing_pct\":%.1f}", 100 * (rss - (double)t->sum.pss) / rss);
	else
		fputs(",\"sharing_pct\":null}", f);
}

/* A row of JSON lines: time and host first, and only once. --list-columns has neither. */
static void
jsonl_row(FILE *f, const struct report *r, const void *row)
{
	bool first = !r->machine;

	putc_unlocked('{', f);
	if (r->machine)
		json_time(f, r->machine);
	for (size_t i = 0; i < r->nfields; i++) {
		const struct column *c = r->fields[i].column;

		if (c->source & MACHINE && is_text(c->kind))
			continue;
		if (!first)
			putc_unlocked(',', f);
		first = false;
		json_member(f, r, &r->fields[i], row);
	}
	fputs("}\n", f);
}

static void
jsonl_write(FILE *f, const struct report *r)
{
	for (size_t i = 0; i < r->nrows; i++)
		jsonl_row(f, r, r->rows[i]);
}

static void
json_machine(FILE *f, const struct report *r)
{
	fputs(",\"kernel\":", f);
	json_text(f, r->machine->kernel);
	fprintf(f, ",\"unit\":\"%s\"", unit_name(r->unit));
	if (isnan(r->interval))
		fputs(",\"interval\":null", f);
	else if (r->interval > 0)
		fprintf(f, ",\"interval\":%.3f", r->interval);
	json_memory(f, r);
}

/* ---- 7. The whole machine ---- */

/* The value of a metric in OUT of 40 bytes, or NULL: unknown. */
static const char *
metric_text(char *out, const struct report *r, const struct metric *metric, bool text)
{
	if (metric->text)
		return metric->text;
	if (metric->type >= PERCENTAGE && metric->type <= PER_SECOND) {
		if (isnan(metric->x))
			return NULL;
		snprintf(out, 40, metric->type == PRESSURE ? "%.2f" : "%.1f", metric->x);
		return out;
	}
	if (metric->n == UNKNOWN)
		return NULL;
	if (metric->type == SIZE)
		size_text(out, metric->n, r->unit, text, text && strcmp(metric->name, "delta") == 0);
	else
		int_format(out, metric->n, false);
	return out;
}

static const char *
metric_unit(const struct report *r, const struct metric *metric)
{
	static const char *const units[] = {
		[NUMBER] = "count", [PERCENTAGE] = "%", [PRESSURE] = "%", [PER_SECOND] = "/s",
		[WORD] = "", [LINE] = "", [LABEL] = "",
	};

	return metric->type == SIZE ? unit_name(r->unit) : units[metric->type];
}

/* Writes the name of a metric in CSV. In a list it begins with the item, as anonymous_pct; the size of an
 * item has the name of the item. */
static void
metric_name_csv(FILE *f, const struct metric *metric)
{
	bool size = strcmp(metric->name, "size") == 0 ||
	    (strcmp(metric->section, "areas") == 0 && strcmp(metric->name, "total") == 0);
	char name[PATH_MAX + 256];

	if (!metric->item)
		snprintf(name, sizeof name, "%s", metric->name);
	else if (size)
		snprintf(name, sizeof name, "%s", metric->item);
	else
		snprintf(name, sizeof name, "%s_%s", metric->item, metric->name);
	csv_text(f, name);
}

/* section,name,value,unit; before them the fields that were asked for: time,host. */
static void
metrics_csv(FILE *f, const struct report *r)
{
	char buf[40];

	for (size_t i = 0; i < r->nfields && r->header; i++)
		fprintf(f, "%s,", r->fields[i].column->name);
	if (r->header)
		fputs("section,name,value,unit\n", f);
	for (size_t i = 0; i < r->nmetrics; i++) {
		const struct metric *metric = &r->metrics[i];
		const char *value = metric_text(buf, r, metric, false);

		if (metric->type >= LABEL)
			continue;
		for (size_t j = 0; j < r->nfields; j++) {
			const char *text = field_text(&r->fields[j], NULL, r->machine, NULL);

			csv_text(f, text ? text : "");
			putc_unlocked(',', f);
		}
		fprintf(f, "%s,", metric->section);
		metric_name_csv(f, metric);
		putc_unlocked(',', f);
		csv_text(f, value ? value : "");
		fprintf(f, ",%s\n", metric_unit(r, metric));
	}
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* "areas":[{"area":"anonymous","total":1},...],"sharing":{"rss":1,...} */
static void
metrics_json(FILE *f, const struct report *r)
{
	const char *section = NULL, *item = NULL, *end = "", *separator;
	char buf[40];

	for (size_t i = 0; i < r->nmetrics; i++) {
		const struct metric *metric = &r->metrics[i];
		const char *value = metric_text(buf, r, metric, false);

		separator = item == metric->item ? "," : "},{";
		if (!same_text(section, metric->section)) {
			fprintf(f, "%s%s\"%s\":%s", end, section ? "," : "", metric->section,
			    metric->item ? "[" : "");
			end = metric->item ? "}]" : "}";
			separator = "{";
		}
		section = metric->section;
		if (metric->type == EMPTY) {
			end = "]";
			continue;
		}
		fprintf(f, "%s\"%s\":", separator, metric->name);
		if (metric->text)
			json_text(f, metric->text);
		else
			fputs(value ? value : "null", f);
		item = metric->item;
	}
	fputs(end, f);
}

/* How many metrics from R->metrics[I] on belong to one item, or to one section. */
static size_t
metrics_run(const struct report *r, size_t i, bool section)
{
	size_t n = i;

	while (n < r->nmetrics && same_text(r->metrics[n].section, r->metrics[i].section) &&
	    (section || r->metrics[n].item == r->metrics[i].item))
		n++;
	return n - i;
}

/* The heading of order3 is 3, as there are many of them. */
static const char *
metric_heading(const struct metric *metric)
{
	return strncmp(metric->name, "order", 5) == 0 ? metric->name + 5 : metric->name;
}

void
kib_text(char *buf, int64_t kib, char unit, bool plus)
{
	size_text(buf, kib, unit, true, plus);
}

/* One line of a table of metrics; what has no width is left out. Behind the numbers of an area are its bar
 * and holder. */
static void
metrics_line(struct text_table *t, const struct metric *metrics, size_t n, bool heading)
{
	char buf[40], drawn[3 * BAR_MAX + 1] = "";
	const char *holder = "";
	size_t bar, used = 0;

	for (size_t i = 0; i < n; i++) {
		const char *value = metric_text(buf, t->r, &metrics[i], true);
		bool left = metrics[i].type == LABEL;
		size_t width;

		if (heading)
			value = upper(buf, metric_heading(&metrics[i]));
		value = value ? value : "-";
		width = text_width(value, t->unicode);
		if (t->bar > 0 && metrics[i].type == PERCENTAGE && !heading && metrics[i].x > 0)
			bar_draw(drawn, metrics[i].x, t->bar, t->unicode);
		if (metrics[i].type == WORD)
			holder = heading ? "HOLDER" : metrics[i].text;
		if (t->widths[i] == 0 || metrics[i].type == WORD)
			continue;
		t->blanks += left || width > t->widths[i] ? 0 : t->widths[i] - width;
		text_print(t, value, left ? t->widths[i] : SIZE_MAX);
		t->blanks += 1 + (left && width < t->widths[i] ? t->widths[i] - width : 0);
		used += t->widths[i] + 1;
	}
	bar = text_print(t, drawn, SIZE_MAX);
	t->blanks += t->bar - bar + 1;
	used += t->bar + 1;
	if (t->r->width > used)
		text_print(t, holder, t->r->width == SIZE_MAX ? SIZE_MAX : t->r->width - used);
	char_put(t, '\n');
}

#define LABEL_MIN	12	/* cells of a clipped label */

/* Drops column I of a table of metrics. Returns the cells that it took. */
static size_t
column_remove(struct text_table *t, size_t i)
{
	size_t cells = t->widths[i] ? t->widths[i] + 1 : 0;

	t->widths[i] = 0;
	return cells;
}

/* Makes a table of N columns, which takes USED cells, fit the terminal. Free memory by order goes first. Then
 * labels are clipped and dropped from the right, then other columns are, but not the last. The first two
 * stay. */
static void
metrics_fit(struct text_table *t, const struct metric *metrics, size_t n, size_t used)
{
	size_t width = t->r->width, orders = 0;

	for (size_t i = 0; i < n && used > width; i++)
		if (metric_heading(&metrics[i]) != metrics[i].name)
			orders += column_remove(t, i);
	used -= orders;
	for (size_t i = 1; i < n && used > width; i++)
		if (metrics[i].type == LABEL && metrics[i].text && t->widths[i] > LABEL_MIN) {
			size_t most = t->widths[i] - LABEL_MIN, over = used - width;

			over = over < most ? over : most;
			t->widths[i] -= over;
			used -= over;
		}
	for (size_t i = n; i-- > 2 && used > width; )
		if (metrics[i].type == LABEL)
			used -= column_remove(t, i);
	for (size_t i = n - 1; i-- > 2 && used > width; )
		used -= column_remove(t, i);
}

/* A list of items of N metrics each, as a table; areas have a bar each. */
static void
metrics_table(struct text_table *t, const struct metric *metrics, size_t all, size_t n)
{
	bool area = strcmp(metrics->section, "areas") == 0, holder = false;
	size_t used = 0, room;
	char buf[40];

	for (size_t i = 0; i < n; i++) {
		holder = holder || metrics[i].type == WORD;
		t->widths[i] = metrics[i].type == WORD ? 0 : strlen(metric_heading(&metrics[i]));
	}
	for (size_t i = 0; i < all; i++) {
		const char *value = metric_text(buf, t->r, &metrics[i], true);

		if (value && metrics[i].type != WORD && text_width(value, t->unicode) > t->widths[i % n])
			t->widths[i % n] = text_width(value, t->unicode);
	}
	for (size_t i = 0; i < n; i++)
		used += t->widths[i] ? t->widths[i] + 1 : 0;
	room = t->r->width > used ? t->r->width - used : 0;
	room = holder && room < 3 * BAR_AREA ? room / 3 : room;
	t->bar = room < BAR_AREA ? room : BAR_AREA;
	if (!area || room < 5)
		t->bar = 0;
	metrics_fit(t, metrics, n, used);
	if (t->r->header)
		metrics_line(t, metrics, n, true);
	for (size_t i = 0; i + n <= all; i += n)
		metrics_line(t, metrics + i, n, false);
}

/* A section that is no list: its name, then names and values, in lines of 80 cells. */
static void
metrics_words(struct text_table *t, const struct metric *metrics, size_t n)
{
	size_t used = 15, len;
	char buf[40], word[96];

	fprintf(t->f, "%-14s", metrics->section);
	for (size_t i = 0; i < n; i++) {
		const char *value = metric_text(buf, t->r, &metrics[i], true);

		snprintf(word, sizeof word, " %s %s%s", metrics[i].name, value ? value : "-",
		    value && *metric_unit(t->r, &metrics[i]) == '%' ? "%" : "");
		len = strlen(word) + (i > 0);
		if (used + len > (t->r->width < 80 ? t->r->width : 80) && i > 0) {
			fprintf(t->f, "\n%-14s", "");
			used = 15, len--;
		} else if (i > 0)
			putc_unlocked(' ', t->f);
		fputs(word, t->f);
		used += len;
	}
	putc_unlocked('\n', t->f);
}

/* A line of its own. What does not fit the terminal is in further lines, indented. */
static void
line_print(struct text_table *t, const char *text)
{
	size_t width = t->r->width < 20 ? 20 : t->r->width, used = 0;

	for (size_t len; *text; text += len) {
		char word[512];

		len = strspn(text, " ") + strcspn(text + strspn(text, " "), " ");
		len = len < sizeof word ? len : sizeof word - 1;
		snprintf(word, sizeof word, "%.*s", (int)len, text);
		if (used > 0 && used + text_width(word, t->unicode) > width) {
			char_put(t, '\n');
			t->blanks = 1;		/* the word begins with another one */
			used = 1;
		}
		used += text_print(t, word, SIZE_MAX);
	}
	char_put(t, '\n');
}

/* Lines, tables and words; tables stand between empty lines. */
static void
metrics_write_text(FILE *f, const struct report *r)
{
	struct text_table t = { .f = f, .r = r, .unicode = is_unicode() };
	bool gap = false;

	for (size_t i = 0, n; i < r->nmetrics; i += n) {
		const struct metric *first = &r->metrics[i];
		bool table = first->item != NULL;

		n = metrics_run(r, i, true);
		if (first->type == EMPTY)
			continue;
		if (i > 0 && (table || gap))
			putc_unlocked('\n', f);
		gap = table;
		if (first->type == LINE)
			for (size_t j = 0; j < n; j++)
				line_print(&t, first[j].text);
		else if (table)
			metrics_table(&t, first, n, metrics_run(r, i, false));
		else
			metrics_words(&t, first, n);
	}
}

/* ---- 8. The report ---- */

static void
json_object(FILE *f, const struct report *r, bool time_first)
{
	putc_unlocked('{', f);
	if (r->machine && time_first) {
		json_time(f, r->machine);
		putc_unlocked(',', f);
	}
	fprintf(f, "\"memz\":\"%s\",\"schema\":1,\"view\":\"%s\"", MEMZ_VERSION, r->view);
	if (r->by)
		fprintf(f, ",\"by\":\"%s\"", r->by);
	if (r->machine && !time_first) {
		putc_unlocked(',', f);
		json_time(f, r->machine);
	}
	if (r->machine)
		json_machine(f, r);
	if (r->counts)
		json_scan(f, r->counts);
	fprintf(f, ",\"%s\":%c", r->view, r->nmetrics ? '{' : '[');
	metrics_json(f, r);
	for (size_t i = 0; i < r->nrows; i++) {
		if (i > 0)
			putc_unlocked(',', f);
		json_row(f, r, r->rows[i]);
	}
	putc_unlocked(r->nmetrics ? '}' : ']', f);
	if (r->totals)
		json_totals(f, r);
	fputs("}\n", f);
}

static void
json_write(FILE *f, const struct report *r)
{
	json_object(f, r, false);
}

static void
jsonl_write_object(FILE *f, const struct report *r)
{
	json_object(f, r, true);
}

void
report_write(FILE *f, const struct report *r, enum format format)
{
	static void (*const writers[])(FILE *, const struct report *) = {
		[TEXT_FORMAT] = text_write, [CSV_FORMAT] = csv_write, [JSON_FORMAT] = json_write,
		[JSONL_FORMAT] = jsonl_write,
	};
	static void (*const metric_writers[])(FILE *, const struct report *) = {
		[TEXT_FORMAT] = metrics_write_text, [CSV_FORMAT] = metrics_csv, [JSON_FORMAT] = json_write,
		[JSONL_FORMAT] = jsonl_write_object,
	};

	(r->nmetrics ? metric_writers : writers)[format](f, r);
}
