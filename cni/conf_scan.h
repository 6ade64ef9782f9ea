/*
 * The three strings that the launcher needs of a network configuration: cniVersion, stateDir and socket, at its top.
 *
 * This is not a JSON parser. What is not understood ends the search, and what was found so far holds: the document goes to
 * the agent or the engine as it came, and they say what is wrong with it. As there, keys match without regard to case,
 * an exact one is preferred for cniVersion, and of several others the last counts.
 */
#include <stddef.h>
#include <string.h>

#define CONF_TEXT 4096 /* bytes of a value that are looked at, PATH_MAX; a longer one is ignored */

struct conf {
    char version[16], state_dir[CONF_TEXT], socket[CONF_TEXT];
};

struct reader {
    const unsigned char *at, *end;
};

static int next_visible(struct reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
    return in->at < in->end ? *in->at : -1;
}

static int hexadecimal(struct reader *in)
{
    int value = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        if (in->at >= in->end)
            return -1;
        int c = *in->at | 0x20, digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static size_t encode(unsigned long point, char *out)
{
    if (point < 0x80)
        return out[0] = (char)point, 1;
    if (point < 0x800)
        return out[0] = (char)(0xC0 | point >> 6), out[1] = (char)(0x80 | (point & 0x3F)), 2;
    if (point < 0x10000)
        return out[0] = (char)(0xE0 | point >> 12), out[1] = (char)(0x80 | (point >> 6 & 0x3F)),
               out[2] = (char)(0x80 | (point & 0x3F)), 3;
    return out[0] = (char)(0xF0 | point >> 18), out[1] = (char)(0x80 | (point >> 12 & 0x3F)),
           out[2] = (char)(0x80 | (point >> 6 & 0x3F)), out[3] = (char)(0x80 | (point & 0x3F)), 4;
}

/* Reads what follows a backslash; stores its length in `out`, 0 if it is invalid, also for half a surrogate pair. */
static size_t escaped(struct reader *in, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = in->at < in->end ? *in->at++ : 0;
    const char *simple = c ? strchr(from, c) : 0;
    if (simple)
        return out[0] = to[simple - from], 1;
    int high = c == 'u' ? hexadecimal(in) : -1;
    if (high <= 0 || (high >= 0xDC00 && high < 0xE000))
        return 0; /* a zero is in no name of a file */
    if (high < 0xD800 || high >= 0xE000)
        return encode((unsigned long)high, out);
    if (in->end - in->at < 6 || in->at[0] != '\\' || in->at[1] != 'u')
        return 0;
    in->at += 2;
    int low = hexadecimal(in);
    if (low < 0xDC00 || low >= 0xE000)
        return 0;
    return encode(0x10000 + ((unsigned long)(high - 0xD800) << 10) + (unsigned long)(low - 0xDC00), out);
}

/* Reads a string, from its quote on, into `out`, cut short where that is full; gives its whole length, or -1. */
static long string(struct reader *in, char *out, size_t room)
{
    size_t length = 0;
    for (in->at++; in->at < in->end && *in->at != '"';) {
        char bytes[4];
        size_t count = 1;
        if (*in->at == '\\') {
            in->at++;
            count = escaped(in, bytes);
        } else if (*in->at < 0x20) {
            count = 0;
        } else {
            bytes[0] = (char)*in->at++;
        }
        if (!count)
            return -1;
        for (size_t i = 0; i < count; i++, length++)
            if (length < room - 1)
                out[length] = bytes[i];
    }
    if (in->at >= in->end)
        return -1;
    in->at++;
    out[length < room - 1 ? length : room - 1] = 0;
    return (long)length;
}

/* Passes over any value, however deep; gives 0, or -1 at the end of the text. */
static int pass_over(struct reader *in)
{
    for (long depth = 0; in->at < in->end;) {
        int c = *in->at;
        if (c == '"') {
            for (in->at++; in->at < in->end && *in->at != '"'; in->at++)
                in->at += *in->at == '\\';
            if (in->at >= in->end)
                return -1;
            in->at++;
            continue;
        }
        if (!depth && (c == ',' || c == '}'))
            return 0;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        in->at++;
    }
    return -1;
}

static int same_word(const char *word, const char *key)
{
    for (; *word && *key; word++, key++) {
        int a = *word >= 'A' && *word <= 'Z' ? *word | 0x20 : *word, b = *key >= 'A' && *key <= 'Z' ? *key | 0x20 : *key;
        if (a != b)
            return 0;
    }
    return *word == *key;
}

static void read_conf(const char *text, size_t size, struct conf *conf)
{
    struct reader in = {(const unsigned char *)text, (const unsigned char *)text + size};
    int exact = 0;
    if (next_visible(&in) != '{')
        return;
    do {
        char key[16], value[CONF_TEXT];
        in.at++; /* the brace, or the comma */
        if (next_visible(&in) != '"')
            return;
        long length = string(&in, key, sizeof key);
        if (length < 0 || next_visible(&in) != ':')
            return;
        in.at++;
        int version = length < (long)sizeof key && same_word("cniVersion", key);
        char *wanted = length >= (long)sizeof key      ? 0
                       : version                       ? conf->version
                       : same_word("stateDir", key)    ? conf->state_dir
                       : same_word("socket", key)      ? conf->socket
                                                       : 0;
        size_t room = version ? sizeof conf->version : CONF_TEXT;
        if (version && exact && strcmp(key, "cniVersion"))
            wanted = 0;
        exact |= version && !strcmp(key, "cniVersion");
        if (next_visible(&in) == '"') {
            length = string(&in, value, sizeof value);
            if (length < 0)
                return;
            if (wanted && length < (long)room)
                memcpy(wanted, value, (size_t)length + 1);
            else if (wanted)
                *wanted = 0;
        } else {
            if (wanted && version)
                *wanted = 0;
            if (pass_over(&in))
                return;
        }
    } while (next_visible(&in) == ',');
}
