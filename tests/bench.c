/*
 * The parts of the benchmark for which Python is too large or too slow. bench.py runs them.
 *
 *	bench load N KIND		N processes of known memory, "ready" when they have it, until stdin closes
 *	bench floor THREADS [PID]	the fewest system calls that could make the report, of all or of one
 *	bench run COMMAND [ARG...]	wall time in ns, CPU time in us and peak RSS in KiB of a command
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEAST		((size_t)64 << 10)	/* bytes of the smallest process */
#define MOST		((size_t)256 << 20)	/* and of the largest */
#define SHARED		((size_t)8 << 20)	/* of the shared segment */
#define MAX_THREADS	256

extern char **environ;

static const struct kind {
	const char *name;
	bool tailed;			/* private sizes fall off like 1/rank, otherwise all have LEAST */
	size_t sharers;			/* one process in so many has the shared segment; 0: none */
	size_t mappings;		/* more than the 24 of a C program; a shell has 44, a daemon 60 to 300 */
} kinds[] = {
	{ "private", true, 0, 40 },
	{ "tenth", true, 10, 40 },
	{ "worst", false, 1, 40 },
	{ "small", false, 0, 0 },	/* the least memory, the same for each process and any N */
};

static _Noreturn void
usage(void)
{
	errx(2, "usage: bench load N private|tenth|worst|small | floor THREADS [PID] | run COMMAND [ARG...]");
}

static size_t
number(const char *s, size_t max)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!isdigit((unsigned char)*s) || *end || n == 0 || n > max)
		errx(2, "%s: not a number from 1 to %zu", s, max);
	return n;
}

/* ---- load ---- */

static const struct kind *
kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	usage();
}

/*
 * 2,000 processes get 125 MiB, 62, 42, 31, 25 ... 64 KiB, 1 GiB in all. The step is a prime above every
 * pid_max: each rank comes once, and neither pids nor ages follow the size.
 */
static size_t
tailed_size(size_t i, size_t n)
{
	size_t rank = (size_t)(i * 7368787ULL % n), size = LEAST * n / (rank + 1);

	return size < MOST ? size : MOST;
}

static void
touch(size_t size, int flags, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	madvise((void *)p, size, MADV_NOHUGEPAGE);	/* a huge page is one step of the walk, not 512 */
	for (size_t at = 0; at < size; at += page)
		p[at] = 1;
}

/* Pages that are writable and not, in turn: each is a mapping. All children inherit them. */
static void
mappings_make(size_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, count * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < count; i += 2)
		if (mprotect(p + i * page, page, PROT_READ | PROT_WRITE))
			err(1, "mprotect");
}

static void
child(size_t i, size_t n, const struct kind *k, int shared, int done)
{
	char name[16];

	snprintf(name, sizeof(name), "load-%zu", i);
	prctl(PR_SET_NAME, name);
	touch(k->tailed ? tailed_size(i, n) : LEAST, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (k->sharers && i % k->sharers == 0)
		touch(SHARED, MAP_SHARED, shared);
	if (write(done, "", 1) != 1)
		err(1, "write");
	close(done);
	for (;;)
		pause();
}

/* Keeps no list of its children, which would be in the memory of each and grow with their number. */
static void
children_make(size_t n, const struct kind *k, int shared, int done)
{
	pid_t parent = getpid();

	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == -1)
			err(1, "fork, after %zu of %zu processes", i, n);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(1);
			child(i, n, k, shared, done);
		}
	}
}

static void
children_await(size_t n, int fd)
{
	char buf[4096];
	size_t ready = 0;

	for (ssize_t got; (got = read(fd, buf, sizeof(buf))) > 0; )
		ready += (size_t)got;
	if (ready != n)
		errx(1, "%zu of %zu processes got their memory", ready, n);
	close(fd);
	puts("ready");
	fflush(stdout);
}

static int
load(size_t n, const struct kind *k)
{
	int done[2], shared = memfd_create("bench", MFD_CLOEXEC);
	char c;

	if (shared == -1 || ftruncate(shared, (off_t)SHARED) || pipe(done))
		err(1, "memfd_create or pipe");
	setpgid(0, 0);					/* so that a signal to the group ends the children */
	if (k->mappings)
		mappings_make(k->mappings);
	children_make(n, k, shared, done[1]);
	close(done[1]);
	children_await(n, done[0]);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}

/* ---- floor ---- */

static struct {
	int *pid;
	size_t count;
	atomic_size_t next, bytes;
} todo;

static size_t
file_read(int pid, const char *name)
{
	char path[64], buf[16384];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY);
	if (fd == -1)
		return 0;
	got = read(fd, buf, sizeof(buf));
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

static void *
reader(void *unused)
{
	size_t bytes = 0;

	for (size_t i; (i = atomic_fetch_add(&todo.next, 1)) < todo.count; ) {
		bytes += file_read(todo.pid[i], "stat");
		bytes += file_read(todo.pid[i], "smaps_rollup");
		bytes += file_read(todo.pid[i], "cmdline");
	}
	atomic_fetch_add(&todo.bytes, bytes);
	return unused;
}

static void
todo_add(int pid)
{
	static size_t room;

	if (todo.count == room) {
		room = room ? 2 * room : 1024;
		todo.pid = realloc(todo.pid, room * sizeof(*todo.pid));
		if (!todo.pid)
			err(1, "realloc");
	}
	todo.pid[todo.count++] = pid;
}

static void
todo_list(void)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		err(1, "/proc");
	for (struct dirent *d; (d = readdir(dir)); )
		if (isdigit((unsigned char)*d->d_name))
			todo_add(atoi(d->d_name));
	closedir(dir);
}

static int
walk_floor(size_t threads, const char *pid)
{
	pthread_t thread[MAX_THREADS];

	if (pid)
		todo_add((int)number(pid, 1 << 22));
	else
		todo_list();
	for (size_t i = 1; i < threads; i++)
		if (pthread_create(&thread[i], NULL, reader, NULL))
			errx(1, "cannot start thread %zu", i);
	reader(NULL);
	for (size_t i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	if (!todo.bytes)
		errx(1, "nothing could be read");
	return 0;
}

/* ---- run ---- */

static long long
nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long
microseconds(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

/*
 * The kernel counts the RSS that the child had before its exec, which is the parent's: from Python every
 * command would seem to use 10 MiB.
 */
static int
run(char **argv)
{
	posix_spawn_file_actions_t to_null;
	struct rusage used;
	int status, error;
	long long start;
	pid_t pid;

	posix_spawn_file_actions_init(&to_null);
	posix_spawn_file_actions_addopen(&to_null, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	start = nanoseconds();
	error = posix_spawnp(&pid, argv[0], &to_null, NULL, argv, environ);
	if (error)
		errx(1, "%s: %s", argv[0], strerror(error));
	if (wait4(pid, &status, 0, &used) != pid)
		err(1, "wait4");
	start = nanoseconds() - start;
	if (status)
		errx(1, "%s: wait status %#x", argv[0], (unsigned)status);
	printf("%lld %lld %ld\n", start, microseconds(used.ru_utime) + microseconds(used.ru_stime), used.ru_maxrss);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "load"))
		return load(number(argv[2], 1 << 22), kind_find(argv[3]));
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "floor"))
		return walk_floor(number(argv[2], MAX_THREADS), argv[3]);
	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	usage();
}
