/*
 * Traffic between pods, over IPv6:
 *
 *   traffic serve ADDRESS PORT              answer UDP, and swallow TCP, until killed
 *   traffic flow ADDRESS PORT SECONDS       bytes a second over one TCP connection
 *   traffic turn ADDRESS PORT COUNT         nanoseconds of each of COUNT round trips of a UDP packet
 *   traffic first ADDRESS PORT PROGRAM CONFIGURATION CONTAINER NETNS
 *                                           an ADD, then nanoseconds until the pod has the first answer
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static _Noreturn void serve(char **where)
{
    int udp = opened(SOCK_DGRAM, where, 1), tcp = opened(SOCK_STREAM, where, 1), flow = -1;
    if (listen(tcp, 16))
        fail("listen");
    if (puts("ready") < 0 || fflush(stdout))
        fail("stdout");
    for (;;) {
        struct pollfd which[] = {{udp, POLLIN, 0}, {tcp, POLLIN, 0}, {flow, POLLIN, 0}};
        if (poll(which, flow < 0 ? 2 : 3, -1) < 0)
            fail("poll");
        if (which[0].revents) {
            struct sockaddr_in6 peer;
            socklen_t length = sizeof peer;
            ssize_t size = recvfrom(udp, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
            if (size >= 0 && sendto(udp, buffer, (size_t)size, 0, (struct sockaddr *)&peer, length) < 0)
                continue; /* it asks again */
        }
        if (which[1].revents) {
            if (flow >= 0)
                close(flow);
            flow = accept(tcp, 0, 0);
        } else if (flow >= 0 && which[2].revents && read(flow, buffer, sizeof buffer) <= 0) {
            close(flow);
            flow = -1;
        }
    }
}

static int flow(char **where, double seconds)
{
    int tcp = opened(SOCK_STREAM, where, 0);
    long long started = now(), sent = 0, end = started + (long long)(seconds * 1e9);
    while (now() < end) {
        ssize_t size = write(tcp, buffer, sizeof buffer);
        if (size < 0)
            fail("write");
        sent += size;
    }
    return printf("%.0f\n", (double)sent * 1e9 / (double)(now() - started)) < 0;
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

static int turn(char **where, int count)
{
    int udp = opened(SOCK_DGRAM, where, 0);
    asked(udp, now(), 100);
    for (int number = 0; number < count; number++)
        printf("%lld\n", asked(udp, now(), 1000));
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

int main(int count, char **argument)
{
    if (count >= 4 && !strcmp(argument[1], "serve"))
        serve(argument + 2);
    if (count == 5 && !strcmp(argument[1], "flow"))
        return flow(argument + 2, atof(argument[4]));
    if (count == 5 && !strcmp(argument[1], "turn"))
        return turn(argument + 2, atoi(argument[4]));
    if (count == 8 && !strcmp(argument[1], "first"))
        return first(argument + 2, argument + 4);
    return 2;
}
