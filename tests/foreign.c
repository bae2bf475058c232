/*
 * foreign: runs a command beside 200 processes that are hard to measure, to show that a test depends on its own alone.
 *
 *	foreign COMMAND [ARG...]
 *
 * They are: processes whose thread group leader has exited, zombies, processes that share an address space, growing,
 * stopped and short-lived ones, ones with hostile names, and, as root with /dev/fuse, ones that are stuck with their
 * mmap lock held (by tests/wedge, which has to be there). All end with the command; the status is that of the command.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MEMORY = 1 << 20,	/* bytes, touched by each that has memory */
	GROWN = 16 << 20,	/* a growing process gives all back then */
	STEP = 256 << 10,
	SHARERS = 4,		/* processes beside the first that share its address space */
	STACK = 64 << 10,
	STUCK = 10,
};

static void
die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static void
pause_for_ever(void)
{
	for (;;)
		pause();
}

static char *
map(size_t size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	return mem;
}

static void *
outlive_leader(void *unused)
{
	pause_for_ever();
	return unused;
}

static void
be_leaderless(void)
{
	pthread_t thread;

	memset(map(MEMORY), 1, MEMORY);
	if (pthread_create(&thread, NULL, outlive_leader, NULL))
		errx(1, "no thread");
	pthread_exit(NULL);
}

static void
be_zombie(void)
{
}

static int
be_sharer(void *parent)
{
	die_with(*(pid_t *)parent);
	pause_for_ever();
	return 0;
}

static void
be_shared(void)
{
	static pid_t self;

	self = getpid();
	memset(map(MEMORY), 1, MEMORY);
	for (int i = 0; i < SHARERS; i++)
		if (clone(be_sharer, map(STACK) + STACK, CLONE_VM | SIGCHLD, &self) < 0)
			err(1, "clone");
	pause_for_ever();
}

static void
be_growing(void)
{
	char *mem = map(GROWN);

	usleep((unsigned)getpid() % 64 * 100000);	/* not all at once: together they are of much the same size */
	for (;;) {
		for (size_t size = 0; size < GROWN; size += STEP, usleep(100000))
			memset(mem + size, 1, STEP);
		madvise(mem, GROWN, MADV_DONTNEED);
	}
}

static void
be_stopped(void)
{
	memset(map(MEMORY), 1, MEMORY);
	for (;;)
		raise(SIGSTOP);
}

/* Its children are the short-lived ones. */
static void
be_parent(void)
{
	for (;;) {
		if (fork() == 0) {
			usleep(30000);
			_exit(0);
		}
		wait(NULL);
	}
}

static void
be_hostile(void)
{
	prctl(PR_SET_NAME, ") R 1\n\033[31m\xff\"");
	memset(map(MEMORY), 1, MEMORY);
	pause_for_ever();
}

static const struct kind {
	void (*run)(void);
	unsigned count;
} kinds[] = {
	{ be_leaderless, 40 },
	{ be_zombie, 40 },
	{ be_shared, 40 / (1 + SHARERS) },
	{ be_growing, 20 },
	{ be_stopped, 30 },
	{ be_parent, 5 },	/* each with a child */
	{ be_hostile, 10 },
};

static void
make(const struct kind *kind)
{
	pid_t self = getpid();

	for (unsigned i = 0; i < kind->count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			die_with(self);
			setpgid(0, 0);
			kind->run();
			_exit(0);
		}
	}
}

/* Waits until those processes are stuck: wedge closes its output then. */
static void
make_stuck(const char *self)
{
	char program[PATH_MAX], command[PATH_MAX + 64], line[64];
	FILE *pids;

	snprintf(program, sizeof program, "%.*s/wedge", (int)(strrchr(self, '/') - self), self);
	if (geteuid() || access("/dev/fuse", R_OK | W_OK) || access(program, X_OK)) {
		warnx("no stuck processes: they need root, /dev/fuse and %s", program);
		return;
	}
	snprintf(command, sizeof command, "exec '%s' map %d %d", program, STUCK, INT_MAX);
	if (!(pids = popen(command, "r")))
		err(1, "%s", program);
	while (fgets(line, sizeof line, pids))
		;	/* left open: pclose() would wait for wedge to end */
}

int
main(int argc, char **argv)
{
	int status;
	pid_t pid;

	if (argc < 2 || !strchr(argv[0], '/'))
		errx(2, "usage: tests/foreign COMMAND [ARG...]");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		make(&kinds[i]);
	make_stuck(argv[0]);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
