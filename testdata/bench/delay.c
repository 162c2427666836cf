// delay: a path with latency between two network interfaces, for kernels without netem.
//   delay MILLISECONDS
// Makes the TUN interfaces lfa and lfb, prints "ready", and passes every packet of one to the other so much later, up to 16,384
// packets of 9,216 bytes each way. Used by longpath.py.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
enum { N = 16384, MAX = 9216 };
struct pkt { double due; int len; unsigned char b[MAX]; };
struct q { struct pkt *p; unsigned head, tail; } q[2];
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+t.tv_nsec*1e-9;}
static int tun(const char*n){int f=open("/dev/net/tun",O_RDWR|O_NONBLOCK);struct ifreq r={0};r.ifr_flags=IFF_TUN|IFF_NO_PI;strncpy(r.ifr_name,n,15);if(ioctl(f,TUNSETIFF,&r)){perror(n);exit(1);}return f;}
int main(int c,char**v){double d=atof(v[1])/1e3;int fd[2]={tun("lfa"),tun("lfb")};long drops=0;
 for(int i=0;i<2;i++)q[i].p=malloc(sizeof(struct pkt)*N);
 puts("ready");fflush(stdout);
 for(;;){double t=now(),next=t+1;int busy=0;
  for(int i=0;i<2;i++){ // read from fd[i], write to fd[1-i]
   for(int k=0;k<64;k++){ struct pkt*p=&q[i].p[q[i].head%N]; if(q[i].head-q[i].tail>=N){char x[MAX];if(read(fd[i],x,MAX)>0)drops++;break;}
    int n=read(fd[i],p->b,MAX); if(n<=0)break; p->len=n;p->due=t+d;q[i].head++;busy=1;}
   while(q[i].tail!=q[i].head){struct pkt*p=&q[i].p[q[i].tail%N];if(p->due>t){if(p->due<next)next=p->due;break;}
    if(write(fd[1-i],p->b,p->len)<0)drops++;q[i].tail++;busy=1;}
  }
  if(!busy){struct pollfd pf[2]={{fd[0],POLLIN},{fd[1],POLLIN}};double w=next-now();struct timespec ts={0,w>0?(w>0.9?900000000:w*1e9):0};ppoll(pf,2,&ts,0);}
 }}
