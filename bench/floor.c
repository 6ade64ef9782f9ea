/*
 * What the kernel alone needs for the objects of an ADD and of a DEL: floor HOW < pods, HOW is `one` or `group`
 *
 * Each line of standard input is the path of a network namespace. The same messages as slash80's, in the same batches,
 * by raw netlink and from one process. Lines come out as from `caller`: first those of all ADDs, then those of all DELs,
 * each kind with its total; by `group` all links go in one message, and every DEL is said to take its share.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 10000
#define GROUP 21376

static char batch[1 << 16];
static size_t used;
static struct nlmsghdr *current;
static int steps;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void begin(int type, int flags, const void *head, size_t size)
{
    current = (struct nlmsghdr *)(batch + used);
    *current = (struct nlmsghdr){.nlmsg_type = (unsigned short)type, .nlmsg_seq = (unsigned)++steps};
    current->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(NLMSG_DATA(current), head, size);
    used += NLMSG_SPACE(size);
    current->nlmsg_len = (unsigned)(batch + used - (char *)current);
}

static struct rtattr *attribute(int type, const void *value, size_t size)
{
    struct rtattr *made = (struct rtattr *)(batch + used);
    made->rta_type = (unsigned short)type, made->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(made), value, size);
    used += RTA_SPACE(size);
    current->nlmsg_len = (unsigned)(batch + used - (char *)current);
    return made;
}

static void number(int type, int value)
{
    attribute(type, &value, sizeof value);
}

static void text(int type, const char *value)
{
    attribute(type, value, strlen(value) + 1);
}

static void end(struct rtattr *nest)
{
    nest->rta_len = (unsigned short)(batch + used - (char *)nest);
}

/* Sends the batch and reads an acknowledgement for each message; gives the index of a link that came with them. */
static int send_batch(int socket)
{
    char answer[1 << 16];
    int index = 0;
    if (send(socket, batch, used, 0) < 0)
        fail("send");
    for (int waiting = steps; waiting;) {
        ssize_t left = recv(socket, answer, sizeof answer, 0);
        for (struct nlmsghdr *part = (struct nlmsghdr *)answer; NLMSG_OK(part, left); part = NLMSG_NEXT(part, left)) {
            if (part->nlmsg_type == RTM_NEWLINK)
                index = ((struct ifinfomsg *)NLMSG_DATA(part))->ifi_index;
            if (part->nlmsg_type != NLMSG_ERROR)
                continue;
            errno = -((struct nlmsgerr *)NLMSG_DATA(part))->error;
            if (errno && errno != EEXIST)
                fail("netlink");
            waiting--;
        }
    }
    used = 0, steps = 0;
    return index;
}

static void address(int index, int family, const char *value, int length, int scope)
{
    unsigned char raw[16];
    inet_pton(family, value, raw);
    struct ifaddrmsg head = {(unsigned char)family, (unsigned char)length, family == AF_INET6 ? IFA_F_NODAD : 0,
                             (unsigned char)scope, (unsigned)index};
    begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    attribute(IFA_ADDRESS, raw, family == AF_INET ? 4 : 16);
    if (family == AF_INET)
        attribute(IFA_LOCAL, raw, 4);
}

static void route(int index, int family, const char *to, int length, const char *gateway)
{
    unsigned char raw[16];
    struct rtmsg head = {.rtm_family = (unsigned char)family, .rtm_dst_len = (unsigned char)length, .rtm_protocol = 180,
                         .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST, .rtm_flags = gateway ? RTNH_F_ONLINK : 0,
                         .rtm_scope = family == AF_INET && !gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE};
    begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    if (length)
        inet_pton(family, to, raw), attribute(RTA_DST, raw, family == AF_INET ? 4 : 16);
    number(RTA_OIF, index);
    if (gateway)
        inet_pton(family, gateway, raw), attribute(RTA_GATEWAY, raw, family == AF_INET ? 4 : 16);
}

static void neighbour(int index, int family, const char *value, const unsigned char *mac)
{
    unsigned char raw[16];
    struct ndmsg head = {.ndm_family = (unsigned char)family, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
    inet_pton(family, value, raw);
    begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    attribute(NDA_DST, raw, family == AF_INET ? 4 : 16);
    attribute(NDA_LLADDR, mac, 6);
}

static void up(int index)
{
    struct ifinfomsg head = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(RTM_NEWLINK, 0, &head, sizeof head);
}

static void one_queue(void)
{
    number(IFLA_NUM_TX_QUEUES, 1), number(IFLA_NUM_RX_QUEUES, 1);
}

static int pair(int host, const char *name, const unsigned char *mac, int netns)
{
    struct ifinfomsg head = {0};
    unsigned char inner[6] = {2, 1, mac[2], mac[3], mac[4], mac[5]};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, &head, sizeof head);
    text(IFLA_IFNAME, name), attribute(IFLA_ADDRESS, mac, 6), number(IFLA_MTU, 1500), number(IFLA_GROUP, GROUP);
    one_queue();
    struct rtattr *info = attribute(IFLA_LINKINFO, "", 0);
    text(IFLA_INFO_KIND, "veth");
    struct rtattr *data = attribute(IFLA_INFO_DATA, "", 0), *peer = attribute(VETH_INFO_PEER, &head, sizeof head);
    text(IFLA_IFNAME, "eth0"), attribute(IFLA_ADDRESS, inner, 6), number(IFLA_MTU, 1500), number(IFLA_NET_NS_FD, netns);
    one_queue();
    end(peer), end(data), end(info);
    return send_batch(host);
}

static int open_inside(int netns, int own)
{
    if (setns(netns, CLONE_NEWNET))
        fail("setns");
    int made = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (setns(own, CLONE_NEWNET) || made < 0)
        fail("socket");
    return made;
}

static int add(int host, int own, const char *path, int pod)
{
    char name[16], four[32], six[64], alias[200];
    unsigned char mac[6] = {2, 0, 0, 0, (unsigned char)(pod >> 8), (unsigned char)pod};
    snprintf(name, sizeof name, "floor%d", pod), snprintf(four, sizeof four, "10.99.%d.%d", pod / 250, pod % 250 + 1);
    snprintf(six, sizeof six, "2001:db8:99::%x", pod + 1);
    snprintf(alias, sizeof alias, "{\"v\":1,\"net\":\"floor\",\"id\":\"%064d\",\"ifname\":\"eth0\"}", pod);
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0)
        fail(path);
    int inside = open_inside(netns, own), index = pair(host, name, mac, netns);
    index = index ? index : (int)if_nametoindex(name);
    address(index, AF_INET, "169.254.1.1", 32, RT_SCOPE_HOST), address(index, AF_INET6, "fe80::1", 64, RT_SCOPE_LINK);
    up(index);
    route(index, AF_INET, four, 32, 0), route(index, AF_INET6, six, 128, 0);
    send_batch(host);
    struct ifinfomsg head = {0};
    begin(RTM_GETLINK, 0, &head, sizeof head), text(IFLA_IFNAME, "eth0");
    int end_index = send_batch(inside);
    address(end_index, AF_INET, four, 32, 0), address(end_index, AF_INET6, six, 128, 0);
    up(end_index);
    neighbour(end_index, AF_INET, "169.254.1.1", mac), neighbour(end_index, AF_INET6, "fe80::1", mac);
    route(end_index, AF_INET, "", 0, "169.254.1.1"), route(end_index, AF_INET6, "", 0, "fe80::1");
    send_batch(inside);
    head.ifi_index = index;
    begin(RTM_NEWLINK, 0, &head, sizeof head), text(IFLA_IFALIAS, alias);
    send_batch(host);
    close(inside), close(netns);
    return index;
}

int main(int arguments, char **argument)
{
    static char *paths[MOST];
    static int indexes[MOST];
    static long long took[MOST];
    char line[4096];
    int count = 0, together = arguments == 2 && !strcmp(argument[1], "group");
    while (count < MOST && fgets(line, sizeof line, stdin))
        line[strcspn(line, "\n")] = 0, paths[count++] = strdup(line);
    int host = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), own = open("/proc/self/ns/net", O_RDONLY);
    long long all = now();
    for (int pod = 0; pod < count; pod++) {
        long long started = now();
        indexes[pod] = add(host, own, paths[pod], pod);
        took[pod] = now() - started;
    }
    all = now() - all;
    for (int pod = 0; pod < count; pod++)
        printf("%lld 0\n", took[pod]);
    printf("%lld\n", all);
    all = now();
    for (int pod = 0; pod < (together ? 1 : count); pod++) {
        long long started = now();
        struct ifinfomsg head = {.ifi_index = together ? 0 : indexes[pod]};
        begin(RTM_DELLINK, 0, &head, sizeof head);
        if (together)
            number(IFLA_GROUP, GROUP);
        send_batch(host);
        took[pod] = now() - started;
    }
    all = now() - all;
    for (int pod = 0; pod < count; pod++)
        printf("%lld 0\n", together ? all / count : took[pod]);
    printf("%lld\n", all);
    return 0;
}
