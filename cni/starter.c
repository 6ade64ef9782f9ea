/*
 * What `engine` and `nft` are when they are started: becomes the program of its own name in libexec/ beside it, by the C library's
 * loader and with the libraries that lie there too. So nothing of the node's C library is used, and the engine runs
 * from whatever directory it is copied to, which no path of a loader within a program would allow.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

enum { PATH_BYTES = 4096, UNUSABLE = 127 };

static int complain(const char *what, const char *reason)
{
    dprintf(2, "slash80: %s: %s\n", what, reason);
    return UNUSABLE;
}

/* Takes away what is meant for the node's loader and C library: ours might find libraries of the node, and die. */
static void forget_libraries(void)
{
    char **kept = environ;
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LD_", 3) && strncmp(*variable, "GLIBC_TUNABLES=", 15))
            *kept++ = *variable;
    *kept = 0;
}

int main(int count, char **arguments)
{
    char self[PATH_BYTES], libexec[PATH_BYTES + 16], loader[PATH_BYTES + 32], program[2 * PATH_BYTES];
    /* a node may have no /proc, and a file that was replaced meanwhile has no name there */
    if (!realpath("/proc/self/exe", self) && !realpath((char *)getauxval(AT_EXECFN), self))
        return complain("a program of the plugin does not find itself", strerror(errno));
    if (strpbrk(self, ":;$"))
        return complain(self, "':', ';' and '$' mean something to the loader; install the plugin in another directory");
    char *name = strrchr(self, '/');
    snprintf(libexec, sizeof libexec, "%.*s/libexec", (int)(name - self), self);
    snprintf(loader, sizeof loader, "%s/loader", libexec);
    snprintf(program, sizeof program, "%s%s", libexec, name);
    char *options[] = {
        self, "--inhibit-cache", "--library-path", libexec,
#ifdef PRELOAD
        "--preload", PRELOAD,  /* by its name: the loader takes a blank in a path for the end of it */
#endif
        "--argv0", self, program,
    };
    enum { OPTIONS = sizeof options / sizeof *options };
    char **all = calloc(OPTIONS + (size_t)count + 1, sizeof *all);
    if (!all)
        return complain(self, strerror(errno));
    memcpy(all, options, sizeof options);
    for (int i = 1; i < count; i++)
        all[OPTIONS + i - 1] = arguments[i];
    forget_libraries();
    execv(loader, all);
    dprintf(2, "slash80: %s: %s; install the plugin again\n", loader, strerror(errno));
    return UNUSABLE;
}
