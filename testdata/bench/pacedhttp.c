// pacedhttp: requests at a fixed rate, as most balancers see them, instead of as fast as possible.
//   pacedhttp PORT CONNS RATE SECONDS PID
// Sends RATE POST requests per second over CONNS kept-alive connections to 127.0.0.1:PORT (a balancer before a server whose
// responses all have one size, as the origin.conf of cost.py), one in
// flight on each, and prints: requests, p50 and p99 in microseconds, CPU microseconds per request of the process PID
// (all its threads, by /proc/PID/task/*/schedstat; name nginx's worker, not its master).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {  MOST = 10000000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu_seconds(int pid) {
    char path[600], dir[64];
    double sum = 0;
    snprintf(dir, sizeof dir, "/proc/%d/task", pid);
    DIR *d = opendir(dir);
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        unsigned long long ns;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s/schedstat", dir, e->d_name);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        if (fscanf(f, "%llu", &ns) == 1) sum += ns;
        fclose(f);
    }
    closedir(d);
    return sum / 1e9;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 6) return fprintf(stderr, "usage: paced PORT CONNS RATE SECONDS PID\n"), 2;
    int port = atoi(argv[1]), conns = atoi(argv[2]), pid = atoi(argv[5]), one = 1;
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    int *fd = calloc(conns, sizeof *fd), *got = calloc(conns, sizeof *got), epoll = epoll_create1(0);
    double *sent_at = calloc(conns, sizeof *sent_at), *latency = malloc(MOST * sizeof *latency);
    int SIZE, answer = 0;
    char message[1024], buf[65536];
    const char *body = "{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"text\":\"hello world, this is a request\"}}}";
    SIZE = snprintf(message, sizeof message, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    prctl(PR_SET_TIMERSLACK, 1000);
    for (int i = 0; i < conns; i++) {
        struct sockaddr_in to = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
        struct epoll_event ev = {EPOLLIN, {.u32 = i}};
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd[i], (void *)&to, sizeof to)) return perror("connect"), 1;
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd[i], &ev);
    }
    for (int i = 0; i < conns; i++) { // every connection has had a request before the measurement; all responses have one size
        int n = 0, r;
        if (write(fd[i], message, SIZE) != SIZE) return 1;
        while (n < (answer ? answer : 1) && (r = read(fd[i], buf, sizeof buf)) > 0) n += r;
        if (!answer) { usleep(50000); r = recv(fd[i], buf, sizeof buf, MSG_DONTWAIT); answer = n + (r > 0 ? r : 0); }
    }
    usleep(300000);
    int sent = 0, answered = 0, turn = 0;
    double cpu = cpu_seconds(pid), begin = now(), next = begin;
    while (now() < begin + seconds) {
        for (double t = now(); next <= t; next += 1 / rate) {
            int i = turn++ % conns;
            if (sent_at[i] != 0) continue; // its answer is not here yet
            sent_at[i] = t, got[i] = 0;
            if (write(fd[i], message, SIZE) == SIZE) sent++;
        }
        double wait = next - now();
        struct timespec ts = {0, wait > 0 ? wait * 1e9 : 0};
        struct epoll_event evs[64];
        int n = epoll_pwait2(epoll, evs, 64, &ts, 0);
        for (int k = 0; k < n; k++) {
            int i = evs[k].data.u32, r = read(fd[i], buf, sizeof buf);
            if (r <= 0) return fprintf(stderr, "connection %d lost\n", i), 1;
            got[i] += r;
            if (got[i] >= answer && sent_at[i] != 0 && answered < MOST) {
                latency[answered++] = now() - sent_at[i];
                sent_at[i] = 0;
            }
        }
    }
    cpu = cpu_seconds(pid) - cpu;
    if (!answered) return fprintf(stderr, "no answer\n"), 1;
    qsort(latency, answered, sizeof *latency, by_size);
    printf("%d %.0f %.0f %.1f\n", answered, latency[answered / 2] * 1e6, latency[(int)(answered * .99)] * 1e6, cpu / answered * 1e6);
}
