/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Loaded before libnftnl into the nft that we ship: hides from it what it would crash on.
 *
 * nft keeps with each set the expressions of which its key and its data are the type ("typeof"), as user data that the
 * kernel only stores. libnftables 1.0.6 calls the parser of whatever expression it finds there, also where it has none:
 * since 1.1.2 nft writes one for `type ipv4_addr` as well, a value, and every command of an older nft that reads the
 * sets of that network namespace ends by SIGSEGV. Upstream's 1.0.6.1 falls back to the type that the kernel knows the
 * key by. So does 1.0.6 where it finds no expression, for which we see; also where the parsers that it has would read
 * beyond the end of their tables, since a newer nft knows more fields.
 *
 * Sources: libnftnl, include/libnftnl/{set,udata}.h; nftables, include/expression.h (the order of enum expr_types), and
 * the parse_udata functions of src/{payload,meta,socket,ct,rt,fib,xfrm}.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/netfilter/nf_tables.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct nftnl_set;

enum { NFTNL_SET_USERDATA = 13 };
enum { NFTNL_UDATA_SET_KEY_TYPEOF = 3, NFTNL_UDATA_SET_DATA_TYPEOF = 4, UNKNOWN_TO_NFT = 255 };
enum { NFTNL_UDATA_SET_TYPEOF_EXPR, NFTNL_UDATA_SET_TYPEOF_DATA };
enum {
    EXPR_VERDICT = 1, EXPR_PAYLOAD = 7, EXPR_META = 9, EXPR_SOCKET = 10, EXPR_OSF = 11, EXPR_CT = 12,
    EXPR_CONCAT = 13, EXPR_NUMGEN = 23, EXPR_RT = 25, EXPR_FIB = 26, EXPR_XFRM = 27,
};
#define ANY UINT32_MAX

/* The fields, from 1 on, that it knows of each protocol, in the order of nftables' enum proto_desc_id. */
static const uint8_t last_fields[] = {
    0, 5 /* ah */, 2 /* esp */, 3 /* comp */, 7 /* icmp */, 4 /* igmp */, 4 /* udp */, 4 /* udplite */, 10 /* tcp */,
    3 /* dccp */, 4 /* sctp */, 2 /* th */, 12 /* ip */, 9 /* ip6 */, 8 /* icmp6 */, 9 /* arp */, 5 /* vlan */,
    3 /* ether */,
};
enum { PROTOCOLS = sizeof last_fields, PROTO_DESC_UNKNOWN = 0, PROTO_DESC_IP = 12, PROTO_DESC_IP6 = 13 };

/*
 * The parsers that can be relied on, with the first of the numbers that describe an expression, which most take as index.
 * Missing: that of a hash, whose expression cannot be printed, and that of extension headers.
 */
static const struct parser {
    uint32_t expression, lowest, highest;
} parsers[] = {
    {EXPR_VERDICT, 0, ANY},
    {EXPR_PAYLOAD, PROTO_DESC_UNKNOWN, PROTOCOLS - 1},
    {EXPR_META, NFT_META_LEN, NFT_META_SDIFNAME},
    {EXPR_SOCKET, NFT_SOCKET_TRANSPARENT, NFT_SOCKET_CGROUPV2},
    {EXPR_OSF, 0, ANY},
    {EXPR_CT, NFT_CT_STATE, NFT_CT_ID},
    {EXPR_NUMGEN, 0, ANY},
    {EXPR_RT, NFT_RT_CLASSID, NFT_RT_XFRM},
    {EXPR_FIB, NFT_FIB_RESULT_OIF, NFT_FIB_RESULT_ADDRTYPE},
    {EXPR_XFRM, NFT_XFRM_KEY_DADDR_IP4, NFT_XFRM_KEY_SPI},
};
enum { PARSERS = sizeof parsers / sizeof *parsers };

/* One of those that lie one after the other: a type, a length, and that many bytes. */
struct attribute {
    uint8_t *type, *value;
    size_t length;
};

/* Take the first one off what lies between `*from` and `end`; return whether it is whole. */
static bool next(uint8_t **from, const uint8_t *end, struct attribute *found)
{
    if (end - *from < 2 || end - *from - 2 < (*from)[1])
        return false;
    *found = (struct attribute){*from, *from + 2, (*from)[1]};
    *from += 2 + found->length;
    return true;
}

/* Read the number in an attribute; false for another length. */
static bool number(struct attribute attribute, uint32_t *value)
{
    if (attribute.length != sizeof *value)
        return false;
    memcpy(value, attribute.value, sizeof *value);
    return true;
}

static bool has_field(uint32_t protocol, uint32_t field)
{
    uint32_t first = protocol != PROTO_DESC_IP && protocol != PROTO_DESC_IP6;
    return protocol == PROTO_DESC_UNKNOWN || (first <= field && field <= last_fields[protocol]);
}

/* Return whether the numbers in this attribute are within the tables of a parser. */
static bool within_tables(const struct parser *parser, struct attribute numbers)
{
    uint8_t *from = numbers.value, *end = from + numbers.length;
    struct attribute found;
    uint32_t values[2] = {ANY, ANY}, value;
    while (next(&from, end, &found)) {
        if (!number(found, &value))
            return false;
        if (*found.type < 2)
            values[*found.type] = value;
    }
    if (from != end || values[0] < parser->lowest || values[0] > parser->highest)
        return false;
    return parser->expression != EXPR_PAYLOAD || has_field(values[0], values[1]);
}

/* Return whether libnftables 1.0.6 can parse the expression in this attribute, and each part of it. */
static bool can_be_parsed(struct attribute expression, bool inside)
{
    uint8_t *from = expression.value, *end = from + expression.length;
    struct attribute found, data = {0};
    uint32_t type = ANY;
    while (next(&from, end, &found))
        if (*found.type == NFTNL_UDATA_SET_TYPEOF_EXPR && !number(found, &type))
            return false;
        else if (*found.type == NFTNL_UDATA_SET_TYPEOF_DATA)
            data = found;
    if (from != end || !data.type)
        return false;
    for (const struct parser *parser = parsers; parser < parsers + PARSERS; parser++)
        if (parser->expression == type)
            return within_tables(parser, data);
    if (type != EXPR_CONCAT || inside)
        return false;
    from = data.value, end = from + data.length;
    while (next(&from, end, &found))
        if (!can_be_parsed(found, true))
            return false;
    return from == end;
}

const void *nftnl_set_get_data(const struct nftnl_set *set, uint16_t name, uint32_t *length);

/* In the place of libnftnl's function: its answer, with an expression that cannot be parsed under a meaningless number. */
const void *nftnl_set_get_data(const struct nftnl_set *set, uint16_t name, uint32_t *length)
{
    static void *(*original)(const struct nftnl_set *, uint16_t, uint32_t *);
    if (!original && !(*(void **)&original = dlsym(RTLD_NEXT, "nftnl_set_get_data")))
        abort();
    uint8_t *answer = original(set, name, length), *from = answer;
    struct attribute found;
    if (answer && name == NFTNL_SET_USERDATA)
        while (next(&from, answer + *length, &found))
            if (*found.type == NFTNL_UDATA_SET_KEY_TYPEOF || *found.type == NFTNL_UDATA_SET_DATA_TYPEOF)
                if (!can_be_parsed(found, false))
                    *found.type = UNKNOWN_TO_NFT;
    return answer;
}
