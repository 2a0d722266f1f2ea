/* SPDX-License-Identifier: BSD-2-Clause */
/* CHECK(), for fuzz targets and for rigs that they share with unit tests, so without cmocka. */
#ifndef TB_CHECK_H
#define TB_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                    \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

#endif
