/* report.c: the column table, units, and the writers of text, CSV and JSON. Prints what it is given, decides nothing. */
#define _GNU_SOURCE
#include "memz.h"

#include <langinfo.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

int64_t
row_number(const struct column *c, const void *row)
{
	return *(const int64_t *)(const void *)((const char *)row + c->offset);
}

int64_t
field_number(const struct field *field, const void *row)
{
	int64_t is = row_number(field->column, row);
	const struct proc *prev;

	if (field->how == VALUE || is == UNKNOWN)
		return is;
	prev = ((const struct proc *)row)->prev;
	return prev ? kib_sub(is, row_number(field->column, prev)) : 0;
}

double
field_scale(const struct field *field, int64_t number, const struct machine *m)
{
	enum kind kind = field->column->kind;
	int64_t total = kind == PERCENT ? m->mem_total : m->swap_total;

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

	if (is_share(field->column->kind) && prev && m->prev)	/* a percentage changes with its total, too */
		x = field_scale(field, row_number(field->column, row), m) - field_scale(field, row_number(field->column, prev), m->prev);
	else
		x = field_scale(field, field_number(field, row), m);
	if (field->how != RATE)
		return x;
	return interval > 0 ? x / interval : NAN;
}

/* A start: ticks after the boot. lxcfs gives the container's btime, but the starts are of the host: a start after the
 * scan, by more than the rounding of btime, is unknown. */
static const char *
start_text(int64_t ticks, const struct machine *m, char *buf)
{
	int64_t start;

	if (ticks == UNKNOWN || m->boot == UNKNOWN || __builtin_add_overflow(m->boot, ticks / sysconf(_SC_CLK_TCK), &start))
		return NULL;
	return (double)start > m->now + 1 ? NULL : time_text(start, buf);
}

const char *
field_text(const struct field *field, const void *row, const struct machine *m, char *buf)
{
	const struct column *c = field->column;

	if (c->kind == TIME)
		return start_text(row_number(c, row), m, buf);
	return *(const char *const *)(const void *)((c->source & MACHINE ? (const char *)m : (const char *)row) + c->offset);
}

#define BOLD		(10 * 1024)	/* KiB: a larger change stands out on a terminal */

/* Numbers */

static size_t
int_format(char *out, int64_t n, bool plus)
{
	return (size_t)sprintf(out, plus && n > 0 ? "+%lld" : "%lld", (long long)n);
}

/* 0, 812K, 12.3M, 1.0G: KiB in the unit that leaves less than 1024 of it. */
static size_t
human_format(char *out, int64_t kib, bool plus)
{
	uint64_t n = kib < 0 ? -(uint64_t)kib : (uint64_t)kib, tenths;
	const char *unit = "KMGTPE";

	if (n < 1024) {
		size_t len = int_format(out, kib, plus);

		if (n > 0)
			memcpy(out + len++, "K", 2);
		return len;
	}
	for (; n >> 40; n >>= 10)	/* keeps 10 n in range */
		unit++;
	for (unit++; (tenths = (n * 10 + 512) / 1024) >= 10240 && unit[1]; unit++)
		n = n / 1024 + (n % 1024 > 512);
	return (size_t)sprintf(out, "%s%llu.%llu%c", kib < 0 ? "-" : plus ? "+" : "", (unsigned long long)tenths / 10, (unsigned long long)tenths % 10, *unit);
}

static char
sign_of(double x, bool plus)
{
	return x < 0 ? '-' : plus && x > 0 ? '+' : 0;
}

/* X with one decimal, rounded as printf does. */
static size_t
fraction_format(char *out, double x, bool plus)
{
	int n;

	if (x > -0.05 && x < 0.05)
		x = 0;
	n = snprintf(out, 32, sign_of(x, plus) == '+' ? "+%.1f" : "%.1f", x);
	return n > 0 && n < 32 ? (size_t)n : 0;
}

static int64_t
nearest(int64_t n, int64_t unit)
{
	int64_t half = unit / 2;

	return n < 0 ? -nearest(-n, unit) : n > INT64_MAX - half ? n / unit : (n + half) / unit;
}

/* A size as the report's unit has it; text shows M and G with a decimal, the rest whole numbers. */
static size_t
size_text(char *out, int64_t kib, char unit, bool text, bool plus)
{
	int64_t per = unit == 'M' ? 1024 : 1024 * 1024, bytes;

	switch (unit) {
	case 'a':
		return human_format(out, kib, plus);
	case 'B':
		if (__builtin_mul_overflow(kib, 1024, &bytes))
			bytes = kib < 0 ? -INT64_MAX : INT64_MAX;
		return int_format(out, bytes, plus);
	case 'K':
		return int_format(out, kib, plus);
	}
	return text ? fraction_format(out, (double)kib / (double)per, plus) : int_format(out, nearest(kib, per), plus);
}

static size_t
rate_text(char *out, double kib, char unit, bool plus)
{
	if (unit == 'a' && (kib <= -1023.95 || kib >= 1023.95))
		return human_format(out, kib >= 0x1p63 ? INT64_MAX : kib <= -0x1p63 ? -INT64_MAX : (int64_t)kib, plus);
	if (unit == 'a') {
		size_t n = fraction_format(out, kib, plus);

		memcpy(out + n, "K", 2);
		return n + 1;
	}
	return fraction_format(out, kib * (unit == 'B' ? 1024 : unit == 'M' ? 1.0 / 1024 : unit == 'G' ? 1.0 / (1024 * 1024) : 1), plus);
}

/* How much of the largest number in R a row has, in percent; NAN: unknown. */
static double
bar_share(const struct report *r, const void *row)
{
	int64_t n = r->bar ? field_number(r->bar, row) : UNKNOWN;

	return n == UNKNOWN || r->bar_most <= 0 ? NAN : 100 * fabs((double)n) / (double)r->bar_most;
}

/* The number of a cell in OUT of 40 bytes, its length; 0: unknown. Text shows the sign of a change. */
static size_t
number_text(char *out, const struct report *r, const struct field *field, const void *row, bool text)
{
	int64_t n = field->column->kind == BAR ? 0 : field_number(field, row);
	enum kind kind = field->column->kind;
	bool plus = text && field->how != VALUE;
	double x;

	if (n == UNKNOWN)
		return 0;
	if (kind == BAR)
		return isnan(bar_share(r, row)) ? 0 : fraction_format(out, bar_share(r, row), false);
	if (!is_share(kind) && field->how != RATE)
		return is_size(kind) ? size_text(out, n, r->unit, text, plus) : int_format(out, n, plus);
	x = field_value(field, row, r->machine, r->interval);
	if (isnan(x))
		return 0;
	return is_size(kind) ? rate_text(out, x, r->unit, plus) : fraction_format(out, x, plus);
}

/* Texts */

static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* How many cells of a terminal C takes; -1: not to be shown there (controls, bidi, zero width, line separators). */
static int
cells(uint32_t c)
{
	if (is_control(c) || c == 0xad || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff)
		return -1;
	if (c < 0x300)
		return 1;
	return wcwidth((wchar_t)c) > 0 ? wcwidth((wchar_t)c) : -1;
}

/* The next character of S: how many bytes it has, how many cells of a terminal it takes, and whether it may be shown. */
static size_t
text_step(const char *s, bool unicode, size_t *width, bool *shown)
{
	uint32_t c;
	size_t n = utf8(s, &c);
	int w = n == 1 || (n > 1 && unicode) ? cells(c) : -1;

	*shown = w > 0;
	*width = w > 0 ? (size_t)w : 1;
	return n == 0 || !unicode ? 1 : n;
}

static bool
is_unicode(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void
text_tame(char *text)
{
	char *to = text;
	size_t width;
	bool shown;

	for (size_t n; *text; text += n) {
		n = text_step(text, is_unicode(), &width, &shown);
		for (size_t j = 0; j < (shown ? n : 1); j++)
			*to++ = shown ? text[j] : '?';
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

/* The text table */

/* FROM in upper case in TO, which has room for it. */
static char *
upper(char *to, const char *from)
{
	char *at = to;

	for (; *from; from++)
		*at++ = (char)(*from >= 'a' && *from <= 'z' ? *from - 'a' + 'A' : *from);
	*at = '\0';
	return to;
}

#define TEXT_LEAST	8	/* cells that a text keeps on a narrow terminal, if it has as many */
#define BAR_CELLS	10
#define BAR_AREA	20	/* cells of the bars of -w, at most */
#define BAR_MAX	60

/* A share of WIDTH cells, at most BAR_MOST, in eighths of a cell where the locale has them; in OUT of three bytes a cell. */
static void
bar_draw(char *out, double share, size_t width, bool unicode)
{
	static const char *const eighths[] = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589" };
	size_t n = share > 0 ? (size_t)(share * (double)width * 8 / 100 + 0.5) : 0;

	if (n > 8 * width)
		n = 8 * width;
	if (share > 0 && n == 0)
		n = 1;
	*out = '\0';
	for (size_t i = 0; i < (unicode ? n / 8 : (n + 7) / 8); i++)
		strcat(out, unicode ? "\u2588" : "#");
	if (unicode)
		strcat(out, eighths[n % 8]);
}

static bool
is_left(enum kind kind)
{
	return is_text(kind) || kind == BAR;
}

struct text_table {
	FILE *f;
	const struct report *r;
	bool unicode;
	size_t widths[PICKS_MAX];
	size_t bar;			/* cells for the bars of -w */
	size_t blanks;			/* owed before the next character; a line never ends in them */
};

static void
blanks_put(struct text_table *t)
{
	for (; t->blanks > 0; t->blanks--)
		putc_unlocked(' ', t->f);
}

static void
char_put(struct text_table *t, char c)
{
	if (c == ' ') {
		t->blanks++;
		return;
	}
	if (c != '\n')
		blanks_put(t);
	t->blanks = 0;
	putc_unlocked(c, t->f);
}

/* Puts S in at most MOST cells, ? for what must not reach a terminal; returns how many it took. */
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

static size_t
heading(char *out, size_t size, const struct field *field)
{
	static const char *const suffix[] = { [VALUE] = "", [DELTA] = "_delta", [RATE] = "_rate" };
	int n = snprintf(out, size, "%s%s", field->column->name, suffix[field->how]);

	return n > 0 ? (size_t)n : 0;
}

/* The cell's text in BUF of 64 bytes or elsewhere. */
const char *
cell_text(const struct report *r, const struct field *field, const void *row, char *buf)
{
	const char *text;

	if (is_text(field->column->kind))
		return (text = field_text(field, row, r->machine, buf)) ? text : "-";
	if (field->column->kind == FLAG)
		return row_number(field->column, row) ? "yes" : "no";
	if (field->column->kind == BAR && !isnan(bar_share(r, row))) {
		bar_draw(buf, bar_share(r, row), BAR_CELLS, is_unicode());
		return buf;
	}
	return number_text(buf, r, field, row, true) > 0 ? buf : "-";
}

static void
text_measure(struct text_table *t, const void *row)
{
	char buf[64];

	for (size_t i = 0; i < t->r->nfields; i++) {
		const char *text = cell_text(t->r, &t->r->fields[i], row, buf);
		bool ascii = text == buf && t->r->fields[i].column->kind != BAR;
		size_t width = ascii ? strlen(text) : text_width(text, t->unicode);

		if (width > t->widths[i])
			t->widths[i] = width;
	}
}

static size_t
columns_width(const struct text_table *t)
{
	size_t used = 0;

	for (size_t i = 0; i < t->r->nfields; i++)
		used += t->widths[i] ? t->widths[i] + 1 : 0;
	return used - 1;
}

/* Column I, a text, gets what the others leave of the terminal, but LEAST cells; false: that is still too much. */
static bool
column_clip(struct text_table *t, size_t i, size_t least)
{
	size_t used = columns_width(t), over = used > t->r->width ? used - t->r->width : 0;

	least = least < t->widths[i] ? least : t->widths[i];
	t->widths[i] = t->widths[i] > over + least ? t->widths[i] - over : least;
	return columns_width(t) <= t->r->width;
}

/* On a terminal the last column, if it is text, gets what the others leave; where that is nothing, the widest text. Where
 * that is not enough, the other texts are cut to 8 cells, and then numbers are left out, from the right. */
static void
text_fit(struct text_table *t)
{
	size_t n = t->r->nfields, last = n - 1, widest = n, full;

	if (t->r->width == SIZE_MAX || columns_width(t) <= t->r->width)
		return;
	for (size_t i = 0; i < n; i++)
		if (is_text(t->r->fields[i].column->kind) && (widest == n || t->widths[i] >= t->widths[widest]))
			widest = i;
	if (widest == n)
		return;
	full = t->widths[last];
	if (is_text(t->r->fields[last].column->kind)) {
		if (column_clip(t, last, strlen(t->r->fields[last].column->name)))
			return;
		t->widths[last] = full;
	}
	if (column_clip(t, widest, TEXT_LEAST))
		return;
	for (size_t i = 0; i < n; i++)
		if (is_text(t->r->fields[i].column->kind) && column_clip(t, i, TEXT_LEAST))
			return;
	for (size_t i = n; i-- > 2; )
		if (!is_text(t->r->fields[i].column->kind) && columns_width(t) > t->r->width)
			t->widths[i] = 0;
	if (columns_width(t) < t->r->width)
		t->widths[widest] += t->r->width - columns_width(t);	/* what has become free */
}

static void
text_raw(struct text_table *t, const char *s)
{
	while (*s)
		char_put(t, *s++);
}

static void
text_cell(struct text_table *t, size_t i, const char *text, bool bold)
{
	bool left = is_left(t->r->fields[i].column->kind);
	size_t most = left ? t->widths[i] : SIZE_MAX, width = left ? 0 : text_width(text, t->unicode);

	if (t->widths[i] == 0)		/* no room for it */
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

	if (!r->bold || field->how != DELTA || !is_size(field->column->kind) || (n = field_number(field, row)) == UNKNOWN)
		return false;
	return n > BOLD || n < -BOLD;
}

static void
text_row(struct text_table *t, const void *row)
{
	char buf[64];

	for (size_t i = 0; i < t->r->nfields; i++)
		text_cell(t, i, cell_text(t->r, &t->r->fields[i], row, buf), is_bold(t->r, &t->r->fields[i], row));
	char_put(t, '\n');
}

static void
text_header(struct text_table *t)
{
	char name[64];

	for (size_t i = 0; i < t->r->nfields; i++) {
		heading(name, sizeof name, &t->r->fields[i]);
		text_cell(t, i, upper(name, name), false);
	}
	char_put(t, '\n');
}

/* Of "processes" what one is called, and so on. */
static size_t
noun_length(const char *plural, size_t n)
{
	return strlen(plural) - (n != 1 ? 0 : strcmp(plural, "processes") == 0 ? 2 : 1);
}

/* Sums under their columns, and of how many rows they are: in the last column if that is text, else behind it. */
static void
text_totals(struct text_table *t)
{
	const struct report *r = t->r;
	char buf[64], label[96];
	size_t n = r->nfields, inside = is_left(r->fields[n - 1].column->kind) ? n - 1 : n, used = 0;

	snprintf(label, sizeof label, "total: %zu %.*s, %zu shown", r->selected, (int)noun_length(r->view, r->selected), r->view, r->nrows);
	for (size_t i = 0; i < inside; i++) {
		const struct field *field = &r->fields[i];
		bool left = is_left(field->column->kind), sum = !left && field->column->kind != ID;
		const char *text = sum ? cell_text(r, field, r->totals, buf) : "";

		if (t->widths[i] == 0)
			continue;
		t->blanks += t->widths[i] - strlen(text);
		text_raw(t, text);
		char_put(t, ' ');
		used += t->widths[i] + 1;
	}
	text_print(t, label, r->width == SIZE_MAX ? SIZE_MAX : r->width > used ? r->width - used : 0);
	char_put(t, '\n');
}

static void
text_write(FILE *f, const struct report *r)
{
	struct text_table t = { .f = f, .r = r, .unicode = is_unicode() };
	char name[64];

	if (!r->rows_in_text)
		return;
	for (size_t i = 0; i < r->nfields; i++)
		t.widths[i] = r->header ? heading(name, sizeof name, &r->fields[i]) : 1;
	for (size_t i = 0; i < r->nrows; i++)
		text_measure(&t, r->rows[i]);
	if (r->totals)
		text_measure(&t, r->totals);
	text_fit(&t);
	if (r->header)
		text_header(&t);
	for (size_t i = 0; i < r->nrows; i++)
		text_row(&t, r->rows[i]);
	if (r->totals)
		text_totals(&t);
}

/* CSV */

/* Must this character not stand in a CSV field as it is: would some reader see two lines, or no text at all? */
static bool
csv_escapes(size_t n, uint32_t c)
{
	return n == 0 || is_control(c) || c == 0x2028 || c == 0x2029;
}

/* A field; one with control bytes or invalid UTF-8 has them as \xHH, and then its backslashes doubled. */
static void
csv_text(FILE *f, const char *text)
{
	size_t len = strlen(text), n;
	bool quote = strpbrk(text, ",\"") || *text == ' ' || (len > 0 && text[len - 1] == ' '), escape = false;
	uint32_t c;

	for (const char *s = text; *s && !escape; s += n) {
		n = utf8(s, &c);
		escape = csv_escapes(n, c);
	}
	if (quote)
		putc_unlocked('"', f);
	for (const char *s = text; *s; s += n) {
		bool odd;

		n = utf8(s, &c);
		odd = csv_escapes(n, c);
		n = n ? n : 1;
		for (size_t i = 0; i < n; i++) {
			if (odd)
				fprintf(f, "\\x%02X", (unsigned char)s[i]);
			else
				putc_unlocked(s[i], f);
			if (s[i] == '"' || (escape && s[i] == '\\'))
				putc_unlocked(s[i], f);
		}
	}
	if (quote)
		putc_unlocked('"', f);
}

static void
csv_row(FILE *f, const struct report *r, const void *row)
{
	char buf[40];

	for (size_t i = 0; i < r->nfields; i++) {
		const struct field *field = &r->fields[i];
		const char *text = buf;

		buf[0] = '\0';
		if (is_text(field->column->kind))
			text = field_text(field, row, r->machine, buf);
		else if (field->column->kind == FLAG)
			text = row_number(field->column, row) ? "yes" : "no";
		else if (number_text(buf, r, field, row, false) == 0)
			text = NULL;
		if (i > 0)
			putc_unlocked(',', f);
		if (text && *text)
			csv_text(f, text);
		else if (r->nfields == 1)	/* an empty line would be no record */
			fputs("\"\"", f);
	}
	putc_unlocked('\n', f);
}

static void
csv_write(FILE *f, const struct report *r)
{
	char name[64];

	for (size_t i = 0; i < r->nfields && r->header; i++) {
		heading(name, sizeof name, &r->fields[i]);
		fprintf(f, "%s%c", name, i + 1 < r->nfields ? ',' : '\n');
	}
	for (size_t i = 0; i < r->nrows; i++)
		csv_row(f, r, r->rows[i]);
}

/* JSON */

static void
json_text(FILE *f, const char *s)
{
	if (!s) {
		fputs("null", f);
		return;
	}
	putc_unlocked('"', f);
	for (size_t n; *s; s += n) {
		uint32_t c;

		n = utf8(s, &c);
		if (n == 0) {
			fputs("\xef\xbf\xbd", f);	/* U+FFFD */
			n = 1;
		} else if (c == '"' || c == '\\')
			fprintf(f, "\\%c", (char)c);
		else if (is_control(c) || c == 0x2028 || c == 0x2029)
			fprintf(f, "\\u%04x", c);
		else
			fwrite(s, 1, n, f);
	}
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
	char buf[40];

	if (field->column->kind == NODES)
		json_nodes(f, field_text(field, row, r->machine, buf));
	else if (is_text(field->column->kind))
		json_text(f, field_text(field, row, r->machine, buf));
	else if (field->column->kind == FLAG)
		fputs(row_number(field->column, row) ? "true" : "false", f);
	else
		fputs(number_text(buf, r, field, row, false) > 0 ? buf : "null", f);
}

static void
json_row(FILE *f, const struct report *r, const void *row)
{
	char name[64];

	for (size_t i = 0; i < r->nfields; i++) {
		heading(name, sizeof name, &r->fields[i]);
		fprintf(f, "%c\"%s\":", i ? ',' : '{', name);
		json_cell(f, r, &r->fields[i], row);
	}
	putc_unlocked('}', f);
}

static void
json_size(FILE *f, const struct report *r, const char *name, int64_t kib)
{
	char buf[40];

	if (kib == UNKNOWN)
		strcpy(buf, "null");
	else
		size_text(buf, kib, r->unit, false, false);
	fprintf(f, "\"%s\":%s", name, buf);
}

static void
json_memory(FILE *f, const struct report *r)
{
	const struct machine *m = r->machine;
	const struct { const char *name; int64_t kib; } first[] = {
		{ "mem_total", m->mem_total }, { "mem_available", m->mem_available }, { "mem_used", m->mem_used },
		{ "swap_total", m->swap_total }, { "swap_used", m->swap_used },
	};
	const size_t nfirst = sizeof first / sizeof *first;

	fputs(",\"memory\":{", f);
	for (size_t i = 0; i < nfirst; i++) {
		if (i > 0)
			putc_unlocked(',', f);
		json_size(f, r, first[i].name, first[i].kib);
	}
	for (size_t i = 0; i < m->memory.n; i++) {
		const struct counter *g = &m->memory.list[i];
		size_t same_mm = 0;

		while (same_mm < nfirst && strcmp(first[same_mm].name, g->name) != 0)
			same_mm++;
		for (size_t j = 0; j < i && same_mm == nfirst; j++)
			same_mm = strcmp(m->memory.list[j].name, g->name) == 0 ? 0 : same_mm;
		if (same_mm < nfirst)
			continue;
		putc_unlocked(',', f);
		if (g->kib || g->value == UNKNOWN)
			json_size(f, r, g->name, g->value);
		else
			fprintf(f, "\"%s\":%lld", g->name, (long long)g->value);
	}
	putc_unlocked('}', f);
}

static void
json_scan(FILE *f, const struct counts *c)
{
	static const char *const names[OUTCOMES] = {
		[MEASURED] = "measured", [DENIED] = "denied", [VANISHED] = "vanished", [STALLED] = "stalled", [SKIPPED] = "skipped",
	};

	fprintf(f, ",\"scan\":{\"processes\":%zu", c->processes);
	for (size_t i = 0; i < OUTCOMES; i++)
		fprintf(f, ",\"%s\":%zu", names[i], c->outcome[i]);
	fprintf(f, ",\"kernel_threads\":%zu,\"zombies\":%zu,\"seconds\":%.3f}", c->kernel_threads, c->zombies, c->seconds);
}

/* The sums of the columns shown, and of pss, rss and shared where they were read for them. */
static void
json_totals(FILE *f, const struct report *r)
{
	static const char *const always[] = { "pss", "rss", "shared" };
	const struct group_row *t = r->totals;
	struct field field;
	char name[64];

	fprintf(f, ",\"totals\":{\"selected\":%zu,\"shown\":%zu", r->selected, r->nrows);
	for (size_t i = 0; i < r->nfields; i++) {
		if (!sums(r->fields[i].column->kind))
			continue;
		heading(name, sizeof name, &r->fields[i]);
		fprintf(f, ",\"%s\":", name);
		json_cell(f, r, &r->fields[i], t);
	}
	for (size_t i = 0; i < 3; i++) {
		bool shown = !field_by_name(always[i], strlen(always[i]), &field);

		for (size_t j = 0; j < r->nfields; j++)
			shown = shown || (r->fields[j].column == field.column && r->fields[j].how == VALUE);
		if (shown)
			continue;
		fprintf(f, ",\"%s\":", always[i]);
		json_cell(f, r, &field, t);
	}
	if (t->pss_rss > 0 && t->sum.pss != UNKNOWN)
		fprintf(f, ",\"sharing_pct\":%.1f}", 100 * (double)(t->pss_rss - t->sum.pss) / (double)t->pss_rss);
	else
		fputs(",\"sharing_pct\":null}", f);
}

static const char *
unit_name(char unit)
{
	return unit == 'K' ? "KiB" : unit == 'M' ? "MiB" : unit == 'G' ? "GiB" : "B";
}

static void
json_machine(FILE *f, const struct report *r)
{
	fputs(",\"time\":", f);
	json_text(f, r->machine->time);
	fputs(",\"host\":", f);
	json_text(f, r->machine->host);
	fputs(",\"kernel\":", f);
	json_text(f, r->machine->kernel);
	fprintf(f, ",\"unit\":\"%s\"", unit_name(r->unit));
	if (isnan(r->interval))
		fputs(",\"interval\":null", f);
	else if (r->interval > 0)
		fprintf(f, ",\"interval\":%.3f", r->interval);
	json_memory(f, r);
}

/* The whole machine: facts instead of rows */

/* The value of a fact in OUT of 40 bytes, or NULL: unknown. */
static const char *
metric_text(char *out, const struct report *r, const struct metric *f, bool text)
{
	if (f->text)
		return f->text;
	if (f->type >= PERCENTAGE && f->type <= PER_SECOND) {
		if (isnan(f->x))
			return NULL;
		snprintf(out, 40, f->type == PRESSURE ? "%.2f" : "%.1f", f->x);
		return out;
	}
	if (f->n == UNKNOWN)
		return NULL;
	if (f->type == SIZE)
		size_text(out, f->n, r->unit, text, text && strcmp(f->name, "delta") == 0);
	else
		int_format(out, f->n, false);
	return out;
}

static const char *
metric_unit(const struct report *r, const struct metric *f)
{
	static const char *const units[] = { [NUMBER] = "count", [PERCENTAGE] = "%", [PRESSURE] = "%", [PER_SECOND] = "/s", [WORD] = "", [LINE] = "", [LABEL] = "" };

	return f->type == SIZE ? unit_name(r->unit) : units[f->type];
}

/* The name of a metric in CSV: those of a list begin with the item, as anonymous_pct; of the size of an item that is all. */
static void
metric_name_csv(FILE *f, const struct metric *metric)
{
	bool size = strcmp(metric->name, "size") == 0 || (strcmp(metric->section, "areas") == 0 && strcmp(metric->name, "total") == 0);
	char name[PATH_MAX + 256];

	if (metric->item)
		snprintf(name, sizeof name, "%s%s%s", metric->item, size ? "" : "_", size ? "" : metric->name);
	csv_text(f, metric->item ? name : metric->name);
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
	const char *section = NULL, *item = NULL, *end = "";
	char buf[40];

	for (size_t i = 0; i < r->nmetrics; i++) {
		const struct metric *metric = &r->metrics[i];
		const char *value = metric_text(buf, r, metric, false);
		bool next = !same_text(section, metric->section);

		if (next) {
			fprintf(f, "%s%s\"%s\":%s", end, section ? "," : "", metric->section, metric->item ? "[" : "");
			end = metric->type == EMPTY ? "]" : metric->item ? "}]" : "}";
		}
		section = metric->section;
		if (metric->type == EMPTY)
			continue;
		fprintf(f, "%s\"%s\":", next ? "{" : item == metric->item ? "," : "},{", metric->name);
		if (metric->text)
			json_text(f, metric->text);
		else
			fputs(value ? value : "null", f);
		item = metric->item;
	}
	fputs(end, f);
}

/* How many facts from R->facts[I] on belong to one item, or to one section. */
static size_t
metrics_run(const struct report *r, size_t i, bool section)
{
	size_t n = i;

	while (n < r->nmetrics && same_text(r->metrics[n].section, r->metrics[i].section) && (section || r->metrics[n].item == r->metrics[i].item))
		n++;
	return n - i;
}

/* order3 is 3 in a heading that has ORDER before it: there are eleven of them. */
static const char *
metric_heading(const struct metric *f)
{
	return strncmp(f->name, "order", 5) == 0 ? f->name + 5 : f->name;
}

void
kib_text(char *buf, int64_t kib, char unit, bool plus)
{
	size_text(buf, kib, unit, true, plus);
}

/* One line of a table of metrics; what has no width is left out. Behind the numbers of an area are its bar and holder. */
static void
metrics_line(struct text_table *t, const struct metric *metrics, size_t n, bool heading)
{
	bool area = strcmp(metrics->section, "areas") == 0;
	char buf[40], drawn[3 * BAR_MAX + 1] = "";
	const char *holder = "";
	size_t bar, used = 0;

	for (size_t i = 0; i < n; i++) {
		const char *value = heading ? upper(buf, metric_heading(&metrics[i])) : metric_text(buf, t->r, &metrics[i], true);
		size_t width = text_width(value = value ? value : "-", t->unicode);
		bool left = metrics[i].type == LABEL;

		if (area && metrics[i].type == PERCENTAGE && !heading && metrics[i].x > 0)
			bar_draw(drawn, metrics[i].x, t->bar, t->unicode);
		if (metrics[i].type == WORD)
			holder = heading ? "HOLDER" : metrics[i].text;
		if (t->widths[i] == 0 || metrics[i].type == WORD)
			continue;
		t->blanks += left || width > t->widths[i] ? 0 : t->widths[i] - width;
		text_print(t, value, SIZE_MAX);
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

/* A list of items of N metrics each, as a table; areas have a bar each. Where the terminal is too narrow for the free
 * memory of each order, it goes. */
static void
metrics_table(struct text_table *t, const struct metric *metrics, size_t all, size_t n)
{
	bool area = strcmp(metrics->section, "areas") == 0, holder = false;
	size_t used = 0, gone = 0, left;
	char buf[40];

	for (size_t i = 0; i < n; i++) {
		holder = holder || metrics[i].type == WORD;
		t->widths[i] = metrics[i].type == WORD ? 0 : strlen(metric_heading(&metrics[i]));
	}
	for (size_t i = 0; i < all; i++) {
		const char *value = metrics[i].type == WORD ? NULL : metric_text(buf, t->r, &metrics[i], true);

		if (value && text_width(value, t->unicode) > t->widths[i % n])
			t->widths[i % n] = text_width(value, t->unicode);
	}
	for (size_t i = 0; i < n; i++)
		used += t->widths[i] ? t->widths[i] + 1 : 0;
	left = t->r->width > used ? t->r->width - used : 0;
	left = holder && left < 3 * BAR_AREA ? left / 3 : left;
	t->bar = !area || left < 5 ? 0 : left < BAR_AREA ? left : BAR_AREA;
	for (size_t i = 0; i < n && used > t->r->width; i++)
		if (metric_heading(&metrics[i]) != metrics[i].name) {
			gone += t->widths[i] + 1;
			t->widths[i] = 0;
		}
	used -= gone;
	for (size_t i = n - 1; i-- > 2 && used > t->r->width; )
		if (t->widths[i] > 0) {
			used -= t->widths[i] + 1;
			t->widths[i] = 0;
		}
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

		snprintf(word, sizeof word, " %s %s%s", metrics[i].name, value ? value : "-", value && *metric_unit(t->r, &metrics[i]) == '%' ? "%" : "");
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

/* A line of its own; on a terminal it continues below, indented. */
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
			t->blanks = 1;		/* and that before the word */
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

static void
json_write(FILE *f, const struct report *r)
{
	fprintf(f, "{\"memz\":\"%s\",\"schema\":1,\"view\":\"%s\"", MEMZ_VERSION, r->view);
	if (r->by)
		fprintf(f, ",\"by\":\"%s\"", r->by);
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

static void (*const writers[])(FILE *, const struct report *) = {
	[TEXT_FORMAT] = text_write, [CSV_FORMAT] = csv_write, [JSON_FORMAT] = json_write,
};

static void (*const metric_writers[])(FILE *, const struct report *) = {
	[TEXT_FORMAT] = metrics_write_text, [CSV_FORMAT] = metrics_csv, [JSON_FORMAT] = json_write,
};

void
report_write(FILE *f, const struct report *r, enum format format)
{
	(r->nmetrics ? metric_writers : writers)[format](f, r);
}
