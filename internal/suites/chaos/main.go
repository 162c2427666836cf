package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options holds the command line's values.
type options struct {
	mcplb   string        // the balancer's binary
	length  time.Duration // of the disturbed part
	clients int           // that abort at random
	steady  int           // that must never fail
	seed    uint64
	keep    bool // the directory with the log, even without a finding
}

func main() {
	log.SetFlags(log.Ltime)
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		if err := serveNode(os.Args[2:]); err != nil {
			log.Fatal("chaos node: ", err)
		}
		return
	}
	var o options
	flag.StringVar(&o.mcplb, "mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long to disturb, a `duration`")
	flag.IntVar(&o.clients, "clients", 150, "`number` of clients that abort at random")
	flag.IntVar(&o.steady, "steady", 25, "`number` of clients that must never fail")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "`number` from which all decisions follow")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with the balancer's log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	findings, err := run(ctx, o)
	if err != nil {
		stop()
		log.Fatal("chaos: ", err)
	}
	if findings > 0 {
		stop()
		os.Exit(1)
	}
}

// run disturbs a balancer for o.length and returns the number of findings.
func run(ctx context.Context, o options) (int, error) {
	directory, err := os.MkdirTemp("", "mcplb-chaos-")
	if err != nil {
		return 0, err
	}
	log.Printf("seed %d, directory %s", o.seed, directory)
	r := newReport(o.seed)
	scene, err := start(ctx, directory, o, r)
	if err == nil {
		err = scene.perform(ctx, o)
		scene.stop()
	}
	r.print()
	if err == nil && r.count() == 0 && !o.keep {
		return 0, os.RemoveAll(directory)
	}
	fmt.Println("the balancer's log is in", directory)
	return r.count(), err
}
