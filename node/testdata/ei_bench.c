/* A C node that calls erlang:abs(-1) on TARGET again and again with ei_rpc, and prints each call's nanoseconds.
 * Usage: ei_bench TARGET N, the cookie on standard input. */
#include <ei.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
    char cookie[256];
    ei_cnode ec;
    int n, fd, i;

    if (argc != 3 || !fgets(cookie, sizeof cookie, stdin))
        return 2;
    cookie[strcspn(cookie, "\n")] = 0;
    n = atoi(argv[2]);
    ei_init();
    struct in_addr addr = {.s_addr = htonl(INADDR_LOOPBACK)};
    if (ei_connect_xinit(&ec, "127.0.0.1", "eibench", "eibench@127.0.0.1", &addr, cookie, 1) < 0)
        return 3;
    if ((fd = ei_connect(&ec, argv[1])) < 0)
        return 4;
    for (i = -1000; i < n; i++) { /* the first thousand warm up */
        ei_x_buff args, res;
        long long start = now();
        ei_x_new(&args);
        ei_x_new(&res);
        ei_x_encode_list_header(&args, 1);
        ei_x_encode_long(&args, -1);
        ei_x_encode_empty_list(&args);
        if (ei_rpc(&ec, fd, "erlang", "abs", args.buff, args.index, &res) < 0)
            return 5;
        ei_x_free(&args);
        ei_x_free(&res);
        if (i >= 0)
            printf("%lld ", now() - start);
    }
    return 0;
}
