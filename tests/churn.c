/*
 * churn: processes that start and end while memz scans, for races.bats.
 *
 *	churn marked RATE	RATE processes a second, of 20 to 60 ms or none, each marked by a number
 *	churn bomb COUNT	processes that fork two more each and end, at most COUNT at a time
 *
 * Prints its pid and, when all is ready, that of a child that stays. Runs until SIGTERM, then prints how many it made.
 *
 * A marked process bears its number N from its birth: in its name (cN), in its command line (n=N), in its virtual size
 * (N pages more than that of the child that stays, whose number is 0) and in its anonymous memory (N % 8 times STEP pages
 * more). Some pids are taken again by another number at once, where the kernel lets us choose (clone3, as root).
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	LIFETIME = 600,		/* seconds, of churn */
	SLOTS = 16,		/* pids that are reused */
	FIRST_SLOT = 1000,	/* the lowest of these pids */
	CROWD = 300,		/* processes that stay and have most memory, so that time passes between two reads of the others */
	BRIEFEST = 20,		/* ms between two processes of one pid: two clock ticks, the unit of start times in stat */
	STEP = 32,		/* pages */
	MOST = 9973,		/* numbers, */
	CROWDS = 7,		/* the number of the processes that stay */
	DIGITS = 5,
};

struct slot {
	pid_t pid;		/* 0: free */
	int64_t ripe;		/* ms: the next process may start then */
};

static char *digits;		/* in the command line */
static char *touched, *reserve;
static size_t page, reserved;
static volatile sig_atomic_t stop;

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
rest(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	if (ms > 0)
		nanosleep(&t, NULL);
}

static void *
map(size_t size, int access, int flags)
{
	void *mem = mmap(NULL, size, access, flags | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	return mem;
}

/* Gives the next child its number: sets what it inherits. */
static void
mark(unsigned number)
{
	char text[16];

	snprintf(text, sizeof text, "c%0*u", DIGITS, number);
	prctl(PR_SET_NAME, text);
	memcpy(digits, text + 1, DIGITS);
	if (reserved)
		munmap(reserve, reserved);
	reserved = number * page;
	if (reserved)
		reserve = map(reserved, PROT_NONE, MAP_PRIVATE);
	madvise(touched, 8 * STEP * page, MADV_DONTNEED);
	for (size_t i = 0; i < number % 8 * STEP; i++)
		touched[i * page] = 1;
}

/* Forks a child, with that pid if the kernel can. */
static pid_t
born(pid_t wanted)
{
	uint64_t set_tid = (uint64_t)(uintptr_t)&wanted, args[10] = { [4] = SIGCHLD, [8] = set_tid, [9] = 1 };	/* struct clone_args */
	long pid = wanted ? syscall(SYS_clone3, args, sizeof args) : -1;

	return pid < 0 ? fork() : (pid_t)pid;
}

static pid_t
spawn_marked(unsigned number, pid_t wanted, int64_t life)
{
	pid_t parent = getpid(), pid;

	mark(number);
	pid = born(wanted);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			rest(life);
		_exit(0);
	}
	return pid;
}

static unsigned
next_number(unsigned number)
{
	number = 1 + (number + 617) % MOST;
	return number == CROWDS ? next_number(number) : number;
}

static void
reap(struct slot *slots)
{
	for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0; )
		for (int i = 0; i < SLOTS; i++)
			if (slots[i].pid == pid)
				slots[i].pid = 0;
}

/* Waits until a child has ended, so that its pid can be reused at once, or until that time. */
static void
await(int64_t until)
{
	struct timespec t = { 0, 0 };
	sigset_t children;

	if (until > now())
		t.tv_nsec = (until - now()) * 1000000;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	sigtimedwait(&children, NULL, &t);
}

static void
churn_marked(unsigned rate)
{
	struct slot slots[SLOTS] = { { 0, 0 } };
	unsigned number = 0, made = 0;
	int64_t begin;

	touched = map(8 * STEP * page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	madvise(touched, 8 * STEP * page, MADV_NOHUGEPAGE);
	for (int i = 0; i < CROWD; i++)
		spawn_marked(CROWDS, 0, LIFETIME * 1000);
	printf("%d %d\n", (int)getpid(), (int)spawn_marked(0, 0, LIFETIME * 1000));
	fflush(stdout);
	begin = now();
	while (!stop && now() - begin < LIFETIME * 1000) {
		reap(slots);
		for (int i = 0; i < SLOTS; i++)
			if (!slots[i].pid && slots[i].ripe <= now()) {
				number = next_number(number);
				slots[i].ripe = now() + BRIEFEST;
				slots[i].pid = spawn_marked(number, FIRST_SLOT + i, BRIEFEST + number % 40);
				made++;
			}
		if (made < (now() - begin) * rate / 1000) {
			number = next_number(number);
			spawn_marked(number, 0, number % 3);
			made++;
		}
		await(now() + 1);
	}
	printf("%u\n", made);
}

static struct { atomic_uint live, made; } *bombs;

static void
bomb(unsigned most, unsigned seed)
{
	pid_t pid;

	if (atomic_fetch_add(&bombs->live, 1) >= most || (pid = fork()) < 0) {
		atomic_fetch_sub(&bombs->live, 1);
		return;
	}
	if (pid)
		return;
	seed = seed * 2654435761U + atomic_fetch_add(&bombs->made, 1) * 40503U;
	bomb(most, seed + 1);
	bomb(most, seed + 2);
	rest(most / 5 + seed / 7 % (2 * most));		/* longer with more processes: fork and exit wait for one lock */
	atomic_fetch_sub(&bombs->live, 1);
	_exit(0);
}

static void
churn_bomb(unsigned most)
{
	int64_t begin = now();
	pid_t steady;

	bombs = map(sizeof *bombs, PROT_READ | PROT_WRITE, MAP_SHARED);
	signal(SIGCHLD, SIG_IGN);	/* the kernel reaps them */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	steady = fork();
	if (steady == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rest(LIFETIME * 1000);
		_exit(0);
	}
	while (atomic_load(&bombs->live) < most / 2)
		bomb(most, (unsigned)now());
	printf("%d %d\n", (int)getpid(), (int)steady);
	fflush(stdout);
	for (; !stop && now() - begin < LIFETIME * 1000; rest(1))
		bomb(most, (unsigned)now());
	printf("%u\n", atomic_load(&bombs->made));
}

static void
stop_on_signal(int sig)
{
	stop = sig;
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

	page = (size_t)sysconf(_SC_PAGESIZE);
	signal(SIGTERM, stop_on_signal);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (n > 0 && argc == 4 && strcmp(argv[1], "marked") == 0 && strcmp(argv[3], "n=00000") == 0) {
		digits = argv[3] + 2;
		churn_marked(n);
	} else if (n > 0 && argc == 3 && strcmp(argv[1], "bomb") == 0)
		churn_bomb(n);
	else
		errx(2, "usage: churn marked RATE n=00000 | churn bomb COUNT");
	return 0;
}
