/*
 * load: processes whose memory is known, for the live tests.
 *
 *	load [-k] KIND [SIZE_KIB [COUNT [SEED]]]
 *
 * Prints the pids it made, one a line, when their memory is in place and they are stopped (-k: sleeping), and closes
 * its output. They end with load: kill it when done. load ends with its parent.
 *
 * Link it statically. Then its processes share no page with memz, the shell or ps, and their PSS does not change.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21		/* Linux 5.4 */
#endif

enum {
	LIFETIME = 120,		/* seconds */
	HUGE = 2 << 20,		/* at least, and aligned to it */
	ARGV = 4096,		/* bytes of random arguments, at most */
	COMM = 16,
};

struct job {
	size_t size;		/* bytes, of each process */
	unsigned count;
	unsigned nth;		/* which of the count this one is */
	unsigned seed;
	char *mem;		/* shared by the processes that load makes */
};

struct kind {
	const char *name;
	void (*make)(const struct kind *, struct job);		/* in load itself */
	void (*fill)(const struct job *);			/* in the new process */
	size_t size;						/* KiB, unless told */
	unsigned count;
	bool runs;						/* not stopped, even without -k */
	bool mixes;						/* part of the kind "mixed": needs no preparation */
	const char *help;
};

static bool keep_running;
static size_t page;
static char *rest, *rest_end;	/* of a growing process, not yet touched */

static char *
map(size_t size, int flags, int fd)
{
	char *mem = mmap(NULL, size ? size : page, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	madvise(mem, size, MADV_NOHUGEPAGE);	/* known memory, also where every mapping gets huge pages */
	return mem;
}

static char *
map_anonymous(size_t size)
{
	return map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void
touch(volatile char *mem, size_t size)
{
	for (size_t at = 0; at < size; at += page)
		mem[at] = 1;
}

static char *
touched(size_t size)
{
	char *mem = map_anonymous(size);

	touch(mem, size);
	return mem;
}

static void
advise(char *mem, size_t size, int advice)
{
	if (size && madvise(mem, size, advice))
		err(1, "madvise %d", advice);
}

/* Every process on the machine maps the vdso: its share of that page would change whenever one starts or ends. */
static void
leave_vdso(void)
{
	const ElfW(Ehdr) *elf = (const void *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Phdr) *phdr;
	size_t size = 0;

	if (!elf)
		return;
	phdr = (const void *)((const char *)elf + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++)
		if (phdr[i].p_type == PT_LOAD)
			size = phdr[i].p_vaddr + phdr[i].p_memsz;
	madvise((void *)(uintptr_t)elf, size, MADV_DONTNEED);
}

static void
die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(LIFETIME);	/* for load: a stopped process does not handle it */
}

static void
announce(pid_t pid)
{
	printf("%d\n", (int)pid);
	fflush(stdout);
}

static _Noreturn void
stand(void)
{
	leave_vdso();
	close(STDOUT_FILENO);
	raise(SIGSTOP);
	for (;;)
		pause();
}

static void
spawn(void (*fill)(const struct job *), const struct job *job)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		die_with(parent);
		fill(job);
		stand();
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		errx(1, "process %d did not stop", (int)pid);
	announce(pid);
	if (keep_running)
		kill(pid, SIGCONT);
}

/* The processes that share memory are children of the one that made it, whose pid is printed last. */
static void
spawn_family(unsigned members, void (*fill)(const struct job *), const struct job *job, char *mem)
{
	struct job member = *job;

	member.mem = mem;
	for (member.nth = 1; member.nth <= members; member.nth++)
		spawn(fill, &member);
}

static void
fill_private(const struct job *job)
{
	touched(job->size);
}

static void
member_touches(const struct job *job)
{
	touch(job->mem, job->size);
}

static void
fill_shared(const struct job *job)
{
	char *mem = map(job->size, MAP_SHARED | MAP_ANONYMOUS, -1);

	touch(mem, job->size);
	spawn_family(job->count - 1, member_touches, job, mem);
}

static void
member_writes_quarter(const struct job *job)
{
	touch(job->mem, job->size / 4);
}

static void
fill_cow(const struct job *job)
{
	spawn_family(job->count, member_writes_quarter, job, touched(job->size));
}

static int
temporary_file(size_t size)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/load.XXXXXX", dir && *dir ? dir : "/tmp");
	if ((fd = mkstemp(path)) < 0 || unlink(path) || ftruncate(fd, (off_t)size))
		err(1, "%s", path);
	return fd;
}

/* Half is read through a private mapping (clean), half written through a shared one (dirty). */
static void
fill_file(const struct job *job)
{
	size_t half = job->size / 2;
	volatile char *clean = map(half, MAP_PRIVATE, temporary_file(half));
	char *dirty = map(half, MAP_SHARED, temporary_file(half));

	for (size_t at = 0; at < half; at += page)
		(void)clean[at];
	touch(dirty, half);
}

static void
fill_tmpfs(const struct job *job)
{
	int fd = memfd_create("load", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)job->size))
		err(1, "memfd");
	touch(map(job->size, MAP_SHARED, fd), job->size);
}

static void
member_does_nothing(const struct job *job)
{
	(void)job;
}

static void
fill_swapped(const struct job *job)
{
	char *mem = touched(job->size);

	for (int i = 0; i < 10; i++)	/* the kernel skips a page that is busy */
		advise(mem, job->size, MADV_PAGEOUT);
	spawn_family(job->count - 1, member_does_nothing, job, mem);
}

static int
stand_as_twin(void *parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != *(pid_t *)parent)
		_exit(1);
	close(STDOUT_FILENO);
	kill(getpid(), SIGSTOP);
	for (;;)
		pause();
}

/* COUNT processes of one address space, as after vfork. */
static void
fill_twins(const struct job *job)
{
	enum { STACK = 1 << 16 };
	pid_t self = getpid();
	int status;

	touched(job->size);
	for (unsigned i = 1; i < job->count; i++) {
		pid_t pid = clone(stand_as_twin, touched(STACK) + STACK, CLONE_VM | SIGCHLD, &self);

		if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
			err(1, "twin");
		announce(pid);
	}
}

static void
fill_hugetlb(const struct job *job)
{
	touch(map(job->size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), job->size);
}

static void
fill_thp(const struct job *job)
{
	char *mem = map_anonymous(job->size + HUGE);

	mem += HUGE - (uintptr_t)mem % HUGE;
	advise(mem, job->size, MADV_HUGEPAGE);
	touch(mem, job->size);
}

static void
fill_locked(const struct job *job)
{
	if (mlock(touched(job->size), job->size))
		err(1, "mlock");
}

static void
fill_lazyfree(const struct job *job)
{
	advise(touched(job->size), job->size, MADV_FREE);
}

static void
fill_ksm(const struct job *job)
{
	advise(touched(job->size), job->size, MADV_MERGEABLE);
}

/* The kernel does not merge neighbours of different protection. */
static void
fill_maps(const struct job *job)
{
	char *mem = touched(job->size);

	for (size_t at = 0; at < job->size; at += 2 * page)
		if (mprotect(mem + at, page, PROT_READ))
			err(1, "mprotect");
}

static void *
wait_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void
fill_threads(const struct job *job)
{
	pthread_t thread;

	touched(job->size);
	for (unsigned i = 1; i < job->count; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			errx(1, "no thread");
}

static void
fill_zombie(const struct job *job)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)job;
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
		err(1, "zombie");
	announce(pid);
}

static void
grow_on_signal(int sig)
{
	(void)sig;
	touch(rest, (size_t)(rest_end - rest));
	rest = rest_end;
}

static void
fill_grow(const struct job *job)
{
	char *mem = map_anonymous(2 * job->size);

	touch(mem, job->size);
	rest = mem + job->size;
	rest_end = rest + job->size;
	signal(SIGUSR1, grow_on_signal);
}

static unsigned
random_number(unsigned *state)	/* xorshift: the same everywhere */
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Random bytes, which zram cannot compress. */
static void
fill_noise(const struct job *job)
{
	unsigned *mem = (unsigned *)(void *)map_anonymous(job->size), state = 1 + job->nth;

	for (size_t i = 0; i < job->size / sizeof *mem; i++)
		mem[i] = random_number(&state);
	for (int i = 0; i < 10; i++)
		advise((char *)mem, job->size, MADV_PAGEOUT);
}

/* Random bytes but NUL, and every other time a text that has broken programs like memz. */
static void
random_bytes(unsigned *state, char *to, size_t n)
{
	static const char *const pieces[] = {
		"\n", "\t", "\r", "\033[31m", "\"", "\"\"", "'", ",", ", ", "\\", "\\n", "\\x41", "\\u0041", "\177",
		") ", "(", "=", "-", "%s", "\200", "\300\257", "\355\240\200", "\377", "\342\200\256", "\342\200\213",
		"\302\233", "\346\274\242", "\360\237\230\200", "e\314\201",
	};
	char byte[2] = "";

	while (n) {
		const char *piece = pieces[random_number(state) % (sizeof pieces / sizeof *pieces)];
		size_t len;

		if (random_number(state) & 64) {
			byte[0] = (char)(unsigned char)(1 + random_number(state) % 255);
			piece = byte;
		}
		len = strnlen(piece, n);
		memcpy(to, piece, len);
		to += len;
		n -= len;
	}
}

static unsigned
random_seed(const struct job *job)
{
	return (job->seed + 1) * 2654435761U ^ (job->nth + 1) * 40503U;
}

/* Runs itself again with random arguments; become_named() goes on from there. */
static void
fill_names(const struct job *job)
{
	unsigned state = random_seed(job), argc = 0;
	size_t len = 1 + random_number(&state) % ARGV;
	char *bytes = malloc(len + 1), *argv[9], *end = bytes + len, seed[32];

	if (!bytes)
		err(1, NULL);
	random_bytes(&state, bytes, len);
	*end = '\0';
	for (unsigned i = 0; i < 7 && len > 1; i++)
		bytes[random_number(&state) % (len - 1)] = '\0';
	for (char *arg = bytes; arg < end; arg += strlen(arg) + 1)
		argv[argc++] = arg;
	argv[argc] = NULL;
	snprintf(seed, sizeof seed, "LOAD_NAME=%u", random_seed(job));
	execve("/proc/self/exe", argv, (char *[]){ seed, NULL });
	err(1, "exec");
}

static _Noreturn void
become_named(const char *seed)
{
	unsigned state = ~(unsigned)strtoul(seed, NULL, 10);
	char comm[COMM] = "";

	random_bytes(&state, comm, random_number(&state) % COMM);
	prctl(PR_SET_NAME, comm);
	stand();
}

static void
make_each(const struct kind *kind, struct job job)
{
	for (job.nth = 0; job.nth < job.count; job.nth++)
		spawn(kind->fill, &job);
}

static void
make_family(const struct kind *kind, struct job job)
{
	spawn(kind->fill, &job);
}

static void make_mixed(const struct kind *, struct job);

/* Memory that is in no process: what holds it stays open in one. */

static void
write_zeros(int fd, size_t size)
{
	static const char zeros[1 << 20];

	while (size > 0) {
		ssize_t n = write(fd, zeros, size < sizeof zeros ? size : sizeof zeros);

		if (n <= 0)
			err(1, "write");
		size -= (size_t)n;
	}
}

static void
fill_memfd(const struct job *job)
{
	write_zeros(memfd_create("memz-memfd", 0), job->size);
}

static void
fill_unlinked(const struct job *job)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/dev/shm/memz-unlinked-%d", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		err(1, "%s", path);
	unlink(path);
	write_zeros(fd, job->size);
}

/* The segment outlives the process: ipcrm it. */
static void
fill_sysv(const struct job *job)
{
	int id = shmget(IPC_PRIVATE, job->size, IPC_CREAT | 0600);
	char *mem = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

	if (mem == (char *)-1)
		err(1, "shm");
	touch(mem, job->size);
	shmdt(mem);
}

/* Of each huge page all but the first page is given back. */
static void
fill_split(const struct job *job)
{
	char *mem = mmap(NULL, job->size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	mem += -(uintptr_t)mem & (HUGE - 1);
	advise(mem, job->size, MADV_HUGEPAGE);
	touch(mem, job->size);
	for (size_t at = 0; at < job->size; at += HUGE)
		advise(mem + at + page, HUGE - page, MADV_DONTNEED);
}

static void
fill_secret(const struct job *job)
{
	int fd = (int)syscall(447 /* memfd_secret, Linux 5.14 */, 0);
	char *mem;

	if (fd < 0 || ftruncate(fd, (off_t)job->size))
		err(1, "memfd_secret");
	mem = mmap(NULL, job->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	touch(mem, job->size);
}

static void
fill_lockedfile(const struct job *job)
{
	int fd = temporary_file(job->size);

	if (mlock(map(job->size, MAP_SHARED, fd), job->size))
		err(1, "mlock");
}

/* Connections to itself, written to and never read from. */
static void
fill_tcp(const struct job *job)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int server = socket(AF_INET, SOCK_STREAM, 0), size = 16 << 20;
	static char zeros[1 << 16];
	size_t sent = 0;

	if (bind(server, (struct sockaddr *)&address, len) || listen(server, 16) || getsockname(server, (struct sockaddr *)&address, &len))
		err(1, "listen");
	while (sent < job->size) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		ssize_t n;

		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
		if (connect(fd, (struct sockaddr *)&address, len) || accept(server, NULL, NULL) < 0)
			err(1, "connect");
		while (sent < job->size && (n = send(fd, zeros, sizeof zeros, MSG_DONTWAIT)) > 0)
			sent += (size_t)n;
	}
}

static void
fill_pipes(const struct job *job)
{
	for (size_t done = 0; done < job->size; done += 1 << 20) {
		int fds[2];

		if (pipe(fds) || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0)
			err(1, "pipe");
		write_zeros(fds[1], 1 << 20);
	}
}

/* Reads map the zero page, so that there is nothing but page tables, of one page each. */
static void
fill_tables(const struct job *job)
{
	size_t span = job->size / page * HUGE;
	volatile char *mem = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap");
	advise((char *)(uintptr_t)mem, span, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < span; at += HUGE)
		(void)mem[at];
}

/* Open files take an object of the slab cache filp each, of about 256 bytes. */
static void
fill_files(const struct job *job)
{
	size_t n = job->size / 256;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < n; i++)
		if (open("/dev/null", O_RDONLY) < 0)
			err(1, "open");
}

static void
fill_bpf(const struct job *job)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4096, .max_entries = (unsigned)(job->size / 4096) };

	if (syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) < 0)
		err(1, "bpf");
}

static const struct kind kinds[] = {
	/* name       make         fill          KiB   count runs mixes  help */
	{ "private",  make_each,   fill_private,  1024,  1, false, true,  "anonymous memory, touched" },
	{ "shared",   make_family, fill_shared,   1024,  3, false, true,  "one anonymous segment in COUNT processes" },
	{ "cow",      make_family, fill_cow,      1024,  3, false, true,  "COUNT children, each writes the first quarter" },
	{ "file",     make_each,   fill_file,     1024,  1, false, true,  "files in $TMPDIR, half read, half written" },
	{ "tmpfs",    make_each,   fill_tmpfs,    1024,  1, false, true,  "a memfd" },
	{ "swapped",  make_family, fill_swapped,  1024,  1, false, false, "paged out, shared by COUNT: swapon first" },
	{ "noise",    make_each,   fill_noise,    1024,  1, false, false, "random bytes, paged out: swapon first" },
	{ "twins",    make_family, fill_twins,    1024,  2, false, false, "COUNT processes of one address space" },
	{ "hugetlb",  make_each,   fill_hugetlb,  4096,  1, false, false, "MAP_HUGETLB: set nr_hugepages first" },
	{ "thp",      make_each,   fill_thp,      4096,  1, false, true,  "transparent huge pages" },
	{ "locked",   make_each,   fill_locked,   1024,  1, false, true,  "mlock" },
	{ "lazyfree", make_each,   fill_lazyfree, 1024,  1, false, true,  "MADV_FREE" },
	{ "ksm",      make_each,   fill_ksm,      1024,  1, false, true,  "MADV_MERGEABLE, nothing promised" },
	{ "maps",     make_each,   fill_maps,     1024,  1, false, true,  "a mapping for every page" },
	{ "threads",  make_family, fill_threads,    64,  4, false, true,  "one process of COUNT threads" },
	{ "zombie",   make_family, fill_zombie,      0,  1, false, false, "a zombie and its stopped parent" },
	{ "grow",     make_each,   fill_grow,     1024,  1, true,  false, "touches SIZE more at SIGUSR1" },
	{ "names",    make_each,   fill_names,       0,  1, false, true,  "random bytes for a name and arguments" },
	{ "memfd",    make_each,   fill_memfd,    1024,  1, false, false, "a memfd that nobody maps" },
	{ "unlinked", make_each,   fill_unlinked, 1024,  1, false, false, "a file of /dev/shm without a name" },
	{ "sysv",     make_each,   fill_sysv,     1024,  1, false, false, "a SysV segment without attachment: ipcrm it" },
	{ "split",    make_each,   fill_split,    4096,  1, false, false, "huge pages that were freed but for a page each" },
	{ "secret",   make_each,   fill_secret,   1024,  1, false, false, "memfd_secret" },
	{ "lockedfile", make_each, fill_lockedfile, 1024, 1, false, false, "a file in $TMPDIR, mapped and locked" },
	{ "tcp",      make_each,   fill_tcp,      1024,  1, false, false, "bytes in TCP buffers" },
	{ "pipes",    make_each,   fill_pipes,    1024,  1, false, false, "bytes in pipes of 1 MiB" },
	{ "tables",   make_each,   fill_tables,   1024,  1, false, false, "page tables" },
	{ "files",    make_each,   fill_files,    1024,  1, false, false, "a file for every 256 bytes of slab" },
	{ "bpf",      make_each,   fill_bpf,      1024,  1, false, false, "a BPF map in vmalloc" },
	{ "mixed",    make_mixed,  NULL,           256, 50, false, false, "COUNT of the kinds that need no preparation" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Sizes differ too. Some kinds make a child: COUNT processes and those. */
static void
make_mixed(const struct kind *unused, struct job mix)
{
	(void)unused;
	for (unsigned made = 0, i = 0; made < mix.count; i++) {
		const struct kind *kind = &kinds[i % KINDS];
		struct job job = mix;

		if (!kind->mixes)
			continue;
		job.nth = made++;
		job.count = 2;
		job.size *= 1 + i % 7;
		if (kind->fill == fill_thp)
			job.size += HUGE;
		spawn(kind->fill, &job);
	}
}

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: load [-k] KIND [SIZE_KIB [COUNT [SEED]]]\n");
	for (int i = 0; i < KINDS; i++)
		fprintf(stderr, "%-9s %s\n", kinds[i].name, kinds[i].help);
	exit(2);
}

static const struct kind *
kind_find(const char *name)
{
	for (int i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	usage();
}

static unsigned
number(const char *arg, unsigned least)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (end == arg || *end || n < least || n > UINT32_MAX)
		usage();
	return (unsigned)n;
}

int
main(int argc, char **argv)
{
	const struct kind *kind;
	struct job job = { 0 };

	if (getenv("LOAD_NAME"))
		become_named(getenv("LOAD_NAME"));
	if (argc > 1 && !strcmp(argv[1], "-k")) {
		keep_running = true;
		argv++;
		argc--;
	}
	if (argc < 2 || argc > 5)
		usage();
	die_with(getppid());
	setpgid(0, 0);
	page = (size_t)sysconf(_SC_PAGESIZE);
	kind = kind_find(argv[1]);
	keep_running |= kind->runs;
	job.size = (argc > 2 ? number(argv[2], 0) : kind->size) << 10;
	job.count = argc > 3 ? number(argv[3], 1) : kind->count;
	job.seed = argc > 4 ? number(argv[4], 0) : 0;
	kind->make(kind, job);
	leave_vdso();
	close(STDOUT_FILENO);	/* last: from here on load touches no page that it shares */
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}
