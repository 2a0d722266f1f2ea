/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives a fuzz target every file of its corpus, without libFuzzer: make check runs this with the
 * inputs that once failed. The corpus is the folder tests/fuzz/corpus/NAME of fuzz_NAME.test.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static int replay(const char *path)
{
    static uint8_t room[INPUT_MAX];
    FILE *f = fopen(path, "rb");

    if (!f)
        return -errno;
    size_t size = fread(room, 1, sizeof room, f);
    fclose(f);
    uint8_t *exact = malloc(size ? size : 1); /* so that sanitizers see a read too far */
    if (!exact)
        return -ENOMEM;
    memcpy(exact, room, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    const char *top = getenv("TB_SRCDIR"), *name = strrchr(argv[0], '/');
    char folder[1024], path[2048];
    unsigned count = 0, failed = 0;
    struct dirent *e;

    name = name ? name + 1 : argv[0];
    if (strncmp(name, "lt-", 3) == 0) /* libtool's wrapper */
        name += 3;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%.*s", top ? top : ".",
             (int) strcspn(name + 5, "."), name + 5);
    DIR *d = opendir(argc > 1 ? argv[1] : folder);
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argc > 1 ? argv[1] : folder, e->d_name);
        int rc = replay(path);
        failed += rc < 0;
        printf("%s %u - %s\n", rc < 0 ? "not ok" : "ok", ++count, e->d_name);
        fflush(stdout);
    }
    if (d)
        closedir(d);
    if (count == 0)
        printf("not ok 1 - no corpus in %s\n", argc > 1 ? argv[1] : folder);
    printf("1..%u\n", count ? count : 1);
    return count == 0 || failed > 0;
}
