/*
 * Traffic between pods, over IPv6 (`open` over either). NETNS is the path of the network namespace of the other end, whose ADDRESS it is:
 *
 *   traffic rr NETNS ADDRESS PORT COUNT block|poll|tcp CPU OTHER
 *       nanoseconds of each of COUNT round trips of a UDP packet, with `tcp` of a byte each way over one TCP connection
 *       with blocking reads, then of the CPU time of both ends for all of them
 *   traffic stream NETNS ADDRESS PORT SECONDS CPU OTHER
 *       bytes a second over one TCP connection, then nanoseconds of CPU time of both ends for a gigabyte
 *   traffic connect NETNS ADDRESS PORT COUNT CPU OTHER
 *       nanoseconds of each of COUNT TCP connections: one that is opened, asked a byte, answered, and closed by who answers
 *   traffic serve ADDRESS PORT
 *       answer UDP until killed
 *   traffic open ADDRESS FIRST COUNT CPU
 *       nanoseconds of CPU time of each of COUNT new connections by UDP, the FIRST and those after it, on all of their way
 *   traffic first ADDRESS PORT PROGRAM CONFIGURATION CONTAINER NETNS
 *       an ADD, then nanoseconds until the pod has the first answer
 *
 * This end is pinned to CPU and the other one to OTHER. Left to the scheduler, both may share a CPU or not, and with
 * blocking reads that decides everything: a packet to an idle CPU of a virtual machine waits 30 us for it to wake up.
 * A packet's way through the stack is worked off in its sender's context (softirq), so the CPU time of both ends, taken
 * from their CPU clocks, is all that a round trip costs, whatever else the machine does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 17];

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int opened(int kind, char **where, int bound)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(where[1]))};
    int made = socket(AF_INET6, kind | SOCK_CLOEXEC, 0), on = 1;
    if (made < 0 || inet_pton(AF_INET6, where[0], &address.sin6_addr) != 1)
        fail("socket");
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bound ? bind(made, (struct sockaddr *)&address, sizeof address)
              : connect(made, (struct sockaddr *)&address, sizeof address))
        fail(where[0]);
    return made;
}

static void pin(const char *cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("sched_setaffinity");
}

static _Noreturn void answer(int udp, int flags)
{
    for (;;) {
        struct sockaddr_in6 peer;
        socklen_t length = sizeof peer;
        ssize_t size = recvfrom(udp, buffer, sizeof buffer, flags, (struct sockaddr *)&peer, &length);
        if (size >= 0)
            sendto(udp, buffer, (size_t)size, 0, (struct sockaddr *)&peer, length); /* if that is lost it asks again */
    }
}

static _Noreturn void serve(char **where)
{
    int udp = opened(SOCK_DGRAM, where, 1);
    if (puts("ready") < 0 || fflush(stdout))
        fail("stdout");
    answer(udp, 0);
}

static void without_delay(int tcp)
{
    int on = 1;
    if (setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        fail("TCP_NODELAY");
}

static _Noreturn void echo(int tcp, int flags)
{
    int stream = accept(tcp, 0, 0);
    ssize_t size;
    without_delay(stream);
    while ((size = recv(stream, buffer, sizeof buffer, flags)) > 0)
        if (send(stream, buffer, (size_t)size, 0) != size)
            fail("send");
    pause();
    _exit(0);
}

static _Noreturn void swallow(int tcp, int flags)
{
    (void)flags;
    int stream = accept(tcp, 0, 0);
    while (read(stream, buffer, sizeof buffer) > 0)
        continue;
    pause();
    _exit(0);
}

/* Who closes first keeps the connection in TIME_WAIT; if that is this end, the other one's port can be used again. */
static _Noreturn void answer_once(int tcp, int flags)
{
    for (;;) {
        int stream = accept(tcp, 0, 0);
        ssize_t size = recv(stream, buffer, sizeof buffer, flags);
        if (size > 0 && send(stream, buffer, (size_t)size, 0) != size)
            fail("send");
        close(stream);
    }
}

static pid_t other;

/* Starts the other end in its namespace, pinned to its CPU, and returns when it listens. */
static void start_other(char **where, int kind, void (*work)(int, int), int flags, const char *cpu)
{
    int ready[2], netns = open(where[0], O_RDONLY | O_CLOEXEC);
    if (netns < 0 || pipe(ready))
        fail(where[0]);
    other = fork();
    if (!other) {
        pin(cpu);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || setns(netns, CLONE_NEWNET))
            fail("setns");
        int bound = opened(kind, where + 1, 1);
        if ((kind == SOCK_STREAM && listen(bound, 1)) || write(ready[1], "", 1) != 1)
            fail("listen");
        work(bound, flags);
    }
    close(ready[1]);
    if (other < 0 || read(ready[0], buffer, 1) != 1)
        fail("the other end");
}

static void end_other(void)
{
    kill(other, SIGKILL);
    waitpid(other, 0, 0);
}

/* CPU time of both ends. */
static long long cpu_time(void)
{
    clockid_t clock;
    struct timespec own, others;
    if (clock_getcpuclockid(other, &clock) || clock_gettime(clock, &others) ||
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own))
        fail("CPU time");
    return (own.tv_sec + others.tv_sec) * 1000000000LL + own.tv_nsec + others.tv_nsec;
}

static int stream(char **where, double seconds, char **cpus)
{
    start_other(where, SOCK_STREAM, swallow, 0, cpus[1]);
    pin(cpus[0]);
    int tcp = opened(SOCK_STREAM, where + 1, 0);
    long long cpu = cpu_time(), started = now(), sent = 0, end = started + (long long)(seconds * 1e9);
    while (now() < end) {
        ssize_t size = write(tcp, buffer, sizeof buffer);
        if (size < 0)
            fail("write");
        sent += size;
    }
    cpu = cpu_time() - cpu;
    end_other();
    return printf("%.0f\n%.0f\n", (double)sent * 1e9 / (double)(now() - started), (double)cpu * 1e9 / (double)sent) < 0;
}

/* Sends a packet until it is answered, every `patience` ms again; gives the nanoseconds since `started`. */
static long long asked(int udp, long long started, int patience)
{
    for (;;) {
        struct pollfd which = {udp, POLLIN, 0};
        if (send(udp, "?", 1, 0) < 0 && errno != ECONNREFUSED && errno != ENETUNREACH && errno != EHOSTUNREACH)
            fail("send");
        if (poll(&which, 1, patience) > 0 && recv(udp, buffer, sizeof buffer, 0) > 0)
            return now() - started;
        if (now() - started > 10000000000LL)
            fail("no answer");
    }
}

static int rr(char **where, int count, const char *how, char **cpus)
{
    int flags = strcmp(how, "poll") ? 0 : MSG_DONTWAIT, tcp = !strcmp(how, "tcp"), kind = tcp ? SOCK_STREAM : SOCK_DGRAM;
    start_other(where, kind, tcp ? echo : answer, flags, cpus[1]);
    pin(cpus[0]);
    int end = opened(kind, where + 1, 0);
    struct timeval patience = {.tv_sec = 10};
    if (tcp)
        without_delay(end);
    setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    long long *took = calloc((size_t)count, sizeof *took);
    if (!took)
        fail("memory");
    for (int warm = 0; warm < 100; warm++)
        asked(end, now(), 1000);
    long long cpu = cpu_time();
    for (int number = 0; number < count; number++) {
        long long started = now();
        if (send(end, "?", 1, 0) < 0)
            fail("send");
        while (recv(end, buffer, sizeof buffer, flags) < 0)
            if (errno != EAGAIN || now() - started > 10000000000LL)
                fail("no answer");
        took[number] = now() - started;
    }
    cpu = cpu_time() - cpu;
    end_other();
    for (int number = 0; number < count; number++)
        printf("%lld\n", took[number]);
    return printf("%lld\n", cpu) < 0;
}

static int connections(char **where, int count, char **cpus)
{
    start_other(where, SOCK_STREAM, answer_once, 0, cpus[1]);
    pin(cpus[0]);
    long long *took = calloc((size_t)count, sizeof *took);
    if (!took)
        fail("memory");
    for (int number = -100; number < count; number++) {
        long long started = now();
        int tcp = opened(SOCK_STREAM, where + 1, 0);
        if (send(tcp, "?", 1, 0) != 1 || recv(tcp, buffer, sizeof buffer, 0) != 1 || recv(tcp, buffer, sizeof buffer, 0))
            fail("no answer");
        close(tcp);
        if (number >= 0)
            took[number] = now() - started;
    }
    end_other();
    for (int number = 0; number < count; number++)
        printf("%lld\n", took[number]);
    return 0;
}

static int first(char **where, char **call)
{
    char container[1024], path[1024], folder[1024];
    snprintf(container, sizeof container, "CNI_CONTAINERID=%s", call[2]);
    snprintf(path, sizeof path, "CNI_NETNS=%s", call[3]);
    snprintf(folder, sizeof folder, "CNI_PATH=%.*s", (int)(strrchr(call[0], '/') - call[0]), call[0]);
    char *environment[] = {"CNI_COMMAND=ADD", container, path, folder, "CNI_IFNAME=eth0", "PATH=/usr/sbin:/sbin:/bin", 0};
    char *program[] = {call[0], 0};
    int in = open(call[1], O_RDONLY | O_CLOEXEC), out = open("/dev/null", O_WRONLY | O_CLOEXEC), status = 0;
    int netns = open(call[3], O_RDONLY | O_CLOEXEC);
    pid_t child = vfork();
    if (!child) {
        dup2(in, 0), dup2(out, 1);
        execve(program[0], program, environment);
        _exit(127);
    }
    if (waitpid(child, &status, 0) < 0 || status)
        fail("ADD");
    long long started = now();
    if (setns(netns, CLONE_NEWNET))
        fail("setns");
    return printf("%lld\n", asked(opened(SOCK_DGRAM, where, 0), started, 1)) < 0;
}

/* Flows of one host differ by their ports: 60000 of ours and a hundred of theirs. A raw socket needs no bind for each. */
static int open_flows(char **where, int first, int count, const char *cpu)
{
    int ipv4 = !strchr(where[0], ':'), checksum_at = 6;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    int raw = socket(ipv4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
    if (raw < 0 || (!ipv4 && setsockopt(raw, SOL_RAW, IPV6_CHECKSUM, &checksum_at, sizeof checksum_at)) ||
        inet_pton(ipv4 ? AF_INET : AF_INET6, where[0], ipv4 ? (void *)&four.sin_addr : &six.sin6_addr) != 1)
        fail(where[0]);
    const struct sockaddr *to = ipv4 ? (const struct sockaddr *)&four : (const struct sockaddr *)&six;
    struct timespec before, after;
    pin(cpu);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (int flow = first; flow < first + count; flow++) {
        unsigned short theirs = (unsigned short)(5000 + flow % 100 + flow / 60000 * 100);
        unsigned short head[] = {htons((unsigned short)(1024 + flow % 60000)), htons(theirs), htons(8), 0};
        if (sendto(raw, head, sizeof head, 0, to, ipv4 ? sizeof four : sizeof six) < 0 && errno != ENOBUFS)
            fail("sendto");
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    long long took = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    return printf("%lld\n", took / count) < 0;
}

int main(int count, char **argument)
{
    if (count == 9 && !strcmp(argument[1], "rr"))
        return rr(argument + 2, atoi(argument[5]), argument[6], argument + 7);
    if (count == 8 && !strcmp(argument[1], "stream"))
        return stream(argument + 2, atof(argument[5]), argument + 6);
    if (count == 8 && !strcmp(argument[1], "connect"))
        return connections(argument + 2, atoi(argument[5]), argument + 6);
    if (count == 4 && !strcmp(argument[1], "serve"))
        serve(argument + 2);
    if (count == 6 && !strcmp(argument[1], "open"))
        return open_flows(argument + 2, atoi(argument[3]), atoi(argument[4]), argument[5]);
    if (count == 8 && !strcmp(argument[1], "first"))
        return first(argument + 2, argument + 4);
    return 2;
}
