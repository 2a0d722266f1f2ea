/* SPDX-License-Identifier: BSD-2-Clause */
/* tcpburn: the test host's program: options, wiring, exit status. */
#include <stdio.h>

int main(void)
{
    fputs("tcpburn: not wired up yet\n", stderr);
    return 1;
}
