/*
 * wedge: processes that are hard to measure, for stalled.bats.
 *
 *	wedge map|direct|exec|leader|vfork|giant [COUNT [SECONDS]]
 *
 * Prints the pids it made, one a line, when they are what they should be, and closes its output. They end with
 * wedge: kill it when done. wedge ends with its parent, or after SECONDS, 60 unless told.
 *
 * map and exec speak the protocol of linux/fuse.h over /dev/fuse to a file system of their own, in a mount namespace of
 * their own, that answers all requests but WRITE. Their victims, of user 65534, have written to a page of a file there.
 * Unmapping that page waits for the write to end. SIGUSR1 to this program ends it: the victims go on, and then sleep.
 * Before 6.16 the kernel writes a copy of the page, and unmapping does not wait. The victims of direct wait on any kernel:
 * they map the file once more, opened for direct I/O, so that the kernel wants the page written first.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LIFETIME = 60,		/* seconds */
	NOBODY = 65534,
	PAGE = 4096,		/* of the file; that of the machine may be larger */
	TOUCHED = 20 << 20,	/* by a leader, and by the two of vfork */
	VICTIM_TOUCHED = 4 << 20,
	SEGMENT = 2 << 20,	/* of the giant, mapped COUNT times */
	VICTIMS = 64,
};

#define ROOM "/tmp"		/* the mount point: every machine has it */

static pid_t victims[VICTIMS];		/* 0: stuck. Each has a file, of node 2 and up */
static uint64_t writes[VICTIMS];	/* the requests that have no answer yet; 0: none */
static volatile sig_atomic_t is_released;

static char *
map(size_t size, int flags, int fd)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	return mem;
}

static void
touch(char *mem, size_t size)
{
	memset(mem, 1, size);
}

static void
touch_some(size_t size)
{
	touch(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), size);
}

static void
die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static void
announce(pid_t pid)
{
	printf("%d\n", (int)pid);
	fflush(stdout);
}

/* Waits with its mmap lock held for writing. */
static void
wedge_in_mmap(const char *name, char *page)
{
	(void)name;
	*page = 1;
	mmap(page, PAGE, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The same. */
static void
wedge_in_direct_mmap(const char *name, char *page)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	*page = 1;		/* not earlier: the kernel may write it at any time, and then nothing waits */
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
}

/* Waits with exec_update_lock held. */
static void
wedge_in_exec(const char *name, char *page)
{
	(void)name;
	*page = 1;
	execl("/proc/self/exe", "wedge", "sleep", (char *)NULL);
}

static _Noreturn void
be_victim(pid_t parent, unsigned nth, void (*wedge)(const char *name, char *page))
{
	char name[64], *page;
	int fd;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		err(1, "user %d", NOBODY);
	prctl(PR_SET_DUMPABLE, 1);	/* so that its user may read its files */
	die_with(parent);
	touch_some(VICTIM_TOUCHED);
	snprintf(name, sizeof name, ROOM "/%u", nth);
	if ((fd = open(name, O_RDWR | O_CLOEXEC)) < 0)
		err(1, "%s", name);
	page = map(PAGE, MAP_SHARED, fd);
	close(fd);
	wedge(name, page);
	for (;;)
		pause();
}

static void
answer(int fd, uint64_t unique, int error, void *body, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof out + len), .error = error, .unique = unique };
	struct iovec parts[] = { { &out, sizeof out }, { body, len } };

	if (writev(fd, parts, 2) < 0 && errno != ENOENT)	/* ENOENT: the caller has ended */
		err(1, "answer");
}

static struct fuse_attr
attr_of(uint64_t node)
{
	bool is_root = node == FUSE_ROOT_ID;

	return (struct fuse_attr){
		.ino = node, .size = PAGE, .nlink = 1, .blksize = PAGE, .mode = is_root ? S_IFDIR | 0777 : S_IFREG | 0666,
	};
}

static void
serve(int fd, const struct fuse_in_header *in, const void *body)
{
	static char zeros[PAGE];
	const struct fuse_init_in *init = body;
	const struct fuse_read_in *want = body;
	struct fuse_init_out hello = { .major = FUSE_KERNEL_VERSION, .max_write = PAGE, .max_background = VICTIMS };
	struct fuse_attr_out attr = { .attr_valid = LIFETIME, .attr = attr_of(in->nodeid) };
	struct fuse_entry_out entry = { .entry_valid = LIFETIME, .attr_valid = LIFETIME };
	const struct fuse_open_in *open = body;
	struct fuse_open_out opened = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		hello.minor = init->minor < FUSE_KERNEL_MINOR_VERSION ? init->minor : FUSE_KERNEL_MINOR_VERSION;
		answer(fd, in->unique, 0, &hello, sizeof hello);
		break;
	case FUSE_LOOKUP:
		entry.nodeid = 2 + strtoul(body, NULL, 10);
		entry.attr = attr_of(entry.nodeid);
		answer(fd, in->unique, 0, &entry, sizeof entry);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer(fd, in->unique, 0, &attr, sizeof attr);
		break;
	case FUSE_OPEN:
		if ((open->flags & O_ACCMODE) == O_RDONLY)
			opened.open_flags = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE;
		answer(fd, in->unique, 0, &opened, sizeof opened);
		break;
	case FUSE_READ:
		answer(fd, in->unique, 0, zeros, want->size < PAGE ? want->size : PAGE);
		break;
	case FUSE_WRITE:
		announce(victims[in->nodeid - 2]);	/* without an answer to the caller */
		victims[in->nodeid - 2] = 0;
		writes[in->nodeid - 2] = in->unique;
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(fd, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

static bool
are_all_wedged(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (victims[i])
			return false;
	return true;
}

static void
release(int sig)
{
	(void)sig;
	is_released = 1;
}

static void
answer_writes(int fd)
{
	struct fuse_write_out written = { .size = PAGE };

	for (unsigned i = 0; i < VICTIMS; i++) {
		if (writes[i])
			answer(fd, writes[i], 0, &written, sizeof written);
		writes[i] = 0;
	}
}

static void
give_up(int sig)
{
	(void)sig;
	_exit(1);
}

/* The file system may hold few dirty pages, so that the kernel may write a page at once, before its victim waits for
 * that. This raises its share, where /sys can be written. */
static void
allow_dirty_pages(void)
{
	char name[64];
	struct statx st;
	FILE *f;

	if (statx(AT_FDCWD, ROOM, AT_STATX_DONT_SYNC, 0, &st) < 0)	/* asks nothing of this program */
		err(1, ROOM);
	snprintf(name, sizeof name, "/sys/class/bdi/%u:%u/min_ratio", st.stx_dev_major, st.stx_dev_minor);
	if ((f = fopen(name, "we"))) {
		fputs("50", f);
		fclose(f);
	}
}

static _Noreturn void
wedge_all(unsigned count, void (*wedge)(const char *name, char *page))
{
	static struct fuse_in_header request[1 << 13];
	const struct sigaction interrupt = { .sa_handler = release };	/* also read() */
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	pid_t self = getpid();
	char options[128];

	if (count > VICTIMS)
		errx(2, "at most %d", VICTIMS);
	if (fd < 0)
		err(1, "/dev/fuse");
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("wedge", ROOM, "fuse", MS_NOSUID | MS_NODEV, options))
		err(1, "mount");
	allow_dirty_pages();
	signal(SIGCHLD, give_up);	/* a victim that has ended */
	sigaction(SIGUSR1, &interrupt, NULL);
	for (unsigned i = 0; i < count; i++) {
		if ((victims[i] = fork()) < 0)
			err(1, "fork");
		if (victims[i] == 0) {
			close(fd);	/* else the file system would outlive this program */
			close(STDOUT_FILENO);
			signal(SIGCHLD, SIG_DFL);
			be_victim(self, i, wedge);
		}
	}
	for (;;) {
		if (read(fd, request, sizeof request) >= (ssize_t)sizeof *request)
			serve(fd, request, request + 1);
		else if (errno != EINTR && errno != ENOENT)
			err(1, "/dev/fuse");
		if (is_released)
			answer_writes(fd);
		if (are_all_wedged(count))
			close(STDOUT_FILENO);
	}
}

static void
make_map(unsigned count)
{
	wedge_all(count, wedge_in_mmap);
}

static void
make_direct(unsigned count)
{
	wedge_all(count, wedge_in_direct_mmap);
}

static void
make_exec(unsigned count)
{
	wedge_all(count, wedge_in_exec);
}

static bool
leader_has_ended(void)
{
	char line[256] = "";
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
		err(1, "/proc/self/stat");
	close(fd);
	return strstr(line, ") Z ");
}

static void *
outlive_leader(void *unused)
{
	(void)unused;
	touch_some(TOUCHED);
	while (!leader_has_ended())
		usleep(1000);
	announce(getpid());
	close(STDOUT_FILENO);
	for (;;)
		pause();
	return NULL;
}

/* COUNT processes whose thread group leader has exited, with one more thread. */
static void
make_leader(unsigned count)
{
	pid_t self = getpid();
	pthread_t thread;

	for (unsigned i = 0; i < count; i++)
		if (fork() == 0) {
			die_with(self);
			if (pthread_create(&thread, NULL, outlive_leader, NULL))
				errx(1, "no thread");
			pthread_exit(NULL);
		}
}

static int
borrow(void *lender)
{
	die_with(*(pid_t *)lender);
	announce(getppid());
	announce(getpid());
	close(STDOUT_FILENO);
	for (;;)
		pause();
	return 0;
}

/* This one and a child with the same address space, as after vfork. They share files, so that both close the output. */
static void
make_vfork(unsigned unused)
{
	static _Alignas(16) char stack[1 << 16];
	pid_t self = getpid();

	(void)unused;
	touch_some(TOUCHED);
	if (clone(borrow, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &self) < 0)
		err(1, "clone");
}

/* 2 MiB mapped COUNT times: little memory and large page tables. */
static void
make_giant(unsigned count)
{
	int fd = memfd_create("giant", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SEGMENT))
		err(1, "memfd");
	touch(map(SEGMENT, MAP_SHARED, fd), SEGMENT);
	for (unsigned i = 1; i < count; i++) {
		volatile char *mem = map(SEGMENT, MAP_SHARED, fd);

		for (size_t at = 0; at < SEGMENT; at += PAGE)
			(void)mem[at];
	}
	announce(getpid());
}

/* What a victim of exec becomes. */
static void
make_sleep(unsigned unused)
{
	(void)unused;
}

static const struct mode {
	const char *name;
	void (*make)(unsigned count);
	unsigned count;		/* unless told */
} modes[] = {
	{ "map", make_map, 1 },
	{ "direct", make_direct, 1 },
	{ "exec", make_exec, 1 },
	{ "leader", make_leader, 1 },
	{ "vfork", make_vfork, 1 },
	{ "giant", make_giant, 5120 },
	{ "sleep", make_sleep, 1 },
};

int
main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	int seconds = argc > 3 ? atoi(argv[3]) : LIFETIME;

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (argc > 1 && !strcmp(argv[1], modes[i].name)) {
			die_with(getppid());
			alarm((unsigned)seconds);
			setpgid(0, 0);
			modes[i].make(count > 0 ? (unsigned)count : modes[i].count);
			close(STDOUT_FILENO);
			for (;;)
				pause();
		}
	errx(2, "usage: wedge map|exec|leader|vfork|giant [COUNT [SECONDS]]");
}
