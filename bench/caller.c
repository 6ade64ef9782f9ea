/*
 * Calls a CNI plugin as a runtime does, and says what each call took: caller CALLERS PROGRAM VERB CONFIGURATION < pods
 *
 * Each line of standard input is a container ID, the path of its network namespace, and CNI_ARGS if there are any.
 * CALLERS processes take them in turn. Python's subprocess costs 2 ms a call, which is more than what is measured; vfork
 * and exec cost 0.3 ms.
 * A line comes out for each call, in order: nanoseconds, and microseconds of CPU of the process and its children; then
 * one with the nanoseconds from the first call's start to the last one's end. A call that fails ends it all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 100000

static struct {
    atomic_int next, failed;
    long long took[MOST], cpu[MOST], started[MOST], ended[MOST];
} *shared;

static char *containers[MOST], *namespaces[MOST], *cni_args[MOST];
static int count;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void read_pods(void)
{
    char line[4096], container[1024], path[1024], words[1024];
    while (count < MOST && fgets(line, sizeof line, stdin)) {
        words[0] = 0;
        if (sscanf(line, "%1023s %1023s %1023s", container, path, words) < 2)
            exit(2);
        cni_args[count] = strdup(words);
        containers[count] = strdup(container), namespaces[count++] = strdup(path);
    }
}

static void call(int number, char **program, const char *verb, const char *configuration)
{
    char container[2048], path[2048], command[64], words[2048];
    snprintf(container, sizeof container, "CNI_CONTAINERID=%s", containers[number]);
    snprintf(path, sizeof path, "CNI_NETNS=%s", namespaces[number]);
    snprintf(command, sizeof command, "CNI_COMMAND=%s", verb);
    snprintf(words, sizeof words, "CNI_ARGS=%s", cni_args[number]);
    char folder[2048];
    snprintf(folder, sizeof folder, "CNI_PATH=%.*s", (int)(strrchr(program[0], '/') - program[0]), program[0]);
    char *environment[] = {command, container, path, words, folder, "CNI_IFNAME=eth0", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", 0};
    int in = open(configuration, O_RDONLY | O_CLOEXEC), out = memfd_create("answer", MFD_CLOEXEC), status;
    struct rusage usage;
    shared->started[number] = now();
    pid_t child = vfork();
    if (!child) {
        dup2(in, 0), dup2(out, 1);
        execve(program[0], program, environment);
        _exit(127);
    }
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    shared->ended[number] = now();
    shared->took[number] = shared->ended[number] - shared->started[number];
    shared->cpu[number] = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
                          usage.ru_stime.tv_usec;
    if (status) {
        char answer[4096];
        ssize_t size = pread(out, answer, sizeof answer - 1, 0);
        fprintf(stderr, "%s %s: status %d: %.*s\n", verb, containers[number], status, (int)(size > 0 ? size : 0), answer);
        atomic_store(&shared->failed, 1);
    }
    close(in), close(out);
}

int main(int arguments, char **argument)
{
    if (arguments != 5)
        return 2;
    char *program[] = {argument[2], 0};
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    read_pods();
    for (int worker = atoi(argument[1]); worker > 0; worker--)
        if (!fork()) {
            for (int number; (number = atomic_fetch_add(&shared->next, 1)) < count && !atomic_load(&shared->failed);)
                call(number, program, argument[3], argument[4]);
            _exit(0);
        }
    while (wait(0) > 0)
        continue;
    if (atomic_load(&shared->failed))
        return 1;
    long long first = shared->started[0], last = 0;
    for (int number = 0; number < count; number++) {
        printf("%lld %lld\n", shared->took[number], shared->cpu[number]);
        first = shared->started[number] < first ? shared->started[number] : first;
        last = shared->ended[number] > last ? shared->ended[number] : last;
    }
    printf("%lld\n", last - first);
    return 0;
}
