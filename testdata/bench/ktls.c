// What kernel TLS costs: run by ktls.sh in a virtual machine, where processor time is a number
// of instructions.
//
//	ktls plain|ktls N SIZE   N messages there and back between two processes over loopback: the
//	                         processor time of the one that echoes, as mcplb reads and writes
//	ktls hold N              memory of N connections, and what TLS adds to one end of each
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif
static long used(void) { long a = 0; FILE *f = fopen("/proc/self/schedstat", "r"); if (fscanf(f, "%ld", &a) != 1) exit(9); fclose(f); return a; }
static void die(const char *s) { perror(s); exit(1); }
static void secure(int fd, int server) {
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4)) die("TCP_ULP");
	struct tls12_crypto_info_aes_gcm_128 tx = {0}, rx;
	tx.info.version = TLS_1_3_VERSION; tx.info.cipher_type = TLS_CIPHER_AES_GCM_128;
	memset(tx.key, server ? 1 : 2, sizeof tx.key); memset(tx.iv, 3, sizeof tx.iv); memset(tx.salt, 4, sizeof tx.salt);
	rx = tx; memset(rx.key, server ? 2 : 1, sizeof rx.key);
	if (setsockopt(fd, SOL_TLS, TLS_TX, &tx, sizeof tx)) die("TLS_TX");
	if (setsockopt(fd, SOL_TLS, TLS_RX, &rx, sizeof rx)) die("TLS_RX");
}
static void all(int fd, char *p, int n) { while (n > 0) { int m = read(fd, p, n); if (m <= 0) die("read"); p += m; n -= m; } }
static long memory(void) { // kB in use by slab, pages and all else
	char line[200]; long n, freed = 0; FILE *f = fopen("/proc/meminfo", "r");
	while (fgets(line, sizeof line, f)) if (sscanf(line, "MemFree: %ld", &n) == 1) freed = n;
	fclose(f); return -freed;
}
static void hold(int n) { // hold N: memory of n connections, both ends, plain and then with TLS on one end
	int l = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}; socklen_t len = sizeof a;
	if (bind(l, (void *)&a, len) || listen(l, 100) || getsockname(l, (void *)&a, &len)) die("listen");
	int *fds = malloc(n * sizeof *fds);
	long m0 = memory();
	for (int i = 0; i < n; i++) { int fd = socket(AF_INET, SOCK_STREAM, 0); if (connect(fd, (void *)&a, len)) die("connect"); fds[i] = accept(l, 0, 0); }
	long m1 = memory();
	for (int i = 0; i < n; i++) secure(fds[i], 1);
	long m2 = memory();
	printf("hold %d: plain pairs %ld bytes each, kTLS on one end %ld bytes more each\n", n, (m1 - m0) * 1024 / n, (m2 - m1) * 1024 / n);
}
int main(int c, char **v) {
	if (!strcmp(v[1], "hold")) { hold(atoi(v[2])); return 0; }
	int tls = !strcmp(v[1], "ktls"), n = atoi(v[2]), size = atoi(v[3]), one = 1;
	char buf[65536];
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	if (bind(l, (void *)&a, len) || listen(l, 1) || getsockname(l, (void *)&a, &len)) die("listen");
	if (!fork()) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (void *)&a, len)) die("connect");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (tls) secure(fd, 0);
		memset(buf, 'x', size);
		for (int i = 0; i < n + n / 4; i++) { if (write(fd, buf, size) != size) die("write"); all(fd, buf, size); }
		exit(0);
	}
	int fd = accept(l, 0, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (tls) secure(fd, 1);
	int ep = epoll_create1(0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	long before = 0, after = 0; int got = 0, bytes = 0;
	while (got < n + n / 4) {
		epoll_wait(ep, &e, 1, -1);
		for (;;) {
			int m = read(fd, buf, sizeof buf);
			if (m < 0 && errno == EAGAIN) break;
			if (m <= 0) die("server read");
			if (write(fd, buf, m) != m) die("server write");
			bytes += m; 
			if (bytes >= size) { bytes -= size; got++; if (got == n / 4) before = used(); if (got == n + n / 4) after = used(); }
			if (m < (int)sizeof buf) break; // a short read means drained
		}
	}
	printf("%s %d bytes: %ld per message, there and back\n", v[1], size, (after - before) / n);
	wait(0);
	return 0;
}
