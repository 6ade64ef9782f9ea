/* The launcher's reader of configurations, for libFuzzer: any bytes, and every text that comes out ends in its buffer. */
#include <stdint.h>
#include <stdlib.h>

#include "conf_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = calloc(1, sizeof *conf); /* on the heap, where the sanitizer sees one byte too many */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    read_conf(copy, size, conf);
    if (strlen(conf->version) >= sizeof conf->version || strlen(conf->state_dir) >= CONF_TEXT ||
        strlen(conf->socket) >= CONF_TEXT)
        abort();
    free(copy);
    free(conf);
    return 0;
}
