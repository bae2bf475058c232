/* A name service that never answers, as one whose server has gone: nsswitch.conf knows it as "sleepy". */
#include <nss.h>
#include <pwd.h>
#include <unistd.h>

enum nss_status _nss_sleepy_getpwuid_r(uid_t, struct passwd *, char *, size_t, int *);
enum nss_status _nss_sleepy_getpwnam_r(const char *, struct passwd *, char *, size_t, int *);

static enum nss_status
keep_waiting(void)
{
	for (;;)
		sleep(3600);
	return NSS_STATUS_UNAVAIL;
}

enum nss_status
_nss_sleepy_getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, int *error)
{
	(void)uid, (void)entry, (void)buf, (void)size, (void)error;
	return keep_waiting();
}

enum nss_status
_nss_sleepy_getpwnam_r(const char *name, struct passwd *entry, char *buf, size_t size, int *error)
{
	(void)name, (void)entry, (void)buf, (void)size, (void)error;
	return keep_waiting();
}
