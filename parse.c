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
#include <stdlib.h>
#include <string.h>
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
#define FILE_MOST	(1u << 20)	/* no file of a process is as long, */
#define CMDLINE_MOST	(1u << 26)	/* but for its command line */
#define READERS_MOST	64
#define FIGURES_MOST	512		/* of /proc/meminfo, which has 56 */
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

/* Texts of one reader, packed; they live as long as the program. Each piece begins with the place of the one before, so
 * that none is lost to a leak checker when its texts are no longer wanted. */
struct arena {
	char **last;
	char *at;
	size_t left;
};

struct share {
	unsigned id;
	int64_t kib;
};

/* Mappings by name and kind: open addressing, at most half full. */
struct table {
	struct row **slots;
	size_t n, size;
};

struct reader {
	pthread_t thread;
	struct pass *pass;
	struct buf buf;
	struct arena texts;
	int dir;			/* /proc/PID of the process being read */
	unsigned none;			/* sources that said: no such file, no such process */
	unsigned absent;		/* of these: no such file */
	int leader;			/* Tgid of status, if it is not the pid */
	bool empty;			/* statm is all zero: no memory at all */
	bool named;			/* comm is of this process: */
	char comm[4 * COMM_CUT + 4];	/* as stat has it; kernel workers have longer ones */
	struct share *nodes;
	size_t nnodes, nodes_size;
	struct table mappings;
	struct row vma;			/* the mapping being read */
	char vma_name[4 * PATH_MAX];
	unsigned vma_dev[2];
	bool in_vma, vma_huge;
	size_t opened[32];
};

size_t files_opened[32];

static struct reader *readers[READERS_MOST];
static struct proc blank;		/* every number unknown */

/* Numbers */

/* Where P has the number of a column. */
static int64_t *
field(struct proc *p, const struct column *c)
{
	return (int64_t *)(void *)((char *)p + c->offset);
}

void
row_empty(struct row *row)
{
	*row = (struct row){ .sum = blank, .procs = UNKNOWN, .pss_rss = UNKNOWN, .cg_usage = UNKNOWN, .cg_limit = UNKNOWN, .cg_swap = UNKNOWN, .cg_pct = UNKNOWN };
}

/* Makes `blank' what it is. */
static void
blank_fill(void)
{
	for (const struct column *c = columns; c->name; c++)
		if (!is_text(c->kind) && !(c->source & BEYOND))
			*field(&blank, c) = UNKNOWN;
	blank.start = UNKNOWN;
}

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

static void
derive(struct proc *p)
{
	p->uss = both(p->private_clean, p->private_dirty);
	p->shared = both(p->shared_clean, p->shared_dirty);
	p->thp = kib_add(p->anon_huge_pages, kib_add(p->shmem_pmd_mapped, p->file_pmd_mapped));
	p->hugetlb = kib_add(p->shared_hugetlb, p->private_hugetlb);
	p->pss_swap = both(p->pss, p->swap_pss);
}

/* The digits at S, after blanks; no digits, or more than 63 bits: unknown. */
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
	return n;
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

static bool
starts(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

/* Files */

/* The program's only read(): -1 with errno, 0 at the end. */
static ssize_t
fd_read(int fd, char *to, size_t size)
{
	ssize_t n;

	do
		n = read(fd, to, size);
	while (n < 0 && errno == EINTR);
	return n;
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

/* Reads NAME below DIR into B: NUL-terminated, LEN without the NUL, cut at MOST bytes; -1 with errno. A short read
 * is taken for the end where SHORT says so: true of /proc/PID's files that are made in one piece, and saves a call. */
static int
file_read(struct buf *b, int dir, const char *name, size_t most, bool is_short)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), error;
	ssize_t n = -1;
	size_t room;

	b->len = 0;
	if (fd < 0)
		return -1;
	for (;;) {
		if (b->size - b->len < 2048 && buf_grow(b, b->size ? 2 * b->size : 8192) < 0)
			break;
		room = b->size - b->len - 1;
		n = fd_read(fd, b->text + b->len, room);
		if (n > 0)
			b->len += (size_t)n;
		if (n <= 0 || b->len >= most || (is_short && (size_t)n < room))
			break;
	}
	error = errno;
	close(fd);
	errno = error;
	if (n < 0)
		return -1;
	b->len = b->len < most ? b->len : most;
	b->text[b->len] = '\0';
	return 0;
}

/* Gives each line of NAME below DIR to TAKE, NUL for newline, in bounded memory; a line of over 64 KiB is cut.
 * Returns how many lines there were, -1 with errno. */
static int64_t
file_lines(struct reader *r, const char *name, struct proc *p, void (*take)(struct reader *, struct proc *, char *))
{
	int fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC), error;
	size_t used = 0, size = 1u << 16;
	bool cut = false;
	int64_t lines = 0;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	while (buf_grow(&r->buf, size + 2) == 0 && (n = fd_read(fd, r->buf.text + used, size - used)) >= 0) {
		char *line = r->buf.text, *end, *stop = line + used + n;

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
		if (used == size) {
			line[used] = '\0';
			if (!cut && take)
				take(r, p, line);
			cut = true;
			used = 0;
		}
		memmove(r->buf.text, line, used);
	}
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : lines;
}

/* N bytes of TEXT, kept; NULL: no memory. */
static const char *
text_keep(struct arena *a, const char *text, size_t n)
{
	char *kept;

	if (n + 1 > a->left) {
		size_t size = n + 1 > 8192 ? n + 1 : 16384;
		char **piece = malloc(sizeof *piece + size);

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

static size_t
hash(const char *s, size_t h)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

/* The files of a process */

/* "Pss_Anon:            116 kB", in any order; a key that is there again is summed in smaps, else passed over. */
static void
size_line(struct proc *p, char *line, unsigned sources, bool sum, size_t *hint)
{
	size_t len = strcspn(line, ":");
	const struct column *c;

	if (line[len] != ':' || !(c = column_by_key(line, len, sources, hint)))
		return;
	if (sum || *field(p, c) == UNKNOWN)
		*field(p, c) = kib_add(*field(p, c), number(line + len + 1));
}

static void
smaps_line(struct reader *r, struct proc *p, char *line)
{
	size_t hint = 0;

	(void)r;
	size_line(p, line, ROLLUP | RSS, true, &hint);
}

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

static void
rollup_parse(struct reader *r, struct proc *p)
{
	char *at = r->buf.text, *line;
	size_t hint = 0, range = strcspn(at, " :\n");

	p->rss = UNKNOWN;	/* not statm's, which may be a moment older */
	if (at[range] == ' ') {		/* 5631d133e000-7ffed84cb000 ---p ... [rollup]: all mappings lie therein */
		at[range] = '\0';
		p->range = (unsigned)hash(at, 14695981039346656037u);
		at[range] = ' ';
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
	p->vsz = pages(n[0], r->pass->from);
	p->rss = pages(n[1], r->pass->from);
	if (!(p->got & STATUS))		/* whose word is as good, and is the one asked for */
		p->rss_anon = pages(kib_sub(n[1], n[2]), r->pass->from);
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
	p->state = *s ? text_keep(&r->texts, s, 1) : NULL;
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
			r->leader = number(line + 5) != p->pid && number(line + 5) > 0 ? (int)number(line + 5) : 0;
		else if (strncmp(line, "Uid:", 4) != 0)
			size_line(p, line, STATUS, false, &hint);
		else if (!r->pass->from->live) {	/* Uid: real effective saved fs */
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
	p->name = text_keep(&r->texts, b->text, strnlen(b->text, b->len));
}

static void
cmdline_parse(struct reader *r, struct proc *p)
{
	struct buf *b = &r->buf;

	while (b->len > 0 && b->text[b->len - 1] == '\0')
		b->len--;
	for (size_t i = 0; i < b->len; i++)
		if (b->text[i] == '\0')
			b->text[i] = ' ';
	p->command = text_keep(&r->texts, b->text, b->len);
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
	return unit ? text_keep(&r->texts, unit, len) : NULL;
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
	return hex == 64 && !memmem(name, n, "conmon", 6) ? hex : 0;	/* kubepods-pod1-ID, and not the monitor beside it */
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
	return found ? text_keep(&r->texts, found, len) : NULL;
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
			p->cgroup = text_keep(&r->texts, paths[i], strlen(paths[i]));
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
	int64_t kib = size ? number(size + 19) : r->pass->from->page / 1024;

	(void)p;
	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		int64_t id = *word == 'N' ? number(word + 1) : UNKNOWN, n;
		char *equals = strchr(word, '=');
		size_t i = 0;

		if (id < 0 || id > INT32_MAX || !equals || (n = number(equals + 1)) == UNKNOWN || kib == UNKNOWN)
			continue;
		while (i < r->nnodes && r->nodes[i].id < (unsigned)id)
			i++;
		if (i == r->nnodes || r->nodes[i].id != (unsigned)id) {
			if (r->nnodes == r->nodes_size) {
				struct share *more = realloc(r->nodes, (2 * r->nodes_size + 8) * sizeof *more);

				if (!more)
					return;
				r->nodes = more;
				r->nodes_size = 2 * r->nodes_size + 8;
			}
			memmove(r->nodes + i + 1, r->nodes + i, (r->nnodes++ - i) * sizeof *r->nodes);
			r->nodes[i] = (struct share){ (unsigned)id, 0 };
		}
		r->nodes[i].kib = __builtin_mul_overflow(n, kib, &n) ? INT64_MAX : kib_add(r->nodes[i].kib, n);
	}
}

static int
numa_take(struct reader *r, struct proc *p, const char *name)
{
	size_t used = 0;

	r->nnodes = 0;
	if (file_lines(r, name, p, numa_line) < 0)
		return -1;
	if (buf_grow(&r->buf, 40 * r->nnodes + 1) < 0)
		return -1;
	for (size_t i = 0; i < r->nnodes; i++)
		used += (size_t)sprintf(r->buf.text + used, "%s%u=%lld", i ? " " : "", r->nodes[i].id, (long long)r->nodes[i].kib);
	p->numa = text_keep(&r->texts, r->buf.text, used);
	return 0;
}

static int
maps_take(struct reader *r, struct proc *p, const char *name)
{
	int64_t lines = file_lines(r, name, p, NULL);

	if (lines < 0)
		return -1;
	p->maps = lines;
	return 0;
}

static int
smaps_take(struct reader *r, struct proc *p, const char *name)
{
	p->rss = UNKNOWN;
	return file_lines(r, name, p, smaps_line) < 0 ? -1 : 0;
}

/* The mounts of the machine that S is; of another one's live /proc, those of its first process, for self is here. */
static int
mounts_read(const struct source *s, struct buf *b)
{
	static const char *const names[] = { "self/mountinfo", "1/mountinfo" };
	bool other = s->live && s->root >= 0;

	if (file_read(b, s->proc, names[other], SIZE_MAX, false) == 0)
		return 0;
	return file_read(b, s->proc, names[!other], SIZE_MAX, false);
}

/* Mappings */

/* What is mounted where tells tmpfs and hugetlbfs files from others: by device, as smaps has it. */
static struct {
	struct { unsigned dev[2]; bool huge; } *mounts;
	size_t n;
} memory_mounts;

/* 08:02, hexadecimal in smaps, decimal in mountinfo. */
static void
device_read(const char *s, int base, unsigned dev[2])
{
	char *end;

	dev[0] = (unsigned)strtoul(s, &end, base);
	dev[1] = *end == ':' ? (unsigned)strtoul(end + 1, NULL, base) : 0;
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
		device_read(line, 10, dev);
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
static struct row **
table_slot(const struct table *t, const char *name, const char *kind)
{
	size_t i = hash(kind, hash(name, 14695981039346656037u)) & (t->size - 1);

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
			*field(to, c) = kib_add(*field(to, c), *field(p, c));
	to->vsz = kib_add(to->vsz, p->vsz);
	to->maps = kib_add(to->maps, p->maps);
}

/* The mapping that was read is whole: adds it to the others of its name and kind. No memory: it is denied. */
static void
vma_end(struct reader *r, struct proc *p)
{
	const char *kind;
	struct row **slot;

	if (!r->in_vma)
		return;
	r->in_vma = false;
	kind = kind_of(r);
	if (2 * r->mappings.n >= r->mappings.size && table_grow(&r->mappings) < 0)
		goto lost;
	slot = table_slot(&r->mappings, r->vma_name, kind);
	if (!*slot) {
		if (!(*slot = malloc(sizeof **slot)))
			goto lost;
		row_empty(*slot);
		(*slot)->mapping = text_keep(&r->texts, r->vma_name, strlen(r->vma_name));
		(*slot)->kind = kind;
		(*slot)->procs = 0;
		r->mappings.n++;
	}
	row_sum(&(*slot)->sum, &r->vma.sum);
	(*slot)->procs += (*slot)->last != p->pid;
	(*slot)->last = p->pid;
	return;
lost:
	p->outcome = DENIED;
	p->error = ENOMEM;
}

/* 7f12-7f34 r--p 00000000 08:02 173521     /usr/lib/x y (deleted): the rest of the line, \012 for newline. */
static void
vma_begin(struct reader *r, char *line)
{
	char *word = line, *to = r->vma_name;

	for (int field = 0; field < 5; field++) {
		if (field == 3)
			device_read(word, 16, r->vma_dev);
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
	row_empty(&r->vma);
	r->vma.sum.maps = 1;
	r->in_vma = true;
	r->vma_huge = false;
}

static void
mapping_line(struct reader *r, struct proc *p, char *line)
{
	size_t digits = strspn(line, "0123456789abcdef"), hint = 0;

	if (digits > 0 && line[digits] == '-') {
		vma_end(r, p);
		vma_begin(r, line);
	} else if (starts(line, "Size:"))
		r->vma.sum.vsz = number(line + 5);
	else if (starts(line, "VmFlags:"))
		r->vma_huge = strstr(line, " ht") != NULL;
	else
		size_line(&r->vma.sum, line, ROLLUP | RSS, true, &hint);
}

static int
mappings_take(struct reader *r, struct proc *p, const char *name)
{
	int64_t lines;

	r->in_vma = false;
	lines = file_lines(r, name, p, mapping_line);
	vma_end(r, p);
	errno = lines == 0 ? ESRCH : errno;
	return lines > 0 ? 0 : -1;
}

int
mapping_order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(x->mapping, y->mapping);

	return order ? order : strcmp(x->kind, y->kind);
}

int
mappings_collect(struct row **rows, size_t *n)
{
	size_t all = 0, last = 0;

	for (size_t i = 0; i < READERS_MOST && readers[i]; i++)
		all += readers[i]->mappings.n;
	if (!(*rows = malloc((all + 1) * sizeof **rows)))
		return -1;
	*n = 0;
	for (size_t i = 0; i < READERS_MOST && readers[i]; i++) {
		struct table *t = &readers[i]->mappings;

		for (size_t slot = 0; slot < t->size; slot++)
			if (t->slots[slot]) {
				(*rows)[(*n)++] = *t->slots[slot];
				free(t->slots[slot]);
			}
		free(t->slots);
		*t = (struct table){ NULL, 0, 0 };
	}
	if (*n > 1)
		qsort(*rows, *n, sizeof **rows, mapping_order);
	for (size_t i = 1; i < *n; i++)
		if (mapping_order(&(*rows)[last], &(*rows)[i]) == 0) {
			row_sum(&(*rows)[last].sum, &(*rows)[i].sum);
			(*rows)[last].procs += (*rows)[i].procs;
		} else
			(*rows)[++last] = (*rows)[i];
	*n = *n ? last + 1 : 0;
	for (size_t i = 0; i < *n; i++)
		derive(&(*rows)[i].sum);
	return 0;
}

static int
exe_take(struct reader *r, struct proc *p, const char *name)
{
	ssize_t n;

	if (buf_grow(&r->buf, FILE_MOST / 64) < 0)
		return -1;
	n = readlinkat(r->dir, name, r->buf.text, r->buf.size);
	if (n < 0)
		return -1;
	p->exe = text_keep(&r->texts, r->buf.text, (size_t)n);
	return 0;
}

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
	{ STAT,      "stat",          stat_parse,      NULL },
	{ EXE,       "exe",           NULL,            exe_take },
	{ ROLLUP,    "smaps_rollup",  rollup_parse,    NULL },
	{ CMDLINE,   "cmdline",       cmdline_parse,   NULL },
	{ MAPS,      "maps",          NULL,            maps_take },
	{ NUMA_MAPS, "numa_maps",     NULL,            numa_take },
	{ MAPPING,   "smaps",         NULL,            mappings_take },
};
#define NFILES (sizeof files / sizeof *files)

static const struct file smaps = { ROLLUP, "smaps", NULL, smaps_take };

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

	if (p->unwalked && f->source & DEAR)
		return;
	r->opened[__builtin_ctz(f->source)]++;
	if (f->take)
		result = f->take(r, p, f->name);
	else {
		result = file_read(&r->buf, r->dir, f->name, f->source == CMDLINE ? CMDLINE_MOST : FILE_MOST, true);
		if (result == 0 && r->buf.len == 0 && f->source & (ROLLUP | STATM | STAT)) {
			errno = ESRCH;		/* a kernel thread, a zombie, or just gone */
			result = -1;
		} else if (result == 0)
			f->parse(r, p);
	}
	if (result == 0)
		p->got |= f->source;
	else if (errno == ENOENT || errno == ESRCH || errno == ENOTDIR) {
		r->none |= f->source;
		r->absent |= errno == ENOENT ? f->source : 0u;
	} else {
		p->outcome = DENIED;
		p->error = (unsigned char)errno;
	}
}

static void
sources_read(struct reader *r, struct proc *p, unsigned want)
{
	for (size_t i = 0; i < NFILES; i++)
		if (want & ~p->got & ~r->none & files[i].source)
			source_read(r, p, &files[i]);
}

/* The name the kernel cut at 15 bytes, from the file name of argv[0] or of exe, if that begins with it. */
static void
name_complete(struct reader *r, struct proc *p)
{
	for (int i = 0; i < 2; i++) {
		const char *path = NULL, *name;

		if (i == 0 && file_read(&r->buf, r->dir, "cmdline", FILE_MOST, true) == 0)
			path = r->buf.text;
		else if (i == 1 && exe_take(r, p, "exe") == 0)
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
			p->name = text_keep(&r->texts, name, len);
			return;
		}
	}
}

/* Names: comm or, where only stat is kept, the name in it; for a command line that is empty, [name]. */
static void
names_fill(struct reader *r, struct proc *p, unsigned want)
{
	bool bare = want & CMDLINE && p->command && !*p->command;

	if (bare)
		sources_read(r, p, COMM);
	if ((want & COMM || bare) && !p->name) {
		sources_read(r, p, STAT);
		if (r->named)
			p->name = text_keep(&r->texts, r->comm, strlen(r->comm));
	}
	if (want & COMM && p->name && strlen(p->name) == COMM_CUT && !p->kthread && !p->zombie)
		name_complete(r, p);
	if (bare && p->name) {
		size_t len = strlen(p->name);

		if (buf_grow(&r->buf, len + 3) < 0)
			return;
		sprintf(r->buf.text, "[%s]", p->name);
		p->command = text_keep(&r->texts, r->buf.text, len + 2);
	}
}

/* smaps where there is no rollup; statm where neither can be read, for RSS; the reverse where statm is not kept. */
static void
sizes_fill(struct reader *r, struct proc *p, unsigned want)
{
	if (want & STATM & r->absent && !r->pass->from->live) {
		want |= STAT | (p->rss == UNKNOWN ? ROLLUP : 0u);
		sources_read(r, p, want);
	}
	if (want & ROLLUP & r->absent) {
		r->none &= ~(unsigned)ROLLUP;
		source_read(r, p, &smaps);
	}
	if (want & UNMEASURED && !(p->got & ROLLUP))
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
		if (faccessat(r->dir, files[i].name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

/* Kernel thread, zombie, exiting, gone: told apart where a file that all others have is not there or empty. */
static void
outcome_settle(struct reader *r, struct proc *p)
{
	if (!r->none && !r->empty)
		return;
	sources_read(r, p, STAT);
	if (p->kthread || p->zombie)
		p->outcome = MEASURED;		/* there was nothing to refuse */
	else if (p->outcome == DENIED)
		return;
	else if (!r->pass->from->live)
		p->outcome = p->got & ~(unsigned)OWNER || is_kept(r) ? MEASURED : VANISHED;
	else if (r->empty || r->none & STAT || faccessat(r->dir, "stat", F_OK, 0) < 0)
		p->outcome = VANISHED;
}

/* Is what was read before, of the process then called p->pid, about the one in R's directory now? Known start times
 * tell; else a process older than the walk has had its pid all along (start is field 22 of stat, in ticks). */
static bool
still_itself(struct reader *r, struct proc *p)
{
	int64_t start = p->got & STAT ? p->start : UNKNOWN;
	struct proc again = *p, *now = p->got & STAT ? &again : p;	/* what decided the row's place stays as it was */

	if (!r->pass->from->live)
		return true;
	now->got &= ~(unsigned)STAT;
	sources_read(r, now, STAT);
	return r->none & STAT || (start != UNKNOWN ? now->start == start : now->start < r->pass->from->begin);
}

static void
proc_reset(struct proc *p)
{
	int64_t pid = p->pid;
	bool unwalked = p->unwalked, late = p->late;

	*p = blank;
	p->pid = pid;
	p->unwalked = unwalked;
	p->late = late;
}

/* For the one file that is read of all: no directory to open and close. False: look closer. */
static bool
statm_alone(struct reader *r, struct proc *p)
{
	char name[32];

	snprintf(name, sizeof name, "%lld/statm", (long long)p->pid);
	if (file_read(&r->buf, r->pass->from->proc, name, FILE_MOST, true) < 0 || r->buf.len == 0)
		return false;
	statm_parse(r, p);
	r->opened[__builtin_ctz(STATM)] += !r->empty;
	p->got = r->empty ? 0 : STATM;
	return !r->empty;
}

/* Reads one process, all its files below one held directory, so that no row mixes two. */
static void
proc_read(struct reader *r, struct proc *p)
{
	const struct source *from = r->pass->from;
	unsigned want = r->pass->want;
	struct stat st;
	char name[24];

	if (!r->pass->whole)
		proc_reset(p);
	p->late = r->pass->whole;
	r->none = r->absent = 0;
	r->empty = r->named = false;
	r->leader = 0;
	if (want == STATM && statm_alone(r, p))
		return;
	snprintf(name, sizeof name, "%lld", (long long)p->pid);
	r->dir = openat(from->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->dir < 0) {
		p->outcome = errno == ENOENT || errno == ESRCH || errno == ENOTDIR ? VANISHED : DENIED;
		p->error = (unsigned char)errno;
		p->leader = 0;
		return;
	}
	if (r->pass->whole && !still_itself(r, p)) {
		proc_reset(p);
		p->anew = true;
		want |= r->pass->whole;
	}
	if (want & OWNER && !from->live)
		want |= STATUS;
	else if (want & OWNER && fstat(r->dir, &st) == 0)
		p->uid = st.st_uid, p->got |= OWNER;
	sources_read(r, p, want);
	sizes_fill(r, p, want);
	names_fill(r, p, want);
	outcome_settle(r, p);
	if (r->leader)				/* not one of the processes */
		p->outcome = VANISHED;
	if (p->outcome == VANISHED)
		p->leader = r->leader;
	derive(p);
	close(r->dir);
}

int
space_order(const struct proc *a, const struct proc *b, bool *denied)
{
	long order = syscall(SYS_kcmp, (pid_t)a->pid, (pid_t)b->pid, KCMP_VM, 0, 0);

	if (order == 0 || order == 1 || order == 2)
		return order == 0 ? 0 : order == 1 ? -1 : 1;
	*denied = *denied || errno == EPERM || errno == EACCES || errno == ENOSYS;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

/* The pass */

static _Atomic size_t pass_next;	/* of the pass that runs: there is one at a time */

static void *
reader_run(void *arg)
{
	struct reader *r = arg;
	struct pass *pass = r->pass;
	size_t i;

	while ((i = atomic_fetch_add_explicit(&pass_next, 1, memory_order_relaxed)) < pass->n) {
		struct proc *p = pass->procs[i];

		if (pass->wanted && !pass->wanted(p)) {
			p->outcome = SKIPPED;
			continue;
		}
		proc_read(r, p);
		if (pass->seen)
			pass->seen(p);
	}
	return NULL;
}

/* A thread of its own has descriptors of its own: no reader waits for another's open or close. ThreadSanitizer does not
 * know that two threads may then have different files of one number, and sees races. */
static void *
reader_thread(void *arg)
{
	if (!UNDER_TSAN)
		unshare(CLONE_FILES);
	return reader_run(arg);
}

static struct reader *
reader_get(size_t i, struct pass *pass)
{
	if (!readers[i])
		readers[i] = calloc(1, sizeof *readers[i]);
	if (readers[i])
		readers[i]->pass = pass;
	return readers[i];
}

double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
pass_run(struct pass *pass)
{
	size_t n = pass->jobs, started = 0;
	double begin = seconds_now();
	pthread_attr_t attr;

	blank_fill();
	if (pass->want & MAPPING)
		memory_mounts_read(pass->from);
	atomic_store(&pass_next, 0);
	if (n > pass->n / 8 + 1)
		n = pass->n / 8 + 1;
	if (n > READERS_MOST)
		n = READERS_MOST;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1u << 17);
	for (; started < n; started++)
		if (!reader_get(started, pass) || pthread_create(&readers[started]->thread, &attr, reader_thread, readers[started]))
			break;
	pthread_attr_destroy(&attr);
	if (started == 0) {
		if (!reader_get(0, pass))
			return -1;
		reader_run(readers[0]);
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(readers[i]->thread, NULL);
	for (size_t i = 0; i < READERS_MOST && readers[i]; i++)
		for (size_t bit = 0; bit < 32; bit++) {
			files_opened[bit] += readers[i]->opened[bit];
			readers[i]->opened[bit] = 0;
		}
	pass->seconds = seconds_now() - begin;
	return 0;
}

/* The source and the machine */

int
pid_order(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The names in the directory FD, which is closed, that are PREFIX and digits: the numbers, ascending. */
static int
numbers_list(int fd, const char *prefix, int **ids, size_t *n)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t size = 0, skip = strlen(prefix);
	struct dirent *entry;
	int error;

	*ids = NULL;
	*n = 0;
	if (!dir)
		return -1;
	while ((errno = 0, entry = readdir(dir))) {
		const char *digits = starts(entry->d_name, prefix) ? entry->d_name + skip : "";
		size_t len = strspn(digits, "0123456789");

		if (len == 0 || len > 9 || digits[len])
			continue;
		if (*n == size) {
			int *more = realloc(*ids, (size = 2 * size + 512) * sizeof *more);

			if (!more)
				break;
			*ids = more;
		}
		(*ids)[(*n)++] = (int)number(digits);
	}
	error = errno;
	closedir(dir);
	if (*n > 1)
		qsort(*ids, *n, sizeof **ids, pid_order);
	errno = error;
	return error ? -1 : 0;
}

int
source_pids(const struct source *s, int **pids, size_t *n)
{
	return numbers_list(openat(s->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", pids, n);
}

/* A tree without the level proc/: it has processes, or what smemcap keeps beside them. */
static bool
like_proc(const struct source *s)
{
	bool like = faccessat(s->proc, "meminfo", F_OK, 0) == 0 || faccessat(s->proc, "version", F_OK, 0) == 0;
	int *pids = NULL;
	size_t n = 0;

	like = like || (source_pids(s, &pids, &n) == 0 && n > 0);
	free(pids);
	return like;
}

/* A saved tree does not say its page size, but statm counts in pages what smaps_rollup says in KiB: of this machine's
 * page, 16 and 64 KiB, the one that makes most of the first processes agree. */
static int64_t
page_guess(const struct source *s)
{
	const int64_t pages_of[] = { s->page, 16384, 65536 };
	size_t votes[3] = { 0, 0, 0 }, n = 0, best = 0;
	struct buf b = { NULL, 0, 0 };
	int *pids = NULL;
	char name[64];

	source_pids(s, &pids, &n);
	for (size_t i = 0; i < n && i < 32; i++) {
		int64_t resident, rss;
		char *line;

		snprintf(name, sizeof name, "%d/statm", pids[i]);
		if (file_read(&b, s->proc, name, FILE_MOST, true) < 0)
			continue;
		resident = number(b.text + strcspn(b.text, " "));
		snprintf(name, sizeof name, "%d/smaps_rollup", pids[i]);
		if (resident <= 0 || file_read(&b, s->proc, name, FILE_MOST, true) < 0 || !(line = strstr(b.text, "\nRss:")))
			continue;
		rss = number(line + 5);
		for (size_t j = 0; j < 3; j++)
			votes[j] += rss % (pages_of[j] / 1024) == 0 && rss / (pages_of[j] / 1024) == resident;
	}
	free(b.text);
	free(pids);
	for (size_t j = 1; j < 3; j++)
		best = votes[j] > votes[best] ? j : best;
	return pages_of[best];
}

int
source_open(struct source *s, const char *path)
{
	int root = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	struct statfs fs;

	if (path && root < 0)
		return -1;
	s->root = root;
	s->page = sysconf(_SC_PAGESIZE);
	s->begin = 0;
	s->proc = path ? openat(root, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (path && s->proc < 0 && errno == ENOENT) {
		s->proc = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->proc >= 0 && !like_proc(s)) {
			errno = ENOTSUP;
			return -1;
		}
	}
	if (s->proc < 0 || fstatfs(s->proc, &fs) < 0)
		return -1;
	s->live = fs.f_type == PROC_MAGIC;
	s->page = s->live ? s->page : page_guess(s);
	return 0;
}

void
source_begin(struct source *s)
{
	struct timespec t;
	long hz = sysconf(_SC_CLK_TCK);

	clock_gettime(CLOCK_BOOTTIME, &t);
	s->begin = t.tv_sec * hz + t.tv_nsec / (1000000000 / hz);
}

int
source_self(const struct source *s)
{
	char pid[16];
	ssize_t n = s->live ? readlinkat(s->proc, "self", pid, sizeof pid - 1) : -1;

	if (n < 0)
		return 0;
	pid[n] = '\0';
	return (int)number(pid);
}

/* 22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible: numbers until 5.7, words since. */
bool
source_hides(const struct source *s)
{
	static const char *const hiding[] = { "hidepid=2", "hidepid=4", "hidepid=invisible", "hidepid=ptraceable" };
	struct buf b = { NULL, 0, 0 };
	char *at, *line;
	bool hides = false;

	if (!s->live || file_read(&b, s->proc, "self/mountinfo", SIZE_MAX, false) < 0)
		return false;
	for (at = b.text; (line = line_next(&at)); )
		if (strstr(line, " - proc "))
			for (size_t i = 0; i < sizeof hiding / sizeof *hiding; i++)
				hides = hides || strstr(line, hiding[i]);
	free(b.text);
	return hides;
}

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
figures_read(struct figures *to, int dir, const char *name)
{
	struct buf b = { NULL, 0, 0 };
	size_t lines = 1;
	char *at, *line;

	*to = (struct figures){ NULL, 0 };
	if (file_read(&b, dir, name, FILE_MOST, false) < 0)
		return errno == ENOMEM ? -1 : 0;
	for (at = b.text; *at; at++)
		lines += *at == '\n';
	to->list = calloc(lines < FIGURES_MOST ? lines : FIGURES_MOST, sizeof *to->list);
	if (!to->list)
		return -1;
	for (at = b.text; (line = line_next(&at)) && to->n < FIGURES_MOST; ) {
		struct figure *f = &to->list[to->n];
		size_t len;

		if (starts(line, "Node ") && isdigit((unsigned char)line[5]))
			line += 5 + strcspn(line + 5, " ") + 1;
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
figure_get(const struct figures *figures, const char *name)
{
	for (size_t i = 0; i < figures->n; i++)
		if (strcmp(figures->list[i].name, name) == 0)
			return figures->list[i].value;
	return UNKNOWN;
}

/* The first line of a small file, kept; NULL if it cannot be read. */
static const char *
line_read(const struct source *s, const char *name, struct buf *b)
{
	if (file_read(b, s->proc, name, FILE_MOST, false) < 0)
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

	if (file_read(b, s->proc, "version", FILE_MOST, false) < 0 || strncmp(b->text, start, sizeof start - 1) != 0)
		return NULL;
	at = b->text + sizeof start - 1;
	at[strcspn(at, " \n")] = '\0';
	return strdup(at);
}

int64_t
machine_boot(const struct source *s)
{
	struct buf b = { NULL, 0, 0 };
	int64_t boot = UNKNOWN;
	char *at, *line;

	if (file_read(&b, s->proc, "stat", SIZE_MAX, false) == 0)
		for (at = b.text; (line = line_next(&at)); )
			if (strncmp(line, "btime ", 6) == 0)
				boot = number(line + 6);
	free(b.text);
	return boot;
}

/* Now, or for a saved tree the boot time plus uptime. */
static const char *
time_read(const struct source *s, struct buf *b)
{
	time_t t = time(NULL);
	struct tm tm;
	char text[32];

	if (!s->live) {
		int64_t boot = machine_boot(s), up = UNKNOWN;

		if (file_read(b, s->proc, "uptime", FILE_MOST, false) == 0)
			up = number(b->text);
		if (both(boot, up) == UNKNOWN)
			return NULL;
		t = (time_t)both(boot, up);
	}
	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL;
	return strdup(text);
}

int
machine_read(const struct source *s, struct machine *m)
{
	struct buf b = { NULL, 0, 0 };
	int result = figures_read(&m->memory, s->proc, "meminfo");
	struct utsname name;

	m->mem_total = figure_get(&m->memory, "mem_total");
	m->mem_available = figure_get(&m->memory, "mem_available");
	m->mem_used = kib_sub(m->mem_total, m->mem_available);
	m->swap_total = figure_get(&m->memory, "swap_total");
	m->swap_used = kib_sub(m->swap_total, figure_get(&m->memory, "swap_free"));
	m->host = line_read(s, "sys/kernel/hostname", &b);
	m->kernel = line_read(s, "sys/kernel/osrelease", &b);
	if (!m->kernel)
		m->kernel = version_release(s, &b);
	if (s->root < 0 && uname(&name) == 0) {		/* a procfs may be mounted without them (subset=pid) */
		m->host = m->host ? m->host : strdup(name.nodename);
		m->kernel = m->kernel ? m->kernel : strdup(name.release);
	}
	m->time = time_read(s, &b);
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

	if (s->live && s->root < 0)
		return sysconf(_SC_NPROCESSORS_CONF);
	if (file_read(&b, s->proc, "stat", SIZE_MAX, false) == 0)
		for (at = b.text; (line = line_next(&at)); )
			n += strncmp(line, "cpu", 3) == 0 && isdigit((unsigned char)line[3]);
	free(b.text);
	return n > 0 ? n : UNKNOWN;
}

/* 6.18.44-generic. */
static bool
release_parse(const char *release, long *major, long *minor)
{
	char *rest;

	if (!release || (*major = strtol(release, &rest, 10)) <= 0 || *rest != '.')
		return false;
	*minor = strtol(rest + 1, NULL, 10);
	return true;
}

bool
release_from(const char *release, long major, long minor)
{
	long is_major, is_minor;

	if (!release_parse(release, &is_major, &is_minor))
		return false;
	return is_major > major || (is_major == major && is_minor >= minor);
}

/* statm is exact from 6.16 on; from 6.2 each of three counters may lag by a batch a CPU; before, each thread kept up
 * to 64 faults to itself, of 16 pages each. */
void
machine_slack(const struct source *s, struct machine *m)
{
	long major, minor, n;

	m->slack = UNKNOWN;
	m->thread_slack = 0;
	if (!release_parse(m->kernel, &major, &minor))
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

/* The system view */

/* Node 0, zone   Normal      3      2 ...: free blocks of 1, 2, 4, ... pages. */
static bool
zone_parse(struct zone *z, char *line)
{
	char *rest = line, *word = starts(line, "Node ") ? strtok_r(line + 5, " ,", &rest) : NULL;

	*z = (struct zone){ .node = word ? (int)number(word) : -1 };
	if (!word || !(word = strtok_r(NULL, " ,", &rest)) || strcmp(word, "zone") != 0 || !(word = strtok_r(NULL, " ", &rest)))
		return false;
	snprintf(z->name, sizeof z->name, "%s", word);
	while (z->orders < ORDERS_MOST && (word = strtok_r(NULL, " ", &rest)))
		z->blocks[z->orders++] = number(word);
	return z->orders > 0;
}

static int
zones_read(const struct source *s, struct system *system, struct buf *b)
{
	char *at, *line;

	if (file_read(b, s->proc, "buddyinfo", FILE_MOST, false) < 0)
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
	if (file_read(b, s->proc, "pressure/memory", FILE_MOST, false) < 0)
		return;
	for (at = b->text; (line = line_next(&at)); )
		for (int i = 0; i < 3; i++) {
			char *value = strstr(line, keys[i]);

			double x = value ? strtod(value + strlen(keys[i]), NULL) : NAN;

			if (isfinite(x) && (starts(line, "some ") || starts(line, "full ")))
				system->psi[i + (*line == 'f' ? 3 : 0)] = x;
		}
}

/* The names in SUB below the /sys that SYS is that are PREFIX and digits, as numbers; -1: there is no such directory. */
static int
sys_list(int sys, const char *sub, const char *prefix, int **ids, size_t *n)
{
	return numbers_list(sys < 0 ? -1 : openat(sys, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC), prefix, ids, n);
}

static int
nodes_read(int sys, struct system *system)
{
	char name[64];
	size_t n;
	int *ids;

	if (sys_list(sys, "devices/system/node", "node", &ids, &n) < 0)
		return 0;
	system->nodes = calloc(n + 1, sizeof *system->nodes);
	for (size_t i = 0; i < n && system->nodes; i++) {
		system->nodes[i].id = ids[i];
		snprintf(name, sizeof name, "devices/system/node/node%d/meminfo", ids[i]);
		if (figures_read(&system->nodes[i].memory, sys, name) < 0)
			return -1;
	}
	system->nnodes = n;
	free(ids);
	return system->nodes ? 0 : -1;
}

/* 536870912 10485760 11534336 0 ...: original data, compressed, all that the device takes, in bytes. */
static void
zram_read(int sys, struct system *system, struct buf *b)
{
	char name[64], *word, *rest;
	size_t n;
	int *ids;

	system->zram_used = system->zram_data = UNKNOWN;
	if (sys_list(sys, "block", "zram", &ids, &n) < 0)
		return;
	system->zram_used = system->zram_data = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t field[3] = { UNKNOWN, UNKNOWN, UNKNOWN };

		snprintf(name, sizeof name, "block/zram%d/mm_stat", ids[i]);
		if (file_read(b, sys, name, FILE_MOST, true) < 0)
			continue;
		word = strtok_r(b->text, " \n", &rest);
		for (int j = 0; j < 3 && word; j++, word = strtok_r(NULL, " \n", &rest))
			field[j] = number(word);
		if (both(field[0], field[2]) == UNKNOWN)
			continue;
		system->zram_data = kib_add(system->zram_data, field[0] / 1024);
		system->zram_used = kib_add(system->zram_used, field[2] / 1024);
	}
	free(ids);
}

int
system_read(const struct source *s, struct system *system)
{
	struct buf b = { NULL, 0, 0 };
	int sys = openat(s->root, s->root < 0 ? "/sys" : "sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = figures_read(&system->vm, s->proc, "vmstat");

	if (zones_read(s, system, &b) < 0 || nodes_read(sys, system) < 0)
		result = -1;
	pressure_read(s, system, &b);
	zram_read(sys, system, &b);
	free(b.text);
	if (sys >= 0)
		close(sys);
	return result;
}

/* Control groups */

/* The memory controller's mount: its directory below the source's root, the part of paths that it hides, its version. */
struct controller {
	int root;
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
	c->root = s->root < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : s->root;
	if (mounts_read(s, &b) == 0)
		for (at = b.text; (line = line_next(&at)); )
			controller_line(c, line);
	free(b.text);
}

/* A figure of the cgroup whose path below the mount is the first LEN bytes of PATH, in KiB; `max' and version 1's huge
 * limit: unknown. */
static int64_t
controller_figure(const struct controller *c, const char *path, size_t len, const char *file)
{
	char name[PATH_MAX];
	struct buf b = { NULL, 0, 0 };
	int64_t bytes = UNKNOWN;

	if (snprintf(name, sizeof name, "%s%.*s/%s", c->dir, (int)len, path, file) < (int)sizeof name &&
	    file_read(&b, c->root, name, FILE_MOST, true) == 0)
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
cgroup_read(const struct source *s, const char *path, struct row *row)
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
	row->cg_usage = controller_figure(&c, path, len, one ? "memory.usage_in_bytes" : "memory.current");
	row->cg_swap = controller_figure(&c, path, len, one ? "memory.memsw.usage_in_bytes" : "memory.swap.current");
	if (one && row->cg_swap != UNKNOWN)	/* which is memory and swap, read a moment later */
		row->cg_swap = row->cg_swap > row->cg_usage ? kib_sub(row->cg_swap, row->cg_usage) : 0;
	for (;; len--) {
		int64_t limit = controller_figure(&c, path, len, one ? "memory.limit_in_bytes" : "memory.max");

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

/* Users */

static const char *
passwd_text(const struct source *s)
{
	static struct buf b;
	static int of = -1;

	if (of != s->root) {
		of = s->root;
		if (file_read(&b, s->root, "etc/passwd", SIZE_MAX, false) < 0 && buf_grow(&b, 1) == 0)
			b.text[0] = '\0';
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

static const char *
name_of(const struct source *s, int64_t uid, char *number_text)
{
	const char *at, *name;
	struct passwd *pw;
	int64_t found;
	size_t len;

	snprintf(number_text, 24, "%lld", (long long)uid);
	if (s->root < 0)
		return (pw = getpwuid((uid_t)uid)) && *pw->pw_name ? strdup(pw->pw_name) : strdup(number_text);
	for (at = passwd_text(s); passwd_next(&at, &name, &len, &found); )
		if (found == uid && len > 0)
			return strndup(name, len);
	return strdup(number_text);
}

const char *
user_name(const struct source *s, int64_t uid)
{
	static struct known { int64_t uid; int root; const char *name; } *known;
	static size_t n, size;
	size_t low = 0, high = n;
	char text[24];

	if (uid == UNKNOWN)
		return NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (known[middle].uid < uid || (known[middle].uid == uid && known[middle].root < s->root))
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n && known[low].uid == uid && known[low].root == s->root)
		return known[low].name;
	if (n == size) {
		struct known *more = realloc(known, (2 * size + 16) * sizeof *more);

		if (!more)
			return NULL;
		known = more;
		size = 2 * size + 16;
	}
	memmove(known + low + 1, known + low, (n++ - low) * sizeof *known);
	known[low] = (struct known){ uid, s->root, name_of(s, uid, text) };
	return known[low].name;
}

int64_t
user_id(const struct source *s, const char *name)
{
	const char *at, *found;
	struct passwd *pw;
	int64_t uid;
	size_t len;

	if (s->root < 0)
		return (pw = getpwnam(name)) ? (int64_t)pw->pw_uid : UNKNOWN;
	for (at = passwd_text(s); passwd_next(&at, &found, &len, &uid); )
		if (strlen(name) == len && memcmp(found, name, len) == 0)
			return uid;
	return UNKNOWN;
}
