/* filecaps FILE: gives the program FILE the file capabilities CAP_SYS_PTRACE and CAP_PERFMON, as setcap(8) does. */
#include <err.h>
#include <stdint.h>
#include <sys/xattr.h>

int
main(int argc, char **argv)
{
	/* struct vfs_cap_data of linux/capability.h, little-endian: revision 2, effective; permitted, inheritable */
	static const uint8_t caps[] = {
		1, 0, 0, 2,	0, 0, 1 << (19 % 8), 0,	0, 0, 0, 0,	1 << (38 % 8), 0, 0, 0,	0, 0, 0, 0,
	};

	if (argc != 2 || setxattr(argv[1], "security.capability", caps, sizeof caps, 0) < 0)
		err(1, "%s", argc == 2 ? argv[1] : "usage: filecaps FILE");
	return 0;
}
